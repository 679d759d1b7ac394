"""Quantised modules: their products count, whatever torch packs their weights into."""

from __future__ import annotations

import pytest
import torch
from networks import Apply, zeros
from torch import nn

from archcheck.measure import measure_model

pytestmark = pytest.mark.filterwarnings("ignore")  # torch announces that its quantisation moves to another package
quantized = torch.ao.nn.quantized


def dynamic(model, *kinds, dtype=torch.qint8):
    return torch.ao.quantization.quantize_dynamic(model, set(kinds), dtype=dtype)


def static(layer):
    """A quantised layer between the two conversions that it needs."""
    return nn.Sequential(quantized.Quantize(0.1, 0, torch.quint8), layer, quantized.DeQuantize())


WORKED = {
    "dynamic linear": (
        lambda: dynamic(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5)), nn.Linear),
        (2, 3),
        2 * 3 * 4 + 2 * 4 * 5,
    ),
    "dynamic linear of halves": (
        lambda: dynamic(nn.Sequential(nn.Linear(3, 4)), nn.Linear, dtype=torch.float16),
        (2, 3),
        2 * 3 * 4,
    ),
    "dynamic lstm": (lambda: dynamic(nn.Sequential(nn.LSTM(3, 4)), nn.LSTM), (5, 2, 3), 5 * 2 * 4 * 4 * (3 + 4)),
    "dynamic lstm, two layers both ways": (
        lambda: dynamic(nn.Sequential(nn.LSTM(3, 4, 2, bidirectional=True)), nn.LSTM),
        (5, 2, 3),
        5 * 2 * 2 * 4 * 4 * (3 + 4) + 5 * 2 * 2 * 4 * 4 * (8 + 4),
    ),
    "dynamic gru": (lambda: dynamic(nn.Sequential(nn.GRU(3, 4)), nn.GRU), (5, 2, 3), 5 * 2 * 3 * 4 * (3 + 4)),
    "dynamic lstm cell": (lambda: dynamic(nn.Sequential(nn.LSTMCell(3, 4)), nn.LSTMCell), (2, 3), 2 * 16 * (3 + 4)),
    "dynamic gru cell": (lambda: dynamic(nn.Sequential(nn.GRUCell(3, 4)), nn.GRUCell), (2, 3), 2 * 12 * (3 + 4)),
    "linear": (lambda: static(quantized.Linear(3, 4)), (2, 3), 2 * 3 * 4),
    "conv": (lambda: static(quantized.Conv2d(4, 6, 3, groups=2)), (1, 4, 8, 8), 36 * 6 * 2 * 9),
    "conv of one axis": (lambda: static(quantized.Conv1d(4, 6, 3, stride=2)), (1, 4, 9), 4 * 6 * 4 * 3),
    "conv of three axes": (lambda: static(quantized.Conv3d(2, 3, 2)), (1, 2, 4, 4, 4), 27 * 3 * 2 * 8),
    "transposed conv": (lambda: static(quantized.ConvTranspose2d(4, 6, 2, stride=2)), (1, 4, 5, 5), 25 * 4 * 6 * 4),
    "fused conv and relu": (
        lambda: static(torch.ao.nn.intrinsic.quantized.ConvReLU2d(4, 6, 3)),
        (1, 4, 8, 8),
        36 * 6 * 4 * 9,
    ),
    "fused linear and relu": (lambda: static(torch.ao.nn.intrinsic.quantized.LinearReLU(3, 4)), (2, 3), 2 * 3 * 4),
}


@pytest.mark.parametrize("case", WORKED)
def test_multiply_accumulates(case):
    build, shape, macs = WORKED[case]
    facts = measure_model(build(), example=zeros(*shape))
    assert facts.cost.macs == macs
    assert facts.cost.uncounted == ()


def test_a_quantised_convolution_is_described_as_a_convolution():
    model = static(quantized.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2))
    (conv,) = (op for op in measure_model(model, example=zeros(1, 4, 8, 8)).ops if op.kind == "conv")
    described = {name: conv.attributes[name] for name in ("kernel", "stride", "padding", "groups", "in_channels")}
    assert described == {"kernel": [3, 2], "stride": [2, 2], "padding": [1, 1], "groups": 2, "in_channels": 4}
    assert conv.attributes["out_channels"] == 6


def test_a_quantised_convolution_of_one_axis_has_one_axis():
    model = static(quantized.Conv1d(4, 6, 3, stride=2))
    (conv,) = (op for op in measure_model(model, example=zeros(1, 4, 9)).ops if op.kind == "conv")
    assert (conv.attributes["kernel"], conv.attributes["stride"]) == ([3], [2])


@pytest.mark.parametrize("build", [lambda: quantized.Embedding(10, 3), lambda: quantized.EmbeddingBag(10, 3)])
def test_quantised_tables_multiply_nothing(build):
    table, indices = build(), torch.zeros(2, dtype=torch.long)
    inputs = (indices,) if type(table) is quantized.Embedding else (indices, torch.zeros(1, dtype=torch.long))
    cost = measure_model(nn.Sequential(table) if len(inputs) == 1 else table, example=inputs).cost
    assert (cost.macs, cost.uncounted) == (0, ())


def test_arithmetic_between_quantised_tensors_is_elementwise():
    functional = quantized.QFunctional()
    model = Apply(
        lambda self, x: functional.add(*2 * [torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)]).dequantize()
    )
    cost = measure_model(model, example=zeros(2, 3)).cost
    assert (cost.macs, cost.uncounted) == (0, ())


def test_packed_weights_are_parameters_that_nothing_trains():
    facts = measure_model(WORKED["dynamic linear"][0](), example=zeros(2, 3))
    params = facts.params
    assert (params.total, params.frozen, params.hidden) == (3 * 4 + 4 + 4 * 5 + 5, params.total, ())
    assert params.sizes == {"0.weight": 12, "0.bias": 4, "2.weight": 20, "2.bias": 5}
    assert {layer.path: layer.params for layer in facts.layers if layer.own_params} == {"0": 16, "2": 25}
    assert facts.layer("").params == params.total


def test_packed_recurrent_weights_are_parameters():
    params = measure_model(WORKED["dynamic lstm"][0](), example=zeros(5, 2, 3)).params
    assert (params.total, params.hidden) == (16 * 3 + 16 * 4 + 2 * 16, ())


def test_what_another_layer_packs_is_hidden():
    class Packs(nn.Module):
        def __init__(self):
            super().__init__()
            weight = torch.quantize_per_tensor(torch.rand(4, 3), 0.1, 0, torch.qint8)
            self.packed = torch.ops.quantized.linear_prepack(weight, None)

        def forward(self, x):
            return torch.ops.quantized.linear_dynamic(x, self.packed)

    params = measure_model(Packs(), example=zeros(2, 3)).params
    assert (params.total, params.hidden_total) == (0, 12)


@pytest.mark.parametrize("case", WORKED)
def test_no_quantised_layer_hides_anything_or_is_unused(case):
    build, shape, _ = WORKED[case]
    facts = measure_model(build(), example=zeros(*shape))
    assert (facts.params.hidden, facts.params.unused, facts.unused_layers) == ((), (), ())
    assert facts.params.total > 0
