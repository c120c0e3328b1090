"""Ops written in other ops, which devices without a kernel of their own run, against the kernels of the host.

Owns: the comparison, on the samples of the case rows. May import: cases, families, wengert.
"""

import numpy as np
import pytest

import families
from wengert import decompositions
from wengert.op import OPS
from wengert.testing.cases import RECORDS

ROWS = {**RECORDS, **families.RECORDS}
NAMES = sorted(name for name in decompositions.TABLE if name in ROWS and not OPS[name].elementwise and ROWS[name].samples)


def test_there_are_reductions_among_them() -> None:
    assert {"softmax", "var", "sort", "mean"} <= {*NAMES}


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("assign", "to_device")])
def test_a_decomposition_gives_what_the_kernel_gives(name: str) -> None:
    for sample in ROWS[name].samples:
        args, _ = sample.fill([np.asarray(a) for a in sample.arrays(name)], np)
        if any(isinstance(a, np.ndarray) and not a.size for a in args):
            continue  # without elements there is no extreme
        expected = OPS[name](*args)
        made = decompositions.TABLE[name](*args)
        pairs = zip(made, expected, strict=True) if OPS[name].outputs > 1 else ((made, expected),)
        for a, b in pairs:
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, 1e-12, 1e-12)
