"""Small networks in which every number counts: how many are reported beside the one parameter."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from networks import Apply
from torch import nn

from archcheck.judging.engine import measure
from tests.support.cli_samples import environment, write

TEN = [0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.21]
KERNEL = torch.tensor([[[0.3, 0.7, 0.9]]])
WIDE = [math.sqrt(each) for each in (3, 5, 7, 11, 13, 15, 17, 19, 21, 23)]


def chain(x, numbers):
    for number in numbers:
        x = x * number
    return x


def assigned(x):
    kernel = torch.zeros(4)
    kernel[0], kernel[1], kernel[3] = 0.3, 0.4, 0.7
    return x * kernel


def decided(x):
    return torch.where(x > 0.31, x, 0.17)


ROWS = {
    "none": (lambda s, x: x * s.w, 0, 0),
    "ten constants": (lambda s, x: chain(x * s.w, TEN), 10, 40),
    "the same one ten times": (lambda s, x: chain(x * s.w, [0.3] * 10), 1, 4),
    "trivial ones": (lambda s, x: (x * s.w * 2 + 1) * 0.5 - 1, 0, 0),
    "alpha": (lambda s, x: torch.add(x * s.w, x, alpha=0.3), 1, 4),
    "value": (lambda s, x: torch.addcmul(x, x, x * s.w, value=0.3), 1, 4),
    "beta and alpha": (lambda s, x: torch.addmm(x, x, (x * s.w).t() @ x, beta=0.3, alpha=0.7), 2, 8),
    "a slope": (lambda s, x: F.leaky_relu(x * s.w, 0.2), 1, 4),
    "an exponent": (lambda s, x: (x * s.w).abs() ** 1.7, 1, 4),
    "a base": (lambda s, x: 3.5 ** (x * s.w), 1, 4),
    "a threshold and its value": (lambda s, x: F.threshold(x * s.w, 0.1, 0.3), 2, 8),
    "bounds": (lambda s, x: (x * s.w).clamp(-0.3, 0.7), 2, 8),
    "a lower bound": (lambda s, x: (x * s.w).clamp(min=0.3), 1, 4),
    "where": (lambda s, x: decided(x * s.w), 2, 8),
    "a comparison": (lambda s, x: (x * s.w) * (x > 0.3), 1, 4),
    "a divisor": (lambda s, x: x * s.w / 7, 1, 4),
    "a divisor of a pooling": (lambda s, x: F.avg_pool2d(x.view(1, 1, 2, 2) * s.w, 2, divisor_override=5), 1, 4),
    "a remainder": (lambda s, x: (x * s.w) % 0.7, 1, 4),
    "full": (lambda s, x: x * s.w * torch.full((4,), 0.3), 1, 4),
    "fill": (lambda s, x: x * s.w * torch.empty(4).fill_(0.3), 1, 4),
    "a tensor of three": (lambda s, x: F.conv1d((x * s.w)[:, None], torch.tensor([[[0.3, 0.7, 0.9]]])), 3, 12),
    "a tensor from outside": (lambda s, x: F.conv1d((x * s.w)[:, None], KERNEL), 3, 12),
    "the same number twice in a tensor": (lambda s, x: x * s.w * torch.tensor([0.3, 0.3, 0.7, 0.7]), 2, 8),
    "items of a tensor": (lambda s, x: assigned(x * s.w), 3, 12),
    "a scalar tensor": (lambda s, x: x * s.w * torch.tensor(0.3), 1, 4),
    "an epsilon": (lambda s, x: F.layer_norm(x * s.w, (4,), eps=0.001), 1, 4),
    "padding": (lambda s, x: F.pad(x * s.w, (1, 1), value=0.3), 1, 4),
    "a mask": (lambda s, x: (x * s.w).masked_fill(x > 0, 0.3), 1, 4),
    "integers": (lambda s, x: x * s.w * 3 + 5 - 7, 3, 12),
    "one large integer": (lambda s, x: x * s.w * 123456789, 1, 4),
    "an integer of 60 bits": (lambda s, x: x * s.w * ((1 << 60) + 12345), 1, 8),
    "a complex number": (lambda s, x: (x * s.w * (0.3 + 0.7j)).abs(), 1, 8),
    "a complex number that is real": (lambda s, x: (x * s.w * complex(0.3, 0)).abs(), 1, 4),
    "ten of 64 bits": (lambda s, x: chain(x * s.w, WIDE), 10, 80),
    "interpolated": (lambda s, x: torch.lerp(x, x * s.w, 0.3), 1, 4),
    "shapes": (lambda s, x: (x * s.w).view(1, 2, 2).sum(2) / x.shape[0], 0, 0),
    "arange": (lambda s, x: x * s.w * torch.arange(4), 0, 0),
    "arange by steps": (lambda s, x: x * s.w * torch.arange(4) * 0.3, 1, 4),
    "a mask of ones": (lambda s, x: x * s.w @ torch.ones(4, 4).tril(), 0, 0),
    "noise": (lambda s, x: x * s.w + torch.randn(4) * 0.3, 1, 4),
    "dropout that is off": (lambda s, x: F.dropout(x * s.w, 0.3, s.training), 0, 0),
    "no way to the output": (lambda s, x: (x * 0.3, x * s.w)[1], 0, 0),
    "several in one line": (lambda s, x: x * s.w * 0.3 + 0.4 - 0.6, 3, 12),
}  # fmt: skip


def model(forward):
    made = Apply(forward)
    made.w = nn.Parameter(torch.ones(1))
    return made


@pytest.mark.parametrize("name", ROWS)
def test_every_number_counts_once(name):
    forward, numbers, content_bytes = ROWS[name]
    params = measure(model(forward), example=torch.randn(1, 4)).params
    assert (params.total, params.numbers_beside, params.bytes_beside) == (1, numbers, content_bytes)


def buffer(tensor):
    made = Apply(lambda self, x: x.mean() * self.w * self.b)
    made.w = nn.Parameter(torch.ones(1))
    made.register_buffer("b", tensor)
    return made


@pytest.mark.parametrize(
    ("tensor", "numbers", "content_bytes"),
    [
        (torch.tensor([0.3, 0.7, 0.3]), 2, 8),
        (torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), 3, 12),
        (torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64), 3, 12),
        (torch.tensor([1 / 3, 2 / 3], dtype=torch.float64), 2, 16),
        (torch.tensor([1 << 50, 3]), 2, 11),
        (torch.tensor([3, 5, 7]), 3, 12),
        (torch.ones(3, 3), 0, 0),
        (torch.eye(40), 0, 0),
        (torch.tensor(0.3), 1, 4),
    ],
)
def test_every_number_of_a_buffer_counts(tensor, numbers, content_bytes):
    params = measure(buffer(tensor), example=torch.randn(1, 4)).params
    assert (params.total, params.numbers_beside, params.bytes_beside) == (1, numbers, content_bytes)


CONSTANTS = """
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, x):
            x = x * self.w
            for number in (0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.21):
                x = x * number
            return x
"""


def test_a_report_shows_the_one_parameter_and_ten_numbers_beside_it(tmp_path):
    write(tmp_path, net_py=CONSTANTS)
    command = [sys.executable, "-m", "archcheck", "report", "net.py:Net", "--input", "1,4"]
    told = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True).stdout
    assert "10 numbers: 10 in Python" in " ".join(told.split())


def test_a_default_device_of_the_subject_changes_no_count():
    def forward(self, x):
        x = chain(x * self.w, TEN + WIDE) + table
        return x * (x > 0) * self.w

    table = torch.sin(torch.arange(256) * 0.37).view(64, 4)
    model, example = Apply(forward, w=nn.Parameter(torch.ones(1))), torch.rand(1, 4)
    plain = measure(model, example=example)
    with torch.device("meta"):
        facts = measure(model, example=example, confirm=False)
    assert (facts.params.beside, facts.params.hidden) == (plain.params.beside, plain.params.hidden)
    assert [op.kind for op in facts.ops] == [op.kind for op in plain.ops]
