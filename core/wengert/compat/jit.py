"""`wengert.jit`: TorchScript, of which there is none: functions and modules run as the Python they are.

Owns: the decorators, which return what they are given and say so once. Must not know: the compiler; `wengert.compile` is it.
"""

from __future__ import annotations

import contextlib
import types
import typing
import warnings
from typing import Any, NoReturn
from typing import Final as Final  # a name of TorchScript's too

_warned = False


class TracerWarning(Warning):
    """What PyTorch warns of while it traces; here nothing is traced."""


def _as_is(obj: Any, what: str) -> Any:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"jit.{what}: wengert has no TorchScript, the code runs as Python; wengert.compile is what makes it faster",
            UserWarning,
            stacklevel=3,
        )
    return obj


def script(obj: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return the function or module itself, with a warning."""
    return _as_is(obj, "script")


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return the function or module itself, with a warning."""
    return _as_is(func, "trace")


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the module itself, with a warning."""
    return _as_is(mod, "freeze")


def script_method(fn: Any) -> Any:
    """Return the method itself."""
    return fn


def unused(fn: Any) -> Any:
    """Return the function itself."""
    return fn


export = script_method
_overload = _overload_method = _script_if_tracing = script_if_tracing = script_method


def trace_module(mod: Any, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return the module itself, with a warning."""
    return _as_is(mod, "trace_module")


def optimized_execution(should_optimize: bool) -> contextlib.AbstractContextManager[None]:
    """Accepted for PyTorch programs: a context that changes nothing."""
    return contextlib.nullcontext()


fuser = optimized_execution


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Return the function itself, as a decorator with or without arguments."""
    return drop if callable(drop) else script_method


def is_scripting() -> bool:
    """Say that code runs as Python."""
    return False


is_tracing = is_scripting


class Future:
    """What `fork` returns: the result is there already."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        """Return the result."""
        return self._value

    value = wait

    def done(self) -> bool:
        """Say that it is there."""
        return True


def fork(func: Any, *args: Any, **kwargs: Any) -> Future:
    """Return a future of what a function gives; it is called at once."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """Return what a future's function gave."""
    return future.wait()


def interface(obj: Any) -> Any:
    """Return the class itself."""
    return obj


optimize_for_inference = freeze


def annotate(the_type: Any, the_value: Any) -> Any:
    """Return the value."""
    return the_value


def _is(obj: Any, kind: Any) -> bool:
    """Say whether a value is of a type, one such as `dict[str, list[Tensor]]` by all that is in it."""
    if isinstance(kind, tuple):
        return any(_is(obj, one) for one in kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_is(obj, one) for one in inner)
    if origin is None or not inner:
        return kind is Any or isinstance(obj, type(None) if kind is None else origin or kind)
    if not isinstance(obj, origin):
        return False
    if origin is dict:
        return all(_is(key, inner[0]) and _is(value, inner[1]) for key, value in obj.items())
    if origin is tuple and inner[-1] is not ...:
        return len(obj) == len(inner) and all(map(_is, obj, inner))
    return all(_is(value, inner[0]) for value in obj)


def save(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError: there are no TorchScript files."""
    raise NotImplementedError("jit: wengert reads and writes no TorchScript files; save the state_dict() with wengert.save()")


load = save


def __getattr__(name: str) -> Any:
    if name == "isinstance":
        return _is
    if name != "ScriptModule":
        raise AttributeError(f"module 'wengert.jit' has no attribute {name!r}")
    from wengert import nn

    class ScriptModule(nn.Module):
        """A module whose methods PyTorch would compile; they run as the Python they are."""

    globals()[name] = ScriptModule
    return ScriptModule
