"""Averages of weights over training: stochastic weight averaging and exponential moving averages.

Owns: `AveragedModel`, its ways to average, `SWALR`, `update_bn`. May import: `wengert`'s public names, the schedules.
Must not know: any optimizer, any layer but batch normalisation, whose statistics belong to the weights.
Source: P. Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import wengert
from wengert import nn
from wengert.optim.optimizer import Optimizer
from wengert_optim.lr_scheduler import LRScheduler, per_group

Average = Callable[[Any, Any, Any], Any]
Averages = Callable[[list[Any], list[Any], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return (average, new, count) -> decay * average + (1 - decay) * new."""
    _check_decay(decay)
    return lambda average, new, count: decay * average + (1 - decay) * new


def get_swa_avg_fn() -> Average:
    """Return (average, new, count) -> the mean of count + 1 values, of which `average` is that of the first count."""
    return lambda average, new, count: average + (new - average) / (count + 1)


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _of_lists(average: Average) -> Averages:
    def averages(old: list[Any], new: list[Any], count: Any) -> None:
        with wengert.no_grad():
            for a, b in zip(old, new, strict=True):
                a.copy_(average(a, b, count))

    return averages


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """Return the rule of `get_ema_avg_fn` for lists of tensors, which are written in place."""
    return _of_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """Return the rule of `get_swa_avg_fn` for lists of tensors, which are written in place."""
    return _of_lists(get_swa_avg_fn())


class AveragedModel(nn.Module):
    """A copy of a model that holds the average of the parameters it was shown by `update_parameters`.

    avg_fn(average, new, count) or multi_avg_fn(averages, news, count) say what the average is; by default the mean.
    use_buffers: average the buffers too, else they are those of the model shown last.
    """

    n_averaged: Any

    def __init__(
        self, model: Any, device: Any = None, avg_fn: Average | None = None, multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", wengert.tensor(0, dtype=wengert.long, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the averaged model returns."""
        return self.module(*args, **kwargs)

    def _averaged(self, model: Any) -> list[Any]:
        """Return the tensors of a model that are averaged."""
        return [p.detach() for p in itertools.chain(model.parameters(), model.buffers() if self.use_buffers else ())]

    def update_parameters(self, model: Any) -> None:
        """Take the parameters of a model into the average."""
        mine, theirs = self._averaged(self.module), self._averaged(model)
        theirs = [b.to(a.device) for a, b in zip(mine, theirs, strict=True)]
        if self.n_averaged == 0:
            for a, b in zip(mine, theirs, strict=True):
                a.copy_(b)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(mine, theirs, self.n_averaged)
        else:
            _of_lists(self.avg_fn or get_swa_avg_fn())(mine, theirs, self.n_averaged)
        if not self.use_buffers:
            for a, b in zip(self.module.buffers(), model.buffers(), strict=True):
                a.detach().copy_(b.detach().to(a.device))
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Let the model see all inputs of a loader, so that its batch normalisation has the statistics of its weights."""
    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
    model.train()
    with wengert.no_grad():
        for batch in loader:
            inputs = batch[0] if isinstance(batch, list | tuple) else batch
            model(inputs if device is None else inputs.to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """Lead the rate from wherever it is to `swa_lr` in `anneal_epochs` steps, along a line or half a cosine, and stay."""

    def __init__(
        self, optimizer: Optimizer, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos", last_epoch: int = -1
    ) -> None:  # fmt: skip
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        groups = optimizer.param_groups
        for group, rate in zip(groups, per_group(swa_lr, "swa_lr", optimizer), strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """Return how much of the way is done at a step, from 0 to 1."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            start = goal if before == 1 else (group["lr"] - goal * before) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates
