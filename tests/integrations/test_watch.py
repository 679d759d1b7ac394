"""`archcheck check --watch` in a process that is interrupted at its end: one for all tests."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archcheck.cli.watch import _head
from tests.support.cli_samples import environment

NET = "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 3)\n"
CONTRACT = """\
[subjects.net]
model = "net.py:Net"
input = [1, 2]
rules.max-params = 9
rules.deterministic-in-eval = true
"""
LONGEST = 60.0


class Watch:
    """The process, and what it has written since one asked the last time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "said.txt"
        changes = {"ARCHCHECK_CACHE_DIR": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
        with self.log.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "archcheck", "check", "--watch", "--no-paranoid", "--format", "concise"],
                cwd=folder,
                env=environment(**changes),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, pattern: str, since: int) -> str:
        end = time.monotonic() + LONGEST
        while not re.search(pattern, text := self.log.read_text()[since:], re.DOTALL):
            assert time.monotonic() < end, text
            assert self.process.poll() is None, text
            time.sleep(0.01)
        return text

    def write(self, name: str, text: str, pattern: str) -> tuple[str, float]:
        since, began = len(self.log.read_text()), time.monotonic()
        (self.folder / name).write_text(text)
        return self.until(pattern, since), time.monotonic() - began


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str | int]]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / ".git").mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "archcheck.toml").write_text(CONTRACT)
    watch = Watch(folder)
    try:
        seen: dict[str, str | int] = {"first": watch.until("judged.*judged", 0)}
        seen["saved"], took = watch.write("net.py", NET.replace("3)", "4)"), "judged.*judged")
        print(f"from save to both verdicts {took:.2f} s")
        seen["mistake"], _ = watch.write("archcheck.toml", CONTRACT.replace("params", "parms"), "did you mean")
        seen["mended"], _ = watch.write("archcheck.toml", CONTRACT.replace("9", "12"), "judged.*judged")
        seen["damaged"], _ = watch.write("net.py", "def (:\n", "judged")
        workers = Path(f"/proc/{watch.process.pid}/task/{watch.process.pid}/children")
        worker = workers.read_text().split()[0] if workers.exists() else ""
        watch.process.send_signal(signal.SIGINT)
        seen["exit code"] = watch.process.wait(LONGEST)
        seen["end"] = watch.log.read_text()
        seen["worker"] = worker
        yield seen
    finally:
        watch.process.kill()
        watch.process.wait()


def test_the_graph_is_judged_first_then_all(said: dict[str, str]) -> None:
    first, second = said["first"].split("the rest follows")
    assert "kept max-params" in first
    assert "deterministic-in-eval" not in first
    assert "kept deterministic-in-eval" in second


def test_a_change_is_judged_and_named(said: dict[str, str]) -> None:
    assert "archcheck check --watch: net.py changed" in said["saved"]
    assert "broken max-params net: 12 parameters, limit 9" in said["saved"]


def test_a_mistake_in_the_contract_ends_nothing(said: dict[str, str]) -> None:
    assert "archcheck.toml:4:" in said["mistake"]
    assert "kept max-params" in said["mended"]


def test_an_interrupt_ends_it_clean_with_nothing_left_running(said: dict[str, str | int]) -> None:
    assert said["exit code"] == 130
    assert "Traceback" not in str(said["end"])
    assert not said["worker"] or not Path(f"/proc/{said['worker']}").exists()


def test_what_cannot_be_measured_is_tried_once(said: dict[str, str]) -> None:
    assert "syntax error" in said["damaged"]
    assert "judged" in said["end"].partition("syntax error")[2]
    assert "the rest follows" not in said["end"].partition("syntax error")[2]


def test_the_head_names_few_files_and_shows_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    _head(Path(name) for name in ("a\x1b[31m.py", "b\nc.py", *(f"m{number}.py" for number in range(9))))
    assert capsys.readouterr().out.endswith(": a\\x1b[31m.py, b\\nc.py, m0.py, m1.py, m2.py and 6 more changed\n\n")
