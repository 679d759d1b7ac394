"""Data flow through memory that is written to, and what is a hidden weight and what is not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.measure import measure_model


def params(model, *inputs):
    return measure_model(model, example=inputs).params


class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.dec = nn.Linear(3, 3), nn.Linear(3, 3)
        self.register_buffer("memory", torch.zeros(2, 3))

    def forward(self, x):
        self.memory.copy_(self.enc(x))
        return self.dec(self.memory)


class KeyCache(Memory):
    def forward(self, x):
        self.memory[:1] = self.enc(x)[:1]
        return self.dec(self.memory)


class Accumulate(Memory):
    def forward(self, x):
        out = torch.zeros(2, 3)
        out += self.enc(x)
        out[:, :2] += self.dec(x)[:, :2]
        return out


@pytest.mark.parametrize("model", [Memory(), KeyCache(), Accumulate()], ids=lambda model: type(model).__name__)
def test_weights_whose_results_go_through_written_memory_are_used(model):
    assert params(model, zeros(2, 3)).unused == ()


def test_a_value_read_from_written_memory_is_a_bound_and_said_to_be_one():
    def forward(self, x):
        out = torch.zeros(2, 3)
        out[:, 0] = self.a(x)[:, 0] + 5
        return self.a(x) if out.sum() > 0 else x

    facts = measure_model(Apply(forward, a=nn.Linear(3, 3)), example=zeros(2, 3))
    assert any("is_nonzero" in note for note in facts.subject.notes)
    facts = measure_model(Apply(forward, a=nn.Linear(3, 3)), example=zeros(2, 3), confirm=True)
    assert facts.params.unused == ()


MASK = torch.triu(torch.full((5, 5), -float("inf")), 1)
TABLE = torch.randn(10, 4)
STATE = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)


@pytest.mark.parametrize(
    ("forward", "inputs"),
    [
        (lambda self, x: self.a(x, (torch.randn(1, 2, 4), torch.randn(1, 2, 4)))[0], [zeros(5, 2, 3)]),
        (lambda self, x: self.a(x, STATE)[0], [zeros(5, 2, 3)]),
        (lambda self, x: F.scaled_dot_product_attention(x, x, x, attn_mask=MASK), [zeros(2, 5, 8)]),
        (lambda self, x: x + torch.randn_like(x), [zeros(2, 3)]),
        (lambda self, x: x * torch.tensor([0.229, 0.224, 0.225]), [zeros(2, 3)]),
    ],
)
def test_states_masks_noise_and_scales_are_no_hidden_weights(forward, inputs):
    assert params(Apply(forward, a=nn.LSTM(3, 4)), *inputs).hidden == ()


@pytest.mark.parametrize(
    ("forward", "inputs", "elements"),
    [
        (lambda self, x: TABLE[x], [torch.tensor([1, 2])], 40),
        (lambda self, x: (TABLE + 1).reshape(-1, 4)[x], [torch.tensor([1, 2])], 40),
        (lambda self, x: F.embedding(x, TABLE), [torch.tensor([1, 2])], 40),
        (lambda self, x: x @ TABLE, [zeros(2, 10)], 40),
        (lambda self, x: x @ (TABLE * 2).t(), [zeros(2, 4)], 40),
        (lambda self, x: F.conv2d(x, TABLE.view(10, 1, 2, 2)), [zeros(1, 1, 4, 4)], 40),
        (lambda self, x: x @ torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), [zeros(2, 3)], 12),
    ],
)
def test_tables_and_products_with_constants_are_hidden_weights(forward, inputs, elements):
    assert params(Apply(forward), *inputs).hidden_total == elements


def test_weights_hidden_in_either_mode_are_counted_once():
    other = torch.randn(4, 4)

    def forward(self, x):
        x = x @ TABLE
        return x @ other if self.training else x

    assert params(Apply(forward), zeros(2, 10)).hidden_total == 40 + 16


def test_what_only_training_uses_is_used():
    def forward(self, x):
        return self.a(x) + self.aux(x) if self.training else self.a(x)

    assert params(Apply(forward, a=nn.Linear(3, 3), aux=nn.Linear(3, 3)), zeros(2, 3)).unused == ()


def test_a_product_of_two_activations_is_no_linear_layer():
    facts = measure_model(Apply(lambda self, x: x @ x.t()), example=zeros(2, 3))
    assert [op.kind for op in facts.ops] == ["input", "permute", "matmul"]
    facts = measure_model(Apply(lambda self, x: torch.ones(2, 2) @ torch.ones(2, 2) + x), example=zeros(2, 2))
    assert "linear" not in [op.kind for op in facts.ops]
