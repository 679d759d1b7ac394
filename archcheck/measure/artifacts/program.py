"""Read an exported program from its archive, without running it: the graph, its inputs and its tensors.

`torch.export.save` writes this archive since torch 2.8: raw bytes of tensors, and the graph as JSON. Torch's own reader
unpickles sample inputs, objects and weights that are marked as pickles, evaluates symbolic sizes as Python, and loads
the machine code of compiled models. This module opens none of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from archcheck.measure.artifacts.archive import Archive, refuse
from archcheck.measure.artifacts.graph import Graph, check_names, graph_of, refs, specs
from archcheck.measure.artifacts.schema_values import DTYPES, Foreign, argument, entry, tagged
from archcheck.measure.artifacts.tensors import tensors_of

LARGEST = 200 << 20
"""Bytes of JSON at most for the graph of a network."""

FORMAT = 8
"""The supported major version of the graph's schema."""

_MODEL = re.compile(r"models/([^/]+)\.json")
_CODE = {"data/aotinductor/": "machine code", "data/executorch/": "code for another runtime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInput:
    """An input of the program. An extent that may vary is a symbol; `usual` has its number in the export."""

    name: str
    dtype: torch.dtype
    extents: tuple[int | str, ...]
    usual: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Program:
    """The content of an archive. `state` holds the tensors by their names in the graph."""

    graph: Graph
    inputs: tuple[UserInput, ...]
    outputs: tuple[str, ...]
    given: Mapping[str, Any]
    """Inputs that are not tensors and were fixed by the export."""
    ranges: Mapping[str, tuple[int | None, int | None]]
    torch_version: str
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    parameters: dict[str, torch.Tensor] = field(default_factory=dict)
    buffers: dict[str, torch.Tensor] = field(default_factory=dict)
    constants: dict[str, torch.Tensor] = field(default_factory=dict)


def read_program(archive: Archive) -> Program:
    """Read the one program of an archive.

    Raises:
        SubjectError: the archive is damaged, has another format, or needs foreign code.
    """
    name = _only_model(archive)
    path = f"models/{name}.json"
    if archive.size(path) > LARGEST:
        archive.damaged(f"its graph takes {archive.size(path):,} bytes")
    try:
        table = json.loads(archive.read(path))
        _check_format(archive, table)
        program = _program(table)
        _add_tensors(program, entry(table, "graph_module", dict)["signature"]["input_specs"], archive, name)
        given = {*program.state, *program.given, *(each.name for each in program.inputs)}
        check_names(program.graph, given, program.outputs)
    except Foreign as error:
        refuse(archive.shown, f"would run {error}", "archcheck runs no code of a file; measure the source instead")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        archive.damaged(f"its graph cannot be read: {str(error)[:200]}")
    return program


def _only_model(archive: Archive) -> str:
    for name in archive.names:
        for prefix, what in _CODE.items():
            if name.startswith(prefix):
                refuse(archive.shown, f"holds {what} (`{name[:80]}`)", "save the program with `torch.export.save`")
    models = [match[1] for name in archive.names if (match := _MODEL.fullmatch(name))]
    if len(models) != 1:
        archive.damaged(f"it holds {len(models)} programs, where `torch.export.save` writes one")
    return models[0]


def _check_format(archive: Archive, table: Any) -> None:
    version = entry(entry(table, "schema_version", dict), "major", int)
    if version != FORMAT:
        refuse(
            archive.shown,
            f"is of format {version}, and format {FORMAT} is known here",
            "export the model with a torch between 2.8 and the one that is installed",
        )


def _program(table: Any) -> Program:
    module = entry(table, "graph_module", dict)
    graph = graph_of(entry(module, "graph", dict))
    signature = entry(module, "signature", dict)
    values = entry(module["graph"], "tensor_values", dict)
    version = re.match(r"[\w.+]{1,30}", str(table.get("torch_version")), re.ASCII)
    return Program(
        graph=graph,
        inputs=tuple(_user_inputs(signature, values)),
        outputs=tuple(_outputs(signature)),
        given=dict(_given(signature, module["graph"])),
        ranges={symbol: _range(bounds) for symbol, bounds in entry(table, "range_constraints", dict).items()},
        torch_version=version.group() if version else "an unknown version",
    )


def _user_inputs(signature: Any, values: Mapping[str, Any]) -> Iterator[UserInput]:
    for kind, spec in specs(entry(signature, "input_specs", list)):
        if kind == "user_input" and "as_tensor" in spec["arg"]:
            (name,) = refs(argument(spec["arg"]))
            meta = entry(values, name, dict)
            extents = [_extent(size) for size in entry(meta, "sizes", list)]
            yield UserInput(
                name=name,
                dtype=DTYPES[entry(meta, "dtype", int)],
                extents=tuple(extent for extent, _ in extents),
                usual=tuple(usual for _, usual in extents),
            )


_SYMBOL = re.compile(r"(?:Symbol\(')?(\w+)(?:',[^()]*\))?", re.ASCII)


def _extent(size: Any) -> tuple[int | str, int]:
    """Return an extent or its symbol, empty for an expression, and its number in the export."""
    kind, inner = tagged(size)
    if kind == "as_int":
        return entry(size, "as_int", int), inner
    text, hint = entry(inner, "expr_str", str), entry(entry(inner, "hint", dict), "as_int", int)
    symbol = _SYMBOL.fullmatch(text)
    return (symbol[1] if symbol else ""), hint


def _given(signature: Any, graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield the inputs that are numbers: fixed ones, and sizes with their number in the export."""
    for kind, spec in specs(entry(signature, "input_specs", list)):
        if kind == "constant_input":
            yield entry(spec, "name", str), next(iter(spec["value"].values()), None)
        elif kind == "user_input" and "as_sym_int" in spec["arg"]:
            for name in refs(argument(spec["arg"])):
                yield name, _extent(graph["sym_int_values"][name])[1]
        elif kind in ("custom_obj", "token"):
            raise Foreign("an object of its own, or an operator with side effects")


def _outputs(signature: Any) -> Iterator[str]:
    for kind, spec in specs(entry(signature, "output_specs", list)):
        if kind in ("user_output", "loss_output"):
            yield from refs(argument(spec["arg"] if kind == "user_output" else {"as_tensor": spec["arg"]}))


def _range(bounds: Any) -> tuple[int | None, int | None]:
    least, most = bounds["min_val"], bounds["max_val"]
    if not all(value is None or type(value) is int for value in (least, most)):
        raise ValueError("expected the range of a size to be numbers")
    return least, most


def _add_tensors(program: Program, inputs: Any, archive: Archive, name: str) -> None:
    """Add the tensors of the archive to the program. Tensors that no input names are parameters and buffers, too."""
    weights, constants = tensors_of(archive, "weights", name), tensors_of(archive, "constants", name)
    for key, tensor in weights.items():
        (program.parameters if isinstance(tensor, torch.nn.Parameter) else program.buffers)[key] = tensor
    for kind, spec in specs(inputs):
        if kind not in ("parameter", "buffer", "tensor_constant"):
            continue
        target = entry(spec, f"{kind}_name", str)
        source = weights if target in weights else constants
        if target not in source:
            raise ValueError(f"no tensor `{target[:80]}` is in the archive")
        program.state[entry(spec["arg"], "name", str)] = source[target]
        if kind != "tensor_constant" and source is constants:
            program.buffers[target] = source[target]
        elif kind == "tensor_constant":
            program.constants[target] = source[target]
