"""Training: whether the record of a training run is of this model."""

from __future__ import annotations

from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.training_runs import fix_of, place_of, recorded_training


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMatchesModel(Rule):
    """The training record belongs to the model at hand: same source, same parameters, same state.

    A record is evidence for the network that was trained, not for the one that stands in the file today. With
    `describe = "pkg.mod:function"` under `training`, which returns `{"recipe": ..., "data": ...}` as the code has them,
    it must be of this recipe and these data, too; the first setting that differs is named with both values. And it must
    be as it was written: its `digest` is that of all the rest of it. Whoever means to deceive can write a new one;
    against that there is the checkpoint, which `min-accuracy` evaluates anew, and training again. Without a record
    there is nothing to judge: the verdict is `error`.

    In a contract: `record-matches-model = true`
    """

    narrows = False
    needs = ("training",)

    def check(self, facts: Facts) -> Result:
        """List everything in which the record and the model differ."""
        training = recorded_training(facts)
        where = place_of(training, facts)
        findings = tuple(Finding(message=fault, where=where, fix=fix_of(facts)) for fault in training.mismatches)
        return Result(examined=1, findings=findings, kept="the record is of this model")
