"""From events to operations: which forms are global pooling, and when two graphs are the same."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.measure import measure_model
from archcheck.measure.loading.example import given
from archcheck.measure.passes.lazy import passes_of
from archcheck.measure.structure.graph import build

POOLS = {"mean", "sum", "max", "amax", "avg_pool", "max_pool", "global_avg_pool", "global_max_pool"}
GLOBAL, MEAN = ("global_avg_pool", "real"), ("mean", None)


def ops_of(forward, *sizes, **layers):
    inputs = [zeros(*size) for size in sizes]
    return measure_model(Apply(lambda self, *x: forward(self, *x), **layers), example=tuple(inputs)).ops


def pooled(forward, *sizes, **layers):
    ops = ops_of(forward, *sizes, **layers)
    return [(op.kind, op.attributes.get("coverage")) for op in ops if op.kind in POOLS]


# --- of feature maps: channels first, beyond three axes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda self, x: x.mean((2, 3)), GLOBAL),
        (lambda self, x: x.mean(3), MEAN),
        (lambda self, x: x.mean(2), MEAN),
        (lambda self, x: x.mean((1, 2, 3)), MEAN),
        (lambda self, x: x.mean((0, 2, 3)), MEAN),
        (lambda self, x: x.mean(1), MEAN),
        (lambda self, x: x.permute(0, 2, 3, 1).mean((1, 2)), GLOBAL),
        (lambda self, x: x.permute(0, 2, 3, 1).mean((2, 3)), MEAN),
        (lambda self, x: x.permute(0, 2, 3, 1).mean((0, 1, 2)), MEAN),
        (lambda self, x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2).mean((2, 3)), GLOBAL),
        (lambda self, x: x[:, :, :5].mean((2, 3)), ("mean", "partial")),
        (lambda self, x: x[:, :, :, :1].mean((2, 3)), ("mean", "partial")),
        (lambda self, x: x[:, :, :5][:, :2].mean((2, 3)), ("mean", "partial")),
        (lambda self, x: x[:, :2].mean((2, 3)), GLOBAL),
        (lambda self, x: x[:, :, :1, :1].relu().mean((2, 3)), ("global_avg_pool", "trivial")),
    ],
)
def test_the_mean_over_all_positions_of_images_is_global_pooling(forward, expected):
    assert pooled(forward, (2, 3, 10, 2)) == [expected]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3, 3), ("global_avg_pool", "trivial")), ((3, 4), GLOBAL), ((4, 3), GLOBAL)],
)
def test_a_map_of_one_position_is_pooled_trivially_and_one_of_two_is_not(size, expected):
    assert pooled(lambda self, x: self.conv(x).mean((2, 3)), (1, 1, *size), conv=nn.Conv2d(1, 4, 3)) == [expected]


def test_one_of_several_maps_is_no_corner():
    assert pooled(lambda self, x: x[:, 0].mean((2, 3)), (1, 2, 3, 4, 4)) == [GLOBAL]


def test_volumes_are_pooled_over_three_axes():
    assert pooled(lambda self, x: x.mean((2, 3, 4)), (1, 2, 3, 4, 4)) == [GLOBAL]
    assert pooled(lambda self, x: x.mean((3, 4)), (1, 2, 3, 4, 4)) == [MEAN]
    assert pooled(lambda self, x: x.permute(0, 2, 3, 4, 1).mean((1, 2, 3)), (1, 2, 3, 4, 4)) == [GLOBAL]


def test_a_mean_over_features_or_all_axes_is_no_global_pooling():
    assert pooled(lambda self, x: self.fc(x).mean(1), (2, 3), fc=nn.Linear(3, 4)) == [MEAN]
    assert pooled(lambda self, x: self.conv(x).mean(), (1, 1, 3, 3), conv=nn.Conv2d(1, 4, 3)) == [MEAN]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda self, x, y: x.sum((2, 3)) / 16, ("global_avg_pool", "real")),
        (lambda self, x, y: x.sum((2, 3)) * 0.0625, ("global_avg_pool", "real")),
        (lambda self, x, y: x.sum((2, 3)), ("sum", None)),
        (lambda self, x, y: x.sum((2, 3)) + 16, ("sum", None)),
        (lambda self, x, y: x.sum((2, 3)) / y, ("sum", None)),
        (lambda self, x, y: x.amax((2, 3)), ("global_max_pool", "real")),
        (lambda self, x, y: x.amax(3), ("amax", None)),
        (lambda self, x, y: F.max_pool2d(x, 4), ("global_max_pool", "real")),
        (lambda self, x, y: F.max_pool2d(x, 2), ("max_pool", None)),
        (lambda self, x, y: F.avg_pool2d(x, 2), ("avg_pool", None)),
        (lambda self, x, y: F.avg_pool2d(x, 4), ("global_avg_pool", "real")),
    ],
)
def test_a_sum_is_a_mean_where_a_number_divides_it(forward, expected):
    assert pooled(forward, (1, 3, 4, 4), (1, 3)) == [expected]


def test_the_larger_of_two_numbers_is_no_pooling():
    assert "global_max_pool" not in {op.kind for op in ops_of(lambda self, x, y: torch.max(x, y), (1, 3, 4, 4), (1,))}


def test_pooling_of_a_part_of_a_map_has_no_coverage():
    (op,) = (op for op in ops_of(lambda self, x: x.mean(3), (1, 3, 4, 4)) if op.kind == "mean")
    assert "coverage" not in op.attributes


# --- of rows: which axis holds the channels has to be known ---------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda self, x: x.mean(2), MEAN),
        (lambda self, x: x.mean(1), MEAN),
        (lambda self, x: x.transpose(1, 2).mean(2), MEAN),
        (lambda self, x: x.view(2, 4, 2, 4).mean((2, 3)), GLOBAL),
        (lambda self, x: self.conv(x).mean(2), GLOBAL),
        (lambda self, x: self.conv(x).mean(1), MEAN),
        (lambda self, x: self.conv(x).relu().mean(2), GLOBAL),
        (lambda self, x: self.conv(x).transpose(1, 2).mean(1), GLOBAL),
        (lambda self, x: self.conv(x).transpose(1, 2).mean(2), MEAN),
        (lambda self, x: self.conv(x).permute(1, 0, 2).mean(2), MEAN),
        (lambda self, x: self.conv(x).transpose(1, 2).transpose(1, 2).mean(2), GLOBAL),
        (lambda self, x: self.conv(x).flatten().permute(0).view(2, 6, 8).mean(2), MEAN),
        (lambda self, x: self.fc(x).mean(1), GLOBAL),
        (lambda self, x: self.fc(x).mean(2), MEAN),
        (lambda self, x: self.fc(x).transpose(1, 2).mean(2), GLOBAL),
        (lambda self, x: self.fc(x).transpose(1, 2).mean(1), MEAN),
        (lambda self, x: self.fc(x).transpose(1, 2).transpose(1, 2).mean(1), GLOBAL),
    ],
)
def test_the_mean_over_a_row_is_global_pooling_where_its_channels_are_known(forward, expected):
    layers = {"conv": nn.Conv1d(4, 6, 1), "fc": nn.Linear(8, 6)}
    assert pooled(forward, (2, 4, 8), **layers) == [expected]


def test_the_channels_of_two_layers_are_known_apart():
    def forward(self, x):
        rows, columns = self.fc(x).relu(), self.conv(x).relu()
        return rows.mean(1), rows.amax(1), columns.mean(2), columns.amax(2), rows.amax(2)

    layers = {"conv": nn.Conv1d(4, 6, 1), "fc": nn.Linear(8, 6)}
    maximum = ("global_max_pool", "real")
    assert pooled(forward, (2, 4, 8), **layers) == [GLOBAL, maximum, GLOBAL, maximum, ("amax", None)]


# --- products -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "kind"),
    [
        (lambda self, x: x @ self.weight, "linear"),
        (lambda self, x: self.weight @ x, "linear"),
        (lambda self, x: x @ x, "matmul"),
        (lambda self, x: self.weight @ self.weight + x, "matmul"),
        (lambda self, x: torch.einsum("ij,jk->ik", x, self.weight), "linear"),
        (lambda self, x: torch.addmm(self.bias, x, self.weight), "linear"),
    ],
)
def test_a_product_of_what_depends_on_the_input_with_what_does_not_is_linear(forward, kind):
    parameters = {"weight": nn.Parameter(torch.ones(3, 3)), "bias": nn.Parameter(torch.ones(3))}
    kinds = [op.kind for op in ops_of(forward, (3, 3), **parameters)]
    assert [each for each in kinds if each in ("linear", "matmul")] == [kind]


# --- the same graph -------------------------------------------------------------------------------------------------


def fingerprint(forward, **layers):
    return measure_model(Apply(forward, **layers), example=(zeros(1, 4, 6, 6),)).subject.fingerprint


def test_names_and_values_are_no_part_of_the_structure():
    first = fingerprint(lambda self, x: self.a(x), a=nn.Conv2d(4, 4, 1))
    assert first == fingerprint(lambda self, x: self.b(x), b=nn.Conv2d(4, 4, 1))
    assert len(first) == 64


DIFFERENT = {
    "order of operations": (lambda self, x: x.relu().sigmoid(), lambda self, x: x.sigmoid().relu()),
    "attributes of the second of a kind": (
        lambda self, x: F.leaky_relu(F.avg_pool2d(x, 3, 1, 1)) + F.avg_pool2d(x, 3, 1, 1),
        lambda self, x: F.leaky_relu(F.avg_pool2d(x, 3, 1, 1)) + F.avg_pool2d(x, 5, 1, 2),
    ),
    "edges": (lambda self, x: x.relu().add(x.sigmoid()), lambda self, x: (y := x.relu()).add(y.sigmoid())),
    "training": (lambda self, x: x.relu(), lambda self, x: x.relu() if not self.training else x.relu().relu()),
    "shapes": (lambda self, x: x.relu(), lambda self, x: x[:, :3].relu()),
}


@pytest.mark.parametrize("forwards", DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_computed_is_the_structure(forwards):
    first, second = forwards
    assert fingerprint(first) == fingerprint(first) != fingerprint(second)


def test_the_shapes_of_parameters_are_a_part_of_the_structure():
    def forward(self, x):
        return x * self.scale

    many, one = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.ones(1, 1, 1))
    assert fingerprint(forward, scale=many) != fingerprint(forward, scale=one)


# --- the graph of training beside that of evaluation ----------------------------------------------------------------


def both(forward, **layers):
    """Build the graphs of evaluation and training; return which operations of the latter are shared."""
    example = given((zeros(2, 3, 4, 4),))
    passes = passes_of(Apply(forward, **layers), example)
    chosen, evaluation = passes.first(example)
    training = passes.trace(chosen, training=True, real=False)
    before = build(evaluation, "/")
    after = build(training, "/", like=before)
    alone = build(training, "/")
    assert after.ops == alone.ops
    shared = [any(op is other for other in before.ops) for op in after.ops]
    return [(op.kind, same) for op, same in zip(after.ops, shared, strict=True) if op.kind != "input"]


def test_what_runs_in_both_modes_alike_is_the_same_object():
    layers = {"conv": nn.Conv2d(3, 3, 1), "dropout": nn.Dropout(0.5)}
    assert both(lambda self, x: self.dropout(self.conv(x).relu()).relu(), **layers) == [
        ("conv", True),
        ("relu", True),
        ("dropout", False),
        ("relu", True),
    ]


def test_operations_that_depend_on_others_are_judged_again():
    assert both(lambda self, x: x.relu().mean((2, 3)))[-1] == ("global_avg_pool", False)
    assert both(lambda self, x: x @ x)[-1] == ("matmul", False)


def test_what_reaches_the_output_in_one_mode_only_is_not_the_same():
    def forward(self, x):
        y, z = x.relu(), x.sigmoid()
        return y if self.training else z

    assert both(forward) == [("relu", False), ("sigmoid", False)]


def test_other_inputs_parameters_and_layers_make_another_operation():
    def forward(self, x):
        y = x.relu()
        (y if self.training else x).sigmoid()
        return (self.a if self.training else self.b)(y)

    layers = {"a": nn.Conv2d(3, 3, 1), "b": nn.Conv2d(3, 3, 1)}
    assert both(forward, **layers) == [("relu", True), ("sigmoid", False), ("conv", False)]


def test_a_longer_pass_in_training_has_operations_of_its_own():
    assert both(lambda self, x: x.relu().relu() if self.training else x.relu())[-1] == ("relu", False)
