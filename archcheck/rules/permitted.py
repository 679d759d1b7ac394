"""What operations may be: their kinds, their kernels and their channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import selects
from archcheck.rules.base import KINDS, Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.graphs import dependent_on_input, has_weight, label, live, varying, word_for
from archcheck.rules.queries.padded_axes import CONVOLUTIONS, PositionAxes
from archcheck.rules.queries.placed_findings import op_finding
from archcheck.rules.queries.scope import demand_reach
from archcheck.rules.queries.spelled import wholes
from archcheck.rules.queries.value_passes import share

_IMPLIED = ("input", "constant", "factory")
"""What computes nothing: inputs, stored tensors, and tensors such as zeros that are made from a shape."""

_SLIDING = (*CONVOLUTIONS, "conv_transpose")
"""Kinds that slide a kernel of weights over a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allows(Rule):
    """Every executed operation is one of `kinds`, whether or not its result reaches an output.

    This is the converse of `forbids`. A word is a kind (`conv`), a group (`activation`), a layer type or a path, which
    both allow everything inside the layer, or an operator by its full name (`aten::grid_sampler`, `mylib::scan`).
    Operations that together form a hand-written kind, such as the two products and the softmax of an attention, are
    allowed if that kind is. Inputs, and what is the same for any input and any weights, such as a mask, need no
    permission. Views and copies do: the group `reshape` allows them. Both modes count, so dropout needs permission.

    Example, kept:
        rule = allows = ["conv", "relu", "reshape", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = allows = ["conv", "relu"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU())
        input = [1, 1, 8, 8]
        says = `1` (SiLU) executes silu, which is not allowed

    Example, kept:
        rule = allows = ["aten::cumsum"]
        model =
            def forward(self, x):
                return x.cumsum(1)
        input = [1, 4]
    """

    kinds: tuple[str, ...] = field(metadata=KINDS)

    def check(self, facts: Facts) -> Result:
        """Look at every operation of both modes."""
        demand_reach(self, facts)
        examined, foreign = 0, dict[object, tuple[Op, str]]()
        for mode in ("eval", "train") if facts.train_length else ("eval",):
            ops = facts.executed(mode)
            whole, varies = wholes(ops), varying(ops, facts.params.sizes)
            for op in ops:
                if op.kind in _IMPLIED or not varies[op.index] or not selects(self.on, op, facts):
                    continue
                examined += 1
                if not any(selects(kind, each, facts) for kind in self.kinds for each in (op, *whole[op.index])):
                    foreign.setdefault((op.kind, op.layer, op.op, op.where), (op, mode))
        findings = tuple(
            op_finding(
                op,
                facts,
                f"{label(op, facts)} executes {word_for(op)}, which is not allowed{share(facts, [op], mode)}",
                f"replace it by one of {', '.join(self.kinds)}, or add {word_for(op)} to allows",
            )
            for op, mode in foreign.values()
        )
        return Result(
            examined=examined,
            findings=findings,
            found=sorted({word_for(op) for op, _ in foreign.values()}) if foreign else None,
            limit=list(self.kinds),
            kept=f"all {examined:,} operations are allowed",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSizes(Rule):
    """Every convolution runs with one of these kernels.

    A number is the size along every axis, `3` for 3x3 on an image; a list gives each axis: `[1, 7]`. Dilation does not
    change the kernel. Transposed convolutions count, and so does a convolution that is written as `F.unfold` and a
    product. `on` selects other operations with a kernel, for example `on = "max_pool"`.

    Example, kept:
        rule = kernel-sizes = [1, 3]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = kernel-sizes = { sizes = [3, [1, 7]] }
        model = nn.Sequential(nn.Conv2d(1, 4, (1, 7)), nn.Conv2d(4, 4, (3, 1)))
        input = [1, 1, 8, 8]
        says = `1` (Conv2d) has a kernel of 3x1, not 3x3 or 1x7

    Example, vacuous:
        rule = kernel-sizes = [3]
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    sizes: tuple[int | tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Refuse an empty list and sizes below one."""
        Rule.__post_init__(self)
        flat = [size for each in self.sizes for size in (each if isinstance(each, tuple) else (each,))]
        if not flat or () in self.sizes or min(flat) < 1:
            raise ValueError(f"`sizes` must hold kernel sizes of at least 1, found {list(self.sizes)}")

    def check(self, facts: Facts) -> Result:
        """Compare the kernel of every live operation that has one."""
        ops = [op for op in live(facts, None, self.on) if _kernel(op)]
        if self.on is None:
            unfolded = {op.index for op in PositionAxes(facts.ops).spelled()}
            ops = [op for op in ops if op.kind in _SLIDING or op.index in unfolded]
        findings = tuple(
            op_finding(
                op,
                facts,
                f"{label(op, facts)} has a kernel of {_text(kernel)}, not {self._wanted(len(kernel))}",
                f"give it a kernel of {self._wanted(len(kernel))}, or change kernel-sizes",
            )
            for op in ops
            if not any(_fits(size, kernel := _kernel(op)) for size in self.sizes)
        )
        found = sorted({_kernel(op) for op in ops})
        return Result(
            examined=len(ops),
            findings=findings,
            found=[_text(kernel) for kernel in found],
            limit=[_text(size) if isinstance(size, tuple) else size for size in self.sizes],
            kept=f"kernels of {', '.join(map(_text, found))}",
        )

    def _wanted(self, axes: int) -> str:
        return " or ".join(_text(size if isinstance(size, tuple) else (size,) * axes) for size in self.sizes)


def _kernel(op: Op) -> tuple[int, ...]:
    return tuple(op.attributes.get("kernel", ()))


def _fits(size: int | tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    return kernel == (size if isinstance(size, tuple) else (size,) * len(kernel))


def _text(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipleOf(Rule):
    """The channels between convolutions and linear layers are multiples of `channels`.

    Vector units of small processors work on 4, 8 or 16 channels at a time and pad the rest. The rule looks at the
    output channels of each convolution and linear layer whose result another of them reads. The channels of the input
    and those of the output, such as the number of classes, are given by the task and do not count.

    Example, kept:
        rule = multiple-of = 8
        model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 3))
        input = [1, 3, 8, 8]

    Example, broken:
        rule = multiple-of = 8
        model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 10, 3))
        input = [1, 3, 8, 8]
        says = `0` (Conv2d) has 12 output channels, no multiple of 8

    Example, vacuous:
        rule = multiple-of = 8
        model = nn.Conv2d(3, 10, 3)
        input = [1, 3, 8, 8]
    """

    channels: int = field(metadata={"least": 2})

    def check(self, facts: Facts) -> Result:
        """Look at the channels of every live layer that another one reads."""
        dependent = dependent_on_input(facts.ops)
        mixing = {
            op.index
            for op in facts.ops
            if op.live and _channels(op) and (op.kind in _SLIDING or has_weight(op, facts.ops, dependent))
        }
        inner = [op for op in _read_by_others(facts.ops, mixing) if selects(self.on, op, facts)]
        findings = tuple(
            op_finding(
                op,
                facts,
                f"{label(op, facts)} has {_channels(op)} output channels, no multiple of {self.channels}",
                f"give it {-(-_channels(op) // self.channels) * self.channels}, or change multiple-of",
            )
            for op in inner
            if _channels(op) % self.channels
        )
        found = sorted({_channels(op) for op in inner})
        return Result(
            examined=len(inner),
            findings=findings,
            found=found,
            limit=self.channels,
            kept=f"{', '.join(map(str, found))} channels are multiples of {self.channels}",
        )


def _channels(op: Op) -> int:
    """Return the output channels of a convolution or the output features of a linear layer, 0 for anything else."""
    if op.kind in _SLIDING:
        return int(op.attributes.get("out_channels", 0))
    return int(op.attributes.get("out_features", 0)) if op.kind == "linear" else 0


def _read_by_others(ops: Sequence[Op], mixing: set[int]) -> list[Op]:
    """Return the operations of `mixing` whose result reaches another one of them."""
    reached: set[int] = set()
    for index in mixing:
        pending = [*ops[index].inputs]
        while pending:
            each = pending.pop()
            if each not in reached:
                reached.add(each)
                pending += () if each in mixing else ops[each].inputs
    return [ops[index] for index in sorted(mixing & reached)]
