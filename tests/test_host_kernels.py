"""Both sides of each fork that the host's kernels take for speed: short and long rows, near and far numbers, given memory.

The reference is float64 arithmetic of NumPy's and SciPy's, term by term. May import: wengert, NumPy, SciPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

import wengert as w
from wengert.memory import LINE, aligned
from wengert.op import OPS

F = w.nn.functional
RNG = np.random.default_rng(0)
SINGLE = np.float32


def normal(*shape: int, scale: float = 1.0) -> Any:
    return (RNG.standard_normal(shape) * scale).astype(SINGLE)


def test_scratch_begins_with_a_cache_line() -> None:
    for shape, dtype in [((3, 5), "f4"), ((), "f8"), ((0, 4), "f4"), ((1000,), "i2")]:
        made = aligned(shape, dtype)
        assert made.shape == shape and made.dtype == dtype and made.flags.c_contiguous and made.flags.writeable
        assert made.__array_interface__["data"][0] % LINE == 0


# ---- gelu
@pytest.mark.parametrize("size", [1, 7, 1 << 15, (1 << 15) + 1, 100_003])
def test_gelu_in_parts_of_any_size(size: int) -> None:
    x = normal(size, scale=2.0)
    t = w.tensor(x, requires_grad=True)
    y = F.gelu(t)
    assert w.equal(y.detach(), F.gelu(t.detach()))  # where its slope is not wanted, too
    y.sum().backward()  # the gradient is one number, repeated
    wide = x.astype(np.float64)
    slope = special.ndtr(wide) + wide * np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(y.detach().numpy(), wide * special.ndtr(wide), rtol=0, atol=1e-6)
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=0, atol=1e-6)


def test_gelu_far_from_zero_at_zero_and_of_nan() -> None:
    x = np.array([0, 1e-45, -1e-40, 1e-20, 6, -6, 1e4, -1e4, 3e6, -3e6, 1e19, 3e38, -3e38, np.nan], SINGLE)
    t = w.tensor(x, requires_grad=True)
    F.gelu(t).sum().backward()
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        np.testing.assert_allclose(F.gelu(t).detach().numpy(), wide * special.ndtr(wide), rtol=1e-6, atol=1e-6)
        slope = special.ndtr(wide) + wide * np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["silu", "gelu", "mish", "hardswish"])
def test_kernels_may_be_given_their_own_input_as_memory(name: str) -> None:
    kernel = OPS[name].kernels[np.ndarray] if OPS[name].kernels else None
    x = normal(70_000)
    expected = getattr(F, name)(w.tensor(x)).numpy()
    kernel = kernel or OPS[name].kernels[np.ndarray]
    other = np.empty_like(x)
    assert kernel(x, out=other) is other
    np.testing.assert_array_equal(other, expected)
    assert kernel(x, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_a_transposed_input_is_computed_in_its_own_order() -> None:
    x = normal(300, 400)
    t = w.tensor(x, requires_grad=True)
    y = F.gelu(t.t())
    np.testing.assert_array_equal(y.detach().numpy(), F.gelu(t).detach().numpy().T)
    y.backward(w.tensor(normal(400, 1)).expand(400, 300))


# ---- softmax
@pytest.mark.parametrize("width", [4, 65, 96, 97, 256, 257])
@pytest.mark.parametrize("kind", ["plain", "masked", "a low row", "an infinite row"])
@pytest.mark.parametrize("size", [0, 1 << 11, 1 << 15])
def test_softmax_of_short_rows(width: int, kind: str, size: int) -> None:
    x = normal(size // width + 40 if size else 8, width, scale=3.0)
    if kind == "masked":
        x[:, width // 2 :] = -1e9
    elif kind == "a low row":
        x[3] -= 200  # by the top of all, its exponentials would be 0
    elif kind == "an infinite row":
        x[3, 1] = np.inf
    g = normal(*x.shape)
    t = w.tensor(x, requires_grad=True)
    y = w.softmax(t, -1)
    y.backward(w.tensor(g))
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        powers = np.exp(wide - wide.max(1, keepdims=True))
        expected = powers / powers.sum(1, keepdims=True)
        slope = expected * (g - (g * expected).sum(1, keepdims=True))
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=3e-6, atol=1e-12)
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=1e-4, atol=1e-6)
    t.grad = None
    y = w.log_softmax(t, -1)
    y.backward(w.tensor(g))
    with np.errstate(all="ignore"):
        logs = wide - wide.max(1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    np.testing.assert_allclose(y.detach().numpy(), logs, rtol=3e-6, atol=3e-6)
    np.testing.assert_allclose(t.grad.numpy(), g - expected * g.astype(np.float64).sum(1, keepdims=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [5, 40, 300])
def test_attention_with_hidden_rows(width: int) -> None:
    q, mask = normal(2, width, 8), np.zeros((width, width), SINGLE)
    mask[np.triu_indices(width, 1)] = -np.inf
    causal = F.scaled_dot_product_attention(*[w.tensor(q)] * 3, is_causal=True)
    for low in (0.0, -200.0, -np.inf):  # of all of a row: far below the others, and none at all
        mask[2] = np.minimum(mask[2], low)
        scores = q.astype(np.float64) @ q.swapaxes(1, 2) / np.sqrt(8) + mask
        with np.errstate(all="ignore"):
            powers = np.exp(scores - scores.max(2, keepdims=True))
            expected = np.nan_to_num(powers / powers.sum(2, keepdims=True)) @ q
        made = F.scaled_dot_product_attention(*[w.tensor(q)] * 3, attn_mask=w.tensor(mask))
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-4, atol=1e-5)
        if not low:
            np.testing.assert_allclose(causal.numpy(), expected, rtol=1e-4, atol=1e-5)


# ---- sums and products
@pytest.mark.parametrize("shape, axis", [
    ((200,), None), ((40_000,), None), ((100, 3, 200), None), ((3000, 7), (0,)), ((3000, 7), (1,)), ((30_000, 9), (0,)),
    ((9, 30_000), (1,)), ((20, 30, 40), (0, 1)), ((20, 30, 40), (1, 2)), ((20, 30, 40), (0, 2)), ((20, 30, 40), (1,)),
    ((3, 3000, 4), (1,)), ((6, 5, 4, 100), (1, 2)),
])  # fmt: skip
def test_sums_of_few_and_of_many(shape: Any, axis: Any) -> None:
    x = np.abs(normal(*shape)) + 1
    wide = x.astype(np.float64)
    for keep in (False, True):
        for made, expected in [
            (w.tensor(x).sum(axis, keepdim=keep), wide.sum(axis, keepdims=keep)),
            (w.tensor(x).mean(axis, keepdim=keep), wide.mean(axis, keepdims=keep)),
        ]:
            assert made.shape == expected.shape and made.is_contiguous()
            np.testing.assert_allclose(made.numpy(), expected, rtol=1e-5)
    x[(1,) * x.ndim] = np.inf
    np.testing.assert_array_equal(np.isinf(w.tensor(x).sum(axis).numpy()), np.isinf(x.sum(axis)))


@pytest.mark.parametrize("size", [10, 4095, 10_000])
def test_products_of_few_and_of_many(size: int) -> None:
    x = np.exp(normal(size, scale=1e-2))
    np.testing.assert_allclose(w.tensor(x).prod().item(), np.prod(x.astype(np.float64)), rtol=1e-4)


# ---- cross entropy
@pytest.mark.parametrize("scale", [1.0, 10.0, 3000.0])
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(300, 7), (7, 300), (300, 40)])
def test_cross_entropy_of_near_and_far_numbers(scale: float, ignored: int, dtype: Any, size: Any) -> None:
    x, index = (RNG.standard_normal(size) * scale).astype(dtype), RNG.integers(0, size[1], size[0])
    t = w.tensor(x, requires_grad=True)
    losses = F.cross_entropy(t, w.tensor(index), ignore_index=ignored, reduction="none")
    losses.sum().backward()
    wide, counts, rows = x.astype(np.float64), index != ignored, np.arange(len(x))
    total = special.logsumexp(wide, 1)
    digits = float(np.finfo(dtype).eps) * 16
    tolerance = {"rtol": digits, "atol": digits * max(scale, 10)}  # a loss of thousands has fewer digits behind the point
    np.testing.assert_allclose(losses.detach().numpy(), (total - wide[rows, index]) * counts, **tolerance)
    slope = np.exp(wide - total[:, None])
    slope[rows, index] -= 1
    np.testing.assert_allclose(t.grad.numpy(), slope * counts[:, None], **tolerance)


# ---- rows by number
@pytest.mark.parametrize(("rows", "count"), [(20_000, 2048), (40, 2048), (1000, 1500), (1, 2048)])
def test_gradients_of_rows_add_up_in_the_order_they_were_taken(rows: int, count: int) -> None:
    index, g = RNG.integers(-rows, rows, count), normal(count, 16)
    table = w.zeros(rows, 16, requires_grad=True)
    table[w.tensor(index)].backward(w.tensor(g))
    expected = np.zeros((rows, 16), SINGLE)
    np.add.at(expected, index, g)
    if rows > 4 * count:
        np.testing.assert_array_equal(table.grad.numpy(), expected)
    np.testing.assert_allclose(table.grad.numpy(), expected, rtol=1e-5, atol=1e-5)


# ---- windows
@pytest.mark.parametrize("memory", [1, 1 << 14, 1 << 30])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation", "groups"), [
    ((17,), (4,), 1, 2, 1, 1), ((17,), (3,), 1, 0, 3, 2), ((9, 11), (3, 4), 1, 1, 1, 1), ((9, 11), (3, 2), 1, 2, 2, 4),
    ((9, 11), (3, 4), 2, 1, 1, 2), ((4, 5, 6), (2, 3, 2), 1, 1, 1, 2), ((4, 5, 6), (2, 1, 3), (1, 2, 1), 0, 1, 1),
])  # fmt: skip
def test_convolutions_of_some_images_at_a_time(
    monkeypatch: pytest.MonkeyPatch, memory: int, size: Any, kernel: Any, stride: Any, padding: int, dilation: int, groups: int
) -> None:
    from wengert_nn import kernels_windows

    monkeypatch.setattr(kernels_windows, "CACHE", memory)
    x, weight = RNG.standard_normal((5, 4, *size)), RNG.standard_normal((8, 4 // groups, *kernel))
    steps = (stride,) * len(size) if isinstance(stride, int) else stride

    def convolved(x: Any, weight: Any) -> Any:
        return getattr(F, f"conv{len(size)}d")(x, weight, None, stride, padding, dilation, groups)

    t, v = (w.tensor(a, requires_grad=True) for a in (x, weight))
    y = convolved(t, v)
    expected = np.zeros(tuple(y.shape))
    padded = np.pad(x, ((0, 0), (0, 0), *((padding, padding),) * len(size)))
    for place in np.ndindex(kernel):
        seen = [slice(a * dilation, a * dilation + (n - 1) * s + 1, s) for a, n, s in zip(place, y.shape[2:], steps, strict=True)]
        rows, columns = weight[(..., *place)].reshape(groups, 8 // groups, -1), padded[(..., *seen)].reshape(5, groups, 4 // groups, -1)
        expected += (rows @ columns).reshape(expected.shape)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-10, atol=1e-10)
    g = RNG.standard_normal(expected.shape)
    y.backward(w.tensor(g))
    dx, dw = (w.tensor(RNG.standard_normal(a.shape)) for a in (x, weight))
    with w.no_grad():
        for along, slope, moved in ((dx, t.grad, convolved(dx, v)), (dw, v.grad, convolved(t, dw))):
            np.testing.assert_allclose((along * slope).sum().item(), (g * moved.numpy()).sum(), rtol=1e-9)


def with_slopes(run: Any, *shapes: tuple[int, ...]) -> list[Any]:
    """Return what a function gives for rounded numbers (of which many are equal), its gradients, and theirs."""
    draw = np.random.default_rng(5)
    xs = [w.tensor(np.round(draw.standard_normal(shape) * 2), requires_grad=True) for shape in shapes]
    y = run(*xs)
    weights = w.tensor(draw.standard_normal(tuple(y.shape)))
    slopes = w.autograd.grad((y * weights).sum(), xs, create_graph=True)
    varying = [s for s in slopes if s.requires_grad]
    second = w.autograd.grad(sum((s**3).sum() for s in varying), xs, allow_unused=True) if varying else ()
    return [a.detach().numpy() for a in (y, *slopes, *[s for s in second if s is not None])]


@pytest.mark.parametrize("run", [
    *[lambda x, k=k, s=s, p=p, d=d: F.max_pool2d(x, k, s, p, d) for k, s, p, d in
      [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), ((2, 3), (1, 2), (1, 0), 2), (2, 3, 0, 1), (2, 5, 1, 3)]],
    *[lambda x, k=k, s=s, p=p: F.avg_pool2d(x, k, s, p) for k, s, p in [(2, 2, 0), (3, 1, 0), (3, 2, 1)]],
    *[lambda x, k=k, s=s, p=p: F.unfold(x, k, 1, p, s) for k, s, p in [(2, 2, 0), (3, 1, 0), (3, 2, 1)]],
    lambda x: F.max_pool2d(w.where(x > 2, float("nan"), x), 3, 2, 1), lambda x: F.max_pool2d(x - float("inf"), 3, 2, 1),
])  # fmt: skip
def test_windows_are_the_same_gathered_and_one_place_after_another(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    from wengert_nn import kernels_windows

    few = with_slopes(run, (2, 3, 7, 8))
    monkeypatch.setattr(kernels_windows, "FEW", 0)
    monkeypatch.setattr(kernels_windows, "chosen", lambda *args: None)
    for one, other in zip(few, with_slopes(run, (2, 3, 7, 8)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("run", [
    lambda x: F.interpolate(x, size=(12, 5), mode="bilinear"), lambda x: F.interpolate(x, size=(7, 16), mode="bicubic"),
    lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
])  # fmt: skip
def test_a_product_resamples_as_its_taps_do(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    from wengert_nn import kernels_taps

    far = w.zeros(1, 2, 7, 8)
    far[0, 0, 0, 0] = float("inf")
    few, spread = with_slopes(run, (2, 3, 7, 8)), run(far)
    assert spread[0, 1].isfinite().all() and spread[0, 0, -1].isfinite().all()  # 0 * inf is not asked for
    monkeypatch.setattr(kernels_taps, "FEW", 0)
    assert w.allclose(spread, run(far), equal_nan=True)
    for one, other in zip(few, with_slopes(run, (2, 3, 7, 8)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


# ---- a few elements
@pytest.mark.parametrize(("run", "weight"), [
    (lambda x, a, b: F.layer_norm(x, (6,), a, b), (6,)), (lambda x, a, b: F.layer_norm(x, (5, 6), a, b), (5, 6)),
    (lambda x, a, b: F.group_norm(x, 2, a, b), (4,)), (lambda x, a, b: F.batch_norm(x, None, None, a, b, True), (4,)),
])  # fmt: skip
def test_few_elements_are_normalised_as_many(monkeypatch: pytest.MonkeyPatch, run: Any, weight: tuple[int, ...]) -> None:
    from wengert_nn import kernels_norm

    few = with_slopes(run, (3, 4, 5, 6), weight, weight)
    monkeypatch.setattr(kernels_norm, "FEW", 0)
    for one, other in zip(few, with_slopes(run, (3, 4, 5, 6), weight, weight), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-8)


def test_repeated_and_turned_arrays_are_repeated_further() -> None:
    x = w.arange(12.0).reshape(3, 4)
    for seen in (x.t(), x[:, ::2], x[:, :1].expand(3, 4)[:, :1], x[0].expand(3, 4), x.t()[:, :1].expand(4, 3)):
        host = seen.numpy()
        np.testing.assert_array_equal(seen.expand(2, *seen.shape).numpy(), np.broadcast_to(host, (2, *host.shape)))
        np.testing.assert_array_equal(seen[:, None].expand(-1, 5, -1).numpy(), np.repeat(host[:, None], 5, 1))


def test_self_attention_is_attention_to_an_equal_sequence() -> None:
    layer = w.nn.MultiheadAttention(8, 2).double()
    x = w.tensor(RNG.standard_normal((5, 3, 8)))
    for single in (False, True):
        one = x[:, 0] if single else x
        for made, other in zip(layer(one, one, one), layer(one, one.clone(), one.clone()), strict=True):
            assert w.allclose(made, other, rtol=1e-12)


# ---- products
@pytest.mark.parametrize(("rows", "width", "out"), [(64, 784, 256), (65, 784, 256), (3, 300, 300), (1, 70_000, 2)])
def test_linear_with_few_rows_of_a_large_matrix(rows: int, width: int, out: int) -> None:
    x, weight, bias = normal(rows, width), normal(out, width), normal(out)
    made = F.linear(*map(w.tensor, (x, weight, bias)))
    assert made.is_contiguous()
    np.testing.assert_allclose(made.numpy(), x.astype(np.float64) @ weight.T + bias, rtol=1e-4, atol=2e-3)


def test_many_thin_products_by_transposed_matrices() -> None:
    x, y = normal(5, 6, 70, 32), normal(5, 6, 80, 32)
    made = w.tensor(x) @ w.tensor(y).swapaxes(-1, -2)
    np.testing.assert_allclose(made.numpy(), x.astype(np.float64) @ y.swapaxes(-1, -2), rtol=1e-4, atol=1e-4)
    one = w.tensor(y)[:1, :1].swapaxes(-1, -2)
    np.testing.assert_allclose((w.tensor(x) @ one).numpy(), x @ y[:1, :1].swapaxes(-1, -2), rtol=1e-4, atol=1e-4)


# ---- statistics
def test_moments_with_a_far_mean_in_one_block_only() -> None:
    x = normal(4000, 64)
    x[3000:] = x[3000:] * 1e-2 + 1e3
    y = F.layer_norm(w.tensor(x), (64,))
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y.numpy()[:3000], expected[:3000], rtol=0, atol=1e-5)
    np.testing.assert_allclose(y.numpy()[3000:], expected[3000:], rtol=0, atol=2e-2)  # the last digits of 1000


@pytest.mark.parametrize("name, size", [("layer_norm", (64,)), ("rms_norm", (64,)), ("group_norm", 8), ("instance_norm", None)])
def test_normalisation_of_few_samples_and_of_many(name: str, size: Any) -> None:
    """Samples do not know of each other: the first two of many are as two alone."""
    x, g = normal(1000, 64) if size == (64,) else normal(200, 64, 6), normal(64)
    args = () if size is None else (size,)

    def run(part: Any) -> tuple[Any, ...]:
        t, weight = w.tensor(part, requires_grad=True), w.tensor(g, requires_grad=True)
        y = getattr(F, name)(t, *args, weight=weight)
        (y[:2] ** 2).sum().backward()
        return y.detach()[:2].numpy(), t.grad[:2].numpy(), weight.grad.numpy()

    for many, few in zip(run(x), run(x[:2]), strict=True):
        np.testing.assert_allclose(many, few, rtol=1e-4, atol=1e-4)


# ---- order, of many elements
def many(kind: str, how: str) -> Any:
    """Return 100 rows of 90 numbers of a type: different ones, few ones, with nan and both zeros, or all that it holds."""
    x = RNG.standard_normal((100, 90)) * (2 if how == "few" else 1e6)
    if how == "wide" and kind[0] == "i":
        return RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, x.shape, kind, endpoint=True)
    x = np.round(x) if how == "few" else x
    if how == "odd" and kind[0] == "f":
        x[RNG.random(x.shape) < 0.1] = np.nan
        x[RNG.random(x.shape) < 0.1] = np.inf
        x[:, :9] = np.where(RNG.random((100, 9)) < 0.5, 0.0, -0.0)
    return x.astype(kind)


@pytest.mark.parametrize("how", ["apart", "few", "odd", "wide"])
@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i8"])
def test_many_elements_are_ordered_as_few(kind: str, how: str) -> None:
    x = many(kind, how)
    for array in (x, np.asfortranarray(x), x[::-1]):
        for axis in (0, 1):
            order = np.argsort(array, axis, kind="stable")
            t = w.from_numpy(array.copy("K"))
            values, places = t.sort(axis, stable=True)
            np.testing.assert_array_equal(places.numpy(), order)
            np.testing.assert_array_equal(values.numpy(), np.take_along_axis(array, order, axis))
            flipped = np.flip(array.shape[axis] - 1 - np.argsort(np.flip(array, axis), axis, kind="stable"), axis)
            np.testing.assert_array_equal(t.argsort(axis, descending=True).numpy(), flipped)
            at = np.take(order, [40], axis)
            for found in (t.kthvalue(41, axis, True), t.topk(5, axis, largest=False)):
                np.testing.assert_array_equal(np.take_along_axis(array, found[1].numpy(), axis), found[0].numpy())
            np.testing.assert_array_equal(t.kthvalue(41, axis, True)[0].numpy(), np.take_along_axis(array, at, axis))
            best = np.take(np.take_along_axis(array, flipped, axis), range(5), axis)
            np.testing.assert_array_equal(t.topk(5, axis)[0].numpy(), best)


@pytest.mark.parametrize("how", ["apart", "few", "odd"])
def test_running_extremes_of_many_rows(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    x = np.concatenate([many("f4", how).T] * 3, 1)
    monkeypatch.setattr("wengert_numpy.device.NumpyBackend.block", 1 << 30)
    whole = [[f(w.from_numpy(a), d) for f in (w.cummax, w.cummin) for d in (0, 1)] for a in (x, x.T)]
    monkeypatch.setattr("wengert_numpy.device.NumpyBackend.block", 1 << 8)
    parts = [[f(w.from_numpy(a), d) for f in (w.cummax, w.cummin) for d in (0, 1)] for a in (x, x.T)]
    for one, other in zip(sum(whole, []), sum(parts, []), strict=True):
        np.testing.assert_array_equal(one[0].numpy(), other[0].numpy())
        np.testing.assert_array_equal(one[1].numpy(), other[1].numpy())


@pytest.mark.parametrize("how", ["apart", "few"])
def test_quantiles_of_many_elements_and_where_they_come_from(how: str) -> None:
    t = w.from_numpy(many("f8", how)).requires_grad_()
    q = w.tensor([0.1, 0.5, 0.77], dtype=w.float64)
    for dim in (None, 0, 1):
        made = w.quantile(t, q, dim)
        np.testing.assert_allclose(made.detach().numpy(), np.quantile(t.detach().numpy(), q.numpy(), dim), rtol=1e-12)
        (slope,) = w.autograd.grad(made.sum(), t)
        ordered = (t.reshape(-1) if dim is None else t).sort(0 if dim is None else dim, stable=True)[0]
        (expected,) = w.autograd.grad(w.quantile(ordered, q, 0 if dim is None else dim).sum(), t)
        np.testing.assert_allclose(slope.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("edges", [np.linspace(0, 1, 12), np.linspace(0, 1, 12) ** 2], ids=["even", "uneven"])
def test_histograms_of_many_elements(edges: Any) -> None:
    x = np.round(RNG.random(100_000), 3)
    x[:2] = np.nan, 7.0
    for kind in (np.float32, np.float64):
        values, ends = x.astype(kind), edges.astype(kind)
        inside = values[values == values]
        np.testing.assert_array_equal(
            w.histogram(w.from_numpy(values), w.from_numpy(ends))[0].numpy(), np.histogram(inside, ends)[0]
        )


def test_out_that_lies_in_the_memory_of_an_input() -> None:
    x = normal(80_001)
    for f, expected in ((w.logaddexp, np.logaddexp), (w.add, np.add), (w.hypot, np.hypot)):
        for here, there in ((slice(0, -1), slice(1, None)), (slice(1, None), slice(0, -1)), (slice(1, None), slice(1, None))):
            t = w.from_numpy(x.copy())
            f(t[here], t[there], out=t[there])
            np.testing.assert_allclose(t[there].numpy(), expected(x[here], x[there]), rtol=1e-5, atol=1e-6)


# ---- divisions with a remainder
def operands(kind: Any) -> Any:
    """Pairs of many floats: any bits, multiples and what is next to them, equal sizes, zeros, and what is not finite."""
    bits = RNG.integers(0, np.iinfo(f"u{np.dtype(kind).itemsize}").max, (2, 20_000), f"u{np.dtype(kind).itemsize}").view(kind)
    y = np.exp(RNG.uniform(-9, 9, 20_000)).astype(kind) * RNG.choice([-1, 1], 20_000).astype(kind)
    whole = (RNG.integers(-3000, 3000, 20_000) * y).astype(kind)
    few = np.array([0, -0.0, 1, -1, 0.5, 3, -3, 1e30, -1e30, 1e-40, -1e-40, np.inf, -np.inf, np.nan], kind)
    every = [np.tile(a.reshape(-1), 40) for a in np.meshgrid(few, few)]
    return [
        tuple(bits), (normal(20_000, scale=50).astype(kind), y), (whole, y), (np.nextafter(whole, kind(np.inf)), y),
        (np.nextafter(whole, kind(-np.inf)), -y), (np.nextafter(y, kind(0)) * kind(0.75), y), tuple(every),
        (normal(100, 90).astype(kind), kind([0.7])), (normal(100, 90).astype(kind), y[:90]), (kind([[7]]), y.reshape(200, 100).T),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_remainders_of_many_floats_are_those_of_each(kind: Any) -> None:
    with np.errstate(all="ignore"):
        for x, y in operands(kind):
            left, rest = np.fmod(x, y), np.remainder(x, y)
            rest = np.where(rest == 0, np.copysign(rest, x), rest)  # PyTorch's zero
            for name, expected in (("fmod", left), ("remainder", rest), ("floor_divide", np.floor_divide(x, y))):
                made = getattr(w, name)(w.from_numpy(x), w.from_numpy(y)).numpy()
                np.testing.assert_array_equal(made, expected, name)
                known = ~np.isnan(expected)
                np.testing.assert_array_equal(np.signbit(made)[known], np.signbit(expected)[known], name)


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_remainders_of_many_floats_beside_none(name: str) -> None:
    assert getattr(w, name)(w.ones(5000, 1), w.ones(0)).shape == (5000, 0)
    assert getattr(w, name)(w.ones(0, dtype=w.float64), w.ones(5000, 1, dtype=w.float64)).shape == (5000, 0)


def test_remainders_in_the_memory_of_an_operand() -> None:
    x, y = normal(20_000, scale=9), normal(20_000)
    for t in (w.from_numpy(x.copy()), w.from_numpy(np.repeat(x, 2))[::2]):
        assert w.equal(t.clone().remainder_(w.from_numpy(y)), w.remainder(t, w.from_numpy(y)))
        expected = w.from_numpy(np.fmod(x, y))
        assert t.fmod_(w.from_numpy(y)) is t and w.equal(t, expected)


# ---- the derivatives of lgamma
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_polygamma_of_many(n: int) -> None:
    x = np.concatenate([np.exp(RNG.uniform(-8, 8, 2000)), RNG.uniform(-5, 0, 300), [0, -1, np.inf, np.nan, 1e300, 1e-300]])
    with np.errstate(all="ignore"):
        expected = special.polygamma(n, x)
        made = w.polygamma(n, w.from_numpy(x)).numpy()
        single = w.polygamma(n, w.from_numpy(x[:2000].astype(SINGLE))).numpy()
        near = special.polygamma(n, x[:2000].astype(SINGLE).astype(np.float64))
    np.testing.assert_allclose(made, expected, rtol=3e-15)
    np.testing.assert_allclose(single, near.astype(SINGLE), rtol=2e-7)


# ---- sums at indices of an inner dim
@pytest.mark.parametrize("shape, dim, count", [((50, 300), 1, 500), ((3, 70, 9, 11), 1, 200), ((2, 3, 4), 1, 9000), ((0, 5), 1, 3)])
def test_gradients_go_back_to_the_entries_of_an_inner_dim(shape: Any, dim: int, count: int) -> None:
    index = RNG.integers(0, shape[dim], count)
    g, expected = RNG.standard_normal((*shape[:dim], count, *shape[dim + 1 :])), np.zeros(shape)
    np.add.at(np.moveaxis(expected, dim, 0), index, np.moveaxis(g, dim, 0))
    x = w.zeros(shape, dtype=w.float64, requires_grad=True)
    x.index_select(dim, w.from_numpy(index)).backward(w.from_numpy(g))
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-12)
    more = w.ones(shape, dtype=w.float64).index_add(dim, w.from_numpy(index), w.from_numpy(g))
    np.testing.assert_allclose(more.numpy(), 1 + expected, rtol=1e-12, atol=1e-12)


# ---- products whose gradients are made of products of halves
@pytest.mark.parametrize("shape, dim", [((6001,), 0), ((90, 77), 1), ((77, 90), 0), ((4, 3), 1), ((5000, 1), 1)])
def test_gradients_of_products_of_many_with_zeros(shape: Any, dim: int) -> None:
    x = 1 + RNG.standard_normal(shape) * 0.2
    x.flat[2] = x.flat[-1] = 0
    g = RNG.standard_normal(shape)
    t = w.from_numpy(x).requires_grad_()
    lines = np.moveaxis(x, dim, -1)
    before = np.concatenate([np.ones_like(lines[..., :1]), np.cumprod(lines, -1)[..., :-1]], -1)
    after = np.concatenate([np.cumprod(lines[..., ::-1], -1)[..., -2::-1], np.ones_like(lines[..., :1])], -1)
    (made,) = w.autograd.grad(t.prod(dim).sum(), t)
    np.testing.assert_allclose(np.moveaxis(made.numpy(), dim, -1), before * after, rtol=1e-9, atol=1e-300)
    (made,) = w.autograd.grad(t.cumprod(dim), t, w.from_numpy(g))
    back = np.moveaxis(g, dim, -1).copy()
    for k in range(back.shape[-1] - 2, -1, -1):
        back[..., k] += lines[..., k + 1] * back[..., k + 1]
    np.testing.assert_allclose(np.moveaxis(made.numpy(), dim, -1), before * back, rtol=1e-9, atol=1e-12)


# ---- resampling by a matrix
def test_resampling_of_long_windows_and_of_what_is_not_finite() -> None:
    x = normal(2, 3, 5003)
    parts = [x[..., i * 5003 // 7 : -((i + 1) * 5003 // -7)].mean(-1, dtype=np.float64) for i in range(7)]
    np.testing.assert_allclose(F.adaptive_avg_pool1d(w.from_numpy(x), 7).numpy(), np.stack(parts, -1), rtol=1e-4, atol=1e-6)
    x[0, 0, 0] = np.inf
    made = F.adaptive_avg_pool1d(w.from_numpy(x), 7).numpy()
    assert np.isinf(made[0, 0, 0]) and np.isfinite(made).sum() == made.size - 1
    x = normal(1, 1, 5)
    x[0, 0, 1] = np.inf  # alone in its window, the third: what makes the windows equally long does not count
    np.testing.assert_array_equal(np.isinf(F.adaptive_avg_pool1d(w.from_numpy(x), 8).numpy()[0, 0]), [0, 1, 1, 1, 0, 0, 0, 0])


# ---- memory that is given
GIVEN = [
    ("matmul", (normal(30, 20), normal(20, 40)), ()),
    ("matmul", (normal(2, 3, 30, 20), normal(2, 3, 40, 20).swapaxes(2, 3)), ()),
    ("matmul", (normal(2, 70, 80), normal(2, 90, 80).swapaxes(1, 2)), ()),
    ("rows", (normal(4, 30, 20), normal(20, 40)), ()),
    ("mv", (normal(30, 20), normal(20)), ()),
    ("linear", (normal(4, 30, 20), normal(50, 20), normal(50)), ()),
    ("linear", (normal(32, 300), normal(256, 300), normal(256)), ()),  # few rows, a large weight
    ("softmax", (normal(40, 50),), ((1,),)),
    ("softmax", (normal(8, 100, 64),), ((2,),)),
    ("softmax_back", (normal(8, 100, 64), normal(8, 100, 64)), ((2,),)),
]


@pytest.mark.parametrize("name, inputs, params", GIVEN, ids=[f"{i}-{case[0]}" for i, case in enumerate(GIVEN)])
def test_kernels_write_to_memory_of_any_strides(name: str, inputs: Any, params: Any) -> None:
    getattr(F, name, None)  # records are loaded with the first function that is asked for
    kernel = OPS[name].kernels[np.ndarray]
    assert kernel.fills
    expected = kernel(*inputs, *params)
    shape = expected.shape
    for out in (aligned(shape, SINGLE), np.empty(shape[::-1], SINGLE).T, np.empty((*shape, 2), SINGLE)[..., 1]):
        out[...] = np.nan
        kernel(*inputs, *params, out=out)
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6 * max(1, np.abs(expected).max()))  # of sums of such terms


def test_log10_of_powers_of_ten_is_whole() -> None:
    x = w.tensor([10.0**k for k in range(-37, 38)])
    for made in (x.log10(), w.log10(x, out=w.empty(75)), x.clone().log10_()):
        assert made.dtype is w.float32 and made.tolist() == list(range(-37, 38))
