"""OpenCL on the processor beside NumPy, PyTorch and torch.compile: the figures of docs/opencl.md.

    POCL_MAX_PTHREAD_COUNT=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/opencl.py

With more threads also OMP_WAIT_POLICY=passive OPENBLAS_THREAD_TIMEOUT=4, and no taskset: threads of one side that wait for
work would take a processor from the other.

Owns: what is compared. May import: wengert, NumPy, PyTorch. All sides do the same work on the same numbers in one process, turn
by turn, and are waited for. A figure is the median of the rounds, with its quartiles; a ratio is the median of those of each
round. `cpu` is the processor time of all threads, which a machine that others use disturbs less than `wall`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import wengert
from wengert.graph import capture

ROUNDS = 25
THREADS = int(os.environ.get("POCL_MAX_PTHREAD_COUNT", 1))
wait = wengert.opencl.synchronize


def race(name: str, sides: dict[str, Callable[[], Any]], calls: int = 1) -> None:
    """Run each side in turn and print a row."""
    taken: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for n in range(ROUNDS + 2):
        for side, run in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(calls):
                run()
            wait()
            if n >= 2:
                taken[side].append(((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls))
    times = {side: np.asarray(rounds).T * 1e3 for side, rounds in taken.items()}
    cells = []
    for side, (_, cpu) in times.items():
        low, middle, high = np.percentile(cpu, [25, 50, 75])
        cells.append(f"{side} {middle:.3g} ({low:.3g} to {high:.3g})")
    ours, ratios = times.pop("opencl"), []
    for side, theirs in times.items():
        wall, cpu = np.median(ours / theirs, axis=1)
        ratios.append(f"{cpu:.2f} of {side} ({wall:.2f} in wall time)")
    print(f"| {name} | {'; '.join(cells)} | {'; '.join(ratios)} |", flush=True)


def of(module: Any, name: str) -> Callable[..., Any]:
    return getattr(module, name)  # type: ignore[no-any-return]


def chain(m: Any) -> Callable[[Any], Any]:
    return lambda x: m.exp(-x * x) * m.sin(x) + 3 * x


def pair(name: str, run: Callable[..., Any], *values: Any, calls: int = 1) -> None:
    """Race a function of (module, *tensors) on the device against PyTorch."""
    here, there = [wengert.from_numpy(v).to("opencl") for v in values], [torch.from_numpy(v) for v in values]
    race(name, {"opencl": lambda: run(wengert, *here), "torch": lambda: run(torch, *there)}, calls)


def beside_blas(name: str, run: Callable[..., Any], *values: Any) -> None:
    """Race a product of matrices on the device against NumPy's."""
    here = [wengert.from_numpy(v).to("opencl") for v in values]
    race(name, {"opencl": lambda: run(*here), "numpy": lambda: run(*values)})


def main() -> None:
    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    print(f"{THREADS} thread(s), {ROUNDS} rounds; milliseconds of processor time: median (quartiles)\n", file=sys.stderr)
    values = normal(10_000_000)
    x, t = wengert.from_numpy(values).to("opencl"), torch.from_numpy(values)
    graph, compiled = capture(chain(wengert), x), torch.compile(chain(torch))
    race("captured `exp(-x*x)*sin(x)+3*x`, 1e7", {
        "opencl": lambda: graph(x), "numpy": lambda: chain(np)(values), "torch": lambda: chain(torch)(t),
        "torch.compile": lambda: compiled(t),
    })  # fmt: skip
    total = capture(lambda x: (x * x).sum(), x)
    race("captured `(x*x).sum()`, 1e7", {
        "opencl": lambda: total(x), "numpy": lambda: (values * values).sum(), "torch": lambda: (t * t).sum(),
    })  # fmt: skip
    s = normal(4096, 1024)
    pair("`softmax(-1)`, 4096 x 1024", lambda m, s: s.softmax(-1), s)
    pair("`layer_norm`, 4096 x 1024", lambda m, s: m.nn.functional.layer_norm(s, (1024,)), s)
    pair("`sum(1)`, 4096 x 1024", lambda m, s: s.sum(1), s)
    pair("`sum(0)`, 4096 x 1024", lambda m, s: s.sum(0), s)
    pair("`amax(1)`, 4096 x 1024", lambda m, s: s.amax(1), s)
    pair("`a*b + s`, (2048, 1), (1, 2048), (2048, 2048)", lambda m, a, b, s: a * b + s,
         normal(2048, 1), normal(1, 2048), normal(2048, 2048))  # fmt: skip
    pair("`a + b`, (16, 32, 64, 64), (32, 1, 1)", lambda m, a, b: a + b, normal(16, 32, 64, 64), normal(32, 1, 1))
    pair("`s.T.contiguous()`, 2048 x 2048", lambda m, s: s.T.contiguous(), normal(2048, 2048))
    pair("`x.permute(0, 2, 3, 1).contiguous()`, (16, 64, 32, 32)", lambda m, x: x.permute(0, 2, 3, 1).contiguous(),
         normal(16, 64, 32, 32))  # fmt: skip
    pair("`conv2d`, (16, 64, 32, 32), 64 channels of 3 x 3", lambda m, x, w: m.nn.functional.conv2d(x, w, padding=1),
         normal(16, 64, 32, 32), normal(64, 64, 3, 3))  # fmt: skip
    pair("`x @ w`, 200,000 x 20", lambda m, x, w: x @ w, normal(200_000, 20), normal(20))
    pair("`a + a`, 1e6", lambda m, a: a + a, normal(1_000_000), calls=5)
    for name in ("exp", "sin", "tanh", "log", "erf"):
        pair(f"`{name}`, 1e6", lambda m, a, name=name: of(a, name)(), abs(normal(1_000_000)), calls=5)
    pair("`a[i]`, 1e6 of 1e4", lambda m, a, i: a[i], normal(10_000), rng.integers(0, 10_000, 1_000_000))
    for n in (32, 64, 128, 512, 1024):
        pair(f"`a @ b`, {n}", lambda m, a, b: a @ b, normal(n, n), normal(n, n), calls=max(1, 512 // n))
    for dtype in (np.float32, np.float64):
        for n in (512, 1024, 2048):
            beside_blas(f"`a @ b`, {n}, {dtype.__name__}", lambda a, b: a @ b, *normal(2, n, n).astype(dtype))
        square, batch = normal(2, 1024, 1024).astype(dtype), normal(2, 8, 512, 512).astype(dtype)
        beside_blas(f"`a.T @ b`, 1024, {dtype.__name__}", lambda a, b: a.T @ b, *square)
        beside_blas(f"`a @ b.T`, 1024, {dtype.__name__}", lambda a, b: a @ b.T, *square)
        beside_blas(f"`a @ b`, 8 x 512, {dtype.__name__}", lambda a, b: a @ b, *batch)
    pair("`a + a`, 64 elements, 200 calls", lambda m, a: a + a, normal(64), calls=200)


if __name__ == "__main__":
    main()
