"""What a report says to a student: points, places and next steps, and nothing for the author of the contract."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.foundation.source_place import Where
from archcheck.integrations.grades import MOST, grade_of, item_lines, own_place
from archcheck.integrations.plain_words import advice, reason_of, said
from archcheck.rules.findings import Finding, Verdict
from tests.integrations.graded_samples import CONTRACT, failed, outcome, report, too_large

RESULTS = sorted((Path(__file__).parents[1] / "rules" / "results").glob("*.txt"))
FOR_AUTHORS = re.compile(
    r"archcheck|--[a-z]|\bcontract|waive|\.toml|\bexempt|\b(?:raise|lower|narrow|drop) [a-z]+-[a-z]+"
)


def test_a_broken_rule_says_what_where_and_what_to_do_and_no_line_of_the_contract() -> None:
    grade = grade_of(report("ben", too_large()))
    assert (grade.student, grade.assignment, grade.earned, grade.points) == ("ben", "homework", 1, 2)
    assert list(item_lines(grade, grade.items[0])) == [
        "Asked: the device is small",
        "Found: 112 parameters, limit 100 (+12, +12.0 %).",
        "Where: model.py, line 3",
        "What to do: Remove 12 parameters.",
    ]


def test_no_fix_and_no_message_of_any_rule_speaks_to_the_author() -> None:
    """The files hold every fix and message that the cases of all rules give."""
    seen = 0
    for file in RESULTS:
        lines = re.findall(r"^(finding:|    fix:) (.+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        for label, text in lines:
            plain = said(text, file.stem) if label == "finding:" else advice(text, file.stem)
            assert not FOR_AUTHORS.search(re.sub("`[^`]*`", "", plain)), (file.stem, text, plain)
            seen += 1
    assert seen > 100


@pytest.mark.parametrize(
    ("fix", "rule", "for_student"),
    [
        ("remove it, or take linear out of forbids", "forbids", "Remove it."),
        ("mend `on`, or give the rule `allow-empty = true`", "requires", ""),
        ("write it so, or raise `--timeout`", "max-params", "Write it so."),
        ("use `contract` in `forward`, or remove it", "no-unused-params", "Use `contract` in `forward`, or remove it."),
        ("keep one of the two; head stands at archcheck.toml:3", "head", "Keep one of the two."),
        (None, "head", ""),
    ],
)
def test_only_clauses_for_the_author_go(fix: str | None, rule: str, for_student: str) -> None:
    assert advice(fix, rule) == for_student


def test_a_stale_waiver_is_no_fault_of_the_student() -> None:
    stale = Finding(message="the waiver at archcheck.toml:9 is stale", where=Where(file="archcheck.toml", line=9))
    (item,) = grade_of(report("ada", outcome(Verdict.BROKEN, findings=(stale,), found=90, unit="parameters"))).items
    assert (item.verdict, item.fails, item.found, item.problems) == (Verdict.KEPT, False, "90 parameters.", ())


def test_a_rule_without_a_place_in_the_model_points_at_no_contract() -> None:
    unjudged = Finding(message="`on` selects nothing", where=CONTRACT, fix="mend `on`")
    for verdict, findings in ((Verdict.ERROR, (unjudged,)), (Verdict.VACUOUS, ())):
        grade = grade_of(report("ada", outcome(verdict, findings=findings, earned=0.0)))
        text = "\n".join(item_lines(grade, grade.items[0]))
        assert "What to do: " in text
        assert "archcheck.toml" not in text


def test_many_findings_of_a_hostile_model_are_counted() -> None:
    findings = tuple(Finding(message=f"layer {number} is bad") for number in range(MOST + 5))
    (item,) = grade_of(report("eve", outcome(Verdict.BROKEN, findings=findings))).items
    assert (len(item.problems), item.hidden) == (MOST, 5)


def test_what_could_not_be_measured_has_each_rule_of_its_contract_and_earns_nothing(tmp_path: Path) -> None:
    lines = '[subjects.homework]\nmodel = "students/*/model.py:Net"\n[subjects.homework.rules]\n'
    (tmp_path / "archcheck.toml").write_text(
        f'{lines}max-params = {{ limit = 9, points = 2, title = "Small" }}\nhead = ["linear"]\n'
    )
    (tmp_path / "students" / "zoe").mkdir(parents=True)
    (tmp_path / "students" / "zoe" / "model.py").touch()
    (entry,) = load(tmp_path / "archcheck.toml").subjects
    grade = grade_of(failed("zoe"), entry, str(tmp_path))
    assert [(each.title, each.earned, each.points) for each in grade.items] == [("Small", 0, 2), ("head", None, None)]
    assert (grade.student, grade.earned, grade.points) == ("zoe", 0, 3)
    missing = failed("zoe", "not-found", "there is no file `students/zoe/model.py`; is the path relative to /c?")
    assert grade_of(missing, entry).reason == "A file is missing: there is no file `model.py`"
    for model, shown in {"students/*/src/model.py": "src/model.py", "hw/model.py": "hw/model.py"}.items():
        missing = failed("x", "not-found", f"there is no file `{model}`")
        assert f"`{shown}`" in grade_of(missing, replace(entry, model=model, member=None)).reason
    assert grade.file is not None
    assert Path(grade.file).resolve() == tmp_path / "students" / "zoe" / "model.py"


@pytest.mark.parametrize(
    ("kind", "message", "begins", "ends"),
    [
        ("timeout", "was not done; raise `--timeout` if it needs more", "It takes too long: ", "was not done"),
        ("not-found", "there is no `model.py`; is the path relative to /c?", "A file is missing: ", "no `model.py`"),
        ("internal", "it is not a report: x; try `--no-cache`", "It cannot be measured: ", "it is not a report: x"),
        ("crash", "`archcheck x`", "The process ended.", "ended."),
    ],
)
def test_why_it_could_not_be_measured(kind: str, message: str, begins: str, ends: str) -> None:
    reason, todo = reason_of(kind, message)
    assert reason.startswith(begins)
    assert reason.endswith(ends)
    assert todo


def test_a_place_is_one_in_the_folder_of_the_student() -> None:
    grade = grade_of(report("ada", outcome()))
    for file, place in (("model.py", "model.py"), ("nets/block.py", "nets/block.py"), ("../shared/a.py", "a.py")):
        assert own_place(grade, Where(file=file, line=4)) == f"{place}, line 4"
