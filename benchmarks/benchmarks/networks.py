"""Training steps of small networks as their users write them: modules, a loss, Adam, a batch of a few samples.

Owns: `NETWORKS`, and their asv benchmarks. May import: training (`Numbers`), engines. Must not know: how any library does it.
Weights and data are the same for all. Of such a step the calls count, and hardly what they compute.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .engines import MODES, TAPES, Step, engine, warm
from .training import Numbers

Made = tuple[Any, Callable[[Any], Any], Any]  # the network, its loss, given what it returns, and its input as an array
NETWORKS: dict[str, Callable[[Any, Numbers, Callable[[Any], Any]], Made]] = {}


def network(make: Callable[[Any, Numbers, Callable[[Any], Any]], Made]) -> Callable[[Any, Numbers, Callable[[Any], Any]], Made]:
    """Register a function of an engine's library, Numbers, and what places an array, that makes a network."""
    NETWORKS[make.__name__] = make
    return make


@network
def exclusive_or(T: Any, n: Numbers, place: Callable[[Any], Any]) -> Made:
    """2-8-1 on the four cases."""
    nn = T.nn
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
    cases = n.normal(4, 2) > 0
    y = place((cases[:, :1] != cases[:, 1:]).astype("f"))
    return model, lambda made: T.nn.functional.binary_cross_entropy(made, y), cases.astype("f")


@network
def classifier(T: Any, n: Numbers, place: Callable[[Any], Any]) -> Made:
    """4-16-16-3 with relu and cross entropy, batch 32."""
    nn = T.nn
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    y = place(n.integers(3, 32))
    return model, lambda made: T.nn.functional.cross_entropy(made, y), n.normal(32, 4)


@network
def policy(T: Any, n: Numbers, place: Callable[[Any], Any]) -> Made:
    """4-64-2, the logarithms of twenty actions' shares times what they earned."""
    nn = T.nn
    model = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
    actions, earned = place(n.integers(2, 20, 1)), place(n.normal(20))

    def loss(made: Any) -> Any:
        return -(T.nn.functional.log_softmax(made, -1).gather(1, actions)[:, 0] * earned).mean()

    return model, loss, n.normal(20, 4)


@network
def transformer_layer(T: Any, n: Numbers, place: Callable[[Any], Any]) -> Made:
    """A layer 16 wide with two heads, batch 2 of 8 positions."""
    model = T.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    y = place(n.normal(2, 8, 16))
    return model, lambda made: T.nn.functional.mse_loss(made, y), n.normal(2, 8, 16)


@network
def convolutional(T: Any, n: Numbers, place: Callable[[Any], Any]) -> Made:
    """A convolution of four channels, batch norm, pooling and a layer, batch 8 of 8 x 8."""
    nn = T.nn
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )
    y = place(n.integers(10, 8))
    return model, lambda made: T.nn.functional.cross_entropy(made, y), n.normal(8, 1, 8, 8)


@network
def recurrent_layer(T: Any, n: Numbers, place: Callable[[Any], Any]) -> Made:
    """An LSTM 16 wide over 12 steps, batch 8; its last state counts."""
    model = T.nn.LSTM(4, 16, batch_first=True)
    y = place(n.normal(8, 16))
    return model, lambda made: T.nn.functional.mse_loss(made[0][:, -1], y), n.normal(8, 12, 4)


def step_of(place: Any, name: str, mode: str) -> Step:
    """Return a training step of a network on an engine."""
    T, n = place.T, Numbers()
    model, loss_of, given = NETWORKS[name](T, n, place.place)
    model.to(place.device)
    with T.no_grad():
        for p in model.parameters():
            p.copy_(place.place(n.normal(*p.shape, scale=0.3)))
    x = place.place(given)
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x))
        loss.backward()
        optimizer.step()
        return loss

    return place.capture(step) if mode == "captured" else step


@functools.cache
def warmed(name: str, mode: str, network: str) -> Step:
    """Return a step that is warm: once a process."""
    return warm(lambda: step_of(engine(name), network, mode))


class Networks:
    """One step of each network."""

    params = (TAPES, MODES, list(NETWORKS))
    param_names = ["engine", "mode", "network"]
    timeout = 600  # compilers

    def setup(self, name: str, mode: str, network: str) -> None:
        self.engine, self.step = engine(name), warmed(name, mode, network)

    def time_step(self, name: str, mode: str, network: str) -> None:
        self.engine.wait(self.step())
