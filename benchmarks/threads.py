"""What a second thread gives: NumPy's calls side by side, and compiled functions on one thread and on several.

Owns: both tables, printed. May import: NumPy, wengert. Must not know: how wengert spreads blocks.
Rounds are in turn, and medians; run it with as many cores as threads, all of them idle, and one thread for BLAS:
`OMP_NUM_THREADS=1 python benchmarks/threads.py [threads]`.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import wengert

ROUNDS, SECONDS = 25, 0.005
Calls = Callable[[], Any]


def per_call(call: Calls, start: float, cost: list[float]) -> None:
    """Call for some time from a moment on, and note how many microseconds a call took."""
    while time.perf_counter() < start:
        pass
    count, end = 0, start + SECONDS
    while time.perf_counter() < end:
        call()
        count += 1
    cost.append((time.perf_counter() - start) / max(count, 1) * 1e6)


def beside(call: Calls, other: Calls | None) -> float:
    """Return what a call takes, in microseconds, while another thread makes other calls."""
    costs: list[float] = []
    start = time.perf_counter() + 1e-3
    thread = threading.Thread(target=per_call, args=(other, start, []))
    if other is not None:
        thread.start()
    per_call(call, start, costs)
    if other is not None:
        thread.join()
    time.sleep(SECONDS)
    return costs[0]


def product(n: int) -> Calls:
    x, out = np.ones(n, np.float32), np.empty(n, np.float32)
    return lambda: np.multiply(x, x, out=out)


def kinds(n: int) -> dict[str, tuple[Calls, Calls]]:
    """Return calls of each kind on n elements, on arrays of their own for each thread."""

    def made() -> dict[str, Calls]:
        x, out = np.ones((n // 250, 250), np.float32), np.empty((n // 250, 250), np.float32)
        ones = np.ones(250, np.float32)
        return {
            "multiply": lambda: np.multiply(x, x, out=out), "exp": lambda: np.exp(x, out=out),
            "maximum of rows": lambda: np.maximum.reduce(x, 1), "np.matmul(rows, ones)": lambda: np.matmul(x, ones),
            "rows.dot(ones)": lambda: x.dot(ones), "matrix product": lambda: np.matmul(x[:, : len(x)], x),
        }  # fmt: skip

    one, two = made(), made()
    return {name: (one[name], two[name]) for name in one}


def functions() -> dict[str, Calls]:
    F, x = wengert.nn.functional, wengert.randn(64, 128, 256)
    w, b, h = wengert.ones(256, requires_grad=True), wengert.zeros(256, requires_grad=True), x.clone().requires_grad_()

    def step() -> Any:
        loss = (F.layer_norm(h, (256,), w, b) * x).sum()
        loss.backward()
        return loss

    return {
        "arithmetic": lambda: x * x * 2 + 3 * x - x / 5, "exp, sin": lambda: wengert.exp(-x * x) * wengert.sin(x),
        "tanh": lambda: wengert.tanh(x) * 2 + x, "gelu": lambda: F.gelu(x), "softmax": lambda: (x * 2).softmax(-1),
        "layer_norm": lambda: F.layer_norm(x, (256,), w.detach(), b.detach()), "layer_norm, forward and backward": step,
    }  # fmt: skip


def main(count: int) -> None:
    far = product(1 << 21)
    print("us a call: alone | beside the same | beside calls of a millisecond")
    pairs = {f"multiply of {n}": (product(n), product(n)) for n in (600, 8_000, 32_000, 128_000)}
    pairs |= {f"{name}, 50000": calls for name, calls in kinds(50_000).items()}
    for name, (call, other) in pairs.items():
        ways = (None, other, far)
        found = [[beside(call, way) for way in ways] for _ in range(ROUNDS)]
        print(f"{name:32}", *[f"{statistics.median(v):8.2f}" for v in zip(*found, strict=True)])
    print(f"ms: one thread | {count} | times as fast")
    for name, function in functions().items():
        run = wengert.compile(function)
        times: dict[int, list[float]] = {1: [], count: []}
        for _ in range(ROUNDS):
            for n, found_times in times.items():
                wengert.set_num_threads(n)
                run()  # threads begin
                start = time.perf_counter()
                run()
                found_times.append((time.perf_counter() - start) * 1e3)
        one, several = (statistics.median(v[3:]) for v in times.values())
        print(f"{name:36} {one:6.2f} {several:6.2f} {one / several:6.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
