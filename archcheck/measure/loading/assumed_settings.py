"""Settings that no file states: an object that answers for `config.hidden_size` or `cfg["width"]` with usual values."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from archcheck.measure.loading.import_side_effects import dotted
from archcheck.measure.loading.usual_arguments import Input, assumed

_SECTIONS = frozenset({"model", "network", "arch", "architecture", "encoder", "decoder", "net", "generator"})
"""Names of settings that usually are a group of others."""


class AssumedSettings:
    """Settings with usual values. The values that code has read are remembered."""

    def __init__(self, given: Input | None, name: str) -> None:
        self.__dict__.update(_given=given, _name=name, _values={})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        values = self.__dict__["_values"]
        if name not in values:
            found = assumed(name, self.__dict__["_given"])
            whole = f"{self.__dict__['_name']}.{name}"
            if found is None and name not in _SECTIONS:
                raise AttributeError(f"no file states `{whole}`, and it has no usual value")
            values[name] = AssumedSettings(self.__dict__["_given"], whole) if found is None else found.value
        return values[name]

    def __repr__(self) -> str:
        return "settings with usual values"

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["_values"][name] = value

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(str(error)) from None

    __setitem__ = __setattr__

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.__dict__["_values"] or assumed(name, None) is not None)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value of the settings as a dict does: the code's own default wins."""
        return self.__dict__["_values"].get(name, default) if default is not None or name not in self else self[name]

    def read(self) -> Iterator[tuple[str, Any]]:
        """Yield the names that were read with their values, those of a group behind its name."""
        for name, value in self.__dict__["_values"].items():
            if isinstance(value, AssumedSettings):
                yield from ((f"{name}.{inner}", each) for inner, each in value.read())
            else:
                yield name, value


def read_all(settings: AssumedSettings, trees: Iterable[ast.Module], names: frozenset[str]) -> None:
    """Read everything that the code reads from settings of these names, so that a later pass reads nothing new."""
    for node in (each for tree in trees for each in ast.walk(tree)):
        if isinstance(node, ast.Attribute):
            holder, name = node.value, node.attr
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            holder, name = node.value, str(node.slice.value)
        else:
            continue
        if dotted(holder).rpartition(".")[2] in names and name in settings:
            settings[name]
