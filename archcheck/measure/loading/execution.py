"""Run a file of the subject: as it is, or only its definitions if it does more than define things.

A file that visibly does more is loaded by its definitions. Any other file is run as it is, and loaded by its
definitions if it fails, takes too long or would have side effects. The lines that were left out are remembered for the
report's notes and for errors.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from archcheck.facts.option_words import IMPORT_TIMEOUT, IMPORT_TIMEOUT_WORDS
from archcheck.foundation.errors import described
from archcheck.measure.loading.definitions import Definitions, names_set_by
from archcheck.measure.loading.import_side_effects import functions_of, sign_in
from archcheck.measure.loading.parser_defaults import defaults
from archcheck.measure.loading.safe_statements import DEFAULTS
from archcheck.measure.loading.stubs import STUBS
from archcheck.measure.subject.absent_devices import Move
from archcheck.measure.subject.asked_calls import asked_by
from archcheck.measure.subject.device_fallback import run_without_devices
from archcheck.measure.subject.import_guard import Clock, Refused, TooLong, harmless, limited
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.source_text import file_of, is_cell, keep_classes, place, text_of

_NOT_RUN = ", which was not run"


@dataclass(slots=True, kw_only=True)
class Run:
    """How a file of the subject was run.

    `why` is the reason for running only the definitions, and `lines` are the files and lines that were left out.
    `unset` holds the names that these lines set, `broken` the classes that could not be made, and `unread` the cells
    with syntax errors. `codes` is what was compiled to be run as it is. `read` tells that the defaults of a parser were
    used. `moves` are the places that ask for an absent device.
    """

    files: tuple[str, ...]
    why: str | None = None
    failure: BaseException | None = None
    lines: list[tuple[str, int]] = field(default_factory=list)
    unset: dict[str, str] = field(default_factory=dict)
    broken: dict[str, BaseException] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    read_files: tuple[str, ...] = ()
    trees: tuple[ast.Module, ...] = ()
    codes: tuple[CodeType, ...] = ()
    read: bool = False
    moves: tuple[Move, ...] = ()

    @property
    def shown(self) -> str:
        """The name of the file."""
        return Path(file_of(self.files[0])).name

    def set_at(self, name: str) -> str | None:
        """The place where a missing name is set, and why that was not run; `None` for any other name."""
        at = self.unset.get(name)
        if at is None or self.why is None or not at.endswith(_NOT_RUN):
            return at
        return f"{at}, as {self.why}"

    @property
    def notes(self) -> Iterator[str]:
        """The report's notes about the file."""
        if self.why:
            left = f"; not run: {', '.join(_ranges(self.lines))}" if self.lines else ""
            yield f"loaded by its definitions only, as {self.why}{left}"
        if self.unread:
            yield f"left out for a syntax error: {', '.join(self.unread)}"
        if self.read:
            yield f"arguments of the command line are the defaults of the parser in {self.shown}"


@dataclass(slots=True)
class _Settings:
    careful: bool = False
    """Whether files may have no side effects when they are imported."""
    seconds: float = IMPORT_TIMEOUT
    """How long the subject's own code may compute while it is imported."""
    cut: Mapping[str, str] = field(default_factory=dict)
    """The files that took too long in an earlier process, and the messages about it."""
    start_over: Callable[[str, str], None] | None = None
    """Ends this process, so that another one loads a file by its definitions; `None` if there is no other one."""
    running: list[Run] = field(default_factory=list)
    """The files that are running, the outermost first."""
    clock: Clock | None = None


_DEFINITIONS = 0.25
"""Seconds of CPU time that the definitions of a file may always take: the limit is for its other code."""

SETTINGS = _Settings()
RUNS: dict[str, Run] = {}
"""The files of the subject that this process has run, by module name."""


def run(module: ModuleType, files: Sequence[str]) -> None:
    """Run the source of a file, or of the cells of a notebook, in `module`.

    Raises:
        SyntaxError, OSError: the source cannot be read. A cell with such an error is left out.
    """
    record = RUNS[module.__name__] = Run(files=tuple(files))
    trees = {file: tree for file in files if (tree := _parsed(file, record)) is not None}
    for file, tree in trees.items():
        if is_cell(file):
            keep_classes(module.__name__, file, tree)
    record.read_files, record.trees = tuple(trees), tuple(trees.values())
    whole = ast.Module(body=[node for tree in trees.values() for node in tree.body], type_ignores=[])
    record.why = _side_effect(trees, whole)
    if record.why is None and (cut := [SETTINGS.cut[file] for file in files[:1] if file in SETTINGS.cut]):
        record.why, record.failure = cut[0], TooLong(cut[0])
    if record.why is None:
        before = dict(module.__dict__)
        try:
            _, record.moves = run_without_devices(
                lambda: _run_whole(module, trees, record), before_again=lambda: _undo(module, before)
            )
            return
        except BaseException as error:
            record.failure, record.why = error, _reason(error, record)
            _undo(module, before)
    with _guarded(record, _DEFINITIONS):
        _run_definitions(module, trees, whole, record)


def _run_whole(module: ModuleType, trees: Mapping[str, ast.Module], record: Run) -> None:
    with _guarded(record):
        record.codes = tuple(compile(tree, file, "exec", dont_inherit=True) for file, tree in trees.items())
        for code in record.codes:
            exec(code, module.__dict__)


def _undo(module: ModuleType, before: Mapping[str, Any]) -> None:
    """Restore a module to its state before it ran, and forget its submodules that have run since."""
    module.__dict__.clear()
    module.__dict__.update(before)
    for name in [name for name in RUNS if name.startswith(f"{module.__name__}.")]:
        sys.modules.pop(name, None)
        del RUNS[name]
    if SETTINGS.clock:
        SETTINGS.clock.restart()


def _stop(frame: FrameType, what: str) -> None:
    """Stop the innermost running file, because its code takes too long."""
    while not is_own(frame.f_code.co_filename) and frame.f_back:
        frame = frame.f_back
    where = place(frame.f_code.co_filename, frame.f_lineno)
    why = f"{what} ({where}); {IMPORT_TIMEOUT_WORDS} raises the limit of {SETTINGS.seconds:g} s"
    record = SETTINGS.running[-1]
    if record.why is None and SETTINGS.start_over is not None:
        SETTINGS.start_over(record.files[0], why)
    raise TooLong(why)


def raised_at(error: BaseException) -> str:
    """Return the innermost line of the subject's files in an error's traceback, empty if there is none."""
    where, traceback = "", error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if is_own(file):
            where = place(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return where


def _parsed(file: str, record: Run) -> ast.Module | None:
    try:
        return ast.parse(text_of(file), file)
    except SyntaxError as error:
        if not is_cell(file):
            raise
        record.unread.append(place(file, error.lineno or 1))
        return None


def _side_effect(trees: dict[str, ast.Module], whole: ast.Module) -> str | None:
    functions = functions_of(whole)
    for file, tree in trees.items():
        if sign := sign_in(tree, functions):
            return f"it {sign.what} when it is imported ({place(file, sign.line)})"
    return None


def _reason(error: BaseException, record: Run) -> str:
    at = f" ({where})" if (where := raised_at(error)) else ""
    if isinstance(error, Refused):
        return f"it {error} when it is imported{at}{asked_by(error)}"
    if isinstance(error, TooLong):
        return str(error)
    if isinstance(error, SystemExit):
        return f"it calls sys.exit when it is imported{at}"
    return f"importing it fails{at}: {described(error)}"


@contextmanager
def _guarded(record: Run, least: float = 0.0) -> Iterator[None]:
    """Limit the time and the side effects of the outermost file; the files that it imports share the limits.

    The time is at least `least` seconds.
    """
    if not SETTINGS.running:
        SETTINGS.clock = Clock(max(SETTINGS.seconds, least), _stop)
    outermost = nullcontext() if SETTINGS.running or SETTINGS.clock is None else limited(SETTINGS.clock)
    SETTINGS.running.append(record)
    STUBS.sealed = False
    try:
        with outermost, harmless() if SETTINGS.careful else nullcontext():
            yield
    finally:
        SETTINGS.running.pop()
        STUBS.sealed = not SETTINGS.running


def _run_definitions(module: ModuleType, trees: dict[str, ast.Module], whole: ast.Module, record: Run) -> None:
    names = module.__dict__

    def read_defaults() -> Any:
        record.read = True
        return defaults(trees.values(), names)

    names[DEFAULTS] = read_defaults
    definitions = Definitions(whole)
    for file in trees:
        # From a fresh tree, because extracting the definitions changes the statements.
        for statement in definitions.of(ast.parse(text_of(file), file).body):
            _run_statement(statement, file, names, record)
        _remember_left_out(definitions, file, record)
    del names[DEFAULTS]


def _remember_left_out(definitions: Definitions, file: str, record: Run) -> None:
    for statement in definitions.left:
        record.lines.append((file, statement.lineno))
        for name in names_set_by(statement):
            record.unset.setdefault(name, f"{place(file, statement.lineno)}{_NOT_RUN}")
    definitions.left.clear()


def _run_statement(statement: ast.stmt, file: str, names: dict[str, Any], record: Run) -> None:
    code = compile(ast.Module(body=[statement], type_ignores=[]), file, "exec", dont_inherit=True)
    try:
        _, moves = run_without_devices(lambda: exec(code, names))
        record.moves += moves
    except TooLong:
        raise
    except BaseException as error:
        at = place(file, statement.lineno)
        if isinstance(statement, ast.ClassDef):
            record.broken[statement.name] = error
        elif not isinstance(statement, ast.FunctionDef | ast.Import | ast.ImportFrom):
            record.lines.append((file, statement.lineno))
        for name in names_set_by(statement):
            record.unset.setdefault(name, f"{at}, which failed: {described(error)}")


def _ranges(places: Sequence[tuple[str, int]]) -> list[str]:
    """Return `net.py:12, 14, 20` for the lines of each file, for at most nine lines."""
    shown = list(dict.fromkeys(places))
    files = dict.fromkeys(file for file, _ in shown[:9])
    found = [place(file, *sorted(line for each, line in shown[:9] if each == file)) for file in files]
    return [*found, f"and {len(shown) - 9} more"] if len(shown) > 9 else found


def has_failed() -> bool:
    """Whether a file failed when it was run as it is. The next run may succeed."""
    return any(each.failure is not None for each in RUNS.values())


def notes() -> list[str]:
    """Return the report's notes about all files of the subject that were run."""
    return [note for each in RUNS.values() if is_own(each.files[0]) for note in each.notes]


def moves() -> list[Move]:
    """Return the places that asked for absent devices when the files of the subject were run."""
    return [move for each in RUNS.values() for move in each.moves]
