"""The ledger of weights: how many, which are tied, frozen, unused, and which hide from the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from archcheck.facts import Hidden, Op, Params
from archcheck.measure.places import relative
from archcheck.measure.events import Event, Trace
from archcheck.measure.tree import Tree

_WEIGHTED = frozenset({
    "conv", "conv_transpose", "linear", "bilinear", "embedding", "matmul", "lstm", "gru", "rnn", "attention",
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "prelu",
})  # fmt: skip
"""Kinds whose operands that do not depend on the input are weights, whatever holds them."""

_STATES = frozenset({"hx", "attn_mask", "running_mean", "running_var", "batch_sizes", "indices"})
"""Operands of those kinds that are no weights: initial states, masks, statistics."""

_PLAIN = frozenset({"constant", "reshape", "permute", "slice", "copy"})
"""Kinds that hand a constant on as it is."""

_LOOKUPS = frozenset({"index", "gather", "index_select", "take", "take_along_dim", "embedding", "embedding_bag"})


def params(tree: Tree, traces: Sequence[Trace], graphs: Sequence[Sequence[Op]], root: str) -> Params:
    """Return the ledger, counted by identity of the tensors."""
    named = list(tree.parameters())
    unique = list({id(tensor): tensor for _, tensor in named}.values())
    buffers = {id(tensor): tensor for _, tensor in tree.buffers()}
    trainable = sum(tensor.numel() for tensor in unique if tensor.requires_grad)
    total = sum(tensor.numel() for tensor in unique)
    return Params(
        total=total,
        trainable=trainable,
        frozen=total - trainable,
        buffers=sum(tensor.numel() for tensor in buffers.values()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in (*unique, *buffers.values())),
        tied=_tied(named),
        hidden=hidden(traces, root),
        unused=_unused(named, tree, graphs),
        sizes={tree.names[id(tensor)]: tensor.numel() for tensor in unique},
    )


def _tied(named: Iterable[tuple[str, torch.Tensor]]) -> tuple[tuple[str, ...], ...]:
    groups: dict[int, list[str]] = {}
    for name, tensor in named:
        groups.setdefault(id(tensor), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def _unused(named: Iterable[tuple[str, torch.Tensor]], tree: Tree, graphs: Sequence[Sequence[Op]]) -> tuple[str, ...]:
    """Return parameters that no operation on the way to an output reads, in evaluation or in training."""
    used = {name for ops in graphs for op in ops if op.live for name in op.params}
    names = dict.fromkeys(tree.names[id(tensor)] for _, tensor in named)
    return tuple(name for name in names if name not in used)


def hidden(traces: Sequence[Trace], root: str) -> tuple[Hidden, ...]:
    """Return the tensors that act as weights and are neither parameters nor buffers, each once."""
    found: dict[object, Hidden] = {}
    for trace in traces:
        live, dependent = trace.live, trace.dependent
        for event in trace.events:
            if live[event.index] and dependent[event.index]:
                for weight in _weights(event, trace.events, dependent):
                    found.setdefault(_identity(weight), _entry(event, weight, root))
    return tuple(found.values())


def _weights(event: Event, events: Sequence[Event], dependent: Sequence[bool]) -> list[Event]:
    """Return the constants that act as weights in `event`, by the role of the operand they are made into."""
    found: dict[int, Event] = {}
    for index, role in zip(event.operands, event.roles, strict=True):
        if index < 0 or dependent[index]:
            continue
        # A table of values is looked up as it is; one that is computed first, such as anchors on a grid, is geometry.
        for source in _sources(index, events, plainly=event.op in _LOOKUPS):
            if _acts_as_weight(event, role, events[source]):
                found[source] = events[source]
    return list(found.values())


def _sources(start: int, events: Sequence[Event], *, plainly: bool) -> list[int]:
    """Return the constants that an operand is made from, `plainly` only through operations that compute nothing."""
    pending, seen = [start], set[int]()
    while pending:
        index = pending.pop()
        if index not in seen and (not plainly or events[index].kind in _PLAIN):
            seen.add(index)
            pending += events[index].inputs
    return sorted(index for index in seen if events[index].kind in ("constant", "random"))


def _acts_as_weight(event: Event, role: str, weight: Event) -> bool:
    if not weight.shapes or not (weight.dtype or "").startswith(("float", "bfloat", "complex", "half")):
        return False
    if event.op in _LOOKUPS:
        return role in ("self", "weight") and weight.kind == "constant"
    if event.kind in _WEIGHTED:
        return role not in _STATES
    # Elementwise with a constant: scaling an image is no weight, a tensor made to be trained is.
    return weight.source is not None and (isinstance(weight.source, torch.nn.Parameter) or weight.source.requires_grad)


def _identity(weight: Event) -> object:
    return id(weight.source) if weight.source is not None else (weight.where, weight.shapes)


def _entry(event: Event, weight: Event, root: str) -> Hidden:
    shape = weight.shapes[0]
    return Hidden(
        name=weight.name,
        shape=shape,
        elements=torch.Size(shape).numel(),
        used_by=event.op,
        layer=event.layer,
        where=relative(event.where, root),
    )
