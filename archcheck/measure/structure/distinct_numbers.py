"""Counts how many numbers describe a tensor: its elements, or fewer where they follow from one another.

Trained and drawn numbers cannot be compressed; tables that a formula fills can: masks, positions, indices, windows,
sinusoids. The shortest of several descriptions decides: the bytes as they are, the differences along each axis, the
differences of those, an index into the few values that occur, each compressed by DEFLATE (RFC 1951) or LZMA, and what
`regular_tables` finds in tables whose lines are curves.
"""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from archcheck.facts.records import NUMBER_BYTES as BYTES
from archcheck.measure.passes.saved_values import are_equal
from archcheck.measure.structure.regular_tables import regular_worth

TRIVIAL = frozenset({0, 1, -1, 2, 0.5})
"""Numbers that count as not chosen."""
_FEW = 16
"""Elements up to which a description costs more than it saves: the different numbers count."""
_LIST = 256
"""Elements up to which a plain list of them may be the shortest description."""
_DIGITS = 9
"""Digits that a float32 has at most."""
_SHORT = 4
"""Numbers up to which no shorter description is sought."""
_SAMPLE = 1 << 14
"""Elements of a large tensor that are described first."""
_BLOCK = 1 << 23
"""Elements that are described together."""
_PALETTE = 256
"""Different values up to which an index into them may be shorter."""
_LONG = 64
"""Compressed bytes from which LZMA may be shorter than DEFLATE."""
_HEADER = 8
"""Bytes that DEFLATE takes for any data."""
_REGULAR = 32
"""Elements per number beyond which a tensor is a table; binary choices, one by one, stay below."""
_TABLE = 64
"""Numbers that a compressor needs for a table of few rules, such as the mask of shifted windows."""


class Size(NamedTuple):
    """How many numbers describe a tensor, at most its elements, and in how many bytes: wide ones may hold several."""

    numbers: int
    bytes: int


def numbers_in(tensor: torch.Tensor) -> int:
    """Return how many numbers describe a tensor of any dtype and shape; all elements if they cannot be read."""
    return size_of(tensor).numbers


def size_of(tensor: torch.Tensor) -> Size:
    """Return the size of the shortest description of a tensor; that of all elements if they cannot be read."""
    count = tensor.numel()
    values = plain_values(tensor)
    if values is None:
        return Size(count, count * tensor.element_size())
    sizes = [size_of(edge) for edge in _edges(values)]
    moved = Size(sum(size.numbers for size in sizes), sum(size.bytes for size in sizes))
    if sizes and moved.numbers <= _SHORT and count > _SAMPLE:
        return moved
    size = _listed(values) if count <= _FEW else _compact(values)
    size = min(size, moved) if sizes else size
    if size.numbers > _SHORT and (regular := regular_worth(values, numbers_in)) is not None:
        return min(size, Size(regular, regular * BYTES))
    return size


def _edges(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the first row and column of a tensor whose rows are shifted by one each, as masks and distances are."""
    values = values.squeeze()
    if values.dim() < 2 or min(values.shape[-2:]) < _SHORT:
        return ()
    if not are_equal(values[..., 1:, 1:], values[..., :-1, :-1]):
        return ()
    return values[..., 0, :], values[..., 1:, 0]


def _listed(values: torch.Tensor) -> Size:
    different = set(values.reshape(-1).tolist()) - TRIVIAL
    return Size(len(different), sum(map(width_of, different)))


def _compact(values: torch.Tensor) -> Size:
    count, worth = values.numel(), _worth_of_many(values)
    if count <= _LIST:
        worth = min(worth, math.ceil(sum(map(width_of, values.reshape(-1).tolist())) / BYTES))
    return Size(min(count, worth), worth * BYTES)


def width_of(number: complex) -> int:
    """Return the bytes of a Python number: those of a float32 if it is one or a short decimal, else its own."""
    if isinstance(number, complex):
        return sum(width_of(part) for part in (number.real, number.imag) if part) or BYTES
    if isinstance(number, int):
        return max(BYTES, math.ceil(number.bit_length() / 8))
    if number != number or number == float(f"{number:.{_DIGITS}g}"):
        return BYTES
    return BYTES if number == torch.tensor(number, dtype=torch.float32, device="cpu").item() else 2 * BYTES


def _worth_of_many(values: torch.Tensor) -> int:
    count = values.numel()
    sample = values.reshape(-1)[:_SAMPLE]
    if count > _SAMPLE and (worth := _worth(sample)) > len(sample) // 4:
        return math.ceil(count * worth / len(sample))  # trained numbers do not compress in any part
    values = values.squeeze()
    rows = max(1, _BLOCK * len(values) // count) if values.dim() else 1  # whole rows, which may be equal
    worth = sum([_worth(block) for block in (torch.split(values, rows) if count > _BLOCK else [values])])
    return max(0, worth - _TABLE) if worth * _REGULAR < count else worth


def _worth(values: torch.Tensor) -> int:
    shortest = min(map(_compressed, _descriptions(values)))
    return max(0, math.ceil((shortest - _HEADER) / BYTES))


def sequence_worth(items: Sequence[int]) -> int:
    """Return how many numbers describe a sequence of small integers, such as which constant each operation uses."""
    if len(items) <= _FEW:
        return 0
    return _worth(torch.tensor(items, dtype=torch.int32, device="cpu"))


def plain_values(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return plain numbers on the CPU; `None` if they cannot be read."""
    if tensor.device.type == "meta" or not tensor.numel():
        return None
    try:
        with torch.no_grad(), torch.inference_mode(False):
            plain = tensor.detach()
            if plain.layout is not torch.strided:
                plain = plain.to_dense()
            if plain.is_quantized:
                plain = plain.int_repr()
            plain = plain.cpu().contiguous().clone()
            plain = torch.view_as_real(plain.resolve_conj()) if plain.is_complex() else plain
            return plain.float() if plain.dtype == torch.float64 and _is_single(plain) else plain
    except (RuntimeError, NotImplementedError):  # a layout without one storage, or a class that overrides torch
        return None


def _is_single(values: torch.Tensor) -> bool:
    """Whether every float64 is exactly a float32."""
    return torch.equal(values.float().double().nan_to_num(), values.nan_to_num())


def _descriptions(values: torch.Tensor) -> Iterator[bytes]:
    yield _bytes(values)
    whole, beside = _as_integers(values), b""
    palette, index = torch.unique(whole, return_inverse=True)
    if len(palette) <= min(_PALETTE, values.numel() // 2):
        whole, beside = index, _bytes(_steps(palette, 0))
        yield beside + _bytes(_narrow(index))
    axes = [axis for axis, extent in enumerate(values.shape) if extent > 2]
    for axis in axes:
        once = _steps(whole, axis)
        yield beside + _bytes(_narrow(once))
        for other in axes:
            if other >= axis:
                yield beside + _bytes(_narrow(_steps(once, other)))


def _steps(values: torch.Tensor, axis: int) -> torch.Tensor:
    return values.diff(dim=axis, prepend=torch.zeros_like(values.narrow(axis, 0, 1)))


def _as_integers(values: torch.Tensor) -> torch.Tensor:
    """Return integers whose differences are regular if those of the numbers are."""
    if not values.is_floating_point():
        return values.long()
    wide = values.double()
    steps = torch.diff(wide.reshape(-1).sort().values)
    steps = steps[steps > 0]
    step = float(steps.min()) if len(steps) else 1.0
    if step and bool(wide.isfinite().all()):
        grid = wide / step
        if float(grid.abs().max()) < 2**31 and float((grid - grid.round()).abs().max()) < 1e-3:
            return grid.round().long()  # on a grid: positions, anchors, quantised numbers
    raw = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(values.element_size(), torch.uint8)
    return values.view(raw).long()


def _narrow(index: torch.Tensor) -> torch.Tensor:
    largest = int(index.abs().max()) if index.numel() else 0
    return index.to(torch.int8 if largest < 2**7 else torch.int16 if largest < 2**15 else torch.int64)


def _bytes(values: torch.Tensor) -> bytes:
    """Return the bytes of numbers, grouped by their place in a number: this compresses better."""
    rows: torch.Tensor = values.contiguous().reshape(-1, 1).view(torch.uint8)
    return bytes(rows.t().contiguous().numpy().tobytes())


def _compressed(data: bytes) -> int:
    size = len(zlib.compress(data, 6))
    if _LONG < size < len(data) // 16:  # regular over longer distances than DEFLATE looks back
        return min(size, len(lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 1}])))
    return size
