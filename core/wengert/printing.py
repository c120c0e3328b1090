"""Text of arrays as PyTorch's `repr` gives it, and the print options that steer it.

Owns the choice of number format, column widths, summaries, line filling and suffixes. May import NumPy and the
standard library. Must not know tensors, devices or the graph: `render` gets a host array and ready-made words.
Rules were found by comparing with PyTorch's output; tests/test_printing.py holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["get_printoptions", "needs_dtype", "printoptions", "render", "set_printoptions"]


@dataclass(frozen=True, slots=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}
_options = _PROFILES["default"]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is None keeps its value, but `sci_mode=None` always returns to automatic choice.

    precision: digits after the point. threshold: more elements than this are summarized. edgeitems: elements shown
    at each end of a summarized axis. linewidth: columns per line. profile: "default", "short" or "full", applied
    before the other arguments; an unknown one is ignored. sci_mode: True or False forces the notation of floats.
    Source: torch.set_printoptions.
    """
    global _options
    given = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    base = _options if profile is None else _PROFILES.get(profile, _options)
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options = replace(base, sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """Return a copy of the print options: precision, threshold, edgeitems, linewidth, sci_mode."""
    return asdict(_options)


@contextmanager
def printoptions(**kwargs: Any) -> Iterator[None]:
    """Set print options inside a `with` block: `with printoptions(precision=2): ...`; see set_printoptions."""
    global _options
    before = _options
    try:
        set_printoptions(**kwargs)
        yield
    finally:
        _options = before


def needs_dtype(values: NDArray[Any], default: np.dtype[Any], shown: bool = True) -> bool:
    """Tell whether PyTorch prints a `dtype=` suffix for this array when `default` is the default float dtype.

    No suffix: bool, int64, `default`, and complex128 if `default` is float64, else complex64. An array without
    elements, or whose elements are not `shown`, shows nothing of its kind, so there only `default` itself goes without.
    """
    dtype = values.dtype
    if values.size == 0 or not shown or dtype.kind not in "bic":
        return bool(dtype != default)
    if dtype.kind == "c":
        return bool(dtype != (np.complex128 if default == np.float64 else np.complex64))
    return bool(dtype != np.bool_ and dtype != np.int64)


def render(
    values: Any,
    *,
    contents: str | None = None,
    prefix: str = "tensor(",
    dtype: str | None = None,
    device: str | None = None,
    grad_fn: str | None = None,
    requires_grad: bool = False,
) -> str:
    """Return the text that `repr` of a PyTorch tensor with these values has.

    values: any shape; bool, integers, floats, complex, or ml_dtypes. Only elements that are shown are read, and none where
    `contents` is given, which then stands for them.
    prefix: opening text of one line, whose length is the indentation; text above it ("Parameter containing:") is
    the caller's. dtype: "torch.float64" prints ", dtype=torch.float64"; pass it where `needs_dtype` says so, for
    arrays without elements too, and None elsewhere. device: "cuda:0", or None for the default device. grad_fn: the
    node's class name, "PowBackward0"; it takes the place of requires_grad. The size is added here where it is due:
    no elements and not one axis, or `edgeitems=0`.
    """
    options = _options
    edge = max(options.edgeitems, 0)
    if contents is not None:
        body, sized = contents, True
    elif values.size == 0:
        body, sized = "[]", values.ndim != 1
    else:
        body, sized = _body(values, edge, len(prefix), options), edge == 0
    suffixes = []
    if device is not None:
        suffixes.append(f"device='{device}'")
    if sized:
        suffixes.append(f"size={values.shape}")
    if dtype is not None:
        suffixes.append(f"dtype={dtype}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return suffixed(prefix + body, suffixes, len(prefix))


def render_parts(
    parts: dict[str, Any],
    *,
    shape: tuple[int, ...],
    layout: str,
    contents: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    grad_fn: str | None = None,
    requires_grad: bool = False,
) -> str:
    """Return the text that `repr` of a sparse PyTorch tensor has: its parts one below the other, then what else is known.

    parts: the arrays that it is made of, by the names PyTorch shows, "values" last. The other words are those of `render`.
    """
    edge, indent, texts = max(_options.edgeitems, 0), len("tensor("), []
    for name, values in parts.items():
        opening = f"{name}=tensor("
        sized = f", size={values.shape}" if contents or values.size == 0 else ""
        body = contents or ("[]" if values.size == 0 else _body(values, edge, indent + len(opening), _options))
        texts.append(f"{opening}{body}{sized})")
    text = "tensor(" + (",\n" + " " * indent).join(texts)
    suffixes = [f"device='{device}'"] if device is not None else []
    suffixes += [f"size={tuple(shape)}"] + ([] if contents else [f"nnz={len(parts['values'])}"])
    suffixes += [f"dtype={dtype}"] if dtype is not None else []
    suffixes.append(f"layout={layout}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return suffixed(text, suffixes, indent, layout.endswith("coo"))


def elements(values: NDArray[Any], indent: int) -> str:
    """Return the brackets and elements alone, the opening one standing at column `indent`."""
    return _body(values, max(_options.edgeitems, 0), indent, _options) if values.size else "[]"


def suffixed(text: str, suffixes: list[str], indent: int, newline: bool = False) -> str:
    """Put what else is known behind the elements, on new lines where the line is full, and for the first if asked."""
    column = len(text) - text.rfind("\n") + 1  # PyTorch charges the values two columns more than they take
    for suffix in suffixes:
        if newline or column + 2 + len(suffix) > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column, newline = indent + len(suffix), False
        else:
            text += ", " + suffix
            column += 2 + len(suffix)
    return text + ")"


def _body(values: NDArray[Any], edge: int, indent: int, options: _Options) -> str:
    """Brackets and elements, the opening bracket standing at column `indent`."""
    axes = range(values.ndim)
    cut = [False] * values.ndim
    if axes and values.size > options.threshold:
        if edge == 0:
            return "[...]"
        cut = [size > 2 * edge for size in values.shape]
        ends = [(*range(edge), *range(-edge, 0)) if cut[axis] else range(values.shape[axis]) for axis in axes]
        values = values[np.ix_(*ends)]
    blocks, width = _cells(values, options)
    for axis in reversed(axes):  # each round joins the texts along the last axis left into bracketed blocks
        size = values.shape[axis]
        margin = "\n" + " " * (indent + axis + 1)
        groups = [blocks[start : start + size] for start in range(0, len(blocks), size)]
        innermost = axis == values.ndim - 1
        if cut[axis]:
            for group in groups:
                group.insert(edge, " ..." if innermost else "...")
        if innermost:
            fill = max(1, int((options.linewidth - indent - axis) // (width + 2)))
            groups = [[", ".join(group[i : i + fill]) for i in range(0, len(group), fill)] for group in groups]
        else:
            margin = "\n" * (values.ndim - 2 - axis) + margin  # matrices stand apart
        blocks = ["[" + ("," + margin).join(group) + "]" for group in groups]
    return blocks[0]


def _cells(values: NDArray[Any], options: _Options) -> tuple[list[str], int]:
    """Texts of all elements in C order, aligned, and the width that line filling reckons with."""
    flat = values.ravel().tolist()  # Python numbers, exact, for dtypes of ml_dtypes too
    if isinstance(flat[0], float):
        return _float_cells(flat, options)
    if isinstance(flat[0], complex):
        real, real_width = _float_cells([number.real for number in flat], options)
        imag, imag_width = _float_cells([number.imag for number in flat], options)
        signed = (text if text[0] == "-" else "+" + text for text in map(str.strip, imag))
        return [f"{a}{b}j" for a, b in zip(real, signed, strict=True)], real_width + 1 + imag_width
    cells = [str(number) for number in flat]
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells], width


def _float_cells(numbers: list[float], options: _Options) -> tuple[list[str], int]:
    """Texts of one real column, aligned: 1.0000e+00, or "1." where all are whole, or 1.0000; and their width.

    Finite numbers other than zero choose the notation and the width; the others follow, be they longer or not.
    """
    leading = [number != 0 and math.isfinite(number) for number in numbers]
    sizes = [abs(number) for number, leads in zip(numbers, leading, strict=True) if leads]
    whole = all(size.is_integer() for size in sizes)
    if not sizes:  # nothing but zeros, infinities and nan: sci_mode has no say
        scientific = False
    elif options.sci_mode is not None:
        scientific = options.sci_mode
    else:
        low, high = min(sizes), max(sizes)
        scientific = high / low > 1000 or high > 1e8 or low < 1e-4
    if whole and not scientific:
        cells = [f"{number:.0f}." if math.isfinite(number) else f"{number}" for number in numbers]
    else:
        spec = f".{options.precision}{'e' if scientific else 'f'}"
        cells = [format(number, spec) for number in numbers]
    width = max((len(cell) for cell, leads in zip(cells, leading, strict=True) if leads), default=1)
    return [cell.rjust(width) for cell in cells], width
