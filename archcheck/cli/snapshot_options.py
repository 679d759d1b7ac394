"""Define the options of `snapshot`, `diff`, `init` and `sync`. Their modules are imported only to run a command."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from archcheck.cli.option_values import argument_of, format_of_differences, input_of, method_of, output_of
from archcheck.foundation.words import quote


def add_sync(parser: ArgumentParser) -> None:
    """Add the words of `sync`."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE|SUBJECT",
        help="text files, by default those of the rule `synced`; names of subjects, by default all",
    )
    parser.add_argument(
        "--badges", type=folder_of, metavar="DIR", help="also write badge data for shields.io to this folder"
    )
    parser.add_argument(
        "--plot",
        type=output_of,
        metavar="FILE",
        help="also draw parameters against test accuracy into this file, as SVG",
    )
    parser.add_argument(
        "--point",
        type=point_of,
        action="append",
        default=[],
        metavar="PARAMS:PERCENT",
        help="with --plot, also draw this point, as one that others posted; once for each",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; the exit code is 1 when a file is out of date"
    )


def point_of(word: str) -> tuple[int, float]:
    """Return the parameters and the accuracy in percent of a point that others posted."""
    found = re.fullmatch(r"(\d{1,15}):(\d{1,3}(?:\.\d+)?)", word.replace("_", "").replace(",", ""))
    if found is None or int(found[1]) == 0 or float(found[2]) > 100:
        raise ArgumentTypeError(f"{quote(word)} is no point; write its parameters and percent, such as 697:99.0")
    return int(found[1]), float(found[2])


def add_snapshot(parser: ArgumentParser) -> None:
    """Add the words of `snapshot`."""
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="the names of the subjects; all by default")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; the exit code is 1 when a measure has grown since the snapshot",
    )


def add_diff(parser: ArgumentParser) -> None:
    """Add the words of `diff`."""
    parser.add_argument("first", type=Path, metavar="A", help="the earlier one: a saved JSON report or a snapshot")
    parser.add_argument("second", type=Path, metavar="B", help="the later one")
    parser.add_argument(
        "--format",
        type=format_of_differences,
        default="text",
        metavar="FORMAT",
        help="text, markdown or json; text by default",
    )
    parser.add_argument("--output", type=output_of, metavar="FILE", help="write the differences to this file")


def add_init(parser: ArgumentParser) -> None:
    """Add the words of `init`."""
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="the model: file.py, notebook.ipynb, file.py:Class or pkg.mod:factory",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="write the contract of a community instead, such as mnist-course; `list` shows all of them",
    )
    parser.add_argument(
        "--gradescope",
        action="store_true",
        help="write the bundle of an autograder on Gradescope instead, for the contract that is here: a folder or a "
        "zip file, autograder.zip by default; TARGET is then the subject",
    )
    parser.add_argument(
        "--pyproject",
        action="store_true",
        help="add the contract to the pyproject.toml that is here, unless there is a contract",
    )
    parser.add_argument(
        "--ci",
        action="store_true",
        help="add a workflow of GitHub and a hook of pre-commit that judge the contract, unless they exist",
    )
    parser.add_argument(
        "--action", metavar="OWNER/REPO@REF", help="with --ci: the repository of archcheck, and the commit to use"
    )
    parser.add_argument(
        "--input", action="append", type=input_of, metavar="SHAPE[:DTYPE]", help="as for `archcheck report`"
    )
    parser.add_argument("--call", type=method_of, metavar="NAME", help="as for `archcheck report`")
    parser.add_argument(
        "--args", action="extend", nargs="+", type=argument_of, metavar="NAME=VALUE", help="as for `archcheck report`"
    )
    parser.add_argument(
        "--output", type=output_of, metavar="FILE", help="write the contract to this file, which must not exist yet"
    )
    parser.add_argument(
        "--meta", action="store_true", help="build the models on the meta device: with shapes and without memory"
    )


def folder_of(word: str) -> Path:
    """Return the path of a folder, which need not exist yet."""
    folder = Path(word)
    if (folder.exists() and not folder.is_dir()) or not folder.parent.is_dir():
        raise ArgumentTypeError(f"{quote(word)} is not a folder; name one, or a new one in a folder that exists")
    return folder
