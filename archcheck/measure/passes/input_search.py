"""Find the inputs of a model that nobody states: the first that reach its output, by shapes alone.

The layers that receive an argument of `forward` tell its rank, its channels and its dtype. A pass shows which layers
these are, even one that fails: the search changes only inputs that reach the failure, and goes on from the passes that
came furthest. Extents that disagree there tell which size to try next.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.words import shape_text
from archcheck.measure.loading.causes import is_due_to_input
from archcheck.measure.loading.example import Example, dtype_name, from_specs
from archcheck.measure.loading.usual_inputs import InputSpec
from archcheck.measure.passes.forward_errors import forward_error, shapes_are_wrong
from archcheck.measure.passes.input_faults import Misfit, failure, luck
from archcheck.measure.passes.next_inputs import NEAR, TOLD, NextInputs, Point
from archcheck.measure.passes.recorder import Recorder
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.traceability import demand_traceable

if TYPE_CHECKING:
    from archcheck.measure.passes.forward import Passes

TRIES, LUCKY_TRIES, ROUNDER_TRIES = 90, 6, 8
"""Most passes by shapes of one search, after inputs that fit by luck, and for a rounder size than one that fits."""
REAL_TRIES = 2
"""Most passes on real tensors that try an input where shapes alone cannot decide."""
EVENTS = 50_000
"""Most operations of all passes of a search, so that a network of a thousand layers does not take minutes."""
_BEGINNING = -0.5
"""The order of the first points: after what follows from passes that came further than their inputs."""
_LAST = 10.0
"""Added to how likely it is that one of two equal inputs has another size."""
_LARGEST = 1 << 24
"""Elements of one input at most."""


class Found(NamedTuple):
    """Inputs that fit, with the trace of their pass, and the point that they are made of."""

    example: Example
    trace: Trace
    point: Point


class _Tried(NamedTuple):
    """What came of a pass: the inputs if it ended, and where they do not fit or fit by luck."""

    found: Found | None
    misfit: Misfit | None


@dataclass(order=True)
class _Waiting:
    """A point that is to be tried; the least comes first."""

    order: tuple[float, ...]
    point: Point = field(compare=False)
    after_luck: bool = field(compare=False, default=False)


class InputSearch:
    """One search for the inputs of a model.

    The first few inputs that shapes alone cannot decide are tried on real tensors, too.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes, self._tree = passes, passes.tree
        self._next = NextInputs(passes.tree)
        self._names = self._next.names
        self._failure: SubjectError | None = None
        self._attribute: str | None = None
        self._missing: tuple[str, ...] = self._names
        self._furthest: Point = ()
        self._progress = -1
        self._queue: list[_Waiting] = []
        self._known: set[Point] = set()
        self._count = itertools.count()
        self._operations = 0
        self._real_left = REAL_TRIES

    def run(self) -> tuple[Example, Trace]:
        """Return the first inputs that fit, if possible not by luck, with the trace of their pass.

        Raises:
            SubjectError: none can be inferred or none fits.
        """
        found = self._searched()
        if found is None:
            raise self._problem()
        demand_traceable(found.trace, self._tree)
        return replace(found.example, note=self._note(found)), found.trace

    def _searched(self) -> Found | None:
        for place, point in enumerate(self._next.beginnings()):
            if len(point) == 1 or place == 0:  # other sizes of one of several follow from where they fail
                self._push(point, (_BEGINNING, 0, 0.0))
        lucky: Found | None = None
        seen: Misfit | None = None
        after = LUCKY_TRIES
        while self._queue and after and len(self._known) < TRIES and self._operations < EVENTS:
            waiting = heapq.heappop(self._queue)
            if waiting.point in self._known:
                continue
            if lucky and not waiting.after_luck:
                break
            after -= bool(lucky)
            found, misfit = self._try(waiting.point)
            if found and misfit is None:
                return (waiting.order[0] != _BEGINNING and self._rounder(waiting.point)) or found
            if found:
                if seen == misfit:  # another size changes nothing: it is meant
                    break
                lucky, seen = lucky or found, seen or misfit
        return lucky

    def _rounder(self, point: Point) -> Found | None:
        """Return inputs that fit in a more usual size than those of a point, which fit."""
        specs = dict.fromkeys(point)
        for spec in specs:
            for rounder in itertools.islice(self._next.rounder(spec), ROUNDER_TRIES):
                changed = tuple(rounder if each == spec else each for each in point)
                if changed not in self._known and (tried := self._try(changed)).found and tried.misfit is None:
                    return tried.found
        return None

    def _try(self, point: Point) -> _Tried:
        """Run a pass, and queue what to try after one that does not fit, or fits by luck."""
        self._known.add(point)
        example = _without_numbers(point)
        recorder: Recorder
        recorder, error = self._passes.attempt(example)
        if error is not None and self._real_left and not shapes_are_wrong(error) and not self._passes.on_meta:
            self._real_left -= 1
            recorder, error = self._on_real_tensors(point) or (recorder, error)
        trace = recorder.trace
        self._operations += len(trace.events)
        if error is None:
            found = Found(_with_numbers(point), trace, point)
            misfit = luck(trace, [spec.shape for spec in point]) or self._beyond_table(found)
            if misfit is None and len(point) > 1 and not self._accepts(found):
                misfit = Misfit("", frozenset(range(len(point))))
                self._expand(point, misfit, trace)
                return _Tried(None, misfit)
        else:
            if len(self._known) <= REAL_TRIES and not is_due_to_input(error):
                raise forward_error(example, error, self._tree, meta=self._passes.on_meta) from error
            found = None
            if not self._failure and isinstance(error, AttributeError) and isinstance(error.obj, torch.Tensor):
                self._attribute = error.name
            self._failure = self._failure or forward_error(example, error, self._tree, meta=self._passes.on_meta)
            misfit = failure(error, recorder, self._tree, len(point))
            error.__traceback__ = None  # it holds the tensors of the pass
            if len(trace.events) > self._progress:
                self._progress, self._furthest = len(trace.events), point
                unseen = [number for number in misfit.inputs if not any(self._next.receivers(trace, number))]
                self._missing = tuple(self._names[number] for number in sorted(unseen or misfit.inputs))
        if misfit:
            self._expand(point, misfit, trace)
        return _Tried(found, misfit)

    def _on_real_tensors(self, point: Point) -> tuple[Recorder, None] | None:
        """Trace on real tensors; return `None` where the subject fails."""
        for differentiable in (False, True):
            recorder, error = self._passes.attempt(_with_numbers(point), real=True, differentiable=differentiable)
            if error is None:
                return recorder, None
        return None

    def _accepts(self, found: Found) -> bool:
        """Whether the model takes an example on real tensors, too, if that can be tried."""
        if found.trace.real or not self._passes.affords(found.trace):
            return True
        try:
            self._passes.real_shapes(found.example, training=False)
        except Exception:  # whatever the subject raises
            return False
        return True

    def _beyond_table(self, found: Found) -> Misfit | None:
        """Return where positions count beyond the last row of a table, which shapes alone do not tell."""
        trace = found.trace
        for event in trace.events:
            shapes = event.told.operand_shapes
            if (
                event.kind != "embedding"
                or len(event.operands) < 2
                or len(shapes) < 2
                or not shapes[0]
                or not shapes[1]
            ):
                continue
            rows, positions = shapes[0][0], shapes[1][-1]
            counted = event.operands[1] >= 0 and not trace.fed[event.operands[1]]
            if counted and positions > rows and not self._accepts(found):
                return Misfit(event.layer, frozenset(range(len(self._names))), (rows / positions,), by_luck=True)
        return None

    def _expand(self, point: Point, misfit: Misfit, trace: Trace) -> None:
        """Queue the points that differ from one in an input that reaches the misfit, or in all inputs like that."""
        progress = -math.inf if misfit.by_luck else -float(len(trace.events) - len(point))
        for number in sorted(misfit.inputs):
            for tier, rank, spec in self._next.after(point, number, misfit, trace):
                alone = 0.0
                if point.count(point[number]) > 1 and rank >= 0:  # two images of one size
                    same = tuple(spec if each == point[number] else each for each in point)
                    self._push(same, (progress, tier, rank), misfit)
                    alone = _LAST if spec.differs_in_size_alone(point[number]) else 0.5
                self._push((*point[:number], spec, *point[number + 1 :]), (progress, tier + alone, rank), misfit)

        for place, divided in enumerate(self._next.divided(point, misfit)):
            self._push(divided, (progress, TOLD, -0.9 + place / 100), misfit)
        for one, other in itertools.permutations(sorted(misfit.inputs), 2) if misfit.missing else ():
            changed = list(point)  # one of two that are joined here, and joined in another place, too
            changed[one] = point[one].with_more(misfit.missing)
            changed[other] = point[other].with_more(-misfit.missing)
            self._push(tuple(changed), (progress, NEAR, 0.0), misfit)

    def _push(self, point: Point, order: tuple[float, ...], misfit: Misfit | None = None) -> None:
        if point not in self._known and all(0 < math.prod(spec.shape) <= _LARGEST for spec in point):
            waiting = _Waiting((*order, next(self._count)), point, bool(misfit and misfit.by_luck))
            heapq.heappush(self._queue, waiting)

    def _note(self, found: Found) -> str:
        """Return how the inputs were found, with the layers that tell them."""
        trace = found.trace
        shown = [f"{shape_text(tensor.shape)} ({dtype_name(tensor.dtype)})" for tensor in found.example.args]
        paths = dict.fromkeys(path for number in range(len(shown)) for path in self._next.receivers(trace, number))
        layers = ", ".join(f"{self._tree.type_of(path)} `{path or '(the model)'}`" for path in paths)
        if len(shown) == 1:
            return f"input {shown[0]} inferred" + (f" from the first layer, {layers}" if layers else "")
        inputs = ", ".join(f"`{name}` {each}" for name, each in zip(self._names, shown, strict=True))
        shared = [name for name, spec in zip(self._names, found.point, strict=True) if spec.divided]
        guess = f"; how {' and '.join(f'`{name}`' for name in shared)} divide its features is a guess" if shared else ""
        return f"inputs {inputs} inferred from {layers or 'their names'}{guess}"

    def _problem(self) -> SubjectError:
        """Return the error of a search that found nothing, with the options that would help."""
        first = f" (first try: {self._failure})" if self._failure else ""
        if len(self._names) > 1:
            inputs = [_option(spec) for spec in self._furthest] or ["SHAPE:DTYPE"] * len(self._names)
            pairs = zip(self._names, inputs, strict=True)
            options = [f"--input {'SHAPE:DTYPE' if name in self._missing else each}" for name, each in pairs]
            which = ", ".join(f"`{name}`" for name in self._missing)
            called = f"`forward({', '.join(self._names)})`"
            message = f"no usual input fits {which} of {called}; give every input in this order, as in "
            function = "; one that is no tensor comes from a function, see `archcheck explain inputs`"
            return SubjectError("input", f"{message}`{' '.join(options)}`{function}{first}")
        if self._attribute:
            message = (
                f"`.{self._attribute}` of `{self._names[0]}` is read, and no tensor has it; an input that is no tensor"
            )
            return SubjectError("input", f"{message} comes from a function, see `archcheck explain inputs`{first}")
        if not self._failure:
            message = "the input cannot be inferred: no first layer tells its shape; give one, as in"
        else:
            message = "no usual input size fits; give one with `--input`, as in"
        return SubjectError("input", f"{message} `--input 1,3,224,224`{first}")


def _with_numbers(point: Point) -> Example:
    return from_specs([spec.as_table() for spec in point])


def _without_numbers(point: Point) -> Example:
    """Return the example of a point for a pass by shapes, with the numbers of integers only."""
    return Example(
        tuple(torch.empty(spec.shape) if spec.dtype is None else _with_numbers((spec,)).args[0] for spec in point), {}
    )


def _option(spec: InputSpec) -> str:
    """Return an input as `--input` takes it."""
    return ",".join(map(str, spec.shape)) + (f":{spec.dtype}" if spec.dtype else "")
