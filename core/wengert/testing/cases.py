"""The case table: for each op record and each public function that computes, what to call it with, what it gives.

Owns: the core's rows, the domains inputs are drawn from, and NumPy's word for each row (its `oracle`). May import NumPy,
SciPy and wengert's tables of names. Must not know: pytest, PyTorch, or how anything is checked: `wengert.testing.ops` and
`.device` do. Plugins write rows for their ops with the same words and register them (`registry.cases`); `every` has all.
A row of ours that is missing, or that names nothing, fails `test_ops.py::test_every_op_and_function_has_a_row`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special

from wengert.op import OPS
from wengert.registry import registry

F32, F64, I64, I32, B8 = (np.dtype(n) for n in ("float32", "float64", "int64", "int32", "bool"))
NAN, INF = float("nan"), float("inf")


# ---- inputs
@dataclass(frozen=True)
class Leaf:
    """One input: a shape and the domain its values are drawn from, or the values themselves."""

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    floating: bool = True
    constant: bool = False  # a float input that has no gradient

    def array(self, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self.draw(rng, self.shape))


def spaced(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers in (0, 1), no two equal, in random order."""
    n = int(np.prod(shape))
    return ((rng.permutation(n) + rng.uniform(0.3, 0.7, n)) / max(n, 1)).reshape(shape)


def _real(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return distinct numbers in (-2, 2), at least 0.1 from every multiple of a half: the kinks of abs and rounding."""
    steps, rest = np.divmod(spaced(rng, shape) * 8, 1)
    return steps / 2 + 0.1 + 0.3 * rest - 2


def _between(low: float, high: float) -> Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]:
    return lambda rng, shape: low + (high - low) * spaced(rng, shape)


def R(*shape: int) -> Leaf:
    """Reals of both signs, away from kinks."""
    return Leaf(shape, _real)


def P(*shape: int) -> Leaf:
    """Positive reals."""
    return Leaf(shape, _between(0.5, 3.0))


def U(*shape: int) -> Leaf:
    """Reals in (-1, 1)."""
    return Leaf(shape, _between(-0.9, 0.9))


def G(*shape: int) -> Leaf:
    """Reals above 1."""
    return Leaf(shape, _between(1.2, 3.0))


def C(*shape: int) -> Leaf:
    """Reals that no gradient is asked for."""
    return Leaf(shape, _real, constant=True)


def I(*shape: int, low: int = 0, high: int = 3) -> Leaf:  # noqa: E743
    """Integers in [low, high)."""
    return Leaf(shape, lambda rng, shape: rng.integers(low, high, shape), floating=False)


def N(*shape: int) -> Leaf:
    """Integers of both signs, none of them 0."""
    return Leaf(shape, lambda rng, shape: rng.integers(1, 9, shape) * rng.choice([-1, 1], shape), floating=False)


def J(*shape: int, n: int) -> Leaf:
    """Different integers in [0, n): indices of which none is written twice."""
    return Leaf(shape, lambda rng, shape: rng.permutation(n)[: int(np.prod(shape))].reshape(shape), floating=False)


def B(*shape: int) -> Leaf:
    """Bools of both kinds."""
    return Leaf(shape, lambda rng, shape: spaced(rng, shape) < 0.5, floating=False)


def V(values: Any) -> Leaf:
    """These very values."""
    array = np.asarray(values, None if np.asarray(values).size else F64)
    return Leaf(array.shape, lambda rng, shape: array.copy(), floating=array.dtype.kind == "f")


@dataclass(frozen=True)
class Dtype:
    """A dtype argument, by name: each library has its own object."""

    name: str


# ---- samples and rows
@dataclass(frozen=True)
class Sample:
    """Arguments of one call; leaves among them, at any depth, stand for arrays."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def leaves(self) -> list[Leaf]:
        return [v for v in walk((self.args, self.kwargs)) if isinstance(v, Leaf)]

    def arrays(self, name: str) -> list[np.ndarray]:
        """Return an array for each leaf: the same ones at each run."""
        rng = np.random.default_rng(zlib.crc32(f"{name} {self}".encode()))
        return [leaf.array(rng) for leaf in self.leaves()]

    def fill(self, values: list[Any], library: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with values in the place of leaves, and dtypes of the library called."""
        rest = iter(values)
        return graft(self.args, rest, library), graft(self.kwargs, rest, library)

    def __repr__(self) -> str:
        shown = [show(a) for a in self.args] + [f"{k}={show(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(shown)})"


def walk(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for v in value:
            yield from walk(v)
    elif isinstance(value, dict):
        yield from walk(list(value.values()))
    else:
        yield value


def graft(value: Any, rest: Iterator[Any], library: Any) -> Any:
    if isinstance(value, Leaf):
        return next(rest)
    if isinstance(value, Dtype):
        return getattr(library, value.name)
    if isinstance(value, tuple | list):
        return type(value)([graft(v, rest, library) for v in value])
    return {k: graft(v, rest, library) for k, v in value.items()} if isinstance(value, dict) else value


def show(value: Any) -> str:
    if isinstance(value, Leaf):
        return f"{'' if value.floating else 'int '}{list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"{'' if isinstance(value, tuple) else 'list'}({', '.join(show(v) for v in value)})"
    return getattr(value, "__name__", repr(value))


def s(*args: Any, **kwargs: Any) -> Sample:
    return Sample(args, kwargs)


@dataclass(frozen=True)
class Case:
    """One row. `kinks` are samples where no difference quotient exists: only values and PyTorch's choice count there.
    `bad` are calls that must fail, with PyTorch's exception type."""

    name: str
    samples: tuple[Sample, ...]
    oracle: Callable[..., Any] | None = None
    order: int = 2  # how often it can be differentiated; 0: no gradient, by rule
    kinks: tuple[Sample, ...] = ()
    bad: tuple[Sample, ...] = ()
    integers: bool = False  # takes integers and bools as well: tried with each dtype
    exact: bool = False  # moves or counts: results are compared bit by bit
    contiguous: bool = False  # needs its input laid out in order
    random: bool = False  # the values are drawn: only shape, dtype and device are compared
    loose32: float = 2e-6  # relative error allowed in float32 against PyTorch, and why where it is more
    node: str = ""  # why the node's name is not PyTorch's, where it is not
    call: Callable[..., Any] | None = None  # (library, *args) -> result, where it is not simply the name

    @property
    def is_record(self) -> bool:
        return self.name not in FUNCTIONS or FUNCTIONS[self.name] is not self


Table = dict[str, Case]


def table(*rows: Case) -> Table:
    """Return rows by name. Raises ValueError where two have the same."""
    made = {row.name: row for row in rows}
    if len(made) != len(rows):
        names = [row.name for row in rows]
        raise ValueError(f"names with two rows: {sorted({n for n in names if names.count(n) > 1})}")
    return made


def brought() -> Table:
    """Return the rows of every op record that a plugin brought, as registered by `registry.cases`."""
    made: Table = {}
    for name in registry.names("cases"):
        rows: Table = registry.resolve("cases", name)
        if made.keys() & rows.keys():
            raise ValueError(f"the cases {name!r} have rows that others have: {sorted(made.keys() & rows.keys())}")
        made.update(rows)
    return made


def every() -> Table:
    """Return the row of every op record: the core's, and those that plugins brought."""
    return {**RECORDS, **brought()}


def row(name: str, *samples: Sample, oracle: Callable[..., Any] | None = None, **options: Any) -> Case:
    """Return a row for a record or function with its arguments spelt out; the oracle is NumPy's of that name."""
    return Case(name, samples, oracle or getattr(np, name, None), **options)


# Shapes an elementwise op is tried with, by its number of inputs: equal, broadcast, 0-d, without elements.
SHAPES: dict[int, list[list[tuple[int, ...]]]] = {
    1: [[(3, 4)], [()], [(2, 0, 3)]],
    2: [[(3, 4), (3, 4)], [(3, 4), (4,)], [(3, 1), (2, 1, 4)], [(), (3,)], [(), ()], [(0, 3), (3,)], [(1,), (0, 1)]],
    3: [[(3, 4)] * 3, [(4,), (3, 1), ()], [(), (), ()], [(2, 1), (0,), (2, 1)], [(3,), (2, 3), (1,)]],
}


def each(name: str, *domains: Callable[..., Leaf], args: Any = ((),), oracle: Callable[..., Any] | None = None,
         **options: Any) -> Case:  # fmt: skip
    """Return a row for an elementwise op: a domain an input, and every set of params in `args`."""
    samples = []
    for extra in args:
        for shapes in SHAPES[len(domains)][: None if extra == args[0] else 1]:
            samples.append(s(*[domain(*shape) for domain, shape in zip(domains, shapes, strict=True)], *extra))
    return Case(name, tuple(samples), oracle or getattr(np, name, None), **options)


# ---- oracles that need more than a name
def dims(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """Return a NumPy reduction called as PyTorch's: (x, dim, keepdim)."""

    def run(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        axis = tuple(dim) if isinstance(dim, list) else dim
        return function(x, axis=None if axis == () or not x.ndim else axis, keepdims=keepdim, **fixed)

    return run


def axes(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    return lambda x, axis, keepdims: function(x, axis=axis, keepdims=keepdims, **fixed)


def clip(x: Any, low: Any = None, high: Any = None) -> Any:
    kept = x if low is None else np.maximum(x, low)
    return kept if high is None else np.minimum(kept, high)


def pick(values: Callable[..., Any], places: Callable[..., Any]) -> Callable[..., Any]:
    """Return an oracle for max and min: of all, over a dim with indices, or of two arrays."""

    def run(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return values(x)
        if isinstance(dim, np.ndarray):
            return np.maximum(x, dim) if values is np.max else np.minimum(x, dim)
        return values(x, axis=dim, keepdims=keepdim), places(x, axis=dim, keepdims=keepdim)

    return run


def norm(x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    axis = tuple(range(x.ndim)) if dim is None else tuple(np.atleast_1d(dim))
    size = np.abs(x)
    if p in (INF, -INF):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdim)
    if p == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdim).astype(x.dtype)
    p = 2 if p in ("fro", None) else p
    return np.sum(size**p, axis=axis, keepdims=keepdim) ** (1 / p)


def softmax(x: Any, dim: int) -> Any:
    return scipy.special.softmax(x, axis=dim) if x.ndim else np.ones(())


def log_softmax(x: Any, dim: int) -> Any:
    return scipy.special.log_softmax(x, axis=dim) if x.ndim else np.zeros(())


def variance(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        ddof = correction if correction is not None else int(unbiased is None or unbiased)
        return function(x, axis=tuple(dim) if isinstance(dim, list) else dim, ddof=ddof, keepdims=keepdim)

    return run


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    order = argsort(x, dim, descending)
    return np.take_along_axis(x, order, dim), order


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    return np.argsort(-x if descending else x, axis=dim, kind="stable")


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    values, order = sort(x, dim, largest)
    return np.take(values, range(k), dim), np.take(order, range(k), dim)


def split(x: Any, sizes: Any, dim: int = 0) -> Any:
    n = x.shape[dim]
    ends = range(sizes, n, sizes) if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return tuple(np.split(x, list(ends), dim))


def chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    return split(x, -(-x.shape[dim] // chunks), dim) if x.shape[dim] else (x,) * chunks


def put_along(x: Any, dim: int, index: Any, source: Any, add: bool = False) -> Any:
    result = x.copy()
    for place in np.ndindex(index.shape):
        target = (*place[:dim], index[place], *place[dim + 1 :]) if dim >= 0 else (*place[:dim], index[place])
        value = source[place] if isinstance(source, np.ndarray) else source
        result[target] = result[target] + value if add else value
    return result


def scatter(x: Any, dim: int, index: Any, src: Any = None, value: Any = None, reduce: Any = None) -> Any:
    return put_along(x, dim, index, value if src is None else src, reduce == "add")


def gather(x: Any, dim: int, index: Any) -> Any:
    result = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        result[place] = x[tuple(index[place] if d == dim % x.ndim else i for d, i in enumerate(place))]
    return result


def index_add(x: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    result = x.copy()
    np.add.at(result, (*(slice(None),) * dim, index), alpha * source)
    return result


def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    result = x.copy()
    if accumulate:
        np.add.at(result, indices, values)
    else:
        result[indices] = values
    return result


def item(x: Any, index: Any) -> Any:
    """Return x[index], where PyTorch takes views first: in x[0, :, tensor] the 0 is no index array."""
    if isinstance(index, tuple) and index and isinstance(index[0], int):
        return x[index[0]][index[1:]]
    return x[index]


def put(x: Any, index: Any, value: Any) -> Any:
    result = x.copy()
    result[index] = value
    return result


def index_get(x: Any, indices: Any, places: Any) -> Any:
    key: list[Any] = [slice(None)] * x.ndim
    for index, place in zip(indices, places, strict=True):
        key[place] = index
    return x[tuple(key)]


def index_put_record(x: Any, values: Any, indices: Any, places: Any, accumulate: bool) -> Any:
    key: list[Any] = [slice(None)] * x.ndim
    for index, place in zip(indices, places, strict=True):
        key[place] = index
    return index_put(x, tuple(key), values, accumulate)


def assign(x: Any, y: Any, path: Any) -> Any:
    result = x.copy()
    (_, (index,)), *rest = path
    target = result[index]
    for _, params in rest:
        target = target.transpose(*params)
    target[...] = y
    return result


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    n = x.shape[-1] + abs(offset)
    result = np.zeros((*x.shape[:-1], n, n), x.dtype)
    i = np.arange(x.shape[-1])
    result[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return np.moveaxis(result, (-2, -1), (dim1, dim2))


def division(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return np.floor_divide(x, y)
    if rounding_mode == "trunc":
        return np.trunc(x / y).astype(np.result_type(x, y))
    return x / y


def rounded(x: Any, decimals: int = 0) -> Any:
    return np.round(x, decimals)


def lerp(x: Any, end: Any, weight: Any) -> Any:
    return x + weight * (end - x)


def squeeze(x: Any, dim: Any = None) -> Any:
    places = range(x.ndim) if dim is None else [d % max(x.ndim, 1) for d in np.atleast_1d(dim)]
    return x.reshape([n for d, n in enumerate(x.shape) if n != 1 or d not in places])


def expand(x: Any, *shape: Any) -> Any:
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    old = (None,) * (len(wanted) - x.ndim) + x.shape
    return np.broadcast_to(x, tuple(o if n == -1 else n for n, o in zip(wanted, old, strict=True)))


def tensordot(x: Any, y: Any, dims: Any = 2) -> Any:
    return np.tensordot(x, y, dims)


def roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    return np.roll(x, shifts, dims)


def flat(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    start, end = start_dim % max(x.ndim, 1), end_dim % max(x.ndim, 1)
    return x.reshape((*x.shape[:start], -1, *x.shape[end + 1 :]) if x.size else (0,)) if x.ndim else x.reshape(1)


def swapped(x: Any, dim0: int, dim1: int) -> Any:
    return np.swapaxes(x, dim0, dim1) if x.ndim else x


VIEW = OPS["getitem"]
TRANSPOSE = OPS["transpose"]

# fmt: off
# ---- elementwise records: each is its own public function under the name of its face
ELEMENTWISE = table(
    each("where", B, R, R, kinks=(s(V([True, False]), V([NAN, 1.0]), V([2.0, INF])),)),
    each("copy", R, exact=True),
    row("overwrite", s(R(3, 4), R(3, 4)), s(R(3, 4), R(4)), s(R(2, 3), R()), s(R(), R()), s(R(0, 3), R(3)),
        oracle=lambda x, y: np.broadcast_to(y, x.shape), exact=True),
    # arithmetic
    each("add", R, R, integers=True),
    each("subtract", R, R, integers=True),
    each("rsub", R, R, oracle=lambda x, y: y - x, integers=True),
    each("multiply", R, R, integers=True, kinks=(s(V([0.0, INF, -0.0]), V([INF, 0.0, 1.0])),)),
    each("divide", R, R, integers=True, kinks=(s(V([1.0, -1.0, 0.0, 1.0]), V([0.0, 0.0, 0.0, -0.0])),)),
    # PyTorch has no gradient for it; the rule here is tried by div(rounding_mode="floor")
    each("floor_divide", C, C, order=0, integers=True,
        kinks=(s(V([1.0, -1.0, 0.0, INF, 3.0, -0.0]), V([0.0, 0.0, 0.0, 2.0, INF, 1.0])),)),
    each("trunc_divide", R, R, integers=True,
        oracle=lambda x, y: np.trunc(x / y),
        kinks=(s(V([1.0, -1.0, 0.0]), V([0.0, 0.0, 0.0])),)),
    each("remainder", R, P, integers=True,
        kinks=(s(V([3.0, -3.0, 0.0, -0.0, 1.0, -1.0, INF]), V([-2.0, 2.0, 1.0, 1.0, INF, INF, 1.0])),
            s(V([1.0]), V([0.0])))),
    each("fmod", R, P, integers=True,
        kinks=(s(V([3.0, -3.0, 0.0, -0.0, 1.0, -1.0, INF]), V([-2.0, 2.0, 1.0, 1.0, INF, INF, 1.0])),
            s(V([1.0]), V([0.0])))),
    each("power", P, R, integers=True,
        kinks=(s(V([-2.0, -2.0, -1.5]), V([2.0, -1.0, 3.0])),
            s(V([0.0, 0.0, 0.0, 1.0, INF]), V([0.0, 2.0, -1.0, NAN, 0.5])))),
    each("power_number", P, args=((0,), (1,), (2,), (3,), (-1,), (-2,), (0.5,), (-0.5,), (2.5,), (1.0,), (0.0,)),
        oracle=np.power),
    each("relu", R, oracle=lambda x: np.maximum(x, 0), integers=True, kinks=(s(V([0.0, -0.0, NAN, INF])),),
        bad=(s(B(3)),)),
    each("negative", R, integers=True),
    each("absolute", R, integers=True, kinks=(s(V([0.0, -0.0, INF, -INF])),)),
    each("sign", R, integers=True, kinks=(s(V([0.0, -0.0, INF, -INF])),)),
    each("reciprocal", R, integers=True, kinks=(s(V([0.0, -0.0, INF])),)),
    each("square", R, integers=True),
    each("sqrt", P, integers=True, kinks=(s(V([0.0, -1.0, INF, 1e-320])),)),
    each("rsqrt", P, oracle=lambda x: 1 / np.sqrt(x), integers=True, kinks=(s(V([0.0, -1.0, INF])),)),
    each("maximum", R, R, integers=True, kinks=(s(V([1.0, 2.0, NAN, 1.0, -0.0]), V([1.0, 1.0, 1.0, NAN, 0.0])),)),
    each("minimum", R, R, integers=True, kinks=(s(V([1.0, 2.0, NAN, 1.0, -0.0]), V([1.0, 1.0, 1.0, NAN, 0.0])),)),
    each("clip", R, R, R,
        oracle=clip, integers=True,
        kinks=(s(V([1.0, 2.0, 3.0, NAN]), V([1.0, 2.0, 1.0, 0.0]), V([2.0, 2.0, 3.0, 1.0])),
            s(V([0.0, 1.0, 2.0]), V([2.0, 2.0, 2.0]), V([1.0, 1.0, 1.0])))),
    # exponentials and logarithms
    each("exp", R, integers=True, kinks=(s(V([1000.0, -1000.0, INF, -INF, NAN])),)),
    each("exp2", R, integers=True),
    each("expm1", R, integers=True, kinks=(s(V([0.0, -0.0, 1e-10, 1000.0, -1000.0])),)),
    each("log", P, integers=True, kinks=(s(V([0.0, -1.0, INF])),)),
    each("log2", P, integers=True, kinks=(s(V([0.0, -1.0, INF])),)),
    each("log10", P, integers=True, kinks=(s(V([0.0, -1.0, INF])),)),
    each("log1p", P, integers=True, kinks=(s(V([-1.0, -2.0, 1e-10])),)),
    each("logaddexp", R, R, kinks=(s(V([1000.0, -1000.0, 1.0, INF]), V([999.0, -1000.0, 1.0, 1.0])),)),
    each("sigmoid", R,
        oracle=scipy.special.expit, integers=True,
        kinks=(s(V([-1000.0, 1000.0, 0.0, -40.0, 40.0, INF, -INF])),)),
    each("erf", R, oracle=scipy.special.erf, integers=True, kinks=(s(V([0.0, 10.0, -INF])),)),
    each("erfc", R, oracle=scipy.special.erfc, integers=True, kinks=(s(V([0.0, 10.0, -INF])),)),
    # trigonometry
    each("sin", R, integers=True),
    each("cos", R, integers=True),
    each("tan", U, integers=True),
    each("arcsin", U, integers=True, kinks=(s(V([1.0, -1.0, 2.0])),)),
    each("arccos", U, integers=True, kinks=(s(V([1.0, -1.0, 2.0])),)),
    each("arctan", R, integers=True),
    each("arctan2", R, R, integers=True,
        kinks=(s(V([0.0, -0.0, 0.0, 1.0]), V([1.0, -1.0, -1.0, 0.0])), s(V([0.0]), V([0.0])))),
    each("sinh", R, integers=True),
    each("cosh", R, integers=True),
    each("tanh", R, integers=True, kinks=(s(V([1000.0, -1000.0, 0.0, -0.0])),)),
    each("arcsinh", R, integers=True),
    each("arccosh", G, integers=True, kinks=(s(V([1.0, 0.5])),)),
    each("arctanh", U, integers=True, kinks=(s(V([1.0, -1.0])),)),
    each("hypot", R, R, kinks=(s(V([0.0, 3.0, INF]), V([0.0, 0.0, 1.0])),)),
    # rounding
    each("floor", R, integers=True, exact=True),
    each("ceil", R, integers=True, exact=True),
    each("trunc", R, integers=True, exact=True),
    each("rint", R, integers=True, exact=True, kinks=(s(V([0.5, 1.5, -0.5, 2.5, -0.2])),)),
    # comparison and logic
    *(each(n, R, R, order=0, integers=True, exact=True,
            kinks=(s(V([1.0, NAN, 0.0]), V([1.0, NAN, -0.0])),))
        for n in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")),
    *(each(n, B, B, order=0, integers=True, exact=True) for n in ("logical_and", "logical_or", "logical_xor")),
    each("logical_not", B, order=0, integers=True, exact=True),
    *(each(n, R, order=0, integers=True, exact=True,
            kinks=(s(V([NAN, INF, -INF, 0.0])),)) for n in ("isnan", "isinf", "isfinite")),
    *(each(n, B, B, order=0, integers=True, exact=True) for n in ("bitwise_and", "bitwise_or", "bitwise_xor")),
    each("invert", B, order=0, integers=True, exact=True),
    *(each(n, lambda *d: I(*d, low=-9, high=9), I, order=0, integers=True, exact=True)
        for n in ("left_shift", "right_shift")),
    each("conjugate", R, exact=True),
)

# ---- the other records, called as rules call them
STRUCTURAL = table(
    row("cast", s(R(3, 4), F64), s(R(3), np.dtype("complex128")), s(I(3), F64), s(R(2, 0), F64), s(R(), F64),
        oracle=lambda x, dtype: x.astype(dtype)),
    row("drawn", order=0),  # test_random.py, test_compile.py, test_func.py
    row("to_device", order=0),  # needs two places: test_ops.py::test_to_device
    row("filled", s(R(2), (2, 3), 1.5, None), s(R(2), (), 2, I64), s(R(2), (0,), 0, None), order=0, exact=True,
        oracle=lambda x, shape, value, dtype: np.full(shape, value, dtype or x.dtype)),
    row("reshape", s(R(3, 4), (2, 6)), s(R(3, 4), (-1,)), s(R(), (1, 1)), s(R(0, 3), (3, 0)), exact=True),
    row("transpose", s(R(2, 3, 4), (2, 0, 1)), s(R(), ()), s(R(0, 3), (1, 0)), exact=True),
    row("broadcast_to", s(R(3, 1), (2, 3, 4)), s(R(), (2,)), s(R(1), (0,)), s(R(3), (3,)), exact=True),
    row("getitem", s(R(4, 5), (1,)), s(R(4, 5), (slice(1, 4, 2), None, 2)), s(R(3), (None,)),
        s(R(4, 2), (slice(0, 0),)), s(R(2, 3), ()), s(R(), (None, None)), exact=True,
        oracle=lambda x, index: x[index]),
    row("diagonal", s(R(3, 4), 0, 0, 1), s(R(3, 4), 2, 0, 1), s(R(3, 4), -1, 1, 0), s(R(2, 3, 3), 0, 2, 1),
        s(R(2, 2), 5, 0, 1), exact=True),
    row("as_strided", s(R(3, 4), (2, 3), (4, 1), 1, (4, 1)), s(R(6), (2, 2), (3, 2), 0, (1,)), s(R(6), (), (), 4, (1,)),
        s(R(6), (4, 3), (1, 1), 0, (1,)), contiguous=True,
        oracle=lambda x, shape, strides, offset, own: np.lib.stride_tricks.as_strided(x.ravel()[offset:], shape,
            [8 * n for n in strides])),
    row("assign", s(R(4, 5), R(5), ((VIEW, ((1,),)),)),
        s(R(4, 5), R(5, 2), ((VIEW, ((slice(1, 3),),)), (TRANSPOSE, ((1, 0),)))),
        s(R(3), R(0), ((VIEW, ((slice(0, 0),),)),)),
        oracle=assign, exact=True),
    row("concatenate", s((R(3, 2), R(3, 4)), 1), s((R(2), R(1), R(0)), 0), s((R(1, 2, 3),), 2),
        s((R(2, 0), R(2, 0)), 0), exact=True,
        oracle=lambda xs, axis: np.concatenate(xs, axis)),
    row("flip", s(R(3, 4), (0,)), s(R(3, 4), (0, 1)), s(R(2), ()), s(R(0, 2), (0,)), s(R(), ()), exact=True),
    row("index_get", s(R(5, 4), (I(3),), (0,)), s(R(5, 4), (I(2, 1), I(3)), (0, 1)),
        s(R(3, 4, 5), (I(2), I(2)), (0, 2)), s(R(3, 4, 5), (I(2), I(2)), (1, 2)), s(R(3), (I(0),), (0,)),
        s(R(3), (V([-1, -3, -1]),), (0,)),
        oracle=index_get, exact=True),
    row("index_put", s(R(5, 4), R(3, 4), (J(3, n=5),), (0,), False), s(R(5, 4), R(3, 4), (I(3),), (0,), True),
        s(R(5, 4), R(2), (J(2, n=5), I(2)), (0, 1), False), s(R(5, 4), R(3), (I(3), I(3)), (0, 1), True),
        s(R(3), R(0), (I(0),), (0,), False), s(R(3), R(2), (V([-1, -3]),), (0,), False),
        oracle=index_put_record),
    row("nonzero", s(B(3, 4)), s(V([0.0, 2.0, NAN])), s(B(0, 2)), order=0, exact=True,
        oracle=lambda x: np.stack(np.nonzero(x), 1)),
    *(row(n, s(R(3, 4), (1,), False), s(R(3, 4), (0, 1), True), s(R(2, 3, 4), (0, 2), False),
            s(R(3, 4), None, False), s(R(3, 4), None, True), s(R(), None, False), s(R(2, 3), (), False),
            oracle=axes(f), **options) for n, f,
        options in (("sum", np.sum, {}), ("mean", np.mean, {}), ("amax", np.max, {}), ("amin", np.min, {}),
            ("norm2", lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)), {}),
            ("any", np.any, {"order": 0, "exact": True}), ("all", np.all, {"order": 0, "exact": True}))),
    row("prod", s(R(3, 4), (1,), False), s(R(3, 4), (0,), True), s(R(3, 2), None, False), s(R(3, 2), None, True),
        s(R(), None, False), s(R(3, 0), (1,), False), s(R(0, 2), (1,), False),
        s(V([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [1.0, 2.0, 5.0]]), (1,), False), s(V([0.0, 0.0, 0.0]), None, False),
        oracle=axes(np.prod)),
    *(row(n, s(R(3, 4), 1, False), s(R(3, 4), 0, True), s(R(3, 4), None, False), s(R(), None, False), order=0,
            exact=True,
            oracle=axes(f)) for n, f in (("argmax", np.argmax), ("argmin", np.argmin))),
    row("argsort", s(R(3, 4), 1, False), s(R(3, 4), 0, True), s(I(9), 0, True), s(I(9), 0, False), order=0,
        exact=True,
        oracle=lambda x, axis, descending: argsort(x, axis, descending)),
    row("cumsum", s(R(3, 4), 1), s(R(3, 4), 0), s(R(0, 2), 0)),
    row("matmul", s(R(3, 4), R(4, 2)), s(R(2, 3, 4), R(2, 4, 2)), s(R(3, 1, 2, 4), R(2, 4, 2)),
        s(R(2, 3, 4), R(4, 2)), s(R(3, 0), R(0, 2)), s(R(0, 3), R(3, 2)), s(R(0, 2, 3), R(0, 3, 2)), s(R(2, 3, 1), R(2, 1, 2))),
    row("dot", s(R(4), R(4)), s(R(0), R(0))),
    row("rows", s(R(2, 3, 4), R(4, 2)), s(R(2, 2, 3, 4), R(4, 1)), s(R(2, 0, 3), R(3, 2)), s(R(2, 3, 0), R(0, 2)),
        oracle=np.matmul),
    row("mv", s(R(3, 4), R(4)), s(R(0, 4), R(4)), s(R(3, 0), R(0)), oracle=np.matmul),
    row("outer", s(R(3), R(4)), s(R(0), R(2)), oracle=np.outer),
)
RECORDS: Table = {**ELEMENTWISE, **STRUCTURAL}


# ---- public functions
def method(name: str) -> Callable[..., Any]:
    return lambda T, x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def writing(name: str) -> Callable[..., Any]:
    """Return a call of a method that writes: to a clone, so that inputs stay as they are."""
    return lambda T, x, *args, **kwargs: getattr(x.clone(), name)(*args, **kwargs)


def set_item(T: Any, x: Any, index: Any, value: Any) -> Any:
    target = x.clone()
    target[index] = value
    return target


def data(T: Any, values: Any, **kwargs: Any) -> Any:
    return T.tensor(values, **kwargs)


X34, X234 = R(3, 4), R(2, 3, 4)
DIMS = (s(X34), s(X34, 1), s(X34, dim=0, keepdim=True), s(X234, (0, 2)), s(X234, [-1], keepdim=True), s(R()), s(R(), 0))
BAD_DIMS = (s(X34, 2), s(X34, -3), s(X34, (0, 0)), s(X34, "a"), s(X34, 1.5))
ONE_DIM = (s(X34), s(X34, 1), s(X34, dim=0, keepdim=True), s(X234, -1), s(R()), s(R(), 0))
MASK = s(X34, B(3, 4))
FUNCTIONS = table(
    # arithmetic
    row("add", s(X34, R(4)), s(X34, R(3, 1), alpha=2), s(X34, 2.5), s(X34, 3), s(R(), 2), s(X34, 2, alpha=3),
        oracle=lambda x, y, alpha=1: x + alpha * y, integers=True,
        bad=(s(X34, R(3)), s(X34, "a"), s(X34, None), s(I(3), I(3), alpha=1.5))),
    row("sub", s(X34, R(4)), s(X34, R(3, 1), alpha=2), s(X34, 2.5), s(X34, 3), s(R(), 2), s(X34, 2, alpha=3),
        oracle=lambda x, y, alpha=1: x - alpha * y, integers=True,
        bad=(s(X34, R(3)), s(X34, "a"), s(B(3), B(3)), s(B(3), True))),
    row("rsub", s(X34, R(4)), s(X34, R(3, 1), alpha=2), s(X34, 2.5), s(R(), 2),
        oracle=lambda x, y, alpha=1: y - alpha * x,
        bad=(s(X34, R(3)), s(B(3), B(3)))),
    row("add_", s(X34, R(4)), s(X34, 2.5), s(X34, R(3, 1), alpha=2),
        call=writing("add_"),
        oracle=lambda x, y, alpha=1: x + alpha * y,
        bad=(s(R(4), X34), s(I(3), R(3)), s(I(3), 1.5))),
    row("sub_", s(X34, R(4)), s(X34, 2.5), s(X34, R(3, 1), alpha=2),
        call=writing("sub_"),
        oracle=lambda x, y, alpha=1: x - alpha * y,
        bad=(s(R(4), X34), s(I(3), R(3)))),
    row("div_", s(X34, P(4)), s(X34, 2.5), s(X34, P(3, 1), rounding_mode="floor"), call=writing("div_"),
        oracle=lambda x, y, rounding_mode=None: np.floor(x / y) if rounding_mode else x / y),
    row("div", s(X34, P(4)), s(X34, 2.5), s(X34, 3), s(R(), P(2, 1)), s(X34, P(4), rounding_mode="floor"),
        s(X34, P(4), rounding_mode="trunc"), s(N(9), I(9, low=1, high=5), rounding_mode="floor"),
        s(N(9), I(9, low=1, high=5), rounding_mode="trunc"), s(N(9), N(9)), s(N(9), 4, rounding_mode="trunc"),
        oracle=division,
        kinks=(s(V([1.0, -1.0, 0.0, INF, 7.0]), V([0.0, 0.0, 0.0, 2.0, INF]), rounding_mode="floor"),
            s(V([1.0, -1.0, 0.0, INF]), V([0.0, 0.0, 0.0, 2.0]), rounding_mode="trunc")),
        bad=(s(X34, R(3)), s(X34, R(4), rounding_mode="up"), s(I(3, low=1), V([0, 0, 0]), rounding_mode="floor"),
            s(I(3, low=1), V([0, 0, 0]), rounding_mode="trunc"))),
    *(row(n, s(X34, P(4)), s(X34, 0.7), s(I(4, low=-5, high=5), 3), s(R(), 0.7),
            bad=(s(X34, R(3)), s(X34, "a"), s(B(3), B(3)))) for n in ("remainder", "fmod")),
    row("pow", s(P(3, 4), 2), s(P(3, 4), 2.5), s(P(3, 4), R(4)), s(2.5, R(3, 4)), s(P(3), 0), s(P(3), -1.0),
        s(I(3), 2), s(2, I(3)), s(P(3), I(3)), s(I(3, low=1), 0.5),
        oracle=np.power,
        kinks=(s(V([0.0, -2.0, NAN]), 2), s(V([0.0, 2.0]), 0.5), s(V([0.0, -0.0]), -1), s(0.0, V([0.0, 1.0, 2.0])),
            s(V([0.0, -1.0]), 1), s(V([0.0, -1.0, NAN]), 0), s(V([0.0, -1.0]), 3), s(V([0.0, 2.0]), 0.0),
            s(1.0, V([0.0, NAN])), s(-2.0, V([1.0, 2.0]))),
        bad=(s(I(3), -1), s(R(3), "a"), s(R(3), R(4)))),
    row("__pow__", s(P(3), 3), s(P(3), R(3)), s(P(2), I(2)), call=lambda T, x, y: x**y, oracle=np.power),
    row("__rpow__", s(R(3), 2.5), s(R(3), 2), s(I(3), 2), s(I(3), 2.5),
        call=lambda T, x, y: y**x,
        oracle=lambda x, y: y**x),
    row("clamp", s(X34, -0.7, 0.7), s(X34, min=0.2), s(X34, max=0.2), s(X34, R(4), R(3, 1)), s(X34, min=R(4)),
        s(X34, max=R(3, 1)), s(I(5, low=-5, high=5), -2, 2), s(I(5, low=-5, high=5), min=0), s(I(4), max=1.5),
        s(R(), 0, 1),
        oracle=lambda x, low=None, high=None, min=None, max=None: clip(x, min if low is None else low,
            max if high is None else high),
        kinks=(s(V([1.0, 2.0, 3.0, NAN]), 1.0, 3.0), s(V([1.0, 2.0, 3.0]), 3.0, 1.0), s(V([1.0, 2.0]), min=1.0)),
        bad=(s(X34), s(X34, "a"), s(X34, R(3)))),
    row("clamp_min", s(X34, 0.2), s(X34, R(4)), s(I(4), 1),
        oracle=np.maximum,
        kinks=(s(V([1.0, 2.0, NAN]), 1.0),),
        bad=(s(X34, R(3)),)),
    row("clamp_max", s(X34, 0.2), s(X34, R(4)), s(I(4), 1),
        oracle=np.minimum,
        kinks=(s(V([1.0, 2.0, NAN]), 1.0),),
        bad=(s(X34, R(3)),)),
    row("round", s(X34), s(X34, decimals=1), s(X34, decimals=-1), s(I(4)),
        oracle=rounded,
        bad=(s(X34, decimals=1.5),)),
    row("lerp", s(X34, R(3, 4), 0.3), s(X34, R(4), R(3, 1)), s(X34, R(4), 0.9),
        oracle=lerp,
        bad=(s(X34, R(3), 0.5), s(I(3), I(3), 0.5))),
    row("addcmul", s(X34, R(4), R(3, 1)), s(X34, R(4), R(3, 1), value=0.5), s(I(3), I(3), I(3)),
        oracle=lambda x, a, b, value=1: x + value * a * b,
        bad=(s(X34, R(3), R(4)),)),
    row("addcdiv", s(X34, R(4), P(3, 1)), s(X34, R(4), P(3, 1), value=0.5),
        oracle=lambda x, a, b, value=1: x + value * a / b,
        bad=(s(X34, R(3), R(4)), s(I(3), I(3), I(3, low=1)))),
    row("conj", s(X34), s(R()), s(I(3)), exact=True),
    row("positive", s(X34), s(I(3)), bad=(s(B(2)),), exact=True),
    # choosing and comparing
    row("where", s(B(3, 4), X34, R(4)), s(B(4), X34, 0.5), s(B(4), 0.5, X34), s(B(3), 1.0, 2.0), s(B(3, 4)),
        s(B(3), I(3), R(3)),
        oracle=lambda c, *xy: np.where(c, *xy) if xy else np.nonzero(c),
        bad=(s(I(3), R(3), R(3)), s(B(3), R(3), R(4)), s(B(3), R(3)))),
    row("masked_fill", s(X34, B(3, 4), 0.5), s(X34, B(4), R()), s(X34, B(2, 1, 1), 1), s(I(3), B(3), 7),
        s(I(3), B(3), 1.5),
        oracle=lambda x, m, v: np.where(m, np.asarray(v, x.dtype), x),
        bad=(s(X34, I(3, 4), 0.5), s(X34, B(3), 1.0), s(X34, B(3, 4), R(2)))),
    row("isclose", s(R(4), R(4)), s(V([1.0, NAN, INF, 1.0]), V([1.0 + 1e-9, NAN, INF, 1.1])), s(I(5), I(5)),
        s(V([1.0, NAN]), V([1.1, NAN]), rtol=0.2, equal_nan=True), s(V([1.0]), V([1.1]), 0.0, 0.2), order=0,
        exact=True,
        bad=(s(R(3), R(4)), s(R(3), I(3)), s(R(3), R(3), rtol=-1.0))),
    row("allclose", s(R(4), R(4)), s(V([1.0, 2.0]), V([1.0, 2.0 + 1e-9])), s(V([NAN]), V([NAN]), equal_nan=True),
        order=0, exact=True,
        bad=(s(R(3), R(4)), s(R(3), I(3)))),
    row("equal", s(R(4), R(4)), s(V([1.0, 2.0]), V([1.0, 2.0])), s(R(3), R(4)), s(V([NAN]), V([NAN])),
        s(R(0), R(0)), order=0, exact=True,
        oracle=np.array_equal,
        bad=(s(R(3), 1.0),)),
    # reductions
    row("sum", *DIMS, s(X34, ()), s(I(3, 4)), s(B(3), 0), s(X34, 1, dtype=Dtype("float64")), s(R(0, 3)),
        s(R(0, 3), 0), integers=True,
        oracle=lambda x, dim=None, keepdim=False, dtype=None: dims(np.sum)(x, dim, keepdim),
        bad=BAD_DIMS),
    row("mean", *DIMS, s(X34, ()), s(I(3, 4), dtype=Dtype("float64")),
        bad=(*BAD_DIMS, s(I(3)), s(B(3), 0)),
        oracle=lambda x, dim=None, keepdim=False, dtype=None: dims(np.mean)(x, dim, keepdim),
        kinks=(s(R(0)), s(R(0, 2), 0))),
    row("prod", *(x for x in ONE_DIM), s(I(3, 4)), s(R(0)), s(V([[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]]), 1),
        s(V([0.0, 3.0, 2.0])),
        oracle=dims(np.prod), integers=True,
        bad=(s(X34, 2), s(X34, -3), s(X34, "a"))),
    *(row(n, *DIMS, s(X34, ()), s(I(3, 4), 1),
            oracle=dims(f), integers=True,
            kinks=(s(V([[1.0, 3.0, 3.0], [NAN, 1.0, 2.0], [2.0, 2.0, 2.0]]), 1), s(V([2.0, 1.0, 2.0, 1.0]))),
            bad=(*BAD_DIMS, s(R(0)), s(R(2, 0), 1))) for n, f in (("amax", np.max), ("amin", np.min))),
    *(row(n, s(X34), s(X34, 1), s(X34, dim=0, keepdim=True), s(X234, -1), s(R()), s(X34, R(4)), s(I(3, 4)),
            s(I(3, 4), 1), s(R(), R()),
            oracle=pick(f, g), integers=True,
            kinks=(s(V([[1.0, 3.0, 3.0], [NAN, 1.0, 2.0]]), 1), s(V([2.0, 1.0, 2.0, 1.0])), s(R(), 0)),
            bad=(s(X34, 2), s(X34, (0, 1)), s(X34, "a"), s(X34, R(3)), s(R(0)), s(R(2, 0), 1),
            s(X34, keepdim=True))) for n, f, g in (("max", np.max, np.argmax), ("min", np.min, np.argmin))),
    *(row(n, *ONE_DIM, s(I(3, 4, high=9)), s(V([2.0, 1.0, 2.0, 1.0]), 0), order=0, exact=True,
            oracle=dims(f), integers=True,
            kinks=(s(V([1.0, NAN, 2.0, NAN])),),
            bad=(s(X34, 2), s(X34, "a"), s(R(0)), s(R(2, 0), 1))) for n,
        f in (("argmax", np.argmax), ("argmin", np.argmin))),
    *(row(n, s(B(3, 4)), s(B(3, 4), 1), s(X34, dim=0, keepdim=True), s(B(2, 3, 4), (0, 2)), s(I(3, 4), 1), s(B()),
            s(R(0)), s(R(0, 2), 0), s(B(3), ()), order=0, exact=True,
            oracle=lambda x, dim=None, keepdim=False, f=f: f(x, axis=dim, keepdims=keepdim), integers=True,
            bad=BAD_DIMS) for n, f in (("any", np.any), ("all", np.all))),
    row("count_nonzero", s(I(3, 4)), s(I(3, 4), 1), s(I(2, 3, 4), (0, 2)), s(B(3)), s(R(0)), s(I()), order=0,
        exact=True,
        oracle=lambda x, dim=None: np.count_nonzero(x, axis=dim),
        bad=(s(I(3), 2), s(I(3, 3), (0, 0)))),
    row("cumsum", s(X34, 1), s(X34, dim=0), s(I(3, 4), 1), s(B(3), 0), s(R(), 0), s(R(0, 3), 0),
        s(X34, -1, dtype=Dtype("float64")), integers=True,
        oracle=lambda x, dim, dtype=None: np.cumsum(x, dim) if x.ndim else x,
        bad=(s(X34, 2), s(X34), s(X34, "a"))),
    *(row(n, s(X34), s(X34, 1), s(X34, dim=0, keepdim=True), s(X234, (0, 2)), s(X34, False),
            s(X34, 1, correction=0), s(X34, 1, unbiased=False), s(X234, [0, 1], correction=2, keepdim=True),
            oracle=variance(f),
            kinks=(s(V([2.0, 2.0, 2.0])), s(V([2.0])), s(R(3, 1), 1), s(V([[1.0, 1.0], [1.0, 2.0]]), 1),
            s(V([2.0, 3.0]), correction=2)),
            bad=(s(X34, 2), s(I(3)), s(X34, (0, 0)))) for n, f in (("var", np.var), ("std", np.std))),
    row("logsumexp", s(X34, 1), s(X34, 0, keepdim=True), s(X234, (0, 2)), s(I(3, 4), 1), s(R(), 0), 
        oracle=dims(scipy.special.logsumexp),
        kinks=(s(V([[1000.0, 999.0], [-INF, -INF], [INF, 1.0]]), 1),),
        loose32=5e-5,  # PyTorch forms exp(x - result), where a result near 1000 has a float32 spacing of 6e-5
        bad=(s(X34, 2), s(X34))),
    row("softmax", s(X34, 1), s(X34, dim=0), s(X234, -2), s(R(), 0),
        oracle=softmax,
        kinks=(s(V([[1000.0, 999.0], [-INF, 0.0]]), 1),),
        bad=(s(X34, 2), s(I(3), 0))),
    row("log_softmax", s(X34, 1), s(X34, dim=0), s(X234, -2), s(R(), 0),
        oracle=log_softmax,
        kinks=(s(V([[1000.0, 999.0], [-INF, 0.0]]), 1),),
        bad=(s(X34, 2), s(I(3), 0))),
    row("norm", s(X34), s(X34, 2), s(X34, 1), s(X34, 3, 1), s(X34, INF), s(X34, -INF, 1, True), s(X34, 0),
        s(X34, "fro"), s(X34, dim=1), s(X234, 2, (0, 2)), s(X34, 2.5, 0, keepdim=True), s(R()),
        s(X34, "fro", (0, 1)),
        oracle=norm,
        kinks=(s(V([0.0, 0.0])), s(V([[0.0, 0.0], [3.0, 4.0]]), 2, 1), s(V([0.0, 1.0]), 1),
            s(V([1.0, -1.0, 0.5]), INF), s(V([0.0, 0.0]), 3), s(V([0.0, 2.0]), 1.5), s(V([0.0, 2.0]), 0.5)),
        bad=(s(X34, 2, 2), s(I(3)), s(X34, "max"))),
    row("argsort", s(X34), s(X34, 0), s(X34, dim=1, descending=True), s(I(9), stable=True), s(R(), 0), order=0,
        exact=True,
        oracle=lambda x, *a, **k: argsort(x, *a, **k) if x.ndim else np.zeros((), int),
        kinks=(s(V([1.0, NAN, 0.0, NAN, INF])), s(V([1.0, NAN, 0.0, NAN, INF]), descending=True)),
        bad=(s(X34, 2), s(X34, "a"))),
    row("sort", s(X34), s(X34, 0), s(X34, dim=1, descending=True), s(I(9), stable=True),
        oracle=sort,
        kinks=(s(V([1.0, NAN, 0.0, -INF, INF])), s(V([1.0, NAN, 0.0, -INF, INF]), descending=True), s(R())),
        bad=(s(X34, 2), s(X34, "a"))),
    row("topk", s(X34, 2), s(X34, 2, 0), s(X34, 3, dim=1, largest=False), s(J(7, n=9), 3), s(X34, 0),
        oracle=topk,
        kinks=(s(V([1.0, NAN, 0.0, INF]), 2), s(R(), 1)),
        bad=(s(X34, 5), s(X34, 1, 2), s(X34, -1), s(X34))),
    # shapes
    row("reshape", s(X34, (2, 6)), s(X34, 2, -1), s(X34, -1), s(R(), (1,)), s(R(0, 3), (3, 0)), s(X34, [12]),
        exact=True,
        call=method("reshape"),
        oracle=lambda x, *shape: x.reshape(*shape),
        bad=(s(X34, (5, 2)), s(X34, (-1, -1)), s(X34, 5, -1), s(X34, "a"), s(R(0, 3), (-1, 0)), s(X34, (-2, 6)))),
    row("view", s(X34, (2, 6)), s(X34, 2, -1), s(R(), 1), exact=True,
        oracle=lambda x, *shape: x.reshape(*shape),
        call=method("view"), contiguous=True,
        bad=(s(X34, (5, 2)), s(X34, (-1, -1)), s(X34, "a"))),
    row("view_as", s(X34, C(2, 6)), exact=True, contiguous=True,
        oracle=lambda x, y: x.reshape(y.shape),
        bad=(s(X34, R(5)), s(X34, 3))),
    row("reshape_as", s(X34, C(2, 6)), exact=True, oracle=lambda x, y: x.reshape(y.shape), bad=(s(X34, R(5)),)),
    row("flatten", s(X34), s(X234, 1), s(X234, 0, 1), s(X234, start_dim=-2, end_dim=-1), s(R()), s(R(3)),
        s(R(0, 2)), exact=True,
        oracle=flat,
        bad=(s(X34, 2), s(X34, 1, 0))),
    row("ravel", s(X34), s(R()), s(R(3)), exact=True),
    row("unflatten", s(X34, 1, (2, 2)), s(X34, 0, (3, -1)), s(X34, -1, [4]), exact=True,
        oracle=lambda x, d, sizes: x.reshape((*x.shape[: d % 2], *sizes, *x.shape[d % 2 + 1 :])),
        bad=(s(X34, 1, (3, 2)), s(X34, 2, (2, 2)), s(X34, 1, ()))),
    row("permute", s(X234, (2, 0, 1)), s(X34, (-1, 0)), s(R(), ()), exact=True,
        oracle=np.transpose,
        bad=(s(X34, (0,)), s(X34, (0, 0)), s(X34, (0, 2)))),
    row("transpose", s(X34, 0, 1), s(X234, -1, 0), s(R(), 0, -1), s(R(3), 0, 0), exact=True,
        oracle=swapped,
        bad=(s(X34, 0, 2), s(R(), 0, 1), s(X34, 0))),
    row("t", s(X34), s(R(3)), s(R()), exact=True, oracle=lambda x: x.T, bad=(s(X234),)),
    row("movedim", s(X234, 0, 2), s(X234, (0, 1), (2, 0)), s(X234, -1, 0), exact=True,
        oracle=np.moveaxis,
        bad=(s(X34, 0, 2), s(X34, (0, 0), (0, 1)), s(X34, (0,), (0, 1)))),
    row("expand", s(R(3, 1), (3, 4)), s(R(3, 1), 2, -1, 4), s(R(), 2, 3), s(R(1), 0), s(R(3), (3,)), exact=True,
        oracle=expand,
        bad=(s(X34, (3, 5)), s(X34, (4,)), s(X34, (-1, 3, 4)), s(R(1), -2))),
    row("broadcast_to", s(R(3, 1), (3, 4)), s(R(), (2, 3)), exact=True, bad=(s(X34, (3, 5)), s(X34, (4,)))),
    row("expand_as", s(R(3, 1), C(2, 3, 4)), exact=True,
        oracle=lambda x, y: np.broadcast_to(x, y.shape),
        bad=(s(X34, R(4)),)),
    row("broadcast_tensors", s(R(3, 1), R(4)), s(R(2)), s(R(), R(2)), exact=True,
        oracle=np.broadcast_arrays,
        bad=(s(R(3), R(4)), s(R(3), 2))),
    row("broadcast_shapes", s((3, 1), (4,)), s((2,), ()), s(3, (1,)), order=0, exact=True,
        oracle=np.broadcast_shapes,
        bad=(s((3,), (4,)),)),
    row("unsqueeze", s(X34, 0), s(X34, -1), s(X34, 2), s(R(), 0), exact=True,
        oracle=np.expand_dims,
        bad=(s(X34, 3), s(X34, -4), s(X34, "a"))),
    row("squeeze", s(R(1, 3, 1)), s(R(1, 3, 1), 0), s(R(1, 3, 1), -1), s(R(1, 3), 1), s(R(1, 3, 1), (0, 2)),
        s(R(1, 3, 1), (0, 1)), s(R(1, 2), ()), s(R()), s(R(), 0), exact=True,
        oracle=squeeze,
        bad=(s(X34, 2), s(X34, (0, 0)))),
    row("select", s(X34, 0, 1), s(X34, 1, -1), s(X34, -1, 0), exact=True,
        oracle=lambda x, d, i: np.take(x, i, d),
        bad=(s(X34, 2, 0), s(X34, 0, 3), s(R(), 0, 0))),
    row("narrow", s(X34, 0, 1, 2), s(X34, 1, -3, 2), s(X34, 1, 0, 0), s(X34, 1, 4, 0), exact=True,
        oracle=lambda x, d, start, n: np.take(x,
            range(start % max(x.shape[d], 1) if start < 0 else start,
            (start + x.shape[d] if start < 0 else start) + n), d),
        bad=(s(X34, 0, 2, 2), s(X34, 0, 0, -1), s(X34, 2, 0, 1), s(X34, 0, -4, 1), s(X34, 0, 5, 0),
            s(R(), 0, 0, 1))),
    row("unbind", s(X34), s(X34, 1), s(X234, -1), s(R(0, 2)), exact=True,
        oracle=lambda x, d=0: tuple(np.moveaxis(x, d, 0)),
        bad=(s(X34, 2), s(R()))),
    row("split", s(X34, 2), s(X34, 3, 1), s(X34, [1, 3], 1), s(X34, (1, 2), dim=0), s(R(0, 2), 1), s(X34, 9),
        exact=True,
        oracle=split,
        bad=(s(X34, [1, 1]), s(X34, 0), s(X34, -1), s(X34, 1, 2), s(X34, [4, -1]), s(R(), 1))),
    row("split_with_sizes", s(X34, [1, 3], 1), s(X34, (1, 2), dim=0), exact=True, oracle=split,
        bad=(s(X34, [1, 1]), s(X34, [4, -1]))),
    row("chunk", s(X34, 2), s(X34, 3, 1), s(X34, 9, dim=1), s(R(0, 2), 2), exact=True,
        oracle=chunk,
        bad=(s(X34, 0), s(X34, 1, 2), s(R(), 1))),
    row("cat", s((R(3, 2), R(3, 4)), 1), s([R(2), R(1)]), s((R(2, 3),), dim=-1), s((C(0), R(2, 3))),
        s((R(2), I(2))), s((R(0, 3), R(2, 3))), exact=True,
        oracle=lambda xs, dim=0: np.concatenate([x for x in xs if x.shape != (0,)], dim),
        bad=(s(()), s((R(3), R(3, 1))), s((R(2, 3), R(2, 4))), s((R(), R())), s((R(2), 1)), s((R(2),), 1),
            s(R(2)))),
    row("stack", s((X34, R(3, 4)), 1), s([R(2), R(2)]), s((R(), R()), dim=-1), s((R(2), I(2))), exact=True,
        oracle=lambda xs, dim=0: np.stack(xs, dim),
        bad=(s(()), s((R(3), R(4))), s((R(2),), 2), s((R(2), 1)))),
    row("vstack", s((R(3), R(2, 3))), s((R(), R())), s((R(2, 3, 1), R(1, 3, 1))), exact=True,
        bad=(s((R(3), R(4))), s(()))),
    row("hstack", s((R(3), R(2))), s((R(), R())), s((R(2, 3), R(2, 1))), exact=True,
        bad=(s((R(2, 3), R(3, 3))), s(()))),
    row("flip", s(X34, (0,)), s(X34, [0, 1]), s(X34, (-1,)), s(R(0, 2), (0,)), exact=True,
        bad=(s(X34, (2,)), s(X34, (0, 0)))),
    row("roll", s(X34, 2), s(X34, 1, 0), s(X34, (1, -2), (0, 1)), s(X34, 5, 1), s(R(), 1), s(R(0), 1), exact=True,
        oracle=roll,
        bad=(s(X34, 1, 2), s(X34, (1, 2), 0), s(X34, (1, 2)))),
    row("repeat", s(X34, 2, 1), s(X34, (2, 1, 2)), s(R(), 3), s(R(2), 0), s(R(2, 1), [1, 3]), exact=True,
        call=method("repeat"),
        oracle=lambda x, *n: np.tile(x, n[0] if isinstance(n[0], tuple | list) else n),
        bad=(s(X34, 2), s(X34, 2, -1), s(X34, "a"))),
    row("tile", s(X34, (2,)), s(X34, (2, 1, 2)), s(R(), (3,)), exact=True, bad=(s(X34, (-1,)),)),
    *(row(n, s(X34), s(X34, 1), s(X34, -1), s(X234, diagonal=-2), s(I(3, 3)), s(B(2, 2)), exact=True,
            oracle=lambda x, diagonal=0, n=n: getattr(np, n)(x, diagonal),
            bad=(s(R(3)), s(R()))) for n in ("tril", "triu")),
    row("diagonal", s(X34), s(X34, 1), s(X234, 0, 1, 2), s(X234, -1, -1, 0), s(X34, 9), exact=True,
        bad=(s(R(3)), s(X34, 0, 0, 0), s(X34, 0, 0, 2))),
    row("diag_embed", s(R(3)), s(R(2, 3), 1), s(R(2, 3), -1), s(R(2, 3), 0, 0, 2), exact=True,
        oracle=diag_embed,
        bad=(s(R(2, 3), 0, 0, 0), s(R(3), 0, 0, 3), s(R()))),
    row("diag", s(R(3)), s(R(3), 1), s(X34), s(X34, -1), exact=True, bad=(s(X234), s(R()))),
    row("meshgrid", s(R(2), R(3), indexing="ij"), s(R(2), R(3), R(2), indexing="xy"), s(R(), R(2), indexing="ij"),
        s([R(2), R(3)], indexing="ij"), exact=True,
        oracle=lambda *xs, indexing: np.meshgrid(*(xs[0] if isinstance(xs[0], list) else xs), indexing=indexing),
        bad=(s(R(2, 2), R(2), indexing="ij"), s(R(2), indexing="ab"), s(indexing="ij"))),
    row("clone", s(X34), s(R()), s(I(3)), exact=True, oracle=np.copy),
    row("contiguous", s(X34), exact=True, oracle=lambda x: x),
    row("numel", s(X34), s(R()), s(R(0, 2)), order=0, exact=True, oracle=np.size),
    # indexing
    row("__getitem__", s(X34, 1), s(X34, (slice(None), 2)), s(X34, slice(0, 3, 2)), s(X34, (None, Ellipsis, -1)),
        s(X34, I(2, 2)), s(X34, (I(2), I(2))), s(X34, B(3)), s(X34, V([[True, False, True, False]] * 3)),
        s(X34, [0, 2, 0]), s(X34, (slice(None), [1, 1])), s(X234, (I(2, high=2), slice(1, 3), I(2))), s(R(), ()),
        s(R(), None), s(X34, V(1)), s(X34, (0, I(2))), s(R(2, 3, 4, 2), (0, slice(None), I(2))), exact=True,
        call=lambda T, x, index: x[index],
        oracle=item,
        bad=(s(X34, 3), s(X34, (0, 0, 0)), s(X34, "a"), s(X34, 1.5), s(X34, I(2, low=5, high=9)), s(X34, B(4)),
            s(R(), 0), s(X34, slice(None, None, -1)), s(X34, R(2)), s(X34, (I(2), I(3))))),
    row("__setitem__", s(X34, 1, R(4)), s(X34, (slice(None), 2), 0.5), s(X34, slice(0, 3, 2), R(2, 4)),
        s(X34, J(2, n=3), R(4)), s(X34, V([True, False, True]), R(2, 4)), s(X34, (J(2, n=3), I(2)), R(2)),
        s(R(), (), 1.5), s(X34, V([[True, False, True, False]] * 3), 7), s(I(3, 2), 0, 5), s(I(3), 0, 2.7),
        s(X34, Ellipsis, R(1, 1, 4)), exact=True,
        call=set_item,
        oracle=put,
        bad=(s(X34, 3, 1.0), s(X34, 0, R(3)), s(X34, 0, R(2, 4)), s(X34, I(2), R(3)), s(X34, 0, "a"),
            s(X34, slice(None, None, -1), 1.0), s(X34, B(4), 1.0))),
    row("nonzero", s(I(3, 4)), s(B(3), as_tuple=True), s(R(0)), s(V(1)), order=0, exact=True,
        oracle=lambda x, as_tuple=False: np.nonzero(x) if as_tuple else np.stack(np.nonzero(x),
            1) if x.ndim else np.zeros((1, 0), int)),
    row("index_select", s(X34, 0, I(2)), s(X34, 1, V([3, 0, 3])), s(X34, 0, V(1)), s(X34, -1, I(0)), exact=True,
        oracle=lambda x, d, i: np.take(x, np.atleast_1d(i), d),
        bad=(s(X34, 2, I(2)), s(X34, 0, I(1, 2)), s(X34, 0, R(2)), s(X34, 0, I(2, low=5, high=9)),
            s(X34, 0, V([-1])))),
    row("masked_select", MASK, s(X34, B(4)), s(R(4), B(3, 4)), exact=True,
        oracle=lambda x, m: np.broadcast_to(x,
            np.broadcast_shapes(x.shape, m.shape))[np.broadcast_to(m, np.broadcast_shapes(x.shape, m.shape))],
        bad=(s(X34, I(3, 4)), s(X34, B(3)))),
    row("gather", s(X34, 1, I(3, 2)), s(X34, 0, I(2, 4)), s(X34, -1, I(2, 3)), s(X34, 0, I(0, 4)),
        s(R(3), 0, I(5)), exact=True,
        oracle=gather,
        kinks=(s(R(), 0, V([0, 0])), s(R(), 0, V(0))),
        bad=(s(X34, 2, I(3, 4)), s(X34, 0, I(3)), s(X34, 1, I(4, 4)), s(X34, 0, R(3, 4)),
            s(X34, 0, I(2, 4, low=3, high=9)), s(X34, 0, V([[-1, 0, 0, 0]])))),
    row("take_along_dim", s(X34, I(3, 2), 1), s(X34, I(1, 4), 0), s(X34, I(5)), exact=True,
        oracle=lambda x, i, d=None: np.take_along_axis(x, i, d),
        bad=(s(X34, R(3, 4), 1), s(X34, I(3, 4), 2), s(X34, I(3), 0))),
    row("scatter", s(X34, 1, J(3, 1, n=3), R(3, 1)), s(X34, 0, V([[0, 2, 1, 0]]), R(2, 4)),
        s(X34, 1, I(3, 1), 0.5), s(X34, 1, I(3, 1), value=2.0), s(I(3, high=9), 0, J(2, n=3), I(2)),
        s(X34, 1, J(3, 1, n=3), R(3, 1), reduce="add"),
        oracle=scatter, node="PyTorch has none for reduce='add'",
        bad=(s(X34, 2, I(3, 1), 1.0), s(X34, 0, I(3), R(3)), s(X34, 0, I(3, 4), I(3, 4)), s(X34, 0, R(3, 4), 1.0),
            s(X34, 0, I(2, 4, low=3, high=9), 1.0), s(X34, 1, I(3, 2), R(3, 1)))),
    row("scatter_add", s(X34, 1, I(3, 5), R(3, 5)), s(X34, 0, I(2, 4), R(3, 4)), s(R(3), 0, I(7), R(7)),
        oracle=lambda x, d, i, src: put_along(x, d, i, src, True),
        bad=(s(X34, 2, I(3, 1), R(3, 1)), s(X34, 0, I(3), R(3)), s(X34, 0, I(3, 4), I(3, 4)),
            s(X34, 0, I(2, 4, low=3, high=9), R(2, 4)))),
    row("index_add", s(X34, 0, I(2), R(2, 4)), s(X34, 1, I(5), R(3, 5)), s(X34, 1, I(2), R(3, 2), alpha=2),
        oracle=index_add,
        bad=(s(X34, 2, I(2), R(2, 4)), s(X34, 0, I(2), R(3, 4)), s(X34, 0, R(2), R(2, 4)),
            s(X34, 0, I(2), I(2, 4)), s(X34, 0, I(2, low=5, high=9), R(2, 4)))),
    row("index_put", s(X34, (I(2),), R(4), True), s(X34, (J(2, n=3), I(2)), R(2)),
        s(X34, (I(3), I(3)), R(), accumulate=True),
        oracle=index_put,
        bad=(s(X34, (I(2),), R(3)), s(X34, (I(2, low=5, high=9),), R(4)), s(X34, (I(2),), I(4)))),
    row("take", s(X34, I(3, high=12)), s(X34, V([[-1, 0], [5, 5]])), exact=True,
        oracle=lambda x, i: np.take(x, i, mode="wrap"),
        bad=(s(X34, R(2)), s(X34, V([12])))),
    row("copy_", s(X34, R(4)), s(X34, I(3, 4)), s(R(2), R()), s(X34, 1.5),
        call=writing("copy_"),
        oracle=lambda x, y: np.broadcast_to(y, x.shape).astype(x.dtype), exact=True,
        bad=(s(X34, R(3)), s(R(4), X34), s(X34, "a"))),
    row("fill_", s(X34, 2.5), s(X34, R()), s(I(3), 2),
        call=writing("fill_"),
        oracle=lambda x, v: np.full_like(x, v), exact=True,
        bad=(s(X34, R(2)), s(X34, "a"))),
    row("masked_fill_", s(X34, B(3, 4), 0.5), s(X34, B(4), R()), s(X34, B(3, 1), 1), s(I(3), B(3), 7),
        call=writing("masked_fill_"),
        oracle=lambda x, mask, v: np.where(mask, np.asarray(v, x.dtype), x), exact=True,
        bad=(s(X34, B(3), 1.0), s(X34, X34, 1.0), s(X34, B(3, 4), R(2)))),
    row("zero_", s(X34), s(I(3)), call=writing("zero_"), oracle=np.zeros_like, exact=True),
    # products
    row("matmul", s(X34, R(4, 2)), s(R(4), R(4)), s(X34, R(4)), s(R(3), X34), s(X234, R(4, 2)),
        s(X234, R(2, 4, 2)), s(R(3, 1, 2, 4), R(2, 4, 2)), s(R(4), R(2, 4, 3)), s(X234, R(4)), s(R(2, 0), R(0, 3)),
        s(I(2, 3), I(3, 2)),
        bad=(s(X34, X34), s(R(), R(3)), s(R(3), R(4)), s(X34, I(4, 2)), s(X34, 2.0), s(R(2, 3, 4), R(3, 4, 2)),
            s(R(2, 3, 1), R(2, 3, 2)))),
    row("__matmul__", s(X34, R(4)), s(X34, R(4, 2)), call=lambda T, x, y: x @ y, oracle=np.matmul),
    row("__rmatmul__", s(R(4), X34), call=lambda T, x, y: y.__matmul__(x), oracle=lambda x, y: y @ x),
    row("mm", s(X34, R(4, 2)), s(R(0, 3), R(3, 2)), s(R(2, 0), R(0, 3)),
        oracle=np.matmul,
        bad=(s(X34, X34), s(X34, R(4)), s(X34, I(4, 2)))),
    row("bmm", s(X234, R(2, 4, 2)),
        oracle=np.matmul,
        bad=(s(X234, R(4, 2)), s(X234, R(3, 4, 2)), s(X234, R(2, 3, 2)))),
    row("mv", s(X34, R(4)), oracle=np.matmul, bad=(s(X34, R(3)), s(X34, R(4, 1)), s(X34, I(4)))),
    row("dot", s(R(4), R(4)), s(I(3), I(3)), s(R(0), R(0)),
        bad=(s(R(3), R(4)), s(X34, R(4)), s(R(3), I(3)), s(R(), R()))),
    row("outer", s(R(3), R(4)), s(I(2), R(3)), bad=(s(X34, R(3)), s(R(), R(3)))),
    row("addmm", s(R(3, 2), X34, R(4, 2)), s(R(2), X34, R(4, 2), beta=0.5, alpha=2), s(R(2), X34, R(4, 2), beta=0),
        oracle=lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
        bad=(s(R(3), X34, R(4, 2)), s(R(2), X34, R(3, 2)), s(R(2), R(4), R(4, 2)))),
    row("trace", s(R(3, 3)), s(X34), s(I(3, 3)), bad=(s(R(3)), s(X234))),
    row("tensordot", s(X34, R(4, 2), 1), s(X234, R(3, 4, 2)), s(X34, R(2), 0),
        s(X234, R(4, 2, 5), ([0, 2], [1, 0])), s(X34, R(3, 4), dims=([0, 1], [0, 1])),
        oracle=tensordot,
        bad=(s(X34, R(3, 2), 1), s(X34, R(4, 2), 3), s(X34, R(4), ([0, 1], [0])))),
    row("einsum", s("ij,jk->ik", X34, R(4, 2)), s("ii->i", R(3, 3)), s("ij->", X34), s("ij->ji", X34),
        s("i,j", R(2), R(3)), s("bij,bjk->bik", X234, R(2, 4, 2)), s("...ij,...jk", X234, R(4, 2)),
        s("ij,j,ik->k", X34, R(4), R(3, 2)), s("ii", R(3, 3)), s("ij,ij", X34, R(3, 4)), s("i,i->i", R(3), R(3)),
        s("i...->...", X34), s("ij,jk", [X34, R(4, 2)]), node="made of other ops",
        oracle=lambda eq, *xs: np.einsum(eq, *(xs[0] if isinstance(xs[0], list) else xs)),
        bad=(s("ij,jk->ik", X34, X34), s("ij->k", X34), s("i", X34), s("ij,jk", X34), s("ij->ii", X34),
            s("i1", X34))),
    # making
    row("tensor", s([1.0, 2.0]), s([[1, 2], [3, 4]]), s(True), s(2.5), s([]), s([1, 2.5]),
        s([1, 2], dtype=Dtype("float64")), s([True, 2]), s((1j, 2)), order=0, exact=True,
        oracle=lambda v, dtype=None: np.array(v, "f8" if dtype else None),
        bad=(s([[1, 2], [3]]), s("a"), s([1, "a"]), s(None))),
    row("as_tensor", s([1.0, 2.0]), s(X34), s(2), order=0, exact=True, oracle=np.asarray, bad=(s("a"),)),
    row("scalar_tensor", s(2), s(2.5, dtype=Dtype("float64")), order=0, exact=True,
        oracle=lambda v, dtype=None: np.array(float(v))),
    row("from_numpy", order=0),  # its argument is an array of NumPy's: test_ops.py::test_from_numpy
    *(row(n, s(2, 3), s((2, 0)), s([2]), s(()), s(3, dtype=Dtype("int64")), s(size=(2,)), order=0, exact=True,
            call=lambda T, *a, n=n, **k: getattr(T, n)(*a, **k),
            oracle=lambda *a, f=f, size=None, dtype=None: f(size or (a[0] if isinstance(a[0],
            tuple | list) else a), dtype and "i8"),
            bad=(s(-1), s("a"), s(2.5))) for n, f in (("zeros", np.zeros), ("ones", np.ones))),
    row("empty", s(2, 3), s(0), s((2,), dtype=Dtype("int64")), order=0, random=True, bad=(s(-1), s("a"))),
    *(row(n, s(X34), s(I(3)), s(R(0)), s(X34, dtype=Dtype("int64")), order=0, exact=True,
            oracle=lambda x, f=f, dtype=None: f(x, "i8" if dtype else None)) for n,
        f in (("zeros_like", np.zeros_like), ("ones_like", np.ones_like))),
    row("empty_like", s(X34), s(I(3)), order=0, random=True),
    row("full", s((2, 3), 1.5), s((2,), 3), s((), True), s((2,), 3, dtype=Dtype("float64")), order=0, exact=True,
        oracle=lambda n, v, dtype=None: np.full(n, v, dtype and "f8"),
        bad=(s((2,), "a"), s((-1,), 1.0))),
    row("full_like", s(X34, 1.5), s(I(3), 2), s(X34, 1, dtype=Dtype("int64")), order=0, exact=True,
        oracle=lambda x, v, dtype=None: np.full_like(x, v, "i8" if dtype else None),
        bad=(s(X34, "a"),)),
    *(row(n, s(X34, 2, 3), s(I(3), (2,)), s(X34, (0,), dtype=Dtype("int64")), order=0, exact=n != "new_empty",
            random=n == "new_empty",
            oracle=lambda x, *a, f=f, dtype=None: f(a[0] if isinstance(a[0], tuple) else a,
            "i8" if dtype else x.dtype),
            bad=(s(X34, -1), s(X34, "a"))) for n,
        f in (("new_zeros", np.zeros), ("new_ones", np.ones), ("new_empty", np.zeros))),
    row("new_full", s(X34, (2,), 1.5), s(I(2), (2,), 3), order=0, exact=True,
        oracle=lambda x, n, v: np.full(n, v, x.dtype)),
    row("new_tensor", s(X34, [1, 2]), s(I(2), [1.0]), s(X34, [1], dtype=Dtype("int64")), order=0, exact=True,
        oracle=lambda x, v, dtype=None: np.array(v, "i8" if dtype else x.dtype)),
    row("arange", s(5), s(2, 7), s(1.0, 2.0, 0.25), s(5, 0, -2), s(0), s(2.5), s(0, 1, 0.1),
        s(3, dtype=Dtype("float64")), s(0, 5, 2.0), order=0,
        oracle=lambda *a, dtype=None: np.arange(*a, dtype=dtype and "f8"),
        bad=(s(1, 5, 0), s(5, 1), s("a"), s(0, 5, -1))),
    row("linspace", s(0, 1, 5), s(2.5, -1, 3), s(0, 1, 1), s(0, 1, 0), s(0, 10, 4, dtype=Dtype("int64")), order=0,
        oracle=lambda a, b, n, dtype=None: np.linspace(a, b, n).astype("i8" if dtype else "f8"),
        bad=(s(0, 1, -1), s(0, 1), s(0, 1, 2.5))),
    row("logspace", s(0, 2, 3), s(0, 3, 4, base=2.0), order=0,
        oracle=lambda a, b, n, base=10.0: np.logspace(a, b, n, base=base),
        bad=(s(0, 1, -1),), loose32=1e-5),
    row("eye", s(3), s(2, 3), s(0), s(2, dtype=Dtype("int64")), order=0, exact=True,
        oracle=lambda n, m=None, dtype=None: np.eye(n, m),
        bad=(s(-1), s(2.5))),
    *(row(n, s(X34), s(I(3)), s(V([0.0, 2.7, -2.7])), s(B(2)), order=2 if t == "float64" else 0,
            call=method(n), exact=True,
            oracle=lambda x, t=t: x.astype(t)) for n,
        t in (("bool", "bool"), ("byte", "uint8"), ("char", "int8"), ("short", "int16"), ("int", "int32"),
            ("long", "int64"), ("half", "float16"), ("float", "float32"), ("double", "float64"),
            ("cfloat", "complex64"), ("cdouble", "complex128"))),
    row("to", s(X34, Dtype("float64")), s(X34, Dtype("int64")), s(X34, "cpu"), s(I(3), Dtype("float64")),
        s(X34, C(2)), s(X34, dtype=Dtype("float64"), copy=True),
        call=method("to"),
        oracle=lambda x, *a, **k: x.astype("i8") if a and getattr(a[0], "__name__",
            "") == "int64" else x.astype("f8"),
        bad=(s(X34, "nowhere"), s(X34, "a:b"))),
    row("type", s(X34, Dtype("float64")), s(X34, "torch.DoubleTensor"), s(I(3), Dtype("float64")),
        call=method("type"),
        oracle=lambda x, *a: x.astype("f8"),
        bad=(s(X34, "torch.Tensor2"),)),
    row("type_as", s(X34, C(2)), s(I(3), C(2)), call=method("type_as"), oracle=lambda x, y: x.astype(y.dtype)),
    row("cpu", s(X34), call=method("cpu"), oracle=lambda x: x),
    row("result_type", s(R(2), I(2)), s(I(2), 1.5), s(R(2), 3), order=0, exact=True,
        call=lambda T, a, b: str(T.result_type(a, b)),
        oracle=lambda a, b: f"torch.{np.result_type(a, b)}"),
    # random: the values are our own stream's
    row("rand_like", s(X34), order=0, random=True),
    row("randn_like", s(X34), order=0, random=True),
)
