"""Gradients: every parameter learns from an output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archcheck.facts.facts import Facts, lineage
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.placed_findings import layer_finding
from archcheck.rules.queries.probe_answers import probed
from archcheck.rules.queries.scope import demand_reach, params_on
from archcheck.rules.redundancy import cancelled_biases

_FAULTS = {
    "none": ("no gradient reaches", "let its result reach an output, without `detach()` or `no_grad()` on the way"),
    "zero": (
        "the gradient is zero everywhere in",
        "remove what is zero after it, such as a factor 0, or bring a ReLU there above zero",
    ),
    "nan": (
        "the gradient is not finite in",
        "keep roots, logarithms and divisions after it away from zero, as `clamp` does",
    ),
    "invented": (
        "the gradient is made up, for no output depends on what it trains:",
        "compute the outputs with it, or remove it: `backward` of an `autograd.Function` returns a gradient for it",
    ),
    "tiny": ("the gradient is rounding alone in", "remove what has no effect, or scale it up"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientsReach(Rule):
    """Every trained parameter gets a gradient from the outputs, and this gradient is not zero everywhere.

    The rule finds a `detach()` before the head, a branch whose result is dropped, and a ReLU that is dead on every
    input. Such a network still trains, but a part of it learns nothing. The rule differentiates the sum of all floating
    outputs times random numbers, in training mode. It uses up to sixteen samples of noise, as far as sixty billion
    multiply-accumulates go. Dropout and stochastic depth drop nothing during this. Four batches are tried before a
    parameter counts as without gradient, and two more with other signs, for branches that none of the four takes.

    Zero means exactly zero. There is no tolerance, because products that underflow or vanish give exactly zero. Two
    kinds of parameters are kept with a note. The first is the bias of a convolution before BatchNorm: its gradient is
    zero in exact arithmetic, and rounding leaves a little; `no-bias-before-norm` reports it. The second is a parameter
    behind one that starts at zero, such as the scale of the last BatchNorm of a residual branch: it gets a gradient as
    soon as that one has moved, and the rule tries this. With `strict`, the first kind is a finding. Every gradient of
    at most 16 roundings of the largest gradient of the model is then a finding, too: 1.9e-6 of it in float32, 3.6e-15
    in float64, 0.016 in float16, 0.125 in bfloat16.

    The `backward` of an `autograd.Function`, or a hook, can invent a gradient for a parameter without effect. Where no
    operation of torch passes a gradient on, the rule changes the parameter, and some output must change.

    Frozen parameters are left to `no-frozen-params`. A group of layers without any gradient is one finding.

    Example, kept:
        rule = gradients-reach = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        input = [2, 3]

    Example, broken:
        rule = gradients-reach = true
        model =
            def __init__(self):
                super().__init__()
                self.body = nn.Linear(3, 4)
                self.head = nn.Linear(4, 2)

            def forward(self, x):
                return self.head(self.body(x).detach())
        input = [2, 3]
        says = no gradient reaches `body` (Linear): 16 parameters

    Example, broken:
        rule = gradients-reach = { strict = true }
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        input = [2, 1, 8, 8]
        says = the gradient is rounding alone in `0.bias`: 4 parameters
    """

    needs = ("gradients-reach",)
    strict: bool = False

    def check(self, facts: Facts) -> Result:
        """List the parameters that get no gradient."""
        demand_reach(self, facts)
        measured = probed(self, facts)
        sizes = params_on(facts, self.on)
        trained = {name for name, size in sizes.items() if size} - set(facts.params.frozen_names)
        cancelled = _cancelled(facts)
        found = {fault: [name for name in measured[fault] if name in trained] for fault in _FAULTS}
        found["zero"] = [name for name in found["zero"] if name not in cancelled]
        found["tiny"] = sorted({*found["tiny"], *(cancelled & trained)}) if self.strict else []
        findings = tuple(each for fault in found for each in _findings(fault, found[fault], trained, facts))
        waiting = [name for name in measured["waiting"] if name in trained]
        return Result(
            examined=len(trained) if measured["trained"] else 0,
            findings=findings,
            found=sum(facts.params.sizes[name] for names in found.values() for name in names),
            limit=0,
            unit="parameters without a gradient",
            kept=f"all {amount(len(trained), 'parameter tensors')} get a gradient",
            notes=tuple(_notes(set() if self.strict else cancelled & trained, waiting, measured, facts)),
        )


def _cancelled(facts: Facts) -> set[str]:
    """Return the biases that a normalisation cancels. Their gradient is only rounding."""
    try:
        return set(cancelled_biases(facts))
    except NotMeasured:  # the graph of training is unknown
        return set()


def _findings(fault: str, names: Sequence[str], trained: Iterable[str], facts: Facts) -> Iterator[Finding]:
    words, fix = _FAULTS[fault]
    for group, members in _grouped(names, trained):
        layer = facts.layer(group)
        count = sum(facts.params.sizes[name] for name in members)
        whole = layer is not None and group not in members
        called = f"`{group}` ({layer.type})" if layer and whole and group else f"`{group}`" if group else "the model"
        owner = layer if whole else facts.layer(group.rpartition(".")[0])
        message = f"{words} {called}: {amount(count, 'parameters')}"
        yield layer_finding(owner.path if owner else "", facts, message, fix)


def _grouped(names: Sequence[str], trained: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the outermost layers whose trained parameters are all in `names`, and the names of the other parameters."""
    missing, inside = set(names), {name: [*lineage(name)][:-1] for name in trained}
    whole = {layer for name in names for layer in inside[name]}
    whole -= {layer for name, layers in inside.items() if name not in missing for layer in layers}
    groups: dict[str, list[str]] = {}
    for name in names:
        group = next((layer for layer in inside[name] if layer in whole), name)
        groups.setdefault(group, []).append(name)
    yield from groups.items()


def _notes(cancelled: set[str], waiting: Sequence[str], measured: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    if cancelled:
        count = sum(facts.params.sizes[name] for name in cancelled)
        yield (
            f"the gradient of {amount(count, 'biases') if count > 1 else 'a bias'} before a normalisation is zero but "
            "for rounding (no-bias-before-norm)"
        )
    if waiting:
        starts = measured["starts"]
        one = f"`{starts[0]}`, which starts at zero, has moved"
        several = f"the {len(starts)} that start at zero, such as `{starts[0]}`, have moved"
        until = one if len(starts) == 1 else several
        yield f"no gradient yet in {amount(len(waiting), 'parameter tensors')}, until {until}"
    if measured.get("mode") == "eval":
        yield "measured in evaluation: in training the forward pass takes other inputs"
