"""A saved report that somebody changed: it is refused in one line, or every format can show it."""

import json
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.findings import Report, reports_from_json
from archcheck.render import FORMATS, render
from tests.fuzzing import examples
from tests.render.samples import cross_checked, differences, failed, judged, troubled_net

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
