"""Every row of the case table holds: gradients against differences, values against NumPy, all of it against PyTorch.

Owns: the comparison with PyTorch, and what is particular to one op. May import: the case table, how its rows are checked,
wengert's public API and its tables of names and, inside tests marked `parity`, torch. Must not know: any op; what is particular to one stands in its row, or in the tables below.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import itertools
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import families
import wengert as w
from wengert import faces
from wengert.op import OPS
from wengert.ops.random import philox
from wengert.testing.cases import ELEMENTWISE, FUNCTIONS, INF, NAN, RECORDS, Case, Sample, V, s
from wengert.testing.ops import (
    LAYOUTS,
    check_gradients,
    check_values,
    doubles,
    flat,
    function_of,
    layout,
    tensors,
)

CASES = [*RECORDS.values(), *FUNCTIONS.values()]
# Records of families: their rules are proven here as the core's are; their functions by PyTorch's own samples (parity/).
FAMILIES = [*families.RECORDS.values()]


def title(case: Case) -> str:
    return f"{'op ' if case.is_record else ''}{case.name}"


def rows(keep: Callable[[Case], bool], cases: list[Case] = CASES) -> Any:
    return pytest.mark.parametrize("case", [c for c in cases if keep(c)], ids=title)


# ---- every name has a row
# Public functions without a row: they compute nothing from tensors, or draw numbers (see the end).
NO_ROW = {
    "bernoulli", "bernoulli_", "cuda", "exponential_", "get_rng_state", "initial_seed", "is_floating_point", "is_tensor",
    "manual_seed", "multinomial", "new", "normal", "normal_", "rand", "randint", "randn", "random_", "randperm", "seed",
    "set_rng_state", "uniform_",
}  # fmt: skip


def test_every_op_and_function_has_a_row() -> None:
    every = [name for table in ("ops", "methods") for name in w.registry.registry.names(table)]
    for name in every:  # families load when they are asked for
        if not name.startswith("test_"):
            w.registry.registry.resolve("ops" if name in w.registry.registry.tables["ops"] else "methods", name)
    assert set(RECORDS) | set(families.RECORDS) == set(OPS)
    published = {**faces.METHODS, **faces.FUNCTIONS}
    assert set(FUNCTIONS) <= set(published), "rows that name nothing"
    # an alias is another name of the same function; an elementwise record under its face has the record's row
    told = {id(inspect.unwrap(published[n])) for n in {*FUNCTIONS, *NO_ROW}} | {id(op.__call__) for op in OPS.values() if op.elementwise}
    sources = {n: (f, getattr(f, "record", f)) for n, f in published.items()}  # a method's record is what it is a twin of
    without = {n for n, same in sources.items() if not {id(one) for f in same for one in (f, inspect.unwrap(f))} & told}
    assert without == set(), "functions without a row"


# ---- (a, b) values against NumPy, gradients against differences
@pytest.fixture
def doubled() -> Iterator[None]:
    """Python floats are float64, as NumPy's are."""
    with doubles():
        yield


@pytest.mark.usefixtures("doubled")
@rows(lambda c: bool(c.samples) and not c.random, CASES + FAMILIES)
def test_values_equal_numpy(case: Case) -> None:
    check_values(case)


@pytest.mark.usefixtures("doubled")
@rows(lambda c: c.order > 0, CASES + FAMILIES)
def test_gradients_equal_differences(case: Case) -> None:
    check_gradients(case)


# ---- (c) against PyTorch
def both(function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return what a function of (library, *args) gives for wengert and for PyTorch: its first result or its exception."""
    return [attempt(function, T, *args) for T in (w, torch())]


def attempt(function: Callable[..., Any], library: Any, *args: Any) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return flat(function(library, *args))[0]
    except Exception as error:
        return error


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
    value = value.detach()
    return np.asarray((value.resolve_conj() if hasattr(value, "resolve_conj") else value).numpy())


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
        agree(
            case,
            w.zeros_like(x) if a is None else a,
            torch().zeros_like(torch().tensor(numbers(x))) if b is None else b,
            f"gradient of {sample}",
        )


def agree(case: Case, a: Any, b: Any, what: str) -> None:
    assert str(a.dtype) == str(b.dtype)
    # absolute: what sums of a few numbers near 1 lose where they cancel
    exactness = {"f8": (1e-10, 1e-13), "f4": (case.loose32, 1e-6), "f2": (1e-3, 1e-3)}
    rtol, atol = exactness.get(numbers(b).real.dtype.str[1:], (0, 0))
    np.testing.assert_allclose(numbers(a), numbers(b), rtol, atol, err_msg=what)


def call_laid_out(library: Any, case: Case, sample: Sample, kind: str) -> Any:
    return face_call(library, case, sample, [library.from_numpy(layout(kind, a)) for a in sample.arrays(case.name)])


# Where NumPy keeps the order of a transposed input, and PyTorch does not.
KEEPS_ORDER = {"pow": "of a number to a tensor's power"}


@pytest.mark.parity
@rows(lambda c: public(c) and bool(c.samples) and not c.contiguous)
def test_results_are_contiguous_where_torchs_are(case: Case) -> None:
    """view() works on what PyTorch's works on."""
    scattered = []
    for sample, kind in itertools.product(case.samples, LAYOUTS[1:]):
        got, expected = both(call_laid_out, case, sample, kind)
        if is_tensor(expected) and is_tensor(got) and expected.is_contiguous() and not got.is_contiguous():
            scattered.append(f"{sample} {kind}")
    assert bool(scattered) == (case.name in KEEPS_ORDER), scattered


def names_of_nodes(library: Any, case: Case, sample: Sample) -> list[str]:
    return [node_name(r) for r in flat(face_call(library, case, sample, inputs_for(library, case, sample, "float64")))]


def node_name(value: Any) -> str:
    return "" if not is_tensor(value) or value.grad_fn is None else value.grad_fn.name()


@pytest.mark.parity
@rows(lambda c: public(c) and bool(c.samples) and c.order > 0)
def test_node_names_equal_torch(case: Case) -> None:
    different = set()
    for sample in case.samples:
        got, expected = (names_of_nodes(T, case, sample) for T in (w, torch()))
        if got != expected:
            different.add((str(sample), *got, *expected))
    assert bool(different) == bool(case.node), different or f"the names are equal now, but the row says: {case.node}"


# ---- element types against PyTorch
DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
OF_KIND = {"b": [True, False, True], "u": [3, 1, 2], "i": [3, 1, 2], "f": [-1.5, 0.5, 2.0], "c": [1 - 2j, 0.5, 2j]}
NUMBERS = [True, 2, 0.5, 1 + 1j]
# What computes here though PyTorch refuses it, and why that is no mistake.
WIDER = {
    "complex": "NumPy's kernels order complex numbers by their parts, and reach where PyTorch has no complex kernel",
    "float16 and complex": "PyTorch has no kernels for the complex type of float16; here it is complex64",
    "bool": "bools count as 0 and 1 wherever that has one meaning",
    "integers": "integers are raised to the default float, as for every other function of floats",
    "number": "a complex number next to reals counts as a complex tensor does",
}
# What PyTorch computes and is refused here.
STRICTER: dict[str, str] = {}


def of_dtype(library: Any, dtype: str, dims: bool = True) -> Any:
    values = OF_KIND[np.dtype(dtype).kind]
    return library.tensor(values if dims else values[0], dtype=getattr(library, dtype))


def why_wider(dtypes: list[str], number: bool) -> str:
    kinds = {np.dtype(d).kind for d in dtypes}
    if "c" in kinds:
        return "float16 and complex" if "float16" in dtypes else "complex"
    return "number" if number else "bool" if "b" in kinds else "integers" if kinds <= {"i", "u"} else ""


def same_outcome(name: str, dtypes: list[str], number: bool, got: Any, expected: Any) -> str:
    """Return why the outcomes differ: a key of the tables above, or what is wrong; nothing where they agree."""
    if isinstance(expected, Exception):
        if isinstance(got, Exception):
            return "" if isinstance(got, type(expected)) or number else f"{got!r}, but PyTorch: {expected!r}"
        reason = why_wider(dtypes, number)
        return f"wider: {reason}" if reason else f"{got}, but PyTorch: {expected!r}"
    if isinstance(got, Exception):
        return "stricter" if name in STRICTER else f"{got!r}, but PyTorch: {expected}"
    if str(expected.dtype) == "torch.complex32":
        return "wider: float16 and complex"
    if str(got.dtype) != str(expected.dtype):
        return f"{got.dtype}, but PyTorch: {expected.dtype}"
    rtol = 2e-3 if "float16" in dtypes else 2e-6
    a, b = numbers(got), numbers(expected)
    return "" if np.allclose(a, b, rtol, rtol, equal_nan=True) else f"{a}, but PyTorch: {b}"


def of_types(library: Any, case: Case, a: str, b: str, dims: bool) -> Any:
    return function_of(library, case)(of_dtype(library, a), of_dtype(library, b, dims))


def of_type(library: Any, case: Case, a: str, *others: Any) -> Any:
    return function_of(library, case)(of_dtype(library, a), *others)


BINARY = [c for c in ELEMENTWISE.values() if c.integers and len(OPS[c.name].inputs) == 2]
UNARY = [c for c in CASES if c.integers and len(c.samples[0].leaves()) == 1 and public(c)]


@pytest.mark.parity
@rows(public, BINARY)
def test_types_of_two_operands_equal_torch(case: Case) -> None:
    wrong = {}
    for a, b in itertools.product(DTYPES, DTYPES):
        for dims in (True, False):
            got, expected = both(of_types, case, a, b, dims)
            wrong[a, b, dims] = same_outcome(case.name, [a, b], False, got, expected)
    for a, number in itertools.product(DTYPES, NUMBERS):
        got, expected = both(of_type, case, a, number)
        wrong[a, number] = same_outcome(case.name, [a], True, got, expected)
    known = {f"wider: {reason}" for reason in WIDER} | {"", "stricter"}
    assert {k: v for k, v in wrong.items() if v not in known} == {}
    assert ("stricter" in wrong.values()) == (case.name in STRICTER), "the table says otherwise"


@pytest.mark.parity
@rows(lambda c: True, UNARY)
def test_types_of_one_operand_equal_torch(case: Case) -> None:
    known = {f"wider: {reason}" for reason in WIDER} | {""}
    extra = (0,) if case.name in ("cumsum",) else ()
    wrong = {}
    for a in DTYPES:
        got, expected = both(of_type, case, a, *extra)
        wrong[a] = same_outcome(case.name, [a], False, got, expected)
    assert {k: v for k, v in wrong.items() if v not in known} == {}


def half_call(library: Any, case: Case, sample: Sample) -> Any:
    """Return what a row gives for float16 inputs, and its gradients, as one tuple."""
    inputs = inputs_for(library, case, sample, "float16")
    results = flat(face_call(library, case, sample, inputs))
    return [[*results, *(g for g in backward(library, results, inputs) if g is not None)]]


@pytest.mark.parity
def test_float16_stays_float16_as_in_torch() -> None:
    compared = 0
    for case in CASES:
        for sample in case.samples if public(case) and not case.random else ():
            got, expected = both(half_call, case, sample)
            if isinstance(expected, Exception):  # no kernel for float16, or one of the calls in DIFFERENT
                continue
            assert not isinstance(got, Exception), f"{case.name}{sample}: {got!r}"
            for a, b in zip(filter(is_tensor, flat(got)), filter(is_tensor, flat(expected)), strict=True):
                assert str(a.dtype) == str(b.dtype), f"{case.name}{sample}"
                np.testing.assert_allclose(numbers(a), numbers(b), 1e-2, 1e-2, err_msg=f"{case.name}{sample}")
                compared += 1
    assert compared > 1000


def test_digits_are_kept() -> None:
    """Where a formula that is right on paper loses all digits, or a sum in float16 stops growing."""
    x = w.tensor([-40.0, -700.0, 1e-12, 30.0], dtype=w.float64)
    np.testing.assert_allclose(w.sigmoid(x).numpy(), scipy.special.expit(x.numpy()), 1e-14, 0)
    np.testing.assert_allclose(w.expm1(x).numpy(), np.expm1(x.numpy()), 1e-14, 0)
    np.testing.assert_allclose(w.log1p(x[2:]).numpy(), np.log1p(x[2:].numpy()), 1e-14, 0)
    np.testing.assert_allclose(w.erfc(x[3:]).numpy(), scipy.special.erfc(30.0), 1e-14, 0)
    ones = w.ones(5000, 2, dtype=w.float16)
    for total in (ones.sum(0), ones.cumsum(0)[-1], (ones * 2).mean(0) * 2500):
        assert total.dtype is w.float16 and total.tolist() == [5000.0, 5000.0]
    assert w.full((4,), 300.0, dtype=w.float16).norm().item() == 600.0  # its squares are out of range


FLAT_BELOW_0: dict[str, Callable[[w.Tensor], w.Tensor]] = {
    "clamp": lambda x: x.clamp(min=0), "clamp both": lambda x: x.clamp(0, 9), "clamp_min": lambda x: w.clamp_min(x, 0),
    "relu": lambda x: w.relu(x), "maximum": lambda x: w.maximum(x, w.zeros(2)), "where": lambda x: w.where(x > 0, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0), "amax": lambda x: w.stack([x, w.zeros(2)]).amax(0),
    "max": lambda x: w.stack([x, w.zeros(2)]).max(0)[0], "put": lambda x: x.index_put((w.tensor([0]),), w.zeros(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAT_BELOW_0)
def test_an_infinite_gradient_stops_where_a_function_is_flat(name: str) -> None:
    """The slope of sqrt at 0 is infinite; what was cut off before must not make it nan."""
    x = w.tensor([-1.0, 4.0], requires_grad=True)
    w.sqrt(FLAT_BELOW_0[name](x)).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


# ---- complex gradients, whose convention is PyTorch's: g * conj(f')
COMPLEX = {
    "mul": lambda T, a, b: a * b, "div": lambda T, a, b: a / b, "pow": lambda T, a, b: a**b,
    "square": lambda T, a, b: a**2, "sub": lambda T, a, b: 2 - a, "matmul": lambda T, a, b: a @ b,
    "einsum": lambda T, a, b: T.einsum("ij,kj->ik", a, b),
    "real times": lambda T, a, b: T.tensor([0.5, -2.0, 1.5], dtype=T.float64, requires_grad=True) * a,
    "prod": lambda T, a, b: a.prod(1), "cumsum": lambda T, a, b: a.cumsum(0), "mean": lambda T, a, b: a.mean(0),
    "abs": lambda T, a, b: T.abs(a), "norm": lambda T, a, b: a.norm(dim=1), "var": lambda T, a, b: a.var(0),
    "where": lambda T, a, b: T.where(T.tensor([True, False, True]), a, b), "conj": lambda T, a, b: a * b.conj(),
    "cat": lambda T, a, b: T.cat([a, b]), "index": lambda T, a, b: a[T.tensor([0, 2, 0])],
    "reshape": lambda T, a, b: a.reshape(9)[::2],
    **{
        n: lambda T, a, b, n=n: getattr(T, n)(a)
        for n in "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sigmoid sin cos tan asin acos atan sinh cosh tanh "
        "asinh acosh atanh neg".split()
    },
}  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_gradients_equal_torch(name: str) -> None:
    rng = np.random.default_rng(4)
    za, zb = (rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) for _ in "ab")
    found = []
    for T in (w, torch()):
        a, b = T.tensor(za, requires_grad=True), T.tensor(zb, requires_grad=True)
        y = COMPLEX[name](T, a, b)
        weight = np.arange(1.0, numbers(y).size + 1).reshape(numbers(y).shape) * (1 + 2j)
        grads = T.autograd.grad(
            y, [a, b], T.tensor(weight.astype(numbers(y).dtype) if y.is_complex() else weight.real), allow_unused=True
        )
        found.append([numbers(y), *(np.zeros(0) if g is None else numbers(g) for g in grads)])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, 1e-12, 1e-12)


# ---- errors against PyTorch
def wrong_calls(case: Case) -> list[Sample]:
    """Return calls that must fail: the row's own, and what no elementwise function takes."""
    if case.is_record and len(OPS[case.name].inputs) == 2:
        strange = [
            s(V([1.0] * 3), V([1.0] * 4)),
            s(V([1.0]), None),
            s(V([1.0]), "a"),
            s(V([1.0]), [1.0]),
            s(None, V([1.0])),
            s(V([1.0])),
        ]
    elif case.is_record and len(OPS[case.name].inputs) == 1 and not OPS[case.name].params:
        strange = [s(None), s("a"), s(), s([1.0]), s(V([1.0]), V([1.0]))]
    else:
        strange = []
    return [*case.bad, *strange]


def call_without_grad(library: Any, case: Case, sample: Sample) -> Any:
    return face_call(library, case, sample, inputs_for(library, case, sample, "float64", grad=False))


@pytest.mark.parity
@rows(lambda c: public(c) and bool(wrong_calls(c)))
def test_errors_are_of_torchs_type(case: Case) -> None:
    for sample in wrong_calls(case):
        got, expected = both(call_without_grad, case, sample)
        assert isinstance(expected, Exception), f"PyTorch takes {sample}"
        assert isinstance(got, type(expected)), f"{sample}: {got!r}, but PyTorch: {expected!r}"


@rows(lambda c: public(c) and bool(wrong_calls(c)))
def test_errors_leave_inputs_alone_and_name_the_function(case: Case) -> None:
    for sample in wrong_calls(case):
        arrays = sample.arrays(case.name)
        values = tensors(arrays)
        with pytest.raises(Exception) as caught:
            face_call(w, case, sample, values)
        assert str(caught.value), "an error without words"
        assert not isinstance(caught.value, AttributeError | AssertionError | UnboundLocalError), repr(caught.value)
        for before, after in zip(arrays, values, strict=True):
            np.testing.assert_array_equal(before, after.numpy())


# ---- in place, and out=
def name_of(case: Case) -> str:
    return OPS[case.name].face if case.is_record else case.name


# They give the tensor another shape and write nothing: tests/test_inplace.py proves them.
RESHAPING = {"squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims"}


def has_in_place(case: Case) -> bool:
    name = name_of(case)
    return (
        name not in RESHAPING
        and public(case)
        and not name.startswith("_")
        and not name.endswith("_")
        and hasattr(w.Tensor, name + "_")
    )


def writes(library: Any, case: Case, sample: Sample, values: list[Any]) -> tuple[Any, Any]:
    """Return a clone of the first argument that its in-place method wrote to, and what the method returned."""
    (first, *rest), kwargs = sample.fill(values, library)
    target = first.clone()
    return target, getattr(target, name_of(case) + "_")(*rest, **kwargs)


def written(library: Any, case: Case, sample: Sample) -> Any:
    return writes(library, case, sample, inputs_for(library, case, sample, "float64", grad=False))[0]


def begins_with_a_tensor(sample: Sample) -> bool:
    return bool(sample.args) and sample.args[0] in sample.leaves()


@rows(has_in_place)
def test_in_place_equals_the_function(case: Case) -> None:
    for sample in filter(begins_with_a_tensor, case.samples):
        arrays = sample.arrays(case.name)
        first = arrays[0]
        expected = flat(face_call(w, case, sample, tensors(arrays)))[0]
        fits = isinstance(expected, w.Tensor) and tuple(expected.shape) == first.shape
        if not fits or w.can_cast(expected.dtype, w.from_numpy(first).dtype) is False:
            values = tensors(arrays)
            with pytest.raises((RuntimeError, AttributeError, TypeError)):
                writes(w, case, sample, values)
            np.testing.assert_array_equal(values[0].numpy(), first)
            continue
        for grad in (False, True) if case.order else (False,):
            leaves = inputs_for(w, case, sample, "float64", grad)
            target, returned = writes(w, case, sample, leaves)
            assert returned is target and target.dtype is w.from_numpy(first).dtype
            np.testing.assert_allclose(numbers(target), numbers(expected), 1e-15, 0, err_msg=f"{sample}")
            assert target._version == 1, "one write counts once"
            if grad and target.requires_grad:
                again = inputs_for(w, case, sample, "float64")
                grads = backward(w, [target], leaves), backward(w, flat(face_call(w, case, sample, again)), again)
                for a, b in zip(*grads, strict=True):
                    np.testing.assert_allclose(numbers(a), numbers(b), 1e-14, 1e-14, err_msg=f"{sample}")


@pytest.mark.parity
@rows(has_in_place)
def test_in_place_outcomes_equal_torch(case: Case) -> None:
    for sample in [*filter(begins_with_a_tensor, case.samples), *(x for x in case.bad if begins_with_a_tensor(x))]:
        got, expected = both(written, case, sample)
        if isinstance(expected, Exception):
            kind = RuntimeError if isinstance(expected, RuntimeError) else type(expected)
            assert isinstance(got, kind), f"{sample}: {got!r}, but PyTorch: {expected!r}"
        else:
            assert not isinstance(got, Exception), f"{sample}: {got!r}"
            assert describe(got) == describe(expected)
            agree(case, got, expected, f"{sample}")


# PyTorch's in-place forms of views: they give a tensor another shape and write nothing.
RESHAPING = {"squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_", "swapdims_"}


@pytest.mark.parity
def test_in_place_methods_are_torchs() -> None:
    ours, theirs = ({n for n in dir(T.Tensor) if n.endswith("_") and not n.startswith("_")} for T in (w, torch()))
    assert ours - theirs == set()
    assert {n for n in theirs - ours if n[:-1] in dir(w.Tensor)} == set()


def takes_out(case: Case) -> bool:
    return (
        public(case) and not case.random and case.call is None and "out" in inspect.signature(function_of(w, case)).parameters
    )


@rows(takes_out)
def test_out_receives_what_the_function_gives(case: Case) -> None:
    for sample in case.samples:
        arrays = sample.arrays(case.name)
        expected = face_call(w, case, sample, tensors(arrays))
        if not isinstance(expected, w.Tensor):
            continue
        args, kwargs = sample.fill(tensors(arrays), w)
        for shape in (expected.shape, (5,)):  # of another shape: it is resized
            out = w.empty(shape, dtype=expected.dtype)
            returned = function_of(w, case)(*args, **kwargs, out=out)
            assert returned is out and not out.requires_grad and out.shape == expected.shape
            np.testing.assert_array_equal(out.numpy(), expected.numpy())
        leaves = inputs_for(w, case, sample, "float64")
        if any(x.requires_grad for x in leaves):
            args, kwargs = sample.fill(leaves, w)
            with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
                function_of(w, case)(*args, **kwargs, out=w.empty(expected.shape, dtype=expected.dtype))
        if expected.is_floating_point() and sample.leaves():  # what is made of no tensor takes the type of out
            with pytest.raises(RuntimeError, match="can't be cast|Expected out tensor to have dtype"):
                args, kwargs = sample.fill(tensors(arrays), w)
                function_of(w, case)(*args, **kwargs, out=w.empty(expected.shape, dtype=w.int64))


# ---- operators
OPERATORS: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "+": (lambda x, y: x + y, ["f", "i"]), "-": (lambda x, y: x - y, ["f", "i"]),
    "*": (lambda x, y: x * y, ["f", "i"]), "/": (lambda x, y: x / y, ["f", "i"]),
    "//": (lambda x, y: x // y, ["f", "i"]), "%": (lambda x, y: x % y, ["f", "i"]),
    "**": (lambda x, y: x**y, ["f", "i"]), "&": (lambda x, y: x & y, ["i"]), "|": (lambda x, y: x | y, ["i"]),
    "^": (lambda x, y: x ^ y, ["i"]), "<<": (lambda x, y: x << y, ["i"]), ">>": (lambda x, y: x >> y, ["i"]),
    "==": (lambda x, y: x == y, ["f", "i"]), "!=": (lambda x, y: x != y, ["f", "i"]),
    "<": (lambda x, y: x < y, ["f", "i"]), "<=": (lambda x, y: x <= y, ["f", "i"]),
    ">": (lambda x, y: x > y, ["f", "i"]), ">=": (lambda x, y: x >= y, ["f", "i"]),
    "@": (lambda x, y: x @ y, ["f", "i"]), "-x": (lambda x, y: -x, ["f", "i"]), "+x": (lambda x, y: +x, ["f", "i"]),
    "abs": (lambda x, y: abs(x), ["f", "i"]), "~": (lambda x, y: ~x, ["i"]),
}  # fmt: skip
# The node of an operator is the record's, which does not know whether the other operand was a number.
OPERATOR_NODES = {"%": "RemainderBackward0 for numbers and tensors; PyTorch numbers the latter 1"}


@pytest.mark.parity
@pytest.mark.parametrize("symbol", OPERATORS)
def test_operators_equal_torch(symbol: str) -> None:
    function, kinds = OPERATORS[symbol]
    operands: dict[str, tuple[Any, Any, Any]] = {
        "f": ([1.5, 2.0, 0.5], [0.5, 3.0, 2.0], 2.5),
        "i": ([7, -8, 3], [2, 3, 1], 2),
    }
    other_names = set()
    for kind in kinds:
        left, right, number = operands[kind]
        for order in ("tensors", "number right", "number left"):
            if (
                symbol in ("@", "-x", "+x", "abs", "~")
                and order != "tensors"
                or (symbol, kind, order) == ("**", "i", "number left")
            ):
                continue
            found = []
            for T in (w, torch()):
                x, y = (T.tensor(v, requires_grad=kind == "f") for v in (left, right))
                r = (
                    function(x, y)
                    if order == "tensors"
                    else function(x, number)
                    if order == "number right"
                    else function(number, x)
                )
                if kind == "f" and r.requires_grad and symbol != "//" and (symbol, order) != ("%", "number left"):
                    r.sum().backward()
                found.append((r, x.grad, y.grad))
            (a, *ga), (b, *gb) = found
            assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape)
            np.testing.assert_allclose(numbers(a), numbers(b), 1e-6)
            for g, h in zip(ga, gb, strict=True):
                assert (g is None) == (h is None)
                if g is not None:
                    np.testing.assert_allclose(numbers(g), numbers(h), 1e-6)
            if symbol != "//" and node_name(a) != node_name(b):
                other_names.add((node_name(a), node_name(b)))
    assert bool(other_names) == (symbol in OPERATOR_NODES), other_names


# ---- what a record says of its results
OF_VALUES = {"nonzero", "unique", "unique_consecutive", "bincount", "bincount_weighted"}  # values decide their results' shape


@rows(lambda c: c.is_record and c.call is None and bool(c.samples) and c.name not in OF_VALUES, [*RECORDS.values(), *FAMILIES])
def test_infer_tells_shape_and_type_of_the_kernels_result(case: Case) -> None:
    op = OPS[case.name]
    for sample in case.samples:
        for name in ("float64", "float32", "int64", "bool"):
            arrays = [a.astype(name) if leaf.floating and a.dtype.kind == "f" else a
                      for a, leaf in zip(sample.arrays(case.name), sample.leaves(), strict=True)]  # fmt: skip
            if name in ("int64", "bool") and (op.domain == "float" or not case.integers):
                continue
            if (case.name, name) == ("power", "bool"):  # pow() refuses it before
                continue
            args, kwargs = sample.fill(arrays, w)
            try:
                made = op(*args, **kwargs)
            except (NotImplementedError, TypeError, ValueError, ZeroDivisionError):
                assert name in ("int64", "bool")
                continue
            assert op.infer is not None
            told = op.infer(*args, **kwargs)
            for (shape, dtype), result in zip(told, made, strict=True) if op.outputs > 1 else ((told, made),):
                assert (tuple(shape), np.dtype(dtype)) == (result.shape, result.dtype), f"{sample} of {name}"


def test_rules_may_use_any_number_on_raw_arrays() -> None:
    """In backward a rule's numbers stand next to raw arrays, 0-d ones among them, which NumPy likes to give as scalars."""
    where, condition = OPS["where"], np.array([True, False])
    for x in (np.array([1.0, 2.0]), np.array([1.0, 2.0], np.float32)):
        for made, expected in ((where(condition, 0.5, x), [0.5, 2.0]), (where(condition, x, 0.25), [1.0, 0.25])):
            assert made.tolist() == expected and made.dtype == x.dtype
    scalar = where(np.array(True), np.float64(2.5), 0.0)  # np.float64 is also a Python float
    assert scalar.tolist() == 2.5 and scalar.dtype == np.float64


# ---- the two rows that need more than arguments
def test_to_device() -> None:
    x = w.tensor([1.0, 2.0], requires_grad=True)
    here = x.device
    y = OPS["to_device"](x, here, here)
    assert y.grad_fn.name() == "ToCopyBackward0" and y.data_ptr() != x.data_ptr()
    (y * w.tensor([3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]
    assert x.to("cpu") is x


def test_from_numpy() -> None:
    array = np.arange(6.0).reshape(2, 3)
    x = w.from_numpy(array)
    array[0, 0] = 7.0
    assert x[0, 0].item() == 7.0 and x.dtype is w.float64 and not x.requires_grad
    assert w.from_numpy(array.T).stride() == (1, 3)
    for wrong, kind in (
        ([1.0], TypeError),
        (array[::-1], ValueError),
        (array.astype(">f8"), ValueError),
        (np.array(["a"]), TypeError),
    ):
        with pytest.raises(kind):
            w.from_numpy(wrong)


# ---- (d) C templates
SPECIAL = [
    NAN,
    INF,
    -INF,
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    1e-300,
    1e300,
    710.0,
    -745.5,
    0.1,
    3.0,
    7.0,
    -7.0,
]
INTEGRAL = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"}
TEMPLATES = [c for c in ELEMENTWISE.values() if OPS[c.name].expr is not None]
# Where the sign of a zero is not NumPy's: neither C nor NumPy promises it.
ZERO_SIGN = {"maximum", "minimum", "clip", "remainder", "floor_divide"}
EXPONENTS = [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 1.5, 2.5]  # 0.5 is sqrt in NumPy and PyTorch, which differs at -inf


def c_function(case: Case) -> str:
    op = OPS[case.name]
    kind = "long long" if case.name in INTEGRAL else "double"
    names = [*op.inputs, *op.params]
    arguments = ", ".join(f"{kind} {n}" for n in names)
    arrays = ", ".join(f"const {kind} *{n}" for n in names)
    each = ", ".join(f"{n}[i]" for n in names)
    return (
        f"static {kind} {case.name}_({arguments}) {{ return ({op.expr}); }}\n"
        f"void {case.name}_all(long count, {arrays}, {kind} *out) {{\n"
        f"  for (long i = 0; i < count; i++) out[i] = {case.name}_({each});\n}}\n"
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Every template as a function over arrays, compiled by this machine's C compiler."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc or clang) on this machine")
    folder: Path = tmp_path_factory.mktemp("templates")
    source = folder / "ops.c"
    source.write_text("#include <math.h>\n" + "\n".join(c_function(c) for c in TEMPLATES))
    built = folder / "ops.so"
    done = subprocess.run([compiler, "-O1", "-std=c99", "-Wall", "-Werror=implicit-function-declaration", "-shared", "-fPIC",
                           str(source), "-o", str(built), "-lm"], capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(built))


@rows(lambda c: True, TEMPLATES)
def test_templates_equal_the_kernels(case: Case, library: ctypes.CDLL) -> None:
    op = OPS[case.name]
    dtype = np.dtype("int64" if case.name in INTEGRAL else "float64")
    rng = np.random.default_rng(5)
    if case.name in INTEGRAL:
        values = [np.arange(-9, 10), np.arange(0, 9)] if "shift" in case.name else [np.arange(-9, 10)] * len(op.inputs)
    else:
        values = [np.array([*SPECIAL, *rng.uniform(-3, 3, 12)])] * len(op.inputs)
    inputs = [np.ascontiguousarray(g.ravel(), dtype) for g in np.meshgrid(*values, indexing="ij")]
    for params in [(e,) for e in EXPONENTS] if op.params else [()]:
        arrays = [*inputs, *(np.full(inputs[0].shape, p, dtype) for p in params)]
        made = np.empty(inputs[0].shape, dtype)
        getattr(library, f"{case.name}_all")(ctypes.c_long(made.size), *(ctypes.c_void_p(a.ctypes.data) for a in arrays),
                                             ctypes.c_void_p(made.ctypes.data))  # fmt: skip
        given = [a != 0 if name in op.free and case.name == "where" else a for name, a in zip(op.inputs, inputs, strict=True)]
        with np.errstate(all="ignore"):
            expected = op(*given, *params).astype(dtype)
        wrong = ~np.isclose(made, expected, 1e-14, 0, equal_nan=True)
        if dtype.kind == "f" and case.name not in ZERO_SIGN:
            wrong |= (made == 0) & (np.signbit(made) != np.signbit(expected))
        assert not wrong.any(), [
            (*(float(a[i]) for a in arrays), float(made[i]), float(expected[i])) for i in np.nonzero(wrong)[0][:8]
        ]


# ---- drawn numbers: the stream, the range, the first two moments
def test_the_stream_is_philox() -> None:
    """Source: the known answers of Random123 (Salmon et al., SC 2011) for a counter and a key of zeros."""
    assert [hex(n) for n in philox(0, 0, 1)[0].tolist()] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert (philox(5, 3, 4) == philox(5, 0, 7)[3:]).all(), "a block depends on the seed and its number alone"


N = 40_000
# name: draw, mean, standard deviation, smallest and largest value
DRAWN: dict[str, tuple[Callable[[], w.Tensor], float, float, float, float]] = {
    "rand": (lambda: w.rand(N), 0.5, 12**-0.5, 0, 1), "randn": (lambda: w.randn(N), 0, 1, -INF, INF),
    "rand_like": (lambda: w.rand_like(w.zeros(N)), 0.5, 12**-0.5, 0, 1),
    "randn_like": (lambda: w.randn_like(w.zeros(N, dtype=w.float64)), 0, 1, -INF, INF),
    "randint": (lambda: w.randint(2, 8, (N,)), 4.5, (35 / 12) ** 0.5, 2, 7),
    "normal": (lambda: w.normal(3.0, 2.0, (N,)), 3, 2, -INF, INF), "normal_": (lambda: w.zeros(N).normal_(3, 2), 3, 2, -INF, INF),
    "uniform_": (lambda: w.zeros(N).uniform_(-1, 3), 1, 4 * 12**-0.5, -1, 3),
    "random_": (lambda: w.zeros(N).random_(0, 6), 2.5, (35 / 12) ** 0.5, 0, 5),
    "exponential_": (lambda: w.zeros(N).exponential_(2.0), 0.5, 0.5, 0, INF),
    "bernoulli": (lambda: w.bernoulli(w.full((N,), 0.3)), 0.3, 0.21**0.5, 0, 1),
    "bernoulli_": (lambda: w.zeros(N).bernoulli_(0.3), 0.3, 0.21**0.5, 0, 1),
    "multinomial": (lambda: w.multinomial(w.tensor([1.0, 0.0, 3.0]), N, replacement=True), 1.5, 0.75**0.5, 0, 2),
    "randperm": (lambda: w.randperm(N), (N - 1) / 2, ((N * N - 1) / 12) ** 0.5, 0, N - 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_numbers(name: str) -> None:
    draw, mean, deviation, low, high = DRAWN[name]
    w.manual_seed(7)
    first, second = draw(), draw()
    w.manual_seed(7)
    again = draw()
    assert first.tolist() == again.tolist() != second.tolist()
    values = first.numpy().astype(float)
    assert values.shape == (N,) and low <= values.min() and values.max() <= high
    assert abs(values.mean() - mean) < 5 * deviation / N**0.5
    assert values.std() == pytest.approx(deviation, rel=0.03)


def test_state_of_the_stream() -> None:
    w.manual_seed(1)
    w.rand(3)
    state = w.get_rng_state()
    after = w.rand(5).tolist()
    w.set_rng_state(state)
    assert w.rand(5).tolist() == after and w.initial_seed() == 1
    assert w.seed() == w.initial_seed()
    mine = w.Generator().manual_seed(1)
    w.rand(3, generator=mine)
    assert w.rand(5, generator=mine).tolist() == after
    without = w.multinomial(w.tensor([[1.0, 2.0, 0.0], [5.0, 1.0, 1.0]]), 2)
    assert sorted(without[0].tolist()) == [0, 1] and len(set(without[1].tolist())) == 2
    with pytest.raises(RuntimeError, match="without replacement"):
        w.multinomial(w.tensor([1.0, 0.0]), 2)
    with pytest.raises(RuntimeError, match="'from' to be less than 'to'"):
        w.randint(3, 3, (2,))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
def test_equal_numbers_have_no_variance(dtype: str) -> None:
    kind = getattr(w, dtype)
    for value, n in itertools.product((0.1, 0.294, 1 / 3, 7.7), (1, 3, 7, 100, 70_000)):
        x = w.full((2, n), value, dtype=kind)
        for correction in (0, 1) if n > 1 else (0,):
            assert w.var(x, 1, correction=correction).tolist() == [0.0, 0.0] == w.std(x, 1, correction=correction).tolist()
    x = w.full((3,), 0.294, dtype=kind, requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_gradients_keep_bfloat16_beside_numbers() -> None:
    for dims in ((), (2,)):
        x = w.full(dims, 1.5, dtype=w.bfloat16, requires_grad=True)
        for act in (lambda x: x * 3.0, lambda x: x / 1000, lambda x: 2 - x, lambda x: x.log() * 0.5, lambda x: w.round(x, decimals=2)):
            for create in (False, True):
                (g,) = w.autograd.grad(act(x).sum(), x, create_graph=create)
                assert g.dtype is w.bfloat16
        with w.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = x * 3.0
        (g,) = w.autograd.grad(y.sum(), x, create_graph=True)
        assert g.dtype is w.bfloat16 and g.requires_grad is False


def test_labels_by_number_and_ranges_of_one_number() -> None:
    assert w.einsum(w.ones(3, 5, 2), [0, 27, 1]).shape == (3, 2, 5)  # in their order, as of capitals before small letters
    single, double = w.ones(2), w.ones((), dtype=w.float64)
    assert w.einsum("i,->i", single, double).dtype == w.einsum("...,...->...", single, double).dtype == w.float64
    with pytest.raises(RuntimeError, match="same dtype"):  # a product of matrices promotes nothing
        w.einsum("i,i->", single, w.ones(2, dtype=w.float64))
    hist, edges = w.histogram(w.tensor([1.0, 2.0, 3.0]), 2, range=(1.0, 1.0))
    assert hist.tolist() == [0, 1] and edges.tolist() == [0.5, 1, 1.5]
    large = w.tensor([2**53, 2**53])
    assert w.isclose(large, large + w.tensor([0, 1]), rtol=0, atol=0).tolist() == [True, False]
    assert w.ldexp(w.ones(2, dtype=w.half), w.tensor([1, 2])).dtype is w.half
    assert w.ldexp(w.tensor(1e-300, dtype=w.float64), w.tensor(1500)).isfinite()
    drawn = w.empty(500, dtype=w.int8).random_(-9, None)
    assert drawn.min() >= -9 and drawn.max() > 50 and drawn.min() < 0


def test_singular_systems_in_machine_precision() -> None:
    a, b = w.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]), w.tensor([[1.0], [2.0], [4.0]])
    for rcond in (None, -1.0, 0.0, 1.0):
        assert w.linalg.lstsq(a, b, rcond=rcond).solution.flatten().tolist() == pytest.approx([17 / 70, 34 / 70])
    assert w.linalg.matrix_rank(a[:2], 0.01, True) == 1


@pytest.mark.parametrize("name", ["scatter", "scatter_add", "scatter_reduce"])
@pytest.mark.parametrize("write", ["", "_"])
def test_what_is_written_nowhere_has_a_gradient_of_zeros(name: str, write: str) -> None:
    x, src = w.ones(3, requires_grad=True), w.ones(2, 2, requires_grad=True)
    made = getattr(x * 1, name + write)(0, w.zeros(0, dtype=w.int64), src, *["amax"] * (name == "scatter_reduce"))
    made.sum().backward()
    assert made.tolist() == [1, 1, 1] == x.grad.tolist() and not src.grad.any() and src.grad.shape == (2, 2)
