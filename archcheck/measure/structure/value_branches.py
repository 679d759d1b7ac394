"""Finds the lines where values decide what runs, and which way each pass went there.

Such a line is one on which code reads a number. If no read was seen, as with Python's own random numbers or a list made
of a tensor, it is the condition around what ran in some passes only, or an earlier one that leaves the function.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from archcheck.facts.records import Choice, Op
from archcheck.foundation.source_place import Where
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.value_dependence import reads
from archcheck.measure.subject.source_places import is_outside_torch, relative
from archcheck.measure.subject.source_text import parse

_SHOWN = 4
"""Most layers that are named for one line."""
_LONGEST = 80
"""Characters of a statement that are shown."""
_CHOOSING = (ast.IfExp, ast.BoolOp, ast.comprehension)
"""Parts of a simple statement that choose which of its parts run."""
_LEAVING = (ast.Return, ast.Break, ast.Continue, ast.Raise)


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement: its text, the function around it, its line, and whether it chooses what runs."""

    code: str
    function: str
    line: int
    chooses: bool


Value = bool | int | float | str
Decision = tuple[Where, _Statement, str, str]
"""A place, its statement, the layer that runs it, and the outcome."""


def choices(
    modes: Sequence[tuple[str, Sequence[Trace], Sequence[Op]]], changed: Collection[int], root: str, *, everything: bool
) -> tuple[Choice, ...]:
    """Return the lines that decide what runs. A mode has a name, its passes, and the merged operations of these.

    `changed` are the indices of the inputs that got other numbers; `everything` asks for all lines that read.
    """
    found: dict[Where, tuple[_Statement, str, list[str]]] = {}
    for mode, traces, ops in modes:
        if len(traces) < 2:
            continue
        for where, statement, layer, outcome in _decisions(traces, ops, changed, root, everything=everything):
            found.setdefault(where, (statement, layer, []))[2].append(f"{mode}: {outcome}")
    return tuple(
        Choice(
            code=statement.code,
            function=statement.function,
            layer=layer,
            where=relative(where, root) or where,
            outcome="; ".join(outcomes),
        )
        for where, (statement, layer, outcomes) in found.items()
    )


def _decisions(
    traces: Sequence[Trace], ops: Sequence[Op], changed: Collection[int], root: str, *, everything: bool
) -> list[Decision]:
    """Return the lines on which numbers are read.

    Those of conditions are listed. If they explain no difference, the conditions around it are, or else every read.
    """
    seen: dict[Where, tuple[_Statement, str, list[list[Value]]]] = {}
    for number, trace in enumerate(traces):
        for read in reads(trace, changed):
            statement = _statement_at(read.where.file, read.where.line) if read.where else None
            if read.where is None or statement is None:
                continue
            where = Where(file=read.where.file, line=statement.line)
            seen.setdefault(where, (statement, read.layer, [[] for _ in traces]))[2][number].append(read.value)
    choosing = {where: told for where, told in seen.items() if told[0].chooses}
    explained = not any(op.runs for op in ops) or any(_vary(values) for _, _, values in choosing.values())
    around = [] if explained else _around(traces, ops, root)
    shown = choosing if (explained or around) and not everything else seen
    return [*around, *((where, one, layer, _outcome(values)) for where, (one, layer, values) in shown.items())]


def _vary(values: Sequence[Sequence[Value]]) -> bool:
    return any(list(each) != list(values[0]) for each in values)


def _outcome(values: Sequence[Sequence[Value]]) -> str:
    count, flat = len(values), [value for each in values for value in each]
    if any(isinstance(value, str) for value in flat):
        different = len({tuple(each) for each in values})
        return f"{different} different in {count} passes" if different > 1 else f"the same in {count} passes"
    if all(isinstance(value, bool) for value in flat):
        if all(len(each) <= 1 for each in values):
            return f"true in {sum(map(any, values))} of {count} passes"
        return f"true {sum(map(bool, flat)):,} of {len(flat):,} times in {count} passes"
    numbers = [value for value in flat if not isinstance(value, str)]
    low, high = min(numbers), max(numbers)
    span = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return f"{span} in {count} passes"


def _around(traces: Sequence[Trace], ops: Sequence[Op], root: str) -> list[Decision]:
    """Return the conditions around, or before, what some passes ran only."""
    lines = {path: visit.where for trace in traces for path, visit in trace.visits.items() if visit.where}
    found: dict[Where, tuple[_Statement, str, dict[str, int]]] = {}
    for op in ops:
        if not op.runs or len(op.runs) == len(traces):
            continue
        for layer, where in _lines_of(op, lines, root):
            line = _condition_of(where.file, where.line) if is_outside_torch(where.file) else None
            statement = None if line is None else _statement_at(where.file, line)
            if statement is not None:
                place = Where(file=where.file, line=statement.line)
                ran = found.setdefault(place, (statement, layer, {}))[2]
                name = op.layer if op.layer != layer else op.op
                ran[name] = max(ran.get(name, 0), len(op.runs))
                break
    return [(place, one, layer, _shares(ran, lines, len(traces))) for place, (one, layer, ran) in found.items()]


def _shares(ran: Mapping[str, int], layers: Collection[str], count: int) -> str:
    """Return in how many passes layers ran, or operations where there are no layers."""
    named = {name: times for name, times in ran.items() if name in layers} or ran
    shown = ", ".join(f"`{name}` in {times}" for name, times in sorted(named.items())[:_SHOWN])
    more = f" and {len(named) - _SHOWN} more in others" if len(named) > _SHOWN else ""
    return f"{shown}{more} of {count} passes"


def _lines_of(op: Op, lines: Mapping[str, Where], root: str) -> Iterator[tuple[str, Where]]:
    """Yield the line of an operation and the lines that called the layers around it, each with its layer."""
    place = None if op.where is None else Where(file=str(Path(root, op.where.file)), line=op.where.line)
    if place is not None and lines.get(op.layer) != place:
        yield op.layer, place
    path = op.layer
    while path:
        caller = path.rpartition(".")[0]
        while caller and caller not in lines:
            caller = caller.rpartition(".")[0]
        if path in lines:
            yield caller, lines[path]
        path = caller


@cache
def _statement_at(file: str, line: int) -> _Statement | None:
    """Return the innermost statement of a line of the subject, `None` for an assertion or if there is none."""
    found: _Statement | None = None
    for node, function in _statements(file):
        if not node.lineno <= line <= (node.end_lineno or node.lineno):
            continue
        condition = _condition(node, line)
        if condition is not None:
            found = _Statement(_short(condition), function, node.lineno, True)
        elif isinstance(node, ast.Assert):
            found = None
        elif not hasattr(node, "body"):
            chooses = any(isinstance(each, _CHOOSING) for each in ast.walk(node))
            found = _Statement(_short(ast.unparse(node)), function, line, chooses)
    return found


def _condition(node: ast.stmt, line: int) -> str | None:
    """Return the head of a compound statement if a line is within its condition, else `None`."""
    if isinstance(node, ast.If | ast.While) and _covers(node.test, line):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    if isinstance(node, ast.For) and _covers(node.iter, line):
        return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
    if isinstance(node, ast.Match) and _covers(node.subject, line):
        return f"match {ast.unparse(node.subject)}"
    return None


def _covers(node: ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


@cache
def _statements(file: str) -> tuple[tuple[ast.stmt, str], ...]:
    """Return the statements of a file with the function around each, the outer ones first."""
    tree = parse(file)
    found: list[tuple[ast.stmt, str]] = []
    pending: list[tuple[ast.AST, str]] = [(tree, "")] if tree is not None else []
    while pending:
        node, function = pending.pop(0)
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            if isinstance(child, ast.stmt):
                found.append((child, function))
            pending.append((child, inner))
    return tuple(found)


@cache
def _condition_of(file: str, line: int) -> int | None:
    """Return the line of the condition that a line depends on: the innermost around it, or an early exit before it."""
    best: ast.stmt | None = None
    for node, _ in _statements(file):
        around = node.lineno <= line <= (node.end_lineno or node.lineno)
        inside = isinstance(node, ast.If | ast.While | ast.For) and around and line > node.lineno
        if inside and not _is_of_mode(node):
            best = node
        for body in (getattr(node, "body", []), getattr(node, "orelse", [])) if around else ():
            for before in body if isinstance(body, list) else ():
                if isinstance(before, ast.If) and before.lineno < line and not _is_of_mode(before):
                    leaves = any(isinstance(each, _LEAVING) for part in before.body for each in ast.walk(part))
                    if leaves and (before.end_lineno or 0) < line:
                        best = before
    return None if best is None else best.lineno


def _is_of_mode(node: ast.stmt) -> bool:
    """Whether a condition asks only for the mode, or whether something is there."""
    test = getattr(node, "test", None)
    test = test.operand if isinstance(test, ast.UnaryOp) else test
    if isinstance(test, ast.Compare):
        return any(isinstance(each, ast.Is | ast.IsNot) for each in test.ops)
    return isinstance(test, ast.Attribute | ast.Name)
