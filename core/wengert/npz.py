"""Tensors by name in NumPy's `.npz`: a zip of `.npy` files, written and read without pickle.

Owns: both, and the checks of what an entry says about itself before memory is taken for it. May import: serialization (whole
files, memory as numbers), tensor, backend, dtypes. Must not know: modules, ops.
Source: the description of the format in NumPy's reference, `numpy.lib.format`.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from wengert import backend, dtypes
from wengert._tensor import Tensor, wrap
from wengert.serialization import atomic, filled, placed, typed, whole

DEFLATED = 1032  # bytes that one byte of a deflated entry can stand for, at most
NAMES = {kind.numpy: name for name, kind in dtypes.ALL.items() if kind.numpy.kind in "biufc"}


def save_file(tensors: Mapping[str, Tensor], filename: Any) -> None:
    """Write tensors by name to a file, which is there whole or not at all.

    Raises TypeError for bfloat16, which NumPy's files have not, ValueError for a name that no zip can hold.
    """
    for name, tensor in tensors.items():
        if tensor.dtype.numpy not in NAMES:
            raise TypeError(
                f"save: {name!r} has dtype {tensor.dtype}, which NumPy's .npz has not; save as .safetensors or .pt, or "
                f"{name!r} as float32"
            )
        if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name) or len(name.encode()) > 60_000:
            raise ValueError(f"save: {name[:40]!r} can be no name in a .npz: a zip's names are UTF-8, short, without NUL")
    with atomic(os.fspath(filename)) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in tensors.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(tensor.detach().host()), allow_pickle=False)


def read(file: BinaryIO, archive: zipfile.ZipFile, size: int, device: Any) -> dict[str, Tensor]:
    """Return the arrays of an opened archive as tensors by name, on a device. Raises RuntimeError for a broken or hostile
    one, and for arrays that no tensor can be."""
    entries = archive.infolist()
    if len({info.filename for info in entries}) != len(entries) or sum(info.compress_size for info in entries) > size:
        raise RuntimeError("load: the .npz file's entries overlap, or a name stands twice")
    target = backend.resolve(device)
    result = {}
    for info in entries:
        name = info.filename.removesuffix(".npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise RuntimeError(f"load: {name!r} in the .npz file is encrypted, or compressed as NumPy never does")
        if info.file_size > info.compress_size * DEFLATED + 1000:
            raise RuntimeError(f"load: {name!r} in the .npz file says to be longer than it can be")
        with whole(), archive.open(info) as entry:
            result[name] = wrap(placed(_array(name, info, entry), target))
    return result


def _array(name: str, info: zipfile.ZipInfo, entry: Any) -> Any:
    shape, columns_first, dtype = _header(name, entry)
    native = dtype.newbyteorder("=")
    if dtype.hasobject:
        raise RuntimeError(f"load: {name!r} in the .npz file holds Python objects, a pickle, which is not run")
    if native not in NAMES:
        raise RuntimeError(f"load: {name!r} in the .npz file has dtype {dtype}, which no tensor has; numpy.load reads it")
    counts = len(shape) <= 32 and all(type(n) is int and 0 <= n < 2**60 for n in shape)
    if not counts or math.prod(n or 1 for n in shape) >= 2**60:
        raise RuntimeError(f"load: {name!r} in the .npz file: no tensor has the shape {str(shape)[:100]}")
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes != info.file_size - entry.tell():
        raise RuntimeError(
            f"load: {name!r} in the .npz file of shape {list(shape)} and dtype {native} has {nbytes} bytes, not "
            f"{info.file_size - entry.tell()}"
        )
    memory = typed(filled(entry, nbytes, name), NAMES[native], "big" if dtype.str.startswith(">") else "little")
    return memory.reshape(shape, order="F" if columns_first else "C")


def _header(name: str, entry: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and dtype that a `.npy` file begins with."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(entry)
        if version in readers:
            return readers[version](entry)
        reason = f"version {version}"
    except zipfile.BadZipFile:
        raise
    except Exception as error:  # NumPy evaluates a literal and makes a dtype of it, which fail in many ways
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    raise RuntimeError(f"load: {name!r} in the .npz file does not begin as NumPy's arrays do ({reason})")
