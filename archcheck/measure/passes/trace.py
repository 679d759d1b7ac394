"""One forward pass, seen operation by operation.

Under `torch.inference_mode()` a `TorchDispatchMode` sees whole operations under the names people use
(`dropout`, `batch_norm`, `linear`, `lstm`) instead of what they decompose into. Inputs are tensors without
values; an operation that touches one of them, or a parameter, is computed on shapes alone. Operations on
small real tensors (masks, positions, anchors) run for real, so that code which looks at their values works.
With `real=True` everything runs for real: the way out where a shape alone is not enough.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import torch

from archcheck.facts.operator_costs import Stated
from archcheck.measure.operators.computation import ShapeRunner, fresh
from archcheck.measure.operators.kinds import kind_of
from archcheck.measure.operators.operator_results import KNOWN, answer, remember
from archcheck.measure.operators.schema import Operator, operator_of
from archcheck.measure.passes.event import NOTHING_DRAWN
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.recorder import Recorder
from archcheck.measure.passes.unobserved_values import Silence
from archcheck.measure.shapes.arguments import Call, bind
from archcheck.measure.shapes.call_signature import CallSignatures
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.tensor import ShapeTensor
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.ownership import is_own


class Tracer(Recorder):
    """Records every operation that runs while it is `watching` into `trace`.

    `nudge` makes the numbers of Python larger by that share; of `wanted` operations the results are captured.
    """

    def __init__(
        self,
        tree: Tree,
        looks: CallSignatures,
        layers: Layers,
        *,
        real: bool = False,
        silence: Silence | None = None,
        nudge: float = 0.0,
        wanted: Container[int] = (),
        costs: Mapping[str, Stated] | None = None,
    ) -> None:
        super().__init__(tree, layers, real=real, silence=silence, wanted=wanted, costs=costs)  # type: ignore[no-untyped-call]
        self._shapes = ShapeRunner(tree.names, self.memory)
        self._looks = looks
        self._nudge = nudge

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Trace what runs inside."""
        try:
            with self._layers.watching(self.trace.visits, placing=self.trace.real), self:
                yield
        finally:
            self.trace.peak_bytes = self.memory.account.peak
            self.trace.bounds.update(self._shapes.bounds)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Compute one operation and record it."""
        kwargs = kwargs or {}
        if self._nudge and any(True for _ in tensors_in(args)):  # the numbers of others are sizes
            args = self._nudged(args)
        if not isinstance(func, torch._ops.OpOverload):
            return self._higher_order(func, args, kwargs)
        operator, caller = operator_of(func), sys._getframe(1)
        own = operator.body or next((kind for kind in types if kind is not ShapeTensor and _is_opened(kind)), None)
        if own is not None:
            return self._inside_own(own, func, types, args, kwargs)
        counts = operator.writes_first and self._only_counts(args[0])
        if self.trace.real:
            return func(*args, **kwargs) if counts else self._run_real(operator, args, kwargs, caller)
        if counts:
            return args[0]
        look, tensors, by_shape = self._looks.of(func, args, kwargs, self._shapes.without_values)
        known = KNOWN.get(look)
        if by_shape and known is not None and known.recipe is not None:
            return self._record(known, tensors, known.recipe.make(tensors, self.memory), caller)
        result, told = self._shapes.run(operator, args, kwargs, tensors, known, by_shape=by_shape)
        if told is None:
            return self._inside(func, args, kwargs)
        if told is not known and (known is None or told.recipe is not None):
            remember(look, told)
        return self._record(told, tensors, result, caller)

    def _higher_order(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operator that takes functions, looking inside; what cannot be looked into is named as uncounted."""
        name = str(func.name())
        if name == "flex_attention":
            query, key, value = args[:3]
            self.trace.bounds.add(name)  # a block mask may leave scores out
            with self:
                out = torch.ops.aten.scaled_dot_product_attention.default(query, key, value, enable_gqa=True)
                rows = out.new_empty(out.shape[:-1])
            return out, rows, rows
        if name != "cond":
            self.trace.uncounted.add(name)
        return self.higher_order(func, args, kwargs)

    def _nudged(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return numbers of Python a little larger: those of a formula matter little, those of a generator much."""
        return tuple(each * (1 + self._nudge) if isinstance(each, float) else each for each in args)

    def _only_counts(self, target: Any) -> bool:
        """Whether a write is bookkeeping on an integer buffer, such as BatchNorm's count of batches."""
        return id(target) in self.tree.names and not target.is_floating_point()

    def _inside_own(self, own: Any, func: Any, types: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Look inside an operator that the subject made of a function, or what it lets tensors of its own do."""
        with self:
            if isinstance(own, type):
                return own.__torch_dispatch__(func, types, args, kwargs)  # type: ignore[attr-defined]
            return own(*args, **kwargs)

    def _inside(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Look inside a composite operation that nobody knows whole."""
        with self:
            return func.decompose(*args, **kwargs)

    def _run_real(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], caller: FrameType) -> Any:
        if operator.inside:
            return self._inside(operator.func, args, kwargs)
        call = bind(operator.func, args, kwargs)
        tensors = list(tensors_in(call))
        if self.trace.silence is not None:
            return self._run_closely(operator, call, tensors, args, kwargs, caller)
        before = _generators_of(operator, call)
        result = fresh(operator, operator.func(*args, **kwargs), tensors)
        told = answer(operator, call, list(tensors_in(result)))
        self._record(told, tensors, result, caller)
        if before and before == _generators_of(operator, call):
            self.trace.events[-1].drawn = NOTHING_DRAWN
        return result

    def _run_closely(
        self,
        operator: Operator,
        call: Call,
        tensors: list[torch.Tensor],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        caller: FrameType,
    ) -> Any:
        """Run an operation as `_run_real` does, and look at its numbers."""
        silence = self.trace.silence
        assert silence is not None
        self._demand_stamps(tensors, caller)
        before = silence.before(kind_of(operator.name), call, operator.mutates)
        result = fresh(operator, operator.func(*args, **kwargs), tensors)
        outputs = list(tensors_in(result))
        told = answer(operator, call, outputs)
        self._record(told, tensors, result, caller)
        silence.note(self.trace.events[-1], call, tensors, outputs, before)
        for tensor in outputs:
            self._stamp(tensor)
        return result


def _generators_of(operator: Operator, call: Call) -> list[bytes]:
    """Return the states of the generators that one of torch's own operations may draw from on the CPU."""
    if not operator.draws or operator.func.namespace != "aten":
        return []
    own = [each for each in call.values() if isinstance(each, torch.Generator)]
    return [each.get_state().numpy().tobytes() for each in own or [torch.default_generator]]


@cache
def _is_opened(kind: type) -> bool:
    """Whether a class of the subject's computes what is asked of its tensors itself, which is to be seen."""
    return is_own(getattr(getattr(kind.__torch_dispatch__, "__code__", None), "co_filename", "<"))  # type: ignore[attr-defined]
