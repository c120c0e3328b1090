"""Learning-rate schedules: each says by what factor the rate changes at a step, and often the rate in closed form.

Owns: `LRScheduler` and PyTorch's schedules; attribute names are PyTorch's, so that state dicts are exchanged.
May import: `wengert`'s public names and the optimizer base class. Must not know: devices, arrays, any optimizer.
A schedule that only multiplies (`ratio`) composes with others and with changes by hand. A Tensor `lr` is kept and
written in place.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import wengert
from wengert.optim.optimizer import Optimizer

Lambda = Callable[[int], float]


class LRScheduler:
    """Set the learning rate of every group, once at the start and once a `step()`.

    A subclass gives `get_lr()`, the rates at `last_epoch`, one a group; and `_get_closed_form_lr()`, for
    `step(epoch)`, if the rate can be had without the one before. The first rate is kept as group["initial_lr"].

    Raises: TypeError if `optimizer` is not one, KeyError when resuming (last_epoch >= 0) without "initial_lr".
    """

    optimizer: Optimizer
    base_lrs: list[Any]
    last_epoch: int
    _step_count: int = 0
    _is_initial: bool = False
    _get_lr_called_within_step: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if last_epoch != -1:
            for i, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        f"param_groups[{i}] has no 'initial_lr', which resuming at last_epoch={last_epoch} needs; "
                        f"load the optimizer's state dict first, or start with last_epoch=-1"
                    )
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", _copied(group["lr"]))
        if "_opt_called" not in vars(optimizer):
            optimizer._opt_called = False
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.base_lrs = [_copied(group["initial_lr"]) for group in optimizer.param_groups]
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count, self._is_initial, self._get_lr_called_within_step = 0, True, False
        try:
            self.step()
        finally:
            self._is_initial = False

    def _undo_initial_step(self) -> None:
        """Forget that the first epoch was set: a later phase of `SequentialLR` has not begun."""
        self.last_epoch -= 1

    def get_last_lr(self) -> list[Any]:
        """Return the rates that this scheduler set last, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """Return the rates at `last_epoch`, one a group."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch and set its rates; `step(epoch)`, which is deprecated, jumps there."""
        if self._step_count == 1 and not self._is_initial:
            self._warn_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` is deprecated: call `scheduler.step()` once an epoch. "
                "With it, the rate comes from the closed form where there is one, not from the rate before.",
                UserWarning,
                stacklevel=2,
            )
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            with wengert.no_grad():
                if epoch is None:
                    self.last_epoch += 1
                    rates = self.get_lr()
                else:
                    self.last_epoch = epoch
                    closed = getattr(self, "_get_closed_form_lr", self.get_lr)
                    rates = closed()
        finally:
            self._get_lr_called_within_step = False
        self._set(rates)

    def _set(self, rates: Sequence[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            _write(group, "lr", rate)
        self._last_lr: list[Any] = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def _warn_order(self) -> None:
        if "step" in vars(self.optimizer):
            warnings.warn(
                "`optimizer.step()` has been overridden since this scheduler was made, so it is not known "
                "whether it was called; call it before `lr_scheduler.step()`.",
                UserWarning,
                stacklevel=3,
            )
        elif not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them the other way round, "
                "else the first rate of the schedule is never used.",
                UserWarning,
                stacklevel=3,
            )

    def _warn_outside(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "get_lr() computes the next rate, and only `step()` may ask for it; please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return everything the scheduler holds, but not the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict()`; load the optimizer's too."""
        self.__dict__.update(state_dict)


def _copied(rate: Any) -> Any:
    return rate.detach().clone() if isinstance(rate, wengert.Tensor) else rate


def _write(group: dict[str, Any], key: str, value: Any) -> None:
    """Set a hyperparameter; into the Tensor that is there, so that a captured step reads the new value."""
    held = group[key]
    if isinstance(held, wengert.Tensor):
        with wengert.no_grad():
            held.fill_(float(value))
    else:
        group[key] = value


def per_group(value: Any, name: str, optimizer: Optimizer) -> list[Any]:
    """Return one value a group, of a Tensor its own copy: the caller, or the group's rate, may write to it.

    Raises ValueError if a list has another length.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: it has {len(value)} values, "
            f"there are {count} groups"
        )
    return [v.detach().clone() if isinstance(v, wengert.Tensor) else v for v in value]


# Schedules given by a function.


class _ByFunction(LRScheduler):
    """What holds a function of the epoch, or one for every group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Lambda | list[Lambda], last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        count, given = len(optimizer.param_groups), lr_lambda
        if isinstance(given, (list, tuple)) and len(given) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(given)}")
        self.lr_lambdas: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given] * count
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return everything the scheduler holds; of the functions, the attributes of callable objects only."""
        state = super().state_dict()
        return {**state, "lr_lambdas": [_attributes(f) for f in state["lr_lambdas"]]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict()`; functions stay as they are, callable objects get their attributes."""
        saved = zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True)
        for function, attributes in saved:
            if attributes is not None:
                vars(function).update(attributes)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})


def _attributes(function: Any) -> dict[str, Any] | None:
    """Return what can be saved of a function: the attributes of a callable object, nothing of a plain function."""
    return dict(vars(function)) if hasattr(function, "__dict__") and not hasattr(function, "__code__") else None


class LambdaLR(_ByFunction):
    """Set the rate to the initial one times a given function of the epoch: lr_t = lr_0 * lr_lambda(t).

    Raises: ValueError if a list of functions does not match the groups.
    """

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_ByFunction):
    """Multiply the rate by a given function of the epoch: lr_t = lr_t-1 * lr_lambda(t).

    Raises: ValueError if a list of functions does not match the groups.
    """

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        groups = zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)
        return [group["lr"] * (1.0 if self._is_initial else f(self.last_epoch)) for group, f in groups]


# Schedules that multiply the rate there is.


class _Multiplying(LRScheduler):
    """lr_t = lr_t-1 * ratio(t)."""

    def ratio(self) -> float:
        """Return lr_t / lr_t-1 at t = `last_epoch`."""
        raise NotImplementedError

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        ratio = self.ratio()
        return [group["lr"] * ratio for group in self.optimizer.param_groups]


class StepLR(_Multiplying):
    """Multiply the rate by gamma every `step_size` epochs: lr_t = lr_0 * gamma**(t // step_size)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def ratio(self) -> float:
        return self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1.0

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(_Multiplying):
    """Multiply the rate by gamma at each milestone: lr_t = lr_0 * gamma**(number of milestones <= t)."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def ratio(self) -> float:
        return self.gamma ** sum(n for epoch, n in self.milestones.items() if epoch == self.last_epoch)

    def _get_closed_form_lr(self) -> list[Any]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ConstantLR(_Multiplying):
    """Multiply the rate by `factor` until epoch `total_iters`: lr_t = lr_0 * (factor if t < total_iters else 1).

    Raises: ValueError unless 0 <= factor <= 1.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"factor is expected to be between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def ratio(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1.0

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * (1.0 if self.last_epoch >= self.total_iters else self.factor) for base in self.base_lrs]


class LinearLR(_Multiplying):
    """Move a factor on the rate from `start_factor` to `end_factor` along a line of `total_iters` epochs.

    lr_t = lr_0 * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)

    Raises: ValueError unless 0 < start_factor <= 1 and 0 <= end_factor <= 1.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1:
            raise ValueError(f"start_factor is expected to be above 0 and at most 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"end_factor is expected to be between 0 and 1, got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def ratio(self) -> float:
        t, rise = self.last_epoch, self.end_factor - self.start_factor
        if t == 0:
            return self.start_factor
        if self._is_initial or t > self.total_iters:
            return 1.0
        return 1.0 + rise / (self.total_iters * self.start_factor + (t - 1) * rise)

    def _get_closed_form_lr(self) -> list[Any]:
        way = min(self.last_epoch, self.total_iters) / self.total_iters
        return [base * (self.start_factor + (self.end_factor - self.start_factor) * way) for base in self.base_lrs]


class ExponentialLR(_Multiplying):
    """Multiply the rate by gamma every epoch: lr_t = lr_0 * gamma**t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def ratio(self) -> float:
        return 1.0 if self._is_initial else self.gamma

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(_Multiplying):
    """Let the rate fall to zero along a power of the epochs left.

    lr_t = lr_0 * (1 - min(t, total_iters) / total_iters)**power
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def ratio(self) -> float:
        t, end = self.last_epoch, self.total_iters
        if self._is_initial or t == 0 or t > end:
            return 1.0
        ratio: float = ((1.0 - t / end) / (1.0 - (t - 1) / end)) ** self.power
        return ratio

    def _get_closed_form_lr(self) -> list[Any]:
        left = 1.0 - min(self.last_epoch, self.total_iters) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


# Schedules along a cosine.


class CosineAnnealingLR(LRScheduler):
    """Let the rate fall to `eta_min` along half a cosine of `T_max` epochs, and rise again after it.

    lr_t = eta_min + (lr_t-1 - eta_min) * (1 + cos(pi t / T_max)) / (1 + cos(pi (t - 1) / T_max))
         = eta_min + (lr_0 - eta_min) * (1 + cos(pi t / T_max)) / 2, if nothing else changes the rate

    Source: Loshchilov and Hutter, SGDR (ICLR 2017), without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        t, groups = self.last_epoch, self.optimizer.param_groups
        if self._is_initial or t == 0:
            return [group["lr"] for group in groups]
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # after the lowest rate, the ratio is x / 0
            up = (1 - math.cos(math.pi / self.T_max)) / 2
            bases = zip(groups, self.base_lrs, strict=True)
            return [group["lr"] + (base - self.eta_min) * up for group, base in bases]
        ratio = (1 + math.cos(math.pi * t / self.T_max)) / (1 + math.cos(math.pi * (t - 1) / self.T_max))
        return [self.eta_min + (group["lr"] - self.eta_min) * ratio for group in groups]

    def _get_closed_form_lr(self) -> list[Any]:
        return [_cosine(base, self.eta_min, self.last_epoch, self.T_max) for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Let the rate fall along half a cosine, then start over, each time over `T_mult` times as many epochs.

    lr = eta_min + (lr_0 - eta_min) * (1 + cos(pi T_cur / T_i)) / 2,  T_cur epochs after the last restart

    `step(epoch)` takes fractions of an epoch.
    Raises: ValueError unless T_0 and T_mult are positive integers and eta_min a number.
    Source: Loshchilov and Hutter, SGDR (ICLR 2017).
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0 = self.T_i = T_0
        self.T_mult, self.eta_min = T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        return [_cosine(base, self.eta_min, self.T_cur, self.T_i) for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to `epoch`, which may lie between two."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
        elif epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        else:
            self.T_cur, self.T_i = epoch, self.T_0
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self.last_epoch = math.floor(epoch) - 1
        super()._update_lr()

    def _update_lr(self, epoch: float | None = None) -> None:
        self.step(epoch)


def _cosine(high: Any, low: float, t: float, period: float) -> Any:
    return low + (high - low) * (1 + math.cos(math.pi * t / period)) / 2


# Schedules that go up and down, the momentum down and up.


class _Cycling(LRScheduler):
    """What moves the momentum (or Adam's beta1) against the rate."""

    cycle_momentum: bool
    use_beta1: bool

    def _check_momentum(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if not self.cycle_momentum:
            return
        self.use_beta1 = "betas" in optimizer.defaults
        if not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def _range_of_momentum(self, optimizer: Optimizer, base: Any, top: Any) -> list[tuple[Any, Any]]:
        return list(
            zip(
                per_group(base, "base_momentum", optimizer),
                per_group(top, "max_momentum", optimizer),
                strict=True,
            )
        )


class CyclicLR(_Cycling):
    """Let the rate go up from `base_lr` to `max_lr` and down again, over and over; a step is a batch.

    lr = base_lr + (max_lr - base_lr) * height * scale,  height from 0 to 1 in step_size_up steps and back in
    step_size_down;  scale = 1 ("triangular"), 1 / 2**(cycle - 1) ("triangular2"), gamma**t ("exp_range"), or
    scale_fn of the cycle's number or of t (scale_mode).
    With cycle_momentum: momentum = max - (max - base) * height * scale.

    Raises: ValueError for an unknown mode, lists that do not match the groups, an optimizer without momentum.
    Source: Smith, Cyclical Learning Rates for Training Neural Networks (WACV 2017).
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8, max_momentum: float | list[float] = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode is invalid and scale_fn is None: {mode!r}")
        self.cycle_momentum = cycle_momentum
        self._check_momentum(optimizer)
        rates = per_group(base_lr, "base_lr", optimizer)
        self.max_lrs = per_group(max_lr, "max_lr", optimizer)
        down = float(step_size_up if step_size_down is None else step_size_down)
        self.total_size = float(step_size_up) + down
        self.step_ratio = float(step_size_up) / self.total_size
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        self.scale_mode = "iterations" if scale_fn is None and mode == "exp_range" else scale_mode
        if scale_fn is None and mode != "exp_range":
            self.scale_mode = "cycle"
        if cycle_momentum:
            momenta = self._range_of_momentum(optimizer, base_momentum, max_momentum)
            self.base_momentums, self.max_momentums = [low for low, _ in momenta], [high for _, high in momenta]
            if last_epoch == -1:
                for group, (low, high) in zip(optimizer.param_groups, momenta, strict=True):
                    group["max_momentum"], group["base_momentum"] = high, low
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                _write(group, "lr", rate)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = rates  # also where another scheduler, or a resumed run, left another initial_lr
        self._set(self._rates())

    def scale_fn(self, x: float) -> float:
        """Return the scale of the amplitude at cycle or step `x`."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        scale: float = {"triangular": 1.0, "triangular2": 0.5 ** (x - 1)}.get(self.mode, self.gamma**x)
        return scale

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        return self._rates()

    def _rates(self) -> list[Any]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momenta = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, momenta, strict=True):
                self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return everything the scheduler holds; of `scale_fn`, the attributes of a callable object only."""
        state = super().state_dict()
        function = state.pop("_scale_fn_custom")
        return {**state, "_scale_fn_custom": _attributes(function)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict()`; a `scale_fn` function stays as it is."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        if state_dict.get("_scale_fn_custom") is not None:
            vars(self._scale_fn_custom).update(state_dict["_scale_fn_custom"])


class OneCycleLR(_Cycling):
    """Let the rate go up to `max_lr` once and down to almost nothing; a step is a batch.

    From max_lr / div_factor up to max_lr in pct_start of the steps, down to max_lr / div_factor / final_div_factor
    in the others; three_phase: down to the start over as many steps as up, then to the end. Between two such rates
    a and b: b + (a - b) * (1 + cos(pi x)) / 2, or a + (b - a) * x ("linear"). Momentum moves the other way.

    Raises: ValueError for a missing or bad number of steps, pct_start, anneal_strategy; an optimizer without
    momentum; more steps than total_steps.
    Source: Smith and Topin, Super-Convergence (2018).
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self.total_steps = _steps_in_all(total_steps, epochs, steps_per_epoch)
        if not (isinstance(pct_start, float) and 0 <= pct_start <= 1):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_func_type, self.cycle_momentum = anneal_strategy, cycle_momentum
        self._check_momentum(optimizer)
        up, end = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        down = 2 * up
        phases = [(up, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            phases += [
                (down, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (end, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            phases += [(end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        keys = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
        self._schedule_phases: list[dict[str, Any]] = [dict(zip(keys, phase, strict=True)) for phase in phases]
        highest = per_group(max_lr, "max_lr", optimizer)
        momenta = self._range_of_momentum(optimizer, base_momentum, max_momentum)
        if last_epoch == -1:
            for group, high, (low_momentum, high_momentum) in zip(
                optimizer.param_groups, highest, momenta, strict=True
            ):
                first = high / div_factor
                group.update(initial_lr=first, max_lr=high, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(max_momentum=high_momentum, base_momentum=low_momentum)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times, but total_steps is {self.total_steps}")
        begin: float = 0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            begin = end
        way = (step - begin) / (end - begin) if end != begin else 1.0
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                pair = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*pair, way))
        groups = self.optimizer.param_groups
        return [self._between(group[phase["start_lr"]], group[phase["end_lr"]], way) for group in groups]

    def _between(self, a: float, b: float, way: float) -> Any:
        return (b - a) * way + a if self._anneal_func_type == "linear" else _cosine(a, b, way, 1)


def _steps_in_all(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        for name, value in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            if not (isinstance(value, int) and value > 0):
                raise ValueError(f"Expected positive integer {name}, but got {value}")
        return int(epochs * steps_per_epoch)
    if not (isinstance(total_steps, int) and total_steps > 0):
        raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
    return total_steps


# A schedule that watches a metric.


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` epochs.

    Better than the best so far: metric < best * (1 - threshold) ("rel") or best - threshold ("abs"); mode="max":
    metric > best * (1 + threshold) or best + threshold. After a reduction, `cooldown` epochs do not count as bad.
    A rate never falls below min_lr, and changes smaller than eps are not made.

    Raises: ValueError for factor >= 1, an unknown mode or threshold_mode, min_lr that does not match the groups.
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        groups = len(optimizer.param_groups)
        if isinstance(min_lr, (list, tuple)):
            if len(min_lr) != groups:
                raise ValueError(f"expected {groups} min_lrs, got {len(min_lr)}")
            self.default_min_lr, self.min_lrs = None, list(min_lr)
        else:
            self.default_min_lr, self.min_lrs = min_lr, [min_lr] * groups
        self.optimizer, self.factor, self.patience = optimizer, factor, patience
        self.cooldown, self.eps = cooldown, eps
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.last_epoch = 0
        self._last_lr = [_copied(group["lr"]) for group in optimizer.param_groups]
        self._reset()

    def _reset(self) -> None:
        """Forget the best metric and the bad epochs."""
        self.best, self.cooldown_counter, self.num_bad_epochs = self.mode_worse, 0, 0

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of an epoch's metric, and reduce the rates if it is time."""
        current = float(metrics)
        if epoch is not None:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` is deprecated: call `scheduler.step(metrics)`.",
                UserWarning,
                stacklevel=2,
            )
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr(self.last_epoch)
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def _is_better(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = self.threshold * self.best if self.threshold_mode == "rel" else self.threshold
        if math.isinf(self.best):
            return sign * metric > sign * self.best
        return sign * metric > sign * (self.best + sign * margin)

    def _reduce_lr(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"the optimizer has {len(groups)} param groups, but min_lrs has {len(self.min_lrs)} values: "
                    f"after adding a group, set the scheduler's `min_lrs` to one value a group"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                _write(group, "lr", new)


# Schedules made of schedules.


class _Composite(LRScheduler):
    """What holds other schedulers, which all steer one optimizer."""

    _schedulers: list[Any]

    def _check(self, schedulers: Sequence[Any], optimizer: Any) -> None:
        name = type(self).__name__
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} is made of schedulers, but index {i} is a {type(scheduler).__name__}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau`, whose step needs a metric; one is at index {i}"
                )
            if scheduler.optimizer is not (schedulers[0].optimizer if optimizer is None else optimizer):
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but the "
                    f"{type(scheduler).__name__} at index {i} has another one"
                )

    def _undo_initial_step(self) -> None:
        for scheduler in self._schedulers:
            scheduler._undo_initial_step()

    def state_dict(self) -> dict[str, Any]:
        """Return everything the scheduler holds, with the state dicts of its schedulers."""
        state = {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "_schedulers")}
        return {**state, "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict()`, each of the schedulers its own."""
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Composite):
    """Follow one schedule after the other, each from its own start, changing at the milestones.

    Raises: ValueError unless there is one milestone fewer than schedulers, all of the same optimizer.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[Any], milestones: list[int], last_epoch: int = -1
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError("SequentialLR expects at least one scheduler")
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR changes its scheduler at every milestone, so {len(schedulers)} schedulers need "
                f"{len(schedulers) - 1} milestones, but got {len(milestones)}"
            )
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.last_epoch, self.optimizer = last_epoch + 1, optimizer
        self._initial_step(undo=self._schedulers)

    def _initial_step(self, undo: Iterable[Any] = ()) -> None:
        for group in self.optimizer.param_groups:
            _write(group, "lr", group["initial_lr"])
        for scheduler in undo:
            scheduler._undo_initial_step()
        current = self._schedulers[bisect_right(self._milestones, 0)]
        current._initial_step()
        self._last_lr = current.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch of the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        current = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            current._update_lr(0)
        else:
            current.step()
        self._last_lr = current.get_last_lr()


class ChainedScheduler(_Composite):
    """Step several schedulers together; those that multiply the rate compose.

    Raises: ValueError unless there is a scheduler and all are of the same optimizer.
    """

    def __init__(self, schedulers: Sequence[Any], optimizer: Optimizer | None = None) -> None:
        if len(schedulers) < 1:
            raise ValueError("ChainedScheduler expects at least one scheduler")
        self._check(schedulers, optimizer)
        self._schedulers = list(schedulers)
        self.optimizer = schedulers[0].optimizer
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def _initial_step(self) -> None:
        for scheduler in self._schedulers:
            scheduler._initial_step()
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def step(self) -> None:  # type: ignore[override]
        """Step every scheduler once."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]
