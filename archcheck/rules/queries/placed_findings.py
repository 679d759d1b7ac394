"""Make findings with their place: about an operation, about a layer, or about the whole model."""

from __future__ import annotations

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.rules.findings import Finding
from archcheck.rules.queries.graphs import place


def op_finding(op: Op, facts: Facts, message: str, fix: str) -> Finding:
    """Return a finding about an operation, at the line that builds its layer, or else at the line that calls it."""
    return Finding(message=message, layer=op.layer, where=place(op, facts), fix=fix)


def layer_finding(path: str, facts: Facts, message: str, fix: str) -> Finding:
    """Return a finding about the layer at `path`, at the line that builds it."""
    return Finding(message=message, layer=path, where=facts.built_at(path), fix=fix)


def model_finding(facts: Facts, message: str, fix: str) -> Finding:
    """Return a finding about the model as a whole, at the line of its class."""
    return Finding(message=message, layer="", where=facts.subject.where, fix=fix)
