"""`autograd.graph` and anomaly mode: hooks on what is kept, gradient edges, who made the nan.

Owns the proof of wengert/autograd/graph.py, saving.py and anomaly_mode.py. Programs as in test_autograd.py.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from typing import Any

import pytest

import wengert
from programs import Programs
from test_function import function, leaf, says, table

PROGRAMS = program = Programs("test_autograd_graph")

KEEPING = {
    "x * y": lambda x, y: x * y, "exp": lambda x, y: x.exp(), "x * 2 exp": lambda x, y: (x * 2).exp(), "sum": lambda x, y: x.sum(),
    "cube": lambda x, y: x**3, "matmul": lambda x, y: x @ y, "tanh": lambda x, y: x.tanh(), "div": lambda x, y: x / y,
    "number": lambda x, y: x * 2.5, "log_softmax": lambda x, y: x.log_softmax(0), "where": lambda x, y: x.where(x > 1, y),
    "cumsum": lambda x, y: x.cumsum(0), "norm": lambda x, y: x.norm(), "add": lambda x, y: x + y, "max": lambda x, y: x.max(),
    "write": lambda x, y: (x * 1).mul_(y).exp_(), "sort": lambda x, y: (x * y).sort()[0], "max of a dim": lambda x, y: x.max(0)[0],
}  # fmt: skip


@program
def what_is_packed(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    made = []
    for f in KEEPING.values():
        log: list[Any] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, log=log: (log.append((t.double() * 1e9).round().tolist()), t.detach().clone())[1], lambda t: t.clone()):
            z = f(x, y)
        made += [sorted(log, key=str), torch.autograd.grad(z.sum(), (x, y), allow_unused=True)]
    return made


@program
def packed_as_something_else(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    kept: dict[int, Any] = {}

    def pack(t: Any) -> int:
        kept[len(kept)] = t.detach().clone()
        return len(kept) - 1

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda i: kept[i] * 10):
        z = x * y
    z.sum().backward()
    return x.grad, y.grad, len(kept)


@program
def packed_second_order(torch: Any) -> Any:
    made = []
    for f in (lambda x: x.exp(), lambda x: x**3, lambda x: x * x.sin(), lambda x: torch.stack([x, x * 2]).prod(0), lambda x: (x**3).sort()[0]):
        x = leaf(torch, 0.3, 0.7)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
            d = f(x * 1).sum()
            for _ in range(3):
                (g,) = torch.autograd.grad(d, x, create_graph=True)
                made.append(g.detach())
                d = g.sum()
    return made


@program
def a_leaf_is_packed_as_itself(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    same: list[bool] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (same.append(t is x or t is y), t)[1], lambda t: t):
        z = x * y
        (x * 1).exp()
    z.sum().backward()
    return same, x.grad


@program
def a_function_packs_what_it_saves(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    log: list[Any] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (log.append(t.tolist()), t.detach())[1], lambda t: t * 10):
        y, z = table(torch)["Square"].apply(x), table(torch)["Exp"].apply(x)
    (y + z).sum().backward()
    return log, x.grad


@program
def the_innermost_hooks_count(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    log: list[str] = []
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda t: (log.append("outer"), t)[1], lambda t: t):
        with hooks(lambda t: (log.append("inner"), t)[1], lambda t: t):
            x.exp()
        x.exp()
    x.exp()
    return log


@program
def modes_inside_of_pack_and_unpack(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    log: list[bool] = []

    def note(t: Any) -> Any:
        log.append(torch.is_grad_enabled())
        return t.detach()

    with torch.autograd.graph.saved_tensors_hooks(note, note):
        y, z = x.exp(), x.exp()
    y.sum().backward()
    torch.autograd.grad(z.sum(), x, create_graph=True)
    return log


@program
def writes_to_packed_values(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda t: t.detach().clone(), lambda t: t):
        w = x * 1
        z = w * w
    w.add_(1)
    z.sum().backward()

    def careless() -> Any:
        with hooks(lambda t: t.add_(1), lambda t: t):
            return (x * 1) * (y * 1)

    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        b = y * 1
        c = b * b
        b.add_(1)
        c.sum().backward()
    return x.grad, y.grad, says(careless, "A saved tensor pack hook is modifying its input in place")


@program
def hooks_that_give_something_else(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        a = x * y
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: torch.zeros(3, dtype=torch.float64)):
        b = x * y

    def enter(*hooks: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(*hooks):
            pass

    return (
        says(lambda: a.sum().backward(), "Output of saved tensor unpack_hook expected to be a Tensor but got result of type int"),
        says(lambda: b.sum().backward(), ""), says(lambda: enter(1, 2), ""),
    )  # fmt: skip


@program
def hooks_are_forbidden(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    graph = torch.autograd.graph

    def inside() -> None:
        with graph.disable_saved_tensors_hooks("not here"), graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            x.exp()

    def around() -> None:
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t), graph.disable_saved_tensors_hooks("not here"):
            x.exp()

    made = says(inside, "not here"), says(around, "not here")
    with graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t * 0):
        y = x.exp()
    y.sum().backward()
    return made, x.grad


@program
def save_on_cpu(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    with torch.autograd.graph.save_on_cpu():
        z = (x * y).exp()
    (g,) = torch.autograd.grad(z.sum(), x, create_graph=True)
    return g.detach(), torch.autograd.grad(g.sum(), y)


@program
def one_kept_value_packed_by_hooks_of_its_own(torch: Any) -> Any:
    x, w, seen = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0), []
    y = x * w
    first, second = y.grad_fn._raw_saved_self, y.grad_fn._raw_saved_other
    first.register_hooks(lambda t: (seen.append("pack"), t.detach().clone())[1], lambda t: (seen.append("unpack"), t)[1])
    second.register_hooks(lambda t: t * 10, lambda t: t / 10)
    y.sum().backward()
    z = x.exp()
    z.grad_fn._raw_saved_result.register_hooks(lambda t: 2 * t, lambda t: t / 2)
    z.sum().backward()
    v = x * w
    v.grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t)
    same = v.grad_fn._saved_other is w
    (g,) = torch.autograd.grad(v.pow(2).sum(), x, create_graph=True)
    g.sum().backward()
    return x.grad, w.grad, len(seen), same


@program
def tensors_of_any_iterable(torch: Any) -> Any:
    leaves = {"a": leaf(torch, 1.0, 2.0), "b": leaf(torch, 3.0, 4.0)}
    y = (leaves["a"] * leaves["b"]).sum()
    grads = torch.autograd.grad((t for t in [y]), leaves.values(), retain_graph=True)
    y.backward(inputs=(t for t in leaves.values()))
    return grads, [t.grad for t in leaves.values()]


@program
def kept_values_of_a_node(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    z, w, v = x * y, x.exp(), x**3
    shown = [z.grad_fn._saved_self, z.grad_fn._saved_other, w.grad_fn._saved_result, v.grad_fn._saved_exponent]
    second = torch.autograd.grad(w.grad_fn._saved_result.sum(), x, retain_graph=True)
    w.sum().backward()
    return (
        [s.detach() if hasattr(s, "detach") else s for s in shown], second,
        says(lambda: w.grad_fn._saved_result, "already been freed"), says(lambda: (x + y).grad_fn._saved_self, "_saved_self"),
    )  # fmt: skip


# ---- several gradients
@program
def all_of_several_gradients(torch: Any) -> Any:
    a, b, c = (leaf(torch, float(i), 2.0) for i in range(3))
    seen: list[Any] = []
    handle = torch.autograd.graph.register_multi_grad_hook((a, b, c), lambda gs: seen.append([g is None for g in gs]))
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    d = a * b
    h = torch.autograd.graph.register_multi_grad_hook((d, d.exp()), lambda gs: seen.append([None if g is None else g.tolist() for g in gs]))
    d.sum().backward()
    handle.remove()
    (a * b).sum().backward()
    h.remove()
    return seen


@program
def any_of_several_gradients(torch: Any) -> Any:
    a, b, c = (leaf(torch, float(i), 2.0) for i in range(3))
    seen: list[Any] = []
    graph = torch.autograd.graph
    with graph.register_multi_grad_hook((a, b, c), lambda g: seen.append(tuple(g.shape)), mode="any"):
        (a * b).sum().backward()
        (a * b * c).sum().backward()
    (a * b * c).sum().backward()
    return (
        seen, says(lambda: graph.register_multi_grad_hook((a.detach(),), print), ""),
        says(lambda: graph.register_multi_grad_hook((a,), print, mode="some"), "Expects mode to be one of ('all', 'any') but got some"),
    )  # fmt: skip


# ---- edges
@program
def gradient_edges(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    z = x * 2
    edge = torch.autograd.graph.get_gradient_edge(z)
    w = (z * z).sum()
    first = torch.autograd.grad(w, edge, retain_graph=True)
    onwards = torch.autograd.grad(edge, x, torch.ones(2, dtype=torch.float64), retain_graph=True)
    torch.autograd.backward(torch.autograd.graph.get_gradient_edge(w), inputs=[x])
    two = table(torch)["Both"].apply(x, x)
    second = torch.autograd.graph.get_gradient_edge(two[1])
    end = torch.autograd.graph.get_gradient_edge(x)
    return (
        first, onwards, x.grad, edge.output_nr, edge.node is z.grad_fn, second.output_nr, second.node is two[0].grad_fn,
        end.node.variable is x, torch.autograd.grad(two[1].sum(), [end, second]),
        says(lambda: torch.autograd.graph.get_gradient_edge(x.detach()), "not possible to get the gradient edge for a Tensor"),
        says(lambda: torch.autograd.grad(edge, x), "grad can be implicitly created only for scalar outputs"),
    )  # fmt: skip


@program
def edges_made_by_hand(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0) * 1, leaf(torch, 3.0, 4.0) * 1
    a, b = (torch.autograd.graph.GradientEdge(t.grad_fn, t.output_nr) for t in (x, y))
    parts = leaf(torch, 1.0, 2.0).unbind()
    part = torch.autograd.graph.GradientEdge(parts[1].grad_fn, parts[1].output_nr)
    torch.autograd.backward((x * y).sum(), inputs=(a, y))
    return [
        torch.autograd.grad((x * y).sum(), (a, b)), torch.autograd.grad((parts[0] * parts[1]), part), y.grad,
        torch.autograd.grad(x.sum(), (x, b), allow_unused=True),
        says(lambda: torch.autograd.grad(x.sum(), (x, b), allow_unused=True, materialize_grads=True), "materialize_grads cannot"),
    ]  # fmt: skip


@program
def hooks_of_what_grad_is_asked_for(torch: Any) -> Any:
    """`grad` hears the hooks of a tensor, and those of its node only if that runs too."""
    x = leaf(torch, 1.0)
    y = x * 2
    log: list[str] = []
    node, end = y.grad_fn, y.grad_fn.next_functions[0][0]
    y.register_hook(lambda g: log.append("y"))
    x.register_hook(lambda g: log.append("x"))
    for name, at in (("node", node), ("end", end)):
        at.register_prehook(lambda g, name=name: log.append(f"before {name}"))
        at.register_hook(lambda a, b, name=name: log.append(f"after {name}"))
    z = (y * 2).sum()
    for act in (
        lambda: torch.autograd.grad(z, y, retain_graph=True), lambda: torch.autograd.grad(z, (x, y), retain_graph=True),
        lambda: z.backward(inputs=(x, y), retain_graph=True), lambda: z.backward(retain_graph=True),
        lambda: torch.autograd.grad(z, x, retain_graph=True),
    ):  # fmt: skip
        act()
        log.append("|")
    return log


@program
def hooks_after_accumulation_run_as_gradients_arrive(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    log: list[str] = []
    w.register_post_accumulate_grad_hook(lambda t: log.append(f"w {t.grad.tolist()}"))
    y = x.exp()
    y.register_hook(lambda g: log.append("y"))
    (y * w).sum().backward()
    x.register_post_accumulate_grad_hook(lambda t: t.grad)
    return log, says(lambda: (x * 2).sum().backward(), "hooks should return None")


@program
def a_node_is_called(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)
    (x * y).grad_fn.next_functions[1][0](torch.tensor(5.0, dtype=torch.float64))
    g, h = (x * y).grad_fn(torch.ones(2, dtype=torch.float64))
    (second,) = torch.autograd.grad((x**2).grad_fn(x).sum(), x)
    return g, h.sum(), y.grad, second, says(lambda: x.exp().grad_fn(), "expected 1 arguments, got 0")


@program
def hooks_of_a_module_and_second_order(torch: Any) -> Any:
    loss, x, log = torch.nn.MSELoss(), leaf(torch, 1.0, 2.0), []
    loss.register_full_backward_hook(lambda module, given, arrived: log.append([arrived[0].tolist(), given[0].tolist()]))
    (g,) = torch.autograd.grad(loss(x, torch.zeros(2, dtype=torch.float64)), x, create_graph=True)
    return torch.autograd.grad(g.sum(), x), log


@program
def unreached_tensors_of_a_hook_of_several(torch: Any) -> Any:
    x, y, z = leaf(torch, 1.0), leaf(torch, 2.0), leaf(torch, 3.0)
    log: list[Any] = []
    torch.autograd.graph.register_multi_grad_hook((x, y, z), lambda grads: log.append([g is not None for g in grads]))
    (y * z).sum().backward(inputs=(x, z))
    return log


@program
def versions_by_hand(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), torch.ones(2, dtype=torch.float64)
    y = x * c
    torch.autograd.graph.increment_version(c)
    torch.autograd.graph.increment_version([c, x])
    return c._version, x._version, says(lambda: y.sum().backward(), "modified by an inplace operation")


@program
def every_node_is_a_node(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    nodes = [(x * 2).grad_fn, (x * 2).grad_fn.next_functions[0][0], table(torch)["Square"].apply(x).grad_fn]
    for node in nodes:
        node.metadata["mine"] = 1
    return [isinstance(n, torch.autograd.graph.Node) for n in nodes], isinstance(x, torch.autograd.graph.Node), [n.metadata for n in nodes]


# ---- anomaly mode
def caught(act: Any) -> Any:
    """Return an outcome and the warnings of the package on the way."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        said = says(act, "")
        if isinstance(said, tuple):
            try:
                act()
            except Exception as error:
                said = type(error).__name__, str(error).split("\n")[0]
    texts = [str(w.message) for w in seen if issubclass(w.category, UserWarning)]
    return said, sorted({t.split(". ")[0].split(" has been")[0] for t in texts}), sum("in the_line" in t for t in texts)


@program
def the_line_that_made_the_nan(torch: Any) -> Any:
    def the_line(x: Any) -> Any:
        return x / x

    def inside() -> None:
        x = torch.zeros(2, requires_grad=True)
        with torch.autograd.detect_anomaly():
            the_line(x).sum().backward()

    def only_backward() -> None:
        x = torch.zeros(2, requires_grad=True)
        y = the_line(x).sum()
        with torch.autograd.detect_anomaly():
            y.backward()

    def no_check() -> None:
        x = torch.zeros(2, requires_grad=True)
        with torch.autograd.detect_anomaly(check_nan=False):
            the_line(x).sum().backward()

    def raising() -> None:
        def backward(ctx: Any, g: Any) -> Any:
            raise LookupError("mine")

        with torch.autograd.detect_anomaly():
            function(torch, lambda ctx, x: x * 2, backward).apply(leaf(torch, 1.0, 2.0)).sum().backward()

    return caught(inside), caught(only_backward), caught(no_check), caught(raising)


@program
def anomaly_mode_and_several_results(torch: Any) -> Any:
    x = leaf(torch, 3.0, 1.0)
    with torch.autograd.set_detect_anomaly(True):
        a, b = table(torch)["Both"].apply(x, x)
        (a * b + x.sort()[0]).sum().backward()
    return x.grad


@program
def anomaly_mode_as_a_switch(torch: Any) -> Any:
    made = [torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()]
    torch.autograd.set_detect_anomaly(True, check_nan=False)
    made += [torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()]
    torch.autograd.set_detect_anomaly(False)
    made += [torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()]
    with torch.autograd.set_detect_anomaly(True):
        x = leaf(torch, 1.0, 2.0)
        made += [torch.is_anomaly_enabled(), "traceback_" in (x * 2).grad_fn.metadata]
    return [*made, torch.is_anomaly_enabled(), "traceback_" in (x * 2).grad_fn.metadata]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- wengert alone
def test_hooks_are_off_when_nobody_asked() -> None:
    from wengert import record, tape

    assert record.make_node is tape.node
    with wengert.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        assert record.make_node is not tape.node
    with wengert.autograd.set_detect_anomaly(True):
        assert record.make_node is not tape.node and tape.anomaly is not None
    assert record.make_node is tape.node and tape.anomaly is None


def test_hooks_are_of_one_thread() -> None:
    x = leaf(wengert, 1.0, 2.0)
    log: list[str] = []

    def work() -> None:
        log.append(type((x * x).grad_fn).__name__)

    with wengert.autograd.graph.saved_tensors_hooks(lambda t: (log.append("packed"), t)[1], lambda t: t):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert log == ["MulBackward0"]


def test_the_identity_as_hooks_is_no_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(wengert, 1.0, 2.0)
        with wengert.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = (x * 1).exp()
        watch = weakref.ref(y.grad_fn)
        del y
        assert watch() is None
    finally:
        gc.enable()


def test_a_leaf_hook_of_several_runs_for_grad_too() -> None:
    """PyTorch refuses this; here a gradient that `grad` was asked for is known as any other."""
    a, b = leaf(wengert, 1.0, 2.0), leaf(wengert, 3.0, 4.0)
    seen: list[Any] = []
    wengert.autograd.graph.register_multi_grad_hook((a, b), lambda gs: seen.append([g is None for g in gs]))
    wengert.autograd.grad((a * b).sum(), a)
    assert seen == [[False, True]]


def test_a_second_order_nan_names_both_lines() -> None:
    x = wengert.zeros(2, dtype=wengert.float64, requires_grad=True)
    with wengert.autograd.set_detect_anomaly(True):
        (g,) = wengert.autograd.grad((x**1.5).sum(), x, create_graph=True)
        with pytest.warns(UserWarning, match="induced by PowBackward") as seen, pytest.raises(RuntimeError, match="nan values"):
            (g * 0).sum().backward()
    assert "test_a_second_order_nan_names_both_lines" in str(seen[0].message)
    assert "record.py" not in str(seen[0].message)
