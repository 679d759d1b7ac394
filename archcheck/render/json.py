"""The JSON document that tools read, and that `archcheck report` reads back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from archcheck.findings import Report, reports_to_json
from archcheck.render.options import Options


def render_json(reports: Sequence[Report], options: Options) -> str:
    """Return one JSON document in ASCII, so that no encoding can damage it.

    JSON has no infinity and no NaN; they are written as the strings `"inf"`, `"-inf"` and `"nan"`.
    """
    document = finite(reports_to_json(tuple(reports)))
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Return `value` with the numbers that JSON cannot write as words."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
