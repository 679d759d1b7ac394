"""Archcheck on Windows, where it cannot measure, in processes that imitate Windows."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

HERE = Path(__file__).parent
REFUSAL = "archcheck: error: archcheck measures on Linux and macOS; use WSL or a container\n"
NETWORK = """
    from torch import nn

    def Net():
        return nn.Linear(4, 2)
"""
CONTRACT = """
    [subjects.net]
    model = "network.py:Net"
    input = [1, 4]
    rules.max-params = 10
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    (folder / "network.py").write_text(dedent(NETWORK))
    (folder / "archcheck.toml").write_text(dedent(CONTRACT))
    command = [sys.executable, "-m", "archcheck", "check", "--format", "json", "--output", "saved.json"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def run(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    begin = f"import sys; sys.path.append({str(HERE)!r}); from windows import pretend; "
    return subprocess.run(
        [sys.executable, "-c", begin + code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def cli(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"pretend(); from archcheck.cli import main; sys.exit(main({list(arguments)!r}))"
    return run(folder, code, **environment)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("check", "--no-cache", "--format", "json"),
        ("check", "net", "--jobs", "2"),
        ("report", "network.py:Net"),
        ("init", "network.py", "--output", "other.toml"),
        ("snapshot",),
    ],
    ids=" ".join,
)
def test_measuring_commands_are_refused_on_windows(folder: Path, arguments: tuple[str, ...]) -> None:
    done = cli(folder, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", REFUSAL)
    assert {each.name for each in folder.iterdir()} <= {
        "archcheck.toml", "network.py", "saved.json", "__pycache__",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rules",), "max-params"),
        (("explain", "max-params"), "max-params"),
        (("report", "saved.json"), "1 rule: 1 kept"),
        (("report", "saved.json", "--format", "markdown"), "archcheck: kept"),
        (("diff", "saved.json", "saved.json"), ""),
        (("--version",), "archcheck"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_other_commands_work_on_windows(folder: Path, arguments: tuple[str, ...], said: str, encoding: str) -> None:
    done = cli(folder, *arguments, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_a_saved_report_can_be_judged_again_by_tools(folder: Path) -> None:
    done = cli(folder, "report", "saved.json", "--format", "json")
    assert json.loads(done.stdout)["reports"][0]["subject"] == "net"


def test_archcheck_can_be_imported_and_asked_in_this_process(folder: Path) -> None:
    done = run(
        folder, "pretend(); import archcheck, archcheck.testing.pytest_plugin, archcheck.cli; print(archcheck.rules)"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 0, "1 passed"),
        (("--archcheck",), 4, "archcheck: measures on Linux and macOS; use WSL or a container"),
    ],
)
def test_the_plugin_says_so_only_under_its_flag(folder: Path, options: tuple[str, ...], code: int, said: str) -> None:
    """pytest itself has to know where it is: the pretence begins when it has been set up."""
    test = folder / "own" / "test_x.py"
    test.parent.mkdir(exist_ok=True)
    test.write_text("def test_x():\n    import archcheck\n")
    (folder / "own" / "later.py").write_text(
        "import pytest, windows\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_configure(config):\n    import sys\n    windows.pretend()\n"
        "def pytest_unconfigure(config):\n    import sys\n    sys.platform = 'linux'\n"
    )
    arguments = [
        "-q",
        "-p",
        "later",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:hypothesispytest",
        str(test),
        *options,
    ]
    done = run(folder / "own", f"sys.path.append('.'); import pytest; sys.exit(pytest.main({arguments!r}))")
    test.unlink()
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
