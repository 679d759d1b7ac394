"""Neighbours: what follows an operation and what precedes it, on every path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import matches_path, selects
from archcheck.rules.base import KINDS, Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.graphs import consumers, dependent_on_input, label, live
from archcheck.rules.queries.paths import firsts, lasts, wrong_follower, wrong_predecessor
from archcheck.rules.queries.placed_findings import op_finding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbours(Rule):
    """The parameters and the result that `followed-by` and `preceded-by` share."""

    each_pass = True
    layer: str = field(metadata=KINDS)
    by: str = field(metadata=KINDS)
    position: Literal["direct", "before-weights"] = "before-weights"
    exempt: tuple[str, ...] = ()

    def _judge(
        self, layers: Sequence[Op], wrong_neighbour: Callable[[Op], str | None], facts: Facts, *, said: str, fix: str
    ) -> Result:
        """Return the result for those of `layers` that are not exempt. `wrong_neighbour` returns what stands in the
        place of `by`, or `None`.
        """
        judged = [op for op in layers if not _is_exempt(op, layers, self.exempt, facts)]
        wrong = [(op, found) for op in judged if (found := wrong_neighbour(op)) is not None]
        exempt = len(layers) - len(judged)
        return Result(
            examined=len(judged),
            findings=tuple(
                op_finding(
                    op, facts, f"{label(op, facts)} is {said} by {found}, not by {self.by}", f"{fix}, or exempt it"
                )
                for op, found in wrong
            ),
            found=len(judged) - len(wrong),
            limit=len(judged),
            unit=self.layer,
            kept=f"{len(judged)} of {len(judged)} {self.layer} {said} by {self.by}",
            notes=(f"{exempt} exempt",) if exempt else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedBy(_Neighbours):
    """Every executed `layer` is followed by `by` on every path to an output.

    `position = "direct"`: `by` is the next operation. `position = "before-weights"`, the default: activation, pooling,
    dropout and reshapes may stand between; another layer with weights or a junction of branches may not. For a layer
    with layers inside, its last operation counts. `exempt` takes selectors and three words: `first` and `last`, the
    first and last such layer of the network, and `1x1`, kernels of one position.

    Example, kept:
        rule = followed-by = { layer = "conv", by = "batch_norm", position = "direct", exempt = ["last"] }
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = followed-by = { layer = "conv", by = "batch_norm", position = "direct" }
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
        input = [1, 1, 8, 8]
        says = `0` (Conv2d) is followed by relu, not by batch_norm

    Example, vacuous:
        rule = followed-by = { layer = "conv", by = "batch_norm" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    def check(self, facts: Facts) -> Result:
        """Follow every path from each layer to the next operation that counts."""
        readers = consumers(facts.ops)
        layers = lasts(live(facts, self.layer, self.on), self.layer, readers, facts)
        wrong = partial(wrong_follower, by=self.by, readers=readers, facts=facts, direct=self.position == "direct")
        return self._judge(layers, wrong, facts, said="followed", fix=f"put {self.by} after it")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecededBy(_Neighbours):
    """Every executed `layer` is preceded by `by` on every path from an input.

    This is the mirror of `followed-by`, for networks that normalise or activate before their weights. `position =
    "direct"`: `by` is the operation directly before. `position = "before-weights"`, the default: activation, pooling,
    dropout and reshapes may stand between; another layer with weights or a junction of branches may not. For a layer
    with layers inside, its first operation counts. `exempt` takes selectors and three words: `first` and `last`, the
    first and last such layer of the network, and `1x1`, kernels of one position.

    Example, kept:
        rule = preceded-by = { layer = "conv", by = "batch_norm", exempt = ["first"] }
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = preceded-by = { layer = "conv", by = "batch_norm" }
        model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        input = [1, 1, 8, 8]
        says = `3` (Conv2d) is preceded by conv, not by batch_norm

    Example, vacuous:
        rule = preceded-by = { layer = "conv", by = "batch_norm" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    def check(self, facts: Facts) -> Result:
        """Follow every path back from each layer to the next operation that counts."""
        dependent = dependent_on_input(facts.ops)
        layers = firsts(live(facts, self.layer, self.on), self.layer, dependent, facts)
        wrong = partial(
            wrong_predecessor, by=self.by, dependent=dependent, facts=facts, direct=self.position == "direct"
        )
        return self._judge(layers, wrong, facts, said="preceded", fix=f"put {self.by} before it")


def _is_exempt(op: Op, layers: Sequence[Op], exempt: Sequence[str], facts: Facts) -> bool:
    """Whether one of the words, or a selector, exempts one of `layers`."""
    for word in exempt:
        if word == "first" and op is layers[0]:
            return True
        if word == "last" and op is layers[-1]:
            return True
        if word == "1x1" and set(op.attributes.get("kernel", ())) == {1}:
            return True
        if word not in ("first", "last", "1x1") and (matches_path(word, op.layer) or selects(word, op, facts)):
            return True
    return False
