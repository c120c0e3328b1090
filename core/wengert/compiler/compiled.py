"""A compiled function: captured once for each kind of call, and run as a program from then on.

Owns: `Compiled`, and what makes two calls the same kind. May import: graph, guards, passes, program, training. Must not know:
any op, any device. A call of a new kind runs eagerly the first time (optimizers make their state then) and is captured the
second time.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wengert import dtypes
from wengert._tensor import Tensor
from wengert.compiler.explanation import explained
from wengert.compiler.guards import OWN, Guard, Wrapper, overlap, root_id
from wengert.compiler.passes import optimised
from wengert.compiler.program import Program
from wengert.compiler.training import Joint, Training
from wengert.graph import Graph, _tensors, capture
from wengert.inplace import bump
from wengert.modes import state

CACHE = 16  # kinds of calls that are kept for one function
RECAPTURES = 8  # so many captures for changed surroundings before a warning says what changes


# ---- kinds of calls
def _kind(x: Any) -> Any:
    """Return what of an argument must be equal for two calls to be of one kind."""
    if isinstance(x, Tensor):
        a = x._array
        return type(a), a.shape, a.dtype, x._edge is not None
    if isinstance(x, tuple | list):
        return type(x), tuple([_kind(v) for v in x])
    if isinstance(x, dict):
        return dict, tuple([(k, _kind(v)) for k, v in x.items()])
    try:
        hash(x)
    except TypeError:
        return type(x), id(x)
    return type(x), x


def _difference(old: Any, new: Any) -> str:
    """Say in what two kinds of calls differ."""
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return next((_difference(a, b) for a, b in zip(old, new, strict=True) if a != b), "")
    return f"{old!r} became {new!r}"


class Entry:
    """One kind of call: how often it was made, and its program once it has one."""

    def __init__(self) -> None:
        self.calls = 0
        self.program: Program | None = None
        self.training: Training | None = None
        self.guard: Guard | None = None
        self.states: set[int] = set()
        self.written: list[Tensor] = []  # tensors around the function that a run writes to
        self.written_arguments: list[int] = []
        self.eager = ""  # why this kind runs eagerly


class Compiled(Wrapper):
    """What `compile` returns: call it as the function."""

    def __init__(self, function: Callable[..., Any], fallback: str | None, explain: bool, fast_math: bool) -> None:
        functools.update_wrapper(self, function)
        self.name = str(getattr(function, "__name__", function))
        self.function, self.fallback, self.explain = function, fallback, explain
        self.fast_math = fast_math
        self.entries: OrderedDict[Any, Entry] = OrderedDict()
        self.recaptures: list[str] = []
        self.crowded = False  # whether a warning has said that there are too many kinds of calls
        self.lock = threading.RLock()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None:  # inside of another capture: part of it
            return self.function(*args, **kwargs)
        given = (_kind(args), _kind(kwargs)) if args or kwargs else None
        key = (given, state.grad, state.inference, dtypes.default_float())
        entry = self.entries.get(key)
        if entry is None:
            entry = self._enter(key)
        if entry.eager:
            return self.function(*args, **kwargs)
        if entry.program is None:
            entry.calls += 1
            if entry.calls == 1:
                return self.function(*args, **kwargs)
            return self._first(entry, args, kwargs)
        why = entry.guard.changed()  # type: ignore[union-attr]
        if why is not None:
            return self._again(entry, why, args, kwargs)
        return self._run(entry, args, kwargs)

    def _run(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        tensors = _tensors((args, kwargs)) if args or kwargs else []
        if tensors and (any([root_id(x._array) in entry.states for x in tensors]) or overlap(tensors)):
            return self.function(*args, **kwargs)  # an argument shares memory with state or another: the program assumed not
        for x in entry.written:  # writes count, as eager ones do: what was kept of these before is stale
            bump(x)
        for i in entry.written_arguments:
            bump(tensors[i])
        if entry.training is not None:
            return entry.training(tensors)
        assert entry.program is not None
        return entry.program([x._array for x in tensors])

    def _enter(self, key: Any) -> Entry:
        with self.lock:
            entry = self.entries.setdefault(key, Entry())
            while len(self.entries) > CACHE:
                old, _ = self.entries.popitem(last=False)
                if not self.crowded:
                    self.crowded = True
                    warnings.warn(
                        f"wengert.compile: {self.name} is called in more than {CACHE} ways, and the last {CACHE} are kept: "
                        f"{_difference(old, key)}. Pass numbers that change as tensors, and pad what changes its shape.",
                        stacklevel=4,
                    )
            return entry

    def _again(self, entry: Entry, why: str, args: Any, kwargs: Any) -> Any:
        self.recaptures.append(why)
        if len(self.recaptures) == RECAPTURES:
            warnings.warn(
                f"wengert.compile: {self.name} was captured {RECAPTURES} times because what it reads beside its arguments "
                f"changes (last: {why}); pass what changes as an argument, as a tensor. It runs eagerly from now on.",
                stacklevel=3,
            )
        if len(self.recaptures) >= RECAPTURES:
            entry.eager = why
            return self.function(*args, **kwargs)
        entry.program = entry.training = entry.guard = None
        entry.calls = 1
        return self.function(*args, **kwargs)

    def _first(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        """Capture a kind of call, and run it. Raises RuntimeError where the function asks for values."""
        if overlap(_tensors((args, kwargs))):
            return self.function(*args, **kwargs)
        with self.lock:
            if entry.program is None:
                try:
                    self._capture(entry, args, kwargs)
                except RuntimeError as error:
                    _locate(error)
                    if self.fallback != "eager":
                        raise
                    entry.eager = str(error)
                    warnings.warn(f"wengert.compile: {self.name} runs eagerly: {error}", stacklevel=3)
                    return self.function(*args, **kwargs)
        return self._run(entry, args, kwargs)

    def _capture(self, entry: Entry, args: Any, kwargs: Any) -> None:
        entry.guard = Guard(self.function, (args, kwargs))
        around, given = [t[3] for t in entry.guard.tensors], _tensors((args, kwargs))
        before = [x._version for x in (*around, *given)]
        joint = Joint(self.function)
        graph = capture(joint, args, kwargs)
        entry.states = {id(a) for _, a in graph.states}
        changed = [x._version != v for x, v in zip((*around, *given), before, strict=True)]
        entry.written = [x for x, c in zip(around, changed, strict=False) if c]
        entry.written_arguments = [i for i, c in enumerate(changed[len(around) :]) if c]
        known = {root_id(x._array) for x in (*entry.written, *(given[i] for i in entry.written_arguments))}
        for target, v in graph.writes:
            if not isinstance(target, int) and root_id(target) not in known:
                raise RuntimeError(
                    f"wengert.compile: the function writes to a tensor ({v.spec}) that is reached neither by its closure, "
                    f"globals and self nor by its arguments; pass it as an argument"
                )
        if joint.leaves:
            entry.training = Training(graph, joint, [t[3] for t in entry.guard.tensors], self.fast_math)
            entry.program = entry.training.forward
        else:
            graph.outputs = graph.outputs[0]
            entry.program = Program(optimised(graph, self.fast_math))
        if self.explain:
            print(self.explanation())

    # ---- to read
    @property
    def programs(self) -> list[Program]:
        """The programs made so far, one for each kind of call."""
        found: list[Program] = []
        for entry in self.entries.values():
            if entry.training is not None:
                found += [entry.training.forward, entry.training.backward]
            elif entry.program is not None:
                found.append(entry.program)
        return found

    def graph(self) -> Graph:
        """Return the graph of the kind of call that was captured last. Raises RuntimeError before the second call."""
        if not self.programs:
            raise RuntimeError("wengert.compile: nothing is captured yet: the second call of a kind captures it")
        return self.programs[-1].graph

    def source(self) -> str:
        """Return the source text of the programs."""
        return "\n\n".join(p.source for p in self.programs)

    def explanation(self) -> str:
        """Return what became of the function: programs, what runs together and what alone, and why, recaptures."""
        lines = [f"{self.name}: {len(self.programs)} programs"]
        lines += [f"  {line}" for p in self.programs for line in explained(p)]
        lines += [f"  captured again: {why}" for why in self.recaptures]
        lines += [f"  eager: {e.eager}" for e in self.entries.values() if e.eager]
        return "\n".join(lines)


def _locate(error: RuntimeError) -> None:
    """Add to an error of a capture which line of the user's it came from."""
    found = [f for f in traceback.extract_tb(error.__traceback__) if not _own(f.filename)]
    if found and error.args and "\n  in " not in str(error.args[0]):
        place = found[-1]
        error.args = (f"{error.args[0]}\n  in {place.filename}, line {place.lineno}: {place.line}", *error.args[1:])


def _own(filename: str) -> bool:
    """Say whether a file is in one of wengert's packages."""
    files = [getattr(sys.modules.get(name), "__file__", None) for name in OWN]
    return any(filename.startswith(str(Path(file).parent) + os.sep) for file in files if file)
