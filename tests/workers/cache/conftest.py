"""Projects that are measured with a cache, and a count of the worker's requests."""

import shutil
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.judging.engine import check_contract
from archcheck.rules.findings import reports_to_json
from archcheck.workers.cache import Cache
from archcheck.workers.training import train
from archcheck.workers.worker_process import Worker
from tests.support.cli_samples import write
from tests.workers.cache.cache_samples import CONTRACT, EXAMPLE, MODEL, SCHOOL, SMALL


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "blocks").mkdir()
    (folder / "blocks" / "one").touch()
    write(folder, model_py=MODEL, shapes_py="OUT = 2", width_txt="3", example_py=EXAMPLE, archcheck_toml=CONTRACT)
    write(folder, school_py=SCHOOL, answers_py="ANSWERS = 2")
    contract = load(folder / "archcheck.toml")
    train(contract, contract.subject("net"), seeds=(0,))
    return folder


@pytest.fixture
def project(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "project"))


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def asked(worker, monkeypatch):
    """Return how often the worker process was asked during a call."""
    requests = []
    send = worker._send
    monkeypatch.setattr(worker, "_send", lambda request: (requests.append(request), send(request)))

    def asked(call, *arguments):
        requests.clear()
        worker.cache = Cache()
        call(*arguments)
        return len(requests)

    yield asked
    worker.cache = None


@pytest.fixture
def judged(worker):
    def judged(folder):
        (report,) = check_contract(load(folder / "archcheck.toml"), worker=worker)
        return reports_to_json([report])

    return judged


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Make a project of one small model with an additional line in its file."""

    def small(line=""):
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        write(folder, model_py=SMALL.format(line=line))
        write(folder, archcheck_toml='[subjects.a]\nmodel = "model.py:A"\nrules.head = "linear"')
        return folder

    return small
