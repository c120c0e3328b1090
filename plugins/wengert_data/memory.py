"""Where a tensor's memory lies: the words of PyTorch for pinned and shared memory and storages, on one host.

Owns: `pin_memory`, `share_memory_`, `untyped_storage` and their kin. May import: `wengert`'s public names,
NumPy. Must not know: loaders.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

import wengert
from wengert import Tensor


def set_(
    self: Tensor, source: Tensor | UntypedStorage | None = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Let the tensor be another's values, shape and memory, as `self.data = source` does, and return self.

    With a size, or a storage as the source, the shape, strides and offset say what of the memory it is, in elements (from the
    first of a tensor on). Without a source the tensor is empty then. Raises RuntimeError for a source of another dtype, beyond
    the end of the memory, and for a leaf that requires grad, but under no_grad.
    """
    if self.requires_grad and self.is_leaf and wengert.is_grad_enabled():
        raise RuntimeError("set_: a leaf Variable that requires grad is being used in an in-place operation.")
    typed = getattr(source, "dtype", self.dtype)
    if typed != self.dtype:
        raise RuntimeError(f"set_: the source is {typed}, the tensor {self.dtype}")
    if source is None:
        self.data = self.new_empty((0,))
    elif isinstance(source, Tensor) and size is None:
        self.data = source.detach()
    else:
        if isinstance(source, Tensor):  # whose first element is counted from
            storage_offset, source = storage_offset + source.storage_offset(), UntypedStorage(source)
        flat = source._flat().view(self.dtype)
        shape = (flat.numel() - storage_offset,) if size is None else tuple(size)
        steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))] if stride is None else stride
        self.data = flat.as_strided(shape, tuple(steps), storage_offset)
    return self


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """Return the tensor itself: the host's memory is not pinned here, and copies to devices do not need it."""
    return self


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Say whether the memory is pinned: it never is."""
    return False


def share_memory_(self: Tensor) -> Tensor:
    """Move the memory to where processes made by fork see each other's writes, and return self.

    Raises RuntimeError for a tensor on a device, and for a view, whose base would stay where it is.
    """
    import mmap

    if not isinstance(self._array, np.ndarray):
        raise RuntimeError(f"share_memory_: a tensor on {self.device} cannot be shared by processes; .cpu() copies it")
    if self._base is not None:
        raise RuntimeError("share_memory_: this is a view; share the tensor it is a view of, before taking views")
    if not is_shared(self):
        memory = np.frombuffer(mmap.mmap(-1, max(self.nbytes, 1)), np.uint8, self.nbytes)
        shared = memory.view(self._array.dtype).reshape(self._array.shape)
        shared[...] = self._array
        self.data = wengert.from_numpy(shared)
        self.__dict__["_shared"] = True
    return self


def is_shared(self: Tensor) -> bool:
    """Say whether `share_memory_` was called, of this tensor or the one it is a view of."""
    whole = self if self._base is None else self._base
    return any([x.__dict__.get("_shared", False) for x in (self, whole)])


class UntypedStorage:
    """The memory behind a tensor: its address and size in bytes. Two views of one memory have equal addresses."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor if tensor._base is None else tensor._base
        self.device = tensor.device

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """Return a file as memory, which is read as it is used; shared: what is written goes to the file, which may grow."""
        if shared and nbytes > (os.path.getsize(filename) if os.path.exists(filename) else 0):
            with open(filename, "ab") as file:
                file.truncate(nbytes)
        mapped = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(nbytes,) if nbytes else None)
        return cls(wengert.from_numpy(np.asarray(mapped)))

    def _flat(self) -> Tensor:
        """Return the whole memory as a vector."""
        return self._tensor.detach().as_strided((self._reach(),), (1,), 0)  # type: ignore[no-any-return]

    def _reach(self) -> int:
        """Return how many elements lie between the first and the last, which strides may leave out or repeat."""
        x = self._tensor
        return 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True)) if x.numel() else 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        flat = self._flat().numpy().view(np.uint8)
        return flat if dtype is None and not copy else np.array(flat, dtype, copy=copy)

    def __getitem__(self, index: Any) -> Any:
        """Return a byte as a number, or a range of them as memory that is shared."""
        part = self.__array__()[index]
        return UntypedStorage(wengert.from_numpy(part)) if isinstance(index, slice) else int(part)

    def untyped(self) -> UntypedStorage:
        """Return the memory, counted in bytes."""
        return UntypedStorage(self._tensor) if type(self) is not UntypedStorage else self

    def tolist(self) -> list[int]:
        """Return the bytes in the order of memory."""
        return list(self.__array__().tolist())

    def element_size(self) -> int:
        """Return the number of bytes that are counted as one."""
        return 1

    def is_shared(self) -> bool:
        """Say whether the tensor's `share_memory_` was called."""
        return is_shared(self._tensor)

    def data_ptr(self) -> int:
        """Return the address of the first byte."""
        return self._tensor.data_ptr()

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return self._reach() * int(self._tensor.itemsize)

    size = __len__ = nbytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self._cdata == other._cdata

    def __hash__(self) -> int:
        return hash(self._cdata)

    @property
    def _cdata(self) -> tuple[int, str]:
        return self.data_ptr(), str(self.device)


class TypedStorage(UntypedStorage):
    """The memory behind a tensor, counted in elements of its dtype."""

    def size(self) -> int:
        """Return the number of elements."""
        return self.nbytes() // self._tensor.itemsize

    __len__ = size

    @property
    def dtype(self) -> Any:
        return self._tensor.dtype

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        flat = self._flat().numpy()
        return flat if dtype is None and not copy else np.array(flat, dtype, copy=copy)

    def element_size(self) -> int:
        """Return the number of bytes of an element."""
        return int(self._tensor.itemsize)

    def tolist(self) -> list[Any]:
        """Return the elements in the order of memory."""
        return list(self._flat().tolist())

    def fill_(self, value: Any) -> TypedStorage:
        """Write one number to the whole memory and return self."""
        self._flat().fill_(value)
        return self

    def __getitem__(self, index: Any) -> Any:
        """Return an element as a number, or a range of them as a list."""
        return self._flat()[index].tolist()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._flat()[index] = value


def untyped_storage(self: Tensor) -> UntypedStorage:
    """Return the memory behind this tensor."""
    return UntypedStorage(self)


def storage(self: Tensor) -> TypedStorage:
    """Return the memory behind this tensor, counted in elements."""
    return TypedStorage(self)


def record_stream(self: Tensor, stream: Any) -> None:
    """Accepted for PyTorch programs: there is one stream."""
