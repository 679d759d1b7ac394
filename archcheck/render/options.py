"""What a reader may choose about a rendered report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.judging.shards import Shard
from archcheck.rules.queries.heads import head_of

HeadOf = Callable[[Facts], tuple[str, ...]]
"""What the path to the output ends in, in order of execution."""


def forward_head(facts: Facts) -> tuple[str, ...]:
    """Return the head that rules judge, the way data flows through it."""
    return head_of(facts)[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every format takes all of them and uses those that it has a use for.

    `color` adds terminal colours; `width` is that of the terminal, in columns, and `None` leaves every line
    as long as it is; `depth` is how many levels of the module tree are shown below the model; `outcomes_only`
    leaves out the facts; `head` names what a network ends in; `base` is the folder, seen from the root of
    the repository, that the files of the report are relative to; `shard` is the part of a run that this is;
    `pages` is the address of the published manual, without a slash at its end, empty if there is none.
    """

    color: bool = False
    width: int | None = None
    depth: int = 3
    outcomes_only: bool = False
    head: HeadOf = forward_head
    base: str = ""
    shard: Shard | None = None
    pages: str = ""
