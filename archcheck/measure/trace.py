"""One forward pass, seen operation by operation.

Under `torch.inference_mode()` a `TorchDispatchMode` sees whole operations under the names people use
(`dropout`, `batch_norm`, `linear`, `lstm`) instead of what they decompose into. Inputs are tensors without
values; an operation that touches one of them, or a parameter, is computed on shapes alone. Operations on
small real tensors (masks, positions, anchors) run for real, so that code which looks at their values works.
With `real=True` everything runs for real: the way out where a shape alone is not enough.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from archcheck.errors import SubjectError
from archcheck.measure.arguments import bind, op_name, tensors_in
from archcheck.measure.cost import multiply_accumulates
from archcheck.measure.flops import published_flops
from archcheck.measure.kinds import describe
from archcheck.measure.memory import Meter
from archcheck.measure.places import caller_place
from archcheck.measure.shape_run import ShapeRunner
from archcheck.measure.shape_tensor import ShapeTensor, wrap
from archcheck.measure.tree import Tree
from archcheck.where import Where


@dataclass(slots=True)
class Event:
    """One executed operation as the trace saw it; `source` is set for tensors that come from outside of it."""

    index: int
    kind: str
    op: str
    layer: str
    inputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str | None
    attributes: dict[str, Any]
    params: tuple[str, ...]
    macs: int
    flops: int
    where: Where | None
    operands: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # for each operand the parameter or buffer that it is, or ""
    source: torch.Tensor | None = None
    name: str = ""


@dataclass(slots=True)
class Visit:
    """How often, when first and with which shapes a layer was called."""

    order: int
    calls: int = 0
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()


@dataclass(slots=True)
class Trace:
    """What one forward pass did; `outputs` are the events that made the model's outputs."""

    events: list[Event] = field(default_factory=list)
    visits: dict[str, Visit] = field(default_factory=dict)
    output_tensors: tuple[tuple[tuple[int, ...], str], ...] = ()
    outputs: tuple[int, ...] = ()
    uncounted: set[str] = field(default_factory=set)
    bounds: set[str] = field(default_factory=set)
    peak_bytes: int = 0
    real: bool = False


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation that runs while it is `watching` into `trace`."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # A private hook of torch: without it the first dispatch imports the compiler (about 1.5 s).
        return False

    def __init__(self, tree: Tree, *, real: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tree = tree
        self.trace = Trace(real=real)
        self._shapes = ShapeRunner(tree.names)
        self._ids: dict[int, tuple[int, weakref.ref[torch.Tensor]]] = {}
        self._writes: dict[int, int] = {}
        self._key = self._shapes.twins.key
        self._meter = Meter(self._shapes.twins)
        self._stack: list[tuple[str, torch.nn.Module]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Trace what runs inside; the hooks that attribute it to layers go away also when it raises."""
        handles = [
            register_module_forward_pre_hook(self._enter_layer),
            register_module_forward_hook(self._leave_layer, always_call=True),
        ]
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()
            self.trace.peak_bytes = self._meter.peak

    # --- layers -------------------------------------------------------------------------------------------

    def _enter_layer(self, module: torch.nn.Module, inputs: Any) -> None:
        path = self.tree.path_of(module)
        parent = self._stack[-1][0] if self._stack else ""
        self._stack.append((parent if path is None else path, module))
        if path is None:
            return
        visit = self.trace.visits.setdefault(path, Visit(order=len(self.trace.visits)))
        visit.calls += 1
        if visit.calls == 1:
            visit.inputs = shapes_of(inputs)

    def _leave_layer(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if not self._stack:
            return
        path, _ = self._stack.pop()
        if self.tree.path_of(module) is not None and self.trace.visits[path].calls == 1:
            self.trace.visits[path].outputs = shapes_of(output)

    # --- operations ---------------------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute one operation and record it."""
        kwargs = dict(kwargs or {})
        if not isinstance(func, torch._ops.OpOverload):
            self.trace.uncounted.add(str(getattr(func, "__name__", func)))
            return func(*args, **kwargs)
        name, call = op_name(func), bind(func, args, kwargs)
        given = [(role, tensor) for role, value in call.items() for tensor in tensors_in(value)]
        tensors = [tensor for _, tensor in given]
        run = self._shapes.run if not self.trace.real else self._run_real
        result = run(func, name, call, args, kwargs, tensors)
        if result is NotImplemented:
            # A composite operation that nobody knows whole: look inside.
            with self:
                return func.decompose(*args, **kwargs)
        self.trace.bounds.update(self._shapes.bounds)
        if self._only_counts(func, tensors):
            return result
        return self._record(func, name, call, given, result)

    def _only_counts(self, func: Any, tensors: list[torch.Tensor]) -> bool:
        """Whether this is bookkeeping on integer buffers, such as BatchNorm's count of batches."""
        return func._schema.is_mutable and all(
            id(tensor) in self.tree.names and not tensor.is_floating_point() for tensor in tensors
        )

    @staticmethod
    def _run_real(func: Any, name: str, call: Any, args: Any, kwargs: Any, tensors: Any) -> Any:
        return func(*args, **kwargs)

    def _record(
        self, func: Any, name: str, call: dict[str, Any], given: list[tuple[str, torch.Tensor]], result: Any
    ) -> Any:
        tensors = [tensor for _, tensor in given]
        mutates = func._schema.is_mutable
        if not mutates:
            result = _fresh(result, tensors)
        outputs = list(tensors_in(result))
        kind, attributes = describe(name, call, outputs)
        macs = multiply_accumulates(name, call, outputs)
        if macs is None:
            self.trace.uncounted.add(name)
        names, inputs, operands = self._read(tensors)
        event = self._add(
            kind=kind,
            op=name,
            inputs=inputs,
            outputs=outputs,
            attributes=attributes,
            params=tuple(dict.fromkeys(filter(None, names))),
            macs=macs or 0,
            flops=published_flops(name, call, outputs, macs or 0),
        )
        event.operands = operands
        event.roles = tuple(role for role, _ in given)
        event.names = names
        self._wrote(event.index, tensors, outputs, mutates=mutates)
        for tensor in outputs:
            self._meter.add(tensor)
        return result

    def _add(self, *, outputs: list[torch.Tensor], **values: Any) -> Event:
        event = Event(
            index=len(self.trace.events),
            layer=self._stack[-1][0] if self._stack else "",
            shapes=tuple(tuple(tensor.shape) for tensor in outputs),
            dtype=str(outputs[0].dtype).removeprefix("torch.") if outputs else None,
            where=caller_place(),
            **values,
        )
        self.trace.events.append(event)
        return event

    def _read(self, tensors: list[torch.Tensor]) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
        """Return for each operand its name in the model, the producing events, and each operand's (-1 for none)."""
        names: list[str] = []
        operands: list[int] = []
        for tensor in tensors:
            name = self.tree.names.get(id(tensor), "")
            names.append(name)
            if name:
                operands.append(self._writes.get(self._key(tensor), -1))  # a buffer may be written to
            else:
                operands.append(self._producer(tensor))
        inputs = tuple(dict.fromkeys(index for index in operands if index >= 0))
        return tuple(names), inputs, tuple(operands)

    def _producer(self, tensor: torch.Tensor) -> int:
        known = self._ids.get(id(tensor))
        if known is None or known[1]() is not tensor:
            return self._constant(tensor)
        return max(known[0], self._writes.get(self._key(tensor), -1))

    def _constant(self, tensor: torch.Tensor) -> int:
        """A tensor that no recorded operation made: a module attribute, a closure, a global."""
        event = self._add_source("constant", tensor)
        event.source, event.name = tensor, self._foreign_name(tensor)
        self._wrote(event.index, [], [tensor], mutates=False)
        return event.index

    def _foreign_name(self, tensor: torch.Tensor) -> str:
        """Name a tensor of a module that is called but not registered, such as one kept in a plain list."""
        for _, module in reversed(self._stack):
            own = {**module.__dict__.get("_parameters", {}), **module.__dict__.get("_buffers", {})}
            for name, value in own.items():
                if value is tensor:
                    return f"{type(module).__name__}.{name}"
        return ""

    def add_input(self, tensor: torch.Tensor) -> None:
        """Make `tensor` known as an input of the model."""
        event = self._add_source("input", tensor)
        self._wrote(event.index, [], [tensor], mutates=False)
        self._meter.add(tensor)

    def _add_source(self, kind: str, tensor: torch.Tensor) -> Event:
        return self._add(kind=kind, op=kind, inputs=(), outputs=[tensor], attributes={}, params=(), macs=0, flops=0)

    def set_outputs(self, output: Any) -> None:
        """Note the tensors that the model returned."""
        tensors = list(tensors_in(output))
        if not tensors:
            hint = "; did its `forward` forget to return?" if output is None else ""
            raise SubjectError("output", f"the model returned no tensor but a {type(output).__name__}{hint}")
        _, inputs, operands = self._read(tensors)
        self.trace.outputs = operands if -1 not in operands else inputs
        self.trace.output_tensors = tuple(
            (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for tensor in tensors
        )

    def _wrote(self, index: int, tensors: list[torch.Tensor], outputs: list[torch.Tensor], *, mutates: bool) -> None:
        """Remember who made each tensor; a write reaches every view of the same memory."""
        shared = {self._key(tensor) for tensor in tensors}
        for tensor in outputs:
            storage = self._key(tensor)
            if not mutates and storage not in shared:
                self._writes.pop(storage, None)  # memory used anew: earlier writes belong to another tensor
            self._ids[id(tensor)] = (index, weakref.ref(tensor))
        if mutates and tensors:
            written = outputs or tensors[:1]
            self._writes.update((self._key(tensor), index) for tensor in written)


def _fresh(result: Any, tensors: list[torch.Tensor]) -> Any:
    """Return `result` as a tensor of its own when an operation handed back its input (dropout in evaluation)."""
    if isinstance(result, torch.Tensor) and any(result is tensor for tensor in tensors):
        if isinstance(result, ShapeTensor):
            return wrap(result.meta, inference=result.is_inference())
        return torch.ops.aten.alias(result)
    return result


def shapes_of(value: Any) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of all tensors in `value`."""
    return tuple(tuple(tensor.shape) for tensor in tensors_in(value))
