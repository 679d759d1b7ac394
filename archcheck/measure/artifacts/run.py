"""Run the graph of an exported program as a module, with the layers that were recorded around its nodes.

The graph is interpreted node by node. Each operation runs from the source line that the export has recorded for it, so
that a trace finds the same places and layers as in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from types import FunctionType
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.source_place import Where
from archcheck.measure.artifacts.execution_order import Call, Run, Step, plan_of
from archcheck.measure.artifacts.graph import DEEPEST, Graph, Node, refs
from archcheck.measure.artifacts.inputs import check_inputs
from archcheck.measure.artifacts.operators import CONDITION, WRAPPERS
from archcheck.measure.artifacts.program import Program
from archcheck.measure.artifacts.schema_values import Ref, Subgraph

Values = dict[str, Any]
"""The results of nodes that will be read later, by name."""

_FLAGS = ("training", "train")
"""The names of operator arguments that distinguish training from evaluation."""


class RecordedLayer(torch.nn.Module):
    """A layer of an exported program. Its class has the name of the original layer's class."""

    def forward(self, run: Callable[[], Any], *inputs: Any) -> Any:
        """Run the recorded nodes of the layer; `inputs` are only there for hooks."""
        return run()


class Exported(torch.nn.Module):
    """An exported program as a module. It takes the tensors of the program's inputs, in order.

    `recorded_training` tells whether its operators run as in training; `None` if it is not known.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._constants = program.constants
        self._plans: dict[int, tuple[Step, ...]] = {}
        self.recorded_training = _recorded_training(program)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the program, or a tuple if there are several.

        Raises:
            SubjectError: in training mode, unless the program was exported in it.
            ValueError: an input that the program was not exported for.
        """
        if self.training and not self.recorded_training:
            raise SubjectError("mode", "the file holds the graph of evaluation, not that of training")
        program = self._program
        given = [value for value in _leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        check_inputs(program, given)
        values: Values = {**program.state, **program.given}
        values |= {spec.name: tensor for spec, tensor in zip(program.inputs, given, strict=True)}
        self._run_steps(self._plan(program.graph, 0, program.outputs), values)
        outputs = [values[name] for name in program.outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _plan(self, graph: Graph, depth: int, outputs: Iterable[str] = ()) -> tuple[Step, ...]:
        if id(graph) not in self._plans:
            self._plans[id(graph)] = plan_of(graph, outputs, depth)
        return self._plans[id(graph)]

    def _run_steps(self, steps: Sequence[Step], values: Values) -> None:
        for step in steps:
            if isinstance(step, Run):
                self._run_node(step.node, values)
                for name in step.forget:
                    values.pop(name, None)
            else:
                self._call(step, values)

    def _call(self, step: Call, values: Values) -> None:
        def run() -> Any:
            self._run_steps(step.steps, values)
            made = [values[name] for name in step.makes if name in values]
            return made[0] if len(made) == 1 else tuple(made)

        reads = [values[name] for name in step.reads if name not in self._program.state]
        self.get_submodule(step.path)(run, *reads)

    def _run_node(self, node: Node, values: Values) -> None:
        args, kwargs = _resolved(list(node.args), values), _resolved(dict(node.kwargs), values)
        result = self._run_inner(node, args) if node.run is None else _called_from(node.where)(node.run, args, kwargs)
        _bind(node.outputs, result, values)

    def _run_inner(self, node: Node, args: list[Any]) -> Any:
        if node.target == CONDITION:
            return self._run_graph(node, node.inner[0] if args[0] else node.inner[1], args[3])
        before = WRAPPERS[node.target]
        setting: Any = nullcontext()
        if before > 1:
            setting = torch.autocast("cpu", dtype=args[1], enabled=bool(args[2]))
        with setting:
            return self._run_graph(node, node.inner[0], args[before + 1 :])

    def _run_graph(self, node: Node, graph: Graph, operands: Sequence[Any]) -> Any:
        values: Values = dict(zip(refs(graph.inputs), _leaves(operands), strict=True))
        self._run_steps(self._plan(graph, len(node.layers)), values)
        found = _resolved(list(graph.outputs), values)
        return found[0] if graph.single else found


def _leaves(value: Any) -> list[Any]:
    """Return the values in nested lists, tuples and tables, in order."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _resolved(value: Any, values: Values) -> Any:
    """Return `value` with the names replaced by their values."""
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, list):
        return [_resolved(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _resolved(item, values) for key, item in value.items()}
    return None if isinstance(value, Subgraph) else value


def _bind(outputs: Sequence[Any], result: Any, values: Values) -> None:
    """Store the results of a node under their names."""
    several = isinstance(result, list | tuple)
    if len(outputs) == 1 and isinstance(outputs[0], list):
        outputs = outputs[0]
    elif len(outputs) == 1 and not (several and len(result) == 1):
        result, several = [result], True
    for name, value in zip(outputs, result if several else (), strict=False):
        if isinstance(name, Ref):
            values[name.name] = value


# A function on one line, so that it runs on the first line of its code object.
_call = lambda function, args, kwargs: function(*args, **kwargs)  # noqa: E731


@cache
def _called_from(where: Where | None) -> Callable[..., Any]:
    """Return a function that calls another one, and whose frame shows the place `where`."""
    if where is None:
        return _call
    code = _call.__code__.replace(co_filename=where.file, co_firstlineno=where.line, co_name="forward")
    return FunctionType(code, {})


def module_of(program: Program) -> Exported:
    """Return the program as a module with the layers that its nodes and tensors name."""
    kinds: dict[str, str] = {}
    for layer in (layer for node in _all_nodes(program.graph) for layer in node.layers):
        kinds.setdefault(layer.path, layer.type)
    model: Exported = _class(kinds.get("", ""), Exported)(program)
    for path in kinds:
        _module_at(model, path, kinds)
    recorded = len(kinds) > (
        "" in kinds
    )  # else tensors stay with the model: layers that nothing ran in would look idle
    for tensors, attribute in ((program.parameters, "_parameters"), (program.buffers, "_buffers")):
        for name, tensor in tensors.items():
            path, _, last = name.rpartition(".") if recorded else ("", "", name)
            getattr(_module_at(model, path, kinds), attribute)[last] = tensor
    return model.eval()


def _module_at(model: Exported, path: str, kinds: Mapping[str, str]) -> torch.nn.Module:
    """Return the layer at `path`. Make it and its parents if they do not exist."""
    steps = path.split(".") if path else []
    if len(steps) > DEEPEST:
        raise SubjectError("artifact", f"a layer lies {len(steps):,} deep in the program; is the file damaged?")
    module: torch.nn.Module = model
    for depth, step in enumerate(steps):
        child = module._modules.get(step)
        if child is None:
            kind = kinds.get(".".join(steps[: depth + 1]), "")
            child = module._modules[step] = _class(kind, RecordedLayer)()
        module = child
    return module


@cache
def _class(name: str, base: type) -> Any:
    """Return a subclass with the given name. A layer that never runs has no name in the file."""
    return type(name if name.isidentifier() else "Module", (base,), {"__module__": __name__})


def _all_nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for inner in node.inner:
            yield from _all_nodes(inner)


def _recorded_training(program: Program) -> bool | None:
    """Return whether the operators run in training mode; `None` if they do not say so or disagree."""
    modes = {flag for node in _all_nodes(program.graph) for flag in _training_flags(node)}
    return modes.pop() if len(modes) == 1 else None


def _training_flags(node: Node) -> Iterator[bool]:
    schema = getattr(node.run, "_schema", None)
    names = [each.name for each in schema.arguments] if schema else []
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    yield from (given[name] for name in _FLAGS if isinstance(given.get(name), bool))
