"""Learning by heart where the output has no axis of samples."""

from __future__ import annotations

import torch
from networks import Apply
from torch import nn

from archcheck.facts.probe_names import need
from archcheck.measure import measure_model


def test_scores_of_a_single_sample_are_learned():
    asked = need("overfits-one-batch", loss="cross-entropy", steps=30, share=0.5)
    model = Apply(lambda self, x: self.fc(x).mean(0), fc=nn.Linear(4, 3))
    told = measure_model(model, example=torch.randn(2, 4), needs=[asked]).behaviour[asked]
    assert told["trained"] == 2
    assert told["rates"][-1]["least"] <= 0.5 * told["blind"]
