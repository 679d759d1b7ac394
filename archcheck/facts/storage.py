"""How the numbers of a model are stored: each tensor with its width and what is zero in it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """One tensor of a model: `sort` is `parameter`, `buffer`, or `packed`, as quantised layers keep their weights.

    `bits` are those of one element, and `bytes` those of all of it, with the scales of what is quantised and the
    indices of what is sparse. `nonzero` is `None` where there are no numbers to look at. A mask that prunes a parameter
    counts: what it makes zero is zero. What is not `saved` is in no state of the model.
    """

    name: str
    sort: str
    dtype: str
    elements: int
    bits: int
    bytes: int
    nonzero: int | None = field(compare=False)  # its numbers are no part of what an architecture is
    saved: bool = True
