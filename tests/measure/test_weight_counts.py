"""How weights are counted: tied and frozen tensors, buffers, views of one storage, bytes of each dtype."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.measure import measure_model

TOKENS = torch.tensor([[1, 2, 3]])


class Tied(nn.Module):
    """An embedding of 10 x 4 whose weight is the weight of the last layer, too."""

    def __init__(self):
        super().__init__()
        self.embed, self.decode = nn.Embedding(10, 4), nn.Linear(4, 10)
        self.decode.weight = self.embed.weight

    def forward(self, x):
        return self.decode(self.embed(x))


def test_a_tied_embedding_counts_once():
    params = measure_model(Tied(), example=TOKENS).params
    assert (params.total, params.bytes) == (50, 200)
    assert params.tied == (("embed.weight", "decode.weight"),)
    assert params.sizes == {"embed.weight": 40, "decode.bias": 10}


def test_a_partly_frozen_net():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    model[1].bias.requires_grad_(False)
    params = measure_model(model, example=zeros(1, 3)).params
    assert (params.total, params.trainable, params.frozen) == (26, 8, 18)


class Buffers(nn.Module):
    """A buffer that is saved, one that is not, one under two names, and the three of BatchNorm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("saved", torch.ones(4))
        self.register_buffer("made", torch.ones(2, 4, dtype=torch.float64), persistent=False)
        self.register_buffer("again", self.saved)

    def forward(self, x):
        return self.norm(x) + self.saved + self.made[0].float()


def test_buffers_count_separately_once_each_persistent_or_not():
    params = measure_model(Buffers(), example=zeros(2, 4)).params
    assert params.total == 8
    assert params.buffers == 4 + 8 + (4 + 4 + 1)
    assert params.hidden == ()
    assert params.bytes_by_dtype == {"float32": 4 * (8 + 4 + 8), "float64": 64, "int64": 8}
    assert list(params.bytes_by_dtype) == ["float32", "float64", "int64"]
    assert params.bytes == 80 + 64 + 8


def test_bytes_of_mixed_precision_count_tied_tensors_once():
    model = Apply(lambda self, x: self.b(self.a(x.half()).float()), a=nn.Linear(3, 4).half(), b=nn.Linear(4, 4))
    model.c = model.a
    params = measure_model(model, example=zeros(2, 3)).params
    assert params.bytes_by_dtype == {"float32": 80, "float16": 32}


@pytest.mark.parametrize("views", [True, False])
def test_parameters_that_share_a_storage_by_views_are_two_tensors(views):
    """Tensors are identified by the object, not by its memory, as in `parameters()`, optimisers and checkpoints."""
    memory = torch.zeros(6, 3)
    halves = (memory[:3], memory[3:]) if views else (torch.zeros(3, 3), torch.zeros(3, 3))
    model = Apply(lambda self, x: F.linear(F.linear(x, self.a), self.b), a=nn.Parameter(halves[0]))
    model.b = nn.Parameter(halves[1])
    params = measure_model(model, example=zeros(2, 3)).params
    assert (params.total, params.bytes, params.tied) == (18, 72, ())


def test_the_weights_survive_json():
    facts = measure_model(Buffers(), example=zeros(2, 4))
    again = Facts.from_json(facts.to_json())
    assert again.params == facts.params
    assert again.params.bytes_by_dtype == facts.params.bytes_by_dtype
    kernel = Apply(lambda self, x: F.conv1d(x, self.k), spare=nn.Dropout(0.5))
    kernel.register_buffer("k", torch.rand(1, 1, 12))
    facts = measure_model(kernel, example=zeros(1, 1, 16))
    again = Facts.from_json(facts.to_json())
    assert again.params.hidden[0].buffer
    assert again.unused_layers == ("spare",)


def test_facts_saved_before_these_fields_existed_can_be_read():
    saved = measure_model(nn.Linear(3, 4), example=zeros(1, 3)).to_json()
    del saved["unused_layers"], saved["params"]["bytes_by_dtype"]
    assert Facts.from_json(saved).params.total == 16


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ((2, 1), [("float64", 16), ("float32", 4)]),
        ((1, 3), [("float32", 12), ("float64", 8)]),
        ((2, 4), [("float32", 16), ("float64", 16)]),
    ],
)
def test_bytes_are_listed_the_most_first_and_then_by_name(elements, expected):
    doubles, floats = elements
    numbers = nn.ParameterList([torch.zeros(doubles, dtype=torch.float64), torch.zeros(floats)])
    model = Apply(lambda self, x: x.relu(), numbers=numbers)
    assert list(measure_model(model, example=zeros(1)).params.bytes_by_dtype.items()) == expected


class Adapted(nn.Module):
    """A body and an adapter, of which `trained` asks for gradients by the mode, before the pass or within."""

    def __init__(self, trained, within):
        super().__init__()
        self.body, self.adapter = nn.Linear(3, 4), nn.Linear(4, 2)
        self.trained, self.within = trained, within
        self.requires_grad_(False)

    def train(self, mode=True):
        if not self.within:
            getattr(self, self.trained).requires_grad_(mode)
        return super().train(mode)

    def forward(self, x):
        if self.within and self.training:
            getattr(self, self.trained).requires_grad_(True)
        return self.adapter(self.body(x))


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("as_made", [False, True])
def test_what_training_unfreezes_is_trained(within, as_made):
    model = Adapted("adapter", within).train(as_made)
    params = measure_model(model, example=zeros(1, 3)).params
    assert (params.total, params.trainable, params.frozen_names) == (26, 10, ("body.weight", "body.bias"))
    assert [tensor.requires_grad for tensor in model.parameters()] == [False, False, *[as_made and not within] * 2]


def test_what_is_frozen_in_training_alone_counts_as_it_comes():
    class Freezes(nn.Linear):
        def train(self, mode=True):
            return super().train(mode).requires_grad_(not mode)

    assert measure_model(Freezes(3, 4), example=zeros(1, 3)).params.trainable == 16
