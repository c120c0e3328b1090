"""Compiled functions: passes, programs, guards, and equality with eager on every op, optimizer and seed.

Owns: the proofs of wengert.compile. May import: wengert, the case table, NumPy. Must not know: how a program is made.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import copy
import dataclasses
import functools
import inspect
import io
import itertools
import pickle
import random
import sys
import threading
import types
import warnings
import weakref
from collections import defaultdict, deque
from typing import Any

import numpy as np
import pytest

import wengert as torch
from test_graph import same, seed_step, two_equations
from test_ops import title
from wengert.compiler import schedule
from wengert.compiler.passes.lower import lower
from wengert.compiler.program import FLOATS
from wengert.testing.cases import FUNCTIONS, Case
from wengert.testing.ops import call, flat

NO_CAPTURE = {  # ask for values, or make their result from Python data
    "allclose", "equal", "is_nonzero", "item", "masked_select", "nonzero", "tolist", "argwhere", "numel", "result_type",
    "new_tensor", "bincount", "unique", "is_same_size", "repeat_interleave",
}  # fmt: skip


ASK_FOR_SOME = {"__getitem__", "__setitem__", "index_put"}  # where an index is a 0-d tensor: its value is a Python number's


# ---- programs
def of_type(dtype: Any, maker: Any) -> Any:
    torch.set_default_dtype(dtype)
    try:
        return maker()[0]
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("maker", "dtype"), [(seed_step, torch.float32), (seed_step, torch.float64), (two_equations, torch.float64)])
def test_the_seed_steps_run_on_scalars_and_equal_eager(maker: Any, dtype: Any) -> None:
    compiled, eager = torch.compile(of_type(dtype, maker)), of_type(dtype, maker)
    for _ in range(50):
        assert same(compiled(), eager())
    (program,) = compiled.programs
    assert len(program.scalars) == len(program.graph.equations)
    assert "multiply" in compiled.source() and "equations" in compiled.explanation()


def test_functions_of_single_elements_are_nearer_than_eager_ones() -> None:
    """`math` computes those of float32 in double; what NumPy computes in float32 is farther from the numbers of a float64 loop."""
    eager, compiled = of_type(torch.float32, two_equations), torch.compile(of_type(torch.float32, two_equations))
    wide, found = of_type(torch.float64, two_equations), []
    for _ in range(50):
        truth = wide().item()
        found.append([abs(compiled().item() - truth), abs(eager().item() - truth)])
    (ours, theirs), largest = np.mean(found, 0), np.max(found)
    assert ours <= theirs and largest < 1e-6
    assert "one * exp(" in compiled.source() and " = cos(" in compiled.source()


@pytest.mark.parametrize("name", sorted(FLOATS))
def test_a_function_of_one_float32_is_its_double_rounded(name: str) -> None:
    f, draw = getattr(torch, name), np.random.default_rng(0)
    compiled, chained = torch.compile(lambda x: f(x) * 1), torch.compile(lambda x: f(f(x) + 0.25))
    for run in (compiled, chained) * 2:
        run(torch.ones(1))  # a first call is eager
    for v in (*draw.uniform(-3, 3, 40).astype(np.float32), 0.0, -0.0, 200.0, -200.0, 1e-30, np.inf, -np.inf, np.nan, 1e38):
        x = torch.tensor([v], dtype=torch.float32)
        with np.errstate(all="ignore"):
            expected = np.float32(getattr(np, name)(np.float64(x.item())))
            again = np.float32(getattr(np, name)(np.float64(expected + np.float32(0.25))))
        for made, wanted in ((compiled(x), expected), (chained(x), again)):
            np.testing.assert_array_equal(made.numpy(), [wanted])
            assert made.dtype is torch.float32 and np.signbit(made.numpy()[0]) == np.signbit(wanted) or np.isnan(wanted)


def fits(case: Case) -> bool:
    return bool(case.samples) and not case.random and case.name not in NO_CAPTURE and any(s.leaves() for s in case.samples)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arrays of any size run in blocks, of a row or two."""
    monkeypatch.setattr(schedule, "LARGE", 1)
    monkeypatch.setitem(lower.__globals__, "LARGE", 1)  # the module bears the function's name
    monkeypatch.setattr(schedule, "BLOCK_BYTES", 64)
    monkeypatch.setattr(schedule, "WIDE_BYTES", 64)


@pytest.mark.parametrize("case", [c for c in FUNCTIONS.values() if fits(c)], ids=title)
def test_every_function_in_blocks_equals_eager(case: Case, small_blocks: None) -> None:
    compare_compiled(case, 1e-11, gradients=True)


@pytest.mark.parametrize("case", [c for c in FUNCTIONS.values() if fits(c)], ids=title)
def test_every_function_compiled_equals_eager(case: Case) -> None:
    compare_compiled(case, 1e-14, gradients=False)


def compare_compiled(case: Case, tolerance: float, gradients: bool) -> None:
    """Compare what a compiled function returns with what it does eagerly, for every sample of a case; with the gradient of the
    sum of its results and a chain of elementwise ops around it, which give groups something to begin with."""
    for sample in case.samples:
        arrays = sample.arrays(case.name)
        if not arrays or (case.name == "where" and len(sample.args) == 1) or any(a.dtype == bool for a in arrays):
            continue  # masks ask for values where they index

        def run(*values: Any, case: Any = case, sample: Any = sample) -> Any:
            if not gradients:
                return tuple(r for r in flat(call(torch, case, sample, list(values))) if isinstance(r, torch.Tensor))
            inputs = [(v * 1.5 - v * 0.5).detach().requires_grad_() if v.is_floating_point() else v for v in values]
            used = [v * 1 if v.requires_grad else v for v in inputs]  # leaves may not be written to
            made = [r for r in flat(call(torch, case, sample, used)) if isinstance(r, torch.Tensor)]
            terms = [(r * r).sum() for r in made if r.requires_grad and r.is_floating_point()]
            wanted = [v for v in inputs if v.requires_grad]
            grads = torch.autograd.grad(sum(terms), wanted, allow_unused=True) if terms and wanted else ()
            return tuple(r.detach() for r in made) + tuple(g for g in grads if g is not None)

        def given(arrays: Any = arrays) -> list[Any]:
            return [torch.from_numpy(a.copy()) for a in arrays]

        expected = run(*given())
        compiled = torch.compile(run)
        for _ in range(3):
            inputs = given()
            try:
                made = compiled(*inputs)
            except RuntimeError as error:
                assert "needs a value" in str(error) and case.name in ASK_FOR_SOME, (case.name, str(sample))
                break
            assert len(made) == len(expected)
            for m, e in zip(made, expected, strict=True):
                assert m.dtype == e.dtype and m.shape == e.shape
                np.testing.assert_allclose(m.numpy(), e.numpy(), tolerance, tolerance, err_msg=f"{case.name}{sample}")


def test_large_arrays_run_in_blocks() -> None:
    x = torch.linspace(-1, 1, 300_001, dtype=torch.float64)

    def f(x: Any) -> Any:
        y = torch.exp(-x * x) * torch.sin(x) + 3 * x
        return y, y.sum(), y * 2

    compiled = torch.compile(f)
    for _ in range(3):
        (y, total, twice), (y_, total_, twice_) = compiled(x), f(x)
        np.testing.assert_array_equal(y.numpy(), y_.numpy())
        np.testing.assert_array_equal(twice.numpy(), twice_.numpy())
        np.testing.assert_allclose(total.item(), total_.item(), atol=1e-9)  # the terms are added in another order
    (program,) = compiled.programs
    assert program.groups and "in blocks" in program.source


def test_blocks_and_single_elements_meet() -> None:
    x = torch.linspace(0, 1, 70_000, dtype=torch.float64)

    def f(x: Any) -> Any:
        scale = x[0] * 2 + x[-1]
        return (x * scale + scale).exp() * 3

    compiled = torch.compile(f)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x).numpy(), f(x).numpy())
    assert compiled.programs[0].groups and compiled.programs[0].scalars


def test_results_of_earlier_calls_stay() -> None:
    compiled = torch.compile(lambda x: (x * 2, x[1:], x))
    first = [compiled(torch.full((3,), float(i))) for i in range(5)]
    assert [r[0].tolist() for r in first] == [[2.0 * i] * 3 for i in range(5)]
    a, b, c = compiled(torch.ones(3))
    a += 1
    assert b.tolist() == [1.0, 1.0] and c.tolist() == [1.0, 1.0, 1.0]


def test_gradients_of_earlier_calls_stay() -> None:
    w = torch.ones(3, requires_grad=True)

    def step(x: Any) -> None:
        w.grad = None
        (w * x).sum().backward()

    compiled, kept = torch.compile(step), []
    for i in range(5):
        compiled(torch.full((3,), float(i)))
        kept.append(w.grad)
    assert [g.tolist() for g in kept] == [[float(i)] * 3 for i in range(5)]


def test_writes_to_arguments_and_state_arrive() -> None:
    total = torch.zeros(3)

    def f(x: Any) -> Any:
        x[0] = 5.0
        total.add_(x)
        total[1:].mul_(2)
        return x.sum() + total.sum()

    eager_total = torch.zeros(3)

    def g(x: Any) -> Any:
        x[0] = 5.0
        eager_total.add_(x)
        eager_total[1:].mul_(2)
        return x.sum() + eager_total.sum()

    compiled = torch.compile(f)
    for _ in range(5):
        a, b = torch.ones(3), torch.ones(3)
        assert compiled(a).item() == g(b).item()
        assert a.tolist() == b.tolist() and total.tolist() == eager_total.tolist()


@pytest.mark.parametrize("write", ["y.zero_()", "y.fill_(2.0)", "y.mul_(0)", "y.copy_(y.flip(0))", "y[...] = 3.0"])
def test_a_write_after_a_read_stays_after_it(write: str) -> None:
    names: dict[str, Any] = {}
    exec(f"def f(y):\n    z = y**2\n    {write}\n    return z", names)
    compiled = torch.compile(names["f"])
    for _ in range(3):
        a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0])
        assert compiled(a).tolist() == names["f"](b).tolist() and a.tolist() == b.tolist()


def test_an_argument_that_is_a_result_has_its_gradient() -> None:
    compiled = torch.compile(lambda x, y: (x, x * y, y))
    for _ in range(3):
        x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
        same, product, other = compiled(x, y)
        assert same.requires_grad and not other.requires_grad
        (same + product).sum().backward()
        assert x.grad.tolist() == [4.0, 5.0]


def test_a_history_given_to_an_argument_is_refused() -> None:
    compiled = torch.compile(lambda x, y: y.copy_(x * 2).sum())
    x, y = torch.ones(3, requires_grad=True), torch.zeros(3)
    compiled(x, torch.zeros(3))
    with pytest.raises(RuntimeError, match="history would be lost"):
        compiled(x, y)
    assert not y.requires_grad and y.tolist() == [0.0, 0.0, 0.0]


def test_complex_numbers_on_the_way_of_a_gradient() -> None:
    def loss(x: Any) -> Any:
        return (torch.fft.rfft(x).abs() * torch.complex(x, x * x)[:3].abs()).sum()

    compiled = torch.compile(loss)
    for _ in range(3):
        x, y = (torch.linspace(0.1, 1.0, 4, dtype=torch.float64).requires_grad_() for _ in range(2))
        compiled(x).backward()
        loss(y).backward()
        assert x.grad.tolist() == pytest.approx(y.grad.tolist())


def test_storages_that_swap_their_values() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])

    def swap() -> None:
        old = a.clone()
        a.copy_(b)
        b.copy_(old)

    compiled = torch.compile(swap)
    for _ in range(3):
        compiled()
    assert a.tolist() == [3.0, 4.0] and b.tolist() == [1.0, 2.0]


def test_random_numbers_are_drawn_in_each_run_and_follow_the_seed() -> None:
    F = torch.nn.functional

    def f(x: Any) -> Any:
        noisy = x + torch.randn(3) + torch.rand_like(x) + torch.randint(0, 9, (3,)) + torch.zeros(3).normal_()
        return F.dropout(noisy, 0.5), torch.bernoulli(torch.full((3,), 0.5)), torch.randperm(5)

    compiled = torch.compile(f)
    x = torch.ones(3)
    compiled(x), compiled(x)
    runs = []
    for function in (compiled, f):
        torch.manual_seed(3)
        runs.append([[y.tolist() for y in function(x)] for _ in range(4)])
    assert runs[0] == runs[1]
    assert len({str(r) for r in runs[0]}) == 4


# ---- kinds of calls and guards
def test_shapes_types_and_python_arguments_are_kinds_of_calls() -> None:
    runs = io.StringIO()  # a file is no state that a function reads

    @torch.compile
    def f(x: Any, k: int = 1) -> Any:
        runs.write(".")
        return x * k

    for _ in range(4):
        for x, k in ((torch.ones(2), 1), (torch.ones(3), 1), (torch.ones(2), 2), (torch.ones(2, dtype=torch.float64), 1)):
            assert (f(x, k) == x * k).all()
    assert len(runs.getvalue()) == 8 and len(f.programs) == 4  # each kind: once eagerly, once captured


def test_what_the_closure_holds_is_watched() -> None:
    scale, weight = 2.0, torch.ones(2)

    def f(x: Any) -> Any:
        return x * weight * scale

    compiled, x = torch.compile(f), torch.ones(2)
    assert [compiled(x).tolist() for _ in range(3)] == [[2.0, 2.0]] * 3
    scale = 3.0
    assert [compiled(x).tolist() for _ in range(3)] == [[3.0, 3.0]] * 3
    weight = torch.zeros(2)
    assert [compiled(x).tolist() for _ in range(3)] == [[0.0, 0.0]] * 3
    weight.data = torch.ones(2) * 5
    assert [compiled(x).tolist() for _ in range(3)] == [[15.0, 15.0]] * 3
    assert [why.split()[0] for why in compiled.recaptures] == ["scale", "weight", "weight"]


def test_what_is_read_of_a_module_is_watched() -> None:
    settings = types.ModuleType("wengert_settings_of_a_user")
    exec("scale = 2.0\nlist_ = [1.0]\ndef twice(x): return 2 * x * list_[0]", settings.__dict__)
    scope: dict[str, Any] = {"settings": settings}
    exec("def f(x): return settings.twice(x) * settings.scale", scope)
    compiled, x = torch.compile(scope["f"]), torch.ones(1)
    assert [compiled(x).item() for _ in range(3)] == [4.0] * 3
    settings.scale = 3.0
    assert [compiled(x).item() for _ in range(3)] == [6.0] * 3
    settings.list_[0] = 5.0
    assert [compiled(x).item() for _ in range(3)] == [30.0] * 3
    assert [why.split(" ")[0] for why in compiled.recaptures] == ["settings.scale", "list_[0]"]


def test_a_learning_rate_that_changes_is_seen() -> None:
    (step, x), (eager, y) = seed_step(), seed_step()
    compiled = torch.compile(step)
    for rate in (0.1, 0.1, 0.1, 0.5, 0.5, 0.5):
        for function in (step, eager):
            next(c for c in function.__closure__ if isinstance(c.cell_contents, torch.optim.Optimizer)).cell_contents.param_groups[0]["lr"] = rate
        assert same(compiled(), eager()) and x.item() == y.item()


def test_what_changes_each_time_ends_eagerly_with_a_warning() -> None:
    count = 0

    def f(x: Any) -> Any:
        return x * count

    compiled = torch.compile(f)
    with pytest.warns(UserWarning, match="count is"):
        for count in range(40):
            assert compiled(torch.ones(1)).item() == count


def test_arguments_that_share_memory_run_eagerly() -> None:
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return y * 2

    compiled = torch.compile(f)
    for _ in range(3):
        x = torch.ones(2)
        assert compiled(x, x).tolist() == [4.0, 4.0]
        assert compiled(torch.ones(2), torch.ones(2)).tolist() == [2.0, 2.0]


def test_values_asked_for_raise_or_run_eagerly() -> None:
    def f(x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x

    compiled = torch.compile(f)
    compiled(torch.ones(2))
    with pytest.raises(RuntimeError, match="needs a value"):
        compiled(torch.ones(2))
    soft = torch.compile(f, fallback="eager")
    soft(torch.ones(2))
    with pytest.warns(UserWarning, match="runs eagerly"):
        assert soft(torch.ones(2)).tolist() == [2.0, 2.0]
    assert soft(-torch.ones(2)).tolist() == [-1.0, -1.0]


def test_a_capture_that_fails_leaves_nothing_half_written() -> None:
    w = torch.ones(2, requires_grad=True)

    def f() -> Any:
        (w * 2).sum().backward()
        with torch.no_grad():
            w.sub_(w.grad)
        w.grad = None
        return w.sum().item()

    compiled = torch.compile(f)
    compiled()
    before = w.tolist()
    with pytest.raises(RuntimeError):
        compiled()
    assert w.tolist() == before and w.grad is None
    f()
    assert w.tolist() == [-3.0, -3.0]


def test_threads_share_a_program() -> None:
    compiled = torch.compile(lambda x: ((x * 2).sin() + x.exp()).sum())
    inputs = [torch.full((50,), i / 10) for i in range(20)]
    expected = [compiled.function(x).item() for x in inputs]
    got: dict[int, list[float]] = {}

    def work(k: int) -> None:
        got[k] = [compiled(x).item() for x in inputs]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(got[k] == expected for k in range(4))


def test_threads_take_steps_of_one_element_in_turn() -> None:
    w = torch.zeros(1, dtype=torch.float64)

    @torch.compile
    def step() -> Any:
        w.add_(1.0)
        return (w * 2).sqrt() ** 2 / 2

    for _ in range(3):
        step()
    got: list[float] = []
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: got.extend([step().item() for _ in range(300)])) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    assert w.item() == 1203
    assert sorted(round(x) for x in got) == list(range(4, 1204))


def test_what_is_held_of_single_elements_stays_as_it_is() -> None:
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.25)

    @torch.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = (w - 3) ** 2
        loss.backward()
        optimizer.step()
        return loss, loss.sum()

    held: list[Any] = []
    views: list[Any] = []
    for _ in range(8):
        losses = step()
        held.append((*losses, w.grad))
        views.append(w.grad.numpy()[:])
    for i, (loss, total, grad) in enumerate(held):
        distance = 2 * 0.5**i  # halved by each step, exactly
        assert (loss.tolist(), total.item(), grad.tolist()) == ([distance**2], distance**2, [-2 * distance])
        assert grad.shape == (1,) and total.shape == () and not grad.requires_grad
    for i in range(4):  # what is a view of another's memory alone keeps it, too
        held.clear()
        step()
        assert views[i][0] == -4 * 0.5**i
    first = step()[0]
    first.add_(1)
    assert first._version == 1 and step()[0]._version == 0 and step()[0]._version == 0


def test_a_run_on_single_elements_may_fail() -> None:
    x = torch.zeros(1)
    compiled = torch.compile(lambda: (1 / x).exp())
    for _ in range(3):
        assert compiled().item() == float("inf")
    with np.errstate(all="raise"):  # runs once more, without
        assert compiled().item() == float("inf")
    assert compiled().item() == float("inf")


def test_bytes_are_seen_as_another_type() -> None:
    m = torch.arange(24, dtype=torch.float32).reshape(4, 6)

    def halves(x: Any) -> Any:
        return (x * 2).view(torch.int16) + 1

    def pairs(x: Any) -> Any:
        return m[:, 2:4].view(torch.int64) * 2 + x.view(torch.int64)[:4, None], (m + 1).view(torch.uint8)

    def written(x: Any) -> Any:
        y = x.clone()
        y.view(torch.int16)[::2] = 0
        return y

    for function in (halves, pairs, written):
        compiled = torch.compile(function)
        for size in (8, 8, 8, 10, 12, 14, 16, 100_000):
            x = torch.arange(size, dtype=torch.float32)
            for made, wanted in zip(flat(compiled(x)), flat(function(x)), strict=True):
                assert made.dtype == wanted.dtype and torch.equal(made, wanted)
    compiled = torch.compile(lambda: m.t().view(torch.int16) + 1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"stride\(-1\) must be 1 to view float32 as int16"):
            compiled()


def test_a_compiled_function_is_a_part_of_the_transform_around_it() -> None:
    x, scale = torch.ones(64), torch.zeros(3)
    compiled = torch.compile(lambda x: torch.nn.functional.dropout(x, 0.5))
    for _ in range(4):
        compiled(x)  # a straight call from now on
    masks = torch.func.vmap(lambda s: compiled(x) + s, randomness="different")(scale)
    assert not torch.equal(masks[0], masks[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.func.vmap(lambda s: compiled(x) + s)(scale)
    compiled(x)


# ---- gradients outside
def test_a_compiled_loss_is_differentiated_outside() -> None:
    w, b = torch.randn(5, 4, requires_grad=True), torch.zeros(4, requires_grad=True)
    x, y = torch.randn(20, 5, requires_grad=True), torch.randn(20, 4)

    def loss(x: Any, y: Any) -> Any:
        z = (x @ w + b).tanh()
        return (z - y).pow(2).mean(), z.detach().sum()

    compiled = torch.compile(loss)
    for i in range(4):
        made = []
        for function in (compiled, loss):
            for t in (w, b, x):
                t.grad = None
            value, other = function(x * 1.0, y)
            (value * 3).backward()
            made.append([value.item(), other.item(), *(t.grad.clone() for t in (w, b, x))])
        assert made[0][:2] == made[1][:2]
        for m, e in zip(made[0][2:], made[1][2:], strict=True):
            np.testing.assert_allclose(m.numpy(), e.numpy(), 1e-5, 1e-7)
        if i:
            assert value.grad_fn is not None
        with torch.no_grad():
            w -= 0.1 * w.grad
    assert not compiled.recaptures


def test_a_parameter_written_between_forward_and_backward_is_noticed() -> None:
    w = torch.ones(3, requires_grad=True)
    compiled = torch.compile(lambda x: (w * w * x).sum())
    for _ in range(3):
        value = compiled(torch.ones(3))
    with torch.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_a_compiled_write_is_noticed_by_graphs_made_before() -> None:
    w = torch.ones(3, requires_grad=True)

    def step(x: Any) -> None:
        with torch.no_grad():
            w.mul_(2)
            x.add_(1)

    compiled, x = torch.compile(step), torch.ones(3, dtype=torch.float64)
    for _ in range(3):
        y, z = (w * w).sum(), (torch.ones(3, dtype=torch.float64, requires_grad=True) * x).sum()
        compiled(x)
        for value in (y, z):
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                value.backward()


def test_any_tensor_written_between_forward_and_backward_is_noticed() -> None:
    w, scale = torch.ones(3, requires_grad=True), torch.ones(3)
    compiled = torch.compile(lambda x: (w * scale * x).sum())
    for _ in range(3):
        value = compiled(torch.ones(3))
    scale.mul_(5)
    with pytest.raises(RuntimeError, match="written to between forward and backward"):
        value.backward()


def test_a_storage_that_cannot_be_watched_is_kept() -> None:
    context, scale, w = contextvars.Context(), contextvars.ContextVar("scale"), torch.ones(3, requires_grad=True)
    context.run(scale.set, torch.ones(3))
    compiled = torch.compile(lambda x: (w * context[scale] * x).sum())
    for _ in range(3):
        value = compiled(torch.ones(3))
    context[scale].mul_(5)
    value.backward()
    assert w.grad.tolist() == [1.0, 1.0, 1.0]  # as the forward was
    assert compiled(torch.ones(3)).item() == 15.0


def test_objects_and_arrays_among_the_arguments_and_around_are_watched() -> None:
    class Settings:
        def __init__(self) -> None:
            self.rate = 1.0

    settings, array = Settings(), np.ones(1, np.float32)
    compiled = torch.compile(lambda x, settings: x * settings.rate * torch.tensor(array))
    assert [compiled(torch.ones(1), settings).item() for _ in range(3)] == [1.0] * 3
    settings.rate = 7.0
    assert [compiled(torch.ones(1), settings).item() for _ in range(3)] == [7.0] * 3
    array[0] = 2.0
    assert [compiled(torch.ones(1), settings).item() for _ in range(3)] == [14.0] * 3


def test_too_much_to_watch_is_refused_with_the_remedy() -> None:
    many, large = list(range(20_000)), np.ones(100_000)
    for f in (lambda x: x * many[3], lambda x: x * torch.tensor(large[:1])):
        compiled = torch.compile(f)
        compiled(torch.ones(1))
        with pytest.raises(RuntimeError, match="pass "):
            compiled(torch.ones(1))


def test_options_of_torch_are_accepted() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = torch.compile(lambda x: x + 1, fullgraph=True, mode="max-autotune", dynamic=False, backend="inductor")
        assert [f(torch.ones(1)).item() for _ in range(3)] == [2.0] * 3
        assert torch.compile(disable=True)(f) is f
    with pytest.raises(ValueError, match="fallback"):
        torch.compile(lambda x: x, fallback="maybe")


# ---- memory, threads, failures inside of blocks
def test_memory_of_results_is_used_again_only_when_nobody_holds_it() -> None:
    compiled = torch.compile(lambda x: x.exp() * 2)
    x = torch.ones(100_000)
    for _ in range(3):
        compiled(x)
    first = compiled(x)
    part = compiled(x * 2)[:5]
    third = compiled(x * 3)
    expected = [np.float32(2) * np.exp(np.float32(n)) for n in (1, 2, 3)]
    for made, e in zip((first, part, third), expected, strict=True):
        np.testing.assert_allclose(made.numpy(), e, 1e-6)
    address = first.data_ptr()
    del first, made
    assert compiled(x).data_ptr() == address


def large_step() -> Any:
    torch.manual_seed(0)
    w, b = torch.randn(200, requires_grad=True), torch.randn(200, requires_grad=True)
    scale = torch.randn(900, 200, requires_grad=True)
    x, y = torch.randn(900, 200), torch.arange(900) % 200
    optimizer = torch.optim.Adam([w, b, scale], lr=0.01)

    def step() -> Any:
        F = torch.nn.functional
        optimizer.zero_grad()
        loss = F.cross_entropy(F.gelu(F.layer_norm(x * scale, (200,), w, b)), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, [w, b, scale], y


@pytest.mark.parametrize("count", [1, 3])
def test_blocks_on_several_threads_give_the_same(count: int) -> None:
    (step, params, _), (eager, others, _) = large_step(), large_step()
    before, compiled = torch.get_num_threads(), torch.compile(step)
    torch.set_num_threads(count)
    try:
        for _ in range(5):
            assert compiled().item() == pytest.approx(eager().item(), rel=1e-5)
    finally:
        torch.set_num_threads(before)
    for ours, theirs in zip(params, others, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-3, 1e-4)
    (program,) = compiled.programs
    assert max(len(g.equations) for g in program.groups) > 20 and "in blocks" in compiled.explanation()


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_inside_of_a_block_is_raised(count: int) -> None:
    step, _, y = large_step()
    before, compiled = torch.get_num_threads(), torch.compile(step)
    torch.set_num_threads(count)
    try:
        for _ in range(3):
            loss = compiled()
        y[850] = 777
        with pytest.raises(IndexError, match="class"):
            compiled()
        y[850] = 7
        assert compiled().item() < loss.item() * 1.1
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_is_late_leaves_rows_to_the_others() -> None:
    from wengert import threads

    done, rest = [], threading.Event()

    def part(thread: int, first: int, last: int, name: str) -> None:
        if first == 0:  # while this one waits, others do all that is left
            assert rest.wait(10)
        done.append((first, last, name))
        if sum(last - first for first, last, _ in done) >= 900:
            rest.set()

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        threads.spread(part, 1000, 30, contextlib.nullcontext, "rows")
        assert {t.name for t in threading.enumerate()} >= {"wengert_0", "wengert_1"}
    finally:
        torch.set_num_threads(before)
    assert [first for first, *_ in sorted(done)] == [0, *[last for _, last, _ in sorted(done)][:-1]]
    assert max(done)[1] == 1000 and all(first % 30 == 0 and name == "rows" for first, _, name in done)
    for t in threading.enumerate():
        if t.name.startswith("wengert_"):
            t.join(10)
            assert not t.is_alive()


def test_blas_has_one_thread_while_blocks_are_spread() -> None:
    from threadpoolctl import ThreadpoolController

    from wengert import threads

    blas = ThreadpoolController().select(user_api="blas")

    def counts() -> set[int]:
        return {library["num_threads"] for library in blas.info()}

    def part(thread: int, first: int, last: int, depth: int) -> None:
        found.append(counts())
        if depth and not first:
            threads.spread(part, 4, 1, contextlib.nullcontext, depth - 1)

    def refused(*_: Any) -> None:
        raise RuntimeError("a part that fails")

    before, found = torch.get_num_threads(), list[set[int]]()
    torch.set_num_threads(2)
    try:
        assert counts() == {2}
        threads.spread(part, 4, 1, contextlib.nullcontext, 2)
        assert len(found) == 12 and all(n == {1} for n in found) and counts() == {2}
        with pytest.raises(RuntimeError, match="fails"):
            threads.spread(refused, 4, 1, contextlib.nullcontext)
        assert counts() == {2}
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_is_checked() -> None:
    with pytest.raises(RuntimeError, match="positive"):
        torch.set_num_threads(0)
    with pytest.raises(TypeError, match="int"):
        torch.set_num_threads("2")


def test_too_many_kinds_of_calls_are_warned_of() -> None:
    compiled = torch.compile(lambda x, k: x * k)
    with pytest.warns(UserWarning, match=r"more than 16 ways.*0 became 16"):
        for k in range(40):
            assert compiled(torch.ones(1), k).item() == k
    assert len(compiled.entries) == 16


def test_an_error_names_the_line_of_the_program() -> None:
    def decides(x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x

    compiled = torch.compile(decides)
    compiled(torch.ones(2))
    with pytest.raises(RuntimeError, match=r"test_compile.py, line \d+: return x \* 2 if x.sum\(\) > 0 else x"):
        compiled(torch.ones(2))


# ---- random programs
def test_random_programs_captured_give_the_same(small_blocks: None) -> None:
    from wengert.testing.programs import Run, program

    captured = 0
    for seed in range(80):
        steps, eager = program(seed)
        if eager.raised:
            continue

        def values(*given: Any, seed: int = seed, steps: Any = steps) -> Any:
            run = Run(torch, seed)
            run.pool = [x.clone().requires_grad_(y.requires_grad) for x, y in zip(given, run.pool, strict=True)]
            run.leaves = [x for x in run.pool if x.requires_grad]
            for step in steps:
                if not run.take(step):
                    raise run.error  # type: ignore[misc]
            goal = run.goal()
            grads = torch.autograd.grad(goal, run.leaves, allow_unused=True) if getattr(goal, "requires_grad", False) else ()
            return [x.detach() for x in run.pool], [g for g in grads if g is not None]

        start = [x.detach() for x in Run(torch, seed).pool]
        compiled = torch.compile(values, fallback="eager")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # programs that ask for values run eagerly, and say so
            try:
                expected = values(*start)
            except RuntimeError:
                continue  # eager refuses its gradient
            for _ in range(3):
                made = compiled(*start)
        captured += bool(compiled.programs)
        for ours, theirs in zip((*made[0], *made[1]), (*expected[0], *expected[1]), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 1e-10, 1e-10, err_msg=f"seed {seed}")
    assert captured >= 15


# ---- devices
def test_a_step_on_a_device_with_state_on_the_host_is_fused() -> None:
    pytest.importorskip("pyopencl")
    if not any(d.available for d in torch.device("opencl").backend.devices()):
        pytest.skip("no OpenCL device")
    step, eager = step_on("opencl"), step_on("opencl")
    compiled = torch.compile(step)
    for _ in range(5):
        assert compiled().item() == pytest.approx(eager().item(), rel=1e-5)
    text = compiled.explanation()
    assert "as one kernel: mean, subtract" in text and "gelu" in text and "sqrt, add, divide" in text


def step_on(device: str) -> Any:
    torch.manual_seed(0)
    F = torch.nn.functional
    x, y = torch.randn(30, 20).to(device), (torch.arange(30) % 7).to(device)
    w, v = torch.randn(16, 20).to(device).requires_grad_(), torch.randn(7, 16).to(device).requires_grad_()
    g = torch.ones(16).to(device).requires_grad_()
    optimizer = torch.optim.Adam([w, v, g], lr=0.01)  # it counts its steps on the host

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.gelu(F.layer_norm(x @ w.t(), (16,), g)) @ v.t(), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def test_defaults_of_an_optimizer_are_watched_where_code_reads_them() -> None:
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)

    def step(x: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = (w * x).sum() * optimizer.defaults["lr"]
        loss.backward()
        optimizer.step()
        return loss

    compiled, x = torch.compile(step), torch.zeros(2)
    for _ in range(3):
        compiled(x + 1)
    optimizer.defaults["lr"] = 0.25
    before = w.detach().clone()
    assert compiled(x + 1).item() == before.sum().item() * 0.25
    assert w.tolist() == (before - 0.5 * 0.25).tolist()


def test_defaults_of_a_function_are_watched() -> None:
    total = torch.zeros(2)

    def add(x: Any, to: Any = total, times: int = 2) -> Any:
        return to.add_(x * times).sum()

    compiled = torch.compile(add)
    for n in range(1, 5):
        assert compiled(torch.ones(2)).item() == 4.0 * n
    add.__defaults__ = (torch.zeros(2), 3)
    assert [compiled(torch.ones(2)).item() for _ in range(3)] == [6.0, 12.0, 18.0] and total.tolist() == [8.0, 8.0]

    def scaled(x: Any, *, by: float = 2.0) -> Any:
        return x * by

    compiled = torch.compile(scaled)
    assert [compiled(torch.ones(1)).item() for _ in range(3)] == [2.0] * 3
    scaled.__kwdefaults__ = {"by": 5.0}
    assert [compiled(torch.ones(1)).item() for _ in range(3)] == [5.0] * 3


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Rprop", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD"])
def test_optimizers_in_blocks_equal_eager(name: str, small_blocks: None) -> None:
    def make() -> Any:
        torch.manual_seed(1)
        w, b = torch.randn(6, 4, dtype=torch.float64, requires_grad=True), torch.zeros(4, dtype=torch.float64, requires_grad=True)
        x, y = torch.randn(9, 6, dtype=torch.float64), torch.randn(9, 4, dtype=torch.float64)
        optimizer = getattr(torch.optim, name)([w, b], lr=0.05)

        def step() -> Any:
            optimizer.zero_grad()
            loss = ((x @ w + b).tanh() - y).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return step, w, b

    (step, *ours), (eager, *theirs) = make(), make()
    compiled = torch.compile(step, fallback="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimizer that asks for values runs eagerly, and says so
        for _ in range(8):
            assert compiled().item() == pytest.approx(eager().item(), rel=1e-10)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-10, 1e-12)
    assert compiled.programs, compiled.explanation()


def test_a_write_to_a_row_that_a_tensor_names_is_refused() -> None:
    """x[i] is a view where i is a number, and i has none in a captured function: the write would be lost."""

    def write(x: Any) -> Any:
        y = x * 1
        y[torch.tensor(0)].add_(5)
        return y

    compiled = torch.compile(write)
    compiled(torch.ones(2))
    with pytest.raises(RuntimeError, match=r"writing to x\[i\], where i is a 0-d tensor"):
        compiled(torch.ones(2))


# ---- what a program does not have, and what other code holds
def eagerly(function: Any, *calls: Any) -> list[Any]:
    """Return what a compiled function gives for some calls; it must say that it runs eagerly."""
    compiled = torch.compile(function, fallback="eager")
    with pytest.warns(UserWarning, match="runs eagerly"):
        return [compiled(*c) for c in calls]


@pytest.mark.parametrize("clear", ["none", "zero", "never"])
def test_gradients_that_were_there_before_are_those_of_the_call(clear: str) -> None:
    """Optimizers, clipping and accumulation take `.grad` as it is, though it is another tensor each time."""

    def make(compiled: Any) -> list[Any]:
        w = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.5)
        forward = compiled(lambda x: (w * x).sum().backward())
        step, clip = compiled(optimizer.step), compiled(lambda: torch.nn.utils.clip_grad_norm_([w], 5.0))
        found = []
        for i in range(12):
            forward(torch.tensor([1.0, i]))
            if i % 3 == 2:
                found.append(clip().item())
                step()
                if clear != "never":
                    optimizer.zero_grad(set_to_none=clear == "none")
            found += [None if w.grad is None else w.grad.tolist(), w.tolist()]
        return found

    def compiled(function: Any) -> Any:
        made.append(torch.compile(function))
        return made[-1]

    made: list[Any] = []
    assert make(compiled) == make(lambda f: f)
    assert all(f.programs for f in made)


def test_a_gradient_that_was_not_there_at_the_capture_is_added_to() -> None:
    w = torch.ones(1, requires_grad=True)
    step, found = torch.compile(lambda x: (w * x).sum().backward()), []
    for i in range(6):
        if i < 3:
            w.grad = None
        step(torch.tensor([float(i)]))
        found.append(w.grad.item())
    assert found == [0, 1, 2, 5, 9, 14]


def test_random_numbers_of_python_are_drawn_at_each_call() -> None:
    rng, other = np.random.RandomState(0), random.Random(0)
    twins = np.random.RandomState(0), random.Random(0)
    found = eagerly(lambda x: x * rng.rand() + other.random(), *[(torch.ones(()),)] * 4)
    assert [x.item() for x in found] == pytest.approx([twins[0].rand() + twins[1].random() for _ in range(4)])


def test_a_distribution_is_returned_by_a_program() -> None:
    compiled = torch.compile(lambda x: torch.distributions.Normal(x, 1.0))
    assert [compiled(torch.tensor(v)).mean.item() for v in (1.0, 2.0, 3.0)] == [1.0, 2.0, 3.0]


def test_the_names_of_the_compiler_are_pytorchs() -> None:
    double = torch.compiler.disable(lambda x: x * 2)
    assert double(torch.ones(1)).item() == 2 and not torch.compiler.is_compiling()
    seen = []
    compiled = torch.compile(lambda x: seen.append(torch.compiler.is_compiling()) or x)
    compiled(torch.ones(1)), compiled(torch.ones(1))
    assert True in seen and torch.compiler.reset() is None
    with pytest.raises(AttributeError, match=r"wengert\.compiler.*'contextlib'"):
        torch.compiler.contextlib  # noqa: B018


def test_what_a_program_cannot_leave_or_return_runs_eagerly() -> None:
    w = torch.nn.Parameter(torch.ones(2))

    def attacked(x: Any) -> Any:
        x = x.clone().detach().requires_grad_()
        (x * x).sum().backward()
        return x

    assert [x.grad.item() for x in eagerly(attacked, *[(torch.full((), float(i)),) for i in range(3)])] == [0.0, 2.0, 4.0]

    def assign(p: Any) -> None:
        p.data = p.data - 0.25

    eagerly(assign, *[(w,)] * 4)
    assert w.tolist() == [0.0, 0.0]

    class Holder:
        pass

    def leaves(x: Any) -> Any:
        setattr(Holder, f"seen{len(vars(Holder))}", x * 2)
        return x

    strict = torch.compile(leaves)
    strict(torch.ones(1))
    with pytest.raises(RuntimeError, match="leaves a tensor in .*seen"):
        strict(torch.ones(1))


def test_a_result_keeps_its_kind_of_dict() -> None:
    compiled = torch.compile(lambda x: defaultdict(list, y=x * 2))
    assert [(type(d), d["z"], d["y"].item()) for d in (compiled(torch.ones(())) for _ in range(3))] == [(defaultdict, [], 2.0)] * 3


def test_a_compiled_function_inside_of_transforms_and_of_inference() -> None:
    compiled = torch.compile(lambda x: (x**3).sum())
    for _ in range(3):
        assert torch.func.vmap(torch.func.grad(compiled))(torch.ones(2, 2)).tolist() == [[3.0, 3.0]] * 2
    double = torch.compile(lambda x: x * 2)
    with torch.inference_mode():
        assert [double(double(torch.ones(()))).item() for _ in range(3)] == [4.0] * 3


def test_a_schedule_inside_of_a_step_and_a_history_outside() -> None:
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    step = torch.compile(lambda: (optimizer.step(), schedule.step())[0])
    for _ in range(8):
        step()
        assert schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]
    z = (w * 2).exp()
    outside = torch.compile(lambda x: (x * z).sum())
    sum(outside(torch.ones(1)) for _ in range(3)).backward()
    assert w.grad.item() == pytest.approx(6 * np.exp(2))


def test_rotations_as_complex_numbers_and_grids_are_captured() -> None:
    def rotate(x: Any, f: Any) -> Any:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        grid = torch.nn.functional.affine_grid(x[:1, :6].view(1, 2, 3), (1, 1, 2, 2), False)
        return torch.view_as_real(pairs * f).flatten(1), grid

    compiled, f = torch.compile(rotate), torch.polar(torch.ones(4), torch.arange(4.0))
    for _ in range(3):
        x = torch.arange(24.0).view(3, 8).requires_grad_()
        for a, b in zip(compiled(x, f), rotate(x, f), strict=True):
            assert torch.allclose(a, b)
        compiled(x, f)[0].sum().backward()
    assert compiled.programs


def test_numbers_times_a_given_gradient_are_captured() -> None:
    """What a backward is started with may be an argument, and its rules multiply by plain numbers."""

    def product(v: Any, t: Any) -> Any:
        x = v.detach().requires_grad_()
        (g,) = torch.autograd.grad(torch.dot(0.5 * x, x), x, create_graph=True)
        return torch.autograd.grad(g, x, t)[0]

    compiled = torch.compile(product)
    for i in range(4):
        assert compiled(torch.ones(2), torch.tensor([1.0, i])).tolist() == [1.0, i]


def test_batched_gradients_and_checkpoints_of_compiled_functions() -> None:
    w = torch.randn(3, 3)
    eager = lambda x: (x * 2 @ w).tanh() * x.sum()  # noqa: E731
    compiled, x = torch.compile(eager), torch.ones(3, requires_grad=True)
    wanted = torch.autograd.functional.jacobian(eager, x)
    for _ in range(3):
        assert torch.allclose(torch.autograd.functional.jacobian(compiled, x, vectorize=True), wanted)
    compiled, grads = torch.compile(eager), []
    for f in (eager, compiled, compiled, compiled):
        grads.append(torch.autograd.grad(torch.utils.checkpoint.checkpoint(f, x, use_reentrant=False).sum(), x)[0].tolist())
    assert grads[1:] == grads[:1] * 3


@torch.compile
def tripled(x: Any) -> Any:
    return x * 3


def test_a_compiled_function_is_copied_and_pickled_as_functions_are() -> None:
    for _ in range(3):
        assert tripled(torch.ones(1)).item() == 3
    assert pickle.loads(pickle.dumps(tripled)) is tripled and copy.copy(tripled) is tripled
    assert copy.deepcopy({"step": [tripled]})["step"][0] is tripled
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(torch.compile(functools.partial(tripled)))


def test_results_beside_tensors_and_copies_of_compiled_models() -> None:
    model = torch.nn.Linear(2, 2)
    compiled = torch.compile(model)
    both = torch.compile(lambda x: (compiled(x), None, {"n": [x.shape[0], "s"], "mean": compiled(x).mean()}))
    for _ in range(3):
        y, nothing, found = both(torch.ones(3, 2))
        assert y.requires_grad and nothing is None and found["n"] == [3, "s"]
        assert found["mean"].item() == pytest.approx(model(torch.ones(3, 2)).mean().item())
    twin = copy.deepcopy(compiled)
    assert list(twin.state_dict()) == ["_orig_mod.weight", "_orig_mod.bias"] and type(twin) is type(compiled)
    with torch.no_grad():
        model.weight.zero_()
    compiled.flag = 3
    assert model.flag == 3 and list(inspect.signature(compiled.forward).parameters) == ["input"]
    assert twin.weight.abs().sum().item() > 0 and twin(torch.ones(1, 2)).shape == (1, 2)


def test_writes_through_data_are_captured() -> None:
    layer = torch.nn.Linear(2, 2)
    layer.bias.data.zero_()

    def count() -> Any:
        layer.bias.data.add_(1)
        layer.bias.data.clamp_(max=3)
        return layer.bias.detach() * 1

    compiled = torch.compile(count)
    assert [compiled().tolist()[0] for _ in range(5)] == [1.0, 2.0, 3.0, 3.0, 3.0]
    assert layer.bias.tolist() == [3.0, 3.0] and compiled.programs


# ---- what a function's Python reads, leaves behind and returns
SCALE = 2.0


class Holder(torch.nn.Module):
    """A module whose methods read what stands around them."""

    rate = 1.0
    table = [1.0, 2.0]  # noqa: RUF012

    def forward(self, x: Any) -> Any:
        return self.scaled(x) * self.rate + self.table[0]

    def scaled(self, x: Any) -> Any:
        return x * SCALE


class Slots:
    __slots__ = ("k", "t")


class Named(list[float]):
    pass


def watched() -> dict[str, tuple[Any, Any]]:
    """Return functions, and changes of what they read beside their arguments."""
    module, slots, tensor, function = Holder(), Slots(), torch.ones(2), lambda x: x * function.k
    slots.k, slots.t, tensor.rate, function.k = 2.0, torch.ones(2), 2.0, 1.0
    some, queue, table, named = {1, 2}, deque([torch.ones(2), 2.0], maxlen=2), {"a": 1.0}, Named([1.0])
    shown, reached, users = types.MappingProxyType(table), weakref.ref(some_function := Holder()), collections.UserDict(a=1.0)

    @functools.singledispatch
    def dispatched(x: Any) -> Any:
        return x * table["a"]

    return {
        "a global of a method": (lambda x: module(x), lambda: globals().update(SCALE=5.0)),
        "a global of an object's method": (lambda x: module.scaled(x), lambda: globals().update(SCALE=6.0)),
        "a number of a class": (lambda x: module(x), lambda: setattr(Holder, "rate", 3.0)),
        "a list of a class": (lambda x: x * Holder.table[0], lambda: Holder.table.__setitem__(0, 7.0)),
        "a method of a class": (lambda x: module(x), lambda: setattr(Holder, "scaled", lambda self, x: x * 11)),
        "a slot": (lambda x: x * slots.k + slots.t, lambda: setattr(slots, "k", 3.0)),
        "a tensor in a slot": (lambda x: x * slots.t, lambda: setattr(slots, "t", torch.zeros(2))),
        "a set": (lambda x: x * len(some), lambda: some.add(3)),
        "a deque": (lambda x: x + queue[0] * queue[1], lambda: queue.append(7.0) or queue.append(torch.ones(2))),
        "an attribute of a list": (lambda x: x * getattr(named, "k", 1), lambda: setattr(named, "k", 3)),
        "an attribute without a name": (lambda x: x * getattr(tensor, "", 1) * named[0], lambda: named.__setitem__(0, 3.0)),
        "an attribute of a function": (function, lambda: setattr(function, "k", 3.0)),
        "an attribute of a tensor": (lambda x: x * tensor * tensor.rate, lambda: setattr(tensor, "rate", 3.0)),
        "a dict behind a proxy": (lambda x: x * shown["a"], lambda: table.update(a=4.0)),
        "a dict in a wrapper": (lambda x: x * users["a"], lambda: users.update(a=4.0)),
        "what a weak reference leads to": (lambda x: x * reached().rate, lambda: setattr(some_function, "rate", 5.0)),
        "a closure behind functools": (lambda x: dispatched(x), lambda: table.update(a=5.0)),
    }


@pytest.mark.parametrize("name", watched())
def test_what_is_read_anywhere_is_watched(name: str) -> None:
    function, change = watched()[name]
    compiled, x, found = torch.compile(function), torch.full((2,), 1.5), []
    with contextlib.ExitStack() as stack:
        for n, value in (*((n, vars(Holder)[n]) for n in ("rate", "scaled")), ("table", [1.0, 2.0])):
            stack.callback(setattr, Holder, n, value)
        stack.callback(globals().update, SCALE=2.0)
        for _ in range(2):
            for _ in range(3):
                found.append((compiled(x).tolist(), function(x).tolist()))
            change()
    assert all(ours == theirs for ours, theirs in found) and compiled.programs
    assert found[0] != found[-1]


def test_arguments_that_are_equal_may_be_others() -> None:
    class Point:
        def __init__(self, k: float) -> None:
            self.k = k

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Point)

        def __hash__(self) -> int:
            return 1

    compiled, x, some = torch.compile(lambda x, p: x * (p.k if isinstance(p, Point) else sum(p))), torch.ones(()), {1, 2}
    assert [compiled(x, Point(k)).item() for k in (1, 1, 1, 2, 3)] == [1, 1, 1, 2, 3]
    assert [compiled(x, some).item() for _ in range(3)] == [3, 3, 3]
    some.add(4)
    assert [compiled(x, some).item() for _ in range(3)] == [7, 7, 7]
    assert torch.compile(lambda **options: options["self"] * 2)(self=x).item() == 2
    first = torch.compile(lambda x, q: x + q[0])
    assert [first(x, deque([torch.full((), n)])).item() for n in range(4)] == [1, 2, 3, 4]
    number = dataclasses.make_dataclass("number", ["k"], frozen=True)
    times, member = torch.compile(lambda x, p: x * p.k), torch.compile(lambda x, s: x * [*s][0])
    whole = torch.ones((), dtype=torch.int64)
    for k in (1, 1, 1, 1.0, 1.0, True):
        assert times(whole, number(k)).dtype == member(whole, frozenset([k])).dtype == (whole * k).dtype


def test_what_is_made_at_the_first_call_of_a_kind_is_there_at_the_next() -> None:
    """Also where sizes have a general graph, whose capture is the first call with such a size."""
    cache: dict[int, Any] = {}

    @torch.compile
    def f(x: Any) -> Any:
        n = x.shape[0]
        if n not in cache:
            cache[n] = torch.arange(float(n))
        return x + cache[n]

    for n in (2, 2, 2, 3, 3, 3, 4, 4, 5, 4):
        assert f(torch.ones(n)).tolist() == [1.0 + i for i in range(n)]


def test_a_full_queue_of_tensors_is_put_back() -> None:
    queue = deque([torch.zeros(2), torch.ones(2)], maxlen=2)

    def f(x: Any) -> Any:
        queue.append(x * 2)
        return queue[0] + queue[1].sum().item()

    compiled = torch.compile(f)
    compiled(torch.ones(2))
    before = [*queue]
    with pytest.raises(RuntimeError, match="needs a value"):
        compiled(torch.ones(2))
    assert [*map(id, queue)] == [*map(id, before)]


@pytest.mark.parametrize("dynamic", [None, True])
def test_what_a_function_leaves_behind_is_left_at_each_call(dynamic: bool | None) -> None:
    def run(compiler: Any) -> list[Any]:
        state, table, total, found = types.SimpleNamespace(n=0, seen=0, rate=1.0, on=True, name="a", last=None), {}, 0, list[Any]()
        rows: list[Any] = []

        def counts(x: Any) -> Any:
            nonlocal total
            total += 2
            state.n += 1
            state.seen += x.shape[0]
            rows.append(tuple(x.shape))
            return x * 2

        def decays(x: Any) -> Any:
            state.rate = state.rate * 0.5 + 1
            return x * state.rate

        def turns(x: Any) -> Any:
            state.on, state.name = not state.on, {"a": "b", "b": "a"}[state.name]
            return x * 3 if state.on else x

        def keeps(x: Any) -> Any:
            state.last = x.shape
            table["n"] = table.get("n", 0) + 1
            table[x.shape[0]] = [x.shape[0]]
            if len(rows) > 3:
                rows.clear()
            rows.append(1)
            return x

        for function in (counts, decays, turns, keeps):
            f = compiler(function)
            for n in (2, 2, 2, 3, 3, 4, 5, 2, 2):
                y = f(torch.ones(n))
                found.append((y.tolist(), total, {**vars(state)}, {**table}, [*rows]))
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what changes each time ends eagerly, and says so
        assert run(torch.compile(dynamic=dynamic)) == run(lambda f: f)


REFUSED: dict[str, tuple[Any, Any, str]] = {  # functions, arguments, and why they are refused
    "an iterator": ((lambda it: lambda x: x + next(it))(itertools.count()), lambda: (torch.ones(1),), "iterator"),
    "an entry that goes": (lambda d: d["x"] * len([d.pop("y")]), lambda: ({"x": torch.ones(1), "y": 1},), "changes a list, dict"),
    "an entry that changes": (lambda x, y: (y.__setitem__(0, 3), x * y[0])[1], lambda: (torch.ones(1), [1]), "changes a list"),
    "an attribute of an argument": (lambda x: setattr(x, "tag", 1) or x * 2, lambda: (torch.ones(1),), "sets an attribute"),
    "a leaf that is made": (lambda: torch.ones(2, requires_grad=True), lambda: (), "is to have a .grad"),
    "a set that is made": (lambda x: (x * 2, {1})[0:2], lambda: (torch.ones(1),), "returns a set"),
    "a seed": (lambda x: torch.manual_seed(3) and x, lambda: (torch.ones(1),), "manual_seed inside"),
    "recording that is left off": (lambda x: torch.set_grad_enabled(False) and x, lambda: (torch.ones(1),), "turns recording"),
    "a leaf that is asked for": (lambda x: x * x.is_leaf, lambda: (torch.ones(1, requires_grad=True),), "asks for is_leaf"),
    "other memory": (lambda d: torch.mul(d["x"], 2, out=d["out"]), lambda: ({"x": torch.ones(2), "out": torch.empty(0)},), "memory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_program_would_not_do_is_refused(name: str) -> None:
    function, arguments, why = REFUSED[name]
    compiled, kept = torch.compile(function), torch.compile(function, fallback="eager")
    compiled(*arguments())
    torch.set_grad_enabled(True)
    with pytest.raises(RuntimeError, match=why):
        compiled(*arguments())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it runs eagerly, and says so
        for _ in range(3):
            given = arguments()
            made = kept(*given)
            torch.set_grad_enabled(True)
    if name == "other memory":
        assert made is given[0]["out"] and made.tolist() == [2.0, 2.0]
    elif name == "an entry that goes":
        assert list(given[0]) == ["x"]


def test_a_tensor_that_is_returned_as_it_was_is_the_very_same() -> None:
    weight, x = torch.ones(2, requires_grad=True), torch.ones(2)

    @torch.compile
    def f(x: Any) -> Any:
        y = x * weight
        return x, weight, y, [y, y.detach()]

    for _ in range(3):
        same, of, y, (again, flat_y) = f(x)
        assert same is x and of is weight and again is y and flat_y is not y and y.tolist() == flat_y.tolist()
        (y * 3 + again).sum().backward()
    assert weight.grad.tolist() == [12.0, 12.0]
    add = torch.compile(lambda x, y: x.add_(y))
    assert all(add(x, torch.ones(2)) is x for _ in range(3)) and x.tolist() == [4.0, 4.0]


def test_numbers_that_are_equal_may_be_others() -> None:
    state, x = types.SimpleNamespace(k=0.0), torch.ones(1)
    table = {"a": 1, "b": 2, "c": 3, "d": 4}
    divided, given = torch.compile(lambda x: x / state.k), torch.compile(lambda x, k: x / k)
    summed = torch.compile(lambda x: x * table["a"] * table["b"] * table["c"] * table["d"])
    for k in (0.0, 0.0, 0.0, -0.0, -0.0, 0, 0):
        state.k = k
        assert divided(x).item() == given(x, k).item() == (-np.inf if str(k) == "-0.0" else np.inf)
    for a in (1, 1, 1, 1.0, 1.0, True):
        table["a"] = a
        assert summed(torch.ones(1, dtype=torch.int64)).dtype == (torch.float32 if type(a) is float else torch.int64)


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_are_cleared_inside_and_made_outside(to_none: bool) -> None:
    def run(compiler: Any) -> list[Any]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        optimizer, found = torch.optim.SGD(model.parameters(), lr=0.1), []

        def loss(x: Any) -> Any:
            optimizer.zero_grad(set_to_none=to_none)
            y = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
            return y.pow(2).mean()

        f = compiler(loss)
        for i in range(5):
            f(torch.full((2, 3), float(i))).backward()
            optimizer.step()
            found.append(model.weight.detach().tolist())
        return found

    for ours, theirs in zip(run(torch.compile), run(lambda f: f), strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-5)


def test_memory_is_looked_at_as_eager_does() -> None:
    def written(x: Any, b: Any) -> Any:
        y = x * 2
        y.as_strided((2, 2), (4, 2), 1).copy_(b)
        return y

    for f in (
        lambda x: x.as_strided((2, 2), (2, 1), 0) + 1,
        lambda x: (x + 1)[1:].as_strided((2, 2), (2, 1), 0),
        lambda x: (x + 1)[:, 1:].storage_offset() + x,
        lambda x: x[1:].as_strided((2, 2), (3, 1), 1),
        lambda x: (x.t() + 1).contiguous().as_strided((2, 2), (2, 1)),
        lambda x: torch.as_strided(x.repeat(3, 2), (3, 2), (4, 1)) * 2,
    ):
        compiled = torch.compile(f, fallback="eager")
        for n in range(4):
            x = torch.arange(16.0).reshape(4, 4) + 100 * n
            for given in (x, x.as_strided((4, 4), (4, 1), 0)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    assert compiled(given).tolist() == f(given).tolist()
    compiled, ramp = torch.compile(written), torch.arange(12.0).reshape(4, 3)
    for _ in range(3):  # the gradient from outside lies in memory as it likes
        x, b = torch.randn(3, 4, requires_grad=True), torch.randn(2, 2, requires_grad=True)
        ours = torch.autograd.grad((compiled(x, b).t() * ramp).sum(), (x, b))
        theirs = torch.autograd.grad((written(x, b).t() * ramp).sum(), (x, b))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_memory_of_what_is_the_same_in_every_run_is_looked_at() -> None:
    """A program holds a constant as one number, whose memory is no longer than that."""

    def zeroed(x: Any) -> Any:
        wide = x.broadcast_to((2, 2, 3))
        x.zero_()
        return wide.as_strided((2, 2), (1, 1)), wide.as_strided((2, 3), (0, 1), 0)

    def halved(x: Any) -> Any:
        y = x / x
        seen = y.view(torch.uint8)
        y[:] = 0.5
        return y, seen, torch.full_like(x, 1.5).view(torch.int64)

    for f in (zeroed, halved):
        compiled = torch.compile(f)
        for _ in range(3):
            x, y = (torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64) for _ in range(2))
            assert [v.tolist() for v in compiled(x)] == [v.tolist() for v in f(y)]
        assert compiled.programs


@pytest.mark.parametrize("f", [
    lambda x: x.norm(), lambda x: x.std(), lambda x: torch.var_mean(x, 1), lambda x: torch.linalg.vector_norm(x, 2, 0),
    lambda x: x.renorm(2, 0, 1.0), lambda x: torch.nn.functional.normalize(x),
])  # fmt: skip
def test_lengths_of_complex_numbers_are_captured(f: Any) -> None:
    x = torch.tensor([[1 + 2j, 3 - 1j], [0.5j, 2]])
    compiled = torch.compile(f, fullgraph=True)
    for _ in range(3):
        torch.testing.assert_close(compiled(x), f(x))
    assert compiled.programs


@pytest.mark.parametrize("turn", [lambda x: x.requires_grad_(False), lambda x: x.detach_()])
def test_an_argument_that_stops_requiring_grad_is_told(turn: Any) -> None:
    def f(x: Any) -> Any:
        turn(x)
        return x * 2

    compiled = torch.compile(f)
    compiled(torch.ones(2, requires_grad=True))  # the first call runs as it is
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="turns requires_grad of an argument off.*x.detach"):
        compiled(x)
    assert x.requires_grad


def test_how_arguments_lie_in_memory_is_seen() -> None:
    x, i = torch.arange(12.0).view(3, 4), torch.arange(12.0).view(4, 3)
    f, g = (lambda x: x.as_strided((2,), (2,)) * 2), (lambda x: x.t() if x.is_contiguous() else x * 2)
    for function in (f, g):
        compiled = torch.compile(function)
        for given in (x, x, x, i.t(), i.t(), x[1:], x):
            assert compiled(given).tolist() == function(given).tolist()
        assert compiled.programs


def test_a_function_that_asks_for_strides_is_told_those_of_each_argument() -> None:
    def f(x: Any) -> Any:
        return x * 2 if x.stride(0) == 1 else x * 3

    compiled, x = torch.compile(f), torch.ones(3, 3)
    for _ in range(3):
        assert compiled(x)[0, 0].item() == 3 and compiled(x.t())[0, 0].item() == 2


def test_warnings_name_the_line_of_the_call() -> None:
    @torch.compile(fallback="eager")
    def f(x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x

    @torch.compile(dynamic=False)
    def g(x: Any) -> Any:
        return x * 2

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        f(torch.ones(2)), f(torch.ones(2))
        for n in range(1, 20):
            g(torch.ones(n))
    assert len(found) == 2 and {w.filename for w in found} == {__file__}
