"""Hidden weights, whatever holds them, and tensors that only look like one."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from archcheck.measure import measure_model

ARRAY = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
NUMBERS, BYTES = ARRAY.tolist(), ARRAY.tobytes()
TEXT = base64.b64encode(BYTES).decode()
SMALL = bytes(range(100, 112))
WEIGHT = torch.from_numpy(ARRAY.copy())
LAYER = nn.Linear(3, 4)


def hidden(model, *inputs):
    return measure_model(model, example=inputs).params.hidden


def seen(model, *inputs):
    return [(weight.name, weight.shape, weight.elements, weight.buffer) for weight in hidden(model, *inputs)]


def linear(make):
    """A model whose one weight of shape (4, 3) is made in `forward`."""
    return Apply(lambda self, x: F.linear(x, make()))


def drawn(seed=None, layer=False):
    generator = torch.Generator().manual_seed(seed or 0)
    return nn.Linear(3, 4, bias=False).weight if layer else torch.randn(4, 3, generator=generator)


def filled():
    weight = torch.empty(4, 3)
    return nn.init.kaiming_uniform_(weight, generator=torch.Generator().manual_seed(1))


def written():
    weight = torch.zeros(4, 3)
    weight[:] = torch.tensor(NUMBERS)
    return weight


@torch.jit.script
def scripted():
    return torch.tensor([[1.3, 2.7, 3.1], [4.4, 5.9, 6.2], [7.5, 8.8, 9.6], [1.7, 4.3, 7.9]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: WEIGHT,
        lambda: torch.from_numpy(ARRAY),
        lambda: torch.tensor(ARRAY),
        lambda: torch.as_tensor(ARRAY),
        lambda: torch.as_tensor(ARRAY.astype("float64")).float(),
        lambda: torch.tensor(NUMBERS),
        lambda: torch.FloatTensor(NUMBERS),
        lambda: WEIGHT.new_tensor(NUMBERS),
        lambda: torch.tensor(struct.unpack("12f", BYTES)).view(4, 3),
        lambda: torch.frombuffer(bytearray(BYTES), dtype=torch.float32).view(4, 3),
        lambda: torch.frombuffer(bytearray(BYTES), dtype=torch.uint8).view(torch.float32).view(4, 3),
        lambda: torch.from_numpy(np.frombuffer(base64.b64decode(TEXT), dtype="float32").reshape(4, 3).copy()),
        lambda: (torch.tensor(list(SMALL)).float() / 255 - 0.5).view(4, 3),
        lambda: torch.tensor([ord(letter) / 128 for letter in "hello world!"]).view(4, 3),
        lambda: torch.tensor(list(SMALL), dtype=torch.int8).view(4, 3) * 0.1,
        lambda: torch.where(WEIGHT > 0, WEIGHT, 0.0),
        lambda: torch.zeros(4, 3).copy_(WEIGHT),
        scripted,
        drawn,
        lambda: drawn(layer=True),
        filled,
        written,
    ],
)
def test_a_weight_made_in_forward_is_found_once_with_its_size_and_its_line(make):
    (weight,) = hidden(linear(make), zeros(2, 3))
    assert (weight.elements, weight.used_by) == (12, "linear")
    assert weight.where.file.endswith("test_hidden_weights.py")
    assert weight.where.line == linear.__code__.co_firstlineno + 2


def test_seeding_the_generator_of_torch_makes_a_weight():
    def forward(self, x):
        torch.manual_seed(0)
        return F.linear(x, torch.randn(4, 3))

    assert seen(Apply(forward), zeros(2, 3)) == [("", (4, 3), 12, False)]


def test_a_layer_made_again_in_each_pass_counts_once_for_both_modes():
    assert seen(Apply(lambda self, x: nn.Linear(3, 4)(x)), zeros(2, 3)) == [
        ("Linear.weight", (4, 3), 12, False),
        ("Linear.bias", (4,), 4, False),
    ]


def test_a_decoded_weight_that_is_used_three_times_counts_once_and_three_drawn_ones_three_times():
    def decode(self, x):
        return sum(F.linear(x, torch.tensor(NUMBERS)) for _ in range(3))

    def draw(self, x):
        generator = torch.Generator().manual_seed(0)
        return sum(F.linear(x, torch.randn(4, 3, generator=generator)) for _ in range(3))

    assert sum(weight.elements for weight in hidden(Apply(decode), zeros(2, 3))) == 12
    assert sum(weight.elements for weight in hidden(Apply(draw), zeros(2, 3))) == 36


class Holders(nn.Module):
    """Layers in a dictionary, a tuple, an attribute that torch does not see, and a tensor in a list."""

    def __init__(self):
        super().__init__()
        self.layers = {"first": nn.Linear(3, 4, bias=False)}
        self.more = (nn.Linear(4, 5, bias=False),)
        self.__dict__["secret"] = nn.Linear(5, 6, bias=False)
        self.weights = [torch.rand(7, 6)]
        self.weight = torch.rand(8, 7)

    def forward(self, x):
        x = self.secret(self.more[0](self.layers["first"](x)))
        return F.linear(F.linear(x, self.weights[0]), self.weight)


def test_a_weight_is_found_whatever_holds_it():
    assert seen(Holders(), zeros(2, 3)) == [
        ("Linear.weight", (4, 3), 12, False),
        ("Linear.weight", (5, 4), 20, False),
        ("Linear.weight", (6, 5), 30, False),
        ("weights[0]", (7, 6), 42, False),
        ("weight", (8, 7), 56, False),
    ]
    assert sum(weight.elements for weight in hidden(Apply(lambda self, x: LAYER(x)), zeros(2, 3))) == 16


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: (x[:, None] * WEIGHT).sum(-1),
        lambda self, x: (x[:, None] - WEIGHT).pow(2).sum(-1),
        lambda self, x: torch.einsum("bi,oi->bo", x, WEIGHT),
        lambda self, x: torch.cdist(x, WEIGHT),
        lambda self, x: torch.sparse.mm(WEIGHT.to_sparse(), x.t()),
        lambda self, x: F.linear(x, WEIGHT + 0 * x.sum()),
        lambda self, x: F.linear(x, self.a.weight * 0 + WEIGHT),
        lambda self, x: F.linear(x, WEIGHT * self.scale),
    ],
)
def test_a_linear_map_in_disguise_is_found(forward):
    model = Apply(forward, a=nn.Linear(3, 4), scale=nn.Parameter(torch.ones(())))
    assert [weight.elements for weight in hidden(model, zeros(2, 3))] == [12]


def test_the_constants_of_torch_script_are_found():
    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.rand(4, 3)

        def forward(self, x):
            return F.linear(x, self.weight)

    frozen = torch.jit.freeze(torch.jit.script(nn.Linear(3, 4)).eval())
    assert [weight.elements for weight in hidden(torch.jit.trace(Scripted(), zeros(2, 3)), zeros(2, 3))] == [12]
    assert [weight.elements for weight in hidden(frozen, zeros(2, 3))] == [12]  # and a bias, which is a few numbers


@pytest.mark.filterwarnings("ignore")
def test_the_packed_weights_of_quantised_layers_are_hidden_where_no_state_holds_them():
    quantise = pytest.importorskip("torch.ao.quantization").quantize_dynamic
    model = quantise(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False)), {nn.Linear})
    assert hidden(model, zeros(2, 3)) == ()

    class Kept(type(model[0]._packed_params)):
        """A holder that is not torch's own, and saves what it likes."""

    model[0]._packed_params.__class__ = Kept
    found = hidden(model, zeros(2, 3))
    assert [(weight.shape, weight.used_by, weight.layer) for weight in found] == [
        ((4, 3), "quantized::linear_dynamic", "0"),
        ((4,), "quantized::linear_dynamic", "0"),
    ]
    assert found[0].name.startswith("0._packed_params")


# --- buffers ------------------------------------------------------------------------------------------------


class Holding(nn.Module):
    """A model with one buffer."""

    def __init__(self, buffer, forward, *, persistent=True):
        super().__init__()
        self.inner = nn.Module()
        self.inner.register_buffer("kernel", buffer, persistent=persistent)
        self.a, self.function = nn.Linear(4, 4), forward

    def forward(self, *inputs):
        return self.function(self, self.inner.kernel, *inputs)


FILTER = torch.rand(1, 1, 3, 3)
SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]).view(1, 1, 3, 3)
TABLE = torch.rand(10, 4)
POSITIONS = torch.sin(torch.arange(64.0)[:, None] / 10000 ** (torch.arange(4.0) / 4))
CAUSAL = torch.full((32, 32), -torch.inf).triu(1)
TOKENS = torch.tensor([[1, 2, 3]])


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize(
    ("buffer", "forward", "inputs"),
    [
        (FILTER, lambda self, kernel, x: F.conv2d(x, kernel), [zeros(1, 1, 5, 5)]),
        (FILTER, lambda self, kernel, x: F.conv2d(x, kernel.expand(3, 1, 3, 3), groups=3), [zeros(1, 3, 5, 5)]),
        (TABLE, lambda self, kernel, x: x @ kernel, [zeros(2, 10)]),
        (TABLE, lambda self, kernel, x: F.linear(x, kernel), [zeros(2, 4)]),
        (TABLE, lambda self, kernel, x: F.embedding(x, kernel), [TOKENS]),
        (TABLE, lambda self, kernel, x: kernel[x], [TOKENS]),
        (TABLE, lambda self, kernel, x: x + kernel[: x.shape[1]], [zeros(1, 5, 4)]),
        (TABLE, lambda self, kernel, x: x * kernel, [zeros(10, 4)]),
        (torch.rand(5, 5), lambda self, kernel, x: F.scaled_dot_product_attention(x, x, x, kernel), [zeros(1, 5, 4)]),
        (torch.rand(4, 4), lambda self, kernel, x: F.linear(x, self.a.weight * kernel), [zeros(2, 4)]),
        ((100 * TABLE).char(), lambda self, kernel, x: F.linear(x, kernel * 0.1), [zeros(2, 4)]),
    ],
)
def test_a_buffer_that_acts_as_a_weight_is_listed_by_its_path(buffer, forward, inputs, persistent):
    params = measure_model(Holding(buffer, forward, persistent=persistent), example=inputs).params
    assert [(weight.name, weight.elements, weight.buffer) for weight in params.hidden] == [
        ("inner.kernel", buffer.numel(), True)
    ]
    assert params.buffers == buffer.numel()


def table_of_positions(self, kernel, x):
    """Positions counted from a mask, as in models that pad on the left."""
    positions = torch.cumsum(x.ne(0).int(), 1)
    return F.embedding(x, self.a.weight) + kernel.index_select(0, positions.view(-1))


@pytest.mark.parametrize(
    ("buffer", "forward", "inputs"),
    [
        (POSITIONS, lambda self, kernel, x: x + kernel[: x.shape[1]], [zeros(1, 5, 4)]),
        (POSITIONS, lambda self, kernel, x: x + kernel[torch.arange(5)], [zeros(1, 5, 4)]),
        (POSITIONS, table_of_positions, [TOKENS]),
        (POSITIONS, lambda self, kernel, x: x * kernel, [zeros(64, 4)]),
        (SOBEL, lambda self, kernel, x: F.conv2d(x, kernel), [zeros(1, 1, 5, 5)]),
        (torch.linspace(-1, 1, 64).view(16, 4), lambda self, kernel, x: F.linear(x, kernel), [zeros(2, 4)]),
        (TABLE[0], lambda self, kernel, x: kernel[x], [TOKENS]),
        (torch.rand(4, 4).gt(0.5), lambda self, kernel, x: F.linear(x, self.a.weight * kernel), [zeros(2, 4)]),
        (torch.rand(4), lambda self, kernel, x: F.linear(x, self.a.weight, kernel), [zeros(2, 4)]),
        (torch.zeros(4), lambda self, kernel, x: F.layer_norm(x, (4,), None, kernel), [zeros(2, 4)]),
        (torch.ones(4), lambda self, kernel, x: F.batch_norm(x, kernel * 0, kernel, kernel, kernel), [zeros(2, 4)]),
        (torch.rand(1, 6), lambda self, kernel, x: (x.float()[:, :, None] @ kernel).cos(), [TOKENS]),
        (CAUSAL, lambda self, kernel, x: F.scaled_dot_product_attention(x, x, x, kernel), [zeros(1, 32, 4)]),
        (torch.tensor([3, 0, 1, 2]), lambda self, kernel, x: x @ self.a.weight[kernel], [zeros(2, 4)]),
        (torch.hann_window(16), lambda self, kernel, x: torch.stft(x, 16, window=kernel, return_complex=True).abs(),
         [zeros(2, 64)]),
    ],
)  # fmt: skip
def test_what_buffers_are_for_is_no_hidden_weight(buffer, forward, inputs):
    assert seen(Holding(buffer, forward), *inputs) == []


# --- false alarms -------------------------------------------------------------------------------------------


class Noisy(nn.Linear):
    """Learned noise on the weights (Fortunato and others 2018)."""

    def __init__(self):
        super().__init__(3, 4)
        self.sigma = nn.Parameter(torch.ones(4, 3))
        self.register_buffer("epsilon", torch.zeros(4, 3))

    def forward(self, x):
        return F.linear(x, self.weight + self.sigma * self.epsilon + self.sigma * torch.randn_like(self.sigma))


class Relative(nn.Module):
    """Attention to relative positions: sines through a trained layer, and that with the queries."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 4)
        self.register_buffer("table", POSITIONS)

    def forward(self, x):
        sines = torch.outer(torch.arange(5.0), torch.arange(4.0)).sin()
        return x @ self.project(sines).t() + x @ self.project(self.table).t()[:, :5]


def pruned():
    return prune.l1_unstructured(nn.Linear(3, 4), "weight", 0.5)


def orthogonal():
    return parametrizations.orthogonal(nn.Linear(3, 4))


class Doubled(nn.Module):
    def forward(self, weight):
        return weight * 2


def parametrized():
    layer = nn.Linear(3, 4)
    parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        Noisy,
        pruned,
        orthogonal,
        parametrized,
        lambda: parametrizations.weight_norm(nn.Linear(3, 4)),
        lambda: parametrizations.spectral_norm(nn.Linear(3, 4)),
        lambda: nn.utils.spectral_norm(nn.Linear(3, 4)),
        lambda: nn.MultiheadAttention(4, 2),
        Relative,
        lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
    ],
)
def test_weights_that_are_masked_normed_or_made_of_parameters_hide_nothing(layer):
    model = layer()
    inputs = {nn.MultiheadAttention: [zeros(5, 1, 4)] * 3, Relative: [zeros(2, 4)]}.get(type(model), [zeros(2, 3)])
    facts = measure_model(model, example=inputs)
    assert facts.params.hidden == ()
    assert facts.unused_layers == ()


@pytest.mark.parametrize(
    ("forward", "shape"),
    [
        (lambda self, x: F.conv2d(x, torch.ones(1, 1, 3, 3)), (1, 1, 5, 5)),
        (lambda self, x: F.linear(x, torch.eye(4)), (2, 4)),
        (lambda self, x: torch.tril(torch.ones(5, 5)) @ x, (2, 5, 4)),
        (lambda self, x: (x.softmax(-1) * torch.arange(4.0)).sum(-1), (2, 4)),
        (lambda self, x: x.softmax(-1) @ torch.linspace(0, 1, 4), (2, 4)),
        (lambda self, x: (torch.arange(5)[:, None] <= torch.arange(5)).float() @ x, (5, 4)),
        (lambda self, x: x + torch.arange(4.0).sin(), (2, 4)),
        (lambda self, x: F.linear(x, torch.sin(torch.arange(12.0)).view(3, 4)), (2, 4)),
        (lambda self, x: F.linear(x, torch.outer(torch.arange(40.0), torch.arange(4.0)).cos()), (2, 4)),
        (lambda self, x: F.linear(x, torch.randn(4, 4)), (2, 4)),
        (lambda self, x: x @ torch.sin(torch.arange(16.0).view(4, 4) * self.a.bias), (2, 4)),
        (lambda self, x: F.dropout(F.linear(x, F.dropout(self.a.weight, 0.5, self.training)), 0.5), (2, 4)),
        (lambda self, x: F.grid_sample(x, F.affine_grid(torch.eye(2, 3)[None], (1, 1, 3, 3))), (1, 1, 5, 5)),
    ],
)
def test_fixed_numbers_that_could_not_have_been_trained_are_no_weights(forward, shape):
    assert seen(Apply(forward, a=nn.Linear(4, 4)), zeros(*shape)) == []


MODELS = ["resnet18", "mobilenet_v3_small", "vit_b_16", "swin_t", "swin_v2_t", "googlenet"]


@pytest.mark.parametrize("name", MODELS)
def test_published_models_hide_nothing_and_use_all(name):
    from torchvision.models import get_model

    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        model = get_model(name, weights=None, **options)
    facts = measure_model(model, example=zeros(1, 3, 224, 224))
    assert facts.params.hidden == ()
    assert facts.params.unused == ()
    assert facts.unused_layers == ()


class Cut(nn.Module):
    """Has one element of a memory of 100 as its parameter, or two halves of it, and reads what `reach` makes of it."""

    def __init__(self, reach, *, whole):
        super().__init__()
        memory = torch.randn(100)
        self.reach = [reach]
        self.weight = nn.Parameter(memory[:50] if whole else memory[:1])
        if whole:
            self.other = nn.Parameter(memory[50:])

    def forward(self, x):
        return nn.functional.linear(x, self.reach[0](self.weight))


@pytest.mark.parametrize(
    "reach",
    [
        lambda weight: weight.as_strided((4, 3), (3, 1)),
        lambda weight: weight.as_strided((4, 3), (3, 1), 80),
        lambda weight: weight[:1].flatten().detach().as_strided((4, 3), (3, 1)),
        lambda weight: weight.detach().resize_(4, 3),
    ],
)
def test_memory_beside_a_parameter_is_hidden_where_it_is_reached(reach):
    (found,) = measure_model(Cut(reach, whole=False), example=torch.zeros(1, 3)).params.hidden
    assert (found.name, found.elements) == ("weight (the memory beside it)", 99)
    assert found.where is not None
    assert measure_model(Cut(reach, whole=True), example=torch.zeros(1, 3)).params.hidden == ()
