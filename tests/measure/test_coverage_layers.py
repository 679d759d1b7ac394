"""Every layer of `torch.nn`: measured by shapes alone, with the outputs of a real pass, and nothing left uncounted."""

from __future__ import annotations

import inspect

import pytest
import torch
from networks import Apply
from torch import nn

from archcheck.measure import measure_model
from archcheck.measure.shapes.containers import tensors_in

IMAGE = torch.rand(2, 4, 8, 8)
MAPS = {axes: torch.rand(2, 4, *[8] * axes) for axes in (1, 2, 3)}
SCORES, TARGETS = torch.rand(4, 5), torch.zeros(4, dtype=torch.long)
SEQUENCE = torch.rand(5, 2, 3)
INDICES = torch.zeros(2, 4, dtype=torch.long)

# Arguments of each layer that comes for one, two and three axes.
PER_AXIS = {
    "Conv": (4, 6, 3),
    "ConvTranspose": (4, 6, 3),
    "MaxPool": (2,),
    "AvgPool": (2,),
    "AdaptiveAvgPool": (2,),
    "AdaptiveMaxPool": (2,),
    "LPPool": (2, 2),
    "ReflectionPad": (1,),
    "ReplicationPad": (1,),
    "ZeroPad": (1,),
    "ConstantPad": (1, 0.5),
    "CircularPad": (1,),
    "BatchNorm": (4,),
    "InstanceNorm": (4,),
    "Dropout": (0.5,),
}
ELEMENTWISE = (
    "AlphaDropout", "CELU", "Dropout", "ELU", "FeatureAlphaDropout", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish",
    "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU",
    "SiLU", "Sigmoid", "Softmax", "Softmax2d", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
)  # fmt: skip
LOSSES_OF_TWO = (
    "BCELoss", "BCEWithLogitsLoss", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss",
    "MultiLabelSoftMarginLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
)  # fmt: skip
LOSSES_OF_THREE = ("MarginRankingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss")


def with_indices(axes):
    pool, undo = getattr(nn, f"MaxPool{axes}d")(2, return_indices=True), getattr(nn, f"MaxUnpool{axes}d")(2)
    return Apply(lambda self, x: self.undo(*self.pool(x)), pool=pool, undo=undo)


def upsample(name, axes=2):
    return nn.Upsample(scale_factor=2, mode=name), MAPS[axes]


# name of the layer: the layer, its inputs
LAYERS = {
    **{f"{name}{axes}d": (getattr(nn, f"{name}{axes}d")(*arguments), MAPS[axes])
       for name, arguments in PER_AXIS.items() for axes in (1, 2, 3)},
    **{name: (getattr(nn, name)(), IMAGE) for name in ELEMENTWISE},
    **{name: (getattr(nn, name)(), SCORES, torch.rand(4, 5)) for name in LOSSES_OF_TWO},
    **{name: (getattr(nn, name)(), SCORES, torch.rand(4, 5), torch.rand(4, 5)) for name in LOSSES_OF_THREE},
    **{f"MaxUnpool{axes}d": (with_indices(axes), MAPS[axes]) for axes in (1, 2, 3)},
    **{f"FractionalMaxPool{axes}d": (getattr(nn, f"FractionalMaxPool{axes}d")(2, output_ratio=0.5), MAPS[axes])
       for axes in (2, 3)},
    **{name: (getattr(nn, name)(3, 4), SEQUENCE) for name in ("RNN", "LSTM", "GRU")},
    **{name: (getattr(nn, name)(3, 4), SEQUENCE[0]) for name in ("RNNCell", "LSTMCell", "GRUCell")},
    "GroupNorm": (nn.GroupNorm(2, 4), IMAGE), "LayerNorm": (nn.LayerNorm(8), IMAGE), "RMSNorm": (nn.RMSNorm(8), IMAGE),
    "LocalResponseNorm": (nn.LocalResponseNorm(2), IMAGE), "SyncBatchNorm": (nn.SyncBatchNorm(4), IMAGE),
    "Threshold": (nn.Threshold(0.1, 0), IMAGE), "GLU": (nn.GLU(1), IMAGE),
    "Unfold": (nn.Unfold(3), IMAGE), "Fold": (nn.Fold((4, 4), 2, stride=2), torch.rand(1, 8, 4)),
    "PixelShuffle": (nn.PixelShuffle(2), IMAGE), "PixelUnshuffle": (nn.PixelUnshuffle(2), IMAGE),
    "ChannelShuffle": (nn.ChannelShuffle(2), IMAGE), "Flatten": (nn.Flatten(), IMAGE),
    "Unflatten": (nn.Unflatten(1, (2, 2)), IMAGE), "Linear": (nn.Linear(8, 3), IMAGE),
    "Upsample": upsample("nearest"), "Upsample exactly": upsample("nearest-exact"), "Upsample area": upsample("area"),
    "UpsamplingBilinear2d": (nn.UpsamplingBilinear2d(scale_factor=2), IMAGE), "Upsample cubic": upsample("bicubic"),
    "UpsamplingNearest2d": (nn.UpsamplingNearest2d(scale_factor=2), IMAGE), "Upsample linear": upsample("linear", 1),
    "Upsample trilinear": upsample("trilinear", 3),
    "Embedding": (nn.Embedding(5, 3), INDICES), "EmbeddingBag": (nn.EmbeddingBag(5, 3), INDICES),
    "EmbeddingBag of weighted": (
        Apply(lambda self, i, w: self.bag(i, per_sample_weights=w), bag=nn.EmbeddingBag(5, 3, mode="sum")),
        INDICES, torch.rand(2, 4),
    ),
    "Embedding of bounded length": (nn.Embedding(5, 3, max_norm=1.0), INDICES),
    "Bilinear": (nn.Bilinear(3, 4, 5), torch.rand(2, 3), torch.rand(2, 4)),
    "CosineSimilarity": (nn.CosineSimilarity(), SCORES, SCORES),
    "PairwiseDistance": (nn.PairwiseDistance(), SCORES, SCORES),
    "AdaptiveLogSoftmaxWithLoss": (
        nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10]), torch.rand(4, 8), torch.tensor([0, 3, 7, 15]),
    ),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), SCORES, TARGETS), "NLLLoss": (nn.NLLLoss(), SCORES, TARGETS),
    "MultiMarginLoss": (nn.MultiMarginLoss(), SCORES, TARGETS),
    "MultiLabelMarginLoss": (nn.MultiLabelMarginLoss(), SCORES, torch.zeros(4, 5, dtype=torch.long)),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss(), SCORES, SCORES, torch.ones(4)),
    "MultiheadAttention": (nn.MultiheadAttention(4, 2), *[torch.rand(5, 2, 4)] * 3),
    "TransformerEncoderLayer": (nn.TransformerEncoderLayer(4, 2, 8), torch.rand(5, 2, 4)),
    "TransformerDecoderLayer": (nn.TransformerDecoderLayer(4, 2, 8), *[torch.rand(5, 2, 4)] * 2),
    "Transformer": (nn.Transformer(4, 2, 1, 1, 8), *[torch.rand(5, 2, 4)] * 2),
}  # fmt: skip

ON_REAL_TENSORS = {
    "CrossMapLRN2d": (nn.CrossMapLRN2d(2), IMAGE),
    "CTCLoss": (
        nn.CTCLoss(), torch.rand(6, 2, 5).log_softmax(2), torch.tensor([[1, 2], [2, 3]]), torch.tensor([6, 6]),
        torch.tensor([2, 2]),
    ),
}  # fmt: skip
"""What looks at values, and is measured on real tensors."""

ELSEWHERE = {
    "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Container", "RNNBase",
    "RNNCellBase", "TransformerEncoder", "TransformerDecoder", "DataParallel", "NLLLoss2d", "GaussianNLLLoss",
    "LinearCrossEntropyLoss",
}  # fmt: skip
"""Containers, bases and the classes that other tests are about."""


def real_outputs(model, inputs):
    with torch.no_grad():
        return [(tuple(out.shape), str(out.dtype)[6:]) for out in tensors_in(model.eval()(*inputs))]


def outputs(facts):
    return [(out.shape, out.dtype) for out in facts.shape.outputs]


@pytest.mark.filterwarnings("ignore")  # of torch about spellings of its own
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_measured_by_shapes_alone(name):
    model, *inputs = LAYERS[name]
    facts = measure_model(model, example=tuple(inputs))
    assert outputs(facts) == real_outputs(model, inputs)
    assert facts.cost.uncounted == ()
    assert facts.subject.notes == facts.unmeasured == ()
    assert facts.params.unused == facts.params.hidden == ()
    assert facts.params.total == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", ON_REAL_TENSORS)
def test_a_layer_that_looks_at_values_is_measured_on_real_tensors(name):
    model, *inputs = ON_REAL_TENSORS[name]
    facts = measure_model(model, example=tuple(inputs))
    assert outputs(facts) == real_outputs(model, inputs)
    assert facts.cost.uncounted == ()


def test_no_layer_of_torch_is_left_out():
    classes = {name for name, value in vars(nn).items() if inspect.isclass(value) and issubclass(value, nn.Module)}
    lazy = {name for name in classes if name.startswith("Lazy")}
    assert classes - lazy - ELSEWHERE <= set(LAYERS) | set(ON_REAL_TENSORS)


@pytest.mark.skipif(not hasattr(nn, "LinearCrossEntropyLoss"), reason="this torch has no such layer yet")
def test_a_linear_layer_within_a_loss_counts():
    model = nn.LinearCrossEntropyLoss(8, 5)
    facts = measure_model(model, example=(torch.rand(4, 8), TARGETS))
    assert facts.cost.macs == 4 * 8 * 5
    assert facts.params.unused == ()


def test_a_loss_that_checks_its_values_says_that_it_was_not_told_them():
    facts = measure_model(nn.GaussianNLLLoss(), example=(SCORES, SCORES, torch.ones(4, 5)))
    assert facts.cost.bounds == ("is_nonzero",)
    assert facts.cost.uncounted == ()
