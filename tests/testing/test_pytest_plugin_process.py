"""The plugin with real measuring, alone and in parallel."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tests.support.cli_samples import environment


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]])
def test_a_project_is_measured_and_judged(project, arguments):
    command = [sys.executable, "-m", "pytest", "--archcheck", "--junitxml=report.xml", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *arguments], cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert "1 passed, 1 xfailed, 1 error" in run.stdout
    assert "2 failed" in run.stdout
    assert "broken   max-params  bad: 106 parameters, limit 100" in run.stdout
    assert "gone.py" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
    cases = ElementTree.parse(project / "report.xml").iter("testcase")
    found = {
        (case.get("classname"), case.get("name"), each.get("value"))
        for case in cases
        for each in case.iter("property")
        if each.get("name") == "found"
    }
    assert ("pyproject.toml.good", "max-params", "106") in found
