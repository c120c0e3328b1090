"""Neural-network operations: `wengert.nn.functional`, as a plugin.

Owns: the names; each module of ops is loaded when one of its names is first asked for.
May import: `wengert.plugins` only, so that finding the plugin costs nothing. Must not know: tensors, devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.plugins import hookimpl
from wengert_nn.modules import BELOW, MODULES

if TYPE_CHECKING:
    from wengert.registry import Registry


@hookimpl
def wengert_register_ops(registry: Registry) -> None:
    """Register every name by the module that has it."""
    for part in ("conv", "nn"):
        registry.cases(f"nn.{part}", f"wengert_nn.cases_{part}:RECORDS")
    registry.family(
        "wengert_nn.activations", prefix="nn.functional.",
        functions="celu elu gelu glu gumbel_softmax hardshrink hardsigmoid hardswish hardtanh leaky_relu log_softmax "
        "logsigmoid mish prelu relu relu6 rrelu selu silu softmax softmin softplus softshrink softsign tanhshrink threshold "
        "celu_=celu_inplace elu_=elu_inplace hardtanh_=hardtanh_inplace leaky_relu_=leaky_relu_inplace relu_=relu_inplace "
        "rrelu_=rrelu_inplace selu_=selu_inplace threshold_=threshold_inplace sigmoid tanh",
        out="elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid silu softplus softshrink threshold",
    )  # fmt: skip
    registry.family(
        "wengert_nn.activations", "hardshrink prelu",
        functions="celu rrelu selu threshold celu_=celu_inplace relu_=relu_inplace rrelu_=rrelu_inplace selu_=selu_inplace "
        "threshold_=threshold_inplace", out="threshold hardshrink",
    )  # fmt: skip
    for name in (
        "elu elu_pull gelu gelu_pull gelu_tanh gelu_tanh_pull hardsigmoid hardswish hardtanh leaky_relu leaky_relu_pull "
        "log_sigmoid mish silu silu_pull softplus softplus_pull"
    ).split():
        registry.kernel(name, "xp", f"wengert_nn.kernels_activations:{name}")
    registry.kernel("gelu_with_slope", "xp", "wengert_nn.kernels_activations:gelu_with_slope")
    for name in ("gelu_with_slope", "gelu_made"):
        registry.kernel(name, "*", f"wengert_nn.activations:{name}_of_ops")
    for name in ("cross_entropy", "cross_entropy_pull", "gelu", "gelu_pull"):
        registry.kernel(name, "compiled cpu", f"wengert_nn.compiled:{name}")
    for name in ("moments", "normalise", "normalise_back", "normalise_weight"):
        registry.kernel(name, "compiled", f"wengert_nn.compiled:{name}")
    registry.kernel("normalise_pull", "*", "wengert_nn.normalisation:pull_of_ops")
    registry.kernel("class_mean", "*", "wengert_nn.losses:mean_of_ops")
    registry.kernel("unpick", "*", "wengert_nn.losses:unpick_of_ops")
    registry.kernel("share_less", "*", "wengert_nn.compiled:share_less_of_ops")
    for name in ("share_less", "normal_share", "gelu_slope"):
        registry.kernel(name, "xp", f"wengert_nn.kernels_compiled:{name}")
    registry.family(
        "wengert_nn.losses", prefix="nn.functional.",
        functions="binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cosine_similarity "
        "cross_entropy gaussian_nll_loss hinge_embedding_loss huber_loss kl_div l1_loss linear_cross_entropy mse_loss "
        "margin_ranking_loss multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss nll_loss pairwise_distance "
        "pdist poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss triplet_margin_with_distance_loss",
    )  # fmt: skip
    registry.family("wengert_nn.ctc", prefix="nn.functional.", functions="ctc_loss")
    registry.family("wengert_nn.losses", functions="cosine_similarity pairwise_distance pdist")
    registry.family(
        "wengert_nn.dropout", prefix="nn.functional.",
        functions="alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout",
    )
    registry.family(
        "wengert_nn.dropout",
        functions=" ".join(
            f"{name}=torch_{name} {name}_={name}_inplace"
            for name in ("alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout")
        ),
    )
    registry.family("wengert_nn.embedding", prefix="nn.functional.", functions="embedding embedding_bag one_hot")
    registry.family("wengert_nn.embedding", functions="embedding=embedding_of_table")
    registry.kernel("embedding_sparse", "*", "wengert_nn.embedding:embedding_sparse")
    registry.family(
        "wengert_nn.attention", prefix="nn.functional.",
        functions="bilinear linear multi_head_attention_forward normalize scaled_dot_product_attention", out="linear",
    )
    registry.family("wengert_nn.attention", functions="bilinear")
    for name in ("lstm_cell", "gru_cell", "lstm_pull", "gru_pull", "lstm_layer", "lstm_layer_pull"):
        registry.kernel(name, "xp", f"wengert_nn.kernels_recurrences:{name}")
    registry.kernel("lstm_layer", "*", "wengert_nn.recurrences:lstm_layer_steps")
    registry.kernel("lstm_layer_pull", "*", "wengert_nn.recurrences:lstm_layer_gradients")
    for name in ("lstm", "gru"):
        registry.kernel(f"{name}_pull", "*", f"wengert_nn.recurrences:{name}_slopes")
    for name in "attention_weights embedding linear masked_attention_weights".split():
        registry.kernel(name, "xp", f"wengert_nn.kernels_layers:{name}")
    for name in (
        "bce bce_logits bce_logits_pull class_mean count_samples cross_entropy cross_entropy_pull huber mse pick unpick"
    ).split():
        registry.kernel(name, "xp", f"wengert_nn.kernels_losses:{name}")
    registry.family(
        "wengert_nn.convolution", prefix="nn.functional.",
        functions="conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d fold unfold",
    )  # fmt: skip
    registry.family(
        "wengert_nn.convolution",
        functions="conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d "
        "convolution=any_convolution",
    )  # fmt: skip
    registry.family(
        "wengert_nn.pooling", prefix="nn.functional.",
        functions="adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices "
        "adaptive_max_pool3d_with_indices "
        "avg_pool1d avg_pool2d avg_pool3d fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d "
        "fractional_max_pool3d_with_indices lp_pool1d lp_pool2d "
        "lp_pool3d max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices "
        "max_unpool1d max_unpool2d max_unpool3d", out="avg_pool2d avg_pool3d",
    )  # fmt: skip
    registry.family(
        "wengert_nn.pooling",
        functions="adaptive_avg_pool1d adaptive_max_pool1d=adaptive_max_pool1d_with_indices avg_pool1d max_pool1d "
        "max_pool1d_with_indices max_pool2d max_pool3d",
    )  # fmt: skip
    registry.family(
        "wengert_nn.normalisation", prefix="nn.functional.",
        functions="batch_norm group_norm instance_norm layer_norm local_response_norm rms_norm",
    )  # fmt: skip
    registry.family(
        "wengert_nn.normalisation",
        functions="batch_norm=torch_batch_norm group_norm instance_norm=torch_instance_norm layer_norm native_batch_norm "
        "native_layer_norm rms_norm", out="native_batch_norm",
    )  # fmt: skip
    registry.family(
        "wengert_nn.toplevel",
        functions="binary_cross_entropy_with_logits cosine_embedding_loss ctc_loss gru gru_cell hinge_embedding_loss kl_div "
        "lstm lstm_cell margin_ranking_loss poisson_nll_loss rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell triplet_margin_loss",
    )  # fmt: skip
    registry.family("wengert_nn.padding", functions="pad", prefix="nn.functional.")
    registry.family("wengert_nn.padding", functions="constant_pad_nd")
    registry.family(
        "wengert_nn.resampling", prefix="nn.functional.",
        functions="affine_grid channel_shuffle grid_sample interpolate native_channel_shuffle=channel_shuffle pixel_shuffle "
        "pixel_unshuffle upsample upsample_bilinear upsample_nearest",
    )  # fmt: skip
    registry.family(
        "wengert_nn.resampling",
        functions="affine_grid_generator=affine_grid channel_shuffle grid_sampler grid_sampler_2d=grid_sampler "
        "grid_sampler_3d=grid_sampler "
        "native_channel_shuffle=channel_shuffle pixel_shuffle pixel_unshuffle",
    )  # fmt: skip
    for module, names in {
        "windows": "convolution convolution_input convolution_weight fold_windows pool_max pool_put pool_spread pool_sum "
        "pool_take pool_winner unfold_windows",
        "norm": "moments normalise normalise_back normalise_pull normalise_weight",
        "taps": "constant_pad resample",
    }.items():
        for name in names.split():
            registry.kernel(name, "xp", f"wengert_nn.kernels_{module}:{name}")


@hookimpl
def wengert_register_modules(registry: Registry) -> None:
    """Register every layer, and the functions of `nn.init`, `nn.grad` and `nn.utils`."""
    for module, names in MODULES.items():
        for name in names.split():
            registry.module(name, f"wengert_nn.modules.{module}:{name}")
    for prefix, modules in BELOW.items():
        for module, names in modules.items():
            for name in names.split():
                registry.module(prefix + name, f"wengert_nn.{module}:{name}")
