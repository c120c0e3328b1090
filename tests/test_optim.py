"""Optimizers and learning-rate schedules: against PyTorch step by step, and against values worked out by hand.

Owns the proof of wengert/optim/optimizer.py and of the plugin wengert_optim. May import wengert's public names
and, in tests marked `parity`, torch. A problem is written once and run by both: `T` is wengert or torch.
"""

from __future__ import annotations

import copy
import importlib
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert
from wengert import optim
from wengert.optim import Optimizer, lr_scheduler

NAN, INF = float("nan"), float("inf")
ALL = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD"]


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


def leaf(T: Any, value: Any, dtype: str = "float64") -> Any:
    return T.tensor(np.asarray(value), dtype=getattr(T, dtype), requires_grad=True)


def array(x: Any) -> Any:
    return x.detach().numpy().copy()


def relative(a: Any, b: Any, start: Any = 0) -> float:
    """Return max |a - b| / max |b|; start: where b came from, by whose size it was rounded on the way."""
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), np.max(np.abs(start))))


# A regression on fresh batches: parameters of several shapes, one 0-d; the last has no gradient every third step.

SHAPES: list[tuple[int, ...]] = [(3, 4), (4,), (), (2, 1, 3), (5,)]


def parameters(T: Any, dtype: str) -> list[Any]:
    rng = np.random.default_rng(1)
    return [leaf(T, rng.uniform(0.5, 1.5, shape), dtype) for shape in SHAPES]


def loss_of(T: Any, dtype: str, ps: list[Any], i: int) -> Any:
    rng = np.random.default_rng(100 + i)
    x, y = (T.tensor(rng.standard_normal(s), dtype=getattr(T, dtype)) for s in [(8, 3), (8, 4)])
    w, b, scale, cube, sometimes = ps
    error = T.tanh(x @ w + b) * scale - y
    loss = (error * error).mean() + ((cube - x[:2, None, :]) ** 2).mean() * T.exp(0.1 * scale)
    return loss if i % 3 == 1 else loss + ((sometimes * scale - y[0, 0]) ** 2).sum()


def train(T: Any, dtype: str, name: str, options: dict[str, Any], steps: int = 100) -> tuple[list[Any], Any]:
    ps = parameters(T, dtype)
    optimizer = getattr(T.optim, name)(ps, **options)
    for i in range(steps):
        step(T, dtype, ps, optimizer, i)
    return ps, optimizer


def step(T: Any, dtype: str, ps: list[Any], optimizer: Any, i: int) -> None:
    optimizer.zero_grad()
    loss_of(T, dtype, ps, i).backward()
    optimizer.step()


TABLE: list[tuple[str, dict[str, Any]]] = [
    ("SGD", dict(lr=0.02)),
    ("SGD", dict(lr=0.02, momentum=0.9)),
    ("SGD", dict(lr=0.02, momentum=0.9, dampening=0.3)),
    ("SGD", dict(lr=0.02, momentum=0.9, nesterov=True)),
    ("SGD", dict(lr=0.02, weight_decay=0.1)),
    ("SGD", dict(lr=0.02, momentum=0.5, weight_decay=0.1, nesterov=True)),
    ("SGD", dict(lr=1e-4, maximize=True, momentum=0.5, weight_decay=0.1)),
    *[
        (name, {**dict(lr=0.01), **options})
        for name in ("Adam", "AdamW")
        for options in (
            {},
            dict(betas=(0.5, 0.8)),
            dict(betas=(0.0, 0.0)),
            dict(eps=1e-3),
            dict(weight_decay=0.2),
            dict(amsgrad=True),
            dict(amsgrad=True, weight_decay=0.2, maximize=True),
            dict(maximize=True),
        )
    ],
    ("Adam", dict(lr=0.01, weight_decay=0.2, decoupled_weight_decay=True)),
    ("Adamax", {}),
    ("Adamax", dict(betas=(0.5, 0.8), eps=1e-3)),
    ("Adamax", dict(weight_decay=0.2)),
    ("Adamax", dict(maximize=True)),
    ("NAdam", {}),
    ("NAdam", dict(betas=(0.5, 0.8), eps=1e-3, momentum_decay=0.1)),
    ("NAdam", dict(weight_decay=0.2)),
    ("NAdam", dict(weight_decay=0.2, decoupled_weight_decay=True)),
    ("NAdam", dict(maximize=True)),
    ("RAdam", dict(lr=0.01)),
    ("RAdam", dict(lr=0.01, betas=(0.8, 0.99), eps=1e-3)),
    ("RAdam", dict(lr=0.01, betas=(0.9, 0.6))),  # never rectified
    ("RAdam", dict(lr=0.01, betas=(0.9, 0.9999))),
    ("RAdam", dict(lr=0.01, weight_decay=0.2)),
    ("RAdam", dict(lr=0.01, weight_decay=0.2, decoupled_weight_decay=True)),
    ("RAdam", dict(lr=0.001, maximize=True)),
    ("Adagrad", dict(lr=0.05)),
    ("Adagrad", dict(lr=0.05, lr_decay=0.1)),
    ("Adagrad", dict(lr=0.05, initial_accumulator_value=0.5, eps=1e-3)),
    ("Adagrad", dict(lr=0.05, weight_decay=0.2)),
    ("Adagrad", dict(maximize=True)),
    ("Adadelta", {}),
    ("Adadelta", dict(lr=0.5, rho=0.5, eps=1e-3)),
    ("Adadelta", dict(weight_decay=0.2)),
    ("Adadelta", dict(maximize=True)),
    ("RMSprop", {}),
    ("RMSprop", dict(alpha=0.9, eps=1e-3)),
    ("RMSprop", dict(centered=True)),
    ("RMSprop", dict(lr=0.002, momentum=0.9)),
    ("RMSprop", dict(lr=0.002, momentum=0.9, centered=True, weight_decay=0.2)),
    ("RMSprop", dict(lr=0.001, maximize=True)),
    ("Rprop", {}),
    ("Rprop", dict(etas=(0.3, 1.5), step_sizes=(1e-3, 0.02))),
    ("Rprop", dict(lr=1.0, step_sizes=(1e-3, 0.02))),
    ("Rprop", dict(lr=1e-3, maximize=True)),
    ("ASGD", {}),
    ("ASGD", dict(lambd=0.1, alpha=0.5, t0=10)),
    ("ASGD", dict(weight_decay=0.2)),
    ("ASGD", dict(lr=1e-4, maximize=True)),
    ("Adafactor", {}),
    ("Adafactor", dict(lr=0.05, beta2_decay=-0.5, eps=(1e-2, 0.1), d=2.0)),
    ("Adafactor", dict(weight_decay=0.2, maximize=True)),
]


def title(value: Any) -> str:
    return " ".join(f"{k}={v}" for k, v in value.items()) or "defaults" if isinstance(value, dict) else str(value)


@pytest.mark.parity
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "options"), TABLE, ids=title)
def test_hundred_steps_agree_with_torch(torch: Any, name: str, options: Any, dtype: str, tolerance: float) -> None:
    ours, mine = train(wengert, dtype, name, options)
    theirs, oracle = train(torch, dtype, name, options)
    for p, q, start in zip(ours, theirs, parameters(wengert, dtype), strict=True):
        assert relative(array(p), array(q), array(start)) <= tolerance
    assert repr(mine) == repr(oracle)
    assert layout(mine.state_dict()) == layout(oracle.state_dict())
    for p, q in zip(ours, theirs, strict=True):
        for key, value in oracle.state[q].items():
            held = mine.state[p][key]
            np.testing.assert_allclose(array(held), array(value), rtol=100 * tolerance, atol=100 * tolerance)


def layout(saved: dict[str, Any]) -> Any:
    """Return a state dict with its tensors as dtype and shape."""
    state = {i: {k: (str(v.dtype), tuple(v.shape)) for k, v in s.items()} for i, s in saved["state"].items()}
    return {"state": state, "param_groups": [list(group.items()) for group in saved["param_groups"]]}


def converted(value: Any, T: Any) -> Any:
    """Return a state dict with its tensors made by the other library."""
    if hasattr(value, "detach"):
        return T.tensor(array(value))
    if isinstance(value, dict):
        return {k: converted(v, T) for k, v in value.items()}
    return [converted(v, T) for v in value] if isinstance(value, list) else value


@pytest.mark.parity
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ALL)
def test_state_dict_crosses_over_mid_run(torch: Any, name: str, dtype: str, direction: str) -> None:
    options = {"SGD": dict(lr=0.02, momentum=0.9), "RMSprop": dict(momentum=0.5, centered=True)}.get(name, {})
    A, B = (torch, wengert) if direction == "from torch" else (wengert, torch)
    ps, first = train(A, dtype, name, options, steps=7)
    qs = [leaf(B, array(p), dtype) for p in ps]
    second = getattr(B.optim, name)(qs, lr=123.0)
    second.load_state_dict(converted(first.state_dict(), B))
    first.load_state_dict(copy.deepcopy(first.state_dict()))  # loading casts state in float64: let both do it
    for i in range(7, 20):
        step(A, dtype, ps, first, i)
        step(B, dtype, qs, second, i)
    for p, q in zip(ps, qs, strict=True):
        assert relative(array(p), array(q)) <= (1e-9 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize(("name", "options"), [(n, {}) for n in ALL] + [("Adam", dict(amsgrad=True))], ids=title)
def test_state_dict_round_trip_mid_run(name: str, options: Any) -> None:
    options = {**options, **({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})}
    ps, first = train(wengert, "float64", name, options, steps=5)
    qs = [leaf(wengert, array(p)) for p in ps]
    second = getattr(optim, name)(qs, **{**options, "lr": 9.0})
    saved = first.state_dict()
    second.load_state_dict(saved)
    assert layout(second.state_dict())["param_groups"] == layout(saved)["param_groups"]
    first.load_state_dict(saved)
    for i in range(5, 12):
        step(wengert, "float64", ps, first, i)
        step(wengert, "float64", qs, second, i)
    for p, q in zip(ps, qs, strict=True):
        np.testing.assert_array_equal(array(p), array(q))


# By hand, without an oracle: with a constant gradient g every running average of g is g, and of g**2 is g**2.


def constant_descent(name: str, steps: int, g: float = -0.5, start: float = 1.0, **options: Any) -> list[float]:
    p = leaf(wengert, [start])
    optimizer = getattr(optim, name)([p], **options)
    seen = []
    for _ in range(steps):
        p.grad = wengert.tensor([g], dtype=wengert.float64)
        optimizer.step()
        seen.append(float(array(p)[0]))
    return seen


BY_HAND: list[tuple[str, dict[str, Any], list[float]]] = [  # g = -0.5, p = 1
    ("SGD", dict(lr=0.1), [1.05, 1.10, 1.15]),
    ("SGD", dict(lr=0.1, maximize=True), [0.95, 0.90, 0.85]),
    ("SGD", dict(lr=0.1, momentum=0.5), [1.05, 1.125, 1.2125]),  # b = .5, .75, .875
    ("SGD", dict(lr=0.1, momentum=0.5, dampening=0.5), [1.05, 1.10, 1.15]),
    ("SGD", dict(lr=0.1, momentum=0.5, nesterov=True), [1.075, 1.1625, 1.25625]),
    ("SGD", dict(lr=0.1, weight_decay=0.5), [1.0, 1.0, 1.0]),  # the pull of the decay is the gradient's opposite
    ("Adam", dict(lr=0.1, eps=0.0), [1.1, 1.2, 1.3]),
    ("Adam", dict(lr=0.1, eps=0.5), [1.05, 1.10, 1.15]),
    ("Adam", dict(lr=0.1, eps=0.0, amsgrad=True), [1.1, 1.2, 1.3]),
    ("AdamW", dict(lr=0.1, eps=0.0, weight_decay=1.0), [1.0, 1.0, 1.0]),
    ("AdamW", dict(lr=0.1, eps=0.0, weight_decay=2.0), [0.9, 0.82, 0.756]),
    ("Adamax", dict(lr=0.1, eps=0.0), [1.1, 1.2, 1.3]),
    ("RAdam", dict(lr=0.1), [1.05, 1.10, 1.15]),  # no rectification yet: the mean itself
    (
        "Adagrad",
        dict(lr=0.1, eps=0.0),
        [1.1, 1.1 + 0.1 / math.sqrt(2), 1.1 + 0.1 / math.sqrt(2) + 0.1 / math.sqrt(3)],
    ),
    ("Adagrad", dict(lr=0.1, eps=0.0, lr_decay=1.0), [1.1, 1.1 + 0.05 / math.sqrt(2)]),
    ("RMSprop", dict(lr=0.1, eps=0.0, alpha=0.75), [1.2, 1.2 + 0.1 / math.sqrt(1 - 0.75**2)]),
    ("RMSprop", dict(lr=0.1, eps=0.0, alpha=0.5, centered=True), [1.2, 1.2 + 0.1 / math.sqrt(0.75 - 0.75**2)]),
    ("RMSprop", dict(lr=0.1, eps=0.0, alpha=0.0, momentum=0.5), [1.1, 1.25, 1.425]),
    ("Adadelta", dict(rho=0.0, eps=1.0), [1 + 0.5 / math.sqrt(1.25)]),
    ("Rprop", dict(lr=0.1), [1.1, 1.22, 1.364]),  # steps .1, .12, .144
    ("ASGD", dict(lr=0.1, lambd=0.0), [1.05, 1.10, 1.15]),
    ("ASGD", dict(lr=0.1, lambd=1.0, alpha=1.0), [0.95, 0.95 * (1 - 1 / 11) + 0.5 / 11]),
]


@pytest.mark.parametrize(("name", "options", "expected"), BY_HAND, ids=title)
def test_first_steps_by_hand(name: str, options: Any, expected: list[float]) -> None:
    # ASGD's eta and NAdam's product are float32 state, as in PyTorch: seven digits
    rtol = 1e-7 if name == "ASGD" else 1e-13
    np.testing.assert_allclose(constant_descent(name, len(expected), **options), expected, rtol=rtol)


def test_nadam_first_step_by_hand() -> None:
    mu1, mu2 = (0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in (1, 2))
    m = mu2 * 0.1 / (1 - mu1 * mu2) + (1 - mu1) / (1 - mu1)  # over |g|, the root of the corrected mean square
    assert constant_descent("NAdam", 1, lr=0.1, eps=0.0) == pytest.approx([1 + 0.1 * m], rel=1e-7)


def test_rprop_turns_back_by_hand() -> None:
    p = leaf(wengert, [1.0, 1.0])
    optimizer = optim.Rprop([p], lr=0.1)
    for g in ([1.0, 2.0], [1.0, -2.0], [1.0, -2.0]):
        p.grad = wengert.tensor(g, dtype=wengert.float64)
        optimizer.step()
    # the flipped sign: a smaller step, not taken; then the gradient counts as new
    np.testing.assert_allclose(array(p), [1 - 0.1 - 0.12 - 0.144, 1 - 0.1 + 0.05])


def test_asgd_averages_from_t0() -> None:
    p = leaf(wengert, 0.0)
    optimizer = optim.ASGD([p], lr=1.0, lambd=0.0, t0=2)
    path = []
    for _ in range(6):
        p.grad = wengert.tensor(-1.0, dtype=wengert.float64)
        optimizer.step()
        path.append(p.item())
    assert path == [1, 2, 3, 4, 5, 6]
    # the weight of step t is 1 / max(1, t - 1 - t0): ax follows until step 4, then averages steps 4, 5, 6
    assert optimizer.state[p]["ax"].item() == pytest.approx(5.0, rel=1e-6)


def test_radam_rectifies_from_the_first_tractable_step() -> None:
    from wengert_optim.adam import tractable_from

    for beta in (0.7, 0.9, 0.99, 0.999, 0.9999):
        rho = 2 / (1 - beta) - 1
        t = tractable_from(beta)
        terms = [rho - 2 * k * beta**k / (1 - beta**k) for k in (t - 1, t)]
        assert terms[0] <= 5 < terms[1]
    assert tractable_from(0.6) == math.inf


def test_bias_correction_keeps_its_digits_in_float32() -> None:
    from wengert.optim.optimizer import debias

    for beta in (0.9, 0.999, 0.9999999, 0.0):
        for t in (1, 7, 1000):
            exact = -math.expm1(t * math.log(beta)) if beta else 1.0
            got = debias(beta, wengert.tensor(float(t), dtype=wengert.float32)).item()
            assert got == pytest.approx(exact, rel=5e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 4), (1 << 15,), (9, 9999)])
def test_adam_at_once_and_step_by_step_are_bitwise_equal(monkeypatch: pytest.MonkeyPatch, shape: Any, dtype: str) -> None:
    from wengert_optim import adam, kernels

    asked: list[Any] = []

    def trained(changed: Callable[[Any], Any]) -> Any:
        rng = np.random.default_rng(3)
        p = leaf(wengert, rng.standard_normal(shape), dtype)
        gradients = [changed(wengert.tensor(rng.standard_normal(shape), dtype=p.dtype)) for _ in range(3)]
        optimizer, before = wengert.optim.AdamW([p], lr=0.01, weight_decay=0.1), p._version
        for p.grad in gradients:
            optimizer.step()
        return [p, *optimizer.state[p].values()], p._version - before

    at_once = kernels.adam
    monkeypatch.setattr(adam.kernels, "adam", lambda *args: asked.append(args) or at_once(*args))
    (fast, writes), count = trained(lambda g: g), len(asked)
    views, _ = trained(lambda g: g.view(shape))  # no array of its own: it is not written to
    assert (count, len(asked)) == (3, 6)
    monkeypatch.setattr(adam, "host_arrays", lambda *tensors: None)
    slow, slow_writes = trained(lambda g: g)
    assert writes == slow_writes and len(asked) == 6
    for a, b, c in zip(fast, slow, views, strict=True):
        assert np.array_equal(array(a), array(b)) and np.array_equal(array(a), array(c))


# L-BFGS.


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def minimize(T: Any, f: Callable[[Any], Any], x: Any, calls: int, **options: Any) -> tuple[Any, Any]:
    optimizer = T.optim.LBFGS([x], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = f(x)
        loss.backward()
        return loss

    for _ in range(calls):
        optimizer.step(closure)
    return optimizer, closure


def test_lbfgs_solves_rosenbrock() -> None:
    x = leaf(wengert, [-1.2, 1.0, -0.5, 0.8])
    minimize(wengert, rosenbrock, x, 8, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(array(x), np.ones(4), atol=1e-6)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_solves_for_complex_numbers(search: str | None) -> None:
    z, goal = leaf(wengert, [0j, 1.0], "complex128"), wengert.tensor([1 + 2j, -1j], dtype=wengert.complex128)
    minimize(wengert, lambda z: ((z - goal).abs() ** 2).sum(), z, 3, line_search_fn=search)
    np.testing.assert_allclose(array(z), array(goal), atol=1e-6)


def test_lbfgs_takes_sparse_gradients() -> None:
    table = wengert.ones(4, 2, dtype=wengert.float64, requires_grad=True)
    optimizer = optim.LBFGS([table], lr=1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (wengert.nn.functional.embedding(wengert.tensor([1, 3]), table, sparse=True) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert table.grad.is_sparse and np.allclose(array(table), [[1, 1], [0, 0]] * 2, atol=1e-7)


def test_lbfgs_stays_where_the_gradient_is_zero() -> None:
    x = leaf(wengert, [1.0, 1.0])
    minimize(wengert, lambda x: ((x - 1) ** 2).sum(), x, 2, tolerance_grad=-1.0, tolerance_change=-1.0)
    assert array(x).tolist() == [1, 1]


def test_lbfgs_solves_a_quadratic_with_unit_steps() -> None:
    scale = wengert.tensor([1.0, 2.0, 3.0], dtype=wengert.float64)
    x = leaf(wengert, [1.0, -2.0, 3.0])
    minimize(wengert, lambda x: (scale * (x - 1) ** 2).sum(), x, 3)
    np.testing.assert_allclose(array(x), np.ones(3), atol=1e-6)


def test_lbfgs_returns_the_first_loss_and_stops_where_it_is_flat() -> None:
    x = leaf(wengert, [0.0])
    optimizer, closure = minimize(wengert, lambda x: (x * x).sum() + 3, x, 1)
    assert optimizer.step(closure).item() == 3.0
    assert optimizer.state[x]["func_evals"] == 2
    assert optimizer.state[x]["n_iter"] == 0


def test_lbfgs_goes_far_along_a_straight_line_and_no_further_than_it_may() -> None:
    x = leaf(wengert, [0.0])
    minimize(wengert, lambda x: -x.sum(), x, 1, line_search_fn="strong_wolfe", max_iter=1, max_eval=4)
    assert x.item() == 1000.0  # t = 1, 10, 100, 1000: tenfold each time


def test_lbfgs_line_search_meets_the_strong_wolfe_conditions() -> None:
    from wengert_optim.lbfgs import Point, strong_wolfe

    for f, slope in [
        (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
        (lambda t: t**4 / 4 - 50 * t, lambda t: t**3 - 50),
        (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
        (lambda t: math.exp(t) - 5 * t, lambda t: math.exp(t) - 5),
        (lambda t: math.log(t + 1e-3) * 0 + (t - 0.01) ** 2, lambda t: 2 * (t - 0.01)),
        (lambda t: (t - 1) ** 2 if t < 2 else NAN, lambda t: 2 * (t - 1)),  # beyond 2 there is nothing
    ]:
        g = wengert.zeros(1, dtype=wengert.float64)
        for first in (1e-3, 0.1, 1.0, 4.0):

            def at(t: float, f: Any = f, slope: Any = slope, g: Any = g) -> Point:
                return Point(t, f(t), slope(t), g)

            found = strong_wolfe(at, at(0.0), first, longest=1.0)
            assert found.loss <= f(0.0) + 1e-4 * found.t * slope(0.0)
            assert abs(found.slope) <= 0.9 * abs(slope(0.0))


LBFGS: list[dict[str, Any]] = [
    dict(lr=0.1),
    dict(lr=0.01, max_iter=5),
    dict(lr=0.1, history_size=2),
    dict(lr=0.1, tolerance_grad=1.0),
    dict(lr=0.1, tolerance_change=1e-4, max_iter=7),
    dict(lr=0.1, tolerance_grad=-1.0, tolerance_change=-1.0, max_iter=4),
    dict(line_search_fn="strong_wolfe"),
    dict(line_search_fn="strong_wolfe", history_size=3, max_iter=4),
    dict(line_search_fn="strong_wolfe", history_size=1, max_iter=1, lr=0.5),
    dict(line_search_fn="strong_wolfe", max_eval=3),
]


@pytest.mark.parity
@pytest.mark.parametrize(("dtype", "calls", "tolerance"), [("float64", 3, 1e-9), ("float32", 1, 1e-5)])
@pytest.mark.parametrize("options", LBFGS, ids=title)
def test_lbfgs_agrees_with_torch(torch: Any, options: Any, dtype: str, calls: int, tolerance: float) -> None:
    start = np.linspace(-1.2, 1, 6)
    if dtype == "float32":  # its differences grow with the curvature: a few iterations only
        options = {**options, "max_iter": min(options.get("max_iter", 8), 8)}
    found = []
    for T in (wengert, torch):
        x = leaf(T, start, dtype)
        optimizer, closure = minimize(T, rosenbrock, x, calls, **options)
        state = optimizer.state[x]
        found.append((array(x), state["func_evals"], state["n_iter"]))
        assert repr(optimizer) == repr(torch.optim.LBFGS([leaf(torch, 1.0)], **options))
    assert relative(found[0][0], found[1][0]) <= tolerance
    assert found[0][1:] == found[1][1:]


@pytest.mark.parity
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_lbfgs_state_crosses_over(torch: Any, direction: str) -> None:
    A, B = (torch, wengert) if direction == "from torch" else (wengert, torch)
    options = dict(line_search_fn="strong_wolfe", max_iter=3)
    x = leaf(A, [-1.2, 1.0, 0.3])
    first, closure = minimize(A, rosenbrock, x, 2, **options)
    y = leaf(B, array(x))
    second, other = minimize(B, rosenbrock, y, 0, **options)
    second.load_state_dict(converted(first.state_dict(), B))
    for _ in range(2):
        first.step(closure)
        second.step(other)
    assert relative(array(x), array(y)) <= 1e-9


# Groups, options, state.


def test_groups_take_their_own_options_and_the_defaults() -> None:
    a, b = leaf(wengert, [1.0]), leaf(wengert, [1.0])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5, "mine": 7}], lr=0.1)
    (a.sum() + b.sum()).backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0.9, 0.5)
    assert optimizer.param_groups[1]["mine"] == 7
    c = leaf(wengert, [1.0])
    group = {"params": (p for p in [c]), "momentum": 0.9}
    optimizer.add_param_group(group)
    assert optimizer.param_groups[2] is group
    assert group["params"] == [c] and group["lr"] == 0.1


def test_repr() -> None:
    optimizer = optim.ASGD([{"params": [leaf(wengert, 1.0)]}, {"params": [leaf(wengert, 1.0)], "lr": 1}])
    one = """    alpha: 0.75
    capturable: False
    differentiable: False
    foreach: None
    lambd: 0.0001
    lr: {}
    maximize: False
    t0: 1000000.0
    weight_decay: 0
"""
    text = "ASGD (\nParameter Group 0\n" + one.format(0.01) + "\nParameter Group 1\n" + one.format(1) + ")"
    assert repr(optimizer) == text


def test_named_parameters_are_kept_by_name() -> None:
    a, b = leaf(wengert, 1.0), leaf(wengert, 2.0)
    optimizer = optim.SGD([("a", a), ("b", b)], lr=0.1)
    assert optimizer.param_groups[0]["params"] == [a, b]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
    optimizer.load_state_dict(optim.SGD([a, b], lr=0.3).state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
    with pytest.raises(ValueError, match="without names"):
        optimizer.add_param_group({"params": leaf(wengert, 1.0)})


def test_zero_grad() -> None:
    p = leaf(wengert, [1.0, 2.0])
    optimizer = optim.SGD([p])
    p.sum().backward()
    g = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is g and g.tolist() == [0, 0]
    (p.grad,) = wengert.autograd.grad((p * p).sum(), p, create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert not p.grad.requires_grad and p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is None


def test_closure_runs_with_grad_on_and_its_value_is_returned() -> None:
    p = leaf(wengert, [1.0])
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> Any:
        assert wengert.is_grad_enabled()
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with wengert.no_grad():
        assert optimizer.step(closure).item() == 1.0
        assert not wengert.is_grad_enabled()
    assert p.item() == 0.5 and p.is_leaf and p.requires_grad


def test_grad_mode_comes_back_after_an_error() -> None:
    p = leaf(wengert, [1.0])
    optimizer = optim.SGD([p])

    def closure() -> Any:
        raise KeyError("mine")

    for mode in (True, False):
        with wengert.set_grad_enabled(mode):
            with pytest.raises(KeyError):
                optimizer.step(closure)
            assert wengert.is_grad_enabled() is mode


def test_gradients_and_their_owners_are_left_alone() -> None:
    for name in ALL:
        p, g = leaf(wengert, [1.0, -2.0]), wengert.tensor([0.5, 0.25], dtype=wengert.float64)
        options = dict(weight_decay=0.1) if name != "Rprop" else {}
        optimizer = getattr(optim, name)([p], maximize=True, **options)
        for _ in range(3):
            p.grad = g
            optimizer.step()
        assert g.tolist() == [0.5, 0.25], name


def test_a_parameter_without_gradient_has_no_state_and_no_steps() -> None:
    a, b = leaf(wengert, [1.0]), leaf(wengert, [1.0])
    optimizer = optim.Adam([a, b])
    for i in range(4):
        a.grad = wengert.ones_like(a)
        b.grad = wengert.ones_like(b) if i == 2 else None
        optimizer.step()
        assert len(optimizer.state_dict()["state"]) == (1 if i < 2 else 2)
    assert optimizer.state[a]["step"].item() == 4
    assert optimizer.state[b]["step"].item() == 1


def test_an_empty_state_is_one_before_the_first_step(torch: Any) -> None:
    for name in ("Adam", "AdamW", "RMSprop", "Adadelta", "SGD"):
        ends = []
        for T in (wengert, torch):
            p = leaf(T, [1.0, -2.0])
            optimizer = getattr(T.optim, name)([p], lr=0.1)
            optimizer.state[p]["kept"] = 3
            optimizer.state[p].pop("kept")
            saved = copy.deepcopy(optimizer.state_dict()["state"]) if name != "SGD" else {}
            for _ in range(2):
                (p * p).sum().backward()
                optimizer.step()
            ends.append((array(p), saved))
        np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-12)
        assert ends[0][1] == ends[1][1], name


def test_sgd_without_momentum_saves_no_state_and_can_gain_momentum() -> None:
    p = leaf(wengert, [1.0])
    optimizer = optim.SGD([p], lr=0.1)
    for momentum in (0.0, 0.5, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        p.grad = wengert.ones_like(p)
        optimizer.step()
        assert (0 in optimizer.state_dict()["state"]) == (momentum > 0)
    assert p.item() == pytest.approx(1 - 0.1 - 0.1 - 0.15)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("name", ALL)
def test_copies_go_on_alone(name: str, copied: Callable[[Any], Any]) -> None:
    ps, optimizer = train(wengert, "float64", name, {}, steps=3)
    optimizer.zero_grad()
    qs, twin = copied((ps, optimizer))
    assert twin.param_groups[0]["params"] == qs and repr(twin) == repr(optimizer)
    for i in range(3, 6):
        step(wengert, "float64", qs, twin, i)
    assert any((array(p) != array(q)).any() for p, q in zip(ps, qs, strict=True))
    for i in range(3, 6):
        step(wengert, "float64", ps, optimizer, i)
    for p, q in zip(ps, qs, strict=True):
        np.testing.assert_array_equal(array(p), array(q))


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD", "RAdam"])
def test_numbers_of_the_state_are_float64_where_that_is_the_default(name: str) -> None:
    wengert.set_default_dtype(wengert.float64)
    try:
        p = wengert.ones(3, requires_grad=True)
        made, loaded = (getattr(optim, name)([p], lr=0.1) for _ in range(2))
        p.sum().backward()
        made.step()
        loaded.load_state_dict(made.state_dict())
        for optimizer in (made, loaded):
            assert {v.dtype for v in optimizer.state[p].values()} == {wengert.float64}
            optimizer.step()
    finally:
        wengert.set_default_dtype(wengert.float32)


def test_loaded_state_is_a_copy_in_the_parameter_s_dtype() -> None:
    _, source = train(wengert, "float32", "Adam", {}, steps=2)
    saved = source.state_dict()
    ps = parameters(wengert, "float64")
    target = optim.Adam(ps)
    target.load_state_dict(saved)
    state = target.state[ps[0]]
    assert state["exp_avg"].dtype == wengert.float64 and state["step"].dtype == wengert.float32
    before = array(saved["state"][0]["exp_avg"])
    step(wengert, "float64", ps, target, 0)
    np.testing.assert_array_equal(array(saved["state"][0]["exp_avg"]), before)
    saved["state"][0]["step"] = 5  # as PyTorch saved it once
    target.load_state_dict(saved)
    assert target.state[ps[0]]["step"].item() == 5.0
    del saved["param_groups"][0]["amsgrad"]  # as an older version might have saved it
    target.load_state_dict(saved)
    assert target.param_groups[0]["amsgrad"] is False


def test_tensor_learning_rate_is_read_at_every_step() -> None:
    for name in ALL:
        if name == "Rprop":  # lr is its first step size
            continue
        ends = []
        for make in (lambda x: x, lambda x: wengert.tensor(x, dtype=wengert.float64)):
            p, lr = leaf(wengert, [1.0, -2.0]), make(0.1)
            optimizer = getattr(optim, name)([p], lr=lr, weight_decay=0.5)
            for i in range(4):
                p.grad = wengert.tensor([1.0 + i, 2.0], dtype=wengert.float64)
                optimizer.step()
                if i == 1:
                    with wengert.no_grad():
                        if isinstance(lr, float):
                            optimizer.param_groups[0]["lr"] = 0.05
                        else:
                            lr.fill_(0.05)
            ends.append(array(p))
        np.testing.assert_allclose(ends[0], ends[1], rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", ALL)
def test_a_step_reads_no_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads a value cannot be captured; `counted` does so on the host alone, and is left out here."""
    options = {"SGD": dict(momentum=0.9, nesterov=True), "RMSprop": dict(momentum=0.9, centered=True)}.get(
        name, {}
    )
    ps, optimizer = train(wengert, "float64", name, options, steps=2)
    optimizer.zero_grad()
    loss_of(wengert, "float64", ps, 3).backward()

    def read(*args: Any) -> Any:
        raise AssertionError("a tensor's value was read")

    with monkeypatch.context() as patch:
        patch.setattr("wengert_optim.adam.counted", importlib.import_module("wengert.optim.optimizer").count)
        for method in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "__array__"):
            patch.setattr(wengert.Tensor, method, read)
        optimizer.step()


@pytest.mark.parametrize("warm", [0, 2], ids=["from the first step", "mid-run"])
@pytest.mark.parametrize("name", ALL)
def test_a_captured_step_runs_as_the_step_itself(name: str, warm: int) -> None:
    """The graph also sees what a scheduler writes into a Tensor rate."""
    graph = pytest.importorskip("wengert.graph")
    ends = []
    for captured in (False, True):
        p, lr = leaf(wengert, [1.0, -2.0, 0.5]), wengert.tensor(0.05, dtype=wengert.float64)
        optimizer = getattr(optim, name)([p], lr=lr)
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)

        def train_on(x: Any, p: Any = p, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            ((p - x) ** 2).sum().backward()
            optimizer.step()

        batches = [wengert.full((3,), float(i), dtype=wengert.float64) for i in range(8)]
        for x in batches[:warm]:
            train_on(x)
        run = graph.capture(train_on, batches[0]) if captured else train_on
        optimizer._opt_called = True
        for x in batches[warm:]:
            run(x)
            scheduler.step()
        ends.append(array(p))
    # Adam's bias corrections are numbers in the one and tensors in the other: another exp, a last digit apart
    np.testing.assert_array_max_ulp(ends[0], ends[1], 8 if name in ("Adam", "AdamW") else 0)


@pytest.mark.parity
def test_state_before_the_first_step(torch: Any) -> None:
    for name in ALL:
        ours, oracle = (getattr(T.optim, name)([leaf(T, [1.0, 2.0])], lr=0.1) for T in (wengert, torch))
        assert layout(ours.state_dict()) == layout(oracle.state_dict())


def test_a_capture_that_would_make_state_is_refused() -> None:
    graph = pytest.importorskip("wengert.graph")
    p = leaf(wengert, [1.0])
    optimizer = optim.SGD([p], momentum=0.9)
    p.grad = wengert.ones_like(p)
    with pytest.raises(RuntimeError, match="take one step before the capture"):
        graph.capture(lambda x: optimizer.step(), p.grad)
    assert optimizer.state_dict()["state"] == {}
    optimizer.step()
    graph.capture(lambda x: optimizer.step(), p.grad)


# Differentiable steps: the gradient through three of them is the slope of what three steps do.

SMOOTH: list[tuple[str, dict[str, Any]]] = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("Adam", dict(lr=0.1, weight_decay=0.1)),
    ("Adam", dict(lr=0.1, amsgrad=True, maximize=True)),
    ("AdamW", dict(lr=0.1)),
    ("Adamax", dict(lr=0.1)),
    ("NAdam", dict(lr=0.1)),
    ("RAdam", dict(lr=0.1, betas=(0.9, 0.8))),
    ("Adagrad", dict(lr=0.1, lr_decay=0.1)),
    ("Adadelta", dict(eps=1e-2)),
    ("RMSprop", dict(lr=0.1, momentum=0.5, centered=True, eps=0.1)),
    ("Rprop", dict(lr=0.1)),
    ("ASGD", dict(lr=0.1, lambd=0.1, t0=0)),
]


def unrolled(name: str, options: dict[str, Any], start: Any, steps: int = 3) -> Any:
    p = start.clone()
    optimizer = getattr(optim, name)([p], differentiable=True, **options)
    for _ in range(steps):
        residual = p - wengert.tensor([3.0, -1.0], dtype=wengert.float64)
        (p.grad,) = wengert.autograd.grad((residual**2).sum() + wengert.sin(residual).sum(), p, create_graph=True)
        optimizer.step()
    return p.sum()


@pytest.mark.parametrize(("name", "options"), SMOOTH, ids=title)
def test_differentiable_steps(name: str, options: Any) -> None:
    start = leaf(wengert, [1.0, 2.0])
    (g,) = wengert.autograd.grad(unrolled(name, options, start), start)
    for i in range(2):
        ends = []
        for h in (1e-5, -1e-5):
            moved = np.array([1.0, 2.0])
            moved[i] += h
            ends.append(unrolled(name, options, leaf(wengert, moved)).item())
        assert g[i].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", [wengert.float32, wengert.float64], ids=str)
def test_differentiable_averages(kind: Any) -> None:
    # p <- (1 - 0.1 * 2) p, and the average after its second step is that p: 0.8**2
    start = wengert.tensor([1.0, 2.0], dtype=kind, requires_grad=True)
    p = start.clone()
    optimizer = optim.ASGD([p], lr=0.1, lambd=0.0, t0=0, differentiable=True)
    for _ in range(2):
        p.grad = 2 * p
        optimizer.step()
    (g,) = wengert.autograd.grad(optimizer.state[p]["ax"].sum(), start)
    assert g.tolist() == pytest.approx([0.64] * 2)


def test_schedules_keep_their_own_bounds() -> None:
    def bounds() -> list[Any]:
        return [wengert.tensor(x) for x in (0.1, 0.2, 0.8, 0.9)]

    makes: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
        (lambda o, a, b, c, d: lr_scheduler.CyclicLR(o, a, b, base_momentum=c, max_momentum=d), ("base_momentum", "max_momentum")),
        (lambda o, a, b, c, d: lr_scheduler.OneCycleLR(o, a, 9, base_momentum=c, max_momentum=d), ("max_lr", "max_momentum")),
        (lambda o, a, b, c, d: optim.swa_utils.SWALR(o, b), ("swa_lr",)),
    ]
    for make, names in makes:
        given = bounds()
        optimizer = optim.SGD([leaf(wengert, 1.0)], lr=given[0], momentum=0.5)
        schedule = make(optimizer, *given)
        before = [float(optimizer.param_groups[0][name]) for name in names]
        for _ in range(3):
            for x in given:
                x.mul_(0.5)
            optimizer.step()
            schedule.step()
        assert [float(optimizer.param_groups[0][name]) for name in names] == before


def test_differentiable_by_hand() -> None:
    # p <- p - lr * 2 (p - 3), three times: dp3/dp0 = (1 - 2 lr)**3, dp3/dlr = -2 * 3 * (1 - 2 lr)**2 * (p0 - 3)
    start, lr = leaf(wengert, 1.0), leaf(wengert, 0.1)
    p = start.clone()
    optimizer = optim.SGD([p], lr=lr, differentiable=True)
    for _ in range(3):
        residual = p - 3
        (p.grad,) = wengert.autograd.grad(residual * residual, p, create_graph=True)
        optimizer.step()
    by_start, by_rate = wengert.autograd.grad(p, [start, lr])
    assert by_start.item() == pytest.approx(0.8**3)
    assert by_rate.item() == pytest.approx(-6 * 0.8**2 * -2)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("ASGD", "Rprop")])  # eta is float32; lr only starts
def test_gradient_of_a_tensor_rate(name: str) -> None:
    options = dict(weight_decay=0.1, **({"momentum": 0.9} if name in ("SGD", "RMSprop") else {}))
    start = leaf(wengert, [1.0, 2.0])
    lr = leaf(wengert, 0.1)
    (slope,) = wengert.autograd.grad(unrolled(name, {"lr": lr, **options}, start), lr)
    ends = [unrolled(name, {"lr": leaf(wengert, 0.1 + h), **options}, start).item() for h in (1e-5, -1e-5)]
    assert slope.item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-9)


# Hooks.


def test_step_hooks_run_around_the_step_and_can_be_removed() -> None:
    p = leaf(wengert, [1.0])
    optimizer = optim.SGD([p], lr=1.0)
    seen: list[Any] = []

    def before(opt: Any, args: Any, kwargs: Any) -> None:
        seen.append(("before", opt is optimizer, args[0] is optimizer, args[1:], kwargs, p.item()))

    def after(opt: Any, args: Any, kwargs: Any) -> None:
        seen.append(("after", p.item()))

    handles = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    p.grad = wengert.ones_like(p)
    optimizer.step(closure=None)
    assert seen == [("before", True, True, (), {"closure": None}, 1.0), ("after", 0.0)]
    for handle in handles:
        handle.remove()
        handle.remove()
    optimizer.step()
    assert len(seen) == 2


def test_a_pre_hook_may_change_the_arguments() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])])
    with optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 7.0), {})):
        assert optimizer.step() == 7.0
    with optimizer.register_step_pre_hook(lambda opt, args, kwargs: 5):
        with pytest.raises(RuntimeError, match="args, kwargs"):
            optimizer.step()
    assert optimizer.step() is None


def test_hooks_of_all_optimizers_and_of_overridden_steps_run_once() -> None:
    from wengert.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    class Twice(optim.SGD):  # type: ignore[name-defined,misc]
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            return super().step(closure)

    p, seen = leaf(wengert, [1.0]), []
    optimizer = Twice([p], lr=0.25)
    with (
        register_optimizer_step_pre_hook(lambda *a: seen.append("all before")),
        register_optimizer_step_post_hook(lambda *a: seen.append("all after")),
        optimizer.register_step_pre_hook(lambda *a: seen.append("before")),
        optimizer.register_step_post_hook(lambda *a: seen.append("after")),
    ):
        p.grad = wengert.ones_like(p)
        optimizer.step()
    optimizer.step()
    assert seen == ["all before", "before", "after", "all after"]
    assert p.item() == 0.0


def test_state_dict_hooks() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=0.1)
    seen: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("save"))
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda opt, saved: {**saved, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda opt, saved: seen.append(f"load {saved['extra']}"))
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append("loaded"))
    saved = optimizer.state_dict()
    assert saved["extra"] == 1
    saved["param_groups"][0]["lr"] = 0.7
    optimizer.load_state_dict(saved)
    assert seen == ["first", "save", "load 1", "loaded"]
    assert optimizer.param_groups[0]["lr"] == 0.7


# An optimizer by a stranger.


class Lion(Optimizer):
    """p <- p - lr * sign(beta1 m + (1 - beta1) g);  m <- beta2 m + (1 - beta2) g  (Chen et al. 2023)."""

    defaults = dict(lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, decoupled_weight_decay=True, maximize=False)

    def init_state(self, p: Any, group: Any) -> Any:
        return {"exp_avg": wengert.zeros_like(p)}

    def update(self, p: Any, g: Any, state: Any, group: Any) -> None:
        m, (beta1, beta2) = state["exp_avg"], group["betas"]
        p.add_((m * beta1 + g * (1 - beta1)).sign(), alpha=-group["lr"])
        m.lerp_(g, 1 - beta2)


def test_a_third_party_optimizer_is_two_methods() -> None:
    p = leaf(wengert, [1.0, -1.0])
    optimizer = Lion([p], lr=0.1, weight_decay=0.5)
    p.grad = wengert.tensor([2.0, -3.0], dtype=wengert.float64)
    optimizer.step()
    np.testing.assert_allclose(array(p), [0.95 - 0.1, -0.95 + 0.1])
    twin = Lion([leaf(wengert, [0.0, 0.0])])
    twin.load_state_dict(optimizer.state_dict())
    assert twin.param_groups[0]["lr"] == 0.1
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    with pytest.raises(TypeError, match="bogus"):
        Lion([p], bogus=1)
    with pytest.raises(ValueError, match="Invalid beta parameter at index 1: 1"):
        Lion([p], betas=(0.9, 1))


def test_the_state_of_a_parameter_is_a_dict() -> None:
    class Wrong(Optimizer):
        def init_state(self, p: Any, group: Any) -> Any:
            return [1]

    p = leaf(wengert, [1.0])
    p.grad = wengert.ones(1, dtype=wengert.float64)
    with pytest.raises(TypeError, match=r"Wrong.init_state returns .* a dict, but got \[1\]"):
        Wrong([p], {}).step()


def test_a_third_party_optimizer_may_bring_its_own_step_and_required_options() -> None:
    from wengert.optim.optimizer import required

    class Plain(Optimizer):
        def __init__(self, params: Any, lr: Any = required) -> None:
            super().__init__(params, dict(lr=lr))

        def step(self, closure: Any = None) -> Any:
            with wengert.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p -= group["lr"] * p.grad

    p = leaf(wengert, [1.0])
    with pytest.raises(ValueError, match="required parameter lr"):
        Plain([p])
    optimizer = Plain([{"params": [p], "lr": 0.5}])
    scheduler = lr_scheduler.ConstantLR(optimizer, 0.5, 2)
    p.grad = wengert.ones_like(p)
    optimizer.step()
    scheduler.step()
    assert p.item() == 0.75
    with pytest.raises(NotImplementedError, match="update"):
        Optimizer([p], {}).step()
    sized = Optimizer([p], {"lr": None, "eps": (1e-30, 1e-3), "betas": 0.9})  # its own words: Adafactor's mean another thing
    assert sized.param_groups[0]["lr"] is None and sized.param_groups[0]["eps"] == (1e-30, 1e-3)

    class Around(Optimizer):  # as Lookahead is often written: without Optimizer's own __init__
        def __init__(self, inner: Any) -> None:
            self.inner, self.param_groups, self.state = inner, inner.param_groups, inner.state

        def step(self, closure: Any = None) -> Any:
            return self.inner.step(closure)

    around = Around(optim.SGD([p], lr=0.25))
    around.step()
    around.zero_grad()
    assert p.item() == 0.5 and p.grad is None


# What is refused.


def a_leaf() -> Any:
    return leaf(wengert, [1.0, 2.0])


def refuse(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(optim, name)([same], **options)


same = leaf(wengert, [1.0])
ADAMS = ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")
REFUSED: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("a tensor", lambda: optim.SGD(same), TypeError, "iterable of Tensors"),
    ("nothing", lambda: optim.SGD([]), ValueError, "empty parameter list"),
    ("a number", lambda: optim.SGD([1.0]), TypeError, "optimize Tensors, but one of the params is float"),
    ("None", lambda: optim.SGD([None]), TypeError, "one of the params is NoneType"),
    ("a dict", lambda: optim.SGD({"params": same}), TypeError, "one of the params is str"),
    ("an int", lambda: optim.SGD(3), TypeError, "not iterable"),
    ("a set", lambda: optim.SGD([{"params": {same}}]), TypeError, "ordered collection"),
    ("no params", lambda: optim.SGD([{"lr": 1}]), KeyError, "params"),
    ("non-leaf", lambda: optim.SGD([same * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    ("twice in groups", lambda: optim.SGD([{"params": [same]}, {"params": [same]}]), ValueError, "more than one"),
    ("some names", lambda: optim.SGD([("a", same), a_leaf()]), ValueError, "param names are missing"),
    ("a dict and a tensor", lambda: optim.SGD([{"params": [same]}, a_leaf()]), TypeError, "must be a dict"),
    ("add a list", lambda: optim.SGD([same]).add_param_group([a_leaf()]), TypeError, "must be a dict"),
    ("add again", lambda: optim.SGD([same]).add_param_group({"params": same}), ValueError, "more than one"),
    ("group rate", lambda: optim.SGD([{"params": [same], "lr": -1}]), ValueError, "Invalid learning rate: -1"),
    ("rate's size", lambda: optim.SGD([same], lr=wengert.tensor([0.1, 0.2])), ValueError, "1-element"),
    ("rate's type", lambda: optim.SGD([same], lr="a"), TypeError, "str"),
    ("unknown option", lambda: optim.SGD([same], eps=1), TypeError, "eps"),
    ("nesterov alone", lambda: optim.SGD([same], nesterov=True), ValueError, "Nesterov momentum requires"),
    (
        "nesterov, dampened",
        lambda: optim.SGD([same], momentum=0.9, nesterov=True, dampening=0.1),
        ValueError,
        "zero dampening",
    ),
    ("fused foreach", lambda: optim.Adam([same], fused=True, foreach=True), RuntimeError, "`fused` and `foreach`"),
    ("fused recorded", lambda: optim.SGD([same], fused=True, differentiable=True), RuntimeError, "differentiable"),
    ("mixed betas", lambda: optim.Adam([same], betas=(wengert.tensor(0.9), 0.9)), ValueError, "both Tensors"),
    ("two rates", lambda: optim.SparseAdam([same], lr=wengert.ones(2)), ValueError, "lr must be 1-element"),
    ("one beta", lambda: optim.Adam([same], betas=(0.9,)), ValueError, "betas"),
    ("two groups", lambda: optim.LBFGS([{"params": same}, {"params": a_leaf()}]), ValueError, "parameter groups"),
    ("later group", lambda: optim.LBFGS([same]).add_param_group({"params": a_leaf()}), ValueError, "groups"),
    ("line search", lambda: optim.LBFGS([same], line_search_fn="armijo"), RuntimeError, "strong_wolfe"),
    ("no closure", lambda: optim.LBFGS([same]).step(), TypeError, "closure"),
    *[
        (f"{name} lr={lr}", refuse(name, lr=lr), ValueError, "Invalid learning rate")
        for name in [*ALL, "LBFGS"]
        for lr in (-1, -1e-9, NAN, INF, wengert.tensor(-0.5))
    ],
    *[
        (f"{name} {key}={value}", refuse(name, **{key: value}), ValueError, words)
        for names, key, values, words in [
            (ADAMS, "betas", [(-1, 0.9), (1.0, 0.9), (NAN, 0.9)], "at index 0"),
            (ADAMS, "betas", [(0.9, -1), (0.9, 1.0), (0.9, NAN)], "at index 1"),
            ((*ADAMS, "Adagrad", "Adadelta", "RMSprop"), "eps", [-1, NAN], "epsilon"),
            ([n for n in ALL if n != "Rprop"], "weight_decay", [-1, NAN], "Invalid weight_decay"),
            (("SGD", "RMSprop"), "momentum", [-1, NAN], "Invalid momentum"),
            (("NAdam",), "momentum_decay", [-1], "Invalid momentum_decay"),
            (("Adagrad",), "lr_decay", [-1], "Invalid lr_decay"),
            (("Adagrad",), "initial_accumulator_value", [-1], "Invalid initial_accumulator_value"),
            (("Adadelta",), "rho", [-1, 2, NAN], "Invalid rho"),
            (("RMSprop",), "alpha", [-1, NAN], "Invalid alpha"),
            (("Rprop",), "etas", [(1.5, 2), (0.5, 0.9), (0, 1.2)], "Invalid eta values"),
        ]
        for name in names
        for value in values
    ],
]  # fmt: skip


@pytest.mark.parametrize(("what", "call", "kind", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(what: str, call: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_a_refused_group_leaves_everything_as_it_was() -> None:
    optimizer = optim.SGD([same], lr=0.1)
    before = repr(optimizer)
    for bad in ({"params": [a_leaf()], "lr": -1}, {"params": [a_leaf(), 3]}, {"params": [a_leaf(), same]}):
        kept = dict(bad)
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group(bad)
        assert bad == kept
    assert repr(optimizer) == before
    good: dict[str, Any] = {"params": [a_leaf()]}
    with pytest.raises(ValueError):
        optim.SGD([good, {"params": [a_leaf()], "momentum": -1}])
    assert good.keys() == {"params"}


@pytest.mark.parametrize("name", [n for n in (*ALL, "SparseAdam") if n not in ("SGD", "Adagrad")])
def test_a_layout_that_the_last_gradient_may_not_have_leaves_all_parameters_as_they_were(name: str) -> None:
    params = [wengert.ones(3, requires_grad=True) for _ in range(3)]
    optimizer = getattr(optim, name)(params, lr=0.1)
    dense, sparse = wengert.ones(3), wengert.ones(3).to_sparse()
    for p in params:
        p.grad = sparse if name == "SparseAdam" else dense
    params[2].grad = dense if name == "SparseAdam" else sparse
    with pytest.raises(RuntimeError, match=f"{name} does not support (sparse|dense) gradients"):
        optimizer.step()
    assert not optimizer.state and all(p.tolist() == [1.0, 1.0, 1.0] for p in params)


def test_duplicates_within_a_group_warn() -> None:
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([same, same])


@pytest.mark.parametrize("trial", ["groups", "sizes", "no groups", "no state"])
def test_a_refused_state_dict_changes_nothing(trial: str) -> None:
    ps, optimizer = train(wengert, "float64", "SGD", dict(momentum=0.9), steps=2)
    buffer, text = array(optimizer.state[ps[0]]["momentum_buffer"]), repr(optimizer)
    saved = optim.SGD([{"params": ps[:2]}, {"params": ps[2:]}] if trial == "groups" else ps[:2]).state_dict()
    if trial in ("no groups", "no state"):
        saved = copy.deepcopy(optimizer.state_dict())
        del saved["param_groups" if trial == "no groups" else "state"]
    words = {"groups": "different number of parameter groups", "sizes": "parameter group of another size"}
    with pytest.raises((ValueError, KeyError), match=words.get(trial, "param_groups|state")):
        optimizer.load_state_dict(saved)
    assert repr(optimizer) == text
    np.testing.assert_array_equal(array(optimizer.state[ps[0]]["momentum_buffer"]), buffer)


# Schedules.

Schedule = Callable[[Any, Any], Any]
SCHEDULES: dict[str, Schedule] = {
    "LambdaLR": lambda S, o: S.LambdaLR(o, [lambda t: 0.9 ** (t + 1), lambda t: 1 / (1 + t)]),
    "MultiplicativeLR": lambda S, o: S.MultiplicativeLR(o, lambda t: 0.9 - 0.001 * t),
    "StepLR": lambda S, o: S.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda S, o: S.MultiStepLR(o, [3, 5, 5, 30], 0.3),
    "ConstantLR": lambda S, o: S.ConstantLR(o, 0.3, 9),
    "ConstantLR never": lambda S, o: S.ConstantLR(o, 0.3, 0),
    "LinearLR": lambda S, o: S.LinearLR(o, 0.2, 0.7, 13),
    "LinearLR down": lambda S, o: S.LinearLR(o, 1.0, 0.0, 13),
    "ExponentialLR": lambda S, o: S.ExponentialLR(o, 0.97),
    "CosineAnnealingLR": lambda S, o: S.CosineAnnealingLR(o, 7, 1e-3),
    "CosineAnnealingLR long": lambda S, o: S.CosineAnnealingLR(o, 40),
    "CosineAnnealingWarmRestarts": lambda S, o: S.CosineAnnealingWarmRestarts(o, 4, 2, 1e-3),
    "CosineAnnealingWarmRestarts equal": lambda S, o: S.CosineAnnealingWarmRestarts(o, 6),
    "PolynomialLR": lambda S, o: S.PolynomialLR(o, 30, 0.9),
    "PolynomialLR defaults": lambda S, o: S.PolynomialLR(o),
    "CyclicLR": lambda S, o: S.CyclicLR(o, 0.01, [0.1, 0.3], step_size_up=5, step_size_down=3),
    "CyclicLR triangular2": lambda S, o: S.CyclicLR(o, [0.01, 0.02], 0.1, step_size_up=5, mode="triangular2"),
    "CyclicLR exp_range": lambda S, o: S.CyclicLR(
        o, 0.01, 0.1, step_size_up=4, mode="exp_range", gamma=0.95, base_momentum=[0.5, 0.6], max_momentum=0.95
    ),
    "CyclicLR function": lambda S, o: S.CyclicLR(
        o, 0.01, 0.1, step_size_up=4, scale_fn=lambda x: 0.9**x, scale_mode="iterations"
    ),
    "CyclicLR still": lambda S, o: S.CyclicLR(
        o, 0.01, 0.1, step_size_up=4, scale_fn=lambda x: 0.9**x, cycle_momentum=False
    ),
    "OneCycleLR": lambda S, o: S.OneCycleLR(o, 0.1, total_steps=60),
    "OneCycleLR three": lambda S, o: S.OneCycleLR(
        o, [0.1, 0.2], epochs=6, steps_per_epoch=10, three_phase=True, pct_start=0.25, anneal_strategy="linear",
        div_factor=10, final_div_factor=100, base_momentum=0.3,
    ),
    "OneCycleLR still": lambda S, o: S.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=False, pct_start=0.0),
    "SequentialLR": lambda S, o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, total_iters=5), S.CosineAnnealingLR(o, 20), S.ExponentialLR(o, 0.9)], [5, 30]
    ),
    "SequentialLR mixed": lambda S, o: S.SequentialLR(
        o,
        [
            S.ConstantLR(o),
            S.CosineAnnealingWarmRestarts(o, 4),
            S.MultiplicativeLR(o, lambda t: 0.9),
            S.LambdaLR(o, lambda t: 0.5 + 0.1 * t),
            S.StepLR(o, 3),
        ],
        [5, 15, 20, 24],
    ),
    "SequentialLR restarts": lambda S, o: S.SequentialLR(
        o, [S.CosineAnnealingWarmRestarts(o, 4, 2), S.ExponentialLR(o, 0.9)], [17]
    ),
    "SequentialLR at once": lambda S, o: S.SequentialLR(o, [S.LinearLR(o), S.ExponentialLR(o, 0.9)], [0]),
    "SequentialLR cyclic": lambda S, o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, total_iters=5), S.CyclicLR(o, 0.1, 0.2, step_size_up=3)], [6]
    ),
    "ChainedScheduler": lambda S, o: S.ChainedScheduler(
        [S.LinearLR(o, 0.1, total_iters=5), S.ExponentialLR(o, 0.9), S.CosineAnnealingLR(o, 9)], optimizer=o
    ),
}  # fmt: skip


def scheduled(T: Any, kind: str = "SGD", **options: Any) -> Any:
    options = {**(dict(momentum=0.9) if kind == "SGD" else {}), **options}
    groups = [{"params": [leaf(T, [1.0])]}, {"params": [leaf(T, [2.0])], "lr": 0.5}]
    return getattr(T.optim, kind)(groups, **{"lr": 0.1, **options})


def snapshot(optimizer: Any, scheduler: Any) -> list[Any]:
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    momenta = [group["momentum"] if "momentum" in group else group["betas"] for group in optimizer.param_groups]
    return [*np.ravel(rates), *np.ravel(momenta), *scheduler.get_last_lr(), getattr(scheduler, "last_epoch", -9)]


def run_schedule(T: Any, kind: str, make: Schedule, disturb: Callable[[Any, Any, int], None]) -> Any:
    optimizer = scheduled(T, kind)
    scheduler = make(T.optim.lr_scheduler, optimizer)
    seen = []
    for i in range(60):
        seen.append(snapshot(optimizer, scheduler))
        optimizer.step()
        disturb(optimizer, scheduler, i)
        scheduler.step()
    return np.array(seen), scheduler.state_dict(), optimizer


def keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: keys(v) for k, v in value.items() if isinstance(k, str)}
    return [keys(v) for v in value] if isinstance(value, list) else None


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("disturbed", [False, True], ids=["alone", "disturbed"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_of_sixty_epochs_agree_with_torch(torch: Any, name: str, kind: str, disturbed: bool) -> None:
    def disturb(optimizer: Any, scheduler: Any, i: int) -> None:
        if disturbed and i == 10:  # a change by hand: what multiplies goes on from there
            optimizer.param_groups[0]["lr"] *= 0.5
        if disturbed and i == 20:
            scheduler.load_state_dict(scheduler.state_dict())

    ours, mine, optimizer = run_schedule(wengert, kind, SCHEDULES[name], disturb)
    theirs, oracle, other = run_schedule(torch, kind, SCHEDULES[name], disturb)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert keys(mine) == keys(oracle)
    assert [set(g) for g in optimizer.param_groups] == [set(g) for g in other.param_groups]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith(("Sequential", "Chained"))])
def test_step_to_an_epoch_agrees_with_torch(torch: Any, name: str) -> None:
    found = []
    for T in (wengert, torch):
        optimizer = scheduled(T)
        scheduler, seen = SCHEDULES[name](T.optim.lr_scheduler, optimizer), []
        optimizer.step()
        for epoch in (3, None, 17, 0, None, 30, 5):
            scheduler.step() if epoch is None else scheduler.step(epoch)
            seen.append(snapshot(optimizer, scheduler))
        found.append(np.array(seen))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("last_epoch", [0, 2, 4])
@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith(("Sequential", "Chained"))])
def test_resuming_agrees_with_torch(torch: Any, name: str, last_epoch: int) -> None:
    found = []
    kept = dict(initial_lr=0.1, max_lr=0.1, min_lr=1e-7, max_momentum=0.95, base_momentum=0.85)
    for T in (wengert, torch):
        optimizer, seen = scheduled(T, lr=0.07), []
        for group in optimizer.param_groups:
            group.update(kept)

        class At:
            """The module of schedules, resuming."""

            def __getattr__(self, kind: str, T: Any = T) -> Any:
                return lambda *a, **k: getattr(T.optim.lr_scheduler, kind)(*a, last_epoch=last_epoch, **k)

        scheduler = SCHEDULES[name](At(), optimizer)
        for _ in range(8):
            seen.append(snapshot(optimizer, scheduler))
            optimizer.step()
            scheduler.step()
        # PyTorch's CyclicLR takes its first rate after resuming from the groups' initial_lr, then from base_lr
        found.append(np.array(seen[1 if name.startswith("CyclicLR") else 0 :]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_state_crosses_over_mid_run(torch: Any, name: str, direction: str) -> None:
    A, B = (torch, wengert) if direction == "from torch" else (wengert, torch)
    pairs = []
    for T in (A, B):
        optimizer = scheduled(T)
        pairs.append((optimizer, SCHEDULES[name](T.optim.lr_scheduler, optimizer)))
    (first, source), (second, target) = pairs
    for _ in range(11):
        first.step()
        source.step()
    target.load_state_dict(copy.deepcopy(source.state_dict()))
    second.load_state_dict(converted(first.state_dict(), B))
    for _ in range(20):
        for optimizer, scheduler in pairs:
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(snapshot(first, source), snapshot(second, target), rtol=1e-12, atol=1e-12)


CLOSED: list[tuple[str, Schedule, Callable[[int], float]]] = [  # lr_0 = 0.1
    ("StepLR", lambda S, o: S.StepLR(o, 3, 0.5), lambda t: 0.1 * 0.5 ** (t // 3)),
    ("MultiStepLR", lambda S, o: S.MultiStepLR(o, [2, 5]), lambda t: 0.1 * 0.1 ** ((t >= 2) + (t >= 5))),
    ("ConstantLR", lambda S, o: S.ConstantLR(o, 0.5, 4), lambda t: 0.1 if t >= 4 else 0.05),
    ("LinearLR", lambda S, o: S.LinearLR(o, 0.5, 1.0, 5), lambda t: 0.1 * (0.5 + 0.1 * min(t, 5))),
    ("ExponentialLR", lambda S, o: S.ExponentialLR(o, 0.9), lambda t: 0.1 * 0.9**t),
    ("PolynomialLR", lambda S, o: S.PolynomialLR(o, 8, 2.0), lambda t: 0.1 * (1 - min(t, 8) / 8) ** 2),
    ("LambdaLR", lambda S, o: S.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.1 / (1 + t)),
    ("MultiplicativeLR", lambda S, o: S.MultiplicativeLR(o, lambda t: 0.5), lambda t: 0.1 * 0.5**t),
    (
        "CosineAnnealingLR",
        lambda S, o: S.CosineAnnealingLR(o, 6),
        lambda t: 0.05 * (1 + math.cos(math.pi * t / 6)),
    ),
    (
        "CosineAnnealingWarmRestarts",
        lambda S, o: S.CosineAnnealingWarmRestarts(o, 4),
        lambda t: 0.05 * (1 + math.cos(math.pi * (t % 4) / 4)),
    ),
    ("CyclicLR", lambda S, o: S.CyclicLR(o, 0.1, 0.5, step_size_up=4), lambda t: 0.1 + 0.1 * (4 - abs(t % 8 - 4))),
    (
        "OneCycleLR",
        lambda S, o: S.OneCycleLR(
            o,
            1.0,
            total_steps=21,
            pct_start=11 / 21,
            anneal_strategy="linear",
            div_factor=10,
            final_div_factor=INF,
        ),
        lambda t: 0.1 + 0.09 * t if t <= 10 else 1 - (t - 10) / 10,
    ),
    (
        "SequentialLR",
        lambda S, o: S.SequentialLR(o, [S.ConstantLR(o, 0.1, 99), S.ExponentialLR(o, 0.9)], [5]),
        lambda t: 0.01 if t < 5 else 0.1 * 0.9 ** (t - 5),
    ),
    (
        "ChainedScheduler",
        lambda S, o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 5), S.ExponentialLR(o, 0.9)]),
        lambda t: 0.1 * 0.9**t * (0.1 if t < 5 else 1),
    ),
    (
        "SequentialLR of chains",
        lambda S, o: S.SequentialLR(
            o, [S.ChainedScheduler([S.ConstantLR(o, 0.1, 5), S.ExponentialLR(o, 0.9)]), S.StepLR(o, 100)], [8]
        ),
        lambda t: 0.1 * 0.9**t * (0.1 if t < 5 else 1) if t < 8 else 0.1,
    ),
]


@pytest.mark.parametrize("rate", ["number", "tensor"])
@pytest.mark.parametrize(("name", "make", "formula"), CLOSED, ids=[row[0] for row in CLOSED])
def test_rates_follow_their_formula(name: str, make: Schedule, formula: Callable[[int], float], rate: str) -> None:
    lr: Any = 0.1 if rate == "number" else wengert.tensor(0.1, dtype=wengert.float64)
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=lr, momentum=0.9)
    scheduler = make(lr_scheduler, optimizer)
    for t in range(20):
        assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(formula(t), rel=1e-12, abs=1e-15)
        assert float(scheduler.get_last_lr()[0]) == float(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    if rate == "tensor":
        assert optimizer.param_groups[0]["lr"] is lr


PLATEAU: list[dict[str, Any]] = [
    {},
    dict(patience=0),
    dict(patience=2, cooldown=3),
    dict(patience=1, mode="max", factor=0.5),
    dict(patience=1, threshold=0.3),
    dict(patience=1, threshold=0.3, threshold_mode="abs"),
    dict(patience=1, threshold=0.3, threshold_mode="abs", mode="max"),
    dict(patience=1, min_lr=[0.01, 0.02]),
    dict(patience=1, eps=0.02),
]


@pytest.mark.parity
@pytest.mark.parametrize("options", PLATEAU, ids=title)
def test_plateau_agrees_with_torch(torch: Any, options: Any) -> None:
    metrics = np.abs(np.random.default_rng(3).standard_normal(60)) * np.linspace(3, 0.5, 60)
    metrics[7] = NAN
    found = []
    for T in (wengert, torch):
        optimizer = scheduled(T)
        scheduler, seen = T.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options), []
        for i, metric in enumerate(metrics):
            scheduler.step(T.tensor(metric) if i % 2 else metric)
            seen.append(
                [*snapshot(optimizer, scheduler), scheduler.num_bad_epochs, scheduler.best, scheduler.in_cooldown]
            )
        found.append(np.array(seen, dtype=float))
        state = scheduler.state_dict()
        found.append(keys(state))
    np.testing.assert_allclose(found[0], found[2], rtol=1e-6)
    assert found[1] == found[3]


def test_plateau_by_hand() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, cooldown=1, min_lr=0.3)
    rates = []
    for metric in (5, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3):
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    optimizer.add_param_group({"params": [leaf(wengert, [1.0])], "lr": 8.0})
    for _ in range(3):  # the first ends the cooldown
        scheduler.step(3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 4.0]
    other = lr_scheduler.ReduceLROnPlateau(optim.SGD([leaf(wengert, [1.0])]), min_lr=[0.1], patience=0)
    other.optimizer.add_param_group({"params": [leaf(wengert, [1.0])]})
    other.step(1.0)
    with pytest.raises(RuntimeError, match="min_lrs"):
        other.step(1.0)


def test_what_reduces_the_rates_is_told_the_epoch() -> None:
    scheduler = lr_scheduler.ReduceLROnPlateau(optim.SGD([leaf(wengert, [1.0])]), patience=0)
    seen: list[int] = []
    scheduler._reduce_lr = seen.append
    for metric in (1.0, 2.0, 0.5, 3.0):
        scheduler.step(metric)
    assert seen == [2, 4]


def test_rates_of_cosine_are_those_of_its_formula_to_the_last_bit() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=0.2)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 12)
    optimizer.step()
    for t in range(12):
        assert optimizer.param_groups[0]["lr"] == 0.2 * (1 + math.cos(math.pi * t / 12)) / 2
        scheduler.step()


def test_stepping_before_the_optimizer_warns_once() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=0.1)
    optimizer.step()  # before the scheduler is made, which sets the first rate, does not count
    scheduler = lr_scheduler.ExponentialLR(optim.SGD([leaf(wengert, [1.0])], lr=0.1), 0.9)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
        later = lr_scheduler.ExponentialLR(optimizer, 0.9)
        optimizer.step()
        later.step()
        lr_scheduler.ReduceLROnPlateau(optim.SGD([leaf(wengert, [1.0])])).step(1.0)


def test_a_replaced_step_is_noticed() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=0.1)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="overridden"):
        scheduler.step()


def test_deprecated_epoch_and_stray_get_lr_warn() -> None:
    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    with pytest.warns(UserWarning, match="The epoch parameter"):
        scheduler.step(3)
    assert optimizer.param_groups[0]["lr"] == 0.1 * 0.5**3
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    restarts = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4)
    restarts.step(2.5)  # fractions of an epoch are what this one is for
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * (1 + math.cos(math.pi * 2.5 / 4)))


def test_callable_objects_are_saved_with_a_schedule() -> None:
    class Halving:
        def __init__(self, base: float) -> None:
            self.base = base

        def __call__(self, t: int) -> float:
            return self.base**t

    optimizer = optim.SGD([leaf(wengert, [1.0])], lr=0.1)
    source = lr_scheduler.LambdaLR(optimizer, Halving(0.5))
    target = lr_scheduler.LambdaLR(optimizer, Halving(0.9))
    target.load_state_dict(source.state_dict())
    assert target.lr_lambdas[0].base == 0.5
    assert lr_scheduler.LambdaLR(optimizer, lambda t: 1.0).state_dict()["lr_lambdas"] == [None]


def test_schedules_pickle_with_their_optimizer() -> None:
    for name in ("StepLR", "CosineAnnealingLR", "CyclicLR", "OneCycleLR", "SequentialLR", "ChainedScheduler"):
        optimizer = scheduled(wengert)
        scheduler = SCHEDULES[name](lr_scheduler, optimizer)
        twin = pickle.loads(pickle.dumps(scheduler))
        for s in (scheduler, twin):
            s.optimizer.step()
            s.step()
        assert snapshot(optimizer, scheduler) == snapshot(twin.optimizer, twin)


def with_momentum() -> Any:
    return scheduled(wengert)


def chained(*optimizers: Any) -> list[Any]:
    return [lr_scheduler.ConstantLR(o) for o in optimizers]


def overrun() -> None:
    optimizer = with_momentum()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(5):
        optimizer.step()
        scheduler.step()


BAD_SCHEDULES: list[tuple[str, Callable[[Any, Any], Any], type[Exception], str]] = [
    ("no optimizer", lambda S, o: S.StepLR(3, 3), TypeError, "int is not an Optimizer"),
    ("plateau of nothing", lambda S, o: S.ReduceLROnPlateau(3), TypeError, "int is not an Optimizer"),
    ("resumed", lambda S, o: S.ExponentialLR(o, 0.9, last_epoch=3), KeyError, "initial_lr"),
    ("one function", lambda S, o: S.LambdaLR(o, [lambda t: 1]), ValueError, "Expected 2 lr_lambdas, but got 1"),
    ("one factor", lambda S, o: S.MultiplicativeLR(o, [lambda t: 1]), ValueError, "Expected 2 lr_lambdas"),
    ("ConstantLR", lambda S, o: S.ConstantLR(o, 2), ValueError, "between 0 and 1"),
    ("LinearLR start", lambda S, o: S.LinearLR(o, 0), ValueError, "start_factor"),
    ("LinearLR end", lambda S, o: S.LinearLR(o, 0.5, 2), ValueError, "end_factor"),
    ("T_0", lambda S, o: S.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
    ("T_mult", lambda S, o: S.CosineAnnealingWarmRestarts(o, 2, 1.5), ValueError, "integer T_mult >= 1"),
    ("eta_min", lambda S, o: S.CosineAnnealingWarmRestarts(o, 2, 1, "a"), ValueError, "eta_min"),
    ("restart at", lambda S, o: S.CosineAnnealingWarmRestarts(o, 2).step(-1), ValueError, "non-negative epoch"),
    ("CyclicLR mode", lambda S, o: S.CyclicLR(o, 0.1, 0.2, mode="x"), ValueError, "mode is invalid"),
    ("CyclicLR length", lambda S, o: S.CyclicLR(o, [0.1], 0.2), ValueError, "base_lr must have the same length"),
    (
        "CyclicLR without momentum",
        lambda S, o: S.CyclicLR(scheduled(wengert, "Adagrad"), 0.1, 0.2),
        ValueError,
        "must support momentum",
    ),
    ("no steps", lambda S, o: S.OneCycleLR(o, 0.1), ValueError, "total_steps OR"),
    ("zero steps", lambda S, o: S.OneCycleLR(o, 0.1, total_steps=0), ValueError, "positive integer total_steps"),
    ("zero epochs", lambda S, o: S.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=1), ValueError, "integer epochs"),
    ("pct_start", lambda S, o: S.OneCycleLR(o, 0.1, total_steps=5, pct_start=2), ValueError, "pct_start"),
    (
        "anneal",
        lambda S, o: S.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="x"),
        ValueError,
        "anneal_strategy",
    ),
    ("too many steps", lambda S, o: overrun(), ValueError, "Tried to step 4 times"),
    ("plateau factor", lambda S, o: S.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1"),
    ("plateau mode", lambda S, o: S.ReduceLROnPlateau(o, mode="x"), ValueError, "mode x is unknown"),
    ("plateau threshold", lambda S, o: S.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold mode x"),
    ("plateau min_lr", lambda S, o: S.ReduceLROnPlateau(o, min_lr=[1]), ValueError, "expected 2 min_lrs, got 1"),
    ("empty sequence", lambda S, o: S.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
    ("milestones", lambda S, o: S.SequentialLR(o, chained(o, o), []), ValueError, "1 milestones, but got 0"),
    (
        "two optimizers",
        lambda S, o: S.SequentialLR(o, chained(o, with_momentum()), [2]),
        ValueError,
        "same optimizer",
    ),
    (
        "plateau in sequence",
        lambda S, o: S.SequentialLR(o, [*chained(o), S.ReduceLROnPlateau(o)], [2]),
        ValueError,
        "does not support `ReduceLROnPlateau`",
    ),
    ("not a scheduler", lambda S, o: S.SequentialLR(o, [3], []), TypeError, "index 0 is a int"),
    ("empty chain", lambda S, o: S.ChainedScheduler([]), ValueError, "at least one scheduler"),
    ("chain of two", lambda S, o: S.ChainedScheduler(chained(o, with_momentum())), ValueError, "same optimizer"),
    (
        "chain of another",
        lambda S, o: S.ChainedScheduler(chained(o), with_momentum()),
        ValueError,
        "same optimizer",
    ),
]


@pytest.mark.parametrize(("what", "call", "kind", "words"), BAD_SCHEDULES, ids=[row[0] for row in BAD_SCHEDULES])
def test_refused_schedules_leave_the_optimizer_alone(what: str, call: Any, kind: Any, words: str) -> None:
    optimizer = with_momentum()
    before = repr(optimizer)
    with pytest.raises(kind, match=words):
        call(lr_scheduler, optimizer)
    if what not in ("restart at", "milestones", "two optimizers", "plateau in sequence") and "chain" not in what:
        assert repr(optimizer) == before


# Complex parameters: every real and imaginary part on its own.


@pytest.fixture
def complex_supported() -> Iterator[None]:
    if not hasattr(wengert, "view_as_real"):
        pytest.skip("this wengert has no view_as_real")
    yield


@pytest.mark.parametrize("name", ALL)
def test_complex_parameters_are_pairs(name: str, complex_supported: None) -> None:
    rng = np.random.default_rng(0)
    values, target = rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    z = wengert.tensor(values[:, 0] + 1j * values[:, 1], requires_grad=True)
    p = leaf(wengert, values)
    a, b = getattr(optim, name)([z]), getattr(optim, name)([p])
    for _ in range(5):
        a.zero_grad()
        b.zero_grad()
        goal = wengert.tensor(target[:, 0] + 1j * target[:, 1])
        ((z - goal).abs() ** 2).sum().backward()
        ((p - wengert.tensor(target)) ** 2).sum().backward()
        a.step()
        b.step()
    got = array(z)
    np.testing.assert_allclose(np.stack([got.real, got.imag], -1), array(p), rtol=1e-9)


# ---- averages of weights: torch.optim.swa_utils
def averaged(t: Any, **options: Any) -> list[Any]:
    """Train a little, show the model to an average after each step, and return what it holds."""
    model = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.BatchNorm1d(3), t.nn.Linear(3, 1))
    with t.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(t.sin(t.arange(p.numel()) * (1.0 + i)).reshape(p.shape) + (i == 2))
    u = t.optim.swa_utils
    made = {
        "ema": lambda: u.AveragedModel(model, multi_avg_fn=u.get_ema_multi_avg_fn(0.8)),
        "ema of buffers": lambda: u.AveragedModel(model, multi_avg_fn=u.get_ema_multi_avg_fn(0.8), use_buffers=True),
        "swa": lambda: u.AveragedModel(model, multi_avg_fn=u.get_swa_multi_avg_fn()),
        "one by one": lambda: u.AveragedModel(model, avg_fn=u.get_ema_avg_fn(0.5)),
        "mean": lambda: u.AveragedModel(model),
    }[options.pop("kind")]()
    x = t.cos(t.arange(12.0).reshape(6, 2))
    optimizer = t.optim.SGD([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.3}], lr=0.1)
    scheduler = u.SWALR(optimizer, swa_lr=0.02, **options)
    rates = []
    for _ in range(5):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
        made.update_parameters(model)
        scheduler.step()
        rates.append([g["lr"] for g in optimizer.param_groups])
    u.update_bn([x[:3], (x[3:], 0)], made)
    return [rates, made.n_averaged.item(), *[v.tolist() for v in made.state_dict().values()], made(x).tolist()]


SWA = [
    {"kind": "mean"}, {"kind": "ema", "anneal_epochs": 3, "anneal_strategy": "linear"}, {"kind": "swa", "anneal_epochs": 0},
    {"kind": "ema of buffers", "anneal_epochs": 2}, {"kind": "one by one", "anneal_epochs": 1, "anneal_strategy": "linear"},
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("options", SWA, ids=lambda o: o["kind"])
def test_averages_of_pytorch(options: dict[str, Any]) -> None:
    import torch

    def flat(v: Any) -> list[float]:
        return [x for part in v for x in flat(part)] if isinstance(v, list) else [float(v)]

    np.testing.assert_allclose(flat(averaged(wengert, **options)), flat(averaged(torch, **options)), rtol=1e-4, atol=1e-6)


def test_the_default_average_is_the_mean() -> None:
    model = wengert.nn.Linear(1, 1, bias=False)
    average = wengert.optim.swa_utils.AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(3.0) and average.n_averaged == 3
    assert average(wengert.ones(1, 1)).item() == pytest.approx(3.0)
    with pytest.raises(ValueError, match="decay"):
        wengert.optim.swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="anneal_strategy"):
        wengert.optim.swa_utils.SWALR(wengert.optim.SGD(model.parameters(), lr=0.1), 0.1, anneal_strategy="x")


def test_a_subclass_sees_each_group_that_is_added() -> None:
    class Masked(optim.SGD):  # type: ignore[misc]
        def add_param_group(self, param_group: Any) -> None:
            super().add_param_group(param_group)
            for p in self.param_groups[-1]["params"]:
                self.state[p]["mask"] = p.detach() > self.param_groups[-1]["lr"]

    p = wengert.nn.Parameter(wengert.tensor([0.0, 1.0]))
    opt = Masked(iter([p]), lr=0.5)
    assert len(opt.param_groups) == 1 and opt.state[p]["mask"].tolist() == [False, True]


def test_the_sums_of_adagrad_can_be_shared() -> None:
    p = wengert.nn.Parameter(wengert.ones(2))
    opt = optim.Adagrad([p], lr=1.0)
    opt.share_memory()
    p.grad = wengert.ones(2)
    opt.step()
    assert opt.state[p]["sum"].is_shared() and opt.state[p]["sum"].tolist() == [1.0, 1.0] and p.tolist() == [0.0, 0.0]
