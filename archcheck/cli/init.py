"""`archcheck init`: print a first contract for the models of a target."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archcheck.cli.contract_file import contract_of
from archcheck.cli.option_values import refuse_given
from archcheck.cli.output import print_subject_error, save, write
from archcheck.cli.worker_options import worker_of
from archcheck.contract.document import show_path
from archcheck.contract.files import OWN_FILE, SHARED_FILE
from archcheck.foundation.annotated_values import toml
from archcheck.foundation.errors import ArchcheckError, SubjectError
from archcheck.foundation.json_codec import encode
from archcheck.foundation.suffixes import is_file
from archcheck.foundation.whole_files import is_stream
from archcheck.judging.engine import find_models, measure_target
from archcheck.judging.first_contract import Draft, contract_text
from archcheck.judging.presets import MODEL, preset_names, preset_summary, preset_text
from archcheck.workers.worker_process import Worker

PREFIX = "tool.archcheck."


def init(options: Namespace) -> int:
    """Print or write a contract that the models of a target keep today."""
    if options.preset == "list":
        if options.target or options.output:
            raise ArchcheckError("`--preset list` only lists the presets; leave the model and --output out")
        write("".join(f"{name:<16}{preset_summary(name)}\n" for name in preset_names()))
        return 0
    if options.pyproject or options.ci:
        from archcheck.cli.init_repository import init_repository

        return init_repository(options, lambda: _for_pyproject(options))
    refuse_given(options, ("action",), "is for the workflow that `--ci` writes; add --ci, or leave it out")
    output: Path | None = options.output
    if output and not is_stream(output) and (output.exists() or output.is_symlink()):
        raise ArchcheckError(f"{show_path(output)} exists and is left alone; name another file, or leave --output out")
    if options.gradescope:
        return _bundle(options)
    refuse_given(options, ("config",), "is for `--gradescope`, whose bundle holds a contract; leave it out")
    if options.preset is not None:
        return _preset(options)
    if not options.target:
        raise ArchcheckError("`archcheck init` needs a model or a preset: `archcheck init model.py`; see `--help`")
    drafts = _measured(options)
    return _write(drafts, output) if drafts else 2


def _write(drafts: Sequence[Draft], output: Path | None) -> int:
    """Print or write a contract."""
    prefix = PREFIX if output and output.name == SHARED_FILE else ""
    if output is None:
        write(
            contract_text(drafts, place=f"Save it as {OWN_FILE}; in {SHARED_FILE}, put `{PREFIX}` before `subjects`.")
        )
        return 0
    save(contract_text(drafts, prefix=prefix, place="`archcheck check` holds them to it."), output)
    if not is_stream(output):
        write(f"written to {show_path(output)}; `archcheck check --config {show_path(output)}` judges by it\n")
    return 0


def _measured(options: Namespace) -> list[Draft]:
    toml(_stated(options))  # what a contract cannot hold is refused before anything is measured
    with worker_of(options) as worker:
        return list(drafts_of(worker, options))


def _for_pyproject(options: Namespace) -> str | None:
    """Return the contract that `pyproject.toml` gets; `None` if no model could be measured."""
    options = Namespace(**{**vars(options), "output": Path(SHARED_FILE)})  # paths are seen from there
    if options.preset is not None:
        return preset_text(options.preset, _model_of_preset(options), prefix=PREFIX)
    drafts = _measured(options)
    return contract_text(drafts, prefix=PREFIX, place="`archcheck check` holds them to it.") if drafts else None


def _bundle(options: Namespace) -> int:
    """Write the bundle of an autograder for the contract that is there."""
    from archcheck.contract import discover
    from archcheck.integrations.gradescope_bundle import bundle_of, write_bundle

    refuse_given(options, ("preset", "input", "args", "meta"), "is not for `--gradescope`; leave it out")
    output = options.output or Path("autograder.zip")
    if is_stream(output):
        raise ArchcheckError(f"a bundle is a folder or a zip file, not {output}; name one: `--output autograder.zip`")
    if output.exists() or output.is_symlink():
        raise ArchcheckError(f"{show_path(output)} exists and is left alone; name another file with --output")
    contract = contract_of(options)
    file = options.config or discover()
    assert file is not None  # else there was no contract to read
    texts = bundle_of(contract, file, options.target)
    try:
        write_bundle(texts, output)
    except OSError as error:
        raise ArchcheckError(f"cannot write {show_path(output)}: {error.strerror}; choose another name") from None
    write(f"written to {show_path(output)}; put the other files that the contract names beside {file.name} in it\n")
    return 0


def _preset(options: Namespace) -> int:
    """Print or write the contract of a preset, without measuring anything."""
    output, model = options.output, _model_of_preset(options)
    if output is None:
        write(preset_text(options.preset, model))
        return 0
    save(preset_text(options.preset, model, prefix=PREFIX if output.name == SHARED_FILE else ""), output)
    if not is_stream(output):
        found = output.name in (OWN_FILE, SHARED_FILE) and output.parent.resolve() == Path.cwd()
        config = "" if found else f" --config {show_path(output)}"
        judged = f"`archcheck check{config}` judges by it"
        write(f"written to {show_path(output)}; adapt it as its comments say, then {judged}\n")
    return 0


def _model_of_preset(options: Namespace) -> str:
    """Return the model of a preset as its contract names it. Raises `ArchcheckError` for options of a measurement."""
    if options.input or options.call or options.args or options.meta:
        raise ArchcheckError(
            "a preset states its own input; leave --input, --call, --args and --meta out, and edit the file"
        )
    target = options.target or ""
    file = target if is_file(target) else target.rpartition(":")[0]
    if is_file(file) and not Path(file).exists():
        raise ArchcheckError(
            f"there is no file `{file}`; name a file that exists, or leave it out and write `model` into the contract"
        )
    return _seen_from(target, options.output) if target else MODEL


def _stated(options: Namespace) -> dict[str, Any]:
    return {name: value for name, value in options.args or () if value is not None}


def drafts_of(worker: Worker, options: Namespace) -> Iterator[Draft]:
    """Measure every model of the target. Print the error of a model that fails, and leave it out."""
    taken: set[str] = set()
    request: dict[str, Any] = {"args": dict(options.args or ()), "meta": options.meta}
    if options.input:
        request["input"] = encode(options.input)
    if options.call:
        request["call"] = options.call
    for target in find_models(worker, options.target):
        try:
            facts = measure_target(worker, target, **request)
        except SubjectError as error:
            print_subject_error(target, str(error))
            continue
        name = _name(target, taken)
        taken.add(name)
        model = _seen_from(target, options.output)
        yield Draft(name=name, model=model, facts=facts, args=request["args"], meta=options.meta, call=options.call)


def _name(target: str, taken: set[str]) -> str:
    """Return a free name for the subject: `resnet18` for `torchvision.models:resnet18`."""
    word = target.rpartition(":")[2]
    name = re.sub(r"[^a-z0-9_]+", "-", Path(word).stem.lower() if word.endswith(".py") else word.lower()).strip("-")
    free = [name or "subject", *(f"{name or 'subject'}-{number}" for number in range(2, len(taken) + 3))]
    return next(word for word in free if word not in taken)


def _seen_from(target: str, output: Path | None) -> str:
    """Return the target as a contract in the folder of `output` names it."""
    head, colon, name = (target, "", "") if is_file(target) else target.rpartition(":")
    if output is None or not is_file(head):
        return target
    return Path(os.path.relpath(head, output.parent)).as_posix() + colon + name
