"""Further operations of PyTorch beside the core's, as a plugin.

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
    for part in ("indexing", "pointwise", "reductions", "shapes"):
        registry.cases(f"ops.{part}", f"wengert_ops.cases_{part}:RECORDS")
    registry.family(
        "wengert_ops.products", "inner vdot kron addmv addr baddbmm addbmm dist", functions="cdist",
        inplace="addmv addr baddbmm addbmm", out="inner vdot kron addmv addr baddbmm addbmm",
        exact_out="inner vdot addmv baddbmm addbmm",
    )  # fmt: skip
    registry.family(
        "wengert_ops.shapes", "adjoint as_strided diagflat fliplr flipud hsplit vsplit dsplit repeat_interleave rot90 "
        "tensor_split unsafe_chunk unsafe_split unsafe_split_with_sizes=unsafe_split narrow_copy",
        functions="atleast_1d atleast_2d atleast_3d block_diag cartesian_prod column_stack combinations dstack "
        "alias_copy as_strided_copy diagonal_copy expand_copy permute_copy split_copy split_with_sizes_copy "
        "squeeze_copy t_copy transpose_copy unbind_copy unfold_copy unsqueeze_copy view_copy detach_copy select_copy "
        "slice_copy",
        methods="resize_ resize_as_ sum_to_size unfold", inplace="as_strided", out="column_stack dstack",
    )  # fmt: skip
    registry.kernel("windows", "xp", "wengert_ops.moving_kernels:windows")
    registry.kernel("windows_sum", "xp", "wengert_ops.moving_kernels:windows_sum")
    registry.family(
        "wengert_ops.indexing", "argwhere as_strided_scatter diagonal_scatter index_copy index_fill index_reduce "
        "masked_scatter nonzero_static put scatter_reduce select_scatter slice_scatter",
        functions="fill tril_indices triu_indices unravel_index", methods="fill_diagonal_",
        inplace="index_copy index_fill index_reduce masked_scatter put scatter_reduce",
        out="index_copy index_reduce nonzero_static scatter_reduce slice_scatter", exact_out="index_copy index_reduce",
    )  # fmt: skip
    registry.family(
        "wengert_ops.pointwise", "copysign fmax fmin frac heaviside nextafter gcd lcm signbit logaddexp2 xlogy nan_to_num "
        "frexp ldexp float_power deg2rad rad2deg isposinf isneginf",
        inplace="copysign frac heaviside nextafter gcd lcm xlogy nan_to_num ldexp float_power deg2rad rad2deg",
        out="nan_to_num frexp ldexp float_power deg2rad rad2deg isposinf isneginf",
        exact_out="frac heaviside signbit nan_to_num float_power isposinf isneginf",
    )  # fmt: skip
    registry.family("wengert_ops.pointwise", functions="xlogy", prefix="special.")
    registry.family("wengert_ops.pointwise", functions="fake_quantize_per_channel_affine fake_quantize_per_tensor_affine")
    registry.family(
        "wengert_ops.written", functions=(
            "abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_ "
            "ceil_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_ deg2rad_ erf_ erfc_ exp2_ exp_ expm1_ "
            "fill_ fix_ floor_ frac_ gcd_ i0_ index_put_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ "
            "negative_ rad2deg_ reciprocal_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ "
            "xlogy_ zero_"
        ),
    )  # fmt: skip
    registry.family(
        "wengert_ops.complexes", "angle isreal conj_physical resolve_conj=itself resolve_neg=itself is_conj=never is_neg=never",
        functions="real imag complex polar view_as_real view_as_complex", inplace="conj_physical",
        out="polar conj_physical", exact_out="conj_physical",
    )  # fmt: skip
    for op in ("frac", "heaviside", "nan_to_num", "signbit", "angle", "frexp", "view_as_real", "view_as_complex"):
        registry.kernel(op, "xp", f"wengert_ops.pointwise_kernels:{op}")
    registry.family(
        "wengert_ops.masked", prefix="masked.",
        functions="amax amin argmax argmin cumprod cumsum log_softmax logaddexp logsumexp mean median norm normalize prod "
        "softmax softmin std sum var",
    )  # fmt: skip
    registry.family(
        "wengert_ops.masked_tensor", functions="MaskedTensor masked_tensor as_masked_tensor is_masked_tensor", prefix="masked."
    )
    registry.family(
        "wengert_ops.creation", "is_nonzero",
        functions="vander asarray frombuffer from_dlpack empty_strided empty_permuted range is_complex",
        methods="bfloat16 new_empty_strided",
    )  # fmt: skip
    registry.family(
        "wengert_ops.random", functions="randint_like poisson binomial", methods="cauchy_ geometric_ log_normal_"
    )
    registry.family("wengert_ops.quasirandom", prefix="quasirandom.", functions="SobolEngine")
    registry.family(
        "wengert_ops.reductions", "cummax cummin cumprod logcumsumexp aminmax nansum nanmean renorm",
        functions="var_mean std_mean", inplace="cumprod renorm",
        out="cummax cummin cumprod logcumsumexp nansum nanmean renorm", exact_out="logcumsumexp renorm",
    )  # fmt: skip
    for op in ("cummax", "cummin", "logcumsumexp"):
        registry.kernel(op, "xp", f"wengert_ops.reduction_kernels:{op}")
    registry.family(
        "wengert_ops.sorting", "median nanmedian kthvalue mode msort unique unique_consecutive isin",
        functions="searchsorted bucketize", out="median nanmedian kthvalue mode msort isin", exact_out="kthvalue msort",
    )  # fmt: skip
    for op in ("median", "median_all", "kthvalue", "mode", "searchsorted", "isin", "unique", "unique_consecutive"):
        registry.kernel(op, "xp", f"wengert_ops.reduction_kernels:{op}")
    registry.family("wengert_ops.segments", functions="segment_reduce")
    registry.family(
        "wengert_ops.asking", functions="cond detach detach_ frobenius_norm from_file get_device is_distributed is_same_size "
        "is_signed norm_except_dim nuclear_norm",
        methods="apply_ dim_order is_distributed is_same_size map_ map2_",
    )  # fmt: skip
    registry.family(
        "wengert_ops.statistics", "quantile nanquantile cov corrcoef bincount histc histogram diff",
        functions="histogramdd gradient trapezoid trapz=trapezoid cumulative_trapezoid", out="histc diff", exact_out="histc",
    )  # fmt: skip
    for op in ("sorted_at", "order_at"):
        registry.kernel(op, "*", f"wengert_ops.statistics:{op}_of_ops")
        registry.kernel(op, "cpu", f"wengert_ops.reduction_kernels:{op}")
    for op in ("bincount", "bincount_weighted", "histc", "histogram"):
        registry.kernel(op, "xp", f"wengert_ops.reduction_kernels:{op}")
