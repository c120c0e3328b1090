"""Every option of `backward` and `grad`, every mode and hook, one short case each, beside what PyTorch makes of it.

Owns the proof that the options agree; test_autograd.py has the programs that show what they are for. Also what has to hold
at scale: threads on shared leaves, deep and wide graphs, no reference cycles.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import wengert
from programs import Programs
from test_function import leaf

PROGRAMS = program = Programs("test_autograd_full")


def outcomes(cases: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Return what each case gives: a value, or the type of its exception."""
    made: dict[str, Any] = {}
    for name, act in cases.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[name] = act()
        except Exception as error:
            made[name] = f"raises {type(error).__name__}"
    return made


def double(torch: Any, *values: float) -> Any:
    return leaf(torch, *values) * 2


@program
def gradients_that_are_given(torch: Any) -> Any:
    A, D = torch.autograd, torch.float64

    def several() -> Any:
        x = leaf(torch, 1.0, 2.0)
        A.backward([x * 2, x * 3], [torch.ones(2, dtype=D), torch.ones(2, dtype=D)])
        return x.grad

    def twice() -> Any:
        x = leaf(torch, 1.0, 2.0)
        y = x * x
        y.backward(gradient=torch.ones(2, dtype=D), retain_graph=True)
        y.backward(torch.ones(2, dtype=D))
        return x.grad

    def scalar() -> Any:
        x = leaf(torch, 1.0, 2.0)
        return A.grad(x.sum(), x, grad_outputs=torch.tensor(3.0, dtype=D))

    x = leaf(torch, 1.0, 2.0)
    return outcomes({
        "several": several, "twice": twice, "scalar": scalar, "for a scalar, of one element": lambda: A.grad(x.sum(), x, torch.ones(1, dtype=D)),
        "fewer": lambda: A.backward([x * 2, x * 3], [None]), "nothing": lambda: A.backward([], []),
        "of nothing": lambda: A.grad([], [x]), "a number": lambda: double(torch, 1.0).backward(1.0),
        "another shape": lambda: double(torch, 1.0, 2.0).backward(torch.ones(3)),
        "one to broadcast": lambda: double(torch, 1.0, 2.0).backward(torch.ones(1, dtype=D)),
        "integers": lambda: double(torch, 1.0, 2.0).backward(torch.ones(2, dtype=torch.int64)),
        "complex for real": lambda: double(torch, 1.0, 2.0).backward(torch.ones(2, dtype=torch.complex128)),
        "real for complex": lambda: (leaf(torch, 1.0, 2.0) * 2j).backward(torch.ones(2, dtype=D)),
        "the old name": lambda: A.backward(double(torch, 1.0, 2.0), grad_variables=torch.ones(2, dtype=D)),
        "both names": lambda: A.backward(double(torch, 1.0), torch.ones(1, dtype=D), grad_variables=torch.ones(1, dtype=D)),
    })  # fmt: skip


@program
def inputs_that_are_asked_for(torch: Any) -> Any:
    A = torch.autograd
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)

    def between() -> Any:
        z = x * x
        return A.grad(z.sum(), [x, z])

    def into_a_result() -> Any:
        x = leaf(torch, 1.0, 2.0)
        z = x * 2
        z.sum().backward(inputs=[x, z])
        return x.grad, z.grad

    return outcomes({
        "between": between, "into a result": into_a_result, "none": lambda: A.grad(x.sum(), []),
        "none for backward": lambda: A.backward(x.sum(), inputs=[]), "a number": lambda: A.grad(x.sum(), 3),
        "without grad": lambda: A.grad(x.sum(), torch.ones(1)), "unused": lambda: A.grad(x.sum(), y),
        "unused is allowed": lambda: A.grad(x.sum(), [x, y], allow_unused=True),
        "zeros": lambda: A.grad((x * 2).sum(), [x, y], materialize_grads=True),
        "zeros are allowed": lambda: A.grad((x * 2).sum(), [x, y], allow_unused=True, materialize_grads=True),
        "zeros are not allowed": lambda: A.grad((x * 2).sum(), [x, y], allow_unused=False, materialize_grads=True),
        "zeros with a graph": lambda: A.grad((x * 2).sum(), [x, y], materialize_grads=True, create_graph=True),
        "only_inputs": lambda: A.grad(x.sum() * 2, x, only_inputs=True),
    })  # fmt: skip


@program
def gradients_in_a_batch(torch: Any) -> Any:
    A, D = torch.autograd, torch.float64

    def rows() -> Any:
        x = leaf(torch, 1.0, 2.0, 3.0)
        return A.grad(x * x, x, torch.eye(3, dtype=D), is_grads_batched=True)

    def several() -> Any:
        x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        return A.grad([x * y, x.exp()], [x, y], [torch.eye(2, dtype=D), torch.ones(2, 2, dtype=D)], is_grads_batched=True)

    def unused() -> Any:
        x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        return A.grad(x * x, [x, y], torch.eye(2, dtype=D), is_grads_batched=True, allow_unused=True)

    def hessian() -> Any:
        x = leaf(torch, 1.0, 2.0)
        (g,) = A.grad((x**3).sum() + x.prod(), x, create_graph=True)
        return A.grad(g, x, torch.eye(2, dtype=D), is_grads_batched=True)

    def freed() -> Any:
        x = leaf(torch, 1.0, 2.0)
        y = x * x
        A.grad(y, x, torch.eye(2, dtype=D), is_grads_batched=True)
        return A.grad(y.sum(), x)

    return outcomes({"rows": rows, "several": several, "unused": unused, "hessian": hessian, "freed": freed})


@program
def orders(torch: Any) -> Any:
    A = torch.autograd

    def linear() -> Any:
        x = leaf(torch, 4.0)
        (g,) = A.grad(x * x, x, create_graph=True)
        (h,) = A.grad(g, x, create_graph=True)
        return g.requires_grad, h.requires_grad

    def kept() -> Any:
        x = leaf(torch, 1.0, 2.0)
        (x * x).sum().backward(create_graph=True)
        return x.grad.requires_grad

    def under_no_grad() -> Any:
        x = leaf(torch, 1.0, 2.0)
        with torch.no_grad():
            y = x * 2
        return A.grad(y.sum(), x)

    return outcomes({"linear": linear, "kept": kept, "under no_grad": under_no_grad})


@program
def flags_of_views(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    b = torch.zeros(3, dtype=torch.float64)
    w = b[0:2]
    w.requires_grad_()
    (w * 2).sum().backward()
    part = x.detach()[0].requires_grad_()
    (part * 3).backward()
    return outcomes({
        "of a result": lambda: x[0].requires_grad_(False), "a view alone": lambda: (b.requires_grad, w.requires_grad, w.is_leaf, w.grad),
        "of a detached part": lambda: part.grad, "writing to its base": lambda: b.add_(1), "writing to it": lambda: w.add_(1),
        "integers": lambda: torch.ones(2, dtype=torch.int64).requires_grad_(), "detach_ of a view": lambda: (x * 2)[0].detach_(),
        "detach_": lambda: (x * 2).detach_().requires_grad,
    })  # fmt: skip


@program
def hooks_of_every_kind(torch: Any) -> Any:
    def in_order() -> Any:
        x = leaf(torch, 1.0, 2.0)
        seen: list[Any] = []
        x.register_hook(lambda g: None)
        x.register_hook(lambda g: g * 2)
        x.register_hook(lambda g: seen.append(g.clone()))
        handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
        (x * 3).sum().backward()
        handle.remove()
        (x * 3).sum().backward()
        return seen, x.grad

    def retained() -> Any:
        x = leaf(torch, 1.0, 2.0)
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: g * 10)
        (y * 3).sum().backward()
        return y.grad, x.grad

    def retained_before_a_write() -> Any:
        x = leaf(torch, 1.0, 2.0)
        y = x.clone()
        y[0] = 5
        y.retain_grad()
        y.mul_(2)
        y.sum().backward()
        return y.grad, x.grad

    x = leaf(torch, 1.0, 2.0)
    return outcomes({
        "in order": in_order, "retained": retained, "retained before a write": retained_before_a_write,
        "post on a result": lambda: (x * 2).register_post_accumulate_grad_hook(print),
        "post on a constant": lambda: torch.ones(1).register_post_accumulate_grad_hook(print),
        "on a constant": lambda: torch.ones(1).register_hook(print),
    })  # fmt: skip


@program
def modes_in_every_form(torch: Any) -> Any:
    enabled = torch.is_grad_enabled

    @torch.inference_mode()
    def called() -> Any:
        return torch.ones(1).is_inference(), enabled()

    @torch.inference_mode
    def bare() -> Any:
        return torch.ones(1).is_inference()

    @torch.inference_mode(mode=False)
    def off() -> Any:
        return torch.ones(1).is_inference()

    @torch.no_grad()
    def generator() -> Any:
        yield enabled()
        yield enabled()

    @torch.set_grad_enabled(False)
    def switched() -> Any:
        return enabled()

    @torch.no_grad()
    async def coroutine() -> Any:
        return enabled()

    def names() -> Any:
        seen = []
        torch.set_grad_enabled(False)
        seen.append(enabled())
        torch.set_grad_enabled(True)
        with torch.autograd.set_grad_enabled(False):
            seen.append(enabled())
        with torch.autograd.grad_mode.no_grad():
            seen.append(enabled())
        with torch.no_grad():
            with torch.set_grad_enabled(True):
                seen.append(enabled())
            seen.append(enabled())
        return seen, enabled()

    return outcomes({
        "called": called, "bare": bare, "off": off, "names": names, "switched": lambda: (switched(), enabled()),
        "generator": lambda: [(v, enabled()) for v in generator()], "a number": lambda: torch.set_grad_enabled(3),
        "coroutine": lambda: asyncio.run(coroutine()), "threads": lambda: bool(torch.autograd.grad_mode.set_multithreading_enabled(False)),
    })  # fmt: skip


@program
def what_inference_tensors_may_do(torch: Any) -> Any:
    with torch.inference_mode():
        x = torch.ones(2)
    y = torch.ones(2, requires_grad=True)

    def inside() -> Any:
        with torch.inference_mode():
            v = y.view(2)
            made = [(y * 2).requires_grad, (y * 2).is_inference(), v.is_inference(), y.is_inference()]
            with torch.enable_grad():
                made.append((y * 2).requires_grad)
            with torch.inference_mode(False):
                made.append((y * 2).requires_grad)
        return made

    def a_write_through_a_view() -> Any:
        z = y.exp()
        with torch.inference_mode():
            z.view(2).mul_(2)
        return z.sum().backward()

    return outcomes({
        "told": lambda: (torch.is_inference(x), torch.is_inference(y), x.is_inference()), "inside": inside, "written": lambda: x.mul_(1),
        "kept": lambda: x * y, "added": lambda: (x + y).requires_grad, "computed": lambda: (x + 1).is_inference(),
        "asked for a gradient": lambda: x.requires_grad_(), "viewed": lambda: (x.view(2).is_inference(), x[0].is_inference()),
        "version": lambda: x._version, "cloned": lambda: x.clone().requires_grad_().sum().backward(),
        "stacked": lambda: torch.stack([x, x]).is_inference(), "a write through a view": a_write_through_a_view,
    })  # fmt: skip


@program
def gradients_assigned(torch: Any) -> Any:
    x = torch.ones(2, requires_grad=True)

    def assign(value: Any) -> Any:
        x.grad = value
        return x.grad

    def deleted() -> Any:
        x.grad = torch.ones(2)
        del x.grad
        return x.grad

    return outcomes({
        "another type": lambda: assign(torch.ones(2, dtype=torch.float64)), "another shape": lambda: assign(torch.ones(3)), "deleted": deleted,
        "a number": lambda: assign(3.0), "itself": lambda: assign(x), "taken": lambda: assign(torch.ones(2)), "none": lambda: assign(None),
    })  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- at scale
def test_two_threads_on_one_leaf() -> None:
    x = wengert.zeros(3, dtype=wengert.float64, requires_grad=True)

    def work() -> None:
        for _ in range(1000):
            (x * 1 + x * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.grad is not None and x.grad.tolist() == [6000.0] * 3


def test_two_threads_on_one_graph() -> None:
    x = wengert.ones(3, dtype=wengert.float64, requires_grad=True)
    shared = (x * 2).exp()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                shared.sum().backward(retain_graph=True)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    (once,) = wengert.autograd.grad(shared.sum(), x)
    assert not failed and x.grad is not None
    assert wengert.allclose(x.grad, once * 400)


def test_a_deep_graph() -> None:
    x = wengert.ones(1, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y * 1.0
    y.backward()
    assert x.grad is not None and x.grad.item() == 1.0
    del y


def test_a_deep_graph_of_functions() -> None:
    class Same(wengert.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = wengert.ones(1, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = Same.apply(y)
    y.backward()
    assert x.grad is not None and x.grad.item() == 1.0
    del y


def test_a_wide_graph() -> None:
    x = wengert.ones(1, requires_grad=True)
    wengert.stack([x * 1.0 for _ in range(100_000)]).sum().backward()
    assert x.grad is not None and x.grad.item() == 100_000.0


def test_nothing_waits_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = wengert.ones(3, requires_grad=True)
        a = x * 2
        v = a[1:]
        v.mul_(3)
        a.retain_grad()
        y = (a * a).sum()
        y.backward(retain_graph=True)
        (g,) = wengert.autograd.grad(y, x, create_graph=True)
        watch = [weakref.ref(t) for t in (x, a, v, y, g, a.grad_fn, v.grad_fn, y.grad_fn, g.grad_fn)]
        del x, a, v, y, g
        assert [w() for w in watch] == [None] * len(watch)
    finally:
        gc.enable()
