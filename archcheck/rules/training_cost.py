"""A budget for the cost of a training step: multiply-accumulates, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import selects
from archcheck.foundation.errors import NotMeasured
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.bounds import demand_known, excess
from archcheck.rules.queries.per_extent import Per, Shared, check_per, needs_of, shared
from archcheck.rules.queries.scope import reach
from archcheck.rules.queries.value_passes import largest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxTrainingMacs(Rule):
    """At most `limit` multiply-accumulates in a training step on the example input, forward and backward.

    The forward operations in training mode count as in `max-macs`. In the backward pass, a product counts its forward
    cost again for the gradient of each operand that needs one. A linear layer or convolution counts once for its
    weight, if the weight is trained, and once for its input, if a trained parameter comes before it. A network
    therefore costs about three forward passes, and a network with frozen first layers little more than one. Nothing
    counts behind `detach()`, under `torch.no_grad()`, or where no output is reached. In attention and recurrent layers,
    each product inside counts separately. The optimiser, the loss and the second forward pass of checkpointing do not
    count. With `on`, the operations of a part count, with their gradients. For operations of unknown cost see
    `max-macs`.

    Example, kept:
        rule = max-training-macs = "200"
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        input = [1, 4]

    Example, broken:
        rule = max-training-macs = 100
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        input = [1, 4]
        says = 112 multiply-accumulates in a training step (48 forward, 64 backward), limit 100 (+12, +12.0 %)

    Example, broken:
        rule = max-training-macs = { limit = 40, on = "2" }
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        input = [1, 4]
        says = 48 multiply-accumulates in a training step in `2` (16 forward, 32 backward), limit 40 (+8, +20.0 %)

    Example, vacuous:
        rule = max-training-macs = "1k"
        model = nn.ReLU()
        input = [1, 4]
    """

    limit: int = field(metadata={"unit": "macs", "least": 0})
    free: tuple[str, ...] = ()
    per: Per = field(default_factory=dict, metadata={"check": check_per})

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe of an axis that `per` names."""
        return needs_of(self.per)

    def check(self, facts: Facts) -> Result:
        """Compare the cost of a step with `limit`."""
        ops = [op for op in facts.executed("train") if selects(self.on, op, facts)]
        if not facts.cost.backward:  # facts that an older version has written lack it as well
            raise NotMeasured("the cost of a training step was not measured")
        forward, backward = _largest_step(ops, facts)
        parts = f"{forward:,} forward, {backward:,} backward"
        whole = Shared(found=forward + backward, unit="multiply-accumulates in a training step", parts=parts)
        share = shared(self, self.per, facts, ops, whole)
        if share.found <= self.limit:
            uncounted = set(facts.cost.training_uncounted)
            demand_known(facts, uncounted if self.on is None else uncounted & {op.op for op in ops}, self.free)
        return Result(
            examined=whole.found if self.on is None else reach(facts, self.on),
            findings=excess(self, facts, share.found, self.limit, share.unit, aside=share.aside, remedy=_CHEAPER),
            found=share.found,
            limit=self.limit,
            unit=share.unit,
            notes=(*share.notes, *largest_of(facts, "train")),
        )


def _largest_step(ops: Sequence[Op], facts: Facts) -> tuple[int, int]:
    """Return the multiply-accumulates of operations and of their gradients, in the pass that takes most of both."""
    chosen = {op.index for op in ops}
    steps = [
        (
            sum(dict(op.runs).get(number, 0) if op.runs else op.macs for op in ops),
            sum(macs for index, macs in gradients if index in chosen),
        )
        for number, gradients in enumerate(facts.cost.backward)
    ]
    return max(steps, key=sum, default=(0, 0))


_CHEAPER = "freeze what need not be trained, or make the network or the batch smaller"
