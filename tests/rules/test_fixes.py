"""Every fix text of every rule is tried: whoever does what it says keeps the rule.

The fix texts are read from the code, so that a new one without a case fails. A text with several ways out has an edit
for each of them.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from archcheck.facts.selectors import GROUPS, KINDS
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name
from archcheck.workers.worker_process import Worker
from tests.rules.fix_cases import CASES, UNTRIED
from tests.rules.fix_cases.additions import TABLE
from tests.support.fix_templates import Code, Template
from tests.support.fix_trials import PASSES, Case, apply, commands, judged, unexplained

ROOT = Path(__file__).parents[2]
ROOMS = ("rules", "judging", "facts", "foundation", "measure")


@pytest.fixture(scope="module")
def worker() -> Iterator[Callable[[], Worker]]:
    """A worker that starts when the first project needs it."""
    started: list[Worker] = []

    def start() -> Worker:
        if not started:
            started.append(Worker())
        return started[0]

    yield start
    for each in started:
        each.close()


@pytest.fixture(autouse=True)
def _one_worker(worker: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands measure in the worker that is there, which nobody closes before the end."""

    class Shared:
        def __enter__(self) -> Worker:
            return worker()

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr("archcheck.cli.worker_options.Worker", lambda **_: Shared())
    monkeypatch.setattr("archcheck.workers.training.Worker", lambda **_: Shared())
    monkeypatch.setattr("archcheck.judging.until_decided.Worker", lambda **_: Shared())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.fix}"[:80])
def test_who_does_what_a_fix_says_keeps_the_rule(
    case: Case, tmp_path: Path, worker: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    case.write(tmp_path / "broken")
    for name in case.lacks:
        monkeypatch.setitem(sys.modules, name, None)
    apply(list(case.before), tmp_path / "broken")
    broken = judged(case, tmp_path / "broken", worker)
    said = [finding.fix for outcome in broken for finding in outcome.findings]
    assert case.fix in said, [(outcome.headline, said) for outcome in broken]
    still: dict[str, list[str]] = {}
    for number, (part, edit) in enumerate(case.edits.items()):
        assert all(command in case.fix for command in commands(edit)), "the fix names another command"
        folder = Path(shutil.copytree(tmp_path / "broken", tmp_path / str(number)))
        for name in case.lacks:
            sys.modules[name] = None  # type: ignore[assignment]
        apply(edit, folder)
        still[part] = [each.headline for each in judged(case, folder, worker) if each.verdict not in PASSES]
    assert {part: headlines for part, headlines in still.items() if headlines} == {}


def test_every_part_of_a_fix_is_tried() -> None:
    parts: dict[str, list[str]] = {}
    for case in CASES:
        parts.setdefault(case.fix, []).extend(case.edits)
    assert {fix: left for fix, tried in parts.items() if (left := unexplained(fix, tried))} == {}


@cache
def templates() -> list[Template]:
    files = sorted(file for room in ROOMS for file in (ROOT / "archcheck" / room).rglob("*.py"))
    # Most of the measuring gives no fix, and parsing it takes longer than all the rest.
    told = [file for file in files if "measure" not in file.parts or "fix" in file.read_text(encoding="utf-8")]
    return Code(ROOT, told).templates()


def test_every_fix_text_in_the_code_is_tried() -> None:
    tried = {*(case.fix for case in CASES), *UNTRIED}
    missing = [each for each in templates() if not any(re.fullmatch(each.pattern, fix) for fix in tried)]
    assert [f"{each.place}: {each}" for each in missing] == []


def test_what_is_not_tried_is_said_somewhere() -> None:
    assert [fix for fix in UNTRIED if not any(re.fullmatch(each.pattern, fix) for each in templates())] == []


def test_every_kind_that_an_operation_can_have_has_code_that_executes_it() -> None:
    asked = {kind for case in CASES if case.name == "requires" for kind in re.findall(r'"([a-z0-9_]+)"', case.rule)}
    assert {*KINDS, *GROUPS} - asked == {"input"}, "each model executes an input"


def test_the_code_that_is_tried_is_the_code_that_a_fix_names() -> None:
    named = {code.partition("(")[0]: tried for code, tried, *_ in TABLE.values()}
    layers = {code: tried for code, tried in named.items() if code.startswith(("nn.", "F.", "torch.", "x."))}
    assert len(layers) > 40
    assert [code for code, tried in layers.items() if not tried.startswith(code.partition("[")[0])] == []


def test_every_rule_is_mended_once() -> None:
    assert {rule_name(rule) for rule in BUILTIN} <= {case.name for case in CASES}


def test_what_a_rule_is_known_to_say_is_tried_with_that_rule() -> None:
    known = {
        (file.stem, fix)
        for file in (Path(__file__).parent / "results").glob("*.txt")
        for fix in re.findall(r"^    fix: (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if fix != "None"
    }
    patterns = [each.pattern for each in templates()]
    tried = [(case.name, case.fix) for case in CASES]

    def alike(one: str, other: str) -> bool:
        return any(re.fullmatch(each, one) and re.fullmatch(each, other) for each in patterns)

    missing = {(rule, fix) for rule, fix in known if not any(name == rule and alike(fix, said) for name, said in tried)}
    assert missing == set()
