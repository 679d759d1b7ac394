"""The commands that serve other programs over standard input and output."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from archcheck.cli.late_imports import imported_late

_SERVERS = {
    "lsp": "serve an editor: a language server with diagnostics and hover",
    "mcp": "serve an agent: report, check, explain, diff and init as tools with typed results",
}


def add_servers(adder: Any, add: Callable[..., argparse.ArgumentParser]) -> Iterator[argparse.ArgumentParser]:
    """Add the servers by `add`, and yield the parser of each."""
    for name, text in _SERVERS.items():
        yield add(adder, name, imported_late("servers", name), f"{text}, over standard input and output")
