"""Fixes of budgets: of weights, of work, of memory, of files, and of growth."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tests.support.fix_trials import Case

TWO = "nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))"


@cache
def _program() -> bytes:
    memory = io.BytesIO()
    torch.export.save(torch.export.export(nn.Linear(3, 4), (torch.zeros(1, 3),)), memory)
    return memory.getvalue()


def exported(file: Path) -> None:
    """Write an exported program."""
    file.write_bytes(_program())


def stored(file: Path) -> None:
    """Write a file of weights."""
    save_file(nn.Linear(3, 4).state_dict(), file)


CASES = [
    Case(
        rule="max-params = 15",
        fix="remove 1 parameter, or raise max-params",
        edits={"remove 1 parameter": ("nn.Linear(3, 4)", "nn.Linear(3, 3)"), "raise max-params": ("= 15", "= 16")},
    ),
    Case(
        rule="max-trainable-params = 8",
        model=TWO,
        fix="remove 13 trainable parameters, or raise max-trainable-params",
        edits={
            "remove 13 trainable parameters": ("nn.Linear(3, 4)", "nn.Linear(3, 4).requires_grad_(False)"),
            "raise max-trainable-params": ("= 8", "= 21"),
        },
    ),
    Case(
        rule="max-bytes = 63",
        fix="remove 1 byte of parameters and buffers, or raise max-bytes",
        edits={
            "remove 1 byte of parameters and buffers": ("nn.Linear(3, 4)", "nn.Linear(3, 4, bias=False)"),
            "raise max-bytes": ("= 63", "= 64"),
        },
    ),
    Case(
        rule='max-bytes = { limit = 100_000, of = "file" }',
        fix="measure an exported program, or name the file of the weights with `weights`",
        edits={
            "measure an exported program": ('"model.py:Net"', '"program.pt2"'),
            "name the file of the weights with `weights`": ("input =", 'weights = "weights.safetensors"\ninput ='),
        },
        files={"program.pt2": exported, "weights.safetensors": stored},
        process=True,
    ),
    Case(
        rule='max-artifact-bytes = { limit = 8, files = ["model.bin"] }',
        fix="remove 2 bytes of files, or raise max-artifact-bytes",
        files={"model.bin": "0123456789"},
        edits={
            "remove 2 bytes of files": ("0123456789", "01234567"),
            "raise max-artifact-bytes": ("limit = 8", "limit = 10"),
        },
    ),
    Case(
        rule="min-sparsity = 0.5",
        model="""
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))
            self.weight.data[:3] = 0

        def forward(self, x):
            return x * self.weight
        """,
        input="[1, 8]",
        fix="prune more of them, or lower min-sparsity",
        edits={
            "prune more of them": ("[:3] = 0", "[:5] = 0"),
            "lower min-sparsity": ("= 0.5", "= 0.3"),
        },
    ),
    Case(
        rule="max-layer-share = 0.46",
        model="nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(3, 1))",
        input="[1, 4]",
        fix="make it smaller, share it out among several layers, or raise max-layer-share",
        edits={
            "make it smaller": ("nn.Linear(4, 4)", "nn.Linear(4, 4, bias=False)"),
            "share it out among several layers": ("nn.Linear(4, 4)", "nn.Linear(4, 2), nn.Linear(2, 4)"),
            "raise max-layer-share": ("= 0.46", "= 0.6"),
        },
    ),
    Case(
        rule="max-macs = 600",
        model="nn.Conv2d(1, 2, 3)",
        input="[1, 1, 8, 8]",
        fix="remove 48 multiply-accumulates, or raise max-macs",
        edits={
            "remove 48 multiply-accumulates": ("1, 2, 3", "1, 1, 3"),
            "raise max-macs": ("= 600", "= 648"),
        },
    ),
    Case(
        rule="max-activations = 60",
        model="nn.Conv2d(1, 2, 3)",
        input="[1, 1, 8, 8]",
        fix="remove 12 activations, or raise max-activations",
        edits={"remove 12 activations": ("1, 2, 3", "1, 1, 3"), "raise max-activations": ("= 60", "= 72")},
    ),
    Case(
        rule="max-training-macs = 1_200",
        model="nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 2))",
        input="[2, 8]",
        fix="freeze what need not be trained, or make the network or the batch smaller, or raise max-training-macs",
        edits={
            "freeze what need not be trained": (
                "nn.Linear(8, 16), nn.Linear(16, 16)",
                "nn.Linear(8, 16).requires_grad_(False), nn.Linear(16, 16).requires_grad_(False)",
            ),
            "make the network": ("nn.Linear(16, 16), ", ""),
            "the batch smaller": ("[2, 8]", "[1, 8]"),
            "raise max-training-macs": ("1_200", "9_000"),
        },
    ),
]
