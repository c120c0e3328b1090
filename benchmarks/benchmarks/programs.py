"""Programs of one op again and again, written as PyTorch's users write them; `torch` is whichever module is given.

Owns: chains, a product with its NumPy counterpart. May import: NumPy. Must not know: which module it is.
Each returns a number, which has to be the same whichever it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DECAY = 0.999999  # what a chain multiplies by: a million of them leave 0.37


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


def chain_forward(torch: Any, length: int, times: int = 1) -> float:
    """Record what `chain` records, and forget it; return the number at its end."""
    x = y = torch.tensor([1.0], requires_grad=True)
    for _ in range(times):
        y = links(torch, x, length)
    return float(y.item())
