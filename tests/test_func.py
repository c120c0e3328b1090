"""Function transforms: each op batched and pushed forward, transforms of transforms, and PyTorch's torch.func beside them.

Owns: the proofs of wengert.func. May import: the case table (each row is run under vmap, jvp and vmap of grad), wengert,
NumPy and, inside tests marked `parity`, torch. Must not know: how a transform treats any op.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import families
import wengert as w
from test_ops import title
from wengert import func
from wengert.extend import structural
from wengert.op import OPS
from wengert.testing.cases import FUNCTIONS, Case, Sample
from wengert.testing.ops import call, flat

BATCH = 3
# Rows that compute nothing from one element of a batch: they ask for values, draw numbers, or write.
NO_BATCH = {
    "allclose", "equal", "is_nonzero", "item", "masked_select", "nonzero", "numel", "tolist", "result_type", "new_tensor",
    "to", "type", "cpu", "type_as", "is_same_size", "argwhere", "bincount", "unique", "logical_and_", "index_put",
    "is_contiguous", "stride", "is_complex", "can_cast", "data_ptr",
}  # fmt: skip


def cases() -> list[Case]:
    return [c for c in FUNCTIONS.values() if c.samples and not c.random and c.name not in NO_BATCH and any(s.leaves() for s in c.samples)]


def batch_of(case: Case, sample: Sample) -> list[np.ndarray[Any, Any]] | None:
    """Return BATCH different values for each leaf, in front."""
    base = sample.arrays(case.name)
    if not base:
        return None
    rng = np.random.default_rng(7)
    made = []
    for leaf, first in zip(sample.leaves(), base, strict=True):
        others = [leaf.array(rng) for _ in range(BATCH - 1)]
        made.append(np.stack([first, *others]))
    return made


def data_dependent(sample: Sample) -> bool:
    """Say whether a sample indexes by a mask, so that elements of a batch differ in shape."""
    return any(leaf.array(np.random.default_rng(0)).dtype == bool for leaf in sample.leaves())


def run_one(case: Case, sample: Sample, values: list[Any]) -> list[Any]:
    return [r for r in flat(call(w, case, sample, values)) if isinstance(r, w.Tensor)]


@pytest.mark.parametrize("case", cases(), ids=title)
def test_a_batch_gives_what_its_elements_give(case: Case) -> None:
    for sample in case.samples:
        batch = batch_of(case, sample)
        if batch is None:
            continue
        try:
            expected = [run_one(case, sample, [w.from_numpy(b[i].copy()) for b in batch]) for i in range(BATCH)]
        except Exception:
            continue  # other values do not fit this sample
        shapes = {tuple(tuple(r.shape) for r in e) for e in expected}
        if len(shapes) > 1 or not expected[0] or (data_dependent(sample) and case.name in ("__getitem__", "__setitem__")):
            continue
        batched = func.vmap(lambda *values, sample=sample: tuple(run_one(case, sample, list(values))))
        if case.name == "where" and len(sample.args) == 1:
            with pytest.raises(RuntimeError):  # its shape depends on the values
                batched(*[w.from_numpy(b) for b in batch])
            continue
        got = batched(*[w.from_numpy(b) for b in batch])
        for k, result in enumerate(got):
            rows = np.stack([e[k].numpy() for e in expected])
            np.testing.assert_allclose(result.numpy(), rows, 1e-12, 1e-12, err_msg=f"{case.name}{sample}")
            assert result.dtype == expected[0][k].dtype


def scalar(case: Case, sample: Sample) -> Callable[..., Any]:
    """Return the sum of all smooth results, weighted unevenly."""

    def total(*values: Any) -> Any:
        found = [r for r in run_one(case, sample, list(values)) if r.is_floating_point()]
        terms = [(r * w.linspace(1, 2, r.numel(), dtype=w.float64).reshape(r.shape)).sum() for r in found if r.numel()]
        return sum(terms[1:], terms[0])

    return total


def smooth(case: Case, sample: Sample) -> list[int]:
    return [i for i, leaf in enumerate(sample.leaves()) if leaf.floating and not leaf.constant]


@pytest.mark.parametrize("case", [c for c in (*cases(), *families.RECORDS.values()) if c.order > 0 and not c.random], ids=title)
def test_forward_mode_agrees_with_backward(case: Case) -> None:
    """Along a direction t, forward mode gives <grad, t>."""
    for sample in case.samples:
        arrays, places = sample.arrays(case.name), smooth(case, sample)
        values = [w.tensor(a, requires_grad=i in places) for i, a in enumerate(arrays)]
        try:
            y = scalar(case, sample)(*values)
        except (IndexError, RuntimeError):
            continue
        places = [i for i in places if case.name != "zeta" or i]  # the one record without a rule for its first input
        if not places or not y.requires_grad:
            continue
        grads = w.autograd.grad(y, [values[i] for i in places], allow_unused=True, materialize_grads=True)
        rng = np.random.default_rng(3)
        directions = [w.from_numpy(np.asarray(rng.standard_normal(arrays[i].shape))) for i in places]

        def of_places(*moving: Any, arrays: Any = arrays, places: Any = places, sample: Any = sample) -> Any:
            whole = [w.from_numpy(np.asarray(a)) for a in arrays]
            for i, value in zip(places, moving, strict=True):
                whole[i] = value
            return scalar(case, sample)(*whole)

        points = tuple(w.from_numpy(np.asarray(arrays[i])) for i in places)
        try:
            value, slope = func.jvp(of_places, points, tuple(directions))
        except NotImplementedError as error:  # as in PyTorch
            assert "sparse tensors" in str(error)
            continue
        expected = sum(float((g * t).sum()) for g, t in zip(grads, directions, strict=True))
        np.testing.assert_allclose(value.item(), y.item(), 1e-12, err_msg=f"{case.name}{sample}")
        np.testing.assert_allclose(slope.item(), expected, 1e-9, 1e-9, err_msg=f"{case.name}{sample}")


@pytest.mark.parametrize("case", [c for c in cases() if c.order > 0], ids=title)
def test_gradients_of_a_batch_at_once(case: Case) -> None:
    for sample in case.samples:
        batch, places = batch_of(case, sample), tuple(smooth(case, sample))
        if batch is None or not places:
            continue
        one = func.grad(scalar(case, sample), argnums=places)
        try:
            expected = [one(*[w.from_numpy(b[i].copy()) for b in batch]) for i in range(BATCH)]
        except Exception:
            continue
        if data_dependent(sample) and case.name in ("__getitem__", "__setitem__"):
            continue
        got = func.vmap(one)(*[w.from_numpy(b) for b in batch])
        for k, result in enumerate(got):
            np.testing.assert_allclose(
                result.numpy(), np.stack([e[k].numpy() for e in expected]), 1e-10, 1e-10, err_msg=f"{case.name}{sample}"
            )


# ---- transforms of transforms, beside torch.func
def programs() -> dict[str, Callable[[Any, Any], Any]]:
    """Return programs (library, its func module) -> results; vectors a, b, matrix m are at hand in every one."""

    def vectors(T: Any) -> tuple[Any, Any, Any]:
        a = T.linspace(0.3, 1.7, 4, dtype=T.float64)
        b = T.linspace(-1.0, 2.0, 4, dtype=T.float64)
        return a, b, (a.unsqueeze(1) * b).sin()

    def f(x: Any) -> Any:
        return (x.unsqueeze(0) * x.unsqueeze(1)).sin().sum(1)

    def g(x: Any) -> Any:
        return f(x).pow(2).sum()

    def loss(p: Any, x: Any, t: Any) -> Any:
        return ((x * p).tanh().sum() - t) ** 2

    def both(T: Any, F: Any) -> Any:
        a, _, m = vectors(T)
        w_ = a.clone().requires_grad_()
        y = F.vmap(lambda row: (row * w_).exp().sum())(m).sum()
        return T.autograd.grad(y, w_)

    def in_place(T: Any, F: Any) -> Any:
        def change(x: Any) -> Any:
            y = x * 2
            y[1:] += x[:-1]
            y[0] = x.sum()
            y.mul_(x)
            return y

        a, b, m = vectors(T)
        return F.vmap(change)(m), F.jvp(change, (a,), (b,)), F.vmap(F.grad(lambda x: change(x).sum()))(m)

    def dicts(T: Any, F: Any) -> Any:
        a, b, m = vectors(T)
        made, pull = F.vjp(lambda d, s: {"out": d["a"] * d["b"][0] + s}, {"a": a, "b": [b]}, m)
        return made["out"], pull({"out": m})

    return {
        "grad": lambda T, F: F.grad(g)(vectors(T)[0]),
        "grad of grad": lambda T, F: F.grad(lambda x: F.grad(g)(x).sin().sum())(vectors(T)[0]),
        "no confusion of perturbations": lambda T, F: F.grad(lambda x: x * F.grad(lambda y: x * y)(x))(T.tensor(3.0)),
        "nested confusion": lambda T, F: F.grad(lambda x: x * F.jvp(lambda y: x * y, (x,), (T.tensor(1.0),))[1])(T.tensor(3.0)),
        "argnums": lambda T, F: F.grad(lambda x, y: (x * y**2).sum(), argnums=(1, 0))(*vectors(T)[:2]),
        "has_aux": lambda T, F: F.grad(lambda x: ((x**3).sum(), {"y": x * 2}), has_aux=True)(vectors(T)[0]),
        "grad_and_value": lambda T, F: F.grad_and_value(g)(vectors(T)[0]),
        "vjp": lambda T, F: F.vjp(f, vectors(T)[0])[1](vectors(T)[1]),
        "vjp of containers": dicts,
        "jvp": lambda T, F: F.jvp(f, (vectors(T)[0],), (vectors(T)[1],)),
        "jvp of jvp": lambda T, F: F.jvp(lambda x: F.jvp(f, (x,), (x,))[1], (vectors(T)[0],), (vectors(T)[1],)),
        "jvp of grad": lambda T, F: F.jvp(F.grad(g), (vectors(T)[0],), (vectors(T)[1],)),
        "grad of jvp": lambda T, F: F.grad(lambda x: F.jvp(f, (x,), (vectors(T)[1],))[1].sum())(vectors(T)[0]),
        "jvp of products": lambda T, F: F.jvp(lambda x, m: (m @ x, m.T @ m, x @ x), vectors(T)[::2], vectors(T)[1:3][:1] + (vectors(T)[2].cos(),)),
        "linearize": lambda T, F: F.linearize(f, vectors(T)[0])[1](vectors(T)[1]),
        "jacrev": lambda T, F: F.jacrev(f)(vectors(T)[0]),
        "jacfwd": lambda T, F: F.jacfwd(f)(vectors(T)[0]),
        "jacobians of matrices": lambda T, F: (F.jacrev(lambda m: m @ m)(vectors(T)[2]), F.jacfwd(lambda m: m @ m)(vectors(T)[2])),
        "jacobian of two results": lambda T, F: F.jacrev(lambda x, y: (x * y, x.sum()), argnums=(0, 1))(*vectors(T)[:2]),
        "jacfwd of two results": lambda T, F: F.jacfwd(lambda x, y: (x * y, x.sum()), argnums=(0, 1))(*vectors(T)[:2]),
        "hessian": lambda T, F: F.hessian(g)(vectors(T)[0]),
        "jacfwd of jacrev": lambda T, F: F.jacfwd(F.jacrev(f))(vectors(T)[0]),
        "jacrev of jacfwd": lambda T, F: F.jacrev(F.jacfwd(f))(vectors(T)[0]),
        "jacrev of jacrev": lambda T, F: F.jacrev(F.jacrev(f))(vectors(T)[0]),
        "third order": lambda T, F: F.jacfwd(F.jacrev(F.grad(g)))(vectors(T)[0]),
        "vmap": lambda T, F: F.vmap(lambda x, y: (x * y).sum(), in_dims=(0, None))(vectors(T)[2], vectors(T)[0]),
        "vmap of other dims": lambda T, F: F.vmap(lambda x, y: x * y, in_dims=(1, 0), out_dims=1)(vectors(T)[2], vectors(T)[0]),
        "vmap of containers": lambda T, F: F.vmap(lambda d: {"s": d["x"].sum(), "t": (d["y"], d["x"])}, in_dims=({"x": 0, "y": None},))({"x": vectors(T)[2], "y": vectors(T)[0]}),
        "vmap in pieces": lambda T, F: F.vmap(lambda x: x.softmax(0), chunk_size=3)(vectors(T)[2]),
        "vmap of vmap": lambda T, F: F.vmap(F.vmap(lambda x, y: x.sin() * y, in_dims=(0, None)))(vectors(T)[2], vectors(T)[0]),
        "an outer product by vmap": lambda T, F: F.vmap(F.vmap(T.mul, (None, 0)), (0, None))(*vectors(T)[:2]),
        "vmap of grad": lambda T, F: F.vmap(F.grad(loss), (None, 0, 0))(vectors(T)[0], vectors(T)[2], vectors(T)[1]),
        "grad of vmap": lambda T, F: F.grad(lambda m: F.vmap(f)(m).sum())(vectors(T)[2]),
        "vmap of jvp": lambda T, F: F.vmap(lambda t: F.jvp(f, (vectors(T)[0],), (t,))[1])(vectors(T)[2]),
        "jvp of vmap": lambda T, F: F.jvp(lambda m: F.vmap(f)(m), (vectors(T)[2],), (vectors(T)[2].cos(),)),
        "vmap of hessian": lambda T, F: F.vmap(F.hessian(g))(vectors(T)[2]),
        "gradient of a closure through vmap": both,
        "writes": in_place,
        "comparisons and choices": lambda T, F: F.vmap(F.grad(lambda x: T.where(x > 0, x**2, -x).sum()))(vectors(T)[2]),
        "sorting, scans, statistics": lambda T, F: F.vmap(lambda x: (x.sort()[0], x.cumsum(0), x.std(), x.argmax(), x.max(0)[0], x.norm()))(vectors(T)[2]),
        "indexing": lambda T, F: F.vmap(lambda x, i: (x[i], x[1:], x[None, :2], x[[0, 2]], x.gather(0, i.reshape(1))))(vectors(T)[2], T.tensor([0, 3, 1, 2])),
        "joining": lambda T, F: F.vmap(lambda x, y: (T.cat([x, y]), T.stack([x, y]), T.stack([x, x], 1)), (0, None))(vectors(T)[2], vectors(T)[0]),
        "products": lambda T, F: F.vmap(lambda x, y: (x @ y, T.dot(x, x), T.outer(x, y), T.einsum("i,i->", x, y)), (0, None))(vectors(T)[2], vectors(T)[0]),
        "detach": lambda T, F: F.grad(lambda x: (x * x.detach()).sum())(vectors(T)[0]),
        "unused": lambda T, F: F.grad(lambda x: T.ones((), dtype=T.float64))(vectors(T)[0]),
    }  # fmt: skip


def same(mine: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple | list):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            same(a, b)
    elif isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            same(mine[key], theirs[key])
    else:
        assert tuple(mine.shape) == tuple(theirs.shape) and str(mine.dtype) == str(theirs.dtype)
        assert mine.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), 1e-10, 1e-10)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
@pytest.mark.parametrize("name", programs())
def test_programs_equal_torch(name: str) -> None:
    import torch

    program = programs()[name]
    same(program(w, func), program(torch, torch.func))


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "grad of a vector": lambda T, F: F.grad(lambda x: x)(T.ones(2)),
    "grad of a number": lambda T, F: F.grad(lambda x: 1.0)(T.ones(2)),
    "argnums out of range": lambda T, F: F.grad(lambda x: x.sum(), argnums=2)(T.ones(2)),
    "argnums twice": lambda T, F: F.grad(lambda x: x.sum(), argnums=(0, 0))(T.ones(2)),
    "grad of no tensor": lambda T, F: F.grad(lambda x: T.ones(()) * x)(3.0),
    "aux without a pair": lambda T, F: F.grad(lambda x: x.sum(), has_aux=True)(T.ones(2)),
    "vjp with a wrong shape": lambda T, F: F.vjp(lambda x: x, T.ones(2))[1](T.ones(3)),
    "jvp of another structure": lambda T, F: F.jvp(lambda x: x, (T.ones(2),), (T.ones(2), T.ones(2))),
    "jvp with another shape": lambda T, F: F.jvp(lambda x: x, (T.ones(2),), (T.ones(3),)),
    "jvp of lists": lambda T, F: F.jvp(lambda x: x, [T.ones(2)], [T.ones(2)]),
    "vmap of sizes that differ": lambda T, F: F.vmap(lambda x, y: x)(T.ones(2), T.ones(3)),
    "vmap out of range": lambda T, F: F.vmap(lambda x: x, in_dims=3)(T.ones(2)),
    "vmap of nothing batched": lambda T, F: F.vmap(lambda x: x, in_dims=None)(T.ones(2)),
    "vmap of another structure": lambda T, F: F.vmap(lambda x, y: x, in_dims=(0, 0, 0))(T.ones(2), T.ones(2)),
    "vmap of a number": lambda T, F: F.vmap(lambda x: x)(3.0),
    "vmap that returns a number": lambda T, F: F.vmap(lambda x: 1.0)(T.ones(2)),
    "item in vmap": lambda T, F: F.vmap(lambda x: x.item())(T.ones(2)),
    "condition in vmap": lambda T, F: F.vmap(lambda x: x if x > 0 else -x)(T.ones(2)),
    "write of a batch into one": lambda T, F: F.vmap(lambda x: T.zeros(()).add_(x))(T.ones(2)),
    "randomness of another name": lambda T, F: F.vmap(lambda x: x, randomness="many")(T.ones(2)),
    "chunks of nothing": lambda T, F: F.vmap(lambda x: x, chunk_size=0)(T.ones(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_raise(name: str) -> None:
    with pytest.raises((RuntimeError, ValueError, TypeError, IndexError)):
        WRONG[name](w, func)
    assert func.layers.innermost() is None


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_raise_as_in_torch(name: str) -> None:
    import torch

    with pytest.raises(Exception) as theirs:
        WRONG[name](torch, torch.func)
    with pytest.raises(Exception) as mine:
        WRONG[name](w, func)
    assert isinstance(mine.value, theirs.type) or issubclass(theirs.type, mine.type), (mine.value, theirs.value)


def test_what_a_transform_leaves_behind_cannot_be_used() -> None:
    kept = []
    func.vmap(lambda x: kept.append(x) or x)(w.ones(2))
    with pytest.raises(RuntimeError, match="after it had ended"):
        kept[0] + 1


def test_results_carry_no_history_unless_something_outside_has_one() -> None:
    x = w.ones(3)
    gradient, value = func.grad_and_value(lambda x: (x**2).sum())(x)
    assert not gradient.requires_grad and not value.requires_grad
    weight = w.ones(3, requires_grad=True)
    gradient = func.grad(lambda x: (x**2 * weight).sum())(x)
    gradient.sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0, 2.0] and x.grad is None


def test_random_numbers_follow_the_mode() -> None:
    x = w.zeros(4, 3)

    def noisy(row: Any) -> Any:
        return row + w.randn(3)

    with pytest.raises(RuntimeError, match="randomness error mode"):
        func.vmap(noisy)(x)
    different, alike = func.vmap(noisy, randomness="different")(x), func.vmap(noisy, randomness="same")(x)
    assert len({str(r) for r in different.tolist()}) == 4 and len({str(r) for r in alike.tolist()}) == 1
    masks = func.vmap(lambda row: w.nn.functional.dropout(row + 1, 0.5), randomness="different")(w.zeros(20, 5))
    assert len({str(r) for r in masks.tolist()}) > 5
    nested = func.vmap(func.vmap(noisy, randomness="same"), randomness="different")(w.zeros(4, 5, 3))
    assert all(len({str(r) for r in block}) == 1 for block in nested.tolist()) and nested[0, 0].tolist() != nested[1, 0].tolist()


def test_a_transform_is_captured() -> None:
    from wengert.graph import capture

    m = w.linspace(0, 1, 12, dtype=w.float64).reshape(4, 3)

    def rows(m: Any) -> Any:
        return func.vmap(func.grad(lambda x: (x.sin() * x).sum()))(m)

    graph = capture(rows, m)
    np.testing.assert_array_equal(graph(m).numpy(), rows(m).numpy())
    np.testing.assert_array_equal(graph(m * 2).numpy(), rows(m * 2).numpy())

# ---- writes in what is differentiated forward, and what is cut off there
WRITERS = {  # (library, x) -> a function of x, in statements
    "into zeros like x": "c = T.zeros_like(x); c[0] = x[1]; return c * x",
    "into a view of them": "c = T.zeros_like(x); v = c[:1]; v.add_(x[1]); v.mul_(2); return c * x",
    "seen by a view made before": "c = T.zeros_like(x); v = c[0]; c.copy_(x); return v * x",
    "through a view of a view": "c = T.zeros_like(x); v = c.view(2, 1); v[0].add_(x[1]); return v * x + c",
    "through a transposed view": "c = T.zeros_like(T.outer(x, x)); c.t()[0] = x; c.t().reshape(-1)[1] = 3 * x[0]; return c * x",
    "times itself": "c = T.ones_like(x); c.mul_(x).mul_(x); return c * x",
    "of another shape later": "c = T.ones_like(x); c.unsqueeze_(0); c[0].mul_(x); return c * x",
    "at indices": "c = T.zeros_like(x); c.index_put_((T.tensor([0]),), x[1:]); return c * x",
    "by a mask": "c = T.zeros_like(x); c[T.tensor([True, False])] = x[1]; return c * x",
    "added at an index": "c = x.new_zeros(2); c.index_add_(0, T.tensor([0]), x[1:]); c += x; return c * x",
    "into plain zeros": "c = T.zeros(2, 2, dtype=T.float64); c[0, 0] = x[0]; c[1, 0] = x[1] * x[0]; c[1, 1] = x.sin().sum(); return c @ c.t()",
    "a row of them": "c = T.zeros(2, 2, dtype=T.float64); c[0] = x; return c",
    "a plain view": "c = T.zeros(2, dtype=T.float64); v = c[:1]; v += x[1]; return c",
    "a plain view, seen": "c = T.zeros(2, dtype=T.float64); v = c[:1]; c += x; return v * x",
    "filled, then written": "c = T.zeros(2, 2, dtype=T.float64); c.fill_diagonal_(1.0); c[0, 1] = x[0]; c.mul_(x); return c",
    "and overwritten": "c = T.zeros(2, dtype=T.float64); c.copy_(x); d = c.clone(); c.zero_(); return d + c",
    "a diagonal": "c = T.eye(2, dtype=T.float64); c.diagonal().mul_(x); return c * x",
    "in a loop": "c = T.zeros(2, dtype=T.float64)\n for k in range(2): c[k] = x[k] ** (k + 2)\n return c",
    "a part": "c = T.zeros(3, dtype=T.float64); c.narrow(0, 0, 2).copy_(x); return c * c",
}
CUT = {
    "detach": "c = x.detach().clone(); c[0] = x[1] * 2; return c * x",
    "a straight-through rounding": "return (x + (x.round() - x).detach()) ** 2",
    "data": "return x.data * x",
    "detach, then a view": "return x.detach().unsqueeze(0)[0] * x.sin()",
    "detach in place": "c = x * 2; c.detach_(); return c * x",
}
COMPLEX = {
    "a complex number made": "z = x.sum() + T.zeros_like(x); return T.complex(z, z * x).abs()",
    "parts": "return T.view_as_real(T.complex(x, x * x) * (1 + 2j))[..., 0] * x",
    "angle": "return T.complex(x, x * x).angle()",
}
TRANSFORMS: dict[str, Callable[..., Any]] = {
    "jvp": lambda F, f, x, t: F.jvp(f, (x,), (t,))[1],
    "jacfwd": lambda F, f, x, t: F.jacfwd(f)(x),
    "jacrev": lambda F, f, x, t: F.jacrev(f)(x),
    "hessian": lambda F, f, x, t: F.hessian(lambda x: (f(x) ** 2).sum())(x),
    "jvp of grad": lambda F, f, x, t: F.jvp(F.grad(lambda x: (f(x) ** 2).sum()), (x,), (t,))[1],
    "jvp of jvp": lambda F, f, x, t: F.jvp(lambda x: F.jvp(f, (x,), (t,))[1], (x,), (t,))[1],
    "grad of jvp": lambda F, f, x, t: F.grad(lambda x: (F.jvp(f, (x,), (t,))[1] ** 2).sum())(x),
    "grad of grad": lambda F, f, x, t: F.grad(lambda x: (F.grad(lambda x: (f(x) ** 2).sum())(x) ** 2).sum())(x),
}


def written(T: Any, text: str) -> Callable[[Any], Any]:
    names = {"T": T}
    exec("def f(x):\n " + text, names)
    return names["f"]


def point(T: Any) -> tuple[Any, Any]:
    return T.tensor([0.3, 0.7], dtype=T.float64), T.tensor([1.0, 2.0], dtype=T.float64)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", TRANSFORMS)
def test_writes_and_cuts_equal_torch(how: str) -> None:
    import torch

    for name, text in {**WRITERS, **CUT, **COMPLEX}.items():
        if how == "grad of grad" and name in ("data", "detach in place"):
            continue  # PyTorch cuts the inner history alone; here both are one tape
        mine = TRANSFORMS[how](func, written(w, text), *point(w))
        theirs = TRANSFORMS[how](torch.func, written(torch, text), *point(torch))
        np.testing.assert_allclose(mine.tolist(), theirs.tolist(), 1e-10, 1e-10, err_msg=name)


@pytest.mark.parametrize("name", [*WRITERS, *COMPLEX])
def test_forward_is_backward_where_something_is_written(name: str) -> None:
    f, (x, _) = written(w, {**WRITERS, **COMPLEX}[name]), point(w)
    np.testing.assert_allclose(func.jacfwd(f)(x).numpy(), func.jacrev(f)(x).numpy(), 1e-12, 1e-12)


def test_a_tensor_from_outside_that_jvp_writes_to_keeps_the_values_and_their_history() -> None:
    x, t = point(w)
    kept, seen = w.zeros(2, dtype=w.float64), []
    seen = kept[:1]
    x.requires_grad_()

    def f(x: Any) -> Any:
        kept.copy_(x * 3)
        return kept * 1

    assert func.jvp(f, (x,), (t,))[1].tolist() == [3.0, 6.0]
    assert kept.tolist() == pytest.approx([0.9, 2.1]) and seen.tolist() == pytest.approx([0.9])
    (kept.sum() + seen.sum()).backward()
    assert x.grad.tolist() == [6.0, 3.0]


def test_a_tensor_with_a_history_keeps_it_where_jvp_writes_to_it() -> None:
    x, t = point(w)
    leaf = w.ones(2, dtype=w.float64, requires_grad=True)
    outside = leaf * 4
    assert func.jvp(lambda x: outside.mul_(x), (x,), (t,))[1].tolist() == [4.0, 8.0]
    outside.sum().backward()
    assert leaf.grad.tolist() == pytest.approx([1.2, 2.8])


def test_transforms_differentiate_wherever_they_are_called() -> None:
    x, leaf = w.tensor([1.0, 2.0]), w.tensor([1.0, 2.0], requires_grad=True)
    for mode in (w.inference_mode, w.no_grad):
        with mode():
            for given in (x, leaf, w.ones(2) * x):
                found = [func.grad(lambda x: (x**2).sum())(given), func.vjp(lambda x: x**2, given)[1](x / x)[0]]
                found += [func.jacrev(lambda x: x**2)(given).sum(0), func.grad_and_value(lambda x: x.sum())(given)[1]]
                assert [y.tolist() for y in found] == [[2.0, 4.0]] * 3 + [3.0] and not any(y.requires_grad for y in found)
            assert w.is_inference_mode_enabled() is (mode is w.inference_mode)
    with w.no_grad():
        value, pull = func.vjp(lambda x: x**2, leaf)
    (found,) = pull(w.ones(2))
    assert not value.requires_grad and found.tolist() == [2.0, 4.0]
    inner = func.grad(lambda y: func.vjp(w.sin, x[0])[1](y)[0])(x[1])
    assert not inner.requires_grad and inner.item() == pytest.approx(np.cos(1.0))


def test_pieces_draw_the_same_numbers_and_rows_are_taken_one_by_one() -> None:
    drawn = w.vmap(lambda x: x + w.rand(2), chunk_size=2, randomness="same")(w.zeros(5, 2))
    assert (drawn == drawn[0]).all()

    class Counted(w.autograd.Function):
        @staticmethod
        def forward(x: w.Tensor) -> w.Tensor:
            return x.clone()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, g: w.Tensor) -> w.Tensor:  # type: ignore[override]
            return g * float((g != 0).sum())

    assert w.func.jacrev(Counted.apply, chunk_size=1)(w.arange(3.0)).tolist() == w.eye(3).tolist()


def test_anomaly_mode_looks_into_transforms() -> None:
    with w.autograd.set_detect_anomaly(True):
        assert w.vmap(w.func.grad(lambda x: (x**2).sum()))(w.ones(3)).tolist() == [2.0, 2.0, 2.0]
        with pytest.warns(UserWarning, match="Mul"), pytest.raises(RuntimeError, match="'MulBackward0' returned nan"):
            w.vmap(w.func.grad(lambda x: (x * float("nan")).sum()))(w.ones(2))


def test_results_that_are_no_tensors_and_texts_of_a_batch() -> None:
    texts, x = [], w.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert w.vmap(lambda x: (texts.append(repr(x)), x * 2, "a")[1:], out_dims=(0, None))(x)[1] == "a"
    assert texts == ["BatchedTensor(lvl=1, bdim=0, value=\n    tensor([[1., 2.],\n            [3., 4.]])\n)"]
    assert w.vmap(lambda x: w.arange(3), out_dims=None)(x).tolist() == [0, 1, 2]
    found = w.vmap(lambda x: {"n": 3, "y": x.sum()}, out_dims={"n": None, "y": 0}, chunk_size=1)(x)
    assert found["n"] == 3 and found["y"].tolist() == [3.0, 7.0]
    with pytest.raises(ValueError, match="out_dims is None"):
        w.vmap(lambda x: x, out_dims=None)(x)
    drawn = w.vmap(lambda x: w.bernoulli(x / x) + w.normal(x, x * 0), randomness="different")(x)
    assert drawn.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    with pytest.raises(RuntimeError, match="Expected p_in"):
        w.vmap(w.bernoulli, randomness="same")(x)
    with pytest.raises(RuntimeError, match="training mode"):
        func.stack_module_state([w.nn.Linear(1, 1), w.nn.Linear(1, 1).eval()])


def test_no_grad_inside_a_transform_holds_around_it() -> None:
    """What a function does without recording is recorded nowhere, whatever transforms run around it and inside of it."""
    weight, eye = w.tensor([2.0, 5.0], requires_grad=True), w.eye(2)
    inside = w.no_grad()
    products = {
        "vmap": func.vmap(inside(lambda x: x * weight)),
        "vmap of vmap": lambda x: func.vmap(func.vmap(inside(lambda y: y * weight)))(x.unsqueeze(0)),
        "vjp": func.vmap(inside(lambda x: func.vjp(lambda a: a**3 * x, weight)[1](x)[0])),
        "jvp": func.vmap(inside(lambda x: func.jvp(lambda a: a**3, (weight,), (x,))[1])),
        "jvp of jacrev": func.vmap(inside(lambda x: func.jvp(func.jacrev(lambda a: (a**3).sum()), (weight,), (x,))[1])),
        "no_grad in jvp": func.vmap(lambda x: func.jvp(inside(lambda a: a * weight), (x,), (x,))[1]),
    }
    assert {name: f(eye).requires_grad for name, f in products.items()} == dict.fromkeys(products, False)
    with w.no_grad():
        assert func.vmap(w.enable_grad()(lambda x: x * weight))(eye).requires_grad

    def partly(x: Any) -> Any:
        with w.no_grad():
            factor = (x * weight).sum()
        return (x * x).sum() * factor + (weight * x).sum()

    func.vmap(func.grad(partly))(eye).sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0]


class Cube(w.autograd.Function):
    """x^2, with the gradient of x^3."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x**2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 3 * ctx.saved_tensors[0] ** 2 * g


def test_the_gradient_of_a_function_inside_of_grad_and_vmap_is_recorded_around() -> None:
    weight = w.tensor([2.0, 5.0], requires_grad=True)
    y = func.vmap(func.grad(lambda x: Cube.apply(x * weight).sum()))(w.ones(2, 2))
    assert y.tolist() == [[24.0, 375.0]] * 2
    y.sum().backward()
    assert weight.grad.tolist() == [2 * 9 * 4.0, 2 * 9 * 25.0]


def test_a_backward_that_leaves_the_gradient_has_no_tangent() -> None:
    """Where there is no jvp, backward gives the tangent; what it does to the gradient has to be seen, whatever the gradient is."""

    def function(backward: Any) -> Any:
        static = {"forward": lambda x: x * 2, "setup_context": lambda ctx, inputs, output: None, "backward": backward}
        return type("Given", (w.autograd.Function,), {name: staticmethod(f) for name, f in static.items()}).apply

    x, t = w.tensor([3.0]), w.tensor([1.0])
    with pytest.raises(RuntimeError, match="detaches the gradient"):
        func.jvp(function(lambda ctx, g: g.detach() * 2), (x,), (t,))
    assert func.jvp(function(lambda ctx, g: None if bool((g == 0).all()) else g * 2), (x,), (t,))[1].item() == 2
    assert func.jvp(function(lambda ctx, g: w.zeros(1)), (x,), (t,))[1].item() == 0


def test_a_constant_that_an_op_adds_is_no_part_of_the_tangent() -> None:
    """No rule reads such a parameter, so an op that has one is not taken for its own tangent."""
    shift = structural("test::shift", "x", lambda x, by: (x.shape, x.dtype), params="by", x=lambda g: g)
    shift.kernels[np.ndarray] = lambda x, by: x + by
    x, t = w.tensor([1.0, 2.0]), w.tensor([10.0, 20.0])
    pad = w.nn.functional.pad
    try:
        assert func.jvp(lambda x: shift(x, 5.0), (x,), (t,))[1].tolist() == [10, 20]
    finally:
        del OPS["test::shift"]
    assert func.jvp(lambda x: pad(x, (1, 0), value=5.0), (x,), (t,))[1].tolist() == [0, 10, 20]
    assert func.jacfwd(lambda x: pad(x, (1, -1), value=5.0))(x).tolist() == [[0, 0], [1, 0]]
    assert func.hessian(lambda x: (pad(x, (1, 0), value=5.0) ** 3).sum())(x).tolist() == [[6, 0], [0, 12]]


def test_forward_mode_refuses_sparse_tensors() -> None:
    """Zeros in the place of a gradient have no entries, so their transpose would lose the tangent."""
    places, v = w.tensor([[0, 1], [1, 0]]), w.tensor([1.0, 2.0])

    def product(v: Any) -> Any:
        x = w.sparse_coo_tensor(places, v, (2, 2))
        return w.sparse.mm(x, x.t()).to_dense().sum()

    with pytest.raises(NotImplementedError, match="is not implemented for sparse tensors here; x.to_dense"):
        func.jvp(product, (v,), (v,))
    assert func.grad(product)(v).tolist() == [2, 4]


def test_a_number_that_a_transform_met_first_has_the_type_that_quick_calls_ask_for() -> None:
    x = w.ones(2, dtype=w.float64)
    func.hessian(lambda x: (8.0625 - x[0]) ** 2)(x)  # whose arrays have another object for float64
    for made in (w.pow(8.0625, x), w.clamp(x, 8.0625), x.clamp_max(8.0625)):
        assert made._array.dtype is x._array.dtype
