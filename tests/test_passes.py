"""The passes of compiled functions: each prints the graph it is given and the one it makes.

Owns: golden texts of graphs, of the sources of programs, and of what `Op.rows` declares. May import: wengert. Must not know:
how fast anything is.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.compiler import passes
from wengert.compiler.passes.join import join
from wengert.compiler.passes.push import push
from wengert.compiler.passes.recompute import cheap
from wengert.compiler.passes.relax import relax
from wengert.compiler.passes.signs import signs
from wengert.compiler.program import Program
from wengert.compiler.rows import cut
from wengert.compiler.schedule import BLOCK_BYTES, Group, Kernel, generated, schedule
from wengert.graph import Graph, capture
from wengert.registry import registry


@pytest.fixture(autouse=True)
def blocks_as_on_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schedule.__globals__, "WIDE_BYTES", BLOCK_BYTES)  # the module bears the function's name


def text(graph: Graph) -> str:
    """Return the equations of a graph, without the line of its arguments."""
    return "\n".join(line.strip() for line in str(graph).splitlines()[1:])


def golden(graph: Graph, expected: str) -> None:
    assert text(graph) == textwrap.dedent(expected).strip()


def ops(graph: Graph) -> list[str]:
    return [e.op.name for e in graph.equations]


# ---- prune
def test_prune_leaves_out_what_nobody_reads() -> None:
    graph = capture(lambda x: (x.exp(), x * 2)[1], torch.ones(3))
    golden(graph, """
        %1: float32[3] = exp %0
        %2: float32[3] = multiply %0, 2.0
        return %2
    """)  # fmt: skip
    golden(passes.prune(graph), """
        %2: float32[3] = multiply %0, 2.0
        return %2
    """)  # fmt: skip


# ---- simplify
def test_simplify_drops_what_does_nothing() -> None:
    x = torch.ones(2, 3)
    graph = capture(lambda x: ((x.clone() * 1.0 - 0.0).reshape(3, 2).reshape(2, 3).t().t() / 1.0, x**2), x)
    assert ops(graph) == ["copy", "multiply", "subtract", "reshape", "reshape", "transpose", "transpose", "divide", "power_number"]
    golden(passes.prune(passes.simplify(graph)), """
        %9: float32[2,3] = multiply %0, %0
        return (%0, %9)
    """)  # fmt: skip


def test_simplify_keeps_what_changes_some_number() -> None:
    graph = capture(lambda x: (x + 0.0, x * 0.0, 0.0 - x), torch.ones(2))  # -0.0 + 0.0 is 0.0; nan * 0 is nan
    assert text(passes.simplify(graph)) == text(graph)


# ---- relax
def test_relax_uses_identities_of_real_numbers() -> None:
    graph = capture(lambda x: (x.exp().log() * 2.0 * 3.0 / 4.0 + 0.0, (x + 1.0) - 1.0), torch.ones(3))
    assert ops(graph) == ["exp", "log", "multiply", "multiply", "divide", "add", "add", "subtract"]
    golden(passes.prune(relax(graph)), """
        %5: float32[3] = multiply %0, 1.5
        return (%5, %0)
    """)  # fmt: skip


def test_relax_is_asked_for() -> None:
    x = torch.tensor([1e30])

    def f(x: Any) -> Any:
        return (x * x).exp().log()

    strict, fast = torch.compile(f), torch.compile(f, fast_math=True)
    for _ in range(3):
        a, b = strict(x.double() * 1e-29), fast(x.double() * 1e-29)
    assert a.item() == pytest.approx(100) and b.item() == pytest.approx(100)
    assert "exp" in strict.source() and "exp" not in fast.source()


# ---- signs
def test_signs_go_where_a_sum_takes_them_in() -> None:
    graph = capture(lambda x, y: (x + -(y * 2.0) * x - (-(y / x) + x), (-x).neg()), torch.ones(2), torch.ones(2))
    golden(graph, """
        %2: float32[2] = multiply %1, 2.0
        %3: float32[2] = negative %2
        %4: float32[2] = multiply %3, %0
        %5: float32[2] = add %0, %4
        %6: float32[2] = divide %1, %0
        %7: float32[2] = negative %6
        %8: float32[2] = add %7, %0
        %9: float32[2] = subtract %5, %8
        %10: float32[2] = negative %0
        %11: float32[2] = negative %10
        return (%9, %11)
    """)  # fmt: skip
    golden(signs(graph), """
        %2: float32[2] = multiply %1, 2.0
        %12: float32[2] = multiply %2, %0
        %5: float32[2] = subtract %0, %12
        %6: float32[2] = divide %1, %0
        %8: float32[2] = subtract %0, %6
        %9: float32[2] = subtract %5, %8
        return (%9, %0)
    """)  # fmt: skip


def test_signs_stay_where_nothing_is_saved_or_a_zero_would_be_another() -> None:
    for f in (lambda x, y: (-x * y, -x), lambda x, y: -x - y, lambda x, y: -(x * y), lambda x, y: -x + -x * y):
        graph = capture(f, torch.ones(4), torch.ones(4))
        x, y = np.array([0.0, -0.0, 1.0, np.inf], np.float32), np.array([-0.0, 0.0, -1.0, 2.0], np.float32)
        kept, made = (Program(g)([x.copy(), y.copy()]) for g in (graph, signs(graph)))
        for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (kept, made)]):
            assert a.numpy().tobytes() == b.numpy().tobytes()
        assert len(signs(graph).equations) <= len(graph.equations)
    graph = capture(lambda x, y: (-x * y, -x), torch.ones(2), torch.ones(2))
    assert text(signs(graph)) == text(graph)


# ---- fold
def test_fold_computes_what_is_the_same_in_every_run() -> None:
    graph = capture(lambda x: x * (torch.zeros(3) + 2.0).sum(), torch.ones(3))
    assert ops(passes.prune(passes.fold(graph))) == ["multiply"]
    assert Program(passes.optimised(graph))([np.ones(3, np.float32)]).tolist() == [6.0, 6.0, 6.0]


# ---- merge
def test_fold_keeps_the_types_of_filled_arrays() -> None:
    def filled(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.full_like(x, -1.5)
        y[1::2, torch.tensor([0])] = True
        return y, torch.zeros_like(x > 0), x * 1

    compiled = torch.compile(filled)
    x = torch.ones(2, 1, dtype=torch.float64)
    for _ in range(2):
        assert [(t.dtype, t.tolist()) for t in compiled(x)] == [(t.dtype, t.tolist()) for t in filled(x)]


def test_merge_computes_equal_things_once() -> None:
    graph = capture(lambda x: x.sin() * x.sin() + x.sin(), torch.ones(3))
    golden(passes.merge(graph), """
        %1: float32[3] = sin %0
        %3: float32[3] = multiply %1, %1
        %5: float32[3] = add %3, %1
        return %5
    """)  # fmt: skip


# ---- push
def test_push_moves_broadcasts_behind_elementwise_ops() -> None:
    graph = capture(lambda x, y: (x.expand(2, 3).exp() * y, x.expand(2, 3).sin()), torch.ones(1, 3), torch.ones(2, 3))
    golden(graph, """
        %2: float32[2,3] = broadcast_to %0, shape=(2, 3)
        %3: float32[2,3] = exp %2
        %4: float32[2,3] = multiply %3, %1
        %5: float32[2,3] = broadcast_to %0, shape=(2, 3)
        %6: float32[2,3] = sin %5
        return (%4, %6)
    """)  # fmt: skip
    golden(passes.prune(push(graph)), """
        %7: float32[1,3] = exp %0
        %4: float32[2,3] = multiply %7, %1
        %8: float32[1,3] = sin %0
        %6: float32[2,3] = broadcast_to %8, shape=(2, 3)
        return (%4, %6)
    """)  # fmt: skip


# ---- join
def test_join_lays_the_gradients_of_parts_side_by_side() -> None:
    x, g = torch.ones(2, 2, 3, requires_grad=True), torch.ones(2, 3)
    graph = passes.prune(capture(lambda x, g: torch.autograd.grad(x[:, 0].exp() * x[:, 1], x, g)[0], x, g))
    golden(graph, """
        %2: float32[2,3] = getitem %0, index=(slice(None, None, None), 0)
        %3: float32[2,3] = exp %2
        %4: float32[2,3] = getitem %0, index=(slice(None, None, None), 1)
        %6: float32[2,3] = multiply %1, %4
        %7: float32[2,3] = multiply %1, %3
        %8: float32[2,2,3] = placed %7, shape=(2, 2, 3), path=((getitem, ((slice(None, None, None), 1))))
        %9: float32[2,3] = multiply %6, %3
        %10: float32[2,2,3] = placed %9, shape=(2, 2, 3), path=((getitem, ((slice(None, None, None), 0))))
        %11: float32[2,2,3] = add %8, %10
        %12: float32[2,2,3] = copy %11
        return %12
    """)  # fmt: skip
    golden(join(graph), """
        %2: float32[2,3] = getitem %0, index=(slice(None, None, None), 0)
        %3: float32[2,3] = exp %2
        %4: float32[2,3] = getitem %0, index=(slice(None, None, None), 1)
        %6: float32[2,3] = multiply %1, %4
        %7: float32[2,3] = multiply %1, %3
        %9: float32[2,3] = multiply %6, %3
        %13: float32[2,2,3] = stack (%9, %7), axis=1
        %11: float32[2,2,3] = add %13, 0.0
        %12: float32[2,2,3] = copy %11
        return %12
    """)  # fmt: skip


def test_join_leaves_parts_that_overlap_or_leave_a_gap() -> None:
    x, g = torch.ones(5, requires_grad=True), torch.ones(3)
    for second in (slice(2, 5), slice(1, 4)):
        graph = passes.prune(capture(lambda x, g, s=second: torch.autograd.grad(x[:3].exp() * x[s], x, g)[0], x, g))
        assert text(join(graph)) == text(graph)


# ---- lower
def test_lower_lets_forward_and_backward_share() -> None:
    x, y = torch.randn(64, 1000, requires_grad=True), torch.arange(64)

    def step() -> Any:
        loss = torch.nn.functional.cross_entropy(x, y)
        (g,) = torch.autograd.grad(loss, x)
        return g

    graph = capture(step)
    assert {"cross_entropy", "cross_entropy_pull"} <= {*ops(graph)}
    lowered = ops(passes.optimised(graph))
    assert lowered.count("exp") == lowered.count("amax") == 1 and "share_less" in lowered
    compiled = torch.compile(step)
    for _ in range(3):
        np.testing.assert_allclose(compiled().numpy(), step().numpy(), 1e-5, 1e-8)


def test_lower_leaves_small_arrays() -> None:
    x, y = torch.randn(4, 10, requires_grad=True), torch.arange(4)
    graph = capture(lambda: torch.nn.functional.cross_entropy(x, y))
    assert "cross_entropy" in ops(passes.optimised(graph))


def norm(mode: str) -> Any:
    F = torch.nn.functional
    w, b = torch.randn(40, requires_grad=True), torch.randn(40, requires_grad=True)

    def loss(x: Any) -> Any:
        made = F.layer_norm(x, (40,), w, b) if mode == "layer" else F.rms_norm(x, (40,), w)
        value = F.gelu(made).pow(2).mean()
        return (value.detach(), *torch.autograd.grad(value, [x, w, b][: 3 if mode == "layer" else 2]))

    return loss


@pytest.mark.parametrize("mode", ["layer", "rms"])
def test_lowered_normalisation_equals_its_kernels(mode: str) -> None:
    x, loss = torch.randn(8, 130, 40, requires_grad=True), norm(mode)
    compiled = torch.compile(loss)
    for _ in range(3):
        made = compiled(x)
    (program,) = compiled.programs
    assert program.groups and "normalise" not in {*ops(program.graph)}
    for m, e in zip(made, loss(x), strict=True):
        np.testing.assert_allclose(m.detach().numpy(), e.detach().numpy(), 2e-4, 1e-6)


# ---- recompute
def test_recompute_keeps_what_is_dear() -> None:
    graph = capture(lambda x: (x * 2.0 + 1.0, x.exp(), x.sum()), torch.ones(3))
    assert [cheap(e) for e in graph.equations] == [True, True, False, False]


def test_backward_computes_cheap_values_again() -> None:
    w = torch.randn(50, dtype=torch.float64, requires_grad=True)

    def loss(x: Any) -> Any:
        y = x * w
        return ((y + 1) * y * y.exp()).sum()

    compiled, x = torch.compile(loss), torch.randn(50, dtype=torch.float64)
    for _ in range(3):
        w.grad = None
        compiled(x).backward()
    forward, backward = compiled.programs
    kept = forward.graph.outputs[1]
    assert len(kept) <= 3 and "multiply" in ops(backward.graph)
    made, w.grad = w.grad, None
    loss(x).backward()
    np.testing.assert_allclose(made.numpy(), w.grad.numpy(), 1e-12)


# ---- passes of plugins
def test_a_pass_of_a_plugin_runs_and_the_others_run_again() -> None:
    seen = []

    def logarithms(graph: Graph) -> Graph:
        seen.append(ops(graph))
        return relax(graph)

    registry.graph_pass("logarithms", logarithms)
    try:
        compiled = torch.compile(lambda x: x.exp().log() * 2)
        for _ in range(3):
            assert compiled(torch.zeros(2)).tolist() == [0.0, 0.0]
        assert seen == [["exp", "log", "multiply"]] and ops(compiled.graph()) == ["multiply"]
    finally:
        del registry.tables["graph_passes"]["logarithms"]


@pytest.mark.parametrize(("made", "why"), [(lambda graph: None, "it returned a NoneType"), (lambda graph: 1 / 0, "ZeroDivisionError: division")])
def test_a_pass_that_fails_is_named(made: Any, why: str) -> None:
    registry.graph_pass("failing", made)
    try:
        compiled = torch.compile(lambda x: x * 2)
        compiled(torch.zeros(2))
        with pytest.raises(RuntimeError, match=f"graph pass 'failing' of plugin '.direct.' failed: {why}"):
            compiled(torch.zeros(2))
    finally:
        del registry.tables["graph_passes"]["failing"]


def test_a_pass_leaves_its_graph_alone() -> None:
    x = torch.randn(300, 200, requires_grad=True)
    graph = capture(lambda: torch.autograd.grad(torch.softmax(x.exp() * 1.0, 1).pow(2).sum(), x))
    before = str(graph)
    passes.optimised(graph, fast_math=True)
    assert str(graph) == before


# ---- rows
def cuts(function: Any, n: int, *args: Any) -> list[str]:
    """Return for each equation how it runs on blocks of n rows."""
    found = []
    for e in capture(function, *args).equations:
        c = cut(e, n)
        found.append(f"{e.op.name} " + ("whole" if c is None else f"{''.join(c.inputs)} -> {''.join(c.outs)} {c.params}"))
    return found


def test_rows_of_ops() -> None:
    x, w = torch.ones(6, 4, 3), torch.ones(3)
    assert cuts(lambda x, w: ((x * w).sum(2), x.sum((0, 1)), x.sum(0), x.softmax(-1)), 24, x, w) == [
        "multiply cw -> c ()", "sum c -> c ((1,), False)", "sum c -> s ((0,), False)", "sum whole", "softmax c -> c ((1,),)",
    ]  # fmt: skip
    assert cuts(lambda x: (x.sum(0), x.transpose(1, 2), x.reshape(6, 12), x[:, 1], x.reshape(12, 6)), 6, x) == [
        "sum c -> s ((0,), False)", "transpose c -> c ((0, 2, 1),)", "reshape c -> c ((rows, 12),)",
        "getitem c -> c ((slice(None, None, None), 1),)", "reshape whole",
    ]  # fmt: skip
    assert cuts(lambda x, y: (x @ y, x.t() @ x), 6, torch.ones(6, 4), torch.ones(4, 2)) == [
        "matmul cw -> c ()", "transpose c -> t ((1, 0),)", "matmul tc -> s ()",
    ]  # fmt: skip


def test_a_group_is_as_large_as_rows_allow() -> None:
    x, w = torch.ones(500, 100), torch.ones(100)

    def f(x: Any, w: Any) -> Any:
        y = (x * w).exp()
        top = y.amax(1, keepdim=True)
        z = (y / top).sum(1)
        total = z.sum()
        return total, w * total, z * 2

    graph = capture(f, x, w)
    group, after = schedule(graph.equations, set(passes.results(graph)))
    assert isinstance(group, Group) and group.n == 500 and after.op.name == "multiply"
    assert [e.op.name for e in group.equations] == ["multiply", "exp", "amax", "divide", "sum", "sum", "multiply"]
    assert str(group).splitlines()[-2].startswith("  sum of")


# ---- sources
def source(function: Any, *args: Any) -> str:
    return Program(passes.optimised(capture(function, *args))).source


def test_the_source_of_a_small_program() -> None:
    made = source(lambda x, y: (x * y).sin() + y, torch.ones(3), torch.ones(3))
    assert made == textwrap.dedent("""\
        def program(v0, v1):
            v2 = k7(v0, v1, out=b6)  # %2: float32[3] = multiply %0, %1
            v3 = k8(v2, out=b6)  # %3: float32[3] = sin %2
            v4 = k9(v3, v1, out=...)  # %4: float32[3] = add %3, %1
            made = wrap(v4)
            return made""")


def test_the_source_of_a_group() -> None:
    made = source(lambda x: ((x * 2).exp().sum(1), x.sum()), torch.ones(600, 1000))
    assert made == textwrap.dedent("""\
        def group0(thread, start, stop, f3, t4, f0):  # 4 equations in blocks
            b0, = blocks18[thread]
            for i in range(start, stop, 86):
                j = min(i + 86, stop); m = j - i
                if m < 86: b0, = b0[:m],
                s0 = f0[i:j]
                s1 = k9(s0, c8, out=b0)  # %1: float32[600,1000] = multiply %0, 2.0
                s2 = k10(s1, out=s1)  # %2: float32[600,1000] = exp %1
                s3 = k13(s2, p11, p12)  # %3: float32[600] = sum %2, axis=(1), keepdims=False
                f3[i:j] = s3
                t4[i // 86] = k16(s0, p14, p15).reshape(())  # %4: float32[] = sum %0, axis=None, keepdims=False

        def program(v0):
            v3 = room6()
            spread(group0, 600, 86, quiet, v3, terms7, v0)
            v4 = total17(terms7, 0, None, None, True).reshape(())
            made = [wrap(v3), wrap(v4)]
            return made""")


@pytest.mark.skipif(not hasattr(np, "vecdot"), reason="NumPy before 2.0 has no vecdot")
def test_the_product_of_two_arrays_is_not_made_for_the_sums_of_its_rows() -> None:
    rng = np.random.default_rng(0)
    x, y = (torch.tensor(rng.standard_normal((600, 1000)).astype(np.float32)) for _ in range(2))

    def sums(x: Any, y: Any) -> Any:
        twice = x * y
        return (x * y).sum(1), (x * x).mean(-1, keepdim=True), (twice.sum(1), twice.sum(0))

    assert "= multiply" in source(sums, x, y)  # what is read twice is made
    assert "= multiply" not in source(lambda x, y: sums(x, y)[1] + y.exp().sum(1, keepdim=True), x, y)
    run = torch.compile(sums)
    for _ in range(3):
        (a, b, (c, d)), exact, square = run(x, y), x.double() * y.double(), x.double() * x.double()
        for made, wanted in ((a, exact.sum(1)), (b, square.mean(-1, keepdim=True)), (c, exact.sum(1)), (d, exact.sum(0))):
            assert torch.allclose(made.double(), wanted, rtol=1e-4, atol=1e-3)


def test_the_product_of_two_arrays_is_not_made_for_the_sum_of_all_its_elements() -> None:
    rng = np.random.default_rng(0)
    x, y = (torch.tensor(rng.standard_normal((6000, 100))) for _ in range(2))

    def distance(x: Any, y: Any) -> Any:
        off = x.sin() - y
        return (off * off).mean()

    assert "= multiply" not in source(distance, x, y)
    assert torch.allclose(torch.compile(distance)(x, y), distance(x, y), rtol=1e-13)


def test_a_product_with_minus_one_is_a_sign_that_a_sum_takes_in() -> None:
    graph = capture(lambda x, y: (x + y * -1.0, y.int() * -1), torch.ones(3), torch.ones(3))
    assert ops(graph) == ["multiply", "add", "cast", "multiply"]
    assert ops(passes.optimised(graph)) == ["subtract", "cast", "multiply"]


# ---- placing
def heads(x: Any, w: Any) -> Any:
    """Two heads of attention's products, merged; and the gradients of parts that were cut from one array."""
    parts = (x @ w).reshape(3, 4, 2, 2, 5)
    q, k = parts[:, :, 0].swapaxes(1, 2), parts[:, :, 1].swapaxes(1, 2)
    scores = q @ k.swapaxes(-1, -2)
    merged = (scores.exp() @ k).swapaxes(1, 2).reshape(3, 4, 10)
    joined = torch.stack([(scores @ k).swapaxes(1, 2), (scores.swapaxes(-1, -2) @ q).swapaxes(1, 2)], 2)
    sides = torch.cat([scores @ q, q @ w[:5, :5]], -1)
    return merged * 2, joined * 2, sides * 2


def test_a_product_of_a_group_is_turned_where_it_is_made() -> None:
    def attended(scores: Any, v: Any, g: Any) -> Any:
        merged = (scores.exp() @ v).swapaxes(1, 2)  # a view that the group takes for itself, and others outside again
        return merged.reshape(8, 32, 80) @ torch.ones(80, 3), g @ merged.reshape(256, 80)

    rng = np.random.default_rng(0)
    given = [torch.tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((8, 4, 32, 64), (8, 4, 64, 20), (5, 256))]
    program = Program(passes.optimised(capture(attended, *given)))
    assert [g.n for g in program.groups] == [8] and [lay.axes for lay in program.layouts.values()] == [(0, 2, 1, 3)]
    for made, exact in zip(program([t.numpy() for t in given]), attended(*given), strict=True):
        np.testing.assert_allclose(made.numpy(), exact.numpy(), 1e-5, 1e-4)


def test_products_are_written_where_their_readers_want_them() -> None:
    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((3, 4, 20), (20, 20)))
    program = Program(passes.optimised(capture(heads, x, w)))
    kinds = sorted((len(v.shape), "" if lay.inside is None else f"{lay.index[-1]}") for v, lay in program.layouts.items())
    assert kinds == [(4, ""), (4, "0"), (4, "1"), (4, "slice(0, 5, None)"), (4, "slice(5, 10, None)")]
    lines = program.source.splitlines()
    assert all(" = b" in line for line in lines if "= stack" in line or "= concatenate" in line)
    assert sum("out=b" in line for line in lines if "= matmul" in line or "= rows" in line) >= 5
    made = program([x.numpy(), w.numpy()])
    for m, e in zip(made, heads(x, w), strict=True):
        np.testing.assert_array_equal(m.numpy(), e.numpy())


@pytest.mark.parametrize("joined", [
    lambda p, q: torch.stack([p, p], 1),  # the same twice
    lambda p, q: torch.stack([p, q], 0),  # the parts are no rows of it
    lambda p, q: torch.stack([p, q * 2], 1),
    lambda p, q: torch.cat([p, torch.stack([p, q], 1)[:, 0]], 1),  # a part of two
])  # fmt: skip
def test_what_has_another_place_is_copied(joined: Any) -> None:
    def function(x: Any) -> Any:
        p, q = x @ x, x @ (x + 1)
        return joined(p, q) + 1, p.t() @ q

    x = torch.tensor(np.random.default_rng(0).standard_normal((6, 6)))
    run = torch.compile(function)
    for _ in range(3):
        for m, e in zip(run(x), function(x), strict=True):
            assert torch.equal(m, e)


@pytest.mark.parametrize(("then", "over"), [
    (lambda p, y: y * 2, True),
    (lambda p, y: (y * 2) @ p, False),  # it is read later
    (lambda p, y: y + p.t() * 2, False),  # a block reads other rows of it
])  # fmt: skip
def test_a_group_writes_over_a_product_that_it_reads_last(then: Any, over: bool) -> None:
    def function(x: Any, w: Any) -> Any:
        p = x @ w
        y = p * x.exp()
        return then(p, y) @ w + 1, (y @ w).sum()

    x, w = (torch.tensor(np.random.default_rng(n).standard_normal((200, 200)).astype(np.float32)) for n in range(2))
    program = Program(passes.optimised(capture(function, x, w)))
    product = re.search(r"out=(b\d+)\)  # %\d+: \S+ = (?:rows|matmul)", program.source)
    assert program.groups and product
    assert over == (product[1] in re.findall(r"^    v\d+ = (b\d+)$", program.source, re.M)), program.source
    for _ in range(2):
        for made, exact in zip(program([x.numpy(), w.numpy()]), function(x, w), strict=True):
            np.testing.assert_allclose(made.numpy(), exact.numpy(), 1e-4, 1e-2)


def test_groups_share_the_memory_of_their_blocks() -> None:
    x = torch.ones(400, 300)
    program = Program(passes.optimised(capture(lambda x: ((x.exp() * 2).sin().sum(0).exp() + x.cos() * x).tanh() * 2, x)))
    assert len(program.groups) == 2
    program([x.numpy()])
    memory = program.scratch[0]  # each thread has its own
    blocks = [array for name, made in program.names.items() if name.startswith("blocks") for array in made[0]]
    assert len(blocks) > 1 and all(np.shares_memory(array, memory) for array in blocks)


def test_the_source_of_single_elements() -> None:
    w = torch.ones(1, requires_grad=True)

    def step() -> None:
        w.grad = None
        ((w - 3) ** 2).backward()
        with torch.no_grad():
            w.sub_(0.1 * w.grad)

    assert source(step) == textwrap.dedent("""\
        def program():
            x0 = z0[()]
            x1 = x0 - c9  # %1: float32[1] = subtract %0, 3.0
            x5 = c10 * x1  # %5: float32[1] = multiply %4, %1
            x7 = x5 * c11  # %7: float32[1] = multiply %5, 0.10000000149011612
            x8 = x0 - x7  # %8: float32[1] = subtract %0, %7
            leaf12._grad = give13(x5)
            made = []
            z0[()] = x8
            return made""")


def quotient(x: Any, y: Any) -> Any:
    return ((x * x).exp() / y).log() * y


def test_functions_of_single_elements_are_rounded_where_numpy_does_not() -> None:
    graph = passes.optimised(capture(lambda x: (-x.exp()).cos() * x.exp() + x.sin() * x.cos(), torch.ones(1)))
    assert Program(graph).source == textwrap.dedent("""\
        def program(v0):
            x0 = v0[0]
            x1 = one * exp(x0)  # %1: float32[1] = exp %0
            x2 = -x1  # %2: float32[1] = negative %1
            x3 = cos(x2)  # %3: float32[1] = cos %2
            x5 = x3 * x1  # %5: float32[1] = multiply %3, %1
            x6 = sin(x0)  # %6: float32[1] = sin %0
            x7 = one * cos(x0)  # %7: float32[1] = cos %0
            x8 = x6 * x7  # %8: float32[1] = multiply %6, %7
            x9 = x5 + x8  # %9: float32[1] = add %5, %8
            made = give10(x9)
            return made""")


def test_fast_math_takes_single_elements_as_floats() -> None:
    graph = passes.optimised(capture(quotient, torch.ones(1), torch.ones(1)))
    assert Program(graph, fast_math=True).source == textwrap.dedent("""\
        def program(v0, v1):
            x0 = v0.item()
            x2 = x0 * x0  # %2: float32[1] = multiply %0, %0
            x3 = exp(x2)  # %3: float32[1] = exp %2
            x1 = v1.item()
            x4 = x3 / x1  # %4: float32[1] = divide %3, %1
            x5 = log(x4)  # %5: float32[1] = log %4
            x6 = x5 * x1  # %6: float32[1] = multiply %5, %1
            made = give8(x6)
            return made""")


@pytest.mark.parametrize("fast_math", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_give_what_numpy_gives_where_python_raises(dtype: Any, fast_math: bool) -> None:
    eager, fast = quotient, torch.compile(quotient, fast_math=fast_math)
    inf = float("inf")
    for x, y in ((0.5, 3.0), (0.5, 0.0), (0.5, -1.0), (1e3, 2.0), (9.0, 2.0), (inf, 1.0), (float("nan"), 1.0), (0.0, inf)):
        given = [torch.tensor([v], dtype=dtype) for v in (x, y)]
        for _ in range(3):
            made = fast(*given)
        assert made.dtype is dtype and made.shape == (1,)
        np.testing.assert_allclose(made.numpy(), eager(*given).numpy(), 3e-6)
    assert fast.programs[0].floats is fast_math


@pytest.mark.parametrize("fast_math", [False, True])
def test_a_sum_of_one_element_is_no_negative_zero(fast_math: bool) -> None:
    run = torch.compile(lambda x: (1 / x.sum(), 1 / x.mean(), 1 / x.reshape(1, 1).amax(), 1 / x.sum(0, keepdim=True)), fast_math=fast_math)
    for _ in range(3):
        assert [y.item() for y in run(torch.tensor([-0.0]))] == [np.inf, np.inf, -np.inf, np.inf]
    assert " + 0.0  # " in run.source()


def test_what_does_not_fit_its_type_is_written_as_without_fast_math() -> None:
    """And nothing is written twice, though warnings are errors here."""
    x, y = (torch.full((1,), v, requires_grad=True) for v in (1.0, 3e38))

    def step() -> None:
        with torch.no_grad():
            x.add_(1)
            y.mul_(4).sub_(3e38)

    fast = torch.compile(step, fast_math=True)
    for _ in range(3):
        fast()
    assert fast.programs[0].floats and x.item() == 4 and y.item() == float("inf")


# ---- devices that make one kernel of a group
class Asked:
    """Stands for a device's `fused`: remembers what it is asked, and runs groups by NumPy's kernels."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse, self.groups = refuse, list[list[str]]()

    def __call__(self, equations: Any, inputs: Any, outputs: Any) -> Any:
        names = [e.op.name for e in equations]
        if self.refuse in names:
            return None
        self.groups.append(names)
        return lambda arrays, out: [None for _ in outputs]


def test_devices_are_asked_for_one_kernel() -> None:
    def f(x: Any, y: Any) -> Any:
        z = (x * y).exp()
        share = z / z.sum(1, keepdim=True)
        return share, (share * y).sum(), y.t() * 2

    graph = capture(f, torch.ones(5, 7), torch.ones(5, 7))
    asked = Asked()
    steps = generated(graph.equations, set(passes.results(graph)), asked)
    assert asked.groups == [["multiply", "exp", "sum", "divide", "multiply"]]  # the second sum is over other dims than the first
    (kernel,) = [s for s in steps if isinstance(s, Kernel)]
    assert [v.number for v in kernel.inputs] == [0, 1] and len(kernel.outputs) == 2
    asked = Asked(refuse="sum")
    steps = generated(graph.equations, set(passes.results(graph)), asked)
    assert asked.groups == [["multiply", "exp"], ["divide", "multiply"]]
    assert [s.op.name for s in steps if not isinstance(s, Kernel)] == ["transpose", "multiply", "sum", "sum"]
