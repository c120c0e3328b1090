"""An operation of the user's own in a few lines: `wengert.custom_op`, and what PyTorch has in its module `library`.

Owns: what a Python function has to say about itself to become an op record (which parameters are tensors, how many results),
the ways to give it a gradient. May import: record, op, registry, tensor, autograd.Function, inplace, backend. Must not know:
any op, any device. A custom op is a record as any other: it is captured, batched and differentiated to any order.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from wengert import backend
from wengert._tensor import Tensor, wrap
from wengert.autograd.function import Function
from wengert.inplace import bump, check
from wengert.modes import no_grad
from wengert.op import ANY, FLOAT, OPS, Op, Rule, grad_name
from wengert.record import elementwise, structural
from wengert.registry import registry

__all__ = ["CustomOp", "custom_op", "register_autograd", "register_fake", "register_kernel"]

RESERVED = {"g", "out", "index", *inspect.signature(structural).parameters, *inspect.signature(elementwise).parameters} - {
    "rules"
}
NAME = re.compile(r"([A-Za-z_]\w*)::([A-Za-z_]\w*)")


def custom_op(
    name: Any = None, fn: Callable[..., Any] | None = None, *, gradient: Any = None, template: str | None = None,
    arrays: bool = False, mutates_args: Iterable[str] | str = (), device_types: Any = None, schema: str | None = None,
    tags: Any = None,
) -> Any:  # fmt: skip
    """Make an operation of a function: `@custom_op`, `@custom_op("ns::name", gradient=...)`.

    Parameters that are annotated as Tensor, or neither annotated (but with Any) nor given a default, are tensors; the
    others are plain values. arrays: the function gets raw device arrays and not Tensors. gradient: a rule (its parameters
    say what is kept: `g` and any of the inputs, `out`, the plain values), a dict of rules by input, or a backward function
    `(ctx, *grads)`. template: one element in C, for devices that generate kernels. mutates_args: parameters that the
    function writes to. device_types, schema, tags: accepted for PyTorch programs.
    Raises TypeError for a signature or a rule that cannot be used, ValueError for a name that is taken or malformed.
    """
    if callable(name) and fn is None:
        return custom_op(None, name, gradient=gradient, template=template, arrays=arrays, mutates_args=mutates_args)
    if fn is None:
        return lambda function: custom_op(
            name, function, gradient=gradient, template=template, arrays=arrays, mutates_args=mutates_args
        )
    mutated = tuple(mutates_args) if not isinstance(mutates_args, str) else ()
    return CustomOp(_qualified(name, fn), fn, gradient, template, arrays, mutated)


def _qualified(name: Any, fn: Callable[..., Any]) -> str:
    if name is None:
        return f"custom::{fn.__name__}"
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise ValueError(f"custom_op: a name is 'namespace::name', each a Python name, but got {name!r}")
    return name


class CustomOp:
    """A function as an operation; called as the function is."""

    def __init__(
        self, name: str, fn: Callable[..., Any], gradient: Any, template: str | None, arrays: bool, mutated: tuple[str, ...]
    ) -> None:
        self.name, self.fn, self.arrays, self.mutated = name, fn, arrays, mutated
        functools.update_wrapper(self, fn)
        self.signature = inspect.signature(fn)
        self.inputs, self.params = _parameters(name, fn, self.signature)
        self.outputs = _results(fn)
        strange = [n for n in mutated if n not in self.inputs]
        if strange:
            raise TypeError(f"{name}: mutates_args names {strange}, but its tensors are {', '.join(self.inputs) or 'none'}")
        self.fake: Callable[..., Any] | None = None
        self.function: type[Function] | None = None
        rules: dict[str, Rule] = {}
        if gradient is not None and not _is_backward(gradient):
            rules = self._rules(gradient)
        self.op: Op | None = None if mutated or not self.inputs else self._record(template, rules)
        if gradient is not None and _is_backward(gradient):
            self.register_autograd(gradient)

    def __repr__(self) -> str:
        return f"<custom op {self.name}({', '.join((*self.inputs, *self.params))})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self.function is not None:
            return self.function.apply(*bound.arguments.values())
        return self._run(bound.arguments)

    # ---- the record
    def _rules(self, gradient: Any) -> dict[str, Rule]:
        if isinstance(gradient, dict):
            return gradient
        if not callable(gradient):
            raise TypeError(f"{self.name}: gradient is a rule, a dict of rules or a backward function, not {gradient!r}")
        if len(self.inputs) != 1:
            raise TypeError(f"{self.name} has the inputs {', '.join(self.inputs)}: give a dict with a rule for each")
        return {self.inputs[0]: gradient}

    def _record(self, template: str | None, rules: dict[str, Rule]) -> Op:
        name, kernel = self.name.replace("::", "_"), self._kernel(self.fn)
        if _owner(name) is not None:  # a notebook's cell that runs again
            del OPS[name]
            for key in [key for key in registry.kernels if key[0] == name]:
                del registry.kernels[key]
        label = grad_name(self.name.rpartition("::")[2], 0)
        if template is not None:
            if self.outputs > 1:
                raise TypeError(f"{self.name}: a template is one element of one result, but there are {self.outputs}")
            options: dict[str, Any] = {"domain": FLOAT, "inputs": " ".join(self.inputs), **rules}
            op = elementwise(name, template, params=" ".join(self.params), face=self.name, label=label, **options)
        else:
            options = {"domain": ANY, "outputs": self.outputs, **rules}
            op = structural(
                name, " ".join(self.inputs), self._infer, params=" ".join(self.params), face=self.name, label=label, **options
            )
        registry.kernel(name, "*", kernel, override=True)
        _custom[name] = self
        return op

    def _kernel(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as a kernel: raw arrays in and out."""

        def kernel(*values: Any, out: Any = ...) -> Any:
            count = len(self.inputs)
            with no_grad():
                made = self._ordered(fn, values[:count] if self.arrays else [wrap(v) for v in values[:count]], values[count:])
            results = tuple([_raw(r) for r in _several(made)])
            for r in results:
                if any(r is v for v in values[:count]):
                    raise RuntimeError(f"{self.name}: the function returned one of its inputs; return a clone() of it")
            if self.outputs > 1:
                return results
            return results[0] if out is ... else backend.of_array(out).write(out, results[0])

        return kernel

    def _ordered(self, fn: Callable[..., Any], tensors: Sequence[Any], values: Sequence[Any]) -> Any:
        """Call a function with tensors and plain values in the order of its parameters."""
        given = dict(zip((*self.inputs, *self.params), (*tensors, *values), strict=True))
        bound = self.signature.bind_partial()
        bound.arguments.update({n: given[n] for n in self.signature.parameters})
        return fn(*bound.args, **bound.kwargs)

    def _infer(self, *values: Any) -> Any:
        """Return shape and type of the results: what the fake says, or what the function makes of zeros."""
        count = len(self.inputs)
        zeros = [np.zeros(tuple(v.shape), v.dtype) for v in values[:count]]
        if self.fake is not None:
            made = self._ordered(self.fake, [wrap(z) for z in zeros], values[count:])
        else:
            with no_grad():
                made = self._ordered(self.fn, zeros if self.arrays else [wrap(z) for z in zeros], values[count:])
        forms = [(tuple(r.shape), r._array.dtype if isinstance(r, Tensor) else r.dtype) for r in _several(made)]
        return tuple(forms) if self.outputs > 1 else forms[0]

    def _run(self, arguments: dict[str, Any]) -> Any:
        if self.op is not None:
            missing = [n for n in self.inputs if not isinstance(arguments[n], Tensor | int | float | complex)]
            if missing:
                kind = type(arguments[missing[0]]).__name__
                raise TypeError(f"{self.name}(): argument {missing[0]!r} must be Tensor, not {kind}")
            return self.op(*[arguments[n] for n in self.inputs], *[arguments[n] for n in self.params])
        targets = [arguments[n] for n in self.mutated]
        for t in targets:
            check(t)
            if t.requires_grad:
                raise RuntimeError(f"{self.name} writes to a tensor that requires grad, and has no gradient for that")
        with no_grad():
            values = [arguments[n]._array if self.arrays else arguments[n] for n in self.inputs]
            made = self._ordered(self.fn, values, [arguments[n] for n in self.params])
        for t in targets:
            bump(t)
        return made

    # ---- what can be added later
    def register_autograd(self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None) -> None:
        """Give the op a backward function `(ctx, *grads)`, which returns a gradient for each parameter, None where there is
        none; `setup_context(ctx, inputs, output)` keeps what it needs."""
        for what, f in (("backward", backward), ("setup_context", setup_context)):
            if f is not None and not callable(f):
                raise TypeError(f"{self.name}: {what} is a function that takes ctx first, not {f!r}")

        def forward(*args: Any) -> Any:
            return self._run(dict(zip(self.signature.parameters, args, strict=True)))

        def context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if setup_context is not None:
                setup_context(ctx, inputs, output)

        members = {"forward": forward, "setup_context": context, "backward": backward}
        title = self.name.replace("::", "_")
        self.function = type(title, (Function,), {n: staticmethod(f) for n, f in members.items()})

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Say what shape and type the results have, by a function that makes them of any values; returns it."""
        self.fake = fn
        return fn

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Give the op another function for some devices: `@op.register_kernel("opencl")`."""
        if fn is None:
            return lambda function: self.register_kernel(device_types, function)
        if self.op is None:
            raise RuntimeError(f"{self.name} has no record (it writes to its inputs), and so no kernels")
        for device in (device_types,) if isinstance(device_types, str) else device_types:
            registry.kernel(self.op.name, device, self._kernel(fn), override=True)
        return fn


def _raw(result: Any) -> Any:
    return result._array if isinstance(result, Tensor) else np.asarray(result) if np.isscalar(result) else result


def _several(made: Any) -> tuple[Any, ...]:
    return tuple(made) if isinstance(made, tuple | list) else (made,)


def _is_backward(gradient: Any) -> bool:
    """Say whether a gradient is a backward function: its first parameter is called ctx."""
    if isinstance(gradient, dict) or not callable(gradient):
        return False
    first = next(iter(inspect.signature(gradient).parameters), "")
    return first == "ctx"


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn)
    except Exception:  # an annotation that cannot be read says nothing; its text may
        return dict(getattr(fn, "__annotations__", {}))


def _parameters(name: str, fn: Callable[..., Any], signature: inspect.Signature) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which parameters are tensors, and which are plain values."""
    hints = _hints(fn)
    inputs: list[str] = []
    params: list[str] = []
    for p in signature.parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise TypeError(f"{name}: an op has a fixed number of parameters, but the function takes {p}")
        hint = hints.get(p.name)
        if p.name in RESERVED:
            raise TypeError(f"{name}: a parameter cannot be called {p.name!r}; not {', '.join(sorted(RESERVED))} either")
        if hint is None or hint is Any:
            tensor = p.default is p.empty
        else:
            tensor = hint is Tensor or (isinstance(hint, str) and hint.rpartition(".")[2] == "Tensor")
            if not tensor and Tensor in typing.get_args(hint):
                raise TypeError(f"{name}: parameter {p.name!r} is {hint}; only plain Tensors are supported")
        (inputs if tensor else params).append(p.name)
    return tuple(inputs), tuple(params)


def _results(fn: Callable[..., Any]) -> int:
    """Return how many results a function has, as far as its annotation says."""
    hint = _hints(fn).get("return")
    return len(typing.get_args(hint)) if typing.get_origin(hint) is tuple else 1


# ---- PyTorch's functions of the same
def _found(op: Any) -> CustomOp:
    if isinstance(op, CustomOp):
        return op
    owner = _owner(str(op).replace("::", "_"))
    if owner is None:
        raise ValueError(f"there is no custom op {op!r}")
    return owner


_custom: dict[str, CustomOp] = {}  # by the name of the record


def _owner(name: str) -> CustomOp | None:
    known = _custom.get(name)
    return known if known is not None and OPS.get(name) is known.op else None


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None, lib: Any = None
) -> None:
    """Give a custom op, or the one of that name, a backward function."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_fake(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Say what shape and type the results of a custom op have."""
    return _found(op).register_fake if func is None else _found(op).register_fake(func)


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Give a custom op another function for some devices."""
    return _found(op).register_kernel(device_types, func)
