"""`nn.utils.rnn`: sequences of different lengths, padded to one tensor or packed into one.

Owns: `PackedSequence` and the ways between lists, padded and packed sequences. May import: `wengert`'s public names.
Must not know: modules, devices. Packed data has the first elements of all sequences, then the second ones, ..., of
sequences in the order of falling length; batch_sizes says how many there are of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

import wengert
from wengert import Tensor
from wengert.nn import functional as F


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(PackedSequence_):
    """Sequences of different lengths as one tensor; sorted_indices: their order of falling length, if it is not their own."""

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is not None and not batch_sizes.is_cpu:
            raise ValueError(
                f"batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually, but got "
                f"batch_sizes on {batch_sizes.device}"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _moved(self, change: Callable[[Any], Any], indices: Callable[[Any], Any]) -> PackedSequence:
        order = (None if i is None else indices(i) for i in (self.sorted_indices, self.unsorted_indices))
        return PackedSequence(change(self.data), self.batch_sizes, *order)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Return the sequences with another dtype, or on another device."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._moved(lambda _: data, lambda i: i.to(data.device))

    def cpu(self) -> PackedSequence:
        """Return the sequences on the host."""
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Return the sequences on the CUDA device."""
        data = self.data.cuda(*args, **kwargs)
        return self._moved(lambda _: data, lambda i: i.to(data.device))

    def double(self) -> PackedSequence:
        """Return the sequences in float64."""
        return self.to(dtype=wengert.float64)

    def float(self) -> PackedSequence:
        """Return the sequences in float32."""
        return self.to(dtype=wengert.float32)

    def half(self) -> PackedSequence:
        """Return the sequences in float16."""
        return self.to(dtype=wengert.float16)

    def long(self) -> PackedSequence:
        """Return the sequences in int64."""
        return self.to(dtype=wengert.int64)

    def int(self) -> PackedSequence:
        """Return the sequences in int32."""
        return self.to(dtype=wengert.int32)

    def short(self) -> PackedSequence:
        """Return the sequences in int16."""
        return self.to(dtype=wengert.int16)

    def char(self) -> PackedSequence:
        """Return the sequences in int8."""
        return self.to(dtype=wengert.int8)

    def byte(self) -> PackedSequence:
        """Return the sequences in uint8."""
        return self.to(dtype=wengert.uint8)

    def pin_memory(self) -> PackedSequence:
        """Accepted for PyTorch programs."""
        return self

    @property
    def is_cuda(self) -> bool:
        return bool(self.data.is_cuda)


def invert_permutation(permutation: Any) -> Any:
    """Return the permutation that undoes one; None for None."""
    return None if permutation is None else permutation.argsort()


def _indices(values: Any, like: Any) -> Any:
    return wengert.tensor(np.asarray(values, dtype=np.int64), device=like.device)


def _places(lengths: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return time and sequence of each element of packed data."""
    present = np.arange(lengths[0])[:, None] < lengths[None]
    time, sequence = np.nonzero(present)
    return time, sequence


def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Return the sequences of a padded tensor, [length, batch, ...], packed. Raises RuntimeError for lengths that are wrong.

    enforce_sorted: lengths have to fall; else sequences are sorted, and `sorted_indices` says how.
    """
    length = np.asarray(lengths.tolist() if isinstance(lengths, Tensor) else lengths, dtype=np.int64)
    batch = input.shape[0 if batch_first else 1]
    if length.ndim != 1 or len(length) != batch:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {length.size} (batch_size={batch})")
    if not len(length) or length.min() <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    order = None
    if not enforce_sorted:
        falling = np.argsort(-length, kind="stable")
        length, order = length[falling], _indices(falling, input)
        input = input.index_select(0 if batch_first else 1, order)
    elif np.any(np.diff(length) > 0):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not "
            "need ONNX exportability."
        )
    rows = input.transpose(0, 1) if batch_first else input
    if length[0] > rows.shape[0]:
        raise RuntimeError(f"Expected sequence length to be at most {rows.shape[0]}, the padded one, but got {length[0]}")
    time, sequence = _places(length)
    flat = rows.reshape(rows.shape[0] * batch, *rows.shape[2:])
    data = flat.index_select(0, _indices(time * batch + sequence, input))
    return PackedSequence(data, wengert.tensor(np.bincount(time), device="cpu"), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """Return packed sequences as a padded tensor, [length, batch, ...], and their lengths."""
    data, sizes = sequence.data, np.asarray(sequence.batch_sizes.tolist(), dtype=np.int64)
    longest, batch = len(sizes), int(sizes[0])
    if total_length is not None and total_length < longest:
        raise ValueError(
            f"Expected total_length to be at least the length of the longest sequence in input, but got total_length="
            f"{total_length} and max sequence length being {longest}"
        )
    lengths = (sizes[None] > np.arange(batch)[:, None]).sum(1)
    time, number = _places(lengths)
    place = np.full((total_length or longest, batch), len(data), dtype=np.int64)
    place[time, number] = np.arange(len(data))
    padding = wengert.full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    flat = wengert.cat([data, padding]).index_select(0, _indices(place.ravel(), data))
    padded = flat.reshape(*place.shape, *data.shape[1:])
    if batch_first:
        padded = padded.transpose(0, 1)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[np.asarray(sequence.unsorted_indices.tolist())]
    return padded, wengert.tensor(lengths)


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Return sequences, [length, ...] each, as one tensor, [length, batch, ...], with padding after (or before) them."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    given = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not given:
        raise RuntimeError("received an empty list of sequences")
    longest = max(x.shape[0] for x in given)

    def padded(x: Any) -> Any:
        missing = longest - x.shape[0]
        pair = (missing, 0) if padding_side == "left" else (0, missing)
        return F.pad(x, (*(0, 0) * (x.dim() - 1), *pair), value=padding_value) if missing else x

    return wengert.stack([padded(x) for x in given], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Return the sequences of a padded tensor, without the padding."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[: int(n)] for x, n in zip(rows.unbind(0), lengths, strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Return sequences, [length, ...] each, packed."""
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Return the sequences that are packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
