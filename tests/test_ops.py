"""Every row of the case table holds: gradients against differences, values against NumPy, all of it against PyTorch.

Owns: how a row is checked. May import: the case table, wengert's public API and its tables of names and, inside tests
marked `parity`, torch. Must not know: any op; what is particular to one stands in its row, or in the tables below.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wengert as w
from cases import ELEMENTWISE, FUNCTIONS, RECORDS, Case, Sample, V, s
from wengert import faces
from wengert.op import OPS

CASES = [*RECORDS.values(), *FUNCTIONS.values()]


def title(case: Case) -> str:
    return f"{'op ' if case.is_record else ''}{case.name}"


def rows(keep: Callable[[Case], bool], cases: list[Case] = CASES) -> Any:
    return pytest.mark.parametrize("case", [c for c in cases if keep(c)], ids=title)


# ---- calling a row
def call(library: Any, case: Case, sample: Sample, values: list[Any]) -> Any:
    """Return what a row's function gives for these values in the places of the sample's leaves."""
    args, kwargs = sample.fill(values, library)
    if case.call is not None:
        return case.call(library, *args, **kwargs)
    if case.is_record and library is w:
        return OPS[case.name](*args, **kwargs)
    return function_of(library, case)(*args, **kwargs)


def function_of(library: Any, case: Case) -> Callable[..., Any]:
    """Return the public function of a row: of the library, or the method of its first argument."""
    name = OPS[case.name].face if case.is_record else case.name
    found = getattr(library, name, None)
    return found if found is not None else lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def flat(result: Any) -> list[Any]:
    return [v for r in result for v in flat(r)] if isinstance(result, tuple | list) else [result]


def tensors(arrays: list[np.ndarray], **options: Any) -> list[w.Tensor]:
    return [w.tensor(a, **options) for a in arrays]


def layout(kind: str, array: np.ndarray) -> np.ndarray:
    """Return the same values laid out in memory in another way."""
    if kind == "transposed":
        return array.T.copy().T
    wide = np.full((*array.shape, 2), 77, array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


# ---- every name has a row
def owners(names: dict[str, Callable[..., Any]]) -> set[str]:
    """Return the names of functions that are nobody else's under another name, and no elementwise record's call."""
    records = {id(op.call): op.face for op in OPS.values() if op.elementwise}
    first: dict[int, str] = {}
    for name, function in names.items():
        first.setdefault(id(function), records.get(id(function), name))
    return {name for key, name in first.items() if key not in records}


# Public functions without a row: they compute nothing from tensors, or draw numbers (tests/test_random.py).
NO_ROW = {
    "bernoulli", "bernoulli_", "exponential_", "get_rng_state", "initial_seed", "manual_seed", "multinomial", "normal",
    "normal_", "rand", "randint", "randn", "random_", "randperm", "seed", "set_rng_state", "uniform_", "is_floating_point",
    "is_tensor", "cuda",
}  # fmt: skip


def test_every_op_and_function_has_a_row() -> None:
    assert set(RECORDS) == set(OPS)
    public = {**faces.FUNCTIONS, **faces.METHODS}
    assert set(FUNCTIONS) | NO_ROW == owners({n: public[n] for n in sorted(public, key=lambda n: (n in faces.ALIASES, n))})


# ---- (b) values against NumPy
def close(actual: Any, expected: Any, rtol: float, exact: bool) -> None:
    if exact:
        np.testing.assert_array_equal(actual, expected, strict=False)
    else:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def raw(value: Any) -> Any:
    return value.detach().host() if isinstance(value, w.Tensor) else value


@rows(lambda c: bool(c.samples) and not c.random)
def test_values_equal_numpy(case: Case) -> None:
    assert case.oracle is not None, "no NumPy function of this name: the row must say what it gives"
    for sample in case.samples:
        arrays = sample.arrays(case.name)
        args, kwargs = sample.fill([a.copy() for a in arrays], np)
        with np.errstate(all="ignore"):
            expected = flat(case.oracle(*args, **kwargs))
        for kind in ("plain", "transposed", "strided") if sample is case.samples[0] else ("plain",):
            given = [a.copy() if kind == "plain" else layout(kind, a) for a in arrays]
            actual = flat(call(w, case, sample, [w.from_numpy(a) for a in given]))
            assert len(actual) == len(expected), sample
            for a, e in zip(actual, expected, strict=True):
                assert np.shape(raw(a)) == np.shape(e), (sample, kind)
                close(raw(a), e, 1e-13, case.exact)
            for before, after in zip(arrays, given, strict=True):
                np.testing.assert_array_equal(before, after, err_msg=f"an input of {sample} was changed")
