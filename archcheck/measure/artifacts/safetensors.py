"""Read a `.safetensors` file: a header of JSON that names tensors, then their bytes, one after another.

The format, as its authors describe it: eight bytes with the length of the header, the header, and the data. The parts
of the tensors do not overlap and have no gaps. Every claim of the header is compared with the length of the file before
anything is read for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from archcheck.foundation.words import quote
from archcheck.measure.artifacts.archive import refuse
from archcheck.measure.artifacts.dtypes import installed, missing

LONGEST_HEADER = 100_000_000
"""Bytes of a header; the format allows no more."""

_DTYPE_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
DTYPES: Mapping[str, torch.dtype] = installed(_DTYPE_NAMES)

_OTHERS = {b"PK\x03\x04": "a zip archive", b"\x80": "a pickle", b"\x89HDF": "an HDF5 file", b"GGUF": "a GGUF file"}


@dataclass(frozen=True, slots=True)
class Slot:
    """The position of a tensor in a file, in bytes from its beginning."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    start: int
    size: int


class Safetensors:
    """The tensors of a file, by name."""

    def __init__(self, path: Path, shown: str) -> None:
        """Read the header. Raises `SubjectError` if the file does not follow the format."""
        self._path, self.shown = path, shown
        self._size = path.stat().st_size
        self.slots = self._slots()

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor."""
        slot = self.slots[name]
        with self._path.open("rb") as file:
            file.seek(slot.start)
            content = bytearray(file.read(slot.size))
        if len(content) != slot.size:
            self._damaged("it has become shorter while it was read")
        if not content:
            return torch.empty(slot.shape, dtype=slot.dtype)
        return torch.frombuffer(content, dtype=torch.uint8).view(slot.dtype).reshape(slot.shape)

    def _damaged(self, reason: str) -> NoReturn:
        refuse(self.shown, f"is not a valid safetensors file: {reason}", "save or download it again")

    def _slots(self) -> dict[str, Slot]:
        header, start = self._header()
        slots = {name: self._slot(name, claim, start) for name, claim in header.items() if name != "__metadata__"}
        end = start
        for name, slot in sorted(slots.items(), key=lambda item: (item[1].start, item[1].size)):
            if slot.start != end:
                said = "overlaps the one before it" if slot.start < end else f"leaves {slot.start - end:,} bytes unused"
                self._damaged(f"tensor {quote(name)} {said}")
            end = slot.start + slot.size
        if end != self._size:
            self._damaged(f"{self._size - end:,} bytes at its end belong to no tensor")
        return slots

    def _header(self) -> tuple[dict[str, Any], int]:
        with self._path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            begin = file.read(1)
            if self._size < 8 or begin != b"{" or length > min(self._size - 8, LONGEST_HEADER):
                self._damaged(self._why(length, begin))
            text = begin + file.read(length - 1)
        try:
            header = json.loads(text.decode(), object_pairs_hook=_unique)
        except UnicodeDecodeError:
            self._damaged("its header is not UTF-8")
        except (ValueError, RecursionError) as error:
            self._damaged(f"its header is not the JSON it should be: {str(error)[:200]}")
        if not isinstance(header, dict):
            self._damaged("its header is not a table")
        metadata = header.get("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            self._damaged("its `__metadata__` is not a table of texts")
        return header, 8 + length

    def _why(self, length: int, begin: bytes) -> str:
        """Return what is wrong with the first nine bytes."""
        with self._path.open("rb") as file:
            first = file.read(8)
        for magic, what in _OTHERS.items():
            if first.startswith(magic):
                return f"it is {what}"
        if self._size < 8:
            return f"it has {self._size} bytes, and the length of the header alone takes 8"
        if length > self._size - 8:
            return f"its header claims {length:,} bytes, the file has {self._size:,}"
        if length > LONGEST_HEADER:
            return f"its header claims {length:,} bytes, where {LONGEST_HEADER:,} are allowed"
        return f"its header begins with {begin!r}, not with a brace"

    def _slot(self, name: str, claim: Any, start: int) -> Slot:
        shown = f"tensor {quote(name)}"
        keys = claim.keys() if isinstance(claim, dict) else ()
        if set(keys) != {"dtype", "shape", "data_offsets"}:
            self._damaged(f"{shown} must have a dtype, a shape and data_offsets, and nothing else")
        dtype = DTYPES.get(str(claim["dtype"]))
        if dtype is None and (later := _DTYPE_NAMES.get(str(claim["dtype"]))):
            refuse(self.shown, f"holds {shown} of {missing(later)}", "install a newer torch")
        if dtype is None:
            self._damaged(f"{shown} has the dtype {quote(str(claim['dtype']))}, which is not known")
        shape, offsets = claim["shape"], claim["data_offsets"]
        if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2 and len(shape) <= 64):
            self._damaged(f"{shown} must have sizes and two offsets that are natural numbers")
        begin, end = offsets
        needed = math.prod(shape) * dtype.itemsize
        if not begin <= end <= self._size - start:
            self._damaged(f"{shown} lies at bytes {begin:,} to {end:,}, the data have {self._size - start:,}")
        if end - begin != needed:
            self._damaged(f"{shown} of shape {'x'.join(map(str, shape))} takes {needed:,} bytes, has {end - begin:,}")
        return Slot(tuple(shape), dtype, start + begin, end - begin)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a table. Raises `ValueError` for a repeated name, because readers treat it differently."""
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"the name {quote(name)} is there twice")
        table[name] = value
    return table


def names_of(slots: Mapping[str, Slot]) -> Iterator[str]:
    """Return the names in the order of the tensors in the file."""
    return iter(sorted(slots, key=lambda name: (slots[name].start, slots[name].size, name)))
