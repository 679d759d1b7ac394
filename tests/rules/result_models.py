"""The networks of `result_cases`, as the source of their class."""

from __future__ import annotations


def model(init: str, forward: str) -> str:
    body = "\n    ".join(["super().__init__()", *filter(None, map(str.strip, init.split(";")))])
    steps = "\n    ".join(map(str.strip, forward.split(";")))
    return f"def __init__(self):\n    {body}\n\ndef forward(self, x):\n    {steps}\n"


HIDDEN = model("self.layers = [nn.Linear(30, 40)]; self.fc = nn.Linear(40, 2)", "return self.fc(self.layers[0](x))")
DOUBLE = model("self.layers = [nn.Linear(3, 4).double()]", "return self.layers[0](x.double())")
HALF = model("self.layers = [nn.Linear(30, 40).half()]", "return self.layers[0](x.half())")
PRUNED = model("self.fc = nn.Linear(3, 4); self.fc.weight.data[0] = 0", "return self.fc(x)")
DEEP = """nn.Sequential(nn.Linear(2, 20), nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 40)), nn.Linear(40, 5),
    nn.Linear(5, 6))"""
MAPS = "nn.Sequential(nn.Conv2d(1, 40, 3), nn.ReLU(), nn.Conv2d(40, 30, 3), nn.Conv2d(30, 20, 3), nn.Conv2d(20, 10, 3))"
UNKNOWN = model("self.fc = nn.Linear(4, 4)", "return torch.ops.aten._test_warn_in_autograd(self.fc(x))")
NESTED_DROPOUT = """nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.1),
    nn.Dropout(0.2)), nn.Dropout(0.0))"""
SPELLED_DROPOUT = model("self.fc = nn.Linear(30, 40)", "return F.dropout(self.fc(x), 0.25)")
IDLE = model(
    "self.used = nn.Linear(3, 3); self.idle = nn.Sequential(nn.Linear(30, 40), nn.ReLU())", "return self.used(x)"
)
DROPPED = model("self.a = nn.Linear(3, 30); self.b = nn.Linear(3, 3)", "self.a(x); return self.b(x)")
SHARED = model("self.a = nn.Linear(3, 3); self.norm = nn.BatchNorm1d(3)", "x = self.norm(self.a(x)); return self.a(x)")
DRIFTS = model(
    'self.fc = nn.Linear(3, 3); self.fc.register_buffer("mean", torch.zeros(3))',
    "self.fc.mean += 1; return self.fc(x) + self.fc.mean",
)
COUNTS = model("self.calls = 0", "self.calls += 1; return x * self.calls")
NOISY_LAYER = """nn.Sequential(nn.Linear(3, 3), nn.RReLU(), nn.Sequential(nn.Linear(3, 3)))"""
DOUBLED = "nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Unflatten(1, (2, 2)), nn.Dropout(0.1), nn.GELU())"
SOFT = "nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(1), nn.Dropout(0.1), nn.Softmax(1))"
SOFT_APART = "nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (2, 2)), nn.Softmax(1), nn.LogSoftmax(2))"
SOFT_MOVED = "nn.Sequential(nn.Linear(3, 4), nn.Softmax(1), nn.Unflatten(1, (2, 2)), nn.LogSoftmax(1))"
MISH = model("", "return x.relu() * torch.tanh(F.softplus(x.relu()))")
GATED = model("", "y = F.softplus(x); return x * torch.tanh(y)")
ADDED = model("", "y = F.softplus(x); return x + torch.tanh(y)")
BIASES = """nn.Sequential(nn.Conv2d(1, 4000, 1), nn.BatchNorm2d(4000), nn.Conv2d(4000, 4, 1), nn.GroupNorm(4, 4),
    nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5))"""
BIAS_ADDED = model(
    "self.w = nn.Parameter(torch.ones(3, 4)); self.b = nn.Parameter(torch.ones(4)); self.norm = nn.BatchNorm1d(4)",
    "return self.norm(x @ self.w + self.b)",
)
ROWS = "nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(2))"
POOLED = "nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())"
BRANCHES = model(
    "self.a = nn.Conv2d(1, 4, 3); self.b = nn.Conv2d(1, 4, 3); self.norm = nn.BatchNorm2d(4)",
    "return self.norm(self.a(x)) + self.b(x).relu()",
)
TWO_HEADS = model(
    "self.a = nn.Linear(3, 4); self.b = nn.Linear(3, 4)", "return self.a(x), self.b(x).softmax(1).log(), x.relu()"
)
TIED = model(
    "self.a = nn.Linear(3, 3); self.b = nn.Linear(3, 3); self.b.weight = self.a.weight",
    "return self.a(x)",
)
FROZEN = """nn.Sequential(nn.Linear(30, 40).requires_grad_(False), nn.Sequential(
    nn.Linear(40, 4).requires_grad_(False)), nn.Linear(4, 2))"""
DEAD_HALF = model(
    "self.a = nn.Linear(30, 40); self.b = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 4)); self.c = nn.Linear(4, 4)",
    "y = self.b(self.a(x)); return self.c(y * 0)",
)
RESIDUAL = model(
    "self.a = nn.Linear(3, 3); self.b = nn.Linear(3, 3); self.scale = nn.Parameter(torch.zeros(3)); "
    "self.conv = nn.Conv1d(1, 2, 1); self.norm = nn.BatchNorm1d(2)",
    "y = x + self.scale * self.b(self.a(x)); return self.norm(self.conv(y[:, None]))",
)

BODY = model("self.body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))", "return self.body(x.relu()).relu()")
BODY_IDLE = model(
    "self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))", "return self.body(x.relu())"
)
TWICE = model("self.fc = nn.Linear(3, 3)", "return self.fc(self.fc(x.relu()))")
LEFT = model("self.fc = nn.Linear(6, 3)", "return self.fc(torch.cat([x, x.relu()], 1))")
RIGHT = model("self.fc = nn.Linear(6, 3)", "return self.fc(torch.cat([x.relu(), x], 1))")
FAR = model("self.fc = nn.Linear(6, 3)", "return self.fc(torch.cat([x, x.relu().tanh()], 1))")
SQUARE = model("self.fc = nn.Linear(3, 3)", "y = x.relu(); return self.fc(y @ y)")
TWO_RELUS = model(
    "self.a = nn.Linear(3, 3); self.fc = nn.Linear(3, 3)", "y = self.a(x); return self.fc(y.relu() * y.relu())"
)
ONE_RELU = model(
    "self.a = nn.Linear(3, 3); self.fc = nn.Linear(3, 3)", "y = self.a(x).relu(); return self.fc(y * y.sigmoid())"
)
FACTORY = model(
    "self.fc = nn.Linear(3, 3); self.norm = nn.BatchNorm1d(3)",
    "y = self.fc(x); return self.norm(torch.maximum(y, torch.zeros_like(y)))",
)
CONSTANT = model(
    "self.fc = nn.Linear(3, 3); self.norm = nn.BatchNorm1d(3)",
    "y = self.fc(x); return self.norm(torch.where(y > 0, y, torch.tensor(0.5)))",
)
NAMED = model(
    "self.last = nn.Linear(3, 3); self.middle = nn.Linear(3, 3); self.first = nn.Linear(3, 3)",
    "return self.first(self.middle(self.last(x)))",
)
POINTS = "nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, (1, 3)))"
WAS = "nn.Sequential(nn.Linear(2, 20), nn.Sequential(nn.Linear(20, 10), nn.Linear(10, 40)), nn.Linear(40, 5))"
