"""Classes of the user's own: `__torch_function__`, subclasses of Tensor, modes, and `wengert.overrides`.

Owns the proof of wengert/overrides.py. Programs as in test_autograd.py. What has to be the first that meets such a class in a
process runs in one of its own. May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from typing import Any

import pytest

import wengert
from programs import Programs, error

PROGRAMS = program = Programs("test_subclasses")


def __getattr__(name: str) -> Any:
    """Make the subclass that pickle finds: not while tests are collected, as all others would run with entrances."""
    if name != "Kept":
        raise AttributeError(name)
    made = type("Kept", (wengert.Tensor,), {"__module__": __name__})
    globals()[name] = made
    return made


def kept() -> Any:
    return getattr(sys.modules[__name__], "Kept")  # noqa: B009  (what the function above makes)


def classes(torch: Any) -> Any:
    """Return classes by name, for one of the two modules; `log` is what was asked."""
    log: list[Any] = []

    class Plain(torch.Tensor):
        pass

    class Below(Plain):
        pass

    class Other(torch.Tensor):
        pass

    class Logging(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            log.append((func.__name__, torch.overrides.resolve_name(func), len(args)))
            return super().__torch_function__(func, types, args, kwargs or {})

    class Unit(torch.Tensor):
        def __new__(cls, values: Any, unit: str = "") -> Any:
            made = torch.as_tensor(values).as_subclass(cls)
            made.unit = unit
            return made

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = super().__torch_function__(func, types, args, kwargs or {})
            if isinstance(result, Unit):
                result.unit = next((a.unit for a in args if isinstance(a, Unit)), "")
            return result

    class Duck:
        """No tensor: one is inside."""

        def __init__(self, values: Any, label: str) -> None:
            self.values, self.label = torch.as_tensor(values), label

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.cos, torch.Tensor.cos):
                return NotImplemented
            labels = [a.label for a in args if isinstance(a, cls)]
            inner = [a.values if isinstance(a, cls) else a for a in args]
            return cls(func(*inner, **(kwargs or {})), "+".join(labels))

    class Log(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            log.append(func.__name__)
            return func(*args, **(kwargs or {}))

    made = {c.__name__: c for c in (Plain, Below, Other, Logging, Unit, Duck, Log)}
    return type("Classes", (), {**made, "log": log})


def named(*values: Any) -> list[Any]:
    return [(type(v).__name__, v) for v in values]


@program
def results_are_of_the_class(torch: Any) -> Any:
    c = classes(torch)
    x, y = c.Plain([1.0, 4.0]), torch.ones(2)
    operators = named(x + 1, 1 + x, x + y, y + x, x - y, y - x, 2 / x, y * x, x**2, 2**x, -x, abs(x), x @ y, y @ x, x // 3)
    compared = named(x == y, y < x, x > 2, ~(x > 2), (x > 2) & (y > 0))
    functions = named(torch.add(y, x), torch.exp(x), torch.stack([y, x]), torch.cat([x, y]), torch.where(x > 2, x, y))
    methods = named(x.sum(), x.mean(), y.matmul(x), y.mul(x), x.reshape(2, 1), x.sqrt(), x.double(), x.new_zeros(2), x.clone())
    views = named(x[0], x[:1], y[x.long() - x.long()], x.T, x.view(2, 1), x.detach(), x.data, *x, *x.split(1))
    return operators, compared, functions, methods, views


@program
def classes_beside_each_other(torch: Any) -> Any:
    c = classes(torch)
    x, below, other = c.Plain([1.0]), c.Below([2.0]), c.Other([3.0])
    found = named(x + below, below + x, torch.stack([x, below]), x + torch.nn.Parameter(torch.ones(1)))
    return found, [error(lambda: x + other), error(lambda: torch.add(other, below)), error(lambda: x.mul(other))]


@program
def what_is_asked(torch: Any) -> Any:
    c = classes(torch)
    F = torch.nn.functional
    x, y = c.Logging([[1.0, 2.0]]), torch.ones(1, 2)
    c.log.clear()
    x + 1, 1 + x, y + x, x - y, x * 2, x / y, x == y, x < 1, -x, x % 2, 1 - x, x // 2
    torch.exp(x), x.exp(), torch.add(y, x), x.add(y), y.add(x), y.mul(x), torch.sum(x), x.sum(), x.matmul(x.T), torch.stack([y, x])
    x.shape, x.dtype, x.ndim, x.size(), x.dim(), x.requires_grad, x.grad, x.is_leaf, x.tolist(), len(x), x[0], x.numel()
    x.requires_grad, F.linear(y, x), torch.nn.Linear(2, 1)(x), x.clone().requires_grad_(), x.to(torch.float64), x.add_(1)
    x += 1
    x[0, 0] = 2.0
    y[0] = x[0]
    return c.log


@program
def named_and_several_results(torch: Any) -> Any:
    c = classes(torch)
    x = c.Plain([[3.0, 1.0], [2.0, 4.0]])
    top = x.max(dim=1)
    values, order = torch.sort(x, dim=0)
    return type(top).__name__, named(top.values, top.indices, values, order, *torch.topk(x, 1), *torch.unbind(x))


@program
def gradients(torch: Any) -> Any:
    c = classes(torch)
    x, seen = c.Plain([1.0, 2.0]).requires_grad_(), []
    y = x * x
    y.register_hook(lambda g: seen.append(type(g).__name__))
    y.retain_grad()
    y.sum().backward()
    leaf = torch.ones(2, requires_grad=True)
    whole = leaf.as_subclass(c.Plain)
    (whole * 3).sum().backward()
    twice = torch.autograd.grad(torch.autograd.grad((x**3).sum(), x, create_graph=True)[0].sum(), x)
    names = [y.grad_fn.name(), y.grad_fn.next_functions[0][0].name(), whole.grad_fn.name()]
    with torch.no_grad():
        quiet = x * 2
    return named(x, x.grad, y.grad, leaf.grad, whole, *twice, quiet), seen, names, x.is_leaf, whole.is_leaf


@program
def in_place(torch: Any) -> Any:
    c = classes(torch)
    x = c.Plain([1.0, 2.0])
    before = x
    x += 1
    x *= 2
    x[0] = 7.0
    same = x.sub_(1) is x
    row = x[1:]
    row.zero_()
    y = torch.zeros(2)
    y.add_(x)
    y[1] = x[0]
    return before is x, same, named(x, row, y)


@program
def parameters(torch: Any) -> Any:
    c, nn = classes(torch), torch.nn

    class Own(nn.Parameter):
        pass

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(c.Plain([1.0, 2.0]))
            self.own = Own(torch.ones(2))

        def forward(self, x: Any) -> Any:
            return (x * self.weight + self.own).sum()

    model = Model()
    loss = model(torch.tensor([3.0, 4.0]))
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    found = named(*model.parameters(), loss, model.weight.grad, nn.Parameter(torch.ones(1)) * 2, Own(torch.ones(1)) * 2)
    return found, [isinstance(p, nn.Parameter) for p in model.parameters()], [n for n, _ in model.named_parameters()]


@program
def modules_functions_and_batches(torch: Any) -> Any:
    c, nn = classes(torch), torch.nn

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * g

    x = c.Plain([[1.0, 2.0]]).requires_grad_()
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.fill_(0.5), layer.bias.zero_()
    out = nn.Sequential(layer, nn.Tanh())(x)
    loss = nn.functional.mse_loss(out, torch.zeros(1, 1))
    loss.backward()
    y = Square.apply(x)
    y.sum().backward()
    batch = next(iter(torch.utils.data.DataLoader([c.Plain([1.0]), c.Plain([2.0])], batch_size=2)))
    return named(out, loss, layer.weight.grad, y, x.grad, batch, torch.utils.data.default_collate([x.detach(), x.detach()]))


@program
def attributes(torch: Any) -> Any:
    c = classes(torch)
    u = c.Unit([1.0, 2.0], "m")
    return [(type(v).__name__, v.unit) for v in (u * 2, (u + u).sum(), 3 - u, u[0], copy.copy(u), torch.exp(u))]


@program
def printed(torch: Any) -> Any:
    c = classes(torch)
    x = c.Plain([[1.0, 2.0], [3.0, 4.0]])

    class Own(torch.nn.Parameter):
        pass

    shown = [x, x * 2, x.long(), x.clone().requires_grad_(), torch.nn.Parameter(x), Own(torch.ones(2)), torch.nn.Parameter(torch.ones(1))]
    return [repr(v) for v in shown], str(x[0]), f"{x[0, 0]}", f"{x.sum().item():.1f}"


@program
def constructors(torch: Any) -> Any:
    c = classes(torch)
    data = torch.ones(2)
    made = torch.Tensor._make_subclass(c.Plain, data, True)
    shared = data.as_subclass(c.Plain)
    shared[0] = 5.0
    wrong = [error(lambda: data.as_subclass(int)), error(lambda: torch.Tensor._make_subclass(int, data))]
    return named(made, data, c.Plain(), c.Plain([1, 2]), shared.as_subclass(torch.Tensor)), c.Plain(2, 3).shape, made.is_leaf, wrong


@program
def other_classes(torch: Any) -> Any:
    c, F = classes(torch), torch.nn.functional
    a, b, x = c.Duck([1.0, 2.0], "a"), c.Duck([3.0, 4.0], "b"), torch.ones(2)
    made = [torch.add(a, b), torch.mul(x, a), torch.sum(b, 0), torch.stack([a.values, x]), x + a, x.add(a), torch.matmul(a, x), x - b]
    made += [F.relu(a), F.softmax(b, dim=0), torch.exp(a), torch.mean(b), x @ a, x.matmul(b), F.mse_loss(a, x), torch.linalg.norm(b)]
    refused = [error(lambda: torch.cos(a)), error(lambda: [] + a), error(lambda: torch.cat([a.values, 3]))]
    return [(type(m).__name__, getattr(m, "label", ""), getattr(m, "values", x)) for m in made if not isinstance(m, torch.Tensor)], refused


@program
def a_table_of_implementations(torch: Any) -> Any:
    table = {}

    class Diagonal:
        def __init__(self, n: int, value: float) -> None:
            self.n, self.value = n, value

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func not in table or not all(issubclass(t, torch.Tensor | Diagonal) for t in types):
                return NotImplemented
            return table[func](*args, **(kwargs or {}))

    table[torch.mean] = lambda input: input.value / input.n
    table[torch.add] = lambda input, other: "sum"
    table[torch.Tensor.add] = lambda input, other: "method"
    d = Diagonal(5, 2.0)
    return torch.mean(d), torch.add(d, torch.eye(2)), torch.add(torch.eye(2), d), torch.eye(2) + d, error(lambda: torch.mul(d, 2))


@program
def modes(torch: Any) -> Any:
    c = classes(torch)

    class Tenfold(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            return result * 10 if func is torch.add else result

    c.log.clear()
    with c.Log():
        x = torch.ones(2)
        y = (torch.exp(x) + x.sum()) * 2
        y.shape, -y, torch.stack([x, y]), torch.nn.functional.relu(y), c.Plain([1.0]) * 2
    before = [*c.log]
    x * 2
    with c.Log(), Tenfold():
        z = torch.add(x, 1)
    return before, c.log[len(before) :], z, error(lambda: torch.overrides.TorchFunctionMode().__torch_function__(torch.add, (), ()))


@program
def what_modes_see_without_tensors(torch: Any) -> Any:
    class Counted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func.__name__

    class OnlyReflected:
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return "reflected" if func is torch.Tensor.__rpow__ else NotImplemented

        def __rpow__(self, other: Any) -> str:
            return "own"

    class Wants:
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
            return kwargs

    @torch.overrides.wrap_torch_function(lambda x: (x,))
    def wrapped(x: Any) -> Any:
        return x

    with Counted():
        seen = [torch.tensor([1]), torch.as_tensor([1]), torch.split(None, [2]), torch.nn.functional.relu(None)]
    return seen, torch.ones(2) ** OnlyReflected(), error(lambda: torch.ones(2) + OnlyReflected()), wrapped(Wants())


@program
def asking_nobody(torch: Any) -> Any:
    c = classes(torch)
    x = c.Plain([1.0, 2.0])
    with torch._C.DisableTorchFunctionSubclass():
        inside = named(x * 2, x.sum(), torch.exp(x), torch.stack([x, x]), x[0])
        asked = torch.overrides.has_torch_function((x,))
    c.log.clear()
    with c.Log(), torch._C.DisableTorchFunction():
        x * 2

    class Never(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    return inside, asked, [*c.log], named(Never([1.0]) * 2, Never([1.0]))


@program
def functions_of_ones_own(torch: Any) -> Any:
    c, o = classes(torch), torch.overrides

    def double(x: Any, y: Any = 1) -> Any:
        if o.has_torch_function((x, y)):
            return o.handle_torch_function(double, (x, y), x, y=y)
        return x + x

    @o.wrap_torch_function(lambda x: (x,))
    def thrice(x: Any) -> Any:
        return x + x + x

    x = torch.ones(1)
    like = [o.is_tensor_like(v) for v in (x, c.Plain([1.0]), c.Duck([1], ""), 3, [x])]
    kinds = [o.is_tensor_method_or_property(f) for f in (torch.Tensor.add, torch.Tensor.shape.__get__, torch.add, len)]
    has = [o.has_torch_function_unary(c.Plain([1.0])), o.has_torch_function_variadic(x, torch.nn.Parameter(x))]
    return named(double(x), double(c.Plain([2.0])), thrice(c.Plain([2.0])), thrice(x)), like, kinds, has


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


FIRST = """
import wengert as torch
class Duck:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return torch.overrides.resolve_name(func), len(args), kwargs
d, x = Duck(), torch.ones(2, 2)
assert torch.sum.__code__ is not None and "overrides" not in dir(torch.sum)
print(eval({call!r}))
"""


@pytest.mark.parametrize(("call", "expected"), [
    ("torch.mean(d)", ("torch.mean", 1, None)), ("torch.stack((x, d), dim=1)", ("torch.stack", 1, {"dim": 1})),
    ("torch.outer(d, x)", ("torch.outer", 2, None)), ("torch.add(x, d)", ("torch.add", 2, None)),
    ("torch.exp(d)", ("torch.exp", 1, None)), ("x + d", ("torch.Tensor.add", 2, None)),
])  # fmt: skip
def test_the_first_call_that_meets_another_class_is_overridden_too(call: str, expected: Any) -> None:
    run = subprocess.run([sys.executable, "-c", FIRST.format(call=call)], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == repr(expected), run.stderr


# In a process of its own, which a frame without the variables that it says to have would end.
LOOKED_AT = """
import sys, wengert
class Other:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        frame = sys._getframe()
        while frame is not None:
            seen.append(frame.f_locals)
            frame = frame.f_back
        return func.__name__
seen = []
print([f(Other()) for f in (wengert.exp, wengert.mean, wengert.linalg.cholesky, wengert.Tensor.sum)] * 2, len(seen) > 8)
"""


def test_a_debugger_may_look_at_every_frame_of_a_call_that_is_overridden() -> None:
    run = subprocess.run([sys.executable, "-c", LOOKED_AT], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "['exp', 'mean', 'cholesky', 'sum', 'exp', 'mean', 'cholesky', 'sum'] True", run.stderr


def test_the_functions_stay_what_they_are() -> None:
    import inspect

    before = wengert.sum, wengert.Tensor.sum, wengert.nn.functional.softplus, wengert.Tensor.shape

    class Late(wengert.Tensor):
        pass

    assert before == (wengert.sum, wengert.Tensor.sum, wengert.nn.functional.softplus, wengert.Tensor.shape)
    assert list(inspect.signature(wengert.Tensor.sum).parameters)[:3] == ["input", "dim", "keepdim"]
    assert type(wengert.trapezoid(Late([1.0, 2.0]))) is Late  # of a family that may be loaded later
    assert wengert.add is not wengert.Tensor.add and wengert.exp is not wengert.Tensor.exp


def test_copies_keep_class_and_attributes() -> None:
    Kept = kept()
    x = Kept([1.0, 2.0])
    x.tag = "here"
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.copy(x)):
        assert type(made) is Kept and made.tag == "here" and made.tolist() == [1.0, 2.0]
    grown = x.clone().requires_grad_()
    assert copy.deepcopy(grown.detach().requires_grad_()).requires_grad


def test_checkpoints_keep_classes_that_are_vouched_for() -> None:
    Kept = kept()
    x = Kept([1.0, 2.0])
    state = {"w": wengert.nn.Parameter(x), "b": wengert.ones(1)}
    state["w"].tag = "here"
    with pytest.raises(TypeError, match=r"obj\['w'\] is a .*test_subclasses.Kept; .*add_safe_globals"):
        wengert.save(state, io.BytesIO())
    with wengert.serialization.safe_globals([Kept]):
        file = io.BytesIO()
        wengert.save(state, file)
        file.seek(0)
        made = wengert.load(file)["w"]
    assert type(made) is Kept and made.tag == "here" and made.requires_grad and isinstance(made, wengert.nn.Parameter)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Kept"):
        wengert.load(file)


def test_a_compiled_function_runs_as_it_is_on_subclasses() -> None:
    Kept = kept()
    run = wengert.compile(lambda x: wengert.exp(x).sum())
    plain = wengert.tensor([0.0, 1.0])
    for _ in range(3):
        assert type(run(plain)) is wengert.Tensor and type(run(Kept([0.0, 1.0]))) is Kept


def test_a_class_before_tensor_does_not_show_the_memory() -> None:
    class Named:
        def take(self, other: Any) -> None:
            self.__dict__ = {**other.__dict__}

    class Own(Named, wengert.Tensor):
        pass

    class Further(Own):
        pass

    class Beside(Other, Further):
        pass

    for cls in (Own, Further, Beside):
        x, y = wengert.ones(2).as_subclass(cls), wengert.zeros(3).as_subclass(cls)
        x.title = "x"
        y.take(x)
        assert y.__dict__ == {"title": "x"} and y.sum().item() == 0 and x.sum().item() == 2 and type(y + x[:1]) is cls


class Other:
    """A class that tensors are no subclass of."""


def test_tensors_without_memory_are_refused() -> None:
    Kept = kept()
    class Own(wengert.Tensor):
        @classmethod
        def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any: ...

    for make in (lambda: Own([1.0]), lambda: wengert.ones(1).as_subclass(Own), lambda: wengert.Tensor._make_subclass(Own, wengert.ones(1))):
        with pytest.raises(NotImplementedError, match="Own: __torch_dispatch__ .* may define __torch_function__"):
            make()
    with pytest.raises(NotImplementedError, match="Kept: .*without memory"):
        wengert.Tensor._make_wrapper_subclass(Kept, (2,))


def test_who_can_be_overridden() -> None:
    o = wengert.overrides
    places = o.get_overridable_functions()
    F = wengert.nn.functional
    assert wengert.add in places[wengert] and wengert.Tensor.add in places[wengert.Tensor] and F.relu in places[F]
    assert o.get_testing_overrides()[wengert.add](1, 2) == -1
    assert wengert.is_tensor in o.get_ignored_functions() and wengert.add not in o.get_ignored_functions()
    names = [o.resolve_name(f) for f in (wengert.add, wengert.Tensor.add, F.relu, wengert.Tensor.shape.__get__, len)]
    assert names == ["torch.add", "torch.Tensor.add", "torch.nn.functional.relu", "torch.Tensor.shape.__get__", None]


@pytest.mark.parity
@pytest.mark.parametrize("call", (
    "x + y", "y + x", "x < y", "x.add(y)", "y.add(x)", "x.add_(y)", "x * T.nn.Parameter(y)", "w.cat([x, y])",
    "T.cat([y, x])", "w.relu(y)", "T.relu(x)", "T.nn.functional.relu(x)", "w.nn.Linear(2, 2)(y)", "T.nn.Linear(2, 2)(x)",
))  # fmt: skip
def test_tensors_of_the_other_library_are_refused(call: str) -> None:
    T = pytest.importorskip("torch")
    with pytest.raises(TypeError):
        eval(call, {"x": wengert.ones(2), "y": T.ones(2), "w": wengert, "T": T})
