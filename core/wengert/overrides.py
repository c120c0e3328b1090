"""`wengert.overrides`: `__torch_function__`, by which a class of the user's own decides what a function does with it.

Owns: who overrides a call and in which order they are asked, the entrances by which functions and methods of `wengert` ask,
modes, and PyTorch's `torch.overrides`. May import: faces, registry, tensor. Must not know: any op.
A program without such classes never asks. When the first one appears, every public function and method is given an entrance, in
place, so that it stays the same object; elementwise records ask by themselves, where they meet an operand unknown to them.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np

from wengert import errors, faces
from wengert._tensor import PLAIN, Tensor, _disabled_torch_function_impl, refuse_dispatch
from wengert.op import OPS, Op
from wengert.registry import registry

_ORDINARY = {Tensor, bool, int, float, complex, str, type(None), np.ndarray, slice, type(...)}


class _State(threading.local):
    off: int = 0  # 1: subclasses and other classes are not asked; 2: modes neither

    def __init__(self) -> None:
        self.modes: list[Any] = []  # that are entered on this thread, innermost last
        self.cast: Any = None  # how functions are run inside of an autocast: (name, function, args, kwargs) -> result


_state = _State()


# ---- who is asked
def overriding(values: Iterable[Any]) -> list[Any]:
    """Return the arguments that override a call, one of each class: subclasses before their bases, else from left to right."""
    found: list[Any] = []
    for value in values:
        kind = type(value)
        if kind in _ORDINARY or kind in PLAIN:
            continue
        for x in value if isinstance(value, tuple | list) else (value,):
            _consider(x, found)
    return found


def _consider(x: Any, found: list[Any]) -> None:
    kind = type(x)
    if kind in _ORDINARY or kind in PLAIN or isinstance(x, type) or not _overrides(kind):
        return
    if kind in [type(y) for y in found]:
        return
    place = next((i for i, y in enumerate(found) if issubclass(kind, type(y))), len(found))
    found.insert(place, x)


def _overrides(kind: type) -> bool:
    own = getattr(kind, "__torch_function__", None)
    if own is None or own is _disabled_torch_function_impl or kind is Tensor:
        return False
    return getattr(own, "__module__", None) not in ("torch._tensor", "torch._C")  # PyTorch's tensors are no wengert's


def ask(func: Any, found: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any], named: bool = False) -> Any:
    """Return what `answer` does. Raises TypeError where all return NotImplemented."""
    result = answer(func, found, args, kwargs, named)
    if result is NotImplemented:
        kinds = [type(x) for x in (*found, *_state.modes[-1:])]
        raise errors.no_override(resolve_name(func) or repr(func), kinds)
    return result


def answer(func: Any, found: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any], named: bool = False) -> Any:
    """Ask the innermost mode and then those who override, in turn, until one does not return NotImplemented.

    named: say that there are no arguments by name, too; functions of PyTorch's own leave that to the default."""
    types = tuple([type(x) for x in found])
    given = (kwargs,) if kwargs or named else ()
    if _state.modes and _state.off < 2:
        with _outer() as mode:
            result = mode.__torch_function__(func, types, args, *given)
        if result is not NotImplemented:
            return result
    for x in found:
        result = x.__torch_function__(func, types, args, *given)
        if result is not NotImplemented:
            return result
    return NotImplemented


@contextlib.contextmanager
def _outer() -> Iterator[Any]:
    """Take the innermost mode away for a while: what it does itself is for the next one."""
    mode = _state.modes.pop()
    try:
        yield mode
    finally:
        _state.modes.append(mode)


def of_record(op: Op, operands: tuple[Any, ...], unusual: Callable[..., Any] | None, otherwise: Callable[[], Any]) -> Any:
    """Call a record on operands of which some are unknown: ask them, or go on. unusual: what the record's caller does with
    unusual operands, by which that of an operator is known."""
    found = [] if _state.off else overriding(operands)
    if not found:
        return otherwise()
    if not _Entrances.open:
        _Entrances.all()
        if _inside_a_gate():  # it comes again by its entrance, as the function that was called
            raise errors.not_a_tensor(op.face, found[0], "input")
    if unusual is faces.unusual:
        return answer(getattr(Tensor, _SYMBOLS.get(op.face, op.face)), found, operands, {})
    return ask(faces.FUNCTIONS.get(op.face, op.__call__), found, operands, {})


def _inside_a_gate() -> bool:
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code in faces.gates:
            return True
        frame = frame.f_back
    return False


def again(gate: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Say whether a public function that failed is to be called once more: an argument overrides it, by its new entrance."""
    if _state.off or not overriding((*args, *kwargs.values())):
        return False
    was_open, _ = _Entrances.open, _Entrances.all()
    return not was_open


# ---- entrances
class _Entrance:
    """What a function does first, once there are classes that override: ask them. It is the same function as before."""

    ask = staticmethod(ask)

    def __init__(self, function: FunctionType, func: Any, always: bool, name: str) -> None:
        self.func, self.name = func, name
        self.always = always  # modes are asked also where no argument is a tensor
        self.code = function.__code__, function.__defaults__, function.__kwdefaults__
        self.function, self.plain = function, FunctionType(*_parts(function))
        self.plain.__kwdefaults__ = function.__kwdefaults__
        self.plain.__dict__.update(function.__dict__)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _state.off < 2:
            found = [] if _state.off else overriding((*args, *kwargs.values()) if kwargs else args)
            if found or (_state.modes and (self.always or any([_holds(x) for x in args]))):
                return self.ask(self.func, found, args, kwargs)
        if _state.cast is not None:
            return _state.cast(self.name, self.plain, args, kwargs)
        return self.plain(*args, **kwargs)

    def put(self) -> None:
        function, old = self.function, self.function.__code__
        code = _entered(old.co_freevars)
        consts = tuple([self if c == "ENTRANCE" else c for c in code.co_consts])
        function.__code__ = code.replace(co_consts=consts, co_name=old.co_name, co_qualname=old.co_qualname)
        function.__defaults__ = function.__kwdefaults__ = None
        function.__wrapped__ = self.plain  # type: ignore[attr-defined]  # whose signature is shown

    def take_away(self) -> None:
        code, self.function.__defaults__, self.function.__kwdefaults__ = self.code
        self.function.__code__ = code  # last: another thread may be about to call
        self.function.__dict__.clear()
        self.function.__dict__.update(self.plain.__dict__)


class _Quiet(_Entrance):
    """The entrance of what no class overrides: none is asked inside either, but modes are, where there is anything to say."""

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.always and _state.modes and _state.off < 2:
            return ask(self.func, [], args, kwargs)
        with DisableTorchFunctionSubclass():
            return self.plain(*args, **kwargs)


class _Operator(_Entrance):
    """The entrance of an operator: where all return NotImplemented, Python asks the other operand."""

    ask = staticmethod(answer)


class _Eager(_Entrance):
    """The entrance of a compiled function's call: with arguments that override, or in an autocast, the function itself runs."""

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _state.modes or _state.cast is not None or overriding((*args[1:], *kwargs.values())):
            return args[0].function(*args[1:], **kwargs)
        return self.plain(*args, **kwargs)


def _holds(x: Any) -> bool:
    """Say whether an argument is a tensor or has one in it."""
    return isinstance(x, Tensor) or (isinstance(x, tuple | list) and any([isinstance(y, Tensor) for y in x]))


def _parts(function: FunctionType) -> tuple[Any, ...]:
    return function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__


@functools.cache
def _entered(free: tuple[str, ...]) -> CodeType:
    """Return the code of an entrance in place of one that has these variables of outer functions.

    It has them too, where Python takes them from the function's closure: a frame that only says so in `co_freevars` ends the
    process when somebody reads its `f_locals`.
    """
    names, line = ", ".join(free), sys._getframe().f_lineno + 1  # which tracebacks show
    source = f"def outer({names}):\n def run(*args, **kwargs): return 'ENTRANCE'.__call__(args, kwargs) if 1 else ({names})"
    scope: dict[str, Any] = {}
    exec(compile(f"{source}\n return run", __file__, "exec"), scope)  # noqa: S102
    code: CodeType = scope["outer"](*free).__code__
    return code.replace(co_freevars=free, co_firstlineno=line)


class _Entrances:
    """All entrances: of functions and methods while any class overrides, of records and factories while there is a mode."""

    open = False
    known: dict[FunctionType, _Entrance] = {}
    of_modes: list[_Entrance] = []
    entered = 0  # modes, on all threads
    lock = threading.RLock()

    @classmethod
    def all(cls) -> None:
        """Give every public function and method that is loaded its entrance, and those loaded later theirs."""
        with cls.lock:
            if cls.open:
                return
            cls.open = True
            faces.published = cls.publish
            for name, value in [*vars(Tensor).items()]:
                if name not in _INSIDE and (name == "_version" or not name.startswith("_") or name.startswith("__")):
                    cls.publish("methods", name, value)
            for name, function in _public():
                cls.publish("ops", name, function)
            for call in faces.compiled_calls:
                cls.publish("calls", "", call)

    @classmethod
    def publish(cls, kind: str, name: str, value: Any) -> None:
        """Give a function, or what a property runs, its entrance."""
        if isinstance(value, property):
            for run, func in ((value.fget, value.__get__), (value.fset, value.__set__), (value.fdel, value.__delete__)):
                if isinstance(run, FunctionType):
                    cls.add(run, func, name)
        elif not isinstance(value, FunctionType):
            return
        elif kind == "calls":
            cls.add(value, value, name, form=_Eager)
        elif name in _NEVER:
            cls.add(value, value, name, name in _MODES_ONLY, form=_Quiet)
        else:
            if value.__name__ not in vars(Tensor) and value.__name__ not in faces.FUNCTIONS:
                value.__name__ = name.rpartition(".")[2]
            func = getattr(Tensor, _MEANT[name]) if name in _MEANT else value
            factory = kind == "ops" and _is_factory(value)
            one, two = _asking()  # of methods, those of binary operators ask by themselves; functions all do
            code = value.__code__
            asks = code is two and name.startswith("__") if kind == "methods" else code in (one, two)
            form = _Operator if kind == "methods" and name in _OPERATORS else _Entrance
            cls.add(value, func, name, kind == "ops", factory or asks, form)

    @classmethod
    def add(
        cls, function: FunctionType, func: Any, name: str, factory: bool = False, modes: bool = False,
        form: type[_Entrance] = _Entrance,
    ) -> None:  # fmt: skip
        if function in cls.known:
            return
        entrance = cls.known[function] = form(function, func, factory, name)
        faces.plain[function] = entrance.plain
        if modes:
            cls.of_modes.append(entrance)
            if cls.entered:
                entrance.put()
        else:
            entrance.put()

    @classmethod
    def enter_mode(cls) -> None:
        with cls.lock:
            cls.all()
            for entrance in () if cls.entered else cls.of_modes:
                entrance.put()
            cls.entered += 1  # last: what is interrupted before is not left either

    @classmethod
    def leave_mode(cls) -> None:
        with cls.lock:
            cls.entered -= 1
            for entrance in cls.of_modes if cls.entered == 0 else ():
                entrance.take_away()


open_entrances = _Entrances.all


def cast() -> Callable[..., Any] | None:
    """Return what `casting` set on this thread."""
    return _state.cast  # type: ignore[no-any-return]


@contextlib.contextmanager
def casting(cast: Callable[..., Any] | None) -> Iterator[None]:
    """Let functions be run inside by `cast(name, function, args, kwargs)`, on this thread; None: as they are."""
    if cast is not None:
        _Entrances.all()
    before, _state.cast = _state.cast, cast
    try:
        yield
    finally:
        _state.cast = before


_FACTORIES = ("wengert.ops.creation", "wengert.ops.random", "wengert_ops.creation", "wengert_sparse.making")
_SYMBOLS = {  # methods of operators that are overridden under their own names
    "floor_divide": "__floordiv__", "eq": "__eq__", "bitwise_and": "__and__", "bitwise_or": "__or__", "bitwise_xor": "__xor__",
    "bitwise_left_shift": "__lshift__", "bitwise_right_shift": "__rshift__", "rsub": "__rsub__",
}  # fmt: skip
_MEANT = {  # operators that are overridden under the name of the method they call
    "__add__": "add", "__sub__": "sub", "__mul__": "mul", "__truediv__": "div", "__mod__": "remainder", "__iadd__": "add_",
    "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_", "__pow__": "pow", "__matmul__": "matmul",
    "__neg__": "neg", "__abs__": "abs",
}  # fmt: skip
_NEVER = frozenset(
    "is_tensor is_storage as_tensor tensor from_numpy manual_seed seed initial_seed get_rng_state set_rng_state "
    "broadcast_shapes result_type can_cast promote_types as_subclass masked.masked_tensor masked.as_masked_tensor "
    "masked.is_masked_tensor".split()
)
_MODES_ONLY = frozenset({"tensor", "as_tensor"})
_OPERATORS = frozenset(
    f"__{reflected}{name}__" for reflected in ("", "r")
    for name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
) | {f"__{name}__" for name in "eq ne lt le gt ge".split()}  # fmt: skip
_INSIDE = frozenset(  # of a class, or of wengert
    "__new__ __init__ __init_subclass__ __torch_function__ __hash__ __getattribute__ __getattr__ __setattr__ __delattr__ "
    "__class_getitem__ __array_namespace__ __iter__ version_box leave_storage retain_last host as_subclass".split()
)


def _is_factory(function: Any) -> bool:
    inner = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    return getattr(inner, "__globals__", {}).get("__name__") in _FACTORIES and "_like" not in function.__name__


@functools.cache
def _asking() -> tuple[Any, Any]:
    """Return the code of the records that ask by themselves, those of one input and of two."""
    return OPS["exp"].__call__.__code__, OPS["multiply"].__call__.__code__


def _public() -> list[tuple[str, Any]]:
    """Return the public functions that are loaded, with their names."""
    from wengert import autograd

    tables = [registry.tables[kind].items() for kind in ("ops", "methods")]
    loaded = [(name, entry.value) for table in tables for name, entry in table if entry.public]
    own = [("backward", autograd.backward), ("grad", autograd.grad)]
    return [*faces.FUNCTIONS.items(), *loaded, *own]


# ---- what a subclass does that says nothing of its own
def default(cls: type[Tensor], func: Any, types: Sequence[type], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function as on plain tensors, and let its results be of the class; NotImplemented beside a class that is no base
    of it, and for a function of PyTorch's, which would ask again."""
    if not all([issubclass(cls, kind) for kind in types]) or isinstance(func, BuiltinFunctionType | MethodDescriptorType):
        return NotImplemented
    if str(getattr(func, "__module__", None)).startswith("torch."):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **kwargs)
    return result if func in get_default_nowrap_functions() else _converted(result, cls)


def _converted(result: Any, cls: type[Tensor]) -> Any:
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else as_subclass(result, cls)
    if isinstance(result, tuple | list):
        parts = [_converted(x, cls) for x in result]
        return result._make(parts) if hasattr(result, "_make") else type(result)(parts)
    return result


def as_subclass(x: Tensor, cls: type[Tensor]) -> Any:
    """Return a view of a whole tensor that is of a class. Raises TypeError for one that is no subclass of Tensor."""
    if not isinstance(cls, type) or not issubclass(cls, Tensor):
        raise TypeError(f"as_subclass(): argument 'cls' must be a subclass of Tensor, not {cls!r}")
    refuse_dispatch(cls)
    from wengert.ops.shapes import transpose_
    from wengert.record import call, relabel

    result = relabel(call(transpose_, (x,), (tuple(range(x._array.ndim)),)), "AliasBackward0")
    result.__class__ = cls
    return result


class _Off:
    """Ask nobody inside."""

    level = 1

    def __enter__(self) -> None:
        self._before, _state.off = _state.off, max(self.level, _state.off)

    def __exit__(self, *error: object) -> None:
        _state.off = self._before


class DisableTorchFunctionSubclass(_Off):
    """Inside, functions treat subclasses as plain tensors, and ask no other class; modes are asked."""


class DisableTorchFunction(_Off):
    """Inside, functions ask neither classes nor modes."""

    level = 2


class TorchFunctionMode:
    """While entered, functions ask the `__torch_function__` of this object first, whatever they are called with.

    What that calls itself goes to the mode around it, or to nobody.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __torch_function__")

    def __enter__(self) -> Any:
        _Entrances.enter_mode()
        _state.modes.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _state.modes.remove(self)
        _Entrances.leave_mode()


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that calls what it is asked about."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


# ---- the functions of torch.overrides
def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Say whether a call with these arguments is overridden."""
    open_entrances()
    return _state.off < 2 and bool(_state.modes or (not _state.off and overriding(relevant_args)))


def has_torch_function_unary(x: Any) -> bool:
    """Say whether a call with this argument is overridden."""
    return has_torch_function((x,))


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """Say whether a call with these arguments is overridden."""
    return has_torch_function(relevant_args)


def handle_torch_function(public_api: Callable[..., Any], relevant_args: Iterable[Any], /, *args: Any, **kwargs: Any) -> Any:
    """Ask those who override a call of `public_api`. Raises TypeError where all return NotImplemented."""
    return ask(public_api, [] if _state.off else overriding(relevant_args), args, kwargs, named=True)


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function of one's own be overridden; `dispatcher` returns those of its arguments that may do so."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(run, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return run

    return wrap


def is_tensor_like(inp: Any) -> bool:
    """Say whether something is a tensor, or a class that overrides functions of tensors."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    """Say whether a function that was overridden is a method or a property of tensors."""
    if isinstance(func, MethodWrapperType):
        return isinstance(func.__self__, property)
    return any([value is func for value in vars(Tensor).values()])


def get_default_nowrap_functions() -> set[Any]:
    """Return the functions whose results a subclass gives as they are."""
    return {vars(Tensor)["grad"].__get__}


def get_ignored_functions() -> set[Any]:
    """Return public functions that are never overridden."""
    own = {Tensor.as_subclass, Tensor.__new__, Tensor.__init_subclass__}
    return own | {f for name, f in faces.FUNCTIONS.items() if name in _NEVER or _is_factory(f)}


def get_overridable_functions() -> dict[Any, list[Any]]:
    """Return the functions that can be overridden, by the module or class they belong to."""
    open_entrances()
    return {space: [f for _, f in names] for space, names in _by_place(everything=True).items()}


def get_testing_overrides() -> dict[Any, Callable[..., int]]:
    """Return for each function that can be overridden one that takes what it takes, and returns -1."""
    every = [f for functions in get_overridable_functions().values() for f in functions]
    return {f: functools.wraps(f)(lambda *args, **kwargs: -1) for f in every}


def _by_place(everything: bool) -> dict[Any, list[tuple[str, Any]]]:
    import wengert
    from wengert.nn import functional

    ignored = get_ignored_functions()
    places: dict[Any, list[tuple[str, Any]]] = {functional: [], wengert: [], Tensor: []}
    for name, value in vars(Tensor).items():
        if isinstance(value, property):
            places[Tensor].append((f"{name}.__get__", value.__get__))
        elif isinstance(value, FunctionType) and value in _Entrances.known:
            places[Tensor].append((name, value))
    for name, function in faces.FUNCTIONS.items():
        if function not in ignored or not everything:
            places[wengert].append((name, function))
    for name, entry in [*registry.tables["ops"].items()]:
        space, _, last = name.rpartition(".")
        module: Any = wengert
        for step in space.split(".") if space else ():
            module = getattr(module, step, None)
        value = registry.resolve("ops", name) if everything else entry.value
        if isinstance(module, ModuleType) and isinstance(value, FunctionType):
            places.setdefault(module, []).append((last, value))
    return places


def _names() -> dict[Any, str]:
    names: dict[Any, str] = {}
    for space, functions in _by_place(everything=False).items():
        prefix = "torch.Tensor" if space is Tensor else space.__name__.replace("wengert", "torch", 1)
        for name, function in functions:
            names.setdefault(function, f"{prefix}.{name}")
    return names


def resolve_name(f: Any) -> str | None:
    """Return what a function is called, such as "torch.Tensor.add", or None for one that is none of wengert's."""
    if isinstance(f, MethodWrapperType) and isinstance(f.__self__, property):
        name = next((n for n, value in vars(Tensor).items() if value is f.__self__), None)
        return None if name is None else f"torch.Tensor.{name}.{f.__name__}"
    return _names().get(f)
