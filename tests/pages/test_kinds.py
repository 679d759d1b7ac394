"""The page on kinds: each has a section, whose table is what archcheck measures."""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck import measure
from archcheck.facts.selectors import GROUPS, KINDS
from archcheck.judging.topic_pages import kind_section, text_of
from archcheck.rules.queries.effects import effective

PAGE = text_of("kinds") or ""
SECTIONS = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
ROW = re.compile(
    r"^\| `(.+?)`(?: with `weight = (.+?)`)?(?:, [^|`]+)? \| `(\[.*\]) ?(\w*)` \| (yes|no) \|$", re.MULTILINE
)


class Row(NamedTuple):
    kind: str
    code: str
    weight: str
    shape: str
    dtype: str
    counts: str


ROWS = [Row(kind, *found) for kind in SECTIONS for found in ROW.findall(kind_section(kind))]


class Spelled(nn.Module):
    """A model whose forward pass is an expression of its input `x`."""

    def __init__(self, code: str, weight: str) -> None:
        super().__init__()
        self.code = compile(code, "kinds.md", "eval")
        self.weight = nn.Parameter(eval(weight)) if weight else None

    def forward(self, x: torch.Tensor) -> Any:
        return eval(self.code, {"torch": torch, "nn": nn, "F": F}, {"x": x, "self": self})


def example(shape: str, dtype: str) -> torch.Tensor:
    sizes = tomllib.loads(f"shape = {shape}")["shape"]
    return torch.randint(0, 2, sizes) if dtype == "int64" else torch.randn(sizes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}: {row.code} {row.shape}")
def test_each_row_is_what_is_measured(row):
    is_layer = row.code.startswith("nn.")
    model = eval(row.code) if is_layer else Spelled(row.code, row.weight)
    facts = measure(model, example=example(row.shape, row.dtype))
    assert bool(effective(facts, row.kind)) == (row.counts == "yes"), [op.kind for op in facts.ops]


def test_every_kind_and_group_has_one_section():
    assert sorted(SECTIONS) == sorted({*KINDS, *GROUPS})


def test_every_kind_shows_what_counts_or_says_that_nothing_does():
    shown = {row.kind for row in ROWS if row.counts == "yes"}
    without = {kind for kind in KINDS if "No operation has this kind today" in " ".join(kind_section(kind).split())}
    assert KINDS - shown - {"unknown"} == without


def test_no_row_is_left_out():
    assert len(ROWS) == len(re.findall(r"^\| .* \| (?:yes|no) \|$", PAGE, re.MULTILINE))
