"""GitLab's code quality report: an issue for each problem of each submission.

The format is that of GitLab's page on code quality. Paths are relative to the root of the repository, and fingerprints
depend on neither lines nor figures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from archcheck.integrations.grades import Grade
from archcheck.integrations.issues import Issue, issues
from archcheck.render.fingerprints import fingerprint

_SEVERITIES = {"broken": "major", "vacuous": "major", "error": "minor", "unmeasured": "critical"}


def render_gitlab(grades: Sequence[Grade], base: str = "") -> str:
    """Return the report in ASCII. `base` is the current folder as seen from the root of the repository."""
    seen: Counter[str] = Counter()
    return json.dumps([_entry(issue, seen) for issue in issues(grades, base)], indent=2) + "\n"


def _entry(issue: Issue, seen: Counter[str]) -> dict[str, object]:
    digest = fingerprint(issue.subject, issue.rule, issue.layer, issue.message)
    seen[digest] += 1
    return {
        "description": issue.text,
        "check_name": issue.rule,
        "fingerprint": f"{digest}:{seen[digest]}",
        "severity": _SEVERITIES[issue.kind],
        "location": {"path": issue.path, "lines": {"begin": issue.line}},
    }
