"""A measured model works on as if nothing had happened, whatever its forward pass keeps, replaces or overwrites."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from contextlib import suppress

import pytest
import torch
from networks import Apply, zeros
from torch import nn
from torch.nn.modules import module as torch_module

from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.loading.stubs import STUBS, StubModule
from archcheck.measure.passes.replaced_attributes import replaced
from archcheck.measure.shapes.containers import tensors_in


class Stateful(nn.Module):
    """Does in `act` what models do to themselves while they run."""

    def __init__(self, act):
        super().__init__()
        self.act = [act]
        self.linear = nn.Linear(3, 3)
        self.register_buffer("ema", torch.zeros(3))
        self.count = torch.zeros(1)
        self.cache: dict[str, torch.Tensor] = {}
        self.last = None

    def forward(self, x):
        y = self.linear(x)
        self.act[0](self, y)
        return y


def replace_buffer(model, y):
    model.ema = 0.9 * model.ema + 0.1 * y.mean(0)


def write_buffer(model, y):
    model.ema.copy_(y.mean(0))


def keep_output(model, y):
    model.last = y


def fill_cache(model, y):
    model.cache["y"] = y


def cache_positions(model, y):
    model.last = torch.arange(3.0)


def count_calls(model, y):
    model.count += 1


def renormalise(model, y):
    model.linear.weight.data = torch.renorm(model.linear.weight.data, 2, 0, 0.1)


def clamp_on_real_tensors(model, y):
    y.numpy()
    with torch.no_grad():
        model.linear.weight.clamp_(-0.01, 0.01)


ACTS = [
    replace_buffer,
    write_buffer,
    keep_output,
    fill_cache,
    cache_positions,
    count_calls,
    renormalise,
    clamp_on_real_tensors,
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("confirm", [False, True])
def test_a_stateful_model_is_left_as_it_was_and_works_on(act, confirm):
    model = Stateful(act)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    storages = {name: tensor.data_ptr() for name, tensor in model.named_parameters()}
    measure_model(model, example=zeros(2, 3), confirm=confirm)
    assert {name: tensor.data_ptr() for name, tensor in model.named_parameters()} == storages
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.last is None
    assert model.cache == {}
    assert model.count.item() == 0
    if act is not clamp_on_real_tensors:
        torch.nn.functional.mse_loss(model(torch.ones(2, 3)), zeros(2, 3)).backward()


@pytest.mark.parametrize("hold", [lambda x: x, lambda x: [x], lambda x: {"x": x}, lambda x: OrderedDict(x=x)])
def test_an_input_that_is_overwritten_is_left_as_it_was(hold):
    def forward(self, x):
        x = next(tensors_in(x)).mul_(2)
        return self.a(x)

    x = torch.ones(2, 3)
    measure_model(Apply(forward, a=nn.Linear(3, 3)), example=(hold(x),), needs=["keeps-batch"], confirm=True)
    assert torch.equal(x, torch.ones(2, 3))


COLUMN = (slice(None), 0)


@pytest.mark.parametrize(
    ("cut", "at"),
    [
        (lambda: torch.arange(24.0).view(4, 6)[:, :3], COLUMN),
        (lambda: torch.arange(24.0).view(4, 6)[:, ::2], COLUMN),
        (lambda: torch.arange(24.0).view(2, 4, 3)[1].t(), COLUMN),
        (lambda: torch.arange(3.0).view(3, 1).expand(3, 4), COLUMN),
        (lambda: torch.arange(4.0).expand(3, 4), (0, 0)),  # its columns are one number each, which torch may refuse
    ],
)
@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize("trained", [False, True])
def test_a_part_of_a_larger_tensor_is_left_as_it_was(cut, at, confirm, trained):
    def forward(self, x):
        with torch.no_grad():
            self.table[at] = 7.0
        return self.a(x) + self.table.sum()

    model, table = Apply(forward, a=nn.Linear(3, 3)), cut()
    model.register_parameter("table", nn.Parameter(table)) if trained else model.register_buffer("table", table)
    before = table.clone()
    facts = measure_model(model, example=zeros(1, 3), confirm=confirm)
    assert facts.params.total == 12 + trained * table.numel()
    assert torch.equal(table, before)


def test_an_input_that_a_lazy_model_overwrites_is_left_as_it_was():
    x = torch.ones(2, 3)
    measure_model(nn.Sequential(nn.Threshold(2, 0, inplace=True), nn.LazyLinear(2)), example=x)
    assert torch.equal(x, torch.ones(2, 3))


def test_a_lazy_model_stays_lazy():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    facts = measure_model(model, example=zeros(1, 1, 8, 8))
    assert facts.params.total == 4 * 9 + 4 + 2 * 144 + 2
    assert isinstance(model[0].weight, nn.parameter.UninitializedParameter)


def test_a_lazy_layer_that_is_never_called_has_no_parameters():
    model = Apply(lambda self, x: self.a(x), a=nn.Linear(3, 3), idle=nn.LazyLinear(2))
    assert measure_model(model, example=zeros(1, 3)).params.total == 12


@pytest.mark.parametrize("forward", [lambda self, x: torch.diff(self.a(x)), lambda self, x: torch.dstack([self.a(x)])])
def test_hooks_go_away_after_operations_that_are_looked_into(forward):
    before = len(torch_module._global_forward_hooks), len(torch_module._global_forward_pre_hooks)
    measure_model(Apply(forward, a=nn.Linear(3, 3)), example=zeros(2, 3))
    assert (len(torch_module._global_forward_hooks), len(torch_module._global_forward_pre_hooks)) == before


def test_random_states_and_switches_are_put_back():
    import numpy

    def forward(self, x):
        return x + random.random() + numpy.random.rand() + torch.rand(1)

    states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state()
    torch.backends.mha.set_fastpath_enabled(True)
    measure_model(Apply(forward), example=zeros(1, 3))
    assert torch.backends.mha.get_fastpath_enabled()
    assert random.getstate() == states[0]
    assert numpy.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_what_stands_in_for_numpy_is_asked_for_no_random_numbers(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", StubModule("numpy"))
    monkeypatch.setattr(STUBS, "sealed", True)
    monkeypatch.setattr(STUBS, "needed", None)
    facts = measure_model(nn.Linear(3, 3), example=zeros(2, 3), needs=["deterministic-in-eval", PARANOID])
    assert facts.behaviour["deterministic-in-eval"]["second_call"]["distance"] == 0
    assert STUBS.needed is None


def test_a_method_called_train_with_another_purpose_is_not_called():
    class Course(nn.Sequential):
        def train(self, loader, epochs=10):
            raise AssertionError("trained")

    model = Course(nn.Linear(3, 3), nn.Dropout(0.1))
    facts = measure_model(model, example=zeros(1, 3))
    assert [op.kind for op in facts.train_ops] == ["dropout"]
    assert model.training


def test_a_setting_called_train_is_no_method():
    class Configured(nn.Sequential):
        train = None

    facts = measure_model(Configured(nn.Linear(3, 3), nn.Dropout(0.1)), example=zeros(1, 3), confirm=True)
    assert [op.kind for op in facts.train_ops] == ["dropout"]


def test_frozen_batch_norm_stays_frozen():
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].eval()
            return self

    facts = measure_model(Frozen(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.1)), example=zeros(2, 3))
    assert [op.kind for op in facts.train_ops] == ["dropout"]


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (nn.Sequential(nn.Conv2d(1, 10, 3), nn.BatchNorm2d(16)), [zeros(2, 1, 8, 8)]),
        (nn.LayerNorm(31), [zeros(2, 32)]),
        (nn.Linear(3, 4), [zeros(2, 3).double()]),
        (Apply(lambda self, x: x.softmax(5)), [zeros(2, 3)]),
        (Apply(lambda self, x: x.add_(torch.ones(7))), [zeros(2, 3)]),
        (nn.Embedding(4, 2), [torch.tensor([9])]),
        (Apply(lambda self, x: x[:, torch.tensor([5])]), [zeros(2, 3)]),
        (nn.Conv2d(1, 4, 3, padding="same").to(torch.float16), [zeros(1, 1, 8, 8)]),
    ],
)
def test_what_torch_refuses_is_refused_when_confirmed(model, inputs):
    with pytest.raises(SubjectError) as caught:
        measure_model(model, example=tuple(inputs), confirm=True)
    assert "\n" not in str(caught.value)


def test_code_that_looks_at_values_is_judged_the_way_it_really_goes():
    def forward(self, x):
        return self.a(x) if x.abs().max() < 1e9 else self.b(x)

    model = Apply(forward, a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    assert measure_model(model, example=zeros(1, 3), confirm=True).params.unused == ("b.weight", "b.bias")


def test_a_loop_that_waits_for_a_value_ends():
    def forward(self, x):
        while (x - 1).abs().max() > 1e-3:
            x = (x + 1) / 2
        return x

    def waits(self, x):
        while not (x - 1).abs().max() < 1e-3:
            x = (x + 1) / 2
        return x

    for function in (forward, waits):
        assert measure_model(Apply(function), example=zeros(1, 3)).shape.outputs[0].shape == (1, 3)


def test_gradients_inside_the_forward_pass():
    def forward(self, x):
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            return torch.autograd.grad(self.a(x).sum(), x)[0]

    assert measure_model(Apply(forward, a=nn.Linear(3, 3)), example=zeros(2, 3)).shape.outputs[0].shape == (2, 3)


@pytest.mark.parametrize("output", [None, 3.5, "text"])
def test_a_model_without_a_tensor_for_output_is_refused(output):
    with pytest.raises(SubjectError, match="returned no tensor") as caught:
        measure_model(Apply(lambda self, x: output), example=zeros(1, 3))
    assert caught.value.kind == "output"


def test_large_tables_made_in_the_forward_pass_take_no_memory():
    facts = measure_model(Apply(lambda self, x: x + torch.eye(6000).sum()), example=zeros(1, 3))
    assert facts.cost.peak_activation_bytes > 6000 * 6000 * 4


def test_replaced_attributes_are_restored_after_an_error_and_inherited_ones_inherited_again():
    class Base:
        def inherited(self):
            return "inherited"

    class Own(Base):
        def own(self):
            return "own"

    others = dict.fromkeys(("own", "inherited"), lambda self: "other")
    with suppress(ValueError), replaced(Own, others):
        assert (Own().own(), Own().inherited()) == ("other", "other")
        raise ValueError
    assert (Own().own(), Own().inherited()) == ("own", "inherited")
    assert "inherited" not in vars(Own)
