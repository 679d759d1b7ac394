"""Traces one forward pass, operation by operation.

Under `torch.inference_mode()` a `TorchDispatchMode` sees whole operations with their usual names (`dropout`,
`batch_norm`, `linear`, `lstm`), and not the operations that they decompose into. Inputs are tensors without values. An
operation on one of them, or on a parameter, is computed from shapes alone. Operations on small real tensors (masks,
positions, anchors) run for real, so that code can read their values. With `real=True` everything runs for real, for
models that shapes alone cannot trace.
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
from archcheck.measure.operators.sparse_cost import is_sparse
from archcheck.measure.passes.event import NOTHING_DRAWN
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.recorder import Recorder
from archcheck.measure.passes.unobserved_values import Silence
from archcheck.measure.shapes.arguments import Call, bind
from archcheck.measure.shapes.call_signature import CallSignatures
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.tensor import ShapeTensor, is_floating
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.ownership import is_own


class Tracer(Recorder):
    """Records into `trace` every operation that runs while it is `watching`.

    `nudge` is the share by which it enlarges numbers of Python. It captures the results of the operations `wanted`.
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

    def input_by_shape(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a floating input without its values; copy integers, such as token ids, and sparse tensors."""
        if is_floating(tensor) and not is_sparse(tensor):
            return self.memory.shape_tensor_like(tensor)
        return tensor.clone()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Compute one operation and record it."""
        kwargs = kwargs or {}
        if self._nudge and any(True for _ in tensors_in(args)):  # the numbers of others are sizes
            args = self._nudged(args)
        if not isinstance(func, torch._ops.OpOverload):
            return self._higher_order(func, args, kwargs)
        operator, caller = operator_of(func), sys._getframe(1)
        own = operator.body or next((kind for kind in types if kind is not ShapeTensor and is_opened(kind)), None)
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
        """Run an operator that takes functions and look inside. An operator that hides its inside counts as unknown."""
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
        """Return arguments with enlarged numbers of Python: a formula changes little, a random generator completely."""
        return tuple(each * (1 + self._nudge) if isinstance(each, float) else each for each in args)

    def _only_counts(self, target: Any) -> bool:
        """Whether a write only updates a counter in an integer buffer, such as BatchNorm's count of batches."""
        return id(target) in self.tree.names and not target.is_floating_point()

    def _inside_own(self, own: Any, func: Any, types: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Look inside an operator that the subject registered, or inside the dispatch of the subject's tensor class."""
        with self:
            if isinstance(own, type):
                return own.__torch_dispatch__(func, types, args, kwargs)  # type: ignore[attr-defined]
            return own(*args, **kwargs)

    def _inside(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Look inside a composite operation that is not known as a whole."""
        with self:
            return func.decompose(*args, **kwargs)

    def _run_real(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], caller: FrameType) -> Any:
        if operator.inside:
            return self._inside(operator.func, args, kwargs)
        call = bind(operator.func, args, kwargs)
        tensors = list(tensors_in(call))
        silence = self.trace.silence
        self._check_sums(tensors, caller)
        overwritten = silence and silence.before(kind_of(operator.name), call, operator.mutates)
        states = _generators_of(operator, call)
        result = fresh(operator, operator.func(*args, **kwargs), tensors)
        outputs = list(tensors_in(result))
        self._record(answer(operator, call, outputs), tensors, result, caller)
        event = self.trace.events[-1]
        if states and states == _generators_of(operator, call):
            event.drawn = NOTHING_DRAWN
        if silence is not None:
            silence.note(event, call, tensors, outputs, overwritten)
        for tensor in outputs:
            self._keep_sum(tensor)
        return result


def _generators_of(operator: Operator, call: Call) -> list[bytes]:
    """Return the states of the CPU generators that one of torch's own operations may use."""
    if not operator.draws or operator.func.namespace != "aten":
        return []
    own = [each for each in call.values() if isinstance(each, torch.Generator)]
    return [each.get_state().numpy().tobytes() for each in own or [torch.default_generator]]


@cache
def is_opened(kind: type) -> bool:
    """Whether a tensor class of the subject has its own dispatch, which the trace has to look into."""
    return is_own(getattr(getattr(kind.__torch_dispatch__, "__code__", None), "co_filename", "<"))  # type: ignore[attr-defined]
