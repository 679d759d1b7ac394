"""`--on submitit`, where there is no Slurm: each task is a process of this machine."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.foundation.errors import ArchcheckError
from archcheck.judging.jobs import check_many
from archcheck.workers.remote_worker import NodeLost, RemoteWorker
from archcheck.workers.training import train
from archcheck.workers.worker_process import Worker
from tests.judging.test_jobs import NETS, lives, wait_until
from tests.judging.test_jobs import contract as subjects
from tests.support.cli_samples import write
from tests.workers.test_remote_worker import FILES

pytest.importorskip("submitit")

from archcheck.integrations.submitit_engine import submitit_engine


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCHECK_CACHE_DIR", str(tmp_path / "cached" / "archcheck"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with submitit_engine(2, 60.0) as made:
        yield made
    assert not list((tmp_path / "cached").iterdir())  # no folder of jobs is left


def test_reports_and_records_are_those_of_this_machine(engine, tmp_path, monkeypatch):
    write(tmp_path, **FILES)
    monkeypatch.chdir(tmp_path)
    contract = load(tmp_path / "archcheck.toml")
    chosen = contract.subjects[:2]
    workers = [RemoteWorker(engine), RemoteWorker(engine)]
    found = [report.to_json() for report in check_many(contract, chosen, workers)]
    with Worker() as worker:
        assert found == [report.to_json() for report in check_many(contract, chosen, [worker])]
        for name, trained_by in {"here": [worker], "there": workers}.items():
            (tmp_path / name).mkdir()
            train(contract, chosen[0], seeds=(1, 0), output=tmp_path / name / "record.json", workers=trained_by)
    for name in ("record.json", "weights.safetensors"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_jobs_import_nothing_from_the_current_folder_and_end_with_a_result_a_reason_or_a_loss(
    engine, tmp_path, monkeypatch
):
    (tmp_path / "types.py").write_text("raise ImportError('this is not the module of Python')")
    monkeypatch.chdir(tmp_path)
    devices = engine.executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES")
    lost = engine.executor.submit(os._exit, 3)
    raised = engine.executor.submit(Path.read_text, Path("/nowhere/at/all"))
    with pytest.raises(ArchcheckError, match=r"a job of submitit failed: FileNotFoundError: .*/nowhere/at/all"):
        raised.result(timeout=60)
    with pytest.raises(NodeLost):
        lost.result(timeout=60)
    assert devices.result(timeout=60) == "7"
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_run_that_ends_early_leaves_no_process_and_no_line(engine, tmp_path, monkeypatch, capfd):
    waits = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    (tmp_path / "nets.py").write_text(NETS + waits)
    (tmp_path / "archcheck.toml").write_text(subjects([3, 4]))
    monkeypatch.chdir(tmp_path)
    contract = load(tmp_path / "archcheck.toml")
    workers = [RemoteWorker(engine), RemoteWorker(engine)]
    stop = threading.Timer(0, lambda: wait_until((tmp_path / "pid").exists) or [each.cancel() for each in workers])
    stop.start()
    found = list(check_many(contract, contract.subjects, workers))
    stop.join()
    assert [report.error.kind for report in found] == ["cancelled", "cancelled"]
    engine.executor.shutdown(cancel_futures=True)
    wait_until(lambda: not lives((tmp_path / "pid").read_text()))
    assert capfd.readouterr().err == ""
