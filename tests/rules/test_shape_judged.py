"""What the rules on shapes say where there is little to judge: no output, no map, no batch, one number."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.foundation.errors import NotMeasured
from archcheck.judging.engine import measure
from archcheck.rules import KeepsBatch, MinReceptiveField, OutputShape
from archcheck.rules.findings import Result

IMAGE = torch.zeros(1, 1, 8, 8)
CONVS = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3))
"""One position of the last map sees 5x5 positions: two kernels of 3."""


class Net(nn.Module):
    def __init__(self, then, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.then = then

    def forward(self, *inputs):
        return self.then(self, *inputs)


def refusal(rule, facts):
    with pytest.raises(NotMeasured) as caught:
        rule.check(facts)
    return str(caught.value), caught.value.fix


def test_without_an_output_there_is_no_shape_to_compare():
    facts = measure(CONVS, example=IMAGE)
    silent = replace(facts, shape=replace(facts.shape, outputs=()))
    assert OutputShape(shape=("*", 4)).check(silent) == Result(examined=0, limit=["*", 4])


def test_an_output_without_axes_is_a_scalar():
    result = OutputShape(shape=(1,)).check(measure(Net(lambda self, x: x.sum()), example=IMAGE))
    assert [finding.message for finding in result.findings] == ["the output has shape scalar, not 1"]
    assert result.kept == "the output has shape scalar"


def test_a_batch_of_another_size_that_was_not_tried_keeps_nothing():
    told = ("this was not measured: the model was not run on real numbers for it", None)
    assert refusal(KeepsBatch(), measure(CONVS, example=IMAGE)) == told


def test_attention_alone_has_no_receptive_field():
    net = Net(lambda self, x: F.scaled_dot_product_attention(x, x, x))
    assert refusal(MinReceptiveField(limit=1), measure(net, example=torch.zeros(1, 2, 3))) == (
        "products of activations, as in attention, let positions see one another",
        None,
    )


def test_a_limit_for_other_axes_is_none_for_these():
    assert refusal(MinReceptiveField(limit=(5, 5, 5)), measure(CONVS, example=IMAGE)) == (
        "`limit` has 3 axes, the network's maps have 2",
        "give one number, or 2 numbers",
    )


def test_rows_that_become_maps_have_no_extent_to_compare():
    net = Net(lambda self, x: self.conv(x.view(1, 1, 8, 8)), conv=nn.Conv2d(1, 4, 3))
    assert refusal(MinReceptiveField(limit="input"), measure(net, example=torch.zeros(1, 64))) == (
        "no input is a map whose extent could be compared",
        "give `limit` in positions",
    )


def test_the_extent_is_that_of_the_first_map_among_the_inputs():
    net = Net(lambda self, rows, x: self.conv(x) + rows.sum(), conv=nn.Conv2d(1, 4, 3))
    facts = measure(net, example=(torch.zeros(2, 3), IMAGE))
    assert MinReceptiveField(limit="input").check(facts).limit == [8, 8]


def test_the_extent_of_one_map_without_a_batch_is_its_last_axes():
    result = MinReceptiveField(limit="input").check(measure(CONVS, example=torch.zeros(1, 8, 7)))
    assert (result.found, result.limit) == ([5, 5], [8, 7])
