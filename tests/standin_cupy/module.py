"""The modules `cupy`, `cupy.cuda`, `cupyx` and `cupyx.scipy` of the stand-in, and its `ndarray`.

Owns: which names there are (those of facts.json), with which keywords; types of ufuncs; that nothing becomes a NumPy array by
itself, nor a NumPy array anything else; 0-d results; `.at` for the types that CuPy has it for; indices that wrap around.
New memory holds no zeros. While a stream is captured, nothing may wait for the device; what is done is written down, and a
graph's launch does it again on the same memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.machinery
import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

FACTS = json.loads(Path(__file__).with_name("facts.json").read_text())
ADDED = {"add": "iIlLqQefd", "subtract": "iI", "maximum": "iIlLqQfd", "minimum": "iIlLqQfd"}
waits: list[str] = []  # what waited for the device, in order
recording: list[Any] | None = None  # what a captured stream does
spoiled = False  # whether the stream that is captured was waited for, after which no graph comes of it
peers: list[int] = [0]  # the current device
disorder = np.random.default_rng(0)  # in which atomic operations happen


def waited(what: str) -> None:
    global spoiled
    if recording is not None:
        spoiled = spoiled or what in ("synchronize", "event")  # CuPy itself refuses the rest, and leaves the capture as it was
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is being captured")
    waits.append(what)


def by_library(name: str) -> None:
    """Raise for what CuPy leaves to a library while a stream is captured: its wrappers refuse to set the library's stream."""
    if recording is not None:
        raise NotImplementedError(f"calling {name} API during stream capture is currently unsupported")


def done(run: Callable[[], Any], args: Any = ()) -> None:
    """Do something on the device; while a stream is captured, write it down instead."""
    if recording is None:
        run()
    else:
        recording.append((run, args))


def garbage(made: np.ndarray[Any, Any]) -> None:
    """Fill memory with what is no result."""
    if made.size:
        made[...] = np.frombuffer(b"\xa5" * made.itemsize, made.dtype)[0]


class Guarded(np.ndarray):
    """Memory with a margin before and behind what is asked for, which no kernel may write to."""

    MARGIN = 512  # CuPy's memory begins at multiples of it

    @staticmethod
    def new(shape: Any, dtype: Any, order: str = "C") -> np.ndarray[Any, Any]:
        shape, dtype = (shape,) if isinstance(shape, int | np.integer) else tuple(shape), np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        memory = Guarded(size + 3 * Guarded.MARGIN, np.uint8)
        memory.fill(0xA5)
        memory.first = Guarded.MARGIN + -memory.ctypes.data % Guarded.MARGIN
        memory.last = memory.first + size
        return np.ndarray(shape, dtype, memory, memory.first, order=order)  # type: ignore[call-overload, no-any-return]

    def whole(self) -> bool:
        plain = self.view(np.ndarray)
        return bool((plain[: self.first] == 0xA5).all() and (plain[self.last :] == 0xA5).all())


def root(a: Any) -> Any:
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


class Flags:
    def __init__(self, a: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = a.flags.c_contiguous, a.flags.f_contiguous, a.base is None


class Pointer:
    def __init__(self, array: ndarray) -> None:
        self.ptr, self.device_id, self.device = array._a.ctypes.data, array._device, Device(array._device)
        self.mem = root(array._a)


class ndarray:
    """An array "on the device": a NumPy array inside, from which nobody gets it but by `get`."""

    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C") -> None:
        if memptr is not None:
            self._a = np.ndarray(shape, dtype, memptr.mem, memptr.ptr - memptr.mem.ctypes.data, strides)
        else:
            self._a = Guarded.new(shape, dtype, order)
        self._device, self.base = peers[0], None

    # ---- what is refused
    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a function of NumPy was called with an array of CuPy")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in FACTS["methods"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        if FACTS["methods"][name] == "attribute":
            raise NotImplementedError(f"the stand-in has no attribute {name}")
        return functools.partial(method, self, name)

    # ---- what it is
    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    strides = property(lambda self: self._a.strides)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(lambda self: Flags(self._a))
    data = property(lambda self: Pointer(self))
    device = property(lambda self: Device(self._device))
    T = property(lambda self: view(self, self._a.T))
    mT = property(lambda self: view(self, self._a.swapaxes(-1, -2)))

    @property
    def real(self) -> ndarray:
        return view(self, self._a.real)

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> ndarray:
        return view(self, self._a.imag) if self.dtype.kind == "c" else zeros(self.shape, self.dtype)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self._a.ctypes.data, False), "version": 3, "stream": 1,
                "strides": None if self.flags.c_contiguous else self.strides}  # fmt: skip

    def __dlpack__(self, stream: Any = None, **asked: Any) -> Any:
        return self._a.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self._device)

    # ---- to the host: waits
    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        waited("get")
        return self._a.copy(order)

    def set(self, arr: Any, stream: Any = None) -> None:
        if type(arr) is not np.ndarray or arr.dtype != self.dtype or arr.shape != self.shape or not self.flags.c_contiguous:
            raise ValueError("set() takes a NumPy array of the same shape and type, for an array in order")
        waited("set")
        self._a[...] = arr

    def item(self) -> Any:
        waited("item")
        return self._a.item()

    def tolist(self) -> Any:
        waited("tolist")
        return self._a.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        waited("tobytes")
        return self._a.tobytes(order)

    def __bool__(self) -> bool:
        waited("bool")
        return bool(self._a)

    def __int__(self) -> int:
        waited("int")
        return int(self._a.item()) if self.size == 1 else int(self._a)

    def __float__(self) -> float:
        waited("float")
        return float(self._a.item())

    def __complex__(self) -> complex:
        waited("complex")
        return complex(self._a.item())

    def __index__(self) -> int:
        waited("index")
        return self._a.__index__()

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"standin.{self._a!r}"

    # ---- views and copies
    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> ndarray:
        if order == "K" and not copy and np.dtype(dtype) == self.dtype:
            return self
        if np.dtype(dtype).kind != "c" and self.dtype.kind == "c":
            return compute(lambda a: a.real.astype(dtype, order=order), self)
        return compute(lambda a: a.astype(dtype, order=order), self)

    def copy(self, order: str = "C") -> ndarray:
        return compute(lambda a: np.array(a, order=order), self)

    def flatten(self, order: str = "C") -> ndarray:
        return compute(lambda a: a.flatten(order), self)

    def fill(self, value: Any) -> None:
        if type(value).__module__ not in ("builtins", "numpy"):
            raise TypeError(f"Unsupported type {type(value)}")
        self[...] = value

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        made = self._a.reshape(*shape, order=order)
        if root(made) is root(self._a):
            return view(self, made)
        return compute(lambda a: a.reshape(*shape, order=order).copy(), self)

    def ravel(self, order: str = "C") -> ndarray:
        return self.reshape(-1, order=order)

    def view(self, dtype: Any = None) -> ndarray:
        return view(self, self._a.view() if dtype is None else self._a.view(dtype))

    def transpose(self, *axes: Any) -> ndarray:
        return view(self, self._a.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return view(self, self._a.swapaxes(axis1, axis2))

    def squeeze(self, axis: Any = None) -> ndarray:
        return view(self, self._a.squeeze(axis))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        made = self._a.diagonal(offset, axis1, axis2)
        made.flags.writeable = True
        return view(self, made)

    # ---- indices
    def __getitem__(self, key: Any) -> ndarray:
        parts, fancy = index(self, key)
        if not fancy:
            made = self._a[parts]
            return view(self, made if isinstance(made, np.ndarray) else np.asarray(self._a[(*parts, ...)]))
        if any(isinstance(p, np.ndarray) and p.dtype == bool for p in parts):
            waited("a mask as an index")
        return compute(lambda a: a[wrapped(a, parts)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        parts, fancy = index(self, key)
        check(value)
        if isinstance(value, np.ndarray):
            raise TypeError("the stand-in takes no host array as a value; set() does")
        if any(isinstance(p, np.ndarray) and p.dtype == bool for p in parts):
            waited("a mask as an index")  # how many elements it names

        def run() -> None:
            with np.errstate(all="ignore"):
                self._a[wrapped(self._a, parts) if fancy else parts] = value._a if isinstance(value, ndarray) else value

        done(run)

    def scatter_add(self, slices: Any, value: Any) -> None:
        raise DeprecationWarning("`ndarray.scatter_add` is deprecated; cupy.add.at")


def check(value: Any) -> None:
    """Raise for an array on another device than the current one, and for what no kernel takes."""
    if isinstance(value, ndarray) and value._device != peers[0]:
        raise ValueError(f"The device where the array resides ({value._device}) is different from the current device ({peers[0]}).")


def view(of: ndarray, a: Any) -> ndarray:
    """Return an array of the same memory, which may be written."""
    if not a.flags.writeable:
        memory = root(of._a)
        memory = memory.transpose(np.argsort([-s for s in memory.strides], kind="stable"))  # in order, whatever the order is
        a = np.ndarray(a.shape, a.dtype, memory, a.ctypes.data - memory.ctypes.data, a.strides)
    made = ndarray.__new__(ndarray)
    made._a, made._device, made.base = a, of._device, of if of.base is None else of.base
    return made


def fresh(a: Any) -> ndarray:
    """Return a result: an array also for 0-d."""
    made = ndarray.__new__(ndarray)
    made._a, made._device, made.base = np.asarray(a), peers[0], None
    return made


def compute(function: Callable[..., Any], *inputs: Any) -> Any:
    """Return function(*inputs' arrays) as new memory; while a stream is captured, it is filled at each launch only."""
    for x in inputs:
        check(x)
    given = [x._a if isinstance(x, ndarray) else x for x in inputs]
    with np.errstate(all="ignore"):
        made = function(*given)
    many = isinstance(made, tuple | list)
    results = [np.array(m) if isinstance(m, np.generic) or not any(root(m) is not root(g) for g in given if isinstance(g, np.ndarray)) else m
               for m in (made if many else [made])]  # fmt: skip
    if recording is not None:

        def again() -> None:
            with np.errstate(all="ignore"):
                new = function(*given)
            for target, value in zip(results, new if many else [new], strict=True):
                target[...] = value

        for r in results:
            garbage(r)
        recording.append((again, inputs))
    arrays = [fresh(r) for r in results]
    return tuple(arrays) if many else arrays[0]


def index(of: ndarray, key: Any) -> tuple[tuple[Any, ...], bool]:
    """Return an index's parts, and whether arrays are among them."""
    check(of)
    parts, fancy = [], False
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, ndarray):
            check(part)
            if part.dtype.kind not in "iub":
                raise IndexError("arrays used as indices must be of integer or boolean type")
            fancy = True
            parts.append(part._a)
        elif isinstance(part, np.ndarray | list):
            raise IndexError("the stand-in takes no host arrays and lists as indices")
        else:
            parts.append(part)
    return tuple(parts), fancy


def wrapped(a: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an index whose integers wrap around their dim, as CuPy's do."""
    used = sum(p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else p is not None and p is not Ellipsis for p in parts)
    made, d = [], 0
    for p in parts:
        if isinstance(p, np.ndarray) and p.dtype != bool:
            p = p % max(a.shape[d], 1)
        made.append(p)
        d += a.ndim - used if p is Ellipsis else 0 if p is None else p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else 1
    return tuple(made)


# ---- functions
def names_of(function: str, args: tuple[Any, ...], kwargs: dict[str, Any], known: Any) -> None:
    """Raise TypeError for keywords that CuPy's function has not."""
    if known is None:
        return
    plain = known[: known.index("*")] if "*" in known else [k for k in known if not k.startswith("*")]
    if len(args) > len(plain) and not any(k.startswith("*") and k != "*" for k in known):
        raise TypeError(f"{function} takes {len(plain)} positional arguments but {len(args)} were given")
    for k in kwargs:
        if k not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument {k!r}")


WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "bincount", "histogram", "repeat", "lexsort_"}
LIBRARIES = {".linalg": "cuSOLVER", ".fft": "cuFFT", ".sparse": "cuSPARSE", "cuBLAS": "cuBLAS"}
PRODUCTS = {"dot", "vdot", "inner", "tensordot", "einsum", "kron"}
VIEWS = {"broadcast_to", "moveaxis", "expand_dims", "squeeze", "swapaxes", "transpose", "diagonal", "atleast_1d", "rollaxis", "reshape", "ravel"}
LINALG = {"e": "linalg has no float16"}


def function(path: str, name: str, host: Any) -> Callable[..., Any]:
    """Return a function of the stand-in: NumPy's or SciPy's of that name, on what the arrays hold."""
    known = FACTS["functions"][f"{path}.{name}"]

    def run(*args: Any, **kwargs: Any) -> Any:
        names_of(f"{path}.{name}", args, kwargs, known)
        every: list[ndarray] = []

        def opened(v: Any) -> Any:
            if isinstance(v, ndarray):
                check(v)
                every.append(v)
                return v
            if isinstance(v, np.ndarray):
                raise TypeError(f"{path}.{name}: Unsupported type <class 'numpy.ndarray'>")
            return type(v)([opened(w) for w in v]) if isinstance(v, tuple | list) else v

        args, kwargs = opened(args), {k: opened(v) for k, v in kwargs.items()}
        if name in ("sort", "argsort"):
            kwargs["kind"] = "stable"
        if not every:
            raise TypeError(f"{path}.{name}: no array of CuPy was given")
        if "linalg" in path and any(a.dtype.char not in "fdFD" for a in every):
            raise TypeError(f"{path}.{name} takes float32, float64 and complex numbers")
        for part, library in LIBRARIES.items():
            if part in path or name in PRODUCTS and library == "cuBLAS" and every[0].dtype.kind in "fc":
                by_library(library)
        if name == "concatenate" and len(every) > 8 and recording is not None and len({a.dtype for a in every}) == 1:
            raise RuntimeError("the current stream is capturing, so H2D transfers are disallowed")  # of the arrays' addresses
        if name in WAITING:
            waited(name)
        out = kwargs.pop("out", None)
        if name in VIEWS:
            made = host(*[strip(a) for a in args], **{k: strip(v) for k, v in kwargs.items()})
            if root(made) is root(every[0]._a):
                if name == "diagonal":
                    made.flags.writeable = True
                return view(every[0], made)
        made = compute(lambda *given: host(*[fill(a, given, every) for a in args], **{k: fill(v, given, every) for k, v in kwargs.items()}), *every)
        if "linalg" in path and not isinstance(made, tuple) and made._a.dtype != every[0].dtype.type(0).real.dtype and name not in ("eig", "eigvals"):
            made = made.astype(every[0].dtype)
        if out is not None:
            out[...] = made
            return out
        return made

    return run


def strip(v: Any) -> Any:
    return v._a if isinstance(v, ndarray) else type(v)([strip(w) for w in v]) if isinstance(v, tuple | list) else v


def fill(v: Any, given: Any, every: list[ndarray]) -> Any:
    """Return an argument with arrays in the place of those of the stand-in."""
    if isinstance(v, ndarray):
        return next(g for g, e in zip(given, every, strict=True) if e is v)
    return type(v)([fill(w, given, every) for w in v]) if isinstance(v, tuple | list) else v


def method(array: ndarray, name: str, *args: Any, **kwargs: Any) -> Any:
    names_of(f"ndarray.{name}", args, kwargs, FACTS["methods"][name])
    known = FACTS["methods"][name] or []
    kwargs |= dict(zip(known, args, strict=False)) if args and known and not known[0].startswith("*") else {}
    out = kwargs.pop("out", None)
    if name == "take":
        indices = kwargs["indices"]
        axis = kwargs.get("axis")
        if isinstance(indices, np.ndarray | list):
            raise TypeError("the stand-in takes no host arrays as indices")
        if isinstance(indices, int):
            indices = fresh(np.asarray(indices))
        made = compute(lambda a, i: np.take(a, i % max(a.size if axis is None else a.shape[axis], 1), axis), array, indices)
    elif name == "nonzero":
        waited("nonzero")
        return compute(lambda a: a.nonzero(), array)
    elif name in ("sum", "prod", "cumsum", "cumprod", "mean", "var", "std") and kwargs.get("dtype") is None and array.dtype.char == "e":
        kwargs.pop("dtype", None)
        made = compute(lambda a: np.asarray(getattr(a.astype("f"), name)(**kwargs)).astype("e"), array)
    elif name == "dot":
        if array.dtype.char not in "fdFDe" and array.dtype.kind not in "iub":
            raise TypeError("dot")
        (other,) = (*args, *([kwargs["b"]] if "b" in kwargs and not args else []))
        if array.dtype.kind in "fc":
            by_library("cuBLAS")
        made = compute(lambda a, b: np.asarray(a.dot(b)), array, other)
    elif name in ("argmax", "argmin"):
        dtype = kwargs.pop("dtype", None) or np.int64
        made = compute(lambda a: np.asarray(getattr(a, name)(**kwargs)).astype(dtype), array)
    elif name in ("sort", "argsort", "argpartition", "partition") and kwargs.get("kind") not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    elif name in ("sort", "partition"):
        kwargs["kind"] = "stable"
        done(lambda: getattr(array._a, name)(**kwargs))
        return None
    else:
        if name == "argsort":
            kwargs["kind"] = "stable"
        made = compute(lambda a: np.asarray(getattr(a, name)(**kwargs)), array)
    if out is not None:
        out[...] = made
        return out
    return made


# ---- ufuncs
class ufunc:
    """A ufunc with the loops that CuPy has; NumPy computes them."""

    def __init__(self, path: str, name: str, host: Any) -> None:
        self.types, self.name, self.host = FACTS["ufuncs"][f"{path}.{name}"], f"cupy_{name}", host
        self.nin, self.nout = len(self.types[0].split("->")[0]), len(self.types[0].split("->")[1])

    def loop(self, args: Any) -> tuple[str, str]:
        for text in self.types:
            given, made = text.split("->")
            for a, c in zip(args, given, strict=True):
                if type(a) in (bool, int, float, complex):
                    if np.result_type(np.dtype(c), a) != np.dtype(c):
                        break
                elif not np.can_cast(a.dtype, np.dtype(c)):
                    break
            else:
                return given, made
        raise TypeError(f"Wrong type ({[getattr(a, 'dtype', type(a)) for a in args]}) of arguments for {self.name}")

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.name}")
        out = args[self.nin] if len(args) > self.nin else out
        args = args[: self.nin]
        for a in (*args, *(out if isinstance(out, tuple) else (out,))):
            if a is not None and not isinstance(a, ndarray | np.generic) and type(a) not in (bool, int, float, complex):
                raise TypeError(f"Unsupported type {type(a)}")
            check(a)
        if out is not None and not isinstance(out, ndarray | tuple):
            raise TypeError(f"Unsupported type {type(out)}")
        weak = [a for a in args if type(a) in (bool, int, float, complex)]
        plain = args if len(weak) < len(args) else [np.asarray(a)[()] for a in args]
        given, made = self.loop([np.dtype(dtype).type(0)] * self.nin if dtype is not None else plain)

        def run(*arrays: Any) -> Any:
            values = [np.asarray(a).astype(c) for a, c in zip(arrays, given, strict=True)]
            results = self.host(*values)
            results = results if isinstance(results, tuple) else (results,)
            results = tuple(np.asarray(r).astype(c) for r, c in zip(results, made, strict=True))
            return results if self.nout > 1 else results[0]

        if out is not None and not isinstance(out, tuple):
            out = (out,)
        if out is None:
            return compute(run, *args)
        shape = np.broadcast_shapes(*[np.shape(strip(a)) for a in args])
        for target, c in zip(out, made, strict=True):
            if not np.can_cast(np.dtype(c), target.dtype, casting):
                raise TypeError(f"Cannot cast from {np.dtype(c)} to {target.dtype}")
            if np.broadcast_shapes(shape, target.shape) != target.shape:
                raise ValueError("operands could not be broadcast together with the shape of out")

        def write() -> None:
            with np.errstate(all="ignore"):
                results = run(*[strip(a) for a in args])
            for target, value in zip(out, results if self.nout > 1 else (results,), strict=True):
                target._a[...] = value

        done(write)
        return out if self.nout > 1 else out[0]

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        name = {"cupy_add": "sum", "cupy_multiply": "prod"}.get(self.name)
        if name is None:
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        return method(array, name, axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        name = {"cupy_add": "cumsum", "cupy_multiply": "cumprod"}.get(self.name)
        if name is None:
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        return method(array, name, axis, dtype, out)

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        if a.dtype.char not in ADDED.get(self.name[5:], ""):
            raise TypeError(f"{self.name}.at: {a.dtype} is not supported")
        parts, fancy = index(a, indices)
        check(b)
        if isinstance(b, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        host = {"cupy_maximum": np.fmax, "cupy_minimum": np.fmin}.get(self.name, self.host)  # which pass over nan

        def run() -> None:
            into = a._a if a.dtype.char != "d" or host is self.host else a._a.astype("f")  # atomics.cuh: fmaxf of doubles
            if fancy and parts and all(isinstance(p, np.ndarray) and p.dtype != bool for p in parts):  # in any order
                at = np.broadcast_arrays(*wrapped(into, parts))
                rest = into.shape[len(at) :]
                values = np.broadcast_to(strip(b), (*at[0].shape, *rest)).reshape(-1, *rest)
                order = disorder.permutation(values.shape[0])
                host.at(into, tuple(p.reshape(-1)[order] for p in at), values[order])
            else:
                host.at(into, wrapped(into, parts) if fancy else parts, strip(b))
            a._a[...] = into

        done(run)


# ---- making arrays
def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return fresh(np.zeros(shape, dtype, order)) if recording is None else compute(lambda: np.zeros(shape, dtype, order))


def ones(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return compute(lambda: np.ones(shape, dtype, order))


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
    return compute(lambda: np.full(shape, strip(fill_value), dtype, order))


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return fresh(Guarded.new(shape, dtype, order))


def like(make: Callable[..., ndarray]) -> Callable[..., ndarray]:
    def run(a: ndarray, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
        assert isinstance(a, ndarray)
        turned = order == "K" and a._a.flags.f_contiguous and not a._a.flags.c_contiguous
        return make(a.shape if shape is None else shape, dtype or a.dtype, "F" if turned else "C")

    return run


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
    return compute(lambda: np.arange(0 if stop is None else start, start if stop is None else stop, step, dtype))


def eye(N: int, M: Any = None, k: int = 0, dtype: Any = float, order: str = "C") -> ndarray:
    return compute(lambda: np.eye(N, M, k, dtype, order))


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K", subok: bool = False, ndmin: int = 0, *, blocking: bool = False) -> ndarray:
    if isinstance(obj, ndarray):
        if not copy and (dtype is None or np.dtype(dtype) == obj.dtype):
            return obj
        return compute(lambda a: np.array(a, dtype, order=order), obj)
    if hasattr(obj, "__cuda_array_interface__"):
        return asarray(obj, dtype)
    if isinstance(obj, tuple | list) and any(isinstance(o, ndarray) for o in obj):
        raise TypeError("the stand-in makes no array of a list of arrays; stack() does")
    if not isinstance(obj, bool | int | float | complex | np.generic):
        waited("a copy from the host")
    return fresh(np.array(obj, dtype))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    if not isinstance(a, ndarray) and hasattr(a, "__cuda_array_interface__"):
        told = a.__cuda_array_interface__
        strides = told["strides"] or np.empty(told["shape"], told["typestr"]).strides
        length = 1 + sum((n - 1) * abs(s) for n, s in zip(told["shape"], strides)) + np.dtype(told["typestr"]).itemsize
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * length).from_address(told["data"][0]))
        made = view(fresh(memory), np.ndarray(told["shape"], told["typestr"], memory, 0, strides))
        made.base = a
        return made
    made = array(a, dtype, bool(copy))
    return made if order != "C" or made.flags.c_contiguous else made.copy()


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    made = asarray(a, dtype)
    return made if made.flags.c_contiguous and made.ndim else made.copy() if made.ndim else made.reshape(1)


def as_strided(x: ndarray, shape: Any, strides: Any) -> ndarray:
    return view(x, np.lib.stride_tricks.as_strided(x._a, shape, strides))


def sliding_window_view(x: ndarray, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False) -> ndarray:
    return view(x, np.lib.stride_tricks.sliding_window_view(x._a, window_shape, axis))


def where(condition: Any, x: Any = None, y: Any = None) -> ndarray:
    if x is None:
        waited("where")
    for v in (condition, x, y):
        if isinstance(v, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return compute(np.where, condition, x, y)


def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if isinstance(src, np.ndarray):
        waited("copyto")
    done(lambda: np.copyto(dst._a, strip(src), casting, True if where is None else strip(where)))


def broadcast_arrays(*args: Any) -> list[ndarray]:
    shape = np.broadcast_shapes(*[a.shape for a in args])
    return [view(a, np.broadcast_to(a._a, shape)) for a in args]


def einsum(subscripts: str, *operands: Any, dtype: Any = False) -> ndarray:
    by_library("cuBLAS")
    return compute(lambda *given: np.einsum(subscripts, *given), *operands)


def pad(a: ndarray, pad_width: Any, mode: str = "constant", **kwargs: Any) -> ndarray:
    return compute(lambda v: np.pad(v, pad_width, mode, **kwargs), a)


class _Exported:
    """Another library's memory, said to be the host's."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __dlpack__(self, **asked: Any) -> Any:
        return self.of.__dlpack__(stream=1)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> ndarray:
    if array.__dlpack_device__()[0] != 2:
        raise BufferError("CuPy takes memory of CUDA")
    return view(array, array._a) if isinstance(array, ndarray) else fresh(np.from_dlpack(_Exported(array)))


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def matmul(x1: Any, x2: Any, /, out: Any = None, casting: str = "same_kind", dtype: Any = None) -> ndarray:
    if x1.dtype.kind in "fc" or x2.dtype.kind in "fc":
        by_library("cuBLAS")
    made = compute(lambda a, b: np.asarray(np.matmul(a, b)), x1, x2)
    if out is None:
        return made
    out[...] = made
    return out


compute_types: dict[str, int] = {}  # what products of a type are computed in


def set_compute_type(dtype: Any, compute_type: int) -> None:
    """CuPy's looks the type up by its character."""
    if dtype.char not in "efdFD" or compute_type not in (1, 7):
        raise TypeError(f"dtype is not supported: {dtype}")
    compute_types[dtype.char] = compute_type


# ---- cupy.cuda
class Device:
    """A device, and the context in which it is the current one."""

    def __init__(self, device: Any = None) -> None:
        self.id = peers[0] if device is None else int(device)

    def __enter__(self) -> Device:
        self.before = peers[0]
        peers[0] = self.id
        return self

    def __exit__(self, *error: object) -> None:
        peers[0] = self.before

    def use(self) -> None:
        peers[0] = self.id

    def synchronize(self) -> None:
        waited("synchronize")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    __hash__ = None  # type: ignore[assignment]
    compute_capability = "90"
    attributes = {"MultiProcessorCount": 4, "MaxThreadsPerBlock": 1024}
    mem_info = (1 << 33, 1 << 34)


class Graph:
    """What a captured stream did."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps, self.launched = steps, 0

    def launch(self, stream: Any = None) -> None:
        self.launched += 1
        for run, _ in self.steps:
            run()

    def upload(self, stream: Any = None) -> None:
        pass


class Stream:
    """A stream: everything is done at once."""

    null: Stream
    current: list[tuple[int, Stream]] = []

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None) -> None:
        self.is_null, self.ptr, self.device_id = null, 0 if null else id(self) % 2**40, -1 if null else peers[0]

    def __enter__(self) -> Stream:
        if not self.is_null and self.device_id != peers[0]:
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id}) does not match with the current device ({peers[0]})"
            )
        Stream.current.append((peers[0], self))
        return self

    def __exit__(self, *error: object) -> None:
        Stream.current.pop()

    def use(self) -> Stream:
        return self.__enter__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.ptr == self.ptr

    def __hash__(self) -> int:
        return self.ptr

    def synchronize(self) -> None:
        waited("synchronize")

    def query(self) -> bool:
        return True

    done = property(query)

    def record(self, event: Any = None) -> Any:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        pass

    def begin_capture(self, mode: Any = None) -> None:
        global recording, spoiled
        if self.is_null:
            raise RuntimeError("cannot capture on the default (legacy) stream.")
        recording, spoiled = [], False

    def end_capture(self) -> Graph:
        global recording
        assert recording is not None
        made, recording = Graph(recording), None
        if spoiled:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error during capture")
        return made

    def is_capturing(self) -> bool:
        return recording is not None


Stream.null = Stream(null=True)


class ExternalStream(Stream):
    def __init__(self, ptr: int, device_id: int = -1) -> None:
        super().__init__()
        self.ptr, self.device_id = ptr, device_id


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.at: float | None = None

    def record(self, stream: Any = None) -> None:
        import time

        self.at = time.perf_counter()

    def synchronize(self) -> None:
        waited("event")

    done = True


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    assert start_event.at is not None and end_event.at is not None
    return (end_event.at - start_event.at) * 1000


def get_current_stream(device_id: int = -1) -> Stream:
    """Each device has a current stream of its own."""
    wanted = peers[0] if device_id == -1 else device_id
    return next((stream for of, stream in reversed(Stream.current) if of == wanted), Stream.null)


class Pool:
    """The memory pool; it counts nothing but what was asked of it."""

    freed = 0

    def used_bytes(self) -> int:
        return 12 << 20

    def total_bytes(self) -> int:
        return 16 << 20

    def free_all_blocks(self, stream: Any = None) -> None:
        Pool.freed += 1

    def get_limit(self) -> int:
        return 0

    def set_limit(self, size: Any = None, fraction: Any = None) -> None:
        pass


pool = Pool()


class MemoryPool(Pool):
    """A pool of one's own."""

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("the stand-in's memory is NumPy's")


@contextlib.contextmanager
def using_allocator(allocator: Any) -> Iterator[None]:
    assert callable(allocator)
    yield


class OutOfMemoryError(MemoryError):
    pass


def modules(devices: int) -> dict[str, types.ModuleType]:
    """Return the modules by name."""
    from standin_cupy.kernels import RawModule

    def new(path: str, own: dict[str, Any], find: Callable[[str], Any]) -> types.ModuleType:
        made = types.ModuleType(path)
        made.__dict__.update(own)
        made.__path__ = []  # type: ignore[attr-defined]
        made.__spec__ = importlib.machinery.ModuleSpec(path, None)

        def get(name: str) -> Any:
            full = f"{path}.{name}"
            if name.startswith("__"):
                raise AttributeError(name)
            if full in FACTS["ufuncs"]:
                found: Any = ufunc(path, name, find(name))
            elif full in FACTS["functions"]:
                found = function(path, name, find(name))
            else:
                raise AttributeError(f"module {path!r} has no attribute {name!r}")
            setattr(made, name, found)
            return found

        made.__getattr__ = get  # type: ignore[method-assign]
        return made

    def host(*names: str) -> Callable[[str], Any]:
        def find(name: str) -> Any:
            for path in names:
                module = importlib.import_module(path)
                if hasattr(module, name):
                    return getattr(module, name)
            raise NotImplementedError(f"the stand-in has no {name}")

        return find

    def ptp(count: Any) -> Any:
        return lambda *a: count

    runtime = types.SimpleNamespace(
        getDeviceCount=ptp(devices), getDevice=lambda: peers[0], driverGetVersion=ptp(13000), runtimeGetVersion=ptp(12090),
        memGetInfo=ptp((1 << 33, 1 << 34)), getDeviceProperties=lambda i: {
            "name": b"Stand-in", "major": 9, "minor": 0, "multiProcessorCount": 4, "totalGlobalMem": 1 << 34, "warpSize": 32,
            "l2CacheSize": 1 << 22, "maxThreadsPerMultiProcessor": 2048,
        }, deviceSynchronize=lambda: waited("synchronize"), streamCaptureModeThreadLocal=1, streamCaptureModeRelaxed=2,
    )  # fmt: skip
    cuda = new("cupy.cuda", {
        "Device": Device, "Stream": Stream, "ExternalStream": ExternalStream, "Event": Event, "Graph": Graph, "get_current_stream": get_current_stream,
        "get_elapsed_time": get_elapsed_time, "runtime": runtime, "is_available": lambda: devices > 0,
        "memory": types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError, MemoryPointer=Pointer), "MemoryPool": MemoryPool, "using_allocator": using_allocator,
    }, host())  # fmt: skip
    own = {
        "ndarray": ndarray, "ufunc": ufunc, "zeros": zeros, "ones": ones, "full": full, "empty": empty, "arange": arange, "eye": eye,
        "zeros_like": like(zeros), "ones_like": like(ones), "empty_like": like(empty), "array": array, "asarray": asarray,
        "ascontiguousarray": ascontiguousarray, "where": where, "copyto": copyto, "broadcast_arrays": broadcast_arrays,
        "einsum": einsum, "pad": pad, "asnumpy": asnumpy, "matmul": matmul, "RawModule": RawModule, "cuda": cuda, "finfo": np.finfo, "iinfo": np.iinfo,
        "dtype": np.dtype, "newaxis": None, "inf": np.inf, "nan": np.nan, "pi": np.pi, "float16": np.float16, "float32": np.float32,
        "float64": np.float64, "int64": np.int64, "int32": np.int32, "int8": np.int8, "bool_": np.bool_, "complex64": np.complex64,
        "complex128": np.complex128, "is_available": cuda.is_available, "get_default_memory_pool": lambda: pool,
        "__version__": FACTS["version"], "from_dlpack": from_dlpack,
        "may_share_memory": lambda a, b: np.may_share_memory(a._a, b._a),
        "show_config": lambda: None, "get_array_module": lambda *a: None,
    }  # fmt: skip
    cupy = new("cupy", own, host("numpy"))
    linalg, fft = new("cupy.linalg", {}, host("numpy.linalg")), new("cupy.fft", {}, host("numpy.fft"))
    lib = new("cupy.lib", {}, host())
    lib.stride_tricks = new("cupy.lib.stride_tricks", {"as_strided": as_strided, "sliding_window_view": sliding_window_view}, host())  # type: ignore[attr-defined]
    cupy.linalg, cupy.fft, cupy.lib = linalg, fft, lib  # type: ignore[attr-defined]
    cupyx = new("cupyx", {"errstate": errstate}, host())
    scipy = new("cupyx.scipy", {}, host())
    found = {"cupy": cupy, "cupy.cuda": cuda, "cupy.linalg": linalg, "cupy.fft": fft, "cupy.lib": lib,
             "cupy.lib.stride_tricks": lib.stride_tricks, "cupyx": cupyx, "cupyx.scipy": scipy}  # fmt: skip
    for name in ("special", "linalg", "fft", "sparse"):
        found[f"cupyx.scipy.{name}"] = part = new(f"cupyx.scipy.{name}", {}, host(f"scipy.{name}"))
        setattr(scipy, name, part)
    core, products = types.ModuleType("cupy._core"), types.ModuleType("cupy._core._routines_linalg")
    core._routines_linalg = products  # type: ignore[attr-defined]
    products.__dict__.update(COMPUTE_TYPE_DEFAULT=1, COMPUTE_TYPE_TF32=7, set_compute_type=set_compute_type)
    found |= {"cupy._core": core, "cupy._core._routines_linalg": products}
    backends = types.ModuleType("cupy_backends.cuda.libs")
    backends.nvrtc = types.SimpleNamespace(getVersion=lambda: (12, 9))  # type: ignore[attr-defined]
    found |= {"cupy_backends": types.ModuleType("cupy_backends"), "cupy_backends.cuda": types.ModuleType("cupy_backends.cuda"),
              "cupy_backends.cuda.libs": backends}  # fmt: skip
    return found


@contextlib.contextmanager
def errstate(**settings: Any) -> Iterator[None]:
    for k in settings:
        if k not in ("linalg", "fallback_mode"):
            raise TypeError(k)
    yield


# ---- operators
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
COMPARISONS = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
ALONE = {"neg": "negative", "abs": "absolute", "invert": "invert", "pos": "positive"}


def _operators() -> None:
    def make(name: str, swap: bool, into: bool) -> Callable[..., Any]:
        made: list[Any] = []

        def run(self: ndarray, *others: Any) -> Any:
            if not made:
                made.append(ufunc("cupy", name, getattr(np, name)))
            if others and not isinstance(others[0], ndarray | np.generic | bool | int | float | complex):
                return NotImplemented
            args = (others[0], self) if swap else (self, *others)
            return made[0](*args, out=self) if into else made[0](*args)

        return run

    for short, name in OPERATORS.items():
        setattr(ndarray, f"__{short}__", make(name, False, False))
        setattr(ndarray, f"__r{short}__", make(name, True, False))
        setattr(ndarray, f"__i{short}__", make(name, False, True))
    for short, name in (COMPARISONS | ALONE).items():
        setattr(ndarray, f"__{short}__", make(name, False, False))
    ndarray.__matmul__ = lambda self, other: matmul(self, other)  # type: ignore[attr-defined]
    ndarray.__hash__ = None  # type: ignore[assignment]


_operators()
