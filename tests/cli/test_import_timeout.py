"""The limit of an import, through the faces: what counts, what is said, and what is left of an import that was cut."""

from __future__ import annotations

import subprocess
import sys

from tests.support.cli_samples import environment, write

NET = """
import signal, sys, threading
import torch.nn as nn
{line}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        left = threading.active_count(), signal.getsignal(signal.SIGUSR1), hasattr(sys, "left"), "half" in sys.modules
        print("left", *left)
    def forward(self, x):
        return self.conv(x)
"""
CONTRACT = """
    [subjects.net]
    model = "net.py:Net"
    input = [1, 1, 8, 8]
    {line}
    rules.max-params = 20
"""
BURN = "while True: pass"
SPENDS = """
import time
end = time.process_time() + {seconds}
while time.process_time() < end: pass
"""
LEAVES = """
import signal, sys, threading, types
while True:
    threading.Thread(target=threading.Event().wait).start()
    signal.signal(signal.SIGUSR1, print)
    sys.left = sys.modules["half"] = types.ModuleType("half")
    try:
        while True: signal.getsignal(signal.SIGUSR1)
    except BaseException:
        pass
"""
SCHOOL = """
    def train(model, *, seed, epochs=1):
        yield {}
    def evaluate(model):
        return 1, 2
    while True: pass
"""
SAYS = (
    "its own code takes more than 0.5 s of CPU time to import ({at}); `--import-timeout` (in a contract "
    "`import-timeout`) raises the limit of 0.5 s"
)


def run(folder, *arguments, **changes):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(**changes), capture_output=True, text=True, timeout=300, check=False
    )


def report(folder, *arguments, **changes):
    done = run(folder, "archcheck", "report", "net.py", "--no-cache", *arguments, **changes)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split()), done.stderr


def test_what_packages_take_to_import_does_not_count(tmp_path):
    packages = tmp_path / "site-packages"
    packages.mkdir()
    write(packages, heavy_py=SPENDS.format(seconds=1.5))
    write(tmp_path, net_py=NET.format(line="import heavy\nprint('has', heavy.end)"))
    text, said = report(tmp_path, "--import-timeout", "0.5", PYTHONPATH=str(packages))
    assert "definitions only" not in text
    assert "has" in said


def test_what_the_subject_has_packages_do_counts(tmp_path):
    write(tmp_path, net_py=NET.format(line="while True: nn.Linear(9, 9)"))
    text, _ = report(tmp_path, "--import-timeout", "0.5")
    assert f"loaded by its definitions only, as {SAYS.format(at='net.py:4')}; not run: net.py:4" in text


def test_a_limit_may_be_raised(tmp_path):
    write(tmp_path, net_py=NET.format(line=SPENDS.format(seconds=1)))
    assert "definitions only" in report(tmp_path, "--import-timeout", "0.5")[0]
    assert "definitions only" not in report(tmp_path, "--import-timeout", "30")[0]


def test_any_limit_ends(tmp_path):
    write(tmp_path, net_py=NET.format(line=BURN))
    for limit in ("1e-09", "1e-300"):
        text, _ = report(tmp_path, "--import-timeout", limit)
        assert f"takes more than {limit} s of CPU time" in text


def test_no_limit_is_too_small_for_the_definitions_themselves(tmp_path):
    table = "class Table:\n    import time\n    end = time.process_time() + 0.08\n"
    spends = "    while time.process_time() < end: pass\n"
    write(tmp_path, net_py=NET.format(line=BURN + "\n" + table + spends))
    text, _ = report(tmp_path, "--import-timeout", "1e-300")
    assert "takes more than 1e-300 s of CPU time" in text


def test_nothing_is_left_of_an_import_that_was_cut(tmp_path):
    write(tmp_path, net_py=NET.format(line="import helper"), helper_py=LEAVES)
    text, said = report(tmp_path, "--import-timeout", "0.5")
    assert SAYS.format(at="helper.py:8") in text, text
    assert set(said.splitlines()) == {"left 1 0 False False"}


def test_what_cannot_be_loaded_by_its_definitions_either_is_one_line(tmp_path):
    write(tmp_path, net_py="class Net:\n    while True: pass\n")
    done = run(tmp_path, "archcheck", "report", "net.py", "--import-timeout", "0.5")
    assert done.returncode == 2
    assert done.stderr == f"archcheck: error: `net.py` could not be imported: {SAYS.format(at='net.py:2')}\n"


def test_a_contract_sets_the_limit_and_what_was_cut_is_not_kept(tmp_path):
    write(tmp_path, net_py=NET.format(line=BURN), archcheck_toml=CONTRACT.format(line="import-timeout = 0.5"))
    for _ in range(2):
        done = run(tmp_path, "archcheck", "check")
        assert done.returncode == 0, done.stderr
        assert "left 1 0 False False" in done.stderr


def test_a_trainer_is_cut_too(tmp_path):
    training = 'train = "school.py:train"\nevaluate = "school.py:evaluate"\nrecord = "record.json"\n'
    write(tmp_path, net_py=NET.format(line=""), archcheck_toml=CONTRACT.format(line=""))
    (tmp_path / "archcheck.toml").open("a").write(f"[subjects.net.training]\n{training}")
    write(tmp_path, school_py=SCHOOL)
    done = run(tmp_path, "archcheck", "train", "net", "--import-timeout", "0.5")
    assert done.returncode == 0, done.stderr
    assert "recorded in record.json" in done.stdout


def test_pytest_takes_the_limit(tmp_path):
    write(tmp_path, net_py=NET.format(line=BURN), archcheck_toml=CONTRACT.format(line=""))
    done = run(tmp_path, "pytest", "--archcheck", "--archcheck-no-cache", "--archcheck-import-timeout", "0.5", "-q")
    assert done.returncode == 0, done.stdout
    done = run(tmp_path, "pytest", "--archcheck", "--archcheck-import-timeout", "no")
    assert done.returncode == 4
    assert "--archcheck-import-timeout: must be a positive number" in done.stderr


def test_a_process_that_is_not_forked_starts_over_too(tmp_path, monkeypatch, capfd):
    from archcheck.judging.engine import measure_target
    from archcheck.workers import worker_process

    monkeypatch.setattr(worker_process, "can_fork", lambda: False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, net_py=NET.format(line="import helper"), helper_py=LEAVES)
    with worker_process.Worker(import_timeout=0.5) as worker:
        facts = measure_target(worker, "net.py:Net")
    assert any(SAYS.format(at="helper.py:8") in note for note in facts.subject.notes)
    # Two threads: beside its own there is the one that ends a worker with whoever started it.
    assert capfd.readouterr().err == "left 2 0 False False\n"
