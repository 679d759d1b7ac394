"""The probe `accepts`: searches the smallest input between given extents that a model refuses.

Hundreds of inputs are tried by shapes alone. A failure is reported after a real forward pass has failed on the same
input. Without a failure, real passes on the smallest and the largest input confirm the result. If shapes alone cannot
decide, or are wrong, a limited number of real passes replaces them.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archcheck.foundation.json_codec import encode
from archcheck.foundation.words import amount, listed, shape_text
from archcheck.measure.behaviour.batch_search import batch_of
from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.behaviour.more_samples import MoreSamples
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.trial_passes import Attempts, Failure, Unaffordable, Undecided
from archcheck.measure.passes.axes import Varied, choose
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.shapes.extent_search import Box, Point, Tries, search, smallest
from archcheck.measure.subject.source_places import relative

TRIES, EVENTS = 500, 50_000
"""Most inputs that are tried by shapes alone, in the search and again to make its result smaller; and most operations
of all tries, so that a network of a thousand layers does not take minutes."""
REAL_TRIES, FEWEST = 64, 16
"""Most inputs that are tried on real tensors if shapes alone do not decide, in each of the two; fewer if a pass takes
long, but at least the second number."""

NAME = "accepts"
"""The name of the probe in rules."""
BATCH = "batch"
"""The name of the axis that counts samples."""

_MODES = {"eval": (False,), "train": (True,), "both": (False, True)}


def accepted(
    context: ProbeContext,
    *,
    axes: Mapping[str, tuple[int, int]],
    mode: str = "eval",
    input: int | str | None = None,  # noqa: A002 - the key of the contract
) -> Mapping[str, Any]:
    """Return the `failure` on the smallest input between the bounds of `axes`, `None` if none was found.

    `tried` of `count` inputs were tried, `real` of them on real numbers. `problem` says why there is no result, and
    `notes` say how it was found.
    """
    if mode == "both" and context.in_mode(True) is not context:
        return {"problem": "training has an input of its own; state the rule twice, for the modes `eval` and `train`"}
    context = context.in_mode(mode == "train")
    try:
        varied = _varied(context, axes, input)
    except ValueError as error:
        return {"problem": str(error)}
    box = Box(tuple(low for low, _ in axes.values()), tuple(high for _, high in axes.values()))
    attempts = Attempts(context.passes, context.example, context.trace, varied, _MODES[mode])
    with _silent():
        told = _Search(attempts, box, len(context.trace.events)).run(context.root)
        failure = told.get("failure")
    if failure and isinstance(varied, MoreSamples) and _names_samples(varied.batch, failure["shape"]):
        named = f"integers in the input may name each of its {varied.batch.count} samples, as edges name nodes"
        return {"problem": f"{named}, and fewer cannot be tried: {failure['message']}; raise the least `batch`"}
    return told


def _names_samples(batch: Batch, shape: Sequence[int]) -> bool:
    """Whether an input of this shape has fewer samples than its integers may name."""
    return batch.is_indexed and shape[batch.axis] < batch.count


def _varied(
    context: ProbeContext, axes: Mapping[str, tuple[int, int]], which: int | str | None
) -> Varied | MoreSamples:
    """Return the function from a point between the bounds of `axes` to an example.

    Raises:
        ValueError: there is no such axis, or two names are one axis.
    """
    batch = None
    if which is None and BATCH in axes and not context.passes.on_meta:
        with _silent():
            batch = batch_of(context)
    place = list(axes).index(BATCH) if BATCH in axes else 0
    which = which if batch is None else batch.first
    chosen = choose(context.example, which, context.trace, context.tree)
    numbers = tuple(chosen.axis(name) for name in axes if batch is None or name != BATCH)
    counting = batch is not None and not batch.of_items
    if len({*numbers, *([batch.axis] if batch and counting else [])}) < len(numbers) + counting:
        raise ValueError(f"of {listed(axes)}, two are one and the same axis")
    if batch is None:
        return Varied(chosen, numbers)
    return MoreSamples(batch, Varied(chosen, numbers), place)


class _Search:
    """One search: by shapes, confirmed on real tensors, or on real tensors alone."""

    def __init__(self, attempts: Attempts, box: Box, operations: int) -> None:
        self._attempts = attempts
        self._box = box
        self._limit = max(REAL_TRIES, min(TRIES, EVENTS // (1 + operations)))
        self._notes: list[str] = []
        self._tried = 0

    def run(self, root: str) -> Mapping[str, Any]:
        """Return the result of `accepted`."""
        found, problem = None, None
        try:
            found = self._by_shapes()
        except Undecided as reason:
            try:
                found = self._on_real_tensors(reason)
            except Unaffordable as error:
                problem = str(error)
        except Unaffordable as error:
            problem = str(error)
        return {
            "problem": problem,
            "failure": found and _told(found, root),
            "tried": max(self._tried, self._attempts.real_count),
            "real": self._attempts.real_count,
            "count": self._box.count,
            "notes": self._notes,
        }

    def _by_shapes(self) -> Failure | None:
        tries = Tries(lambda point: self._attempts.by_shapes(point) is not None, self._limit)
        point = self._found(tries, None)
        self._tried = len(tries.known)
        if point is None:
            return self._confirm_corners()
        failure = self._attempts.by_shapes(point)
        if failure is None or not self._may_run(point):
            return failure
        real = self._attempts.real(point)
        if real is None:
            raise Undecided(f"the model takes {shape_text(self._attempts.shape_at(point))}, which shapes alone refuse")
        if failure.fault.is_placed and not real.fault.is_placed:
            return replace(failure, confirmed=True)  # a completed pass does not show where the batch was lost
        return real

    def _found(self, tries: Tries, start: Point | None) -> Point | None:
        point = start or search(self._box, tries)
        if point is None:
            return None
        tries.limit = len(tries.known) + tries.limit
        return smallest(self._box, tries, point)

    def _confirm_corners(self) -> Failure | None:
        """Confirm the result by real passes on the smallest input and on the largest affordable one."""
        corners = sorted(set(self._box.corners()), key=math.prod, reverse=True)
        largest = self._box.high
        if not self._may_run(largest):
            largest = next((each for each in corners if self._attempts.too_much(each) is None), self._box.low)
        for corner in (self._box.low, largest):
            if self._attempts.too_much(corner) is None and self._attempts.real(corner) is not None:
                shape = shape_text(self._attempts.shape_at(corner))
                return self._on_real_tensors(Undecided(f"shapes alone let {shape} through"), corner)
        return None

    def _may_run(self, point: Point) -> bool:
        """Whether a real pass at `point` is affordable; if not, add a note that says why."""
        reason = self._attempts.too_much(point)
        if reason:
            self._notes.append(
                f"not confirmed by a real forward pass: {shape_text(self._attempts.shape_at(point))} {reason}"
            )
        return reason is None

    def _on_real_tensors(self, reason: Undecided, start: Point | None = None) -> Failure | None:
        largest = start or self._box.high
        most = self._attempts.too_much(largest)
        if most:
            shape = shape_text(self._attempts.shape_at(largest))
            raise Unaffordable(f"{reason}, and {shape} {most}; narrow the bounds")
        tries = Tries(lambda point: self._attempts.real(point) is not None, self._real_limit(largest))
        point = self._found(tries, start)
        self._tried = len(tries.known)
        self._notes.append(f"{reason}: decided by {amount(self._attempts.real_count, 'real forward passes')}")
        return None if point is None else self._attempts.real(point)

    def _real_limit(self, largest: Point) -> int:
        macs = max(1, self._attempts.cost(largest)[0])
        return max(FEWEST, min(REAL_TRIES, FEWEST * AFFORDABLE // macs))


def _told(failure: Failure, root: str) -> Mapping[str, Any]:
    fault = failure.fault
    return {
        "shape": list(failure.shape),
        "message": fault.message,
        "layer": fault.layer,
        "where": encode(relative(fault.where, root)),
        "called": encode(relative(fault.called, root)),
        "mode": "train" if failure.training else "eval",
        "confirmed": failure.confirmed,
    }


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Suppress the output and the warnings of the model, which would repeat in every pass."""
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():  # noqa: PTH123 - a device, and no file
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
