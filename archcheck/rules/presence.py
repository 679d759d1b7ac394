"""Presence: which kinds of operations run and take effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from archcheck.facts import Facts
from archcheck.findings import Finding, Result
from archcheck.rule import Rule
from archcheck.rules.graphs import effective, label, leaks, place, shortfalls
from archcheck.rules.scope import demand_reach, reach
from archcheck.selectors import selects

_KINDS = {"kinds": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires(Rule):
    """Each of `kinds` is executed, takes effect, and reaches an output.

    A layer that is declared and never called does not count, nor one on a branch whose result is dropped, nor
    dropout of rate 0, nor a pooling of a map that is one position already. A dropout that stays on in evaluation
    breaks a promise of `dropout`, whatever else is there.
    How it is written makes no difference: `F.dropout` is `dropout`, `x.mean((2, 3))` is `global_avg_pool`.

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

    kinds: tuple[str, ...] = field(metadata=_KINDS)

    def check(self, facts: Facts) -> Result:
        """Look for one effective operation of every kind."""
        if not (examined := reach(facts, self.on)):
            return Result(examined=0, limit=list(self.kinds))
        present = {kind: len(effective(facts, kind, self.on)) for kind in self.kinds}
        return Result(
            examined=examined,
            findings=tuple(finding for kind in self.kinds for finding in self._findings(kind, present[kind], facts)),
            found=[f"{count} {kind}" for kind, count in present.items()],
            limit=list(self.kinds),
            kept=", ".join(f"{count} {kind}" for kind, count in present.items()),
        )

    def _findings(self, kind: str, present: int, facts: Facts) -> Iterator[Finding]:
        leaking = leaks(facts, self.on) if kind == "dropout" else []
        absent = "" if present else "no dropout takes effect: "
        for leak in leaking:
            message = f"{absent}{label(leak.op, facts)} {leak.fault}"
            yield Finding(
                message=message, layer=leak.op.layer, where=place(leak.op, facts), fix=_remedy("dropout", declared=True)
            )
        if not present and not leaking:
            yield absence(facts, kind, self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiresAny(Rule):
    """At least one of `kinds` is executed, takes effect, and reaches an output.

    Example, kept:
        rule = requires-any = ["global_avg_pool", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        input = [1, 1, 8, 8]

    Example, broken:
        rule = requires-any = ["global_avg_pool", "linear"]
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        input = [1, 1, 8, 8]
        says = none of global_avg_pool, linear takes effect
    """

    kinds: tuple[str, ...] = field(metadata=_KINDS)

    def check(self, facts: Facts) -> Result:
        """Look for one effective operation of any kind."""
        if not (examined := reach(facts, self.on)):
            return Result(examined=0, limit=list(self.kinds))
        present = [kind for kind in self.kinds if self._is_kept(kind, facts)]
        findings: tuple[Finding, ...] = ()
        if not present:
            hints = [absence(facts, kind, self.on) for kind in self.kinds]
            best = next((hint for hint in hints if hint.layer is not None), hints[0])
            message = f"none of {', '.join(self.kinds)} takes effect"
            detail = best.message.partition(": ")[2]
            findings = (
                Finding(message=f"{message}: {detail}" if detail else message, layer=best.layer, where=best.where),
            )
        return Result(
            examined=examined,
            findings=findings,
            found=present,
            limit=list(self.kinds),
            kept=" and ".join(present),
        )

    def _is_kept(self, kind: str, facts: Facts) -> bool:
        if kind == "dropout" and leaks(facts, self.on):
            return False
        return bool(effective(facts, kind, self.on))


def absence(facts: Facts, kind: str, on: str | None) -> Finding:
    """Say that no operation of `kind` takes effect, and what comes closest to one."""
    reason, layer, op = next(shortfalls(facts, kind, on), ("", None, None))
    where = place(op, facts) if op else layer.where if layer else facts.subject.where
    message = f"no {kind} takes effect" + (f": {reason}" if reason else ", and none is executed")
    return Finding(
        message=message, layer=layer.path if layer else None, where=where, fix=_remedy(kind, declared=bool(layer))
    )


def _remedy(kind: str, *, declared: bool) -> str:
    if kind == "dropout":
        return (
            "give it a rate above 0 and turn it off in evaluation: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`"
        )
    if kind == "global_avg_pool":
        return "average over the whole map: `nn.AdaptiveAvgPool2d(1)`, or `x.mean((2, 3))`"
    return (
        f"call it in `forward` on the way to the output, or drop {kind} from the contract"
        if declared
        else f"add {kind}"
    )


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
    kinds: tuple[str, ...] = field(metadata=_KINDS)

    def check(self, facts: Facts) -> Result:
        """Look at every operation of both modes."""
        demand_reach(self, facts)
        ops = {(op.layer, op.op, op.where): op for mode in ("eval", "train") for op in facts.executed(mode)}
        bad = [
            (kind, op)
            for op in ops.values()
            for kind in self.kinds
            if selects(kind, op, facts) and selects(self.on, op, facts)
        ]
        findings = tuple(
            Finding(message=f"{kind} is executed by {label(op, facts)}", layer=op.layer, where=place(op, facts))
            for kind, op in bad
        )
        return Result(examined=len(bad), findings=findings, found=len(bad), limit=0, unit="operations")
