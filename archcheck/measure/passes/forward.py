"""Traces the forward passes of a model: by shapes alone, or on real tensors if that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property, partial
from typing import Any, TypeVar

import torch

from archcheck.facts.operator_costs import Stated
from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.configured_inputs import configured_inputs
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.cost import checked_costs
from archcheck.measure.operators.meta import is_without_memory
from archcheck.measure.operators.operator_results import shapes_of
from archcheck.measure.passes.exported_values import watched
from archcheck.measure.passes.forward_errors import forward_error, inputs_of, raise_unless_input, shapes_are_wrong
from archcheck.measure.passes.forward_inputs import refuse_inputs_by_name
from archcheck.measure.passes.input_search import InputSearch
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import generator_states, has_drawn, seed_all
from archcheck.measure.passes.relaxations import any_batch, deep
from archcheck.measure.passes.restore import Snapshot
from archcheck.measure.passes.saved_values import Values
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.traceability import demand_traceable
from archcheck.measure.passes.unobserved_values import Silence
from archcheck.measure.passes.unrecorded import UnrecordedTracer
from archcheck.measure.shapes.call_signature import CallSignatures
from archcheck.measure.shapes.containers import map_tensors
from archcheck.measure.shapes.tensor import ShapeTensor
from archcheck.measure.subject.module_tree import Tree

Traced = TypeVar("Traced", bound=Tracer)

AFFORDABLE = 20_000_000_000
"""Most multiply-accumulates of a real forward pass that confirms the shapes: about a second on one core."""


class Passes:
    """A model with what its passes share: the module tree, the state to restore, the stated costs of its operators."""

    def __init__(self, model: torch.nn.Module, costs: Mapping[str, Stated] | None = None) -> None:
        self.model = model
        self.costs = checked_costs(costs or {})
        self.tree = Tree(model)
        self._looks = CallSignatures(self.tree.names)
        self._layers = Layers(self.tree)
        self._snapshots: dict[bool, Snapshot] = {}
        self.moved: tuple[tuple[int, ...], Values | None] = (), None
        """Identities and new values of the parameters that passes change before they run."""

    def untouched(self, *, values: bool) -> AbstractContextManager[None]:
        """Restore the model at the end of the block; `values` as in `Snapshot`."""
        if values not in self._snapshots:
            self._snapshots[values] = Snapshot(self.tree, values=values)
        return self._snapshots[values].kept()

    def first(self, example: Example | None) -> tuple[Example, Trace]:
        """Trace in evaluation mode, with the given example or the first inferred one that the model accepts.

        Raises:
            SubjectError: no example is given, and none can be inferred or none fits.
        """
        if example is not None and not example.suggested:
            return example, self.trace(example, training=False)
        if example is not None:
            with suppress(SubjectError):
                return example, self.trace(example, training=False)
        for inputs, note in configured_inputs(self.model):
            candidate = Example((), inputs, note)
            try:
                return candidate, self.trace(candidate, training=False)
            except SubjectError as error:
                raise_unless_input(error)
        refuse_inputs_by_name(self.model)
        return InputSearch(self).run()

    def trace(
        self,
        example: Example,
        *,
        training: bool,
        real: bool = False,
        seed: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> Trace:
        """Trace by shapes alone, or on real tensors if that fails or if `real` is set.

        `prepare` may change the model for a real pass, and `seed` seeds its generators.

        Raises:
            SubjectError: the pass failed.
        """
        if real:
            return self._trace_real(example, training=training, seed=seed, prepare=prepare)
        try:
            return self._run(example, training=training, real=False)
        except SubjectError:
            raise
        except Exception as error:  # whatever the subject raises
            if shapes_are_wrong(error) or self.on_meta:
                raise forward_error(example, error, self.tree, meta=self.on_meta) from error
        return self._trace_real(example, training=training)

    def confirmed(self, example: Example, traced: Trace) -> Trace:
        """Return `traced` if a real pass in evaluation gives the same output shapes, else a trace on real tensors.

        Shapes alone miss what torch refuses (a wrong dtype, an index out of range), and the branch that code takes by
        values. A pass that costs more than `AFFORDABLE` stays unconfirmed.

        Raises:
            SubjectError: the real pass failed.
        """
        if traced.real or not self.affords(traced):
            return traced
        if not traced.bounds:
            try:
                shapes = self.real_shapes(example, training=False)
            except Exception as error:
                raise forward_error(example, error, self.tree) from error
            if shapes == tuple(shape for shape, _ in traced.output_tensors):
                return traced
        return self._trace_real(example, training=False)

    def affords(self, traced: Trace) -> bool:
        """Whether a real pass like this one is possible and cheap enough."""
        return not self.on_meta and sum(event.macs for event in traced.events) <= AFFORDABLE

    def _trace_real(
        self, example: Example, *, training: bool, seed: int = 0, prepare: Callable[[], None] | None = None
    ) -> Trace:
        run = partial(self._run, example, training=training, real=True, seed=seed, prepare=prepare)
        try:
            return run()
        except SubjectError:
            raise
        except Exception as error:
            failure = error
        try:
            return run(differentiable=True)  # in inference mode, code cannot differentiate inside its forward pass
        except SubjectError:
            raise
        except Exception:
            raise forward_error(example, failure, self.tree) from failure

    def _run(
        self,
        example: Example,
        *,
        training: bool,
        real: bool,
        differentiable: bool = False,
        seed: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> Trace:
        tracer = self._tracer(real=real)
        with any_batch():
            self._run_under(
                tracer, example, training=training, differentiable=differentiable, seed=seed, prepare=prepare
            )
        demand_traceable(tracer.trace, self.tree)
        return tracer.trace

    def _tracer(self, *, real: bool) -> Tracer:
        return Tracer(self.tree, self._looks, self._layers, real=real, costs=self.costs)

    def _run_under(
        self,
        tracer: Tracer,
        example: Example,
        *,
        training: bool,
        differentiable: bool = False,
        seed: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> Any:
        real = tracer.trace.real
        with self.untouched(values=real):
            if prepare is not None:
                prepare()
            set_mode(self.tree, training)
            tracer.trace.training = training
            tracer.trace.trained = self.tree.trained()  # the mode may freeze some parameters, and so may the pass
            seed_all(seed)  # so that every pass skips the same layers at random
            before = generator_states()
            with torch.no_grad() if differentiable else torch.inference_mode():
                convert = torch.clone if real else tracer.input_by_shape
                given = example.mapped(convert)
                # Only tensors with values can leave torch: real ones, and inputs that keep theirs.
                has_values = real or any(each.__class__ is not ShapeTensor for each in inputs_of(given))
                out = watched(tracer.hand_out) if has_values else nullcontext()
                with tracer.watching(), deep(), out, tracer.gradients.watched() if training else nullcontext():
                    for tensor in inputs_of(given):
                        tracer.add_input(tensor)
                    output = self.model(*given.args, **given.kwargs)
                    tracer.set_outputs(output)
                tracer.trace.trained |= self.tree.trained()
                tracer.trace.chance = has_drawn(before)
                return map_tensors(torch.clone, output) if real else output

    def follow(
        self, example: Example, *, training: bool, seed: int = 0, differentiable: bool = False
    ) -> tuple[Trace, Any]:
        """Return the trace of a real pass that looks at the numbers of each operation, and the output.

        `differentiable` allows code to differentiate inside its forward pass. Raise what the subject raises.
        """
        tracer = Tracer(self.tree, self._looks, self._layers, real=True, silence=Silence(), costs=self.costs)
        with any_batch():
            output = self._run_under(tracer, example, training=training, differentiable=differentiable, seed=seed)
        return tracer.trace, output

    def traced_by(
        self,
        make: Callable[..., Traced],
        example: Example,
        *,
        real: bool = True,
        seed: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> Traced:
        """Run in evaluation under the tracer that `make` builds, and return the tracer. Raise what the subject raises.

        `prepare` may change the model for this pass.
        """
        tracer = make(self.tree, self._looks, self._layers, real=real)
        with any_batch():
            self._run_under(tracer, example, training=False, seed=seed, prepare=prepare)
        return tracer

    def tried_by(self, make: Callable[..., Traced], example: Example, **how: Any) -> Traced | None:
        """Run as `traced_by` does; return `None` where the subject fails, which other passes report.

        Only the pass is in here, so that an error in what a caller does with it shows.
        """
        try:
            return self.traced_by(make, example, **how)
        except Exception:
            return None

    def try_shapes(self, example: Example, *, training: bool) -> tuple[Trace, Exception | None]:
        """Trace by shapes alone; return what ran, and the error that ended it or `None`.

        BatchNorm refuses a single value per channel in training. Floating inputs may be meta tensors.
        """
        tracer, error = self.attempt(example, training=training)
        return tracer.trace, error

    def try_outputs(self, example: Example, *, training: bool) -> tuple[tuple[int, ...], ...] | None:
        """Return the shapes of the outputs by shapes alone, `None` unless the pass runs to its end by them.

        They are those of `try_shapes`, which says in any other case what happened.
        """
        tracer = UnrecordedTracer(self.tree, self._looks, self._layers, costs=self.costs)
        try:
            with self.untouched(values=False):
                set_mode(self.tree, training)
                seed_all(0)
                with torch.inference_mode():
                    given = example.mapped(tracer.input_by_shape)
                    if any(each.__class__ is not ShapeTensor for each in inputs_of(given)):
                        return None  # its numbers may leave torch, which is watched
                    with tracer.watching(), deep():
                        for tensor in inputs_of(given):
                            tracer.add_input(tensor)
                        tracer.set_outputs(self.model(*given.args, **given.kwargs))
        except Exception:  # whatever the subject raises
            return None
        return None if tracer.trace.bounds else tuple(shape for shape, _ in tracer.trace.output_tensors)

    def attempt(
        self, example: Example, *, training: bool = False, real: bool = False, differentiable: bool = False
    ) -> tuple[Tracer, Exception | None]:
        """Trace, and return the tracer with what ran, and the error that ended it or `None`."""
        tracer = self._tracer(real=real)
        try:
            self._run_under(tracer, example, training=training, differentiable=differentiable)
        except Exception as error:  # whatever the subject raises
            return tracer, error
        return tracer, None

    def real_shapes(self, example: Example, *, training: bool) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the outputs of a real forward pass. Raise what the subject raises."""
        with self.untouched(values=True), torch.no_grad():
            set_mode(self.tree, training)
            return shapes_of(example.given_to(self.model))

    @cached_property
    def on_meta(self) -> bool:
        """Whether the model was built on the meta device, without memory."""
        return is_without_memory(self.tree.tensors())
