"""Budgets for the cost of a forward pass: multiply-accumulates, activations, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archcheck.facts.activations import activations_of
from archcheck.facts.calls import CALLS
from archcheck.facts.cross_checks import check_tool
from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import selects
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.bounds import demand_counted, excess, hidden_bytes
from archcheck.rules.queries.contributors import largest_layers, largest_maps
from archcheck.rules.queries.per_extent import Per, Shared, check_per, needs_of, shared
from archcheck.rules.queries.scope import reach
from archcheck.rules.queries.value_passes import largest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxMacs(Rule):
    """At most `limit` multiply-accumulates in a forward pass on the example input, in evaluation mode.

    One multiply-add counts as one. Convolutions, linear maps, products, recurrent layers and attention count; published
    FLOPs are often twice as many. The count is for the whole batch of the example. A sparse matrix counts the elements
    that it stores. Where the number of products depends on the algorithm, a formula gives it, for each matrix or line:

    - a Fourier transform of n points: 2 n log2 n, half of that where one side is real (Cooley and Tukey, 1965);
    - distances of all pairs of P and R points of M coordinates: P R M;
    - sampling on a grid, for each element of the result: 4 of a map, 8 of a volume, 16 bicubic, 0 nearest;
    - LU n^3 / 3, Cholesky n^3 / 6, QR of m x n 2 n^2 (m - n / 3), an inverse n^3; a solution n^2 for each right-hand
      side on top of its factorisation, n^2 / 2 for a triangle (LAPACK Working Note 41, 1999);
    - eigenvalues 2/3 n^3 of a symmetric matrix and 5 n^3 of any other, with vectors 9/2 n^3 and 25/2 n^3; singular
      values m n^2 + n^3, with vectors 3 m n^2 + 10 n^3 (Golub and Van Loan, Matrix Computations, 2013);
    - the exponential of a matrix: 5 n^3 (Bader, Blanes and Casas, 2019).

    Elementwise operations that are written as a product, as in `(x[:, None] * w).sum(-1)`, count as the product. If the
    cost of an executed operation is unknown, a sum within the limit proves nothing, and the verdict is `error`. `free`
    names operations that cost nothing. The key `costs` of the subject gives the cost of your own operators in each
    call, as a number or as a formula of sizes: `costs = { "mylib::scan" = "2 * x.numel * weight.shape[0]" }`.

    Where values decide what runs, the model runs at least 16 times on varied inputs. The largest of these passes
    counts, and a note says so.

    `as` names a tool, and the number that this tool prints is held to the limit: `{ limit = "30M", as = "torchinfo" }`.
    A note says the true number, and what the tool counts otherwise. The page `counting` lists the tools. In Python the
    parameter is `as_`.

    `per` states the limit for a stretch of the input, such as a second of sound: `per = { axis = "length", size =
    16_000 }`. The cost of the example is divided by its extent along that axis, and multiplied by `size`. `axis` is
    `length` (or `time`), `height`, `width`, `depth`, `batch`, or the number of an axis; `input` is the position (from
    0) or the keyword of another input. A longer stretch than the example is an error for attention, whose cost grows
    faster than the input.

    Example, kept:
        rule = max-macs = "1k"
        model = nn.Conv2d(1, 2, 3)
        input = [1, 1, 8, 8]

    Example, broken:
        rule = max-macs = 600
        model = nn.Conv2d(1, 2, 3)
        input = [1, 1, 8, 8]
        says = 648 multiply-accumulates, limit 600 (+48, +8.0 %)

    Example, broken:
        rule = max-macs = { limit = 700, as = "torchinfo" }
        model = nn.Sequential(nn.Conv2d(1, 2, 3))
        input = [1, 1, 8, 8]
        says = 720 mult-adds of torchinfo, limit 700 (+20, +2.9 %)

    Example, broken:
        rule = max-macs = { limit = "30k", per = { axis = "time", size = 16_000 } }
        model = nn.Conv1d(1, 2, 1)
        input = [1, 1, 32_000]
        says = 32,000 multiply-accumulates per 16,000 positions (64,000 for 32,000), limit 30,000 (+2,000, +6.7 %)

    Example, vacuous:
        rule = max-macs = { limit = 600, on = "conv" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    limit: int = field(metadata={"unit": "macs", "least": 0})
    free: tuple[str, ...] = ()
    as_: str | None = None
    per: Per = field(default_factory=dict, metadata={"check": check_per})

    def __post_init__(self) -> None:
        """Refuse an unknown tool, and free operations of a tool that knows its own."""
        Rule.__post_init__(self)
        if self.as_ is not None:
            check_tool(self.as_)
            if self.free:
                raise ValueError(f"`free` has no meaning beside `as`: what {self.as_} does not know is free there")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The record of calls, where a tool counts, and the probe of an axis that `per` names."""
        return (*needs_of(self.per), *((CALLS,) if self.as_ is not None else ()))

    def check(self, facts: Facts) -> Result:
        """Compare the sum over the executed operations with `limit`."""
        if self.as_ is not None:
            from archcheck.rules.queries.tool_counts import held_to_tool  # most contracts name no tool

            return held_to_tool(self, facts, self.as_, self.limit, self.per)
        ops = [op for op in facts.ops if selects(self.on, op, facts)]
        found = _of_largest_pass(facts, self.on, lambda own: sum(op.macs for op in own))
        share = shared(self, self.per, facts, ops, Shared(found=found, unit="multiply-accumulates"))
        if share.found <= self.limit:
            demand_counted(facts, self.on, self.free)
        bounds = ", ".join(facts.cost.bounds)
        bounded = (f"sizes that depend on data were bounded: {bounds}",) if bounds else ()
        return Result(
            examined=reach(facts, self.on),
            findings=excess(self, facts, share.found, self.limit, share.unit, aside=share.aside),
            found=share.found,
            limit=self.limit,
            unit=share.unit,
            most=largest_layers(facts, ops, lambda own: sum(op.macs for op in own), found),
            notes=(*share.notes, *bounded, *largest_of(facts)),
        )


def _of_largest_pass(facts: Facts, on: str | None, amount: Callable[[Sequence[Op]], int]) -> int:
    """Return the largest amount that the operations which `on` points at have in any pass."""
    return max(amount([op for op in one.ops if selects(on, op, one)]) for one in facts.ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxActivations(Rule):
    """At most `limit` elements of activations: those of the outputs of convolutions and matrix products.

    This is the convention of published tables. Among the figures that can be counted, it predicts the time on a GPU
    best (Radosavovic et al., "Designing Network Design Spaces", 2020). The count is for the whole batch of the example;
    for `per` see `max-macs`.

    Example, kept:
        rule = max-activations = 72
        model = nn.Conv2d(1, 2, 3)
        input = [1, 1, 8, 8]

    Example, broken:
        rule = max-activations = 60
        model = nn.Conv2d(1, 2, 3)
        input = [1, 1, 8, 8]
        says = 72 activations, limit 60 (+12, +20.0 %)

    Example, vacuous:
        rule = max-activations = { limit = "1k", on = "conv" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    limit: int = field(metadata={"unit": "elements", "least": 0})
    per: Per = field(default_factory=dict, metadata={"check": check_per})

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe of an axis that `per` names."""
        return needs_of(self.per)

    def check(self, facts: Facts) -> Result:
        """Compare the sum over the executed operations with `limit`."""
        ops = [op for op in facts.ops if selects(self.on, op, facts)]
        found = _of_largest_pass(facts, self.on, activations_of)
        share = shared(self, self.per, facts, ops, Shared(found=found, unit="activations"))
        return Result(
            examined=reach(facts, self.on),
            findings=excess(self, facts, share.found, self.limit, share.unit, aside=share.aside),
            found=share.found,
            limit=self.limit,
            unit=share.unit,
            most=largest_layers(facts, ops, activations_of, found),
            notes=(*share.notes, *largest_of(facts)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPeakMemory(Rule):
    """At most `limit` bytes of activations live at the same time, on the example input in evaluation mode.

    Inputs and intermediate results count as long as something holds them. Views and in-place operations share their
    memory. Parameters and buffers do not count. `with-parameters = true` adds them, for a device that has no other
    memory.

    Example, kept:
        rule = max-peak-memory = "1 KiB"
        model = nn.Linear(4, 8)
        input = [1, 4]

    Example, broken:
        rule = max-peak-memory = { limit = 200, with-parameters = true }
        model = nn.Linear(4, 8)
        input = [1, 4]
        says = 208 bytes at the peak (48 of activations, 160 of parameters and buffers), limit 200 (+8, +4.0 %)

    Example, vacuous:
        rule = max-peak-memory = "1 KiB"
        model = nn.ReLU()
        input = [0, 4]
    """

    narrows = False
    as_a_whole = "a peak is one moment of the whole pass; `max-arena` with `on` plans the memory of a part alone"
    limit: int = field(metadata={"unit": "bytes", "least": 0})
    with_parameters: bool = False

    def check(self, facts: Facts) -> Result:
        """Compare the peak with `limit`."""
        activations = facts.cost.peak_activation_bytes
        stored = facts.params.bytes + hidden_bytes(facts) if self.with_parameters else 0
        parts = f" ({activations:,} of activations, {stored:,} of parameters and buffers)" if stored else ""
        found, unit = activations + stored, "bytes at the peak"
        remedy = "make the maps early on or the batch smaller, or lower the precision"
        return Result(
            examined=found,
            findings=excess(self, facts, found, self.limit, unit, aside=parts, remedy=remedy),
            found=found,
            limit=self.limit,
            unit=unit,
            most=largest_maps(facts) if found > self.limit else (),
        )
