"""Find the defaults of a file's command line from its calls of `add_argument`, without running the file."""

from __future__ import annotations

import argparse
import ast
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Any

import torch

from archcheck.measure.loading.import_side_effects import dotted
from archcheck.measure.loading.stubs import Stub, StubModule

_SAFE = {
    each.__name__: each
    for each in (int, float, str, bool, list, tuple, dict, set, range, min, max, len, round, abs, sum, sorted)
}

_MAKERS = (SimpleNamespace, argparse.Namespace, OrderedDict, torch.device)
SETTINGS_ENDS = ("config", "configs", "cfg", "args", "params", "hparams", "options", "parameters", "settings")
"""How the names of classes end that hold settings."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise argparse.ArgumentTypeError(message)


def defaults(trees: Iterable[ast.Module], names: Mapping[str, Any]) -> argparse.Namespace | None:
    """Return what the parser of a file returns without arguments, `None` if the file adds no argument.

    A required argument without a default is `None`. `names` are those of the module.
    """
    parser = _Parser(add_help=False, conflict_handler="resolve")
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    added = [call for call in calls if dotted(call.func).endswith(".add_argument")]
    for call in added:
        _add(parser, call, names)
    if not added:
        return None
    for call in calls:
        if dotted(call.func).endswith(".set_defaults"):
            parser.set_defaults(**_keywords(call, names))
    try:
        return parser.parse_args([])
    except (argparse.ArgumentTypeError, SystemExit):
        return argparse.Namespace(**{action.dest: action.default for action in parser._actions})


def _add(parser: argparse.ArgumentParser, call: ast.Call, names: Mapping[str, Any]) -> None:
    flags = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    settings = _keywords(call, names)
    settings.pop("required", None)
    if flags and not flags[0].startswith("-"):
        settings["nargs"] = "*" if settings.get("nargs") in ("*", "+") else "?"
    plain = {key: value for key, value in settings.items() if key in ("default", "action", "dest")}
    for given in (settings, plain):
        try:
            parser.add_argument(*flags, **given)
        except (TypeError, ValueError, argparse.ArgumentError):
            continue
        return


def _keywords(call: ast.Call, names: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for keyword in call.keywords:
        value, known = evaluate(keyword.value, names)
        if keyword.arg and known:
            found[keyword.arg] = value
    return found


def evaluate(node: ast.expr, names: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return the value of an expression of constants and `names`, and whether it is known without running the file.

    Calls of small functions of Python are known, and those that make settings of known values.
    """
    inside = list(ast.walk(node))
    plain = not any(
        isinstance(each, ast.Await | ast.NamedExpr | ast.Lambda) or _is_absent(each, names) for each in inside
    )
    if not plain or not all(_is_known(each.func, names) for each in inside if isinstance(each, ast.Call)):
        return None, False
    try:
        code = compile(ast.Expression(body=node), "<default>", "eval")
        return eval(code, {"__builtins__": {}, **_SAFE, **names}), True
    except Exception:  # a missing name, or an error of the arithmetic
        return None, False


def _is_absent(node: ast.AST, names: Mapping[str, Any]) -> bool:
    """Whether a node names a package that is not installed, which code that never runs does not need."""
    return isinstance(node, ast.Name) and type(names.get(node.id)) in (Stub, StubModule)


def _is_known(callee: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether a call only makes a value: by a function of Python, or a class of settings."""
    first, *rest = dotted(callee).split(".")
    value = names.get(first, _SAFE.get(first))
    for part in rest:
        value = getattr(value, part, None)
    if any(value is each for each in (*_SAFE.values(), *_MAKERS, math.sqrt, math.ceil, math.floor, math.log2)):
        return True
    return isinstance(value, type) and (is_dataclass(value) or value.__name__.lower().endswith(SETTINGS_ENDS))
