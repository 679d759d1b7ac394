"""Options of a rendered report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archcheck.judging.shards import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options for all formats. Each format uses those that apply to it.

    `color` adds terminal colours. `width` is the width of the terminal in columns; `None` breaks no lines. `depth` is
    how many levels of the module tree are shown below the model. `outcomes_only` leaves out the facts. `base` is the
    folder of the report's files, relative to the root of the repository. `shard` is the part of the run that the report
    covers. `pages` is the address of the published manual, without a slash at its end; it is empty if there is none.
    `hashes` are the SHA-256 of files of weights, by the name of the file or of the target that they were loaded into.
    `timestamp` is the time that a document states, `2026-11-30T12:00:00Z`; it is empty if it states none.
    """

    color: bool = False
    width: int | None = None
    depth: int = 3
    outcomes_only: bool = False
    base: str = ""
    shard: Shard | None = None
    pages: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    timestamp: str = ""
