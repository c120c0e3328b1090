"""nan, infinities, zeros of both signs, empty and 0-d tensors: what each elementwise function and reduction makes of them.

Owns: the tables of names and inputs, and the reasons why a few gradients differ. May import: wengert and, late, torch.
Must not know: any formula. Values and gradients are PyTorch's; a zero has its sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import wengert

UNARY = (
    "abs acos acosh angle asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac i0 "
    "isfinite isinf isnan isneginf isposinf lgamma log log10 log1p log2 logical_not logit nan_to_num neg positive rad2deg "
    "reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc special.entr special.erfcx "
    "special.i0e special.i1 special.i1e special.log_ndtr special.ndtr special.ndtri special.psi special.expit "
    "nn.functional.celu nn.functional.elu nn.functional.gelu nn.functional.hardshrink nn.functional.hardsigmoid "
    "nn.functional.hardswish nn.functional.hardtanh nn.functional.leaky_relu nn.functional.logsigmoid nn.functional.mish "
    "nn.functional.relu6 nn.functional.selu nn.functional.silu nn.functional.softplus nn.functional.softshrink "
    "nn.functional.softsign nn.functional.tanhshrink"
).split()
BINARY = (
    "add atan2 copysign div eq floor_divide fmax fmin fmod ge gt hypot le logaddexp logaddexp2 lt maximum minimum mul ne "
    "nextafter pow remainder sub true_divide xlogy float_power logical_and logical_or logical_xor ldexp isclose "
    "special.xlog1py special.zeta"
).split()
NUMBERS = ("add clamp_max clamp_min div floor_divide fmod mul pow remainder rsub sub nn.functional.threshold").split()
ALL = "sum mean prod amax amin max min var std logsumexp norm nansum nanmean median nanmedian argmax argmin any all".split()
ALONG = (
    "sum mean prod amax amin max min var std logsumexp norm nansum nanmean median nanmedian argmax argmin any all cumsum "
    "cumprod cummax cummin logcumsumexp sort argsort softmax log_softmax count_nonzero quantile diff"
).split()
VALUES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.5, 3.0, 1e-30, -1e-30, 1e30, -1e30)
OTHERS = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, 3.0)
ROWS = (
    (1.0, math.nan, 2.0), (math.inf, 1.0, -1.0), (-math.inf, -math.inf, 0.0), (math.inf, -math.inf, 1.0), (0.0, -0.0, 0.0),
    (-0.0, -0.0, -0.0), (math.inf, math.inf, math.inf), (-math.inf, -math.inf, -math.inf), (math.nan, math.nan, math.nan),
    (0.0, 2.0, 0.0), (3.0, 3.0, 3.0), (math.nan, math.inf, 0.0),
)  # fmt: skip


def found(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def inputs(name: str, kind: str) -> Iterator[tuple[list[Any], tuple[Any, ...], dict[str, Any]]]:
    """Yield arrays, further arguments and keywords."""
    dtype = np.dtype(kind)
    if name in UNARY:
        for x in (VALUES, [], math.nan, math.inf, -0.0):
            yield [np.array(x, dtype)], (), {}
    if name in BINARY:
        x, y = np.meshgrid(np.array(OTHERS, dtype), np.array(OTHERS, dtype))
        yield [x.ravel().copy(), y.ravel().copy()], (), {}
        yield [np.zeros((0, 2), dtype), np.array(math.nan, dtype)], (), {}
        yield [np.array(math.inf, dtype), np.array(-0.0, dtype)], (), {}
    if name in NUMBERS:
        for n in (math.nan, math.inf, -math.inf, 0.0, 2.0, -1.0, 0.5):
            more = (1.5,) if name.endswith("threshold") else ()
            yield [np.array(VALUES, dtype)], (n, *more), {}
    if name in ALL:
        for x in (*ROWS, math.nan, -0.0, 2.0, []):
            yield [np.array(x, dtype)], (), {}
    if name in ALONG:
        more = (0.5,) if name == "quantile" else ()
        place = {"norm": (2, 1)}.get(name, (*more, 1) if name != "diff" else (1, 1))
        yield [np.array(ROWS, dtype)], place, {}
        yield [np.zeros((0, 3), dtype)], place, {}
        yield [np.zeros((2, 0), dtype)], place, {}
        yield [np.array(math.nan, dtype)], (*place[:-1], 0), {}


def tensors(result: Any) -> list[Any]:
    return [t for t in (result if isinstance(result, tuple) else (result,)) if hasattr(t, "detach")]


def outcome(module: Any, name: str, arrays: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the exception's name, or the results and the gradients of their sum."""
    try:
        xs = [module.from_numpy(a.copy()).requires_grad_() for a in arrays]
        results = tensors(found(module, name)(*xs, *args, **kwargs))
        values = [r.detach().numpy() for r in results]
        roots = [r for r in results if r.requires_grad]
        if not roots:
            return "values", values
        grads = module.autograd.grad(roots, xs, [module.ones_like(r) for r in roots], allow_unused=True)
        return "gradients", [*values, *[np.zeros_like(a) if g is None else g.numpy() for g, a in zip(grads, arrays, strict=True)]]
    except Exception as error:
        return type(error).__name__, []


def agree(mine: Any, theirs: Any, signs: bool) -> Any:
    """Say where results are the same: nan, infinities and (signs) zeros exactly, other numbers but for rounding."""
    if theirs.dtype.kind not in "fc":
        return np.asarray(mine == theirs)
    close = 1e-5 if theirs.dtype == np.float32 else 1e-9
    with np.errstate(all="ignore"):
        same = np.isclose(mine, theirs, rtol=close, atol=close * 1e-2, equal_nan=True)
    return np.asarray(same & ((np.signbit(mine) == np.signbit(theirs)) | (theirs != 0) | (not signs)))


# ---- where wengert's answer is another, and why. Predicates say for which inputs; of a reduction, for which rows.
def of_row(test: Any) -> Any:
    return lambda x: np.broadcast_to(test(x).any(-1, keepdims=True), x.shape) if x.ndim else test(x)


NEVER_FINITE = of_row(lambda x: ~np.isfinite(x))
SIGN_OF_ZERO = "nn.functional.softshrink fmax fmin cumsum logcumsumexp erfinv".split()  # which of 0 and -0.0 comes out
VALUES_DIFFER: dict[str, tuple[Any, str]] = {
    "nn.functional.gelu": (np.isposinf, "PyTorch's float32 gives nan for inf"),
}
GRADIENTS_DIFFER: dict[str, tuple[Any, str]] = {
    "acosh": (lambda x: x <= -1, "the value is nan there, PyTorch's gradient that of another formula"),
    "digamma": (lambda x: (x < 0) & (x == np.floor(x)), "at poles PyTorch's is the rounding of a sine"),
    "special.psi": (lambda x: (x < 0) & (x == np.floor(x)), "the same"),
    "logit": (lambda x: x == 0, "1 / (x (1 - x)) has the sign of its zero"),
    "special.i1": (np.isnan, "PyTorch's is 1/2"),
    "special.i1e": (np.isnan, "PyTorch's is 1/2"),
    "special.log_ndtr": (lambda x: x < -1e29, "PyTorch's overflows"),
    "special.erfcx": (lambda x: x > 1e29, "the rounding of a difference that is 0"),
    "nn.functional.celu": (np.isnan, "PyTorch's is 1"),
    "nn.functional.elu": (np.isnan, "PyTorch's is 1"),
    "nn.functional.selu": (np.isnan, "PyTorch's is the scale"),
    "nn.functional.hardshrink": (np.isnan, "the value is nan, its slope 1; PyTorch's is 0"),
    "nn.functional.softshrink": (np.isnan, "the value is nan, its slope 1; PyTorch's is 0"),
    "nn.functional.hardsigmoid": (lambda x: abs(x) < 3, "PyTorch's sixth has the digits of float32"),
    "nn.functional.hardtanh": (np.isnan, "PyTorch's depends on how many elements there are"),
    "nn.functional.relu6": (np.isnan, "the same"),
    "nn.functional.hardswish": (np.isnan, "the same"),
    "copysign": (lambda x, y: ~np.isfinite(x), "PyTorch divides the result by x"),
    "ldexp": (lambda x, y: np.isnan(y), "of nothing"),
    "pow": (lambda x, *y: np.isneginf(x) | (x == 0), "of a root: 1 / (2 sqrt(x))"),
    "prod": (NEVER_FINITE, "the product of the other elements; PyTorch divides by this one"),
    "cumprod": (NEVER_FINITE, "the same"),
    "logcumsumexp": (NEVER_FINITE, "PyTorch goes by logarithms of gradients"),
    "amax": (of_row(np.isnan), "of all elements, it follows nan as max() does"),
    "amin": (of_row(np.isnan), "the same"),
    "var": (np.isnan, "of a single nan"),
    "nanmean": (np.isnan, "what is left out has no part in it: 0; PyTorch multiplies nan by a mask"),
}
RAISES = {  # only PyTorch does
    "sgn": "of reals it has no gradient in PyTorch", "floor_divide": "PyTorch has no gradient; here it is 0, as of floor",
    "cummax": "the gradient of no elements", "cummin": "the gradient of no elements",
}  # fmt: skip


def differences(name: str, kind: str, torch: Any) -> Iterator[str]:
    for arrays, args, kwargs in inputs(name, kind):
        text = f"{name}({', '.join(str(a.tolist()) for a in arrays)[:200]}, {args})"
        (how, mine), (expected, theirs) = (outcome(m, name, arrays, args, kwargs) for m in (wengert, torch))
        if how != expected:
            if not (name in RAISES and expected.endswith("Error")):
                yield f"{text}: {how}, PyTorch {expected}"
            continue
        values = len(theirs) - (len(arrays) if how == "gradients" else 0)
        for n, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            if a.shape != b.shape or a.dtype != b.dtype:
                yield f"{text}: {a.dtype}{a.shape}, PyTorch {b.dtype}{b.shape}"
                continue
            same = agree(a, b, n < values and name not in SIGN_OF_ZERO)
            excused, _ = (VALUES_DIFFER if n < values else GRADIENTS_DIFFER).get(name, (None, ""))
            if excused is not None and not same.all():
                given = np.broadcast_arrays(*arrays) if arrays[-1].shape != a.shape or a.size else arrays
                same = same | excused(*given)
            if not same.all():
                place = tuple(int(i) for i in np.argwhere(~same)[0])
                yield f"{text}: {'value' if n < values else 'gradient'} {a[place]} at {place}, PyTorch {b[place]}"


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("name", dict.fromkeys([*UNARY, *BINARY, *NUMBERS, *ALL, *ALONG]))
def test_special_values(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    assert list(differences(name, kind, torch)) == []


def test_reasons_are_of_names_that_are_tried() -> None:
    every = {*UNARY, *BINARY, *NUMBERS, *ALL, *ALONG}
    assert {*SIGN_OF_ZERO, *VALUES_DIFFER, *GRADIENTS_DIFFER, *RAISES} <= every


@pytest.mark.parity
@pytest.mark.parametrize("reduce", ["max", "min"])
@pytest.mark.parametrize("data", [(1.0, math.nan, 2.0, 3.0, 4.0), (math.inf, math.nan, -math.inf, 3.0, math.inf), (2.0, 2.0, 2.0, 1.0, math.nan)])
def test_the_gradient_of_a_segments_extreme(reduce: str, data: tuple[float, ...]) -> None:
    """What attains it shares the gradient, or what is nan; `initial` has no share."""
    torch = pytest.importorskip("torch")
    for lengths in ([2, 3], [0, 5], [1, 0, 4]):
        for initial in (None, 1.0, 2.0):
            made = []
            for T in (wengert, torch):
                x = T.tensor(data, dtype=T.float64, requires_grad=True)
                y = T.segment_reduce(x, reduce, lengths=T.tensor(lengths), initial=initial)
                y.sum().backward()
                made.append((y.detach().numpy(), x.grad.numpy()))
            for mine, theirs in zip(*made, strict=True):
                np.testing.assert_array_equal(mine, theirs)
