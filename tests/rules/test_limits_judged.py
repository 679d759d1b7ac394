"""What rules say exactly at their limits, and of what is only just beyond them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.facts.snapshot import Committed
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import measure
from archcheck.rules import (
    Channels,
    Count,
    DropoutRate,
    Exports,
    Head,
    MaxBytes,
    MaxGrowth,
    MaxLayerShare,
    MaxMacs,
    MaxPeakMemory,
)
from archcheck.rules.queries.bounds import percent
from archcheck.rules.queries.marked_texts import differences

ROWS, IMAGE = torch.zeros(1, 10), torch.zeros(1, 1, 8, 8)
SMALL = measure(nn.Sequential(nn.Linear(10, 4), nn.Sequential(nn.Linear(4, 40), nn.ReLU())), example=ROWS)
"""40 and 160 multiply-accumulates; 44 and 200 parameters."""


def placed(facts, **lines):
    """Say in which line of `net.py` the model and some of its layers are built."""
    layers = [
        replace(layer, where=Where(file="net.py", line=lines[name])) if (name := f"at_{layer.path}") in lines else layer
        for layer in facts.layers
    ]
    subject = replace(facts.subject, name="net", where=Where(file="net.py", line=1))
    return replace(facts, subject=subject, layers=tuple(layers))


# --- cost -----------------------------------------------------------------------------------------------------------


class Unknown(nn.Module):
    """Sixteen multiply-accumulates, and an operation of unknown cost."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4, bias=False)

    def forward(self, x):
        return torch.ops.aten._test_warn_in_autograd(self.fc(x))


def test_a_sum_at_the_limit_proves_nothing_where_a_cost_is_unknown():
    facts = measure(Unknown(), example=torch.zeros(1, 4))
    with pytest.raises(NotMeasured, match="is unknown"):
        MaxMacs(limit=16).check(facts)
    assert MaxMacs(limit=15).check(facts).findings


def test_sizes_that_were_bounded_are_told_beside_the_sum():
    bounded = replace(SMALL, cost=replace(SMALL.cost, bounds=("nonzero", "unique")))
    assert MaxMacs(limit=200).check(bounded).notes == ("sizes that depend on data were bounded: nonzero, unique",)
    assert MaxMacs(limit=200).check(SMALL).notes == ()


def test_the_largest_maps_are_those_of_layers_and_named_beyond_the_limit_alone():
    peak = SMALL.cost.peak_activation_bytes
    assert MaxPeakMemory(limit=peak).check(SMALL).most == ()
    bare = replace(SMALL, layers=tuple(replace(layer, where=None) for layer in SMALL.layers))
    assert MaxPeakMemory(limit=peak - 1).check(bare).most == (
        "1.0  Linear  40 elements out",
        "1.1  ReLU  40 elements out",
        "0  Linear  4 elements out",
    )


def test_a_layer_that_holds_too_much_is_pointed_at_where_it_is_built():
    (finding,) = MaxLayerShare(limit=0.8).check(placed(SMALL, **{"at_1.0": 5})).findings
    assert (finding.layer, str(finding.where)) == ("1.0", "net.py:5")


@pytest.mark.parametrize(("share", "text"), [(0.571, "57.1 %"), (0.9994, "99.9 %"), (0.9995, "99.95 %"), (1, "100 %")])
def test_a_share_just_below_the_whole_is_not_called_the_whole(share, text):
    assert percent(share) == text


def test_hidden_weights_whose_reader_is_not_known_take_four_bytes_each():
    loose = nn.Module()
    loose.layers = [nn.Linear(10, 4, bias=False).double()]
    loose.forward = lambda x: loose.layers[0](x.double())
    facts = measure(loose, example=ROWS)
    assert MaxBytes(limit=1000).check(facts).found == 40 * 8
    hidden = tuple(replace(weight, used_by="nothing") for weight in facts.params.hidden)
    unread = replace(facts, params=replace(facts.params, hidden=hidden))
    assert MaxBytes(limit=1000).check(unread).found == 40 * 4


# --- growth ---------------------------------------------------------------------------------------------------------


def test_layers_are_not_ranked_by_a_measure_that_they_do_not_have():
    grown = measure(nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 4)), example=ROWS)
    before = measures_of(measure(nn.Sequential(nn.Linear(10, 4)), example=ROWS))
    result = MaxGrowth(limit=0, of=("bytes",)).check(replace(grown, snapshot=Committed(file="s.json", measures=before)))
    assert [finding.message for finding in result.findings] == [
        "bytes grew from 176 to 256 (+80, +45.5 %), limit 176 (+0)"
    ]
    assert result.most == ()


def refused(facts):
    with pytest.raises(NotMeasured) as caught:
        MaxGrowth(limit=0).check(facts)
    where = caught.value.where
    return str(caught.value), where and str(where), caught.value.fix


def test_what_to_do_without_a_snapshot_or_with_one_of_another_input():
    again = "write it with `archcheck snapshot net`, and commit s.json"
    bare = replace(placed(SMALL), snapshot=Committed(file="s.json", measures=None, problem=None))
    assert refused(bare) == ("there is no snapshot", None, again)
    other = measures_of(measure(nn.Sequential(nn.Linear(10, 4)), example=torch.zeros(2, 10)))
    told, where, fix = refused(replace(placed(SMALL), snapshot=Committed(file="s.json", measures=other)))
    assert "on an input of 2x10, the model on 1x10" in told
    assert (where, fix) == ("s.json:1", again)


# --- structure ------------------------------------------------------------------------------------------------------


def test_a_head_of_two_is_read_from_the_end():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    result = Head(kinds=("global_max_pool",)).check(measure(net, example=IMAGE))
    assert result.kept == "the output path ends in linear after global_avg_pool"
    assert result.findings[0].message == f"{result.kept}, not in global_max_pool"
    silent = replace(SMALL, shape=replace(SMALL.shape, output_ops=()))
    (finding,) = Head(kinds=("linear",)).check(silent).findings
    assert finding.message == "the output path ends in nothing known, not in linear"


def test_a_transposed_convolution_is_none_of_the_progression():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ConvTranspose2d(4, 6, 3), nn.Conv2d(6, 2, 3))
    assert Channels(progression=(1, 4, 2)).check(measure(net, example=IMAGE)).found == [1, 4, 2]


def test_a_rate_at_a_bound_keeps_it():
    facts = measure(nn.Sequential(nn.Linear(10, 4), nn.Dropout(0.25)), example=ROWS)
    assert not DropoutRate(at_least=0.25).check(facts).findings
    assert not DropoutRate(at_most=0.25).check(facts).findings
    assert DropoutRate(at_least=0.26).check(facts).findings


def test_the_layer_beyond_the_count_is_pointed_at_where_it_is_built():
    facts = placed(SMALL, at_0=4, **{"at_1.0": 5})
    (finding,) = Count(kind="linear", max=1).check(facts).findings
    assert finding.message == "2 linear, at most 1 are allowed: `1.0` is beyond"
    assert (finding.layer, str(finding.where)) == ("1.0", "net.py:5")


def test_layers_beyond_the_count_without_a_place_are_pointed_at_where_the_model_is():
    bare = replace(SMALL, layers=tuple(replace(layer, where=None) for layer in SMALL.layers))
    (finding,) = Count(kind="Linear", max=1).check(placed(bare)).findings
    assert (finding.layer, str(finding.where)) == ("1.0", "net.py:1")


def test_layers_are_counted_inside_layers_of_a_type():
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.Linear(10, 10), nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 4))])
    model.forward = lambda x: model.blocks[1](model.blocks[0](x))
    assert Count(kind="Linear", min=1, on="Sequential").check(measure(model, example=ROWS)).found == 2


# --- what was probed and what is written ----------------------------------------------------------------------------


def test_each_format_is_judged_by_its_own_export():
    rule = Exports(to=("torch.export", "onnx"))
    good = {"problem": None, "error": None, "at": None, "dtype": "float32", "distance": 0.0}
    both = dict.fromkeys(rule.needs, good)
    assert rule.check(replace(SMALL, behaviour=both)).kept == "exported to torch.export and onnx with the same outputs"
    failed = {**both, rule.needs[1]: {**good, "error": "ValueError: no"}}
    (finding,) = rule.check(replace(SMALL, behaviour=failed)).findings
    assert finding.message == "onnx fails: ValueError: no"
    lacking = {**both, rule.needs[1]: {**good, "error": "no kernel", "runs": False, "run_by": "onnxruntime"}}
    (finding,) = rule.check(replace(SMALL, behaviour=lacking)).findings
    assert finding.message == "onnxruntime cannot run the program of onnx: no kernel"


def test_how_tables_differ():
    table = "| measure | value |\n|---|---|\n| parameters | 1 |\n"
    assert list(differences("", table)) == ["there is none yet"]
    assert list(differences(table, f"\n{table}")) == ["its lines differ"]
    assert list(differences(table, table.replace("1", "2"))) == ["parameters 1 -> 2"]
