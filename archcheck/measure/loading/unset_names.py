"""Tell where a file sets a name that was missing, and why the line was not run: it is under `__main__`, for example."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from archcheck.measure.loading.definitions import names_set_by
from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.import_side_effects import Function, is_main_guard
from archcheck.measure.subject.source_text import place

_PASS = "or pass it to the constructor"


def unset_name(error: BaseException | None) -> str | None:
    """Return why a name is missing that caused an error or one of its causes; `None` if no missing name is known."""
    while error is not None:
        if isinstance(error, NameError) and not isinstance(error, UnboundLocalError) and error.name:
            found = next((at for run in RUNS.values() if (at := run.set_at(error.name))), None)
            if found:
                advice = "" if "which failed" in found else f"; give it a plain value, {_PASS}"
                return f"`{error.name}` is set at {found}{advice}"
            if found := next(_elsewhere(error.name), None):
                return found
        error = error.__cause__ or error.__context__
    return None


def _elsewhere(name: str) -> Iterator[str]:
    """Yield where the files set a name that only their programs need: under `__main__`, or in a function."""
    trees = [each for run in RUNS.values() for each in zip(run.read_files, run.trees, strict=True)]
    for file, tree in trees:
        for node in (each for guard in tree.body if is_main_guard(guard) for each in _setting(guard, name)):
            imports = isinstance(node, ast.Import | ast.ImportFrom)
            what = "imported" if imports else "set"
            advice = "import it at the top of the file" if imports else f"set it above the model, {_PASS}"
            yield f"`{name}` is {what} at {place(file, node.lineno)} under `__main__`, which was not run; {advice}"
    for file, tree in trees:
        for function in (each for each in tree.body if isinstance(each, Function)):
            for node in _setting(function, name):
                where = f"`{name}` is set at {place(file, node.lineno)}"
                if any(isinstance(each, ast.Global) and name in each.names for each in ast.walk(function)):
                    yield f"{where} by `{function.name}`, which was not run; set it at the top of the file, {_PASS}"
                yield f"{where} only inside of `{function.name}`; set it above the model, {_PASS}"


def _setting(code: ast.AST, name: str) -> Iterator[ast.stmt]:
    """Yield the innermost statements within a piece of code that set a name, the first one first."""
    for node in ast.iter_child_nodes(code):
        inner = list(_setting(node, name)) if not isinstance(node, ast.ClassDef | Function) else []
        if inner:
            yield from inner
        elif isinstance(node, ast.stmt) and name in names_set_by(node):
            yield node
