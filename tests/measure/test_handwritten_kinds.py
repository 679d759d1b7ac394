"""Several operations together are the kind that they compute; what only looks like it is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck.facts.records import PARANOID
from archcheck.judging.engine import check
from archcheck.measure import measure_model
from archcheck.rules import FollowedBy, Forbids, Requires
from archcheck.rules.findings import Verdict
from tests.measure.networks import Apply

ROWS, SERIES, IMAGE = torch.rand(4, 6), torch.rand(2, 5, 8), torch.rand(2, 4, 6, 6)
MAP, BATCH = (2, 3), (0, 2, 3)


def counted(model, example, *kinds, needs=()):
    """Return how many operations of some kinds run in evaluation, and in training."""
    facts = measure_model(model, example=example, needs=needs, confirm=True)
    return [sum(op.kind in kinds and op.live for op in facts.executed(mode)) for mode in ("eval", "train")]


def between(forward):
    """Return a network of two linear layers with something between, for what gives as much as it takes."""

    def run(self, x):
        y = forward(self.first(x))
        return self.last(y) if y.shape == x.shape else y

    torch.manual_seed(0)
    return Apply(run, first=nn.Linear(6, 6), last=nn.Linear(6, 3))


def written(x):
    x = x.clone()
    x[x < 0] = 0
    return x


RELUS = {
    "a mask": lambda x: x * (x > 0),
    "a mask of numbers": lambda x: (x >= 0).float() * x,
    "a choice": lambda x: torch.where(x > 0, x, 0.0),
    "a choice of zeros": lambda x: torch.where(x <= 0, torch.zeros_like(x), x),
    "clamp": lambda x: x.clamp(min=0),
    "clamp in place": lambda x: (2 * x).clamp_(min=0),
    "the larger": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "the larger of a number": lambda x: torch.max(x, torch.tensor(0.0)),
    "with its size": lambda x: (x + x.abs()) / 2,
    "halves": lambda x: 0.5 * x + 0.5 * torch.abs(x),
    "filled": lambda x: x.masked_fill(x < 0, 0),
    "twice negative": lambda x: -torch.minimum(-x, torch.zeros_like(x)),
    "a sign": lambda x: x * (torch.sign(x) + 1) / 2,
    "a threshold": lambda x: F.threshold(x, 0, 0),
    "less what is negative": lambda x: x - x.clamp(max=0),
    "no leak": lambda x: F.leaky_relu(x, 0.0),
    "written": written,
}


@pytest.mark.parametrize("name", RELUS)
def test_what_rectifies_is_a_relu(name):
    assert counted(between(RELUS[name]), ROWS, "relu") == [1, 1]


OTHERS = {
    "between bounds": lambda x: x.clamp(0, 1),
    "six": F.relu6,
    "a logarithm": lambda x: x.clamp(min=1e-6).log(),
    "a root": lambda x: x.clamp(min=0).sqrt(),
    "a size": torch.abs,
    "a leak": lambda x: torch.where(x > 0, x, 0.1 * x),
    "silu": lambda x: x * torch.sigmoid(x),
    "the gate of another": lambda x: x * (x.flip(1) > 0),
    "another threshold": lambda x: x * (x > 0.5),
    "a hinge": lambda x: (1 - x).clamp(min=0).mean(),
    "a bound below": lambda x: x.clamp(min=-1),
    "distances": lambda x: ((x[:, None] - x[None]) ** 2).sum(-1).clamp(min=0).sqrt(),
    "overlaps": lambda x: (torch.minimum(x[:, :2], x[:, 2:4]) - x[:, 3:5]).clamp(min=0).prod(1),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_results_and_other_places_make_no_relu(name):
    assert counted(between(OTHERS[name]), ROWS, "relu") == [0, 0]


class Taught(nn.Module):
    """A batch normalisation as courses write it."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.zeros(4, 1, 1))
        self.register_buffer("mean", torch.zeros(1, 4, 1, 1))
        self.register_buffer("variance", torch.ones(1, 4, 1, 1))

    def forward(self, x):
        if self.training:
            mean = x.mean(BATCH, keepdim=True)
            variance = ((x - mean) ** 2).mean(BATCH, keepdim=True)
            self.mean.mul_(0.9).add_(0.1 * mean.detach())
            self.variance.mul_(0.9).add_(0.1 * variance.detach())
        else:
            mean, variance = self.mean, self.variance
        return self.scale * (x - mean) / torch.sqrt(variance + 1e-5) + self.shift


def centred(x, axes=-1):
    return x - x.mean(axes, keepdim=True)


def grouped(self, x):
    y = x.view(2, 2, -1)
    return (centred(y) / (y.var(-1, keepdim=True) + 1e-5).sqrt()).view_as(x)


NORMS = {
    "batch": ("batch_norm", IMAGE, lambda self, x: centred(x, BATCH) / (x.var(BATCH, keepdim=True) + 1e-5).sqrt()),
    "layer": ("layer_norm", SERIES, lambda self, x: self.scale * centred(x) / (x.std(-1, keepdim=True) + 1e-6)),
    "its inverse": ("layer_norm", SERIES, lambda self, x: centred(x) * torch.rsqrt(x.var(-1, keepdim=True) + 1e-5)),
    "its squares": (
        "layer_norm",
        SERIES,
        lambda self, x: centred(x) / (centred(x).pow(2).mean(-1, keepdim=True) + 1e-5).sqrt(),
    ),
    "channels": ("layer_norm", IMAGE, lambda self, x: centred(x, 1) / (x.var(1, keepdim=True) + 1e-5).sqrt()),
    "instance": ("instance_norm", IMAGE, lambda self, x: centred(x, MAP) / (x.std(MAP, keepdim=True) + 1e-5)),
    "groups": ("group_norm", IMAGE, grouped),
    "root mean square": (
        "rms_norm",
        SERIES,
        lambda self, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale,
    ),
    "root mean square in another dtype": (
        "rms_norm",
        SERIES,
        lambda self, x: self.scale * (x / torch.sqrt(x.to(torch.float32).square().mean(-1, keepdim=True) + 1e-6)),
    ),
    "length and root": ("rms_norm", SERIES, lambda self, x: F.normalize(x, dim=-1) * 8**0.5 * self.scale),
    "root with the scale": ("rms_norm", SERIES, lambda self, x: F.normalize(x, dim=-1) * (self.scale * 8**0.5)),
    "root after the scale": ("rms_norm", SERIES, lambda self, x: F.normalize(x, dim=-1) * self.scale * 8**0.5),
    "over length and root": (
        "rms_norm",
        SERIES,
        lambda self, x: self.scale * x / (x.norm(dim=-1, keepdim=True) / 8**0.5 + 1e-6),
    ),
    "another root": ("", SERIES, lambda self, x: F.normalize(x, dim=-1) * 10.0),
    "another length": ("", SERIES, lambda self, x: F.normalize(x, p=1, dim=-1) * 8**0.5),
    "over its size": ("", SERIES, lambda self, x: F.normalize(x, dim=-1)),
    "over its length": ("", SERIES, lambda self, x: x / x.norm(dim=-1, keepdim=True)),
    "less its mean": ("", SERIES, lambda self, x: centred(x)),
    "over another's deviation": ("", SERIES, lambda self, x: centred(x) / (x.flip(0).std(-1, keepdim=True) + 1)),
    "times its variance": ("", SERIES, lambda self, x: centred(x) * x.var(-1, keepdim=True)),
    "shares": ("", SERIES, lambda self, x: x.exp() / x.exp().sum(-1, keepdim=True)),
}
ALL = ("batch_norm", "layer_norm", "instance_norm", "group_norm", "rms_norm")


@pytest.mark.parametrize("name", NORMS)
def test_the_axes_of_its_deviation_determine_a_normalisation(name):
    kind, example, forward = NORMS[name]
    torch.manual_seed(0)
    before = nn.Conv2d(4, 4, 1) if example is IMAGE else nn.Linear(8, 8)
    model = nn.Sequential(before, Apply(forward, scale=nn.Parameter(torch.ones(8))), nn.Flatten(), nn.LazyLinear(3))
    assert counted(model, example, kind, needs=[PARANOID]) == ([1, 1] if kind else [0, 0])
    assert counted(model, example, *ALL) == ([1, 1] if kind else [0, 0])


AXES = [  # shape, axes of the mean and the deviation, what torch calls it
    ((4, 6), (0,), "batch_norm"),
    ((4, 6), (1,), "layer_norm"),
    ((4, 6, 5), (0, 2), "batch_norm"),
    ((4, 6, 5), (2,), "layer_norm"),
    ((4, 6, 5), (1, 2), "layer_norm"),
    ((4, 6, 5), (0, 1), ""),
    ((4, 6, 5, 7), (0, 2, 3), "batch_norm"),
    ((4, 6, 5, 7), (2, 3), "instance_norm"),
    ((4, 6, 5, 7), (1, 2, 3), "layer_norm"),
    ((4, 6, 5, 7), (1,), "layer_norm"),
    ((4, 6, 5, 7), (3,), "layer_norm"),
    ((4, 6, 5, 7), (0,), ""),
    ((4, 6, 5, 7), (2,), ""),
    ((4, 6, 5, 7), (0, 1, 2, 3), ""),
    ((4, 6, 3, 4, 5), (0, 2, 3, 4), "batch_norm"),
    ((4, 6, 3, 4, 5), (2, 3, 4), "instance_norm"),
]


def between_layers(shape, forward):
    layers = {2: nn.Linear(6, 6), 3: nn.Conv1d(6, 6, 1), 4: nn.Conv2d(6, 6, 1), 5: nn.Conv3d(6, 6, 1)}
    return nn.Sequential(layers[len(shape)], Apply(forward), nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize(("shape", "axes", "kind"), AXES)
def test_the_axes_determine_a_normalisation_in_any_number_of_dimensions(shape, axes, kind, keepdim):
    def forward(self, x):
        deviation = (x.var(axes, keepdim=keepdim) + 1e-5).sqrt()
        kept = [1 if axis in axes else extent for axis, extent in enumerate(shape)]
        return centred(x, axes) / (deviation if keepdim else deviation.view(kept))

    model = between_layers(shape, forward)
    assert counted(model, torch.rand(shape), *([kind] if kind else ALL)) == ([1, 1] if kind else [0, 0])


@pytest.mark.parametrize(("shape", "axes", "kind"), AXES)
def test_a_root_mean_square_is_one_of_channels_whatever_their_axis(shape, axes, kind):
    model = between_layers(shape, lambda self, x: x / (x.pow(2).mean(axes, keepdim=True) + 1e-5).sqrt())
    one = axes in ((1,), (len(shape) - 1,))
    assert counted(model, torch.rand(shape), "rms_norm") == ([1, 1] if one else [0, 0])
    assert counted(model, torch.rand(shape), *ALL) == ([1, 1] if one else [0, 0])


def test_a_batch_normalisation_is_one_in_evaluation_too():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), Taught(), nn.Conv2d(4, 2, 1))
    assert counted(model, IMAGE, "batch_norm", needs=[PARANOID]) == [1, 1]
    rules = [
        Requires(kinds=("batch_norm",)),
        FollowedBy(layer="conv", by="batch_norm", exempt=("last",)),
        Forbids(kinds=("batch_norm",)),
    ]
    verdicts = [outcome.verdict for outcome in check(model, example=IMAGE, rules=rules).outcomes]
    assert verdicts == [Verdict.KEPT, Verdict.KEPT, Verdict.BROKEN]


def test_data_that_are_prepared_are_not_normalised():
    prepare = Apply(lambda self, x: centred(x, (1, 2, 3)) / x.std((1, 2, 3), keepdim=True))
    assert counted(nn.Sequential(prepare, nn.Conv2d(4, 2, 1)), IMAGE, *ALL) == [0, 0]


@pytest.mark.parametrize(
    "pooled",
    [
        lambda self, x: x.mean(3).mean(2),
        lambda self, x: x.mean(2, keepdim=True).mean(3, keepdim=True).flatten(1),
        lambda self, x: x.sum(-1).sum(-1) / 36,
    ],
)
def test_a_pooling_may_take_one_axis_after_another(pooled):
    model = nn.Sequential(nn.Conv2d(4, 4, 1), Apply(pooled), nn.Linear(4, 2))
    assert counted(model, IMAGE, "global_avg_pool", needs=[PARANOID]) == [1, 1]


@pytest.mark.parametrize("name", RELUS)
def test_a_handwritten_relu_follows_and_takes_effect(name):
    model = between(RELUS[name])
    rules = [FollowedBy(layer="linear", by="relu", exempt=("last",)), Forbids(kinds=("relu",))]
    verdicts = [outcome.verdict for outcome in check(model, example=ROWS, rules=rules).outcomes]
    assert verdicts == [Verdict.KEPT, Verdict.BROKEN]


def test_a_handwritten_relu_may_be_without_effect():
    model = between(lambda x: x + 1e-9 * (x * (x > 0)))
    assert counted(model, ROWS, "relu", needs=[PARANOID]) == [0, 0]


def test_of_two_operations_on_a_line_the_forbidden_one_is_seen():
    model = between(lambda x: x * torch.bernoulli(torch.full_like(x, 0.5)) * 2)
    outcome = check(model, example=ROWS, rules=[Forbids(kinds=("dropout",))]).outcomes[0]
    assert outcome.verdict is Verdict.BROKEN


def test_a_handwritten_kind_is_found_where_values_decide_what_runs():
    def forward(self, x):
        y = self.first(x)
        y = self.more(y) + 1 if x.sum() > 0 else y
        return self.last(y * (y > 0))

    torch.manual_seed(0)
    layers = {name: nn.Linear(6, 6) for name in ("first", "more", "last")}
    facts = measure_model(Apply(forward, **layers), example=torch.randn(4, 6), confirm=True)
    assert {"first", "more", "last"} <= {op.layer for op in facts.ops}
    masks = [op for op in facts.ops if op.kind == "gt" and op.live]
    assert {facts.ops[op.attributes["part_of"]].kind for op in masks} == {"relu"}
