"""What the trace sees: data flow, liveness, modes, data-dependent code; and that it leaves no trace itself."""

from __future__ import annotations

import gc
import random
from contextlib import nullcontext
from dataclasses import dataclass

import numpy
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Apply, zeros
from torch import nn

from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model


def kinds(model, *inputs, live_only=False):
    facts = measure_model(model, example=inputs)
    return [op.kind for op in facts.ops if op.live or not live_only]


def test_edges_follow_the_data():
    facts = measure_model(Apply(lambda self, x: F.relu(x) + torch.sigmoid(x)), example=zeros(2, 3))
    assert [(op.kind, op.inputs) for op in facts.ops] == [
        ("input", ()),
        ("relu", (0,)),
        ("sigmoid", (0,)),
        ("add", (1, 2)),
    ]


class Around:
    """What layers hand one another: it knows itself, as a node of a tree does by way of its parent."""

    def __init__(self, x):
        self.x, self.me, self.others = x, self, [self]


@dataclass(slots=True)
class Given:
    logits: torch.Tensor


class Reader(nn.Linear):
    def forward(self, around, code):
        return Given(super().forward(around.x))


def test_objects_that_hold_themselves_or_have_slots_are_looked_into_and_code_is_not():
    def forward(self, x):
        return self.reader(Around(x), F)

    facts = measure_model(Apply(forward, reader=Reader(3, 4)), example=zeros(2, 3))
    assert [each.shape for each in facts.shape.outputs] == [(2, 4)]
    assert facts.layers[1].input_shapes == ((2, 3),)


def test_a_single_number_can_be_summed_along_its_only_axis():
    facts = measure_model(Apply(lambda self, x: x * x.mean().sum(dim=0)), example=zeros(2, 3))
    assert [op.attributes.get("dims") for op in facts.ops if op.kind == "sum"] == [[]]


def test_a_dropped_result_is_not_live():
    def forward(self, x):
        torch.sigmoid(x)
        return F.relu(x)

    facts = measure_model(Apply(forward), example=zeros(2, 3))
    assert {op.kind: op.live for op in facts.ops} == {"input": True, "sigmoid": False, "relu": True}


def test_writing_through_a_view_reaches_the_whole():
    def forward(self, x):
        out = torch.zeros_like(x)
        out[:, 0] = F.relu(x[:, 0])
        return out

    facts = measure_model(Apply(forward), example=zeros(2, 3))
    assert [op.live for op in facts.ops if op.kind == "relu"] == [True]


def test_a_skip_past_dropout_in_evaluation_keeps_both_edges():
    facts = measure_model(Apply(lambda self, x: x + F.dropout(x, 0.5, self.training)), example=zeros(2, 3))
    assert [(op.kind, op.inputs) for op in facts.ops] == [("input", ()), ("dropout", (0,)), ("add", (0, 1))]


def test_training_differs_from_evaluation_where_it_should():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.1))
    facts = measure_model(model, example=zeros(1, 1, 5, 5))
    assert [op.kind for op in facts.train_ops] == ["batch_norm", "dropout"]
    assert facts.train_length == len(facts.ops)
    assert [op.attributes["training"] for op in facts.train_ops] == [True, True]


def test_a_single_value_a_channel_is_no_obstacle_in_training():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    facts = measure_model(model, example=zeros(1, 4))
    assert facts.unmeasured == ()
    assert any(op.kind == "batch_norm" for op in facts.train_ops)


def test_a_model_that_wants_targets_in_training_is_measured_in_evaluation():
    def forward(self, x):
        assert not self.training, "targets are missing"
        return F.relu(x)

    facts = measure_model(Apply(forward), example=zeros(1, 4))
    assert "targets are missing" in facts.unmeasured[0]
    assert facts.train_length == 0


def test_code_that_looks_at_values_of_the_input_runs_on_a_stated_bound_or_for_real():
    def forward(self, x):
        return x[x > 0].sum()

    facts = measure_model(Apply(forward), example=zeros(2, 3))
    assert "sizes that depend on data were bounded: index" in facts.subject.notes


def test_code_that_needs_values_falls_back_to_real_tensors():
    facts = measure_model(Apply(lambda self, x: F.relu(torch.from_numpy(x.numpy()))), example=zeros(2, 3))
    assert "measured on real tensors: shapes alone were not enough" in facts.subject.notes


def test_masks_and_positions_keep_their_values():
    def forward(self, x):
        mask = torch.tril(torch.ones(3, 3))
        return F.relu(x) if mask.sum().item() == 6 else x

    assert "relu" in kinds(Apply(forward), zeros(2, 3))


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Apply(lambda self, x: {"a": F.relu(x)}), [zeros(2, 3)]),
        (Apply(lambda self, x: (x, [F.relu(x)])), [zeros(2, 3)]),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), [zeros(2, 5, 8)]),
        (nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 3)), [torch.zeros(5, 2, dtype=torch.long)]),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), [zeros(2, 3)]),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)), [zeros(1, 1, 8, 8)]),
        (nn.Linear(3, 4).double(), [zeros(2, 3).double()]),
        (nn.Linear(3, 4).to(torch.bfloat16), [zeros(2, 3).to(torch.bfloat16)]),
        (Apply(lambda self, x: self.a(self.a(x)), a=nn.Linear(3, 3)), [zeros(2, 3)]),
    ],
)
def test_many_kinds_of_models_are_measured(model, inputs):
    facts = measure_model(model, example=tuple(inputs))
    assert facts.params.total == sum(p.numel() for p in model.parameters())
    assert facts.params.unused == ()
    assert facts.params.hidden == ()
    assert facts.shape.outputs


def test_instance_norm_is_not_batch_norm():
    assert "batch_norm" not in kinds(nn.InstanceNorm2d(4), zeros(1, 4, 8, 8))


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.ReLU6(), "relu6"),
        (nn.ReLU6(inplace=True), "relu6"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.Hardtanh(0, 5), "hardtanh"),
    ],
)
def test_relu6_is_told_from_other_clipping(layer, kind):
    assert kinds(layer, zeros(2, 3))[-1] == kind


def test_keyword_inputs():
    class Two(nn.Module):
        def forward(self, *, left, right):
            return left @ right

    assert measure_model(Two(), example={"left": zeros(2, 3), "right": zeros(3, 4)}).cost.macs == 24


def test_shared_layers_are_called_twice_and_counted_once():
    layer = nn.Linear(3, 3)
    facts = measure_model(Apply(lambda self, x: self.a(self.a(x)), a=layer), example=zeros(2, 3))
    assert facts.layer("a").calls == 2
    assert facts.params.total == 12
    assert facts.cost.macs == 2 * 2 * 9


def test_the_input_of_a_wrong_shape_is_one_line_that_says_where():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(10, 2))
    with pytest.raises(SubjectError) as caught:
        measure_model(model, example=zeros(1, 1, 8, 8))
    assert caught.value.kind == "forward"
    assert "a linear layer of 10 input features got an input of shape (1, 144)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_instance_is_asked_for():
    with pytest.raises(SubjectError, match=r"not a torch\.nn\.Module"):
        measure_model("model")


def test_the_same_structure_has_the_same_fingerprint_and_another_has_not():
    def build(channels=4, rate=0.1):
        return nn.Sequential(nn.Conv2d(1, channels, 3), nn.Dropout(rate))

    prints = [
        measure_model(model, example=zeros(1, 1, 5, 5)).subject.fingerprint
        for model in (build(), build(), build(5), build(rate=0.2))
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def layers(width):
    return st.lists(
        st.sampled_from(
            [nn.ReLU, nn.Tanh, lambda: nn.Dropout(0.3), lambda: nn.BatchNorm1d(width), lambda: nn.Linear(width, width)]
        ),
        min_size=1,
        max_size=6,
    )


def switches():
    """What is set for the whole of torch and Python, and the next numbers of every generator."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.nn.Module.__call__,
        torch.nn.functional._verify_batch_size,
        gc.isenabled(),
        random.getstate(),
        repr(numpy.random.get_state()),
    )


@settings(max_examples=25, deadline=None)
@given(layers(3), st.booleans(), st.integers(0, 100), st.booleans())
def test_measuring_leaves_everything_as_it_was(makers, training, seed, fails):
    def stop(*given):
        raise ValueError("no")

    model = nn.Sequential(nn.Linear(3, 3), *(make() for make in makers)).train(training)
    if fails:
        model.append(Apply(stop).train(training))
    state = switches()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    hooks = [len(module._forward_hooks) for module in model.modules()]
    torch.manual_seed(seed)
    expected = torch.rand(3)
    torch.manual_seed(seed)
    with pytest.raises(SubjectError) if fails else nullcontext():
        measure_model(model, example=zeros(2, 3))
    assert switches() == state
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert all(parameter.grad is None for parameter in model.parameters())


def test_hooks_go_away_when_the_forward_pass_raises():
    from torch.nn.modules import module as torch_module

    def forward(self, x):
        raise ValueError("no")

    before = len(torch_module._global_forward_hooks), len(torch_module._global_forward_pre_hooks)
    with pytest.raises(SubjectError):
        measure_model(Apply(forward), example=zeros(1, 3))
    assert (len(torch_module._global_forward_hooks), len(torch_module._global_forward_pre_hooks)) == before


def test_the_flagships_train_mode_survives():
    model = nn.Sequential(nn.BatchNorm1d(3))
    model.train()
    measure_model(model, example=zeros(4, 3))
    assert model.training
    assert int(model[0].num_batches_tracked) == 0
