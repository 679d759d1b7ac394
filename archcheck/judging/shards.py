"""One run in several parts: which subjects a shard judges, and how the reports of all shards become one again.

The JSON report of a shard says which part it is and which subjects the whole run has, so that a part which is missing,
or is there twice, is noticed before anybody believes that everything passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.json_codec import decode
from archcheck.foundation.words import amount, listed
from archcheck.rules.findings import Report, reports_from_json

T = TypeVar("T")
MOST_SHARDS = 1_000_000
"""Parts of a run beyond which a number of parts is a mistake, and not a number of parts."""
SHOWN = 10
"""How many parts that are missing are named before the rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Part `index` of `count`, counted from 1, of a run over `subjects`, in their order."""

    index: int
    count: int
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"no shard {self.index} of {self.count}; they are counted from 1")
        if self.count > MOST_SHARDS:
            raise ValueError(f"a run has at most {MOST_SHARDS:,} shards, found {self.count:,}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return every `count`-th item: each belongs to one shard, and neighbours to different ones."""
        return items[self.index - 1 :: self.count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a saved report holds; `shard` is `None` for a run that was whole."""

    file: str
    reports: tuple[Report, ...]
    shard: Shard | None


def read_part(file: str, value: Any) -> Part:
    """Read the JSON document of `file`. Raises `ValueError` when it is no report of archcheck."""
    reports = reports_from_json(value)
    assert isinstance(value, Mapping)
    shard = None if value.get("shard") is None else decode(Shard, value["shard"], at="shard")
    return Part(file=file, reports=reports, shard=shard)


def merge(parts: Sequence[Part]) -> tuple[Report, ...]:
    """Return the reports of all parts: those of shards in the order of the whole run, others in that of `parts`.

    Raises `ArchcheckError` with a line for everything that is there twice, is missing, or does not belong together.
    """
    mistakes = [*_repeated(parts), *_unlike(parts)]
    mistakes = mistakes or [*_missing_shards(parts), *_missing_subjects(parts)]
    if mistakes:
        raise ArchcheckError("\n".join(mistakes))
    reports = [report for part in parts for report in part.reports]
    if parts[0].shard is None:
        return tuple(reports)
    places = {name: place for place, name in enumerate(parts[0].shard.subjects)}
    return tuple(sorted(reports, key=lambda report: places[report.subject]))


def _repeated(parts: Sequence[Part]) -> list[str]:
    """Name every subject, and every shard without one, that is there twice, with the files that hold it."""
    holders: dict[str, list[str]] = {}
    for part in parts:
        for report in part.reports:
            holders.setdefault(f"subject {listed([report.subject])}", []).append(part.file)
        if part.shard and not part.reports:
            holders.setdefault(f"shard {part.shard}", []).append(part.file)
    return [
        f"{what} is there {len(files)} times: in {listed(dict.fromkeys(files))}; name each once"
        for what, files in holders.items()
        if len(files) > 1
    ]


def _unlike(parts: Sequence[Part]) -> list[str]:
    """Say which parts are not of the run that the first is of."""
    first = parts[0]
    return [
        f"{part.file} and {first.file} are not of one run: {_run(part)} and {_run(first)}; merge what belongs together"
        for part in parts
        if _kind(part) != _kind(first)
    ]


def _kind(part: Part) -> tuple[int, tuple[str, ...]] | None:
    return (part.shard.count, part.shard.subjects) if part.shard else None


def _run(part: Part) -> str:
    return f"shard {part.shard} of {amount(len(part.shard.subjects), 'subjects')}" if part.shard else "no shard"


def _missing_shards(parts: Sequence[Part]) -> list[str]:
    shards = [part.shard for part in parts if part.shard]
    if not shards:
        return []
    there, count = {shard.index for shard in shards}, shards[0].count
    missing = islice((index for index in range(1, count + 1) if index not in there), SHOWN)
    lines = [f"the report of shard {index}/{count} is missing; name it, too" for index in missing]
    rest = count - len(there) - len(lines)
    return [*lines, f"{rest:,} more of {count:,} shards are missing, too"] if rest else lines


def _missing_subjects(parts: Sequence[Part]) -> list[str]:
    """Name what a part should hold and does not, and what it holds and should not."""
    mistakes = []
    for part in parts:
        if part.shard is None:
            continue
        own = dict.fromkeys(part.shard.share(part.shard.subjects))
        found = dict.fromkeys(report.subject for report in part.reports)
        if lacks := [name for name in own if name not in found]:
            mistakes.append(f"{part.file} lacks {listed(lacks)} of shard {part.shard}; check that shard again")
        if strange := [name for name in found if name not in own]:
            mistakes.append(f"{part.file} holds {listed(strange)}, not of shard {part.shard}; check that shard again")
    return mistakes
