"""The contracts of communities that state limits: files of TOML with their sources, written by `archcheck init`."""

from __future__ import annotations

import re
from pathlib import Path

from archcheck.foundation.annotated_values import toml
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import did_you_mean, quote

_FOLDER = Path(__file__).parent / "preset_contracts"
_MODEL = '"{model}"'
MODEL = "model.py"
"""The model of a contract for which no target is given."""


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def preset_summary(name: str) -> str:
    """Return what a preset is about: its first line."""
    return _read(name).partition("\n")[0].removeprefix("# ")


def preset_text(name: str, model: str = MODEL, *, prefix: str = "") -> str:
    """Return the contract of a preset for a model. `prefix` goes before the name of each table.

    Raises `ArchcheckError` for an unknown preset.
    """
    text = _read(name).replace(_MODEL, toml(model))
    return re.sub(r"^((?:# )?)\[subjects\.", rf"\1[{prefix}subjects.", text, flags=re.MULTILINE)


def _read(name: str) -> str:
    if name not in preset_names():
        hint = did_you_mean(name, preset_names(), f"the presets are {', '.join(preset_names())}")
        raise ArchcheckError(f"{quote(name)} is not a preset{hint}")
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
