"""Tell which files describe a network for a library, such as the `config.json` of a published checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archcheck.foundation.whole_files import read_bytes

CONFIGURATION = "config.json"
"""The name under which a checkpoint folder holds its configuration."""
PIPELINE, ADAPTER = "model_index.json", "adapter_config.json"
"""The names of files that describe several networks, or only the changes to one."""
_LARGEST = 16 << 20
"""Bytes of a configuration at most. The longest ones list the names of some ten thousand classes."""
_SIGNS = {
    "_class_name": "diffusers",
    "architectures": "transformers",
    "model_type": "transformers",
    "architecture": "timm",
}
"""Keys of a configuration -> the library that writes them."""


def library_of(table: Any) -> str | None:
    """Return the library that wrote a configuration, `None` if its keys tell none."""
    found = (library for key, library in _SIGNS.items() if isinstance(table, dict) and key in table)
    return next(found, None)


def configuration_file(path: Path) -> Path | None:
    """Return the file that describes the network of a checkpoint folder, or `path` if it is such a file itself.

    Return `None` for any other file or folder, and for a saved report.
    """
    if path.is_dir():
        names = {each.name for each in path.iterdir()}  # listing tells the cache of answers that it depends on this
        return next((path / name for name in (CONFIGURATION, PIPELINE, ADAPTER) if name in names), None)
    if path.suffix != ".json" or not path.is_file():
        return None
    if path.name in (CONFIGURATION, PIPELINE, ADAPTER):
        return None if "reports" in (_table(path) or {}) else path
    return path if library_of(_table(path)) else None


def read_configuration(path: Path) -> dict[str, Any]:
    """Return the table in a configuration. Numbers may be infinite, as in the limits of some networks.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or holds no table of JSON. The message continues "it is ...".
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"larger than the {_LARGEST:,} bytes that a configuration may have")
    try:
        table = json.loads(read_bytes(path).decode("utf-8-sig"), object_hook=_with_floats)
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at line {error.lineno}, column {error.colno} ({error.msg.lower()})") from None
    except TypeError:
        raise ValueError("no configuration: its `__float__` is no number") from None
    except RecursionError:
        raise ValueError("nested too deeply to be read") from None
    if not isinstance(table, dict):
        raise ValueError(f"a {type(table).__name__} of JSON, not a table")
    return table


def _with_floats(table: dict[str, Any]) -> Any:
    """Return the number that transformers writes as `{"__float__": "Infinity"}`, or the table as it is."""
    return float(table["__float__"]) if table.keys() == {"__float__"} else table


def _table(path: Path) -> dict[str, Any] | None:
    try:
        return read_configuration(path)
    except (OSError, ValueError):
        return None
