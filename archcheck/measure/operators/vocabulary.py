"""The vocabulary: torch's operator names, and the canonical kinds that they stand for. Tables only."""

from __future__ import annotations

_SAME_NAME = {
    "linear", "bilinear", "embedding", "lstm", "gru", "relu", "relu6", "leaky_relu", "prelu", "elu", "selu",
    "celu", "gelu", "silu", "mish", "sigmoid", "tanh", "softplus", "hardtanh", "hardswish", "hardsigmoid",
    "glu", "rrelu", "threshold", "softshrink", "hardshrink", "softmax", "log_softmax", "batch_norm",
    "layer_norm", "group_norm", "instance_norm", "rms_norm", "add", "sub", "mul", "div", "mean", "sum",
    "permute", "cat", "pixel_shuffle", "channel_shuffle", "matmul", "pad",
}  # fmt: skip

KINDS: dict[str, str] = {name: name for name in _SAME_NAME} | {
    "conv1d": "conv", "conv2d": "conv", "conv3d": "conv", "convolution": "conv", "_convolution": "conv",
    "conv_tbc": "conv", "torchvision::deform_conv2d": "conv",
    "conv_transpose1d": "conv_transpose", "conv_transpose2d": "conv_transpose", "conv_transpose3d": "conv_transpose",
    "_trilinear": "bilinear", "scaled_dot_product_attention": "attention",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
    "_native_multi_head_attention": "attention", "mkldnn_rnn_layer": "lstm", "quantized_lstm": "lstm",
    "quantized_gru": "gru", "quantized_batch_norm": "batch_norm", "quantized_max_pool1d": "max_pool",
    "quantized_max_pool2d": "max_pool", "quantized_max_pool3d": "max_pool",
    "rnn_tanh": "rnn", "rnn_relu": "rnn", "lstm_cell": "lstm",
    "gru_cell": "gru", "rnn_tanh_cell": "rnn", "rnn_relu_cell": "rnn", "embedding_bag": "embedding",
    "dropout": "dropout", "feature_dropout": "dropout", "alpha_dropout": "dropout",
    "feature_alpha_dropout": "dropout", "native_dropout": "dropout", "log_sigmoid": "log_sigmoid",
    "native_batch_norm": "batch_norm", "native_layer_norm": "layer_norm", "native_group_norm": "group_norm",
    "cudnn_batch_norm": "batch_norm", "_fused_rms_norm": "rms_norm", "_softmax": "softmax",
    "_log_softmax": "log_softmax", "special_log_softmax": "log_softmax", "special_softmax": "softmax",
    "max_pool1d": "max_pool", "max_pool2d": "max_pool", "max_pool3d": "max_pool",
    "max_pool2d_with_indices": "max_pool", "max_pool3d_with_indices": "max_pool",
    "max_pool1d_with_indices": "max_pool", "fractional_max_pool2d": "max_pool", "fractional_max_pool3d": "max_pool",
    "avg_pool1d": "avg_pool", "avg_pool2d": "avg_pool", "avg_pool3d": "avg_pool",
    "adaptive_avg_pool1d": "avg_pool", "adaptive_avg_pool2d": "avg_pool", "adaptive_avg_pool3d": "avg_pool",
    "_adaptive_avg_pool2d": "avg_pool", "_adaptive_avg_pool3d": "avg_pool",
    "adaptive_max_pool1d": "max_pool", "adaptive_max_pool2d": "max_pool", "adaptive_max_pool3d": "max_pool",
    "mm": "matmul", "bmm": "matmul", "mv": "matmul", "dot": "matmul", "addmm": "matmul", "baddbmm": "matmul",
    "addmv": "matmul", "addbmm": "matmul", "einsum": "matmul", "tensordot": "matmul", "_grouped_mm": "matmul",
    "inner": "matmul", "outer": "matmul", "ger": "matmul", "addr": "matmul", "vdot": "matmul",
    "linalg_vecdot": "matmul", "_int_mm": "matmul", "_scaled_mm": "matmul", "_scaled_grouped_mm": "matmul",
    "_scaled_mm_v2": "matmul", "_scaled_grouped_mm_v2": "matmul", "_foreach_mm": "matmul",
    "_weight_int4pack_mm": "linear", "_weight_int4pack_mm_for_cpu": "linear", "_dyn_quant_matmul_4bit": "linear",
    "_weight_int4pack_mm_with_scales_and_zeros": "linear", "_mixed_dtypes_linear": "linear",
    "fbgemm_linear_int8_weight": "linear", "fbgemm_linear_fp16_weight": "linear",
    "_scaled_dot_product_flash_attention": "attention", "_scaled_dot_product_efficient_attention": "attention",
    "_scaled_dot_product_cudnn_attention": "attention",
    "_scaled_dot_product_fused_attention_overrideable": "attention",
    "_weight_int8pack_mm": "linear", "_addmm_activation": "matmul", "_sparse_mm": "matmul",
    "rsub": "sub", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "__iadd__": "add",
    "constant_pad_nd": "pad", "reflection_pad1d": "pad", "reflection_pad2d": "pad", "reflection_pad3d": "pad",
    "replication_pad1d": "pad", "replication_pad2d": "pad", "replication_pad3d": "pad", "_pad_circular": "pad",
    "transpose": "permute", "t": "permute", "T": "permute", "mT": "permute", "numpy_T": "permute", "movedim": "permute",
    "moveaxis": "permute", "swapaxes": "permute", "swapdims": "permute", "adjoint": "permute",
    "view": "reshape", "_unsafe_view": "reshape", "reshape": "reshape", "flatten": "reshape", "unflatten": "reshape",
    "squeeze": "reshape", "unsqueeze": "reshape", "expand": "reshape", "expand_as": "reshape", "view_as": "reshape",
    "reshape_as": "reshape", "ravel": "reshape", "unfold": "reshape", "im2col": "reshape", "repeat": "reshape",
    "tile": "reshape", "broadcast_to": "reshape", "as_strided": "reshape", "roll": "reshape", "flip": "reshape",
    "slice": "slice", "select": "slice", "narrow": "slice", "split": "slice", "split_with_sizes": "slice",
    "chunk": "slice", "unbind": "slice", "tensor_split": "slice", "index_select": "slice", "index": "slice",
    "gather": "slice", "take_along_dim": "slice", "_unsafe_index": "slice",
    "unsafe_split": "slice", "unsafe_chunk": "slice",
    "concat": "cat", "concatenate": "cat", "stack": "cat", "hstack": "cat", "vstack": "cat", "column_stack": "cat",
    "clone": "copy", "contiguous": "copy", "to": "copy", "_to_copy": "copy", "alias": "copy", "detach": "copy",
    "lift_fresh": "copy", "type_as": "copy", "lift": "copy", "positive": "copy", "identity": "copy",
    "pixel_unshuffle": "pixel_shuffle", "native_channel_shuffle": "channel_shuffle",
    "upsample_nearest1d": "upsample", "upsample_nearest2d": "upsample", "upsample_nearest3d": "upsample",
    "upsample_linear1d": "upsample", "upsample_bilinear2d": "upsample", "upsample_bicubic2d": "upsample",
    "upsample_trilinear3d": "upsample", "_upsample_bilinear2d_aa": "upsample", "_upsample_bicubic2d_aa": "upsample",
    "_upsample_lanczos2d_aa": "upsample", "_upsample_nearest_exact1d": "upsample",
    "_upsample_nearest_exact2d": "upsample", "_upsample_nearest_exact3d": "upsample",
    "nll_loss": "loss", "nll_loss_nd": "loss", "cross_entropy_loss": "loss", "mse_loss": "loss", "l1_loss": "loss",
    "binary_cross_entropy": "loss", "binary_cross_entropy_with_logits": "loss", "huber_loss": "loss",
    "smooth_l1_loss": "loss", "soft_margin_loss": "loss", "multi_margin_loss": "loss", "ctc_loss": "loss",
    "multilabel_margin_loss_forward": "loss", "_ctc_loss": "loss",
}  # fmt: skip

"""Torch's name -> canonical kind."""

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
"""Operations on packed weights -> what they compute."""

KINDS |= {name: kind for name, kind in QUANTIZED.items() if kind != "cell"} | {
    "quantized::quantized_lstm_cell_dynamic": "lstm", "quantized::quantized_gru_cell_dynamic": "gru",
    "quantized::quantized_rnn_relu_cell_dynamic": "rnn", "quantized::quantized_rnn_tanh_cell_dynamic": "rnn",
    "quantized::add": "add", "quantized::add_relu": "add", "quantized::add_scalar": "add", "quantized::mul": "mul",
    "quantized::mul_relu": "mul", "quantized::mul_scalar": "mul", "quantized::cat": "cat", "quantized::cat_relu": "cat",
    "quantized::hardswish": "hardswish", "quantized::leaky_relu": "leaky_relu", "quantized::sigmoid": "sigmoid",
    "quantized::elu": "elu", "quantized::celu": "celu", "quantized::prelu": "prelu", "quantized::softmax": "softmax",
    "quantized::dropout": "dropout", "quantized::relu6": "relu6", "quantized::threshold": "threshold",
    "quantized::batch_norm": "batch_norm", "quantized::batch_norm2d": "batch_norm",
    "quantized::batch_norm2d_relu": "batch_norm", "quantized::batch_norm3d": "batch_norm",
    "quantized::layer_norm": "layer_norm", "quantized::group_norm": "group_norm",
    "quantized::instance_norm": "instance_norm", "quantized::embedding_byte": "embedding",
    "quantized::embedding_bag_byte": "embedding", "quantized::embedding_4bit": "embedding",
    "quantized::embedding_bag_4bit": "embedding", "quantize_per_tensor": "quantize",
    "quantize_per_tensor_dynamic": "quantize", "quantize_per_channel": "quantize", "dequantize": "dequantize",
}  # fmt: skip

FACTORIES = frozenset({
    "zeros", "ones", "empty", "full", "arange", "linspace", "logspace", "eye", "zeros_like", "ones_like",
    "empty_like", "full_like", "new_zeros", "new_ones", "new_empty", "new_full", "scalar_tensor",
    "tril_indices", "triu_indices", "hann_window", "hamming_window", "meshgrid", "one_hot",
})  # fmt: skip
"""Make tensors from nothing but sizes."""

RANDOM = frozenset({
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial", "uniform",
})  # fmt: skip
"""Draw random numbers."""

WHOLE = frozenset({
    "var", "std", "var_mean", "std_mean", "square", "cosine_similarity", "pairwise_distance", "isfinite",
    "isnan", "repeat_interleave", "and", "or", "not_equal", "greater", "less", "greater_equal", "less_equal",
    "floor_divide", "absolute", "__and__", "__or__", "__iand__", "__ior__", "__xor__", "arctan2", "where",
    "norm", "cumsum", "softsign", "max", "min", "argmax", "argmin", "amax", "amin", "size", "item",
    "is_nonzero", "sym_size",
})  # fmt: skip

"""Composite operations understood whole, under torch's own name."""

FREE = frozenset({
    "input", "constant", "bernoulli_", "uniform_", "normal_", "fill_", "zero_", "copy_", "random_", "index_put",
    "index_put_", "index_add", "scatter", "scatter_", "scatter_add", "masked_fill", "masked_fill_",
    "masked_select", "nonzero", "argwhere", "nonzero_numpy", "sort", "topk", "argsort", "max", "min", "argmax",
    "argmin", "amax", "amin", "any", "all", "cumsum", "cumprod", "norm", "linalg_vector_norm",
    "unique_consecutive", "_unique2", "bincount", "searchsorted", "bucketize", "tril", "triu", "diagonal",
    "diag", "set_", "resize_", "count_nonzero", "logsumexp", "prod", "var", "std", "var_mean", "std_mean",
    "median", "kthvalue", "mode", "_pack_padded_sequence", "_pad_packed_sequence",
    "local_response_norm", "equal", "_local_scalar_dense", "item", "clamp", "clip", "split_copy",
    "affine_grid_generator", "col2im", "torchvision::nms",
    "torchvision::roi_align",
    "torchvision::roi_pool", "_nested_tensor_from_mask_left_aligned", "is_same_size",
    "fake_quantize_per_tensor_affine", "weight_norm", "_weight_norm",
    "_weight_norm_interface", "index_fill", "index_copy", "resize_as_", "max_unpool2d", "max_unpool3d",
    "embedding_dense_backward", "profiler::_record_function_enter_new",
    "profiler::_record_function_exit", "_linalg_check_errors", "to_sparse", "histc", "unfold_copy", "renorm",
    "embedding_renorm_", "take", "put", "put_", "roll", "flip", "rot90",
    *(  # move
        "_chunk_cat", "_coalesce", "_coalesced", "_convert_indices_from_coo_to_csr",
        "_convert_indices_from_csr_to_coo", "_convert_weight_to_int4pack", "_convert_weight_to_int4pack_for_cpu",
        "_copy_from", "_dyn_quant_pack_4bit_weight", "_copy_from_and_resize", "_index_put_impl",
        "_jagged_to_padded_dense_forward", "_lazy_clone", "_mkldnn_reshape", "_mkldnn_transpose",
        "_nested_from_padded", "_padded_dense_to_jagged_forward", "_sparse_coo_tensor_unsafe",
        "_sparse_coo_tensor_with_dims", "_sparse_coo_tensor_with_dims_and_tensors", "_sparse_compressed_tensor_unsafe",
        "_sparse_compressed_tensor_with_dims", "to_dense", "_pin_memory", "_reshape_copy", "_resize_output",
        "_spdiags", "_stack", "_to_dense", "_to_sparse", "_to_sparse_bsc", "_to_sparse_bsr", "_to_sparse_csc",
        "_to_sparse_csr", "_unsafe_index_put", "_unsafe_masked_index", "_unsafe_masked_index_put_accumulate",
        "block_diag", "copy", "copy_sparse_to_sparse", "diag_embed", "embedding_renorm", "fill", "index_reduce",
        "int_repr", "lu_unpack", "masked_scatter", "nonzero_static", "put", "record_stream", "resize", "resize_as",
        "scatter_reduce", "segment_reduce", "set", "sparse_coo_tensor", "sparse_compressed_tensor", "sparse_mask",
        "split_with_sizes", "to_mkldnn", "to_padded_tensor", "unsafe_split_with_sizes", "zero",
    ),
    *(  # compare
        "_aminmax", "_cummax_helper", "_cummin_helper", "_is_all_true", "_is_any_true", "_unique", "aminmax",
        "_histogramdd_bin_edges", "_histogramdd_from_bin_cts", "_histogramdd_from_bin_tensors",
        "cummax", "cummin", "histogram", "isin", "nanmedian", "unique_dim", "unique_dim_consecutive",
    ),
    *(  # draw
        "_philox_key_fold_in", "_philox_key_split", "_philox_normal", "_philox_uniform", "_sample_dirichlet",
        "_standard_gamma", "binomial", "cauchy", "exponential", "geometric", "log_normal", "normal_functional",
        "poisson", "random", "rrelu_with_noise",
    ),
    *(  # make of sizes
        "_efficientzerotensor", "bartlett_window", "blackman_window", "empty_permuted", "empty_strided",
        "fft_fftfreq", "fft_rfftfreq", "kaiser_window", "new_empty_strided", "range",
    ),
    *(  # round to few values, and what that is remembered by
        "_empty_affine_quantized", "_empty_per_channel_affine_quantized",
        "_fake_quantize_learnable_per_channel_affine", "_fake_quantize_learnable_per_tensor_affine",
        "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "_fused_moving_avg_obs_fq_helper",
        "_make_per_channel_quantized_tensor", "_make_per_tensor_quantized_tensor", "empty_quantized",
        "fake_quantize_per_channel_affine", "fake_quantize_per_channel_affine_cachemask",
        "fake_quantize_per_tensor_affine_cachemask", "fused_moving_avg_obs_fake_quant", "q_per_channel_scales",
        "q_per_channel_zero_points",
    ),
    *(  # one by one, or a sum of what is so
        "_add_relu", "_batch_norm_no_update", "_batch_norm_with_update", "_logcumsumexp", "_masked_scale",
        "_masked_softmax",
        "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_prelu_kernel", "_safe_softmax",
        "_sparse_csr_prod", "_sparse_csr_sum",
        "_sparse_log_softmax", "_sparse_softmax", "_sparse_sum", "_transform_bias_rescale_qkv", "complex", "cross",
        "dist", "glu_backward_jvp", "glu_jvp", "hash_tensor", "linalg__powsum", "linalg_cross",
        "log_sigmoid_forward", "logcumsumexp", "nansum", "native_norm", "nll_loss2d", "nll_loss2d_forward",
        "nll_loss_forward", "polar", "torchvision::ps_roi_align", "torchvision::ps_roi_pool", "trace",
    ),
})  # fmt: skip
"""Operations without multiply-accumulates."""


def base_name(name: str) -> str:
    """Return the name without the underscore of an in-place form: `relu_` -> `relu`."""
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def is_listed(name: str) -> bool:
    """Whether an operator is understood whole."""
    base = base_name(name)
    return any(base in table for table in (KINDS, FACTORIES, RANDOM, WHOLE))
