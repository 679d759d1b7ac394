"""Split one run into shards, and join the reports of all shards.

The JSON report of a shard names its part and the subjects of the whole run. `merge` therefore finds a part that is
missing or there twice.
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
"""Most parts of a run. A larger number is a mistake."""
SHOWN = 10
"""Most missing parts that are named. The rest is only counted."""


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
        """Return every `count`-th item. Each item belongs to one shard, and neighbours belong to different shards."""
        return items[self.index - 1 :: self.count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The content of a saved report. `shard` is `None` for a whole run."""

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
    """Return the reports of all parts: shards in the order of the whole run, other parts in the order of `parts`.

    Raises `ArchcheckError` with a line for each part that is missing, there twice, or of another run.
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
    """Yield a line for each subject that two parts hold, and for each shard that is there twice."""
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
    """Yield a line for each part that belongs to another run than the first."""
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
    """Yield a line for each subject that a part lacks, or holds and should not."""
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
