"""Kill a training with SIGKILL, at steps and inside of writes, resume it, and compare bits.

Each victim is a forked child, so that the kill is the system's and the points are exact.
"""

import json
import os
import signal
from functools import cache, partial
from itertools import count
from pathlib import Path

import pytest

from reference_models.mnist import checkpoint, data, train
from reference_models.mnist.command import execute
from reference_models.mnist.progress import Display

EPOCHS, STEPS = 3, 3
LINE = ("--limit", "300", "--epochs", str(EPOCHS))  # batches of 128, 128 and 44

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def trained(folder, *more):
    assert execute(partial(train.main, [*LINE, "--output", str(folder), *more])) == 0


def killed(folder, arrange, *more):
    """Train in a child in which `arrange` has placed a kill; say whether it struck."""
    child = os.fork()
    if child == 0:
        try:
            arrange()
            trained(folder, *more)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def outcome(folder):
    record = json.loads((folder / "run.json").read_text())
    del record["digest"]
    for row in record["runs"][0]["epochs"]:
        del row["cpu_seconds"]
    return record, (folder / "last.safetensors").read_bytes(), (folder / "best.safetensors").read_bytes()


@pytest.fixture(scope="module", autouse=True)
def _read_once():
    """Keep the data files in memory, which the children share: there are dozens of runs."""
    with pytest.MonkeyPatch.context() as patch:
        for load in (data.load_train, data.load_test):
            patch.setattr(train, load.__name__, cache(load))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    trained(folder)
    return outcome(folder)


def at_step(epoch, step):
    def arrange():
        shown = Display.__call__

        def fatal(self, now):
            shown(self, now)
            if (now.epoch, now.step) == (epoch, step):
                die()

        Display.__call__ = fatal

    return arrange


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_at_any_step(tmp_path, whole, epoch, step):
    folder = tmp_path / "run"
    assert killed(folder, at_step(epoch, step))
    assert not (folder / "run.json").exists()
    trained(folder, "--resume")
    assert outcome(folder) == whole


def test_killed_again_and_again(tmp_path, whole):
    folder = tmp_path / "run"
    for epoch in range(1, EPOCHS + 1):
        assert killed(folder, at_step(epoch, 2), "--resume")
    trained(folder, "--resume")
    assert outcome(folder) == whole


class HalfWritten:
    """A file that dies in the middle of what it is given."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        die()


def inside_write(number, moment):
    """Place a kill in the `number`-th write of a file: with half of it written, before or after its renaming."""

    def arrange():
        writes, opened, renamed = count(1), Path.open, Path.replace
        current = 0

        def open_(path, *arguments, **options):
            nonlocal current
            file = opened(path, *arguments, **options)
            if not path.name.endswith(".unfinished"):
                return file
            current = next(writes)
            return HalfWritten(file) if current == number and moment == "half" else file

        def replace(path, target):
            if current == number and moment == "before":
                die()
            renamed(path, target)
            if current == number and moment == "after":
                die()

        Path.open, Path.replace = open_, replace

    return arrange


@pytest.mark.parametrize("moment", ["half", "before", "after"])
def test_killed_inside_of_any_write(tmp_path, whole, moment):
    for number in count(1):
        folder = tmp_path / str(number)
        if not killed(folder, inside_write(number, moment)):
            break
        before = sorted(folder.glob("*.safetensors"))
        for path in before:
            checkpoint.unpacked(path)  # what is there is whole
        trained(folder, "--resume")
        assert outcome(folder) == whole
    assert number > 1 + 3 * EPOCHS  # the probe, weights, description and state of each epoch, the record


def test_a_kill_in_a_write_loses_its_checkpoint_and_no_other(tmp_path, capsys):
    folder = tmp_path / "run"
    assert killed(folder, at_step(3, 1))  # two epochs are over
    kept = (folder / "resume.safetensors").read_bytes()
    assert killed(folder, inside_write(1, "half"), "--resume")  # the folder's probe
    assert killed(folder, state_half_written, "--resume")
    assert (folder / "resume.safetensors").read_bytes() == kept
    assert resumed_after(folder, capsys) == 2


def state_half_written():
    opened = Path.open
    Path.open = lambda path, *arguments, **options: (
        HalfWritten(opened(path, *arguments, **options))
        if path.name == ".resume.safetensors.unfinished"
        else opened(path, *arguments, **options)
    )


def resumed_after(folder, capsys):
    """Resume; return the epoch after which the run says that it goes on."""
    capsys.readouterr()
    trained(folder, "--resume")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Resuming ")]
    return int(lines[0].rsplit(" ", 1)[1]) if lines else 0
