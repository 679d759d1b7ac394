"""Probes as rules ask for them: a name and, where a probe takes any, parameters, written as one string.

The string is what a rule `needs`, what a request to the worker and so the key of a cached answer hold, and the key
under which `Facts.behaviour` keeps what was found: rules that ask for the same share it, others do not meet.
"""

from __future__ import annotations

import json
from typing import Any


def need(name: str, **parameters: Any) -> str:
    """Return what asks for the probe `name` with `parameters`, which are JSON values; those of `None` are left out.

    >>> need("log-probabilities"), need("accepts", batch=[1, 64], depth=None)
    ('log-probabilities', 'accepts {"batch": [1, 64]}')
    """
    given = {key: value for key, value in parameters.items() if value is not None}
    return f"{name} {json.dumps(given, sort_keys=True)}" if given else name


def parsed(asked: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of what `need` wrote.

    >>> parsed('accepts {"batch": [1, 64]}')
    ('accepts', {'batch': [1, 64]})
    """
    name, _, parameters = asked.partition(" ")
    return name, json.loads(parameters) if parameters else {}
