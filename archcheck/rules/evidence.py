"""Evidence: mistakes in training that make an accuracy meaningless, found by watching the subject's own trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.records import HELD_OUT, TRIAL
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result

UNCHANGED = 0.75
"""From this share of unchanged samples on, a trainer counts as one that does not augment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationReachesTheBatch(Rule):
    """The training samples of one epoch are not those of the epoch before, bit for bit.

    An augmentation may be declared and have no effect. For example, two subsets share one dataset object, and setting
    the transform of the test set overwrites that of the training set. Or each sample is augmented once and then kept.
    The rule runs the trainer for two epochs on a fresh model (with `limit = 512` if it takes a `limit`, as it should),
    and compares what reaches the model. At most the share `repeated` of the samples of the second epoch may be samples
    of the first. A flip of every other image leaves at most three quarters unchanged.

    If no sample comes twice, the trainer may draw new samples from a stream. A trainer that takes a `limit`, and keeps
    to it in the trial, has a fixed set of samples. For any other the verdict is `error`. The rule does not see an
    augmentation that is a part of the network, because it acts after the samples have reached the model. It sees only
    calls of the model itself, and only the first input, whose first axis is the batch.

    In a contract: `augmentation-reaches-the-batch = true`
    """

    narrows = False
    needs = (TRIAL,)
    repeated: float = field(default=UNCHANGED, metadata={"unit": "share"})

    def __post_init__(self) -> None:
        """Refuse an invalid share, and the share 1, which every trainer keeps."""
        Rule.__post_init__(self)
        if not 0 <= self.repeated < 1:
            raise ValueError(f"`repeated` is a share from 0 to below 1 (0.75 for 75 %), found {self.repeated:g}")

    def check(self, facts: Facts) -> Result:
        """Judge the share of samples that came again."""
        trial = _trial(facts, TRIAL)
        first, second = trial["epochs"][:2]
        again, of = trial["again"], second["distinct"]
        if not first["distinct"] or not of:
            raise _unknown("one of the two epochs of the trial trained on nothing", facts)
        limit = trial["limit"]
        if not again and (limit is None or max(first["samples"], second["samples"]) > limit):
            raise _unknown("no sample came twice in two epochs, so it is unknown whether they are new", facts, _CUT)
        share = again / of
        message = f"{again:,} of {amount(of, 'samples')} of the second epoch came in the first, bit for bit"
        findings = (
            (Finding(message=f"{message}; limit {self.repeated:.0%}", where=_where(facts), fix=_AUGMENT),)
            if share > self.repeated
            else ()
        )
        return Result(
            examined=of,
            findings=findings,
            found=share,
            limit=self.repeated,
            unit="share of samples that come again",
            kept=message,
            notes=(f"watched two epochs of {_epoch_sizes(trial)}",),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutTestIsDisjoint(Rule):
    """No test sample is used to train the model or to choose it; samples are compared by content.

    The rule makes two comparisons. First, it runs the trainer for two epochs on a fresh model, then `evaluate`, and
    compares what reaches the model. A test sample that trains the model is a leak. A test sample that the model is
    evaluated on between the epochs chooses the checkpoint or the recipe. Second, `data = "pkg.mod:samples"` under
    `training` names a function that returns the sets themselves, `{"train": ..., "validation": ..., "test": ...}`. Each
    set is a tensor or array `(N, ...)`, a dataset, or an iterable of samples or of pairs with a label. The rule
    compares the sets with one another, and with what runs: the samples of `evaluate` must be in the declared `test`,
    and what reaches the model unchanged must be in the declared sets.

    Two images are the same if they differ only in dtype, or only in brightness and contrast of a channel, as after a
    normalisation. For this, each channel is rescaled to [0, 1] and cut into steps of a 15th. Constant images are left
    out. Rows of a table, sound and tokens are compared by value, so declare them as the model gets them.

    Without `data`, a trainer that augments or takes a `limit` shows too little, and the verdict is `error`. With
    `data`, the rule trusts the declaration for augmented samples. `limit` is how many test samples may be among the
    others, as in some published datasets.

    In a contract: `held-out-test-is-disjoint = true`
    """

    narrows = False
    needs = (TRIAL, HELD_OUT)
    limit: int = field(default=0, metadata={"least": 0})

    def check(self, facts: Facts) -> Result:
        """List the test samples found in other sets, then the samples that the declaration leaves out."""
        trial, held = _trial(facts, TRIAL), _trial(facts, HELD_OUT)
        found = list(_leaks(held))
        most = max((count for count, _ in found), default=0)
        faults = [text for count, text in found if count > self.limit]
        if held["declared"]:
            faults += _strangers(held, augmented=_augmented(trial))
        where = _where(facts)
        if not faults and not held["declared"]:
            _demand_whole(trial, held, facts)
        return Result(
            examined=1,
            findings=tuple(Finding(message=fault, where=where, fix=_SPLIT) for fault in faults),
            found=most,
            limit=self.limit,
            unit="test samples among the others",
            kept=_kept(trial, held, most, self.limit),
            notes=tuple(_notes(trial, held)),
        )


_AUGMENT = "draw the augmentation again for each batch, and give each subset a dataset object of its own"
_CUT = "let the trainer take `limit`, which cuts its sets to that many samples"
_SPLIT = "train and choose on a part of the training data, and show the test set to `evaluate` alone"
_DECLARE = 'name a function under `training` that returns the sets: `data = "pkg.mod:samples"`'


def _trial(facts: Facts, part: str) -> Mapping[str, Any]:
    """Return the results of the trial of the trainer. Raises `NotMeasured` if there was none."""
    facts.demand_numbers()
    found = facts.behaviour.get(part)
    if found is None:
        raise NotMeasured("no trainer was watched; judge through a contract that names it", where=facts.subject.where)
    if found["problem"]:
        raise _unknown(found["problem"], facts)
    return found


def _unknown(message: str, facts: Facts, fix: str | None = None) -> NotMeasured:
    return NotMeasured(message, where=_where(facts), fix=fix or f"see that `archcheck train {facts.subject.name}` runs")


def _where(facts: Facts) -> Where | None:
    """Return the line of the trainer."""
    found = facts.behaviour[TRIAL]["where"]
    return Where(file=found["file"], line=found["line"]) if found else facts.subject.where


def _epoch_sizes(trial: Mapping[str, Any]) -> str:
    sizes = " and ".join(f"{epoch['samples']:,}" for epoch in trial["epochs"][:2])
    return f"{sizes} samples" + (f" (`limit = {trial['limit']}`)" if trial["limit"] else "")


def _augmented(trial: Mapping[str, Any]) -> bool:
    """Whether the samples change before they reach the model, so that their originals are not visible."""
    distinct = trial["epochs"][1]["distinct"]
    return bool(distinct == 0 or trial["again"] / distinct < UNCHANGED)


def _leaks(held: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield how many test samples are among others, and the sentence that says so."""
    for kind, what in (("trained", "those that train the model"), ("evaluated", "those that the trainer evaluates on")):
        if count := held[kind]["count"]:
            of = f"{count:,} of the {held['samples']:,} test samples are among {what}"
            yield count, f"{of}{_first(held[kind], 'of what `evaluate` shows')}"
    declared = held["declared"]
    for overlap in declared["overlaps"] if declared else ():
        if overlap["of"] == "test" and overlap["count"]:
            of = f"{overlap['count']:,} of the {declared['sets']['test']['samples']:,} test samples"
            yield overlap["count"], f"{of} are among `{overlap['among']}`{_first(overlap, 'of `test`')}"


def _first(found: Mapping[str, Any], of: str) -> str:
    more = ", …" if found["count"] > len(found["first"]) else ""
    return f": number {', '.join(map(str, found['first']))}{more} {of}"


_STRANGERS = {
    "test": "samples that `evaluate` shows are not in the declared `test`",
    "evaluated": "samples that the trainer evaluates on are in no declared set",
    "trained": "samples that train the model are in no declared set",
}


def _strangers(held: Mapping[str, Any], *, augmented: bool) -> list[str]:
    """Return the samples that were seen and are not declared. Samples that change on the way are left out."""
    return [
        f"{found['count']:,} of {found['of']:,} {_STRANGERS[kind]}{_first(found, 'as they come')}"
        for kind, found in held["declared"]["strange"].items()
        if found["count"] and not (kind == "trained" and augmented)
    ]


def _demand_whole(trial: Mapping[str, Any], held: Mapping[str, Any], facts: Facts) -> None:
    """Raise `NotMeasured` unless all samples that train and test the model were seen unchanged."""
    if _augmented(trial):
        raise _unknown(
            "samples change before they train the model, so no test sample is told among them", facts, _DECLARE
        )
    if trial["limit"]:
        raise _unknown(f"no more than {trial['limit']:,} training samples were seen in a trial", facts, _DECLARE)
    if not held["whole"]:
        raise _unknown(f"no more than {held['samples']:,} test samples were seen in time", facts, _DECLARE)


def _kept(trial: Mapping[str, Any], held: Mapping[str, Any], known: int, limit: int) -> str:
    if held["declared"]:
        sets = held["declared"]["sets"]
        samples = sets["test"]["samples"]
        others = ", ".join(f"{each['samples']:,} of `{name}`" for name, each in sets.items() if name != "test")
    else:
        samples, others = held["samples"], f"{trial['epochs'][0]['distinct']:,} that train the model"
    if known:
        return f"{known:,} of {samples:,} test samples among {others}, {limit:,} are allowed"
    return f"none of {samples:,} test samples is among {others}"


def _notes(trial: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    yield f"watched two epochs of {_epoch_sizes(trial)}, {trial['evaluated']:,} evaluated between them"
    shown = f"`evaluate` showed {held['samples']:,} samples" + ("" if held["whole"] else " in time, not all")
    yield f"{shown}, {held['constant']:,} of them constant" if held["constant"] else shown
    if not held["declared"]:
        return
    if _augmented(trial):
        yield "what trains the model changes on its way there: that it is the declared `train` is taken on trust"
    for overlap in held["declared"]["overlaps"]:
        if overlap["of"] != "test" and overlap["count"]:
            yield f"{overlap['count']:,} samples of `{overlap['of']}` are in `{overlap['among']}`, too"
