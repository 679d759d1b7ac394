"""Find every value in JSON, YAML and TOML, with the path of keys to it, how it is written, and where it stands.

The usual readers of these formats return plain values, and forget their lines and their digits.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import Any, Literal

from archcheck.foundation.json_documents import DEEPEST, json_of
from archcheck.foundation.json_pointers import Path, pointer_of

LARGEST = 1 << 24
"""Characters of a document at most. It takes too long to find each value in a longer one."""
LARGEST_YAML = 1 << 20
"""Characters of a document in YAML or TOML at most. They are read more slowly."""
_MOST = 1_000_000
"""Values of a YAML document at most: references can repeat a few lines without end."""
_TOO_DEEP = "is nested too deeply to be read"
_TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"\ufeff]+', re.DOTALL)
_YAML_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_TOML_HEADER = re.compile(r"\s*\[+([^\[\]]+)\]")
_TOML_KEY = re.compile(r"""(?:^|[\s{,.])("[^"]+"|'[^']+'|[\w-]+)\s*=""")

Kind = Literal["number", "text", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A value that holds no others: the `path` to it, how it is `written`, and its `position` in the text.

    A `kind` that is neither a number nor a text is `other`, such as `true` or an empty list.
    """

    path: Path
    written: str
    kind: Kind
    position: int

    @property
    def pointer(self) -> str:
        """The JSON pointer that leads to it."""
        return pointer_of(self.path)


def in_json(text: str) -> Iterator[Leaf]:
    """Yield the values of a JSON document. Raises `ValueError`, "is ...", if it is damaged."""
    _check_length(text, LARGEST)
    try:
        json_of(text.encode(), numbers=False)
    except ValueError as error:
        raise ValueError(f"is {error}") from None
    yield from _scanned(text)


def in_json_lines(text: str) -> Iterator[Leaf]:
    """Yield the values of JSON Lines. The first step to each is the number of its line among those with a value."""
    _check_length(text, LARGEST)
    lines = text.split("\n")
    filled = [index for index, line in enumerate(lines) if line.strip("\ufeff \t\r")]
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    for number, index in enumerate(filled):
        try:
            json_of(lines[index].encode(), numbers=False)
        except ValueError:
            raise ValueError(f"is damaged: line {index + 1} is not JSON") from None
        for leaf in _scanned(lines[index]):
            yield replace(leaf, path=(str(number), *leaf.path), position=starts[index] + leaf.position)


def _scanned(text: str) -> Iterator[Leaf]:
    """Yield the values of valid JSON. Each value of a key that stands twice counts."""
    path, tables, before = list[str](), list[bool](), ""
    for token in _TOKENS.finditer(text):
        word, position = token.group(), token.start()
        if word in ("{", "["):
            tables.append(word == "{")
            path.append("0")
        elif word in ("}", "]"):
            path.pop()
            tables.pop()
            if before in ("{", "["):
                yield Leaf(path=tuple(path), written=before + word, kind="other", position=position)
        elif word == ",":
            path[-1] = path[-1] if tables[-1] else str(int(path[-1]) + 1)
        elif tables and tables[-1] and before in ("{", ","):
            path[-1] = json.loads(word)
        elif word != ":":
            yield _of_word(word, tuple(path), position)
        before = word


def _of_word(word: str, path: Path, position: int) -> Leaf:
    if word.startswith('"'):
        return Leaf(path=path, written=json.loads(word), kind="text", position=position)
    return Leaf(path=path, written=word, kind="number" if word[-1].isdigit() else "other", position=position)


def in_yaml(text: str, lines_above: int = 0) -> Iterator[Leaf]:
    """Yield the values of a YAML document that begins below so many lines of its file.

    Raises `ValueError`, "is ..." or "holds ...", if it is damaged or too large.
    """
    import yaml  # late: only contracts that name such a file need it

    _check_length(text, LARGEST_YAML)
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1 + lines_above}" if mark else ""
        raise ValueError(f"is damaged: not YAML{where} ({getattr(error, 'problem', None) or 'unreadable'})") from None
    starts = [0, *(found.end() for found in _YAML_BREAKS.finditer(text))]
    leaves = _below(root, (), starts) if root is not None else iter(())
    yield from islice(leaves, _MOST)
    if next(leaves, None) is not None:
        raise ValueError(f"holds more than {_MOST:,} values, too many to be searched")


def _below(node: Any, path: Path, starts: Sequence[int]) -> Iterator[Leaf]:
    """Yield the values in a node of YAML."""
    position = starts[min(node.start_mark.line, len(starts) - 1)] + node.start_mark.column
    if isinstance(node.value, str):
        tag = node.tag.rpartition(":")[2]
        kind: Kind = "number" if tag in ("int", "float") else "text" if tag == "str" else "other"
        kind = "other" if kind == "number" and not node.value[-1:].isdigit() else kind  # `.inf` and `.nan`
        yield Leaf(path=path, written=node.value, kind=kind, position=position)
        return
    if len(path) >= DEEPEST:
        raise ValueError(_TOO_DEEP)
    if not node.value:
        yield Leaf(path=path, written="", kind="other", position=position)
    for index, each in enumerate(node.value):
        key, item = each if isinstance(each, tuple) else (None, each)
        if key is None or isinstance(key.value, str):
            yield from _below(item, (*path, str(index) if key is None else key.value), starts)


def in_toml(text: str) -> Iterator[Leaf]:
    """Yield the values of a TOML document. Raises `ValueError`, "is ...", if it is damaged."""
    _check_length(text, LARGEST_YAML)
    try:
        document = tomllib.loads(text, parse_float=_Written)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"is damaged: not TOML ({str(error)[:100].lower()})") from None
    lines = text.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    places = _TomlLines(lines)
    for path, value in _plain_leaves(document, ()):
        number = isinstance(value, int | _Written) and not isinstance(value, bool)
        kind: Kind = "number" if number else "text" if type(value) is str else "other"
        yield Leaf(path=path, written=str(value), kind=kind, position=starts[places.of(path)])


def _plain_leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not isinstance(value, dict | list) or not value:
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _plain_leaves(item, (*path, str(key)))


class _Written(str):
    """A number with a fraction, as it is written."""

    __slots__ = ()


class _TomlLines:
    """Where keys and headers of tables stand in TOML, which `tomllib` does not tell: line by line, so nearly always."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._keys, self._headers = defaultdict[str, list[int]](list), defaultdict[Path, list[int]](list)
        for index, line in enumerate(lines):
            if header := _TOML_HEADER.match(line):
                self._headers[tuple(map(_unquoted, header[1].split(".")))].append(index)
            for found in _TOML_KEY.finditer(line):
                self._keys[_unquoted(found[1])].append(index)

    def of(self, path: Path) -> int:
        """Return the index of the line that states a value: the first with its key below the header of its table."""
        names = tuple(step for step in path if not step.isdecimal())
        number = next((int(step) for step in reversed(path[:-1]) if step.isdecimal()), 0)
        headers = self._headers.get(names[:-1], [0])
        start = headers[min(number, len(headers) - 1)]
        lines = self._keys.get(names[-1], [0]) if names else [0]
        below = bisect_left(lines, start)
        return lines[below if below < len(lines) else 0]


def _unquoted(word: str) -> str:
    return word.strip().strip("\"'")


def _check_length(content: str, most: int) -> None:
    if len(content) > most:
        raise ValueError(f"holds more than {most:,} characters, too many to be searched; use `pattern`")
