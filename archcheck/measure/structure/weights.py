"""Lists the weights: how many there are, and which are tied, frozen, unused or hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch

from archcheck.facts.records import Op, Params
from archcheck.facts.storage import StoredTensor
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.external_numbers import ChosenNumbers
from archcheck.measure.structure.formulas import Formulas
from archcheck.measure.structure.hidden_weights import hidden_weights
from archcheck.measure.structure.integer_weights import integer_weights
from archcheck.measure.structure.packed_weights import keeps_for_quantised
from archcheck.measure.structure.tensor_storage import numel, stored_tensors
from archcheck.measure.subject.module_tree import Tree


def params(
    tree: Tree,
    traces: Sequence[Trace],
    graphs: Sequence[Sequence[Op]],
    root: str,
    made: ChosenNumbers,
    formulas: Formulas,
) -> Params:
    """Return the weights, each tensor counted once.

    `made` is what a pass makes itself and somebody may have chosen, `formulas` are those of the construction.
    """
    named = list(tree.parameters())
    unique = list({id(tensor): tensor for _, tensor in named}.values())
    buffers = {id(tensor): tensor for _, tensor in tree.buffers()}
    stored = stored_tensors(tree)
    packed = {each.name: each.elements for each in stored if each.sort == "packed"}
    hidden, others = hidden_weights(tree, traces, root, made, formulas)
    found = [each for each in (*hidden, *others) if not keeps_for_quantised(each.name, tree, buffer=each.buffer)]
    integers = integer_weights(found, stored, graphs)
    packed |= {name: elements for name, elements in integers.items() if elements}
    names = [tree.names[id(tensor)] for tensor in unique]
    sizes = dict(zip(names, map(numel, unique), strict=True)) | packed
    asking = tree.trained().union(*(trace.trained for trace in traces))
    read = {name for ops in graphs for op in ops if op.live for name in op.params}
    trainable = sum(size for name, size in sizes.items() if name in asking)
    total = sum(sizes.values())
    by_dtype = _by_dtype(stored)
    return Params(
        total=total,
        trainable=trainable,
        frozen=total - trainable,
        buffers=sum(numel(tensor) for tensor in buffers.values()),
        bytes=sum(by_dtype.values()),
        bytes_by_dtype=by_dtype,
        tied=_tied(named),
        hidden=tuple(each for each in hidden if each in found and each.name not in integers),
        beside=tuple(each for each in others if each in found and each.name not in integers),
        unused=tuple(name for name in names if sizes[name] and name not in read),
        sizes=sizes,
        storage=stored,
        effective=_effective(stored, packed),
        frozen_names=tuple(name for name in names if sizes[name] and name not in asking),
    )


def _by_dtype(tensors: Iterable[StoredTensor]) -> dict[str, int]:
    """Return the bytes of each dtype, the most first."""
    totals = Counter[str]()
    for tensor in tensors:
        totals[tensor.dtype] += tensor.bytes
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _effective(stored: Iterable[StoredTensor], packed: Mapping[str, int]) -> int | None:
    """Return how many weights are not zero, `None` if some cannot be read."""
    counts = [
        packed[each.name] if packed.get(each.name, 0) > each.elements else each.nonzero  # packed numbers cannot be read
        for each in stored
        if each.sort != "buffer" or each.name in packed
    ]
    return None if None in counts else sum(each for each in counts if each is not None)


def _tied(named: Iterable[tuple[str, torch.Tensor]]) -> tuple[tuple[str, ...], ...]:
    groups: dict[int, list[str]] = {}
    for name, tensor in named:
        groups.setdefault(id(tensor), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
