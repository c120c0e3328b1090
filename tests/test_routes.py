"""Backward passes that were written out: they do what the engine does, to the last bit, or leave it to the engine.

Owns the proof of wengert/routes.py. May import wengert and its inner modules.
"""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert import routes, tape

Leaves = list[Any]


def leaves(dtype: Any = torch.float32, shape: tuple[int, ...] = (3,)) -> Leaves:
    rng = np.random.default_rng(0)
    return [torch.tensor(rng.standard_normal(shape), dtype=dtype, requires_grad=True) for _ in range(2)]


def ordinary(x: Any, y: Any, other: Any = None, within: Any = nullcontext(), look: Any = id) -> Any:  # noqa: B008
    """A graph with several consumers, broadcasting, values that are read again, and rules with something in common.

    other: an input in one place. within: around a part. look: at a value in the middle.
    """
    with within:
        first = torch.exp(-x * y) - (x if other is None else other) * (1 + y**2)
    look(first)
    second = torch.nn.functional.layer_norm(first * 2 + x.sum(), first.shape[-1:], y, x)
    return (second.tanh() * first + torch.softmax(x, -1)).sum() + (x * 3).mean()


def forget(plan: Any, known: Any = None) -> None:
    object.__setattr__(plan, "routes", known)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a route be written at the second pass, and learn the ordinary graph's."""
    monkeypatch.setattr(routes, "OFTEN", 2)
    x, y = leaves()
    plan = ordinary(x, y)._edge.plan
    kept = plan.routes
    forget(plan)
    for _ in range(3):
        ordinary(x, y).backward()
    assert len(plan.routes.routes) == 1
    yield
    forget(plan, kept)


def outcome(program: Callable[[], Any]) -> Any:
    """Return the bits of a program's results, or its error."""
    try:
        return [None if x is None else (x.dtype, x.shape, x.requires_grad, x.detach().numpy().tobytes()) for x in program()]
    except RuntimeError as error:
        return str(error)


def alike(program: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a program with routes and with the engine alone, and return the outcome, which is the same."""
    made = outcome(program)
    with monkeypatch.context() as patch:
        patch.setattr(tape, "follow", lambda *_: None)
        assert outcome(program) == made
    return made


def taken(program: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Say of each backward pass whether a route was taken."""
    found: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(tape, "follow", lambda *args: found.append(routes.follow(*args)) or found[-1])
        outcome(program)
    return [x is not None for x in found]


def usual() -> Any:
    x, y = leaves()
    ordinary(x, y).backward()
    ordinary(x, y).backward()  # adds to the first
    return x.grad, y.grad


def kept_graph() -> Any:
    x, y = leaves()
    z = ordinary(x, y)
    z.backward(retain_graph=True)
    z.backward(torch.tensor(2.0))
    return x.grad, y.grad


def both_asked() -> Any:
    x, y = leaves()
    before = torch.autograd.grad(ordinary(x, y), [x, y])
    return (*before, *torch.autograd.grad(ordinary(x, y), [y, x, y]), x.grad, y.grad)


def one_asked() -> Any:
    x, y = leaves()
    z = ordinary(x, y)
    return (*torch.autograd.grad(z, x, retain_graph=True), *torch.autograd.grad(z, y, torch.tensor(3.0)), x.grad, y.grad)


def a_result_asked() -> Any:
    x, y = leaves()
    z = x * 2
    return torch.autograd.grad(ordinary(z, y), [y, z])


def one_unused() -> Any:
    x, y = leaves()
    return torch.autograd.grad(ordinary(x, y), [x, torch.ones(1, requires_grad=True)], allow_unused=True)


def asked_with_a_hook() -> Any:
    x, y = leaves()
    y.register_hook(lambda g: 2 * g)
    return torch.autograd.grad(ordinary(x, y), [x, y])


@pytest.mark.parametrize("program", [both_asked, one_asked, a_result_asked, one_unused, asked_with_a_hook])
def test_gradients_that_are_asked_for(learned: None, monkeypatch: pytest.MonkeyPatch, program: Callable[[], Any]) -> None:
    for _ in range(40):
        outcome(program)
    usual()
    assert isinstance(alike(program, monkeypatch), list)
    assert taken(program, monkeypatch)[-1] == (program in (both_asked, one_asked))


def test_what_is_asked_for_may_change(learned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(x: Any, y: Any) -> Any:
        return torch.autograd.grad(ordinary(x, y), [x])

    for _ in range(40):
        first(*leaves())

    def then() -> Any:
        x, y = leaves()
        found = [*first(x, y), *torch.autograd.grad(ordinary(x, y), [y]), *torch.autograd.grad(ordinary(y, x), [x, y])]
        ordinary(x, y).backward()
        return *found, *first(x, y), x.grad, y.grad

    assert isinstance(alike(then, monkeypatch), list)


def test_a_route_gives_what_the_engine_gives(learned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in (usual, kept_graph):
        assert isinstance(alike(program, monkeypatch), list)
        assert taken(program, monkeypatch) == [True, True]


# ---- graphs that begin with the same call and are another one, or must be looked at
def of_one_leaf() -> Any:
    x, _ = leaves()
    ordinary(x, x).backward()
    return [x.grad]


def of_a_shared_node() -> Any:
    x, y = leaves()
    z = x * y
    ordinary(z, z).backward()
    return x.grad, y.grad


def of_another_wiring() -> Any:
    x, y = leaves()
    ordinary(x, y, other=y).backward()
    return x.grad, y.grad


def with_a_constant() -> Any:
    x, y = leaves()
    ordinary(x, y.detach()).backward()
    return [x.grad]


def of_rows() -> Any:
    x, y = leaves()
    rows = torch.ones(4, 3, requires_grad=True)
    ordinary(x, y).backward()
    (ordinary(x, y) + (rows * x).sum()).backward()
    return x.grad, y.grad, rows.grad


def of_doubles() -> Any:
    x, y = leaves(torch.float64)
    ordinary(x, y).backward()
    return x.grad, y.grad


def of_another_size() -> Any:
    x, y = leaves(shape=(5,))
    ordinary(x, y).backward()
    return x.grad, y.grad


def with_hooks() -> Any:
    x, y = leaves()
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.clone()) or 2 * g)
    z = x.tanh()
    z.retain_grad()
    ordinary(z, y).backward()
    y.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.clone()))
    ordinary(x, y).backward()
    return x.grad, y.grad, z.grad, *seen


def with_a_hook_inside() -> Any:
    x, y = leaves()
    ordinary(x, y, look=lambda z: z.register_hook(lambda g: 2 * g)).backward()
    return x.grad, y.grad


def with_some_packed_values() -> Any:
    x, y = leaves()
    ordinary(x, y, within=torch.autograd.graph.saved_tensors_hooks(lambda v: v + 1, lambda v: v)).backward()
    return x.grad, y.grad


def with_packed_values() -> Any:
    x, y = leaves()
    with torch.autograd.graph.saved_tensors_hooks(lambda v: v.numpy(), lambda v: torch.from_numpy(v) * 1):
        ordinary(x, y).backward()
    return x.grad, y.grad


def with_a_function() -> Any:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    x, y = leaves()
    ordinary(Double.apply(x), y).backward()
    return x.grad, y.grad


def of_second_order() -> Any:
    x, y = leaves()
    (g,) = torch.autograd.grad(ordinary(x, y), x, create_graph=True)
    g.sum().backward()
    ordinary(x, y).backward(create_graph=True)
    (x.grad**2).sum().backward()
    ordinary(x, y).backward(inputs=[x])
    return g, x.grad, y.grad


def of_recorded_gradients() -> Any:
    x, y = leaves()
    for _ in range(2):
        ordinary(x, y).backward(create_graph=True)
    return x.grad, y.grad, *torch.autograd.grad((x.grad * y.grad).sum(), [x, y])


def freed() -> Any:
    x, y = leaves()
    z = ordinary(x, y)
    z.backward()
    z.backward()


def overwritten() -> Any:
    x, y = leaves()
    z = ordinary(x, y)
    with torch.no_grad():
        y.add_(1)
    z.backward()


def with_an_error() -> Any:
    x, y = leaves()

    def stop(g: Any) -> None:
        raise RuntimeError("stop")

    z = x * y
    z.register_hook(stop)
    ordinary(z, y).backward()


LEFT = (of_one_leaf, of_a_shared_node, of_another_wiring, with_a_constant, with_hooks, with_a_hook_inside,
        with_some_packed_values, with_packed_values, with_a_function, freed, overwritten, with_an_error)  # fmt: skip


@pytest.mark.parametrize("program", LEFT)
def test_what_is_not_as_it_was_is_left_to_the_engine(
    learned: None, monkeypatch: pytest.MonkeyPatch, program: Callable[[], Any]
) -> None:
    alike(program, monkeypatch)
    took = taken(program, monkeypatch)
    assert took and not took[-1], took


@pytest.mark.parametrize("program", [of_rows, of_doubles, of_another_size, of_second_order, of_recorded_gradients])
def test_other_numbers_and_shapes(learned: None, monkeypatch: pytest.MonkeyPatch, program: Callable[[], Any]) -> None:
    alike(program, monkeypatch)
    for _ in range(40):
        outcome(program)
    assert isinstance(alike(program, monkeypatch), list)


def product(x: Any, y: Any) -> Any:
    return (x * y).sum()


def overwritten_constant() -> Any:
    x, c = torch.ones(3, requires_grad=True), torch.ones(3)
    z = product(x, c)
    c.mul_(2)
    z.backward()


def broadcast() -> Any:
    x, y = torch.ones(3, requires_grad=True), torch.ones(1, requires_grad=True)
    product(x, y).backward()
    return x.grad, y.grad


def not_broadcast() -> Any:
    x, y = (torch.ones(1, requires_grad=True) for _ in range(2))
    product(x, y).backward()
    return x.grad, y.grad


def of_another_op() -> Any:
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    (x / y).sum().backward()
    return x.grad, y.grad


LEARNED = {  # what a route is made of, and what comes then
    "a number": (lambda x, y: product(x, 2.0), overwritten_constant), "shapes": (product, broadcast),
    "broadcasting": (lambda x, y: product(x, y[:1].detach().requires_grad_()), not_broadcast), "an op": (product, of_another_op),
}  # fmt: skip


@pytest.mark.parametrize(("first", "then"), LEARNED.values(), ids=LEARNED)
def test_a_graph_of_the_same_form_is_another_one(monkeypatch: pytest.MonkeyPatch, first: Any, then: Callable[[], Any]) -> None:
    monkeypatch.setattr(routes, "OFTEN", 1)
    plan = product(*leaves())._edge.plan
    kept = plan.routes
    forget(plan)
    for _ in range(3):
        x, y = leaves()
        first(x, y).backward()
    assert len(plan.routes.routes) == 1
    alike(then, monkeypatch)
    forget(plan, kept)


def test_an_error_leaves_the_gradients_as_they_were(learned: None) -> None:
    x, y = leaves()
    z = ordinary(x, y)
    ordinary(x, y).backward()
    before = x.grad.clone(), y.grad.clone()
    with torch.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    assert torch.equal(x.grad, before[0]) and torch.equal(y.grad, before[1])


def chain(n: int) -> Any:
    """Return a result whose graph is n long, and begins with a call of its own."""
    y = torch.ones(2, requires_grad=True)
    for _ in range(n):
        y = y.sin()
    return torch.special.bessel_j0(y).sum(0, keepdim=True)


@pytest.fixture
def begins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plan that chains begin with, of which nothing is known."""
    monkeypatch.setattr(routes, "OFTEN", 2)
    plan = chain(1)._edge.plan
    forget(plan)
    return plan


def test_a_few_graphs_have_routes(begins: Any) -> None:
    for _ in range(2000):
        for n in range(3):
            chain(n).backward()
    assert len(begins.routes.routes) == 3 and begins.routes.fits > 1000
    for _ in range(2000):
        for n in range(routes.MOST + 2):
            chain(n).backward()
    assert len(begins.routes.routes) <= routes.MOST


def test_graphs_that_differ_each_time_are_forgotten(begins: Any) -> None:
    for n in range(8):
        chain(n).backward()
        assert len(begins.routes.routes) == (1 if 1 <= n < 5 else 0) if n else begins.routes


def test_long_graphs_have_none(begins: Any) -> None:
    for _ in range(20):
        chain(routes.LONGEST).backward()
    assert begins.routes.routes == ()


def test_kept_values_are_let_go_as_the_pass_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "OFTEN", 1)
    x = torch.ones(200_000, requires_grad=True)

    def peak() -> int:
        y = x
        for _ in range(8):
            y = (y * 0.5).exp()
        x.grad, z = None, y.logsumexp(0, keepdim=True)
        del y
        tracemalloc.start()
        z.backward()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peaks = [peak() for _ in range(5)]
    assert peaks[-1] <= peaks[0] + 10_000, peaks


def test_threads_take_routes_side_by_side(learned: None) -> None:
    x, y = leaves()
    ordinary(x, y).backward()
    wrong: list[str] = []

    def work() -> None:
        for _ in range(50):
            a, b = leaves()
            ordinary(a, b).backward()
            if not (torch.equal(a.grad, x.grad) and torch.equal(b.grad, y.grad)):
                wrong.append("differs")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
