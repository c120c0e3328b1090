"""The OpenCL device: all that a device must pass, and what is its own: types, accuracy, layouts, memory, errors, exchange.

Owns: these checks. May import: wengert's public API, its suite for devices, pyopencl. Skipped where pyopencl or a device is
missing. Kernels run forward here; rules are proven on the host.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.backend import backend_named
from wengert.graph import capture
from wengert.op import OPS
from wengert.testing import DeviceSuite

opencl = pytest.importorskip("wengert_opencl.runtime")
try:
    opencl.found()
except opencl.NoDevice as reason:
    pytest.skip(str(reason), allow_module_level=True)

import wengert_opencl  # noqa: E402
from wengert_opencl import host  # noqa: E402

HERE = "opencl"


class TestOpenCL(DeviceSuite):
    """All ops in float64, float32 and integers, the functions made of them, the documents, optimizers, random programs."""

    device = HERE
    needs = ("pyopencl",)
    gaps = {"power-bool": "pow refuses bools before it comes to a kernel"}


for number, found in enumerate(opencl.found()):  # and on the device of every other platform that is installed
    if found.platform != opencl.found()[0].platform:
        kind = f"Test{''.join(filter(str.isalnum, found.platform.name.title()))}"
        globals().setdefault(kind, type(kind, (TestOpenCL,), {"device": f"opencl:{number}", "__test__": True}))


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


# ---- other types
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
    beside = inputs[0].to(HERE) * 0.3 + 1  # a number does not widen
    assert beside.dtype == dtype
    np.testing.assert_allclose(beside.cpu().float().numpy(), (inputs[0] * 0.3 + 1).float().numpy(), step, step)
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
    for name in ("asin", "tanh", "sqrt", "sin"):  # without a formula: NumPy's, in the device's memory
        np.testing.assert_allclose(back(getattr(x, name)()), getattr(np, {"asin": "arcsin"}.get(name, name))(a), 1e-13, 1e-13)


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


@pytest.mark.parametrize(("act", "words"), [
    (lambda x: torch.cat([x[:, :, :1], x[:, :1, 1:]], -1), "must match except in dimension 2. Expected size 3 but got size 1"),
    (lambda x: torch.stack([x[0], x[0, :1]]), "equal size"),
    (lambda x: torch.vstack([x[0, 0], x[0, 0, :1]]), "must match except in dimension 0"),
    (lambda x: x[:0].max(), "with a size above 0"),
    (lambda x: x[:0].amin(0), "with a size above 0"),
    (lambda x: x[:, :0].argmax(1), "with a size above 0"),
    (lambda x: x[0, :0].aminmax(), "with a size above 0"),
])  # fmt: skip
def test_shapes_that_do_not_fit_are_told_as_on_the_host(act: Any, words: str) -> None:
    for device in ("cpu", "opencl"):
        with pytest.raises((RuntimeError, IndexError), match=words):
            act(torch.ones(2, 3, 2, device=device))


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


@pytest.mark.parametrize("wrap", [capture, torch.compile])
def test_a_graph_replays_as_eager(wrap: Any) -> None:
    for a, e in zip(trained(HERE, "Adam", {"lr": 0.1}, 5, wrap), trained(HERE, "Adam", {"lr": 0.1}, 5), strict=True):
        np.testing.assert_allclose(a, e, 1e-13, 1e-13)


@pytest.mark.parametrize("size", [12, 35])  # products of matrices, and the moved image's phases
def test_a_convolutional_network_and_its_gradients(size: int) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((2, 3, size, size), (4, 3, 3, 3), (4,), (4 * ((size + 3) // 4) ** 2, 5))]
    target = rng.integers(0, 5, 2)

    def gradients(device: str) -> list[np.ndarray]:
        x, k, b, w = (torch.from_numpy(a).to(device).requires_grad_() for a in arrays)
        hidden = torch.nn.functional.max_pool2d(torch.nn.functional.conv2d(x, k, b, stride=2, padding=1).relu(), 2)
        loss = torch.nn.functional.cross_entropy(hidden.flatten(1) @ w, torch.from_numpy(target).to(device))
        loss.backward()
        return [loss.detach().cpu().numpy(), *[p.grad.cpu().numpy() for p in (x, k, b, w)]]

    for a, e in zip(gradients(HERE), gradients("cpu"), strict=True):
        np.testing.assert_allclose(a, e, 1e-12, 1e-12)


def test_data_made_in_a_compiled_function_meets_the_device() -> None:
    def picks(y: Any) -> Any:
        c = y.clone()
        c.index_put_((torch.tensor([0]),), y[:1], accumulate=True)
        c[torch.tensor([2, 1])] = y[torch.tensor([1, 0])]
        return c + torch.tensor([1.0, 2.0, 3.0]).to(y.device)

    compiled = torch.compile(picks)
    for k in range(3):
        y = torch.tensor([1.0 + k, 2.0, 3.0], device=HERE)
        assert compiled(y).tolist() == picks(y).tolist()


def test_what_a_compiled_function_computes_on_the_host_is_moved_to_the_device() -> None:
    def meets(y: Any, c: Any) -> Any:
        back = (y.cpu() * 2).to(y.device)
        return y + (c * 2).to(y.device) + torch.from_numpy(np.ones(3, np.float32)).repeat(2)[:3].to(y.device) + back

    def moves(c: Any, y: Any) -> Any:
        return (c * 2).to(HERE)

    y, c = torch.tensor([1.0, 2.0, 3.0], device=HERE), torch.tensor([1.0, 2.0, 4.0])
    first, second = torch.compile(meets), torch.compile(moves)
    for _ in range(3):
        assert first(y, c).tolist() == meets(y, c).tolist() == [6.0, 11.0, 18.0]
        assert second(c, y).device == y.device and second(c, y).tolist() == [2.0, 4.0, 8.0]


def test_a_compiled_loss_is_differentiated_outside() -> None:
    """The gradient that comes in, and masks that ops make on the host, are on the device in both graphs."""
    functional = torch.nn.functional
    for loss in (
        lambda q: (q * q).tril().sum(), lambda q: functional.scaled_dot_product_attention(q, q, q, is_causal=True).sum(),
    ):  # fmt: skip
        values = np.random.default_rng(0).normal(size=(2, 6, 6))
        compiled, found = torch.compile(loss), []
        for device, run in (("cpu", loss), (HERE, compiled), (HERE, compiled), (HERE, compiled)):
            x = torch.from_numpy(values).to(device).requires_grad_()
            run(x).backward()
            found.append(x.grad.cpu().numpy())
        for actual in found[1:]:
            np.testing.assert_allclose(actual, found[0], 1e-12, 1e-12)


def test_shapes_that_do_not_fit_are_errors() -> None:
    a = torch.ones(2, 3, device=HERE)
    for product in (lambda: a @ a, lambda: torch.bmm(a[None], a[None]), lambda: a @ torch.ones(2, device=HERE),
                    lambda: torch.nn.functional.linear(a, torch.ones(4, 2, device=HERE)),
                    lambda: torch.ones(2, 2, 3, device=HERE) @ torch.ones(3, 3, 2, device=HERE)):  # fmt: skip
        with pytest.raises(RuntimeError, match="shape|size"):
            product()


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


@pytest.mark.parametrize("seed", [7, 2**63 + 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_numbers_are_made_on_the_device(seed: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(seed)
    expected = [torch.rand(n, dtype=dtype) for n in (5, 0, 70001, 3)]
    torch.manual_seed(seed)
    monkeypatch.setattr(opencl.Runtime, "upload", None)  # nothing is carried over
    for e in expected:
        np.testing.assert_array_equal(back(torch.rand(len(e), dtype=dtype, device=HERE)), e.numpy())


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


# ---- what the host computes
def test_factorizations_run_in_the_memory_of_the_device() -> None:
    a = np.random.default_rng(0).normal(size=(2, 4, 4))
    x = there(a, "transposed").requires_grad_()
    made = torch.linalg.inv(x)
    np.testing.assert_allclose(back(made), np.linalg.inv(a), 1e-12, 1e-12)
    made.sum().backward()
    assert x.grad.device.type == HERE
    made = made.detach()
    made += 1  # the result's memory is the device's now, and nobody else's
    np.testing.assert_allclose(back(made), np.linalg.inv(a) + 1, 1e-12, 1e-12)
    np.testing.assert_array_equal(back(x), a)
    assert back(torch.linalg.inv(there(np.zeros((0, 3, 3))))).shape == (0, 3, 3)
    with pytest.raises(RuntimeError, match="singular"):
        torch.linalg.inv(there(np.zeros((3, 3))))


def test_a_missing_kernel_is_an_error_unless_the_host_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a graphics card, which does not share the host's memory."""
    monkeypatch.setattr(host, "shares_memory", lambda device: False)
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
    assert "only by the host, if WENGERT_HOST_FALLBACK=1" in backend_named(HERE).devices()[0].description


def test_devices_tell_which_ops_the_host_computes() -> None:
    assert f"{len(host.MAPPED)} ops (factorizations, Fourier transforms" in backend_named(HERE).devices()[0].description
    torch.linalg.inv, torch.fft.fft, torch.special.zeta  # noqa: B018 (their plugins enter their ops)
    assert set(OPS) >= host.MAPPED


# ---- what goes wrong
def test_mixed_devices_and_types_are_errors() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        there([1.0, 2.0]) + torch.ones(2)
    with pytest.raises(RuntimeError, match="no device opencl:99"):
        torch.ones(2, device="opencl:99")
    with pytest.raises(TypeError, match="no NumPy array by itself"):
        np.asarray(there([1.0])._array)


def test_devices_are_chosen_by_a_part_of_their_name() -> None:
    name = opencl.found()[0].platform.name
    assert torch.ones(2, device=f"opencl:{name[:6].lower()}").device == torch.device("opencl:0")
    with pytest.raises(RuntimeError, match="no OpenCL device is called 'nobody'; there are .* by"):
        torch.device("opencl:nobody")
    with pytest.raises(RuntimeError, match="Invalid device string"):
        torch.device("cpu:nobody")


@pytest.mark.parametrize("read", [
    lambda x, i: x[i], lambda x, i: x[:, i], lambda x, i: x.gather(0, i[None]), lambda x, i: x.index_select(1, i),
    lambda x, i: torch.nn.functional.embedding(i, x), lambda x, i: x.scatter(0, i[None], 1.0), lambda x, i: x.index_add(0, i, x[:2]),
    lambda x, i: x.index_put((i,), x[0]), lambda x, i: torch.nn.functional.cross_entropy(x, torch.cat([i, i[:1]])),
])  # fmt: skip
@pytest.mark.parametrize("wrong", [7, -8])
def test_an_index_out_of_range_raises_when_the_device_is_waited_for(read: Any, wrong: int) -> None:
    x = there(np.arange(12.0).reshape(3, 4))
    made = read(x, there([0, wrong]))
    with pytest.raises(IndexError, match=f"index {wrong} is out of bounds for dimension with size [34]"):
        torch.opencl.synchronize()
    torch.opencl.synchronize()  # told once
    assert back(made).dtype == np.float64  # what was read instead lies in the array
    read(x, there([0, 2]))
    torch.opencl.synchronize()


def test_memory_that_is_used_up_is_an_error_and_nothing_is_lost() -> None:
    kept = there(np.arange(1000.0))
    unused = there(np.arange(100000.0))
    del unused  # held for reuse: given back before anything fails
    torch.opencl.set_memory_limit(torch.opencl.memory_allocated() + 1000)
    try:
        with pytest.raises(torch.OutOfMemoryError, match="opencl:0 .* has no 80000 bytes left"):
            torch.ones(10000, dtype=torch.float64, device=HERE)
        with pytest.raises(torch.OutOfMemoryError):
            kept + 1
    finally:
        torch.opencl.set_memory_limit(None)
    stats = torch.opencl.memory_stats()
    assert 8000 <= stats["allocated"] <= stats["reserved"] and stats["limit"] > stats["peak"] >= stats["allocated"]
    np.testing.assert_array_equal(back(kept + 1), np.arange(1000.0) + 1)
    torch.opencl.empty_cache()
    torch.opencl.reset_peak_memory_stats()
    assert torch.opencl.max_memory_allocated() == torch.opencl.memory_allocated()


def test_a_failed_allocation_is_tried_again_when_the_pool_was_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = opencl.runtime(0)
    real, calls = runtime.pool, []

    class Pool:
        active_bytes = 0

        def allocate(self, size: int) -> Any:
            calls.append("allocate")
            if "free" not in calls:
                raise MemoryError
            return real.allocate(size)

        def free_held(self) -> None:
            calls.append("free")

    monkeypatch.setattr(runtime, "pool", Pool())
    assert back(torch.ones(3, device=HERE)).tolist() == [1, 1, 1]
    assert calls[:3] == ["allocate", "free", "allocate"]


@pytest.mark.parametrize("make", [torch.zeros, torch.ones, torch.empty, lambda *n, device: torch.full(n, 2.5, device=device), torch.rand])
def test_a_tensor_beyond_all_memory_is_made_nowhere(make: Any) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="opencl:0 .* has no 4000000000000 bytes left: .* limit"):
        make(10**12, device=HERE)
    with pytest.raises(torch.OutOfMemoryError, match=r"add\(.*1000000000000.*opencl:0 .* limit"):
        there(np.ones(1, np.float32)).expand(10**12) + 1
    for value in (-0.0, 2.5):
        made = torch.full((3, 2), value, device=HERE)
        assert back(made).tolist() == [[value] * 2] * 3 and np.signbit(back(made)).all() == (value == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("before, run", [
    ("x = torch.zeros(3, device='opencl')", "x + x"), ("x = torch.zeros(3, device='opencl')", "x.tolist()"),
    ("torch.opencl.is_available()", "torch.zeros(3, device='opencl')"),
])  # fmt: skip
def test_a_forked_process_is_told_that_the_device_is_not_its_own(before: str, run: str) -> None:
    """A driver's threads are not there, so it would wait for ever."""
    program = f"""
import os, sys, wengert as torch
{before}
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
try:
    {run}
except RuntimeError as error:
    print(error)
print(torch.zeros(2).tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Cannot re-initialize OpenCL in forked subprocess" in done.stdout and done.stdout.endswith("[0.0, 0.0]\n")


@pytest.mark.parametrize("name, sizes", [("hann_window", [10**12]), ("tril_indices", [10**7] * 2), ("triu_indices", [10**7] * 2)])
def test_what_the_host_makes_may_be_too_large_as_well(name: str, sizes: list[int]) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="Unable to allocate"):
        getattr(torch, name)(*sizes, device=HERE)


def test_the_hosts_memory_is_kept_while_the_device_may_read_it() -> None:
    """A result of NumPy's is a buffer's memory; dropped before the device has read it, it would be somebody else's."""
    matrix, found = there(np.eye(64)), []
    for _ in range(200):
        found.append(torch.linalg.inv(matrix) * 1.0)
        np.full((64, 64), np.nan)
    assert all([np.array_equal(back(x), np.eye(64)) for x in found])
    assert not opencl.runtime(0).retired


def test_an_array_beyond_what_one_may_have() -> None:
    runtime = opencl.runtime(0)
    with pytest.raises(torch.OutOfMemoryError, match="one array may have"):
        runtime.allocate(runtime.device.global_mem_size + 1)


def test_errors_of_the_driver_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = opencl.runtime(0)

    class Words(Exception):
        code = 0

    class Kernel:
        """Stands for one that the driver refuses with a code, a few times."""

        name = "k_failing"

        def __init__(self, code: int, times: int = 2) -> None:
            self.code, self.times = code, times

        def __call__(self, *args: Any) -> None:
            self.times -= 1
            if self.times >= 0:
                error = Words("the driver's words")
                error.code = self.code
                raise error

    monkeypatch.setattr(runtime, "cl", SimpleNamespace(Error=Words))
    for code, kind, words in (
        (-36, RuntimeError, "was lost .*driver's words.* this process cannot use it again"),
        (-4, torch.OutOfMemoryError, "has no memory left to run this kernel"),
        (-54, RuntimeError, "does not run this kernel over"),
    ):
        with pytest.raises(kind, match=f"k_failing: opencl:0 .* {words}"):
            runtime.launch(Kernel(code), (1,), (1,), ())
    runtime.launch(Kernel(-5, times=1), (1,), (1,), ())  # memory was short once


def test_kernels_that_cannot_be_made_say_why() -> None:
    runtime = opencl.runtime(0)
    made = "float w_own(float x) { return mix(x, 1.0f, 0.5f); } __kernel void k_rare(__global float *x) { x[0] = w_own(x[0]); }"
    assert runtime.kernel(made, "k_rare", [None]) is not None  # a function that is not declared by us: the driver's header is read
    with pytest.raises(NotImplementedError, match="bitwise_and is not implemented for floats"):
        there(np.ones(2)) & there(np.ones(2))
    with pytest.raises(RuntimeError, match="(?s)k_wrong: opencl:0 .* does not compile this kernel.*undeclared"):
        runtime.kernel("__kernel void k_wrong(__global float *x) { x[0] = nothing; }", "k_wrong", [None])
    with pytest.raises(RuntimeError, match="k_many: 80000 bytes of kernel parameters, and opencl:0"):
        runtime.kernel("", "k_many", [None] * 10000)


def test_sizes_that_no_group_of_work_items_divides() -> None:
    """PoCL runs uniform work-groups alone: what is left over does nothing."""
    for n in (1, 127, 128, 129, 4097, 70001):
        x = torch.arange(n, device=HERE)
        assert (x + 1).sum().item() == n * (n + 1) // 2


# ---- exchange with others
@pytest.mark.filterwarnings("ignore::pyopencl.CompilerWarning")  # Intel's compiler says of each kernel that it succeeded
def test_arrays_of_pyopencl_share_their_memory() -> None:
    import pyopencl
    import pyopencl.array as cla

    x = there(np.arange(6.0).reshape(2, 3))
    theirs = torch.opencl.to_pyopencl(x)
    theirs += 1
    np.testing.assert_array_equal(back(x), np.arange(6.0).reshape(2, 3) + 1)
    assert torch.opencl.to_pyopencl(x[1:].T).strides == (8, 24)
    given = cla.arange(torch.opencl.queue(), 10, dtype=np.float32)
    mine = torch.opencl.from_pyopencl(given[2:])
    mine *= 2
    np.testing.assert_array_equal(given.get(), [0, 1, *range(4, 20, 2)])
    context = pyopencl.Context([opencl.found()[0]])  # held: Intel's queues do not keep theirs
    other = pyopencl.CommandQueue(context)
    with pytest.raises(ValueError, match="a context that wengert does not use"):
        torch.opencl.from_pyopencl(cla.arange(other, 3, dtype=np.float32))


def test_arrays_of_numpy_share_their_memory() -> None:
    host_array = np.ones((3, 4), np.float32)
    x = torch.opencl.from_numpy(host_array)
    x += 1
    torch.opencl.synchronize()
    assert (host_array == 2).all() and x.device.type == HERE
    with pytest.raises(RuntimeError, match="not contiguous"):
        torch.opencl.from_numpy(host_array.T)
    with pytest.raises(BufferError, match="from_dlpack"):
        np.from_dlpack(x)
    np.testing.assert_array_equal(np.from_dlpack(x.cpu()), host_array)


def test_drivers_are_found_without_a_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's library in containers, and Intel's where pip has put it."""
    monkeypatch.delenv("OCL_ICD_VENDORS", raising=False)
    monkeypatch.delenv("OPENCL_VENDOR_PATH", raising=False)
    (tmp_path / "lib").mkdir()
    (tmp_path / "vendors").mkdir()
    (tmp_path / "vendors" / "pocl.icd").write_text("libpocl.so")
    places, vendors = [str(tmp_path / "nowhere"), str(tmp_path / "lib")], str(tmp_path / "vendors")
    drivers = {name: (library, places) for name, (library, _) in opencl.DRIVERS.items()}
    assert opencl.find_drivers(drivers, vendors) is None
    libraries = [tmp_path / "lib" / "libnvidia-opencl.so.1", tmp_path / "lib" / "libintelocl.so"]
    for library in libraries:
        library.write_text("")
    folder = opencl.find_drivers(drivers, vendors)
    assert folder is not None and os.environ["OCL_ICD_VENDORS"] == folder
    assert {p.name: p.read_text().strip() for p in Path(folder).iterdir()} == {
        "pocl.icd": "libpocl.so", "nvidia.icd": str(libraries[0]), "intel.icd": str(libraries[1]),
    }  # fmt: skip
    assert opencl.find_drivers(drivers, vendors) is None  # now the variable says where drivers are
    monkeypatch.delenv("OCL_ICD_VENDORS")
    (tmp_path / "vendors" / "nv.icd").write_text("libnvidia-opencl.so.1")
    (tmp_path / "vendors" / "cpu.icd").write_text("/opt/intel/lib/libintelocl.so.2026")
    assert opencl.find_drivers(drivers, vendors) is None


def test_intels_package_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opencl.DRIVERS, "intel", ("libintelocl.so", [str(tmp_path)]))
    assert opencl.incomplete() == ""
    (tmp_path / "libintelocl.so").write_text("")
    assert "pip install intel-cmplr-lib-rt" in opencl.incomplete()
    (tmp_path / opencl.INTEL_NEEDS).write_text("")
    assert opencl.incomplete() == ""


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


def test_special_functions_have_kernels_where_the_host_is_far() -> None:
    """To a few units in the last digit, also of float32, which is computed in float64; and they are lines of fused kernels."""
    program = """
import numpy as np, wengert as w
from wengert_opencl import host, maps
host.shares_memory = lambda device: False  # as on a graphics card
r = np.random.default_rng(0)
wide, share = np.r_[r.normal(size=900) * 4, r.uniform(-26, 26, 900), 10.0 ** r.uniform(-200, 200, 99)], r.uniform(0, 1, 900)
ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
for name, values, atol in (
    ("i0", wide[:1800], 0), ("i0e", wide, 0), ("i1", wide[:1800], 0), ("i1e", wide, 0), ("erfcx", np.r_[wide, ends], 0), ("ndtri", share, 1e-16),
    ("log_ndtr", np.r_[wide, ends], 1e-300), ("erfinv", np.r_[share * 2 - 1, 1, -1, 2, ends], 0), ("digamma", np.r_[wide, -3, ends], 1e-13),
):
    for dtype in ("f8", "f4"):
        x = w.from_numpy(values.astype(dtype))
        got, wanted = getattr(w.special, name)(x.to("opencl")).cpu().numpy(), getattr(w.special, name)(x).numpy()
        np.testing.assert_allclose(got, wanted, 3e-13 if dtype == "f8" else 2e-7, max(atol, 1e-45 if dtype == "f4" else 0), err_msg=name)
x = w.from_numpy(share).to("opencl")
step = w.compile(lambda x: w.exp(w.digamma(x) * 0.1) + w.special.i0e(x))
for _ in range(3): got = step(x)
np.testing.assert_allclose(got.cpu(), np.exp(w.digamma(w.from_numpy(share)).numpy() * 0.1) + w.special.i0e(w.from_numpy(share)).numpy(), 1e-12)
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


def test_running_products_of_complex_numbers() -> None:
    values = np.asarray([1j, 2 + 1j, -0.5 + 3j, 1 - 1j], np.complex64)
    for dim, given in ((0, values), (1, values.reshape(2, 2))):
        np.testing.assert_allclose(torch.tensor(given, device=HERE).cumprod(dim).cpu().numpy(), given.cumprod(dim), 1e-5)


def test_large_unsigned_integers() -> None:
    x, y = np.asarray([2**64 - 1, 2**63 + 5, 17], np.uint64), np.asarray([7, 3, 2], np.uint64)
    a, b = (torch.tensor(v, device=HERE) for v in (x, y))
    for name, expected in {"__floordiv__": x // y, "__mod__": x % y, "__lshift__": x << y, "__rshift__": x >> y, "fmod": x % y}.items():
        np.testing.assert_array_equal(getattr(a, name)(b).cpu().numpy(), expected)
    beyond = torch.tensor(np.full(3, 64, np.uint64), device=HERE)
    assert (a << beyond).tolist() == (a >> beyond).tolist() == [0, 0, 0]


def test_a_library_of_another_processor_is_called_by_halves() -> None:
    from wengert_opencl import declarations, runtime

    zen = "OpenCL 3.0 PoCL HSTR: pthread-x86_64-unknown-linux-gnu-znver3"
    assert declarations.is_narrow(zen, 16) and not declarations.is_narrow(zen, 8)
    assert not declarations.is_narrow(zen.replace("znver3", "sapphirerapids"), 16)
    text = declarations.halves("y = tanh(x); z = mine(x);")
    assert "double8 W_NAMED tanh(double8 x) { return (double8)(tanh(x.lo), tanh(x.hi)); }" in text and "mine" not in text

    here = runtime.Runtime(0)
    if not here.dialect.cpu:
        pytest.skip("vectors are for processors")
    here.narrow = True
    source = """
__kernel void k(__global double *o, __global const double *x, __global const long *add) {
  w_double8 v = *(__global const w_double8 *)x; long own[8]; for (int i = 0; i < 8; i++) own[i] = add[i];
  *(__global w_double8 *)o = pow(v, tanh(v)) + fma(v, v, __builtin_convertvector(vload8(0, own), double8));
}"""
    x, add, made = np.linspace(0.1, 3, 8), np.arange(8), np.empty(8)
    buffers = [here.allocate(64) for _ in range(3)]
    for buffer, values in zip(buffers[1:], (x, add), strict=True):
        here.cl.enqueue_copy(here.queue, buffer, values)
    here.launch(here.kernel(source, "k", [None] * 3), (1,), None, buffers)
    here.cl.enqueue_copy(here.queue, made, buffers[0])
    np.testing.assert_allclose(made, x ** np.tanh(x) + x * x + add, rtol=1e-13)
