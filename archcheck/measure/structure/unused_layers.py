"""Finds layers that no output depends on, in evaluation or in training."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.value_dependence import led_to_reads
from archcheck.measure.structure.packed_weights import is_quantised, observes
from archcheck.measure.subject.layer_statements import class_statement
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import class_where

_HOLDERS = (
    torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.ParameterList, torch.nn.ParameterDict,
)  # fmt: skip
"""Containers: an empty one is no layer, as in blocks whose shortcut may be nothing."""
_PACKED = frozenset({"EmbeddingPackedParams", "LinearPackedParams", "PackedParameter"})
"""Modules in which torch's quantised layers keep their weights: they are read and never called."""


def unused_layers(tree: Tree, traces: Sequence[Trace], deciding: Collection[str] = ()) -> tuple[str, ...]:
    """Return the layers that are never called, or whose results reach no output; of a branch, the outermost.

    A layer also counts as used if a live operation reads its parameters or buffers (the `out_proj` of an attention is
    never called), if it is called and executes nothing (`Identity`), if it holds a used layer, or if another method of
    its class runs. Layers within TorchScript cannot be distinguished. What leads to a value that code reads counts as
    well if the parameters `deciding` lead to that value, too.
    """
    reached, called = _reached(traces, deciding), {path for trace in traces for path in trace.visits}
    ran = _with_all_around({event.layer for trace in traces for event in trace.events})
    passing = called - ran  # they return their input
    around_passing = _with_all_around(path.rpartition(".")[0] for path in passing)
    exempt, named = _exempt(tree), _RunByName(traces)
    idle: list[str] = []
    for node in tree.nodes:
        path = node.path
        if path in reached or path in passing or observes(node.module) or (idle and path.startswith(f"{idle[-1]}.")):
            continue
        if path in called or not (path in around_passing or path in exempt or named.has(type(node.module))):
            idle.append(path)
    return tuple(idle)


def _reached(traces: Sequence[Trace], deciding: Collection[str]) -> set[str]:
    """Return the layers around live operations, and around the parameters that these read."""
    reading = {(event.layer, event.params) for trace in traces for event in (*_live(trace), *_decides(trace, deciding))}
    holders = {name.rpartition(".")[0] for _, params in reading for name in params}
    return _with_all_around({layer for layer, _ in reading} | holders)


def _live(trace: Trace) -> Iterator[Event]:
    live = trace.live
    return (event for event in trace.events if live[event.index])


def _decides(trace: Trace, deciding: Collection[str]) -> Iterator[Event]:
    yield from (trace.events[index] for index in (led_to_reads(trace, deciding) if deciding else ()))


def _with_all_around(layers: Iterable[str]) -> set[str]:
    """Return layers and all layers that hold them, up to the model."""
    found = {""}
    for path in layers:
        while path not in found:
            found.add(path)
            path = path.rpartition(".")[0]
    return found


def _exempt(tree: Tree) -> set[str]:
    """Return the containers that are empty or packed, and the layers within TorchScript, which calls no hooks."""
    parents = {node.path.rpartition(".")[0] for node in tree.nodes if node.path}
    scripted = {node.path for node in tree.nodes if isinstance(node.module, torch.jit.ScriptModule)}
    holders = {node.path: bool(node.parameters) for node in tree.nodes if isinstance(node.module, _HOLDERS)}
    empty = {path for path, has_parameters in holders.items() if not has_parameters and path not in parents}
    packed = {node.path for node in tree.nodes if type(node.module).__name__ in _PACKED and is_quantised(node.module)}
    packed |= holders.keys() & {path.rpartition(".")[0] for path in packed}
    return empty | packed | {path for path in scripted if path.rpartition(".")[0] in scripted}


class _RunByName:
    """Finds classes with a method that runs although its layer is not called: `self.grid.points(x)`."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        places = {id(event.where): event.where for trace in traces for event in _live(trace) if event.where is not None}
        self._lines: dict[str, set[int]] = {}
        for where in places.values():
            self._lines.setdefault(where.file, set()).add(where.line)
        self._known: dict[type, bool] = {}

    def has(self, cls: type) -> bool:
        """Whether a live operation runs on a line of the class, or of a base class."""
        if cls not in self._known:
            self._known[cls] = any(self._runs_in(span) for base in cls.__mro__ if (span := _span(base)) is not None)
        return self._known[cls]

    def _runs_in(self, span: tuple[Where, int]) -> bool:
        start, end = span
        return not self._lines.get(start.file, set()).isdisjoint(range(start.line, end + 1))


@cache
def _span(cls: type) -> tuple[Where, int] | None:
    start, statement = class_where(cls), class_statement(cls)
    return None if start is None or statement is None else (start, statement.end_lineno or start.line)
