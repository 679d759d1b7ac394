"""Behaviour in evaluation: the outputs of a network for real numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.foundation.words import listed
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.placed_findings import layer_finding, model_finding
from archcheck.rules.queries.probe_answers import (
    distance_text,
    other_shapes,
    place_in_answer,
    probed,
    same_shapes,
    within,
)

Input = Literal["example", "zeros", "large", "noise"]
INPUTS: tuple[Input, ...] = ("example", "zeros", "large", "noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class FiniteOutput(Rule):
    """All floating outputs are numbers, on the example and on zeros, large values and noise: no NaN, no infinity.

    The model runs in evaluation mode. `inputs` names what is tried: `example`, `zeros`, `large` and `noise`. `large` is
    the example times `large`, by default 1,000, and 16 in float16, which ends at 65,504. `noise` is normal with the
    mean and deviation of the example, or uniform between its extremes if the example has no negative value. For integer
    inputs these are the smallest value everywhere, the largest value everywhere, and random numbers between the
    smallest and the largest of the example. Masks stay as they are, and so do integers beside floating inputs, such as
    lengths. There is no tolerance.

    The finding points at the operation that made the first such value. Minus infinity counts as a mask until it makes
    NaN or reaches the output.

    Example, kept:
        rule = finite-output = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
        input = [2, 3]

    Example, broken:
        rule = finite-output = true
        model =
            def forward(self, x):
                return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
        input = [2, 3]
        says = NaN in the output on zeros, first made by `div`

    Example, broken:
        rule = finite-output = ["large"]
        model =
            def forward(self, x):
                return x.exp() / x.exp().sum(1, keepdim=True)
        input = [2, 3]
        says = NaN in the output on 1,000 times the example, first made by `exp`
    """

    narrows = False
    inputs: tuple[Input, ...] = INPUTS
    large: float | None = None

    def __post_init__(self) -> None:
        """Refuse a rule without inputs, and an invalid factor."""
        Rule.__post_init__(self)
        if not self.inputs:
            raise ValueError("`inputs` is empty: the rule would look at nothing")
        if self.large is not None and not 0 < self.large < float("inf"):
            raise ValueError(f"`large` must be a positive number, found {self.large:g}")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe, with the inputs to try."""
        return (need("finite-output", inputs=list(self.inputs), factor=self.large),)

    def check(self, facts: Facts) -> Result:
        """List the inputs on which an output is not finite."""
        measured = probed(self, facts)
        runs, factor = measured["runs"], measured["factor"]
        findings = tuple(_not_finite(run, _called(run["input"], factor), facts) for run in runs if _fails(run))
        return Result(
            examined=len(runs),
            findings=findings,
            found=len(findings),
            limit=0,
            unit="inputs without a finite output",
            kept=f"finite on {', '.join(_called(run['input'], factor) for run in runs)}",
        )


def _called(name: str, factor: float) -> str:
    return {"example": "the example", "large": f"{factor:,g} times the example"}.get(name, name)


def _fails(run: Mapping[str, Any]) -> bool:
    return bool(run["error"] or run["faults"])


def _not_finite(run: Mapping[str, Any], called: str, facts: Facts) -> Finding:
    layer, where, op = place_in_answer(run["at"], facts)
    if run["error"]:
        message, fix = f"the forward pass fails on {called}: {run['error']}", "mend the forward pass"
    else:
        name, fault = next(iter(run["faults"].items()))
        output = f"the output `{name}`" if name else "the output"
        message = f"{fault} in {output} on {called}" + (f", first made by `{op}`" if op else "")
        message += f" in `{layer}`" if layer else ""
        fix = "bound what is divided, exponentiated or rooted there, as `clamp` or an epsilon do"
    return Finding(message=message, layer=layer, where=where, fix=f"{fix}, or narrow finite-output")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeterministicInEval(Rule):
    """In evaluation the same input always gives the same outputs, with any random numbers and in every call.

    The rule finds dropout that stays on, noise that ignores the mode, and statistics that keep moving. It runs three
    passes on the example: two in a row with the same random numbers, and one with others. It compares all floating
    outputs. `tolerance` bounds the largest difference, divided by the largest number in the output. The default is 16
    roundings of the coarsest dtype of the model (1.9e-6 for float32, 3.6e-15 for float64, 0.016 for float16, 0.125 for
    bfloat16): the same operations on the same shapes give the same bits in one thread, and several threads may add in
    another order.

    Example, kept:
        rule = deterministic-in-eval = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
        input = [2, 3]

    Example, broken:
        rule = deterministic-in-eval = true
        model =
            def forward(self, x):
                return F.dropout(x, 0.5)
        input = [2, 3]
        says = the output changes with the random numbers: `bernoulli_` draws some in evaluation
    """

    narrows = False
    needs = ("deterministic-in-eval",)
    tolerance: float | None = field(default=None, metadata={"least": 0})

    def check(self, facts: Facts) -> Result:
        """Compare the measured distances with the tolerance."""
        measured = probed(self, facts)
        limit = same_shapes(measured["dtype"], self.tolerance)
        findings = tuple(self._findings(measured, limit, facts))
        return Result(
            examined=1,
            findings=findings,
            found=measured["other_seed"]["distance"],
            limit=limit,
            unit="relative difference",
            kept="the same outputs whatever is drawn, call after call",
        )

    def _findings(self, measured: Mapping[str, Any], limit: float, facts: Facts) -> Iterator[Finding]:
        seeds, calls = measured["other_seed"], measured["second_call"]
        if not within(calls["distance"], limit):
            yield _drifting(calls["distance"], measured["changed"], facts)
        if not within(seeds["distance"], limit):
            at = measured["draws"][0] if measured["draws"] else None
            layer, where, op = place_in_answer(at, facts)
            told = f"`{op}` draws some in evaluation" if op else "they are not torch's"
            told += f" in `{layer}`" if layer else ""
            yield Finding(
                message=f"the output changes with the random numbers: {told} ({distance_text(seeds['distance'])})",
                layer=layer,
                where=where,
                fix="ask for the mode, as `F.dropout(x, p, self.training)` does",
            )


def _drifting(distance: float | None, changed: Sequence[str], facts: Facts) -> Finding:
    layer = facts.layer(changed[0].rpartition(".")[0]) if changed else None
    told = f"{listed(changed[:3])} changed meanwhile" if changed else "something beside its buffers changes"
    message = f"a second call with the same input gives another output ({distance_text(distance)}): {told}"
    fix = "let state move in training only: `if self.training:`"
    return layer_finding(layer.path if layer else "", facts, message, fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentOfBatch(Rule):
    """In evaluation the outputs of a sample do not depend on the samples beside it.

    The rule finds BatchNorm that uses the statistics of the batch, a mean or a maximum over axis 0, and attention
    across samples. The accuracy of such a model changes with how it is served. A sample runs as the third of three,
    then beside two other neighbours, then alone. The rule compares its part of all floating outputs that grow with the
    batch. The sample and its neighbours are noise as in `finite-output`. Then the neighbours are a thousand times as
    large, with either sign. Last, about half of the samples are exchanged in a batch of up to 1,024 samples, as far as
    four billion multiply-accumulates go. The axis of samples is the one of `accepts`. If the model takes a list item by
    item, such as images of different sizes, each item is a sample. Some models take no batch of three, such as those
    for sequences sorted by length. For them the rule uses the example as given: its first sample beside neighbours of
    noise, and alone if the model takes it. A note says so.

    `tolerance` bounds the largest difference, divided by the largest number in the output. It applies to neighbours
    like the sample and to the sample alone. Large neighbours are judged without it, because a share of a large number
    is large. Beside other neighbours the default is 16 roundings of the coarsest dtype, because the same operations on
    the same shapes give the same bits. A sample alone uses other kernels, which add in another order. There the default
    is 256 roundings (3.1e-5 for float32, 5.7e-14 for float64); networks of torchvision with 20 to 120 layers show 2.
    For 16-bit dtypes it is 32 roundings, because their sums are taken in float32.

    Example, kept:
        rule = independent-of-batch = true
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        input = [2, 3]

    Example, broken:
        rule = independent-of-batch = true
        model =
            def forward(self, x):
                return x - x.mean(0)
        input = [2, 3]
        says = the output of a sample changes with its neighbours
    """

    narrows = False
    needs = ("independent-of-batch",)
    tolerance: float | None = field(default=None, metadata={"least": 0})

    def check(self, facts: Facts) -> Result:
        """Compare the measured distances with the tolerances."""
        measured = probed(self, facts)
        message = self._message(measured)
        fix = "take statistics over the axes of one sample, or only `if self.training:`"
        shared = [name or "the output" for name in measured["shared"]]
        return Result(
            examined=1,
            findings=(model_finding(facts, message, fix),) if message else (),
            found=measured["neighbours"]["distance"],
            limit=same_shapes(measured["dtype"], self.tolerance),
            unit="relative difference",
            kept=f"a sample's outputs are its own, beside others{' and alone' if measured['alone'] else ''}",
            notes=(
                *((f"not looked at, for they do not grow with the batch: {listed(shared)}",) if shared else ()),
                *((f"judged on the example as given: {measured['as_given']}",) if measured["as_given"] else ()),
                *(f"not tried with {name}: {error}" for name, error in measured["untried"].items()),
            ),
        )

    def _message(self, measured: Mapping[str, Any]) -> str | None:
        dtype, beside, alone = measured["dtype"], measured["neighbours"], measured["alone"]
        if not within(beside["distance"], same_shapes(dtype, self.tolerance)):
            return f"{_output(beside)} of a sample changes with its neighbours ({distance_text(beside['distance'])})"
        large = measured["large_neighbours"]
        if self.tolerance is None and not within(large["distance"], same_shapes(dtype)):
            apart = distance_text(large["distance"])
            return f"{_output(large)} of a sample changes with its neighbours where they are large ({apart})"
        if measured["failure"]:
            return f"a sample alone fails in evaluation: {measured['failure']}"
        if alone and not within(alone["distance"], other_shapes(dtype, self.tolerance)):
            apart = distance_text(alone["distance"])
            return f"{_output(alone)} of a sample changes with the size of the batch or its place there ({apart})"
        return None


def _output(apart: Mapping[str, Any]) -> str:
    return f"the output `{apart['output']}`" if apart["output"] else "the output"
