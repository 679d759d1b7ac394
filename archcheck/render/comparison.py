"""Render the differences between two snapshots: as one line, and as pages in text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from archcheck.facts.snapshot import LayerMeasures, percent
from archcheck.facts.snapshot_comparison import Change, Comparison, Value
from archcheck.foundation.json_codec import encode
from archcheck.foundation.words import amount
from archcheck.render.markdown import escape, table
from archcheck.render.wording import one_line

SCHEMA = 1
"""Version of the JSON; it changes when a key changes its meaning or goes away."""
MODEL = "(the model)"
TITLES = ("measure", "before", "after", "change")


def summary(comparison: Comparison) -> str:
    """Return all differences on one line; for layers, only their number."""
    parts = [_change(change) for change in comparison.totals]
    for layers, what in ((comparison.added, "added"), (comparison.removed, "removed"), (comparison.changed, "changed")):
        if layers:
            parts.append(f"{amount(len(layers), 'layers')} {what}")
    return one_line("; ".join(parts)) or _alone(comparison) or "nothing differs"


def _alone(comparison: Comparison) -> str:
    """Return the only side that has the subject; empty if both have it."""
    if comparison.before and comparison.after:
        return ""
    return "only in the second" if comparison.after else "only in the first"


def _change(change: Change) -> str:
    before, after, by = _cells(change)
    return f"{change.name} {before} -> {after}" + (f" ({by})" if by else "")


def _cells(change: Change) -> tuple[str, str, str]:
    by = ""
    if isinstance(change.before, int) and isinstance(change.after, int):
        by = f"{change.after - change.before:+,}, {percent(change.before, change.after)}"
    return _value(change.before), _value(change.after), by


def _value(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:,}" if isinstance(value, int) else value or "none"


def _layers(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """Yield for each layer whether it is new, gone or changed, its path, and its measures or their changes."""
    for path, layer in comparison.removed.items():
        yield "removed", path or MODEL, _measures(layer)
    for path, layer in comparison.added.items():
        yield "added", path or MODEL, _measures(layer)
    for path, changes in comparison.changed.items():
        yield "changed", path or MODEL, ", ".join(map(_change, changes))


def _measures(layer: LayerMeasures) -> str:
    parts = [layer.type]
    parts += [amount(layer.params, "params")] if layer.params else []
    parts += [amount(layer.macs, "macs")] if layer.macs else []
    return ", ".join([*parts, *layer.outputs[:1]])


def _text(comparisons: Sequence[Comparison]) -> str:
    return "\n".join(line for comparison in comparisons for line in _text_of(comparison)) + "\n"


def _text_of(comparison: Comparison) -> Iterator[str]:
    name = one_line(comparison.subject)
    if comparison.same or _alone(comparison):
        yield f"{name}: {_alone(comparison) or 'the same'}"
        return
    yield name
    rows = [(change.name, *_cells(change)) for change in comparison.totals]
    yield from _aligned([(name, f"{before} -> {after}", by) for name, before, after, by in rows])
    yield from _aligned(list(_layers(comparison)))


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the rows with cells below one another."""
    lines = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()


def _markdown(comparisons: Sequence[Comparison]) -> str:
    blocks = ["### archcheck: what differs"]
    for comparison in comparisons:
        blocks += _markdown_of(comparison)
    return "\n\n".join(blocks) + "\n"


def _markdown_of(comparison: Comparison) -> Iterator[str]:
    yield f"#### {escape(comparison.subject)}"
    if comparison.same or _alone(comparison):
        yield (_alone(comparison) or "the same").capitalize() + "."
        return
    if comparison.totals:
        yield _totals_table(comparison)
    if layers := list(_layers(comparison)):
        yield table(("layer", "path", "what"), [map(escape, row) for row in layers])


def _totals_table(comparison: Comparison) -> str:
    """Return the totals that changed, with the limits of a contract if it has any."""
    rows: list[tuple[str, ...]] = [(change.name, *_cells(change)) for change in comparison.totals]
    titles: tuple[str, ...] = TITLES
    if any(name in comparison.limits for name, *_ in rows):
        limits = (comparison.limits.get(name) for name, *_ in rows)
        rows = [(*row, "" if limit is None else f"{limit:,}") for row, limit in zip(rows, limits, strict=True)]
        titles += ("limit",)
    return table(titles, [map(escape, row) for row in rows])


def _json(comparisons: Sequence[Comparison]) -> str:
    document = {"schema": SCHEMA, "comparisons": [_plain(comparison) for comparison in comparisons]}
    return json.dumps(document, indent=2) + "\n"


def _plain(comparison: Comparison) -> Mapping[str, object]:
    parts = encode(comparison)
    sides = {"in_first": comparison.before is not None, "in_second": comparison.after is not None}
    kept = {key: parts[key] for key in ("totals", "added", "removed", "changed")}
    return {"subject": comparison.subject, "same": comparison.same, **sides, **kept}


FORMATS: Mapping[str, Callable[[Sequence[Comparison]], str]] = MappingProxyType(
    {"text": _text, "markdown": _markdown, "json": _json}
)
"""Name of a format -> the function that writes it, ending in a newline."""
