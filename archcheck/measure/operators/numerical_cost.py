"""Multiply-accumulates of operations whose products depend on the algorithm, by stated formulas.

A multiply-add counts one, as in `cost`. Every formula is the leading term for one matrix or line of a batch.

* Fourier transforms of n points: `2 n log2 n`, half of that if one side is real. A transform of radix two has
  `n / 2 log2 n` butterflies of one complex product each, and a complex product is four (Cooley and Tukey, 1965).
* Distances between all pairs of P and R points with M coordinates: `P R M`.
* Sampling on a grid over d axes: for each element of the result, 2^d neighbours if linear, 16 if bicubic, none if
  nearest.
* LU, Cholesky, QR, and solving with them: the multiplications of LAPACK (Blackford and Dongarra, LAPACK Working
  Note 41, 1999): LU `n^3 / 3`, Cholesky `n^3 / 6`, QR `n^2 (m - n / 3)` and as much for its Q, an inverse `n^3`; for
  each right-hand side `n^2`, or `n^2 / 2` with a triangular matrix.
* Eigenvalues and singular values: half of the operations in Golub and Van Loan, Matrix Computations, 4th edition
  (7.5.6, 8.3.3, Figure 8.6.1): symmetric `2/3 n^3`, with vectors `9/2 n^3`; general `5 n^3`, with vectors `25/2 n^3`;
  singular values `m n^2 + n^3`, with vectors `3 m n^2 + 10 n^3`.
* The exponential of a matrix: the five products of its Taylor polynomial of degree 18 (Bader, Blanes and Casas, 2019).
  The squarings are left out, because their number depends on the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from archcheck.measure.shapes.arguments import Call
from archcheck.measure.shapes.shape_rules import broadcast

Formula = Callable[[Call, torch.Tensor], int | None]
_Registered = TypeVar("_Registered", bound=Formula)

FORMULAS: dict[str, Formula] = {}
"""Torch's operator name -> its multiply-accumulates, from the arguments by name and the first result."""


def costs(*names: str) -> Callable[[_Registered], _Registered]:
    """Return a decorator that registers the formula of the operators `names`."""

    def register(function: _Registered) -> _Registered:
        FORMULAS.update(dict.fromkeys(names, function))
        return function

    return register


# --- Fourier transforms ------------------------------------------------------------------------------------


@costs("_fft_c2c")
def _complex_transform(call: Call, out: torch.Tensor) -> int:
    return 2 * _transform(call["self"], call["dim"])


@costs("_fft_r2c")
def _real_transform(call: Call, out: torch.Tensor) -> int:
    return _transform(call["self"], call["dim"])


@costs("_fft_c2r")
def _transform_to_real(call: Call, out: torch.Tensor) -> int:
    return _transform(out, call["dim"])


def _transform(whole: torch.Tensor, axes: Iterable[int]) -> int:
    """Return `n log2 n` for every line of `whole` along the transformed axes, taken one after the other."""
    points = math.prod(int(whole.shape[axis]) for axis in axes)
    return math.ceil(whole.numel() * math.log2(points)) if points > 1 else 0


# --- distances, and sampling on a grid ---------------------------------------------------------------------


@costs("_cdist_forward", "_euclidean_dist", "_pdist_forward")
def _distances(call: Call, out: torch.Tensor) -> int:
    return out.numel() * int(call["x1" if "x1" in call else "self"].shape[-1])


@costs("_cdist_backward")
def _distances_backward(call: Call, out: torch.Tensor) -> int:
    return int(call["cdist"].numel()) * int(call["x1"].shape[-1])


@costs("cosine_similarity", "pairwise_distance")
def _vector_similarity(call: Call, out: torch.Tensor) -> int:
    """Return one product for each element where a vector meets several others; 0 where vectors meet in pairs."""
    first, second = call["x1"], call["x2"]
    whole = math.prod(map(int, broadcast(first.shape, second.shape)))
    return whole if min(first.numel(), second.numel()) < whole else 0


_NEAREST, _BICUBIC = 1, 2
"""Torch's numbers for these modes of interpolation."""


@costs("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "_grid_sampler_2d_cpu_fallback", "cudnn_grid_sampler")
def _sampled(call: Call, out: torch.Tensor) -> int:
    mode = call.get("interpolation_mode", 0)
    neighbours = 0 if mode == _NEAREST else 16 if mode == _BICUBIC else int(2 ** (out.dim() - 2))
    return out.numel() * neighbours


@costs("grid_sampler_2d_backward", "grid_sampler_3d_backward", "_grid_sampler_2d_cpu_fallback_backward")
def _sampled_backward(call: Call, out: torch.Tensor) -> int:
    return _sampled(call, call["grad_output"]) * sum(map(int, call.get("output_mask", (1, 1))))


# --- factorisations ----------------------------------------------------------------------------------------


def _each(matrix: torch.Tensor, terms: int) -> int:
    """Return `terms` times the number of matrices in a batch."""
    return math.prod(map(int, matrix.shape[:-2])) * terms


def _sides(matrix: torch.Tensor) -> tuple[int, int]:
    """Return the shorter and the longer side of a matrix."""
    rows, columns = (int(size) for size in matrix.shape[-2:])
    return min(rows, columns), max(rows, columns)


def _cube(matrix: torch.Tensor) -> int:
    return int(matrix.shape[-1]) ** 3


def _matrix(call: Call) -> torch.Tensor:
    found: torch.Tensor = call["A"] if "A" in call else call["self"] if "self" in call else call["input"]
    return found


@costs("linalg_lu", "linalg_lu_factor_ex", "_lu_with_info", "_linalg_det", "_linalg_slogdet")
def _lu(call: Call, out: torch.Tensor) -> int:
    short, long = _sides(_matrix(call))
    return _each(_matrix(call), short * short * (3 * long - short) // 6)


@costs("cholesky", "linalg_cholesky_ex", "linalg_ldl_factor_ex")
def _cholesky(call: Call, out: torch.Tensor) -> int:
    return _each(_matrix(call), _cube(_matrix(call)) // 6)


@costs("cholesky_inverse")
def _cholesky_inverse(call: Call, out: torch.Tensor) -> int:
    return _each(_matrix(call), _cube(_matrix(call)) // 3)


@costs("geqrf")
def _qr_factor(call: Call, out: torch.Tensor) -> int:
    short, long = _sides(_matrix(call))
    return _each(_matrix(call), short * short * (3 * long - short) // 3)


@costs("linalg_qr")
def _qr(call: Call, out: torch.Tensor) -> int:
    factor, (short, _) = _qr_factor(call, out), _sides(_matrix(call))
    if call["mode"] == "r":
        return factor
    rows = int(_matrix(call).shape[-2])
    return factor + _each(_matrix(call), _from_reflectors(rows, rows if call["mode"] == "complete" else short, short))


@costs("linalg_householder_product", "orgqr")
def _reflected(call: Call, out: torch.Tensor) -> int:
    rows, columns = (int(size) for size in out.shape[-2:])
    return _each(out, _from_reflectors(rows, columns, int(call["tau" if "tau" in call else "input2"].shape[-1])))


def _from_reflectors(rows: int, columns: int, count: int) -> int:
    """Return the multiplications that make the first columns of Q from `count` reflectors."""
    return 2 * rows * columns * count - (rows + columns) * count * count + 2 * count * count * count // 3


@costs("ormqr")
def _times_reflectors(call: Call, out: torch.Tensor) -> int:
    length, others = (int(out.shape[axis]) for axis in ((-2, -1) if call["left"] else (-1, -2)))
    count = int(call["input2"].shape[-1])
    return _each(out, others * count * (2 * length - count))


# --- solutions ---------------------------------------------------------------------------------------------


@costs("linalg_solve_triangular", "triangular_solve")
def _triangle(call: Call, out: torch.Tensor) -> int:
    return out.numel() * _order(call) // 2


@costs("cholesky_solve", "_cholesky_solve_helper", "linalg_lu_solve", "linalg_ldl_solve")
def _factored(call: Call, out: torch.Tensor) -> int:
    return out.numel() * _order(call)


@costs("_linalg_solve_ex")
def _solution(call: Call, out: torch.Tensor) -> int:
    return _lu(call, out) + out.numel() * _order(call)


_TRIANGLES = ("A", "input2", "LU", "LD", "self")


def _order(call: Call) -> int:
    return int(next(call[name] for name in _TRIANGLES if name in call).shape[-1])


@costs("linalg_inv_ex", "inverse")
def _inverse(call: Call, out: torch.Tensor) -> int:
    return out.numel() * int(out.shape[-1])


@costs("linalg_lstsq")
def _least_squares(call: Call, out: torch.Tensor) -> int:
    matrix = call["self"]
    short, long = _sides(matrix)
    columns = out.numel() // int(matrix.shape[-1]) if matrix.shape[-1] else 0
    return _qr_factor(call, out) + columns * (short * (2 * long - short) + short * short // 2)


# --- eigenvalues, singular values, functions of matrices ---------------------------------------------------


@costs("_linalg_eigh", "linalg_eigvalsh")
def _symmetric(call: Call, out: torch.Tensor) -> int:
    matrix = _matrix(call)
    return _symmetric_with_vectors(matrix) if call.get("compute_v") else _each(matrix, 2 * _cube(matrix) // 3)


def _symmetric_with_vectors(matrix: torch.Tensor) -> int:
    return _each(matrix, 9 * _cube(matrix) // 2)


@costs("linalg_eig")
def _general(call: Call, out: torch.Tensor) -> int:
    return _each(call["self"], 25 * _cube(call["self"]) // 2)


@costs("_linalg_eigvals", "linalg_eigvals")
def _values(call: Call, out: torch.Tensor) -> int:
    return _each(call["self"], 5 * _cube(call["self"]))


@costs("_linalg_svd", "linalg_svdvals")
def _singular(call: Call, out: torch.Tensor) -> int:
    return _singular_values(_matrix(call), vectors=bool(call.get("compute_uv")))


def _singular_values(matrix: torch.Tensor, *, vectors: bool) -> int:
    short, long = _sides(matrix)
    square, cube = long * short**2, short**3
    return _each(matrix, 3 * square + 10 * cube if vectors else square + cube)


@costs("linalg_pinv")
def _pseudo_inverse(call: Call, out: torch.Tensor) -> int:
    short, long = _sides(call["self"])
    spectrum = (
        _symmetric_with_vectors(call["self"]) if call.get("hermitian") else _singular_values(call["self"], vectors=True)
    )
    return spectrum + _each(call["self"], short * short * long)


@costs("linalg_matrix_exp")
def _exponential(call: Call, out: torch.Tensor) -> int:
    return 5 * out.numel() * int(out.shape[-1])
