"""Rules that do not come with archcheck: modules that a contract names under `plugins`, and installed packages.

An installed package names a module of rules, or one rule, as an entry point of the group `archcheck.rules`:

    [project.entry-points."archcheck.rules"]
    house = "house.rules"
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from archcheck.contract.document import Node
from archcheck.foundation.annotated_values import Mismatch, annotations_of, coerce
from archcheck.foundation.errors import described
from archcheck.foundation.words import quote
from archcheck.rules.base import Rule, key_of, parameters, rule_name

GROUP = "archcheck.rules"

Complain = Callable[[str], None]


def read_plugins(node: Node, known: Mapping[str, type[Rule]], root: Path) -> Mapping[str, type[Rule]]:
    """Return `known` and the rules of the modules that a `plugins` list names.

    Modules are looked for in `root` first. A module that cannot be imported, that holds no rule, or whose
    rule has the name of another or cannot be stated, is a complaint.
    """
    rules = _beside(known)
    if node.read(tuple[str, ...]) is None:
        return rules
    for item in node.items():
        if advice := _advice_for_file(item.value, root):
            item.complain(f"plugin {quote(item.value)} is a file; {advice}")
            continue
        _add(f"plugin {quote(item.value)}", partial(_import, item.value, root), rules, item.complain)
    return rules


def _advice_for_file(name: str, root: Path) -> str | None:
    """Return what to write for a Python file that is named by its path; `None` for what is no such file."""
    file = os.path.normpath(name)
    if not file.endswith(".py") or not Path(root, file).is_file():
        return None
    parts = Path(file.removesuffix(".py")).parts
    if all(part.isidentifier() for part in parts):
        return f"write the module that it is: {quote('.'.join(parts))}"
    return "move it into the folder of the contract, under a name of letters, digits and `_`, and write that"


def installed_rules(known: Mapping[str, type[Rule]], complain: Complain) -> Mapping[str, type[Rule]]:
    """Return `known` and the rules of installed packages. Complain of packages with mistakes."""
    rules = _beside(known)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        _add(_describe(entry), entry.load, rules, complain)
    return rules


def _beside(known: Mapping[str, type[Rule]]) -> MutableMapping[str, type[Rule]]:
    """Return a mapping that has `known` and takes more rules, without importing those that are known."""
    return ChainMap({}, known)  # type: ignore[arg-type]  # only the first mapping is written to


def _describe(entry: EntryPoint) -> str:
    package = f" of the installed package {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return f"plugin {quote(entry.value)}{package}"


def _add(plugin: str, load: Callable[[], Any], rules: MutableMapping[str, type[Rule]], complain: Complain) -> None:
    """Add the rules of a plugin to `rules`."""
    try:
        with redirect_stdout(sys.stderr):  # standard output is for the report alone
            loaded = load()
    except (Exception, SystemExit) as error:  # whatever a module does while it is imported
        complain(f"{plugin} cannot be imported: {described(error)}")
        return
    found = [value for value in (vars(loaded).values() if isinstance(loaded, ModuleType) else [loaded]) if _is(value)]
    if not found:
        complain(f"{plugin} holds no rule; derive a class from archcheck.rules.base.Rule")
    for cls in found:
        there = rules.get(rule_name(cls), cls)
        if there is not cls:
            complain(f"{plugin} has a rule {quote(rule_name(cls))}, which {_home(there)} already; rename it")
        elif mistake := _mistake(cls):
            complain(f"{plugin} has a rule {quote(rule_name(cls))} that cannot be stated: {mistake}")
        else:
            rules[rule_name(cls)] = cls


def _import(name: str, root: Path) -> ModuleType:
    with _importing_from(root):
        return importlib.import_module(name)


@contextmanager
def _importing_from(root: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path[:] = before


def _is(value: object) -> bool:
    """Whether this is a rule. A class whose name begins with an underscore is only a base class."""
    return isinstance(value, type) and issubclass(value, Rule) and value is not Rule and value.__name__[0] != "_"


def _home(cls: type[Rule]) -> str:
    return "archcheck has" if cls.__module__.startswith("archcheck.") else f"{cls.__module__} has"


def _mistake(cls: type[Rule]) -> str | None:
    """Return why a contract cannot state a rule. It is found here, before any contract states the rule."""
    if "__dataclass_fields__" not in vars(cls) and inspect.get_annotations(cls):
        return "it is not a dataclass; write @dataclass(frozen=True, slots=True, kw_only=True) above it"
    if not dataclasses.is_dataclass(cls) or cls.check is Rule.check:
        return "it defines no `check`"
    try:
        kinds = annotations_of(cls)
        for parameter in parameters(cls):
            _refuse_unreadable(key_of(parameter.name), kinds[parameter.name])
    except Exception as error:  # an annotation may be anything, names that do not exist included
        return f"its fields cannot be read: {described(error)}"
    return None


def _refuse_unreadable(key: str, kind: Any) -> None:
    """Raise `TypeError` for a type that no contract can hold."""
    try:
        coerce(object(), kind)
    except Mismatch:
        return
    except TypeError as error:
        raise TypeError(f"`{key}`: {error}") from None
