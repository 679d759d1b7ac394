"""No subject stops archcheck: each hostile subject gets its line, and the honest ones are judged."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tests.workers.hostile.hostile_runs import run
from tests.workers.hostile.hostile_subjects import JUDGED, LATE, SUBJECTS, TIMEOUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a subject leaves is looked up in /proc")

ARCHCHECK = (sys.executable, "-m", "archcheck")
REPORTED = ("loops-in-forward", "sleeps-in-c", "ends-at-once", "crashes", "interrupts-when-built", "recurses-in-c",
            "forks-a-daemon-and-crashes", "kills-its-parent", "needs-a-gpu")  # fmt: skip


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    return run(tmp_path_factory.mktemp("check"), [*ARCHCHECK, "check", "--no-cache", "--format", "json"])


@pytest.fixture(scope="module")
def reports(checked):
    return {report["subject"]: report for report in json.loads(checked.out)["reports"]}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_is_judged_by_what_is_true_or_has_one_line(name, reports):
    report = reports[name]
    if "error" in report:
        assert "facts" not in report
        said = report["error"]["message"]
        assert "please report this" not in said
    else:
        (outcome,) = report["outcomes"]
        assert (outcome["verdict"], outcome["found"]) == ("broken", 16)
        said = outcome["rule"]
    assert re.search(SUBJECTS[name][1], said)
    assert said.isprintable()


def test_every_subject_is_told_of_in_order(reports, checked):
    assert list(reports) == list(SUBJECTS)
    assert checked.code == 2


def test_nothing_is_left(checked):
    assert checked.strays == ()
    assert checked.left == ()


def test_long_output_is_cut(checked):
    assert checked.error.count("the subject printed more than 1 MB; the rest is left out") == 1
    assert len(checked.error) < 1_200_000
    assert "Traceback" not in checked.error


def said_by_pytest(file):
    """Return the name of each subject with how its test ended and what was said."""
    found = {}
    for case in ElementTree.parse(file).iter("testcase"):
        (ending,) = [each for each in case if each.tag in ("error", "failure")]
        found[case.get("classname").rpartition(".")[2]] = ending.tag, f"{ending.get('message')} {ending.text}"
    return found


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "two"])
def test_pytest_has_an_error_for_each_that_could_not_be_measured(processes, tmp_path):
    options = [
        "-p",
        "no:cacheprovider",
        "--archcheck",
        "--archcheck-no-cache",
        "--junitxml",
        str(tmp_path / "said.xml"),
        "--basetemp",
        str(tmp_path / "of-pytest"),  # its workers make one beside the files that are looked for
    ]
    done = run(tmp_path, [sys.executable, "-m", "pytest", *options, *processes])
    said = said_by_pytest(tmp_path / "said.xml")
    assert {name.replace("_", "-") for name in said} == set(SUBJECTS)
    for name, (tag, text) in said.items():
        pattern = SUBJECTS[name][1]
        assert re.search(pattern, text), name
        assert tag == "failure" if pattern == JUDGED else tag in ("failure", "error"), name
        assert tag == "error" if JUDGED not in pattern else True, name
    assert (done.code, done.strays, done.left) == (1, (), ())


@pytest.mark.parametrize("name", REPORTED)
def test_a_report_ends_with_one_line(name, tmp_path):
    target = f"subjects/{name.replace('-', '_')}.py:Net"
    limit = str(TIMEOUT) if LATE in SUBJECTS[name][1] else "60"
    done = run(tmp_path, [*ARCHCHECK, "report", target, "--no-cache", "--timeout", limit])
    (line,) = done.error.splitlines()
    assert line.startswith("archcheck: error: ")
    assert re.search(SUBJECTS[name][1], line)
    assert (done.code, done.out, done.strays, done.left) == (2, "", (), ())
