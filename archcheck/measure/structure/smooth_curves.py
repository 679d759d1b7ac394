"""Counts the numbers that describe smooth lines: polynomials of the positions, or of the logarithms of these.

Most tables that a formula of NumPy or plain Python fills are smooth, whole or in a few pieces: noise schedules,
windows, brightness curves. A fit is checked at every number. It must be as near to a number as its own rounding, or the
number counts: a small number can hide much within the rounding of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

SMALL = 16
"""How many times smaller than the largest of its line a number must be to hide more than its own rounding."""
_LEAST = 2.0**-24
_BITS = 20
"""Bits of a number."""
_DEGREES = (2, 4, 8, 16, 32)
"""How many coefficients describe a smooth line."""
_LONG = 1 << 12
"""Numbers of a line beyond which a sample is tried first."""
_BLOCK = 1 << 22
"""Numbers that are processed together."""
_FEW = 8
"""Most lines that are fitted one by one, relative to the sizes of their numbers."""
_PIECES = 4
_SHORTEST = 32
"""Fewest numbers of a piece."""


def by_pieces(line: torch.Tensor, off: float, *, by_share: bool) -> int | None:
    """Return how many numbers describe a line that is smooth except for a few bends or steps; `None` if it is not."""
    total, rest = 0, line
    for _ in range(_PIECES):
        found = by_polynomials(rest, off, by_share=by_share)
        if found is not None:
            return total + found
        fitting, failing, worth = _SHORTEST - 1, rest.shape[1], None
        while failing - fitting > 1:
            middle = (fitting + failing) // 2 if worth or fitting >= _SHORTEST else max(_SHORTEST, failing // 2)
            found = by_polynomials(rest[:, :middle], off, by_share=by_share)
            if found is None:
                failing = middle
            else:
                fitting, worth = middle, found
        if worth is None:
            return None
        total, rest = total + worth + 1, rest[:, fitting:]
        if rest.shape[1] < _SHORTEST:
            return total + rest.shape[1]
    return None


def by_polynomials(lines: torch.Tensor, off: float, *, by_share: bool) -> int | None:
    """Return how many coefficients of polynomials describe wide lines; `None` if none fit.

    They fit to within `off`, or with `by_share` to within that share of the largest number of each line.
    """
    count, extent = lines.shape
    if extent > _LONG and by_polynomials(lines[:, :: extent // _LONG + 1], off, by_share=by_share) is None:
        return None
    best: int | None = None
    for degrees in _DEGREES:
        if degrees * 4 > extent or degrees > 2 * math.sqrt(extent):
            break
        for place in _places(extent):
            basis = torch.cos(torch.arange(degrees, device="cpu") * torch.acos(place.clamp(-1, 1))[:, None])
            worth = _worth(lines, basis, off, by_share=by_share)
            if worth is not None and (best is None or worth < best):
                best = worth
        if best is not None and best <= degrees * count:
            break
    return best


def _places(extent: int) -> Iterator[torch.Tensor]:
    """Yield the positions of the numbers of a line from -1 to 1, and their logarithms from either end.

    With logarithms, roots, logarithms and reciprocals that start or end near a line are smooth, too.
    """
    yield torch.linspace(-1, 1, extent, dtype=torch.float64, device="cpu")
    power = torch.arange(extent, device="cpu").add(1).double().log() * (2 / math.log(extent)) - 1
    yield power
    yield power.flip(0)


def _worth(lines: torch.Tensor, basis: torch.Tensor, off: float, *, by_share: bool) -> int | None:
    """Return how many numbers describe lines that a basis fits; `None` if it does not fit.

    These are its coefficients, fewer for small ones that need fewer digits, and what numbers that are far smaller than
    the largest of their line may hide.
    """
    orthogonal, bits, hidden = torch.linalg.qr(basis).Q, 0.0, 0
    for part in torch.split(lines, max(1, _BLOCK // lines.shape[1])):
        coefficients = part @ orthogonal
        fitted = coefficients @ orthogonal.T
        near = _near(fitted, part, off) if by_share else float((fitted - part).abs().max()) <= off
        if not near:
            return None
        unit = off * (part.abs().amax(1, keepdim=True).clamp(min=1e-300) if by_share else 1.0)
        bits += float((1 + coefficients.abs() / math.sqrt(lines.shape[1]) / unit).log2().sum())
        more = _hidden(fitted, part, off) if by_share else 0
        if more and len(lines) <= _FEW:
            more = min(more, _hidden(_fitted_by_size(part, basis), part, off))
        hidden += more
    return math.ceil(bits / _BITS) + hidden


def _fitted_by_size(lines: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return the fit that minimises the error of each number relative to itself."""
    size = lines.abs()
    weights = 1 / size.clamp(min=1e-300).maximum(size.amax(1, keepdim=True) * _LEAST)
    own = [torch.linalg.qr(basis * weight[:, None]) for weight in weights]
    parts = [
        each.Q @ (each.Q.T @ (line * weight)) / weight for each, line, weight in zip(own, lines, weights, strict=True)
    ]
    return torch.stack(parts)


def _hidden(fitted: torch.Tensor, lines: torch.Tensor, off: float) -> int:
    """Return how many numbers can hide in numbers far smaller than the largest of their line."""
    size, most = lines.abs(), lines.abs().amax(1, keepdim=True)
    free = (fitted - lines).abs() > SMALL * off * size
    bits = -(size / most.clamp(min=1e-300)).clamp(min=_LEAST).log2() - math.log2(SMALL)
    return math.ceil(float((bits.clamp(min=0) * free).sum()) / _BITS)


def _near(first: torch.Tensor, second: torch.Tensor, off: float) -> bool:
    """Whether lines differ by at most a share of their largest number."""
    return bool(((first - second).abs() <= off * second.abs().amax(-1, keepdim=True)).all())
