"""Read the tables of a contract that describe a subject: its input, training, rules and waivers."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from archcheck.contract.document import Node
from archcheck.contract.fields import build
from archcheck.contract.rule_entries import Instances, read_rules
from archcheck.contract.specifications import Input, InputSpec, SubjectEntry, TrainingSpec, Waiver, is_function
from archcheck.facts.operator_costs import Stated, check_cost, check_operator
from archcheck.foundation.annotated_values import show
from archcheck.foundation.quantities import parse
from archcheck.foundation.words import did_you_mean, listed, nearest, quote
from archcheck.rules.base import Rule, key_of, parameters

_TENSOR_KEYS = frozenset(key_of(option.name) for option in dataclasses.fields(InputSpec))
INPUT_FORMS = (
    "a shape such as [1, 1, 28, 28], a list of tables, a table by name such as { image = [1, 3, 32, 32] }, or a "
    'function such as "pkg.mod:example"'
)


def read_subject(node: Node, shared: Mapping[str, Instances], known: Mapping[str, type[Rule]]) -> SubjectEntry | None:
    """Read a subject. `shared` are the rules of every subject; its own rules replace them."""
    owner = f"subject {quote(node.name)}"
    nodes = node.table()
    if nodes is None:
        return None
    rules = {**shared, **(read_rules(nodes["rules"], known) if "rules" in nodes else {})}
    if "args" in nodes:
        _check_arguments(nodes["args"])
    return build(
        SubjectEntry,
        nodes,
        node,
        owner,
        name=node.name,
        where=node.where,
        input=_read_input(nodes["input"]) if "input" in nodes else None,
        training_input=_read_input(nodes["training-input"]) if "training-input" in nodes else None,
        training=_read_training(nodes["training"]) if "training" in nodes else None,
        rules=tuple(stated for instances in rules.values() for stated in instances.values() if stated),
        costs=_read_costs(nodes["costs"]) if "costs" in nodes else {},
        waivers=_read_waivers(nodes["waivers"], _names(rules), owner, known) if "waivers" in nodes else (),
    )


def _read_input(node: Node) -> Input | None:
    """Read the example input: a function, one shape, a list with a table or a shape for each tensor, or a table with
    such values by name.
    """
    value = node.value
    if isinstance(value, str) and is_function(value):
        return value
    if isinstance(value, dict) and _is_by_name(value):
        read = {name: _read_named(node.child(name)) for name in value}
        return {name: each for name, each in read.items() if each is not None}
    return _read_tensors(node)


def _is_by_name(table: Mapping[str, Any]) -> bool:
    """Whether a table holds inputs by name, and is not one tensor, perhaps with a misspelled `shape`."""
    names = [name for name in table if name not in _TENSOR_KEYS]
    if not names or "shape" in table:
        return False
    return len(names) > 1 or nearest(names[0], ["shape"]) is None


def _read_named(node: Node) -> InputSpec | tuple[InputSpec, ...] | bool | int | float | None:
    value = node.value
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        node.complain_of_value(f"must be a shape, a table or a number, found {show(value)}; a function gives texts")
        return None
    specs = _read_tensors(node)
    several = isinstance(value, list) and any(isinstance(item, list | dict) for item in value)
    return specs if several or not specs else specs[0]


def _read_tensors(node: Node) -> tuple[InputSpec, ...] | None:
    value = node.value
    parts = [isinstance(item, list | dict) for item in value] if isinstance(value, list) else []
    one_tensor = isinstance(value, dict) or (parts and not any(parts))
    if not one_tensor and not (parts and all(parts)):
        node.complain_of_value(f"must be {INPUT_FORMS}, found {show(value)}")
        return None
    specs = map(_read_tensor, [node] if one_tensor else node.items())
    return tuple(spec for spec in specs if spec)


def _read_tensor(node: Node) -> InputSpec | None:
    nodes = node.table() if isinstance(node.value, dict) else {"shape": node}
    return build(InputSpec, nodes or {}, node, "an input")


def _read_training(node: Node) -> TrainingSpec | None:
    nodes = node.table()
    return None if nodes is None else build(TrainingSpec, nodes, node, quote(node.name))


def _read_costs(node: Node) -> dict[str, Stated]:
    """Read the costs of the subject's own operators."""
    nodes = node.table() or {}
    for name, stated in nodes.items():
        try:
            check_operator(name)
        except ValueError as error:
            stated.complain(f'"costs": {error}')
        try:
            check_cost(stated.value)
        except ValueError as error:
            shown = "" if isinstance(stated.value, str | int) and type(stated.value) is not bool else show(stated.value)
            stated.complain_of_value(f"{error}{shown and f', found {shown}'}")
    return {name: stated.value for name, stated in nodes.items()}


def _read_waivers(
    node: Node, names: Collection[str], owner: str, known: Mapping[str, type[Rule]]
) -> tuple[Waiver, ...]:
    if not isinstance(node.value, list):
        node.complain_of_value(f"must be a list of tables, found {show(node.value)}; open each with [[...]]")
        return ()
    waivers = (_read_waiver(item, names, owner, known) for item in node.items())
    return tuple(waiver for waiver in waivers if waiver)


def _read_waiver(node: Node, names: Collection[str], owner: str, known: Mapping[str, type[Rule]]) -> Waiver | None:
    nodes = node.table()
    if nodes is None:
        return None
    rule = nodes.get("rule", node).value
    if "up-to" in nodes:
        nodes["up-to"] = _counted(nodes["up-to"], rule, known)
    waiver = build(Waiver, nodes, node, "a waiver", where=node.where)
    if isinstance(rule, str) and rule not in names:
        has = f"it has {listed(names)}" if names else "it has no rules"
        nodes["rule"].complain(f"{quote(rule)} is not a rule of {owner}{did_you_mean(rule, names, has)}")
    return waiver


def _counted(node: Node, rule: Any, known: Mapping[str, type[Rule]]) -> Node:
    """Return text such as `"21k"` as a number, in the unit of the waived bound."""
    instance = re.fullmatch(r"(.+?)(-\d+)?", rule) if isinstance(rule, str) else None
    cls = known.get(rule) or known.get(instance[1]) if instance else None
    unit = next((field.metadata.get("unit") for field in parameters(cls)[:1]), None) if cls else None
    if unit is None or not isinstance(node.value, str):
        return node
    try:
        return replace(node, value=parse(node.value, unit))
    except ValueError as error:
        node.complain_of_value(str(error))
        return replace(node, value=1)  # told already


def _names(rules: Mapping[str, Instances]) -> list[str]:
    """Return the names that a waiver may use: the active rules, and each of several instances."""
    named = ((rule, *instances) for rule, instances in rules.items() if instances)
    return list(dict.fromkeys(name for names in named for name in names))


def _check_arguments(node: Node) -> None:
    """Complain of arguments that cannot be sent to the process that builds the model."""
    if isinstance(node.value, datetime.date | datetime.time):
        node.complain_of_value(f"must not be a date or time; write it as a string, {quote(show(node.value))}")
    if isinstance(node.value, list | dict):
        for key in range(len(node.value)) if isinstance(node.value, list) else node.value:
            _check_arguments(node.child(key))
