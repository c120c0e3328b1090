"""Groups: equations of a compiled function as the lines of one kernel.

Owns: `group_of`, which says what is a row and which types are computed in. May import: the printer, rows, joins. Must not know:
devices, graphs beyond the shape of their equations (`op`, `inputs`, `params`, `outs`), tensors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert_codegen.expressions import CTYPES, POWERS, Ctype, Unprintable, numeral, template
from wengert_codegen.joins import MAX, MIN, SUM, Join
from wengert_codegen.loops import converted
from wengert_codegen.rows import Body, Line

Ints = tuple[int, ...]
ANY = "any"  # of an op record: each input keeps its type
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")
_WIDE = {"float16": np.dtype(np.float32), "bfloat16": np.dtype(np.float32)}
REDUCTIONS = {"sum": SUM, "mean": SUM, "amax": MAX, "amin": MIN, "norm2": SUM}
FINALS = {"mean": "a / {count}", "norm2": "sqrt(a)"}  # the result of others is the accumulator, `a`


@dataclass
class Group:
    """A group ready for a kernel: arrays of `shape`, whose last `reduced` dims are a row's where there are reductions.

    values: of the body's numbers. shapes, dtypes: of the outputs. joins: of outputs that are partial, (join, type computed in,
    result by `a`, numbers that this names).
    """

    body: Body
    shape: Ints
    reduced: int
    values: list[Any]
    shapes: list[Ints]
    dtypes: list[np.dtype[Any]]
    joins: dict[int, tuple[Join, np.dtype[Any], str]] = field(default_factory=dict)


def ctype_of(dtype: np.dtype[Any]) -> Ctype:
    found = CTYPES.get(dtype.name)
    if found is None or found.kind == "c":
        raise Unprintable(f"arrays of type {dtype}")
    return found


def axes_of(axis: Any, ndim: int) -> Ints:
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted([a % max(ndim, 1) for a in (axis if isinstance(axis, tuple) else (axis,))]))


def added_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that sums of a type are computed in."""
    return np.dtype(np.int64) if dtype.kind in "biu" else _WIDE.get(dtype.name, dtype)


class _Builder:
    """The lines of a kernel as equations are entered one by one."""

    def __init__(self, shape: Ints, reduced: int) -> None:
        self.shape, self.reduced = shape, reduced
        self.names: dict[Any, str] = {}
        self.levels: dict[Any, str] = {}
        self.lines: list[Line] = []
        self.numbers: list[tuple[str, Ctype]] = []
        self.values: list[Any] = []
        self.parts: dict[Any, tuple[Join, np.dtype[Any], str]] = {}

    @property
    def row(self) -> Ints:
        return (*self.shape[: len(self.shape) - self.reduced], *(1,) * self.reduced)

    def number(self, value: Any, ctype: Ctype) -> str:
        name = f"c{len(self.numbers)}"
        self.numbers.append((name, ctype))
        self.values.append(int(value) if ctype.kind != "f" else float(value))
        return name

    def line(
        self, v: Any, text: str, compute: Ctype, level: str, step: str = "", start: str = "", ctype: Ctype | None = None
    ) -> str:  # fmt: skip
        name = f"v{len(self.lines)}"
        self.lines.append(Line(name, ctype or ctype_of(v.dtype), text, compute, level, step, start))
        self.names[v], self.levels[v] = name, level
        return name

    # ---- elementwise
    def enter(self, e: Any) -> None:
        op, out = e.op, e.outs[0]
        params: tuple[tuple[str, Any], ...] = ()
        if op.name == "cast":
            inputs, apart, compute = ("x",), [False], np.dtype(e.params[0])
            text = "x"
        else:
            inputs, apart = op.inputs, [op.domain == ANY or n in op.free for n in op.inputs]
            types = [np.dtype(x.dtype) for x, alone in zip(e.inputs, apart, strict=True) if not alone]
            compute = np.result_type(*types) if types else np.dtype(e.inputs[0].dtype)
            compute = types[0] if types and all([t == types[0] for t in types]) else compute
            params = tuple(zip(op.params, e.params, strict=True))
            text = self._formula(op, e.params, ctype_of(compute), compute)
        made = np.dtype(bool) if op.boolean else compute
        if made != out.dtype:
            raise Unprintable(f"{op.name} of {compute} as {out.dtype}")
        ctype, words = ctype_of(compute), {}
        for name, x, alone in zip(inputs, e.inputs, apart, strict=True):
            used = ctype_of(np.dtype(x.dtype)) if alone else ctype
            if not isinstance(x, np.ndarray):
                words[name] = f"({converted(self.names[x], ctype_of(x.dtype), used)})"
            else:
                words[name] = self.number(x[()], used)
        for name, value in params:
            if _mentions(text, name):
                if ctype.kind != "f" and value != int(value):
                    raise Unprintable(f"the number {value!r} next to integers")
                words[name] = self.number(value, CTYPES["int64"] if ctype.kind in "biu" else ctype)
        self.line(out, _WORD.sub(lambda m: words.get(m[0], m[0]), text), ctype, self._level(e))

    def _formula(self, op: Any, params: Any, ctype: Ctype, dtype: np.dtype[Any]) -> str:
        if op.name == "power_number" and ctype.kind == "f" and params[0] in POWERS:
            return POWERS[params[0]]
        try:
            return template(op.name, op.expr, ctype, dtype.itemsize * 8)
        except (RuntimeError, TypeError, NotImplementedError) as error:  # what the op refuses
            raise Unprintable(str(error)) from None

    def _level(self, e: Any) -> str:
        read = [(x.shape, self.levels[x]) for x in e.inputs if not isinstance(x, np.ndarray)]
        out: Ints = e.outs[0].shape
        if math.prod(out) == 1 and all([level == "one" for _, level in read]) and math.prod(self.shape) > 1:
            return "one"
        rows = math.prod(self.row)
        if self.reduced and (out == self.row or (rows == 1 and math.prod(out) == 1)):
            if all([level != "full" for _, level in read]):
                return "row"
        if out != self.shape:
            raise Unprintable(f"{e.op.name}: a result of shape {out} among arrays of shape {self.shape}")
        if any([level == "row" and len(shape) != len(out) and rows > 1 and math.prod(shape) > 1 for shape, level in read]):
            raise Unprintable("a row value that is not aligned")
        return "full"

    # ---- reductions
    def reduce(self, e: Any, partial: bool) -> None:
        (x,), out, join = e.inputs, e.outs[0], REDUCTIONS[e.op.name]
        if self.levels[x] != "full":
            raise Unprintable("a reduction of a row's values")
        dtype = np.dtype(x.dtype)
        compute = added_in(dtype) if join is SUM else _WIDE.get(dtype.name, dtype)
        ctype = ctype_of(compute)
        value = converted(self.names[x], ctype_of(dtype), ctype)
        element = f"({value}) * ({value})" if e.op.name == "norm2" else value
        count = max(math.prod(self.shape[len(self.shape) - self.reduced :]), 1)
        name = self.line(out, element, ctype, "row", join.step, numeral(join.start(compute), ctype), ctype)
        if partial:
            self.parts[out] = (join, compute, FINALS.get(e.op.name, "a").format(count=numeral(count, ctype)))
            self.levels[out] = "partial"
            return
        words = {"a": name, "count": self.number(count, ctype)} if e.op.name == "mean" else {"a": name}
        final = _WORD.sub(lambda m: words.get(m[0], m[0]), FINALS.get(e.op.name, "a").replace("{count}", "count"))
        if final != name or ctype_of(out.dtype) != ctype:
            self.line(out, converted(final, ctype, ctype_of(out.dtype)), ctype, "row")


def _mentions(text: str, name: str) -> bool:
    return any([m[0] == name for m in _WORD.finditer(text)])


def group_of(equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], parted: Any) -> Group:
    """Return equations as a group. parted: (rows, elements of a row) -> whether several work items have to share a row, so that
    reductions are partial. Raises Unprintable where there is no text for them."""
    shapes = [e.inputs[0].shape if e.op.name in REDUCTIONS else e.outs[0].shape for e in equations]
    shape = max(shapes, key=math.prod)
    trailing = set()
    for e in equations:
        if e.op.name in REDUCTIONS:
            axes = axes_of(e.params[0], len(shape))
            if e.inputs[0].shape != shape or axes != tuple(range(len(shape) - len(axes), len(shape))) or not axes:
                raise Unprintable("a reduction that is not over the last dims")
            trailing.add(len(axes))
        elif not (e.op.elementwise or e.op.name == "cast"):
            raise Unprintable(f"{e.op.name} has no formula")
    if len(trailing) > 1 or not math.prod(shape):
        raise Unprintable("reductions over several sets of dims, or no elements")
    reduced = trailing.pop() if trailing else 0
    count, n = math.prod(shape[: len(shape) - reduced]), math.prod(shape[len(shape) - reduced :])
    partial = bool(reduced) and parted(count, n)
    made = _Builder(shape, reduced)
    known = []
    for i, v in enumerate(inputs):
        level = "one" if math.prod(v.shape) == 1 and math.prod(shape) > 1 else "full"
        aligned = len(v.shape) == len(shape) and math.prod(v.shape[len(shape) - reduced :]) == 1
        if reduced and level == "full" and n > 1 and aligned:
            level = "row"
        made.names[v], made.levels[v] = f"a{i}", level
        known.append((f"a{i}", ctype_of(v.dtype), level))
    for e in equations:
        if e.op.name in REDUCTIONS:
            made.reduce(e, partial)
        else:
            if any([made.levels.get(x) == "partial" for x in e.inputs if not isinstance(x, np.ndarray)]):
                raise Unprintable("a line that reads a reduction which several work items share")
            made.enter(e)
    body = Body(tuple(known), tuple(made.numbers), tuple(made.lines), tuple([made.names[v] for v in outputs]), partial)
    found = Group(body, shape, reduced, made.values, [v.shape for v in outputs], [np.dtype(v.dtype) for v in outputs])
    found.joins = {i: made.parts[v] for i, v in enumerate(outputs) if v in made.parts}
    return found
