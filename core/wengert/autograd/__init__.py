"""`wengert.autograd`: running the tape by hand.

Owns: `backward`, `grad`, `Variable`, nodes as functions, the checks on their arguments, and the names of the package, of which
those in `_LATE` load on first use. May import: tape, routes, tensor, modes, function. Must not know: any op, any device.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors, routes, tape
from wengert._tensor import Tensor, wrap
from wengert.autograd.function import Function
from wengert.modes import enable_grad, inference_mode, no_grad, put_back, set_grad_enabled, state, turn
from wengert.op import OPS

tape.follow = routes.follow

__all__ = ["Function", "Variable", "backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]


_LATE = {  # names, and the modules of this package that bring them
    "GradcheckError": "gradcheck", "anomaly_mode": "", "forward_ad": "", "functional": "", "detect_anomaly": "anomaly_mode",
    "grad_mode": "", "gradcheck": "gradcheck", "gradgradcheck": "gradcheck", "graph": "", "set_detect_anomaly": "anomaly_mode",
    "set_multithreading_enabled": "grad_mode",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'wengert.autograd' has no attribute {name!r}")
    module = importlib.import_module(f"wengert.autograd.{_LATE[name] or name}")
    found = globals()[name] = getattr(module, name) if _LATE[name] else module
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})


_FILLED = OPS["filled"]


_ONES: dict[Any, Any] = {}


def _one(array: Any) -> Any:
    """Return the gradient of a one-element root: 1, in its shape and type; on the host one read-only array for all."""
    key = (array.shape, array.dtype)
    if type(array) is not np.ndarray or state.recorder is not None:
        return _FILLED.kernels[type(array)](array, array.shape, 1, None)
    found = _ONES.get(key)
    if found is None:
        found = _ONES[key] = np.ones(*key)
        found.flags.writeable = False
    return found


def _tensors(value: Any, shaped: bool = True) -> tuple[Any, ...]:
    """Return one or several tensors, of any iterable, as a tuple; a gradient edge stands for a tensor, shaped: of its shape."""
    if isinstance(value, Tensor):
        return (value,)
    if hasattr(value, "ownership_token"):
        return (value.stand_in(shaped),)
    if not isinstance(value, Iterable):
        return (value,)
    return tuple([x if isinstance(x, Tensor) or not hasattr(x, "ownership_token") else x.stand_in(shaped) for x in value])


def _dual(x: Tensor) -> bool:
    """Say whether a tensor is one of `forward_ad`."""
    return hasattr(x._array, "level") and bool(x._array.level.outlived)


def _roots(outputs: Sequence[Tensor], grads: Sequence[Any] | None, create: bool) -> list[tuple[Any, Any]]:
    """Return (edge, gradient) for every output, after checking all of them."""
    if grads is None:
        grads = (None,) * len(outputs)
    for g in grads:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    roots = []
    for i, (y, g) in enumerate(zip(outputs, grads, strict=True)):
        if not isinstance(y, Tensor):
            raise TypeError(f"backward/grad takes tensors, but output {i} is a {type(y).__name__}")
        if _dual(y) and y._array.value.requires_grad:  # what is recorded of its value is all that leads outside
            y, g = y._array.value, g._array.value if isinstance(g, Tensor) and _dual(g) else g
        if y._edge is None:
            raise errors.no_graph(i)
        if g is None:
            if y._array.size != 1:
                raise errors.not_scalar(y._array.shape)
            if dtypes.category(y._array.dtype) == dtypes.COMPLEX:
                raise RuntimeError("grad can be implicitly created only for real scalar outputs but got torch.complex64")
            one = _one(y._array)
            roots.append((y._edge, wrap(one) if create else one))
            continue
        if g._array.shape != y._array.shape:
            raise errors.grad_mismatch(i, g._array.shape, y._array.shape)
        elif (g._array.dtype.kind == "c") != (y._array.dtype.kind == "c"):
            raise errors.complex_mismatch(i, g.dtype, y.dtype)
        elif type(g._array) is not type(y._array) and state.recorder is None and g.device != y.device:
            raise errors.devices_differ("backward", [y.device, g.device])
        if g._array.dtype != y._array.dtype:
            g = OPS["cast"](g, y._array.dtype)
        roots.append((y._edge, g if create else g._array))
    return roots


def _require_grad(name: str, inputs: Sequence[Any]) -> None:
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} takes tensors, but input {i} is a {type(x).__name__}")
        if x._edge is None:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad (input {i} of {name}); call requires_grad_() on it"
            )


def _run(roots: list[tuple[Any, Any]], retain: bool, create: bool, targets: Any = None, leaves: bool = True) -> dict[Any, Any]:
    if not roots:
        return {}
    owner = backend.of_array(roots[0][1]._array if create else roots[0][1])
    before = state.grad
    try:
        turn(create)
        with owner.quiet():
            return tape.run(roots, retain=retain, create=create, targets=targets, leaves=leaves)
    finally:
        put_back(before)
        turn(before)


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    grad_variables: Any = None, inputs: Any = None,
) -> None:  # fmt: skip
    """Add the gradients of outputs to `.grad` of the leaves they came from, or only of `inputs`.

    grad_tensors: the gradient of the final scalar with respect to each output, in its shape; None is 1 for scalars.
    grad_variables: its old name. Raises RuntimeError for outputs without history, wrong shapes, and graphs that were freed.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError("`grad_tensors` and `grad_variables` (its old name) cannot both be given; use `grad_tensors`.")
        grad_tensors = grad_variables
    outputs = _tensors(tensors)
    grads = None if grad_tensors is None else _tensors(grad_tensors)
    retain = create_graph if retain_graph is None else retain_graph
    targets = None
    wanted = () if inputs is None else _tensors(inputs, shaped=False)
    if inputs is not None:
        if not wanted:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        _require_grad("backward", wanted)
        targets = [x._edge for x in wanted]
    roots = _roots(outputs, grads, create_graph)
    for x in wanted:
        x.retain_grad()
    _run(roots, retain, create_graph, targets)


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the gradients of outputs with respect to inputs, without touching any `.grad`.

    An input that was not used raises RuntimeError, or gives None (allow_unused) or zeros (materialize_grads).

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (first,) = torch.autograd.grad(x**3, x, create_graph=True)
    >>> (second,) = torch.autograd.grad(first, x)
    >>> first.item(), second.item()
    (27.0, 18.0)
    """
    wanted, outputs = _tensors(inputs, materialize_grads), _tensors(outputs)
    if is_grads_batched:
        return _batched(outputs, wanted, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if not wanted:
        raise RuntimeError("grad requires non-empty inputs.")
    _require_grad("grad", wanted)
    roots = _roots(outputs, None if grad_outputs is None else _tensors(grad_outputs), create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    found = _run(roots, retain, create_graph, [x._edge for x in wanted], leaves=False)
    results: list[Any] = []
    for i, x in enumerate(wanted):
        alone = not create_graph and _alone(found, x._edge)
        g = found.get(x._edge) if getattr(x._edge, "leaf", None) is not tape.nobody else None
        if g is not None:
            results.append(_own(g) if create_graph else wrap(g) if alone else wrap(g).clone())
        elif materialize_grads:
            zeros = wrap(OPS["filled"](x._array, x._array.shape, 0, None))
            results.append(zeros.requires_grad_() if create_graph else zeros)
        elif allow_unused:
            results.append(None)
        else:
            raise errors.unused(i)
    return tuple(results)


def _holders(found: dict[Any, Any], edge: Any) -> int:
    return sys.getrefcount(found.get(edge))


ALONE = _holders({None: np.empty(0)}, None)  # what is counted where nobody else holds an array, or a view of it


def _alone(found: dict[Any, Any], edge: Any) -> bool:
    """Say whether a gradient is a host array that nobody else holds, with memory of its own that it lies in in order."""
    if _holders(found, edge) != ALONE:
        return False
    g = found.get(edge)
    return type(g) is np.ndarray and g.base is None and g.flags.c_contiguous


def _own(g: Tensor) -> Tensor:
    """Return a gradient in memory that may be written to: a copy of what is part of an expanded array, or shared by all."""
    if getattr(g._array.flags, "writeable", True):
        return g
    return wrap(backend.of_array(g._array).copy(g._array), g._edge)


def _batched(outputs: Any, inputs: Any, grad_outputs: Any, retain: Any, create: bool, *options: Any) -> tuple[Any, ...]:
    """Return the gradients for a batch of `grad_outputs`, their first dim, in one run of the tape."""
    from wengert.func import vmap

    allow_unused, materialize = options
    found: list[int] = []  # the gradients that there are: vmap takes no None

    def one(grads: Any) -> tuple[Any, ...]:
        made = grad(outputs, inputs, grads, True, create, True, allow_unused, False, materialize)
        found[:] = [i for i, g in enumerate(made) if g is not None]
        return tuple([made[i] for i in found])

    given = _tensors(grad_outputs)
    for i, (y, g) in enumerate(zip(outputs, given, strict=False)):
        if isinstance(g, Tensor) and tuple(g.shape[1:]) != tuple(y.shape):
            raise RuntimeError(
                f"If `is_grads_batched=True`, we interpret the first dimension of each grad_output as that of the batch, and "
                f"the others as those of its output: grad_output[{i}] has a shape of {g.shape}, the output one of {y.shape}."
            )
    batch = vmap(one, randomness="different")(given)
    made: list[Any] = [None] * len(_tensors(inputs))
    for i, g in zip(found, batch, strict=True):
        made[i] = g
    if not (create if retain is None else retain):
        tape.release([y._edge for y in _tensors(outputs)], [x._edge for x in _tensors(inputs)])
    return tuple(made)


class _VariableType(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor)


class Variable(metaclass=_VariableType):
    """The name that tensors with gradients had before PyTorch 0.4: every Tensor is one, and `Variable(x)` makes one.

    The result is a leaf on the memory of `x`.
    """

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool | None = None) -> Any:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        result = data.detach()
        return result.requires_grad_() if requires_grad else result


def _backward(
    self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Add the gradient of this tensor to `.grad` of every leaf it came from.

    gradient: of the final scalar with respect to this tensor, same shape; 1 for a one-element tensor.
    Raises RuntimeError for a non-scalar without `gradient`, and for a graph that was already freed.
    """
    plain = gradient is None and inputs is None and not create_graph and self._edge is not None
    if plain and self._array.size == 1 and not hasattr(self._array, "level"):
        # the commonest call, without the checks that only options need
        if self._array.dtype.kind != "c":
            _run([(self._edge, _one(self._array))], bool(retain_graph), False)
            return
    backward((self,), gradient, retain_graph, create_graph, None, inputs)


setattr(Tensor, "backward", _backward)


def _sent_on(node: Any, *grads: Any) -> Any:
    """Return the gradients that this node sends on for those of its results, all of them tensors; the end of the tape adds its
    gradient to the leaf's.

    Raises TypeError for another number of gradients than it has results.
    """
    if len(grads) != node.outputs:
        raise TypeError(f"expected {node.outputs} arguments, got {len(grads)} instead")
    g = grads[0]
    if type(node) is tape.AccumulateGrad:
        tape.accumulate(node, g._array, False, False, state.recorder)
        return None
    if node.outputs > 1:
        g = tape.Part(-1, None)
        g.parts = {i: part for i, part in enumerate(grads) if part is not None}
    sent = dict(node.pull(g, True, None, None))
    if node.shapes is not None:
        sent = {i: tape.sum_to(gi, node.shapes[i]) for i, gi in sent.items()}
    found = tuple([sent.get(i) for i in range(len(node.edges))])
    return found[0] if len(found) == 1 else found


setattr(tape.GraphNode, "__call__", _sent_on)
