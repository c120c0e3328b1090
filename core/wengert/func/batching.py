"""vmap: an op on a batch, derived from its record.

Owns: `Batching`, the level of one vmap; its arrays hold the batch in front (`beside` says whether they have one). What a
record says decides: elementwise ops broadcast; parameters that are dims or shapes are moved by one, by their names in
`SHIFTS`; a few ops have a rule of their own in `RULES`; any other op runs once for each element of the batch.
May import: layers, record, ops by name. Must not know: any device, any gradient.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from wengert import errors
from wengert._tensor import Tensor, wrap
from wengert.func.layers import Layer, Level, mixed, overrides
from wengert.modes import state
from wengert.op import OPS, Op
from wengert.ops.shapes import mT


class VmapInfo(NamedTuple):
    """What the static `vmap` of an autograd.Function is told."""

    batch_size: int
    randomness: str


class Batching(Level):
    """One vmap: the size of its batch, and how random ops behave in it ("error", "different", "same")."""

    name = "vmap"

    def __init__(self, size: int, randomness: str) -> None:
        super().__init__()
        self.size, self.randomness = size, randomness

    def __enter__(self) -> Batching:
        self.outer, state.batching = state.batching, self
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        state.batching = self.outer

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        state.batching = self.outer
        try:
            with super().outside():
                yield
        finally:
            state.batching = self

    def custom(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call the static `vmap` of an autograd.Function: (info, where each argument's batch is, *arguments) -> the same.

        One that has none runs once for each element where a gradient may be asked for outside, which is to be its own.
        """
        if mixed(self, function, args):
            return None
        layers = [self.arg(x._array if isinstance(x._array, Layer) else x) if isinstance(x, Tensor) else x for x in args]
        if not overrides(function, "vmap"):
            watched = any([isinstance(x, Layer) and self.watched(x.value) for x in layers])
            return self.one_by_one(function, layers) if watched else None
        places = tuple([(0 if x.beside else None) if isinstance(x, Layer) else None for x in layers])
        with self.outside():
            values = [x.value if isinstance(x, Layer) else x for x in layers]
            result, dims = function.vmap(VmapInfo(self.size, self.randomness), places, *values)
        if not isinstance(result, tuple):
            return self.entered(result, dims)
        spread = dims if isinstance(dims, tuple | list) else (dims,) * len(result)
        return tuple([self.entered(y, d) for y, d in zip(result, spread, strict=True)])

    def watched(self, x: Tensor) -> bool:
        """Say whether a gradient or a tangent of a value from outside is kept track of there."""
        if self.grad and x.requires_grad:
            return True
        return isinstance(x._array, Layer) and (x._array.level.name != self.name or self.watched(x._array.value))

    def one_by_one(self, function: Any, layers: Sequence[Any]) -> Any:
        if self.randomness == "same":
            raise RuntimeError(f"vmap: {function.__name__} has no vmap staticmethod, which randomness='same' needs here")
        batched = any([isinstance(x, Layer) and x.beside for x in layers])
        runs = []
        with self.outside():
            for i in range(self.size if batched else 1):
                runs.append(function.apply(*[_element(x, i) if isinstance(x, Layer) else x for x in layers]))
            if not batched:
                joined: Any = runs[0]
            elif isinstance(runs[0], tuple):
                joined = tuple([_stacked(p) if isinstance(p[0], Tensor) else p[0] for p in zip(*runs, strict=True)])
            else:
                joined = _stacked(runs) if isinstance(runs[0], Tensor) else runs[0]
        dim = 0 if batched else None
        return tuple([self.entered(y, dim) for y in joined]) if isinstance(joined, tuple) else self.entered(joined, dim)

    def entered(self, y: Any, dim: int | None) -> Any:
        """Return a result from outside, whose batch is in a dim, as a tensor of this level."""
        if not isinstance(y, Tensor):
            return y
        return wrap(self.lift(y) if dim is None else self.batch(to_front(y, dim)))

    def draw(self, drawn: Any, make: Any, shape: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
        """Return random numbers: others for each element of the batch, or the same ones, as the mode says."""
        if self.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
                "randomness flags on vmap or perform the randomness operation out of vmap"
            )
        state.batching = self.outer
        try:
            if self.randomness == "same":
                return drawn(make, shape, dtype, device)  # type: ignore[no-any-return]
            return wrap(self.batch(drawn(make, (self.size, *shape), dtype, device)))
        finally:
            state.batching = self

    def adopt(self, name: str, target: Tensor, values: Layer) -> None:
        if values.beside:
            raise errors.plain_target(name)
        super().adopt(name, target, values)

    def constant(self, layer: Layer, deep: bool = True) -> Layer:
        value = layer.value.detach() if deep else layer.value.data
        return self.batch(value) if layer.beside else self.lift(value)

    def batch(self, value: Tensor) -> Layer:
        """Return a tensor whose first dim is the batch as an array of this level."""
        return Layer(self, value, True, 1)

    def text(self, layer: Layer) -> str:
        place = f"lvl={self.depth}, bdim=0" if layer.beside else f"lvl={self.depth}"
        return f"BatchedTensor({place}, value=\n{textwrap.indent(repr(layer.value), '    ')}\n)"

    def read(self, layer: Layer) -> Any:
        if layer.beside:
            raise RuntimeError(
                "vmap: it looks like you're calling .item(), .numpy(), .tolist() or a condition on a Tensor. "
                "A batched value has no single one; compute with tensors (where, masks), or return it from the function"
            )
        return layer.value.host()

    def write(self, target: Layer, values: Layer) -> None:
        if values.beside and not target.beside:
            raise RuntimeError(
                "vmap: a write is not possible: the tensor that is written to is not batched, but what is written is; use the "
                "operation that is not in place, or make the target from an argument, as x.new_zeros(...)"
            )
        target.value.copy_(aligned(values, target.ndim) if target.beside else values.value)

    def apply(self, op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
        args = [tuple(self.arg(a) for a in x) if isinstance(x, tuple) else self.arg(x) for x in inputs]
        flat = [a for x in args for a in (x if isinstance(x, tuple) else (x,))]
        batched = [a for a in flat if a.beside]
        if not batched:
            return self.made(op(*[_values(x) for x in args], *params), False)
        if op.elementwise:
            ndim = max(a.ndim for a in flat)
            return self.made(op(*[aligned(a, ndim) for a in flat], *params), True)
        if op.name in DATA_DEPENDENT:
            raise RuntimeError(
                f"vmap: {op.face} gives a result whose shape depends on the values, so that elements of the batch would differ "
                f"in shape; use where() or a mask of fixed shape instead"
            )
        rule = RULES.get(op.name)
        found = rule(self, op, args, params) if rule is not None else self.shifted(op, args, params)
        if found is None:
            found = self.each(op, args, params)
        return self.made(found, True)

    def arg(self, x: Any) -> Layer:
        """Return an input as an array of this level: what comes from outside is the same throughout the batch."""
        return x if isinstance(x, Layer) and x.level is self else self.lift(x if isinstance(x, Tensor) else wrap(x))

    def made(self, result: Any, batched: bool) -> Any:
        if isinstance(result, tuple):
            return tuple(self.made(r, batched) for r in result)
        return self.batch(result) if batched else Layer(self, result)

    def shifted(self, op: Op, args: Sequence[Any], params: tuple[Any, ...]) -> Any:
        """Return the op with the dims among its parameters moved by one; None where its record does not say how."""
        if not all(name in SHIFTS for name in op.params) or len(args) > 1 or (op.infer is None):
            return None
        (x,) = args
        parts = x if isinstance(x, tuple) else (x,)
        ndim = parts[0].ndim
        if any(a.ndim != ndim for a in parts) or (not ndim and any(n in _DIMS for n in op.params)):
            return None
        moved = tuple(SHIFTS[name](value, ndim, self.size) for name, value in zip(op.params, params, strict=True))
        given = [self.full(a) for a in parts]
        return op(tuple(given) if isinstance(x, tuple) else given[0], *moved)

    def full(self, a: Layer) -> Tensor:
        """Return an input with the batch in front, repeated without copying where it has none."""
        return a.value if a.beside else OPS["broadcast_to"](a.value, (self.size, *a.shape))

    def each(self, op: Op, args: Sequence[Any], params: tuple[Any, ...]) -> Any:
        """Return the op run once for each element of the batch, joined."""
        runs = []
        for i in range(self.size):
            given = [tuple(_element(a, i) for a in x) if isinstance(x, tuple) else _element(x, i) for x in args]
            runs.append(op(*given, *params))
        if op.outputs > 1:
            return tuple(_stacked(parts) for parts in zip(*runs, strict=True))
        return _stacked(runs)


def to_front(x: Tensor, dim: int) -> Tensor:
    dim %= x.dim()
    return x if not dim else OPS["transpose"](x, (dim, *(d for d in range(x.dim()) if d != dim)))


def _element(a: Layer, i: int) -> Tensor:
    return OPS["getitem"](a.value, (i,)) if a.beside else a.value


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return OPS["concatenate"](tuple(OPS["getitem"](p, (None,)) for p in parts), 0)  # type: ignore[no-any-return]


def _values(x: Any) -> Any:
    return tuple(a.value for a in x) if isinstance(x, tuple) else x.value


def aligned(a: Layer, ndim: int) -> Tensor:
    """Return an array with its batch in front of `ndim` dims, so that broadcasting leaves the batch alone."""
    if not a.beside or a.ndim == ndim:
        return a.value
    return OPS["getitem"](a.value, (slice(None), *[None] * (ndim - a.ndim)))  # type: ignore[no-any-return]


# ---- parameters that are dims or shapes: (value, logical ndim, batch size) -> value with the batch in front
def _axis(value: Any, ndim: int, size: int) -> Any:
    if value is None:
        return tuple(range(1, ndim + 1))
    return tuple(a + 1 for a in value) if isinstance(value, tuple) else value + 1


def _same(value: Any, ndim: int, size: int) -> Any:
    return value


SHIFTS: dict[str, Callable[[Any, int, int], Any]] = {
    "axis": _axis, "axis1": _axis, "axis2": _axis, "dim": _axis,
    "axes": lambda axes, ndim, size: (0, *(a + 1 for a in axes)),
    "shape": lambda shape, ndim, size: (size, *shape),
    "index": lambda index, ndim, size: (slice(None), *index),
    "keepdims": _same, "offset": _same, "descending": _same, "stable": _same, "dtype": _same, "ddof": _same,
    "correction": _same, "k": _same, "largest": _same,
}  # fmt: skip
_DIMS = {"axis", "axis1", "axis2", "dim"}


DATA_DEPENDENT = {"nonzero", "unique"}  # records whose result's shape depends on values


# ---- ops with rules of their own: (level, op, args, params) -> tensors with the batch in front, or None: one by one
def flip(level: Batching, op: Op, args: Any, params: Any) -> Any:
    return op(args[0].value, tuple(a + 1 for a in params[0]))


def filled(level: Batching, op: Op, args: Any, params: Any) -> Any:
    shape, *rest = params
    return op(args[0].value, (level.size, *shape), *rest)  # new memory for each: programs write into zeros_like(x)


def broadcast_to(level: Batching, op: Op, args: Any, params: Any) -> Any:
    return op(aligned(args[0], len(params[0])), (level.size, *params[0]))


def argextreme(level: Batching, op: Op, args: Any, params: Any) -> Any:
    (x,), (axis, keepdims) = args, params
    if axis is not None:
        return op(x.value, axis + 1, keepdims) if x.ndim else None
    found = op(OPS["reshape"](x.value, (level.size, x.size)), 1, False)
    return OPS["reshape"](found, (level.size, *(1,) * x.ndim)) if keepdims else found


def matmul(level: Batching, op: Op, args: Any, params: Any) -> Any:
    x, y = args
    row, column = x.ndim == 1, y.ndim == 1
    if not y.beside and row and y.ndim == 2:  # the batch is the rows of one matrix: one product instead of many
        return op(x.value, y.value)
    if not x.beside and column and x.ndim == 2:
        return op(y.value, mT(x.value))
    if not y.beside and x.ndim == y.ndim == 2:
        rows = OPS["reshape"](x.value, (level.size * x.shape[0], x.shape[1]))
        return OPS["reshape"](op(rows, y.value), (level.size, x.shape[0], y.shape[1]))
    ndim = max(x.ndim, y.ndim, 2)
    made = op(_matrix(x, ndim, -2 if row else None), _matrix(y, ndim, -1 if column else None))
    if row:
        made = OPS["reshape"](made, (*made.shape[: -1 - (not column)], *made.shape[made.ndim - (not column) :]))
    if column:
        made = OPS["reshape"](made, tuple(made.shape[:-1]))
    return made


def _matrix(a: Layer, ndim: int, new: int | None) -> Tensor:
    """Return an operand of a product as matrices whose batch is in front of as many dims as the other operand has."""
    value = a.value
    if new is not None:
        batch = (slice(None),) if a.beside else ()
        value = OPS["getitem"](value, (*batch, None, slice(None)) if new == -2 else (*batch, slice(None), None))
    have = a.ndim + (new is not None)
    if a.beside and have < ndim:
        value = OPS["getitem"](value, (slice(None), *[None] * (ndim - have)))
    return value


def dot(level: Batching, op: Op, args: Any, params: Any) -> Any:
    x, y = args
    return OPS["sum"](x.value * y.value, (-1 % max(x.value.ndim, y.value.ndim),), False)


def moved_path(level: Batching, spec: Any, path: Any) -> Any:
    """Return a path of views with the batch in front; None where a view's record does not say how."""
    moved = []
    for step, values in path:
        ndim = len(spec.shape)
        if not all(name in SHIFTS for name in step.params) or (not ndim and any(n in _DIMS for n in step.params)):
            return None
        moved.append((step, tuple(SHIFTS[n](v, ndim, level.size) for n, v in zip(step.params, values, strict=True))))
        spec = _Spec(*step.infer(spec, *values))
    return tuple(moved)


def assign(level: Batching, op: Op, args: Any, params: Any) -> Any:
    x, y = args
    path = moved_path(level, x, params[0])
    return None if path is None else op(level.full(x), level.full(y), path)


def placed(level: Batching, op: Op, args: Any, params: Any) -> Any:
    shape, path = params
    path = moved_path(level, _Spec(shape, args[0].dtype), path)
    return None if path is None else op(args[0].value, (level.size, *shape), path)


def along(level: Batching, op: Op, args: Any, params: Any) -> Any:
    """Move dims and shapes by one: gather, scatter and their kin take any dims beside the one they work along."""
    moved = [SHIFTS[n](v, 0, level.size) if n in SHIFTS else v for n, v in zip(op.params, params, strict=True)]
    return op(*[level.full(a) for a in args], *moved)


def index_sum(level: Batching, op: Op, args: Any, params: Any) -> Any:
    (values, indices), (shape, places) = args, params
    if any(i.beside for i in indices) or places != tuple(range(places[0], places[0] + len(places))):
        return None
    return op(values.value, tuple(i.value for i in indices), (level.size, *shape), tuple(p + 1 for p in places))


class _Spec(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any


def index_get(level: Batching, op: Op, args: Any, params: Any) -> Any:
    """Indices that are batched meet the batch as one more index, 0, 1, 2, ...; the others leave it alone."""
    x, indices = args
    (places,) = params
    width = max(i.ndim for i in indices)
    together = list(places) == list(range(places[0], places[0] + len(places)))
    if any(i.dtype.kind == "b" for i in indices):
        return None
    if not any(i.beside for i in indices):
        made = op(x.value, tuple(i.value for i in indices), tuple(p + 1 for p in places))
        if together:
            return made
        return OPS["transpose"](made, (width, *range(width), *range(width + 1, made.ndim)))
    from wengert.ops.creation import arange

    rows = OPS["reshape"](arange(level.size, device=x.value.device), (level.size, *(1,) * width))
    given = (rows, *[aligned(i, width) for i in indices])
    if x.beside:
        made = op(x.value, given, (0, *(p + 1 for p in places)))
    else:
        made = op(x.value, given[1:], places)
        if together and places[0]:  # the batch is the first of the indices' dims: bring it to the front
            return OPS["transpose"](made, (places[0], *range(places[0]), *range(places[0] + 1, made.ndim)))
        return made
    if not together or not places[0]:
        return made
    start, rest = places[0], range(1 + width + places[0], made.ndim)
    return OPS["transpose"](made, (0, *range(1 + width, 1 + width + start), *range(1, 1 + width), *rest))


RULES: dict[str, Callable[[Batching, Op, Any, Any], Any]] = {
    "argmax": argextreme, "argmin": argextreme, "assign": assign, "broadcast_to": broadcast_to, "dot": dot, "filled": filled,
    "flip": flip, "index_get": index_get, "matmul": matmul,
    "placed": placed, "index_sum": index_sum,
    **dict.fromkeys(("gather", "scatter", "scatter_sum", "scatter_prod", "scatter_amax", "scatter_amin"), along),
    **dict.fromkeys(("softmax_back", "log_softmax_back", "put_along"), along),
}  # fmt: skip
