"""Inputs and outputs of every form, and code whose way depends on data."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
from networks import Apply, zeros
from torch import nn

from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model

Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Batch:
    image: torch.Tensor
    scale: float = 1.0
    label: torch.Tensor | None = None


def linear():
    return nn.Linear(3, 4)


@pytest.mark.parametrize(
    ("forward", "inputs"),
    [
        (lambda self, x: self.layer(x["x"]), [{"x": zeros(2, 3)}]),
        (lambda self, x: self.layer(x["x"]), [OrderedDict(x=zeros(2, 3))]),
        (lambda self, x: self.layer(x[0]), [[zeros(2, 3)]]),
        (lambda self, x: self.layer(x[0][0]), [((zeros(2, 3),), None)]),
        (lambda self, x: self.layer(x.left), [Pair(zeros(2, 3), None)]),
        (lambda self, x: self.layer(x.image) * x.scale, [Batch(zeros(2, 3))]),
        (lambda self, x, flag: self.layer(x) if flag else x, [zeros(2, 3), True]),
        (lambda self, x, y: self.layer(x) if y is None else y, [zeros(2, 3), None]),
    ],
)
def test_inputs(forward, inputs):
    facts = measure_model(Apply(forward, layer=linear()), example=tuple(inputs))
    assert facts.cost.macs == 2 * 3 * 4
    assert facts.params.total == 3 * 4 + 4
    assert facts.params.unused == facts.params.hidden == ()
    assert [tensor.shape for tensor in facts.shape.inputs] == [(2, 3)]


@pytest.mark.parametrize(
    ("forward", "shapes"),
    [
        (lambda self, x: {"y": self.layer(x), "x": x}, [(2, 4), (2, 3)]),
        (lambda self, x: (self.layer(x), [x, None]), [(2, 4), (2, 3)]),
        (lambda self, x: Pair(self.layer(x), 1.0), [(2, 4)]),
        (lambda self, x: Batch(self.layer(x), label=x), [(2, 4), (2, 3)]),
        (lambda self, x: self.layer(x).split(1), [(1, 4), (1, 4)]),
    ],
)
def test_outputs(forward, shapes):
    facts = measure_model(Apply(forward, layer=linear()), example=zeros(2, 3))
    assert [tensor.shape for tensor in facts.shape.outputs] == shapes
    assert facts.params.unused == ()
    assert all(op.live for op in facts.ops if op.kind == "linear")


def test_several_inputs_and_keywords():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.table = linear(), nn.Embedding(7, 3)

        def forward(self, x, *, ids, scale=1.0):
            return self.layer(x + self.table(ids)) * scale

    facts = measure_model(Mixed(), example={"x": zeros(2, 3), "ids": torch.tensor([1, 2]), "scale": 2.0})
    assert facts.cost.macs == 2 * 3 * 4
    assert facts.params.total == 3 * 4 + 4 + 7 * 3
    assert [(tensor.shape, tensor.dtype) for tensor in facts.shape.inputs] == [((2, 3), "float32"), ((2,), "int64")]


def two_ways(self, x):
    return self.wide(x) if x.sum() > 0 else self.narrow(x)


def branching():
    return Apply(two_ways, wide=nn.Linear(3, 8), narrow=nn.Linear(3, 2))


def test_a_branch_on_values_goes_the_stated_way_by_shapes_alone():
    facts = measure_model(branching(), example=torch.ones(2, 3))
    assert facts.cost.macs == 2 * 3 * 2
    assert "is_nonzero" in facts.cost.bounds
    assert facts.params.unused == ("wide.weight", "wide.bias")


@pytest.mark.parametrize("x", [torch.ones(2, 3), -torch.ones(2, 3)])
def test_a_branch_on_values_costs_what_the_dearer_way_does_once_confirmed(x):
    facts = measure_model(branching(), example=x, confirm=True)
    assert facts.cost.macs == 2 * 3 * 8
    assert facts.cost.bounds == ()
    assert facts.params.unused == ()


def test_a_branch_on_a_parameter_or_a_buffer_knows_its_value():
    def forward(self, x):
        return self.layer(self.layer(x)) if self.norm.num_batches_tracked.item() == 0 else x

    facts = measure_model(Apply(forward, layer=nn.Linear(3, 3), norm=nn.BatchNorm1d(3)), example=zeros(2, 3))
    assert facts.cost.macs == 2 * 2 * 3 * 3
    assert facts.cost.bounds == ()


def test_a_loop_as_long_as_an_integer_input_says():
    def forward(self, x, steps):
        for _ in range(int(steps)):
            x = self.layer(x)
        return x

    facts = measure_model(Apply(forward, layer=nn.Linear(3, 3)), example=(zeros(2, 3), torch.tensor(4)))
    assert facts.cost.macs == 4 * 2 * 3 * 3


class Experts(nn.Module):
    """Four experts; each row of the input chooses two."""

    def __init__(self, asks):
        super().__init__()
        self.asks, self.gate = asks, nn.Linear(8, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.never = nn.Linear(8, 8)

    def forward(self, x):
        top, out = self.gate(x).topk(2)[1], torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = (top == number).any(-1)
            if rows.any() if self.asks else len(rows.nonzero()):
                out[rows] = expert(x[rows])
        return self.never(out) if x.max() > 1e9 else out


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("rows", [1, 3])
def test_experts_that_the_example_does_not_choose_are_used_and_cost_nothing(rows, asks):
    torch.manual_seed(0)
    facts = measure_model(Experts(asks), example=torch.rand(rows, 8), confirm=True)
    assert facts.cost.macs == rows * (8 * 4 + 2 * 8 * 8)
    assert facts.unused_layers == ("never",)
    assert facts.params.unused == ("never.weight", "never.bias")


def test_rows_chosen_by_a_mask_are_bounded_by_all_rows():
    facts = measure_model(Apply(lambda self, x: self.layer(x[x[:, 0] > 0]), layer=linear()), example=zeros(5, 3))
    assert facts.cost.macs == 5 * 3 * 4
    assert facts.cost.bounds == ("index",)


def test_in_place_writes_and_views():
    def forward(self, x):
        y = self.layer(x)
        y[:, 0] = 1
        y.add_(1).relu_()
        y.view(-1).mul_(2)
        y[:, 1:] += y[:, :-1]
        return y

    facts = measure_model(Apply(forward, layer=linear()), example=zeros(2, 3))
    assert facts.cost.macs == 2 * 3 * 4
    assert all(op.live for op in facts.ops)


@pytest.mark.parametrize(
    ("reshape", "shape"),
    [
        (lambda y: y.t_(), (4, 2)),
        (lambda y: y.unsqueeze_(0), (1, 2, 4)),
        (lambda y: y.resize_(2, 2), (2, 2)),
    ],
)
def test_reshaping_in_place(reshape, shape):
    facts = measure_model(Apply(lambda self, x: reshape(self.layer(x)), layer=linear()), example=zeros(2, 3))
    assert facts.shape.outputs[0].shape == shape


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_precisions(dtype):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)).to(dtype)
    facts = measure_model(model, example=torch.zeros(2, 3, dtype=dtype))
    assert facts.cost.macs == 2 * 3 * 4 + 2 * 4 * 5
    assert facts.params.total == 3 * 4 + 4 + 4 * 5 + 5
    assert facts.params.bytes == facts.params.total * dtype.itemsize
    assert facts.shape.outputs[0].dtype == str(dtype).removeprefix("torch.")
    assert facts.subject.notes == ()


def test_the_length_of_a_complex_tensor_is_real():
    facts = measure_model(Apply(lambda self, x: x.abs()), example=torch.zeros(2, 3, dtype=torch.complex64))
    assert facts.shape.outputs[0].dtype == "float32"


def test_ragged_tensors_are_refused_in_one_line():
    def forward(self, x):
        ragged = torch.nested.nested_tensor([x[0, :2], x[1]], layout=torch.jagged)
        return self.layer(ragged).values()

    with pytest.raises(SubjectError, match="ragged sizes"):
        measure_model(Apply(forward, layer=linear()), example=zeros(2, 3, 3))


def test_layers_in_a_thread_of_their_own_are_refused_in_one_line():
    def forward(self, x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self.layer, x).result()

    with pytest.raises(SubjectError, match="`layer` runs in a thread of its own"):
        measure_model(Apply(forward, layer=linear()), example=zeros(2, 3))


def test_an_output_that_hangs_on_no_input_is_no_thread():
    facts = measure_model(Apply(lambda self, x: self.layer.weight * 2, layer=linear()), example=zeros(2, 3))
    assert facts.shape.outputs[0].shape == (4, 3)
