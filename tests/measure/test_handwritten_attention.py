"""Attention is recognised however it is written, and what only looks like it is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck.measure import measure_model
from tests.measure.networks import Apply

SERIES = torch.rand(2, 5, 8)


def counted(model, example=SERIES):
    """Return how many attentions run in evaluation, and in training."""
    facts = measure_model(model, example=example, confirm=True)
    return [sum(op.kind == "attention" and op.live for op in facts.executed(mode)) for mode in ("eval", "train")]


def heads(self, x):
    query, key, value = (layer(x).view(2, 5, 2, 4).transpose(1, 2) for layer in (self.query, self.key, self.value))
    scores = (query @ key.mT / 2).masked_fill(torch.ones(5, 5).triu(1) > 0, float("-inf"))
    return (self.drop(F.softmax(scores, -1)) @ value).transpose(1, 2).reshape(2, 5, 8)


def talking_heads(self, x):
    query, key, value = (layer(x).view(2, 5, 2, 4).transpose(1, 2) for layer in (self.query, self.key, self.value))
    scores = self.heads((query @ key.mT).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return (scores.softmax(-1) @ value).transpose(1, 2).reshape(2, 5, 8)


def summed(self, x):
    query, key, value = (layer(x).view(2, 5, 2, 4) for layer in (self.query, self.key, self.value))
    scores = torch.einsum("bihd,bjhd->bhij", query, key).softmax(-1)
    return torch.einsum("bhij,bjhd->bihd", scores, value).reshape(2, 5, 8)


def scored(self, x):
    return self.query(x) @ self.key(x).mT


def exponentials(self, x):
    scores = scored(self, x)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True) @ self.value(x)


def divided_late(self, x):
    weights = scored(self, x).exp()
    return (weights @ self.value(x)) / weights.sum(-1, keepdim=True)


def less_logsumexp(self, x):
    scores = scored(self, x)
    return (scores - scores.logsumexp(-1, keepdim=True)).exp() @ self.value(x)


def element_by_element(self, x):
    scores = (self.query(x)[:, :, None] * self.key(x)[:, None]).sum(-1)
    return (scores.softmax(-1)[..., None] * self.value(x)[:, None]).sum(2)


def query_by_query(self, x):
    query, key, value = self.query(x), self.key(x), self.value(x)
    weights = [(query[:, row : row + 1] * key).sum(-1).softmax(-1) for row in range(5)]
    return torch.stack([(each[..., None] * value).sum(1) for each in weights], 1)


def sample_by_sample(self, x):
    rows = [F.linear(F.linear(self.query(each), self.key(each)).softmax(-1), self.value(each).T) for each in x]
    return torch.stack(rows)


def additive(self, x):
    hidden = torch.tanh(self.query(x)[:, :, None] + self.key(x)[:, None])
    return self.score(hidden).squeeze(-1).softmax(-1) @ self.value(x)


def of_a_graph(self, x):
    scores = F.leaky_relu(self.score(x) + self.score(x).mT, 0.2).masked_fill(torch.eye(5) > 0, -1e9)
    return scores.softmax(-1) @ self.value(x)


def chosen_experts(self, x):
    x = x + self.drop(heads(self, x))
    shares = self.router(x).softmax(-1)
    return (torch.stack([self.query(x), self.key(x), self.value(x)], -1) * shares[..., None, :]).sum(-1)


ATTENTIONS = {
    "heads and a mask": (heads, 1),
    "a layer between heads": (talking_heads, 1),
    "sums": (summed, 1),
    "exponentials": (exponentials, 1),
    "divided at the end": (divided_late, 1),
    "less the logarithm of the sum": (less_logsumexp, 1),
    "a log-softmax": (lambda self, x: F.log_softmax(scored(self, x), -1).exp() @ self.value(x), 1),
    "element by element": (element_by_element, 1),
    "query by query": (query_by_query, 5),
    "sample by sample": (sample_by_sample, 2),
    "keys first": (lambda self, x: (self.value(x).mT @ (self.key(x) @ self.query(x).mT).softmax(1)).mT, 1),
    "distances": (lambda self, x: (-torch.cdist(self.query(x), self.key(x))).softmax(-1) @ self.value(x), 1),
    "additive scores": (additive, 1),
    "of a graph": (of_a_graph, 1),
    "a layer that returns its weights": (lambda self, x: self.layer(x, x, x)[0], 1),
    "fused": (lambda self, x: F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x)), 1),
    "no product of activations": (lambda self, x: self.query(x)[..., :5].softmax(-1) @ self.value(x), 0),
    "no softmax": (lambda self, x: scored(self, x) @ self.value(x), 0),
    "a pooling with learned weights": (lambda self, x: (self.score(x).softmax(1) * self.value(x)).sum(1), 0),
    "experts behind an attention": (chosen_experts, 1),
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_an_attention_is_one_however_it_is_written(name):
    forward, expected = ATTENTIONS[name]
    parts = {part: nn.Linear(8, 8) for part in ("query", "key", "value")}
    model = Apply(
        forward,
        **parts,
        score=nn.Linear(8, 1),
        router=nn.Linear(8, 3),
        heads=nn.Linear(2, 2),
        drop=nn.Dropout(0.1),
        layer=nn.MultiheadAttention(8, 2, batch_first=True),
    )
    assert counted(model) == [expected, expected]


def squeezed(self, x):
    x = self.conv(x)
    x = x * self.gate(x.mean((2, 3))).sigmoid()[..., None, None]
    shares = self.router(x).softmax(1)
    return (torch.stack([self.left(x), self.right(x)], 1) * shares[:, :, None]).sum(1)


def where_it_is(self, x):
    weights = self.conv(x).flatten(2).softmax(-1)
    return (weights * torch.linspace(0, 1, weights.shape[-1])).sum(-1)


def global_context(self, x):
    x = self.conv(x)
    return x + (x.flatten(2) @ self.score(x).flatten(2).softmax(-1).mT)[..., None]


@pytest.mark.parametrize("forward", [squeezed, where_it_is, global_context])
def test_a_softmax_of_images_that_compares_nothing_is_no_attention(forward):
    model = Apply(
        forward,
        conv=nn.Conv2d(3, 4, 3),
        gate=nn.Linear(4, 4),
        router=nn.Conv2d(4, 2, 1),
        left=nn.Conv2d(4, 4, 1),
        right=nn.Conv2d(4, 4, 1),
        score=nn.Conv2d(4, 1, 1),
    )
    assert counted(model, torch.rand(2, 3, 8, 8)) == [0, 0]
