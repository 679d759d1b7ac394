"""Read and write quantities exactly, as people write them: `"20k"`, `"1.33M"`, `"256 KiB"`, `"50 %"`.

The metadata of a rule's field name its unit, `field(metadata={"unit": "parameters"})`. A contract may then give text
instead of a number. Prefixes are those of the SI (k is 1,000), and KiB is 1,024 bytes. Counts are whole numbers, so
`"1.3337k"` parameters are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from archcheck.foundation.words import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a number counts: the `factors` of its suffixes, and what its values look like.

    `short` chooses from the `preferred` suffixes; of two equally short texts, it takes the first.
    """

    factors: Mapping[str, Decimal]
    examples: tuple[str, ...]
    preferred: tuple[str, ...] = ("", *"kMGT")
    whole: bool = True


def _scaled(symbols: str, base: int, ending: str = "") -> dict[str, Decimal]:
    return {symbol + ending: Decimal(base) ** (power + 1) for power, symbol in enumerate(symbols)}


_COUNT = {**_scaled("kMGT", 1000), "K": Decimal(1000)}
_BYTES = {**_scaled("kMGT", 1000, "B"), **_scaled("KMGT", 1024, "iB"), "KB": Decimal(1000), "B": Decimal(1)}


def _counted(words: tuple[str, ...], **more: int) -> Unit:
    """Return a unit of whole numbers. Its name may follow the number: `20k parameters`, `2.5 GMACs`."""
    scales = {"": Decimal(1), **_COUNT, **{suffix: Decimal(factor) for suffix, factor in more.items()}}
    named = {scale + word: factor for word in words for scale, factor in scales.items()}
    named |= {f"{scale} {word}": factor for word in words for scale, factor in scales.items() if scale}
    return Unit(factors=MappingProxyType(scales | named), examples=("20k", "1.33M"))


UNITS: Mapping[str, Unit] = MappingProxyType({
    "parameters": _counted(("parameters", "params"), B=10**9),
    "macs": _counted(("multiply-accumulates", "macs", "MACs")),
    "elements": _counted(("elements",)),
    "bytes": Unit(
        factors=MappingProxyType({"": Decimal(1), **_BYTES, "bytes": Decimal(1)}),
        examples=("256 KiB", "1.5 MB"),
        preferred=("B", "KiB", "MiB", "GiB", "TiB", "kB", "MB", "GB", "TB"),
    ),
    "share": Unit(
        factors=MappingProxyType({"": Decimal(1), "%": Decimal("0.01")}),
        examples=("50 %",),
        preferred=("%",),
        whole=False,
    ),
    "number": Unit(
        factors=MappingProxyType({**_COUNT, **_BYTES, "B": Decimal(1), "bytes": Decimal(1), "": Decimal(1),
                                  "%": Decimal("0.01")}),
        examples=("1.33M", "50 %"),
        whole=False,
    ),
})  # fmt: skip
"""The units that a field may name in its metadata."""

_NUMBER = re.compile(r"(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*(?:\.\d+)?|\.\d+)\s*(?P<suffix>\S(?:.*\S)?)?")
_LONGEST = 40
"""Characters of a quantity at most."""


def parse(text: str, unit: str) -> int | float:
    """Return the number in `text`: an integer, or a float for shares.

    >>> parse("1.33M", "parameters"), parse("256 KiB", "bytes"), parse("19,999", "macs"), parse("50 %", "share")
    (1330000, 262144, 19999, 0.5)

    Raises `ValueError` if the text is not a quantity, if its suffix belongs to another unit, or if it is not a whole
    number. The message continues a sentence that begins with the name of the value.
    """
    value, _ = as_written(text, unit)
    if not UNITS[unit].whole:
        return float(value)
    if value != int(value):
        raise ValueError(
            f"must be a whole number, and {quote(text)} is {value.normalize():,f} {unit}; "
            f"write {int(value):_} or {int(value) + 1:_}"
        )
    return int(value)


def as_written(text: str, unit: str) -> tuple[Decimal, Decimal]:
    """Return the number in `text`, whole or not, and the value of one unit in its last digit.

    >>> as_written("1.33M", "parameters")
    (Decimal('1330000.00'), Decimal('10000.00'))

    Raises `ValueError` as `parse` does.
    """
    found = _NUMBER.fullmatch(text.strip()) if len(text) <= _LONGEST and text.isascii() else None
    if found is None:
        raise ValueError(f"must be {expected(unit)}, found {quote(text)}")
    suffix, factors = " ".join((found["suffix"] or "").split()), UNITS[unit].factors
    if suffix not in factors or ("," in found["number"] and factors[suffix] != 1):
        raise ValueError(f"must be {expected(unit)}, found {quote(text)}{_hint(suffix, unit)}")
    digits = found["number"].replace(",", "").replace("_", "")
    last = Decimal(1).scaleb(-len(digits.partition(".")[2]))
    return Decimal(digits) * factors[suffix], last * factors[suffix]


def short(number: float, unit: str) -> str:
    """Return the shortest exact text for a number of a unit; `parse` reads the same number back.

    >>> short(20_000, "parameters"), short(13_086, "parameters"), short(262_144, "bytes"), short(0.5, "share")
    ('20k', '13086', '256 KiB', '50 %')
    """
    exact = Decimal(str(number))
    gap = " " if unit in ("bytes", "share") else ""
    factors, preferred = UNITS[unit].factors, UNITS[unit].preferred
    texts = [f"{_plain(exact / factors[suffix])}{gap if suffix else ''}{suffix}" for suffix in preferred]
    return min((text for text in texts if _reads_as(text, unit, number)), key=len)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _reads_as(text: str, unit: str, number: float) -> bool:
    try:
        return parse(text, unit) == number
    except ValueError:  # rounding to the digits of a Decimal made it a fraction
        return False


def expected(unit: str) -> str:
    """Return what a value of this unit looks like: `an integer or text such as "20k" or "1.33M"`."""
    number = "an integer" if UNITS[unit].whole else "a number"
    return f"{number} or text such as " + listed(UNITS[unit].examples).replace(" and ", " or ")


def _hint(suffix: str, unit: str) -> str:
    known = UNITS[unit].factors
    meant = [suffix.lower() + ending for ending in ("", "b", "ib")]
    near = [each for each in known if each.lower() in meant]
    if near and suffix not in known:
        return f"; did you mean {listed(near[:2]).replace(' and ', ' or ')}?"
    owner = next((name for name, other in UNITS.items() if suffix in other.factors), unit)
    plural = "shares" if owner == "share" else owner
    return f"; {quote(suffix)} is for {plural}, and this counts {unit}" if owner != unit else ""
