"""Sparse tensors, as a plugin: `torch.sparse`, the constructors, and what sparse tensors have as methods.

Owns: the names; each module is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry

LEGACY = "Float Double Half BFloat16 Byte Char Short Int Long Bool".split()


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    registry.cases("sparse", "wengert_sparse.cases:RECORDS")
    registry.family(
        "wengert_sparse.making",
        functions="sparse_coo_tensor sparse_csr_tensor",
        methods="to_dense to_sparse to_sparse_coo=to_sparse to_sparse_csr sparse_mask",
    )
    registry.family(
        "wengert_sparse.asking",
        methods="coalesce is_coalesced _coalesced_ indices _indices values _values _nnz sparse_dim dense_dim crow_indices "
        "col_indices",
    )
    registry.family("wengert_sparse.computing", "smm", functions="spmm=mm dsmm=mm hspmm=mm")
    registry.family(
        "wengert_sparse.computing", functions="addmm log_softmax mm sampled_addmm softmax sum", prefix="sparse."
    )
    registry.family(
        "wengert_sparse.making", prefix="sparse.",
        functions="spdiags check_sparse_tensor_invariants " + " ".join(f"{name}Tensor" for name in LEGACY),
    )  # fmt: skip
    for name in ("sparse_coo", "sparse_csr", "sparse_product", "sparse_rows_product", "sparse_sampled"):
        registry.kernel(name, "*", f"wengert_sparse.kernels:{name}")
    for name in "coalesce sparse_by_places sparse_by_rows sparse_picked sparse_times_sparse sparse_values to_dense".split():
        registry.kernel(name, "*", "wengert_sparse.kernels:of_a_dense_array")  # a device owes none of them
    for name in ("sparse_coo", "sparse_csr"):
        registry.kernel(name, "meta", f"wengert_sparse.kernels:{name}")
    registry.kernel("sparse_product", "xp", "wengert_sparse.kernels:product_of_rows")
    registry.kernel("sparse_rows_product", "xp", "wengert_sparse.kernels:product_of_compressed")
