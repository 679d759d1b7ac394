"""Multiply-accumulates of convolutions, recurrent layers and attention, against answers worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from archcheck.measure import measure_model
from tests.support.features import GROUPED_QUERIES, needs


def attend(**options):
    return Apply(lambda self, query, key, value: F.scaled_dot_product_attention(query, key, value, **options))


def self_attention(**options):
    return Apply(lambda self, x: self.layer(x, x, x)[0], layer=nn.MultiheadAttention(8, 2, batch_first=True, **options))


def packed(layer):
    return Apply(lambda self, x: self.layer(pack_padded_sequence(x, [5, 3, 2], batch_first=True))[0].data, layer=layer)


def encoder(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=not options)


PROJECTIONS = 4 * 5 * 8 * 8  # queries, keys, values, output: 5 tokens, 8 to 8 features
ATTENTION = 2 * (5 * 5 * 4) + 2 * (5 * 5 * 4)  # 2 heads of 4 features: scores, and their product with the values
ENCODER_LAYER = PROJECTIONS + ATTENTION + 5 * 8 * 16 + 5 * 16 * 8

# model, shapes of its inputs, multiply-accumulates
WORKED = {
    "conv same 1d": (nn.Conv1d(2, 4, 4, padding="same"), [(1, 2, 6)], 6 * 4 * 2 * 4),
    "conv same 2d": (nn.Conv2d(2, 4, 4, padding="same"), [(1, 2, 6, 6)], 36 * 4 * 2 * 16),
    "conv same 3d": (nn.Conv3d(2, 4, 4, padding="same"), [(1, 2, 6, 6, 6)], 216 * 4 * 2 * 64),
    "conv same depthwise": (nn.Conv2d(4, 4, 3, padding="same", groups=4), [(1, 4, 6, 6)], 36 * 4 * 9),
    "conv of one image without batch": (nn.Conv2d(2, 4, 3), [(2, 8, 8)], 36 * 4 * 2 * 9),
    "conv circular": (nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"), [(1, 2, 5, 5)], 25 * 4 * 2 * 9),
    "conv over time": (torch.conv_tbc, [(6, 1, 2), (3, 2, 4), (4,)], 4 * 4 * 3 * 2),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 3), [(1, 4, 5)], 5 * 4 * 6 * 3),
    "transposed 3d": (nn.ConvTranspose3d(4, 6, 3), [(1, 4, 5, 5, 5)], 125 * 4 * 6 * 27),
    "transposed, grouped, dilated": (
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1, dilation=2),
        [(1, 4, 5, 5)],
        25 * 4 * 3 * 9,
    ),
    "unfold and product": (
        Apply(lambda self, x: self.layer.weight @ F.unfold(x, 3), layer=nn.Linear(18, 4, bias=False)),
        [(1, 2, 5, 5)],
        9 * 4 * 18,
    ),
    "bilinear on steps": (nn.Bilinear(3, 4, 5), [(2, 6, 3), (2, 6, 4)], 2 * 6 * 5 * 3 * 4),
    # an lstm has 4 gates, a gru 3, a plain one 1; each multiplies the input and the state
    "lstm without batch": (nn.LSTM(3, 4), [(5, 3)], 5 * 4 * 4 * (3 + 4)),
    "lstm with projection": (nn.LSTM(3, 4, proj_size=2), [(5, 2, 3)], 5 * 2 * (4 * 4 * (3 + 2) + 2 * 4)),
    "gru both ways": (nn.GRU(3, 4, bidirectional=True), [(5, 2, 3)], 5 * 2 * 2 * 3 * 4 * (3 + 4)),
    "gru of two layers": (nn.GRU(3, 4, num_layers=2), [(5, 2, 3)], 5 * 2 * 3 * 4 * (3 + 4) + 5 * 2 * 3 * 4 * (4 + 4)),
    "rnn of relu": (nn.RNN(3, 4, nonlinearity="relu"), [(5, 2, 3)], 5 * 2 * 4 * (3 + 4)),
    "rnn of tanh both ways": (nn.RNN(3, 4, bidirectional=True), [(5, 2, 3)], 5 * 2 * 2 * 4 * (3 + 4)),
    "lstm cell": (nn.LSTMCell(3, 4), [(2, 3)], 2 * 4 * 4 * (3 + 4)),
    "lstm cell without batch": (nn.LSTMCell(3, 4), [(3,)], 4 * 4 * (3 + 4)),
    "gru cell": (nn.GRUCell(3, 4), [(2, 3)], 2 * 3 * 4 * (3 + 4)),
    "rnn cell": (nn.RNNCell(3, 4), [(2, 3)], 2 * 4 * (3 + 4)),
    # 5 + 3 + 2 = 10 steps are left of three padded sequences
    "packed lstm": (packed(nn.LSTM(3, 4, batch_first=True)), [(3, 5, 3)], 10 * 4 * 4 * (3 + 4)),
    "packed gru": (packed(nn.GRU(3, 4, batch_first=True)), [(3, 5, 3)], 10 * 3 * 4 * (3 + 4)),
    "packed rnn both ways": (
        packed(nn.RNN(3, 4, batch_first=True, bidirectional=True)),
        [(3, 5, 3)],
        10 * 2 * 4 * (3 + 4),
    ),
    "attention, causal": (attend(is_causal=True), [(1, 2, 5, 8)] * 3, 2 * 5 * 5 * 8 + 2 * 5 * 5 * 8),
    "attention with dropout": (attend(dropout_p=0.1), [(1, 2, 5, 8)] * 3, 2 * 5 * 5 * 8 + 2 * 5 * 5 * 8),
    "attention without heads": (attend(), [(2, 5, 8), (2, 7, 8), (2, 7, 6)], 2 * 5 * 7 * 8 + 2 * 5 * 7 * 6),
    "attention of grouped queries": (
        attend(enable_gqa=True),
        [(1, 6, 5, 8), (1, 2, 7, 8), (1, 2, 7, 8)],
        6 * 5 * 7 * 8 + 6 * 5 * 7 * 8,
    ),
    "attention that broadcasts": (
        attend(),
        [(1, 1, 5, 8), (3, 2, 7, 8), (3, 2, 7, 6)],
        3 * 2 * 5 * 7 * 8 + 3 * 2 * 5 * 7 * 6,
    ),
    "multi-head attention": (self_attention(), [(1, 5, 8)], PROJECTIONS + ATTENTION),
    "multi-head attention, extra keys": (
        self_attention(add_bias_kv=True, add_zero_attn=True),
        [(1, 5, 8)],
        PROJECTIONS + 2 * (5 * 7 * 4) + 2 * (5 * 7 * 4),
    ),
    "multi-head attention, other widths": (
        Apply(
            lambda self, q, k, v: self.layer(q, k, v)[0],
            layer=nn.MultiheadAttention(8, 2, kdim=6, vdim=7, batch_first=True),
        ),
        [(1, 5, 8), (1, 9, 6), (1, 9, 7)],
        5 * 8 * 8 + 9 * 6 * 8 + 9 * 7 * 8 + 5 * 8 * 8 + 2 * (5 * 9 * 4) + 2 * (5 * 9 * 4),
    ),
    "encoder": (encoder(), [(1, 5, 8)], 2 * ENCODER_LAYER),
    "encoder, norm first": (encoder(norm_first=True), [(1, 5, 8)], 2 * ENCODER_LAYER),
    "decoder layer": (
        nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
        [(1, 5, 8), (1, 7, 8)],
        ENCODER_LAYER + 2 * 5 * 8 * 8 + 2 * 7 * 8 * 8 + 2 * (5 * 7 * 4) + 2 * (5 * 7 * 4),
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=needs(GROUPED_QUERIES, "grouped queries") if "grouped queries" in case else ())
        for case in WORKED
    ],
)
def test_multiply_accumulates(case):
    model, shapes, macs = WORKED[case]
    if not isinstance(model, nn.Module):
        model = Apply(lambda self, *tensors, function=model: function(*tensors))
    facts = measure_model(model, example=tuple(zeros(*shape) for shape in shapes))
    assert facts.cost.macs == macs
    assert facts.cost.uncounted == ()
    assert facts.subject.notes == ()


def test_a_convolution_over_time_is_described_as_one():
    model = Apply(lambda self, x, weight, bias: torch.conv_tbc(x, weight, bias, 1))
    (conv,) = (op for op in measure_model(model, example=(zeros(6, 1, 2), zeros(3, 2, 4), zeros(4))).ops if op.macs)
    described = [conv.attributes[name] for name in ("kernel", "padding", "in_channels", "out_channels")]
    assert (conv.kind, described) == ("conv", [[3], [1], 2, 4])


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_traced_transposed_convolution_is_described_as_one():
    # Traced code calls every convolution by one name, and says by an argument that it is transposed.
    image = zeros(1, 2, 4, 4)
    model = torch.jit.trace(nn.ConvTranspose2d(2, 3, 2, stride=2), image)
    (conv,) = (op for op in measure_model(model, example=image).ops if op.macs)
    described = [conv.attributes[name] for name in ("kernel", "stride", "in_channels", "out_channels")]
    assert (conv.kind, described, conv.macs) == ("conv_transpose", [[2, 2], [2, 2], 2, 3], 16 * 2 * 3 * 4)


def test_published_counts_below_autograd_are_those_above_it():
    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = self.layer_norm(self.group_norm(self.norm(x)))
            return torch.autograd.grad(y.sum(), x)[0]

    layers = {"norm": nn.BatchNorm2d(4), "group_norm": nn.GroupNorm(2, 4), "layer_norm": nn.LayerNorm(6)}
    cost = measure_model(Apply(forward, **layers), example=torch.rand(1, 4, 6, 6)).cost
    assert (cost.macs, cost.fvcore_flops, cost.uncounted) == (0, (2 + 5 + 5) * 144, ())


def test_deformable_convolution():
    from torchvision.ops import DeformConv2d

    model = Apply(lambda self, x, offset, mask: self.layer(x, offset, mask), layer=DeformConv2d(2, 4, 3))
    cost = measure_model(model, example=(zeros(1, 2, 6, 6), zeros(1, 18, 4, 4), zeros(1, 9, 4, 4))).cost
    assert (cost.macs, cost.uncounted) == (16 * 4 * 2 * 9, ())


def test_a_network_that_differentiates_in_its_forward_pass():
    class Force(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.layer = nn.Conv2d(1, 2, 3), nn.Linear(32, 1)

        def forward(self, x):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                return torch.autograd.grad(self.layer(self.conv(x).flatten(1)).sum(), x)[0]

    forward = 16 * 2 * 9 + 32
    facts = measure_model(Force(), example=zeros(1, 1, 6, 6))
    assert "measured on real tensors: shapes alone were not enough" in facts.subject.notes
    assert facts.cost.uncounted == ()
    # The way back to the input takes as many products as the way there; gradients of weights are not asked for.
    assert facts.cost.macs == forward + forward


def test_fused_attention_below_autograd_counts_as_attention_and_its_backward_as_five_products():
    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(F.scaled_dot_product_attention(x, x, x).sum(), x)[0]

    cost = measure_model(Apply(forward), example=torch.rand(1, 2, 5, 8)).cost
    assert cost.macs == 2 * (2 * 5 * 5 * 8) + 5 * (2 * 5 * 5 * 8)
    assert cost.uncounted == ()
