"""Read the graph of an exported program from its archive: nodes, inputs, outputs and the layers around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from archcheck.foundation.source_place import Where
from archcheck.measure.artifacts.operators import CONDITION, WRAPPERS, function_of
from archcheck.measure.artifacts.schema_values import Foreign, Ref, Subgraph, argument, entry, tagged

DEEPEST = 100
"""How deep layers and graphs may be nested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclosingLayer:
    """A layer around a node: the name of the call, the path of the layer and the name of its class."""

    call: str
    path: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation: its function, its arguments, the names of its results, its layers and its source line."""

    name: str
    target: str
    run: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Any, ...]
    layers: tuple[EnclosingLayer, ...]
    where: Where | None
    inner: tuple[Graph, ...] = ()

    @property
    def reads(self) -> Iterator[str]:
        """The names that it reads."""
        return refs((self.args, dict(self.kwargs)))

    @property
    def makes(self) -> Iterator[str]:
        """The names of its results."""
        return refs(self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes in the order of execution, between named inputs and outputs."""

    inputs: tuple[Any, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Any, ...]
    single: bool = False


def refs(value: Any) -> Iterator[str]:
    """Yield the names that `value` refers to, also in nested lists and tables."""
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from refs(item)


def graph_of(table: Any, depth: int = 0) -> Graph:
    """Return a graph from its table. Raises `ValueError` if it is malformed, `Foreign` if it needs foreign code."""
    if depth > DEEPEST:
        raise ValueError("graphs lie too deep in each other")
    layers: tuple[EnclosingLayer, ...] = ()
    nodes = []
    for number, each in enumerate(entry(table, "nodes", list)):
        node = _node(each, number, layers, depth)
        layers = node.layers
        nodes.append(node)
    return Graph(
        inputs=tuple(map(argument, entry(table, "inputs", list))),
        nodes=tuple(nodes),
        outputs=tuple(map(argument, entry(table, "outputs", list))),
        single=table.get("is_single_tensor_return") is True,
    )


def _node(table: Any, number: int, before: tuple[EnclosingLayer, ...], depth: int) -> Node:
    target, metadata = entry(table, "target", str), entry(table, "metadata", dict)
    run = function_of(target)
    if run is None and target not in WRAPPERS and target != CONDITION:
        raise Foreign(f"`{target[:120]}`, which is no operator of torch's own that takes and gives tensors")
    outputs = tuple(map(argument, entry(table, "outputs", list)))
    inputs = [(entry(each, "name", str), argument(each.get("arg")), each.get("kind")) for each in _inputs(table)]
    arguments = [value for _, value, _ in inputs]
    inner = tuple(graph_of(value.graph, depth + 1) for value in arguments if isinstance(value, Subgraph))
    keyword = _keyword_only(run)
    by_name = [kind == 2 or (kind is None and name in keyword) for name, _, kind in inputs]
    return Node(
        name=str(table.get("name") or next(refs(outputs), f"node_{number}")),
        target=target,
        run=run,
        args=tuple(value for (_, value, _), named in zip(inputs, by_name, strict=True) if not named),
        kwargs={name: value for (name, value, _), named in zip(inputs, by_name, strict=True) if named},
        outputs=outputs,
        layers=_layers(metadata.get("nn_module_stack")) or before,
        where=place(metadata.get("stack_trace")),
        inner=inner,
    )


def check_names(graph: Graph, given: Iterable[str], outputs: Iterable[str]) -> None:
    """Raise `ValueError` if a name is read before it is given or made by a node."""
    known = set(given)
    for node in graph.nodes:
        _demand(node.reads, known, f"node `{node.name[:80]}`")
        for inner in node.inner:
            check_names(inner, refs(inner.inputs), refs(inner.outputs))
        known.update(node.makes)
    _demand(outputs, known, "the output")


def _demand(names: Iterable[str], known: Set[str], who: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{who} reads `{name[:80]}`, which is not defined")


def _inputs(table: Any) -> list[dict[str, Any]]:
    inputs: list[dict[str, Any]] = entry(table, "inputs", list)
    if not all(isinstance(each, dict) for each in inputs):
        raise ValueError("expected the inputs of a node to be tables")
    return inputs


def _keyword_only(run: Any) -> frozenset[str]:
    """Return the keyword-only arguments of an operator."""
    schema = getattr(run, "_schema", None)
    return frozenset(each.name for each in schema.arguments if each.kwarg_only) if schema else frozenset()


def _layers(stack: Any) -> tuple[EnclosingLayer, ...]:
    """Return the layers of `call,path,package.Class;…`, from the model inwards. Paths of repeated calls end in `@1`."""
    if not isinstance(stack, str) or not stack:
        return ()
    layers = []
    for item in stack.split(";"):
        call, _, rest = item.partition(",")
        path, _, kind = rest.partition(",")
        name = kind.partition("[")[0].rpartition(".")[2]
        layers.append(EnclosingLayer(call=call, path=re.sub(r"@\d+(?=\.|$)", "", path), type=name))
    if len(layers) > DEEPEST:
        raise ValueError("layers lie too deep in each other")
    return tuple(layers)


_LINE = re.compile(r'^\s*File "([^"\n]{1,500})", line (\d{1,7})(?:,|$)', re.MULTILINE)
_TORCH = re.compile(r"[/\\]torch[/\\](nn|_\w+|utils|export|fx|functional)[/\\.]|^<")


def place(stack_trace: Any) -> Where | None:
    """Return the innermost line outside of torch in a recorded stack, `None` if there is none."""
    if not isinstance(stack_trace, str):
        return None
    found = [(file, int(line)) for file, line in _LINE.findall(stack_trace) if not _TORCH.search(file)]
    return Where(file=found[-1][0], line=found[-1][1]) if found and found[-1][1] else None


def specs(values: Sequence[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the kind and the table of each input or output of a signature."""
    for value in values:
        kind, inner = tagged(value)
        if not isinstance(inner, dict):
            raise ValueError(f"expected a table, found {str(inner)[:60]}")
        yield kind, inner
