"""The specialised calls do what the readable form does: same values, same nodes, same kept values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert import record
from wengert._tensor import Tensor
from wengert.op import FLOAT, OPS, SAME, Op
from wengert.testing.cases import RECORDS

ELEMENTWISE = [op for op in OPS.values() if op.name in RECORDS and op.elementwise and len(op.inputs) <= 2 and op.domain in (SAME, FLOAT)]
REDUCTIONS = [OPS[n] for n in ("sum", "mean", "amax", "norm2", "any", "argmax")]
VIEWS = [("reshape", ((2, 3),)), ("transpose", ((1, 0),)), ("getitem", ((slice(0, 2),),)), ("diagonal", (0, 0, 1))]


TYPES = {"d": "f8", "h": "f2", "i": "i8", "b": "?"}


def operands(op: Op, kinds: str, shapes: list[tuple[int, ...]]) -> list[Any]:
    """Return operands: g (requires grad), c (does not), d (float64, grad), h (float16, grad), i (int64), b (bool), n and k
    (numbers, 0.75 and 2)."""
    rng = np.random.default_rng(3)
    made: list[Any] = []
    for kind, shape in zip(kinds, shapes, strict=True):
        low, high = (1, 5) if kind == "i" else (0.2, 0.8)
        values = torch.from_numpy(rng.uniform(low, high, shape).astype(TYPES.get(kind, "f4")))
        made.append({"n": 0.75, "k": 2}[kind] if kind in "nk" else values.requires_grad_() if kind in "gdh" else values)
    return made


def description(result: Tensor) -> Any:
    node = result._edge
    values = repr(result.detach().numpy().tolist()), result.dtype, tuple(result.shape), result.requires_grad
    if node is None:
        return values
    kept = [repr(v.tolist()) if isinstance(v, np.ndarray) else v for v in node.saved]
    while kept and kept[-1] is None:
        kept.pop()
    return values, node.name(), node.plan, [e is not None for e in node.edges], kept, node.shapes, len(node.guards), node.guards[1::2]


def outcome(function: Any, *args: Any) -> Any:
    """Return what a call made, or how it failed."""
    try:
        return description(function(*args))
    except Exception as error:
        return type(error), str(error)


def params(op: Op) -> tuple[Any, ...]:
    return {"power_number": (3,)}.get(op.name, ())


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_elementwise(op: Op) -> None:
    bits = {"bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "invert"}
    if op.name in bits:
        for call in (op, lambda *a: record.call(op, a)):
            with pytest.raises((TypeError, RuntimeError)):
                call(*operands(op, "g" * len(op.inputs), [(2,)] * len(op.inputs)))
    if op.params and op.name != "power_number":
        pytest.fail(f"{op.name} has params that this test does not know")
    shape_pairs = [[(2, 3), (2, 3)], [(2, 3), (3,)], [(1,), (2, 1)], [(), (3,)], [(0, 3), (1, 3)]]
    kinds = [*"gcdhib"] if len(op.inputs) == 1 else "gg gc cg cc gn cn dd gd hh hn hk hg ii in ik ig bb bk bi".split()
    for shapes in shape_pairs:
        for kind in kinds:
            xs = operands(op, kind, shapes[: len(op.inputs)])
            for mode in (torch.enable_grad, torch.no_grad):
                with mode():
                    fast, plain = outcome(op, *xs, *params(op)), outcome(record.call, op, xs, params(op))
                    assert fast == plain, (kind, shapes)


@pytest.mark.parametrize(("name", "shapes"), [
    ("matmul", [(2, 3), (3, 4)]), ("matmul", [(2, 2, 3), (3, 4)]), ("rows", [(2, 2, 3), (3, 4)]), ("mv", [(2, 3), (3,)]),
    ("dot", [(3,), (3,)]), ("outer", [(2,), (3,)]), ("matmul", [(2, 3), (2, 3)]),
])  # fmt: skip
def test_products(name: str, shapes: list[tuple[int, ...]]) -> None:
    for kind in ("gg", "gc", "cg", "cc", "dd", "gd"):
        xs = operands(OPS[name], kind, shapes)
        for mode in (torch.enable_grad, torch.no_grad):
            with mode():
                assert outcome(OPS[name], *xs) == outcome(record.call, OPS[name], xs), kind


@pytest.mark.parametrize(("name", "kinds", "shapes", "args"), [
    ("softmax_back", "gg gc cg cc dd gd gh", [(2, 3), (2, 3)], ((1,),)), ("gather", "gi ci hi dg", [(2, 6), (2, 2)], (1,)),
    ("class_mean", "gi di ci", [(4,), (4,)], (2,)), ("mse", "gg gc cg dd gd ig", [(2, 3), (2, 3)], (True,)),
])  # fmt: skip
def test_two_inputs_and_parameters(name: str, kinds: str, shapes: list[tuple[int, ...]], args: tuple[Any, ...]) -> None:
    assert torch.nn.functional.cross_entropy  # brings the losses' records
    for kind in kinds.split():
        xs = operands(OPS[name], kind, shapes)
        for mode in (torch.enable_grad, torch.no_grad):
            with mode():
                assert outcome(OPS[name], *xs, *args) == outcome(record.call, OPS[name], xs, args), kind


@pytest.mark.parametrize("op", REDUCTIONS, ids=lambda op: op.name)
def test_reductions(op: Op) -> None:
    for axis in (None, 1 if op.name == "argmax" else (1,)):
        for keepdims in (False, True):
            for kind in "gc":
                xs = operands(op, kind, [(2, 3)])
                assert description(op(*xs, axis, keepdims)) == description(record.call(op, xs, (axis, keepdims)))


@pytest.mark.parametrize(("name", "args"), VIEWS)
def test_views(name: str, args: tuple[Any, ...]) -> None:
    for kind in "gc":
        (x,) = operands(OPS[name], kind, [(3, 2)])
        fast, plain = OPS[name](x, *args), record.call(OPS[name], (x,), args)
        assert description(fast) == description(plain)
        assert fast._base is x and plain._base is x and fast._path == plain._path and fast._box is x._box


def test_what_types_make_of_each_other_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, n, mask = torch.tensor([1.0, -2.0]), torch.tensor([1, 2]), torch.tensor([True, False])
    op, half = OPS["where"], torch.tensor([1.0, 2.0], dtype=torch.float16)
    for values in ((x, x), (x, 0.5), (0, x), (n, 3), (half, half)):
        first = record.call(op, (mask, *values))
        with monkeypatch.context() as m:
            m.setattr(record, "prepare", None)
            assert record.call(op, (mask, *values)).equal(first)
    torch.set_default_dtype(torch.float64)  # by which a number's type is decided anew
    try:
        assert torch.where(mask, n, 0.5).dtype is torch.float64 and (n * 0.5).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.where(mask, n, 0.5).dtype is torch.float32 and torch.where(mask, n, x).dtype is torch.float32
    assert torch.where(mask, torch.tensor(1.0, dtype=torch.float64), n).dtype is torch.float64
    assert torch.where(mask, torch.tensor(1.0, dtype=torch.float64), x).dtype is torch.float32  # no dims count for less


def test_arithmetic_of_two_numbers_makes_a_tensor() -> None:
    made = [
        torch.add(1, 2), torch.sub(1.5, 2), torch.mul(2, 3j), torch.div(1, 2), torch.floor_divide(7, 2),
        torch.add(1, 2, alpha=3),
    ]  # fmt: skip
    assert [(x.item(), x.shape, str(x.dtype)) for x in made] == [
        (3, (), "torch.int64"), (-0.5, (), "torch.float32"), (6j, (), "torch.complex64"), (0.5, (), "torch.float32"),
        (3, (), "torch.int64"), (7, (), "torch.int64"),
    ]  # fmt: skip
    with pytest.raises(TypeError, match="maximum"):
        torch.maximum(1, 2)


def test_zeros_of_both_signs_and_nans_are_numbers_of_their_own() -> None:
    x, mask = torch.ones(1), torch.tensor([False])
    for value in (0.0, -0.0, 0, False, float("nan"), float("nan")):
        made = torch.where(mask, x, value).numpy()
        assert np.signbit(made[0]) == np.signbit(value) and np.isnan(made[0]) == np.isnan(value)


def test_inference_results_are_marked_by_both() -> None:
    x = torch.ones(2)
    with torch.inference_mode():
        assert (x * x).is_inference() and record.call(OPS["multiply"], (x, x)).is_inference()
        assert torch.exp(x).is_inference() and x.sum().is_inference()
        assert not x[0].is_inference() and not record.call(OPS["getitem"], (x,), ((0,),)).is_inference()  # as its base


def test_warnings_as_errors_change_no_result() -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(all="raise"):
        y = 1 / x
        assert y.tolist() == [float("inf"), 1.0]
        y.sum().backward()
        z = torch.tensor([0.0])
        assert z.log_().item() == float("-inf")
    assert x.grad.tolist() == [float("-inf"), -1.0]


REDUCED: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(), "rows": lambda x: x.sum(1), "columns": lambda x: x.sum(0), "kept": lambda x: x.sum(1, True),
    "mean": lambda x: x.mean(), "softmax": lambda x: x.softmax(1), "log_softmax": lambda x: x.log_softmax(0),
    "cumsum": lambda x: x.cumsum(1), "amax": lambda x: x.amax(1), "least": lambda x: x.amin(),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCED)
def test_reductions_warn_of_nothing(name: str) -> None:
    """Also those whose kernels run with warnings on; forward and backward."""
    x = torch.tensor([[3e38, 3e38, 1.0], [float("inf"), float("-inf"), float("nan")]], requires_grad=True)
    quiet = REDUCED[name](x)
    quiet.sum().backward()
    for how in ("raise", "warn"):
        with np.errstate(all=how), warnings.catch_warnings(action="error"):
            y = x.detach().clone().requires_grad_()
            made = REDUCED[name](y)
            made.sum().backward()
        assert np.array_equal(made.detach().numpy(), quiet.detach().numpy(), equal_nan=True)
        assert np.array_equal(y.grad.numpy(), x.grad.numpy(), equal_nan=True)
        assert type(made._array) is np.ndarray


def test_a_rule_that_reads_what_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot read.*nothing"):
        Op("bad", ("x",), rules=(lambda g, nothing: g,))
    with pytest.raises(TypeError, match="must read g"):
        Op("bad", ("x",), rules=(lambda x: x,))
    with pytest.raises(TypeError, match="rules for"):
        record.elementwise("bad", "x", inputs="x", y=lambda g: g)
    assert "bad" not in OPS


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="already registered"):
        record.elementwise("add", "x + y", x=lambda g: g, y=lambda g: g)


def test_an_input_without_a_rule_says_so_in_backward() -> None:
    half = record.elementwise("only_x", "x * y", inputs="x y", domain=SAME, x=lambda g, y: g * y)
    half.kernels[np.ndarray] = OPS["multiply"].kernels[np.ndarray]
    try:
        x = torch.ones(2, requires_grad=True)
        y = torch.tensor([3.0, 4.0], requires_grad=True)
        with pytest.raises(NotImplementedError, match="only_x.*'y'"):
            half(x, y).sum().backward()
        assert x.grad is None and y.grad is None
        half(x, y.detach()).sum().backward()
        assert x.grad is not None and x.grad.tolist() == [3.0, 4.0]
    finally:
        del OPS["only_x"]


def test_two_real_inputs_may_give_a_complex_or_a_whole_result() -> None:
    def infer(x: Any, y: Any) -> Any:
        return x.shape, np.dtype(np.complex64)

    spun = record.structural("spun", "x y", infer, x=lambda g, y: g * (y * 1j), y=lambda g, x: g * (x * 1j))
    spun.kernels[np.ndarray] = lambda x, y: 1j * x * y
    whole = record.structural("whole", "x y", lambda x, y: (x.shape, np.dtype(np.int64)), x=lambda g: g, y=lambda g: g)
    whole.kernels[np.ndarray] = lambda x, y: (x + y).astype(np.int64)
    try:
        for kind in ("gg", "gc", "cg", "cc"):
            xs = operands(spun, kind, [(2,), (2,)])
            assert outcome(spun, *xs) == outcome(record.call, spun, xs)
            assert outcome(whole, *xs) == outcome(record.call, whole, xs)
        x, y = operands(spun, "gc", [(2,), (2,)])
        (found,) = torch.autograd.grad(spun(x, y), x, torch.tensor([1j, 1.0]))
        assert torch.allclose(found.real, torch.tensor([1.0, 0.0]) * y)  # of g conj(i y), the part that reaches a real input
    finally:
        del OPS["spun"], OPS["whole"]


WRONG: dict[str, tuple[Any, str]] = {  # rules, and what is said of them
    "None": (lambda g, x: None, r"TypeError: .*this is NoneType"), "a number": (lambda g, x: 2.0, r"TypeError: .*this is float"),
    "a list": (lambda g, x: [1.0, 2.0], r"TypeError: .*this is list"),
    "a tensor": (lambda g, x: torch.ones(2), r"TypeError: .*this is Tensor"),
    "another shape": (lambda g, x: np.concatenate([g, g]), r"RuntimeError: .*the shape \[4\], and \[2\] is expected"),
    "what raises": (lambda g, x: g.nothing, r"AttributeError: .*no attribute 'nothing'"),
}


WRONG_WITHOUT_X = {  # of rules that read nothing of the input, so that a node keeps its shape and type for the look alone
    "a row": (lambda g: g[None], r"RuntimeError: .*the shape \[1, 2\], and \[2\] is expected"),
    "a number of a library": (lambda g: np.float32(2), r"RuntimeError: .*the shape \[\], and \[2\] is expected"),
    "two of them": (lambda g: np.stack([g, g]), r"RuntimeError: .*the shape \[2, 2\], and \[2\] is expected"),
    "integers": (lambda g: np.array([1, 2]), r"TypeError: .*of type int64, and float32 is expected"),
    "objects": (lambda g: g.astype(object), r"TypeError: .*of type object, and float32 is expected"),
    "complex": (lambda g: g * 1j, r"TypeError: .*of type complex64, and float32 is expected"),
}


@pytest.mark.parametrize("name", WRONG_WITHOUT_X)
def test_a_rule_that_reads_g_alone_is_looked_at_too(name: str) -> None:
    rule, words = WRONG_WITHOUT_X[name]
    op = record.structural("test::wrong", "x", lambda x: (x.shape, x.dtype), x=rule)
    op.kernels[np.ndarray] = lambda x: x * 2
    try:
        x = torch.ones(2, requires_grad=True)
        with pytest.raises((TypeError, RuntimeError)) as found:
            op(x).sum().backward()
        assert re.fullmatch(words, f"{found.type.__name__}: {found.value}")
        assert "op 'test::wrong', rule of input 'x' (" in str(found.value) and x.grad is None
    finally:
        del OPS["test::wrong"]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("record_of", [
    lambda rule: record.elementwise("test::wrong", "x * x", x=rule),
    lambda rule: record.structural("test::wrong", "x", lambda x: (x.shape, x.dtype), x=rule),
])  # fmt: skip
def test_what_the_rule_of_another_package_gives_is_looked_at(record_of: Any, name: str) -> None:
    rule, words = WRONG[name]
    op = record_of(rule)
    op.kernels[np.ndarray] = lambda x, out=None: x * x
    try:
        x = torch.ones(2, requires_grad=True)
        with pytest.raises((TypeError, RuntimeError, AttributeError)) as found:
            (op(x * 3) * 2).sum().backward()
        notes = " ".join(getattr(found.value, "__notes__", ()))
        assert re.fullmatch(words, f"{found.type.__name__}: {found.value}")
        assert "op 'test::wrong', rule of input 'x' (" in f"{found.value} {notes}" and x.grad is None
    finally:
        del OPS["test::wrong"]


def test_rules_of_other_packages_that_broadcast_or_take_several_inputs() -> None:
    scaled = record.elementwise("test::scaled", "x * y", inputs="x y", x=lambda g, y: g * y, y=lambda g, x: g * x)
    joined = record.structural("test::joined", "*xs", lambda xs: ((2, 3), xs[0].dtype), xs=lambda g, index: g[index])
    joined.kernels[np.ndarray] = lambda xs: np.stack(xs)
    try:
        x, y = torch.ones(2, 3, requires_grad=True), torch.ones(3, requires_grad=True)
        scaled(x, y).sum().backward()
        assert x.grad.shape == x.shape and y.grad.tolist() == [2.0, 2.0, 2.0]
        joined((y, y * 2)).sum().backward()
        assert y.grad.tolist() == [5.0, 5.0, 5.0]
        moved = torch.func.jvp(lambda y: scaled(x.detach(), y), (y.detach(),), (torch.ones(3),))[1]
        assert moved.tolist() == [[1.0, 1.0, 1.0]] * 2
        (twice,) = torch.func.vmap(torch.func.grad(lambda y: (scaled(y, y) * y).sum()))(y.detach()[None])
        assert twice.tolist() == [3.0, 3.0, 3.0]
    finally:
        del OPS["test::scaled"], OPS["test::joined"]


@pytest.mark.parametrize("rule", [3, np.cos])
def test_a_rule_is_a_function_of_python(rule: Any) -> None:
    with pytest.raises(TypeError, match="'test::none', rule of input 'x': a rule is a Python function"):
        record.elementwise("test::none", "x * x", x=rule)
