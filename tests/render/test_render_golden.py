"""Whole outputs against committed files. `ARCHCHECK_GOLDEN=write pytest tests/render` writes them again."""

import os
from pathlib import Path

import pytest

from archcheck.render import render
from archcheck.rules.findings import Report
from tests.render.samples import (
    cross_checked,
    differences,
    failed,
    graded,
    judged,
    kept,
    plain_net,
    residual_net,
    troubled_net,
)

GOLDEN = Path(__file__).parent / "golden"
PLAIN = (Report(subject="net", facts=plain_net()),)
TROUBLED = (Report(subject="net", facts=troubled_net()),)
RESIDUAL = (Report(subject="resnet50", facts=residual_net()),)
CROSS_CHECKED = (Report(subject="net", facts=cross_checked(*differences())),)
RUN = (judged(), kept(), failed())
GRADED = (graded(), Report(subject="lost", error=failed().error, points=3.5, earned=0.0))

CASES = {
    "report_80.txt": (PLAIN, "text", {"width": 80}),
    "report_judged_120.txt": ((kept(),), "text", {"width": 120}),
    "ledger_80.txt": (TROUBLED, "text", {"width": 80}),
    "ledger_120.txt": (TROUBLED, "text", {"width": 120}),
    "residual_80.txt": (RESIDUAL, "text", {"width": 80}),
    "residual_depth_1.txt": (RESIDUAL, "text", {"width": 80, "depth": 1}),
    "check_80.txt": (RUN, "text", {"width": 80, "outcomes_only": True}),
    "check_120.txt": (RUN, "text", {"width": 120, "outcomes_only": True}),
    "check_piped.txt": (RUN, "text", {"outcomes_only": True}),
    "check_concise.txt": (RUN, "concise", {}),
    "check.md": (RUN, "markdown", {}),
    "ledger.md": (TROUBLED, "markdown", {}),
    "cross_check_80.txt": (CROSS_CHECKED, "text", {"width": 80}),
    "cross_check_120.txt": (CROSS_CHECKED, "text", {"width": 120}),
    "cross_check.md": (CROSS_CHECKED, "markdown", {}),
    "graded_80.txt": (GRADED, "text", {"width": 80, "outcomes_only": True}),
    "graded.md": (GRADED, "markdown", {}),
    "annotations.txt": (RUN, "github", {"base": "course/week 3"}),
    "check.html": (RUN, "html", {}),
    "ledger.html": (TROUBLED, "html", {}),
    "failed.json": ((failed(),), "json", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_looks_as_before(name: str) -> None:
    reports, format_name, options = CASES[name]
    file = GOLDEN / name
    found = render(reports, format_name, **options)
    if os.environ.get("ARCHCHECK_GOLDEN") == "write":
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == set(CASES)
