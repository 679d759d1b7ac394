"""How often the layers of a model run in one forward pass."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from archcheck.facts.facts import Facts, lineage
from archcheck.facts.records import Layer, Op
from archcheck.facts.selectors import outermost, selects, selects_layer
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.graphs import place
from archcheck.rules.queries.scope import reach


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxCalls(Rule):
    """Every layer with weights runs at most `limit` times in a forward pass.

    A layer that runs again and again is a loop that is written out, such as one pass for each digit of a sum. Calls of
    layers with parameters count, and so do the operations of one kind that read the same parameter, whatever their
    layers are: `F.linear(x, self.fc.weight)` in a loop is one, and so are several layers that share their weights. An
    embedding and a linear layer that share a weight are of different kinds. Parts of a parameter, such as `self.w[0]`
    and `self.w[1]`, are one read as long as they are no more than the whole parameter together. Layers without weights,
    such as `nn.ReLU`, may run as often as they like. The steps inside one LSTM or GRU are one operation.

    Example, kept:
        rule = max-calls = 1
        model =
            def __init__(self):
                super().__init__()
                self.fc, self.act = nn.Linear(4, 4), nn.ReLU()

            def forward(self, x):
                return self.act(self.fc(self.act(x)))
        input = [1, 4]

    Example, broken:
        rule = max-calls = 2
        model =
            def __init__(self):
                super().__init__()
                self.step = nn.Linear(4, 4)

            def forward(self, x):
                for _ in range(10):
                    x = self.step(x)
                return x
        input = [1, 4]
        says = `step` (Linear) runs 10 times in a forward pass, at most 2 are allowed

    Example, vacuous:
        rule = max-calls = 1
        model = nn.ReLU()
        input = [1, 3]
    """

    each_pass = True
    limit: int = field(metadata={"least": 1})

    def check(self, facts: Facts) -> Result:
        """Compare the calls of layers, and the reads of parameters."""
        if not reach(facts, self.on):
            return Result(examined=0, limit=self.limit)
        layers = [each for each in facts.layers if each.params and each.called and selects_layer(self.on, each, facts)]
        reads = self._reads(facts)
        often = outermost([layer for layer in layers if layer.calls > self.limit])
        findings = [self._of_layer(layer) for layer in often]
        inside = {layer.path for layer in often}
        for (parameter, _), ops in reads.items():
            if _times(parameter, ops, facts) > self.limit and inside.isdisjoint(lineage(parameter.rpartition(".")[0])):
                findings.append(self._of_parameter(parameter, ops, facts))
        times = [_times(parameter, ops, facts) for (parameter, _), ops in reads.items()]
        most = max([*(layer.calls for layer in layers), *times], default=0)
        return Result(
            examined=len(layers) + len(reads),
            findings=tuple(findings),
            found=most,
            limit=self.limit,
            unit="calls",
            kept=f"no layer with weights runs more than {'once' if most <= 1 else f'{most:,} times'}",
        )

    def _reads(self, facts: Facts) -> dict[tuple[str, str], list[Op]]:
        """Return the operations that read each parameter, by its name and their kind."""
        groups = {name: group[0] for group in facts.params.tied for name in group}
        found = defaultdict[tuple[str, str], list[Op]](list)
        for op in facts.ops:
            if selects(self.on, op, facts):
                for name in dict.fromkeys(groups.get(each, each) for each in op.params if each in facts.params.sizes):
                    found[name, op.kind].append(op)
        return found

    def _of_layer(self, layer: Layer) -> Finding:
        name = f"`{layer.path}` ({layer.type})" if layer.path else f"the model ({layer.type})"
        return Finding(
            message=f"{name} runs {layer.calls:,} times in a forward pass, at most {self.limit:,} are allowed",
            layer=layer.path,
            where=layer.where,
            fix=f"build a layer for each use, or raise max-calls to {layer.calls:,}",
        )

    def _of_parameter(self, parameter: str, ops: Sequence[Op], facts: Facts) -> Finding:
        return Finding(
            message=f"`{parameter}` is read by {len(ops):,} {ops[0].kind} operations in a forward pass, "
            f"at most {self.limit:,} are allowed",
            layer=ops[0].layer,
            where=ops[0].where or place(ops[0], facts),
            fix=f"give each of them a parameter of its own, or raise max-calls to {len(ops):,}",
        )


def _times(parameter: str, ops: Sequence[Op], facts: Facts) -> int:
    """Return how often operations of one kind read a parameter. Slices read the share of it that they take."""
    size = facts.params.sizes[parameter]
    if ops[0].kind != "slice" or not size:
        return len(ops)
    return min(len(ops), -(-sum(math.prod(shape) for op in ops for shape in op.shapes) // size))
