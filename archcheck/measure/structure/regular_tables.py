"""Counts the numbers behind a regular floating-point table: one whose lines are curves that few numbers describe.

Whether NumPy or plain Python made it, such a table is an outer product or sum of lines, or repeats few lines, or its
lines are smooth (a polynomial of low degree, or the exponential of one), or its lines are sinusoids, whose frequencies
may change by a constant step or factor. Each description is checked at every number of the table, to within the
rounding of its dtype, so that no trained numbers hide between those that are checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from archcheck.measure.structure.smooth_curves import SMALL, by_pieces, by_polynomials

Worth = Callable[[torch.Tensor], int]
"""Returns how many numbers describe a part of a table."""

_ROUNDING = {torch.float32: 4, torch.float64: 64}
"""Rounding errors of its dtype that a number may be off, 1 for other dtypes: a float64 fit is rounded as often."""
_POWER = 4
"""Factor by which a power may be off more, because its exponent was rounded, too."""
_POSITION = 4
"""Rounding errors per position that a sinusoid may be off, because its position was rounded, too."""
_MOST = 1e-3
"""Share of its amplitude that a sinusoid may be off, however long it is."""
_SHORTEST = 12
"""Numbers of a line from which it may be a curve."""
_FIRST = 4
"""Lines that are tried first; they rule out most tables that are not regular."""
_BLOCK = 1 << 22
"""Numbers that are processed together."""
_SINUSOID = 5
"""Numbers of a sinusoid: frequency, amplitude, phase, offset, and where it begins."""
_STARTS = (0.0, 0.5, 1.0)
"""Positions at which a table may begin."""
_SEEN = 8
"""Lines, or numbers of each, that are tried before all."""
_ODD = 2
"""Lines of a table that may have an amplitude of their own."""
_SLOWEST = 1e-3
"""Radians of the slowest sinusoid over a line: any slower one is a parabola."""
_OFF = 0.1
"""Share of a step that a frequency may be off the straight line that is fitted to it."""
_DEEP = 3
"""Levels at which a table is split."""
_ENOUGH = 24
"""Numbers up to which no shorter description is sought."""
_RESOLVED = 1.0
"""Radians of a line from which its frequency can be determined."""


def regular_worth(values: torch.Tensor, worth: Worth, depth: int = 0) -> int | None:
    """Return how many numbers describe a table; `None` if it is not regular. `worth` counts those of its parts."""
    if not values.is_floating_point() or values.numel() < _SHORTEST:
        return None
    values = values if values.itemsize > 1 else values.float()  # torch computes nothing with eight-bit floats
    if not bool(values.isfinite().all()):
        return None
    values = values.squeeze() if values.dim() > 1 else values
    best: int | None = None
    for found in _descriptions(values, worth, depth):
        if found is not None and (best is None or found < best):
            best = found
            if best <= _ENOUGH:
                break
    return best


def _descriptions(values: torch.Tensor, worth: Worth, depth: int) -> Iterator[int | None]:
    for axis, extent in enumerate(values.shape):
        lines = values.movedim(axis, -1).reshape(-1, extent)
        if extent >= _SHORTEST:
            few = lines[:: max(1, len(lines) // _FIRST)]
            yield from (kind(lines) for kind in (_smooth, _exponential, _sinusoids) if kind(few) is not None)
        if values.dim() > 1 and depth < _DEEP:
            yield _outer(lines, worth)
            yield _repeated(lines, worth, depth)
            yield _halved(lines, worth, depth)


def _count(number: int) -> torch.Tensor:
    return torch.arange(number, device="cpu")  # the subject may have set another default device


def _rounding(lines: torch.Tensor) -> float:
    return _ROUNDING.get(lines.dtype, 1) * torch.finfo(lines.dtype).eps


def _smooth(lines: torch.Tensor) -> int | None:
    """Return the coefficients of polynomials that give each line, or the pieces of a single one."""
    find = by_pieces if len(lines) == 1 else by_polynomials
    return find(lines.double(), _rounding(lines), by_share=True)


def _exponential(lines: torch.Tensor) -> int | None:
    """Return the coefficients of polynomials whose exponentials give each line."""
    if not bool((lines > 0).all()) and not bool((lines < 0).all()):
        return None
    return by_polynomials(lines.double().abs().log(), _POWER * _rounding(lines), by_share=False)


def _outer(lines: torch.Tensor, worth: Worth) -> int | None:
    """Return the numbers of two lines whose outer product, or outer sum, is the table."""
    row, column = divmod(int(lines.abs().argmax()), lines.shape[1])
    if not _is_outer(lines[[row, *range(min(_SEEN, len(lines)))]], 0, column) or not _is_outer(lines, row, column):
        return None
    return worth(lines[row].clone()) + worth(lines[:, column].clone())


def _is_outer(lines: torch.Tensor, row: int, column: int) -> bool:
    wide = lines.double()
    pivot = wide[row, column]
    product = wide[:, column, None] * (wide[row] / pivot) if pivot else wide
    total = wide[:, column, None] + (wide[row] - pivot)
    most = wide.abs().max()
    sizes = wide.abs() * SMALL, torch.maximum(wide[:, column, None].abs(), (wide[row] - pivot).abs())
    return any(
        bool(((each - wide).abs() <= _rounding(lines) * size.clamp(max=most)).all())
        for each, size in zip((product, total), sizes, strict=True)
    )


def _repeated(lines: torch.Tensor, worth: Worth, depth: int) -> int | None:
    """Return the numbers of the few lines that a table repeats, and of the order in which it does."""
    few = lines[:, :: max(1, lines.shape[1] // _SEEN)]
    if lines.numel() > _BLOCK or 2 * len(torch.unique(few, dim=0)) > len(lines):  # sorting more is slow
        return None
    different, order = torch.unique(lines, dim=0, return_inverse=True)
    if 2 * len(different) > len(lines):
        return None
    first = _count(len(different)).fill_(len(lines)).scatter_reduce(0, order, _count(len(order)), "amin")
    ranks = first.argsort().argsort()
    inside = regular_worth(lines[first.sort().values], worth, depth + 1)
    return None if inside is None else inside + worth(ranks[order])


def _halved(lines: torch.Tensor, worth: Worth, depth: int) -> int | None:
    """Return the numbers of two halves that repeat few lines each or consist of such halves."""
    extent = lines.shape[1]
    if extent % 2 or depth >= _DEEP:
        return None
    total = 0
    for half in torch.split(lines, extent // 2, dim=1):
        inside = _repeated(half, worth, _DEEP) or _halved(half, worth, depth + 1)
        if inside is None:
            return None
        total += inside
    return total


def _sinusoids(lines: torch.Tensor) -> int | None:
    """Return the numbers of sinusoids: few if their frequencies follow from one another."""
    wide, extent = lines.double(), lines.shape[1]
    eps = torch.finfo(lines.dtype).eps
    position = min(_MOST, _POSITION * extent * (eps if lines.dtype in _ROUNDING else 1e-7))
    wide = wide / wide.abs().max().clamp(min=torch.finfo(lines.dtype).tiny)
    frequencies = _frequencies(wide)
    for begin in range(0, len(wide), max(1, _BLOCK // extent)):
        chosen = slice(begin, begin + max(1, _BLOCK // extent))
        part = wide[chosen]
        left = _left(part, frequencies[chosen].clamp(min=_SLOWEST / extent))
        swing = (part - part.mean(1, keepdim=True)).abs().amax(1)
        if bool((left > _rounding(lines) * part.abs().amax(1) + position * swing).any()):
            return None
    count = len(lines)
    groups = [[slice(None)], [slice(0, None, 2), slice(1, None, 2)], [slice(count // 2), slice(count // 2, None)]]
    totals = [_SINUSOID * count]
    for group in groups if count > _SINUSOID else ():
        parts = [_progression(wide[each], frequencies[each], _rounding(lines) + position) for each in group]
        if None not in parts:
            totals.append(sum(each for each in parts if each is not None))
    return min(totals)


def _left(lines: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Return the largest distance of each line from the nearest sinusoid of its frequency, with an offset."""
    angle = frequencies[:, None] * _count(lines.shape[1])
    left = lines - lines.mean(1, keepdim=True)
    cosine, sine = (each - each.mean(1, keepdim=True) for each in (angle.cos(), angle.sin()))
    cosine = torch.nn.functional.normalize(cosine, eps=1e-300)
    sine = torch.nn.functional.normalize(sine - (sine * cosine).sum(1, keepdim=True) * cosine, eps=1e-300)
    for direction in (cosine, sine):
        left = left - (left * direction).sum(1, keepdim=True) * direction
    return left.abs().amax(1)


def _frequencies(lines: torch.Tensor) -> torch.Tensor:
    """Return the frequency of each line in radians per position, from its values a few positions before and after."""
    extent, step = lines.shape[1], 1
    found = lines.new_zeros(len(lines))
    while step <= extent // 4:
        middle = lines[:, step:-step]
        around = (lines[:, 2 * step :] + lines[:, : -2 * step]) / 2
        middle, around = (each - each.mean(1, keepdim=True) for each in (middle, around))
        cosine = (middle * around).sum(1) / (middle**2).sum(1).clamp(min=1e-300)
        angle = torch.acos(cosine.clamp(-1, 1))
        turns = torch.stack([sign * angle + 2 * math.pi * ((found * step - sign * angle) / 2 / math.pi).round()
                             for sign in (1, -1)])  # fmt: skip
        nearest = turns.gather(0, (turns - found * step).abs().argmin(0, keepdim=True))[0]
        clear = (angle.sin() > 0.1) | (found == 0)
        found = torch.where(clear, angle if step == 1 else nearest / step, found)
        step *= 2
    return found.abs()


def _progression(lines: torch.Tensor, frequencies: torch.Tensor, off: float) -> int | None:
    """Return the numbers of sinusoids of equal amplitude and phase whose frequencies change by one step or factor."""
    extent = lines.shape[1]
    clear = (frequencies * extent > _RESOLVED) & (frequencies < math.pi - 1e-3)
    if int(clear.sum()) < 3:
        return None
    for by_factor in (True, False):
        told = frequencies.clamp(min=1e-12).log() if by_factor else frequencies
        imposed = _straight(told, clear)
        imposed = imposed.exp() if by_factor else imposed
        if not bool(imposed.isfinite().all()):
            continue
        for start in (*_STARTS, -(extent - 1) / 2):
            place = _count(extent) + start
            few = clear.nonzero()[:_SEEN, 0]
            basis = torch.stack([(imposed[few, None] * place).cos(), (imposed[few, None] * place).sin()], -1)
            own, _ = torch.linalg.solve_ex(basis.mT @ basis, basis.mT @ lines[few, :, None])
            wave, most = own[..., 0].nan_to_num().median(0).values, off * lines[few].abs().max()
            if int(((basis @ wave - lines[few]).abs().amax(1) > most).sum()) > _ODD:
                continue
            angle = imposed[:, None] * place
            left = (wave[0] * angle.cos() + wave[1] * angle.sin() - lines).abs().amax(1)
            odd = int((left > most).sum())
            if odd <= _ODD:
                return 2 * _SINUSOID + _SINUSOID * odd
    return None


def _straight(told: torch.Tensor, clear: torch.Tensor) -> torch.Tensor:
    """Return the straight line through the `clear` numbers, except for a few that lie off it."""
    index = clear.nonzero()[:, 0]
    place, told = index.double(), told[index]
    step = (told.diff() / place.diff()).median()
    off = (told - step * place - (told - step * place).median()).abs()
    inside = off <= _OFF * step.abs()
    place, told = place[inside], told[inside]
    slope = ((place - place.mean()) * (told - told.mean())).sum() / ((place - place.mean()) ** 2).sum()
    return told.mean() + slope * (_count(len(clear)) - place.mean())
