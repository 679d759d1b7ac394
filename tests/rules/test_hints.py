"""What `requires` says of a promise that is not kept: of what comes closest to it, in the part that is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck.judging.engine import measure
from archcheck.rules import Requires
from tests.measure.networks import Apply

ROWS = torch.rand(2, 8)


class BatchNorm2d(nn.Module):
    """Called like a layer that it is not."""

    def forward(self, x):
        return x.relu()


class Block(nn.Module):
    """A layer with layers inside that drops by itself."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return F.dropout(self.fc(x), 0.3)


class Outer(nn.Module):
    """Builds a block on a line of its own."""

    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, x):
        return self.block(x)


def said(kind, model, on=None, example=ROWS):
    result = Requires(kinds=(kind,), on=on).check(measure(model, example=example))
    assert result.examined
    part = f"`{on}`" if on else "the model"
    nothing = f"{part} executes no {kind}"
    return [
        NOTHING if finding.message == nothing else finding.message.partition(" takes effect")[2]
        for finding in result.findings
    ]


NOTHING = "nothing comes close"
NONE = [NOTHING]


def dropped(self, x):
    self.part(x)
    return self.fc(x)


def never(self, x):
    return self.fc(x)


class Part(nn.Module):
    """Holds a normalisation, and calls it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        return self.norm(x)


IN_VAIN = [": `part.norm` (BatchNorm1d) runs, but its result reaches no output"]
NEVER = [": `part.norm` (BatchNorm1d) is declared and never called"]


@pytest.mark.parametrize(("function", "hint"), [(dropped, IN_VAIN), (never, NEVER)])
@pytest.mark.parametrize("on", [None, "part", "Part"])
def test_the_hint_is_of_the_part_that_is_asked_for(function, hint, on):
    assert said("batch_norm", Apply(function, part=Part(), fc=nn.Linear(8, 8)), on) == hint


def test_a_layer_that_is_never_called_is_pointed_at_where_it_is_built():
    facts = measure(Apply(never, part=Part(), fc=nn.Linear(8, 8)), example=ROWS)
    (finding,) = Requires(kinds=("batch_norm",)).check(facts).findings
    assert finding.where.line == Part.__init__.__code__.co_firstlineno + 2
    assert finding.layer == "part.norm"


@pytest.mark.parametrize("function", [dropped, never])
@pytest.mark.parametrize("on", ["fc", "Linear"])
def test_no_hint_is_given_of_another_part(function, on):
    assert said("batch_norm", Apply(function, part=Part(), fc=nn.Linear(8, 8)), on) == NONE


def test_an_operation_of_another_kind_is_no_hint():
    net = Apply(lambda self, x: (self.act(x), self.fc(x))[1], act=nn.ReLU(), fc=nn.Linear(8, 8))
    assert said("layer_norm", net) == NONE


def test_a_dropout_without_effect_is_a_hint_in_its_part_alone():
    net = Apply(lambda self, x: (self.drop(x), self.fc(x))[1], drop=nn.Dropout(0.2), fc=nn.Linear(8, 8))
    assert said("dropout", net) == [": `drop` (Dropout) does not reach an output"]
    assert said("dropout", net, on="drop") == [": `drop` (Dropout) does not reach an output"]
    assert said("dropout", net, on="fc") == NONE


def test_a_dropout_that_is_off_in_training_says_so():
    net = Apply(lambda self, x: F.dropout(self.fc(x), 0.2, training=False), fc=nn.Linear(8, 8))
    (hint,) = said("dropout", net)
    assert hint.startswith(": `dropout` at ")
    assert hint.endswith(" is off in training")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_dropout_between_recurrent_layers_needs_two_of_them(kind):
    example = torch.rand(2, 3, 8)
    two = Apply(lambda self, x: self.cell(x)[0], cell=kind(8, 4, num_layers=2, dropout=0.2))
    assert said("dropout", two, example=example) == []
    with pytest.warns(UserWarning, match="dropout option adds dropout"):
        one = Apply(lambda self, x: self.cell(x)[0], cell=kind(8, 4, dropout=0.2))
    hint = f": `cell` ({kind.__name__}) acts between recurrent layers, and there is one layer"
    assert said("dropout", one, example=example) == [hint]


def test_what_could_drop_and_has_no_rate_is_no_dropout():
    def attend(self, x):
        return F.scaled_dot_product_attention(x, x, x) + self.cell(x)[0]

    net = Apply(attend, cell=nn.GRU(8, 8, num_layers=2))
    assert said("dropout", net, example=torch.rand(2, 3, 8)) == NONE


def test_a_pooling_of_one_position_is_trivial():
    net = nn.Sequential(nn.Conv2d(3, 4, 4), nn.AdaptiveAvgPool2d(1))
    hint = ": `1` (AdaptiveAvgPool2d) pools a map that is 1x1 already (trivial)"
    assert said("global_avg_pool", net, example=torch.rand(1, 3, 4, 4)) == [hint]


def test_a_normalisation_that_rests_is_no_hint_for_another_kind():
    resting = Apply(lambda self, x: x if self.training else self.norm(self.fc(x)), fc=nn.Linear(8, 8))
    resting.norm = nn.BatchNorm1d(8)
    assert said("batch_norm", resting) == [": `norm` (BatchNorm1d) takes part in evaluation only, not in training"]
    assert said("layer_norm", resting) == NONE


def test_a_layer_that_bears_the_name_only_is_told_apart():
    image = torch.rand(1, 3, 4, 4)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), BatchNorm2d())
    assert said("batch_norm", model, example=image) == [": `1` (BatchNorm2d) is called and executes no batch_norm"]


def test_a_layer_type_that_is_called_is_no_hint_for_itself():
    assert said("Identity", nn.Sequential(nn.Linear(8, 8), nn.Identity())) == NONE


def test_a_layer_type_in_another_part_is_no_hint():
    model = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.BatchNorm1d(8)})
    net = Apply(lambda self, x: self.parts["b"](self.parts["a"](x)), parts=model)
    assert said("BatchNorm1d", net) == []
    assert said("BatchNorm1d", net, on="parts.a") == NONE


def test_a_linear_map_spelled_as_a_convolution_counts_in_its_part_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1))
    image = torch.rand(1, 3, 8, 8)
    assert said("linear", model, on="2", example=image) == []
    assert said("linear", model, on="0", example=image) == NONE


def test_an_operation_of_a_layer_with_layers_is_named_by_its_line():
    facts = measure(Outer(), example=ROWS)
    (finding,) = Requires(kinds=("dropout",)).check(facts).findings
    here = Block.forward.__code__.co_firstlineno + 1
    assert finding.message.endswith(f"`dropout` at {finding.where} is on in evaluation, too")
    assert (finding.where.line, finding.layer) == (here, "block")
    assert facts.layer("block").where.line == Outer.__init__.__code__.co_firstlineno + 2
