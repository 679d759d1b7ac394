"""The pages of the manual that are about no single rule: topics, and what counts as a kind.

They lie in `archcheck/pages` as Markdown, so that they are read on GitHub and, offline, by `archcheck explain`.
`README.md` in that folder lists them, one line a topic. `kinds.md` has a section for each kind and group of kinds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from archcheck.facts.selectors import EVERYDAY_WORDS, GROUPS, KINDS

__all__ = ["Topic", "kind_section", "near", "text_of", "topics", "topics_about"]

KINDS_PAGE = "kinds"
_GROUP = re.compile(r"^## (?P<group>.+)$")
_TOPIC = re.compile(r"^- \[`(?P<name>[a-z-]+)`\]\((?P=name)\.md\): (?P<summary>.+)$")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SHORT = 2
_MOST_NAMES = 3
"""Names that a message suggests at most."""
_AS_NEAR = 0.1
"""A name is suggested beside the nearest one if its similarity is at most this much lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A page: its name for `archcheck explain`, its group, and a summary."""

    name: str
    group: str
    summary: str


@cache
def topics() -> tuple[Topic, ...]:
    """Return every topic, in the order of the list in `archcheck/pages/README.md`."""
    found, group = [], ""
    for line in _read("README").splitlines():
        if heading := _GROUP.match(line):
            group = heading["group"]
        elif entry := _TOPIC.match(line):
            found.append(Topic(name=entry["name"], group=group, summary=entry["summary"]))
    return tuple(found)


def text_of(name: str) -> str | None:
    """Return the page of a topic, a kind or a group of kinds; `None` when there is none of that name."""
    if any(topic.name == name for topic in topics()):
        return _read(name)
    return kind_section(name) if name in KINDS or name in GROUPS else None


def kind_section(kind: str) -> str:
    """Return what the page on kinds says of one kind or group: from its heading to the next one.

    Raises `LookupError` when the page has no section of that name.
    """
    section = re.search(rf"^(#+) {kind}\n(?:(?!^#).*\n?)*", _read(KINDS_PAGE), re.MULTILINE)
    if section is None:
        raise LookupError(f"{KINDS_PAGE}.md has no section `{kind}`")
    return re.sub("^#+", "#", section[0]).rstrip() + "\n"


def near(word: str, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the topics, the kinds and the `others` that are similar to `word`, the nearest first."""
    meant = word.lower()
    if meant in EVERYDAY_WORDS:
        return (EVERYDAY_WORDS[meant],)
    known = dict.fromkeys((*others, *(topic.name for topic in topics()), *sorted({*KINDS, *GROUPS})))
    matches = difflib.get_close_matches(meant, known, n=_MOST_NAMES)
    likeness = [difflib.SequenceMatcher(None, match, meant).ratio() for match in matches]
    return tuple(match for match, like in zip(matches, likeness, strict=True) if like > likeness[0] - _AS_NEAR)


def topics_about(word: str) -> tuple[str, ...]:
    """Return the topics whose summary, headings or keys have `word`, in the singular or the plural, the fullest first.

    A key is what a table explains, in the first cell of a row: `until`, of a waiver. It counts twice. Words of two
    letters count only as code, so that `on` is not the preposition.
    """
    meant = re.escape(word.strip().strip("`").lower().removesuffix("s"))
    if not meant:
        return ()
    named = f"`?{meant}s?`?" if len(meant) > _SHORT else f"`{meant}`"
    has_word = re.compile(rf"(?<![\w-]){named}(?![\w-])", re.IGNORECASE)
    is_key = re.compile(rf"\| `{meant}s?` \|", re.IGNORECASE)
    about: dict[str, int] = {}
    for topic in topics():
        lines = _FENCED.sub("", _read(topic.name)).splitlines()
        headings = [line for line in lines if line.startswith("#")]
        about[topic.name] = sum(bool(has_word.search(line)) for line in (topic.summary, *headings))
        about[topic.name] += 2 * sum(bool(is_key.match(line)) for line in lines)
    return tuple(sorted(filter(about.get, about), key=lambda name: -about[name]))[:_MOST_NAMES]


def _read(name: str) -> str:
    return files("archcheck").joinpath("pages", f"{name}.md").read_text(encoding="utf-8")
