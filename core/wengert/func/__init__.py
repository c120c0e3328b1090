"""Function transforms, `wengert.func`: grad, vjp, jvp, jacobians and vmap, freely composed.

Owns: the public functions and the walking of nested arguments. May import: layers, batching, forward, autograd, tape.
Must not know: any op. Reverse mode is the tape on fresh leaves; forward mode and batching are levels (layers.py), which
the tape runs on as it does on any device's arrays.
Source: the interface is that of PyTorch's torch.func.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wengert import autograd
from wengert._tensor import Tensor, wrap
from wengert.func.batching import Batching, to_front
from wengert.func.forward import Forward, motion, zeros_like
from wengert.func.layers import Layer, innermost, leaves, mapped, on_level, rebuilt, start_recording, stop_recording
from wengert.modes import state
from wengert.op import OPS
from wengert.tape import AccumulateGrad

__all__ = [
    "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "replace_all_batch_norm_modules_", "stack_module_state", "value_and_grad", "vjp", "vmap",
]  # fmt: skip


# ---- reverse mode
@contextlib.contextmanager
def _recording() -> Iterator[None]:
    """Record, inside of inference_mode too: what a function does is differentiated wherever the transform is called."""
    grad, inference, around = state.grad, state.inference, start_recording()
    state.inference = False
    try:
        yield
    finally:
        state.inference = inference
        stop_recording(around, grad)


_serials = itertools.count(1)
_serial_of: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # of the tape that a leaf is of


class _Tape:
    """A function run on fresh leaves, and the gradients of its results with respect to them."""

    def __init__(self, name: str, inputs: Any) -> None:
        self.name, self.serial = name, next(_serials)
        self.outer = False  # whether the inputs have a history of their own, on the same level
        self.leaves: list[Tensor] = []
        self.inputs = mapped(inputs, self.fresh)

    def fresh(self, x: Any) -> Any:
        """Return an input as a leaf of its own: only what goes through it counts, not what else uses the same tensor."""
        if not isinstance(x, Tensor):
            raise ValueError(f"{self.name}: expected tensors (nested in tuples, lists and dicts), got {type(x).__name__}")
        x = on_level(x, innermost())
        with _recording():
            if x._edge is not None:
                self.outer = True
                leaf = x.view_as(x)
            else:
                leaf = x._bare()
                leaf._box = None if leaf.is_inference() else leaf._box
                leaf.requires_grad_()
                _serial_of[leaf._edge] = self.serial
        self.leaves.append(leaf)
        return leaf

    def gradients(self, outputs: Sequence[Tensor], given: Sequence[Any], keep: bool) -> list[Tensor]:
        """Return the gradient for each leaf, recorded where anything outside of the function has a history."""
        used = [
            (y, on_level(g, y._array.level) if isinstance(y._array, Layer) and g is not None else g)
            for y, g in zip(outputs, given, strict=True)
            if y._edge is not None
        ]  # fmt: skip
        if not used:
            return [zeros_like(x) for x in self.leaves]
        create = self.outer or any(isinstance(g, Tensor) and g._edge is not None for _, g in used)
        create = state.grad and (create or self._reaches_out([y._edge for y, _ in used]))
        around = start_recording(before := state.grad)
        try:
            found = autograd.grad(
                [y for y, _ in used], self.leaves, [g for _, g in used], retain_graph=keep or create, create_graph=create,
                allow_unused=True,
            )  # fmt: skip
        finally:
            stop_recording(around, before)
        return [zeros_like(x) if g is None else g for x, g in zip(self.leaves, found, strict=True)]

    def _reaches_out(self, roots: Sequence[Any]) -> bool:
        """Say whether a graph leads to a leaf that is not one of these, nor of a transform inside of this one."""
        own = {x._edge for x in self.leaves}
        seen, stack = set(roots), list(roots)
        while stack:
            node = stack.pop()
            if type(node) is AccumulateGrad and node not in own and _serial_of.get(node, 0) < self.serial:
                return True
            for edge in node.edges:
                if edge is not None and edge not in seen:
                    seen.add(edge)
                    stack.append(edge)
        return False

    def released(self, tree: Any) -> Any:
        """Return results for the caller: without the history that ends in these leaves, unless there is another."""

        def release(y: Any) -> Any:
            if not isinstance(y, Tensor) or y._edge is None:
                return y
            return y if state.grad and (self.outer or self._reaches_out([y._edge])) else y._bare()

        return mapped(tree, release)


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return func(*primals) and a function that takes a gradient of it to the gradients of the primals.

    has_aux: func returns (result, anything else), and the anything else is returned third.

    >>> y, pull = torch.func.vjp(torch.exp, torch.zeros(2))
    >>> pull(torch.tensor([1.0, 10.0]))
    (tensor([ 1., 10.]),)
    """
    if not primals:
        raise RuntimeError("vjp(f, *primals): expected at least one primal")
    tape = _Tape("vjp(f, *primals)", primals)
    with _recording():
        result = func(*tape.inputs)
    aux = None
    if has_aux:
        result, aux = _with_aux("vjp", result)
    outputs = _results("vjp", result)

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = list(leaves(cotangents[0] if len(cotangents) == 1 else cotangents))
        if len(given) != len(outputs):
            raise RuntimeError(f"vjp: the function gives {len(outputs)} tensors, but {len(given)} gradients were passed")
        for y, g in zip(outputs, given, strict=True):
            if not isinstance(g, Tensor) or g.shape != y.shape:
                shape = list(g.shape) if isinstance(g, Tensor) else type(g).__name__
                raise RuntimeError(f"vjp: the gradient must have the shape of the result, {list(y.shape)}, got {shape}")
        return rebuilt(primals, tape.gradients(outputs, given, retain_graph))

    value = tape.released(result)
    return (value, pull, tape.released(aux)) if has_aux else (value, pull)


def _with_aux(name: str, result: Any) -> Any:
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"{name}: with has_aux=True the function must return (result, aux), got {type(result).__name__}")
    return result


def _results(name: str, tree: Any) -> list[Tensor]:
    found = list(leaves(tree))
    for y in found:
        if not isinstance(y, Tensor):
            raise RuntimeError(f"{name}: expected the function to return only tensors, got {type(y).__name__}")
    return found


def _chosen(name: str, args: Sequence[Any], argnums: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return the places of the arguments to differentiate by. Raises RuntimeError out of range or repeated."""
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not wanted:
        raise RuntimeError(f"{name}: argnums must be non-empty")
    places = tuple(n + len(args) if n < 0 else n for n in wanted)
    if any(not 0 <= n < len(args) for n in places):
        raise RuntimeError(f"{name}: got argnums={argnums}, but only {len(args)} positional inputs")
    if len(set(places)) != len(places):
        raise RuntimeError(f"{name}: argnums elements must be unique, got {argnums}")
    return places


def _replaced(args: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    whole = list(args)
    for place, value in zip(places, values, strict=True):
        whole[place] = value
    return whole


def grad_and_value(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return the function of (gradient with respect to arguments, value) of a scalar function.

    argnums: the argument, or several, to differentiate by. has_aux: func returns (scalar, anything else).
    Raises RuntimeError where the value is no scalar tensor.
    """

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        places = _chosen("grad", args, argnums)
        tape = _Tape("grad", [args[n] for n in places])
        with _recording():
            result = func(*_replaced(args, places, tape.inputs), **kwargs)
        aux = None
        if has_aux:
            result, aux = _with_aux("grad", result)
        if not isinstance(result, Tensor):
            raise RuntimeError(f"grad: expected the function to return a Tensor, got {type(result).__name__}")
        if result.dim():
            raise RuntimeError(
                f"grad: expected the function to return a scalar tensor, got one of {result.dim()} dims, shape "
                f"{list(result.shape)}; reduce it, or use jacrev"
            )
        gradients = rebuilt([args[n] for n in places], tape.gradients([result], [None], False))
        answer = gradients[0] if isinstance(argnums, int) else tuple(gradients)
        value = tape.released(result)
        return (answer, (value, tape.released(aux))) if has_aux else (answer, value)

    return run


def value_and_grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return the function of (value, gradient) of a scalar function; see `grad_and_value`."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return value, gradient

    return run


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return the gradient function of a scalar function; with has_aux it gives (gradient, aux).

    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(0.5))
    tensor(-0.4794)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


# ---- forward mode
def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """Return func(*primals) and its derivative along tangents: J(primals) @ tangents.

    strict: raise RuntimeError where a result does not depend on the primals (else its tangent is zeros).

    >>> torch.func.jvp(lambda x: x**2, (torch.tensor(3.0),), (torch.tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): expected primals and tangents to be tuples")
    points, directions = list(leaves(primals)), list(leaves(tangents))
    if len(points) != len(directions) or not points:
        raise RuntimeError("jvp(f, primals, tangents): expected primals and tangents of the same structure, not empty")
    for x, t in zip(points, directions, strict=True):
        if not isinstance(x, Tensor) or not isinstance(t, Tensor) or x.shape != t.shape:
            raise RuntimeError("jvp(f, primals, tangents): expected a tangent of the same shape for every primal tensor")
    with Forward() as level:
        copies = [OPS["cast"](t, x._array.dtype) for x, t in zip(points, directions, strict=True)]  # f may write to them
        pairs = [wrap(level.dual(x, t)) for x, t in zip(points, copies, strict=True)]
        result = func(*rebuilt(primals, pairs))
        aux = None
        if has_aux:
            result, aux = _with_aux("jvp", result)
        _results("jvp", result)
        value = mapped(result, lambda y: _parts(level, y)[0])

        def direction(y: Tensor) -> Tensor:
            x, t = _parts(level, y)
            if t is None and strict:
                raise RuntimeError("jvp(f, primals, tangents, strict=True): a result of f does not depend on the primals")
            return zeros_like(x) if t is None else t

        found = mapped(result, direction)
        rest = mapped(aux, lambda y: _parts(level, y)[0] if isinstance(y, Tensor) else y)
    return (value, found, rest) if has_aux else (value, found)


def _parts(level: Forward, y: Tensor) -> tuple[Tensor, Tensor | None]:
    layer = y._array
    if isinstance(layer, Layer) and layer.level is level:
        return layer.value, motion(layer)
    return y, None


def linearize(func: Callable[..., Any], *primals: Any) -> Any:
    """Return func(*primals) and its derivative at that point as a function of tangents, which does not run func again."""
    value, pull = vjp(func, *primals)
    outputs = [zeros_like(y).requires_grad_() for y in _results("linearize", value)]
    with _recording():
        pulled = pull(rebuilt(value, outputs))
    sent = list(leaves(pulled))

    def pushed(*tangents: Any) -> Any:
        pairs = [(p, t) for p, t in zip(sent, leaves(tangents), strict=True) if p.requires_grad]
        found: Sequence[Any] = [None] * len(outputs)
        if pairs:
            used, along = zip(*pairs, strict=True)
            found = autograd.grad(used, outputs, along, retain_graph=True, allow_unused=True)
        return rebuilt(value, [zeros_like(y) if t is None else t for y, t in zip(outputs, found, strict=True)])

    return value, pushed


# ---- vmap
def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Callable[..., Any]:
    """Return func over a batch: in_dims says which dim of each argument is the batch (None: the argument is the same for all,
    as keyword arguments always are).

    out_dims: where the batch goes in the results (None: the same for all, or no tensor). randomness: "error", "different"
    numbers for each element, or the "same".
    chunk_size: run so many elements at once. Raises ValueError for dims that do not fit the arguments.

    >>> torch.vmap(torch.dot)(torch.ones(5, 3), torch.ones(5, 3))
    tensor([3., 3., 3., 3., 3.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    from wengert.ops.random import default_generator

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not args:
            raise ValueError("vmap: expected at least one input to map over")
        dims = _spread_dims("in_dims", in_dims, args, len(args))
        flat = [*leaves(args), *leaves(kwargs)]
        places = [*dims, *(None for _ in leaves(kwargs))]
        sizes = {_size(x, d) for x, d in zip(flat, places, strict=True) if d is not None}
        if not sizes:
            raise ValueError("vmap: at least one argument must be batched: all in_dims are None")
        if len(sizes) > 1:
            raise ValueError(
                f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sorted(sizes)} for the "
                f"mapped dimension"
            )
        (size,) = sizes
        batches = [x if d is None else to_front(x, d) for x, d in zip(flat, places, strict=True)]
        if chunk_size is None or chunk_size >= size:
            result, flat, dims = _run_batch(func, args, kwargs, batches, places, size, out_dims, randomness)
            return rebuilt(result, _moved(flat, dims))
        runs = []
        before = default_generator.get_state() if randomness == "same" else None
        for start in range(0, size, chunk_size):
            stop = min(start + chunk_size, size)
            if before is not None:  # the same numbers for each chunk
                default_generator.set_state(before)
            part = [x if d is None else OPS["getitem"](x, (slice(start, stop),)) for x, d in zip(batches, places, strict=True)]
            runs.append(_run_batch(func, args, kwargs, part, places, stop - start, out_dims, randomness))
        result, _, dims = runs[0]
        parts = zip(*[flat for _, flat, _ in runs], strict=True)
        joined = [made[0] if d is None else OPS["concatenate"](tuple(made), 0) for made, d in zip(parts, dims, strict=True)]
        return rebuilt(result, _moved(joined, dims))

    return run


def _spread_dims(what: str, dims: Any, args: Any, count: int) -> list[int | None]:
    """Return a dim for every tensor of nested arguments, from dims nested the same way, or less deep."""
    if not isinstance(dims, int | tuple | list | dict) and dims is not None:
        raise ValueError(
            f"vmap: expected {what} to be an int or a tuple (nested as the tensors are), got {type(dims).__name__}"
        )
    if isinstance(dims, tuple | list) and len(dims) != count:
        raise ValueError(f"vmap: {what} is not compatible with the inputs: {what} has {len(dims)} entries, there are {count}")
    return list(_dims_of(what, dims, args))


def _dims_of(what: str, dims: Any, tree: Any) -> Iterator[int | None]:
    """Yield the dim of every leaf of nested arguments. (No function inside of the other: that would be a reference cycle.)"""
    if isinstance(dims, tuple | list) and isinstance(tree, tuple | list) and len(dims) == len(tree):
        for part, sub in zip(dims, tree, strict=True):
            yield from _dims_of(what, part, sub)
    elif isinstance(dims, dict) and isinstance(tree, dict) and dims.keys() == tree.keys():
        for key, sub in tree.items():
            yield from _dims_of(what, dims[key], sub)
    elif isinstance(dims, tuple | list | dict):
        raise ValueError(f"vmap: {what} is not compatible with the structure of the inputs: {dims} for {type(tree).__name__}")
    else:
        for x in leaves(tree):
            if dims is not None and not isinstance(x, Tensor):
                raise ValueError(f"vmap: got {what}={dims} for a {type(x).__name__}, which is no Tensor: use None for it")
            yield dims


def _size(x: Tensor, dim: int) -> int:
    if not -x.dim() <= dim < x.dim():
        raise ValueError(f"vmap: got in_dim={dim} for some input, but that input has only {x.dim()} dims")
    return int(x.shape[dim])


def _run_batch(
    func: Any, args: Any, kwargs: Any, batches: Any, places: Any, size: int, out_dims: Any, randomness: str
) -> tuple[Any, list[Any], list[int | None]]:
    """Return what a function gives for a batch, the parts of it with the batch in front, and where that goes in each."""
    with Batching(size, randomness) as level:

        def entering(x: Any, d: int | None) -> Any:
            if not isinstance(x, Tensor):
                return x
            return wrap(level.lift(x) if d is None else level.batch(x))

        positional, named = rebuilt((args, kwargs), map(entering, batches, places))
        result = func(*positional, **named)

        def leaving(y: Any, d: int | None) -> Any:
            if not isinstance(y, Tensor):
                return y
            layer: Layer = y._array if isinstance(y._array, Layer) and y._array.level is level else level.lift(y)
            if d is not None:
                return level.full(layer)
            if layer.beside:
                raise ValueError("vmap: a result differs over the batch, and out_dims is None for it: say where the batch goes")
            return layer.value

        dims = _out_dims(out_dims, result)
        return result, [leaving(y, d) for y, d in zip(leaves(result), dims, strict=True)], dims


def _out_dims(out_dims: Any, tree: Any) -> list[int | None]:
    """Return where the batch goes in each result: None for what is no tensor, or the same for all."""
    if isinstance(out_dims, tuple | list) and not isinstance(tree, tuple | list) and len(out_dims) == 1:
        (out_dims,) = out_dims
    return _spread_dims("out_dims", out_dims, tree, len(tree) if isinstance(tree, tuple | list) else 1)


def _moved(flat: Sequence[Any], dims: Sequence[int | None]) -> list[Any]:
    """Return results with their batch moved from the front to where it goes."""
    moved = []
    for y, d in zip(flat, dims, strict=True):
        if d is not None and not -y.dim() <= d < y.dim():
            raise IndexError(f"vmap: Dimension out of range: out_dim {d} for a result of {y.dim()} dims")
        moved.append(y.movedim(0, d) if d else y)
    return moved


# ---- jacobians
def jacrev(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    """Return the Jacobian function by reverse mode: one backward for all rows at once. Shape: (*result, *argument).

    >>> torch.func.jacrev(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        places = _chosen("jacrev", args, argnums)

        def of_chosen(*chosen: Any) -> Any:
            return func(*_replaced(args, places, chosen), **kwargs)

        chosen = [args[n] for n in places]
        value, pull, *aux = vjp(of_chosen, *chosen, has_aux=has_aux)
        outputs = _results("jacrev", value)
        rows = []
        for k, y in enumerate(outputs):
            basis = _basis(y)

            def row(g: Tensor, k: int = k) -> Any:
                return pull(rebuilt(value, [g if j == k else zeros_like(z) for j, z in enumerate(outputs)]))

            if chunk_size == 1 and len(basis):  # one by one, without vmap: a backward may ask for values
                found = [OPS["stack"](tuple(parts), 0) for parts in zip(*map(row, basis.unbind()), strict=True)]
            else:
                found = vmap(row, chunk_size=chunk_size)(basis)
            shaped = [mapped(part, _reshaping(y.shape, 1)) for part in found]
            rows.append(shaped[0] if isinstance(argnums, int) else tuple(shaped))
        answer = rebuilt(value, rows)
        return (answer, aux[0]) if has_aux else answer

    return run


def _reshaping(shape: Sequence[int], side: int) -> Callable[[Tensor], Tensor]:
    """Return a function that unfolds the dim of unit vectors, the first (side 1) or the last (-1), to a shape."""
    if side > 0:
        return lambda j: j.reshape((*shape, *j.shape[1:]))
    return lambda j: j.reshape((*j.shape[:-1], *shape))


def _basis(x: Tensor) -> Tensor:
    """Return the unit vectors of a tensor's elements: (numel, *shape)."""
    from wengert.ops.creation import eye

    return eye(x.numel(), dtype=x.dtype, device=x.device).reshape((x.numel(), *x.shape))  # type: ignore[no-any-return]


def jacfwd(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """Return the Jacobian function by forward mode: all columns at once. Shape: (*result, *argument)."""

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        places = _chosen("jacfwd", args, argnums)
        chosen = tuple(args[n] for n in places)
        points = list(leaves(chosen))

        def of_chosen(*values: Any) -> Any:
            return func(*_replaced(args, places, values), **kwargs)

        blocks: list[Any] = []
        aux: Any = None
        for k, x in enumerate(points):

            def column(t: Tensor, k: int = k) -> Any:
                directions = rebuilt(chosen, [t if j == k else zeros_like(z) for j, z in enumerate(points)])
                return jvp(of_chosen, chosen, directions, has_aux=has_aux)[1:]

            found = vmap(column, out_dims=-1 if not has_aux else (-1, 0), randomness=randomness)(_basis(x))
            if has_aux:
                aux = mapped(found[1], lambda y: y[0])
            blocks.append(mapped(found[0], _reshaping(x.shape, -1)))
        flat = [list(leaves(b)) for b in blocks]
        answers = []
        for i in range(len(flat[0])):
            shaped = rebuilt(chosen, [b[i] for b in flat])
            answers.append(shaped[0] if isinstance(argnums, int) else shaped)
        answer = rebuilt(blocks[0], answers)
        return (answer, aux) if has_aux else answer

    return run


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return the function of second derivatives: forward mode over reverse mode.

    >>> torch.func.hessian(lambda x: x[0] ** 2 * x[1])(torch.tensor([1.0, 2.0]))
    tensor([[4., 2.],
            [2., 0.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


# ---- modules
def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """Return the function: writes are undone by no transform here, and what is captured (`wengert.graph`) has none of them."""
    return func


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None, *, tie_weights: bool = True,
    strict: bool = False,
) -> Any:  # fmt: skip
    """Call a module with these tensors in the place of its own, by name; the module is left as it was.

    tie_weights: a tensor given for one name stands for all names of the same parameter. strict: all have to be given, and no
    others. What the module assigns to these names goes into the dict that was given. Raises ValueError for a name given
    twice, or two tensors for one parameter; RuntimeError for what is not strict; TypeError for what is no tensor.
    """
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _reparametrize_module(module, parameter_and_buffer_dicts, tie_weights=tie_weights, strict=strict):
        return module(*positional, **(kwargs or {}))


@contextlib.contextmanager
def _reparametrize_module(
    module: Any, parameters_and_buffers: Any, tie_weights: bool = False, strict: bool = False, stack_weights: bool = False
) -> Iterator[Any]:
    """Put tensors in the place of a module's own for a block: `functional_call` for programs that call the module themselves.

    stack_weights: in reverse order on the way out, as is always done.
    """
    given = _given(parameters_and_buffers)
    named = {}
    if tie_weights or strict:
        named = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}
    same: dict[int, list[str]] = {}
    for name, value in named.items():
        same.setdefault(id(value), []).append(name)
    tied = {name: names for names in same.values() if tie_weights and len(names) > 1 for name in names}
    for name in [name for name in given if name in tied]:
        for other in tied[name]:
            if given.setdefault(other, given[name]) is not given[name]:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted(n for n in tied[name] if n in given)}, which are "
                    f"tied. Consider using tie_weights=False"
                )
    if strict and given.keys() != named.keys():
        wrong = {"Unexpected": sorted(given.keys() - named.keys()), "Missing": sorted(named.keys() - given.keys())}
        text = "".join(f"\n\t{kind} key(s): {', '.join(map(repr, names))}." for kind, names in wrong.items() if names)
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:{text}")
    swapped: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, value in given.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            table = next((t for t in (owner._parameters, owner._buffers) if last in t), owner.__dict__)
            before = table.get(last, swapped)
            for known in (value, before):
                if not isinstance(known, Tensor | None) and known is not swapped:
                    raise TypeError(f"{known} is not an instance of torch.Tensor")
            swapped.append((table, last, before))
            table[last] = value
        yield module
    finally:
        for name, (table, last, value) in reversed([*zip(given, swapped, strict=False)]):
            if isinstance(parameters_and_buffers, dict) and name in parameters_and_buffers and last in table:
                parameters_and_buffers[name] = table[last]
            table[last] = value
            if value is swapped:  # it was not there
                del table[last]


def _given(dicts: Any) -> dict[str, Any]:
    """Return one dict of what is given in one or several. Raises ValueError for a name in two, and for what is no dict."""
    if isinstance(dicts, Mapping):
        return dict(dicts)
    if not isinstance(dicts, tuple | list) or not all(isinstance(part, Mapping) for part in dicts):
        raise ValueError(f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}")
    twice = [name for name, count in Counter(name for part in dicts for name in part).items() if count > 1]
    if twice:
        raise ValueError(f"{twice} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    return {name: value for part in dicts for name, value in part.items()}


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Let every batch norm below a module use the statistics of its batch and keep none: vmap cannot write to kept ones."""
    from wengert import nn

    for module in root.modules():
        if isinstance(module, nn._BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters and the buffers of several modules of a class, stacked by name. Raises RuntimeError for others."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({type(m) for m in models}) > 1 or len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class, and all in training mode or none")
    from wengert.ops.shapes import stack

    def joined(tables: Sequence[dict[str, Any]], leaf: bool) -> dict[str, Any]:
        made = {}
        for name in tables[0]:
            value = stack([t[name].detach() for t in tables])
            made[name] = value.requires_grad_() if leaf and tables[0][name].requires_grad else value
        return made

    return joined([dict(m.named_parameters()) for m in models], True), joined([dict(m.named_buffers()) for m in models], False)
