"""`classroom50/result/v1`: the result of one submission, as Classroom 50 collects it.

Its schema asks for whole scores, and it allows no other keys at the top. What archcheck cannot know, such as the name
of the classroom, comes from `--field NAME=VALUE`, or from `CLASSROOM50_NAME` in the environment.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import did_you_mean, listed, quote
from archcheck.integrations.grades import Grade, Item, item_lines, reason_lines
from archcheck.integrations.gradescope import UNMEASURED
from archcheck.render.wording import one_line

SCHEMA = "classroom50/result/v1"
ASKED = ("classroom", "assignment", "owner", "submission", "commit", "release", "review")
"""Fields that must be given."""
OPTIONAL = ("assignment_type", "datetime")
TYPES = ("individual", "group")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LONGEST_NAME = 100
"""Bytes of the name of a test at most."""


def fields_of(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return all fields. Raises `ArchcheckError`, in one line, for missing, unknown and wrong ones."""
    for name in given:
        if name not in (*ASKED, *OPTIONAL):
            hint = did_you_mean(name, (*ASKED, *OPTIONAL), f"the fields are {listed((*ASKED, *OPTIONAL))}")
            raise ArchcheckError(f"--field {quote(name)} is not a field of {SCHEMA}{hint}")
    found = {name: given.get(name) or environment.get(_variable(name), "") for name in (*ASKED, *OPTIONAL)}
    if missing := [name for name in ASKED if not found[name]]:
        first = missing[0]
        raise ArchcheckError(
            f"classroom50 needs {listed(missing)}; give each as `--field {first}=...`, or as {_variable(first)} in the "
            "environment"
        )
    found["assignment_type"] = found["assignment_type"] or TYPES[0]
    if found["assignment_type"] not in TYPES:
        raise ArchcheckError(f"`assignment_type` is {' or '.join(TYPES)}, found {quote(found['assignment_type'])}")
    found["datetime"] = found["datetime"] or datetime.datetime.now(datetime.UTC).strftime(_TIME)
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["datetime"]):
        raise ArchcheckError(f"`datetime` is in UTC, such as 2026-09-01T12:00:00Z, found {quote(found['datetime'])}")
    return found


def _variable(name: str) -> str:
    return f"CLASSROOM50_{name.upper()}"


def refuse_parts(points: float, what: str) -> None:
    """Raise `ArchcheckError` unless these points are whole."""
    if not float(points).is_integer():
        raise ArchcheckError(f"classroom50 takes whole points, and {what} has {points:g}; give it whole `points`")


def render_classroom50(grade: Grade, fields: Mapping[str, str]) -> str:
    """Return the document in ASCII. Raises `ArchcheckError` when points are not whole."""
    for item in grade.items:
        for points in (item.points or 0, item.earned or 0):
            refuse_parts(points, item.instance)
    document: dict[str, Any] = {"schema": SCHEMA, **fields}
    document |= {
        "score": int(grade.earned or 0),
        "max-score": int(grade.points or 0),
        "tests": [_test(grade, item) for item in grade.items] or [_unmeasured(grade)],
    }
    return json.dumps(document, indent=2) + "\n"


def _test(grade: Grade, item: Item) -> dict[str, Any]:
    return {
        "test-name": _name(item.title),
        "passed": not item.fails,
        "score": int(item.earned or 0),
        "max-score": int(item.points or 0),
        "output": "\n".join(map(one_line, (*reason_lines(grade), *item_lines(grade, item)))),
    }


def _unmeasured(grade: Grade) -> dict[str, Any]:
    return {
        "test-name": UNMEASURED,
        "passed": False,
        "score": 0,
        "max-score": int(grade.points or 0),
        "output": "\n".join(map(one_line, reason_lines(grade))),
    }


def _name(title: str) -> str:
    """Return a title of at most 100 bytes."""
    return one_line(title).encode()[:_LONGEST_NAME].decode(errors="ignore")
