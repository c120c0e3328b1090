"""Sparse tensors beside PyTorch's: what is made, computed, learned, printed, saved, and what is refused.

Owns the proof of plugins/wengert_sparse, of sparse gradients of tables, and of what core does with arrays that hold others.
Programs as in test_autograd.py. May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import wengert
from programs import Programs, error
from wengert.op import OPS

PROGRAMS = program = Programs("test_sparse")
PLACES, VALUES = [[0, 1, 1, 0], [2, 0, 2, 2]], [3.0, 4.0, 5.0, 1.0]


def matrix(torch: Any, requires_grad: bool = False, **options: Any) -> Any:
    """Return a matrix that names one place twice."""
    return torch.sparse_coo_tensor(PLACES, VALUES, (2, 3), requires_grad=requires_grad, **options)


def hybrid(torch: Any) -> Any:
    return torch.sparse_coo_tensor([[2, 0, 2]], [[1.0, -2.0], [3.0, 4.0], [5.0, 6.0]], (4, 2))


def factor(torch: Any) -> Any:
    return torch.arange(6.0).reshape(3, 2).requires_grad_()


def seen(x: Any) -> Any:
    """Return what there is to see of a sparse tensor: its layout, its elements, and where they are after coalescing."""
    if str(x.layout) == "torch.strided":
        return x
    y = x.detach()
    where = [y.crow_indices(), y.col_indices()] if "csr" in str(x.layout) else [y.coalesce().indices()]
    return [str(x.layout), list(x.shape), *where, y.to_dense()]


def gradients(f: Any, *leaves: Any) -> list[Any]:
    """Return what backward of a scalar leaves in each leaf, and in which layout."""
    for x in leaves:
        x.grad = None
    f().backward()
    return [None if x.grad is None else [str(x.grad.layout), x.grad.to_dense()] for x in leaves]


@program
def made_and_asked(torch: Any) -> Any:
    x, h = matrix(torch), hybrid(torch)
    c = x.coalesce()
    return [
        [y._nnz() for y in (x, c, h)], [y.is_coalesced() for y in (x, c, h)], [[y.sparse_dim(), y.dense_dim()] for y in (x, h)],
        x._indices(), x._values(), c.indices(), c.values(), seen(h), x.numel(), x.ndim, x.is_sparse, x.is_sparse_csr, str(x.dtype),
        c.coalesce() is c, seen(torch.sparse_coo_tensor([[0, 3]], [1.0, 2.0])), seen(torch.sparse_coo_tensor((2, 3))),
        seen(torch.sparse_coo_tensor(PLACES, VALUES, (2, 3), dtype=torch.float64)), [torch.ones(2).is_sparse, torch.ones(2).sparse_dim(), torch.ones(2).dense_dim()],
    ]  # fmt: skip


@program
def legacy_constructors(torch: Any) -> Any:
    i, v = torch.tensor(PLACES), torch.tensor(VALUES)
    x = torch.sparse.FloatTensor(i, v, torch.Size([2, 3]))
    return [
        seen(x), x.type(), isinstance(x, torch.sparse.FloatTensor), isinstance(torch.ones(2), torch.sparse.FloatTensor),
        seen(torch.sparse.FloatTensor(i, v)), seen(torch.sparse.DoubleTensor(2, 3)), torch.sparse.LongTensor(2, 2).type(),
    ]  # fmt: skip


@program
def dense_and_back(torch: Any) -> Any:
    d = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]], requires_grad=True)
    t = torch.arange(12.0).reshape(2, 3, 2)
    return [
        seen(d.to_sparse()), seen(t.to_sparse(2)), seen(t.to_sparse(1)), seen(d.to_sparse_csr()), seen(d.to_sparse(layout=torch.sparse_csr)),
        gradients(lambda: torch.sparse.sum(d.to_sparse() * 2), d), gradients(lambda: (matrix(torch).to_dense() * d).sum(), d),
        d.to_dense() is d, seen(matrix(torch).to_sparse()), seen(d.detach().to_sparse_csr().to_sparse()),
        seen(torch.zeros(2, 3, layout=torch.sparse_coo)), seen(torch.zeros_like(matrix(torch))), torch.zeros_like(matrix(torch), layout=torch.strided),
    ]  # fmt: skip


@program
def products(torch: Any) -> Any:
    x, d, ones = matrix(torch), factor(torch).detach(), torch.ones(2, 2)
    c = x.to_sparse_csr()
    made = [x @ d, torch.mm(x, d), torch.spmm(x, d), torch.dsmm(x, d), torch.sparse.mm(x, d), torch.matmul(c, d), ones @ x, torch.mm(ones, x), x @ d[:, 0], torch.mv(x, d[:, 1]), c @ d[:, 0]]
    made += [x @ x.t(), torch.sparse.mm(x, x.t()), (c @ c.t().to_sparse_csr()).to_dense(), torch.bmm(torch.eye(2)[None].to_sparse(), torch.ones(1, 2, 3))]
    made += [torch.sparse.addmm(ones, x, d, beta=2, alpha=3), torch.addmm(ones, x, d), torch.smm(x, d)]
    made += [torch.sparse.sampled_addmm(c, ones, torch.ones(2, 3), beta=0.5, alpha=2.0)]
    return [seen(y) for y in made]


@program
def gradients_of_products(torch: Any) -> Any:
    x, d = matrix(torch, True), factor(torch)
    c = matrix(torch).to_sparse_csr().requires_grad_()
    bias = torch.ones(2, 2, requires_grad=True)
    return [
        gradients(lambda: torch.sparse.mm(x, d).pow(2).sum(), x, d), gradients(lambda: (x @ d).pow(2).sum(), x, d),
        gradients(lambda: torch.sparse.mm(c, d).pow(2).sum(), c, d), gradients(lambda: torch.sparse.addmm(bias, x, d, beta=2, alpha=3).pow(2).sum(), bias, x, d),
        gradients(lambda: torch.sparse.sum(torch.sparse.mm(x, x.t())), x), gradients(lambda: (x.detach() @ d.sin()).pow(2).sum(), d),
        gradients(lambda: (torch.ones(1, 2) @ x.detach() @ d).sum(), d), gradients(lambda: (x.t().to_dense() ** 2).sum(), x),
    ]  # fmt: skip


@program
def second_order(torch: Any) -> Any:
    x, d = matrix(torch).coalesce(), factor(torch)
    (first,) = torch.autograd.grad((torch.sparse.mm(x, d) ** 3).sum(), d, create_graph=True)
    return [first, torch.autograd.grad(first.sum(), d)]


@program
def from_values(torch: Any) -> Any:
    v = torch.tensor(VALUES, requires_grad=True)
    d = factor(torch)

    def made() -> Any:
        return torch.sparse_coo_tensor(torch.tensor(PLACES), v, (2, 3))

    return [
        gradients(lambda: torch.sparse.mm(made(), d).pow(2).sum(), v, d), gradients(lambda: made().to_dense().pow(2).sum(), v),
        gradients(lambda: made().coalesce().values().pow(2).sum(), v), gradients(lambda: torch.sparse.sum(made() * made()), v),
        gradients(lambda: (torch.sparse.softmax(made(), 1).to_dense() * d.t()).sum(), v), made().grad_fn.name(),
    ]  # fmt: skip


@program
def elementwise(torch: Any) -> Any:
    x, d = matrix(torch), factor(torch).detach().t()
    other = torch.sparse_coo_tensor([[0, 1, 1], [0, 0, 2]], [2.0, -1.0, 7.0], (2, 3))
    made = [x * 2, 2 * x, x / 4, -x, x + x, x - other, x + other.coalesce(), (x * other).to_dense(), x * d, d * x, d + x, d - x, x.pow(2), x * torch.tensor(3.0)]
    made += [getattr(torch, name)(-x) for name in "abs sin tanh relu sign floor round trunc square log1p expm1 asinh atan isnan neg".split() if name != "log1p"]
    made += [torch.sqrt(x), torch.log1p(x), x.long() * 3, x.double(), x.to(torch.float16), torch.add(torch.zeros(2, 3), x, alpha=2)]
    made += [hybrid(torch) * 2, hybrid(torch) + hybrid(torch), hybrid(torch).coalesce().tanh()]
    return [seen(y) for y in made]


@program
def gradients_of_elementwise(torch: Any) -> Any:
    x, d = matrix(torch, True), factor(torch)
    weight = torch.arange(6.0).reshape(2, 3)
    made = [
        lambda: (x * x), lambda: x * d.t(), lambda: (x + x * 2), lambda: x / 2, lambda: torch.relu(x), lambda: x.pow(3),
        lambda: x.coalesce(), lambda: x.clone(), lambda: x.double().float(), lambda: -x, lambda: x.t().t(),
    ]  # fmt: skip
    found = [gradients(lambda f=f: (f().to_dense() * weight).sum(), x) for f in made]
    return [*found, gradients(lambda: (d.t() + x).pow(2).sum(), x, d), gradients(lambda: x.sum(), x)]


@program
def reductions(torch: Any) -> Any:
    x, h = matrix(torch, True), hybrid(torch)
    made = [x.sum(), x.sum(0), torch.sparse.sum(x), torch.sparse.sum(x, 0), torch.sparse.sum(x, (0, 1)), torch.sparse.sum(x, dim=1), torch.sparse.sum(h, 0), torch.sparse.sum(h, 1)]
    made += [x.detach().norm(), torch.sparse.sum(matrix(torch), dtype=torch.float64), x.any()]
    back = [gradients(lambda: torch.sparse.sum(x), x), gradients(lambda: torch.sparse.sum(x, 0).to_dense().pow(2).sum(), x)]
    return [*[seen(y.detach()) for y in made], back]


@program
def shares(torch: Any) -> Any:
    x, h = matrix(torch, True), hybrid(torch)
    weight = torch.arange(6.0).reshape(2, 3)
    made = [f(y, dim) for f in (torch.sparse.softmax, torch.sparse.log_softmax) for y in (x.detach(), h) for dim in (0, 1)]
    back = [gradients(lambda f=f: (f(x, 1).to_dense() * weight).sum(), x) for f in (torch.sparse.softmax, torch.sparse.log_softmax)]
    return [*[seen(y) for y in made], back]


@program
def moved(torch: Any) -> Any:
    x, h = matrix(torch), hybrid(torch)
    made = [x.t(), x.transpose(0, 1), x.permute(1, 0), x.T, x[0], x[1], x.index_select(0, torch.tensor([1, 0, 1])), x.index_select(1, torch.tensor([2])), h[2], h.index_select(1, torch.tensor([1]))]
    made += [torch.cat([x, x]), torch.cat([x, x], 1), torch.stack([x, x]), x.unsqueeze(0), *x, x.clone(), x.detach(), x[0, 2], torch.cat([h, h])]
    return [seen(y) for y in made]


@program
def masks_and_diagonals(torch: Any) -> Any:
    d = torch.arange(6.0).reshape(2, 3).requires_grad_()
    m = matrix(torch).coalesce()
    return [
        seen(d.detach().sparse_mask(m)), seen(d.detach().sparse_mask(matrix(torch))), gradients(lambda: torch.sparse.sum(d.sparse_mask(m) * 3), d),
        seen(torch.sparse.spdiags(torch.arange(9.0).reshape(3, 3), torch.tensor([0, -1, 1]), (3, 3))),
        seen(torch.sparse.spdiags(torch.arange(6.0).reshape(2, 3), torch.tensor([2, -2]), (4, 3))),
    ]  # fmt: skip


@program
def compressed_rows(torch: Any) -> Any:
    x = torch.sparse_csr_tensor([0, 1, 3], [1, 0, 2], [1.0, 2.0, 3.0], (2, 3))
    made = [x, x * 2, x + x, x.tanh(), x.double(), x.to_sparse(), x.clone(), x[0], x.sum(), torch.sparse_csr_tensor([0, 0, 1], [2], [1.0])]
    return [*[seen(y) for y in made], x.crow_indices(), x.col_indices(), x.values(), x._nnz(), x.sparse_dim(), x.dense_dim(), x.is_sparse, x.is_sparse_csr]


@program
def written_in_place(torch: Any) -> Any:
    x = matrix(torch)
    made = [x.clone().mul_(2), x.clone().div_(4), x.clone().add_(x), x.clone().zero_(), x.clone().copy_(x * 3), x.coalesce().neg_()]
    dense = torch.zeros(2, 3)
    dense.add_(x, alpha=2).sub_(x)
    y = matrix(torch)
    y.coalesce()
    return [*[seen(v) for v in made], dense, seen(y)]


@program
def printed(torch: Any) -> Any:
    x = matrix(torch)
    big = torch.sparse_coo_tensor(torch.arange(1200).reshape(1, -1), torch.arange(1200.0), (1200,))
    shown = [x, matrix(torch, True), x.coalesce(), x.to_sparse_csr(), x.double(), hybrid(torch), torch.zeros(2, 3, layout=torch.sparse_coo), torch.nn.Parameter(x), big, x.to_sparse_csr().double()]
    shown += [torch.sparse_coo_tensor(torch.tensor(PLACES), torch.tensor(VALUES, requires_grad=True), (2, 3)), torch.sparse_coo_tensor([[0]], [True], (2,)), torch.sparse_coo_tensor((0, 3))]
    return [repr(y) for y in shown]


# ---- tables of rows
def table(torch: Any) -> Any:
    return torch.arange(12.0).reshape(6, 2).requires_grad_()


def rows(torch: Any) -> Any:
    return torch.tensor([[1, 3, 1], [0, 5, 3]])


@program
def sparse_gradients_of_tables(torch: Any) -> Any:
    F, w, i = torch.nn.functional, table(torch), rows(torch)

    def take(**options: Any) -> Any:
        return F.embedding(i, w, sparse=True, **options)

    found = [gradients(lambda o=o: take(**o).pow(2).sum(), w) for o in ({}, {"padding_idx": 3})]
    counts = [w.grad._nnz(), w.grad.is_coalesced(), w.grad.coalesce().indices(), w.grad.sparse_dim(), w.grad.dense_dim()]
    found += [gradients(lambda m=m: F.embedding_bag(i, w, mode=m, sparse=True).pow(2).sum(), w) for m in ("sum", "mean")]
    found += [gradients(lambda: take().sum() + (w * 2).sum(), w), gradients(lambda: take().sum() + F.embedding(i[0], w, sparse=True).sum() * 3, w)]
    first = gradients(lambda: take().sum(), w)
    take().pow(2).sum().backward()
    twice = [str(w.grad.layout), w.grad.to_dense()]
    (w * w).sum().backward()
    mixed = [str(w.grad.layout), w.grad]
    (g,) = torch.autograd.grad(take().pow(3).sum(), w)
    seen_by: list[Any] = []
    handle = w.register_hook(lambda g: seen_by.append(g.is_sparse))
    take().sum().backward()
    handle.remove()
    return [found, counts, first, twice, mixed, seen(g), seen_by, error(lambda: take(scale_grad_by_freq=True).sum().backward())]


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}), ("SGD", {"lr": 0.1, "maximize": True}),
    ("Adagrad", {"lr": 0.1}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}), ("SparseAdam", {"lr": 0.1}), ("SparseAdam", {"lr": 0.1, "maximize": True, "betas": (0.5, 0.9)}),
]  # fmt: skip


@program
def optimizers_of_tables(torch: Any) -> Any:
    made = []
    for name, options in OPTIMIZERS:
        w, i = table(torch), rows(torch)
        optimizer = getattr(torch.optim, name)([w], **options)
        for step in range(4):
            optimizer.zero_grad(set_to_none=step % 2 == 0)
            torch.nn.functional.embedding(i if step != 2 else i[:1], w, sparse=True).pow(2).sum().mul(0.1).backward()
            optimizer.step()
        state = optimizer.state_dict()["state"].get(0, {})
        made.append([w.detach(), {k: seen(v) if hasattr(v, "layout") else v for k, v in sorted(state.items())}])
    return made


@program
def narrow_types_stay_narrow(torch: Any) -> Any:
    found = []
    for dtype in (torch.bfloat16, torch.int16, torch.bool):
        x = torch.eye(3).to(dtype).to_sparse()
        found += [x[0, 0], x.to_dense(), x.t().coalesce().values(), x.layout is torch.sparse_coo]
    x = torch.eye(3).to(torch.bfloat16).to_sparse()
    return found, (x + x).to_dense(), torch.sparse.mm(x, torch.ones(3, 2, dtype=torch.bfloat16)), x.sum()


@program
def refused(torch: Any) -> Any:
    x, d = matrix(torch, True), torch.ones(2, 3)
    w = table(torch)
    torch.nn.functional.embedding(rows(torch), w, sparse=True).sum().backward()
    dense = torch.ones(2, requires_grad=True)
    dense.sum().backward()
    attempts = [
        lambda: x.values(), lambda: x.indices(), lambda: x.exp(), lambda: torch.cos(x), lambda: x + 1, lambda: x + d, lambda: x / d, lambda: x.detach().numpy(),
        lambda: x.tolist(), lambda: x.item(), lambda: d.indices(), lambda: d.values(), lambda: d.coalesce(), lambda: d.crow_indices(), lambda: x.crow_indices(),
        lambda: x.mean(), lambda: x.max(), lambda: x == x, lambda: bool(x), lambda: torch.softmax(x, 1), lambda: torch.sparse.mm(x, d), lambda: torch.mm(x, d),
        lambda: torch.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (2, 3)), lambda: torch.sparse_coo_tensor([[0, 1, 1]], [1.0, 2.0], (2,)), lambda: torch.sparse_coo_tensor([[0], [-1]], [1.0]),
        lambda: torch.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (2,), check_invariants=True), lambda: torch.ones(2, layout=torch.sparse_coo),
        lambda: torch.sparse.mm(x, torch.ones(3, 2, dtype=torch.float64)), lambda: x.detach().__setitem__((0, 0), 1.0), lambda: torch.optim.SparseAdam([dense]).step(),
        lambda: torch.optim.Adam([w]).step(), lambda: torch.optim.RMSprop([w]).step(), lambda: torch.optim.SGD([w], weight_decay=0.1).step(), lambda: torch.optim.SparseAdam([x]),
        lambda: torch.optim.SparseAdam([dense], lr=0.0), lambda: torch.optim.SparseAdam([dense], eps=0.0), lambda: torch.optim.SparseAdam([dense], betas=(1.0, 0.9)),
        lambda: torch.nn.functional.embedding_bag(rows(torch), w, mode="max", sparse=True), lambda: x.to_sparse_csr().indices(), lambda: x.to_sparse_csr().coalesce(),
        lambda: torch.sparse.spdiags(d, torch.tensor([0, 0]), (2, 3)),
    ]  # fmt: skip
    return [error(attempt) for attempt in attempts]


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_agree_with_the_record(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_agree_with_pytorch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- what there is besides
@pytest.mark.parametrize("make", [matrix, lambda t: matrix(t).coalesce(), lambda t: matrix(t).to_sparse_csr(), lambda t: matrix(t, True), lambda t: wengert.nn.Parameter(matrix(t)), hybrid])
def test_copies_and_files(make: Any) -> None:
    x = make(wengert)
    file = io.BytesIO()
    wengert.save({"x": x, "again": x}, file)
    file.seek(0)
    loaded = wengert.load(file)
    assert loaded["again"] is loaded["x"]
    assert repr(loaded["x"].detach()) == repr(x.detach())  # a leaf among them is no leaf in a file, as in PyTorch
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x), x.clone().detach().requires_grad_(x.requires_grad)):
        assert repr(y).removeprefix("Parameter containing:\n") == repr(x).removeprefix("Parameter containing:\n") and y.layout == x.layout
        assert not x.is_sparse or y.is_coalesced() == x.is_coalesced()


@pytest.mark.parity
def test_files_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for theirs, ours in ((torch, wengert), (wengert, torch)):
        file = io.BytesIO()
        theirs.save([matrix(theirs), matrix(theirs).coalesce(), matrix(theirs).to_sparse_csr()], file)
        file.seek(0)
        read = ours.load(file)
        assert [repr(y) for y in read] == [repr(y) for y in (matrix(ours), matrix(ours).coalesce(), matrix(ours).to_sparse_csr())]
        assert [y.is_coalesced() for y in read[:2]] == [False, True]


def test_a_file_with_wrong_parts_is_refused() -> None:
    file = io.BytesIO()
    x = matrix(wengert)
    x._array.shape = (2, 2)  # too small for its indices
    wengert.save(x, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="size is inconsistent with indices"):
        wengert.load(file)


def test_gradcheck() -> None:
    x = matrix(wengert, dtype=wengert.float64)
    d = factor(wengert).detach().double().requires_grad_()
    for f in (wengert.sparse.mm, lambda a, b: a @ b, lambda a, b: (a * b.t()).to_dense(), lambda a, b: wengert.sparse.softmax(a, 1) @ b, lambda a, b: a.tanh() @ b.exp()):
        for layout in (x.requires_grad_(), x.detach().coalesce().requires_grad_()):
            assert wengert.autograd.gradcheck(f, (layout, d), masked=True)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        wengert.autograd.gradcheck(lambda a: a.to_dense() * a.detach().to_dense(), (x.detach().coalesce().requires_grad_(),))


def test_every_op_of_the_table_is_a_record() -> None:
    from wengert_sparse import kernels

    for name in ("frac", "erfinv", "signbit", "nn.functional.linear"):  # they bring their records
        wengert.registry.registry.resolve("ops", name)
    assert kernels.KERNELS.keys() <= OPS.keys() and kernels.THROUGH_VALUES <= kernels.KERNELS.keys()


def test_a_number_may_be_sparse() -> None:
    values = wengert.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = wengert.sparse_coo_tensor(wengert.zeros(0, 3, dtype=wengert.int64), values, ())
    x.to_dense().backward()
    assert values.grad.tolist() == [1, 1, 1] and bool(x) and float(wengert.tensor(3.0).to_sparse().to_dense()) == 3


def test_what_is_empty_adds_to_any_other() -> None:
    x = wengert.sparse_coo_tensor([[0, 0]], [[3.0], [4.0]], (2, 1))
    made = wengert.zeros(2, 1, layout=wengert.sparse_coo) + x
    assert (x + wengert.zeros(2, 1, layout=wengert.sparse_coo)).to_dense().tolist() == [[7], [0]] == made.to_dense().tolist()
    made *= 0.0
    assert (x // 2).to_dense().tolist() == [[3], [0]] and x.to_sparse(layout=wengert.strided).layout is wengert.strided


def test_an_op_without_a_kernel_names_itself_and_the_remedy() -> None:
    with pytest.raises(NotImplementedError, match=r"exp: there is no kernel for sparse tensors \(layout torch.sparse_coo\); x.to_dense\(\)"):
        matrix(wengert).exp()
    with pytest.raises(NotImplementedError, match="torch.sparse_csr"):
        matrix(wengert).to_sparse_csr().exp()
    with pytest.raises(TypeError, match="to_dense"):
        np.asarray(matrix(wengert))


def test_a_write_to_the_values_is_seen_by_the_transpose() -> None:
    x = wengert.sparse_csr_tensor([0, 1, 3], [1, 0, 2], [1.0, 2.0, 3.0], (2, 3))
    d = wengert.ones(3, 1, requires_grad=True)
    (x @ d).sum().backward()
    x.values().mul_(2)
    (x @ d).sum().backward()
    assert d.grad.flatten().tolist() == [6.0, 3.0, 9.0]


def test_large_products_are_those_of_dense_matrices() -> None:
    rng = np.random.default_rng(0)
    i, v = wengert.tensor(rng.integers(0, 80, (2, 900))), wengert.tensor(rng.standard_normal(900).astype(np.float32), requires_grad=True)
    d = wengert.tensor(rng.standard_normal((80, 32)).astype(np.float32), requires_grad=True)
    found = []
    by_rows = wengert.sparse_coo_tensor(i, v.detach(), (80, 80)).to_sparse_csr()
    wengert.testing.assert_close(by_rows @ d, by_rows.to_dense() @ d, rtol=2e-4, atol=2e-3)
    wengert.testing.assert_close(*[wengert.autograd.grad((a @ d).pow(2).sum(), d)[0] for a in (by_rows, by_rows.to_dense())], rtol=2e-4, atol=2e-3)
    for by in (wengert.sparse.mm, lambda x, d: x.to_dense() @ d, lambda x, d: wengert.sparse.mm(x.coalesce(), d), lambda x, d: wengert.sparse.mm(x.to_sparse_csr(), d)):
        made = by(wengert.sparse_coo_tensor(i, v, (80, 80)), d)
        found.append([made.detach(), *wengert.autograd.grad(made.pow(2).sum(), (v, d))])
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=2e-3)


def test_captured_and_transformed() -> None:
    x, w = matrix(wengert), factor(wengert).detach()

    def loss(w: Any) -> Any:
        return wengert.sparse.mm(x, w.tanh()).pow(2).sum()

    compiled = wengert.compile(loss, fullgraph=True)
    grads = [wengert.func.grad(f)(w) for f in (loss, lambda w: (x.to_dense() @ w.tanh()).pow(2).sum())]
    wengert.testing.assert_close(compiled(w), loss(w))
    wengert.testing.assert_close(grads[0], grads[1])
    batch = wengert.stack([w, w + 1])
    wengert.testing.assert_close(wengert.vmap(lambda w: x @ w)(batch), wengert.stack([x @ w, x @ (w + 1)]))
    _, tangent = wengert.func.jvp(lambda w: wengert.sparse.mm(x, w), (w,), (w * 2,))
    wengert.testing.assert_close(tangent, x @ (w * 2))
    makes = wengert.compile(lambda v: wengert.sparse_coo_tensor([[0]], v, (2,)).coalesce().to_dense(), fullgraph=True)
    makes(wengert.ones(1))  # the first call runs as it is
    with pytest.raises(NotImplementedError, match="captured graph"):
        makes(wengert.ones(1))


def test_what_a_captured_function_reads_may_change() -> None:
    x, w = matrix(wengert), factor(wengert).detach()

    def f(w: Any) -> Any:
        return (x @ w).tanh() * 3

    compiled = wengert.compile(f, fullgraph=True)
    for change in (lambda: None, lambda: None, lambda: None, lambda: x.mul_(0.1), lambda: x._values().mul_(0.5), lambda: x.add_(matrix(wengert).t().t() * 0.01)):
        change()
        wengert.testing.assert_close(compiled(w), f(w))
    for refused in (lambda y, w: y @ w, lambda w: x * 2, lambda w: x.mul_(w.sum())):
        given = (x, w) if refused.__code__.co_argcount == 2 else (w,)
        held = wengert.compile(refused, fullgraph=True)
        held(*given)
        with pytest.raises(NotImplementedError, match="a captured function"):
            held(*given)


def test_compare() -> None:
    wengert.testing.assert_close(matrix(wengert), matrix(wengert).coalesce())
    with pytest.raises(AssertionError, match="not close"):
        wengert.testing.assert_close(matrix(wengert), matrix(wengert) * 2)
    with pytest.raises(AssertionError, match="layout"):
        wengert.testing.assert_close(matrix(wengert), matrix(wengert).to_dense())


def test_modules_keep_and_move_them() -> None:
    m = wengert.nn.Linear(3, 2)
    m.register_buffer("adjacency", matrix(wengert))
    assert m.double().adjacency.dtype is wengert.float64 and m.state_dict()["adjacency"].is_sparse
    wengert.testing.assert_close(m(m.adjacency), m(m.adjacency.to_dense()))
    m(m.adjacency).sum().backward()
    assert m.weight.grad.shape == (2, 3)
    assert float(wengert.nn.utils.clip_grad_norm_([table_with_gradient()], 1.0)) > 1.0


def table_with_gradient() -> Any:
    w = table(wengert)
    wengert.nn.functional.embedding(rows(wengert), w, sparse=True).pow(2).sum().backward()
    return w


def test_dense_programs_load_none_of_it() -> None:
    code = "import wengert as t, sys\nx = t.ones(2, requires_grad=True)\n(x @ x).backward()\nassert not x.is_sparse\n"
    code += "print(*[m for m in sys.modules if m.startswith('wengert_sparse.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_shapes_that_do_not_fit_are_refused() -> None:
    """As PyTorch refuses them: sizes of sparse tensors are not broadcast, and no element is beyond the last."""
    x, y = wengert.ones(2, 3, 4).to_sparse(), wengert.ones(2, 1, 4).to_sparse()
    with pytest.raises(RuntimeError, match="Sizes of tensors must match except in dimension 0"):
        wengert.cat([x, y], 0)
    assert wengert.cat([x, y], 1).shape == (2, 4, 4)
    for index in (2, -3):
        with pytest.raises(IndexError, match="out of bounds for dimension 0 with size 2"):
            x.select(0, index)
    with pytest.raises(RuntimeError, match="copy_ between sparse tensors takes one size"):
        x.copy_(y)
    with pytest.raises(RuntimeError, match="copy_ between sparse tensors takes one size"):
        (x.clone().requires_grad_() * 2).copy_(y)
    assert wengert.sparse_coo_tensor([[0], [1]], [1.0], (2, 2)).is_coalesced()  # one place cannot come twice


def of_device(torch: Any, device: str) -> list[Any]:
    """Return a cross-section of what sparse tensors do, on a device, as host values."""
    x = torch.sparse_coo_tensor(torch.tensor(PLACES, device=device), torch.tensor(VALUES, device=device), (2, 3), requires_grad=True)
    d = factor(torch).detach().to(device).requires_grad_()
    w = table(torch).detach().to(device).requires_grad_()
    found = gradients(lambda: torch.sparse.mm(x, d).pow(2).sum(), x, d) + gradients(lambda: (x.tanh() @ d).sum(), x, d)
    y = x.detach()
    made = [y @ y.t(), y * d.detach().t(), y + y.coalesce(), d.detach().t() + y, torch.sparse.sum(y, 0), torch.sparse.softmax(y, 1), y[0], torch.cat([y, y]), y.to_sparse_csr() @ d.detach()]
    made += [y.index_select(0, torch.tensor([1, 0, 1], device=device)), d.detach().to_sparse(), y.cpu().to(device), y.norm()]
    for name, options in OPTIMIZERS[4:7]:
        p = torch.nn.Parameter(w.detach().clone())
        torch.nn.functional.embedding(rows(torch).to(device), p, sparse=True, padding_idx=3).pow(2).sum().backward()
        getattr(torch.optim, name)([p], **options).step()
        made.append(p.detach())
    assert all(v.device.type == device for v in made if v is not made[-4])
    return [found[i][1].cpu() for i in range(4)] + [(v.to_dense() if v.layout != "torch.strided" else v).cpu() for v in made]


def test_other_devices() -> None:
    devices = [d.name for d in wengert.backend.infos("opencl") if d.available]
    if not devices:
        pytest.skip("no OpenCL device here")
    for a, b in zip(of_device(wengert, "cpu"), of_device(wengert, "opencl")):
        wengert.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
