"""`archcheck report --as TOOL` and `max-macs = { as = TOOL }` as processes: the number, the reasons, and mistakes."""

import json

import pytest

from tests.support.cli_samples import write

ATTENTION = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 4, 3)
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            tokens = self.stem(x).flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]
"""
NAMED = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            return self.attention(query=x, key=x, value=x)[0]
"""
# 36 positions of 4 channels and 9 products, with a bias 10; 36 tokens of 4 numbers are projected four times, and there
# are two products of 36 x 36 scores.
CONV, TORCHINFO = 36 * 4 * 9, 36 * 4 * 10
ATTENTION_MACS = 4 * 36 * 4 * 4 + 2 * 36 * 36 * 4
CONTRACT = """
[subjects.net]
model = "attention.py:Net"
input = [1, 1, 8, 8]
rules.max-macs = [
  { limit = 1_000, as = "torchinfo" },
  { limit = 1_440, as = "torchinfo", on = "conv" },
  { limit = "10k", as = "torchinfo", on = "attention" },
]
[subjects.named]
model = "named.py:Net"
input = [1, 3, 4]
rules.max-macs = { limit = "10k", as = "ptflops" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tool_counts")
    (folder / ".git").mkdir()
    write(folder, attention_py=ATTENTION, named_py=NAMED)
    (folder / "archcheck.toml").write_text(CONTRACT)
    return folder


def flat(text):
    return " ".join(text.split())


def test_the_report_shows_the_number_of_the_tool_beside_the_true_one_and_why_they_differ(archcheck, folder):
    run = archcheck("report", "attention.py", "--input", "1,1,8,8", "--as", "torchinfo", cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    assert (
        f"as torchinfo {TORCHINFO:,} mult-adds, as torchinfo 1.8.0 prints; "
        f"archcheck counts {CONV + ATTENTION_MACS:,} multiply-accumulates"
    ) in flat(run.stdout)
    assert f"stem conv {CONV:,} {TORCHINFO:,} a bias is one mult-add an output" in flat(run.stdout)
    assert "attention attention 10,368 0 torchinfo counts calls of layers without layers inside" in flat(run.stdout)


def test_a_saved_report_with_a_record_of_calls_gives_the_number_of_another_tool(archcheck, folder):
    for tool in ("torchinfo", "thop"):
        target = ["attention.py", "--input", "1,1,8,8"] if tool == "torchinfo" else ["saved.json"]
        run = archcheck(
            "report", *target, "--as", tool, "--format", "json", "--output", "saved.json", cwd=folder
        )  # fmt: skip
        assert (run.returncode, run.stderr) == (0, "")
    saved = json.loads((folder / "saved.json").read_text())["reports"][0]["facts"]["tool_counts"]
    assert [(each["tool"], each["total"], each["macs"]) for each in saved] == [
        ("torchinfo", TORCHINFO, CONV + ATTENTION_MACS),
        ("thop", CONV, CONV + ATTENTION_MACS),
    ]
    for format_name in ("markdown", "html"):
        shown = archcheck("report", "saved.json", "--format", format_name, cwd=folder)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert f"{TORCHINFO:,} mult-adds, as torchinfo 1.8.0 prints" in shown.stdout
        assert "thop has no formula for" in shown.stdout


def test_a_limit_holds_the_number_of_the_tool_or_says_why_there_is_none(archcheck, folder):
    run = archcheck("check", "--no-paranoid", "--format", "json", cwd=folder)
    first, conv, attention, named = [
        outcome for report in json.loads(run.stdout)["reports"] for outcome in report["outcomes"]
    ]
    assert run.returncode == 2
    assert (first["verdict"], first["found"], first["limit"]) == ("broken", TORCHINFO, 1_000)
    assert first["findings"][0]["message"] == "1,440 mult-adds of torchinfo, limit 1,000 (+440, +44.0 %)"
    assert first["notes"][0] == f"archcheck counts {CONV + ATTENTION_MACS:,} multiply-accumulates"
    assert first["notes"][1].startswith("attention in attention: 0 for 10,368; torchinfo counts calls of layers")
    assert (conv["verdict"], conv["found"]) == ("kept", TORCHINFO)
    assert (attention["verdict"], attention["found"]) == ("kept", 0)
    assert named["verdict"] == "error"
    assert named["findings"][0]["message"] == (
        "ptflops 0.7.5 prints no number for this network: ptflops takes three inputs by position of `attention`, "
        "found 0 by position"
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            '{ limit = 1, as = "torchinf" }',
            '"torchinf" is not a tool whose way of counting is known; did you mean "torchinfo"?',
        ),
        ('{ limit = 1, as = "nothing-like" }', "the tools are"),
        ('{ limit = 1, as = "thop", free = ["erf"] }', "`free` has no meaning beside `as`"),
        ("{ limit = 1, as = 3 }", '"as" must be a string, found 3'),
    ],
)
def test_a_mistake_in_a_contract_is_one_line(archcheck, tmp_path, rule, said):
    (tmp_path / "archcheck.toml").write_text(f'[subjects.net]\nmodel = "net.py:Net"\nrules.max-macs = {rule}\n')
    run = archcheck("check", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_mistake_on_the_command_line_is_one_line(archcheck, folder):
    run = archcheck("report", "attention.py", "--as", "fvcor", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        'archcheck: error: argument --as: "fvcor" is not a tool whose way of counting is known; did you mean '
        '"fvcore"?; '
        "see `archcheck report --help`\n"
    )


def test_what_holds_no_record_of_calls_is_refused_in_one_line(archcheck, tmp_path):
    write(tmp_path, attention_py=ATTENTION)
    target = ("attention.py", "--input", "1,1,8,8")
    made = archcheck("report", *target, "--format", "json", "--output", "plain.json", cwd=tmp_path)
    assert made.returncode == 0
    run = archcheck("report", "plain.json", "--as", "torchinfo", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert "the calls that torchinfo counts were not recorded; measure the code of the model" in run.stderr
    assert run.stderr.count("\n") == 1
