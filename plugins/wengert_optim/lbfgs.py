"""L-BFGS: a quasi-Newton direction from the last few steps, and a line search for the strong Wolfe conditions.

Owns: the two-loop recursion, the line search, the stopping rules. May import: `wengert`'s public names and the
optimizer base class. Must not know: devices, arrays, the tape. It decides on values, so it cannot be captured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import wengert
from wengert.optim.optimizer import CHECKS, Closure, Group, Optimizer, State

if TYPE_CHECKING:
    from wengert import Tensor


class Point(NamedTuple):
    """What is known of the line x + t * d at one t: the loss, its slope along d, and the whole gradient."""

    t: float
    loss: float
    slope: float
    g: Tensor


class LBFGS(Optimizer):
    """Descend along -H g, where H is the inverse Hessian that the last `history_size` steps suggest.

    s = x_k+1 - x_k;   y = g_k+1 - g_k;   H_k+1 = (1 - s y'/s'y) H_k (1 - y s'/s'y) + s s'/s'y;   H_0 = s'y / y'y
    x <- x - t * H g, with t = lr, or from a strong Wolfe line search that starts at lr

    `step(closure)` makes up to `max_iter` such iterations; closure clears the gradients, computes the loss, calls
    backward and returns the loss. One parameter group; its state is kept at the first parameter.

    Raises: ValueError for hyperparameters out of range or several groups, RuntimeError for another line search.
    Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4, 7.5, 3.5, 3.6; Schmidt, minFunc (the rules
    that safeguard the line search).
    """

    checks = {"lr": CHECKS["lr"]}  # a tolerance below zero is one that no step reaches

    def __init__(
        self, params: Any, lr: float | Tensor = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(
            lr=lr, max_iter=max_iter, max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad, tolerance_change=tolerance_change, history_size=history_size,
            line_search_fn=line_search_fn,
        ))  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def check(self, group: Group) -> None:
        super().check(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            given = group["line_search_fn"]
            raise RuntimeError(f"only 'strong_wolfe' is supported as line_search_fn, got {given!r}")

    def add_param_group(self, param_group: Group) -> None:
        """Take the one group that L-BFGS has, and refuse another."""
        if self.param_groups:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        super().add_param_group(param_group)

    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """Iterate until gradient or change is small, or a limit is reached; return the first loss."""
        with wengert.no_grad():
            return self._iterate(closure)

    def _iterate(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        lr, max_iter, smallest = float(group["lr"]), group["max_iter"], group["tolerance_change"]
        state, params = self.state[group["params"][0]], [pairs(p) for p in group["params"]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> tuple[Any, Tensor]:
            with wengert.enable_grad():
                value = closure()
            state["func_evals"] += 1
            return value, flat([wengert.zeros_like(p) if p.grad is None else p.grad for p in group["params"]])

        first, g = evaluate()
        loss, d, t = float(first), state.get("d", g), float(state.get("t", lr))
        until = state["func_evals"] + group["max_eval"] - 1
        for iteration in range(1, max_iter + 1):
            if largest(g) <= group["tolerance_grad"]:
                break
            state["n_iter"] += 1
            fresh = state["n_iter"] == 1
            if fresh:
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            else:
                remember(state, g - state["prev_flat_grad"], d * t, group["history_size"])
            d = direction(g, state)
            t = lr * (1 / max(1.0, float(g.abs().sum()))) if fresh else lr
            before = Point(0.0, loss, float(g.dot(d)), g)
            state.update(prev_flat_grad=g, prev_loss=loss)
            if before.slope > -smallest:
                break
            start = [p.clone() for p in params]

            def at(t: float, d: Tensor = d, start: list[Tensor] = start) -> Point:
                move(params, start, d, t)
                value, g = evaluate()
                return Point(t, float(value), float(g.dot(d)), g)

            if group["line_search_fn"] is not None:
                left = until - state["func_evals"]
                t, loss, _, g = strong_wolfe(at, before, t, largest(d), evaluations=left)
                move(params, start, d, t)
            elif iteration < max_iter:
                t, loss, _, g = at(t)
            else:  # the last step's loss and gradient are the next call's business
                move(params, start, d, t)
            if state["func_evals"] >= until or largest(d) * t <= smallest or abs(loss - before.loss) < smallest:
                break
        state.update(d=d, t=t)
        return first


def pairs(x: Tensor) -> Tensor:
    """Return complex numbers as pairs of real ones, in the same memory."""
    return wengert.view_as_real(x) if x.is_complex() else x


def flat(tensors: list[Tensor]) -> Tensor:
    whole: Tensor = wengert.cat([pairs(x.detach().to_dense()).reshape(-1) for x in tensors])
    return whole


def largest(x: Tensor) -> float:
    return float(x.abs().max())


def move(params: list[Tensor], start: list[Tensor], d: Tensor, t: float) -> None:
    """Set every parameter to start + t * its part of d."""
    offset = 0
    for p, x in zip(params, start, strict=True):
        p.copy_(x + d[offset : offset + p.numel()].reshape(p.shape) * t)
        offset += p.numel()


def remember(state: State, y: Tensor, s: Tensor, size: int) -> None:
    """Add a step s and its change of gradient y to the history, if the curvature s'y along it is positive."""
    curvature = y.dot(s)
    if float(curvature) <= 1e-10:
        return
    for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1 / curvature)):
        state[name].append(value)
        del state[name][: -size or None]
    state["H_diag"] = curvature / y.dot(y)


def direction(g: Tensor, state: State) -> Tensor:
    """Return -H g by the two-loop recursion.

    Source: Nocedal and Wright, algorithm 7.4.
    """
    history = list(zip(state["old_stps"], state["old_dirs"], state["ro"], strict=True))
    d: Tensor = -g
    weights = []
    for s, y, rho in reversed(history):
        weights.append(s.dot(d) * rho)
        d.sub_(y * weights[-1])
    d.mul_(state["H_diag"])
    for s, y, rho in history:
        d.add_(s * (weights.pop() - y.dot(d) * rho))
    return d


def rounded(value: float, like: Tensor) -> float:
    """Return the value in the precision of `like`: no decrease is asked for that a float32 loss could not show."""
    return float(like.new_full((), value))


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Return where the cubic through the losses and slopes of a and b is least in [low, high]; else the middle.

    Source: Nocedal and Wright, equation 3.59.
    """
    a, b = sorted((a, b), key=lambda point: point.t)
    middle = (low + high) / 2
    if a.t == b.t:
        return middle
    c = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = c * c - a.slope * b.slope
    if not 0 <= square < math.inf:
        return middle
    root = math.sqrt(square)
    above, below = b.slope + root - c, b.slope - a.slope + 2 * root
    if below == 0:  # a straight line: as far down as may be
        return middle if above == 0 else low if above > 0 else high
    return min(max(b.t - (b.t - a.t) * above / below, low), high)


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, longest: float, c1: float = 1e-4, c2: float = 0.9,
    evaluations: int = 25, smallest: float = 1e-9,
) -> Point:  # fmt: skip
    """Return a point with loss <= loss_0 + c1 * t * slope_0 and |slope| <= c2 * |slope_0|, or the best one found.

    First t grows until an interval must hold such a point, then the interval shrinks; `evaluations` may follow the
    first. `longest` is max |d|.
    Source: Nocedal and Wright, algorithms 3.5 and 3.6; the limits of each guess are minFunc's.
    """

    def too_high(point: Point) -> bool:
        limit = rounded(start.loss + c1 * point.t * start.slope, start.g)
        return not point.loss <= limit  # nan is too high

    def flat_enough(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    previous, point, used = start, at(t), 0
    while used < evaluations:
        if too_high(point) or (used > 1 and point.loss >= previous.loss):
            break
        if flat_enough(point):
            return point
        if point.slope >= 0:
            break
        low, high = point.t + 0.01 * (point.t - previous.t), point.t * 10
        previous, point = point, at(cubic_minimum(previous, point, low, high))
        used += 1
    else:
        previous = start

    best, other = (previous, point) if not point.loss < previous.loss else (point, previous)
    stuck = False
    while used < evaluations and abs(other.t - best.t) * longest >= smallest:
        low, high = sorted((best.t, other.t))
        t, margin = cubic_minimum(best, other, low, high), 0.1 * (high - low)
        near_an_end = min(high - t, t - low) < margin
        if near_an_end and (stuck or t >= high or t <= low):  # twice near the same end: step inside
            t = high - margin if high - t < t - low else low + margin
            near_an_end = False
        stuck = near_an_end
        point = at(t)
        used += 1
        if too_high(point) or point.loss >= best.loss:
            other = point
            if other.loss < best.loss:
                best, other = other, best
        else:
            if flat_enough(point):
                return point
            if point.slope * (other.t - best.t) >= 0:
                other = best
            best = point
    return best
