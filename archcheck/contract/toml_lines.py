"""Where the keys of a TOML document stand. `tomllib` reads the values and forgets the lines; this finds them.

The scanner trusts that `tomllib` accepted the text: it looks only for what tells keys from values.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of tables and indices of arrays."""

BLANK = re.compile(r"(?:\s|#[^\n]*)*")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BLANKS = frozenset(" \t\r\n#")
"""The characters that white space and comments begin with: most often none is there, and nothing has to be read."""
OTHER_VALUE = re.compile(r"[^,\]}\n#]+")
_ITEM = r'(?:"[^"\\\r\n]++"|[\w.+-]++)'
"""A value as most are: text without escapes, a number, `true` or `false`."""
_EASY_ITEM = re.compile(_ITEM)
_EASY_KEY = r"([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+"
_EASY_PAIR = re.compile(rf"{_EASY_KEY}(?:{_ITEM}|\[({_ITEM}(?:,[ \t]*+{_ITEM})*+)\])[ \t]*+\r?\n")
"""A line with one key, and one such value or an array of them: it is read at once, which is much faster."""
_EASY_FIELD = re.compile(rf"{_EASY_KEY}{_ITEM}")
_EASY_FIELDS = rf"{_EASY_FIELD.pattern}(?:[ \t]*+,[ \t]*+{_EASY_FIELD.pattern})*+"
_EASY_TABLE = re.compile(rf"{_EASY_KEY}{{[ \t]*+({_EASY_FIELDS})[ \t]*+}}[ \t]*+\r?\n")
"""A line with one key, and an inline table of such values."""
_EASY_HEADER = re.compile(r"\[([A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*+)\][ \t]*+\r?\n")


def key_lines(text: str) -> dict[KeyPath, int]:
    r"""Return the line, counted from 1, of every table, key and array item of a valid TOML document.

    A table has the line of its header; without one, that of the first key that mentions it.

    >>> key_lines("[a]\nb = [\n  1,\n]")
    {('a',): 1, ('a', 'b'): 2, ('a', 'b', 0): 3}
    """
    scanner = _Scanner(text)
    scanner.read_document()
    return scanner.lines


class _Scanner:
    """One pass over a text, from `position` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[KeyPath, int] = {}
        self.headers: dict[KeyPath, int] = {}  # arrays of tables: how many `[[headers]]` so far
        self.newlines = [match.start() for match in re.finditer("\n", text)]

    def read_document(self) -> None:
        table: KeyPath = ()
        while self._skip_blank():
            if found := _EASY_PAIR.match(self.text, self.position):
                self._take_pair(table, *found.groups())
                self.position = found.end()
            elif found := _EASY_TABLE.match(self.text, self.position):
                self._take_table(table, found[1], found[2])
                self.position = found.end()
            elif found := _EASY_HEADER.match(self.text, self.position):
                table = self._table(tuple(found[1].split(".")), self._line(), array=False)
                self.position = found.end()
            elif self._accept("[["):
                table = self._read_header(array=True)
            elif self._accept("["):
                table = self._read_header(array=False)
            else:
                self._read_pair(table)

    def _take_pair(self, table: KeyPath, key: str, items: str | None) -> None:
        """Take over an easy pair; `items` are what stands between the brackets of an array."""
        line, path = self._line(), (*table, key)
        self.lines.setdefault(path, line)
        for index in range(len(_EASY_ITEM.findall(items)) if items else 0):
            self.lines[(*path, index)] = line

    def _take_table(self, table: KeyPath, key: str, fields: str) -> None:
        """Take over an easy inline table; `fields` is the text between its braces."""
        self._take_pair(table, key, None)
        for name in _EASY_FIELD.findall(fields):
            self._take_pair((*table, key), name, None)

    def _read_header(self, *, array: bool) -> KeyPath:
        line, keys = self._line(), self._read_key()
        self._skip_blank()
        self._accept("]]" if array else "]")
        return self._table(keys, line, array=array)

    def _table(self, keys: tuple[str, ...], line: int, *, array: bool) -> KeyPath:
        """Return the path of the table that a header opens."""
        path = self._enter(keys[:-1], line) + keys[-1:]
        if array:
            self.lines.setdefault(path, line)
            self.headers[path] = self.headers.get(path, -1) + 1
            path += (self.headers[path],)
        self.lines[path] = line
        return path

    def _enter(self, keys: tuple[str, ...], line: int) -> KeyPath:
        """Follow the keys of a header that lead to its table; an array of tables means its last item."""
        path: KeyPath = ()
        for key in keys:
            path += (key,)
            self.lines.setdefault(path, line)
            if path in self.headers:
                path += (self.headers[path],)
        return path

    def _read_pair(self, table: KeyPath) -> None:
        line, keys = self._line(), self._read_key()
        for length in range(1, len(keys) + 1):
            self.lines.setdefault(table + keys[:length], line)
        self._skip_blank()
        self._accept("=")
        self._read_value(table + keys)

    def _read_key(self) -> tuple[str, ...]:
        keys: list[str] = []
        while not keys or self._accept("."):
            self._skip_blank()
            quoted = self.text.startswith(('"', "'"), self.position)
            token = self._take(STRING if quoted else BARE_KEY)
            keys.append(tomllib.loads(f"key = {token}")["key"] if quoted else token)
            self._skip_blank()
        return tuple(keys)

    def _read_value(self, path: KeyPath) -> None:
        self._skip_blank()
        if self._accept("["):
            self._read_items(path)
        elif self._accept("{"):
            self._read_pairs(path)
        elif self.text.startswith(('"', "'"), self.position):
            self._take(STRING)
        else:
            self._take(OTHER_VALUE)

    def _read_items(self, path: KeyPath) -> None:
        index = 0
        while self._skip_blank() and not self._accept("]"):
            self.lines[(*path, index)] = self._line()
            self._read_value((*path, index))
            self._skip_blank()
            self._accept(",")
            index += 1

    def _read_pairs(self, path: KeyPath) -> None:
        while self._skip_blank() and not self._accept("}"):
            self._read_pair(path)
            self._skip_blank()
            self._accept(",")

    def _skip_blank(self) -> bool:
        """Skip white space and comments. Return whether anything follows."""
        if self.text[self.position : self.position + 1] in _BLANKS:
            self._take(BLANK)
        return self.position < len(self.text)

    def _accept(self, token: str) -> bool:
        found = self.text.startswith(token, self.position)
        self.position += len(token) if found else 0
        return found

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise ValueError(f"line {self._line()} is not valid TOML")
        self.position = match.end()
        return match.group()

    def _line(self) -> int:
        return bisect_right(self.newlines, self.position) + 1
