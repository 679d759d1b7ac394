"""A layer takes effect if the outputs change when it returns other numbers: every kind of layer, and fakes."""

from __future__ import annotations

import pytest
import torch
from networks import Apply, Honoured
from torch import nn

from archcheck.facts.records import PARANOID
from archcheck.measure import measure_model

IMAGE, ROWS, SERIES, TOKENS = torch.rand(2, 3, 8, 8), torch.rand(4, 6), torch.rand(2, 5, 8), torch.arange(10).view(2, 5)


def acts(forward, example, kind, **parts):
    """Return whether the operations of a kind in `probe` take effect, in evaluation and in training."""
    torch.manual_seed(0)
    model = Apply(forward, **{name: part() if callable(part) else part for name, part in PARTS.items()} | parts)
    facts = measure_model(model, example=example, needs=[PARANOID], confirm=True)
    ops = [op for mode in ("eval", "train") for op in facts.executed(mode) if op.kind == kind and "probe" in op.layer]
    return {op.live and not op.attributes.get("idle", False) for op in ops}


PARTS = {"conv": lambda: nn.Conv2d(3, 3, 3, padding=1), "fc": lambda: nn.Linear(6, 6), "mix": lambda: nn.Linear(8, 8)}


def hooked(self, x):
    other = self.probe(x) * 1e-12
    if other.requires_grad:
        other.register_hook(lambda gradient: gradient * 1e12)
    return self.fc(x) + other


def sometimes(self, x):
    return self.fc(x) + self.probe(x).relu() * (x > 1e9)


CONV = (IMAGE, "conv", lambda: nn.Conv2d(3, 3, 3, padding=1))
LINEAR = (ROWS, "linear", lambda: nn.Linear(6, 6))
RELU = (ROWS, "relu", nn.ReLU)
GRU = (SERIES, "gru", lambda: nn.GRU(8, 8, batch_first=True))
EMBEDDING = (TOKENS, "embedding", lambda: nn.Embedding(10, 4))
NONE = torch.zeros(8, 8, dtype=torch.bool)

FAKES = {
    "times next to nothing": (lambda self, x: self.conv(x) + 1e-7 * self.probe(x), CONV),
    "sliced off": (lambda self, x: torch.cat([self.conv(x), self.probe(x)], 1)[:, :3], CONV),
    "subtracted again": (lambda self, x: self.conv(x) + self.probe(x) - self.probe(x), CONV),
    "less itself, detached": (lambda self, x: self.fc(x) + (y := self.probe(x)) - y.detach(), LINEAR),
    "a softmax of one": (lambda self, x: self.conv(x) * self.probe(x)[..., None].softmax(-1)[..., 0], CONV),
    "where nothing is": (lambda self, x: torch.where(x > 1e9, self.probe(x), self.conv(x)), CONV),
    "masked": (lambda self, x: torch.where(NONE, self.probe(x), self.conv(x)), CONV),
    "clamped to a number": (lambda self, x: self.conv(x) + self.probe(x).clamp(0.5, 0.5), CONV),
    "for its shape": (lambda self, x: self.conv(x) + torch.ones_like(self.probe(x)), CONV),
    "outdone": (lambda self, x: torch.maximum(self.conv(x), self.probe(x) - 1e9), CONV),
    "averaged away": (lambda self, x: self.conv(x) + (y := self.probe(x)).mean() - y.mean(), CONV),
    "a false backward": (lambda self, x: Honoured.apply(self.fc(x), self.probe(x)), LINEAR),
    "a hook": (hooked, LINEAR),
    "of the impossible": (sometimes, LINEAR),
    "a gate that is open for ever": (lambda self, x: self.fc(x) * (self.probe(x) + 1000).sigmoid(), LINEAR),
    "a shift of a softmax": (lambda self, x: (self.fc(x) + self.probe(x).sum(1, keepdim=True)).softmax(1), LINEAR),
    "a state that is outdone": (lambda self, x: torch.maximum(self.mix(x).sigmoid(), self.probe(x)[0] - 9), GRU),
    "tokens that are not": (
        lambda self, t: torch.where(t[..., None] < 0, self.probe(t), t[..., None] / 9.0),
        EMBEDDING,
    ),
    "a ReLU of sizes": (lambda self, x: self.probe(self.fc(x).abs()), RELU),
    "a ReLU of probabilities": (lambda self, x: self.fc(self.probe(self.fc(x).sigmoid())), RELU),
    "a ReLU far from zero": (lambda self, x: self.probe(self.fc(x) + 1e4) - 1e4, RELU),
}


@pytest.mark.parametrize("name", FAKES)
def test_a_layer_that_changes_no_output_is_without_effect(name):
    forward, (example, kind, probe) = FAKES[name]
    assert acts(forward, example, kind, probe=probe()) == {False}


def closed(bias):
    layer = nn.Linear(6, 6)
    nn.init.constant_(layer.bias, bias)
    return layer


def zero(layer):
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def routed(self, x):
    gates = self.gate(x)
    chosen = torch.zeros_like(gates).scatter(1, gates.topk(1).indices, 1.0) * gates.softmax(1)
    return chosen[:, :1] * self.probe(x) + chosen[:, 1:] * self.fc(x)


ATTENTION = (SERIES, "linear", lambda: nn.MultiheadAttention(8, 2, batch_first=True))
MORE = {
    "a zero branch": (lambda self, x: x + self.last(self.probe(x)), CONV, {"last": lambda: zero(nn.Conv2d(3, 3, 1))}),
    "a scale of layers": (
        lambda self, x: x + self.gate * self.probe(x),
        CONV,
        {"gate": lambda: nn.Parameter(torch.full((3, 1, 1), 1e-6))},
    ),
    "rezero": (lambda self, x: x + self.gate * self.probe(x), LINEAR, {"gate": lambda: nn.Parameter(torch.zeros(()))}),
    "a closed gate": (
        lambda self, x: x + self.gate.sigmoid() * self.probe(x),
        LINEAR,
        {"gate": lambda: nn.Parameter(torch.tensor(-20.0))},
    ),
    "a gate with a bias": (
        lambda self, x: x + self.gate(x).sigmoid() * self.probe(x),
        LINEAR,
        {"gate": lambda: closed(-15.0)},
    ),
    "a dead ReLU": (lambda self, x: x + self.gate(self.probe(x)).relu(), LINEAR, {"gate": lambda: closed(-15.0)}),
    "a ReLU that begins open": (lambda self, x: self.probe(self.gate(x)), RELU, {"gate": lambda: closed(15.0)}),
    "a last layer of 0": (lambda self, x: self.gate(self.probe(x)), LINEAR, {"gate": lambda: zero(nn.Linear(6, 2))}),
    "without gradients": (lambda self, x: self.fc(torch.no_grad()(self.probe)(x)), LINEAR, {}),
    "detached": (lambda self, x: self.fc(self.probe(x).detach()), LINEAR, {}),
    "straight-through": (lambda self, x: self.fc((y := self.probe(x)) + (y.round() - y).detach()), LINEAR, {}),
    "signs": (lambda self, x: self.fc(self.probe(x).sign()), LINEAR, {}),
    "a choice of codes": (
        lambda self, x: self.codes(torch.cdist(self.probe(x), self.codes.weight).argmin(1)),
        LINEAR,
        {"codes": lambda: nn.Embedding(20, 6)},
    ),
    "a hundredth": (lambda self, x: self.fc(x) + 0.01 * self.probe(x), LINEAR, {}),
    "an expert": (routed, LINEAR, {"gate": lambda: nn.Linear(6, 2)}),
    "positions": (lambda self, t: t[..., None] + self.probe(torch.arange(5)), EMBEDDING, {}),
    "an attention": (lambda self, x: self.probe(x, x, x)[0], ATTENTION, {}),
    "the last state": (lambda self, x: self.mix(self.probe(x)[1][-1]), GRU, {}),
    "in training alone": (lambda self, x: (x, self.probe(x)) if self.training else x, LINEAR, {}),
    "in place": (lambda self, x: self.fc(self.probe(self.fc(x))), (ROWS, "relu", lambda: nn.ReLU(inplace=True)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_a_layer_that_may_change_an_output_takes_effect(name):
    forward, (example, kind, probe), parts = MORE[name]
    assert acts(forward, example, kind, probe=probe(), **{each: part() for each, part in parts.items()}) == {True}


def test_parameters_are_used_even_if_a_single_position_needs_none():
    def forward(self, x):
        return (self.probe(x) @ self.mix(x).mT).softmax(-1) @ x

    torch.manual_seed(0)
    model = Apply(forward, probe=nn.Linear(8, 8), mix=nn.Linear(8, 8))
    facts = measure_model(model, example=torch.rand(2, 1, 8), needs=[PARANOID])
    assert facts.params.unused == ()


@pytest.mark.parametrize(
    ("kind", "layer", "forward"),
    [
        ("batch_norm", lambda: nn.BatchNorm2d(3), lambda self, x: self.conv(x) + self.probe(torch.ones_like(x))),
        ("batch_norm", lambda: nn.BatchNorm2d(3), lambda self, x: self.conv(x) + self.probe(x.new_full(x.shape, 2.0))),
    ],
)
def test_a_layer_that_no_input_reaches_takes_no_effect(kind, layer, forward):
    assert True not in acts(forward, IMAGE, kind, probe=layer())


@pytest.mark.parametrize(
    ("kind", "layer", "forward"),
    [
        ("batch_norm", lambda: nn.BatchNorm2d(3), lambda self, x: self.conv(self.probe(x * torch.ones_like(x)))),
        ("dropout", lambda: nn.Dropout(0.1), lambda self, x: self.conv(x) * self.probe(torch.ones_like(x))),
    ],
)
def test_a_layer_that_an_input_reaches_takes_effect(kind, layer, forward):
    assert True in acts(forward, IMAGE, kind, probe=layer())
