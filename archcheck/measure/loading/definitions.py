"""The definitions of a file: the statements that only define things.

Imports, functions, classes and safe assignments stay, with `if`, `try` and short loops around them. Arguments from the
command line become the defaults of their parser. All other statements are left out and remembered.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from archcheck.measure.loading.import_side_effects import dotted, is_main_guard, run_within
from archcheck.measure.loading.safe_statements import DEFAULTS, SafeStatements

_READS = ("parse_args", "parse_known_args", "parse_intermixed_args")


class Definitions:
    """Extracts the definitions from one file, or from the cells of one notebook."""

    def __init__(self, tree: ast.Module) -> None:
        self._safe = SafeStatements(tree)
        self.left: list[ast.stmt] = []
        """The innermost statements that were left out so far."""

    def of(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        """Return the definitions among statements, in order; add the rest to `left`."""
        return [kept for each in statements if (kept := self._kept(each)) is not None]

    def _kept(self, node: ast.stmt) -> ast.stmt | None:
        if is_main_guard(node):
            return None
        node = self._with_defaults(node)
        if isinstance(node, ast.If) and self._safe.is_safe(node.test):
            return self._around(node, ("body", "orelse"))
        if isinstance(node, ast.Try):
            return self._around(node, ("body", "orelse", "finalbody"))
        if self._stays(node):
            return node
        self.left.append(node)
        return None

    def _around(self, node: ast.stmt, blocks: Sequence[str]) -> ast.stmt:
        """Return a statement with only the definitions in its blocks."""
        for block in blocks:
            statements = self.of(getattr(node, block))
            needed = block == "body" and not statements
            setattr(node, block, [ast.copy_location(ast.Pass(), node)] if needed else statements)
        for handler in getattr(node, "handlers", ()):
            handler.body = self.of(handler.body) or [ast.copy_location(ast.Pass(), handler)]
        return node

    def _stays(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            return True
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete | ast.Pass | ast.Expr):
            return self._safe.is_safe(node)
        if isinstance(node, ast.For):
            plain = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.If, ast.Pass)
            return self._safe.is_safe(node) and all(
                isinstance(each, plain) for each in run_within(node) if isinstance(each, ast.stmt) and each is not node
            )
        return False

    def _with_defaults(self, node: ast.stmt) -> ast.stmt:
        """Replace a call that reads the command line, such as `parser.parse_args()`, by one that returns the defaults.

        A function that returns the result of such a call is replaced, too.
        """
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            known = dotted(node.value.func).endswith("parse_known_args")
            if _reads(node.value.func) or self._returns_arguments(node.value.func):
                call: ast.expr = ast.Call(func=ast.Name(id=DEFAULTS, ctx=ast.Load()), args=[], keywords=[])
                node.value = (
                    ast.Tuple(elts=[call, ast.List(elts=[], ctx=ast.Load())], ctx=ast.Load()) if known else call
                )
                ast.fix_missing_locations(ast.copy_location(node.value, node))
        return node

    def _returns_arguments(self, callee: ast.expr) -> bool:
        function = self._safe.functions.get(dotted(callee))
        if function is None:
            return False
        inside = list(ast.walk(function))
        returned = [each.value for each in inside if isinstance(each, ast.Return) and each.value is not None]
        reads = [each for each in inside if isinstance(each, ast.Assign) and _is_read(each.value)]
        names = {dotted(target) for each in reads for target in each.targets}
        return bool(returned) and all(_is_read(value) or dotted(value) in names for value in returned)


def _reads(callee: ast.expr) -> bool:
    return dotted(callee).rpartition(".")[2] in _READS


def _is_read(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and _reads(value.func)


def names_set_by(statement: ast.stmt) -> list[str]:
    """Return the names that a statement sets."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [each.asname or each.name.partition(".")[0] for each in statement.names]
    return [each.id for each in run_within(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
