"""Where a tensor's memory lies: the words of PyTorch for pinned and shared memory and storages, on one host.

Owns: `Tensor.new`, `pin_memory`, `share_memory_`, `untyped_storage` and their kin. May import: `wengert`'s public names,
NumPy. Must not know: loaders.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import wengert
from wengert import Tensor


def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """Return a tensor of this dtype and device: of the given sizes (values not set), or with the given data."""
    place = self.device if device is None else device
    if len(args) == 1 and not isinstance(args[0], int):
        (given,) = args
        if isinstance(given, Tensor):
            return given.detach().to(device=place, dtype=self.dtype)  # type: ignore[no-any-return]
        if isinstance(given, wengert.Size):
            return wengert.empty(given, dtype=self.dtype, device=place)  # type: ignore[no-any-return]
        return wengert.tensor(given, dtype=self.dtype, device=place)  # type: ignore[no-any-return]
    return wengert.empty(args or (0,), dtype=self.dtype, device=place)  # type: ignore[no-any-return]


def set_(self: Tensor, source: Tensor) -> Tensor:
    """Let the tensor be another's values, shape and memory, as `self.data = source` does, and return self.

    Raises RuntimeError for a source of another dtype.
    """
    if source.dtype != self.dtype:
        raise RuntimeError(f"set_: the source is {source.dtype}, the tensor {self.dtype}")
    self.data = source.detach()
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
    """Say whether `share_memory_` was called."""
    return bool(self.__dict__.get("_shared", False))


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

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        flat = self._tensor.detach().as_strided((self._tensor.numel(),), (1,), 0).numpy().view(np.uint8)
        return flat if dtype is None and not copy else np.array(flat, dtype, copy=copy)

    def __getitem__(self, index: Any) -> Any:
        """Return a byte as a number, or a range of them as memory that is shared."""
        part = self.__array__()[index]
        return UntypedStorage(wengert.from_numpy(part)) if isinstance(index, slice) else int(part)

    def untyped(self) -> UntypedStorage:
        """Return the memory, counted in bytes."""
        return UntypedStorage(self._tensor) if type(self) is not UntypedStorage else self

    def data_ptr(self) -> int:
        """Return the address of the first byte."""
        return self._tensor.data_ptr()

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return self._tensor.nbytes

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

    def tolist(self) -> list[Any]:
        """Return the elements in the order of memory."""
        return list(self._tensor.as_strided((self.size(),), (1,), 0).tolist())

    def __getitem__(self, index: int) -> Any:
        return self.tolist()[index]


def untyped_storage(self: Tensor) -> UntypedStorage:
    """Return the memory behind this tensor."""
    return UntypedStorage(self)


def storage(self: Tensor) -> TypedStorage:
    """Return the memory behind this tensor, counted in elements."""
    return TypedStorage(self)


def record_stream(self: Tensor, stream: Any) -> None:
    """Accepted for PyTorch programs: there is one stream."""
