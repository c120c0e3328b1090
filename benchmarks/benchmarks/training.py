"""Training steps, forward + backward + update, written once for every engine; and what each takes, launches and keeps.

Owns: `WORKLOADS`, and their asv benchmarks. May import: NumPy, common, engines. Must not know: how any library does it.
A workload makes NumPy arrays (parameters, data) and a loss by PyTorch's names; data and weights are the same for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .common import Taped
from .engines import ENGINES, MODES, TAPES, engine, warmed

Arrays = list[Any]
Made = tuple[Arrays, Arrays, Callable[..., Any]]  # parameters, data, loss(T, parameters, *data)


@dataclass(frozen=True)
class Workload:
    """A training step: its arrays and loss, and the optimizer by PyTorch's name."""

    name: str
    make: Callable[[], Made]
    optimizer: str
    options: dict[str, float]

    def __hash__(self) -> int:
        return hash(self.name)


WORKLOADS: dict[str, Workload] = {}
SMALL = ["parabola", "two_equations"]  # from published notebooks: a thousand steps are what a user waits for


def workload(optimizer: str = "SGD", lr: float = 1e-3, **options: float) -> Callable[[Callable[..., Made]], Workload]:
    """Register a function of Numbers that makes a workload."""

    def register(make: Callable[..., Made]) -> Workload:
        made = Workload(make.__name__, lambda: make(Numbers()), optimizer, {"lr": lr, **options})
        WORKLOADS[made.name] = made
        return made

    return register


class Numbers:
    """The same random arrays every time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def normal(self, *shape: int, scale: float = 1.0) -> Any:
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    def weight(self, *shape: int, fan: int | None = None) -> Any:
        return self.normal(*shape, scale=1 / math.sqrt(fan or shape[-1]))

    def zeros(self, *shape: int) -> Any:
        return np.zeros(shape, np.float32)

    def integers(self, high: int, *shape: int) -> Any:
        return self.rng.integers(0, high, shape)


@workload(lr=0.01)
def parabola(n: Numbers) -> Made:
    """(x - 3)^2 from 1, one element."""
    return [np.ones(1, np.float32)], [], lambda T, p: (p[0] - 3) ** 2


@workload(lr=0.01)
def two_equations(n: Numbers) -> Made:
    """exp(-exp(-(x1 + x2))) = x2 (1 + x1^2), x1 cos x2 + x2 sin x1 = 1/2, from 0; about twenty ops of one element."""

    def loss(T: Any, p: Any) -> Any:
        x1, x2 = p
        first = T.exp(-T.exp(-(x1 + x2))) - x2 * (1 + x1**2)
        second = x1 * T.cos(x2) + x2 * T.sin(x1) - 0.5
        return first**2 + second**2

    return [n.zeros(1), n.zeros(1)], [], loss


@workload(lr=1e5)
def elementwise_chain(n: Numbers) -> Made:
    """Ten elementwise ops on 1e6 floats."""

    def loss(T: Any, p: Any, x: Any) -> Any:
        (w,) = p
        return ((T.tanh(T.exp(-w * w) * T.sin(x) + 3 * w) * x - w) ** 2).mean()

    x, w = n.normal(1_000_000), n.weight(1_000_000, fan=1)
    return [w], [x], loss


@workload(lr=0.1)
def logistic_regression(n: Numbers) -> Made:
    """200,000 rows of 20."""

    def loss(T: Any, p: Any, x: Any, y: Any) -> Any:
        return T.nn.functional.binary_cross_entropy_with_logits(x @ p[0] + p[1], y)

    x, y = n.normal(200_000, 20), (n.normal(200_000) > 0).astype(np.float32)
    return [n.weight(20), n.zeros(1)], [x, y], loss


@workload("Adam")
def mlp(n: Numbers) -> Made:
    """784-256-128-10, batch 64, Adam."""

    def loss(T: Any, p: Any, x: Any, y: Any) -> Any:
        F = T.nn.functional
        h = F.relu(F.linear(x, p[0], p[1]))
        h = F.relu(F.linear(h, p[2], p[3]))
        return F.cross_entropy(F.linear(h, p[4], p[5]), y)

    x, y = n.normal(64, 784), n.integers(10, 64)
    sizes = [784, 256, 128, 10]
    return [p for a, b in zip(sizes, sizes[1:], strict=False) for p in (n.weight(b, a), n.zeros(b))], [x, y], loss


@workload(lr=100.0)
def softmax_cross_entropy(n: Numbers) -> Made:
    """4096 rows of 1000 classes."""
    logits, y = n.weight(4096, 1000, fan=1), n.integers(1000, 4096)
    return [logits], [y], lambda T, p, y: T.nn.functional.cross_entropy(p[0], y)


@workload(lr=1.0)
def layer_norm_gelu(n: Numbers) -> Made:
    """64 x 128 x 256."""

    def loss(T: Any, p: Any, x: Any) -> Any:
        F = T.nn.functional
        return F.gelu(F.layer_norm(x * p[2], (256,), p[0], p[1])).mean()

    x, w, b = n.normal(64, 128, 256), n.weight(256, fan=1), n.zeros(256)
    return [w, b, n.weight(64, 128, 256, fan=1)], [x], loss


@workload(lr=0.01, momentum=0.9)
def lenet(n: Numbers) -> Made:
    """LeNet-5 on 28x28, batch 64."""

    def loss(T: Any, p: Any, x: Any, y: Any) -> Any:
        F = T.nn.functional
        h = F.max_pool2d(F.relu(F.conv2d(x, p[0], p[1], padding=2)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, p[2], p[3])), 2).reshape(64, 400)
        h = F.relu(F.linear(h, p[4], p[5]))
        h = F.relu(F.linear(h, p[6], p[7]))
        return F.cross_entropy(F.linear(h, p[8], p[9]), y)

    x, y = n.normal(64, 1, 28, 28), n.integers(10, 64)
    shapes = [((6, 1, 5, 5), 25), ((16, 6, 5, 5), 150), ((120, 400), 400), ((84, 120), 120), ((10, 84), 84)]
    return [p for shape, fan in shapes for p in (n.weight(*shape, fan=fan), n.zeros(shape[0]))], [x, y], loss


@workload(lr=100.0)
def attention(n: Numbers) -> Made:
    """Scaled dot-product attention, batch 4, 4 heads, 128 positions, 32 wide."""
    arrays = [n.weight(4, 4, 128, 32, fan=1) for _ in range(3)]
    return arrays, [], lambda T, p: (T.nn.functional.scaled_dot_product_attention(*p) ** 2).mean()


@workload(lr=1.0)
def embedding(n: Numbers) -> Made:
    """A table of 20,000 x 64, 64 rows of 32 words."""

    def loss(T: Any, p: Any, words: Any, y: Any) -> Any:
        F = T.nn.functional
        return F.cross_entropy(F.linear(F.embedding(words, p[0]).mean(1), p[1]), y)

    table, words, w = n.weight(20_000, 64), n.integers(20_000, 64, 32), n.weight(10, 64)
    return [table, w], [words, n.integers(10, 64)], loss


@workload(lr=0.1)
def recurrent(n: Numbers) -> Made:
    """A tanh cell over 50 steps, batch 32, 64 wide."""

    def loss(T: Any, p: Any, x: Any, y: Any, h: Any) -> Any:
        F = T.nn.functional
        w, u, b = p
        for t in range(50):
            h = T.tanh(F.linear(x[t], w, b) + F.linear(h, u))
        return F.mse_loss(h, y)

    x, y = n.normal(50, 32, 32), n.normal(32, 64)
    return [n.weight(64, 32), n.weight(64, 64), n.zeros(64)], [x, y, n.zeros(32, 64)], loss


@workload("Adam")
def minigpt(n: Numbers) -> Made:
    """A transformer that reads on: 4 layers, 128 wide, 4 heads, batch 8 of 64 positions, 65 letters, Adam."""
    rows, length, width, heads, layers, letters = 8, 64, 128, 4, 4, 65

    def loss(T: Any, p: Any, words: Any, y: Any, mask: Any) -> Any:
        F = T.nn.functional
        x = F.embedding(words, p[0]) + p[1]
        for i in range(layers):
            a, b, qkv_w, qkv_b, out_w, out_b, c, d, up_w, up_b, down_w, down_b = p[2 + 12 * i : 14 + 12 * i]
            parts = F.linear(F.layer_norm(x, (width,), a, b), qkv_w, qkv_b).reshape(rows, length, 3, heads, width // heads)
            q, k, v = (parts[:, :, j].swapaxes(1, 2) for j in range(3))
            seen = T.softmax(q @ k.swapaxes(-1, -2) * (width // heads) ** -0.5 + mask, -1) @ v
            x = x + F.linear(seen.swapaxes(1, 2).reshape(rows, length, width), out_w, out_b)
            x = x + F.linear(F.gelu(F.linear(F.layer_norm(x, (width,), c, d), up_w, up_b)), down_w, down_b)
        logits = F.linear(F.layer_norm(x, (width,), p[-3], p[-2]), p[-1])
        return F.cross_entropy(logits.reshape(rows * length, letters), y)

    def norm() -> Arrays:
        return [np.ones(width, np.float32), n.zeros(width)]

    def linear(out: int, fan: int) -> Arrays:
        return [n.weight(out, fan), n.zeros(out)]

    arrays = [n.weight(letters, width), n.weight(length, width)]
    for _ in range(layers):
        arrays += norm() + linear(3 * width, width) + linear(width, width)
        arrays += norm() + linear(4 * width, width) + linear(width, 4 * width)
    arrays += norm() + [n.weight(letters, width)]
    mask = np.triu(np.full((length, length), -1e9, np.float32), 1)
    return arrays, [n.integers(letters, rows, length), n.integers(letters, rows * length), mask], loss


LARGE = [name for name in WORKLOADS if name not in SMALL]


class Training:
    """One step of each workload."""

    params = (ENGINES, MODES, LARGE)
    param_names = ["engine", "mode", "workload"]
    timeout = 600  # compilers

    def setup(self, name: str, mode: str, workload: str) -> None:
        self.engine, self.step = engine(name), warmed(name, WORKLOADS[workload], mode)

    def time_step(self, name: str, mode: str, workload: str) -> None:
        self.engine.wait(self.step())


class Capture:
    """Seconds until a step is compiled: its calls until the third, less three steps as they then are."""

    params = (ENGINES, ["two_equations", "mlp", "attention"])
    param_names = ["engine", "workload"]
    unit = "seconds"
    timeout = 600

    def setup(self, name: str, workload: str) -> None:
        engine(name).step(WORKLOADS[workload])()  # what is loaded at the first use is not the compiler's

    def track_seconds(self, name: str, workload: str) -> float:
        place = engine(name)
        start = time.perf_counter()
        step = place.step(WORKLOADS[workload], "captured")
        for _ in range(3):
            place.wait(step())
        first = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(3):
            place.wait(step())
        return first - (time.perf_counter() - start)


class Kernels:
    """How many kernels a step runs, as `wengert.profiler` counts them; compiled, how many equations its programs have."""

    params = (["wengert:cpu", "wengert:opencl", "wengert:cuda"], MODES, list(WORKLOADS))
    param_names = ["engine", "mode", "workload"]
    unit = "kernels"

    def setup(self, name: str, mode: str, workload: str) -> None:
        self.step = warmed(name, WORKLOADS[workload], mode)

    def track_kernels(self, name: str, mode: str, workload: str) -> float:
        if mode == "captured":
            return float(sum(len(p.graph.equations) for p in self.step.programs))  # type: ignore[attr-defined]
        from wengert.profiler import profile

        with profile() as found:
            self.step()
        return float(len(found.events))


class Kept(Taped):
    """How many bytes the tape keeps for backward, beside parameters and data."""

    params = (TAPES, list(WORKLOADS))
    param_names = ["engine", "workload"]
    unit = "bytes"

    def track_bytes(self, name: str, workload: str) -> float:
        place = engine(name)
        arrays, data, loss = WORKLOADS[workload].make()
        leaves = [place.place(a).clone().requires_grad_() for a in arrays]
        return float(kept(place.T, loss, leaves, [place.place(a) for a in data]))


def kept(T: Any, loss: Callable[..., Any], params: Arrays, data: Arrays) -> int:
    """Return the bytes of what a forward pass keeps that was not there before; memory that is shared counts once."""
    found: dict[int, int] = {}

    def pack(x: Any) -> Any:
        storage = x.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return x

    with T.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = loss(T, params, *data)
    before = {x.untyped_storage().data_ptr() for x in (*params, *data)}
    del out
    return sum(size for address, size in found.items() if address not in before)


class Memory:
    """The most that a process held while it took three steps, its library included."""

    params = (ENGINES, MODES, ["mlp", "layer_norm_gelu", "lenet"])
    param_names = ["engine", "mode", "workload"]
    timeout = 600

    def setup(self, name: str, mode: str, workload: str) -> None:
        engine(name)
        if mode == "captured" and name in ("autograd", "mygrad"):
            raise NotImplementedError(f"{name} has no compiler")

    def peakmem_step(self, name: str, mode: str, workload: str) -> None:
        place = engine(name)
        step = place.step(WORKLOADS[workload], mode)
        for _ in range(3):
            place.wait(step())
