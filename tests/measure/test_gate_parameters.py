"""Parameters that decide what runs are used; those whose value is only read are not."""

from __future__ import annotations

import pytest
import torch
from networks import Apply
from torch import nn

from archcheck.facts.records import PARANOID
from archcheck.measure import measure_model


def linear(out):
    return nn.Linear(6, out)


def routed(choose):
    torch.manual_seed(0)
    return Apply(choose, gate=linear(3), experts=nn.ModuleList([linear(4), linear(4), linear(4)]))


def branched(then):
    torch.manual_seed(0)
    return Apply(then, gate=linear(1), a=linear(4), b=linear(4))


def rows(self, x):
    return torch.stack([self.experts[int(self.gate(row).argmax())](row) for row in x])


def listed(self, x):
    chosen = self.gate(x).argmax(-1).tolist()
    return torch.stack([self.experts[number](row) for number, row in zip(chosen, x, strict=True)])


def by_if(self, x):
    return self.a(x) if self.gate(x).sum() > 0 else self.b(x)


def by_cond(self, x):
    return torch.cond(self.gate(x).sum() > 0, lambda x: self.a(x), lambda x: self.b(x), (x,))


def early(self, x):
    for _ in range(3):
        if self.halt(torch.relu(self.narrow(x))).mean() > 0:
            break
        x = torch.tanh(self.step(x))
    return self.out(x)


def in_training(self, x):
    return self.b(x) if self.training and self.gate(x).sum() > 0 else self.a(x) + self.b(x)


DECIDING = {
    "expert": lambda: routed(lambda self, x: self.experts[int(self.gate(x).sum(0).argmax())](x)),
    "expert of each row": lambda: routed(rows),
    "expert by a list": lambda: routed(listed),
    "branch": lambda: branched(by_if),
    "cond": lambda: branched(by_cond),
    "exit": lambda: Apply(early, halt=linear(1), narrow=linear(6), step=linear(6), out=linear(4)),
    "branch in training": lambda: branched(in_training),
}


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_is_used(name):
    facts = measure_model(DECIDING[name](), example=torch.rand(5, 6) - 0.5, needs=[PARANOID], confirm=True)
    assert facts.params.unused == ()
    assert facts.unused_layers == ()
    assert facts.passes is None or "gate" not in facts.passes.rare


def same(self, x):
    return self.a(x) + self.b(x) if self.gate(x).sum() > 0 else self.b(x) + self.a(x)


def asserted(self, x):
    assert not self.gate(x).isnan().any()
    return self.a(x) + self.b(x)


def noted(self, x):
    if self.gate(x).sum() > 0:
        self.high = True
    return self.a(x) + self.b(x)


def out_of_reach(self, x):
    return self.a(x) if self.gate(x).sum() > 1e12 else self.a(x) + self.b(x)


@pytest.mark.parametrize("then", [same, asserted, noted, out_of_reach])
def test_what_is_only_looked_at_is_unused(then):
    facts = measure_model(branched(then), example=torch.rand(5, 6) - 0.5, needs=[PARANOID], confirm=True)
    assert facts.params.unused == ("gate.weight", "gate.bias")
    assert facts.unused_layers == ("gate",)


def test_a_gate_that_decides_leaves_another_layer_unused():
    model = branched(by_if)
    model.idle = linear(2)
    facts = measure_model(model, example=torch.rand(5, 6) - 0.5, confirm=True)
    assert facts.params.unused == ("idle.weight", "idle.bias")
    assert facts.unused_layers == ("idle",)
