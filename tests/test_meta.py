"""The device "meta": what is made there has the shape, the dtype and the strides that it has with values; nothing is read.

Owns the proof of that, for every row of the case table, gradients included. May import: the case tables, wengert.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

import families
import wengert as w
from wengert.testing.cases import FUNCTIONS, RECORDS, Case, Sample
from wengert.testing.ops import call, flat

# What values decide: the shape of the result, or a number that Python needs.
NO_VALUE = "needs a value|no data"
OF_VALUES = {
    "__getitem__", "__setitem__", "allclose", "bincount", "bincount_weighted", "cpu", "eig", "equal", "mask_get", "mask_put",
    "masked_select", "nonzero", "to", "unique", "unique_consecutive", "where",
    # which places of a sparse tensor are one
    "coalesce", "sparse_by_places", "sparse_by_rows", "sparse_coo", "sparse_csr", "sparse_picked", "sparse_times_sparse",
    "sparse_values", "to_dense",
}  # fmt: skip


def outcome(case: Case, sample: Sample, device: str) -> list[Any]:
    """Return shapes and types of a call's results and of their gradients; or the error's type."""
    arrays = sample.arrays(case.name)
    leaves = [
        w.tensor(a, device=device, requires_grad=leaf.floating and not leaf.constant)
        for a, leaf in zip(arrays, sample.leaves(), strict=True)
    ]
    made = [t for t in flat(call(w, case, sample, leaves)) if isinstance(t, w.Tensor)]
    wanted = [t for t in leaves if t.requires_grad]
    grads: list[Any] = []
    for t in made:
        if t.requires_grad:
            try:
                grads += w.autograd.grad(t, wanted, w.ones_like(t), allow_unused=True, retain_graph=True)
            except (NotImplementedError, RuntimeError) as error:
                if re.search(NO_VALUE, str(error)):
                    raise
                grads.append(type(error))
    return [(t.shape, t.dtype, t.is_contiguous()) if isinstance(t, w.Tensor) else t for t in (*made, *grads)]


@pytest.mark.parametrize("case", [*RECORDS.values(), *FUNCTIONS.values(), *families.RECORDS.values()], ids=lambda c: c.name)
def test_shapes_and_types_are_those_of_values(case: Case) -> None:
    refused = 0
    for sample in case.samples:
        try:
            with w.device("meta"):
                absent = outcome(case, sample, "meta")
        except (RuntimeError, NotImplementedError) as error:
            if case.name not in OF_VALUES or not re.search(NO_VALUE, str(error)):
                raise
            refused += 1
        else:
            assert absent == outcome(case, sample, "cpu"), str(sample)
    assert bool(refused) == (case.name in OF_VALUES and not (case.is_record and case.name in ("equal", "where")))


def test_what_is_told_without_values() -> None:
    x = w.empty(2, 3, device="meta")
    assert x.is_meta and x.device == w.device("meta") and str(x.device) == "meta" and x[:, ::2].stride() == (3, 2)
    assert repr(x.double()) == "tensor(..., device='meta', size=(2, 3), dtype=torch.float64)"
    y = (x * w.ones(3, device="meta", requires_grad=True)).sum()
    assert repr(y) == "tensor(..., device='meta', size=(), grad_fn=<SumBackward0>)"
    for read in (y.item, x.tolist, x.cpu, lambda: bool(y)):
        with pytest.raises(NotImplementedError, match="no data"):
            read()
    with pytest.raises(RuntimeError, match="same device"):
        x + w.ones(3)


def test_modules_are_made_without_values_and_given_memory_later() -> None:
    with w.device("meta"):
        net = w.nn.Sequential(w.nn.Conv2d(3, 8, 3), w.nn.ReLU(), w.nn.Flatten(), w.nn.Linear(8 * 36, 4))
        assert net(w.zeros(5, 3, 8, 8)).shape == (5, 4)
    assert {p.device.type for p in net.parameters()} == {"meta"}
    net.to_empty(device="cpu")
    assert {p.device.type for p in net.parameters()} == {"cpu"} and w.empty_like(w.empty(2, device="meta"), device="cpu").tolist() == [0, 0]


def test_as_tensor_goes_to_the_default_device() -> None:
    x = w.ones(2)
    with w.device("meta"):
        assert w.as_tensor(x).is_meta and w.asarray(x).is_meta and w.as_tensor(x, device="cpu") is x
    with w.device("cpu"), pytest.raises(NotImplementedError, match=NO_VALUE):
        w.as_tensor(x.to("meta"))
    assert w.as_tensor(x) is x and w.as_tensor(x.to("meta")).is_meta
