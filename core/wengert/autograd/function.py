"""`autograd.Function`: an operation whose forward and backward the user writes.

Owns: `Function`, its context (which is its node on the tape), what a forward's results become, the checks of what a
backward returns, `once_differentiable`. May import: tape, tensor, modes, errors, in-place history, the records of
`cast` and `filled`. Must not know: any other op, any device.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from wengert import dtypes, errors, tape
from wengert._tensor import Tensor, wrap
from wengert.inplace import bump, check_history, rebase
from wengert.modes import no_grad, put_back, state, turn
from wengert.op import OPS
from wengert.record import attach, recast, sum_to
from wengert.tape import GraphNode, Slot

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]


class Saved:
    """One tensor that a forward saved: its memory, where its gradient goes, and how often it had been written to.

    The tensor itself is held weakly, so that what is written to it later cannot make a cycle with the node.
    """

    __slots__ = ("array", "edge", "output", "box", "version", "tensor", "packed")

    def __init__(self, tensor: Tensor, output: int | None) -> None:
        self.output = output
        self.edge = None if output is not None else tensor._edge
        self.packed: Any = None
        if state.packing:
            from wengert.autograd.saving import Packed

            self.packed = Packed(tensor._bare() if output is not None else tensor)
            return
        self.array, self.tensor = tensor._array, weakref.ref(tensor)
        self.box = tensor.version_box()
        self.version = self.box[0]

    def unpack(self, node: Any) -> Tensor:
        """Return the tensor with the history it had. Raises RuntimeError when it was written to since."""
        edge = self.edge if self.output is None else node.edge_of(self.output)
        if self.packed is not None:
            return wrap(self.packed.open(), edge)
        if self.box[0] != self.version:
            raise errors.overwritten(node.name(), tuple(self.array.shape), self.box[0] - self.version)
        tensor = self.tensor()
        if tensor is not None and tensor._edge is edge and tensor._array is self.array:
            return tensor
        result = wrap(self.array, edge)
        result._box = self.box
        return result


class FunctionCtx:
    """What a forward tells its backward. Attributes of any name but these are the user's own."""

    to_save: tuple[Tensor | None, ...] = ()
    saved_for_forward: tuple[Tensor | None, ...] = ()
    dirty_tensors: tuple[Tensor, ...] = ()
    non_differentiable: tuple[Tensor, ...] = ()
    materialize_grads = True
    forwarding = False  # while jvp runs
    needs_input_grad: tuple[bool, ...] = ()
    _saved: tuple[Saved | None, ...] | None = ()
    _node: Callable[[], Any] = staticmethod(lambda: None)  # a weak reference: the node holds the context

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, which finds them in `saved_tensors`. Anything else raises TypeError."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`, which finds them in `saved_tensors`. Anything else raises TypeError."""
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                kind = type(tensor).__name__
                raise TypeError(f"save_for_forward can only save variables, but argument {i} is of type {kind}")
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs the forward wrote to; each has to be among what it returns."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether backward gets zeros (the default) or None for results that no gradient arrived at."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` was given. Raises RuntimeError when it was freed, or written to since."""
        node = self._node()
        if self._saved is None:
            raise errors.freed(f"{type(self).__name__}")
        if node is None or (self.forwarding and self.saved_for_forward):
            return self.saved_for_forward or self.to_save
        return tuple([None if s is None else s.unpack(node) for s in self._saved])

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """The old name of `saved_tensors`."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    def __getattr__(self, name: str) -> Any:
        if name in _SHOWN and (node := self._node()) is not None:
            return getattr(node, name)
        raise AttributeError(f"the context of {type(self).__name__} has no attribute {name!r}")


_SHOWN = ("name", "metadata", "next_functions", "register_hook", "register_prehook")


class BackwardNode(GraphNode):
    """A call of a Function on the tape. Attributes that the user gave the context are also the node's."""

    __slots__ = ("ctx", "edges", "of_inputs", "of_results", "hooks", "metadata_", "__weakref__")
    function: type[Function]
    shapes = None

    def __init__(self, ctx: FunctionCtx, edges: tuple[Any, ...], inputs: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        self.ctx, self.edges, self.hooks = ctx, edges, None
        self.of_inputs, self.of_results = [_form(x) for x in inputs], [_form(r) for r in results]
        ctx._node = weakref.ref(self)
        if tape.anomaly is not None:
            tape.anomaly.note(self)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return len(self.of_results)

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {id(self):#x}>"

    def __getattr__(self, name: str) -> Any:
        if name in ("ctx", "metadata_"):
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def edge_of(self, number: int) -> Any:
        return self if len(self.of_results) == 1 else Slot(self, number)

    def save(self, inputs: tuple[Any, ...], results: tuple[Any, ...], made: tuple[Any, ...]) -> None:
        """Keep what the forward asked for: results without their history, which would be a cycle."""
        saved: list[Saved | None] = []
        asked, self.ctx.to_save = self.ctx.to_save, ()  # first: what follows may raise, and a result would lead back here
        for i, tensor in enumerate(asked):
            if tensor is None:
                saved.append(None)
                continue
            if not isinstance(tensor, Tensor):
                kind = type(tensor).__name__
                raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type {kind}")
            known = made if any(x is tensor for x in inputs) else results  # an input returned as it is counts as an input
            saved.append(Saved(tensor, next((n for n, r in enumerate(known) if r is tensor), None)))
        self.ctx._saved = tuple(saved)

    def free(self) -> None:
        """Let go of what was saved; a function that saved nothing can run again."""
        if self.ctx._saved:
            self.ctx._saved = None

    # ---- what the engine asks
    def pull(self, g: Any, create: bool, lift: Any, needed: set[Any] | None) -> Iterable[tuple[int, Any]]:
        """Run the user's backward on Tensors, and check what it returns."""
        arrived = tape.spread(g, self.outputs)
        like = next(v for v in arrived if v is not None)
        grads = []
        for v, form in zip(arrived, self.of_results, strict=True):
            if v is None and form is not None and self.ctx.materialize_grads:
                v = OPS["filled"](like._array if create else like, form[0], 0, form[1])
                v = wrap(v) if create else v
            grads.append(v if create or v is None else wrap(v))
        returned = self.function._pick_backward()(self.ctx, *grads)
        return self.checked(returned if isinstance(returned, tuple) else (returned,), create)

    def checked(self, returned: tuple[Any, ...], create: bool) -> Iterable[tuple[int, Any]]:
        name, count = self.name(), len(self.edges)
        while len(returned) > count and returned[-1] is None:
            returned = returned[:-1]
        if len(returned) != count:
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {count}, got {len(returned)})"
            )
        sent: list[tuple[int, Any]] = []
        for i, (r, form, edge) in enumerate(zip(returned, self.of_inputs, self.edges, strict=True)):
            if r is None:
                continue
            if form is None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {i + 1}, but the corresponding "
                    f"forward input was not a Variable"
                )
            if not isinstance(r, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(r).__name__}) from {name} for input {i}")
            if edge is None:
                continue
            sent.append((i, self.fitted(i, r, form) if create else self.fitted(i, r, form)._array))
        return sent

    def fitted(self, i: int, r: Tensor, form: tuple[Any, ...]) -> Tensor:
        """Return a gradient in the shape and type of its input."""
        shape, dtype, kind = form
        if tuple(r._array.shape) != shape:
            if not _expands(shape, r._array.shape):
                why = f"got {list(r.shape)} but expected shape compatible with {list(shape)}"
                raise errors.invalid_gradient(self.name(), i, why)
            r = sum_to(r, shape)
        if r._array.dtype != dtype:
            r = recast(r, dtype)
        if type(r._array) is not kind and state.recorder is None and not _layered(type(r._array), kind):
            raise errors.invalid_gradient(self.name(), i, f"it is on {r.device}, its input is not")
        return r


def _form(x: Any) -> tuple[Any, ...] | None:
    return (tuple(x._array.shape), x._array.dtype, type(x._array)) if isinstance(x, Tensor) else None


def _layered(*kinds: type) -> bool:
    """Say whether arrays belong to a transform of wengert.func, which are on the device of what they hold."""
    return any(hasattr(kind, "transform") for kind in kinds)


def _expands(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all([m == n or m == 1 for m, n in zip(shape[::-1], to[::-1], strict=False)])


class FunctionMeta(type):
    """Gives each Function the class of its nodes, `<Name>Backward`."""

    _backward_cls: type[BackwardNode]
    _ctx_cls: type[FunctionCtx]

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        title, module = f"{name}Backward", cls.__module__
        cls._backward_cls = type(title, (BackwardNode,), {"function": cls, "__module__": module, "__slots__": ()})
        cls._ctx_cls = type(title, (FunctionCtx,), {"__module__": module})


class Function(metaclass=FunctionMeta):
    """An operation with its own backward: a subclass has static `forward` and `backward`, and is called by `apply`.

    `forward(ctx, *args)`, or `forward(*args)` with `setup_context(ctx, inputs, output)`. `backward(ctx, *grads)` gets a
    gradient for each result and returns one for each argument, None where there is none. `jvp(ctx, *tangents)` serves
    forward mode, `vmap(info, in_dims, *args)` batches.
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. The methods of an autograd function are all static: call "
            f"{type(self).__name__}.apply(...).",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function "
            f"with static forward method: {type(self).__name__}.apply(...)."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the results. To be overridden."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what backward needs, where `forward` takes no ctx. To be overridden."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return the gradient of each argument of forward. To be overridden."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "
            "mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Return the tangent of each result, given those of the arguments. To be overridden."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """Return results of batched arguments, and where their batch dimensions are. To be overridden."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def _pick_backward(cls) -> Callable[..., Any]:
        own = [f for f in (cls.backward, cls.vjp) if f is not Function.backward]
        if len(own) == 2:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one of "
                "them."
            )
        return own[0] if own else Function.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function: forward runs unrecorded, and its results get one node, whose backward is the class's own."""
        made, ctx = cls._applied(*args, **kwargs)
        if ctx.saved_for_forward:
            ctx.saved_for_forward = ()  # nobody asks for tangents, and a result among these leads back to the context
        return made

    @classmethod
    def _applied(cls, *args: Any, **kwargs: Any) -> tuple[Any, FunctionCtx]:
        """Return what a call gives, and its context."""
        split = cls.setup_context is not Function.setup_context
        if split or kwargs:
            front = () if split else (None,)  # where ctx will stand
            bound = inspect.signature(cls.forward).bind(*front, *args, **kwargs)
            bound.apply_defaults()
            args = bound.args[len(front) :]
        ctx = cls._ctx_cls()
        ctx.needs_input_grad = tuple([isinstance(x, Tensor) and x._edge is not None for x in args])
        edges = tuple([x._edge if isinstance(x, Tensor) else None for x in args])  # forward may write to its inputs
        before = state.grad
        try:
            turn(False)
            levels = [x._array.level for x in args if isinstance(x, Tensor) and hasattr(x._array, "level")]
            output = _transformed(levels, cls, args)
            if output is None:
                given = args if split else (ctx, *args)
                output = levels[0].forwarded(cls.forward, given) if levels else cls.forward(*given)
            elif not split:
                ctx.needs_input_grad = (False,) * len(args)  # it is recorded outside of the transform, with a ctx of its own
            if split:
                cls.setup_context(ctx, args, output)
        finally:
            put_back(before)
            turn(before)
        results = output if isinstance(output, tuple) else (output,)
        recorded = state.grad and any(ctx.needs_input_grad)
        node = cls._backward_cls(ctx, edges, args, results) if recorded else None
        made = _results(cls, ctx, node, args, results)
        if ctx.dirty_tensors or ctx.non_differentiable:
            ctx.dirty_tensors = ctx.non_differentiable = ()  # they lead back here, too
        if node is not None:
            node.save(args, results, made)
        return made if isinstance(output, tuple) else made[0], ctx


class InplaceFunction(Function):
    """An operation that may write to its input: the name that older programs derive from; every Function may."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _transformed(levels: list[Any], cls: type[Function], args: tuple[Any, ...]) -> Any:
    """Return what the class's own rule for the innermost transform of wengert.func gives, or None: forward runs inside it."""
    return max(levels, key=lambda level: level.depth).custom(cls, args) if levels else None


def _results(
    cls: type[Function], ctx: FunctionCtx, node: BackwardNode | None, inputs: tuple[Any, ...], results: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return what forward returned with its history: the node, or none."""
    dirty, constant = {id(t) for t in ctx.dirty_tensors}, {id(t) for t in ctx.non_differentiable}
    if dirty - {id(r) for r in results}:
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified "
            "inplace must all be outputs of the Function."
        )
    given = {id(x) for x in inputs if isinstance(x, Tensor)}
    made: list[Any] = []
    for number, r in enumerate(results):
        if not isinstance(r, Tensor):
            made.append(r)
            continue
        differentiable = id(r) not in constant and dtypes.category(r._array.dtype) >= dtypes.FLOATING
        edge = node.edge_of(number) if node is not None and differentiable else None
        if id(r) in dirty:
            bump(r)  # forward may have written in ways that nobody counted
            if edge is not None:
                _modified(f"Output {number} of {cls.__name__}", r, edge, len(results))
            made.append(r)
            continue
        if id(r) in given:
            source, r = r, wrap(r._array)
            attach(r, source, OPS["reshape"], (tuple(r._array.shape),))
        elif r._blind is True:  # a view made in forward
            r._edge = None
        elif r._edge is not None:
            r = r._bare()
        if edge is not None:
            r._edge = edge
            if r._base is not None:
                r._blind = f"Output {number} of {cls.__name__}"
        made.append(r)
    return tuple(made)


def _modified(title: str, target: Tensor, edge: Any, outputs: int) -> None:
    """Give an input that was written to its history."""
    check_history(target)
    if target._base is not None and outputs > 1:
        raise RuntimeError(f"{title} is a view that was written to: then it has to be the only one of its {outputs} outputs.")
    rebase(target, wrap(target._array, edge))


# ---- once_differentiable
def _twice(g: Any, saved: Any) -> Any:
    raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward that is not made of recorded operations: differentiating its gradients raises RuntimeError."""

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            returned = backward(ctx, *grads)
        if not state.grad:
            return returned
        edges = tuple([g._edge for g in grads if isinstance(g, Tensor)]) + ctx._node().edges
        pulls = tuple([(i, _twice) for i, edge in enumerate(edges) if edge is not None])
        plan = dataclasses.replace(OPS["cast"].plan((True,)), pulls=pulls)

        def marked(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            result = value._bare()
            result._edge = node = tape.node(plan, edges, (), None)
            node.label = "Error"
            return result

        return tuple([marked(v) for v in returned]) if isinstance(returned, tuple) else marked(returned)

    return once
