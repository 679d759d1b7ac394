"""Measure, judge, waive, report. The only place where a verdict is decided."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcheck.codec import encode
from archcheck.contract import Contract, Stated, SubjectEntry, Waiver
from archcheck.errors import NotMeasured, SubjectError
from archcheck.facts import Facts
from archcheck.findings import Finding, Mishap, Outcome, Report, Result, Verdict
from archcheck.isolate import Worker
from archcheck.rule import Rule, rule_name
from archcheck.selectors import matches_path
from archcheck.where import Where

if TYPE_CHECKING:
    import torch


def measure(model: torch.nn.Module, *, example: Any = None) -> Facts:
    """Measure `model` in this process.

    `example` is a tensor, a tuple of positional inputs or a mapping of keyword inputs; without it the input
    is inferred from the first layer. The model is left as it was.

    Raises:
        SubjectError: the forward pass failed, or the input could not be inferred.
    """
    from archcheck.measure import measure_model

    return measure_model(model, example=example)


def check(model: torch.nn.Module, *, example: Any = None, rules: Iterable[Rule], name: str | None = None) -> Report:
    """Measure `model` in this process and judge it by `rules`; `.verify()` on the report raises when broken.

    Raises:
        SubjectError: the model could not be measured.
    """
    from archcheck.measure import measure_model

    chosen = tuple(rules)
    facts = measure_model(model, example=example, name=name, needs=needs_of(chosen), confirm=True)
    nowhere = Where(file="", line=0)
    stated = [Stated(rule=rule, instance=rule_name(rule), where=nowhere) for rule in chosen]
    return Report(subject=facts.subject.name, facts=facts, outcomes=judge(facts, stated))


def check_contract(contract: Contract, names: Sequence[str] = (), *, worker: Worker | None = None) -> Iterator[Report]:
    """Judge the named subjects of `contract`, all by default, one report at a time and in their order.

    A subject without rules is an error: judging nothing is no pass.
    """
    entries = [contract.subject(name) for name in names] or list(contract.subjects)
    own = worker or Worker()
    try:
        for entry in entries:
            yield check_subject(own, contract, entry) if entry.rules else _without_rules(entry)
    finally:
        if worker is None:
            own.close()


def _without_rules(entry: SubjectEntry) -> Report:
    message = f"nothing is promised: `{entry.name}` at {entry.where} has no rules; state some under its `rules`"
    return Report(subject=entry.name, error=Mishap(kind="no-rules", message=message))


def check_subject(worker: Worker, contract: Contract, entry: SubjectEntry) -> Report:
    """Measure one subject of `contract` in `worker` and judge it; a subject that fails becomes `error`."""
    try:
        facts = measure_subject(worker, contract, entry)
    except SubjectError as error:
        return Report(subject=entry.name, error=Mishap(kind=error.kind, message=str(error)))
    return Report(subject=entry.name, facts=facts, outcomes=judge(facts, entry.rules, entry.waivers))


def measure_subject(worker: Worker, contract: Contract, entry: SubjectEntry) -> Facts:
    """Measure one subject of `contract` in `worker`, with all that its rules need."""
    request = {
        "do": "measure",
        "name": entry.name,
        "target": entry.model,
        "root": str(contract.root),
        "input": encode(entry.input),
        "args": dict(entry.args),
        "meta": entry.meta,
        "needs": sorted(needs_of(stated.rule for stated in entry.rules)),
        "training": encode(entry.training),
    }
    return _facts(worker.ask(request, timeout=entry.timeout))


def measure_target(worker: Worker, target: str, **options: Any) -> Facts:
    """Measure a target that no contract names; `options` are those of a request (`input`, `args`, `meta`, `name`)."""
    request = {"do": "measure", "target": target, "root": str(Path.cwd()), **options}
    return _facts(worker.ask(request))


def _facts(answer: Any) -> Facts:
    try:
        return Facts.from_json(answer)
    except ValueError as error:  # the subject meddled with the answer, or with a cache that it could write
        raise SubjectError("internal", f"what was measured is no report: {error}; try `--no-cache`") from None


def find_models(worker: Worker, target: str) -> tuple[str, ...]:
    """Return the targets (`file.py:Net`) that a file or target stands for."""
    return tuple(worker.ask({"do": "find", "target": target, "root": str(Path.cwd())}))


def needs_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Return what these rules need beyond the graph."""
    return frozenset(need for rule in rules for need in rule.needs)


def judge(facts: Facts, stated: Sequence[Stated], waivers: Sequence[Waiver] = ()) -> tuple[Outcome, ...]:
    """Judge `facts` by every stated rule, in order."""
    outcomes = [_judge_one(facts, rule) for rule in stated]
    # Complaints come after all waiving, so that no waiver excuses the uselessness of another.
    for complaint in [_apply(waiver, outcomes) for waiver in waivers]:
        if complaint:
            at, finding = complaint
            findings = (*outcomes[at].findings, finding)
            outcomes[at] = replace(outcomes[at], verdict=Verdict.BROKEN, findings=findings)
    return tuple(outcomes)


def _judge_one(facts: Facts, stated: Stated) -> Outcome:
    try:
        result = stated.rule.check(facts)
    except NotMeasured as error:
        return _error(stated, Finding(message=str(error), where=error.where, fix=error.fix))
    except Exception as error:  # a rule may be anybody's: its fault must not end the run
        return _error(stated, Finding(message=f"the rule itself failed: {type(error).__name__}: {error}"))
    outcome = _outcome(stated, result, _verdict(stated.rule, result))
    if outcome.contract is None or outcome.contract.line:
        return outcome
    return replace(outcome, contract=None)


def _error(stated: Stated, finding: Finding) -> Outcome:
    return _outcome(stated, Result(examined=0, findings=(finding,)), Verdict.ERROR)


def _verdict(rule: Rule, result: Result) -> Verdict:
    if result.findings:
        return Verdict.BROKEN
    if result.examined == 0 and not rule.prohibition and not rule.allow_empty:
        return Verdict.VACUOUS
    return Verdict.KEPT


def _outcome(stated: Stated, result: Result, verdict: Verdict) -> Outcome:
    return Outcome(
        rule=rule_name(stated.rule),
        instance=stated.instance,
        verdict=verdict,
        found=result.found,
        limit=result.limit,
        unit=result.unit,
        kept=result.kept if verdict is Verdict.KEPT else None,
        findings=result.findings,
        most=result.most,
        notes=result.notes,
        because=stated.rule.because,
        contract=stated.where,
    )


def _apply(waiver: Waiver, outcomes: list[Outcome]) -> tuple[int, Finding] | None:
    """Waive what `waiver` accepts in every instance of its rule; return the complaint if it is of no use.

    The complaint comes with the index of the outcome that shall carry it, the first one that was judged.
    """
    named = [at for at, outcome in enumerate(outcomes) if waiver.rule in (outcome.rule, outcome.instance)]
    judged = [at for at in named if outcomes[at].verdict is not Verdict.ERROR]
    if not _expired(waiver):
        waived = {at: _waive(outcomes[at], waiver) for at in judged}
        matches = any(outcome is not outcomes[at] for at, outcome in waived.items())
        # An instance that could not be judged may hold what the waiver is for.
        if matches or len(judged) < len(named):
            for at, outcome in waived.items():
                outcomes[at] = outcome
            return None
    return (judged[0], _useless(waiver)) if judged else None


def _waive(outcome: Outcome, waiver: Waiver) -> Outcome:
    """Take out the findings that `waiver` accepts; return the same outcome if there are none."""
    accepted = tuple(finding for finding in outcome.findings if _accepts(waiver, finding))
    if not accepted:
        return outcome
    left = tuple(finding for finding in outcome.findings if finding not in accepted)
    return replace(
        outcome,
        verdict=Verdict.BROKEN if left else Verdict.WAIVED,
        findings=left,
        waived=outcome.waived + accepted,
        waiver="; ".join(filter(None, (outcome.waiver, waiver.reason))),
    )


def _accepts(waiver: Waiver, finding: Finding) -> bool:
    if waiver.layer is None:
        return True
    return finding.layer is not None and matches_path(waiver.layer, finding.layer)


def _expired(waiver: Waiver) -> bool:
    return waiver.until is not None and waiver.until < datetime.date.today()


def _useless(waiver: Waiver) -> Finding:
    state = f"expired on {waiver.until}" if _expired(waiver) else "matches no finding"
    return Finding(
        message=f"the waiver at {waiver.where} {state}",
        where=waiver.where,
        fix=f"remove the waiver at {waiver.where}, or mend it",
    )


def exit_code(reports: Iterable[Report]) -> int:
    """Return the exit code of a run: 2 if anything could not be checked, else 1 if anything is broken, else 0."""
    return max((report.exit_code for report in reports), default=0)
