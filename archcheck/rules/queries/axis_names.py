"""The axes of an input, as rules name them."""

from __future__ import annotations

import re

from archcheck.foundation.words import did_you_mean, listed, quote

NAMES = ("length", "time", "height", "width", "depth", "batch", "channels")


def check_axis(axis: int | str) -> None:
    """Raise `ValueError` for what is neither a name of an axis nor a number. The message goes on after the key."""
    if axis in NAMES or re.fullmatch(r"-?\d{1,3}", str(axis)):
        return
    found = quote(axis) if isinstance(axis, str) else axis
    hint = did_you_mean(str(axis), NAMES)
    raise ValueError(f"must be one of {listed(NAMES)}, or the number of an axis, found {found}{hint}")
