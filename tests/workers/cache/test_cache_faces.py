"""The second run of each face, as a process: no worker, no torch, the same report."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.cli_samples import environment
from tests.workers.cache.cache_samples import entries

NO_WORKER = """
import sys
from archcheck.workers.worker_process import Worker
def start(self, root): raise SystemExit("a worker was started")
Worker._start = start
"""
MAIN = "from archcheck.cli import main\ncode = main(sys.argv[1:])\nassert 'torch' not in sys.modules\nsys.exit(code)"


@pytest.mark.parametrize("command", [["check"], ["report", "a"], ["report", "model.py"], ["report", "model.py:A"]])
def test_the_second_run_starts_no_worker_and_imports_no_torch(small, cache_folder, command):
    folder = small("print('loaded')")

    def run(*arguments):
        return subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True, check=False)

    second = [sys.executable, "-c", NO_WORKER + MAIN, *command]
    assert "a worker was started" in run(*second).stderr
    first = run(sys.executable, "-m", "archcheck", *command)
    assert (first.returncode, first.stderr) == (0, "loaded\n" * (2 if "model.py" in command else 1))
    again = run(*second)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    for file in entries(cache_folder):
        file.write_text("damaged")
    assert "a worker was started" in run(*second, "--no-cache").stderr
    assert run(sys.executable, "-m", "archcheck", *command, "--no-cache").returncode == 0
    assert {file.read_text() for file in entries(cache_folder)} == {"damaged"}


def test_no_cache_reads_and_writes_nothing(small, cache_folder):
    folder = small()
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache"]
    assert subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False).returncode == 0
    assert not cache_folder.exists()


def test_pytest_knows_what_was_checked(small, cache_folder):
    folder = small()

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "--archcheck", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)

    (folder / ".git").mkdir()
    assert run("--archcheck-no-cache").returncode == 0
    assert not cache_folder.exists()
    assert run().returncode == 0
    (folder / "conftest.py").write_text(
        NO_WORKER + "def pytest_unconfigure(): assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    again = run()
    assert (again.returncode, again.stderr) == (0, "")
    assert "a worker was started" in run("--archcheck-no-cache").stdout
