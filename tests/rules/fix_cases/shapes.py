"""Fixes of rules about shapes, and about what an output depends on."""

from __future__ import annotations

from tests.support.fix_trials import Case, forward

LOOK = "pad on the left only, mask attention, use no statistics over time, or raise max-look-ahead"


CASES = [
    Case(
        rule='output-shape = ["*", 5]',
        fix="mend the last layer, or change output-shape",
        edits={"mend the last layer": ("(3, 4)", "(3, 5)"), "change output-shape": ('"*", 5', '"*", 4')},
    ),
    Case(
        rule="keeps-batch = true",
        model=forward("self.fc(x.view(-1, 2))", "self.fc = nn.Linear(2, 2)"),
        input="[1, 4]",
        fix="keep the first axis: `x.flatten(1)`, or `x.view(x.size(0), -1)`",
        edits={
            "keep the first axis: `x.flatten(1)`": [
                ("x.view(-1, 2)", "x.flatten(1)"),
                ("Linear(2, 2)", "Linear(4, 2)"),
            ],
            "`x.view(x.size(0), -1)`": [("x.view(-1, 2)", "x.view(x.size(0), -1)"), ("Linear(2, 2)", "Linear(4, 2)")],
        },
    ),
    Case(
        rule="min-receptive-field = 9",
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, stride=2), nn.Conv2d(4, 4, 2))",
        input="[1, 1, 32, 32]",
        fix="add layers, enlarge kernels, strides or dilations, or lower min-receptive-field",
        edits={
            "add layers": ("nn.Conv2d(4, 4, 2)", "nn.Conv2d(4, 4, 2), nn.Conv2d(4, 4, 3)"),
            "enlarge kernels": ("nn.Conv2d(4, 4, 2)", "nn.Conv2d(4, 4, 5)"),
            "strides": ("stride=2", "stride=4"),
            "dilations": ("nn.Conv2d(4, 4, 2)", "nn.Conv2d(4, 4, 2, dilation=3)"),
            "lower min-receptive-field": ("= 9", "= 7"),
        },
    ),
    Case(
        rule="min-receptive-field = [3, 3, 3]",
        model="nn.Conv2d(1, 4, 3)",
        input="[1, 1, 8, 8]",
        fix="give one number, or 2 numbers",
        edits={"give one number": ("[3, 3, 3]", "3"), "2 numbers": ("[3, 3, 3]", "[3, 3]")},
    ),
    Case(
        rule='min-receptive-field = "input"',
        model=forward("self.conv(x.view(1, 1, 8, 8))", "self.conv = nn.Conv2d(1, 4, 3)"),
        input="[64]",
        fix="give `limit` in positions",
        edits={"give `limit` in positions": ('= "input"', "= 3")},
    ),
    Case(
        rule="accepts = { width = [4, 8] }",
        model=forward("self.fc(x.flatten(1))", "self.fc = nn.Linear(64, 2)"),
        input="[1, 1, 8, 8]",
        fix="mend `fc`, or narrow accepts",
        edits={
            "mend `fc`": [
                ("nn.Linear(64, 2)", "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))"),
                ("x.flatten(1)", "x"),
            ],
            "narrow accepts": ("[4, 8]", "8"),
        },
    ),
    Case(
        rule="accepts = { width = [4, 8] }",
        model=forward("x.view(1, 64)"),
        input="[1, 1, 8, 8]",
        fix="mend the forward pass, or narrow accepts",
        edits={"mend the forward pass": ("x.view(1, 64)", "x.flatten(1)"), "narrow accepts": ("[4, 8]", "8")},
    ),
    Case(
        rule="max-look-ahead = 0",
        model="nn.Sequential(nn.Conv1d(1, 4, 3, padding=1))",
        input="[1, 1, 16]",
        fix=LOOK,
        edits={
            "pad on the left only": (
                "nn.Conv1d(1, 4, 3, padding=1)",
                "nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(1, 4, 3)",
            ),
            "raise max-look-ahead": ("= 0", "= 1"),
        },
    ),
    Case(
        rule="max-look-ahead = 0",
        model=forward("F.scaled_dot_product_attention(x, x, x)"),
        input="[1, 8, 4]",
        fix=LOOK,
        edits={"mask attention": ("(x, x, x)", "(x, x, x, is_causal=True)")},
    ),
    Case(
        rule="max-look-ahead = 0",
        model=forward("x - x.mean(1, keepdim=True)"),
        input="[1, 16, 2]",
        fix=LOOK,
        edits={"use no statistics over time": ("mean(1, ", "mean(2, ")},
    ),
    Case(
        rule="max-look-ahead = { limit = 0, axis = 2 }",
        model=forward("x + x.abs()"),
        input="[1, 4, 1]",
        fix="give an example of several positions, or name another `axis`",
        edits={
            "give an example of several positions": ("[1, 4, 1]", "[1, 4, 8]"),
            "name another `axis`": ("axis = 2", "axis = 1"),
        },
    ),
    Case(
        rule="max-look-ahead = { limit = 9, axis = 1, output-axis = 2 }",
        model="nn.Sequential(nn.Conv1d(8, 4, 8))",
        input="[1, 8, 8]",
        fix="give a longer example, with several positions in the output, or name another `output-axis`",
        edits={
            "give a longer example, with several positions in the output": ("[1, 8, 8]", "[1, 8, 15]"),
            "name another `output-axis`": ("output-axis = 2", "output-axis = 1"),
        },
    ),
]
