"""Normalisation by generated kernels: nothing waits for the card, and no array is read more often than a sum needs it.

Owns: kernels (*inputs, *params) -> arrays, by op name. May import: NumPy; the kernels beside this module make them.
Must not know: tensors, gradients. `axes` are those that statistics are taken over; mean and rstd have size 1 there, weight and
bias broadcast to x. z = (x - mean) * rstd, without the mean for mode "rms".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert_codegen import joins as j
from wengert_cupy.kernels import Kernels, wider

Kernel = Callable[..., Any]


def table(kernels: Kernels) -> dict[str, Kernel]:
    """Return the kernels."""
    cupy, reduce, formula = kernels.cupy, kernels.reduce, kernels.formula

    def kept(x: Any, axes: Any) -> tuple[int, ...]:
        return tuple([1 if d in axes else n for d, n in enumerate(x.shape)])

    def count(x: Any, axes: Any) -> int:
        return max(1, int(math.prod([x.shape[d] for d in axes])))

    def moments(x: Any, axes: Any, centred: bool) -> tuple[Any, Any]:
        """Return the mean and the mean square of the distance to it (centred), or zero and the mean square."""
        wide, n = wider(x.dtype), f"a / {float(count(x, axes))!r}"
        if not centred:
            return cupy.zeros(kept(x, axes), x.dtype), reduce(
                j.SUM, (x,), axes, True, wide, element="x * x", final=n, to=x.dtype
            )
        mean = reduce(j.SUM, (x,), axes, True, wide, final=n)
        square = reduce(j.SUM, (x,), axes, True, wide, element="(x - p) * (x - p)", beside=(mean,), final=n, to=x.dtype)
        return mean.astype(x.dtype, copy=False), square

    def normalise(x: Any, mean: Any, rstd: Any, affine: Any, axes: Any, eps: float, mode: str, kinds: str) -> Any:
        given = {"x": x, "m": mean, "s": rstd}
        text = "x * s" if mode == "rms" else "(x - m) * s"
        for letter, a in zip(kinds, affine, strict=True):
            given[letter] = a
        text = f"({text}) * w" if "w" in kinds else text
        return formula("normalise", f"{text} + b" if "b" in kinds else text, given, x.shape, x.dtype)

    def normalise_back(y: Any, x: Any, mean: Any, rstd: Any, weights: Any, axes: Any, eps: float, mode: str) -> Any:
        """rstd * (h - mean(h) - z * mean(h * z)), h being y * weight; without the first mean for rms."""
        wide, n = wider(x.dtype), f"a / {float(count(x, axes))!r}"
        arrays = (y, x, *[cupy.broadcast_to(w, x.shape) for w in weights])
        h, z = ("x * z" if weights else "x"), ("y * q" if mode == "rms" else "(y - p) * q")
        sides = (mean, rstd)
        along = reduce(j.SUM, arrays, axes, True, wide, element=f"{h} * {z}", beside=sides, final=n)
        given = {"y": y, "x": x, "m": mean, "s": rstd, "t": along, **({"w": weights[0]} if weights else {})}
        h, z = ("y * w" if weights else "y"), ("x * s" if mode == "rms" else "(x - m) * s")
        text = f"{h} - {z} * t"
        if mode != "rms":
            given["u"] = reduce(j.SUM, (y, *arrays[2:]), axes, True, wide, element="x * y" if weights else "x", final=n)
            text += " - u"
        return formula("normalise_back", f"s * ({text})", given, x.shape, x.dtype)

    def normalise_weight(y: Any, x: Any, mean: Any, rstd: Any, shape: Any, axes: Any, eps: float, mode: str) -> Any:
        """The sum of y times the normalised x over all dims along which a weight of `shape` is repeated."""
        text = "y * (x * s)" if mode == "rms" else "y * ((x - m) * s)"
        product = formula("normalise_weight", text, {"y": y, "x": x, "m": mean, "s": rstd}, x.shape, wider(x.dtype))
        wide = (1,) * (x.ndim - len(shape)) + tuple(shape)
        over = tuple([d for d, n in enumerate(wide) if n == 1 and x.shape[d] != 1])
        made = (
            reduce(j.SUM, (product,), over, True, wider(x.dtype), to=x.dtype) if over else product.astype(x.dtype, copy=False)
        )
        return made.reshape(shape)

    def floats(kernel: Kernel) -> Kernel:
        def run(x: Any, *args: Any) -> Any:
            if np.dtype(x.dtype).kind not in "fV":
                raise NotImplementedError(f"normalisation of {x.dtype} on cuda; .to() floats")
            return kernel(x, *args)

        return run

    made: dict[str, Kernel] = {
        "moments": moments, "normalise": normalise, "normalise_back": normalise_back, "normalise_weight": normalise_weight,
    }  # fmt: skip
    return {name: floats(kernel) for name, kernel in made.items()}
