"""Counts the multiply-accumulates of a training step, forward and backward, from the graph that training executes.

A product costs its forward again for the gradient of each operand that needs one (as in Kaplan et al., "Scaling Laws
for Neural Language Models", 2020, where backward is twice forward). An operand needs a gradient if a trained tensor
leads to it, with nothing in between that ends gradients: `detach`, `no_grad`, integers, a comparison. The gradients of
a product are computed if its result leads to an output in the same way. An operation that contains several products,
such as attention or a recurrent layer, counts each separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.structure.graph import Graph
from archcheck.measure.subject.module_tree import Tree

_CHOOSING = frozenset({"index", "indices", "mask", "condition", "lengths", "offsets", "batch_sizes"})
"""Operands that select numbers, and have no gradient."""
_APART = frozenset({"bias", "b_ih", "b_hh", "offset", "offs"})
"""Operands that are added to a product, or give offsets."""
_ADDS_SELF = frozenset({
    "addmm", "baddbmm", "addbmm", "addmv", "addr", "_addmm_activation", "_sparse_addmm", "sspaddmm",
    "sparse_sampled_addmm", "addcmul", "addcdiv", "index_add", "scatter_add",
})  # fmt: skip
"""Operators whose `self` is added to a product."""
_ENDING = frozenset({"detach", "round", "sign", "argmax", "argmin"})
_NEW = ("factory", "random")

Group = tuple[str, ...]
"""The operands, by role, that form one side of a product."""


def backward_macs(graph: Graph, tree: Tree) -> dict[int, int]:
    """Return the multiply-accumulates of the backward pass, by the index of the operation whose gradients they give.

    `graph` is the forward pass, in training mode. Operations whose gradients cost nothing are left out.
    """
    trained = {tree.names[id(tensor)] for _, tensor in tree.parameters() if tensor.requires_grad}
    trace = graph.trace
    needed: list[list[bool]] = []  # of each event: which operands need a gradient
    passes_gradients: list[bool] = []
    for event in trace.events:
        operands = zip(event.roles, event.names, event.operands, strict=True)
        own = [
            role not in _CHOOSING and (name in trained or (index >= 0 and passes_gradients[index]))
            for role, name, index in operands
        ]
        needed.append(own)
        passes_gradients.append(_passes_gradients(event, own))
    reached, pending = set[int](), [index for index in trace.outputs if index >= 0]
    while pending:
        index = pending.pop()
        if index not in reached and passes_gradients[index]:
            reached.add(index)
            makers = zip(trace.events[index].operands, needed[index], strict=True)
            pending += [maker for maker, needs in makers if needs and maker >= 0]
    found = {index: _backward(trace.events[index], graph.ops[index].macs, needed[index]) for index in sorted(reached)}
    return {index: macs for index, macs in found.items() if macs}


def _passes_gradients(event: Event, own: Sequence[bool]) -> bool:
    """Whether the result of an operation passes a gradient to its operands."""
    if event.source is not None:
        return event.source.requires_grad
    ends = base_name(event.op) in _ENDING or event.kind in _NEW or event.op.endswith("_like")
    floating = (event.dtype or "").startswith(("float", "bfloat", "complex"))
    return any(own) and floating and not ends and not event.no_grad


def _backward(event: Event, macs: int, own: Sequence[bool]) -> int:
    """Return what the gradients cost of those operands that `own` marks."""
    if not macs:
        return 0
    needing = {role for role, needs in zip(event.roles, own, strict=True) if needs}
    parts = _parts(event, macs)
    if parts is not None:
        return sum(part for part, *sides in parts for side in sides if needing.intersection(side))
    apart = _APART | {"self"} if base_name(event.op) in _ADDS_SELF else _APART
    count = sum(needs for role, needs in zip(event.roles, own, strict=True) if role not in apart)
    return macs * (min(count, 2) if event.op == "einsum" else count)  # its products are of pairs


def _parts(event: Event, macs: int) -> list[tuple[int, Group, Group]] | None:
    """Return the products in an operation with both of their sides, `None` if it is a single product."""
    shapes = dict(reversed([*zip(event.roles, event.told.operand_shapes, strict=True)]))
    if event.kind == "attention" and {"query", "value"} <= shapes.keys():
        width, depth = shapes["query"][-1], shapes["value"][-1]
        scores = macs * width // (width + depth)
        return [(scores, ("query",), ("key",)), (macs - scores, ("query", "key", "attn_mask"), ("value",))]
    if {"w_ih", "w_hh"} <= shapes.keys():
        first, second = prod(shapes["w_ih"]), prod(shapes["w_hh"])
        outer = macs * first // (first + second)
        return [(outer, ("input",), ("w_ih",)), (macs - outer, ("hx",), ("w_hh",))]
    if event.kind in ("lstm", "gru", "rnn") and "params" in shapes:
        operands = zip(event.roles, event.told.operand_shapes, strict=True)
        weights = [prod(shape) for role, shape in operands if role == "params" and len(shape) == 2]
        first = weights[0] * (2 if event.attributes.get("bidirectional") else 1)
        outer = macs * first // sum(weights)
        cells, samples = shapes["hx"][:2] if len(shapes.get("hx", ())) == 3 else (len(weights), 0)
        begin = samples * sum(weights[1 :: len(weights) // cells])  # each cell multiplies its initial state
        # The input of the next step and the next layer depends on the weights.
        inner: Group = ("input", "data", "hx", "params")
        return [
            (outer, ("input", "data"), ("params",)),
            (begin, ("hx",), ("params",)),
            (macs - outer - begin, inner, ("params",)),
        ]
    return None
