"""Calling an op: run the kernel, and write down what backward will need.

Owns: the recorded call (one readable form for every op, `call`; and the same thing specialised for one and two
inputs, `unary` and `binary`, which a test holds equal to it), promotion of inputs, the constructors `elementwise`
and `structural` that op tables use. May import: op, tape, tensor, backend, dtypes, modes. Must not know: any op's
formula beyond `cast` and the summing back of broadcast gradients, and no device library.
"""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors, tape
from wengert._tensor import INFERENCE, PLAIN, Tensor, new, wrap
from wengert.dtypes import F16, F32, F64
from wengert.kept import show_kept
from wengert.modes import off, state
from wengert.narrow import plan_of
from wengert.op import ANY, FLOAT, OPS, Op, Plan, register, split_rules
from wengert.tape import AccumulateGrad, Node, Several, Slot

Number = bool | int | float | complex


# ---- constants: a Python number next to arrays is a 0-d host array, which every kernel accepts
_FLOATS: dict[np.dtype[Any], dict[float, Any]] = {F32: {}, F64: {}}
_NUMBERS32, _NUMBERS64 = _FLOATS[F32], _FLOATS[F64]
_NONE: dict[float, Any] = {}

_CONSTANTS: dict[Any, Any] = {}
_constant_ids: set[int] = set()


def constant(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a number as a 0-d host array. Tables keep the ones that programs repeat."""
    key = (value if value and value == value else str(value), type(value), dtype)  # 0.0 and -0.0 are equal, and no two nan
    array = _CONSTANTS.get(key)
    if array is not None:
        return array
    dtype = dtypes.native(dtype)  # its equal, a twin, may ask first
    with np.errstate(all="ignore"):
        array = np.asarray(value).astype(F32 if dtype is dtypes.BF16 else dtype)
    if len(_CONSTANTS) > 1024:
        for table in (_CONSTANTS, _NUMBERS32, _NUMBERS64, _constant_ids):
            table.clear()
    array = _CONSTANTS.setdefault(key, array)
    _constant_ids.add(id(array))
    if value and value == value and dtype in _FLOATS and type(value) in (int, float):
        _FLOATS[dtype][value] = array
    return array


def is_constant(array: Any) -> bool:
    """Say whether a raw array came from `constant`."""
    return id(array) in _constant_ids


# What makes the node of a call; autograd.saving puts a maker here that does more, while hooks on kept values or anomaly
# mode are on. So a call asks for neither.
make_node: Callable[..., Node] = tape.node


def outermost(kind: type, other: type) -> type:
    """Return which of two array types decides about a call: one whose arrays hold others (it has a `transform`, a backend
    that tells what becomes of the call), and of two such the one of the higher rank."""
    mine, theirs = getattr(kind, "transform", None), getattr(other, "transform", None)
    return other if theirs is not None and (mine is None or getattr(theirs, "rank", 1) > getattr(mine, "rank", 1)) else kind


# ---- the readable form
def call(op: Op, inputs: Sequence[Any], params: tuple[Any, ...] = ()) -> Any:
    """Call any op on Tensors (recorded), or on raw arrays (not recorded), numbers mixed in freely.

    Raises what `op.infer` or `errors` say for bad shapes, types and devices; nothing is changed then.
    """
    flat = [*inputs[:-1], *inputs[-1]] if op.variadic else inputs
    for x in flat:
        if isinstance(x, Tensor):
            break
    else:
        return call_raw(op, inputs, params)
    arrays: list[Any] = []
    ends: list[Any] = []
    types: list[Any] = []
    kind: Any = None  # of the arrays
    mixed = False
    for x in flat:
        if isinstance(x, Tensor):
            array = x._array
            arrays.append(array)
            ends.append(x._edge)
            types.append(array.dtype)
            if kind is None:
                kind = type(array)
            elif type(array) is not kind:
                mixed = True
        else:
            arrays.append(x)
            ends.append(None)
            types.append(type(x))
    numbers = None if mixed else op.settled.get(tuple(types))
    if numbers is not None:  # there is nothing to decide
        for i, dtype in numbers:
            arrays[i] = constant(arrays[i], dtype)
    else:
        if op.scales and (wide := beside_wider(op, flat)) is not None:
            return wide
        flat = prepare(op, flat, tuple(types))
        arrays, ends = opened(flat)
        if mixed:
            kind = _key(arrays)
    if kind is not np.ndarray and hasattr(kind, "transform"):  # inside of a func transform, or beside sparse tensors
        ready = [x if isinstance(x, Tensor) else a for x, a in zip(flat, arrays, strict=True)]
        flat = kind.transform.meet(op, ready, params)
        if not isinstance(flat, list):  # what it made by other calls
            return flat
        arrays, ends = opened(flat)
    edges = tuple(ends)
    if op.variadic:
        fixed = len(op.inputs) - 1
        arrays[fixed:] = [tuple(arrays[fixed:])]
    kernel = op.kernels[kind]
    try:
        made = kernel(*arrays, *params, out=...) if op.elementwise else kernel(*arrays, *params)
    except Exception as error:
        made = recover(op, arrays, flat, params, error)
    recorded = not op.constant and edges.count(None) < len(edges) and state.grad
    if op.outputs > 1:
        results = tuple([wrap(a) for a in made])
        if recorded:
            node = record(op, flat, arrays, params, edges, made, results)
            if type(node) is Node:
                node.__class__ = Several
            for number, result in enumerate(results):
                if dtypes.category(result._array.dtype) >= dtypes.FLOATING:
                    result._edge = Slot(node, number)
        return results
    result = wrap(made)
    if off and state.inference:
        result._box = INFERENCE
    if op.view:
        attach(result, flat[0], op, params)
    if recorded and dtypes.category(made.dtype) >= dtypes.FLOATING:
        result._edge = record(op, flat, arrays, params, edges, made, result)
    return result


def opened(inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the raw arrays of inputs, of which some may be arrays already, and where their gradients go."""
    arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
    return arrays, [x._edge if isinstance(x, Tensor) else None for x in inputs]


def record(
    op: Op, inputs: Sequence[Any], arrays: Sequence[Any], params: Sequence[Any], edges: tuple[Any, ...], made: Any, result: Any
) -> Node:
    """Return the node of a call: what its plan says is kept, and nothing else."""
    needs = tuple([e is not None for e in edges])
    usual = op.outputs > 1 or made.dtype is F32 or made.dtype is F64
    plan = op.plan(needs) if usual else plan_of(op, needs, made.dtype)
    width = len(op.inputs)
    saved: list[Any] = [None] * (width + 1)
    saved += params
    guards: list[tuple[list[int], int]] = []
    for i in plan.inputs:
        saved[i] = arrays[i]
        for x in inputs[i:] if op.variadic and i == width - 1 else (inputs[i],):
            if isinstance(x, Tensor):
                box = x.version_box()
                guards.append((box, box[0]))
    if plan.out:
        keeps = op.keeps
        saved[width] = made if keeps is None else tuple([a if n in keeps else None for n, a in enumerate(made)])
        for n, x in enumerate(result if op.outputs > 1 else (result,)):
            if keeps is None or n in keeps:
                box = x.version_box()
                guards.append((box, box[0]))
    if plan.specs:
        saved += [None] * (plan.specs[-1][0] + 1 - len(saved))
        for place, i, what in plan.specs:
            source = made if i < 0 else arrays[i]
            saved[place] = tuple(getattr(a, what) for a in source) if isinstance(source, tuple) else getattr(source, what)
    shapes: tuple[Any, ...] | None = None
    if op.broadcasts:
        for i, array in enumerate(arrays):
            if not op.elementwise or (array.shape != made.shape and isinstance(inputs[i], Tensor)):
                shapes = tuple([tuple(a.shape) for a in arrays])
                break
    return make_node(plan, edges, tuple(saved), shapes, tuple(guards))


# PyTorch's arithmetic takes two numbers, too, and makes a tensor of them
OF_NUMBERS = frozenset({"add", "subtract", "multiply", "divide", "floor_divide", "trunc_divide"})


def call_raw(op: Op, inputs: Sequence[Any], params: tuple[Any, ...] = ()) -> Any:
    """Run the kernel on raw arrays: what rules do in backward. Numbers take the type of the last array (not a condition)."""
    arrays = list(inputs)
    kind = type(arrays[0])
    kernel = op.kernels.get(kind)
    numbers, last, alike = [], arrays[0], True
    for i, a in enumerate(arrays):
        if type(a) is kind:
            last = a
        elif type(a) is float or type(a) is int:
            numbers.append(i)
        else:
            alike = False
    if alike and kernel is not None:
        for i in numbers:
            arrays[i] = constant(arrays[i], last.dtype)
    else:
        if kernel is None and kind not in _OPERANDS and overridden(kind):
            return asked(op, inputs, params)
        source = next((a for a in reversed(_flat(arrays)) if hasattr(a, "dtype")), None)
        if source is None:
            if any([overridden(type(a)) for a in arrays]):
                return asked(op, inputs, params)
            if op.name in OF_NUMBERS and all([isinstance(a, Number) for a in arrays]):
                return call(op, (wrap(constant(arrays[0], dtypes.of_number(arrays[0]))), *arrays[1:]))
            raise errors.not_a_tensor(op.face, arrays[0], op.inputs[0])
        arrays = [_as_array(a, source) for a in arrays]
        kernel = op.kernels[_key(arrays)]
    return kernel(*arrays, *params, out=...) if op.elementwise else kernel(*arrays, *params)


# ---- operands of a class of the user's own, which may override the call: see overrides.py
_OPERANDS = frozenset({Tensor, bool, int, float, complex})


def overridden(kind: type) -> bool:
    """Say whether a class may override what is done with its objects."""
    return kind is not Tensor and kind not in PLAIN and hasattr(kind, "__torch_function__")


def beside(unusual: Callable[[Op, Any, Any], Any] | None, op: Op, x: Any, y: Any) -> Any:
    """Call with two operands that are not of the common kinds: ask those that override the call, else `unusual`, or `call`."""
    for kind in (type(x), type(y)):
        if kind not in _OPERANDS and overridden(kind):
            return asked(op, (x, y), (), unusual)
    return call(op, (x, y)) if unusual is None else unusual(op, x, y)


def asked(
    op: Op, inputs: Sequence[Any], params: tuple[Any, ...] = (), unusual: Callable[[Op, Any, Any], Any] | None = None
) -> Any:
    """Ask the operands that override a call; where none does now, go on as with any others."""
    from wengert import overrides

    def otherwise() -> Any:
        if unusual is not None:
            return unusual(op, *inputs)
        if not any([isinstance(x, Tensor) for x in inputs]):
            raise errors.not_a_tensor(op.face, inputs[0], op.inputs[0])
        return call(op, inputs, params)

    return overrides.of_record(op, (*inputs, *params), unusual, otherwise)


OPERATORS = {  # Python's, by the op they call
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "eq": "equal",
    "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip


def give_operators(cls: Any) -> None:
    """Give a class of raw arrays Python's operators: rules are written with them."""
    for name, op in OPERATORS.items():
        setattr(cls, f"__{name}__", lambda x, y, op=op: call_raw(OPS[op], (x, y)))
        setattr(cls, f"__r{name}__", lambda x, y, op=op: call_raw(OPS[op], (y, x)))
    for name, op in (("neg", "negative"), ("abs", "absolute"), ("invert", "invert")):
        setattr(cls, f"__{name}__", lambda x, op=op: call_raw(OPS[op], (x,)))
    setattr(cls, "__hash__", lambda x: id(x))


def _as_array(a: Any, source: Any) -> Any:
    if isinstance(a, np.generic):  # first: np.float64 is also a Python float
        return np.asarray(a)
    return constant(a, source.dtype) if isinstance(a, Number) else a


def _flat(arrays: Sequence[Any]) -> list[Any]:
    return [b for a in arrays for b in (a if isinstance(a, tuple | list) else (a,))]


def _key(arrays: Sequence[Any]) -> type:
    """Return the array type that a call dispatches on: the first that is no constant of the host."""
    types = [type(a) for a in _flat(arrays)]
    others = [t for t in types if t is not np.ndarray]
    return functools.reduce(outermost, others) if others else types[0]


def prepare(op: Op, inputs: Sequence[Any], types: tuple[Any, ...]) -> Sequence[Any]:
    """Bring inputs to one device and to the type the op computes in: tensors by a recorded cast, numbers as constants.

    Raises TypeError for what is neither, RuntimeError for mixed devices.
    """
    kinds: list[Any] = []
    homes: set[type] = set()
    for i, x in enumerate(inputs):
        if isinstance(x, Tensor):
            array = x._array
            kinds.append(array.dtype if array.ndim else (array.dtype,))
            homes.add(type(array))
        else:
            kinds.append(type(x) if type(x) in _NUMBERS else kind_of_number(op, i, x))
    wanted, numbers = targets(op, dtypes.default_float(), tuple(kinds))
    if numbers is not None and len(types) <= MANY:
        op.settled[types] = numbers  # no such call comes here again
    if len(homes) > 1 and (op.domain != ANY or wanted):
        inputs = same_device(op, inputs)
    if not wanted:
        return inputs
    ready = []
    for x, dtype in zip(inputs, wanted, strict=True):
        if isinstance(x, Tensor):
            ready.append(x if dtype is None else cast(x, dtype))
        elif dtype is dtypes.BF16 and not op.scales:
            ready.append(constant(np.asarray(x).astype(dtype).astype(F32).item(), F32))
        else:
            ready.append(constant(x, dtype))
    return ready


MANY = 16  # inputs whose types are not remembered: of those that programs join, each number of them would be another key
_NUMBERS = {bool: np.bool_, int: np.integer, float: np.floating, complex: np.complexfloating}


def kind_of_number(op: Op, i: int, x: Any) -> type:
    """Return which of Python's numbers an input counts as. Raises TypeError for what is none."""
    for kind, other in _NUMBERS.items():
        if isinstance(x, kind | other):
            return kind
    name = op.inputs[min(i, len(op.inputs) - 1)]
    raise errors.not_a_tensor(op.face, x, {"x": "input", "y": "other"}.get(name, name))


Types = tuple[Any, ...]
Numbers = tuple[tuple[int, np.dtype[Any]], ...]


@functools.lru_cache(1024)
def targets(op: Op, default: np.dtype[Any], kinds: tuple[Any, ...]) -> tuple[Types, Numbers | None]:
    """Return the types that the inputs of a call are brought to: None for a tensor that has its own already, () where that is
    so for all. And what `op.settled` has of such a call: None where a tensor is cast, or a number decides.

    kinds: a tensor's dtype, alone in a tuple where it is 0-d; a number's class. default: the float type at this time.
    Raises TypeError for a type that the op refuses.
    """
    types = [  # with the levels of `dtypes.common`
        (dtypes.native(k[0]), 1) if isinstance(k, tuple) else
        (dtypes.native(k), 0) if isinstance(k, np.dtype) else (dtypes.of_number(k()), 2) for k in kinds
    ]  # fmt: skip
    if op.domain == ANY and all([level < 2 for _, level in types]):
        return (), ()
    apart = [not op.variadic and op.inputs[i] in op.free for i in range(len(kinds))]
    taking_part = [t for t, free in zip(types, apart, strict=True) if not free]
    common = dtypes.common(taking_part)
    for dtype, _ in taking_part:
        if dtype.kind in op.refuses:
            raise errors.refused(op.face, dtype)
    if op.domain == FLOAT and dtypes.category(common) < dtypes.FLOATING:
        common = default
    wanted: list[Any] = []
    for (dtype, level), free in zip(types, apart, strict=True):
        own = level < 2 and (op.domain == ANY or free or dtype == common)
        wanted.append(None if own else dtype if free else common)
    brought = tuple([(i, dtype) for i, dtype in enumerate(wanted) if dtype is not None])
    if not brought:
        return (), ()
    tensors = {dtype for dtype, level in taking_part if level < 2}
    settled = len(tensors) == 1 and dtypes.BF16 not in tensors
    for i, dtype in brought:
        settled = settled and types[i][1] == 2 and dtype in tensors
    return tuple(wanted), brought if settled else None


def beside_wider(op: Op, inputs: Sequence[Any]) -> Any:
    """Return a product or quotient of a narrow float and a number, or a 0-d tensor, that it does not hold: computed in
    float32, as PyTorch does, so that a loss times 65536 is not infinite; None for all others."""
    x, y = inputs
    narrow, other = (x, y) if isinstance(x, Tensor) else (y, x)
    if isinstance(other, Tensor) and other._array.ndim > narrow._array.ndim:
        narrow, other = other, narrow
    dtype = narrow._array.dtype
    if dtype is not F16 and dtype is not dtypes.BF16:
        return None
    if isinstance(other, Tensor):
        beside = other._array
        if beside.ndim or not narrow._array.ndim or beside.dtype == dtype or dtypes.category(beside.dtype) > dtypes.FLOATING:
            return None
    elif dtype is not F16 or not isinstance(other, int | float):
        return None
    made = call(op, [call(cast, (v,), (F32,)) if isinstance(v, Tensor) else v for v in inputs])
    return relabel(call(cast, (made,), (dtype,)), op.label_of(()))


def same_device(op: Op, inputs: Sequence[Any]) -> Sequence[Any]:
    """Let 0-d host tensors join tensors on another device, as PyTorch does; other mixtures are an error."""
    if state.recorder is not None:
        return inputs
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    target = next((x for x in tensors if not (x._array.ndim == 0 and x.is_cpu)), tensors[0])
    place = target.device
    for x in inputs:
        if isinstance(x, Tensor) and x.device != place and not (x._array.ndim == 0 and x.is_cpu):
            raise errors.devices_differ(op.face, [t.device for t in inputs if isinstance(t, Tensor)])
    return [x.to(place) if isinstance(x, Tensor) and x.device != place else x for x in inputs]


def recover(op: Op, arrays: Sequence[Any], inputs: Sequence[Any], params: Sequence[Any], error: Exception) -> Any:
    """Return the result of a call that a *warning* stopped (1 / 0 where warnings are errors); raise any other failure.

    Many kernels run bare, because switching a library's warnings off costs as much as a small op; where its warnings are
    errors, the op runs once more with them off.
    """
    if not isinstance(error, Warning | FloatingPointError):  # the second: under np.errstate(all="raise")
        raise failed(op, arrays, inputs, params, error) from error
    with backend.of_array(arrays[0]).quiet():
        return op.kernels[_key(arrays)](*arrays, *params, **({"out": ...} if op.elementwise else {}))


def failed(op: Op, arrays: Sequence[Any], inputs: Sequence[Any], params: Sequence[Any], error: BaseException) -> BaseException:
    """Return the error to raise for a kernel that failed: mixed devices first, then what the op itself says."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    if len({type(t._array) for t in tensors}) > 1 and state.recorder is None and len({t.device for t in tensors}) > 1:
        return errors.devices_differ(op.face, [t.device for t in tensors])
    return errors.failed(op, arrays, params, error)


# ---- views
def attach(result: Tensor, source: Tensor, op: Op, params: tuple[Any, ...]) -> None:
    """Make `result` known as a view of `source`: one storage, one write counter, one history. Under `no_grad` it requires
    grad as its base does, but its gradient goes nowhere, and its history is unknown."""
    base = source._base
    if base is None:
        base = source
    box = source._box
    result._base = base
    result._path = (*source._path, (op, params))
    result._box = source.version_box() if box is None else box
    if source._blind:
        result._blind = True
    if source._edge is not None and not state.grad:
        result._blind = True
        if base._edge is not None and dtypes.category(result._array.dtype) >= dtypes.FLOATING:
            result._edge = AccumulateGrad(None)
    views = base._views
    if views is None:
        views = base._views = []
    elif len(views) > 32 and len(views) & (len(views) - 1) == 0:  # a power of two: drop the dead ones
        views[:] = [r for r in views if r() is not None]
    views.append(weakref.ref(result))


# ---- the specialised forms
def taken(op: Op) -> dict[np.dtype[Any], np.dtype[Any]]:
    """Return the real types that an op computes in as they come, each by itself: what equals one of them may be another
    object, with which the arrays that hold other arrays ask for the general call (see dtypes.twin). Halves have plans of
    their own."""
    apart = {"bfloat16"} if op.constant else {"bfloat16", "float16"}
    real = [d.numpy for name, d in dtypes.ALL.items() if name not in apart and not d.is_complex]
    return {d: d for d in real if d.kind in op.takes}


def unary(op: Op) -> Callable[..., Any]:
    """Return the call of a one-input elementwise op: as `call`, in fewer steps for a real type that it takes as it comes."""
    kernels = op.kernels
    plan = op.plan((True,))
    keep_x, keep_out, constant_, width = bool(plan.inputs), plan.out, op.constant, len(op.params)
    others = taken(op)
    if plan.specs or (keep_x and keep_out) or width > 1:
        return general(op)

    def run(input: Any, *params: Any, out: Tensor | None = None) -> Any:
        if out is not None:
            return into(op, (input,), params, out)
        if type(input) is not Tensor and type(input) not in PLAIN:
            kernel = kernels.get(type(input))
            if kernel is None or params:
                return call_raw(op, (input,), params) if kernel is None else kernel(input, *params, out=...)
            return kernel(input, out=...)
        a = input._array
        dtype = a.dtype
        if dtype is not F32 and dtype is not F64 and others.get(dtype) is not dtype:
            return call(op, (input,), params)
        if len(params) != width:
            raise TypeError(f"{op.face}() takes {1 + width} positional arguments but {1 + len(params)} were given")
        try:
            made = kernels[type(a)](a, params[0], out=...) if params else kernels[type(a)](a, out=...)
        except Exception as error:
            made = recover(op, (a,), (input,), params, error)
        result = new(Tensor)
        result._array = made
        result._edge = result._box = None
        if off and not state.grad:
            if state.inference:
                result._box = INFERENCE
            return result
        edge = input._edge
        if edge is None or constant_:
            return result
        if keep_x:
            box = input._box
            if box is None:  # version_box(), without the call
                box = input._box = [0]
            result._edge = make_node(plan, (edge,), (a, None, *params), None, ((box, box[0]),))
        elif keep_out:
            box = result._box = [0]
            result._edge = make_node(plan, (edge,), (None, made, *params), None, ((box, 0),))
        else:
            result._edge = make_node(plan, (edge,), (None, None, *params), None)
        return result

    return run


def specs_of(op: Op, plan: Plan) -> Callable[..., list[Any]]:
    """Return (*inputs, result) -> what rules read of their shapes and types, at its places behind the params."""
    behind = 1 + len(op.inputs) + len(op.params)
    specs = [(place - behind, i, what) for place, i, what in plan.specs]
    width = specs[-1][0] + 1 if specs else 0

    def read(*arrays: Any) -> list[Any]:
        found: list[Any] = [None] * width
        for place, i, what in specs:
            found[place] = getattr(arrays[i], what)
        return found

    return read


def reads_shape(plan: Plan) -> bool:
    """Say whether the one thing a plan reads of specs is the shape of the first input, which stands first of them."""
    return [spec[1:] for spec in plan.specs] == [(0, "shape")]


def single(op: Op) -> Callable[..., Any]:
    """Return the call of a one-input structural op (a reduction, a view): as `call`, in fewer steps."""
    kernels = op.kernels
    plan = op.plan((True,))
    keep_x, keep_out, constant_, view, broadcasts = bool(plan.inputs), plan.out, op.constant, op.view, op.broadcasts
    read, shape_alone = specs_of(op, plan), reads_shape(plan)

    def run(input: Any, *params: Any, out: Tensor | None = None) -> Any:
        if out is not None:
            return into(op, (input,), params, out)
        if not isinstance(input, Tensor):
            kernel = kernels.get(type(input))
            return call_raw(op, (input,), params) if kernel is None else kernel(input, *params)
        a = input._array
        try:
            made = kernels[type(a)](a, *params)
        except Exception as error:
            made = recover(op, (a,), (input,), params, error)
        result = new(Tensor)
        result._array = made
        result._edge = result._box = None
        if view:
            attach(result, input, op, params)
        if off and not state.grad:
            if state.inference and not view:  # a view is of the kind its base is, and shares its counter
                result._box = INFERENCE
            return result
        edge = input._edge
        if edge is None or constant_:
            return result
        category = dtypes.category(made.dtype)
        if category < dtypes.FLOATING:
            return result
        guards: tuple[Any, ...] = ()
        if keep_x:
            box = input.version_box()
            guards = ((box, box[0]),)
        if keep_out:
            box = result.version_box()
            guards += ((box, box[0]),)
        saved = (a if keep_x else None, made if keep_out else None, *params, *((a.shape,) if shape_alone else read(a, made)))
        followed = plan if category == dtypes.FLOATING else op.complex_plan((True,))
        result._edge = make_node(followed, (edge,), saved, (a.shape,) if broadcasts else None, guards)
        return result

    return run


def binary(op: Op, unusual: Callable[[Op, Any, Any], Any] | None = None, numbers: bool = True) -> Callable[..., Any]:
    """Return the call of a two-input elementwise op: as `call`, in fewer steps for tensors of one real type, and for one of
    floats and a number.

    unusual: what to do where the first operand is no tensor, or the second neither tensor nor number (operators leave it to
    Python). numbers: whether the second may be a number without asking `unusual`.
    """
    otherwise = functools.partial(beside, unusual)
    raw = call_raw if unusual is None else lambda op, inputs: otherwise(op, *inputs)
    plain = (float, int) if numbers else ()
    if op.params or op.free or op.domain == ANY:
        return general(op)
    kernels = op.kernels
    plan_x, plan_y, plan_xy = op.plan((True, False)), op.plan((False, True)), op.plan((True, True))
    if plan_xy.specs:
        return general(op)
    others = taken(op)
    steps = {p: (p, 0 in p.inputs, 1 in p.inputs, p.out) for p in (plan_x, plan_y, plan_xy)}
    step_x, step_y, step_xy = steps[plan_x], steps[plan_y], steps[plan_xy]
    boolean = op.constant

    def run(input: Any, other: Any, *, out: Tensor | None = None) -> Any:
        if out is not None:
            return into(op, (input, other), (), out)
        if type(input) is not Tensor and type(input) not in PLAIN:
            if isinstance(other, Tensor):
                return otherwise(op, input, other)
            return raw(op, (input, other))
        a = input._array
        dtype = a.dtype
        if dtype is not F32 and dtype is not F64 and others.get(dtype) is not dtype:
            return call(op, (input, other)) if type(other) is Tensor else otherwise(op, input, other)
        shapes = None
        counted = type(other) is Tensor or type(other) in PLAIN
        if counted:
            b = other._array
            if b.dtype is not dtype or type(b) is not type(a):
                return call(op, (input, other))
            edge_y = other._edge
            if a.shape != b.shape:
                shapes = (a.shape, b.shape)
        else:
            if type(other) not in plain:
                return otherwise(op, input, other)
            b = (_NUMBERS32 if dtype is F32 else _NUMBERS64 if dtype is F64 else _NONE).get(other)
            if b is None:
                if dtype is not F32 and dtype is not F64 and (dtype is not dtypes.I64 or type(other) is not int):
                    return call(op, (input, other))
                b = constant(other, dtype)
            edge_y = None
        try:
            made = kernels[type(a)](a, b, out=...)
        except Exception as error:
            made = recover(op, (a, b), (input, other), (), error)
        result = new(Tensor)
        result._array = made
        result._edge = result._box = None
        if off and not state.grad:
            if state.inference:
                result._box = INFERENCE
            return result
        edge_x = input._edge
        if boolean:
            return result
        if edge_x is not None:
            plan, keep_x, keep_y, keep_out = step_x if edge_y is None else step_xy
        elif edge_y is not None:
            plan, keep_x, keep_y, keep_out = step_y
        else:
            return result
        guards: tuple[Any, ...] = ()
        if keep_x:
            box = input._box
            if box is None:  # version_box(), without the call
                box = input._box = [0]
            guards = ((box, box[0]),)
        if keep_y and counted:
            box = other._box
            if box is None:
                box = other._box = [0]
            guards = (guards[0], (box, box[0])) if keep_x else ((box, box[0]),)
        if keep_out:
            box = result._box = [0]
            guards += ((box, 0),)
        saved = (a if keep_x else None, b if keep_y else None, made if keep_out else None)
        result._edge = make_node(plan, (edge_x, edge_y), saved, shapes, guards)
        return result

    return run


def pair(op: Op) -> Callable[..., Any]:
    """Return the call of a two-input structural op (a product, a choice by indices): as `call`, in fewer steps for real types,
    which are equal where the op computes in one."""
    kernels = op.kernels
    steps = {needs: op.plan(needs) for needs in ((True, False), (False, True), (True, True))}
    step_x, step_y, step_xy = [(p, 0 in p.inputs, 1 in p.inputs, p.out, specs_of(op, p)) for p in steps.values()]
    broadcasts, mixes, others = op.broadcasts, op.domain == ANY, taken(op)
    more = bool(op.params or steps[True, True].specs)

    def run(input: Any, other: Any, *params: Any, out: Tensor | None = None) -> Any:
        if out is not None:
            return into(op, (input, other), params, out)
        if not isinstance(input, Tensor) or not isinstance(other, Tensor):
            kernel = kernels.get(type(input)) if type(other) is type(input) else None
            return call(op, (input, other), params) if kernel is None else kernel(input, other, *params)
        a, b = input._array, other._array
        dtype = a.dtype
        if type(b) is not type(a) or others.get(dtype) is not dtype or (b.dtype is not dtype and not mixes):
            return call(op, (input, other), params)
        try:
            made = kernels[type(a)](a, b, *params)
        except Exception as error:
            made = recover(op, (a, b), (input, other), params, error)
        result = new(Tensor)
        result._array = made
        result._edge = result._box = None
        if off and not state.grad:
            if state.inference:
                result._box = INFERENCE
            return result
        edge_x, edge_y = input._edge, other._edge
        if edge_x is not None:
            plan, keep_x, keep_y, keep_out, read = step_x if edge_y is None else step_xy
        elif edge_y is not None:
            plan, keep_x, keep_y, keep_out, read = step_y
        else:
            return result
        if made.dtype is not F32 and made.dtype is not F64:
            if dtypes.category(made.dtype) < dtypes.FLOATING:
                return result
            plan = plan_of(op, (edge_x is not None, edge_y is not None), made.dtype)
        guards: tuple[Any, ...] = ()
        if keep_x:
            box = input._box
            if box is None:  # version_box(), without the call
                box = input._box = [0]
            guards = ((box, box[0]),)
        if keep_y:
            box = other._box
            if box is None:
                box = other._box = [0]
            guards += ((box, box[0]),)
        if keep_out:
            box = result._box = [0]
            guards += ((box, 0),)
        saved: tuple[Any, ...] = (a if keep_x else None, b if keep_y else None, made if keep_out else None)
        if more:
            saved += (*params, *read(a, b, made))
        result._edge = make_node(plan, (edge_x, edge_y), saved, (a.shape, b.shape) if broadcasts else None, guards)
        return result

    return run


def _general(op: Op, *args: Any, out: Tensor | None = None) -> Any:
    """Call with inputs first and params after, as op tables and rules write it."""
    n = len(op.inputs)
    if out is not None:
        return into(op, args[:n], args[n:], out)
    return call(op, args[:n], args[n:])


def general(op: Op) -> Callable[..., Any]:
    return functools.partial(_general, op)


def into(op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], out: Tensor) -> Tensor:
    """Call with `out=`: the result is written to a given tensor, which takes no part in autograd."""
    from wengert.faces import straight, write_out

    result: Tensor = out if straight(op, inputs, params, out) else write_out(op.face, call(op, inputs, params), out)
    return result


# ---- what op tables are written with
def elementwise(
    name: str, expr: str | None = None, *, inputs: str = "", params: str = "", domain: str = FLOAT, boolean: bool = False,
    free: str = "", face: str = "", label: Any = "", words: str = "", refuses: str = "", scales: bool = False,
    **rules: Callable[..., Any],
) -> Op:  # fmt: skip
    """Enter an elementwise op. Its inputs are those that have rules, or as many of x, y, z as the C text reads.

    name: NumPy's, by which kernels are found. expr: one element in C. domain: what it computes in (SAME, FLOAT, ANY).
    boolean: the result is bool, and nothing is recorded. face: PyTorch's name, if another. words: what an element is, for
    the docstring, where the C text does not say it to people. refuses: NumPy's kinds of elements that it does not take.
    scales: a half beside a number is computed in float32.
    """
    names = tuple(inputs.split()) or tuple(n for n in "xyz" if n in rules or (expr and _mentions(expr, n)))
    op = Op(
        name, names, tuple(params.split()), split_rules(names, rules), None, expr, domain, boolean, elementwise=True,
        broadcasts=len(names) > 1, free=tuple(free.split()), face=face, label=label,
        words=words, refuses=refuses, scales=scales,
    )  # fmt: skip
    op.infer = functools.partial(infer_elementwise, op)
    show_kept(op)
    return register(op, {1: unary, 2: binary}.get(len(names), general))


def structural(
    name: str, inputs: str, infer: Callable[..., Any], *, params: str = "", view: bool = False, broadcasts: bool = False,
    domain: str = ANY, face: str = "", label: Any = "", outputs: int = 1, free: str = "", constant: bool = False,
    keeps: tuple[int, ...] | None = None, once: Callable[..., Any] | None = None, rows: str = "", **rules: Callable[..., Any],
) -> Op:  # fmt: skip
    """Enter an op that moves or joins elements. `infer(*inputs, *params)` gives shape and dtype or raises.

    inputs: "x y", or "*xs" last for a sequence. view: the result shares its input's memory. keeps: of several results,
    those that rules read in `out` (the others are None there). once: a rule whose value other rules read as `once`. rows: how
    compiled functions may run it on a part of the rows, such as "c w -> c" (docs/compiling.md).
    """
    variadic = inputs.split()[-1].startswith("*")
    names = tuple(n.lstrip("*") for n in inputs.split())
    op = Op(
        name, names, tuple(params.split()), split_rules(names, rules), infer, None, domain, constant=constant, view=view,
        broadcasts=broadcasts, variadic=variadic, face=face, label=label, outputs=outputs, free=tuple(free.split()),
        keeps=keeps, once=once, rows=rows,
    )  # fmt: skip
    caller: Callable[[Op], Callable[..., Any]] = general
    if not variadic and outputs == 1:
        if len(names) == 1 and domain == ANY:
            caller = single
        elif len(names) == 2 and not (view or free or constant) and domain != FLOAT:
            caller = pair
    show_kept(op)
    return register(op, caller)


def _mentions(expr: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", expr) is not None


def infer_elementwise(op: Op, *args: Any) -> tuple[tuple[int, ...], Any]:
    """Return shape and dtype of an elementwise result: inputs broadcast, the type stays or becomes bool (or complex)."""
    arrays = args[: len(op.inputs)]
    shapes = [tuple(a.shape) for a in arrays]
    mismatch = errors.broadcast(op.face, shapes)
    if mismatch is not None:
        raise mismatch
    typed = [a for a, n in zip(arrays, op.inputs, strict=True) if n not in op.free]
    given = next((a.dtype for a in typed if a.dtype.kind == "c"), typed[0].dtype)  # in a rule a real g meets complex numbers
    return np.broadcast_shapes(*shapes), np.dtype(bool) if op.boolean else given


# ---- the one op that promotion itself needs
cast = structural(
    "cast", "x", lambda x, dtype: (x.shape, dtype), params="dtype", face="to", label="ToCopyBackward0",
    x=lambda g, x_dtype: recast(g, x_dtype),
)  # fmt: skip


def recast(g: Any, dtype: np.dtype[Any]) -> Any:
    """Return g in another type; from complex to real only the real part counts, which is meant, not an accident."""
    if dtypes.category(g.dtype if not isinstance(g, Tensor) else g._array.dtype) > dtypes.category(dtype):
        g = OPS["real"](g)
    return cast(g, dtype)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the dimensions its input was broadcast along."""
    extra = len(g.shape) - len(shape)
    axes = (*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1))
    if axes:
        g = OPS["sum"](g, axes, True)
    return OPS["reshape"](g, tuple(shape)) if extra else g


def number_beside(array: Any, g: Any) -> Tensor:
    """Return a number that a node kept as a Tensor: one beside bfloat16 is kept in float32, which must not promote it."""
    narrow = dtypes.BF16 is not None and isinstance(g, Tensor) and g._array.dtype is dtypes.BF16 and array.dtype is F32
    return wrap(cast(array, dtypes.BF16) if narrow else array)


tape.sum_to, tape.number = sum_to, number_beside


def relabel(result: Tensor, label: str) -> Tensor:
    """Give the node of a fresh result the name PyTorch prints for the function that was called."""
    if isinstance(result._edge, Node):
        result._edge.label = label
    return result
