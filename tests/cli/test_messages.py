"""What a message says: what is wrong, where, what was expected, what to do next. The command runs as a process."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.cli_samples import write

NETWORKS = """
    from torch import nn

    class Plain(nn.Module):
        def __init__(self, width: int = 4):
            super().__init__()
            self.conv = nn.Conv2d(1, width, 3)

        def forward(self, x):
            return self.conv(x).flatten(1)

    class Bare(Plain):
        pass

    class Narrow(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(100, 10))

        def forward(self, x):
            return self.head(self.conv(x))

    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.spare = nn.Linear(4, 4)
            self.block = nn.TransformerEncoderLayer(4, 2, 8)

        def forward(self, x):
            return self.fc(x)
"""

CONTRACT = """
    [subjects.plain]
    model = "networks.py:Plain"
    input = [1, 1, 8, 8]
    [subjects.plain.rules]
    requires = ["dropout", "batch_norm", "softmax", "Linear"]
    requires-any = ["lstm", "relu"]
    max-growth = 0

    [subjects.narrow]
    model = "networks.py:Narrow"
    input = [1, 1, 8, 8]
    rules.max-params = 10

    [subjects.spare]
    model = "networks.py:Spare"
    input = [1, 4]
    rules.no-unused-params = true
    [[subjects.spare.waivers]]
    rule = "no-unused-params"
    layer = "block"
    until = 2999-12-31
    reason = "old checkpoints have it"
    [[subjects.spare.waivers]]
    rule = "no-unused-params"
    layer = "nowhere"
    reason = "was there once"

    [subjects.misspelt]
    model = "networks.py:Spare"
    input = [1, 4]
    rules.requires = { kinds = ["dropout"], on = "blok" }

    [subjects.waived]
    model = "networks.py:Spare"
    input = [1, 4]
    rules.no-unused-params = true
    [[subjects.waived.waivers]]
    rule = "no-unused-params"
    until = 2999-12-31
    reason = "old checkpoints have it"
"""


LIBRARY = {
    "zoo/__init__.py": """
        from zoo import parts

        def create_model(model_name, pretrained=False):
            return parts.small()
    """,
    "zoo/parts.py": """
        from torch import nn

        def small():
            return nn.Linear(3, 2)
    """,
    "shelf/__init__.py": """
        from zoo import parts
    """,
}
"""Packages that offer models: by a function that takes a name, and in a module inside."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    (folder / ".git").mkdir()
    write(folder, networks_py=NETWORKS, archcheck_toml=CONTRACT)
    for name, text in LIBRARY.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(dedent(text), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def checked(archcheck, folder):
    """The contract judged once, and its report saved."""
    saved = archcheck("check", "--no-cache", "--format", "json", "--output", "saved.json", cwd=folder)
    assert saved.returncode == 2
    return folder


def line_of(words, text=NETWORKS):
    """Return the number of the last line that holds these words."""
    return max(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def shown(archcheck, folder, format_name):
    return archcheck("report", "saved.json", "--format", format_name, cwd=folder)


def test_what_no_operation_comes_close_to_is_to_be_added(archcheck, checked):
    said = shown(archcheck, checked, "text").stdout
    for kind, way in {
        "dropout": "add `nn.Dropout(p)` or `F.dropout(x, p, self.training)`",
        "batch_norm": "add `nn.BatchNorm2d(channels)`",
        "softmax": "add `F.softmax(x, dim=1)`",
        "Linear": "add a layer of type `Linear`",
        "ne of lstm, relu": "add `nn.LSTM(inputs, hidden)`, or add `nn.ReLU()`",
    }.items():
        head, _, rest = said.partition(f"the model executes no{'' if kind.startswith('ne') else ' '}{kind}")
        assert rest, (kind, head)
        assert rest.split("fix", 1)[1].strip().startswith(way), kind
    assert "rate above 0" not in said


def test_a_missing_snapshot_names_its_file_and_points_at_the_contract(archcheck, checked):
    line = next(line for line in shown(archcheck, checked, "concise").stdout.splitlines() if "max-growth" in line)
    assert line == ("archcheck.toml:8: error max-growth plain: the snapshot file `archcheck.snapshot.json` is missing")
    said = shown(archcheck, checked, "text").stdout
    assert "write it with `archcheck snapshot plain`, and commit archcheck.snapshot.json" in said
    assert "archcheck.toml:8  class" not in said


def test_a_forward_pass_that_fails_names_the_layer_and_the_line(archcheck, checked):
    said, line = shown(archcheck, checked, "text").stdout, line_of("return self.head")
    assert f"the forward pass failed in `head.1` (Linear) at networks.py:{line} on input 1x1x8x8: " in said


def test_a_saved_report_says_its_errors_once(archcheck, checked):
    run = shown(archcheck, checked, "text")
    assert (run.stdout.count("the forward pass failed"), run.stderr) == (1, "")
    merged = archcheck("merge", "saved.json", "--format", "text", cwd=checked)
    assert (merged.returncode, merged.stdout.count("the forward pass failed"), merged.stderr) == (2, 1, "")
    for elsewhere in (["--output", "again.txt"], ["--format", "json"]):
        assert archcheck("report", "saved.json", *elsewhere, cwd=checked).stderr.count("the forward pass failed") == 1


def test_a_parameter_is_pointed_at_where_its_layer_is_built(archcheck, checked):
    lines = [line for line in shown(archcheck, checked, "concise").stdout.splitlines() if " spare: `" in line]
    built = {(int(line.split(":")[1]), line.split("`")[1].partition(".")[0]) for line in lines}
    assert built == {(line_of("self.spare ="), "spare"), (line_of("self.block ="), "block")}
    assert any("`block.self_attn.out_proj.weight`" in line for line in lines)


def test_a_waiver_is_not_counted_among_the_findings(archcheck, checked):
    said = shown(archcheck, checked, "text").stdout
    assert "spare: `spare.weight` (16 parameters) reaches no output (and 1 more, and 1 waiver to mend)\n" in said
    assert f"the waiver at archcheck.toml:{line_of('nowhere', CONTRACT) - 2} matches no finding" in said


def test_a_waiver_says_until_when_and_what_it_covers(archcheck, checked):
    said = shown(archcheck, checked, "text").stdout
    until = "old checkpoints have it, until 2999-12-31"
    assert f"(and 13 more, waived: {until})" in said
    assert said.count(f"findings: {until}\n") == 2
    assert (
        said.count(f"`block.linear1.bias` (8 parameters) reaches no output at networks.py:{line_of('self.block =')}\n")
        == 2
    )
    row = next(line for line in shown(archcheck, checked, "markdown").stdout.splitlines() if "| waived |" in line)
    assert "block.linear1.bias" in row.replace("&#8203;", "").replace("\\", "")


def test_a_selector_that_selects_nothing_says_what_may_be_meant(archcheck, checked):
    said = shown(archcheck, checked, "text").stdout
    assert '`on` = "blok" selects nothing; did you mean "block"?' in said


def test_no_verdict_is_headed_where_no_rule_judged(archcheck, checked):
    said = archcheck("report", "networks.py:Bare", "--input", "1,1,8,8", "--format", "markdown", cwd=checked).stdout
    assert said.startswith("### archcheck\n\n#### Bare\n")
    assert "0 rules" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["report", "networks.py:Plane"], "there is no `Plane` in `networks.py`; did you mean `networks.py:Plain`?"),
        (["report", "networks.py:Q"], "there is no `Q` in `networks.py`; the models there: `Bare`, `Narrow`, `Spare`"),
        (["init", "zoo:small_100"], "did you mean `zoo:create_model --args model_name=small_100`?"),
        (["init", "zoo.parts:smal"], "did you mean `zoo.parts:small`?"),
        (["init", "shelf:parts.smal"], "did you mean `shelf:parts.small`?"),
        (["init", "shelf:small"], "did you mean `shelf.parts:small`?"),
        (
            ["report", "networks.py:Bare", "--args", "widht=8"],
            "`networks.py:Bare` takes no argument `widht`; did you mean `width`?",
        ),
        (["report", "networks.py:Narrow", "--args", "width=8"], "takes no argument `width`; it takes none"),
        (["report", "networks.py:Bare", "--args", "bottleneck=8"], "takes no argument `bottleneck`; it takes `width`"),
        (
            ["report", "networks.py:Bare", "--args", "width=-1"],
            "; it was given width=-1: `--args` or `args` in the contract change that",
        ),
        (["report", "networks.py:Bare", "--args", "width"], '"width" is not NAME=VALUE; write width=16'),
        (
            ["report", "networks.py", "--frmat", "json"],
            'did you mean "--format"?',
        ),
        (["report", "--inputs", "1,1,8,8", "networks.py"], 'did you mean "--input"?'),
        (["check", "--zzz=3"], '"--zzz" is not an option of `archcheck check`; see `archcheck check --help`'),
        (["report", "networks.py", "-x"], '"-x" is not an option of `archcheck report`; see `archcheck report --help`'),
        (["explain", "networks.py", "b"], '"b" is one argument too many for `archcheck explain`; see'),
        (["--versoin"], 'did you mean "--version"?'),
    ],
)
def test_a_mistake_names_what_was_meant(archcheck, folder, arguments, says):
    run = archcheck(*arguments, cwd=folder)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert says in run.stderr


CELLS = [
    ("markdown", "# A title"),
    ("code", "from torch import nn"),
    ("markdown", "Now the network"),
    ("code", "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
     "        self.fc = nn.Linear(3, 2)\n\n"
     "    def forward(self, x):\n        return self.fc(x.flatten(2))"),
    ("code", "# the training\n\nloader = load()\nfor batch in loader:\n    loss.backward()"),
]  # fmt: skip


def test_a_cell_is_counted_among_the_code_cells_and_quoted(archcheck, tmp_path):
    cells = [{"cell_type": kind, "source": text, "metadata": {}} for kind, text in CELLS]
    (tmp_path / "nb.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}), encoding="utf-8")
    run = archcheck("report", "nb.ipynb", "--input", "1,2,3", cwd=tmp_path)
    assert 'it trains when it is imported (nb.ipynb:cell 3:4 in "# the training")' in run.stdout
    assert 'not run: nb.ipynb:cell 3:3, 4 in "# the training"' in run.stdout
    assert "nb.ipynb:cell 2:1\n" in run.stdout
    failed = archcheck("report", "nb.ipynb", "--input", "3", cwd=tmp_path)
    assert 'at nb.ipynb:cell 2:7 in "class Net(nn.Module):" on input 3: ' in failed.stderr


def test_a_record_that_cannot_be_written_is_kept(archcheck, tmp_path):
    school = "def run(model, *, seed, epochs=2):\n    yield {'loss': 0.5}\n\ndef test(model):\n    return 12, 20\n"
    contract = """
        [subjects.net]
        model = "networks.py:Bare"
        training = { train = "school.py:run", evaluate = "school.py:test", record = "record.json" }
    """
    write(tmp_path, networks_py=NETWORKS, school_py=school, archcheck_toml=contract)
    run = archcheck("train", "net", "--output", "/dev/full", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert run.returncode == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("archcheck: error: ")]
    assert line.startswith("archcheck: error: `/dev/full` cannot be written: No space left on device; ")
    (kept,) = [Path(word) for word in line.split("`") if word.endswith("record.json")]
    assert json.loads(kept.read_text())["runs"][0]["test"] == {"correct": 12, "total": 20}
    kept.rename(tmp_path / "record.json")
    again = archcheck("train", "net", cwd=tmp_path)
    assert again.stdout.startswith("net: seed 1, "), again.stderr
