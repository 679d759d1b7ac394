"""fvcore's counts compared with archcheck's: where they agree, where they differ and why."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, Small, checked, rand
from torch import nn

from archcheck.facts.records import CROSS_CHECK
from archcheck.measure import measure_model

UNKNOWN = "fvcore does not know this operator and counts nothing"


def flops(check):
    """Return the differences in flops: the layer and operator, both counts and the reason."""
    return [
        (each.layer, each.op, each.ours, each.fvcore, each.reason)
        for each in check.differences
        if each.quantity == "flops"
    ]


# 6x6 positions of 4 channels and 9 products each; 2 for each of them in BatchNorm, 1 in the pooling; the linear layer
SMALL = 36 * 4 * 9 + 2 * 36 * 4 + 36 * 4 + 4 * 10


def test_a_network_of_usual_layers_counts_the_same():
    check = checked(Small(), torch.rand(1, 1, 8, 8))
    assert (check.total_ours, check.total_fvcore) == (SMALL, SMALL)
    assert (check.activations_ours, check.activations_fvcore) == (36 * 4 + 10, 36 * 4 + 10)
    assert (check.differences, check.error, check.compared) == ((), None, 4)
    assert check.version.startswith("0.1.5")


def test_attention_is_named_in_the_layer_that_runs_it():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    check = checked(
        Apply(lambda self, x: self.attention(x, x, x, need_weights=False)[0], attention=layer), rand(1, 5, 8)
    )
    # Scores of 5 by 5 tokens and their product with the values, of 8 features in all.
    assert flops(check) == [("attention", "scaled_dot_product_attention", 2 * 5 * 5 * 8, 0, UNKNOWN)]
    assert check.total_ours - check.total_fvcore == 2 * 5 * 5 * 8
    (outputs,) = [each for each in check.differences if each.quantity == "activations"]
    assert (outputs.ours, outputs.fvcore) == (2 * 5 * 5 + 5 * 8, 0)
    assert outputs.reason == "fvcore does not count the outputs of this operator"


def test_a_projection_that_is_never_called_counts_in_the_layer_around_it_for_both():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    facts = measure_model(
        Apply(lambda self, x: self.attention(x, x, x)[0], attention=layer),
        example=rand(1, 5, 8),
        needs=[CROSS_CHECK],
    )
    assert facts.cross_check.differences == ()
    assert facts.layer("attention.out_proj").calls == 0
    projections = 5 * 3 * 8 * 8 + 5 * 8 * 8
    assert facts.cross_check.total_fvcore == projections + 2 * 5 * 5 * 8


class Product(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        return x @ weight

    @staticmethod
    def backward(context, gradient):
        return gradient, gradient


@torch.jit.script
def squared(x):
    return torch.matmul(x, x)


def sequence(x):
    return nn.utils.rnn.pack_padded_sequence(x, [3, 2], batch_first=True)


PADDED = 'fvcore does not know a convolution whose padding is a word, such as "same", and counts nothing'
ROUNDED = "fvcore takes numpy's estimate of an einsum, which is rounded to four digits"
LEFT_ONLY = "fvcore counts a product by the shape of its left side, which the right side stretches here"
HALVED = "fvcore counts half of an einsum that sums nothing"
REORDERED = "fvcore counts an einsum of several operands in numpy's order, archcheck in torch's"
ALONE = "fvcore counts an einsum of one operand, which multiplies nothing"
BOUNDED = "its sizes depend on data, for which archcheck took a bound"

# model, inputs, flops that differ: layer, operator, ours, fvcore's, reason
DIFFERENT = {
    "same": (nn.Conv2d(1, 4, 3, padding="same"), [(1, 1, 8, 8)], ("", "_convolution_mode", 64 * 4 * 9, 0, PADDED)),
    "mixed": (
        nn.Sequential(nn.Conv1d(1, 2, 3, padding="same"), nn.Conv1d(2, 2, 3)),
        [(1, 1, 8)],
        ("0", "_convolution_mode", 8 * 2 * 3, 0, PADDED),
    ),
    # Four gates of 3 inputs and 4 state features each, over 5 steps of 2 sequences.
    "lstm": (nn.LSTM(3, 4), [(5, 2, 3)], ("", "lstm", 10 * 4 * 4 * 7, 0, UNKNOWN)),
    "gru": (nn.GRU(3, 4), [(5, 2, 3)], ("", "gru", 10 * 3 * 4 * 7, 0, UNKNOWN)),
    "rnn": (nn.RNN(3, 4), [(5, 2, 3)], ("", "rnn_tanh", 10 * 4 * 7, 0, UNKNOWN)),
    "packed": (
        Apply(lambda self, x: self.lstm(sequence(x))[1][0], lstm=nn.LSTM(3, 4, batch_first=True)),
        [(2, 3, 3)],
        ("lstm", "lstm", 5 * 4 * 4 * 7, 0, UNKNOWN),
    ),
    "bilinear": (nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], ("", "bilinear", 2 * 3 * 4 * 5, 0, UNKNOWN)),
    "autograd": (
        Apply(lambda self, x: Product.apply(x, self.linear.weight), linear=nn.Linear(4, 4)),
        [(3, 4)],
        ("", "matmul", 3 * 4 * 4, 0, "fvcore does not look into `Product`, an autograd function of the model's own"),
    ),
    "scripted": (
        Apply(lambda self, x: squared(self.linear(x)), linear=nn.Linear(4, 4)),
        [(4, 4)],
        ("", "matmul", 64, 0, "fvcore does not look into scripted functions"),
    ),
    "composite": (
        Apply(lambda self, x, y: torch.linalg.multi_dot([x, y])),
        [(2, 3), (3, 4)],
        ("", "mm", 24, 0, "fvcore does not know `linalg_multi_dot`, into which archcheck looks"),
    ),
    "stretched": (Apply(lambda self, x, y: x @ y), [(3, 4), (5, 4, 6)], ("", "matmul", 5 * 72, 72, LEFT_ONLY)),
    "rounded": (
        Apply(lambda self, x, y: torch.einsum("ij,jk->ik", x, y)),
        [(127, 131), (131, 137)],
        ("", "einsum", 127 * 131 * 137, 2_279_500, ROUNDED),  # 2 * 2279269 is 4.559e+06 in four digits
    ),
    "halved": (
        Apply(lambda self, x, y: torch.einsum("i,j->ij", x, y)), [(4,), (5,)], ("", "einsum", 20, 10, HALVED)
    ),
    "alone": (Apply(lambda self, x: torch.einsum("ij->j", x)), [(4, 5)], ("", "einsum", 0, 20, ALONE)),
    "reordered": (
        Apply(lambda self, x, y, z: torch.einsum("ij,jk,kl->il", x, y, z)),
        [(40, 50), (50, 60), (60, 3)],
        ("", "einsum", 40 * 50 * 60 + 40 * 60 * 3, 50 * 60 * 3 + 40 * 50 * 3, REORDERED),
    ),
    "data": (
        Apply(lambda self, x: self.linear(x[x[:, 0] > 2]), linear=nn.Linear(4, 4)),
        [(6, 4)],
        ("linear", "linear", 6 * 16, 0, BOUNDED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_difference_has_its_place_its_counts_and_its_reason(name):
    model, shapes, expected = DIFFERENT[name]
    check = checked(model, *(rand(*shape) for shape in shapes))
    assert flops(check) == [expected]
    assert all(each.explained for each in check.differences)
    assert check.total_ours - check.total_fvcore == expected[2] - expected[3]


def test_operations_of_a_pre_hook_are_explained():
    model = nn.Sequential(nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4))))
    # The norm of a 4x4 weight: one product with a vector, and one of two vectors.
    assert flops(checked(model, rand(2, 4))) == [("0.0", "mv", 16, 0, UNKNOWN), ("0.0", "dot", 4, 0, UNKNOWN)]


@pytest.mark.parametrize("cell", [nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4)])
def test_a_recurrent_cell_is_the_linear_layers_that_fvcore_sees(cell):
    check = checked(cell, rand(2, 3))
    gates = cell.weight_ih.shape[0]
    assert check.total_fvcore == check.total_ours == 2 * gates * 7
    assert check.activations_fvcore == check.activations_ours == 2 * 2 * gates
    assert check.differences == ()


@pytest.mark.parametrize(
    ("model", "shapes"),
    [
        (nn.ConvTranspose2d(4, 6, 3, groups=2, stride=2), [(1, 4, 5, 5)]),
        (nn.Conv3d(1, 2, 3, padding=1, padding_mode="circular"), [(1, 1, 4, 4, 4)]),
        (nn.BatchNorm2d(3, affine=False), [(2, 3, 4, 4)]),
        (nn.BatchNorm2d(3, track_running_stats=False), [(2, 3, 4, 4)]),
        (nn.InstanceNorm2d(3), [(2, 3, 4, 4)]),
        (nn.GroupNorm(3, 3), [(2, 3, 4, 4)]),
        (nn.LayerNorm(4), [(2, 4)]),
        (nn.RMSNorm(4), [(2, 4)]),
        (nn.Upsample(scale_factor=2), [(1, 2, 4, 4)]),
        (nn.Upsample(scale_factor=2, mode="bilinear"), [(1, 2, 4, 4)]),
        (nn.AdaptiveAvgPool2d(2), [(1, 2, 4, 4)]),
        (Apply(lambda self, x, grid: F.grid_sample(x, grid, align_corners=False)), [(1, 2, 4, 4), (1, 3, 3, 2)]),
        (Apply(lambda self, x, grid: F.grid_sample(x, grid, align_corners=False)), [(1, 2, 4, 4, 4), (1, 3, 3, 3, 3)]),
        (Apply(lambda self, x, y: torch.addmm(x, x, y)), [(4, 4), (4, 4)]),
        (Apply(lambda self, x, y: torch.bmm(x, y)), [(2, 3, 4), (2, 4, 5)]),
        (Apply(lambda self, x, y: torch.einsum("bij,bjk->bik", x, y)), [(2, 3, 4), (2, 4, 5)]),
        (Apply(lambda self, x: torch.vmap(self.linear)(x), linear=nn.Linear(4, 4)), [(3, 2, 4)]),
        (Apply(lambda self, x: self.again(self.linear(x)), linear=(shared := nn.Linear(4, 4)), again=shared), [(2, 4)]),
        (Apply(lambda self, x: self.linear.forward(x), linear=nn.Linear(4, 4)), [(2, 4)]),
        (nn.DataParallel(nn.Linear(4, 4)), [(2, 4)]),
    ],
)
def test_networks_with_equal_counts(model, shapes):
    check = checked(model, *(rand(*shape) for shape in shapes))
    assert check.error is None
    assert check.differences == ()
    assert check.total_fvcore == check.total_ours


# --- what fvcore cannot take by itself ----------------------------------------------------------------------------


@dataclass
class Output:
    logits: torch.Tensor
    hidden: list


def test_keyword_inputs_and_outputs_of_any_form():
    def forward(self, image, *, extra=None, scale=2):
        return Output(logits=self.linear(image) * scale, hidden=[{"extra": extra["a"] + 1}])

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

    Model.forward = forward
    check = checked(Model(), image=rand(2, 4), extra={"a": rand(1)}, scale=3)
    assert (check.error, check.total_fvcore, check.differences) == (None, 2 * 4 * 3, ())


def test_a_lazy_layer_is_counted_with_the_parameters_that_it_gets():
    assert checked(nn.LazyLinear(3), rand(2, 4)).total_fvcore == 2 * 4 * 3


def test_a_model_that_keeps_a_computed_tensor_is_copied_nevertheless():
    layer = nn.Linear(4, 4)
    layer.cached = layer.weight * 2
    check = checked(layer, rand(2, 4))
    assert (check.error, check.total_fvcore) == (None, 32)
    assert layer.cached.grad_fn is not None


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (torch.jit.script(nn.Linear(4, 4)), (2, 4), "ScriptModules"),
        (nn.Sequential(torch.jit.script(nn.Linear(4, 4))), (2, 4), "ScriptModules"),
        (nn.LayerNorm(4), (4,), "AssertionError: [4] (in its formula norm_flop_jit)"),
        (Apply(lambda self, x: x @ x[0]), (4, 4), "(in its formula matmul_flop_jit)"),
        (Apply(lambda self, x: self.hidden[0](x), hidden=[nn.Linear(4, 4)]), (2, 4), "detaching the gradient"),
    ],
)
def test_an_error_of_fvcore_is_one_line_and_the_report_is_complete(model, shape, words):
    check = checked(model, rand(*shape))
    assert check.total_fvcore is None
    assert check.activations_fvcore is None
    assert check.differences == ()
    assert words in check.error
    assert "\n" not in check.error
    assert "Tensor:" not in check.error  # whose numbers torch would spell out
    assert check.total_ours > 0
    assert not torch.jit.is_tracing()


def test_a_model_that_cannot_be_copied_is_one_line():
    class Unique(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("there is only one")

    assert checked(Unique(4, 4), rand(2, 4)).error == "TypeError: there is only one"


def test_without_memory_fvcore_counts_what_torch_can_trace_and_says_what_to_do_otherwise():
    with torch.device("meta"):
        linear, convolution = nn.Linear(4, 4), nn.Conv2d(1, 4, 3)
    assert checked(linear, rand(2, 4)).total_fvcore == 32
    assert "fvcore needs real numbers: leave `--meta`" in checked(convolution, rand(1, 1, 8, 8)).error
