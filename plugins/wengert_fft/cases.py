"""Rows of the Fourier transforms' records.

Owns: the rows. May import: the helpers of cases, the family. Must not know: how a row is checked.
The harness draws real numbers: a complex input is made of them by `bent`, a complex result is taken apart into two.
"""

from typing import Any

import numpy as np

import wengert_fft.frames
import wengert_fft.transforms  # noqa: F401  (enters the records)
from wengert.extend import OPS
from wengert.testing.cases import R, row, s, table


def parts(z: Any) -> Any:
    return z.real, z.imag


def of_real(name: Any) -> Any:
    """Return a call of a record on a real input, its complex result in two parts."""

    def run(T: Any, x: Any, *params: Any) -> Any:
        z = OPS[name](x, *params)
        return OPS["real"](z), OPS["real"](z * -1j)

    return run


def bent(x: Any) -> Any:
    """Return complex numbers whose parts both vary with x, each at its own rate."""
    return x + x * x * 1j


def of_complex(name: Any, one: Any = False) -> Any:
    """Return a call of a record on complex input; `one`: its result is real."""
    call = of_real(name)
    return lambda T, x, *params: OPS[name](bent(x), *params) if one else call(T, bent(x), *params)


def matrix(n: Any, forward: Any, norm: Any) -> Any:
    """Return the matrix of the transform of n numbers, from its definition."""
    w = np.exp((-2j if forward else 2j) * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    return w / {"backward": 1 if forward else n, "ortho": n**0.5, "forward": n if forward else 1}[norm]


def along(m: Any, x: Any, axis: Any) -> Any:
    return np.moveaxis(np.tensordot(m, x, (1, axis)), 0, axis)


def c2c(x: Any, axes: Any, forward: Any, norm: Any) -> Any:
    for axis in axes:
        x = along(matrix(x.shape[axis], forward, norm), x, axis)
    return x


def r2c(x: Any, axes: Any, forward: Any, norm: Any) -> Any:
    return np.take(c2c(x, axes, forward, norm), range(x.shape[axes[-1]] // 2 + 1), axes[-1])


def c2r(x: Any, n: Any, axes: Any, forward: Any, norm: Any) -> Any:
    x = np.moveaxis(c2c(x, axes[:-1], forward, norm), axes[-1], -1)
    full = np.concatenate([x, np.conj(x[..., 1 : (n + 1) // 2][..., ::-1])], -1)
    full[..., 0] = full[..., 0].real  # what has no partner must be real: its imaginary part does not count
    if n % 2 == 0:
        full[..., n // 2] = full[..., n // 2].real
    return np.moveaxis(along(matrix(n, forward, norm), full, -1).real, -1, axes[-1])


def paired(x: Any, axis: Any, n: Any, factor: Any) -> Any:
    inner = (np.arange(x.shape[axis]) > 0) & (np.arange(x.shape[axis]) < (n + 1) // 2)
    return x * np.where(inner, factor, 1).reshape([-1 if a == axis else 1 for a in range(x.ndim)])


def frames(x: Any, n: Any, hop: Any) -> Any:
    return np.stack([x[..., i : i + n] for i in range(0, x.shape[-1] - n + 1, hop)], -2)


def overlap_add(x: Any, length: Any, hop: Any) -> Any:
    made = np.zeros((*x.shape[:-2], length))
    for t in range(x.shape[-2]):
        made[..., t * hop : t * hop + x.shape[-1]] += x[..., t, :]
    return made


KINDS = (((1,), True, "backward"), ((0,), False, "ortho"), ((1, 0), True, "forward"), ((0, 1), False, "backward"))

RECORDS = table(
    row("fft_c2c", *(s(R(4, 5), *kind) for kind in KINDS), s(R(1), (0,), True, "ortho"),
        call=of_complex("fft_c2c"), oracle=lambda x, *params: parts(c2c(bent(x), *params))),
    row("fft_r2c", *(s(R(4, 5), *kind) for kind in KINDS), *(s(R(5, 4), *kind) for kind in KINDS),
        s(R(1), (0,), True, "ortho"), call=of_real("fft_r2c"), oracle=lambda x, *params: parts(r2c(x, *params))),
    row("fft_c2r", *(s(R(3, 3), n, *kind) for kind in KINDS for n in (4, 5)), s(R(1), 1, (0,), True, "ortho"),
        call=of_complex("fft_c2r", one=True), oracle=lambda x, *params: c2r(bent(x), *params)),
    row("paired", s(R(3, 4), 1, 7, 2.0), s(R(3, 4), 1, 6, 0.5), s(R(3, 4), 0, 4, 2.0), s(R(1), 0, 1, 2.0), oracle=paired),
    row("frames", s(R(2, 11), 4, 2), s(R(11), 4, 3), s(R(11), 3, 5), s(R(7), 7, 1), oracle=frames),
    row("overlap_add", s(R(2, 3, 4), 8, 2), s(R(3, 4), 11, 3), s(R(2, 3), 8, 5), s(R(3, 1), 3, 1), oracle=overlap_add),
)  # fmt: skip
