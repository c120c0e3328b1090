"""The switches of a thread: is gradient recorded, is this inference, is a capture running.

Owns: `state`, the per-thread switches, and the context managers that turn it. May import: the standard library.
Must not know: anything else. Each switch works as a context, as a decorator, and on generator functions.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    grad: bool = True  # record operations on tensors that require grad
    inference: bool = False  # tensors made now never take part in autograd
    batching: Any = None  # the innermost vmap on this thread: it decides about random numbers
    recorder: Any = None  # the graph being captured on this thread, or None
    packing: tuple[Any, ...] = ()  # (pack, unpack) of values that are kept for backward, innermost last (autograd.graph)
    unpackable: str | None = None  # why values may not be packed now
    task: Any = None  # the backward that is running


state = _State()
put_back = functools.partial(setattr, state, "grad")  # at once, before a signal comes: then `turn` does the rest
# The threads that record nothing now. Mostly there are none, and an op need not ask `state`, which takes long (70 ns).
off: set[int] = set()


def turn(on: bool) -> None:
    """Turn recording on or off on this thread. Every change of `state.grad` is made here, so that `off` is true. A signal may
    raise something as any function begins, and after any call: then nothing was turned off."""
    if not on:
        off.add(threading.get_ident())
    state.grad = on
    if on:
        off.discard(threading.get_ident())


class _Switch:
    """Set the grad flag on entry, put back on exit; re-entrant, and usable as a decorator."""

    _grad: bool

    def __init__(self) -> None:
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append((state.grad, state.inference))
        turn(self._grad and not state.inference)  # nothing is recorded inside of inference_mode

    def __exit__(self, *exc: object) -> None:
        state.grad, state.inference = self._before[-1]
        turn(self._before.pop()[0])

    def clone(self) -> _Switch:
        """Return a fresh switch with the same setting, one for each call of a decorated function."""
        return type(self)()

    def __call__(self, function: F) -> F:
        if isinstance(function, type):
            warnings.warn(
                "Decorating classes is deprecated: the setting holds in the class's constructor only. Decorate functions and "
                "methods.",
                FutureWarning,
                stacklevel=2,
            )
            function.__init__ = self(function.__init__)  # type: ignore[misc]
            return function
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]

    def _wrap_generator(self, function: F) -> F:
        """Hold the setting only while the generator's own code runs, not while its consumer's does."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            resume, value = generator.send, None
            while True:
                try:
                    with self.clone():
                        item = resume(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    value = yield item
                    resume = generator.send
                except GeneratorExit:
                    with self.clone():
                        generator.close()
                    raise
                except BaseException as error:
                    value, resume = error, generator.throw

        return inside  # type: ignore[return-value]


class no_grad(_Switch):
    """Record nothing inside: results require no grad. `with no_grad():`, `@no_grad()` or `@no_grad`."""

    _grad = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)


class enable_grad(no_grad):
    """Record again inside a `no_grad` block."""

    _grad = True


class set_grad_enabled(_Switch):
    """Turn recording on or off: at once when called, and back at the end of a `with` block."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}")
        self._grad, self._outer = mode, state.grad
        turn(mode and not state.inference)

    def __enter__(self) -> None:
        self._before.append((self._outer, state.inference))
        turn(self._grad and not state.inference)

    def clone(self) -> _Switch:
        return enable_grad() if self._grad else no_grad()  # type: ignore[no-any-return]

    def __call__(self, function: F) -> F:
        turn(self._outer)  # as a decorator it changes nothing but the function
        return super().__call__(function)


class inference_mode(_Switch):
    """Record nothing inside, and mark the tensors made there: they can never be used in a recorded op."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._enabled = bool(mode)

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if not callable(mode):
            return self
        self.__init__()  # type: ignore[misc]
        return self(mode)

    def __enter__(self) -> None:
        self._before.append((state.grad, state.inference))
        turn(not self._enabled)
        state.inference = self._enabled

    def clone(self) -> _Switch:
        return type(self)(self._enabled)


def is_grad_enabled() -> bool:
    """Say whether operations are being recorded on this thread."""
    return state.grad


def is_inference_mode_enabled() -> bool:
    """Say whether this thread is inside `inference_mode`."""
    return state.inference
