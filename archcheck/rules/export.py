"""The saved state and the exported model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
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

Format = Literal["torch.export", "onnx", "executorch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDictRoundTrip(Rule):
    """A fresh model that loads the saved state gives the same outputs.

    The rule finds state in a plain attribute or in a buffer with `persistent=False`, layers in a plain list, and a
    `state_dict` that leaves something out. With these, the shipped model is not the trained one. The rule moves the
    parameters a little, and runs a batch of noise through the model in training. It saves the `state_dict()` to bytes,
    reads it with `weights_only`, and loads it into a new model that is built with other random numbers. If a test
    passes an instance, a copy of this instance replaces the new model. The copy has the same random numbers as the
    model, and a note says so.

    `tolerance` bounds the largest difference of any floating output on the example in evaluation, divided by the
    largest number in it. The default is that of `deterministic-in-eval`: 16 roundings of the coarsest dtype of the
    model (1.9e-6 for float32, 3.6e-15 for float64, 0.016 for float16, 0.125 for bfloat16).

    Example, kept:
        rule = state-dict-round-trip = true
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        input = [2, 3]

    Example, broken:
        rule = state-dict-round-trip = true
        model =
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 4)
                self.mean = torch.zeros(3)

            def forward(self, x):
                if self.training:
                    self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
                return self.fc(x - self.mean)
        input = [2, 3]
        says = a fresh model with the saved state gives another output
    """

    narrows = False
    needs = ("state-dict-round-trip",)
    tolerance: float | None = field(default=None, metadata={"least": 0})

    def check(self, facts: Facts) -> Result:
        """Compare the outputs before and after."""
        measured = probed(self, facts)
        limit = same_shapes(measured["dtype"], self.tolerance)
        apart = measured["distance"]
        findings: tuple[Finding, ...] = ()
        if measured["error"]:
            fix = "let `state_dict` and `load_state_dict` hold tensors, under the same names in every model"
            findings = (model_finding(facts, measured["error"], fix),)
        elif not within(apart, limit):
            findings = (_lost(measured, facts),)
        return Result(
            examined=1,
            findings=findings,
            found=apart,
            limit=limit,
            unit="relative difference",
            kept="a fresh model with the saved state gives the same outputs",
            notes=tuple(_notes(measured)),
        )


def _lost(measured: Mapping[str, Any], facts: Facts) -> Finding:
    lost: Sequence[Mapping[str, str]] = measured["lost"]
    named = ", ".join(f"{each['kind']} `{each['name']}`" for each in lost)
    layer = facts.layer(lost[0]["layer"]) if lost else None
    message = f"a fresh model with the saved state gives another output ({distance_text(measured['distance'])})"
    message += f": it lacks {named}" if named else ""
    fix = "keep state in parameters, persistent buffers and registered layers"
    return layer_finding(layer.path if layer else "", facts, message, fix)


def _notes(measured: Mapping[str, Any]) -> Iterator[str]:
    if not measured["built"]:
        yield "loaded into a copy, as nothing is known that builds one: it has what the model drew when it was built"
    if not measured["trained"]:
        yield "no pass in training came before, for that takes other inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports(Rule):
    """The model can be exported to each of `to`, and the exported program gives the same outputs.

    `torch.export` needs only torch. The others write what `torch.export` gives, and run it in their runtime, such as
    `exports = ["torch.export", "onnx"]`:

    - `onnx` needs the packages `onnx` and `onnxscript`. The ONNX checker reads the result, and `onnxruntime` runs it.
      Where that package is not installed or lacks a kernel, the slow reference evaluator of `onnx` does.
    - `executorch` needs the package `executorch`. XNNPACK runs what it can, and the portable kernels run the rest.

    A model cannot be exported if its Python code branches on values, prints them, or converts tensors to NumPy. The
    export uses the example in evaluation mode, with its shapes. It imports the compiler of torch, which takes some
    seconds.

    `tolerance` bounds the largest difference between the outputs of the model and those of the exported program,
    divided by the largest number in them. The exported program runs the same operations, but with others around them.
    The default is therefore that of `independent-of-batch` for a sample alone: 256 roundings (3.1e-5 for float32,
    5.7e-14 for float64), and 32 for 16-bit dtypes.

    Example, kept:
        rule = exports = true
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        input = [2, 3]

    Example, broken:
        rule = exports = true
        model =
            def forward(self, x):
                if x.sum() > 0:
                    return x
                return -x
        input = [2, 3]
        says = torch.export fails
    """

    narrows = False
    to: tuple[Format, ...] = ("torch.export",)
    tolerance: float | None = field(default=None, metadata={"least": 0})

    def __post_init__(self) -> None:
        """Refuse an empty list of formats."""
        Rule.__post_init__(self)
        if not self.to:
            raise ValueError("`to` is empty: the rule would look at nothing")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """One probe for each format."""
        return tuple(need("exports", to=each) for each in self.to)

    def check(self, facts: Facts) -> Result:
        """List the formats that fail."""
        told = {each: probed(self, facts, asked) for each, asked in zip(self.to, self.needs, strict=True)}
        findings = tuple(
            finding for each, measured in told.items() for finding in self._findings(each, measured, facts)
        )
        return Result(
            examined=len(told),
            findings=findings,
            found=len(findings),
            limit=0,
            unit="formats that fail",
            kept=f"exported to {' and '.join(told)} with the same outputs",
            notes=tuple(f"{each}: run by {by}" for each, measured in told.items() if (by := _foreign_runner(measured))),
        )

    def _findings(self, to: str, measured: Mapping[str, Any], facts: Facts) -> Iterator[Finding]:
        layer, where, _ = place_in_answer(measured["at"], facts)
        limit = other_shapes(measured["dtype"], self.tolerance)
        if measured["error"] and not measured.get("runs", True):
            message = f"{measured['run_by']} cannot run the program of {to}: {measured['error']}"
            fix = f"use operators and dtypes that {measured['run_by']} has"
            yield Finding(message=message, layer="", where=where, fix=fix)
        elif measured["error"]:
            place = f" in `{layer}`" if layer else ""
            fix = "let no Python depend on values: `torch.where`, `torch.cond`, sizes instead of numbers"
            yield Finding(message=f"{to} fails{place}: {measured['error']}", layer=layer, where=where, fix=fix)
        elif not within(measured["distance"], limit):
            apart = distance_text(measured["distance"])
            fix = "compute from the inputs what the export has fixed, such as a counter or a random number of Python"
            yield Finding(message=f"the program of {to} gives another output ({apart})", layer="", where=where, fix=fix)


def _foreign_runner(measured: Mapping[str, Any]) -> str | None:
    """Return what ran the exported program, `None` for torch itself or nothing."""
    by = measured.get("run_by", "torch")
    return None if by == "torch" or measured["error"] else str(by)
