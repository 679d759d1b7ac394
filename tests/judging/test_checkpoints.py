"""Several checkpoints of one subject: lists and patterns of files, their names, and what cannot be read."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck.contract import load
from archcheck.foundation.errors import ArchcheckError, ContractError
from archcheck.judging.engine import check_contract, chosen_entries
from archcheck.workers.worker_process import Worker

MODEL = "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 4)\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    for name in ("a.pt", "b.pt", "devices/phone.pt", "devices/watch.pt", "devices/old/a.pt", "odd[1].pt"):
        file = tmp_path / "w" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        net = nn.Linear(3, 4)
        if name == "devices/watch.pt":
            net.weight.data.zero_()
        torch.save(net.state_dict(), file)
    return tmp_path


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.close()


def contract(folder, weights):
    (folder / "archcheck.toml").write_text(
        f'[subjects.net]\nmodel = "model.py"\ninput = [1, 3]\nweights = {weights}\n[subjects.net.rules]\n'
        'max-params = 16\nmin-sparsity = "50 %"\n'
    )
    return load(folder / "archcheck.toml")


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ('"w/a.pt"', ["net"]),
        ('["w/a.pt"]', ["net[a.pt]"]),
        ('["w/b.pt", "w/a.pt", "w/b.pt"]', ["net[b.pt]", "net[a.pt]"]),
        ('"w/devices/*.pt"', ["net[phone.pt]", "net[watch.pt]"]),
        ('"w/devices/?a*.pt"', ["net[watch.pt]"]),
        (
            '["w/a.pt", "w/devices/**/*.pt"]',
            ["net[w/a.pt]", "net[w/devices/old/a.pt]", "net[phone.pt]", "net[watch.pt]"],
        ),
        ('"w/odd[1].pt"', ["net"]),
        ('["w/a.pt", "w/absent.pt"]', ["net[a.pt]", "net[absent.pt]"]),
        ('"w/*.safetensors"', ["net[*.safetensors]"]),
    ],
)
def test_each_file_is_an_entry_of_its_own(folder, weights, names):
    read = contract(folder, weights)
    assert [entry.name for entry in read.subjects] == names
    assert [entry.name for entry in chosen_entries(read, ["net"])] == names
    assert chosen_entries(read, [names[-1], "net", names[0]])[0].name == names[-1]


def test_each_checkpoint_is_judged(folder, worker):
    with chdir(folder):
        reports = list(check_contract(contract(folder, '"w/devices/*.pt"'), worker=worker))
    judged = {report.subject: [each.verdict.value for each in report.outcomes] for report in reports}
    assert judged == {"net[phone.pt]": ["kept", "broken"], "net[watch.pt]": ["kept", "kept"]}


def test_a_file_that_is_not_there_is_an_error_of_its_own(folder, worker):
    with chdir(folder):
        kept, lost = check_contract(contract(folder, '["w/devices/watch.pt", "w/*.safetensors"]'), worker=worker)
    assert (kept.exit_code, lost.exit_code) == (0, 2)
    assert lost.error is not None
    assert "w/*.safetensors" in lost.error.message


def test_an_absolute_pattern_is_one_too(folder):
    read = contract(folder, f'"{folder.as_posix()}/w/devices/*.pt"')
    assert [Path(entry.weights).name for entry in read.subjects] == ["phone.pt", "watch.pt"]


def test_one_name_for_several_is_told(folder):
    read = contract(folder, '["w/a.pt", "w/b.pt"]')
    with pytest.raises(ArchcheckError, match=r'several subjects; name one of "net\[a.pt\]" and "net\[b.pt\]"'):
        read.subject("net")
    assert read.subject("net[b.pt]").weights == "w/b.pt"
    with pytest.raises(ArchcheckError, match="is not a subject of"):
        read.named("nets")


@pytest.mark.parametrize("weights", ['""', "[]", '["w/a.pt", " "]', "3", "[3]"])
def test_what_names_no_file_is_refused(folder, weights):
    with pytest.raises(ContractError, match='"weights" must'):
        contract(folder, weights)


def test_the_command_line_names_the_checkpoint(folder, archcheck):
    contract(folder, '["w/a.pt", "w/devices/watch.pt"]')
    done = archcheck("check", "net", "--format", "concise", cwd=folder)
    assert done.returncode == 1
    assert [line.partition(": ")[2].partition(": ")[0] for line in done.stdout.splitlines()[:4]] == [
        "kept max-params net[a.pt]", "broken min-sparsity net[a.pt]",
        "kept max-params net[watch.pt]", "kept min-sparsity net[watch.pt]",
    ]  # fmt: skip
    text = archcheck("check", "net[watch.pt]", cwd=folder)
    assert text.returncode == 0
    assert "net[watch.pt]" in text.stdout
