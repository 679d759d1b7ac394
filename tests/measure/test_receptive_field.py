"""Receptive fields: published values, and answers worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck

from archcheck.measure import measure_model
from reference_models.mnist.model import Net


def field(model, *shape):
    return measure_model(model, example=zeros(*shape)).shape.receptive_field


def first_resnet(name):
    """ResNet as first published: the stride of a block is in its first 1x1; torchvision moves it to the 3x3."""
    model = models.get_model(name, weights=None)
    for block in model.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return model


def mobilenet_v1():
    """13 depthwise separable blocks (Howard and others 2017, table 1)."""
    layers, channels = [nn.Conv2d(3, 8, 3, 2, 1)], 8
    for width, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]:
        layers += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.Conv2d(channels, width, 1)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))


PUBLISHED = [
    # Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, table 1.
    ("AlexNet", models.alexnet, 195),
    ("VGG-16", models.vgg16, 212),
    ("ResNet-50", lambda: first_resnet("resnet50"), 483),
    ("ResNet-101", lambda: first_resnet("resnet101"), 1027),
    ("ResNet-152", lambda: first_resnet("resnet152"), 1507),
    ("Inception v3", lambda: models.inception_v3(init_weights=False), 1311),
    ("MobileNet v1", mobilenet_v1, 315),
]


@pytest.mark.parametrize(("model", "extent"), [case[1:] for case in PUBLISHED], ids=[case[0] for case in PUBLISHED])
def test_published_receptive_fields(model, extent):
    with torch.device("meta"):
        made = model()
    assert field(made, 1, 3, 299, 299) == (extent, extent)


def test_where_torchvision_puts_the_stride_of_a_block_matters():
    # A 3x3 at the finer resolution adds half of what it adds behind the stride: stages 2 to 4 each lose
    # 2 * (jump after - jump before) = 2 * (8 - 4), 2 * (16 - 8), 2 * (32 - 16) of 483.
    with torch.device("meta"):
        made = models.resnet50()
    assert field(made, 1, 3, 224, 224) == (483 - 8 - 16 - 32,) * 2


def test_the_flagship():
    # 3x3: 3, 3x3: 5, pool 2: 6 (jump 2), 3x3: 10, 3x3: 14, pool 2: 16 (jump 4), 3x3: 24; the global pooling that
    # follows sees the whole map, whatever its size, and is left out as in the published values.
    assert field(Net(), 1, 1, 28, 28) == (24, 24)


def branches(*paths):
    return Apply(lambda self, x: sum(path(x) for path in self.paths), paths=nn.ModuleList(paths))


@pytest.mark.parametrize(
    ("model", "extent"),
    [
        (branches(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 7, padding=3)), 7),
        (branches(nn.Identity(), nn.Conv2d(1, 1, 3, padding=1)), 3),
        # the shortcut strides as the body does: both stand 2 apart, and a 3x3 behind them adds 4
        (nn.Sequential(branches(nn.Conv2d(1, 1, 1, 2), nn.Conv2d(1, 1, 3, 2, 1)), nn.Conv2d(1, 1, 3)), 7),
        (nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, dilation=2)), 2 + 4 * 2),
        # 16x16 to 1x1 by pooling windows of a fixed size is global pooling all the same
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AvgPool2d(16)), 3),
        (nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)), 2 + 2 * 1),
        # between two positions that stand 2 apart, bilinear upsampling reads both
        (
            nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(1, 1, 3)),
            2 + 2 + 2,
        ),
        (
            nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.Upsample(scale_factor=2, mode="bicubic"), nn.Conv2d(1, 1, 3)),
            2 + 6 + 2,
        ),
        (nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.ConvTranspose2d(1, 1, 2, 2)), 2),
        (nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.ConvTranspose2d(1, 1, 4, 2, 1)), 2 + 2),
        # every other position and its neighbour become channels, then a 3x3 adds 2 * 2
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 1, 3)), 2 + 4),
        (nn.Sequential(nn.Conv2d(1, 4, 2, 2), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)), 2 + 2),
    ],
)
def test_fields_through_branches_and_changes_of_resolution(model, extent):
    assert field(model, 1, 1, 16, 16) == (extent, extent)


@pytest.mark.parametrize("layer", [nn.MultiheadAttention(8, 2, batch_first=True)])
def test_attention_sees_everything_and_has_no_extent(layer):
    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        return self.attention(x, x, x)[0]

    assert field(Apply(forward, conv=nn.Conv2d(1, 8, 3), attention=layer), 1, 1, 8, 8) is None


def test_only_what_reaches_an_output_sees():
    def forward(self, x):
        self.wide(x)
        return self.narrow(x)

    assert field(Apply(forward, wide=nn.Conv2d(1, 1, 7), narrow=nn.Conv2d(1, 1, 3)), 1, 1, 16, 16) == (3, 3)


@pytest.mark.parametrize(
    ("model", "shape", "extent"),
    [
        # taps 4 apart on 8 positions: two are on the map at most, wherever the kernel stands
        (nn.Conv2d(1, 1, 3, padding=4, dilation=4), (1, 1, 8, 8), (5, 5)),
        (nn.Conv2d(1, 1, 3, padding=8, dilation=8), (1, 1, 8, 8), (1, 1)),
        # they meet the same two positions again: 4 and 4 do not add up
        (nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=4, dilation=4)] * 2), (1, 1, 8, 8), (5, 5)),
        (nn.Conv2d(1, 1, 9, padding=4), (1, 1, 8, 8), (8, 8)),
        (nn.Conv2d(1, 1, 9, padding=4), (1, 1, 4, 8), (4, 8)),
        (nn.Conv2d(1, 1, 9, padding="same"), (1, 1, 4, 4), (4, 4)),
        (nn.Conv2d(1, 1, (9, 1), padding=(4, 0)), (1, 1, 8, 8), (8, 1)),
        (nn.Conv1d(1, 1, 3, padding=50, dilation=50), (1, 1, 40), (1,)),
        (nn.Conv3d(1, 1, 3, padding=1), (1, 1, 1, 2, 3), (1, 2, 3)),
        # the first leaves one position, and a padded 3x3 sees only that
        (nn.Sequential(nn.Conv2d(1, 1, 8), nn.Conv2d(1, 1, 3, padding=1)), (1, 1, 8, 8), (8, 8)),
        (nn.Sequential(nn.MaxPool2d(8), nn.Conv2d(1, 1, 3, padding=1)), (1, 1, 16, 16), (8 + 8, 8 + 8)),
        (nn.Sequential(nn.ZeroPad2d(8), nn.Conv2d(1, 1, 3, dilation=8)), (1, 1, 8, 8), (1, 1)),
        # ten 3x3 see the whole map, and the sum is what tables state
        (nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1)] * 10), (1, 1, 8, 8), (21, 21)),
    ],
)
def test_taps_off_the_map_see_nothing(model, shape, extent):
    assert field(model, *shape) == extent


def test_axes_that_change_places_take_their_fields_with_them():
    def forward(self, x):
        return self.second(self.first(x).transpose(2, 3))

    model = Apply(forward, first=nn.Conv2d(1, 1, (5, 1)), second=nn.Conv2d(1, 1, (5, 1)))
    assert field(model, 1, 1, 9, 9) == (5, 5)


def windows(self, x):
    return self.a(x.unfold(2, 5, 1).unfold(3, 5, 1).permute(0, 1, 4, 5, 2, 3).reshape(len(x), 25, 12, 12))


def shifted(*shifts):
    return lambda self, x: self.a(sum(x if not shift else x.roll(shift, 2) for shift in shifts))


SPELLED = {
    "unfold": (lambda self, x: self.a(F.unfold(x, 5).view(len(x), 25, 12, 12)), nn.Conv2d(25, 4, 1), (5, 5)),
    "unfold of each axis": (windows, nn.Conv2d(25, 4, 1), (5, 5)),
    "unfold and a linear layer": (
        lambda self, x: self.a(F.unfold(x, 3, dilation=(2, 4)).transpose(1, 2)), nn.Linear(9, 4),
        (5, 9)),
    # blocks of 3 that stand next to one another: a position is in blocks that begin up to 2 before it
    "fold": (
        lambda self, x: F.fold(self.a(F.unfold(x, 3)), (16, 16), 3),
        nn.Conv1d(9, 9, 1), (5, 5)),
    "shifts": (shifted(0, 2, -2), nn.Conv2d(1, 4, 1), (5, 1)),
    "a shift to one side": (shifted(0, 2), nn.Conv2d(1, 4, 1), (3, 1)),
    "a shift the long way round": (shifted(0, 14), nn.Conv2d(1, 4, 1), (3, 1)),
    "a shift of everything": (shifted(2), nn.Conv2d(1, 4, 3), (3, 3)),
    "a shift of samples": (lambda self, x: self.a(x + x.roll(1, 0)), nn.Conv2d(1, 4, 3), (3, 3)),
    "slices": (lambda self, x: self.a(x[:, :, :-2] + x[:, :, 2:]), nn.Conv2d(1, 4, 1), (3, 1)),
    "slices from the end": (lambda self, x: self.a(x[:, :, :-2] + x[:, :, -14:]), nn.Conv2d(1, 4, 1), (3, 1)),
    "slices beyond the end": (lambda self, x: self.a(x[:, :, -99:14] + x[:, :, 2:99]), nn.Conv2d(1, 4, 1), (3, 1)),
    "pairs of positions": (lambda self, x: self.a(x[..., ::2] + x[..., 1::2]), nn.Conv2d(1, 4, 3), (3, 6)),
    "narrow": (lambda self, x: self.a(x.narrow(3, 0, 13) + x.narrow(3, 3, 13)), nn.Conv2d(1, 4, 1), (1, 4)),
    "every other position": (lambda self, x: self.a(x[..., ::2, ::2]), nn.Conv2d(1, 4, 3), (5, 5)),
    "a crop for a shortcut": (lambda self, x: x[:, :, 1:-1, 1:-1] + self.a(x), nn.Conv2d(1, 4, 3), (3, 3)),
    "padding that shifts": (
        lambda self, x: self.a(
            F.pad(x, (0, 0, 2, -2)) + F.pad(x, (0, 0, -2, 2))),
        nn.Conv2d(1, 4, 1), (5, 1)),
}  # fmt: skip


@pytest.mark.parametrize(("forward", "layer", "extent"), SPELLED.values(), ids=SPELLED)
def test_handwritten_windows_see_what_they_read(forward, layer, extent):
    assert field(Apply(forward, a=layer), 2, 1, 16, 16) == extent


def test_halves_of_channels_that_come_last_are_no_shifted_positions():
    halves = Apply(lambda self, x: self.a((x[..., :8] + x[..., 8:]).transpose(1, 2)), a=nn.Conv1d(8, 4, 3))
    assert field(halves, 2, 20, 16) == (3,)
    images = Apply(lambda self, x: self.a((x[..., :2] + x[..., 2:]).permute(0, 3, 1, 2)), a=nn.Conv2d(2, 4, 3))
    assert field(images, 2, 16, 16, 4) == (3, 3)


def test_windows_along_time_whether_channels_come_last_or_second():
    last = Apply(lambda self, x: self.a(x.unfold(1, 4, 2).flatten(2)), a=nn.Linear(12, 4))
    second = Apply(lambda self, x: self.a(x.unfold(2, 4, 1).transpose(1, 2).flatten(2)), a=nn.Linear(12, 4))
    assert field(last, 2, 20, 3) == field(second, 2, 3, 20) == (4,)


def test_patches_laid_out_for_attention_have_no_field():
    def forward(self, x):
        patches = self.a(F.unfold(x, 4, stride=4).transpose(1, 2))
        return self.attention(patches, patches, patches)[0]

    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    assert field(Apply(forward, a=nn.Linear(16, 8), attention=attention), 2, 1, 16, 16) is None


WINDOWS = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": (3, 5), "stride": (1, 2), "padding": (1, 2)},
    {"kernel_size": (2, 3), "stride": (2, 1), "dilation": (1, 3), "padding": (0, 3)},
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows_that_are_laid_out_see_what_a_convolution_sees(window):
    conv = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, **window), nn.Conv2d(4, 5, 3))
    made = conv[1](torch.rand(1, 3, 18, 18)).shape[2:]

    def unfolded(self, x):
        return self.c((self.b.weight.flatten(1) @ F.unfold(self.a(x), **window)).unflatten(-1, made))

    assert field(Apply(unfolded, a=conv[0], b=conv[1], c=conv[2]), 1, 2, 20, 20) == field(conv, 1, 2, 20, 20)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows_that_are_added_up_see_what_a_transposed_convolution_sees(window):
    conv = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 4, **window), nn.Conv2d(4, 5, 3))
    made = conv[1](torch.rand(1, 3, 18, 18)).shape[2:]

    def folded(self, x):
        return self.c(F.fold(self.b.weight.flatten(1).t() @ self.a(x).flatten(2), made, **window))

    assert field(Apply(folded, a=conv[0], b=conv[1], c=conv[2]), 1, 2, 20, 20) == field(conv, 1, 2, 20, 20)
