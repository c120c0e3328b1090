"""Random numbers: one counter-based stream a seed, the same on every device.

Owns: `Generator`, the default one, and what draws from it. The bits are Philox4x32-10: the n-th draw depends only on
(seed, n), so a device can make its own. May import: creation, backend. Must not know: how a device computes the bits.
Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wengert import backend, dtypes, errors, threads
from wengert._tensor import Tensor, wrap
from wengert.faces import face
from wengert.inplace import check, commit
from wengert.modes import state
from wengert.op import OPS
from wengert.ops.creation import chosen, filled, given, made, tensor
from wengert.ops.dims import index_of, shape_of, size_of
from wengert.ops.elementwise import overwrite
from wengert.ops.shapes import broadcast_shapes
from wengert.record import constant, relabel, structural

Array = np.ndarray[Any, Any]

ROUNDS = 10
MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
LOWER, UPPER = (0, 1) if sys.byteorder == "little" else (1, 0)  # the halves of a uint64 seen as uint32

PIECE = 8192  # blocks that are made at once: what they need stays in the processor's cache
WINDOW = 1024  # blocks that are made ahead for small draws, as a few cost as much as these; who has used them up gets a piece


def halves(x: Array) -> tuple[Array, Array]:
    """Return the lower and the upper 32 bits of uint64 values, as views."""
    parts = x.view(np.uint32)
    return parts[:, LOWER::2], parts[:, UPPER::2]


def planes(seed: int, first: int, count: int) -> Iterator[tuple[Array, Array]]:
    """Yield blocks first..first+count-1 of the stream of a seed, piece by piece: words 0 and 2, words 1 and 3 of each.

    Each is uint64[2, n] with numbers below 2^32, and is written to again for the next piece.
    """
    parts = zip((seed & 0xFFFFFFFF, seed >> 32), KEY_STEPS, strict=True)
    keys = [[(part + r * step) & 0xFFFFFFFF for r in range(ROUNDS)] for part, step in parts]
    rounds = np.array(keys, np.uint64).T[:, :, None]
    width = 0
    for start in range(first, first + count, PIECE):
        n = min(PIECE, first + count - start)
        if n != width:
            width = n
            c, d, p, q = (np.empty((2, n), np.uint64) for _ in range(4))
            own, into = halves(d)[0], halves(c)[0]
            # where each product's lower and, exchanged, upper halves are; the first is over the other by turns
            turned = [(p, *halves(p[::-1])), (q, *halves(q[::-1]))] * (ROUNDS // 2)
        p[0] = np.arange(start, start + n, dtype=np.uint64)  # as if a product of this counter had come before
        c[1] = d[1] = 0
        np.bitwise_and(p[0], LOW, out=c[0])
        np.right_shift(p[0], HALF, out=d[0])
        lower = own
        # words 0, 2 = upper half of the other product ^ words 1, 3 ^ key; words 1, 3 = its lower half
        for key, (product, turned_lower, turned_upper) in zip(rounds, turned, strict=True):
            np.multiply(c, MULTIPLIERS, out=product)
            np.bitwise_xor(turned_upper, lower, out=into)
            np.bitwise_xor(c, key, out=c)
            lower = turned_lower
        np.copyto(d, lower)
        yield c, d


# ---- what is made of a piece of blocks: (words 0 and 2, words 1 and 3) -> values in the order of the stream
def words(c: Array, d: Array) -> Array:
    """Return the four words of each block as they follow each other: uint32. Both arguments are written to."""
    lower, upper = (c, d) if LOWER == 0 else (d, c)
    np.left_shift(upper, HALF, out=upper)
    np.bitwise_or(lower, upper, out=lower)
    pairs = np.empty((c.shape[1], 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = lower
    return pairs.view(np.uint32).reshape(-1)


def uniform32(c: Array, d: Array) -> Array:
    """Return float32 in [0, 1) with 24 random bits, four a block."""
    return scaled(words(c, d), 24, dtypes.F32)


def scaled(bits: Array, count: int, dtype: np.dtype[Any]) -> Array:
    """Return the first `count` bits of words as floats in [0, 1)."""
    np.right_shift(bits, np.uint32(32 - count), out=bits)
    made: Array = np.multiply(bits.view(np.int32), dtype.type(2.0**-count), dtype=dtype, casting="unsafe")
    return made


def long_words(c: Array, d: Array) -> Array:
    """Return the two halves of each block as numbers below 2^53, int64[2, n]; c is written to."""
    np.left_shift(c, HALF, out=c)
    np.bitwise_or(c, d, out=c)
    return np.right_shift(c, np.uint64(11), out=c).view(np.int64)


def uniform64(c: Array, d: Array) -> Array:
    """Return float64 in [0, 1) with 53 random bits, two a block."""
    values = np.empty((c.shape[1], 2))
    values[:, 0], values[:, 1] = np.multiply(long_words(c, d), 2.0**-53)
    return values.reshape(-1)


def polar(radius: Array, angle: Array) -> Array:
    """Return r cos t, r sin t, r^2 = -2 log(1 - u), of uniform u and t / 2 pi: standard normal values, in pairs.

    Source: G. Box and M. Muller, A note on the generation of random normal deviates, 1958.
    """
    np.subtract(1, radius, out=radius)
    np.log(radius, out=radius)
    np.multiply(radius, -2, out=radius)
    np.sqrt(radius, out=radius)
    np.multiply(angle, angle.dtype.type(np.pi), out=angle)
    half = np.tan(angle, out=angle)  # of t / 2, by which cos t = 2 / (1 + half^2) - 1 and sin t = half (cos t + 1)
    above = half * half
    np.add(above, 1, out=above)
    np.divide(2, above, out=above)
    values = np.empty((radius.size, 2), radius.dtype)
    np.multiply(np.multiply(half, above, out=half), radius, out=values[:, 1])
    np.multiply(np.subtract(above, 1, out=above), radius, out=values[:, 0])
    return values.reshape(-1)


def normal32(c: Array, d: Array) -> Array:
    """Return standard normal float32, four a block."""
    pairs = uniform32(c, d).reshape(-1, 2)
    return polar(pairs[:, 0].copy(), pairs[:, 1].copy())


def normal64(c: Array, d: Array) -> Array:
    """Return standard normal float64, two a block."""
    first, second = np.multiply(long_words(c, d), 2.0**-53)
    return polar(first, second)


Maker = Callable[[Array, Array], Array]
PER_BLOCK: dict[Maker, int] = {words: 4, uniform32: 4, normal32: 4, uniform64: 2, normal64: 2}
TYPES: dict[Maker, np.dtype[Any]] = {words: np.dtype(np.uint32), uniform32: dtypes.F32, normal32: dtypes.F32}


def philox(seed: int, first: int, count: int) -> Array:
    """Return blocks first..first+count-1 of the stream of a seed: uint32[count, 4]."""
    return stream(words, seed, first, 4 * count).reshape(count, 4)


def stream(make: Maker, seed: int, first: int, count: int) -> Array:
    """Return `count` values of the stream of a seed, from block `first` on."""
    per = PER_BLOCK[make]
    with errors.roomy(f"{count} random numbers"):
        values = np.empty(count, TYPES.get(make, dtypes.F64))
    at = 0
    for c, d in planes(seed, first, -(-count // per)):
        piece = make(c, d)[: count - at]
        values[at : at + piece.size] = piece
        at += piece.size
    return values


class Window:
    """Blocks made ahead: what small draws take their values from."""

    def __init__(self, seed: int, first: int, blocks: int) -> None:
        self.seed, self.first, self.blocks = seed, first, blocks
        ((self.even, self.odd),) = planes(seed, first, blocks)
        self.values: dict[Maker, Array] = {}

    def holds(self, seed: int, first: int, blocks: int) -> bool:
        return self.seed == seed and self.first <= first and first + blocks <= self.first + self.blocks

    def after(self, seed: int, first: int) -> Window:
        """Return what holds the draws from here on: many where they go on from these, which are used up."""
        used = self.seed == seed and self.first < first <= self.first + self.blocks
        return Window(seed, first, PIECE if used else WINDOW)

    def take(self, make: Maker, first: int, count: int) -> Array:
        values = self.values.get(make)
        if values is None:
            values = self.values[make] = make(self.even.copy(), self.odd.copy())
        start = (first - self.first) * PER_BLOCK[make]
        return values[start : start + count].copy()


def _outside(name: str) -> None:
    """Raise RuntimeError in a capture: a program would neither seed nor ask for the seed again."""
    if state.recorder is not None:
        raise RuntimeError(f"{name} inside of a captured function would be called once, for all runs; call it outside")


class Generator:
    """A stream of random numbers: a seed and how far it was read, in blocks of four words."""

    def __init__(self, device: Any = "cpu") -> None:
        if device != "cpu":  # which would be looked for at import
            backend.resolve(device)
        self._place = device
        self._seed, self._offset = 0x9C5E, 0
        self._window: Window | None = None
        self._lock = threads.lock()

    @property
    def device(self) -> backend.device:
        return backend.resolve(self._place)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning and return the generator. Raises ValueError beyond 64 bits."""
        _outside("manual_seed")
        number = int(seed)
        if not -(1 << 63) <= number < 1 << 64:
            raise ValueError(f"Overflow when unpacking long long: a seed has 64 bits, got {number}")
        self._seed, self._offset = number & 0xFFFFFFFFFFFFFFFF, 0
        return self

    def seed(self) -> int:
        """Start the stream of a seed taken from the system and return the seed."""
        import secrets

        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        """Return the seed."""
        _outside("initial_seed")
        return self._seed

    def get_state(self) -> Tensor:
        """Return seed and position as a uint8 tensor."""
        _outside("get_state")
        return tensor(np.array([self._seed, self._offset], np.uint64).view(np.uint8))

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on where a state was taken. Raises RuntimeError for what is no state, TypeError for what is no uint8 tensor."""
        if not isinstance(new_state, Tensor) or new_state._array.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor: it comes from get_state()")
        values = new_state.host().tobytes()
        if len(values) != 16:
            raise RuntimeError("RNG state is wrong size: it must come from get_state()")
        self._seed, self._offset = (int(v) for v in np.frombuffer(values, np.uint64))
        return self

    def clone_state(self) -> Generator:
        """Return a generator that goes on as this one does."""
        return _resumed(self._place, self._seed, self._offset)

    def __reduce__(self) -> tuple[Any, ...]:
        return _resumed, (str(self._place), self._seed, self._offset)

    def draw(self, make: Maker, count: int) -> Array:
        """Return the next `count` values of a kind; whole blocks of four words are consumed."""
        if state.recorder is not None:
            raise NotImplementedError("random numbers inside a captured function would be the same in every run; draw them "
                                      "outside and pass them in")  # fmt: skip
        blocks = -(-count // PER_BLOCK[make])
        with self._lock:
            seed, first = self._seed, self._offset
            self._offset += blocks
            if blocks <= WINDOW:
                window = self._window
                if window is None:
                    window = self._window = Window(seed, first, WINDOW)
                elif not window.holds(seed, first, blocks):
                    window = self._window = window.after(seed, first)
                return window.take(make, first, count)
        return stream(make, seed, first, count)

    def taken(self, blocks: int) -> tuple[int, int]:
        """Go over the next blocks, which somebody else draws; return the seed and the first of them."""
        with self._lock:
            first = self._offset
            self._offset += blocks
            return self._seed, first

    def bits(self, count: int) -> Array:
        """Return the next `count` random uint32 values."""
        return self.draw(words, count)

    def uniforms(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return floats in [0, 1), of complex types both parts: of 53 random bits, or as many as the type holds exactly."""
        if dtypes.category(dtype) == dtypes.COMPLEX:
            return self.uniforms((*shape, 2), dtypes.to_numpy(dtypes.of(dtype).to_real())).view(dtype)[..., 0]
        count = size_of(shape)
        if dtype.itemsize < 4:
            made: Array = scaled(self.bits(count), 11 if dtype == np.float16 else 8, dtypes.F32).astype(dtype)
        else:
            made = self.draw(uniform64 if dtype == dtypes.F64 else uniform32, count)
        return made.reshape(shape)

    def normals(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return standard normal values; of complex types both parts have half the variance."""
        if dtypes.category(dtype) == dtypes.COMPLEX:
            parts = self.normals((*shape, 2), dtypes.to_numpy(dtypes.of(dtype).to_real()))
            return spread(parts, 0.5**0.5, 0).view(dtype)[..., 0]
        made = self.draw(normal64 if dtype == dtypes.F64 else normal32, size_of(shape)).reshape(shape)
        return made.astype(dtype, copy=False)

    def integers(self, low: int, high: int, count: int) -> Array:
        """Return int64 values in [low, high), each as often as the other but for 2^-16 or less of its chance."""
        span = high - low
        if span <= 1 << 16:
            made = self.bits(count).astype(np.int64)
            np.right_shift(np.multiply(made, span, out=made), 32, out=made)
        else:
            upper, lower = self.bits(2 * count).reshape(-1, 2).T.astype(np.uint64)
            if span <= 1 << 32:
                made = ((upper * np.uint64(span) + (lower * np.uint64(span) >> HALF)) >> HALF).view(np.int64)
            else:
                made = ((upper << HALF | lower) % np.uint64(span)).view(np.int64)
        return np.add(made, low, out=made) if low else made


def _resumed(place: Any, seed: int, offset: int) -> Generator:
    """Return a generator that goes on in the stream of a seed."""
    made = Generator(place)
    made._seed, made._offset = seed, offset
    return made


default_generator = Generator()


# ---- from host arrays to tensors
# what `make(shape)` draws when the kernel runs: in a captured function that is once in each run
drawn_ = structural("drawn", "x", lambda x, make, shape, dtype, place: (shape, dtype), params="make shape dtype place",
    constant=True)  # fmt: skip


class Uniforms:
    """What draws uniform values of a type: on the host, or where a device makes the same bits itself (`Backend.uniform`)."""

    def __init__(self, generator: Generator, dtype: np.dtype[Any]) -> None:
        self.generator, self.dtype = generator, dtype

    def __eq__(self, other: object) -> bool:  # one capture's is another's
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __call__(self, shape: tuple[int, ...]) -> Array:
        return self.generator.uniforms(shape, self.dtype)

    def there(self, place: backend.device, shape: tuple[int, ...]) -> Any:
        """Return a device's own array of the next values, None where it makes none."""
        draw = None if place.type == backend.HOST else getattr(place.backend, "uniform", None)
        if draw is None or self.dtype not in (dtypes.F32, dtypes.F64):
            return None
        per = PER_BLOCK[uniform32 if self.dtype == dtypes.F32 else uniform64]
        seed, first = self.generator.taken(-(-size_of(shape) // per))
        return draw(seed, first, shape, self.dtype, place.ordinal)


class Chances(Uniforms):
    """What draws bools that are false with a probability, of 24 random bits each: the same ones wherever they are made."""

    def __init__(self, generator: Generator, chance: float) -> None:
        super().__init__(generator, dtypes.F32)
        self.limit = round(chance * 2**24)

    def __call__(self, shape: tuple[int, ...]) -> Array:
        made: Array = self.generator.bits(size_of(shape)) >= self.limit << 8
        return made.reshape(shape)

    def there(self, place: backend.device, shape: tuple[int, ...]) -> Any:
        made = super().there(place, shape)
        return made if made is None else OPS["greater_equal"](made, constant(self.limit * 2.0**-24, dtypes.F32))


def drawn(
    make: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...], dtype: np.dtype[Any], device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Return a tensor of the random host array that make(shape) gives, of this dtype.

    Inside of a captured function each run draws anew; inside of vmap its randomness mode decides.
    """
    if state.recorder is None and state.batching is None:
        if backend.valueless(device):
            return filled(shape, 0, dtype, device, requires_grad)
        array = make.there(backend.resolve(device), shape) if isinstance(make, Uniforms) else None
        if array is not None:
            return wrap(array).requires_grad_() if requires_grad else wrap(array)
        return made(make(shape), device, requires_grad)
    if state.batching is not None:
        result: Tensor = state.batching.draw(drawn, make, shape, dtype, device)
    else:
        result = drawn_(wrap(constant(0, dtypes.F32)), make, shape, dtype, backend.resolve(device))
    return result.requires_grad_() if requires_grad else result


@face("manual_seed", method=False)
def manual_seed(seed: int) -> Generator:
    """Start the default stream of `seed` from its beginning."""
    return default_generator.manual_seed(seed)


@face("seed", method=False)
def seed() -> int:
    """Start the default stream of a seed taken from the system and return the seed."""
    return default_generator.seed()


@face("initial_seed", method=False)
def initial_seed() -> int:
    """Return the seed of the default stream."""
    return default_generator.initial_seed()


@face("get_rng_state", method=False)
def get_rng_state() -> Tensor:
    """Return the state of the default stream."""
    return default_generator.get_state()


@face("set_rng_state", method=False)
def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the default stream."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, *, device_type: str = "cpu") -> Iterator[None]:
    """Put the default stream, which all devices have, back to where it was at the end of the block."""
    before = default_generator.get_state()
    try:
        yield
    finally:
        if enabled:
            default_generator.set_state(before)


def _float(name: str, dtype: Any, out: Any) -> np.dtype[Any]:
    wanted = chosen(name, dtype, out)
    if dtypes.category(wanted) < dtypes.FLOATING:
        raise NotImplementedError(
            f"random floats need a floating-point or complex dtype, not {dtypes.of(wanted)}; randint() makes integers"
        )
    return wanted


def source(generator: Generator | None) -> Generator:
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    return generator


def _drawn(name: str) -> Any:
    def draw(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
             requires_grad: bool = False, out: Any = None, layout: Any = None, pin_memory: bool = False,
             **keywords: Any) -> Any:  # fmt: skip
        shape = shape_of((keywords.pop("size"),) if "size" in keywords and not size else size, name)
        if keywords:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(keywords))!r}")
        if shape and min(shape) < 0:
            raise errors.negative_size(shape)
        stream_ = source(generator)
        wanted = _float(name, dtype, out)
        make = Uniforms(stream_, wanted) if name == "rand" else lambda shape: stream_.normals(shape, wanted)
        return given(name, drawn(make, shape, wanted, device, requires_grad), out)

    def like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, generator: Any = None,
             layout: Any = None, memory_format: Any = None, pin_memory: bool = False) -> Any:  # fmt: skip
        dtype = input.dtype if dtype is None else dtype
        device = input.device if device is None else device
        return draw(tuple(input.shape), dtype=dtype, device=device, requires_grad=requires_grad, generator=generator)

    what = "uniform values in [0, 1)" if name == "rand" else "standard normal values"
    draw.__name__, draw.__doc__ = name, f"Return {what} of the given size, from the default or the given generator."
    like.__name__, like.__doc__ = f"{name}_like", f"Return {what} in the shape, dtype and device of input."
    face(name, method=False)(draw)
    face(f"{name}_like", method=False)(like)
    return draw, like


rand, rand_like = _drawn("rand")
randn, randn_like = _drawn("randn")


@face("randint", method=False)
def randint(low: Any = None, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
            device: Any = None, requires_grad: bool = False, out: Any = None, layout: Any = None,
            pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return uniform integers in [low, high) (from 0 when one bound is given). Raises RuntimeError for an empty range."""
    if size is None and isinstance(high, list | tuple):  # randint(high, size)
        high, size = None, high
    if size is None:
        raise TypeError("randint() missing the argument 'size'")
    low, high = bounds_of("randint", low, high)
    shape, wanted = shape_of((size,), "randint"), chosen("randint", dtype, out, dtypes.I64)
    make = integers(low, high, wanted, generator)
    return given("randint", drawn(make, shape, wanted, device, requires_grad), out)


def bounds_of(name: str, low: Any, high: Any) -> tuple[Any, Any]:
    """Return both bounds of a range: one alone, under either name, is the upper one. Raises TypeError for none."""
    if low is None and high is None:
        raise TypeError(f"{name}() missing the argument 'high'")
    return (0, low if high is None else high) if low is None or high is None else (low, high)


def integers(low: Any, high: Any, wanted: np.dtype[Any], generator: Generator | None) -> Callable[[tuple[int, ...]], Array]:
    """Return what draws integers in [low, high). Raises RuntimeError for a range that is empty, or too wide."""
    low, high = (int(v.item() if isinstance(v, Tensor) else v) for v in (low, high))
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    kind = dtypes.category(wanted)
    if kind == dtypes.COMPLEX:
        raise NotImplementedError(f"random integers are not implemented for {dtypes.of(wanted)}")
    if kind < dtypes.FLOATING:
        limits = (0, 1) if kind == dtypes.BOOL else (np.iinfo(wanted).min, np.iinfo(wanted).max)
        for name, value in (("from", low), ("to - 1", high - 1)):
            if not limits[0] <= value <= limits[1]:
                raise RuntimeError(f"{name} is out of bounds for {dtypes.of(wanted)}: {value}")
    drawing = source(generator)
    return lambda shape: drawing.integers(low, high, size_of(shape)).reshape(shape).astype(wanted, copy=False)


@face("randperm", method=False)
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
             out: Any = None, layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Return the integers 0..n-1 in random order: sorted by random keys, which they are the last bits of."""
    n = index_of("randperm", n)
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    wanted = chosen("randperm", dtype, out, dtypes.I64)
    width, drawing = np.uint64(max(n - 1, 0).bit_length()), source(generator)

    def order(shape: tuple[int, ...]) -> Array:
        """Return random orders along the last dim: of one, or of each element of a batch."""
        keys = drawing.bits(2 * size_of(shape)).view(np.uint64).reshape(shape)
        keys = np.sort((keys >> width << width) | np.arange(n, dtype=np.uint64), axis=-1)
        found = np.bitwise_and(keys, np.uint64((1 << int(width)) - 1), out=keys).view(np.int64)
        return found.astype(wanted, copy=False)

    return given("randperm", drawn(order, (n,), wanted, device, requires_grad), out)


def settled(label: str, draw: Tensor, *given_by: Any) -> Tensor:
    """Return a draw as something that was computed from tensors, each with a gradient of zero."""
    for x in given_by:
        if isinstance(x, Tensor) and x.requires_grad and state.grad:
            draw = relabel(overwrite(x.to(draw.dtype).expand(draw.shape), draw), label)
    return draw


@face("normal", method=False)
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
           device: Any = None, requires_grad: bool = False, out: Any = None, layout: Any = None,
           pin_memory: bool = False) -> Any:  # fmt: skip
    """Return mean + std * standard normal values; the size is given, or that of the tensors. Their gradients are zero.

    Raises RuntimeError for a standard deviation below 0.
    """
    like = next((v for v in (mean, std) if isinstance(v, Tensor)), None)
    given_by = mean, std
    mean, std = (v.detach() if isinstance(v, Tensor) else v for v in given_by)
    if isinstance(std, Tensor):
        if std.is_complex():
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if state.recorder is None and std.numel() and bool((_whole(std) < 0).any()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if like is not None and size is None:
        size = broadcast_shapes(*[v.shape for v in (mean, std) if isinstance(v, Tensor)])
        dtype, device = like.dtype if out is None else out.dtype, like.device
    if size is None:
        raise TypeError("normal() with two numbers needs the argument 'size'")
    result = randn(tuple(size), generator=generator, dtype=dtype, device=device) * std + mean
    if like is not None:
        which = isinstance(given_by[0], Tensor) + 2 * isinstance(given_by[1], Tensor)
        result = settled(f"NormalBackward{which}", result, *given_by)
    return given("normal", result.requires_grad_() if requires_grad else result, out)


@face("bernoulli")
def bernoulli(input: Any, p: Any = None, *, generator: Generator | None = None, out: Any = None) -> Any:
    """Return 1 with probability input (or p), else 0. Raises RuntimeError for a probability that is none."""
    chance = input.detach() if p is None else p
    if p is None and dtypes.category(input._array.dtype) != dtypes.FLOATING:
        raise NotImplementedError(f"bernoulli is not implemented for {input.dtype}: probabilities are floats")
    if isinstance(chance, Tensor):  # a captured function cannot ask for values
        whole = _whole(chance)
        fits = state.recorder is not None or bool(((whole >= 0) & (whole <= 1)).all())
    else:
        fits = 0 <= chance <= 1
    if not fits:
        raise RuntimeError("bernoulli: Expected p_in >= 0 && p_in <= 1 to be true")
    u = rand(tuple(input.shape), generator=generator, dtype=_draw_dtype(input), device=input.device)
    result = (u < chance).to(input.dtype if out is None else out.dtype)
    return given("bernoulli", result if out is not None else settled("BernoulliBackward0", result, input, p), out)


def _whole(x: Tensor) -> Tensor:
    """Return the tensor with all values that a check has to look at: inside of a transform, those of the whole batch."""
    while hasattr(x._array, "level"):
        x = x._array.value
    return x.detach()


@face("multinomial")
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
                out: Any = None) -> Any:  # fmt: skip
    """Return indices drawn with probabilities proportional to the rows of input.

    Raises RuntimeError for negative or all-zero weights, and for more samples than categories without replacement.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got {input.dim()}")
    if dtypes.category(input._array.dtype) != dtypes.FLOATING:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype}")
    if out is not None and out._array.dtype != dtypes.I64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype}")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    weights = input.detach().host().astype(np.float64)
    rows = weights.reshape(-1, weights.shape[-1])
    if not replacement and num_samples > rows.shape[1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if (rows < 0).any() or not np.isfinite(rows).all() or (rows.sum(1) <= 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0, or sums to 0 (multinomial)")
    if not replacement and len(rows) and num_samples > int((rows > 0).sum(1).min()):
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement (with positive weight)")
    if replacement:
        ends = np.cumsum(rows, 1) / rows.sum(1, keepdims=True)
        u = source(generator).uniforms((len(rows), num_samples), dtypes.F64)
        offsets = np.arange(len(rows))[:, None]  # one search for all rows: each lies between its number and the next
        picked = np.searchsorted((ends + offsets).reshape(-1), (u + offsets).reshape(-1), side="right").reshape(u.shape)
        picked = np.minimum(picked - offsets * rows.shape[1], (rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, 1))[:, None])
    else:  # the largest of u^(1/w), in logs (Efraimidis and Spirakis, 2006)
        with np.errstate(divide="ignore"):
            keys = np.log(1 - source(generator).uniforms(rows.shape, dtypes.F64)) / rows
        picked = np.argsort(-keys, axis=1, kind="stable")[:, :num_samples]
    result = made(picked.astype(np.int64, copy=False).reshape((*weights.shape[:-1], num_samples)), input.device)
    return given("multinomial", result, out)


# ---- in place
def write(name: str, self: Tensor, make: Callable[[tuple[int, ...]], Array], dtype: np.dtype[Any]) -> Tensor:
    """Let what is drawn be the values of a tensor; where that has a history, it ends here with zeros."""
    check(self)
    values = drawn(make, tuple(self.shape), dtype, self.device)
    return commit(name, self, values if self._edge is None else overwrite(self, values.to(self.dtype)))


def _draw_dtype(self: Tensor) -> np.dtype[Any]:
    own = self._array.dtype
    return own if dtypes.category(own) == dtypes.FLOATING and own.itemsize > 2 else dtypes.F32


def continuous(name: str, self: Tensor, complex_too: bool = False) -> np.dtype[Any]:
    """Return the type to draw in. Raises NotImplementedError for integers, which no continuous distribution has."""
    kind = dtypes.category(self._array.dtype)
    if kind < dtypes.FLOATING or (kind == dtypes.COMPLEX and not complex_too):
        raise NotImplementedError(f"{name} is not implemented for {self.dtype}: the distribution is one of floats")
    return self._array.dtype if kind == dtypes.COMPLEX else _draw_dtype(self)


def spread(values: Array, factor: float, shift: Any) -> Array:
    """Return values * factor + shift, written over them."""
    if factor != 1:
        np.multiply(values, values.dtype.type(factor), out=values)
    return np.add(values, values.dtype.type(shift), out=values) if shift != 0 else values


@face("uniform_", function=False)
def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None, **bounds: float) -> Any:
    """Write uniform values in [a, b)."""
    a, b = bounds.get("from", bounds.get("from_", a)), bounds.get("to", b)
    if b < a:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    dtype, drawing = continuous("uniform_", self, True), source(generator)
    return write("uniform_", self, lambda shape: spread(drawing.uniforms(shape, dtype), b - a, a), dtype)


@face("normal_", function=False)
def normal_(self: Any, mean: Any = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Write normal values of the given mean and standard deviation. Raises RuntimeError for std < 0."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    dtype, drawing = continuous("normal_", self, True), source(generator)
    return write("normal_", self, lambda shape: spread(drawing.normals(shape, dtype), std, mean), dtype)


@face("random_", function=False)
def random_(self: Any, *limits: int | None, generator: Generator | None = None, **bounds: int) -> Any:
    """Write uniform integers in [low, high); without a high all that the type holds exactly, from low or 0."""
    own, most = self._array.dtype, _exact_up_to(self._array.dtype)
    told = [*limits, *(bounds[name] for name in ("from", "to") if name in bounds)]
    low, high = told if len(told) == 2 else (told[0], None) if "from" in bounds else (0, told[0] if told else None)
    high = most if high is None else high
    return write("random_", self, integers(low, high, own, generator), own)


def _exact_up_to(dtype: np.dtype[Any]) -> int:
    """Return one more than the largest integer below which a type misses none."""
    if dtypes.category(dtype) == dtypes.FLOATING:
        return round(2 / dtypes.finfo(dtypes.of(dtype)).eps) + 1
    return 2 if dtype == dtypes.B8 else int(np.iinfo(dtype).max) + (dtype != dtypes.I64)


@face("exponential_", function=False)
def exponential_(self: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Write exponential values of rate lambd: -log(1 - u) / lambd, above 0."""
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    dtype, drawing = continuous("exponential_", self), source(generator)

    def make(shape: tuple[int, ...]) -> Array:
        u = drawing.uniforms(shape, dtype)
        np.log(np.subtract(1, u, out=u), out=u)
        np.negative(u, out=u)
        np.maximum(u, np.finfo(u.dtype).eps / 4, out=u)
        return spread(u, 1 / lambd, 0)

    return write("exponential_", self, make, dtype)


@face("bernoulli_", function=False)
def bernoulli_(self: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Write 1 with probability p, a number or a tensor, else 0. Raises RuntimeError for a probability that is none."""
    host = p.detach().host() if isinstance(p, Tensor) else p
    if not np.all((host >= 0) & (host <= 1)):
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    drawing = source(generator)
    return write("bernoulli_", self, lambda shape: np.less(drawing.uniforms(shape, dtypes.F32), host), dtypes.B8)
