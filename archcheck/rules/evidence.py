"""Evidence: how a claim of accuracy goes wrong before it is measured. The subject's own trainer is watched."""

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
"""Share of samples that come again unchanged from which on a trainer counts as one that does not augment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationReachesTheBatch(Rule):
    """The samples that train the model in one epoch are not those of the epoch before, bit for bit.

    An augmentation that is declared may reach nobody: two subsets share one dataset object, and setting the transform
    of the test set overwrites that of the training set; or each sample is augmented once and kept. So the trainer is
    run for two epochs on a fresh model (with `limit = 512` where it takes a `limit`, as it should) and what reaches
    the model is compared. Of the samples of the second epoch, at most the share `repeated` may be samples of the
    first; a flip of every other image leaves a half of a half unchanged in both, and never more than three quarters.

    Where no sample comes twice, the trainer may as well draw new ones from a stream: one that takes a `limit`, and
    keeps to it in the trial, has a set of samples that it shows again. Else the verdict is `error`. Augmentation that
    is a part of the network is not seen, as it acts on what has reached the model. Only calls of the model itself are
    seen, and of its inputs the first, whose first axis is the batch.

    In a contract: `augmentation-reaches-the-batch = true`
    """

    narrows = False
    needs = (TRIAL,)
    repeated: float = field(default=UNCHANGED, metadata={"unit": "share"})

    def __post_init__(self) -> None:
        """Refuse what is no share, and the share that any trainer keeps."""
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
    """No test sample is among those that the model is trained or chosen on, told by its content.

    Two looks. First, the trainer runs for two epochs on a fresh model, then `evaluate`, and what reaches the model is
    compared: a test sample that trains it is a leak, and one that it is evaluated on between the epochs chooses the
    checkpoint or the recipe. Second, `data = "pkg.mod:samples"` under `training` names a function that returns the
    sets themselves, `{"train": ..., "validation": ..., "test": ...}`: each a tensor or array `(N, ...)`, a dataset, or
    an iterable of samples or of pairs with a label. They are compared with one another, and with what runs: what
    `evaluate` shows must be among the declared `test`, and what reaches the model unchanged among the declared sets.

    Images are the same that differ in dtype, or in brightness and contrast of a channel, as by a normalisation: each
    channel is rescaled to [0, 1] and cut into steps of a 15th. Constant images are left aside. Rows of a table, sound
    and tokens are compared by value, so declare them as the model is given them.

    Without `data`, a trainer that augments or takes a `limit` shows too little: the verdict is `error`. With it,
    augmented samples are taken for those that are declared, as nothing binds them. Of `limit` test samples it is known
    that they are among the others, as in some published datasets.

    In a contract: `held-out-test-is-disjoint = true`
    """

    narrows = False
    needs = (TRIAL, HELD_OUT)
    limit: int = 0

    def check(self, facts: Facts) -> Result:
        """List what test samples are found among, then what the declared data leave out."""
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


_AUGMENT = "draw the augmentation anew for each batch, and give each subset a dataset object of its own"
_CUT = "let the trainer take `limit`, which cuts its sets to that many samples"
_SPLIT = "train and choose on a part of the training data, and show the test set to `evaluate` alone"
_DECLARE = 'name a function under `training` that returns the sets: `data = "pkg.mod:samples"`'


def _trial(facts: Facts, part: str) -> Mapping[str, Any]:
    """Return what a trial of the trainer showed; raise `NotMeasured` where there was none."""
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
    """Whether the samples change before they reach the model, so that it does not show what they are made of."""
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
    """Return what was seen and is not declared; of samples that change on the way nothing can be said."""
    return [
        f"{found['count']:,} of {found['of']:,} {_STRANGERS[kind]}{_first(found, 'as they come')}"
        for kind, found in held["declared"]["strange"].items()
        if found["count"] and not (kind == "trained" and augmented)
    ]


def _demand_whole(trial: Mapping[str, Any], held: Mapping[str, Any], facts: Facts) -> None:
    """Raise `NotMeasured` unless all that trains and tests the model was seen as it is."""
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
