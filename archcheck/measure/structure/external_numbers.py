"""Finds every tensor and every number that acts on an output beside inputs and parameters.

The search goes back from the outputs along the data flow. A tensor that no operation of the pass made is external: an
attribute, a closure, a global, a file, another object, a buffer. Draws of a seeded generator count as external, too.
There is no list of operators and operands that may hold such a tensor. A tensor does not act if the operation uses only
its shape (`zeros_like`, `new_empty`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch

from archcheck.facts.records import Hidden
from archcheck.foundation.source_place import Where
from archcheck.measure.operators.operator_results import dtype_of
from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event, takes_shape_alone
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.numbers_used import Use
from archcheck.measure.subject.module_tree import Node, Tree, join
from archcheck.measure.subject.source_places import relative

_UNPACKS = frozenset({
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_right_shift", "bitwise_left_shift", "__and__", "__or__",
    "__xor__", "__rshift__", "__lshift__", "remainder", "fmod", "floor_divide", "div", "sub", "mul", "view",
})  # fmt: skip
"""Operators that can take several integers out of one."""
_NORMALISES = ("batch_norm", "instance_norm")
_STATISTICS = ("running_mean", "running_var")
_FROZEN = 1e-6
"""Momentum below which statistics do not follow the data."""
_PARAMETRIZES = "torch.nn.utils."
"""Where torch defines what computes a weight from a parameter: spectral norm, orthogonal, pruning, weight norm."""

Origin = Literal["constant", "buffer", "random", "parameter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Numbers that are neither input nor parameter; `user` is the operation by which they act.

    `unpacked` is how many integers are taken out of its own.
    """

    origin: Origin
    name: str
    shape: tuple[int, ...]
    dtype: str
    index: int
    user: Event
    tensor: torch.Tensor | None = None
    unpacked: int = 0

    @property
    def trainable(self) -> bool:
        """Whether it was created to be trained."""
        tensor = self.tensor
        return tensor is not None and (isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad)


Place = tuple[str, str, Where | None]
"""The operator, the layer and the line of an operation."""


@dataclass(frozen=True, slots=True)
class ChosenNumbers:
    """What a pass makes itself and somebody may have chosen.

    These are the places of `draws`, the `generated` events, the `integers` that choose among numbers, and by name of a
    parameter how many numbers are `unfolded` from it.
    """

    draws: frozenset[Place] = frozenset()
    generated: frozenset[int] = frozenset()
    integers: tuple[Use, ...] = ()
    unfolded: Mapping[str, int] = field(default_factory=dict)


NONE_CHOSEN = ChosenNumbers()


class ExternalNumbers:
    """The external numbers of one pass; `made` is what it makes itself and counts as external, too."""

    def __init__(self, trace: Trace, tree: Tree, statistics: frozenset[str], made: ChosenNumbers) -> None:
        self._trace, self._events = trace, trace.events
        self._buffers, self._parameters = dict(tree.buffers()), dict(tree.parameters())
        self._modules = {node.path: node.module for node in tree.nodes}
        self._statistics, self._chosen = statistics, made
        self._readers = self._read()
        self._unpacked_by = self._unpacked()
        self._unpacked_by_name = self._unpacked_of_names()

    @cached_property
    def sources(self) -> list[Source]:
        """Each external tensor that acts, each buffer and each draw, once; and parameters that are unpacked."""
        return list(self._sources())

    def _sources(self) -> Iterator[Source]:
        seen: set[str] = set()
        for event in self._events:
            if not self._trace.acting[event.index]:
                continue
            if event.kind == "constant" or (event.op == "set_" and len(event.operands) == 1):
                yield self._made("constant", event)
            elif event.index in self._chosen.generated or self._is_drawn_again(event):
                yield self._made("random", event)
            if event.index in self._trace.unowned:
                for name, tensor in self._trace.unowned[event.index]:  # of a layer that is built in `forward`, say
                    yield self._of_tensor("constant", name, tensor, event)
            for position, name in enumerate(event.names):
                if name and name not in seen and event.operands[position] < 0 and not takes_shape_alone(event):
                    if name in self._statistics and self._is_read_as_statistic(event, name):
                        continue  # another operation may still read it as a weight
                    seen.add(name)
                    yield from self._held(name, event)

    def _made(self, origin: Literal["constant", "random"], event: Event) -> Source:
        readers, seen = self._readers.get(event.index, ()), event
        while (wider := next(iter(self._readers.get(seen.index, ())), seen)).elements < seen.elements and (
            wider.op == "view" and wider.dtype != seen.dtype  # bytes that are read as floats give fewer floats
        ):
            seen = wider
        return Source(
            origin=origin,
            name=event.name,
            shape=seen.shapes[0] if seen.shapes else (),
            dtype=seen.dtype or "",
            index=event.index,
            user=self._user(event),
            tensor=event.source,
            unpacked=max(self._count(self._unpacked_by[each.index]) for each in (event, *readers)),
        )

    def _is_drawn_again(self, event: Event) -> bool:
        return draws_numbers(event, self._trace) and place_of(event) in self._chosen.draws

    def _is_read_as_statistic(self, event: Event, name: str) -> bool:
        """Whether an event uses a statistic as such: a normalisation its own, a layer of torch that of a part."""
        owner, _, own = name.rpartition(".")
        of_torch = owner.startswith(f"{event.layer}.") and _is_of(type(self._modules.get(event.layer)), "torch.")
        return of_torch or (event.kind in _NORMALISES if own in _STATISTICS else event.layer == owner)

    def _held(self, name: str, event: Event) -> Iterator[Source]:
        tensor = self._buffers.get(name, self._parameters.get(name))
        if tensor is None:
            return
        unpacked = max(self._count(self._unpacked_by_name.get(name, 0)), self._chosen.unfolded.get(name, 0))
        if name in self._buffers or unpacked > tensor.numel():
            yield self._of_tensor("buffer" if name in self._buffers else "parameter", name, tensor, event, unpacked)

    def _of_tensor(self, origin: Origin, name: str, tensor: torch.Tensor, event: Event, unpacked: int = 0) -> Source:
        """Return the source of a tensor that an event reads."""
        return Source(
            origin=origin,
            name=name,
            shape=tuple(tensor.shape),
            dtype=dtype_of(tensor),
            index=event.index,
            user=self._user(event),
            tensor=tensor,
            unpacked=unpacked,
        )

    def numbers(self) -> list[Use]:
        """Return the Python numbers that act, in order; dropouts that are off have none."""
        return [
            (number, event)
            for event in self._events
            if self._trace.acting[event.index]
            and not (event.kind == "dropout" and not event.attributes.get("training"))
            for number in event.told.numbers
        ]

    def _read(self) -> Mapping[int, list[Event]]:
        readers: dict[int, list[Event]] = {}
        for event in self._events:
            if self._trace.acting[event.index] and not takes_shape_alone(event):
                for index in event.inputs:
                    readers.setdefault(index, []).append(event)
        return readers

    def _user(self, event: Event) -> Event:
        """Return the first operation that combines numbers with those of an input; else their first reader."""
        pending, seen, first = [event], {event.index}, event
        for each in pending:
            if self._trace.dependent[each.index]:
                return each
            for reader in self._readers.get(each.index, ()):
                first = reader if first is event else first
                if reader.index not in seen:
                    seen.add(reader.index)
                    pending.append(reader)
        return first

    def _unpacked(self) -> list[int]:
        """Return for each event the last operations that take integers out of its result by bit operations.

        Each set of events is an integer with a bit for each: a loop may take out thousands of numbers, step by step.
        """
        last = [0] * len(self._events)
        for event in reversed(self._events):
            if not self._trace.dependent[event.index]:
                later = 0
                for reader in self._readers.get(event.index, ()):
                    later |= last[reader.index]
                is_integer = not (event.dtype or "float").startswith(("float", "bfloat", "complex"))
                unpacks = is_integer and base_name(event.op) in _UNPACKS
                last[event.index] = later or (1 << event.index if unpacks else 0)
        return last

    def _unpacked_of_names(self) -> dict[str, int]:
        """Return the same for each parameter and buffer."""
        found: dict[str, int] = {}
        for event in self._events:
            if self._trace.acting[event.index] and self._unpacked_by[event.index]:
                for name in event.params:
                    found[name] = found.get(name, 0) | self._unpacked_by[event.index]
        return found

    def _count(self, events: int) -> int:
        bits = zip(self._events, reversed(f"{events:b}"), strict=False)
        return sum(event.elements for event, bit in bits if bit == "1")


def draws_numbers(event: Event, trace: Trace) -> bool:
    """Whether an operation draws numbers, other than to drop or disturb numbers that depend on the input."""
    if event.kind == "dropout" and not event.attributes.get("training"):
        return False
    return event.told.draws and (takes_shape_alone(event) or not trace.dependent[event.index])


def acting_by(user: Event, root: str, **what: Any) -> Hidden:
    """Return the entry of something that acts by the operation `user`; paths are relative to `root`."""
    return Hidden(used_by=user.op, layer=user.layer, where=relative(user.where, root), **what)


def place_of(event: Event) -> Place:
    """Return what identifies the place of an operation in every pass."""
    return event.op, event.layer, event.where


def statistics_of(traces: Sequence[Trace], tree: Tree) -> frozenset[str]:
    """Return the buffers that training of normalisations updates, and those that torch's parametrizations use."""
    own = {join(node.path, name) for node in tree.nodes for name in _own_statistics(node)}
    moved = {
        name
        for trace in traces
        for event in trace.events
        if event.kind in _NORMALISES and (len(traces) == 1 or event.attributes.get("training"))
        for role, name in zip(event.roles, event.names, strict=True)
        if role in _STATISTICS and name
    }
    still = {join(node.path, name) for node in tree.nodes if _never_moves(node) for name in _STATISTICS}
    return frozenset((own | moved) - still)


def _never_moves(node: Node) -> bool:
    """Whether training does not update the statistics of a normalisation: they hold chosen numbers."""
    normalises = isinstance(node.module, torch.nn.modules.batchnorm._NormBase)
    momentum = vars(node.module).get("momentum") if normalises else None
    return isinstance(momentum, int | float) and abs(momentum) < _FROZEN


def _own_statistics(node: Node) -> Iterator[str]:
    module = node.module
    if isinstance(module, torch.nn.modules.batchnorm._NormBase):
        yield from _STATISTICS
    if _is_of(type(module), _PARAMETRIZES):
        yield from (name for name, _ in node.buffers)
    buffers = dict(node.buffers)
    for hook in vars(module).get("_forward_pre_hooks", {}).values():
        if _is_of(type(hook), _PARAMETRIZES):
            own = vars(hook)
            name = own.get("_tensor_name", own.get("name"))
            yield from (f"{name}_{vector}" for vector in ("u", "v"))
            if _is_mask(buffers.get(f"{name}_mask")):
                yield f"{name}_mask"


def _is_of(kind: type, package: str) -> bool:
    """Whether a module in `package` really defines a class: the class of a parametrized layer only claims it."""
    module = sys.modules.get(kind.__module__) if kind.__module__.startswith(package) else None
    return vars(module).get(kind.__name__) is kind if module else False


def _is_mask(tensor: torch.Tensor | None) -> bool:
    """Whether a tensor is a mask of pruning: zeros and ones."""
    if tensor is None or tensor.device.type == "meta":
        return tensor is not None
    return bool(((tensor == 0) | (tensor == 1)).all())
