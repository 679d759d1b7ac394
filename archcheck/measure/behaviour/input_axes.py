"""The probe `input-axis`: the extent of an input along an axis that a rule names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.passes.axes import choose

NAME = "input-axis"
"""What rules call the probe."""


def input_axis(
    context: ProbeContext,
    *,
    axis: str,
    input: int | str | None = None,  # noqa: A002 - the key of the contract
) -> Mapping[str, Any]:
    """Return the `extent` of the example input along an axis, or the `problem` that there is none."""
    try:
        chosen = choose(context.example, input, context.trace, context.tree)
        extent = chosen.tensor.shape[chosen.axis(axis, "axis")]
    except ValueError as error:
        return {"problem": str(error), "fix": "name another `axis` or `input` of `per`"}
    return {"extent": extent} if extent else {"problem": f"the input has no positions along `{axis}`"}
