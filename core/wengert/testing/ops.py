"""Whether an op is right: its values against NumPy's, its gradients against differences, to second order, in every layout.

Owns: how a row of the case table is called and checked on the host, and `check_op`, which does so for one op of anybody's.
May import: the case table, `wengert`'s public names. Must not know: pytest, any op. Rules are proven here, once and in
float64; whether a device's kernels compute the same is the business of `wengert.testing.device`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.special

import wengert as w
from wengert.op import OPS, Op
from wengert.testing.cases import Case, Leaf, R, Sample, V, each, walk

Array = np.ndarray[Any, Any]
LAYOUTS = ("plain", "transposed", "strided")
STEP = 1e-3


# ---- calling a row
def call(library: Any, case: Case, sample: Sample, values: list[Any]) -> Any:
    """Return what a row's function gives for these values in the places of the sample's leaves."""
    args, kwargs = sample.fill(values, library)
    if case.call is not None:
        return case.call(library, *args, **kwargs)
    if case.is_record and library is w:
        return OPS[case.name](*args, **kwargs)
    return function_of(library, case)(*args, **kwargs)


def function_of(library: Any, case: Case) -> Callable[..., Any]:
    """Return the public function of a row: of the library, or the method of its first argument."""
    name = OPS[case.name].face if case.is_record else case.name
    found = getattr(library, name, None)
    return found if found is not None else lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def flat(result: Any) -> list[Any]:
    return [v for r in result for v in flat(r)] if isinstance(result, tuple | list) else [result]


def tensors(arrays: list[Array], **options: Any) -> list[w.Tensor]:
    return [w.tensor(a, **options) for a in arrays]


def layout(kind: str, array: Array) -> Array:
    """Return the same values laid out in memory in another way."""
    array = np.asarray(array)
    if kind == "plain":
        return array.copy()
    if kind == "transposed":
        return array.T.copy().T
    wide = np.full((*array.shape, 2), 77, array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


def layouts(case: Case, sample: Sample) -> tuple[str, ...]:
    """Return the layouts a sample is tried in: the first one of a row in all that the op takes."""
    return LAYOUTS if sample is case.samples[0] and not case.contiguous else LAYOUTS[:1]


def raw(value: Any) -> Any:
    return value.detach().host() if isinstance(value, w.Tensor) else value


# ---- values
def close(actual: Any, expected: Any, rtol: float, exact: bool) -> None:
    if exact:
        np.testing.assert_array_equal(actual, expected, strict=False)
    else:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


@contextmanager
def doubles() -> Iterator[None]:
    """Let Python floats be float64, as NumPy's are."""
    before = w.get_default_dtype()
    w.set_default_dtype(w.float64)
    try:
        yield
    finally:
        w.set_default_dtype(before)


def check_values(case: Case, rtol: float = 1e-13) -> None:
    """Raise AssertionError unless a row's samples give what its oracle says, and leave their inputs as they were."""
    assert case.oracle is not None, f"{case.name}: no NumPy function of this name: the row must say what it gives"
    for sample in case.samples:
        arrays = sample.arrays(case.name)
        args, kwargs = sample.fill([a.copy() for a in arrays], np)
        with np.errstate(all="ignore"):
            expected = flat(case.oracle(*args, **kwargs))
        for kind in layouts(case, sample):
            given = [layout(kind, a) for a in arrays]
            actual = flat(call(w, case, sample, [w.from_numpy(a) for a in given]))
            assert len(actual) == len(expected), f"{case.name}{sample} gives {len(actual)} results for {len(expected)}"
            for a, e in zip(actual, expected, strict=True):
                assert np.shape(raw(a)) == np.shape(e), f"{case.name}{sample}: shape {np.shape(raw(a))} for {np.shape(e)}"
                close(raw(a), e, rtol, case.exact)
            for before, after in zip(arrays, given, strict=True):
                np.testing.assert_array_equal(before, after, err_msg=f"an input of {case.name}{sample} was changed")


# ---- gradients
def quotient(f: Callable[[list[Array]], float], at: list[Array], along: list[Array]) -> float:
    """Return the derivative of f in a direction: central differences of two widths, their h^2 error cancelled."""

    def central(h: float) -> float:
        ahead, behind = ([x + way * h * d for x, d in zip(at, along, strict=True)] for way in (1, -1))
        return (f(ahead) - f(behind)) / (2 * h)

    return (4 * central(STEP / 2) - central(STEP)) / 3


def differentiable(case: Case, sample: Sample) -> list[int]:
    """Return which leaves have gradients: floats, but for those that the row or the record says have none."""
    found = [i for i, leaf in enumerate(sample.leaves()) if leaf.floating and not leaf.constant]
    if case.is_record and case.name in OPS and not OPS[case.name].variadic:
        found = [i for i in found if i >= len(OPS[case.name].rules) or OPS[case.name].rules[i] is not None]
    return found


class Problem:
    """A row's function of the leaves that are asked for a gradient, weighed with random numbers into one."""

    def __init__(self, case: Case, sample: Sample, wanted: tuple[int, ...], kind: str) -> None:
        self.case, self.sample, self.wanted, self.kind = case, sample, wanted, kind
        self.arrays = sample.arrays(case.name)
        self.rng = np.random.default_rng(len(wanted))
        self.weights: list[Array] = []

    def leaves(self, moved: list[Array]) -> list[w.Tensor]:
        values = dict(zip(self.wanted, moved, strict=True))
        made = [w.from_numpy(layout(self.kind, values.get(i, a))) for i, a in enumerate(self.arrays)]
        for i in self.wanted:
            made[i].requires_grad_()
        return made

    def value(self, leaves: list[w.Tensor]) -> w.Tensor:
        results = [r for r in flat(call(w, self.case, self.sample, leaves)) if r.is_floating_point()]
        if not self.weights:
            self.weights = [self.rng.uniform(0.5, 1.5, r.shape) for r in results]
        total: w.Tensor = w.zeros(())
        for r, weight in zip(results, self.weights, strict=True):
            total = total + (r * w.from_numpy(weight)).sum()
        return total

    def directions(self) -> list[Array]:
        return [self.rng.uniform(-1, 1, self.arrays[i].shape) for i in self.wanted]

    def gradients(self, moved: list[Array], create: bool) -> tuple[list[w.Tensor], list[w.Tensor]]:
        leaves = self.leaves(moved)
        inputs = [leaves[i] for i in self.wanted]
        value = self.value(leaves)
        assert value.requires_grad, f"{self.case.name}{self.sample}: nothing was recorded"
        grads = w.autograd.grad(value, inputs, create_graph=create, materialize_grads=True)
        for x, g in zip(inputs, grads, strict=True):
            assert g.shape == x.shape and g.dtype is x.dtype
        return inputs, list(grads)

    def check(self, order: int) -> None:
        """Raise AssertionError unless the gradient of an order is what differences say."""
        at = [self.arrays[i] for i in self.wanted]
        along, across = self.directions(), self.directions()
        if order == 1:
            _, grads = self.gradients(at, create=False)
            expected = quotient(lambda moved: self.value(self.leaves(moved)).item(), at, along)
        else:

            def slope(moved: list[Array]) -> float:
                _, grads = self.gradients(moved, create=False)
                return sum(float((g.numpy() * d).sum()) for g, d in zip(grads, across, strict=True))

            inputs, first = self.gradients(at, create=True)
            total = w.zeros(())
            for g, d in zip(first, across, strict=True):
                total = total + (g * w.from_numpy(d)).sum()
            if not total.requires_grad:  # linear: the gradient does not depend on the inputs
                grads = [w.zeros(a.shape) for a in at]
            else:
                grads = list(w.autograd.grad(total, inputs, materialize_grads=True))
            expected = quotient(slope, at, along)
        actual = sum(float((g.numpy() * d).sum()) for g, d in zip(grads, along, strict=True))
        scale = sum(float(np.abs(g.numpy() * d).sum()) for g, d in zip(grads, along, strict=True))
        assert abs(actual - expected) <= max(1e-7 * abs(expected), 1e-8 + 1e-8 * scale), (
            f"{self.case.name}{self.sample}: the gradient of order {order} of the inputs {self.wanted} ({self.kind}) gives "
            f"{actual} along a direction, differences give {expected}"
        )


def check_gradients(case: Case) -> None:
    """Raise AssertionError unless gradients of a row's samples are what differences say, to the row's order."""
    checked = 0
    for sample in case.samples:
        every = differentiable(case, sample)
        groups = [(i,) for i in every] + ([tuple(every)] if len(every) > 1 else [])
        for wanted in groups:
            for kind in layouts(case, sample):
                for order in range(1, case.order + 1):
                    problem = Problem(case, sample, wanted, kind)
                    if not any(w.is_floating_point(r) for r in flat(call(w, case, sample, tensors(problem.arrays)))):
                        continue
                    problem.check(order)
                    checked += 1
    assert checked, f"{case.name}: the row has an order, but no sample that can be differentiated"


# ---- one op, anybody's
def row_of(
    op: Any, samples: Any, oracle: Callable[..., Any] | None, order: int, domain: Callable[..., Leaf], exact: bool
) -> Case:
    """Return the row that tries a record or function with samples, or with shapes of all kinds where there are none."""
    name = op.name if isinstance(op, Op) else getattr(op, "__name__", repr(op))
    record = op if isinstance(op, Op) else OPS.get(name)  # a function under a record's name is the record's face
    if oracle is None:
        oracle = getattr(np, name, None) or getattr(scipy.special, name, None)
    if oracle is None:
        raise TypeError(f"check_op({name}): NumPy and SciPy have no function of this name; say what it gives: oracle=function")
    if not samples and (record is None or not record.elementwise or record.params):
        raise TypeError(f"check_op({name}): only elementwise records without parameters need no samples: give some")
    tried = tuple(_sample(given) for given in samples)
    if record is not None and not tried:
        tried = each(name, *[domain] * len(record.inputs)).samples
    return Case(name, tried, oracle, order=order, exact=exact, call=lambda library, *args, **kwargs: op(*args, **kwargs))


def _sample(given: Any) -> Sample:
    if isinstance(given, Sample):
        return given
    args = given if isinstance(given, tuple) else (given,)
    return Sample(tuple(V(a) if isinstance(a, np.ndarray) else a for a in args), {})


def check_op(
    op: Any, *samples: Any, oracle: Callable[..., Any] | None = None, order: int = 2, domain: Callable[..., Leaf] = R,
    exact: bool = False, rtol: float = 1e-13, devices: Any = (),
) -> None:  # fmt: skip
    """Raise AssertionError unless an op gives what NumPy says, and its gradients are what differences say.

    op: a record, or a function of tensors. samples: the arguments of a call each, as a tuple (or one argument); NumPy arrays
    in it, or leaves such as `R(3, 4)` of `wengert.testing.cases`, become tensors. An elementwise record without parameters
    needs none: it is tried with arrays that are broadcast, 0-d and empty, drawn from `domain`. oracle: the same function
    on NumPy arrays; NumPy's or SciPy's of the name if not given. order: how often it can be differentiated, 0 for not at
    all. exact: no rounding is allowed. devices: names of devices whose kernels must give the same, or "all" that are here.

    Float64, in three layouts of memory; float32 must be near it. Raises TypeError where oracle or samples are missing.
    """
    case = row_of(op, samples, oracle, order, domain, exact)
    if not any(isinstance(leaf, Leaf) for sample in case.samples for leaf in walk(sample.args)):
        raise TypeError(f"check_op({case.name}): no sample has an array in it")
    with doubles(), warnings.catch_warnings():
        warnings.simplefilter("error")
        check_values(case, rtol)
        if order:
            check_gradients(case)
    from wengert.testing.device import compare, ready

    for device in ready() if devices == "all" else devices:
        for dtype in ("float64", "float32"):
            compare(case, device, dtype)
    compare(case, "cpu", "float32", against="float64")
