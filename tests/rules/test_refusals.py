"""What a rule refuses when it is stated, word for word, and the last values that it takes."""

from __future__ import annotations

import re

import pytest

from archcheck.rules import (
    Accepts,
    Channels,
    Claim,
    Count,
    DeterministicInEval,
    DropoutRate,
    Exports,
    FiniteOutput,
    HeldOutTestIsDisjoint,
    IndependentOfBatch,
    InitialLoss,
    LogProbabilities,
    MaxActivations,
    MaxBytes,
    MaxGrowth,
    MaxLayerShare,
    MaxMacs,
    MaxParams,
    MaxPeakMemory,
    MaxTrainableParams,
    MinAccuracy,
    MinReceptiveField,
    NoHiddenWeights,
    OutputShape,
    OverfitsOneBatch,
    StateDictRoundTrip,
    Synced,
)

BUDGETS = (MaxParams, MaxTrainableParams, MaxBytes, MaxMacs, MaxActivations, MaxPeakMemory)
TOLERANT = (DeterministicInEval, IndependentOfBatch, InitialLoss, LogProbabilities, StateDictRoundTrip, Exports)
NO_TOLERANCE = "`tolerance` must be at least 0, found "
ACCURACY = "`limit` is a share between 0 and 1 (0.994 for 99.4 %), found "
BOUNDS = "`width` must be one extent, or the least and the most, from 1 on, found "
COUNTS = "`min` and `max` must be 1 or more and in this order, found "
FIELDS = {"file": "a.md", "pattern": r"(\d+)", "fact": "params.total"}
POSITIONS = "`limit` must hold positive numbers of positions, found "

REFUSED = [
    *((cls, {"limit": -1}, "`limit` must be at least 0, found -1") for cls in BUDGETS),
    *((cls, {"tolerance": -0.5}, f"{NO_TOLERANCE}-0.5") for cls in TOLERANT),
    *((cls, {"tolerance": float("inf")}, f"{NO_TOLERANCE}inf") for cls in TOLERANT),
    (
        Accepts,
        {},
        "no axis is given; name at least one of batch, channels, length, depth, height, width, or give `axes`",
    ),
    (HeldOutTestIsDisjoint, {"limit": -1}, "`limit` must be at least 0, found -1"),
    (NoHiddenWeights, {"allow": -1}, "`allow` must be at least 0, found -1"),
    (Accepts, {"width": (0, 3)}, f"{BOUNDS}0 and 3"),
    (Accepts, {"width": (4, 3)}, f"{BOUNDS}4 and 3"),
    (Accepts, {"width": (1, 2, 3)}, f"{BOUNDS}1 and 2 and 3"),
    (
        Accepts,
        {"axes": {"0": (1, 2), "a": (1, 2), "b": (1, 2)}},
        '`axes` takes the numbers of axes, as in { "0" = [1, 64] }, found "a" and "b"',
    ),
    (MinAccuracy, {"limit": 0.0}, f"{ACCURACY}0"),
    (MinAccuracy, {"limit": 1.5}, f"{ACCURACY}1.5"),
    (MinAccuracy, {"limit": 0.9, "seeds": 0}, "`seeds` must be at least 1, found 0"),
    (MinAccuracy, {"limit": 0.9, "within_epochs": 0}, "`within-epochs` must be at least 1, found 0"),
    (MinAccuracy, {"limit": 0.9, "confidence": 0.5}, "`confidence` is a share above 0.5 and below 1, found 0.5"),
    (MinAccuracy, {"limit": 0.9, "confidence": 1.0}, "`confidence` is a share above 0.5 and below 1, found 1"),
    (
        MinAccuracy,
        {"limit": 0.9, "mode": "epochs-to-target"},
        'mode "epochs-to-target" needs `within-epochs`, which the median is compared with',
    ),
    (
        MinAccuracy,
        {"limit": 0.9, "mode": "artifact", "seeds": 2},
        '`seeds` are of a recipe, and mode "artifact" judges one checkpoint; leave one of them out',
    ),
    (FiniteOutput, {"inputs": ()}, "`inputs` is empty: the rule would look at nothing"),
    (FiniteOutput, {"large": 0.0}, "`large` must be a positive number, found 0"),
    (FiniteOutput, {"large": float("inf")}, "`large` must be a positive number, found inf"),
    (MaxLayerShare, {"limit": 0.0}, '`limit` is a share between 0 and 1 (0.5, or "50 %"), found 0'),
    (MaxLayerShare, {"limit": 1.0}, '`limit` is a share between 0 and 1 (0.5, or "50 %"), found 1'),
    (
        MaxLayerShare,
        {"limit": 0.5, "free": ("relu",)},
        '`free` names operations that cost nothing; it is for `of = "macs"`',
    ),
    (Claim, {**FIELDS, "file": " "}, "`file` must not be empty"),
    (
        Claim,
        {**FIELDS, "pattern": "("},
        "`pattern` is not a regular expression: missing ), unterminated subpattern at position 0",
    ),
    (Claim, {**FIELDS, "pattern": "a"}, "`pattern` needs one group, the number, found 0; write (?:…) for any other"),
    (
        Claim,
        {**FIELDS, "pattern": "(a)(b)"},
        "`pattern` needs one group, the number, found 2; write (?:…) for any other",
    ),
    (Claim, {**FIELDS, "tolerance": -0.1}, "`tolerance` must be at least 0, found -0.1"),
    (Claim, {**FIELDS, "tolerance": float("inf")}, "`tolerance` must be at least 0, found inf"),
    (Claim, {**FIELDS, "fact": "params.totl"}, '"params.totl" is not a figure; did you mean "params.total"?'),
    *((Synced, {"files": files}, "`files` names at least one text, such as README.md") for files in ((), ("a", " "))),
    (MaxGrowth, {"limit": -1}, "`limit` must be at least 0, found -1"),
    (MaxGrowth, {"limit": 5.0}, '`limit` is a share, 0.05 for 5 %, or an integer, found 5; write "5 %"'),
    (MaxGrowth, {"limit": 1.5}, '`limit` is a share, 0.05 for 5 %, or an integer, found 1.5; write "1.5 %"'),
    (MaxGrowth, {"limit": float("inf")}, "`limit` must be at least 0, found inf"),
    (MaxGrowth, {"limit": 0, "of": ()}, "`of` names at least one measure, such as params"),
    (MaxGrowth, {"limit": 0, "of": ("parms",)}, '"parms" is not a measure; did you mean "params"?'),
    (MaxGrowth, {"limit": 0, "on": "conv"}, '`on` takes a path or a layer type here, and "conv" is a kind'),
    (InitialLoss, {"classes": 1}, "`classes` must be two or more, found 1"),
    (OverfitsOneBatch, {"limit": 0.0}, "`limit` is a share between 0 and 1, found 0"),
    (OverfitsOneBatch, {"limit": 1.0}, "`limit` is a share between 0 and 1, found 1"),
    (OverfitsOneBatch, {"steps": 0}, "`steps` must be between 1 and 10,000, found 0"),
    (OverfitsOneBatch, {"steps": 10_001}, "`steps` must be between 1 and 10,000, found 10,001"),
    (Exports, {"to": ()}, "`to` is empty: the rule would look at nothing"),
    (Count, {"kind": "conv"}, "give `min`, `max` or both"),
    (Count, {"kind": "conv", "min": -1}, f"{COUNTS}-1 and None"),
    (Count, {"kind": "conv", "max": 0}, f"{COUNTS}0 and 0"),
    (Count, {"kind": "conv", "min": 3, "max": 2}, f"{COUNTS}3 and 2"),
    (OutputShape, {"shape": (1, "x")}, '`shape` takes integers and "*", found "x"'),
    (MinReceptiveField, {"limit": 0}, f"{POSITIONS}0"),
    (MinReceptiveField, {"limit": ()}, f"{POSITIONS}()"),
    (MinReceptiveField, {"limit": (3, 0)}, f"{POSITIONS}(3, 0)"),
    (DropoutRate, {}, "give either `rate`, or `at-least` and `at-most` or one of them"),
    (DropoutRate, {"rate": 0.1, "at_most": 0.2}, "give either `rate`, or `at-least` and `at-most` or one of them"),
]

TAKEN = [
    *((cls, {"limit": 0}) for cls in BUDGETS),
    *((cls, {"tolerance": 0.0}) for cls in TOLERANT),
    (Accepts, {"width": (1, 1)}),
    (Accepts, {"axes": {"-1": (2, 3), "10": (2, 3)}}),
    (MinAccuracy, {"limit": 1.0, "within_epochs": 1, "seeds": 1, "confidence": 0.51}),
    (MinAccuracy, {"limit": 0.001, "mode": "artifact"}),
    (MinAccuracy, {"limit": 0.9, "mode": "epochs-to-target", "within_epochs": 1, "seeds": 2}),
    (FiniteOutput, {"large": 1e-9}),
    (Claim, {**FIELDS, "tolerance": 0.0}),
    (Claim, {**FIELDS, "pattern": "^(a)$"}),
    (Synced, {"files": ("a.md", "b.md")}),
    (MaxGrowth, {"limit": 1.0}),
    (MaxGrowth, {"limit": "10 % "}),
    (MaxGrowth, {"limit": 2, "of": ("params", "macs"), "on": "Conv2d"}),
    (InitialLoss, {"classes": 2}),
    (OverfitsOneBatch, {"steps": 1, "limit": 0.999}),
    (OverfitsOneBatch, {"steps": 10_000, "limit": 0.001}),
    (Count, {"kind": "conv", "min": 1, "max": 1}),
    (Count, {"kind": "conv", "min": 0, "max": 1}),
    (OutputShape, {"shape": ("*", 1)}),
    (MinReceptiveField, {"limit": 1}),
    (MinReceptiveField, {"limit": (1, 2)}),
    (DropoutRate, {"at_least": 0.1}),
    (DropoutRate, {"at_least": 0.1, "at_most": 0.1}),
]


@pytest.mark.parametrize(("cls", "values", "says"), REFUSED)
def test_what_a_rule_refuses(cls, values, says):
    needed = {OutputShape: {}, OverfitsOneBatch: {}}.get(cls, {})
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        cls(**needed, **values)


@pytest.mark.parametrize(("cls", "values"), TAKEN)
def test_what_a_rule_takes_and_that_it_checks_what_all_rules_have(cls, values):
    assert cls(**values, points=1.0).points == 1.0
    with pytest.raises(ValueError, match=r"^`points` must be positive, found 0$"):
        cls(**values, points=0.0)


def test_a_progression_is_kept_as_it_is_given():
    assert Channels(progression=(1, 2)).progression == (1, 2)
