"""Multiply-accumulates and receptive fields, against answers worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.measure import measure_model

# model, inputs, multiply-accumulates
WORKED = {
    "linear": (nn.Linear(3, 4), [zeros(2, 3)], 2 * 3 * 4),
    "linear on steps": (nn.Linear(3, 4), [zeros(2, 5, 3)], 2 * 5 * 3 * 4),
    "conv 3x3": (nn.Conv2d(2, 4, 3), [zeros(1, 2, 8, 8)], 6 * 6 * 4 * 2 * 9),
    "conv padded": (nn.Conv2d(2, 4, 3, padding=1), [zeros(1, 2, 8, 8)], 8 * 8 * 4 * 2 * 9),
    "conv same": (nn.Conv2d(2, 4, 3, padding="same"), [zeros(1, 2, 8, 8)], 8 * 8 * 4 * 2 * 9),
    "conv strided": (nn.Conv2d(2, 4, 3, stride=2), [zeros(1, 2, 9, 9)], 4 * 4 * 4 * 2 * 9),
    "conv dilated": (nn.Conv2d(2, 4, 3, dilation=2), [zeros(1, 2, 9, 9)], 5 * 5 * 4 * 2 * 9),
    "conv grouped": (nn.Conv2d(4, 8, 3, groups=2), [zeros(1, 4, 8, 8)], 6 * 6 * 8 * 2 * 9),
    "conv depthwise": (nn.Conv2d(4, 4, 3, groups=4), [zeros(1, 4, 8, 8)], 6 * 6 * 4 * 9),
    "conv 1d": (nn.Conv1d(2, 4, 3), [zeros(1, 2, 10)], 8 * 4 * 2 * 3),
    "conv 3d": (nn.Conv3d(1, 2, 3), [zeros(1, 1, 4, 5, 6)], 2 * 3 * 4 * 2 * 27),
    "conv transposed": (nn.ConvTranspose2d(2, 3, 2, stride=2), [zeros(1, 2, 4, 4)], 2 * 16 * 3 * 4),
    "matmul": (Apply(lambda self, x, y: x @ y), [zeros(2, 3), zeros(3, 5)], 2 * 3 * 5),
    "bmm": (Apply(lambda self, x, y: torch.bmm(x, y)), [zeros(7, 2, 3), zeros(7, 3, 5)], 7 * 2 * 3 * 5),
    "einsum": (Apply(lambda self, x, y: torch.einsum("bij,bjk->bik", x, y)), [zeros(7, 2, 3), zeros(7, 3, 5)], 210),
    "attention": (
        Apply(lambda self, q, k, v: F.scaled_dot_product_attention(q, k, v)),
        [zeros(1, 2, 5, 8), zeros(1, 2, 7, 8), zeros(1, 2, 7, 6)],
        2 * 5 * 7 * 8 + 2 * 5 * 7 * 6,
    ),
    "lstm": (nn.LSTM(3, 4), [zeros(5, 2, 3)], 5 * 2 * (16 * 3 + 16 * 4)),
    "lstm of two layers, both ways": (
        nn.LSTM(3, 4, num_layers=2, bidirectional=True),
        [zeros(5, 2, 3)],
        5 * 2 * 2 * (16 * 3 + 16 * 4 + 16 * 8 + 16 * 4),
    ),
    "gru": (nn.GRU(3, 4, batch_first=True), [zeros(2, 5, 3)], 2 * 5 * (12 * 3 + 12 * 4)),
    "bilinear": (nn.Bilinear(3, 4, 5), [zeros(2, 3), zeros(2, 4)], 2 * 3 * 4 * 5),
    "only norms and activations": (
        nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)),
        [zeros(1, 2, 4, 4)],
        0,
    ),
    "multi-head attention": (
        nn.MultiheadAttention(8, 2, batch_first=True),
        [zeros(1, 5, 8)] * 3,
        4 * 5 * 8 * 8 + 2 * (2 * 5 * 5 * 4),
    ),
}


@pytest.mark.parametrize("case", WORKED)
def test_multiply_accumulates(case):
    model, inputs, macs = WORKED[case]
    facts = measure_model(model, example=tuple(inputs))
    assert facts.cost.macs == macs
    assert facts.cost.uncounted == ()


@pytest.mark.parametrize("case", WORKED)
def test_shapes_alone_agree_with_a_run_on_real_tensors(case):
    model, inputs, _ = WORKED[case]
    outputs = measure_model(model, example=tuple(inputs)).shape.outputs
    with torch.no_grad():
        real = model.eval()(*inputs)
    flat = (
        [real]
        if isinstance(real, torch.Tensor)
        else [t for item in real for t in ([item] if isinstance(item, torch.Tensor) else item)]
    )
    assert [output.shape for output in outputs] == [tuple(tensor.shape) for tensor in flat]


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (nn.Conv2d(1, 1, 3), (3, 3)),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)), (5, 5)),
        (nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3)), (7, 7)),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3)), (8, 8)),
        (nn.Conv2d(1, 1, 3, dilation=3), (7, 7)),
        (nn.Conv2d(1, 1, (1, 5)), (1, 5)),
    ],
)
def test_receptive_fields(model, field):
    assert measure_model(model, example=zeros(1, 1, 20, 20)).shape.receptive_field == field


def test_a_network_without_windows_has_no_receptive_field():
    assert measure_model(nn.Linear(3, 4), example=zeros(1, 3)).shape.receptive_field is None


def test_the_published_figures_of_vgg_16():
    # 138,357,544 parameters (Simonyan and Zisserman 2015, as torchvision builds it); receptive field 212 behind
    # the last pooling (Araujo, Norris and Sim 2019).
    from torchvision.models import vgg16

    with torch.device("meta"):
        model = vgg16()
    facts = measure_model(model, example=zeros(1, 3, 224, 224))
    assert facts.params.total == 138_357_544
    assert facts.cost.macs == 15_470_264_320
    assert facts.shape.receptive_field == (212, 212)


@pytest.mark.parametrize(
    ("model", "shape", "extra"),
    [
        (nn.BatchNorm2d(4), (1, 4, 6, 6), 2 * 144),
        (nn.BatchNorm2d(4, affine=False), (1, 4, 6, 6), 144),
        (nn.LayerNorm(6), (1, 4, 6, 6), 5 * 144),
        (nn.GroupNorm(2, 4), (1, 4, 6, 6), 5 * 144),
        (nn.InstanceNorm2d(4), (1, 4, 6, 6), 4 * 144),
        (nn.AdaptiveAvgPool2d(1), (1, 4, 6, 6), 144),
        (nn.Upsample(scale_factor=2), (1, 4, 6, 6), 4 * 144),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 6, 6), 16 * 144),
        (nn.ReLU(), (1, 4, 6, 6), 0),
    ],
)
def test_published_counts_add_elementwise_work(model, shape, extra):
    cost = measure_model(model, example=zeros(*shape)).cost
    assert cost.macs == 0
    assert cost.fvcore_flops == extra


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "swin_t"])
def test_published_counts_equal_those_of_fvcore_by_operator(name):
    import logging

    from torchvision.models import get_model

    fvcore = pytest.importorskip("fvcore.nn")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    model, image = get_model(name, weights=None).eval(), torch.rand(1, 3, 64, 64)
    theirs = fvcore.FlopCountAnalysis(model, image).by_operator()
    ours: dict[str, int] = {}
    for op in measure_model(model, example=image).ops:
        operator = "conv" if op.kind == "conv" else op.op
        ours[operator] = ours.get(operator, 0) + op.flops
    assert {operator: count for operator, count in ours.items() if count} == {k: int(v) for k, v in theirs.items() if v}
