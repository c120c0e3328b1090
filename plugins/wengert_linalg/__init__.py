"""Linear algebra, as a plugin.

Owns: the names; each module of ops is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    registry.cases("linalg", "wengert_linalg.cases:RECORDS")
    solving, spectral, functions = (f"wengert_linalg.{name}" for name in ("solving", "spectral", "functions"))
    registry.family(
        solving, "det cholesky=cholesky_top cholesky_inverse cholesky_solve inverse=inv logdet lu_solve=lu_solve_top "
        "slogdet=slogdet_top triangular_solve lu=lu_top", functions="lu_unpack",
        out="cholesky cholesky_inverse cholesky_solve inverse lu lu_solve slogdet triangular_solve lu_unpack",
        exact_out="inverse",
    )  # fmt: skip
    registry.family(
        solving, functions="det slogdet inv inv_ex solve solve_ex solve_triangular cholesky cholesky_ex lu lu_factor "
        "lu_factor_ex lu_solve tensorinv tensorsolve ldl_factor ldl_factor_ex ldl_solve", prefix="linalg.",
        out="det slogdet inv inv_ex solve solve_ex solve_triangular cholesky cholesky_ex lu lu_factor lu_factor_ex lu_solve "
        "tensorinv tensorsolve ldl_factor ldl_factor_ex ldl_solve", exact_out="det inv solve cholesky lu_solve ldl_solve",
    )  # fmt: skip
    registry.family(
        spectral, "qr=qr_top svd=svd_top geqrf ormqr orgqr=householder_product pinverse", out="qr svd geqrf ormqr orgqr",
    )  # fmt: skip
    registry.family(
        spectral, functions="qr svd svdvals eigh eigvalsh eig eigvals pinv lstsq matrix_rank householder_product",
        out="qr svd svdvals eigh eigvalsh eig eigvals pinv lstsq matrix_rank householder_product", exact_out="svdvals eigvalsh",
        prefix="linalg.",
    )  # fmt: skip
    registry.family(
        functions, "matrix_exp matrix_power cross=cross_top", functions="chain_matmul lobpcg svd_lowrank pca_lowrank",
        out="matrix_power cross chain_matmul", exact_out="cross",
    )  # fmt: skip
    registry.family(
        functions, functions="matrix_exp matrix_power multi_dot vander vecdot diagonal cross vector_norm matrix_norm norm cond",
        out="matrix_power multi_dot vecdot cross vector_norm matrix_norm norm cond",
        exact_out="multi_dot vecdot cross vector_norm matrix_norm norm", prefix="linalg.",
    )  # fmt: skip
    registry.op("linalg.matmul", "wengert.ops.products:matmul")
    registry.op("linalg.LinAlgError", "wengert.errors:LinAlgError")
    for op in (
        "inv solve det slogdet cofactor cholesky qr geqrf svd svdvals eigh eigvalsh eig eigvals pinv triangle permutation "
        "matrix_exp"
    ).split():
        registry.kernel(op, "xp", f"wengert_linalg.kernels:{op}")
    for op in ("solve_triangular", "cholesky_solve", "lu_factor", "ldl_factor", "ldl_solve"):
        registry.kernel(op, "cpu", f"wengert_linalg.kernels:{op}")
