"""Fixes of rules about weights, shapes, values and gradients, and about what is saved and exported."""

from __future__ import annotations

from tests.support.fix_trials import Case

WAIVER = '\n[[subjects.net.waivers]]\nrule = "no-hidden-weights"\nlayer = "table"\nreason = "a fixed table"\n'
TABLE = """
def __init__(self):
    super().__init__()
    self.fc = nn.Linear(30, 300)
    self.register_buffer("table", torch.rand(300))

def forward(self, x):
    return self.fc(x) * self.table
"""
IDLE = """
def __init__(self):
    super().__init__()
    self.used, self.idle = nn.Linear(3, 3), nn.Linear(3, 3)

def forward(self, x):
    return self.used(x)
"""
USED = ("return self.used(x)", "return self.idle(self.used(x))")
REMOVED = ("self.used, self.idle = nn.Linear(3, 3), nn.Linear(3, 3)", "self.used = nn.Linear(3, 3)")
MEMORY = "leave `--meta` (in a contract `meta = true`) out, and build it on a device with memory, such as the CPU"
BRANCHES = "let no Python depend on values: `torch.where`, `torch.cond`, sizes instead of numbers"
FIXED = "compute from the inputs what the export has fixed, such as a counter or a random number of Python"
PACKED = """
def __init__(self):
    super().__init__()
    self.body = nn.Linear(16, 16)
    self.body.weight.data[0] = 0
    self.packed = nn.Parameter(torch.randint(0, 256, (64,), dtype=torch.uint8), requires_grad=False)

def forward(self, x):
    bits = (self.packed[:, None] >> torch.arange(8)) & 1
    return F.linear(self.body(x), bits.reshape(32, 16).float() * 2 - 1)
"""
LOOK = "pad on the left only, mask attention, use no statistics over time, or raise max-look-ahead"
DIVIDES = "bound what is divided, exponentiated or rooted there, as `clamp` or an epsilon do, or narrow finite-output"
LEARNS = "train what is frozen, connect what is cut off, and remove a softmax before the loss, or raise `limit`"
GUESS = "scale the last layer down, or end in `nn.LogSoftmax` where the loss is `nll`"


def _forward(code: str, built: str = "") -> str:
    layers = f"\n    {built}" if built else ""
    return f"def __init__(self):\n    super().__init__(){layers}\n\ndef forward(self, x):\n    return {code}\n"


CASES = [
    Case(
        rule="no-hidden-weights = true",
        model="""
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(3, 4)]

        def forward(self, x):
            return self.layers[0](x)
        """,
        fix="keep layers in `nn.ModuleList`, tensors in `nn.Parameter`",
        edits={"keep layers in `nn.ModuleList`": ("[nn.Linear(3, 4)]", "nn.ModuleList([nn.Linear(3, 4)])")},
    ),
    Case(
        rule="no-hidden-weights = true",
        model=_forward("self.fc(x) * self.scale", "self.fc, self.scale = nn.Linear(30, 300), torch.rand(300)"),
        input="[1, 30]",
        fix="keep layers in `nn.ModuleList`, tensors in `nn.Parameter`",
        edits={"tensors in `nn.Parameter`": ("torch.rand(300)", "nn.Parameter(torch.rand(300))")},
    ),
    Case(
        rule="no-hidden-weights = true",
        model=TABLE,
        input="[1, 30]",
        fix="make it an `nn.Parameter`, frozen if need be, or waive the rule for this buffer",
        edits={
            "make it an `nn.Parameter`": (
                'self.register_buffer("table", torch.rand(300))',
                "self.table = nn.Parameter(torch.rand(300))",
            ),
            "frozen if need be": (
                'self.register_buffer("table", torch.rand(300))',
                "self.table = nn.Parameter(torch.rand(300), requires_grad=False)",
            ),
            "waive the rule for this buffer": ("no-hidden-weights = true", f"no-hidden-weights = true\n{WAIVER}"),
        },
    ),
    *(
        Case(
            rule=f"{rule} = true",
            model=IDLE,
            fix="use it in `forward`, or remove it",
            edits={"use it in `forward`": USED, "remove it": REMOVED},
        )
        for rule in ("no-unused-params", "no-unused-layers")
    ),
    Case(
        rule="no-frozen-params = true",
        model=_forward(
            "self.fc(x) * self.scale", "self.fc, self.scale = nn.Linear(3, 4), nn.Parameter(torch.ones(4), False)"
        ),
        fix="train it (`requires_grad_(True)`), or keep what is fixed in a buffer",
        edits={
            "train it (`requires_grad_(True)`)": (
                "torch.ones(4), False)",
                "torch.ones(4), False).requires_grad_(True)",
            ),
            "keep what is fixed in a buffer": (
                "self.fc, self.scale = nn.Linear(3, 4), nn.Parameter(torch.ones(4), False)",
                'self.fc = nn.Linear(3, 4)\n        self.register_buffer("scale", torch.ones(4))',
            ),
        },
    ),
    Case(
        rule='output-shape = ["*", 5]',
        fix="mend the last layer, or change output-shape",
        edits={"mend the last layer": ("(3, 4)", "(3, 5)"), "change output-shape": ('"*", 5', '"*", 4')},
    ),
    Case(
        rule="keeps-batch = true",
        model=_forward("self.fc(x.view(-1, 2))", "self.fc = nn.Linear(2, 2)"),
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
        model=_forward("self.conv(x.view(1, 1, 8, 8))", "self.conv = nn.Conv2d(1, 4, 3)"),
        input="[64]",
        fix="give `limit` in positions",
        edits={"give `limit` in positions": ('= "input"', "= 3")},
    ),
    Case(
        rule="accepts = { width = [4, 8] }",
        model=_forward("self.fc(x.flatten(1))", "self.fc = nn.Linear(64, 2)"),
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
        model=_forward("x.view(1, 64)"),
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
        model=_forward("F.scaled_dot_product_attention(x, x, x)"),
        input="[1, 8, 4]",
        fix=LOOK,
        edits={"mask attention": ("(x, x, x)", "(x, x, x, is_causal=True)")},
    ),
    Case(
        rule="max-look-ahead = 0",
        model=_forward("x - x.mean(1, keepdim=True)"),
        input="[1, 16, 2]",
        fix=LOOK,
        edits={"use no statistics over time": ("mean(1, ", "mean(2, ")},
    ),
    Case(
        rule="max-look-ahead = { limit = 0, axis = 2 }",
        model=_forward("x + x.abs()"),
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
    Case(
        rule="finite-output = true",
        model=_forward("x / x.norm(dim=1, keepdim=True)"),
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
        model=_forward("x.exp()"),
        input="[2, 3]",
        fix=DIVIDES,
        edits={"exponentiated": ("x.exp()", "x.clamp(max=10).exp()")},
    ),
    Case(
        rule="finite-output = true",
        model=_forward("x.sqrt()"),
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
        model=_forward("F.dropout(x, 0.5)"),
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
        model=_forward("x - x.mean(0)"),
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
        rule="gradients-reach = true",
        model=_forward("self.head(self.body(x).detach())", "self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2)"),
        input="[2, 3]",
        fix="let its result reach an output, without `detach()` or `no_grad()` on the way",
        edits={"let its result reach an output, without `detach()`": (".detach()", "")},
    ),
    Case(
        rule="gradients-reach = true",
        model="""
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            with torch.no_grad():
                x = self.body(x)
            return self.head(x)
        """,
        input="[2, 3]",
        fix="let its result reach an output, without `detach()` or `no_grad()` on the way",
        edits={"`no_grad()` on the way": ("with torch.no_grad():", "if True:")},
    ),
    Case(
        rule="gradients-reach = true",
        model=_forward("self.head(self.body(x)) * 0 + x", "self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 3)"),
        input="[2, 3]",
        fix="remove what is zero after it, such as a factor 0, or bring a ReLU there above zero",
        edits={"remove what is zero after it, such as a factor 0": (" * 0 + x", " + x")},
    ),
    Case(
        rule="gradients-reach = true",
        model=_forward("(self.body(x) - 100).relu()", "self.body = nn.Linear(3, 4)"),
        input="[2, 3]",
        fix="remove what is zero after it, such as a factor 0, or bring a ReLU there above zero",
        edits={"bring a ReLU there above zero": (" - 100", "")},
    ),
    Case(
        rule="gradients-reach = true",
        model=_forward(
            "((self.a - 1).sqrt() + x).log() / (self.b - 1)",
            "self.a, self.b = (nn.Parameter(torch.ones(3)) for _ in range(2))",
        ),
        input="[2, 3]",
        fix="keep roots, logarithms and divisions after it away from zero, as `clamp` does",
        edits={
            "keep roots, logarithms and divisions after it away from zero, as `clamp` does": (
                "((self.a - 1).sqrt() + x).log() / (self.b - 1)",
                "((self.a + 1).clamp(min=1e-3).sqrt() + x).clamp(min=1e-3).log() / (self.b + 1).clamp(min=1e-3)",
            ),
        },
    ),
    Case(
        rule="gradients-reach = true",
        model="""
        class Invents(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, weight):
                ctx.save_for_backward(weight)
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                (weight,) = ctx.saved_tensors
                return gradient, torch.ones_like(weight)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight, self.fc = nn.Parameter(torch.ones(3)), nn.Linear(3, 3)

            def forward(self, x):
                return Invents.apply(self.fc(x), self.weight)
        """,
        input="[2, 3]",
        fix="compute the outputs with it, or remove it: `backward` of an `autograd.Function` returns a gradient for it",
        edits={
            "compute the outputs with it": ("Invents.apply(self.fc(x), self.weight)", "self.fc(x) * self.weight"),
            "remove it: `backward` of an `autograd.Function` returns a gradient for it": [
                ("Invents.apply(self.fc(x), self.weight)", "self.fc(x)"),
                ("self.weight, self.fc = nn.Parameter(torch.ones(3)), nn.Linear(3, 3)", "self.fc = nn.Linear(3, 3)"),
            ],
        },
    ),
    Case(
        rule="gradients-reach = { strict = true }",
        model=_forward("self.a(x) + 1e-9 * self.b(x)", "self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)"),
        input="[2, 3]",
        fix="remove what has no effect, or scale it up",
        edits={
            "remove what has no effect": [
                (" + 1e-9 * self.b(x)", ""),
                ("self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)", "self.a = nn.Linear(3, 3)"),
            ],
            "scale it up": ("1e-9 * ", ""),
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
        model=_forward("30 * self.fc(x)", "self.fc = nn.Linear(3, 10)"),
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
        rule="overfits-one-batch = true",
        model="nn.Sequential(nn.Linear(12, 32).requires_grad_(False), nn.ReLU(), nn.Linear(32, 4).requires_grad_(False), nn.Linear(4, 4))",
        input="[2, 12]",
        fix=LEARNS,
        edits={
            "train what is frozen": (
                "nn.Linear(12, 32).requires_grad_(False), nn.ReLU(), nn.Linear(32, 4).requires_grad_(False)",
                "nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4)",
            ),
        },
    ),
    Case(
        rule="overfits-one-batch = true",
        model=_forward("self.head(self.body(x) * 0)", "self.body, self.head = nn.Linear(12, 32), nn.Linear(32, 4)"),
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
        model=_forward("self.layers[0](x)", "self.layers = [nn.Linear(3, 4)]"),
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
        rule="finite-output = true",
        subject="meta = true",
        fix=MEMORY,
        edits={"leave `--meta` (in a contract `meta = true`) out": ("meta = true", "")},
        process=True,
    ),
    Case(
        rule="min-sparsity = 0.01",
        model="nn.Sequential(nn.Linear(3, 4, device='meta'))",
        fix=MEMORY,
        edits={
            "build it on a device with memory, such as the CPU": [
                ("nn.Linear(3, 4, device='meta')", "nn.Linear(3, 4)"),
                ("return nn.Sequential", "return pruned"),
                ("def Net", "def pruned(layer):\n    layer.weight.data[0] = 0\n    return layer\n\ndef Net"),
            ]
        },
    ),
    Case(
        rule="exports = true",
        model=_forward("x if x.sum() > 0 else -x"),
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
        model=_forward("sum([x * step for step in range(int(x.sum()))], x)"),
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
    Case(
        rule="min-sparsity = 0.01",
        model=PACKED,
        input="[2, 16]",
        fix="choose others with `on`, or drop min-sparsity",
        edits={
            "choose others with `on`": ("= 0.01", '= { limit = 0.01, on = "body" }'),
            "drop min-sparsity": ("min-sparsity = 0.01", ""),
        },
    ),
]
