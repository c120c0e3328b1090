"""Random numbers: the stream, its state, and the distributions that are made of it.

Owns what is drawn. May import: wengert, SciPy's distributions and, in tests marked `parity`, PyTorch.
Draws are from fixed seeds, so a test of a distribution gives the same verdict each time; it would fail for a wrong
formula, of which `test_the_tests_see_a_wrong_distribution` is the proof.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats as stats

import wengert as w
from wengert.ops import random

N = 100_000


# ---- the stream
def philox_block(seed: int, number: int) -> list[int]:
    """Return a block as the paper defines it, with Python's integers."""
    low = 0xFFFFFFFF
    c = [number & low, number >> 32, 0, 0]
    k = [seed & low, seed >> 32]
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [q >> 32 ^ c[1] ^ k[0], q & low, p >> 32 ^ c[3] ^ k[1], p & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return c


@pytest.mark.parametrize(("seed", "first", "count"), [(0, 0, 3), (7, 2**32 - 2, 4), (2**64 - 1, 2**40, 2), (1, 8190, 5), (3, 0, 20000)])
def test_blocks_are_those_of_the_paper(seed: int, first: int, count: int) -> None:
    made = random.philox(seed, first, count)
    assert made.shape == (count, 4) and made.dtype == np.uint32
    for i in {0, 1, count // 2, count - 1}:
        assert made[i].tolist() == philox_block(seed, first + i)


KINDS: dict[str, Callable[[int], w.Tensor]] = {
    "rand": lambda n: w.rand(n), "randn": lambda n: w.randn(n), "rand64": lambda n: w.rand(n, dtype=w.float64),
    "randn64": lambda n: w.randn(n, dtype=w.float64), "half": lambda n: w.rand(n, dtype=w.float16),
    "complex": lambda n: w.randn(n, dtype=w.complex64), "randint": lambda n: w.randint(0, 10, (n,)),
    "wide randint": lambda n: w.randint(-(2**40), 2**40, (n,)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_depends_on_seed_and_position_alone(kind: str) -> None:
    """Small draws come from blocks made ahead, large ones in pieces: the numbers are the same."""
    draw = KINDS[kind]
    w.manual_seed(5)
    large = draw(70_000).tolist()
    for n in (1, 3, 17, 1000, 5000):
        w.manual_seed(5)
        assert draw(n).tolist() == large[:n]
    w.manual_seed(5)
    parts = [draw(n).tolist() for n in (8, 4, 16, 4000, 8, 40_000, 4)]  # whole blocks
    start = 0
    for part in parts:
        assert part == large[start : start + len(part)]
        start += len(part)


def test_results_of_small_draws_are_ones_own() -> None:
    w.manual_seed(0)
    first = w.rand(4)
    kept = first.tolist()
    first.zero_()
    w.manual_seed(0)
    assert w.rand(4).tolist() == kept


def test_states_and_generators() -> None:
    mine = w.Generator().manual_seed(3)
    assert mine.initial_seed() == 3 and str(mine.device) == "cpu"
    w.rand(5, generator=mine)
    twin, state = mine.clone_state(), mine.get_state()
    after = w.randn(3, generator=mine).tolist()
    assert w.randn(3, generator=twin).tolist() == after
    assert w.randn(3, generator=w.Generator().set_state(state)).tolist() == after
    assert state.dtype is w.uint8 and w.Generator().seed() != w.Generator().seed()
    for wrong, kind in ((lambda: w.manual_seed(1 << 64), ValueError), (lambda: w.manual_seed(-(1 << 63) - 1), ValueError),
                        (lambda: w.Generator("nowhere"), RuntimeError), (lambda: w.rand(3, generator=5), TypeError)):
        with pytest.raises(kind):
            wrong()
    assert mine.initial_seed() == 3
    for wrong, kind in ((w.zeros(3, dtype=w.uint8), RuntimeError), (w.zeros(16), TypeError), (b"x", TypeError)):
        with pytest.raises(kind):
            mine.set_state(wrong)  # type: ignore[arg-type]
    w.manual_seed(9)
    with w.fork_rng():
        inside = w.rand(2).tolist()
    assert w.rand(2).tolist() == inside
    before = w.get_rng_state()
    with w.fork_rng([0], enabled=False, device_type="cuda"):
        w.rand(2)
    assert not w.equal(w.get_rng_state(), before)


def test_every_draw_takes_a_generator() -> None:
    x = w.full((6,), 0.5)
    draws: list[Callable[[Any], Any]] = [
        lambda g: w.rand(6, generator=g), lambda g: w.rand_like(x, generator=g), lambda g: w.randn_like(x, generator=g),
        lambda g: w.randint(0, 100, (6,), generator=g), lambda g: w.randint_like(x, 100, generator=g),
        lambda g: w.randperm(6, generator=g), lambda g: w.normal(x, 1.0, generator=g), lambda g: w.normal(0.0, x, generator=g),
        lambda g: w.normal(x, x, generator=g), lambda g: w.bernoulli(x, generator=g), lambda g: w.poisson(x, g),
        lambda g: w.multinomial(x, 4, generator=g), lambda g: w.binomial(x * 40, x, g), lambda g: x.clone().uniform_(generator=g),
        lambda g: x.clone().normal_(generator=g), lambda g: x.clone().exponential_(generator=g),
        lambda g: x.clone().cauchy_(generator=g), lambda g: x.clone().geometric_(0.2, generator=g),
        lambda g: x.clone().log_normal_(generator=g), lambda g: x.clone().random_(generator=g),
        lambda g: x.clone().bernoulli_(x, generator=g), lambda g: x.bernoulli(0.3, generator=g),
    ]  # fmt: skip
    default = w.get_rng_state()
    for draw in draws:
        assert draw(w.Generator().manual_seed(1)).tolist() == draw(w.Generator().manual_seed(1)).tolist()
        assert any(draw(w.Generator().manual_seed(1)).tolist() != draw(w.Generator().manual_seed(i)).tolist() for i in range(2, 9))
    assert w.equal(w.get_rng_state(), default)


def test_threads_draw_different_numbers() -> None:
    w.manual_seed(1)
    drawn: list[list[float]] = []
    threads = [threading.Thread(target=lambda: drawn.extend(w.rand(4).tolist() for _ in range(200))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    w.manual_seed(1)
    assert sorted(drawn) == sorted(w.rand(3200).reshape(-1, 4).tolist())


# ---- distributions
CONTINUOUS: dict[str, tuple[Callable[[], w.Tensor], Any]] = {
    "rand": (lambda: w.rand(N), stats.uniform()),
    "rand, float64": (lambda: w.rand(N, dtype=w.float64), stats.uniform()),
    "randn": (lambda: w.randn(N), stats.norm()),
    "randn, float64": (lambda: w.randn(N, dtype=w.float64), stats.norm()),
    "randn, complex": (lambda: w.randn(N, dtype=w.complex128).real, stats.norm(scale=0.5**0.5)),
    "normal, numbers": (lambda: w.normal(2.0, 3.0, (N,)), stats.norm(2, 3)),
    "normal, mean": (lambda: w.normal(w.full((N,), 2.0), 3.0), stats.norm(2, 3)),
    "normal, std": (lambda: w.normal(2.0, w.full((N,), 3.0)), stats.norm(2, 3)),
    "normal, tensors": (lambda: w.normal(w.full((N,), 2.0), w.full((N,), 3.0)), stats.norm(2, 3)),
    "normal_": (lambda: w.empty(N, dtype=w.float64).normal_(2, 3), stats.norm(2, 3)),
    "uniform_": (lambda: w.empty(N).uniform_(-1, 3), stats.uniform(-1, 4)),
    "exponential_": (lambda: w.empty(N).exponential_(2.0), stats.expon(scale=0.5)),
    "exponential_, float64": (lambda: w.empty(N, dtype=w.float64).exponential_(0.5), stats.expon(scale=2)),
    "cauchy_": (lambda: w.empty(N).cauchy_(1.0, 2.0), stats.cauchy(1, 2)),
    "log_normal_": (lambda: w.empty(N).log_normal_(0.5, 0.7), stats.lognorm(0.7, scale=np.exp(0.5))),
    "randint, wide": (lambda: w.randint(0, 2**40, (N,)).double() / 2**40, stats.uniform()),
    "randint, 32 bits": (lambda: w.randint(-(2**31), 2**31, (N,)).double() / 2**32 + 0.5, stats.uniform()),
    "random_": (lambda: w.empty(N, dtype=w.int64).random_().double() / 2.0**63, stats.uniform()),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name: str) -> None:
    draw, law = CONTINUOUS[name]
    w.manual_seed(1)
    assert stats.kstest(draw().double().numpy(), law.cdf).pvalue > 1e-3


def weights(*chances: float) -> Any:
    return stats.rv_discrete(values=(range(len(chances)), chances))


DISCRETE: dict[str, tuple[Callable[[], w.Tensor], Any]] = {
    "randint": (lambda: w.randint(-3, 7, (N,)), stats.randint(-3, 7)),
    "randint, 16 bits": (lambda: w.randint(0, 2**16, (N,)) // 2**12, stats.randint(0, 16)),
    "randint_like": (lambda: w.randint_like(w.zeros(N), 2, 7), stats.randint(2, 7)),
    "random_": (lambda: w.zeros(N).random_(2, 7), stats.randint(2, 7)),
    "random_, bool": (lambda: w.zeros(N, dtype=w.bool).random_(), stats.randint(0, 2)),
    "bernoulli": (lambda: w.bernoulli(w.full((N,), 0.3)), stats.bernoulli(0.3)),
    "bernoulli, p": (lambda: w.zeros(N).bernoulli(0.3), stats.bernoulli(0.3)),
    "bernoulli_": (lambda: w.zeros(N, dtype=w.int64).bernoulli_(0.3), stats.bernoulli(0.3)),
    "bernoulli_, tensor": (lambda: w.zeros(N).bernoulli_(w.full((N,), 0.3)), stats.bernoulli(0.3)),
    "geometric_": (lambda: w.zeros(N).geometric_(0.3), stats.geom(0.3)),
    "geometric_, integers": (lambda: w.zeros(N, dtype=w.int64).geometric_(0.3), stats.geom(0.3)),
    "multinomial": (lambda: w.multinomial(w.tensor([2.0, 0.0, 1.0, 5.0]), N, replacement=True), weights(0.25, 0, 0.125, 0.625)),
    "multinomial, rows": (lambda: w.multinomial(w.tensor([[9.0, 0, 0, 1], [2.0, 0, 1, 5]]), N, True)[1], weights(0.25, 0, 0.125, 0.625)),
    "multinomial, once": (lambda: w.multinomial(w.tensor([[2.0, 0, 1, 5]]).expand(N, 4), 3)[:, 0], weights(0.25, 0, 0.125, 0.625)),
    "randperm": (lambda: w.stack([w.randperm(8) for _ in range(4000)])[:, 3], stats.randint(0, 8)),
    **{f"poisson {m}": (lambda m=m: w.poisson(w.full((N,), m, dtype=w.float64)), stats.poisson(m)) for m in (0.2, 4, 9.9, 10, 300, 1e5)},
    **{f"binomial {n} {p}": (lambda n=n, p=p: w.binomial(w.full((N,), n), w.full((N,), p)), stats.binom(n, np.float32(p)))
       for n, p in ((1.0, 0.4), (7.0, 0.7), (200.0, 0.02), (200.0, 0.3), (200.0, 0.9), (1e6, 0.37))},
}  # fmt: skip


def p_value(values: np.ndarray, law: Any) -> float:
    """Return the chance of counts as uneven as these: Pearson's test, on ranges in which at least 20 are expected."""
    edges = np.unique(law.ppf(np.linspace(1e-3, 1 - 1e-3, 50)))
    chances = np.diff([0, *law.cdf(edges), 1])
    counts = np.diff([0, *(np.searchsorted(np.sort(values), edges, side="right")), len(values)])
    kept = chances * len(values) >= 20
    assert counts[chances < 1e-12].sum() == 0, "what is impossible was drawn"
    drawn, expected = counts[kept], chances[kept] * len(values)
    if chances[~kept].sum() > 0:  # the rare ones together
        drawn, expected = np.append(drawn, counts[~kept].sum()), np.append(expected, chances[~kept].sum() * len(values))
    return float(stats.chi2.sf(((drawn - expected) ** 2 / expected).sum(), len(drawn) - 1))


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(name: str) -> None:
    draw, law = DISCRETE[name]
    w.manual_seed(2)
    values = draw().double().numpy()
    assert (values == np.floor(values)).all()
    assert p_value(values, law) > 1e-3


def test_the_tests_see_a_wrong_distribution() -> None:
    w.manual_seed(1)
    assert stats.kstest((w.randn(N) * 1.02).numpy(), stats.norm().cdf).pvalue < 1e-3
    assert p_value(w.poisson(w.full((N,), 300.0)).numpy(), stats.poisson(302)) < 1e-3
    assert p_value(w.binomial(w.full((N,), 200.0), w.full((N,), 0.3)).numpy(), stats.binom(200, 0.303)) < 1e-3


def test_numbers_are_independent() -> None:
    """Neighbours in the stream, pairs of one Box-Muller step, and parts of complex numbers do not correlate."""
    w.manual_seed(4)
    for x in (w.randn(2 * N), w.randn(2 * N, dtype=w.float64), w.rand(2 * N) - 0.5):
        values = x.double().numpy()
        for lag in (1, 2, 3, 4):
            assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4 / len(values) ** 0.5
            assert abs(np.corrcoef(values[:-lag] ** 2, values[lag:] ** 2)[0, 1]) < 4 / len(values) ** 0.5
    z = w.randn(N, dtype=w.complex64).numpy()
    assert abs(np.corrcoef(z.real, z.imag)[0, 1]) < 4 / N**0.5 and np.mean(np.abs(z) ** 2) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_numbers_stay_below_one(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    w.manual_seed(6)
    x = w.rand(300_000, dtype=getattr(w, dtype)).double()
    assert 0 <= x.min().item() < 1e-2 and 0.99 < x.max().item() < 1
    assert w.empty(300_000, dtype=getattr(w, dtype)).exponential_().double().min().item() > 0


def test_permutations_are_complete() -> None:
    for n in (0, 1, 2, 7, 1000):
        assert sorted(w.randperm(n).tolist()) == list(range(n))
    without = w.multinomial(w.rand(50, 20) + 0.01, 20)
    assert (without.sort(1).values == w.arange(20)).all()


def test_draws_with_out() -> None:
    for draw in (lambda **o: w.rand(3, **o), lambda **o: w.randn((3,), **o), lambda **o: w.randint(1, 3, (3,), **o),
                 lambda **o: w.randperm(3, **o), lambda **o: w.normal(w.ones(3), 1.0, **o),
                 lambda **o: w.bernoulli(w.full((3,), 0.5), **o)):  # fmt: skip
        out = w.empty(0)
        w.manual_seed(1)
        assert draw(out=out) is out and out.dtype is w.float32
        w.manual_seed(1)
        assert out.tolist() == draw().tolist()


def test_the_gradient_of_a_draw_is_zero() -> None:
    x, y = w.full((3,), 0.5, requires_grad=True), w.full((2, 3), 0.5, dtype=w.float64, requires_grad=True)
    for drawn in (w.rand_like(x), w.binomial(x, x)):
        assert not drawn.requires_grad
    for drawn, name in ((w.normal(x, 2.0), "Normal1"), (w.normal(0.0, x), "Normal2"), (w.normal(x, y), "Normal3"),
                        (w.bernoulli(x), "Bernoulli0"), (x.bernoulli(), "Bernoulli0"), (w.poisson(x), "Poisson0")):  # fmt: skip
        (g,) = w.autograd.grad((drawn * 3).sum(), x)
        assert g.tolist() == [0.0, 0.0, 0.0] and drawn.grad_fn.name() == f"{name[:-1]}Backward{name[-1]}", name
    with w.no_grad():
        assert not w.normal(x, y).requires_grad
    y = x * 2
    y.normal_()
    (g,) = w.autograd.grad(y.sum(), x, allow_unused=True)
    assert g is None or not g.any()


WRONG: list[tuple[str, type[Exception]]] = [
    ("rand(3, dtype=T.int64)", NotImplementedError), ("randn(-1)", RuntimeError), ("randint(3, 3, (2,))", RuntimeError),
    ("randint(0, 300, (2,), dtype=T.uint8)", RuntimeError), ("randperm(-1)", RuntimeError), ("normal(0.0, -1.0, (2,))", RuntimeError),
    ("normal(T.zeros(2), -T.ones(2))", RuntimeError), ("bernoulli(T.full((2,), 1.5))", RuntimeError),
    ("bernoulli(T.ones(2, dtype=T.int64))", NotImplementedError), ("zeros(2).bernoulli_(2.0)", RuntimeError),
    ("zeros(2).uniform_(1, 0)", RuntimeError), ("zeros(2).normal_(0, -1)", RuntimeError), ("zeros(2).exponential_(0)", RuntimeError),
    ("zeros(2).cauchy_(0, 0)", RuntimeError), ("zeros(2).geometric_(1)", RuntimeError), ("zeros(2).log_normal_(0, -1)", RuntimeError),
    ("zeros(2, dtype=T.int64).uniform_()", NotImplementedError), ("zeros(2, dtype=T.int64).normal_()", NotImplementedError),
    ("poisson(-T.ones(2))", RuntimeError), ("multinomial(T.ones(2), 3)", RuntimeError), ("multinomial(T.zeros(2), 1)", RuntimeError),
    ("multinomial(-T.ones(2), 1)", RuntimeError), ("multinomial(T.ones(2), 0)", RuntimeError), ("multinomial(T.ones(1, 1, 2), 1)", RuntimeError),
    ("zeros(2).random_(5, 5)", RuntimeError), ("binomial(T.ones(2).long(), T.ones(2))", ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind"), WRONG)
def test_impossible_draws_are_refused(call: str, kind: type[Exception]) -> None:
    before = w.get_rng_state()
    with pytest.raises(kind):
        eval(f"T.{call}", {"T": w})
    assert w.equal(w.get_rng_state(), before), "numbers were drawn for nothing"


@pytest.mark.parity
@pytest.mark.parametrize(("call", "kind"), WRONG)
def test_torch_refuses_them_too(call: str, kind: type[Exception]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        eval(f"T.{call}", {"T": torch})
