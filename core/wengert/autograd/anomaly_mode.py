"""Anomaly mode: which line of the forward made the node whose backward failed or gave nan.

Owns: `detect_anomaly`, `set_detect_anomaly`, what is noted with a node, what is said. May import: tape, tensor, backend,
saving. Must not know: any op, any device. While it is off, nothing of this runs.
"""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from wengert import backend, tape
from wengert._tensor import Tensor
from wengert.autograd import saving

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class _Watch(threading.local):
    """What the engine asks while anomaly mode is on, which is for all threads; the running node is known for each."""

    running: Any = None

    def note(self, node: Any) -> None:
        """Keep with a new node where it was made, and which node's backward made it."""
        frames = traceback.extract_stack()
        while len(frames) > 1 and frames[-1].filename.startswith(_HERE):
            frames.pop()
        node.metadata["traceback_"] = frames.format()
        if self.running is not None:
            node.metadata["parent_"] = self.running

    @contextlib.contextmanager
    def watching(self, node: Any) -> Iterator[None]:
        before, self.running = self.running, node
        try:
            yield
        except Exception:
            warnings.warn(story(node), stacklevel=2)
            raise
        finally:
            self.running = before

    def look(self, node: Any, sent: dict[int, Any]) -> None:
        """Raise RuntimeError if a node sends nan on."""
        if not _nan:
            return
        for i, g in sent.items():
            if g is None:
                continue
            array = g._array if isinstance(g, Tensor) else g
            while hasattr(array, "level"):  # of a transform: what it holds, for the whole batch
                array = array.value._array
            if np.isnan(backend.of_array(array).to_host(array)).any():
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # frames of wengert itself say nothing to the user
_watch = _Watch()
_nan = True


def is_anomaly_enabled() -> bool:
    """Say whether anomaly mode is on."""
    return tape.anomaly is not None


def is_anomaly_check_nan_enabled() -> bool:
    """Say whether anomaly mode, when it is on, looks for nan."""
    return _nan


def _turn(on: bool, check_nan: bool) -> None:
    global _nan
    if on != is_anomaly_enabled():
        saving.want(1 if on else -1)
    tape.anomaly, _nan = _watch if on else None, check_nan


class set_detect_anomaly:
    """Turn anomaly mode on or off: at once, and back at the end of a `with` block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = is_anomaly_enabled(), _nan
        _turn(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _turn(*self._before)


class detect_anomaly:
    """Look for errors and nan in backward inside, and say which line of the forward they belong to. Slow.

    A backward that gives nan raises RuntimeError with the name of its function; the line is in a warning before it.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._before = is_anomaly_enabled(), _nan
        _turn(True, self._check_nan)

    def __exit__(self, *exc: object) -> None:
        _turn(*self._before)


def story(node: Any) -> str:
    """Return where a node was made, and where the nodes were made whose backward made it."""
    lines = node.metadata.get("traceback_")
    if lines is None:
        return (
            f"Error detected in {node.name()}. No forward pass information available. Enable detect anomaly during forward "
            f"pass for more information."
        )
    text = f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{''.join(lines)}"
    parent = node.metadata.get("parent_")
    while parent is not None:
        lines = parent.metadata.get("traceback_")
        text += f"\nPrevious calculation was induced by {parent.name()}. "
        if lines is None:
            text += "No forward pass information available."
        else:
            text += f"Traceback of forward call that induced the previous calculation:\n{''.join(lines)}"
        parent = parent.metadata.get("parent_")
    return text
