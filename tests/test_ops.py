"""Every row of the case table holds: gradients against differences, values against NumPy, all of it against PyTorch.

Owns: how a row is checked. May import: the case table, wengert's public API and its tables of names and, inside tests
marked `parity`, torch. Must not know: any op; what is particular to one stands in its row, or in the tables below.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wengert as w
from cases import ELEMENTWISE, FUNCTIONS, RECORDS, Case, Sample, V, s
from wengert import faces
from wengert.op import OPS

CASES = [*RECORDS.values(), *FUNCTIONS.values()]


def title(case: Case) -> str:
    return f"{'op ' if case.is_record else ''}{case.name}"


def rows(keep: Callable[[Case], bool], cases: list[Case] = CASES) -> Any:
    return pytest.mark.parametrize("case", [c for c in cases if keep(c)], ids=title)


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


def tensors(arrays: list[np.ndarray], **options: Any) -> list[w.Tensor]:
    return [w.tensor(a, **options) for a in arrays]


LAYOUTS = ("plain", "transposed", "strided")


def layout(kind: str, array: np.ndarray) -> np.ndarray:
    """Return the same values laid out in memory in another way."""
    array = np.asarray(array)
    if kind == "plain":
        return array.copy()
    if kind == "transposed":
        return array.T.copy().T
    wide = np.full((*array.shape, 2), 77, array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


# ---- every name has a row
def owners(names: dict[str, Callable[..., Any]]) -> set[str]:
    """Return the names of functions that are nobody else's under another name, and no elementwise record's call."""
    records = {id(op.__call__): op.face for op in OPS.values() if op.elementwise}
    first: dict[int, str] = {}
    for name, function in names.items():
        first.setdefault(id(function), records.get(id(function), name))
    return {name for key, name in first.items() if key not in records}


# Public functions without a row: they compute nothing from tensors, or draw numbers (tests/test_random.py).
NO_ROW = {
    "bernoulli", "bernoulli_", "exponential_", "get_rng_state", "initial_seed", "manual_seed", "multinomial", "normal",
    "normal_", "rand", "randint", "randn", "random_", "randperm", "seed", "set_rng_state", "uniform_", "is_floating_point",
    "is_tensor", "cuda",
}  # fmt: skip


def test_every_op_and_function_has_a_row() -> None:
    assert set(RECORDS) == set(OPS)
    public = {**faces.FUNCTIONS, **faces.METHODS}
    assert set(FUNCTIONS) | NO_ROW == owners({n: public[n] for n in sorted(public, key=lambda n: (n in faces.ALIASES or n.startswith("_"), n))})


# ---- (b) values against NumPy
def close(actual: Any, expected: Any, rtol: float, exact: bool) -> None:
    if exact:
        np.testing.assert_array_equal(actual, expected, strict=False)
    else:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def raw(value: Any) -> Any:
    return value.detach().host() if isinstance(value, w.Tensor) else value


@pytest.fixture
def doubles() -> Iterator[None]:
    """Python floats are float64, as NumPy's are."""
    w.set_default_dtype(w.float64)
    yield
    w.set_default_dtype(w.float32)


@pytest.mark.usefixtures("doubles")
@rows(lambda c: bool(c.samples) and not c.random)
def test_values_equal_numpy(case: Case) -> None:
    assert case.oracle is not None, "no NumPy function of this name: the row must say what it gives"
    for sample in case.samples:
        arrays = sample.arrays(case.name)
        args, kwargs = sample.fill([a.copy() for a in arrays], np)
        with np.errstate(all="ignore"):
            expected = flat(case.oracle(*args, **kwargs))
        for kind in LAYOUTS if sample is case.samples[0] and not case.contiguous else ("plain",):
            given = [layout(kind, a) for a in arrays]
            actual = flat(call(w, case, sample, [w.from_numpy(a) for a in given]))
            assert len(actual) == len(expected), sample
            for a, e in zip(actual, expected, strict=True):
                assert np.shape(raw(a)) == np.shape(e), (sample, kind)
                close(raw(a), e, 1e-13, case.exact)
            for before, after in zip(arrays, given, strict=True):
                np.testing.assert_array_equal(before, after, err_msg=f"an input of {sample} was changed")


# ---- (a) gradients against differences
STEP = 1e-3


def quotient(f: Callable[[list[np.ndarray]], float], at: list[np.ndarray], along: list[np.ndarray]) -> float:
    """Return the derivative of f in a direction: central differences of two widths, their h^2 error cancelled."""

    def central(h: float) -> float:
        ahead, behind = ([x + way * h * d for x, d in zip(at, along, strict=True)] for way in (1, -1))
        return (f(ahead) - f(behind)) / (2 * h)

    return (4 * central(STEP / 2) - central(STEP)) / 3


def differentiable(case: Case, sample: Sample) -> list[int]:
    """Return which leaves have gradients: floats, but for those that the row or the record says have none."""
    found = [i for i, leaf in enumerate(sample.leaves()) if leaf.floating and not leaf.constant]
    if case.is_record and not OPS[case.name].variadic:
        found = [i for i in found if i >= len(OPS[case.name].rules) or OPS[case.name].rules[i] is not None]
    return found


class Problem:
    """A row's function of the leaves that are asked for a gradient, weighed with random numbers into one."""

    def __init__(self, case: Case, sample: Sample, wanted: tuple[int, ...], kind: str) -> None:
        self.case, self.sample, self.wanted, self.kind = case, sample, wanted, kind
        self.arrays = sample.arrays(case.name)
        self.rng = np.random.default_rng(len(wanted))
        self.weights: list[np.ndarray] = []

    def leaves(self, moved: list[np.ndarray]) -> list[w.Tensor]:
        values = dict(zip(self.wanted, moved, strict=True))
        made = [w.from_numpy(layout(self.kind, values.get(i, a))) for i, a in enumerate(self.arrays)]
        for i in self.wanted:
            made[i].requires_grad_()
        return made

    def value(self, leaves: list[w.Tensor]) -> w.Tensor:
        results = [r for r in flat(call(w, self.case, self.sample, leaves)) if r.is_floating_point()]
        if not self.weights:
            self.weights = [self.rng.uniform(0.5, 1.5, r.shape) for r in results]
        total = w.zeros(())
        for r, weight in zip(results, self.weights, strict=True):
            total = total + (r * w.from_numpy(weight)).sum()
        return total

    def directions(self) -> list[np.ndarray]:
        return [self.rng.uniform(-1, 1, self.arrays[i].shape) for i in self.wanted]

    def gradients(self, moved: list[np.ndarray], create: bool) -> tuple[list[w.Tensor], list[w.Tensor]]:
        leaves = self.leaves(moved)
        inputs = [leaves[i] for i in self.wanted]
        value = self.value(leaves)
        assert value.requires_grad, "nothing was recorded"
        grads = w.autograd.grad(value, inputs, create_graph=create, materialize_grads=True)
        for x, g in zip(inputs, grads, strict=True):
            assert g.shape == x.shape and g.dtype is x.dtype
        return inputs, list(grads)

    def check(self, order: int) -> None:
        at = [self.arrays[i] for i in self.wanted]
        along, across = self.directions(), self.directions()
        if order == 1:
            _, grads = self.gradients(at, create=False)
            expected = quotient(lambda moved: self.value(self.leaves(moved)).item(), at, along)
        else:

            def slope(moved: list[np.ndarray]) -> float:
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
        assert actual == pytest.approx(expected, rel=1e-7, abs=1e-8 + 1e-8 * scale), f"order {order} of {self.sample}"


@pytest.mark.usefixtures("doubles")
@rows(lambda c: c.order > 0)
def test_gradients_equal_differences(case: Case) -> None:
    checked = 0
    for sample in case.samples:
        every = differentiable(case, sample)
        groups = [(i,) for i in every] + ([tuple(every)] if len(every) > 1 else [])
        for wanted in groups:
            kinds = LAYOUTS if sample is case.samples[0] and not case.contiguous else LAYOUTS[:1]
            for kind in kinds:
                for order in range(1, case.order + 1):
                    problem = Problem(case, sample, wanted, kind)
                    if not any(w.is_floating_point(r) for r in flat(call(w, case, sample, tensors(problem.arrays)))):
                        continue
                    problem.check(order)
                    checked += 1
    assert checked, "the row has an order, but no sample that can be differentiated"


# ---- (c) against PyTorch
@functools.cache
def torch() -> Any:
    found = pytest.importorskip("torch")
    found.set_num_threads(1)
    return found


def public(case: Case) -> bool:
    """Say whether a row has a public function to compare: faces do, and elementwise records under their own name."""
    return not case.is_record or (case.name in ELEMENTWISE and OPS[case.name].face in faces.FUNCTIONS)


def inputs_for(library: Any, case: Case, sample: Sample, dtype: str, grad: bool = True) -> list[Any]:
    """Return a library's tensors for a sample, floats in the given type and asked for a gradient."""
    made = []
    for array, leaf in zip(sample.arrays(case.name), sample.leaves(), strict=True):
        x = library.tensor(array.astype(dtype) if leaf.floating else array)
        made.append(x.requires_grad_() if grad and leaf.floating and not leaf.constant and case.order else x)
    return made


def face_call(library: Any, case: Case, sample: Sample, values: list[Any]) -> Any:
    args, kwargs = sample.fill(values, library)
    return (case.call or (lambda T, *a, **k: function_of(T, case)(*a, **k)))(library, *args, **kwargs)


def is_tensor(value: Any) -> bool:
    return hasattr(value, "grad_fn")


def describe(value: Any) -> tuple[Any, ...]:
    """Return what must be equal of a result, but for its numbers."""
    if not is_tensor(value):
        return (type(value).__name__, value)
    return tuple(value.shape), str(value.dtype), value.requires_grad


def numbers(value: Any) -> np.ndarray:
    return np.asarray(value.detach().numpy())


def backward(library: Any, results: list[Any], inputs: list[Any]) -> list[Any]:
    """Return the gradients of the inputs, for fixed random gradients of all results that have a history."""
    rng = np.random.default_rng(1)
    outputs = [r for r in results if is_tensor(r) and r.requires_grad]
    weights = [library.tensor(rng.uniform(0.5, 1.5, tuple(r.shape)).astype(numbers(r).dtype)) for r in outputs]
    wanted = [x for x in inputs if x.requires_grad]
    if not outputs or not wanted:
        return [None] * len(wanted)
    return list(library.autograd.grad(outputs, wanted, weights, allow_unused=True))


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@rows(lambda c: public(c) and bool(c.samples))
def test_values_and_gradients_equal_torch(case: Case, dtype: str) -> None:
    for sample in case.samples + case.kinks:
        if (case.name, str(sample)) in DIFFERENT:
            with pytest.raises((AssertionError, RuntimeError)):
                compare(case, sample, dtype)
        else:
            compare(case, sample, dtype)


# Calls where PyTorch gives something else, or nothing, and why we do not follow.
DIFFERENT = {
    ("clip", "([4], [3, 1], [])"): "PyTorch's backward fails where a bound is wider than the input",
    ("clip", "([3], [2, 3], [1])"): "PyTorch's backward fails where a bound is wider than the input",
    ("var", "([2], correction=2)"): "no degrees of freedom: x / 0 and its gradient is inf there, and inf - inf here",
    ("clip", "([2, 1], [0], [2, 1])"): "PyTorch's backward fails where a bound is wider than the input",
    ("scatter", "([3, 4], 1, int [3, 1], [3, 1], reduce='add')"): "PyTorch has no gradient for it",
    ("scatter", "([3, 4], 0, int [1, 4], [2, 4])"): "PyTorch's backward fails where src is larger than the index",
    ("scatter_add", "([3, 4], 0, int [2, 4], [3, 4])"): "PyTorch's backward fails where src is larger than the index",
}


def compare(case: Case, sample: Sample, dtype: str) -> None:
    ours, theirs = (inputs_for(T, case, sample, dtype) for T in (w, torch()))
    got = flat(face_call(w, case, sample, ours))
    with warnings.catch_warnings(action="ignore"):  # PyTorch's own: of degrees of freedom, of what is deprecated there
        expected = flat(face_call(torch(), case, sample, theirs))
    assert [describe(r) for r in got] == [describe(r) for r in expected], sample
    for a, b in zip(got, expected, strict=True):
        if is_tensor(a) and not case.random:
            agree(case, a, b, f"{sample}")
    grads, wanted = backward(w, got, ours), backward(torch(), expected, theirs)
    assert len(grads) == len(wanted)
    for x, a, b in zip([x for x in ours if x.requires_grad], grads, wanted, strict=True):
        # an input that was not used has no gradient in one library and zeros in the other
        agree(case, w.zeros_like(x) if a is None else a, torch().zeros_like(torch().tensor(numbers(x))) if b is None else b,
              f"gradient of {sample}")


def agree(case: Case, a: Any, b: Any, what: str) -> None:
    assert str(a.dtype) == str(b.dtype)
    rtol = {"f8": 1e-10, "c16": 1e-10, "f4": case.loose32, "c8": case.loose32, "f2": 1e-3}.get(numbers(b).dtype.str[1:], 0)
    np.testing.assert_allclose(numbers(a), numbers(b), rtol, rtol, err_msg=what)


def node_name(value: Any) -> str:
    return "" if not is_tensor(value) or value.grad_fn is None else value.grad_fn.name()


@pytest.mark.parity
@rows(lambda c: public(c) and bool(c.samples) and c.order > 0)
def test_node_names_equal_torch(case: Case) -> None:
    different = set()
    for sample in case.samples:
        got, expected = ([node_name(r) for r in flat(face_call(T, case, sample, inputs_for(T, case, sample, "float64")))]
                         for T in (w, torch()))  # fmt: skip
        if got != expected:
            different.add((str(sample), *got, *expected))
    assert bool(different) == bool(case.node), different or f"the names are equal now, but the row says: {case.node}"
