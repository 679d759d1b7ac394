"""Answers that are known by heart are those that would be worked out again, and watching leaves nothing on a layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.operators.operator_results import KNOWN


def deep():
    block = [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.1)]
    return nn.Sequential(nn.Conv2d(1, 4, 3), *block, *[nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()], nn.Flatten())


def numbers(self, x):
    return x * 1, x * 1.0, x * True, x.sum(1), x.sum(1, keepdim=True), x.sum((0, 1)), x.sum((1, 0))


def views(self, x):
    y = x.view(3, 2)
    y[0] = 1
    return y.t().reshape(-1)[1:], x.chunk(2, 1)[1] + x[:, 1:2]


def same_look_other_memory(self, x):
    left, right = x.clone(), x.clone()
    left.view(-1).relu_()
    return left + right


CASES = {
    "a deep network": (deep, zeros(2, 1, 8, 8)),
    "numbers that are equal and of other types": (lambda: Apply(numbers), zeros(2, 3)),
    "views": (lambda: Apply(views), zeros(2, 3)),
    "writes": (lambda: Apply(same_look_other_memory), zeros(2, 3)),
    "recurrent layers": (lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True), zeros(5, 2, 3)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), zeros(1, 5, 8)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_known_by_heart_changes_no_fact(case):
    build, x = CASES[case]
    torch.manual_seed(0)
    model = build()
    KNOWN.clear()
    first = measure_model(model, example=x)
    assert KNOWN
    assert measure_model(model, example=x) == first


def test_the_same_call_on_other_types_has_another_answer():
    KNOWN.clear()
    floats = measure_model(Apply(lambda self, x: x.sum(1) / 2), example=zeros(2, 3))
    halves = measure_model(Apply(lambda self, x: x.sum(1) / 2), example=zeros(2, 3).half())
    assert (floats.ops[-1].dtype, halves.ops[-1].dtype) == ("float32", "float16")


def test_numbers_that_are_equal_and_of_other_types_are_told_apart():
    def forward(self, x):
        mask = x > 0
        return mask * 1, mask * True, mask * 1.0

    KNOWN.clear()
    facts = measure_model(Apply(forward), example=zeros(2, 3))
    assert [output.dtype for output in facts.shape.outputs] == ["int64", "bool", "float32"]


def test_lists_of_numbers_are_told_apart():
    model = Apply(lambda self, x: (x.reshape(3, 2), x.reshape(6, 1), x.permute(1, 0), x.permute(0, 1)))
    shapes = [output.shape for output in measure_model(model, example=zeros(2, 3)).shape.outputs]
    assert shapes == [(3, 2), (6, 1), (3, 2), (2, 3)]


def test_a_count_of_bytes_follows_every_single_result():
    # By heart or not, each result takes memory of its own as long as it lives.
    model = Apply(lambda self, x: [F.relu(x) for _ in range(4)])
    assert [measure_model(model, example=zeros(8, 8)).cost.peak_activation_bytes for _ in range(2)] == [5 * 256] * 2


def test_an_answer_is_not_taken_from_a_layer_that_changed_its_weight():
    def forward(self, x):
        first = self.layer(x)
        self.layer.weight.data = torch.zeros(5, 3)
        return first, F.linear(x, self.layer.weight)

    facts = measure_model(Apply(forward, layer=nn.Linear(3, 4, bias=False)), example=zeros(2, 3))
    assert [output.shape for output in facts.shape.outputs] == [(2, 4), (2, 5)]
    assert facts.params.total == 12


@pytest.mark.parametrize("fails", [False, True])
def test_layers_are_as_they_were_after_they_were_watched(fails):
    def forward(self, x):
        y = self.layer(x)
        if fails:
            raise ValueError("no")
        return y

    model = Apply(forward, layer=nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    before = {name: list(vars(module)) for name, module in model.named_modules()}
    call = nn.Module.__call__
    if fails:
        with pytest.raises(SubjectError):
            measure_model(model, example=zeros(1, 3))
    else:
        measure_model(model, example=zeros(1, 3))
    assert {name: list(vars(module)) for name, module in model.named_modules()} == before
    assert nn.Module.__call__ is call


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_scripted_layers_are_as_they_were():
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))), nn.ReLU()).eval()
    before = list(vars(model[0]))
    facts = measure_model(model, example=zeros(1, 3))
    assert "dropout" in [op.kind for op in facts.train_ops]
    assert list(vars(model[0])) == before
    assert [module.training for module in model.modules()] == [False] * 5


def test_a_compiled_layer_keeps_its_compiled_form():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model[0].compile(backend="eager")
    compiled = model[0]._compiled_call_impl
    assert measure_model(model, example=zeros(1, 3)).cost.macs == 9
    assert model[0]._compiled_call_impl is compiled
