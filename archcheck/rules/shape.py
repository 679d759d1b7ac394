"""Shapes: what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.main_output import main_output
from archcheck.facts.records import Shape
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import shape_text
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.placed_findings import model_finding
from archcheck.rules.queries.probe_answers import probed


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputShape(Rule):
    """The first output has this shape; `"*"` stands for any extent.

    A single number in front of other outputs, such as a loss, is passed over, here and wherever a rule looks at the
    first output.

    Example, kept:
        rule = output-shape = ["*", 4]
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = output-shape = [1, 10]
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = the output has shape 1x4, not 1x10
    """

    narrows = False
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        """Refuse anything but extents and `"*"`."""
        Rule.__post_init__(self)
        for extent in self.shape:
            if isinstance(extent, str) and extent != "*":
                raise ValueError(f'`shape` takes integers and "*", found "{extent}"')

    def check(self, facts: Facts) -> Result:
        """Compare the shape of the first output."""
        outputs = facts.shape.outputs
        if not outputs:
            return Result(examined=0, limit=list(self.shape))
        found = outputs[main_output([each.shape for each in outputs])].shape
        kept = f"the output has shape {shape_text(found)}"
        findings: tuple[Finding, ...] = ()
        if not self._fits(found):
            message = f"{kept}, not {'x'.join(map(str, self.shape))}"
            findings = (model_finding(facts, message, "mend the last layer, or change output-shape"),)
        return Result(examined=1, findings=findings, found=list(found), limit=list(self.shape), kept=kept)

    def _fits(self, found: tuple[int, ...]) -> bool:
        return len(found) == len(self.shape) and all(
            want in ("*", size) for want, size in zip(self.shape, found, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepsBatch(Rule):
    """The first output holds as many samples as the input, for whatever size of the batch.

    A `view(-1, 320)` that does not fit the map silently turns one sample into several, or several into one. A fixed
    size, as in `view(1, -1)`, is right for one batch size only. The rule measures the example and, on real numbers, a
    batch of another size. The batch is the first axis.

    Example, kept:
        rule = keeps-batch = true
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        input = [2, 2, 2]

    Example, broken:
        rule = keeps-batch = true
        model = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(0, 1), nn.Linear(2, 2))
        input = [1, 4]
        says = the output holds 2 samples for an input of 1
    """

    narrows = False
    needs = ("keeps-batch",)

    def check(self, facts: Facts) -> Result:
        """Compare the first axes, on the example and on another batch."""
        measured = probed(self, facts)
        fix = "keep the first axis: `x.flatten(1)`, or `x.view(x.size(0), -1)`"
        findings = tuple(model_finding(facts, fault, fix) for fault in islice(_batch_faults(measured), 1))
        sizes = [run["batch"] for run in measured["runs"]]
        kept = f"batches of {' and '.join(map(str, sizes))} stay what they are"
        return Result(examined=len(sizes), findings=findings, found=not findings, limit=True, kept=kept)


def _batch_faults(measured: Mapping[str, Any]) -> Iterator[str]:
    for run in measured["runs"]:
        if run["error"] is not None:
            yield f"the forward pass fails on a batch of {run['batch']}: {run['error']}"
        elif not run["output"]:
            yield f"the output has no axis for the batch: it is one number for an input of {run['batch']}"
        elif (held := run["output"][run.get("axis", 0)]) != run["batch"]:
            yield f"the output holds {held} samples for an input of {run['batch']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinReceptiveField(Rule):
    """One position of the last feature map sees at least `limit` input positions along each axis.

    `limit` is one number, one number per axis, or `"input"` for the whole extent of the example. The field accumulates
    through kernels, strides, dilations and branches, as in published tables. It may be larger than the input. Kernel
    positions outside the map see nothing: a kernel larger than its padded map sees the map, and a dilated kernel sees
    what its positions meet. Global pooling is left out, because it sees any map whole. If attention connects all
    positions, there is no such field, and the verdict is `error`.

    Example, kept:
        rule = min-receptive-field = 5
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = min-receptive-field = "input"
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3))
        input = [1, 1, 8, 8]
        says = one position sees 5x5 input positions, at least 8x8 are asked for

    Example, broken:
        rule = min-receptive-field = 9
        model = nn.Conv2d(1, 4, 3, padding=4, dilation=4)
        input = [1, 1, 8, 8]
        says = one position sees 5x5 input positions, at least 9x9 are asked for

    Example, vacuous:
        rule = min-receptive-field = 5
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    narrows = False
    limit: int | tuple[int, ...] | Literal["input"]

    def __post_init__(self) -> None:
        """Refuse limits below one."""
        Rule.__post_init__(self)
        limits = () if isinstance(self.limit, str) else (self.limit,) if isinstance(self.limit, int) else self.limit
        if any(limit < 1 for limit in limits) or self.limit == ():
            raise ValueError(f"`limit` must hold positive numbers of positions, found {self.limit}")

    def check(self, facts: Facts) -> Result:
        """Compare the receptive field along each axis."""
        field = facts.shape.receptive_field
        if field is None:
            if any(op.live and op.kind in ("attention", "matmul") for op in facts.ops):
                raise NotMeasured("products of activations, as in attention, let positions see one another")
            return Result(examined=0, limit=self.limit)
        wanted = self._wanted(field, facts)
        message = f"one position sees {shape_text(field)} input positions, at least {shape_text(wanted)} are asked for"
        findings: tuple[Finding, ...] = ()
        if any(found < limit for found, limit in zip(field, wanted, strict=True)):
            fix = "add layers, enlarge kernels, strides or dilations, or lower min-receptive-field"
            findings = (model_finding(facts, message, fix),)
        return Result(
            examined=1,
            findings=findings,
            found=list(field),
            limit=list(wanted),
            unit="input positions",
            kept=message,
        )

    def _wanted(self, field: Shape, facts: Facts) -> Shape:
        axes = len(field)
        if isinstance(self.limit, int):
            return (self.limit,) * axes
        if not isinstance(self.limit, str):
            if len(self.limit) != axes:
                raise NotMeasured(
                    f"`limit` has {len(self.limit)} axes, the network's maps have {axes}",
                    fix=f"give one number, or {axes} numbers",
                )
            return self.limit
        maps = [tensor.shape for tensor in facts.shape.inputs if len(tensor.shape) > axes]
        if not maps:
            raise NotMeasured("no input is a map whose extent could be compared", fix="give `limit` in positions")
        return _first_map(facts, axes) or maps[0][-axes:]


def _first_map(facts: Facts, axes: int) -> Shape | None:
    """Return the extents of the input that the first window slides over, with permuted axes put back in order."""
    window = next((op for op in facts.ops if op.live and len(op.attributes.get("kernel", ())) == axes), None)
    if window is None or not window.inputs:
        return None
    op = facts.ops[window.inputs[0]]
    places = list(range(len(op.shapes[0]) - axes, len(op.shapes[0])))
    while op.kind != "input" and len(op.inputs) == 1 and len(facts.ops[op.inputs[0]].shapes[0]) == len(op.shapes[0]):
        if op.kind == "permute":
            places = [op.attributes["order"][place] for place in places]
        op = facts.ops[op.inputs[0]]
    return tuple(op.shapes[0][place] for place in places) if op.kind == "input" and places[0] >= 0 else None
