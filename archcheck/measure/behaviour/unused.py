"""Finds unused layers and parameters if values decide what runs: no pass ran them, and no other is expected to."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

import torch

from archcheck.facts.facts import Facts, lineage
from archcheck.facts.records import Op
from archcheck.measure.behaviour.gate_parameters import deciding_parameters
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.several_passes import Several, further
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure import graph, unused_layers
from archcheck.measure.subject.layer_statements import class_statement
from archcheck.measure.subject.module_tree import Tree

_CHOICES = (torch.nn.ModuleList, torch.nn.ModuleDict)
"""Containers of layers among which code chooses."""
_AT_ONCE = 8
"""Further passes between two looks at what is still unused."""
_BY_NAME = frozenset({"getattr", "children", "modules", "named_children", "named_modules", "_modules", "get_submodule"})


class Used(Protocol):
    """Gives the operations of a graph; those that use no parameter reach no output."""

    def __call__(self, graph: graph.Graph, *, training: bool) -> tuple[Op, ...]:
        """Return the operations."""


def settled(facts: Facts, context: ProbeContext, taken: Several, used: Used) -> Facts:
    """Return the facts with the certainly unused, and with the layers that ran in no pass of the graph but may run."""
    values = facts.passes
    if not taken.decided or values is None or not (facts.params.unused or facts.unused_layers):
        return facts
    tree, traces = context.tree, [*taken.traces]
    deciding = deciding_parameters(context, traces, facts.params.unused)
    unused = tuple(name for name in facts.params.unused if name not in deciding)
    layers = unused_layers.unused_layers(tree, traces, deciding) if deciding else facts.unused_layers
    facts = replace(facts, params=replace(facts.params, unused=unused), unused_layers=layers)
    if not unused and not layers:
        return facts
    modes = {False: [*taken.evaluation], True: [*taken.training]}
    pending = _further(context, taken)
    while some := [*islice(pending, _AT_ONCE)]:
        for training, trace in some:
            traces.append(trace)
            modes[training].append(trace)
        graphs = [used(graph.build(trace, context.root), training=training) for training, trace in some]
        read = {name for ops in graphs for op in ops if op.live for name in op.params}
        unused = tuple(name for name in unused if name not in read)
        layers = unused_layers.unused_layers(tree, traces, deciding)
        if not unused and not layers:
            break
    rare = tuple(path for path in facts.unused_layers if path not in layers)
    open_ = {path for path in layers if _is_open(path, tree, [*modes.values()], taken)}
    return replace(
        facts,
        params=replace(facts.params, unused=tuple(name for name in unused if open_.isdisjoint(lineage(name)))),
        unused_layers=tuple(path for path in layers if path not in open_),
        passes=replace(values, rare=rare, unsettled=tuple(path for path in layers if path in open_)),
    )


def _further(context: ProbeContext, taken: Several) -> Iterator[tuple[bool, Trace]]:
    if not context.passes.affords(context.trace):
        return
    modes = [training for training, traces in ((False, taken.evaluation), (True, taken.training)) if len(traces) > 1]
    for training in modes:
        yield from ((training, trace) for trace in further(context, training))


def _is_open(path: str, tree: Tree, modes: Sequence[Sequence[Trace]], taken: Several) -> bool:
    """Whether a layer that no pass ran may still run in another pass.

    With few passes, this is any layer that code mentions. With enough passes, it is a layer of a container of which
    another layer ran in a single pass only: others may be as rare. The same holds if tokens choose and another layer
    ran in some passes only, because the passes have no tokens beyond those of the example.
    """
    if taken.few:
        return _is_mentioned(path, tree)
    holder, _, _ = path.rpartition(".")
    modules = {node.path: node.module for node in tree.nodes}
    if not isinstance(modules.get(holder), _CHOICES):
        return False
    siblings = [each for each in modules if each.rpartition(".")[0] == holder and each != path]
    tokens = not any(_is_of_floats(trace) for trace in taken.evaluation[:1])
    for traces in modes:
        ran = [sum(each in trace.visits for trace in traces) for each in siblings]
        if len(traces) > 1 and (1 in ran or (tokens and any(0 < count < len(traces) for count in ran))):
            return True
    return False


def _is_of_floats(trace: Trace) -> bool:
    return any(event.kind == "input" and (event.dtype or "").startswith(("float", "bfloat")) for event in trace.events)


def _is_mentioned(path: str, tree: Tree) -> bool:
    """Whether code outside of the constructor names the attribute of a layer, or accesses layers by name."""
    modules = {node.path: node.module for node in tree.nodes}
    steps = path.split(".")
    for depth in range(len(steps) - 1, -1, -1):
        owner = modules.get(".".join(steps[:depth]))
        bodies = [body for cls in type(owner).__mro__ if (body := class_statement(cls)) is not None]
        if bodies:
            names = {name for body in bodies for name in _names_in(body)}
            return steps[depth] in names or not _BY_NAME.isdisjoint(names)
    return True


def _names_in(body: ast.ClassDef) -> Iterator[str]:
    for method in body.body:
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            for node in ast.walk(method):
                if isinstance(node, ast.Attribute):
                    yield node.attr
                elif isinstance(node, ast.Name):
                    yield node.id
