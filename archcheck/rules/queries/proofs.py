"""What proves a number that a text states: a figure of the model, the size of files, or a number in another file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from posixpath import normpath
from types import MappingProxyType

from archcheck.facts.artifact_files import Artifact
from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.json_pointers import check_pointer
from archcheck.foundation.numbers_in_text import Claim, claims_at, claims_in
from archcheck.foundation.regular_expressions import Unmatched
from archcheck.foundation.source_place import Where
from archcheck.foundation.structured_documents import nearest_to
from archcheck.foundation.text_files import Text
from archcheck.foundation.words import amount, did_you_mean, listed, quote
from archcheck.rules.queries.figure_formulas import figure_of
from archcheck.rules.queries.figures import value_text

TAKES: Mapping[str, Callable[[Sequence[Fraction]], Fraction]] = MappingProxyType({
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
    "min": min,
    "max": max,
    "mean": lambda values: sum(values, Fraction()) / len(values),
    "sum": lambda values: sum(values, Fraction()),
})  # fmt: skip
"""How several numbers of a file become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where numbers stand: in a file, by a pattern with one group or by a JSON pointer."""

    file: str
    pattern: str | None = None
    pointer: str | None = None

    def __post_init__(self) -> None:
        """Refuse a file without a name, both or none of the ways, and mistakes in them."""
        if not self.file.strip():
            raise ValueError("`file` must not be empty")
        if (self.pattern is None) == (self.pointer is None):
            raise ValueError("give either `pattern`, a regular expression, or `pointer`, a JSON pointer")
        if self.pointer is not None:
            check_pointer(self.pointer)
        elif (problem := _problem_in(self.pattern or "")) is not None:
            raise ValueError(f"`pattern` {problem}")

    @property
    def at(self) -> str:
        """The place in the file, for messages; findings point at the line of a pattern."""
        return "" if self.pointer is None else f" at {self.pointer or 'the top'}"

    def is_same(self, other: Source) -> bool:
        """Whether another source is at the same place of the same file, however the file is named."""
        return normpath(self.file) == normpath(other.file) and replace(self, file=other.file) == other

    def numbers(self, facts: Facts, unit: str) -> tuple[Claim, ...]:
        """Return what stands there. Raises `NotMeasured` if that cannot be found out."""
        text = facts.texts[self.file]
        if self.pattern is None:
            try:
                return claims_at(text, self.pointer or "", unit)
            except ValueError as error:
                where, fix = Where(file=text.shown, line=1), "mend the file, or what the rule says of it"
                raise NotMeasured(str(error), where=where, fix=fix) from None
        try:
            return tuple(claims_in(text, self.pattern, unit, facts.texts.limit))
        except Unmatched as problem:
            raise NotMeasured(
                f"the pattern {quote(self.pattern)} of claim {problem} in {text.shown}",
                where=Where(file=text.shown, line=1),
                fix="write it so that no repetition stands within another, or raise `timeout`",
            ) from None

    def nothing_in(self, text: Text) -> str:
        """Return that nothing was found there."""
        if self.pattern is not None:
            return f"nothing in {text.shown} matches {quote(self.pattern)}"
        pointer = self.pointer or ""
        return f"{text.shown} has nothing at {quote(pointer)}{nearest_to(text, pointer)}"


def _problem_in(pattern: str) -> str | None:
    """Return what is wrong with a pattern that should find numbers."""
    try:
        groups = re.compile(pattern, re.MULTILINE).groups
    except (re.error, RecursionError, OverflowError) as error:
        return f"is not a regular expression: {error}"
    return None if groups == 1 else f"needs one group, the number, found {groups}; write (?:…) for any other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The value that a claim should have. `told` says what it is, as a clause, and `shown` is the value.

    There are several `values` if a figure has several, and none if nothing was found. `last` is one unit in the last
    digit of a value that is read in a text.
    """

    told: str
    shown: str
    values: tuple[Fraction, ...]
    last: Fraction = Fraction(0)


def of_figure(path: str, facts: Facts) -> Proven:
    """Return the values of a figure."""
    values = figure_of(path).of(facts)
    shown = ", ".join(value_text(path, value, exact=True) for value in values) or "none"
    return Proven(told=f"{path} is {shown}", shown=shown, values=values)


def of_files(asked: Sequence[Artifact], facts: Facts) -> Proven:
    """Return the bytes of files, each counted once."""
    sizes = {file.shown: file.bytes for artifact in asked for file in facts.artifacts[artifact]}
    total = sum(sizes.values())
    names = listed(sizes) if len(sizes) <= 3 else amount(len(sizes), "files")
    takes = "takes" if len(sizes) == 1 else "take"
    return Proven(told=f"{names} {takes} {amount(total, 'bytes')}", shown=f"{total:,}", values=(Fraction(total),))


def source_of(proof: Mapping[str, str]) -> tuple[Source, str | None]:
    """Read a `proof` of a contract: where the numbers stand, and how several become one.

    Raises `ValueError` for a mistake in it.
    """
    keys = ("file", "pattern", "pointer", "take")
    for key in proof:
        if key not in keys:
            raise ValueError(f"{quote(key)} is not a key of `proof`{did_you_mean(key, keys, f'it has {listed(keys)}')}")
    if "file" not in proof:
        raise ValueError("`proof` names the `file` in which the number stands")
    take = proof.get("take")
    if take is not None and take not in TAKES:
        raise ValueError(f"`take` is one of {listed(TAKES)}, found {quote(take)}")
    try:
        return Source(file=proof["file"], pattern=proof.get("pattern"), pointer=proof.get("pointer")), take
    except ValueError as error:
        raise ValueError(f"of `proof`, {error}") from None


def of_source(source: Source, take: str | None, facts: Facts) -> Proven:
    """Return the number in another file. Raises `NotMeasured` if there are several and nothing says which counts."""
    text, found = facts.texts[source.file], source.numbers(facts, "number")
    numbers = [claim for claim in found if claim.value is not None]
    if len(numbers) < len(found):
        odd = next(claim for claim in found if claim.value is None)
        raise _unproven(f"{text.shown} says {quote(odd.written)}, which is not a number", odd.where)
    if not numbers:
        return Proven(told=source.nothing_in(text), shown="", values=())
    values = [claim.value for claim in numbers if claim.value is not None]
    if take is None and len(set(values)) > 1:
        raise _unproven(
            f"{amount(len(values), 'numbers')} in {text.shown} may prove this, from {numbers[0].written} to "
            f"{numbers[-1].written}",
            numbers[0].where,
            fix=f"say which of them counts: `take` is one of {listed(TAKES)}",
        )
    last = max(claim.last for claim in numbers)
    value = TAKES[take or "last"](values)
    if take in ("mean", "sum"):
        shown = _decimal(value)
        told = f"the {take} of {amount(len(values), 'numbers')} in {text.shown} is {shown}"
        return Proven(told=told, shown=shown, values=(value,), last=last * (len(values) if take == "sum" else 1))
    said = next(claim for claim in (numbers if take == "first" else numbers[::-1]) if claim.value == value)
    return Proven(told=f"{said.where} says {said.written}", shown=said.written, values=(value,), last=said.last)


def _unproven(message: str, where: Where, fix: str = "mend that file, or what `proof` says of it") -> NotMeasured:
    return NotMeasured(message, where=where, fix=fix)


def _decimal(value: Fraction) -> str:
    return f"{int(value):,}" if value.denominator == 1 else f"{float(value):.9g}"


def holds(claim: Claim, proven: Proven, tolerance: float | None, *, percent: bool) -> bool:
    """Whether a claim is every proven value. With `percent`, one may be a share, the other in percent."""
    room = None if tolerance is None else Fraction(str(tolerance))
    return bool(proven.values) and all(_is_value(claim, value, proven.last, room, percent) for value in proven.values)


def _is_value(claim: Claim, value: Fraction, last: Fraction, room: Fraction | None, percent: bool) -> bool:
    stated = claim.value
    if stated is None or claim.holds(value, room, last):
        return stated is not None
    if percent and 0 <= value <= 1 < stated:
        return claim.holds(100 * value, room, 100 * last)
    if percent and 0 <= stated <= 1 < value:
        return replace(claim, value=100 * stated, last=100 * claim.last).holds(value, room, last)
    return False
