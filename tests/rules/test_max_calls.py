"""`max-calls`: loops that are written out, by calls of layers and by reads of parameters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import MaxCalls
from archcheck.rules.findings import Verdict
from tests.rules.test_permitted import Run

VECTOR = torch.randn(2, 4)
ONCE = MaxCalls(limit=1)


def outcome(model, rule=ONCE, example=VECTOR):
    return check(model, example=example, rules=[rule]).outcomes[0]


def shared(count):
    layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))
    for layer in layers:
        layer.weight = layers[0].weight
    return layers


def repeated(step, times):
    def forward(self, x):
        for _ in range(times):
            x = step(self, x)
        return x

    return forward


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Run(repeated(lambda self, x: self.fc(x), 10), fc=nn.Linear(4, 4)), "`fc` (Linear) runs 10 times"),
        (
            Run(repeated(lambda self, x: self.block(x), 3), block=nn.Sequential(nn.Linear(4, 4), nn.ReLU())),
            "`block` (Sequential) runs 3 times",
        ),
        (
            Run(repeated(lambda self, x: F.linear(x, self.fc.weight), 5), fc=nn.Linear(4, 4)),
            "`fc.weight` is read by 5 linear operations",
        ),
        (Run(lambda self, x: nn.Sequential(*self.each)(x), each=shared(6)), "`each.0.weight` is read by 6 linear"),
        (
            Run(repeated(lambda self, x: self.cell(x), 7), cell=nn.GRUCell(4, 4)),
            "`cell` (GRUCell) runs 7 times",
        ),
    ],
    ids=["layer", "block", "function", "shared weights", "cell"],
)
def test_a_loop_is_told_however_it_is_written(model, says):
    found = outcome(model)
    assert found.verdict is Verdict.BROKEN
    assert found.summary.startswith(says)


def test_only_the_outermost_layer_of_a_loop_is_told():
    model = Run(repeated(lambda self, x: self.block(x), 3), block=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    assert [finding.layer for finding in outcome(model).findings] == ["block"]
    assert outcome(model, MaxCalls(limit=3)).verdict is Verdict.KEPT


def test_activations_tied_embeddings_and_recurrent_layers_are_no_loops():
    activation = Run(
        lambda self, x: self.act(self.drop(self.b(self.act(self.drop(self.a(x)))))),
        a=nn.Linear(4, 4), b=nn.Linear(4, 4), act=nn.ReLU(), drop=nn.Dropout(0.1),
    )  # fmt: skip
    assert outcome(activation).kept == "no layer with weights runs more than once"
    tied = Run(lambda self, x: self.head(self.embed(x)), embed=nn.Embedding(9, 4), head=nn.Linear(4, 9))
    tied.head.weight = tied.embed.weight
    assert outcome(tied, example=torch.tensor([[1, 2, 3]])).verdict is Verdict.KEPT
    assert outcome(nn.LSTM(4, 4), example=torch.randn(3, 5, 4)).verdict is Verdict.KEPT


class Stacked(nn.Module):
    """Weights of several layers in one parameter; `parts` are those that the layers read, in their order."""

    def __init__(self, parts, count):
        super().__init__()
        self.parts = parts
        self.w = nn.Parameter(torch.randn(count, 4, 4))

    def forward(self, x):
        for part in self.parts:
            x = x @ self.w[part]
        return x


def test_parts_of_a_parameter_are_read_once_each():
    assert outcome(Stacked(range(3), 3)).kept == "no layer with weights runs more than once"
    assert outcome(Stacked([0] * 10, 3)).verdict is Verdict.BROKEN
    assert outcome(Stacked([*range(3)] * 2, 3)).found == 2
    fused = Run(
        lambda self, x: F.linear(x, self.qkv.weight[:4]) + F.linear(x, self.qkv.weight[4:]), qkv=nn.Linear(4, 8)
    )
    assert outcome(fused).verdict is Verdict.KEPT
    table = Run(lambda self, x: x + self.at.weight[torch.zeros(9, dtype=torch.long)].mean(0), at=nn.Embedding(2, 4))
    assert outcome(table).found == 1


def test_on_selects_the_layers_that_count():
    model = Run(lambda self, x: self.once(self.often(self.often(x))), often=nn.Linear(4, 4), once=nn.Linear(4, 4))
    assert outcome(model, MaxCalls(limit=1, on="once")).verdict is Verdict.KEPT
    assert outcome(model, MaxCalls(limit=1, on="often")).verdict is Verdict.BROKEN


def test_each_pass_is_judged_where_values_decide():
    def forward(self, x):
        return self.a(self.a(x)) if x.sum() > 0 else self.a(x)

    found = outcome(Run(forward, a=nn.Linear(4, 4)))
    assert found.verdict is Verdict.BROKEN
    assert outcome(Run(lambda self, x: self.a(x) if x.sum() > 0 else self.b(x), a=nn.Linear(4, 4), b=nn.Linear(4, 4)))


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="`limit` must be at least 1"):
        MaxCalls(limit=0)
