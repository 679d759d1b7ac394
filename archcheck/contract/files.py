"""Contracts: find the file, read it, and say everything that is wrong with it at once.

A contract lives under `[tool.archcheck]` in `pyproject.toml`, or in an `archcheck.toml` of its own, where
that prefix falls away:

    [subjects.mnist]
    model = "model.py:Net"
    input = [1, 1, 28, 28]
    rules.max-params = 20_000
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archcheck.contract.checkpoints import each_checkpoint
from archcheck.contract.document import LARGEST, Node, parse
from archcheck.contract.fields import check_keys
from archcheck.contract.plugins import installed_rules, read_plugins
from archcheck.contract.rule_entries import read_rules
from archcheck.contract.specifications import SubjectEntry
from archcheck.contract.subject_entries import read_subject
from archcheck.contract.subject_patterns import each_model
from archcheck.foundation.errors import ArchcheckError, ContractError, Problem
from archcheck.foundation.garbage_collection import collection_paused
from archcheck.foundation.whole_files import read_bytes
from archcheck.foundation.words import did_you_mean, listed, quote
from archcheck.rules import BuiltinRules
from archcheck.rules.base import Rule

OWN_FILE = "archcheck.toml"
SHARED_FILE = "pyproject.toml"
SNAPSHOT_FILE = "archcheck.snapshot.json"
"""The snapshot file beside a contract of one of these names. Beside `vision.toml` it is `vision.snapshot.json`."""
KEYS = ("subjects", "rules", "plugins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The subjects of a contract file. `file` is its name for people, `root` the folder that holds it.

    `models` is the model of each subject as the file states it: a pattern where one section stands for several.
    Several contracts in one folder have separate snapshot files, unless their subjects name one.
    """

    file: str
    root: Path
    subjects: tuple[SubjectEntry, ...]
    snapshot: str = SNAPSHOT_FILE
    models: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> tuple[SubjectEntry, ...]:
        """Return the subject of that name, or each of that family. Raises `ArchcheckError` when there is none."""
        if found := tuple(entry for entry in self.subjects if name in (entry.name, entry.family)):
            return found
        names = [entry.name for entry in self.subjects]
        hint = did_you_mean(name, names, f"it has {listed(names)}")
        raise ArchcheckError(f"{quote(name)} is not a subject of {self.file}{hint}")

    def subject(self, name: str) -> SubjectEntry:
        """Return the subject of that name. Raises `ArchcheckError` when there is none, or several of that name."""
        first, *others = self.named(name)
        if others:
            names = listed(entry.name for entry in (first, *others))
            raise ArchcheckError(f"{quote(name)} stands for several subjects; name one of {names}")
        return first

    def snapshot_file(self, entry: SubjectEntry) -> Path:
        """Return the file of a subject's committed measures: its own, or the one beside the contract."""
        return Path(self.root, entry.snapshot or self.snapshot)


def discover(start: Path | None = None) -> Path | None:
    """Return the contract file that governs a folder, the current one by default; `None` when there is none.

    That is the nearest `archcheck.toml`, or else the nearest `pyproject.toml` with `[tool.archcheck]`, in the
    folder or above it, up to the root of the repository.
    """
    folders = _up_to_repository(start or Path.cwd())
    own = (folder / OWN_FILE for folder in folders)
    shared = (folder / SHARED_FILE for folder in folders)
    return next(filter(Path.is_file, own), None) or next(filter(_mentions_archcheck, shared), None)


def load(path: Path, known: Mapping[str, type[Rule]] | None = None) -> Contract:
    """Read a contract; `known` are the rules by name that it may state beside those of its plugins.

    By default they are the built-in ones and those of installed packages.

    Raises `ContractError` with every mistake of the contract, in file order, and plain `ArchcheckError` when
    there is no such file or it cannot be read.
    """
    with collection_paused():  # nearly all that is made here stays
        content, root = parse(path), path.parent.resolve()
        node = _contract_node(content, path.name)
        stated, subjects = _read_contract(
            node, installed_rules(BuiltinRules(), node.complain) if known is None else known, root
        )
    if content.document.problems:
        raise ContractError(*content.document.problems)
    snapshot = SNAPSHOT_FILE if path.name in (OWN_FILE, SHARED_FILE) else f"{path.stem}.snapshot.json"
    models = {entry.name: entry.model for entry in stated}
    return Contract(file=content.document.file, root=root, subjects=subjects, snapshot=snapshot, models=models)


def known_rules(path: Path | None) -> tuple[Mapping[str, type[Rule]], tuple[str, ...]]:
    """Return the rules that a contract may state, and the problems with the plugins that bring some.

    Without a contract these are the built-in ones and those of installed packages. Other mistakes of the contract are
    ignored here.

    Raises `ArchcheckError` when the contract cannot be read at all.
    """
    if path is None:
        messages: list[str] = []
        return installed_rules(BuiltinRules(), messages.append), tuple(messages)
    content = parse(path)
    node = _contract_node(content, path.name)
    known: Mapping[str, type[Rule]] = installed_rules(BuiltinRules(), node.complain)
    if isinstance(node.value, dict) and "plugins" in node.value:
        known = read_plugins(node.child("plugins"), known, path.parent.resolve())
    return known, tuple(map(str, content.document.problems))


def _read_contract(
    node: Node, known: Mapping[str, type[Rule]], root: Path
) -> tuple[list[SubjectEntry], tuple[SubjectEntry, ...]]:
    """Return the subjects as the contract states them, and one for each model and checkpoint that they name."""
    nodes = node.table()
    if nodes is None:
        return [], ()
    check_keys(nodes, KEYS, "a contract")
    if "plugins" in nodes:
        known = read_plugins(nodes["plugins"], known, root)
    shared = read_rules(nodes["rules"], known) if "rules" in nodes else {}
    subjects = nodes["subjects"].table() if "subjects" in nodes else {}
    if subjects == {}:
        section = ".".join((*map(str, node.path), "subjects.NAME"))
        node.complain(f"no subject is named; add [{section}] with a model")
    entries = [entry for child in (subjects or {}).values() if (entry := read_subject(child, shared, known))]
    models = [each for entry in entries for each in each_model(entry, root)]
    _demand_different_names(subjects or {}, models)
    return entries, tuple(each for model in models for each in each_checkpoint(model, root))


def _demand_different_names(stated: Mapping[str, Node], models: Sequence[SubjectEntry]) -> None:
    """Complain about a subject that has the name of one that a pattern makes: two reports of one name mislead."""
    for each in models:
        if each.member is not None and each.name in stated:
            pattern = f"{quote(each.model)}, by the pattern of {quote(each.family or '')}"
            stated[each.name].complain(f"{quote(each.name)} is the name of {pattern}, too; choose another")


def _contract_node(document: Node, name: str) -> Node:
    """Return the table that holds the contract. Raises `ContractError` when there is none."""
    if name != OWN_FILE and _has_section(document.value):
        return document.child("tool").child("archcheck")
    if _has_section(document.value):
        line = document.document.line(("tool", "archcheck"))
        message = f"in {OWN_FILE} the keys have no prefix; leave out `tool.archcheck.`, as in [subjects.NAME]"
        raise ContractError(Problem(file=document.document.file, line=line, message=message))
    if name == OWN_FILE or (name != SHARED_FILE and "subjects" in document.value):
        return document
    subjects = document.document.line(("subjects",))
    message = "there is no [tool.archcheck] in this file; add [tool.archcheck.subjects.NAME] with a model"
    raise ContractError(Problem(file=document.document.file, line=subjects, message=message))


def _up_to_repository(start: Path) -> list[Path]:
    """Return the folder and those above it, as far as the root of the repository."""
    folder = start.resolve() if start.is_dir() else start.resolve().parent
    folders = []
    for parent in (folder, *folder.parents):
        folders.append(parent)
        if (parent / ".git").exists():
            break
    return folders


def _mentions_archcheck(file: Path) -> bool:
    """Whether a file holds a contract. It is also true for a file that cannot be read, so that `load` reports the
    reason.
    """
    if not file.is_file():
        return False
    try:
        text = read_bytes(file, LARGEST).decode(errors="replace")
    except OSError:
        return True
    try:
        return _has_section(tomllib.loads(text))
    except (ValueError, RecursionError):
        return "archcheck" in text


def _has_section(values: Mapping[str, Any]) -> bool:
    return isinstance(values.get("tool"), dict) and "archcheck" in values["tool"]
