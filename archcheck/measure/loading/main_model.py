"""Tell which of a file's root models is the main one, and which are helpers, such as a loss or a teacher."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from types import ModuleType

from archcheck.measure.loading.import_side_effects import is_main_guard
from archcheck.measure.loading.model_discovery import composition_of, tree_of

_HELPERS = ("loss", "criterion", "metric")
"""How the names of modules end that are no networks."""


def main_model(module: ModuleType, found: Sequence[str]) -> str:
    """Return the main model among the root models of a module.

    This is the one that the program of the file builds, under `__main__` or at its end. If the program builds none of
    them, or several, this is the one with the most of the file's definitions as its parts; among equals, the last. A
    loss is a helper.
    """
    reached = composition_of(module).reached
    networks = [name for name in found if not name.lower().endswith(_HELPERS)] or found
    built = built_by_program(module, networks) or networks
    return max(enumerate(built), key=lambda each: (len(reached.get(each[1], ())), each[0]))[1]


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
