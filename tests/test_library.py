"""Operations of the user's own: a function, a rule or a backward, and everything a built-in op can do.

Owns the proof of wengert/library.py. Programs as in test_autograd.py, for PyTorch's form of the same.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wengert
from programs import Programs
from test_function import leaf, says
from wengert import Tensor, custom_op, library
from wengert.op import OPS
from wengert.registry import registry

PROGRAMS = program = Programs("test_library")


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    before = set(OPS)
    yield
    for name in [name for name in library.defined if name.startswith("test")]:
        del library.defined[name]
    for name in set(OPS) - before:
        if name.startswith(("custom_", "test_")):
            del OPS[name]
    for key in [key for key in registry.kernels if key[0].startswith(("custom_", "test_"))]:
        del registry.kernels[key]


# ---- PyTorch's form
def public(torch: Any) -> Any:
    """Return the module that custom ops are made with."""
    return importlib.import_module(f"{torch.__name__}." + "library")


def ours_in(torch: Any) -> Any:
    """Return an op with a backward and one without, made by the module's own custom_op."""

    def scaled(x: Any, factor: float) -> Any:
        return x.sin() * factor

    def both(x: Any, y: Any) -> Any:
        return x + y, x * y

    scaled.__annotations__ = {"x": torch.Tensor, "factor": float, "return": torch.Tensor}
    both.__annotations__ = {"x": torch.Tensor, "y": torch.Tensor, "return": tuple[torch.Tensor, torch.Tensor]}
    make = public(torch).custom_op
    return make("test::scaled", scaled, mutates_args=()), make("test::both", both, mutates_args=())


@program
def a_backward_and_its_context(torch: Any) -> Any:
    scaled, both = ours_in(torch)

    def keep(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.factor = inputs[1]

    scaled.register_autograd(lambda ctx, g: (g * ctx.saved_tensors[0].cos() * ctx.factor, None), setup_context=keep)
    public(torch).register_autograd(
        "test::both", lambda ctx, g, h: (g + h * ctx.y, g + h * ctx.x), setup_context=lambda ctx, inputs, output: vars(ctx).update(x=inputs[0], y=inputs[1])
    )
    x, y = leaf(torch, 0.3, 0.7), leaf(torch, 3.0, 4.0)
    (g,) = torch.autograd.grad(scaled(x, 2.0).sum(), x, create_graph=True)
    second = torch.autograd.grad(g.sum(), x)
    a, b = both(x, y)
    (a * b).sum().backward()
    return g.detach(), second, x.grad, y.grad, scaled(x, factor=3.0).detach(), torch.autograd.gradcheck(lambda x: scaled(x, 2.0), x)


@program
def an_op_without_gradient(torch: Any) -> Any:
    scaled, both = ours_in(torch)
    x = leaf(torch, 0.3, 0.7)
    y = scaled(x.detach(), 2.0)
    return y, y.requires_grad, [r.detach() for r in both(x.detach(), y)]


@program
def an_op_that_writes(torch: Any) -> Any:
    def fill(x: Any, value: float) -> None:
        x.fill_(value)

    fill.__annotations__ = {"x": torch.Tensor, "value": float, "return": None}
    op = public(torch).custom_op("test::fill", fill, mutates_args=("x",))
    t = torch.ones(2, dtype=torch.float64)
    w = leaf(torch, 1.0, 2.0) * t
    op(t, 3.0)
    return t, says(lambda: w.sum().backward(), "modified by an inplace operation")


@program
def operations_by_a_schema(torch: Any) -> Any:
    with public(torch)._scoped_library("test_schemas", "FRAGMENT") as lib:
        lib.define("scaled(Tensor x, float s=2.0, *, str mode='a,b') -> Tensor")
        lib.define("join.tensors(Tensor a, Tensor b) -> Tensor")
        lib.define("join.number(Tensor a, Scalar b) -> Tensor")
        lib.define("optional(Tensor x, Tensor? w=None, int[] dims=[0, 1]) -> (Tensor, Tensor)")
        lib.define("double(Tensor x, Tensor(a!) out) -> ()")
        lib.define("unset(Tensor x) -> Tensor")
        lib.define("above(Tensor x) -> Tensor")
        lib.impl("scaled", lambda x, s=2.0, *, mode="a,b": x * s, "CompositeImplicitAutograd")
        lib.impl("join.tensors", lambda a, b: a + b, "CPU")
        lib.impl("join.number", lambda a, b: a - b, "CPU")
        lib.impl("optional", lambda x, w=None, dims=(0, 1): (x.sum(dims), x * 1 if w is None else x * w), "CompositeExplicitAutograd")
        lib.impl("double", lambda x, out: [out.copy_(x * 2), None][1], "CPU")
        lib.impl("above", lambda x: x.detach() * 2, "CPU")
        ops = torch.ops.test_schemas

        class Above(torch.autograd.Function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                with torch._C._AutoDispatchBelowAutograd() if hasattr(torch, "_C") else torch.no_grad():
                    return ops.above(x)

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g * 20

        lib.impl("above", Above.apply, "Autograd")
        x, y = leaf(torch, [1.0, 2.0], [3.0, 4.0]), torch.ones(2, 2, dtype=torch.float64)
        ops.double(y * 3, out=(out := y * 0))
        (ops.scaled(x, 3.0) + ops.scaled.default(x) + ops.above(x)).sum().backward()
        joined = ops.join(y, y), ops.join(y, 3), ops.join.number(y, 4)
        missing = says(lambda: ops.unset(y), "Could not run 'test_schemas::unset'"), says(lambda: ops.absent, "no attribute")
        return x.grad, joined, ops.optional(y), ops.optional(y, y * 3, dims=[1]), out, missing


@program
def a_defined_operation_and_its_backward(torch: Any) -> Any:
    made = public(torch)
    if not hasattr(getattr(torch.ops, "test_defined", None) or torch, "powered"):
        made.define("test_defined::powered", "(Tensor x, int k) -> Tensor")
        made.impl("test_defined::powered", ("cpu", "cuda"))(lambda x, k: torch.from_numpy(x.detach().numpy() ** k))
        made.register_fake("test_defined::powered")(lambda x, k: torch.empty_like(x))
        made.register_autograd(
            "test_defined::powered", lambda ctx, g: (g * ctx.k * ctx.saved_tensors[0] ** (ctx.k - 1), None),
            setup_context=lambda ctx, inputs, output: (ctx.save_for_backward(inputs[0]), setattr(ctx, "k", inputs[1]))[0],
        )  # fmt: skip
    x = leaf(torch, 2.0, 3.0)
    torch.ops.test_defined.powered(x, 3).sum().backward()
    compiled = torch.compile(lambda x: torch.ops.test_defined.powered(x, 2) + 1, backend="eager")
    return x.grad, torch.ops.test_defined.powered.default(x.detach(), k=2), compiled(x.detach())


@program
def an_op_whose_parameter_is_called_out(torch: Any) -> Any:
    def sine(x: Any, out: Any) -> None:
        out.copy_(x.sin())

    sine.__annotations__ = {"x": torch.Tensor, "out": torch.Tensor, "return": None}
    x = torch.ones(2)
    public(torch).custom_op("test::sine_out", sine, mutates_args={"out"})(x, out := x * 0)
    return out


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- rules, templates, arrays
def cubed() -> Any:
    @custom_op(gradient=lambda g, x: 3 * g * x * x, arrays=True)
    def cube(x: Any) -> Any:
        return x**3

    return cube


def weighted() -> Any:
    @custom_op("test::weighted", gradient={"x": lambda g, y, k: g * y * k, "y": lambda g, x, k: g * x * k}, template="x * y * k")
    def weighted(x: Tensor, y: Tensor, k: float = 2.0) -> Tensor:
        return x * y * k

    return weighted


def test_a_rule_gives_every_order() -> None:
    cube = cubed()
    x = leaf(wengert, 2.0, 3.0)
    d = cube(x).sum()
    for expected in ([12.0, 27.0], [12.0, 18.0], [6.0, 6.0]):
        (g,) = wengert.autograd.grad(d, x, create_graph=True)
        assert g.tolist() == expected
        d = g.sum()
    assert cube(x).grad_fn.name() == "CubeBackward0" and repr(cube) == "<custom op custom::cube(x)>"
    assert wengert.autograd.gradcheck(cube, x) and wengert.autograd.gradgradcheck(cube, x)


def test_a_template_broadcasts_and_promotes() -> None:
    op = weighted()
    x, y = leaf(wengert, 1.0, 2.0), leaf(wengert, [[3.0], [4.0]])
    op(x, y, k=5.0).sum().backward()
    assert x.grad is not None and y.grad is not None
    assert x.grad.tolist() == [35.0, 35.0] and y.grad.tolist() == [[15.0], [15.0]]
    assert op(wengert.ones(2, dtype=wengert.int64), 3).tolist() == [6.0, 6.0]
    assert OPS["test_weighted"].expr == "x * y * k"


def test_it_is_batched_carried_forward_and_captured() -> None:
    from wengert import func, graph

    for op, args in ((cubed(), 1), (weighted(), 2)):
        xs = [wengert.tensor([[1.0, 2.0], [3.0, 4.0]]) for _ in range(args)]
        assert wengert.allclose(func.vmap(op)(*xs), wengert.stack([op(*[x[i] for x in xs]) for i in range(2)]))
        moved = func.jvp(op, tuple(xs), tuple(wengert.ones(2, 2) for _ in xs))[1]
        leaves = [x.requires_grad_() for x in xs]
        assert wengert.allclose(moved, sum(wengert.autograd.grad(op(*leaves).sum(), leaves)))  # elementwise: J 1 is the diagonal
        captured = graph.capture(lambda *xs, op=op: wengert.autograd.grad(op(*xs).sum(), xs[0])[0], *leaves)
        assert wengert.allclose(captured(*leaves), wengert.autograd.grad(op(*leaves).sum(), leaves[0])[0])


def test_a_write_between_forward_and_backward_is_noticed() -> None:
    x = leaf(wengert, 2.0, 3.0) * 1
    y = cubed()(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation: a value kept by CubeBackward0"):
        y.sum().backward()


def test_a_backward_function_in_one_go() -> None:
    @custom_op("test::halved", gradient=lambda ctx, g: g / 2)
    def halved(x: Tensor) -> Tensor:
        return x / 2

    x = leaf(wengert, 2.0, 3.0)
    halved(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.5, 0.5]


def test_without_a_gradient_backward_says_so() -> None:
    @custom_op("test::plain")
    def plain(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
        return x * n, x.sum()

    a, b = plain(leaf(wengert, 2.0, 3.0), 3)
    assert a.tolist() == [6.0, 9.0] and b.item() == 5.0
    with pytest.raises(NotImplementedError, match="test::plain: the gradient for input 'x' is not implemented"):
        a.sum().backward()


def test_a_function_for_another_device_and_a_fake() -> None:
    cube = cubed()

    @cube.register_kernel("cpu")
    def other(x: Any) -> Any:
        return np.multiply(x, x) * x

    @cube.register_fake
    def shape(x: Any) -> Any:
        return x.clone()

    assert cube(wengert.tensor([2.0])).item() == 8.0
    assert OPS["custom_cube"].infer(np.ones((2, 3))) == ((2, 3), np.dtype(float))
    assert library.register_fake(cube, shape) is shape
    library.register_kernel("custom::cube", ("cpu",), lambda x: x * 0)
    assert cube(wengert.tensor([2.0])).item() == 0.0


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: custom_op("cube", abs), ValueError, "'namespace::name'"),
        (lambda: custom_op("test::a", lambda x: x * 2, gradient=lambda g, z: g), TypeError, r"rule of input 'x': cannot read \['z'\]"),
        (lambda: custom_op("test::b", lambda x: x * 2, gradient=lambda x: x), TypeError, "must read g"),
        (lambda: custom_op("test::c", lambda x, y: x * y, gradient=lambda g: g), TypeError, "has the inputs x, y: give a dict"),
        (lambda: custom_op("test::d", lambda x: x * 2, gradient={"z": lambda g: g}), TypeError, r"rules for \['z'\], but the inputs are x"),
        (lambda: custom_op("test::e", lambda *xs: xs), TypeError, "a fixed number of parameters"),
        (lambda: custom_op("test::f", lambda x: x, mutates_args=("z",)), TypeError, r"mutates_args names \['z'\]"),
        (lambda: custom_op("test::g", lambda x: x * 2, gradient=3), TypeError, "not 3"),
        (lambda: custom_op("test::h", lambda x: x)(wengert.ones(2)), RuntimeError, "returned one of its inputs"),
        (lambda: custom_op("test::i", lambda x: x * 2)("text"), TypeError, "argument 'x' must be Tensor, not str"),
        (lambda: library.register_autograd("test::absent", abs), ValueError, "there is no custom op 'test::absent'"),
        (lambda: custom_op("test::j", lambda x, out: x, gradient={"x": lambda g: g}), TypeError, "cannot be called 'out'"),
        (lambda: library.Library("test", "ALL"), ValueError, "Unsupported kind: 'ALL'"),
        (lambda: library.Library("aten", "IMPL").impl("add", abs, "CPU"), NotImplementedError, "aten::add: operations of PyTorch's"),
        (lambda: library.Library("test", "IMPL").impl("a", abs, "Nope"), RuntimeError, "could not parse dispatch key 'Nope'"),
        (lambda: library.Library("test", "IMPL").impl("a", 3, "CPU"), TypeError, "an implementation is a function, not 3"),
        (lambda: library.define("test::a", "(Tensor x"), RuntimeError, "expected 'name"),
        (lambda: library.define("test::a", "(Foo x) -> Tensor"), RuntimeError, "unknown type 'Foo'"),
        (lambda: library.define("test::a", "(int x=Mean) -> Tensor"), RuntimeError, "the default of 'x'"),
        (lambda: library.define("test", "(int x) -> Tensor"), ValueError, "of the form 'namespace::name'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_a_cell_that_runs_again_replaces_the_op() -> None:
    assert cubed()(wengert.tensor([2.0])).item() == 8.0
    assert custom_op("custom::cube", lambda x: x + 1)(wengert.tensor([2.0])).item() == 3.0
    with pytest.raises(ValueError, match="already registered"):
        custom_op("log::softmax", lambda x: x)  # the name of a built-in op with _ for ::


# ---- batches, writes in a capture, opcheck
def by_numpy() -> Any:
    def scaled(x: Tensor, y: Tensor, *, scale: float = 2.0) -> Tensor:
        return wengert.from_numpy(scale * x.numpy() * y.numpy())

    scaled.__annotations__ = {"x": Tensor, "y": Tensor, "scale": float, "return": Tensor}
    op = custom_op("test::scaled", scaled)

    def setup(ctx: Any, inputs: Any, keyword_only_inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.scale = keyword_only_inputs["scale"]

    def backward(ctx: Any, g: Any) -> Any:
        x, y = ctx.saved_tensors
        return g * y * ctx.scale, g * x * ctx.scale

    op.register_autograd(backward, setup_context=setup)
    return op


def into_output() -> Any:
    def sine(input: Tensor, output: Tensor) -> None:
        np.sin(input.numpy(), out=output.numpy())

    sine.__annotations__ = {"input": Tensor, "output": Tensor, "return": None}
    return custom_op("test::sine", sine, mutates_args=("output",))


def test_a_rule_for_batches_is_asked_for_batches() -> None:
    op, seen = by_numpy(), []

    @op.register_vmap
    def batched(info: Any, in_dims: Any, x: Any, y: Any, *, scale: float) -> Any:
        seen.append((info.batch_size, in_dims, tuple(x.shape), scale))
        x, y = (v.movedim(d, 0) if d is not None else v for v, d in zip((x, y), in_dims, strict=True))
        return op(x, y, scale=scale), 0

    x, y = wengert.randn(3, 4, dtype=wengert.float64, requires_grad=True), wengert.randn(4, dtype=wengert.float64)
    made = wengert.vmap(functools.partial(op, scale=3.0), in_dims=(0, None))(x, y)
    assert wengert.equal(made, 3 * x * y) and seen == [(3, (0, None), (3, 4), 3.0)]
    made.sum().backward()
    assert x.grad is not None and wengert.allclose(x.grad, (3 * y).expand(3, 4))
    with pytest.raises(RuntimeError, match="custom::cube has rules"):
        cubed().register_vmap(batched)


def test_an_op_that_writes_is_captured_and_batched() -> None:
    sine = into_output()

    def f(x: Any) -> Any:
        out = wengert.zeros(3)
        sine(x, out)
        return out * 2

    x = wengert.randn(4, 3)
    compiled = wengert.compile(f)
    for row in x:
        assert wengert.equal(compiled(row), 2 * np.sin(row))
    sine(x, out := wengert.zeros(4, 3))
    assert wengert.equal(out, x.sin())
    made = wengert.vmap(lambda row: (sine(row, o := row * 0), o)[1])(x)
    assert wengert.equal(made, x.sin())


def test_torch_ops_finds_it_by_its_name() -> None:
    op = by_numpy()
    assert wengert.ops.test.scaled is op and wengert.ops.test.scaled.default is op
    with pytest.raises(AttributeError, match="no custom op is called 'absent::"):
        getattr(wengert.ops, "absent")


def test_opcheck_passes_what_is_right() -> None:
    x = wengert.randn(3, dtype=wengert.float64, requires_grad=True)
    success = dict.fromkeys(library.TESTS, "SUCCESS")
    assert library.opcheck(by_numpy(), (x, x), {"scale": 4.0}) == success
    assert library.opcheck(into_output(), (x.detach(), wengert.zeros(3, dtype=wengert.float64))) == success
    assert library.opcheck(weighted(), (x, x, 3.0), test_utils="test_faketensor") == {"test_faketensor": "SUCCESS"}
    with pytest.raises(ValueError, match="opcheck has the tests test_schema"):
        library.opcheck(cubed(), (x,), test_utils="test_all")


def test_opcheck_finds_what_is_wrong() -> None:
    x = wengert.randn(3, dtype=wengert.float64)

    @custom_op("test::doubles_its_input")
    def writes(x: Tensor) -> Tensor:
        x.mul_(2)
        return x + 1

    @custom_op("test::views")
    def views(x: Tensor) -> Tensor:
        return x[:2]

    @custom_op("test::halves")
    def halves(x: Tensor) -> Tensor:
        return x[::2].clone()

    @custom_op("test::remembers")
    def remembers(x: Tensor) -> Tensor:
        calls.append(0)
        return x + len(calls)

    calls: list[int] = []
    halves.register_fake(lambda x: x.clone())
    halves.register_autograd(lambda ctx, g: g)  # of the result's shape
    for op, test, words in (
        (writes, "test_schema", "argument 'x' was written to"),
        (views, "test_schema", "a view of"),
        (halves, "test_faketensor", r"result 0 has shape \(2,\)"),
        (halves, "test_autograd_registration", "shape"),
        (remembers, "test_aot_dispatch_dynamic", "not close"),
    ):
        given = (x.clone().requires_grad_(),) if test == "test_autograd_registration" else (x,)
        with pytest.raises(library.OpCheckError, match=f"{test}.*{words}"):
            library.opcheck(op, given, test_utils=test)
        assert isinstance(library.opcheck(op, given, test_utils=test, raise_exception=False)[test], Exception)


def test_a_fake_may_come_before_its_op() -> None:
    @library.register_fake("test::early")
    def fake(x: Any) -> Any:
        return wengert.empty_like(x)

    op = custom_op("test::early", lambda x: x * 2)
    assert op.fake is fake and op(wengert.ones(2)).tolist() == [2.0, 2.0]


def test_a_schema_says_what_the_parameters_are() -> None:
    @library.custom_op("test::scaled", mutates_args=(), schema="(Tensor x, float y) -> Tensor")
    def scaled(x, y):  # type: ignore[no-untyped-def]
        return wengert.from_numpy(x.numpy(force=True) * y)

    assert scaled(wengert.ones(2), 3.0).tolist() == [3, 3] and scaled.inputs == ("x",)

    @library.custom_op("test::sine_", mutates_args=["x"], schema="(Tensor(a!) x) -> ()")
    def sine_(x):  # type: ignore[no-untyped-def]
        np.sin(x.numpy(), out=x.numpy())

    x = wengert.ones(2)
    assert sine_(x) is None and x.tolist() == wengert.ones(2).sin().tolist()


def test_backward_is_prepared_only_where_it_may_come() -> None:
    asked = []

    @library.custom_op("test::double", mutates_args=())
    def double(x: wengert.Tensor, times: int = 2) -> wengert.Tensor:
        return x * times

    double.register_autograd(lambda ctx, g: g * 2, setup_context=lambda ctx, inputs, output: asked.append(inputs[1]))
    x = wengert.ones(2, requires_grad=True)
    with wengert.no_grad():
        assert not double(x).requires_grad
    assert double(wengert.ones(2)).tolist() == [2, 2] and asked == []
    double(x).sum().backward()  # the plain value needs no None
    assert asked == [2] and x.grad.tolist() == [2, 2]
    library.register_kernel(double, None, lambda x, times=2: x - 1)  # on all devices
    assert double(wengert.ones(2)).tolist() == [0, 0]


def test_what_writes_to_unknown_arguments_counts_for_all() -> None:
    @library.custom_op("test::anything", mutates_args="unknown")
    def anything(x: wengert.Tensor, y: wengert.Tensor) -> None:
        x.add_(y)

    x, y = wengert.ones(2), wengert.ones(2, requires_grad=True)
    kept = (x * y).sum()
    anything(x, y.detach())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.backward()
    with pytest.raises(ValueError, match="mutates_args is a list of names"):
        library.custom_op("test::other", anything.fn, mutates_args="x")
