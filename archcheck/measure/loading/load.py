"""Find and build the subject that a target names.

A target is `file.py`, `file.py:Name`, `notebook.ipynb:Name`, `package.module:Name` or `package/module.py:Name`. The
name is a class, a factory or an instance. A file inside a package is imported by its dotted name, so that relative
imports work. If necessary, only the definitions of a file run (see `execution`).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading import execution, stubs
from archcheck.measure.loading.building import build, is_constructor, resolved
from archcheck.measure.loading.configurations import OwnCode
from archcheck.measure.loading.configured_classes import ConfiguredClass, configured_class
from archcheck.measure.loading.construction_trace import Construction
from archcheck.measure.loading.constructor_arguments import Guess, guess
from archcheck.measure.loading.errors import (
    explained_error,
    import_error,
    missing_name_error,
    not_one_model_error,
)
from archcheck.measure.loading.imports import (
    above,
    dotted_name,
    import_alone,
    package_of,
    relative_levels,
    search_first,
    search_last,
)
from archcheck.measure.loading.main_model import built_by_program, main_model
from archcheck.measure.loading.model_discovery import root_models
from archcheck.measure.loading.notebooks import code_cells
from archcheck.measure.loading.pretrained_models import PretrainedModels, Weights
from archcheck.measure.loading.program_input import ProgramInput, program_input
from archcheck.measure.loading.published_weights import published_weights, with_numbers
from archcheck.measure.loading.signatures import missing_arguments
from archcheck.measure.loading.usual_arguments import Input
from archcheck.measure.subject.asked_calls import asked_by
from archcheck.measure.subject.device_fallback import note_on, run_without_devices
from archcheck.measure.subject.import_guard import Refused, harmless
from archcheck.measure.subject.ownership import claim, claim_module, watch_installed

_Built = tuple[torch.nn.Module, str | None]
_FILE = re.compile(r"^(?P<file>.+\.(?:py|ipynb))(?::(?P<name>[\w.]+))?$", re.DOTALL)  # names may hold line breaks
_MODULE = re.compile(r"^(?P<module>[\w.]+):(?P<name>[\w.]+)$")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, with notes on how it was loaded, the trace of its construction, and the input of its file's program.

    `guessed` are those notes that tell guessed arguments.
    """

    model: torch.nn.Module
    notes: tuple[str, ...] = ()
    construction: Construction | None = None
    stated: ProgramInput | None = None
    guessed: tuple[str, ...] = ()


def load(target: str, root: str, args: Mapping[str, Any], *, meta: bool = False) -> torch.nn.Module:
    """Return the model that `target` names, built with `args` if it is a class or a factory.

    With `meta` it is built without memory; an instance that its file builds stays as it is.

    Raises:
        SubjectError: with one line that says what is missing and what to do next.
    """
    return load_noted(target, root, args, meta=meta).model


def load_noted(
    target: str,
    root: str,
    args: Mapping[str, Any],
    *,
    meta: bool = False,
    careful: bool = False,
    given: Callable[[], Input | None] = lambda: None,
) -> Loaded:
    """Return the model that `target` names, as `load` does, with notes on how it was loaded.

    `careful` is for a file without a contract: it may have no side effects while it is loaded, and missing arguments
    are guessed and noted. With a contract that names only a file, those are taken that the file or the input tells.
    `given` returns the given input.
    """
    construction = None if meta else Construction()
    with _loading(root, careful, meta) as published, construction or nullcontext():
        module, named = load_module(target, root)
        name, only = (named, None) if named else _only_root(module, target)
        value, within = resolved(module, name, target)
        stated = program_input(module, name)
        guessed = Guess({})
        configured: ConfiguredClass | None = None

        def asked() -> Input | None:
            return given() or (stated.first if stated else None)

        def built() -> _Built:
            nonlocal guessed, configured
            with _refusing_side_effects(target) if careful else nullcontext():
                if configured := configured_class(value, target, args, root):
                    return build(configured.build, target, {}, meta=meta or configured.published)
                if (careful or named is None) and is_constructor(value):
                    guessed = guess(value, module, args, asked, usual=careful)  # may make objects of the file's classes
                return build(value, target, {**guessed.args, **args}, meta=meta, within=within)

        try:
            (model, held), moves = run_without_devices(partial(with_numbers, built, published, again=careful))
        except SubjectError as error:
            tried = () if missing_arguments(value, {**guessed.args, **args}) else guessed.tried
            raise explained_error(error, target, tried) from error
    moved = note_on([*execution.moves(), *moves])
    told = (only, configured.note if configured else None, *guessed.notes, held)
    notes = (*execution.notes(), *told, *published.said, moved, stubs.note())
    return Loaded(model, tuple(note for note in notes if note), construction, stated, guessed.notes)


@contextmanager
def _loading(root: str, careful: bool, meta: bool = False) -> Iterator[PretrainedModels]:
    """Prepare for loading a subject. The context gives what is noted on published weights that are not loaded.

    A model without memory loads none, and one of a `careful` request those on this machine.
    """
    execution.SETTINGS.careful = careful
    stubs.forget()
    weights = Weights.NONE if meta else Weights.PRESENT if careful else Weights.ALL
    with published_weights(weights, partial(_class_in, root)) as published:
        yield published


def _class_in(root: str, file: Path, name: str) -> Any:
    return load_object(f"{os.path.relpath(file, root)}:{name}", root)


@contextmanager
def loading_checkpoint(target: str, root: str, *, careful: bool) -> Iterator[OwnCode]:
    """Prepare for building the network of a configuration. The context gives a loader for the code beside it."""
    with _loading(root, careful, meta=True), _refusing_side_effects(target) if careful else nullcontext():
        yield partial(_class_in, root)


def _only_root(module: ModuleType, target: str) -> tuple[str, str | None]:
    """Return the only root model of a file, or with a note the only one that the program of the file builds."""
    found = root_models(module)
    if len(found) > 1 and len(built := built_by_program(module, found)) == 1:
        return built[0], f"`{built[0]}` is the one of {len(found)} models that the program of the file builds"
    if len(found) != 1:
        raise not_one_model_error(target, found, module)
    return found[0], None


@contextmanager
def _refusing_side_effects(target: str) -> Iterator[None]:
    """Refuse side effects while a model is built."""
    try:
        with harmless():
            yield
    except Refused as error:
        where = execution.raised_at(error)
        advice = "let it be built without that" if error.connects else "judge it through a contract"
        raise SubjectError(
            "construct",
            f"`{target}` {error} when it is built{f' at {where}' if where else ''}{asked_by(error)}, which a report "
            f"does not let it do; {advice}",
        ) from error


def find(target: str, root: str, *, careful: bool = False) -> list[str]:
    """Return the named targets for `target`: one for each root model of a file, or the target if it has a name."""
    match = _FILE.match(target)
    if match is None or match["name"]:
        return [target]
    with _loading(root, careful):
        module, _ = load_module(target, root)
    found = root_models(module)
    if not found:
        raise not_one_model_error(target, found, module)
    return [f"{target}:{name}" for name in found]


def find_main(target: str, root: str) -> str:
    """Return which of the targets that `find` returns for a file is its main model."""
    with _loading(root, careful=True):
        module, _ = load_module(target, root)
    return f"{target}:{main_model(module, root_models(module))}"


def load_module(target: str, root: str) -> tuple[ModuleType, str | None]:
    """Import the module of a target; return it with the name in the target, `None` if there is none."""
    watch_installed()
    claim(root)
    if match := _FILE.match(target):
        return _import_file(Path(root, match["file"]), match["file"], root), match["name"]
    if match := _MODULE.match(target):
        claim_module(match["module"])
        search_first([root])
        return _import(match["module"], target), match["name"]
    if Path(root, target).exists():
        folder = f"{target.rstrip('/')}/" if Path(root, target).is_dir() else ""
        raise SubjectError("not-found", f"`{target}` is not a Python file; name one, as in `{folder}model.py:Net`")
    raise SubjectError(
        "not-found",
        f"there is no file, subject or module `{target}`; write `file.py`, `file.py:Class` or `package.module:Class`",
    )


def load_object(target: str, root: str) -> Any:
    """Return the object that a target names: an example function, a trainer or an evaluation."""
    module, name = load_module(target, root)
    if name is None:
        raise SubjectError("not-found", f"`{target}` names no function; write `{target}:name`")
    return attribute(module, name, target)


def attribute(module: ModuleType, name: str, target: str) -> Any:
    """Return `module.name`, dots allowed."""
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise missing_name_error(module, part, target, value)
        value = getattr(value, part)
    return value


def _import_file(path: Path, shown: str, root: str) -> ModuleType:
    if not path.is_file():
        raise SubjectError("not-found", f"there is no file `{shown}`; is the path relative to {root}?")
    path = path.resolve()
    package_root, name = dotted_name(path)
    beside = [str(path.parent)] if package_root == path.parent else []
    claim(package_root)
    search_first([*beside, str(package_root), root])
    search_last([str(path.parent), *above(path, root)])
    if beside or path.suffix == ".ipynb" or not _is_free(name, package_root):
        return _import_alone(path, shown)
    return _import(name, shown)


def _is_free(name: str, folder: Path) -> bool:
    """Whether a package can be imported by its name from `folder`: no other package has the name, Python's included."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    known = sys.modules.get(top)
    return known is None or str(folder / top) in map(str, getattr(known, "__path__", ()))


def _import_alone(path: Path, shown: str) -> ModuleType:
    """Import a file that is in no package under a unique name, because `model.py` may exist in many folders."""
    name = f"archcheck_subject_{re.sub(r'[^a-zA-Z0-9_]', '_', path.stem)}_{abs(hash(str(path))):x}"
    try:
        if path.suffix == ".ipynb":
            return import_alone(name, path, code_cells(path, shown))
        levels = relative_levels(path)
        return import_alone(name, path, [str(path)], package=package_of(path.parent, levels) if levels else "")
    except SubjectError:
        raise
    except BaseException as error:
        raise import_error(error, shown) from error


def _import(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise import_error(error, shown) from error
