"""`wengert.array_api` against array-api-strict: names, signatures, and the results of drawn calls, by type, shape and value.

Owns the proof that the namespace follows the array API standard 2024.12 (test_public_suite.py runs the standard's own suite,
which is on no package index). What differs is in xfails.txt, a reason a line, and must go on to differ.
Runs on the device that WENGERT_DEVICE names; ARRAY_API_EXAMPLES draws more calls for each function.
"""

from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import wengert as w
from wengert import array_api as xp

strict = pytest.importorskip("array_api_strict", reason="pip install 'wengert[doors]'")
standard: Any = pytest.importorskip("array_api.standard")

DEVICE = os.environ.get("WENGERT_DEVICE", "cpu").split(":")[0]
EXAMPLES = settings(
    max_examples=int(os.environ.get("ARRAY_API_EXAMPLES", "25")), deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


XFAILS = standard.xfails("xfails.txt", DEVICE)


def each(names: Any, test: str) -> Any:
    """Parametrize over names, those that are expected to fail marked so."""
    marks = {n: [pytest.mark.xfail(reason=XFAILS[f"{test}[{n}]"], strict=True)] for n in names if f"{test}[{n}]" in XFAILS}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=marks.get(n, []), id=n) for n in names])


@pytest.fixture(autouse=True, scope="module")
def version() -> Any:
    strict.set_array_api_strict_flags(api_version="2024.12")
    yield
    strict.reset_array_api_strict_flags()


# ---- names and signatures
FUNCTIONS = [n for n in xp.__all__ if inspect.isroutine(getattr(xp, n)) and n != "__array_namespace_info__"]
EXTENSIONS = [f"linalg.{n}" for n in xp.linalg.__all__] + [f"fft.{n}" for n in xp.fft.__all__]


def find(library: Any, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), library)


def expected_names() -> list[str]:
    """Return what array-api-strict has of the standard 2024.12."""
    strict.set_array_api_strict_flags(api_version="2024.12")
    own = {"set_array_api_strict_flags", "get_array_api_strict_flags", "reset_array_api_strict_flags", "ArrayAPIStrictFlags", "Device"}
    later = {"broadcast_shapes", "isin", "linalg.eig", "linalg.eigvals"}  # of the standard 2025.12
    plain = [n for n in strict.__all__ if n not in own and not isinstance(getattr(strict, n), ModuleType)]
    parts = [f"{part}.{n}" for part in ("linalg", "fft") for n in getattr(strict, part).__all__]
    return sorted({n for n in plain + parts if n not in later} - {"__version__"})


ARRAY = [n for n in dir(strict._array_object.Array) if n.startswith("__") and n not in dir(object)] + [
    "T", "device", "dtype", "mT", "ndim", "shape", "size", "to_device",
]  # fmt: skip
ARRAY = [n for n in ARRAY if n not in ("__slots__", "__module__", "__buffer__", "__annotations__", "__static_attributes__", "__firstlineno__")]


@each(expected_names(), "test_name")
def test_name(name: str) -> None:
    find(xp, name)


@each(ARRAY, "test_array_name")
def test_array_name(name: str) -> None:
    assert hasattr(xp.ones((1, 1)), name)


@each(["dtype", "device", "ndim", "shape", "size", "T", "mT"], "test_attribute")
def test_attribute(name: str) -> None:
    x = xp.ones((2, 3), dtype=xp.float32)
    values = {"dtype": xp.float32, "device": x.device, "ndim": 2, "shape": (2, 3), "size": 6}
    found = getattr(x, name)
    assert found == values[name] if name in values else found.shape == (3, 2)


@each([n for n in FUNCTIONS + EXTENSIONS if n != "finfo"], "test_signature")
def test_signature(name: str) -> None:
    """The parameters of the standard, by name, kind and default."""
    mine, theirs = (inspect.signature(find(library, name)).parameters for library in (xp, strict))
    ours = {p.name: p for p in mine.values()}
    for place, expected in enumerate(theirs.values()):
        if expected.kind is expected.POSITIONAL_ONLY:
            got = [*mine.values()][place]
            assert got.kind is got.POSITIONAL_ONLY
        else:
            got = ours[expected.name]
            assert got.kind == expected.kind or got.kind is got.POSITIONAL_OR_KEYWORD
        if "UNDEF" not in repr(expected.default) and expected.default is not expected.empty:
            assert got.default == expected.default and type(got.default) is type(expected.default), expected.name
    assert all(p.default is not p.empty for n, p in ours.items() if n not in theirs and p.kind is p.KEYWORD_ONLY)


# ---- drawn calls
def given_to(library: Any, value: Any) -> Any:
    """Return an argument as a library takes it: NumPy's arrays and types as its own."""
    if isinstance(value, np.ndarray):
        return library.asarray(value.copy())
    if isinstance(value, np.dtype):
        return getattr(library, value.name)
    return [given_to(library, v) for v in value] if isinstance(value, list) else (
        tuple(given_to(library, v) for v in value) if isinstance(value, tuple) else value
    )  # fmt: skip


def told(value: Any) -> Any:
    """Return a result as NumPy's arrays, names of types and plain values."""
    if isinstance(value, w.Tensor):
        return value.numpy(force=True)
    if isinstance(value, strict._array_object.Array):
        return np.asarray(value)
    if isinstance(value, tuple | list):
        return [told(v) for v in value]
    if hasattr(value, "bits"):
        return [float(getattr(value, n)) for n in ("bits", "max", "min", *(("eps", "smallest_normal") if hasattr(value, "eps") else ()))] + [told(value.dtype)]
    return getattr(value, "name", None) or (str(value).rpartition(".")[2] if "dtype" in type(value).__name__.lower() else value)


def same(got: Any, expected: Any, exact: bool = False) -> None:
    """Assert equal types, shapes and (near) values."""
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            same(a, b, exact)
    elif isinstance(expected, np.ndarray):
        assert (got.dtype.name, got.shape) == (expected.dtype.name, expected.shape)
        if expected.dtype.kind not in "fc" or exact:
            np.testing.assert_array_equal(got, expected)
            return
        tolerance = 2e-4 if expected.dtype.name in ("float32", "complex64") else 1e-9
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
        np.testing.assert_allclose(got, expected, tolerance, tolerance * scale)
    else:
        assert got == expected and type(got) is type(expected)


def both(call: Any) -> tuple[Any, Any]:
    """Return what a call gives here and in array-api-strict; a call that is refused there is not the standard's."""
    with np.errstate(all="ignore"):
        try:
            expected = told(call(strict))
        except Exception:
            assume(False)
        return told(call(xp)), expected


MOVING = {
    "broadcast_arrays", "broadcast_to", "concat", "expand_dims", "flip", "moveaxis", "permute_dims", "repeat", "reshape", "roll",
    "squeeze", "stack", "tile", "unstack", "take", "take_along_axis", "where", "sort", "clip", "tril", "triu", "astype",
}  # fmt: skip
def adjoint(library: Any, x: Any) -> Any:
    return library.conj(library.matrix_transpose(x))


def svd_settled(library: Any, r: Any) -> Any:
    """Return what all singular value decompositions of a matrix have in common: S, the product, and unitary factors."""
    k = r.S.shape[-1]
    scale = library.astype(library.expand_dims(r.S, axis=-2), r.U.dtype)
    product = (r.U[..., :k] * scale) @ r.Vh[..., :k, :]
    return r.S, product, adjoint(library, r.U) @ r.U, r.Vh @ adjoint(library, r.Vh)


UNSETTLED = {  # results that are one of many: what is common to all of them
    "linalg.eigh": lambda lib, r: (
        r.eigenvalues,
        (r.eigenvectors * lib.astype(lib.expand_dims(r.eigenvalues, axis=-2), r.eigenvectors.dtype)) @ adjoint(lib, r.eigenvectors),
    ),
    "linalg.svd": svd_settled,
    "linalg.qr": lambda lib, r: (r.Q @ r.R, adjoint(lib, r.Q) @ r.Q, lib.tril(r.R, k=-1)),
    "unique_values": lambda lib, r: lib.sort(r),
}  # fmt: skip


@each([n for n in FUNCTIONS + EXTENSIONS if n in standard.CALLS], "test_call")
@EXAMPLES
@given(data=st.data())
def test_call(name: str, data: Any) -> None:
    args, keywords = standard.CALLS[name](data.draw)

    def call(library: Any) -> Any:
        made = find(library, name)(*given_to(library, args), **{k: given_to(library, v) for k, v in keywords.items()})
        return UNSETTLED[name](library, made) if name in UNSETTLED else made

    same(*both(call), exact=name in MOVING)


@each(standard.UNARY, "test_unary")
@EXAMPLES
@given(data=st.data())
def test_unary(name: str, data: Any) -> None:
    x = data.draw(standard.arrays(standard.UNARY[name]))
    same(*both(lambda library: find(library, name)(given_to(library, x))))


@each(standard.BINARY, "test_binary")
@EXAMPLES
@given(data=st.data())
def test_binary(name: str, data: Any) -> None:
    x, y = data.draw(standard.pairs(standard.BINARY[name], name))
    same(*both(lambda library: find(library, name)(given_to(library, x), given_to(library, y))))


@each([n for n in standard.BINARY], "test_number")
@EXAMPLES
@given(data=st.data())
def test_number(name: str, data: Any) -> None:
    """One operand is a Python number, on either side."""
    x, y = data.draw(standard.pairs(standard.BINARY[name], name).filter(lambda p: p[1].size))
    number = y.flat[0].item()
    x = x if data.draw(st.booleans()) or name in ("floor_divide", "remainder", "pow") else y
    assume(x.dtype.kind == y.dtype.kind and np.can_cast(np.min_scalar_type(number) if y.dtype.kind in "iu" else y.dtype, x.dtype))
    swapped = name not in ("floor_divide", "remainder", "pow", "bitwise_left_shift", "bitwise_right_shift") and data.draw(st.booleans())

    def call(library: Any) -> Any:
        a = given_to(library, x)
        return find(library, name)(*((number, a) if swapped else (a, number)))

    same(*both(call))


# ---- Python's operators
FORMS = [f"__{way}{n}__" for n in standard.OPERATORS for way in (("",) if n in standard.COMPARISONS else ("", "r", "i"))]
OPERATOR_TESTS = [f"{n}(x, {other})" for n in [*FORMS, "__matmul__", "__imatmul__"] for other in ("array", "number") if not (other == "number" and "matmul" in n)]


def operands(name: str, data: Any) -> tuple[str, Any, Any]:
    """Return a method, the array whose it is, and its argument."""
    method, _, other = name.partition("(x, ")
    bare = method.strip("_")
    if "matmul" in bare:
        return method, *(data.draw(standard.arrays(("float64",), (2, 2))) for _ in range(2))
    function = standard.OPERATORS[bare if bare in standard.OPERATORS else bare[1:]]
    x, y = data.draw(standard.pairs(standard.BINARY[function], function))
    reflected = bare[0] == "r" and bare[1:] in standard.OPERATORS  # then x is the right operand
    if other == "array)":
        return method, *((y, x) if reflected else (x, y))
    assume(x.size and y.size and x.dtype.kind == y.dtype.kind)
    array, number = (y, x.flat[0].item()) if reflected else (x, y.flat[0].item())
    assume(x.dtype.kind not in "iu" or np.can_cast(np.min_scalar_type(number), array.dtype))
    return method, array, number


def operate(method: str, x: Any, y: Any) -> None:
    def call(library: Any) -> Any:
        made = getattr(given_to(library, x), method)(given_to(library, y))
        assert made is not NotImplemented
        return made

    same(*both(call))


def weak(x: Any, y: Any) -> bool:
    """Say whether one of two arrays has no dimensions, and the other has."""
    return isinstance(y, np.ndarray) and (x.ndim == 0) != (y.ndim == 0)


@each(OPERATOR_TESTS, "test_operator")
@EXAMPLES
@given(data=st.data())
def test_operator(name: str, data: Any) -> None:
    method, x, y = operands(name, data)
    assume(not weak(x, y) or x.dtype == y.dtype)
    operate(method, x, y)


COMPARISONS = ("__eq__", "__ge__", "__gt__", "__le__", "__lt__", "__ne__")
OF_ANOTHER_TYPE = [n for n in OPERATOR_TESTS if "array" in n and "matmul" not in n and "__i" not in n and n[:6] not in COMPARISONS]


@each(OF_ANOTHER_TYPE, "test_operator_of_another_type_without_dimensions")
@EXAMPLES
@given(data=st.data())
def test_operator_of_another_type_without_dimensions(name: str, data: Any) -> None:
    method, x, y = operands(name, data)
    assume(weak(x, y) and x.dtype != y.dtype)
    operate(method, x, y)


@each(list(COMPARISONS), "test_comparison_with_a_wider_number_without_dimensions")
def test_comparison_with_a_wider_number_without_dimensions(name: str) -> None:
    operate(name, np.array([0, -1], np.int8), np.array(32767, np.int16))


@each([f"__{n}__" for n in standard.UNARY_OPERATORS], "test_unary_operator")
@EXAMPLES
@given(data=st.data())
def test_unary_operator(name: str, data: Any) -> None:
    x = data.draw(standard.arrays(standard.UNARY[standard.UNARY_OPERATORS[name.strip("_")]]))
    same(*both(lambda library: getattr(given_to(library, x), name)()))


# ---- special values: every combination
def special(dtype: str) -> Any:
    return np.asarray([complex(a, b) for a in standard.SPECIAL for b in standard.SPECIAL] if dtype in standard.COMPLEX else standard.SPECIAL, dtype)


def near(got: Any, expected: Any, signs: bool) -> None:
    """Assert near values, equal infinities, nan at the same places, and equal signs of zeros."""
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, expected)
        return
    tolerance = 1e-5 if expected.dtype.name in ("float32", "complex64") else 1e-11
    np.testing.assert_allclose(got, expected, tolerance, tolerance)
    if signs:
        zeros = expected == 0
        np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(expected[zeros]))


@each([f"{n}-{d}" for n, dtypes in standard.UNARY.items() for d in dtypes if d in standard.FLOAT], "test_special_values")
def test_special_values(name: str) -> None:
    function, dtype = name.split("-")
    x = special(dtype)
    if dtype in standard.COMPLEX:  # the standard fixes what infinities and nans give, and leaves overflow open
        x = x[(np.abs(x.real) < 1e5) & (np.abs(x.imag) < 1e5) & (np.abs(x.real) > 1e-5) & (np.abs(x.imag) > 1e-5) | ~np.isfinite(x)]
        x = x if function in ("abs", "isfinite", "isinf", "isnan", "conj", "real", "imag", "negative", "positive") else x[np.isfinite(x)]
    got, expected = both(lambda library: find(library, function)(given_to(library, x)))
    near(got, expected, dtype in standard.REAL_FLOAT)


@each([f"{n}-{d}" for n, dtypes in standard.BINARY.items() for d in dtypes if d in standard.REAL_FLOAT], "test_special_pairs")
def test_special_pairs(name: str) -> None:
    function, dtype = name.split("-")
    x, y = (a.ravel() for a in np.meshgrid(special(dtype), special(dtype)))
    got, expected = both(lambda library: find(library, function)(given_to(library, x), given_to(library, y)))
    near(got, expected, function in ("add", "subtract", "multiply", "divide", "floor_divide", "copysign", "atan2", "pow"))


# ---- indices
@EXAMPLES
@given(data=st.data())
def test_getitem(data: Any) -> None:
    from hypothesis.extra import numpy as hnp

    x = data.draw(standard.arrays(standard.ALL, standard.shapes(side=1)))
    key = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True).filter(forward))
    same(*both(lambda library: given_to(library, x)[key]), exact=True)


def forward(key: Any) -> bool:
    return all(not isinstance(k, slice) or k.step is None or k.step > 0 for k in (key if isinstance(key, tuple) else (key,)))


@each(["getitem", "setitem"], "test_negative_step")
def test_negative_step(name: str) -> None:
    x = xp.asarray([1.0, 2.0, 3.0])
    if name == "getitem":
        assert x[::-1].tolist() == [3, 2, 1]
    else:
        x[::-1] = xp.asarray([1.0, 2.0, 3.0])
        assert x.tolist() == [3, 2, 1]


@EXAMPLES
@given(data=st.data())
def test_setitem(data: Any) -> None:
    from hypothesis.extra import numpy as hnp

    x = data.draw(standard.arrays(standard.ALL, standard.shapes(side=1)))
    key = data.draw(hnp.basic_indices(x.shape).filter(forward))
    value = data.draw(standard.elements(x.dtype.name))
    value = data.draw(st.sampled_from([value, np.asarray(value, x.dtype)]))

    def call(library: Any) -> Any:
        made = given_to(library, x)
        made[key] = given_to(library, value)
        return made

    same(*both(call), exact=True)


@EXAMPLES
@given(data=st.data())
def test_masks(data: Any) -> None:
    from hypothesis.extra import numpy as hnp

    x = data.draw(standard.arrays(standard.ALL))
    mask = data.draw(hnp.arrays("bool", x.shape))
    value = data.draw(standard.elements(x.dtype.name))
    same(*both(lambda library: given_to(library, x)[given_to(library, mask)]), exact=True)

    def call(library: Any) -> Any:
        made = given_to(library, x)
        made[given_to(library, mask)] = value
        return made

    same(*both(call), exact=True)


@EXAMPLES
@given(data=st.data())
def test_integer_arrays_as_indices(data: Any) -> None:
    from hypothesis.extra import numpy as hnp

    x = data.draw(standard.arrays(standard.ALL, standard.shapes(least=1, side=1)))
    keys = tuple(data.draw(hnp.arrays("int64", (3,), elements=st.integers(-n, n - 1))) for n in x.shape)
    same(*both(lambda library: given_to(library, x)[tuple(given_to(library, k) for k in keys)]), exact=True)


# ---- the rest
@each([f"{m}-{d}" for m, ds in (("bool", standard.ALL), ("int", standard.INTEGRAL), ("float", standard.REAL), ("complex", standard.NUMERIC), ("index", standard.INTEGRAL)) for d in ds], "test_casting")
def test_casting(name: str) -> None:
    method, dtype = name.split("-")
    for value in (0, 1):
        made = getattr(xp.asarray(value, dtype=getattr(xp, dtype)), f"__{method}__")()
        assert made == value and isinstance(made, {"bool": bool, "float": float, "complex": complex}.get(method, int))


@each(["linspace", "arange", "full", "asarray"], "test_default_types")
def test_default_types(name: str) -> None:
    made = {
        "linspace": [xp.linspace(0, 1, 3), xp.linspace(0, 1j, 3)], "arange": [xp.arange(1.0), xp.arange(0.0, 1j.imag), xp.arange(2), xp.arange(2, 0)],
        "full": [xp.full(2, v) for v in (1.0, 1j, 1, True)], "asarray": [xp.asarray(v) for v in (1.0, 1j, 1, True)],
    }[name]  # fmt: skip
    real, integral = xp.float32, xp.int64
    expected = {"linspace": [real, xp.complex64], "arange": [real, real, integral, integral], "full": [real, xp.complex64, integral, xp.bool]}
    assert [x.dtype for x in made] == expected.get(name, expected["full"])


def test_asarray_copies_as_it_is_asked() -> None:
    x = xp.asarray([1.0, 2.0])
    assert xp.asarray(x) is x and xp.asarray(x, copy=False) is x and xp.asarray(x, copy=True) is not x
    for refused in (lambda: xp.asarray([1.0], copy=False), lambda: xp.asarray(x, dtype=xp.float64, copy=False)):
        with pytest.raises(ValueError, match="copy=False"):
            refused()
    assert xp.asarray(memoryview(b"ab")).dtype == xp.uint8 and xp.asarray(memoryview(b"ab")).tolist() == [97, 98]
    big = xp.asarray([7, 2**63, 2**64 - 1], dtype=xp.uint64)
    assert big.tolist() == [7, 2**63, 2**64 - 1] and (big - 1).tolist() == [6, 2**63 - 1, 2**64 - 2]


def test_constants_and_versions() -> None:
    assert (xp.e, xp.pi, xp.inf, xp.newaxis) == (np.e, np.pi, np.inf, None) and xp.nan != xp.nan
    x = xp.ones(1)
    assert x.__array_namespace__() is xp and x.__array_namespace__(api_version="2023.12") is xp
    assert xp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match="2024.12, not '2026.12'"):
        x.__array_namespace__(api_version="2026.12")


def test_inspection() -> None:
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_device() in info.devices() or str(info.default_device()) == DEVICE
    assert info.default_dtypes() == {"real floating": xp.float32, "complex floating": xp.complex64, "integral": xp.int64, "indexing": xp.int64}
    assert list(info.dtypes()) == [d for d in xp.types.NAMES]
    for kind in ("bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric", ("bool", "integral")):
        theirs = strict.__array_namespace_info__().dtypes(kind=kind)
        assert set(info.dtypes(kind=kind)) == set(theirs)


def test_devices() -> None:
    x = xp.ones(2)
    assert x.to_device(x.device) is x and xp.zeros(2, device=x.device).device == x.device
    moved = x.to_device("cpu")
    assert moved.device == w.device("cpu")
    info = xp.__array_namespace_info__()
    assert info.default_device() == x.device and x.device in info.devices()
    with pytest.raises(ValueError, match="no streams"):
        x.to_device("cpu", stream=1)


def test_full_keeps_the_sign_of_zero() -> None:
    for made in (xp.full((2,), -0.0), xp.full_like(xp.ones(2), -0.0), xp.full((2,), xp.asarray(-0.0))):
        assert xp.all(xp.signbit(made))
    assert not xp.any(xp.signbit(xp.full((2,), 0.0)))


def test_gradients_pass_through() -> None:
    x = w.tensor([[1.0, 2.0], [3.0, 4.5]], requires_grad=True)
    xp.sum(xp.linalg.inv(x) * xp.exp(xp.expand_dims(x[0], axis=1)) + xp.mean(x, axis=(0, 1))).backward()
    (by_hand,) = w.autograd.grad((w.linalg.inv(x) * w.exp(x[0].unsqueeze(1)) + x.mean()).sum(), x)
    assert x.grad is not None and np.allclose(x.grad.numpy(force=True), by_hand.numpy(force=True))


def test_every_expected_failure_is_a_test_that_is_there() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f"def {test.partition('[')[0]}(" in text and reason.strip() for test, reason in XFAILS.items())


def test_a_call_is_drawn_for_every_function() -> None:
    tried = {*standard.CALLS, *standard.UNARY, *standard.BINARY}
    elsewhere = {"asarray", "empty", "empty_like", "from_dlpack"}  # tests of their own, or no values
    assert {*FUNCTIONS, *EXTENSIONS} - tried == elsewhere
