"""`max-arena`: which tensors take memory on a device, and how long, on networks that are worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import MaxArena, MaxPeakMemory
from archcheck.rules.findings import Verdict

IMAGE = torch.zeros(1, 4, 8, 8)  # 256 elements
ROOMY = MaxArena(limit=10**9)


class Run(nn.Module):
    """Layers by name, and what `forward` does with them."""

    def __init__(self, then, **layers):
        super().__init__()
        self.then = then
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *given):
        return self.then(self, *given)


def outcome(model, example=IMAGE, rule=ROOMY):
    return check(model, example=example, rules=[rule]).outcomes[0]


def arena(then, example=IMAGE, bits=8, alignment=1, on=None, **layers):
    rule = MaxArena(limit=10**9, bits=bits, alignment=alignment, on=on)
    return outcome(Run(then, **layers), example, rule).found


class FrozenNorm(nn.Module):
    """A normalisation with fixed numbers, as networks for detection have it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.rand(8))
        self.register_buffer("shift", torch.rand(8))

    def forward(self, x):
        return x * self.scale.reshape(1, -1, 1, 1) + self.shift.reshape(1, -1, 1, 1)


def conv(channels=4, out=None):
    return nn.Conv2d(channels, out or channels, 3, padding=1)


class KeywordNet(nn.Sequential):
    """The network of MLPerf Tiny's keyword spotting (DS-CNN): spectrograms of 49x10, four separable blocks."""

    def __init__(self, width=64):
        def separable():
            depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
            pointwise = nn.Conv2d(width, width, 1, bias=False)
            return nn.Sequential(
                depthwise, nn.BatchNorm2d(width), nn.ReLU(), pointwise, nn.BatchNorm2d(width), nn.ReLU()
            )

        stem = nn.Conv2d(1, width, (10, 4), stride=2, padding=(5, 1), bias=False)
        super().__init__(
            nn.Sequential(stem, nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.2)),
            nn.Sequential(*(separable() for _ in range(4))),
            nn.Sequential(nn.Dropout(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 12)),
        )


@pytest.mark.parametrize(
    ("width", "planned", "eager"),
    [
        # A map has 25x5 positions, and the peak is that of any separable block: what a convolution reads and writes.
        # 60 channels are 7,500 bytes, 7,504 when they are aligned.
        (60, 2 * 7_504, 4 * (49 * 10 + 4 * 7_500)),
        (64, 2 * 8_000, 4 * (49 * 10 + 4 * 8_000)),
    ],
)
def test_a_separable_keyword_net(width, planned, eager):
    # PyTorch holds in float32, at the peak: the input of the model, the map that was given to the four blocks, the
    # one that the block was given, and what a layer reads and writes. Nothing is fused, so BatchNorm and ReLU write
    # maps, too. A plan holds two maps, of a quarter of the width.
    rules = [MaxArena(limit=16_384), MaxPeakMemory(limit=10**6), MaxArena(limit=15_000)]
    plan, memory, broken = check(KeywordNet(width), example=torch.zeros(1, 1, 49, 10), rules=rules).outcomes
    assert (plan.verdict, plan.found) == (Verdict.KEPT, planned)
    assert memory.found == eager
    assert plan.notes[0].startswith(f"{planned:,} bytes are alive at `1.0.0` (Conv2d) ")
    assert plan.notes[1:] == ("fused into the operation before: 9 batch_norm, 9 relu",)
    (finding,) = broken.findings
    assert finding.message.startswith(f"{planned:,} bytes of arena, most at `1.0.0` (Conv2d), limit 15,000 (+")
    assert finding.layer == "1.0.0"
    assert finding.where.file.endswith("test_max_arena.py")
    assert [line.split("  ")[0] for line in broken.most] == ["0.0", "1.0.0"]


@pytest.mark.parametrize(
    ("then", "layers", "expected"),
    [
        (lambda self, x: self.a(x), {"a": conv()}, 512),
        (lambda self, x: self.b(self.a(x)), {"a": conv(4, 8), "b": conv(8, 2)}, 768),  # 256 + 512, then 512 + 128
        # Fused: a convolution, its normalisation and its ReLU write one map.
        (lambda self, x: F.relu(self.n(self.a(x))), {"a": conv(), "n": nn.BatchNorm2d(4)}, 512),
        (lambda self, x: F.relu6(F.dropout(self.a(x), 0.5, self.training)), {"a": conv()}, 512),
        (lambda self, x: F.relu(F.linear(x, self.w.weight)), {"w": nn.Linear(8, 16)}, 256 + 512),
        (lambda self, x: F.relu(x + x), {}, 512),
        (lambda self, x: F.relu(F.max_pool2d(x, 2)), {}, 256 + 64),
        (
            lambda self, x: F.relu(self.n(self.a(x)) * 2 + torch.ones(8, 1, 1)),
            {"a": conv(4, 8), "n": FrozenNorm()},
            768,
        ),
        (lambda self, x: self.w(x) / torch.full((16,), 3.0), {"w": nn.Linear(8, 16)}, 256 + 512),
        (lambda self, x: self.a(x) * torch.rand(1, 8, 1, 1), {"a": conv(4, 8)}, 512 + 8 + 512),
        (lambda self, x: self.a(x) * torch.ones(8, 8), {"a": conv(4, 8)}, 512 + 512),
        (lambda self, x: 2 * torch.ones(8, 1, 1) / self.a(x), {"a": conv(4, 8)}, 512 + 512),
        # Not fused: something else reads the map, or the order is another one.
        (lambda self, x: (y := self.a(x), F.relu(y))[1] + y, {"a": conv()}, 768),
        (lambda self, x: (y := self.a(x), F.relu(y)), {"a": conv()}, 512),
        (lambda self, x: self.n(F.relu(self.a(x))), {"a": conv(), "n": nn.BatchNorm2d(4)}, 512),
        (lambda self, x: F.relu(torch.cat([self.a(x), x], 1)), {"a": conv()}, 1_024),
        (lambda self, x: F.silu(self.a(x)), {"a": conv()}, 512),
        # A residual stays alive.
        (lambda self, x: self.b(F.silu(self.a(x))) + x, {"a": conv(), "b": conv()}, 768),
        # Views, in-place operations and casts share memory; a transposition and a padding do not.
        (lambda self, x: x.flatten(1).view(4, 64)[1:, :8].unsqueeze(0), {}, 256),
        (lambda self, x: F.silu(self.a(x), inplace=True).mul_(2), {"a": conv()}, 512),
        (lambda self, x: [half.tanh() for half in x.chunk(2, 1)], {}, 512),
        (lambda self, x: x.double().contiguous().float().detach(), {}, 256),
        (lambda self, x: x.permute(0, 2, 3, 1).contiguous(), {}, 512),
        (lambda self, x: F.pad(x, (1, 1, 1, 1)), {}, 256 + 400),
        # A map that is written in place, part by part.
        (lambda self, x: torch.zeros(4, 8, 8).copy_(x[0]).tanh(), {}, 512),
        # What depends on no input is stored.
        (lambda self, x: x + torch.arange(8.0).sin() * 2, {}, 512),
        (lambda self, x: x + torch.rand(1, 4, 8, 8), {}, 768),
        # What reaches no output is left out.
        (lambda self, x: (self.a(x), self.b(x))[1], {"a": conv(4, 99), "b": conv()}, 512),
    ],
)
def test_which_tensors_take_memory(then, layers, expected):
    assert arena(then, **layers) == expected


def test_inputs_live_from_the_start_and_outputs_to_the_end():
    def late(self, x, y):
        return self.b(self.a(x)) + y

    two = (torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8))
    assert arena(late, two, a=conv(), b=conv()) == 768
    assert arena(lambda self, x: (self.a(x), self.c(self.b(x))), a=conv(), b=conv(), c=conv()) == 768


def test_bits_alignment_and_whole_numbers():
    assert arena(lambda self, x: x.tanh(), bits=32) == 2_048
    assert arena(lambda self, x: x.tanh(), bits=4) == 256
    assert arena(lambda self, x: x.tanh(), torch.zeros(3, 5), bits=4) == 16
    assert arena(lambda self, x: x.tanh(), torch.zeros(3, 5), alignment=16) == 32
    tokens = torch.zeros(1, 10, dtype=torch.int64)
    assert arena(lambda self, x: self.e(x), tokens, e=nn.Embedding(9, 3)) == 10 * 4 + 30


def test_an_attention_holds_its_scores():
    x = torch.zeros(1, 2, 16, 4)  # 128 elements, scores of 2x16x16
    assert arena(lambda self, x: F.scaled_dot_product_attention(x, x, x), x) == 128 + 512 + 128


def test_a_part_of_the_model():
    layers = {"a": conv(4, 16), "b": conv(16, 2), "c": conv(2, 4)}
    whole = Run(lambda self, x: self.c(self.b(self.a(x))), **layers)
    for on, expected in ((None, 256 + 1_024), ("b", 1_024 + 128), ("c", 128 + 256), ("conv", 256 + 1_024)):
        assert outcome(whole, rule=MaxArena(limit=10**9, on=on)).found == expected
    missed = outcome(whole, rule=MaxArena(limit=10**9, on="d"))
    assert missed.verdict is Verdict.ERROR
    assert "selects nothing" in missed.summary


def test_where_values_decide_the_largest_pass_counts():
    def decides(self, x):
        return self.b(self.a(x)) if x.mean() > 0 else self.a(x)

    found = outcome(Run(decides, a=conv(4, 8), b=conv(8, 16)), torch.randn(1, 4, 8, 8))
    assert found.found == 512 + 1_024
    assert found.notes[-1].startswith("values decide what runs: the largest of ")


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"limit": 1, "bits": 0}, {"limit": 1, "alignment": 0}])
def test_numbers_that_are_too_small_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        MaxArena(**wrong)


def test_a_contract_states_it_in_bytes(tmp_path):
    (tmp_path / "net.py").write_text("from torch import nn\n\n\nclass Net(nn.Conv2d):\n    pass\n")
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.net]\nmodel = "net.py:Net"\nargs = { in_channels = 1, out_channels = 8, kernel_size = 3 }\n'
        'input = [1, 1, 34, 34]\n[subjects.net.rules]\nmax-arena = "8 KiB"\n'
    )
    run = subprocess.run(
        [sys.executable, "-m", "archcheck", "check", "--format", "json"], cwd=tmp_path, capture_output=True, text=True
    )
    (report,) = json.loads(run.stdout)["reports"]
    told = report["outcomes"][0]
    assert (run.returncode, told["verdict"], told["found"], told["limit"]) == (1, "broken", 1_168 + 8_192, 8_192)
