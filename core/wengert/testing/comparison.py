"""Comparing tensors in tests, as PyTorch does.

Owns: `assert_close`. May import: `wengert`'s public names. Must not know: any op's inside.
The tolerances by dtype are PyTorch's: |actual - expected| <= atol + rtol |expected|.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import wengert
from wengert import Tensor

TOLERANCES = {  # dtype: rtol, atol
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = False, check_device: bool = True, check_dtype: bool = True, check_layout: bool = True,
    check_stride: bool = False, msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """Raise AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere; containers are gone into.

    Without tolerances they follow from the dtypes. Raises TypeError for what cannot be compared, ValueError for one
    tolerance without the other.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"rtol and atol must both be specified or both be unspecified, but got rtol={rtol}, atol={atol}")

    def fail(text: str, where: str) -> AssertionError:
        text = f"{text}\n\nThe failure occurred for item {where}" if where else text
        return AssertionError(msg(text) if callable(msg) else msg if msg is not None else text)

    def compare(a: Any, b: Any, where: str) -> None:
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if a.keys() != b.keys():
                raise fail(f"The keys of the mappings do not match: {list(a)} and {list(b)}", where)
            for key in a:
                compare(a[key], b[key], f"{where}[{key!r}]")
        elif _listed(a) and _listed(b):
            if len(a) != len(b):
                raise fail(f"The length of the sequences mismatch: {len(a)} != {len(b)}", where)
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{where}[{i}]")
        elif a is None or b is None:
            if a is not b:
                raise fail(f"None mismatch: {a} is not {b}", where)
        else:
            layouts = [getattr(x, "layout", "torch.strided") for x in (a, b)]
            if check_layout and layouts[0] != layouts[1]:
                raise fail(f"The values for attribute 'layout' do not match: {layouts[0]} != {layouts[1]}.", where)
            a, b = (x if kind == "torch.strided" else x.to_dense() for x, kind in zip((a, b), layouts, strict=True))
            told = _differ(a, b, rtol, atol, equal_nan, check_device, check_dtype, check_stride)
            if told:
                raise fail(told, where)

    compare(actual, expected, "")


def assert_allclose(
    actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, equal_nan: bool = True, msg: str = ""
) -> None:
    """Raise AssertionError unless values are close, as `assert_close` of tensors made of them, whatever their dtypes."""
    import wengert

    first, second = (x if isinstance(x, wengert.Tensor) else wengert.tensor(x) for x in (actual, expected))
    assert_close(
        first, second.to(first.device), rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None,
    )  # fmt: skip


def _listed(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _differ(
    a: Any, b: Any, rtol: float | None, atol: float | None, equal_nan: bool, device: bool, dtype: bool, stride: bool
) -> str:
    """Return how two tensors or numbers differ, or nothing."""
    numbers = not any(isinstance(x, Tensor | np.ndarray) for x in (a, b))
    kinds = (Tensor, np.ndarray, bool, int, float, complex, np.number)
    if not isinstance(a, kinds) or not isinstance(b, kinds) or (isinstance(a, Tensor) != isinstance(b, Tensor) and not numbers):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(a)} and {type(b)}.")
    if numbers and dtype and type(a) is not type(b):
        return f"The (d)types do not match: {type(a)} != {type(b)}."
    if numbers:
        wide = wengert.dtypes.ALL["complex128" if isinstance(a, complex) or isinstance(b, complex) else "float64"]
        exact = all(isinstance(x, int) for x in (a, b))
        a, b = (wengert.tensor(x, dtype=None if exact else wide) for x in (a, b))
    a, b = (x.detach() if isinstance(x, Tensor) else wengert.as_tensor(x) for x in (a, b))
    what = "Scalars" if numbers else "Tensor-likes"
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}."
    if device and a.device != b.device:
        return f"The values for attribute 'device' do not match: {a.device} != {b.device}."
    if dtype and not numbers and a.dtype != b.dtype:
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}."
    if stride and a.stride() != b.stride():
        return f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}."
    chosen = [TOLERANCES.get(x.dtype.name, (0.0, 0.0)) for x in (a, b)]
    r = max(c[0] for c in chosen) if rtol is None else rtol
    t = max(c[1] for c in chosen) if atol is None else atol
    x, y = (_wide(v) for v in (a, b))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(x - y)
        near = (x == y) | (np.isfinite(distance) & (distance <= t + r * np.abs(y)))
    if equal_nan:
        near |= np.isnan(x) & np.isnan(y)
    if near.all():
        return ""
    if x.ndim == 0:
        allowed = f" (up to {t} allowed)" if r or t else ""
        words = "close" if r or t else "equal"
        return f"{what} are not {words}!\n\nExpected {y} but got {x}.\nAbsolute difference: {distance}{allowed}"
    count, total = int((~near).sum()), x.size
    away = np.where(near, 0, np.where(np.isnan(distance), np.inf, distance))
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(away)), away.shape))
    relative = distance[at] / np.abs(y[at]) if np.abs(y[at]) else np.inf
    return (
        f"{what} are not {'close' if r or t else 'equal'}!\n\nMismatched elements: {count} / {total} ({count / total:.1%})\n"
        f"Greatest absolute difference: {distance[at]} at index {at} (up to {t} allowed)\n"
        f"Relative difference there: {relative} (up to {r} allowed)"
    )


def _wide(x: Tensor) -> np.ndarray[Any, Any]:
    """Return the values in a type in which they can be subtracted."""
    host = x.host()
    if x.is_complex():
        return host.astype(np.complex128)  # type: ignore[no-any-return]
    if x.is_floating_point():
        return host.astype(np.float64)  # type: ignore[no-any-return]
    return host.astype(np.int64 if host.dtype != np.uint64 else np.float64)  # type: ignore[no-any-return]
