"""`utils.checkpoint`: the same gradients, fewer values kept, and what is said where the second run differs.

Owns the proof of wengert/utils/checkpoint.py. Programs as in test_autograd.py.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wengert
from programs import Programs
from test_autograd_full import outcomes
from test_function import function, leaf, says

PROGRAMS = program = Programs("test_checkpoint")


def tools(torch: Any) -> Any:
    return importlib.import_module(f"{torch.__name__}.utils.checkpoint")


def curve(x: Any) -> Any:
    return (x.exp() * x).sin()


@program
def gradients_are_the_same(torch: Any) -> Any:
    made = []
    checkpoint = tools(torch).checkpoint
    for reentrant in (True, False):
        for f in (curve, lambda x: x.sin().cos().exp(), lambda x: (x * 2, x.exp() * x), lambda x: checkpoint(curve, x * 2, use_reentrant=False).cos()):
            x = leaf(torch, 0.3, 0.7)
            y = checkpoint(f, x * 1, use_reentrant=reentrant)
            sum(part.sum() for part in (y if isinstance(y, tuple) else (y,))).backward()
            made.append(x.grad)
    return made


@program
def without_a_backward_inside(torch: Any) -> Any:
    checkpoint = tools(torch).checkpoint

    def twice() -> Any:
        x = leaf(torch, 0.3, 0.7)
        (g,) = torch.autograd.grad(checkpoint(curve, x, use_reentrant=False).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
        return g.detach(), h.detach(), torch.autograd.grad(h.sum(), x)

    def closure() -> Any:
        w = leaf(torch, 3.0, 4.0)
        checkpoint(lambda x: x * w.exp(), torch.ones(2, dtype=torch.float64), use_reentrant=False).sum().backward()
        return w.grad

    def retained() -> Any:
        x = leaf(torch, 0.3, 0.7)
        y = checkpoint(curve, x, use_reentrant=False).sum()
        y.backward(retain_graph=True)
        y.backward()
        return x.grad

    def freed() -> Any:
        y = checkpoint(curve, leaf(torch, 0.3, 0.7), use_reentrant=False).sum()
        y.backward()
        y.backward()

    x = leaf(torch, 0.3, 0.7)
    return outcomes({
        "grad": lambda: torch.autograd.grad(checkpoint(curve, x, use_reentrant=False).sum(), x), "twice": twice, "closure": closure,
        "keywords": lambda: torch.autograd.grad(checkpoint(lambda x, k=1: (x**2) * k, x, use_reentrant=False, k=3).sum(), x), "retained": retained,
        "freed": freed, "no gradient": lambda: checkpoint(curve, x.detach(), use_reentrant=False).requires_grad,
        "none and numbers": lambda: checkpoint(lambda x: (None, 3, x * 2), x, use_reentrant=False)[:2],
    })  # fmt: skip


@program
def with_a_backward_inside(torch: Any) -> Any:
    checkpoint = tools(torch).checkpoint
    x = leaf(torch, 0.3, 0.7)
    made = says(lambda: torch.autograd.grad(checkpoint(curve, x, use_reentrant=True).sum(), x), "is incompatible with .grad()")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plain = checkpoint(curve, x.detach(), use_reentrant=True).requires_grad
        default = checkpoint(curve, x).requires_grad
    said = ["None of the inputs have requires_grad=True", "the use_reentrant parameter should be passed explicitly"]
    return made, plain, default, [sum(words in str(w.message) for w in caught) for words in said], checkpoint(lambda x: (None, 3, x * 2), x, use_reentrant=True)[:2]


@program
def runs_and_modes(torch: Any) -> Any:
    made = []
    for reentrant in (True, False):
        seen: list[bool] = []

        def watched(x: Any, seen: Any = seen) -> Any:
            seen.append(torch.is_grad_enabled())
            return curve(x)

        tools(torch).checkpoint(watched, leaf(torch, 0.3, 0.7), use_reentrant=reentrant).sum().backward()
        with torch.no_grad():
            y = tools(torch).checkpoint(watched, leaf(torch, 0.3, 0.7), use_reentrant=reentrant)
        made.append((seen, y.requires_grad))
    return made


@program
def random_numbers_are_drawn_again(torch: Any) -> Any:
    made = []
    for reentrant in (True, False):
        for preserve in (True, False):
            seen: list[Any] = []

            def noisy(x: Any, seen: Any = seen) -> Any:
                noise = torch.rand(2, dtype=torch.float64)
                seen.append(noise)
                return x.exp() * noise

            torch.manual_seed(0)
            x = leaf(torch, 0.3, 0.7)
            y = tools(torch).checkpoint(noisy, x, use_reentrant=reentrant, preserve_rng_state=preserve)
            after = torch.rand(1)
            y.sum().backward()
            made.append((bool((seen[0] == seen[1]).all()), bool((after == torch.rand(1)).all())))
    return made


@program
def functions_that_change(torch: Any) -> Any:
    def run(first: Any, then: Any, **options: Any) -> Any:
        turns = iter([first, then])
        return lambda: tools(torch).checkpoint(lambda x: next(turns)(x), leaf(torch, 0.3, 0.7), use_reentrant=False, **options).sum().backward()

    return (
        says(run(lambda x: x.exp().sin(), lambda x: x.exp()), "A different number of tensors was saved during the original forward"),
        says(run(lambda x: x.exp(), lambda x: torch.cat([x, x]).exp()[:2]), "Recomputed values for the following tensors have different metadata"),
        says(run(lambda x: x.exp(), lambda x: x.exp().sin() * x), ""), says(run(curve, curve, determinism_check="none"), ""),
        says(run(curve, curve, determinism_check="sometimes"), "determinism_check should be one of"),
        says(lambda: tools(torch).checkpoint(lambda x: x.mul_(2).exp(), leaf(torch, 0.3) * 1, use_reentrant=False).sum().backward(), "modified by an inplace operation"),
        says(lambda: tools(torch).checkpoint(curve, leaf(torch, 0.3), use_reentrant=True, k=3), "Unexpected keyword arguments: k"),
        says(lambda: tools(torch).checkpoint(curve, leaf(torch, 0.3), use_reentrant=True, debug=True), "is only supported when use_reentrant=False"),
        issubclass(tools(torch).CheckpointError, RuntimeError),
    )  # fmt: skip


@program
def contexts_of_both_runs(torch: Any) -> Any:
    log: list[str] = []

    @contextlib.contextmanager
    def noted(name: str) -> Iterator[None]:
        log.append(name)
        yield

    tools(torch).checkpoint(curve, leaf(torch, 0.3), use_reentrant=False, context_fn=lambda: (noted("first"), noted("again"))).sum().backward()
    return log


@program
def an_early_stop(torch: Any) -> Any:
    log: list[str] = []

    def f(x: Any) -> Any:
        y = x.exp()
        log.append("after exp")
        return y

    tools(torch).checkpoint(f, leaf(torch, 0.3), use_reentrant=False).sum().backward()
    with tools(torch).set_checkpoint_early_stop(False):
        tools(torch).checkpoint(f, leaf(torch, 0.3), use_reentrant=False).sum().backward()
    return log


@program
def gradients_inside_without_an_early_stop(torch: Any) -> Any:
    """The second run begins before the first has ended."""

    def slope(x: Any) -> Any:
        return torch.autograd.grad(curve(x).sum(), x, create_graph=True)[0]

    checkpoint, x = tools(torch).checkpoint, leaf(torch, 0.3, 0.7)
    with tools(torch).set_checkpoint_early_stop(False):
        made = checkpoint(slope, x, use_reentrant=False)
        (second,) = torch.autograd.grad(made.sum(), x)
    return made.detach(), second


@program
def chains(torch: Any) -> Any:
    steps = [lambda a: a.sin().exp()] * 5
    made = []
    for reentrant in (True, False):
        for segments in (1, 2, 5):
            x = leaf(torch, 0.3, 0.7)
            y = tools(torch).checkpoint_sequential(steps, segments, x, use_reentrant=reentrant)
            y.sum().backward()
            made.append(x.grad)
    return made, says(lambda: tools(torch).checkpoint_sequential(steps, 2, x, use_reentrant=False, other=1), "Unexpected keyword arguments: other")


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


@pytest.mark.parity
def test_signatures_are_torch_s() -> None:
    torch = pytest.importorskip("torch")
    for name in ("checkpoint", "checkpoint_sequential"):
        ours, theirs = (inspect.signature(getattr(tools(m), name)).parameters for m in (wengert, torch))
        assert list(ours) == list(theirs)


# ---- wengert alone
SIZE = 20_000  # elements


def peak(run: Callable[[Any], Any]) -> float:
    """Return how many arrays of the chain's size a forward and backward held at once."""
    x = wengert.full((SIZE,), 0.3, dtype=wengert.float64, requires_grad=True)
    gc.collect()
    tracemalloc.start()
    try:
        run(x).sum().backward()
        return tracemalloc.get_traced_memory()[1] / (SIZE * 8)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("reentrant", [True, False])
def test_memory_grows_as_the_square_root(reentrant: bool) -> None:
    def chain(x: Any) -> Any:
        for _ in range(n):
            x = x.sin()
        return x

    def checked(x: Any) -> Any:
        return tools(wengert).checkpoint_sequential([lambda a: a.sin()] * n, round(n**0.5), x, use_reentrant=reentrant)

    peaks = {}
    for n in (16, 64, 256):
        peaks[n] = peak(chain), peak(checked)
        assert peaks[n][0] >= n
        assert peaks[n][1] <= 2 * n**0.5 + 6
    assert peaks[256][1] < peaks[16][1] * 5


def test_nothing_waits_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for reentrant in (True, False):
            x = leaf(wengert, 0.3, 0.7)
            y = tools(wengert).checkpoint(curve, x * 1, use_reentrant=reentrant)
            watch = weakref.ref(y.grad_fn)
            y.sum().backward()
            del y
            assert watch() is None
        results: list[Any] = []
        f = function(wengert, lambda ctx, x: (made := x.exp(), ctx.save_for_backward(made), results.append(weakref.ref(made)))[0],
                     lambda ctx, g: g * ctx.saved_tensors[0])  # fmt: skip
        tools(wengert).checkpoint(f.apply, leaf(wengert, 0.3), use_reentrant=False).sum().backward()
        assert [r() for r in results] == [None, None]
    finally:
        gc.enable()


def test_a_kept_value_is_looked_at_from_outside_of_backward() -> None:
    x = leaf(wengert, 0.3, 0.7)
    y = tools(wengert).checkpoint(lambda x: x.exp(), x, use_reentrant=False)
    assert y.grad_fn._saved_result.tolist() == y.tolist()
