"""The programs that are measured, written as PyTorch's users write them; `torch` is whichever module is given.

Owns: two whole loops from published notebooks, chains, a product with its NumPy counterpart. May import: NumPy.
Must not know: which module it is. Each returns a number, which has to be the same whichever it is.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

DECAY = 0.999999  # what a chain multiplies by: a million of them leave 0.37


def parabola(torch: Any, steps: int) -> float:
    """Go down (x - 3)^2 from 1 with SGD; return where it got to."""
    x = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.01)
    for _ in range(steps):
        loss = (x - 3) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(x.item())


def equations(torch: Any, steps: int) -> float:
    """Solve exp(-exp(-(x1 + x2))) = x2 (1 + x1^2), x1 cos x2 + x2 sin x1 = 1/2 with SGD; return x1 + x2."""
    x1 = torch.tensor([0.0], requires_grad=True)
    x2 = torch.tensor([0.0], requires_grad=True)
    optimizer = torch.optim.SGD([x1, x2], lr=0.01)
    for _ in range(steps):
        first = torch.exp(-torch.exp(-(x1 + x2))) - x2 * (1 + x1**2)
        second = x1 * torch.cos(x2) + x2 * torch.sin(x1) - 0.5
        loss = first**2 + second**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(x1.item() + x2.item())


@functools.cache
def captured_equations(torch: Any) -> tuple[Any, Any, Any]:
    """Return the two unknowns of `equations`, and its step: compiled where the module is wengert, else as it is."""
    x1 = torch.tensor([0.0], requires_grad=True)
    x2 = torch.tensor([0.0], requires_grad=True)
    optimizer = torch.optim.SGD([x1, x2], lr=0.01)

    def step() -> None:
        first = torch.exp(-torch.exp(-(x1 + x2))) - x2 * (1 + x1**2)
        second = x1 * torch.cos(x2) + x2 * torch.sin(x1) - 0.5
        loss = first**2 + second**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return x1, x2, torch.compile(step) if torch.__name__ == "wengert" else step


def equations_captured(torch: Any, steps: int) -> float:
    """Do what `equations` does, by a step that wengert compiles and PyTorch runs eagerly."""
    x1, x2, step = captured_equations(torch)
    with torch.no_grad():
        x1.zero_()
        x2.zero_()
    for _ in range(steps):
        step()
    return float(x1.item() + x2.item())


def product(torch: Any, times: int) -> float:
    """Multiply a parameter of one element by a constant of one, recording it."""
    p, c = torch.tensor([1.5], requires_grad=True), torch.tensor([2.0])
    y = p
    for _ in range(times):
        y = p * c
    return float(y.item())


def numpy_product(times: int) -> float:
    """Do what `product` does, in NumPy, recording nothing."""
    p, c, multiply = np.array([1.5], np.float32), np.array([2.0], np.float32), np.multiply
    y = p
    for _ in range(times):
        y = multiply(p, c)
    return float(y.item())


def links(torch: Any, x: Any, length: int) -> Any:
    """Return x after `length` products, each of the one before."""
    c = torch.tensor([DECAY])
    y = x
    for _ in range(length):
        y = y * c
    return y


def chain(torch: Any, length: int, times: int = 1) -> float:
    """Go forward and backward through a chain of products; return its gradient."""
    x = torch.tensor([1.0], requires_grad=True)
    for _ in range(times):
        x.grad = None
        links(torch, x, length).backward()
    return float(x.grad.item())
