"""Saves and restores the numbers of tensors: in memory, or in a file if the copy would be as large as a network.

The file has no name and disappears with its owner. The system caches it outside of the memory of this process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.shapes.tensor import extent_of, metadata_of

_LARGE = 1 << 20
"""Least bytes of a tensor that may go to a file."""
_MOST = 64 << 20
"""Most bytes of all large tensors together that stay in memory."""
_PIECE = 4 << 20
"""Bytes that are compared at a time."""
_FEW = 256
"""Numbers at the beginning of a tensor that are compared first."""


class Values:
    """The numbers of tensors, copied together by dtype: most models have hundreds of small ones."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        groups: dict[object, list[torch.Tensor]] = {}
        with torch.no_grad():
            rows = [row_of(tensor) for tensor in tensors if _has_numbers(tensor)]
            large = _distinct(row for row in rows if row.nbytes >= _LARGE and row.device.type == "cpu")
            self._filed = _filed(large) if sum(row.nbytes for row in large) > _MOST else None
            there = set(map(_place, large)) if self._filed else set()
            for row in rows:
                if _place(row) not in there:
                    groups.setdefault((row.dtype, row.device), []).append(row)
            self._groups = [(rows, torch.cat(rows)) for rows in groups.values()]

    def restore(self) -> None:
        """Write back the numbers that have changed."""
        for rows, before in self._groups:
            if not are_equal(torch.cat(rows), before):
                for row, part in zip(rows, torch.split(before, [len(row) for row in rows]), strict=True):
                    row.copy_(part)
        if self._filed:
            self._filed.restore()


class _Filed:
    """The bytes of rows of numbers, one after the other, in a file."""

    def __init__(self, rows: Sequence[torch.Tensor]) -> None:
        self._rows = rows
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it is there as long as this is
        self._name = os.fstat(self._file.fileno())[1:3]  # its number and its disk
        for piece in self._pieces():
            left = memoryview(_bytes(piece))
            while left:
                left = left[self._file.write(left) :]

    def restore(self) -> None:
        """Write back the bytes that have changed, a piece at a time.

        Raises:
            SubjectError: the subject has closed the file.
        """
        before = torch.empty(_PIECE, dtype=torch.uint8, device="cpu")
        try:
            descriptor = self._file.fileno()
            known, place = os.fstat(descriptor)[1:3] == self._name, 0
            for piece in self._pieces() if known else ():
                same = before[: len(piece)]
                place += os.preadv(descriptor, [_bytes(same)], place)
                if not torch.equal(piece, same):
                    piece.copy_(same)
        except OSError:
            known = False
        if not known or place != sum(row.nbytes for row in self._rows):
            raise SubjectError("crash", "closed the files of the process that measures it")

    def _pieces(self) -> Iterator[torch.Tensor]:
        for row in self._rows:
            yield from torch.split(row.view(torch.uint8), _PIECE)


def _bytes(piece: torch.Tensor) -> Any:
    return piece.numpy()


def _filed(rows: Sequence[torch.Tensor]) -> _Filed | None:
    """Return rows in a file, `None` if no file can be written or torch does not show the bytes of a dtype."""
    try:
        return _Filed(rows)
    except (OSError, RuntimeError, TypeError):
        return None


def _distinct(rows: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Return rows without those at the address of another, as with tied weights."""
    return [*{_place(row): row for row in rows}.values()]


def _place(row: torch.Tensor) -> tuple[int, int]:
    return row.data_ptr(), row.nbytes


def _has_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor has plain numbers of its own; a subclass with its own dispatch may return anything."""
    plain = type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    if not plain or tensor.is_quantized or tensor.is_nested:
        return False
    return tensor.layout is torch.strided and tensor.device.type != "meta"


def row_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a view of the memory of a tensor from its first number to its last, in one row.

    It includes the numbers between those of a slice, and holds each number of an expanded tensor once.
    """
    if tensor.is_contiguous():
        return tensor.detach() if tensor.dim() == 1 else tensor.detach().view(-1)
    return tensor.detach().as_strided((extent_of(metadata_of(tensor)),), (1,))


def content_of(tensor: torch.Tensor | None) -> bytes | None:
    """Return the numbers of a tensor as bytes, `None` if it has none."""
    if tensor is None or tensor.device.type == "meta":
        return None
    try:
        return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    except RuntimeError:  # a layout without one memory
        return None


def first_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return the first numbers of a contiguous tensor, or a tensor that is not contiguous as it is."""
    in_a_row = tensor.layout is torch.strided and tensor.is_contiguous()
    return tensor.view(-1)[:_FEW] if in_a_row else tensor


def are_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one dtype have the same numbers. Floats of eight bits are compared as bytes."""
    if one.is_floating_point() and one.element_size() == 1:
        one, other = one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8)
    return torch.equal(one, other)
