"""`autograd.functional`: the six functions in all their options, beside PyTorch's.

Owns the proof of wengert/autograd/functional.py. Programs as in test_autograd.py.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import wengert
from programs import Programs
from test_autograd_full import outcomes
from test_function import leaf, says

PROGRAMS = program = Programs("test_autograd_functional")


def points(torch: Any) -> Any:
    return leaf(torch, 0.3, -0.7, 1.1), torch.tensor([[0.5, 1.5, -0.2]] * 2, dtype=torch.float64)


def bare(values: Any) -> Any:
    """Return values without history: PyTorch's forward mode leaves them one."""
    return tuple(map(bare, values)) if isinstance(values, tuple | list) else values.detach()


ONE = {
    "square": lambda torch, x: x * x, "outer": lambda torch, x: x.unsqueeze(1) * x.exp(), "number": lambda torch, x: (x**3).sum(),
    "constant": lambda torch, x: torch.ones(2, dtype=torch.float64), "two": lambda torch, x: (x.sin(), (x * 2).sum()), "linear": lambda torch, x: x * 3,
}  # fmt: skip
TWO = {
    "product": lambda torch, x, w: w @ x, "two": lambda torch, x, w: ((w @ x).tanh(), x.sum()), "number": lambda torch, x, w: (w @ x.exp()).prod(),
    "first": lambda torch, x, w: x * 2,
}  # fmt: skip


@program
def jacobians(torch: Any) -> Any:
    x, w = points(torch)
    f = torch.autograd.functional.jacobian
    made = {n: f(lambda x, g=g: g(torch, x), x) for n, g in ONE.items()}
    made |= {f"{n} of two": f(lambda x, w, g=g: g(torch, x, w), (x, w)) for n, g in TWO.items()}
    made |= {f"{n} in a tuple": f(lambda x, g=g: g(torch, x), (x,)) for n, g in ONE.items()}
    return made


@program
def jacobians_at_once(torch: Any) -> Any:
    x, w = points(torch)
    f = torch.autograd.functional.jacobian
    made = {n: f(lambda x, g=g: g(torch, x), x, vectorize=True) for n, g in ONE.items()}
    made |= {f"{n} of two": f(lambda x, w, g=g: g(torch, x, w), (x, w), vectorize=True) for n, g in TWO.items()}
    made |= {f"{n} forward": bare(f(lambda x, g=g: g(torch, x), x, vectorize=True, strategy="forward-mode")) for n, g in ONE.items() if n != "constant"}
    made |= {f"{n} forward of two": bare(f(lambda x, w, g=g: g(torch, x, w), (x, w), vectorize=True, strategy="forward-mode")) for n, g in TWO.items()}
    return made


@program
def hessians(torch: Any) -> Any:
    x, w = points(torch)
    f = torch.autograd.functional.hessian
    one, two = lambda x: ONE["number"](torch, x), lambda x, w: TWO["number"](torch, x, w)  # noqa: E731
    return outcomes({
        "one": lambda: f(one, x), "two": lambda: f(two, (x, w)), "at once": lambda: f(two, (x, w), vectorize=True),
        "forward": lambda: bare(f(one, x, vectorize=True, outer_jacobian_strategy="forward-mode")), "linear": lambda: f(lambda x: x.sum(), x),
        "of two, forward": lambda: bare(f(two, (x, w), vectorize=True, outer_jacobian_strategy="forward-mode")), "in a tuple": lambda: f(one, (x,)),
        "not a number": lambda: f(lambda x: x, x), "a tuple": lambda: f(lambda x: (x.sum(), x.sum()), x), "of one element": lambda: f(lambda x: (x**2).sum(0, True), x),
        "strict": lambda: f(one, x, strict=True), "strict linear": lambda: f(lambda x: x.sum(), x, strict=True),
    })  # fmt: skip


@program
def products(torch: Any) -> Any:
    x, w = points(torch)
    fun = torch.autograd.functional
    v = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    two = lambda x, w: TWO["two"](torch, x, w)  # noqa: E731
    number = lambda x, w: TWO["number"](torch, x, w)  # noqa: E731
    return outcomes({
        "vjp": lambda: fun.vjp(lambda x: x * x, x, v), "jvp": lambda: fun.jvp(lambda x: x * x, x, v),
        "vjp of a number": lambda: fun.vjp(lambda x: (x * x).sum(), x), "jvp of a number": lambda: fun.jvp(lambda x: x.exp(), leaf(torch, 2.0)),
        "vjp of two": lambda: fun.vjp(two, (x, w), (v[:2], v[0])), "jvp of two": lambda: fun.jvp(two, (x, w), (v, w)),
        "vhp": lambda: fun.vhp(lambda x: (x**3).sum(), x, v), "hvp": lambda: fun.hvp(lambda x: (x**3).sum(), x, v),
        "vhp of two": lambda: fun.vhp(number, (x, w), (v, w)), "hvp of two": lambda: fun.hvp(number, (x, w), (v, w)),
        "vhp of a linear one": lambda: fun.vhp(lambda x: x.sum(), x, v), "hvp of a constant": lambda: fun.hvp(lambda x: torch.ones(()), x, v),
        "vjp of a constant": lambda: fun.vjp(lambda x: torch.ones(()), x), "jvp of a constant": lambda: fun.jvp(lambda x: torch.ones(2), x, v),
        "hvp of one element": lambda: fun.hvp(lambda x: x**3, leaf(torch, 2.0)),
    })  # fmt: skip


@program
def results_with_a_graph(torch: Any) -> Any:
    x, _ = points(torch)
    fun = torch.autograd.functional
    v = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    made = []
    for result in (
        fun.jacobian(lambda x: x**3, x, create_graph=True), fun.hessian(lambda x: (x**4).sum(), x, create_graph=True),
        fun.vjp(lambda x: x**3, x, v, create_graph=True)[1], fun.jvp(lambda x: x**3, x, v, create_graph=True)[1],
        fun.vhp(lambda x: (x**4).sum(), x, v, create_graph=True)[1], fun.hvp(lambda x: (x**4).sum(), x, v, create_graph=True)[1],
        fun.jacobian(lambda x: x**3, x, create_graph=True, vectorize=True),
    ):  # fmt: skip
        made += [result.requires_grad, torch.autograd.grad(result.sum(), x)]
    return made, fun.jacobian(lambda x: x**3, x).requires_grad, x.grad


@program
def strictness_and_mistakes(torch: Any) -> Any:
    x, w = points(torch)
    fun = torch.autograd.functional
    v = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    return {
        "constant": says(lambda: fun.jacobian(lambda x: torch.ones(2), x, strict=True), "Output 0 of the user-provided function does not require gradient"),
        "independent": says(lambda: fun.jacobian(lambda x, w: x * 2, (x, w), strict=True), "independent of input 1. This is not allowed in strict mode"),
        "vjp": says(lambda: fun.vjp(lambda x, w: x.sum(), (x, w), strict=True), "is independent of input 1"),
        "jvp": says(lambda: fun.jvp(lambda x, w: x.sum(), (x, w), (v, w), strict=True), "independent of input 1"),
        "vhp": says(lambda: fun.vhp(lambda x: x.sum(), x, v, strict=True), "jacobian of the user-provided function with respect to input 0 is independent of the input"),
        "hvp": says(lambda: fun.hvp(lambda x: x.sum(), x, v, strict=True), "jacobian of the user-provided function with respect to input 0 is independent of the input"),
        "no v": says(lambda: fun.vjp(lambda x: x * 2, x), "The vector v can only be None if the user-provided function returns a single Tensor with a single element"),
        "no v in": says(lambda: fun.jvp(lambda x: x * 2, x), "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element"),
        "short v": says(lambda: fun.vjp(lambda x: x * 2, x, v[:2]), "v has invalid size: should be torch.Size([3]) but got torch.Size([2])"),
        "few v": says(lambda: fun.jvp(lambda x, w: x, (x, w), (v,)), "v is a tuple of invalid length: should be 2 but got 1"),
        "inputs": says(lambda: fun.vjp(lambda x: x, 3.0), "The inputs given to vjp must be either a Tensor or a tuple of Tensors but the given inputs has type"),
        "an input": says(lambda: fun.jacobian(lambda x, n: x * n, (x, 3)), "must be either a Tensor or a tuple of Tensors but"),
        "outputs": says(lambda: fun.jacobian(lambda x: 3, x), "The outputs of the user-provided function given to jacobian must be either a Tensor or a tuple"),
        "hvp of many": says(lambda: fun.hvp(lambda x: x, x, v), "single element"),
        "strategy": says(lambda: fun.jacobian(lambda x: x, x, strategy="sideways"), ""),
        "forward alone": says(lambda: fun.jacobian(lambda x: x, x, strategy="forward-mode"), "vectorize=True"),
        "forward with a graph": says(lambda: fun.jacobian(lambda x: x, x, create_graph=True, vectorize=True, strategy="forward-mode"), ""),
        "strict at once": says(lambda: fun.jacobian(lambda x: x, x, strict=True, vectorize=True), "not supported together"),
    }  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
def test_signatures_are_torch_s(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(getattr(m.autograd.functional, name)).parameters for m in (wengert, torch))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
