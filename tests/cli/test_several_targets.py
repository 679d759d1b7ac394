"""`archcheck report` of several targets and of folders: one worker measures all, each in a process of its own."""

from __future__ import annotations

import json
import subprocess

import pytest

from archcheck.cli import main
from archcheck.cli.several_targets import single_targets

NET = """
import torch
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear({width}, 2))
"""
CRASH = """
import os, signal
from torch import nn
class Crash(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    files = {
        "a/net.py": NET.format(width=3),
        "b/crash.py": CRASH,
        "b/helper.py": "import torch\ndef helper(): ...\n",
        "b/net.py": NET.format(width=50),
        "b/setup.py": "raise SystemExit('never imported')\n",
        "b/.hidden/net.py": "import torch\n1 / 0\n",
        "b/env/pyvenv.cfg": "",
        "b/env/net.py": "import torch\n1 / 0\n",
        "empty/notes.py": "x = 1\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_one_worker_measures_all_and_a_crash_takes_no_other(folder, monkeypatch, capsys):
    started = []
    popen = subprocess.Popen
    monkeypatch.chdir(folder)
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **named: started.append(1) or popen(*args, **named))
    assert main(["report", "a/net.py", "b", "--format", "json", "--no-cache"]) == 2
    printed = capsys.readouterr()
    reports = {report["subject"]: report for report in json.loads(printed.out)["reports"]}
    assert list(reports) == ["a/net.py:Net", "Crash", "b/net.py:Net"]
    measured = {name: report["facts"]["params"]["total"] for name, report in reports.items() if "facts" in report}
    assert measured == {"a/net.py:Net": 8, "b/net.py:Net": 102}
    assert reports["Crash"]["error"]["kind"] == "crash"
    assert "Crash: the process was killed by SIGKILL" in printed.err
    assert len(started) == 1


def test_a_folder_stands_for_its_files_that_use_torch(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert single_targets("b") == ("b/crash.py", "b/helper.py", "b/net.py")
    assert single_targets("b/net.py") == ("b/net.py",)


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (["empty"], "no Python file in `empty` uses torch; name a file, as in `empty/model.py`"),
        (["a/net.py", " "], "the target is empty"),
        (
            ["a/net.py", "saved.json"],
            "saved.json is a saved report, which is shown alone; `archcheck merge` joins several",
        ),
    ],
)
def test_targets_that_cannot_be_shown_are_refused_before_anything_is_measured(
    folder, targets, says, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    (folder / "saved.json").write_text("{}")
    monkeypatch.setattr(subprocess, "Popen", None)
    assert main(["report", *targets]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""
