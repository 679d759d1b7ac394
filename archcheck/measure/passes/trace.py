"""One forward pass, seen operation by operation.

Under `torch.inference_mode()` a `TorchDispatchMode` sees whole operations under the names people use
(`dropout`, `batch_norm`, `linear`, `lstm`) instead of what they decompose into. Inputs are tensors without
values; an operation that touches one of them, or a parameter, is computed on shapes alone. Operations on
small real tensors (masks, positions, anchors) run for real, so that code which looks at their values works.
With `real=True` everything runs for real: the way out where a shape alone is not enough.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import torch

from archcheck.errors import SubjectError
from archcheck.measure.operators.answers import KNOWN, Answer, answer, dtype_of, remember, shape_of, source
from archcheck.measure.operators.kinds import kind_of
from archcheck.measure.operators.run import ShapeRunner, fresh
from archcheck.measure.operators.schema import Operator, operator_of
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace
from archcheck.measure.passes.gradient_mode import GradientMode
from archcheck.measure.passes.kept_values import content_of
from archcheck.measure.passes.layer_calls import Layers, holder_of
from archcheck.measure.passes.silence import Silence
from archcheck.measure.passes.stamps import Stamps
from archcheck.measure.shapes.arguments import Call, bind
from archcheck.measure.shapes.arrays import array_of, is_of_array
from archcheck.measure.shapes.containers import named_tensors, tensors_in
from archcheck.measure.shapes.dispatch import Dispatch
from archcheck.measure.shapes.looks import Looks
from archcheck.measure.shapes.memory import Memory
from archcheck.measure.shapes.tensor import ShapeTensor
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.tree import Tree
from archcheck.stated_costs import Stated


class Tracer(Dispatch):
    """Records every operation that runs while it is `watching` into `trace`.

    `nudge` makes the numbers of Python larger by that share; of `wanted` operations, which shapes and such numbers
    alone go into, the results are captured.
    """

    def __init__(
        self,
        tree: Tree,
        looks: Looks,
        layers: Layers,
        *,
        real: bool = False,
        silence: Silence | None = None,
        nudge: float = 0.0,
        wanted: Container[int] = (),
        costs: Mapping[str, Stated] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tree = tree
        self.trace = Trace(real=real, silence=silence, costs=costs or {})
        self._stamps = Stamps() if silence else None
        self.gradients = GradientMode()
        self.memory = Memory()
        self._shapes = ShapeRunner(tree.names, self.memory)
        self._looks = looks
        self._makers: dict[int, tuple[int, weakref.ref[torch.Tensor]]] = {}  # of real tensors
        self._layers = layers
        self._foreign_writes = False  # to memory that the pass did not make
        self._nudge, self._wanted = nudge, wanted
        self._given: list[tuple[int, torch.Tensor]] = []  # inputs that are arrays

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Trace what runs inside."""
        try:
            with self._layers.watching(self.trace.visits), self:
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
        result = fresh(operator, operator.func(*args, **kwargs), tensors)
        told = answer(operator, call, list(tensors_in(result)))
        return self._record(told, tensors, result, caller)

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

    def _stamp(self, tensor: torch.Tensor) -> None:
        if self._stamps is not None:
            self._stamps.put(tensor, self.memory.of(tensor).written)

    def _demand_stamps(self, tensors: Sequence[torch.Tensor], caller: FrameType | None) -> None:
        """Note where numbers have changed since the operation that made them."""
        stamps = self._stamps
        for tensor in tensors if stamps is not None else ():
            if stamps is not None and stamps.is_broken(tensor, self.memory.of(tensor).written):
                self.trace.foreign.append(self._layers.now(caller)[1])

    def _record(self, told: Answer, tensors: list[torch.Tensor], result: Any, caller: FrameType | None) -> Any:
        if told.macs is None and told.op not in self.trace.costs:
            self.trace.uncounted.add(told.op)
        index = self._add(told, tensors, caller).index
        if result.__class__ is ShapeTensor:
            result.made_by, result.owner = index, self.trace
            if told.mutates:
                self._wrote((result,), index)
            return result
        outputs = [result] if result.__class__ is torch.Tensor else list(tensors_in(result))
        if told.mutates:  # first, for what is written to may not be memory of this pass
            self._wrote(outputs or tensors[:1], index)
        for tensor in outputs:
            self._made(tensor, index)
        if outputs:
            self._generate(index, outputs[0])
        return result

    def _generate(self, index: int, result: torch.Tensor) -> None:
        """Note what an operation makes of shapes and numbers of Python alone, and what a generator gives."""
        event = self.trace.events[index]
        if event.told.draws:
            event.drawn = content_of(result) if self.trace.real else None
        elif not event.params and all(operand in self.trace.generated for operand in event.operands):
            self.trace.generated.add(index)
            if index in self._wanted:
                self.trace.captured[index] = result.clone()

    def _add(self, told: Answer, tensors: Sequence[torch.Tensor], caller: FrameType | None) -> Event:
        names: list[str] = []
        operands: list[int] = []
        params: list[str] = []
        unowned: list[tuple[str, torch.Tensor]] = []
        inputs: list[int] = []
        for tensor in tensors:  # first, for it may add constants
            if tensor.__class__ is ShapeTensor and tensor.owner is self.trace:
                made, written = tensor.made_by, tensor.block.written
                name, operand = "", made if made > written else written
            else:
                name, operand = self._operand(tensor)
                if name and name not in params:
                    params.append(name)
                elif operand >= 0 and isinstance(tensor, torch.nn.Parameter) and not self._is_constant(tensor):
                    unowned.append((holder_of(tensor, sys._getframe(1)), tensor))
            names.append(name)
            operands.append(operand)
            if operand >= 0 and operand not in inputs:
                inputs.append(operand)
        layer, where = self._layers.now(caller)
        events = self.trace.events
        event = Event(len(events), told, layer, tuple(inputs), tuple(operands), tuple(names), tuple(params), where)
        event.no_grad = self.gradients.off
        events.append(event)
        if unowned:
            self.trace.unowned[event.index] = unowned
        return event

    def _is_constant(self, tensor: torch.Tensor) -> bool:
        return self.trace.events[self._makers[id(tensor)][0]].kind == "constant"

    def _operand(self, tensor: torch.Tensor) -> tuple[str, int]:
        """Return the name of an operand in the model, if any, and the event that made it, -1 for a parameter."""
        name = self.tree.names.get(id(tensor))
        if name is None:
            if tensor.__class__ is ShapeTensor and tensor.owner is self.trace:
                return "", max(tensor.made_by, tensor.block.written)
            return "", self._producer(tensor)
        if tensor.shape != self.tree.extents[id(tensor)]:  # other memory has been put in its place
            return "", self._constant(tensor)
        # A buffer may be written to. On real tensors its memory has to be known before that of its views.
        if self._foreign_writes or self.trace.real:
            return name, self.memory.of(tensor).written
        return name, -1

    def _producer(self, tensor: torch.Tensor) -> int:
        known = self._makers.get(id(tensor))
        if known is None or known[1]() is not tensor:
            given = array_of(tensor, self._given)
            if given is not None:
                self._makers[id(tensor)] = given, weakref.ref(tensor)
                return given
            return self._constant(tensor)
        return max(known[0], self.memory.of(tensor).written)

    def _constant(self, tensor: torch.Tensor) -> int:
        """A tensor that no recorded operation made: a module attribute, a closure, a global."""
        written = self.memory.of(tensor).written
        event = self._add(source("constant", tensor), (), sys._getframe(1))
        event.source, event.name = tensor, holder_of(tensor, sys._getframe(1))
        self._makers[id(tensor)] = event.index, weakref.ref(tensor)
        return max(event.index, written)

    def _made(self, tensor: torch.Tensor, index: int) -> None:
        if tensor.__class__ is ShapeTensor:
            tensor.made_by, tensor.owner = index, self.trace
        else:
            self._makers[id(tensor)] = index, weakref.ref(tensor)
            self.memory.count(tensor)

    def _wrote(self, tensors: Sequence[torch.Tensor], index: int) -> None:
        """A write reaches every view of the same memory."""
        for tensor in tensors:
            block = self.memory.of(tensor)
            block.written = index
            self._foreign_writes |= block.account is None

    # --- the ends of the pass -----------------------------------------------------------------------------

    def add_input(self, tensor: torch.Tensor) -> None:
        """Make `tensor` known as an input of the model."""
        event = self._add(source("input", tensor), (), None)
        self._made(tensor, event.index)
        if is_of_array(tensor):
            self._given.append((event.index, tensor))
        if self.trace.silence is not None:
            self.trace.silence.enter(event)
            self._stamp(tensor)

    def set_outputs(self, output: Any) -> None:
        """Note the tensors that the model returned."""
        tensors = list(tensors_in(output))
        if not tensors:
            hint = "; did its `forward` forget to return?" if output is None else ""
            raise SubjectError("output", f"the model returned no tensor but a {type(output).__name__}{hint}")
        self._demand_stamps(tensors, None)
        self.trace.outputs = tuple(self._operand(tensor)[1] for tensor in tensors)
        names = {id(tensor): name for name, tensor in named_tensors(output)}
        self.trace.output_names = tuple(names.get(id(tensor), str(place)) for place, tensor in enumerate(tensors))
        self.trace.output_tensors = tuple((shape_of(tensor), dtype_of(tensor)) for tensor in tensors)


@cache
def _is_opened(kind: type) -> bool:
    """Whether a class of the subject's computes what is asked of its tensors itself, which is to be seen."""
    return is_own(getattr(getattr(kind.__torch_dispatch__, "__code__", None), "co_filename", "<"))  # type: ignore[attr-defined]
