"""Threads and memory: gradients of many threads add up, modes are a thread's own, graphs of any length come and go.

Owns the proof that the engine is iterative and thread-safe and leaves no reference cycle. Memory is counted with
tracemalloc, and with the cyclic collector switched off. May import wengert's public names and NumPy.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import wengert as torch

COUNT = 8


def in_threads(work: Callable[[int], Any], count: int = COUNT) -> list[Any]:
    """Run work(0), work(1), ... at once, and return the results; an exception in one is raised here."""
    results: list[Any] = [None] * count
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            start.wait(10)
            results[i] = work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads), "a thread hangs"
    if failures:
        raise failures[0]
    return results


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Let threads interrupt each other as often as Python allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# ---- threads
def test_backward_into_shared_leaves(eager_switches: None) -> None:
    """The sum of all threads' gradients is exact: small integers in float64, so that order cannot matter."""
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    rounds = 50

    def work(i: int) -> None:
        for _ in range(rounds):
            (x * w * (i + 1) + x).sum().backward()

    in_threads(work)
    total = sum(range(1, COUNT + 1))
    assert x.grad.tolist() == [rounds * (2 * total + COUNT)] * 3
    assert w.grad.item() == rounds * 6 * total


def test_backward_through_one_shared_graph(eager_switches: None) -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    shared = (x * x) * 3
    roots = [(shared * (i + 1)).sum() for i in range(COUNT)]
    in_threads(lambda i: [roots[i].backward(retain_graph=True) for _ in range(20)])
    assert x.grad.tolist() == [20 * 36 * 6.0, 20 * 36 * 12.0]


def test_threads_with_create_graph_and_grad(eager_switches: None) -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def work(i: int) -> list[float]:
        for _ in range(20):
            (g,) = torch.autograd.grad(((i + 1) * x**3).sum(), x, create_graph=True)
            (h,) = torch.autograd.grad(g.sum(), x)
        return h.tolist()  # type: ignore[no-any-return]

    assert in_threads(work) == [[6.0 * (i + 1), 12.0 * (i + 1)] for i in range(COUNT)]
    assert x.grad is None


def test_threads_with_own_leaves_and_writes(eager_switches: None) -> None:
    base = torch.ones(3, dtype=torch.float64)

    def work(i: int) -> list[float]:
        x = torch.full((3,), float(i), dtype=torch.float64, requires_grad=True)
        for _ in range(20):
            y = x * base
            y[1:].mul_(x[0])
            y.sum().backward()
        return x.grad.tolist()  # type: ignore[no-any-return]

    assert in_threads(work) == [[20.0 * (1 + 2 * i), 20.0 * i, 20.0 * i] for i in range(COUNT)]


def test_hooks_and_post_accumulate_hooks_in_threads(eager_switches: None) -> None:
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    calls: list[int] = []
    x.register_hook(lambda g: calls.append(1) or g * 2)  # type: ignore[func-returns-value]
    in_threads(lambda i: [(x * 3).backward() for _ in range(20)])
    assert len(calls) == 20 * COUNT and x.grad.item() == 20 * COUNT * 6


def test_a_leaf_waits_for_no_other_leaf() -> None:
    """A hook that runs a backward of its own, in another thread, into the same leaf: no deadlock."""
    x = torch.tensor(1.0, requires_grad=True)

    def other(t: Any) -> None:
        if len(done) == 0:
            done.append(1)
            thread = threading.Thread(target=lambda: (x * 10).backward())
            thread.start()
            thread.join(10)
            assert not thread.is_alive()

    done: list[int] = []
    x.register_post_accumulate_grad_hook(other)
    x.mul(2).backward()
    assert x.grad.item() == 12


def test_modes_belong_to_threads(eager_switches: None) -> None:
    x = torch.ones(2, requires_grad=True)

    def work(i: int) -> set[tuple[bool, bool, bool]]:
        seen = {(torch.is_grad_enabled(), torch.is_inference_mode_enabled(), (x * 2).requires_grad)}
        switch = (torch.no_grad, torch.enable_grad, torch.inference_mode)[i % 3]
        for _ in range(50):
            with switch():
                time.sleep(0)
                seen.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), (x * 2).requires_grad))
        return seen

    with torch.no_grad():
        results = in_threads(work)
        assert not torch.is_grad_enabled()
    fresh = (True, False, True)
    expected = [{fresh, (False, False, False)}, {fresh}, {fresh, (False, True, False)}]
    assert results == [expected[i % 3] for i in range(COUNT)]


def test_one_version_counter_for_all_threads(eager_switches: None) -> None:
    """Views made at once in several threads count writes together, so that none goes unnoticed."""
    for _ in range(20):
        x = torch.zeros(4)
        views = in_threads(lambda i, x=x: x[i % 4])  # type: ignore[misc]
        for v in views:
            v.add_(1)
        assert x._version == COUNT and all(v._version == COUNT for v in views)


# ---- length
def chain(x: Any, n: int) -> Any:
    y = x
    for _ in range(n):
        y = y + 1.0
    return y


def test_a_chain_is_walked_without_recursion() -> None:
    limit = sys.getrecursionlimit()
    x = torch.tensor(1.0, requires_grad=True)
    y = chain(x, 20 * limit)
    y.backward(retain_graph=True)
    (g,) = torch.autograd.grad(y, x, retain_graph=True)
    (h,) = torch.autograd.grad(y * y, x, create_graph=True)
    assert x.grad.item() == 1.0 and g.item() == 1.0
    y.backward(inputs=[x])
    del y, h
    assert sys.getrecursionlimit() == limit


def test_a_chain_that_nobody_runs_backward_is_freed() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    for make in (lambda y: y * 1.0001, lambda y: y.exp() * 0.1, lambda y: torch.cat([y.reshape(1), y.reshape(1)]).sum() * 0.5):
        y = x
        for _ in range(30_000):
            y = make(y)
        end = weakref.ref(y.grad_fn)
        del y
        assert end() is None


def test_a_chain_of_writes_and_views_is_freed() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.0
    for _ in range(10_000):
        y[0].add_(1.0)
    y.sum().backward()
    end = weakref.ref(y.grad_fn)
    del y
    assert end() is None and x.grad.tolist() == [1.0, 1.0]


def test_a_million_operations() -> None:
    """Forward, backward, and the memory back, with the cyclic collector off."""
    x = torch.tensor(1.0, requires_grad=True)
    gc.collect()
    gc.disable()
    before = sys.getallocatedblocks()
    try:
        start = time.thread_time()
        y = chain(x, 1_000_000)
        ends = [weakref.ref(y.grad_fn), weakref.ref(y)]
        y.backward()
        taken = time.thread_time() - start
        del y
        assert [e() for e in ends] == [None, None]
        blocks = sys.getallocatedblocks() - before
    finally:
        gc.enable()
    assert x.grad.item() == 1.0
    assert blocks < 100_000  # a million nodes would hold several millions
    assert taken < 15


def test_memory_comes_back_without_the_collector() -> None:
    x = torch.ones(1000, dtype=torch.float64, requires_grad=True)

    def round_() -> None:
        y = x
        for _ in range(2000):
            y = (y * 1.001).tanh()
        y.sum().backward()

    round_()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        round_()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3):
            round_()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak > 10_000_000, "the test measures nothing"
    assert held - before < 100_000


def test_backward_frees_as_it_goes() -> None:
    """The values kept for backward are dropped node by node; retain_graph keeps them."""
    x = torch.ones(100_000, dtype=torch.float64, requires_grad=True)
    tracemalloc.start()
    try:
        y = x
        for _ in range(20):
            y = y.exp().log()
        y = y.sum()
        kept = tracemalloc.get_traced_memory()[0]
        y.backward(retain_graph=True)
        still = tracemalloc.get_traced_memory()[0]
        y.backward()
        freed = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    array = x.nbytes
    assert kept > 15 * array and still > 15 * array and freed < 4 * array


def test_only_what_a_rule_reads_is_kept() -> None:
    x = torch.ones(100_000, dtype=torch.float64, requires_grad=True)
    tracemalloc.start()
    try:
        y = x
        for _ in range(20):
            y = (y + 1.0) - 2.0  # nothing is read backward
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 3 * x.nbytes


# ---- cycles
def _plain() -> None:
    x = torch.ones(3, requires_grad=True)
    for _ in range(3):
        (x * x.exp()).sum().backward()


def _create_graph() -> None:
    x = torch.ones(3, requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (g * x.grad).sum().backward()


def _hooks() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    x.register_post_accumulate_grad_hook(lambda t: None)
    y.grad_fn.register_hook(lambda a, b: None)
    y.grad_fn.register_prehook(lambda a: None)
    (y * y).sum().backward()


def _writes_and_views() -> None:
    x = torch.ones(3, 3, requires_grad=True)
    y = x * 2
    v = y[0]
    w = y.t()[1:]
    v.mul_(3)
    y.add_(1)
    w.sin_()
    y.retain_grad()
    y[0, 0] = 5
    (y * y).sum().backward()
    with torch.no_grad():
        x[0].zero_()
        v2 = y[1]
    y.mul_(2)
    del v2


def _graph_walks() -> None:
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).exp().sum()
    stack = [y.grad_fn]
    while stack:
        node = stack.pop()
        node.metadata["seen"] = True if hasattr(node, "metadata") else None
        stack += [n for n, _ in node.next_functions if n is not None and hasattr(n, "metadata")]
    y.backward()


def _errors() -> None:
    x = torch.ones(3, requires_grad=True)
    for act in (lambda: x + torch.ones(2), lambda: x.add_(1), lambda: (x * 2).backward(), lambda: x.view(5), lambda: x[7]):
        try:
            act()
        except Exception:  # noqa: S110
            pass
    y = x.exp()
    y.add_(1)
    try:
        y.sum().backward()
    except RuntimeError:
        pass


def _training() -> None:
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        ((w * w).sum() + torch.nn.functional.relu(w).sum() if hasattr(torch.nn, "functional") else (w * w).sum()).backward()
        optimizer.step()


def _modes() -> None:
    x = torch.ones(3, requires_grad=True)

    @torch.no_grad()
    def values() -> Iterator[Any]:
        yield x * 2

    list(values())
    with torch.inference_mode():
        x.exp()
    with torch.no_grad(), torch.enable_grad():
        x.exp().sum().backward()


def _transforms() -> None:
    x = torch.ones(5, 3)
    torch.func.vmap(torch.func.grad(lambda v: (v * v).sum()))(x)
    torch.func.vmap(lambda a, b: a + b["y"], (0, {"y": None}))(x, {"y": x[0]})
    torch.func.jacrev(lambda v: v * v)(x[0])
    torch.func.jvp(lambda v: v.exp(), (x,), (x,))


@pytest.mark.parametrize(
    "program", [_plain, _create_graph, _hooks, _writes_and_views, _graph_walks, _errors, _modes, _transforms]
)
def test_no_cycle_is_left(program: Callable[[], None]) -> None:
    """What a program made is gone when its names are: the cyclic collector finds nothing."""
    program()  # what is loaded or made once is not meant
    gc.collect()
    gc.disable()
    try:
        program()
        gc.set_debug(gc.DEBUG_SAVEALL)
        found = gc.collect()
        garbage = [repr(type(o)) for o in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found == 0, sorted(set(garbage))


def test_training_leaves_no_tensor_behind() -> None:
    """Optimizers may hold themselves in cycles; the tensors and graphs of a step are gone at once all the same."""
    _training()
    gc.collect()
    gc.disable()
    try:
        w = torch.ones(1000, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = (w * w).sum()
            losses.append(weakref.ref(loss))
            loss.backward()
            optimizer.step()
            del loss
        assert [r() for r in losses] == [None] * 5
    finally:
        gc.enable()


def test_a_result_keeps_no_input_tensor_alive() -> None:
    """Edges join nodes, not tensors: intermediate tensors go when their names do, their arrays when no rule reads them."""
    x = torch.ones(3, requires_grad=True)
    h = x * 2
    array = weakref.ref(h._array)
    tensor = weakref.ref(h)
    y = h + 1
    del h
    assert tensor() is None and array() is None
    h = x * 2
    array = weakref.ref(h._array)
    y = h.sin()
    del h
    assert array() is not None
    y.sum().backward()
    assert array() is None


def test_views_do_not_pile_up() -> None:
    """A tensor whose items are looked at a million times does not remember them all."""
    x = torch.zeros(4)
    for i in range(5000):
        x[i % 4]
    assert len(x._views or ()) < 200


def test_the_graph_of_a_dropped_loss_is_dropped() -> None:
    x = torch.ones(10, requires_grad=True)
    y = x.exp().sum()
    node = weakref.ref(y.grad_fn)
    y = None
    assert node() is None


def test_gradients_keep_no_graph() -> None:
    x = torch.ones(10, requires_grad=True)
    y = x.exp().sum()
    node = weakref.ref(y.grad_fn)
    y.backward()
    del y
    assert node() is None and x.grad.grad_fn is None
    g = x.grad
    assert isinstance(g.detach().numpy(), np.ndarray)


# ---- what comes in between: signals, finalizers, forks
class Late(Exception):
    """What a handler of signals raises in these tests."""


@contextlib.contextmanager
def alarmed(handler: Callable[..., None], seconds: float, again: float = 0.0) -> Iterator[None]:
    """Let a handler run on this thread after some time, and again and again."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no signals after a time here")


@signals
@pytest.mark.parametrize("seconds", [0.002, 0.2])
def test_an_interrupt_waits_for_the_threads_that_are_at_work(seconds: float) -> None:
    """They write to memory that is somebody else's once the call is over."""
    from wengert import threads

    def late(*_: Any) -> None:
        raise Late

    def part(thread: int, first: int, last: int) -> None:
        busy.add((thread, first))
        time.sleep(0.4 if thread else 0.003)
        busy.discard((thread, first))

    busy: set[Any] = set()
    count = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(Late), alarmed(late, seconds):
            threads.spread(part, 300, 10, contextlib.nullcontext)
        assert not [thread for thread, _ in busy if thread]
        done = np.zeros(300)
        threads.spread(lambda _, first, last: np.add(done[first:last], 1, out=done[first:last]), 300, 10, contextlib.nullcontext)
        assert (done == 1).all()
    finally:
        torch.set_num_threads(count)


@signals
@pytest.mark.parametrize("fast_math", [False, True])
def test_a_program_is_run_by_what_interrupts_it(fast_math: bool) -> None:
    f = torch.compile(lambda x: (x * 2 + 1).exp().sin() * x, fast_math=fast_math)
    x, y = (torch.tensor(0.3), torch.tensor(0.7)) if fast_math else (torch.full((60, 90), 0.3), torch.full((60, 90), 0.7))
    expected = [[f(v).sum().item() for v in (x, y)] for _ in range(3)][-1]
    between: list[float] = []

    def handle(*_: Any) -> None:
        if not busy:
            busy.append(True)
            between.append(f(y).sum().item())
            busy.clear()

    busy: list[bool] = []
    end = time.monotonic() + 0.4
    with alarmed(handle, 0.001, 0.001):
        while time.monotonic() < end:
            made = f(x).sum().item()
            assert made == expected[0]
    assert between and {*between} == {expected[1]}


def eager_calls() -> Any:
    x = torch.ones(3)
    return lambda: ((x @ x).exp() + x).sin_().cumsum(0).reshape(3, 1)


def eager_steps() -> Any:
    x = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        (x * x).exp().backward()
        optimizer.step()

    return step


def compiled_calls() -> Any:
    numbers = {f"{i}": i for i in range(30)}
    x = torch.ones(1)
    return torch.compile(lambda: functools.reduce(lambda y, n: y.sin() + n, numbers.values(), x))


def compiled_layers() -> Any:
    layer = torch.nn.Linear(1, 1)
    f, x = torch.compile(lambda x: layer(x).exp()), torch.ones(1, 1)
    return lambda: f(x).backward()


@signals
@pytest.mark.parametrize("program", [eager_calls, eager_steps, compiled_calls, compiled_layers])
def test_what_handles_a_signal_raises_comes_as_it_is(program: Callable[[], Any]) -> None:
    """In the middle of a kernel, of what a compiled function watches, of a program of single elements: nobody takes it for a
    failure of theirs, and recording stays on."""

    class LateValue(Late, ValueError):
        pass

    def late(*_: Any) -> None:
        raise LateValue

    run = program()
    for _ in range(3):
        run()
    for n in range(200):
        with pytest.raises(LateValue), alarmed(late, 0.0003 + 1e-6 * n):
            end = time.monotonic() + 1
            while time.monotonic() < end:
                run()
        assert torch.is_grad_enabled()


def test_a_lock_is_taken_again_by_a_finalizer_that_runs_inside() -> None:
    from wengert import tape
    from wengert.ops.random import default_generator

    x = torch.ones(3, requires_grad=True)
    with tape._leaves:
        (x * 2).sum().backward()
    with default_generator._lock:
        assert torch.rand(3).shape == (3,)
    assert x.grad is not None and x.grad.tolist() == [2, 2, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_waits_for_no_thread_that_it_has_not() -> None:
    """Another thread is in the middle of a step when the process is forked."""
    from wengert import tape
    from wengert.ops.random import default_generator

    x = torch.ones(30, 40, requires_grad=True)
    f = torch.compile(lambda x: (x * 2).sin())
    f(x.detach()), f(x.detach())
    lock = threading.Event(), threading.Event()

    def hold() -> None:
        with tape._leaves, default_generator._lock:
            lock[0].set()
            lock[1].wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    lock[0].wait(10)
    child = os.fork()
    if not child:
        signal.alarm(10)
        status = 1
        try:
            x.exp().sum().backward()
            f(x.detach() + torch.rand(30, 40))
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    lock[1].set()
    thread.join()
    assert ended == 0
