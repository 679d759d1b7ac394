"""Fixes of rules about operations: which there are, how they are set, and what stands beside them."""

from __future__ import annotations

from tests.support.fix_trials import Case, called

MAP = "[1, 1, 8, 8]"
TURN_OFF = "turn it off in evaluation: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`"
TWO_HEADS = """
def __init__(self):
    super().__init__()
    self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 4)

def forward(self, x):
    return self.a(x), self.b(x)
"""


CASES = [
    Case(
        rule='forbids = ["linear"]',
        model="nn.Sequential(nn.Flatten(), nn.Linear(64, 2))",
        input=MAP,
        fix="remove it, or take linear out of forbids",
        edits={
            "remove it": (", nn.Linear(64, 2)", ""),
            "take linear out of forbids": ('forbids = ["linear"]', ""),
        },
    ),
    Case(
        rule='allows = ["conv", "relu"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU())",
        input=MAP,
        fix="replace it by one of conv, relu, or add silu to allows",
        edits={
            "replace it by one of conv": ("nn.SiLU()", "nn.Conv2d(4, 4, 1)"),
            "relu": ("nn.SiLU()", "nn.ReLU()"),
            "add silu to allows": ('"relu"', '"relu", "silu"'),
        },
    ),
    Case(
        rule='operators-for = "tflite-micro"',
        model="nn.Sequential(nn.Conv2d(1, 8, 3), nn.SiLU())",
        input=MAP,
        fix='replace it, or bring a kernel along and say so: `also = ["silu"]`',
        edits={
            "replace it": ("nn.SiLU()", "nn.ReLU()"),
            'bring a kernel along and say so: `also = ["silu"]`': (
                '"tflite-micro"',
                '{ target = "tflite-micro", also = ["silu"] }',
            ),
        },
    ),
    Case(
        rule='count = { kind = "Conv2d", min = 3 }',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3))",
        input=MAP,
        fix="add Conv2d, or change count",
        edits={
            "add Conv2d": ("nn.Conv2d(4, 2, 3)", "nn.Conv2d(4, 2, 3), nn.Conv2d(2, 2, 1)"),
            "change count": ("min = 3", "min = 2"),
        },
    ),
    Case(
        rule='count = { kind = "conv", max = 1 }',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3))",
        input=MAP,
        fix="remove 1 conv, or change count",
        edits={"remove 1 conv": (", nn.Conv2d(4, 2, 3)", ""), "change count": ("max = 1", "max = 2")},
    ),
    Case(
        rule="max-calls = 1",
        model=called("self.layer(self.layer(self.layer(x)))", "nn.Linear(3, 3)"),
        fix="build a layer for each use, or raise max-calls to 3",
        edits={
            "build a layer for each use": [
                ("self.layer = nn.Linear(3, 3)", "self.layers = nn.Sequential(*(nn.Linear(3, 3) for _ in range(3)))"),
                ("self.layer(self.layer(self.layer(x)))", "self.layers(x)"),
            ],
            "raise max-calls to 3": ("= 1\n", "= 3\n"),
        },
    ),
    Case(
        rule="max-calls = 1",
        model="""
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(3))

        def forward(self, x):
            return x @ self.weight @ self.weight
        """,
        fix="give each of them a parameter of its own, or raise max-calls to 2",
        edits={
            "give each of them a parameter of its own": [
                (
                    "self.weight = nn.Parameter(torch.eye(3))",
                    "self.one, self.two = (nn.Parameter(torch.eye(3)) for _ in range(2))",
                ),
                ("x @ self.weight @ self.weight", "x @ self.one @ self.two"),
            ],
            "raise max-calls to 2": ("= 1\n", "= 2\n"),
        },
    ),
    Case(
        rule='followed-by = { layer = "conv", by = "batch_norm" }',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))",
        input=MAP,
        fix="put batch_norm after it, or exempt it",
        edits={
            "put batch_norm after it": ("nn.Conv2d(4, 2, 3)", "nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)"),
            "exempt it": ('by = "batch_norm"', 'by = "batch_norm", exempt = ["2"]'),
        },
    ),
    Case(
        rule='preceded-by = { layer = "conv", by = "batch_norm" }',
        model="nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3))",
        input=MAP,
        fix="put batch_norm before it, or exempt it",
        edits={
            "put batch_norm before it": ("nn.Conv2d(4, 2, 3)", "nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)"),
            "exempt it": ('by = "batch_norm"', 'by = "batch_norm", exempt = ["2"]'),
        },
    ),
    Case(
        rule='head = ["global_avg_pool", "linear"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(4), nn.Flatten())",
        input=MAP,
        fix="end the network in global_avg_pool or linear",
        edits={
            "end the network in global_avg_pool": ("nn.AvgPool2d(4)", "nn.AdaptiveAvgPool2d(1)"),
            "linear": ("nn.Flatten()", "nn.Flatten(), nn.Linear(4, 2)"),
        },
    ),
    Case(
        rule='head = ["global_avg_pool"]',
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 2))",
        input=MAP,
        fix="end the network in global_avg_pool, or change head",
        edits={
            "end the network in global_avg_pool": ("nn.Flatten(), nn.Linear(144, 2)", "nn.AdaptiveAvgPool2d(1)"),
            "change head": ('["global_avg_pool"]', '["linear"]'),
        },
    ),
    Case(
        rule='head = { kinds = ["linear"], output = 5 }',
        model=TWO_HEADS,
        fix="name one of them in `output`, or leave it out for the first",
        edits={
            "name one of them in `output`": ("output = 5", "output = 1"),
            "leave it out for the first": (", output = 5", ""),
        },
    ),
    Case(
        rule="channels = [1, 10, 20]",
        model="nn.Sequential(nn.Conv2d(1, 10, 3), nn.Conv2d(10, 16, 3))",
        input=MAP,
        fix="build the convolutions with 1, 10, 20, or change channels",
        edits={
            "build the convolutions with 1, 10, 20": ("10, 16, 3", "10, 20, 3"),
            "change channels": ("[1, 10, 20]", "[1, 10, 16]"),
        },
    ),
    Case(
        rule="multiple-of = 8",
        model="nn.Sequential(nn.Conv2d(1, 10, 3), nn.Conv2d(10, 2, 3))",
        input=MAP,
        fix="give it 16, or change multiple-of",
        edits={
            "give it 16": ("nn.Conv2d(1, 10, 3), nn.Conv2d(10, 2, 3)", "nn.Conv2d(1, 16, 3), nn.Conv2d(16, 2, 3)"),
            "change multiple-of": ("= 8", "= 5"),
        },
    ),
    Case(
        rule="kernel-sizes = { sizes = [3, [1, 7]] }",
        model="nn.Sequential(nn.Conv2d(1, 4, 5))",
        input=MAP,
        fix="give it a kernel of 3x3 or 1x7, or change kernel-sizes",
        edits={
            "give it a kernel of 3x3": ("1, 4, 5", "1, 4, 3"),
            "1x7": ("1, 4, 5", "1, 4, (1, 7)"),
            "change kernel-sizes": ("[3, ", "[5, 3, "),
        },
    ),
    Case(
        rule="dropout-rate = 0.25",
        model="nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1))",
        fix="give it the rate 0.25, or change dropout-rate",
        edits={"give it the rate 0.25": ("0.1", "0.25"), "change dropout-rate": ("= 0.25", "= 0.1")},
    ),
    Case(
        rule="dropout-rate = 0.5",
        model=called("F.dropout(self.layer(x), 0.5)"),
        fix=TURN_OFF,
        edits={"`F.dropout(x, p, self.training)`": ("0.5)", "0.5, self.training)")},
    ),
    Case(
        rule="no-padding = true",
        model="nn.Sequential(nn.Conv2d(1, 4, 3, padding=1))",
        input=MAP,
        fix="build it without padding",
        edits={"build it without padding": (", padding=1", "")},
    ),
    Case(
        rule="no-padding = true",
        model="nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 4, 3))",
        input=MAP,
        fix="remove it, or let it pad nothing",
        edits={"remove it": ("nn.ZeroPad2d(1), ", ""), "let it pad nothing": ("nn.ZeroPad2d(1)", "nn.ZeroPad2d(0)")},
    ),
    Case(
        rule="no-padding = true",
        model=called("self.layer(torch.cat([torch.zeros(len(x), 1, 2), x], 2))", "nn.Conv1d(1, 4, 3)"),
        input="[1, 1, 8]",
        fix="leave the map as large as it is",
        edits={"leave the map as large as it is": ("torch.cat([torch.zeros(len(x), 1, 2), x], 2)", "x")},
    ),
    Case(
        rule="no-bias-before-norm = true",
        model="nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))",
        input=MAP,
        fix="leave its bias out, as `bias=False` does",
        edits={"leave its bias out, as `bias=False` does": ("1, 4, 3", "1, 4, 3, bias=False")},
    ),
    Case(
        rule="no-bias-before-norm = true",
        model="""
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.eye(3)), nn.Parameter(torch.ones(3))
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            return self.norm(x @ self.weight + self.bias)
        """,
        input="[2, 3]",
        fix="leave its bias out, as `bias=False` does",
        edits={"leave its bias out, as `bias=False` does": (" + self.bias", "")},
    ),
    Case(
        rule="no-double-activation = true",
        model="nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sigmoid())",
        fix="keep one of the two",
        edits={"keep one": (", nn.Sigmoid()", ""), "of the two": ("nn.ReLU(), ", "")},
    ),
    Case(
        rule="no-double-activation = true",
        model="nn.Sequential(nn.Linear(3, 4), nn.Softmax(1), nn.LogSoftmax(1))",
        fix="remove the softmax: log_softmax takes raw scores",
        edits={"remove the softmax: log_softmax takes raw scores": ("nn.Softmax(1), ", "")},
    ),
    Case(
        rule="no-dropout-before-norm = true",
        model="nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1), nn.BatchNorm1d(4))",
        input="[2, 3]",
        fix="move the dropout behind the last batch_norm",
        edits={
            "move the dropout behind the last batch_norm": (
                "nn.Dropout(0.1), nn.BatchNorm1d(4)",
                "nn.BatchNorm1d(4), nn.Dropout(0.1)",
            )
        },
    ),
]
