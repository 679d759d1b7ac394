"""Growth: how much larger a network may be than its committed snapshot."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from archcheck.facts.facts import Facts, lineage
from archcheck.facts.selectors import is_layer_type, kinds_of, matches_path
from archcheck.facts.snapshot import GROWING, NEED, Snapshot, Totals, incomparable, percent
from archcheck.facts.snapshot_comparison import OF_LAYERS, Growth, grown_layers
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.quantities import parse
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import did_you_mean, quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.placed_findings import layer_finding, model_finding

SHOWN = 3
"""Most layers that are named, those that grew most first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxGrowth(Rule):
    """No measure in `of` is more than `limit` above the committed snapshot.

    `limit` is a share of the value in the snapshot, `"5 %"` or 0.05, or an absolute number in the unit of the measure,
    as an integer or a text such as `"20k"`. `of` takes `params` (with hidden weights), `trainable`, `hidden`,
    `buffers`, `bytes`, `macs`, `fvcore_flops`, `activations` and `peak_activation_bytes`. For several limits, state the
    rule several times. With `on`, a path or a layer type, the rule compares the parameters and multiply-accumulates of
    those layers. Growth of either is found at the line that builds the layer that grew most; a layer that only has
    another path now did not grow. `archcheck snapshot` writes the snapshot. Without a snapshot, or with one that was
    measured on another input, the verdict is `error`.

    In a contract: `max-growth = [{ limit = 0, of = "params" }, { limit = "5 %", of = "macs" }]`

    Example, kept:
        rule = max-growth = "10 %"
        was = nn.Linear(10, 10)
        model = nn.Linear(10, 11)
        input = [1, 10]

    Example, broken:
        rule = max-growth = "5 %"
        was = nn.Linear(10, 10)
        model = nn.Linear(10, 11)
        input = [1, 10]
        says = params grew from 110 to 121 (+11, +10.0 %), limit 115 (+5 %)

    Example, vacuous:
        rule = max-growth = { limit = 0, on = "Conv2d" }
        was = nn.Linear(10, 10)
        model = nn.Linear(10, 10)
        input = [1, 10]

    Example, error:
        rule = max-growth = 0
        model = nn.Linear(10, 10)
        input = [1, 10]
        says = no snapshot was read
    """

    needs = (NEED,)
    limit: int | float | str
    of: tuple[str, ...] = OF_LAYERS

    def __post_init__(self) -> None:
        """Refuse an invalid limit, measures that do not grow, and measures that are unknown for layers."""
        Rule.__post_init__(self)
        _room(self.limit, 0)
        if not self.of:
            raise ValueError("`of` names at least one measure, such as params")
        known = GROWING if self.on is None else OF_LAYERS
        for name in self.of:
            if name not in known:
                raise ValueError(f"{quote(name)} is not a measure{did_you_mean(name, known, _ALLOWED[known])}")
        if self.on is not None and kinds_of(self.on):
            raise ValueError(f"`on` takes a path or a layer type here, and {quote(self.on)} is a kind")

    def check(self, facts: Facts) -> Result:
        """Compare each measure with the snapshot's."""
        before, after = self._committed(facts), measures_of(facts)
        was, now = _measures(before, self.on), _measures(after, self.on)
        limits = {name: was[name] + _room(self.limit, was[name]) for name in self.of}
        broken = [name for name in self.of if now[name] > limits[name]]
        return Result(
            examined=_reached(before, self.on) + _reached(after, self.on),
            findings=tuple(
                self._finding(name, was[name], now[name], limits[name], facts, _most(name, before, after, self.on))
                for name in broken
            ),
            found={name: now[name] for name in self.of},
            limit=limits,
            kept=_kept({name: (was[name], now[name]) for name in self.of}),
            most=tuple(_lines(_grown(broken[0], before, after, self.on))) if broken and broken[0] in OF_LAYERS else (),
        )

    def _committed(self, facts: Facts) -> Snapshot:
        if facts.snapshot is None:
            raise NotMeasured("no snapshot was read; judge through a contract with a committed snapshot")
        if facts.snapshot.measures is None:
            raise NotMeasured(facts.snapshot.problem or "there is no snapshot", fix=_remedy(facts, facts.snapshot.file))
        before = facts.snapshot.measures
        if reason := incomparable(before.totals, measures_of(facts).totals, self.of):
            where = Where(file=facts.snapshot.file, line=1)
            raise NotMeasured(reason, where=where, fix=_remedy(facts, facts.snapshot.file))
        return before

    def _finding(self, name: str, was: int, now: int, limit: int, facts: Facts, most: Growth | str) -> Finding:
        allowed = f"+{self.limit:,}" if type(self.limit) is int else _share_text(self.limit)
        grown = f"{name} grew from {was:,} to {now:,} (+{now - was:,}, {percent(was, now)})"
        accept = f"accept it with `archcheck snapshot {shlex.quote(facts.subject.name)}`"
        said, fix = f"{grown}, limit {limit:,} ({allowed})", f"bring {name} down by {now - limit:,}, or {accept}"
        if isinstance(most, str):
            return model_finding(facts, said + most, fix)
        return layer_finding(most.path, facts, f"{said}; most in {most}: +{most.added:,}", fix)


_ALLOWED = {GROWING: f"measures are {', '.join(GROWING)}", OF_LAYERS: "of layers, params and macs are known"}


def _remedy(facts: Facts, file: str) -> str:
    return f"write it with `archcheck snapshot {shlex.quote(facts.subject.name)}`, and commit {file}"


def _room(limit: float | str, before: int) -> int:
    """Return how much larger than `before` the measure may be. Raises `ValueError` for an invalid limit."""
    value: int | float = limit if not isinstance(limit, str) else _parsed(limit)
    if not 0 <= value < float("inf"):
        raise ValueError(f"`limit` must be at least 0, found {limit}")
    if type(value) is int:
        return value
    if value > 1 and not isinstance(limit, str):
        raise ValueError(f'`limit` is a share, 0.05 for 5 %, or an integer, found {limit:g}; write "{limit:g} %"')
    return int(before * Fraction(str(value)))


def _parsed(text: str) -> int | float:
    try:
        return parse(text, "share" if text.rstrip().endswith("%") else "elements")
    except ValueError as error:
        raise ValueError(f"`limit` {error}") from None


def _share_text(limit: float | str) -> str:
    return f"+{limit}" if isinstance(limit, str) else f"+{100 * limit:g} %"


def _kept(measures: Mapping[str, tuple[int, int]]) -> str:
    if all(was == now for was, now in measures.values()):
        return "as in the snapshot: " + ", ".join(f"{name} {now:,}" for name, (_, now) in measures.items())
    said = (f"{name} {now:,} ({percent(was, now)})" for name, (was, now) in measures.items())
    return ", ".join(said) + " since the snapshot"


def _measures(snapshot: Snapshot, on: str | None) -> Mapping[str, int]:
    """Return the measures by name: of the model, or summed over the layers that `on` points at."""
    if on is None:
        return {name: _total(snapshot.totals, name) for name in GROWING}
    return {name: sum(getattr(snapshot.layers[path], name) for path in _layers(snapshot, on)) for name in OF_LAYERS}


def _total(totals: Totals, name: str) -> int:
    value: int = getattr(totals, name)
    return value + totals.hidden if name == "params" else value


def _reached(snapshot: Snapshot, on: str | None) -> int:
    return sum(1 for _ in _layers(snapshot, on))


def _layers(snapshot: Snapshot, on: str | None) -> Iterator[str]:
    """Yield the paths of the layers that `on` names, and of all layers inside them."""
    for path in snapshot.layers:
        if on is None or any(_names(on, around, snapshot) for around in lineage(path)):
            yield path


def _names(on: str, path: str, snapshot: Snapshot) -> bool:
    layer = snapshot.layers.get(path)
    return matches_path(on, path) or (is_layer_type(on) and layer is not None and layer.type == on)


def _most(name: str, before: Snapshot, after: Snapshot, on: str | None) -> Growth | str:
    """Return the layer that grew most; the words for it if hidden weights grew more, and "" if no layer did."""
    first = next(_grown(name, before, after, on), None) if name in OF_LAYERS else None
    hidden = after.totals.hidden - before.totals.hidden if name == "params" and on is None else 0
    if hidden > (first.added if first else 0):
        return f"; most in hidden weights: +{hidden:,}"
    return first or ""


def _grown(name: str, before: Snapshot, after: Snapshot, on: str | None) -> Iterator[Growth]:
    """Yield the layers among those of `on` that grew, those that grew most first."""
    reached = frozenset(_layers(after, on))
    return (each for each in grown_layers(before, after, name) if each.path in reached)


def _lines(grown: Iterable[Growth]) -> Iterator[str]:
    for each in islice(grown, SHOWN):
        share = percent(each.before, each.after)
        yield f"{each.path or 'the model itself'}  {each.type}  +{each.added:,}  {share}"
