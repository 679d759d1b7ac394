"""`per`: budgets for a stretch of the input, along an axis by its name or number."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck.contract import load
from archcheck.foundation.errors import ContractError
from archcheck.judging.engine import check, check_contract
from archcheck.rules import MaxActivations, MaxMacs, MaxTrainingMacs
from archcheck.workers.worker_process import Worker

CONV = nn.Conv1d(1, 2, 3, padding=1)
"""6 multiply-accumulates a position."""


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(self.proj(x), x, x)


def outcome(model, example, rule):
    return check(model, example=example, rules=[rule]).outcomes[0]


def macs(limit=0, **per):
    return MaxMacs(limit=limit, per=per)


@pytest.mark.parametrize(
    ("per", "found", "told"),
    [
        ({"axis": "length", "size": 16_000}, 192_000, "192,000 multiply-accumulates per 16,000 positions (384,000 for"),
        ({"axis": "time", "size": "16k"}, 192_000, "per 16,000 positions"), ({"axis": -1, "size": 16_000}, 192_000, ""),
        ({"axis": "2", "size": 1}, 12, "per 1 position (384,000 for 32,000)"),
        ({"axis": "batch", "size": 1}, 192_000, "192,000 multiply-accumulates per 1 sample (384,000 for 2)"),
        ({"axis": 0, "size": 3}, 576_000, "(384,000 for 2)"),
        ({"axis": "length", "size": 64_000, "input": 0}, 768_000, ""),
        ({}, 384_000, "384,000 multiply-accumulates, limit 0"),
    ],
)  # fmt: skip
def test_the_share_along_an_axis(per, found, told):
    broken = outcome(CONV, torch.zeros(2, 1, 32_000), macs(**per))
    assert (broken.verdict, broken.found) == ("broken", found)
    assert told in broken.summary
    kept = outcome(CONV, torch.zeros(2, 1, 32_000), macs(found, **per))
    assert (kept.verdict, kept.found, kept.limit) == ("kept", found, found)
    assert bool(kept.notes) is bool(per)


def test_shares_are_exact_and_rounded_up():
    assert outcome(CONV, torch.zeros(1, 1, 7), macs(axis="length", size=2)).found == 12
    assert outcome(nn.Conv1d(1, 1, 3), torch.zeros(1, 1, 9), macs(axis="length", size=2)).found == 5  # of 21 for 9
    assert outcome(nn.Conv1d(1, 1, 3), torch.zeros(1, 1, 9), macs(5, axis="length", size=2)).verdict == "kept"
    large = outcome(CONV, torch.zeros(1, 1, 3), macs(axis=-1, size=10**17))
    assert large.found == 6 * 10**17


def test_other_costs_have_shares_too():
    x = torch.zeros(1, 1, 100)
    step = outcome(CONV, x, MaxTrainingMacs(limit=0, per={"axis": "length", "size": 10}))
    assert (
        "120 multiply-accumulates in a training step per 10 positions (1,200 for 100: 600 forward, 600" in step.summary
    )
    assert outcome(CONV, x, MaxActivations(limit=0, per={"axis": "length", "size": 10})).found == 20
    assert outcome(CONV, x, MaxMacs(limit=60, on="conv", per={"axis": "length", "size": 10})).verdict == "kept"


def test_images_and_tokens_have_axes_by_name():
    image = outcome(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 8, 6), macs(axis="height", size=2))
    assert (image.found, image.unit) == (144, "multiply-accumulates per 2 positions")
    assert outcome(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 8, 6), macs(axis="width", size=2)).found == 192
    assert outcome(nn.GRU(4, 4, batch_first=True), torch.zeros(1, 5, 4), macs(axis="time", size=1)).found == 96
    assert outcome(nn.GRU(4, 4), torch.zeros(5, 1, 4), macs(axis="time", size=1)).found == 96


def test_attention_is_not_told_by_a_shorter_example():
    short = outcome(Attends(), torch.zeros(1, 10, 8), macs(10**9, axis="length", size=20))
    assert short.verdict == "error"
    assert "scaled_dot_product_attention in the model multiplies activations by each other" in short.summary
    assert "10 positions do not tell what 20 cost" in short.summary
    assert short.findings[0].fix == "give an example input of at least 20 positions"
    long = outcome(Attends(), torch.zeros(1, 40, 8), macs(10**9, axis="length", size=20))
    assert (long.verdict, long.found) == ("kept", (40 * 64 + 2 * 40 * 40 * 8) // 2)
    assert outcome(Attends(), torch.zeros(2, 10, 8), macs(10**9, axis="batch", size=20)).verdict == "kept"


@pytest.mark.parametrize(
    ("per", "says"),
    [
        ({"axis": "height", "size": 1}, "has no axis `height` but"),
        ({"axis": 3, "size": 1}, "has no positions along axis 3"),
        ({"axis": "length", "size": 1, "input": 1}, "there is no input `1`"),
        ({"axis": 0, "size": 1, "input": 1}, "no input 1"),
        ({"axis": "length", "size": 1, "input": "y"}, "there is no input `y`"),
    ],
)  # fmt: skip
def test_an_axis_that_is_not_there_is_an_error(per, says):
    found = outcome(CONV, torch.zeros(1, 1, 8), macs(**per))
    assert found.verdict == "error"
    assert says in found.summary
    assert found.findings[0].fix


@pytest.mark.parametrize(
    ("per", "says"),
    [
        ('{ axis = "length" }', 'needs "size"'), ("{ size = 3 }", 'needs "axis"'),
        ('{ axis = "lenght", size = 1 }', "takes an `axis` that must be one of"),
        ('{ axis = "lenght", size = 1 }', 'found "lenght"; did you mean "length"?'),
        ('{ axis = 0, size = nan }', '"size" of "per" must be an integer or a string, found nan'),
        ('{ axis = 0, size = "16 kHz" }', '"per" takes a `size` that must be an integer or text'),
        ('{ axis = 0, size = 0 }', "takes a size of at least 1"),
        ('{ axis = 0, size = "3 kB" }', "must be"), ('{ axis = 0, siz = 1 }', 'has no key "siz"; did you mean "size"?'),
        ('{ axis = 0, size = 1, input = -1 }', "takes as input its position"), ('{ axis = 0, size = 1.5 }', "must be"),
        ("3", "must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(per, says, tmp_path):
    (tmp_path / "archcheck.toml").write_text(
        f'[subjects.net]\nmodel = "m.py"\n[subjects.net.rules]\nmax-macs = {{ limit = "30M", per = {per} }}\n'
    )
    with pytest.raises(ContractError) as caught:
        load(tmp_path / "archcheck.toml")
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.line == 4
    assert problem.message.count("per") >= 1


def test_rules_in_python_refuse_the_same():
    with pytest.raises(ValueError, match=r'^`per` needs "size"'):
        MaxMacs(limit=1, per={"axis": "length"})


def test_a_contract_in_another_process(tmp_path):
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Conv1d):\n    def __init__(self):\n        super().__init__(1, 2, 1)\n"
    )
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.net]\nmodel = "model.py"\ninput = [1, 1, 32_000]\n[subjects.net.rules]\n'
        'max-macs = { limit = "30k", per = { axis = "time", size = 16_000 } }\n'
    )
    with chdir(tmp_path), Worker() as worker:
        (report,) = check_contract(load(Path("archcheck.toml")), worker=worker)
    assert report.outcomes[0].summary == (
        "32,000 multiply-accumulates per 16,000 positions (64,000 for 32,000), limit 30,000 (+2,000, +6.7 %)"
    )


def test_the_number_of_a_tool_has_a_share_too():
    rule = MaxMacs(limit=0, as_="torchinfo", per={"axis": "time", "size": 50})
    broken = outcome(CONV, torch.zeros(1, 1, 100), rule)  # torchinfo counts a bias as one more for each output
    assert broken.summary.startswith("400 mult-adds of torchinfo per 50 positions (800 for 100), limit 0")
    kept = outcome(CONV, torch.zeros(1, 1, 100), MaxMacs(limit=400, as_="torchinfo", per={"axis": -1, "size": 50}))
    assert (kept.verdict, kept.found) == ("kept", 400)


def test_the_message_says_what_the_contract_says():
    found = outcome(nn.Conv2d(1, 2, 1), torch.zeros(1, 1, 8, 8), macs(axis="time", size=1))
    assert found.summary == (
        'the input 1x1x8x8 has no axis `time` but "batch", "channels", "height" and "width"; '
        "give another by its number in `axis`"
    )
