"""PyTorch's own inputs and error inputs for its optimizers (`optim_db`), run in both libraries.

Owns: the comparison of each optimizer's path, state and groups with PyTorch's, for every set of options that PyTorch
tests itself with. May import: wengert's public names; PyTorch. Must not know: how a step is taken.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import wengert

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
common = pytest.importorskip("torch.testing._internal.common_optimizers")

STEPS = 12
WITHOUT = {"SparseAdam": "takes sparse gradients alone: tests/test_sparse.py compares its steps"}
SAMPLES = [
    pytest.param(info.optim_cls.__name__, sample, id=f"{info.optim_cls.__name__}: {sample.desc}")
    for info in common.optim_db
    if info.optim_cls.__name__ not in WITHOUT
    for sample in info.optim_inputs_func(device="cpu")
]
ERRORS = [
    pytest.param(info.optim_cls.__name__, error, id=f"{info.optim_cls.__name__}: {error.optimizer_error_input.desc}")
    for info in common.optim_db
    if info.optim_cls.__name__ not in WITHOUT and info.optim_error_inputs_func
    for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
    # a limit of PyTorch's foreach kernels that wengert, which has one way to step, does not have
    if "foreach=True" not in error.optimizer_error_input.desc and "foreach & not" not in error.optimizer_error_input.desc
]


def ours(value: Any, made: dict[int, Any]) -> Any:
    """Return PyTorch's tensors, and what they stand in, as wengert's; one for one."""
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            made[id(value)] = wengert.tensor(value.detach().numpy().copy(), requires_grad=value.requires_grad)
        return made[id(value)]
    if isinstance(value, dict):
        return {k: ours(v, made) for k, v in value.items()}
    return type(value)([ours(v, made) for v in value]) if isinstance(value, list | tuple) else value


def path(T: Any, name: str, options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the parameters and the state dict after some steps down a polynomial."""
    rng = np.random.default_rng(0)
    shapes = [(2, 3), (4, 4), (5, 2)] if name == "Muon" else [(2, 3), (3,), (4, 4), (2, 3, 2)]
    ps = [T.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]
    optimizer = getattr(T.optim, name)(ps, **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = sum(((p - 0.3) ** 2).sum() + (p**4).sum() for p in ps)
        loss.backward()
        return loss

    for _ in range(STEPS):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return [p.detach().numpy() for p in ps], optimizer.state_dict()


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_the_path_is_torchs(name: str, sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda t: t.clone())  # Muon's iteration, in the parameter's type as ours
    # a rate in float64: PyTorch's Muon rounds 1 - lr * weight_decay to the rate's type
    theirs = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in sample.kwargs.items()}
    mine = ours(theirs, {})
    expected, state = path(torch, name, theirs)
    found, own = path(wengert, name, mine)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    scratch = {"al"} if name == "LBFGS" else set()  # PyTorch's L-BFGS keeps a list that every step writes before it reads it
    assert [set(s) for s in own["state"].values()] == [set(s) - scratch for s in state["state"].values()]
    assert [set(g) for g in own["param_groups"]] == [set(g) for g in state["param_groups"]]


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_what_torch_refuses_is_refused(name: str, error: Any) -> None:
    given = error.optimizer_error_input
    made: dict[int, Any] = {}
    with warnings.catch_warnings(), pytest.raises(error.error_type):
        warnings.simplefilter("error")
        params = ours(given.params, made)
        optimizer = getattr(wengert.optim, name)(params, **ours(given.kwargs, made))
        if error.error_on is common.OptimizerErrorEnum.STEP_ERROR:
            for p in params:
                p.grad = wengert.ones_like(p)
            optimizer.step()
