"""Random programs of views, writes, joins and arithmetic: drawn from a seed, run on any module and device.

Owns: the steps a program may have, the drawing, `Run`, which does the steps and takes values and gradients of three orders.
May import: `wengert`'s public names, NumPy. Must not know: pytest, what the results are compared with (another device here,
PyTorch in our own tests).
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import wengert

STEPS, LARGEST = 14, 60

Step = tuple[str, tuple[int, ...], tuple[Any, ...]]
Draw = random.Random


# ---- what a step does: (torch, *tensors, *params) -> a tensor, several, or None for a write
def write_key(torch: Any, key: Any) -> Any:
    """Return an index with lists as tensors of the module."""
    return tuple(torch.tensor(k) if isinstance(k, list) else k for k in key)


ACTIONS: dict[str, Callable[..., Any]] = {
    # elementwise; all of them keep numbers small
    "sin": lambda torch, x: x.sin(), "tanh": lambda torch, x: x.tanh(), "sigmoid": lambda torch, x: x.sigmoid(),
    "exp": lambda torch, x: (-x.square()).exp(), "abs": lambda torch, x: x.abs(), "relu": lambda torch, x: x.relu(),
    "number": lambda torch, x, n: x * n, "plus": lambda torch, x, n: x + n, "rsub": lambda torch, x, n: n - x,
    "clamp": lambda torch, x: x.clamp(-0.5, 0.8), "root": lambda torch, x: (x * x + 1).sqrt(), "cube": lambda torch, x: x.tanh() ** 3,
    "recip": lambda torch, x: 1 / (2 + x.cos()), "log": lambda torch, x: (x * x + 0.5).log(), "atan": lambda torch, x: x.atan(),
    "add": lambda torch, x, y: x + y, "sub": lambda torch, x, y: x - y, "mul": lambda torch, x, y: x * y.tanh(),
    "div": lambda torch, x, y: x / (2 + y.sin()), "max": lambda torch, x, y: torch.maximum(x, y), "min": lambda torch, x, y: torch.minimum(x, y),
    "where": lambda torch, x, y: torch.where(x > 0.1, x, y), "lerp": lambda torch, x, y: torch.lerp(x, y, 0.3),
    "addcmul": lambda torch, x, y: torch.addcmul(x, y.sin(), y, value=0.5), "hypot": lambda torch, x, y: torch.hypot(x + 3, y),
    # views
    "getitem": lambda torch, x, key: x[write_key(torch, key)], "t": lambda torch, x, a, b: x.transpose(a, b),
    "permute": lambda torch, x, dims: x.permute(dims), "view": lambda torch, x, shape: x.view(shape),
    "reshape": lambda torch, x, shape: x.reshape(shape), "expand": lambda torch, x, shape: x.expand(shape),
    "unsqueeze": lambda torch, x, d: x.unsqueeze(d), "squeeze": lambda torch, x: x.squeeze(), "flatten": lambda torch, x: x.flatten(),
    "diagonal": lambda torch, x: x.diagonal(), "narrow": lambda torch, x, d, i, n: x.narrow(d, i, n), "select": lambda torch, x, d, i: x.select(d, i),
    "unbind": lambda torch, x, d: x.unbind(d), "chunk": lambda torch, x, d: x.chunk(2, d), "split": lambda torch, x, d: x.split(1, d),
    "view_as": lambda torch, x: x.view_as(x), "movedim": lambda torch, x, a, b: x.movedim(a, b), "alias": lambda torch, x: x[...],
    # copies
    "clone": lambda torch, x: x.clone(), "contiguous": lambda torch, x: x.contiguous(), "detach": lambda torch, x: x.detach(),
    "flip": lambda torch, x, d: x.flip(d), "roll": lambda torch, x, d: x.roll(1, d), "tril": lambda torch, x: x.tril(),
    "repeat": lambda torch, x, counts: x.repeat(counts), "index_select": lambda torch, x, d, i: x.index_select(d, torch.tensor(i)),
    "gather": lambda torch, x, d, i: x.gather(d, torch.tensor(i)), "mask": lambda torch, x: x[x > 0],
    "take": lambda torch, x, i: x.take(torch.tensor(i)), "masked_fill": lambda torch, x, n: x.masked_fill(x > 0.3, n),
    "masked_select": lambda torch, x: x.masked_select(x < 0.5), "pad": lambda torch, x: torch.nn.functional.pad(x, (1, 1)),
    # joins
    "cat": lambda torch, x, y, d: torch.cat([x, y], d), "stack": lambda torch, x, y, d: torch.stack([x, y], d),
    "matmul": lambda torch, x, y: (x @ y).tanh(), "outer": lambda torch, x, y: torch.outer(x.flatten(), y.flatten()),
    "einsum": lambda torch, x, y: torch.einsum("...i,...i->...", x, y).tanh(),
    # reductions
    "sum": lambda torch, x: x.sum(), "mean": lambda torch, x, d, k: x.mean(d, k), "sumd": lambda torch, x, d, k: x.sum(d, keepdim=k),
    "amax": lambda torch, x, d, k: x.amax(d, keepdim=k), "maxd": lambda torch, x, d: x.max(d)[0], "mind": lambda torch, x, d: x.min(d).values,
    "logsumexp": lambda torch, x, d: x.logsumexp(d), "softmax": lambda torch, x, d: x.softmax(d), "log_softmax": lambda torch, x, d: x.log_softmax(d).tanh(),
    "cumsum": lambda torch, x, d: x.cumsum(d).tanh(), "prod": lambda torch, x, d: x.sin().prod(d), "norm": lambda torch, x: x.norm(),
    "var": lambda torch, x, d: (x.var(d) + 1).sqrt(), "cumprod": lambda torch, x, d: x.sin().cumprod(d), "std": lambda torch, x: (x.flatten() + 0.1).std(),
    "sort": lambda torch, x, d: x.sort(d)[0], "median": lambda torch, x, d: x.median(d)[0],
    # writes
    "add_": lambda torch, x, y: none(x.add_(y)), "mul_": lambda torch, x, y: none(x.mul_(y.tanh())), "sub_": lambda torch, x, y: none(x.sub_(y, alpha=0.5)),
    "copy_": lambda torch, x, y: none(x.copy_(y)), "sin_": lambda torch, x: none(x.sin_()), "tanh_": lambda torch, x: none(x.tanh_()),
    "zero_": lambda torch, x: none(x.zero_()), "fill_": lambda torch, x, n: none(x.fill_(n)), "mul_number": lambda torch, x, n: none(x.mul_(n)),
    "clamp_": lambda torch, x: none(x.clamp_(-0.7, 0.9)), "masked_fill_": lambda torch, x, n: none(x.masked_fill_(x > 0.2, n)),
    "setitem": lambda torch, x, y, key: x.__setitem__(write_key(torch, key), y), "setnumber": lambda torch, x, key, n: x.__setitem__(write_key(torch, key), n),
    "setmask": lambda torch, x, n: x.__setitem__(x > 0.2, n), "iadd": lambda torch, x, y, key: none(x[write_key(torch, key)].add_(y)),
    "div_": lambda torch, x, y: none(x.div_(2 + y.cos())), "index_add_": lambda torch, x, y, i: none(x.index_add_(0, torch.tensor(i), y.clone())),
    "blind_": lambda torch, x, n: blind(torch, x, n), "relu_": lambda torch, x: none(x.relu_()), "exp_": lambda torch, x: none(x.clamp_(-1, 1).exp_()),
    "transpose_": lambda torch, x: none(x.t_()), "unsqueeze_": lambda torch, x: none(x.unsqueeze_(0)), "detached_": lambda torch, x, n: none(x.detach().add_(n)),
}  # fmt: skip
UNARY = "sin tanh sigmoid exp abs relu clamp root cube recip log atan clone contiguous detach squeeze flatten view_as alias sum norm std mask masked_select tril".split()
WITH_NUMBER = "number plus rsub masked_fill".split()
BINARY = "add sub mul div max min where lerp addcmul hypot".split()
BY_DIM = "unbind chunk split flip roll maxd mind logsumexp softmax log_softmax cumsum prod var cumprod sort median".split()
WRITES = "add_ mul_ sub_ copy_ div_".split()
WRITES_ALONE = "sin_ tanh_ zero_ clamp_ relu_ exp_ transpose_ unsqueeze_".split()
WRITES_NUMBER = "fill_ mul_number masked_fill_ setmask blind_ detached_".split()


def none(x: Any) -> None:
    """Drop what a write returns: it is the tensor that is known already."""


def blind(torch: Any, x: Any, n: float) -> None:
    with torch.no_grad():
        x.mul_(n)


# ---- drawing
def divisors(draw: Draw, size: int) -> tuple[int, ...]:
    """Return a shape of that many elements."""
    shape: list[int] = []
    while size > 1 and len(shape) < 3:
        n = draw.choice([d for d in range(1, size + 1) if size % d == 0])
        shape.append(n)
        size //= n
    return (*shape, size) if size > 1 or draw.random() < 0.3 else tuple(shape)


def key_of(draw: Draw, shape: tuple[int, ...], lists: bool = False) -> tuple[Any, ...]:
    """Return an index into a shape: numbers, slices, new dims, and lists if wanted."""
    key: list[Any] = []
    for n in shape[: draw.randint(0, len(shape))]:
        kind = draw.random()
        if kind < 0.3 and n:
            key.append(draw.randrange(-n, n))
        elif kind < 0.75 or not n:
            low = draw.randint(0, n)
            key.append(slice(low or None, draw.choice([None, draw.randint(low, n)]), draw.choice([None, 1, 2])))
        elif kind < 0.85 and lists and not any(isinstance(k, list) for k in key):
            key.append([draw.randrange(-n, n) for _ in range(draw.randint(1, 3))])
        else:
            key.append(slice(None))
    if draw.random() < 0.2:
        key.insert(draw.randint(0, len(key)), None)
    if draw.random() < 0.15 and len(key) < len(shape) and None not in key:
        key.append(Ellipsis)
    return tuple(key) if key else (Ellipsis,)


def step(draw: Draw, shapes: list[tuple[int, ...]]) -> Step | None:
    """Draw one step for tensors of these shapes; None where nothing fits."""
    i = draw.randrange(len(shapes))
    if draw.random() < 0.5:
        i = len(shapes) - 1 - min(draw.randrange(3), len(shapes) - 1)
    shape = shapes[i]
    number = round(draw.uniform(-1, 1), 2)
    dim = draw.randrange(-len(shape), len(shape)) if shape else None
    kind = draw.choices(
        ["unary", "number", "binary", "dim", "getitem", "view", "join", "reduce", "copy", "write", "write alone", "write number", "setitem"],
        [3, 2, 4, 3, 4, 5, 3, 2, 2, 4, 2, 2, 4],
    )[0]
    fitting = [j for j, s in enumerate(shapes) if broadcasts(s, shape)]
    below = [j for j in fitting if np.broadcast_shapes(shapes[j], shape) == shape]
    if kind == "unary":
        return draw.choice(UNARY), (i,), ()
    if kind == "number":
        return draw.choice(WITH_NUMBER), (i,), (number,)
    if kind == "binary":
        return draw.choice(BINARY), (i, draw.choice(fitting)), ()
    if kind == "dim" and dim is not None and np.prod(shape):
        return draw.choice(BY_DIM), (i,), (dim,)
    if kind == "getitem":
        return "getitem", (i,), (key_of(draw, shape, lists=True),)
    if kind == "view":
        return view_step(draw, i, shape)
    if kind == "join":
        return join_step(draw, i, shapes)
    if kind == "reduce" and dim is not None and shape[dim]:
        return draw.choice(["mean", "sumd", "amax"]), (i,), (dim, draw.random() < 0.4)
    if kind == "copy":
        return copy_step(draw, i, shape)
    if kind.startswith("write") or kind == "setitem":  # PyTorch leaves a tensor half changed that was written to nowhere
        fitting = [j for j in fitting if np.prod(shapes[j])]
        below = [j for j in below if np.prod(shapes[j])]
        if not np.prod(shape):
            return None
    if kind == "write":
        return draw.choice(WRITES), (i, draw.choice(below)), ()
    if kind == "write alone":
        return draw.choice(WRITES_ALONE), (i,), ()
    if kind == "write number":
        return draw.choice(WRITES_NUMBER), (i,), (number,)
    if kind == "setitem":
        return write_step(draw, i, shapes, number)
    return None


def view_step(draw: Draw, i: int, shape: tuple[int, ...]) -> Step | None:
    ndim = len(shape)
    size = int(np.prod(shape))
    name = draw.choice("t permute view reshape expand unsqueeze diagonal narrow select movedim".split())
    if name == "unsqueeze":
        return name, (i,), (draw.randint(-ndim - 1, ndim),)
    if name in ("view", "reshape"):
        wanted = divisors(draw, size) if size else shape
        if wanted and size and draw.random() < 0.2:
            wanted = (*wanted[:-1], -1)
        return name, (i,), (wanted,)
    if name == "expand":
        wanted = tuple([draw.randint(2, 3) if n == 1 else n for n in shape])
        return name, (i,), ((draw.randint(1, 3), *wanted) if draw.random() < 0.5 else wanted,)
    if not ndim:
        return None
    a, b = draw.randrange(-ndim, ndim), draw.randrange(-ndim, ndim)
    if name in ("t", "movedim"):
        return name, (i,), (a, b)
    if name == "permute":
        return name, (i,), (draw.sample(range(ndim), ndim),)
    if name == "diagonal":
        return (name, (i,), ()) if ndim > 1 else None
    if not shape[a]:
        return None
    low = draw.randrange(shape[a])
    return ("select", (i,), (a, low)) if name == "select" else ("narrow", (i,), (a, low, draw.randint(0, shape[a] - low)))


def join_step(draw: Draw, i: int, shapes: list[tuple[int, ...]]) -> Step | None:
    shape = shapes[i]
    ndim = len(shape)
    name = draw.choice("cat stack matmul outer einsum".split())
    if name == "outer":
        return name, (i, draw.randrange(len(shapes))), ()
    if name == "matmul":
        fits = [j for j, s in enumerate(shapes) if ndim and s and (s[-2] if len(s) > 1 else s[0]) == shape[-1]]
        return (name, (i, draw.choice(fits)), ()) if fits else None
    fits = [j for j, s in enumerate(shapes) if s == shape]
    if name == "einsum":
        return (name, (i, draw.choice(fits)), ()) if ndim else None
    if name == "stack":
        return name, (i, draw.choice(fits)), (draw.randint(-ndim - 1, ndim),)
    if not ndim or not np.prod(shape):
        return None
    d = draw.randrange(ndim)
    fits = [j for j, s in enumerate(shapes) if np.prod(s) and len(s) == ndim and all(m == n or k == d for k, (m, n) in enumerate(zip(s, shape, strict=True)))]
    return name, (i, draw.choice(fits)), (d,)


def copy_step(draw: Draw, i: int, shape: tuple[int, ...]) -> Step | None:
    size, ndim = int(np.prod(shape)), len(shape)
    if not size or not ndim:
        return None
    d = draw.randrange(ndim)
    name = draw.choice("repeat index_select gather take pad".split())
    if name == "repeat":
        return name, (i,), (tuple(draw.randint(1, 2) for _ in range(ndim + draw.randint(0, 1))),)
    if name == "index_select":
        return name, (i,), (d, [draw.randrange(shape[d]) for _ in range(draw.randint(1, 3))])
    if name == "gather":
        smaller = [draw.randint(1, n) for n in shape]
        index = np.array([draw.randrange(shape[d]) for _ in range(int(np.prod(smaller)))]).reshape(smaller)
        return name, (i,), (d, index.tolist())
    if name == "take":
        return name, (i,), ([draw.randrange(size) for _ in range(draw.randint(1, 4))],)
    return name, (i,), ()


def write_step(draw: Draw, i: int, shapes: list[tuple[int, ...]], number: float) -> Step | None:
    shape = shapes[i]
    name = draw.choice("setitem setitem setnumber iadd index_add_".split())
    if name == "index_add_":
        fits = [j for j, s in enumerate(shapes) if shape and shape[0] and len(s) == len(shape) and s[1:] == shape[1:] and s[0]]
        if not fits:
            return None
        j = draw.choice(fits)
        return name, (i, j), ([draw.randrange(shape[0]) for _ in range(shapes[j][0])],)
    key = key_of(draw, shape, lists=name != "iadd")
    if any(isinstance(k, list) and len(k) > 1 for k in key):
        return None  # the list may name an element twice, and which write wins then is nobody's promise
    part = np.empty(shape)[tuple(np.array(k) if isinstance(k, list) else k for k in key)].shape
    if not np.prod(part):
        return None
    if name == "setnumber":
        return name, (i,), (key, number)
    fits = [j for j, s in enumerate(shapes) if broadcasts(s, part) and np.broadcast_shapes(s, part) == part]
    return (name, (i, draw.choice(fits)), (key,)) if fits else None


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


# ---- running
class Run:
    """One program on one module: the tensors so far, and how it ended."""

    def __init__(self, torch: Any, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.torch, self.raised, self.words = torch, "", ""
        self.error: Exception | None = None
        self.pool: list[Any] = []
        for n, needs in enumerate([True, True, seed % 2 == 0, False]):
            shape = [(3,), (2, 3), (), (2, 1, 3), (4,), (3, 2), (1,), (3, 3)][(seed + 3 * n) % 8]
            self.pool.append(torch.tensor(draw.uniform(-1, 1, shape).round(3).tolist(), dtype=torch.float64, requires_grad=needs))
        self.leaves = [x for x in self.pool if x.requires_grad]

    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(x.shape) for x in self.pool]

    def take(self, step: Step) -> bool:
        """Do a step; say whether it went well."""
        name, which, params = step
        for x in self.pool:
            with contextlib.suppress(RuntimeError):
                x.grad_fn  # noqa: B018  (PyTorch takes a view for a leaf until it is asked what its base has become)
        try:
            made = ACTIONS[name](self.torch, *[self.pool[i] for i in which], *params)
        except Exception as error:
            self.raised, self.words, self.error = kind(error), str(error), error
            return False
        self.pool += list(made) if isinstance(made, tuple | list) else [] if made is None else [made]
        return True

    def goal(self) -> Any:
        """Return one number that depends on every tensor."""
        return sum([(x * weights(self.torch, x)).sum() for x in self.pool if x.requires_grad and x.numel()])

    def results(self) -> list[Any]:
        """Return values and gradients of three orders as plain ones."""
        found: list[Any] = [(x.requires_grad, x.detach().clone().tolist()) for x in self.pool]
        goal: Any = None
        for _ in range(3):
            try:
                goal = self.goal() if goal is None else goal
                if not getattr(goal, "requires_grad", False):
                    break
                grads = self.torch.autograd.grad(goal, self.leaves, create_graph=True, allow_unused=True)
            except Exception as error:
                self.words, self.error = str(error), error
                return [*found, kind(error)]
            found += [None if g is None else g.detach().clone().tolist() for g in grads]
            goal = sum([(g * weights(self.torch, g)).sum() for g in grads if g is not None and g.requires_grad])
        return found


def kind(error: Exception) -> str:
    return type(error).__name__


def weights(torch: Any, x: Any) -> Any:
    values = np.cos(np.arange(x.numel()) * 1.7 + 0.3).reshape(tuple(x.shape))
    return torch.tensor(values.tolist(), dtype=torch.float64).reshape(tuple(x.shape))


def program(seed: int) -> tuple[list[Step], Run]:
    """Draw a program while it runs on wengert."""
    draw = random.Random(seed)
    run = Run(wengert, seed)
    steps: list[Step] = []
    while len(steps) < STEPS and len(run.pool) < 30:
        drawn = step(draw, run.shapes())
        if drawn is None or any(int(np.prod(run.shapes()[i])) > LARGEST for i in drawn[1]):
            continue
        steps.append(drawn)
        if not run.take(drawn):
            break
    return steps, run


def same(a: Any, b: Any) -> bool:
    """Say whether two plain values agree, numbers to nine digits; an absent gradient is zero."""
    if a is None or b is None:
        other = b if a is None else a
        return other is None or not np.any(np.asarray(other, dtype=float))
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    if isinstance(a, tuple):
        return bool(a[0] == b[0]) and same(a[1], b[1])
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return x.shape == y.shape and bool(np.all((np.abs(x - y) <= 1e-9 * (1 + np.abs(y))) | (x == y) | (np.isnan(x) & np.isnan(y))))


def shown(steps: list[Step]) -> str:
    return "\n".join(f"  {n}: {name} {which} {params}" for n, (name, which, params) in enumerate(steps))


# ---- functions of one vector, for transforms and compilation
FRAGMENTS = (  # {k}: the next name, {a} and {b}: earlier ones; all keep the shape
    "{k} = {a}.sin()", "{k} = {a} * {b}", "{k} = {a} + {b}.tanh()", "{k} = {a} / ({b} ** 2 + 1)", "{k} = {a}.softmax(0)",
    "{k} = {a}.cumsum(0)", "{k} = {a}.flip(0) * {b}", "{k} = torch.where({a} > 0.3, {a}, {b})", "{k} = {a}.sum() * {b}",
    "{k} = {a}.detach() * {b}", "{k} = torch.stack([{a}, {b}]).prod(0)", "{k} = torch.outer({a}, {b}).diagonal()",
    "{k} = torch.complex({a}, {b} + 2).abs()", "{k} = ({a} + ({a}.round() - {a}).detach()) * {b}", "{k} = {a}[torch.tensor([1, 2, 0])]",
    "{k} = torch.zeros_like({a}); {k}[0] = {b}[1]", "{k} = torch.zeros_like({a}); {k}[1:].add_({b}[1:]); {k}.mul_({a})",
    "{k} = {a}.clone(); v = {k}[:2]; {k}.mul_({b}); {k} = {k} + v.sum()", "{k} = {a} * 1; {k}.add_({b}); {k}.masked_fill_({k} > 1, 0.5)",
    "{k} = {a}.clone(); {k}.view(3, 1)[0].copy_({b}[:1])", "{k} = {a} * 2; {k}.index_add_(0, torch.tensor([0, 2]), {b}[1:])",
)  # fmt: skip
PLAIN = (  # into tensors made of nothing, which vmap refuses
    "{k} = torch.zeros(3, dtype=torch.float64); {k}[0] = {a}[1]; {k}[1:] += {b}[1:]",
    "{k} = torch.eye(3, dtype=torch.float64); {k}.diagonal().mul_({a}); {k} = {k} @ {b}",
)
EFFECTS = ("x.zero_()", "x.fill_(0.5)", "x.mul_(0.5)", "x[0] = 0.25", "x.copy_(x.flip(0))")  # on the argument


def function(seed: int, effects: bool = False) -> str:
    """Return the source of a function `f(x)` of three numbers; with effects it may write to x when all else is computed."""
    draw = random.Random(seed)
    names, lines = ["x"], []
    for n in range(draw.randint(2, 5)):
        text = draw.choice(FRAGMENTS if draw.random() < 0.8 else PLAIN)
        lines.append(text.format(k=f"z{n}", a=draw.choice(names[-2:]), b=draw.choice(names)))
        names.append(f"z{n}")
    if effects and draw.random() < 0.7:
        lines.append(draw.choice(EFFECTS))
    return "def f(x):\n" + "".join(f"    {line}\n" for line in lines) + f"    return {names[-1]}\n"


def made_of(source: str, torch: Any) -> Callable[..., Any]:
    """Return the function of a source, on a module."""
    names: dict[str, Any] = {"torch": torch}
    exec(source, names)  # the text is made above
    return names["f"]  # type: ignore[no-any-return]
