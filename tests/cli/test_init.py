"""`archcheck init`: a first contract that `archcheck check` keeps."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from archcheck.cli.init import _seen_from
from archcheck.contract import load
from archcheck.foundation.annotated_values import toml
from archcheck.foundation.errors import ArchcheckError
from archcheck.judging.first_contract import roomy
from tests.support.cli_samples import write

NETWORKS = """
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Cnn(nn.Module):
        def __init__(self, width=4):
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout2d(0.1))
            self.fc = nn.Linear(width, 10)

        def forward(self, x):
            return F.log_softmax(self.fc(self.features(x).mean((2, 3))), 1)

    class Mlp(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Dropout(0.0), nn.Linear(16, 3))

    class Lstm(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(50, 8)
            self.lstm = nn.LSTM(8, 16, batch_first=True)
            self.fc = nn.Linear(16, 5)

        def forward(self, x):
            return self.fc(self.lstm(self.embedding(x))[0][:, -1])

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)
            self.out = nn.Linear(16, 4)

        def forward(self, x):
            return self.out(self.encoder(x).mean(1))

    class Messy(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.idle, self.loose = nn.Linear(4, 4), nn.Linear(3, 2), [nn.Linear(4, 4)]

        def forward(self, x):
            return self.loose[0](self.fc(x))

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b
"""
BROKEN = """
    from torch import nn

    class Fine(nn.Linear):
        def __init__(self):
            super().__init__(4, 2)

    class Bad(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path, networks_py=NETWORKS, broken_py=BROKEN)
    return tmp_path


def stated(folder, name="archcheck.toml"):
    """Return the rules that a contract states for its only subject, as TOML."""
    document = tomllib.loads((folder / name).read_text())
    (subject,) = document["subjects"].values()
    return subject["rules"]


@pytest.mark.parametrize(
    ("target", "given", "rules"),
    [
        (
            "Cnn",
            (),
            {
                "max-params": 110,
                "max-macs": 27_000,
                "requires": ["conv", "batch_norm", "relu", "dropout", "global_avg_pool", "linear"],
                "head": ["linear"],
                "no-hidden-weights": True,
                "no-unused-params": True,
                "output-shape": ["*", 10],
            },
        ),
        (
            "Mlp",
            (),
            {
                "max-params": 250,
                "requires": ["linear", "gelu", "layer_norm"],
                "head": ["linear"],
                "no-hidden-weights": True,
                "no-unused-params": True,
                "output-shape": ["*", 3],
            },
        ),
        (
            "Lstm",
            ("--input", "2,7:int64"),
            {
                "max-params": 2_400,
                "requires": ["embedding", "lstm", "linear"],
                "head": ["linear"],
                "no-hidden-weights": True,
                "no-unused-params": True,
                "output-shape": ["*", 5],
            },
        ),
        ("Transformer", ("--input", "1,6,16"), {"output-shape": ["*", 4], "head": ["linear"]}),
        ("Sum", ("--input", "1,4", "--input", "1,4"), {"max-params": 0, "output-shape": ["*", 4]}),
    ],
)
def test_what_it_states_is_kept(archcheck, folder, target, given, rules):
    made = archcheck("init", f"networks.py:{target}", *given, "--output", "archcheck.toml", cwd=folder)
    assert made.returncode == 0, made.stderr
    found = stated(folder)
    assert {name: found[name] for name in rules} == rules
    run = archcheck("check", cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(found)} rules: {len(found)} kept" in run.stdout


def test_what_is_printed_says_what_each_number_is_today(archcheck, folder):
    run = archcheck("init", "networks.py:Cnn", "--args", "width=8", "--input", "2,1,9,9", cwd=folder)
    assert (run.returncode, run.stderr.count("error")) == (0, 0)
    lines = run.stdout.splitlines()
    assert lines[0] == "# What cnn is today, with 10 % of headroom: a start, to be changed into what must be."
    assert lines[3:7] == [
        "[subjects.cnn]",
        'model = "networks.py:Cnn"',
        "args = { width = 8 }",
        "input = [2, 1, 9, 9]",
    ]
    assert "max-params = 210  # 186 today" in lines
    assert "# 1 conv, 1 batch_norm, 1 relu, 1 dropout, 1 global_avg_pool, 1 linear" in run.stdout
    assert 'output-shape = ["*", 10]  # 2x10 today' in lines


def test_what_does_not_hold_is_a_comment(archcheck, folder):
    run = archcheck("init", "networks.py:Messy", "--input", "1,4", "--output", "archcheck.toml", cwd=folder)
    assert run.returncode == 0
    text = (folder / "archcheck.toml").read_text()
    assert "# no-hidden-weights does not hold today: 16 hidden weights" in text
    assert "# no-unused-params does not hold today: " in text
    assert not {"no-hidden-weights", "no-unused-params"} & stated(folder).keys()
    assert stated(folder)["max-params"] == roomy(20 + 8 + 20)
    assert archcheck("check", cwd=folder).returncode == 0


def test_every_model_of_a_file_and_the_one_that_fails_is_named(archcheck, folder):
    run = archcheck("init", "broken.py", "--output", "archcheck.toml", cwd=folder)
    assert run.returncode == 0
    assert "archcheck: error: broken.py:Bad: " in run.stderr
    assert [entry.name for entry in load(folder / "archcheck.toml").subjects] == ["fine"]
    alone = archcheck("init", "broken.py:Bad", cwd=folder)
    assert (alone.returncode, alone.stdout) == (2, "")


def test_a_pyproject_gets_the_prefix_and_paths_are_seen_from_the_contract(archcheck, folder):
    (folder / "sub").mkdir()
    run = archcheck("init", "networks.py:Mlp", "--output", "sub/pyproject.toml", cwd=folder)
    assert run.returncode == 0, run.stderr
    text = (folder / "sub" / "pyproject.toml").read_text()
    assert '[tool.archcheck.subjects.mlp]\nmodel = "../networks.py:Mlp"' in text
    assert archcheck("check", "--config", "sub/pyproject.toml", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("net.py:Net", "../net.py:Net"),
        ("net.ipynb:Net", "../net.ipynb:Net"),
        ("a/net.pt2", "../a/net.pt2"),
        ("/net.py:Net", "/net.py:Net"),
        ("house.nets:Net", "house.nets:Net"),
    ],
)
def test_every_file_is_seen_from_the_contract(tmp_path, monkeypatch, target, seen):
    monkeypatch.chdir(tmp_path)
    named = _seen_from(target, Path("sub") / "archcheck.toml")
    assert Path("sub", named).resolve() == Path("sub", seen).resolve()
    assert _seen_from(target, None) == target


def test_a_name_that_is_not_there_is_named_once(archcheck, folder):
    run = archcheck("init", "networks.py:Nope", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("archcheck: error: `networks.py:Nope`: there is no `Nope` in `networks.py`; ")


def test_a_file_that_exists_is_left_alone(archcheck, folder):
    (folder / "archcheck.toml").write_text("mine")
    run = archcheck("init", "networks.py:Mlp", "--output", "archcheck.toml", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert "archcheck.toml exists and is left alone; name another file" in run.stderr
    assert (folder / "archcheck.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("init",), "needs a model or a preset"),
        (("init", "gone.py"), "gone.py"),
        (("init", "networks.py:Cnn", "--args", "width={1}"), "cannot"),
    ],
)
def test_mistakes_are_one_line(archcheck, folder, arguments, says):
    run = archcheck(*arguments, cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert says in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("number", "bound"), [(0, 0), (1, 2), (9, 10), (16, 18), (90, 99), (91, 110), (13_086, 15_000)]
)
def test_headroom_is_at_least_ten_per_cent_and_easy_to_read(number, bound):
    assert roomy(number) == bound
    assert 10 * roomy(number) >= 11 * number


@pytest.mark.parametrize(
    "value", [True, 3, 12_345, -1, 0.5, 1e-5, 'a"b\\\n\x7fé😀', [1, [2, "x"]], {"a b": 1, "c": {"d": []}}, {}]
)
def test_values_are_read_back_as_they_were(value):
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


def test_digits_stand_in_threes():
    assert toml({"limit": 6100, "shape": (1, 28)}) == "{ limit = 6_100, shape = [1, 28] }"


@pytest.mark.parametrize("value", [{1, 2}, b"x", None, 1j, {1: 2}])
def test_what_toml_cannot_hold_is_refused(value):
    with pytest.raises(ArchcheckError, match="a contract cannot hold"):
        toml(value)
