"""IPython's extension: `%load_ext archcheck`, then `%%archcheck` above a cell that defines a model."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from archcheck.foundation.errors import ArchcheckError, described
from archcheck.foundation.notebook_cells import cells_run, keep_parts
from archcheck.foundation.words import listed

Judge = Callable[..., Any]
"""`measure` or `check` of the Python interface."""


def load(shell: Any, measure: Judge, check: Judge) -> None:
    """Register the cell magic `%%archcheck` with a shell of IPython.

    `measure` and `check` are the functions of the Python interface, which is a face above this room.
    """

    def archcheck(line: str, cell: str) -> Any:
        """Run the cell, measure the model that it defines, and judge it by the arguments of `archcheck.check`.

        `%%archcheck example=torch.rand(1, 1, 28, 28), rules={"max-params": "20k"}`; without rules or a contract,
        the model is measured alone. The model is the last instance that the cell binds, or else the last class.
        """
        options = _arguments(line, shell)
        # A comment in the place of the line of the magic, so that the lines are those of the cell.
        before = cells_run()
        if not shell.run_cell(f"# %%archcheck\n{cell}").success:
            return None
        keep_parts(before)
        try:
            model = _model(shell, cell)
            return (check if {"rules", "contract"} & options.keys() else measure)(model, **options)
        except (ArchcheckError, TypeError) as error:
            raise _usage_error(str(error)) from None

    shell.register_magic_function(archcheck, "cell", "archcheck")


def _arguments(line: str, shell: Any) -> dict[str, Any]:
    try:
        return dict(eval(f"dict({line})", shell.user_ns))
    except Exception as error:
        raise _usage_error(
            f"`%%archcheck {line}` is not understood: {described(error)}; write arguments of `archcheck.check`, "
            'such as rules={"max-params": "20k"}'
        ) from None


def _model(shell: Any, cell: str) -> Any:
    """Return the model that a cell defines. Raises `ArchcheckError` when it defines none that can be built."""
    torch = sys.modules.get("torch")
    names = list(dict.fromkeys(_bound(ast.parse(shell.transform_cell(cell))))) if torch is not None else []
    values = [shell.user_ns[name] for name in reversed(names) if name in shell.user_ns]
    module = torch.nn.Module if torch is not None else ()
    for value in values:
        if isinstance(value, module):
            return value
    classes = [value for value in values if isinstance(value, type) and torch and issubclass(value, module)]
    if not classes:
        raise ArchcheckError("the cell defines no torch.nn.Module; bind a model to a name, such as `net = Net()`")
    chosen = classes[0]
    if needed := _needed(chosen):
        raise ArchcheckError(
            f"`{chosen.__name__}` needs {listed(needed)}; bind a model, as in `net = {chosen.__name__}(…)`"
        )
    return chosen()


def _needed(cls: type) -> list[str]:
    """Return the arguments without which a class cannot be called."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(cls).parameters.values()
    return [each.name for each in parameters if each.default is each.empty and each.kind in kinds]


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names that the statements of a cell bind, in their order; a name that is bound again comes again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name


def _usage_error(message: str) -> Exception:
    """Return the error that IPython shows as one line."""
    from IPython.core.error import UsageError

    return UsageError(f"archcheck: {message}")
