"""`--on ray`, on a cluster of two nodes on this machine, and on one that the command starts itself."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from archcheck.foundation.errors import ArchcheckError
from archcheck.integrations import ray_engine
from tests.judging.test_jobs import NETS, contract, lives, wait_until
from tests.support.cli_samples import environment, write
from tests.workers.test_remote_worker import FILES

pytest.importorskip("ray")

WAITS = """
import os, time
with open(os.path.join({folder!r}, "pids"), "a") as log:
    log.write(f"{{os.getpid()}} {{os.getppid()}} ")
while not os.path.exists(os.path.join({folder!r}, "go")):
    time.sleep(0.05)
"""
"""Code of a subject: it says that it is being measured, and waits."""


@pytest.fixture
def many(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "archcheck.toml").write_text(contract([3, 13, 4, 2000]))
    return tmp_path


def started(folder, *words, **changes):
    command = [sys.executable, "-P", "-m", "archcheck", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, error = process.communicate(timeout=200)
    assert "Traceback" not in error
    return out, error, process.returncode


def check(folder, *words, **changes):
    return started(folder, "check", "--no-cache", "--format", "json", *words, **changes)


@pytest.fixture(scope="module")
def cluster():
    """A head and, as `second`, another node, with a CPU each. A test may end the second."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.second = made.add_node(num_cpus=1)
        yield made
        made.shutdown()


def test_a_cluster_without_its_head_is_given_up_before_ray_ends_the_command(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setattr(ray_engine, "_LOOK", 0.01)
        monkeypatch.setattr(ray_engine, "_SILENCE", 0.05)
        executor = ray_engine.RayExecutor()
        pending = Future()
        executor._pending.add(pending)
        with ray_engine._watched(executor, address):
            wait([pending], timeout=0.2)
            assert not pending.done()
            head.close()
            with pytest.raises(ArchcheckError, match=f"the head of the Ray cluster at {address} is gone: "):
                pending.result(timeout=20)


def pids(folder):
    return (folder / "pids").read_text().split() if (folder / "pids").exists() else []


def test_a_killed_node_costs_time_and_a_note_and_no_byte_of_the_report(many, cluster):
    (many / "nets.py").write_text(NETS + WAITS.format(folder=str(many)))
    process = check(many, "--on", "ray", RAY_ADDRESS=cluster.address)
    wait_until(lambda: len(pids(many)) == 4)  # one subject is being measured on each node
    cluster.remove_node(cluster.second, allow_graceful=False)
    wait_until(lambda: not all(map(lives, pids(many))))  # what ran on the node ends with it
    (many / "go").touch()
    out, error, code = ended(process)
    here = ended(check(many))
    notes = [line for line in error.splitlines() if line.startswith("archcheck: note:")]
    assert (out, code) == (here[0], here[2]), error
    assert len(notes) == 1, error
    assert notes[0].startswith('archcheck: note: a node or process was lost, so 1 request went to another: "net')


def test_a_training_gives_the_record_of_this_machine(tmp_path, cluster):
    records = []
    for name, words in {"here": (), "there": ("--on", "ray")}.items():
        folder = tmp_path / name
        folder.mkdir()
        write(folder, **FILES, archcheck_py="raise ImportError('nodes import from the current folder')")
        address = {"RAY_ADDRESS": cluster.address}
        out, error, code = ended(started(folder, "train", "net4", "--seed", "0", "--seed", "1", *words, **address))
        assert code == 0, error
        assert error.count("archcheck: note: seed 1, epoch 2") == 1
        records.append((out, (folder / "record.json").read_bytes(), (folder / "weights.safetensors").read_bytes()))
    assert records[0] == records[1]


def test_an_interrupted_run_leaves_no_process_of_its_own_cluster(many):
    (many / "nets.py").write_text(NETS + WAITS.format(folder=str(many)))
    process = check(many, "--on", "ray", "--jobs", "2", RAY_ADDRESS="")
    wait_until(lambda: len(pids(many)) == 4)
    below = descendants(process.pid)
    assert len(below) > 4
    process.send_signal(signal.SIGINT)
    out, error, code = ended(process)
    assert (out, code) == ("", 130), error
    for pid in (*below, *pids(many)):
        wait_until(lambda pid=pid: not lives(pid))


def descendants(pid):
    """Return the processes below one, as Linux lists them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
