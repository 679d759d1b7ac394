"""Sequences of many lengths, and transformers by every path that torch has for them."""

from __future__ import annotations

import pytest
import torch
from networks import Apply, zeros
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from archcheck.measure import measure_model

LENGTHS = [5, 3, 2]
LSTM_WEIGHTS = 4 * 4 * (3 + 4)


class Tagger(nn.Module):
    """A recurrent network over sequences whose lengths are an input or a constant."""

    def __init__(self, layer, lengths=None, *, is_sorted=True):
        super().__init__()
        self.layer, self.lengths, self.is_sorted = layer, lengths, is_sorted
        self.head = nn.Linear(4, 2)

    def forward(self, x, lengths=None):
        lengths = lengths if self.lengths is None else self.lengths
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.is_sorted)
        out, _ = self.layer(packed)
        padded, _ = pad_packed_sequence(out, batch_first=True)
        return self.head(padded)


def lstm():
    return nn.LSTM(3, 4, batch_first=True)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Tagger(lstm()), (zeros(3, 5, 3), torch.tensor(LENGTHS))),
        (Tagger(lstm(), LENGTHS), (zeros(3, 5, 3),)),
        (Tagger(lstm(), torch.tensor(LENGTHS)), (zeros(3, 5, 3),)),
        (Tagger(lstm(), is_sorted=False), (zeros(3, 5, 3), torch.tensor([2, 5, 3]))),
    ],
)
def test_only_the_steps_that_are_left_after_packing_count(model, inputs):
    facts = measure_model(model, example=inputs)
    assert facts.cost.macs == sum(LENGTHS) * LSTM_WEIGHTS + 3 * 5 * 4 * 2
    assert facts.params.total == LSTM_WEIGHTS + 2 * 16 + 4 * 2 + 2
    assert facts.params.unused == ()
    assert facts.shape.outputs[0].shape == (3, 5, 2)
    assert facts.subject.notes == ()


def test_lengths_that_come_as_floats_are_read_from_real_tensors():
    facts = measure_model(Tagger(lstm()), example=(zeros(3, 5, 3), torch.tensor(LENGTHS).float()))
    assert facts.cost.macs == sum(LENGTHS) * LSTM_WEIGHTS + 3 * 5 * 4 * 2
    assert "measured on real tensors: shapes alone were not enough" in facts.subject.notes


def test_states_that_are_handed_on_are_inputs_and_outputs():
    facts = measure_model(nn.LSTM(3, 4), example=(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 4))))
    assert [tensor.shape for tensor in facts.shape.inputs] == [(5, 2, 3), (1, 2, 4), (1, 2, 4)]
    assert [tensor.shape for tensor in facts.shape.outputs] == [(5, 2, 4), (1, 2, 4), (1, 2, 4)]


def test_a_cell_in_a_loop_counts_every_step():
    def forward(self, x):
        state = None
        for step in x:
            state = self.cell(step, state)
        return state[0]

    facts = measure_model(Apply(forward, cell=nn.LSTMCell(3, 4)), example=zeros(5, 2, 3))
    assert facts.cost.macs == 5 * 2 * LSTM_WEIGHTS
    assert facts.layer("cell").calls == 5


# --- transformers ----------------------------------------------------------------------------------------------

ATTENTION = 4 * 5 * 8 * 8 + 2 * (2 * 5 * 5 * 4)  # 5 tokens of 8 features, 2 heads
ATTENTION_WEIGHTS = 3 * (8 * 8 + 8) + 8 * 8 + 8
LAYER = ATTENTION + 2 * 5 * 8 * 16
LAYER_WEIGHTS = ATTENTION_WEIGHTS + 8 * 16 + 16 + 16 * 8 + 8 + 2 * (8 + 8)


@pytest.mark.parametrize(
    "options", [{}, {"need_weights": False}, {"need_weights": True, "average_attn_weights": False}]
)
@pytest.mark.parametrize("mask", [None, torch.tensor([[False, False, False, False, True]])])
def test_multi_head_attention_counts_the_same_by_every_path(options, mask):
    def forward(self, x):
        return self.layer(x, x, x, key_padding_mask=mask, **options)[0]

    facts = measure_model(Apply(forward, layer=nn.MultiheadAttention(8, 2, batch_first=True)), example=zeros(1, 5, 8))
    assert facts.cost.macs == ATTENTION
    assert facts.cost.uncounted == ()
    assert facts.params.total == ATTENTION_WEIGHTS
    assert facts.params.unused == ()


def encoder(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=not options)


PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.layer(x),
        lambda self, x: self.layer(x, src_key_padding_mask=PADDING),
        lambda self, x: self.layer(x, src_key_padding_mask=torch.zeros(2, 5)),
        lambda self, x: self.layer(x, mask=nn.Transformer.generate_square_subsequent_mask(5), is_causal=True),
    ],
)
@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"activation": "gelu"}])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_an_encoder_counts_the_same_by_every_path(forward, options, mode):
    model = Apply(forward, layer=encoder(**options))
    facts = measure_model(model, example=zeros(2, 5, 8))
    assert sum(op.macs for op in facts.executed(mode)) == 2 * 2 * LAYER  # two sequences, two layers
    assert facts.params.total == 2 * LAYER_WEIGHTS
    assert facts.params.unused == ()
    assert facts.cost.uncounted == ()
    kinds = [op.kind for op in facts.executed(mode)]
    assert kinds.count("layer_norm") == 4
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_mask_of_an_encoder_may_be_an_input():
    model = Apply(lambda self, x, mask: self.layer(x, src_key_padding_mask=mask), layer=encoder())
    facts = measure_model(model, example=(zeros(2, 5, 8), PADDING), confirm=True)
    assert facts.cost.macs == 2 * 2 * LAYER
    assert facts.shape.outputs[0].shape == (2, 5, 8)


def test_a_whole_transformer():
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    facts = measure_model(model, example=(zeros(1, 5, 8), zeros(1, 7, 8)))
    source = LAYER
    target = 4 * 7 * 8 * 8 + 2 * (2 * 7 * 7 * 4) + 2 * 7 * 8 * 16
    across = 2 * 7 * 8 * 8 + 2 * 5 * 8 * 8 + 2 * (2 * 7 * 5 * 4)
    assert facts.cost.macs == source + target + across
    norms = 2 * (8 + 8)  # one behind each stack
    assert facts.params.total == LAYER_WEIGHTS + (LAYER_WEIGHTS + ATTENTION_WEIGHTS + 8 + 8) + norms
    assert facts.params.unused == ()
