"""The ledger of weights: how many, which are tied, frozen, unused, and which hide from the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from archcheck.measure.operators.answers import dtype_of
from archcheck.measure.passes.events import Trace
from archcheck.measure.structure.chance import NOTHING, Chosen
from archcheck.measure.structure.hidden import beside
from archcheck.measure.subject.tree import Tree
from archcheck.parts import Op, Params


def params(
    tree: Tree,
    traces: Sequence[Trace],
    graphs: Sequence[Sequence[Op]],
    root: str,
    made: Chosen = NOTHING,
) -> Params:
    """Return the ledger, counted by identity of the tensors; `made` is what a pass makes itself and may be chosen."""
    with torch._C.DisableTorchFunctionSubclass():  # a tensor of the subject's may answer for torch
        return _params(tree, traces, graphs, root, made)


def numel(tensor: torch.Tensor) -> int:
    """Return how many elements a tensor has, whatever its class says."""
    return int(torch._C.TensorBase.numel(tensor))


def _params(tree: Tree, traces: Sequence[Trace], graphs: Sequence[Sequence[Op]], root: str, made: Chosen) -> Params:
    named = list(tree.parameters())
    unique = list({id(tensor): tensor for _, tensor in named}.values())
    buffers = {id(tensor): tensor for _, tensor in tree.buffers()}
    sizes = {tree.names[id(tensor)]: numel(tensor) for tensor in unique}
    asking = tree.trained().union(*(trace.trained for trace in traces))
    trainable = sum(size for name, size in sizes.items() if name in asking)
    total = sum(sizes.values())
    hidden, others = beside(tree, traces, root, made)
    by_dtype = _by_dtype([*unique, *buffers.values()])
    return Params(
        total=total,
        trainable=trainable,
        frozen=total - trainable,
        buffers=sum(numel(tensor) for tensor in buffers.values()),
        bytes=sum(by_dtype.values()),
        bytes_by_dtype=by_dtype,
        tied=_tied(named),
        hidden=hidden,
        beside=others,
        unused=tuple(name for name in _unused(named, tree, graphs) if sizes[name]),
        sizes=sizes,
        frozen_names=tuple(name for name, size in sizes.items() if size and name not in asking),
    )


def _by_dtype(tensors: Iterable[torch.Tensor]) -> dict[str, int]:
    """Return the bytes of each dtype, the most first."""
    totals: dict[str, int] = {}
    for tensor in tensors:
        dtype = dtype_of(tensor)
        totals[dtype] = totals.get(dtype, 0) + numel(tensor) * torch._C.TensorBase.element_size(tensor)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


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
