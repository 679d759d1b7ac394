"""Apply waivers to outcomes: accept findings, and report waivers that are of no use.

A waiver breaks its rule when it has expired, when its figure is exceeded, or when it matches nothing any more. It never
costs points, because points are for the model and not for its contract.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import replace

from archcheck.contract import Waiver
from archcheck.facts.selectors import matches_path
from archcheck.foundation.words import amount, listed
from archcheck.rules.findings import Finding, Outcome, Verdict, plain

SOON = 14
"""Days before its last one on which a waiver is noted to expire soon."""

_Complaint = tuple[int, Finding]
"""The index of the outcome that gets the finding, and the finding."""


def waive(waivers: Iterable[Waiver], outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Return `outcomes` without the findings that `waivers` accept, and with the points they earn."""
    judged = list(outcomes)
    # Complaints come after all waiving, so that no waiver excuses the uselessness of another.
    complaints = [_apply(waiver, judged) for waiver in waivers]
    judged = [replace(outcome, earned=_earned(outcome)) for outcome in judged]
    for at, finding in filter(None, complaints):
        findings = (*judged[at].findings, finding)
        judged[at] = replace(judged[at], verdict=Verdict.BROKEN, kept=None, findings=findings)
    return tuple(judged)


def _earned(outcome: Outcome) -> float | None:
    if outcome.points is None:
        return None
    if outcome.verdict is Verdict.WAIVED:
        return outcome.points
    if outcome.earned is not None:  # by a band
        return outcome.earned
    return 0.0 if outcome.fails else outcome.points


def _apply(waiver: Waiver, outcomes: list[Outcome]) -> _Complaint | None:
    """Apply `waiver` to every instance of its rule. Return a complaint if the waiver is of no use.

    An instance that could not be judged may contain what the waiver is for. Then there is no complaint.
    """
    named = [at for at, outcome in enumerate(outcomes) if waiver.rule in (outcome.rule, outcome.instance)]
    judged = [at for at in named if outcomes[at].verdict is not Verdict.ERROR]
    hits = [at for at in judged if _accepted(waiver, outcomes[at])]
    if judged and _expired(waiver):
        return (hits or judged)[0], _expiry(waiver, needed=bool(hits))
    exceeding = [at for at in hits if _exceeds(waiver, outcomes[at])]
    first = outcomes[exceeding[0]] if exceeding else None
    for at in hits:
        if at not in exceeding:
            outcomes[at] = _waived(waiver, outcomes[at])
    if first is not None:
        return exceeding[0], _excess(waiver, first)
    if hits or len(judged) < len(named) or not judged:
        return None
    return _useless(waiver, outcomes, judged)


def _accepted(waiver: Waiver, outcome: Outcome) -> tuple[Finding, ...]:
    return tuple(finding for finding in _of_model(outcome) if _accepts(waiver, finding))


def _of_model(outcome: Outcome) -> tuple[Finding, ...]:
    """Return the findings that a waiver may accept. That of a vacuous rule is about the contract, so it is none."""
    return () if outcome.verdict is Verdict.VACUOUS else outcome.findings


def _accepts(waiver: Waiver, finding: Finding) -> bool:
    if waiver.layer is None:
        return True
    return finding.layer is not None and matches_path(waiver.layer, finding.layer)


def _waived(waiver: Waiver, outcome: Outcome) -> Outcome:
    """Move the findings that `waiver` accepts to `waived`."""
    left = tuple(finding for finding in outcome.findings if not _accepts(waiver, finding))
    return replace(
        outcome,
        verdict=Verdict.BROKEN if left else Verdict.WAIVED,
        findings=left,
        waived=outcome.waived + _accepted(waiver, outcome),
        waiver="; ".join(filter(None, (outcome.waiver, _reason(waiver)))),
        notes=outcome.notes + _warning(waiver),
    )


def _warning(waiver: Waiver) -> tuple[str, ...]:
    """Return a note if a waiver expires soon: then its rule is broken."""
    days = (waiver.until - datetime.date.today()).days if waiver.until else SOON + 1
    if days > SOON:
        return ()
    when = f"in {amount(days, 'days')}" if days else "at the end of today"
    return (f"the waiver at {waiver.where} expires {when}; mend the model, or give the waiver a later `until`",)


def _reason(waiver: Waiver) -> str:
    return waiver.reason + (f", until {waiver.until}" if waiver.until else "")


def _expired(waiver: Waiver) -> bool:
    return waiver.until is not None and waiver.until < datetime.date.today()


def _exceeds(waiver: Waiver, outcome: Outcome) -> bool:
    """Whether the rule is broken by more than the waiver accepts."""
    if waiver.up_to is None:
        return False
    found = _extent(waiver, outcome)
    return found < waiver.up_to if _is_floor(outcome) else found > waiver.up_to


def _extent(waiver: Waiver, outcome: Outcome) -> float:
    """Return how far the rule is broken: the figure of a bound, or the number of findings of any other rule."""
    return outcome.found if _is_bound(outcome) else len(_accepted(waiver, outcome))


def _is_bound(outcome: Outcome) -> bool:
    figure = isinstance(outcome.found, int | float) and not isinstance(outcome.found, bool)
    return figure and outcome.rule.startswith(("max-", "min-"))


def _is_floor(outcome: Outcome) -> bool:
    """Whether less is worse."""
    return _is_bound(outcome) and outcome.rule.startswith("min-")


def _excess(waiver: Waiver, outcome: Outcome) -> Finding:
    most = _whole(waiver.up_to or 0)
    bound, found = plain(most), plain(_whole(_extent(waiver, outcome)))
    unit = "" if _is_bound(outcome) else " finding" if most == 1 else " findings"
    direction = "down to" if _is_floor(outcome) else "up to"
    fix = f"mend the model, or change `up-to` at {waiver.where}"
    return _complaint(waiver, f"holds {direction} {bound}{unit}, found {found}", fix)


def _expiry(waiver: Waiver, *, needed: bool) -> Finding:
    """Return the complaint about an expired waiver. It is `needed` if its rule is broken without it."""
    fix = f"remove the waiver at {waiver.where}"
    if needed:
        fix = f"mend the model and remove the waiver at {waiver.where}, or give it a later `until`"
    return _complaint(waiver, f"expired on {waiver.until}", fix)


def _useless(waiver: Waiver, outcomes: Sequence[Outcome], judged: Sequence[int]) -> _Complaint:
    """Return the complaint about a waiver that accepts nothing. It points at the rule that has findings elsewhere, if
    there is one.
    """
    every = {at: (*_of_model(outcomes[at]), *outcomes[at].waived) for at in judged}
    broken = [at for at in judged if every[at]]
    if waiver.layer is None or not broken:
        fix, state = f"remove the waiver at {waiver.where}", outcomes[judged[0]].verdict.value
        message = f"is stale: nothing is left to waive, `{waiver.rule}` is {state}"
        return judged[0], _complaint(waiver, message, fix)
    elsewhere = dict.fromkeys(finding.layer for at in broken for finding in every[at] if finding.layer)
    known = f"at {listed(list(elsewhere)[:3])}" if elsewhere else "at no layer"
    fix = f"mend the model and remove the waiver at {waiver.where}, or point its `layer` at what is found"
    return broken[0], _complaint(waiver, f"matches no finding: they are {known}, not at `{waiver.layer}`", fix)


def _complaint(waiver: Waiver, message: str, fix: str) -> Finding:
    return Finding(message=f"the waiver at {waiver.where} {message}", where=waiver.where, fix=fix)


def _whole(number: float) -> float:
    """Return a whole number as an integer, so that it is written in full."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
