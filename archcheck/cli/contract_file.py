"""Find the contract that a command uses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archcheck.foundation.errors import ArchcheckError

if TYPE_CHECKING:
    from archcheck.contract import Contract
    from archcheck.rules.base import Rule


def contract_of(options: Namespace) -> Contract:
    """Return the contract that `--config` names or that is found from here."""
    from archcheck.contract import discover, load

    file = options.config or discover()
    if file is None:
        raise ArchcheckError(
            f"no contract in {Path.cwd()} or above; `archcheck init FILE` prints a first one, to be saved as "
            "archcheck.toml or in pyproject.toml; --config names a file elsewhere"
        )
    return load(file)


def known_rules_of(options: Namespace) -> tuple[Mapping[str, type[Rule]], Sequence[str]]:
    """Return the rules that the contract may state, and the problems with its plugins.

    Other mistakes in the contract are ignored here. Without a contract, these are the built-in and the installed rules.
    """
    from archcheck.contract import discover, known_rules

    return known_rules(options.config or discover())
