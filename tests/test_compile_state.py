"""Compiled functions that leave tensors somewhere, return objects, read what others replace, and are differentiated again.

Owns: the proofs that a program leaves and returns what eager code does, at each call. May import: wengert, NumPy. Must not know:
how a program is made.
"""

from __future__ import annotations

import array
import collections
import contextlib
import contextvars
import dataclasses
import datetime
import functools
import io
import os
import random
import sys
import time
import types
import uuid
import warnings
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert import nn


@pytest.fixture(params=["cpu", "opencl"])
def device(request: Any) -> str:
    """Return the name of a device, of those that are here."""
    if request.param == "opencl":
        pytest.importorskip("pyopencl")
        if not any(d.available for d in torch.device("opencl").backend.devices()):
            pytest.skip("no OpenCL driver")
    return str(request.param)


def plain(x: Any) -> Any:
    """Return what a call gave without tensors, and the types of what it stands in."""
    if isinstance(x, torch.Tensor):
        return x.detach().cpu().numpy().copy(), x.requires_grad
    if isinstance(x, dict):
        return type(x).__name__, {k: plain(v) for k, v in x.items()}
    return [plain(v) for v in x] if isinstance(x, list | tuple | deque) else x


def equal(a: Any, b: Any) -> bool:
    """Say whether two results are the same to rounding."""
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.allclose(a, b, 1e-5, 1e-6)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return list(a) == list(b) and all(equal(a[k], b[k]) for k in a) if isinstance(a, dict) else bool(a == b)


def same_as_eager(maker: Any, calls: int = 8, captured: bool = True, **options: Any) -> Any:
    """Hold a function's calls against those of its compiled twin. maker: of what compiles, gives a function of the call's
    number. Return the compiled function."""
    found = []

    def compiling(f: Any) -> Any:
        found.append(torch.compile(f, **options))
        return found[-1]

    runs = maker(lambda f: f), maker(compiling)
    for i in range(calls):
        theirs, ours = [plain(run(i)) for run in runs]
        assert equal(ours, theirs), f"call {i}: {ours}, eager {theirs}"
    assert bool(found[-1].programs) is captured
    return found[-1]


def row(i: int, *shape: int, device: str = "cpu") -> Any:
    return (torch.arange(float(np.prod(shape))) * 0.4 + i).cos().view(*shape).to(device)


def filled(module: Any, device: str = "cpu") -> Any:
    with torch.no_grad():
        for j, p in enumerate(module.parameters()):
            p.copy_((torch.arange(float(p.numel())) * 0.7 + j).sin().view(p.shape) * 0.5)
    return module.to(device)


# ---- tensors that are left somewhere
class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.hidden = nn.GRUCell(3, 4), None
        self.seen: Any = None  # which nobody reads

    def forward(self, x: Any) -> Any:
        hidden = torch.zeros(len(x), 4, device=x.device) if self.hidden is None else self.hidden
        self.seen, self.hidden = x, self.cell(x, hidden)
        return self.hidden.mean()


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_state_of_a_module_goes_from_call_to_call_with_its_gradient(dynamic: bool | None, device: str) -> None:
    data = row(0, 40, 3, device=device)

    def maker(compiler: Any) -> Any:
        model = filled(Recurrent(), device)
        call = compiler(model.forward)

        def run(i: int) -> Any:
            model.zero_grad()
            model.hidden = None if i == 5 else model.hidden if model.hidden is None else model.hidden.detach()
            rows = [data[3 * i + k : 3 * i + k + 2 + i // 5] for k in range(3)]
            loss = sum(call(x) for x in rows)
            loss.backward()
            return loss, model.hidden, model.cell.weight_hh.grad, model.seen

        return run

    same_as_eager(maker, 10, dynamic=dynamic)


def test_a_whole_step_leaves_its_state(device: str) -> None:
    def maker(compiler: Any) -> Any:
        model, log = filled(Recurrent(), device), list[Any]()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)

        @compiler
        def step(x: Any) -> Any:
            if model.hidden is not None:
                model.hidden = model.hidden.detach()
            optimizer.zero_grad()
            loss = model(x)
            loss.backward()
            optimizer.step()
            log.append({"loss": loss.detach(), "n": 1})
            return loss.detach()

        return lambda i: (step(row(i, 2, 3, device=device)), model.hidden.detach(), model.cell.weight_hh.detach(), log)

    assert len(same_as_eager(maker).programs) <= 2


LAST: Any = None


def places() -> dict[str, Any]:
    """Return makers of functions that leave tensors in places of all kinds."""

    def shifted(compiler: Any) -> Any:
        s = types.SimpleNamespace(a=torch.zeros(2), b=torch.ones(2), c=None)
        f = compiler(lambda x: (vars(s).update(a=s.b, b=s.a + x, c=s.a), s.a * s.b)[1])
        return lambda i: (f(row(i, 2)), s.a, s.b, s.c)

    def written(compiler: Any) -> Any:
        s, kept = types.SimpleNamespace(h=torch.zeros(2)), list[Any]()

        def f(x: Any) -> Any:
            s.h.mul_(0.5)
            s.h = s.h + x
            s.h[0] = 7.0
            return s.h * 1

        g = compiler(f)
        return lambda i: (kept.append(s.h), g(row(i, 2)), s.h, kept)[1:]

    def cell(compiler: Any) -> Any:
        h, w = torch.zeros(3), row(1, 3).requires_grad_()

        def f(x: Any) -> Any:
            nonlocal h
            h = (h.detach() * w + x).tanh()
            return h.sum()

        g = compiler(f)

        def run(i: int) -> Any:
            w.grad = None
            loss = g(row(i, 3))
            loss.backward()
            return loss, h, w.grad

        return run

    def of_globals(compiler: Any) -> Any:
        def f(x: Any) -> Any:
            global LAST
            LAST = x * 2
            return x + 1

        g = compiler(f)
        return lambda i: (g(row(i, 2)), LAST)

    def of_a_class(compiler: Any) -> Any:
        class Holder:
            last = torch.zeros(2)

        def f(x: Any) -> Any:
            Holder.last = Holder.last * 0.5 + x
            return Holder.last.sum()

        g = compiler(f)
        return lambda i: (g(row(i, 2)), Holder.last)

    def queue(compiler: Any) -> Any:
        window: Any = deque(maxlen=3)
        f = compiler(lambda x: (window.append(x.mean()), torch.stack(list(window)).mean() * x)[1])
        return lambda i: (f(row(i, 3)), window)

    def buffer(compiler: Any) -> Any:
        rows: list[Any] = []

        def f(x: Any) -> Any:
            rows.append(x * 2)
            if len(rows) > 3:
                rows.pop(0)
            return torch.stack(rows).sum(0)

        g = compiler(f)
        return lambda i: (g(row(i, 2)), rows)

    def cache(compiler: Any) -> Any:
        keys: dict[str, Any] = {}

        def f(name: str, x: Any) -> Any:
            keys[name] = torch.cat([keys[name], x])[-3:] if name in keys else x
            return keys[name].sum()

        g = compiler(f)
        return lambda i: (g("ab"[i % 2], row(i, 1, 2)), keys)

    def nested(compiler: Any) -> Any:
        State = collections.namedtuple("State", "position rest")
        box = {"s": State(torch.zeros(2), [torch.ones(2), None])}

        def f(x: Any) -> Any:
            old = box["s"]
            box["s"] = State(old.position + x, [old.rest[0] * 0.5, old.position])
            return box["s"].rest[0] + old.position

        g = compiler(f)
        return lambda i: (g(row(i, 2)), list(box["s"]))

    def hooked(compiler: Any) -> Any:
        model, features = filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))), list[Any]()
        for layer in model:
            layer.register_forward_hook(lambda module, inputs, out: features.append(out))

        def f(x: Any) -> Any:
            features.clear()
            return model(x).sum() + sum(y.pow(2).mean() for y in features)

        g = compiler(f)

        def run(i: int) -> Any:
            model.zero_grad()
            loss = g(row(i, 2, 3))
            (loss + features[0].sum()).backward()
            return loss, features, model[0].weight.grad

        return run

    return {f.__name__: f for f in (shifted, written, cell, of_globals, of_a_class, queue, buffer, cache, nested, hooked)}


@pytest.mark.parametrize("name", places())
def test_tensors_left_anywhere_are_those_of_the_call(name: str) -> None:
    same_as_eager(places()[name], 12)


def test_a_state_that_grows_runs_and_says_so() -> None:
    rows: list[Any] = []
    mean = torch.compile(lambda x: (rows.append(x.sum()), sum(rows) / len(rows))[1])
    with pytest.warns(UserWarning, match="more than 16 ways"):
        for i in range(20):
            assert mean(torch.full((2,), float(i))).item() == pytest.approx(i)


def test_a_list_that_is_read_and_added_to_is_no_constant() -> None:
    def maker(compiler: Any) -> Any:
        rows = [1.0]
        f = compiler(lambda x: (rows.append(rows[-1] + 1), x * rows[-1])[1])
        return lambda i: (f(row(i, 2)), rows)

    same_as_eager(maker, 6)


def test_histories_of_what_nobody_reads_are_let_go() -> None:
    model = filled(Recurrent())
    call = torch.compile(lambda x: (setattr(model, "seen", model.cell(x)), x.sum())[1])
    for i in range(40):
        call(row(i, 2, 3))
    node, depth = model.seen.grad_fn, 0
    while node is not None and depth < 50:
        node = next((n for n, _ in node.next_functions if n is not None), None)
        depth += 1
    assert depth < 5


# ---- tensors that others put somewhere
@pytest.mark.parametrize(
    "kind", ["an attribute", "a tuple", "a history", "one that is an argument too", "one that is written to"]
)
def test_tensors_that_others_replace_are_read_as_they_are(kind: str) -> None:
    def maker(compiler: Any) -> Any:
        s, w = types.SimpleNamespace(x=None), torch.ones(2, requires_grad=True)

        def f(y: Any) -> Any:
            x = s.x[0] if kind == "a tuple" else s.x
            if kind == "one that is written to":
                x.add_(1)
            return (x * w + y).sum()

        g = compiler(f)

        def run(i: int) -> Any:
            w.grad = None
            s.x = w * i if kind == "a history" else row(i, 2)
            given = s.x if kind == "one that is an argument too" and i % 3 else row(1, 2)
            s.x = (s.x, 3) if kind == "a tuple" else s.x
            loss = g(given)
            loss.backward()
            return loss, w.grad, s.x

        return run

    assert len(same_as_eager(maker, 16).recaptures) < 4


def test_slices_of_one_tensor_are_arguments_like_others() -> None:
    data = row(0, 12)

    def maker(compiler: Any) -> Any:
        w, s = torch.ones(4, requires_grad=True), types.SimpleNamespace(seen=None)

        def f(x: Any, y: Any) -> Any:
            s.seen = x
            return ((x * w - y) ** 2).sum()

        g = compiler(f)
        return lambda i: (g(data[i : i + 4], data[i + 1 : i + 5]), s.seen)

    same_as_eager(maker)


def test_uniform_numbers_are_drawn_for_any_size() -> None:
    noisy = torch.compile(lambda x: x + torch.rand_like(x), dynamic=True)
    for n in (4, 4, 6, 9, 5):
        torch.manual_seed(n)
        ours = noisy(torch.zeros(n, 2))
        torch.manual_seed(n)
        assert torch.equal(ours, torch.rand(n, 2))
    assert "any leading size: 1 graphs" in noisy.explanation()


# ---- objects
@dataclasses.dataclass
class Output:
    logits: Any
    parts: Any = None
    n: int = 3


class Mapping(OrderedDict[str, Any]):
    """A dict whose entries are attributes too, and which is made of those: as outputs of language models are."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)


@dataclasses.dataclass
class ModelOutput(Mapping):
    loss: Any = None
    logits: Any = None
    states: Any = None


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b


OBJECTS: dict[str, Any] = {
    "a dataclass": lambda x, w: (lambda o: (o, o.logits, o.parts, o.n))(Output(x * w, (x + 1, {"z": x * 3}))),
    "a dict with attributes": lambda x, w: (lambda o: (o, o.loss, o["logits"], o.states, list(o)))(
        ModelOutput((x * w).sum(), x, (x * w, x * 2))),
    "slots in slots": lambda x, w: (lambda o: (o, o.a, o.b[0].a))(Slotted(x * w, [Slotted(x, None)])),
    "a distribution": lambda x, w: (lambda d: (d, d.mean, d.log_prob(x)))(torch.distributions.Normal(x * w, 1.0, validate_args=False)),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_that_are_returned_are_made_at_each_call(name: str) -> None:
    def maker(compiler: Any) -> Any:
        w, kept = torch.ones(2, requires_grad=True), list[Any]()
        f = compiler(lambda x: OBJECTS[name](x, w)[0])

        def run(i: int) -> Any:
            made = f(row(i, 2))
            kept.append(made)
            assert len({id(o) for o in kept}) == i + 1
            read = {"a dataclass": lambda o: [o.logits, o.parts, o.n], "slots in slots": lambda o: [o.a, o.b[0].a],
                    "a dict with attributes": lambda o: [o.loss, o["logits"], o.states, list(o), o.loss is o["loss"]],
                    "a distribution": lambda o: [o.mean, o.log_prob(row(0, 2))]}[name]  # fmt: skip
            found = read(made)
            w.grad = None
            found[0].sum().backward()
            return [type(made).__name__, found, w.grad]

        return run

    same_as_eager(maker)


def test_objects_that_cannot_be_made_anew_are_refused() -> None:
    def cyclic(x: Any) -> Any:
        made = types.SimpleNamespace(x=x)
        made.me = made
        return made

    for f in (cyclic, lambda x: (lambda y: lambda: y)(x * 2)):
        compiled = torch.compile(f)
        compiled(torch.ones(1))
        with pytest.raises(RuntimeError, match="returns a"):
            compiled(torch.ones(1))


# ---- surroundings that are looked up by computed names, and what changes by itself
SIZE0, SIZE1 = 2.0, 3.0


class Stamp(datetime.datetime):
    pass


def test_values_under_computed_names_are_watched() -> None:
    class Config:
        k0, k1 = 1.0, 2.0

    def maker(compiler: Any) -> Any:
        Config.k1 = 2.0
        f = compiler(lambda x: x * sum(getattr(Config, f"k{n}") for n in range(2)) * float(os.environ["WENGERT_TEST_SCALE"]))

        def run(i: int) -> Any:
            Config.k1, os.environ["WENGERT_TEST_SCALE"] = float(i // 4), str(i // 6)
            return f(row(i, 2))

        return run

    try:
        same_as_eager(maker, 9)
    finally:
        os.environ.pop("WENGERT_TEST_SCALE", None)


@pytest.mark.parametrize(("what", "read"), [
    ("the clock", time.perf_counter),
    ("the clock", lambda: datetime.datetime.now().timestamp()),
    ("the clock", lambda: Stamp.utcnow().timestamp()),
    ("random numbers", lambda: float(uuid.uuid4().int % 1000)),
    ("random numbers", lambda: random.SystemRandom().random()),
    ("random numbers", lambda: random.Random().random()),
    ("random numbers", lambda: float(np.random.default_rng().random())),
    ("a file", lambda: float(Path(os.environ["WENGERT_TEST_FILE"]).read_text())),
    ("a file", lambda: float(np.loadtxt(os.environ["WENGERT_TEST_FILE"]))),
    ("what is typed", lambda: float(input())),
])  # fmt: skip
def test_what_the_machine_tells_does_not_stand_still(what: str, read: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("WENGERT_TEST_FILE", str(tmp_path / "number"))
    monkeypatch.setattr("sys.stdin", io.StringIO("0\n1\n2\n3\n4\n5\n"))
    compiled, kept = [torch.compile(lambda x: x + read(), fallback=way) for way in (None, "eager")]
    found, x = [], torch.zeros((), dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(4):
            (tmp_path / "number").write_text(str(i))
            found.append(kept(x).item())
            if i == 0:
                compiled(x)
    with pytest.raises(RuntimeError, match=f"reads {what}"):
        compiled(x)
    assert len(set(found)) == 4


def test_reading_the_clock_is_refused_even_where_the_error_is_caught() -> None:
    def timed(x: Any) -> Any:
        with contextlib.suppress(RuntimeError):
            time.time()
        return x * 2

    compiled, seen = torch.compile(timed), []
    compiled(torch.ones(()))
    sys.setprofile(lambda frame, event, called: seen.append(event))
    try:
        with pytest.raises(RuntimeError, match="the clock"):
            compiled(torch.ones(()))
        assert sys.getprofile() is not None and "c_call" in seen
    finally:
        sys.setprofile(None)


def test_variables_of_the_context_and_bytes_are_watched() -> None:
    def maker(compiler: Any) -> Any:
        scale, numbers, data = contextvars.ContextVar("scale", default=1.0), array.array("d", [0.0]), bytearray(3)
        f = compiler(lambda x: x * scale.get() + numbers[0] - data[1])

        def run(i: int) -> Any:
            scale.set(float(i // 3))
            numbers[0], data[1] = i // 4, i // 5
            return f(row(i, 2))

        return run

    same_as_eager(maker, 9)


def test_a_gradient_whose_history_is_freed_inside_is_a_result() -> None:
    def maker(compiler: Any) -> Any:
        def slopes(x: Any) -> Any:
            first = torch.autograd.grad((x**3).sum(), x, create_graph=True)[0]
            return first, torch.autograd.grad(first.sum(), x)[0]

        f = compiler(slopes)
        return lambda i: f(row(i, 3).requires_grad_())

    def plainly(maker: Any) -> Any:
        return lambda compiler: lambda i: [x.detach() for x in maker(compiler)(i)]

    same_as_eager(plainly(maker), 1, captured=False)
    compiled = torch.compile(lambda x: torch.autograd.grad(torch.autograd.grad((x**3).sum(), x, create_graph=True)[0].sum(), x))
    assert [compiled(row(0, 3).requires_grad_())[0].tolist() for _ in range(3)] == [(row(0, 3) * 6).tolist()] * 3


# ---- how results lie in memory
def test_strides_of_what_is_computed_are_seen() -> None:
    for f in (lambda x: x.t() + 1, lambda x: (x @ x.t()).t() * 2, lambda x: x.t().double(), lambda x: x.t().clone(),
              lambda x: torch.where(x.t() > 1, x.t(), 0.0), lambda x: torch.nn.functional.gelu(x.t()),
              lambda x: torch.nn.functional.elu(x.t()), lambda x: torch.nn.functional.silu(x[:1].expand(3, 3)),
              lambda x: torch.nn.functional.layer_norm(x.view(1, 2, 3).movedim(1, 2), (2,))):  # fmt: skip
        compiled = torch.compile(lambda x, f=f: (f(x).stride(), f(x).is_contiguous()))
        assert [compiled(row(0, 2, 3)) for _ in range(3)] == [(f(row(0, 2, 3)).stride(), f(row(0, 2, 3)).is_contiguous())] * 3


def test_a_reshape_that_copies_is_no_view() -> None:
    def maker(compiler: Any) -> Any:
        def f(x: Any) -> Any:
            y = x.t() + 1
            y.reshape(-1).mul_(2)
            return y

        g = compiler(f)
        return lambda i: g(row(i, 2, 3))

    same_as_eager(maker)


# ---- derivatives of gradients
def test_a_compiled_loss_is_differentiated_twice_outside() -> None:
    def maker(compiler: Any) -> Any:
        w = row(1, 3, 3).requires_grad_()
        f = compiler(lambda x: torch.softmax(x @ w, -1) * x.detach() * x)

        def run(i: int) -> Any:
            x = row(i, 2, 3).requires_grad_()
            grads = torch.autograd.grad(f(x).pow(2).sum(), (x, w), create_graph=True)
            again = torch.autograd.grad(sum(g.pow(2).sum() for g in grads), (x, w), create_graph=True)
            return [*grads, *again, *torch.autograd.grad(sum(g.pow(2).sum() for g in again), (x, w))]

        return run

    same_as_eager(maker, 5)


def test_a_gradient_penalty_of_a_compiled_model() -> None:
    def maker(compiler: Any) -> Any:
        model = filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        call = compiler(model.forward)

        def run(i: int) -> Any:
            x = row(i, 4, 3).requires_grad_()
            y = call(x)
            (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            optimizer.zero_grad()
            (y.mean() + 10 * (slope.norm(dim=1) - 1).pow(2).mean()).backward()
            optimizer.step()
            return y, model[0].weight

        return run

    same_as_eager(maker)


@pytest.mark.parametrize("why, function", [
    ("draws random", lambda x, w: torch.nn.functional.dropout(x * w, 0.5).pow(2).sum()),
    ("computed from another", lambda x, w: (x * w).pow(2).sum()),
])  # fmt: skip
def test_a_gradient_that_cannot_be_differentiated_again_says_why(why: str, function: Any) -> None:
    w = torch.ones(3, requires_grad=True)
    compiled = torch.compile(lambda x: function(x, w))
    for i in range(3):
        value = compiled(w * 2 if why == "computed from another" else row(i, 3).requires_grad_())
    with pytest.raises(NotImplementedError, match=why):
        torch.autograd.grad(value, w, create_graph=True)


def test_what_a_function_without_tensors_among_its_arguments_makes_is_where_its_tensors_are(device: str) -> None:
    x = torch.linspace(-1, 1, 16).reshape(4, 4).to(device)
    functions = (
        lambda: x + torch.ones(4, 4, device=x.device).tril(),
        lambda: nn.functional.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True),
        lambda: (x.cpu() * 2 + torch.ones(4)).to(device),
        lambda: torch.eye(4, device=device) @ nn.functional.dropout(x, 0.0),
    )
    for f in functions:
        compiled = torch.compile(f)
        for _ in range(3):
            assert compiled().device == x.device and torch.allclose(compiled(), f())


def around() -> dict[str, Any]:
    """Return makers of functions whose surroundings change between calls, by their names."""

    def shadowed(compiler: Any) -> Any:
        class Base:
            rate = 2.0

        class Derived(Base):
            pass

        settings = Derived()

        def run(i: int) -> Any:
            if i == 3:
                Derived.rate = 5.0
            if i == 5:
                del Derived.rate
            return f(row(i, 3))

        f = compiler(lambda x: x * settings.rate)
        return run

    def ordered(compiler: Any) -> Any:
        layers = {"double": 2.0, "shift": 1.0}
        kept = OrderedDict(layers)

        def f(x: Any) -> Any:
            for name, value in (*layers.items(), *kept.items()):
                x = x * value if name == "double" else x + value
            return x

        def run(i: int) -> Any:
            if i == 3:
                layers["double"] = layers.pop("double")
            if i == 5:
                kept.move_to_end("double")
            return g(row(i, 3))

        g = compiler(f)
        return run

    def described(compiler: Any) -> Any:
        class Model:
            gain = 2.0
            twice = property(lambda self: self.gain * 2)
            once = staticmethod(lambda x: x + 1)

        model = Model()

        def run(i: int) -> Any:
            if i == 3:
                Model.twice = property(lambda self: self.gain * 3)  # type: ignore[assignment]
            if i == 5:
                Model.once = staticmethod(lambda x: x - 1)
            return f(row(i, 3))

        f = compiler(lambda x: model.once(x) * model.twice)
        return run

    def cached(compiler: Any) -> Any:
        @functools.cache
        def table(n: int) -> Any:
            return torch.ones(n) * 2

        f = compiler(lambda x: x * table(len(x)))

        def run(i: int) -> Any:
            if i in (1, 5):
                table.cache_clear()
            return f(row(i, 3 + (i == 4))), table(3), table(4), table(1)

        return run

    return {f.__name__: f for f in (shadowed, ordered, described, cached)}


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("name", around())
def test_what_code_looks_up_is_found_as_it_is(name: str, dynamic: bool | None) -> None:
    same_as_eager(around()[name], dynamic=dynamic)


@pytest.mark.parametrize("inside", [True, False])
def test_hooks_of_parameters_run_once_and_are_those_that_are_there(inside: bool) -> None:
    def maker(compiler: Any) -> Any:
        w = row(1, 3).requires_grad_()
        scale = [0.5]
        handles = [w.register_hook(lambda g: g * scale[0])]

        def step(x: Any) -> Any:
            loss = (w * x).pow(2).sum()
            if inside:
                loss.backward()
            return loss

        f = compiler(step)

        def run(i: int) -> Any:
            w.grad = None
            if i == 3:
                handles.append(w.register_hook(lambda g: g + 1))
            if i == 5:
                handles.pop(0).remove()
            if i == 6:
                scale[0] = 2.0
                w.register_hook(lambda g: g * scale[0])
            loss = f(row(i, 3))
            if not inside:
                loss.backward()
            return loss.detach(), w.grad

        return run

    same_as_eager(maker, 9)


def test_a_function_that_adds_a_hook_to_a_parameter_is_refused() -> None:
    w, found = row(1, 3).requires_grad_(), list[Any]()

    def step(x: Any) -> Any:
        w.register_hook(lambda g: g * 0.5)
        return (w * x).sum()

    compiled = torch.compile(step)
    compiled(row(1, 3))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="adds to w's hooks"):
            compiled(row(1, 3))
    (w * 2).sum().backward()
    found.append(w.grad)
    assert torch.equal(found[0], torch.ones(3))


@pytest.mark.parametrize("after", [True, False])
def test_gradients_from_outside_are_seen_where_a_capture_met_none(after: bool) -> None:
    def maker(compiler: Any) -> Any:
        w, other = row(1, 3).requires_grad_(), row(2, 3).requires_grad_()
        optimizer = torch.optim.SGD([w, other], 0.1)

        @compiler
        def step(x: Any) -> Any:
            if not after:
                optimizer.zero_grad()
            (w * x).sum().backward()
            optimizer.step()
            if after:
                optimizer.zero_grad()

        def run(i: int) -> Any:
            if i in (3, 5):
                other.grad = torch.ones(3)
            step(row(i, 3))
            return w, other, other.grad is None

        return run

    same_as_eager(maker, 7)


def test_an_optimizer_whose_state_is_cleared_begins_anew() -> None:
    def maker(compiler: Any) -> Any:
        w = row(1, 3).requires_grad_()
        optimizer = torch.optim.Adam([w], 0.1)

        @compiler
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            (w * x).sum().backward()
            optimizer.step()

        def run(i: int) -> Any:
            if i in (2, 4):
                optimizer.state.clear()
            step(row(i, 3))
            return w, optimizer.state[w]["step"]

        return run

    same_as_eager(maker, 10)


def test_a_result_whose_history_was_written_to_is_a_number() -> None:
    def maker(compiler: Any) -> Any:
        w = row(1, 3).requires_grad_()

        @compiler
        def step(x: Any) -> Any:
            loss = (w * w * x).sum()
            with torch.no_grad():
                w.sub_(0.1)
            return loss, w.sum()

        def run(i: int) -> Any:
            loss, total = step(row(i, 3))
            total.backward()
            with pytest.raises(RuntimeError):
                loss.backward()
            return loss.detach(), w, w.grad

        return run

    same_as_eager(maker)


def test_hooks_of_all_modules_and_of_all_optimizers_are_watched() -> None:
    def maker(compiler: Any) -> Any:
        layer = filled(nn.Linear(3, 3))
        optimizer = torch.optim.SGD(layer.parameters(), 0.1)

        @compiler
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = layer(x).pow(2).sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        def held() -> None:
            layer.bias.grad.zero_()

        def run(i: int) -> Any:
            doubled = nn.modules.module.register_module_forward_hook(lambda module, inputs, out: out * 2)
            slower = torch.optim.optimizer.register_optimizer_step_pre_hook(lambda *_: held())
            if i % 4 < 2:
                doubled.remove()
            if i < 5:
                slower.remove()
            loss = step(row(i, 2, 3))
            doubled.remove()
            slower.remove()
            return loss, layer.weight, layer.bias

        return run

    same_as_eager(maker, 9)


def test_values_that_hooks_pack_are_packed_at_each_call() -> None:
    def maker(compiler: Any) -> Any:
        f = compiler(lambda x: x.pow(2).sum())

        def run(i: int) -> Any:
            x = row(i, 3).requires_grad_()
            packing = torch.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t)
            with packing if i in (3, 6) else contextlib.nullcontext():
                loss = f(x)
            return torch.autograd.grad(loss, x)

        return run

    same_as_eager(maker)


def test_the_default_device_is_that_of_the_call() -> None:
    compiled = torch.compile(lambda: (torch.zeros(2) + 1, torch.arange(3)))
    for i in range(8):
        with torch.device("meta") if i in (3, 4, 6) else contextlib.nullcontext():
            assert {x.device.type for x in compiled()} == {"meta" if i in (3, 4, 6) else "cpu"}


def test_what_is_made_on_a_device_is_there_whatever_the_arguments_are(device: str) -> None:
    w, count = torch.linspace(-1, 1, 4).to(device), torch.zeros(2)

    def counted(x: Any) -> Any:
        count.add_(1)
        return x.to(device) * w, count * 2

    functions = (
        lambda x: (x.to(device) * w + torch.tensor([1.0, 2.0, 3.0, 4.0], device=device), x * torch.ones(4)),
        lambda x: ((x * torch.ones(4)).sum() + (w * torch.ones(4, device=device)).sum().cpu(), torch.ones(2)),
        lambda x: (torch.arange(4.0, device=device) * 2, x + 1),
        lambda x: (w[torch.tensor([0, 2])] + w[torch.randperm(1)], w.clone().index_put((torch.tensor([1]),), torch.zeros(1).to(device))),
        counted,
    )  # fmt: skip
    for f in functions:
        compiled = torch.compile(f)
        for i in range(4):
            x = row(i, 4)
            count.fill_(i)
            theirs = f(x)
            count.fill_(i)
            ours = compiled(x)
            assert [y.device for y in ours] == [y.device for y in theirs]
            assert all(torch.allclose(a.cpu(), b.cpu()) for a, b in zip(ours, theirs, strict=True))


def test_random_numbers_that_nobody_reads_are_drawn() -> None:
    def maker(compiler: Any) -> Any:
        f = compiler(lambda x: (torch.rand(3) * x, x + torch.rand(3))[1])

        def run(i: int) -> Any:
            torch.manual_seed(i)
            return f(row(i, 3)), torch.rand(2)

        return run

    same_as_eager(maker, 5)


def test_what_a_program_leaves_is_that_of_its_decision() -> None:
    def maker(compiler: Any) -> Any:
        known = types.SimpleNamespace(step=0, note="")

        @compiler
        def f(x: Any) -> Any:
            known.step += 1
            if known.step % 2 == 0:
                known.note = "even"
            return x * known.step

        def run(i: int) -> Any:
            known.note = ""
            return f(row(i, 3)), known.note, known.step

        return run

    same_as_eager(maker)


def test_programs_that_decide_otherwise_take_the_gradients_that_they_read() -> None:
    def maker(compiler: Any) -> Any:
        w, other = row(1, 3).requires_grad_(), row(2, 3).requires_grad_()
        known = types.SimpleNamespace(step=0)

        @compiler
        def step(x: Any) -> Any:
            known.step += 1
            (w * x).sum().backward()
            if known.step % 2 == 0:
                with torch.no_grad():
                    other.sub_(other.grad if other.grad is not None else 0)
                    w.sub_(w.grad)
                w.grad = other.grad = None

        def run(i: int) -> Any:
            if i in (2, 5, 6, 7, 8, 9):
                w.grad, other.grad = torch.ones(3), torch.ones(3)
            step(row(i, 3))
            return w, other, w.grad is None, other.grad is None, known.step

        return run

    same_as_eager(maker, 14)


def test_functions_with_other_code_and_objects_of_other_classes_are_seen() -> None:
    """As where a notebook loads a module anew."""

    def maker(wrap: Any) -> Any:
        class Plain:
            def factor(self) -> float:
                return 2.0

        class Other:
            def factor(self) -> float:
                return 5.0

        def shifted(x: Any) -> Any:
            return x + 1

        def lowered(x: Any) -> Any:
            return x - 1

        held = Plain()
        step = wrap(lambda x: shifted(x) * held.factor())

        def run(i: int) -> Any:
            if i in (4, 9):
                shifted.__code__, lowered.__code__ = lowered.__code__, shifted.__code__
            if i in (6, 11):
                held.__class__ = Other if type(held) is Plain else Plain  # type: ignore[assignment]
            return step(row(i, 3))

        return run

    same_as_eager(maker, 14)
