"""What the rules on behaviour make of what a probe told, word for word; their own tests run the probes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import measure
from archcheck.rules import (
    Accepts,
    DeterministicInEval,
    Exports,
    FiniteOutput,
    IndependentOfBatch,
    InitialLoss,
    LogProbabilities,
    OverfitsOneBatch,
    StateDictRoundTrip,
)
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.probe_answers import other_shapes, same_shapes

MODEL, LAYER, LINE = Where(file="net.py", line=1), Where(file="net.py", line=5), Where(file="net.py", line=9)
PLAIN = measure(nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.ReLU()), example=torch.zeros(1, 2))
FACTS = replace(
    PLAIN,
    subject=replace(PLAIN.subject, where=MODEL, name="net"),
    layers=tuple(replace(layer, where=LAYER if layer.path == "0.0" else None) for layer in PLAIN.layers),
)
HERE = {"layer": "0.0", "where": {"file": "net.py", "line": 9}, "op": "log"}
EXACT = {"output": "", "distance": 0.0}
BEYOND = "beyond all numbers"


def judged(rule, told, **changes):
    return rule.check(replace(FACTS, behaviour={rule.needs[0]: {**told, **changes}}))


def found_in(rule, told, **changes):
    (finding,) = judged(rule, told, **changes).findings
    return finding


RULES = (
    Accepts(width=(1, 2)),
    FiniteOutput(),
    DeterministicInEval(),
    IndependentOfBatch(),
    LogProbabilities(),
    InitialLoss(),
    OverfitsOneBatch(),
    StateDictRoundTrip(),
    Exports(),
)


@pytest.mark.parametrize("rule", RULES)
def test_what_a_probe_could_not_tell_is_told_at_the_model(rule):
    with pytest.raises(NotMeasured, match=r"^out of luck$") as caught:
        judged(rule, {"problem": "out of luck"})
    assert caught.value.where == MODEL
    says = (
        "no other inputs were tried" if isinstance(rule, Accepts) else "this was not measured: the model was not run "
    )
    with pytest.raises(NotMeasured, match=f"^{says}"):
        rule.check(FACTS)


def test_how_far_rounding_sets_numbers_apart():
    assert [same_shapes(dtype) for dtype in ("float32", "float16", "float8")] == [2.0**-19, 2.0**-6, 2.0]
    assert [other_shapes(dtype) for dtype in ("float64", "float32", "float16", "bfloat16", "float8")] == [
        2.0**-44,
        2.0**-15,
        2.0**-5,
        2.0**-2,
        4.0,
    ]


# --- accepts --------------------------------------------------------------------------------------------------------

FAILURE = {"shape": [1, 3], "message": "no", "layer": "0.0", "where": None, "called": None, "mode": "eval"}
TRIED = {"problem": None, "failure": None, "tried": 1_000, "count": 2_000, "notes": ["a note"]}


def test_bounds_and_how_many_inputs_were_tried_are_told():
    rule = Accepts(width=(3, 9), batch=(2, 2), axes={"1": (4, 5), "2": (6, 6)})
    assert judged(rule, TRIED) == Result(
        examined=1_000,
        limit={"batch": [2, 2], "width": [3, 9], "1": [4, 5], "2": [6, 6]},
        kept="batch 2, width 3-9, axis 1 4-5, axis 2 6 (1,000 of 2,000 tried)",
        notes=("a note",),
    )
    assert judged(Accepts(height=4), TRIED, tried=2_000).kept == "height 4 (all 2,000 tried)"


@pytest.mark.parametrize(
    ("failure", "message", "where", "fix"),
    [
        ({}, "input 1x3 fails in `0.0` (Linear): no", LAYER, "mend `0.0`"),
        ({"where": HERE["where"]}, "input 1x3 fails in `0.0` (Linear): no", LINE, "mend `0.0`"),
        ({"mode": "train"}, "input 1x3 fails in `0.0` (Linear) in training: no", LAYER, "mend `0.0`"),
        ({"layer": "1", "called": HERE["where"]}, "input 1x3 fails in `1` (ReLU): no", LINE, "mend `1`"),
        ({"layer": "1"}, "input 1x3 fails in `1` (ReLU): no", MODEL, "mend `1`"),
        ({"layer": ""}, "input 1x3 fails: no", MODEL, "mend the forward pass"),
        ({"layer": "gone"}, "input 1x3 fails: no", MODEL, "mend the forward pass"),
    ],
)
def test_where_an_input_fails_is_told(failure, message, where, fix):
    result = judged(Accepts(width=3), TRIED, failure={**FAILURE, **failure})
    layer = failure.get("layer", "0.0")
    assert result.findings == (Finding(message=message, layer=layer, where=where, fix=f"{fix}, or narrow accepts"),)
    assert result.found == [1, 3]


# --- finite-output --------------------------------------------------------------------------------------------------

FINITE = {"input": "example", "error": None, "faults": {}, "at": None}
BOUND = "bound what is divided, exponentiated or rooted there, as `clamp` or an epsilon do, or narrow finite-output"


def test_every_input_is_named():
    runs = [{**FINITE, "input": name} for name in ("example", "zeros", "large", "noise")]
    assert judged(FiniteOutput(), {"factor": 1_000.0, "runs": runs}) == Result(
        examined=4,
        found=0,
        limit=0,
        unit="inputs without a finite output",
        kept="finite on the example, zeros, 1,000 times the example, noise",
    )


@pytest.mark.parametrize(
    ("run", "message", "layer", "where", "fix"),
    [
        ({"faults": {"": "NaN"}}, "NaN in the output on the example", "", MODEL, BOUND),
        (
            {"faults": {"scores": "infinity"}, "at": HERE},
            "infinity in the output `scores` on the example, first made by `log` in `0.0`",
            "0.0",
            LINE,
            BOUND,
        ),
        (
            {"error": "it broke", "at": {**HERE, "where": None}},
            "the forward pass fails on the example: it broke",
            "0.0",
            LAYER,
            "mend the forward pass, or narrow finite-output",
        ),
        (
            {"error": "it broke", "at": {**HERE, "where": None, "layer": "1"}},
            "the forward pass fails on the example: it broke",
            "1",
            MODEL,
            "mend the forward pass, or narrow finite-output",
        ),
    ],
)
def test_what_is_not_finite_is_told(run, message, layer, where, fix):
    found = found_in(FiniteOutput(), {"factor": 1_000.0, "runs": [FINITE, {**FINITE, **run}]})
    assert found == Finding(message=message, layer=layer, where=where, fix=fix)


# --- deterministic-in-eval ------------------------------------------------------------------------------------------

STEADY = {"dtype": "float32", "other_seed": EXACT, "second_call": EXACT, "draws": [], "changed": []}


@pytest.mark.parametrize(
    ("draws", "told", "layer", "where"),
    [
        ([], "they are not torch's", "", MODEL),
        ([HERE], "`log` draws some in evaluation in `0.0`", "0.0", LINE),
    ],
)
def test_what_changes_with_random_numbers_is_told(draws, told, layer, where):
    apart = {"output": "", "distance": 0.25}
    found = found_in(DeterministicInEval(), STEADY, other_seed=apart, draws=draws)
    assert found == Finding(
        message=f"the output changes with the random numbers: {told} (by 0.25 of its largest number)",
        layer=layer,
        where=where,
        fix="ask for the mode, as `F.dropout(x, p, self.training)` does",
    )


@pytest.mark.parametrize(
    ("changed", "told", "layer", "where"),
    [
        ([], "something beside its buffers changes", "", MODEL),
        (["0.0.mean"], '"0.0.mean" changed meanwhile', "0.0", LAYER),
        (["a", "b", "c", "d"], '"a", "b" and "c" changed meanwhile', "", MODEL),
        (["1.mean"], '"1.mean" changed meanwhile', "1", MODEL),
    ],
)
def test_what_drifts_is_told(changed, told, layer, where):
    found = found_in(DeterministicInEval(), STEADY, second_call={"distance": None}, changed=changed)
    assert found == Finding(
        message=f"a second call with the same input gives another output ({BEYOND}): {told}",
        layer=layer,
        where=where,
        fix="let state move in training only: `if self.training:`",
    )


@pytest.mark.parametrize(("tolerance", "broken"), [(None, 1), (0.25, 0), (0.2, 1)])
def test_a_tolerance_is_the_largest_difference_that_is_taken(tolerance, broken):
    result = judged(DeterministicInEval(tolerance=tolerance), STEADY, other_seed={"distance": 0.25})
    assert (len(result.findings), result.found) == (broken, 0.25)
    assert result.limit == (2.0**-19 if tolerance is None else tolerance)


# --- independent-of-batch -------------------------------------------------------------------------------------------

ALONE = {
    "dtype": "float32",
    "neighbours": EXACT,
    "large_neighbours": EXACT,
    "alone": EXACT,
    "failure": None,
    "shared": [],
    "as_given": None,
    "untried": {},
}
BATCH = "take statistics over the axes of one sample, or only `if self.training:`"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"neighbours": {"output": "scores", "distance": 0.5}},
            "the output `scores` of a sample changes with its neighbours (by 0.5 of its largest number)",
        ),
        (
            {"large_neighbours": {"output": "", "distance": 0.5}},
            "the output of a sample changes with its neighbours where they are large (by 0.5 of its largest number)",
        ),
        (
            {"alone": {"output": "", "distance": 0.5}},
            "the output of a sample changes with the size of the batch or its place there "
            "(by 0.5 of its largest number)",
        ),
        ({"failure": "it broke"}, "a sample alone fails in evaluation: it broke"),
    ],
)
def test_what_depends_on_the_batch_is_told(told, message):
    assert found_in(IndependentOfBatch(), ALONE, **told) == Finding(message=message, layer="", where=MODEL, fix=BATCH)


def test_a_sample_alone_may_be_as_far_apart_as_other_kernels_add_up():
    for near, far, broken in ((0.0, 2.0**-15, 0), (2.0**-19, 0.0, 0), (2.0**-18, 0.0, 1), (0.0, 2.0**-14, 1)):
        apart = {"neighbours": {"output": "", "distance": near}, "alone": {"output": "", "distance": far}}
        assert len(judged(IndependentOfBatch(), ALONE, **apart).findings) == broken
        assert len(judged(IndependentOfBatch(tolerance=2.0**-14), ALONE, **apart).findings) == 0
        assert len(judged(IndependentOfBatch(tolerance=0.0), ALONE, **apart).findings) == 1


def test_what_was_not_looked_at_is_told():
    told = judged(IndependentOfBatch(tolerance=0.5), ALONE, shared=["", "mean"])
    assert told.notes == ('not looked at, for they do not grow with the batch: "the output" and "mean"',)
    assert (told.limit, judged(IndependentOfBatch(), ALONE).limit) == (0.5, 2.0**-19)
