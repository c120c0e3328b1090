"""`wengert.save` and `wengert.load`: tensors and plain values in PyTorch's `.pt` files, without pickle being run.

Owns: both, the writing of a file that is there whole or not at all, memory as tensors, map_location. May import: tensor,
backend, dtypes, registry (Parameter, late), pickled; the formats of tensors by name (npz, utils.safetensors), late. Must not
know: modules, optimizers.
A `.pt` file is a zip: `data.pkl` says what there is, `data/<key>` is the memory that tensors lie in, shared where theirs was.
"""

from __future__ import annotations

import io
import os
import pickle
import secrets
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wengert import backend, dtypes
from wengert._tensor import Tensor, wrap
from wengert.pickled import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from wengert.pickled import read as read_pickle
from wengert.pickled import written as pickle_of
from wengert.registry import registry

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

Array = np.ndarray[Any, Any]
MAP_LOCATION = Any  # PyTorch's name for the type of map_location
DEFAULT_PROTOCOL = 2  # of pickles, by PyTorch's name


def save(
    obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = 2, _use_new_zipfile_serialization: bool = True
) -> None:
    """Write tensors, plain values and containers of them to a path or a file object, as a `.pt` file.

    A path that ends in `.safetensors` or `.npz` gets that format, which keeps the values of tensors by name and nothing
    else: a dict of tensors, where dicts within become dotted names ("model.weight"). A path holds the old file or the new
    one at any time, also when the process is killed. NumPy numbers become Python's; modules are kept whole, and so are
    dataclasses and namespaces, NumPy arrays, and the standard library's paths, times and containers, for
    `load(weights_only=False)`.
    Raises TypeError naming the place of a value that the format cannot keep (of a class: its state_dict(), or
    `add_safe_globals`), ValueError for a container that contains itself and for two tensors of one name.
    """
    if not _use_new_zipfile_serialization:
        raise ValueError("save: only the zip format is written (_use_new_zipfile_serialization=True)")
    suffix = "" if hasattr(f, "write") else Path(os.fsdecode(f)).suffix.lower()
    if suffix in (".safetensors", ".npz"):
        _writer(suffix)(_named(obj, suffix), f)
        return
    storages = _Storages()
    pickle_of(obj, storages)  # the first pass finds out which part of shared memory is needed
    storages.settle()
    program = pickle_of(obj, storages)
    if hasattr(f, "write"):
        _write_zip(f, "archive", program, storages)
        return
    path = os.fspath(f)
    with atomic(path) as file:
        _write_zip(file, Path(os.fsdecode(path)).stem or "archive", program, storages)


def load(
    f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: bool | None = None, mmap: bool | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    """Return what a `.pt` file holds, or the tensors by name of a safetensors or `.npz` file; nothing in it is run, with
    `weights_only=False` neither, which reads modules too, of classes that the program has imported, and plain values of NumPy
    and the standard library.

    map_location: the device for all (a name or device), and of a `.pt` file for each (a dict of names), or a function
    (storage, name) that returns storage.cpu() or .cuda(). Raises pickle.UnpicklingError for what is no tensor, plain value
    or container, RuntimeError for a file that is broken, or of a device that is not here.
    """
    if hasattr(f, "read"):
        seekable = getattr(f, "seekable", None)
        if seekable is None or not seekable():
            f = io.BytesIO(f.read())
        return _read(f, map_location, weights_only is False)
    with open(f, "rb") as file:
        return _read(file, map_location, weights_only is False)


@contextmanager
def atomic(path: Any) -> Iterator[BinaryIO]:
    """Open a file that takes the place of the one at `path` when the block has ended well, and all of it is on the disk."""
    path = os.path.realpath(os.fsdecode(path))
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe, /dev/null
        with open(path, "wb") as special:
            yield special
        return
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.part")
    try:
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o666
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    if os.name == "posix":
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


# ---- tensors by name
def _writer(suffix: str) -> Any:
    if suffix == ".npz":
        from wengert.npz import save_file
    else:
        from wengert.utils.safetensors import save_file
    return save_file


def _named(obj: Any, suffix: str) -> dict[str, Tensor]:
    """Return the tensors of a dict, and of dicts in it, by dotted names."""
    found: dict[str, Tensor] = {}
    only = f"a {suffix} file keeps tensors by name and nothing else"

    def add(value: Any, name: str, place: str, around: tuple[int, ...]) -> None:
        if isinstance(value, Tensor) and around:
            if name in found:
                raise ValueError(f"save: two tensors would both be named {name!r} in a {suffix} file, the second is {place}")
            found[name] = value
        elif not isinstance(value, Mapping):
            if isinstance(value, Tensor):
                instead = 'give it a name, {"x": tensor}'
            elif hasattr(value, "state_dict"):
                instead = "save its state_dict()"
            elif isinstance(value, np.ndarray):
                instead = "wengert.from_numpy() makes a tensor of it"
            else:
                instead = "save as .pt, which keeps plain values too, or leave it out"
            raise TypeError(f"save: {place} is a {type(value).__name__}; {only}: {instead}")
        elif id(value) in around:
            raise ValueError(f"save: {place} contains itself")
        elif not value and around:
            raise TypeError(f"save: {place} is empty; {only}: save as .pt, which keeps it, or leave it out")
        else:
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"save: {place} has the key {key!r}; {only}, a string: save as .pt, which keeps it")
                add(inner, f"{name}.{key}" if around else key, f"{place}[{key!r}]", (*around, id(value)))

    add(obj, "", "obj", ())
    return found


# ---- writing
class _Span:
    """Memory that tensors of one dtype share, from its first needed byte to its last."""

    def __init__(self, root: Any, place: str) -> None:
        self.root, self.place, self.key = root, place, ""
        self.begin, self.end = sys.maxsize, 0  # in bytes from the root's first


class _Storages:
    """The memory behind the tensors that are written."""

    def __init__(self) -> None:
        self.spans: dict[Any, _Span] = {}
        self.of_tensor: dict[int, tuple[Tensor, Any, int, Sequence[int]]] = {}

    def locate(self, tensor: Tensor) -> tuple[_Span, int, Sequence[int]]:
        """Return where a tensor's memory is: the span, offset and strides in elements."""
        found = self.of_tensor.get(id(tensor))
        if found is None:
            root, offset, strides = _root(tensor)
            size = tensor.itemsize
            key = (id(root), tensor.dtype.name)
            span = self.spans.setdefault(key, _Span(root, str(tensor.device)))
            steps = sum((n - 1) * s for n, s in zip(tensor.shape, strides, strict=True)) if tensor.numel() else -1
            span.begin, span.end = min(span.begin, offset * size), max(span.end, (offset + steps + 1) * size)
            found = self.of_tensor[id(tensor)] = (tensor, span, offset, strides)
        _, span, offset, strides = found
        return span, offset - span.begin // tensor.itemsize, strides

    def settle(self) -> None:
        """Give every span its key."""
        for i, span in enumerate(self.spans.values()):
            span.key = str(i)


def _root(tensor: Tensor) -> tuple[Any, int, Sequence[int]]:
    """Return the array whose memory a tensor lies in, and offset and strides there; for what no storage can say, a copy."""
    array = root = tensor._array
    while type(getattr(root, "base", None)) is type(array):
        root = root.base
    device = backend.of_array(array)
    size = tensor.itemsize
    start = device.address(array) - device.address(root)
    strides = tensor.stride()
    dense = root.flags.c_contiguous or getattr(root.flags, "f_contiguous", False)
    if not dense or start % size or start < 0 or any(s % size for s in array.strides) or min(strides, default=0) < 0:
        array = root = device.copy(array)
        start, strides = 0, wrap(array).stride()
    return root, start // size, strides


def _bytes_of(span: _Span) -> memoryview:
    """Return the needed bytes of a span, from any device."""
    host = np.asarray(backend.of_array(span.root).to_host(span.root))
    flat = host.reshape(-1, order="C" if host.flags.c_contiguous else "F").view(np.uint8)
    return flat[span.begin : max(span.begin, span.end)].data


def _write_zip(file: Any, name: str, program: bytes, storages: _Storages) -> None:
    written = _Counted(file)
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:

        def entry(path: str, data: Any) -> None:
            info = zipfile.ZipInfo(f"{name}/{path}")
            info.file_size = len(data)
            at = written.tell() + 30 + len(info.filename.encode()) + 4
            pad = -at % 64  # memory begins at multiples of 64, by a field of the header that says nothing
            info.extra = struct.pack("<2sH", b"FB", pad) + b"Z" * pad
            with archive.open(info, "w") as into:
                into.write(data)

        entry("data.pkl", program)
        entry("byteorder", sys.byteorder.encode())
        for span in storages.spans.values():
            entry(f"data/{span.key}", _bytes_of(span))
        entry("version", b"3\n")


class _Counted:
    """A file object that is written to from where it is, and never sought in."""

    def __init__(self, file: Any) -> None:
        self.file, self.position = file, 0

    def write(self, data: Any, /) -> int:
        self.file.write(data)
        n = memoryview(data).nbytes
        self.position += n
        return n

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        if hasattr(self.file, "flush"):
            self.file.flush()

    def close(self) -> None:
        """The file is closed by whoever opened it."""


# ---- reading
def _read(file: BinaryIO, map_location: Any, modules: bool) -> Any:
    start, size = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(start)
    if file.read(2) != b"PK":  # else it stands in a file that has something else before, such as pickles
        start = 0
    file.seek(start)
    first = file.read(9)
    file.seek(start)
    if first[8:] == b"{" and first[:2] != b"PK":  # the length of a header in JSON
        from wengert.utils import safetensors

        source = file if hasattr(file, "readinto") else io.BytesIO(file.read())
        return safetensors.read(source, size, _one_place(map_location))
    if first[:1] == b"\x80" or first[:2] == b"(l":
        raise RuntimeError(
            "load: this is a bare pickle, as PyTorch wrote before version 1.6; such files are not read, as reading runs them. "
            "Let PyTorch load and save it again"
        )
    with whole():
        archive = zipfile.ZipFile(file)
    if all(name.endswith(".npy") for name in archive.namelist()):
        from wengert import npz

        return npz.read(file, archive, size, _one_place(map_location))
    return _read_archive(archive, size, map_location, modules)


def _one_place(map_location: Any) -> Any:
    if callable(map_location) or isinstance(map_location, dict):
        raise TypeError(f"load: of this kind of file map_location is a device or its name, got {map_location!r}")
    return backend.HOST if map_location is None else map_location


@contextmanager
def whole() -> Iterator[None]:
    """Raise RuntimeError for what zipfile says about a file that is no zip, or a broken one."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error, ValueError, OSError) as error:
        words = "the file is no whole .pt or .npz zip (truncated, changed, or something else)"
        raise RuntimeError(f"load: {words}: {error}") from None


def _read_archive(archive: zipfile.ZipFile, size: int, map_location: Any, modules: bool) -> Any:
    entries = {info.filename: info for info in archive.infolist()}
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in entries.values()):
        raise RuntimeError("load: the zip has compressed or encrypted entries, which no .pt file has")
    if len(entries) != len(archive.infolist()) or sum(info.file_size for info in entries.values()) > size:
        raise RuntimeError("load: the zip's entries overlap, or say to be longer than the file")
    heads = [name.removesuffix("/data.pkl") for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(heads) != 1:
        raise RuntimeError("load: the zip has no data.pkl: it is no .pt file")
    (head,) = heads
    if f"{head}/constants.pkl" in entries:
        raise RuntimeError("load: this is a TorchScript program, which is not read; save its state_dict()")
    with whole():
        order = archive.read(f"{head}/byteorder") if f"{head}/byteorder" in entries else b"little"
        program = archive.read(f"{head}/data.pkl")
    if order not in (b"little", b"big"):
        raise RuntimeError(f"load: unknown byte order {order[:20]!r}")
    memory = _Memory(archive, f"{head}/data/", entries, order.decode(), map_location)
    return read_pickle(program, memory.storage, memory.tensor, _parameter, modules)


def _parameter(data: Tensor, requires_grad: bool) -> Any:
    return registry.resolve("modules", "Parameter")(data, requires_grad)


class Storage:
    """The memory of a file's tensors, as a map_location function sees it: `.cpu()`, `.cuda()` and `.to()` say where to."""

    def __init__(self, array: Array, place: Any) -> None:
        self._array, self.device = array, place

    def cpu(self) -> Storage:
        """Return it for the host."""
        return Storage(self._array, backend.device("cpu"))

    def cuda(self, device: Any = None) -> Storage:
        """Return it for a CUDA device."""
        return Storage(self._array, backend.resolve("cuda" if device is None else backend.device(device)))

    def to(self, device: Any) -> Storage:
        """Return it for a device."""
        return Storage(self._array, backend.device(device))

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return self._array.nbytes


class SourceChangeWarning(Warning):
    """Never given: a file's classes are those that the program has. (Programs filter it.)"""


def default_restore_location(storage: Storage, location: str) -> Storage:
    """Return a storage for a device, as a map_location function may. Raises RuntimeError where that is not here."""
    return storage.to(location)


class _Loaded:
    """One storage of a file, on its device, and the counter of writes that its tensors share."""

    def __init__(self, form: tuple[Any, ...], array: Any) -> None:
        self.form, self.array = form, array
        self.box = [0]


class _Memory:
    """The storages of a file, each read once when it is first named."""

    def __init__(self, archive: zipfile.ZipFile, head: str, entries: dict[str, Any], order: str, map_location: Any) -> None:
        self.archive, self.head, self.entries, self.order, self.map_location = archive, head, entries, order, map_location
        self.read: dict[str, _Loaded] = {}

    def storage(self, kind: str, key: str, place: str, count: int) -> _Loaded:
        """Return the storage of a key: `count` elements of a dtype."""
        form = (kind, place, count)
        if key in self.read:
            if self.read[key].form != form:
                raise pickle.UnpicklingError(f"load: storage {key!r} is said to be {self.read[key].form} and {form}")
            return self.read[key]
        info = self.entries.get(self.head + key)
        nbytes = count * dtypes.ALL[kind].itemsize
        if info is None or info.file_size != nbytes:
            there = "missing" if info is None else f"of {info.file_size} bytes"
            raise pickle.UnpicklingError(f"load: storage {key!r} of {count} {kind} ({nbytes} bytes) is {there} in the file")
        with whole(), self.archive.open(info) as entry:
            array = typed(filled(entry, nbytes, key), kind, self.order)
        found = self.read[key] = _Loaded(form, self.put(array, place))
        return found

    def put(self, array: Array, place: str) -> Any:
        """Return a storage that was saved at a place on the device it is to be on now."""
        wanted = self.map_location
        if isinstance(wanted, dict):
            wanted = wanted.get(place)
        elif callable(wanted):
            told = wanted(Storage(array, backend.device("cpu")), place)
            wanted = None if told is None else getattr(told, "device", told)
        if wanted is not None:
            return placed(array, backend.resolve(wanted))
        try:
            return placed(array, backend.resolve(place))
        except RuntimeError as error:
            raise RuntimeError(
                f"load: the file has tensors of the device {place!r}, which is not here ({error}); map_location='cpu' loads "
                f"them to the host"
            ) from None

    def tensor(
        self, storage: _Loaded, offset: int, shape: Sequence[int], strides: Sequence[int], requires_grad: bool, kind: str | None
    ) -> Tensor:
        """Return a tensor that lies in a storage. Raises UnpicklingError where it would reach outside."""
        if not isinstance(storage, _Loaded):
            raise pickle.UnpicklingError("load: a tensor without a storage")
        array = storage.array
        if kind is not None and kind != storage.form[0]:
            if storage.form[0] != "uint8" or array.size % dtypes.ALL[kind].itemsize:
                raise pickle.UnpicklingError(f"load: a tensor of {kind} in a storage of {storage.form[0]}")
            array = array.view(dtypes.ALL[kind].numpy)
        counts = (offset, *shape, *strides)
        if len(shape) != len(strides) or len(shape) > 64 or not all(type(n) is int and 0 <= n < 2**62 for n in counts):
            raise pickle.UnpicklingError(f"load: no tensor has offset, shape and strides {str(counts)[:200]}")
        count, last = 1, offset
        for n, stride in zip(shape, strides, strict=True):
            count, last = count * n, last + (n - 1) * stride
        if (count and last >= array.size) or offset > array.size or count * array.dtype.itemsize >= 2**62:
            raise pickle.UnpicklingError(
                f"load: a tensor of shape {list(shape)} and strides {list(strides)} from {offset} on reaches outside of its "
                f"storage of {array.size} elements"
            )
        if not count:
            laid = array[:0].reshape(_empty(shape))
        elif isinstance(array, np.ndarray):
            laid = np.lib.stride_tricks.as_strided(array[offset:], shape, [s * array.dtype.itemsize for s in strides])
        else:
            laid = wrap(array).as_strided(tuple(shape), tuple(strides), offset)._array
        result = wrap(laid)
        result._box = storage.box
        if requires_grad:
            result.requires_grad_()
        return result


def _empty(shape: Sequence[int]) -> Sequence[int]:
    """Return a shape without elements. Raises UnpicklingError for one that no array may have."""
    size = 1
    for n in shape:
        size *= n or 1
    if size >= 2**60:
        raise pickle.UnpicklingError(f"load: no tensor has the shape {list(shape)}")
    return shape


def filled(entry: Any, nbytes: int, name: str) -> Array:
    """Return the rest of a zip's entry, whose checksum is compared. Raises EOFError where it has not as many bytes."""
    memory = np.empty(nbytes, np.uint8)
    done = 0
    while done < nbytes:
        n = entry.readinto(memory[done:].data)
        if not n:
            raise EOFError(f"{name!r} ends early")
        done += n
    entry.read(1)  # the end, at which the checksum is compared
    return memory


def typed(memory: Array, kind: str, order: str = "little") -> Array:
    """Return bytes as numbers of a dtype, 1-d, on the same memory; other byte orders are turned around in place."""
    dtype = dtypes.ALL[kind].numpy
    if kind == "bool" and memory.size and int(memory.max()) > 1:
        np.minimum(memory, 1, out=memory)  # a byte that is neither would be true and not equal to true
    if order != sys.byteorder and dtype.itemsize > 1:
        width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
        memory.view(f"u{width}").byteswap(inplace=True)
    return memory.view(dtype)


def placed(array: Array, target: Any) -> Any:
    """Return a host array on a device: itself for the host."""
    return array if target.type == backend.HOST else target.backend.from_host(array, target.ordinal)

