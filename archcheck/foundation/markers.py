"""Markers in a text: `archcheck sync` writes the text between them, and the rule `synced` checks it.

    <!-- archcheck: mnist -->                                   a table of the subject `mnist`
    <!-- /archcheck -->
    <!-- archcheck: mnist params.total -->13,086<!-- /archcheck -->    one figure of it
    # <!-- archcheck: mnist model-card -->                      a model card, here in front matter, which is YAML
    <!-- archcheck: small-* comparison -->                      a table with a row a subject, of all that match

Markers in fenced code and in code spans are ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text
from archcheck.foundation.words import did_you_mean, listed, quote

CLOSING = "<!-- /archcheck -->"
COMPARISON = "comparison"
"""What stands after a pattern of subjects in the markers of a table that compares them."""
_AHEAD = r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*"
"""What may come before a fence: indentation, quotes, the marks of list items."""
_OPENS, _CLOSES = r"<!--[ \t]*archcheck:[^<>\n]*-->", r"<!--[ \t]*/archcheck[ \t]*-->"
_REGION = rf"{_OPENS}(?:(?!{_OPENS}|{_CLOSES}).)*+{_CLOSES}"
"""A pair of markers. A code span contains it whole: the text between the markers may not decide where the span ends."""
_TOKEN = re.compile(
    rf"""
    (?:^|(?<=\ufeff)){_AHEAD}(?:
        (?P<ticks>`{{3,}}+)[^`\n]*$(?:.*?^[ \t>]*(?P=ticks)`*[ \t\r]*$|.*)
      | (?P<tildes>~{{3,}}+)[^\n]*$(?:.*?^[ \t>]*(?P=tildes)~*[ \t\r]*$|.*))
    | (?<!`)(?P<span>`++)(?>{_REGION}|(?!\n[ \t\r]*\n).)+?(?<!`)(?P=span)(?!`)
    | <!--[ \t]*archcheck:(?P<opens>[^<>\n]*)-->
    | (?P<closes>{_CLOSES})
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The text between two markers, from `start` to `end`, for a `subject` and, if it is a single figure, its `path`.

    A comparison has a pattern as `subject`, and is of all `subjects` that match it. Each line of a table begins with
    `ahead`: indentation or the mark of a quotation.
    """

    subject: str
    subjects: tuple[str, ...]
    path: str | None
    where: Where
    start: int
    end: int
    ahead: str


def regions(text: Text, subjects: Collection[str]) -> tuple[Region, ...]:
    """Return the regions between markers, in order.

    Raises `NotMeasured` with the place and the next step for a text that could not be read, a marker without its other
    half, and a marker that names no subject.
    """
    return tuple(_regions(text, subjects))


def _regions(text: Text, subjects: Collection[str]) -> Iterator[Region]:
    content = text.demand()
    marks = [found for found in _TOKEN.finditer(content) if found["opens"] is not None or found["closes"]]
    for first, second in pairwise([*marks, None]):
        assert first is not None
        if first["closes"]:
            continue
        where = text.line(first.start())
        if second is None or not second["closes"]:
            shown = quote(first[0]).replace('\\"', "'")
            raise NotMeasured(f"{shown} is not closed", where=where, fix=f"put {CLOSING} behind what it holds")
        subject, path, matching = _named(first["opens"].strip(), subjects, where)
        begun = content[content.rfind("\n", 0, first.start()) + 1 : first.start()].lstrip("\ufeff")
        ahead = begun if re.fullmatch(r"[ \t>]*", begun) else ""
        yield Region(
            subject=subject,
            subjects=matching,
            path=path,
            where=where,
            start=first.end(),
            end=second.start(),
            ahead=ahead,
        )
    _refuse_stray(text, marks)


def _refuse_stray(text: Text, marks: list[re.Match[str]]) -> None:
    """Raise `NotMeasured` for a closing marker without an opening one."""
    for first, second in pairwise([None, *marks]):
        assert second is not None
        if second["closes"] and (first is None or first["closes"]):
            fix = "take it away, or put <!-- archcheck: SUBJECT --> ahead of it"
            raise NotMeasured(f"{second[0]} closes nothing", where=text.line(second.start()), fix=fix)


def _named(words: str, subjects: Collection[str], where: Where) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the subject or pattern and the figure's path that a marker names, and the subjects that it is of."""
    if words in subjects:
        return words, None, (words,)
    subject, _, path = words.rpartition(" ")
    subject = subject.strip()
    if path == COMPARISON and (matching := tuple(each for each in subjects if fnmatchcase(each, subject))):
        return subject, path, matching
    if subject in subjects:
        return subject, path, (subject,)
    meant = subject or words
    hint = did_you_mean(meant, subjects, f"the contract has {listed(subjects)}")
    what = "matches no subject" if path == COMPARISON else "is not a subject"
    raise NotMeasured(f"{quote(meant)} {what}{hint}", where=where, fix="name a subject of the contract")


def rewrite(text: Text, found: Collection[Region], content_of: Callable[[Region], str]) -> str:
    """Return the text with `content_of(region)` between the markers of each region; the rest stays."""
    content, end, parts = text.demand(), 0, []
    for region in found:
        parts += [content[end : region.start], content_of(region)]
        end = region.end
    return "".join([*parts, content[end:]])


def as_block(lines: Collection[str], text: Text, region: Region) -> str:
    """Return lines as the content between two markers on separate lines."""
    newline = "\r\n" if "\r\n" in text.demand() else "\n"
    return newline.join(["", *(region.ahead + line for line in lines), region.ahead])
