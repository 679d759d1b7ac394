"""Judge while somebody edits: first by the rules that the executed graph answers, then by those that take longer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from archcheck.contract import SubjectEntry
from archcheck.facts import snapshot
from archcheck.facts.records import TRAINING, TRIAL
from archcheck.rules.base import rule_name

_AT_ONCE = frozenset({snapshot.NEED})
"""Needs that take no further measurement."""
_NEVER = frozenset({TRAINING, TRIAL})
"""Needs that evaluate a checkpoint or run a trainer, which takes longer than anybody waits after a save."""


def stages(entry: SubjectEntry) -> tuple[SubjectEntry, ...]:
    """Return a subject with the rules that the graph answers, then with all that are judged while somebody edits.

    Rules that evaluate a checkpoint or run a trainer are left out; `left_out` names them. There is one stage if both
    have the same rules, and none if no rule is left.
    """
    whole = _without(entry, _deferred(entry, _NEVER))
    quick = _without(whole, {rule_name(each.rule) for each in whole.rules if set(each.rule.needs) - _AT_ONCE})
    return tuple(each for each in ((quick, whole) if quick.rules != whole.rules else (whole,)) if each.rules)


def left_out(entry: SubjectEntry) -> tuple[str, ...]:
    """Return the rules, by their instances, that only `archcheck check` judges."""
    deferred = _deferred(entry, _NEVER)
    return tuple(each.instance for each in entry.rules if rule_name(each.rule) in deferred)


def _deferred(entry: SubjectEntry, needs: Collection[str]) -> set[str]:
    return {rule_name(each.rule) for each in entry.rules if not set(needs).isdisjoint(each.rule.needs)}


def _without(entry: SubjectEntry, names: Collection[str]) -> SubjectEntry:
    """Return a subject without the rules of these names.

    All instances of a rule go together, because a waiver of the rule is of no use where only some are judged.
    """
    return replace(entry, rules=tuple(each for each in entry.rules if rule_name(each.rule) not in names))
