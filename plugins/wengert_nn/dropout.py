"""Dropout and its kin: noise that zeroes elements, or whole channels, in training.

Owns: the faces and their noise. May import: wengert.extend. Must not know: devices.
Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014; alpha dropout:
G. Klambauer et al., Self-normalizing neural networks, 2017.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from wengert.extend import dtypes, random
from wengert_nn.activations import floats

NEGATIVE_SATURATION = 1.7580993408473766  # -selu(-inf)


def noise(input: Any, shape: tuple[int, ...], p: float, *values: tuple[float, float]) -> list[Any]:
    """Return, for each pair of values, a tensor of input's type: the first value with probability p, else the second."""
    kept = random.drawn(random.Chances(random.default_generator, p), shape, dtypes.B8, input.device)
    made = []
    for lost, other in values:
        factor = kept.to(input.dtype) * (other - lost)
        made.append(factor + lost if lost else factor)
    return made


def of_channels(name: str, input: Any, training: bool) -> tuple[int, ...]:
    """Return the shape of noise that is one number for each sample and channel. Raises RuntimeError for fewer than 2 dims."""
    shape = tuple(input.shape)
    if training and len(shape) < 2:
        raise RuntimeError(f"{name}: Feature dropout requires at least 2 dimensions in the input, got {len(shape)}")
    return (*shape[:2], *(1,) * (len(shape) - 2))


def checked(name: str, p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p} ({name})")
    return p


def dropped(input: Any, shape: tuple[int, ...], p: float, training: bool, inplace: bool) -> Any:
    """Return input with elements zeroed where the noise of `shape`, broadcast, says so, the rest over 1 - p."""
    if not training or p == 0:
        return input
    floats("dropout", input)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    (factor,) = noise(input, shape, p, (0.0, scale))
    return input.mul_(factor) if inplace else input * factor


def alpha_dropped(input: Any, shape: tuple[int, ...], p: float, training: bool, inplace: bool) -> Any:
    """Return input with elements set to selu's lower limit, then moved and scaled to keep mean and variance."""
    if not training or p == 0:
        return input
    floats("alpha_dropout", input)
    if p == 1:
        return input.mul_(0) if inplace else input * 0
    scale = 1 / math.sqrt((NEGATIVE_SATURATION**2 * p + 1) * (1 - p))
    low = NEGATIVE_SATURATION * scale
    factor, shift = noise(input, shape, p, (0.0, scale), (low * (p - 1), low * p))
    return input.mul_(factor).add_(shift) if inplace else input * factor + shift


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return input with each element zeroed with probability p, the rest over 1 - p. Raises ValueError for p not in [0, 1]."""
    return dropped(input, tuple(input.shape), checked("dropout", p), training, inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Return dropout for selu: dropped elements take its lower limit; mean and variance are kept."""
    return alpha_dropped(input, tuple(input.shape), checked("alpha_dropout", p), training, inplace)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Return alpha_dropout of whole channels (dim 1)."""
    shape = of_channels("feature_alpha_dropout", input, training)
    return alpha_dropped(input, shape, checked("alpha_dropout", p), training, inplace)


def feature_dropout(input: Any, p: float, training: bool, inplace: bool = False) -> Any:
    """Return dropout of whole channels (dim 1). Raises RuntimeError for fewer than 2 dims."""
    return dropped(input, of_channels("feature_dropout", input, training), checked("feature_dropout", p), training, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return dropout of whole channels of [N, C, L] or [C, L]."""
    ndim = len(input.shape)
    checked("dropout1d", p)
    if ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input")
    shape = (input.shape[0], 1) if ndim == 2 else of_channels("dropout1d", input, training)
    return dropped(input, shape, p, training, inplace)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return dropout of whole channels of [N, C, H, W]; three dims are taken as [N, C, L]."""
    ndim = len(input.shape)
    if ndim not in (3, 4):
        warnings.warn(f"dropout2d: Received a {ndim}-D input; 3-D and 4-D ones are meant, others deprecated", stacklevel=2)
    elif ndim == 3:
        warnings.warn("dropout2d: Received a 3D input, which is taken as (N, C, L); dropout1d says so", stacklevel=2)
    return feature_dropout(input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return dropout of whole channels of [N, C, D, H, W] or [C, D, H, W]."""
    ndim = len(input.shape)
    checked("dropout3d", p)
    if ndim not in (4, 5):
        warnings.warn(f"dropout3d: Received a {ndim}-D input; 4-D and 5-D ones are meant, others deprecated", stacklevel=2)
    if ndim == 4:
        return dropped(input, (input.shape[0], 1, 1, 1), p, training, inplace)
    return feature_dropout(input, p, training, inplace)


# ---- the forms in `torch` itself: nothing has a default, and `training` is called `train`
def plain(function: Any) -> tuple[Any, Any]:
    """Return a dropout in the form that `torch` has, and the one that writes to its input."""

    def run(input: Any, p: float, train: bool) -> Any:
        return function(input, p, train)

    def write(input: Any, p: float, train: bool) -> Any:
        return function(input, p, train, True)

    run.__name__, run.__doc__ = function.__name__, function.__doc__
    write.__name__, write.__doc__ = f"{function.__name__}_", f"Write `{function.__name__}` of input to it, and return it."
    return run, write


torch_dropout, dropout_inplace = plain(dropout)
torch_alpha_dropout, alpha_dropout_inplace = plain(alpha_dropout)
torch_feature_dropout, feature_dropout_inplace = plain(feature_dropout)
torch_feature_alpha_dropout, feature_alpha_dropout_inplace = plain(feature_alpha_dropout)
