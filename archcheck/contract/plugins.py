"""Rules that a project brings along: `plugins = ["pkg.rules"]` in its contract."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from archcheck.contract.document import Node
from archcheck.rule import Rule, rule_name
from archcheck.words import quote


def read_plugins(node: Node, known: Mapping[str, type[Rule]], root: Path) -> dict[str, type[Rule]]:
    """Return `known` and the rules of the modules that a `plugins` list names.

    Modules are looked for in `root` first. A module that cannot be imported, that holds no rule, or whose
    rule has the name of another, is a complaint.
    """
    rules = dict(known)
    if node.read(tuple[str, ...]) is None:
        return rules
    for item in node.items():
        module = _import(item, root)
        if module is not None:
            _add_rules(item, module, rules)
    return rules


def _import(node: Node, root: Path) -> ModuleType | None:
    try:
        with _importing_from(root):
            return importlib.import_module(node.value)
    except (Exception, SystemExit) as error:  # whatever a module does while it is imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        node.complain(f"plugin {quote(node.value)} cannot be imported: {reason}")
        return None


@contextmanager
def _importing_from(root: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path[:] = before


def _add_rules(node: Node, module: ModuleType, rules: dict[str, type[Rule]]) -> None:
    found = [value for value in vars(module).values() if _is_rule(value)]
    if not found:
        node.complain(f"plugin {quote(node.value)} holds no rule; derive a class from archcheck.rule.Rule")
    for cls in found:
        if rules.setdefault(rule_name(cls), cls) is not cls:
            name = quote(rule_name(cls))
            node.complain(f"plugin {quote(node.value)} has a rule {name}, which there is already; rename it")


def _is_rule(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Rule) and value is not Rule and dataclasses.is_dataclass(value)
