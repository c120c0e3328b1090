"""What compiled functions make of losses, activations and normalisation: smaller ops, so that forward and backward share them.

Owns: functions (*inputs, *params) -> results in place of an op, and the ops that only they use; no gradient is taken of these.
May import: wengert.extend, the losses. Must not know: devices; kernels are in kernels_compiled.py.
"""

from __future__ import annotations

from typing import Any

from wengert.extend import SAME, e, elementwise, r, s, structural, sum_to
from wengert_nn.losses import beside, pick, unpick

# fmt: off
# softmax from exponentials x of each sample's classes: x * scale, less a in the class `index`, which counts where it is one
share_less = structural("share_less", "x scale a index", lambda x, scale, a, index, ignored: (x.shape, x.dtype),
    params="ignored", constant=True, rows="c c c c -> c")
# P(X < x) of a standard normal X; and p + x * density(x), the slope of gelu where p is that
normal_share = elementwise("normal_share", "0.5 * (1 + erf(x * 0.7071067811865476))", inputs="x")
gelu_slope = elementwise("gelu_slope", "y + x * 0.3989422804014327 * exp(x * x * -0.5)", inputs="x y", domain=SAME)
# fmt: on


def powers(x: Any) -> tuple[Any, Any, Any]:
    """Return exp(x - top) over the classes, its sum, and top."""
    top = r.amax_(x, (1,), True)
    made = e.exp(x - top)
    return made, r.sum_(made, (1,), False), s.reshape(top, (x.shape[0], *x.shape[2:]))


def share_less_of_ops(x: Any, scale: Any, a: Any, index: Any, ignored: int) -> Any:
    """Return what share_less does, where a device has no kernel for it."""
    return x * beside(scale) - unpick(a, index, x.shape, ignored)


def cross_entropy(x: Any, index: Any, ignored: int) -> Any:
    _, total, top = powers(x)
    return e.where(e.equal(index, ignored), 0.0, e.log(total) - (pick(x, index, ignored) - top))


def cross_entropy_pull(a: Any, x: Any, y: Any, index: Any, ignored: int) -> Any:
    made, total, _ = powers(x)
    a = e.where(e.equal(index, ignored), 0.0, a)
    return share_less(made, a / total, a, index, ignored)


def gelu(x: Any) -> Any:
    return normal_share(x) * x


def gelu_pull(a: Any, x: Any, y: Any) -> Any:
    return gelu_slope(x, normal_share(x)) * a


# ---- normalisation: z is the normalised x, which forward and backward have in common
def moments(x: Any, axes: Any, centred: bool) -> Any:
    mean = r.mean_(x, axes, True)
    if not centred:
        return s.filled(x, tuple(mean.shape), 0, None), r.mean_(x * x, axes, True)
    off = x - mean
    return mean, r.mean_(off * off, axes, True)


def normalised(x: Any, mean: Any, rstd: Any, mode: str) -> Any:
    return (x if mode == "rms" else x - mean) * rstd


def normalise(x: Any, mean: Any, rstd: Any, affine: Any, axes: Any, eps: float, mode: str, kinds: str) -> Any:
    made = normalised(x, mean, rstd, mode)
    if "w" in kinds:
        made = made * affine[0]
    return made + affine[-1] if "b" in kinds else made


def normalise_back(y: Any, x: Any, mean: Any, rstd: Any, weight: Any, axes: Any, eps: float, mode: str) -> Any:
    z = normalised(x, mean, rstd, mode)
    h = y * weight[0] if weight else y
    made = h - z * r.mean_(h * z, axes, True)
    return (made if mode == "rms" else made - r.mean_(h, axes, True)) * rstd


def normalise_weight(y: Any, x: Any, mean: Any, rstd: Any, shape: Any, axes: Any, eps: float, mode: str) -> Any:
    return sum_to(y * normalised(x, mean, rstd, mode), shape)
