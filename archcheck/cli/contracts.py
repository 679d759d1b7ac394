"""The contract that a command works on."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from archcheck.errors import ArchcheckError

if TYPE_CHECKING:
    from archcheck.contract import Contract


def contract_of(options: Namespace) -> Contract:
    """Return the contract that `--config` names or that is found from here."""
    from archcheck.contract import discover, load

    file = options.config or discover()
    if file is None:
        raise ArchcheckError(
            f"no contract in {Path.cwd()} or above; state one in pyproject.toml under "
            "[tool.archcheck.subjects.NAME], or name a file with --config"
        )
    return load(file)
