"""The PyTorch face: which function is `wengert.foo`, `Tensor.foo` and `Tensor.foo_`.

Owns: the public tables `FUNCTIONS` and `METHODS`, the decorators that op files use, and the final dressing of `Tensor`.
May import: op, record, tensor, inplace. Must not know: any formula.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from wengert import backend, dtypes, errors
from wengert import registry as registry_
from wengert._tensor import INFERENCE, Tensor
from wengert.inplace import LARGE, bump, check, inplace, inplace_op, plain_floats
from wengert.inplace import write_out as write_out
from wengert.memory import apart
from wengert.op import OPS, Op, grad_name
from wengert.record import asked, binary, call, constant, overridden, relabel
from wengert.registry import forms, registry

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}  # wengert.<name>
METHODS: dict[str, Callable[..., Any]] = {}  # Tensor.<name>
PROPERTIES: dict[str, Callable[..., Any] | property] = {}  # Tensor.<name>, without a call


def face(*names: str, method: bool = True, function: bool = True) -> Callable[[F], F]:
    """Publish a function under PyTorch's names: as `wengert.<name>` and as a method of Tensor."""

    def publish(f: F) -> F:
        for name in names:
            if function and not name.startswith("__"):
                FUNCTIONS[name] = f
            if method:
                METHODS[name] = f
        return f

    return publish


def composite(*names: str, label: str | None = None) -> Callable[[F], F]:
    """Publish a function made of ops; its result prints the gradient name PyTorch has for the whole.

    No rule and no kernel: the ops it is made of have them.
    """

    def publish(f: F) -> F:
        return face(*names)(labelled(label or grad_name(names[0]))(f))

    return publish


gates: dict[Callable[..., Any], Any] = {}  # public functions that are called again where an argument overrides them: their code


def again(gate: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a public function again that failed, where an argument's class overrides it, or where arguments have NumPy's names
    in place of its own; else let the exception go on.

    (So it costs nothing while there are no such classes; afterwards functions ask first. See overrides.py.)
    """
    if gate in gates and any([hasattr(type(x), "__torch_function__") for x in _leaves((*args, *kwargs.values()))]):
        from wengert import overrides

        if overrides.again(gate, args, kwargs):
            return gate(*args, **kwargs)
    error = sys.exception()
    if isinstance(error, AttributeError):
        no_tensor(gate, args, kwargs, error)
    if kwargs and isinstance(error, TypeError):
        own = {*named(gate)} - {*kwargs}
        words = {word: name for word, name in FOREIGN.items() if word in kwargs and word not in named(gate) and name in own}
        if words:
            return gate(*args, **in_our_words({**kwargs}, words))
    raise  # noqa: PLE0704  (the exception that the caller handles)


def no_tensor(gate: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: AttributeError) -> None:
    """Raise TypeError for a function that asked one of its first two arguments for what only a tensor has."""
    import inspect  # slow to import

    for i, value in enumerate(args[:2]):
        if value is error.obj and not isinstance(value, Tensor):
            names = [*inspect.signature(gate).parameters]
            raise errors.not_a_tensor(gate.__name__, value, names[i] if i < len(names) else i) from None


def named(function: Any) -> tuple[str, ...]:
    """Return the parameters of a function, as it is inside, that can be given by name."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]  # type: ignore[no-any-return]


def _leaves(values: Iterable[Any]) -> list[Any]:
    return [x for v in values for x in (v if isinstance(v, tuple | list) else (v,))]


def labelled(label: str) -> Callable[[F], F]:
    """Let the result of a function made of ops print the gradient name PyTorch has for the whole."""

    def dressed(f: F) -> F:
        @functools.wraps(f)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                result = f(*args, **kwargs)
            except Exception:
                return again(run, args, kwargs)
            return relabel(result, label) if isinstance(result, Tensor) else result

        return run  # type: ignore[return-value]

    return dressed


def straight(op: Op, inputs: tuple[Any, ...], params: tuple[Any, ...], out: Any) -> bool:
    """Let the kernel of an elementwise op write straight to `out=`, where it computes many floats of its shape on the host of
    which nothing is recorded; say whether it did."""
    if not op.elementwise or op.boolean or not isinstance(out, Tensor) or out._array.size < LARGE:
        return False
    if not plain_floats(out, *[x for x in inputs if type(x) not in (int, float)]):
        return False
    array = out._array
    arrays = [constant(x, array.dtype) if type(x) in (int, float) else x._array for x in inputs]
    if out._box is INFERENCE or not apart(array, arrays):
        return False
    with backend.of_array(array).quiet():
        op.kernels[type(array)](*arrays, *params, out=array)
    bump(out)
    return True


def in_place(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the in-place form of a function: of one that takes `out=` by that, where floats are many and none is recorded."""
    method = inplace(name, function)
    if "out" not in (getattr(function, "__kwdefaults__", None) or ()):
        return method

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._array.size < LARGE or "out" in kwargs:
            return method(self, *args, **kwargs)
        others = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
        if type(self._array) is not np.ndarray or not plain_floats(self, *others):
            return method(self, *args, **kwargs)
        check(self)
        return function(self, *args, out=self, **kwargs)

    return run


def with_out(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that also takes `out=`: a tensor (or tuple of tensors) that the result is written to."""

    @functools.wraps(function)
    def run(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        try:
            result = function(*args, **in_our_words(kwargs)) if kwargs else function(*args)
        except Exception:
            return again(run, args, kwargs if out is None else {**kwargs, "out": out})
        return result if out is None else write_out(name, result, out)

    return run


NUMPYS = {"axis": "dim", "keepdims": "keepdim"}
FOREIGN = {**NUMPYS, "a": "input", "x": "input", "x1": "input", "x2": "other"}  # NumPy's words that every function takes
WORDS = {  # what PyTorch's overloads and aliases call the parameters of one function here
    "split": {"tensor": "input", "split_size": "split_size_or_sections", "split_sizes": "split_size_or_sections"},
    "split_with_sizes": {"split_sizes": "split_size_or_sections"},
}


def in_our_words(kwargs: dict[str, Any], words: dict[str, str] = NUMPYS) -> dict[str, Any]:
    """Return keyword arguments with other words that PyTorch takes (NumPy's, for example) in those of the function."""
    for other, own in words.items():
        if other in kwargs and own not in kwargs:
            kwargs[own] = kwargs.pop(other)
    return kwargs


def taking(words: dict[str, str], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes other words for its parameters as well: `axis=` for `dim=`."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **in_our_words(kwargs, words)) if kwargs else function(*args)
        except Exception:
            return again(run, args, kwargs)

    return run


def gate(function: F) -> F:
    """Return a function that comes again where it fails (see `again`)."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception:
            return again(run, args, kwargs)

    return run  # type: ignore[return-value]


class Late:
    """Stands on Tensor for a registered method until it is first asked for. (A `__getattr__` would find it too, and make
    every attribute of every tensor slower: 0.1 us each.)"""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        method = registry.resolve("methods", self.name)
        setattr(Tensor, self.name, method)
        return method if instance is None else getattr(instance, self.name)


def show_method(name: str) -> None:
    setattr(Tensor, name, Late(name))


# Other names PyTorch has for the same thing.
ALIASES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "concat": "cat", "concatenate": "cat", "fix": "trunc", "ger": "outer",
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "moveaxis": "movedim", "multiply": "mul",
    "negative": "neg", "not_equal": "ne", "row_stack": "vstack", "swapaxes": "transpose", "swapdims": "transpose",
}  # fmt: skip

# Python's operators, by the op they call: (forward, reflected, in place).
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift",
    "rshift": "right_shift",
}  # fmt: skip
COMPARISONS = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}


def _document(op: Op) -> None:
    formula = op.words or op.expr or f"{op.name}({', '.join(op.inputs)})"
    called = {("x",): " (x is `input`)", ("x", "y"): " (x is `input`, y is `other`)"}.get(op.inputs, "")
    op.__call__.__doc__ = f"Return {formula} for each element{called}."
    op.__call__.__name__ = op.face


def dress() -> None:
    """Attach functions and methods for everything registered: elementwise ops by their record, the rest by face."""
    for op in OPS.values():
        if op.elementwise and not op.params and op.face not in FUNCTIONS and op.name not in _PRIVATE:
            _document(op)
            FUNCTIONS[op.face] = METHODS[op.face] = public(op)
    for name in _OUT:
        FUNCTIONS[name] = with_out(name, FUNCTIONS[name])
    for name, words in {**dict.fromkeys(_AXIS, NUMPYS), **WORDS}.items():
        function = FUNCTIONS[name] = taking(words, FUNCTIONS[name])
        if name in METHODS:
            METHODS[name] = function
    for alias, name in ALIASES.items():
        FUNCTIONS.setdefault(alias, FUNCTIONS[name])
        METHODS.setdefault(alias, METHODS.get(name, FUNCTIONS[name]))
    for name, method in METHODS.items():
        setattr(Tensor, name, method if not isinstance(method, functools.partial) else _as_method(name, method))
    for name, get in PROPERTIES.items():
        setattr(Tensor, name, get if isinstance(get, property) else property(get))
    by_face = {op.face: op for op in OPS.values() if op.elementwise and not op.params and not op.free}
    writing = {id(METHODS[name]) for name in _IN_PLACE}  # aliases have an in-place form too
    for name in [*METHODS]:
        if id(METHODS[name]) not in writing or name.startswith("_") or hasattr(Tensor, name + "_"):
            continue
        own = by_face.get(name)
        if own is not None and own.__call__ is getattr(METHODS[name], "record", METHODS[name]) and len(own.inputs) <= 2:
            setattr(Tensor, name + "_", inplace_op(name + "_", own))
        else:
            setattr(Tensor, name + "_", in_place(name + "_", METHODS[name]))
    for name, op_name in {**OPERATORS, **COMPARISONS}.items():
        setattr(Tensor, f"__{name}__", operator(OPS[op_name], "RemainderBackward1" if name == "mod" else ""))
    for name, op_name in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
        setattr(Tensor, f"__{name}__", twin(OPS[op_name].__call__))
    setattr(Tensor, "__invert__", _of_integers(getattr(Tensor, "__invert__")))
    for name, op_name in OPERATORS.items():
        setattr(Tensor, f"__i{name}__", _guarded(inplace_op(f"{name}_", OPS[op_name])))
        setattr(Tensor, f"__r{name}__", REFLECTED.get(name) or _swapped(OPS[op_name]))
    Tensor.__ipow__ = _guarded(Tensor.pow_)  # type: ignore[attr-defined]
    setattr(Tensor, "__radd__", getattr(Tensor, "__add__"))
    setattr(Tensor, "__rmul__", getattr(Tensor, "__mul__"))
    setattr(Tensor, "__rsub__", operator(OPS["rsub"], "RsubBackward0"))
    for way in ("", "r", "i"):  # Python 2's names, which PyTorch keeps
        setattr(Tensor, f"__{way}div__", getattr(Tensor, f"__{way}truediv__"))
    for name, function in {**METHODS, **FUNCTIONS}.items():
        if function.__name__ not in FUNCTIONS and function.__name__ not in METHODS:
            function.__name__ = name
    asking = {OPS["exp"].__call__.__code__, OPS["multiply"].__call__.__code__}
    gated: dict[Any, Any] = {}
    for name, function in FUNCTIONS.items():
        if isinstance(function, FunctionType) and function.__code__ not in asking and name not in _GATELESS:
            if not hasattr(function, "__wrapped__") and not function.__name__.startswith("<"):  # else it is one already
                FUNCTIONS[name] = gated.setdefault(function, gate(function))
            gates[FUNCTIONS[name]] = FUNCTIONS[name].__code__
    for name, function in FUNCTIONS.items():
        findable(name, function)
    twins: dict[int, Any] = {}
    for name, function in METHODS.items():
        if vars(Tensor).get(name) is function and (function in gated or FUNCTIONS.get(name) is function):
            METHODS[name] = twins.setdefault(id(function), twin(function))
            setattr(Tensor, name, METHODS[name])


def public(op: Op) -> Callable[..., Any]:
    """Return what a record is as a function: its own call, or the form that is strict with numbers."""
    return strict(op) if op.face in _STRICT else op.__call__


def of_record(name: str, op: Op) -> Callable[..., Any]:
    """Return what a family's record is as a function and as a method."""
    _document(op)
    run = public(op)
    return _as_method(name, run) if isinstance(run, functools.partial) else run


def writing(name: str, function: Any) -> Callable[..., Any]:
    """Return the in-place form of a family's function or record."""
    small = isinstance(function, Op) and function.elementwise and len(function.inputs) <= 2
    return inplace_op(name, function) if small and not (function.params or function.free) else inplace(name, function)


published: Callable[[str, str, Any], None] | None = None  # set by overrides.py, while there are classes that override
compiled_calls: list[Any] = []  # by the compiler: methods by which objects with a `function` are called
plain: dict[Any, FunctionType] = {}  # by overrides.py: what public functions were before they asked first


_found: set[FunctionType] = set()


def findable(name: str, function: Any) -> None:
    """Let pickle find a public function by its public name, where its own leads to something else, or nowhere."""
    if not isinstance(function, FunctionType) or function in _found:
        return
    _found.add(function)
    if vars(sys.modules.get(function.__module__, registry_)).get(function.__qualname__) is not function:
        function.__module__, _, function.__qualname__ = f"wengert.{name}".rpartition(".")


def shown(name: str, value: Any) -> Any:
    """Return what a family's function is in public."""
    value = value if "." in name else of_words(value)
    findable(name, value)
    if published is not None:
        published("ops", name, value)
    return value


def of_words(value: Any) -> Any:
    """Return a family's function as one that takes NumPy's words too (see `again`), if it has others for them."""
    plain = isinstance(value, FunctionType) and not hasattr(value, "__wrapped__")
    return _worded.setdefault(value, gate(value)) if plain and "dim" in named(value) else value


_worded: dict[FunctionType, Any] = {}


def show_call(call: Any) -> None:
    """Let a method that stands for a user's function run that itself, where an argument overrides functions."""
    compiled_calls.append(call)
    if published is not None:
        published("calls", "", call)


def shown_method(name: str, value: Any) -> Any:
    """Return what a family's method is in public: another function than the one of that name, as in PyTorch."""
    value = twin(of_words(value))
    if published is not None:
        published("methods", name, value)
    return value


def _of_integers(invert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `~`, which raises TypeError for floats, where `bitwise_not` raises NotImplementedError, as in PyTorch."""

    def run(self: Any) -> Any:
        if dtypes.category(self._array.dtype) >= dtypes.FLOATING:
            raise errors.not_bits(self.dtype)
        return invert(self)

    run.__name__ = "__invert__"
    return run


def twin(function: Any) -> Any:
    """Return a function that does the same and is another: who overrides functions has to tell them apart."""
    if not isinstance(function, FunctionType):
        return function
    source = plain.get(function, function)
    made = FunctionType(source.__code__, source.__globals__, source.__name__, source.__defaults__, source.__closure__)
    made.__kwdefaults__, made.__doc__, made.__qualname__ = source.__kwdefaults__, function.__doc__, function.__qualname__
    made.__dict__.update({"record": function, **source.__dict__})
    made.__annotations__ = function.__annotations__
    return made


forms.update(out=with_out, inplace=writing, record=of_record, ops=shown, methods=shown_method)
registry_.show_method = show_method
registry_.has_method = lambda name: hasattr(Tensor, name)

# Functions, not methods, that take out=, beside those of elementwise records, which all do.
_OUT = (
    "addcdiv", "addcmul", "lerp", "outer", "tensordot", "diag", "hstack", "index_add", "index_select",
    "masked_select", "scatter", "scatter_add", "take", "take_along_dim", "tril", "triu", "vstack",
)  # fmt: skip
# Functions and methods that take NumPy's words for dim and keepdim; `sum`, `mean` and `cat` have them of their own.
_AXIS = (
    "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "chunk", "count_nonzero", "cumsum", "log_softmax",
    "logsumexp", "max", "min", "prod", "softmax", "sort", "squeeze", "stack", "std", "topk", "unbind", "unsqueeze", "var",
)  # fmt: skip
# Functions that need no gate: those that pass what they are given to a record, and makers of tensors.
_GATELESS = frozenset(
    "add sub subtract div divide true_divide tensor as_tensor from_numpy zeros ones empty full scalar_tensor arange linspace "
    "logspace eye is_tensor broadcast_shapes manual_seed seed initial_seed get_rng_state set_rng_state rand randn randint "
    "randperm".split()
)
# Public under another function that says more, or internal.
_PRIVATE = {"overwrite", "rint", "clip", "power", "rsub", "where", "add", "subtract", "divide"}
# Functions that take no number in the place of their first tensor; those marked False not in that of the second either.
_STRICT = dict.fromkeys("eq ne lt le gt ge".split(), True)
_TWO_TENSORS = "atan2 fmax fmin gcd hypot lcm logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum nextafter"
_STRICT |= dict.fromkeys(_TWO_TENSORS.split(), False)
# Methods with an in-place form, as PyTorch has them; the last line's change how a tensor looks at its memory.
_IN_PLACE = frozenset(
    "abs acos acosh addcdiv addcmul addmm asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or "
    "bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min cos cosh cumsum div eq erf erfc exp exp2 expm1 floor "
    "floor_divide fmod ge gt hypot index_add index_put le lerp log log10 log1p log2 logical_and logical_not logical_or "
    "logical_xor lt masked_fill mul ne neg pow reciprocal relu remainder round rsqrt scatter scatter_add sgn sigmoid sign sin "
    "sinh sqrt square tan tanh tril triu trunc "
    "squeeze t transpose unsqueeze".split()
)
_OPERAND = (Tensor, bool, int, float, complex)


def strict(op: Op) -> Callable[..., Any]:
    """Return the public form of a two-input op that takes numbers only where PyTorch's does; records take them anywhere."""
    numbers = _STRICT[op.face]

    def checked(op: Op, input: Any, other: Any) -> Any:
        for x, name in ((input, "input"), (other, "other"))[: 2 - numbers]:
            if not isinstance(x, Tensor):
                raise errors.not_a_tensor(op.face, x, name)
        return call(op, (input, other))

    run = binary(op, checked, numbers)
    if isinstance(run, functools.partial):

        def run(input: Any, other: Any, *, out: Any = None) -> Any:
            result = checked(op, input, other)
            return result if out is None else write_out(op.face, result, out)

    run.record = op.__call__  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = op.face, op.__call__.__doc__
    return run


def _as_method(name: str, function: functools.partial[Any]) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = function.__doc__
    return method


def operator(op: Op, of_tensors: str = "") -> Callable[..., Any]:
    """Return an operator method: the op's own specialised call, that leaves strange operands to Python.

    of_tensors: what the gradient of two tensors is called, where that of a tensor and a number has another name.
    """
    run = binary(op, unusual)
    if isinstance(run, functools.partial):
        return lambda self, other: unusual(op, self, other)
    if of_tensors:
        return lambda self, other: relabel(run(self, other), of_tensors) if isinstance(other, Tensor) else run(self, other)
    return run


def unusual(op: Op, self: Any, other: Any) -> Any:
    """Call with any operand: tensors and numbers of all kinds, NumPy's too; NotImplemented for the rest."""
    if not isinstance(self, Tensor):
        raise errors.not_a_tensor(op.face, self, "self")
    if isinstance(other, _OPERAND):
        return call(op, (self, other))
    import numpy as np

    from wengert.ops.creation import as_tensor

    if isinstance(other, np.generic):
        return call(op, (self, other.item()))
    if isinstance(other, np.ndarray):
        return call(op, (self, as_tensor(other)))
    return NotImplemented


def _swapped(op: Op) -> Callable[..., Any]:
    return lambda self, other: unusual_swapped(op, self, other)


def unusual_swapped(op: Op, self: Any, other: Any) -> Any:
    if not isinstance(self, Tensor):
        raise errors.not_a_tensor(op.face, self, "self")
    if isinstance(other, _OPERAND):
        return call(op, (other, self))
    import numpy as np

    from wengert.ops.creation import as_tensor

    if isinstance(other, np.generic):
        return call(op, (other.item(), self))
    if overridden(type(other)):
        return asked(op, (other, self))
    return call(op, (as_tensor(other), self)) if hasattr(other, "__array__") else NotImplemented


REFLECTED: dict[str, Callable[..., Any]] = {}  # reflected operators that are not the plain op with swapped operands


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    def run(self: Tensor, other: Any) -> Any:
        return method(self, other) if isinstance(other, _OPERAND) else NotImplemented

    return run
