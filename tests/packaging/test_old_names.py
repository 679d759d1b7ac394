"""What users of 0.1.0 wrote goes on working, and says where things are now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from archcheck.foundation.old_names import MOVED
from tests.support.cli_samples import environment

FACTS = "from archcheck.facts import Facts"

RULE = """
from dataclasses import dataclass
from archcheck.facts import Facts
from archcheck.findings import Finding, Result
from archcheck.rule import Rule

@dataclass(frozen=True, slots=True, kw_only=True)
class MaxDepth(Rule):
    '''At most `limit` layers.'''
    limit: int
    def check(self, facts: Facts) -> Result:
        found = len(facts.ops)
        findings = (Finding(message="too deep"),) if found > self.limit else ()
        return Result(examined=found, findings=findings)
"""


def python(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(**changes), capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("statement", [*(f"import {old}" for old in MOVED), FACTS])
def test_an_old_name_works_and_warns_at_the_line_that_imports_it(tmp_path: Path, statement: str) -> None:
    done = python(tmp_path, "-c", statement)
    (warning,) = done.stderr.splitlines()  # shown without being asked for, as the line is that of a main program
    assert done.returncode == 0
    assert warning.startswith("<string>:1: DeprecationWarning: `archcheck.")


@pytest.mark.parametrize("statement", [*(f"import {old}" for old in MOVED), FACTS])
def test_who_takes_warnings_for_errors_is_told_the_new_place(tmp_path: Path, statement: str) -> None:
    done = python(tmp_path, "-W", "error", "-c", statement)
    new = MOVED.get(statement.removeprefix("import "), "archcheck.Facts")
    assert done.returncode == 1
    assert f"has moved to `{new}`" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_both_names_are_one_module_that_keeps_its_own_name(tmp_path: Path, old: str, new: str) -> None:
    """Whichever comes first, and however it is asked for: an error that one raises, the other catches."""
    room, _, name = old.rpartition(".")
    check = f"assert a is b and a.__name__ == a.__spec__.name == {new!r}, a"
    for code in (f"import {old} as a, {new} as b", f"import {new} as b, {old} as a", f"from {room} import {name} as a"):
        whole = f"{code}; import {new} as b; {check}; import {old}; assert {old} is a"
        assert python(tmp_path, "-W", "ignore", "-c", whole).stderr == ""


def test_nothing_is_told_of_names_that_are_where_they_were(tmp_path: Path) -> None:
    code = """
import sys
from archcheck import ArchcheckError, Facts, Finding, Report, Result, Rule, SubjectError, check, measure, rules
from archcheck.contract import load
from archcheck.render import render
from archcheck.testing import check_file, verify_examples
from archcheck.facts.facts import Facts as same
assert same is Facts and callable(measure) and "archcheck.foundation.old_names" not in sys.modules
"""
    done = python(tmp_path, "-W", "error", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", ["archcheck.nothing", "archcheck.errors_", "archcheck.facts.Fact", "archcheck.rules.errors"]
)
def test_a_name_that_never_was_is_none(tmp_path: Path, name: str) -> None:
    room, _, last = name.rpartition(".")
    assert f"No module named '{name}'" in python(tmp_path, "-c", f"import {name}").stderr
    assert "ImportError: cannot import name" in python(tmp_path, "-c", f"from {room} import {last}").stderr


def test_a_rule_written_for_the_old_names_judges_as_before(tmp_path: Path) -> None:
    (tmp_path / "house.py").write_text(RULE)
    (tmp_path / "net.py").write_text("import torch\nNet = lambda: torch.nn.Linear(3, 4)\n")
    contract = '[subjects.net]\nmodel = "net.py:Net"\ninput = [1, 3]\nrules.max-depth = 0\n'
    (tmp_path / "archcheck.toml").write_text(f'plugins = ["house"]\n{contract}')
    done = python(tmp_path, "-m", "archcheck", "check", "--format", "concise")
    assert "broken max-depth net: too deep" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(("options", "works"), [((), True), (("-W", "error"), False)])
def test_pytest_takes_the_plugin_under_its_old_name(tmp_path: Path, options: tuple[str, ...], works: bool) -> None:
    """Where plugins are loaded by name alone, as with an entry point it has been loaded already."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    arguments = (*options, "-m", "pytest", "-q", "-p", "archcheck.pytest_plugin")
    done = python(tmp_path, *arguments, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (done.returncode == 0) is works, done.stdout + done.stderr
    assert "has moved to `archcheck.testing.pytest_plugin`" in done.stdout + done.stderr
    helped = python(
        tmp_path, "-m", "pytest", "--help", "-p", "archcheck.pytest_plugin", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )
    assert "--archcheck" in helped.stdout
