"""The rules that come with archcheck: pure functions of facts, one module per group.

The module of a rule is imported when somebody asks for the rule: a contract states a few of them.
"""

# ruff: noqa: F401 - the names that type checkers find here are those of `_HOMES`

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from archcheck.rules.base import Rule, name_of

if TYPE_CHECKING:
    from archcheck.rules.accepts import Accepts
    from archcheck.rules.accuracy import MinAccuracy
    from archcheck.rules.arena import MaxArena
    from archcheck.rules.artifacts import MaxArtifactBytes
    from archcheck.rules.behaviour import DeterministicInEval, FiniteOutput, IndependentOfBatch
    from archcheck.rules.budget import MaxLayerShare, MaxParams, MaxTrainableParams
    from archcheck.rules.calls import MaxCalls
    from archcheck.rules.causality import MaxLookAhead
    from archcheck.rules.claims import Claim, Synced
    from archcheck.rules.cost import MaxActivations, MaxMacs, MaxPeakMemory
    from archcheck.rules.evidence import AugmentationReachesTheBatch, HeldOutTestIsDisjoint
    from archcheck.rules.export import Exports, StateDictRoundTrip
    from archcheck.rules.gradients import GradientsReach
    from archcheck.rules.growth import MaxGrowth
    from archcheck.rules.learning import InitialLoss, OverfitsOneBatch
    from archcheck.rules.neighbours import FollowedBy, PrecededBy
    from archcheck.rules.permitted import Allows, KernelSizes, MultipleOf
    from archcheck.rules.presence import Count, Forbids, Requires, RequiresAny
    from archcheck.rules.probabilities import LogProbabilities
    from archcheck.rules.records import Beats
    from archcheck.rules.redundancy import NoBiasBeforeNorm, NoDoubleActivation, NoDropoutBeforeNorm
    from archcheck.rules.score import Score
    from archcheck.rules.shape import KeepsBatch, MinReceptiveField, OutputShape
    from archcheck.rules.storage import MaxBytes, MinSparsity
    from archcheck.rules.structure import Channels, DropoutRate, Head, NoPadding
    from archcheck.rules.targets import OperatorsFor
    from archcheck.rules.training import RecordMatchesModel
    from archcheck.rules.training_cost import MaxTrainingMacs
    from archcheck.rules.unproven import NoUnprovenNumbers
    from archcheck.rules.weights import NoFrozenParams, NoHiddenWeights, NoUnusedLayers, NoUnusedParams

    BUILTIN: tuple[type[Rule], ...]
    """Every builtin rule, group by group, in the order of the documentation."""

_HOMES = {
    "MaxParams": "budget",
    "MaxTrainableParams": "budget",
    "MaxBytes": "storage",
    "MaxArtifactBytes": "artifacts",
    "MinSparsity": "storage",
    "MaxLayerShare": "budget",
    "MaxMacs": "cost",
    "MaxTrainingMacs": "training_cost",
    "MaxActivations": "cost",
    "MaxPeakMemory": "cost",
    "MaxArena": "arena",
    "Score": "score",
    "MaxGrowth": "growth",
    "Requires": "presence",
    "RequiresAny": "presence",
    "Forbids": "presence",
    "Allows": "permitted",
    "OperatorsFor": "targets",
    "Count": "presence",
    "MaxCalls": "calls",
    "FollowedBy": "neighbours",
    "PrecededBy": "neighbours",
    "Head": "structure",
    "Channels": "structure",
    "MultipleOf": "permitted",
    "KernelSizes": "permitted",
    "DropoutRate": "structure",
    "NoPadding": "structure",
    "NoBiasBeforeNorm": "redundancy",
    "NoDoubleActivation": "redundancy",
    "NoDropoutBeforeNorm": "redundancy",
    "NoHiddenWeights": "weights",
    "NoUnusedParams": "weights",
    "NoUnusedLayers": "weights",
    "NoFrozenParams": "weights",
    "OutputShape": "shape",
    "KeepsBatch": "shape",
    "Accepts": "accepts",
    "MinReceptiveField": "shape",
    "MaxLookAhead": "causality",
    "FiniteOutput": "behaviour",
    "DeterministicInEval": "behaviour",
    "IndependentOfBatch": "behaviour",
    "GradientsReach": "gradients",
    "LogProbabilities": "probabilities",
    "InitialLoss": "learning",
    "OverfitsOneBatch": "learning",
    "StateDictRoundTrip": "export",
    "Exports": "export",
    "MinAccuracy": "accuracy",
    "Beats": "records",
    "RecordMatchesModel": "training",
    "AugmentationReachesTheBatch": "evidence",
    "HeldOutTestIsDisjoint": "evidence",
    "Claim": "claims",
    "NoUnprovenNumbers": "unproven",
    "Synced": "claims",
}
"""Class -> module, group by group, in the order of the documentation."""
_CLASSES = {name_of(name): name for name in _HOMES}

__all__ = ["BUILTIN", "BuiltinRules", "find", *_HOMES]


class BuiltinRules(Mapping[str, type[Rule]]):
    """The builtin rules by name (`max-params`), in the order of the documentation. Each is imported when it is read."""

    def __getitem__(self, name: str) -> type[Rule]:
        rule: type[Rule] = __getattr__(_CLASSES[name])
        return rule

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)

    def __contains__(self, name: object) -> bool:
        return name in _CLASSES


def find(name: str) -> type[Rule] | None:
    """Return the builtin rule called `name` (`max-params`), or `None`."""
    return BuiltinRules().get(name)


def __getattr__(name: str) -> Any:
    if name == "BUILTIN":
        found: Any = tuple(BuiltinRules().values())
    elif name in _HOMES:
        found = getattr(import_module(f"archcheck.rules.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
