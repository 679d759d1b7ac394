"""Modules that are wrapped, shared, reparametrised, compiled, scripted or made late."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from archcheck.measure import measure_model
from tests.support.features import FLEX_ATTENTION, needs

LINEAR = 2 * 3 * 4  # two rows of 3 features to 4


def linear(**options):
    return nn.Linear(3, 4, **options)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointed_layers(use_reentrant):
    model = Apply(lambda self, x: checkpoint(self.layer, x, use_reentrant=use_reentrant), layer=linear())
    facts = measure_model(model, example=zeros(2, 3))
    assert (facts.cost.macs, facts.params.total, facts.params.unused) == (LINEAR, 16, ())
    assert [op.layer for op in facts.ops if op.kind == "linear"] == ["layer"]


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize(
    ("wrap", "params", "macs"),
    [
        # a direction of 12 weights, 4 lengths, 4 biases
        (parametrizations.weight_norm, 12 + 4 + 4, LINEAR),
        (nn.utils.weight_norm, 12 + 4 + 4, LINEAR),
        # the spectral norm is u' (W v): 12 products, then 4
        (parametrizations.spectral_norm, 12 + 4, LINEAR + 12 + 4),
        (nn.utils.spectral_norm, 12 + 4, LINEAR + 12 + 4),
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), 12 + 4, LINEAR),
    ],
)
def test_reparametrised_weights(wrap, params, macs):
    facts = measure_model(wrap(linear()), example=zeros(2, 3))
    assert facts.params.total == params
    assert facts.cost.macs == macs
    assert facts.cost.uncounted == ()
    assert facts.params.unused == facts.params.hidden == ()


def test_lazy_layers():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    facts = measure_model(model, example=zeros(1, 1, 5, 5))
    assert facts.params.total == 4 * 9 + 4 + 4 * 9 * 2 + 2
    assert facts.cost.macs == 9 * 4 * 9 + 36 * 2
    assert isinstance(model[0].weight, nn.parameter.UninitializedParameter)


def test_lazy_norms():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d())
    assert measure_model(model, example=zeros(1, 1, 5, 5)).params.total == 4 * 9 + 4 + 4 + 4


def test_tied_weights_count_once():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7, bias=False))
    model[1].weight = model[0].weight
    facts = measure_model(model, example=torch.zeros(2, 3, dtype=torch.long))
    assert facts.params.total == 7 * 4
    assert facts.params.tied == (("0.weight", "1.weight"),)
    assert facts.cost.macs == 2 * 3 * 4 * 7


def test_a_module_shared_by_two_names_counts_once_and_runs_thrice():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = self.first

        def forward(self, x):
            return self.first(self.second(self.first(x)))

    facts = measure_model(Shared(), example=zeros(2, 3))
    assert (facts.params.total, facts.cost.macs) == (12, 3 * 2 * 3 * 3)


def test_channels_last_changes_nothing_but_the_order_in_memory():
    def build():
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten())

    image = zeros(1, 2, 8, 8)
    plain = measure_model(build(), example=image)
    model = build().to(memory_format=torch.channels_last)
    other = measure_model(model, example=image.to(memory_format=torch.channels_last))
    assert other.cost == plain.cost
    assert other.cost.macs == 36 * 4 * 2 * 9


def test_a_view_that_channels_last_does_not_allow_is_refused():
    # Torch answers a convolution of channels-last images in channels last, and cannot view that as rows.
    from archcheck.foundation.errors import SubjectError

    model = Apply(lambda self, x: self.layer(x).view(1, -1), layer=nn.Conv2d(2, 4, 3))
    image = zeros(1, 2, 8, 8)
    assert measure_model(model, example=image).shape.outputs[0].shape == (1, 4 * 36)
    with pytest.raises(SubjectError, match="view"):
        measure_model(model, example=image.to(memory_format=torch.channels_last))


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda layer: nn.DataParallel(nn.DataParallel(layer))])
def test_data_parallel_on_the_processor(wrap):
    facts = measure_model(wrap(linear()), example=zeros(2, 3))
    assert (facts.cost.macs, facts.params.total, facts.cost.uncounted) == (LINEAR, 16, ())


def test_vmap_and_functional_calls():
    model = Apply(lambda self, x: torch.vmap(lambda row: self.layer(row))(x), layer=linear())
    facts = measure_model(model, example=zeros(2, 3))
    assert (facts.cost.macs, facts.params.unused) == (LINEAR, ())

    def forward(self, x):
        return torch.func.functional_call(self.layer, dict(self.layer.named_parameters()), (x,))

    facts = measure_model(Apply(forward, layer=linear()), example=zeros(2, 3))
    assert (facts.cost.macs, facts.params.unused) == (LINEAR, ())


def test_autocast_inside_of_the_forward_pass():
    def forward(self, x):
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.second(self.norm(self.first(x)))

    layers = {"first": nn.Conv2d(1, 2, 3), "norm": nn.BatchNorm2d(2), "second": nn.Conv2d(2, 2, 3)}
    facts = measure_model(Apply(forward, **layers), example=zeros(1, 1, 6, 6))
    assert facts.cost.macs == 16 * 2 * 9 + 4 * 2 * 2 * 9
    assert facts.shape.outputs[0].dtype == "bfloat16"
    assert facts.params.unused == ()


# --- compiled and scripted ---------------------------------------------------------------------------------------


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.conv = linear(), nn.Conv1d(1, 2, 3)

    def forward(self, x):
        return self.conv(torch.relu(self.layer(x)).unsqueeze(1))


PLAIN = LINEAR + 2 * 2 * 2 * 3  # and two positions of two channels, three weights each


def eagerly(thing):
    return torch.compile(thing, backend="eager")


def compiled_inside():
    double = eagerly(lambda x: torch.relu(x) * 2)
    return Apply(lambda self, x: double(self.inner(x)), inner=Plain())


@pytest.mark.filterwarnings("ignore")  # of torch's compilers about one another
@pytest.mark.parametrize(
    "build",
    [
        lambda: eagerly(Plain()),
        lambda: nn.Sequential(eagerly(Plain())),
        compiled_inside,
        lambda: torch.jit.script(Plain()),
        lambda: nn.Sequential(torch.jit.script(Plain())),
        lambda: torch.jit.trace(Plain(), zeros(2, 3)),
        lambda: nn.Sequential(torch.jit.trace(Plain(), zeros(2, 3))),
        lambda: torch.jit.freeze(torch.jit.script(Plain().eval())),
    ],
)
def test_compiled_scripted_and_traced_modules(build):
    facts = measure_model(build(), example=zeros(2, 3))
    assert facts.cost.macs == PLAIN
    assert facts.cost.uncounted == ()
    assert facts.params.total + facts.params.numbers_beside == 16 + 8
    assert facts.params.unused == ()
    assert [op.kind for op in facts.ops if op.kind in ("linear", "relu", "conv")][:3] == ["linear", "relu", "conv"]


@pytest.mark.filterwarnings("ignore")
def test_compiled_code_is_measured_without_being_compiled():
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    measure_model(compiled_inside(), example=zeros(2, 3))
    assert counters["frames"]["total"] == 0


def test_a_branch_by_torch_cond():
    def forward(self, x):
        return torch.cond(x.sum() > 0, self.first, self.second, (x,))

    facts = measure_model(Apply(forward, first=linear(), second=linear()), example=torch.ones(2, 3))
    assert facts.cost.macs == LINEAR


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@needs(FLEX_ATTENTION, "flex_attention")
def test_flex_attention():
    from torch.nn.attention.flex_attention import flex_attention

    model = Apply(lambda self, x: flex_attention(x, x, x))
    facts = measure_model(model, example=zeros(1, 2, 16, 16))
    assert facts.cost.macs == 2 * (2 * 16 * 16 * 16) or facts.cost.uncounted


def test_a_linear_layer_spelled_in_any_way_is_a_linear_layer():
    spellings = [
        lambda self, x: F.linear(x, self.layer.weight, self.layer.bias),
        lambda self, x: x @ self.layer.weight.t() + self.layer.bias,
        lambda self, x: torch.addmm(self.layer.bias, x, self.layer.weight.t()),
        lambda self, x: torch.einsum("bi,oi->bo", x, self.layer.weight) + self.layer.bias,
    ]
    for forward in spellings:
        facts = measure_model(Apply(forward, layer=linear()), example=zeros(2, 3))
        assert (facts.cost.macs, facts.params.unused) == (LINEAR, ())
        assert "linear" in [op.kind for op in facts.ops]
