"""The OpenCL device against the NumPy device: every kernel on the samples of its row, and programs that use them.

Owns: the comparison, and the table of what has no kernel there. May import: the rows, the documents of test_seeds, wengert's
public API. Skipped where pyopencl or a device is missing. Kernels run forward here; rules are proven on the host.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import families
import test_seeds
import wengert as torch
from cases import RECORDS, Case
from test_ops import call, flat
from wengert.backend import backend_named
from wengert.graph import capture
from wengert.op import OPS

opencl = pytest.importorskip("wengert_opencl.runtime")
try:
    opencl.found()
except opencl.NoDevice as reason:
    pytest.skip(str(reason), allow_module_level=True)

import wengert_opencl  # noqa: E402

ROWS = {**RECORDS, **families.RECORDS}
HERE = "opencl"

# ---- what has no kernel on OpenCL, and why
MISSING = {
    "a factorization: no kernel is written for these yet": (
        "cholesky cholesky_solve cofactor det eig eigh eigvals eigvalsh geqrf inv ldl_factor ldl_solve lu_factor matrix_exp "
        "permutation pinv qr slogdet solve solve_triangular svd svdvals"
    ),
    "a Fourier transform: no kernel is written for these yet": "fft_c2c fft_c2r fft_r2c",
    "a special function that C has no function for": (
        "airy_ai airy_ai_slope chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w "
        "digamma erfcx erfinv gammainc gammaincc hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e j0 j1 k0 k0e k1 k1e "
        "laguerre_polynomial_l legendre_polynomial_p log_ndtr ndtri polygamma y0 y1 zeta"
    ),
}
REASONS = {name: reason for reason, names in MISSING.items() for name in names.split()}
# Rows that put host tensors of their own beside their inputs, which a device refuses before it looks for a kernel.
MIXED = {"cholesky", "cholesky_solve", "cofactor", "det", "inv", "lu_factor", "slogdet", "solve", "solve_triangular"}


def marked(name: str) -> Any:
    if name not in REASONS:
        return name
    raises = RuntimeError if name in MIXED else NotImplementedError
    return pytest.param(name, marks=pytest.mark.xfail(raises=raises, strict=True, reason=REASONS[name]))


def there(array: Any, kind: str = "plain") -> torch.Tensor:
    """Return a host array as a tensor on the device, laid out there in another way."""
    array = np.asarray(array)
    if kind == "transposed":
        return torch.from_numpy(array.T.copy()).to(HERE).permute(*reversed(range(array.ndim)))
    if kind == "strided":
        wide = np.full((*array.shape, 2), 7, array.dtype)
        wide[..., 0] = array
        return torch.from_numpy(wide).to(HERE).select(-1, 0)
    return torch.from_numpy(array.copy()).to(HERE)


def back(x: Any) -> np.ndarray:
    assert x.device.type == HERE
    return x.detach().cpu().numpy()


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, tolerance, tolerance)


def compare(case: Case, dtype: str, tolerance: float) -> None:
    for sample in (*case.samples, *case.kinks):
        arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in sample.arrays(case.name)]
        expected = flat(call(torch, case, sample, [torch.from_numpy(a.copy()) for a in arrays]))
        layouts = ("plain", "transposed", "strided") if sample is case.samples[0] and not case.contiguous else ("plain",)
        for kind in layouts:
            inputs = [there(a, kind) for a in arrays]
            actual = flat(call(torch, case, sample, inputs))
            assert len(actual) == len(expected)
            for a, e in zip(actual, expected, strict=True):
                close(back(a), e.detach().numpy(), tolerance)
            for before, after in zip(arrays, inputs, strict=True):
                np.testing.assert_array_equal(back(after), before, err_msg="an input was changed")


NAMES = [n for n in sorted(ROWS) if ROWS[n].samples and not ROWS[n].random and n != "to_device"]


def test_the_table_of_what_is_missing_names_rows() -> None:
    assert set(REASONS) <= set(NAMES)
    assert set(MIXED) <= set(REASONS)


@pytest.mark.parametrize("name", [marked(n) for n in NAMES])
def test_kernel_in_float64(name: str) -> None:
    compare(ROWS[name], "float64", 1e-12)


@pytest.mark.parametrize("name", [marked(n) for n in NAMES])
def test_kernel_in_float32(name: str) -> None:
    compare(ROWS[name], "float32", 1e-5)


# ---- other types
INTEGERS = [n for n in NAMES if n not in REASONS and ROWS[n].integers and OPS[n].elementwise]


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("name", INTEGERS)
def test_elementwise_kernel_of_integers(name: str, dtype: str) -> None:
    """What the host computes, or an error of the same type."""
    case, rng = ROWS[name], np.random.default_rng(0)
    count = len(OPS[name].inputs)
    if (name == "hardtanh" and dtype in ("uint8", "bool")) or (name == "power" and dtype == "bool"):
        pytest.skip("its row's bounds are no numbers of the type" if name == "hardtanh" else "pow refuses bools before")
    arrays = [rng.integers(0 if dtype in ("bool", "uint8") else -9, 2 if dtype == "bool" else 10, (3, 4)).astype(dtype) for _ in range(count)]
    if name in ("power", "left_shift", "right_shift", "floor_divide", "trunc_divide", "remainder", "fmod"):
        arrays[1] = np.maximum(abs(arrays[1]), 1).astype(dtype) % 8 if dtype != "bool" else np.ones((3, 4), bool)
        arrays[1][arrays[1] == 0] = 1
    params = [a for a in case.samples[0].args if not hasattr(a, "draw")]

    def run(tensors: list[torch.Tensor]) -> Any:
        try:
            return OPS[name](*tensors, *params)
        except (TypeError, RuntimeError) as error:
            return type(error)

    expected, actual = run([torch.from_numpy(a) for a in arrays]), run([there(a) for a in arrays])
    if isinstance(expected, type):
        assert isinstance(actual, type) and (issubclass(actual, expected) or issubclass(expected, actual))
    else:
        close(back(actual), expected.numpy(), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["add", "multiply", "divide", "exp", "tanh", "maximum", "sum", "mean", "amax", "softmax", "matmul", "cumsum"])
def test_narrow_floats_are_computed_in_float32(name: str, dtype: Any) -> None:
    pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    inputs = [torch.from_numpy(rng.normal(size=(6, 6)).astype(np.float32)).to(dtype) for _ in OPS[name].inputs]
    params = {"sum": ((1,), False), "mean": ((1,), False), "amax": ((1,), False), "softmax": ((1,),), "cumsum": (1,)}.get(name, ())
    expected = OPS[name](*inputs, *params)
    actual = OPS[name](*[x.to(HERE) for x in inputs], *params)
    assert actual.dtype == dtype and actual.device.type == HERE
    step = 1e-3 if dtype is torch.float16 else 8e-3
    np.testing.assert_allclose(actual.cpu().float().numpy(), expected.float().numpy(), step, step)


def test_every_float16_comes_back_as_it_went() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = bits[~np.isnan(bits)]
    np.testing.assert_array_equal(back(there(numbers).float().half()), numbers)
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        wide = np.concatenate([rng.normal(size=4000) * 10.0 ** rng.uniform(-9, 6, 4000), [65519.9, 65520, -65520, 6e-8, 2.98e-8, 2.99e-8, 0.0, -0.0]]).astype(np.float32)
        expected = wide.astype(np.float16)
    np.testing.assert_array_equal(back(there(wide).half()).view(np.uint16), expected.view(np.uint16))


def test_complex_numbers() -> None:
    rng = np.random.default_rng(0)
    a, b = ((rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))) for _ in range(2))
    x, y = there(a), there(b)
    for actual, expected in (
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (-x, -a), (x.conj(), a.conj()), (x.abs(), abs(a)),
        (x.exp(), np.exp(a)), (x.log(), np.log(a)), (x.real + x.imag, a.real + a.imag), (x.sum(0), a.sum(0)), (x @ y.T, a @ b.T),
        (x == x, a == a), (x.mean(), a.mean()), (torch.complex(x.real, y.real), a.real + 1j * b.real),
    ):  # fmt: skip
        np.testing.assert_allclose(back(actual), expected, 1e-13, 1e-13)
    x.real[0] = 5
    a.real[0] = 5
    np.testing.assert_array_equal(back(x), a)
    with pytest.raises(NotImplementedError, match="arcsin: no OpenCL kernel for complex numbers"):
        x.asin()


# ---- accuracy
LONG = np.longdouble
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sqrt": np.sqrt,
    "pow": np.power, "atan2": np.arctan2, "hypot": np.hypot, "fmod": np.fmod,
}  # fmt: skip
SPECIAL = [0.0, -0.0, 1, -1, 2, -3, 0.5, -0.5, np.inf, -np.inf, np.nan, 1e-40, -1e-45, 88.72, 88.73, -87.4, -103, -104.5, 710, -745,
           -750, 1e5, 1e10, 1e22, -1e30, 3.4e38, 1e-310, 5e-324, 1e300, 16777217]  # fmt: skip


def ulps(actual: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return how far results are from the exact ones, in units of their last digit; infinitely where nan or inf differ."""
    with np.errstate(all="ignore"):
        near = exact.astype(actual.dtype)
        off = abs(actual.astype(LONG) - exact) / np.maximum(np.spacing(abs(near)), np.finfo(actual.dtype).smallest_subnormal)
    same = (np.isnan(near) & np.isnan(actual)) | (near == actual)
    plain = np.isfinite(near) & np.isfinite(actual)
    off = np.where(plain, off, np.where(same, 0, np.inf))
    return np.where((near == 0) & (actual == 0) & (np.signbit(near) != np.signbit(actual)), np.inf, off)


@pytest.mark.skipif(np.finfo(LONG).nmant < 63, reason="long double is no wider than double here")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_accurate_everywhere(name: str, dtype: Any) -> None:
    """To 4 units in the last digit: large and denormal arguments, infinities, nan, signed zeros."""
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        x = np.concatenate([SPECIAL, rng.normal(size=3000) * 3, rng.uniform(-1, 1, 3000),
                            10.0 ** rng.uniform(-38, 38, 3000) * rng.choice([-1, 1], 3000)]).astype(dtype)  # fmt: skip
        arguments = [x]
        if name in ("pow", "atan2", "hypot", "fmod"):
            y = np.concatenate([rng.permutation(SPECIAL), rng.normal(size=6000), rng.integers(-9, 9, 3000)]).astype(dtype)
            special = np.asarray(SPECIAL).astype(dtype)
            arguments = [np.concatenate([x, np.repeat(special, len(special))]), np.concatenate([y, np.tile(special, len(special))])]
        exact = FUNCTIONS[name](*[a.astype(LONG) for a in arguments])
    first, *rest = [there(a) for a in arguments]
    off = ulps(back(getattr(first, name)(*rest)), exact)
    worst = int(np.argmax(off))
    assert off.max() <= 4, (off.max(), [a[worst] for a in arguments], exact[worst])


def test_long_sums_are_accurate_and_repeatable() -> None:
    values = np.random.default_rng(0).normal(size=10_000_000).astype(np.float32)
    x = there(values)
    exact = values.astype(np.float64).sum()
    first = x.sum().item()
    assert abs(first - exact) <= 1e-3 * abs(exact)
    assert all(x.sum().item() == first for _ in range(3))
    rows = x.reshape(10000, 1000)
    for dim in (0, 1):
        np.testing.assert_allclose(back(rows.sum(dim)), values.reshape(10000, 1000).astype(np.float64).sum(dim), 1e-4, 1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 4), (17, 33, 65), (64, 64, 64), (130, 100, 70), (8, 1, 200), (200, 300, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "float16", "complex128"])
def test_products_of_any_size_and_layout(shape: tuple[int, int, int], dtype: str) -> None:
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.integers(-4, 5, (m, k)).astype(dtype), rng.integers(-4, 5, (k, n)).astype(dtype)
    expected = (a.astype("complex128") @ b.astype("complex128")).astype(dtype) if dtype == "complex128" else (a.astype("float64") @ b.astype("float64")).astype(dtype)
    for x in (there(a), there(a, "transposed"), there(a, "strided")):
        for y in (there(b), there(b, "transposed"), there(b, "strided")):
            np.testing.assert_array_equal(back(x @ y), expected)
    batch = np.stack([a, a + 1, a - 1])
    np.testing.assert_array_equal(back(there(batch) @ there(b)), np.stack([expected, expected + b.sum(0, keepdims=True), expected - b.sum(0, keepdims=True)]).astype(dtype))
    np.testing.assert_array_equal(back(there(batch)[:, None] @ there(np.stack([b, b]))), np.repeat(back(there(batch) @ there(b))[:, None], 2, 1))


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1000, 5000])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_stable_with_nan_last(n: int, dtype: str, descending: bool) -> None:
    rng = np.random.default_rng(n)
    values = rng.integers(0, 2 if dtype == "bool" else 50, (2, n)).astype(dtype)
    if dtype == "float32":
        values[rng.random(values.shape) < 0.1] = np.nan
    expected = torch.from_numpy(values).sort(1, descending=descending, stable=True)
    actual = there(values).sort(1, descending=descending, stable=True)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(back(a), e.numpy())


@pytest.mark.parametrize("op", ["amax", "amin", "argmax", "argmin"])
@pytest.mark.parametrize("shape", [(7,), (40, 50), (3, 200, 70), (2, 100000)])
def test_extremes_carry_nan_and_take_the_first(op: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-5, 6, shape).astype(np.float32)
    values.flat[rng.integers(0, values.size, 3)] = np.nan
    for dim in range(len(shape)):
        expected = getattr(torch.from_numpy(values), op)(dim)
        np.testing.assert_array_equal(back(getattr(there(values), op)(dim)), expected.numpy())
        np.testing.assert_array_equal(back(getattr(there(values, "transposed"), op)(dim, keepdim=True)),
                                      getattr(torch.from_numpy(values), op)(dim, keepdim=True).numpy())  # fmt: skip


@pytest.mark.parametrize("shape", [(70000,), (300, 400), (7, 11, 13, 17), (3, 1, 5000)])
def test_large_arrays_of_any_layout(shape: tuple[int, ...]) -> None:
    """Sizes for which kernels with fixed steps, several work items and blocks are used."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    c = b[..., :1]
    for kind in ("plain", "transposed", "strided"):
        x, y, z = there(a, kind), there(b), there(c, kind)
        for actual, expected in (
            (x + y, a + b), (x * z, a * c), ((-x * x).exp() * x.sin(), np.exp(-a * a) * np.sin(a)), (x.sum(), a.sum()),
            (x.sum(0), a.sum(0)), (x.mean(-1), a.mean(-1)), (x.cumsum(-1), a.cumsum(-1)), (x.flip(0), np.flip(a, 0)),
            (x.contiguous(), a), (x.where(x > y, z), np.where(a > b, a, c)), (x.softmax(-1).sum(-1), np.ones(shape[:-1])),
            (torch.cat([x, y], 0), np.concatenate([a, b], 0)), (x.var(0, unbiased=False), a.var(0)), (x[x > 0], a[a > 0]),
            ((x > 0).sum(), (a > 0).sum()), ((x > 5).any(), (a > 5).any()),
        ):  # fmt: skip
            np.testing.assert_allclose(back(actual), expected, 1e-11, 1e-11)


# ---- views and writing in place
def test_views_share_memory_and_writes_go_through() -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    x = there(a)
    view = x.permute(2, 0, 1)[1:3]
    assert not view.is_contiguous() and view.data_ptr() != x.data_ptr() and view._base is not None
    view += 100
    a.transpose(2, 0, 1)[1:3] += 100
    x[0, :, ::2] = 7
    a[0, :, ::2] = 7
    x.select(1, 2).mul_(there([2.0, 3.0, 4.0, 5.0]))
    a[:, 2] *= [2, 3, 4, 5]
    x.diagonal(0, 1, 2).zero_()
    np.einsum("ijj->ij", a[:, :, :3])[...] = 0
    x[x > 110] = -1
    a[a > 110] = -1
    x.view(-1)[3:5].copy_(there([1.5, 2.5]))
    a.reshape(-1)[3:5] = [1.5, 2.5]
    np.testing.assert_array_equal(back(x), a)
    np.testing.assert_array_equal(back(x.flatten()[1::5].expand(2, -1)), np.broadcast_to(a.flatten()[1::5], (2, len(a.flatten()[1::5]))))


def test_a_write_that_overlaps_its_source() -> None:
    a = np.arange(10000.0)
    x = there(a)
    x[1:] = x[:-1]
    np.testing.assert_array_equal(back(x), np.concatenate([[0], a[:-1]]))
    y = there(a.reshape(100, 100))
    y.copy_(y.t())
    np.testing.assert_array_equal(back(y), a.reshape(100, 100).T)
    y.add_(y.t())
    np.testing.assert_array_equal(back(y), a.reshape(100, 100).T + a.reshape(100, 100))


def test_sizes_zero_and_one() -> None:
    empty = torch.zeros(0, 3, device=HERE)
    assert back(empty + 1).shape == (0, 3) and back(empty.sum(0)).tolist() == [0, 0, 0]
    assert back(empty.sum()) == 0 and back(empty.prod()) == 1 and back(torch.cat([empty, empty])).shape == (0, 3)
    assert back(empty @ torch.ones(3, 4, device=HERE)).shape == (0, 4)
    assert back(torch.ones(2, 0, device=HERE) @ torch.ones(0, 2, device=HERE)).tolist() == [[0, 0], [0, 0]]
    assert back(empty[empty > 0]).shape == (0,) and back(empty.nonzero()).shape == (0, 2)
    point = torch.tensor(3.0, device=HERE)
    assert point.item() == 3 and back(point * point + 1) == 10 and back(point.sum()) == 3 and back(point.expand(2, 2)).sum() == 12
    assert torch.tensor([4.0], device=HERE).item() == 4 and bool(point > 2) and int(point) == 3 and point.tolist() == 3


def test_deep_arrays() -> None:
    a = np.random.default_rng(0).normal(size=(2, 3, 1, 2, 3, 2, 1, 2, 2))
    x = there(a)
    order = (8, 0, 6, 2, 4, 1, 7, 5, 3)
    np.testing.assert_array_equal(back(x.permute(*order) + 1), a.transpose(order) + 1)
    np.testing.assert_allclose(back(x.permute(*order).sum((1, 3, 5))), a.transpose(order).sum((1, 3, 5)), 1e-13)


# ---- programs
@pytest.fixture
def by_default() -> Iterator[None]:
    """New tensors are made on the device."""
    torch.set_default_device(HERE)
    yield
    torch.set_default_device(None)


@pytest.mark.usefixtures("by_default")
@pytest.mark.parametrize("document", test_seeds.DOCUMENTS)
def test_seed(document: str) -> None:
    """The documents print what they printed; beside it each tensor says where it is."""
    results = test_seeds.run.__wrapped__(document, "wengert")
    for cell in test_seeds.DOCUMENTS[document]:
        if cell.shell:
            continue
        result = results[cell.name]
        if isinstance(result.outcome.error, TypeError) and "Use Tensor.cpu()" in str(result.outcome.error):
            continue  # the cell calls numpy(), which PyTorch refuses for other devices as well
        if result.outcome.error:
            raise result.outcome.error
        result.outcome.text = result.outcome.text.replace(", device='opencl:0'", "")
        problems = test_seeds.differences(cell, result, document in test_seeds.OF_2018)
        assert not problems, "\n".join([cell.name, *problems, "--- it printed", result.outcome.text])


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"lr": 0.1}, "AdamW": {"lr": 0.1}, "Adamax": {"lr": 0.1}, "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1}, "RMSprop": {"lr": 0.1, "momentum": 0.5}, "Adagrad": {"lr": 0.1}, "Adadelta": {}, "ASGD": {"lr": 0.1},
    "Rprop": {}, "LBFGS": {"lr": 0.1},
}  # fmt: skip


def trained(device: str, name: str, options: dict[str, float], steps: int = 3, wrap: Any = lambda step: step) -> list[np.ndarray]:
    """Return the parameters of a small network after some steps, and its losses."""
    rng = np.random.default_rng(0)
    x, y = (torch.from_numpy(rng.normal(size=s)).to(device) for s in ((16, 5), (16, 1)))
    w1, w2, b = (torch.from_numpy(rng.normal(size=s)).to(device).requires_grad_() for s in ((5, 8), (8, 1), (8,)))
    optimizer = getattr(torch.optim, name)([w1, w2, b], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((torch.tanh(x @ w1 + b) @ w2 - y) ** 2).mean()
        loss.backward()
        return loss

    def step() -> Any:
        if name == "LBFGS":
            return optimizer.step(closure)
        loss = closure()
        optimizer.step()
        return loss

    step = wrap(step)
    losses = [step().item() for _ in range(steps)]
    return [p.detach().cpu().numpy() for p in (w1, w2, b)] + [np.asarray(losses)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_with_each_optimizer(name: str) -> None:
    assert set(OPTIMIZERS) <= set(dir(torch.optim))
    for a, e in zip(trained(HERE, name, OPTIMIZERS[name]), trained("cpu", name, OPTIMIZERS[name]), strict=True):
        np.testing.assert_allclose(a, e, 1e-8, 1e-8)


@pytest.mark.parametrize("wrap", [capture, torch.compile])
def test_a_graph_replays_as_eager(wrap: Any) -> None:
    for a, e in zip(trained(HERE, "Adam", {"lr": 0.1}, 5, wrap), trained(HERE, "Adam", {"lr": 0.1}, 5), strict=True):
        np.testing.assert_allclose(a, e, 1e-13, 1e-13)


def test_a_convolutional_network_and_its_gradients() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((2, 3, 12, 12), (4, 3, 3, 3), (4,), (36, 5))]
    target = rng.integers(0, 5, 2)

    def gradients(device: str) -> list[np.ndarray]:
        x, k, b, w = (torch.from_numpy(a).to(device).requires_grad_() for a in arrays)
        hidden = torch.nn.functional.max_pool2d(torch.nn.functional.conv2d(x, k, b, stride=2, padding=1).relu(), 2)
        loss = torch.nn.functional.cross_entropy(hidden.flatten(1) @ w, torch.from_numpy(target).to(device))
        loss.backward()
        return [loss.detach().cpu().numpy(), *[p.grad.cpu().numpy() for p in (x, k, b, w)]]

    for a, e in zip(gradients(HERE), gradients("cpu"), strict=True):
        np.testing.assert_allclose(a, e, 1e-12, 1e-12)


def test_random_numbers_are_those_of_the_host() -> None:
    for draw in (
        lambda device: torch.rand(3, 50, device=device), lambda device: torch.randn(1000, device=device),
        lambda device: torch.rand(300000, dtype=torch.float64, device=device), lambda device: torch.rand(5000, device=device),
        lambda device: torch.randint(0, 99, (70,), device=device), lambda device: torch.randperm(33, device=device),
        lambda device: torch.zeros(500, device=device).uniform_(2, 3), lambda device: torch.zeros(100, device=device).bernoulli_(0.3),
    ):  # fmt: skip
        torch.manual_seed(7)
        expected = [draw("cpu") for _ in range(2)]
        torch.manual_seed(7)
        for e in expected:
            np.testing.assert_array_equal(back(draw(HERE)), e.numpy())


def test_threads_share_the_device() -> None:
    x = there(np.random.default_rng(0).normal(size=(50, 50)))
    expected = back((x @ x + x).exp().sum(0))
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(back((x @ x + x).exp().sum(0)), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# ---- what is not there
def test_a_missing_kernel_is_an_error_unless_the_host_may_help() -> None:
    x = torch.eye(3, device=HERE) * 2
    with pytest.raises(NotImplementedError, match="inv: no OpenCL kernel .*host_fallback"):
        torch.linalg.inv(x)
    with wengert_opencl.host_fallback():
        with pytest.warns(UserWarning, match="inv ran on the host"):
            made = torch.linalg.inv(x)
        torch.linalg.inv(x)  # says it once
    np.testing.assert_array_equal(back(made), np.eye(3) / 2)
    with pytest.raises(NotImplementedError, match="inv"):
        torch.linalg.inv(x)


def test_mixed_devices_and_types_are_errors() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        there([1.0, 2.0]) + torch.ones(2)
    with pytest.raises(RuntimeError, match="no device opencl:99"):
        torch.ones(2, device="opencl:99")
    with pytest.raises(TypeError, match="no NumPy array by itself"):
        np.asarray(there([1.0])._array)


def test_memory_that_is_used_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = opencl.runtime(0)
    monkeypatch.setattr(runtime, "limit", runtime.pool.active_bytes + 1000)
    with pytest.raises((MemoryError, RuntimeError), match="opencl:0 .* has no 80000 bytes left"):
        torch.ones(10000, dtype=torch.float64, device=HERE)


def test_sources_can_be_read() -> None:
    torch.ones(3, device=HERE).exp()
    assert "__kernel void k_exp(" in wengert_opencl.source()["k_exp"]


def run_apart(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)


def test_without_pyopencl_the_device_says_so() -> None:
    program = "import sys; sys.modules['pyopencl'] = None\nfrom wengert.__main__ import main\nsys.exit(main(['devices']))"
    done = run_apart(program)
    assert done.returncode == 0 and "pip install pyopencl" in done.stdout, done.stdout + done.stderr
    done = run_apart("import sys; sys.modules['pyopencl'] = None\nimport wengert\nwengert.ones(1, device='opencl')")
    assert "pyopencl is not installed" in done.stderr


def test_pyopencl_is_imported_when_the_device_is_used() -> None:
    done = run_apart("import sys, wengert\nwengert.device('opencl'); assert 'pyopencl' not in sys.modules\n"
                     "wengert.ones(1, device='opencl'); assert 'pyopencl' in sys.modules")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_kernels_of_graphics_cards_compute_the_same() -> None:
    """Their texts run on any device: one element a work item, the library's functions, tiles in local memory."""
    program = """
import numpy as np, wengert as w
assert not w.backend.backend_named("opencl").from_host(np.ones(1), 0).runtime.dialect.cpu
r = np.random.default_rng(0)
a, b = r.normal(size=(70, 90)), r.normal(size=(90, 50))
x, y = w.from_numpy(a).to("opencl"), w.from_numpy(b).to("opencl")
for got, wanted in (
    (x @ y, a @ b), (x.T[3:].exp() + 1, np.exp(a.T[3:]) + 1), (x.sum(0), a.sum(0)), (x.sum(1), a.sum(1)), (x.sum(), a.sum()),
    (x.amax(1), a.max(1)), (x.argmax(0), a.argmax(0)), (x.cumsum(1), a.cumsum(1)), (x.sort(1)[0], np.sort(a, 1)),
    (x[x > 0], a[a > 0]), (x % 0.3, a % 0.3), (x.softmax(1).sum(1), np.ones(70)), (x.sin() * x.tanh(), np.sin(a) * np.tanh(a)),
    (x.abs() ** 1.5, abs(a) ** 1.5), (x.half().float(), a.astype("f2").astype("f4")),
):
    np.testing.assert_allclose(got.cpu().numpy(), wanted, 1e-12, 1e-12)
"""
    done = run_apart(program, WENGERT_OPENCL_DIALECT="gpu")
    assert done.returncode == 0, done.stderr


def test_the_device_is_what_the_protocol_says() -> None:
    device = backend_named(HERE)
    infos = device.devices()
    assert infos and all(info.available and info.name.startswith("opencl:") for info in infos)
    raw = device.from_host(np.arange(6.0).reshape(2, 3), 0)
    assert raw.shape == (2, 3) and raw.ndim == 2 and raw.size == 6 and raw.strides == (24, 8) and raw.base is None
    assert raw.flags.c_contiguous and not raw.transpose((1, 0)).flags.c_contiguous
    assert raw.transpose((1, 0)).base is raw and raw.getitem([1]).getitem([slice(1, 2)]).base is raw
    assert device.address(raw.getitem([1])) - device.address(raw) == 24
    np.testing.assert_array_equal(device.to_host(2 - raw * 2 + raw // 4), 2 - np.arange(6.0).reshape(2, 3) * 2 + np.arange(6).reshape(2, 3) // 4)
    total = device.copy(raw)
    device.add_into(total, raw)
    np.testing.assert_array_equal(device.to_host(total), 2 * np.arange(6.0).reshape(2, 3))
    device.synchronize(0)
