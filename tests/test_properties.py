"""What holds for any shapes, dims, dtypes, index expressions and programs: properties, on inputs made by hypothesis.

Owns: the strategies that make them. May import: wengert's public API, NumPy and, in tests marked `parity`, torch.
Must not know: how anything is computed. Examples are derived from the tests' text: every run tries the same ones.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wengert as w
from wengert.ops.shapes import viewable

Draw = Callable[[st.SearchStrategy[Any]], Any]
QUICK = settings(derandomize=True, deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
MANY_TRIES = settings(QUICK, max_examples=300)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def torch() -> Any:
    found = pytest.importorskip("torch")
    found.set_num_threads(1)
    return found


def reals(*shape: int) -> np.ndarray:
    """Return distinct numbers between 0.5 and 2, always the same for a shape."""
    n = int(np.prod(shape))
    return np.random.default_rng(n).permutation(np.linspace(0.5, 2.0, n)).reshape(shape) if n else np.zeros(shape)


def leaf(array: np.ndarray, library: Any = w) -> Any:
    return library.tensor(array, requires_grad=True)


def equal(actual: Any, expected: Any, rtol: float = 1e-12) -> None:
    value = actual.detach().numpy()
    assert value.shape == np.shape(expected)
    np.testing.assert_allclose(value, expected, rtol, rtol)


# ---- broadcasting
BINARY = {
    "add": (np.add, lambda x, y: (1.0, 1.0)), "sub": (np.subtract, lambda x, y: (1.0, -1.0)),
    "mul": (np.multiply, lambda x, y: (y, x)), "div": (np.divide, lambda x, y: (1 / y, -x / y**2)),
    "pow": (np.power, lambda x, y: (y * x ** (y - 1), x**y * np.log(x))),
    "maximum": (np.maximum, lambda x, y: (1.0 * (x > y) + 0.5 * (x == y), 1.0 * (y > x) + 0.5 * (x == y))),
    "atan2": (np.arctan2, lambda x, y: (y / (x**2 + y**2), -x / (x**2 + y**2))),
    "hypot": (np.hypot, lambda x, y: (x / np.hypot(x, y), y / np.hypot(x, y))),
}  # fmt: skip


def summed_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return what is left of a gradient for an input of this shape."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1 != g.shape[i]), keepdims=True)


@pytest.mark.parametrize("name", BINARY)
@QUICK
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=4))
def test_binary_ops_broadcast_as_numpy(name: str, shapes: Any) -> None:
    function, slopes = BINARY[name]
    a, b = reals(*shapes.input_shapes[0]), reals(*shapes.input_shapes[1]) + 0.01
    x, y = leaf(a), leaf(b)
    result = getattr(w, name)(x, y)
    equal(result, function(a, b))
    weight = reals(*result.shape)
    result.backward(w.tensor(weight))
    for t, array, slope in zip((x, y), (a, b), slopes(*np.broadcast_arrays(a, b)), strict=True):
        equal(t.grad, summed_to(weight * slope, array.shape))


@QUICK
@given(shapes=st.lists(SHAPES, min_size=2, max_size=3))
def test_shapes_broadcast_or_fail_as_numpy(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(RuntimeError, match="must match the size of tensor"):
            w.broadcast_shapes(*shapes)
        with pytest.raises(RuntimeError):
            sum(w.zeros(n) for n in shapes)
    else:
        assert w.broadcast_shapes(*shapes) == expected
        assert sum(w.zeros(n) for n in shapes).shape == expected


# ---- promotion
NAMES = [
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
    "bool",
]
CODES = dict(zip("u1 i1 i2 i4 i8 f2 f4 f8 c8 c16 b1".split(), NAMES, strict=True))
PROMOTION = """
    u1  i2  i2  i4  i8  f2  f4  f8  c8  c16 u1
    i2  i1  i2  i4  i8  f2  f4  f8  c8  c16 i1
    i2  i2  i2  i4  i8  f2  f4  f8  c8  c16 i2
    i4  i4  i4  i4  i8  f2  f4  f8  c8  c16 i4
    i8  i8  i8  i8  i8  f2  f4  f8  c8  c16 i8
    f2  f2  f2  f2  f2  f2  f4  f8  c8  c16 f2
    f4  f4  f4  f4  f4  f4  f4  f8  c8  c16 f4
    f8  f8  f8  f8  f8  f8  f8  f8  c16 c16 f8
    c8  c8  c8  c8  c8  c8  c8  c16 c8  c16 c8
    c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
    u1  i1  i2  i4  i8  f2  f4  f8  c8  c16 b1
"""
TABLE = {pair: CODES[code] for pair, code in zip(itertools.product(NAMES, NAMES), PROMOTION.split(), strict=True)}


def test_promotion_equals_the_table() -> None:
    for (a, b), expected in TABLE.items():
        assert w.promote_types(getattr(w, a), getattr(w, b)) is getattr(w, expected), (a, b)
        x, y = w.ones(2, dtype=getattr(w, a)), w.ones(2, dtype=getattr(w, b))
        assert (x + y).dtype is w.result_type(x, y) is getattr(w, expected)


@pytest.mark.parity
def test_promotion_equals_torch() -> None:
    def operand(library: Any, name: Any, kind: str) -> Any:
        return name if kind == "number" else library.ones(2 if kind == "dims" else (), dtype=getattr(library, name))

    for a, b in itertools.product(NAMES, NAMES):
        assert str(w.promote_types(getattr(w, a), getattr(w, b))) == str(
            torch().promote_types(getattr(torch(), a), getattr(torch(), b))
        )
    numbers = [True, 2, 2.5, 1j]
    for (a, first), (b, second) in itertools.product(itertools.product(NAMES, ("dims", "zero")), repeat=2):
        theirs = str(torch().result_type(operand(torch(), a, first), operand(torch(), b, second)))
        if theirs != "torch.complex32":  # a type that NumPy does not have: complex64 here
            assert str(w.result_type(operand(w, a, first), operand(w, b, second))) == theirs, (a, first, b, second)
    for a, kind, number in itertools.product(NAMES, ("dims", "zero"), numbers):
        theirs = str(torch().result_type(operand(torch(), a, kind), number))
        if theirs != "torch.complex32":
            assert str(w.result_type(operand(w, a, kind), number)) == theirs, (a, kind, number)


# ---- indexing
@st.composite
def masks(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))), bool).reshape(
        shape
    )


@st.composite
def index_arrays(draw: Draw, n: int, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    values = draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count)) if n else []
    return np.array(values, np.int64).reshape(shape if n else 0)


@st.composite
def slices(draw: Draw, n: int) -> slice:
    ends = st.none() | st.integers(-n - 1, n + 1)
    return slice(draw(ends), draw(ends), draw(st.none() | st.integers(1, 3)))


def is_array(part: Any) -> bool:
    return isinstance(part, list | np.ndarray) and np.ndim(part) > 0


@st.composite
def index_parts(draw: Draw, sizes: tuple[int, ...], common: tuple[int, ...], before: list[Any]) -> list[Any]:
    """Return parts that index dims of these sizes, one after another; index arrays broadcast to `common`."""
    parts: list[Any] = []
    dim = 0
    while dim < len(sizes):
        n = sizes[dim]
        kind = draw(st.sampled_from(["int", "slice", "slice", "none", "bool", "array", "list", "mask", "0-d"]))
        arrays = [p for p in before + parts if is_array(p)]
        masked = any(isinstance(p, np.ndarray) and p.dtype == bool for p in arrays)
        if kind in ("array", "list", "mask") and (masked or (kind == "mask" and arrays)):
            kind = "slice"  # a mask has a length of its own, to which nothing else broadcasts
        if kind in ("none", "bool") and len(parts) < 5:
            parts.append(None if kind == "none" else True)
            continue
        width = draw(st.integers(1, min(2, len(sizes) - dim))) if kind == "mask" else 1
        if kind == "mask":
            parts.append(draw(masks(sizes[dim : dim + width])))
        elif kind == "array":
            parts.append(draw(index_arrays(n, draw(st.sampled_from([common, common[-1:], (1,) * len(common)])))))
        elif kind == "list":
            parts.append(draw(index_arrays(n, common[-1:])).tolist())
        elif kind in ("int", "0-d"):
            parts.append(draw(st.integers(-n, n - 1)) if kind == "int" else np.array(draw(st.integers(-n, n - 1))))
        else:
            parts.append(draw(slices(n)))
        dim += width
    return parts


@st.composite
def indexed(draw: Draw) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """Return a shape, and an index expression for it: arrays in it stand for tensors."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    common = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=3))
    front = draw(st.integers(0, len(shape)))
    parts = draw(index_parts(shape[:front], common, []))
    if draw(st.booleans()):
        back = draw(st.integers(front, len(shape)))
        parts = [*parts, Ellipsis, *draw(index_parts(shape[back:], common, parts))]
    return shape, tuple(parts)


def consumed(part: Any) -> int:
    if part is None or part is Ellipsis or part is True:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def in_two_steps(shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the view that the plain parts make, and the key of arrays into it: PyTorch's reading, in NumPy's terms."""
    missing = len(shape) - sum(consumed(p) for p in index)
    full: list[Any] = []
    for p in index:
        full += [slice(None)] * missing if p is Ellipsis else [p]
    if Ellipsis not in [p if p is Ellipsis else 0 for p in index]:
        full += [slice(None)] * missing
    basic: list[Any] = []
    key: list[Any] = []
    for p in full:
        if p is True:
            basic.append(None)
            key.append(np.array([0]))
            continue
        if isinstance(p, np.ndarray) and not p.ndim:
            p = int(p)
        if is_array(p):
            array = np.asarray(p)
            for part in np.nonzero(array) if array.dtype == bool else [array]:
                basic.append(slice(None))
                key.append(part)
            continue
        basic.append(p)
        if not isinstance(p, int):
            key.append(slice(None))
    return (*basic, Ellipsis), tuple(key)  # with an ellipsis NumPy gives an array also for one element


def with_tensors(library: Any, index: tuple[Any, ...]) -> Any:
    parts = tuple(library.tensor(p) if isinstance(p, np.ndarray) else p for p in index)
    return parts[0] if len(parts) == 1 else parts


@MANY_TRIES
@given(case=indexed())
def test_getting_by_index(case: Any) -> None:
    shape, index = case
    array = np.arange(float(np.prod(shape))).reshape(shape)
    basic, key = in_two_steps(shape, index)
    expected = array[basic][key]
    x = leaf(array)
    got = x[with_tensors(w, index)]
    equal(got, expected)
    counts = np.zeros(shape)
    np.add.at(counts[basic], key, 1.0)  # the gradient of a sum: how often each element was taken
    got.sum().backward()
    equal(x.grad, counts)
    if not any(is_array(p) or p is True for p in index):
        shares = np.shares_memory(got.detach().numpy(), x.detach().numpy())
        assert shares or not expected.size, "an index without arrays is a view"


@MANY_TRIES
@given(case=indexed(), kind=st.sampled_from(["number", "0-d", "row", "all"]))
def test_setting_by_index(case: Any, kind: str) -> None:
    shape, index = case
    array = np.zeros(shape)
    basic, key = in_two_steps(shape, index)
    chosen = array[basic][key].shape
    fits = {"number": (), "0-d": (), "row": chosen[-1:], "all": chosen}[kind]
    values = np.asarray(7.0) if not fits else np.full(fits, 7.0) if repeats(shape, basic, key) else reals(*fits)
    array[basic][key] = values
    start, source = leaf(np.zeros(shape)), leaf(values)
    target = start * 1
    target[with_tensors(w, index)] = 7.0 if kind == "number" else source
    equal(target, array)
    target.backward(w.tensor(reals(*shape)))
    untouched = np.ones(shape)
    untouched[basic][key] = 0.0
    equal(start.grad, untouched * reals(*shape))
    if kind != "number":
        equal(source.grad, summed_to(reals(*shape)[basic][key], values.shape))


def repeats(shape: tuple[int, ...], basic: tuple[Any, ...], key: tuple[Any, ...]) -> bool:
    counts = np.zeros(shape)
    np.add.at(counts[basic], key, 1.0)
    return bool((counts > 1).any())


def test_a_false_index_takes_nothing() -> None:
    x = w.ones(2, 3)
    assert x[False].shape == (0, 2, 3) and x[:, w.tensor(False)].shape == (2, 0, 3)
    x[False] = 5.0
    assert x.tolist() == [[1.0] * 3] * 2
    with pytest.warns(UserWarning, match="uint8 is now deprecated"):
        assert x[w.tensor([1, 0], dtype=w.uint8)].shape == (1, 3)


@pytest.mark.parity
@MANY_TRIES
@given(case=indexed())
def test_indexing_equals_torch(case: Any) -> None:
    shape, index = case
    array = reals(*shape)
    found = []
    for T in (w, torch()):
        x = leaf(array, T)
        got = x[with_tensors(T, index)]
        (got * got).sum().backward()
        target = T.tensor(array)
        target[with_tensors(T, index)] = 3.0
        found.append([got.detach().numpy(), x.grad.numpy(), target.numpy()])
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, 1e-12)


# ---- einsum
@st.composite
def equations(draw: Draw) -> tuple[str, list[tuple[int, ...]]]:
    sizes = {c: draw(st.integers(1, 3)) for c in "abcd"}
    terms = [draw(st.text("abcd", min_size=0, max_size=3)) for _ in range(draw(st.integers(1, 3)))]
    used = sorted(set("".join(terms)))
    left = ",".join(terms)
    if draw(st.booleans()):
        return left, [tuple(sizes[c] for c in t) for t in terms]
    kept = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
    return f"{left}->{''.join(kept)}", [tuple(sizes[c] for c in t) for t in terms]


@MANY_TRIES
@given(case=equations(), dots=st.booleans())
def test_einsum_equals_numpy(case: Any, dots: bool) -> None:
    equation, shapes = case
    if dots:  # batch dims in front of every operand
        left, arrow, right = equation.partition("->")
        equation = ",".join("..." + t for t in left.split(",")) + (arrow + "..." + right if arrow else "")
        shapes = [(2, 1, *n) if i else (3, *n) for i, n in enumerate(shapes)]
    arrays = [reals(*n) + i for i, n in enumerate(shapes)]
    operands = [leaf(a) for a in arrays]
    result = w.einsum(equation, *operands)
    expected = np.einsum(equation, *arrays)
    equal(result, expected)
    weight = reals(*expected.shape)
    result.backward(w.tensor(weight))
    for i, (x, a) in enumerate(zip(operands, arrays, strict=True)):  # linear in each operand: the gradient is exact
        assert x.grad.shape == a.shape
        along = reals(*a.shape) - 1
        moved = [along if j == i else b for j, b in enumerate(arrays)]
        expected_slope = float((weight * np.einsum(equation, *moved)).sum())
        assert float((x.grad.numpy() * along).sum()) == pytest.approx(expected_slope, 1e-9, 1e-9)


# ---- reductions
def all_dims(x: np.ndarray, dims: Any) -> Any:
    return None if dims is None or dims == () else dims


MANY = {
    "sum": np.sum, "mean": np.mean, "amax": np.max, "amin": np.min, "any": np.any, "all": np.all,
    "var": lambda x, **k: np.var(x, ddof=1, **k), "std": lambda x, **k: np.std(x, ddof=1, **k),
    "logsumexp": lambda x, **k: np.log(np.sum(np.exp(x), **k)), "norm": lambda x, **k: np.sqrt(np.sum(x * x, **k)),
}  # fmt: skip
ONE = {"prod": np.prod, "argmax": np.argmax, "argmin": np.argmin}


@pytest.mark.parametrize("name", [*MANY, *ONE])
@QUICK
@given(
    data=st.data(),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=2, max_side=3),
    keepdim=st.booleans(),
    layout=st.permutations(range(4)),
)
def test_reductions_equal_numpy(name: str, data: Any, shape: tuple[int, ...], keepdim: bool, layout: list[int]) -> None:
    array = reals(*shape)
    order = [d for d in layout if d < len(shape)]
    array = array.transpose(order)  # a view whose elements are not in order
    ndim = array.ndim
    if name in ONE:
        dims: Any = data.draw(st.none() | st.integers(-ndim, ndim - 1)) if ndim else None
    else:
        picked = st.lists(st.sampled_from(range(ndim)), unique=True, min_size=1).map(tuple) if ndim else st.just(())
        dims = data.draw(st.none() | picked) if name != "logsumexp" else data.draw(picked)
    if name in ("var", "std") and ndim == 0:
        return
    x = w.from_numpy(array).requires_grad_()
    options = {"keepdim": keepdim} if dims is not None else {}
    got = (
        x.norm(dim=dims, **options)
        if name == "norm"
        else getattr(w, name)(x, dims, **options)
        if dims is not None
        else getattr(w, name)(x)
    )
    expected = {**MANY, **ONE}[name](
        array, axis=None if dims == () else dims, keepdims=bool(options) and keepdim and dims is not None
    )
    equal(got, expected)
    if got.requires_grad:
        got.sum().backward()
        assert x.grad.shape == array.shape
    else:
        assert name in ("any", "all", "argmax", "argmin")


@QUICK
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), descending=st.booleans())
def test_sorting_and_running_sums_equal_numpy(data: Any, shape: tuple[int, ...], descending: bool) -> None:
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    array = np.random.default_rng(3).integers(0, 4, shape)  # with ties: sorting is stable
    values, indices = w.sort(w.tensor(array), dim, descending)
    order = np.argsort(-array if descending else array, dim, kind="stable")
    equal(indices, order)
    equal(values, np.take_along_axis(array, order, dim))
    equal(w.cumsum(w.tensor(array), dim), np.cumsum(array, dim))
    k = data.draw(st.integers(0, shape[dim]))
    best, where = w.topk(w.tensor(array), k, dim, descending)
    equal(best, np.take(np.take_along_axis(array, order, dim), range(k), dim))
    equal(w.gather(w.tensor(array), dim, where), best.numpy())


# ---- views
@MANY_TRIES
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
def test_viewable_says_what_numpy_does(data: Any, shape: tuple[int, ...]) -> None:
    array = np.arange(float(np.prod(shape))).reshape(shape).transpose(data.draw(st.permutations(range(len(shape)))))
    array = array[tuple(slice(None, None, data.draw(st.integers(1, 2))) for _ in shape)]
    wanted = data.draw(st.sampled_from(factored(array.size)))
    assert viewable(array, wanted) == np.shares_memory(array, array.reshape(wanted))
    equal(w.from_numpy(array).reshape(wanted), array.reshape(wanted))


def factored(n: int) -> list[tuple[int, ...]]:
    """Return the shapes of up to three dims that hold n elements."""
    sides = [d for d in range(1, n + 1) if n % d == 0]
    found = [(n,), *((a, n // a) for a in sides)]
    return found + [(a, b, n // (a * b)) for a in sides for b in sides if n % (a * b) == 0]


def diagonal(a: np.ndarray) -> np.ndarray:
    n = min(a.shape[:2])
    return np.einsum("ii...->...i", a[:n, :n])  # unlike np.diagonal's, this one can be written to


def in_order(a: np.ndarray) -> bool:
    return bool(a.flags.c_contiguous and a.size)


VIEWS: dict[str, Callable[[Any, Any, Draw], tuple[Any, Any]]] = {
    "transpose": lambda x, a, draw: (x.t(), a.T) if a.ndim == 2 else (x.permute(*reversed(range(a.ndim))), a.T),
    "select": lambda x, a, draw: (x[-1], a[-1, ...]) if a.ndim else (x, a),
    "slice": lambda x, a, draw: (x[..., ::2], a[..., ::2]) if a.ndim else (x, a),
    "unsqueeze": lambda x, a, draw: (x.unsqueeze(-1), a[..., None]),
    "squeeze": lambda x, a, draw: (x.squeeze(), a.squeeze()),
    "diagonal": lambda x, a, draw: (x.diagonal(), diagonal(a)) if a.ndim > 1 else (x, a),
    "narrow": lambda x, a, draw: (x.narrow(0, 0, a.shape[0] - 1), a[:-1]) if a.ndim and a.shape[0] > 1 else (x, a),
    "view": lambda x, a, draw: (x.view(-1, 1, a.size), a.reshape(-1, 1, a.size)) if in_order(a) else (x, a),
}  # fmt: skip


@QUICK
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
def test_writes_through_chains_of_views(data: Any, shape: tuple[int, ...]) -> None:
    array = reals(*shape)
    start = leaf(array.copy())
    base = start * 1
    mirror = array.copy()
    x, a = base, mirror
    for step in data.draw(st.lists(st.sampled_from(sorted(VIEWS)), min_size=1, max_size=4)):
        x, a = VIEWS[step](x, a, data.draw)
    assert np.shares_memory(a, mirror) or not a.size
    equal(x, a)
    x.mul_(3.0)
    a *= 3.0
    equal(base, mirror)
    equal(x, a)
    weight = reals(*shape)
    (base * w.tensor(weight)).sum().backward()
    equal(start.grad, weight * mirror / array)


# ---- random programs
def wrote(x: Any, write: Callable[[Any], Any]) -> Any:
    """Return a copy of x after an in-place step."""
    target = x * 1
    write(target)
    return target


STEPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sin": lambda T, x, y: T.sin(x), "exp": lambda T, x, y: T.exp(-x * x), "log": lambda T, x, y: T.log(x * x + 0.5),
    "sqrt": lambda T, x, y: T.sqrt(x * x + 0.5), "tanh": lambda T, x, y: T.tanh(x),
    "sigmoid": lambda T, x, y: T.sigmoid(x), "relu": lambda T, x, y: T.relu(x), "erf": lambda T, x, y: T.erf(x),
    "softmax": lambda T, x, y: T.softmax(x, -1), "log_softmax": lambda T, x, y: T.log_softmax(x, 0),
    "cumsum": lambda T, x, y: x.cumsum(0), "abs": lambda T, x, y: abs(x),
    "clamp": lambda T, x, y: x.clamp(-0.8, 0.9), "power": lambda T, x, y: (x * x + 0.5) ** 1.5,
    "std": lambda T, x, y: T.stack([x, x + 1, x * 2]).std(0), "add": lambda T, x, y: x + y,
    "sub": lambda T, x, y: T.sub(x, y, alpha=0.5), "mul": lambda T, x, y: x * y,
    "div": lambda T, x, y: x / (y * y + 0.5), "pow": lambda T, x, y: (x * x + 0.5) ** y.clamp(-1, 1),
    "max": lambda T, x, y: T.maximum(x, y), "where": lambda T, x, y: T.where(x > y, x, 0.3),
    "atan2": lambda T, x, y: T.atan2(x, y + 3), "lerp": lambda T, x, y: T.lerp(x, y, 0.3),
    "matmul": lambda T, x, y: x @ y, "rsub": lambda T, x, y: 1.5 - x,
    "outer": lambda T, x, y: T.outer(x.reshape(-1), y.reshape(-1))[:3, :3],
    "einsum": lambda T, x, y: T.einsum("...i,...i->...", x, y), "cat": lambda T, x, y: T.cat([x, y], -1),
    "stack": lambda T, x, y: T.stack([x, y], 0), "sum": lambda T, x, y: x.sum(-1, keepdim=True),
    "mean": lambda T, x, y: x.mean(0), "amax": lambda T, x, y: x.amax(-1), "min": lambda T, x, y: x.min(0)[0],
    "prod": lambda T, x, y: x.prod(-1), "norm": lambda T, x, y: (x + 2).norm(dim=-1),
    "logsumexp": lambda T, x, y: T.logsumexp(x, 0), "var": lambda T, x, y: x.var(correction=0),
    "transpose": lambda T, x, y: x.transpose(0, -1), "reshape": lambda T, x, y: x.reshape(-1, 2),
    "unsqueeze": lambda T, x, y: x.unsqueeze(1), "squeeze": lambda T, x, y: x.squeeze(),
    "slice": lambda T, x, y: x[..., ::2], "select": lambda T, x, y: x[-1],
    "expand": lambda T, x, y: x.expand(2, *x.shape), "index": lambda T, x, y: x[..., T.tensor([0, 0])],
    "mask": lambda T, x, y: T.where(x > 0, x, y.sum()), "sort": lambda T, x, y: T.sort(x, -1)[0],
    "flip": lambda T, x, y: T.flip(x, (0,)), "chunk": lambda T, x, y: x.chunk(2)[-1],
    "diagonal": lambda T, x, y: x.diagonal(), "tril": lambda T, x, y: T.tril(x),
    "repeat": lambda T, x, y: x.repeat(2, *(1,) * x.ndim), "topk": lambda T, x, y: x.topk(1, 0)[0],
    "detach": lambda T, x, y: x.detach() * y, "mul_": lambda T, x, y: wrote(x, lambda z: z.mul_(y)),
    "add_": lambda T, x, y: wrote(x, lambda z: z.add_(y, alpha=2)),
    "zero_": lambda T, x, y: wrote(x, lambda z: z[0].zero_()),
    "tanh_": lambda T, x, y: wrote(x, lambda z: z[..., 1:].tanh_()),
    "put": lambda T, x, y: wrote(x, lambda z: z.__setitem__((Ellipsis, 0), y.sum())),
    "copy_": lambda T, x, y: wrote(x, lambda z: z.copy_(y)),
    "view_": lambda T, x, y: wrote(x, lambda z: z.view(-1)[:2].mul_(y.mean())),
}  # fmt: skip


def outcome(step: Callable[..., Any], T: Any, x: Any, y: Any) -> Any:
    try:
        return step(T, x, y)
    except (RuntimeError, IndexError, ValueError) as error:
        return error


def run_program(T: Any, seed: int, steps: int) -> list[np.ndarray | None]:
    """Return all values of a program made of random steps, the first and the second gradients of their sum."""
    rng = np.random.default_rng(seed)
    leaves = [leaf(rng.uniform(-1.5, 1.5, tuple(rng.integers(1, 4, rng.integers(0, 4)))), T) for _ in range(3)]
    values: list[Any] = list(leaves)
    names = sorted(STEPS)
    shown: list[np.ndarray | None] = []
    for _ in range(steps):
        name = names[rng.integers(len(names))]
        i, j = max(rng.integers(len(values), size=2)), rng.integers(len(values))
        made = outcome(STEPS[name], T, values[i], values[j])
        if isinstance(made, Exception):
            shown.append(None)
        else:
            shown.append(made.detach().numpy())
            values.append(made)
    total = sum((v * (k + 1) / (1 + v * v)).sum() for k, v in enumerate(values))
    first = T.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    second = T.autograd.grad(sum((g * g).sum() for g in first if g is not None), leaves, allow_unused=True)
    return [*shown, *(None if g is None else g.detach().numpy() for g in (*first, *second))]


@pytest.mark.parity
@pytest.mark.parametrize("first", range(0, 400, 50))
def test_random_programs_equal_torch(first: int) -> None:
    for seed in range(first, first + 50):
        with warnings.catch_warnings(action="ignore"):
            found = [run_program(T, seed, 12) for T in (w, torch())]
        for k, (a, b) in enumerate(zip(*found, strict=True)):
            if a is None or b is None:  # a step that must fail, or an input that was not used
                other = b if a is None else a
                assert other is None or not other.any(), (seed, k)
            else:
                assert a.shape == b.shape and a.dtype == b.dtype
                np.testing.assert_allclose(
                    a, b, 1e-7, 1e-7 * max(1.0, np.abs(b).max(initial=0)), err_msg=f"program {seed}, value {k}"
                )
