"""Numbers of places that are none: an exception on the host, never another's memory, also where libraries in C would trust them.

Owns the proof that indices, pivots, lengths, strides and counts from a program are looked at where they are used: eagerly, in
compiled functions whose forward is not run, and after a write to what was looked at before. May import wengert's public names.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert.nn import functional as F

WRONG = (20, -21, 10**6, 2**62, -(2**63))


def indices(wrong: int, n: int = 300) -> Any:
    """Return numbers of 20 rows, one of which is none."""
    found = torch.arange(n) % 20
    found[7] = wrong
    return found


@pytest.mark.parametrize("wrong", WRONG)
def test_the_gradient_alone_looks_at_indices(wrong: int) -> None:
    """A program of the gradient drops the forward call, which would have raised."""

    for width in (1, 64):

        def rows(index: Any, width: int = width) -> Any:
            w = torch.zeros(20, width, requires_grad=True)
            return torch.autograd.grad(w[index].sum(), w)[0]

        def table(index: Any, width: int = width) -> Any:
            w = torch.zeros(20, width, requires_grad=True)
            return torch.autograd.grad(F.embedding(index, w).sum(), w)[0]

        def elements(index: Any, width: int = width) -> Any:
            w = torch.zeros(20, width, requires_grad=True)
            return torch.autograd.grad(w.gather(0, index[:, None].expand(300, width)).sum(), w)[0]

        for function in (rows, table, elements):
            compiled = torch.compile(function)
            for _ in range(2):
                assert compiled(indices(5)).sum() == 300 * width
            with pytest.raises(IndexError):
                compiled(indices(wrong))


@pytest.mark.parametrize("wrong", WRONG)
def test_compiled_one_hot_writes_to_no_other_row(wrong: int) -> None:
    compiled = torch.compile(lambda x: F.one_hot(x, 20))
    assert compiled(indices(5)).equal(F.one_hot(indices(5), 20))
    with pytest.raises(IndexError):
        compiled(indices(wrong))


@pytest.mark.parametrize("pivots", [[0, 2, 3], [1, 2, 4], [1, 2, -3], [-1, 2, 3], [-9, -9, 3], [10**6, 2, 3], [-(2**31)] * 3])
def test_pivots_that_lapack_would_take_for_places(pivots: list[int]) -> None:
    given = torch.tensor(pivots, dtype=torch.int32)
    with pytest.raises(RuntimeError, match="pivots"):
        torch.linalg.ldl_solve(torch.eye(3), given, torch.ones(3, 2))
    if pivots != [1, 2, 3]:
        with pytest.raises(RuntimeError, match="pivots"):
            torch.linalg.lu_solve(torch.eye(3), given, torch.ones(3, 2))


def test_pivots_of_blocks_are_taken() -> None:
    x = torch.tensor([[0.0, 2.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, 3.0]])
    LD, pivots = torch.linalg.ldl_factor(x)
    assert (pivots < 0).any()
    torch.testing.assert_close(x @ torch.linalg.ldl_solve(LD, pivots, torch.ones(3, 1)), torch.ones(3, 1))


def test_lengths_whose_sum_is_no_number() -> None:
    with pytest.raises(RuntimeError, match="more than a tensor may have"):
        torch.repeat_interleave(torch.ones(3), torch.tensor([2**63 - 1] * 3))
    with pytest.raises(ValueError):
        torch.segment_reduce(torch.ones(3), "sum", lengths=torch.tensor([2**63 - 1] * 3), unsafe=True)


@pytest.mark.parametrize("wrong", WRONG)
def test_rows_of_a_sparse_matrix_that_were_written_to(wrong: int) -> None:
    dense, wide = torch.eye(20), torch.ones(20, 400)
    for part in ("crow_indices", "col_indices"):
        for use in (lambda x: x @ wide, lambda x: x @ wide[:, :2], lambda x: x.to_dense()):
            x = dense.to_sparse_csr()
            getattr(x, part)()[3] = wrong
            if part == "crow_indices" and wrong == 20:
                getattr(x, part)()[5] = 1
            with pytest.raises(RuntimeError, match="crow_indices"):
                use(x)
    with pytest.raises(RuntimeError, match="rise"):  # though each is larger than the one before, modulo 2**64
        torch.sparse_csr_tensor(torch.tensor([0, 2**63 - 1, -(2**63), -1, 1]), torch.tensor([0]), torch.ones(1), (4, 1))


def test_a_tensor_counts_from_its_first_element() -> None:
    x = torch.arange(24.0)
    assert torch.empty(0).set_(x[3:9], 2, (2,), (1,)).tolist() == [5, 6]
    assert torch.empty(0).set_(x[3:9].untyped_storage(), 2, (2,), (1,)).tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.empty(0).set_(x[3:9], 20, (2,), (1,))


def test_a_storage_reaches_from_the_first_element_to_the_last() -> None:
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    for array, size in ((whole[:, 1], 40), (np.broadcast_to(whole[0], (5, 3)), 12), (whole.T, 48), (whole[:0], 0)):
        storage = torch.from_numpy(array).untyped_storage()
        assert len(storage) == len(storage.tolist()) == size


def test_read_only_memory_as_out() -> None:
    still = np.zeros(3, np.float32)
    still.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        torch.add(torch.ones(3), 1, out=torch.from_numpy(still))
    assert not still.any()


def test_sixty_four_dims_are_saved_and_loaded() -> None:
    x, file = torch.ones((1,) * 64), io.BytesIO()
    torch.save([x, x.numpy()], file)
    file.seek(0)
    for loaded in torch.load(file, weights_only=False):
        assert loaded.shape == x.shape
    with pytest.raises((RuntimeError, ValueError)):
        torch.ones((1,) * 65)


DEBUGGED = """
import sys
def trace(frame, event, arg):
    if frame.f_globals.get("__name__", "").startswith("wengert"):
        kept.append(frame.f_locals)
        del kept[:-100]
    return trace
kept = []
sys.settrace(trace)
import wengert as torch
import wengert.compiler.program
f, g = torch.compile(lambda x: (x * 2).exp()), torch.compile(lambda x: x * 2 + 1, fast_math=True)
f(torch.ones(100, 200)), g(torch.tensor(1.0))
sys.settrace(None)
for x, h in ((torch.ones(100, 200), f), (torch.tensor(1.0), g)):
    made = [h(x * i) for i in range(5)]
    assert len({y.sum().item() for y in made}) == 5
"""


def test_memory_is_not_given_twice_where_a_debugger_was_there_at_import() -> None:
    """What counts the holders of an array was itself held by a reader of `f_locals`; results of two runs were one array."""
    subprocess.run([sys.executable, "-c", DEBUGGED], check=True, timeout=120)
