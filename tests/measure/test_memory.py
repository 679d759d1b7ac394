"""Peak memory of activations, against answers worked out by hand: four bytes a float, storages and not tensors."""

from __future__ import annotations

import pytest
import torch
from networks import Apply, zeros
from torch import nn

from archcheck.measure import measure_model

FLOAT = 4


def peak(model, *inputs):
    return measure_model(model, example=inputs).cost.peak_activation_bytes


def residual(self, x):
    hidden = torch.relu(x)
    return hidden + self.narrow(self.wide(hidden))


def without_residual(self, x):
    return self.narrow(self.wide(torch.relu(x)))


def dropped(self, x):
    torch.tanh(x)
    torch.tanh(x)
    return torch.relu(x)


def kept(self, x):
    first, second = torch.tanh(x), torch.tanh(x)
    return torch.relu(x), first, second


def written_through_a_view(self, x):
    out = torch.relu(x)
    out[:, :2].add_(1).mul_(2)
    out.view(-1).clamp_(0)
    return out


# what it shows: function, shape of the input, floats that live at the same time
WORKED = {
    "result beside its input": (lambda self, x: torch.relu(x), (16,), 16 + 16),
    "the caller keeps the input": (lambda self, x: torch.relu(torch.relu(x).sum()), (16,), 16 + 16 + 1),
    "a chain holds two and the input": (lambda self, x: torch.relu(torch.tanh(torch.relu(x))), (16,), 16 + 16 + 16),
    "a view has no memory of its own": (lambda self, x: torch.relu(x.view(2, 8).t().unsqueeze(0)), (16,), 16 + 16),
    "expanding takes no memory": (lambda self, x: x.expand(100, 16)[0] + 1, (16,), 16 + 16),
    "slices take no memory": (lambda self, x: sum(x.chunk(4)[1:3]), (16,), 16 + 4 + 4),
    "in place": (lambda self, x: torch.relu_(torch.tanh(x)), (16,), 16 + 16),
    "in place, through views": (written_through_a_view, (4, 4), 16 + 16),
    "reshaping a transposed matrix copies": (lambda self, x: x.t().reshape(-1), (4, 4), 16 + 16),
    "reshaping in order does not": (lambda self, x: x.reshape(-1), (4, 4), 16),
    "concatenation holds both parts and the whole": (
        lambda self, x: torch.cat([torch.relu(x), torch.tanh(x)]),
        (16,),
        16 + 16 + 16 + 32,
    ),
    "both branches and their sum": (lambda self, x: torch.relu(x) + torch.tanh(x), (16,), 4 * 16),
    "a broadcast result is as large as the whole": (lambda self, x: x[:, None] + x[None], (16,), 16 + 16 * 16),
    "results that are dropped at once": (dropped, (16,), 16 + 16),
    "results that are kept": (kept, (16,), 4 * 16),
}


@pytest.mark.parametrize("case", WORKED)
def test_peaks(case):
    function, shape, floats = WORKED[case]
    assert peak(Apply(function), zeros(*shape)) == FLOAT * floats


@pytest.mark.parametrize(
    ("model", "shape", "floats"),
    [
        (nn.ReLU(inplace=True), (16,), 16),
        (nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ReLU()), (16,), 3 * 16),
        (nn.Sequential(nn.Flatten(0), nn.ReLU()), (4, 4), 2 * 16),
        (nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 4)), (1, 8), 8 + 32 + 4),
    ],
)
def test_peaks_of_layers(model, shape, floats):
    assert peak(model, zeros(*shape)) == FLOAT * floats


def test_a_residual_keeps_its_input_alive_past_the_wide_layer():
    layers = {"wide": nn.Linear(8, 32), "narrow": nn.Linear(32, 8)}
    # input, hidden, wide and narrow results; without the residual the hidden result is gone by then
    assert peak(Apply(residual, **layers), zeros(1, 8)) == FLOAT * (8 + 8 + 32 + 8)
    assert peak(Apply(without_residual, **layers), zeros(1, 8)) == FLOAT * (8 + 8 + 32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_elements_weigh_what_their_dtype_says(dtype):
    x = torch.zeros(16, dtype=dtype)
    assert peak(Apply(lambda self, x: -x), x) == 2 * 16 * x.element_size()


def test_masks_and_indices_count_with_their_bytes():
    # eight-byte indices come in, four-byte vectors of 5 go out
    assert peak(nn.Embedding(10, 5), torch.zeros(3, dtype=torch.long)) == 8 * 3 + FLOAT * 3 * 5
    assert peak(Apply(lambda self, x: x > 0), zeros(16)) == FLOAT * 16 + 16


class Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)
        self.register_buffer("shift", zeros(1000))
        self.constant = zeros(1000)


def test_parameters_and_buffers_are_not_activations():
    class ByBuffer(Shifted):
        def forward(self, x):
            return self.layer(x) + self.shift[:16]

    assert peak(ByBuffer(), zeros(1, 16)) == FLOAT * 3 * 16


def test_constants_are_not_activations():
    class ByConstant(Shifted):
        def forward(self, x):
            return self.layer(x) + self.constant[:16]

    assert peak(ByConstant(), zeros(1, 16)) == FLOAT * 3 * 16


def test_shared_layers_do_not_share_their_results():
    layer = nn.Linear(16, 16)
    assert peak(Apply(lambda self, x: (self.layer(x), self.layer(x)), layer=layer), zeros(1, 16)) == FLOAT * 3 * 16


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)])
def test_channels_last_weighs_the_same(layer):
    x = zeros(1, 4, 6, 6)
    assert peak(layer, x.to(memory_format=torch.channels_last)) == peak(layer, x) == FLOAT * 2 * 144
