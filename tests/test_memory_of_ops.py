"""How much memory a call takes beside its result: no hidden copy of a large input.

Owns: the list of calls that need nothing but a block (`LEAN`), and those that need whole arrays, with the reason (`MORE`).
NumPy reports what it allocates to tracemalloc. May import: wengert, NumPy. Must not know: how anything is computed.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import wengert as w

F = w.nn.functional
SIDE = 1000
ARRAY = SIDE * SIDE * 4  # bytes of a float32 tensor
BLOCK = 1 << 20  # what work in blocks, a mask of bools, and Python may take

UNARY = (
    "abs neg exp log log10 sqrt sin cos tan tanh sigmoid relu square reciprocal rsqrt floor ceil round trunc sign erf exp2 log1p "
    "expm1 isnan isinf isfinite logical_not clone frac digamma erfinv atan positive signbit i0 deg2rad"
)
BINARY = (
    "add sub mul div maximum minimum atan2 hypot remainder fmod pow eq lt ge fmax copysign logical_and floor_divide xlogy"
)  # fmt: skip
REDUCTIONS = "sum mean amax amin prod std var norm any all logsumexp"
ACTIVATIONS = "gelu silu elu selu celu softplus leaky_relu hardtanh mish logsigmoid hardswish hardsigmoid relu6"


class Inputs:
    """Large tensors, made once."""

    def __init__(self) -> None:
        w.manual_seed(0)
        self.x, self.y, self.row = w.rand(SIDE, SIDE) + 0.5, w.rand(SIDE, SIDE) + 0.5, w.rand(SIDE)
        self.z, self.mask, self.places = self.x.clone(), self.x > 1, w.arange(SIDE)


Call = Callable[[Inputs], Any]
LEAN: dict[str, Call] = {
    **{name: lambda i, name=name: getattr(w, name)(i.x) for name in UNARY.split()},
    **{name: lambda i, name=name: getattr(w, name)(i.x, i.y) for name in BINARY.split()},
    **{f"{name} over rows": lambda i, name=name: getattr(w, name)(i.x, dim=1) for name in REDUCTIONS.split()},
    **{f"{name} over columns": lambda i, name=name: getattr(w, name)(i.x, dim=0) for name in REDUCTIONS.split()},
    **{f"{name} of all": lambda i, name=name: getattr(w, name)(i.x) for name in REDUCTIONS.split() if name != "logsumexp"},
    **{f"nn.functional.{name}": lambda i, name=name: getattr(F, name)(i.x) for name in ACTIVATIONS.split()},
    "x + 2.5": lambda i: i.x + 2.5, "1 - x": lambda i: 1 - i.x, "x ** 2": lambda i: i.x**2, "x ** 3": lambda i: i.x**3,
    "x ** 0.5": lambda i: i.x**0.5, "x ** 2.5": lambda i: i.x**2.5, "x + row": lambda i: i.x + i.row,
    "x.t() + y": lambda i: i.x.t() + i.y, "clamp": lambda i: i.x.clamp(0.6, 1.0), "clamp_min": lambda i: i.x.clamp(min=0.6),
    "where": lambda i: w.where(i.mask, i.x, i.y), "where with a number": lambda i: w.where(i.mask, i.x, 0.0),
    "masked_fill": lambda i: i.x.masked_fill(i.mask, 3.0), "double": lambda i: i.x.double(), "half": lambda i: i.x.half(),
    "long": lambda i: i.x.long(), "contiguous": lambda i: i.x.t().contiguous(), "cat": lambda i: w.cat([i.x, i.y]),
    "stack": lambda i: w.stack([i.x, i.y]), "flip": lambda i: i.x.flip(0), "roll": lambda i: i.x.roll(3, 0),
    "rows by index": lambda i: i.x[i.places], "cumsum": lambda i: i.x.cumsum(1), "cumprod": lambda i: i.x.cumprod(0),
    "zeros_like": lambda i: w.zeros_like(i.x), "repeat": lambda i: i.row.repeat(SIDE, 1), "diff": lambda i: i.x.diff(),
    "matmul": lambda i: i.x @ i.y, "outer": lambda i: w.outer(i.row, i.row), "argmax": lambda i: i.x.argmax(1),
    "max over rows": lambda i: i.x.max(1), "softmax": lambda i: w.softmax(i.x, 1), "log_softmax": lambda i: w.log_softmax(i.x, 1),
    "softmax over columns": lambda i: w.softmax(i.x, 0), "layer_norm": lambda i: F.layer_norm(i.x, (SIDE,)),
    "batch_norm": lambda i: F.batch_norm(i.x, None, None, training=True), "normalize": lambda i: F.normalize(i.x),
    "cross_entropy": lambda i: F.cross_entropy(i.x, i.places), "pad": lambda i: F.pad(i.x, (1, 1)),
    "count_nonzero": lambda i: w.count_nonzero(i.x), "tril": lambda i: i.x.tril(), "lerp": lambda i: w.lerp(i.x, i.y, 0.3),
    "addcmul": lambda i: w.addcmul(i.x, i.x, i.y, value=0.5), "addcdiv": lambda i: w.addcdiv(i.x, i.x, i.y),
    "add of a multiple": lambda i: w.add(i.x, i.y, alpha=2), "cat of columns": lambda i: w.cat([i.x.t(), i.y.t()]),
    "roll of columns": lambda i: i.x.t().roll(3, 0), "norm of columns": lambda i: w.norm(i.x.t()),
}  # fmt: skip
WRITES: dict[str, Call] = {  # these have no result of their own
    "add_": lambda i: i.z.add_(i.y), "add_ of a multiple": lambda i: i.z.add_(i.y, alpha=0.1), "mul_": lambda i: i.z.mul_(0.5),
    "exp_": lambda i: i.z.exp_(), "relu_": lambda i: i.z.relu_(), "copy_": lambda i: i.z.copy_(i.y), "zero_": lambda i: i.z.zero_(),
    "fill_": lambda i: i.z.fill_(2.0), "slices": lambda i: i.z.__setitem__(slice(0, 500), 1.0), "sigmoid_": lambda i: i.z.sigmoid_(),
    "clamp_": lambda i: i.z.clamp_(0.1, 0.9), "div_": lambda i: i.z.div_(i.y), "pow_": lambda i: i.z.pow_(2),
    "exp out=": lambda i: w.exp(i.x, out=i.z), "sigmoid out=": lambda i: w.sigmoid(i.x, out=i.z),
    "add out=": lambda i: w.add(i.x, i.y, out=i.z), "mul out=": lambda i: w.mul(i.x, 2, out=i.z),
}  # fmt: skip
MORE: dict[str, tuple[Call, float, str]] = {  # how many arrays of float32 more, and why
    "lgamma": (lambda i: w.lgamma(i.x), 1.3, "inf at -inf is chosen behind SciPy's function"),
    "logaddexp": (lambda i: w.logaddexp(i.x, i.y), 3.0, "by parts, in a tenth of the time"),
    "nan_to_num": (lambda i: w.nan_to_num(i.x), 1.3, "NumPy's own"),
    "1 / x": (lambda i: 1 / i.x, 1.0, "two ops, as PyTorch records them"),
    "masked_fill_": (lambda i: i.z.masked_fill_(i.mask, 2.0), 1.2, "the indices of the mask, by which a write is fastest"),
    "x[mask]": (lambda i: i.x[i.mask], 1.2, "the indices of the mask"),
    "gather": (lambda i: i.x.gather(0, i.places.expand(SIDE, SIDE)), 4.0, "places in the flattened tensor, int64"),
    "sort": (lambda i: i.x.sort(1), 2.0, "where elements stand, int64"),
    "unique": (lambda i: w.unique(i.x), 1.3, "sorted, and where a run begins"),
    "quantile": (lambda i: w.quantile(i.x, 0.3, dim=1), 1.3, "NumPy parts a copy"),
    "cummax": (lambda i: i.x.cummax(1), 2.0, "where elements reach it, and how long each is the highest"),
    "topk": (lambda i: i.x.topk(5, 1), 2.1, "NumPy parts indices, int64"),
    "max over columns": (lambda i: i.x.max(0), 1.0, "NumPy's argmax works on rows: it transposes"),
    "median": (lambda i: i.x.median(), 1.3, "NumPy parts a copy"),
    "median over rows": (lambda i: i.x.median(1), 1.3, "NumPy parts a copy"),
    "nansum": (lambda i: w.nansum(i.x), 2.3, "made of other ops: what is not nan, and its sum"),
    "mse_loss": (lambda i: F.mse_loss(i.x, i.y), 1.0, "the differences"),
    "l1_loss": (lambda i: F.l1_loss(i.x, i.y), 2.0, "the differences, and what they are without a sign"),
    "dropout": (lambda i: F.dropout(i.x, 0.5), 1.3, "the mask, which backward needs"),
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs()


def beside_result(call: Call, inputs: Inputs, writes: bool) -> int:
    """Return the bytes at the peak of a call, less those of what it returns."""
    call(inputs)  # what is made once, at the first call, counts not
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call(inputs)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    made = () if writes else result if isinstance(result, tuple) else (result,)
    return peak - sum(t.numel() * t.element_size() for t in made)


@pytest.mark.parametrize("name", LEAN)
def test_results_cost_their_own_memory(name: str, inputs: Inputs) -> None:
    assert beside_result(LEAN[name], inputs, False) <= BLOCK


@pytest.mark.parametrize("name", WRITES)
def test_writes_cost_none(name: str, inputs: Inputs) -> None:
    assert beside_result(WRITES[name], inputs, True) <= BLOCK


@pytest.mark.parametrize("name", MORE)
def test_the_others_cost_what_the_table_says(name: str, inputs: Inputs) -> None:
    call, arrays, _ = MORE[name]
    took = beside_result(call, inputs, name.endswith("_"))
    assert BLOCK < took <= arrays * ARRAY + BLOCK, f"{took / ARRAY:.2f} arrays: change the table if it takes less now"
