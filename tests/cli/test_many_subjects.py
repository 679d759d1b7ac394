"""Several subjects of one run: each is judged on its own code, and finds nothing that another left behind."""

from __future__ import annotations

import os
from textwrap import dedent

import pytest

from archcheck.contract import load
from archcheck.judging.engine import check_contract
from archcheck.workers import worker_process
from archcheck.workers.worker_process import Worker

NET = """
from torch import nn
class Net(nn.Linear):
    def __init__(self):
        super().__init__({width}, 1, bias=False)
"""


@pytest.fixture
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def reports(tmp_path, worker):
    """Write files, and judge the models among them in their order by a limit of ten parameters."""

    def reports(**files):
        contract = ""
        for name, text in files.items():
            file = tmp_path / f"{name.replace('_', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(dedent(text))
            if file.stem == "model":
                contract += f'[subjects.{name}]\nmodel = "{file.relative_to(tmp_path)}:Net"\nrules.max-params = 10\n'
        (tmp_path / "archcheck.toml").write_text(contract)
        return list(check_contract(load(tmp_path / "archcheck.toml"), worker=worker))

    return reports


@pytest.fixture
def no_forks(monkeypatch):
    monkeypatch.setattr(worker_process, "can_fork", lambda: False)


def totals(reports):
    assert [report.error for report in reports] == [None] * len(reports)
    return [report.facts.params.total for report in reports]


def test_modules_of_one_name_in_two_folders(reports):
    judged = reports(
        a_net=NET.format(width=3),
        a_model="from net import Net",
        b_net=NET.format(width=50),
        b_model="from net import Net",
    )
    assert totals(judged) == [3, 50]
    assert [report.exit_code for report in judged] == [0, 1]


def test_patches_and_defaults_stay_with_who_made_them(reports):
    careless = """
        import builtins, os, sys
        import torch
        from torch import nn
        torch.set_default_dtype(torch.float64)
        nn.Linear.forward = lambda self, x: x
        nn.Module.parameters = lambda self, recurse=True: iter(())
        builtins.left_behind = os.environ["LEFT_BEHIND"] = "yes"
        os.chdir("/")
        sys.path.insert(0, "/left/behind")
    """
    strict = """
        import builtins, os, sys
        import torch
        assert torch.get_default_dtype() is torch.float32
        assert not hasattr(builtins, "left_behind") and "LEFT_BEHIND" not in os.environ
        assert os.getcwd() != "/" and "/left/behind" not in sys.path
    """
    _, second = reports(a_model=dedent(careless) + NET.format(width=3), b_model=dedent(strict) + NET.format(width=4))
    assert second.error is None
    assert second.facts.params.total == 4
    assert [op.kind for op in second.facts.ops if op.kind == "linear"] == ["linear"]


@pytest.mark.parametrize("end", ["", "if not pid: time.sleep(0.3)", "if pid: time.sleep(0.3)"])
def test_a_subject_that_forks_answers_for_nobody_else(reports, end):
    fork = f"import os, time\npid = os.fork()\n{end}\n"
    judged = reports(a_model=fork + NET.format(width=3), b_model=NET.format(width=4), c_model=NET.format(width=5))
    assert totals(judged) == [3, 4, 5]


def test_a_subject_that_dies_takes_no_other_with_it(reports):
    judged = reports(
        a_model="import os\nos._exit(7)",
        b_model=NET.format(width=4),
        c_model="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        d_model=NET.format(width=5),
    )
    assert [report.error and report.error.kind for report in judged] == ["crash", None, "crash", None]
    assert totals(judged[1::2]) == [4, 5]


def test_torch_is_imported_once(tmp_path):
    note = f"import os\nopen({os.fspath(tmp_path / 'parents')!r}, 'a').write(str(os.getppid()) + ' ')\n"
    (tmp_path / "model.py").write_text(note + NET.format(width=3))
    with Worker() as worker:
        for _ in range(3):
            worker.ask({"do": "find", "target": "model.py", "root": str(tmp_path)})
        parents = (tmp_path / "parents").read_text().split()
        assert len(parents) == 3
        assert len(set(parents)) == 1


@pytest.mark.usefixtures("no_forks")
class TestWhereNothingCanBeForked:
    def test_modules_of_one_name_in_two_folders(self, reports):
        test_modules_of_one_name_in_two_folders(reports)

    def test_a_subject_that_dies_takes_no_other_with_it(self, reports):
        test_a_subject_that_dies_takes_no_other_with_it(reports)
