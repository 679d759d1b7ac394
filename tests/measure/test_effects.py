"""An operation takes effect if the outputs change without it: normalisations, poolings, dropouts, and fakes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck.facts.records import PARANOID
from archcheck.measure import measure_model
from tests.measure.networks import Apply

KINDS = ("batch_norm", "group_norm", "layer_norm", "instance_norm", "global_avg_pool", "global_max_pool", "dropout")


def effects(forward, **parts):
    """Return whether the layer `probe`, or what runs in no layer, takes effect in evaluation and in training."""
    torch.manual_seed(0)
    model = Apply(lambda self, x: self.head(forward(self, self.conv(x))), conv=nn.Conv2d(1, 4, 3), **parts)
    model.head = nn.Sequential(nn.Flatten(), nn.LazyLinear(5))
    probed = any(name.startswith("probe") for name in parts) and forward is not frozen
    facts = measure_model(model, example=torch.rand(2, 1, 8, 8), needs=[PARANOID])
    return [
        {op.live for op in facts.executed(mode) if op.kind in KINDS and op.layer == ("probe" if probed else "")}
        for mode in ("eval", "train")
    ]


FELT, UNFELT = {True}, {False}
MAP = (2, 3)


def constants(self, x):
    return F.batch_norm(x, torch.zeros(4), torch.ones(4), training=False)


def standardised_again(self, x):
    y = self.probe(x)
    y = (y - y.mean(MAP, keepdim=True)) / (y.std(MAP, keepdim=True) + 1e-9)
    return y * x.std(MAP, keepdim=True) + x.mean(MAP, keepdim=True)


FAKE_NORMS = {
    "the numbers 0 and 1": (constants, {}),
    "a millionth of one": (lambda self, x: x + 1e-6 * self.probe(x), {"probe": nn.BatchNorm2d(4)}),
    "taken out again": (standardised_again, {"probe": nn.BatchNorm2d(4)}),
    "normalised again": (
        lambda self, x: self.last(self.probe(x)),
        {"probe": nn.BatchNorm2d(4), "last": nn.GroupNorm(4, 4, eps=1e-12)},
    ),
    "less itself, detached": (
        lambda self, x: x + self.probe(x) - self.probe(x).detach(),
        {"probe": nn.GroupNorm(2, 4)},
    ),
    "a softmax of one": (
        lambda self, x: x * self.probe(x)[..., None].softmax(-1)[..., 0],
        {"probe": nn.LayerNorm([6, 6])},
    ),
    "an epsilon beyond any variance": (lambda self, x: 1e6 * self.probe(x), {"probe": nn.GroupNorm(2, 4, eps=1e12)}),
    "a whole number for one": (lambda self, x: 1e6 * self.probe(x), {"probe": nn.LayerNorm([6, 6], eps=10**12)}),
}


@pytest.mark.parametrize("name", FAKE_NORMS)
def test_what_only_looks_like_a_normalisation_is_without_effect(name):
    forward, parts = FAKE_NORMS[name]
    assert effects(forward, **parts) == [UNFELT, UNFELT]


def test_an_epsilon_beyond_any_variance_leaves_a_batch_norm_of_evaluation_alone():
    _, training = effects(lambda self, x: 1e6 * self.probe(x), probe=nn.BatchNorm2d(4, eps=1e12))
    assert training == UNFELT


def frozen(self, x):
    norm = self.probe
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False)


NORMS = {
    "as it begins": (lambda self, x: self.probe(x), {"probe": nn.BatchNorm2d(4)}),
    "with statistics that are frozen": (frozen, {"probe": nn.BatchNorm2d(4)}),
    "a scale that begins at zero": (
        lambda self, x: x + self.gate * self.probe(x),
        {"probe": nn.GroupNorm(2, 4), "gate": nn.Parameter(torch.zeros(1))},
    ),
    "a scale of layers": (
        lambda self, x: x + self.gate * self.probe(x),
        {"probe": nn.BatchNorm2d(4), "gate": nn.Parameter(torch.full((4, 1, 1), 1e-6))},
    ),
    "before one of other axes": (
        lambda self, x: self.last(self.probe(x)),
        {"probe": nn.LayerNorm([4, 6, 6]), "last": nn.BatchNorm2d(4)},
    ),
    "a large epsilon": (lambda self, x: self.probe(x), {"probe": nn.GroupNorm(1, 4, eps=0.05)}),
    "straight-through": (lambda self, x: x + (self.probe(x) - x).detach(), {"probe": nn.InstanceNorm2d(4)}),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_normalisation_takes_effect(name):
    forward, parts = NORMS[name]
    assert effects(forward, **parts) == [FELT, FELT]


def corner(x):
    return x[:, :, :1, :1]


def masked(x):
    mask = torch.zeros(6, 6)
    mask[2, 3] = 36
    return x * mask


FAKE_POOLS = {
    "a position that is expanded": lambda self, x: corner(x).expand(-1, -1, 7, 7).mean(MAP),
    "a position that is repeated": lambda self, x: F.adaptive_max_pool2d(corner(x).repeat(1, 1, 5, 5), 1),
    "a position that is padded": lambda self, x: F.adaptive_avg_pool2d(F.pad(corner(x), (0, 5, 0, 5)), 1),
    "a position that is left by a mask": lambda self, x: masked(x).sum(MAP) / 36,
    "less itself, detached": lambda self, x: x[:, :, 1, 1] + x.mean(MAP) - x.mean(MAP).detach(),
    "a millionth of one": lambda self, x: x[:, :, 1, 1] + 1e-6 * x.amax(MAP),
}


@pytest.mark.parametrize("name", FAKE_POOLS)
def test_what_only_looks_like_a_pooling_is_without_effect(name):
    assert effects(FAKE_POOLS[name]) == [UNFELT, UNFELT]


POOLS = {
    "a mean": lambda self, x: x.mean(MAP),
    "a mean that keeps its axes": lambda self, x: x * torch.sigmoid(x.mean(dim=MAP, keepdim=True)),
    "a sum that is divided": lambda self, x: x.sum(MAP) / 36,
    "the largest": lambda self, x: x.amax(dim=MAP),
    "a layer": lambda self, x: self.probe(x),
    "of a map with a border": lambda self, x: F.avg_pool2d(F.pad(x, (3, 3, 3, 3)), 12),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pooling_takes_effect(name):
    parts = {"probe": nn.AdaptiveAvgPool2d(1)} if name == "a layer" else {}
    assert effects(POOLS[name], **parts) == [FELT, FELT]


def undone(self, x):
    y = self.probe(x)
    return torch.where(y == 0, x, y * 0.9) if self.training else y


def undone_by_its_mask(self, x):
    mask = self.probe(torch.ones_like(x))
    return x * mask / mask.clamp(min=1e-9) + x * (mask == 0)


def seeded(self, x):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return self.probe(x)


def shifted(self, x):
    y = x.mean(MAP)
    return (y + self.probe(y.sum(1, keepdim=True))).softmax(1)


FAKE_DROPOUTS = {
    "undone": undone,
    "undone by its mask": undone_by_its_mask,
    "the same in every pass": seeded,
    "a shift before a softmax": shifted,
    "the middle one of many": lambda self, x: torch.stack([self.probe(x) for _ in range(29)]).median(0).values,
    "of zeros": lambda self, x: x + self.probe(torch.relu(-torch.relu(x))),
    "a millionth of one": lambda self, x: x + 1e-6 * self.probe(x),
}


@pytest.mark.parametrize("name", FAKE_DROPOUTS)
def test_what_only_looks_like_a_dropout_is_without_effect(name):
    _, training = effects(FAKE_DROPOUTS[name], probe=nn.Dropout(0.1))
    assert training == UNFELT


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.02), nn.Dropout(0.9), nn.Dropout2d(0.3), nn.AlphaDropout(0.1), nn.Dropout(0.3, inplace=True)]
)
def test_a_dropout_takes_effect(layer):
    _, training = effects(lambda self, x: self.probe(x), probe=layer)
    assert training == FELT


def masked_by(generator):
    """A handwritten dropout, in training only, whose mask comes from the named generator."""

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(x.shape, generator=generator(self)) > 0.1) / 0.9

    return forward


def counted(self):
    self.calls += 1
    return torch.Generator().manual_seed(self.calls)


KEPT = torch.Generator().manual_seed(1)


@pytest.mark.parametrize(
    ("generator", "effect"),
    [
        (lambda self: torch.Generator().manual_seed(1), UNFELT),
        (lambda self: self.own.manual_seed(1), UNFELT),
        (lambda self: self.own, FELT),
        (lambda self: KEPT, FELT),
        (lambda self: None, FELT),
        (counted, FELT),
    ],
)
def test_a_handwritten_dropout_draws_again_from_any_generator(generator, effect):
    _, training = effects(masked_by(generator), own=torch.Generator().manual_seed(2), calls=0)
    assert training == effect


def unused(forward, **parts):
    torch.manual_seed(0)
    model = Apply(lambda self, x: forward(self, self.fc(x)), fc=nn.Linear(6, 4), **parts)
    return measure_model(model, example=torch.rand(3, 6), needs=[PARANOID]).params.unused


FAKE_PARAMETERS = {
    "times zero": lambda self, y: y + 0 * self.idle.sum(),
    "times a zero of its own": lambda self, y: y + (self.idle * torch.zeros(4)).sum(),
    "less itself": lambda self, y: y + (self.idle - self.idle.detach()).sum(),
    "outdone": lambda self, y: torch.maximum(y, self.idle.mean() - 1e9),
    "less than rounding": lambda self, y: y + 1e-30 * self.idle,
    "cut off": lambda self, y: torch.cat([y, self.idle.exp()[None]])[:-1],
    "not chosen": lambda self, y: torch.where(torch.tensor(False), self.idle.exp(), y),
}


@pytest.mark.parametrize("name", FAKE_PARAMETERS)
def test_a_parameter_without_effect_is_unused(name):
    assert unused(FAKE_PARAMETERS[name], idle=nn.Parameter(torch.randn(4))) == ("idle",)


@pytest.mark.parametrize("name", FAKE_PARAMETERS)
def test_a_frozen_parameter_without_effect_is_unused(name):
    assert unused(FAKE_PARAMETERS[name], idle=nn.Parameter(torch.randn(4), requires_grad=False)) == ("idle",)


PARAMETERS = {
    "begins at zero": (lambda self, y: y + self.own.reshape(1, 4), torch.zeros(4)),
    "a gate": (lambda self, y: y * self.own.tanh(), torch.zeros(4)),
    "an upper bound that nothing meets yet": (lambda self, y: torch.minimum(y, self.own.abs()), torch.full((4,), 50.0)),
    "rounded": (lambda self, y: y + self.own.round(), torch.full((4,), 2.2)),
    "signs": (lambda self, y: y * self.own.sign(), torch.randn(4)),
    "a shift before a softmax": (lambda self, y: (y + self.own.sum()).softmax(1), torch.randn(4)),
    "of training alone": (lambda self, y: y + self.own.exp() if self.training else y, torch.randn(4)),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_may_change_an_output_is_used(name):
    forward, begins = PARAMETERS[name]
    for trained in (True, False):
        assert unused(forward, own=nn.Parameter(begins.clone(), requires_grad=trained)) == ()
