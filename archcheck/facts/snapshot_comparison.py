"""Compare two snapshots of a subject: which totals changed, and which layers are new, gone or changed."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields

from archcheck.facts.snapshot import GROWING, LayerMeasures, Snapshot, Totals

OF_LAYERS = ("params", "macs")
"""The measures that a snapshot holds of each layer."""
Value = int | str | tuple[str, ...] | None
Key = Callable[[str, LayerMeasures], object]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A layer that is larger than before in one measure of its own, `params` or `macs`; a new one was 0."""

    path: str
    type: str
    before: int
    after: int

    @property
    def added(self) -> int:
        """How much larger it is, at least 1."""
        return self.after - self.before

    def __str__(self) -> str:
        """Return the layer for people: `block1.conv (Conv2d)`."""
        return f"{self.path} ({self.type})" if self.path else f"the model itself ({self.type})"


def grown_layers(before: Snapshot, after: Snapshot, name: str) -> tuple[Growth, ...]:
    """Return the layers that grew in a measure, `params` or `macs`, those that grew most first.

    A layer that has another path now is compared with the one that is gone from the snapshot: renaming is no growth. A
    layer put into a list moves those behind it, so of two ways to compare, that with the smaller changes counts.
    """

    def sizes(pairs: Mapping[str, str]) -> dict[str, tuple[int, int]]:
        gone = before.layers.keys() - set(pairs.values())
        was = {path: getattr(before.layers[old], name) for path, old in pairs.items()}
        now = {path: (was.get(path, 0), getattr(layer, name)) for path, layer in after.layers.items()}
        return now | {f"gone {path}": (getattr(before.layers[path], name), 0) for path in gone}

    ways = (sizes(_same_layers(before, after, keys)) for keys in ((_place, _size, _type, _path), _MOVED))
    nearest = min(ways, key=lambda each: sum(abs(new - old) for old, new in each.values()))
    grown = (
        Growth(path=path, type=after.layers[path].type, before=old, after=new)
        for path, (old, new) in nearest.items()
        if new > old
    )
    return tuple(sorted(grown, key=lambda each: -each.added))


def _same_layers(before: Snapshot, after: Snapshot, keys: Iterable[Key]) -> Mapping[str, str]:
    """Return, by its path, the path that each layer had before. What has the same first key is the same layer, and so
    on for the others.
    """
    new, gone = sorted(after.layers, key=_in_order), sorted(before.layers, key=_in_order)
    same: dict[str, str] = {}
    for key in keys:
        there: defaultdict[object, deque[str]] = defaultdict(deque)
        for path in gone:
            there[key(path, before.layers[path])].append(path)
        same |= {path: place.popleft() for path in new if (place := there[key(path, after.layers[path])])}
        taken = frozenset(same.values())
        new, gone = [each for each in new if each not in same], [each for each in gone if each not in taken]
    return same


def _place(path: str, layer: LayerMeasures) -> object:
    # the model itself stays the same, whatever its class is called
    return path and (path, layer.type)


def _size(path: str, layer: LayerMeasures) -> object:
    return layer.type, layer.params, layer.macs


def _type(path: str, layer: LayerMeasures) -> object:
    return layer.type


def _path(path: str, layer: LayerMeasures) -> object:
    return path


def _unchanged(path: str, layer: LayerMeasures) -> object:
    return path and (path, layer.type, layer.params, layer.macs)


_MOVED: tuple[Key, ...] = (_unchanged, _size, _place, _type, _path)


def _in_order(path: str) -> list[tuple[int, str]]:
    """Return a key that sorts the layers of a list by their number, as a snapshot file does not."""
    return [(int(step), "") if step.isdecimal() else (-1, step) for step in path.split(".")]


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
