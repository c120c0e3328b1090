"""The CUDA device without a card: the backend's own code against a strict stand-in for CuPy, generated kernels run on the host.

Owns: the comparison with the NumPy device on the samples of every row, what a card does otherwise, and what `wengert.cuda` says.
May import: the rows, the stand-in (standin_cupy), the documents of test_seeds, wengert's public API. What it cannot prove is
that a card computes the same; tests/device/run_all does that on a machine with one.
"""

from __future__ import annotations

import inspect
import math
import re
import subprocess
import sys
from collections.abc import Iterator
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
    del before
    rng = np.random.default_rng(1)
    plain, (other, v) = training()
    for _ in range(2):  # the stand-in runs what it captures, a card does not
        expected = plain()
    new = rng.normal(size=(4, 5))
    for _ in range(3):
        x.copy_(there(new))
        other.copy_(there(new))
        captured.replay()
        expected = plain()
        np.testing.assert_array_equal(back(w), back(v))
        np.testing.assert_array_equal(back(loss), back(expected))
    with pytest.raises(RuntimeError, match="while a stream is being captured"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        loss.item()


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
    with cuda.device(0):
        assert cuda.current_device() == 0
    cuda.manual_seed_all(3)
    a = torch.randn(3, device=HERE)
    torch.manual_seed(3)
    assert a.tolist() == torch.randn(3).tolist()
    assert torch.backends.cuda is not None and cuda.amp.autocast is not None
    assert torch.accelerator.current_accelerator().type == "cuda"


def test_memory_is_shared_with_other_libraries() -> None:
    import cupy  # the stand-in

    theirs = cupy.asarray(np.arange(6.0)).reshape(2, 3)
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


def test_float32_products_in_tf32_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(backend_named(HERE).services, "set_matmul_precision", asked.append)
    x = there(np.ones((2, 2), np.float32))
    x @ x
    torch.set_float32_matmul_precision("high")
    x @ x
    x @ x
    torch.set_float32_matmul_precision("highest")
    x @ x
    assert asked == ["high", "highest"]


def test_two_cards() -> None:
    with standin_cupy.installed(2):
        x = torch.arange(6.0, device="cuda:1").reshape(2, 3)
        y = x * 2 + x.sum(1, keepdim=True)
        assert y.device == torch.device("cuda:1") and y.tolist() == [[3, 5, 7], [18, 20, 22]]
        assert y.softmax(1).device.index == 1 and y.to("cuda:0").device.index == 0 and (y @ y.t()).device.index == 1
        with pytest.raises(RuntimeError, match="same device"):
            y + x.to("cuda:0")
        torch.cuda.set_device(1)
        assert torch.cuda.current_device() == 1
        torch.cuda.set_device(0)


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
    """Neither importing wengert nor asking for CUDA without a driver loads CuPy."""
    code = "import sys, wengert; wengert.cuda.is_available(); print('cupy' in sys.modules, 'wengert_cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
