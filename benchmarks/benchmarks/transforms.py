"""Second order and function transforms, each on every engine that has it, and beside a Python loop over the rows.

Owns: `SECOND`, functions of an engine that return what is measured. May import: NumPy, common, engines. Must not know: how
a transform works. The function is Rosenbrock's: n = 1000 for products with its Hessian, 100 rows or columns of 100 otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .engines import ENGINES, MODES, TAPES, Engine, engine, warm

Second = Callable[[], Any]
SECOND: dict[str, Callable[[Engine, str], Second]] = {}


def rosenbrock(x: Any) -> Any:
    """Return the sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def residuals(x: Any) -> Any:
    """Return the 2 (n - 1) numbers whose squares Rosenbrock's function adds."""
    return 10 * (x[1:] - x[:-1] ** 2)


def measured(function: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
    """Register a function of an engine that returns a function of arrays; `arrays` gives its arguments."""

    def make(place: Engine, mode: str) -> Second:
        if (place.name.partition(":")[0], mode, function.__name__) == ("torch", "captured", "hessian_vector"):
            raise NotImplementedError("torch.compile has no double backward")
        f = function(place)
        if mode == "captured":
            f = place.capture(f)
        given = [place.place(a) for a in ARRAYS[function.__name__]()]
        return lambda: f(*given)

    SECOND[function.__name__] = make
    return function


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) * 0.3 for shape in shapes]


ARRAYS: dict[str, Callable[[], list[Any]]] = {
    **dict.fromkeys(("hessian_vector", "hessian_vector_forward"), lambda: arrays((1000,), (1000,))),
    **dict.fromkeys(("vmap_grad", "vmap_grad_loop"), lambda: arrays((100, 100))),
    **dict.fromkeys(("jacfwd", "jacfwd_loop", "hessian", "hessian_loop"), lambda: arrays((100,))),
}
LOOPS = {name: f"{name}_loop" for name in ("vmap_grad", "jacfwd", "hessian")}


@measured
def hessian_vector(place: Engine) -> Callable[..., Any]:
    """H v by two backward passes."""
    T = place.T
    if place.name not in TAPES:
        grad = T.func.grad
        return lambda x, v: grad(lambda x: (grad(rosenbrock)(x) * v).sum())(x)

    def run(x: Any, v: Any) -> Any:
        leaf = x.clone().requires_grad_()
        (g,) = T.autograd.grad(rosenbrock(leaf), leaf, create_graph=True)
        return T.autograd.grad(g, leaf, v)[0]

    return run


@measured
def hessian_vector_forward(place: Engine) -> Callable[..., Any]:
    """H v, forward over reverse."""
    F = place.T.func
    return lambda x, v: F.jvp(F.grad(rosenbrock), (x,), (v,))[1]


@measured
def vmap_grad(place: Engine) -> Callable[..., Any]:
    F = place.T.func
    return lambda rows: F.vmap(F.grad(rosenbrock))(rows)


@measured
def vmap_grad_loop(place: Engine) -> Callable[..., Any]:
    T = place.T
    gradient = T.func.grad(rosenbrock)
    return lambda rows: T.stack([gradient(row) for row in rows])


@measured
def jacfwd(place: Engine) -> Callable[..., Any]:
    F = place.T.func
    return lambda x: F.jacfwd(residuals)(x)


@measured
def jacfwd_loop(place: Engine) -> Callable[..., Any]:
    T, columns = place.T, place.place(np.eye(100))
    return lambda x: T.stack([T.func.jvp(residuals, (x,), (column,))[1] for column in columns], 1)


@measured
def hessian(place: Engine) -> Callable[..., Any]:
    F = place.T.func
    return lambda x: F.hessian(rosenbrock)(x)


@measured
def hessian_loop(place: Engine) -> Callable[..., Any]:
    rows, T, product = place.place(np.eye(100)), place.T, hessian_vector(place)
    return lambda x: T.stack([product(x, row) for row in rows])


@functools.cache
def warmed(name: str, mode: str, second: str) -> Second:
    """Return a function that is warm: once a process."""
    return warm(lambda: SECOND[second](engine(name), mode))


class SecondOrder:
    """Rosenbrock's function, second order, in batches, and by Python loops."""

    params = (ENGINES, MODES, list(SECOND))
    param_names = ["engine", "mode", "transform"]
    timeout = 600

    def setup(self, name: str, mode: str, transform: str) -> None:
        self.engine = engine(name)
        if mode == "captured" and transform.endswith("_loop"):
            raise NotImplementedError("a Python loop is what the others are compared with: it stays one")
        self.run = warmed(name, mode, transform)

    def time_run(self, name: str, mode: str, transform: str) -> None:
        self.engine.wait(self.run())
