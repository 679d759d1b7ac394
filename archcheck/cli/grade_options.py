"""Define the options of `grade`. Its module is imported only to run it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

from archcheck.cli.check_options import add_jobs
from archcheck.cli.option_values import output_of
from archcheck.cli.snapshot_options import folder_of
from archcheck.foundation.words import did_you_mean, quote

RECEIVERS = ("gradescope", "classroom50", "csv", "gitlab", "rdjson", "rdjsonl")
SINGLE = ("gradescope", "classroom50")
"""The receivers whose file is that of one submission."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where grades go: a file, or a folder with a file a student."""

    path: Path
    is_folder: bool


def add_grade(parser: ArgumentParser) -> None:
    """Add the words of `grade` that are its own."""
    parser.add_argument(
        "subjects",
        nargs="*",
        metavar="SUBJECT|REPORT",
        help="the names of the subjects, all by default; or JSON reports of `archcheck check`",
    )
    parser.add_argument(
        "--to", type=receiver_of, metavar="FORMAT", help=f"who reads the grades: {', '.join(RECEIVERS)}"
    )
    parser.add_argument(
        "--output",
        type=graded_output_of,
        metavar="FILE|DIR/",
        help="write the grades to this file; to a file a student in this folder if the name ends in a slash",
    )
    parser.add_argument(
        "--feedback",
        type=folder_of,
        metavar="DIR",
        help="write a page for each student and one about the class to this folder, as HTML and Markdown",
    )
    parser.add_argument(
        "--field",
        action="append",
        type=field_of,
        metavar="NAME=VALUE",
        help="what classroom50 asks for and archcheck cannot know, such as classroom=fall; or CLASSROOM50_NAME in the "
        "environment",
    )
    add_jobs(parser)


def receiver_of(word: str) -> str:
    """Return the name of a receiver."""
    if word in RECEIVERS:
        return word
    hint = did_you_mean(word, RECEIVERS, f"choose one of {', '.join(RECEIVERS)}")
    raise ArgumentTypeError(f"nothing reads {quote(word)}{hint}")


def graded_output_of(word: str) -> Output:
    """Return the file or the folder to write to. What cannot be written is an error before anything is measured."""
    if word.endswith("/") or Path(word).is_dir():
        return Output(folder_of(word), True)
    return Output(output_of(word), False)


def field_of(word: str) -> tuple[str, str]:
    """Read `classroom=fall`."""
    name, equals, value = word.partition("=")
    if not equals or not name or not value:
        raise ArgumentTypeError(f"{quote(word)} is not NAME=VALUE; write classroom=fall")
    return name, value
