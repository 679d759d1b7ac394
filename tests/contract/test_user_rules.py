"""Rules of a project and of installed packages, on the command line and in pytest."""

from __future__ import annotations

import json
import os
from textwrap import dedent

import pytest

RULE = """
    from dataclasses import dataclass

    from archcheck import Facts, Finding, Result, Rule

    @dataclass(frozen=True, slots=True, kw_only=True)
    class {name}(Rule):
        {documentation}

        limit: int

        def check(self, facts: Facts) -> Result:
            found = facts.params.total
            findings = (Finding(message=f"weighs {{found}}"),) if found > self.limit else ()
            return Result(examined=1, findings=findings)
"""
CONTRACT = """
    plugins = ["ours"]
    [subjects.net]
    model = "net.py:Net"
    input = [1, 3]
    [subjects.net.rules]
    max-weight = {{ limit = {limit}, points = 2 }}
    max-height = 16
    [[subjects.net.waivers]]
    rule = "max-weight"
    reason = "agreed"
"""
NET = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 4)\n"


@pytest.fixture
def house(tmp_path):
    """A project with a plugin, and an installed package that brings a rule; its path is the second."""
    package, project = tmp_path / "site", tmp_path / "project"
    about = package / "tall_rules-1.2.dist-info"
    about.mkdir(parents=True)
    project.mkdir()
    (project / ".git").mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tall-rules\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[archcheck.rules]\ntall = tall_rules\n")
    write(package / "tall_rules.py", "MaxHeight", '"""At most `limit` high."""')
    write(project / "ours.py", "MaxWeight", '"""At most `limit` heavy."""')
    (project / "net.py").write_text(NET)
    (project / "archcheck.toml").write_text(dedent(CONTRACT.format(limit=15)))
    return project, os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))


def write(file, name, documentation):
    file.write_text(dedent(RULE).format(name=name, documentation=documentation))


@pytest.fixture
def run(archcheck, house):
    project, path = house
    return lambda *arguments, **options: archcheck(*arguments, **{"cwd": project, "PYTHONPATH": path, **options})


def test_rules_of_the_project_and_of_installed_packages_are_judged(run):
    done = run("check")
    assert done.returncode == 0, done.stderr
    assert "waived   max-weight  net: weighs 16 (waived: agreed) (2 of 2 points)\n" in done.stdout
    assert "kept     max-height  net: as promised\n" in done.stdout
    assert done.stdout.endswith("2 rules: 1 kept, 1 waived; earned 2 of 2 points\n")


def test_what_a_plugin_prints_stays_out_of_the_report(run, house):
    project, _ = house
    with (project / "ours.py").open("a") as file:
        file.write("\nprint('hello')\n")
    done = run("check", "--format", "json")
    assert done.returncode == 0
    assert "hello" in done.stderr
    assert json.loads(done.stdout)["schema"] == 1


def test_rules_and_explain_know_them(run, house, tmp_path):
    listed = run("rules").stdout
    assert "\nours\n  max-weight" in listed
    assert "\ntall_rules\n  max-height" in listed
    elsewhere = {"cwd": tmp_path}
    assert "max-weight" not in run("rules", **elsewhere).stdout
    assert "max-height" in run("rules", **elsewhere).stdout
    for more in ({}, {"cwd": tmp_path}):
        named = ["--config", house[0] / "archcheck.toml"] if more else []
        assert run("explain", "max-weight", *named, **more).stdout.startswith("max-weight: At most `limit` heavy.\n")
    unknown = run("explain", "max-wieght")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith('archcheck: error: "max-wieght" is not a topic, a rule or a kind; did you mean ')
    assert '"max-weight"' in unknown.stderr
    assert unknown.stderr.count("\n") == 1


def test_a_rule_without_documentation_or_with_a_broken_example(run, house):
    write(house[0] / "ours.py", "MaxWeight", "size = None")
    assert run("rules").returncode == 0
    page = run("explain", "max-weight")
    assert page.returncode == 0
    assert page.stdout.startswith("max-weight\n\nParameters:\n")
    write(house[0] / "ours.py", "MaxWeight", '"""At most.\n\n    Example, kept:\n        nonsense\n    """')
    page = run("explain", "max-weight")
    assert (page.returncode, page.stdout) == (2, "")
    assert page.stderr.startswith("archcheck: error: the documentation of ours.MaxWeight: not a `key = value` line")
    assert page.stderr.count("\n") == 1


BROKEN = 'plugin "tall_rules" of the installed package tall-rules 1.2 cannot be imported: ValueError: two lines\n'


def test_a_broken_plugin_is_one_located_line(run, house, tmp_path):
    (tmp_path / "site" / "tall_rules.py").write_text("raise ValueError('two\\nlines')")
    for command in (["check"], ["explain", "max-height"]):
        done = run(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[0] + "\n" == f"archcheck: error: archcheck.toml:1: {BROKEN}"
        assert "Traceback" not in done.stderr
    listed = run("rules")
    assert listed.returncode == 2
    assert "max-params" in listed.stdout
    assert "max-weight" in listed.stdout
    assert listed.stderr == f"archcheck: error: archcheck.toml:1: {BROKEN}"
    assert run("explain", "max-params").returncode == 0
    assert run("rules", cwd=tmp_path).stderr == f"archcheck: error: {BROKEN}"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MaxParams", 'plugin "ours" has a rule "max-params", which archcheck has already; rename it'),
        ("MaxHeight", 'plugin "ours" has a rule "max-height", which tall_rules has already; rename it'),
    ],
)
def test_a_name_that_there_is_already_is_refused(run, house, name, says):
    write(house[0] / "ours.py", name, '"""At most."""')
    done = run("check")
    assert done.returncode == 2
    assert f"archcheck: error: archcheck.toml:2: {says}\n" in done.stderr


@pytest.mark.parametrize("parallel", [[], ["-n", "2"]], ids=["alone", "parallel"])
def test_a_waiver_is_a_strict_xfail_of_its_item(pytester, house, monkeypatch, parallel):
    project, path = house
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(project)
    arguments = ["--archcheck", "--rootdir", str(project), "-rfx", "-p", "no:cacheprovider", *parallel]
    waived = pytester.runpytest_subprocess(*arguments)
    waived.assert_outcomes(passed=1, xfailed=1)
    waived.stdout.fnmatch_lines(["XFAIL archcheck.toml::net::max-weight - *agreed*"])
    (project / "archcheck.toml").write_text(dedent(CONTRACT.format(limit=16)))
    kept = pytester.runpytest_subprocess(*arguments, "--junitxml=report.xml")
    kept.assert_outcomes(passed=1, failed=1)
    line = "the waiver at archcheck.toml:9 is stale: nothing is left to waive, `max-weight` is kept"
    kept.stdout.fnmatch_lines([f"FAILED archcheck.toml::net::max-weight - broken: {line}"])
    kept.stdout.fnmatch_lines(["*fix *remove the waiver at archcheck.toml:9"])
    xml = (project / "report.xml").read_text()
    assert '<property name="points" value="2.0"' in xml
    assert '<property name="earned" value="2.0"' in xml
