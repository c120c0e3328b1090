"""`torch.compile` and `torch.compiler` of PyTorch's programs: what cannot be captured runs as it is, with a warning.

Owns: the names, and settings of `torch._dynamo` that are kept without effect. May import: the compiler, modes, late.
Must not know: programs. `wengert.compile` itself raises where it cannot capture, unless fallback="eager".
"""

from __future__ import annotations

import contextlib
import functools
from types import SimpleNamespace
from typing import Any

from wengert.modes import state

config = SimpleNamespace()  # takes any setting


def compile(model: Any = None, **options: Any) -> Any:
    """Return the compiled function or module; what cannot be captured runs as it is, and a warning says why."""
    import wengert

    return wengert.compile(model, **{"fallback": "eager", **options})


def is_compiling() -> bool:
    """Say whether a function is being captured."""
    return state.recorder is not None


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, *, reason: Any = None) -> Any:
    """Return the function itself, as a decorator with or without arguments."""
    return fn if fn is not None else disable


allow_in_graph = assume_constant_result = nested_compile_region = disable


def disallow_in_graph(fn: Any) -> Any:
    """Return a function that, called in a capture, lets the captured function run as it is."""

    @functools.wraps(fn)
    def outside(*args: Any, **kwargs: Any) -> Any:
        graph_break(f"at {getattr(fn, '__name__', fn)}")
        return fn(*args, **kwargs)

    return outside


forbid_in_graph = disallow_in_graph


class set_stance(contextlib.ContextDecorator):
    """Accepted for PyTorch programs, as a call, a `with` block and a decorator: how a function is run changes no result."""

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None) -> None:
        self.stance = stance

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class TransformGetItemToIndex(contextlib.nullcontext[None]):
    """Accepted for PyTorch programs: inside vmap, `x[i]` takes tensors for i anyway."""


def is_compile_supported(device_type: Any = None) -> bool:
    """Say that `torch.compile` may be called, for any device: what it cannot capture runs as it is."""
    return True


is_dynamo_supported = is_inductor_supported = is_compile_supported


def optimize(
    backend: Any = "inductor", *, nopython: bool = False, guard_export_fn: Any = None, guard_fail_fn: Any = None,
    guard_filter_fn: Any = None, disable: bool = False, dynamic: bool | None = None,
) -> Any:  # fmt: skip
    """Return a decorator that compiles, as `torch.compile` was called before; the functions of guards are never called."""
    return lambda function: compile(function, backend=backend, fullgraph=nopython, disable=disable, dynamic=dynamic)


def optimize_assert(backend: Any, **options: Any) -> Any:
    """Return a decorator that compiles, and raises where it cannot."""
    return lambda function: compile(function, backend=backend, fallback=None, dynamic=options.get("dynamic"))


def graph_break(msg: str = "") -> None:
    """Ask for Python in the midst of a captured function, which so runs as it is. Raises RuntimeError in a capture."""
    if state.recorder is not None:
        raise RuntimeError(f"wengert.compile: the function asks for a graph break {msg}".rstrip())


def mark_dynamic(t: Any, index: Any = None, **limits: Any) -> None:
    """Accepted for PyTorch programs: a size that changes from call to call is left open by itself."""


maybe_mark_dynamic = mark_static = mark_unbacked = mark_static_address = mark_dynamic


def reset() -> None:
    """Accepted for PyTorch programs: each compiled function keeps its own programs."""


def disable_cache_limit() -> contextlib.AbstractContextManager[None]:
    """Accepted for PyTorch programs, from `torch._dynamo.utils`: no call is refused for the programs that there are."""
    return contextlib.nullcontext()


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Return the names that backend= takes, all of which mean the one compiler."""
    return ["inductor"]


def cudagraph_mark_step_begin() -> None:
    """Accepted for PyTorch programs: nothing is kept between steps that this would let go."""


class TorchDynamoException(RuntimeError):
    """What `torch._dynamo` raises, which programs catch; wengert.compile raises RuntimeError."""


class Unsupported(TorchDynamoException):
    """What `torch._dynamo` raises for code that it cannot capture."""
