"""Names of probes with their parameters, written as one string.

A rule `needs` this string, requests to the worker and keys of the cache hold it, and `Facts.behaviour` stores the
answer under it. Rules that ask for the same probe share its answer.
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
