"""The rules that come with archcheck: pure functions of facts, one module per group."""

from __future__ import annotations

from archcheck.rules.accepts import Accepts
from archcheck.rules.accuracy import MinAccuracy
from archcheck.rules.arena import MaxArena
from archcheck.rules.artifacts import MaxArtifactBytes
from archcheck.rules.base import Rule, rule_name
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

BUILTIN: tuple[type[Rule], ...] = (
    MaxParams,
    MaxTrainableParams,
    MaxBytes,
    MaxArtifactBytes,
    MinSparsity,
    MaxLayerShare,
    MaxMacs,
    MaxTrainingMacs,
    MaxActivations,
    MaxPeakMemory,
    MaxArena,
    Score,
    MaxGrowth,
    Requires,
    RequiresAny,
    Forbids,
    Allows,
    OperatorsFor,
    Count,
    MaxCalls,
    FollowedBy,
    PrecededBy,
    Head,
    Channels,
    MultipleOf,
    KernelSizes,
    DropoutRate,
    NoPadding,
    NoBiasBeforeNorm,
    NoDoubleActivation,
    NoDropoutBeforeNorm,
    NoHiddenWeights,
    NoUnusedParams,
    NoUnusedLayers,
    NoFrozenParams,
    OutputShape,
    KeepsBatch,
    Accepts,
    MinReceptiveField,
    MaxLookAhead,
    FiniteOutput,
    DeterministicInEval,
    IndependentOfBatch,
    GradientsReach,
    LogProbabilities,
    InitialLoss,
    OverfitsOneBatch,
    StateDictRoundTrip,
    Exports,
    MinAccuracy,
    Beats,
    RecordMatchesModel,
    AugmentationReachesTheBatch,
    HeldOutTestIsDisjoint,
    Claim,
    NoUnprovenNumbers,
    Synced,
)
"""Every builtin rule, group by group, in the order of the documentation."""

__all__ = ["BUILTIN", "find", *(cls.__name__ for cls in BUILTIN)]


def find(name: str) -> type[Rule] | None:
    """Return the builtin rule called `name` (`max-params`), or `None`."""
    return next((cls for cls in BUILTIN if rule_name(cls) == name), None)
