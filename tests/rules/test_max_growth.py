"""`max-growth`: today's measures against those that were committed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck.contract import Stated
from archcheck.facts.snapshot import Committed, LayerMeasures
from archcheck.facts.snapshot_comparison import grown_layers
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.integrations.gitlab import render_gitlab
from archcheck.integrations.grades import grade_of
from archcheck.integrations.reviewdog import render_rdjson
from archcheck.judging.engine import judge, measure
from archcheck.render import FORMATS, render
from archcheck.rules import MaxGrowth
from archcheck.rules.findings import Report, Verdict

ROW = torch.zeros(1, 10)


def facts_of(model, was, example=ROW, before=None):
    """Facts of `model`, with `was` committed."""
    snapshot = measures_of(measure(was, example=example if before is None else before))
    return replace(measure(model, example=example), snapshot=Committed(file="s.json", measures=snapshot))


def linear(width: int) -> nn.Module:
    """11 * width parameters, 10 * width multiply-accumulates, width activations."""
    return nn.Sequential(nn.Linear(10, width))


def verdict(rule, facts):
    return judge(facts, [Stated(rule=rule, instance="max-growth", where=Where(file="", line=0))])[0].verdict


@pytest.mark.parametrize(
    ("limit", "width", "kept"),
    [
        ("10 %", 110, True), ("10 %", 111, False), ("9.9 %", 110, False), (0.1, 110, True), (0.1, 111, False),
        (0, 100, True), (0, 101, False), (0, 99, True), (0.0, 101, False), ("0 %", 101, False),
        (11, 101, True), (10, 101, False), ("0.01k", 101, False), ("1k", 190, True), ("100 %", 200, True),
        ("100 %", 201, False),
    ],
)  # fmt: skip
def test_a_limit_is_a_share_or_a_number(limit, width, kept):
    result = MaxGrowth(limit=limit, of=("params",)).check(facts_of(linear(width), linear(100)))
    assert (not result.findings) is kept
    assert result.examined > 0


def test_the_finding_says_what_grew_by_how_much_and_where_most_of_it_is():
    result = MaxGrowth(limit="5 %").check(facts_of(linear(110), linear(100)))
    assert [finding.message for finding in result.findings] == [
        "params grew from 1,100 to 1,210 (+110, +10.0 %), limit 1,155 (+5 %); most in 0 (Linear): +110",
        "macs grew from 1,000 to 1,100 (+100, +10.0 %), limit 1,050 (+5 %); most in 0 (Linear): +100",
    ]
    assert result.most == ("0  Linear  +110  +10.0 %",)
    assert result.found == {"params": 1210, "macs": 1100}
    assert result.limit == {"params": 1155, "macs": 1050}
    assert "`archcheck snapshot Sequential`" in (result.findings[0].fix or "")


class Named(nn.Module):
    """Layers at lines of their own, with names that a test may change."""

    def __init__(self, **widths: int) -> None:
        super().__init__()
        for name, width in widths.items():
            self.add_module(name, nn.Linear(10, width))
        self.last = nn.Linear(10, 2)  # the line of `last`

    def forward(self, x):
        return sum(layer(x).mean(1) for layer in self.children())


LINE = 1 + Path(__file__).read_text().splitlines().index("        self.last = nn.Linear(10, 2)  # the line of `last`")
PLACES = dict.fromkeys(FORMATS, f"test_max_growth.py:{LINE}") | {
    "markdown": f"test\\_max\\_growth.py:{LINE}",
    "json": f'"line": {LINE}',
    "sarif": f'"startLine": {LINE}',
    "github": f"test_max_growth.py,line={LINE}",
    "rdjson": f'"line": {LINE}',
    "gitlab": f'"begin": {LINE}',
    "cyclonedx": '"archcheck:rule.max-growth"',  # a bill of materials names the layer, and no lines of source
}
"""What names the line in each format."""


@pytest.fixture(scope="module")
def grown_at_last():
    """A report of `last` that is new, beside a layer of another name that is as large as before."""
    facts = facts_of(Named(renamed=30), nn.Sequential(nn.Linear(10, 30)))
    rule = Stated(rule=MaxGrowth(limit=0), instance="max-growth", where=Where(file="", line=0))
    return Report(subject="net", facts=facts, outcomes=judge(facts, [rule]))


@pytest.mark.parametrize("name", PLACES)
def test_growth_is_found_at_the_line_that_builds_the_layer_in_every_format(grown_at_last, name):
    receivers = {"rdjson": render_rdjson, "gitlab": render_gitlab}
    text = receivers[name]([grade_of(grown_at_last)]) if name in receivers else render([grown_at_last], name)
    assert PLACES[name] in text
    assert "most in last (Linear): +22" in text


@pytest.mark.parametrize(
    ("before", "after", "name", "most"),
    [
        ({"a": ("Linear", 5), "b": ("Conv2d", 7)}, {"x": ("Linear", 5), "b": ("Conv2d", 8)}, "params", [("b", 7, 8)]),
        ({"a": ("Linear", 5)}, {"net.a": ("Linear", 9)}, "params", [("net.a", 5, 9)]),
        ({"0": ("Linear", 5), "1": ("Linear", 7)}, {f"{n}": ("Linear", size) for n, size in enumerate([5, 6, 7])},
         "params", [("1", 0, 6)]),
        ({"a": ("Linear", 5)}, {"a": ("Lora", 9), "b": ("Conv2d", 8)}, "params", [("b", 0, 8), ("a", 5, 9)]),
        ({"10": ("Linear", 3), "9": ("Linear", 2)}, {"m.9": ("Linear", 4), "m.10": ("Linear", 4)}, "macs",
         [("m.9", 2, 4), ("m.10", 3, 4)]),
        ({"a": ("Linear", 16), "b": ("Linear", 32)}, {"a": ("Linear", 32), "b": ("Linear", 64)}, "params",
         [("b", 32, 64), ("a", 16, 32)]),
        ({"a": ("Linear", 5)}, {"a": ("Linear", 5)}, "params", []),
        ({"a": ("Linear", 5)}, {}, "params", []),
    ],
)  # fmt: skip
def test_a_layer_that_moved_did_not_grow_by_all_that_it_holds(before, after, name, most):
    def snapshot(layers, root):
        sizes = {"": (root, 1), **layers}
        made = {path: LayerMeasures(type=of, params=size, macs=size, outputs=()) for path, (of, size) in sizes.items()}
        return replace(empty, layers=made)

    empty = measures_of(measure(nn.Identity(), example=ROW))

    found = grown_layers(snapshot(before, "Net"), snapshot(after, "Other"), name)
    assert [(each.path, each.before, each.after) for each in found] == most


def test_what_shrinks_may_and_is_said():
    result = MaxGrowth(limit=0).check(facts_of(linear(90), linear(100)))
    assert (result.findings, result.kept) == ((), "params 990 (-10.0 %), macs 900 (-10.0 %) since the snapshot")


def test_every_measure_can_be_bounded():
    facts = facts_of(linear(110), linear(100))
    for name in ("trainable", "bytes", "macs", "fvcore_flops", "activations", "peak_activation_bytes"):
        assert MaxGrowth(limit=0, of=(name,)).check(facts).findings, name
    for name in ("hidden", "buffers"):
        assert not MaxGrowth(limit=0, of=(name,)).check(facts).findings, name


def test_hidden_weights_are_no_way_around_it():
    hiding = linear(100)
    hiding.loose = [nn.Linear(100, 100)]
    hiding.forward = lambda x: hiding.loose[0](nn.Sequential.forward(hiding, x))
    (finding,) = MaxGrowth(limit="5 %", of=("params",)).check(facts_of(hiding, linear(100))).findings
    assert finding.message.startswith("params grew from 1,100 to 11,200")
    assert finding.message.endswith("; most in hidden weights: +10,100")
    assert finding.layer == ""


def test_from_nothing_any_growth_is_too_much_for_a_share():
    facts = facts_of(nn.Sequential(nn.Linear(10, 10), nn.BatchNorm1d(10)), linear(10))
    (finding,) = MaxGrowth(limit="50 %", of=("buffers",)).check(facts).findings
    assert finding.message == "buffers grew from 0 to 21 (+21, new), limit 0 (+50 %)"
    assert not MaxGrowth(limit=21, of=("buffers",)).check(facts).findings


def test_on_narrows_to_layers():
    def two(first: int, second: int) -> nn.Module:
        return nn.Sequential(nn.Sequential(nn.Linear(10, first)), nn.Tanh(), nn.Linear(first, second))

    facts = facts_of(two(20, 10), two(10, 20))
    assert MaxGrowth(limit=0, on="0").check(facts).findings[0].message.startswith("params grew from 110 to 220")
    assert not MaxGrowth(limit=0, on="2").check(facts).findings
    (by_type, _) = MaxGrowth(limit=0, on="Linear").check(facts).findings
    assert by_type.message.startswith("params grew from 330 to 430")
    assert verdict(MaxGrowth(limit=0, on="nowhere.*"), facts) is Verdict.VACUOUS


def test_a_layer_that_is_gone_is_still_looked_at():
    facts = facts_of(nn.Sequential(nn.Linear(10, 10)), nn.Sequential(nn.Linear(10, 10), nn.Tanh()))
    assert verdict(MaxGrowth(limit=0, on="Tanh"), facts) is Verdict.KEPT


def test_without_a_snapshot_there_is_nothing_to_judge():
    facts = measure(linear(10), example=ROW)
    with pytest.raises(NotMeasured, match="no snapshot was read"):
        MaxGrowth(limit=0).check(facts)
    missing = replace(facts, snapshot=Committed(file="s.json", measures=None, problem="there is no snapshot s.json"))
    assert verdict(MaxGrowth(limit=0), missing) is Verdict.ERROR
    with pytest.raises(NotMeasured, match=r"^there is no snapshot s.json$"):
        MaxGrowth(limit=0).check(missing)


def test_another_input_compares_only_what_does_not_depend_on_it():
    conv = nn.Conv2d(1, 2, 3)
    facts = facts_of(conv, conv, example=torch.zeros(1, 1, 9, 9), before=torch.zeros(1, 1, 6, 6))
    assert not MaxGrowth(limit=0, of=("params", "bytes")).check(facts).findings
    with pytest.raises(NotMeasured, match="on an input of 1x1x6x6, the model on 1x1x9x9") as caught:
        MaxGrowth(limit=0).check(facts)
    assert str(caught.value.where) == "s.json:1"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"limit": -1}, "`limit` must be at least 0, found -1"),
        ({"limit": -0.5}, "must be at least 0"),
        ({"limit": float("nan")}, "must be at least 0"),
        ({"limit": 5.0}, '`limit` is a share, 0.05 for 5 %, or an integer, found 5; write "5 %"'),
        ({"limit": "five"}, "`limit` must be"),
        ({"limit": "5 % of it"}, "`limit` must be"),
        ({"limit": 0, "of": ()}, "`of` names at least one measure"),
        ({"limit": 0, "of": ("parms",)}, '"parms" is not a measure; did you mean "params"?'),
        ({"limit": 0, "of": ("frozen",)}, '"frozen" is not a measure'),
        ({"limit": 0, "of": ("bytes",), "on": "fc"}, '"bytes" is not a measure; of layers, params and macs are known'),
        ({"limit": 0, "on": "conv"}, '`on` takes a path or a layer type here, and "conv" is a kind'),
    ],
)
def test_what_is_no_limit_is_refused(values, says):
    with pytest.raises(ValueError, match=r".") as caught:
        MaxGrowth(**values)
    assert says in str(caught.value)
