"""Structure: the settings of operations, and what the network ends in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import mistake_in, selects
from archcheck.foundation.json_codec import decode
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import amount
from archcheck.rules.base import KINDS, Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.dropouts import LEAK, TURN_OFF, Dropout, dropouts
from archcheck.rules.queries.graphs import label, live
from archcheck.rules.queries.heads import end_of
from archcheck.rules.queries.padded_axes import CONVOLUTIONS, PositionAxes
from archcheck.rules.queries.placed_findings import model_finding, op_finding
from archcheck.rules.queries.probe_answers import place_in_answer, probed
from archcheck.rules.queries.scope import demand_reach

_PLACE: Any = Where | None
_SHARE = {"unit": "share"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head(Rule):
    """The output path ends in one of `kinds`: global pooling, a linear layer, or one over the other.

    The path belongs to the first output, or to the output that `output` names by its name or its number (from 0). A
    single number in front of other outputs, such as a loss, is skipped. The rule walks back from the output. It skips
    what has no weights and maps single numbers: softmax, activations, dropout, reshapes, `clamp`, and arithmetic with
    constants and parameters. Linear layers and global poolings form the head. The head ends where two activations meet:
    in a residual connection, or in the gate of a squeeze and excitation.
    `linear` is a product with a weight, or a 1x1 convolution on a 1x1 map, and the report says so. A convolution whose
    kernel covers a whole map of more than one position is `global_conv`. A pooling that leaves out a border is not
    global.

    Example, kept:
        rule = head = ["global_avg_pool", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LogSoftmax(1))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = head = "global_avg_pool"
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(4), nn.Flatten())
        input = [1, 1, 8, 8]
        says = the output path ends in avg_pool (partial)
    """

    each_pass = True
    narrows = False
    kinds: tuple[str, ...] = field(metadata=KINDS)
    output: int | str | None = None

    def check(self, facts: Facts) -> Result:
        """Compare the head with the kinds asked for."""
        end = end_of(facts, self.output)
        head, told = (end.kinds, end.told) if end else ((), "nothing known")
        kept, wanted = f"the output path ends in {told}", " or ".join(self.kinds)
        findings: tuple[Finding, ...] = ()
        if not set(head) & set(self.kinds):
            fix = f"end the network in {wanted}" + (", or change head" if any(map(_is_word, head)) else "")
            findings = (model_finding(facts, f"{kept}, not in {wanted}", fix),)
        return Result(examined=len(head), findings=findings, found=list(head), limit=list(self.kinds), kept=kept)


def _is_word(kind: str) -> bool:
    """Whether a contract may name what a network ends in: not `avg_pool (partial)`."""
    return mistake_in(kind) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels(Rule):
    """The convolutions run with these channels: first the channels of the input, then the output channels of each in
    order.

    Example, kept:
        rule = channels = [1, 10, 16]
        model = nn.Sequential(nn.Conv2d(1, 10, 3), nn.Conv2d(10, 16, 3))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = channels = [1, 10, 20]
        model = nn.Sequential(nn.Conv2d(1, 10, 3), nn.Conv2d(10, 16, 3))
        input = [1, 1, 8, 8]
        says = channels 1, 10, 16 instead of 1, 10, 20
    """

    each_pass = True
    progression: tuple[int, ...]

    def check(self, facts: Facts) -> Result:
        """Compare the channels of the live convolutions, in the order they run."""
        convs = [op for op in live(facts, "conv", self.on) if "out_channels" in op.attributes]
        found = [convs[0].attributes["in_channels"]] if convs else []
        found += [op.attributes["out_channels"] for op in convs]
        findings: tuple[Finding, ...] = ()
        if convs and tuple(found) != self.progression:
            wrong = self._first_difference(found)
            op = convs[min(max(wrong - 1, 0), len(convs) - 1)]
            shown, wanted = ", ".join(map(str, found)), ", ".join(map(str, self.progression))
            message = f"channels {shown} instead of {wanted}: {label(op, facts)} is the first to differ"
            fix = f"build the convolutions with {wanted}, or change channels"
            findings = (op_finding(op, facts, message, fix),)
        return Result(
            examined=len(convs),
            findings=findings,
            found=found,
            limit=list(self.progression),
            kept=f"channels {', '.join(map(str, found))}",
        )

    def _first_difference(self, found: Sequence[int]) -> int:
        pairs = zip(found, self.progression, strict=False)
        return next((i for i, (is_, want) in enumerate(pairs) if is_ != want), min(len(found), len(self.progression)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropoutRate(Rule):
    """Every dropout that takes effect has the given `rate`, or one between `at-least` and `at-most`.

    A dropout that stays on in evaluation takes effect, too. It breaks the rule at any rate.

    Example, kept:
        rule = dropout-rate = 0.1
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1))
        input = [1, 3]

    Example, broken:
        rule = dropout-rate = 0.008
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1))
        input = [1, 3]
        says = `1` (Dropout) has rate 0.1, not 0.008

    Example, vacuous:
        rule = dropout-rate = 0.1
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    rate: float | None = field(default=None, metadata=_SHARE)
    at_least: float | None = field(default=None, metadata=_SHARE)
    at_most: float | None = field(default=None, metadata=_SHARE)

    def __post_init__(self) -> None:
        """Refuse a rule without any bound, and a rate beside bounds."""
        Rule.__post_init__(self)
        bounds = [self.at_least, self.at_most]
        if (self.rate is None) == (bounds == [None, None]):
            raise ValueError("give either `rate`, or `at-least` and `at-most` or one of them")

    def check(self, facts: Facts) -> Result:
        """Look at the rate of every dropout that drops anything."""
        acting = [dropout for dropout in dropouts(facts, self.on) if dropout.acts]
        findings = tuple(
            op_finding(item.op, facts, f"{label(item.op, facts)} {fault}", fix)
            for item in acting
            for fault, fix in self._faults(item)
        )
        found = sorted({item.rate for item in acting})
        kept = f"{amount(len(acting), 'dropouts')} of rate {', '.join(f'{rate:g}' for rate in found)}"
        return Result(examined=len(acting), findings=findings, found=found, limit=self._wanted(), kept=kept)

    def _faults(self, item: Dropout) -> Iterator[tuple[str, str]]:
        """Yield each fault of a dropout, with its fix."""
        if not self._allows(item.rate):
            wanted = self._wanted()
            yield f"has rate {item.rate:g}, not {wanted}", f"give it the rate {wanted}, or change dropout-rate"
        if item.fault == LEAK:
            yield LEAK, TURN_OFF

    def _allows(self, rate: float) -> bool:
        if self.rate is not None:
            return abs(rate - self.rate) < 1e-9
        return (self.at_least is None or rate >= self.at_least) and (self.at_most is None or rate <= self.at_most)

    def _wanted(self) -> str:
        if self.rate is not None:
            return f"{self.rate:g}"
        low = "" if self.at_least is None else f"at least {self.at_least:g}"
        high = "" if self.at_most is None else f"at most {self.at_most:g}"
        return " and ".join(filter(None, (low, high)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPadding(Rule):
    """No convolution pads its input, and nothing else pads it before one.

    These operations pad: a convolution with `padding`, also one that is written as `F.unfold` and a product with
    weights; an operation such as `F.pad` or `nn.ReflectionPad2d`; and any operation that makes a map larger on its way
    to a convolution. Examples of the last are concatenated zeros, a larger map that the map is written into, an index
    that reflects or wraps the map, and a transposed convolution with a fixed kernel. They show on real numbers: along
    the borders nothing depends on the input, or other positions repeat. Upsampling is not padding.

    Padding that is cropped off again, so that other values in its place change no output in evaluation, does not count.
    Only positions count. Padded channels, as in a shortcut, are not padding. A negative pad crops, and so does the
    `padding` of a transposed convolution.

    Example, kept:
        rule = no-padding = true
        model = nn.Conv2d(1, 4, 3)
        input = [1, 1, 8, 8]

    Example, broken:
        rule = no-padding = true
        model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1))
        input = [1, 1, 8, 8]
        says = `0` (Conv2d) pads by 1x1

    Example, kept:
        rule = no-padding = true
        model =
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(2, 2, 1)

            def forward(self, x):
                return self.conv(x + F.pad(x[:, :1], (0, 0, 0, 0, 0, 1)))
        input = [1, 2, 8, 8]

    Example, broken:
        rule = no-padding = true
        model =
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv1d(1, 4, 3)

            def forward(self, x):
                return self.conv(torch.cat([torch.zeros(len(x), 1, 2), x], 2))
        input = [1, 1, 8]
        says = pads a map by 2x0 with constants
    """

    prohibition = True
    needs = ("no-padding",)

    def check(self, facts: Facts) -> Result:
        """Look at the padding of every live convolution, and at what pads before one."""
        demand_reach(self, facts)
        axes = PositionAxes(facts.ops)
        spelled = [op for op in axes.spelled() if "kernel" in op.attributes and selects(self.on, op, facts)]
        convs = [*(op for op in live(facts, None, self.on) if op.kind in CONVOLUTIONS), *spelled]
        pads = [op for op in axes.padding_before() if selects(self.on, op, facts)]
        told = facts.behaviour.get(self.needs[0], {})
        cropped = [(each["layer"], decode(_PLACE, each["where"])) for each in told.get("cropped", ())]
        findings = [
            op_finding(
                op, facts, f"{label(op, facts)} pads by {by}", _UNPADDED if "padding" in op.attributes else _REMOVED
            )
            for op in sorted((*convs, *pads), key=lambda op: op.index)
            if (by := _padding(op)) is not None and (op.layer, op.where) not in cropped
        ]
        certain = findings and not any(map(_may_crop, facts.ops))
        if not facts.subject.meta and told and not (certain and told.get("problem")):
            findings += _padded_otherwise(self, probed(self, facts)["maps"], facts)
        return Result(
            examined=len(convs) + len(pads),
            findings=tuple(findings),
            found=len(findings),
            limit=0,
            unit="paddings",
            kept=f"no padding in {len(convs)} convolutions",
        )


_UNPADDED = "build it without padding"
_REMOVED = "remove it, or let it pad nothing"


def _may_crop(op: Op) -> bool:
    """Whether an operation may remove padding, so that only the probe tells whether the padding counts."""
    return op.kind == "slice" or any(each < 0 for each in op.attributes.get("pad", ()))


def _padded_otherwise(rule: Rule, maps: Sequence[Mapping[str, Any]], facts: Facts) -> Iterator[Finding]:
    """Yield the maps that other operations pad."""
    for told in maps:
        layer, where, name = place_in_answer(told, facts)
        here = (op for op in facts.ops if op.layer == layer and op.op == name)
        if rule.on is None or any(selects(rule.on, op, facts) for op in here):
            message = f"`{name}` pads a map by {'x'.join(map(str, told['by']))} with {told['with']}"
            yield Finding(message=message, layer=layer, where=where, fix="leave the map as large as it is")


def _padding(op: Op) -> str | None:
    padding = op.attributes.get("padding", op.attributes.get("pad", ()))
    if isinstance(padding, str):
        grows = padding == "same" and set(op.attributes["kernel"]) != {1}
        return f'"{padding}"' if grows else None
    return "x".join(map(str, padding)) if any(pad > 0 for pad in padding) else None
