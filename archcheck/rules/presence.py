"""Presence: which kinds of operations run and take effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import instance, is_layer_type, kinds_of, selects, selects_layer
from archcheck.foundation.source_place import Where
from archcheck.rules.base import KINDS, Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.dropouts import active_in_evaluation
from archcheck.rules.queries.effects import effective, near_misses, pointwise_note
from archcheck.rules.queries.graphs import label, place
from archcheck.rules.queries.placed_findings import model_finding, op_finding
from archcheck.rules.queries.remedies import addition, repair
from archcheck.rules.queries.scope import demand_reach, reach
from archcheck.rules.queries.value_passes import decided_at, in_passes, share


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires(Rule):
    """Each of `kinds` is executed, takes effect, and reaches an output.

    These do not count: a layer that is declared and never called, a layer whose result reaches no output, dropout of
    rate 0, a pooling of a map that has one position already, and an attention to a single position. A dropout that
    stays on in evaluation breaks `dropout`, even if there are others.
    The spelling makes no difference: `F.dropout` is `dropout`, and `x.mean((2, 3))` is `global_avg_pool`.
    `linear` is a product with a weight. A 1x1 convolution on a 1x1 map counts, too, and the report says so. A
    convolution whose kernel covers a whole map of more than one position is `global_conv`, not `linear`.
    Where values decide what runs, the model runs at least 16 times on varied inputs. A kind must take effect in one of
    these passes. The report gives their number if it is not all.

    Example, kept:
        rule = requires = ["batch_norm", "dropout"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.1))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = requires = ["dropout"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.0))
        input = [1, 1, 8, 8]
        says = no dropout takes effect: `1` (Dropout) has rate 0
    """

    kinds: tuple[str, ...] = field(metadata=KINDS)

    def check(self, facts: Facts) -> Result:
        """Look for one effective operation of every kind."""
        if not (examined := reach(facts, self.on)):
            return Result(examined=0, limit=list(self.kinds))
        present = {kind: effective(facts, kind, self.on) for kind in self.kinds}
        return Result(
            examined=examined,
            findings=tuple(each for kind in self.kinds for each in self._findings(kind, len(present[kind]), facts)),
            found=[f"{len(ops)} {kind}" for kind, ops in present.items()],
            limit=list(self.kinds),
            kept=", ".join(
                f"{len(ops)} {kind}{pointwise_note(ops)}{_share(kind, ops, facts)}" for kind, ops in present.items()
            ),
        )

    def _findings(self, kind: str, present: int, facts: Facts) -> Iterator[Finding]:
        leaking = active_in_evaluation(facts, self.on) if kind == "dropout" else []
        absent = "" if present else "no dropout takes effect: "
        for leak in leaking:
            yield op_finding(leak.op, facts, f"{absent}{label(leak.op, facts)} {leak.fault}", leak.fix)
        if not present and not leaking:
            yield absence(facts, kind, self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiresAny(Rule):
    """At least one of `kinds` is executed, takes effect, and reaches an output.

    A kind counts as in `requires`: `linear` is a product with a weight, or a 1x1 convolution on a 1x1 map, and the
    report says so. A convolution whose kernel covers a whole map of more than one position is `global_conv`, not
    `linear`.

    Example, kept:
        rule = requires-any = ["global_avg_pool", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        input = [1, 1, 8, 8]

    Example, broken:
        rule = requires-any = ["global_avg_pool", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        input = [1, 1, 8, 8]
        says = none of global_avg_pool, linear takes effect

    Example, broken:
        rule = requires-any = ["global_avg_pool", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 6), nn.Conv2d(4, 10, 3), nn.Flatten())
        input = [1, 1, 8, 8]
        says = none of global_avg_pool, linear takes effect
    """

    kinds: tuple[str, ...] = field(metadata=KINDS)

    def check(self, facts: Facts) -> Result:
        """Look for one effective operation of any kind."""
        if not (examined := reach(facts, self.on)):
            return Result(examined=0, limit=list(self.kinds))
        present = [kind for kind in self.kinds if self._is_kept(kind, facts)]
        findings: tuple[Finding, ...] = ()
        if not present:
            findings = (_absence_of_all(facts, self.kinds, self.on),)
        return Result(
            examined=examined,
            findings=findings,
            found=present,
            limit=list(self.kinds),
            kept=" and ".join(
                kind + pointwise_note(ops) + _share(kind, ops, facts)
                for kind in present
                if (ops := effective(facts, kind, self.on))
            ),
        )

    def _is_kept(self, kind: str, facts: Facts) -> bool:
        if kind == "dropout" and active_in_evaluation(facts, self.on):
            return False
        return bool(effective(facts, kind, self.on))


def _share(kind: str, ops: Sequence[Op], facts: Facts) -> str:
    """Return in how many passes a kind takes effect, if not in all."""
    return share(facts, ops, "train" if kind == "dropout" else "eval")


def absence(facts: Facts, kind: str, on: str | None, *, alone: bool = True) -> Finding:
    """Return the finding that no operation of `kind` takes effect, with what comes closest to one.

    `kind` is not `alone` if others would do.
    """
    reason, layer, op = next(near_misses(facts, kind, on), ("", None, None))
    if not reason:
        return _nothing(facts, f"no {kind}", addition(kind), on)
    message = f"no {kind} takes effect: {reason}{in_passes(facts)}"
    if layer and not layer.called and (decided := decided_at(facts, layer.path)):
        message += f"; {decided}"
    where = place(op, facts) if op else facts.built_at(layer.path) if layer else facts.subject.where
    return Finding(
        message=message, layer=layer.path if layer else "", where=where, fix=repair(kind, op, facts, alone=alone)
    )


def _absence_of_all(facts: Facts, kinds: Sequence[str], on: str | None) -> Finding:
    """Return the finding that none of `kinds` takes effect, with what comes closest to any of them."""
    near = [kind for kind in kinds if any(True for _ in near_misses(facts, kind, on))]
    if not near:
        named = f"no {kinds[0]}" if len(kinds) == 1 else f"none of {', '.join(kinds)}"
        return _nothing(facts, named, ", or ".join(dict.fromkeys(map(addition, kinds))), on)
    hints = [absence(facts, kind, on, alone=len(kinds) == 1) for kind in near]
    best = next((hint for hint in hints if hint.layer), hints[0])
    message = f"none of {', '.join(kinds)} takes effect: {best.message.partition(': ')[2]}"
    return replace(best, message=message)


def _nothing(facts: Facts, what: str, fix: str, on: str | None) -> Finding:
    part = f"`{on}`" if on else "the model"
    return model_finding(facts, f"{part} executes {what}{in_passes(facts)}", fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbids(Rule):
    """No operation of `kinds` is executed, whether or not its result reaches an output.

    Example, kept:
        rule = forbids = ["linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        input = [1, 1, 8, 8]

    Example, broken:
        rule = forbids = ["linear"]
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        input = [1, 1, 8, 8]
        says = linear is executed by `1` (Linear)
    """

    prohibition = True
    kinds: tuple[str, ...] = field(metadata=KINDS)

    def check(self, facts: Facts) -> Result:
        """Look at every operation of both modes."""
        demand_reach(self, facts)
        bad = {
            (kind, op.layer, op.op, op.where): (kind, op, mode)
            for mode in ("eval", "train")
            for op in facts.executed(mode)
            for kind in self.kinds
            if selects(kind, op, facts) and selects(self.on, op, facts)
        }
        findings = tuple(
            op_finding(
                op,
                facts,
                f"{kind} is executed by {label(op, facts)}{share(facts, [op], mode)}",
                f"remove it, or take {kind} out of forbids",
            )
            for kind, op, mode in bad.values()
        )
        return Result(examined=len(bad), findings=findings, found=len(bad), limit=0, unit="operations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Rule):
    """The number of `kind` that takes effect is between `min` and `max`.

    A kind or group counts the executed operations that reach an output; each call of a shared layer counts. A layer
    type counts the layers that run. A path counts the outermost layers that it matches. Without `min`, a count of zero
    is vacuous.

    Example, kept:
        rule = count = { kind = "conv", min = 2, max = 3 }
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = count = { kind = "Conv2d", min = 3 }
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        input = [1, 1, 8, 8]
        says = 2 Conv2d, at least 3 are asked for

    Example, vacuous:
        rule = count = { kind = "conv", max = 3 }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    each_pass = True
    kind: str = field(metadata=KINDS)
    min: int | None = None
    max: int | None = None

    def __post_init__(self) -> None:
        """Refuse a count without bounds, and bounds that nothing can keep."""
        Rule.__post_init__(self)
        low, high = self.min or 0, self.max
        if self.min is None and high is None:
            raise ValueError("give `min`, `max` or both")
        if low < 0 or (high is not None and high < max(low, 1)):
            raise ValueError(f"`min` and `max` must be 1 or more and in this order, found {low} and {high}")

    def check(self, facts: Facts) -> Result:
        """Count, and compare."""
        if not (examined := reach(facts, self.on)):
            return Result(examined=0, limit=self._wanted())
        counted = _counted(self.kind, self.on, facts)
        found = len(counted)
        low, high = self.min or 0, self.max
        findings: tuple[Finding, ...] = ()
        if found < low:
            findings = (self._finding(found, f"at least {low:,} are asked for", f"add {self.kind}", facts),)
        elif high is not None and found > high:
            path, where = counted[high]
            message, fix = f"at most {high:,} are allowed: `{path}` is beyond", f"remove {found - high:,} {self.kind}"
            findings = (self._finding(found, message, fix, facts, layer=path, where=where),)
        return Result(
            examined=examined if low else found,
            findings=findings,
            found=found,
            limit=self._wanted(),
            unit=self.kind,
            kept=f"{found:,} {self.kind}, asked for {self._wanted()}",
        )

    def _finding(
        self, found: int, says: str, fix: str, facts: Facts, *, layer: str = "", where: Where | None = None
    ) -> Finding:
        message = f"{found:,} {self.kind}, {says}"
        return Finding(message=message, layer=layer, where=where or facts.subject.where, fix=f"{fix}, or change count")

    def _wanted(self) -> str:
        if self.min == self.max:
            return f"exactly {self.min:,}"
        bounds = [f"at least {self.min:,}" if self.min else "", f"at most {self.max:,}" if self.max else ""]
        return " and ".join(filter(None, bounds))


def _counted(kind: str, on: str | None, facts: Facts) -> list[tuple[str, Where | None]]:
    """Return the layer and the place of each operation, or of each layer, that counts as `kind`."""
    if kinds_of(kind):
        return [(op.layer, place(op, facts)) for each in kinds_of(kind) for op in effective(facts, each, on)]
    layers = [layer for layer in facts.layers if layer.live and selects_layer(on, layer, facts)]
    if is_layer_type(kind):
        return [(layer.path, layer.where) for layer in layers if layer.type == kind]
    found = dict.fromkeys(path for layer in layers if (path := instance(kind, layer.path, facts)) is not None)
    return [(path, layer.where) for path in found if (layer := facts.layer(path)) is not None]
