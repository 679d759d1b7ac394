"""No network is talked into a pass: each of the subjects here evades in its own way, and is caught."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

import pytest

from archcheck.contract import load
from archcheck.facts.records import PARANOID
from archcheck.judging.engine import check_entry
from archcheck.judging.topic_pages import text_of
from archcheck.rules.findings import Report, Verdict
from archcheck.workers.worker_process import Worker
from tests.evasion.catalogue import SUBJECTS, contract, evasions

EVASIONS = dict(evasions())


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Report]]:
    """What the gate says of each subject, measured when it is first asked for."""
    folder = tmp_path_factory.mktemp("evasion")
    for file in SUBJECTS.glob("*.py"):
        shutil.copy(file, folder)
    (folder / "archcheck.toml").write_text(contract({"honest": "honest.py:Honest", **EVASIONS}))
    judged = load(folder / "archcheck.toml")
    with Worker() as worker:

        class Reports(dict[str, Report]):
            def __missing__(self, name: str) -> Report:
                self[name] = check_entry(worker, judged, judged.subject(name), needs=[PARANOID])
                return self[name]

        yield Reports()


def said(report: Report) -> str:
    if report.error:
        return report.error.message
    return "; ".join(finding.message for outcome in report.outcomes for finding in outcome.findings)


def test_the_honest_network_keeps_every_rule(reports):
    assert [outcome.verdict for outcome in reports["honest"].outcomes] == [Verdict.KEPT] * 4, said(reports["honest"])


@pytest.mark.parametrize("name", EVASIONS)
def test_no_evasion_is_kept(reports, name):
    report = reports[name]
    assert report.error or {outcome.verdict for outcome in report.outcomes} != {Verdict.KEPT}
    assert "archcheck itself failed" not in said(report)


def test_the_manual_counts_them():
    said = f"prints what becomes of {len(EVASIONS)} networks"
    assert said in " ".join((text_of("not-believed") or "").split())
