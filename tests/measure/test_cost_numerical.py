"""Multiply-accumulates of Fourier transforms, distances, sampling and linear algebra, against formulas by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply
from torch import linalg, nn

from archcheck.measure.loading.example import given
from archcheck.measure.passes.forward import Passes

MATRIX, TALL, SIDE = (8, 8), (8, 4), (8, 3)
LU, SVD = 8**3 // 3, 3 * 8**3 + 10 * 8**3

# function, shapes of its operands, multiply-accumulates
WORKED = {
    "fft of a real line": (lambda x: torch.fft.fft(x).real, [(5, 8)], 5 * 8 * 3),
    "fft of a complex line": (lambda x: torch.fft.fft(x.to(torch.complex64)).real, [(5, 8)], 2 * 5 * 8 * 3),
    "rfft": (lambda x: torch.fft.rfft(x).abs(), [(5, 16)], 5 * 16 * 4),
    "irfft": (lambda x: torch.fft.irfft(x.to(torch.complex64), n=16), [(5, 9)], 5 * 16 * 4),
    "fft of both axes": (lambda x: torch.fft.rfft2(x).abs(), [(8, 16)], 8 * 16 * (3 + 4)),
    "stft": (lambda x: torch.stft(x, 4, hop_length=2, center=False, return_complex=True, window=torch.ones(4)).abs(),
             [(2, 8)], 2 * 3 * 4 * 2),
    "fft of one point": (lambda x: torch.fft.rfft(x).abs(), [(5, 1)], 0),
    "cdist": (torch.cdist, [(7, 3), (5, 3)], 7 * 5 * 3),
    "cdist of a batch": (torch.cdist, [(2, 7, 3), (2, 5, 3)], 2 * 7 * 5 * 3),
    "cdist by a product": (torch.cdist, [(30, 3), (31, 3)], 30 * 31 * 3),
    "cdist of another norm": (lambda x, y: torch.cdist(x, y, p=1.0), [(7, 3), (5, 3)], 7 * 5 * 3),
    "pdist": (F.pdist, [(7, 3)], 21 * 3),
    "cosine to several": (lambda x, y: F.cosine_similarity(x[:, None], y, -1), [(7, 3), (5, 3)], 7 * 5 * 3),
    "cosine of pairs": (lambda x, y: F.cosine_similarity(x, y), [(7, 3), (7, 3)], 0),
    "distance to several": (lambda x, y: F.pairwise_distance(x[:, None], y), [(7, 3), (5, 3)], 7 * 5 * 3),
    "distance of pairs": (F.pairwise_distance, [(7, 3), (7, 3)], 0),
    "grid of a map": (lambda x, g: F.grid_sample(x, g, align_corners=False), [(1, 2, 4, 4), (1, 3, 5, 2)], 30 * 4),
    "grid of a volume": (lambda x, g: F.grid_sample(x, g, align_corners=False),
                         [(1, 2, 4, 4, 4), (1, 3, 3, 3, 3)], 54 * 8),
    "nearest on a grid": (lambda x, g: F.grid_sample(x, g, mode="nearest", align_corners=False),
                          [(1, 2, 4, 4), (1, 3, 5, 2)], 0),
    "bicubic on a grid": (lambda x, g: F.grid_sample(x, g, mode="bicubic", align_corners=False),
                          [(1, 2, 4, 4), (1, 3, 5, 2)], 30 * 16),
    "lu": (lambda a: linalg.lu(a)[1], [MATRIX], LU),
    "lu of a tall matrix": (lambda a: linalg.lu_factor(a)[0], [(9, 6)], 36 * (9 - 2) // 2),
    "det": (linalg.det, [MATRIX], LU),
    "slogdet of a batch": (lambda a: linalg.slogdet(a)[1], [(3, *MATRIX)], 3 * LU),
    "solve": (linalg.solve, [MATRIX, SIDE], LU + 64 * 3),
    "solve for a vector": (linalg.solve, [MATRIX, (8,)], LU + 64),
    "solve from the right": (lambda a, b: linalg.solve(a, b, left=False), [MATRIX, (3, 8)], LU + 64 * 3),
    "solve a batch": (linalg.solve, [(5, *MATRIX), (5, *SIDE)], 5 * (LU + 64 * 3)),
    "lu_solve": (lambda a, b: linalg.lu_solve(*linalg.lu_factor(a), b), [MATRIX, SIDE], LU + 64 * 3),
    "solve a triangle": (lambda a, b: linalg.solve_triangular(a, b, upper=True), [MATRIX, SIDE], 64 * 3 // 2),
    "cholesky": (linalg.cholesky, [MATRIX], 8**3 // 6),
    "cholesky_solve": (lambda a, b: torch.cholesky_solve(b, a), [MATRIX, SIDE], 64 * 3),
    "cholesky_inverse": (torch.cholesky_inverse, [MATRIX], 8**3 // 3),
    "ldl": (lambda a, b: linalg.ldl_solve(*linalg.ldl_factor(a), b), [MATRIX, SIDE], 8**3 // 6 + 64 * 3),
    "inv": (linalg.inv, [(2, *MATRIX)], 2 * 8**3),
    "qr": (lambda a: linalg.qr(a)[0], [TALL], 2 * (16 * (3 * 8 - 4) // 3)),
    "r alone": (lambda a: linalg.qr(a, mode="r")[1], [TALL], 16 * (3 * 8 - 4) // 3),
    "lstsq": (lambda a, b: linalg.lstsq(a, b)[0], [TALL, SIDE], 16 * (3 * 8 - 4) // 3 + 3 * (4 * (16 - 4) + 8)),
    "eigh": (lambda a: linalg.eigh(a)[0], [MATRIX], 9 * 8**3 // 2),
    "eigvalsh": (linalg.eigvalsh, [MATRIX], 2 * 8**3 // 3),
    "eig": (lambda a: linalg.eig(a)[0].abs(), [MATRIX], 25 * 8**3 // 2),
    "svd": (lambda a: linalg.svd(a)[1], [MATRIX], SVD),
    "svdvals": (linalg.svdvals, [TALL], 8 * 16 + 64),
    "spectral norm": (lambda a: linalg.matrix_norm(a, 2), [TALL], 8 * 16 + 64),
    "pinv": (linalg.pinv, [MATRIX], SVD + 8**3),
    "matrix_exp": (linalg.matrix_exp, [(2, *MATRIX)], 2 * 5 * 8**3),
    "bag with weights": (lambda t: F.embedding_bag(torch.tensor([[0, 1], [1, 2], [0, 3]]), t, mode="sum",
                                                   per_sample_weights=torch.ones(3, 2)), [MATRIX], 6 * 8),
    "bag": (lambda t: F.embedding_bag(torch.tensor([[0, 1], [1, 2]]), t), [MATRIX], 0),
}  # fmt: skip


def numbers(*shape: int) -> torch.Tensor:
    """Return numbers that every factorisation takes where they are a matrix."""
    square = len(shape) > 1 and shape[-1] == shape[-2]
    return torch.rand(shape) / 16 + (torch.eye(shape[-1]) if square else 0)


@pytest.mark.parametrize("on", ["shapes", "numbers"])
@pytest.mark.parametrize("case", WORKED)
def test_multiply_accumulates(case, on):
    function, shapes, macs = WORKED[case]
    passes = Passes(Apply(lambda self, *tensors: function(*tensors)))
    trace = passes.trace(given([numbers(*shape) for shape in shapes]), training=False, real=on == "numbers")
    assert (sum(event.macs for event in trace.events), trace.uncounted) == (macs, set())


def test_a_network_that_mixes_in_the_frequency_domain_costs_its_transforms():
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.rand(64, 64))

        def forward(self, x):
            return torch.fft.irfft(torch.fft.rfft(x)[:, None] * torch.fft.rfft(self.w), 64).sum(-1)

    trace = Passes(Spectral()).trace(given(torch.rand(2, 64)), training=False)
    assert sum(event.macs for event in trace.events) == (2 + 64 + 2 * 64) * 64 * 6


@pytest.mark.parametrize(
    ("function", "shapes", "forward"),
    [
        (lambda x, y: torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist"), [(7, 3), (5, 3)], 7 * 5 * 3),
        (lambda x, g: F.grid_sample(x, g, align_corners=False), [(1, 2, 4, 4), (1, 3, 5, 2)], 30 * 4),
        (lambda x, y: torch.fft.rfft(x).abs() + 0 * y, [(5, 16), (5, 1)], 5 * 16 * 4),
    ],
)
def test_a_gradient_in_the_forward_pass_costs_its_operator_again(function, shapes, forward):
    def differentiate(self, x, y):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(function(x, y).sum(), x)[0]

    trace = Passes(Apply(differentiate)).trace(given([numbers(*shape) for shape in shapes]), training=False)
    assert trace.uncounted == set()
    macs = sum(event.macs for event in trace.events)
    assert 2 * forward <= macs <= 4 * forward
