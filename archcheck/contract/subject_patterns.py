"""Subjects by pattern: `model = "students/*/model.py"` is a subject for each file, such as one for each student."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from archcheck.contract.specifications import SubjectEntry
from archcheck.foundation.regular_files import is_file

T = TypeVar("T")

_WILDCARD = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|\{[A-Za-z_]\w*\}")
_MODEL = re.compile(r"(?P<path>.*?)(?P<part>:[^/:]*)?", re.DOTALL)
_HIDDEN = r"(?!\.)"
"""A wildcard at the start of a name does not match a hidden one, as in a shell."""


def each_model(entry: SubjectEntry, root: Path) -> tuple[SubjectEntry, ...]:
    """Return an entry for each file that `model` names: `homework[ada]`, or the entry itself if it names no pattern.

    `*` and `?` match within a name, `**` matches folders, and `{student}` is a `*` that has a name. What they match
    names the subject, so that no file changes the name of another. Files of one name get their whole paths. Every
    text of the subject and its rules may hold `{name}`, which is what all wildcards together match, and the name of
    each named one.

    A pattern that matches no file stays one subject: measuring it tells that there is no such file. So does a pattern
    that is the name of a file, unless it matches others: a student whose folder is called `*` takes nobody's place.
    """
    found = _MODEL.fullmatch(entry.model)
    pattern, part = (found["path"], found["part"] or "") if found else (entry.model, "")
    if not (wildcards := _WILDCARD.findall(pattern)):
        return (entry,)
    matches = sorted(_matches(pattern, root), key=lambda match: match[0])
    is_by_name = all(each.startswith("[") for each in wildcards) or len(matches) < 2  # `[1]` is common in names
    if is_by_name and Path(root, pattern).exists():
        return (entry,)
    count = Counter(words["name"] for _, words in matches)
    for file, words in matches:
        if count[words["name"]] > 1:  # `**/a/**` matches `x/a/y/z` and `x/y/a/z`
            words["name"] = file
    return tuple(_member(entry, f"{file}{part}", words) for file, words in matches) or (entry,)


def home_of(model: str, name: str) -> str:
    """Return the folder, from that of the contract, in which `model` finds one submission that is called `name`.

    For `students/*/src/model.py` it is `students/NAME`, and for a model without a pattern `.`. Raises `ValueError` for
    a path that leaves the folder of the contract, and for a pattern that does not match `name`.
    """
    found = _MODEL.fullmatch(model)
    path = PurePosixPath(found["path"] if found else model)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("leaves the folder of the contract")
    wild = [at for at, part in enumerate(path.parts) if _WILDCARD.search(part)]
    if not wild:
        return "."
    last = min(wild[-1], len(path.parts) - 2)  # a pattern of file names is about what lies in the folder
    folders = [_WILDCARD.sub(name, part) for part in path.parts[: last + 1]]
    pattern = "/".join(path.parts[: last + 1])
    if folders and not _compiled(pattern)[0].fullmatch("/".join(folders)):
        raise ValueError(f"does not match a folder called {name}")
    return "/".join(folders) or "."


def own_folder(model: str) -> str:
    """Return the part of a pattern that is the folder of one submission: `students/*` of `students/*/src/model.py`.

    It is empty for a model without a pattern, and for one that is in no folder of its own.
    """
    try:
        home = home_of(model, "submission")
    except ValueError:
        return ""
    return "/".join(PurePosixPath(model).parts[: len(PurePosixPath(home).parts)])


def folders_without(model: str, root: Path) -> list[str]:
    """Return the folders, relative to `root`, where `model` expects a file and finds none, such as a student's folder
    without a `model.py`. There are none for a model without a pattern, and for one that looks for files at any depth.
    """
    found = _MODEL.fullmatch(model)
    path = PurePosixPath(found["path"] if found else model)
    wild = [at for at, part in enumerate(path.parts[:-1]) if _WILDCARD.search(part)]
    if not wild or "**" in model or len(wild) < sum(bool(_WILDCARD.search(part)) for part in path.parts):
        return []
    pattern, rest = PurePosixPath(*path.parts[: wild[-1] + 1]), path.parts[wild[-1] + 1 :]
    folders = sorted(shown for shown, _ in _matches(pattern.as_posix(), root, folders=True))
    return [folder for folder in folders if not is_file(Path(root, folder, *rest))]


def _member(entry: SubjectEntry, model: str, words: Mapping[str, str]) -> SubjectEntry:
    name = words["name"]
    named = replace(entry, name=f"{entry.name}[{name}]", family=entry.name, member=name, model=model)
    return filled(named, words)


def _matches(pattern: str, root: Path, *, folders: bool = False) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each file that a pattern matches, relative to `root`, with the words that its wildcards match.

    With `folders`, yield each folder.
    """
    expression, names = _compiled(pattern)
    start = Path(PurePosixPath(pattern).anchor or root)
    glob = _WILDCARD.sub(lambda wildcard: "*" if wildcard[0].startswith("{") else wildcard[0], pattern)
    try:
        inside = list(start.glob(PurePosixPath(glob).relative_to(PurePosixPath(glob).anchor).as_posix()))
    except (ValueError, NotImplementedError):  # no pattern that `glob` knows
        return
    of_kind = [each for each in inside if (each.is_dir() if folders else is_file(each))]
    for file in of_kind if of_kind or folders else inside:
        shown = (file.relative_to(root) if start == root else file).as_posix()
        if match := expression.fullmatch(shown):
            yield shown, _words(match, names)


def _words(match: re.Match[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return what named wildcards match, and under `name` all of it: of each name in the path, from its first wildcard
    to the end of its last.
    """
    parts: list[str] = []
    last = -1
    for start, end in map(match.span, range(1, match.re.groups + 1)):
        if last >= 0 and "/" not in match.string[last - 1 : start]:
            parts[-1] += match.string[last:end]
        elif start < end:
            parts.append(match.string[start:end])
        else:
            continue
        last = end
    named = {name: match[group] for name, group in names.items()}
    words = {"name": "/".join(part.strip("/") for part in parts), **named}
    return {name: os.fsencode(text).decode(errors="backslashreplace") for name, text in words.items()}


def _compiled(pattern: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern as a regular expression with a group for each wildcard, and the group of each named one."""
    parts: list[str] = []
    names: dict[str, str] = {}
    at = 0
    pattern = PurePosixPath(pattern).as_posix()
    for wildcard in _WILDCARD.finditer(pattern):
        parts.append(re.escape(pattern[at : wildcard.start()]))
        visible = _HIDDEN if wildcard.start() == 0 or pattern[wildcard.start() - 1] == "/" else ""
        parts.append(_group(wildcard[0], visible, names))
        at = wildcard.end()
    return re.compile("".join(parts) + re.escape(pattern[at:]), re.DOTALL), names


def _group(wildcard: str, visible: str, names: dict[str, str]) -> str:
    if wildcard.startswith("{"):
        name = wildcard[1:-1]
        if name in names:
            return f"(?P={names[name]})"
        names[name] = f"word{len(names)}"
        return f"{visible}(?P<{names[name]}>[^/]+)"
    if wildcard.startswith("**"):
        return rf"((?:{_HIDDEN}[^/]+/)*)" if wildcard.endswith("/") else rf"((?:{_HIDDEN}[^/]+/?)*)"
    if wildcard.startswith("["):
        inside = wildcard[1:-1]
        negated, inside = ("^", inside[1:]) if inside[0] == "!" else ("", inside)
        return f"{visible}([{negated}{inside.replace(chr(92), chr(92) * 2)}])"
    return f"{visible}([^/]*)" if wildcard == "*" else f"{visible}([^/])"


def filled(value: T, words: Mapping[str, str]) -> T:
    """Return a value with `{word}` replaced in every text of it: texts, tuples, tables and the fields of rules."""
    found: Any = value
    if isinstance(value, str):
        found = re.sub(r"\{(\w+)\}", lambda word: words.get(word[1], word[0]), value)
    elif isinstance(value, tuple):
        found = tuple(filled(item, words) for item in value)
    elif isinstance(value, Mapping):
        found = {key: filled(item, words) for key, item in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        inside = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
        changed = {name: new for name, old in inside.items() if (new := filled(old, words)) != old}
        try:
            return replace(value, **changed) if changed else value
        except ValueError:  # a name that a rule refuses: it must spoil no other subject
            return value
    return value if found == value else found
