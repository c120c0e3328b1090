"""Numbers that vary from call to call: the leading size of arguments, and Python floats that do not stay.

Owns: `Log` (what one capture does with such numbers), `General` (a graph for any of their values, found by comparing captures).
May import: graph, tensor, func.layers, guards (which packages are ours). Must not know: any op, any device.
A number that varies is watched where the user's Python has it: arithmetic goes on with how it was computed, a condition or a
conversion is written down. What differs between captures must be explained by that, or by a simple formula of the size that
all captures confirm; else the graph is not general, and says why.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import itertools
import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from wengert import backend
from wengert._tensor import Tensor, wrap
from wengert.compiler.guards import OWN, Watched, equal
from wengert.compiler.passes import on_host, owner_of
from wengert.func.layers import innermost, leaves, mapped
from wengert.graph import Equation, Graph, Recorder, Value, like
from wengert.modes import state
from wengert.op import Op

SMALLEST = 2  # a general graph is good from this size on: 1 broadcasts, and of 0 there is nothing
SIZES = 5  # captures that a formula of the size is held against, the first included
FARTHEST = 2520  # a size that is tried: one that many numbers divide
KEPT_BYTES = 1 << 22  # data made in Python are kept up to about this size, from which those for smaller sizes are cut
FACTORS = (0.75, 1.5, 0.5, 1.25, 0.875, 1.125)  # by which floats are tried
STEPS = (9, FARTHEST, 2 * FARTHEST, 1, 2, -1)  # and how far ints, together with them
FUNCTIONS = ("sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "tanh", "pow")  # of math, watched


class Unlike(BaseException):
    """Why captures are not one graph with other numbers. No error: nothing on the way may take it for an op's."""


class Loops(Unlike):
    """A capture for another size runs many more ops than the first: Python loops over the size."""


# ---- numbers under watch
class _Watched(Watched):
    """A number of a capture, and how it came about. It says that it is an int or a float, and is none: what C code takes of
    those it would take unseen."""

    __slots__ = ("made", "serial")
    kind: type
    __class__ = property(lambda self: type(self).kind)

    def __init__(self, value: Any, made: Any = None, serial: int = 0) -> None:
        self.value, self.made = value, made  # made: its Way; None: a size that nobody has used yet
        self.serial = serial  # of the log it belongs to: what escaped from an earlier one is a number like others

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(_exactly(self), dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(_exactly(self), name)

    def __repr__(self) -> str:
        log = _log()
        if log is not None and not _users(_asking()[1]):  # a key of a table of numbers
            log.plain(self)
        return repr(self.value)

    def __format__(self, form: str) -> str:
        return format(self.value, form)


def plain(x: Any) -> Any:
    """Return a number as it is without watch; tuples, lists and slices with such numbers in them too."""
    if isinstance(x, _Watched):
        return x.value
    if isinstance(x, slice):
        return slice(plain(x.start), plain(x.stop), plain(x.step))
    if isinstance(x, tuple | list | dict):
        return mapped(x, plain)
    return x


def _log() -> Log | None:
    return None if state.recorder is None else state.recorder.log


def _way(x: Any) -> Any:
    """Return how a number was computed, as the log writes it down."""
    log = _log()
    return plain(x) if log is None else log.way(x)


class Way:
    """How a number is computed: a function of ways and numbers; without one it is a size met, or with a name a float."""

    __slots__ = ("function", "args")

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args

    def at(self, sizes: Sequence[Any], floats: Sequence[float]) -> Any:
        """Return the number for these sizes met and these floats."""
        if self.function is None:
            found = sizes[self.args[0]]
            return found() if callable(found) else found
        if self.function == "float":
            return floats[self.args[0]]
        return self.function(*[x.at(sizes, floats) if isinstance(x, Way) else x for x in self.args])

    def sizes(self) -> set[int]:
        """Return which of the sizes met take part."""
        if self.function in (None, "float"):
            return {self.args[0]} if self.function is None else set()
        return set().union(*[x.sizes() for x in self.args if isinstance(x, Way)])

    def floats(self) -> set[int]:
        """Return which of the floats that vary take part."""
        if self.function in (None, "float"):
            return set() if self.function is None else {self.args[0]}
        return set().union(*[x.floats() for x in self.args if isinstance(x, Way)])


def _result(value: Any, function: Any, *args: Any) -> Any:
    """Return a computed number under watch, where a capture watches."""
    log = _log()
    if log is None:
        return value
    if type(value) not in (int, float):  # a complex one
        for x in args:
            _exactly(x) if isinstance(x, _Watched) else None
        return value
    made = log.watched(value, Way(function, tuple(_way(x) for x in args)))
    log.pool.append((value, made.made))
    return made


_PASSED = {__name__, "wengert._tensor", "wengert.graph", "wengert.overrides"}  # whose properties, and entrances, others ask


def _asking() -> tuple[Any, str]:
    """Return the frame that asks about a number, and the module of it."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _PASSED:
        frame = frame.f_back
    return frame, frame.f_globals.get("__name__", "")


def _users(module: str) -> bool:
    return module.split(".")[0] not in OWN


def _condition(outcome: Any, function: Any, *args: Any, sought: bool = False) -> Any:
    """Write down what a program decided by a number, and return it. wengert itself works alike for all sizes, and
    for all floats, but for those that are `sought` in a table."""
    log = _log()
    if log is None:
        return outcome
    frame, module = _asking()
    ways = tuple(_way(x) for x in args)
    floating = any(isinstance(w, Way) and w.floats() for w in ways)
    table = module == "wengert.record" or (module == "wengert.inplace" and function in (plain, operator.eq))  # of constants
    if len(log.conditions) > log.most:
        raise Unlike("it decides much more often with other numbers")
    if _users(module) or (floating and (sought or function is not plain) and not table):
        log.conditions.append((function, ways, outcome, f" ({frame.f_code.co_filename}, line {frame.f_lineno})"))
    elif function is plain and isinstance(ways[0], Way):
        log.entered.append((outcome, ways[0]))
    return outcome


def _arithmetic(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    function = getattr(operator, name)

    def forward(self: Any, other: Any, *rest: Any) -> Any:
        if rest or not isinstance(other, int | float):
            return _left(function, self, other, *rest)
        return _result(function(plain(self), plain(other)), function, self, other)

    def backward(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return _left(lambda x, y: function(y, x), self, other)
        return _result(function(plain(other), plain(self)), function, other, self)

    return forward, backward


def _left(function: Any, self: Any, other: Any, *rest: Any) -> Any:
    """Leave arithmetic to what is no number of Python's: but for tensors, the number is out of sight from here on."""
    if isinstance(other, Tensor):
        return NotImplemented
    return (pow if rest else function)(_exactly(self), other, *rest)


def _exactly(self: Any) -> Any:
    """Return the number where it goes out of sight: the graph is good for no other one."""
    return _condition(plain(self), plain, self)


def _comparison(name: str) -> Callable[..., Any]:
    function = getattr(operator, name)

    def compare(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented if isinstance(other, Tensor) else function(_exactly(self), other)
        return _condition(function(plain(self), plain(other)), function, self, other)

    return compare


def _alone(function: Any) -> Callable[..., Any]:
    return lambda self, *args: _result(function(plain(self), *args), function, self, *args)


def _watching(cls: Any) -> Any:
    """Give a class of numbers the operators of its kind, which write down what is done."""
    kind = cls.kind
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_", "xor"):
        if hasattr(kind, f"__{name.rstrip('_')}__"):
            forward, backward = _arithmetic(name)
            setattr(cls, f"__{name.rstrip('_')}__", forward)
            setattr(cls, f"__r{name.rstrip('_')}__", backward)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(cls, f"__{name}__", _comparison(name))
    for name, function in {"neg": operator.neg, "pos": operator.pos, "abs": abs, "floor": math.floor, "ceil": math.ceil,
                           "trunc": math.trunc, "round": round}.items():  # fmt: skip
        setattr(cls, f"__{name}__", _alone(function))
    if kind is int:
        cls.__invert__, cls.__index__ = _alone(operator.invert), lambda self: int(_exactly(self))
    cls.__divmod__ = lambda self, other: (self // other, self % other)
    cls.__rdivmod__ = lambda self, other: (other // self, other % self)
    cls.__bool__ = lambda self: _condition(bool(plain(self)), bool, self)
    cls.__hash__ = lambda self: hash(_condition(plain(self), plain, self, sought=True))
    cls.__int__ = lambda self: int(_exactly(self))
    cls.__float__ = lambda self: float(_exactly(self))
    cls.__reduce__ = lambda self: (kind, (_exactly(self),))
    return cls


@_watching
class Whole(_Watched):
    """An int under watch."""

    __slots__ = ()
    kind = int


@_watching
class Real(_Watched):
    """A float under watch."""

    __slots__ = ()
    kind = float


# ---- one capture
_serials = itertools.count(1)


class Log:
    """What one capture did with the numbers that vary: arguments have the leading `size` in the place of `was`."""

    def __init__(
        self, was: int | None, size: int | None, floats: Sequence[float], first: Log | None = None, lists: Sequence[Any] = (),
        bare: bool = False,
    ) -> None:  # fmt: skip
        self.was, self.size, self.floats = was, size, tuple(floats)
        self.calls = 0
        self.limit = math.inf if first is None else 4 * first.calls + 64  # of ops: so many in a further capture are a loop
        self.most = math.inf if first is None else 4 * len(first.conditions) + 64
        self.bare = bare  # whether nothing is watched: what a program sees that asks for types
        self.lists = {id(x) for x in lists}  # whose length is not to be asked
        self.sizes: list[int] = []  # those that the user's Python used, in order
        self.conditions: list[tuple[Any, tuple[Any, ...], Any, str]] = []
        self.serial = next(_serials)
        self.numbers = [self.watched(x, Way("float", (i,))) for i, x in enumerate(self.floats)]
        self.pool: list[tuple[Any, Way]] = []  # all numbers that were computed
        self.pool += [] if bare else [(plain(x), x.made) for x in self.numbers]
        self.entered: list[tuple[Any, Way]] = []  # those of them that went into the graph
        self.stands: list[Tensor] = []  # the arguments' places

    def way(self, x: Any) -> Any:
        """Return how a number was computed: of one that is not of this log, the number."""
        if not isinstance(x, _Watched) or x.serial != self.serial:
            return plain(x)
        if x.made is None:
            self.sizes.append(plain(x))
            x.made = Way(None, (len(self.sizes) - 1,))
        return x.made

    def plain(self, x: Any) -> Any:
        """Return numbers as they are without watch, and note them: they go into the graph."""
        for v in leaves(x):
            for number in (v.start, v.stop, v.step) if isinstance(v, slice) else (v,):
                if isinstance(way := self.way(number), Way):
                    self.entered.append((plain(number), way))
        return plain(x)

    def watched(self, value: Any, way: Way | None = None) -> Any:
        """Return a number under watch."""
        return value if self.bare else (Whole if isinstance(value, int) else Real)(value, way, self.serial)

    # what the recorder asks
    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape as whoever asks is to see it: a user's Python gets sizes under watch."""
        return tuple([self.watched(n) for n in shape]) if self.size is not None and _users(_asking()[1]) else shape

    def called(self) -> None:
        """Count the call of an op. Raises Loops where there are many more than in the first capture."""
        self.calls += 1
        if self.calls > self.limit:
            raise Loops("it loops over the size")
        if self.size is not None and innermost() is not None:
            raise Unlike("sizes are not watched inside of transforms of func")

    def given(self, recorder: Recorder, args: Any) -> Any:
        """Return a capture's arguments with tensors of the size in the place of those given."""

        def stand(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            shape = tuple(x._array.shape)
            if self.size is not None and shape and shape[0] == self.was:
                shape = (self.size, *shape[1:])
            made = wrap(recorder.placeholder(x._array, shape))
            self.stands.append(made)
            return made.requires_grad_() if x.requires_grad else made

        return mapped(args, stand)

    def decided(self) -> list[Any]:
        """Return what the user's Python decided, in order."""
        return [(f, place, None if f is plain else outcome) for f, _, outcome, place in self.conditions]

    def parted(self, other: Log) -> str:
        """Say where another capture's Python went another way: "" where it did not."""
        mine, theirs = self.decided(), other.decided()
        if mine == theirs:
            return ""
        last = next((a for a, b in zip(mine, theirs, strict=False) if a != b), (mine or theirs)[-1])
        return f"a condition{last[1]}"

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Let `len` of a tensor be a size under watch, and functions of numbers under watch too, while a capture runs.

        Raises Unlike for the length of a list in `lists`.
        """
        real = builtins.len

        def length(x: Any, /) -> int:
            if state.recorder is not None:
                if isinstance(x, Tensor) and x.ndim:
                    size: int = x.shape[0]
                    return size
                if id(x) in self.lists and _users(_asking()[1]):
                    raise Unlike("it asks for the length of a list that it adds to")
            return real(x)

        def over(function: Any) -> Any:
            return lambda *args: (_result(function(*map(plain, args)), function, *args)
                                  if any(isinstance(x, _Watched) for x in args) else function(*args))  # fmt: skip

        before = {name: getattr(math, name) for name in FUNCTIONS}
        builtins.len = length
        try:
            for name, function in before.items():
                setattr(math, name, over(function))
            yield
        finally:
            builtins.len = real
            for name, function in before.items():
                setattr(math, name, function)


class Take:
    """One capture: its log, its graph, what the gradients from outside need, and what its Python left in numbers and lists."""

    def __init__(self, log: Log, graph: Graph, joint: Any, left: Any) -> None:
        self.log, self.graph, self.joint, self.left = log, graph, joint, left


# ---- formulas of the size
def polynomial(points: Sequence[tuple[int, Any]], n: int) -> Fraction:
    """Return the value at n of the polynomial through points."""
    total = Fraction(0)
    for i, (x, y) in enumerate(points):
        part = Fraction(y)
        for j, (other, _) in enumerate(points):
            if i != j:
                part *= Fraction(n - other, x - other)
        total += part
    return total


def fitted(points: Sequence[tuple[int, int]], some: Sequence[tuple[int, int]] | None = None) -> Callable[[int], int] | None:
    """Return the function of the size with these whole values: a polynomial of degree 0 to 2, or (a*n + b) // d.

    some: the points to take it from, fewer than are to hold."""
    some = points if some is None else some
    for degree in (0, 1, 2):
        base = some[: degree + 1]
        if len(points) > degree + 1 and all(polynomial(base, n) == v for n, v in points):
            return lambda n, base=base: _whole(polynomial(base, n))  # type: ignore[misc]
    (small, low), (large, high) = points[0], points[-1]
    for d in range(2, 65):
        a = round((high - low) / (large - small) * d)
        least = max(d * v - a * n for n, v in points)
        most = min(d * v - a * n + d - 1 for n, v in points)
        if least <= most and a:
            b = 0 if least <= 0 <= most else d - 1 if least <= d - 1 <= most else least
            return lambda n, a=a, b=b, d=d: (a * n + b) // d  # type: ignore[misc]
    return None


def _whole(x: Fraction) -> int:
    if x.denominator != 1:
        raise Unlike(f"{x} is no size")
    return x.numerator


def quotient(points: Sequence[tuple[int, float]], cast: Callable[[float], Any]) -> Callable[[int], float] | None:
    """Return the function of the size with these values as c / p(n) or (n - 1) / p(n) and their like, p(n) whole."""
    if any(not math.isfinite(v) or v == 0 for _, v in points):
        return None
    tops: tuple[Callable[[int], int], ...] = (lambda n: 1, lambda n: 2, lambda n: n, lambda n: n - 1)
    for top in tops:
        bottoms = [(n, round(top(n) / v)) for n, v in points]
        for degree in (1, 2):
            base = bottoms[: degree + 1]

            def value(n: int, top: Any = top, base: Any = base) -> float:
                return top(n) / _whole(polynomial(base, n))  # type: ignore[no-any-return]

            with contextlib.suppress(Unlike, ArithmeticError):
                if all(cast(value(n)) == v for n, v in points):
                    return value
    return None


# ---- captures compared
class Formula:
    """What stands in a general graph for a number that differs: the number for a size and floats, of a dtype or none."""

    def __init__(self, value: Callable[[int, Sequence[float]], Any], dtype: Any = None, of_float: bool = False) -> None:
        self.value, self.dtype, self.of_float = value, dtype, of_float

    def at(self, size: int, floats: Sequence[float]) -> Any:
        """Return the number. Raises Unlike where there is none."""
        try:
            found = self.value(size, floats)
        except (ArithmeticError, ValueError) as error:
            raise Unlike(str(error)) from error
        return found if self.dtype is None else _cast(found, self.dtype)

    def renew(self, array: Any, size: int, floats: Sequence[float]) -> None:
        """Write the number to an array of a program."""
        owner = backend.of_array(array)
        value = self.at(size, floats)
        owner.write(array, value if isinstance(array, np.ndarray) else owner.from_host(value, owner.index_of(array) or 0))


def _cast(x: Any, dtype: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(x).astype(dtype)


class General:
    """A graph for any leading size from 2 on, and any value of the floats that vary, where what was decided stays decided.

    Raises Unlike where the captures it is made of are not one graph with other numbers.
    """

    def __init__(self, takes: Sequence[Take]) -> None:
        first = takes[0]
        self.used = set[int]()  # the floats that a decision or the graph depends on
        self.smallest = min((t.log.size for t in takes if t.log.size is not None), default=SMALLEST)
        self.takes, self.first = takes, first
        self.floats = first.log.floats
        self.sizes = [self._size_met(i) for i in range(len(first.log.sizes))]
        self.still = [all(t.log.sizes[i] == n for t in takes) for i, n in enumerate(first.log.sizes)]  # which do not differ
        self.conditions = [c for c in map(self._condition, range(len(first.log.conditions))) if c is not None]
        self.conditions += self._unchanged()
        graphs = [t.graph for t in takes]
        base = first.graph
        for t in takes:
            g, joint = t.graph, t.joint
            if [e.op for e in g.equations] != [e.op for e in base.equations]:
                raise Unlike(_first_difference(base, g, first, t))
            same = [a is b for (_, a), (_, b) in zip(g.states, base.states, strict=False)]
            if [id(t) for t in g.entered] != [id(t) for t in base.entered]:
                raise Unlike("it reads other gradients")
            if not all(same) or len(g.states) != len(base.states):
                raise Unlike("it reads other tensors")
            if (joint.outputs, joint.places, joint.used) != (first.joint.outputs, first.joint.places, first.joint.used):
                raise Unlike("other results require grad")
        own = len(first.joint.places)
        if any(x is not y for t in takes for x, y in zip(t.joint.leaves[own:], first.joint.leaves[own:], strict=True)):
            raise Unlike("the gradients are those of other tensors")
        self.shapes = [self.merged([g.arguments[i].shape for g in graphs], "an argument") for i in range(len(base.arguments))]
        self.literals = [self._literal(i) for i in range(len(base.literals))]
        self.equations = [self._equation(i) for i in range(len(base.equations))]
        self.writes = self.merged([[(i if isinstance(i, int) else id(i), v) for i, v in g.writes] for g in graphs], "a write")
        if any(x[0] is not y[0] for g in graphs for x, y in zip(g.grads, base.grads, strict=True)):
            raise Unlike("it sets the gradients of other tensors")
        self.grads = self.merged([[v for _, v in g.grads] for g in graphs], "a gradient")
        self.outputs = self.merged([g.outputs for g in graphs], "a result")
        if any(f.of_float for f in _formulas(self.outputs)):
            raise Unlike("it returns a number that a float that varies is in")
        used = {*self.used}
        self.left = self.merged([t.left for t in takes], "what it counts")
        self.used = used  # what it leaves behind is computed at each call anyway
        self.moves = any(tuple(t.left[0]) != t.log.floats[: len(t.left[0])] for t in takes)
        self._check()
        self.literals = [(self._shortened(largest, shape), shape) for largest, shape in self.literals]
        self.takes = (first,)  # the others have served

    # the numbers
    def _points(self, values: Sequence[Any]) -> list[tuple[int, Any]]:
        """Return the values by size, the smallest first."""
        return sorted({t.log.size: v for t, v in zip(self.takes, values, strict=True) if t.log.size is not None}.items())

    def _size_met(self, i: int) -> Any:
        values = [t.log.sizes[i] for t in self.takes if i < len(t.log.sizes)]
        if len(values) == len(self.takes):
            if len(set(values)) == 1:
                return lambda n: values[0]
            found = fitted(self._points(values))
            if found is not None:
                return found
        raise Unlike("the user's Python goes another way")

    def at(self, way: Any, size: int | None, floats: Sequence[float]) -> Any:
        """Return the number of a way for a size and floats."""
        if not isinstance(way, Way):
            return way
        return way.at([lambda f=f: f(size) for f in self.sizes], floats)

    def left_behind(self, size: int, floats: Sequence[Any]) -> Any:
        """Return what a call leaves in numbers and lists. Raises Unlike where there is no such number."""
        return mapped(self.left, lambda x: x.at(size, floats) if isinstance(x, Formula) else x)

    def _at_take(self, way: Any, t: Take) -> Any:
        return way.at(t.log.sizes, t.log.floats) if isinstance(way, Way) else way

    def _condition(self, i: int) -> Any:
        """Return a condition that the numbers decide: None where they do not."""
        for t in self.takes:
            if i >= len(t.log.conditions) or t.log.conditions[i][0] is not self.first.log.conditions[i][0]:
                raise Unlike("the user's Python goes another way")
        function, ways, outcome, place = self.first.log.conditions[i]
        if any(t.log.conditions[i][2] != outcome for t in self.takes):
            what = "takes a size or a float out of sight (int, float, hash)" if function is plain else "decides otherwise"
            raise Unlike(f"the user's Python {what}{place}")
        known = [w for w in ways if isinstance(w, Way)]
        depends = any([self._floats_of(w) for w in known]) or any(not self.still[i] for w in known for i in w.sizes())
        return (function, ways, outcome) if depends else None

    def _unchanged(self) -> Iterator[Any]:
        """Yield a condition for each number in the graph that was the same in all captures, though what it is computed of was
        not: a floor, a remainder."""
        for value, way in self.first.log.entered:
            if self._floats_of(way) or not all(self.still[i] for i in way.sizes()):
                with contextlib.suppress(ArithmeticError, ValueError, IndexError):
                    if all(self._at_take(way, t) == value for t in self.takes):
                        yield operator.pos, (way,), value

    def _floats_of(self, way: Way) -> set[int]:
        """Return which floats take part, and note it."""
        found = way.floats()
        self.used |= found
        return found

    def holds(self, size: int | None, floats: Sequence[float]) -> bool:
        """Say whether the graph is good for a size and floats."""
        return (size is None or size >= self.smallest) and self.decides_alike(size, floats)

    def lowest(self) -> int | None:
        """Return the lowest size below those it is made of for which all would be decided so too, None where there is none."""
        below = range(SMALLEST, min(self.smallest, FARTHEST))
        return next((n for n in below if self.decides_alike(n, self.floats)), None)

    def decides_alike(self, size: int | None, floats: Sequence[float]) -> bool:
        """Say whether the user's Python would go the same way."""
        try:
            return all(f(*[self.at(w, size, floats) for w in ways]) == outcome for f, ways, outcome in self.conditions)
        except (Unlike, ArithmeticError, ValueError, TypeError):  # a complex number is not compared
            return False

    def refuse(self, size: int | None, floats: Sequence[float], why: str) -> None:
        """Hold against the general graph that a capture for this size and these floats was another one, or none. Raises Unlike
        where it is not known that it has to be."""
        if not self.holds(size, floats):
            return
        try:
            self.instance(size, floats)
        except Unlike:
            return
        raise Unlike(why)

    def number(self, values: Sequence[Any], what: str, dtype: Any = None) -> Formula:
        """Return the formula of a number that differs. Raises Unlike where there is none."""

        def cast(x: Any) -> Any:
            return x if dtype is None else _cast(x, dtype).item()

        for value, way in (*self.first.log.entered, *self.first.log.pool):
            if type(value) in (int, float) and cast(value) == values[0]:
                with contextlib.suppress(ArithmeticError, ValueError, IndexError):
                    if all(cast(self._at_take(way, t)) == v for t, v in zip(self.takes, values, strict=True)):
                        return Formula(functools.partial(self.at, way), dtype, bool(self._floats_of(way)))
        points = self._points(values)
        found: Callable[[int], Any] | None = None
        if len(points) > 2 and self._floats_apart(values):
            if all(float(v).is_integer() for _, v in points):
                found = fitted([(n, int(v)) for n, v in points])
            if found is None and not all(isinstance(v, int) for _, v in points):
                found = quotient(points, cast)
        if found is None:
            told = ", ".join(f"{v!r} for {t.log.size if t.log.size is not None else t.log.floats}"
                             for t, v in list(zip(self.takes, values, strict=True))[:3])  # fmt: skip
            raise Unlike(f"{what} is {told}, which no formula explains")
        return Formula(lambda n, floats: found(n), dtype)

    def _floats_apart(self, values: Sequence[Any]) -> bool:
        """Say whether a value is the same for all floats."""
        by_size: dict[Any, set[Any]] = {}
        for t, v in zip(self.takes, values, strict=True):
            by_size.setdefault(t.log.size, set()).add(v)
        return all(len(found) == 1 for found in by_size.values())

    # trees of numbers
    def merged(self, values: Sequence[Any], what: str) -> Any:
        """Return values of the captures as one, with formulas for numbers that differ."""
        first = values[0]
        if any(isinstance(v, _Watched) for v in values):
            return self._left(values, what)
        if len({type(v) for v in values}) > 1:
            raise Unlike(f"{what} is {first!r} or {next(v for v in values if type(v) is not type(first))!r}")
        if isinstance(first, Value):
            if len({v.number for v in values}) > 1:
                raise Unlike(f"{what} is made of others")
            return first
        if isinstance(first, tuple | list | dict):
            if len({len(v) for v in values}) > 1 or (isinstance(first, dict) and any(list(v) != list(first) for v in values)):
                raise Unlike(f"{what} has another form")
            if isinstance(first, dict):
                return like(first, {k: self.merged([v[k] for v in values], what) for k in first})
            return like(first, [self.merged([v[i] for v in values], what) for i in range(len(first))])
        if isinstance(first, slice):
            return slice(*[self.merged([getattr(v, end) for v in values], what) for end in ("start", "stop", "step")])
        if isinstance(first, np.ndarray):
            return self._array(values, what)
        if isinstance(first, FunctionType):
            self._function(values, what)
            return first
        if type(first) in (int, float) and any(v != first and (v == v or first == first) for v in values):
            return self.number(values, what)
        if type(first) not in (int, float) and any(v is not first and v != first for v in values):
            raise Unlike(f"{what} is {first!r} or {next(v for v in values if v != first)!r}")
        return first

    def _left(self, values: Sequence[Any], what: str) -> Any:
        """Return the formula of a number that the program's Python left somewhere: how it was computed is known."""
        if not isinstance(values[0], _Watched) or values[0].made is None:  # a size as it is
            return self.merged([plain(v) for v in values], what)
        way = self.first.log.way(values[0])
        found = [self._at_take(way, t) for t in self.takes]
        if not all(equal(a, plain(b)) for a, b in zip(found, values, strict=True)):
            raise Unlike(f"{what} is computed otherwise from capture to capture")
        return Formula(functools.partial(self.at, way)) if isinstance(way, Way) else way

    def _array(self, values: Sequence[Any], what: str) -> Any:
        first = values[0]
        if first.ndim or len({v.dtype for v in values}) > 1 or any(v.ndim for v in values):
            raise Unlike(f"{what} has another type or form")
        if all(v.tobytes() == first.tobytes() for v in values):
            return first
        if first.dtype.kind not in "iuf":
            raise Unlike(f"{what} is {first.item()!r} or {next(v for v in values if v != first).item()!r}")
        return self.number([v.item() for v in values], what, first.dtype)

    def _function(self, values: Sequence[Any], what: str) -> None:
        """Hold functions made anew for the same: code, defaults, and what they close over."""
        for f in values:
            code: CodeType = f.__code__
            same = code == values[0].__code__ and f.__defaults__ == values[0].__defaults__
            cells = [c.cell_contents for c in f.__closure__ or ()]
            if not same or any(a is not b and a != b for a, b in
                               zip(cells, [c.cell_contents for c in values[0].__closure__ or ()], strict=True)):  # fmt: skip
                raise Unlike(f"{what} closes over other values")

    # the parts of the graph
    def _equation(self, i: int) -> tuple[Op, Any, Any]:
        made = [t.graph.equations[i] for t in self.takes]
        op = made[0].op
        inputs = self.merged([e.inputs for e in made], f"an input of {op.name}")
        params = self.merged([e.params for e in made], f"a parameter of {op.name}")
        if any(f.of_float for f in _formulas(params)):
            raise Unlike(f"a float that varies is a parameter of {op.name}")
        return op, inputs, params

    def _literal(self, i: int) -> Any:
        """Return data made in Python as what it is for each size: the same, or the first part of the largest."""
        arrays = [t.graph.literals[i][1] for t in self.takes if i < len(t.graph.literals)]
        first = arrays[0]
        if len(arrays) < len(self.takes) or len({(a.ndim, a.dtype) for a in arrays}) > 1:
            raise Unlike("it makes other data in Python")
        if not first.ndim and first.dtype.kind in "if":
            return self.merged(arrays, "a number made a tensor"), ()
        largest = max(arrays, key=lambda a: a.size)
        if any(not np.array_equal(a, largest[tuple(map(slice, a.shape))], equal_nan=a.dtype.kind == "f") for a in arrays):
            raise Unlike(f"it makes data of shape {list(first.shape)} in Python that are no part of those for larger sizes")
        return largest, self.merged([tuple(a.shape) for a in arrays], "the shape of data made in Python")

    def _shortened(self, largest: Any, shape: Any) -> Any:
        """Return so much of data as is worth keeping: those of the first capture at least."""
        if isinstance(largest, Formula) or largest.nbytes <= KEPT_BYTES:
            return largest
        size = max(t.log.size for t in self.takes if t.log.size is not None)
        while size > (self.first.log.size or size):
            size = max(size * 7 // 8, self.first.log.size or 0)
            with contextlib.suppress(Unlike):
                cut = tuple(n.at(size, self.floats) if isinstance(n, Formula) else n for n in shape)
                if math.prod(cut) * largest.itemsize <= KEPT_BYTES or size == self.first.log.size:
                    return largest[tuple(map(slice, cut))].copy()
        return largest

    def _check(self) -> None:
        """Hold the general graph against each capture."""
        for t in self.takes:
            if t.log.size is None:
                continue
            made, _ = self.instance(t.log.size, t.log.floats)
            for ours, theirs in zip(made.equations, t.graph.equations, strict=True):
                if [v.spec for v in ours.outs] != [v.spec for v in theirs.outs]:
                    was, now = theirs.outs[0].spec, ours.outs[0].spec
                    raise Unlike(f"{ours.op.name} gives {was} for size {t.log.size}, and not {now}")

    def instance(self, size: int | None, floats: Sequence[float]) -> tuple[Graph, list[tuple[Any, Formula]]]:
        """Return the graph for a size, and the arrays in it that follow the floats with their formulas.

        Raises Unlike where an op has no such result, or a formula no whole value."""
        base, n = self.first.graph, size if size is not None else 0
        hosts, owner = on_host(base), owner_of(base)
        reads_device = False  # whether the equation at hand has an input that is not on the host
        place: dict[int, Value] = {}
        graph = Graph(devices=base.devices, hosts=set())
        follow: list[tuple[Any, Formula]] = []
        fresh = base.count()

        def at(x: Any) -> Any:
            nonlocal fresh
            if isinstance(x, Value):
                return place[x.number]
            if isinstance(x, Formula):
                found = x.at(n, floats)
                if not x.of_float or x.dtype is None:
                    return found
                made = Value(fresh, (), found.dtype)
                fresh += 1
                if reads_device:
                    found = owner.from_host(found, 0)
                else:
                    graph.hosts.add(made)
                follow.append((found, x))
                graph.states.append((made, found))
                return made
            if isinstance(x, slice):
                return slice(at(x.start), at(x.stop), at(x.step))
            if isinstance(x, tuple | list):
                return like(x, [at(v) for v in x])
            return like(x, {k: at(v) for k, v in x.items()}) if isinstance(x, dict) else x

        def value(of: Value, shape: Any) -> Value:
            made = place[of.number] = Value(of.number, shape, of.dtype)
            if of in base.hosts:
                graph.hosts.add(made)
            return made

        graph.arguments = [value(v, at(s)) for v, s in zip(base.arguments, self.shapes, strict=True)]
        graph.states += [(value(v, v.shape), array) for v, array in base.states]
        for (v, _), (largest, shape) in zip(base.literals, self.literals, strict=True):
            if isinstance(largest, Formula):  # a number that differs
                found = at(largest)
                graph.literals += [] if isinstance(found, Value) else [(value(v, ()), found)]
                if isinstance(found, Value):
                    place[v.number] = found
                continue
            cut = at(shape)
            if any(k > m for k, m in zip(cut, largest.shape, strict=True)):
                raise Unlike("data made in Python are needed for a larger size")
            graph.literals.append((value(v, cut), np.ascontiguousarray(largest[tuple(map(slice, cut))]).reshape(cut)))
        for (op, inputs, params), e in zip(self.equations, base.equations, strict=True):
            reads_device = any(v not in hosts for v in e.reads)
            given, options = at(inputs), at(params)
            try:
                specs = op.infer(*given, *options)  # type: ignore[misc]
            except Exception as error:
                raise Unlike(f"{op.name}: {error}") from error
            outs = []
            for v, (shape, dtype) in zip(e.outs, specs if op.outputs > 1 else (specs,), strict=True):
                if np.dtype(dtype) != v.dtype:
                    raise Unlike(f"{op.name} gives {dtype}")
                outs.append(value(v, shape))
            graph.equations.append(Equation(op, given, options, tuple(outs)))
        graph.writes = [(target, place[v.number]) for target, v in base.writes]
        graph.grads = [(leaf, None if v is None else place[v.number]) for leaf, v in base.grads]
        graph.outputs = at(self.outputs)
        return graph, follow


def _formulas(x: Any) -> Iterator[Formula]:
    if isinstance(x, Formula):
        yield x
    elif isinstance(x, slice):
        yield from _formulas((x.start, x.stop, x.step))
    elif isinstance(x, tuple | list | dict):
        for v in x.values() if isinstance(x, dict) else x:
            yield from _formulas(v)


def _first_difference(base: Graph, other: Graph, first: Take, t: Take) -> str:
    at = next((i for i, (x, y) in enumerate(zip(base.equations, other.equations, strict=False)) if x.op is not y.op), None)
    what = f"{len(base.equations)} or {len(other.equations)} equations" if at is None else (
        f"{base.equations[at].op.name} or {other.equations[at].op.name}")  # fmt: skip
    sizes = f" for sizes {first.log.size} and {t.log.size}" if first.log.size != t.log.size else ""
    return f"other ops run{sizes}: {what}"


def generalised(take: Callable[..., Take], first: Take, lists: bool = False) -> General:
    """Return the general graph that a first capture and others make, for other sizes and other floats than its.

    take: captures for a size and floats. lists: it adds to some, whose elements must not matter. Raises Unlike where they make
    none.
    """
    size, floats = first.log.size, list(first.log.floats)
    takes, others = [first], dict[int, str]()  # others: sizes that went another way
    for m in other_sizes(size) if size is not None else ():
        try:
            other = take(m, floats)
        except Loops:
            raise
        except Unlike as error:  # an op or Python refuses this size
            others[m] = str(error)
            continue
        parted = first.log.parted(other.log)
        if parted:
            others[m] = parted
        else:
            takes.append(other)
        if len(takes) == SIZES:
            break
    if size is not None and len(takes) < 3:
        m, why = next(iter(others.items()))
        raise Unlike(f"for size {m} it goes another way: {why}")
    found, refused = len(takes), list[tuple[list[Any], str]]()
    for factor, step in zip(FACTORS, STEPS, strict=True) if floats else ():
        apart = [step * (1 + i * (i + 3)) if step > 2 else step * (1 + i) for i in range(len(floats))]
        changed = [x + d if type(x) is int else (x or 1.0) * (factor + i / 64)
                   for (i, x), d in zip(enumerate(floats), apart, strict=True)]  # fmt: skip
        try:
            other = take(size, changed)
        except Loops:
            raise
        except Unlike as error:
            refused.append((changed, str(error)))
            continue
        if not first.log.parted(other.log):
            takes.append(other)
        if len(takes) == found + 2:
            break
    if floats and len(takes) == found:
        raise Unlike("each value of a float is decided of its own")
    last = takes[-1].log
    bare = take(last.size, list(last.floats), bare=True)
    takes.append(Take(last, bare.graph, bare.joint, bare.left))
    if lists:
        takes.append(take(size, floats, empty=True))
        if first.log.parted(takes[-1].log):
            raise Unlike("it reads a list that it adds to")
    general = General(takes)
    lowest = general.lowest() if size is not None else None
    if lowest is not None:  # a formula may not hold below the sizes that it was held against
        with contextlib.suppress(Unlike):
            other = take(lowest, floats)
            if not first.log.parted(other.log):
                general = General([*takes, other])
    for m, why in others.items():
        general.refuse(m, floats, f"for size {m} it goes another way: {why}")
    for changed, why in refused:
        general.refuse(size, changed, why)
    return general


def other_sizes(n: int) -> list[int]:
    """Return sizes to compare a capture for n with: far and near, with and without common factors, in the order of use. Those
    much larger than n and than FARTHEST come last: what is made of them may need much memory."""
    near = [2 * n, 1669, n + 1, 3 * n, n - 1, 5 * n] if 2 * n <= FARTHEST else [n // 2, 1669, n + 1, n // 3, n - 1, 2 * n]
    return [m for m in dict.fromkeys((FARTHEST, 5, *near, n + 2, n - 2)) if m >= SMALLEST and m != n]
