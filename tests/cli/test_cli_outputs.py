"""Networks that return several outputs, judged by the command as a process: a loss in front of them is none."""

import json

import pytest

from tests.support.cli_samples import write

NETWORKS = """
    from dataclasses import dataclass
    from typing import NamedTuple

    import torch
    from torch import nn
    from torch.nn import functional as F

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)

        def both(self, x):
            scores = self.fc(F.relu(self.norm(self.conv(x))).mean((2, 3)))
            return F.cross_entropy(scores, x.flatten(1).argmax(1) % 10), scores

        def forward(self, x):
            return self.both(x)

    @dataclass
    class Output:
        loss: torch.Tensor
        logits: torch.Tensor

    class Named(NamedTuple):
        loss: torch.Tensor
        logits: torch.Tensor

    class Object(Both):
        def forward(self, x):
            return Output(*self.both(x))

    class Fields(Both):
        def forward(self, x):
            return Named(*self.both(x))

    class Mapping(Both):
        def forward(self, x):
            return dict(zip(("loss", "logits"), self.both(x)))

    class Several(Both):
        def forward(self, x):
            loss, scores = self.both(x)
            return loss, scores.square().mean(), scores, loss

    class Last(Both):
        def forward(self, x):
            return self.both(x)[::-1]

    class Alone(Both):
        def forward(self, x):
            return self.both(x)[0]
"""

RULES = """
    [subjects.{name}]
    model = "net.py:{name}"
    input = [2, 1, 8, 8]
    [subjects.{name}.rules]
    head = "linear"
    output-shape = ["*", 10]
    keeps-batch = true
    independent-of-batch = true
    initial-loss = {{ classes = 10 }}
    overfits-one-batch = {{ limit = 0.9, steps = 50 }}
    accepts = {{ batch = [1, 4], height = [8, 10], width = [8, 10] }}
"""

NAMES = ["Both", "Object", "Fields", "Mapping", "Several", "Last", "Alone"]


@pytest.fixture(scope="module")
def reports(archcheck, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    write(folder, net_py=NETWORKS, archcheck_toml="".join(RULES.format(name=name) for name in NAMES))
    run = archcheck("check", "--format", "json", cwd=folder)
    return {report["subject"]: report for report in json.loads(run.stdout)["reports"]}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Alone"])
def test_a_loss_beside_the_outputs_is_not_judged_as_one(reports, name):
    assert {each["rule"]: each["verdict"] for each in reports[name]["outcomes"] if each["verdict"] != "kept"} == {}


def test_a_note_names_the_output_that_rules_judge(reports):
    notes = {name: " ".join(report["facts"]["subject"]["notes"]) for name, report in reports.items()}
    assert "rules judge the output `1`, because the first is a single number" in notes["Both"]
    assert "the output `logits`" in notes["Object"]
    assert not any("rules judge the output" in notes[name] for name in ("Last", "Alone"))


def test_one_number_alone_is_the_output(reports):
    verdicts = {each["rule"]: each["verdict"] for each in reports["Alone"]["outcomes"]}
    assert [verdicts[rule] for rule in ("head", "output-shape", "keeps-batch", "accepts")] == ["broken"] * 4
