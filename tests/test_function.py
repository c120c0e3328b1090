"""`autograd.Function` as a user meets it: what forward and backward see, what their mistakes say, second order.

Owns the proof of wengert/autograd/function.py. Programs as in test_autograd.py.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import gc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import wengert
from programs import Programs, error

PROGRAMS = program = Programs("test_function")


def leaf(torch: Any, *values: Any) -> Any:
    return torch.tensor(list(values) if len(values) != 1 else values[0], dtype=torch.float64, requires_grad=True)


def says(act: Any, words: str) -> Any:
    """Return the type of the exception that an action raises, and whether it says certain words."""
    try:
        act()
    except Exception as error:
        return type(error).__name__, words in str(error)
    return "nothing"


def table(torch: Any) -> Any:
    """Return Functions by name, for one of the two modules."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 2 * x

    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            out = x.exp()
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (out,) = ctx.saved_tensors
            return g * out

    class Scale(torch.autograd.Function):
        """The split form: forward without ctx, a default argument, a number."""

        @staticmethod
        def forward(x: Any, factor: float = 2.0) -> Any:
            return x * factor

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.factor, None

    class Both(torch.autograd.Function):
        """Two results."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x + y, x * y

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            return g + h * y, g + h * x

    return {f.__name__: f for f in (Square, Exp, Scale, Both)}


def function(torch: Any, forward: Any, backward: Any, name: str = "Mine") -> Any:
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(name, (torch.autograd.Function,), members)


# ---- values and gradients
@program
def a_saved_input(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = table(torch)["Square"].apply(x)
    y.sum().backward()
    return y, x.grad, y.grad_fn.name(), type(y.grad_fn).__name__, y.is_leaf


@program
def a_saved_result(torch: Any) -> Any:
    x = leaf(torch, 0.1, 0.2)
    y = table(torch)["Exp"].apply(x * 2)
    y.sum().backward()
    return y, x.grad


@program
def second_and_third_order(torch: Any) -> Any:
    made: list[Any] = []
    for name in ("Square", "Exp", "Scale"):
        x = leaf(torch, 0.3, -0.7)
        d = (table(torch)[name].apply(x * x) * x).sum()
        for _ in range(3):
            (g,) = torch.autograd.grad(d, x, create_graph=True)
            made.append(g.detach())
            d = g.sum()
    return made


@program
def the_split_form(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    scale = table(torch)["Scale"]
    (scale.apply(x) + scale.apply(x, 3.0) + scale.apply(factor=5.0, x=x)).sum().backward()
    return x.grad, says(lambda: scale.apply(factor=2.0), "missing a required argument: 'x'")


@program
def several_results(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    a, b = table(torch)["Both"].apply(x, y)
    (a * b).sum().backward()
    return x.grad, y.grad, a.output_nr, b.output_nr, a.grad_fn is b.grad_fn, a.grad_fn.name()


@program
def several_results_twice(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    a, b = table(torch)["Both"].apply(x, y)
    first = torch.autograd.grad((a * b).sum(), (x, y), create_graph=True)
    return torch.autograd.grad((first[0] * first[1]).sum(), (x, y))


@program
def one_result_of_two_is_used(torch: Any) -> Any:
    seen: list[Any] = []
    for materialize in (True, False):

        def forward(ctx: Any, x: Any, flag: bool = materialize) -> Any:
            ctx.set_materialize_grads(flag)
            return x * 2, x[:1] * 3

        def backward(ctx: Any, g: Any, h: Any) -> Any:
            seen.append((g, h))
            return torch.full((2,), 7.0, dtype=torch.float64), None

        x = leaf(torch, 1.0, 2.0)
        function(torch, forward, backward).apply(x)[1].sum().backward()
        function(torch, forward, backward).apply(x)[0].sum().backward()
        seen.append(x.grad)
    return seen


@program
def results_that_are_no_tensors(torch: Any) -> Any:
    seen: list[Any] = []

    def backward(ctx: Any, *grads: Any) -> Any:
        seen.extend(grads)
        return grads[0]

    def forward(ctx: Any, x: Any) -> Any:
        return x * 2, 5, "text", x.long(), None

    x = leaf(torch, 1.0, 2.0)
    made = function(torch, forward, backward).apply(x)
    made[0].sum().backward()
    return made[1:3], made[3].requires_grad, made[4], seen, x.grad


@program
def a_tuple_stays_a_tuple(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    one = function(torch, lambda ctx, x: (x * 2,), lambda ctx, g: g * 2).apply(x)
    many = function(torch, lambda ctx, x: [x * 2, x], lambda ctx, g: g * 2).apply(x)
    return isinstance(one, tuple), one[0].requires_grad, isinstance(many, list), many[0].requires_grad


@program
def non_differentiable_results(torch: Any) -> Any:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        order = x * 3
        ctx.mark_non_differentiable(order)
        return x * 2, order

    def backward(ctx: Any, g: Any, h: Any) -> Any:
        seen.extend([g, h])
        return g * 2

    x = leaf(torch, 1.0, 2.0)
    a, b = function(torch, forward, backward).apply(x)
    a.sum().backward()
    return a.requires_grad, b.requires_grad, seen, x.grad


@program
def needs_input_grad(torch: Any) -> Any:
    seen: list[Any] = []

    def forward(ctx: Any, *xs: Any) -> Any:
        seen.append((ctx.needs_input_grad, [x.requires_grad for x in xs[:2]], torch.is_grad_enabled()))
        return xs[0] * xs[1]

    def backward(ctx: Any, g: Any) -> Any:
        seen.append((ctx.needs_input_grad, torch.is_grad_enabled(), g.requires_grad))
        return g, None, None

    x, c = leaf(torch, 1.0, 2.0), torch.ones(2, dtype=torch.float64)
    f = function(torch, forward, backward)
    f.apply(x, c, 3).sum().backward()
    with torch.no_grad():
        y = f.apply(x, c, 3)
    return seen, y.requires_grad, f.apply(c, c, 3).requires_grad


@program
def a_gradient_for_what_needs_none_is_dropped(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), torch.ones(2, dtype=torch.float64)
    function(torch, lambda ctx, x, c: x * c, lambda ctx, g: (g * 2, g * 3)).apply(x, c).sum().backward()
    return x.grad, c.grad


@program
def attributes_of_the_context(torch: Any) -> Any:
    names = ["shapes", "outputs", "edges", "hooks", "saved", "function", "pull", "free", "inputs", "plan"]

    def forward(ctx: Any, x: Any) -> Any:
        for i, name in enumerate(names):
            setattr(ctx, name, i)
        return x * 2

    def backward(ctx: Any, g: Any) -> Any:
        return g * sum(getattr(ctx, name) for name in names)

    x = leaf(torch, 1.0, 2.0)
    y = function(torch, forward, backward).apply(x)
    shown = y.grad_fn.inputs, y.grad_fn.plan
    y.sum().backward()
    return x.grad, shown, says(lambda: y.grad_fn.absent, "absent")


@program
def the_node_shows_what_was_saved(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = table(torch)["Square"].apply(x)
    before = y.grad_fn.saved_tensors, y.grad_fn.saved_tensors[0] is x, len(y.grad_fn.next_functions)
    y.sum().backward()
    return before, says(lambda: y.grad_fn.saved_tensors, "after they have already been freed")


@program
def none_may_be_saved(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(None, x)
        return x * 2

    def backward(ctx: Any, g: Any) -> Any:
        none, x = ctx.saved_tensors
        return g * x if none is None else None

    x = leaf(torch, 1.0, 2.0)
    function(torch, forward, backward).apply(x).sum().backward()
    return x.grad


@program
def a_saved_intermediate(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        half = x / 2
        ctx.save_for_backward(half)
        return half * half

    x = leaf(torch, 1.0, 2.0)
    function(torch, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x).sum().backward()
    return x.grad


@program
def gradients_are_fitted(torch: Any) -> Any:
    x = torch.ones(2, requires_grad=True)
    function(torch, lambda ctx, x: x * 2, lambda ctx, g: g.double().expand(4, 2)).apply(x).sum().backward()
    row = torch.ones(1, 3, requires_grad=True)
    function(torch, lambda ctx, x: x.sum(), lambda ctx, g: g * torch.ones(5, 3)).apply(row).backward()
    return x.grad, row.grad


@program
def no_gradient_at_all(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    f = function(torch, lambda ctx, x: x * 2, lambda ctx, g: None)
    (f.apply(x) + x).sum().backward()
    return (
        x.grad, torch.autograd.grad(f.apply(x).sum(), x, allow_unused=True),
        says(lambda: torch.autograd.grad(f.apply(x).sum(), x), "appears to not have been used in the graph"),
    )  # fmt: skip


@program
def numpy_inside(torch: Any) -> Any:
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.from_numpy(np.sin(x.detach().numpy()))

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * torch.from_numpy(np.cos(x.detach().numpy()))

    x = leaf(torch, 1.0, 2.0)
    Sine.apply(x).sum().backward()
    first = x.grad.clone()
    (g,) = torch.autograd.grad((Sine.apply(x) * x).sum(), x, create_graph=True)
    return first, g.detach(), says(lambda: g.sum().backward(), "trying to differentiate twice a function that was marked with")


@program
def a_function_in_another_s_backward(torch: Any) -> Any:
    square = table(torch)["Square"]
    cube = function(torch, lambda ctx, x: (ctx.save_for_backward(x), x**3)[1], lambda ctx, g: g * 3 * square.apply(ctx.saved_tensors[0]))
    x = leaf(torch, 1.0, 2.0)
    made = []
    d = cube.apply(x).sum()
    for _ in range(3):
        (g,) = torch.autograd.grad(d, x, create_graph=True)
        made.append(g.detach())
        d = g.sum()
    return made


@program
def recording_inside_of_forward(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            out = inner.exp().sum()
        (ctx.inner,) = torch.autograd.grad(out, inner)
        return out.detach()

    x = leaf(torch, 0.1, 0.2)
    function(torch, forward, lambda ctx, g: g * ctx.inner).apply(x).backward()
    return x.grad


@program
def hooks_on_a_function(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    a, b = table(torch)["Both"].apply(x, y)
    seen: list[Any] = []
    a.register_hook(lambda g: g * 10)
    a.grad_fn.register_prehook(lambda grads: seen.append(grads))
    a.grad_fn.register_hook(lambda sent, grads: seen.extend([sent, grads]))
    (a.sum() + 2 * b.sum()).backward()
    return x.grad, y.grad, seen


@program
def node_hooks_replace_on_a_function(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    a, b = table(torch)["Both"].apply(x, y)
    a.grad_fn.register_prehook(lambda grads: (grads[0] * 2, grads[1] * 3))
    a.grad_fn.register_hook(lambda sent, grads: (sent[0], sent[1] * 100))
    (a.sum() + b.sum()).backward()
    return x.grad, y.grad


@program
def complex_arguments(torch: Any) -> Any:
    x = torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex128, requires_grad=True)
    f = function(torch, lambda ctx, x: (ctx.save_for_backward(x), x * x)[1], lambda ctx, g: g * (2 * ctx.saved_tensors[0]).conj())
    y = f.apply(x)
    (y.real.sum() + 3 * y.imag.sum()).backward()
    return x.grad.real, x.grad.imag


# ---- views and writes
@program
def an_input_returned_as_it_is(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = function(torch, lambda ctx, x: x, lambda ctx, g: g * 7).apply(x)
    y.sum().backward()
    return y is x, x.grad, y.grad_fn.name(), says(lambda: y.add_(1), "is a view and is being modified inplace")


@program
def an_input_returned_without_a_gradient(torch: Any) -> Any:
    c = torch.ones(2, dtype=torch.float64)
    y = function(torch, lambda ctx, x: x, lambda ctx, g: g * 7).apply(c)
    x = leaf(torch, 1.0, 2.0)
    same = y is c, y.requires_grad
    c.mul_(x)
    (c * c).sum().backward()
    return same, y.tolist(), x.grad


@program
def a_view_returned(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    f = function(torch, lambda ctx, x: x.view(2, 1), lambda ctx, g: g.view(2) * 7)
    f.apply(x * 1).sum().backward()
    return x.grad, says(lambda: f.apply(x * 1).add_(1), "created inside a custom Function")


@program
def a_write_to_an_input(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        x.mul_(3)
        return x

    f = function(torch, forward, lambda ctx, g: g * 3)
    x = leaf(torch, 1.0, 2.0)
    y = x * 1
    z = f.apply(y)
    (z * z).sum().backward()
    return z is y, y.grad_fn.name(), x.grad, y._version, says(lambda: f.apply(x), "a leaf Variable that requires grad")


@program
def a_write_to_a_view(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        x.mul_(3)
        return x

    f = function(torch, forward, lambda ctx, g: g * 3)
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 1
    other = y[1:]
    f.apply(y[:2])
    (y * y).sum().backward(retain_graph=True)
    return y, other, x.grad, torch.autograd.grad(other.sum(), x)


@program
def a_write_that_saves_its_result(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        x.exp_()
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    f = function(torch, forward, lambda ctx, g: g * ctx.saved_tensors[0])
    x = leaf(torch, 0.1, 0.2)
    y = f.apply(x * 2)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return g.detach(), torch.autograd.grad(g.sum(), x)


@program
def a_write_that_is_not_returned(torch: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2).clone()

    x = leaf(torch, 1.0, 2.0)
    return says(lambda: function(torch, forward, lambda ctx, g: g).apply(x * 1), "Some elements marked as dirty during the forward")


@program
def a_write_after_saving(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = table(torch)["Exp"].apply(x)
    y.mul_(2)
    z = x * 1
    w = table(torch)["Square"].apply(z)
    z.add_(1)
    words = "modified by an inplace operation"
    return says(lambda: y.sum().backward(), words), says(lambda: w.sum().backward(), words)


@program
def a_saved_constant_that_is_written_to(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), torch.ones(2, dtype=torch.float64)
    f = function(torch, lambda ctx, x, c: (ctx.save_for_backward(c), x * c)[1], lambda ctx, g: (g * ctx.saved_tensors[0], None))
    y = f.apply(x, c)
    c.mul_(3)
    return says(lambda: y.sum().backward(), "modified by an inplace operation")


# ---- mistakes
@program
def wrong_gradients(torch: Any) -> Any:
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)

    def run(backward: Any, *args: Any) -> Any:
        return lambda: function(torch, lambda ctx, *xs: xs[0] * 2, backward, "Odd").apply(*args).sum().backward()

    return (
        says(run(lambda ctx, g: g, x, y), "function OddBackward returned an incorrect number of gradients (expected 2, got 1)"),
        says(run(lambda ctx, g: (g, g, g), x, y), "returned an incorrect number of gradients (expected 2, got 3)"),
        says(run(lambda ctx, g: (g, g, None), x, y), ""),
        says(run(lambda ctx, g: (g, g), x, 3), "returned a gradient different than None at position 2, but the corresponding forward input was not a Variable"),
        says(run(lambda ctx, g: torch.ones(3), x), "Function OddBackward returned an invalid gradient at index 0 - got [3] but expected shape compatible with [2]"),
        says(run(lambda ctx, g: 3.0, x), "expected Variable or None (got float)"),
        x.grad, y.grad,
    )  # fmt: skip


@program
def a_missing_half(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    neither = type("Neither", (torch.autograd.Function,), {})
    forward = type("Half", (torch.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 2)})
    both = type("Both", (forward,), {"backward": staticmethod(lambda ctx, g: g), "vjp": staticmethod(lambda ctx, g: g)})
    vjp = type("Vjp", (forward,), {"vjp": staticmethod(lambda ctx, g: g * 2)})
    vjp.apply(x).sum().backward()
    return (
        says(lambda: neither.apply(x), "You must implement the forward function for custom autograd.Function"),
        says(lambda: forward.apply(x).sum().backward(), "You must implement either the backward or vjp method"),
        says(lambda: both.apply(x).sum().backward(), "Implementing both 'backward' and 'vjp' for a custom Function is not allowed"),
        forward.apply(x), x.grad,
    )  # fmt: skip


@program
def saving_what_is_no_tensor(torch: Any) -> Any:
    f = function(torch, lambda ctx, x: (ctx.save_for_backward(x, 3), x * 2)[1], lambda ctx, g: g)
    return says(lambda: f.apply(leaf(torch, 1.0)), "save_for_backward can only save variables, but argument 1 is of type int")


@program
def legacy_calls(torch: Any) -> Any:
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        instance = table(torch)["Square"]()
    words = "Legacy autograd function with non-static forward method is deprecated"
    return [(w.category.__name__, "should not be instantiated" in str(w.message)) for w in caught], says(lambda: instance(leaf(torch, 1.0)), words)


@program
def keyword_arguments(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = table(torch)["Square"].apply(x=x)
    y.sum().backward()
    return y.grad_fn.name(), x.grad


@program
def a_raising_backward(torch: Any) -> Any:
    def backward(ctx: Any, g: Any) -> Any:
        raise LookupError("mine")

    x = leaf(torch, 1.0, 2.0)
    y = function(torch, lambda ctx, x: x * 2, backward).apply(x)
    return says(lambda: y.sum().backward(), "mine"), torch.is_grad_enabled()


@program
def own_rules_serve_transforms(torch: Any) -> Any:
    """jvp and vmap count themselves: what comes out shows that they, and no other way, were gone."""
    from importlib import import_module

    func = import_module(f"{torch.__name__}.func")
    calls: list[Any] = []

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(x: Any, y: Any, n: int) -> Any:
            return x * y * n, x + 1

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_forward(*inputs[:2])
            ctx.save_for_backward(*inputs[:2])
            ctx.n = inputs[2]

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y * ctx.n + h, g * x * ctx.n, None

        @staticmethod
        def jvp(ctx: Any, dx: Any, dy: Any, dn: Any) -> Any:
            x, y = ctx.saved_tensors
            calls.append(("jvp", dn))
            return (dx * y + dy * x) * ctx.n * 10, dx  # ten times too large

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any, y: Any, n: int) -> Any:
            calls.append(("vmap", info.batch_size, info.randomness, list(in_dims), list(x.shape)))
            made, more = Scaled.apply(x, y, n)
            return (made, more.t()), (0, 1)

    x, y, m = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([[1.0, 2.0], [5.0, 6.0], [7.0, 8.0]])
    one = torch.ones(2)
    values = [
        func.jvp(lambda a: Scaled.apply(a, y, 2), (x,), (one,)), func.jvp(lambda a, b: Scaled.apply(a, b, 2)[0], (x, y), (one, x)),
        func.vmap(lambda a: Scaled.apply(a, y, 2))(m), func.vmap(lambda a: Scaled.apply(a, y, 2)[1], out_dims=1)(m),
        func.vmap(func.grad(lambda a: Scaled.apply(a, y, 2)[0].sum()))(m),
        func.grad(lambda b: func.vmap(lambda a: Scaled.apply(a, y, 2)[0])(b).sum())(m),
        func.jvp(func.grad(lambda a: Scaled.apply(a.sin(), y, 2)[0].sum()), (x,), (one,)),
    ]  # fmt: skip
    leaf_ = x.clone().requires_grad_()
    made, moved = func.jvp(lambda a: Scaled.apply(a, leaf_, 2)[0], (x,), (one,))
    (made * moved).sum().backward()
    return values, calls, leaf_.grad


@program
def the_backward_serves_forward_mode_where_there_is_no_jvp(torch: Any) -> Any:
    """PyTorch raises here: what it is compared with are the gradients that the Function itself gives."""
    x, y, t = leaf(torch, 1.2, 2.7), leaf(torch, 2.0, 3.0), torch.tensor([1.0, 10.0], dtype=torch.float64)
    straight = function(
        torch, lambda ctx, x, y: (ctx.save_for_backward(x, y), (x.round() * y, x > 2, "rest"))[1],
        lambda ctx, g, _, __: (g * ctx.saved_tensors[1], g * ctx.saved_tensors[0].round()),
    )  # fmt: skip
    once = function(torch, lambda ctx, x: x * 2, torch.autograd.function.once_differentiable(lambda ctx, g: g * 2))
    if torch is not wengert:
        made = straight.apply(x, y)[0]
        gx, gy = torch.autograd.grad(made.sum(), (x, y))
        return made.detach(), gx * t, gy, (gx + gy) * t, gx, torch.diag(gx), ("RuntimeError", True), ("RuntimeError", True)
    from wengert import func
    from wengert.autograd import forward_ad

    plain_x, plain_y = x.detach(), y.detach()
    value, moved = func.jvp(lambda x: straight.apply(x, y)[0], (plain_x,), (t,))
    (gy,) = wengert.autograd.grad(value.sum(), y)
    with forward_ad.dual_level():
        primal, tangent = forward_ad.unpack_dual(straight.apply(forward_ad.make_dual(x, t), forward_ad.make_dual(y, t))[0])
    (gx,) = wengert.autograd.grad(primal.sum(), x)
    return (
        value.detach(), moved.detach(), gy, tangent.detach(), gx, func.jacfwd(lambda x: straight.apply(x, plain_y)[0])(plain_x),
        says(lambda: func.jvp(once.apply, (plain_x,), (t,)), "differentiate twice"),
        says(lambda: func.hessian(lambda x: straight.apply(x, plain_y)[0].sum())(plain_x), "setup_context"),
    )  # fmt: skip


@program
def the_gradient_around_a_vmap_is_the_function_s_own(torch: Any) -> Any:
    from importlib import import_module

    func = import_module(f"{torch.__name__}.func")

    class Straight(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, y: Any, n: int) -> Any:
            return x.round() * y * n, x > 2

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs[:2])
            ctx.n = inputs[2]

        @staticmethod
        def backward(ctx: Any, g: Any, _: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y * ctx.n, g * x.round() * ctx.n, None

    rows, w = leaf(torch, [1.2, 2.7], [3.3, 0.6]), leaf(torch, 2.0, 3.0)
    over = func.vmap(lambda x: Straight.apply(x, w, 2)[0])
    over(rows).sum().backward()
    plain_rows = rows.detach()
    return (
        rows.grad, w.grad, over(plain_rows).detach(), func.vmap(lambda x: Straight.apply(x, w.detach(), 2)[1])(plain_rows),
        func.grad(lambda x: over(x).sum())(plain_rows).detach(),
        func.vmap(func.grad(lambda x: Straight.apply(x, w.detach(), 2)[0].sum()))(plain_rows),
    )  # fmt: skip


@program
def old_names(torch: Any) -> Any:
    from importlib import import_module

    inplace = import_module(f"{torch.__name__}.autograd.function").InplaceFunction

    class Add(inplace):  # type: ignore[misc, valid-type]
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.mark_dirty(x)
            ctx.save_for_backward(y)
            return x.add_(y)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                (y,) = ctx.saved_variables
            return g, g * y * len(caught)

    x, y = torch.zeros(2, dtype=torch.float64), leaf(torch, 2.0, 3.0)
    Add.apply(x, y).sum().backward()
    return x, y.grad


@program
def sparse_arguments(torch: Any) -> Any:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64).to_sparse()
    f = function(torch, lambda ctx, x, s: (ctx.save_for_backward(s), x * 1)[1], lambda ctx, g: (ctx.saved_tensors[0], None))
    x = leaf(torch, [1.0, 2.0], [3.0, 4.0])
    f.apply(x, rows).sum().backward()
    return x.grad.is_sparse, x.grad.to_dense()


@program
def dual_tensors(torch: Any) -> Any:
    from importlib import import_module

    ad = import_module(f"{torch.__name__}.autograd.forward_ad")
    x, t, w = torch.tensor([0.3, 0.7]), torch.tensor([1.0, -2.0]), leaf(torch, 2.0, 3.0)
    failed = [error(lambda: ad.make_dual(x, t)), error(lambda: ad.exit_dual_level())]
    levels = [ad._current_level]
    with ad.dual_level() as level:
        levels.append(ad._current_level)
        d = ad.make_dual(x, t)
        y = (d.sin() * d).exp()
        parts, nothing = ad.unpack_dual(y), ad.unpack_dual(x)
        failed += [error(lambda: ad.make_dual(d, t)), error(lambda: ad.make_dual(x, torch.ones(3))), error(ad.enter_dual_level)]
        failed += [error(lambda: ad.make_dual(torch.tensor([1, 2]), t)), error(lambda: ad.make_dual(x, d))]
        weighed = ad.unpack_dual((d.double() * w).sum())
        weighed.tangent.backward()
        (d * w).sum().backward()
        ad.make_dual(w, t.double()).exp().sum().backward()
        printed = repr(d), repr(d.detach()), repr(parts.primal)
        d2 = ad.make_dual(x.clone(), t.clone())
        d2.mul_(3.0).sin_()
        written = ad.unpack_dual(d2).tangent
    again = ad.enter_dual_level()
    third = ad.unpack_dual(ad.make_dual(x, t) ** 3).tangent
    ad.exit_dual_level()
    after = y * 2, torch.stack([y, d2]), (y + t).sum().item(), ad.unpack_dual(y).tangent  # what is left are the values
    return printed, failed, level, levels, again, list(parts), nothing.tangent is None, weighed.primal.detach(), w.grad, written, third, after


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- wengert alone
def test_a_node_is_no_reference_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        for name in ("Square", "Exp"):
            x = leaf(wengert, 1.0, 2.0)
            y = table(wengert)[name].apply(x * 1)
            watch = weakref.ref(y.grad_fn), weakref.ref(y)
            del y
            assert [w() for w in watch] == [None, None]

        def written(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x.mul_(2))
            ctx.save_for_backward(x)
            return x

        def doubled(ctx: Any, x: Any) -> Any:
            made = x * 2
            ctx.save_for_forward(x, made)
            return made

        for forward in (written, doubled):
            y = function(wengert, forward, lambda ctx, g: g * 2).apply((leaf(wengert, 1.0, 2.0) * 1)[:1])
            watch = weakref.ref(y.grad_fn), weakref.ref(y)
            del y
            assert [w() for w in watch] == [None, None]
    finally:
        gc.enable()


def test_a_write_with_a_history_through_the_node_is_no_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        c = wengert.ones(2, dtype=wengert.float64)
        f = function(wengert, lambda ctx, x, c: (ctx.save_for_backward(c), x * c)[1], lambda ctx, g: (g, None))
        y = f.apply(leaf(wengert, 1.0, 2.0), c)
        watch = weakref.ref(y.grad_fn)
        c.add_(y)
        del y, c
        assert watch() is None
    finally:
        gc.enable()


def test_twice_differentiating_once_raises_also_where_the_gradient_is_a_constant() -> None:
    """PyTorch leaves the missing term out here, and gives half a second derivative."""

    class Square(wengert.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @wengert.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(wengert, 1.0, 2.0)
    (g,) = wengert.autograd.grad((Square.apply(x) + x**3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        wengert.autograd.grad(g.sum(), x)


def test_a_function_is_captured() -> None:
    from wengert import graph

    def program(x: Any) -> Any:
        y = table(wengert)["Square"].apply(x)
        return wengert.autograd.grad(y.sum(), x)[0]

    x = leaf(wengert, 1.0, 2.0)
    captured = graph.capture(program, x)
    assert captured(leaf(wengert, 5.0, 6.0)).tolist() == [10.0, 12.0]


def test_transforms_run_through_a_function() -> None:
    from wengert import func

    square = table(wengert)["Square"].apply
    x = wengert.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert wengert.equal(func.vmap(func.grad(lambda x: square(x).sum()))(x), 2 * x)
    assert wengert.equal(func.jacrev(square)(x[0]), wengert.diag(2 * x[0]))
    assert wengert.equal(func.jvp(square, (x,), (wengert.ones(2, 2),))[1], 2 * x)
    assert wengert.equal(func.grad(lambda x: func.grad(lambda x: square(x).sum())(x).sum())(x), wengert.full((2, 2), 2.0))
