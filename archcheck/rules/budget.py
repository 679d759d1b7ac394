"""Budgets for parameters, and for how evenly they are spread over the layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from archcheck.facts.facts import Facts
from archcheck.facts.records import Layer
from archcheck.facts.selectors import selects_layer
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.bounds import (
    demand_counted,
    excess,
    layer_line,
    percent,
    share_line,
)
from archcheck.rules.queries.placed_findings import layer_finding
from archcheck.rules.queries.scope import hidden_on, params_on, reach


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxParams(Rule):
    """At most `limit` parameters, each tensor counted once however often it is used.

    Frozen parameters count, because they are stored and run. Hidden weights, for example layers in a plain list, count
    as well. Buffers do not count, for example the statistics of BatchNorm, unless they act as weights. With `on`, only
    the parameters of the selected layers count. If `on` is a kind, the parameters that its operations read count.

    Example, kept:
        rule = max-params = 20
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = max-params = 15
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = 16 parameters, limit 15 (+1, +6.7 %)

    Example, vacuous:
        rule = max-params = { limit = "20k", on = "conv" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    limit: int = field(metadata={"unit": "parameters", "least": 0})

    def check(self, facts: Facts) -> Result:
        """Compare the sum of parameters and hidden weights with `limit`."""
        sizes = params_on(facts, self.on)
        hidden = sum(weight.elements for weight in hidden_on(facts, self.on))
        found = sum(sizes.values()) + hidden
        kept = f" ({hidden:,} of them hidden)" if hidden else ""
        notes = (f"of them {hidden:,} hidden: in no parameter of the model",) if hidden else ()
        return Result(
            examined=reach(facts, self.on),
            findings=excess(self, facts, found, self.limit, "parameters", aside=kept),
            found=found,
            limit=self.limit,
            unit="parameters",
            most=(
                *(layer_line(layer, layer.own_params, found) for layer in largest(facts, sizes)),
                *((share_line(("hidden weights",), hidden, found),) if hidden else ()),
            ),
            notes=notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxTrainableParams(Rule):
    """At most `limit` parameters that training changes, each tensor counted once.

    Parameters with `requires_grad = False` do not count. If a pass in training or evaluation sets it to `True`, for
    example in the model's own `train` or in `forward`, they do. Hidden weights do not count, because no optimiser
    reaches them. Use this rule for fine-tuning with adapters, and `max-params` for the whole network.

    Example, kept:
        rule = max-trainable-params = 8
        model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 1))
        input = [1, 3]

    Example, broken:
        rule = max-trainable-params = 8
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
        input = [1, 3]
        says = 21 trainable parameters, limit 8 (+13, +162.5 %)

    Example, vacuous:
        rule = max-trainable-params = { limit = "1k", on = "adapter.**" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    limit: int = field(metadata={"unit": "parameters", "least": 0})

    def check(self, facts: Facts) -> Result:
        """Compare the sum of the parameters that are not frozen with `limit`."""
        frozen = set(facts.params.frozen_names)
        sizes = {name: size for name, size in params_on(facts, self.on).items() if name not in frozen}
        found = sum(sizes.values())
        return Result(
            examined=reach(facts, self.on),
            findings=excess(self, facts, found, self.limit, "trainable parameters"),
            found=found,
            limit=self.limit,
            unit="trainable parameters",
            most=tuple(layer_line(layer, size, found) for layer, size in _owners(facts, sizes)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxLayerShare(Rule):
    """No single layer holds more than the share `limit` of the parameters, or of the multiply-accumulates.

    If one fully connected layer holds nearly everything, removing it gains the most. A layer holds its own parameters,
    without those of the layers inside. The share is of the whole network. `on` selects the layers that are judged.
    `free` names operations that cost nothing, as for `max-macs`.

    Example, kept:
        rule = max-layer-share = "60 %"
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
        input = [1, 4]

    Example, broken:
        rule = max-layer-share = 0.5
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
        input = [1, 4]
        says = `0` (Linear) holds 57.1 % of the parameters (20 of 35), limit 50 %

    Example, broken:
        rule = max-layer-share = { limit = "60 %", of = "macs" }
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 1))
        input = [1, 1, 4, 4]
        says = `0` (Conv2d) holds 90 % of the multiply-accumulates (72 of 80), limit 60 %

    Example, vacuous:
        rule = max-layer-share = 0.5
        model = nn.ReLU()
        input = [1, 3]
    """

    limit: float = field(metadata={"unit": "share"})
    of: Literal["params", "macs"] = "params"
    free: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a limit that is not a share, and free operations of a share of parameters."""
        Rule.__post_init__(self)
        if not 0 < self.limit < 1:
            raise ValueError(f'`limit` is a share between 0 and 1 (0.5, or "50 %"), found {self.limit:g}')
        if self.free and self.of == "params":
            raise ValueError('`free` names operations that cost nothing; it is for `of = "macs"`')

    def check(self, facts: Facts) -> Result:
        """Compare the share of each layer with `limit`."""
        total = self._total(facts)
        held = {layer.path: (layer, self._held(layer, facts)) for layer in facts.layers}
        judged = [(layer, own) for layer, own in held.values() if own and selects_layer(self.on, layer, facts)]
        ranked = sorted(judged, key=lambda item: item[1], reverse=True)
        return Result(
            examined=len(judged),
            findings=tuple(self._finding(*each, total, facts) for each in ranked if each[1] > self.limit * total),
            found=ranked[0][1] / total if ranked else None,
            limit=self.limit,
            unit=f"of the {_WHOLE[self.of]} in one layer",
            most=tuple(layer_line(layer, own, total) for layer, own in ranked[:3]),
            kept=self._kept(ranked[0][1] / total) if ranked else None,
        )

    def _kept(self, share: float) -> str:
        return f"the largest layer holds {percent(share)} of the {_WHOLE[self.of]}, limit {percent(self.limit)}"

    def _total(self, facts: Facts) -> int:
        if self.of == "params":
            return sum(facts.params.sizes.values()) + sum(weight.elements for weight in facts.params.hidden)
        demand_counted(facts, None, self.free)
        return facts.cost.macs

    def _held(self, layer: Layer, facts: Facts) -> int:
        if self.of == "params":
            return layer.own_params
        return max(sum(op.macs for op in way.ops_of(layer.path)) for way in facts.ways)

    def _finding(self, layer: Layer, own: int, total: int, facts: Facts) -> Finding:
        name = f"`{layer.path}` ({layer.type})" if layer.path else f"the model itself ({layer.type})"
        share = f"{percent(own / total)} of the {_WHOLE[self.of]} ({own:,} of {total:,})"
        fix = "make it smaller, share it out among several layers, or raise max-layer-share"
        return layer_finding(layer.path, facts, f"{name} holds {share}, limit {percent(self.limit)}", fix)


_WHOLE = {"params": "parameters", "macs": "multiply-accumulates"}


def largest(facts: Facts, names: Iterable[str], count: int = 3) -> list[Layer]:
    """Return the layers with the most parameters of their own, of those that own one of `names`."""
    owners = {name.rpartition(".")[0] for name in names}
    layers = [layer for layer in facts.layers if layer.own_params and layer.path in owners]
    return sorted(layers, key=lambda layer: layer.own_params, reverse=True)[:count]


def _owners(facts: Facts, sizes: Mapping[str, int], count: int = 3) -> list[tuple[Layer, int]]:
    """Return the layers that own most of some parameters, and how much of them."""
    held: dict[str, int] = {}
    for name, size in sizes.items():
        path = name.rpartition(".")[0]
        held[path] = held.get(path, 0) + size
    ranked = sorted(held.items(), key=lambda item: item[1], reverse=True)
    return [(layer, size) for path, size in ranked[:count] if (layer := facts.layer(path)) is not None]
