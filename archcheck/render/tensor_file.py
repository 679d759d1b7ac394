"""Render a file that holds tensors and no structure."""

from __future__ import annotations

from collections.abc import Iterator

from archcheck.facts.weight_files import Stored, Weights
from archcheck.foundation.words import amount, shape_text
from archcheck.render.totals import SHOWN, Line
from archcheck.render.wording import listed

TITLES = ("tensor", "shape", "dtype", "elements", "bytes")
FIGURES = ("elements", "bytes")
MOST = 500
"""Most tensors that are shown. The rest is only counted."""


def summary(weights: Weights) -> str:
    """Return `37 tensors, 13,284 elements, 53,136 bytes`."""
    return f"{amount(len(weights.tensors), 'tensors')}, {amount(weights.elements, 'elements')}, {weights.bytes:,} bytes"


def lines(weights: Weights) -> Iterator[Line]:
    """Yield the sums, and the lines about values and structure."""
    yield Line(label="tensors", text=f"{len(weights.tensors):,} ({weights.format})")
    yield Line(label="elements", text=f"{weights.elements:,}, of parameters and buffers: which is which is unknown")
    by_dtype = ", ".join(f"{dtype} {size:,}" for dtype, size in weights.bytes_by_dtype.items())
    yield Line(label="bytes", text=f"{weights.bytes:,}" + (f" ({by_dtype})" if by_dtype else ""))
    yield from _values(weights)
    for note in weights.notes:
        yield Line(label="note", text=note)
    how = f"`archcheck report model.py:Net --weights {weights.file}` judges an architecture with them"
    yield Line(label="structure", text=f"unknown; {how}")


def _values(weights: Weights) -> Iterator[Line]:
    bad = weights.not_finite
    if not bad:
        yield Line(label="values", text="all finite")
    for tensor in bad[:SHOWN]:
        text = f"{tensor.not_finite:,} of {tensor.elements:,} in {tensor.name} are infinite or no numbers"
        yield Line(label="values", text=text, alarming=True)
    if rest := bad[SHOWN:]:
        yield Line(label="values", text=f"and in {listed([each.name for each in rest], SHOWN)}", alarming=True)


def rows(weights: Weights) -> Iterator[tuple[str, ...]]:
    """Return the cells of the table of tensors."""
    yield from map(_row, weights.tensors[:MOST])
    if rest := weights.tensors[MOST:]:
        elements, size = sum(each.elements for each in rest), sum(each.bytes for each in rest)
        yield f"{len(rest):,} more", "", "", f"{elements:,}", f"{size:,}"


def _row(tensor: Stored) -> tuple[str, ...]:
    return tensor.name, shape_text(tensor.shape), tensor.dtype, f"{tensor.elements:,}", f"{tensor.bytes:,}"
