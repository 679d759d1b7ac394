"""`archcheck report --cross-check` as a process: what it prints, how it ends, and what the cache makes of it."""

import json
import re
import shutil

import pytest

from tests.support.cli_samples import write

ATTENTION = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding="same")
            self.blocks = nn.ModuleList(nn.MultiheadAttention(4, 2, batch_first=True) for _ in range(3))

        def forward(self, x):
            tokens = self.conv(x).flatten(2).transpose(1, 2)
            for block in self.blocks:
                tokens = block(tokens, tokens, tokens, need_weights=False)[0]
            return tokens.erf()
"""

PLAIN = """
    from torch import nn

    class Net(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
"""

HIDDEN = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 4)]

        def forward(self, x):
            return self.layers[0](x)
"""

# 36 positions of 4 channels, 9 products and 2 operations of BatchNorm each; 144 features to 10
SAME = "fvcore counts the same: 3,024 in all, 3 operators"
SAID = "  cross-check  "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross_check")
    (folder / ".git").mkdir()
    write(folder, attention_py=ATTENTION, plain_py=PLAIN, hidden_py=HIDDEN)
    contract = '[subjects.net]\nmodel = "plain.py:Net"\ninput = [1, 1, 8, 8]\nrules.max-params = 2000\n'
    (folder / "archcheck.toml").write_text(contract)
    return folder


def report(archcheck, folder, target, *options, shape="1,1,8,8"):
    """Run the command, which has to end well and to keep standard error for what is wrong.

    Labels stand as wide as the widest of a report; here two spaces follow each.
    """
    run = archcheck("report", target, "--input", shape, *options, cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    return narrow(run.stdout)


def narrow(text):
    return re.sub(r"^(  [a-z-]+(?: [a-z]+)*)  +", r"\1  ", text, flags=re.MULTILINE)


@pytest.mark.parametrize("target", ["plain.py", "plain.py:Net", "net"])
def test_where_both_agree_one_line_says_so(archcheck, folder, target):
    assert f"{SAID}{SAME}\n" in report(archcheck, folder, target, "--cross-check")
    assert SAID not in report(archcheck, folder, target)


def test_differences_have_their_place_and_reason(archcheck, folder):
    shown = report(archcheck, folder, "attention.py", "--cross-check")
    # The convolution, and the scores of 64 by 64 tokens and their product with the values, of 4 features in all.
    assert f"{SAID}fvcore counts 12,288 in all ({2_304 + 3 * 32_768:,} fewer)" in shown
    rows = [line.split("  fvcore does") for line in shown.splitlines() if "counts nothing" in line]
    assert [(row.split(), reason) for row, reason in rows] == [
        (["conv", "_convolution_mode", "2,304", "0"],
         ' not know a convolution whose padding is a word, such as "same", and counts nothing'),
        (["blocks.*", "x3", "scaled_dot_product_attention", "98,304", "0"],
         " not know this operator and counts nothing"),
    ]  # fmt: skip


def test_a_model_that_fvcore_cannot_trace_is_reported_all_the_same(archcheck, folder):
    shown = report(archcheck, folder, "hidden.py", "--cross-check", shape="2,4")
    assert (
        f"{SAID}fvcore could not trace it: RuntimeError: Cannot insert a Tensor that requires grad as a constant."
        in shown
    )


def test_the_answer_with_it_is_remembered_apart_from_the_one_without(archcheck, folder, cache_folder):
    first = report(archcheck, folder, "plain.py:Net", "--cross-check")
    entries = sorted(file.name for file in cache_folder.glob("*.json"))
    assert report(archcheck, folder, "plain.py:Net", "--cross-check") == first
    assert sorted(file.name for file in cache_folder.glob("*.json")) == entries
    assert SAID not in report(archcheck, folder, "plain.py:Net")
    assert len(list(cache_folder.glob("*.json"))) == len(entries) + 1
    assert report(archcheck, folder, "plain.py:Net", "--cross-check") == first


def test_a_saved_report_keeps_it_and_cannot_be_checked_anew(archcheck, folder, tmp_path):
    shutil.copy(folder / "plain.py", tmp_path)
    report(archcheck, tmp_path, "plain.py", "--cross-check", "--format", "json", "--output", "saved.json")
    facts = json.loads((tmp_path / "saved.json").read_text())["reports"][0]["facts"]
    assert facts["cross_check"]["total_fvcore"] == facts["cost"]["fvcore_flops"] == 3_024
    shown = archcheck("report", "saved.json", cwd=tmp_path)
    assert f"{SAID}{SAME}\n" in narrow(shown.stdout)
    refused = archcheck("report", "saved.json", "--cross-check", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "archcheck: error: --cross-check needs the model itself, and saved.json is a saved report; "
        "name the model's file, or leave the option out\n"
    )


def test_the_gate_has_no_such_option(archcheck, folder):
    refused = archcheck("check", "--cross-check", cwd=folder)
    assert refused.returncode == 2
    assert (
        refused.stderr
        == 'archcheck: error: "--cross-check" is not an option of `archcheck check`; see `archcheck check --help`\n'
    )
