"""Training steps of ordinary size, forward + backward + update, written once for wengert and PyTorch.

Owns: `WORKLOADS`, functions (module) -> step, whose `step()` returns the loss; and their asv benchmarks. May import: common.
Must not know: how either library does it. Data and weights are the same numbers in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .common import MODULES, Peers

Step = Callable[[], Any]
WORKLOADS: dict[str, Callable[[Any], Step]] = {}


def workload(make: Callable[[Any], Step]) -> Callable[[Any], Step]:
    WORKLOADS[make.__name__] = make
    return make


class Numbers:
    """The same random arrays for every module."""

    def __init__(self, T: Any) -> None:
        self.T, self.rng = T, np.random.default_rng(0)

    def normal(self, *shape: int, scale: float = 1.0) -> Any:
        return self.T.from_numpy((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def weight(self, *shape: int, fan: int | None = None) -> Any:
        made = self.normal(*shape, scale=1 / math.sqrt(fan or shape[-1]))
        return made.requires_grad_()

    def zeros(self, *shape: int) -> Any:
        return self.T.zeros(shape).requires_grad_()

    def integers(self, high: int, *shape: int) -> Any:
        return self.T.from_numpy(self.rng.integers(0, high, shape))


def trained(T: Any, params: list[Any], loss_of: Callable[[], Any], optimizer: str = "SGD", **options: Any) -> Step:
    """Return a step: forward, backward, update."""
    made = getattr(T.optim, optimizer)(params, lr=options.pop("lr", 1e-3), **options)

    def step() -> Any:
        made.zero_grad()
        loss = loss_of()
        loss.backward()
        made.step()
        return loss

    return step


@workload
def elementwise_chain(T: Any) -> Step:
    """Ten elementwise ops on 1e6 floats."""
    n = Numbers(T)
    x, w = n.normal(1_000_000), n.weight(1_000_000, fan=1)
    return trained(T, [w], lambda: ((T.exp(-w * w) * T.sin(x) + 3 * w).tanh() * x - w).pow(2).mean())


@workload
def logistic_regression(T: Any) -> Step:
    n = Numbers(T)
    x, y = n.normal(200_000, 20), (n.normal(200_000) > 0).to(T.float32)
    w, b = n.weight(20), n.zeros(1)
    f = T.nn.functional.binary_cross_entropy_with_logits
    return trained(T, [w, b], lambda: f(x @ w + b, y))


@workload
def mlp(T: Any) -> Step:
    """784-256-128-10, batch 64, Adam."""
    n, F = Numbers(T), T.nn.functional
    x, y = n.normal(64, 784), n.integers(10, 64)
    sizes = [784, 256, 128, 10]
    params = [p for a, b in zip(sizes, sizes[1:], strict=False) for p in (n.weight(b, a), n.zeros(b))]

    def loss() -> Any:
        h = F.relu(F.linear(x, params[0], params[1]))
        h = F.relu(F.linear(h, params[2], params[3]))
        return F.cross_entropy(F.linear(h, params[4], params[5]), y)

    return trained(T, params, loss, "Adam")


@workload
def softmax_cross_entropy(T: Any) -> Step:
    n = Numbers(T)
    logits, y = n.weight(4096, 1000, fan=1), n.integers(1000, 4096)
    return trained(T, [logits], lambda: T.nn.functional.cross_entropy(logits, y))


@workload
def layer_norm_gelu(T: Any) -> Step:
    n, F = Numbers(T), T.nn.functional
    x, w, b = n.normal(64, 128, 256), n.weight(256, fan=1), n.zeros(256)
    scale = n.weight(64, 128, 256, fan=1)
    return trained(T, [w, b, scale], lambda: F.gelu(F.layer_norm(x * scale, (256,), w, b)).mean())


@workload
def lenet(T: Any) -> Step:
    """LeNet-5 on 28x28, batch 64."""
    n, F = Numbers(T), T.nn.functional
    x, y = n.normal(64, 1, 28, 28), n.integers(10, 64)
    shapes = [((6, 1, 5, 5), 25), ((16, 6, 5, 5), 150), ((120, 400), 400), ((84, 120), 120), ((10, 84), 84)]
    params = [p for shape, fan in shapes for p in (n.weight(*shape, fan=fan), n.zeros(shape[0]))]

    def loss() -> Any:
        h = F.max_pool2d(F.relu(F.conv2d(x, params[0], params[1], padding=2)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, params[2], params[3])), 2).flatten(1)
        h = F.relu(F.linear(h, params[4], params[5]))
        h = F.relu(F.linear(h, params[6], params[7]))
        return F.cross_entropy(F.linear(h, params[8], params[9]), y)

    return trained(T, params, loss, momentum=0.9)


@workload
def attention(T: Any) -> Step:
    """Scaled dot-product attention, batch 4, 4 heads, 128 positions, 32 wide."""
    n, F = Numbers(T), T.nn.functional
    q, k, v = (n.weight(4, 4, 128, 32, fan=1) for _ in range(3))
    return trained(T, [q, k, v], lambda: F.scaled_dot_product_attention(q, k, v).pow(2).mean())


@workload
def embedding(T: Any) -> Step:
    """A table of 20000 x 64, 64 rows of 32 words."""
    n, F = Numbers(T), T.nn.functional
    table, words, w = n.weight(20_000, 64), n.integers(20_000, 64, 32), n.weight(10, 64)
    y = n.integers(10, 64)
    return trained(T, [table, w], lambda: F.cross_entropy(F.linear(F.embedding(words, table).mean(1), w), y))


@workload
def recurrent(T: Any) -> Step:
    """A tanh cell over 50 steps, batch 32, 64 wide."""
    n, F = Numbers(T), T.nn.functional
    x, y = n.normal(50, 32, 32), n.normal(32, 64)
    w, u, b = n.weight(64, 32), n.weight(64, 64), n.zeros(64)

    def loss() -> Any:
        h = T.zeros(32, 64)
        for t in range(50):
            h = T.tanh(F.linear(x[t], w, b) + F.linear(h, u))
        return F.mse_loss(h, y)

    return trained(T, [w, u, b], loss)


class Training(Peers):
    """One step of each workload."""

    params = (MODULES, list(WORKLOADS))
    param_names = ["module", "workload"]

    def prepare(self, name: str) -> None:
        self.step = WORKLOADS[name](self.torch)
        for _ in range(3):
            self.step()

    def time_step(self, module: str, name: str) -> None:
        self.step()


class CompiledTraining(Training):
    """The same steps compiled; PyTorch's stays eager, as its compiler needs a C++ compiler and seconds."""

    def prepare(self, name: str) -> None:
        super().prepare(name)
        if self.torch.__name__ == "wengert":
            self.step = self.torch.compile(self.step)
            self.step(), self.step()
