"""The probe `look-ahead`: how far into the future of its input a position of the output looks.

All input positions from one on get other numbers. The earliest output position that changes then depends on one of
them. With every such cut, the look-ahead is known to the position; where that takes too many passes, cuts are where
they may still show more than what was found. The parameters are tried as they are and moved a little, because weights
that start at zero do not stay there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import islice, pairwise
from typing import Any

import torch

from archcheck.measure.behaviour.example_variants import noise
from archcheck.measure.behaviour.probe_context import ProbeContext, main_in
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import Chosen, Varied, choose, goes_with
from archcheck.measure.passes.changed_parameters import nudge
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.layouts import on_values

NAME = "look-ahead"
"""What rules call the probe."""
_PASSES, _FEWEST = 2_000, 16
"""Forward passes at most, for either set of parameters; fewer for a large model, but as many as the second number."""
_ROUNDING = 16
"""Roundings of a number by which an output may differ where nothing that it depends on does."""
_MOVED = 0.01
_OUTPUTS = 8
"""Outputs at most that are looked at beside the main one."""
_LARGE = 30.0
"""Factor of the second set of other numbers: those that a nearly closed gate lets through."""


def look_ahead(
    context: ProbeContext,
    *,
    axis: str = "length",
    input: int | str | None = None,  # noqa: A002 - the key of the contract
    output_axis: int | None = None,
    limit: int = 0,
) -> Mapping[str, Any]:
    """Return by how many input positions an output looks ahead along an axis, `farthest`.

    That is the main output, or another one that grows with the input; `output` is its number, `None` for the main one.
    `position` of the output depends on `seen` of the input. There are `outputs` positions, each for `hop` positions of
    the input. `possible` is the most that cuts which were not tried may show; it is at most `limit` where time allows.
    `trained` is the same with parameters that were moved a little. `problem` says why nothing can be said.
    """
    try:
        chosen = choose(context.example, input, context.trace, context.tree)
        along = chosen.axis(axis, "axis")
        outside = _output_axis(context, chosen, along, output_axis)
    except ValueError as error:
        return {"problem": str(error)}
    if chosen.tensor.shape[along] < 2:
        return {
            "problem": f"the input has one position along axis {along}, so nothing lies ahead of another",
            "fix": "give an example of several positions, or name another `axis`",
        }
    searches = [_Search(context, chosen, along, outside, moved=moved) for moved in (False, True)]
    if len(searches[0].plain) < 2:
        return {
            "problem": f"the output has one position along axis {outside}, for all {chosen.tensor.shape[along]:,} of "
            "the input, so nothing lies ahead of it",
            "fix": "give a longer example, with several positions in the output, or name another `output-axis`",
        }
    found = [[search.run(limit) for search in searches]]
    for which, beside in _others(context, chosen, along):
        found.append(
            [_Search(context, chosen, along, beside, moved=moved, which=which).run(limit) for moved in (False, True)]
        )
    as_is, trained = (
        max(each, key=lambda one: (one["farthest"], one["possible"])) for each in zip(*found, strict=True)
    )
    return {**as_is, "trained": trained}


def _others(context: ProbeContext, chosen: Chosen, along: int) -> list[tuple[int, int]]:
    """Return the outputs beside the main one that grow with the input: their number, and the axis."""
    outputs = context.outputs(context.example)
    main, before = main_in(outputs), [*tensors_in(outputs)]
    if len(before) < 2:
        return []
    longer = Varied(chosen, (along,)).example_at(context.example, (2 * chosen.tensor.shape[along],), values=True)
    try:
        after = [*tensors_in(context.outputs(longer))]
    except Exception:  # whatever a model does that takes no longer input
        return []
    found = list[tuple[int, int]]()
    for which, (old, new) in enumerate(zip(before, after, strict=False)):
        axes = [axis for axis, sizes in enumerate(zip(old.shape, new.shape, strict=False)) if sizes[0] != sizes[1]]
        if old is not main and axes and old.shape[axes[0]] > 1 and len(found) < _OUTPUTS:
            found.append((which, _nearest(axes, along)))
    return found


def _nearest(axes: Iterable[int], along: int) -> int:
    """Return the axis of an output that goes with an axis of the input: the nearest one by its number."""
    return min(axes, key=lambda axis: (abs(axis - along), axis))


def _output_axis(context: ProbeContext, chosen: Chosen, along: int, wanted: int | None) -> int:
    """Return the axis of the main output whose extent follows that of the input.

    Raises:
        ValueError: there is none.
    """
    before = _main(context, context.example).shape
    if wanted is not None:
        if not -len(before) <= wanted < len(before):
            raise ValueError(f"the output has {len(before)} axes, and none has the number {wanted}")
        return wanted % len(before)
    extent = chosen.tensor.shape[along]
    try:
        after = _main(context, Varied(chosen, (along,)).example_at(context.example, (2 * extent,), values=True)).shape
    except Exception:  # whatever a model does that takes no longer input
        after = before
    grown = [axis for axis, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
    grown = grown or [axis for axis, size in enumerate(before) if size == extent]
    if not grown:
        raise ValueError(
            "no axis of the output follows the input's, so no position comes before another; name one as `output-axis`"
        )
    return _nearest(grown, along)


def _main(context: ProbeContext, example: Example) -> torch.Tensor:
    main = main_in(context.outputs(example))
    if main is None or not main.dim():
        raise ValueError("the model returns no tensor with axes")
    return main


class _Search:
    """Looks for the cut after which an output looks farthest ahead, by the bounds that other cuts give."""

    def __init__(
        self, context: ProbeContext, chosen: Chosen, along: int, outside: int, *, moved: bool, which: int | None = None
    ) -> None:
        self.context, self.chosen, self.along, self.outside, self.moved = context, chosen, along, outside, moved
        self.which = which
        self.others = (noise(context.example, 1), noise(context.example, 2).mapped(_enlarged))
        self.most = max(_FEWEST, min(_PASSES, AFFORDABLE // context.macs) // len(self.others))
        self.plain = self._rows(context.example)
        self.earliest: dict[int, int] = {}

    def run(self, limit: int) -> dict[str, Any]:
        """Return the farthest look-ahead and where it is, exactly if it is above `limit` or the bounds say so."""
        extent = self.chosen.tensor.shape[self.along]
        hop, offset = self._alignment(extent, len(self.plain))
        ends = [min(extent, math.ceil((row + 1) * hop) + offset) for row in range(len(self.plain))] + [extent]

        def ahead(cut: int) -> tuple[int, int]:
            return cut - ends[self.first_changed(cut)] + 1, cut

        def between(low: int, high: int) -> tuple[int, int, int]:
            """Return what cuts between two may show at most, negative: a later cut changes nothing earlier."""
            return ends[self.first_changed(low)] - high, low, high

        cuts = sorted({1, extent // 2, extent - 1} - {0})
        farthest = max(map(ahead, cuts))
        pending = sorted(between(*pair) for pair in pairwise(cuts))
        while pending and -pending[0][0] > max(farthest[0], limit) and len(self.earliest) < self.most:
            _, low, high = heappop(pending)
            if high - low > 1:
                middle = (low + high) // 2
                farthest = max(farthest, ahead(middle))
                heappush(pending, between(low, middle))
                heappush(pending, between(middle, high))
        return {
            "farthest": max(0, farthest[0]),
            "position": self.earliest[farthest[1]],
            "seen": farthest[1],
            "outputs": len(self.plain),
            "output": self.which,
            "hop": hop,
            "possible": max([farthest[0], *(-bound for bound, low, high in pending if high - low > 1)]),
        }

    def first_changed(self, cut: int) -> int:
        """Return the first output position that changes with the input from `cut` on; their number if none does."""
        if cut not in self.earliest:
            self.earliest[cut] = min(self._first(cut, other) for other in self.others)
        return self.earliest[cut]

    def _alignment(self, extent: int, outputs: int) -> tuple[float, int]:
        """Return how many input positions an output position stands for, and how many come before the first."""
        if extent % outputs == 0 or outputs % extent == 0:
            return extent / outputs, 0
        early, late = extent // 4, 3 * extent // 4
        moved = self.first_changed(late) - self.first_changed(early)
        hop = (late - early) / moved if moved > 0 else extent / outputs
        hop = float(round(hop)) if hop > 1 else 1 / round(1 / hop)
        return hop, max(0, round(extent - hop * outputs))

    def _first(self, cut: int, other: Example) -> int:
        plain = self.plain
        rows = self._rows(self._exchanged(other, cut))
        if rows.shape != plain.shape:
            return 0
        apart = (rows - plain).abs()
        apart = torch.where(rows.isnan() & plain.isnan(), 0.0, apart).nan_to_num(nan=torch.inf)
        size = plain[plain.isfinite()].abs().max() if bool(plain.isfinite().any()) else torch.ones(())
        changed = (apart > _ROUNDING * self._eps * size).any(1).nonzero()
        return int(changed[0]) if len(changed) else len(plain)

    @property
    def _eps(self) -> float:
        dtype = getattr(torch, self.context.dtype({}), torch.float32)
        return torch.finfo(dtype).eps if dtype.is_floating_point else 2.0**-23

    def _exchanged(self, other: Example, cut: int) -> Example:
        """Return the example whose numbers from a position on are those of another one."""
        numbers = dict(zip(map(id, inputs_of(self.context.example)), inputs_of(other), strict=True))

        def join(tensor: torch.Tensor) -> torch.Tensor:
            given = numbers[id(tensor)]
            if not goes_with(tensor, self.chosen.tensor, self.along) or given.shape != tensor.shape:
                return tensor
            late = tensor.shape[self.along] - cut
            kept = tensor.narrow(self.along, 0, cut)
            return torch.cat([kept, given.narrow(self.along, cut, late)], self.along)

        return self.context.example.mapped(join)

    def _rows(self, example: Example) -> torch.Tensor:
        """Return the output as a matrix: a row of numbers for each position."""
        outputs = self._outputs(example)
        main = main_in(outputs) if self.which is None else next(islice(tensors_in(outputs), self.which, None), None)
        if main is None:  # other numbers in the input lead to fewer outputs
            return torch.zeros(0, 0)
        real = torch.view_as_real(main.resolve_conj()).flatten(-2) if main.is_complex() else main
        return real.detach().double().movedim(self.outside, 0).flatten(1)

    def _outputs(self, example: Example) -> Any:
        with self.context.passes.untouched(values=True):
            if self.moved:
                _move(self.context)
            seed_all(0)
            set_mode(self.context.tree, training=False)
            return example.given_to(self.context.model)


def _move(context: ProbeContext) -> None:
    """Move the trained parameters a little, those that begin at nothing by more than they are."""
    generator = torch.Generator().manual_seed(1)
    for _, tensor in context.tree.parameters():
        if tensor.requires_grad and tensor.is_floating_point() and tensor.numel():
            nudge(tensor, max(_MOVED, _MOVED * float(tensor.abs().mean())), generator, up=True)


def _enlarged(tensor: torch.Tensor) -> torch.Tensor:
    return on_values(tensor, lambda each: -_LARGE * each) if tensor.is_floating_point() else tensor
