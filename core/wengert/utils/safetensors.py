"""`utils.safetensors`: tensors by name in the safetensors format, read and written.

Owns: `save_file`, `load_file`, `save`, `load`, the checks of a file's header. May import: serialization (types, atomic
writing), tensor, creation, dtypes. Must not know: modules, ops.
The format: 8 bytes, the length of the header; the header, JSON: for each name its dtype, shape and [begin, end) in the data;
the data. Source: the format's description, https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from wengert import backend, dtypes
from wengert._tensor import Tensor, wrap
from wengert.serialization import atomic, placed, typed

HEADER = 100_000_000  # the longest header that is read
TYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
NAMES = {code: name for name, code in TYPES.items()}


class SafetensorError(ValueError):
    """What is raised for a file that is not as the format says."""


def save_file(tensors: Mapping[str, Tensor], filename: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors by name to a file, which is there whole or not at all. Raises as `save`."""
    plan, header = _layout(tensors, metadata)
    with atomic(os.fspath(filename)) as file:
        _write(file, plan, header)


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return tensors by name as bytes. Raises TypeError for names and values of other types, and for complex128."""
    plan, header = _layout(tensors, metadata)
    file = io.BytesIO()
    _write(file, plan, header)
    return file.getvalue()


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """Return the tensors of a file by name, on a device. Raises SafetensorError for a file that breaks the format."""
    with open(filename, "rb") as file:
        return read(file, os.fstat(file.fileno()).st_size, device)


def load(data: bytes, device: Any = "cpu") -> dict[str, Tensor]:
    """Return the tensors in bytes by name. Raises SafetensorError for bytes that break the format."""
    return read(io.BytesIO(data), len(data), device)


def metadata(filename: Any) -> dict[str, str]:
    """Return the words that were written along with the tensors of a file."""
    with open(filename, "rb") as file:
        return _header(file, os.fstat(file.fileno()).st_size)[0]


# ---- writing
def _layout(tensors: Mapping[str, Tensor], words: Mapping[str, str] | None) -> tuple[list[Tensor], bytes]:
    """Return the tensors in the order of the file, and its first bytes: wide types first, so that all are aligned."""
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"safetensors: names are strings other than '__metadata__', got {name!r}")
        if not isinstance(tensor, Tensor):
            raise TypeError(f"safetensors: {name!r} is a {type(tensor).__name__}; only tensors can be saved")
        if tensor.dtype.name not in TYPES:
            raise TypeError(f"safetensors: {name!r} has dtype {tensor.dtype}, which the format has not; a .pt file has it")
    if words is not None and not all(isinstance(w, str) for pair in words.items() for w in pair):
        raise TypeError("safetensors: metadata is strings by strings")
    ranks = {name: i for i, name in enumerate(_BY_WIDTH)}
    order = sorted(tensors, key=lambda name: (ranks[tensors[name].dtype.name], name))
    header: dict[str, Any] = {} if words is None else {"__metadata__": dict(words)}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": TYPES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [tensors[name] for name in order], len(text).to_bytes(8, "little") + text


_BY_WIDTH = (
    "complex64", "uint64", "int64", "float64", "uint32", "int32", "float32", "uint16", "int16", "bfloat16", "float16", "int8",
    "uint8", "bool",
)  # fmt: skip


def _write(file: BinaryIO, tensors: list[Tensor], header: bytes) -> None:
    file.write(header)
    for tensor in tensors:
        host = np.ascontiguousarray(tensor.detach().host())
        if sys.byteorder == "big":
            host = host.byteswap()
        file.write(host.reshape(-1).view(np.uint8).data)


# ---- reading
def _header(file: BinaryIO, size: int) -> tuple[dict[str, str], dict[str, Any], int]:
    """Return the words, the entries and where the data begins."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(HEADER, size - 8):
        raise SafetensorError(f"safetensors: the header would have {length} bytes; the file has {size} (truncated?)")
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SafetensorError(f"safetensors: the header is no JSON object: {error}") from None
    if not isinstance(header, dict):
        raise SafetensorError("safetensors: the header is no JSON object")
    words = header.pop("__metadata__", {})
    if not isinstance(words, dict) or not all(isinstance(v, str) for v in words.values()):
        raise SafetensorError("safetensors: __metadata__ must be strings by strings")
    return words, header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _checked(name: str, entry: Any) -> tuple[str, list[int], int, int]:
    """Return dtype, shape and range of an entry."""
    if not isinstance(entry, dict) or {*entry} != {"dtype", "shape", "data_offsets"}:
        raise SafetensorError(f"safetensors: {name!r} must have dtype, shape and data_offsets, got {str(entry)[:100]}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in NAMES:
        raise SafetensorError(f"safetensors: {name!r} has the dtype {code!r}; read are {', '.join(NAMES)}")
    if not (_counts(shape) and _counts(offsets) and len(offsets) == 2 and len(shape) <= 64):
        raise SafetensorError(f"safetensors: {name!r}: shape and data_offsets are lists of counts")
    nbytes = dtypes.ALL[NAMES[code]].itemsize
    whole = 1
    for n in shape:
        nbytes, whole = nbytes * n, whole * (n or 1)
    if whole >= 2**60:
        raise SafetensorError(f"safetensors: {name!r}: no tensor has the shape {shape}")
    begin, end = offsets
    if end - begin != nbytes:
        raise SafetensorError(f"safetensors: {name!r} of shape {shape} and dtype {code} has {nbytes} bytes, not {end - begin}")
    return NAMES[code], shape, begin, end


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def read(file: BinaryIO, size: int, device: Any) -> dict[str, Tensor]:
    """Return the tensors of an open file of `size` bytes by name, on a device. Raises SafetensorError as `load_file`."""
    _, header, start = _header(file, size)
    entries = {name: _checked(name, entry) for name, entry in header.items()}
    position = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != position:
            raise SafetensorError(f"safetensors: {name!r} begins at {begin}, not where the one before it ends, at {position}")
        position = end
    if start + position != size:
        raise SafetensorError(f"safetensors: the data of {position} bytes should end the file, which has {size - start} there")
    result, target = {}, backend.resolve(device)
    for name, (kind, shape, begin, end) in entries.items():
        file.seek(start + begin)
        memory = np.empty(end - begin, np.uint8)
        if file.readinto(memory.data) != end - begin:  # type: ignore[attr-defined]
            raise SafetensorError(f"safetensors: the file ended within {name!r}")
        result[name] = wrap(placed(typed(memory, kind).reshape(shape), target))
    return result
