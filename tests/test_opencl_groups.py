"""Several ops as one generated kernel: captured and compiled functions on OpenCL, and ops of rows.

Owns: the proof that a group computes what its ops do, in both dialects, for any layout, and that it is one kernel. May import:
wengert's public API and its OpenCL package. Skipped where pyopencl or a device is missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.graph import capture

opencl = pytest.importorskip("wengert_opencl.runtime")
try:
    opencl.found()
except opencl.NoDevice as reason:
    pytest.skip(str(reason), allow_module_level=True)

from wengert_codegen import Unprintable  # noqa: E402
from wengert_opencl import fused  # noqa: E402

F = torch.nn.functional


def softmax(x: Any) -> Any:
    powers = (x - x.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def layer_norm(x: Any) -> Any:
    off = x - x.mean(-1, keepdim=True)
    return off * ((off * off).mean(-1, keepdim=True) + 1e-5).rsqrt(), off


GROUPS: dict[str, Callable[[Any, Any], Any]] = {
    "chain": lambda x, y: torch.exp(-x * x) * torch.sin(x) + 3 * y,
    "several results": lambda x, y: (x + y, (x - y).cos() * 2, x * x),
    "comparisons": lambda x, y: (torch.where(x > y, x, -y), (x > 0) & (y <= 0.5), x.sign()),
    "sum": lambda x, y: (x * y).sum(-1),
    "sum of all": lambda x, y: (x * y.cos()).sum(),
    "mean of all, and after it": lambda x, y: ((x - y) ** 2).mean() * 2 + 1,
    "sum over rows": lambda x, y: (x * y).sum(0),
    "largest": lambda x, y: ((x - y).amax(-1), (x * y).amin(-1, keepdim=True)),
    "softmax": lambda x, y: softmax(x + y),
    "log softmax": lambda x, y: torch.log_softmax(x * 2, -1) * y,
    "layer norm": lambda x, y: layer_norm(x - y),
    "row values used again": lambda x, y: (x - x.mean(-1, keepdim=True)) * (y.exp().sum(-1, keepdim=True)),
    "functions": lambda x, y: (x.tanh() + y.sigmoid(), (x.abs() + 1).log() - y.erf(), (x.abs() + 0.1) ** 1.5, torch.fmod(x, y.abs() + 0.1)),
    "types": lambda x, y: ((x * 4).to(torch.int64) + 1, x.half() + 1, (x > y).float() * 2, x.double() * y.double()),
    "a tensor of its own": lambda x, y: x * torch.tensor([2.0], device=x.device) + y,
}  # fmt: skip
SHAPES = [(7,), (5, 1), (2, 3, 33), (6, 4100), (3, 70000)]  # a row, rows of one, rows, and rows that work items share


def compared(shape: tuple[int, ...], group: Callable[[Any, Any], Any], kind: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape).astype(dtype) for _ in range(2)]
    expected = group(*[torch.from_numpy(v) for v in values])
    here = [torch.from_numpy(v).to("opencl") for v in values]
    if kind == "transposed":
        here[0] = here[0].permute(*reversed(range(len(shape)))).contiguous().permute(*reversed(range(len(shape))))
    elif kind == "strided":
        here[0] = torch.stack([here[0], here[0]], -1).select(-1, 0)
    elif kind == "broadcast":
        here[1] = here[1].select(0, 0).expand(shape)
        values[1] = np.broadcast_to(values[1][0], shape).copy()
        expected = group(*[torch.from_numpy(v) for v in values])
    graph = capture(group, *here)
    for found in (graph(*here), graph(*here)):
        found, wanted = [(r if isinstance(r, tuple) else (r,)) for r in (found, expected)]
        for a, e in zip(found, wanted, strict=True):
            assert a.dtype == e.dtype and a.shape == e.shape and a.device.type == "opencl"
            narrow = 2e-3 if a.dtype == torch.float16 else 0
            tolerance = max(narrow, 1e-12 if dtype == "float64" else 2e-5)
            scale = max(1.0, float(abs(e.double()).max())) if e.numel() else 1.0
            np.testing.assert_allclose(a.cpu().double().numpy(), e.double().numpy(), tolerance, tolerance * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", GROUPS)
def test_a_group_computes_what_its_ops_do(name: str, shape: tuple[int, ...]) -> None:
    compared(shape, GROUPS[name], "plain", "float32")


@pytest.mark.parametrize("kind", ["transposed", "strided", "broadcast"])
@pytest.mark.parametrize("name", ["chain", "comparisons", "sum", "softmax", "layer norm", "types"])
def test_a_group_of_any_layout(name: str, kind: str) -> None:
    compared((3, 5, 20), GROUPS[name], kind, "float64")


def test_groups_in_the_dialect_of_graphics_cards() -> None:
    program = """
import test_opencl_groups as t
for name in ("chain", "several results", "comparisons", "sum", "mean of all, and after it", "largest", "softmax", "layer norm"):
    t.compared((2, 3, 133), t.GROUPS[name], "plain", "float32")
t.compared((3, 70000), t.GROUPS["sum"], "plain", "float32")
t.compared((3, 5, 20), t.GROUPS["softmax"], "transposed", "float64")
"""
    environment = {**os.environ, "WENGERT_OPENCL_DIALECT": "gpu", "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def launches(run: Callable[[], Any]) -> int:
    """Return how many kernels a call starts."""
    runtime, count = opencl.runtime(0), 0
    real = runtime.launch

    def counted(*args: Any) -> None:
        nonlocal count
        count += 1
        real(*args)

    runtime.launch = counted
    try:
        run()
    finally:
        del runtime.launch
    return count


@pytest.mark.parametrize("name", ["chain", "several results", "comparisons", "sum", "largest", "softmax", "log softmax", "layer norm", "functions"])
@pytest.mark.parametrize("how", ["capture", "compile"])
def test_a_group_is_one_kernel(name: str, how: str) -> None:
    x, y = (torch.randn(30, 40).to("opencl") for _ in range(2))
    if how == "capture" and name == "log softmax":
        pytest.skip("one op among others is a kernel of its own in a graph; compile takes it apart")
    run = capture(GROUPS[name], x, y) if how == "capture" else torch.compile(GROUPS[name])
    for _ in range(3):
        run(x, y)
    assert launches(lambda: run(x, y)) == 1


def test_rows_are_one_kernel_without_capture_too() -> None:
    x = torch.randn(30, 40).to("opencl")
    for run in (lambda: x.softmax(-1), lambda: x.log_softmax(-1), lambda: x.logsumexp(-1), lambda: x.sum(-1), lambda: x.mean(-1)):
        assert launches(run) == 1
    assert launches(lambda: x.softmax(0)) > 1  # along another dim: kernels of their own


def test_gradients_of_rows() -> None:
    values = np.random.default_rng(0).normal(size=(5, 300))
    weights = np.random.default_rng(1).normal(size=(5, 300))
    for run in (lambda x: x.softmax(-1), lambda x: x.log_softmax(-1), lambda x: F.layer_norm(x, (300,)), lambda x: x.logsumexp(-1, True) + x):
        found = []
        for device in ("cpu", "opencl"):
            x = torch.from_numpy(values).to(device).requires_grad_()
            (run(x) * torch.from_numpy(weights).to(device)).sum().backward()
            found.append(x.grad.cpu().numpy())
        np.testing.assert_allclose(*found, 1e-11, 1e-11)


def test_an_update_in_place_reads_what_was_there() -> None:
    """The result of a group is written to the memory of one of its inputs."""
    for shape in ((5,), (300, 40)):
        found = []
        for device in ("cpu", "opencl"):
            rng = np.random.default_rng(0)
            w = torch.from_numpy(rng.normal(size=shape)).to(device)
            m = torch.zeros(shape, dtype=torch.float64, device=device)

            def step(w: Any, m: Any, g: Any) -> Any:
                m.mul_(0.9).add_(g, alpha=0.1)
                w.sub_(0.1 * m / (w * w).sum().sqrt())
                return (w * m).sum()

            run = torch.compile(step)
            results = [run(w, m, torch.from_numpy(rng.normal(size=shape)).to(device)).item() for _ in range(4)]
            found.append([w.cpu().numpy(), m.cpu().numpy(), np.asarray(results)])
        for a, e in zip(*found, strict=True):
            np.testing.assert_allclose(a, e, 1e-12, 1e-12)


def test_what_is_overwritten_was_read_before_also_by_later_stages() -> None:
    """Calls cut a kernel into stages, each of which reads its inputs: a state must not have its new value by then."""
    rng = np.random.default_rng(0)
    values = [rng.normal(size=5000).astype(np.float32) for _ in range(3)]

    def run(device: str, wrap: Any) -> list[np.ndarray]:
        a, x, y = (torch.from_numpy(v.copy()).to(device) for v in values)

        def step() -> torch.Tensor:
            made = torch.where(x > 0, a * torch.log1p(torch.exp(x)), a - 1)
            a.copy_(a + y)
            return made

        wrapped = wrap(step)
        return [wrapped().cpu().numpy() for _ in range(4)] + [a.cpu().numpy()]

    for actual, expected in zip(run("opencl", torch.compile), run("cpu", lambda f: f)):
        np.testing.assert_allclose(actual, expected, 1e-5, 1e-5)


def test_a_sum_of_ten_million_is_accurate_and_repeatable() -> None:
    values = np.random.default_rng(0).normal(size=10_000_000).astype(np.float32)
    x = torch.from_numpy(values).to("opencl")
    graph = capture(lambda x: (x * 2).sum(), x)
    first, exact = graph(x).item(), 2 * values.astype(np.float64).sum()
    assert abs(first - exact) <= 1e-3 * abs(exact)
    assert all(graph(x).item() == first for _ in range(3))


@pytest.mark.parametrize("how", [lambda f, x: capture(f, x), lambda f, x: torch.compile(f, dynamic=True)], ids=["capture", "compile"])
def test_an_index_on_the_host_is_sent_in_each_run(how: Any) -> None:
    index, x = torch.tensor([1, 0, 2]), torch.arange(4.0, device="opencl")
    picked = how(lambda x: x[index] + x[index.to(x.device)], x)
    assert picked(x).cpu().tolist() == [2.0, 0.0, 4.0]
    index.fill_(3)
    assert picked(x).cpu().tolist() == [6.0, 6.0, 6.0]


def test_more_parameters_than_a_kernel_takes() -> None:
    """A group of too many arrays falls into smaller ones."""
    tensors = [torch.full((3, 4), float(i), device="opencl") for i in range(80)]
    graph = capture(lambda *xs: sum(x * 2 for x in xs), *tensors)
    assert graph(*tensors).cpu().tolist() == [[2.0 * sum(range(80))] * 4] * 3


def test_what_has_no_text_is_refused() -> None:
    x = torch.ones(3, 4, device="opencl")
    graph = capture(lambda x: ((x + 0j) * 2).abs() + x.erfinv(), x)
    with pytest.raises(Unprintable):
        fused.group_of(graph.equations, graph.arguments, [graph.equations[-1].outs[0]], lambda count, n: False)
    assert fused.fused(opencl.runtime(0), graph.equations, graph.arguments, [graph.equations[-1].outs[0]]) is None
    x = x / 2
    np.testing.assert_allclose(graph(x).cpu().numpy(), (x.cpu() * 2 + x.cpu().erfinv()).numpy(), 1e-6)


def test_what_a_kernel_is_can_be_read() -> None:
    import wengert_opencl

    x = torch.ones(3, 4, device="opencl")
    capture(lambda x: (x + 1).cosh() - 1, x)(x)
    assert "__kernel void k_add_cosh_subtract(" in wengert_opencl.source()["k_add_cosh_subtract"]
