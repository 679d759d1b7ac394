"""Write text to standard output, standard error or a file."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote as quote_url

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.whole_files import write_whole
from archcheck.foundation.words import quote, visible

if TYPE_CHECKING:
    from archcheck.rules.findings import Report


_READABLE = ("text", "concise", "markdown", "github")
"""Formats that show the errors of subjects to people."""


def show(
    reports: Sequence[Report], format_name: str, output: Path | None, *, saved: bool = False, **choices: Any
) -> None:
    """Write `reports` to `output` or standard output. Write an error line for each subject that could not be measured.

    If no subject could be measured, the text report is left out, because the error lines say all of it. For `saved`
    reports, the error lines are left out where the report itself shows the errors. `choices` are fields of
    `archcheck.render.Options`; this function adds colour, width and base.
    """
    told = False
    from archcheck.render import render

    if output or format_name != "text" or any(report.facts or report.weights for report in reports):
        surroundings = {
            "color": not output and wants_color(),
            "width": None if output else width(),
            "base": base(),
            "pages": published_pages() if format_name == "sarif" else "",
            "timestamp": timestamp() if format_name == "cyclonedx" else "",
        }
        text = render(reports, format_name, **surroundings, **choices)
        save(text, output) if output else write(text)
        told = saved and not output and format_name in _READABLE
    for report in reports:
        if report.error and not told:
            print_subject_error(report.subject, report.error.message)


class Progress:
    """A line on standard error that counts finished subjects, if standard error is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = total > 1 and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._show(f"0/{self._total}")
        return self

    def __exit__(self, *error: object) -> None:
        self._show("")

    def count(self, report: Report) -> Report:
        """Count a subject as done; return its report as it is."""
        from archcheck.render.wording import one_line

        self._done += 1
        self._show(f"{self._done}/{self._total}  {one_line(report.subject)}")
        return report

    def _show(self, text: str) -> None:
        """Write over what the line said before."""
        if self._shown:
            sys.stderr.write("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()


URL_CHARACTERS = ":/%!$&'()*+,;=@"
"""Characters of an address that are not percent-encoded, beside letters, digits and `-._~`."""


def timestamp() -> str:
    """Return the time that `SOURCE_DATE_EPOCH` states, as reproducible builds use it; empty if it is not set.

    Raises `ArchcheckError` for anything but seconds since 1970.
    """
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not seconds:
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise ArchcheckError(
            f"SOURCE_DATE_EPOCH must be the seconds since 1970, found {quote(seconds)}; set it to a number, or unset it"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def published_pages() -> str:
    """Return the address of the published manual from the environment; empty if it is not set.

    Raises `ArchcheckError` for anything but an address.
    """
    address = os.environ.get("ARCHCHECK_PAGES_URL", "").rstrip("/")
    if address and not re.match(r"https?://\w", address):
        raise ArchcheckError(
            f"ARCHCHECK_PAGES_URL must begin with https:// or http://, found {quote(address)}; "
            "name where the manual is published, or unset it"
        )
    return quote_url(address, safe=URL_CHARACTERS, errors="replace")


def print_error(message: str) -> None:
    """Write an error to standard error. Each line begins with `archcheck: error:`."""
    for line in message.splitlines():
        sys.stderr.write(f"archcheck: error: {visible(line)}\n")


def print_subject_error(name: str, message: str) -> None:
    """Write an error about a subject or target. The name is added unless the message begins with it."""
    begins = re.match(r"`(?:[^`]*:)?([^`:]+)`", message)
    named = begins is not None and name.rpartition(":")[2] == begins[1]
    print_error(message if named else f"{visible(name)}: {message}")


def note(message: str) -> None:
    """Write a note to standard error."""
    sys.stderr.write(f"archcheck: note: {visible(message)}\n")


def write(text: str) -> None:
    """Write to standard output. A closed pipe is ignored, and characters that the encoding does not have become `?`.

    Raises `ArchcheckError` when the text cannot be written.
    """
    if sys.stdout is None or sys.stdout.closed:  # before the process began, or by a server that has ended
        return
    try:
        sys.stdout.write(_encodable(text, sys.stdout.encoding or "utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        _flush_elsewhere()
    except OSError as error:
        _flush_elsewhere()
        raise ArchcheckError(
            f"cannot write to standard output: {error.strerror}; redirect it to a file that can be written"
        ) from None


def _encodable(text: str, encoding: str) -> str:
    """Replace the characters that an encoding does not have, for consoles and pipes that are not UTF-8."""
    return text.encode(encoding, errors="replace").decode(encoding)


def _flush_elsewhere() -> None:
    """Redirect standard output to the null device, because the interpreter flushes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def save(text: str, file: Path) -> None:
    """Write `file` completely or not at all. A pipe or a device is written to directly; a closed pipe is ignored."""
    try:
        write_whole(file, text)
    except BrokenPipeError:
        return
    except OSError as error:
        raise ArchcheckError(f"cannot write {file}: {error.strerror}; choose another file") from None


def wants_color() -> bool:
    """Whether to use colour: `NO_COLOR` switches it off, `FORCE_COLOR` on, otherwise a terminal decides."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Return the columns of the terminal or of `COLUMNS`, or `None`, which does not break lines."""
    if os.environ.get("COLUMNS") or (sys.stdout is not None and sys.stdout.isatty()):
        return shutil.get_terminal_size().columns
    return None


def base() -> str:
    """Return the current folder as seen from the root of its repository, for annotations."""
    here = Path.cwd()
    root = repository_root(here)
    return "" if root == here else here.relative_to(root).as_posix()


def repository_root(folder: Path) -> Path:
    """Return the root of the repository that a folder lies in, or the folder itself if it lies in none."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
