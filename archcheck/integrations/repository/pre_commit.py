"""Add a hook to the configuration of pre-commit. Comments and layout stay as they are.

The text is changed only where the hook is put in. It is then read again: it must say what it said before, and the hook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from archcheck.foundation.words import as_yaml

CONFIGURATION = Path(".pre-commit-config.yaml")
_DEEPER = r"(?:[ \t]{%d,}#[^\n]*(?:\n|$))*"
"""Lines of comments below an entry of a list, which are indented further than it."""


def has_hook(text: str) -> bool:
    """Whether a configuration runs archcheck already. Raises `ValueError` if it is no YAML."""
    document = _read(text)
    repositories = document.get("repos") if isinstance(document, Mapping) else None
    hooks = [
        each
        for repository in (repositories if isinstance(repositories, list) else [])
        if isinstance(repository, Mapping) and isinstance(repository.get("hooks"), list)
        for each in repository["hooks"]
        if isinstance(each, Mapping)
    ]
    return any(each.get("id") == "archcheck" or "archcheck check" in str(each.get("entry")) for each in hooks)


def with_repository(text: str, repository: Mapping[str, Any]) -> str:
    """Return a configuration with one more repository at the end of its list; an empty text becomes a whole one.

    Raises `ValueError`, with what comes after the name of the file, if that cannot be done.
    """
    before = _read(text)
    if not isinstance(before, Mapping | None):
        raise ValueError("is not a table with the key `repos`")
    result = _inserted(text, repository)
    wanted = {**(before or {}), "repos": [*((before or {}).get("repos") or []), repository]}
    try:
        fits = _read(result) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("has a layout that the hook cannot be put into")
    return result


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"is not valid YAML{f' (line {mark.line + 1})' if mark else ''}") from None


def _inserted(text: str, repository: Mapping[str, Any]) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    listed = next((value for key, value in root.value if key.value == "repos"), None) if root else None
    if listed is None:
        return _joined(text, len(text), "repos:\n" + _block(repository, 2))
    if isinstance(listed, yaml.SequenceNode) and listed.flow_style:
        if not listed.value:
            start = listed.start_mark.index
            return _joined(text[:start].rstrip() + text[listed.end_mark.index :], start - 1, _block(repository, 2))
        end = listed.value[-1].end_mark.index
        return f"{text[:end]}, {as_yaml(repository)}{text[end:]}"
    column = listed.start_mark.column if isinstance(listed, yaml.SequenceNode) else 2
    return _joined(text, max(_ends(listed)), _block(repository, column), column)


def _ends(node: yaml.Node) -> Iterator[int]:
    """Yield where the parts of a node end that know it: a list or a table in lines ends where the next thing begins."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        yield node.end_mark.index
    else:
        for each in node.value:
            yield from _ends(each[1] if isinstance(each, tuple) else each)


def _joined(text: str, position: int, block: str, column: int = 0) -> str:
    """Return the text with a block after the line of `position`, and after the comments that belong to that line."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if position and text[position - 1] != "\n":
        after = text.find("\n", position) + 1
        position = after or len(text)
    if found := re.compile(_DEEPER % (column + 1)).match(text, position):
        position = found.end()
    head = text[:position]
    between = "" if not head or head.endswith("\n") else newline
    return head + between + block.replace("\n", newline) + text[position:]


def _block(repository: Mapping[str, Any], column: int) -> str:
    """Return a repository as the lines of an entry whose dash stands in `column`."""
    first, *more = (
        f"{key}: {_scalar(value)}" for hook in repository["hooks"] for key, value in hook.items()
    )  # there is one hook
    lines = [f"- repo: {repository['repo']}", "  hooks:", f"    - {first}", *(f"      {line}" for line in more)]
    return "".join(f"{' ' * column}{line}\n" for line in lines)


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    plain = isinstance(value, str) and re.fullmatch(r"[a-z][\w./ -]*", value)
    return value if plain else as_yaml(value)
