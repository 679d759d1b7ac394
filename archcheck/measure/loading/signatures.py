"""What arguments a class or a function takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from archcheck.foundation.words import nearest


def _signature(value: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):  # of compiled code
        return None


def parameters_of(value: Any) -> list[inspect.Parameter]:
    """Return the parameters of a class or function, none if they are not known."""
    signature = _signature(value)
    return list(signature.parameters.values()) if signature else []


def missing_arguments(value: Any, args: Mapping[str, Any]) -> list[str]:
    """Return the parameters of a class or function that have no default and are not given."""
    return [
        parameter.name
        for parameter in parameters_of(value)
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY, parameter.POSITIONAL_ONLY)
        and parameter.name not in args
    ]


def unknown_argument(value: Any, args: Mapping[str, Any]) -> str | None:
    """Return a message about the first of `args` that a class or function does not take; `None` if it takes all."""
    parameters = parameters_of(value)
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [name for name in args if name not in known]
    if not unknown or _signature(value) is None or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    match = nearest(unknown[0], known)
    takes = f"it takes {', '.join(f'`{name}`' for name in known)}" if known else "it takes none"
    return f"takes no argument `{unknown[0]}`; " + (f"did you mean `{match}`?" if match else takes)
