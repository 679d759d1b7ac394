"""Resolve `on`: the operations, layers and parameters it selects. An `on` that selects nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archcheck.facts.facts import Facts
from archcheck.facts.records import Hidden, Op
from archcheck.facts.selectors import kinds_of, matches_path, selects, selects_layer
from archcheck.facts.storage import StoredTensor
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import did_you_mean, quote
from archcheck.rules.base import Rule
from archcheck.rules.queries.graphs import dependent_on_input


def reach(facts: Facts, on: str | None) -> int:
    """Return how many things `on` selects: operations of both modes, layers (executed or not), and tensors."""
    ops = sum(selects(on, op, facts) for graph in _graphs(facts) for op in graph)
    return (
        ops
        + sum(selects_layer(on, layer, facts) for layer in facts.layers)
        + len({*params_on(facts, on), *(each.name for each in hidden_on(facts, on) if each.buffer)})
    )


def demand_reach(rule: Rule, facts: Facts) -> None:
    """Raise `NotMeasured` if the `on` of a rule selects nothing, because a misspelling would keep a prohibition."""
    if not rule.allow_empty and (mistake := unreached(rule.on, facts)):
        raise NotMeasured(mistake)


def unreached(on: str | None, facts: Facts) -> str | None:
    """Return the message that `on` selects nothing, with the nearest name; `None` if it selects something."""
    if on is None or reach(facts, on):
        return None
    known = {name for layer in facts.layers for name in (layer.path, layer.type) if name}
    known |= {op.kind for op in facts.ops}
    hint = did_you_mean(on, known, "no layer and no operation of the model has this name")
    return f"`on` = {quote(on)} selects nothing{hint}"


def params_on(facts: Facts, on: str | None) -> dict[str, int]:
    """Return the parameters that `on` points at, with their elements; a tied one counts by each of its names.

    A path points at the parameters below it, a layer type at those of its layers, and a kind at those that its
    operations read and at those of layers that are called like it, executed or not.
    """
    if on is None:
        return dict(facts.params.sizes)
    read = set(_read_by_kind(facts, on)) if kinds_of(on) else frozenset[str]()
    groups = {name: group for group in facts.params.tied for name in group}
    return {
        name: size
        for name, size in facts.params.sizes.items()
        if name in read or any(_owns(on, each, facts) for each in groups.get(name, (name,)))
    }


def stored_on(facts: Facts, on: str | None) -> tuple[StoredTensor, ...]:
    """Return the stored tensors that `on` points at: its parameters, and the buffers of its layers."""
    names = params_on(facts, on)
    return tuple(
        each
        for each in facts.params.storage
        if on is None or (_owns(on, each.name, facts) if each.sort == "buffer" else each.name in names)
    )


def hidden_on(facts: Facts, on: str | None) -> tuple[Hidden, ...]:
    """Return the hidden weights that the operations selected by `on` read."""
    return _acting_on(facts.params.hidden, facts, on)


def beside_on(facts: Facts, on: str | None) -> tuple[Hidden, ...]:
    """Return what else acts beside the parameters in the operations selected by `on`."""
    return _acting_on(facts.params.beside, facts, on)


def _acting_on(entries: tuple[Hidden, ...], facts: Facts, on: str | None) -> tuple[Hidden, ...]:
    if on is None:
        return entries
    users = {(op.op, op.layer) for graph in _graphs(facts) for op in graph if selects(on, op, facts)}
    return tuple(
        entry
        for entry in entries
        if (entry.used_by, entry.layer) in users or (entry.buffer and _owns(on, entry.name, facts))
    )


def _owns(on: str, name: str, facts: Facts) -> bool:
    layer = facts.layer(name.rpartition(".")[0])
    owned = layer is not None and selects_layer(on, layer, facts)
    return owned or (not kinds_of(on) and matches_path(on, name))


def _graphs(facts: Facts) -> Iterator[Sequence[Op]]:
    yield facts.ops
    if facts.train_length:
        yield facts.executed("train")


def _read_by_kind(facts: Facts, kind: str) -> Iterator[str]:
    """Yield the parameters that operations of `kind` read, directly or through operations on weights alone."""
    for graph in _graphs(facts):
        dependent = dependent_on_input(graph)
        pending = [op.index for op in graph if selects(kind, op, facts)]
        seen = set(pending)
        while pending:
            op = graph[pending.pop()]
            yield from op.params
            sources = {index for index in op.inputs if not dependent[index]} - seen
            seen |= sources
            pending += sources
