"""Defaults that a subject sets for all of torch, a device or a dtype, judged by the command as a process."""

import json

import pytest
import torch

from archcheck.measure import measure_model
from tests.support.cli_samples import write

NETWORK = """
    import torch
    from torch import nn
    from torch.nn import functional as F

    {before}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            with torch.device("cpu"):
                self.conv = nn.Conv2d(1, 4, 3)
                self.norm = nn.BatchNorm2d(4)
                self.drop = nn.Dropout(0.1)
                self.head = nn.Linear(4, 10)
                self.register_buffer("shift", torch.linspace(0, 1, 4))

        def forward(self, x):
            {within}
            x = self.drop(F.relu(self.norm(self.conv(x)))).mean((2, 3)) + self.shift
            return F.log_softmax(self.head(x), 1)
"""

CONTRACT = """
    [subjects.net]
    model = "net.py:Net"
    input = [2, 1, 8, 8]
    [subjects.net.rules]
    requires = ["batch_norm", "dropout", "relu"]
    max-params = 98
    no-hidden-weights = true
    no-unused-params = true
    deterministic-in-eval = true
    independent-of-batch = true
    gradients-reach = true
    initial-loss = { classes = 10 }
    state-dict-round-trip = true
    accepts = { batch = [1, 4], height = [8, 12], width = [8, 12] }
"""

DEFAULTS = {
    "meta": 'torch.set_default_device("meta")',
    "cuda": 'torch.set_default_device("cuda")',
    "cpu": 'torch.set_default_device("cpu")',
    "double": "torch.set_default_dtype(torch.float64)",
    "bfloat16": "torch.set_default_dtype(torch.bfloat16)",
}


def judged(archcheck, tmp_path, before, within="pass"):
    write(tmp_path, net_py=NETWORK.format(before=before, within=within), archcheck_toml=CONTRACT)
    found = archcheck("check", "--format", "json", cwd=tmp_path)
    outcomes = {each["rule"]: each["verdict"] for each in json.loads(found.stdout)["reports"][0]["outcomes"]}
    return found, outcomes


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_of_the_subject_is_not_archchecks(archcheck, tmp_path, name):
    found, outcomes = judged(archcheck, tmp_path, DEFAULTS[name])
    assert found.returncode == 0, found.stderr
    assert set(outcomes.values()) == {"kept"}, outcomes


@pytest.mark.parametrize("name", ["meta", "double"])
def test_a_default_that_a_pass_sets_ends_with_it(archcheck, tmp_path, name):
    found, outcomes = judged(archcheck, tmp_path, "", within=DEFAULTS[name])
    assert found.returncode == 0, found.stderr
    assert set(outcomes.values()) == {"kept"}, outcomes


def test_a_forward_pass_finds_its_default_device_and_may_compute_there(archcheck, tmp_path):
    within = "assert torch.empty(len(x)).sigmoid().is_meta"
    found, outcomes = judged(archcheck, tmp_path, DEFAULTS["meta"], within)
    assert found.returncode == 0, found.stderr
    assert set(outcomes.values()) == {"kept"}, outcomes


def test_defaults_of_a_user_stay_and_are_not_in_the_way():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    example = torch.rand(2, 4)
    before = torch.get_default_device()
    torch.set_default_device("meta")
    try:
        facts = measure_model(model, example=example, needs=["paranoid", "independent-of-batch"])
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    assert facts.params.total == 30
    assert torch.get_default_device() == before


def test_an_input_without_a_dtype_has_the_subjects_default(archcheck, tmp_path):
    write(tmp_path, net_py=NETWORK.format(before=DEFAULTS["double"], within="pass"))
    for given in (("--input", "1,1,8,8"), ()):
        report = json.loads(archcheck("report", "net.py", *given, "--format", "json", cwd=tmp_path).stdout)["reports"][
            0
        ]
        assert [each["dtype"] for each in report["facts"]["shape"]["inputs"]] == ["float64"]
