"""The contracts of communities, on made entries that keep and break each of their lines."""

from __future__ import annotations

import json
import tomllib
from contextlib import chdir
from pathlib import Path

import pytest

from archcheck.cli import main
from archcheck.contract import load
from archcheck.foundation.errors import ArchcheckError
from archcheck.judging.engine import check_contract
from archcheck.judging.presets import preset_names, preset_summary, preset_text
from archcheck.workers.worker_process import Worker

HEAD = """\
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


"""

MNIST = (
    HEAD
    + """\
class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.1),
            nn.Conv2d(width, 10, 3), nn.BatchNorm2d(10), nn.ReLU(),
        )

    def forward(self, x):
        return F.log_softmax(self.features(x).mean((2, 3)), 1)
"""
)

ADDER = (
    HEAD
    + """\
def positions(count, width):
    angles = torch.arange(count)[:, None] / 100 ** (torch.arange(0, width, 2) / width)
    return torch.cat([angles.sin(), angles.cos()], 1)


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8, bias=False) for _ in range(3))
        self.mix = nn.Linear(8, 8)
        self.register_buffer("positions", positions(40, 8))

    def forward(self, tokens):
        x = self.embed(tokens) + self.positions[: tokens.shape[1]]
        mask = torch.ones(len(x[0]), len(x[0])).triu(1).bool()
        scores = (self.query(x) @ self.key(x).transpose(1, 2)).masked_fill(mask, float("-inf"))
        x = x + scores.softmax(-1) @ self.value(x)
        x = x + self.mix(x).relu()
        return x @ self.embed.weight.T
"""
)

GOLF = ADDER.replace("Embedding(12, 8)", "Embedding(1024, 8)").replace("positions(40, 8)", "positions(200, 8)")

SCENES = (
    HEAD
    + """\
class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=4), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2), nn.BatchNorm2d(width), nn.ReLU(),
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.features(x).flatten(2).transpose(1, 2)
        return self.head(x.mean(1))
"""
)

UPSCALED = (
    HEAD
    + """\
class Net(nn.Module):
    def __init__(self, num_in_ch=3, num_out_ch=3, upscale=4, width=32):
        super().__init__()
        self.first = nn.Conv2d(num_in_ch, width, 3, padding="same")
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(width, num_out_ch * upscale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(upscale)

    def forward(self, x):
        return self.shuffle(self.last(self.body(self.first(x))))
"""
)

KEYWORDS = (
    HEAD
    + """\
def block(width):
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
    )


class Net(nn.Sequential):
    def __init__(self, width=64):
        super().__init__(
            nn.Conv2d(1, width, (10, 4), stride=2, padding=(5, 1)), nn.BatchNorm2d(width), nn.ReLU(),
            block(width), block(width), block(width), block(width),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 12),
        )
"""
)

KEPT = {
    "dcase-task1": {"model.py": SCENES},
    "ntire-esr": {"model.py": UPSCALED},
    "tinyml-kws": {"model.py": KEYWORDS},
    "mnist-course": {"model.py": MNIST},
    "adderboard": {"model.py": ADDER},
    "parameter-golf": {
        "model.py": GOLF,
        "train_gpt.py": "import torch\n",
        "final_model.int8.ptz": bytes(1_000),
        "record.json": json.dumps({"runs": [{"val_loss": loss} for loss in (1.231, 1.229, 1.230)]}),
        "submission.json": json.dumps({"runs": [{"val_loss": loss} for loss in (1.211, 1.209, 1.210)]}),
    },
}
"""An entry for each preset that keeps all of its lines."""

BROKEN = {
    "dcase-task1": {
        "max-bytes": ("nn.Linear(width, 10)", "nn.Sequential(nn.Linear(width, 1600), nn.Linear(1600, 10))"),
        "max-macs-1": ("3, stride=2)", "3, stride=2), nn.Upsample(scale_factor=9), nn.Conv2d(width, width, 3)"),
        "max-macs-2": (
            "x.mean(1)",
            "((x.repeat(1, 9, 1) @ x.repeat(1, 9, 1).transpose(1, 2)) @ x.repeat(1, 9, 1)).mean(1)",
        ),
        "no-hidden-weights": ("self.head(x.mean(1))", "self.head(x.mean(1)) + WEIGHTS[:10] @ WEIGHTS.view(10, 10)"),
        "output-shape": ("nn.Linear(width, 10)", "nn.Linear(width, 11)"),
        "independent-of-batch": ("self.head(x.mean(1))", "self.head(x.mean(1) - x.mean((0, 1)))"),
    },
    "ntire-esr": {
        "output-shape": ("upscale=4", "upscale=2"),
        "no-hidden-weights": ("self.first(x)", "self.first(x * WEIGHTS.sum() + WEIGHTS.max())"),
        "finite-output": ("self.body(self.first(x))", "self.body(self.first(x)).log()"),
        "score": ("width=32", "width=200"),
    },
    "tinyml-kws": {
        "max-params": ("nn.Linear(width, 12)", "nn.Linear(width, 2048), nn.Linear(2048, 12)"),
        "max-arena": ("stride=2", "stride=1"),
        "max-macs": ("stride=2", "stride=1"),
        "multiple-of": ("width=64", "width=60"),
        "operators-for": ("nn.Flatten()", "nn.Flatten(), nn.Mish()"),
        "forbids": (
            "nn.BatchNorm2d(width), nn.ReLU(),\n            block",
            "nn.BatchNorm2d(width), nn.SiLU(),\n            block",
        ),
        "no-hidden-weights": (
            "class Net(nn.Sequential):",
            "class Net(nn.Sequential):\n    def forward(self, x):\n"
            "        return super().forward(x * WEIGHTS[:98].view(49, 2).repeat(1, 5))\n",
        ),
        "output-shape": ("nn.Linear(width, 12)", "nn.Linear(width, 10)"),
    },
    "mnist-course": {
        "max-params": ("width=8", "width=300"),
        "requires": ("nn.Dropout(0.1)", "nn.Dropout(0.0)"),
        "requires-any": (".mean((2, 3))", "[:, :, 3, 4]"),
        "output-shape": ("width, 10, 3), nn.BatchNorm2d(10)", "width, 11, 3), nn.BatchNorm2d(11)"),
        "no-hidden-weights": ("F.log_softmax(", "F.log_softmax(WEIGHTS.sum() * "),
        "no-unused-params": ("        self.features", "        self.more = nn.Linear(3, 4)\n        self.features"),
    },
    "adderboard": {
        "max-params": ("self.mix = nn.Linear(8, 8)", "self.mix = nn.Sequential(nn.Linear(8, 99), nn.Linear(99, 8))"),
        "requires": ("scores.softmax(-1) @ self.value(x)", "scores.relu().nan_to_num() @ self.value(x)"),
        "max-look-ahead": (".triu(1)", ".triu(2)"),
        "max-calls": (
            "x = x + self.mix(x).relu()",
            "for _ in range(10):\n            x = x + self.mix(x).relu()",
        ),
        "no-hidden-weights": ("positions(40, 8))", "torch.randn(40, 8))"),
        "deterministic-in-eval": ("self.mix(x).relu()", "F.dropout(self.mix(x).relu(), 0.1, True)"),
    },
    "parameter-golf": {
        "max-artifact-bytes": ("final_model.int8.ptz", bytes(16_000_000)),
        "beats": ("submission.json", json.dumps({"runs": [{"val_loss": loss} for loss in (1.226, 1.224, 1.225)]})),
        "max-look-ahead": (".triu(1)", ".triu(2)"),
        "deterministic-in-eval": ("self.mix(x).relu()", "F.dropout(self.mix(x).relu(), 0.1, True)"),
    },
}
"""For each line of a preset, what breaks it: a change of the model, or another file."""

WEIGHTS = "WEIGHTS = torch.randn(100)\n\n\n"


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.close()


def verdicts(folder, worker, preset, files):
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(content)
    (folder / "archcheck.toml").write_text(preset_text(preset))
    with chdir(folder):
        (report,) = check_contract(load(Path("archcheck.toml")), worker=worker)
    assert report.error is None, report.error
    return {outcome.instance: outcome.verdict.value for outcome in report.outcomes}


@pytest.mark.parametrize("preset", preset_names())
def test_an_entry_keeps_every_line(preset, tmp_path, worker):
    found = verdicts(tmp_path, worker, preset, KEPT[preset])
    assert set(found.values()) == {"kept"}, found
    assert {name.partition(" ")[0] for name in found} == set(BROKEN[preset])


@pytest.mark.parametrize(("preset", "rule"), [(preset, rule) for preset in BROKEN for rule in BROKEN[preset]])
def test_each_line_can_be_broken(preset, rule, tmp_path, worker):
    place, change = BROKEN[preset][rule]
    files = dict(KEPT[preset])
    if place in files:
        files[place] = change
    else:
        assert place in files["model.py"]
        files["model.py"] = files["model.py"].replace(place, change).replace(HEAD, HEAD + WEIGHTS)
    assert verdicts(tmp_path, worker, preset, files)[rule] == "broken"


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_says_its_source_and_reads_as_toml(preset):
    text = preset_text(preset, "entry.py:Net", prefix="tool.archcheck.")
    (subject,) = tomllib.loads(text)["tool"]["archcheck"]["subjects"].values()
    assert subject["model"] == "entry.py:Net"
    assert preset_summary(preset) == text.splitlines()[0].removeprefix("# ")
    assert "Source: " in text or preset == "mnist-course"


def test_the_command_writes_what_can_be_checked(tmp_path, archcheck):
    (tmp_path / "model.py").write_text(MNIST)
    done = archcheck("init", "--preset", "mnist-course", "model.py", "--output", "archcheck.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert archcheck("check", cwd=tmp_path).returncode == 0
    listed = archcheck("init", "--preset", "list", cwd=tmp_path).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(preset_names())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--preset", "dcase"), "is not a preset"),
        (("--preset", "mnist-course", "--input", "1,3"), "a preset states its own input"),
        ((), "needs a model or a preset"),
        (("--preset", ""), '"" is not a preset; the presets are adderboard'),
        (("--preset", "list", "--output", "a.toml"), "`--preset list` only lists the presets"),
        (("--preset", "mnist-course", "nets.py:Net", "--output", "a.toml"), "there is no file `nets.py`"),
    ],
)
def test_what_no_preset_is_gets_one_line(arguments, says, tmp_path, capsys):
    with chdir(tmp_path):
        assert main(["init", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())


def test_a_contract_of_another_name_is_told_how_to_judge_by_it(tmp_path, capsys):
    with chdir(tmp_path):
        assert main(["init", "--preset", "mnist-course", "--output", "limits.toml"]) == 0
    assert "`archcheck check --config limits.toml` judges by it" in capsys.readouterr().out


def test_an_unknown_preset_has_a_suggestion():
    with pytest.raises(ArchcheckError, match='did you mean "mnist-course"'):
        preset_text("mnist-curse")
