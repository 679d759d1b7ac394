"""Reviewdog's diagnostics: as one document (rdjson), or a line each (rdjsonl)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from archcheck.integrations.grades import Grade
from archcheck.integrations.issues import Issue, issues


def render_rdjson(grades: Sequence[Grade], base: str = "", pages: str = "") -> str:
    """Return one document in ASCII. `base` is the current folder as seen from the root of the repository, and `pages`
    the address of the published manual, or empty.
    """
    found = [_diagnostic(issue, pages) for issue in issues(grades, base)]
    document = {"source": {"name": "archcheck"}, "severity": "ERROR", "diagnostics": found}
    return json.dumps(document, indent=2) + "\n"


def render_rdjsonl(grades: Sequence[Grade], base: str = "", pages: str = "") -> str:
    """Return a diagnostic a line, in ASCII."""
    return "".join(json.dumps(_diagnostic(issue, pages)) + "\n" for issue in issues(grades, base))


def _diagnostic(issue: Issue, pages: str) -> dict[str, object]:
    code = {"value": issue.rule}
    if pages and issue.kind != "unmeasured":
        code["url"] = f"{pages}/rules/{issue.rule}.md"
    return {
        "message": issue.text,
        "location": {"path": issue.path, "range": {"start": {"line": issue.line, "column": 1}}},
        "severity": "WARNING" if issue.kind == "error" else "ERROR",
        "code": code,
    }
