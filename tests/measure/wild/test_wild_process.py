"""The command as a process, on files as they are: what leaves it, what it leaves behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_samples import environment

HERE = Path(__file__).parent


def run(*arguments, cwd):
    command = [sys.executable, "-m", "archcheck", "report", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False, input="yes\n"
    )


@pytest.mark.parametrize("name", ["scripts/prints.py", "scripts/writes.py", "notebooks/download_cell.ipynb"])
def test_a_file_is_reported_and_left_alone(tmp_path, name):
    file = Path(shutil.copy(HERE / name, tmp_path))
    before = file.read_bytes()
    done = run(file.name, "--format", "json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["reports"][0]["facts"]["params"]["total"] == 90
    assert "Traceback" not in done.stderr
    assert ("parameters: 90" in done.stderr) == (file.name == "prints.py")
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_a_package_is_left_without_compiled_files(tmp_path):
    shutil.copytree(HERE / "packages" / "relative", tmp_path, dirs_exist_ok=True)
    done = run("nets/net.py", cwd=tmp_path)
    assert done.returncode == 0
    assert "note    input 1x1x28x28" in done.stdout
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_text_says_how_a_file_was_loaded(tmp_path):
    shutil.copy(HERE / "scripts" / "epoch_loop.py", tmp_path)
    said = " ".join(run("epoch_loop.py", cwd=tmp_path).stdout.split())
    assert "note loaded by its definitions only, as it trains when it is imported (epoch_loop.py:21)" in said


def test_what_is_missing_and_needed_is_one_line_and_exit_code_2(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("from nowhere_at_all import Base\n\nclass Net(Base):\n    def forward(self, x):\n        return x\n")
    done = run("net.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "archcheck: error: `net.py:Net` needs `nowhere_at_all.Base`, which is not installed here, nor a file beside "
        "it; install it and try again (at net.py:3)\n"
    )


def test_a_contract_holds_a_file_that_trains_to_its_promises(tmp_path):
    shutil.copy(HERE / "scripts" / "epoch_loop.py", tmp_path)
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.net]\nmodel = "epoch_loop.py:Net"\nrules.max-params = 90\nrules.requires = ["batch_norm"]\n'
    )
    command = [sys.executable, "-m", "archcheck", "check", "--format", "concise"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "kept max-params net: 90 parameters" in done.stdout
    assert "broken requires" in done.stdout


def test_the_main_model_that_fails_comes_before_a_helper_that_is_measured(tmp_path):
    shutil.copy(HERE / "entries" / "main_student_fails.py", tmp_path)
    done = run("main_student_fails.py", "--input", "1,3,32,32", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("archcheck: error: Student: the forward pass failed in `c` (Conv2d)")
    assert done.stdout.index("Student") < done.stdout.index("Teacher  main_student_fails.py:Teacher")
