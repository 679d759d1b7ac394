"""A second look says nothing of networks that do nothing wrong, however odd; it says where it cannot tell."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from tests.evasion.odd import ODD, linear, masked, norm, routed
from tests.measure.networks import Apply
from tests.support.cli_samples import environment


def looked(model, *inputs):
    """Return the facts of a second look, and of a first one."""
    return measure_model(model, example=inputs, needs=[PARANOID]), measure_model(model, example=inputs)


def published(name):
    torch.manual_seed(0)
    return models.get_model(name, weights=None)


@pytest.mark.parametrize("name", ODD)
def test_odd_networks_are_what_they_seem(name):
    model, shape = ODD[name]
    inputs = torch.zeros(2, 6) if shape == (0,) else torch.rand(shape)
    again, first = looked(model, inputs.to(next(model.parameters()).dtype))
    assert [op.live for op in again.ops] == [op.live for op in first.ops]
    assert [op.live for op in again.train_ops] == [op.live for op in first.train_ops]
    assert again.params == first.params
    assert again.subject.notes == first.subject.notes


def test_a_mask_of_chance_does_not_follow_the_input():
    model = Apply(masked, a=linear())
    model.chance = [np.random.default_rng(0)]
    again, _ = looked(model, torch.rand(2, 6))
    assert any("differ from run to run" in note for note in again.subject.notes)


def test_a_network_that_its_first_call_sets_up_is_said_to():
    def forward(self, x):
        x = self.a(x)
        if not self.begun:
            with torch.no_grad():
                self.shift.copy_(-x.mean(0))
            self.begun = True
        return self.b(self.norm(x + self.shift))

    model = Apply(forward, a=linear(), b=linear(), norm=norm(), shift=nn.Parameter(torch.zeros(6)))
    model.begun = False
    again, _ = looked(model, torch.rand(2, 6))
    assert any("how often it was called" in note for note in again.subject.notes)
    assert not model.begun


def test_a_compiler_that_draws_other_numbers_is_not_asked():
    def otherwise(graph, _):
        def run(*inputs):
            torch.rand(3)
            return graph.forward(*inputs)

        return run

    torch.manual_seed(0)
    model = torch.compile(nn.Sequential(linear(), nn.Dropout(0.5)), backend=otherwise)
    again, first = looked(model, torch.rand(2, 6))
    assert again.subject.notes == first.subject.notes == ()


@pytest.mark.parametrize("seed", [6, 7, 8, 11])
def test_what_chooses_an_expert_is_felt_though_it_has_no_derivative(seed):
    torch.manual_seed(seed)
    model = Apply(routed, a=linear(), b=linear(), gate=nn.Linear(6, 2), norm=norm(), drop=nn.Dropout(0.1))
    again, first = looked(model, torch.rand(2, 6))
    assert [op.live for op in again.ops] == [op.live for op in first.ops]
    assert [op.live for op in again.train_ops] == [op.live for op in first.train_ops]


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",
        "shufflenet_v2_x0_5",
        "squeezenet1_1",
        "swin_t",
        "convnext_tiny",
        "efficientnet_b0",
    ],
)
def test_published_networks_are_what_they_seem(name):
    again, first = looked(published(name), torch.rand(1, 3, 64, 64))
    for mode in ("eval", "train"):
        assert [op.live for op in again.executed(mode)] == [op.live for op in first.executed(mode)]
    assert again.params == first.params
    assert again.subject.notes == first.subject.notes


def test_a_network_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.1))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    image = torch.rand(4, 3)
    states = torch.get_rng_state(), random.getstate()
    looked(model, image)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]


def test_a_graph_that_depends_on_values_is_said_to():
    def forward(self, x):
        return self.a(x) if x.sum() > 4.5 else self.b(x)

    model = Apply(forward, a=linear(), b=nn.Sequential(nn.ReLU(), linear()))
    again, _ = looked(model, torch.ones(1, 6))  # a second sample, and smaller values, go the other way
    assert any("depends on the input" in note for note in again.subject.notes)


def test_numbers_that_never_repeat_are_said_to():
    ticks = itertools.count()
    again, _ = looked(Apply(lambda self, x: self.a(x) + next(ticks), a=linear()), torch.rand(1, 6))
    assert any("differ from run to run" in note for note in again.subject.notes)


def test_what_differs_is_named_with_its_line():
    def forward(self, x):
        return self.norm(self.a(x)) if x.shape[0] == 1 else self.a(x)

    with pytest.raises(
        SubjectError, match=r"evaluation mode: with a batch of 257 it leaves out batch_norm in `norm` at"
    ):
        looked(Apply(forward, a=linear(), norm=nn.BatchNorm1d(6)), torch.rand(1, 6))


def test_what_fails_only_while_it_is_watched_is_refused():
    alone = []

    def forward(self, x):
        watched = torch._C._len_torch_dispatch_stack()
        if watched and alone:
            raise ValueError("somebody looks")
        alone.extend([] if watched else [x])
        return self.a(x)

    with pytest.raises(SubjectError, match="fails when its operations are watched: ValueError: somebody looks"):
        looked(Apply(forward, a=linear()), torch.rand(2, 6))


# --- judged as a process judges ----------------------------------------------------------------------------------

EVERY = (
    "no-unused-layers = true\nno-unused-params = true\nno-frozen-params = true\nfinite-output = true\nmax-bytes = 9_999"
)
ROUND = "state-dict-round-trip = true"
STILL = "deterministic-in-eval = true"
OWN = "independent-of-batch = true"
LEARNS = "gradients-reach = true\nno-hidden-weights = true"
SHAPE = (
    'requires = ["batch_norm", "dropout"]\nfollowed-by = { layer = "weights", by = "batch_norm", exempt = ["last"] }'
)
MACS = "max-macs = 1_000_000"
FLOATING = [EVERY, ROUND, OWN, LEARNS]
PARAMETRIZED = [
    *("orthogonal_wide", "orthogonal_tall", "orthogonal_square", "orthogonal_of_no_base", "orthogonal_convolution"),
    *("weight_and_spectral_norm", "weight_and_spectral_norm_by_hooks", "binary", "straight_through", "four_bits"),
    *("not_negative", "symmetric", "counted"),
]
PACKED = [
    *("quantised", "dynamic_linear", "dynamic_halves", "dynamic_lstm", "dynamic_gru", "dynamic_lstm_cell"),
    *("dynamic_gru_cell", "quantised_embedding", "quantised_embedding_bag"),
]
HARMLESS = {
    **{key: [*FLOATING, STILL, SHAPE] for key in PARAMETRIZED},
    **dict.fromkeys(["MonteCarlo", "MonteCarloByHand", "MonteCarloMean", "Noisy", "Sampled", "Chosen"], FLOATING),
    **{key: [*FLOATING, STILL, MACS, SHAPE] for key in ["StochasticDepth", "Empty"]},
    **{key: [*FLOATING, STILL, MACS] for key in ["Experts", "ExpertsAsked"]},
    "awaiting_quantisation": [EVERY, ROUND, MACS],
    **{key: [EVERY, STILL, MACS] for key in PACKED},
}


def test_harmless_networks_are_judged_as_they_are(tmp_path):
    shutil.copy(Path(__file__).with_name("harmless.py"), tmp_path)
    subjects = [
        "\n".join(
            [f'[subjects.{name}]\nmodel = "harmless.py:{name}"\ninput = [4, 8]\n[subjects.{name}.rules]', *judged]
        )
        for name, judged in HARMLESS.items()
    ]
    (tmp_path / "archcheck.toml").write_text("\n".join(subjects))
    command = [sys.executable, "-m", "archcheck", "check", "--paranoid", "--no-cache", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    found = {
        report["subject"]: [
            (one["rule"], one["verdict"], *[f["message"] for f in one["findings"]]) for one in report["outcomes"]
        ]
        if not report.get("error")
        else report["error"]
        for report in json.loads(done.stdout)["reports"]
    }
    assert {
        name: [one for one in told if one[1] != "kept"] if isinstance(told, list) else told
        for name, told in found.items()
    } == {name: [] for name in HARMLESS}
