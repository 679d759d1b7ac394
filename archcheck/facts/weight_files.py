"""Files that hold only tensors, as a part of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from archcheck.facts.records import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor in a file, and how many of its numbers are infinite or none."""

    name: str
    shape: Shape
    dtype: str
    bytes: int
    not_finite: int = 0

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The tensors of a file that holds only tensors, in its order. The structure of the model is unknown.

    `format` is `safetensors` or `pickle`. `notes` are for the reader of the report.
    """

    file: str
    format: str
    tensors: tuple[Stored, ...]
    bytes: int
    bytes_by_dtype: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        """How many numbers there are, those of parameters and of buffers."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def not_finite(self) -> tuple[Stored, ...]:
        """The tensors with numbers that are infinite or none."""
        return tuple(tensor for tensor in self.tensors if tensor.not_finite)
