"""Choose the main output of a model with several outputs."""

from __future__ import annotations

from collections.abc import Sequence


def main_output(shapes: Sequence[Sequence[int]]) -> int:
    """Return the index of the first output that has an axis, because a loss has none; 0 if none has one.

    >>> main_output([(), (2, 10)]), main_output([(2, 10), ()]), main_output([()])
    (1, 0, 0)
    """
    return next((place for place, shape in enumerate(shapes) if len(shape)), 0)
