"""Networks beside the examples of the rules, each for something that a rule says and no example shows."""

from __future__ import annotations

import textwrap
from collections import defaultdict

from archcheck.judging.rule_pages import Example
from tests.rules.result_models import (
    ADDED,
    BIAS_ADDED,
    BIASES,
    BODY,
    BODY_IDLE,
    BRANCHES,
    CONSTANT,
    COUNTS,
    DEAD_HALF,
    DEEP,
    DOUBLE,
    DOUBLED,
    DRIFTS,
    DROPPED,
    FACTORY,
    FAR,
    FROZEN,
    GATED,
    HALF,
    HIDDEN,
    IDLE,
    LEFT,
    MAPS,
    MISH,
    NAMED,
    NESTED_DROPOUT,
    NOISY_LAYER,
    ONE_RELU,
    POINTS,
    POOLED,
    PRUNED,
    RESIDUAL,
    RIGHT,
    ROWS,
    SHARED,
    SOFT,
    SOFT_APART,
    SOFT_MOVED,
    SPELLED_DROPOUT,
    SQUARE,
    TIED,
    TWICE,
    TWO_HEADS,
    TWO_RELUS,
    UNKNOWN,
    WAS,
    model,
)

CASES = {
    "max-growth": [
        ("limit = 100", DEEP, "[1, 2]", WAS),
        ('limit = "10 %"', DEEP, "[1, 2]", WAS),
        ('limit = "1k"', DEEP, "[1, 2]", WAS),
        ("limit = 0.5", DEEP, "[1, 2]", WAS),
        ('limit = 0, of = ["params", "bytes", "activations"]', DEEP, "[1, 2]", WAS),
        ('limit = 0, on = "1.**"', DEEP, "[1, 2]", WAS),
        ('limit = 0, on = "Linear", of = ["macs"]', DEEP, "[1, 2]", WAS),
        ('limit = 5, on = "2"', DEEP, "[1, 2]", WAS),
        ("limit = 0", HIDDEN, "[1, 30]", "nn.Linear(30, 2)"),
        ("limit = 0", "nn.Linear(3, 4)", "[1, 3]", DEEP.replace("(2, 20)", "(3, 20)")),
    ],
    "max-params": [
        ("limit = 1_000", HIDDEN, "[1, 30]"),
        ("limit = 5_000", HIDDEN, "[1, 30]"),
        ("limit = 0", DEEP, "[1, 2]"),
        ('limit = 0, on = "1.**"', DEEP, "[1, 2]"),
    ],
    "max-trainable-params": [("limit = 1_000", DEEP, "[1, 2]"), ("limit = 1_000", HIDDEN, "[1, 30]")],
    "max-bytes": [
        ("limit = 100", DOUBLE, "[1, 3]"),
        ("limit = 100", HIDDEN, "[1, 30]"),
        (
            "limit = 100",
            HALF,
            "[1, 30]",
        ),
    ],
    "min-sparsity": [
        ("limit = 0.9", PRUNED, "[1, 3]"),
        ('limit = "30 %"', PRUNED, "[1, 3]"),
        ('limit = 0.5, on = "1"', DEEP, "[1, 2]"),
    ],
    "max-layer-share": [
        ("limit = 0.01", DEEP, "[1, 2]"),
        ("limit = 0.01", HIDDEN, "[1, 30]"),
        ('limit = 0.5, of = "macs"', MAPS, "[1, 1, 12, 12]"),
        ("limit = 0.999", "nn.Sequential(nn.Linear(2499, 1), nn.Linear(1, 1, bias=False))", "[1, 2499]"),
        ("limit = 0.9", "nn.Linear(3, 4)", "[1, 3]"),
        ('limit = 0.5, of = "macs"', UNKNOWN, "[4, 4]"),
    ],
    "max-macs": [("limit = 1_000", MAPS, "[1, 1, 12, 12]"), ("limit = 1_000_000", UNKNOWN, "[4, 4]")],
    "max-activations": [("limit = 1_000", MAPS, "[1, 1, 12, 12]")],
    "max-peak-memory": [
        ("limit = 1_000", MAPS, "[2, 1, 12, 12]"),
        ("limit = 1_000, with-parameters = true", MAPS, "[2, 1, 12, 12]"),
        ("limit = 100_000, with-parameters = true", HIDDEN, "[2, 30]"),
    ],
    "requires": [
        ('kinds = ["dropout", "linear", "global_avg_pool"]', NESTED_DROPOUT, "[1, 1, 8, 8]"),
        ('kinds = ["dropout", "linear"]', SPELLED_DROPOUT, "[2, 30]"),
        ('kinds = ["conv"]', DEEP, "[1, 2]"),
        ('kinds = ["relu"], on = "idle.**"', IDLE, "[1, 3]"),
        ('kinds = ["linear"], on = "a"', DROPPED, "[1, 3]"),
        ('kinds = ["linear"], on = "conv"', DROPPED, "[1, 3]"),
    ],
    "requires-any": [
        ('kinds = ["dropout", "conv"]', SPELLED_DROPOUT, "[2, 30]"),
        ('kinds = ["lstm", "gru"]', DEEP, "[1, 2]"),
        ('kinds = ["conv", "relu"]', IDLE, "[1, 3]"),
        ('kinds = ["linear", "batch_norm", "conv"]', NESTED_DROPOUT, "[1, 1, 8, 8]"),
    ],
    "forbids": [('kinds = ["linear", "dropout"]', SPELLED_DROPOUT, "[2, 30]")],
    "count": [
        ('kind = "linear", min = 2, max = 3', DEEP, "[1, 2]"),
        ('kind = "Linear", max = 3', DEEP, "[1, 2]"),
        ('kind = "linear", min = 5, max = 5', DEEP, "[1, 2]"),
        ('kind = "1.*", min = 3', DEEP, "[1, 2]"),
        ('kind = "linear", min = 1, on = "conv"', DEEP, "[1, 2]"),
        ('kind = "linear", max = 1', HIDDEN, "[1, 30]"),
    ],
    "followed-by": [
        ('layer = "linear", by = "batch_norm"', FACTORY, "[2, 3]"),
        ('layer = "linear", by = "batch_norm"', CONSTANT, "[2, 3]"),
        ('layer = "body*", by = "relu"', BODY, "[2, 3]"),
        ('layer = "body*", by = "relu"', BODY_IDLE, "[2, 3]"),
        ('layer = "fc*", by = "relu"', TWICE, "[2, 3]"),
        ('layer = "Conv2d", by = "BatchNorm2d"', POOLED, "[1, 1, 8, 8]"),
        ('layer = "conv", by = "relu", exempt = ["1x1"]', POINTS, "[1, 1, 8, 8]"),
        ('layer = "linear", by = "relu", exempt = ["first"]', NAMED, "[2, 3]"),
        ('layer = "linear", by = "relu", exempt = ["last"]', NAMED, "[2, 3]"),
        ('layer = "conv", by = "batch_norm"', BRANCHES, "[1, 1, 8, 8]"),
        ('layer = "conv", by = "batch_norm"', POOLED, "[1, 1, 8, 8]"),
        ('layer = "Conv2d", by = "relu", exempt = ["first"]', MAPS, "[1, 1, 12, 12]"),
        ('layer = "linear", by = "relu", exempt = ["0", "last"]', DEEP, "[1, 2]"),
    ],
    "preceded-by": [
        *(
            ('layer = "Linear", by = "relu"', each, "[3, 3]")
            for each in (BODY, TWICE, LEFT, RIGHT, FAR, SQUARE, TWO_RELUS, ONE_RELU, NAMED)
        ),
        ('layer = "body*", by = "relu"', BODY, "[2, 3]"),
        ('layer = "body*", by = "relu"', BODY_IDLE, "[2, 3]"),
        ('layer = "fc*", by = "relu"', TWICE, "[2, 3]"),
        ('layer = "fc*", by = "relu"', FAR, "[2, 3]"),
        ('layer = "fc*", by = "a*"', TWO_RELUS, "[2, 3]"),
        ('layer = "BatchNorm2d", by = "Conv2d"', POOLED, "[1, 1, 8, 8]"),
        ('layer = "linear", by = "relu", exempt = ["first"]', NAMED, "[2, 3]"),
        ('layer = "linear", by = "relu", exempt = ["Linear"]', NAMED, "[2, 3]"),
        ('layer = "batch_norm", by = "conv"', BRANCHES, "[1, 1, 8, 8]"),
        ('layer = "conv", by = "relu"', MAPS, "[1, 1, 12, 12]"),
        ('layer = "linear", by = "relu", exempt = ["0", "last"]', DEEP, "[1, 2]"),
    ],
    "head": [
        ('kinds = ["linear"]', POOLED, "[1, 1, 8, 8]"),
        ('kinds = ["linear"]', TWO_HEADS, "[1, 3]"),
        ('kinds = ["conv", "linear"]', BRANCHES, "[1, 1, 8, 8]"),
        ('kinds = ["linear"]', model("", "return x.relu()"), "[1, 3]"),
        ('kinds = ["global_avg_pool"]', "nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(5))", "[1, 1, 8, 8]"),
        ('kinds = ["global_avg_pool"]', "nn.Sequential(nn.Conv2d(1, 4, 8), nn.AdaptiveAvgPool2d(1))", "[1, 1, 8, 8]"),
    ],
    "channels": [
        ("progression = [1, 40, 30]", MAPS, "[1, 1, 12, 12]"),
        ("progression = [1, 40, 30, 20, 10, 5]", MAPS, "[1, 1, 12, 12]"),
        ("progression = [3, 40, 30, 20, 10]", MAPS, "[1, 1, 12, 12]"),
        ("progression = [3]", DEEP, "[1, 2]"),
    ],
    "dropout-rate": [
        ("rate = 0.1", NESTED_DROPOUT, "[1, 1, 8, 8]"),
        ("at-least = 0.15, at-most = 0.3", NESTED_DROPOUT, "[1, 1, 8, 8]"),
        ("at-most = 0.1", NESTED_DROPOUT, "[1, 1, 8, 8]"),
        ("rate = 0.1", SPELLED_DROPOUT, "[2, 30]"),
    ],
    "no-padding": [
        ("", "nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 4, 3, padding=(0, 2)), nn.Conv2d(4, 4, 3))", "[1, 1, 8, 8]"),
        ("", 'nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.Conv2d(4, 4, 1, padding="same"))', "[1, 1, 8, 8]"),
        ("", "nn.Sequential(nn.ZeroPad2d(-1), nn.ConvTranspose2d(1, 4, 3, padding=1))", "[1, 1, 8, 8]"),
    ],
    "no-bias-before-norm": [
        ("", BIASES, "[2, 1, 4, 4]"),
        ("", BIAS_ADDED, "[2, 3]"),
        ("", SHARED, "[2, 3]"),
        ("", ROWS, "[2, 2, 3]"),
    ],
    "no-double-activation": [
        *(("", each, "[2, 3]") for each in (DOUBLED, SOFT, SOFT_APART, SOFT_MOVED, MISH, GATED, ADDED)),
        ('on = "4"', DOUBLED, "[2, 3]"),
        ('on = "1"', DOUBLED, "[2, 3]"),
    ],
    "no-dropout-before-norm": [
        ("", "nn.Sequential(nn.Dropout(0.25), nn.MaxPool1d(1), nn.BatchNorm1d(3), nn.Dropout(0.5))", "[2, 3, 4]"),
        ("", "nn.Sequential(nn.Dropout(0.25), nn.Linear(4, 4), nn.BatchNorm1d(3))", "[2, 3, 4]"),
        ("", model("self.norm = nn.BatchNorm1d(3)", "return self.norm(F.dropout(x, 0.5, self.training))"), "[2, 3]"),
    ],
    "no-hidden-weights": [("", HIDDEN, "[1, 30]"), ("", DOUBLE, "[1, 3]"), ('on = "fc"', HIDDEN, "[1, 30]")],
    "no-unused-params": [
        ("", IDLE, "[1, 3]"),
        ("", DROPPED, "[1, 3]"),
        ("", TIED, "[1, 3]"),
        ('on = "used"', IDLE, "[1, 3]"),
    ],
    "no-unused-layers": [("", IDLE, "[1, 3]"), ("", DROPPED, "[1, 3]"), ("", TIED, "[1, 3]")],
    "no-frozen-params": [("", FROZEN, "[1, 30]"), ('on = "1"', FROZEN, "[1, 30]"), ("", DEEP, "[1, 2]")],
    "output-shape": [
        ('shape = ["*", 4]', TWO_HEADS, "[2, 3]"),
        ("shape = [2, 4]", DEEP, "[2, 2]"),
        ('shape = ["*", 6, 1]', DEEP, "[2, 2]"),
    ],
    "keeps-batch": [
        ("", "nn.Flatten(0)", "[2, 3]"),
        ("", TWO_HEADS, "[2, 3]"),
        ("", DEEP, "[2, 2]"),
        ("", model("", "return x.reshape(-1, 2)"), "[2, 3]"),
    ],
    "min-receptive-field": [
        ("limit = 10", MAPS, "[1, 1, 12, 12]"),
        ("limit = [9, 9]", MAPS, "[1, 1, 12, 12]"),
        ('limit = "input"', MAPS, "[1, 1, 9, 9]"),
    ],
    "accepts": [
        ("width = [3, 8]", model("", "return x.reshape(1, 64)"), "[1, 1, 8, 8]"),
        ("batch = [1, 2]", MAPS, "[1, 1, 12, 12]"),
        ("height = [3, 12]", MAPS, "[1, 1, 12, 12]"),
    ],
    "finite-output": [
        ("", model("", "return x - x.sum().log() * 0 + (x - 2).log()"), "[2, 3]"),
        ("", model("self.fc = nn.Sequential(nn.Linear(3, 3))", "return {'scores': self.fc(x) / 0}"), "[2, 3]"),
        ('inputs = ["zeros", "large"], large = 1_000', "nn.Sequential(nn.Linear(3, 3), nn.Tanh())", "[2, 3]"),
    ],
    "deterministic-in-eval": [("", DRIFTS, "[2, 3]"), ("", COUNTS, "[2, 3]"), ("", NOISY_LAYER, "[2, 3]")],
    "independent-of-batch": [
        ("", model("", "return {'scores': x - x.amax(0), 'mean': x.mean(0)}"), "[2, 3]"),
        ("tolerance = 0.9", model("", "return x - 0.01 * x.mean(0)"), "[2, 3]"),
        ("", model("", "return x, x.sum()"), "[2, 3]"),
    ],
    "gradients-reach": [
        ("", DEAD_HALF, "[2, 30]"),
        ("", RESIDUAL, "[2, 3]"),
        ("strict = true", RESIDUAL, "[2, 3]"),
        ('on = "c"', DEAD_HALF, "[2, 30]"),
        ("", model("self.a = nn.Parameter(torch.ones(3))", "return (self.a - 1).sqrt() * x"), "[2, 3]"),
    ],
    "log-probabilities": [
        ("", "nn.Sequential(nn.Linear(3, 4), nn.Softmax(1))", "[2, 3]"),
        ("", TWO_HEADS, "[2, 3]"),
        ("", DEEP, "[2, 2]"),
    ],
    "state-dict-round-trip": [("", COUNTS, "[2, 3]"), ("", HIDDEN, "[2, 30]")],
}


def cases() -> dict[str, list[Example]]:
    """Return the cases of each rule as examples, whose verdicts nothing depends on."""
    found = defaultdict(list)
    for rule, several in CASES.items():
        for stated, source, shape, *was in several:
            table = f"{rule} = {{ {stated} }}" if stated else f"{rule} = true"
            lines = {"rule": table, "model": textwrap.dedent(source).replace("\n    nn.", " nn."), "input": shape}
            if was:
                lines["was"] = was[0]
            found[rule].append(Example(verdict="", lines=lines, source=""))
    return found
