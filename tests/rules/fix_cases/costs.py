"""Fixes of budgets of work and memory that are more than a sum, and of growth."""

from __future__ import annotations

from pathlib import Path

import torch

from archcheck.facts.snapshot import snapshot_text
from archcheck.facts.snapshot_measures import measures_of
from archcheck.judging.engine import measure
from tests.rules.fix_cases.budgets import exported
from tests.support.fix_trials import Case

LIBRARY = torch.library.Library("fixes", "FRAGMENT")
LIBRARY.define("twice(Tensor x) -> Tensor")
LIBRARY.impl("twice", lambda x: 2 * x, "CompositeExplicitAutograd")
OWN = """
def __init__(self):
    super().__init__()
    self.fc = nn.Linear(3, 4)

def forward(self, x):
    return torch.ops.fixes.twice(self.fc(x))
"""
FREE = (
    'if they cost nothing that counts, say so: `free = ["fixes::twice"]`; what they cost can be stated: '
    '`costs = { "fixes::twice" = 1_000 }` of the subject'
)
ATTENDS = """
def __init__(self):
    super().__init__()
    self.proj = nn.Linear(8, 8)

def forward(self, x):
    return F.scaled_dot_product_attention(self.proj(x), x, x)
"""

RECORDED = "measure the code of the model; an exported program and a report without `--as` have no record"


def smaller(file: Path) -> None:
    """Commit the measures of a smaller network."""
    before = measure(torch.nn.Linear(3, 3), example=torch.zeros(1, 3))
    file.write_text(snapshot_text({"net": measures_of(before)}))


CASES = [
    Case(
        rule="max-peak-memory = 1_500",
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3))",
        input="[2, 1, 8, 8]",
        fix="make the maps early on or the batch smaller, or lower the precision, or raise max-peak-memory",
        edits={
            "make the maps early on": ("1, 4, 3", "1, 4, 3, stride=2"),
            "the batch smaller": ("[2, 1, 8, 8]", "[1, 1, 8, 8]"),
            "lower the precision": [
                ("nn.Conv2d(4, 2, 3))", "nn.Conv2d(4, 2, 3)).half()"),
                ("[2, 1, 8, 8]", '{ shape = [2, 1, 8, 8], dtype = "float16" }'),
            ],
            "raise max-peak-memory": ("1_500", "15_000"),
        },
    ),
    Case(
        rule="max-arena = 300",
        model="nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 2, 3))",
        input="[1, 1, 8, 8]",
        fix="make what is alive at `0` (Conv2d) smaller, or raise max-arena",
        edits={
            "make what is alive at `0` (Conv2d) smaller": ("1, 8, 3), nn.Conv2d(8,", "1, 2, 3), nn.Conv2d(2,"),
            "raise max-arena": ("= 300", "= 3000"),
        },
    ),
    Case(
        rule='score = { formula = "100 / params.total", at-most = 5 }',
        fix="change the figures so that the score falls, or raise `at-most`",
        edits={
            "change the figures so that the score falls": ("(3, 4)", "(3, 8)"),
            "raise `at-most`": ("at-most = 5", "at-most = 10"),
        },
    ),
    Case(
        rule='score = { formula = "params.total", at-least = 20 }',
        fix="change the figures so that the score rises, or lower `at-least`",
        edits={
            "change the figures so that the score rises": ("(3, 4)", "(3, 8)"),
            "lower `at-least`": ("at-least = 20", "at-least = 16"),
        },
    ),
    Case(
        rule='score = { formula = "1 / (params.total - 16)", at-most = 1 }',
        fix="mend the formula",
        edits={"mend the formula": ("1 / (params.total - 16)", "1 / params.total")},
    ),
    Case(
        rule='score = { formula = "dropout", at-most = 1 }',
        model="nn.Sequential(nn.Dropout(0.1), nn.Linear(3, 4), nn.Dropout(0.2))",
        fix="name a figure with one value",
        edits={"name a figure with one value": ('"dropout"', '"params.total / 100"')},
    ),
    Case(
        rule='max-growth = { limit = 0, of = ["params"] }',
        files={"archcheck.snapshot.json": smaller},
        fix="bring params down by 4, or accept it with `archcheck snapshot net`",
        edits={
            "bring params down by 4": ("nn.Linear(3, 4)", "nn.Linear(3, 3)"),
            "accept it with `archcheck snapshot net`": "archcheck snapshot net",
        },
    ),
    Case(
        rule="max-growth = 0",
        fix="write it with `archcheck snapshot net`, and commit archcheck.snapshot.json",
        edits={"write it with `archcheck snapshot net`, and commit archcheck.snapshot.json": "archcheck snapshot net"},
    ),
    Case(
        rule="max-macs = 1_000_000",
        model=OWN,
        fix=FREE,
        edits={
            'if they cost nothing that counts, say so: `free = ["fixes::twice"]`': (
                "= 1_000_000",
                '= { limit = 1_000_000, free = ["fixes::twice"] }',
            ),
            'what they cost can be stated: `costs = { "fixes::twice" = 1_000 }` of the subject': (
                "input =",
                'costs = { "fixes::twice" = 1_000 }\ninput =',
            ),
        },
    ),
    Case(
        rule="max-macs = 1_000_000",
        model="def forward(self, x):\n    return torch.ops.aten._test_warn_in_autograd(x)",
        fix='if they cost nothing that counts, say so: `free = ["_test_warn_in_autograd"]`',
        edits={
            'if they cost nothing that counts, say so: `free = ["_test_warn_in_autograd"]`': (
                "= 1_000_000",
                '= { limit = 1_000_000, free = ["_test_warn_in_autograd"] }',
            )
        },
    ),
    Case(
        rule='max-layer-share = { limit = 0.999, of = "macs" }',
        model="""
        def __init__(self):
            super().__init__()
            self.fc = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))

        def forward(self, x):
            return torch.ops.aten._test_warn_in_autograd(self.fc(x))
        """,
        fix='if they cost nothing that counts, say so: `free = ["_test_warn_in_autograd"]`',
        edits={
            'if they cost nothing that counts, say so: `free = ["_test_warn_in_autograd"]`': (
                'of = "macs"',
                'of = "macs", free = ["_test_warn_in_autograd"]',
            )
        },
    ),
    Case(
        rule='max-macs = { limit = "30k", per = { axis = "time", size = 16_000, input = 3 } }',
        model="nn.Conv1d(1, 1, 1)",
        input="[1, 1, 32_000]",
        fix="name another `axis` or `input` of `per`",
        edits={"name another `axis` or `input` of `per`": (", input = 3", "")},
    ),
    Case(
        rule='max-macs = { limit = "30k", per = { axis = 7, size = 16_000 } }',
        model="nn.Conv1d(1, 1, 1)",
        input="[1, 1, 32_000]",
        fix="mend `per` of the rule",
        edits={"mend `per` of the rule": ("axis = 7", "axis = 2")},
    ),
    Case(
        rule='max-macs = { limit = "30k", per = { axis = 1, size = 16 } }',
        model=ATTENDS,
        input="[1, 4, 8]",
        fix="give an example input of at least 16 positions",
        edits={"give an example input of at least 16 positions": ("[1, 4, 8]", "[1, 16, 8]")},
    ),
    Case(
        rule='max-macs = { limit = 1_000, as = "deepspeed" }',
        model="nn.Conv1d(1, 2, 3)",
        input="[1, 8]",
        fix="change what it fails at, or leave `as` out to bound the true multiply-accumulates",
        edits={
            "change what it fails at": ("[1, 8]", "[1, 1, 8]"),
            "leave `as` out to bound the true multiply-accumulates": (', as = "deepspeed"', ""),
        },
    ),
    Case(
        rule='max-macs = { limit = 100, as = "thop" }',
        target="program.pt2",
        files={"program.pt2": exported},
        fix=RECORDED,
        edits={RECORDED: ('"program.pt2"', '"model.py:Net"')},
        process=True,
    ),
]
