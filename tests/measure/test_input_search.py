"""Inferred inputs: of the layer that receives them, in the size that every parameter needs, for each argument."""

from __future__ import annotations

from types import MethodType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.foundation.errors import SubjectError
from archcheck.measure.passes import input_search
from archcheck.measure.passes.forward import Passes


def net(forward, **layers):
    """A model whose `forward` is a function, and which registers its layers in this order."""
    model = nn.Module()
    for name, layer in layers.items():
        setattr(model, name, layer)
    model.forward = MethodType(forward, model)
    return model


def inferred(model):
    example, _ = Passes(model.eval()).first(None)
    return [(tuple(each.shape), str(each.dtype).removeprefix("torch.")) for each in example.args]


def image(channels, size):
    return (1, channels, size, size), "float32"


def floats(*shape):
    return shape, "float32"


IDS, ONE = ((1, 16), "int64"), ((1,), "int64")


def cat(*tensors):
    return torch.cat(tensors, 1)


def patches(self, x):
    return self.patch(x).flatten(2).transpose(1, 2)


def parameter(*shape):
    return nn.Parameter(torch.zeros(shape))


ORDER = {
    "the head before the embedding": (
        net(lambda self, x: self.head(self.ids(x)), head=nn.Linear(8, 2), ids=nn.Embedding(50, 8)),
        [IDS],
    ),
    "a convolution before the embedding": (
        net(lambda self, x: self.conv(self.ids(x).mT), conv=nn.Conv1d(8, 8, 3), ids=nn.Embedding(50, 8)),
        [IDS],
    ),
    "a table of positions before the patches": (
        net(
            lambda self, x: patches(self, x) + self.table(torch.arange(patches(self, x).shape[1])),
            table=nn.Embedding(64, 8),
            patch=nn.Conv2d(3, 8, 4, 4),
        ),
        [image(3, 32)],
    ),
    "the decoder before the encoder": (
        net(lambda self, x: self.dec(self.enc(x)), dec=nn.Linear(20, 784), enc=nn.Linear(784, 20)),
        [floats(1, 784)],
    ),
    "layers in a dictionary": (
        net(
            lambda self, x: self.all["out"](self.all["in"](x).mean((2, 3))),
            all=nn.ModuleDict({"out": nn.Linear(8, 2), "in": nn.Conv2d(1, 8, 3)}),
        ),
        [image(1, 28)],
    ),
    "channels last": (
        net(lambda self, x: self.conv(x.mT), head=nn.Linear(9, 9), conv=nn.Conv1d(2, 4, 3)),
        [floats(1, 128, 2)],
    ),
    "no axis of channels": (
        net(lambda self, x: self.conv(x.unsqueeze(1)).sum((2, 3)), conv=nn.Conv2d(1, 4, 3)),
        [floats(1, 28, 28)],
    ),
    "token ids without an embedding": (
        net(lambda self, x: self.head(F.one_hot(x, 10).float()), head=nn.Linear(10, 4)),
        [IDS],
    ),
}

SIZES = {
    "one patch for a table of 49": (
        net(lambda self, x: patches(self, x) + self.pos, patch=nn.Conv2d(3, 8, 32, 32), pos=parameter(1, 49, 8)),
        [image(3, 224)],
    ),
    "a table of 144": (
        net(lambda self, x: patches(self, x) + self.pos, patch=nn.Conv2d(3, 8, 32, 32), pos=parameter(1, 144, 8)),
        [image(3, 384)],
    ),
    "a bias of 2x2 positions": (
        net(
            lambda self, x: F.max_pool2d(self.conv(x), 32) + self.bias,
            conv=nn.Conv2d(3, 8, 3, padding=1),
            bias=parameter(8, 2, 2),
        ),
        [image(3, 64)],
    ),
    "a bias of a channel": (
        net(lambda self, x: self.conv(x) + self.bias, conv=nn.Conv2d(3, 8, 3), bias=parameter(1, 8, 1, 1)),
        [image(3, 32)],
    ),
    "distances to prototypes": (
        net(lambda self, x: self.head(x)[:, None] - self.table, head=nn.Linear(7, 8), table=parameter(5, 8)),
        [floats(1, 7)],
    ),
    "rows of one image as samples": (
        net(
            lambda self, x: self.head(self.conv(x).reshape(-1, 4 * 14 * 14)),
            conv=nn.Conv2d(3, 4, 2, 2),
            head=nn.Linear(4 * 14 * 14, 2),
        ),
        [image(3, 28)],
    ),
    "512 tokens": (
        net(lambda self, x: self.ids(x) + self.pos, ids=nn.Embedding(50, 8), pos=parameter(1, 512, 8)),
        [((1, 512), "int64")],
    ),
    "ten positions at most": (
        net(
            lambda self, x: self.ids(x) + self.pos(torch.arange(x.shape[1])),
            ids=nn.Embedding(50, 8),
            pos=nn.Embedding(10, 8),
        ),
        [((1, 10), "int64")],
    ),
    "a second of sound": (
        net(
            lambda self, x: self.head(self.conv(x.unsqueeze(1)).flatten(1)),
            conv=nn.Conv1d(1, 4, 80, 16),
            head=nn.Linear(4 * 996, 2),
        ),
        [floats(1, 16000)],
    ),
    "patches of a linear layer": (
        net(
            lambda self, x: self.head(F.unfold(x, 16, stride=16).mT) + self.pos,
            head=nn.Linear(768, 8),
            pos=parameter(1, 196, 8),
        ),
        [image(3, 224)],
    ),
}


def flat(channels, size):
    body = nn.Sequential(nn.Conv2d(channels, 4, 3, 2), nn.Conv2d(4, 4, 3, 2), nn.Flatten())
    return nn.Sequential(body, nn.Linear(body(torch.zeros(1, channels, size, size)).numel(), 2))


SIZES |= {f"{size} pixels": (flat(3, size), [image(3, size)]) for size in (48, 100, 150, 256, 299, 384, 512)}
SIZES |= {"four frames of a game": (flat(4, 84), [image(4, 84)])}


def seq2seq(self, src, tgt):
    return self.head(self.body(self.a(src), self.b(tgt)))


def noise(self, x, t):
    return self.conv(x) + self.time(t[:, None] * torch.arange(4.0))[:, :, None, None]


def packed(self, x, lengths):
    return self.rnn(nn.utils.rnn.pack_padded_sequence(self.ids(x), lengths, batch_first=True))[1]


def edges(self, x, edge_index):
    nodes = self.head(x)
    return torch.zeros_like(nodes).index_add(0, edge_index[1], nodes[edge_index[0]])


SEVERAL = {
    "an image and a text": (
        net(
            lambda self, image, text: self.conv(image).mean((2, 3)) * self.ids(text).mean(1),
            conv=nn.Conv2d(3, 8, 3),
            ids=nn.Embedding(50, 8),
        ),
        [image(3, 32), IDS],
    ),
    "two images of one size": (
        net(
            lambda self, a, b: self.one(a) - self.one(b),
            one=nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 94 * 94, 5)),
        ),
        [image(1, 96)] * 2,
    ),
    "an encoder and a decoder": (
        net(
            seq2seq,
            head=nn.Linear(8, 50),
            a=nn.Embedding(50, 8),
            b=nn.Embedding(60, 8),
            body=nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        ),
        [IDS, IDS],
    ),
    "a time step": (net(noise, time=nn.Linear(4, 4), conv=nn.Conv2d(3, 4, 3)), [image(3, 32), ONE]),
    "a mask of positions": (
        net(
            lambda self, ids, mask: self.body(self.ids(ids), src_key_padding_mask=~mask),
            ids=nn.Embedding(50, 8),
            body=nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        ),
        [IDS, ((1, 16), "bool")],
    ),
    "a mask of an image": (
        net(lambda self, x, mask: self.conv(cat(x, mask)), conv=nn.Conv2d(4, 3, 3)),
        [image(3, 32), image(1, 32)],
    ),
    "nodes and their adjacency": (
        net(lambda self, x, adj: adj @ self.head(x), head=nn.Linear(5, 8)),
        [floats(16, 5), floats(16, 16)],
    ),
    "nodes and edges": (net(edges, head=nn.Linear(5, 8)), [floats(16, 5), ((2, 16), "int64")]),
    "a sequence and its length": (
        net(packed, ids=nn.Embedding(50, 8), rnn=nn.GRU(8, 8, batch_first=True)),
        [IDS, ONE],
    ),
    "joined before one layer": (
        net(
            lambda self, z, labels: self.head(cat(z, self.ids(labels))), ids=nn.Embedding(9, 10), head=nn.Linear(110, 7)
        ),
        [floats(1, 100), ONE],
    ),
    "joined in two places": (
        net(lambda self, x, c: self.dec(cat(self.enc(cat(x, c)), c)), dec=nn.Linear(30, 784), enc=nn.Linear(794, 20)),
        [floats(1, 784), floats(1, 10)],
    ),
    "two layers of their own": (
        net(lambda self, u, v: self.a(u) + self.b(v), b=nn.Linear(5, 4), a=nn.Linear(7, 4)),
        [floats(1, 7), floats(1, 5)],
    ),
    "optional arguments left out": (
        net(lambda self, x, mask=None, *, scale=1.0: self.conv(x) * scale, conv=nn.Conv2d(3, 4, 3)),
        [image(3, 32)],
    ),
    "all arguments optional": (
        net(lambda self, ids=None, labels=None: self.ids(ids), head=nn.Linear(8, 9), ids=nn.Embedding(9, 8)),
        [IDS],
    ),
}


@pytest.mark.parametrize(("model", "wanted"), ORDER.values(), ids=ORDER)
def test_the_layer_that_receives_the_input_tells_it(model, wanted):
    assert inferred(model) == wanted


@pytest.mark.parametrize(("model", "wanted"), SIZES.values(), ids=SIZES)
def test_the_size_is_one_at_which_every_parameter_is_used(model, wanted):
    assert inferred(model) == wanted


@pytest.mark.parametrize(("model", "wanted"), SEVERAL.values(), ids=SEVERAL)
def test_each_argument_gets_its_input(model, wanted):
    assert inferred(model) == wanted


def test_the_note_names_the_layers_that_receive_the_inputs():
    models = ORDER["layers in a dictionary"][0], SEVERAL["an image and a text"][0]
    single, several = (Passes(model).first(None)[0].note for model in models)
    assert single == "input 1x1x28x28 (float32) inferred from the first layer, Conv2d `all.in`"
    assert several == (
        "inputs `image` 1x3x32x32 (float32), `text` 1x16 (int64) inferred from Conv2d `conv`, Embedding `ids`"
    )


def test_what_cannot_be_found_is_named_with_the_options_to_give():
    def forward(self, image, settings):
        return self.conv(image) * settings.scale

    with pytest.raises(SubjectError) as caught:
        Passes(net(forward, conv=nn.Conv2d(3, 4, 3))).first(None)
    named = "no usual input fits `settings` of `forward(image, settings)`; give every input in this order, as in "
    assert f"{named}`--input 1,3,32,32 --input SHAPE:DTYPE`" in str(caught.value)
    assert "see `archcheck explain inputs`" in str(caught.value)


def test_the_first_input_that_fits_needs_one_pass(monkeypatch):
    tries = []
    attempt = Passes.attempt
    monkeypatch.setattr(Passes, "attempt", lambda *args, **kwargs: tries.append(1) or attempt(*args, **kwargs))
    assert inferred(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))) == [image(3, 32)]
    assert len(tries) == 1


def test_a_search_ends(monkeypatch):
    tries = []
    attempt = Passes.attempt
    monkeypatch.setattr(Passes, "attempt", lambda *args, **kwargs: tries.append(1) or attempt(*args, **kwargs))
    with pytest.raises(SubjectError, match="no usual input size fits"):
        inferred(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 2)))
    assert len(tries) <= input_search.TRIES + input_search.REAL_TRIES * 2
