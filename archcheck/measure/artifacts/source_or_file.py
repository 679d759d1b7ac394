"""Open what a request measures: source, or a file with a network without its code; with or without weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.suffixes import EXPORTED, PICKLED, TENSORS, ends
from archcheck.foundation.words import shape_text
from archcheck.measure.artifacts.archive import Archive, is_zip, refuse, regular_file
from archcheck.measure.artifacts.checkpoint_folder import checkpoint_file, open_checkpoint
from archcheck.measure.artifacts.pickles import read_state, refuse_without_structure, run_pickle
from archcheck.measure.artifacts.program import Program, read_program
from archcheck.measure.artifacts.run import Exported, module_of
from archcheck.measure.artifacts.weights import load_weights
from archcheck.measure.loading.construction_trace import Construction
from archcheck.measure.loading.example import Example, dtype_name, example_of, first_input, from_specs, suggested
from archcheck.measure.loading.load import load_noted


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model, a function that makes an example input, and notes on both.

    `construction` is the trace of how the model was built, and `file_bytes` the size of the file with its weights, if
    there are any. The layers of an `exported` program have only the names of their classes. `guessed` are the
    notes that tell guessed arguments.
    """

    model: torch.nn.Module
    example: Callable[[], Any]
    notes: tuple[str, ...] = ()
    construction: Construction | None = None
    file_bytes: int | None = None
    exported: bool = False
    guessed: tuple[str, ...] = ()


def subject_of(request: Mapping[str, Any]) -> Opened:
    """Return the model that a request asks for, from source or from a file without code, with its example input.

    Raises:
        SubjectError: the target or its weights are wrong. The message says what is wrong and what to do.
    """
    opened = _opened(request)
    if not request.get("weights"):
        from_file = ends(request["target"], EXPORTED + PICKLED)
        return replace(opened, file_bytes=_size(request["target"], request["root"])) if from_file else opened
    if ends(request["target"], EXPORTED + PICKLED):
        raise SubjectError("weights", f"`{request['target']}` has weights of its own; leave `weights` out")
    notes = load_weights(opened.model, request["weights"], request["root"])
    return replace(opened, notes=(*opened.notes, *notes), file_bytes=_size(request["weights"], request["root"]))


def _size(target: str, root: str) -> int:
    return regular_file(root, target).stat().st_size


def _opened(request: Mapping[str, Any]) -> Opened:
    target, root, args = request["target"], request["root"], request.get("args") or {}
    example: Callable[[], Any] = partial(example_of, request.get("input"), root)
    if file := checkpoint_file(target, root):
        return _checkpoint(request, file, example)
    if args and ends(target, EXPORTED + TENSORS + PICKLED):
        raise SubjectError("construct", f"`{target}` is built already; leave `--args` or `args` out")
    if ends(target, EXPORTED):
        opened = open_artifact(target, root)
        return replace(opened, example=example) if request.get("input") else opened
    if ends(target, TENSORS):
        refuse_without_structure(target)
    if ends(target, PICKLED):
        note = "loaded under --unsafe: the code that the file names has run"
        return Opened(model=_pickled(target, root, request), example=example, notes=(note,))
    careful, meta = bool(request.get("careful")), bool(request.get("meta"))
    given = partial(first_input, request.get("input"), root)
    loaded = load_noted(target, root, args, meta=meta, careful=careful, given=given)
    if loaded.stated is not None and request.get("input") is None:
        example = partial(suggested, loaded.stated)
    return Opened(
        model=loaded.model,
        example=example,
        notes=loaded.notes,
        construction=loaded.construction,
        guessed=loaded.guessed,
    )


def _checkpoint(request: Mapping[str, Any], file: Path, example: Callable[[], Any]) -> Opened:
    args, careful = request.get("args") or {}, bool(request.get("careful"))
    model, notes, size = open_checkpoint(request["target"], file, request["root"], args, careful=careful)
    return Opened(model=model, example=example, notes=notes, file_bytes=size)


def _pickled(target: str, root: str, request: Mapping[str, Any]) -> torch.nn.Module:
    path = regular_file(root, target)
    if not request.get("unsafe"):
        read_state(path, target)  # raises an error with the reason if there is more in it than tensors
        refuse_without_structure(target)
    return run_pickle(path, target, root)


_OLDER = "serialized_exported_program.json"
"""An entry of the archives of `torch.export.save` up to torch 2.7."""


def open_artifact(target: str, root: str) -> Opened:
    """Return the exported program in a file, without running code of the file.

    Raises:
        SubjectError: the file is wrong. The message says what is wrong and what to do.
    """
    path = regular_file(root, target)
    if not is_zip(path):
        refuse(target, "is not an archive of `torch.export.save`: it is not a zip file", "save the program again")
    archive = Archive(path, target)
    if "archive_format" not in archive.names or archive.read("archive_format") != b"pt2":
        what = "of an older torch" if _OLDER in archive.names else "not an archive of `torch.export.save`"
        refuse(target, f"is {what}", "export the model with torch 2.8 or newer")
    program = read_program(archive)
    model = module_of(program)
    return Opened(model=model, example=partial(_example, program), notes=(_note(program, model),), exported=True)


LARGEST = 1 << 31
"""Bytes of an example input at most that is made unless the user gives one."""


def _example(program: Program) -> Example:
    for spec in program.inputs:
        if min((*spec.usual, 0)) < 0 or math.prod(spec.usual) * spec.dtype.itemsize > LARGEST:
            raise SubjectError(
                "input", f"the program was exported with an input of {shape_text(spec.usual)}; give one with `--input`"
            )
    return from_specs([{"shape": spec.usual, "dtype": dtype_name(spec.dtype)} for spec in program.inputs])


def _note(program: Program, model: Exported) -> str:
    said = {
        True: "in training mode, which it runs in for good",
        False: "in evaluation mode: what training does is unknown",
        None: "in a mode that its operators do not tell: what training does is unknown",
    }[model.recorded_training]
    return f"run from the graph in the file, exported by torch {program.torch_version} {said}"
