"""`autograd.functional`: Jacobians, Hessians and their products with vectors, of a function of tensors.

Owns: these six functions, the shapes of what they take and give, what `strict` refuses. May import: autograd, tensor, modes;
func (late) where a strategy is vectorized. Must not know: any op, any device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert._tensor import Tensor
from wengert.autograd import grad
from wengert.modes import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Tensor, ...]


# ---- what goes in and comes out
def _tuple(value: Any, what: str, name: str) -> tuple[bool, Tensors]:
    """Return whether several tensors were given, and them as a tuple. Raises TypeError for anything else."""
    several = isinstance(value, tuple)
    values = value if several else (value,)
    for i, v in enumerate(values):
        if not isinstance(v, Tensor):
            place = f"the value at index {i} has type" if several else f"the given {what} has type"
            raise TypeError(f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but {place} {type(v)}.")
    return several, tuple(values)


def _leaves(inputs: Tensors, create_graph: bool) -> Tensors:
    """Return the inputs so that only what goes through them counts: with their history if the results are to have one."""
    return tuple([x.view_as(x) if create_graph and x.requires_grad else x._bare().requires_grad_() for x in inputs])


def _done(results: Any, create_graph: bool) -> Any:
    if isinstance(results, tuple):
        return tuple([_done(r, create_graph) for r in results])
    return results if create_graph else results._bare()


def _called(func: Callable[..., Any], inputs: Tensors, name: str, strict: bool) -> tuple[bool, Tensors]:
    several, outputs = _tuple(func(*inputs), "outputs of the user-provided function", name)
    if strict:
        for i, y in enumerate(outputs):
            if not y.requires_grad:
                raise RuntimeError(
                    f"Output {i} of the user-provided function does not require gradient. The outputs must be computed in a "
                    f"differentiable manner from the input when running in strict mode."
                )
    return several, outputs


def _vector(v: Any, like: Tensors, several: bool, name: str) -> Tensors:
    """Return the vector of a product, checked against what it is multiplied with."""
    _, values = _tuple(v, "v", name)
    if len(values) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(values)}.")
    for i, (a, b) in enumerate(zip(values, like, strict=True)):
        if a.shape != b.shape:
            front = f"Entry {i} in " if several else ""
            raise RuntimeError(f"{front}v has invalid size: should be {b.shape} but got {a.shape}.")
    return values


def _one(likes: Tensors, who: str) -> Tensors:
    """Return the vector that is meant when none was given. Raises RuntimeError if there is more than one number."""
    if len(likes) != 1 or likes[0].numel() != 1:
        raise RuntimeError(f"The vector v can only be None if {who}.")
    return (likes[0].new_ones(likes[0].shape),)


# ---- derivatives
def _grads(outputs: Sequence[Any], inputs: Tensors, given: Any, create_graph: bool) -> tuple[Any, ...]:
    """Return gradients, None where there is none; outputs without history have none."""
    seeds: Sequence[Any] = (None,) * len(outputs) if given is None else given
    used = [(y, g) for y, g in zip(outputs, seeds, strict=True) if y is not None and y.requires_grad]
    if not used:
        return (None,) * len(inputs)
    ys, gs = zip(*used, strict=True)
    return grad(ys, inputs, gs, retain_graph=True, create_graph=create_graph, allow_unused=True)


def _filled(grads: Sequence[Any], likes: Tensors, strict: bool, create_graph: bool, what: str) -> Tensors:
    """Return gradients with zeros where there is none; strict raises RuntimeError there."""
    made: list[Tensor] = []
    for i, (g, x) in enumerate(zip(grads, likes, strict=True)):
        if g is None:
            if strict:
                raise RuntimeError(f"{what} is independent of input {i}. This is not allowed in strict mode.")
            g = x.new_zeros(x.shape)
        elif strict and create_graph and not g.requires_grad:
            raise RuntimeError(
                f"{what} has a derivative that is independent of input {i}. This is not allowed in strict mode when "
                f"create_graph=True."
            )
        made.append(g)
    return tuple(made)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs), and v multiplied from the left with its Jacobian: v^T J.

    v: in the shape of the results; may be left out for a single number. strict: raise RuntimeError where a result does not
    depend on an input, in place of giving zeros. create_graph: the results can be differentiated.
    """
    with enable_grad():
        several, given = _tuple(inputs, "inputs", "vjp")
        xs = _leaves(given, create_graph)
        many, ys = _called(func, xs, "vjp", strict)
        if v is None:
            vs = _one(ys, "the user-provided function returns a single Tensor with a single element")
        else:
            vs = _vector(v, ys, many, "vjp")
        products = _filled(
            _grads(ys, xs, vs, create_graph), xs, strict, create_graph, "The output of the user-provided function"
        )
    return _done(ys if many else ys[0], create_graph), _done(products if several else products[0], create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs), and its Jacobian multiplied with v: J v, by two backward passes.

    v: in the shape of the inputs; may be left out for a single number. strict, create_graph: as for `vjp`.
    """
    with enable_grad():
        several, given = _tuple(inputs, "inputs", "jvp")
        xs = _leaves(given, create_graph)
        vs = _one(xs, "the input to the user-provided function is a single Tensor with a single element") if v is None else (
            _vector(v, xs, several, "jvp")
        )  # fmt: skip
        many, ys = _called(func, xs, "jvp", strict)
        dummies = tuple([y.new_zeros(y.shape).requires_grad_() for y in ys])  # v^T J is linear in v: its gradient is J
        pulled = _filled(_grads(ys, xs, dummies, True), xs, strict, False, "The output of the user-provided function")
        products = _grads(pulled, dummies, vs, create_graph)
        filled = _filled(products, ys, strict, create_graph, "The output of the user-provided function")
    return _done(ys if many else ys[0], create_graph), _done(filled if many else filled[0], create_graph)


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """Return the Jacobian: for each result and each input the shape of the result followed by that of the input.

    vectorize: all rows in one batch. strategy: "reverse-mode", or "forward-mode" (columns; needs vectorize).
    strict, create_graph: as for `vjp`. Raises RuntimeError for combinations that are not supported.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(f'Expected strategy to be either "forward-mode" or "reverse-mode", but got {strategy!r}')
    if strategy == "forward-mode":
        return _columns(func, inputs, create_graph, strict, vectorize)
    if vectorize and strict:
        raise RuntimeError("jacobian: `strict=True` and `vectorize=True` are not supported together; leave one out")
    with enable_grad():
        several, given = _tuple(inputs, "inputs", "jacobian")
        xs = _leaves(given, create_graph)
        many, ys = _called(func, xs, "jacobian", strict)
        rows = _batch_of_rows if vectorize else _rows
        made = tuple([rows(y, xs, i, create_graph, strict) for i, y in enumerate(ys)])
        shaped = tuple([made_of if several else made_of[0] for made_of in made])
    return _done(shaped if many else shaped[0], create_graph)


def _rows(y: Tensor, xs: Tensors, number: int, create_graph: bool, strict: bool) -> Tensors:
    """Return the Jacobian of one result by each input, a backward for each of its elements."""
    from wengert.ops.shapes import stack

    if not y.numel():
        return tuple([x.new_zeros((*y.shape, *x.shape)) for x in xs])
    parts: list[Tensors] = []
    for entry in y.reshape(-1):
        found = _grads((entry,), xs, None, create_graph)
        parts.append(_filled(found, xs, strict, create_graph, f"Output {number} of the user-provided function"))
    columns = zip(*parts, strict=True)
    return tuple([stack(column, 0).reshape((*y.shape, *x.shape)) for column, x in zip(columns, xs, strict=True)])


def _batch_of_rows(y: Tensor, xs: Tensors, number: int, create_graph: bool, strict: bool) -> Tensors:
    found: Sequence[Any] = (None,) * len(xs)
    count = y.numel()
    if y.requires_grad and count:
        seeds = _eye(y).reshape((count, *y.shape))
        found = grad(y, xs, seeds, True, create_graph, allow_unused=True, is_grads_batched=True)
    shapes = [(*y.shape, *x.shape) for x in xs]
    return tuple([x.new_zeros(s) if g is None else g.reshape(s) for g, x, s in zip(found, xs, shapes, strict=True)])


def _eye(y: Tensor) -> Tensor:
    ones = y.detach().new_ones((y.numel(),))
    return ones.diag()  # type: ignore[no-any-return]


def _columns(func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool, vectorize: bool) -> Any:
    from wengert.func import jacfwd

    if create_graph:
        raise NotImplementedError("jacobian: `create_graph=True` and `strategy='forward-mode'` are not supported together")
    if strict:
        raise RuntimeError("jacobian: `strict=True` and `strategy='forward-mode'` are not supported together")
    if not vectorize:
        raise NotImplementedError("jacobian: `strategy='forward-mode'` is only implemented for `vectorize=True`")
    several, given = _tuple(inputs, "inputs", "jacobian")
    found = jacfwd(func, argnums=tuple(range(len(given))))(*[x.detach() for x in given])
    if several:
        return _done(found, False)
    many = isinstance(found[0], tuple)
    return _done(tuple([f[0] for f in found]) if many else found[0], False)


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """Return the Hessian of a function that gives one number: for each pair of inputs their shapes in a row.

    The options are those of `jacobian`. Raises RuntimeError for a function that gives anything else.
    """
    several, given = _tuple(inputs, "inputs", "hessian")

    def gradient(*xs: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            from wengert.func import grad as forward_over_reverse

            found = forward_over_reverse(lambda *args: _number(func(*args)), argnums=tuple(range(len(xs))))(*xs)
            return found if several else found[0]
        found = jacobian(lambda *args: _number(func(*args)), xs, create_graph=True, strict=strict)
        return found if several else found[0]

    return jacobian(gradient, given if several else given[0], create_graph, strict, vectorize, outer_jacobian_strategy)


def _number(value: Any) -> Tensor:
    """Return what a function gave if it is one number; else raise RuntimeError."""
    if isinstance(value, tuple):
        raise RuntimeError("The function given to hessian should return a single Tensor")
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise RuntimeError("The Tensor returned by the function given to hessian should contain a single element")
    return value.squeeze()  # type: ignore[no-any-return]


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs), and v multiplied with the Hessian of that number: v^T H.

    v: in the shape of the inputs; may be left out for a single number. strict, create_graph: as for `vjp`.
    """
    return _second("vhp", func, inputs, v, create_graph, strict)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return func(*inputs), and the Hessian of that number multiplied with v: H v, which is v^T H.

    The arguments are those of `vhp`.
    """
    return _second("hvp", func, inputs, v, create_graph, strict)


def _second(name: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool) -> tuple[Any, Any]:
    with enable_grad():
        several, given = _tuple(inputs, "inputs", name)
        xs = _leaves(given, create_graph)
        vs = _one(xs, "the input to the user-provided function is a single Tensor with a single element") if v is None else (
            _vector(v, xs, several, name)
        )  # fmt: skip
        many, ys = _called(func, xs, name, strict)
        if many or ys[0].numel() != 1:
            raise RuntimeError(f"The function given to {name} should return a single Tensor with a single element")
        first = _filled(_grads(ys, xs, None, True), xs, strict, False, "The output of the user-provided function")
        constant = [i for i, g in enumerate(first) if not g.requires_grad]
        if strict and constant:
            raise RuntimeError(
                f"The jacobian of the user-provided function with respect to input {constant[0]} is independent of the input. "
                f"This is not allowed in strict mode: the function has to be differentiable twice, and not linear."
            )
        second = _filled(
            _grads(first, xs, vs, create_graph), xs, strict, create_graph, "The jacobian of the user-provided function"
        )
    return _done(ys[0], create_graph), _done(second if several else second[0], create_graph)
