"""Random numbers: one counter-based stream a seed, the same on every device.

Owns: `Generator`, the default one, and what draws from it. The bits are Philox4x32-10: the n-th draw depends only on
(seed, n), so a device can make its own. May import: creation, backend. Must not know: how a device computes the bits.
Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wengert import dtypes
from wengert._tensor import Tensor
from wengert.faces import face
from wengert.inplace import check, commit
from wengert.modes import state
from wengert.ops.creation import given, made, tensor
from wengert.ops.dims import shape_of, size_of
from wengert.ops.elementwise import overwrite

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(seed: int, first: int, count: int) -> np.ndarray[Any, Any]:
    """Return blocks first..first+count-1 of the stream of a seed: uint32[count, 4]."""
    with np.errstate(over="ignore"):
        counter = np.arange(first, first + count, dtype=np.uint64)
        c0, c1 = counter & LOW, counter >> HALF
        c2 = c3 = np.zeros(count, np.uint64)
        k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
        for _ in range(ROUNDS):
            p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
            c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ np.uint64(k0), p1 & LOW, (p0 >> HALF) ^ c3 ^ np.uint64(k1), p0 & LOW
            k0, k1 = (k0 + KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + KEY_STEPS[1]) & 0xFFFFFFFF
        return np.stack([c0, c1, c2, c3], 1).astype(np.uint32)


class Generator:
    """A stream of random numbers: a seed and how far it was read."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self._seed, self._offset = 0x9C5E, 0
        self._lock = threading.Lock()

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning and return the generator."""
        self._seed, self._offset = int(seed) & 0xFFFFFFFFFFFFFFFF, 0
        return self

    def seed(self) -> int:
        """Start the stream of a seed taken from the system and return the seed."""
        import secrets

        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        """Return the seed."""
        return self._seed

    def get_state(self) -> Tensor:
        """Return seed and position as a uint8 tensor."""
        return tensor(np.array([self._seed, self._offset], np.uint64).view(np.uint8))

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on where a state was taken."""
        values = new_state.host().view(np.uint64)
        if values.shape != (2,):
            raise RuntimeError("RNG state is wrong size: it must come from get_state()")
        self._seed, self._offset = int(values[0]), int(values[1])
        return self

    def clone_state(self) -> Generator:
        """Return a generator that goes on as this one does."""
        twin = Generator(self.device)
        twin._seed, twin._offset = self._seed, self._offset
        return twin

    def bits(self, count: int) -> np.ndarray[Any, Any]:
        """Return the next `count` random uint32 values; whole blocks of four are consumed."""
        if state.recorder is not None:
            raise NotImplementedError("random numbers inside a captured function would be the same in every run; draw them "
                                      "outside and pass them in")  # fmt: skip
        blocks = -(-count // 4)
        with self._lock:
            first = self._offset
            self._offset += blocks
        return philox(self._seed, first, blocks).reshape(-1)[:count]

    def uniforms(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Return floats in [0, 1): 24 random bits each, 53 for float64."""
        count = size_of(shape)
        if dtype == dtypes.F64:
            pairs = self.bits(2 * count).astype(np.uint64)
            return ((pairs[::2] << HALF | pairs[1::2]) >> np.uint64(11)).reshape(shape) * 2.0**-53
        return ((self.bits(count) >> np.uint32(8)) * np.float32(2.0**-24)).reshape(shape).astype(dtype)

    def normals(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Return standard normal values: r cos t, r sin t with r^2 = -2 log u (Box and Muller, 1958)."""
        count = size_of(shape)
        half = -(-count // 2)
        wide = dtypes.F64 if dtype == dtypes.F64 else dtypes.F32
        u = self.uniforms((2, half), wide)
        radius, angle = np.sqrt(-2 * np.log(1 - u[0])), u[1] * wide.type(2 * np.pi)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(shape).astype(dtype)


default_generator = Generator()


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
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Put the default stream back to where it was at the end of the block."""
    before = default_generator.get_state()
    try:
        yield
    finally:
        if enabled:
            default_generator.set_state(before)


def _float(dtype: Any) -> np.dtype[Any]:
    wanted = dtypes.default_float() if dtype is None else dtypes.to_numpy(dtype)
    if dtypes.category(wanted) != dtypes.FLOATING:
        raise RuntimeError(f"random floats need a floating-point dtype, not {dtypes.of(wanted)}; randint() makes integers")
    return wanted


def _drawn(name: str) -> Any:
    def draw(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
             requires_grad: bool = False, out: Any = None, layout: Any = None, **keywords: Any) -> Any:  # fmt: skip
        shape = shape_of((keywords.pop("size"),) if "size" in keywords and not size else size, name)
        if keywords:
            raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(keywords))!r}")
        source = generator or default_generator
        method = source.uniforms if name == "rand" else source.normals
        return given(name, made(method(shape, _float(dtype)), device, requires_grad), out)

    def like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, generator: Any = None,
             memory_format: Any = None) -> Any:  # fmt: skip
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
def randint(low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
            device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Return uniform integers in [low, high) (from 0 when one bound is given). Raises RuntimeError for an empty range."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    shape = shape_of((size,), "randint")
    wide = (generator or default_generator).bits(2 * size_of(shape)).astype(np.uint64)
    values = low + ((wide[::2] << HALF | wide[1::2]) % np.uint64(high - low)).astype(np.int64)
    wanted = dtypes.I64 if dtype is None else dtypes.to_numpy(dtype)
    return made(values.reshape(shape).astype(wanted), device, requires_grad)


@face("randperm", method=False)
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the integers 0..n-1 in random order."""
    keys = (generator or default_generator).bits(2 * n).astype(np.uint64)
    order = np.argsort(keys[::2] << HALF | keys[1::2], kind="stable")
    return made(order.astype(dtypes.I64 if dtype is None else dtypes.to_numpy(dtype)), device)


@face("normal", method=False)
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
           device: Any = None) -> Any:  # fmt: skip
    """Return mean + std * standard normal values; the size is given, or that of the tensors."""
    like = next((v for v in (mean, std) if isinstance(v, Tensor)), None)
    if like is not None and size is None:
        from wengert.ops.shapes import broadcast_shapes

        size = broadcast_shapes(*[v.shape for v in (mean, std) if isinstance(v, Tensor)])
        dtype, device = like.dtype, like.device
    return randn(tuple(size), generator=generator, dtype=dtype, device=device) * std + mean


@face("bernoulli")
def bernoulli(input: Any, p: Any = None, *, generator: Generator | None = None) -> Any:
    """Return 1 with probability input (or p), else 0."""
    chance = input if p is None else p
    return (rand_like(input, generator=generator) < chance).to(input.dtype)


@face("multinomial")
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Any:
    """Return indices drawn with probabilities proportional to the rows of input.

    Raises RuntimeError for negative or all-zero weights, and for more samples than categories without replacement.
    """
    weights = input.detach().host().astype(np.float64)
    rows = weights.reshape(-1, weights.shape[-1])
    if (rows < 0).any() or not np.isfinite(rows).all() or (rows.sum(1) <= 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0, or sums to 0 (multinomial)")
    if not replacement and num_samples > int((rows > 0).sum(1).min()):
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement (with positive weight)")
    source = generator or default_generator
    if replacement:
        ends = np.cumsum(rows, 1) / rows.sum(1, keepdims=True)
        u = source.uniforms((len(rows), num_samples), dtypes.F64)
        picked = np.stack([np.searchsorted(e, v, side="right") for e, v in zip(ends, u, strict=True)])
        picked = np.minimum(picked, rows.shape[1] - 1)
    else:  # the largest of u^(1/w), in logs (Efraimidis and Spirakis, 2006)
        with np.errstate(divide="ignore"):
            keys = np.log(1 - source.uniforms(rows.shape, dtypes.F64)) / rows
        picked = np.argsort(-keys, axis=1, kind="stable")[:, :num_samples]
    return made(picked.astype(np.int64).reshape((*weights.shape[:-1], num_samples)), input.device)


# ---- in place
def _fill(self: Tensor, host: np.ndarray[Any, Any]) -> Tensor:
    check(self)
    return commit("random", self, overwrite(self, made(host.astype(self._array.dtype), self.device)))


def _draw_dtype(self: Tensor) -> np.dtype[Any]:
    return self._array.dtype if dtypes.category(self._array.dtype) == dtypes.FLOATING else dtypes.F32


@face("uniform_", function=False)
def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None, **bounds: float) -> Any:
    """Write uniform values in [a, b)."""
    a, b = bounds.get("from_", a), bounds.get("to", b)
    if b < a:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    u = (generator or default_generator).uniforms(tuple(self.shape), _draw_dtype(self))
    return _fill(self, u * (b - a) + a)


@face("normal_", function=False)
def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Write normal values of the given mean and standard deviation. Raises RuntimeError for std < 0."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _fill(self, (generator or default_generator).normals(tuple(self.shape), _draw_dtype(self)) * std + mean)


@face("random_", function=False)
def random_(self: Any, low: int = 0, high: int | None = None, *, generator: Generator | None = None) -> Any:
    """Write uniform integers in [low, high)."""
    if high is None:
        low, high = (0, low) if low else (0, 2**24)
    return _fill(self, randint(low, high, tuple(self.shape), generator=generator).host())


@face("exponential_", function=False)
def exponential_(self: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Write exponential values of rate lambd: -log(u) / lambd."""
    u = (generator or default_generator).uniforms(tuple(self.shape), _draw_dtype(self))
    return _fill(self, -np.log1p(-u) / lambd)


@face("bernoulli_", function=False)
def bernoulli_(self: Any, p: float = 0.5, *, generator: Generator | None = None) -> Any:
    """Write 1 with probability p, else 0."""
    return _fill(self, (generator or default_generator).uniforms(tuple(self.shape), dtypes.F32) < p)
