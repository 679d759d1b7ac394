"""Run a model's forward pass under the trace: by shapes alone, or on real tensors where that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any, TypeVar

import torch

from archcheck.facts.records import META_WORDS
from archcheck.facts.stated_costs import Stated
from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.loading.example import Example, candidates
from archcheck.measure.operators.cost import checked_costs
from archcheck.measure.operators.meta import is_without_memory
from archcheck.measure.operators.operator_results import shapes_of
from archcheck.measure.operators.sparse_cost import is_sparse
from archcheck.measure.passes.exported_values import watched
from archcheck.measure.passes.forward_errors import failed_in, shapes_are_wrong
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import drawn, seed_all
from archcheck.measure.passes.relaxations import any_batch, deep
from archcheck.measure.passes.restore import Snapshot
from archcheck.measure.passes.saved_values import Values
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.traceability import demand_sight
from archcheck.measure.passes.unobserved_values import Silence
from archcheck.measure.shapes.call_signature import Looks
from archcheck.measure.shapes.containers import map_tensors, tensors_in
from archcheck.measure.shapes.tensor import ShapeTensor
from archcheck.measure.subject.module_tree import Tree

Traced = TypeVar("Traced", bound=Tracer)

AFFORDABLE = 20_000_000_000
"""Multiply-accumulates up to which a real forward pass confirms the shapes: about a second of one core."""


class Passes:
    """A model with what its forward passes share: its tree, its state to go back to, what its own operators cost."""

    def __init__(self, model: torch.nn.Module, costs: Mapping[str, Stated] | None = None) -> None:
        self.model = model
        self.costs = checked_costs(costs or {})
        self.tree = Tree(model)
        self._looks = Looks(self.tree.names)
        self._layers = Layers(self.tree)
        self._snapshots: dict[bool, Snapshot] = {}
        self.moved: tuple[tuple[int, ...], Values | None] = (), None
        """What parameters are moved to where they are not to be as they begin, by identity."""

    def untouched(self, *, values: bool) -> AbstractContextManager[None]:
        """Run something with the model and put it back as it was; `values` as in `Snapshot`."""
        if values not in self._snapshots:
            self._snapshots[values] = Snapshot(self.tree, values=values)
        return self._snapshots[values].kept()

    def first(self, example: Example | None) -> tuple[Example, Trace]:
        """Trace in evaluation mode, with the given example or the first inferred one that the model takes."""
        if example is not None:
            return example, self.trace(example, training=False)
        failure: SubjectError | None = None
        for candidate in candidates(self.tree):
            try:
                return candidate, self.trace(candidate, training=False)
            except SubjectError as error:
                failure = failure or error
        if failure is None:
            raise SubjectError(
                "input",
                "the input cannot be inferred: there is no first layer that tells; "
                "give one, as in `--input 1,3,224,224`",
            )
        raise SubjectError(
            "input",
            f"no usual input size fits; give one with `--input`, as in `--input 1,3,224,224` (first try: {failure})",
        )

    def trace(
        self,
        example: Example,
        *,
        training: bool,
        real: bool = False,
        seed: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> Trace:
        """Trace by shapes alone, or on real tensors where that fails or `real` asks for it.

        `prepare` may change the model for that one real pass, which draws by `seed`.
        """
        if real:
            return self._trace_real(example, training=training, seed=seed, prepare=prepare)
        try:
            return self._run(example, training=training, how="shapes")
        except SubjectError:
            raise
        except Exception as error:  # whatever the subject raises
            if shapes_are_wrong(error) or self.on_meta:
                raise forward_error(example, error, self.tree, meta=self.on_meta) from error
        return self._trace_real(example, training=training)

    def confirmed(self, example: Example, traced: Trace) -> Trace:
        """Return `traced`, or a trace on real tensors, after a real forward pass in evaluation mode.

        Shapes alone let through what torch refuses (a wrong dtype, an index out of range), and cannot know which
        way code goes that looks at values. Beyond `AFFORDABLE` operations the trace stands unconfirmed.

        Raises:
            SubjectError: the real pass failed.
        """
        if traced.real or not self.affords(traced):
            return traced
        if not traced.bounds and self._real_output_shapes(example) == tuple(s for s, _ in traced.output_tensors):
            return traced
        return self._trace_real(example, training=False)

    def affords(self, traced: Trace) -> bool:
        """Whether a real pass like this one can be run: the model has numbers, and they do not take long."""
        return not self.on_meta and sum(event.macs for event in traced.events) <= AFFORDABLE

    def _trace_real(
        self, example: Example, *, training: bool, seed: int = 0, prepare: Callable[[], None] | None = None
    ) -> Trace:
        try:
            return self._run(example, training=training, how="real", seed=seed, prepare=prepare)
        except SubjectError:
            raise
        except Exception as error:
            failure = error
        try:
            # Code that differentiates inside its forward pass cannot do so in inference mode.
            return self._run(example, training=training, how="differentiable", seed=seed, prepare=prepare)
        except SubjectError:
            raise
        except Exception:
            raise forward_error(example, failure, self.tree) from failure

    def _run(
        self,
        example: Example,
        *,
        training: bool,
        how: str,
        seed: int = 0,
        prepare: Callable[[], None] | None = None,
    ) -> Trace:
        tracer, differentiable = self._tracer(real=how != "shapes"), how == "differentiable"
        with any_batch():
            self._run_under(
                tracer, example, training=training, differentiable=differentiable, seed=seed, prepare=prepare
            )
        demand_sight(tracer.trace, self.tree)
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
            tracer.trace.trained = self.tree.trained()  # the mode may freeze some, or the pass itself
            seed_all(seed)  # a layer that is dropped at random is dropped in every pass, or in none
            before = drawn()
            with torch.no_grad() if differentiable else torch.inference_mode():
                convert = torch.clone if real else partial(_without_values, tracer)
                given = example.mapped(convert)
                out = watched(tracer.hand_out) if real or _has_values(given) else nullcontext()
                with tracer.watching(), deep(), out, tracer.gradients.watched() if training else nullcontext():
                    for tensor in inputs_of(given):
                        tracer.add_input(tensor)
                    output = self.model(*given.args, **given.kwargs)
                    tracer.set_outputs(output)
                tracer.trace.trained |= self.tree.trained()
                tracer.trace.chance = drawn() != before
                return map_tensors(torch.clone, output) if real else output

    def follow(
        self, example: Example, *, training: bool, seed: int = 0, differentiable: bool = False
    ) -> tuple[Trace, Any]:
        """Trace on real tensors and look at each operation's numbers; return the output, too. Raise what it raises.

        `differentiable` is for code that differentiates inside its forward pass.
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
        """Trace by shapes alone, and only so: what ran, and the error that ended it, if one did.

        BatchNorm refuses a single value a channel in training, as it does outside. Floating inputs may be meta tensors.
        """
        tracer = self._tracer(real=False)
        try:
            self._run_under(tracer, example, training=training)
        except Exception as error:  # whatever the subject raises
            return tracer.trace, error
        return tracer.trace, None

    def real_shapes(self, example: Example, *, training: bool) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the outputs of a real forward pass; raise whatever the subject raises."""
        with self.untouched(values=True), torch.no_grad():
            set_mode(self.tree, training)
            given = example.copied()
            return shapes_of(self.model(*given.args, **given.kwargs))

    def _real_output_shapes(self, example: Example) -> tuple[tuple[int, ...], ...]:
        try:
            return self.real_shapes(example, training=False)
        except Exception as error:
            raise forward_error(example, error, self.tree) from error

    @cached_property
    def on_meta(self) -> bool:
        """Whether the model was built without memory."""
        return is_without_memory(self.tree.tensors())


def _without_values(tracer: Tracer, tensor: torch.Tensor) -> torch.Tensor:
    """Floating inputs lose their values; integers, such as token ids, and what a sparse tensor stores keep theirs."""
    if is_sparse(tensor):
        return tensor.clone()
    if tensor.is_floating_point() or tensor.is_complex():
        return tracer.memory.shape_tensor_like(tensor)
    return tensor.clone()


def forward_error(example: Example, error: Exception, tree: Tree, *, meta: bool = False) -> SubjectError:
    """Return the error of a forward pass that failed: in which layer, at which line, on what input."""
    shapes = ", ".join("x".join(map(str, tensor.shape)) or "scalar" for tensor in inputs_of(example)) or "no tensor"
    message = f"the forward pass failed{failed_in(error, tree)} on input {shapes}: {described(error)}"
    hint = f"; if it takes real numbers, leave {META_WORDS} out" if meta else ""
    return SubjectError(
        "forward", f"{message}; does the input fit the model? (`input` in the contract, `--input` here){hint}"
    )


def _has_values(example: Example) -> bool:
    """Whether an input of a pass by shapes keeps its numbers."""
    return any(tensor.__class__ is not ShapeTensor for tensor in inputs_of(example))


def inputs_of(example: Example) -> list[torch.Tensor]:
    """Return the tensors of an example, positional ones first."""
    return [*tensors_in(example.args), *tensors_in(dict(example.kwargs))]
