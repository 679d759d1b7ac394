"""`archcheck init --pyproject --ci`: add a contract, a workflow and a hook to a repository, and touch nothing else."""

from __future__ import annotations

import tomllib
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archcheck.cli.option_values import refuse_given
from archcheck.cli.output import repository_root, write
from archcheck.contract import discover
from archcheck.contract.document import parse, show_path
from archcheck.contract.files import SHARED_FILE
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.installed_packages import origin
from archcheck.foundation.whole_files import read_bytes, write_together
from archcheck.foundation.words import visible
from archcheck.integrations.repository import UNKNOWN, WORKFLOW, action_of, hook, uses_action, workflow_text
from archcheck.integrations.repository.pre_commit import CONFIGURATION, has_hook, with_repository

LARGEST = 1 << 26
"""Most bytes of a file that something is added to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """The new `content` of a file, or `None` for a file that is kept; `line` says which and why."""

    file: Path
    content: str | None
    line: str


def init_repository(options: Namespace, contract: Callable[[], str | None]) -> int:
    """Add what is asked for and missing. Everything is made before anything is written; all of it is written, or none.

    `contract` returns the text of a contract, with the prefix for `pyproject.toml`, or `None` if nothing was measured.
    """
    refuse_given(options, ("output", "config", "gradescope"), "is not for `--pyproject` and `--ci`; leave it out")
    if not options.ci:
        refuse_given(options, ("action",), "is for the workflow that `--ci` writes; add --ci, or leave it out")
    additions = []
    if options.pyproject:
        shared = _contract(options, contract)
        if shared is None:
            return 2
        additions.append(shared)
    if options.ci:
        additions += _continuous_integration(options)
    try:
        write_together({each.file: each.content for each in additions if each.content is not None})
    except OSError as error:
        raise ArchcheckError(
            f"cannot write {show_path(Path(error.filename))}: {error.strerror}; nothing was changed"
        ) from None
    for each in additions:
        state = "kept" if each.content is None else "written"
        write(f"{state:<8} {visible(show_path(each.file))}: {visible(each.line)}\n")
    if any(UNKNOWN.partition("@")[0] in (each.content or "") for each in additions):
        write(f"in {WORKFLOW.as_posix()}, put the repository that holds archcheck, and a commit of it, for OWNER/REPO ")
        write("and REF; `--action OWNER/REPO@REF` does that\n")
    return 0


def _contract(options: Namespace, contract: Callable[[], str | None]) -> Addition | None:
    """Return what becomes of the contract; `None` if no model could be measured."""
    file, there = Path.cwd() / SHARED_FILE, discover()
    if there and not (there == file and _is_without_subjects(file)):
        return Addition(file=there, content=None, line="it holds a contract")
    if not file.exists():
        raise ArchcheckError(
            f"there is no {SHARED_FILE} here; run `archcheck init` where it is, or write a contract of its own with "
            "`--output archcheck.toml`"
        )
    parse(file)  # what is damaged is refused before anything is measured
    if not options.target and options.preset is None:
        raise ArchcheckError("`archcheck init --pyproject` needs a model: `archcheck init --pyproject model.py`")
    made = contract()
    if made is None:
        return None
    text = _text_of(file)
    newline = "\r\n" if "\r\n" in text else "\n"
    ahead = ("" if text.endswith("\n") else newline) + newline if text.strip("\ufeff") else ""
    content = text + ahead + made.replace("\n", newline)
    try:
        document: Any = tomllib.loads(content.removeprefix("\ufeff").replace("\r\n", "\n"))
    except ValueError:
        raise ArchcheckError(
            f"{SHARED_FILE} writes `tool` or `archcheck` in braces, so that no table can be added to it; write it as "
            "[tool.…] tables"
        ) from None
    names = ", ".join(f"[tool.archcheck.subjects.{name}]" for name in document["tool"]["archcheck"]["subjects"])
    return Addition(file=file, content=content, line=f"added {names}")


def _is_without_subjects(file: Path) -> bool:
    """Whether a file says something about archcheck, such as the default of an option, and names no subject yet."""
    values: Any = parse(file).value
    table = values.get("tool", {}).get("archcheck")
    return isinstance(table, dict) and "subjects" not in table


def _continuous_integration(options: Namespace) -> Iterator[Addition]:
    contract = discover() or (Path.cwd() / SHARED_FILE if options.pyproject else None)
    if contract is None:
        raise ArchcheckError("`--ci` needs a contract to judge; add --pyproject and a model, or write one first")
    root = repository_root(contract.parent)
    try:
        str(contract.relative_to(root)).encode()
    except UnicodeEncodeError:
        shown = visible(str(contract.relative_to(root)))
        raise ArchcheckError(
            f"the name of {shown} is not UTF-8, so no workflow can name it; rename its folder"
        ) from None
    place = options.action or origin() or UNKNOWN
    action_of(place)
    yield _workflow(root, contract, place)
    yield _hook(root, contract.relative_to(root))


def _workflow(root: Path, contract: Path, place: str) -> Addition:
    folder = root / WORKFLOW.parent
    for file in sorted(folder.glob("*.y*ml")) if folder.is_dir() else ():
        if file.is_dir():
            continue  # GitHub reads files only
        if file == root / WORKFLOW or uses_action(_bytes_of(file).decode(errors="replace")):
            return Addition(file=file, content=None, line="it exists already")
    text = workflow_text(contract.relative_to(root), place=place, installs=tuple(_installs(contract.parent)))
    return Addition(file=root / WORKFLOW, content=text, line="judges the contract in each push and pull request")


def _installs(folder: Path) -> Iterator[str]:
    """Yield what pip installs for the networks of a project: its requirements, and itself if it says how it is built.

    The action installs archcheck and torch, and nothing of the project.
    """
    if (folder / "requirements.txt").is_file():
        yield "--requirement requirements.txt"
    file = folder / SHARED_FILE
    if file.is_file() and "build-system" in parse(file).value:
        yield "."


def _hook(root: Path, contract: Path) -> Addition:
    file = root / CONFIGURATION
    text = _text_of(file) if file.exists() or file.is_symlink() else ""
    try:
        if has_hook(text):
            return Addition(file=file, content=None, line="it runs archcheck already")
        content = with_repository(text, hook(contract))
    except ValueError as error:
        raise ArchcheckError(
            f"{show_path(file)} {error}; mend it, or add the hook by hand as `archcheck explain pull-requests` shows it"
        ) from None
    return Addition(file=file, content=content, line="runs `archcheck check` before each commit")


def _text_of(file: Path) -> str:
    """Return the text of a file with its byte order mark and its ends of lines."""
    try:
        return _bytes_of(file).decode()
    except UnicodeDecodeError:
        raise ArchcheckError(f"{show_path(file)} is not UTF-8; save it as UTF-8") from None


def _bytes_of(file: Path) -> bytes:
    try:
        return read_bytes(file, LARGEST)
    except OSError as error:
        raise ArchcheckError(f"{show_path(file)} cannot be read: {error.strerror}; mend it, or move it away") from None
