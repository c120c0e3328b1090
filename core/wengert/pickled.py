"""Pickles of tensors and plain values, written and read without the pickle module's machinery: nothing is called by name.

Owns: the few opcodes that such a pickle has, the names that may stand in it, `add_safe_globals`. May import: dtypes, backend
(device), tensor, values, registry (what a module is, and names of functions). Must not know: files, memory: the caller says
where tensors lie.
The names are PyTorch's own, so that `torch.load(weights_only=True)` reads what is written here.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from wengert import backend, dtypes
from wengert._tensor import Size, Tensor, of_parts
from wengert.registry import registry
from wengert.values import KINDS, MADE, NAMED, TYPES, Parts, give, parts

DEPTH = 200  # containers within containers
FUNCTIONAL = "wengert.nn.functional"
STORAGES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage", "uint8": "ByteStorage",
    "bool": "BoolStorage", "complex64": "ComplexFloatStorage", "complex128": "ComplexDoubleStorage",
}  # fmt: skip


# ---- classes that the user vouches for
_safe: dict[tuple[str, str], Any] = {}


def _named(item: Any) -> tuple[tuple[str, str], Any]:
    if isinstance(item, tuple):  # (class, "module.name" in the file)
        module, _, name = item[1].rpartition(".")
        return (module, name), item[0]
    return (item.__module__, item.__qualname__), item


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let classes be saved and loaded: their objects are made by them, with what the file says."""
    _safe.update(_named(item) for item in safe_globals)


def get_safe_globals() -> list[Any]:
    """Return the classes that may be saved and loaded."""
    return list(_safe.values())


def clear_safe_globals() -> None:
    """Forget the classes that may be saved and loaded."""
    _safe.clear()


@contextlib.contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Let classes be saved and loaded inside the block."""
    before = dict(_safe)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe.clear()
        _safe.update(before)


# ---- what is attributes and nothing else is saved whole, and read with weights_only=False: modules, and what keeps settings
def _is_module(kind: Any) -> bool:
    """Say whether this is a class of modules."""
    known = isinstance(kind, type) and "Module" in registry.tables["modules"]
    return known and issubclass(kind, registry.resolve("modules", "Module"))


def _of_attributes(kind: Any) -> bool:
    """Say whether objects of a class are their attributes: modules, namespaces, dataclasses that bring no code for it."""
    if _is_module(kind) or kind is SimpleNamespace:
        return True
    own = kind if isinstance(kind, type) else object
    settings = hasattr(own, "__dataclass_fields__") or _named(own)[0] == ("argparse", "Namespace")
    usual = all(getattr(own, name) is getattr(object, name) for name in ("__new__", "__reduce__", "__reduce_ex__"))
    return settings and usual and not any(hasattr(own, name) for name in ("__setstate__", "__del__", "__slots__"))


def _address(x: Any) -> tuple[str, str] | None:
    """Return the two names of a class of modules, or of a function of nn.functional; None for what is neither."""
    name = getattr(x, "__name__", "")
    if _is_module(x):
        return ("wengert.nn", name) if _at("wengert.nn", name) is x else (x.__module__, x.__qualname__)
    return (FUNCTIONAL, name) if callable(x) and _at(FUNCTIONAL, name) is x else None


def _at(module: str, name: str) -> Any:
    """Return what goes by two names, or None. Nothing is imported for it but wengert's own layers and functions.

    PyTorch's names for these are theirs, too: a whole module that it saved is read.
    """
    if module in (FUNCTIONAL, "torch.nn.functional", "torch._C._nn"):
        return registry.resolve("ops", f"nn.functional.{name}") if f"nn.functional.{name}" in registry.tables["ops"] else None
    if module == "wengert.nn" or module.startswith("torch.nn.modules."):
        found = registry.resolve("modules", name) if name in registry.tables["modules"] else None
    else:
        found = sys.modules.get(module)
        for step in name.split("."):
            found = getattr(found, step, None)
    return found if _of_attributes(found) else None


# ---- writing
class _Writer:
    """The pickle of one object, protocol 2."""

    def __init__(self, storages: Any) -> None:
        self.storages = storages
        self.out = bytearray(b"\x80\x02")
        self.memo: dict[int, tuple[int, Any]] = {}
        self.open: list[tuple[Any, int]] = []  # the keys on the way here, and the containers

    def value(self, x: Any, key: Any = None) -> None:
        """Append one value. Raises TypeError for what has no safe form."""
        kind = type(x)
        plain = _PLAIN.get(kind)
        if plain is not None:
            self.out += plain(x)
            return
        if isinstance(x, np.generic) and x.dtype.kind in KINDS and x.dtype.char not in "gG":  # these are no number of Python's
            self.value(x.item(), key)
            return
        if isinstance(x, dtypes.dtype):
            self.name("torch", x.name)
            return
        if any(id(x) == other for _, other in self.open):
            raise ValueError(f"save: {self.where(key)} contains itself, which no checkpoint should")
        known = self.memo.get(id(x))
        if known is not None:
            self.out += b"j" + struct.pack("<I", known[0])
            return
        if len(self.open) > DEPTH:
            raise ValueError(f"save: {self.where(key)[:200]} lies more than {DEPTH} containers deep")
        self.open.append((key, id(x)))
        form = _FORMS.get(kind)
        if form is not None:
            form(self, x)
        elif isinstance(x, Tensor):
            self.tensor(x)
        elif _named(kind)[0] in _safe or _of_attributes(kind):
            self.object(x)
        elif (address := _address(x)) is not None or (address := TYPES.get(x) if isinstance(x, type) else None):
            self.name(*address)
        elif (made_of := parts(x)) is not None:
            self.of_parts(x, made_of)
        else:
            self.refuse(x)
        self.open.pop()

    def where(self, key: Any) -> str:
        """Return how one would write the way to the value of a key in what is open."""
        return "obj" + "".join(f"[{k!r}]" for k in [*(k for k, _ in self.open), key][1:])

    def refuse(self, x: Any) -> NoReturn:
        kind = type(x)
        remedy = "save its state_dict() and load that" if hasattr(x, "state_dict") else (
            f"save what it holds as plain values, or vouch for it: wengert.serialization.add_safe_globals([{kind.__name__}])"
        )
        key, _ = self.open.pop()
        raise TypeError(f"save: {self.where(key)} is a {kind.__module__}.{kind.__qualname__}; {remedy}")

    def put(self, x: Any) -> None:
        """Remember the value on the stack, so that it is written once."""
        self.out += b"r" + struct.pack("<I", len(self.memo))
        self.memo[id(x)] = (len(self.memo), x)

    def name(self, module: str, name: str) -> None:
        self.out += f"c{module}\n{name}\n".encode()

    def items(self, pairs: Any) -> None:
        self.out += b"("
        for key, value in pairs:
            self.value(key, key)
            self.value(value, key)
        self.out += b"u"

    def list(self, x: list[Any]) -> None:
        self.out += b"]"
        self.put(x)
        self.out += b"("
        for i, value in enumerate(x):
            self.value(value, i)
        self.out += b"e"

    def tuple(self, x: tuple[Any, ...]) -> None:
        self.out += b"("
        for i, value in enumerate(x):
            self.value(value, i)
        self.out += b"t"
        self.put(x)

    def dict(self, x: dict[Any, Any]) -> None:
        self.out += b"}"
        self.put(x)
        self.items(x.items())

    def ordered(self, x: OrderedDict[Any, Any]) -> None:
        self.name("collections", "OrderedDict")
        self.out += b")R"
        self.put(x)
        self.items(x.items())
        if vars(x):  # a module's state_dict has its versions there
            self.value(dict(vars(x)), "__dict__")
            self.out += b"b"

    def counter(self, x: Any) -> None:
        self.name("collections", "Counter")
        self.value(dict(x))
        self.out += b"\x85R"
        self.put(x)

    def set(self, x: Any) -> None:
        self.name("__builtin__", "set")
        self.value(list(x))
        self.out += b"\x85R"
        self.put(x)

    def bytes(self, x: Any) -> None:
        self.name("_codecs", "encode")
        self.out += b"(" + _text(bytes(x).decode("latin1")) + _text("latin1") + b"tR"
        self.put(x)

    def of_parts(self, x: Any, made_of: Parts) -> None:
        self.name(*made_of.function)
        self.value(made_of.arguments)
        self.out += b"R"
        self.put(x)
        if made_of.state is not None:
            self.value(made_of.state)
            self.out += b"b"
        if made_of.elements:
            self.out += b"("
            for i, value in enumerate(made_of.elements):
                self.value(value, i)
            self.out += b"e"
        if made_of.pairs:
            self.items(made_of.pairs)

    def size(self, x: Size) -> None:
        self.name("torch", "Size")
        self.value(tuple(x))
        self.out += b"\x85R"
        self.put(x)

    def device(self, x: Any) -> None:
        self.name("torch", "device")
        self.value((x.type,) if x.index is None else (x.type, x.index))
        self.out += b"R"
        self.put(x)

    def tensor(self, x: Tensor) -> None:
        """Append where a tensor lies, as PyTorch's functions take it."""
        kind = type(x)
        known = registry.tables["modules"]
        if kind is not Tensor and kind in [registry.resolve("modules", n) for n in ("Parameter", "Buffer") if n in known]:
            if kind.__name__ == "Parameter":
                self.name("torch._utils", "_rebuild_parameter")
                self.out += b"("
                self.layout(x, False)
                self.out += _PLAIN[bool](x.requires_grad)
                self.name("collections", "OrderedDict")
                self.out += b")RtR"
                self.put(x)
                return
        elif kind is not Tensor:
            if kind not in _safe.values():
                self.refuse(x)
            self.of_type(x)
            return
        self.layout(x, x.requires_grad)
        self.put(x)

    def of_type(self, x: Tensor) -> None:
        """Append a tensor of a class that was vouched for: how the tensor is made, the class, and what else it has."""
        from wengert.overrides import DisableTorchFunctionSubclass

        with DisableTorchFunctionSubclass():
            start = len(self.out)
            self.layout(x, x.requires_grad)
            made = bytes(self.out[start:-1])  # function and arguments, not yet called
            del self.out[start:]
            cut = made.index(b"((")
            self.name("torch._tensor", "_rebuild_from_type_v2")
            self.out += b"(" + made[:cut]
            self.name(*next(address for address, kind in _safe.items() if kind is type(x)))
            self.out += made[cut:]
            self.value(dict(x.__dict__))
            self.out += b"tR"
            self.put(x)

    def layout(self, x: Tensor, requires_grad: bool) -> None:
        if hasattr(x._array, "parts"):
            self.sparse(x)
            return
        span, offset, strides = self.storages.locate(x)
        legacy = STORAGES.get(x.dtype.name)
        self.name("torch._utils", "_rebuild_tensor_v2" if legacy else "_rebuild_tensor_v3")
        self.out += b"((" + _text("storage")
        if legacy:
            self.name("torch", legacy)
            count = max(0, span.end - span.begin) // x.itemsize
        else:
            self.name("torch.storage", "UntypedStorage")
            count = max(0, span.end - span.begin)
        self.out += _text(span.key) + _text(span.place) + _int(count) + b"tQ" + _int(offset)
        for sizes in (x.shape, strides):
            self.out += b"(" + b"".join(_int(int(n)) for n in sizes) + b"t"
        self.out += _PLAIN[bool](requires_grad)
        self.name("collections", "OrderedDict")
        self.out += b")R"
        if not legacy:
            self.name("torch", x.dtype.name)
        self.out += b"tR"

    def sparse(self, x: Tensor) -> None:
        """Append the parts of a sparse tensor, and its layout by name."""
        self.name("torch._utils", "_rebuild_sparse_tensor")
        self.out += b"("
        self.name("torch.serialization", "_get_layout")
        self.out += b"(" + _text(x.layout) + b"tR("
        for part in x._parts():
            self.value(part)
        self.out += b"ttR"

    def object(self, x: Any) -> None:
        """Append a module, or an object of a class that the user vouches for: the class, and the object's attributes."""
        kind = type(x)
        reduced = x.__reduce_ex__(2)
        function, arguments, state = reduced[0], reduced[1], reduced[2] if len(reduced) > 2 else None
        if len(reduced) > 3 and any(part is not None for part in reduced[3:]):
            self.refuse(x)
        if getattr(function, "__name__", "") == "__newobj__":
            self.name(*(_address(kind) or (kind.__module__, kind.__qualname__)))
            self.value(tuple(arguments[1:]))
            self.out += b"\x81"
        elif _named(function)[0] in _safe or function is SimpleNamespace:
            self.name(function.__module__, function.__qualname__)
            self.value(tuple(arguments))
            self.out += b"R"
        else:
            self.refuse(x)
        self.put(x)
        if state is not None:
            self.value(state, "__dict__")
            self.out += b"b"


def _int(x: int) -> bytes:
    if -(2**31) <= x < 2**31:
        return b"J" + struct.pack("<i", x)
    data = x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)
    return (b"\x8a" + bytes([len(data)]) if len(data) < 256 else b"\x8b" + struct.pack("<i", len(data))) + data


def _text(x: str) -> bytes:
    data = x.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


_PLAIN: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda x: b"N", bool: lambda x: b"\x88" if x else b"\x89", int: _int, str: _text,
    float: lambda x: b"G" + struct.pack(">d", x),
    complex: lambda x: b"c__builtin__\ncomplex\nG" + struct.pack(">d", x.real) + b"G" + struct.pack(">d", x.imag) + b"\x86R",
}  # fmt: skip
_FORMS: dict[type, Callable[[_Writer, Any], None]] = {
    list: _Writer.list, tuple: _Writer.tuple, dict: _Writer.dict, OrderedDict: _Writer.ordered, Counter: _Writer.counter,
    set: _Writer.set, bytes: _Writer.bytes, Size: _Writer.size, backend.device: _Writer.device,
}  # fmt: skip


def written(obj: Any, storages: Any) -> bytes:
    """Return the pickle of an object; `storages.locate(tensor)` says where a tensor lies."""
    writer = _Writer(storages)
    writer.value(obj)
    return bytes(writer.out + b".")


# ---- reading
class _Kind:
    """What the name of a storage class stands for: a dtype, or None for bytes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Function:
    """What the name of a function stands for: our own reading of it."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


def _fail(why: str) -> NoReturn:
    raise pickle.UnpicklingError(f"load: {why}")


def _scalar(x: Any) -> bool:
    return x is None or type(x) in (str, int, float, bool, bytes, complex) or isinstance(x, dtypes.dtype | backend.device)


def _tensor(x: Any) -> bool:
    return isinstance(x, Tensor) and type(x).__hash__ is Tensor.__hash__


def _key(x: Any) -> Any:
    """Return what may be a key: a plain value or a flat tuple of such, or a tensor. To hash others could take forever."""
    if not _scalar(x) and not (type(x) is tuple and all(map(_scalar, x))) and not _tensor(x):
        _fail(f"a {type(x).__name__} is a key of a dict, or in a set: only plain values and tensors are read there")
    return x


class _Reader:
    """A machine for the opcodes of pickles that hold plain values, and modules if those are asked for; whatever else stands
    in one is refused."""

    def __init__(self, data: bytes, storage: Any, tensor: Any, parameter: Any, modules: bool) -> None:
        self.data, self.at, self.modules = data, 0, modules
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storage, self.make_tensor, self.make_parameter = storage, tensor, parameter

    # ---- names
    def named(self, module: str, name: str) -> Any:
        """Return what a name stands for, which is never what Python would find under it."""
        if (module, name) in _safe:
            return _safe[module, name]
        found = {
            "collections.OrderedDict": OrderedDict, "collections.Counter": _Function(self.counter),
            "torch.Size": _Function(self.size), "torch.device": _Function(self.device),
            "torch._utils._rebuild_tensor_v2": _Function(self.tensor_v2),
            "torch._utils._rebuild_tensor_v3": _Function(self.tensor_v3),
            "torch._utils._rebuild_parameter": _Function(self.parameter),
            "torch._utils._rebuild_sparse_tensor": _Function(self.sparse), "torch.serialization._get_layout": _Function(str),
            "torch._utils._rebuild_parameter_with_state": _Function(self.parameter_with_state),
            "torch._tensor._rebuild_from_type_v2": _Function(self.of_type), "torch.Tensor": Tensor,
            "torch.nn.parameter.Parameter": self.parameter, "torch.storage.UntypedStorage": _Kind("uint8"),
            "_codecs.encode": _Function(self.encoded), "__builtin__.set": set, "builtins.set": set,
            "__builtin__.bytes": _Function(self.no_bytes),
            "builtins.bytes": _Function(self.no_bytes), "__builtin__.complex": _Function(self.complex),
            "builtins.complex": _Function(self.complex), "__builtin__.bytearray": _Function(self.bytearray),
            "builtins.bytearray": _Function(self.bytearray),
        }.get(f"{module}.{name}")  # fmt: skip
        if found is not None:
            return found
        if module == "torch":
            if name in dtypes.ALL:
                return dtypes.ALL[name]
            kind = next((k for k, storage in STORAGES.items() if storage == name), None)
            if kind is not None:
                return _Kind(kind)
        made = MADE.get(f"{module}.{name}")
        found = NAMED.get(f"{module}.{name}") or _at(module, name) if made is None else _Function(made)
        if found is not None and self.modules:
            return found
        remedy = (
            "with weights_only=False it is, too" if found is not None else
            f"if it is a class of yours: wengert.serialization.add_safe_globals([{name[:100]}])"
        )  # fmt: skip
        read = "only tensors, parameters, plain values and containers are read"
        _fail(f"the file names {module[:100]}.{name[:100]}; {read}; {remedy}")

    def vouched(self, kind: Any) -> bool:
        """Say whether objects of a class are read."""
        return kind in _safe.values() or (self.modules and _of_attributes(kind))

    def tensor_v2(
        self, storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, metadata: Any = None
    ) -> Any:
        views = metadata if type(metadata) is dict else {}  # of what is conjugated, or negated, when it is used
        if hooks or (metadata and views.keys() - {"conj", "neg"}) or type(shape) is not tuple or type(strides) is not tuple:
            _fail("a tensor with backward hooks, metadata, or a shape that is none")
        if type(grad) is not bool:
            _fail("a tensor of which it is not said whether it requires a gradient")
        made = self.make_tensor(storage, offset, shape, strides, grad and not views, None)
        made = made.conj() if views.get("conj") else made
        return (-made if views.get("neg") else made).requires_grad_(grad) if views else made

    def tensor_v3(
        self, storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, metadata: Any = None
    ) -> Any:
        if hooks or metadata or type(shape) is not tuple or type(strides) is not tuple or not isinstance(dtype, dtypes.dtype):
            _fail("a tensor with backward hooks, metadata, or a dtype that is none")
        return self.make_tensor(storage, offset, shape, strides, bool(grad), dtype.name)

    @staticmethod
    def sparse(layout: Any, parts: Any) -> Any:
        if type(layout) is not str or type(parts) is not tuple or not 3 <= len(parts) <= 4:
            _fail("a sparse tensor that is none")
        try:
            return of_parts(layout, parts)
        except (KeyError, TypeError, RuntimeError, IndexError, AttributeError) as error:
            _fail(f"a sparse tensor of layout {layout[:100]} that is none: {error}")

    def parameter(self, data: Any, grad: Any = True, hooks: Any = None) -> Any:
        if not isinstance(data, Tensor) or hooks:
            _fail("a parameter that is no tensor, or has backward hooks")
        return self.make_parameter(data, bool(grad))

    def parameter_with_state(self, data: Any, grad: Any, hooks: Any, state: Any) -> Any:
        return self.attributes(self.parameter(data, grad, hooks), state)

    def of_type(self, function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        own = isinstance(kind, type) and issubclass(kind, Tensor) and kind is not Tensor and self.vouched(kind)
        if not own and kind is not Tensor and kind != self.parameter:
            _fail("a tensor of a class of its own, for which nobody vouched: wengert.serialization.add_safe_globals([...])")
        made = self.reduced(function, arguments)
        if own:
            made.__class__ = kind
        return self.attributes(made, state)

    @staticmethod
    def attributes(x: Any, state: Any) -> Any:
        """Return a tensor with the attributes that its user had put on it."""
        for name, value in (state or {}).items() if type(state) in (dict, type(None)) else ():
            own = name in ("_is_param", "_is_buffer")
            if type(name) is not str or hasattr(type(x), name) or (name.startswith("_") and not own):
                _fail(f"a tensor with the attribute {name!r}")
            setattr(x, name, value)
        return x

    @staticmethod
    def counter(x: Any = None) -> Any:
        if type(x) not in (dict, type(None)) or not all(type(n) in (int, float) for n in (x or {}).values()):
            _fail("a Counter of something else than numbers")
        return Counter(x)

    @staticmethod
    def size(x: Any) -> Any:
        if type(x) is not tuple or not all(type(n) is int for n in x):
            _fail("a torch.Size that is none")
        return Size(x)

    @staticmethod
    def device(kind: Any, index: Any = None) -> Any:
        if type(kind) is not str or type(index) not in (int, type(None)):
            _fail("a torch.device that is none")
        return backend.device(kind, index)

    @staticmethod
    def encoded(text: Any, how: Any) -> Any:
        if type(text) is not str or how not in ("latin1", "latin-1"):
            _fail("text that is encoded in another way than bytes are")
        return text.encode("latin1")

    @staticmethod
    def set(x: Any = ()) -> Any:
        if type(x) not in (list, tuple):
            _fail("a set of something else than a list")
        return {_key(value) for value in x}

    @staticmethod
    def complex(real: Any, imag: Any) -> Any:
        if type(real) is not float or type(imag) is not float:
            _fail("a complex number that is none")
        return complex(real, imag)

    @staticmethod
    def no_bytes() -> Any:
        return b""

    @staticmethod
    def bytearray(x: Any = b"", how: Any = None) -> Any:
        if type(x) is str and how in ("latin1", "latin-1"):
            return bytearray(x, "latin1")
        if type(x) is not bytes:
            _fail("a bytearray of something else than bytes")
        return bytearray(x)

    # ---- the machine
    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            _fail("the pickle ends early")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            _fail("the pickle ends early")
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            _fail("the pickle takes more than it has")
        return self.stack.pop()

    def popped(self) -> list[Any]:
        """Return what lies above the last mark."""
        if not self.marks:
            _fail("the pickle takes more than it has")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self) -> Any:
        if not self.stack:
            _fail("the pickle takes more than it has")
        return self.stack[-1]

    def fill(self, values: list[Any]) -> None:
        """Put pairs into the dict on the stack."""
        target = self.top()
        if type(target) not in (dict, OrderedDict, defaultdict) or len(values) % 2:
            _fail(f"items for a {type(target).__name__}")
        for i in range(0, len(values), 2):
            target[_key(values[i])] = values[i + 1]

    def extend(self, values: list[Any]) -> None:
        if type(self.top()) not in (list, deque):
            _fail(f"elements for a {type(self.top()).__name__}")
        self.top().extend(values)

    def reduced(self, function: Any, arguments: Any) -> Any:
        """Return what a call in the file stands for."""
        if type(arguments) is not tuple:
            _fail("a call without arguments")
        if function is OrderedDict:
            pairs = arguments[0] if arguments else ()
            if len(arguments) > 1 or not all(type(p) in (list, tuple) and len(p) == 2 for p in pairs):
                _fail("an OrderedDict of something else than pairs")
            return OrderedDict((_key(k), v) for k, v in pairs)
        if function is set:
            return self.set(*arguments)
        if isinstance(function, _Function):
            return function.call(*arguments)
        if any(function is known for known in _safe.values()) or (function is SimpleNamespace and not arguments):
            return function(*arguments)
        _fail(f"a call of a {type(function).__name__}")

    def build(self, state: Any) -> None:
        """Give the object on the stack its attributes."""
        target = self.top()
        if type(target) is OrderedDict:
            if type(state) is not dict or {*state} - {"_metadata"}:
                _fail("an OrderedDict with attributes")
            vars(target).update(state)
        elif type(target) is np.ndarray or isinstance(target, np.dtype):
            give(target, state)
        elif self.vouched(type(target)):
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
            else:
                own, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
                for name, value in {**(own or {}), **(slots or {})}.items():
                    object.__setattr__(target, name, value)
        else:
            _fail(f"attributes for a {type(target).__name__}")

    def persistent(self, told: Any) -> Any:
        if type(told) is not tuple or len(told) != 5 or told[0] != "storage" or not isinstance(told[1], _Kind):
            _fail("a storage that is none")
        _, kind, key, place, count = told
        if type(key) is not str or type(place) is not str or type(count) is not int or count < 0:
            _fail("a storage that is none")
        return self.storage(kind.kind, key, place, count)

    def run(self) -> Any:
        """Return the object that the pickle describes."""
        push = self.stack.append
        while True:
            op = self.take(1)
            simple = _SIMPLE.get(op)
            if simple is not None:
                push(simple())
            elif op in _NUMBERS:
                push(self.number(_NUMBERS[op]))
            elif op in _TEXTS:
                push(self.take(self.number(_TEXTS[op])).decode("utf-8", "surrogatepass"))
            elif op in _BYTES:
                push(self.take(self.number(_BYTES[op])))
            elif op == b"\x80":
                if self.number("<B") > 5:
                    _fail("a pickle of an unknown protocol")
            elif op == b"\x95":
                self.number("<Q")  # the length of a frame
            elif op == b"(":
                self.marks.append(len(self.stack))
            elif op == b"G":
                push(struct.unpack(">d", self.take(8))[0])
            elif op in (b"\x8a", b"\x8b"):
                push(int.from_bytes(self.take(self.number("<B" if op == b"\x8a" else "<i")), "little", signed=True))
            elif op in (b"q", b"r"):
                self.memo[self.number("<B" if op == b"q" else "<I")] = self.top()
            elif op == b"\x94":
                self.memo[len(self.memo)] = self.top()
            elif op in (b"h", b"j"):
                index = self.number("<B" if op == b"h" else "<I")
                if index not in self.memo:
                    _fail("the pickle uses what it has not put down")
                push(self.memo[index])
            elif op == b"c":
                push(self.named(self.line(), self.line()))
            elif op == b"\x93":
                name, module = self.pop(), self.pop()
                if type(name) is not str or type(module) is not str:
                    _fail("a name that is none")
                push(self.named(module, name))
            elif op in (b"\x85", b"\x86", b"\x87"):
                push(tuple(reversed([self.pop() for _ in range(op[0] - 0x84)])))
            elif op == b"t":
                push(tuple(self.popped()))
            elif op == b"l":
                push(self.popped())
            elif op == b"d":
                values = self.popped()
                push({})
                self.fill(values)
            elif op == b"a":
                value = self.pop()
                self.extend([value])
            elif op == b"e":
                self.extend(self.popped())
            elif op == b"s":
                value, key = self.pop(), self.pop()
                self.fill([key, value])
            elif op == b"u":
                self.fill(self.popped())
            elif op == b"\x90":
                values = self.popped()
                if type(self.top()) is not set:
                    _fail("elements for no set")
                self.top().update(map(_key, values))
            elif op == b"\x91":
                push(frozenset(map(_key, self.popped())))
            elif op == b"R":
                arguments, function = self.pop(), self.pop()
                push(self.reduced(function, arguments))
            elif op == b"\x81":
                arguments, kind = self.pop(), self.pop()
                if kind is OrderedDict and arguments == ():
                    push(OrderedDict())
                elif isinstance(kind, type) and self.vouched(kind) and type(arguments) is tuple:
                    push(kind.__new__(kind, *arguments))
                else:
                    _fail("an object of a class that is not read")
            elif op == b"b":
                self.build(self.pop())
            elif op == b"Q":
                push(self.persistent(self.pop()))
            elif op == b"0":
                self.pop()
            elif op == b".":
                return self.pop()
            else:
                _fail(f"the pickle has the instruction {op!r}, which pickles of plain values do not have")


_SIMPLE: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None, b"\x88": lambda: True, b"\x89": lambda: False, b"]": list, b"}": dict, b")": tuple, b"\x8f": set,
}  # fmt: skip
_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H"}
_TEXTS = {b"X": "<I", b"\x8c": "<B", b"\x8d": "<Q"}
_BYTES = {b"B": "<I", b"C": "<B", b"\x8e": "<Q"}


def read(
    data: bytes, storage: Callable[..., Any], tensor: Callable[..., Any], parameter: Callable[..., Any], modules: bool = False
) -> Any:
    """Return the object that a pickle describes; the callables make storages, tensors in them, and parameters.

    modules: read those too, of classes that the program has. Raises pickle.UnpicklingError for whatever is not plain, ends
    early, or contains itself.
    """
    try:
        found = _Reader(data, storage, tensor, parameter, modules).run()
    except (ValueError, IndexError, struct.error, TypeError, OverflowError) as error:
        raise pickle.UnpicklingError(f"load: the pickle is malformed: {error}") from None
    _refuse_cycles(found)
    return found


_CONTAINERS = (list, tuple, dict, deque)


def _refuse_cycles(root: Any) -> None:
    """Raise UnpicklingError for a container that contains itself, or that lies too deep."""
    done: set[int] = set()
    path: dict[int, None] = {}
    todo: list[tuple[bool, Any]] = [(True, root)]
    while todo:
        enter, x = todo.pop()
        if not enter:
            del path[id(x)]
            done.add(id(x))
        elif id(x) in path:
            _fail("a container contains itself")
        elif id(x) not in done and isinstance(x, _CONTAINERS):
            if len(path) > 4 * DEPTH:
                _fail(f"containers lie more than {4 * DEPTH} deep in each other")
            path[id(x)] = None
            todo.append((False, x))
            inner = x.values() if isinstance(x, dict) else x
            todo.extend((True, value) for value in inner if isinstance(value, _CONTAINERS))
