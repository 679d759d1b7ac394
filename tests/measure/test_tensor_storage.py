"""How weights are stored: elements, bits, bytes and zeros of quantised, packed, half and pruned ones."""

from __future__ import annotations

import io

import pytest
import torch
import torch.ao.quantization as quantization
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from networks import Apply, zeros
from torch import nn
from torch.nn.utils import parametrize, prune

from archcheck import check
from archcheck.measure import measure_model
from archcheck.rules import MaxBytes, MinSparsity, NoHiddenWeights, NoUnusedLayers, NoUnusedParams
from archcheck.rules.findings import Verdict

pytestmark = pytest.mark.filterwarnings("ignore")  # torch announces that its quantisation moves to another package


def saved_bytes(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return len(file.getvalue())


def dynamic(model, *kinds, dtype=torch.qint8):
    return quantization.quantize_dynamic(model.eval(), set(kinds), dtype=dtype)


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.norm, self.relu = nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU()
        self.again, self.add = nn.Conv2d(channels, channels, 3, padding=1), torch.ao.nn.quantized.FloatFunctional()
        self.fc = nn.Linear(channels, 10)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(self.quant(x))))
        return self.dequant(self.fc(self.add.add(self.again(x), x).mean((2, 3))))


FUSED = [["conv", "norm", "relu"]]


def observed(channels=8, training=False):
    """A network with the observers of torch's quantisation in it."""
    backend = torch.backends.quantized.engine
    if training:
        model = quantization.fuse_modules_qat(Residual(channels).train(), FUSED)
        model.qconfig = quantization.get_default_qat_qconfig(backend)
        model = quantization.prepare_qat(model)
    else:
        model = quantization.fuse_modules(Residual(channels).eval(), FUSED)
        model.qconfig = quantization.get_default_qconfig(backend)
        model = quantization.prepare(model)
    model(torch.rand(2, 3, 8, 8))
    return model.eval()


def table(four_bits, bag=False):
    config = quantization.float_qparams_weight_only_qconfig
    config = quantization.float_qparams_weight_only_qconfig_4bit if four_bits else config
    model = nn.Sequential(nn.EmbeddingBag(50, 32) if bag else nn.Embedding(50, 32)).eval()
    model[0].qconfig = config
    return quantization.convert(quantization.prepare(model))


class Int8(nn.Module):
    """A linear layer with weights of 8 bits and a scale for each row."""

    def __init__(self, persistent=True):
        super().__init__()
        self.register_buffer("weight", torch.randint(1, 128, (6, 8), dtype=torch.int8), persistent=persistent)
        self.register_buffer("scale", torch.rand(6, 1))
        self.bias = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype) * self.scale, self.bias)


class Int8After(Int8):
    """The same with the scale behind the product."""

    def forward(self, x):
        return (x @ self.weight.t().to(x.dtype)) * self.scale.t() + self.bias


class Int4(nn.Module):
    """One with two weights in each byte."""

    def __init__(self):
        super().__init__()
        self.register_buffer("packed", torch.randint(0, 256, (6, 4), dtype=torch.uint8))
        self.register_buffer("scale", torch.rand(6, 1))

    def forward(self, x):
        low, high = (self.packed & 15).to(x.dtype) - 8, (self.packed >> 4).to(x.dtype) - 8
        return F.linear(x, torch.stack([low, high], -1).flatten(1) * self.scale)


class Int4Multiplied(Int4):
    """The same as a product of matrices."""

    def forward(self, x):
        codes = torch.stack([self.packed & 15, self.packed >> 4], -1).flatten(1)
        return x @ ((codes.to(x.dtype) - 8) * self.scale).t()


class Float8(nn.Module):
    """One with weights in floats of 8 bits."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.rand(6, 8).to(torch.float8_e4m3fn))
        self.register_buffer("scale", torch.rand(6, 1))

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype) * self.scale)


class Blocks(nn.Module):
    """One with blocks of 32 weights of 4 bits behind their scale, all in bytes."""

    def __init__(self):
        super().__init__()
        scales = torch.rand(6, 1).half().view(torch.uint8)
        self.register_buffer("blocks", torch.cat([scales, torch.randint(0, 256, (6, 16), dtype=torch.uint8)], 1))

    def forward(self, x):
        scales, codes = self.blocks[:, :2].contiguous().view(torch.float16), self.blocks[:, 2:]
        weights = torch.cat([codes & 15, codes >> 4], 1).to(x.dtype) - 8
        return x @ (weights * scales.to(x.dtype)).view(12, 16).t()


class Binary(nn.Module):
    """One with eight weights in each byte, whose scale is trained on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("packed", torch.randint(0, 256, (6, 2), dtype=torch.uint8))
        self.scale = nn.Parameter(torch.rand(6))

    def forward(self, x):
        bits = (self.packed[..., None] >> torch.arange(8, dtype=torch.uint8)) & 1
        return x @ ((bits.to(x.dtype) * 2 - 1).flatten(1) * self.scale[:, None]).t()


class Int8Both(Int8):
    """One that rounds its input, too: whole numbers are multiplied, their sums are scaled, the bias is a buffer."""

    def __init__(self):
        super().__init__()
        self.bias = None
        self.register_buffer("shift", torch.rand(6))

    def forward(self, x):
        step = x.abs().amax(1, keepdim=True).clamp(min=1e-6) / 127
        codes = (x / step).round().to(torch.int8)
        return torch._int_mm(codes, self.weight.t().contiguous()).float() * step * self.scale.view(-1) + self.shift


class Int8Conv(nn.Module):
    """A convolution whose sums are scaled channel by channel, with a parameter."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (4, 3, 3, 3), dtype=torch.int8))
        self.scale = nn.Parameter(torch.rand(4))
        self.register_buffer("bias", torch.rand(4))

    def forward(self, x):
        return F.conv2d(x, self.weight.to(x.dtype)) * self.scale[:, None, None] + self.bias[:, None, None]


TOKENS = torch.randint(0, 50, (2, 4))
PIXELS = torch.rand(2, 3, 8, 8)
WEIGHTS = {8: 3 * 9 * 8 + 8 + 8 * 9 * 8 + 8 + 8 * 10 + 10, 16: 3 * 9 * 16 + 16 + 16 * 9 * 16 + 16 + 16 * 10 + 10}
QUANTISED = {
    "linear": (lambda: dynamic(nn.Sequential(nn.Linear(8, 6)), nn.Linear), zeros(2, 8), 54, 2 * 48),
    "two linears": (
        lambda: dynamic(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)), nn.Linear),
        zeros(1, 8),
        54 + 28,
        48 + 24,
    ),
    "ten linears": (
        lambda: dynamic(nn.Sequential(*[nn.Linear(9, 9) for _ in range(10)]), nn.Linear),
        zeros(1, 9),
        900,
        810,
    ),
    "half linear": (
        lambda: dynamic(nn.Sequential(nn.Linear(8, 6)), nn.Linear, dtype=torch.float16),
        zeros(2, 8),
        54,
        2 * 48,
    ),
    "lstm": (lambda: dynamic(nn.Sequential(nn.LSTM(8, 4)), nn.LSTM), zeros(5, 2, 8), 16 * 12 + 32, 10 * 16 * 12),
    "gru": (lambda: dynamic(nn.Sequential(nn.GRU(8, 4)), nn.GRU), zeros(5, 2, 8), 12 * 12 + 24, 10 * 12 * 12),
    "two layers": (
        lambda: dynamic(nn.Sequential(nn.LSTM(8, 4, 2)), nn.LSTM),
        zeros(5, 2, 8),
        16 * 12 + 32 + 16 * 8 + 32,
        10 * 16 * 20,
    ),
    "lstm cell": (
        lambda: dynamic(nn.Sequential(nn.LSTMCell(8, 4)), nn.LSTMCell),
        zeros(2, 8),
        16 * 12 + 32,
        2 * 16 * 12,
    ),
    "gru cell": (lambda: dynamic(nn.Sequential(nn.GRUCell(8, 4)), nn.GRUCell), zeros(2, 8), 12 * 12 + 24, 2 * 12 * 12),
    "rnn cell": (lambda: dynamic(nn.Sequential(nn.RNNCell(8, 4)), nn.RNNCell), zeros(2, 8), 4 * 12 + 8, 2 * 4 * 12),
    "static": (lambda: quantization.convert(observed()), PIXELS, WEIGHTS[8], 2 * (36 * 8 * (27 + 72) + 80)),
    "wider": (lambda: quantization.convert(observed(16)), PIXELS, WEIGHTS[16], 2 * (36 * 16 * (27 + 144) + 160)),
    "trained": (lambda: quantization.convert(observed(training=True)), PIXELS, WEIGHTS[8], 2 * (36 * 8 * 99 + 80)),
    "table": (lambda: table(four_bits=False), TOKENS, 50 * 32, 0),
    "bag": (lambda: table(four_bits=False, bag=True), TOKENS, 50 * 32, 0),
    "bag of 4 bits": (lambda: table(four_bits=True, bag=True), TOKENS, 50 * 32, 0),
    "mixed": (
        lambda: dynamic(
            nn.Sequential(nn.LSTM(8, 4)).append(Apply(lambda self, x: self.fc(x[0]), fc=nn.Linear(4, 3))), nn.Linear
        ),
        zeros(5, 2, 8),
        16 * 12 + 32 + 15,
        10 * (16 * 12 + 12),
    ),
    "by hand": (Int8, zeros(2, 8), 48 + 6 + 6, 2 * 48),
    "scaled after": (Int8After, zeros(2, 8), 48 + 6 + 6, 2 * 48),
    "by hand, 4 bits": (Int4, zeros(2, 8), 48 + 6, 2 * 48),
    "4 bits in a product": (Int4Multiplied, zeros(2, 8), 48 + 6, 2 * 48),
    "floats of 8 bits": (Float8, zeros(2, 8), 48 + 6, 2 * 48),
    "blocks of bytes": (Blocks, zeros(2, 16), 6 * 32, 2 * 6 * 32),
    "by hand, 1 bit": (Binary, zeros(2, 16), 96 + 6, 2 * 96),
    "by hand, whole numbers": (Int8Both, torch.ones(24, 8), 48 + 6 + 6, 24 * 48),
    "by hand, a convolution": (Int8Conv, PIXELS, 108 + 4 + 4, 2 * 36 * 108),
}
"""A network, its input, its weights and its multiply-accumulates."""


@pytest.mark.parametrize("case", QUANTISED)
def test_a_quantised_network_is_what_its_saved_state_is(case):
    build, example, weights, macs = QUANTISED[case]
    model = build()
    saved = saved_bytes(model)
    rules = [
        MaxBytes(limit=saved * 101 // 100, of="state"), MaxBytes(limit=saved, of=None), MaxBytes(limit=0, of="state"),
        NoHiddenWeights(), NoUnusedLayers(), NoUnusedParams(),
    ]  # fmt: skip
    report = check(model, example=example, rules=rules)
    assert [each.verdict for each in report.outcomes] == [
        Verdict.KEPT, Verdict.KEPT, Verdict.BROKEN, Verdict.KEPT, Verdict.KEPT, Verdict.KEPT,
    ]  # fmt: skip
    assert report.outcomes[0].found == pytest.approx(saved, rel=0.01)
    assert (report.facts.params.total, report.facts.cost.macs) == (weights, macs)
    assert report.facts.cost.uncounted == ()


@pytest.mark.parametrize("training", [False, True])
def test_observers_are_no_unused_layers(training):
    facts = measure_model(observed(training=training), example=PIXELS)
    assert (facts.unused_layers, facts.params.unused, facts.params.hidden) == ((), (), ())


def test_beside_observers_an_unused_layer_is_one():
    model = observed()
    model.idle = nn.Linear(3, 3)
    assert measure_model(model, example=PIXELS).unused_layers == ("idle",)


def test_integers_that_no_state_holds_are_hidden():
    assert measure_model(Int8(persistent=False), example=zeros(2, 8)).params.hidden_total >= 48


def test_floats_in_buffers_are_hidden_whatever_integers_lie_beside_them():
    class Cheats(Int8):
        def __init__(self):
            super().__init__()
            self.register_buffer("more", torch.rand(6, 8))

        def forward(self, x):
            return F.linear(x, self.weight.to(x.dtype) * self.scale + self.more, self.bias)

    assert [each.name for each in measure_model(Cheats(), example=zeros(2, 8)).params.hidden] == ["more"]


class Unscaled(nn.Module):
    """Integers that act as weights and beside which `make` uses other buffers, none of them a scale."""

    def __init__(self, make, **beside):
        super().__init__()
        self.make, self.fc = make, nn.Linear(8, 6)
        self.fc.register_buffer("more", torch.rand(6))
        self.register_buffer("weight", torch.randint(1, 128, (6, 8), dtype=torch.int8))
        for name, tensor in beside.items():
            self.register_buffer(name, tensor)

    def forward(self, x):
        return self.make(self, x)


NO_SCALES = {
    # a number for each output, or more, is no scale of six channels
    "a number for every output": (
        lambda self, x: F.linear(x, self.weight.to(x.dtype)) * self.scale * self.more,
        {"scale": torch.rand(6), "more": torch.rand(9, 6)},
        {"more"},
    ),
    "added to something else": (
        lambda self, x: F.linear(x, self.weight.to(x.dtype)) * self.scale + self.fc(x * self.more),
        {"scale": torch.rand(6), "more": torch.rand(9, 8)},
        {"more"},
    ),
    "of another layer": (
        lambda self, x: F.linear(x, self.weight.to(x.dtype)) * self.scale * self.fc.more,
        {"scale": torch.rand(6)},
        {"fc.more"},
    ),
    "integers without a scale": (lambda self, x: self.fc(x) + x @ self.weight.to(x.dtype).t(), {}, {"weight"}),
    "integers that a parameter scales, and that are added": (
        lambda self, x: self.fc(x) + (self.weight.to(x.dtype) * self.fc.bias[:, None]).sum(1), {}, {"weight"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_SCALES)
def test_what_only_claims_to_be_a_scale_is_hidden(case):
    make, beside, names = NO_SCALES[case]
    found = measure_model(Unscaled(make, **beside), example=zeros(9, 8)).params
    assert {each.name for each in (*found.hidden, *found.beside) if each.buffer} == names


def stored(model, example):
    found = measure_model(model, example=example).params
    return found, {each.name: (each.sort, each.elements, each.bits, each.bytes, each.nonzero) for each in found.storage}


def test_widths_of_packed_weights():
    _, of_rows = stored(quantization.convert(observed()), PIXELS)
    assert of_rows["fc.weight"][:4] == ("packed", 80, 8, 80 + 10 * 16)  # a scale and a zero point for each row
    assert of_rows["fc.bias"][:4] == ("packed", 10, 32, 40)
    _, of_bits = stored(table(four_bits=True, bag=True), TOKENS)
    assert of_bits["0.weight"][:4] == ("packed", 1600, 4, 800 + 50 * 8)
    _, of_half = stored(nn.Linear(3, 4).half(), torch.zeros(1, 3, dtype=torch.float16))
    assert of_half["weight"][:4] == ("parameter", 12, 16, 24)


def pruned():
    layer = nn.Linear(4, 5)
    nn.init.ones_(layer.bias)
    return prune.l1_unstructured(layer, "weight", amount=15)


class Masks(nn.Module):
    def forward(self, weight):
        return weight * (torch.arange(4) > 2)


def parametrised():
    layer = nn.Linear(4, 5)
    nn.init.ones_(layer.bias)
    parametrize.register_parametrization(layer, "weight", Masks())
    return layer


def zeroed():
    layer = nn.Linear(4, 5)
    nn.init.ones_(layer.bias)
    layer.weight.data[:, :3] = 0
    return layer


@pytest.mark.parametrize("build", [pruned, parametrised, zeroed])
def test_zeros_of_pruned_weights(build):
    facts = measure_model(build(), example=zeros(1, 4))
    assert (facts.params.total, facts.params.effective) == (25, 10)
    report = check(
        build(),
        example=zeros(1, 4),
        rules=[MinSparsity(limit=0.6), MinSparsity(limit=0.7), MinSparsity(limit=0.75, on="*weight*")],
    )
    assert [each.verdict for each in report.outcomes][:2] == [Verdict.KEPT, Verdict.BROKEN]
    assert report.outcomes[0].found == 0.6


def test_sparse_parameters_are_stored_with_their_indices():
    layer = Apply(lambda self, x: torch.sparse.mm(self.weight, x.t()).t())
    layer.weight = nn.Parameter(torch.eye(5).to_sparse(), requires_grad=False)
    found, each = stored(layer, zeros(2, 5))
    assert each["weight"] == ("parameter", 25, 32, 5 * 4 + 2 * 5 * 8, 5)
    assert found.effective == 5


def test_without_memory_nothing_is_known_to_be_zero():
    params = measure_model(nn.Linear(3, 4, device="meta"), example=zeros(1, 3)).params
    assert (params.effective, params.bytes) == (None, 64)


@pytest.mark.parametrize(("of", "found"), [(None, 72), ("parameters", 32), ("buffers", 40)])
def test_what_counts_of_the_bytes(of, found):
    (outcome,) = check(nn.BatchNorm1d(4), example=zeros(2, 4), rules=[MaxBytes(limit=100, of=of)]).outcomes
    assert (outcome.found, outcome.verdict) == (found, Verdict.KEPT)


def test_a_buffer_that_is_not_saved_takes_nothing_in_the_state():
    model = Apply(lambda self, x: self.fc(x), fc=nn.Linear(3, 4))
    before = saved_bytes(model)
    model.register_buffer("mask", torch.ones(1000), persistent=False)
    every, state = check(
        model, example=zeros(1, 3), rules=[MaxBytes(limit=10_000), MaxBytes(limit=10_000, of="state")]
    ).outcomes
    assert (every.found, state.found) == (64 + 4000, before)


def test_no_file_is_no_answer():
    (outcome,) = check(nn.Linear(3, 4), example=zeros(1, 3), rules=[MaxBytes(limit=100, of="file")]).outcomes
    assert outcome.verdict is Verdict.ERROR
    assert "the weights come from no file" in outcome.summary


@pytest.mark.parametrize("build", [Binary, Int4])
def test_zeros_among_packed_integers_cannot_be_seen(build):
    example = zeros(2, 16 if build is Binary else 8)
    (outcome,) = check(build(), example=example, rules=[MinSparsity(limit=0.01)]).outcomes
    assert outcome.verdict is Verdict.ERROR
    assert "which weights are zero cannot be seen in the integers of `packed`" in outcome.summary


def test_zeros_among_integers_that_are_multiplied_as_they_are():
    model = Int8()
    model.weight[:2] = 0
    (outcome,) = check(model, example=zeros(2, 8), rules=[MinSparsity(limit=0.25)]).outcomes
    assert (outcome.verdict, outcome.found) == (Verdict.KEPT, 16 / 60)


NARROW = [
    name for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz") if hasattr(torch, name)
]


@pytest.mark.parametrize("dtype", NARROW)
def test_zeros_of_narrow_floats_are_zeros(dtype):
    model = Apply(lambda self, x: F.linear(x, self.weight.to(x.dtype)))
    values = torch.tensor([[0.0, -0.0, 1.0, -2.0], [0.5, 0.0, 1.5, 2.0**-6]])
    model.weight = nn.Parameter(values.to(getattr(torch, dtype)), requires_grad=False)
    (outcome,) = check(model, example=zeros(2, 4), rules=[MinSparsity(limit=0.3)]).outcomes
    assert (outcome.verdict, outcome.found) == (Verdict.KEPT, 3 / 8)


class Holds(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, x):
        return x


NARROW = (torch.float8_e4m3fn, torch.float8_e5m2)


@given(
    st.sampled_from((torch.float32, torch.float64, torch.float16, torch.bfloat16, *NARROW)),
    st.integers(0, 4),
    st.integers(-2, 2),
    st.sampled_from((0.0, -0.0, 1.0, float("nan"), float("-inf"), 2.0**-16)),
    st.integers(1, 5),
)
def test_numbers_that_are_not_zero_are_counted_the_same_one_by_one_and_in_words(dtype, rows, more, value, every):
    numbers = torch.zeros(max(1, 1024 * rows + more))
    numbers[::every] = value
    narrow = numbers.to(dtype)
    weights = nn.Parameter(narrow, requires_grad=False)
    _, counted = stored(Holds(weights), zeros(1))
    assert counted["weights"][4] == sum(number != 0 for number in narrow.tolist())
