"""One process at a time adds runs to a record, and no finished run is lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from archcheck.facts.record_seals import sealed
from archcheck.foundation import file_locks
from archcheck.foundation.errors import ArchcheckError
from archcheck.workers.record_document import read_record
from archcheck.workers.record_file import recording
from tests.foundation.test_whole_files import IRREGULAR, fifo, full_after, listening
from tests.support.kills import killed_at_every_moment

ABOUT = {"model": {"class": "Net"}, "environment": {"torch": "2"}, "recipe": {"name": "sgd"}}


def answer(seed, weights=None, **about):
    run = {"seed": seed, "epochs": [{"epoch": 1, "loss": 0.5}], "test": {"correct": 9, "total": 10}}
    saved = {} if weights is None else {"checkpoint": sha256(weights).hexdigest()}
    return {"about": {**ABOUT, **about}, "run": run, **saved}


def add(target, *seeds, checkpoint=None, tell=None, **about):
    """Add runs like a training does, with the weights of the first one."""
    with recording(target, checkpoint, tell) as kept:
        for seed in seeds:
            weights = None
            if kept.weights:
                weights = b"weights of seed %d" % seed
                kept.weights.write_bytes(weights)
            kept.add(answer(seed, weights, **about), {})
        return kept


def seeds(target):
    record = read_record(target)
    return record and [run["seed"] for run in record["runs"]]


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_runs_come_one_after_the_other_and_nothing_else_is_left(tmp_path):
    target, checkpoint = tmp_path / "record.json", tmp_path / "c.safetensors"
    add(target, 3, 1, checkpoint=checkpoint)
    add(target, 2, checkpoint=checkpoint)
    assert seeds(target) == [3, 1, 2]
    assert read_record(target)["checkpoint"] == {
        "file": "c.safetensors",
        "sha256": sha256(b"weights of seed 3").hexdigest(),
        "seed": 3,
        "epoch": 1,
    }
    assert checkpoint.read_bytes() == b"weights of seed 3"
    assert names(tmp_path) == ["c.safetensors", "record.json"]


ADDER = """
import sys
from pathlib import Path
from tests.workers.test_record_file import add
add(Path(sys.argv[1]), *map(int, sys.argv[2:]))
"""


def adder(target, *numbers, cwd=None):
    command = [sys.executable, "-c", ADDER, str(target), *map(str, numbers)]
    here = str(Path(__file__).parents[2])
    return subprocess.Popen(command, cwd=cwd, env={**os.environ, "PYTHONPATH": here})


def test_many_processes_lose_nothing_through_any_path(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "link.json").symlink_to(folder / "record.json")
    ways = [folder / "record.json", "folder/../folder/record.json", tmp_path / "linked/record.json", "link.json"]
    running = [adder(way, *range(10 * at, 10 * at + 5), cwd=tmp_path) for at, way in enumerate(ways)]
    assert [each.wait(timeout=200) for each in running] == [0, 0, 0, 0]
    assert sorted(seeds(folder / "record.json")) == [10 * at + seed for at in range(4) for seed in range(5)]
    assert names(folder) == ["record.json"]
    assert names(tmp_path) == ["folder", "link.json", "linked"]


def test_a_waiting_process_names_the_holder_and_continues_when_it_is_killed(tmp_path):
    target = tmp_path / "record.json"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"""if 1:
            import sys, time
            from pathlib import Path
            from archcheck.workers.record_file import recording
            with recording(Path({str(target)!r}), None):
                print("held", flush=True)
                time.sleep(600)
        """],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout.readline() == b"held\n"
    said = []

    def tell(line):
        said.append(line)
        holder.send_signal(signal.SIGKILL)

    add(target, 0, tell=tell)
    holder.wait()
    holder.stdout.close()
    assert seeds(target) == [0]
    (line,) = said
    assert line.startswith(f"waiting for process {holder.pid} on {socket.gethostname()} since 20")
    assert line.endswith(f", which adds to `{target}`; `--output FILE` records elsewhere")
    assert names(tmp_path) == ["record.json"]


@pytest.mark.parametrize("why", ["the system has none", "the file system has none"])
def test_without_kernel_locks_the_lock_file_names_its_holder(tmp_path, monkeypatch, why):
    target, lock = tmp_path / "record.json", tmp_path / "record.json.lock"
    if why == "the system has none":
        monkeypatch.setattr(file_locks, "_locks", None)
    else:
        monkeypatch.setattr(file_locks._locks, "flock", lambda *_: (_ for _ in ()).throw(OSError(95, "Not supported")))
    add(target, 0)
    with recording(target, None), pytest.raises(ArchcheckError) as caught:
        add(target, 1)
    assert str(caught.value).startswith(f"`{lock}` says that process {os.getpid()} on ")
    assert str(caught.value).endswith("is at work; wait until that has ended, or delete this file if it has")
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    lock.write_text(f"process {int(dead.stdout)} on {socket.gethostname()} since 2030-01-01 00:00:00+00:00\n")
    add(target, 1)
    assert seeds(target) == [0, 1]
    lock.write_text(f"process {int(dead.stdout)} on elsewhere since 2030-01-01 00:00:00+00:00\n")
    with pytest.raises(ArchcheckError, match="on elsewhere since 2030"):
        add(target, 2)
    lock.write_text("\x1b[2J\n")
    with pytest.raises(ArchcheckError, match=r"says that \\x1b\[2J is at work"):
        add(target, 2)


def test_changes_made_without_the_lock_are_read_before_writing(tmp_path):
    target = tmp_path / "record.json"
    add(target, 0)
    with recording(target, None) as kept:
        theirs = read_record(target)
        theirs["runs"].append({**theirs["runs"][0], "seed": 7})
        target.write_text(json.dumps(sealed(theirs)))
        kept.add(answer(1), {})
    assert seeds(target) == [0, 7, 1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not a record: it is damaged"),
        (json.dumps({"schema": 1, "runs": []}).encode(), "takes no run: the record has no `digest`"),
        (json.dumps(sealed({"schema": 1, "model": {"class": "Other"}, "runs": []})).encode(), "is of another model"),
        (json.dumps(sealed({"schema": 1, **ABOUT, "runs": [{"seed": 1}]})).encode(), "hold different runs of seed 1"),
    ],
)
def test_a_run_that_the_record_no_longer_accepts_is_kept_and_added_later(tmp_path, content, says):
    target, unsaved = tmp_path / "record.json", tmp_path / "record.json.unsaved"
    add(target, 0)
    before = target.read_bytes()
    with recording(target, None) as kept:
        target.write_bytes(content)
        with pytest.raises(ArchcheckError, match=says) as caught:
            kept.add(answer(1), {})
    assert f"; the run of seed 1 is kept in `{unsaved}`: mend that, and the next " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert target.read_bytes() == content
    target.write_bytes(before)
    said = []
    kept = add(target, tell=said.append)
    assert said == [f"took in the run of seed 1 from `{unsaved}`, which could not be saved before"]
    assert (kept.recovered_seed, seeds(target), names(tmp_path)) == (1, [0, 1], ["record.json"])


def test_a_record_that_was_removed_meanwhile_is_written_completely(tmp_path):
    target = tmp_path / "record.json"
    add(target, 0)
    with recording(target, None) as kept:
        target.unlink()
        kept.add(answer(1), {})
    assert seeds(target) == [0, 1]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"schema": 1, "runs": [{"seed": 1}]}'])
def test_an_invalid_unsaved_run_is_reported_before_training(tmp_path, content):
    (tmp_path / "record.json.unsaved").write_bytes(content)
    with pytest.raises(ArchcheckError, match=r"record.json.unsaved` is not a .*; move it away"):
        add(tmp_path / "record.json", 0)
    assert (tmp_path / "record.json.unsaved").read_bytes() == content


def test_a_checkpoint_that_appeared_meanwhile_is_not_overwritten(tmp_path):
    target, checkpoint = tmp_path / "record.json", tmp_path / "c.safetensors"
    with recording(target, checkpoint) as kept:
        kept.weights.write_bytes(b"ours")
        checkpoint.write_bytes(b"theirs")
        with pytest.raises(ArchcheckError, match=r"exists, and there is no record .*the run of seed 0 is kept in"):
            kept.add(answer(0, b"ours"), {})
    assert checkpoint.read_bytes() == b"theirs"
    checkpoint.unlink()
    add(target, checkpoint=checkpoint)
    assert (seeds(target), checkpoint.read_bytes()) == ([0], b"ours")
    assert names(tmp_path) == ["c.safetensors", "record.json"]


def test_two_records_that_name_one_checkpoint_do_not_share_it(tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    add(tmp_path / "a.json", 0, checkpoint=checkpoint)
    with pytest.raises(ArchcheckError, match=r"c.safetensors` exists, and there is no record .*b.json"):
        add(tmp_path / "b.json", 0, checkpoint=checkpoint)


def test_weights_of_a_training_that_failed_are_removed(tmp_path):
    with recording(tmp_path / "record.json", tmp_path / "c.safetensors") as kept:
        kept.weights.write_bytes(b"of no use")
    assert names(tmp_path) == []


def test_a_stream_is_written_to_and_leaves_nothing(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    add(pipe, 5, checkpoint=tmp_path / "c.safetensors")
    assert [run["seed"] for run in json.loads(os.read(reader, 10_000))["runs"]] == [5]
    os.close(reader)
    assert names(tmp_path) == ["pipe"]


def test_an_unwritable_record_is_reported_before_training(tmp_path):
    with pytest.raises(ArchcheckError, match=r"there is no folder .*gone.* for the record; make it first"):
        add(tmp_path / "gone" / "record.json", 0)
    with full_after(1000), pytest.raises(ArchcheckError, match=r"record.json` cannot be written: File too large; "):
        add(tmp_path / "record.json", 0)
    with pytest.raises(ArchcheckError, match=r"c.safetensors` cannot be written: No such file"):
        add(tmp_path / "record.json", 0, checkpoint=tmp_path / "gone" / "c.safetensors")
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", IRREGULAR)
@pytest.mark.parametrize("name", ["record.json.unsaved", "record.json.lock", "c.safetensors", "c.safetensors.lock"])
def test_an_irregular_record_is_reported_before_training(tmp_path, monkeypatch, name, make):
    monkeypatch.chdir(tmp_path)  # as the name of a socket must be short
    make(Path(name))
    with (
        pytest.raises(ArchcheckError, match=f"{name}` .*(neither a file nor a folder|a link|exists)"),
        recording(Path("record.json"), Path("c.safetensors")),
    ):
        pytest.fail("it would train")
    assert names(tmp_path) == [name]


def test_a_lock_does_not_overwrite_the_target_of_a_link(tmp_path):
    (tmp_path / "dear").write_text("dear")
    (tmp_path / "record.json.lock").symlink_to(tmp_path / "dear")
    with pytest.raises(ArchcheckError, match=r"record.json.lock` is not a lock: it is a link; move it away"):
        add(tmp_path / "record.json", 0)
    assert (tmp_path / "dear").read_text() == "dear"


@pytest.mark.parametrize("make", [*IRREGULAR, lambda file: file.symlink_to("dear")])
def test_weights_come_into_a_new_file(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    Path("dear").write_text("dear")
    make(Path("c.safetensors.unsaved"))
    add(Path("record.json"), 0, checkpoint=Path("c.safetensors"))
    assert (Path("dear").read_text(), Path("c.safetensors").read_bytes()) == ("dear", b"weights of seed 0")


@pytest.mark.parametrize("make", [fifo, listening])
def test_a_record_that_became_irregular_during_a_run_loses_nothing(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    with recording(target := Path("record.json"), None) as kept:
        make(target)
        with pytest.raises(ArchcheckError, match=r"record.json` is not a record: .*; the run of seed 0 is kept in"):
            kept.add(answer(0), {})
    target.unlink()
    assert add(target).recovered_seed == 0


def test_a_full_disk_states_the_reserved_bytes(tmp_path, monkeypatch):
    def write(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(file_locks, "write_all", write)
    says = r"record.json` cannot be written: .* \(it asks for 1,048,576 bytes\); mend that, or choose"
    with pytest.raises(ArchcheckError, match=says):
        add(tmp_path / "record.json", 0)
    assert names(tmp_path) == []


def test_a_full_disk_after_a_run_loses_nothing(tmp_path):
    target, checkpoint = tmp_path / "record.json", tmp_path / "c.safetensors"
    with recording(target, checkpoint) as kept:
        kept.weights.write_bytes(b"ours")
        with full_after(0), pytest.raises(ArchcheckError, match=r"record.json` cannot be written: File too large; the"):
            _in_room(kept, answer(0, b"ours"))
    assert names(tmp_path) == ["c.safetensors", "record.json.unsaved"]
    add(target, 1, checkpoint=checkpoint)
    assert (seeds(target), checkpoint.read_bytes()) == ([0, 1], b"ours")
    assert names(tmp_path) == ["c.safetensors", "record.json"]


def _in_room(kept, ended):
    """Allow writing to reserved blocks, which is possible on a full disk but not under a file size limit."""
    turn_into = kept._lock.turn_into

    def allowed(file, content):
        with full_after(1 << 30):
            turn_into(file, content)

    kept._lock.turn_into = allowed
    kept.add(ended, {})


def test_a_record_that_became_a_folder_is_reported(tmp_path):
    target = tmp_path / "record.json"
    with recording(target, None) as kept:
        (target / "in the way").mkdir(parents=True)
        with pytest.raises(ArchcheckError, match=r"record.json` is not a record: .*; the run of seed 0 is kept in"):
            kept.add(answer(0), {})
    (target / "in the way").rmdir()
    target.rmdir()
    assert add(target).recovered_seed == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_kill_at_any_moment_keeps_or_omits_the_whole_run(tmp_path, first):
    """After any kill, the next process finds the record with or without that run, and continues."""
    moments = 0
    target, checkpoint, after = tmp_path / "record.json", tmp_path / "c.safetensors", 0
    for file in (target, checkpoint):
        file.unlink(missing_ok=True)
    fresh = None
    if not first:
        add(target, 0, checkpoint=checkpoint)
        fresh = target.read_bytes(), checkpoint.read_bytes()
    for moment in killed_at_every_moment(
        lambda: add(target, 1, checkpoint=checkpoint), "archcheck/workers/record_file.py"
    ):
        moments = moment
        record = read_record(target)  # what is there is whole
        assert record is None or checkpoint.exists()
        kept = add(target, 2, checkpoint=checkpoint)
        saved = kept.recovered_seed == 1 or 1 in [run["seed"] for run in (record or {"runs": ()})["runs"]]
        assert seeds(target) == [*([] if first else [0]), *([1] if saved else []), 2]
        after += saved
        described = read_record(target)["checkpoint"]
        assert described["sha256"] == sha256(checkpoint.read_bytes()).hexdigest()
        assert names(tmp_path) == ["c.safetensors", "record.json"]
        for file in (target, checkpoint):
            file.unlink()
        if fresh:
            target.write_bytes(fresh[0])
            checkpoint.write_bytes(fresh[1])
    assert moments > 30
    assert 5 < after < moments - 5
