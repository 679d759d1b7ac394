"""A report as SARIF 2.1.0, the format of code scanning.

A finding of a broken or vacuous rule is a result that fails; one that a waiver accepts is a result that is
suppressed, with the waiver's reason; a rule that could not be judged is `open`. Such rules, and subjects that could
not be measured, are also notifications of an invocation that did not succeed. Kept rules are left out.
Files are relative to `%SRCROOT%`, the root of the repository. Fingerprints depend on neither lines nor figures, so
that a finding stays the same one while code moves around it and a network grows. Section numbers are those of
https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from archcheck.foundation.installed_packages import own_version
from archcheck.foundation.source_place import Where
from archcheck.judging.rule_pages import markdown, page
from archcheck.render.fingerprints import fingerprint
from archcheck.render.json import finite
from archcheck.render.options import Options
from archcheck.render.wording import finding_lines, from_root, one_line, place_of, stated_at, unmeasured
from archcheck.rules import find
from archcheck.rules.base import documentation, promise
from archcheck.rules.findings import Finding, Outcome, Report, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
FINGERPRINT = "archcheckFinding/v1"
_PLACEHOLDER = re.compile(r"\{(\d+)\}")
_LINK = re.compile(r"\[([^\[\]]*)\](?=\()")

Json = dict[str, Any]


def render_sarif(reports: Sequence[Report], options: Options) -> str:
    """Return one SARIF document in ASCII, with one run."""
    rules = list(dict.fromkeys(outcome.rule for report in reports for outcome in report.outcomes))
    run = {
        "tool": {"driver": _driver(rules, options.pages)},
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(reports, rules)],
        "results": _numbered(result for report in reports for result in _results(report, rules, options.base)),
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _driver(rules: Sequence[str], pages: str) -> Json:
    return {"name": "archcheck", "version": own_version(), "rules": [_rule(name, pages) for name in rules]}


def _rule(name: str, pages: str) -> Json:
    """Describe a rule by its page, at the address of `pages` if there is one. A plugin's rule has only its name."""
    described: Json = {"id": name, "defaultConfiguration": {"level": "error"}}
    if cls := find(name):
        text = documentation(cls)
        described |= {
            "name": cls.__name__,
            "shortDescription": _message([promise(cls)]),
            "fullDescription": _message([" ".join(text.partition("\n\nExample,")[0].split())]),
            "help": {"text": _literal(page(cls)), "markdown": _literal(markdown(cls))},
            "properties": {"tags": [cls.__module__.rpartition(".")[2]]},
        }
        if pages:
            described["helpUri"] = f"{pages}/rules/{name}.md"
    return described


def _invocation(reports: Sequence[Report], rules: Sequence[str]) -> Json:
    worst = max((report.exit_code for report in reports), default=0)
    notes = [note for report in reports for note in _notifications(report, rules)]
    return {"executionSuccessful": worst != 2, "exitCode": worst, "toolExecutionNotifications": notes}


def _notifications(report: Report, rules: Sequence[str]) -> Iterator[Json]:
    if report.error:
        yield {
            "level": "error",
            "descriptor": {"id": report.error.kind},
            "message": _message([f"{report.subject}: {unmeasured(report)}"]),
            "locations": [{"logicalLocations": [_logical(report, None)]}],
        }
    for outcome in report.outcomes:
        if outcome.verdict is Verdict.ERROR:
            yield {
                "level": "error",
                "associatedRule": _reference(outcome, rules),
                "message": _message([f"{report.subject}: {outcome.headline}"]),
            }


def _results(report: Report, rules: Sequence[str], base: str) -> Iterator[Json]:
    for outcome in report.outcomes:
        findings: Sequence[Finding | None] = outcome.findings
        if outcome.fails:
            findings = outcome.findings or (None,)
        for finding in findings:
            yield _result(report, outcome, finding, rules, base) | {"suppressions": []}
        for finding in outcome.waived:
            yield _result(report, outcome, finding, rules, base) | {"suppressions": [_suppression(outcome)]}


def _result(report: Report, outcome: Outcome, finding: Finding | None, rules: Sequence[str], base: str) -> Json:
    is_open = outcome.verdict is Verdict.ERROR
    result: Json = {
        "ruleId": outcome.rule,
        "ruleIndex": rules.index(outcome.rule),
        "kind": "open" if is_open else "fail",
        "level": "none" if is_open else "error",  # 3.27.10: what does not fail has no other level
        "message": _message(list(finding_lines(report, outcome, finding))),
        "locations": [_location(report, outcome, finding, base)],
        "partialFingerprints": {FINGERPRINT: _fingerprint(report, outcome, finding)},
        "properties": _properties(report, outcome),
    }
    if stated := stated_at(outcome):
        stated_in = {"id": 1, "message": {"text": "The contract states the rule here."}}
        result["relatedLocations"] = [stated_in | _physical(stated, base)]
    return result


def _location(report: Report, outcome: Outcome, finding: Finding | None, base: str) -> Json:
    place = place_of(report, outcome, finding)
    return (_physical(place, base) if place else {}) | {"logicalLocations": [_logical(report, finding)]}


def _physical(where: Where, base: str) -> Json:
    file = from_root(where.file, base)
    if file.startswith("/"):
        artifact = {"uri": f"file://{quote(file, errors='replace')}"}
    else:
        artifact = {"uri": quote(file, errors="replace"), "uriBaseId": ROOT}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": max(1, where.line)}}}


def _logical(report: Report, finding: Finding | None) -> Json:
    """Return the logical location of a finding: its layer, or else the model. SARIF has no kinds for them (3.33.7)."""
    if finding is None or not finding.layer:
        return {"name": report.subject, "fullyQualifiedName": report.subject, "kind": "model"}
    name = finding.layer.rpartition(".")[2]
    return {"name": name, "fullyQualifiedName": f"{report.subject}::{finding.layer}", "kind": "layer"}


def _suppression(outcome: Outcome) -> Json:
    return {"kind": "external", "status": "accepted", "justification": outcome.waiver or ""}


def _properties(report: Report, outcome: Outcome) -> Json:
    figures = {"found": outcome.found, "limit": outcome.limit, "unit": outcome.unit}
    named = {"subject": report.subject, "instance": outcome.instance, "verdict": outcome.verdict.value}
    return named | {name: finite(value) for name, value in figures.items() if value is not None}


def _reference(outcome: Outcome, rules: Sequence[str]) -> Json:
    return {"id": outcome.rule, "index": rules.index(outcome.rule)}


def _fingerprint(report: Report, outcome: Outcome, finding: Finding | None) -> str:
    """Return a digest that stays the same for a finding in the next version of the code."""
    message, layer = (finding.message, finding.layer) if finding else (outcome.summary, None)
    return fingerprint(report.subject, outcome.rule, layer, message)


def _numbered(results: Iterator[Json]) -> list[Json]:
    """Add a number to each fingerprint, so that findings with the same fingerprint differ."""
    seen: Counter[str] = Counter()
    numbered = []
    for result in results:
        digest = result["partialFingerprints"][FINGERPRINT]
        seen[digest] += 1
        numbered.append(result | {"partialFingerprints": {FINGERPRINT: f"{digest}:{seen[digest]}"}})
    return numbered


def _message(lines: Sequence[str]) -> Json:
    return {"text": "\n".join(_literal(one_line(line)) for line in lines)}


def _literal(text: str) -> str:
    """Escape placeholders (3.11.5) and embedded links (3.11.6)."""
    return _LINK.sub(r"\\[\1\\]", _PLACEHOLDER.sub(r"{{\1}}", text))
