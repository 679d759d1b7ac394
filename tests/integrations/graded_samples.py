"""A small class as reports: what each receiver of grades is tested with."""

from __future__ import annotations

from archcheck.foundation.source_place import Where
from archcheck.integrations.grades import Grade, grade_of
from archcheck.rules.findings import Finding, MeasurementFailure, Outcome, Report, Verdict
from tests.render.samples import plain_net

CONTRACT = Where(file="archcheck.toml", line=7)
HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>../../x\n](y)"


def outcome(verdict: Verdict = Verdict.KEPT, **values: object) -> Outcome:
    given = {"rule": "max-params", "instance": "max-params", "title": "At most 100 parameters", "contract": CONTRACT}
    return Outcome(**{**given, "verdict": verdict, "points": 2.0, "earned": 2.0, **values})  # type: ignore[arg-type]


def too_large(**values: object) -> Outcome:
    fix = "remove 12 parameters, or raise max-params"
    finding = Finding(message="112 parameters, limit 100 (+12, +12.0 %)", where=Where(file="model.py", line=3), fix=fix)
    return outcome(
        Verdict.BROKEN, **{"findings": (finding,), "earned": 1.0, "because": "the device is small", **values}
    )


def report(student: str, *outcomes: Outcome, **values: object) -> Report:
    points = sum(each.points or 0 for each in outcomes)
    earned = sum(each.earned or 0 for each in outcomes)
    measured = {"subject": f"homework[{student}]", "facts": plain_net(), "outcomes": outcomes}
    return Report(**{**measured, "points": points, "earned": earned, **values})  # type: ignore[arg-type]


def failed(student: str, kind: str = "syntax", message: str = "`model.py` has a syntax error at 1") -> Report:
    error = MeasurementFailure(kind=kind, message=message)
    return Report(subject=f"homework[{student}]", error=error, points=3.0, earned=0.0)


def small_class() -> list[Grade]:
    """One who has done all, one who has done a part, one whose names are hostile, and one who could not be measured."""
    other = outcome(rule="requires", instance="requires", title="BatchNorm is applied", points=1.0, earned=1.0)
    empty = outcome(Verdict.VACUOUS, rule="head", instance="head", title=HOSTILE, points=1.0, earned=0.0)
    return [
        grade_of(report("ada", outcome(), other)),
        grade_of(report("ben", too_large(), other)),
        grade_of(report(HOSTILE, too_large(title=HOSTILE, because=HOSTILE), empty)),
        grade_of(failed("zoe")),
    ]
