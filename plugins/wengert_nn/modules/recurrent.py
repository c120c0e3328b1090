"""Recurrent layers: RNN, LSTM, GRU, over sequences, and their cells, one step.

Owns: the three steps, their weights, the runs over time, layers and directions. May import: Module, `nn.functional`,
packed sequences. Must not know: devices. All sequences run as packed ones do: rows of `data` one time after another. Inputs
are multiplied by their weights for all times at once; a step adds what comes from the state.
Sources: S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997; K. Cho et al., Learning phrase representations using
RNN encoder-decoder, 2014; H. Sak et al., Long short-term memory recurrent neural network architectures, 2014 (projections).
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import wengert
from wengert import Tensor
from wengert.nn import functional as F
from wengert_nn.modules.linear import new_parameter, reciprocal_root, spread
from wengert_nn.modules.module import Module
from wengert_nn.recurrences import eager_on_host, gru_cell, lstm_cell, lstm_layer
from wengert_nn.utils.rnn import PackedSequence

State = tuple[Any, ...]  # (h,) or (h, c)
Step = Callable[[Any, State, Any, Any, Any], State]  # (what the input gives, state, w_hh, b_hh, w_hr) -> state


# ---- one step
def rnn_tanh(x: Any, state: State, w: Any, b: Any, projection: Any) -> State:
    """h' = tanh(x + w h + b)"""
    return ((x + F.linear(state[0], w, b)).tanh(),)


def rnn_relu(x: Any, state: State, w: Any, b: Any, projection: Any) -> State:
    """h' = max(0, x + w h + b)"""
    return (F.relu(x + F.linear(state[0], w, b)),)


def lstm(x: Any, state: State, w: Any, b: Any, projection: Any) -> State:
    """c' = sigmoid(f) c + sigmoid(i) tanh(g);   h' = sigmoid(o) tanh(c')   of i, f, g, o = x + w h + b"""
    h, c = state
    h, c = lstm_cell(*alike(x, F.linear(h, w, b), c), c)
    return (h if projection is None else F.linear(h, projection)), c


def gru(x: Any, state: State, w: Any, b: Any, projection: Any) -> State:
    """h' = n + sigmoid(z) (h - n);   n = tanh(n_x + sigmoid(r) n_h)   of r, z, n = x and w h + b, added up but for n"""
    (h,) = state
    return (gru_cell(*alike(x, F.linear(h, w, b), h), h),)


def alike(x: Any, y: Any, state: Any) -> tuple[Any, Any]:
    """Return two products in the state's dtype: autocast gives them in less."""
    return (x, y) if y.dtype is state.dtype else (x.to(state.dtype), y.to(state.dtype))


STEPS: dict[str, tuple[Step, int]] = {"RNN_TANH": (rnn_tanh, 1), "RNN_RELU": (rnn_relu, 1), "LSTM": (lstm, 4), "GRU": (gru, 3)}


def run(step: Step, data: Any, sizes: Sequence[int], state: State, weights: Sequence[Any], reverse: bool) -> tuple[Any, State]:
    """Return the outputs of all times, packed as data is, and the last state of each sequence."""
    w_ih, w_hh, b_ih, b_hh, projection = weights
    if step is not gru and b_hh is not None:  # both are added to the same: once for all times
        b_ih, b_hh = b_ih + b_hh, None
    given = F.linear(data, w_ih, b_ih)
    if step is lstm and given.dtype is not w_hh.dtype:  # in an autocast all of it is of the lower precision
        w_hh, state = w_hh.to(given.dtype), tuple(x.to(given.dtype) for x in state)
    if step is lstm and projection is None and sizes[0] == sizes[-1] and eager_on_host(given, w_hh, *state):
        rows = given.reshape(len(sizes), sizes[0], given.shape[-1])
        output, cells, _ = lstm_layer(rows.flip(0) if reverse else rows, w_hh, *state)
        whole = (output.flip(0) if reverse else output).reshape(len(data), output.shape[-1])
        return whole, (output[-1], cells[-1])
    inputs = given.split(list(sizes))
    outputs, ended = [], []
    now = tuple(x[: sizes[-1]] for x in state) if reverse and sizes[-1] != sizes[0] else state
    rows = now[0].shape[0]
    for x in reversed(inputs) if reverse else inputs:
        count = x.shape[0]
        if count < rows:
            ended.append(tuple(s[count:] for s in now))
            now = tuple(s[:count] for s in now)
        elif count > rows:
            now = tuple(wengert.cat([s, first[rows:count]]) for s, first in zip(now, state, strict=True))
        rows = count
        now = step(x, now, w_hh, b_hh, projection)
        outputs.append(now[0])
    if ended:
        now = tuple(wengert.cat(parts) for parts in zip(now, *reversed(ended), strict=True))
    return wengert.cat(outputs[::-1] if reverse else outputs), now


# ---- layers
class RNNBase(Module):
    """What RNN, LSTM and GRU share. All weights start from U(-k, k), k = 1 / sqrt(hidden_size)."""

    __constants__ = [
        "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size",
    ]  # fmt: skip

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check(dropout)
        directions, rows = 2 if bidirectional else 1, STEPS[mode][1] * hidden_size
        factory = {"device": device, "dtype": dtype}
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                inputs = (proj_size or hidden_size) * directions if layer else input_size
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, inputs), "weight_hh": (rows, proj_size or hidden_size)
                }  # fmt: skip
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, name + suffix, new_parameter(*shape, **factory))
                self._all_weights.append([name + suffix for name in shapes])
        self.reset_parameters()

    def _check(self, dropout: Any) -> None:
        if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:  # type: ignore[operator]
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout and self.num_layers == 1:
            warnings.warn(
                f"dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
                f"greater than 1, but got dropout={dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        kinds: dict[str, Any] = {"input_size": int, "hidden_size": int, "num_layers": int, "bias": bool, "batch_first": bool}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
            if kind is int and value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.proj_size and self.mode != "LSTM":
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        return (f"_l{layer}", f"_l{layer}_reverse") if self.bidirectional else (f"_l{layer}",)

    def reset_parameters(self) -> None:
        """Fill the parameters with what they start from."""
        spread(reciprocal_root(self.hidden_size), *self.parameters())

    def flatten_parameters(self) -> None:
        """Accepted for PyTorch programs; the weights lie where they lie."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            data, batch_sizes, order, back = input
            output, state = self._run(data, batch_sizes.tolist(), self._state(data, hx, int(batch_sizes[0]), order))
            if back is not None:
                state = tuple(x.index_select(1, back) for x in state)
            return PackedSequence(output, batch_sizes, order, back), self._given(state)
        if input.dim() not in (2, 3):
            raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        single = input.dim() == 2
        rows = input.unsqueeze(1) if single else input.transpose(0, 1) if self.batch_first else input
        if rows.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )
        if rows.dtype is not self.weight_ih_l0.dtype:
            raise ValueError(
                f"RNN input dtype ({rows.dtype}) does not match weight dtype ({self.weight_ih_l0.dtype}). Convert input: "
                f"input.to({self.weight_ih_l0.dtype}), or convert model: model.to({rows.dtype})"
            )
        times, batch = rows.shape[:2]
        if not times:
            raise RuntimeError(f"{type(self).__name__}: Expected sequence length to be larger than 0 in RNN")
        if single and hx is not None:
            given = hx if isinstance(hx, tuple) else (hx,)
            if any(x.dim() != 2 for x in given):
                dims = ", ".join(str(x.dim()) for x in given)
                raise RuntimeError(f"For unbatched 2-D input, hx should also be 2-D but got ({dims})-D tensor")
            hx = tuple(x.unsqueeze(1) for x in given) if isinstance(hx, tuple) else hx.unsqueeze(1)
        data, start = rows.reshape(times * batch, self.input_size), self._state(rows, hx, batch, None)
        output, state = self._run(data, [batch] * times, start)
        output = output.reshape(times, batch, output.shape[-1])
        if single:
            return output.squeeze(1), self._given(tuple(x.squeeze(1) for x in state))
        return output.transpose(0, 1) if self.batch_first else output, self._given(state)

    def _given(self, state: State) -> Any:
        return state if self.mode == "LSTM" else state[0]

    def _state(self, data: Any, hx: Any, batch: int, order: Any) -> State:
        """Return the first state, (layers * directions, batch, size) each. Raises RuntimeError for another shape."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = (self.proj_size or self.hidden_size, *((self.hidden_size,) if self.mode == "LSTM" else ()))
        if hx is None:
            return tuple(wengert.zeros(count, batch, n, dtype=data.dtype, device=data.device) for n in sizes)
        state = tuple(hx) if self.mode == "LSTM" else (hx,)
        for x, n, what in zip(state, sizes, ("hidden[0]" if len(sizes) > 1 else "hidden", "hidden[1]"), strict=False):
            if not isinstance(x, Tensor) or x.dim() != 3 or tuple(x.shape) != (count, batch, n):
                got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
                raise RuntimeError(f"Expected {what} size {(count, batch, n)}, got {got}")
        return state if order is None else tuple(x.index_select(1, order) for x in state)

    def _run(self, data: Any, sizes: list[int], state: State) -> tuple[Any, State]:
        step, directions = STEPS[self.mode][0], 2 if self.bidirectional else 1
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                weights = [getattr(self, name + suffix, None) for name in names]
                first = tuple(x[layer * directions + direction] for x in state)
                output, final = run(step, data, sizes, first, weights, direction == 1)
                outputs.append(output)
                last.append(final)
            data = outputs[0] if len(outputs) == 1 else wengert.cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        return data, tuple(wengert.stack(parts) for parts in zip(*last, strict=True))

    def extra_repr(self) -> str:
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        parts = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *parts])


class RNN(RNNBase):
    """h' = tanh(w_ih x + b_ih + w_hh h + b_hh) for each time of [length, batch, features]; nonlinearity: or "relu"."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
        proj_size: int = 0,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c') for each time of [length, batch, features].

    proj_size: h' is multiplied by a matrix of so many rows.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )


class GRU(RNNBase):
    """n = tanh(n_x + sigmoid(r) n_h), h' = n + sigmoid(z) (h - n) for each time of [length, batch, features]."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None, proj_size: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )


# ---- cells
class RNNCellBase(Module):
    """What the cells share. All weights start from U(-k, k), k = 1 / sqrt(hidden_size)."""

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, factory = num_chunks * hidden_size, {"device": device, "dtype": dtype}
        self.weight_ih = new_parameter(rows, input_size, **factory)
        self.weight_hh = new_parameter(rows, hidden_size, **factory)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, new_parameter(rows, **factory) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill the parameters with what they start from."""
        spread(reciprocal_root(self.hidden_size), *self.parameters())

    def _step(self, mode: str, input: Any, state: State | None) -> State:
        """Return the next state of one sample, or of a batch. Raises ValueError, RuntimeError for shapes that do not fit."""
        name, given = type(self).__name__, state or ()
        for what, x in (("input", input), *(("hidden", x) for x in given)):
            if x.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {x.dim()}D instead")
        single = input.dim() == 1
        rows = input.unsqueeze(0) if single else input
        if rows.shape[1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {rows.shape[1]} expected {self.input_size}")
        if state is None:
            zeros = wengert.zeros(rows.shape[0], self.hidden_size, dtype=rows.dtype, device=rows.device)
            state = (zeros, zeros) if mode == "LSTM" else (zeros,)
        elif single:
            state = tuple(x.unsqueeze(0) if x.dim() == 1 else x for x in state)
        for i, h in enumerate(state):
            if h.dim() == 2 and h.shape[0] != rows.shape[0]:
                raise RuntimeError(f"Input batch size {rows.shape[0]} doesn't match hidden{i} batch size {h.shape[0]}")
            if h.shape[-1] != self.hidden_size:
                raise RuntimeError(f"hidden{i} has inconsistent hidden_size: got {h.shape[-1]}, expected {self.hidden_size}")
        x = F.linear(rows, self.weight_ih, self.bias_ih)
        made = STEPS[mode][0](x, state, self.weight_hh, self.bias_hh, None)
        return tuple(x.squeeze(0) for x in made) if single else made

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size)]
        if not self.bias:
            parts.append(f"bias={self.bias}")
        if self.__dict__.get("nonlinearity", "tanh") != "tanh":
            parts.append(f"nonlinearity={self.nonlinearity}")
        return ", ".join(parts)


class RNNCell(RNNCellBase):
    """h' = tanh(w_ih x + b_ih + w_hh h + b_hh); nonlinearity: or "relu"."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        mode = f"RNN_{self.nonlinearity.upper()}"
        if mode not in STEPS:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(mode, input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'); the state is (h, c)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, ...]:
        return self._step("LSTM", input, None if hx is None else tuple(hx))


class GRUCell(RNNCellBase):
    """n = tanh(n_x + sigmoid(r) n_h), h' = n + sigmoid(z) (h - n)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._step("GRU", input, None if hx is None else (hx,))[0]
