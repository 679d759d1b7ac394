"""Find numbers in a text by a pattern or a JSON pointer, read them, and compare them with the measured value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from archcheck.foundation.quantities import UNITS, as_written
from archcheck.foundation.regular_expressions import matches
from archcheck.foundation.source_place import Where
from archcheck.foundation.structured_documents import values_at
from archcheck.foundation.text_files import Text

_SUFFIX = re.compile(r"[ \t\u00a0\u2009\u202f]?%|[kKMGT](?:i?B)?\b")
"""What belongs to a number even if the pattern leaves it out."""
_GAPS = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3})")
"""Spaces that separate thousands; other spaces are plain ones."""
_SPACES = re.compile(r"\s+")
_BEFORE = re.compile(r"(?:\d|\d[.,_])\Z")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_LONGEST = 40
_DOUBLE = Decimal("1e-14")
"""The share by which a number may differ from the one that a computer's number of 64 bits stands for, sums included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A number in a text: how it is `written` (without spaces), its line, and its `value`.

    `last` is the value of one unit in its last digit. Text that is not a number has no `value`. `of_one` marks a share
    that is not in percent.
    """

    written: str
    where: Where
    value: Fraction | None = None
    last: Fraction = Fraction(0)
    of_one: bool = False

    def holds(self, measured: Fraction, tolerance: Fraction | None, rounded: Fraction = Fraction(0)) -> bool:
        """Whether this is the measured value within `tolerance`, a share of it; by default rounded as it is written.

        `rounded` is one unit in the last digit of the measured value, if that is itself read in a text.
        """
        if self.value is None:
            return False
        room = (self.last + rounded) / 2 if tolerance is None else tolerance * abs(measured)
        return abs(self.value - measured) <= room


def claims_in(text: Text, pattern: str, unit: str, limit: float) -> Iterator[Claim]:
    """Yield what the group of a regular expression matches in a text, read in a unit of `quantities`.

    A percent sign or an SI prefix directly after the group belongs to the number. Raises `NotMeasured` for a text that
    could not be read, and `Unmatched` for a pattern that takes more than `limit` seconds.
    """
    content = text.demand()
    for begin, start, end in matches(pattern, content, limit):
        if start < 0:  # the group is in an alternative that did not match
            yield Claim(written="", where=text.line(begin))
            continue
        behind = _SUFFIX.match(content, end) if content[start:end][-1:].isdigit() else None
        whole = not (_BEFORE.search(content, max(0, start - 2), start) and content[start:end][:1].isdigit())
        yield read_claim(content[start : behind.end() if behind else end], unit, text.line(start), whole=whole)


def claims_at(text: Text, pointer: str, unit: str) -> tuple[Claim, ...]:
    """Return what a JSON pointer leads to in a document, read in a unit of `quantities`.

    Raises `ValueError` for a document that cannot be read, and for a pointer to several values; the message begins with
    the name of the file. Raises `NotMeasured` for a file that could not be read.
    """
    found = []
    for leaf in values_at(text, pointer):
        whole = leaf.kind != "other"  # `true` is no number
        found.append(read_claim(leaf.written, unit, text.line(leaf.position), whole=whole))
    return tuple(found)


def read_claim(written: str, unit: str, where: Where, *, whole: bool = True) -> Claim:
    """Return a number as a claim. A part of a number, such as 086 of 13,086, is not `whole` and has no value."""
    plain = _SPACES.sub(" ", _GAPS.sub(",", written)).strip(" ~≈").rstrip(".,;:")
    try:
        if not whole:
            raise ValueError("a part of a number")
        value, last = _real(plain, unit) or as_written(plain, unit)
    except ValueError:
        return Claim(written=plain, where=where)
    of_one = unit == "share" and not plain.endswith("%")
    return Claim(written=plain, where=where, value=Fraction(value), last=Fraction(last), of_one=of_one)


def _real(plain: str, unit: str) -> tuple[Decimal, Decimal] | None:
    """Return a number with a sign, an exponent or the digits of a computer's number, and one unit in its last digit.

    Digits that such a number cannot hold do not count. A count has no sign.
    """
    found = _REAL.fullmatch(plain) if len(plain) <= _LONGEST else None
    if found is None or (UNITS[unit].whole and plain[0] in "+-"):
        return None
    value = Decimal(plain)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    last = Decimal(1).scaleb(exponent)
    return value, last if exponent >= 0 and "e" not in plain.lower() else max(last, abs(value) * _DOUBLE)
