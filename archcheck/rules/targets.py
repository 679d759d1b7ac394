"""Whether a target has the operators that a model executes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import mistake_in, selects
from archcheck.foundation.words import quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.activation_buffers import is_identity
from archcheck.rules.queries.graphs import label, varying, word_for
from archcheck.rules.queries.operator_lists import operator_list, out_of_place
from archcheck.rules.queries.placed_findings import op_finding
from archcheck.rules.queries.scope import demand_reach
from archcheck.rules.queries.value_passes import share

Target = Literal["tflite-micro", "executorch-xnnpack", "executorch-portable", "onnx-opset-17"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorsFor(Rule):
    """The target has every operator that the model executes in evaluation.

    Each target has a list, with its source, release and date, in `archcheck/rules/targets`:

    - `tflite-micro`: the kernels of TensorFlow Lite Micro, as its interpreter finds them;
    - `executorch-xnnpack`: what XNNPACK takes of a program for ExecuTorch. The rest needs other kernels;
    - `executorch-portable`: the portable kernels of ExecuTorch;
    - `onnx-opset-17`: the operators of ONNX at opset 17.

    A list says what each operator of torch becomes on the target. What is on no list is missing, your own operators
    included: `also` names what you bring along, as kinds (`"silu"`), operators (`"mylib::scan"`), layer types or paths.
    What a converter removes or computes beforehand needs no operator: dropout in evaluation, casts, fake quantisation,
    and everything that depends on no input. The lists are about names. Whether a kernel takes the sizes and dtypes at
    hand, the rule `exports` tries out, for ONNX and ExecuTorch.

    In a contract: `operators-for = { target = "tflite-micro", also = ["silu"] }`

    Example, kept:
        rule = operators-for = "tflite-micro"
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = operators-for = "tflite-micro"
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.SiLU())
        input = [1, 1, 8, 8]
        says = `1` (SiLU) executes silu, which tflite-micro lacks: no kernel

    Example, kept:
        rule = operators-for = { target = "tflite-micro", also = ["silu"] }
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.SiLU())
        input = [1, 1, 8, 8]

    Example, error:
        rule = operators-for = { target = "onnx-opset-17", on = "linear" }
        model = nn.Conv2d(1, 8, 3)
        input = [1, 1, 8, 8]
        says = `on` = "linear" selects nothing
    """

    target: Target
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse words in `also` that select nothing in any model."""
        Rule.__post_init__(self)
        if mistakes := [mistake for word in self.also if (mistake := mistake_in(word)) is not None]:
            raise ValueError("; ".join(mistakes))

    def check(self, facts: Facts) -> Result:
        """Look up every operation of the graph of evaluation."""
        demand_reach(self, facts)
        known, missing = operator_list(self.target), dict[object, Op]()
        ops = [op for op in self._executed(facts) if selects(self.on, op, facts)]
        for op in ops:
            name = out_of_place(op.op)
            if not known.counterparts(op) and not any(selects(word, op, facts) for word in self.also):
                missing.setdefault((name, op.layer, op.where), op)
        used = sorted({name for op in ops for name in known.counterparts(op)})
        return Result(
            examined=len(ops),
            findings=tuple(self._finding(op, facts, known.why_not(op)) for op in missing.values()),
            found=sorted({out_of_place(op.op) for op in missing.values()}) or None,
            limit=self.target,
            kept=None
            if missing
            else f"{self.target} has the operators of all {len(ops):,} operations: {', '.join(used)}",
            notes=(f"the list is of {known.date}, from {known.release}",) if ops else (),
        )

    def _finding(self, op: Op, facts: Facts, why: str) -> Finding:
        name, passes = out_of_place(op.op), share(facts, [op], "eval")
        return op_finding(
            op,
            facts,
            f"{label(op, facts)} executes {name}, which {self.target} lacks{passes}: {why}",
            f"replace it, or bring a kernel along and say so: `also = [{quote(word_for(op))}]`",
        )

    def _executed(self, facts: Facts) -> list[Op]:
        """Return what runs on a device: what reaches an output and depends on an input or on chance."""
        runs = varying(facts.ops)
        made = [op for op in facts.ops if op.live and op.kind != "input" and op.shapes]  # a size is no tensor
        return [op for op in made if runs[op.index] and not is_identity(op)]
