"""Kernels of reductions, scans and sorting, written against an array module.

Owns: `table`, which gives them by op name. `axis` is a dim, a tuple of dims, or None: all. Large arrays are worked on in
blocks that stay in a core's cache, so that a softmax reads its input once. May import: NumPy, for types.
Must not know: tensors, gradients, any one device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Kernel = Callable[..., Any]
# What sums and products of a type, by its character, are added up in; None: in the type itself.
ADDS_IN: dict[str, Any] = {c: np.dtype(np.int64) for c in np.typecodes["AllInteger"] + "?"}
ADDS_IN |= {c: None for c in np.typecodes["AllFloat"]} | {"e": np.dtype(np.float32)}

# Where the largest element is below this, no exponential overflows, and what underflows is below a sum's last digit.
NEAR = 32
SMALL = 2048  # elements from which on an array is worked on in blocks of rows
VECDOT = hasattr(np, "vecdot")
MANY = 1 << 13  # elements from which on sums are asked of BLAS
RUN = 1 << 11  # elements that BLAS may add up in a row
FEW_ROWS = 16  # of which each has a maximum of its own: finding it takes 0.1 us a row
# A sum of exponentials below another row's top, of which what is lost is below 1e-33 of the sum.
FAR_BELOW = 1e-4


def lanes(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return sizes (before, along, after) the dims of `axis` where these follow each other, else None."""
    if not axis:
        return None
    first, last = min(axis), max(axis)
    if last - first + 1 != len(axis):
        return None
    before = along = after = 1
    for i, n in enumerate(shape):
        if i < first:
            before *= n
        elif i > last:
            after *= n
        else:
            along *= n
    return before, along, after


def groups(sizes: tuple[int, int, int], block: int) -> Iterator[tuple[slice, list[slice]]]:
    """Yield (rows, parts of them) of an array with these sizes: rows that are reduced together, in parts of one block."""
    before, along, after = sizes
    step, many = max(1, block // after), max(1, block // (along * after))
    parts = [slice(j, j + step) for j in range(0, along, step)]
    for i in range(0, before, many):
        yield slice(i, i + many), parts


def positions(xp: Any, indices: Any, n: int, axis: int) -> Any:
    """Return where elements stand in a flattened array: those at `indices` along an axis of length n, which else has the
    indices' shape."""
    shape = indices.shape
    if not indices.size:
        return indices
    after = math.prod(shape[axis + 1 :])
    step = n * after
    begin = xp.arange(0, math.prod(shape[:axis]) * step, step)
    if after > 1:
        begin, indices = begin[:, None] + xp.arange(after), indices * after
    return indices + begin.reshape((*shape[:axis], 1, *shape[axis + 1 :]))


def within(index: Any, n: int) -> None:
    """Raise IndexError for an index that is negative or too large; devices other than the host do not tell."""
    if isinstance(index, np.ndarray) and index.size:
        bits = index.view(np.uint64) if index.dtype.char == "l" else index  # where what is negative is large
        if bits.max() >= n or (bits is index and index.min() < 0):
            raise IndexError("index out of range")


def table(backend: Any) -> dict[str, Kernel]:
    """Return the kernels over the backend's array module, by op name."""
    xp, block = backend.xp, backend.block
    add = xp.add

    def dense(made: Any) -> Any:
        """Return an array, never a scalar, in row-major order, as PyTorch lays out new results: view() works on them."""
        if made.ndim < 2:
            return made if made.ndim else xp.asarray(made)
        return made if made.flags.c_contiguous else xp.ascontiguousarray(made)

    def packed(x: Any) -> Any:
        """Return an input as it is if it is in row-major order, else a copy that is."""
        return x if x.flags.c_contiguous else xp.ascontiguousarray(x)

    def every(x: Any, axis: Any) -> tuple[int, ...]:
        return tuple(range(x.ndim)) if axis is None else axis

    def size(x: Any, axis: Any) -> int:
        if axis is None:
            return int(x.size)
        n = 1
        for a in axis:
            n *= x.shape[a]
        return n

    def large(x: Any, axis: Any) -> tuple[int, int, int] | None:
        """Return the sizes of an array that is worked on in blocks, as `lanes` does; None where it is taken whole."""
        return lanes(x.shape, every(x, axis)) if x.size > block and x.flags.c_contiguous else None

    def wide(kernel: Kernel) -> Kernel:
        """Return a kernel of a reduction that computes float16 in float32, and many elements in columns by their transpose."""
        many = turned(kernel)

        def run(x: Any, axis: Any, *params: Any) -> Any:
            if x.dtype.char != "e":
                return kernel(x, axis, *params) if x.size < MANY else many(x, axis, *params)
            return run(x.astype(np.float32), axis, *params).astype(np.float16)

        return run

    def turned(kernel: Kernel) -> Kernel:
        """Return a kernel (x, axis, *params) of a reduction that takes many elements in columns by their transpose."""

        def run(x: Any, axis: Any, *params: Any) -> Any:
            if x.flags.c_contiguous or not x.flags.f_contiguous:
                return kernel(x, axis, *params)
            made = kernel(x.T, None if axis is None else tuple([x.ndim - 1 - a for a in axis]), *params)
            return None if made is None else dense(made.T)

        return run

    # ---- sums and products
    def by_blas(x: Any, axis: Any, keepdims: bool) -> Any:
        """Return the sum of a host array of floats as a product with ones, for which a short row costs nothing to begin; None
        where that is no gain, or would add too many elements one after another."""
        if type(x) is not np.ndarray or x.dtype.char not in "fd":
            return None
        if not x.flags.c_contiguous:
            return turned(by_blas)(x, axis, keepdims) if x.flags.f_contiguous else None
        n = x.ndim
        dims = tuple(range(n)) if axis is None else axis
        if type(dims) is not tuple or not dims:
            return None
        if len(dims) == n:
            if x.size < 1 << 15:
                return None
            flat, whole = x.reshape(-1), x.size // RUN * RUN
            made = np.asarray(add.reduce(flat[:whole].reshape(-1, RUN).dot(np.ones(RUN, x.dtype))) + add.reduce(flat[whole:]))
            return made.reshape((1,) * n) if keepdims else made
        first = dims == tuple(range(len(dims)))
        if not first and dims != tuple(range(n - len(dims), n)):
            middle = lanes(x.shape, dims)
            if middle is not None and middle[1] <= RUN:
                made = np.matmul(np.ones(middle[1], x.dtype), x.reshape(middle))
                rest = tuple([1 if d in dims else m for d, m in enumerate(x.shape) if keepdims or d not in dims])
                return made if made.shape == rest else made.reshape(rest)
            tail = tuple([d for d in range(n) if all([later in dims for later in range(d, n)])])
            part = by_blas(x, tail, True) if tail else None
            return None if part is None else add.reduce(part, dims, None, None, keepdims)
        rest = x.shape[len(dims) :] if first else x.shape[: -len(dims)]
        others = math.prod(rest)
        count = x.size // others
        if others < 8 or (count > RUN and not first):
            return None
        if keepdims:
            rest = tuple(1 if d in dims else m for d, m in enumerate(x.shape))
        if not first:
            return np.dot(x.reshape(others, -1), np.ones(count, x.dtype)).reshape(rest)
        rows, whole = x.reshape(-1, others), count // RUN * RUN
        made = np.dot(np.ones(count - whole, x.dtype), rows[whole:])
        if whole:
            made += add.reduce(np.matmul(np.ones(RUN, x.dtype), rows[:whole].reshape(-1, RUN, others)), 0)
        return made.reshape(rest)

    def few(x: Any, axis: Any, keepdims: bool) -> Any:
        """Return the sum of a few floats of the host, all or those of a matrix's rows or columns, as a product with ones, which
        takes a third of the time to begin; else None. (One alone would stay -0, and so be another number than PyTorch's.)"""
        if type(x) is not np.ndarray or keepdims or x.dtype.char not in "fd":
            return None
        if axis is None or len(axis) == x.ndim:
            return x.ravel().dot(backend.ones(x.size, x.dtype)) if 1 < x.size <= RUN else None
        if x.ndim != 2 or len(axis) != 1 or not 1 < x.shape[axis[0]] <= RUN:
            return None
        ones = backend.ones(x.shape[axis[0]], x.dtype)
        return x.dot(ones) if axis[0] else ones.dot(x)

    def total(x: Any, axis: Any, keepdims: bool) -> Any:
        if x.size < MANY:
            if (made := few(x, axis, keepdims)) is not None:
                return dense(made)
        else:
            if x.dtype.char == "?" and type(x) is np.ndarray and not keepdims and size(x, axis) == x.size:
                return np.asarray(np.count_nonzero(x), np.int64)
            if (made := by_blas(x, axis, keepdims)) is not None:
                return made
        made = add.reduce(x, axis, ADDS_IN[x.dtype.char], None, keepdims)
        return dense(made.astype(x.dtype) if x.dtype.char == "e" else made)

    def mean(x: Any, axis: Any, keepdims: bool) -> Any:
        made = (few if x.size < MANY else by_blas)(x, axis, keepdims)
        if made is None:
            made = add.reduce(x, axis, ADDS_IN[x.dtype.char], None, keepdims)
        made = made / size(x, axis)
        return dense(made if made.dtype is x.dtype else made.astype(x.dtype))

    def product(x: Any, axis: Any, keepdims: bool) -> Any:
        if x.size >= 4096 and x.size == size(x, axis) and x.dtype.char in "fd" and x.flags.c_contiguous and not keepdims:
            flat, whole = x.reshape(-1), x.size // 256 * 256  # 256 products side by side: one alone waits for each of its steps
            return xp.multiply.reduce(xp.multiply.reduce(flat[:whole].reshape(-1, 256), 0)) * xp.multiply.reduce(flat[whole:])
        made = xp.multiply.reduce(x, axis, ADDS_IN[x.dtype.char], None, keepdims)
        return dense(made.astype(x.dtype) if x.dtype.char == "e" else made)

    def squared(x: Any) -> Any:
        return x.real**2 + x.imag**2 if x.dtype.kind == "c" else x * x

    def squares(x: Any, axis: Any, middle: Any) -> Any:
        """Return the sum of |x - middle|^2 with its dims kept; middle (None: 0) has them too."""
        axis = every(x, axis)
        if middle is None and 0 < x.size == size(x, axis) and x.flags.c_contiguous and x.dtype.kind == "f":
            return x.reshape(-1).dot(x.reshape(-1)).reshape((1,) * x.ndim)
        if middle is None and type(x) is np.ndarray and x.dtype.char in "fd" and axis == (x.ndim - 1,) and VECDOT:
            return np.vecdot(x, x)[..., None]
        sizes = large(x, axis)
        if sizes is None:
            return add.reduce(squared(x) if middle is None else square_of(x - middle), axis, None, None, True)
        before, _, after = sizes
        kept = tuple(1 if a in axis else n for a, n in enumerate(x.shape))
        made = xp.zeros((before, 1, after), x.real.dtype)
        rows, centre = x.reshape(sizes), None if middle is None else middle.reshape(before, 1, after)
        for here, parts in groups(sizes, block):
            for p in parts:
                part = rows[here, p]
                off = part if centre is None else xp.subtract(part, centre[here], out=backend.scratch(part.shape, part.dtype))
                made[here] += added(square_of(off) if off is not part else squared(off), 1)
        return made.reshape(kept)

    def square_of(x: Any) -> Any:
        """Return |x|^2, in the memory of x where these are real."""
        return squared(x) if x.dtype.kind == "c" or not x.ndim else xp.multiply(x, x, out=x)

    def rest(made: Any, x: Any, axis: Any, keepdims: bool) -> Any:
        """Return what has the dims of x kept without those that are not to be."""
        axis = every(x, axis)
        return made if keepdims else made.reshape([n for a, n in enumerate(x.shape) if a not in axis])

    def variance(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
        n = size(x, axis)
        middle = by_blas(x, axis, True) if x.size >= MANY else None
        middle = (add.reduce(x, axis, None, None, True) if middle is None else middle) / x.dtype.type(n)
        made = squares(x, axis, middle)
        if (made <= squared(middle) * (n * (16 * xp.finfo(x.dtype).eps) ** 2)).any():  # no more than the mean was rounded by:
            middle += add.reduce(x - middle, axis, None, None, True) / x.dtype.type(n)  # equal numbers have no variance
            made = squares(x, axis, middle)
        return rest(made, x, axis, keepdims) / made.dtype.type(max(n - correction, 0))

    def deviation(x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
        return xp.sqrt(variance(x, axis, correction, keepdims))

    def norm2(x: Any, axis: Any, keepdims: bool) -> Any:
        if not keepdims and x.dtype.kind == "f":
            if (axis is None or len(axis) == x.ndim) and x.flags.c_contiguous:
                flat = x.reshape(-1)
                return xp.sqrt(flat.dot(flat))
            if type(x) is np.ndarray and x.dtype.char in "fd" and axis == (x.ndim - 1,) and VECDOT:
                return np.sqrt(np.vecdot(x, x))
        return xp.sqrt(rest(squares(x, axis, None), x, axis, keepdims))

    # ---- exponentials that are summed
    def highest(x: Any, axis: Any) -> Any:
        """Return the maximum (of complex numbers: of their real parts) with its dims kept."""
        return xp.maximum.reduce(x.real if x.dtype.kind == "c" else x, axis, None, None, True)

    def added(x: Any, axis: Any) -> Any:
        """Return a sum with its dims kept: that of a block's rows by BLAS, in a quarter of the time."""
        if axis == 1 and x.ndim == 3 and x.shape[2] == 1 and x.dtype.char in "fd":
            return x[:, :, 0].dot(xp.ones(x.shape[1], x.dtype))[:, None, None]
        blas = axis == 1 and x.ndim == 3 and x.shape[2] >= 64 and x.shape[1] <= RUN
        if blas and type(x) is np.ndarray and x.dtype.char in "fd":
            return np.matmul(np.ones((1, x.shape[1]), x.dtype), x)
        return add.reduce(x, axis, None, None, True)

    def products_added(x: Any, y: Any, out: Any, axis: Any) -> Any:
        """Return a sum of products with its dims kept: that of a block's rows by BLAS; out: memory for products."""
        if axis == 1 and x.ndim == 3 and x.shape[2] == 1 and x.dtype.char in "fd" and hasattr(xp, "vecdot"):
            return xp.vecdot(x[:, :, 0], y[:, :, 0])[:, None, None]
        return added(xp.multiply(x, y, out=out), axis)

    def blockwise(work: Kernel) -> Kernel:
        """Return a kernel (*inputs, axis) for a `work` (parts, first input, axis) that fills the last array of each part.

        out: memory for the result that no input lies in.
        """

        def run(*args: Any, out: Any = None) -> Any:
            *inputs, axis = args
            if inputs[0].dtype.char == "e":
                return run(*[x.astype(np.float32) for x in inputs], axis).astype(np.float16)
            inputs = [packed(x) for x in inputs]
            made = xp.empty_like(inputs[0]) if out is None or not out.flags.c_contiguous else out
            sizes = lanes(made.shape, every(made, axis)) if made.size >= SMALL else None
            if sizes is not None:
                views = [x.reshape(sizes) for x in (*inputs, made)]
                for here, parts in groups(sizes, block):
                    rows = [v[here] for v in views]
                    work([[v[:, p] for v in rows] for p in parts], rows[0], 1)
            elif made.size:
                work([(*inputs, made)], inputs[0], axis)
            return made if out is None or made is out else backend.give(made, out)

        return run

    def by_rows(blocks: Kernel, rows: Kernel, most: int = 1 << 14) -> Kernel:
        """Return a kernel (*inputs, axis) that takes host arrays of so many elements at most, reduced along their rows, as
        matrices: a few calls of the module, without blocks. `rows` returns None where a row needs more care than it takes."""

        def run(*args: Any, out: Any = None) -> Any:
            *inputs, axis = args
            x = inputs[0]
            if type(x) is np.ndarray and x.dtype.char in "fd" and 0 < x.size <= most and axis == (x.ndim - 1,):
                inputs = [packed(a) for a in inputs]
                made = rows(*(inputs if x.ndim == 2 else [a.reshape(-1, x.shape[-1]) for a in inputs]))
                if made is not None:
                    made = made if x.ndim == 2 else made.reshape(x.shape)
                    return made if out is None else backend.give(made, out)
            return blocks(*args, out=out)

        run.fills = True  # type: ignore[attr-defined]
        return run

    def below(x: Any) -> Any:
        """Return a matrix less its rows' maxima, whose exponentials do not overflow. Many rows share one top."""
        return x - (highest(x, 1) if len(x) <= FEW_ROWS else np.maximum.reduce(x, None))

    def sums(x: Any) -> Any:
        """Return the sums of a matrix's rows as a column."""
        if x.shape[1] > RUN:
            return add.reduce(x, 1, None, None, True)
        return x.dot(backend.ones(x.shape[1], x.dtype))[:, None]

    def fit(x: Any, total: Any) -> bool:
        """Say whether no row is far below the top it shares."""
        return len(x) <= FEW_ROWS or bool(np.minimum.reduce(total, None) > FAR_BELOW)

    def softmax_rows(x: Any) -> Any:
        made = below(x)
        np.exp(made, out=made)
        total = sums(made)
        if not fit(x, total):
            return None
        made /= total
        return made

    def log_softmax_rows(x: Any) -> Any:
        made = below(x)
        total = sums(np.exp(made))
        if not fit(x, total):
            return None
        made -= np.log(total, out=total)
        return made

    def softmax_back_rows(g: Any, y: Any) -> Any:
        made = g * y
        made -= y * sums(made)
        return made

    def log_softmax_back_rows(g: Any, y: Any) -> Any:
        made = np.exp(y)
        made *= sums(g)
        return np.subtract(g, made, out=made)

    def short(x: Any, axis: Any, most: int) -> bool:
        """Say whether a block is of rows of floats on the host, of so many at most."""
        host = type(x) is np.ndarray and x.dtype.char in "fd"
        return host and axis == 1 and x.ndim == 3 and x.shape[2] == 1 and 4 <= x.shape[1] <= most

    def repeat(column: Any, out: Any) -> Any:
        """Write a column, repeated along the rows, to a block: by BLAS, as a ufunc takes 0.1 us to begin a short row."""
        pair = np.zeros((len(column), 2), column.dtype)
        pair[:, 0] = column
        np.matmul(pair, np.ones((2, out.shape[1]), out.dtype), out=out[:, :, 0])
        return out

    def short_softmax(x: Any, out: Any) -> bool:
        """Write softmax of short rows by one top for all of them, if no row is far below it; say whether none is."""
        rest = backend.scratch(out.shape, out.dtype)
        np.exp(np.subtract(x, x.max(), out=rest), out=out)  # out may be far: exp has more to do meanwhile than a difference
        total = out[:, :, 0].dot(np.ones(x.shape[1], x.dtype))
        if not total.min() > FAR_BELOW:
            return False
        out *= repeat(1 / total, rest)
        return True

    def softmax(parts: Any, x: Any, axis: Any) -> None:
        if len(parts) == 1 and short(x, axis, 512) and short_softmax(*parts[0]):
            return
        top, total = highest(x, axis), None
        for part, out in parts:
            xp.exp(xp.subtract(part, top, out=backend.scratch(part.shape, part.dtype)), out=out)
            sums = added(out, axis)
            total = sums if total is None else total + sums
        for _, out in parts:
            xp.divide(out, total, out=out)

    def log_softmax(parts: Any, x: Any, axis: Any) -> None:
        if len(parts) == 1 and short(x, axis, 256) and (made := log_softmax_rows(x[:, :, 0])) is not None:
            parts[0][1][:, :, 0] = made
            return
        top, total = highest(x, axis), None
        near = bool((abs(top) < NEAR).all())
        for part, out in parts:
            if near:
                sums = added(xp.exp(part, out=out), axis)
            else:
                xp.subtract(part, top, out=out)
                sums = added(xp.exp(out), axis)
            total = sums if total is None else total + sums
        total = xp.log(total)
        for part, out in parts:
            xp.subtract(part if near else out, total, out=out)

    def softmax_back(parts: Any, h: Any, axis: Any) -> None:
        total: Any = None
        for slope, y, out in parts:
            sums = products_added(slope, y, out, axis)
            total = sums if total is None else total + sums
        for slope, y, out in parts:
            xp.subtract(slope, repeat(total[:, 0, 0], out) if short(out, axis, 96) else total, out=out)
            xp.multiply(out, y, out=out)

    def log_softmax_back(parts: Any, h: Any, axis: Any) -> None:
        total = sum([added(slope, axis) for slope, *_ in parts])
        for slope, y, out in parts:
            xp.exp(y, out=out)
            xp.multiply(out, total, out=out)
            xp.subtract(slope, out, out=out)

    def logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
        x, axis = packed(x), every(x, axis)
        made = xp.empty([1 if a in axis else n for a, n in enumerate(x.shape) if keepdims or a not in axis], x.dtype)
        if not x.size:
            made[...] = -np.inf
            return made
        sizes = large(x, axis)
        if sizes is None:
            top = finite(highest(x, axis))
            total = add.reduce(xp.exp(x - top), axis, None, None, keepdims)
            return xp.log(total) + top.reshape(total.shape)
        rows, out = x.reshape(sizes), made.reshape(sizes[0], 1, sizes[2])
        for here, parts in groups(sizes, block):
            log_total([rows[here, p] for p in parts], rows[here], 1, out[here])
        return made

    def finite(top: Any) -> Any:
        return xp.where(xp.isfinite(top), top, top.dtype.type(0))

    def log_total(parts: Any, x: Any, axis: Any, out: Any) -> None:
        top, total = finite(highest(x, axis)), None
        for part in parts:
            powers = xp.empty_like(part)
            xp.subtract(part, top, out=powers)
            sums = added(xp.exp(powers, out=powers), axis)
            total = sums if total is None else total + sums
        out[...] = xp.log(total) + top

    def logical(name: str) -> Kernel:
        function = getattr(xp, name)

        def run(x: Any, axis: Any, keepdims: bool) -> Any:
            x = x != 0 if x.size >= MANY and x.dtype.char != "?" else x  # at once, and not a buffer at a time
            return dense(function(x, axis=axis, keepdims=keepdims))

        return run

    # ---- extremes
    def extreme(name: str) -> Kernel:
        reduce = getattr(xp, f"{name}imum").reduce

        def run(x: Any, axis: Any, keepdims: bool) -> Any:
            return dense(reduce(x, axis, None, None, keepdims))

        return run

    def place_of(name: str) -> Kernel:
        method = f"arg{name}"

        def run(x: Any, axis: Any, keepdims: bool) -> Any:
            return xp.asarray(getattr(x, method)(axis, keepdims=keepdims), np.int64)

        return run

    def along(name: str) -> Kernel:
        reduce, method = getattr(xp, f"{name}imum").reduce, f"arg{name}"

        def run(x: Any, axis: int, keepdims: bool) -> Any:
            if not x.ndim:
                return x.copy(), xp.zeros((), np.int64)
            places = xp.asarray(getattr(x, method)(axis, keepdims=keepdims), np.int64)
            return xp.asarray(dense(reduce(x, axis, None, None, keepdims))), places

        return run

    # ---- scans
    def scan(name: str) -> Kernel:
        step = getattr(xp, name)

        def run(x: Any, axis: int) -> Any:
            kind = ADDS_IN[x.dtype.char] or x.dtype
            before, n, after = (x.size > block and lanes(x.shape, (axis,))) or (1, 1, 1)
            if not x.ndim:
                made = x.astype(kind)
            elif after >= 256:  # rows that are long enough to be taken one after another
                made = xp.array(x, kind, order="C")
                rows = made.reshape(before, n, after)
                for i in range(1, n):
                    step(rows[:, i - 1], rows[:, i], out=rows[:, i])
            else:
                made = dense(step.accumulate(x, axis, kind))
            return made.astype(x.dtype) if x.dtype.char == "e" else made

        return run

    # ---- by indices, and sorting
    def take_along(x: Any, indices: Any, axis: int) -> Any:
        if x.ndim < 2:
            return x.take(indices) if x.ndim else x.copy()
        return packed(x).reshape(-1).take(positions(xp, indices, x.shape[axis], axis))

    def put_along(x: Any, indices: Any, shape: Any, axis: int) -> Any:
        made = xp.zeros(shape, x.dtype)
        if x.dtype.kind == "i":  # classes that a program names; what a gradient comes back by was found here
            within(indices, shape[axis])
        if x.size:
            made.reshape(-1)[indices if made.ndim < 2 else positions(xp, indices, shape[axis], axis)] = x
        return made

    def keys(x: Any, n: int) -> Any:
        """Return integers in the order of x, and how far they can be moved up for numbers below n to stand behind them (0: they
        have 16 bits), where sorting by these pays; else None."""
        if type(x) is not np.ndarray or x.dtype.char not in "fil":
            return None
        if x.dtype.char in "il":
            low, bits = int(x.min()), n.bit_length()
            span = int(x.max()) - low
            if span < 1 << 16 and n >= 64:
                return (x - low).astype(np.uint16), 0
            return None if span >= 1 << (62 - bits) else (x - low, bits) if x.dtype.char == "l" else (x, 32)
        found = (x + np.float32(0)).view(np.int32)  # of -0 those of 0
        np.bitwise_xor(found, found >> 31 & 0x7FFFFFFF, out=found)
        np.copyto(found, 0x7FFFFFFF, where=x != x)  # nan is the largest
        return found, 32

    def strict_order(x: Any, axis: int) -> Any:
        """Return the order along axis of doubles of which no two are equal, by a sort that is not stable; else None."""
        if type(x) is not np.ndarray or x.dtype.char != "d" or x.shape[axis] < 2:
            return None
        few = np.sort(x.reshape(-1)[:: x.size // 256])
        if (few[1:] == few[:-1]).any():
            return None
        order = np.argsort(x, axis)
        ordered, along = take_along(x, order, axis), (slice(None),) * axis
        return order if (ordered[(*along, slice(1, None))] > ordered[(*along, slice(-1))]).all() else None  # nan is not

    def quick_order(x: Any, axis: int, descending: bool, part: Any) -> Any:
        """Return a part of the stable order of many elements in half the time or less; None where there is no way to."""
        found = keys(x, x.shape[axis])
        if found is None:
            order = strict_order(x, axis)
            whole = (slice(None),) * axis
            return None if order is None else packed(order[(*whole, slice(None, None, -1 if descending else 1))][part])
        numbers, bits = found
        if not bits:  # 16 of them: NumPy sorts these by their digits
            return packed(np.argsort(~numbers if descending else numbers, axis=axis, kind="stable")[part])
        order = (~numbers if descending else numbers).astype(np.int64, order="C")
        order <<= bits  # each with its place behind it
        order |= np.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        order.sort(axis)
        order &= (1 << bits) - 1
        return order[part]

    def argsort(x: Any, axis: int, descending: bool, first: int | None = None) -> Any:
        """Return the order of all along axis, or of the first of them."""
        if not x.ndim:
            return xp.zeros((), np.int64)
        axis %= x.ndim
        outer = (slice(None),) * axis
        order = quick_order(x, axis, descending, (*outer, slice(first))) if x.size >= 1 << 12 else None
        if order is not None:
            return order
        if not descending:
            order = xp.argsort(x, axis=axis, kind="stable")[(*outer, slice(first))]
        else:  # stable: sort the reversed array ascending, then reverse the order back
            back = (*outer, slice(None, None, -1))
            order = x.shape[axis] - 1 - xp.argsort(x[back], axis=axis, kind="stable")[back][(*outer, slice(first))]
        return order.astype(np.int64, copy=False)

    def sort(x: Any, axis: int, descending: bool) -> Any:
        order = argsort(x, axis, descending)
        return take_along(x, order, axis), order

    def ends(x: Any, k: int, axis: int, largest: bool) -> Any:
        """Return the places, in order, of the k largest or smallest elements of a few long rows; None where others equal the
        last of these, or it is nan."""
        n = x.shape[axis]
        if type(x) is not np.ndarray or n < 1 << 12 or x.size > 8 * n or axis % x.ndim != x.ndim - 1:
            return None
        at = n - k if largest else k - 1
        last = np.partition(x, at, -1)[..., at : at + 1]
        found = (x >= last if largest else x <= last).reshape(-1).nonzero()[0]
        rows = x.size // n
        if found.size != rows * k or (found.reshape(rows, k) // n != np.arange(rows)[:, None]).any():
            return None
        return (found % n).reshape(*x.shape[:-1], k)

    def topk(x: Any, k: int, axis: int, largest: bool) -> Any:
        if not x.ndim:
            return x.copy(), xp.zeros((), np.int64)
        n = x.shape[axis]
        part = [slice(None)] * x.ndim
        if k and n >= 8 * k and n > 64:
            found = ends(x, k, axis, largest)
            if found is None:
                part[axis] = slice(n - k, n) if largest else slice(0, k)
                found = xp.sort(xp.argpartition(x, n - k if largest else k - 1, axis)[tuple(part)], axis)
            order = take_along(found, argsort(take_along(x, found, axis), axis, largest), axis)
        else:
            order = packed(argsort(x, axis, largest, k))
        return take_along(x, order, axis), order

    return {
        "sum": total, "mean": mean, "prod": product, "norm2": wide(norm2), "var": wide(variance), "std": wide(deviation),
        "amax": extreme("max"), "amin": extreme("min"), "max_along": along("max"), "min_along": along("min"),
        "argmax": place_of("max"), "argmin": place_of("min"),
        "any": logical("any"), "all": logical("all"),
        "softmax": by_rows(blockwise(softmax), softmax_rows),
        "log_softmax": by_rows(blockwise(log_softmax), log_softmax_rows),
        "softmax_back": by_rows(blockwise(softmax_back), softmax_back_rows),
        "log_softmax_back": by_rows(blockwise(log_softmax_back), log_softmax_back_rows),
        "logsumexp": wide(logsumexp), "cumsum": scan("add"), "cumprod": scan("multiply"), "put_along": put_along,
        "argsort": argsort, "sort": sort, "topk": topk,
    }  # fmt: skip
