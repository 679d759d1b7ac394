"""Find values in documents by JSON pointers, with the lines where they stand. The suffix tells the format.

In Markdown, pointers lead into the front matter, which is YAML between lines of `---`. In JSON Lines, the first step is
the number of a line. Of a safetensors file, only the header is read, and pointers lead into its metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from archcheck.foundation.document_values import Leaf, in_json, in_json_lines, in_toml, in_yaml
from archcheck.foundation.json_pointers import is_below, pointer_of, steps_of
from archcheck.foundation.suffixes import TENSORS, ends
from archcheck.foundation.text_files import Text
from archcheck.foundation.words import did_you_mean, quote

_FRONT = re.compile(r"\ufeff?(---[ \t]*\r?\n)(.*?^)(?:---|\.\.\.)[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_METADATA = "__metadata__"
_KNOWN = 1_000
"""Pointers among which a similar one is looked for."""


def values_at(text: Text, pointer: str) -> tuple[Leaf, ...]:
    """Return the values that a pointer leads to, in their order; none if it leads nowhere.

    Raises `ValueError` for a damaged document, and for a pointer to a list or a table. The message begins with the name
    of the file. Raises `NotMeasured` for a file that could not be read.
    """
    steps = steps_of(pointer)
    found = tuple(leaf for leaf in values_of(text) if is_below(leaf.path, steps))
    if inside := [leaf for leaf in found if len(leaf.path) > len(steps)]:
        raise ValueError(
            f"{text.shown} holds several values at {quote(pointer)}; name one of them, such as "
            f"{quote(inside[0].pointer)}, or all of them by a step `*`"
        )
    return found


def nearest_to(text: Text, pointer: str) -> str:
    """Return `; did you mean "/params"?` for a pointer that leads nowhere, or nothing if none is similar."""
    depth = len(steps_of(pointer))
    known = dict.fromkeys(pointer_of(leaf.path[:depth]) for leaf in values_of(text))
    return did_you_mean(pointer, [*known][:_KNOWN])


def values_of(text: Text) -> Iterator[Leaf]:
    """Yield the values of a document that hold no others.

    Raises `ValueError` if it is damaged, too long, or of no known format. The message begins with the name of the file.
    Raises `NotMeasured` for a file that could not be read.
    """
    content = text.demand()
    try:
        yield from _reader(text.shown, content)(content)
    except ValueError as error:
        raise ValueError(f"{text.shown} {error}") from None


def front_matter(content: str) -> tuple[int, int] | None:
    """Return where the front matter of Markdown begins and ends, without its lines of `---`; `None` if it has none."""
    front = _FRONT.match(content)
    return front.span(2) if front else None


def _reader(file: str, content: str) -> Callable[[str], Iterator[Leaf]]:
    readers: dict[tuple[str, ...], Callable[[str], Iterator[Leaf]]] = {
        (".json", ".ipynb"): in_json,
        (".jsonl", ".ndjson"): in_json_lines,
        (".yaml", ".yml", ".cff"): in_yaml,
        (".toml",): in_toml,
        (".md", ".markdown"): _in_front_matter,
        TENSORS: _in_metadata,
    }
    for suffixes, reader in readers.items():
        if ends(file, suffixes):
            return reader
    if content.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        return in_json
    raise ValueError(
        "is none of the documents that pointers lead into: JSON, JSON Lines, YAML, TOML, safetensors, and Markdown "
        "with front matter; find numbers in other texts by `pattern`"
    )


def _in_front_matter(content: str) -> Iterator[Leaf]:
    if (front := _FRONT.match(content)) is None:
        raise ValueError("has no front matter: it does not begin with a line `---` that another `---` ends")
    begin = front.start(2)
    for leaf in in_yaml(front[2], lines_above=1):
        yield Leaf(path=leaf.path, written=leaf.written, kind=leaf.kind, position=begin + leaf.position)


def _in_metadata(content: str) -> Iterator[Leaf]:
    return (leaf for leaf in in_json(content) if leaf.path[0] == _METADATA)
