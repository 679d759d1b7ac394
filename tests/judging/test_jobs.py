"""Many subjects at a time: how often torch is imported, in which order reports come, and what is left of a run."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cli_samples import environment

COUNTER = """
import os, sys

class Counter:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            with open(os.environ["IMPORTS_OF_TORCH"], "a") as log:
                log.write(f"{os.getpid()}\\n")

sys.meta_path.insert(0, Counter())
"""
"""A `usercustomize` and `sitecustomize`: it notes each process that imports torch."""

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        if width == 13:
            raise RuntimeError("unlucky")
        self.fc = nn.Linear(width, 1, bias=False)

    def forward(self, x):
        return self.fc(x)
"""


def contract(widths, limit=1000):
    return "".join(
        f'[subjects.net{width}]\nmodel = "nets.py:Net"\nargs = {{ width = {width} }}\ninput = [1, {width}]\n'
        f"rules.max-params = {limit}\n"
        for width in widths
    )


@pytest.fixture
def many(tmp_path):
    """A folder for networks and their contract."""
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def command(*arguments):
    return [sys.executable, "-m", "archcheck", "check", "--no-cache", *map(str, arguments)]


def run(folder, *arguments, **changes):
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(**changes), capture_output=True, text=True, check=False
    )


def reports(done):
    return json.loads(done.stdout)["reports"]


def test_forty_subjects_take_one_import_of_torch_a_worker(many):
    (many / "archcheck.toml").write_text(contract(range(1, 41), limit=30))
    (many / "hook").mkdir()
    (many / "hook" / "sitecustomize.py").write_text(COUNTER)
    log = many / "imports"
    path = os.pathsep.join(filter(None, (str(many / "hook"), os.environ.get("PYTHONPATH"))))
    done = run(many, "--jobs", 2, "--format", "json", IMPORTS_OF_TORCH=str(log), PYTHONPATH=path)
    found = reports(done)
    assert [report["subject"] for report in found] == [f"net{width}" for width in range(1, 41)]
    failed = [report["subject"] for report in found if "error" in report]
    assert failed == ["net13"]
    totals = [report["facts"]["params"]["total"] for report in found if "facts" in report]
    assert totals == [width for width in range(1, 41) if width != 13]
    broken = [report["subject"] for report in found if report["totals"]["broken"]]
    assert broken == [f"net{width}" for width in range(31, 41)]
    assert done.returncode == 2
    imports = log.read_text().split()
    assert len(imports) == len(set(imports)) == 2


def test_reports_keep_their_order_whatever_ends_first(many):
    (many / "slow.py").write_text("import time\ntime.sleep(2)\nfrom nets import Net\n")
    text = contract([1, 2, 3]).replace("nets.py", "slow.py", 1)
    (many / "archcheck.toml").write_text(text)
    done = run(many, "--jobs", 3, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [report["subject"] for report in reports(done)] == ["net1", "net2", "net3"]


def test_the_report_is_that_of_a_single_worker(many):
    (many / "archcheck.toml").write_text(contract([3, 13, 4, 2000]))
    one, three = run(many, "--format", "json"), run(many, "--format", "json", "--jobs", 3)
    assert (one.stdout, one.returncode) == (three.stdout, three.returncode)
    assert one.returncode == 2


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupted_run_leaves_no_process(many, jobs, number, code):
    note = f"import os, time\nopen({str(many / 'pids')!r}, 'a').write(f'{{os.getpid()}} {{os.getppid()}} ')\n"
    (many / "nets.py").write_text(note + "time.sleep(600)\n")
    (many / "archcheck.toml").write_text(contract([1, 2, 3, 4]))
    process = subprocess.Popen(
        command("--jobs", jobs), cwd=many, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: (many / "pids").exists() and len((many / "pids").read_text().split()) == 2 * jobs)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in error
    pids = (many / "pids").read_text().split()
    assert len(pids) == 2 * jobs  # none was started after the interruption
    for pid in pids:
        wait_until(lambda pid=pid: not lives(pid))


def lives(pid):
    """Whether a process runs; one that nobody waited for is a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_terminal_sees_how_far_it_is_and_nothing_else_does(many):
    (many / "archcheck.toml").write_text(contract([1, 2]))
    assert run(many).stderr == ""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command(), cwd=many, env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs, check=False
    )
    os.close(theirs)
    seen = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert re.findall(r"\x1b\[K([^\r\x1b]*)", seen) == ["0/2", "1/2  net1", "2/2  net2", ""]


@pytest.mark.parametrize("word", ["0", "-1", "two", "1.5"])
def test_jobs_are_a_positive_number(many, word):
    done = run(many, "--jobs", word)
    assert done.returncode == 2
    assert f'must be a positive whole number, not "{word}"' in done.stderr
    assert "Traceback" not in done.stderr
