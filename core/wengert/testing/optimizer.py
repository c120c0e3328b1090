"""Whether an optimizer is right: it descends, can be saved and restored, minds its groups, and does the same on every device.

Owns: `check_optimizer`, and the small training that `wengert.testing.device` runs with every optimizer. May import:
`wengert`'s public names, NumPy. Must not know: pytest, any optimizer, any device.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import wengert as w

Array = np.ndarray[Any, Any]
Step = Callable[[], Any]


class Training:
    """A small network, its data and an optimizer on a device: the same in every run.

    optimizer: a class, or a function (parameters, **options) -> optimizer; one with `matrices_only` gets no vector.
    """

    def __init__(self, optimizer: Any, options: Mapping[str, Any] = {}, device: Any = None, dtype: str = "float64") -> None:
        rng = np.random.default_rng(0)

        def there(*shape: int) -> Any:
            return w.from_numpy(rng.normal(size=shape).astype(dtype)).to(device or "cpu")

        self.x, self.y = there(16, 5), there(16, 1)
        vector = (1, 8) if getattr(optimizer, "matrices_only", False) else (8,)
        self.params = [p.requires_grad_() for p in (there(5, 8), there(8, 1), there(*vector))]
        self.optimizer = optimizer(self.params, **options)
        self.losses: list[float] = []

    def closure(self) -> Any:
        """Clear the gradients, compute the loss and go back through it."""
        return self.parts()[0]()

    def parts(self) -> tuple[Step, Step]:
        """Return the closure, and a step with it, as functions of tensors by name: what a compiled function can watch."""
        (w1, w2, b), x, y, optimizer = self.params, self.x, self.y, self.optimizer
        sparse = () if getattr(optimizer, "dense_gradients", True) else self.params

        def closure() -> Any:
            optimizer.zero_grad()
            loss = ((w.tanh(x @ w1 + b) @ w2 - y) ** 2).mean()
            loss.backward()
            for p in sparse:
                p.grad = p.grad.to_sparse()
            return loss

        def step() -> Any:
            if isinstance(optimizer, w.optim.LBFGS):
                return optimizer.step(closure)
            loss = closure()
            optimizer.step()
            return loss

        closure.__module__ = step.__module__ = "program"  # a user's: `compile` does not watch what wengert's own functions hold
        return closure, step

    def run(self, steps: int, wrap: Callable[[Step], Step] = lambda step: step) -> list[Array]:
        """Take steps; return the parameters and all losses so far."""
        step = wrap(self.parts()[1])
        for _ in range(steps):
            self.losses.append(step().item())
        return [p.detach().cpu().numpy() for p in self.params] + [np.asarray(self.losses)]


def same(actual: list[Array], expected: list[Array], tolerance: float, what: str) -> None:
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, tolerance, tolerance, err_msg=what)


def check_optimizer(
    optimizer: Any, *, steps: int = 40, falls: float = 0.9, compiled: bool = True, devices: Any = (), **options: Any
) -> None:
    """Raise AssertionError unless an optimizer does what every optimizer must.

    optimizer: a class, a function (parameters, **options) -> optimizer, or a name in `wengert.optim`. options: its
    hyperparameters. steps, falls: within so many steps the loss of a small network falls below that part of the first.
    compiled: False for one that asks for values while it steps, as L-BFGS does. devices: names of devices on which it must
    take the same steps, or "all" that are here.

    It must: lower the loss; return what a closure returns; leave a parameter without gradient and one of another group's
    learning rate 0 as it is; record nothing; go on from a saved state, and from a copy bit by bit; keep the type of float32
    parameters; and take the same steps inside of `wengert.compile`.
    """
    factory = getattr(w.optim, optimizer) if isinstance(optimizer, str) else optimizer
    name = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", repr(optimizer))

    training = Training(factory, options)
    before = [p.detach().numpy().copy() for p in training.params]
    training.run(steps)
    first, last = training.losses[0], training.closure().item()
    assert last < falls * first, f"{name}: after {steps} steps the loss is {last:.4g}, it was {first:.4g}; options {options}"
    assert all(p.requires_grad and p.is_leaf for p in training.params), f"{name}: a step was recorded, or replaced a parameter"
    assert not np.array_equal(before[0], training.params[0].detach().numpy()), f"{name}: the parameters did not move"

    loss = training.optimizer.step(training.closure)
    assert loss is not None and loss.shape == (), f"{name}: step(closure) must return what the closure returns, got {loss!r}"

    check_state(name, factory, options)
    check_groups(name, factory, options)
    narrow = Training(factory, options, dtype="float32")
    narrow.run(3)
    assert all(p.dtype is w.float32 for p in narrow.params), f"{name}: a float32 parameter changed its type"
    from wengert.testing.device import ready

    expected = Training(factory, options).run(3)
    if compiled:
        same(Training(factory, options).run(3, w.compile), expected, 1e-10, f"{name}: compiled steps differ")
    for device in ready() if devices == "all" else devices:
        same(Training(factory, options, device).run(3), expected, 1e-8, f"{name}: on {device} the steps differ from the host's")


def check_state(name: str, factory: Any, options: dict[str, Any]) -> None:
    """Raise AssertionError unless a run goes on from a saved state and from a copy as if it had not stopped.

    Loading a state casts it to the type of the parameter, as in PyTorch: a float32 product among float64 may round.
    """
    whole = Training(factory, options).run(6)
    begun = Training(factory, options)
    begun.run(3)
    saved = copy.deepcopy(begun.optimizer.state_dict())
    values = [p.detach().clone() for p in begun.params]
    resumed = Training(factory, options)
    with w.no_grad():
        for p, value in zip(resumed.params, values, strict=True):
            p.copy_(value)
    resumed.optimizer.load_state_dict(saved)
    resumed.losses = list(begun.losses)
    same(resumed.run(3), whole, 1e-9, f"{name}: it does not go on from state_dict() as it would have")
    again = copy.deepcopy(begun)
    same(again.run(3), whole, 0, f"{name}: a copy does not go on as the original would have")


def check_groups(name: str, factory: Any, options: dict[str, Any]) -> None:
    """Raise AssertionError unless a parameter without gradient stays, and each group has its own learning rate."""
    shape = (3, 1) if getattr(factory, "matrices_only", False) else (3,)
    moved, kept, idle = (w.ones(shape, dtype=w.float64, requires_grad=True) for _ in range(3))
    one_group = factory is getattr(w.optim, "LBFGS", None)
    groups = [moved, idle] if one_group else [{"params": [moved, idle]}, {"params": [kept], "lr": 0.0}]
    optimizer = factory(groups, **options)
    groups_lr = all("lr" in group for group in optimizer.param_groups)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((moved - 3) ** 2).sum() + ((kept - 3) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert idle.grad is None and idle.flatten().tolist() == [1.0] * 3, f"{name}: a parameter without gradient was changed"
    assert moved.flatten().tolist() != [1.0] * 3, f"{name}: a parameter with a gradient was not changed"
    if groups_lr and not one_group:
        away = float((kept.detach() - 1).abs().max())
        assert away < 1e-3, f"{name}: a group with lr=0 was changed: update must read group['lr']"
