"""Measure, judge, waive, report. The only place where a verdict is decided."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcheck.contract import Contract, Stated, SubjectEntry, Waiver
from archcheck.contract.document import show_path
from archcheck.contract.specifications import called, import_limit
from archcheck.facts import snapshot
from archcheck.facts.facts import Facts
from archcheck.facts.operator_costs import Stated as StatedCost
from archcheck.facts.weight_files import Weights
from archcheck.foundation.errors import NotMeasured, SubjectError
from archcheck.foundation.json_codec import decode, encode
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Texts, read_text
from archcheck.foundation.words import visible
from archcheck.judging.artifact_sizes import sizes_of
from archcheck.judging.waivers import waive
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Finding, MeasurementFailure, Outcome, Report, Result, Verdict, figures, sum_points
from archcheck.rules.queries.scope import unreached
from archcheck.rules.queries.value_passes import checked
from archcheck.workers.worker_process import Worker

if TYPE_CHECKING:
    import torch


def measure(
    model: torch.nn.Module,
    *,
    example: Any = None,
    confirm: bool = True,
    costs: Mapping[str, StatedCost] | None = None,
    call: str | None = None,
    training_example: Any = None,
) -> Facts:
    """Measure `model` in this process, and return the facts.

    `example` is a tensor, a tuple of positional inputs or a mapping of keyword inputs. Without it the input is inferred
    from the first layer. A real forward pass in each mode confirms the shapes. With `confirm=False` there is no such
    pass, and the facts have a note. The model is left unchanged. `costs` are multiply-accumulates of your own
    operators, as in a contract. `call` names the method to measure instead of `forward`: `"act"`. `training_example` is
    the input in training mode, if it is another one.

    Raises:
        SubjectError: the model has no method `call`, the forward pass failed, or the input could not be inferred.
    """
    from archcheck.measure import measure_model

    facts = measure_model(
        model, example=example, confirm=confirm, costs=costs, call=call, training_example=training_example
    )
    return facts if confirm else facts.noting("not confirmed on real numbers, as asked")


def check(model: torch.nn.Module, *, rules: Iterable[Rule | Stated], name: str | None = None, **how: Any) -> Report:
    """Measure `model` in this process, judge it by `rules`, and return the report. `report.verify()` raises if a rule
    is broken. `how` are `example`, `training_example`, `call` and `costs`, as for `measure`.

    Raises:
        SubjectError: the model could not be measured.
    """
    from archcheck.measure import measure_model

    stated = tuple(rule if isinstance(rule, Stated) else stated_in_python(rule) for rule in rules)
    chosen = tuple(each.rule for each in stated)
    facts = measure_model(model, name=name, needs=needs_of(chosen), confirm=True, **how)
    return graded(Report(subject=facts.subject.name, facts=facts, outcomes=judge(facts, stated)), chosen)


def stated_in_python(rule: Rule) -> Stated:
    """Return a rule that no contract states, in the form in which it is judged."""
    return Stated(rule=rule, instance=rule_name(rule), where=Where(file="", line=0))


def check_contract(contract: Contract, names: Sequence[str] = (), *, worker: Worker | None = None) -> Iterator[Report]:
    """Judge the named subjects of `contract`, or all of them. Yield one report at a time, in their order.

    A subject without rules is an error.
    """
    own = worker or Worker()
    try:
        for entry in chosen_entries(contract, names):
            yield check_entry(own, contract, entry)
    finally:
        if worker is None:
            own.close()


def chosen_entries(contract: Contract, names: Sequence[str] = ()) -> tuple[SubjectEntry, ...]:
    """Return the named subjects, each once, or all of them. Raises `ArchcheckError` for an unknown name."""
    named = {entry.name: entry for name in names for entry in contract.named(name)}
    return tuple(named.values()) or contract.subjects


def check_entry(worker: Worker, contract: Contract, entry: SubjectEntry, *, needs: Iterable[str] = ()) -> Report:
    """Judge a subject as `archcheck check` does: a subject without rules is an error."""
    return check_subject(worker, contract, entry, needs=needs) if entry.rules else _without_rules(entry)


def _without_rules(entry: SubjectEntry) -> Report:
    message = (
        f"nothing is promised: `{visible(entry.name)}` at {entry.where} has no rules; state some under its `rules`"
    )
    return Report(subject=entry.name, error=MeasurementFailure(kind="no-rules", message=message))


def check_subject(worker: Worker, contract: Contract, entry: SubjectEntry, *, needs: Iterable[str] = ()) -> Report:
    """Measure one subject of `contract` in `worker` and judge it; a subject that fails becomes `error`."""
    try:
        facts = measure_subject(worker, contract, entry, needs=needs)
    except SubjectError as error:
        report = Report(subject=entry.name, error=MeasurementFailure(kind=error.kind, message=str(error)))
    else:
        report = Report(subject=entry.name, facts=facts, outcomes=judge(facts, entry.rules, entry.waivers))
    return graded(report, [stated.rule for stated in entry.rules])


def graded(report: Report, rules: Iterable[Rule]) -> Report:
    """Add the points of `rules` and the earned points. A subject that cannot be measured earns nothing."""
    points = [worth for rule in rules if (worth := rule.worth) is not None]
    if not points:
        return report
    earned = [outcome.earned for outcome in report.outcomes if outcome.earned is not None]
    return replace(report, points=sum_points(points), earned=sum_points(earned))


def measure_subject(worker: Worker, contract: Contract, entry: SubjectEntry, *, needs: Iterable[str] = ()) -> Facts:
    """Measure one subject of `contract` in `worker`, with everything that its rules and `needs` ask for."""
    request = {
        "do": "measure",
        "name": entry.name,
        "target": entry.model,
        "root": str(contract.root),
        "input": encode(entry.input),
        "args": dict(entry.args),
        "meta": entry.meta,
        "weights": entry.weights,
        "unsafe": entry.unsafe,
        "needs": sorted(needs_of(stated.rule for stated in entry.rules).union(needs)),
        "training": encode(entry.training),
        **import_limit(entry),
        **called(entry),
        **({"costs": dict(entry.costs)} if entry.costs else {}),
    }
    beside = files_beside(contract, entry, request["needs"], entry.timeout or worker.timeout)
    return replace(_facts(worker.ask(request, timeout=entry.timeout)), **beside)


def files_beside(contract: Contract, entry: SubjectEntry, needs: Collection[str], limit: float) -> dict[str, Any]:
    """Return the fields of facts that come from files beside the contract: texts, artifacts and a needed snapshot.

    Reading a text ends after `limit` seconds.
    """
    artifacts = sizes_of(contract.root, (each for stated in entry.rules for each in stated.rule.artifacts))
    found = {"texts": _texts(contract, entry, limit), "artifacts": artifacts}
    if snapshot.NEED not in needs:
        return found
    file = contract.snapshot_file(entry)
    return {**found, "snapshot": snapshot.committed(file, entry.name, show_path(file))}


def _texts(contract: Contract, entry: SubjectEntry, limit: float) -> Texts:
    """Read the text files that the rules of a subject judge. They are read each time and never cached."""
    files = {file: Path(contract.root, file) for stated in entry.rules for file in stated.rule.reads}
    read = {file: read_text(path, show_path(path)) for file, path in files.items()}
    return Texts(
        files=read,
        proven=tuple(each for stated in entry.rules for each in stated.rule.proves),
        subjects=tuple(each.name for each in contract.subjects),
        limit=limit,
    )


def measure_target(worker: Worker, target: str, **options: Any) -> Facts:
    """Measure a target that no contract names; `options` are those of a request.

    They are `input`, `call`, `args`, `meta`, `weights`, `unsafe`, `needs`, and `careful` for a file that nobody has
    prepared.
    """
    request = {"do": "measure", "target": target, "root": str(Path.cwd()), **options}
    return _facts(worker.ask(request))


def measure_weights(worker: Worker, target: str) -> Weights:
    """Return the tensors in a file of weights. No code in the file runs."""
    answer = worker.ask({"do": "weights", "target": target, "root": str(Path.cwd())})
    try:
        return decode(Weights, answer)
    except ValueError as error:
        raise SubjectError("internal", f"what was read is not a list of tensors: {error}; try `--no-cache`") from None


def _facts(answer: Any) -> Facts:
    try:
        return Facts.from_json(answer)
    except ValueError as error:  # the subject meddled with the answer, or with a cache that it could write
        raise SubjectError("internal", f"what was measured is not a report: {error}; try `--no-cache`") from None


def find_models(worker: Worker, target: str) -> tuple[str, ...]:
    """Return the targets (`file.py:Net`) of the models in a file. Loading the file leaves no traces."""
    return tuple(worker.ask({"do": "find", "target": target, "root": str(Path.cwd()), "careful": True}))


def find_main_model(worker: Worker, target: str) -> str:
    """Return which of the targets that `find_models` returns is the main model of the file."""
    return str(worker.ask({"do": "find", "target": target, "root": str(Path.cwd()), "careful": True, "main": True}))


def needs_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Return what these rules need beyond the graph."""
    return frozenset(need for rule in rules for need in rule.needs)


def judge(facts: Facts, stated: Sequence[Stated], waivers: Sequence[Waiver] = ()) -> tuple[Outcome, ...]:
    """Judge `facts` by every stated rule, in order."""
    return waive(waivers, (_judge_one(facts, rule) for rule in stated))


def _judge_one(facts: Facts, stated: Stated) -> Outcome:
    try:
        result = checked(stated.rule, facts)
    except NotMeasured as error:
        return _error(stated, Finding(message=str(error), where=error.where, fix=error.fix))
    except Exception as error:  # a rule may be anybody's: its fault must not end the run
        return _error(stated, Finding(message=f"the rule itself failed: {type(error).__name__}: {error}"))
    verdict = _verdict(stated.rule, result)
    if verdict is Verdict.VACUOUS and (mistake := unreached(stated.rule.on, facts)):
        where = stated.where if stated.where.line else None
        fix = "mend `on`, or give the rule `allow-empty = true`"
        result = replace(result, findings=(Finding(message=mistake, where=where, fix=fix),))
    return _outcome(stated, result, verdict, _earned_by_band(stated.rule, facts, verdict))


def _earned_by_band(rule: Rule, facts: Facts, verdict: Verdict) -> float | None:
    """Return the points of the best band whose limit is kept, or `None` for a rule without bands."""
    if not isinstance(rule.points, tuple):
        return None
    if verdict not in (Verdict.KEPT, Verdict.BROKEN):
        return 0.0
    kept = (points for banded, points in rule.banded() if _verdict(banded, checked(banded, facts)) is Verdict.KEPT)
    return next(kept, 0.0)


def _error(stated: Stated, finding: Finding) -> Outcome:
    return _outcome(stated, Result(examined=0, findings=(finding,)), Verdict.ERROR)


def _verdict(rule: Rule, result: Result) -> Verdict:
    if result.findings:
        return Verdict.BROKEN
    if result.examined == 0 and not rule.prohibition and not rule.allow_empty:
        return Verdict.VACUOUS
    return Verdict.KEPT


def _outcome(stated: Stated, result: Result, verdict: Verdict, earned: float | None = None) -> Outcome:
    return Outcome(
        rule=rule_name(stated.rule),
        instance=stated.instance,
        verdict=verdict,
        found=result.found,
        limit=result.limit,
        unit=result.unit,
        kept=_kept(stated.rule, result) if verdict is Verdict.KEPT else None,
        findings=result.findings,
        most=result.most,
        notes=result.notes,
        because=stated.rule.because,
        points=stated.rule.worth,
        earned=earned,
        title=stated.rule.title,
        contract=stated.where if stated.where.line else None,  # a rule that was given in Python stands nowhere
    )


def _kept(rule: Rule, result: Result) -> str | None:
    """Return the sentence for a kept rule, if its figures alone do not say it: those of a part name that."""
    if result.kept is None and rule.on and result.unit:
        return figures(result.found, result.limit, f"{result.unit} in `{rule.on}`")
    return result.kept


def exit_code(reports: Iterable[Report]) -> int:
    """Return the exit code of a run: 2 if anything could not be checked, else 1 if anything is broken, else 0."""
    return max((report.exit_code for report in reports), default=0)
