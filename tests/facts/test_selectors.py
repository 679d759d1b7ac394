"""What a path, a layer type and a kind point at."""

from __future__ import annotations

import doctest

import pytest
import torch
from torch import nn

from archcheck.facts import selectors
from archcheck.facts.selectors import instance, mistake_in, selects, selects_layer
from archcheck.judging.engine import measure


class Blk(nn.Sequential):
    pass


@pytest.fixture(scope="module")
def facts():
    model = nn.Sequential(
        Blk(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), Blk(nn.Conv2d(4, 4, 3)), nn.Flatten(), nn.Linear(64, 2)
    )
    model.spare = nn.ModuleList([nn.Linear(2, 2)])
    model.forward = lambda x: model[3](model[2](model[1](model[0](x))))
    return measure(model, example=torch.zeros(1, 1, 8, 8))


def selected(selector, facts):
    return [op.kind for op in facts.ops if op.kind != "input" and selects(selector, op, facts)]


@pytest.mark.parametrize(
    ("selector", "kinds"),
    [
        ("Blk", ["conv", "batch_norm", "conv"]),
        ("Conv2d", ["conv", "conv"]),
        ("Linear", ["linear"]),
        ("Sequential", ["conv", "batch_norm", "conv", "reshape", "linear"]),
        ("0", ["conv", "batch_norm"]),
        ("*.0", ["conv", "conv"]),
        ("norm", ["batch_norm"]),
        ("Blok", []),
    ],
)
def test_a_layer_type_covers_what_runs_inside_as_a_path_does(selector, kinds, facts):
    assert selected(selector, facts) == kinds


def test_an_attribute_that_is_written_like_a_type_is_found_as_a_path():
    model = nn.Sequential()
    model.Stem = nn.Linear(2, 2)
    assert selected("Stem", measure(model, example=torch.zeros(1, 2))) == ["linear"]


@pytest.mark.parametrize(
    ("selector", "paths"),
    [
        (None, ["", "0", "0.0", "0.1", "1", "1.0", "2", "3", "spare", "spare.0"]),
        ("Blk", ["0", "0.0", "0.1", "1", "1.0"]),
        ("Linear", ["3", "spare.0"]),
        ("linear", ["3", "spare.0"]),
        ("norm", ["0.1"]),
        ("spare", ["spare", "spare.0"]),
    ],
)
def test_layers_are_pointed_at_whether_or_not_they_run(selector, paths, facts):
    assert [layer.path for layer in facts.layers if selects_layer(selector, layer, facts)] == paths


def test_a_kind_is_told_from_the_name_of_a_type_exactly():
    model = nn.ModuleList([nn.Bilinear(2, 2, 2), nn.LazyLinear(2), nn.ConvTranspose2d(1, 1, 1), nn.Identity()])
    model.forward = lambda x: model[3](x)
    found = measure(model, example=torch.zeros(1, 2))
    assert [layer.path for layer in found.layers if selects_layer("linear", layer, found)] == ["1"]
    assert not any(selects_layer("conv", layer, found) for layer in found.layers)


def test_the_instance_is_the_outermost_layer_that_is_meant(facts):
    assert instance("Blk", "1.0", facts) == "1"
    assert instance("*.0", "1.0", facts) == "1.0"
    assert instance("Blk", "3", facts) is None


def test_words_that_point_at_nothing_are_told_with_what_was_meant():
    assert mistake_in("fc") == '"fc" is not a kind; did you mean "linear"?'
    assert mistake_in("features.*") is None
    assert mistake_in("xyzxyz").endswith(
        'a layer type ("Conv2d"), a path ("features.**") or an operator ("aten::cumsum")'
    )


def test_the_examples_of_the_selectors_hold():
    assert doctest.testmod(selectors).failed == 0
