"""What the rules on losses, saved states and exports make of what a probe told, word for word."""

from __future__ import annotations

import math

import pytest

from archcheck.foundation.errors import NotMeasured
from archcheck.rules import Exports, InitialLoss, LogProbabilities, OverfitsOneBatch, StateDictRoundTrip
from archcheck.rules.findings import Finding, Result
from tests.rules.test_probes_judged import BEYOND, HERE, LAYER, LINE, MODEL, found_in, judged

# --- log-probabilities, losses --------------------------------------------------------------------------------------

SUMS = {"finite": True, "sum_error": 0.0, "axis": 1, "others": []}
END = "end the network in `nn.LogSoftmax(dim=1)`, or drop the rule and train with `nn.CrossEntropyLoss`"


@pytest.mark.parametrize(
    ("told", "message", "fix"),
    [
        ({"finite": False}, "it holds NaN or infinity", END),
        ({"sum_error": None}, "the sums of exponentials along axis 1 are beyond all numbers", END),
        ({"sum_error": 0.5}, "exponentials along axis 1 sum to one within 0.5, limit 0.25", END),
        (
            {"sum_error": 0.5, "others": [0, 2]},
            "exponentials along axis 1 sum to one within 0.5, limit 0.25",
            "they do along axis 2: name it, as in `axis = 2`",
        ),
    ],
)
def test_what_is_no_log_probability_is_told(told, message, fix):
    message = f"the output is not log-probabilities: {message}"
    found = found_in(LogProbabilities(tolerance=0.25), SUMS, **told)
    assert found == Finding(message=message, layer="", where=MODEL, fix=fix)
    assert judged(LogProbabilities(tolerance=0.25), SUMS, sum_error=0.25).findings == ()


# The logarithm of 4 is 1.386.
LOSS = {"classes": 4, "loss": 1.386, "axis": 1, "probabilities": False, "mode": "train"}


def test_a_loss_as_far_off_as_is_tolerated_is_kept():
    exact = 1.0 - math.log(4)
    assert judged(InitialLoss(tolerance=abs(exact)), LOSS, loss=1.0).findings == ()
    assert judged(InitialLoss(tolerance=abs(exact) - 1e-9), LOSS, loss=1.0).findings


@pytest.mark.parametrize(
    ("rule", "told", "message", "fix"),
    [
        (
            InitialLoss(classes=1_000),
            {"classes": 2_000},
            "the output has 2,000 classes along axis 1, not 1,000",
            "make the last layer as wide as there are classes, or name the axis",
        ),
        (
            InitialLoss(classes=4),
            {"probabilities": True},
            "the output is probabilities already, and the loss applies a softmax again",
            "return the scores themselves: `nn.CrossEntropyLoss` takes a softmax of its own",
        ),
        (
            InitialLoss(),
            {"loss": 2.0},
            "the first loss is 2.000 nats, where a guess among 4 classes costs 1.386",
            "scale the last layer down, or end in `nn.LogSoftmax` where the loss is `nll`",
        ),
        (
            InitialLoss(),
            {"loss": None, "classes": 2_000},
            "the first loss is no number, where a guess among 2,000 classes costs 7.601",
            "scale the last layer down, or end in `nn.LogSoftmax` where the loss is `nll`",
        ),
    ],
)
def test_what_is_wrong_with_a_first_loss_is_told(rule, told, message, fix):
    assert found_in(rule, LOSS, **told) == Finding(message=message, layer="", where=MODEL, fix=fix)


def test_a_first_loss_near_a_guess_keeps_the_rule():
    result = judged(InitialLoss(classes=4, tolerance=0.5), LOSS, mode="eval")
    assert (result.findings, result.found, result.unit, result.examined) == ((), 1.386, "nats", 1)
    assert result.limit == pytest.approx(1.8863, abs=1e-4)
    assert result.kept == "1.386 nats, where a guess among 4 classes costs 1.386"
    assert result.notes == ("measured in evaluation: in training the forward pass takes other inputs",)
    assert judged(InitialLoss(), LOSS).notes == ()


def test_a_loss_of_one_class_is_none():
    with pytest.raises(NotMeasured, match=r"^the class axis 1 has one entry: name another with `axis`$"):
        judged(InitialLoss(), LOSS, classes=1)


RATES = [
    {"rate": 0.0003, "first": 1.5, "least": 1.0, "steps": 100},
    {"rate": 0.003, "first": 1.5, "least": 0.25, "steps": 20},
    {"rate": 0.03, "first": 1.5, "least": None, "steps": 3},
]
LEARNED = {"trained": 4, "samples": 8, "blind": 2.0, "rates": RATES}


@pytest.mark.parametrize(("limit", "broken"), [(0.125, False), (0.12, True)])
def test_the_best_rate_decides_whether_a_batch_is_learned(limit, broken):
    told = "20 steps of Adam bring the loss of 8 samples from 1.5 to 0.25, where blind guessing leaves 2"
    fix = "train what is frozen, connect what is cut off, and remove a softmax before the loss, or raise `limit`"
    finding = Finding(message=f"{told}, limit {limit:g} of that", layer="", where=MODEL, fix=fix)
    assert judged(OverfitsOneBatch(limit=limit), LEARNED) == Result(
        examined=1,
        findings=(finding,) if broken else (),
        found=0.125,
        limit=limit,
        unit="of the loss of blind guessing",
        kept=f"{told}, at a learning rate of 0.003",
    )


def test_a_loss_that_is_no_number_is_not_learned():
    rates = [{"rate": 0.003, "first": None, "least": None, "steps": 1}]
    found = judged(OverfitsOneBatch(), LEARNED, rates=rates, samples=1)
    assert found.found is None
    assert found.findings[0].message == (
        "1 step of Adam bring the loss of 1 sample from no number to no number, where blind guessing leaves 2, "
        "limit 0.1 of that"
    )
    assert judged(OverfitsOneBatch(), LEARNED, rates=[{**rates[0], "least": 0.0}]).findings != ()


def test_nothing_to_train_is_nothing_to_judge():
    assert judged(OverfitsOneBatch(), LEARNED, trained=0) == Result(examined=0, unit="parameters to train")


# --- state-dict-round-trip, exports ---------------------------------------------------------------------------------

TRIP = {"dtype": "float32", "built": True, "trained": True, "error": None, "distance": 0.0, "lost": []}
LOST = [{"kind": "plain attribute", "name": "0.0.mean", "layer": "0.0"}, {"kind": "buffer", "name": "b", "layer": "1"}]


@pytest.mark.parametrize(
    ("told", "message", "layer", "where", "fix"),
    [
        (
            {"error": "it broke"},
            "it broke",
            "",
            MODEL,
            "let `state_dict` and `load_state_dict` hold tensors, under the same names in every model",
        ),
        (
            {"distance": 0.5, "lost": LOST},
            "a fresh model with the saved state gives another output (by 0.5 of its largest number): "
            "it lacks plain attribute `0.0.mean`, buffer `b`",
            "0.0",
            LAYER,
            "keep state in parameters, persistent buffers and registered layers",
        ),
        (
            {"distance": None},
            f"a fresh model with the saved state gives another output ({BEYOND})",
            "",
            MODEL,
            "keep state in parameters, persistent buffers and registered layers",
        ),
        (
            {"distance": 0.5, "lost": LOST[1:]},
            "a fresh model with the saved state gives another output (by 0.5 of its largest number): "
            "it lacks buffer `b`",
            "1",
            MODEL,
            "keep state in parameters, persistent buffers and registered layers",
        ),
    ],
)
def test_what_a_saved_state_lacks_is_told(told, message, layer, where, fix):
    found = found_in(StateDictRoundTrip(), TRIP, **told)
    assert found == Finding(message=message, layer=layer, where=where, fix=fix)


def test_how_a_round_trip_was_made_is_told():
    assert judged(StateDictRoundTrip(tolerance=0.5), TRIP, distance=0.5) == Result(
        examined=1,
        found=0.5,
        limit=0.5,
        unit="relative difference",
        kept="a fresh model with the saved state gives the same outputs",
    )
    assert judged(StateDictRoundTrip(), TRIP, built=False, trained=False).notes == (
        "loaded into a copy, as nothing is known that builds one: it has what the model drew when it was built",
        "no pass in training came before, for that takes other inputs",
    )


EXPORTED = {"dtype": "float32", "error": None, "at": None, "distance": 0.0}


@pytest.mark.parametrize(
    ("told", "message", "layer", "where"),
    [
        ({"error": "it broke", "at": HERE}, "torch.export fails in `0.0`: it broke", "0.0", LINE),
        ({"error": "it broke"}, "torch.export fails: it broke", "", MODEL),
        (
            {"distance": 0.5},
            "the program of torch.export gives another output (by 0.5 of its largest number)",
            "",
            MODEL,
        ),
    ],
)
def test_what_an_export_loses_is_told(told, message, layer, where):
    found = found_in(Exports(), EXPORTED, **told)
    state = "compute from the inputs what the export has fixed, such as a counter or a random number of Python"
    values = "let no Python depend on values: `torch.where`, `torch.cond`, sizes instead of numbers"
    fix = values if "error" in told else state
    assert found == Finding(message=message, layer=layer, where=where, fix=fix)


@pytest.mark.parametrize(("tolerance", "broken"), [(None, 1), (0.5, 0), (0.25, 1)])
def test_an_export_may_be_as_far_apart_as_other_kernels_add_up(tolerance, broken):
    assert len(judged(Exports(tolerance=tolerance), EXPORTED, distance=0.5).findings) == broken
    assert judged(Exports(), EXPORTED, distance=2.0**-15) == Result(
        examined=1, found=0, limit=0, unit="formats that fail", kept="exported to torch.export with the same outputs"
    )
