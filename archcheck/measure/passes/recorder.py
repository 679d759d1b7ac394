"""Records a pass: each operation with the events that made its operands, the inputs and the outputs.

A tensor is identified by the operation that made it and by the last one that wrote to its memory. A tensor that no
operation made comes from outside of the pass.
"""

from __future__ import annotations

import hashlib
import sys
import weakref
from collections.abc import AsyncIterator, Container, Coroutine, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import torch

from archcheck.facts.operator_costs import Stated
from archcheck.foundation.errors import SubjectError
from archcheck.measure.operators.operator_results import Answer, dtype_of, shape_of, source
from archcheck.measure.passes.event import Event, takes_shape_alone, takes_shape_of_other
from archcheck.measure.passes.external_writes import KnownSums
from archcheck.measure.passes.gradient_mode import GradientMode
from archcheck.measure.passes.layer_calls import Layers, holder_of
from archcheck.measure.passes.saved_values import content_of
from archcheck.measure.passes.trace_record import Handed, Trace
from archcheck.measure.passes.unobserved_values import Silence
from archcheck.measure.shapes.arrays import array_of, is_of_array
from archcheck.measure.shapes.containers import named_tensors, tensors_in
from archcheck.measure.shapes.dispatch_mode import Dispatch
from archcheck.measure.shapes.memory import Memory
from archcheck.measure.shapes.tensor import ShapeTensor
from archcheck.measure.subject.module_tree import Tree


class Recorder(Dispatch):  # type: ignore[no-untyped-call]
    """Records a pass in `trace`. It captures the results of the operations `wanted`, if they have numbers."""

    def __init__(
        self,
        tree: Tree,
        layers: Layers,
        *,
        real: bool,
        silence: Silence | None,
        wanted: Container[int],
        costs: Mapping[str, Stated] | None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tree = tree
        self.trace = Trace(real=real, silence=silence, costs=costs or {})
        self.gradients = GradientMode()
        self.memory = Memory()
        self._sums = KnownSums() if silence else None
        self._layers = layers
        self._makers: dict[int, tuple[int, weakref.ref[torch.Tensor]]] = {}  # of real tensors
        self._foreign_writes = False  # to memory that the pass did not make
        self._wanted = wanted
        self._given: list[tuple[int, torch.Tensor]] = []  # inputs that are arrays

    def _keep_sum(self, tensor: torch.Tensor) -> None:
        if self._sums is not None:
            self._sums.put(tensor, self.memory.of(tensor).written)

    def _check_sums(self, tensors: Sequence[torch.Tensor], caller: FrameType | None) -> None:
        """Note each tensor whose numbers have changed since the operation that made them."""
        for tensor in tensors:
            if self._sums is not None and self._sums.has_changed(tensor, self.memory.of(tensor).written):
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
        if told.mutates:  # first, because the memory may not belong to this pass
            self._wrote(outputs or tensors[:1], index)
        for tensor in outputs:
            self._made(tensor, index)
        if outputs:
            self._note_source(index, outputs[0])
            if index in self._wanted:
                self.trace.captured[index] = outputs[0].clone()
        elif isinstance(result, bool | int | float):
            self.trace.values[index] = result
        return result

    def _note_source(self, index: int, result: torch.Tensor) -> None:
        """Note whether a result comes from shapes and numbers of Python alone, and the numbers that were drawn."""
        event = self.trace.events[index]
        if event.told.draws:
            event.drawn = content_of(result) if self.trace.real else None
        elif takes_shape_alone(event) or all(operand in self.trace.generated for operand in event.operands):
            self.trace.generated.add(index)

    def _add(self, told: Answer, tensors: Sequence[torch.Tensor], caller: FrameType | None) -> Event:
        names: list[str] = []
        operands: list[int] = []
        params: list[str] = []
        unowned: list[tuple[str, torch.Tensor]] = []
        inputs: list[int] = []
        shaped = takes_shape_of_other(told.op)
        for place, tensor in enumerate(tensors):  # first, because it may add constants
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
            if operand >= 0 and operand not in inputs and not (shaped and place):
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
        """Return the name of an operand in the model, or `""`, and the event that made it, -1 for a parameter."""
        name = self.tree.names.get(id(tensor))
        if name is None:
            if tensor.__class__ is ShapeTensor and tensor.owner is self.trace:
                return "", max(tensor.made_by, tensor.block.written)
            return "", self._producer(tensor)
        if tensor.shape != self.tree.extents[id(tensor)]:  # the subject has replaced its memory
            return "", self._constant(tensor)
        # A buffer may be written to. On real tensors its memory must be known before the memory of its views.
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
        """Add a tensor that no recorded operation made (a module attribute, a closure, a global); return its event."""
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
        """Note that operation `index` wrote to the memory of tensors, and so to every view of it."""
        for tensor in tensors:
            block = self.memory.of(tensor)
            block.written = index
            self._foreign_writes |= block.account is None

    def hand_out(self, tensor: torch.Tensor, frame: FrameType, numbers: Any) -> None:
        """Note that code takes the numbers of a tensor out of torch, if the tensor is an input or a result."""
        maker = self._makers.get(id(tensor))
        if maker is not None and maker[1]() is tensor:
            layer, where = self._layers.now(frame)
            content = numbers.tobytes() if hasattr(numbers, "tobytes") else repr(numbers).encode()
            self.trace.handed.append(Handed(maker[0], layer, where, hashlib.sha256(content).hexdigest()))

    def maker_of(self, tensor: torch.Tensor) -> int | None:
        """Return the event that made a tensor or wrote to it last, `None` if no event of this pass did."""
        if tensor.__class__ is ShapeTensor:
            return max(tensor.made_by, tensor.block.written) if tensor.owner is self.trace else None
        known = self._makers.get(id(tensor))
        return known[0] if known is not None and known[1]() is tensor else None

    # --- inputs and outputs ---------------------------------------------------------------------------------

    def add_input(self, tensor: torch.Tensor) -> None:
        """Record `tensor` as an input of the model."""
        event = self._add(source("input", tensor), (), None)
        self._made(tensor, event.index)
        if is_of_array(tensor):
            self._given.append((event.index, tensor))
        if self.trace.silence is not None:
            self.trace.silence.enter(event)
            self._keep_sum(tensor)

    def set_outputs(self, output: Any) -> None:
        """Record the tensors that the model returned.

        Raises:
            SubjectError: the model returned no tensor.
        """
        tensors = list(tensors_in(output))
        if not tensors:
            raise SubjectError(
                "output", f"the model returned no tensor but a {type(output).__name__}{_next_step(output)}"
            )
        self._check_sums(tensors, None)
        self.trace.outputs = tuple(self._operand(tensor)[1] for tensor in tensors)
        names = {id(tensor): name for name, tensor in named_tensors(output)}
        self.trace.output_names = tuple(names.get(id(tensor), str(place)) for place, tensor in enumerate(tensors))
        self.trace.output_tensors = tuple((shape_of(tensor), dtype_of(tensor)) for tensor in tensors)


def _next_step(output: Any) -> str:
    """Return what to do about an output without a tensor; empty if nothing better is known than the message."""
    if output is None:
        return "; is a `return` missing?"
    if isinstance(output, Coroutine):
        output.close()  # else Python warns that nobody awaited it
    if isinstance(output, Coroutine | AsyncIterator):
        return "; nobody awaits an `async` method here: name a plain one"
    if isinstance(output, Iterator):
        return "; return what it yields in a list"
    return "; return the tensor itself, without `item()` or `float()`" if isinstance(output, int | float) else ""
