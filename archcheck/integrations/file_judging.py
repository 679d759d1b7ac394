"""Judge what is in a source file, for a tool that shows remarks at lines and figures of layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from archcheck.contract import SubjectEntry, discover, load
from archcheck.contract.document import show_path
from archcheck.contract.files import OWN_FILE, SHARED_FILE, Contract
from archcheck.facts.facts import Facts
from archcheck.facts.records import Layer
from archcheck.foundation.errors import ArchcheckError, ContractError, SubjectError
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import amount, quote, shape_text
from archcheck.judging.engine import check_entry, check_subject, find_models, measure_target
from archcheck.judging.stages import stages
from archcheck.judging.target_files import subjects_in
from archcheck.render.wording import finding_lines, one_line, place_of
from archcheck.rules.findings import Report
from archcheck.workers.worker_process import Worker

_CLASS = re.compile(rb"^\s*class\s+\w+\s*\(", re.MULTILINE)
_SOURCE = re.compile(rf"(.*\b(?:{re.escape(OWN_FILE)}|{re.escape(SHARED_FILE)}))(?::.*)?", re.DOTALL)
"""The source of a judgement that is about a contract, or about one of its subjects."""
Depends = Mapping[str, frozenset[Path]]
"""The source of a judgement -> the files that it spoke of the last time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to show at a line, from 1, of a file. `verdict` is that of an outcome, `code` the name of a rule.

    `name` is that of the class of which the remark speaks, where the line is not known.
    """

    file: Path
    line: int
    verdict: str
    message: str
    code: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that is known of one source: a subject, a contract or a file. It replaces what was known before.

    `layers` are figures to show at a line of a file.
    """

    source: str
    remarks: tuple[Remark, ...] = ()
    layers: Mapping[tuple[Path, int], tuple[str, ...]] = field(default_factory=dict)


def judge_file(worker: Worker, file: Path, depends: Depends) -> Iterator[Judgement]:
    """Judge what is in a file of Python: the subjects of the contract that governs it, or else its models.

    A contract with mistakes is told both in the contract and, in one remark, in the file. Without a contract, the
    models are measured, and nothing is remarked. Files that hold no class and no subject are ignored.

    Raises:
        SubjectError: the worker was told that nobody waits for the answer any more (`cancelled`).
    """
    found = discover(file.parent)
    yield from _orphaned(depends)
    try:
        contract = load(found) if found else None
    except ArchcheckError as error:
        yield from _forgotten(found, (), depends)
        yield from _mistakes(found, error)
        yield Judgement(source=str(file), remarks=(_mistaken(file, error),))
        return
    if contract and found:
        yield from _forgotten(found, contract.subjects, depends)
        yield Judgement(source=str(found))
    entries = _entries(contract, file, found, depends)
    if contract and entries:
        yield Judgement(source=str(file))
        for entry in entries:
            yield from _judged(worker, contract, entry, f"{found}:{entry.name}", file)
    else:
        layers = _measured(worker, file) if _may_hold_model(file) else {}
        yield Judgement(source=str(file), layers=layers)


def judge_contract(file: Path) -> Iterator[Judgement]:
    """Read a contract, and tell its mistakes. A file without a contract has none."""
    if discover(file.parent) != file:
        return
    try:
        load(file)
    except ArchcheckError as error:
        yield from _mistakes(file, error)
    else:
        yield Judgement(source=str(file))


def _orphaned(depends: Depends) -> Iterator[Judgement]:
    """Yield an empty judgement for each source in a file that is gone, or is a contract no longer."""
    gone: dict[Path, bool] = {}
    for source in depends:
        named = _SOURCE.fullmatch(source)
        file = Path(named[1] if named else source)
        if file not in gone:
            gone[file] = discover(file.parent) != file if named else not file.exists()
        if gone[file]:
            yield Judgement(source=source)


def _forgotten(found: Path | None, entries: Iterable[SubjectEntry], depends: Depends) -> Iterator[Judgement]:
    """Yield an empty judgement for each subject that was judged and is no longer in the contract."""
    names = {f"{found}:{entry.name}" for entry in entries}
    yield from (
        Judgement(source=source) for source in depends if source.startswith(f"{found}:") and source not in names
    )


def _entries(contract: Contract | None, file: Path, found: Path | None, depends: Depends) -> list[SubjectEntry]:
    """Return the subjects that are in a file, or that built layers from there the last time."""
    if contract is None:
        return []
    there = [entry.name for entry, _ in subjects_in(contract, file)]
    return [
        entry
        for entry in contract.subjects
        if entry.name in there or file in depends.get(f"{found}:{entry.name}", frozenset())
    ]


def _judged(worker: Worker, contract: Contract, entry: SubjectEntry, source: str, file: Path) -> Iterator[Judgement]:
    judge = check_subject if entry.rules else check_entry  # that nothing is promised is an error
    for stage in (stages(entry) or (replace(entry, rules=()),)) if entry.rules else (entry,):
        report = judge(worker, contract, stage)
        if report.error and report.error.kind == "cancelled":
            raise SubjectError(report.error.kind, report.error.message)
        yield Judgement(
            source=source,
            remarks=tuple(dict.fromkeys(_remarks(report, contract, entry, file))),
            layers=_layers(report.facts, contract.root) if report.facts else {},
        )
        if report.error:
            return


def _remarks(report: Report, contract: Contract, entry: SubjectEntry, file: Path) -> Iterator[Remark]:
    if report.error:
        message = one_line(f"{report.subject} could not be measured: {report.error.message}")
        name = entry.model.rpartition(":")[2]
        yield _at_named_line(message, contract.root) or Remark(
            file=file, line=1, verdict="error", message=message, name=name
        )
    for outcome in report.outcomes:
        findings = (*outcome.findings, *outcome.waived) if outcome.findings or outcome.waived else (None,)
        for finding in findings if outcome.fails or outcome.waived else ():
            waived = finding is not None and finding in outcome.waived
            place = place_of(report, outcome, finding) or Where(file=str(file), line=1)
            lines = list(finding_lines(report, outcome, finding))
            if waived and finding:
                lines = [finding.message, f"waived: {outcome.waiver}"]
            yield Remark(
                file=_path(contract.root, place),
                line=max(1, place.line),
                verdict="waived" if waived else outcome.verdict.value,
                message="\n".join(map(one_line, lines)),
                code=outcome.rule,
            )


def _at_named_line(message: str, root: Path) -> Remark | None:
    """Return an error at the last place that its message names, if that is in a file of the project."""
    for named, line in reversed(re.findall(r"([\w./ -]*[\w-]\.py):(\d+)", message)):
        words = named.split(" ")
        for begin in range(len(words)):  # a name may have spaces, and the words before it are not part of it
            path = _path(root, Where(file=" ".join(words[begin:]), line=int(line)))
            if path.is_file():
                return Remark(file=path, line=int(line), verdict="error", message=message)
    return None


def _path(root: Path, place: Where) -> Path:
    """Return the file of a place: those of a model are relative to the contract, those of a contract to this folder."""
    below = root / place.file
    return (below if below.exists() else Path.cwd() / place.file).resolve()


def _mistakes(found: Path | None, error: ArchcheckError) -> Iterator[Judgement]:
    """Yield the mistakes of a contract, each at its line."""
    if found is None:
        return
    problems = error.problems if isinstance(error, ContractError) else ()
    told = [(each.line, each.message) for each in problems] or [(1, str(error))]
    remarks = [
        Remark(file=found.resolve(), line=max(1, line), verdict="error", message=one_line(text)) for line, text in told
    ]
    yield Judgement(source=str(found), remarks=tuple(remarks))


def _mistaken(file: Path, error: ArchcheckError) -> Remark:
    first, *others = str(error).splitlines()
    rest = f" (and {amount(len(others), 'mistakes')} more)" if others else ""
    return Remark(
        file=file, line=1, verdict="error", message=one_line(f"nothing is judged, the contract is wrong: {first}{rest}")
    )


def _may_hold_model(file: Path) -> bool:
    """Whether a file may define a model: it names torch and a class with a base. Others need no worker."""
    try:
        text = file.read_bytes()
    except OSError:
        return False
    return b"torch" in text and _CLASS.search(text) is not None


def _measured(worker: Worker, file: Path) -> Mapping[tuple[Path, int], tuple[str, ...]]:
    """Return the figures of the layers of all models in a file that can be built and run without being told how."""
    found: dict[tuple[Path, int], tuple[str, ...]] = {}
    try:
        targets = find_models(worker, show_path(file))
    except SubjectError as error:
        if error.kind == "cancelled":
            raise
        return found
    for target in targets:
        try:
            facts = measure_target(worker, target, careful=True)
        except SubjectError as error:
            if error.kind == "cancelled":
                raise
        else:
            for place, texts in _layers(facts, Path.cwd()).items():
                found[place] = (*found.get(place, ()), *texts)
    return found


def _layers(facts: Facts, root: Path) -> dict[tuple[Path, int], tuple[str, ...]]:
    """Return the figures of each layer at the line that builds it; those of the model at the line of its class."""
    found: dict[tuple[Path, int], tuple[str, ...]] = {}
    for layer in facts.layers:
        where = layer.where if layer.path else facts.subject.where
        if where:
            place = _path(root, where), where.line
            found[place] = (*found.get(place, ()), _described(layer, facts.subject.name))
    return found


def _described(layer: Layer, subject: str) -> str:
    name = f"{quote(layer.path)} ({layer.type})" if layer.path else f"{quote(subject)}, the model"
    output = " and ".join(map(shape_text, layer.output_shapes)) or "not called"
    return one_line(
        f"{name}: {amount(layer.params, 'parameters')}, output {output}, {layer.macs:,} multiply-accumulates"
    )
