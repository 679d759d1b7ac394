"""Forward passes on inputs of other extents: by shapes alone, or on real tensors if shapes do not decide."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archcheck.facts.main_output import main_output
from archcheck.foundation.errors import SubjectError
from archcheck.foundation.words import shape_text
from archcheck.measure.behaviour.more_samples import MoreSamples
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import Varied
from archcheck.measure.passes.forward import AFFORDABLE, Passes
from archcheck.measure.passes.forward_errors import Fault, fault_of, loss_of_batch
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.extent_search import Point

MEMORY = 1 << 30
"""Most bytes of activations of a real forward pass."""


class Undecided(Exception):  # noqa: N818 - a result, and no error
    """Shapes alone do not tell whether the model accepts an input. The message says why."""


class Unaffordable(Exception):  # noqa: N818 - a result, and no error
    """Real forward passes would have to decide, but cost too much. The message says how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An input that the model refuses, in training or in evaluation; `confirmed` says that a real pass failed."""

    fault: Fault
    shape: tuple[int, ...]
    training: bool
    confirmed: bool


class Attempts:
    """Runs a model in each of `modes` on inputs with the extents of a point along the `varied` axes."""

    def __init__(
        self, passes: Passes, example: Example, trace: Trace, varied: Varied | MoreSamples, modes: tuple[bool, ...]
    ) -> None:
        self._passes = passes
        self._example = example
        self._trace = trace
        self._varied = varied
        self._modes = modes
        self._real: dict[Point, Failure | None] = {}

    @property
    def real_count(self) -> int:
        """The number of inputs that were tried on real tensors."""
        return len(self._real)

    def shape_at(self, point: Point) -> tuple[int, ...]:
        """Return the shape of the input at a point."""
        return self._varied.shape_at(point)

    def by_shapes(self, point: Point) -> Failure | None:
        """Return the failure at a point by shapes alone, `None` without one.

        Raises:
            Undecided: the pass depends on values.
        """
        for training in self._modes:
            if self._passes_by_shapes(point, training):
                continue
            trace, error = self._try_shapes(point, training)
            if trace.bounds:
                raise Undecided(f"what the model does depends on values ({', '.join(sorted(trace.bounds))})")
            if isinstance(error, SubjectError) and error.kind != "output":
                raise Undecided(str(error))
            if error is not None:
                return self._failure(point, training, fault_of(error, self._passes.tree), confirmed=False)
            fault = self._output_fault(point, tuple(shape for shape, _ in trace.output_tensors), trace)
            if fault is not None:
                return self._failure(point, training, fault, confirmed=False)
        return None

    def _passes_by_shapes(self, point: Point, training: bool) -> bool:
        """Whether a pass runs to its end by shapes alone, with the outputs that it should have: most do."""
        example = self._varied.example_at(self._example, point, values=False)
        shapes = self._passes.try_outputs(example, training=training)
        return shapes is not None and self._output_fault(point, shapes, None) is None

    def real(self, point: Point) -> Failure | None:
        """Return the failure at a point on real tensors, `None` without one.

        Raises:
            Unaffordable: the machine has too little memory.
        """
        if point not in self._real:
            found = ((training, self._real_fault(point, training)) for training in self._modes)
            failed = next(((training, fault) for training, fault in found if fault is not None), None)
            self._real[point] = failed and self._failure(point, *failed, confirmed=True)
        return self._real[point]

    def cost(self, point: Point) -> tuple[int, int]:
        """Return the multiply-accumulates of a pass at a point, and the bytes of its activations.

        If the pass by shapes fails, both are at least those of the example in proportion to the size of the input.
        """
        trace, error = self._try_shapes(point, self._modes[0])
        macs, held = sum(event.macs for event in trace.events), trace.peak_bytes
        if error is None:
            return macs, held
        before = self._varied.elements
        share = math.ceil(math.prod(self.shape_at(point)) / max(1, before))
        return max(macs, share * sum(event.macs for event in self._trace.events)), max(
            held, share * self._trace.peak_bytes
        )

    def too_much(self, point: Point) -> str | None:
        """Return why a real pass at a point is not possible, `None` if it is."""
        if self._passes.on_meta:
            return "meets a model that was built without memory"
        macs, held = self.cost(point)
        if macs > AFFORDABLE:
            return f"takes {macs:,} multiply-accumulates, more than {AFFORDABLE:,}"
        if held > MEMORY:
            return f"takes {held:,} bytes of activations, more than {MEMORY:,}"
        return None

    def _try_shapes(self, point: Point, training: bool) -> tuple[Trace, Exception | None]:
        return self._passes.try_shapes(self._varied.example_at(self._example, point, values=False), training=training)

    def _failure(self, point: Point, training: bool, fault: Fault, *, confirmed: bool) -> Failure:
        return Failure(fault=fault, shape=self.shape_at(point), training=training, confirmed=confirmed)

    def _real_fault(self, point: Point, training: bool) -> Fault | None:
        try:
            example = self._varied.example_at(self._example, point, values=True)
            shapes = self._passes.real_shapes(example, training=training)
        except Exception as error:  # whatever the subject raises
            if isinstance(error, MemoryError) or "allocate memory" in str(error):
                shape = shape_text(self.shape_at(point))
                raise Unaffordable(f"the machine has not enough memory for {shape}; narrow the bounds") from error
            return fault_of(error, self._passes.tree)
        return self._output_fault(point, shapes, None)

    def _output_fault(self, point: Point, shapes: tuple[tuple[int, ...], ...], trace: Trace | None) -> Fault | None:
        if not shapes:
            return Fault(message="the model returns no tensor")
        found, counted = shapes[main_output(shapes)], self._varied.samples(point)
        if 0 in found:
            return Fault(message=f"the output is empty ({shape_text(found)})")
        if counted is None or counted[0] in (*found[: counted[1] + 1], self._results(shapes)):
            return None
        samples = counted[0]
        if isinstance(self._varied, MoreSamples) and not self._varied.shows(self._trace.output_tensors):
            return None
        layer, where = loss_of_batch(trace, samples) if trace else ("", None)
        message = f"the output has shape {shape_text(found)}, which does not keep the batch of {samples}"
        return Fault(message=message, layer=layer, where=where)

    def _results(self, shapes: tuple[tuple[int, ...], ...]) -> int | None:
        """Return the number of samples that a list of outputs shows, `None` if the samples are no items of a list."""
        before = len(self._trace.output_tensors)
        if not isinstance(self._varied, MoreSamples) or not self._varied.batch.of_items or not before:
            return None
        return len(shapes) * self._varied.batch.count // before
