"""Words for messages: quoting, counting, lists, and the known word nearest to a misspelt one."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 60
"""Characters of a quoted word at most; the rest is left out."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a terminal does not show: controls, marks of direction, surrogates, separators."""


def visible(text: str) -> str:
    r"""Return a text with escapes for control characters and line ends.

    >>> visible("two\nlines"), visible("\x1b[31mred")
    ('two\\nlines', '\\x1b[31mred')
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in UNSEEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def quote(word: str) -> str:
    """Return `word` in double quotes, on one line and of limited length.

    >>> quote("max-params"), quote("a" * 100) == '"' + "a" * 60 + '…"'
    ('"max-params"', True)
    """
    shortened = cut(word, LONGEST)
    return json.dumps(shortened, ensure_ascii=not shortened.isprintable())


def as_yaml(value: object) -> str:
    """Return JSON that YAML reads as the same value. JSON writes an emoji as two escapes, which YAML reads as two."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)


def cut(text: str, longest: int) -> str:
    """Return at most `longest` characters of a text, with an ellipsis if some are left out."""
    return text if len(text) <= longest else text[:longest] + "…"


def shape_text(shape: Iterable[int]) -> str:
    """Return `1x28x28`."""
    return "x".join(map(str, shape)) or "scalar"


def amount(number: int, unit: str) -> str:
    """Return a number with its unit, which is given in the plural: digits in threes, and the singular for one.

    >>> amount(13_086, "parameters"), amount(1, "bytes of parameters and buffers")
    ('13,086 parameters', '1 byte of parameters and buffers')
    """
    noun = re.split(" of | at | per ", unit)[0]
    return f"{number:,} {noun.removesuffix('s') + unit.removeprefix(noun) if number == 1 else unit}"


def listed(words: Iterable[str]) -> str:
    """Return quoted words as a list: `"a", "b" and "c"`."""
    quoted = [quote(word) for word in words]
    return " and ".join(part for part in (", ".join(quoted[:-1]), *quoted[-1:]) if part)


def first_of(items: Sequence[str], most: int) -> str:
    """Return the first `most` items as they are, and how many others there are: `a, b and 3 more`."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to `word`, or `None` if none is similar."""
    spellings = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(word.lower(), spellings, n=1)
    return spellings[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return `; did you mean "max-params"?`, or `; ` and `otherwise` if no known word is similar."""
    match = nearest(word, known)
    if match is not None:
        return f"; did you mean {quote(match)}?"
    return f"; {otherwise}" if otherwise else ""
