"""The array API standard, 2024.12, as tables: its names, and for each function the arguments it is tried with.

Owns: strategies that draw NumPy arrays and parameters of valid calls; the reading of expected failures. May import: NumPy,
Hypothesis. Must not know: wengert, or whose results are right; test_standard.py compares with array-api-strict, the
implementation that the standard's authors keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGRAL = SIGNED + UNSIGNED
REAL_FLOAT = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
FLOAT = REAL_FLOAT + COMPLEX
REAL = INTEGRAL + REAL_FLOAT
NUMERIC = REAL + COMPLEX
ALL = BOOL + NUMERIC
KINDS = (BOOL, INTEGRAL, REAL_FLOAT, COMPLEX)
SIGNED_NUMERIC = SIGNED + FLOAT

# ---- elementwise: name, and the types it is defined for
UNARY = {
    **dict.fromkeys("abs negative positive square".split(), SIGNED_NUMERIC),
    **dict.fromkeys("acos acosh asin asinh atan atanh cos cosh sin sinh tan tanh".split(), FLOAT),
    **dict.fromkeys("exp expm1 log log10 log1p log2 reciprocal sqrt".split(), FLOAT),
    **dict.fromkeys("ceil floor trunc".split(), REAL), "round": NUMERIC, "sign": SIGNED_NUMERIC + UNSIGNED,
    **dict.fromkeys("isfinite isinf isnan conj".split(), NUMERIC), "real": FLOAT, "imag": COMPLEX, "signbit": REAL_FLOAT,
    "bitwise_invert": BOOL + INTEGRAL, "logical_not": BOOL,
}  # fmt: skip
BINARY = {
    **dict.fromkeys("add subtract multiply".split(), NUMERIC), "divide": FLOAT, "pow": NUMERIC,
    **dict.fromkeys("floor_divide remainder greater greater_equal less less_equal maximum minimum".split(), REAL),
    **dict.fromkeys("atan2 copysign hypot logaddexp nextafter".split(), REAL_FLOAT),
    **dict.fromkeys("equal not_equal".split(), ALL),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), BOOL),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor".split(), BOOL + INTEGRAL),
    **dict.fromkeys("bitwise_left_shift bitwise_right_shift".split(), INTEGRAL),
}  # fmt: skip
OPERATORS = {  # Python's, and the functions they are
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY_OPERATORS = {"abs": "abs", "neg": "negative", "pos": "positive", "invert": "bitwise_invert"}

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -2.5, 2.0, -3.0, math.pi, math.inf, -math.inf, math.nan, 1e30, -1e-30]


def xfails(file: str, device: str) -> dict[str, str]:
    """Return a device's expected failures and their reasons: lines `device test-id: reason`, the device `any` or a name."""
    found = {}
    for line in (Path(__file__).parent / file).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, reason = line.split(": ", 1)
            where, test = name.split(" ", 1)
            if where in ("any", device):
                found[test] = reason
    return found


# ---- drawing
Draw = Callable[[st.SearchStrategy[Any]], Any]


def elements(dtype: str, low: float = -4.0, high: float = 4.0) -> st.SearchStrategy[Any]:
    """Return values of a type: small ones mostly, and the limits of integers."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        info = np.iinfo(dtype)
        small = st.integers(max(int(info.min), math.ceil(low)), math.floor(high))
        return small if (low, high) != (-4.0, 4.0) else small | st.sampled_from([int(info.min), int(info.max)])
    floats = st.floats(low, high, width=32, allow_subnormal=False)
    return floats if kind == "f" else st.builds(complex, floats, floats)


def shapes(least: int = 0, side: int = 0, most: int = 3) -> st.SearchStrategy[Any]:
    return hnp.array_shapes(min_dims=least, max_dims=most, min_side=side, max_side=4)


def arrays(dtypes: Any, shape: Any = None, **limits: Any) -> st.SearchStrategy[Any]:
    """Return arrays of one of several types."""

    def of(dtype: str) -> st.SearchStrategy[Any]:
        return hnp.arrays(dtype, shapes() if shape is None else shape, elements=elements(dtype, **limits))

    return st.sampled_from(dtypes).flatmap(of)


@st.composite
def pairs(draw: Draw, dtypes: Any, name: str = "", same_shape: bool = False) -> tuple[Any, Any]:
    """Return two arrays that broadcast, of types that promote to one the function is defined for."""
    first = draw(st.sampled_from(dtypes))
    second = draw(st.sampled_from([d for d in dtypes if promoted(first, d)]))
    found = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)).input_shapes
    shape, other = (found[0], found[0] if same_shape else found[1])
    kind = np.dtype(first).kind
    limits: dict[str, Any] = {}
    if kind in "iu" and name in ("pow", "floor_divide", "remainder", "bitwise_left_shift", "bitwise_right_shift"):
        limits = {"floor_divide": {"low": 1, "high": 9}, "remainder": {"low": 1, "high": 9}}.get(name, {"low": 0, "high": 6})
    if kind == "f" and name in ("pow", "floor_divide", "remainder", "divide"):
        limits = {"low": 0.5, "high": 4.0}
    if kind == "c" and name in ("pow", "divide"):
        limits = {"low": 0.5, "high": 2.0}
    given = draw(hnp.arrays(first, shape, elements=elements(first, **({"low": 0.5, "high": 3.0} if name == "pow" else {}))))
    return given, draw(hnp.arrays(second, other, elements=elements(second, **limits)))


def promoted(a: str, b: str) -> str | None:
    """Return the standard's promotion of two types, which is defined within a kind (and not for uint64 with int)."""
    found = np.promote_types(a, b).name
    return found if any(a in kind and b in kind and found in kind for kind in KINDS) else None


def numbers(dtype: str, limits: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return Python numbers that may stand beside an array of a type."""
    kind = np.dtype(dtype).kind
    plain = {"low": -4.0, "high": 4.0} | limits
    if kind == "b":
        return st.booleans()
    whole = st.integers(max(0 if kind == "u" else -4, math.ceil(plain["low"])), math.floor(plain["high"]))
    return whole if kind in "iu" else whole | elements("float64", **plain) if kind == "f" else whole | elements("complex128", **plain)


@st.composite
def axis_of(draw: Draw, x: Any, several: bool = True, none: bool = True) -> Any:
    """Return an axis of an array, or a tuple of axes, or None."""
    choices: list[st.SearchStrategy[Any]] = [st.none()] if none else []
    if x.ndim:
        choices.append(st.integers(-x.ndim, x.ndim - 1))
        if several:
            choices.append(st.lists(st.integers(0, x.ndim - 1), unique=True, max_size=x.ndim).map(tuple))
    return draw(st.one_of(choices)) if choices else None


def some(x: Any) -> bool:
    return bool(x.size)


# ---- calls: a function of `draw` that returns the arguments and the keywords
Call = tuple[tuple[Any, ...], dict[str, Any]]
CALLS: dict[str, Callable[[Draw], Call]] = {}


def calls(*names: str) -> Callable[[Callable[..., Call]], Callable[..., Call]]:
    """Enter how functions are called."""

    def enter(drawn: Callable[..., Call]) -> Callable[..., Call]:
        for name in names:
            CALLS[name] = lambda draw, name=name: drawn(draw, name)
        return drawn

    return enter


def reduces(dtypes: Any, least_side: int = 0, **more: Callable[[Draw, Any], Any]) -> Callable[..., Call]:
    def drawn(draw: Draw, name: str) -> Call:
        x = draw(arrays(dtypes, shapes(side=least_side)))
        given = {k: f(draw, x) for k, f in more.items()}
        return (x,), {"axis": draw(axis_of(x)), "keepdims": draw(st.booleans()), **given}

    return drawn


def wider(draw: Draw, x: Any) -> Any:
    """Return a dtype to compute in, of x's kind, or None."""
    kind = next(k for k in KINDS if x.dtype.name in k)
    return draw(st.none() | st.sampled_from([np.dtype(d) for d in kind if promoted(x.dtype.name, d) == d]))


calls("sum", "prod")(reduces(NUMERIC, dtype=wider))
calls("max", "min")(reduces(REAL, 1))
calls("mean")(reduces(FLOAT, 1))
calls("all", "any")(reduces(ALL))
calls("count_nonzero")(reduces(ALL))
calls("var", "std")(reduces(REAL_FLOAT, 2, correction=lambda draw, x: draw(st.sampled_from([0, 0.0, 0.5]))))


@calls("argmax", "argmin")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(REAL, shapes(side=1)))
    return (x,), {"axis": draw(axis_of(x, several=False)), "keepdims": draw(st.booleans())}


@calls("cumulative_sum", "cumulative_prod")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(NUMERIC, shapes(least=1)))
    axis = draw(axis_of(x, several=False, none=x.ndim == 1))
    return (x,), {"axis": axis, "include_initial": draw(st.booleans()), "dtype": wider(draw, x)}


@calls("diff")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(NUMERIC, shapes(least=1, side=1)))
    return (x,), {"axis": draw(axis_of(x, several=False, none=False)), "n": draw(st.integers(1, 2))}


@calls("sort", "argsort")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(REAL, shapes(least=1)))
    return (x,), {"axis": draw(axis_of(x, several=False, none=False)), "descending": draw(st.booleans())}


@calls("unique_all", "unique_counts", "unique_inverse", "unique_values")
def _(draw: Draw, name: str) -> Call:
    return (draw(arrays(REAL + BOOL if name == "unique_values" else ALL)),), {}


@calls("searchsorted")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(REAL, shapes(least=1, most=1, side=1)))
    values = draw(hnp.arrays(x.dtype, shapes(), elements=elements(x.dtype.name)))
    by = {"sorter": np.argsort(x)} if draw(st.booleans()) else {}
    return (x if by else np.sort(x), values), {"side": draw(st.sampled_from(["left", "right"])), **by}


@calls("nonzero")
def _(draw: Draw, name: str) -> Call:
    return (draw(arrays(ALL, shapes(least=1))),), {}


@calls("where")
def _(draw: Draw, name: str) -> Call:
    x, y = draw(pairs(ALL, same_shape=True))
    return (draw(hnp.arrays("bool", x.shape)), x, y), {}


@calls("take")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL, shapes(least=1, side=1)))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    n = x.shape[axis]
    return (x, draw(hnp.arrays("int64", st.integers(0, 4), elements=st.integers(-n, n - 1)))), {"axis": axis}


@calls("take_along_axis")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL, shapes(least=1, side=1)))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    shape = [*x.shape]
    n, shape[axis] = shape[axis], draw(st.integers(1, 3))
    return (x, draw(hnp.arrays("int64", tuple(shape), elements=st.integers(-n, n - 1)))), {"axis": axis}


@calls("clip")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(REAL))
    low, high = sorted([draw(elements(x.dtype.name, 0, 9)) for _ in range(2)])
    bounds = [np.asarray(v, x.dtype) if draw(st.booleans()) else v for v in (low, high)]
    return (x, *[b if draw(st.booleans()) else None for b in bounds]), {}


# shapes
@calls("broadcast_to")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    longer = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    return (x, (*longer, *[n if n != 1 else draw(st.integers(0, 3)) for n in x.shape])), {}


@calls("broadcast_arrays")
def _(draw: Draw, name: str) -> Call:
    found = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)).input_shapes
    return tuple(draw(arrays(ALL, shape)) for shape in found), {}


@calls("concat", "stack")
def _(draw: Draw, name: str) -> Call:
    kind = draw(st.sampled_from([BOOL, SIGNED, UNSIGNED, REAL_FLOAT, COMPLEX]))
    shape = draw(shapes(least=0 if name == "stack" else 1))
    axis = draw(st.integers(-len(shape) - (name == "stack"), len(shape) - 1 + (name == "stack")))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        part = [*shape]
        if name == "concat":
            part[axis] = draw(st.integers(0, 3))
        parts.append(draw(arrays(kind, tuple(part))))
    return (parts,), {"axis": axis if name == "stack" or draw(st.booleans()) else None}


@calls("expand_dims")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    return (x,), {"axis": draw(st.integers(-x.ndim - 1, x.ndim))}


@calls("flip")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    return (x,), {"axis": draw(axis_of(x))}


@calls("moveaxis")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL, shapes(least=1)))
    return (x, draw(st.integers(-x.ndim, x.ndim - 1)), draw(st.integers(-x.ndim, x.ndim - 1))), {}


@calls("permute_dims")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    return (x, tuple(draw(st.permutations(range(x.ndim))))), {}


@calls("repeat")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL, shapes(least=1)))
    axis = draw(axis_of(x, several=False))
    n = x.size if axis is None else x.shape[axis]
    many = draw(st.integers(0, 3) | hnp.arrays(st.sampled_from(("int8", "uint16", "int64")), n, elements=st.integers(0, 3)))
    return (x, many), {"axis": axis}


@calls("reshape")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    new = draw(st.sampled_from([(x.size,), (1, x.size), (*x.shape[::-1],), (-1,) if x.size else (0, 2)]))
    return (x, new), {"copy": draw(st.sampled_from([None, True]))}


@calls("roll")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    axis = draw(axis_of(x))
    shift = draw(st.integers(-5, 5))
    return (x, (shift,) * len(axis) if isinstance(axis, tuple) else shift), {"axis": axis}


@calls("squeeze")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    axis = draw(st.integers(0, x.ndim))
    return (np.expand_dims(x, axis), draw(st.sampled_from([axis, (axis,)]))), {}


@calls("tile")
def _(draw: Draw, name: str) -> Call:
    return (draw(arrays(ALL)), draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))), {}


@calls("unstack")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL, shapes(least=1)))
    return (x,), {"axis": draw(axis_of(x, several=False, none=False))}


@calls("tril", "triu")
def _(draw: Draw, name: str) -> Call:
    return (draw(arrays(ALL, shapes(least=2))),), {"k": draw(st.integers(-5, 5))}


# making arrays
@calls("zeros", "ones")
def _(draw: Draw, name: str) -> Call:
    return (draw(shapes() | st.integers(0, 4)),), {"dtype": draw(st.sampled_from([np.dtype(d) for d in ALL]))}


@calls("zeros_like", "ones_like")
def _(draw: Draw, name: str) -> Call:
    return (draw(arrays(ALL)),), {"dtype": draw(st.sampled_from([None, *[np.dtype(d) for d in ALL]]))}


@calls("full", "full_like")
def _(draw: Draw, name: str) -> Call:
    dtype = draw(st.sampled_from(ALL))
    given = draw(shapes()) if name == "full" else draw(arrays((dtype,)))
    return (given, draw(elements(dtype))), {"dtype": np.dtype(dtype)}


@calls("eye")
def _(draw: Draw, name: str) -> Call:
    some = st.integers(0, 5)
    return (draw(some), draw(st.none() | some)), {"k": draw(st.integers(-6, 6)), "dtype": np.dtype(draw(st.sampled_from(NUMERIC)))}


@calls("arange")
def _(draw: Draw, name: str) -> Call:
    value = st.integers(-9, 9) if draw(st.booleans()) else st.integers(-36, 36).map(lambda n: n / 4)
    start, stop, step = draw(value), draw(value), draw(value.filter(bool))
    whole = all(isinstance(v, int) for v in (start, stop, step))
    dtype = np.dtype(draw(st.sampled_from(SIGNED if whole else REAL_FLOAT)))
    return ((start, stop, step) if draw(st.booleans()) else (start,)), {"dtype": dtype}


@calls("linspace")
def _(draw: Draw, name: str) -> Call:
    dtype = draw(st.sampled_from(FLOAT))
    ends = [draw(elements(dtype)) for _ in range(2)]
    return (*ends, draw(st.integers(0, 6))), {"dtype": np.dtype(dtype), "endpoint": draw(st.booleans())}


@calls("meshgrid")
def _(draw: Draw, name: str) -> Call:
    dtype = draw(st.sampled_from(NUMERIC))
    many = draw(st.integers(1, 3))
    return tuple(draw(arrays((dtype,), st.integers(1, 3))) for _ in range(many)), {"indexing": draw(st.sampled_from(["xy", "ij"]))}


# types
@calls("astype")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(ALL))
    into = [d for d in ALL if x.dtype.kind != "c" or d in COMPLEX]
    return (np.abs(x) if x.dtype.kind == "f" else x, np.dtype(draw(st.sampled_from(into)))), {"copy": draw(st.booleans())}


@calls("can_cast")
def _(draw: Draw, name: str) -> Call:
    kind = draw(st.sampled_from(KINDS))
    return tuple(np.dtype(draw(st.sampled_from(kind))) for _ in range(2)), {}


@calls("result_type")
def _(draw: Draw, name: str) -> Call:
    kind = draw(st.sampled_from([BOOL, SIGNED, UNSIGNED, REAL_FLOAT, COMPLEX]))
    either = st.sampled_from([np.dtype(d) for d in kind]) | arrays(kind, shapes(most=1))
    return tuple(draw(st.lists(either, min_size=1, max_size=4))), {}


@calls("isdtype")
def _(draw: Draw, name: str) -> Call:
    words = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"]
    kind = st.sampled_from([*words, *[np.dtype(d) for d in ALL]])
    return (np.dtype(draw(st.sampled_from(ALL))), draw(kind | st.lists(kind, min_size=1, max_size=3).map(tuple))), {}


@calls("finfo", "iinfo")
def _(draw: Draw, name: str) -> Call:
    dtypes = FLOAT if name == "finfo" else INTEGRAL
    return (draw(st.sampled_from([np.dtype(d) for d in dtypes]) | arrays(dtypes, ())),), {}


# products and linear algebra
@st.composite
def matrices(draw: Draw, dtypes: Any = REAL_FLOAT, square: bool = False, least: int = 1) -> Any:
    """Return a stack of matrices, far from singular where they are square."""
    stack = draw(shapes(most=1, side=1))
    m = draw(st.integers(least, 4))
    n = m if square else draw(st.integers(least, 4))
    x = draw(arrays(dtypes, (*stack, m, n), low=-1.0, high=1.0))
    return x + 4 * np.eye(m, dtype=x.dtype) if square else x


def hermitian(x: Any) -> Any:
    return x + np.conj(np.swapaxes(x, -1, -2))


@calls("matmul", "linalg.matmul")
def _(draw: Draw, name: str) -> Call:
    kind = draw(st.sampled_from([SIGNED, UNSIGNED, REAL_FLOAT, COMPLEX]))
    m, k, n = (draw(st.integers(0, 3)) for _ in range(3))
    stack = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    first = draw(st.sampled_from([(k,), (*stack[0], m, k)]))
    second = draw(st.sampled_from([(k,), (*stack[1], k, n)]))
    return (draw(arrays(kind, first)), draw(arrays(kind, second))), {}


@calls("matrix_transpose", "linalg.matrix_transpose")
def _(draw: Draw, name: str) -> Call:
    return (draw(arrays(ALL, shapes(least=2))),), {}


@calls("tensordot", "linalg.tensordot")
def _(draw: Draw, name: str) -> Call:
    dtype = draw(st.sampled_from(NUMERIC))
    x = draw(arrays((dtype,), shapes(side=1)))
    n = draw(st.integers(0, x.ndim))
    y = draw(arrays((dtype,), (*x.shape[x.ndim - n :], *draw(shapes(side=1, most=2)))))
    if draw(st.booleans()):
        order = draw(st.permutations(range(n)))
        return (x, y), {"axes": ([x.ndim - n + i for i in order], list(order))}
    return (x, y), {"axes": n}


@calls("vecdot", "linalg.vecdot")
def _(draw: Draw, name: str) -> Call:
    x, y = draw(pairs(NUMERIC, same_shape=True).filter(lambda p: p[0].ndim))
    return (x, y), {"axis": draw(st.integers(-x.ndim, -1))}


@calls("linalg.cholesky")
def _(draw: Draw, name: str) -> Call:
    return (hermitian(draw(matrices(FLOAT, square=True))),), {"upper": draw(st.booleans())}


@calls("linalg.cross")
def _(draw: Draw, name: str) -> Call:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), -1))
    shape = (*shape[:axis], 3, *(shape[axis + 1 :] if axis < -1 else ()))
    dtype = draw(st.sampled_from(NUMERIC))
    return tuple(draw(arrays((dtype,), shape)) for _ in range(2)), {"axis": axis}


calls("linalg.det", "linalg.inv", "linalg.slogdet")(lambda draw, name: ((draw(matrices(FLOAT, square=True)),), {}))
calls("linalg.eigh", "linalg.eigvalsh")(lambda draw, name: ((hermitian(draw(matrices(FLOAT, square=True))),), {}))
calls("linalg.svdvals", "linalg.matrix_rank", "linalg.pinv")(lambda draw, name: ((draw(matrices(FLOAT)),), {}))
calls("linalg.svd")(lambda draw, name: ((draw(matrices(FLOAT)),), {"full_matrices": draw(st.booleans())}))
calls("linalg.qr")(lambda draw, name: ((draw(matrices(FLOAT)),), {"mode": draw(st.sampled_from(["reduced", "complete"]))}))
calls("linalg.diagonal", "linalg.trace")(
    lambda draw, name: ((draw(arrays(NUMERIC, shapes(least=2, side=1))),), {"offset": draw(st.integers(-2, 2))})
)
calls("linalg.matrix_power")(lambda draw, name: ((draw(matrices(REAL_FLOAT, square=True)), draw(st.integers(-2, 3))), {}))
calls("linalg.outer")(lambda draw, name: (tuple(draw(arrays(REAL_FLOAT, (n,))) for n in draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))), {}))
calls("linalg.matrix_norm")(
    lambda draw, name: (
        (draw(matrices(FLOAT)),),
        {"ord": draw(st.sampled_from(["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])), "keepdims": draw(st.booleans())},
    )
)


@calls("linalg.vector_norm")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(FLOAT, shapes(least=1, side=1)))
    ord = draw(st.sampled_from([0, 1, 2, 3, 2.5, -1, np.inf, -np.inf]))
    return (x,), {"axis": draw(axis_of(x)), "keepdims": draw(st.booleans()), "ord": ord}


@calls("linalg.solve")
def _(draw: Draw, name: str) -> Call:
    x = draw(matrices(FLOAT, square=True))
    n = x.shape[-1]
    return (x, draw(arrays((x.dtype.name,), draw(st.sampled_from([(n,), (n, 2), (*x.shape[:-1], 3)]))))), {}


# Fourier transforms
NORM = st.sampled_from(["backward", "ortho", "forward"])


@calls(*[f"fft.{n}" for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")])
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(REAL_FLOAT if name in ("fft.rfft", "fft.ihfft") else COMPLEX, shapes(least=1, side=2)))
    return (x,), {"axis": draw(axis_of(x, several=False, none=False)), "n": draw(st.none() | st.integers(2, 6)), "norm": draw(NORM)}


@calls(*[f"fft.{n}" for n in ("fftn", "ifftn", "rfftn", "irfftn")])
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(REAL_FLOAT if name == "fft.rfftn" else COMPLEX, shapes(least=1, side=2)))
    axes = draw(st.none() | st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1).map(tuple))
    s = None if axes is None or draw(st.booleans()) else tuple(draw(st.integers(2, 5)) for _ in axes)
    return (x,), {"axes": axes, "s": s, "norm": draw(NORM)}


calls("fft.fftfreq", "fft.rfftfreq")(lambda draw, name: ((draw(st.integers(1, 9)),), {"d": draw(st.sampled_from([1.0, 0.25])), "dtype": np.dtype("float64")}))


@calls("fft.fftshift", "fft.ifftshift")
def _(draw: Draw, name: str) -> Call:
    x = draw(arrays(FLOAT, shapes(least=1)))
    return (x,), {"axes": draw(axis_of(x))}
