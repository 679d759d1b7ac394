"""Compare two snapshots of a subject: which totals changed, and which layers are new, gone or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from archcheck.facts.snapshot import GROWING, LayerMeasures, Snapshot, Totals

Value = int | str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A measure that has changed."""

    name: str
    before: Value
    after: Value

    @property
    def added(self) -> int | None:
        """The growth, negative if it shrank; `None` if it is not a number."""
        if isinstance(self.before, int) and isinstance(self.after, int):
            return self.after - self.before
        return None

    @property
    def grew(self) -> bool:
        """Whether a measure is larger now, for measures where less is better."""
        return self.name in GROWING and (self.added or 0) > 0

    @property
    def shrank(self) -> bool:
        """Whether a measure is smaller now, for measures where less is better."""
        return self.name in GROWING and (self.added or 0) < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between two snapshots of `subject`; a side without the subject is `None`.

    `totals` are in the order of `Totals`, layers in the order of their paths. `limits` are what the contract of the
    second allows for a total, where that is known.
    """

    subject: str
    before: Snapshot | None
    after: Snapshot | None
    totals: tuple[Change, ...] = ()
    added: Mapping[str, LayerMeasures]
    removed: Mapping[str, LayerMeasures]
    changed: Mapping[str, tuple[Change, ...]]
    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        alone = self.before is None or self.after is None
        return not (alone or self.totals or self.added or self.removed or self.changed)


def compare(subject: str, before: Snapshot | None, after: Snapshot | None) -> Comparison:
    """Return the differences. A subject that is on one side only has no other differences."""
    old = before.layers if before and after else {}
    new = after.layers if before and after else {}
    both = sorted(old.keys() & new.keys())
    return Comparison(
        subject=subject,
        before=before,
        after=after,
        totals=_changes(before.totals, after.totals) if before and after else (),
        added={path: new[path] for path in sorted(new.keys() - old.keys())},
        removed={path: old[path] for path in sorted(old.keys() - new.keys())},
        changed={path: changes for path in both if (changes := _changes(old[path], new[path]))},
    )


def compare_all(before: Mapping[str, Snapshot], after: Mapping[str, Snapshot]) -> tuple[Comparison, ...]:
    """Compare subjects with the same name. If each side has exactly one subject, compare these under any name."""
    if len(before) == len(after) == 1:
        (old_name, old), (name, new) = *before.items(), *after.items()
        return (compare(name if name == old_name else f"{old_name} -> {name}", old, new),)
    names = dict.fromkeys((*before, *after))
    return tuple(compare(name, before.get(name), after.get(name)) for name in names)


def _changes(before: Totals | LayerMeasures, after: Totals | LayerMeasures) -> tuple[Change, ...]:
    pairs = ((each.name, getattr(before, each.name), getattr(after, each.name)) for each in fields(before))
    return tuple(Change(name=name, before=old, after=new) for name, old, new in pairs if old != new)
