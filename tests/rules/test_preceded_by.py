"""`preceded-by`, the mirror of `followed-by`; `count`; `no-frozen-params`; shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import Count, KeepsBatch, MinReceptiveField, NoFrozenParams, PrecededBy
from archcheck.rules.findings import Verdict

IMAGE = torch.zeros(1, 1, 12, 12)


def outcome(rule, model, example=IMAGE):
    return check(model, example=example, rules=[rule]).outcomes[0]


def norm_first(*between, channels=4):
    return nn.Sequential(nn.Conv2d(1, channels, 1), *between, nn.Conv2d(channels, 2, 3))


class Joined(nn.Module):
    """`then` decides what the second convolution reads."""

    def __init__(self, then):
        super().__init__()
        self.stem, self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.wide = nn.Conv2d(8, 4, 3)
        self.then = then

    def forward(self, x):
        return self.then(self, self.stem(x))


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (norm_first(nn.BatchNorm2d(4)), Verdict.KEPT),
        (norm_first(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)), Verdict.KEPT),
        (norm_first(nn.ReLU()), Verdict.BROKEN),
        (norm_first(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)), Verdict.BROKEN),
        (Joined(lambda m, y: m.conv(m.bn(y) * torch.sigmoid(m.bn(y)))), Verdict.BROKEN),  # two calls: a junction
        (Joined(lambda m, y: m.conv((z := m.bn(y)) * torch.sigmoid(z))), Verdict.KEPT),
        (Joined(lambda m, y: m.conv(y + m.bn(y))), Verdict.BROKEN),
        (Joined(lambda m, y: m.wide(torch.cat([m.bn(y), torch.relu(m.bn(y))], 1))), Verdict.KEPT),
        (Joined(lambda m, y: m.wide(torch.cat([m.bn(y), y], 1))), Verdict.BROKEN),
    ],
)
def test_every_path_back_counts(model, verdict):
    rule = PrecededBy(layer="conv", by="batch_norm", exempt=("first",))
    assert outcome(rule, model).verdict is verdict


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (PrecededBy(layer="conv", by="batch_norm"), "`0` (Conv2d) is preceded by the input, not by batch_norm"),
        (PrecededBy(layer="conv", by="batch_norm", exempt=("1x1",), position="direct"),
         "`3` (Conv2d) is preceded by relu, not by batch_norm"),
        (PrecededBy(layer="Conv2d", by="relu", exempt=("last",)), "`0` (Conv2d) is preceded by the input, not by relu"),
        (PrecededBy(layer="3*", by="max_pool"), "`3` (Conv2d) is preceded by batch_norm, not by max_pool"),
    ],
)  # fmt: skip
def test_what_stands_there_instead(rule, says):
    assert outcome(rule, norm_first(nn.BatchNorm2d(4), nn.ReLU())).summary == says


@pytest.mark.parametrize("on", ["3", "Conv2d", "conv"])
def test_on_narrows_it(on):
    rule = PrecededBy(layer="conv", by="batch_norm", exempt=("0",), on=on)
    assert outcome(rule, norm_first(nn.BatchNorm2d(4), nn.ReLU())).verdict is Verdict.KEPT
    assert outcome(PrecededBy(layer="conv", by="relu", on="2"), norm_first()).verdict is Verdict.VACUOUS


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.act, self.two = nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.two(self.act(self.one(x)))


def test_what_precedes_a_layer_with_layers_inside_precedes_its_first_operation():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), Block(), nn.BatchNorm2d(4), Block())
    assert outcome(PrecededBy(layer="Block", by="batch_norm", position="direct"), model).kept == (
        "2 of 2 Block preceded by batch_norm"
    )
    bare = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), Block(), Block())
    assert outcome(PrecededBy(layer="Block", by="batch_norm"), bare).summary.startswith("`3.one` (Conv2d)")


# --- count --------------------------------------------------------------------------------------------------


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.idle = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)
        self.blocks = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU()))

    def forward(self, x):
        return self.blocks(self.conv(self.conv(x)))


@pytest.mark.parametrize(
    ("kind", "on", "number"),
    [
        ("conv", None, 2),
        ("weights", None, 2),
        ("Conv2d", None, 1),
        ("conv", "conv", 2),
        ("blocks.*", None, 2),
        ("ReLU", None, 2),
        ("activation", "blocks.0", 1),
        ("ReLU", "blocks.1.**", 1),
        ("relu", "Sequential", 2),
        ("relu", "relu", 2),
    ],
)
def test_how_many_there_are(kind, on, number):
    exactly = outcome(Count(kind=kind, min=number, max=number, on=on), Shared())
    assert (exactly.verdict, exactly.found, exactly.limit) == (Verdict.KEPT, number, f"exactly {number}")
    few = outcome(Count(kind=kind, min=number + 1, on=on), Shared())
    assert few.summary == f"{number} {kind}, at least {number + 1} are asked for"
    if number > 1:
        many = outcome(Count(kind=kind, max=number - 1, on=on), Shared())
        assert many.summary.startswith(f"{number} {kind}, at most {number - 1} are allowed: `")


def test_none_at_all():
    assert outcome(Count(kind="linear", max=3), Shared()).verdict is Verdict.VACUOUS
    assert outcome(Count(kind="linear", min=1), Shared()).verdict is Verdict.BROKEN
    assert outcome(Count(kind="linear", min=1, on="nowhere.**"), Shared()).verdict is Verdict.VACUOUS
    assert outcome(Count(kind="dropout", min=1), nn.Dropout(0.0)).verdict is Verdict.BROKEN


@pytest.mark.parametrize("bounds", [{}, {"min": 3, "max": 2}, {"max": 0}, {"min": -1}])
def test_bounds_that_nothing_can_keep(bounds):
    with pytest.raises(ValueError, match="`min`"):
        Count(kind="conv", **bounds)


# --- no-frozen-params ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "layers"),
    [(None, ["0", "0"]), ("0", ["0", "0"]), ("Linear", ["0", "0"]), ("linear", ["0", "0"]), ("1", [])],
)
def test_frozen_parameters_are_named(on, layers):
    model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 2))
    found = outcome(NoFrozenParams(on=on), model, torch.zeros(1, 3))
    assert [finding.layer for finding in found.findings] == layers
    assert found.found == (16 if layers else 0)


def test_a_model_without_parameters_keeps_a_prohibition():
    assert outcome(NoFrozenParams(), nn.ReLU()).verdict is Verdict.KEPT


# --- keeps-batch --------------------------------------------------------------------------------------------


class Views(nn.Module):
    def __init__(self, view):
        super().__init__()
        self.view = view

    def forward(self, x):
        return self.view(x)


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (lambda x: x.flatten(1), None),
        (lambda x: x.view(-1, 2), "the output holds 4 samples for an input of 2"),
        (lambda x: x.view(2, 4) * 1, "the forward pass fails on a batch of 3: RuntimeError"),
        (lambda x: x.sum(), "the output has no axis for the batch: it is one number for an input of 2"),
        (lambda x: x[:2], "the output holds 2 samples for an input of 3"),
        (lambda x: (x, x.sum()), None),
    ],
)
def test_what_becomes_of_the_batch(view, says):
    found = outcome(KeepsBatch(), Views(view), torch.zeros(2, 4))
    assert found.verdict is (Verdict.BROKEN if says else Verdict.KEPT)
    assert found.summary.startswith(says or "batches of 2 and 3 stay what they are")


def test_a_batch_of_three_is_compared_with_another():
    assert outcome(KeepsBatch(), nn.Linear(4, 2), torch.zeros(3, 4)).kept == "batches of 3 and 2 stay what they are"


def test_every_input_of_the_batch_is_repeated():
    class Two(nn.Module):
        def forward(self, x, y, table):
            return x + y + table.sum()

    inputs = (torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(5, 4))
    assert outcome(KeepsBatch(), Two(), inputs).verdict is Verdict.KEPT


# --- min-receptive-field ------------------------------------------------------------------------------------

SEES_5 = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))


@pytest.mark.parametrize(
    ("limit", "example", "verdict"),
    [
        (5, IMAGE, Verdict.KEPT),
        (6, IMAGE, Verdict.BROKEN),
        ((5, 5), IMAGE, Verdict.KEPT),
        ((5, 6), IMAGE, Verdict.BROKEN),
        ((5, 5, 5), IMAGE, Verdict.ERROR),
        ("input", IMAGE, Verdict.BROKEN),
        ("input", torch.zeros(1, 1, 5, 5), Verdict.KEPT),
    ],
)
def test_how_far_a_position_sees(limit, example, verdict):
    assert outcome(MinReceptiveField(limit=limit), SEES_5, example).verdict is verdict


@pytest.mark.parametrize(
    ("before", "shape"),
    [
        (lambda x: x.permute(0, 3, 1, 2), (1, 5, 7, 3)),
        (lambda x: x.transpose(2, 3), (1, 3, 7, 5)),
        (lambda x: x.transpose(1, 2).transpose(-1, -2).relu(), (1, 7, 3, 5)),
        (lambda x: x.movedim(-1, 1), (1, 5, 7, 3)),
    ],
)
def test_the_whole_input_is_that_of_the_axes_that_windows_slide_over(before, shape):
    class Turned(nn.Sequential):
        def forward(self, x):
            return super().forward(before(x))

    model = Turned(nn.Conv2d(3, 1, (5, 7)))
    result = outcome(MinReceptiveField(limit="input"), model, torch.zeros(shape))
    assert (result.verdict, result.found, sorted(result.limit)) == (Verdict.KEPT, [5, 7], [5, 7])


def test_attention_sees_an_unknown_part():
    class Attends(nn.Module):
        def forward(self, x):
            return (x @ x.transpose(-1, -2)).softmax(-1) @ x

    assert outcome(MinReceptiveField(limit=2), Attends()).verdict is Verdict.ERROR


@pytest.mark.parametrize("limit", [0, (3, 0), ()])
def test_a_limit_of_no_position(limit):
    with pytest.raises(ValueError, match="`limit` must hold positive numbers"):
        MinReceptiveField(limit=limit)


@pytest.mark.parametrize(("cls", "values"), [(KeepsBatch, {}), (MinReceptiveField, {"limit": 3})])
def test_shapes_are_of_the_whole(cls, values):
    with pytest.raises(ValueError, match="the rule judges the model as a whole"):
        cls(**values, on="0")
