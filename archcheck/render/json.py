"""The JSON document that tools read, and that `archcheck report` reads back.

One document holds a report of each subject, in the order of the run::

    {"schema": 1,
     "reports": [{"subject": "mnist",
                  "facts": {...},
                  "outcomes": [{"rule": "max-params", "instance": "max-params", "verdict": "broken",
                                "found": 21482, "limit": 19999, "unit": "parameters",
                                "findings": [{"message": "21,482 parameters, limit 19,999 (+1,483, +7.4 %)",
                                              "layer": null, "where": {"file": "model.py", "line": 31},
                                              "fix": "remove 1,483 parameters, or raise max-params"}],
                                ...}]}]}

* The keys are the fields of `Facts` and `Outcome`; their docstrings explain them. Every key is written. A value that
  was not measured is `null`, never zero.
* A subject that could not be measured has `"error": {"kind": ..., "message": ...}` in place of `facts`; `kind` is a
  stable word of those that `archcheck.foundation.errors.SubjectError` lists.
* A file that holds tensors alone has `weights` in place of `facts`: what is in it, and nothing of structure.
* `points` is the worth of a rule, or of all rules of a subject. `earned` is the earned part: all of it for a rule that
  is kept or waived, else nothing. `totals` counts the rules of a subject: `rules`, and each verdict by its name.
* A part of a run has `"shard": {"index": 2, "count": 4, "subjects": [...]}`, with the subjects of the whole run.
* `schema` rises when a key changes its meaning or goes away. A new key may come at any time: readers ignore
  unknown keys, as archcheck does.

`report.schema.json` beside this module is the JSON Schema (draft 2020-12). `archcheck.render.schema` generates it from
the dataclasses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from archcheck.foundation.json_codec import encode
from archcheck.render.options import Options
from archcheck.rules.findings import Report, reports_to_json


def render_json(reports: Sequence[Report], options: Options) -> str:
    """Return one JSON document in ASCII, so that no encoding can damage it.

    JSON has no infinity and no NaN; they are written as the strings `"inf"`, `"-inf"` and `"nan"`. A shard names its
    part of the run, so that `archcheck merge` finds missing parts.
    """
    document = finite(reports_to_json(tuple(reports)))
    if options.shard:
        document["shard"] = encode(options.shard)
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Return `value` with infinities and NaN replaced by words."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
