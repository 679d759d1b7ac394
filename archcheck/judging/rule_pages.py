"""A rule class to its page: the promise, why, the parameters and the examples, all read from the class.

A docstring begins with the promise, one paragraph that stands alone. Prose follows, then the examples::

    Example, kept:
        rule = max-params = 20
        model = nn.Linear(3, 4)
        input = [1, 3]

An example is an indented block of `key = value` lines; a value may go on, or begin, in lines that are
indented further. `rule` is a line of a contract, `model` an expression over `torch`, `nn` and `F` or the body
of a class, `input` a TOML list, and `says` a part of the first finding.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from archcheck.foundation.annotated_values import annotations_of, describe, toml
from archcheck.foundation.quantities import expected
from archcheck.rules.base import (
    COMMON,
    Rule,
    default_of,
    documentation,
    is_required,
    key_of,
    parameters,
    promise,
    rule_name,
)

__all__ = ["Example", "examples", "markdown", "page", "promise"]

_EXAMPLE = re.compile(r"^Example, (?P<verdict>\w+):$", re.MULTILINE)
_LINE = re.compile(r"(?P<key>\w+) =(?: (?P<value>.+)|\n(?P<block>.+))", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example of a docstring: the verdict it promises, its lines by key, and the text that holds them."""

    verdict: str
    lines: Mapping[str, str]
    source: str

    @property
    def rule(self) -> str:
        """The line of a contract, `max-params = 20`."""
        return self.lines["rule"]

    @property
    def model(self) -> str | None:
        """The Python source of the model."""
        return self.lines.get("model")

    @property
    def input(self) -> str | None:
        """The input's shape, or shapes, as TOML."""
        return self.lines.get("input")

    @property
    def says(self) -> str | None:
        """A part of the first finding's message."""
        return self.lines.get("says")


def examples(rule: type[Rule]) -> tuple[Example, ...]:
    """Return the examples of a rule's docstring, in order.

    Raises `ValueError` when a line is no `key = value` or an example states no rule.
    """
    marks = list(_EXAMPLE.finditer(documentation(rule)))
    return tuple(
        Example(verdict=mark["verdict"], lines=_lines(rule, block), source=block)
        for mark, block in zip(marks, _blocks(rule, marks), strict=True)
    )


def page(rule: type[Rule]) -> str:
    """Return the page of a rule as plain text that ends in a newline."""
    common = [field for field in fields(rule) if field.name in COMMON]
    parts = [
        ": ".join(filter(None, (rule_name(rule), promise(rule)))),
        _prose(rule),
        _table("Parameters", parameters(rule), rule),
        _table("On every rule", common, rule),
        *_shown_examples(rule),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(rule: type[Rule]) -> str:
    """Return the same page as a file of the manual: under a heading, it is valid Markdown as it stands."""
    return f"# {rule_name(rule)}\n\n{page(rule)}"


def _blocks(rule: type[Rule], marks: Sequence[re.Match[str]]) -> Iterator[str]:
    """Yield the text that belongs to each example: it reaches to the next line that is not indented."""
    text = documentation(rule)
    for mark in marks:
        indented = re.match(r"(?:\n?[ \t]+.*|\n)*", text[mark.end() :])
        yield textwrap.dedent(indented[0] if indented else "").strip("\n")


def _lines(rule: type[Rule], block: str) -> dict[str, str]:
    lines: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", block):
        match = _LINE.fullmatch(entry)
        if match is None:
            raise ValueError(f"{rule.__name__}: not a `key = value` line in an example: {entry!r}")
        lines[match["key"]] = match["value"] or textwrap.dedent(match["block"])
    if "rule" not in lines:
        raise ValueError(f"{rule.__name__}: an example states no `rule`: {block!r}")
    return lines


def _prose(rule: type[Rule]) -> str:
    rest = documentation(rule).partition("\n\n")[2]
    return _EXAMPLE.split(rest)[0].strip()


def output(rule: type[Rule]) -> str | None:
    """Return the output of `archcheck check` for the first broken example of a rule, if its package holds it.

    It lies in the folder `outputs` beside the module of the rule, so that no page needs a model to be measured.
    """
    try:
        return (Path(inspect.getfile(rule)).parent / "outputs" / f"{rule_name(rule)}.txt").read_text(encoding="utf-8")
    except (OSError, TypeError):  # there is none, or the class was made without a file
        return None


def _shown_examples(rule: type[Rule]) -> Iterator[str]:
    kept_output = output(rule)
    for example in examples(rule):
        yield _block(f"Example, {example.verdict}", example.source)
        if example.verdict == "broken" and kept_output:
            yield _block("It prints", kept_output)
            kept_output = None
    if kept_output:
        yield _block("Broken, it prints", kept_output)


def _block(title: str, text: str) -> str:
    return f"{title}:\n\n" + textwrap.indent(text.rstrip(), "    ")  # a blank line, as Markdown needs before a block


def _table(title: str, rows: Sequence[Field[Any]], rule: type[Rule]) -> str:
    if not rows:
        return ""
    hints = annotations_of(rule)
    cells = [(key_of(row.name), _allowed(row, hints[row.name]), _default(row)) for row in rows]
    widths = [max(len(cell[column]) for cell in cells) for column in range(2)]
    lines = [f"{key:<{widths[0]}}  {kind:<{widths[1]}}  {default}" for key, kind, default in cells]
    return _block(title, "\n".join(lines))


def _allowed(row: Field[Any], kind: Any) -> str:
    unit = row.metadata.get("unit")
    return str(row.metadata.get("shown") or (expected(unit) if unit else describe(kind)))


def _default(row: Field[Any]) -> str:
    if is_required(row):
        return "required"
    value = default_of(row)
    return "optional" if value is None else f"default {toml(value)}"
