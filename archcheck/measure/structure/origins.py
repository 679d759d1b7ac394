"""What an operand is made of: the tensors that a model does not own, its buffers, and what it generates.

The walk goes from an operand back along the data flow to where the numbers come from. It follows numbers only:
an index, a mask or a length chooses among numbers and is none of them, and a tensor that scales a trained weight
(a pruning mask, a norm, noise on weights) or that a trained layer works on is no weight beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from archcheck.measure.operators.answers import dtype_of
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace
from archcheck.measure.subject.tree import Tree

MIXING = frozenset({
    "conv", "conv_transpose", "linear", "bilinear", "embedding", "matmul", "lstm", "gru", "rnn", "attention",
    "cdist", "_cdist_forward", "_euclidean_dist", "_sparse_mm", "_sparse_addmm", "_sparse_mm_reduce_impl",
})  # fmt: skip
"""Kinds that mix features with their other operands."""

PLAIN = frozenset({"reshape", "permute", "slice", "copy"})
"""Kinds that hand numbers on as they are."""

_ADDITIVE = frozenset({*PLAIN, "add", "sub", "cat", "where", "lerp"})
"""Kinds in which each operand keeps a share of its own in the result."""

_SELECTING = frozenset(
    {"index", "indices", "mask", "condition", "lengths", "offsets", "dim", "size", "batch_sizes", "out"}
)
"""Operands that choose among numbers, or only give the memory for the result."""

_COMPARING = frozenset({
    "eq", "ne", "lt", "le", "gt", "ge", "less", "less_equal", "greater", "greater_equal", "not_equal", "isin",
    "logical_and", "logical_or", "logical_not", "logical_xor", "isnan", "isfinite", "isinf",
})  # fmt: skip
"""Kinds that give truth, not numbers."""

_RAMPS = frozenset({"arange", "linspace", "logspace"})
"""Factories whose results functions can make weights of; a tensor that is filled with one number says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where numbers come from: a tensor from outside, a buffer, or an event that generates them."""

    sort: Literal["constant", "buffer", "random", "ramp"]
    name: str
    shape: tuple[int, ...]
    dtype: str
    index: int = -1
    source: torch.Tensor | None = None

    @property
    def trainable(self) -> bool:
        """Whether it was made to be trained."""
        source = self.source
        return source is not None and (isinstance(source, torch.nn.Parameter) or source.requires_grad)


@dataclass
class Flow:
    """The data flow of one pass, and which of it depends on the input or on trained parameters."""

    trace: Trace
    tree: Tree

    @property
    def events(self) -> Sequence[Event]:
        """The executed operations."""
        return self.trace.events

    @property
    def dependent(self) -> list[bool]:
        """Whether each event depends on an input of the model."""
        return self.trace.dependent

    @cached_property
    def parameters(self) -> dict[str, torch.Tensor]:
        """The parameters of the model by name."""
        return dict(self.tree.parameters())

    @cached_property
    def buffers(self) -> dict[str, torch.Tensor]:
        """The buffers of the model by name."""
        return dict(self.tree.buffers())

    @cached_property
    def valued(self) -> list[bool]:
        """Whether each event depends on an input other than by comparing it: positions counted from a mask do not."""
        valued: list[bool] = []
        for event in self.events:
            passes = event.kind not in _COMPARING
            valued.append(event.kind == "input" or (passes and any(valued[index] for index in event.inputs)))
        return valued

    @cached_property
    def trained(self) -> list[bool]:
        """Whether each event depends on a parameter of the model."""
        trained: list[bool] = []
        for event in self.events:
            likeness = event.kind == "factory" or event.op.endswith("_like")  # takes the outside, not the numbers
            reads = any(name in self.parameters for name in event.params)
            trained.append(not likeness and (reads or any(trained[index] for index in event.inputs)))
        return trained

    def depends(self, event: Event, position: int) -> bool:
        """Whether an operand depends on an input."""
        index = event.operands[position]
        return index >= 0 and self.dependent[index]

    def is_trained(self, event: Event, position: int) -> bool:
        """Whether an operand is a parameter or made with one."""
        index, name = event.operands[position], event.names[position]
        return name in self.parameters if index < 0 else self.trained[index]

    def shape(self, event: Event, position: int) -> tuple[int, ...]:
        """Return the shape of an operand; empty when it is not known."""
        index, name = event.operands[position], event.names[position]
        tensor = self.parameters.get(name, self.buffers.get(name))
        if tensor is not None:
            return tuple(tensor.shape)
        shapes = self.events[index].shapes
        return shapes[0] if shapes else ()

    def origins(self, event: Event, position: int, *, plainly: bool = False) -> Iterator[Origin]:
        """Yield what an operand is made of, `plainly` only through operations that compute nothing."""
        pending, seen = [(event, position, False)], set[tuple[int, int]]()
        while pending:
            reader, place, compared = pending.pop()
            if (reader.index, place) in seen:
                continue
            seen.add((reader.index, place))
            name, index = reader.names[place], reader.operands[place]
            if name in self.buffers and index < 0:  # as it came, not as this pass has written it
                yield self._buffer(name)
            elif index >= 0:
                maker = self.events[index]
                if (origin := self._origin(maker)) is not None:
                    if origin.sort != "ramp" or not compared:
                        yield origin
                elif not plainly or maker.kind in PLAIN:
                    compared = compared or maker.kind in _COMPARING
                    pending += [(maker, k, compared) for k in range(len(maker.operands)) if self._passes(maker, k)]

    def _buffer(self, name: str) -> Origin:
        tensor = self.buffers[name]
        return Origin(sort="buffer", name=name, shape=tuple(tensor.shape), dtype=dtype_of(tensor), source=tensor)

    def _origin(self, event: Event) -> Origin | None:
        sort: Literal["constant", "random", "ramp"]
        if event.kind == "constant" or (event.op == "set_" and len(event.operands) == 1):  # memory from outside
            sort = "constant"
        elif event.kind == "random" and not self._fills_a_constant(event):
            sort = "random"
        elif event.op in _RAMPS:
            sort = "ramp"
        else:
            return None
        shape = event.shapes[0] if event.shapes else ()
        return Origin(
            sort=sort, name=event.name, shape=shape, dtype=event.dtype or "", index=event.index, source=event.source
        )

    def _fills_a_constant(self, event: Event) -> bool:
        """Whether random numbers are written into a tensor from outside, such as a layer made in `forward`."""
        return event.op.endswith("_") and any(
            index >= 0 and self.events[index].kind != "factory" for index in event.operands[:1]
        )

    def _passes(self, event: Event, position: int) -> bool:
        """Whether the numbers of an operand go into the result as numbers of their own."""
        if event.roles[position] in _SELECTING or event.kind == "input":
            return False
        if event.kind == "factory" and event.op != "meshgrid":
            return False
        if self.dependent[event.index] and event.kind not in _ADDITIVE:
            return False
        others = [k for k in range(len(event.operands)) if k != position and self.is_trained(event, k)]
        if not others or self.is_trained(event, position) or event.kind in _ADDITIVE:
            return True
        if event.kind in MIXING:
            return False
        sizes = [torch.Size(self.shape(event, k)).numel() for k in (position, *others)]
        return sizes[0] > max(sizes[1:])
