"""Without forking, as on macOS, the same commands give the same verdicts."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from archcheck.foundation.platform_support import can_fork

NETWORKS = """
    import sys, time
    from torch import nn

    print("said while it is imported")

    class Net(nn.Module):
        def __init__(self, width=2):
            super().__init__()
            self.fc = nn.Linear(4, width)
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(self.fc(x))

    def raises():
        raise ValueError("broken on purpose")

    def leaves():
        sys.exit(3)

    def hangs():
        time.sleep(1e6)

    def dies():
        import os
        os.abort()

    def forgets():
        import torch
        torch.nn.Linear.forward = None
        return Net()
"""
CONTRACT = """
    [subjects.good]
    model = "networks.py:Net"
    input = [1, 4]
    [subjects.good.rules]
    max-params = 10
    keeps-batch = true
    independent-of-batch = true
    finite-output = true
    gradients-reach = true
    deterministic-in-eval = true
    state-dict-round-trip = true
    overfits-one-batch = true
    accepts = { batch = [1, 8] }

    [subjects.fat]
    model = "networks.py:Net"
    args = { width = 3 }
    input = [1, 4]
    rules.max-params = 10
"""
FAILING = ("raises", "leaves", "dies", "forgets", "missing")
MORE = "".join(
    f'\n[subjects.{name}]\nmodel = "networks.py:{name}"\ninput = [1, 4]\nrules.max-params = 10\n' for name in FAILING
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forks")
    (folder / "networks.py").write_text(dedent(NETWORKS))
    (folder / "archcheck.toml").write_text(dedent(CONTRACT) + MORE)
    (folder / "slow.toml").write_text('[subjects.slow]\nmodel = "networks.py:hangs"\nrules.max-params = 10\n')
    return folder


def archcheck(folder: Path, *arguments: str, fork: bool) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder), **({} if fork else {"ARCHCHECK_NO_FORK": "1"})}
    return subprocess.run(
        [sys.executable, "-m", "archcheck", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip


def judged(done: subprocess.CompletedProcess[str]) -> list[object]:
    """Return the reports without the details of the run, which depend on how a subject ended."""
    reports = json.loads(done.stdout)["reports"]
    return [(each["subject"], each.get("facts"), each.get("outcomes"), each.get("error")) for each in reports]


def test_the_environment_variable_disables_forking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert can_fork()
    monkeypatch.setenv("ARCHCHECK_NO_FORK", "1")
    assert not can_fork()
    monkeypatch.delenv("ARCHCHECK_NO_FORK")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_fork()


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    arguments = ("check", "--no-cache", "--format", "json")
    return archcheck(folder, *arguments, fork=True), archcheck(folder, *arguments, fork=False)


def test_facts_verdicts_and_errors_are_the_same(both: tuple[subprocess.CompletedProcess[str], ...]) -> None:
    forked, alone = both
    assert forked.returncode == alone.returncode == 2
    assert judged(forked) == judged(alone)
    assert [name for name, *_ in judged(alone)] == ["good", "fat", *FAILING]  # type: ignore[misc]


def test_output_of_a_subject_goes_to_standard_error(both: tuple[subprocess.CompletedProcess[str], ...]) -> None:
    for done in both:
        assert "said while it is imported" in done.stderr
        assert "said while it is imported" not in done.stdout


def test_a_subject_that_hangs_is_ended(folder: Path) -> None:
    done = archcheck(folder, "check", "--config", "slow.toml", "--no-cache", "--timeout", "8", fork=False)
    assert done.returncode == 2
    assert "was not done after 8 s" in done.stderr


def test_the_other_commands_take_it_too(folder: Path) -> None:
    for arguments in (
        ("report", "networks.py:Net", "--input", "1,4", "--format", "json"),
        ("check", "good", "fat", "--jobs", "2", "--format", "concise"),
    ):
        forked, alone = (archcheck(folder, *arguments, "--no-cache", fork=fork) for fork in (True, False))
        assert (forked.returncode, forked.stdout) == (alone.returncode, alone.stdout)


def test_nothing_is_left_behind(folder: Path, both: object) -> None:
    assert not [each.name for each in folder.iterdir() if each.name.startswith("archcheck-")]


def test_answers_are_kept_and_found_again(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = archcheck(folder, "check", "good", "fat", "--format", "json", fork=False)
        assert [each[0] for each in judged(done)] == ["good", "fat"]  # type: ignore[index]


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("print('it runs', flush=True)\nwhile True: pass\n")
    asked = "Worker(import_timeout=1e6).ask({'do': 'find', 'target': 'model.py', 'root': '.'})"
    code = f"from archcheck.workers.worker_process import Worker; {asked}"
    environment = {**os.environ, "ARCHCHECK_NO_FORK": "1"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr is not None
        assert any("it runs" in line for line in parent.stderr)
        (worker,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        parent.kill()
        deadline = time.monotonic() + 60
        while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
