"""The counts of fvcore for the same model, as a part of the facts."""

from __future__ import annotations

from dataclasses import dataclass

UNEXPLAINED = "unexplained"
"""The reason of a difference that nothing explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where fvcore counts another number of `quantity`, `"flops"` or `"activations"`.

    `op` is fvcore's name of the operator, or torch's name if fvcore has none. Both counts are for what `layer` runs
    itself, without the layers inside it. `reason` says why they differ, or is `"unexplained"`.
    """

    layer: str
    op: str
    ours: int
    fvcore: int
    reason: str
    quantity: str = "flops"

    @property
    def explained(self) -> bool:
        """Whether it is known why the counts differ."""
        return self.reason != UNEXPLAINED


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """What fvcore itself counts of the same forward pass, beside our `fvcore_flops` and `activations`.

    `error` says why fvcore could count nothing; its totals are `None` then. `compared` is the number of pairs of a
    layer and an operator to which either of us gives flops, and `version` that of fvcore.
    """

    total_ours: int
    total_fvcore: int | None
    activations_ours: int
    activations_fvcore: int | None
    compared: int = 0
    differences: tuple[Difference, ...] = ()
    error: str | None = None
    version: str = ""
