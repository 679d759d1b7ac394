"""The ledger of weights: none hidden, none idle."""

from __future__ import annotations

from dataclasses import dataclass

from archcheck.facts import Facts, Hidden
from archcheck.findings import Finding, Result
from archcheck.rule import Rule
from archcheck.rules.scope import demand_reach, hidden_on, params_on, reach
from archcheck.where import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHiddenWeights(Rule):
    """No tensor acts as a weight without being a parameter or a buffer of the model.

    Layers in a plain Python list, tensors in closures and globals: they take part in the result, no optimiser
    trains them, no checkpoint saves them, no parameter count sees them. The remedy is `nn.ModuleList`,
    `nn.Parameter` or `register_buffer`.

    Example, kept:
        rule = no-hidden-weights = true
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = no-hidden-weights = true
        model =
            def __init__(self):
                super().__init__()
                self.layers = [nn.Linear(3, 4)]

            def forward(self, x):
                return self.layers[0](x)
        input = [1, 3]
        says = 12 hidden weights: `Linear.weight` of shape 4x3 used by `linear`
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """List every hidden weight that the executed graph uses."""
        demand_reach(self, facts)
        hidden = hidden_on(facts, self.on)
        return Result(
            examined=reach(facts, self.on),
            findings=tuple(_hidden_finding(weight, facts) for weight in hidden),
            found=sum(weight.elements for weight in hidden),
            limit=0,
            unit="hidden weights",
            kept="no hidden weights",
        )


def _hidden_finding(weight: Hidden, facts: Facts) -> Finding:
    shape = "x".join(map(str, weight.shape)) or "scalar"
    name = f"`{weight.name}`" if weight.name else "a tensor"
    user = f"used by `{weight.used_by}`" + (f" at {weight.where}" if weight.where else "")
    return Finding(
        message=f"{weight.elements:,} hidden weights: {name} of shape {shape} {user} is no parameter of the model",
        layer=weight.layer,
        where=weight.where or facts.subject.where,
        fix="keep layers in `nn.ModuleList`, tensors in `nn.Parameter` or `register_buffer`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUnusedParams(Rule):
    """Every parameter is read by an operation on the way to an output, in evaluation or in training.

    Example, kept:
        rule = no-unused-params = true
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = no-unused-params = true
        model = nn.ModuleDict({"used": nn.Linear(3, 4), "idle": nn.Linear(4, 4)})
        forward = lambda model, x: model["used"](x)
        input = [1, 3]
        says = `idle.weight` (16 parameters) reaches no output
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """List every idle parameter."""
        demand_reach(self, facts)
        sizes = params_on(facts, self.on)
        idle = [name for name in facts.params.unused if name in sizes]
        if idle:
            facts.executed("train")  # without it, what only training uses would look idle
        findings = tuple(
            Finding(
                message=f"`{name}` ({sizes[name]:,} parameters) reaches no output",
                layer=name.rpartition(".")[0],
                where=_built(name, facts),
                fix="use it in `forward`, or remove it",
            )
            for name in idle
        )
        found = sum(sizes[name] for name in idle)
        return Result(
            examined=len(sizes),
            findings=findings,
            found=found,
            limit=0,
            unit="unused parameters",
            kept=f"all {len(sizes)} parameter tensors are used",
        )


def _built(name: str, facts: Facts) -> Where | None:
    layer = facts.layer(name.rpartition(".")[0])
    return layer.where if layer else facts.subject.where
