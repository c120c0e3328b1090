"""The programs that wengert began with, as the conformance kit runs them: small loops, each with the numbers it must end in.

Owns: the programs, and what they gave when they were first written down. May import: NumPy. Must not know: wengert, any device:
a program gets the module it runs on, and new tensors are made where that module makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Program = Callable[[Any], dict[str, Any]]  # (module) -> tensors or numbers by name


def minimum(torch: Any) -> dict[str, Any]:
    """The minimum of (x - 3)^2, by gradient descent."""
    x = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.01)
    seen = []
    for it in range(1000):
        loss = (x - 3) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if it in (0, 20, 400):
            seen.append(x.item())
    return {"x": x, "after 1": seen[0], "after 21": seen[1], "after 401": seen[2]}


def exponential(torch: Any) -> dict[str, Any]:
    """The derivative of a Taylor series, built in Python from a tensor."""
    z = torch.tensor([1.0], requires_grad=True)
    fk: Any = 1
    zk: Any = 1
    total: Any = 0
    for k in range(10):
        total = total + zk / fk
        zk = zk * z
        fk = fk * (k + 1)
    total.backward()
    return {"exp": total, "slope": z.grad}


def two_equations(torch: Any) -> dict[str, Any]:
    """Two equations in two unknowns, as the least of a sum of squares."""

    def f1(x1: Any, x2: Any) -> Any:
        return torch.exp(-torch.exp(-(x1 + x2))) - x2 * (1 + x1**2)

    def f2(x1: Any, x2: Any) -> Any:
        return x1 * torch.cos(x2) + x2 * torch.sin(x1) - 0.5

    x1, x2 = (torch.tensor([0.0], requires_grad=True) for _ in range(2))
    optimizer = torch.optim.SGD([x1, x2], lr=0.01)
    for _ in range(321):
        loss = f1(x1, x2) ** 2 + f2(x1, x2) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"x1": x1, "x2": x2, "loss": loss}


def gradients(torch: Any) -> dict[str, Any]:
    """Gradients of two variables, of numbers and of matrices, by `grad` and by `backward`."""
    a, b = (torch.ones(1, requires_grad=True) for _ in range(2))
    g1, g2 = 3 * a + torch.cos(b), torch.pow(a, 2) + torch.sin(2 * b)
    da, db = torch.autograd.grad(torch.exp(g1) + 3 * g2, [a, b])
    m, n = (torch.tensor([[1, 0.5], [0.2, 0.1]], requires_grad=True) for _ in range(2))
    h1, h2 = 3 * m + torch.cos(n), torch.matmul(m, m) + torch.sin(2 * n)
    torch.norm(torch.exp(h1) + torch.matmul(h1, h2), p=2).backward()
    return {"da": da, "db": db, "dm": m.grad, "dn": n.grad}


def norm(torch: Any) -> dict[str, Any]:
    """The gradient of a norm is the direction of the vector."""
    x = torch.tensor([0.4928, 1.9446, 1.1037, 1.8665, 0.0570, -0.0988, 0.6488, -0.6188, -1.7103, -0.3091], requires_grad=True)
    out = torch.sqrt(torch.sum(torch.pow(x, 2), dim=0))
    out.backward(create_graph=True)
    slope = x.grad.detach().clone()
    x.grad.data.zero_()
    return {"norm": out, "slope": slope, "cleared": x.grad.detach()}


def not_scalar(torch: Any) -> dict[str, Any]:
    """Rows of a Jacobian, one backward each; then the second derivative of a function of matrices."""
    x = torch.tensor([[2.0, 1.0]], requires_grad=True)
    m = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = torch.mm(x, m)
    rows = []
    for row in ([[1.0, 0.0]], [[0.0, 1.0]]):
        y.backward(torch.tensor(row), retain_graph=True)
        rows.append(x.grad.clone())
        x.grad.zero_()
    u, v = (torch.tensor(values, requires_grad=True) for values in ([[0.5, -1.0], [2.0, 0.1]], [[1.0, 0.3], [-0.7, 2.0]]))
    (first,) = torch.autograd.grad(u**2 + u * v + v**2, u, torch.ones(2, 2), create_graph=True)
    (second,) = torch.autograd.grad(first, u, torch.ones(2, 2))
    return {"y": y, "row 0": rows[0], "row 1": rows[1], "first": first, "second": second}


def linear_fit(torch: Any) -> dict[str, Any]:
    """A line through three points, the parameters updated by hand."""
    params = torch.tensor([1.0, 1.0])
    x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.5, 2.0])
    first = None
    for _ in range(500):
        params.requires_grad = True
        loss = ((y - (params[0] * x + params[1])) ** 2).mean()
        loss.backward()
        first = first if first is not None else params.grad
        params = (params - 0.05 * params.grad).detach()
    return {"first gradient": first, "params": params}


def control_flow(torch: Any) -> dict[str, Any]:
    """Gradients through Python's own loops and branches, and of dot products."""
    a = torch.tensor(1.2009, requires_grad=True)
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    c = b if b.sum() > 0 else 100 * b
    c.backward()
    x = torch.arange(4.0).requires_grad_(True)
    y = 2 * torch.dot(x, x)
    y.backward()
    return {"slope": a.grad, "y": y, "x": x.grad, "equal": (x.grad == 4 * x).all()}


PROGRAMS: dict[str, Program] = {
    made.__name__: made
    for made in (minimum, exponential, two_equations, gradients, norm, not_scalar, linear_fit, control_flow)
}  # fmt: skip

# What the programs ended in when they were written down, in float32.
KNOWN: dict[str, dict[str, Any]] = {
    "minimum": {"after 1": 1.04, "after 21": 1.691488, "after 401": 2.999393},
    "exponential": {"slope": [2.7183]},
    "two_equations": {"x1": [0.355290], "x2": [0.598461], "loss": [0.000043]},
    "gradients": {"da": [109.43202], "db": [-31.508562]},
    "norm": {"norm": 3.5446, "slope": [0.1390, 0.5486, 0.3114, 0.5266, 0.0161, -0.0279, 0.1830, -0.1746, -0.4825, -0.0872],
             "cleared": [0.0] * 10},
    "not_scalar": {"y": [[5.0, 8.0]], "row 0": [[1.0, 3.0]], "row 1": [[2.0, 4.0]], "second": [[2.0, 2.0], [2.0, 2.0]]},
    "linear_fit": {"first gradient": [6.6667, 3.0], "params": [0.5, 0.5]},
    "control_flow": {"slope": 1024.0, "y": 28.0, "x": [0.0, 4.0, 8.0, 12.0], "equal": True},
}  # fmt: skip


def check(name: str, torch: Any) -> dict[str, Any]:
    """Run a program; raise AssertionError unless it ends in the numbers it ended in then. Return all it gave, on the host."""
    made = PROGRAMS[name](torch)
    found = {key: v.detach().cpu().numpy() if hasattr(v, "detach") else np.asarray(v) for key, v in made.items()}
    for key, value in KNOWN[name].items():
        np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-4, err_msg=f"{name}: {key}")
    return found
