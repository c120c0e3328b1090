"""`gradcheck` and `gradgradcheck`: the gradients that backward gives, beside differences of the function itself.

Owns: both Jacobians (numerical and analytical), their comparison, what is said where they differ, the further checks
(repeatability, undefined gradients). May import: autograd, tensor, dtypes; func (late, for forward mode). Must not know: any
op, any device.
Gradients of complex numbers are PyTorch's: d/dRe + i d/dIm of a real number; complex results are two real ones.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from wengert import autograd, dtypes
from wengert._tensor import Tensor, of_parts, wrap
from wengert.autograd.function import Function
from wengert.op import OPS

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


def grad(*args: Any, **options: Any) -> tuple[Any, ...]:
    """Return gradients, the sparse ones as dense: all are compared entry by entry."""
    found = autograd.grad(*args, **options)
    return tuple([g.to_dense() if isinstance(g, Tensor) and hasattr(g._array, "parts") else g for g in found])


class GradcheckError(RuntimeError):
    """What a failed gradcheck raises."""


Array = np.ndarray[Any, Any]
DOUBLE = (np.dtype(np.float64), np.dtype(np.complex128))
PARTS = {False: ((1, ""),), True: ((1, "real"), (1j, "imaginary"))}  # of a real, of a complex result: gradient and name


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
    check_batched_grad: bool = False, check_batched_forward_grad: bool = False, check_forward_ad: bool = False,
    check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Compare the gradients of a function with central differences, entry by entry: |a - n| <= atol + rtol |n|.

    inputs: those that require grad are checked; use float64. fast_mode: compare one random projection instead.
    Raises GradcheckError that names the input, the entry and both values; raise_exception=False returns False instead.

    >>> x = torch.tensor([0.3, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.tanh, (x,))
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    if any([isinstance(x, Tensor) and hasattr(x._array, "parts") for x in args]):
        func, args = of_values(func, args)
    try:
        check = _Check(func, args, eps, atol, rtol)
        check.inputs_are_fit()
        if not check.outputs():
            return check.nothing_to_differentiate()
        if check_backward_ad:
            (check.fast if fast_mode else check.slow)(check.analytical)
            check.repeats(nondet_tol)
            check.follows()
            if check_undefined_grad:
                check.undefined()
            if check_grad_dtypes:
                check.types()
            if check_batched_grad:
                check.batched()
        if check_forward_ad:
            check.title = "Jacobian computed with forward mode mismatch"
            check.slow(check.forward)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5,
    rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """Compare second derivatives with differences of first ones: gradcheck of the gradients of a function.

    grad_outputs: gradients of the results, drawn at random if not given. Raises as `gradcheck` does.
    """
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    results = _differentiable(func(*args))
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        given = tuple([_like(y, _random(rng, y), gen_non_contig_grad_outputs).requires_grad_() for y in results])
    else:
        given = tuple(grad_outputs) if isinstance(grad_outputs, tuple | list) else (grad_outputs,)
    number = len(given)
    needs = [isinstance(x, Tensor) and x.requires_grad for x in args]

    def gradients(*all_args: Any) -> tuple[Tensor, ...]:
        own, grads = all_args[:-number], all_args[-number:]
        own = tuple([_apart(x) if needed else x for x, needed in zip(own, needs, strict=True)])
        wanted = [x for x, needed in zip(own, needs, strict=True) if needed]
        made = grad(_differentiable(func(*own)), wanted, grads, create_graph=True, allow_unused=True)
        return tuple([g for g in made if g is not None])

    return gradcheck(
        gradients, (*args, *given), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad,
        fast_mode=fast_mode, check_forward_ad=check_fwd_over_rev, check_backward_ad=check_rev_over_rev,
    )  # fmt: skip


class _Check:
    """One function and its inputs; every method raises GradcheckError for what it finds wrong."""

    title = "Jacobian mismatch"

    def __init__(self, func: Callable[..., Any], args: Sequence[Any], eps: float, atol: float, rtol: float) -> None:
        self.func, self.args, self.eps, self.atol, self.rtol = func, args, eps, atol, rtol
        self.checked = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
        self.rng = np.random.default_rng(0)

    def inputs_are_fit(self) -> None:
        if not self.checked:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
            )
        for i in self.checked:
            x = self.args[i]
            if x._array.dtype not in DOUBLE:
                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating point or complex ({x.dtype}). This "
                    f"check will likely fail: differences with eps={self.eps} are mostly rounding. Use float64 or complex128.",
                    stacklevel=4,
                )
            if x.numel() and any(step == 0 and n > 1 for step, n in zip(x._array.strides, x._array.shape, strict=True)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0: its elements share memory and cannot be varied alone. "
                    f"You should call .contiguous on the input before passing it to gradcheck."
                )

    def outputs(self) -> list[Tensor]:
        return _differentiable(self.func(*self.args))

    def values(self) -> list[Array]:
        """Return what the function gives for the inputs as they are now."""
        return [np.array(y.detach().host()) for y in self._numeric(self.func(*self.args))]

    def wanted(self) -> list[int]:
        """Return which of the numeric results require grad."""
        return [k for k, y in enumerate(self._numeric(self.func(*self.args))) if y.requires_grad]

    def _numeric(self, made: Any) -> list[Tensor]:
        made = made if isinstance(made, tuple | list) else (made,)
        return [y for y in made if isinstance(y, Tensor) and dtypes.category(y._array.dtype) >= dtypes.FLOATING]

    def differences(self, x: Tensor, move: Callable[[float], None]) -> list[Array]:
        """Return (f(+eps) - f(-eps)) / 2 eps of each result; `move` shifts the inputs."""
        move(self.eps)
        above = self.values()
        move(-self.eps)
        below = self.values()
        move(0.0)
        return [(a - b) / (2 * self.eps) for a, b in zip(above, below, strict=True)]

    def nothing_to_differentiate(self) -> bool:
        for i in self.checked:
            if any(np.any(column) for row in self.numerical(i) for column in row):
                raise GradcheckError("Numerical gradient for function expected to be zero: no result requires grad")
        return True

    # ---- the two Jacobians: for each result, rows are entries of the input, columns entries of the result
    def numerical(self, i: int) -> list[Array]:
        """Return for each part of each result its numerical Jacobian by input i."""
        x = self.args[i].data
        rows: list[list[Array]] = []
        for index in product(*map(range, x.shape)):
            start = x[index].item()

            def move(step: float, index: Any = index, start: Any = start, unit: complex = 1) -> None:
                x[index] = start + step * unit if step else start

            found = self.differences(x, move)
            if not x.is_complex():
                rows.append(found)
                continue
            turned = self.differences(x, lambda step, move=move: move(step, unit=1j))  # type: ignore[misc]
            rows.append([np.stack([d, e]) for d, e in zip(found, turned, strict=True)])
        return [self._joined([r[k] for r in rows], x.is_complex()) for k in range(len(rows[0]) if rows else 0)]

    def _joined(self, rows: list[Array], moved_twice: bool) -> Array:
        if not moved_twice:
            return np.stack([r.reshape(-1) for r in rows])
        return np.stack([r.reshape(2, -1) for r in rows], 1)  # d/dRe, d/dIm

    def analytical(self, i: int, outputs: list[Tensor]) -> list[list[Array]]:
        """Return for each part of each result the Jacobian by input i that backward gives, one entry of the result a time."""
        x = self.args[i]
        made = []
        for y in outputs:
            parts = []
            for unit, _ in PARTS[y.is_complex()]:
                columns = []
                for index in product(*map(range, y.shape)):
                    seed = np.zeros(tuple(y.shape), y._array.dtype)
                    seed[index] = unit
                    (g,) = grad(y, x, _like(y, seed), retain_graph=True, allow_unused=True)
                    columns.append(_host(g, x).reshape(-1))
                parts.append(np.stack(columns, 1) if columns else np.zeros((x.numel(), 0), x._array.dtype))
            made.append(parts)
        return made

    def forward(self, i: int, outputs: list[Tensor]) -> list[list[Array]]:
        """Return the same by forward mode, one entry of the input a time."""
        x = self.args[i]
        units = (1, 1j) if x.is_complex() else (1,)
        rows: list[list[Array]] = [[] for _ in outputs]
        for index in product(*map(range, x.shape)):
            moved = [self.tangents(i, index, unit) for unit in units]
            for k in range(len(outputs)):
                rows[k].append(np.stack([m[k].reshape(-1) for m in moved]))
        made = []
        for y, row in zip(outputs, rows, strict=True):
            both = np.stack(row, 1) if row else np.zeros((len(units), 0, y.numel()))
            parts = [both.real, both.imag] if y.is_complex() else [both.real]
            made.append([p[0] + 1j * p[1] if x.is_complex() else p[0] for p in parts])
        return made

    def tangents(self, i: int, index: Any, unit: complex) -> list[Array]:
        from wengert.func import jvp
        from wengert.func.layers import innermost, on_level

        x = self.args[i]
        wanted = self.wanted()
        direction = np.zeros(tuple(x.shape), x._array.dtype)
        direction[index] = unit

        def of(value: Tensor) -> Any:
            level = innermost()
            args = [on_level(a, level) if isinstance(a, Tensor) else a for a in self.args]
            made = self._numeric(self.func(*args[:i], value, *args[i + 1 :]))
            return tuple([made[k] for k in wanted])

        _, moved = jvp(of, (x,), (_like(x, direction),))
        return [np.array(t.detach().host()) for t in moved]

    # ---- comparing them
    def slow(self, jacobian: Callable[[int, list[Tensor]], list[list[Array]]]) -> None:
        outputs = self.outputs()
        wanted = self.wanted()
        for i in self.checked:
            numerical = self.numerical(i)
            for o, parts in enumerate(jacobian(i, outputs)):
                for (_, name), a in zip(PARTS[outputs[o].is_complex()], parts, strict=True):
                    n = numerical[wanted[o]] if numerical else a
                    n = n.imag if name == "imaginary" else n.real
                    if n.ndim == 3:
                        n = n[0] + 1j * n[1]
                    self.compare(a, n, i, o, name)

    def compare(self, a: Array, n: Array, i: int, o: int, part: str) -> None:
        off = np.abs(a - n)
        allowed = self.atol + self.rtol * np.abs(n)
        wrong = ~((off <= allowed) | (np.isnan(a) & np.isnan(n)) | (a == n))
        if not wrong.any():
            return
        x, y = self.args[i], self.outputs()[o]
        worst = np.unravel_index(np.argmax(np.where(np.isnan(off), np.inf, off) * wrong), off.shape)
        row, column = (_entry(int(k), t.shape) for k, t in zip(worst, (x, y), strict=True))
        front = f"While considering the {part} part of complex outputs only, " if part and y.is_complex() else ""
        text = (
            f"{front}{self.title} for output {o} with respect to input {i},\n"
            f"numerical:{wrap(n)!r}\nanalytical:{wrap(a)!r}\n"
            f"{int(wrong.sum())} of {wrong.size} entries are off; the most by {off[worst]:.3g} (allowed {allowed[worst]:.3g}): "
            f"d output[{column}] / d input[{row}] is {n[worst]:.6g} numerically and {a[worst]:.6g} analytically.\n"
        )
        if x._array.dtype not in DOUBLE:
            text += f"Input {i} is {x.dtype}: differences with eps={self.eps} are mostly rounding then. Check in float64.\n"
        raise GradcheckError(text)

    def fast(self, jacobian: Callable[[int, list[Tensor]], list[list[Array]]]) -> None:
        """Compare one number for each pair of result and input: the Jacobian between two random directions."""
        outputs = self.outputs()
        wanted = self.wanted()
        for i in self.checked:
            x = self.args[i]
            start, direction = x.data.clone(), _like(x, _random(self.rng, x))

            def move(step: float, x: Tensor = x, start: Tensor = start, direction: Tensor = direction) -> None:
                x.data.copy_(start + direction * step)

            found = self.differences(x, move)
            for o, y in enumerate(outputs):
                weights = _random(self.rng, y)
                n = float((found[wanted[o]] * weights.conj()).real.sum())
                (g,) = grad(y, x, _like(y, weights), retain_graph=True, allow_unused=True)
                a = float((_host(g, x) * direction.host().conj()).real.sum())
                if not abs(a - n) <= self.atol + self.rtol * abs(n):
                    try:
                        self.slow(jacobian)
                    except GradcheckError as error:
                        raise GradcheckError(
                            f"{error}(Found in fast mode, in two random directions: numerical {n:.6g}, analytical {a:.6g}.)"
                        ) from None
                    raise GradcheckError(
                        f"Jacobian mismatch for output {o} with respect to input {i},\nnumerical:{n}\nanalytical:{a}\n"
                        f"in fast mode, but not entry by entry: eps or the tolerances may not fit this function."
                    )

    # ---- the further checks
    def repeats(self, tolerance: float) -> None:
        outputs = self.outputs()
        for i in self.checked:
            for o, y in enumerate(outputs):
                seed = _like(y, _random(np.random.default_rng(1), y))
                first, again = (grad(y, self.args[i], seed, retain_graph=True, allow_unused=True)[0] for _ in range(2))
                if first is None and again is None:
                    continue
                off = float(np.max(np.abs(first.detach().host() - again.detach().host()), initial=0.0))
                if off > tolerance:
                    raise GradcheckError(
                        f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                        f"gives different values (output {o}, input {i}, by {off:.3g}), although analytical gradient matches "
                        f"numerical gradient. The tolerance for nondeterminism was {tolerance}."
                    )

    def follows(self) -> None:
        outputs = self.outputs()
        zeros = [_like(y, np.zeros(tuple(y.shape), y._array.dtype)) for y in outputs]
        found = grad(outputs, [self.args[i] for i in self.checked], zeros, allow_unused=True)
        for i, g in zip(self.checked, found, strict=True):
            if g is not None and bool((g != 0).any()):
                raise GradcheckError(f"backward not multiplied by grad_output: of a zero one, input {i} has a gradient")

    def undefined(self) -> None:
        count = len(self.outputs())
        for left_out in [set(range(count)), *([{k} for k in range(count)] if count > 1 else [])]:
            made = [_Undefined.apply(y) if k in left_out else y for k, y in enumerate(self.outputs())]
            seeds = [_like(y, np.zeros(tuple(y.shape), y._array.dtype)) for y in made]
            try:
                found = grad(made, [self.args[i] for i in self.checked], seeds, allow_unused=True)
            except RuntimeError as error:
                raise GradcheckError(
                    f"Expected backward function to handle undefined output grads (None for output "
                    f"{', '.join(map(str, sorted(left_out)))}), but it raised: {error}"
                ) from error
            for i, g in zip(self.checked, found, strict=True):
                if g is not None and bool((g != 0).any()):
                    raise GradcheckError(
                        f"Expected all input grads to be undefined or zero when all output grads are undefined or zero: "
                        f"that of input {i} is not"
                    )

    def types(self) -> None:
        for i in self.checked:
            for y in self.outputs():
                (g,) = grad(y, self.args[i], _like(y, _random(self.rng, y)), allow_unused=True)
                if g is not None and g.dtype != self.args[i].dtype:
                    raise GradcheckError(f"Gradient for input #{i} has dtype {g.dtype}, expected {self.args[i].dtype}")

    def batched(self) -> None:
        outputs = self.outputs()
        for i in self.checked:
            for o, y in enumerate(outputs):
                seeds = [_like(y, _random(self.rng, y)) for _ in range(2)]
                singly = [grad(y, self.args[i], g, retain_graph=True, allow_unused=True)[0] for g in seeds]
                if singly[0] is None:
                    continue
                both = OPS["concatenate"]([g.unsqueeze(0) for g in seeds], 0)
                (at_once,) = grad(y, self.args[i], both, retain_graph=True, is_grads_batched=True, allow_unused=True)
                for k, g in enumerate(singly):
                    if not np.allclose(at_once[k].detach().host(), g.detach().host(), self.rtol, self.atol):
                        raise GradcheckError(f"For output {o} and input {i}: gradients in a batch differ from one by one")


class _Undefined(Function):
    """The identity, whose backward sends nothing on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, g: Any) -> None:
        return None


def of_values(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a function of the values of what inputs are sparse, and those: gradients are checked in their places alone."""

    def made_of(x: Any, values: Any) -> Any:
        if not isinstance(x, Tensor) or not hasattr(x._array, "parts"):
            return values
        parts = dict(zip((*x._array.parts, "shape", "rest"), x._parts(), strict=False))
        return of_parts(x.layout, tuple({**parts, "values": values}.values()))

    def run(*values: Any) -> Any:
        made = func(*[made_of(x, v) for x, v in zip(args, values, strict=True)])
        outputs = [y.to_dense() if isinstance(y, Tensor) else y for y in (made if isinstance(made, tuple) else (made,))]
        return tuple(outputs) if isinstance(made, tuple) else outputs[0]

    values = [
        wrap(x._array.parts["values"]).clone().requires_grad_(x.requires_grad)
        if isinstance(x, Tensor) and hasattr(x._array, "parts") else x for x in args
    ]  # fmt: skip
    return run, tuple(values)


def _apart(x: Tensor) -> Tensor:
    """Return an input so that only what goes through it counts, and not what else uses the same tensor."""
    return x.view_as(x) if x.requires_grad else x._bare().requires_grad_()  # type: ignore[no-any-return]


def _differentiable(made: Any) -> list[Tensor]:
    made = made if isinstance(made, tuple | list) else (made,)
    return [y for y in made if isinstance(y, Tensor) and y.requires_grad]


def _like(y: Tensor, values: Array, strided: bool = False) -> Tensor:
    """Return values as a tensor of the type and on the device of another."""
    if strided:
        values = np.stack([values, values], -1)[..., 0]
    return wrap(values.astype(y._array.dtype, copy=False)).to(y.device)  # type: ignore[no-any-return]


def _host(g: Tensor | None, x: Tensor) -> Array:
    return np.zeros(tuple(x.shape), x._array.dtype) if g is None else np.array(g.detach().host())


def _random(rng: np.random.Generator, y: Tensor) -> Array:
    values = rng.uniform(-1, 1, tuple(y.shape))
    return values + 1j * rng.uniform(-1, 1, tuple(y.shape)) if y.is_complex() else values


def _entry(flat: int, shape: Sequence[int]) -> str:
    return ", ".join(map(str, np.unravel_index(flat, tuple(shape)))) if shape else ""



class _Callable(types.ModuleType):
    """`wengert.autograd.gradcheck` is this module for who imports it, and a function for who calls it."""

    __call__ = staticmethod(gradcheck)


sys.modules[__name__].__class__ = _Callable
