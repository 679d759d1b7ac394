"""Multiply-accumulates of kernels: packed and grouped products, and attention, whoever calls them by name."""

from __future__ import annotations

import pytest
import torch
from networks import Apply
from torch import nn

from archcheck import check
from archcheck.measure.loading.example import given
from archcheck.measure.passes.forward import Passes
from archcheck.rules import MaxMacs, Requires

aten = torch.ops.aten
HEADS = (2, 3, 5, 8)
ATTENTION = 2 * 3 * 5 * 5 * (8 + 8)


def four_bits(x):
    codes = torch.randint(0, 16, (32, 64), dtype=torch.int32)
    packed = aten._convert_weight_to_int4pack_for_cpu(codes, 2)
    return aten._weight_int4pack_mm_for_cpu(x, packed, 32, torch.ones(2, 32, 2, dtype=torch.bfloat16))


def scaled_grouped(x):
    left, right = x.to(torch.float8_e4m3fn), torch.ones(2, 16, 16).to(torch.float8_e4m3fn)
    ends = torch.tensor([2, 4], dtype=torch.int32)
    return torch._scaled_grouped_mm(left, right.mT, torch.ones(4), torch.ones(2, 16), offs=ends)


# the operator, which not every release has; a function, shape and dtype of its input; multiply-accumulates
WORKED = {
    "weights of four bits": ("_weight_int4pack_mm_for_cpu", four_bits, (3, 64), torch.bfloat16, 3 * 64 * 32),
    "scaled groups": ("_scaled_grouped_mm", scaled_grouped, (4, 16), torch.float32, 4 * 16 * 16),
    "lists": ("_foreach_mm", lambda x: torch._foreach_mm([x, x], [x.T, x.T])[1], (4, 5), torch.float32, 2 * 4 * 4 * 5),
    "efficient attention": (
        "_scaled_dot_product_efficient_attention",
        lambda x: aten._scaled_dot_product_efficient_attention(x, x, x, None, False)[0],
        HEADS, torch.float32, ATTENTION),
    "flash attention": (
        "_scaled_dot_product_flash_attention", lambda x: aten._scaled_dot_product_flash_attention(x, x, x)[0],
        HEADS, torch.bfloat16, ATTENTION),
    "attention by position": (
        "_efficient_attention_forward",
        lambda x: aten._efficient_attention_forward(x, x, x, None, None, None, None, None, 0.0, 0)[0],
        (2, 5, 3, 8), torch.float32, ATTENTION),
    "a histogram": ("_histogramdd_bin_edges", lambda x: torch.histogramdd(x, [2, 2])[0], (9, 2), torch.float32, 0),
}  # fmt: skip


def is_there(operator, function, shape, dtype, _):
    """Whether a release has an operator, and knows its shapes."""
    if not hasattr(aten, operator):
        return False
    try:
        function(torch.empty(shape, dtype=dtype, device="meta"))
    except NotImplementedError:
        return False
    except RuntimeError:  # it knows them, and minds what else it is given
        return True
    return True


CASES = [case for case, worked in WORKED.items() if is_there(*worked)]


@pytest.mark.parametrize("case", CASES)
def test_multiply_accumulates_of_kernels(case):
    _, function, shape, dtype, macs = WORKED[case]
    model = Apply(lambda self, x: function(x))
    trace = Passes(model).trace(given(torch.rand(shape).to(dtype)), training=False)
    assert trace.uncounted == set()
    assert sum(event.macs for event in trace.events) == macs


def test_a_kernel_of_attention_is_attention():
    model = Apply(lambda self, x: aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)[0])
    rules = [MaxMacs(limit=ATTENTION - 1), Requires(kinds=("attention",))]
    outcomes = check(model, example=torch.rand(HEADS), rules=rules).outcomes
    assert [each.verdict.value for each in outcomes] == ["broken", "kept"]
    assert outcomes[0].found == ATTENTION


def test_a_loop_over_taps_costs_the_convolution_that_it_spells():
    class Taps(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(3, 3))

        def forward(self, x):
            taps = [(i, j) for i in range(3) for j in range(3)]
            return sum(self.weight[i, j] * x[..., i : i + 4, j : j + 4] for i, j in taps)

    (outcome,) = check(Taps(), example=torch.rand(2, 1, 6, 6), rules=[MaxMacs(limit=287)]).outcomes
    assert outcome.found == 2 * 4 * 4 * 9
