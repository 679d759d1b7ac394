"""Fixes of rules about what learns, what is saved and what is exported."""

from __future__ import annotations

from tests.support.fix_trials import Case, forward

BRANCHES = "let no Python depend on values: `torch.where`, `torch.cond`, sizes instead of numbers"
FIXED = "compute from the inputs what the export has fixed, such as a counter or a random number of Python"
FROZEN = "nn.Linear(12, 9).requires_grad_(False), nn.ReLU(), nn.Linear(9, 4).requires_grad_(False)"
LEARNS = "train what is frozen, connect what is cut off, and remove a softmax before the loss, or raise `limit`"


CASES = [
    Case(
        rule="overfits-one-batch = true",
        model=f"nn.Sequential({FROZEN}, nn.Linear(4, 4))",
        input="[2, 12]",
        fix=LEARNS,
        edits={
            "train what is frozen": (
                FROZEN,
                "nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4)",
            ),
        },
    ),
    Case(
        rule="overfits-one-batch = true",
        model=forward("self.head(self.body(x) * 0)", "self.body, self.head = nn.Linear(12, 32), nn.Linear(32, 4)"),
        input="[2, 12]",
        fix=LEARNS,
        edits={"connect what is cut off": (" * 0", "")},
    ),
    Case(
        rule="overfits-one-batch = true",
        model="nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4), nn.Softmax(1), nn.Softmax(1))",
        input="[2, 12]",
        fix=LEARNS,
        edits={
            "remove a softmax before the loss": (", nn.Softmax(1), nn.Softmax(1)", ""),
            "raise `limit`": ("= true", "= { limit = 0.99 }"),
        },
    ),
    Case(
        rule="state-dict-round-trip = true",
        model="""
        def __init__(self):
            super().__init__()
            self.fc, self.mean = nn.Linear(3, 4), torch.zeros(3)

        def forward(self, x):
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
            return self.fc(x - self.mean)
        """,
        input="[2, 3]",
        fix="keep state in parameters, persistent buffers and registered layers",
        edits={
            "keep state in parameters": (
                "self.fc, self.mean = nn.Linear(3, 4), torch.zeros(3)",
                "self.fc, self.mean = nn.Linear(3, 4), nn.Parameter(torch.zeros(3), False)",
            ),
            "persistent buffers": (
                "self.fc, self.mean = nn.Linear(3, 4), torch.zeros(3)",
                'self.fc = nn.Linear(3, 4)\n        self.register_buffer("mean", torch.zeros(3))',
            ),
        },
    ),
    Case(
        rule="state-dict-round-trip = true",
        model=forward("self.layers[0](x)", "self.layers = [nn.Linear(3, 4)]"),
        input="[2, 3]",
        fix="keep state in parameters, persistent buffers and registered layers",
        edits={"registered layers": ("[nn.Linear(3, 4)]", "nn.ModuleList([nn.Linear(3, 4)])")},
        process=True,
    ),
    Case(
        rule="state-dict-round-trip = true",
        model="""
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 4)

        def forward(self, x):
            return self.fc(x)

        def state_dict(self, *args, **kwargs):
            return {"fc": self.fc}

        def load_state_dict(self, state, **kwargs):
            self.fc = state["fc"]
        """,
        input="[2, 3]",
        fix="let `state_dict` and `load_state_dict` hold tensors, under the same names in every model",
        edits={
            "let `state_dict` and `load_state_dict` hold tensors, under the same names in every model": [
                ('return {"fc": self.fc}', "return super().state_dict(*args, **kwargs)"),
                ('self.fc = state["fc"]', "return super().load_state_dict(state, **kwargs)"),
            ]
        },
    ),
    Case(
        rule="exports = true",
        model=forward("x if x.sum() > 0 else -x"),
        input="[2, 3]",
        fix=BRANCHES,
        edits={
            "let no Python depend on values: `torch.where`": (
                "x if x.sum() > 0 else -x",
                "torch.where(x.sum() > 0, x, -x)",
            ),
            "`torch.cond`": (
                "x if x.sum() > 0 else -x",
                "torch.cond(x.sum() > 0, lambda x: x + 0, lambda x: -x, (x,))",
            ),
        },
    ),
    Case(
        rule="exports = true",
        model=forward("sum([x * step for step in range(int(x.sum()))], x)"),
        input="[2, 3]",
        fix=BRANCHES,
        edits={"sizes instead of numbers": ("int(x.sum())", "x.size(0)")},
    ),
    Case(
        rule="exports = true",
        model="""
        class Net(nn.Module):
            calls = 0

            def forward(self, x):
                Net.calls += 1
                return x * Net.calls
        """,
        input="[2, 3]",
        fix=FIXED,
        edits={
            "compute from the inputs what the export has fixed, such as a counter": ("x * Net.calls", "x * x.size(0)")
        },
    ),
    Case(
        rule="exports = true",
        model="""
        import random

        class Net(nn.Module):
            def forward(self, x):
                return x * random.random()
        """,
        input="[2, 3]",
        fix=FIXED,
        edits={"a random number of Python": ("random.random()", "x.mean()")},
    ),
]
