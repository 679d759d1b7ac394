"""Read the `rules` table of a contract.

A scalar is the first field of the rule. A table holds fields by key. A list states several instances, unless the first
field takes a list itself. `true` states a rule without parameters, and `false` removes an inherited rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from functools import cache
from typing import Any

from archcheck.contract.document import Document, Node
from archcheck.contract.fields import build, read_field
from archcheck.contract.specifications import Stated
from archcheck.foundation.annotated_values import annotations_of, as_toml, list_depth
from archcheck.foundation.errors import ContractError
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import did_you_mean, nearest, quote
from archcheck.rules.base import Band, Rule, key_of, parameters, rule_name

LIST_THEM = "`archcheck rules` lists them"

Instances = dict[str, Stated | None]
"""Rules by the name of their instance. A rule that could not be read is `None`."""


def read_rules(node: Node, known: Mapping[str, type[Rule]]) -> dict[str, Instances]:
    """Return the instances of every rule in a `rules` table, by name of the rule; none when it is off."""
    stated: dict[str, Instances] = {}
    for name, child in (node.table() or {}).items():
        if name in known:
            stated[name] = _read_instances(known[name], child)
        else:
            child.complain(f"{quote(name)} is not a rule{did_you_mean(name, known, LIST_THEM)}")
            meant = nearest(name, known) or name  # so that a waiver of it is not a second mistake
            stated.setdefault(meant, {meant: None})
    return stated


def rules_in_python(stated: Mapping[str, Any], where: Where, known: Mapping[str, type[Rule]]) -> tuple[Stated, ...]:
    """Return the rules of a table that Python code at `where` states, as a contract would.

    Raises `ContractError` with every mistake.
    """
    document = Document(file=where.file, lines={(): where.line})
    rules = read_rules(Node(document=document, path=(), value=as_toml(stated)), known)
    if document.problems:
        raise ContractError(*document.problems)
    return tuple(each for instances in rules.values() for each in instances.values() if each)


def _read_instances(cls: type[Rule], node: Node) -> Instances:
    name = rule_name(cls)
    if node.value is False:
        return {}
    if node.value == []:
        node.complain(f"{quote(name)} states nothing; write false to switch the rule off")
        return {name: None}
    parts = list(node.items()) if _states_several(cls, node.value) else [node]
    names = [name] if len(parts) == 1 else [f"{name}-{number}" for number in range(1, len(parts) + 1)]
    return {instance: _state(cls, part, instance) for instance, part in zip(names, parts, strict=True)}


def _states_several(cls: type[Rule], value: Any) -> bool:
    """Whether a list states several instances rather than being the value of the first field."""
    if not isinstance(value, list):
        return False
    if any(isinstance(item, dict) for item in value):
        return True
    return _depth(value) > max((list_depth(annotations_of(cls)[name]) for name in _first(cls)), default=0)


def _state(cls: type[Rule], node: Node, instance: str) -> Stated | None:
    rule = _read_rule(cls, node)
    return Stated(rule=rule, instance=instance, where=node.where) if rule else None


def _read_rule(cls: type[Rule], node: Node) -> Rule | None:
    hashable: Any = cls  # whatever its stubs say
    owner = _owner(hashable)
    if isinstance(node.value, dict):
        nodes = node.table() or {}
        if "points" in nodes and isinstance(nodes["points"].value, list):
            return _read_banded(cls, nodes, node, owner)
        return build(cls, nodes, node, owner)
    if node.value is True:
        return build(cls, {}, node, owner)
    if not _first(cls):
        node.complain(f"{owner} takes no value; write true to state it")
        return None
    return build(cls, {key_of(name): node for name in _first(cls)}, node, owner)


def _read_banded(cls: type[Rule], nodes: dict[str, Node], node: Node, owner: str) -> Rule | None:
    """Read a rule whose points are bands. Its own limit, where it has none, is that of the band with most points."""
    limit = next((option for option in fields(cls) if option.name == "limit"), None)
    if limit is None:
        nodes["points"].complain_of_value(f"in bands are for a rule with a `limit`; give {owner} one number")
        return None
    complaints = len(node.document.problems)
    items = list(nodes["points"].items())
    if not items:
        nodes["points"].complain_of_value("must be a number or a list of bands, found an empty list")
    bands = tuple(filter(None, (_read_band(cls, limit, item) for item in items)))
    if len(node.document.problems) > complaints:
        return None
    best = max(range(len(bands)), key=lambda at: bands[at].points)
    nodes.setdefault("limit", items[best].child("limit"))
    return build(cls, nodes, node, owner, points=bands)


def _read_band(cls: type[Rule], limit: Field[Any], node: Node) -> Band | None:
    table = node.table()
    if table is None:
        return None
    given = {"limit": read_field(cls, limit, table["limit"])} if "limit" in table else {}
    return build(Band, table, node, "a band", **given)


@cache  # a contract may state a rule thousands of times
def _owner(cls: Any) -> str:
    return quote(rule_name(cls))


def _first(cls: type[Rule]) -> list[str]:
    """Return the name of the field that a scalar sets, if the rule has fields of its own."""
    return [parameter.name for parameter in parameters(cls)[:1]]


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
