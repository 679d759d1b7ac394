"""Fixes of rules that require operations."""

from __future__ import annotations

from tests.support.fix_trials import Case, called

MAP = "[1, 1, 8, 8]"
TURN_OFF = "turn it off in evaluation: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`"
AVERAGED = """
def __init__(self):
    super().__init__()
    self.drop, self.fc = nn.Dropout(0.5), nn.Linear(3, 4)

def forward(self, x):
    x = sum(self.drop(x) for _ in range(40)) / 40
    return self.fc(x)
"""


CASES = [
    Case(
        rule='requires = ["max_pool"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 8), nn.MaxPool2d(1))",
        input=MAP,
        fix="apply it where it changes something, in training and in evaluation, or drop max_pool from the contract",
        edits={
            "apply it where it changes something, in training and in evaluation": (
                "nn.Conv2d(1, 4, 8), nn.MaxPool2d(1)",
                "nn.MaxPool2d(2), nn.Conv2d(1, 4, 4)",
            ),
            "drop max_pool from the contract": ('requires = ["max_pool"]', ""),
        },
    ),
    Case(
        rule='requires = ["global_avg_pool"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2))",
        input=MAP,
        fix="average over the whole map: `nn.AdaptiveAvgPool2d(1)`, or `x.mean((2, 3))`",
        edits={
            "average over the whole map: `nn.AdaptiveAvgPool2d(1)`": ("nn.AvgPool2d(2)", "nn.AdaptiveAvgPool2d(1)"),
            "`x.mean((2, 3))`": (
                "def Net():\n    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2))",
                "class Net(nn.Conv2d):\n    def __init__(self):\n        super().__init__(1, 4, 3)\n"
                "    def forward(self, x):\n        x = super().forward(x)\n        return x.mean((2, 3))",
            ),
        },
    ),
    Case(
        rule='requires = ["linear"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 8))",
        input=MAP,
        fix="flatten the map into an `nn.Linear`, or pool it globally before a 1x1 convolution",
        edits={
            "flatten the map into an `nn.Linear`": ("nn.Conv2d(1, 4, 8)", "nn.Flatten(), nn.Linear(64, 4)"),
            "pool it globally before a 1x1 convolution": (
                "nn.Conv2d(1, 4, 8)",
                "nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 4, 1)",
            ),
        },
    ),
    Case(
        rule='requires-any = ["linear", "batch_norm"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 8))",
        input=MAP,
        fix="flatten the map into an `nn.Linear`, or pool it globally before a 1x1 convolution",
        edits={"flatten the map into an `nn.Linear`": ("nn.Conv2d(1, 4, 8)", "nn.Flatten(), nn.Linear(64, 4)")},
    ),
    Case(
        rule='requires-any = ["relu", "tanh"]',
        model=called("x.exp()", "nn.ReLU()"),
        fix="call it in `forward` on the way to the output",
        edits={
            "call it in `forward` on the way to the output": ("return x.exp()", "return self.layer(x)"),
        },
    ),
    Case(
        rule='requires = ["dropout"]',
        model=called("F.dropout(self.layer(x), 0.5)"),
        fix=TURN_OFF,
        edits={
            "turn it off in evaluation: `nn.Dropout(p)`": [
                ("nn.Linear(3, 4)", "nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))"),
                ("F.dropout(self.layer(x), 0.5)", "self.layer(x)"),
            ],
            "`F.dropout(x, p, self.training)`": ("0.5)", "0.5, self.training)"),
        },
    ),
    Case(
        rule='requires = ["dropout"]',
        model=called("F.dropout(self.layer(x), 0.0, self.training)"),
        fix="give it a rate above 0: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`",
        edits={
            "give it a rate above 0: `nn.Dropout(p)`": [
                ("nn.Linear(3, 4)", "nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))"),
                ("F.dropout(self.layer(x), 0.0, self.training)", "self.layer(x)"),
            ],
            "`F.dropout(x, p, self.training)`": ("0.0", "0.5"),
        },
    ),
    Case(
        rule='requires = ["dropout"]',
        model="nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0001))",
        fix="give it a larger rate",
        edits={"give it a larger rate": ("0.0001", "0.1")},
    ),
    Case(
        rule='requires = ["dropout"]',
        model=called("F.dropout(self.layer(x), 0.5, False)"),
        fix="turn it on in training: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`",
        edits={
            "turn it on in training: `nn.Dropout(p)`": [
                ("nn.Linear(3, 4)", "nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))"),
                ("F.dropout(self.layer(x), 0.5, False)", "self.layer(x)"),
            ],
            "`F.dropout(x, p, self.training)`": ("False", "self.training"),
        },
    ),
    Case(
        rule='requires = ["dropout"]',
        model=called("self.layer(x)[0]", "nn.LSTM(3, 4, dropout=0.5)"),
        input="[2, 5, 3]",
        fix="build it with `num_layers=2` or more, or apply `nn.Dropout(p)` to its output",
        edits={
            "build it with `num_layers=2` or more": ("dropout=0.5", "dropout=0.5, num_layers=2"),
            "apply `nn.Dropout(p)` to its output": [
                ("nn.LSTM(3, 4, dropout=0.5)", "nn.LSTM(3, 4)\n        self.drop = nn.Dropout(0.5)"),
                ("self.layer(x)[0]", "self.drop(self.layer(x)[0])"),
            ],
        },
    ),
    Case(
        rule='requires = ["dropout"]',
        model="""
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            dropped = self.drop(x)
            return x.exp()
        """,
        fix="use its result on the way to the output, or drop dropout from the contract",
        edits={
            "use its result on the way to the output": ("x.exp()", "dropped.exp()"),
            "drop dropout from the contract": ('requires = ["dropout"]', ""),
        },
    ),
    Case(
        rule='requires = ["dropout"]',
        model=AVERAGED,
        fix="apply it once to each tensor",
        edits={"apply it once to each tensor": ("sum(self.drop(x) for _ in range(40)) / 40", "self.drop(x)")},
    ),
    Case(
        rule='requires-any = ["relu", "tanh"]',
        model="""
        def forward(self, x):
            unused = x.relu()
            return x.exp()
        """,
        fix="use its result on the way to the output",
        edits={"use its result on the way to the output": ("x.exp()", "unused.exp()")},
    ),
    Case(
        rule='requires-any = ["dropout", "tanh"]',
        model=called("F.dropout(self.layer(x), 0.5)"),
        fix=TURN_OFF,
        edits={"`F.dropout(x, p, self.training)`": ("0.5)", "0.5, self.training)")},
    ),
    Case(
        rule='requires-any = ["global_avg_pool", "linear"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2))",
        input=MAP,
        fix="average over the whole map: `nn.AdaptiveAvgPool2d(1)`, or `x.mean((2, 3))`",
        edits={
            "average over the whole map: `nn.AdaptiveAvgPool2d(1)`": ("nn.AvgPool2d(2)", "nn.AdaptiveAvgPool2d(1)"),
        },
    ),
    Case(
        rule='requires-any = ["max_pool", "tanh"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 8), nn.MaxPool2d(1))",
        input=MAP,
        fix="apply it where it changes something, in training and in evaluation",
        edits={
            "apply it where it changes something, in training and in evaluation": (
                "nn.Conv2d(1, 4, 8), nn.MaxPool2d(1)",
                "nn.MaxPool2d(2), nn.Conv2d(1, 4, 4)",
            )
        },
    ),
]
