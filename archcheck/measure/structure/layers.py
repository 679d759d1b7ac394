"""Describes the module tree: what each layer holds, how it is called, what it costs, where it is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from archcheck.facts.facts import lineage
from archcheck.facts.records import Layer, Op
from archcheck.measure.passes.trace_record import Trace, Visit
from archcheck.measure.subject.layer_statements import layer_places
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import Places


def layers_of(
    tree: Tree,
    traces: Sequence[Trace],
    graphs: Sequence[Sequence[Op]],
    training: Sequence[Op],
    sizes: Mapping[str, int],
    root: str,
) -> tuple[Layer, ...]:
    """Return every registered layer in the order of the tree; calls, shapes and costs are those in evaluation.

    `traces` are the passes in evaluation, `graphs` their operations, and `sizes` those of all weights, packed ones
    included.
    """
    places, seen = layer_places(tree.nodes), Places(root)
    totals = (_by_layer(tree, ((op.layer, op.macs) for op in ops if op.macs)) for ops in graphs)
    macs = reduce(or_, totals)  # the largest of each layer
    live = _by_layer(tree, ((layer, 1) for layer in {op.layer for ops in (*graphs, training) for op in ops if op.live}))
    visits = _visits(traces)
    packed = _packed(tree, sizes)
    params = _subtree_params(tree, packed)
    return tuple(
        Layer(
            path=node.path,
            type=type(node.module).__name__,
            params=params[node.path],
            own_params=sum(tensor.numel() for _, tensor in node.parameters) + packed[node.path],
            calls=visit.calls,
            order=visit.order if visit.calls else None,
            live=node.path in live,
            input_shapes=visit.inputs,
            output_shapes=visit.outputs,
            macs=macs[node.path],
            where=seen.of(places.get(node.path)),
            ran=ran if 0 < ran < len(traces) else None,
        )
        for node, (visit, ran) in ((node, visits.get(node.path, (_NEVER, 0))) for node in tree.nodes)
    )


def _visits(traces: Sequence[Trace]) -> dict[str, tuple[Visit, int]]:
    """Return the first call of each layer with the most calls in any pass, and the number of passes that call it."""
    if len(traces) == 1:
        return {path: (visit, 1) for path, visit in traces[0].visits.items()}
    found: dict[str, tuple[Visit, int]] = {}
    for trace in traces:
        for path, visit in trace.visits.items():
            first, ran = found.get(path, (replace(visit, order=len(found)), 0))
            found[path] = replace(first, calls=max(first.calls, visit.calls)), ran + 1
    return found


_NEVER = Visit(order=-1)


def _packed(tree: Tree, sizes: Mapping[str, int]) -> Counter[str]:
    """Return for each layer how many of its weights are no parameters to torch."""
    plain = {name for name, _ in tree.parameters()}
    totals = Counter[str]()
    for name, elements in sizes.items():
        if name not in plain:
            totals[name.rpartition(".")[0]] += elements
    return totals


def _subtree_params(tree: Tree, packed: Mapping[str, int]) -> Counter[str]:
    """Return for each layer how many parameters its subtree has; a tensor tied within it counts once."""
    holders: dict[int, list[str]] = {}
    for node in tree.nodes:
        for _, tensor in node.parameters:
            holders.setdefault(id(tensor), []).append(node.path)
    amounts = list(packed.items())
    for node in tree.nodes:
        if node.parameters:
            own = [tensor.numel() for _, tensor in node.parameters if len(holders[id(tensor)]) == 1]
            amounts.append((node.path, sum(own)))
    totals = _by_layer(tree, amounts)
    for tensor in tree.tensors():
        paths = holders.get(id(tensor), [])
        if len(paths) > 1:
            for above in {above for path in paths for above in lineage(path)}:
                totals[above] += tensor.numel()
    return totals


def _by_layer(tree: Tree, amounts: Iterable[tuple[str, int]]) -> Counter[str]:
    """Return for each layer the sum of its amounts and of those of all layers in it."""
    totals = Counter[str]()
    for layer, amount in amounts:
        totals[layer] += amount
    for node in reversed(tree.nodes):  # parents come before their children
        if node.path and totals[node.path]:
            totals[node.path.rpartition(".")[0]] += totals[node.path]
    return totals
