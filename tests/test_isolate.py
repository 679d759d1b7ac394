"""The worker: what a subject does to its process is told in one line, and never hangs or reaches ours."""

from __future__ import annotations

import pytest

from archcheck.errors import SubjectError
from archcheck.isolate import Worker

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


def test_prints_stay_off_the_answer(ask, capfd):
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
        ("input()", "import", "EOFError"),
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
    import os

    worker = Worker()
    (tmp_path / "model.py").write_text(NET)
    worker.ask({"do": "find", "target": "model.py", "root": str(tmp_path)})
    process = worker._process
    assert process is not None
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    worker.close()
