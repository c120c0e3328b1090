"""How elements become one: the joins of generated reductions and scans.

Owns: `Join` and the table of them. May import: NumPy, for types. Must not know: kernels, devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Join:
    """How elements become one: the start, and the next value `a` of an accumulator and an element `v`."""

    name: str
    step: str
    start: Callable[[np.dtype[Any]], Any]


def lowest(dtype: np.dtype[Any]) -> Any:
    return -math.inf if dtype.kind == "f" else 0 if dtype.kind == "b" else int(np.iinfo(dtype).min)


def highest(dtype: np.dtype[Any]) -> Any:
    return math.inf if dtype.kind == "f" else 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)


SUM = Join("sum", "a + v", lambda dtype: 0)
PROD = Join("prod", "a * v", lambda dtype: 1)
PROD_COMPLEX = Join("prod", "w_times(a, v)", lambda dtype: 1)
MAX = Join("max", "v > a || v != v ? v : a", lowest)
MIN = Join("min", "v < a || v != v ? v : a", highest)
LOG_SUM = Join(
    "logsum",
    "a != a || v != v ? a + v : a == v ? a + 0.6931471805599453 : a > v ? a + log1p(exp(v - a)) : v + log1p(exp(a - v))",
    lowest,
)
ANY = Join("any", "a | v", lambda dtype: 0)
ALL = Join("all", "a & v", lambda dtype: 1)
