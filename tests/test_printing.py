"""Print format: literal texts that PyTorch 2.13 printed, and direct comparison with PyTorch where it is installed.

Owns the proof of wengert/printing.py. May import wengert.printing and, inside parity tests, torch. Must not know
tensors: every case is a NumPy array.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wengert import printing

inf, nan = float("inf"), float("nan")
f32 = np.float32


@pytest.fixture(autouse=True)
def _restore_options() -> Iterator[None]:
    with printing.printoptions():
        yield


def array(values: Any, dtype: Any = f32) -> np.ndarray:
    return np.array(values, dtype)


def count(*shape: int, dtype: Any = f32) -> np.ndarray:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


# (values, print options, text); dtype suffixes as with float32 for default.
LITERAL: list[tuple[np.ndarray, dict[str, Any], str]] = [
    (array(1.5), {}, "tensor(1.5000)"),
    (array(1.0), {}, "tensor(1.)"),
    (array([0.0, -0.0]), {}, "tensor([0., -0.])"),
    (array([1.0, -inf]), {}, "tensor([1., -inf])"),
    (array([1.5, -inf, nan]), {}, "tensor([1.5000,   -inf,    nan])"),
    (array([1.0, 2.0, 1001.0]), {}, "tensor([1.0000e+00, 2.0000e+00, 1.0010e+03])"),
    (array([1.0, 1000.0]), {}, "tensor([   1., 1000.])"),
    (array([1e8]), {}, "tensor([100000000.])"),
    (array([1e9, 2.0]), {}, "tensor([1.0000e+09, 2.0000e+00])"),
    (array([1e-4]), {}, "tensor([1.0000e-04])"),
    (array([nan, 123456.5]), {}, "tensor([        nan, 123456.5000])"),
    (array([6e-8, 65504.0], np.float16), {}, "tensor([5.9605e-08, 6.5504e+04], dtype=torch.float16)"),
    (array([1 + 2j, 3 - 4j], np.complex64), {}, "tensor([1.+2.j, 3.-4.j])"),
    (
        array([1 + 1e-9j, -100], np.complex128),
        {},
        "tensor([   1.+1.0000e-09j, -100.+0.0000e+00j], dtype=torch.complex128)",
    ),
    (array([complex(nan, nan), complex(0.0, -0.0)], np.complex64), {}, "tensor([nan+nanj, 0.-0.j])"),
    (array([1, -20], np.int64), {}, "tensor([  1, -20])"),
    (array([1, -20], np.int32), {}, "tensor([  1, -20], dtype=torch.int32)"),
    (array([True, False], bool), {}, "tensor([ True, False])"),
    (array(7, np.uint8), {}, "tensor(7, dtype=torch.uint8)"),
    (array([2**64 - 1], np.uint64), {}, "tensor([18446744073709551615], dtype=torch.uint64)"),
    (np.zeros(0, f32), {}, "tensor([])"),
    (np.zeros((0, 3), f32), {}, "tensor([], size=(0, 3))"),
    (np.zeros((2, 0), np.float64), {}, "tensor([], size=(2, 0), dtype=torch.float64)"),
    (np.zeros(0, np.int64), {}, "tensor([], dtype=torch.int64)"),
    (np.zeros(0, bool), {}, "tensor([], dtype=torch.bool)"),
    (
        np.zeros(30, f32),
        {},
        "tensor([0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.,\n"
        "        0., 0., 0., 0., 0., 0.])",
    ),
    (
        count(2, 2, 1, 3),
        {},
        "tensor([[[[ 0.,  1.,  2.]],\n"
        "\n"
        "         [[ 3.,  4.,  5.]]],\n"
        "\n"
        "\n"
        "        [[[ 6.,  7.,  8.]],\n"
        "\n"
        "         [[ 9., 10., 11.]]]])",
    ),
    (count(1001), {}, "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])"),
    (
        count(40, 40, dtype=np.int64),
        {},
        "tensor([[   0,    1,    2,  ...,   37,   38,   39],\n"
        "        [  40,   41,   42,  ...,   77,   78,   79],\n"
        "        [  80,   81,   82,  ...,  117,  118,  119],\n"
        "        ...,\n"
        "        [1480, 1481, 1482,  ..., 1517, 1518, 1519],\n"
        "        [1520, 1521, 1522,  ..., 1557, 1558, 1559],\n"
        "        [1560, 1561, 1562,  ..., 1597, 1598, 1599]])",
    ),
    (
        count(3, 400) / 7,
        {},
        "tensor([[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 5.6714e+01, 5.6857e+01,\n"
        "         5.7000e+01],\n"
        "        [5.7143e+01, 5.7286e+01, 5.7429e+01,  ..., 1.1386e+02, 1.1400e+02,\n"
        "         1.1414e+02],\n"
        "        [1.1429e+02, 1.1443e+02, 1.1457e+02,  ..., 1.7100e+02, 1.7114e+02,\n"
        "         1.7129e+02]])",
    ),
    (array([1.0, -2.0, 3.5]), {"sci_mode": True}, "tensor([ 1.0000e+00, -2.0000e+00,  3.5000e+00])"),
    (array([0.0, nan, inf]), {"sci_mode": True}, "tensor([0., nan, inf])"),
    (array([1e-5, 1e12]), {"sci_mode": False}, "tensor([           0.0000, 999999995904.0000])"),
    (array([1.5, 2.0]), {"precision": 0}, "tensor([2, 2])"),
    (array([1.5, 2.0]), {"profile": "short"}, "tensor([1.50, 2.00])"),
    (
        array([1.5, 20.0]),
        {"linewidth": 5},
        "tensor([ 1.5000,\n        20.0000])",
    ),
    (
        count(4, 5) / 7,
        {"threshold": 5, "edgeitems": 1},
        "tensor([[0.0000,  ..., 0.5714],\n        ...,\n        [2.1429,  ..., 2.7143]])",
    ),
    (
        np.ones(3) * 1j,
        {"threshold": 0, "edgeitems": 1, "linewidth": 1},
        "tensor([0.+1.j,\n         ...,\n        0.+1.j],\n       dtype=torch.complex128)",
    ),
    (array([1.0, 2.0]), {"edgeitems": 0}, "tensor([1., 2.], size=(2,))"),
    (count(4, 5), {"edgeitems": 0, "threshold": 5}, "tensor([...], size=(4, 5))"),
]

# Compared only: more hard cases, each under every set of options below.
HARD = [
    array([nan, 0.0]),
    array([nan, 123456.5]),
    array([1.5, -inf, nan, -0.0]),
    array([inf, -inf]),
    array([1e-4]),
    array([1.0001e-4]),
    array([1.0, 1000.0]),
    array([1.0, 1001.0]),
    array([1e8]),
    array([1e8 + 8]),
    array([1.5, 1e8]),
    array([1e-45, 3e38]),
    array([5e-324, 1.7e308], np.float64),
    array([6e-8, 65504.0], np.float16),
    array([99999.99995, 0.5], np.float64),
    array([0.1, 0.00005], np.float16),
    array([0.5, 1.5, 2.5, 1e5]),
    np.zeros(100, f32),
    np.full((3, 40), nan, f32),
    np.full(61, -7.0, f32),
    array([1 + 1e-9j, -100], np.complex64),
    array([complex(nan, -inf), complex(0.0, -0.0), complex(-inf, nan)], np.complex128),
    array(-2.5 + 1e-6j, np.complex128),
    np.exp(1j * np.arange(40.0)).reshape(4, 10),
    array([2**63 - 1, -(2**63)], np.int64),
    array([2**64 - 1, 0], np.uint64),
    array([-128, 5], np.int8),
    array([True]),
    array([[True, False]] * 8).astype(bool),
    count(1001),
    count(1000),
    count(7, 200) / 3,
    count(2, 3, 2, 2, 2),
    count(11, 1, 100),
    count(6, 6, 6, 6),
    count(30, 40, dtype=np.int32).T,
    count(4, 500, dtype=np.complex64)[:, ::-2],
    np.zeros((0,), np.float64),
    np.zeros((0,), bool),
    np.zeros((0,), np.complex64),
    np.zeros((2, 0, 3), np.int64),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"profile": "short"},
    {"profile": "full", "linewidth": 120},
    {"sci_mode": True},
    {"sci_mode": False, "linewidth": 30},
    {"precision": 0, "threshold": 5},
    {"precision": 9, "threshold": 10, "edgeitems": 1, "linewidth": 50},
    {"edgeitems": 0},
    {"edgeitems": 0, "threshold": 3, "linewidth": 20},
    {"threshold": 0, "edgeitems": 2, "linewidth": 1},
]


def ours(values: np.ndarray, default: Any = np.float32, **words: Any) -> str:
    dtype = f"torch.{values.dtype}" if printing.needs_dtype(values, np.dtype(default)) else None
    return printing.render(values, dtype=dtype, **words)


@pytest.fixture
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    yield torch
    torch.set_default_dtype(torch.float32)
    torch.set_printoptions(profile="default")


@pytest.mark.parametrize("values, options, text", LITERAL)
def test_text_is_literally_pytorchs(values: np.ndarray, options: dict[str, Any], text: str) -> None:
    printing.set_printoptions(**options)
    assert ours(values) == text


@pytest.mark.parity
@pytest.mark.parametrize("values, options, text", LITERAL)
def test_literal_is_what_pytorch_prints(
    torch: Any, values: np.ndarray, options: dict[str, Any], text: str
) -> None:
    torch.set_printoptions(**options)
    assert repr(torch.from_numpy(values)) == text


def test_suffixes_follow_values_in_order() -> None:
    words: dict[str, Any] = dict(dtype="torch.float64", device="cuda:0", requires_grad=True)
    assert printing.render(np.ones(1), **words) == (
        "tensor([1.], device='cuda:0', dtype=torch.float64, requires_grad=True)"
    )
    assert printing.render(np.ones((0, 1)), **words) == (
        "tensor([], device='cuda:0', size=(0, 1), dtype=torch.float64,\n       requires_grad=True)"
    )
    assert printing.render(np.ones(12), device="cuda:0", grad_fn="PowBackward0", requires_grad=True) == (
        "tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.], device='cuda:0',\n       grad_fn=<PowBackward0>)"
    )


def test_prefix_sets_the_indentation() -> None:
    assert printing.render(np.eye(2, dtype=int), prefix="T(") == "T([[1, 0],\n   [0, 1]])"


def test_options_round_trip() -> None:
    default = dict(precision=4, threshold=1000, edgeitems=3, linewidth=80, sci_mode=None)
    assert printing.get_printoptions() == default
    printing.get_printoptions()["precision"] = 9  # a copy
    assert printing.get_printoptions() == default
    with printing.printoptions(precision=2, sci_mode=True):
        assert printing.get_printoptions() == {**default, "precision": 2, "sci_mode": True}
        printing.set_printoptions(linewidth=100)
        assert printing.get_printoptions() == {**default, "precision": 2, "linewidth": 100}
    assert printing.get_printoptions() == default
    with pytest.raises(KeyError), printing.printoptions(profile="short", edgeitems=5):
        assert printing.get_printoptions() == {**default, "precision": 2, "edgeitems": 5}
        raise KeyError
    assert printing.get_printoptions() == default
    printing.set_printoptions(profile="full")
    assert printing.get_printoptions() == {**default, "threshold": inf}


@pytest.mark.parity
def test_options_agree_with_pytorch(torch: Any) -> None:
    for options in [*OPTIONS, {"profile": "Short"}, {"profile": "none such"}, {"precision": 1}]:
        torch.set_printoptions(**options)
        printing.set_printoptions(**options)
        assert printing.get_printoptions() == torch._tensor_str.get_printoptions()


def test_summary_reads_only_what_it_shows() -> None:
    values = np.broadcast_to(np.float32(0.5), (10**9, 10**9))  # whole, it would be 4 exabytes
    start = time.perf_counter()
    text = printing.render(values)
    assert time.perf_counter() - start < 0.5
    assert text.splitlines()[3] == "        ...,"


def test_registered_dtypes_print_their_values() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.5, -2.0, nan]).astype(ml_dtypes.bfloat16)
    assert ours(values) == "tensor([ 1.5000, -2.0000,     nan], dtype=torch.bfloat16)"
    assert ours(values, ml_dtypes.bfloat16) == "tensor([ 1.5000, -2.0000,     nan])"


@pytest.mark.parity
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_hard_cases_equal_pytorch(torch: Any, options: dict[str, Any]) -> None:
    torch.set_printoptions(**options)
    printing.set_printoptions(**options)
    for values in HARD:
        base = values if min(values.strides, default=0) >= 0 else values.copy()
        assert ours(values) == repr(torch.from_numpy(base))


@pytest.mark.parity
def test_suffixes_equal_pytorch_at_every_line_fill(torch: Any) -> None:
    for length in range(30):
        values = np.ones(length, np.float64)
        leaf = torch.from_numpy(values).requires_grad_()
        for tensor in (leaf, leaf**2):
            node = type(tensor.grad_fn).__name__ if tensor.grad_fn is not None else None
            assert ours(values, grad_fn=node, requires_grad=True) == repr(tensor)
            # With another device for default, PyTorch names the one it has.
            with mock.patch.object(torch._C, "_get_default_device", lambda: "cuda"):
                assert ours(values, device="cpu", grad_fn=node, requires_grad=True) == repr(tensor)


@pytest.mark.parity
@pytest.mark.parametrize("default", ["float16", "float32", "float64"])
def test_dtype_suffix_equals_pytorch(torch: Any, default: str) -> None:
    torch.set_default_dtype(getattr(torch, default))
    integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    for dtype in ["bool", *integers, "float16", "float32", "float64", "complex64", "complex128"]:
        for shape in ((), (2,), (0,), (0, 2)):
            values = np.ones(shape, dtype)
            assert ours(values, default) == repr(torch.from_numpy(values))


@pytest.mark.parity
def test_prefix_equals_a_subclass_name(torch: Any) -> None:
    class Meters(torch.Tensor):  # type: ignore[misc, name-defined]
        pass

    values = count(3, 30) / 7
    assert ours(values, prefix="Meters(") == repr(torch.from_numpy(values).as_subclass(Meters))


FLOATS = [0.0, -0.0, 1.0, -10.0, 999.0, 1000.0, 1001.0, 1e8, 1e8 + 8, 1e-4, 9.9e-5, 0.5, 0.1, 99999.5, 1e38, 1e-45]


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtypes = [np.float16, f32, np.float64, np.complex64, np.complex128, np.bool_, np.int64, np.int32, np.uint8]
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=draw(st.sampled_from([4, 12]))))
    if dtype.kind not in "fc":
        return draw(hnp.arrays(dtype, shape))
    real = np.finfo(dtype).dtype
    width = 8 * real.itemsize
    pool = [float(real.type(x)) for x in FLOATS if abs(x) <= float(np.finfo(real).max)]
    fits = st.sampled_from([*pool, nan, inf, -inf])
    scaled = st.builds(lambda m, e: float(real.type(m * 10.0**e)), st.integers(-2000, 2000), st.integers(-7, 1))
    element = st.one_of(*draw(st.sampled_from([[fits], [scaled], [st.floats(width=width)], [fits, scaled]])))
    parts = [draw(hnp.arrays(real, shape, elements=element)) for _ in range(2 if dtype.kind == "c" else 1)]
    values = np.empty(shape, dtype)
    values.real[...] = parts[0]
    if dtype.kind == "c":
        values.imag[...] = parts[1]
    return values


OPTION_SETS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 17),
        "threshold": st.sampled_from([0, 3, 10, 50, inf]),
        "edgeitems": st.integers(0, 5),
        "linewidth": st.integers(1, 200),
        "sci_mode": st.booleans(),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)


@pytest.mark.parity
@settings(max_examples=300, deadline=None)
@given(values=arrays(), options=OPTION_SETS, requires_grad=st.booleans())
def test_any_array_equals_pytorch(values: np.ndarray, options: dict[str, Any], requires_grad: bool) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(values)
    requires_grad = requires_grad and values.dtype.kind in "fc"
    if requires_grad:
        tensor.requires_grad_()
    torch.set_printoptions(**options)
    try:
        with printing.printoptions(**options):
            assert ours(values, requires_grad=requires_grad) == repr(tensor)
    finally:
        torch.set_printoptions(profile="default")
