"""Builds the executed graph from the events of a trace: what is live, and kinds that several operations form.

* A mean over all positions of a feature map is `global_avg_pool`, however it is written.
* A convolution whose kernel covers its whole map, of more than one position, is `global_conv`.
* A product with a weight is `linear`; a product of two activations stays `matmul`.
* An activation times a drawn mask is `dropout`.
* A ReLU, a normalisation and an attention may be written by hand (see `handwritten_kinds`).
* Elementwise operations that form a matrix product cost what it costs (see `handwritten_products`).
* An operation is `live` if its result reaches an output of the model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from archcheck.facts.records import PART_OF, Op
from archcheck.foundation.source_place import Where
from archcheck.measure.operators.cost import stated_macs
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.handwritten_dropout import Masks
from archcheck.measure.structure.handwritten_kinds import HandwrittenKinds
from archcheck.measure.structure.handwritten_norms import activations
from archcheck.measure.structure.handwritten_products import handwritten_macs
from archcheck.measure.subject.source_places import Places

_CHANNELS_FIRST = frozenset(
    {"conv", "conv_transpose", "batch_norm", "instance_norm", "group_norm", "max_pool", "avg_pool"}
)
_CHANNELS_LAST = frozenset({"linear", "layer_norm", "embedding", "attention", "lstm", "gru", "rnn", "rms_norm"})
_POOLS = {
    "mean": "global_avg_pool",
    "sum": "global_avg_pool",
    "avg_pool": "global_avg_pool",
    "amax": "global_max_pool",
    "max": "global_max_pool",
    "max_pool": "global_max_pool",
}
_TAKES_MORE = frozenset({*_POOLS, "matmul"})
"""Kinds whose meaning depends on other operations."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The executed graph of a trace; `ops` and the events of `trace` have the same indices."""

    trace: Trace
    ops: tuple[Op, ...]


def build(trace: Trace, root: str, like: Graph | None = None) -> Graph:
    """Return the executed graph; paths in it are relative to `root` if they lie below it.

    An operation that is the same in `like`, the graph of another mode, is the same object.
    """
    meaning, places = _Meaning(trace), Places(root)
    like = None if meaning.masks.dropped or meaning.handwritten.found else like
    same = _same_so_far(trace, like)
    ops = [
        like.ops[event.index]
        if like and same[event.index] and like.ops[event.index].macs == meaning.macs(event)
        else _op(event, meaning, live, places.of(event.where))
        for event, live in zip(trace.events, trace.live, strict=True)
    ]
    return Graph(trace, tuple(ops))


def _op(event: Event, meaning: _Meaning, live: bool, where: Where | None) -> Op:
    told = event.told
    kind, attributes = meaning.of(event)
    return Op(
        index=event.index,
        kind=kind,
        op=told.op,
        layer=event.layer,
        inputs=meaning.inputs(event),
        shapes=told.shapes,
        dtype=told.dtype,
        attributes=attributes,
        params=event.params,
        macs=meaning.macs(event),
        flops=meaning.macs(event) if told.macs is None else told.flops,
        live=live,
        where=where,
    )


def _same_so_far(trace: Trace, like: Graph | None) -> list[bool]:
    """Return for each event whether it and all that its meaning depends on are the same in `like`."""
    if like is None:
        return [False] * len(trace.events)
    pairs = zip(trace.events, like.trace.events, trace.live, like.trace.live, strict=False)
    same = [
        event.told is other.told
        and event.inputs == other.inputs
        and event.params == other.params
        and event.layer == other.layer
        and event.where is other.where
        and event.told.kind not in _TAKES_MORE
        and live == other_live
        for event, other, live, other_live in pairs
    ]
    return same + [False] * (len(trace.events) - len(same))


class _Meaning:
    """Kinds and attributes that depend on more than one operation."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._events = trace.events
        self._layouts: dict[int, str] = {}  # by event
        self.masks = Masks(trace)
        self._spelled = handwritten_macs(trace)
        self.handwritten = HandwrittenKinds(trace, self._spelled)

    def macs(self, event: Event) -> int:
        """Return the multiply-accumulates of an event, as far as they are known."""
        told = event.told
        if told.macs is None and told.op in self._trace.costs:
            result = told.shapes[0] if told.shapes else ()
            return stated_macs(told.op, self._trace.costs[told.op], told.roles, told.operand_shapes, result)
        return event.macs or self._spelled.get(event.index, 0)

    def inputs(self, event: Event) -> tuple[int, ...]:
        """Return what an event reads; what is dropped or rectified comes first."""
        if event.index in self.masks.dropped:
            return self.masks.activation_first(event)
        handwritten = self.handwritten.found.get(event.index)
        return event.inputs if handwritten is None or handwritten.origin < 0 else (handwritten.origin,)

    def of(self, event: Event) -> tuple[str, dict[str, object]]:
        """Return the kind and the attributes of an event."""
        kind, attributes = self._of(event)
        end = self.handwritten.part_of.get(event.index)
        return kind, attributes if end is None else attributes | {PART_OF: end}

    def _of(self, event: Event) -> tuple[str, dict[str, object]]:
        told = event.told
        if event.index in self.handwritten.found:
            return self.handwritten.found[event.index].kind, self.handwritten.attributes_of(event)
        if event.index in self.masks.dropped:
            return "dropout", {"p": self.masks.dropped[event.index], "training": True}
        if told.kind == "matmul":
            return self._product_kind(event), told.attributes
        if told.kind == "conv" and told.attributes.get("coverage") == "real":
            return "global_conv", told.attributes
        if told.kind not in _POOLS:
            return told.kind, told.attributes
        coverage = self._coverage(event)
        kind = _POOLS[told.kind] if coverage in ("real", "trivial") else told.kind
        return kind, told.attributes | ({"coverage": coverage} if coverage else {})

    def _product_kind(self, event: Event) -> str:
        """Return `linear` for a product in which exactly one side depends on the input, else `matmul`."""
        # A bias is an operand, too, so count the sides that depend on the input.
        return "linear" if len(activations(event, self._trace)) == 1 and len(event.operands) > 1 else "matmul"

    def _coverage(self, event: Event) -> str | None:
        """Return how a pooling to one position covers its map: `real`, `trivial`, `partial`, `None` for not at all."""
        if event.kind in ("avg_pool", "max_pool"):
            coverage = event.attributes.get("coverage")
            return None if coverage is None else str(coverage)
        if not event.inputs:
            return None
        shape, dims, source = self._reduced(event)
        if not _covers_positions(shape, dims, self._layout(source)):
            return None
        if event.kind == "sum" and not self._is_scaled(event):
            return None
        if self._is_cut(self._events[source]):
            return "partial"
        return "real" if math.prod(shape[axis] for axis in dims) > 1 else "trivial"

    def _reduced(self, event: Event) -> tuple[Sequence[int], Sequence[int], int]:
        """Return the reduced shape, the axes, and the event of the map, of both steps if two reduce axes in turn."""
        shape, dims, source = event.attributes.get("of", ()), event.attributes.get("dims", ()), event.inputs[0]
        before = self._events[source]
        if before.kind != event.kind or not before.inputs or not before.attributes.get("dims"):
            return shape, dims, source
        whole, gone = before.attributes["of"], before.attributes["dims"]
        left = [axis for axis in range(len(whole)) if before.attributes["keepdim"] or axis not in gone]
        return whole, [*gone, *(left[axis] for axis in dims)], before.inputs[0]

    def _is_scaled(self, event: Event) -> bool:
        """Whether a sum is divided by a number, so that it is a mean."""
        readers = self._trace.readers.get(event.index, [])
        return bool(readers) and all(later.kind in ("div", "mul") and len(later.inputs) == 1 for later in readers)

    def _is_cut(self, event: Event) -> bool:
        """Whether a map was cut out of a larger one."""
        while event.kind == "slice" and len(event.inputs) == 1 and event.shapes:
            before = self._events[event.inputs[0]]
            if len(before.shapes) == 1 and before.shapes[0][2:] != event.shapes[0][2:]:
                axes = len(before.shapes[0]) - len(event.shapes[0])
                if not axes or (axes == 1 and self._selects_position(event, before)):
                    return True
            event = before
        return False

    def _selects_position(self, event: Event, before: Event) -> bool:
        """Whether a row or column of a map is selected, not a channel or a sample."""
        whole, left = before.shapes[0], event.shapes[0]
        axes = [axis for axis in range(len(whole)) if (*whole[:axis], *whole[axis + 1 :]) == left]
        return event.op == "select" and min(axes, default=0) > 1 and self._layout(before.index) == "first"

    def _layout(self, index: int) -> str:
        """Return where the channels of a result are: `first`, `last`, or `""` if unknown."""
        passed: list[Event] = []
        event = self._events[index]
        while event.index not in self._layouts and not _own_layout(event) and event.inputs:
            passed.append(event)
            event = self._events[event.inputs[0]]
        layout = self._layouts.setdefault(event.index, _own_layout(event))
        for event in reversed(passed):
            if event.kind == "permute" and event.shapes:
                layout = _permuted(layout, event.attributes.get("order", ()))
            self._layouts[event.index] = layout
        return layout


def _covers_positions(shape: Sequence[int], dims: Sequence[int], layout: str) -> bool:
    """Whether `dims` are all axes of positions with more than one: not the batch, not the channels."""
    axes = len(shape)
    if axes < 3 or not dims:
        return False
    positions = range(1, axes - 1) if layout == "last" else range(2, axes)
    if not set(dims) <= set(positions) or any(shape[axis] > 1 and axis not in dims for axis in positions):
        return False
    # The last of three axes may be the channels: it is pooled only if the channels are known to be first.
    return axes > 3 or layout != ""


def _own_layout(event: Event) -> str:
    """Return where the channels of a result are as far as the operation alone tells."""
    if event.kind in _CHANNELS_FIRST:
        return "first"
    if event.kind in _CHANNELS_LAST:
        return "last"
    return "first" if event.kind == "input" and event.shapes and len(event.shapes[0]) > 3 else ""


def _permuted(layout: str, order: Sequence[int]) -> str:
    channel = {"first": 1, "last": len(order) - 1}.get(layout)
    if channel is None or channel not in order:
        return ""
    return {1: "first", len(order) - 1: "last"}.get(list(order).index(channel), "")


def fingerprint(evaluation: Graph, training: Graph | None, shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of the executed structure: operations, edges, shapes, attributes; not names or values."""
    texts: dict[tuple[int, str], tuple[int, str]] = {}  # numbered texts that equal operations share
    sizes: dict[tuple[str, ...], tuple[int, str]] = {}
    lines: list[object] = []
    for graph in (evaluation, training) if training else (evaluation,):
        for op in graph.ops:
            key = id(op.attributes), op.kind
            if key not in texts:
                text = f"{op.kind} {op.shapes} {op.dtype} {sorted(op.attributes.items())}"
                texts[key] = len(texts), text
            if op.params not in sizes:
                sizes[op.params] = len(sizes), str([shapes.get(name) for name in op.params])
            lines.append((texts[key][0], op.inputs, sizes[op.params][0]))
        lines.append(None)
    return hashlib.sha256(repr((list(texts.values()), list(sizes.values()), lines)).encode()).hexdigest()
