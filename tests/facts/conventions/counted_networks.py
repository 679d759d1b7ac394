"""Networks on which the conventions are held to the tools."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils import parametrizations, prune, rnn

NETWORKS = {}
"""The name of a network -> a function that makes it and its inputs."""


def network(*inputs):
    """Register what a function makes; `inputs` are shapes, of floats unless a tensor is given."""

    def register(make):
        NETWORKS[make.__name__] = lambda: (make(), tuple(map(_tensor, inputs)))
        return make

    return register


def _tensor(given):
    return given.clone() if isinstance(given, torch.Tensor) else torch.rand(*given)


class Apply(nn.Module):
    """A model whose forward pass is the function that it is given."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


IMAGE = (1, 3, 32, 32)
TOKENS = torch.arange(12).reshape(2, 6)


def _torchvision(name, size, *, count=1, **arguments):
    def make():
        return torchvision.models.get_model(name, weights=None, **arguments), (torch.rand(count, 3, size, size),)

    NETWORKS[name] = make


for name, size in {
    "resnet18": 32, "squeezenet1_1": 32, "mobilenet_v2": 32, "mobilenet_v3_small": 32,
    "shufflenet_v2_x0_5": 32, "efficientnet_b0": 32, "mnasnet0_5": 32, "regnet_y_400mf": 32,
}.items():  # fmt: skip
    _torchvision(name, size)
_torchvision("googlenet", 32, init_weights=False, aux_logits=False)
_torchvision("lraspp_mobilenet_v3_large", 32, weights_backbone=None)
_torchvision("deeplabv3_mobilenet_v3_large", 32, weights_backbone=None)


@network(IMAGE)
def vision_transformer():
    return torchvision.models.VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16)


@network(IMAGE)
def swin_transformer():
    return torchvision.models.SwinTransformer([2, 2], 8, [2, 2], [2, 2], [4, 4])


@network(IMAGE)
def convnext():
    settings = [torchvision.models.convnext.CNBlockConfig(*each) for each in ((8, 16, 1), (16, None, 1))]
    return torchvision.models.ConvNeXt(settings)


@network(IMAGE)
def densenet():
    return torchvision.models.DenseNet(8, (2, 2), 8)


@network((1, 3, 64, 64))
def alexnet():
    return torchvision.models.AlexNet(10)


@network(IMAGE)
def usual_layers():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, bias=False),
        nn.LeakyReLU(), nn.AvgPool2d(2), nn.ELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
        nn.Softmax(dim=1),
    )  # fmt: skip


@network((4, 3, 16, 16))
def a_batch():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )


@network(IMAGE)
def same_padding():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.Conv2d(8, 8, 5, padding="valid"), nn.ReLU6())


@network(IMAGE)
def grouped_and_dilated():
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, groups=3, dilation=2), nn.Conv2d(12, 12, 3, groups=12, stride=2, padding=1),
        nn.Conv2d(12, 4, 1),
    )  # fmt: skip


@network((1, 4, 8, 8))
def transposed():
    return nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2), nn.ConvTranspose2d(6, 6, 2, groups=2, bias=False))


@network((2, 3, 20))
def one_axis():
    return nn.Sequential(
        nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.GELU(), nn.MaxPool1d(2), nn.ConvTranspose1d(6, 6, 3), nn.AvgPool1d(2),
        nn.AdaptiveMaxPool1d(3), nn.InstanceNorm1d(6, affine=True),
    )  # fmt: skip


@network((1, 2, 6, 8, 8))
def three_axes():
    return nn.Sequential(
        nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.AvgPool3d((1, 2, 2)), nn.ConvTranspose3d(4, 2, 2),
        nn.AdaptiveAvgPool3d(2), nn.MaxPool3d(2),
    )  # fmt: skip


@network(IMAGE)
def norms():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8), nn.BatchNorm2d(8, affine=False),
        nn.LayerNorm(30, elementwise_affine=False), nn.LayerNorm([30, 30]), nn.PReLU(8), nn.LocalResponseNorm(2),
    )  # fmt: skip


@network(IMAGE)
def upsampled():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2), nn.Upsample(size=(40, 30), mode="bilinear"),
        nn.UpsamplingNearest2d(scale_factor=2), nn.Upsample(scale_factor=(0.5, 0.5), mode="bicubic"),
    )  # fmt: skip


@network(IMAGE)
def pools():
    return nn.Sequential(
        nn.MaxPool2d(3, stride=2, padding=1), nn.AvgPool2d((2, 1)), nn.AdaptiveMaxPool2d(4), nn.AdaptiveAvgPool2d(3),
        nn.AdaptiveAvgPool2d((2, 1)),
    )  # fmt: skip


@network((2, 7, 8))
def multihead_attention():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    return Apply(lambda self, x: self.attention(x, x, x)[0], attention=layer)


@network((2, 7, 8))
def multihead_attention_without_weights():
    layer = nn.MultiheadAttention(8, 2, batch_first=True, bias=False)
    return Apply(lambda self, x: self.attention(x, x, x, need_weights=False)[0], attention=layer)


@network((7, 2, 8), (5, 2, 6))
def cross_attention():
    class Cross(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6)

        def forward(self, x, y):
            return self.attention(x, y, y)[0]

    return Cross()


@network((2, 7, 8))
def attention_called_by_name():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    return Apply(lambda self, x: self.attention(query=x, key=x, value=x)[0], attention=layer)


def _heads(self, x):
    query, key, value = self.qkv(x).chunk(3, dim=-1)
    return [each.unflatten(-1, (2, -1)).transpose(1, 2) for each in (query, key, value)]


@network((2, 7, 8))
def fused_attention():
    def attend(self, x):
        return self.out(F.scaled_dot_product_attention(*_heads(self, x)).transpose(1, 2).flatten(2))

    return Apply(attend, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8))


@network((2, 7, 8))
def masked_attention():
    def attend(self, x):
        mask = torch.ones(7, 7, dtype=torch.bool).tril()
        return self.out(F.scaled_dot_product_attention(*_heads(self, x), attn_mask=mask).transpose(1, 2).flatten(2))

    return Apply(attend, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8))


@network((2, 7, 8))
def attention_by_operators():
    def attend(self, x):
        query, key, value = _heads(self, x)
        return self.out((F.softmax(query @ key.transpose(-2, -1) * 0.5, dim=-1) @ value).transpose(1, 2).flatten(2))

    return Apply(attend, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8))


@network((2, 7, 8))
def attention_by_functions():
    def attend(self, x):
        query, key, value = _heads(self, x)
        scores = torch.softmax(torch.matmul(query, key.transpose(-2, -1)).mul(0.5), dim=-1)
        return self.out(scores.matmul(value).transpose(1, 2).flatten(2))

    return Apply(attend, qkv=nn.Linear(8, 24, bias=False), out=nn.Linear(8, 8))


@network((1, 6, 8))
def transformer_encoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False)


@network((2, 5, 4), (2, 3, 4))
def transformer():
    return nn.Transformer(4, 2, 1, 1, 8, batch_first=True)


@network((2, 5, 4))
def lstm():
    return Apply(
        lambda self, x: self.head(self.recurrent(x)[0][:, -1]), recurrent=nn.LSTM(4, 6, 2, batch_first=True),
        head=nn.Linear(6, 2),
    )  # fmt: skip


@network((5, 2, 4))
def gru_both_ways():
    return Apply(lambda self, x: self.recurrent(x)[0], recurrent=nn.GRU(4, 6, 2, bidirectional=True, bias=False))


@network((5, 2, 4))
def plain_rnn():
    return Apply(lambda self, x: self.recurrent(x)[0], recurrent=nn.RNN(4, 6, nonlinearity="relu"))


@network((2, 5, 4))
def lstm_alone():
    return nn.LSTM(4, 6, batch_first=True)


@network((3, 2, 4))
def packed_sequence():
    def run(self, x):
        packed = rnn.pack_padded_sequence(x, torch.tensor([3, 2]), enforce_sorted=True)
        return self.recurrent(packed)[0].data

    return Apply(run, recurrent=nn.LSTM(4, 6))


@network((5, 2, 4))
def cells():
    def run(self, x):
        state, cell, hidden, plain = (x.new_zeros(2, 6) for _ in range(4))
        for step in x:
            state, cell = self.lstm(step, (state, cell))
            hidden = self.gru(step, hidden)
            plain = self.rnn(step, plain)
        return state + hidden + plain

    return Apply(run, lstm=nn.LSTMCell(4, 6), gru=nn.GRUCell(4, 6), rnn=nn.RNNCell(4, 6))


@network(TOKENS)
def embedding():
    return nn.Sequential(nn.Embedding(12, 6), nn.LayerNorm(6), nn.Linear(6, 4))


@network(TOKENS)
def tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(12, 6)
            self.head = nn.Linear(6, 12, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens):
            return self.head(self.embedding(tokens))

    return Tied()


@network(IMAGE)
def pruned():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 900, 4))
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[3], "weight", 0.25)
    prune.l1_unstructured(model[0], "bias", 2)
    return model


@network((2, 8))
def quantised():
    return torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)), {nn.Linear}, dtype=torch.qint8
    )


@network(IMAGE)
def weight_norm():
    return nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Conv2d(4, 4, 1))


@network(IMAGE)
def functional():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            x = F.relu(F.conv2d(x, self.conv.weight, self.conv.bias, padding=1))
            x = F.leaky_relu(F.max_pool2d(F.interpolate(x, scale_factor=2), 2)).relu()
            x = F.silu(F.avg_pool2d(x, 2) + 1)
            x = F.adaptive_avg_pool2d(F.gelu(x.add(x)), 1).flatten(1)
            return F.softmax(F.linear(x, self.head.weight), dim=-1)

    return Functional()


@network((2, 3, 4), (2, 4, 5))
def products():
    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x, y):
            z = torch.bmm(x, y) + torch.einsum("bij,bjk->bik", x, y)
            z = torch.add(z, torch.baddbmm(z, x, y))
            z = z.mul(torch.ones(5)) + torch.addmm(z[0], x[0], y[0]).mm(torch.ones(5, 5))
            return torch.mul(self.scale, z) @ torch.ones(5, 2)

    return Products()


@network((1, 3, 16, 16))
def called_twice():
    def run(self, x):
        return self.conv(F.avg_pool2d(self.conv(x), 2)).mean()

    return Apply(run, conv=nn.Conv2d(3, 3, 3, padding=1))


@network((1, 3, 8, 8))
def held_twice():
    shared = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
    return nn.Sequential(nn.Sequential(shared), nn.Sequential(shared, nn.Conv2d(3, 2, 1)))


class MyConv2d(nn.Conv2d):
    """A subclass of a layer."""


@network(IMAGE)
def subclass():
    return nn.Sequential(MyConv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1))))


class Scaled(nn.Module):
    """A layer of one's own that holds a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 4))
        self.extra_bias = nn.Parameter(torch.ones(8))
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.gain * (x @ self.weight.t() + self.extra_bias)


@network((3, 5, 4))
def own_layer():
    return nn.Sequential(Scaled(), nn.Linear(8, 2))


@network((3, 4))
def parameter_on_the_model():
    return Scaled()


@network((2, 6))
def two_outputs():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(6, 4)
            self.heads = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 1)])

        def forward(self, x):
            x = self.body(x)
            return {"classes": self.heads[0](x), "boxes": self.heads[1](x)}

    return Heads()
