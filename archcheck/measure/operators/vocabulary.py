"""The vocabulary: torch's names of operators, and the canonical kinds that they have. Tables only."""

from __future__ import annotations

_SAME_NAME = (
    "linear bilinear embedding lstm gru relu relu6 leaky_relu prelu elu selu celu gelu silu mish sigmoid tanh "
    "softplus hardtanh hardswish hardsigmoid glu rrelu threshold softshrink hardshrink softmax log_softmax batch_norm "
    "layer_norm group_norm instance_norm rms_norm add sub mul div mean sum permute cat pixel_shuffle channel_shuffle "
    "matmul pad dropout log_sigmoid reshape slice dequantize"
)
"""Kinds that have the name of one of torch's operators."""

_OTHER_NAMES = {
    "conv": "conv1d conv2d conv3d convolution _convolution conv_tbc torchvision::deform_conv2d",
    "conv_transpose": "conv_transpose1d conv_transpose2d conv_transpose3d",
    "bilinear": "_trilinear",
    "attention":
        "scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu _native_multi_head_attention "
        "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention "
        "_scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable",
    "lstm": "mkldnn_rnn_layer quantized_lstm lstm_cell quantized::quantized_lstm_cell_dynamic",
    "gru": "quantized_gru gru_cell quantized::quantized_gru_cell_dynamic",
    "batch_norm":
        "quantized_batch_norm native_batch_norm cudnn_batch_norm quantized::batch_norm2d "
        "quantized::batch_norm2d_relu quantized::batch_norm3d",
    "max_pool":
        "quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d max_pool1d max_pool2d max_pool3d "
        "max_pool2d_with_indices max_pool3d_with_indices max_pool1d_with_indices fractional_max_pool2d "
        "fractional_max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
    "rnn":
        "rnn_tanh rnn_relu rnn_tanh_cell rnn_relu_cell quantized::quantized_rnn_relu_cell_dynamic "
        "quantized::quantized_rnn_tanh_cell_dynamic",
    "embedding":
        "embedding_bag quantized::embedding_byte quantized::embedding_bag_byte quantized::embedding_4bit "
        "quantized::embedding_bag_4bit",
    "dropout": "feature_dropout alpha_dropout feature_alpha_dropout native_dropout",
    "layer_norm": "native_layer_norm",
    "group_norm": "native_group_norm",
    "rms_norm": "_fused_rms_norm",
    "softmax": "_softmax special_softmax",
    "log_softmax": "_log_softmax special_log_softmax",
    "avg_pool":
        "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
        "_adaptive_avg_pool2d _adaptive_avg_pool3d",
    "matmul":
        "mm bmm mv dot addmm baddbmm addmv addbmm einsum tensordot _grouped_mm inner outer ger addr vdot linalg_vecdot "
        "_int_mm _scaled_mm _scaled_grouped_mm _scaled_mm_v2 _scaled_grouped_mm_v2 _foreach_mm _addmm_activation "
        "_sparse_mm",
    "linear":
        "_weight_int4pack_mm _weight_int4pack_mm_for_cpu _dyn_quant_matmul_4bit "
        "_weight_int4pack_mm_with_scales_and_zeros _mixed_dtypes_linear fbgemm_linear_int8_weight "
        "fbgemm_linear_fp16_weight _weight_int8pack_mm",
    "sub": "rsub subtract",
    "mul": "multiply quantized::mul_relu quantized::mul_scalar",
    "div": "divide true_divide",
    "add": "__iadd__ quantized::add_relu quantized::add_scalar",
    "pad":
        "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
        "replication_pad3d _pad_circular",
    "permute": "transpose t T mT numpy_T movedim moveaxis swapaxes swapdims adjoint",
    "reshape":
        "view _unsafe_view flatten unflatten squeeze unsqueeze expand expand_as view_as reshape_as ravel unfold im2col "
        "repeat tile broadcast_to as_strided roll flip",
    "slice":
        "select narrow split split_with_sizes chunk unbind tensor_split index_select index gather take_along_dim "
        "_unsafe_index unsafe_split unsafe_chunk",
    "cat": "concat concatenate stack hstack vstack column_stack quantized::cat_relu",
    "copy": "clone contiguous to _to_copy alias detach lift_fresh type_as lift positive identity",
    "pixel_shuffle": "pixel_unshuffle",
    "channel_shuffle": "native_channel_shuffle",
    "upsample":
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d "
        "upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa _upsample_lanczos2d_aa "
        "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d",
    "loss":
        "nll_loss nll_loss_nd cross_entropy_loss mse_loss l1_loss binary_cross_entropy "
        "binary_cross_entropy_with_logits huber_loss smooth_l1_loss soft_margin_loss multi_margin_loss ctc_loss "
        "multilabel_margin_loss_forward _ctc_loss",
    "quantize": "quantize_per_tensor quantize_per_tensor_dynamic quantize_per_channel",
}  # fmt: skip
"""Canonical kind -> the operators of torch that have it under another name."""

_QUANTIZED_SAME_NAME = (
    "add mul cat softmax dropout batch_norm layer_norm group_norm instance_norm hardswish leaky_relu sigmoid elu celu "
    "prelu relu6 threshold"
)
"""Kinds that have the name of an operator in the namespace `quantized`."""

QUANTIZED: dict[str, str] = {
    **{f"quantized::conv{axes}d{form}": "conv"
       for axes in (1, 2, 3) for form in ("", "_relu", "_add", "_add_relu", "_dynamic")},
    **{f"quantized::conv_transpose{axes}d{form}": "conv_transpose" for axes in (1, 2, 3) for form in ("", "_dynamic")},
    **{f"quantized::linear{form}": "linear"
       for form in ("", "_relu", "_leaky_relu", "_tanh", "_dynamic", "_relu_dynamic", "_dynamic_fp16",
                    "_relu_dynamic_fp16", "_with_input_q_dq_qweight_dq_output_fp32",
                    "_with_input_q_dq_qweight_dq_relu_output_fp32")},
    **{f"quantized::quantized_{form}_cell_dynamic": "cell" for form in ("lstm", "gru", "rnn_relu", "rnn_tanh")},
}  # fmt: skip
"""Operators on packed weights -> the kind of product that they compute."""

KINDS: dict[str, str] = {
    **{name: name for name in _SAME_NAME.split()},
    **{f"quantized::{name}": name for name in _QUANTIZED_SAME_NAME.split()},
    **{name: kind for kind, names in _OTHER_NAMES.items() for name in names.split()},
    **{name: kind for name, kind in QUANTIZED.items() if kind != "cell"},
}
"""Torch's name -> canonical kind."""

FACTORIES = frozenset({
    "zeros", "ones", "empty", "full", "arange", "linspace", "logspace", "eye", "zeros_like", "ones_like",
    "empty_like", "full_like", "new_zeros", "new_ones", "new_empty", "new_full", "scalar_tensor",
    "tril_indices", "triu_indices", "hann_window", "hamming_window", "meshgrid", "one_hot",
})  # fmt: skip
"""Operators that make tensors from sizes alone."""

RANDOM = frozenset({
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial", "uniform",
})  # fmt: skip
"""Operators that draw random numbers."""

WHOLE = frozenset({
    "var", "std", "var_mean", "std_mean", "square", "cosine_similarity", "pairwise_distance", "isfinite",
    "isnan", "repeat_interleave", "and", "or", "not_equal", "greater", "less", "greater_equal", "less_equal",
    "floor_divide", "absolute", "__and__", "__or__", "__iand__", "__ior__", "__xor__", "arctan2", "where",
    "norm", "cumsum", "softsign", "max", "min", "argmax", "argmin", "amax", "amin", "size", "item",
    "is_nonzero", "sym_size",
})  # fmt: skip
"""Composite operators that are known as a whole, and keep torch's own name."""

FREE = frozenset({
    "input", "constant", "index_put", "index_add", "scatter", "scatter_add", "masked_fill", "masked_select", "nonzero",
    "argwhere", "nonzero_numpy", "sort", "topk", "argsort", "any", "all", "cumprod", "linalg_vector_norm",
    "unique_consecutive", "_unique2", "bincount", "searchsorted", "bucketize", "tril", "triu", "diagonal", "diag",
    "count_nonzero", "logsumexp", "prod", "median", "kthvalue", "mode", "_pack_padded_sequence", "_pad_packed_sequence",
    "local_response_norm", "equal", "_local_scalar_dense", "clamp", "clip", "affine_grid_generator", "col2im",
    "torchvision::nms", "torchvision::roi_align", "torchvision::roi_pool", "_nested_tensor_from_mask_left_aligned",
    "is_same_size", "fake_quantize_per_tensor_affine", "weight_norm", "_weight_norm", "_weight_norm_interface",
    "index_fill", "max_unpool2d", "max_unpool3d", "embedding_dense_backward", "profiler::_record_function_enter_new",
    "profiler::_record_function_exit", "_linalg_check_errors", "to_sparse", "histc", "renorm", "take", "rot90",
    *(  # move
        "_chunk_cat", "_coalesce", "_coalesced", "_convert_indices_from_coo_to_csr", "_convert_indices_from_csr_to_coo",
        "_convert_weight_to_int4pack", "_convert_weight_to_int4pack_for_cpu", "_copy_from",
        "_dyn_quant_pack_4bit_weight", "_copy_from_and_resize", "_index_put_impl", "_jagged_to_padded_dense_forward",
        "_lazy_clone", "_mkldnn_reshape", "_mkldnn_transpose", "_nested_from_padded", "_padded_dense_to_jagged_forward",
        "_sparse_coo_tensor_unsafe", "_sparse_coo_tensor_with_dims", "_sparse_coo_tensor_with_dims_and_tensors",
        "_sparse_compressed_tensor_unsafe", "_sparse_compressed_tensor_with_dims", "to_dense", "_pin_memory",
        "_reshape_copy", "_resize_output", "_spdiags", "_stack", "_to_dense", "_to_sparse", "_to_sparse_bsc",
        "_to_sparse_bsr", "_to_sparse_csc", "_to_sparse_csr", "_unsafe_index_put", "_unsafe_masked_index",
        "_unsafe_masked_index_put_accumulate", "block_diag", "copy", "copy_sparse_to_sparse", "diag_embed",
        "embedding_renorm", "fill", "index_reduce", "int_repr", "lu_unpack", "masked_scatter", "nonzero_static", "put",
        "record_stream", "resize", "resize_as", "scatter_reduce", "segment_reduce", "set", "sparse_coo_tensor",
        "sparse_compressed_tensor", "sparse_mask", "to_mkldnn", "to_padded_tensor", "unsafe_split_with_sizes", "zero",
    ),
    *(  # compare
        "_aminmax", "_cummax_helper", "_cummin_helper", "_is_all_true", "_is_any_true", "_unique", "aminmax",
        "_histogramdd_bin_edges", "_histogramdd_from_bin_cts", "_histogramdd_from_bin_tensors", "cummax", "cummin",
        "histogram", "isin", "nanmedian", "unique_dim", "unique_dim_consecutive",
    ),
    *(  # draw
        "_philox_key_fold_in", "_philox_key_split", "_philox_normal", "_philox_uniform", "_sample_dirichlet",
        "_standard_gamma", "binomial", "cauchy", "exponential", "geometric", "log_normal", "poisson", "random",
        "rrelu_with_noise",
    ),
    *(  # make from sizes
        "_efficientzerotensor", "bartlett_window", "blackman_window", "empty_permuted", "empty_strided", "fft_fftfreq",
        "fft_rfftfreq", "kaiser_window", "new_empty_strided", "range",
    ),
    *(  # round to few values, and keep the scales
        "_empty_affine_quantized", "_empty_per_channel_affine_quantized", "_fake_quantize_learnable_per_channel_affine",
        "_fake_quantize_learnable_per_tensor_affine", "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
        "_fused_moving_avg_obs_fq_helper", "_make_per_channel_quantized_tensor", "_make_per_tensor_quantized_tensor",
        "empty_quantized", "fake_quantize_per_channel_affine", "fake_quantize_per_channel_affine_cachemask",
        "fake_quantize_per_tensor_affine_cachemask", "fused_moving_avg_obs_fake_quant", "q_per_channel_scales",
        "q_per_channel_zero_points",
    ),
    *(  # elementwise, or sums of elementwise results
        "_add_relu", "_batch_norm_no_update", "_batch_norm_with_update", "_logcumsumexp", "_masked_scale",
        "_masked_softmax", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_prelu_kernel",
        "_safe_softmax", "_sparse_csr_prod", "_sparse_csr_sum", "_sparse_log_softmax", "_sparse_softmax", "_sparse_sum",
        "_transform_bias_rescale_qkv", "complex", "cross", "dist", "glu_backward_jvp", "glu_jvp", "hash_tensor",
        "linalg__powsum", "linalg_cross", "log_sigmoid_forward", "logcumsumexp", "nansum", "native_norm", "nll_loss2d",
        "nll_loss2d_forward", "nll_loss_forward", "polar", "torchvision::ps_roi_align", "torchvision::ps_roi_pool",
        "trace",
    ),
})  # fmt: skip
"""Operators without multiply-accumulates, beside those above."""


def base_name(name: str) -> str:
    """Return the name without the underscore of an in-place form: `relu_` -> `relu`."""
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def is_listed(name: str) -> bool:
    """Whether the operator is known as a whole, so that nothing needs to look inside."""
    base = base_name(name)
    return any(base in table for table in (KINDS, FACTORIES, RANDOM, WHOLE))
