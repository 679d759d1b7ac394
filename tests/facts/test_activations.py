"""Activations: elements of the outputs of convolutions and matrix products, attention scores included."""

from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.facts.activations import activations_of
from archcheck.measure import measure_model
from tests.measure.networks import Apply, zeros


def activations(model, *inputs):
    return activations_of(measure_model(model, example=inputs).ops)


def self_attention(**options):
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    return Apply(lambda self, x: self.layer(x, x, x, **options)[0], layer=layer)


SCORES_AND_OUTPUT = 2 * 5 * 7 + 2 * 5 * 6


@pytest.mark.parametrize(
    ("model", "shapes", "elements"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)),
            [(1, 1, 8, 8)],
            4 * 36 + 10,
        ),
        (nn.ConvTranspose2d(2, 3, 2, stride=2), [(1, 2, 4, 4)], 3 * 8 * 8),
        (nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], 2 * 5),
        (Apply(lambda self, x, y: x @ y), [(2, 3), (3, 5)], 2 * 5),
        (Apply(lambda self, q, k, v: F.scaled_dot_product_attention(q, k, v)), None, SCORES_AND_OUTPUT),
        (Apply(lambda self, q, k, v: torch.softmax(q @ k.mT, -1) @ v), None, SCORES_AND_OUTPUT),
        (nn.LSTM(3, 4), [(5, 2, 3)], 0),
        (nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)), [(1, 2, 4, 4)], 0),
        (Apply(lambda self, x: torch.einsum("ij->ji", x)), [(2, 3)], 0),
    ],
)
def test_elements_of_products(model, shapes, elements):
    shapes = shapes or [(1, 2, 5, 8), (1, 2, 7, 8), (1, 2, 7, 6)]
    assert activations(model, *(zeros(*shape) for shape in shapes)) == elements


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_has_the_same_activations_fused_or_spelled_out(need_weights):
    # queries, keys and values of 5 tokens, scores of 2 heads, their product with the values, the output
    elements = 5 * 3 * 8 + 2 * 5 * 5 + 2 * 5 * 4 + 5 * 8
    assert activations(self_attention(need_weights=need_weights), zeros(1, 5, 8)) == elements


def test_the_report_counts_scores_too():
    facts = measure_model(self_attention(need_weights=False), example=zeros(1, 5, 8))
    assert facts.cost.activations == activations_of(facts.ops)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny"])
def test_activations_equal_those_of_fvcore(name):
    from torchvision.models import get_model

    fvcore = pytest.importorskip("fvcore.nn")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    model, image = get_model(name, weights=None).eval(), torch.rand(1, 3, 64, 64)
    assert activations(model, image) == fvcore.ActivationCountAnalysis(model, image).total()
