"""The options by which pytest is told to run a contract; only pytest and the standard library are imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that switch archcheck on."""
    group = parser.getgroup("archcheck", "promises of neural network architectures")
    group.addoption("--archcheck", action="store_true", help="run the rules of the archcheck contract as tests")
    group.addoption(
        "--archcheck-config",
        metavar="FILE",
        type=Path,
        help="the contract; by default the nearest archcheck.toml or pyproject.toml with [tool.archcheck]",
    )
    group.addoption(
        "--archcheck-import-timeout",
        metavar="S",
        type=_seconds,
        help="seconds of CPU time that a subject's own code may take to import, without what packages take; 10 by "
        "default",
    )
    group.addoption(
        "--archcheck-no-cache",
        action="store_true",
        help="measure anew what is known from before, and keep no answer",
    )
    group.addoption(
        "--archcheck-no-paranoid", action="store_true", help="leave out the second look at each model on real numbers"
    )
    group.addoption(
        "--archcheck-unsafe",
        action="store_true",
        help="read models out of pickles and TorchScript, which runs the code in them",
    )
    group.addoption(
        "--archcheck-sandbox",
        action="store_true",
        help="measure without a network, where nothing can be written; needs bubblewrap",
    )


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {word!r}")
    return seconds
