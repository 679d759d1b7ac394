"""The options of the pytest plugin. Only pytest and the standard library are imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that switch archcheck on."""
    group = parser.getgroup("archcheck", "contracts of neural network architectures")
    group.addoption("--archcheck", action="store_true", help="run each rule of the archcheck contract as a test")
    group.addoption(
        "--archcheck-config",
        metavar="FILE",
        type=Path,
        help="the contract; by default the nearest archcheck.toml, or pyproject.toml with [tool.archcheck]",
    )
    group.addoption(
        "--archcheck-import-timeout",
        metavar="S",
        type=_seconds,
        help="limit for the import of a subject's own code, in seconds of CPU time without its packages; 10 by default",
    )
    group.addoption(
        "--archcheck-no-cache",
        action="store_true",
        help="ignore the cache, and do not write to it",
    )
    group.addoption(
        "--archcheck-no-paranoid", action="store_true", help="skip the second measurement of each model on real numbers"
    )
    group.addoption(
        "--archcheck-unsafe",
        action="store_true",
        help="also load models from pickles and TorchScript; this runs the code in these files",
    )
    group.addoption(
        "--archcheck-sandbox",
        action="store_true",
        help="measure without network access and without write access; needs bubblewrap",
    )


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {word!r}")
    return seconds
