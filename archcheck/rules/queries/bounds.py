"""The common parts of budgets: findings above a limit, and the largest contributors."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from archcheck.facts.facts import Facts
from archcheck.facts.records import Layer, Op
from archcheck.facts.selectors import selects
from archcheck.facts.snapshot import percent as percent_more
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount, listed, quote
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Finding
from archcheck.rules.queries.placed_findings import model_finding
from archcheck.rules.queries.scope import hidden_on


def excess(
    rule: Rule, facts: Facts, found: int, limit: int, unit: str, *, aside: str = "", remedy: str = ""
) -> tuple[Finding, ...]:
    """Return the finding that `found` is above `limit`, or nothing. The part that `on` selects is named."""
    over = found - limit
    if over <= 0:
        return ()
    share = f", {percent_more(limit, found)}" if limit else ""
    part = f" in `{rule.on}`" if rule.on else ""
    message = f"{amount(found, unit)}{part}{aside}, limit {limit:,} (+{over:,}{share})"
    return (model_finding(facts, message, f"{remedy or f'remove {amount(over, unit)}'}, or raise {rule_name(rule)}"),)


def demand_counted(facts: Facts, on: str | None, free: Collection[str]) -> None:
    """Raise `NotMeasured` if an executed operation has an unknown cost and is not declared free."""
    unknown = set(facts.cost.uncounted) - set(free)
    if on is not None:
        unknown &= {op.op for op in facts.ops if selects(on, op, facts)}
    demand_known(facts, unknown, free)


def demand_known(facts: Facts, uncounted: Collection[str], free: Collection[str]) -> None:
    """Raise `NotMeasured` for operations of unknown cost, except those that are declared free."""
    unknown = set(uncounted) - set(free)
    if unknown:
        own = [name for name in sorted(unknown) if "::" in name]
        state = f"; what they cost can be stated: `costs = {{ {quote(own[0])} = 1_000 }}` of the subject" if own else ""
        raise NotMeasured(
            f"the cost of {listed(sorted(unknown))} is unknown, so the sum may be above the limit",
            where=facts.subject.where,
            fix=f"if they cost nothing that counts, say so: `free = [{', '.join(map(quote, sorted(unknown)))}]`{state}",
        )


def percent(share: float) -> str:
    """Write a share for people: `57.1 %`."""
    return f"{100 * share:.3g} %" if share < 0.9995 else f"{100 * share:.4g} %"


def share_line(names: Sequence[str], amount: int, total: int, place: str = "") -> str:
    """Return a line about a contributor: names, amount, share of the total, place."""
    return "  ".join(filter(None, (*names, f"{amount:,}", f"{100 * amount / total:.1f} %", place)))


def layer_line(layer: Layer, amount: int, total: int) -> str:
    """Return the line about a layer as a contributor."""
    return share_line((layer.path or "the model itself", layer.type), amount, total, str(layer.where or ""))


_USUAL = 4
"""Bytes of an element of float32. A hidden weight of unknown dtype counts as one."""


def hidden_bytes(facts: Facts, on: str | None = None) -> int:
    """Return the bytes of the hidden weights that are no buffers, at the precision of the operation that reads them."""
    readers = {(op.layer, op.op): op for op in facts.ops}
    return sum(
        weight.elements * _width(readers.get((weight.layer, weight.used_by)))
        for weight in hidden_on(facts, on)
        if not weight.buffer
    )


def _width(reader: Op | None) -> int:
    """Return the bytes of an element, from the bits in the name of the dtype: `float16`, `float8_e4m3fn`, `bool`."""
    dtype = (reader and reader.dtype) or ""
    bits = re.search(r"\d+", dtype)
    return 1 if dtype == "bool" else -(-int(bits[0]) // 8) if bits else _USUAL


def by_dtype(facts: Facts, hidden: int) -> list[tuple[str, int]]:
    """Return the bytes of parameters and buffers by dtype, and those of hidden weights, the most first."""
    sizes = {**facts.params.bytes_by_dtype, **({"hidden weights": hidden} if hidden else {})}
    return sorted(sizes.items(), key=lambda item: item[1], reverse=True)
