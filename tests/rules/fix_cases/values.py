"""Fixes of rules about the values that a network gives."""

from __future__ import annotations

from tests.support.fix_trials import Case, forward

MEMORY = "leave `--meta` (in a contract `meta = true`) out, and build it on a device with memory, such as the CPU"
DIVIDES = "bound what is divided, exponentiated or rooted there, as `clamp` or an epsilon do, or narrow finite-output"
GUESS = "scale the last layer down, or end in `nn.LogSoftmax` where the loss is `nll`"


CASES = [
    Case(
        rule="finite-output = true",
        model=forward("x / x.norm(dim=1, keepdim=True)"),
        input="[2, 3]",
        fix=DIVIDES,
        edits={
            "bound what is divided": ("keepdim=True)", "keepdim=True).clamp(min=1e-6)"),
            "as `clamp`": ("keepdim=True)", "keepdim=True).clamp(min=1e-6)"),
            "an epsilon do": ("keepdim=True)", "keepdim=True).add(1e-6)"),
            "narrow finite-output": ("= true", '= ["example"]'),
        },
    ),
    Case(
        rule="finite-output = true",
        model=forward("x.exp()"),
        input="[2, 3]",
        fix=DIVIDES,
        edits={"exponentiated": ("x.exp()", "x.clamp(max=10).exp()")},
    ),
    Case(
        rule="finite-output = true",
        model=forward("x.sqrt()"),
        input="[2, 3]",
        fix=DIVIDES,
        edits={"rooted there": ("x.sqrt()", "x.clamp(min=1e-6).sqrt()")},
    ),
    Case(
        rule="finite-output = true",
        model="""
        def forward(self, x):
            if x.max() > 100:
                raise ValueError("too large")
            return x
        """,
        input="[2, 3]",
        fix="mend the forward pass, or narrow finite-output",
        edits={
            "mend the forward pass": ('raise ValueError("too large")', "x = x.clamp(max=100)"),
            "narrow finite-output": ("= true", '= ["example", "zeros"]'),
        },
    ),
    Case(
        rule="deterministic-in-eval = true",
        model=forward("F.dropout(x, 0.5)"),
        input="[2, 3]",
        fix="ask for the mode, as `F.dropout(x, p, self.training)` does",
        edits={"ask for the mode, as `F.dropout(x, p, self.training)` does": ("0.5)", "0.5, self.training)")},
    ),
    Case(
        rule="deterministic-in-eval = true",
        model="""
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            return x - self.mean
        """,
        input="[2, 3]",
        fix="let state move in training only: `if self.training:`",
        edits={
            "let state move in training only: `if self.training:`": (
                "self.mean = 0.9",
                "if self.training:\n            self.mean = 0.9",
            )
        },
    ),
    Case(
        rule="independent-of-batch = true",
        model=forward("x - x.mean(0)"),
        input="[2, 3]",
        fix="take statistics over the axes of one sample, or only `if self.training:`",
        edits={
            "take statistics over the axes of one sample": ("x.mean(0)", "x.mean(1, keepdim=True)"),
            "only `if self.training:`": (
                "return x - x.mean(0)",
                "if self.training:\n            return x - x.mean(0)\n        return x",
            ),
        },
    ),
    Case(
        rule="log-probabilities = true",
        model="nn.Sequential(nn.Linear(3, 4))",
        input="[2, 3]",
        fix="end the network in `nn.LogSoftmax(dim=1)`, or drop the rule and train with `nn.CrossEntropyLoss`",
        edits={
            "end the network in `nn.LogSoftmax(dim=1)`": ("nn.Linear(3, 4)", "nn.Linear(3, 4), nn.LogSoftmax(dim=1)"),
            "drop the rule and train with `nn.CrossEntropyLoss`": ("log-probabilities = true", ""),
        },
    ),
    Case(
        rule="log-probabilities = true",
        model="nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=2))",
        input="[2, 5, 3]",
        fix="they do along axis 2: name it, as in `axis = 2`",
        edits={"they do along axis 2: name it, as in `axis = 2`": ("= true", "= { axis = 2 }")},
    ),
    Case(
        rule="initial-loss = { classes = 10 }",
        model="nn.Sequential(nn.Linear(3, 4))",
        input="[2, 3]",
        fix="make the last layer as wide as there are classes, or name the axis",
        edits={"make the last layer as wide as there are classes": ("(3, 4)", "(3, 10)")},
    ),
    Case(
        rule="initial-loss = { classes = 10 }",
        model="nn.Sequential(nn.Linear(3, 10))",
        input="[2, 5, 3]",
        fix="make the last layer as wide as there are classes, or name the axis",
        edits={"name the axis": ("classes = 10", "classes = 10, axis = 2")},
    ),
    Case(
        rule="initial-loss = true",
        model="nn.Sequential(nn.Linear(3, 10), nn.Softmax(1))",
        input="[2, 3]",
        fix="return the scores themselves: `nn.CrossEntropyLoss` takes a softmax of its own",
        edits={
            "return the scores themselves: `nn.CrossEntropyLoss` takes a softmax of its own": (", nn.Softmax(1)", "")
        },
    ),
    Case(
        rule="initial-loss = true",
        model=forward("30 * self.fc(x)", "self.fc = nn.Linear(3, 10)"),
        input="[2, 3]",
        fix=GUESS,
        edits={"scale the last layer down": ("30 * ", "0.3 * ")},
    ),
    Case(
        rule='initial-loss = { loss = "nll" }',
        model="nn.Sequential(nn.Linear(3, 10))",
        input="[2, 3]",
        fix=GUESS,
        edits={
            "end in `nn.LogSoftmax` where the loss is `nll`": ("nn.Linear(3, 10)", "nn.Linear(3, 10), nn.LogSoftmax(1)")
        },
    ),
    Case(
        rule="finite-output = true",
        subject="meta = true",
        fix=MEMORY,
        edits={"leave `--meta` (in a contract `meta = true`) out": ("meta = true", "")},
        process=True,
    ),
]
