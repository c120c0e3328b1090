"""Resampling along one dim: each result is a weighted sum of a few elements, `taps`, given by a table.

Owns: the record `resample` (pads that repeat elements, interpolation, uneven averages are tables of it), and `Table`, which
knows its transpose: the gradient of `resample` is `resample`. May import: wengert.extend, NumPy for tables.
Must not know: what a table stands for, devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.extend import structural

Step = tuple[Any, Any, Any]  # (places of results, or None for all; sources of these; their weights, or None for 1)


class Table:
    """Steps that lead from `size` elements to `length` results; each adds one element to some of the results."""

    def __init__(self, size: int, length: int, steps: list[Step], transposed: Table | None = None) -> None:
        self.size, self.length, self.steps = size, length, steps
        self.taps = sum([len(sources) for _, sources, _ in steps])
        self._transposed = transposed
        self._matrices: dict[Any, Any] = {}

    @property
    def transposed(self) -> Table:
        """The table of the transposed map."""
        if self._transposed is None:
            results, sources, weights = [], [], []
            for places, source, weight in self.steps:
                results.append(np.arange(self.length) if places is None else places)
                sources.append(source)
                weights.append(np.ones(len(source)) if weight is None else weight)
            self._transposed = grouped(self.length, self.size, np.concatenate(results), np.concatenate(sources),
                                       np.concatenate(weights), self)  # fmt: skip
        return self._transposed

    def matrix(self, dtype: Any) -> Any:
        """Return the weights as a matrix, (length, size)."""
        made = self._matrices.get(dtype)
        if made is None:
            made = self._matrices[dtype] = np.zeros((self.length, self.size), dtype)
            for places, sources, weight in self.steps:
                results = np.arange(self.length) if places is None else places
                np.add.at(made, (results, sources), 1 if weight is None else weight)
        return made

    def __repr__(self) -> str:
        return f"<{self.size} to {self.length} in {len(self.steps)} taps>"


def table(size: int, indices: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None = None) -> Table:
    """Return the table of taps (taps, results): result j is the sum over i of weights[i, j] * x[indices[i, j]]."""
    steps = [(None, row, None if weights is None else weights[i]) for i, row in enumerate(indices)]
    return Table(size, indices.shape[1], steps)


def grouped(size: int, length: int, sources: Any, results: Any, weights: Any, transposed: Table | None = None) -> Table:
    """Return the table in which results[k] gets weights[k] times element sources[k], for every k."""
    order = np.argsort(results, kind="stable")
    sources, results, weights = sources[order], results[order], weights[order]
    counts = np.bincount(results, minlength=length)
    rank = np.arange(len(results)) - np.repeat(np.cumsum(counts) - counts, counts)  # among those of one result
    steps: list[Step] = []
    for number in range(counts.max(initial=1)):
        taken = rank == number
        places, weight = results[taken], weights[taken]
        whole = len(places) == length
        steps.append((None if whole else places, sources[taken], None if (weight == 1).all() else weight))
    return Table(size, length, steps, transposed)


def infer_resample(x: Any, axis: int, table: Table) -> Any:
    return (*x.shape[:axis], table.length, *x.shape[axis + 1 :]), x.dtype


# fmt: off
resample = structural("resample", "x", infer_resample, params="axis table",
    x=lambda g, axis, table: resample(g, axis, table.transposed))
# fmt: on
