"""Workers behind an executor: the same reports and records as on this machine, in whatever order tasks end."""

from __future__ import annotations

import os
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest

from archcheck.contract import load
from archcheck.foundation.errors import ArchcheckError, SubjectError
from archcheck.judging.jobs import check_many
from archcheck.judging.until_decided import train_until_decided
from archcheck.rules.findings import Report
from archcheck.workers import node
from archcheck.workers.cache import Cache
from archcheck.workers.in_parallel import in_parallel
from archcheck.workers.remote_worker import TRIES, Engine, NodeLost, RemoteWorker
from archcheck.workers.training import train
from archcheck.workers.worker_process import Worker
from tests.support.cli_samples import write

FILES = {
    "nets_py": """
        import signal

        from torch import nn

        class Net(nn.Linear):
            def __init__(self, width):
                if blocked := signal.pthread_sigmask(signal.SIG_BLOCK, ()):  # by the engine, for its own processes
                    raise RuntimeError(f"{blocked} are blocked")
                if width == 13:
                    raise RuntimeError("unlucky")
                super().__init__(width, 1, bias=False)
    """,
    "school_py": """
        def run(model, *, seed, epochs=2):
            for epoch in range(epochs):
                yield {"loss": seed + 1 / (epoch + 1), "about": {"recipe": {"name": "none"}}}

        def test(model):
            return 3, 4
    """,
    "archcheck_toml": "".join(
        f"""
        [subjects.net{width}]
        model = "nets.py:Net"
        args = {{ width = {width} }}
        input = [1, {width}]
        rules.max-params = 13
        """
        for width in (4, 13, 14)
    )
    + """
        [subjects.net4.training]
        train = "school.py:run"
        evaluate = "school.py:test"
        record = "record.json"
        checkpoint = "weights.safetensors"
    """,
}


@pytest.fixture(scope="module", autouse=True)
def _no_worker_is_left():
    yield
    node.end_idle_workers()


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    write(folder, **FILES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield load(folder / "archcheck.toml")


class Backwards(Executor):
    """It begins only when it has `count` calls, and does the last one first. Some calls are lost."""

    def __init__(self, count, lose=lambda task: False):
        self._count, self._lose, self._calls, self._lock = count, lose, [], threading.Lock()

    def submit(self, function, /, task):
        future = Future()
        with self._lock:
            self._calls.append((future, function, task))
            begin = len(self._calls) == self._count
        if begin:
            self._calls.sort(key=lambda call: call[2].request.get("seed") != 0)
            self._count = 1  # what is sent again is done at once
            threading.Thread(target=self._do).start()
        return future

    def _do(self):
        while self._calls:
            future, function, task = self._calls.pop()
            if self._lose(task):
                future.set_exception(NodeLost("gone"))
            else:
                future.set_result(pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(task))))))


def remote(executor, count=3, **settings):
    engine = Engine(name="test", executor=executor, slots=count)
    return engine, [RemoteWorker(engine, **settings) for _ in range(count)]


def judged(contract, workers):
    return [report.to_json() for report in check_many(contract, contract.subjects, workers)]


@pytest.fixture(scope="module")
def here(contract):
    with Worker() as worker:
        return judged(contract, [worker])


def test_reports_are_those_of_this_machine_and_a_lost_subject_is_measured_again(contract, here):
    losses = iter([True])
    engine, workers = remote(Backwards(3, lambda task: task.request["name"] == "net14" and next(losses, False)))
    assert judged(contract, workers) == here
    assert [("error" in each, each["totals"]["broken"]) for each in here] == [(False, 0), (True, 0), (False, 1)]
    assert engine.lost == ["net14"]


def test_a_pool_of_processes_gives_the_same(contract, here):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert judged(contract, remote(pool, 2)[1]) == here


def test_a_subject_that_loses_each_node_is_an_error_and_stops_no_other(contract):
    engine, workers = remote(Backwards(3, lambda task: task.request["name"] == "net4"))
    first, _, last = check_many(contract, contract.subjects, workers)
    assert (first.error.kind, last.error) == ("crash", None)
    assert f"lost the node or the process that worked on it {TRIES} times, at last with gone" in first.error.message
    assert engine.lost == ["net4"] * (TRIES - 1)


def test_the_cache_is_that_of_who_asks(contract, cache_folder):
    with ThreadPoolExecutor(1) as pool:
        before = judged(contract, remote(pool, 1, cache=Cache())[1])
    assert len(list(cache_folder.glob("*.json"))) == 2  # a subject that fails is not cached
    asked = []
    _, workers = remote(Backwards(1, lambda task: asked.append(task.request["name"])), 1, cache=Cache())
    assert judged(contract, workers) == before
    assert asked == ["net13"]


def test_an_answer_of_other_packages_is_not_cached(contract, cache_folder, monkeypatch):
    with ThreadPoolExecutor(1) as pool:
        _, (worker,) = remote(pool, 1, cache=Cache())
        monkeypatch.setattr("archcheck.workers.remote_worker.Task", lambda **given: TASK(**given, packages="others"))
        assert next(check_many(contract, contract.subjects, [worker])).facts
    assert not list(cache_folder.glob("*.json"))


TASK = node.Task


def test_what_travels_is_small_and_plain(contract):
    sent = []
    _, workers = remote(Backwards(1, lambda task: sent.append(task) or True), 1)
    assert next(check_many(contract, contract.subjects, workers)).error
    assert len(pickle.dumps(sent[0])) < 2000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"versions": {"torch": "0.1"}}, r"as torch, and this machine 0.1; install the same on all nodes"),
        ({"folder": "/nowhere/at/all"}, r'sees no folder "/nowhere/at/all"; put the contract and the models on'),
        ({"request": {"root": "/nowhere/too"}}, r'sees no folder "/nowhere/too"; put the contract and the models on'),
    ],
)
def test_a_node_that_differs_refuses_the_task(tmp_path, changes, says):
    task = node.Task(request={"root": str(tmp_path)}, timeout=9, folder=str(tmp_path))
    assert says in node.answer(replace(task, **changes))["refused"]


def test_a_node_takes_over_what_changes_a_computation_and_nothing_else(tmp_path, monkeypatch):
    for name in ("PYTHONBREAKPOINT", "PYTHONHOME", "OMP_SCHEDULE", "RAY_JOB_ID"):  # as the engine has set them
        monkeypatch.setenv(name, "of the node")
    task = node.Task(
        request={"root": str(tmp_path)},
        timeout=9,
        folder=str(tmp_path),
        variables={"TORCH_HOME": "1", "OMP_SCHEDULE": "2"},
    )
    monkeypatch.setattr("os.environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    node._adopt(task)
    assert node.variables() == task.variables
    assert (os.environ["PYTHONHOME"], os.environ["RAY_JOB_ID"]) == ("of the node", "of the node")


class Fixed(Executor):
    """Every call ends like this."""

    def __init__(self, value=None, error=None):
        self._value, self._error = value, error

    def submit(self, function, /, *args):
        future = Future()
        if self._error:
            future.set_exception(self._error)
        elif self._value:
            future.set_result(self._value)
        return future


@pytest.mark.parametrize(
    ("executor", "says"),
    [
        (Fixed(value={"refused": "the node is old; mend it"}), "the node is old; mend it"),
        (
            Fixed(error=TimeoutError("of the engine")),
            "the engine test failed: TimeoutError: of the engine; try again, or with `--on local`",
        ),
        (
            Fixed(error=ModuleNotFoundError("No module named 'archcheck'")),
            "No module named 'archcheck'; try again, or with",
        ),
    ],
)
def test_what_makes_the_engine_useless_ends_the_run(contract, executor, says):
    with pytest.raises(ArchcheckError) as caught:
        judged(contract, remote(executor, 2)[1])
    assert says in str(caught.value)
    assert not isinstance(caught.value, SubjectError)


def test_who_stops_reading_cancels_all_that_is_under_way(contract):
    futures = []

    class Never(Executor):
        def submit(self, function, /, task):
            futures.append(Future())
            if task.request["name"] == "net4":
                futures[-1].set_result({"error": {"kind": "crash", "message": "was tired"}})
            return futures[-1]

    reports = check_many(contract, contract.subjects, remote(Never(), 3)[1])
    assert isinstance(next(reports), Report)
    while len(futures) < 3:
        threading.Event().wait(0.01)
    reports.close()
    assert [future.cancelled() for future in futures if not future.done() or future.cancelled()] == [True, True]


def test_a_record_is_that_of_this_machine_whatever_seed_ends_first(contract, tmp_path):
    entry, seen, done = contract.subject("net4"), [], []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    train(contract, entry, seeds=(0, 2, 1), output=tmp_path / "here" / "record.json")
    _, workers = remote(Backwards(3, lambda task: done.append(task.request["seed"])))
    output = tmp_path / "there" / "record.json"
    train(contract, entry, seeds=(0, 2, 1), output=output, workers=workers, on_epoch=seen.append)
    assert done[-1] == 0  # what is recorded first ended last
    for name in ("record.json", "weights.safetensors"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert sorted((each["seed"], each["epoch"]) for each in seen) == [(s, e) for s in (0, 1, 2) for e in (1, 2)]
    assert not list(contract.root.glob(".archcheck-*"))


def test_a_seed_that_fails_ends_those_under_way(contract, tmp_path):
    futures = {}

    class Never(Executor):
        def submit(self, function, /, task):
            futures[task.request["seed"]] = Future()
            if len(futures) == 3:
                futures[1].set_result({"error": {"kind": "training", "message": "was tired"}})
            return futures[task.request["seed"]]

    workers = remote(Never())[1]
    with pytest.raises(SubjectError, match="was tired"):
        train(
            contract,
            contract.subject("net4"),
            seeds=(1, 0, 2),
            output=tmp_path / "record.json",
            workers=workers,
            on_epoch=lambda epoch: None,
        )
    assert all(future.done() for future in futures.values())
    assert not (tmp_path / "record.json").exists()


def test_a_fault_in_one_item_cancels_the_others():
    workers = [Worker(), Worker()]

    def do(worker, item):
        if item == 0:
            raise ArchcheckError("no")
        return item

    with pytest.raises(ArchcheckError):
        list(in_parallel(workers, [0, 1, 2], do))
    assert all(worker._cancelled for worker in workers)


def test_seeds_are_trained_elsewhere_until_it_is_decided(tmp_path, monkeypatch):
    entry = FILES["archcheck_toml"].replace(
        "rules.max-params = 13", "rules.min-accuracy = { limit = 0.5, seeds = 2 }", 1
    )
    write(tmp_path, **{**FILES, "archcheck_toml": entry})
    monkeypatch.chdir(tmp_path)
    contract, done = load(tmp_path / "archcheck.toml"), []
    workers = remote(Backwards(1, lambda task: done.append(task.request["seed"])), 1)[1]
    answer, _ = train_until_decided(contract, contract.subject("net4"), most=2, workers=workers)
    assert (done, str(answer)) == ([0, 1], "undecided")
