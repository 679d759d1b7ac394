"""Files without code on the command line, in a contract and in pytest; the cache forgets them with their bytes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from archcheck.contract import load
from archcheck.judging.engine import check_subject
from archcheck.render import render
from archcheck.rules.findings import reports_from_json
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import Worker
from tests.measure.artifacts.exported_files import Tiny, export
from tests.render.test_render_schema import VALIDATOR
from tests.support.cli_samples import write

NET = """
    from torch import nn

    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
            self.drop, self.fc = nn.Dropout(0.25), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(self.drop(self.norm(self.conv(x)).relu()).mean((2, 3)))
"""

CONTRACT = """
    [subjects.exported]
    model = "net.pt2"
    [subjects.exported.rules]
    max-params = 44
    requires = ["batch_norm"]
    max-macs = 400

    [subjects.unknown]
    model = "net.pt2"
    rules.dropout-rate = 0.25

    [subjects.loaded]
    model = "tiny.py:Tiny"
    input = [1, 1, 6, 6]
    weights = "w.safetensors"
    rules.max-params = 44

    [subjects.bare]
    model = "w.safetensors"
    rules.max-params = 44

    [subjects.pickled]
    model = "whole.pt"
    input = [1, 1, 6, 6]
    rules.max-params = 44
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / ".git").mkdir()
    write(folder, tiny_py=NET, archcheck_toml=CONTRACT)
    export(Tiny(), torch.zeros(1, 1, 6, 6), to=folder / "net.pt2")
    save_file(Tiny().state_dict(), folder / "w.safetensors")
    torch.save(Tiny(), folder / "whole.pt")
    return folder


def reported(done):
    document = json.loads(done.stdout)
    VALIDATOR.validate(document)
    return {report["subject"]: report for report in document["reports"]}


@pytest.fixture(scope="module")
def checked(archcheck, files):
    return archcheck("check", "--format", "json", cwd=files)


def test_a_contract_judges_files_without_code(checked):
    assert checked.returncode == 2
    found = reported(checked)
    verdicts = {
        name: {outcome["instance"]: outcome["verdict"] for outcome in report["outcomes"]}
        for name, report in found.items()
    }
    assert verdicts["exported"] == {"max-params": "kept", "requires": "kept", "max-macs": "broken"}
    assert verdicts["unknown"] == {"dropout-rate": "error"}
    assert verdicts["loaded"] == {"max-params": "kept"}
    assert found["loaded"]["facts"]["subject"]["notes"][-1].endswith("that it has, all values finite")
    assert "holds tensors and no structure" in found["bare"]["error"]["message"]
    assert "is a pickle, and reading it runs the code" in found["pickled"]["error"]["message"]


def test_unsafe_runs_the_code_of_a_pickle(archcheck, files):
    root = str(Path.cwd())
    done = archcheck("check", "pickled", "--unsafe", cwd=files, PYTHONPATH=root)
    assert done.returncode == 0, done.stderr
    done = archcheck("report", "whole.pt", "--unsafe", "--format", "json", cwd=files, PYTHONPATH=root)
    notes = reported(done)["pickled"]["facts"]["subject"]["notes"]
    assert "loaded under --unsafe: the code that the file names has run" in notes


def test_the_rules_of_a_file_are_tests(files, pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    shutil.copytree(files, pytester.path, dirs_exist_ok=True)
    done = pytester.runpytest_subprocess("--archcheck", "-q", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=3, failed=2, errors=2)
    unsafe = pytester.runpytest_subprocess("--archcheck", "--archcheck-unsafe", "-q", "-k", "pickled")
    unsafe.assert_outcomes(passed=1, deselected=6)
    done.stdout.fnmatch_lines(["*dropout-rate*training mode: the file holds the graph of evaluation*"])


def test_a_report_of_tensors_alone_says_what_is_unknown(archcheck, files):
    done = archcheck("report", "w.safetensors", cwd=files)
    assert done.returncode == 0
    assert "fc.weight                 2x3      float32         6     24" in done.stdout
    assert "elements   51, of parameters and buffers: which is which is unknown" in done.stdout
    assert "structure  unknown; `archcheck report model.py:Net --weights w.safetensors`" in done.stdout


def test_every_format_tells_of_tensors_alone_and_a_saved_report_is_read_back(archcheck, files):
    saved = archcheck("report", "w.safetensors", "--format", "json", cwd=files).stdout
    reports = reports_from_json(json.loads(saved))
    assert json.loads(render(reports, "json")) == json.loads(saved)
    said = "9 tensors, 51 elements, 208 bytes, structure unknown"
    assert said in render(reports, "markdown")
    assert render(reports, "concise") == f"-: measured - w.safetensors: {said}\n"
    assert render(reports, "github") == ""
    assert json.loads(render(reports, "sarif"))["runs"][0]["results"] == []
    assert "<td>3x1x3x3</td>" in render(reports, "html")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["w.safetensors", "--input", "1,2"], "--input is of no use for w.safetensors"),
        (["net.pt2", "--weights", "w.safetensors"], "has weights of its own"),
        (["net.pt2", "--args", "a=1"], "is built already"),
        (["tiny.py", "--weights", "gone.safetensors"], "there is no file `gone.safetensors`"),
        (["tiny.py", "--weights", "tiny.py"], "holds no tensors that are known here"),
        (["gone.pt2"], "there is no file `gone.pt2`"),
        (["gone.safetensors"], "there is no file `gone.safetensors`"),
        (["whole.pt"], "(`tests.measure.artifacts.exported_files.Tiny`)"),
    ],
)
def test_mistakes_are_one_line(archcheck, files, words, said):
    done = archcheck("report", *words, cwd=files)
    lines = done.stderr.splitlines()  # one for each subject
    assert (done.returncode, done.stdout) == (2, "")
    assert lines
    assert all(line.startswith("archcheck: error: ") and said in line for line in lines)


def test_cached_answers_are_dropped_when_the_file_changes(files, tmp_path):
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    contract = load(tmp_path / "archcheck.toml")
    with Worker(cache=Cache(tmp_path / "cache")) as worker:

        def params(name):
            return check_subject(worker, contract, contract.subject(name)).facts.params.total

        assert (params("exported"), params("loaded")) == (44, 44)
        worker.exchange = None  # whoever asks the process now fails
        assert (params("exported"), params("loaded")) == (44, 44)
        del worker.exchange
        wider = Tiny()
        wider.fc = torch.nn.Linear(3, 5)
        export(wider, torch.zeros(1, 1, 6, 6), to=tmp_path / "net.pt2")
        assert params("exported") == 56
        save_file(wider.state_dict(), tmp_path / "w.safetensors")
        report = check_subject(worker, contract, contract.subject("loaded"))
        assert report.error.kind == "weights"
