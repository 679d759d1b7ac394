"""The worker: what a subject does to its process is one line, and never affects this process."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from functools import partial
from pathlib import Path

import pytest

from archcheck.foundation.errors import SubjectError
from archcheck.measure.process.worker import line_of
from archcheck.workers import worker_process
from archcheck.workers.worker_process import Worker

NET = "import torch.nn as nn\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 4)\n"


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def ask(worker, tmp_path):
    def ask(text, **options):
        (tmp_path / "model.py").write_text(text)
        return worker.ask({"do": "measure", "target": "model.py", "root": str(tmp_path)}, **options)

    return ask


def test_printed_text_is_not_part_of_the_answer(ask, capfd):
    answer = ask("import sys\nprint('{\"answer\": 1}')\nsys.stderr.write('warned')\n" + NET)
    assert answer["params"]["total"] == 16
    captured = capfd.readouterr()
    assert captured.out == ""
    assert '{"answer": 1}' in captured.err


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("import os\nos._exit(7)", "crash", "the process ended itself with exit code 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "crash", "was killed by SIGKILL"),
        ("import ctypes\nctypes.string_at(0)", "crash", "was killed by SIGSEGV"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGRTMIN + 1)", "crash", "was killed by signal 35"),
        ("import sys\nraise EOFError(sys.stdin.read())", "import", "EOFError"),
        ("raise MemoryError", "import", "MemoryError"),
        ("import sys\nsys.exit(3)", "import", "called sys.exit(3)"),
        # The process that goes on is not the one that was asked.
        ("import os\nif os.fork(): os._exit(0)\n" + NET, "crash", "the process ended itself with exit code 0"),
    ],
)
def test_a_subject_that_ends_its_process(ask, text, kind, says):
    with pytest.raises(SubjectError) as caught:
        ask(text)
    assert caught.value.kind == kind
    assert says in str(caught.value)


def test_a_subject_that_hangs_and_the_next_one(ask):
    with pytest.raises(SubjectError) as caught:
        ask("while True: pass", timeout=3)
    assert caught.value.kind == "timeout"
    assert ask(NET)["params"]["total"] == 16


def test_a_closed_worker_leaves_no_process(tmp_path):
    worker = Worker()
    (tmp_path / "model.py").write_text(NET)
    worker.ask({"do": "find", "target": "model.py", "root": str(tmp_path)})
    process = worker._process
    assert process is not None
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    worker.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it counts descriptors as Linux shows them")
def test_a_process_that_cannot_be_started_is_a_line_and_leaves_nothing(monkeypatch, tmp_path):
    def full(*args, **keywords):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(tempfile, "mkdtemp", partial(tempfile.mkdtemp, dir=tmp_path))
    monkeypatch.setattr(worker_process.subprocess, "Popen", full)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with (
        Worker() as worker,
        pytest.raises(SubjectError, match="no process could be started for it: Cannot allocate") as it,
    ):
        worker.ask({"do": "find", "target": "model.py", "root": str(tmp_path)})
    assert it.value.kind == "environment"
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not list(tmp_path.iterdir())


FORKS = """
import os, signal, sys, time
def fork():
    pid = os.fork()
    if not pid:
        time.sleep(600)
    open("pids", "a").write(f"{os.getpid()} {pid} ")
os.chdir(os.path.dirname(__file__))
fork()
"""


def assert_gone(folder):
    """Assert that the processes noted by a subject have ended or are zombies."""
    pids = (folder / "pids").read_text().split()
    assert len(pids) == 2
    for pid in pids:
        deadline = time.monotonic() + 10
        while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, f"{pid} still runs"
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("os._exit(7)", "the process ended itself with exit code 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the process was killed by SIGKILL"),
        ("os.closerange(3, 99)\nos._exit(7)", "the process ended itself with exit code 7"),
    ],
)
def test_a_crash_is_noticed_although_a_fork_lives_on(ask, tmp_path, end, says):
    begun = time.monotonic()
    with pytest.raises(SubjectError) as caught:
        ask(FORKS + end, timeout=60)
    assert caught.value.kind == "crash"
    assert says in str(caught.value)
    assert time.monotonic() - begun < 30
    assert_gone(tmp_path)


def test_a_hang_leaves_no_process(ask, tmp_path):
    with pytest.raises(SubjectError) as caught:
        ask(FORKS + "while True: pass", timeout=4)
    assert caught.value.kind == "timeout"
    assert_gone(tmp_path)


def test_an_answer_leaves_no_process(ask, tmp_path):
    assert ask(FORKS + NET)["params"]["total"] == 16
    assert_gone(tmp_path)


def test_a_killed_parent_leaves_no_process(tmp_path):
    (tmp_path / "model.py").write_text(FORKS + "while True: pass")
    code = (
        "from archcheck.workers.worker_process import Worker; "
        "Worker().ask({'do': 'find', 'target': 'model.py', 'root': '.'})"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as parent:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        parent.kill()
    assert_gone(tmp_path)


def test_a_crash_keeps_the_worker_and_its_torch(worker, ask):
    ask(NET)
    process = worker._process
    with pytest.raises(SubjectError):
        ask("import os\nos._exit(7)")
    assert ask(NET)["params"]["total"] == 16
    assert worker._process is process


def test_a_worker_outlives_the_folder_in_which_it_started(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "model.py").write_text(NET)
    with Worker() as worker:
        for folder in (first, second):
            with chdir(folder):
                answer = worker.ask({"do": "measure", "target": "model.py", "root": str(folder)})
            assert answer["params"]["total"] == 16
            shutil.rmtree(folder)


def test_a_reply_to_another_request_is_dropped(monkeypatch):
    def send(request):
        right = f'{{"id": "{request["id"]}", "answer": "new"}}'
        lines.extend([b'{"id": "0", "answer": "old"}', b'{"answer": "nobody\'s"}', b"", b"\xff[", right.encode()])

    worker, lines = Worker(), []
    monkeypatch.setattr(worker, "_send", send)
    monkeypatch.setattr(worker, "_read_line", lambda deadline, limit: lines.pop(0))
    assert worker.ask({"do": "measure"}) == "new"


def test_numbers_that_json_lacks_come_through(monkeypatch):
    def loads(text, **options):
        return load(text, parse_constant=pytest.fail, **options)

    def send(request):
        line = line_of({"id": request["id"], "answer": {"losses": (math.inf, -math.inf, math.nan, 1.5)}})
        monkeypatch.setattr(worker, "_read_line", lambda deadline, limit: line)

    worker, load = Worker(), json.loads
    monkeypatch.setattr(worker_process.json, "loads", loads)
    monkeypatch.setattr(worker, "_send", send)
    *known, nan, last = worker.ask({"do": "measure"})["losses"]
    assert known == [math.inf, -math.inf]
    assert math.isnan(nan)
    assert last == 1.5


def test_a_stale_request_ends_at_once_and_torch_stays_imported(worker, ask):
    ask(NET)
    process, began = worker._process.pid, time.monotonic()
    worker.is_stale = lambda: time.monotonic() > began + 0.3
    try:
        with pytest.raises(SubjectError, match="it has changed") as caught:
            ask("import time\ntime.sleep(60)\n" + NET)
    finally:
        worker.is_stale = lambda: False
    assert caught.value.kind == "cancelled"
    assert ask(NET)["params"]["total"] == 16
    assert worker._process.pid == process
    assert time.monotonic() - began < 30
