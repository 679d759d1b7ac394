"""The account of numbers: every tensor and every number that acts on an output beside inputs and parameters.

The walk goes back from the outputs along the data flow. A tensor that no operation of the pass made comes from outside:
an attribute, a closure, a global, a file, another object, a buffer. Draws of a seeded generator count as from outside,
too. No list says in which operand of which operator such a tensor has to stand. A tensor of which an operation uses
only the shape (`zeros_like`, `new_empty`) does not act.
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
"""Operators that make several integers of one."""
_NORMALISES = ("batch_norm", "instance_norm")
_STATISTICS = ("running_mean", "running_var")
_STILL = 1e-6
"""Momentum below which statistics do not follow the data."""
_PARAMETRIZES = "torch.nn.utils."
"""Where torch keeps what computes a weight of a parameter: spectral and orthogonal, pruned, normalised."""


Sort = Literal["constant", "buffer", "random", "parameter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where numbers come from that are neither input nor parameter; `user` is the operation that they act by.

    `unpacked` is how many integers are made of its own.
    """

    sort: Sort
    name: str
    shape: tuple[int, ...]
    dtype: str
    index: int
    user: Event
    tensor: torch.Tensor | None = None
    unpacked: int = 0

    @property
    def trainable(self) -> bool:
        """Whether it was made to be trained."""
        tensor = self.tensor
        return tensor is not None and (isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad)


Place = tuple[str, str, Where | None]
"""The operator, the layer and the line of an operation."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a pass makes itself and may have been chosen.

    These are the places of `draws`, the events that are `generated`, the `integers` that choose among numbers, and how
    many numbers of parameters are `unfolded`.
    """

    draws: frozenset[Place] = frozenset()
    generated: frozenset[int] = frozenset()
    integers: tuple[Use, ...] = ()
    unfolded: Mapping[str, int] = field(default_factory=dict)


NOTHING_CHOSEN = Chosen()


class Account:
    """The sources of one pass; `made` is what it makes itself and counts as from outside."""

    def __init__(self, trace: Trace, tree: Tree, statistics: frozenset[str], made: Chosen) -> None:
        self._trace, self._events = trace, trace.events
        self._buffers, self._parameters = dict(tree.buffers()), dict(tree.parameters())
        self._modules = {node.path: node.module for node in tree.nodes}
        self._statistics, self._chosen = statistics, made
        self._readers = self._read()
        self._grown = self._unpacked()
        self._grown_of = self._unpacked_of_names()

    @cached_property
    def sources(self) -> list[Source]:
        """Each tensor from outside that acts, each buffer and each draw, once; parameters that are unpacked."""
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
                        continue  # another operation may read it as a weight
                    seen.add(name)
                    yield from self._held(name, event)

    def _made(self, sort: Literal["constant", "random"], event: Event) -> Source:
        seen = event
        while (wider := next(iter(self._readers.get(seen.index, ())), seen)).elements < seen.elements and (
            wider.op == "view" and wider.dtype != seen.dtype  # bytes that are read as floats are fewer floats
        ):
            seen = wider
        return Source(
            sort=sort,
            name=event.name,
            shape=seen.shapes[0] if seen.shapes else (),
            dtype=seen.dtype or "",
            index=event.index,
            user=self._user(event),
            tensor=event.source,
            unpacked=max(self._count(self._grown[each.index]) for each in (event, *self._readers.get(event.index, ()))),
        )

    def _is_drawn_again(self, event: Event) -> bool:
        return draws_numbers(event, self._trace) and place_of(event) in self._chosen.draws

    def _is_read_as_statistic(self, event: Event, name: str) -> bool:
        """Whether what reads a statistic uses it as one: a normalisation its own, torch its parts."""
        owner, _, own = name.rpartition(".")
        of_torch = owner.startswith(f"{event.layer}.") and _is_of(type(self._modules.get(event.layer)), "torch.")
        return of_torch or (event.kind in _NORMALISES if own in _STATISTICS else event.layer == owner)

    def _held(self, name: str, event: Event) -> Iterator[Source]:
        tensor = self._buffers.get(name, self._parameters.get(name))
        if tensor is None:
            return
        unpacked = max(self._count(self._grown_of.get(name, 0)), self._chosen.unfolded.get(name, 0))
        if name in self._buffers or unpacked > tensor.numel():
            yield self._of_tensor("buffer" if name in self._buffers else "parameter", name, tensor, event, unpacked)

    def _of_tensor(self, sort: Sort, name: str, tensor: torch.Tensor, event: Event, unpacked: int = 0) -> Source:
        """Return the source for a tensor that an event reads."""
        return Source(
            sort=sort,
            name=name,
            shape=tuple(tensor.shape),
            dtype=dtype_of(tensor),
            index=event.index,
            user=self._user(event),
            tensor=tensor,
            unpacked=unpacked,
        )

    def numbers(self) -> list[Use]:
        """Return the numbers of Python that act, in their order; not those of dropouts that are off."""
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
        """Return the first operation that brings numbers together with those of an input; else the first that reads."""
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
        """Return for each event what operations on bits make of its integers, and unpack no further.

        These are sets of events, a bit for each: a loop may take thousands of numbers out of one, step by step.
        """
        last = [0] * len(self._events)
        for event in reversed(self._events):
            if not self._trace.dependent[event.index]:
                later = 0
                for reader in self._readers.get(event.index, ()):
                    later |= last[reader.index]
                unpacks = _is_integer(event) and base_name(event.op) in _UNPACKS
                last[event.index] = later or (1 << event.index if unpacks else 0)
        return last

    def _unpacked_of_names(self) -> dict[str, int]:
        """Return the same for each parameter and buffer."""
        found: dict[str, int] = {}
        for event in self._events:
            if self._trace.acting[event.index] and self._grown[event.index]:
                for name in event.params:
                    found[name] = found.get(name, 0) | self._grown[event.index]
        return found

    def _count(self, events: int) -> int:
        bits = zip(self._events, reversed(f"{events:b}"), strict=False)
        return sum(event.elements for event, bit in bits if bit == "1")


def draws_numbers(event: Event, trace: Trace) -> bool:
    """Whether an operation draws numbers of its own, and does not drop or disturb those that depend on the input."""
    if event.kind == "dropout" and not event.attributes.get("training"):
        return False
    return event.told.draws and (takes_shape_alone(event) or not trace.dependent[event.index])


def acting_by(user: Event, root: str, **what: Any) -> Hidden:
    """Return the entry of what acts by the operation `user`; paths in it are relative to `root`."""
    return Hidden(used_by=user.op, layer=user.layer, where=relative(user.where, root), **what)


def place_of(event: Event) -> Place:
    """Return where an operation stands, whatever pass it is in."""
    return event.op, event.layer, event.where


def statistics_of(traces: Sequence[Trace], tree: Tree) -> frozenset[str]:
    """Return the buffers of normalisations that training moves, and those that torch's parametrizations work with."""
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
    """Whether training leaves the statistics of a normalisation as they are: they hold what was put there."""
    normalises = isinstance(node.module, torch.nn.modules.batchnorm._NormBase)
    momentum = vars(node.module).get("momentum") if normalises else None
    return isinstance(momentum, int | float) and abs(momentum) < _STILL


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
    """Whether a module in `package` defines a class, which the class of a layer that torch parametrizes only claims."""
    module = sys.modules.get(kind.__module__) if kind.__module__.startswith(package) else None
    return vars(module).get(kind.__name__) is kind if module else False


def _is_mask(tensor: torch.Tensor | None) -> bool:
    """Whether pruning left these: zeros and ones."""
    if tensor is None or tensor.device.type == "meta":
        return tensor is not None
    return bool(((tensor == 0) | (tensor == 1)).all())


def _is_integer(event: Event) -> bool:
    return not (event.dtype or "float").startswith(("float", "bfloat", "complex"))
