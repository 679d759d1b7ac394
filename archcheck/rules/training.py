"""Training: whether the record of a training run is of this model."""

from __future__ import annotations

from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.training_runs import fix_of, place_of, recorded_training


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMatchesModel(Rule):
    """The training record belongs to this model: same source, same parameters, same state.

    A record is evidence for the network that was trained. The file may hold another network today. With `describe =
    "pkg.mod:function"` under `training`, the record must also belong to this recipe and these data. The function
    returns `{"recipe": ..., "data": ...}` as the code has them; the finding names the first setting that differs, with
    both values. The record must also be unedited: its `digest` is computed from all the rest of it. Someone who wants
    to cheat can write a new digest. Against this, `min-accuracy` evaluates the checkpoint again, and the training can
    be repeated. Without a record the verdict is `error`.

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
