"""A saved report that somebody changed: it is refused in one line, or every format can show it."""

import json
import unicodedata
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.render import FORMATS, render
from archcheck.rules.findings import Report, reports_from_json
from tests.render.samples import cross_checked, differences, failed, judged, troubled_net
from tests.support.fuzzing import examples

REPORTS = (
    judged(),
    failed(),
    Report(subject="odd", facts=troubled_net()),
    Report(subject="counted", facts=cross_checked(*differences())),
)
TEXT = render(REPORTS, "json")
VALUES = st.sampled_from([None, True, -1, 0, 10**30, 0.5, "", "x\n::error::", "inf", [], [0], [[]], {}, {"": None}])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container of a document with each of its keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in pairs for place in [(value, key), *places(inner)]]


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_any_change_is_refused_or_shown(data: st.DataObject) -> None:
    document = json.loads(TEXT)
    for _ in range(data.draw(st.integers(1, 3))):
        everywhere = places(document)
        # By number, for a failure that can be read.
        container, key = everywhere[data.draw(st.integers(0, len(everywhere) - 1))] if everywhere else ({}, "")
        if data.draw(st.booleans()):
            container[key] = deepcopy(data.draw(VALUES))
        elif isinstance(container, dict):
            container.pop(key, None)
    try:
        reports = reports_from_json(document)
    except ValueError:
        return
    for name in FORMATS:
        render(reports, name)


EVIL = "\n::error::x\x1b[2J\r\u202e\x9b\x00\u2028"
SHOWN = ("text", "concise", "markdown", "github")


def texts(value: Any) -> list[tuple[Any, Any]]:
    """Return every container of a document with each key below which there is a text."""
    return [(container, key) for container, key in places(value) if isinstance(container[key], str)]


@settings(max_examples=examples(50), deadline=None)
@given(st.data())
def test_no_text_of_a_stranger_moves_a_terminal_or_begins_a_line(data: st.DataObject) -> None:
    """Whatever names and messages hold, the lines are as many as with plain ones, and all of them can be seen."""
    document = json.loads(TEXT)
    container, key = data.draw(st.sampled_from(range(len(texts(document)))).map(texts(document).__getitem__))
    shown, plain = [], container[key]
    for word in ("zz z", EVIL):
        container[key] = plain[:3] + word + plain[3:]
        try:
            reports = reports_from_json(document)
        except ValueError:
            return  # a verdict, say, which is one of a few words
        shown.append({name: render(reports, name) for name in SHOWN})
    for name, text in shown[1].items():
        assert not [each for each in text if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")]
        assert text.count("\n") == shown[0][name].count("\n")
