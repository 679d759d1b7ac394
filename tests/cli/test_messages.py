"""What a message says: what is wrong, where, what was expected, what to do next. The command runs as a process."""

from __future__ import annotations

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

    [subjects.waived]
    model = "networks.py:Spare"
    input = [1, 4]
    rules.no-unused-params = true
    [[subjects.waived.waivers]]
    rule = "no-unused-params"
    until = 2999-12-31
    reason = "old checkpoints have it"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    (folder / ".git").mkdir()
    write(folder, networks_py=NETWORKS, archcheck_toml=CONTRACT)
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
    elsewhere = archcheck("report", "saved.json", "--output", "again.txt", cwd=checked)
    assert elsewhere.stderr.count("the forward pass failed") == 1


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


def test_no_verdict_is_headed_where_no_rule_judged(archcheck, checked):
    said = archcheck("report", "networks.py:Bare", "--input", "1,1,8,8", "--format", "markdown", cwd=checked).stdout
    assert said.startswith("### archcheck\n\n#### Bare\n")
    assert "0 rules" not in said
