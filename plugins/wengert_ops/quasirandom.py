"""Points that fill a cube evenly: `wengert.quasirandom`.

Owns: `SobolEngine`, over SciPy's sequence, which is the one of PyTorch (the numbers of Joe and Kuo, 2008). May import:
`wengert`, NumPy, SciPy late. Must not know: devices; points are made on the host.
"""

from __future__ import annotations

import warnings
from typing import Any

import wengert
from wengert import Tensor


class SobolEngine:
    """A Sobol sequence in [0, 1)^dimension; scrambled, its points are random and fill the cube as evenly.

    Raises ValueError for dimensions that are not from 1 to MAXDIM. Where scrambled without a seed, the seed is drawn from
    wengert's own random numbers.
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.dimension, self.scramble, self.seed, self.num_generated = dimension, scramble, seed, 0
        self._made = self._make()

    def _make(self) -> Any:
        from scipy.stats import qmc

        seed = self.seed if self.seed is not None or not self.scramble else int(wengert.randint(2**31, ()))
        return qmc.Sobol(self.dimension, scramble=self.scramble, bits=self.MAXBIT, rng=seed)

    def draw(self, n: int = 1, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """Return the next n points, (n, dimension), in the default float type or the given one."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # SciPy's, that only powers of two of them are balanced
            points = self._made.random(n)
        self.num_generated += n
        made: Tensor = wengert.tensor(points, dtype=dtype or wengert.get_default_dtype())
        if out is None:
            return made
        out.resize_(made.shape).copy_(made)
        return out

    def draw_base2(self, m: int, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """Return the next 2**m points. Raises ValueError where these and those before are no power of two together."""
        total = self.num_generated + 2**m
        if total & (total - 1):
            raise ValueError(
                f"The balance properties of Sobol' points require n to be a power of 2. {self.num_generated} points have been "
                f"previously generated, then: n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(2**m, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Begin again at the first point; scrambled without a seed, with other points."""
        self._made = self._make()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next n points."""
        self._made.fast_forward(n)
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        words = [f"dimension={self.dimension}"] + (["scramble=True"] if self.scramble else [])
        return f"SobolEngine({', '.join(words + ([f'seed={self.seed}'] if self.seed is not None else []))})"
