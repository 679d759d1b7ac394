"""Read a TOML table into a dataclass: the field `within_epochs` is the key `within-epochs`.

The metadata of a field may say more. `check` is a function that raises `ValueError` for a forbidden value. `kinds`
marks words that select operations. `kind` is the annotation to read by, and `shown` its words, if they are not those of
the field. `unit` says what the value counts, so that text such as `"20k"` is allowed. `key` is `False` for a field that
no table holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import Field, fields, replace
from functools import cache
from typing import Any, TypeVar

from archcheck.contract.document import Node
from archcheck.facts.selectors import mistake_in
from archcheck.foundation.annotated_values import Mismatch, annotations_of, coerce
from archcheck.foundation.quantities import expected, parse
from archcheck.foundation.words import did_you_mean, listed, nearest, quote
from archcheck.rules.base import COMMON, is_required, key_of

T = TypeVar("T")


def build(cls: type[T], nodes: Mapping[str, Node], at: Node, owner: str, **given: Any) -> T | None:
    """Return a `cls` with the values at its keys. `given` are fields that the caller knows already.

    Every mistake is a complaint at the line of its value, or at the line of `at`; then the result is `None`. `owner`
    names the owner of the keys in messages: `subject "mnist"`. Equal tables of a document that say all of a `cls` are
    read once, and what they stand for is the same object, which nobody changes.
    """
    if given:
        return _build(cls, nodes, at, owner, given)
    # A representation tells 1 from 1.0 and from true, which are equal.
    key = (cls, repr([(name, node.value) for name, node in nodes.items()]))
    if (known := at.document.read.get(key)) is not None:
        found: T = known
        return found
    built = _build(cls, nodes, at, owner, given)
    if built is not None:
        at.document.read[key] = built
    return built


def _build(cls: type[T], nodes: Mapping[str, Node], at: Node, owner: str, given: Mapping[str, Any]) -> T | None:
    complaints = len(at.document.problems)
    kind: Any = cls  # which is hashable, whatever its stubs say
    options = _options(kind)
    check_keys(nodes, options, owner)
    _check_complete(nodes, options, at, owner)
    wanted = [(options[key], node) for key, node in nodes.items() if key in options]
    read = {option.name: read_field(cls, option, node) for option, node in wanted if option.name not in given}
    if len(at.document.problems) > complaints:
        return None
    try:
        return cls(**read, **given)
    except ValueError as error:
        reason = " ".join(str(error).split())  # a rule may quote what it found, line breaks and all
        at.complain(f"{owner}: {reason}")
        return None


def check_keys(nodes: Mapping[str, Node], known: Collection[str], owner: str) -> None:
    """Complain of every unknown key."""
    for key in (key for key in nodes if key not in known):
        hint = did_you_mean(key, known, f"it has {listed(known)}")
        nodes[key].complain(f"{quote(key)} is not a key of {owner}{hint}")


@cache
def _options(cls: Any) -> dict[str, Field[Any]]:
    own_first = sorted(fields(cls), key=lambda option: option.name in COMMON)
    return {key_of(option.name): option for option in own_first if option.metadata.get("key", True)}


def _check_complete(nodes: Mapping[str, Node], options: Mapping[str, Field[Any]], at: Node, owner: str) -> None:
    """Complain of every required key that is missing, unless a misspelling of it is there."""
    there = {key if key in options else nearest(key, options) for key in nodes}
    for key, option in options.items():
        if is_required(option) and key not in there:
            at.complain(f"{owner} needs {quote(key)}")


def read_field(cls: type, option: Field[Any], node: Node) -> Any:
    """Return the value of one field. Every mistake is a complaint, and then the result is `None` or of no use."""
    complaints = len(node.document.problems)
    kind = option.metadata.get("kind") or annotations_of(cls)[option.name]
    unit = option.metadata.get("unit")
    value = _read_quantity(node, kind, unit) if unit else node.read(kind)
    if option.metadata.get("kinds"):
        _check_kinds(node)
    if len(node.document.problems) > complaints:
        return None
    if check := option.metadata.get("check"):
        try:
            check(value)
        except ValueError as error:
            node.complain_of_value(str(error))
    return value


def _read_quantity(node: Node, kind: Any, unit: str) -> Any:
    """Return a quantity, or a list of quantities. Complain once and return `None` for anything else."""
    at_fault = node
    try:
        return coerce(node.value, kind)  # a text that the field takes as it is comes before a quantity
    except Mismatch:
        pass
    try:
        values = []
        for at_fault in node.items():
            values.append(parse(at_fault.value, unit) if isinstance(at_fault.value, str) else at_fault.value)
        at_fault = node
        return coerce(values if isinstance(node.value, list) else values[0], kind)
    except Mismatch as mismatch:
        at_fault = replace(node, path=node.path + mismatch.path)
        at_fault.complain(f"{quote(node.name)} must be {expected(unit)}, found {mismatch.found}")
    except ValueError as error:
        at_fault.complain(f"{quote(node.name)} {error}")
    return None


def _check_kinds(node: Node) -> None:
    for item in node.items():
        mistake = mistake_in(item.value) if isinstance(item.value, str) else None
        if mistake:
            item.complain(mistake)
