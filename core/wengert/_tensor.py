"""`Tensor`: a raw device array, and where its gradient goes.

Owns: the class, its attributes, the protocols of Python and NumPy it speaks. May import: dtypes, modes, errors, tape,
backend (device of an array). Must not know: any op; `wengert.faces` attaches the methods that compute, and
`wengert.autograd` attaches `backward`. `_edge` says everything about autograd: None (no gradient), the leaf's end of
the tape, or the node that made this.
"""

from __future__ import annotations

import copy
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from wengert import backend, dtypes, errors, tape
from wengert.attributes import Held, hide, whole
from wengert.backend import device
from wengert.memory import twin
from wengert.modes import state
from wengert.registry import registry
from wengert.tape import AccumulateGrad, Slot, hooks_of


class Size(tuple[int, ...]):
    """A shape: a tuple of ints, which tensors and NumPy's integers become, that prints as `torch.Size([2, 3])`."""

    def __new__(cls, sizes: Any = ()) -> Size:
        sizes = tuple(sizes)
        for i, x in enumerate(sizes):
            if not hasattr(x, "__index__"):
                raise TypeError(f"torch.Size() takes an iterable of 'int' (item {i} is '{type(x).__name__}')")
        return tuple.__new__(cls, [x if isinstance(x, int) else x.__index__() for x in sizes])

    def numel(self) -> int:
        """Return the number of elements."""
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return tuple.__new__(Size, found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return Size((*other, *self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


new, ndarray = object.__new__, np.ndarray
# The classes of tensors that override nothing, beside Tensor itself: the specialised calls look here (`in` a set takes less
# time than isinstance), and whoever is of another class is asked.
PLAIN: set[type] = set()
_DLPACK_KINDS = {"cpu": 1, "cuda": 2, "opencl": 4}  # DLDeviceType; 12 is any other
_DLPACK_HOST = (1, 0)
VERSIONED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # whether NumPy's arrays have versioned capsules


def wrap(array: Any, edge: Any = None) -> Tensor:
    """Return a Tensor of a raw array as it is: no copy, no check."""
    result: Tensor = new(Tensor)
    result._array = array if type(array) is ndarray or not isinstance(array, np.generic) else np.asarray(array)
    result._edge = edge
    result._box = None
    return result


def _constant(array: Any) -> Any:
    """Return a raw array without the history that func transforms keep of it, if it is one of theirs."""
    return array.level.constant(array) if hasattr(array, "level") else array


def _still(tensor: Tensor) -> Any:
    """Return a tensor's raw array without the history that the innermost transform keeps; if that is the tape, as it is."""
    array = tensor._array
    return array.level.constant(array, deep=False) if tensor._edge is None and hasattr(array, "level") else array


def _disabled_torch_function_impl(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Stand as the `__torch_function__` of a class that overrides nothing."""
    return NotImplemented


def refuse_dispatch(kind: type) -> None:
    """Raise NotImplementedError for a class with `__torch_dispatch__`: it may be defined, and never be that of a tensor."""
    if getattr(kind, "__torch_dispatch__", _disabled_torch_function_impl) is not _disabled_torch_function_impl:
        raise errors.no_dispatch(kind)


DENSE = sys.intern("torch.strided")  # interned, as all names of layouts: programs compare them by `is`


class _InferenceBox(list[int]):
    """The write counter of tensors made in `inference_mode`: they have none, and cannot be kept for backward."""

    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal tensor."
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        """Writes are not counted."""


INFERENCE = _InferenceBox()


class Tensor(Held):
    """An array on a device, with a gradient if asked.

    Made by `tensor`, `zeros`, `randn` and their kin, and by operations. `Tensor(data)` and `Tensor(*sizes)` are the
    legacy constructor: the default float type.
    """

    if TYPE_CHECKING:  # what faces.py and autograd attach: every operation is a method too

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def backward(
            self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
        ) -> None: ...

    # The first three are set on every tensor that is made, the rest where they are needed: the interpreter reads an attribute
    # that an object has of its own in a tenth of the time of one that only its class has (and `__dict__` ends that: no hot path
    # asks for it).
    _array: Any
    _edge: Any = None
    _box: list[int] | None = None  # counts writes; shared by all tensors on one storage; made when first needed
    _shown = "tensor"  # what is printed before the values
    _grad: Tensor | None = None
    _retained: tape.Handle  # the hook that keeps this result's gradient, after retain_grad()
    _frozen: Any  # the end of the tape of a leaf that requires no gradient for now
    _base: Tensor | None = None  # the tensor this is a view of (never itself a view)
    _path: tuple[tuple[Any, tuple[Any, ...]], ...] = ()  # the (view op, params) that lead from _base here
    _views: list[weakref.ref[Tensor]] | None = None  # of a base: its living views, whose history follows its own
    _blind: bool | str = False  # a view whose history is unknown: made under no_grad (True), or by the Function named

    __array_ufunc__: Any = None  # see ufuncs.py: NumPy must not compute on its own, it would drop the gradient silently
    __array_priority__ = 1000

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from wengert.ops import creation

        made = creation.legacy(dtypes.default_float(), args, kwargs.get("device"))
        return made if cls is Tensor else Tensor._make_subclass(cls, made)

    # ---- subclasses: see overrides.py
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hide(cls)
        if "_shown" not in vars(cls):
            cls._shown = cls.__name__
        if cls.__torch_function__ is _disabled_torch_function_impl:
            PLAIN.add(cls)
        else:
            from wengert import overrides

            overrides.open_entrances()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function as on plain tensors, and let what it gives be of this class."""
        from wengert import overrides

        return overrides.default(cls, func, types, args, kwargs or {})

    def as_subclass(self, cls: type[Tensor]) -> Any:
        """Return this tensor as one of a subclass, on the same memory and with the same history."""
        from wengert import overrides

        return overrides.as_subclass(self, cls)

    @staticmethod
    def _make_subclass(cls: type[Tensor], data: Tensor, require_grad: bool = False) -> Any:
        """Return a tensor of a subclass on the memory of another one, without its history."""
        if not isinstance(cls, type) or not issubclass(cls, Tensor):
            raise TypeError(f"cls must be a type (got {cls!r}) that is a subclass of Tensor")
        refuse_dispatch(cls)
        result = wrap(data._array)
        result._box = data.version_box()
        if require_grad:
            result.requires_grad_()
        result.__class__ = cls
        return result

    @staticmethod
    def _make_wrapper_subclass(cls: type, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError: a tensor without memory is of use to `__torch_dispatch__` alone."""
        raise errors.no_dispatch(cls)

    # ---- what it is
    @property
    def shape(self) -> Size:
        """The length of each dim; `()` for a single number."""
        return tuple.__new__(Size, self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the length of dimension `dim`."""
        if dim is None:
            return self.shape
        ndim = self._array.ndim
        if not -ndim <= dim < ndim:
            raise errors.dim_range("size", dim, ndim)
        return self._array.shape[dim]

    @property
    def ndim(self) -> int:
        """How many dims there are."""
        return self._array.ndim  # type: ignore[no-any-return]

    def dim(self) -> int:
        """Return the number of dimensions."""
        return int(self._array.ndim)

    ndimension = dim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._array.size  # type: ignore[no-any-return]

    nelement = numel

    def element_size(self) -> int:
        """Return the size of one element in bytes."""
        return int(self._array.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return int(self._array.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.numel() * self.itemsize

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.of(self._array.dtype)

    @property
    def device(self) -> device:
        """Where the memory is."""
        return backend.device_of(self._array)

    @property
    def is_cuda(self) -> bool:
        """Say whether the memory is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Say whether the memory is on the host."""
        return self.device.type == "cpu"

    @property
    def is_meta(self) -> bool:
        """Say whether this has a shape and a dtype, and no values."""
        return getattr(backend.of_array(self._array), "valueless", False)

    is_quantized = is_mkldnn = is_mps = is_nested = is_xpu = is_xla = is_ipu = is_mtia = is_maia = is_vulkan = False

    @property
    def layout(self) -> str:
        """How elements lie in memory: "torch.strided", or as a sparse tensor's are."""
        return getattr(self._array, "form", DENSE)

    @property
    def is_sparse(self) -> bool:
        """Say whether this is a sparse tensor by coordinates."""
        return self.layout == "torch.sparse_coo"

    @property
    def is_sparse_csr(self) -> bool:
        """Say whether this is a sparse matrix by compressed rows."""
        return self.layout == "torch.sparse_csr"

    def get_device(self) -> int:
        """Return the device's index, -1 for the host."""
        return -1 if self.is_cpu else self.device.index or 0

    def is_floating_point(self) -> bool:
        """Say whether the elements are floats (complex ones are not)."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Say whether the elements are complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Say whether the type holds negative numbers."""
        return self.dtype.is_signed

    def stride(self, dim: int | None = None) -> Any:
        """Return how many elements apart neighbours are, along each dimension or along `dim`."""
        strides = [s // self.itemsize for s in self._array.strides]
        for i in reversed(range(len(strides))):
            if strides[i] == 0 and self._array.shape[i] == 1:  # NumPy's for a new dim; PyTorch says what a step would be
                strides[i] = strides[i + 1] * self._array.shape[i + 1] if i + 1 < len(strides) else 1
        return tuple(strides) if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """Return where in its storage this tensor begins, in elements."""
        if self._base is None:
            return 0
        offset: int = backend.of_array(self._array).address(self._array) - backend.of_array(self._array).address(
            self._base._array
        )
        return offset // self.itemsize

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        return int(backend.of_array(self._array).address(self._array))

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Say whether elements lie in memory in row-major order without gaps."""
        return bool(self._array.flags.c_contiguous)

    def is_set_to(self, other: Tensor) -> bool:
        """Say whether both are the same view of the same memory."""
        same = self.data_ptr() == other.data_ptr() and self.shape == other.shape
        return bool(same and self.stride() == other.stride())

    # ---- autograd
    @property
    def requires_grad(self) -> bool:
        """Say whether gradients flow to or through this tensor; set it to make a leaf of one that has no history."""
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise errors.flag_of_result()
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Ask for (or give up) a gradient of this leaf.

        Raises RuntimeError for integer tensors, and where a result is asked to stop requiring grad.
        """
        if requires_grad:
            if self._edge is None or getattr(self._edge, "leaf", None) is tape.nobody:
                if dtypes.category(self._array.dtype) < dtypes.FLOATING:
                    raise errors.integer_grad(self._array.dtype)
                if self._box is INFERENCE and not state.inference:
                    raise RuntimeError(
                        "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed; clone() it"
                    )
                frozen = getattr(self, "_frozen", None)
                if frozen is not None:
                    del self._frozen
                self._edge = frozen or AccumulateGrad(self)
                self._edge.leaf = weakref.ref(self)
        elif self._edge is not None:
            if not self.is_leaf:
                raise errors.flag_of_result()
            self._edge.leaf = tape.nobody  # graphs that lead here deliver nothing, until a gradient is asked for again
            self._frozen, self._edge = self._edge, None
        return self

    def _is_view(self) -> bool:
        """Say whether this is a view that its base's history goes through."""
        return self._base is not None

    @property
    def is_leaf(self) -> bool:
        """Say whether this was made by the user, and not by a recorded operation."""
        return self._edge is None or type(self._edge) is AccumulateGrad

    @property
    def grad_fn(self) -> Any:
        """The node that made this tensor; None for leaves."""
        edge = self._edge
        if edge is None or type(edge) is AccumulateGrad:
            return None
        return tape.shown(edge.origin[0] if type(edge) is Slot else edge)

    @property
    def output_nr(self) -> int:
        """Which of its results this is, where the operation that made it has several."""
        return self._edge.origin[1] if type(self._edge) is Slot else 0

    @property
    def grad(self) -> Tensor | None:
        """What backward added up here; None before."""
        if backend._recorders and state.recorder is not None:
            state.recorder.look(self)
        if self._grad is None and self._edge is not None and not self.is_leaf and not self.retains_grad:
            warnings.warn(errors.NO_LEAF, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value._array.shape != self._array.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: {list(value.shape)}, the tensor has {list(self.shape)}"
                )
            if value._array.dtype != self._array.dtype:
                raise RuntimeError(f"assigned grad has data of a different type: {value.dtype}, the tensor has {self.dtype}")
            if value.device != self.device:
                raise RuntimeError(f"assigned grad has data located on a different device: {value.device}, {self.device}")
        if state.recorder is not None:
            state.recorder.touch(self)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def _version(self) -> int:
        if self._box is INFERENCE:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._box[0] if self._box is not None else 0

    def version_box(self) -> list[int]:
        """Return the write counter of this tensor's storage."""
        box = self._box
        if box is None:  # threads that ask at once get one counter: nothing from here on lets another thread run
            box = self._box = [0]
        return box

    def is_inference(self) -> bool:
        """Say whether this was made inside `inference_mode`."""
        return self._box is INFERENCE

    @property
    def data(self) -> Tensor:
        """The same memory without history, whose writes autograd does not notice."""
        return wrap(_still(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._edge is not None and dtypes.category(value._array.dtype) < dtypes.FLOATING:
            raise errors.integer_grad(value._array.dtype)
        self.leave_storage()
        self._array = value._array
        self._box = None

    def leave_storage(self) -> Tensor:
        """Let a hidden tensor be the base of everything that shares this one's memory, and return it.

        What was written through views stays with them: this tensor is about to look elsewhere, or differently.
        """
        base = self._base
        if base is None:
            base = wrap(self._array, self._edge)
            base._box, base._views = self.version_box(), self._views or []
            for view in [v for r in base._views if (v := r()) is not None]:
                view._base = base
            self._views = None
        else:
            base._views = [r for r in base._views or () if r() is not self]
            self._base, self._path, self._blind = None, (), False
        return base

    def detach(self) -> Tensor:
        """Return the same memory without history; a write to it is still noticed by autograd."""
        result = wrap(_constant(self._array))
        result._box = self.version_box()
        return result

    def _bare(self) -> Tensor:
        """Return what `detach` does, but for a func transform: the array as it is, with what the transform keeps of it."""
        result = wrap(self._array)
        result._box = self.version_box()
        return result

    def detach_(self) -> Tensor:
        """Cut this tensor off its history: it becomes a leaf that requires no grad."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._array, self._edge = _still(self), None
        return self

    def retain_grad(self) -> None:
        """Keep `.grad` of this result too, as for a leaf. Raises RuntimeError when it requires no grad."""
        if self._edge is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf and not self.retains_grad:
            self.retain_last()

    def retain_last(self) -> None:
        """Keep the gradient that arrives where this tensor's history ends now, after all hooks that change it."""
        owner = weakref.ref(self)

        def keep(g: Tensor) -> None:
            tensor = owner()
            if tensor is not None:
                tensor._grad = g.clone() if tensor._grad is None else tensor._grad + g

        if self.retains_grad:
            self._retained.remove()
        self._retained = hooks_of(self._edge).add("tensor", keep)

    @property
    def retains_grad(self) -> bool:
        """Say whether `retain_grad` was called on a tensor that is no leaf."""
        return not self.is_leaf and hasattr(self, "_retained")

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> tape.Handle:
        """Call `hook(grad)` when the gradient of this tensor is known; what it returns replaces the gradient."""
        if self._edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")

        def checked(g: Tensor) -> Tensor | None:
            result = hook(g)
            wrong = None if result is None or result is g else errors.hook_result(hook, g, result)
            if wrong is not None:
                raise wrong
            return result

        handle = hooks_of(self._edge).add("tensor", checked)
        if self.retains_grad:
            self.retain_last()
        return handle

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> tape.Handle:
        """Call `hook(self)` each time a backward has added to this leaf's `.grad`."""
        if self._edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if type(self._edge) is not AccumulateGrad:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return hooks_of(self._edge).add("leaf", hook)

    def _accumulate_(self, g: Any) -> None:
        """Add a raw gradient in place (a write that the version counter sees); a dense one to a sparse one gives a new one."""
        owner = backend.of_array(self._array)
        if type(g) is type(self._array) or not (hasattr(g, "parts") or hasattr(self._array, "parts")):
            owner.add_into(self._array, g)
        else:
            self._array = self._array + g
        if self._box is not None and self._box is not INFERENCE:
            self._box[0] += 1

    # ---- values on the host
    def numpy(self, *, force: bool = False) -> Any:
        """Return a NumPy array on the same memory (host device only; `force=True` copies from anywhere).

        Raises RuntimeError when the tensor requires grad (unless under `no_grad`), TypeError when it is on another device.
        """
        if force:
            return backend.of_array(self._array).to_host(self._array)
        if self._edge is not None and state.grad:
            raise errors.numpy_of_grad()
        if not isinstance(self._array, np.ndarray):
            if state.recorder is not None:
                raise errors.captured_value("numpy()")
            if hasattr(self._array, "level"):
                self.host()  # raises in a vmap, where there is no single value
            if hasattr(self._array, "parts"):
                raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                f"memory first."
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(
        self, /, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:  # fmt: skip
        """Return a DLPack capsule of the memory, which other libraries' `from_dlpack` ask for; of a copy on the host where
        dl_device is (1, 0) and this is on another device. max_version (1, 0) and later: a versioned capsule, with flags.

        Raises BufferError for a tensor that requires grad, on a device that is not asked to copy to the host, where
        copy=False forbids it, and where DLPack has no such type.
        """
        if self._edge is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        array, place = self._array, self.__dlpack_device__()
        if dl_device in (None, place) and not copy and hasattr(array, "__dlpack__") and not isinstance(array, np.ndarray):
            return array.__dlpack__(stream=stream)  # memory of a device whose library shares it
        if stream not in (None, -1):
            raise AssertionError(f"stream should be None on cpu, got {stream!r}")
        if dl_device not in (None, place, _DLPACK_HOST):
            raise BufferError(f"cannot export a tensor on {self.device} to the DLPack device {dl_device}; use tensor.to()")
        if not isinstance(array, np.ndarray):
            if tuple(dl_device or ()) != _DLPACK_HOST or copy is False:
                raise BufferError(
                    f"no other library reads memory on {self.device} by DLPack; use tensor.cpu(), or from_dlpack(tensor, "
                    f"device='cpu'), which copies"
                )
            array, copy = self.numpy(force=True), True if max_version and max_version[0] else None
        asked = {k: v for k, v in (("max_version", max_version), ("copy", copy)) if v is not None and VERSIONED}
        return (array.copy() if copy and not VERSIONED else array).__dlpack__(**asked)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """What CUDA's array libraries (CuPy, Numba, PyTorch) read memory by. Raises AttributeError for tensors elsewhere."""
        told: dict[str, Any] = self._array.__cuda_array_interface__
        if self._edge is not None:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad; use tensor.detach()")
        return told

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return DLPack's number for the kind of device, and the device's index: (1, 0) is the host."""
        place = self.device
        return _DLPACK_KINDS.get(place.type, 12), place.index or 0

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """Return the functions of the array API standard for tensors. Raises ValueError for a version they do not follow."""
        from wengert import array_api

        if api_version not in (None, *array_api.VERSIONS):
            raise ValueError(
                f"wengert.array_api follows the array API standard {', '.join(array_api.VERSIONS)}, not {api_version!r}"
            )
        return array_api

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """Return this on a device (the array API standard's name for `to`). Raises ValueError for a stream."""
        if stream is not None:
            raise ValueError(f"to_device: wengert has no streams, got stream={stream!r}")
        moved: Tensor = self.to(device)
        return moved

    def host(self) -> Any:
        """Return the values as a NumPy array, from any device."""
        return backend.of_array(self._array).to_host(self._array)

    def item(self) -> Any:
        """Return the one element as a Python number. Raises RuntimeError when there are more or none."""
        if self._array.size != 1:
            raise errors.not_one_element(self._array.size)
        return self.host().item()

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self.host().tolist()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise errors.ambiguous_bool(self._array.shape)
        return bool(self.host())

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def _number(self) -> Any:
        if self._array.size != 1:
            raise errors.only_one_element(self._array.shape)
        return self.host().item()

    def __index__(self) -> int:
        if self._array.size != 1 or dtypes.category(self._array.dtype) > dtypes.INTEGRAL:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self._array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self._array.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self) -> Tensor:
        return self.flip(0) if self._array.ndim else self

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, Tensor | int | float | complex):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(value)}."
            )
        return bool((self == value).any())

    __hash__ = object.__hash__  # by identity: == compares elements

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if type(self) is Tensor and not self._array.ndim else object.__format__(self, spec)

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return self._text()

    def _text(self) -> str:
        from wengert import printing

        place = self.device
        edge = self._edge
        default = np.dtype(dtypes.default_float())
        parts = getattr(self._array, "parts", None)
        if parts is not None:
            absent = place.type == "meta"
            hosts = {name: part if absent else backend.of_array(part).to_host(part) for name, part in parts.items()}
            return printing.render_parts(
                hosts,
                shape=self._array.shape,
                layout=self.layout,
                contents="..." if absent else None,
                dtype=repr(self.dtype) if printing.needs_dtype(hosts["values"], default) else None,
                device=None if place.type == "cpu" else str(place),
                grad_fn=None if self.grad_fn is None else self.grad_fn.name().rpartition("::")[2],
                requires_grad=edge is not None,
            )
        if hasattr(self._array, "level") and (shown := self._array.shown()) is not None:
            return str(shown)
        host = self._array if self.is_meta else self.host()
        text = printing.render(
            host,
            prefix=f"{self._shown}(",
            contents="..." if self.is_meta else None,
            dtype=repr(self.dtype) if printing.needs_dtype(host, default, shown=not self.is_meta) else None,
            device=None if place.type == "cpu" else str(place),
            grad_fn=None if self.grad_fn is None else self.grad_fn.name().rpartition("::")[2],
            requires_grad=edge is not None,
        )
        return f"Parameter({text})" if getattr(self, "_is_param", False) else text

    def __dir__(self) -> list[str]:
        return sorted(set(super().__dir__()) - {"_array", "_edge"})

    # ---- copies and pickles
    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise errors.deepcopy_nonleaf()
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        result = new(type(self))
        memo[id(self)] = result
        result.__dict__ = copy.deepcopy(self.__dict__, memo)
        result._array = twin(self._array, backend.of_array(self._array).copy, memo)
        if self._edge is not None:
            result._edge = AccumulateGrad(result)
        if self._grad is not None:
            if id(self._grad) not in memo:
                memo[id(self._grad)] = self._grad.detach().clone()
            result._grad = memo[id(self._grad)]
        return result

    def __copy__(self) -> Tensor:
        """Return a leaf on the same memory (PyTorch's reading of a shallow copy)."""
        result = _restored(type(self), self._array, self.requires_grad, dict(self.__dict__))
        result._box = self.version_box()
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if hasattr(self._array, "parts"):
            own = (type(self), self.layout, self._parts(), self.requires_grad, dict(self.__dict__))
            return _unpickle_parts, own
        host = np.ascontiguousarray(self.host()).reshape(self._array.shape)
        return _unpickle, (type(self), host, str(self.device), self.requires_grad, dict(self.__dict__))

    def _parts(self) -> tuple[Any, ...]:
        """Return what the constructor of this layout takes: the arrays of a sparse tensor as tensors, the shape, the rest."""
        array = self._array
        return (*[wrap(part) for part in array.parts.values()], self.shape, *array.rest)


Tensor._inside = frozenset(Tensor.__annotations__)  # what a copy makes anew


def _unpickle(cls: type[Tensor], host: Any, place: str, requires_grad: bool, extra: dict[str, Any]) -> Tensor:
    """Rebuild a pickled tensor on its device, or on the default device where that one is absent."""
    try:
        target = backend.resolve(place)
    except RuntimeError:
        target = backend.resolve(None)
    return _restored(cls, target.backend.from_host(host, target.ordinal), requires_grad, extra)


def _unpickle_parts(cls: type[Tensor], layout: str, parts: Any, requires_grad: bool, extra: dict[str, Any]) -> Tensor:
    """Rebuild a pickled sparse tensor from the parts it is made of."""
    return _restored(cls, of_parts(layout, parts)._array, requires_grad, extra)


def _restored(cls: type[Tensor], array: Any, requires_grad: bool, extra: dict[str, Any]) -> Tensor:
    """Return a leaf of a class; of that only at the end, as a class may override what is done here."""
    result = wrap(array)
    result.__dict__ = extra
    result.requires_grad_(requires_grad)
    result.__class__ = cls
    return result


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Let each of two tensors be what the other is: values, class, gradient, history, attributes; who holds one sees the other.

    Raises RuntimeError for a tensor that has views, which would not follow.
    """
    for tensor in (t1, t2):
        if tensor._base is not None or any(view() is not None for view in tensor._views or ()):
            raise RuntimeError("swap_tensors: Cannot swap a tensor that is a view, or has some: they would not follow")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    one, two = whole.__get__(t1), whole.__get__(t2)
    whole.__set__(t1, two), whole.__set__(t2, one)
    for tensor in (t1, t2):
        if type(tensor._edge) is AccumulateGrad:
            tensor._edge.leaf = weakref.ref(tensor)


def of_parts(layout: str, parts: Any) -> Tensor:
    """Return a sparse tensor made of what `Tensor._parts` gave. Raises KeyError for a layout that there is none of."""
    count = {"torch.sparse_coo": 3, "torch.sparse_csr": 4}[layout]
    make = registry.resolve("ops", f"{layout.removeprefix('torch.')}_tensor")
    made: Tensor = make(*parts[:count], **dict(zip(("is_coalesced",), parts[count:], strict=False)))
    return made


tape.wrap = wrap
tape.duplicate = lambda array: backend.of_array(array).copy(array)
