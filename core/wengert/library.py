"""An operation of the user's own in a few lines: `wengert.custom_op`, and what PyTorch has in its module `library`.

Owns: what a Python function has to say about itself to become an op record (which parameters are tensors, how many results),
the ways to give it a gradient and a rule for batches, and `opcheck`, which sees whether what it says is so. May import: record,
op, registry, tape, modes, tensor, autograd.Function, inplace, backend; the compiler and the kit late. Must not know: any op,
any device. A custom op is a record as any other: it is captured, batched and differentiated to any order.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from wengert import backend, tape
from wengert._tensor import Tensor, wrap
from wengert.autograd.function import Function
from wengert.inplace import bump, check
from wengert.modes import no_grad, state
from wengert.op import ANY, FLOAT, OPS, Op, Rule, grad_name
from wengert.record import elementwise, structural
from wengert.registry import registry

__all__ = ["CustomOp", "custom_op", "opcheck", "register_autograd", "register_fake", "register_kernel", "register_vmap"]

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
    function writes to, or "unknown": it may write to any. schema: "(Tensor x, float y) -> Tensor", instead of annotations.
    device_types, tags: accepted for PyTorch programs.
    Raises TypeError for a signature or a rule that cannot be used, ValueError for a name that is taken or malformed.
    """
    if callable(name) and fn is None:
        return custom_op(None, name, gradient=gradient, template=template, arrays=arrays, mutates_args=mutates_args)
    if fn is None:
        return lambda function: custom_op(
            name, function, gradient=gradient, template=template, arrays=arrays, mutates_args=mutates_args, schema=schema
        )
    if schema is not None:
        fn = _annotated(fn, schema)
    if isinstance(mutates_args, str) and mutates_args != "unknown":
        raise ValueError(f'custom_op: mutates_args is a list of names, or "unknown" for all tensors, not {mutates_args!r}')
    mutated = None if mutates_args == "unknown" else tuple(mutates_args)
    return CustomOp(_qualified(name, fn), fn, gradient, template, arrays, mutated)


def _annotated(fn: Callable[..., Any], schema: str) -> Callable[..., Any]:
    """Return a function with the annotations that a schema says."""
    from wengert import definitions

    _, signature, _ = definitions.read(f"op{schema}")

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    run.__annotations__["return"] = signature.return_annotation
    run.__dict__["__signature__"] = signature
    return run


def _qualified(name: Any, fn: Callable[..., Any]) -> str:
    if name is None:
        return f"custom::{fn.__name__}"
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise ValueError(f"custom_op: a name is 'namespace::name', each a Python name, but got {name!r}")
    return name


class CustomOp:
    """A function as an operation; called as the function is."""

    def __init__(
        self, name: str, fn: Callable[..., Any], gradient: Any, template: str | None, arrays: bool,
        mutated: tuple[str, ...] | None,
    ) -> None:  # fmt: skip
        self.name, self.fn, self.arrays = name, fn, arrays
        functools.update_wrapper(self, fn)
        self.signature = inspect.signature(fn)
        self.inputs, self.params = _parameters(name, fn, self.signature)
        self.positional = [p.name for p in self.signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        self.outputs = _results(name, fn)
        self.mutated = self.inputs if mutated is None else mutated
        strange = [n for n in self.mutated if n not in self.inputs]
        if strange:
            raise TypeError(f"{name}: mutates_args names {strange}, but its tensors are {', '.join(self.inputs) or 'none'}")
        self.fake: Callable[..., Any] | None = _fakes.get(name)
        self.function: type[Function] | None = None  # made of what register_autograd and register_vmap were given
        self.members: dict[str, Callable[..., Any]] = {}
        self.has_rules = gradient is not None and not _is_backward(gradient)
        rules: dict[str, Rule] = {}
        if self.has_rules:
            rules = self._rules(gradient)
        self.op: Op | None = self._record(template, rules) if self.inputs else None
        if gradient is not None and _is_backward(gradient):
            self.register_autograd(gradient)

    def __repr__(self) -> str:
        return f"<custom op {self.name}({', '.join((*self.inputs, *self.params))})>"

    @property
    def default(self) -> CustomOp:
        """The op itself: PyTorch's `torch.ops.namespace.name.default`."""
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self.function is not None and (state.grad or any([_transformed(v) for v in bound.arguments.values()])):
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
        name, kernel = self.name.replace("::", "_"), self._kernel(self._pure if self.mutated else self.fn)
        if _owner(name) is not None:  # a notebook's cell that runs again
            del OPS[name]
            for key in [key for key in registry.kernels if key[0] == name]:
                del registry.kernels[key]
        label = grad_name(self.name.rpartition("::")[2], 0)
        reserved = [n for n in (*self.inputs, *self.params) if n in RESERVED]
        if reserved and (rules or template is not None):
            raise TypeError(
                f"{self.name}: with rules or a template a parameter cannot be called {reserved[0]!r}; "
                f"not {', '.join(sorted(RESERVED))} either"
            )
        inputs, params = (" ".join(f"{n}_" if n in RESERVED else n for n in names) for names in (self.inputs, self.params))
        if template is not None:
            if self.outputs > 1:
                raise TypeError(f"{self.name}: a template is one element of one result, but there are {self.outputs}")
            options: dict[str, Any] = {"domain": FLOAT, "inputs": inputs, **rules}
            op = elementwise(name, template, params=params, face=self.name, label=label, **options)
        else:
            options = {"domain": ANY, "outputs": len(self.mutated) + self.outputs, **rules}
            op = structural(name, inputs, self._infer, params=params, face=self.name, label=label, **options)
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
            if len(self.mutated) + self.outputs > 1:
                return results
            return results[0] if out is ... else backend.of_array(out).write(out, results[0])

        return kernel

    def _pure(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a function that writes to its inputs with copies of them; return these, then what it returned."""
        bound = self.signature.bind(*args, **kwargs)
        copies = {n: tape.duplicate(v) if self.arrays else v.clone() for n, v in bound.arguments.items() if n in self.mutated}
        bound.arguments.update(copies)
        made = self.fn(*bound.args, **bound.kwargs)
        return (*[copies[n] for n in self.mutated], *(() if made is None else _several(made)))

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
        fn = self._pure if self.mutated else self.fake or self.fn
        arrays = self.arrays and (self.mutated or self.fake is None)  # a fake always gets Tensors
        recorder, state.recorder = state.recorder, None  # a capture asks for the shape, and does not record how it is found
        try:
            with no_grad():
                made = self._ordered(fn, zeros if arrays else [wrap(z) for z in zeros], values[count:])
        finally:
            state.recorder = recorder
        forms = [(tuple(r.shape), r._array.dtype if isinstance(r, Tensor) else r.dtype) for r in _several(made)]
        return tuple(forms) if len(forms) > 1 else forms[0]

    def _run(self, arguments: dict[str, Any]) -> Any:
        if self.mutated:
            return self._run_writing(arguments)
        if self.op is not None:
            return self._call(arguments)
        return self._ordered(self.fn, [], [arguments[n] for n in self.params])

    def _call(self, arguments: dict[str, Any]) -> Any:
        """Call the record."""
        assert self.op is not None
        missing = [n for n in self.inputs if not isinstance(arguments[n], Tensor | int | float | complex)]
        if missing:
            kind = type(arguments[missing[0]]).__name__
            raise TypeError(f"{self.name}(): argument {missing[0]!r} must be Tensor, not {kind}")
        return self.op(*[arguments[n] for n in self.inputs], *[arguments[n] for n in self.params])

    def _run_writing(self, arguments: dict[str, Any]) -> Any:
        """Let the function write to its inputs; where they have no values (a capture), write what the record gives."""
        targets = [arguments[n] for n in self.mutated]
        for t in targets:
            check(t)
            if t.requires_grad:
                raise RuntimeError(f"{self.name} writes to a tensor that requires grad, and has no gradient for that")
        tensors = [arguments[n] for n in self.inputs]
        with no_grad():
            if any([_transformed(x) for x in tensors]) or state.recorder is not None:
                results = _several(self._call(arguments))
                for t, r in zip(targets, results, strict=False):
                    t.copy_(r)
                rest = results[len(targets) :]
                return rest if len(rest) > 1 else rest[0] if rest else None
            given = [x._array for x in tensors] if self.arrays else tensors
            made = self._ordered(self.fn, given, [arguments[n] for n in self.params])
        for t in targets:
            bump(t)
        return made

    # ---- what can be added later
    def register_autograd(self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None) -> None:
        """Give the op a backward function `(ctx, *grads)`, which returns a gradient for each positional parameter, None where
        there is none; `setup_context(ctx, inputs, output)` keeps what it needs. (Where the op has keyword-only parameters,
        PyTorch calls it with `keyword_only_inputs=`, a dict, besides.)"""
        for what, f in (("backward", backward), ("setup_context", setup_context)):
            if f is not None and not callable(f):
                raise TypeError(f"{self.name}: {what} is a function that takes ctx first, not {f!r}")

        last = len(self.positional)
        named = len(self.signature.parameters) - last

        def context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if setup_context is None or not any(ctx.needs_input_grad):
                return
            if named:
                more = dict(zip(list(self.signature.parameters)[last:], inputs[last:], strict=True))
                setup_context(ctx=ctx, inputs=inputs[:last], keyword_only_inputs=more, output=output)
            else:
                setup_context(ctx, inputs, output)

        def gradients(ctx: Any, *grads: Any) -> Any:
            made = _several(backward(ctx, *grads))
            less = self.positional[len(made) :]  # plain values at the end need no None
            return (*made, *[None] * (named + (len(less) if not set(less) & set(self.inputs) else 0)))

        self._dress(forward=self._forward, setup_context=context, backward=gradients)

    def register_vmap(self, func: Callable[..., Any], /) -> Callable[..., Any]:
        """Say how a batch is computed at once: `func(info, in_dims, *args)` gives the results, and where their batch is.

        Without it one element is computed at a time. Raises RuntimeError for an op whose gradient is rules.
        """
        if self.has_rules:
            raise RuntimeError(f"{self.name} has rules, which need its record; register_vmap goes with register_autograd")
        if self.function is None:
            self._dress(forward=self._forward, setup_context=lambda ctx, inputs, output: None)
        last = len(self.positional)

        def batched(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
            named = dict(zip(list(self.signature.parameters)[last:], args[last:], strict=True))
            return func(info, in_dims[:last], *args[:last], **named)

        self._dress(vmap=batched)
        return func

    def _forward(self, *args: Any) -> Any:
        """Call with all arguments in the order of the parameters: how a Function does."""
        return self._run(dict(zip(self.signature.parameters, args, strict=True)))

    def _dress(self, **members: Callable[..., Any]) -> None:
        self.members.update(members)
        title = self.name.replace("::", "_")
        self.function = type(title, (Function,), {n: staticmethod(f) for n, f in self.members.items()})

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Say what shape and type the results have, by a function that makes them of any values; returns it."""
        self.fake = fn
        return fn

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Give the op another function for some devices: `@op.register_kernel("opencl")`."""
        if fn is None:
            return lambda function: self.register_kernel(device_types, function)
        if self.op is None or self.mutated:
            raise RuntimeError(f"{self.name} has no kernels: it writes to its inputs, or has none")
        for device in _devices(device_types):
            registry.kernel(self.op.name, device, self._kernel(fn), override=True)
        return fn


def _devices(device_types: Any) -> Any:
    """Return device names; "*": all, for None."""
    return ("*",) if device_types is None else (device_types,) if isinstance(device_types, str) else device_types


def _transformed(x: Any) -> bool:
    return isinstance(x, Tensor) and hasattr(type(x._array), "transform")


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
        if hint is None or hint is Any:
            tensor = p.default is p.empty
        else:
            tensor = hint is Tensor or (isinstance(hint, str) and hint.rpartition(".")[2] == "Tensor")
            if not tensor and Tensor in typing.get_args(hint):
                raise TypeError(f"{name}: parameter {p.name!r} is {hint}; only plain Tensors are supported")
        (inputs if tensor else params).append(p.name)
    return tuple(inputs), tuple(params)


def _results(name: str, fn: Callable[..., Any]) -> int:
    """Return how many results a function has, as far as its annotation says."""
    hint = _hints(fn).get("return", Tensor)
    if hint is type(None):
        return 0
    if hint is list or typing.get_origin(hint) in (list, Sequence):
        raise TypeError(f"{name}: the function returns {hint}; only a Tensor or a tuple of a fixed number of them is supported")
    return len(typing.get_args(hint)) if typing.get_origin(hint) is tuple else 1


# ---- PyTorch's functions of the same
def _found(op: Any) -> CustomOp:
    if isinstance(op, CustomOp):
        return op
    given = defined.get(op) if isinstance(op, str) else op if op in defined.values() else None
    if given is not None:
        return given.custom  # type: ignore[no-any-return]
    owner = _owner(str(op).replace("::", "_"))
    if owner is None:
        raise ValueError(f"there is no custom op {op!r}")
    return owner


_custom: dict[str, CustomOp] = {}  # by the name of the record
_fakes: dict[str, Callable[..., Any]] = {}  # by the name of an op that there was not yet
defined: dict[str, Any] = {}  # what has a schema (definitions.Definition), by its name


def _owner(name: str) -> CustomOp | None:
    known = _custom.get(name)
    return known if known is not None and OPS.get(name) is known.op else None


def namespace(name: str) -> Any:
    """Return PyTorch's `torch.ops.<name>`: the custom ops of a namespace, as attributes. Raises AttributeError for none."""
    schemas = {op.name.partition(".")[0] for op in defined.values() if op.schema}
    known = [*_custom.values(), *[op for op in defined.values() if op.name in schemas]]
    found = {op.name.partition("::")[2]: op for op in known if op.name.partition("::")[0] == name}
    if not found:
        raise AttributeError(f"module 'wengert.ops' has no attribute {name!r}, and no custom op is called '{name}::...'")
    return types.SimpleNamespace(**found)


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None, lib: Any = None
) -> None:
    """Give a custom op, or the one of that name, a backward function."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_fake(op: Any, func: Callable[..., Any] | None = None, *, lib: Any = None) -> Any:
    """Say what shape and type the results of a custom op have."""
    if func is None:
        return lambda function: register_fake(op, function, lib=lib)
    if op in defined or op in defined.values():
        return (defined.get(op) or op).register_fake(func)
    if isinstance(op, str) and NAME.fullmatch(op) and _owner(op.replace("::", "_")) is None:
        _fakes[op] = func  # for when there is one: libraries say so before, or of operations in C++ that never come
        return func
    return _found(op).register_fake(func)


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Give a custom op another function for some devices."""
    return _found(op).register_kernel(device_types, func)


def register_vmap(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Say how a batch of a custom op is computed at once."""
    return _found(op).register_vmap if func is None else _found(op).register_vmap(func)


def __getattr__(name: str) -> Any:
    if name not in ("Library", "define", "impl", "_scoped_library", "impl_abstract", "triton_op"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "impl_abstract":  # what register_fake was called
        return register_fake
    if name == "triton_op":  # one whose function may be captured: functions of all of them are
        return custom_op
    from wengert import definitions

    return getattr(definitions, name.replace("_scoped_library", "scoped"))


# ---- opcheck: whether what an op says of itself is so
class OpCheckError(RuntimeError):
    """What `opcheck` raises, with the name of the test and what it found."""


def _schema(op: CustomOp, args: Sequence[Any], kwargs: dict[str, Any], close: Close) -> None:
    """The function writes to what mutates_args names and nothing else, and returns no memory that it was given."""
    bound = op.signature.bind(*_copied(args), **_copied(kwargs))
    before = {n: v.clone() for n, v in bound.arguments.items() if isinstance(v, Tensor)}
    with no_grad():
        made = [r for r in _several(op(*bound.args, **bound.kwargs)) if isinstance(r, Tensor)]
    for name, kept in before.items():
        now = bound.arguments[name]
        if name not in op.mutated and not bool((now.detach() == kept).logical_or(kept != kept).all()):
            raise OpCheckError(f"argument {name!r} was written to: name it in mutates_args, or clone() it first")
        if any(r.is_cpu and now.is_cpu and np.shares_memory(r.numpy(), now.detach().numpy()) for r in made):
            raise OpCheckError(f"a result is (a view of) the argument {name!r}: return a clone() of it")


def _autograd(op: CustomOp, args: Sequence[Any], kwargs: dict[str, Any], close: Close) -> None:
    """With a gradient given, backward runs, and sends gradients of the arguments' shapes."""
    if "backward" in op.members or op.has_rules:
        _results_and_gradients(op, _copied(args), _copied(kwargs))


def _fake(op: CustomOp, args: Sequence[Any], kwargs: dict[str, Any], close: Close) -> None:
    """The results have the shapes and types that the fake says (or that the function gives for zeros)."""
    if op.op is None:
        return
    bound = op.signature.bind(*_copied(args), **_copied(kwargs))
    bound.apply_defaults()
    arguments, infer = bound.arguments, op._infer
    said: Any = infer(*[arguments[n]._array for n in op.inputs], *[arguments[n] for n in op.params])
    with no_grad():
        real = _several(op.op(*[arguments[n].detach() for n in op.inputs], *[arguments[n] for n in op.params]))
    forms = [(tuple(r.shape), r._array.dtype) for r in real]
    for number, (a, b) in enumerate(zip([said] if len(forms) == 1 else said, forms, strict=True)):
        if (tuple(a[0]), np.dtype(a[1])) != b:
            raise OpCheckError(f"result {number} has shape {b[0]} and type {b[1]}, but the fake says {tuple(a[0])} and {a[1]}")


def _compiled(op: CustomOp, args: Sequence[Any], kwargs: dict[str, Any], close: Close) -> None:
    """A compiled call gives the results, the gradients and the writes of a plain one."""
    from wengert.compiler import compile

    plain, other = [(_copied(args), _copied(kwargs)) for _ in range(2)]
    expected = _results_and_gradients(op, *plain)
    found = _results_and_gradients(compile(lambda *a, **k: op(*a, **k)), *other)
    for a, b in zip((*found, *_tensors(other)), (*expected, *_tensors(plain)), strict=True):
        close(a, b)


Close = Callable[[Any, Any], None]
TESTS: dict[str, Callable[[CustomOp, Sequence[Any], dict[str, Any], Close], None]] = {  # by PyTorch's names
    "test_schema": _schema,
    "test_autograd_registration": _autograd,
    "test_faketensor": _fake,
    "test_aot_dispatch_dynamic": _compiled,
}


def opcheck(
    op: Any, args: Sequence[Any], kwargs: dict[str, Any] | None = None, *, test_utils: str | Sequence[str] = tuple(TESTS),
    raise_exception: bool = True, atol: float | None = None, rtol: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run a custom op on sample arguments, and see whether what it says of itself is so: what it writes to, that backward runs,
    the shapes its fake gives, the same values compiled. Return "SUCCESS", or the exception, for each of these.

    Raises OpCheckError for the first that fails, unless raise_exception is False; ValueError for an unknown test.
    """
    from wengert.testing import assert_close

    names = [test_utils] if isinstance(test_utils, str) else list(test_utils)
    unknown = [n for n in names if n not in TESTS]
    if unknown:
        raise ValueError(f"opcheck has the tests {', '.join(TESTS)}, not {unknown}")
    found: dict[str, Any] = {}
    for name in names:
        try:
            TESTS[name](_found(op), args, dict(kwargs or {}), lambda a, b: assert_close(a, b, atol=atol, rtol=rtol))
            found[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise OpCheckError(f"opcheck({_found(op).name}): {name}: {error}") from error
            found[name] = error
    return found


def _copied(values: Any) -> Any:
    """Return arguments with every tensor a leaf of its own."""
    if isinstance(values, dict):
        return dict(zip(values, _copied(values.values()), strict=True))
    copy = [v.detach().clone().requires_grad_(v.requires_grad) if isinstance(v, Tensor) else v for v in values]
    return tuple(copy)


def _tensors(given: tuple[Sequence[Any], dict[str, Any]]) -> list[Tensor]:
    return [v for v in (*given[0], *given[1].values()) if isinstance(v, Tensor)]


def _results_and_gradients(fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    results = [r for r in _several(fn(*args, **kwargs)) if isinstance(r, Tensor)]
    leaves = [t for t in _tensors((args, kwargs)) if t.requires_grad]
    ends = [r for r in results if r.requires_grad]
    if leaves and ends:
        from wengert.autograd import grad

        results += [g for g in grad(ends, leaves, [r.detach() * 0 + 1 for r in ends], allow_unused=True) if g is not None]
    return [r.detach() for r in results]
