"""Accepted inputs: search for the smallest input that a model does not take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.json_codec import decode
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import listed, shape_text
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result

Extent = int | tuple[int, int]
"""One extent, or the least and the most that there may be."""

NAMED = ("batch", "channels", "length", "depth", "height", "width")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts(Rule):
    """Every input within these extents passes through the model, and the first output keeps its batch.

    Give the smallest and the largest value of each extent that may vary, `height = [28, 64]`, or one number to fix it.
    All others stay as in the example input. `batch` is the number of samples, as in `keeps-batch`. Images are `(N, C,
    H, W)` and volumes `(N, C, D, H, W)`, with `channels`, `depth`, `height` and `width`. Sequences are `(N, T)` or `(N,
    T, C)` with `length`; they are `(N, C, T)` where a convolution or BatchNorm reads them, and `(T, N, C)` where a
    layer says `batch_first=False`. `axes = { "0" = [1, 64], "2" = [28, 64] }` names any axis by its number. `input` is
    the position (from 0) or the keyword of the input to vary. By default it is the first input of numbers, or the input
    that holds the samples where `batch` is given. Another input with as many axes, or with the same first extents,
    varies along each axis where it has the same extent.

    The search uses shapes alone. It tries at most five hundred inputs, and fewer for a network of hundreds of layers.
    It tries all inputs if there are no more than that. Otherwise it tries every corner, the lines along each axis, and
    inputs that hypothesis generates and shrinks. A failure of few inputs inside a large box may not be found. The
    search is the same each time. The reported input is minimal: with any extent made smaller it no longer fails. It
    also fails a real forward pass. The smallest and the largest input are always tried on real numbers. Where values
    decide what a model does, as in `if x.sum() > 0`, some dozen real passes replace the shapes; a note says so.

    `mode` is `eval`, `train` or `both`. In training, BatchNorm refuses a single value per channel. A batch of one then
    fails where a map has become 1x1.

    Example, kept:
        rule = accepts = { batch = [1, 64], height = [5, 64], width = [5, 64] }
        model = nn.Sequential(nn.Conv2d(1, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        input = [1, 1, 28, 28]

    Example, broken:
        rule = accepts = { batch = [1, 64], height = [28, 64], width = [28, 64] }
        model = nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(576, 2))
        input = [1, 1, 28, 28]
        says = input 1x1x28x30 fails in `3` (Linear)

    Example, broken:
        rule = accepts = { length = [1, 64] }
        model = nn.Sequential(nn.Linear(4, 4), nn.Flatten(1, 2), nn.Unflatten(1, (4, 8)))
        input = [1, 8, 4]
        says = input 1x1x4 fails in `2` (Unflatten)
    """

    narrows = False
    batch: Extent | None = None
    channels: Extent | None = None
    length: Extent | None = None
    depth: Extent | None = None
    height: Extent | None = None
    width: Extent | None = None
    axes: Mapping[str, Extent] = field(default_factory=dict)
    input: int | str | None = None
    mode: Literal["eval", "train", "both"] = "eval"

    def __post_init__(self) -> None:
        """Refuse extents below one, bounds in the wrong order, and a rule without any axis."""
        Rule.__post_init__(self)
        if unnumbered := [str(axis) for axis in self.axes if not re.fullmatch(r"-?\d+", str(axis))]:
            raise ValueError(f'`axes` takes the numbers of axes, as in {{ "0" = [1, 64] }}, found {listed(unnumbered)}')
        stated = dict(self._stated())
        if not stated:
            raise ValueError(f"no axis is given; name at least one of {', '.join(NAMED)}, or give `axes`")
        for name, bounds in stated.items():
            if len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1]:
                found = " and ".join(map(str, bounds))
                raise ValueError(f"`{name}` must be one extent, or the least and the most, from 1 on, found {found}")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The search, with its bounds."""
        axes = {name: list(bounds) for name, bounds in self._stated()}
        return (need("accepts", axes=axes, mode=self.mode, input=self.input),)

    def check(self, facts: Facts) -> Result:
        """Report what the search found."""
        measured = facts.behaviour.get(self.needs[0])
        if measured is None:
            raise NotMeasured("no other inputs were tried")
        if measured["problem"] is not None:
            raise NotMeasured(measured["problem"], where=facts.subject.where)
        failure, tried, count = measured["failure"], measured["tried"], measured["count"]
        bounds = ", ".join(_bounds_text(*stated) for stated in self._stated())
        return Result(
            examined=tried,
            findings=() if failure is None else (self._finding(failure, facts),),
            found=None if failure is None else failure["shape"],
            limit={name: list(bounds) for name, bounds in self._stated()},
            kept=f"{bounds} ({f'{tried:,} of ' if tried < count else 'all '}{count:,} tried)",
            notes=tuple(measured["notes"]),
        )

    def _finding(self, failure: Mapping[str, Any], facts: Facts) -> Finding:
        layer = facts.layer(failure["layer"])
        place = f" in `{layer.path}` ({layer.type})" if layer and layer.path else ""
        mode = " in training" if failure["mode"] == "train" else ""
        where = decode(Where | None, failure["where"]) or (layer and layer.where)  # type: ignore[arg-type]
        fix = f"mend {f'`{layer.path}`' if place and layer else 'the forward pass'}, or narrow accepts"
        return Finding(
            message=f"input {shape_text(failure['shape'])} fails{place}{mode}: {failure['message']}",
            layer=failure["layer"],
            where=where or decode(Where | None, failure["called"]) or facts.subject.where,  # type: ignore[arg-type]
            fix=fix,
        )

    def _stated(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the bounds of each axis that is given."""
        named = {name: getattr(self, name) for name in NAMED}
        for name, extent in {**named, **{str(axis): extent for axis, extent in self.axes.items()}}.items():
            if extent is not None:
                yield name, (extent, extent) if isinstance(extent, int) else tuple(extent)


def _bounds_text(name: str, bounds: tuple[int, int]) -> str:
    low, high = bounds
    called = name if name in NAMED else f"axis {name}"
    return f"{called} {low}" if low == high else f"{called} {low}-{high}"
