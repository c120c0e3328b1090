"""What PyTorch has at the top of `torch` for losses and recurrent layers: reductions are numbers, weights come in a list.

Owns: these names. May import: `nn.functional`, the runs over time of the recurrent layers. Must not know: devices, any op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wengert
from wengert.nn import functional as F
from wengert_nn.modules.recurrent import STEPS, run

REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}


def named(reduction: Any) -> str:
    """Return a reduction's name. Raises ValueError for another number."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction!r} is not a valid value for reduction: here 0 (none), 1 (mean) or 2 (sum) is")
    return REDUCTIONS[reduction]


# ---- losses
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Any:
    """Return `nn.functional.binary_cross_entropy_with_logits`; reduction: 0 none, 1 mean, 2 sum."""
    return F.binary_cross_entropy_with_logits(input, target, weight, pos_weight=pos_weight, reduction=named(reduction))


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1) -> Any:
    """Return `nn.functional.cosine_embedding_loss`; reduction: 0 none, 1 mean, 2 sum."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=named(reduction))


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """Return `nn.functional.ctc_loss`; reduction: 0 none, 1 mean, 2 sum."""
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, named(reduction), zero_infinity)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: int = 1) -> Any:
    """Return `nn.functional.hinge_embedding_loss`; reduction: 0 none, 1 mean, 2 sum."""
    return F.hinge_embedding_loss(input, target, margin, reduction=named(reduction))


def kl_div(input: Any, target: Any, reduction: int = 1, *, log_target: bool = False) -> Any:
    """Return `nn.functional.kl_div`; reduction: 0 none, 1 mean over all elements, 2 sum."""
    losses, how = F.kl_div(input, target, reduction="none", log_target=log_target), named(reduction)
    return losses if how == "none" else losses.mean() if how == "mean" else losses.sum()


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1) -> Any:
    """Return `nn.functional.margin_ranking_loss`; reduction: 0 none, 1 mean, 2 sum."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=named(reduction))


def poisson_nll_loss(input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int) -> Any:
    """Return `nn.functional.poisson_nll_loss`; reduction: 0 none, 1 mean, 2 sum."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=named(reduction))


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
    reduction: int = 1,
) -> Any:  # fmt: skip
    """Return `nn.functional.triplet_margin_loss`; reduction: 0 none, 1 mean, 2 sum."""
    return F.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=named(reduction))


# ---- recurrent layers
def _layers(
    mode: str, data: Any, sizes: Sequence[int], state: tuple[Any, ...], params: Sequence[Any], biases: bool, layers: int,
    dropout: float, train: bool, bidirectional: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the outputs of all times and the last states. params: of each layer and direction w_ih, w_hh, and b_ih, b_hh."""
    directions, last = 2 if bidirectional else 1, []
    each = len(params) // (layers * directions)
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            own = list(params[place * each : (place + 1) * each])
            projection = own.pop() if each in (3, 5) else None
            weights = [*own[:2], *(own[2:4] if biases else (None, None)), projection]
            output, final = run(STEPS[mode][0], data, sizes, tuple([x[place] for x in state]), weights, direction == 1)
            outputs.append(output)
            last.append(final)
        data = outputs[0] if directions == 1 else wengert.cat(outputs, -1)
        if dropout and train and layer < layers - 1:
            data = F.dropout(data, dropout, True)
    return data, *[wengert.stack(parts) for parts in zip(*last, strict=True)]


def _recurrent(mode: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run layers over [length, batch, features], or, where the second argument is a tensor of sizes, over packed rows."""
    if isinstance(given[3], list | tuple):
        data, sizes, hx, params, biases, layers, dropout, train, bidirectional = given
        state = tuple(hx) if mode == "LSTM" else (hx,)
        return _layers(mode, data, sizes.tolist(), state, params, biases, layers, dropout, train, bidirectional)
    input, hx, params, biases, layers, dropout, train, bidirectional, batch_first = given
    rows, state = input.transpose(0, 1) if batch_first else input, tuple(hx) if mode == "LSTM" else (hx,)
    times, batch = rows.shape[:2]
    data = rows.reshape(times * batch, rows.shape[-1])
    output, *last = _layers(mode, data, [batch] * times, state, params, biases, layers, dropout, train, bidirectional)
    output = output.reshape(times, batch, output.shape[-1])
    return output.transpose(0, 1) if batch_first else output, *last


def lstm(*given: Any) -> tuple[Any, ...]:
    """Return (outputs, h, c) of (input, (h, c), params, has_biases, num_layers, dropout, train, bidirectional, batch_first).

    Packed: (data, batch_sizes, (h, c), params, has_biases, num_layers, dropout, train, bidirectional).
    """
    return _recurrent("LSTM", given)


def gru(*given: Any) -> tuple[Any, ...]:
    """Return (outputs, h) of (input, h, params, has_biases, num_layers, dropout, train, bidirectional, batch_first), or packed.

    As `lstm`.
    """
    return _recurrent("GRU", given)


def rnn_tanh(*given: Any) -> tuple[Any, ...]:
    """Return (outputs, h) of layers h' = tanh(w_ih x + b_ih + w_hh h + b_hh), with the arguments of `gru`."""
    return _recurrent("RNN_TANH", given)


def rnn_relu(*given: Any) -> tuple[Any, ...]:
    """Return (outputs, h) of layers h' = max(0, w_ih x + b_ih + w_hh h + b_hh), with the arguments of `gru`."""
    return _recurrent("RNN_RELU", given)


def lstm_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, ...]:
    """Return the next (h, c) of a batch: one step of `nn.LSTMCell`."""
    return STEPS["LSTM"][0](F.linear(input, w_ih, b_ih), tuple(hx), w_hh, b_hh, None)


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """Return the next state of a batch: one step of `nn.GRUCell`."""
    return STEPS["GRU"][0](F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh, None)[0]


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """Return tanh(w_ih x + b_ih + w_hh h + b_hh)."""
    return STEPS["RNN_TANH"][0](F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh, None)[0]


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """Return max(0, w_ih x + b_ih + w_hh h + b_hh)."""
    return STEPS["RNN_RELU"][0](F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh, None)[0]
