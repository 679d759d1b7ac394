import json
import os
import pty
import signal
import subprocess
import sys
from functools import partial

import pytest
from safetensors.torch import load_file

from reference_models.mnist import train
from reference_models.mnist.checkpoint import packed, unpacked
from reference_models.mnist.command import execute
from reference_models.mnist.model import Net

SMALL = ("--limit", 700, "--epochs", 2)
LONGER = ("--limit", 700, "--epochs", 6)  # long enough to be killed in its middle


def without_seconds(path):
    record = json.loads(path.read_text())
    for row in record["runs"][0]["epochs"]:
        del row["cpu_seconds"]
    del record["digest"]  # which is of the seconds, too
    return record


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a small run that nothing disturbed."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert execute(partial(train.main, [*map(str, LONGER), "--output", str(path)])) == 0
    return path


def test_a_small_run_says_what_the_documents_say(command, tmp_path):
    done = command("train", *SMALL)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "Training set: 700 images",
        "Validation set: 700 images",
        "Test set: 700 images",
        "Total parameters: 13,086",
    ]
    assert lines[4].startswith("Epoch 1/2: loss=")
    assert ", accuracy=" in lines[4]
    assert lines[4].endswith(" it/s")
    assert lines[5].startswith("Validation set: Average loss: ")
    assert "/700 (" in lines[5]
    assert lines[6].startswith("New best validation accuracy: ")
    assert lines[-1].startswith("Test set: Average loss: ")
    assert done.stderr == ""
    # Nothing but plain text where stdout is no terminal.
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout

    run = json.loads((tmp_path / "runs" / "A-0" / "run.json").read_text())
    (entry,) = run["runs"]
    assert [row["epoch"] for row in entry["epochs"]] == [1, 2]
    assert f"{entry['test']['correct']}/700 (" in lines[-1]
    assert run["checkpoint"]["epoch"] == 2


def test_a_killed_run_ends_bit_equal_when_resumed(command, environment, tmp_path, finished):
    line = [sys.executable, "-m", "reference_models.mnist.train", *map(str, LONGER), "--output", "killed"]
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if text.startswith("Validation set: Average"):
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    killed = tmp_path / "killed"
    assert not (killed / "run.json").exists()

    done = command("train", *LONGER, "--output", "killed", "--resume")
    assert done.returncode == 0, done
    assert "Resuming killed after epoch " in done.stdout
    assert (killed / "last.safetensors").read_bytes() == (finished / "last.safetensors").read_bytes()
    assert (killed / "best.safetensors").read_bytes() == (finished / "best.safetensors").read_bytes()
    assert without_seconds(killed / "run.json") == without_seconds(finished / "run.json")


def test_resuming_what_is_finished_does_nothing(command, finished):
    before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
    done = command("train", *LONGER, "--output", finished, "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{finished} is finished; nothing to resume\n"
    assert {path.name: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_resuming_what_never_began_begins(tmp_path, capsys):
    line = ["--limit", "10", "--epochs", "1", "--output", str(tmp_path / "new"), "--resume"]
    assert execute(partial(train.main, line)) == 0
    assert "Resuming" not in capsys.readouterr().out


def test_a_run_is_not_overwritten(refused, finished):
    message = refused("train", *LONGER, "--output", finished)
    assert f"`{finished}` is not empty; pass `--resume` to go on, or another `--output`" in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--epochs", -3), "`--epochs -3` is no training; pass 1 or more (recipe default: 15)"),
        (("--epochs", 0), "`--epochs 0` is no training; pass 1 or more"),
        (("--epochs", "ten"), "argument --epochs: invalid int value: 'ten'; see `python -m reference_models"),
        (("--recipe", "C"), "`C` is not a recipe; pass one of `A`, `B`"),
        (("--limit", 0), "`--limit 0` leaves no images; pass 1 or more"),
        (("--seed", -1), "`--seed -1` is out of range; pass 0 to 2^63 - 1"),
        (("--threads", 0), "`--threads 0` cannot compute; pass 1 or more"),
        (("--data", "nowhere"), "`train-images-idx3-ubyte` is missing"),
        (("--output", "file/run"), "`file/run` cannot be made: Not a directory; pass another `--output`"),
        (("--output", "/dev/null"), "`/dev/null` cannot be made: File exists; pass another `--output`"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_bad_arguments_are_refused_in_one_line(refused, tmp_path, arguments, expected):
    (tmp_path / "file").touch()
    assert expected in refused("train", *arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--seed", "1"), "`seed` is 0, expected 1"),
        (("--recipe", "B"), '`recipe.name` is "A", expected "B"'),
        (("--epochs", "3"), "`recipe.sha256` is"),
        (("--limit", "600"), "`data.split.train` is 700, expected 600"),
    ],
)
@pytest.mark.parametrize("over", [True, False], ids=["finished", "unfinished"])
def test_a_run_of_other_options_is_not_resumed(tmp_path, finished, capsys, arguments, expected, over):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("resume.safetensors", *(["run.json"] if over else [])):
        (folder / name).write_bytes((finished / name).read_bytes())
    line = [*map(str, LONGER), "--output", str(folder), "--resume", *arguments]
    assert execute(partial(train.main, line)) == 2
    message = capsys.readouterr().err
    assert f"`{folder}` holds another run: {expected}" in message


def test_a_checkpoint_of_another_network_is_not_resumed(refused, tmp_path, finished):
    tensors, note = unpacked(finished / "resume.safetensors")
    identity = json.loads(note)
    identity["identity"]["model"]["parameters"] = 5
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "resume.safetensors").write_bytes(packed(tensors, json.dumps(identity)))
    message = refused("train", *LONGER, "--output", "run", "--resume")
    assert "`run` holds another run: `model.parameters` is 5, expected 13086" in message


def test_a_truncated_checkpoint_is_not_resumed(refused, tmp_path, finished):
    (tmp_path / "run").mkdir()
    content = (finished / "resume.safetensors").read_bytes()
    (tmp_path / "run" / "resume.safetensors").write_bytes(content[: len(content) // 2])
    message = refused("train", *LONGER, "--output", "run", "--resume")
    assert "`run/resume.safetensors` is no whole safetensors file" in message


def test_a_terminal_gets_a_bar_with_loss_accuracy_and_rate(environment, tmp_path):
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "reference_models.mnist.train", *map(str, SMALL), "--output", "run"]
    environment |= {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=theirs, stderr=theirs):
        os.close(theirs)
        shown = _everything(ours)
    assert "━" in shown
    assert "6/6" in shown
    assert "Epoch 1/2: loss=" in shown
    assert "it/s" in shown
    assert "New best validation accuracy: " in shown


def _everything(descriptor):
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # Linux says so when the last process has closed the other side
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def test_an_interruption_is_one_line_with_the_next_step(environment, tmp_path):
    line = [sys.executable, "-m", "reference_models.mnist.train", *map(str, LONGER), "--output", "run"]
    with subprocess.Popen(
        line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=120)
    assert process.returncode == 130
    assert message == "interrupted; the same command with `--resume` goes on after the last whole epoch\n"


def test_last_and_best_fit_the_network(finished):
    for name in ("last", "best"):
        Net().load_state_dict(load_file(finished / f"{name}.safetensors"))
