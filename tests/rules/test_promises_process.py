"""Rules keep to their pages where users meet them: one contract, judged by the command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODELS = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.whole = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 10, 3), nn.Conv2d(4, 10, 6)
        self.pointwise, self.fc = nn.Conv2d(4, 10, 1), nn.Linear(4, 3)

class Whole(Net):
    def forward(self, x):
        return self.whole(self.a(x)).flatten(1)

class Pointwise(Net):
    def forward(self, x):
        return self.pointwise(self.a(x).mean((2, 3), keepdim=True)).flatten(1)

class TwoOutputs(Net):
    def forward(self, x):
        x = self.a(x)
        return {"scores": self.b(x).flatten(1), "aux": self.fc(x.mean((2, 3)))}

class Clamped(Net):
    def forward(self, x):
        return F.log_softmax(self.b(self.a(x)).mean((2, 3)), dim=1).clamp(min=-100)

class Shortcut(Net):
    def forward(self, x):
        x = self.a(x)
        return self.b(x + F.pad(x[:, :2], (0, 0, 0, 0, 0, 2)))

class Wrapped(Net):
    def forward(self, x):
        return self.a(torch.cat([x[..., -1:], x, x[..., :1]], 3))

class Dilated(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 4, 3, padding=4, dilation=4))

class Toggled(nn.Linear):
    def __init__(self):
        super().__init__(8, 2)
        self.train(False)

    def train(self, mode=True):
        return super().train(mode).requires_grad_(mode)

class FarNeighbours(nn.Linear):
    def __init__(self):
        super().__init__(8, 2)

    def forward(self, x):
        return super().forward(x + torch.relu(x.mean(0) - 50))
"""
JUDGED = [
    ("Whole", 'requires-any = ["global_avg_pool", "linear"]', "broken", "none of global_avg_pool, linear takes effect"),
    ("Whole", 'head = "linear"', "broken", "the output path ends in global_conv, not in linear"),
    ("Whole", 'requires = ["conv", "global_conv"]', "kept", "2 conv, 1 global_conv"),
    ("Pointwise", 'requires-any = "linear"', "kept", "linear (a 1x1 convolution on a 1x1 map)"),
    ("TwoOutputs", 'head = ["global_avg_pool", "linear"]', "broken", "the output path ends in conv"),
    ("TwoOutputs", 'head = { kinds = "linear", output = "aux" }', "kept", "linear after global_avg_pool"),
    ("TwoOutputs", 'head = { kinds = "linear", output = 1 }', "kept", "linear after global_avg_pool"),
    ("TwoOutputs", 'head = { kinds = "linear", output = "ux" }', "error", 'its outputs are "scores" and "aux"'),
    ("Clamped", 'head = "global_avg_pool"', "kept", "the output path ends in global_avg_pool"),
    ("Shortcut", "no-padding = true", "kept", "no padding in 2 convolutions"),
    ("Wrapped", "no-padding = true", "broken", "pads a map by 0x2x0x0 with values of its own"),
    ("Dilated", "min-receptive-field = 6", "broken", "one position sees 5x5 input positions"),
    ("Toggled", "max-trainable-params = 10", "broken", "18 trainable parameters, limit 10"),
    ("FarNeighbours", "independent-of-batch = true", "broken", "with its neighbours where they are large"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("promises")
    (folder / "models.py").write_text(MODELS)
    lines = []
    for number, (name, rule, _, _) in enumerate(JUDGED):
        shape = "[2, 8]" if name in ("Toggled", "FarNeighbours") else "[1, 1, 8, 8]"
        lines += [
            f'[subjects.s{number}]\nmodel = "models.py:{name}"\ninput = {shape}\n[subjects.s{number}.rules]',
            rule,
        ]
    (folder / "archcheck.toml").write_text("\n".join(lines))
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    reports = json.loads(done.stdout)["reports"]
    assert done.returncode == 2, done.stderr  # one names an output that is not there
    return [report["outcomes"][0] for report in reports]


@pytest.mark.parametrize("number", range(len(JUDGED)), ids=[f"{name}: {rule}" for name, rule, _, _ in JUDGED])
def test_a_rule_keeps_to_its_page(outcomes, number):
    _, _, verdict, says = JUDGED[number]
    outcome = outcomes[number]
    told = json.dumps(outcome, ensure_ascii=False).replace('\\"', '"')
    assert outcome["verdict"] == verdict, told
    assert says in told


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("true", "must be an integer or a string"),
        ("[1]", "must be an integer or a string"),
        ("1.5", "must be an integer"),
    ],
)
def test_an_output_that_is_no_name_and_no_place_is_refused(output, says, tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    line = f'head = {{ kinds = "linear", output = {output} }}'
    (tmp_path / "archcheck.toml").write_text(
        f'[subjects.net]\nmodel = "models.py:Whole"\n[subjects.net.rules]\n{line}\n'
    )
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
