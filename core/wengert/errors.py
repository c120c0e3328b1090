"""Every error a user can meet, made in one place: what happened, to which tensors, and what to do.

Owns: the wording and the exception type (PyTorch's, where it has one). May import: nothing of wengert but dtypes.
Must not know: how anything works. Functions return the exception; the caller raises it.
"""

from __future__ import annotations

import difflib
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from wengert import dtypes


def describe(values: Iterable[Any]) -> str:
    """Return "float32[2, 3], int64[4], 2.0" for anything with shape and dtype, and plain values as they are."""
    shown = []
    for v in values:
        if hasattr(v, "shape") and hasattr(v, "dtype"):
            shown.append(f"{getattr(v.dtype, 'name', v.dtype)}{list(v.shape)}")
        elif isinstance(v, tuple | list) and len(v) > 8:
            shown.append(f"{type(v).__name__} of {len(v)}")
        else:
            shown.append(repr(v))
    return ", ".join(shown)


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return " Did you mean ...?" or nothing."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if not close:
        lower = {n.lower(): n for n in names}
        close = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=count, cutoff=0.5)]
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def of_a_signal(error: BaseException) -> bool:
    """Say whether what handles a signal raised an error: it comes amid anything, and is no fault of that."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    if trace is None:  # no function of Python's raised it
        return False
    handlers: list[Any] = [signal.getsignal(n) for n in signal.valid_signals()]
    codes = [getattr(h, "__code__", None) or getattr(h.__call__, "__code__", None) for h in handlers if callable(h)]
    while trace is not None:
        if any([trace.tb_frame.f_code is code for code in codes]):
            return True
        trace = trace.tb_next
    return False


# ---- calling an op
class OutOfMemoryError(RuntimeError, MemoryError):
    """A device has no memory left, also after what was kept for reuse was given back."""


def out_of_memory(what: str, error: MemoryError) -> OutOfMemoryError:
    """Return a device's words, or the host's, with what there was no memory for."""
    return OutOfMemoryError(f"{what}: {error}")


class roomy:
    """A context in which a lack of the host's memory is an OutOfMemoryError that names what there was no memory for."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, MemoryError) and not isinstance(error, OutOfMemoryError):
            raise out_of_memory(self.what, error) from None


class LinAlgError(RuntimeError):
    """What `linalg` raises for a matrix without the factors asked for: singular, or not positive-definite."""


def broadcast(op: str, shapes: Sequence[tuple[int, ...]]) -> RuntimeError | None:
    """Return PyTorch's error for shapes that do not broadcast, or None where they do."""
    for i, a in enumerate(shapes):
        for b in shapes[i + 1 :]:
            for back in range(1, min(len(a), len(b)) + 1):
                m, n = a[-back], b[-back]
                if m != n and 1 not in (m, n):
                    dim = max(len(a), len(b)) - back
                    return RuntimeError(
                        f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension "
                        f"{dim} ({op} of shapes {list(a)} and {list(b)}; sizes must be equal or 1, counted from the end)"
                    )
    return None


def failed(op: Any, arrays: Sequence[Any], params: Sequence[Any], error: BaseException) -> BaseException:
    """Return what a failed kernel call should have said: the op's own check first, else the kernel's words."""
    if isinstance(error, KeyboardInterrupt | NotImplementedError | LinAlgError) or of_a_signal(error):
        return error
    if isinstance(error, MemoryError):
        return out_of_memory(f"{op.face}({describe((*arrays, *params))})", error)
    if op.elementwise:
        if len(params) > len(op.params):
            most, given = len(op.inputs) + len(op.params), len(arrays) + len(params)
            return TypeError(f"{op.face}() takes {most} positional arguments but {given} were given")
        mismatch = broadcast(op.face, [tuple(a.shape) for a in arrays if hasattr(a, "shape")])
        if mismatch is not None:
            return mismatch
        if isinstance(error, TypeError) and len(arrays) == len(op.inputs):  # the library has no such kernel for these types
            return NotImplementedError(f"{op.face} is not implemented for {describe(arrays)}: {error}")
    elif op.infer is not None:
        try:
            op.infer(*arrays, *params)
        except Exception as clear:
            return clear
    kind = type(error) if isinstance(error, IndexError | TypeError) else RuntimeError
    return kind(f"{op.face}({describe((*arrays, *params))}): {error}")


def devices_differ(op: str, devices: Sequence[Any]) -> RuntimeError:
    names = list(dict.fromkeys(str(d) for d in devices))
    return RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {' and '.join(names)}! "
        f"({op}; move one with .to({names[0]!r}))"
    )


def no_order(op: str, dtype: Any) -> NotImplementedError:
    return NotImplementedError(f"{op} is not implemented for complex numbers, which have no order: got {dtypes.of(dtype)}")


def no_dispatch(kind: type) -> NotImplementedError:
    return NotImplementedError(
        f"{kind.__name__}: __torch_dispatch__ and tensors without memory are PyTorch's inner workings, and wengert has others; "
        "a subclass may define __torch_function__, and a plugin brings a device or an op"
    )


def no_override(name: str, kinds: Sequence[type]) -> TypeError:
    asked = "".join(f"\n  - {kind.__module__}.{kind.__qualname__}" for kind in kinds)
    return TypeError(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned NotImplemented (no implementation "
        f"found on types that implement __torch_function__):\n{asked}"
    )


def not_a_tensor(op: str, value: Any, position: int | str) -> TypeError:
    return TypeError(
        f"{op}(): argument {position} must be Tensor or a number, not {type(value).__name__}"
        + ("; wengert.as_tensor(...) makes one" if isinstance(value, list | tuple) or hasattr(value, "__array__") else "")
    )


def refused(op: str, dtype: Any) -> RuntimeError:
    if dtype.kind == "c":
        return no_order(op, dtype)
    return RuntimeError(
        f"Subtraction, the `-` operator, with a bool tensor is not supported ({op}). If you are trying to invert a mask, use "
        f"the `~` or `logical_not()` operator instead."
    )


def not_bits(dtype: Any) -> TypeError:
    return TypeError(f"~ (operator.invert) is only implemented on integer and Boolean-type tensors, not on {dtype}")


def dim_range(op: str, dim: int, ndim: int) -> IndexError:
    low, high = (-ndim, ndim - 1) if ndim else (-1, 0)
    return IndexError(f"Dimension out of range (expected to be in range of [{low}, {high}], but got {dim}) ({op})")


def matmul(a: Any, b: Any, face: str = "matmul") -> RuntimeError:
    return RuntimeError(
        f"mat1 and mat2 shapes cannot be multiplied ({_by(a)} and {_by(b)}) ({face}: the last size of the first must "
        f"equal the second last of the second)"
    )


def _by(x: Any) -> str:
    return "x".join(str(n) for n in x.shape)


def bad_shape(op: str, shape: Sequence[int], size: int) -> RuntimeError:
    if shape.count(-1) > 1:
        return RuntimeError(f"only one dimension can be inferred ({op} of shape {list(shape)})")
    if -1 in shape and 0 in shape and not size:
        return RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 can be "
            f"any value and is ambiguous"
        )
    return RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size} ({op})")


# ---- the tape
def invalid_gradient(node: str, position: int, why: str) -> RuntimeError:
    return RuntimeError(f"Function {node} returned an invalid gradient at index {position} - {why}")


def freed(node: str) -> RuntimeError:
    return RuntimeError(
        f"Trying to backward through the graph a second time (or directly access saved tensors after they have already "
        f"been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
        f"Specify retain_graph=True if you need to backward through the graph a second time ({node})."
    )


def overwritten(node: str, shape: tuple[int, ...] | None, writes: int) -> RuntimeError:
    what = f", output shape {list(shape)}" if shape is not None else ""
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: a value kept by "
        f"{node}{what} was written to {writes} time(s) since. Use the out-of-place form, or clone() the value first."
    )


def no_graph(position: int) -> RuntimeError:
    return RuntimeError(
        f"element {position} of tensors does not require grad and does not have a grad_fn: nothing was recorded on the "
        f"way to it (requires_grad_() on an input, and no no_grad() or detach() in between)"
    )


def not_scalar(shape: Sequence[int]) -> RuntimeError:
    return RuntimeError(
        f"grad can be implicitly created only for scalar outputs: this one has shape {list(shape)}; pass gradient= of "
        f"that shape, or reduce it first, as in .sum().backward()"
    )


def grad_mismatch(position: int, given: Sequence[int], expected: Sequence[int]) -> RuntimeError:
    return RuntimeError(
        f"Mismatch in shape: grad_output[{position}] has a shape of torch.Size({list(given)}) and output[{position}] has a "
        f"shape of torch.Size({list(expected)})."
    )


def complex_mismatch(position: int, given: Any, expected: Any) -> RuntimeError:
    return RuntimeError(
        f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
        f"grad_output[{position}] has a dtype of {given} and output[{position}] has a dtype of {expected}."
    )


def unused(position: int) -> RuntimeError:
    return RuntimeError(
        f"One of the differentiated Tensors appears to not have been used in the graph (input {position}). "
        f"Set allow_unused=True if this is the desired behavior."
    )


def integer_grad(dtype: Any) -> RuntimeError:
    return RuntimeError(
        f"only Tensors of floating point and complex dtype can require gradients, not {dtypes.of(dtype)}; "
        f"convert first, as in .float()"
    )


def leaf_inplace(view: bool) -> RuntimeError:
    what = "a view of a leaf Variable that requires grad" if view else "a leaf Variable that requires grad"
    return RuntimeError(
        f"{what} is being used in an in-place operation. Write under wengert.no_grad() if the value is to be set by hand, "
        f"or use the out-of-place form."
    )


def no_sparse_tangent(op: Any) -> NotImplementedError:
    return NotImplementedError(
        f"{op.face}: forward mode (jvp, jacfwd, hessian) is not implemented for sparse tensors here; x.to_dense(), or reverse "
        f"mode: grad, vjp, jacrev"
    )


def flag_of_result() -> RuntimeError:
    return RuntimeError(
        "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that "
        "doesn't require differentiation use var_no_grad = var.detach()."
    )


def blind_view(origin: Any) -> RuntimeError:
    if isinstance(origin, str):
        return RuntimeError(
            f"{origin} is a view and is being modified inplace. This view was created inside a custom Function (or because an "
            f"input was returned as-is): a write would put another history in the place of the Function's own backward. This "
            f"behavior is forbidden. You can fix this by cloning the output of the custom Function."
        )
    return RuntimeError(
        "A view was created in no_grad mode and is being modified inplace with grad mode enabled: its history is unknown. "
        "Make the view with grad mode enabled, or write inside no_grad()."
    )


def inplace_shape(op: str, own: Sequence[int], result: Sequence[int]) -> RuntimeError:
    return RuntimeError(
        f"output with shape {list(own)} doesn't match the broadcast shape {list(result)} ({op}: an in-place write "
        f"cannot change the tensor's shape)"
    )


def inplace_dtype(op: str, own: Any, result: Any) -> RuntimeError:
    return RuntimeError(
        f"result type {_typename(result)} can't be cast to the desired output type {_typename(own)} ({op}; use the "
        f"out-of-place form, or convert the result)"
    )


# Functions of one result whose `out=` must have the result's own dtype, plugins' too (`registry.family`); in others' it may be
# any that this can be cast to.
EXACT_OUT = set(
    "addmm amax amin bitwise_not ceil diag dot floor index_add index_select masked_select matmul mv neg nonzero norm round sgn "
    "sign take_along_dim tril triu trunc where".split()
)


def out_dtype(op: str, own: Any, result: Any, exact: bool) -> RuntimeError | None:
    """Return the error of an `out=` whose dtype does not hold a result; None where it does."""
    if own is result or own == result:
        return None
    if exact or op in EXACT_OUT:
        return RuntimeError(f"Expected out tensor to have dtype {result.name}, but got {own.name} instead ({op})")
    return inplace_dtype(op, own, result) if dtypes.category(result) > dtypes.category(own) else None


def _typename(d: Any) -> str:
    names = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int", "bool": "Bool"}
    return names.get(d.name, str(d.name))


NO_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated "
    "during autograd.backward(). If you want it, call .retain_grad() on the non-leaf Tensor."
)


def hook_count(hook: Any, got: int, expected: int) -> RuntimeError:
    title = getattr(hook, "__qualname__", repr(hook))
    return RuntimeError(f"hook '{title}' has returned an incorrect number of values (got {got}, but expected {expected})")


def hook_result(hook: Any, given: Any, result: Any) -> Exception | None:
    """Return what is wrong with the gradient that a hook put in the place of another, or None."""
    title = getattr(hook, "__qualname__", repr(hook))
    if not hasattr(result, "requires_grad"):
        return TypeError(f"expected Variable, but hook '{title}' returned '{type(result).__name__}'; return a Tensor or None")
    if result.shape != given.shape:
        return RuntimeError(f"hook '{title}' has changed the size of value: was {list(given.shape)} got {list(result.shape)}")
    if result.dtype != given.dtype:
        return RuntimeError(f"hook '{title}' has changed the type of value: was {given.dtype} got {result.dtype}")
    return None


def expanded_write() -> RuntimeError:
    return RuntimeError(
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        "Please clone() the tensor before performing the operation."
    )


def read_only() -> RuntimeError:
    return RuntimeError(
        "this tensor's memory is read-only: it is part of an expanded tensor, or of a NumPy array that may not be written. "
        "Please clone() the tensor before performing the operation."
    )


def inference_write() -> RuntimeError:
    return RuntimeError(
        "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a normal "
        "tensor before doing inplace update."
    )


def deepcopy_nonleaf() -> RuntimeError:
    return RuntimeError(
        "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment; "
        "use .detach().clone() for the values of a result"
    )


def numpy_of_grad() -> RuntimeError:
    return RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


def ambiguous_bool(shape: Sequence[int]) -> RuntimeError:
    if 0 in shape:
        return RuntimeError("Boolean value of Tensor with no values is ambiguous; test .numel() instead")
    return RuntimeError(
        f"Boolean value of Tensor with more than one value is ambiguous (shape {list(shape)}); use .any() or .all()"
    )


def not_one_element(size: int) -> RuntimeError:
    return RuntimeError(f"a Tensor with {size} elements cannot be converted to Scalar; .tolist() gives all of them")


def only_one_element(shape: Sequence[int]) -> ValueError:
    return ValueError(
        f"only one element tensors can be converted to Python scalars: this one has shape {list(shape)}; .tolist() gives all"
    )


def captured_value(what: str) -> RuntimeError:
    return RuntimeError(
        f"{what} needs a value, but this tensor has none: a function being captured runs once, for all values, and on the "
        f"device 'meta' there are only shapes. Keep the decision in tensor operations (where), or do it outside."
    )


def escaped_symbol() -> RuntimeError:
    return RuntimeError(
        "a symbolic tensor was used outside of the capture that made it; run the function once before capturing it, so "
        "that its state exists"
    )


# ---- names
def unknown_device(name: str, known: Iterable[str], left_out: Sequence[Any] = ()) -> RuntimeError:
    names = sorted(known)
    return RuntimeError(
        f"unknown device {name!r}: known are {', '.join(names)}.{nearest(name.split(':')[0], names)}{_perhaps_of(left_out)} "
        f"`wengert devices` lists what is installed and why something is missing."
    )


def captured_layout() -> RuntimeError:
    return RuntimeError(
        "as_strided asks how a tensor that was computed lies in memory, and behind a transposition a captured function does "
        "not know: index it, unfold it, or do that outside"
    )


def captured_sparse() -> NotImplementedError:
    return NotImplementedError(
        "a captured function takes no sparse tensor as an argument, and returns none: let it read one where it is (a variable "
        "around it, a buffer of a module), or pass x.indices() and x.values()"
    )


def sparse_assignment() -> TypeError:
    return TypeError("Cannot assign to a sparse tensor: x.to_dense() can be written to, and to_sparse() makes one of it again")


def plain_target(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name}: a tensor made outside of this vmap (or by zeros() inside of it) cannot hold what differs in the batch: make "
        f"the target from an argument, as x.new_zeros(...) or zeros_like(x), or use the operation that is not in place"
    )


class NoSuchName(AttributeError):
    """An unknown name; the nearest ones are looked for when the words are read: `hasattr` asks for none. It shows itself, and
    is pickled, as the AttributeError that it is."""

    def __str__(self) -> str:
        before, name, known, after = self.args
        return f"{before}{nearest(name, known)}{after}"

    def __reduce__(self) -> tuple[Any, ...]:
        return AttributeError, (str(self),)


NoSuchName.__name__ = NoSuchName.__qualname__ = "AttributeError"
NoSuchName.__module__ = "builtins"


def unknown_name(kind: str, name: str, known: Iterable[str], left_out: Sequence[Any] = ()) -> AttributeError:
    after = f"{_perhaps_of(left_out)} `wengert plugins` lists the plugins that were loaded."
    return NoSuchName(f"wengert has no {kind} {name!r}.", name, sorted(known), after)


def _perhaps_of(left_out: Sequence[Any]) -> str:
    """Return words about plugins that failed before they could say which names they bring."""
    told = [f"{plugin.name!r} of {plugin.distribution}" for plugin in left_out if not plugin.names]
    more = f" and {len(told) - 4} more" if len(told) > 4 else ""
    return f" It may be of a plugin that failed: {', '.join(told[:4])}{more}." if told else ""


def left_out(kind: str, name: str, plugin: Any) -> Exception:
    if plugin.status == "disabled":
        why = "disabled by WENGERT_DISABLE_PLUGINS or WENGERT_LOAD_PLUGINS"
    else:
        short = plugin.name.split(" ")[0]
        why = f"left out: {plugin.stage} failed: {plugin.reason}; WENGERT_DISABLE_PLUGINS={short} silences it"
    text = (
        f"{name!r} comes from the plugin {plugin.name!r} ({plugin.distribution} {plugin.version}), which was {why}. "
        f"`wengert plugins` lists all."
    )
    made = RuntimeError(text) if kind == "devices" else AttributeError(text)
    made.__cause__ = plugin.error
    return made


def origin(plugin: str) -> str:
    """Return a plugin's name with the distribution it is of."""
    module = sys.modules.get("wengert.plugins")
    found = None if module is None else module.loaded.get(plugin)
    return repr(plugin) if found is None else f"{plugin!r} ({found.distribution} {found.version})".replace(" )", ")")


def broken_name(kind: str, name: str, plugin: str, target: str, error: BaseException) -> Exception:
    text = (
        f"{kind[:-1]} {name!r} of plugin {origin(plugin)} could not be loaded from {target!r}: "
        f"{type(error).__name__}: {error}. WENGERT_DISABLE_PLUGINS={plugin} turns the plugin off."
    )
    return RuntimeError(text) if kind in ("devices", "kernels") else AttributeError(text)


def broken_backend(name: str, plugin: str, what: str) -> RuntimeError:
    text = f"device {name!r} of plugin {origin(plugin)} {what}."
    return RuntimeError(f"{text} WENGERT_DISABLE_PLUGINS={plugin} turns the plugin off.")


def lost_array(name: str, plugin: str, way: str, got: Any, wanted: str, kind: type) -> RuntimeError:
    gave = f"{got.dtype} of shape {list(got.shape)}" if hasattr(got, "dtype") and hasattr(got, "shape") else repr(got)[:60]
    return broken_backend(
        name, plugin, f"gave {gave} (a {type(got).__name__}) by {way} for {wanted}: a {kind.__name__} of that is expected"
    )


def wrong_result(op: Any, device: str, plugin: str, got: Any, wanted: str) -> RuntimeError:
    gave = f"{got.dtype} of shape {list(got.shape)}" if hasattr(got, "dtype") and hasattr(got, "shape") else repr(got)[:60]
    return RuntimeError(
        f"op {op.name!r} ({op.face}): the kernel that plugin {origin(plugin)} registered for device {device!r} gave {gave} (a "
        f"{type(got).__name__}); its inputs make it {wanted}. WENGERT_DISABLE_PLUGINS={plugin} turns the plugin off."
    )


def no_rule(op: Any, i: int) -> NotImplementedError:
    return NotImplementedError(
        f"{op.face}: the gradient for input '{op.inputs[i]}' is not implemented (op '{op.name}' has no rule "
        f"for it); detach() that input if it should count as a constant"
    )


def no_function(op: Any, i: int, rule: Any) -> TypeError:
    return TypeError(
        f"op {op.name!r}, rule of input {op.inputs[i]!r}: a rule is a Python function, whose parameters say what it reads, as "
        f"`lambda g, {op.inputs[i]}: ...`; this is {rule!r}"
    )


def rule_reads(op: Any, i: int, unknown: Sequence[str], known: Iterable[str]) -> TypeError:
    return TypeError(
        f"op {op.name!r}, rule of input {op.inputs[i]!r}: cannot read {unknown or 'keyword or * arguments'}; "
        f"a rule's parameters may be {', '.join(sorted(known))}"
    )


def of_rule(where: str, shape: Sequence[int] | None, expected: Sequence[int], made: Any) -> Exception:
    if shape is None:
        return TypeError(f"{where}: a rule returns a gradient, an array as g is one, but this is {type(made).__name__}")
    return RuntimeError(f"{where}: its gradient has the shape {list(shape)}, and {list(expected)} is expected")


def of_rule_type(where: str, dtype: Any, own: Any) -> TypeError:
    return TypeError(f"{where}: its gradient is of type {dtype}, and {own} is expected")


def broken_pass(name: str, plugin: str, why: str) -> RuntimeError:
    return RuntimeError(
        f"graph pass {name!r} of plugin {plugin!r} failed: {why}. WENGERT_DISABLE_PLUGINS={plugin} turns the plugin off."
    )


def negative_size(shape: Sequence[int]) -> RuntimeError:
    return RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")


def no_kernel(op: Any, device: str, how: str) -> NotImplementedError:
    formula = f", and its formula {op.expr!r} is not one that a kernel is made of" if op.expr else ""
    return NotImplementedError(f"op '{op.name}' ({op.face}) has no kernel on device '{device}'{formula}: {how}")
