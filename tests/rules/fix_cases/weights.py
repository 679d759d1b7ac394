"""Fixes of rules about weights and their gradients."""

from __future__ import annotations

from tests.support.fix_trials import Case, forward

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
        model=forward("self.fc(x) * self.scale", "self.fc, self.scale = nn.Linear(30, 300), torch.rand(300)"),
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
        model=forward(
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
        rule="gradients-reach = true",
        model=forward("self.head(self.body(x).detach())", "self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2)"),
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
        model=forward("self.head(self.body(x)) * 0 + x", "self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 3)"),
        input="[2, 3]",
        fix="remove what is zero after it, such as a factor 0, or bring a ReLU there above zero",
        edits={"remove what is zero after it, such as a factor 0": (" * 0 + x", " + x")},
    ),
    Case(
        rule="gradients-reach = true",
        model=forward("(self.body(x) - 100).relu()", "self.body = nn.Linear(3, 4)"),
        input="[2, 3]",
        fix="remove what is zero after it, such as a factor 0, or bring a ReLU there above zero",
        edits={"bring a ReLU there above zero": (" - 100", "")},
    ),
    Case(
        rule="gradients-reach = true",
        model=forward(
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
        model=forward("self.a(x) + 1e-9 * self.b(x)", "self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)"),
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
