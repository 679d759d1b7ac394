"""What is imported when, and by whom."""

import subprocess
import sys
from pathlib import Path

import pytest

import archcheck
from tests.support.cli_samples import environment

ROOT = Path(__file__).parents[2]
HEAVY = {"fvcore", "hypothesis", "numpy", "rich", "torch"}

MAIN = "from archcheck.cli import main; code = main({}); assert code == 0, code"


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh process has imported after `code`."""
    code += "\nimport sys; print('modules', *{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stdout.rpartition("modules")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import archcheck",
        "from archcheck import check, measure, rules, Facts, Report; rules.MaxParams(limit=1)",
        "import archcheck.testing.pytest_plugin",
        "import archcheck.testing",
        MAIN.format(["--help"]),
        MAIN.format(["rules"]),
        MAIN.format(["explain", "max-params"]),
    ],
)
def test_light_things_stay_light(code):
    assert imported_by(code) & HEAVY == set()


def test_a_contract_is_read_and_a_saved_report_shown_without_torch(project, saved):
    contract = (
        f"from pathlib import Path; from archcheck.contract import load; load(Path({str(project)!r}, 'pyproject.toml'))"
    )
    assert imported_by(contract) & HEAVY == set()
    shown = MAIN.format(["report", str(project / "saved.json"), "--format", "markdown"])
    assert imported_by(shown) & HEAVY == set()


def test_the_parent_never_imports_torch(project):
    code = f"import os; os.chdir({str(project)!r})\n" + MAIN.format(["check", "good"])
    assert imported_by(code) & HEAVY == set()


def test_pytest_without_the_option_imports_the_plugin_alone(pytester):
    pytester.makepyfile("""
        import sys

        def test_modules():
            ours = {name for name in sys.modules if name.partition(".")[0] == "archcheck"}
            testing = "archcheck.testing"
            assert ours == {"archcheck", testing, f"{testing}.pytest_options", f"{testing}.pytest_plugin"}
            assert "torch" not in sys.modules
    """)
    pytester.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_collecting_a_contract_does_not_import_torch(pytester):
    (pytester.path / ".git").mkdir()
    pytester.makefile(".toml", archcheck='[subjects.net]\nmodel = "net.py:Net"\nrules.max-params = 1')
    pytester.makeconftest("""
        import sys

        def pytest_collection_finish(session):
            assert len(session.items) == 1
            assert not {"torch", "rich"} & set(sys.modules)
    """)
    result = pytester.runpytest_subprocess("--archcheck", "--collect-only", "-q")
    assert result.ret == 0


def test_every_public_name_is_there_and_nothing_else():
    for name in archcheck.__all__:
        assert getattr(archcheck, name) is not None
    assert set(archcheck.__all__) <= set(dir(archcheck))
    with pytest.raises(AttributeError, match="no attribute 'Manager'"):
        archcheck.Manager  # noqa: B018


def test_measure_stays_the_function_when_the_package_of_that_name_is_imported():
    assert imported_by(
        "import archcheck, archcheck.measure, archcheck.measure.shapes.unknown_sizes; "
        "from archcheck.judging.engine import measure; assert archcheck.measure is measure"
    )


def test_imports_run_one_way():
    command = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert "0 broken" in run.stdout
