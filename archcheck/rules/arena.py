"""The budget of the memory that a device plans for activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import selects
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.activation_buffers import ActivationBuffers, activation_buffers
from archcheck.rules.queries.bounds import excess, share_line
from archcheck.rules.queries.graphs import label, place
from archcheck.rules.queries.memory_plan import MemoryPlan, plan_memory
from archcheck.rules.queries.scope import demand_reach
from archcheck.rules.queries.value_passes import largest_of

_SHOWN = 8
"""Tensors that are listed at the peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxArena(Rule):
    """A static memory plan places all activations in an arena of at most `limit` bytes, with `bits` for each element.

    Runtimes of microcontrollers place every activation before anything runs. The result of an operation takes memory
    until the last operation that reads it. Inputs take it from the start of a pass, and outputs to its end. Two tensors
    that are in use at the same time never overlap. The largest tensor is placed first, in the smallest gap that is free
    as long as it is in use (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). Each
    size is rounded up to `alignment` bytes.

    `bits` is 8 by default, as after quantisation to int8. Whole numbers that the network itself computes with, such as
    token ids, count at least their own width, and 32 bits at most. The plan is that of a converted network:

    - a batch normalisation, or a scale or shift of each channel, is folded into the convolution or linear layer before
      it, and a ReLU or ReLU6 into the operation before it (these, pooling, and elementwise arithmetic), if nothing else
      reads the result in between;
    - views such as `flatten` and slices, in-place operations, dropout and fake quantisation take no memory;
    - what is the same for any input, such as a mask, is stored with the weights;
    - a transposition and an explicit padding take memory, and an attention takes it for its scores.

    Scratch memory of single kernels and the structures of the runtime come on top. The plan is for the batch of the
    example. With `on`, it is that of a part of the model: the tensors that the part reads or writes, while it runs.

    In a contract: `max-arena = { limit = "16 KiB", bits = 8, alignment = 16 }`

    Example, kept:
        rule = max-arena = "1 KiB"
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
        input = [1, 1, 10, 10]

    Example, broken:
        rule = max-arena = 600
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
        input = [1, 1, 10, 10]
        says = 768 bytes of arena, most at `3` (Conv2d), limit 600 (+168, +28.0 %)

    Example, vacuous:
        rule = max-arena = "1 KiB"
        model = nn.ReLU()
        input = [0, 4]
    """

    limit: int = field(metadata={"unit": "bytes", "least": 0})
    bits: int = field(default=8, metadata={"least": 1})
    alignment: int = field(default=16, metadata={"least": 1})

    def check(self, facts: Facts) -> Result:
        """Plan the pass that needs the largest arena, and compare it with `limit`."""
        demand_reach(self, facts)
        way, activations, plan = max(self._plans(facts), key=lambda each: each[-1].arena)
        if not plan.arena:
            return Result(examined=0, limit=self.limit)
        at = way.ops[plan.peak]
        aside = f", most at {label(at, way)}"
        remedy = f"make what is alive at {label(at, way)} smaller"
        over = excess(self, facts, plan.arena, self.limit, "bytes of arena", aside=aside, remedy=remedy)
        return Result(
            examined=len(plan.buffers),
            findings=tuple(replace(each, layer=at.layer, where=place(at, way)) for each in over),
            found=plan.arena,
            limit=self.limit,
            unit="bytes of arena",
            most=tuple(_lines(plan, way)),
            notes=(*_notes(plan, at, activations.fused, way), *largest_of(facts)),
        )

    def _plans(self, facts: Facts) -> Iterator[tuple[Facts, ActivationBuffers, MemoryPlan]]:
        for way in facts.ways:
            chosen = {op.index for op in way.ops if selects(self.on, op, way)}
            found = activation_buffers(way.ops, way.shape.output_ops, self.bits, chosen)
            yield way, found, plan_memory(found.buffers, self.alignment)


def _notes(plan: MemoryPlan, at: Op, fused: Counter[str], facts: Facts) -> Iterator[str]:
    named, where = label(at, facts), str(place(at, facts) or "")
    peak = f"{plan.alive:,} bytes are alive at {named}" + ("" if named.endswith(where) else f" {where}")
    yield peak if plan.alive == plan.arena else f"{peak}, and no plan takes less"
    if fused:
        yield f"fused into the operation before: {', '.join(f'{count:,} {kind}' for kind, count in fused.items())}"


def _lines(plan: MemoryPlan, facts: Facts) -> Iterator[str]:
    """Yield a line for each tensor that is alive at the peak."""
    alive = plan.at_peak()
    for buffer, size in alive[:_SHOWN]:
        op = facts.ops[buffer.maker]
        layer = facts.layer(op.layer)
        leaf = layer is not None and not facts.has_children(layer.path)
        names = (op.layer, layer.type if layer and leaf else op.op)
        yield share_line(names, size, plan.alive, "" if op.kind == "input" else str(place(op, facts) or ""))
    if rest := alive[_SHOWN:]:
        yield share_line((f"{len(rest):,} more",), sum(size for _, size in rest), plan.alive)
