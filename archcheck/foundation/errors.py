"""The exceptions. Every error that archcheck raises on purpose derives from `ArchcheckError`."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass

from archcheck.foundation.notebook_cells import cell_name, cells_run
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import quote, visible


class ArchcheckError(Exception):
    """An error with a message of one line. The command line turns it into exit code 2."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows instead of a traceback: IPython asks for it by this name.

        The lines of the cells that led here, and the message. A traceback would show mostly archcheck's own code.
        """
        cells = cells_run()
        steps = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(self.__traceback__)]
        places = ", ".join(f"{cell_name(cells[file])}:{line}" for file, line in steps if file in cells)
        return [type(self).__name__ + (f" at {places}" if places else ""), *str(self).splitlines()]


def described(error: BaseException) -> str:
    """Return `ValueError: message` on one line, cut at 300 characters. It never raises."""
    try:
        text = one_line(str(error))[:300]
    except BaseException:
        text = ""
    return f"{type(error).__name__}: {text or 'no message'}"


def name_too_long(error: OSError) -> str | None:
    """Return the message about a name that no file can have because of its length; `None` for another error."""
    if error.errno != errno.ENAMETOOLONG:
        return None
    return f"{quote(str(error.filename))} is too long for the name of a file; name one that exists"


def one_line(text: str) -> str:
    """Return a text on one line, with ASCII escapes for the characters that a terminal would not show."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in " ".join(text.split())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a contract: the file as the user named it, the line from 1, and a message with the next step."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return visible(f"{self.file}:{self.line}: {self.message}")


class ContractError(ArchcheckError):
    """A contract that cannot be read. Carries every problem at once, in file order."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        super().__init__("\n".join(map(str, self.problems)))


class SubjectError(ArchcheckError):
    """A subject that could not be loaded or measured.

    `kind` is a stable word for tools: `not-found`, `no-model`, `syntax`, `import`, `construct`, `input`,
    `ragged`, `forward`, `mode`, `differs`, `tampering`, `thread`, `timeout`, `crash`, `memory`, `output`, `training`,
    `artifact`, `weights`, `no-rules`, `cancelled`, `internal` or `environment`, which no subject causes. `fix` is the
    next step if a probe knows one.
    """

    def __init__(self, kind: str, message: str, *, fix: str | None = None) -> None:
        self.kind = kind
        self.message = message
        self.fix = fix
        super().__init__(message)


class NotMeasured(ArchcheckError):  # noqa: N818 - a state of the facts, raised by a rule that needs more
    """A rule needs a fact that is unknown. The verdict is `error`, never `kept`.

    `where` is the place where the fact is missing, and `fix` is the next step, as in a finding.
    """

    def __init__(self, message: str, *, where: Where | None = None, fix: str | None = None) -> None:
        self.where = where
        self.fix = fix
        super().__init__(message)
