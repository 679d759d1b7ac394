"""The buffers that the activations of an executed graph take on a device, and how long each is in use.

A device runs the operations one after the other. The result of an operation lives until the last one that reads it;
inputs live from the start, and outputs to the end. Numbers of 64 bits count as 32, as converters store them.
These take no buffer:

* what depends on no input, because a converter computes it once and stores it with the weights;
* views (`flatten`, `reshape`, a slice), copies to another dtype or device, dropout in evaluation, fake quantisation;
* a batch normalisation, or a scale or shift by stored numbers of each channel, after a convolution or a linear layer,
  which is folded into its weights;
* a ReLU or ReLU6 after a convolution, a linear layer, a pooling or elementwise arithmetic, which clamps its result.

The last two hold only if nothing else reads the result in between. An in-place operation writes where it reads. A
transposition moves data, and takes a buffer. An attention takes one for its scores, while it runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts.records import IDLE, PART_OF, Op
from archcheck.rules.queries.graphs import varying
from archcheck.rules.queries.memory_plan import Buffer

_VIEWS = frozenset({
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as", "view_as",
    "reshape_as", "ravel", "broadcast_to", "as_strided", "slice", "select", "narrow", "split", "split_with_sizes",
    "chunk", "unbind", "tensor_split", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes", "diagonal",
})  # fmt: skip
"""Operators whose result lies in the memory of what they read."""

_COPIES = frozenset({
    "contiguous", "to", "_to_copy", "alias", "detach", "lift_fresh", "type_as", "lift", "positive", "identity",
    "dequantize",
})  # fmt: skip
"""Operators that a converter leaves out. A `clone` is one that the author asks for."""

_CHANNELWISE = ("conv", "global_conv", "conv_transpose", "linear")
_CLAMPING = (*_CHANNELWISE, "add", "sub", "mul", "div", "avg_pool", "max_pool", "global_avg_pool", "batch_norm")
_CLAMPS = ("relu", "relu6")
_AFFINE = ("mul", "div", "add", "sub")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationBuffers:
    """The buffers of a graph, and how many operations of each kind are `fused` into the one before them."""

    buffers: tuple[Buffer, ...]
    fused: Counter[str]


def activation_buffers(
    ops: Sequence[Op], outputs: Sequence[int], bits: int, chosen: Container[int]
) -> ActivationBuffers:
    """Return the buffers that the `chosen` operations of a graph read or write, with `bits` for each element."""
    memory = _Memory(ops, outputs)
    buffers = tuple(memory.buffers(bits, chosen))
    fused = Counter(ops[index].kind for index in memory.fused if index in chosen)
    return ActivationBuffers(buffers=buffers, fused=fused)


class _Memory:
    """Which operation owns the memory that each result lies in."""

    def __init__(self, ops: Sequence[Op], outputs: Sequence[int]) -> None:
        self._ops, self._outputs = ops, frozenset(outputs)
        self.fused: list[int] = []
        self._varies = varying(ops)
        self._same = [op.index for op in ops]  # the operation whose very value this is
        for op in ops:
            if is_identity(op):
                self._same[op.index] = self._same[op.inputs[0]]
        self._readers = self._read_by()
        self._weighted: dict[int, str] = {}  # products with weights, and what is folded into them: the kind
        self._owners: list[int] = []
        for op in ops:
            self._owners.append(self._owner(op))

    def _read_by(self) -> list[set[int]]:
        readers: list[set[int]] = [set() for _ in self._ops]
        for op in self._ops:
            for index in op.inputs if op.live and not is_identity(op) else ():
                readers[self._same[index]].add(op.index)
        for index in self._outputs:
            readers[self._same[index]].add(-1)
        return readers

    def _owner(self, op: Op) -> int:
        if not op.inputs:
            return op.index
        source = op.inputs[0]
        if is_identity(op) or op.op.removesuffix("_") in _VIEWS:
            return self._owners[source]
        if (before := self._fused_into(op)) is not None:
            self.fused.append(op.index)
            return self._owners[before]
        written = [index for index in op.inputs if self._ops[index].shapes[:1] == op.shapes[:1]]
        in_place = op.op.endswith("_") and not op.op.endswith("__")
        return self._owners[written[0]] if in_place and written else op.index

    def _fused_into(self, op: Op) -> int | None:
        """Return the operation that an operation becomes a part of, `None` for none."""
        sources = [self._same[index] for index in op.inputs if self._varies[index]]
        if not op.live or len(sources) != 1 or self._readers[sources[0]] != {op.index}:
            return None
        before = self._ops[sources[0]]
        if before.kind in _CHANNELWISE:
            self._weighted[before.index] = before.kind
        kind = self._weighted.get(before.index)
        if kind and (op.kind == "batch_norm" or self._scales_channels(op, 1 if "conv" in kind else -1)):
            self._weighted[op.index] = kind
            return before.index
        return before.index if op.kind in _CLAMPS and before.kind in _CLAMPING else None

    def _scales_channels(self, op: Op, axis: int) -> bool:
        """Whether an operation scales or shifts its input by stored numbers, one or one for each channel."""
        stored = [shape for index in op.inputs if not self._varies[index] for shape in self._ops[index].shapes]
        if (
            op.kind not in _AFFINE
            or op.params
            or not op.shapes
            or (op.kind == "div" and not self._varies[op.inputs[0]])
        ):
            return False
        axes = [(1,) * (len(op.shapes[0]) - len(shape)) + shape for shape in stored]
        return all(math.prod(shape) == shape[axis] for shape in axes if shape)

    def buffers(self, bits: int, chosen: Container[int]) -> Iterator[Buffer]:
        """Yield the buffers that the chosen operations read or write, while these run."""
        running = [op for op in self._ops if self._varies[op.index] and (op.live or op.kind == "input")]
        picked = [op for op in running if op.index in chosen]
        if not picked:
            return
        start, end = picked[0].index, picked[-1].index
        made = {self._owners[op.index] for op in running}
        touched = {self._owners[index] for op in picked for index in (op.index, *op.inputs)} & made
        for op in picked:
            if scores := int(op.attributes.get("scores", 0)):
                yield Buffer(bytes=_bytes(scores, op, bits), first=op.index, last=op.index, maker=op.index)
        used = self._last_uses(running)
        for owner in sorted(touched):
            op = self._ops[owner]
            first = start if op.kind == "input" else max(start, owner)
            for size in filter(None, (_bytes(math.prod(shape), op, bits) for shape in op.shapes)):
                yield Buffer(bytes=size, first=first, last=min(used[owner], end), maker=owner)

    def _last_uses(self, running: Sequence[Op]) -> dict[int, int]:
        """Return by owner the last operation that reads or writes its memory."""
        used: dict[int, int] = {}
        for op in running:  # the parts of a hand-written operation read as one, at its end
            for index in (op.index, *op.inputs):
                owner = self._owners[index]
                used[owner] = max(op.index, op.attributes.get(PART_OF, 0), used.get(owner, 0))
        return used | {self._owners[index]: len(self._ops) for index in self._outputs}


def is_identity(op: Op) -> bool:
    """Whether the result of an operation is its first input, in another form at most."""
    if not op.inputs:
        return False
    if op.kind == "dropout":
        return not op.attributes.get("training")
    rounds = op.kind == "quantize" or op.op.lstrip("_").startswith(("fake_quantize", "fused_moving_avg_obs"))
    return rounds or op.op in _COPIES or any(op.attributes.get(name) == value for name, value in IDLE.items())


def _bytes(elements: int, op: Op, bits: int) -> int:
    """Return the bytes of elements: whole numbers that a network computes with, such as positions, stay as wide."""
    wide = {"int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 32, "uint64": 32}
    return -(-elements * max(bits, wide.get(op.dtype or "", 0)) // 8)
