"""Random programs of views, writes, joins and arithmetic, on wengert and on PyTorch, to the third derivative; random functions
under function transforms, beside PyTorch's, and compiled, beside themselves.

Owns the comparison of programs that `wengert.testing.programs` draws: values, which tensors require grad, gradients of three
orders, in float64; where both raise, the types of the exceptions; a nan may reach more of PyTorch's gradients (`spread`).
PyTorch refuses three things that wengert computes (`MORE`): a program ends there, and where it is PyTorch's backward that
refuses, differences of the program itself prove the gradient. The seeds are in the name of a failing test; WENGERT_RANDOM_PROGRAMS
says how many programs there are (WENGERT_RANDOM_FUNCTIONS: functions), WENGERT_RANDOM_SEED where they begin. May import wengert's
public names, NumPy and torch.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest

import wengert
from wengert.testing.programs import ACTIONS, Run, Step, function, made_of, program, same, shown, weights

COUNT = int(os.environ.get("WENGERT_RANDOM_PROGRAMS", "500"))
FIRST = int(os.environ.get("WENGERT_RANDOM_SEED", "0"))
BLOCK = 25  # programs in one test

MORE = (  # what PyTorch says where it refuses and wengert does not
    "some elements of the input tensor and the written-to tensor refer to a single memory location",  # a copy is made
    "This view is the output of a function that returns multiple views",  # their history is rebased as any view's
)
OVERWRITTEN = "has been modified by an inplace operation"  # wengert keeps fewer values
REPEATED = "more than one element of the written-to tensor"  # said by PyTorch's backward of a write to what was expanded
UNSEEN = {"detach", "blind_", "detached_"}  # steps whose effect on the result is no part of the gradient


def spread(ours: Any, theirs: Any) -> bool:
    """Say whether gradients agree but for a nan, which PyTorch spreads further: it multiplies by masks, wengert chooses by them."""
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return False
    x, y = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    return bool(np.isnan(x).any() and not (np.isnan(x) & ~np.isnan(y)).any()) and same(np.where(np.isnan(y), y, x).tolist(), theirs)


def at_zero(ours: Any, theirs: Any, steps: list[Step]) -> bool:
    """Say whether gradients agree but for the second derivative of a norm at 0: there is none; PyTorch says nan, wengert 0, as
    both say for the first."""
    if not any(name == "norm" for name, _, _ in steps) or not isinstance(ours, list) or not isinstance(theirs, list):
        return False
    x, y = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    return bool((x[np.isnan(y)] == 0).all()) and same(np.where(np.isnan(y), y, x).tolist(), theirs)


def difference(seed: int, torch: Any) -> str:
    """Return where the two libraries disagree about a program, or nothing."""
    steps, ours = program(seed)
    theirs = Run(torch, seed)
    for n, drawn in enumerate(steps):
        went = theirs.take(drawn)
        last = n == len(steps) - 1
        if not went or (last and ours.raised):
            if (ours.raised == theirs.raised and last) or any(words in theirs.words for words in MORE):
                return ""
            if last and drawn[0] in ("setmask", "masked_fill_", "setitem") and REPEATED in ours.words:
                return ""  # part of an expanded tensor, or itself, with a history: PyTorch writes it, and refuses the backward
            ending = [f"{r.raised or 'nothing'} {r.words}" for r in (ours, theirs)]
            return f"step {n}: wengert raises {ending[0] if last else 'nothing'}; PyTorch raises {ending[1]}\n{shown(steps)}"
    a, b = ours.results(), theirs.results()
    if (OVERWRITTEN in theirs.words or REPEATED in theirs.words) and not ours.words:
        return "" if UNSEEN & {name for name, _, _ in steps} or proven(seed, steps, ours) else f"wrong gradient\n{shown(steps)}"
    if any(words in theirs.words for words in MORE):
        return ""
    a += [None] * (len(b) - len(a))  # the gradient of a constant: absent here, zero there
    b += [None] * (len(a) - len(b))
    wrong = [k for k, (x, y) in enumerate(zip(a, b)) if not same(x, y)]
    wrong = [k for k in wrong if k < len(ours.pool) or not (spread(a[k], b[k]) or at_zero(a[k], b[k], steps))]
    if not wrong:
        return ""
    first = wrong[0]
    what = f"tensor {first}" if first < len(ours.pool) else f"gradient {first - len(ours.pool)}"
    return f"{what}: wengert {a[first]} {ours.words}, PyTorch {b[first]} {theirs.words}\n{shown(steps)}"


def proven(seed: int, steps: list[Step], run: Run) -> bool:
    """Say whether the gradient of a program is the difference quotient of its goal, along a direction for each leaf."""
    grads = wengert.autograd.grad(run.goal(), run.leaves, allow_unused=True, retain_graph=True)
    for k, g in enumerate(grads):
        ends = []
        for eps in (1e-6, -1e-6):
            moved = Run(wengert, seed)
            with wengert.no_grad():
                moved.leaves[k].add_(weights(wengert, moved.leaves[k]), alpha=eps)
            for drawn in steps:
                moved.take(drawn)
            ends.append(float(moved.goal()))
        slope = 0.0 if g is None else float((g * weights(wengert, g)).sum())
        if abs((ends[0] - ends[1]) / 2e-6 - slope) > 1e-5 * (1 + abs(slope)):
            return False
    return True


@pytest.mark.parity
@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, BLOCK))
def test_programs_agree(first: int) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {seed: d for seed in range(first, min(first + BLOCK, FIRST + COUNT)) if (d := difference(seed, torch))}
    assert not found, "\n".join(f"seed {seed}: {text}" for seed, text in found.items())


def test_every_action_is_drawn() -> None:
    used = {name for seed in range(1500) for name, _, _ in program(seed)[0]}
    assert used == set(ACTIONS)


# ---- functions
TRANSFORMS = {
    "jvp": lambda F, f, x, t: F.jvp(f, (x,), (t,))[1],
    "jacfwd": lambda F, f, x, t: F.jacfwd(f)(x),
    "jacrev": lambda F, f, x, t: F.jacrev(f)(x),
    "hessian": lambda F, f, x, t: F.hessian(lambda x: (f(x) * t).sum())(x),
    "jvp of grad": lambda F, f, x, t: F.jvp(F.grad(lambda x: (f(x) * t).sum()), (x,), (t,))[1],
    "grad of jvp": lambda F, f, x, t: F.grad(lambda x: (F.jvp(f, (x,), (t,))[1] * t).sum())(x),
    "jvp of jvp": lambda F, f, x, t: F.jvp(lambda x: F.jvp(f, (x,), (t,))[1], (x,), (t,))[1],
    "vmap of jacfwd": lambda F, f, x, t: F.vmap(F.jacfwd(f))(x.expand(2, 3) * t[:2, None]),
}
FUNCTIONS = int(os.environ.get("WENGERT_RANDOM_FUNCTIONS", "20"))


def apart(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(a - b) / (1 + np.abs(b)))) if a.shape == b.shape else np.inf


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", TRANSFORMS)
def test_transforms_of_functions_agree(how: str) -> None:
    torch = pytest.importorskip("torch")
    wrong = []
    for seed in range(FIRST, FIRST + FUNCTIONS):
        found = []
        for module in (wengert, torch):
            x, t = (module.tensor(v, dtype=module.float64) for v in ([0.31, 0.72, -0.43], [1.0, 2.0, -0.5]))
            try:
                found.append(TRANSFORMS[how](module.func, made_of(function(seed), module), x, t).tolist())
            except RuntimeError as error:
                found.append(str(error))
        mine, theirs = found
        if isinstance(theirs, str):
            continue  # a batch into plain zeros; PyTorch has further limits, as tangents that it keeps as no memory at all
        if isinstance(mine, str) or apart(mine, theirs) > 1e-9:
            wrong.append(f"seed {seed}: wengert {mine}, PyTorch {theirs}\n{function(seed)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("first", range(FIRST, FIRST + FUNCTIONS, 10))
def test_compiled_functions_are_what_they_were(first: int) -> None:
    wrong = []
    for seed in range(first, first + 10):
        f = made_of(function(seed, effects=True), wengert)
        compiled = wengert.compile(f, dynamic=seed % 3 == 0)
        for call in range(4):
            ends = []
            for run in (f, compiled):
                x = wengert.tensor([0.31 + 0.1 * call, 0.72, -0.43], dtype=wengert.float64)
                ends.append((run(x).tolist(), x.tolist()))
            if apart(*[value for value, _ in ends]) > 1e-12 or apart(*[x for _, x in ends]) > 1e-12:
                wrong.append(f"seed {seed}, call {call}: eager {ends[0]}, compiled {ends[1]}\n{function(seed, effects=True)}")
    assert not wrong, "\n".join(wrong)
