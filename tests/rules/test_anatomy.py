"""Every finding of every rule says what, where and how to go on; the pages of the rules show one as it is printed.

`ARCHCHECK_GOLDEN=write pytest tests/rules/test_anatomy.py` writes the outputs of the pages again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archcheck import rules
from archcheck.judging.rule_pages import output, page
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name
from archcheck.rules.findings import Verdict
from tests.rules.broken_models import broken_examples, printed, reports

OUTPUTS = Path(rules.__file__).parent / "outputs"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Return the reports of the broken examples of each rule, by its name."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCHECK_CACHE_DIR", os.devnull)
        for rule, report in reports(tmp_path_factory.mktemp("broken")):
            found.setdefault(rule_name(rule), []).append(report)
    return found


@pytest.mark.parametrize("rule", BUILTIN, ids=rule_name)
def test_every_finding_has_its_anatomy(rule, broken):
    assert len(broken[rule_name(rule)]) == max(1, len(broken_examples(rule)))
    for report in broken[rule_name(rule)]:
        (outcome,) = report.outcomes
        assert outcome.verdict is Verdict.BROKEN
        assert outcome.findings
        for finding in outcome.findings:
            assert finding.where is not None or finding.layer is not None, finding
            assert finding.fix, finding
            assert stands_alone(finding.message), finding.message


def stands_alone(message: str) -> bool:
    """Whether a message is a line that says something of the model, and needs no other line to do so."""
    one_line = "\n" not in message and message == message.strip() and not message.endswith((".", ":", ","))
    return one_line and len(message.split()) >= 4 and message[:1] not in "(,;"


@pytest.mark.parametrize("rule", BUILTIN, ids=rule_name)
def test_the_first_finding_is_placed_and_mended_at_a_line(rule, broken):
    text = printed(broken[rule_name(rule)][0])
    labels = [line.split()[0] for line in text.splitlines() if line.split()]
    assert labels[0] == "broken"
    assert {"where", "fix", "more"} <= set(labels), text
    assert "archcheck.toml:5" in " ".join(text.split()), text


@pytest.mark.parametrize("rule", BUILTIN, ids=rule_name)
def test_the_page_shows_what_is_printed(rule, broken):
    found = printed(broken[rule_name(rule)][0])
    file = OUTPUTS / f"{rule_name(rule)}.txt"
    if os.environ.get("ARCHCHECK_GOLDEN") == "write":
        file.write_text(found, encoding="utf-8")
    assert whatever_the_torch(found) == whatever_the_torch(output(rule))
    found = output(rule)
    assert "".join(f"    {line}\n" for line in found.splitlines()) in page(rule)


def whatever_the_torch(text: str) -> str:
    """Return a text without what a release of torch words as it likes, or draws of random numbers as it likes."""
    text = re.sub(r"(RuntimeError:)[^\n]*(?:\n {18}[^\n]*)*", r"\1", text)
    return re.sub(r"by [\d.]+ of its largest number", "by much", text)


def test_no_output_is_left_over():
    assert {file.name for file in OUTPUTS.iterdir()} == {f"{rule_name(rule)}.txt" for rule in BUILTIN}


def test_a_page_needs_no_torch():
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom archcheck.judging.rule_pages import page\n"
        "from archcheck.rules import BUILTIN\nprint(*map(page, BUILTIN))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("rints:\n") == len(BUILTIN)
