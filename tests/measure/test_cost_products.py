"""Multiply-accumulates of products of tensors, against answers worked out by hand."""

from __future__ import annotations

import re

import pytest
import torch
import torch.backends.opt_einsum
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

import archcheck
from archcheck.measure import measure_model
from archcheck.measure.loading.example import given
from archcheck.measure.operators.einsum_cost import contraction_macs
from archcheck.measure.operators.free_operators import is_free
from archcheck.measure.passes.forward import Passes
from tests.support.features import GROUPED_PRODUCTS, needs


def einsum(equation):
    return lambda *tensors: torch.einsum(equation, *tensors)


OFFSETS = torch.tensor([3, 8], dtype=torch.int32)

# function, shapes of its operands, multiply-accumulates
WORKED = {
    "mm": (torch.mm, [(2, 3), (3, 5)], 2 * 3 * 5),
    "mv": (torch.mv, [(2, 3), (3,)], 2 * 3),
    "dot": (torch.dot, [(3,), (3,)], 3),
    "vdot": (torch.vdot, [(3,), (3,)], 3),
    "linalg.vecdot": (torch.linalg.vecdot, [(2, 3), (2, 3)], 2 * 3),
    "linalg.vecdot that broadcasts": (torch.linalg.vecdot, [(4, 1, 3), (2, 3)], 4 * 2 * 3),
    "matmul of matrix and vector": (torch.matmul, [(2, 3), (3,)], 2 * 3),
    "matmul of vector and matrix": (torch.matmul, [(2,), (2, 3)], 2 * 3),
    "matmul of vectors": (torch.matmul, [(3,), (3,)], 3),
    "matmul of vector and batch": (torch.matmul, [(2,), (7, 2, 3)], 7 * 2 * 3),
    "matmul that broadcasts": (torch.matmul, [(7, 1, 2, 3), (4, 3, 5)], 7 * 4 * 2 * 3 * 5),
    "addmm": (torch.addmm, [(2, 5), (2, 3), (3, 5)], 2 * 3 * 5),
    "addmm with a row": (torch.addmm, [(5,), (2, 3), (3, 5)], 2 * 3 * 5),
    "baddbmm": (torch.baddbmm, [(7, 2, 5), (7, 2, 3), (7, 3, 5)], 7 * 2 * 3 * 5),
    "addbmm": (torch.addbmm, [(2, 5), (7, 2, 3), (7, 3, 5)], 7 * 2 * 3 * 5),
    "addmv": (torch.addmv, [(2,), (2, 3), (3,)], 2 * 3),
    "addr": (torch.addr, [(2, 3), (2,), (3,)], 2 * 3),
    "outer": (torch.outer, [(2,), (3,)], 2 * 3),
    "ger": (torch.ger, [(2,), (3,)], 2 * 3),
    "inner": (torch.inner, [(2, 3), (5, 3)], 2 * 5 * 3),
    "inner of vectors": (torch.inner, [(3,), (3,)], 3),
    # (2 x 30) by (30 x 5) first: the cheaper of both orders
    "chain_matmul": (torch.chain_matmul, [(10, 2), (2, 30), (30, 5)], 2 * 30 * 5 + 10 * 2 * 5),
    "multi_dot": (lambda *all: torch.linalg.multi_dot(all), [(10, 2), (2, 30), (30, 5)], 2 * 30 * 5 + 10 * 2 * 5),
    "matrix_power": (lambda x: torch.linalg.matrix_power(x, 3), [(3, 3)], 2 * 3 * 3 * 3),
    "tensordot": (lambda x, y: torch.tensordot(x, y, ([1, 2], [0, 1])), [(2, 3, 4), (3, 4, 5)], 2 * 3 * 4 * 5),
    "tensordot over one axis": (lambda x, y: torch.tensordot(x, y, 1), [(2, 3), (3, 5)], 2 * 3 * 5),
    "bilinear": (F.bilinear, [(2, 3), (2, 4), (5, 3, 4)], 2 * 5 * 3 * 4),
    "kron is elementwise": (torch.kron, [(2, 3), (4, 5)], 0),
    "einsum": (einsum("bij,bjk->bik"), [(7, 2, 3), (7, 3, 5)], 7 * 2 * 3 * 5),
    "einsum without arrow": (einsum("ij,jk"), [(2, 3), (3, 5)], 2 * 3 * 5),
    "einsum with spaces and capitals": (einsum("a B, B c -> a c"), [(2, 3), (3, 5)], 2 * 3 * 5),
    "einsum with ellipsis": (einsum("...ij,...jk->...ik"), [(4, 2, 3), (3, 5)], 4 * 2 * 3 * 5),
    "einsum with ellipsis, no arrow": (einsum("...ij,jk"), [(4, 2, 3), (3, 5)], 4 * 2 * 3 * 5),
    "einsum with broadcast ellipses": (einsum("...i,...i->..."), [(4, 1, 3), (2, 3)], 4 * 2 * 3),
    "einsum of one operand": (einsum("ij->ji"), [(2, 3)], 0),
    # k is summed within its operand, before the two meet; and so is i
    "einsum that sums first": (einsum("ij,jk->i"), [(2, 3), (3, 5)], 2 * 3),
    "einsum that sums first on the left": (einsum("ij,jk->k"), [(2, 3), (3, 5)], 3 * 5),
    "einsum of three with ellipsis, no arrow": (einsum("...i,...i,j"), [(4, 3), (4, 3), (5,)], 4 * 3 + 4 * 5),
    "einsum of a diagonal": (einsum("ii,ij->j"), [(3, 3), (3, 5)], 3 * 5),
    "einsum of an outer product": (einsum("i,j->ij"), [(2,), (3,)], 2 * 3),
    "einsum of three": (einsum("ij,jk,kl->il"), [(2, 3), (3, 5), (5, 7)], 2 * 3 * 5 + 2 * 5 * 7),
    "einsum of four": (
        einsum("ij,jk,kl,lm->im"),
        [(2, 3), (3, 5), (5, 7), (7, 11)],
        2 * 3 * 5 + 2 * 5 * 7 + 2 * 7 * 11,
    ),
    # j belongs to all three: the first pair is multiplied and not summed
    "einsum of three over one index": (
        einsum("ij,kj,lj->ikl"),
        [(2, 11), (3, 11), (5, 11)],
        2 * 3 * 11 + 2 * 3 * 5 * 11,
    ),
    "einsum with sublists": (
        lambda x, y: torch.einsum(x, [0, 1], y, [1, 2], [0, 2]),
        [(2, 3), (3, 5)],
        2 * 3 * 5,
    ),
    "vmap": (torch.vmap(torch.mv, in_dims=(None, 0)), [(4, 3), (2, 3)], 2 * 3 * 4),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _from_left_to_right():
    # Where `opt_einsum` is installed torch asks it for another order; its path has a test of its own.
    enabled, torch.backends.opt_einsum.enabled = torch.backends.opt_einsum.enabled, False
    yield
    torch.backends.opt_einsum.enabled = enabled


@pytest.mark.filterwarnings("ignore:torch.chain_matmul is deprecated")
@pytest.mark.parametrize("case", WORKED)
def test_multiply_accumulates(case):
    function, shapes, macs = WORKED[case]
    operands = tuple(zeros(*shape) for shape in shapes)
    facts = measure_model(Apply(lambda self, *tensors: function(*tensors)), example=operands)
    assert facts.cost.macs == macs
    assert facts.cost.uncounted == ()
    assert facts.shape.outputs[0].shape == tuple(function(*operands).shape)


def test_a_contraction_follows_the_path_that_torch_hands_on():
    shapes = [(2, 3), (3, 5), (5, 7), (7, 11)]
    # (jk, kl) -> jl at the end; (ij, lm) -> ijlm; then both
    expected = 3 * 5 * 7 + 2 * 3 * 7 * 11 + 2 * 3 * 7 * 11
    assert contraction_macs("ij,jk,kl,lm->im", shapes, path=[1, 2, 0, 1, 0, 1]) == expected


def test_an_axis_of_one_is_broadcast_and_makes_no_terms():
    # i is one on the left, so the right is summed over it before they meet
    assert contraction_macs("ij,ik->jk", [(1, 3), (2, 5)]) == 3 * 5


@pytest.mark.parametrize(
    ("left", "right", "offsets", "macs"),
    [
        ((8, 16), (2, 16, 24), OFFSETS, 8 * 16 * 24),  # rows in groups
        ((2, 8, 16), (2, 16, 24), None, 2 * 8 * 16 * 24),  # one matrix a group
        ((8, 16), (16, 24), torch.tensor([8, 16], dtype=torch.int32), 8 * 16 * 24),  # the shared axis in groups
        ((2, 8, 16), (16, 24), torch.tensor([8, 24], dtype=torch.int32), 8 * 16 * 24),  # columns in groups
    ],
)
@needs(GROUPED_PRODUCTS, "`F.grouped_mm`")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_grouped_products(left, right, offsets, macs, dtype, device):
    model = Apply(lambda self, x: F.grouped_mm(x, self.matrices, offs=offsets))
    model.matrices = nn.Parameter(torch.zeros(right, dtype=dtype, device=device))
    facts = measure_model(model, example=zeros(*left).to(dtype))
    assert (facts.cost.macs, facts.cost.uncounted, facts.params.unused) == (macs, (), ())
    assert facts.subject.meta == (device == "meta")
    assert not any("real tensors" in note for note in facts.subject.notes)
    groups = (2,) if offsets is None or len(left) == len(right) == 2 else ()
    assert facts.shape.outputs[0].shape == (*groups, left[-2], right[-1])


class Experts(nn.Module):
    """Two experts, each of which takes the rows that a gate sends to it."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(8, 2, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x):
        weights = self.gate(x).softmax(-1)
        top, out = weights.argmax(-1), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = (top == number).nonzero()[:, 0]
            if len(rows):
                out[rows] = expert(x[rows]) * weights[rows, number, None]
        return out


@pytest.mark.parametrize("samples", [1, 4])
def test_experts_cost_the_rows_that_they_take(samples):
    facts = archcheck.measure(Experts(), example=torch.rand(samples, 8))
    assert facts.cost.macs == samples * (8 * 2 + 8 * 8)


def test_products_of_integers():
    model = Apply(lambda self, x, y: torch._int_mm(x, y))
    inputs = (torch.zeros(32, 16, dtype=torch.int8), torch.zeros(16, 8, dtype=torch.int8))
    assert measure_model(model, example=inputs).cost.macs == 32 * 16 * 8


def test_the_product_of_a_custom_function():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return x @ weight.t()

    model = Apply(lambda self, x: Product.apply(x, self.layer.weight), layer=nn.Linear(3, 4, bias=False))
    facts = measure_model(model, example=zeros(2, 3))
    assert facts.cost.macs == 2 * 3 * 4
    assert facts.params.unused == ()


FREE = {
    "moved": [
        lambda x: x.masked_scatter(x > 0, x + 1),
        lambda x: x.clone().masked_scatter_(x > 0, x),
        lambda x: x.scatter_reduce(0, torch.zeros(8, 8, dtype=torch.long), x, "amax"),
        lambda x: x.index_reduce(0, torch.tensor([0, 1]), x[:2], "prod"),
        lambda x: torch.segment_reduce(x, "mean", lengths=torch.tensor([3, 5])),
        lambda x: torch.block_diag(x, x),
        lambda x: torch.diag_embed(x),
        lambda x: torch.select_scatter(x, x[0], 0, 1),
        lambda x: torch.slice_scatter(x, x[:2], 0, 2, 4),
        lambda x: torch.as_strided_scatter(x, x[0], (8,), (1,)),
        lambda x: torch.permute_copy(x, (1, 0)),
        lambda x: x.new_empty_strided((8, 8), (1, 8)).fill_(1) + x,
        lambda x: F.interpolate(x[None, None], (5, 5), mode="bicubic", antialias=True),
        lambda x: F.interpolate(x[None, None], (5, 5), mode="nearest-exact"),
        lambda x: x.fill_diagonal_(1.0),
    ],
    "compared": [
        lambda x: x * x.isfinite().all(),
        lambda x: x + x.aminmax()[0],
        lambda x: x.cummax(0)[0],
        lambda x: x * torch.isin(x, x[0]),
        lambda x: x.nanmedian() + x,
        lambda x: x.clone().eq_(x),
        lambda x: (torch._assert_async(x.isfinite().all()), x + 1)[1],
    ],
    "drawn": [
        lambda x: x.clone().exponential_(),
        lambda x: x + torch.empty(8).cauchy_() + torch.empty(8).log_normal_() + torch.empty(8).geometric_(0.5),
        lambda x: torch.poisson(x.abs()),
        lambda x: torch.distributions.Gamma(x.exp(), 1.0).sample(),
        lambda x: x + torch.distributions.Dirichlet(torch.ones(8)).sample(),
        lambda x: torch.binomial(torch.full((8, 8), 3.0), x.sigmoid()),
    ],
    "reduced, or one by one": [
        lambda x: torch.polar(x, x).real,
        lambda x: torch.complex(x, x).imag,
        lambda x: x.logcumsumexp(0),
        lambda x: x.nansum(0),
        lambda x: x.trace() + x,
        lambda x: torch.dist(x, x + 1) + x,
        lambda x: torch.linalg.cross(x[:, :3], x[:, 3:6]),
        lambda x: torch._foreach_abs([x, x])[0],
        lambda x: torch.masked._ops.softmax(x, 1),
        lambda x: torch.fake_quantize_per_channel_affine(x, torch.ones(8), torch.zeros(8), 0, -8, 7),
        lambda x: F.nll_loss(x.log_softmax(1), torch.zeros(8, dtype=torch.long)) + x,
    ],
}


@pytest.mark.parametrize("on", ["shapes", "numbers"])
@pytest.mark.parametrize("function", [each for functions in FREE.values() for each in functions])
def test_what_multiplies_nothing_is_free(function, on):
    passes = Passes(Apply(lambda self, x: function(x)))
    trace = passes.trace(given(torch.rand(8, 8)), training=False, real=on == "numbers")
    assert trace.uncounted == set()
    assert sum(event.macs for event in trace.events) == 0


PRODUCTS = (
    r"(?:^|_)(?:conv|convolution|\w*mm|matmul|linear|attention|rnn|lstm|gru|fft|linalg|\w*mv|lu|qr|svd|eig\w*|cholesky"
    r"|inverse|det|solve|dot|outer|einsum|cdist|pdist|bilinear)(?:_|\d|$)"
)
HARMLESS = {
    *("_cslt_sparse_mm_search", "_linalg_check_errors", "_use_cudnn_rnn_flatten_weight"),  # ask
    *("fft_fftfreq", "fft_rfftfreq"),  # make of sizes
    *("linalg__powsum", "linalg_cross", "linalg_vector_norm"),
    *("linalg_diagonal", "lu_unpack", "slice_inverse"),  # move
    *("_upsample_bilinear2d_aa", "upsample_bilinear2d", "upsample_linear1d"),
    *("_upsample_bilinear2d_aa_backward", "upsample_bilinear2d_backward", "upsample_linear1d_backward"),
}


def test_no_operator_that_multiplies_is_free():
    names = {each.name.removeprefix("aten::") for each in torch._C._jit_get_all_schemas() if each.name[:6] == "aten::"}
    assert {name for name in names if re.search(PRODUCTS, name) and is_free(name)} <= HARMLESS


@pytest.mark.parametrize("on", ["shapes", "numbers"])
def test_what_has_no_formula_is_named_and_not_counted_as_nothing(on):
    passes = Passes(Apply(lambda self, x: torch.ops.aten._test_warn_in_autograd(x) + x @ x))
    trace = passes.trace(given(torch.rand(8, 8)), training=False, real=on == "numbers")
    assert trace.uncounted == {"_test_warn_in_autograd"}
    assert sum(event.macs for event in trace.events) == 8**3
