"""The CUDA device without a card: the backend's own code against a strict stand-in for CuPy, generated kernels run on the host.

Owns: the comparison with the NumPy device on the samples of every row, what a card does otherwise, and what `wengert.cuda` says.
May import: the rows, the stand-in (standin_cupy), the documents of test_seeds, wengert's public API. What it cannot prove is
that a card computes the same; tests/device/run_all does that on a machine with one.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import standin_cupy
import wengert as torch
from standin_cupy import kernels, module
from wengert.backend import backend_named
from wengert.op import OPS
from wengert.testing import DeviceSuite

pytestmark = pytest.mark.skipif(kernels.COMPILER is None, reason="generated kernels are run on the host by g++, which is not installed")

HERE = "cuda"
MISSING = {
    "pow of bools is refused before a kernel is looked for": "power-bool",
    "CuPy has no such factorization": "ldl_factor ldl_solve",
    "CuPy has no such special function": (
        "airy_ai airy_ai_slope chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w "
        "hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p"
    ),
}
GAPS = {name: reason for reason, names in MISSING.items() for name in names.split()}


@pytest.fixture(scope="module", autouse=True)
def standin() -> Iterator[None]:
    with standin_cupy.installed():
        yield


class TestCuda(DeviceSuite):
    """What every device must pass, in CuPy's terms."""

    device = HERE
    gaps = GAPS
    needs = ("cupy",)


@pytest.fixture
def generated() -> Iterator[Any]:
    """Generated kernels also for small arrays that CuPy has a function for."""
    owner = backend_named(HERE)
    was, owner.generated.large = owner.generated.large, 0
    for op in OPS.values():
        op.kernels.pop(module.ndarray, None)
    yield owner
    owner.generated.large = was
    for op in OPS.values():
        op.kernels.pop(module.ndarray, None)


def there(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(array)).to(HERE)


def back(x: Any) -> np.ndarray:
    assert x.device.type == HERE
    return x.detach().cpu().numpy()


def test_the_standin_takes_no_keyword_that_cupy_has_not() -> None:
    """Of what it has of its own; names and keywords of the rest come from facts.json as they are."""
    looked = 0
    own_methods = {f"ndarray.{n}": f for n, f in vars(module.ndarray).items() if inspect.isfunction(f)}
    facts = {**module.FACTS["functions"], **{f"ndarray.{n}": ["self", *p] for n, p in module.FACTS["methods"].items() if isinstance(p, list)}}
    for path, found in [*((path, vars(m)) for path, m in module.modules(1).items()), ("", own_methods)]:
        for name, value in found.items():
            known = facts.get(f"{path}.{name}".lstrip("."))
            if known is not None and not {"*args", "*index", "*shape", "*axes"} & {*known} and getattr(value, "__module__", "") == "standin_cupy.module":
                own = [p.name for p in inspect.signature(value).parameters.values() if p.kind is not p.VAR_KEYWORD]
                assert set(own[1:]) <= {k.lstrip("*") for k in known}, (path, name, own, known)
                looked += 1
    assert looked > 15


BAD = {
    "misaligned address": "*(w_pack<float, 4> *)(o_ + 1) = *(w_pack<float, 4> *)o_;",
    "outside of an array was written": "o_[n] = 1;",
    "registers or of shared memory": "float kept[8]; o_[0] = kept[n];",
}  # fmt: skip


@pytest.mark.parametrize("words", BAD)
def test_the_standin_stops_at_what_a_card_stops_at(words: str) -> None:
    from wengert_codegen.cuda import PREAMBLE

    cupy = backend_named(HERE).cupy
    text = f'{PREAMBLE}extern "C" __global__ void k_bad(float * o_, long long n) {{ {BAD[words]} }}'
    with pytest.raises(RuntimeError, match=words):
        cupy.RawModule(code=text).get_function("k_bad")((1,), (1,), (cupy.empty(8, np.float32), np.int64(8)))


# ---- generated kernels
PLAIN = ["add", "subtract", "multiply", "divide", "exp", "log", "sqrt", "tanh", "sin", "cos", "negative", "maximum", "minimum", "less", "equal"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", PLAIN)
def test_generated_kernels_of_what_cupy_has_too(generated: Any, name: str, dtype: str) -> None:
    """In order and by packs, with a rest; a row beside a matrix; every other element; beside a number."""
    rng = np.random.default_rng(0)
    arrays = [(rng.random((37, 29)) + 0.5).astype(dtype) for _ in OPS[name].inputs]
    layouts = [arrays, [arrays[0], *[a[:1] for a in arrays[1:]]], [a[::2, ::3] for a in arrays], [arrays[0].T, *[a.T for a in arrays[1:]]]]
    for given in layouts:
        kernels.launches.clear()
        actual = OPS[name](*[there(a) if a.flags.c_contiguous else there(a.T).t() if a.flags.f_contiguous else there(arrays[0])[::2, ::3] if a.base is arrays[0]
                             else there(arrays[1])[::2, ::3] for a in given])
        assert kernels.launches == [f"k_{name}"]
        expected = OPS[name](*[torch.from_numpy(np.ascontiguousarray(a)) for a in given]).numpy()
        np.testing.assert_allclose(back(actual), expected, 2e-3 if dtype == "float16" else 1e-6)
    assert back(there(arrays[0]) * 2).tolist() == (arrays[0] * arrays[0].dtype.type(2)).tolist()


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [*[("float32", shape) for shape in [(3, 8), (5, 7), (2, 300), (2, 1024), (3, 5000), (1, 70000), (70, 3), (2, 33, 5)]],
     *[(dtype, shape) for dtype in ("float16", "float64", "bfloat16") for shape in [(3, 8), (2, 300), (3, 33)]]],
)
def test_reductions_and_rows_of_any_size(dtype: str, shape: tuple[int, ...]) -> None:
    """Rows of a warp, of a block, in registers or not, of whole packs or not; columns; few long rows that blocks share."""
    pytest.importorskip("ml_dtypes")
    kind = getattr(torch, dtype)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x, wide = torch.from_numpy(values).to(kind).to(HERE), torch.from_numpy(values).to(kind).double()
    step = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 2e-5, "float64": 1e-12 if dtype == "float64" else 0}[dtype]
    for dim in range(len(shape)) if math.prod(shape) < 1000 else [len(shape) - 1]:
        for name in ("sum", "mean", "amax", "amin", "std", "softmax", "log_softmax", "logsumexp"):
            if name == "std" and shape[dim] < 2:
                continue
            expected = getattr(wide, name)(dim).numpy()
            actual = getattr(x, name)(dim)
            assert actual.dtype == kind
            np.testing.assert_allclose(actual.double().cpu().numpy(), expected, step, step * np.abs(expected).max(), err_msg=f"{name} {dim}")
    np.testing.assert_allclose(x.sum().double().item(), wide.sum().item(), step, step * np.abs(values).sum())


def test_every_float16_comes_back_as_it_went() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = bits[~np.isnan(bits)]
    np.testing.assert_array_equal(back(there(numbers).sigmoid().float().half()), back(there(numbers).sigmoid()))


FUSED = {
    "elementwise": (lambda t, x: ((x * 1.5 + 1).tanh() * x).exp(), ["k_group"]),
    "softmax": (lambda t, x: (x - x.amax(1, keepdim=True)).exp() / (x - x.amax(1, keepdim=True)).exp().sum(1, keepdim=True), ["k_rows"]),
    "layer norm": (lambda t, x: (x - x.mean(1, keepdim=True)) / ((x - x.mean(1, keepdim=True)).square().mean(1, keepdim=True) + 1e-5).sqrt(), ["k_rows"]),
    "a row and a column": (lambda t, x: ((x * x[0] + x[:, :1]).sigmoid() * 2).sum(1), ["k_rows"]),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(6, 300), (5, 7), (3, 5000), (2, 20000)])
@pytest.mark.parametrize("name", FUSED)
def test_a_compiled_group_is_one_kernel(name: str, shape: tuple[int, ...]) -> None:
    function, expected = FUSED[name]
    host = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x = there(host)
    compiled = torch.compile(lambda a: function(torch, a))
    compiled(x)
    compiled(x)
    kernels.launches.clear()
    actual = compiled(x)
    assert kernels.launches == expected
    np.testing.assert_allclose(back(actual), function(torch, torch.from_numpy(host)).numpy(), 2e-5, 2e-5)


# ---- what a card does otherwise
def test_an_index_out_of_range_is_told_when_the_host_asks() -> None:
    x = there(np.arange(12.0).reshape(3, 4))
    for wrong in (lambda: x[there([5])], lambda: x.gather(0, there([[-1, 0, 0, 0]])), lambda: torch.nn.functional.embedding(there([3]), x)):
        with pytest.raises(IndexError, match="out of range"):
            wrong().cpu()
    with pytest.raises(IndexError, match="cross_entropy"):
        torch.nn.functional.cross_entropy(x, there([0, 9, 1])).item()
    assert torch.nn.functional.cross_entropy(x, there([0, -100, 1])).item() > 0
    with pytest.raises(IndexError, match="gather"):
        x.gather(0, there([[7, 0, 0, 0]]))
        torch.cuda.synchronize()
    np.testing.assert_array_equal(back(x[there([-1, 0])]), [[8, 9, 10, 11], [0, 1, 2, 3]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "int32", "int8", "complex64"])
def test_sums_at_indices_in_every_type_and_in_one_order(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(500, 3)) * 9).astype(dtype)
    index = rng.integers(0, 7, 500)
    expected = np.zeros((7, 3), np.result_type(dtype, np.float64 if np.dtype(dtype).kind in "f" else dtype))
    np.add.at(expected, index, values)
    step = 2e-2 if dtype == "float16" else 1e-4
    for on in (False, True):
        torch.use_deterministic_algorithms(on)
        try:
            actual = torch.zeros(7, 3, dtype=there(values).dtype, device=HERE).index_add(0, there(index), there(values))
        finally:
            torch.use_deterministic_algorithms(False)
        np.testing.assert_allclose(back(actual), expected.astype(dtype), step, step)


@pytest.mark.parametrize("width", [1, 4, 9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_sums_at_indices_wait_for_nothing_and_can_be_ordered(dtype: str, width: int) -> None:
    """The stand-in's atomic operations happen in an order that changes."""
    rng = np.random.default_rng(0)
    values, index = there((rng.normal(size=(20000, width)) * 9).astype(dtype)), there(rng.integers(0, 50, 20000))

    def run() -> torch.Tensor:
        return torch.zeros(50, width, dtype=values.dtype, device=HERE).index_add(0, index, values)

    expected = np.zeros((50, width))
    np.add.at(expected, back(index), back(values).astype(float))
    module.waits.clear()
    made = [run() for _ in range(3)]
    assert module.waits == []
    assert not all(torch.equal(made[0], m) for m in made)
    np.testing.assert_allclose(back(made[0]), expected, 1e-3, 1e-2)
    torch.use_deterministic_algorithms(True)
    try:
        made = [run() for _ in range(3)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(made[0], m) for m in made)
    np.testing.assert_allclose(back(made[0]), expected, 1e-3, 1e-2)


@pytest.mark.parametrize("name", ["amax", "amin"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "int32", "int8"])
def test_extremes_at_indices_keep_nan_and_all_digits(name: str, dtype: str) -> None:
    """CuPy's take float64 for float32, and pass over nan."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=60) * 50).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[7], values[8:12] = np.nan, (np.inf, -np.inf, 0.0, -0.0)
    index, start = rng.integers(0, 7, 60), (rng.normal(size=7) * 50).astype(dtype)
    expected = torch.from_numpy(start).scatter_reduce(0, torch.from_numpy(index), torch.from_numpy(values), name)
    actual = there(start).scatter_reduce(0, there(index), there(values), name)
    np.testing.assert_array_equal(back(actual), expected.numpy())


def test_powers_of_integers_are_integers() -> None:
    """By products: CUDA has no pow of integers, and that of doubles loses digits."""
    x = there(np.array([3, -2, 1, 0]))
    assert (x**39).tolist() == [3**39, -(2**39), 1, 0] and (x.int() ** 3).tolist() == [27, -8, 1, 0]
    compiled = torch.compile(lambda a: a**39 + a)
    assert [compiled(x).tolist() for _ in range(3)][-1] == [3**39 + 3, -(2**39) - 2, 2, 0]


def test_places_beyond_32_bits() -> None:
    """A thread steps over the end of its loop before it looks: the last place plus a step has to fit too."""
    from wengert_codegen.cuda import Input, Step
    from wengert_cupy.kernels import Plan, known

    owner, texts = backend_named(HERE), []
    was, owner.generated.get = owner.generated.get, lambda source, name: texts.append(source)
    try:
        for rows in (1000, 2**17, 2**18):
            cupy, c, shape = owner.cupy, known(np.dtype(np.float32)), (rows, 2**13 - 1)
            x, made = cupy.broadcast_to(cupy.zeros((rows, 1), np.float32), shape), cupy.broadcast_to(cupy.zeros((1, 2**13 - 1), np.float32), shape)
            step = Step("r", "x", c, (("x", "v0", c, False),), (), c)
            owner.generated.lay_out(Plan(shape, x.dtype, (), None), "k_test", [("v0", x, c)], [step], [("r", x.dtype)], (), [made])
        small = np.int64(2**31 - 2**13)
        x = cupy.broadcast_to(cupy.zeros((1, 1), np.float32), (2**18 - 1, 2**13))[:, ::-1]
        assert x.size == small
        made = cupy.broadcast_to(cupy.zeros((1, 2**13), np.float32), x.shape)
        owner.generated.lay_out(Plan(x.shape, x.dtype, (), None), "k_test", [("v0", x, c)], [step], [("r", x.dtype)], (), [made])
    finally:
        owner.generated.get = was
    assert ["long long i = first" in t for t in texts] == [False, False, True, True]
    assert Input("x", c) is not None


def test_random_numbers_are_made_on_the_card() -> None:
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(3)
        module.waits.clear()
        here = [torch.rand(n, dtype=dtype, device=HERE) for n in (1, 7, 3000)]
        assert module.waits == []
        torch.manual_seed(3)
        assert [x.tolist() for x in here] == [torch.rand(n, dtype=dtype).tolist() for n in (1, 7, 3000)]


def test_nothing_waits_in_a_training_step() -> None:
    """A forward, a backward and an optimizer's step bring nothing to the host, so that the card is never waited for."""
    rng = np.random.default_rng(0)
    x, y = there(rng.normal(size=(16, 8)).astype(np.float32)), there(rng.integers(0, 3, 16))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.GELU(), torch.nn.Linear(16, 3)).to(HERE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step()
    module.waits.clear()
    step()
    assert module.waits == []


def test_a_graph_does_again_what_was_captured() -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 1))

    def training() -> tuple[Any, Any]:
        w = there(start).requires_grad_()
        x, y = there(rng.normal(size=(4, 5))), there(np.ones((4, 1)))
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)

        def step() -> Any:
            loss = ((torch.tanh(x @ w) - y) ** 2).mean()
            w.grad = None
            loss.backward()
            optimizer.step()
            return loss

        return step, (x, w)

    rng = np.random.default_rng(1)
    step, (x, w) = training()
    step()
    captured = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="nothing was captured"):
        captured.replay()
    before = back(w).copy()
    with torch.cuda.graph(captured):
        loss = step()
    rng = np.random.default_rng(1)
    plain, (other, v) = training()
    np.testing.assert_array_equal(back(w), before)  # what is captured is not run
    plain()
    new = rng.normal(size=(4, 5))
    for _ in range(3):
        x.copy_(there(new))
        other.copy_(there(new))
        captured.replay()
        expected = plain()
        np.testing.assert_allclose(back(w), back(v), 1e-12)  # products are added up in another order, as cuBLAS cannot be captured
        np.testing.assert_allclose(back(loss), back(expected), 1e-12)
    with pytest.raises(RuntimeError, match="while a stream is being captured"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        loss.item()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_training_step_replayed_is_a_training_step(name: str) -> None:
    """With what a step has: products, a table, dropout, normalisation, a loss by classes, an optimizer that counts; new inputs."""
    rng = np.random.default_rng(0)
    words, classes = rng.integers(0, 11, (4, 16)), rng.integers(0, 3, (4, 16))

    def training() -> tuple[Any, ...]:
        torch.manual_seed(0)
        nn = torch.nn
        model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 16), nn.LayerNorm(16), nn.Dropout(0.3), nn.GELU(), nn.Linear(16, 3)).to(HERE)
        options = {"capturable": True} if name != "SGD" else {"momentum": 0.9}
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.01, **options)
        x, y = there(words[0]), there(classes[0])

        def step() -> Any:
            optimizer.zero_grad(set_to_none=False)
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        for _ in range(2):
            step()
        return step, model, x, y

    step, model, x, y = training()
    state = torch.get_rng_state()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn yet
    losses = []
    for i in range(1, 4):
        x.copy_(there(words[i])), y.copy_(there(classes[i]))
        graph.replay()
        losses.append(loss.item())
    plain, other, x, y = training()
    for i in range(1, 4):
        x.copy_(there(words[i])), y.copy_(there(classes[i]))
        np.testing.assert_allclose(plain().item(), losses[i - 1], 1e-5)
    for p, q in zip(model.parameters(), other.parameters()):
        np.testing.assert_allclose(back(p), back(q), 1e-5, 1e-6)
    assert torch.rand(1).item() != 0
    x = there(np.array([3]))
    with torch.cuda.graph(graph):
        row = torch.nn.functional.embedding(x, model[0].weight)
    torch.cuda.synchronize()  # there was nothing to look at yet
    graph.replay()
    np.testing.assert_array_equal(back(row), back(model[0].weight)[[3]])
    x.copy_(there(np.array([11])))
    graph.replay()
    with pytest.raises(IndexError, match="embedding"):
        row.cpu()


class Block(torch.nn.Module):
    """A transformer's, with causal attention."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])
        self.qkv, self.out, self.wide = nn.Linear(8, 24), nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8), nn.Dropout(0.1))

    def forward(self, x: Any) -> Any:
        shape = x.shape
        q, k, v = (t.view(*shape[:2], 2, 4).transpose(1, 2) for t in self.qkv(self.norms[0](x)).split(8, 2))
        seen = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).contiguous().view(shape))
        return x + self.wide(self.norms[1](x))


def models() -> dict[str, Any]:
    nn = torch.nn
    return {
        "transformer": (lambda: nn.Sequential(Block(), nn.Flatten(), nn.Linear(48, 3)), (2, 6, 8), torch.float32),
        "convolutions": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
                                               nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3)), (2, 1, 10, 10), torch.float32),
        "mixed precision": (lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), (2, 8), torch.bfloat16),
        "masked attention": (lambda: nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True), nn.Flatten(), nn.Linear(48, 3)), (2, 6, 8), torch.float32),
    }  # fmt: skip


@pytest.mark.parametrize("name", models())
def test_a_model_waits_for_nothing_and_can_be_captured(name: str) -> None:
    pytest.importorskip("ml_dtypes")
    make, shape, kind = models()[name]

    def training() -> Any:
        torch.manual_seed(0)
        model = make().to(HERE)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        x, y = torch.randn(shape).to(HERE), there(np.array([0, 2]))

        def step() -> Any:
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=kind is torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(model(x).float(), y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss

        step(), step()
        return step

    step, graph = training(), torch.cuda.CUDAGraph()
    module.waits.clear()
    step()
    assert module.waits == []
    with torch.cuda.graph(graph):
        loss = step()
    made = [(graph.replay(), loss.item())[1] for _ in range(3)]
    plain = training()
    plain()
    np.testing.assert_allclose(made, [plain().item() for _ in range(3)], 1e-4 if kind is torch.float32 else 3e-2)


def test_a_causal_mask_too_large_to_be_kept_is_made_on_the_card() -> None:
    rng = np.random.default_rng(0)
    q, k = (rng.normal(size=(1, 600, 4)) for _ in range(2))
    attention = torch.nn.functional.scaled_dot_product_attention
    attention(there(q), there(k), there(k), is_causal=True)
    q, k, on = there(q), there(k), [torch.from_numpy(a) for a in (q, k)]
    module.waits.clear()
    made = attention(q, k, k, is_causal=True)
    assert module.waits == []
    np.testing.assert_allclose(back(made), attention(on[0], on[1], on[1], is_causal=True).numpy(), 1e-10, 1e-12)


LAYOUTS = {
    "squares": ((33, 17), (17, 70)), "turned": ((17, 33), (70, 17)), "thin": ((1, 40), (40, 1)), "many": ((5, 3, 4), (5, 4, 6)),
    "one beside many": ((2, 3, 5, 4), (4, 6)), "many beside many": ((2, 1, 5, 4), (1, 3, 4, 6)), "a vector": ((9,), (2, 9, 4)),
    "by a vector": ((2, 3, 9), (9,)), "vectors": ((9,), (9,)), "nothing to add": ((3, 0), (0, 2)), "large": ((140, 33), (33, 150)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_while_a_stream_is_captured(layout: str, dtype: str) -> None:
    pytest.importorskip("ml_dtypes")
    if layout == "large" and dtype not in ("float32", "complex128"):
        pytest.skip("as float32")
    rng = np.random.default_rng(0)

    def drawn(shape: tuple[int, ...]) -> torch.Tensor:
        parts = rng.normal(size=shape) + (1j * rng.normal(size=shape) if "complex" in dtype else 0)
        return torch.from_numpy(np.asarray(parts)).to(getattr(torch, dtype))

    x, y = (drawn(shape) for shape in LAYOUTS[layout])
    here = [a.to(HERE) for a in (x, y)]
    if layout == "turned":
        x, y, here = x.t(), y.t(), [a.t() for a in here]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = here[0] @ here[1]
    kernels.launches.clear()
    graph.replay()
    assert (kernels.launches == ["k_product"]) == (layout != "nothing to add")
    wide = torch.complex128 if "complex" in dtype else torch.float64
    step = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "complex64": 1e-5}.get(dtype, 1e-12)
    assert made.dtype == x.dtype
    np.testing.assert_allclose(made.to(wide).cpu().numpy(), (x.to(wide) @ y.to(wide)).numpy(), step, step * 8)


def test_what_a_capture_takes_and_what_it_refuses() -> None:
    xs, x = [there(np.full(2, float(i))) for i in range(20)], there(np.eye(3))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made, drawn = torch.cat(xs), torch.rand(5, device=HERE)
    torch.manual_seed(4)
    graph.replay()
    first = drawn.tolist()
    graph.replay()
    assert back(made).tolist() == np.repeat(np.arange(20.0), 2).tolist()
    torch.manual_seed(4)
    assert first == torch.rand(5).tolist() and torch.rand(8)[:5].tolist() == drawn.tolist()
    for wrong, words in ((lambda: x.inverse(), "cuSOLVER"), (lambda: x.sum().item(), "while a stream is being captured"),
                         (torch.cuda.synchronize, "synchronize while a stream"), (lambda: torch.rand(2, device=HERE, generator=torch.Generator()), "another generator")):
        with pytest.raises((RuntimeError, NotImplementedError), match=words), torch.cuda.graph(graph):
            wrong()
    with pytest.raises(RuntimeError, match="already"), torch.cuda.graph(graph), torch.cuda.graph(torch.cuda.CUDAGraph()):
        pass
    assert (x + x).sum().item() == 6  # nothing is captured any longer


def test_a_graphed_function() -> None:
    x = there(np.arange(6.0))
    run = torch.cuda.make_graphed_callables(lambda a: (a * 2).exp().sum(), (x,))
    for scale in (0.1, 0.2):
        np.testing.assert_allclose(back(run(x * scale)), np.exp(np.arange(6.0) * scale * 2).sum())


# ---- wengert.cuda
def test_the_namespace_asks_the_card() -> None:
    cuda = torch.cuda
    assert cuda.is_available() and cuda.device_count() == 1 and cuda.is_initialized() and cuda.is_bf16_supported()
    assert cuda.get_device_name() == "Stand-in" and cuda.get_device_capability("cuda:0") == (9, 0)
    assert cuda.get_device_properties(0).multi_processor_count == 4 and "total_memory" in repr(cuda.get_device_properties(0))
    assert cuda.memory_allocated() == 12 << 20 and cuda.memory_reserved() == 16 << 20 and cuda.max_memory_allocated() == 12 << 20
    assert cuda.mem_get_info() == (1 << 33, 1 << 34)
    cuda.reset_peak_memory_stats()
    cuda.empty_cache()
    cuda.set_device(0)
    with pytest.raises(RuntimeError, match="ordinal"):
        cuda.set_device(3)
    with pytest.raises(RuntimeError, match="cuda:3"):
        torch.ones(1, device="cuda:3")
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    side = cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        start.record()
        x = torch.ones(3).cuda() + 1
        end.record()
        assert cuda.current_stream().cuda_stream == side.cuda_stream != cuda.default_stream().cuda_stream
    assert start.elapsed_time(end) >= 0 and side.query() and x.device == torch.device("cuda:0")
    assert cuda.FloatTensor([1.0, 2.0]).is_cuda and x.type() == "torch.cuda.FloatTensor"
    with cuda.device(0), cuda.device_of(x), cuda.nvtx.range("part"):
        assert cuda.current_device() == 0
    assert cuda.get_arch_list() == ["sm_90"] and not cuda.is_current_stream_capturing() and not cuda.can_device_access_peer(0, 0)
    outside = cuda.ExternalStream(side.cuda_stream)
    assert outside == side and cuda.stream(outside) is outside
    cuda.set_per_process_memory_fraction(0.5)
    graph = cuda.CUDAGraph()
    with cuda.stream(side):
        graph.capture_begin()
        assert cuda.is_current_stream_capturing()
        y = x * 2
        graph.capture_end()
    graph.replay()
    assert y.tolist() == [4, 4, 4] and graph.pool() != cuda.CUDAGraph().pool()
    cuda.manual_seed_all(3)
    a = torch.randn(3, device=HERE)
    torch.manual_seed(3)
    assert a.tolist() == torch.randn(3).tolist()
    assert torch.backends.cuda is not None and cuda.amp.autocast is not None
    assert torch.accelerator.current_accelerator().type == "cuda"


def test_a_lack_of_memory_is_what_programs_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
    x = there(np.ones(3))

    def empty(*args: Any, **kwargs: Any) -> Any:
        raise cupy.cuda.memory.OutOfMemoryError("out of memory")

    owner = backend_named(HERE)
    monkeypatch.setattr(owner.cupy, "empty", empty)
    for work in (lambda: torch.ones(3, device=HERE), lambda: x.sum(), lambda: x.cpu().to(HERE)):
        with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
            work()


def test_memory_is_shared_with_other_libraries() -> None:
    import cupy  # the stand-in

    class Only:
        """What has DLPack alone."""

        def __init__(self, array: Any) -> None:
            self.array = array

        def __dlpack__(self, *, stream: Any = None, **asked: Any) -> Any:
            return self.array.__dlpack__(stream=stream)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.array.__dlpack_device__()

    theirs = cupy.asarray(np.arange(6.0)).reshape(2, 3)
    shared = [torch.from_dlpack(theirs), torch.from_dlpack(Only(theirs)), torch.as_tensor(Only(theirs)), torch.asarray(theirs), torch.from_dlpack(torch.from_dlpack(theirs))]
    assert all(x.device.type == HERE and x.data_ptr() == theirs.data.ptr for x in shared)
    copied = torch.tensor(theirs)
    assert copied.device.type == HERE and copied.data_ptr() != theirs.data.ptr and copied.tolist() == theirs.get().tolist()
    ours = torch.as_tensor(theirs)
    ours[0, 0] = 7
    assert theirs.get()[0, 0] == 7 and ours.device.type == HERE
    again = cupy.asarray(ours.t())
    again[2, 1] = -1
    assert back(ours).tolist() == [[7, 1, 2], [3, 4, -1]]
    assert ours.__dlpack_device__() == (2, 0) and ours.__cuda_array_interface__["shape"] == (2, 3)
    assert not hasattr(torch.ones(2), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires grad"):
        ours.requires_grad_().__cuda_array_interface__  # noqa: B018


def test_float32_products_in_tf32_on_request() -> None:
    x = there(np.ones((2, 2), np.float32))
    module.compute_types.clear()
    x @ x
    assert not module.compute_types  # CuPy's own choice, which is none unless CUPY_TF32 is set
    for precision, kind in (("high", 7), ("medium", 7), ("highest", 1)):
        torch.set_float32_matmul_precision(precision)
        try:
            x @ x
        finally:
            torch.set_float32_matmul_precision("highest")
        assert module.compute_types == {"f": kind}
    x @ x
    assert module.compute_types == {"f": 1}


def test_two_cards() -> None:
    with standin_cupy.installed(2):
        x = torch.arange(6.0, device="cuda:1").reshape(2, 3)
        y = x * 2 + x.sum(1, keepdim=True)
        assert y.device == torch.device("cuda:1") and y.tolist() == [[3, 5, 7], [18, 20, 22]]
        assert y.softmax(1).device.index == 1 and y.to("cuda:0").device.index == 0 and (y @ y.t()).device.index == 1
        with pytest.raises(RuntimeError, match="same device"):
            y + x.to("cuda:0")
        torch.cuda.set_device(1)
        assert torch.cuda.current_device() == 1 and torch.ones(1, device="cuda").device.index == 1 and torch.ones(1).cuda().device.index == 1
        torch.cuda.set_device(0)
        with torch.cuda.device(1):
            assert torch.ones(1, device="cuda").device.index == 1
        assert torch.ones(1, device="cuda").device.index == 0
        for wrong in (lambda: y @ x.to("cuda:0").t(), lambda: torch.cat([y, x.to("cuda:0")]), lambda: y.index_select(0, torch.zeros(1, dtype=torch.int64, device="cuda:0"))):
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        z = x.detach().requires_grad_()
        (z.to("cuda:0") ** 2).sum().backward()
        assert z.grad.device.index == 1 and z.grad.tolist() == (2 * x).tolist()
        side = torch.cuda.Stream(device="cuda:1")
        with torch.cuda.stream(side):
            assert torch.cuda.current_device() == 1 and torch.cuda.current_stream() == side != torch.cuda.current_stream("cuda:0")
            assert (x + 1).sum().item() == 21
        assert torch.cuda.current_device() == 0 and torch.cuda.current_stream(1) != side and side.device == torch.device("cuda:1")
        with torch.cuda.device(1):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                w = x @ y.t()
            graph.replay()
        assert w.device.index == 1 and w.tolist() == (x @ y.t()).tolist()
        with pytest.raises(IndexError, match="cuda:1"):
            x[torch.tensor([5], device="cuda:1")].cpu()
        assert torch.rand(2, device="cuda:1").device.index == 1


def test_a_report_says_what_was_aimed_at_and_what_was_not_measured() -> None:
    path = Path(__file__).parent / "device" / "run_all"
    loader = importlib.machinery.SourceFileLoader("run_all", str(path))
    script = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_all", loader))
    loader.exec_module(script)
    results = {
        "eager exp": {"wengert us": 2.0, "torch us": 1.0, "ratio": 2.0}, "eager log": {"ratio": 0.5}, "eager sin": {"error": "x"},
        "bandwidth softmax": {"share": 0.9}, "bandwidth layer_norm": {"share": 0.8}, "matmul 512 float32": {"ratio": 1.01},
        "training step": {"graph beside torch": 0.4},
    }  # fmt: skip
    assert [text.split()[0] for text in script.figures(results).values()] == ["1.0", "0.8", "1.01", "0.4"]
    assert set(script.figures({}).values()) == {"not measured here"}
    report = {"standin": True, "environment": {"device": "none"}, "conformance": {}, "benchmarks": results, "figures": script.figures(results)}
    assert "nothing here says anything about a card" in script.written(report) and "1.01 (at most 1.02 was aimed at)" in script.written(report)


# ---- what is said where something is missing
ABSENT = {
    "no CuPy": ("probe.importlib.util.find_spec = lambda name: None", "CuPy is not installed"),
    "no driver": ("probe.driver_version = lambda: None\nprobe.importlib.util.find_spec = lambda name: True", "no NVIDIA driver"),
    "CuPy is broken": ("probe.driver_version = lambda: 12040\nprobe.importlib.util.find_spec = lambda name: True\nsys.modules['cupy'] = None", "does not load.*cuda12"),
    "an old driver": (
        "import types\nprobe.driver_version = lambda: 13010\nprobe.importlib.util.find_spec = lambda name: True\n"
        "class Old(RuntimeError): status = 35\ndef raises(): raise Old('x')\n"
        "sys.modules['cupy'] = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=raises)))",
        "CUDA 13.1.*is older",
    ),
    "no toolkit": (
        "import types\nprobe.driver_version = lambda: 13000\nprobe.importlib.util.find_spec = lambda name: True\n"
        "sys.modules['cupy'] = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 1)))\n"
        "sys.modules['cupy_backends'] = None",
        r"no CUDA toolkit.*wengert\[cuda13\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("missing", ABSENT)
def test_what_is_missing_is_said_and_nothing_else_breaks(missing: str) -> None:
    code, words = ABSENT[missing]
    program = f"""
import sys
from wengert_cupy import probe
{code}
import wengert as torch
from wengert.__main__ import main
assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
main(["devices"])
try:
    torch.ones(1, device="cuda")
except RuntimeError as error:
    print("RAISED", error)
print(torch.ones(2).sum().item())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.search(words, next(line for line in lines if line.split()[:1] == ["cuda"])) and re.search(words, next(line for line in lines if line.startswith("RAISED")))
    assert lines[-1] == "2.0"


def test_asking_costs_nothing() -> None:
    """Neither importing wengert nor asking for CUDA without a driver loads CuPy; it is looked for once."""
    code = (
        "import sys, wengert; from wengert_cupy import probe; asked = []; probe.driver_version = lambda: asked.append(1); "
        "[wengert.cuda.is_available() for _ in range(9)]; print('cupy' in sys.modules, len(asked))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1"]
