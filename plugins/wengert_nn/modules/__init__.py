"""The modules of `wengert.nn`: layers, containers, losses.

Owns: the table of which module of this package has which names. May import: nothing. Must not know: tensors, devices.
"""

MODULES = {
    "parameter": "is_lazy Parameter Buffer UninitializedParameter UninitializedBuffer",
    "module": "Module _IncompatibleKeys register_module_forward_hook register_module_forward_pre_hook "
    "register_module_full_backward_hook register_module_full_backward_pre_hook register_module_backward_hook "
    "register_module_parameter_registration_hook register_module_buffer_registration_hook "
    "register_module_module_registration_hook consume_prefix_in_state_dict_if_present",
    "container": "Sequential ModuleList ModuleDict ParameterList ParameterDict",
    "lazy": "LazyModuleMixin",
    "compiled": "OptimizedModule",
    "linear": "Identity Linear Bilinear LazyLinear NonDynamicallyQuantizableLinear",
    "conv": "_ConvNd _ConvTransposeNd Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d "
    "LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d",
    "pooling": "MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d "
    "LPPool2d LPPool3d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
    "AdaptiveMaxPool3d FractionalMaxPool2d FractionalMaxPool3d",
    "norm": "_NormBase _BatchNorm _InstanceNorm BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm InstanceNorm1d "
    "InstanceNorm2d InstanceNorm3d LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d "
    "LazyInstanceNorm3d LayerNorm RMSNorm GroupNorm LocalResponseNorm CrossMapLRN2d",
    "dropout": "_DropoutNd Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout",
    "sparse": "Embedding EmbeddingBag",
    "recurrent": "RNNBase RNN LSTM GRU RNNCellBase RNNCell LSTMCell GRUCell",
    "attention": "MultiheadAttention",
    "transformer": "Transformer TransformerEncoder TransformerDecoder TransformerEncoderLayer TransformerDecoderLayer",
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "activation": "ReLU SELU SiLU Mish Hardsigmoid Hardswish Sigmoid Tanh LogSigmoid Softsign Tanhshrink Hardtanh ReLU6 "
    "Threshold LeakyReLU RReLU ELU CELU GELU Softplus Hardshrink Softshrink GLU Softmax Softmin LogSoftmax Softmax2d PReLU",
    "loss": "_Loss _WeightedLoss L1Loss MSELoss SmoothL1Loss HuberLoss BCELoss BCEWithLogitsLoss NLLLoss NLLLoss2d "
    "CrossEntropyLoss LinearCrossEntropyLoss KLDivLoss CTCLoss PoissonNLLLoss GaussianNLLLoss HingeEmbeddingLoss "
    "SoftMarginLoss MultiMarginLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss CosineEmbeddingLoss MarginRankingLoss "
    "TripletMarginLoss TripletMarginWithDistanceLoss",
    "distance": "PairwiseDistance CosineSimilarity",
    "shape": "Flatten Unflatten Unfold Fold PixelShuffle PixelUnshuffle ChannelShuffle Upsample UpsamplingNearest2d "
    "UpsamplingBilinear2d ConstantPad1d ConstantPad2d ConstantPad3d ZeroPad1d ZeroPad2d ZeroPad3d ReflectionPad1d "
    "ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d CircularPad1d CircularPad2d "
    "CircularPad3d",
    "sizes": "_single _pair _triple _quadruple _ntuple _reverse_repeat_tuple",
}
# Below `wengert.nn`: functions in other modules of wengert_nn.
BELOW = {
    "init.": {
        "init": "calculate_gain _calculate_fan_in_and_fan_out _calculate_correct_fan uniform_ normal_ trunc_normal_ constant_ "
        "ones_ zeros_ eye_ dirac_ orthogonal_ sparse_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_",
    },
    "grad.": {"gradients": "conv1d_input conv1d_weight conv2d_input conv2d_weight conv3d_input conv3d_weight"},
    "utils.": {
        "utils.clip": "clip_grad_norm clip_grad_norm_ clip_grad_value_ clip_grads_with_norm_ get_total_norm",
        "utils.vectors": "parameters_to_vector vector_to_parameters",
        "utils.norms": "weight_norm remove_weight_norm spectral_norm remove_spectral_norm",
        "utils.fusion": "fuse_conv_bn_eval fuse_conv_bn_weights fuse_linear_bn_eval fuse_linear_bn_weights",
        "utils.making": "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format skip_init",
    },
    "utils.rnn.": {
        "utils.rnn": "PackedSequence pack_padded_sequence pad_packed_sequence pad_sequence pack_sequence unpad_sequence "
        "unpack_sequence invert_permutation",
    },
    "utils.parametrize.": {
        "utils.parametrize": "cached is_parametrized register_parametrization remove_parametrizations "
        "type_before_parametrizations transfer_parametrizations_and_params ParametrizationList",
    },
    "utils.parametrizations.": {"utils.parametrizations": "weight_norm spectral_norm orthogonal"},
    "utils.prune.": {
        "utils.prune": "BasePruningMethod PruningContainer Identity RandomUnstructured L1Unstructured RandomStructured "
        "LnStructured CustomFromMask identity random_unstructured l1_unstructured random_structured ln_structured "
        "global_unstructured custom_from_mask remove is_pruned",
    },
}
