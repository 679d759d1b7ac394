"""Budgets: how much a network may have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from archcheck.facts import Facts, Layer
from archcheck.findings import Finding, Result
from archcheck.rule import Rule
from archcheck.rules.scope import hidden_on, params_on, reach


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxParams(Rule):
    """At most `limit` parameters, each tensor counted once however often it is used.

    Frozen parameters count: they are part of what has to be stored and run. Hidden weights, which sit in no
    parameter (layers in a plain list), count as well: a budget that they escape is none. Buffers, such as the
    statistics of BatchNorm, do not count, unless they act as weights. With `on`, the parameters of the layers that
    it points at count, and with a kind those that its operations read.

    Example, kept:
        rule = max-params = 20
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = max-params = 15
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = 16 parameters, limit 15 (+1, +6.7 %)
    """

    limit: int

    def __post_init__(self) -> None:
        """Refuse a limit below zero."""
        Rule.__post_init__(self)
        if self.limit < 0:
            raise ValueError(f"`limit` must be at least 0, found {self.limit}")

    def check(self, facts: Facts) -> Result:
        """Compare the sum of parameters and hidden weights with `limit`."""
        sizes = params_on(facts, self.on)
        hidden = sum(weight.elements for weight in hidden_on(facts, self.on))
        found = sum(sizes.values()) + hidden
        notes = (f"of them {hidden:,} hidden: in no parameter of the model",) if hidden else ()
        return Result(
            examined=reach(facts, self.on),
            findings=(self._finding(facts, found, hidden),) if found > self.limit else (),
            found=found,
            limit=self.limit,
            unit="parameters",
            most=(*(_share(layer, found) for layer in largest(facts, sizes)), *_hidden_share(hidden, found)),
            notes=notes,
        )

    def _finding(self, facts: Facts, found: int, hidden: int) -> Finding:
        over = found - self.limit
        percent = f", +{100 * over / self.limit:.1f} %" if self.limit else ""
        kept = f" ({hidden:,} of them hidden)" if hidden else ""
        return Finding(
            message=f"{found:,} parameters{kept}, limit {self.limit:,} (+{over:,}{percent})",
            where=facts.subject.where,
            fix=f"remove {over:,} parameters, or raise max-params",
        )


def _hidden_share(hidden: int, total: int) -> tuple[str, ...]:
    return (f"hidden weights  {hidden:,}  {100 * hidden / total:.1f} %",) if hidden else ()


def largest(facts: Facts, names: Iterable[str], count: int = 3) -> list[Layer]:
    """Return the layers with the most parameters of their own, of those that own one of `names`."""
    owners = {name.rpartition(".")[0] for name in names}
    layers = [layer for layer in facts.layers if layer.own_params and layer.path in owners]
    return sorted(layers, key=lambda layer: layer.own_params, reverse=True)[:count]


def _share(layer: Layer, total: int) -> str:
    parts = [
        layer.path or "the model itself",
        layer.type,
        f"{layer.own_params:,}",
        f"{100 * layer.own_params / total:.1f} %",
        str(layer.where or ""),
    ]
    return "  ".join(filter(None, parts))
