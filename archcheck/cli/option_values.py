"""Convert the words of a command line to the values of options."""

from __future__ import annotations

import argparse
import ast
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcheck.facts.cross_checks import check_tool
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.whole_files import is_stream
from archcheck.foundation.words import did_you_mean, quote

# What only some commands need is imported when its option is read: every command pays for what stands above.
if TYPE_CHECKING:
    from archcheck.contract.specifications import InputSpec
    from archcheck.judging.shards import Shard


def format_of(word: str) -> str:
    """Return the name of a format. A missing library is an error here, before anything is measured."""
    from archcheck.render import FORMATS, demand_libraries

    demand_libraries(_known(word, FORMATS, "a format"))
    return word


def format_of_differences(word: str) -> str:
    """Return the name of a format that differences can be shown in."""
    from archcheck.render.comparison import FORMATS

    return _known(word, FORMATS, "a format here")


def refuse_given(options: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Raise `ArchcheckError` for the first of these options that is given. `why` follows its name."""
    for name in names:
        if getattr(options, name):
            word = "as" if name == "tool" else name.replace("_", "-")  # `as` is a word of Python
            raise ArchcheckError(f"--{word} {why}")


def _known(word: str, formats: Iterable[str], what: str) -> str:
    if word in formats:
        return word
    hint = did_you_mean(word, formats, f"the formats are {', '.join(formats)}")
    raise argparse.ArgumentTypeError(f"{quote(word)} is not {what}{hint}")


def tool_of(word: str) -> str:
    """Return the name of a tool whose way of counting is known."""
    try:
        check_tool(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return word


def output_of(word: str) -> Path:
    """Return the path to write to. A path that cannot be written is an error here, before anything is measured."""
    import tempfile

    file = Path(word)
    if is_stream(file):
        return file
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"{quote(word)} is a folder that exists; name a file in it, or another name")
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {quote(word)}; name a file in a folder that exists")
    try:
        tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(file))).close()  # noqa: PTH120
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"cannot write {quote(word)}: {error.strerror}; name a file in another folder"
        ) from None
    return file


def shard_of(word: str) -> Shard:
    """Read `2/4`."""
    from archcheck.judging.shards import Shard

    match, reason = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", word), ""
    try:
        if match:
            return Shard(index=int(match[1]), count=int(match[2]))
    except ValueError as error:
        reason = f": {error}"
    raise argparse.ArgumentTypeError(f"{quote(word)} is not a shard{reason}; write 1/4 for the first of four")


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """Return a reader of positive numbers."""

    def read(word: str) -> float:
        try:
            number = kind(word)
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"must be a positive {what}, not {quote(word)}")
        return number

    return read


def whole_of(word: str) -> int:
    """Return a whole number from 0 on with at most 18 digits. Torch takes no larger seed."""
    if not re.fullmatch(r"[0-9]{1,18}", word):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 on with at most 18 digits, not {quote(word)}")
    return int(word)


def input_of(word: str) -> InputSpec:
    """Read `1,1,28,28` or `1,16:int64`."""
    from archcheck.contract.specifications import InputSpec, check_dtype, check_sizes

    match = re.fullmatch(r"(?P<shape>\d+(?:[,x]\d+)*)(?::(?P<dtype>\w+))?", word)
    if match is None:
        raise argparse.ArgumentTypeError(f"{quote(word)} is not a shape; write 1,1,28,28 or 1,16:int64")
    shape = tuple(int(size) for size in re.split("[,x]", match["shape"]))
    dtype = match["dtype"]
    try:
        check_sizes(shape)
        if dtype is not None:
            check_dtype(dtype)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{quote(word)} {error}") from None
    return InputSpec(shape=shape, dtype=dtype)


def method_of(word: str) -> str:
    """Return the name of a method."""
    from archcheck.contract.specifications import check_method

    try:
        check_method(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return word


def argument_of(word: str) -> tuple[str, Any]:
    """Return the name and the value of `width=16`. A value that is no Python or TOML literal stays a string."""
    name, equals, value = word.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(
            f"{quote(word)} is not NAME=VALUE; write {name if name.isidentifier() else 'width'}=16"
        )
    if value in ("true", "false"):
        return name, value == "true"
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
