"""A rule gives the same verdict however a network is written."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check, measure
from archcheck.rules import (
    FollowedBy,
    Forbids,
    Head,
    MaxParams,
    NoHiddenWeights,
    NoUnusedParams,
    Requires,
    RequiresAny,
)
from archcheck.rules.findings import Report, Verdict

IMAGE = torch.zeros(1, 1, 12, 12)


class Functional(nn.Module):
    """A convolution, then whatever `then` does with its result."""

    def __init__(self, then, channels=4):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3)
        self.then = [then]  # in a list, so that a module among them would not be registered

    def forward(self, x):
        return self.then[0](self, self.conv(x))


def judge(model: nn.Module, *rules, example=IMAGE) -> Report:
    return check(model, example=example, rules=rules)


def verdict(model: nn.Module, rule, example=IMAGE) -> Verdict:
    return judge(model, rule, example=example).outcomes[0].verdict


def message(model: nn.Module, rule, example=IMAGE) -> str:
    return judge(model, rule, example=example).outcomes[0].summary


# --- global pooling -----------------------------------------------------------------------------------------

GLOBAL = [
    lambda self, x: x.mean((2, 3)),
    lambda self, x: torch.mean(x, dim=[-1, -2]),
    lambda self, x: x.mean(3).mean(2),
    lambda self, x: F.adaptive_avg_pool2d(x, 1),
    lambda self, x: F.adaptive_avg_pool2d(x, (1, 1)).flatten(1),
    lambda self, x: F.avg_pool2d(x, 10),
    lambda self, x: F.avg_pool2d(x, x.shape[2:]),
    lambda self, x: x.flatten(2).mean(-1),
    lambda self, x: x.view(x.size(0), x.size(1), -1).mean(dim=2),
    lambda self, x: x.permute(0, 2, 3, 1).mean((1, 2)),
]


@pytest.mark.parametrize("then", GLOBAL)
def test_every_spelling_of_global_average_pooling_counts(then):
    report = judge(Functional(then), Requires(kinds=("global_avg_pool",)), Head(kinds=("global_avg_pool",)))
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.KEPT, Verdict.KEPT], report.outcomes


@pytest.mark.parametrize(
    ("then", "says"),
    [
        (lambda self, x: F.adaptive_avg_pool2d(x, (7, 7)), "pools its 10x10 map to 7x7, not to one position"),
        (lambda self, x: F.avg_pool2d(x, 6), "leaves out a border of the 10x10 map (partial)"),
        (lambda self, x: x.mean(1), "executes no "),
        (lambda self, x: F.adaptive_avg_pool2d(x[:, :, :1, :1], 1), "pools a map that is 1x1 already (trivial)"),
    ],
)
def test_pooling_that_is_not_global_does_not_count(then, says):
    assert says in message(Functional(then), Requires(kinds=("global_avg_pool",)))


def test_a_mean_over_features_is_no_global_pooling():
    class Norm(nn.Module):
        def forward(self, x):
            return x - x.mean(-1, keepdim=True)

    model = nn.Sequential(nn.Linear(8, 8), Norm())
    example = torch.zeros(2, 5, 8)
    assert verdict(model, Requires(kinds=("global_avg_pool",)), example=example) is Verdict.BROKEN


# --- normalisation ------------------------------------------------------------------------------------------


class FunctionalNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.weight = nn.Parameter(torch.ones(4))
        self.bias = nn.Parameter(torch.zeros(4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("var", torch.ones(4))

    def forward(self, x):
        return F.batch_norm(self.conv(x), self.mean, self.var, self.weight, self.bias, self.training)


def test_functional_batch_norm_counts():
    report = judge(FunctionalNorm(), Requires(kinds=("batch_norm",)), FollowedBy(layer="conv", by="batch_norm"))
    assert report.exit_code == 0


def test_the_measured_statistics_of_functional_batch_norm_stay_as_they_were():
    model = FunctionalNorm()
    judge(model, Requires(kinds=("batch_norm",)))
    assert torch.equal(model.mean, torch.zeros(4))
    assert torch.equal(model.var, torch.ones(4))


class Declared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.conv(x)


def test_declared_but_never_called():
    assert "`bn` (BatchNorm2d) is declared and never called" in message(Declared(), Requires(kinds=("batch_norm",)))
    assert "`drop` (Dropout) is declared and never called" in message(Declared(), Requires(kinds=("dropout",)))
    assert "`bn.weight` (4 parameters) reaches no output" in message(Declared(), NoUnusedParams())


class Dropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.conv(x)
        self.bn(x)
        return x


def test_a_branch_whose_result_is_dropped():
    assert "`bn` (BatchNorm2d) runs, but its result reaches no output" in message(
        Dropped(), Requires(kinds=("batch_norm",))
    )
    assert verdict(Dropped(), FollowedBy(layer="conv", by="batch_norm")) is Verdict.BROKEN
    assert verdict(Dropped(), NoUnusedParams()) is Verdict.BROKEN


def test_a_class_called_batch_norm_that_normalises_nothing():
    class BatchNorm2d(nn.BatchNorm2d):
        def forward(self, x):
            return x

    model = nn.Sequential(nn.Conv2d(1, 4, 3), BatchNorm2d(4))
    assert "`1` (BatchNorm2d) is called and executes no batch_norm" in message(model, Requires(kinds=("batch_norm",)))


# --- weights ------------------------------------------------------------------------------------------------


class ListOfLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(12, 20), nn.Linear(20, 30)]
        self.head = nn.Linear(30, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


def test_layers_in_a_plain_list_are_hidden_weights():
    report = judge(ListOfLayers(), NoHiddenWeights(), MaxParams(limit=100), example=torch.zeros(1, 12))
    hidden, budget = report.outcomes
    assert hidden.verdict is Verdict.BROKEN
    assert hidden.found == 12 * 20 + 20 + 20 * 30 + 30
    assert "240 hidden weights: `Linear.weight` of shape 20x12" in hidden.findings[0].message
    assert hidden.findings[0].where.file.endswith("test_meaning.py")
    assert budget.found == 30 * 2 + 2 + hidden.found


def test_tensors_in_closures_and_globals_are_hidden_weights():
    secret = torch.randn(10, 3)

    def then(self, x):
        return x.flatten(1)[:, :10] @ secret

    assert judge(Functional(then), NoHiddenWeights()).outcomes[0].found == 30


def test_a_constant_that_scales_an_image_is_no_hidden_weight():
    mean, std = torch.tensor([0.1307]), torch.tensor([0.3081])

    def then(self, x):
        return (x - mean) / std

    assert verdict(Functional(then), NoHiddenWeights()) is Verdict.KEPT


class Liar(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(100, 100)

    def parameters(self, recurse=True):
        return iter([nn.Parameter(torch.zeros(1))])

    named_parameters = named_modules = modules = children = lambda self, *args, **kwargs: iter(())

    def state_dict(self, *args, **kwargs):
        return {}

    def forward(self, x):
        return self.linear(x)


def test_an_overridden_parameters_does_not_lie_to_us():
    report = judge(Liar(), MaxParams(limit=50), example=torch.zeros(1, 100))
    assert report.outcomes[0].found == 10_100
    assert report.outcomes[0].verdict is Verdict.BROKEN


def test_frozen_parameters_count():
    model = nn.Linear(3, 4)
    model.requires_grad_(False)
    report = judge(model, MaxParams(limit=15), example=torch.zeros(1, 3))
    assert report.facts.params.total == 16
    assert report.facts.params.frozen == 16
    assert report.facts.params.trainable == 0
    assert report.outcomes[0].verdict is Verdict.BROKEN


def test_tied_weights_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.decode.weight = self.encode.weight

        def forward(self, x):
            return self.decode(self.encode(x))

    facts = judge(Tied(), MaxParams(limit=36), example=torch.zeros(1, 6)).facts
    assert facts.params.total == 36
    assert facts.params.tied == (("encode.weight", "decode.weight"),)
    assert facts.params.unused == ()


# --- heads and linear maps ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "then",
    [
        lambda self, x: x.flatten(1) @ self.w,
        lambda self, x: x.flatten(1) @ self.w + 1,
        lambda self, x: F.linear(x.flatten(1), self.w.t()),
        lambda self, x: torch.einsum("ni,io->no", x.flatten(1), self.w),
        lambda self, x: torch.addmm(torch.zeros(3), x.flatten(1), self.w).log_softmax(1),
    ],
)
def test_every_spelling_of_a_linear_head_counts(then):
    model = Functional(then)
    model.w = nn.Parameter(torch.zeros(400, 3))
    assert verdict(model, Head(kinds=("linear",))) is Verdict.KEPT


def test_a_pointwise_conv_on_one_position_is_a_linear_head():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.Flatten())
    report = judge(model, Head(kinds=("linear",)), RequiresAny(kinds=("linear",)))
    assert report.exit_code == 0
    assert report.outcomes[0].found == ["linear", "global_avg_pool"]


WHOLE = [
    (nn.Conv2d(4, 10, 3), (1, 4, 3, 3)),
    (nn.Conv2d(4, 10, (3, 1)), (1, 4, 3, 1)),
    (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 3, 3)),
    (nn.Conv2d(4, 10, 5, padding=1), (1, 4, 3, 3)),
    (nn.Conv2d(4, 10, 3, padding="valid"), (1, 4, 3, 3)),
    (nn.Conv1d(4, 10, 6), (1, 4, 6)),
    (nn.Conv3d(4, 10, 2), (1, 4, 2, 2, 2)),
    (nn.LazyConv2d(10, 3), (1, 4, 3, 3)),
]
"""Convolutions whose kernel covers their map, which is larger than one position."""

NOT_WHOLE = [
    (nn.Conv2d(4, 10, 3, stride=9), (1, 4, 5, 5)),  # a corner
    (nn.Conv2d(4, 10, 2, dilation=4), (1, 4, 5, 5)),  # four corners
    (nn.Conv2d(4, 10, 3, padding=1), (1, 4, 1, 1)),
    (nn.Conv2d(4, 10, 3), (1, 4, 4, 3)),
    (nn.ConvTranspose2d(4, 10, 1), (1, 4, 1, 1)),
    (nn.Conv2d(4, 4, 1, groups=2), (1, 4, 1, 1)),
]


@pytest.mark.parametrize(("conv", "shape"), [*WHOLE, *NOT_WHOLE])
def test_a_convolution_over_its_whole_map_is_no_linear_layer(conv, shape):
    model, whole = nn.Sequential(nn.Identity(), conv, nn.Flatten()), any(conv is each for each, _ in WHOLE)
    rules = RequiresAny(kinds=("linear",)), Head(kinds=("linear",)), Requires(kinds=("global_conv",))
    verdicts = [verdict(model, rule, torch.rand(shape)) for rule in rules]
    assert verdicts == [Verdict.BROKEN, Verdict.BROKEN, Verdict.KEPT if whole else Verdict.BROKEN]
    if not isinstance(conv, nn.ConvTranspose2d):  # which is a kind of its own, too
        assert verdict(model, Requires(kinds=("conv",)), torch.rand(shape)) is Verdict.KEPT


@pytest.mark.parametrize(
    ("then", "verdict_"),
    [
        (lambda self, x: x.flatten(1) @ torch.ones(400, 3), Verdict.BROKEN),
        (lambda self, x: F.linear(x.flatten(1), torch.full((3, 400), 0.1)), Verdict.BROKEN),
        (lambda self, x: x.flatten(1) @ (torch.arange(1200.0).view(400, 3) / 7).cos().t().t(), Verdict.BROKEN),
        (lambda self, x: x.flatten(1) @ torch.eye(400)[:, :3], Verdict.BROKEN),
        (lambda self, x: x.flatten(1) @ torch.randn(400, 3), Verdict.BROKEN),
        (lambda self, x: x.flatten(1) @ (self.w * torch.ones(400, 3)), Verdict.KEPT),
        (lambda self, x: F.linear(x.flatten(1), self.w.t().contiguous()), Verdict.KEPT),
        (lambda self, x: x.flatten(1) @ (torch.eye(400) @ self.w), Verdict.KEPT),
    ],
)
def test_a_linear_layer_is_a_product_with_a_weight(then, verdict_):
    model = Functional(then)
    model.w = nn.Parameter(torch.zeros(400, 3))
    rules = Requires(kinds=("linear",)), RequiresAny(kinds=("linear",)), Head(kinds=("linear",))
    assert [verdict(model, rule) for rule in rules] == [verdict_] * 3


def test_a_packed_weight_is_one():
    quantise = pytest.importorskip("torch.ao.quantization").quantize_dynamic
    model = quantise(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)))
    assert judge(model, Requires(kinds=("linear",)), Head(kinds=("linear",)), example=torch.rand(2, 6)).exit_code == 0


@pytest.mark.parametrize(("conv", "shape"), [(nn.Conv1d(4, 2, 1), (1, 4, 1)), (nn.Conv3d(4, 2, 1), (2, 4, 1, 1, 1))])
def test_the_kept_line_says_that_a_convolution_is_a_linear_layer(conv, shape):
    model = nn.Sequential(conv, nn.Flatten(), nn.Linear(2, 2))
    facts = measure(model, example=torch.rand(shape))
    said = "linear (1 of them a 1x1 convolution on a 1x1 map)"
    assert Requires(kinds=("linear",)).check(facts).kept == f"2 {said}"
    assert RequiresAny(kinds=("relu", "linear")).check(facts).kept == said


def test_forbidden_operations_count_even_where_their_result_is_dropped():
    assert verdict(Dropped(), Forbids(kinds=("batch_norm",))) is Verdict.BROKEN
    assert verdict(Declared(), Forbids(kinds=("batch_norm",))) is Verdict.KEPT


def test_a_pointwise_conv_head_is_no_forbidden_linear_layer():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.Flatten())
    assert verdict(model, Forbids(kinds=("linear",))) is Verdict.KEPT


@pytest.mark.parametrize("kind", ["max_pool", "global_max_pool"])
def test_a_pooling_that_covers_the_whole_map_is_both(kind):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(10))
    assert verdict(model, Requires(kinds=(kind,))) is Verdict.KEPT
    assert verdict(model, Forbids(kinds=(kind,))) is Verdict.BROKEN


@pytest.mark.parametrize(
    "then",
    [
        lambda self, x: x.sum((2, 3)) / 100,
        lambda self, x: x.mean(3, keepdim=True).mean(2, keepdim=True),
        lambda self, x: x.permute(0, 2, 3, 1).flatten(1, 2).mean(1),
    ],
)
def test_more_spellings_of_global_average_pooling(then):
    assert verdict(Functional(then), Requires(kinds=("global_avg_pool",))) is Verdict.KEPT


@pytest.mark.parametrize(
    "then",
    [
        lambda self, x: x[:, :, :5, :5].mean((2, 3)),
        lambda self, x: x.permute(0, 2, 3, 1).mean((2, 3)),
        lambda self, x: x.sum((2, 3)),
    ],
)
def test_means_that_are_no_global_average_pooling(then):
    assert verdict(Functional(then), Requires(kinds=("global_avg_pool",))) is Verdict.BROKEN
