"""A pass of which only the outputs are kept gives what a recorded one gives, for whatever a network does."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.measure.behaviour.trial_passes import Attempts
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.rules import Accepts


class Apply(nn.Module):
    """A model that is one function of its input."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.mul(2)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class Counts(nn.Module):
    """Writes to a buffer, keeps a tensor of the pass, and appends to a list."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.kept = []

    def forward(self, x):
        self.seen += 1
        self.kept.append(x)
        self.last = x.flatten(1)
        return self.last * self.seen


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)


def written(x):
    y = torch.zeros_like(x)
    y[:, :1] = x[:, :1]
    y.add_(1).clamp_(min=0)
    return y.t_() if y.dim() == 2 else y


def by_size(x):
    return x[:, ::2] if x.shape[-1] % 2 else x.reshape(len(x), -1, 2)


def with_positions(x):
    return x + torch.arange(x.shape[1], dtype=x.dtype)[None, :, None]


IMAGES = [
    nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.1)),
    nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.LogSoftmax(-1)),
    nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.Flatten(), nn.Linear(36, 3)),
    nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(2)),
    nn.Sequential(nn.ConvTranspose2d(2, 2, 3), nn.GroupNorm(2, 2), nn.Upsample(scale_factor=2), nn.PixelUnshuffle(2)),
    nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 2)),
    Counts(),
    Apply(by_size),
    Apply(lambda x: F.pad(x, (1, 2)).unfold(2, 3, 1).permute(0, 1, 3, 2, 4).contiguous().view(len(x), -1)),
    Apply(lambda x: torch.cat([*x.chunk(2, -1), x.flip(-1)[..., :1]], -1) if x.shape[-1] > 6 else x),
    Apply(lambda x: torch.fft.rfft2(x).abs()),
    Apply(lambda x: x.new_empty(0)),
    Apply(lambda x: {"a": x, "b": [x.mean((1, 2, 3)), x.detach().clone().half()]}),
    Apply(lambda x: torch.stack([x.amax((2, 3)), x.std((2, 3))]).transpose(0, 1)),
    Apply(lambda x: F.interpolate(x, size=(5, 5), mode="bilinear") + torch.rand(5)),
    Apply(lambda x: torch.einsum("nchw,ncwk->nchk", x, x)),
]
SEQUENCES = [
    nn.LSTM(8, 4, batch_first=True),
    nn.GRU(8, 4),
    Heads(),
    nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    nn.Sequential(nn.Flatten(1, 2), nn.Unflatten(1, (4, -1))),
    nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 2), nn.Softmax(1)),
    Apply(with_positions),
    Apply(written),
    Apply(Doubled.apply),
    Apply(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
    Apply(lambda x: x.topk(3, dim=1).values.sort(-1)[0].cumsum(1)),
    Apply(lambda x: torch.bmm(x, x.mT).softmax(-1) @ x),
    Apply(lambda x: torch.where(torch.ones(x.shape[1], x.shape[1]).tril().bool(), x @ x.mT, float("-inf"))),
    Apply(lambda x: torch.view_as_complex(x.unflatten(-1, (4, 2)).contiguous())),
    Apply(lambda x: x.as_strided((len(x), 4), (1, 1))),
    Apply(lambda x: torch.func.vmap(torch.sum)(x)),
    Apply(lambda x: x.to(torch.int64).float().split(2, 1)),
]
NEVER = [
    Apply(lambda x: x[x > 0]),
    Apply(lambda x: x if x.sum() > 0 else -x),
    Apply(lambda x: x.nonzero()),
    Apply(lambda x: x * float(x.mean())),
    Apply(lambda x: None),
    Apply(lambda x: 1 / 0),
]
"""They do not run to their end by shapes alone."""
SHAPES = {
    "images": ((1, 2, 8, 8), (3, 2, 8, 7), (1, 2, 1, 1)),
    "sequences": ((1, 6, 8), (3, 5, 8), (2, 1, 8), (1, 3, 7)),
}
CASES = [
    *((each, SHAPES["images"]) for each in IMAGES + NEVER),
    *((each, SHAPES["sequences"]) for each in SEQUENCES),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_outputs_are_those_of_a_recorded_pass(case, training):
    model, shapes = CASES[case]
    passes, ended = Passes(model), []
    for shape in (*shapes, shapes[0]):
        example = Example((torch.rand(shape),), {}, None)
        found = passes.try_outputs(example, training=training)
        trace, error = passes.try_shapes(example, training=training)
        ends = error is None and not trace.bounds
        ended.append(ends)
        assert found == (tuple(each for each, _ in trace.output_tensors) if ends else None), shape
    assert any(ended) == (model not in NEVER)
    assert all(each.__class__ in (torch.Tensor, nn.Parameter) for each in model.state_dict(keep_vars=True).values())
    assert not isinstance(model, Counts) or (model.kept == [] and model.seen == 0)


def test_integers_whose_values_may_leave_torch_are_left_to_a_recorded_pass():
    passes = Passes(nn.Embedding(5, 2))
    assert passes.try_outputs(Example((torch.zeros(1, 3, dtype=torch.int64),), {}, None), training=False) is None


def test_a_search_without_a_failure_records_no_try(monkeypatch):
    """The two recorded passes tell what a real pass on the largest and on the smallest input costs."""
    recorded, tried = [], []
    shapes, by_shapes = Passes.try_shapes, Attempts.by_shapes
    monkeypatch.setattr(Passes, "try_shapes", lambda *given, **how: recorded.append(1) or shapes(*given, **how))
    monkeypatch.setattr(Attempts, "by_shapes", lambda *given: tried.append(1) or by_shapes(*given))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    report = check(model, example=torch.rand(1, 1, 8, 8), rules=[Accepts(batch=(1, 3), height=(3, 9), width=(3, 9))])
    report.verify()
    assert len(tried) == 147
    assert len(recorded) < 10
