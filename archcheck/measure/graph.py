"""From the events of a trace to the executed graph: liveness, and the meanings that take several operations.

* a mean over all positions of a feature map is `global_avg_pool`, however it is written;
* a product with a weight is `linear`, a product of two activations stays `matmul`;
* an operation is `live` when its result reaches an output of the model.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

from archcheck.facts import Op
from archcheck.measure.places import relative
from archcheck.measure.trace import Event, Trace

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


def build(trace: Trace, root: str) -> tuple[Op, ...]:
    """Return the executed graph; paths in it are relative to `root` where they lie below it."""
    live = live_events(trace)
    layouts = _layouts(trace.events)
    dependent = depends_on_input(trace.events)
    return tuple(
        Op(
            index=event.index,
            kind=_kind(event, trace.events, layouts, dependent),
            op=event.op,
            layer=event.layer,
            inputs=event.inputs,
            shapes=event.shapes,
            dtype=event.dtype,
            attributes=_attributes(event, trace.events, layouts),
            params=event.params,
            macs=event.macs,
            flops=event.flops,
            live=live[event.index],
            where=relative(event.where, root),
        )
        for event in trace.events
    )


def live_events(trace: Trace) -> list[bool]:
    """Return for each event whether its result reaches an output."""
    live = [False] * len(trace.events)
    pending = [index for index in trace.outputs if index >= 0]
    while pending:
        index = pending.pop()
        if not live[index]:
            live[index] = True
            pending += trace.events[index].inputs
    return live


def depends_on_input(events: Sequence[Event]) -> list[bool]:
    """Return for each event whether its result depends on an input of the model."""
    dependent: list[bool] = []
    for event in events:
        dependent.append(event.kind == "input" or any(dependent[index] for index in event.inputs))
    return dependent


def _kind(event: Event, events: Sequence[Event], layouts: Sequence[str], dependent: Sequence[bool]) -> str:
    if event.kind == "matmul":
        return _product_kind(event, dependent)
    if event.kind in _POOLS and _coverage(event, events, layouts) in ("real", "trivial"):
        return _POOLS[event.kind]
    return event.kind


def _product_kind(event: Event, dependent: Sequence[bool]) -> str:
    """A product of what depends on the input with what does not is a linear map."""
    activations = sum(1 for index in event.operands if index >= 0 and dependent[index])
    # A bias counts as an operand too, so ask for exactly one side that depends on the input.
    return "linear" if activations == 1 and len(event.operands) > 1 else "matmul"


def _attributes(event: Event, events: Sequence[Event], layouts: Sequence[str]) -> dict[str, object]:
    coverage = _coverage(event, events, layouts) if event.kind in _POOLS else None
    attributes = {key: list(value) if isinstance(value, tuple) else value for key, value in event.attributes.items()}
    return attributes | ({"coverage": coverage} if coverage else {})


def _coverage(event: Event, events: Sequence[Event], layouts: Sequence[str]) -> str | None:
    """Return how a pooling to one position covers its map: `real`, `trivial`, `partial`, or `None`."""
    if event.kind in ("avg_pool", "max_pool"):
        coverage = event.attributes.get("coverage")
        return None if coverage is None else str(coverage)
    shape, dims = event.attributes.get("of", ()), event.attributes.get("dims", ())
    if not event.inputs or not _covers_positions(shape, dims, layouts[event.inputs[0]]):
        return None
    if event.kind == "sum" and not _is_scaled(event, events):
        return None
    if _is_cut(events[event.inputs[0]], events):
        return "partial"
    return "real" if math.prod(shape[axis] for axis in dims) > 1 else "trivial"


def _covers_positions(shape: tuple[int, ...], dims: tuple[int, ...], layout: str) -> bool:
    """Whether `dims` hold every position: every axis but the batch and the channels that has an extent left."""
    axes = len(shape)
    if axes < 3 or not dims:
        return False
    positions = range(1, axes - 1) if layout == "last" else range(2, axes)
    if not set(dims) <= set(positions) or any(shape[axis] > 1 and axis not in dims for axis in positions):
        return False
    # Over the last axis of three, channels may be meant: only a map known to have them first is pooled.
    return axes > 3 or layout != ""


def _is_scaled(event: Event, events: Sequence[Event]) -> bool:
    """Whether a sum is divided by a number, which makes it a mean."""
    readers = [later for later in events if event.index in later.inputs]
    return bool(readers) and all(later.kind in ("div", "mul") and len(later.inputs) == 1 for later in readers)


def _is_cut(event: Event, events: Sequence[Event]) -> bool:
    """Whether a map is a corner of a larger one."""
    while event.kind == "slice" and len(event.inputs) == 1 and event.shapes:
        before = events[event.inputs[0]]
        same_axes = len(before.shapes) == 1 and len(before.shapes[0]) == len(event.shapes[0])
        if same_axes and before.shapes[0][2:] != event.shapes[0][2:]:
            return True
        event = before
    return False


def _layouts(events: Sequence[Event]) -> list[str]:
    """Return for each event where the channels of its result are: `first`, `last`, or `""` for unknown."""
    layouts: list[str] = []
    for event in events:
        layouts.append(_layout(event, events, layouts))
    return layouts


def _layout(event: Event, events: Sequence[Event], layouts: Sequence[str]) -> str:
    if event.kind in _CHANNELS_FIRST:
        return "first"
    if event.kind in _CHANNELS_LAST:
        return "last"
    if event.kind == "input":
        return "first" if event.shapes and len(event.shapes[0]) > 3 else ""
    before = layouts[event.inputs[0]] if event.inputs else ""
    if event.kind != "permute" or not event.shapes:
        return before
    order = event.attributes.get("order", ())
    channel = {"first": 1, "last": len(order) - 1}.get(before)
    if channel is None or channel not in order:
        return ""
    return {1: "first", len(order) - 1: "last"}.get(order.index(channel), "")


def fingerprint(evaluation: Sequence[Op], training: Sequence[Op], shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of the executed structure: operations, edges, shapes, attributes; not names or values."""
    structure = [
        [
            [op.kind, op.inputs, op.shapes, op.dtype, op.attributes, [shapes.get(name, ()) for name in op.params]]
            for op in ops
        ]
        for ops in (evaluation, training)
    ]
    text = json.dumps(structure, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
