"""Read the answers of probes: the answer, its place, and the size of differences that rounding explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.json_codec import decode
from archcheck.foundation.source_place import Where
from archcheck.rules.base import Rule

ROUNDING = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The distance from 1 to the next number, by dtype. For other dtypes, such as 8-bit ones, it is 1/8."""


def same_shapes(dtype: str, tolerance: float | None = None) -> float:
    """Return `tolerance`, by default the largest difference of the same operations on the same shapes.

    This is 16 roundings; in one thread it is 0.
    """
    return 16 * ROUNDING.get(dtype, 2.0**-3) if tolerance is None else tolerance


def other_shapes(dtype: str, tolerance: float | None = None) -> float:
    """Return `tolerance`, by default the largest difference of the same sums on other shapes.

    The order of a sum changes with the kernel, and each layer passes its rounding on. 16-bit kernels add in float32, so
    only one rounding per layer counts.
    """
    rounding = ROUNDING.get(dtype, 2.0**-3)
    return (256 if rounding < 2.0**-20 else 32) * rounding if tolerance is None else tolerance


def within(distance: float | None, limit: float) -> bool:
    """Whether a distance is within a limit. An infinite distance is within none."""
    return distance is not None and distance <= limit


def probed(rule: Rule, facts: Facts, asked: str | None = None) -> Mapping[str, Any]:
    """Return the answer of a probe of a rule, by default its first.

    Raises:
        NotMeasured: the probe was not run, or it has a problem.
    """
    facts.demand_numbers()
    measured = facts.behaviour.get(asked or rule.needs[0])
    if measured is None:
        raise NotMeasured("this was not measured: the model was not run on real numbers for it")
    if measured.get("problem"):
        fix = measured.get("fix")  # what is missing then is no fault of the model
        raise NotMeasured(measured["problem"], where=None if fix else facts.subject.where, fix=fix)
    return measured


def place_in_answer(told: Mapping[str, Any] | None, facts: Facts) -> tuple[str, Where | None, str | None]:
    """Return the layer, the line and the operation that a probe names, or those of the model if it names none."""
    if told is None:
        return "", facts.subject.where, None
    where: Where | None = decode(Where | None, told["where"])  # type: ignore[arg-type]
    return told["layer"], where or facts.built_at(told["layer"]), told["op"]


def distance_text(distance: float | None) -> str:
    """Return `0.31 of its largest number`."""
    return "beyond all numbers" if distance is None else f"by {distance:.2g} of its largest number"
