"""Budgets for a stretch of the input, such as a second of sound: the share of a cost along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.facts.records import Op
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.quantities import parse
from archcheck.foundation.words import amount, did_you_mean, listed, quote
from archcheck.rules.base import Rule
from archcheck.rules.queries.axis_names import NAMES, check_axis
from archcheck.rules.queries.graphs import place
from archcheck.rules.queries.probe_answers import probed

Per = Mapping[str, int | str]
"""As a contract states it: `{ axis = "length", size = 16_000 }`."""
_KEYS = ("axis", "size", "input")
_FASTER = ("attention", "matmul")
"""Kinds of operations whose cost may grow faster than the input, if both operands are computed from it."""


def check_per(per: Per) -> None:
    """Raise `ValueError` for an axis that cannot be, a size that is no number, and an unknown key. The message goes on
    after `per`.
    """
    if not per:
        return
    for key in per:
        if key not in _KEYS:
            raise ValueError(f"has no key {quote(key)}{did_you_mean(key, _KEYS, f'it has {listed(_KEYS)}')}")
    if missing := [key for key in _KEYS[:2] if key not in per]:
        raise ValueError(f'needs {listed(missing)}, as in `{{ axis = "length", size = 16_000 }}`')
    try:
        check_axis(per["axis"])
    except ValueError as error:
        raise ValueError(f"takes an `axis` that {error}") from None
    if not isinstance(per["size"], int | str) or isinstance(per["size"], bool) or _size(per) < 1:
        raise ValueError(f"takes a size of at least 1, found {per['size']}")
    if isinstance(given := per.get("input"), int) and given < 0:
        raise ValueError(f"takes as input its position, from 0, or its keyword, found {given}")


def _axis(per: Per) -> str:
    return str(per["axis"])


def _size(per: Per) -> int:
    size = per["size"]
    try:
        return int(parse(size, "elements")) if isinstance(size, str) else size
    except ValueError as error:
        raise ValueError(f"takes a `size` that {error}") from None


def needs_of(per: Per) -> tuple[str, ...]:
    """Return the probe that finds an axis by its name."""
    return (need("input-axis", axis=_axis(per), input=per.get("input")),) if per and not _is_numbered(per) else ()


def _is_numbered(per: Per) -> bool:
    return _axis(per) not in NAMES and not isinstance(per.get("input"), str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """An amount, or its share: `found` in a `unit`. `parts` and `notes` tell what it consists of, or is a share of."""

    found: int
    unit: str
    parts: str = ""
    notes: tuple[str, ...] = ()

    @property
    def aside(self) -> str:
        """The parts as messages add them."""
        return f" ({self.parts})" if self.parts else ""


def shared(rule: Rule, per: Per, facts: Facts, ops: Sequence[Op], whole: Shared) -> Shared:
    """Return the share of an amount, if the rule states `per`. It is exact, and rounded up to a whole number.

    Raises:
        NotMeasured: there is no such axis, or it is too short to tell what a longer one costs.
    """
    if not per:
        return whole
    extent, size = _extent(rule, per, facts), _size(per)
    unit = "samples" if _axis(per) == "batch" else "positions"
    if size > extent and _axis(per) != "batch":
        _demand_linear(ops, facts, extent, size)
    share = Fraction(whole.found * size, extent)
    told = f"{whole.found:,} for {extent:,}"
    return replace(
        whole,
        found=-(-share.numerator // share.denominator),
        unit=f"{whole.unit} per {amount(size, unit)}",
        parts=f"{told}: {whole.parts}" if whole.parts else told,
        notes=(*whole.notes, f"{told} {unit} of the example input"),
    )


def _extent(rule: Rule, per: Per, facts: Facts) -> int:
    """Return the extent of the example input along the axis."""
    if not _is_numbered(per):
        return int(probed(rule, facts, needs_of(per)[0])["extent"])
    inputs, chosen, axis = facts.shape.inputs, per.get("input"), int(_axis(per))
    able = [each for each in inputs if each.shape and each.dtype != "bool"] if chosen is None else inputs[int(chosen) :]
    if not able:
        raise _unknown(f"there is no input {'with axes' if chosen is None else chosen}, of {len(inputs)}", facts)
    shape = able[0].shape
    if not -len(shape) <= axis < len(shape) or not shape[axis]:
        raise _unknown(f"the input {'x'.join(map(str, shape))} has no positions along axis {axis}", facts)
    return shape[axis]


def _unknown(message: str, facts: Facts) -> NotMeasured:
    return NotMeasured(message, where=facts.subject.where, fix="mend `per` of the rule")


def _demand_linear(ops: Sequence[Op], facts: Facts, extent: int, size: int) -> None:
    """Raise `NotMeasured` for operations whose cost in a longer input is not told by that in a shorter one."""
    for op in ops:
        if op.kind in _FASTER and op.macs and not op.params:
            raise NotMeasured(
                f"{op.op} in {f'`{op.layer}`' if op.layer else 'the model'} multiplies activations by each other, so "
                f"its cost may grow faster than the input: {extent:,} positions do not tell what {size:,} cost",
                where=op.where or place(op, facts),
                fix=f"give an example input of at least {size:,} positions",
            )
