"""Tell which of a file's root models is the main one, and which are helpers, such as a loss or a teacher."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from types import ModuleType

from archcheck.measure.loading.import_side_effects import is_main_guard
from archcheck.measure.loading.model_discovery import composition_of, tree_of

_HELPERS = ("loss", "criterion", "metric")
"""Words in the names of modules that are no networks."""
_MODELS = ("model", "net", "network")
"""What the main one of several models is called."""


def main_model(module: ModuleType, found: Sequence[str]) -> str:
    """Return the main model among the root models of a module.

    This is the one that the program of the file builds, under `__main__` or at its end. If the program builds none of
    them, or several, this is the one with the most of the file's definitions as its parts; among equals, the one that
    is called `model` or `net`, else the last. A loss is a helper.
    """
    reached = composition_of(module).reached
    networks = [name for name in found if not _is_helper(name)] or found
    built = built_by_program(module, networks) or networks

    def weight(place: int, name: str) -> tuple[int, bool, int]:
        return len(reached.get(name, ())), name.lower() in _MODELS, place

    return max(enumerate(built), key=lambda each: weight(*each))[1]


def _is_helper(name: str) -> bool:
    """Whether a name is that of a loss: `DiceLoss`, `loss_net`."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+", name)
    return any(word.lower() in _HELPERS for word in words) or name.lower().endswith(_HELPERS)


def built_by_program(module: ModuleType, found: Iterable[str]) -> list[str]:
    """Return the models that the program of a file names, itself or through functions and classes that it uses."""
    tree, composition = tree_of(module), composition_of(module)
    program = [node for node in tree.body if is_main_guard(node)] or [node for node in tree.body if _runs(node)]
    named = {name for node in program for name in composition.named_in(node)}
    named |= {each for name in named for each in composition.reached.get(name, ())}
    return [name for name in found if name in named]


def _runs(node: ast.stmt) -> bool:
    """Whether a statement is a part of a program, and no definition."""
    return isinstance(node, ast.Expr | ast.For | ast.While | ast.With)
