"""Networks that do nothing wrong, and whose parameters, random numbers or packed weights look as if they might.

A file of subjects: `test_no_false_alarm.py` judges each as a process does.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.ao import quantization
from torch.nn.utils import parametrizations, parametrize

warnings.simplefilter("ignore")  # torch announces that its quantisation moves to another package


def body(first, last, width=4):
    return nn.Sequential(first, nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), last)


# --- parametrizations: signs, counts and casts -------------------------------------------------------------------


def orthogonal_wide():
    return body(nn.Linear(8, 4), parametrizations.orthogonal(nn.Linear(4, 6)))


def orthogonal_tall():
    return body(nn.Linear(8, 4), parametrizations.orthogonal(nn.Linear(4, 3)))


def orthogonal_square():
    last = parametrizations.orthogonal(nn.Linear(8, 8), orthogonal_map="cayley")
    return body(parametrizations.orthogonal(nn.Linear(8, 8)), last, 8)


def orthogonal_of_no_base():
    first = parametrizations.orthogonal(nn.Linear(8, 4), orthogonal_map="matrix_exp")
    return body(first, parametrizations.orthogonal(nn.Linear(4, 6), use_trivialization=False))


def orthogonal_convolution():
    conv = parametrizations.orthogonal(nn.Conv2d(2, 5, 2))
    layers = [nn.Unflatten(1, (2, 2, 2)), conv, nn.BatchNorm2d(5), nn.Flatten(), nn.Dropout(0.1), nn.Linear(5, 2)]
    return nn.Sequential(*layers)


def weight_and_spectral_norm():
    return body(parametrizations.weight_norm(nn.Linear(8, 4)), parametrizations.spectral_norm(nn.Linear(4, 6)))


def weight_and_spectral_norm_by_hooks():
    return body(nn.utils.weight_norm(nn.Linear(8, 4)), nn.utils.spectral_norm(nn.Linear(4, 6)))


class Of(nn.Module):
    """A parametrization that is a function of its tensor."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, weight):
        return self.function(weight)


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight):
        return weight.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def through(rounded, weight):
    return weight + (rounded - weight).detach()


def parametrized(function, width=4):
    layer = nn.Linear(8, width)
    parametrize.register_parametrization(layer, "weight", Of(function))
    return body(layer, nn.Linear(width, 2), width)


def binary():
    return parametrized(lambda weight: weight.sign() * weight.abs().mean())


def straight_through():
    return parametrized(Straight.apply)


def four_bits():
    return parametrized(lambda weight: through((weight * 7 / weight.abs().max()).round() / 7, weight))


def not_negative():
    return parametrized(torch.abs)


def symmetric():
    return parametrized(lambda weight: weight.triu() + weight.triu(1).transpose(-1, -2), 8)


class Counted(nn.Module):
    """What is kept of a weight, and by how many it is divided, are numbers that are cast."""

    def __init__(self):
        super().__init__()
        self.keep, self.steps = nn.Parameter(torch.tensor([1.0, -1.0, 1.0, 2.0])), nn.Parameter(torch.tensor(-3.0))

    def forward(self, weight):
        keep, steps = through(self.keep.int(), self.keep), through(self.steps.trunc(), self.steps)
        return weight * keep[:, None] / torch.where(steps == -3, steps, torch.nan)


def counted():
    layer = nn.Linear(8, 4)
    parametrize.register_parametrization(layer, "weight", Counted())
    return body(layer, nn.Linear(4, 2))


# --- random numbers of a sample's own ----------------------------------------------------------------------------


class Drawing(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def draw(self, x):
        return x

    def forward(self, x):
        return self.b(F.dropout(self.draw(self.norm(self.a(x))).relu(), 0.1, self.training))


class MonteCarlo(Drawing):
    def draw(self, x):
        return F.dropout(x, 0.2, training=True)


class MonteCarloByHand(Drawing):
    def draw(self, x):
        return x * (torch.rand(x.shape) > 0.2) / 0.8


class MonteCarloMean(Drawing):
    def draw(self, x):
        return torch.stack([F.dropout(x, 0.2, training=True) for _ in range(4)]).mean(0)


class Noisy(Drawing):
    def draw(self, x):
        return x + 0.1 * torch.randn_like(x) + 0.1 * torch.randn(4)


class Sampled(Drawing):
    """A latent that is drawn in evaluation, too."""

    def draw(self, x):
        return torch.distributions.Normal(x, 0.1 + x.sigmoid()).rsample()


class Chosen(Drawing):
    def draw(self, x):
        return x * F.one_hot(torch.multinomial(x.softmax(-1), 1)[:, 0], 4)


class StochasticDepth(Drawing):
    def draw(self, x):
        return x + x.tanh() * torch.empty(len(x), 1).bernoulli_(0.9) / 0.9 if self.training else x + x.tanh()


# --- tensors without elements ------------------------------------------------------------------------------------


class Empty(Drawing):
    def __init__(self):
        super().__init__()
        self.device = nn.Parameter(torch.empty(0))
        self.frozen = nn.Parameter(torch.empty(0), requires_grad=False)
        self.prompts, self.extra = nn.Parameter(torch.empty(0, 4)), nn.Linear(4, 0)
        self.register_buffer("none", torch.empty(0))
        self.register_buffer("gone", torch.empty(0, 3), persistent=False)

    def draw(self, x):
        x = torch.cat([x.to(self.device.device), self.prompts])
        return torch.cat([x, self.extra(x)], 1)


# --- experts -----------------------------------------------------------------------------------------------------


class Experts(Drawing):
    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 4), nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

    def draw(self, x):
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, places = torch.where(chosen == number)
            if len(rows):
                out = out.index_add(0, rows, expert(x[rows]) * weights[rows, places, None])
        return out


class ExpertsAsked(Experts):
    def draw(self, x):
        weights = self.gate(x).softmax(-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = weights.argmax(-1) == number
            if rows.any():
                out[rows] = expert(x[rows]) * weights[rows, number, None]
        return out


# --- quantised ---------------------------------------------------------------------------------------------------


class Quantised(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.norm, self.relu, self.fc = nn.Conv2d(2, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 2)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(self.quant(x.view(-1, 2, 2, 2)))))
        return self.dequant(self.fc(x.flatten(1)))


def awaiting_quantisation():
    model = Quantised().train()
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    return quantization.prepare_qat(quantization.fuse_modules_qat(model, [["conv", "norm", "relu"]]))


def quantised():
    model = Quantised().eval()
    model.qconfig = quantization.get_default_qconfig("fbgemm")
    model = quantization.prepare(quantization.fuse_modules(model, [["conv", "norm", "relu"]]))
    model(torch.randn(8, 8))
    return quantization.convert(model)


def dynamic(model, *kinds, dtype=torch.qint8):
    return quantization.quantize_dynamic(model.eval(), {*kinds, nn.Linear}, dtype=dtype)


class Recurrent(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(6, 2)

    def forward(self, x):
        given = x if isinstance(self.layer, nn.RNNCellBase) or "Cell" in type(self.layer).__name__ else x[None]
        out = self.layer(given)
        out = out[0] if isinstance(out, tuple) else out
        return self.fc(out[-1] if out.dim() == 3 else out)


def dynamic_linear():
    return dynamic(body(nn.Linear(8, 4), nn.Linear(4, 2)))


def dynamic_halves():
    return dynamic(body(nn.Linear(8, 4), nn.Linear(4, 2)), dtype=torch.float16)


def dynamic_lstm():
    return dynamic(Recurrent(nn.LSTM(8, 6, 2)), nn.LSTM)


def dynamic_gru():
    return dynamic(Recurrent(nn.GRU(8, 6)), nn.GRU)


def dynamic_lstm_cell():
    return dynamic(Recurrent(nn.LSTMCell(8, 6)), nn.LSTMCell)


def dynamic_gru_cell():
    return dynamic(Recurrent(nn.GRUCell(8, 6)), nn.GRUCell)


class Table(nn.Module):
    def __init__(self, table):
        super().__init__()
        self.table, self.fc = table, nn.Linear(4, 2)
        self.table.qconfig = quantization.float_qparams_weight_only_qconfig

    def forward(self, x):
        return self.fc(self.table(x.argsort(-1)).view(len(x), -1, 4).sum(1))


def quantised_embedding():
    return quantization.convert(quantization.prepare(Table(nn.Embedding(8, 4)).eval()))


def quantised_embedding_bag():
    return quantization.convert(quantization.prepare(Table(nn.EmbeddingBag(8, 4, mode="sum")).eval()))
