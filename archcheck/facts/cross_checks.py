"""The counts of other tools for the same model, as a part of the facts."""

from __future__ import annotations

from dataclasses import dataclass

from archcheck.foundation.words import did_you_mean, listed, quote

TOOLS = ("torchinfo", "fvcore", "ptflops", "thop", "flop-counter", "deepspeed", "torch-scan", "timm")
"""The tools whose way of counting is known."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A place where a tool counts another number than the true one, both in the unit of the tool, and why."""

    layer: str
    op: str
    ours: int
    theirs: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCount:
    """The number that a tool prints for the measured forward pass, rebuilt by its formulas, of `version`.

    `total` is in the `unit` of the tool, `None` where the tool fails, for the reason in `error`. `macs` are the true
    multiply-accumulates.
    """

    tool: str
    unit: str
    version: str
    macs: int
    total: int | None
    differences: tuple[Departure, ...] = ()
    error: str | None = None


def check_tool(name: str) -> None:
    """Raise `ValueError` unless this names one of `TOOLS`."""
    if name not in TOOLS:
        hint = did_you_mean(name, TOOLS, f"the tools are {listed(TOOLS)}")
        raise ValueError(f"{quote(name)} is not a tool whose way of counting is known{hint}")
