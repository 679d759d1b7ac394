"""The rules that come with archcheck: pure functions of facts, in groups that are modules."""

from __future__ import annotations

from archcheck.rule import Rule, rule_name
from archcheck.rules.behaviour import LogProbabilities
from archcheck.rules.budget import MaxParams
from archcheck.rules.ledger import NoHiddenWeights, NoUnusedLayers, NoUnusedParams
from archcheck.rules.presence import Forbids, Requires, RequiresAny
from archcheck.rules.shape import OutputShape
from archcheck.rules.structure import Channels, DropoutRate, FollowedBy, Head, NoPadding
from archcheck.rules.training import MinAccuracy, RecordMatchesModel

BUILTIN: tuple[type[Rule], ...] = (
    MaxParams,
    Requires,
    RequiresAny,
    Forbids,
    FollowedBy,
    Head,
    Channels,
    DropoutRate,
    NoPadding,
    NoHiddenWeights,
    NoUnusedParams,
    NoUnusedLayers,
    OutputShape,
    LogProbabilities,
    MinAccuracy,
    RecordMatchesModel,
)
"""Every builtin rule, group by group, in the order of the documentation."""

__all__ = ["BUILTIN", "find", *(cls.__name__ for cls in BUILTIN)]


def find(name: str) -> type[Rule] | None:
    """Return the builtin rule called `name` (`max-params`), or `None`."""
    return next((cls for cls in BUILTIN if rule_name(cls) == name), None)
