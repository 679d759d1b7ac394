"""Operations without effect are found for every normalisation, and the search changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archcheck.facts.records import PARANOID
from archcheck.measure import measure_model
from archcheck.measure.passes.forward import Passes
from archcheck.measure.second_look.perturbed_parameters import perturbed
from tests.measure.networks import Apply

NORMS = {
    "batch_norm": nn.BatchNorm1d(4),
    "group_norm": nn.GroupNorm(2, 4),
    "instance_norm": nn.InstanceNorm1d(4),
    "layer_norm": nn.LayerNorm(5),
    "rms_norm": nn.RMSNorm(5),
}


class Outdone(nn.Module):
    """Normalises, and takes the larger number, which is never the normalised one."""

    def __init__(self, norm, less):
        super().__init__()
        self.conv, self.norm, self.less = nn.Conv1d(4, 4, 1), norm, less

    def forward(self, x):
        x = self.conv(x)
        return torch.maximum(x, self.norm(x) - self.less)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize(("less", "has_effect"), [(1e9, False), (0.0, True)])
def test_a_normalisation_that_is_outdone_reaches_no_output(kind, less, has_effect):
    facts = measure_model(Outdone(NORMS[kind], less), example=torch.rand(2, 4, 5), needs=[PARANOID])
    assert [op.live for op in facts.ops if op.kind == kind] == [has_effect]


def test_a_second_look_restores_the_parameters():
    model = Outdone(nn.BatchNorm1d(4), 1e9)
    model.conv.bias.requires_grad_(False)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    measure_model(model, example=torch.rand(2, 4, 5), needs=[PARANOID])
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == ["conv.bias"]
    assert not any(each.requires_grad for each in model.buffers())


def quantised(x):
    return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


NUMBERS = {
    "floats of eight bits": (lambda self, x: self.fc(x.float()), torch.rand(2, 4).to(torch.float8_e4m3fn)),
    "which decide": (
        lambda self, x: self.fc(x.float()) * (2 if x.float().mean() > 0.5 else 1),
        torch.rand(2, 4).to(torch.float8_e5m2),
    ),
    "conjugated": (lambda self, x: self.fc(x.real), torch.rand(2, 4, dtype=torch.complex64).conj()),
    "quantised": (lambda self, x: self.fc(x.dequantize()), quantised(torch.rand(2, 4))),
    "quantised outputs": (lambda self, x: quantised(self.fc(x)), torch.rand(2, 4)),
    "compressed outputs": (lambda self, x: self.fc(x).to_sparse_csr(), torch.rand(2, 4)),
    "sparse outputs": (lambda self, x: self.fc(x).to_sparse(), torch.rand(2, 4)),
    "complex outputs": (lambda self, x: torch.fft.fft(self.fc(x)), torch.rand(2, 4)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_any_sort_are_looked_at(name):
    forward, example = NUMBERS[name]
    facts = measure_model(Apply(forward, fc=nn.Linear(4, 3)), example=example, needs=[PARANOID], confirm=True)
    assert [op.live for mode in ("eval", "train") for op in facts.executed(mode) if op.kind == "linear"] == [True] * 2
    assert facts.params.unused == ()
    assert not any("failed" in note for note in facts.subject.notes)


def test_parameters_near_zero_are_moved_far_and_others_a_little():
    model = nn.Module()
    model.scale = nn.Parameter(torch.full((8,), 1e-6))
    model.weight = nn.Parameter(torch.ones(8))
    model.frozen = nn.Parameter(torch.zeros(8), requires_grad=False)
    with perturbed(Passes(model)):
        assert model.scale.abs().max() > 1e-3
        assert 1 < model.weight.max() <= 1.01
        assert not model.frozen.any()
    assert torch.equal(model.scale, torch.full((8,), 1e-6))
