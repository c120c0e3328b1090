"""Connectionist temporal classification: the loss of a sequence of labels whose places in time are not known.

Owns: `ctc_loss`, as a recurrence over time in ops, so that it has derivatives of any order. May import: wengert.extend, the
other losses. Must not know: devices.
Source: A. Graves et al., Connectionist temporal classification, 2006.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert.extend import creation, dtypes, e, indexing, r, relabel, s
from wengert_nn.activations import real_floats
from wengert_nn.losses import chosen_reduction, reduced

Host = np.ndarray[Any, Any]
NEVER = -1e30  # the logarithm of a probability of 0, finite so that differences are


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """Return the mean of -log P(target) / its length: P adds up all ways to stretch a target in time, blanks between labels.

    log_probs is [time, samples, classes] or [time, classes] and holds logarithms of probabilities; its gradient is, as
    PyTorch's, that of logits which a log_softmax made them of. targets are rows, or all labels one after another.
    zero_infinity: a target too long for its time has loss 0. Raises RuntimeError where lengths or labels do not fit.
    """
    reduction = chosen_reduction(reduction, None, None)
    single = len(log_probs.shape) == 2
    logs = real_floats("ctc_loss", s.unsqueeze(log_probs, 1) if single else log_probs)
    if len(logs.shape) != 3:
        raise RuntimeError(f"ctc_loss: log_probs must be [time, samples, classes], got {list(log_probs.shape)}")
    if logs.dtype is dtypes.ALL["float16"]:
        raise NotImplementedError("ctc_loss is not implemented for torch.float16 (small probabilities); convert with .float()")
    steps, samples, classes = logs.shape
    lasting, lengths = as_host(input_lengths, samples), as_host(target_lengths, samples)
    if lasting.size and not 0 <= lasting.min() <= lasting.max() <= steps:
        raise RuntimeError(f"ctc_loss: Expected input_lengths to have values in [0, {steps}], but got {lasting.tolist()}")
    if not 0 <= blank < classes:
        raise RuntimeError(f"ctc_loss: blank must be in label range [0, {classes}), got {blank}")
    labels = with_blanks(as_rows(targets, lengths, classes), blank)

    def known(values: Host) -> Any:
        return creation.tensor(values, dtype=log_probs.dtype, device=logs.device)

    def index(values: Host) -> Any:
        return creation.tensor(values, device=logs.device)

    starts, ends, before, skips = (known(table) for table in roads(labels, lengths, blank))
    emitted = indexing.index_get(logs, (index(np.arange(samples)[:, None]), index(labels)), (1, 2))
    emitted = e.maximum(emitted, NEVER)
    duration = index(lasting[:, None])
    state = final = e.where(index(lengths[:, None] == 0), starts, NEVER)  # of samples that last no time
    for step in range(steps):  # log P of being at each place of the stretched target now
        here = s.getitem(emitted, (step,))
        came = [state, moved(state, 1) + before, moved(state, 2) + skips]
        state = here + (log_sum(came) if step else starts)
        final = e.where(duration == step + 1, state, final)
    likelihood = r.logsumexp(final + ends, 1)
    losses = e.where(likelihood < NEVER / 2, math.inf, -likelihood)
    # At each step the probabilities add up to 1: a term that is 0, with the derivative that a softmax would add.
    alive = index(np.arange(steps)[:, None] < lasting)
    mass = r.sum_(e.where(alive, r.sum_(e.exp(logs), (2,), False), 0.0), (0,), False)
    losses = losses + (mass - mass.detach())
    if zero_infinity:
        losses = e.where(losses == math.inf, 0.0, losses)
    if reduction == "mean":
        losses = losses / known(np.maximum(lengths, 1))
    result = reduced(losses, reduction)
    return relabel(s.reshape(result, ()) if single and reduction == "none" else result, "CtcLossBackward0")


def as_host(values: Any, samples: int) -> Host:
    """Return lengths, a tensor or a sequence, as an array. Raises RuntimeError unless there is a whole one for each sample."""
    if hasattr(values, "detach") and (values.is_floating_point() or values.is_complex()):
        raise RuntimeError(f"ctc_loss: lengths are whole numbers, got {values.dtype}")
    host = np.asarray(values.detach().host() if hasattr(values, "detach") else values, np.int64).reshape(-1)
    if host.size != samples or host.min(initial=0) < 0:
        raise RuntimeError(f"ctc_loss: a length of 0 or more is expected for each of {samples} samples, got {host.tolist()}")
    return host


def as_rows(targets: Any, lengths: Host, classes: int) -> Host:
    """Return labels as a row for each sample, 0 after its end. Raises RuntimeError for lengths and labels out of range."""
    host, longest = targets.detach().host(), int(lengths.max(initial=0))
    made = np.zeros((lengths.size, longest), np.int64)
    used = np.arange(longest) < lengths[:, None]
    if host.ndim == 2 and host.shape[0] == lengths.size and longest <= host.shape[1]:
        made[used] = host[:, :longest][used]
    elif host.ndim == 1 and host.size == lengths.sum():
        made[used] = host
    elif host.ndim == 1 and lengths.size == 1 and longest <= host.size:
        made[0] = host[:longest]
    else:
        raise RuntimeError(f"ctc_loss: targets of shape {list(host.shape)} do not fit target_lengths {lengths.tolist()}")
    if made.size and not 0 <= made.min() <= made.max() < classes:
        raise RuntimeError(f"ctc_loss: labels must be in [0, {classes}), got {made.min()} to {made.max()}")
    return made


def with_blanks(labels: Host, blank: int) -> Host:
    """Return rows of labels with a blank before, between and after them."""
    made = np.full((labels.shape[0], 2 * labels.shape[1] + 1), blank, np.int64)
    made[:, 1::2] = labels
    return made


def roads(labels: Host, lengths: Host, blank: int) -> tuple[Host, Host, Host, Host]:
    """Return where a stretched target may start, where it may end, where it may come from the place before, and from the one
    before that: 0 where it may, NEVER elsewhere. A place is skipped where it is a blank between two different labels."""
    starts, ends, before, skips = np.full((4, *labels.shape), NEVER)
    starts[:, :2] = 0
    places = np.arange(labels.shape[1])
    ends[(places == 2 * lengths[:, None]) | (places == 2 * lengths[:, None] - 1)] = 0
    before[:, 1:] = 0
    skips[:, 2:][(labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])] = 0
    return starts, ends, before, skips


def moved(state: Any, by: int) -> Any:
    """Return a row of places moved on; what comes in at the front does not count."""
    size = state.shape[1]
    front = s.getitem(state, (slice(None), slice(0, min(by, size))))
    return s.concatenate((front, s.getitem(state, (slice(None), slice(0, max(size - by, 0))))), 1)


def log_sum(parts: list[Any]) -> Any:
    """Return log sum exp of tensors, elementwise."""
    top = parts[0].detach()
    for part in parts[1:]:
        top = e.maximum(top, part.detach())
    total = e.exp(parts[0] - top)
    for part in parts[1:]:
        total = total + e.exp(part - top)
    return top + e.log(total)
