"""`max-look-ahead`: causal networks, and all the ways to see the future."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import MaxLookAhead
from archcheck.rules.findings import Verdict
from tests.rules.test_permitted import Run

SIGNAL = torch.randn(1, 1, 64)
STEPS = torch.randn(2, 24, 8)


def outcome(model, rule, example=SIGNAL):
    return check(model.eval(), example=example, rules=[rule]).outcomes[0]


def padded(before, after, *layers):
    return nn.Sequential(nn.ConstantPad1d((before, after), 0.0), *layers)


def attended(allowed):
    def forward(self, x):
        steps = torch.arange(x.shape[1])
        mask = torch.where(allowed(steps[:, None], steps[None]), 0.0, float("-inf"))
        query = self.q(x)
        return torch.softmax(query @ self.k(x).transpose(1, 2) + mask, -1) @ self.v(x)

    return Run(forward, q=nn.Linear(8, 8), k=nn.Linear(8, 8), v=nn.Linear(8, 8))


def zero_in_the_future():
    conv = nn.Conv1d(1, 4, 3, padding=1)
    conv.weight.data[:, :, 2] = 0
    return conv


def masked(self, x):
    return F.conv1d(F.pad(x, (1, 1)), self.conv.weight * torch.tensor([1.0, 1.0, 0.0]), self.conv.bias)


def gated_by_all(self, x):
    x = self.conv(F.pad(x, (2, 0)))
    return x * torch.sigmoid(x.mean(2, keepdim=True))


CAUSAL = {
    "convolutions": (padded(4, 0, nn.Conv1d(1, 8, 5), nn.ReLU()), SIGNAL),
    "dilated": (padded(8, 0, nn.Conv1d(1, 8, 5, dilation=2), nn.BatchNorm1d(8)), SIGNAL),
    "without padding": (nn.Sequential(nn.Conv1d(1, 4, 7), nn.ReLU(), nn.Conv1d(4, 4, 9)), SIGNAL),
    "strided without padding": (nn.Conv1d(1, 4, 16, stride=8), torch.randn(1, 1, 160)),
    "a mask in forward": (Run(masked, conv=nn.Conv1d(1, 4, 3)), SIGNAL),
    "upsampled": (Run(lambda self, x: self.c(F.pad(x, (2, 0))).repeat_interleave(2, 2), c=nn.Conv1d(1, 4, 3)), SIGNAL),
    "recurrent": (Run(lambda self, x: self.rnn(x)[0], rnn=nn.GRU(8, 8, batch_first=True)), STEPS),
    "masked attention": (attended(lambda here, there: here >= there), STEPS),
    "running sums": (Run(lambda self, x: self.fc(x).cumsum(1), fc=nn.Linear(8, 8)), STEPS),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_network_is_kept(name):
    model, example = CAUSAL[name]
    found = outcome(model, MaxLookAhead(limit=0), example)
    assert found.verdict is Verdict.KEPT, found.summary
    assert found.kept == "outputs look ahead by at most 0 positions"


AHEAD = {
    "same padding": (nn.Conv1d(1, 4, 5, padding=2), SIGNAL, 2),
    "two layers": (nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv1d(4, 4, 3, padding=1)), SIGNAL, 3),
    "right padding": (padded(0, 2, nn.Conv1d(1, 4, 3)), SIGNAL, 2),
    "statistics over time": (padded(2, 0, nn.Conv1d(1, 4, 3), nn.InstanceNorm1d(4)), SIGNAL, 63),
    "group norm": (padded(2, 0, nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4)), SIGNAL, 63),
    "a gate over time": (Run(gated_by_all, conv=nn.Conv1d(1, 4, 3)), SIGNAL, 63),
    "attention": (attended(lambda here, there: here == here + 0 * there), STEPS, 23),
    "attention by chunks": (attended(lambda here, there: here // 8 >= there // 8), STEPS, 7),
    "one position": (
        Run(lambda self, x: self.c(F.pad(x, (2, 0))) + F.pad(x[:, :, 63:], (41, 22)), c=nn.Conv1d(1, 4, 3)),
        SIGNAL,
        22,
    ),
    "a gate that is rarely open": (
        Run(lambda self, x: self.c(F.pad(x, (2, 0))) + F.relu(F.pad(x, (0, 1))[:, :, 1:] - 6), c=nn.Conv1d(1, 4, 3)),
        SIGNAL,
        1,
    ),
    "flipped": (Run(lambda self, x: self.rnn(x.flip(1))[0].flip(1), rnn=nn.RNN(8, 8, batch_first=True)), STEPS, None),
    "a zero that is trained": (zero_in_the_future(), SIGNAL, 1),
}


@pytest.mark.parametrize("name", AHEAD)
def test_the_future_is_seen_to_the_position(name):
    model, example, positions = AHEAD[name]
    found = outcome(model, MaxLookAhead(limit=0), example)
    assert found.verdict is Verdict.BROKEN
    if positions is not None:
        assert found.found == positions
        assert outcome(model, MaxLookAhead(limit=positions), example).verdict is Verdict.KEPT
        assert positions == 1 or outcome(model, MaxLookAhead(limit=positions - 1), example).verdict is Verdict.BROKEN
    assert ("once parameters that start at zero are trained" in found.summary) is (name == "a zero that is trained")


def test_other_axes_are_named_or_numbered():
    image = torch.randn(1, 1, 12, 16)
    model = nn.Sequential(nn.ZeroPad2d((1, 1, 2, 0)), nn.Conv2d(1, 4, 3))
    assert outcome(model, MaxLookAhead(limit=0, axis="height"), image).verdict is Verdict.KEPT
    assert outcome(model, MaxLookAhead(limit=0, axis="width"), image).found == 1
    assert outcome(model, MaxLookAhead(limit=0, axis="-1"), image).found == 1
    assert outcome(nn.Conv1d(1, 4, 3, padding=1), MaxLookAhead(limit=0, axis="time")).found == 1
    moved = Run(lambda self, x: self.c(x).transpose(1, 2), c=nn.Conv1d(1, 64, 3, padding=1))
    assert outcome(moved, MaxLookAhead(limit=0, output_axis=1)).found == 1
    assert outcome(moved, MaxLookAhead(limit=0)).found == 1


def test_a_long_input_is_proven_up_to_the_limit_only():
    model, example = nn.Conv1d(1, 4, 101, padding=50), torch.randn(1, 1, 2_000)
    assert outcome(model, MaxLookAhead(limit=60), example).verdict is Verdict.KEPT
    assert outcome(model, MaxLookAhead(limit=20), example).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("model", "rule", "example", "says"),
    [
        (
            nn.Sequential(nn.Conv1d(1, 4, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
            MaxLookAhead(limit=0),
            SIGNAL,
            "no axis of the output follows the input's",
        ),
        (nn.Conv1d(1, 4, 1), MaxLookAhead(limit=0), torch.randn(1, 1, 1), "the input has one position along axis 2"),
        (nn.Conv1d(1, 4, 64), MaxLookAhead(limit=0), SIGNAL, "the output has one position along axis 2, for all 64"),
        (nn.Conv1d(1, 4, 1), MaxLookAhead(limit=0, output_axis=0), SIGNAL, "the output has one position along axis 0"),
        (nn.Conv1d(1, 4, 1), MaxLookAhead(limit=0, axis="width"), SIGNAL, "has no axis `width`"),
        (nn.Conv1d(1, 4, 1), MaxLookAhead(limit=0, output_axis=5), SIGNAL, "the output has 3 axes"),
    ],
)
def test_what_has_no_future_is_an_error(model, rule, example, says):
    found = outcome(model, rule, example)
    assert found.verdict is Verdict.ERROR
    assert says in found.summary


def causal_with_weights(self, x):
    mask = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    return self.heads(x, x, x, attn_mask=mask)


@pytest.mark.parametrize(
    ("model", "example", "says"),
    [
        (
            Run(lambda self, x: (self.c(F.pad(x, (2, 0))), x.roll(-1, 2)), c=nn.Conv1d(1, 4, 3)),
            SIGNAL,
            "output 1 at 62",
        ),
        (
            Run(lambda self, x: {"b": self.c(F.pad(x, (2, 0))), "a": x.roll(-2, 2)[:, :, :9]}, c=nn.Conv1d(1, 4, 3)),
            SIGNAL,
            "",  # the second output does not grow with the input
        ),
        (nn.GRU(8, 8, batch_first=True), STEPS, ""),
        (Run(causal_with_weights, heads=nn.MultiheadAttention(8, 2, batch_first=True)), STEPS, ""),
    ],
    ids=["leaks beside", "of fixed size", "last state", "weights of attention"],
)
def test_every_output_that_grows_counts(model, example, says):
    found = outcome(model, MaxLookAhead(limit=0), example)
    assert found.verdict == ("broken" if says else "kept")
    assert says in found.summary


def test_a_limit_below_zero_is_refused():
    with pytest.raises(ValueError, match="`limit` must be at least 0"):
        MaxLookAhead(limit=-1)
    with pytest.raises(ValueError, match=r'`axis` must be one of .*; did you mean "time"'):
        MaxLookAhead(limit=0, axis="tim")
