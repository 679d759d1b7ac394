"""`no-padding`: what enlarges a map by nothing new on its way to a convolution, and what only looks like it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.measure.behaviour import cropped_padding
from archcheck.rules import NoPadding
from archcheck.rules.findings import Verdict

IMAGE = torch.zeros(1, 1, 12, 12)
IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def outcome(model, rule, example=IMAGE):
    return check(model, example=example, rules=[rule]).outcomes[0]


class Before(nn.Module):
    """A convolution of what `first` makes of the input."""

    def __init__(self, first):
        super().__init__()
        self.first, self.conv = first, nn.Conv2d(1, 4, 3)

    def forward(self, x):
        return self.conv(self.first(self, x))


@pytest.mark.parametrize(
    "model",
    [
        Before(lambda self, x: F.pad(x, (-1, -1, -1, -1))),
        Before(lambda self, x: F.pad(x, (0, 0, -2, 0))),
        Before(lambda self, x: F.pad(x, (0, 0, 0, 0))),
        nn.ConvTranspose2d(1, 4, 3, padding=1),
        nn.Conv2d(1, 4, 3, padding="valid"),
        nn.Conv2d(1, 4, 1, padding="same"),
    ],
)
def test_cropping_is_no_padding(model):
    assert outcome(model, NoPadding()).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Before(lambda self, x: F.pad(x, (1, -1, 0, 0))), "pads by 1x-1x0x0"),
        (Before(lambda self, x: F.pad(x, (1, 1, 0, 0), mode="reflect")), "pads by 1x1x0x0"),
        (nn.Conv2d(1, 4, 3, padding=(0, 1)), "pads by 0x1"),
        (nn.Conv2d(1, 4, 3, padding="same"), 'pads by "same"'),
        (nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 4, 3)), "pads by 1x1x1x1"),
    ],
)
def test_padding_is_padding(model, says):
    assert outcome(model, NoPadding()).summary.endswith(says)


def padded_images(self, x):
    canvas = x.new_zeros(len(x), 1, 10, 10)
    canvas[:, :, 1:9, 1:9] = x
    return canvas


def scattered(self, x):
    places = (torch.arange(1, 9)[:, None] * 10 + torch.arange(1, 9)).flatten()
    return torch.zeros(len(x), 100).index_copy(1, places, x.flatten(1)).view(-1, 1, 10, 10)


def sampled(self, x):
    """Samples beyond the borders of the map, where zeros are."""
    grid = F.affine_grid(
        torch.tensor([[[1.25, 0, 0], [0, 1.25, 0]]]).expand(len(x), 2, 3), (len(x), 1, 10, 10), align_corners=False
    )
    return F.grid_sample(x, grid, align_corners=False)


WRAPPED = torch.arange(-1, 9) % 8
ENLARGED = {
    "zeros beside it": (lambda self, x: torch.cat([x, torch.zeros_like(x[:, :, :2])], 2), "0x0x0x2 with constants"),
    "a constant on both sides": (
        lambda self, x: torch.cat([torch.ones(len(x), 1, 8, 1), x, torch.ones(len(x), 1, 8, 1)], 3),
        "1x1x0x0 with constants",
    ),
    "itself times zero": (lambda self, x: torch.cat([x * 0, x], 3), "8x0x0x0 with constants"),
    "written into a larger map": (padded_images, "1x1x1x1 with constants"),
    "scattered into a larger map": (scattered, "1x1x1x1 with constants"),
    "sampled beyond its borders": (sampled, "1x1x1x1 with constants"),
    "wrapped by an index": (lambda self, x: x[:, :, WRAPPED][..., WRAPPED], "with values of its own"),
    "reflected by slices": (
        lambda self, x: torch.cat([x[..., 1:2], x, x[..., -2:-1]], 3),
        "1x1x0x0 with values of its own",
    ),
    "replicated by an index": (
        lambda self, x: x[..., torch.arange(-1, 9).clamp(0, 7)],
        "1x1x0x0 with values of its own",
    ),
    "mirrored": (lambda self, x: torch.cat([x, x.flip(3)], 3), "with values of its own"),
    "repeated and cut": (lambda self, x: x.repeat(1, 1, 3, 3)[:, :, 7:17, 7:17], "with values of its own"),
    "multiplied by a matrix": (lambda self, x: torch.eye(10, 8).roll(1, 0) @ x, "0x0x1x1 with constants"),
    "pooled afterwards": (
        lambda self, x: F.max_pool2d(torch.cat([torch.zeros(len(x), 1, 4, 8), x], 2), 2),
        "0x0x4x0 with constants",
    ),
    "and activated afterwards": (lambda self, x: padded_images(self, x).relu() * 2 + 1, "1x1x1x1 with constants"),
}


@pytest.mark.parametrize("case", ENLARGED)
@pytest.mark.parametrize("example", [IMAGES, IMAGES[:1]], ids=["two", "one"])
def test_whatever_enlarges_a_map_by_nothing_new_pads_it(case, example):
    enlarge, says = ENLARGED[case]
    assert outcome(Before(enlarge), NoPadding(), example).summary.endswith(says)


PADS = {
    "activated afterwards": lambda self, x: F.pad(x, (1, 1, 1, 1)).relu(),
    "pooled afterwards": lambda self, x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 2),
    "without the axis of channels": lambda self, x: F.pad(x[:, 0], (1, 1, 1, 1)).unsqueeze(1),
    "with the channels last": lambda self, x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1)).permute(0, 3, 1, 2),
}


@pytest.mark.parametrize("case", PADS)
def test_a_pad_on_the_way_to_a_convolution_pads_its_map(case):
    assert "`pad` at" in outcome(Before(PADS[case]), NoPadding(), IMAGES).summary


def spread(self, x):
    """Puts zeros between positions, as a transposed convolution does."""
    canvas = x.new_zeros(len(x), 1, 16, 16)
    canvas[:, :, ::2, ::2] = x
    return canvas


TWICE = torch.arange(16) // 2
HONEST = {
    "doubled by an index": lambda self, x: x[:, :, TWICE][..., TWICE],
    "stretched by an index": lambda self, x: x[:, :, torch.arange(12) * 8 // 12],
    "doubled by repeats": lambda self, x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    "doubled by views": lambda self, x: x[..., None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(len(x), 1, 16, 16),
    "zeros between its positions": spread,
    "interpolated": lambda self, x: F.interpolate(x, size=(10, 10), mode="bilinear"),
    "nearest": lambda self, x: F.interpolate(x, size=(10, 10)),
    "two maps beside each other": lambda self, x: torch.cat([x, torch.sin(3 * x)], 3),
    "a gate": lambda self, x: x * x.mean((2, 3), keepdim=True),
    "an expanded gate": lambda self, x: x + x.mean((2, 3), keepdim=True).expand_as(x),
    "a window that ends in zeros": lambda self, x: x * torch.hann_window(8),
    "padded channels that are cut again": lambda self, x: F.pad(x, (0, 0, 0, 0, 0, 3))[:, :1],
    "a shortcut of padded channels": lambda self, x: (x[:, :1] + F.pad(x, (0, 0, 0, 0, 0, 3))).sum(1, keepdim=True),
    "patches put together": lambda self, x: (
        x.unfold(2, 4, 4).unfold(3, 4, 4).sin().permute(0, 1, 2, 4, 3, 5).reshape(len(x), 1, 8, 8)
    ),
}


@pytest.mark.parametrize("case", HONEST)
def test_what_is_no_padding_is_none(case):
    found = outcome(Before(HONEST[case]), NoPadding(), IMAGES)
    assert found.headline == "kept no-padding: no padding in 1 convolutions"


@pytest.mark.parametrize(
    "behind", [lambda y: F.pad(y, (1, 1, 1, 1)), lambda y: F.pad(y.mean((2, 3)), (0, 6)), lambda y: F.pad(y, (0, 1))]
)
def test_what_is_padded_behind_the_last_convolution_is_none_of_its_maps(behind):
    model = Before(lambda self, x: x)
    model.register_forward_hook(lambda module, args, output: behind(output))
    assert outcome(model, NoPadding(), IMAGES).verdict is Verdict.KEPT


def test_what_on_points_at_is_judged_alone():
    model = nn.Sequential(
        Before(lambda self, x: torch.cat([x, x * 0], 2)), nn.Conv2d(4, 1, 3), Before(lambda self, x: x)
    )
    assert outcome(model, NoPadding(on="0"), IMAGES).verdict is Verdict.BROKEN
    assert outcome(model, NoPadding(on="2"), IMAGES).verdict is Verdict.KEPT


def test_only_convolutions_are_counted_as_such():
    assert outcome(Before(lambda self, x: F.pad(x, (-1, -1))), NoPadding()).kept == "no padding in 1 convolutions"


class Weighted(nn.Module):
    """What `forward` makes of the input, a weight and a kernel that moves every position onto itself."""

    def __init__(self, forward, *weight):
        super().__init__()
        self.make, self.weight = forward, nn.Parameter(torch.rand(weight))
        self.conv, self.fc = nn.Conv2d(1, 1, 3), nn.Linear(9, 1)
        self.register_buffer("kernel", torch.zeros(1, 1, 3, 3))
        self.kernel[0, 0, 1, 1] = 1
        self.doubling = nn.Parameter(torch.ones(1, 1, 2, 2), requires_grad=False)

    def forward(self, x):
        return self.make(self, x)


SPELLED = {
    "a product": (lambda self, x: self.weight @ F.unfold(x, 3, padding=1), (4, 9), "pads by 1x1"),
    "an einsum": (
        lambda self, x: torch.einsum("ok,nkl->nol", self.weight, F.unfold(x, 3, padding=(0, 1))),
        (4, 9),
        "pads by 0x1",
    ),
    "a sum of products": (lambda self, x: (F.unfold(x, 3, padding=1) * self.weight).sum(1), (9, 1), "pads by 1x1"),
    "a layer": (lambda self, x: self.fc(F.unfold(x, 3, padding=1).transpose(1, 2)), (1,), "pads by 1x1"),
    "a pad before it": (lambda self, x: self.weight @ F.unfold(F.pad(x, (1, 1, 0, 0)), 3), (4, 9), "by 1x1x0x0"),
    "a pad before windows along an axis": (
        lambda self, x: F.pad(x, (0, 0, 1, 0)).unfold(2, 3, 1) @ self.weight,
        (3, 1),
        "pads by 0x0x1x0",
    ),
    "zeros beside it": (
        lambda self, x: self.weight @ F.unfold(torch.cat([x, x * 0], 3), 3),
        (4, 9),
        "0x8x0x0 with constants",
    ),
}


@pytest.mark.parametrize("case", SPELLED)
def test_a_convolution_that_is_spelled_pads_as_one_does(case):
    forward, weight, says = SPELLED[case]
    assert outcome(Weighted(forward, *weight), NoPadding(), IMAGES).summary.endswith(says)


def test_a_transposed_convolution_with_a_fixed_kernel_moves_a_map_into_a_larger_one():
    model = Weighted(lambda self, x: self.conv(F.conv_transpose2d(x, self.kernel)), 1)
    assert outcome(model, NoPadding(), IMAGES).summary.endswith(
        "`conv_transpose2d` pads a map by 1x1x1x1 with constants"
    )


UNPADDED = {
    "windows of the map alone": (lambda self, x: self.weight @ F.unfold(x, 3), (4, 9)),
    "a pooling that is spelled": (lambda self, x: self.fc(F.unfold(x, 3, padding=1).amax(1)[:, :9]), (1,)),
    "a pad along what windows do not slide over": (
        lambda self, x: F.pad(x, (0, 1)).unfold(2, 3, 1)[..., :-1, :] @ self.weight,
        (3, 1),
    ),
    "patches": (lambda self, x: self.weight @ F.unfold(x, 4, stride=4), (4, 16)),
    "doubled by a fixed kernel": (lambda self, x: self.conv(F.conv_transpose2d(x, self.doubling, stride=2)), (1,)),
}


@pytest.mark.parametrize("case", UNPADDED)
def test_windows_and_fixed_kernels_that_pad_nothing(case):
    forward, weight = UNPADDED[case]
    assert outcome(Weighted(forward, *weight), NoPadding(), IMAGES).verdict is Verdict.KEPT


class Cut(nn.Module):
    """A first convolution of some padding, a second one, and what `then` leaves of the map."""

    def __init__(self, then, padding=1, kernel=3, mode="zeros"):
        super().__init__()
        self.first = nn.Conv2d(1, 4, kernel, padding=padding, padding_mode=mode)
        self.second, self.then = nn.Conv2d(4, 4, 3), then

    def forward(self, x):
        return self.then(self, self.first(x)).mean((2, 3))


def inner(x, by):
    return x[:, :, by:-by, by:-by]


CUT = {
    "cut by an index": Cut(lambda self, x: inner(x, 1)),
    "narrowed": Cut(lambda self, x: x.narrow(2, 1, x.shape[2] - 2).narrow(3, 1, x.shape[3] - 2)),
    "padded by less than nothing": Cut(lambda self, x: F.pad(x, (-1, -1, -1, -1))),
    "the same": Cut(lambda self, x: inner(x, 2), padding="same", kernel=5),
    "reflected": Cut(lambda self, x: inner(x, 1), mode="reflect"),
    "behind another": Cut(lambda self, x: self.second(inner(torch.relu(x), 1))),
    "before another": Cut(lambda self, x: inner(self.second(x), 1), padding=1),
    "cut at once": Before(lambda self, x: inner(F.pad(x, (2, 2, 2, 2)), 2)),
}


@pytest.mark.parametrize("name", CUT)
def test_padding_that_is_cut_off_again_is_none(name):
    assert outcome(CUT[name], NoPadding()).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Cut(lambda self, x: inner(x, 1), padding=2, kernel=5), "pads by 2x2"),
        (Cut(lambda self, x: x[:, :, 1:]), "pads by 1x1"),
        (Cut(lambda self, x: x[:, 1:]), "pads by 1x1"),
        (Cut(lambda self, x: inner(x, 1) + x.mean((2, 3), keepdim=True)), "pads by 1x1"),
    ],
)
def test_padding_that_is_cut_in_part_is_padding(model, says):
    assert outcome(model, NoPadding()).summary.endswith(says)


def test_each_padding_is_told_by_itself():
    """The border of the first reaches twice as far as that of the second, which alone is cut off."""
    model = Cut(lambda self, x: inner(self.second(x), 1))
    model.second = nn.Conv2d(4, 4, 3, padding=1)
    assert [finding.layer for finding in outcome(model, NoPadding()).findings] == ["first"]


class ComplexMap(nn.Module):
    """A convolution of complex numbers whose padding is cropped."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.complex64)

    def forward(self, x):
        return inner(self.conv(torch.complex(x, x)), 1).abs()


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (ComplexMap(), IMAGE),
        (Before(lambda self, x: inner(F.pad(x, (2, 2, 2, 2)), 2).expand(-1, 1, 4, 4)), IMAGE[..., :1, :1]),
        (Before(lambda self, x: inner(F.pad(x, (2, 2, 2, 2)), 2).float()), (IMAGES * 255).byte()),
        (Before(lambda self, x: inner(F.pad(x, (2, 2, 2, 2)), 2).float()), IMAGE.byte()),
        (Before(lambda self, x: inner(F.pad(x, (2, 2, 2, 2)), 2).float()), IMAGES > 0.5),
    ],
    ids=["complex numbers", "a single number", "bytes", "zero bytes", "booleans"],
)
def test_numbers_of_any_kind_are_padded_and_cropped(model, example):
    assert outcome(model, NoPadding(), example).verdict is Verdict.KEPT


def test_an_error_of_our_own_accuses_nobody(monkeypatch):
    """Where the other padding cannot be computed, the rule says so, and does not call the padding one that counts."""

    def fails(*_):
        raise ArithmeticError("a mistake")

    monkeypatch.setattr(cropped_padding, "_padded_otherwise", fails)
    found = outcome(CUT["cut by an index"], NoPadding())
    assert found.verdict is Verdict.ERROR
    assert "a mistake" in str(found.summary)
