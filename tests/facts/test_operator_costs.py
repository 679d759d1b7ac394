"""Costs that a contract states of operators of one's own: formulas, refusals, and what users see of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from archcheck import SubjectError, check, rules
from archcheck.facts.operator_costs import check_cost, macs_of
from archcheck.judging.engine import measure

SIZES = {"x": (2, 3, 5), "weight": (7, 3), "out": (2, 7)}


@pytest.mark.parametrize(
    ("stated", "macs"),
    [
        (0, 0),
        (12, 12),
        ("12", 12),
        ("x.numel", 30),
        ("2 * x.numel * weight.shape[0]", 420),
        ("out.numel * x.shape[-1]", 70),
        ("x.shape[0] * (x.shape[1] + 1) // 3 - 1", 1),
        (" out.numel ", 14),
    ],
)
def test_formulas(stated, macs):
    check_cost(stated)
    assert macs_of(stated, SIZES) == macs


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ("y.numel", 'reads "y", which is not a tensor of the call; it has "x", "weight" and "out"'),
        ("x.shape[3]", 'reads axis 3 of "x", which has 3'),
        ("1 // (x.numel - 30)", "divides by zero"),
        ("1 - x.numel", "comes out as -29, which is negative"),
    ],
)
def test_formulas_that_do_not_fit_a_call(stated, why):
    check_cost(stated)
    with pytest.raises(ValueError, match="^" + "".join(f"[{c}]" if c in "()*" else c for c in why) + "$"):
        macs_of(stated, SIZES)


@pytest.mark.parametrize(
    "stated",
    [
        *("x", "-x.numel", "x.numel ** 9", "x.numel if 1 else 2", "x.ndim", "'a'", "1.5", "True", "x.shape[:1]", "x()"),
        *("x.shape", "x.shape[True]", "(x := 1)", "a.b.numel", "1 +", "\0", "(" * 500, "1+" * 499 + "1" + " " * 999),
        *("9" * 30, "x.numel\n1", None, [], 1.0, -1, 2**63),
    ],
)
def test_what_is_no_formula_is_refused(stated):
    with pytest.raises(ValueError, match=r"^[a-z].*\S$"):
        check_cost(stated)


MODEL = """
import torch
from torch import nn

library = torch.library.Library("stated", "FRAGMENT")
library.define("scan(Tensor x, Tensor weight) -> Tensor")
library.define("twice(Tensor x) -> Tensor")
for device in ("CPU", "Meta"):
    library.impl("scan", lambda x, weight: x.new_zeros(len(x), len(weight)), device)
    library.impl("twice", lambda x: x * 2, device)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.weight = nn.Linear(4, 3), nn.Parameter(torch.rand(7, 3))

    def forward(self, x):
        return torch.ops.stated.scan(torch.ops.stated.twice(self.body(x)), self.weight)
"""
CONTRACT = """
[subjects.net]
model = "net.py:Net"
input = [2, 4]
[subjects.net.costs]
{costs}
[subjects.net.rules]
max-macs = {limit}
"""
LINEAR = 2 * 4 * 3


def run(folder: Path, costs: str, limit: int, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "net.py").write_text(MODEL)
    (folder / "archcheck.toml").write_text(CONTRACT.format(costs=costs, limit=limit))
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache", *options]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)


def test_a_contract_states_what_operators_cost(tmp_path):
    done = run(tmp_path, '"stated::scan" = "x.numel * weight.shape[0]"\n"stated::twice" = 5', 1000, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout)["reports"][0]["facts"]
    assert facts["cost"]["macs"] == LINEAR + 2 * 3 * 7 + 5
    assert facts["cost"]["uncounted"] == []
    assert facts["layers"][0]["macs"] == facts["cost"]["macs"]
    assert run(tmp_path, '"stated::scan" = "x.numel * weight.shape[0]"\n"stated::twice" = 5', 70).returncode == 1


def test_what_is_not_stated_stays_unknown_and_the_fix_says_how_to_state_it(tmp_path):
    done = run(tmp_path, '"stated::scan" = 1', 1000)
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert 'the cost of "stated::twice" is unknown' in said
    assert 'costs = { "stated::twice" = 1_000 }' in said


@pytest.mark.parametrize(
    ("costs", "line"),
    [
        ('"stated::scan" = "y.numel"', 'the stated cost of `stated::scan` reads "y", which is not a tensor of the '
                                       'call; it has "x", "weight" and "out"'),
        ('"torchvision::nms" = 5', "`costs` states `torchvision::nms`, whose cost archcheck knows; leave it out"),
    ],
)  # fmt: skip
def test_a_cost_that_does_not_fit_is_one_line(tmp_path, costs, line):
    done = run(tmp_path, costs, 1000)
    assert done.returncode == 2
    assert done.stderr == f"archcheck: error: net: {line}\n"


def test_a_mistake_in_the_contract_is_told_with_its_line(tmp_path):
    done = run(tmp_path, '"stated::scan" = "x.size"', 1000)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'archcheck.toml:6: "stated::scan" holds "x.size"; write whole numbers' in done.stderr


def test_a_cost_of_what_does_not_run_is_noted(tmp_path):
    costs = '"stated::scan" = 1\n"stated::twice" = 1\n"stated::gone" = 1'
    done = run(tmp_path, costs, 1000, "--format", "json")
    assert done.returncode == 0
    notes = json.loads(done.stdout)["reports"][0]["facts"]["subject"]["notes"]
    assert "`costs` names operators that are not executed as one operation: stated::gone" in notes


def test_costs_in_python(tmp_path):
    import torch

    scope: dict[str, type[torch.nn.Module]] = {}
    exec(MODEL.replace('"stated"', '"stated_here"').replace("ops.stated", "ops.stated_here"), scope)
    net, x = scope["Net"](), torch.rand(2, 4)
    costs = {"stated_here::scan": "out.numel", "stated_here::twice": 0}
    assert measure(net, example=x, costs=costs).cost.macs == LINEAR + 14
    assert measure(net, example=x).cost.uncounted == ("stated_here::scan", "stated_here::twice")
    assert check(net, example=x, rules=[rules.MaxMacs(limit=LINEAR + 14)], costs=costs).exit_code == 0
    with pytest.raises(SubjectError, match="not a formula"):
        measure(net, example=x, costs={"stated_here::scan": "out +"})
