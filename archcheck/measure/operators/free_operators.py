"""Tells which operators multiply nothing, so that they cost no multiply-accumulates.

Free operators move, compare, draw, create, round or reduce numbers. The vocabulary lists some. Torch's own schema shows
the others, in every release:

- the operator is tagged as pointwise, as a reduction, as a view or its copy, or as one that draws random numbers;
- it returns no tensor, so it only queries or asserts: `_assert_async`, `allclose`, `q_scale`;
- it is another form of a free operator: in place, functional, on a list (`_foreach_abs`), its gradient
  (`relu_backward`), or the inverse of a view (`select_scatter`).

Any other operator without a formula (see `cost`) is unknown, and the report names it. Examples are products of packed
matrices, whose layouts decide the cost, and operators of a vendor's library, of an optimiser or of the subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from archcheck.measure.operators.vocabulary import FREE, KINDS, base_name, is_listed

MULTIPLYING = frozenset({"conv", "conv_transpose", "linear", "bilinear", "matmul", "attention", "lstm", "gru", "rnn"})
"""Kinds that multiply."""
_TAGS = ("pointwise", "reduction", "view_copy")
_SUFFIXES = ("_backward", "_backward_data", "_copy", "_scatter", "_functional")
_PREFIXES = ("_foreach_", "_functional")
_MULTIPLYING_DRAWS = ("attention", "rnn", "lstm")
"""Parts of the names of operators that multiply, and draw random numbers for their dropout."""


@cache
def is_free(name: str) -> bool:
    """Whether an operator is known to multiply nothing."""
    base = base_name(name)
    if KINDS.get(base) in MULTIPLYING:
        return False
    if is_listed(name) or base in FREE:
        return True
    if any(_says_so(base, func) for form in (name, base) for func in _overloads(form)):
        return True
    others = [base.removesuffix(suffix) for suffix in _SUFFIXES] + [base.removeprefix(each) for each in _PREFIXES]
    return any(is_free(other) for other in others if other not in ("", base))


def _overloads(name: str) -> Iterator[Any]:
    packet = getattr(torch.ops.aten, name, None)
    return iter(()) if packet is None else (getattr(packet, overload) for overload in packet.overloads())


def _says_so(name: str, func: Any) -> bool:
    """Whether the schema and the tags of an overload show that it multiplies nothing."""
    returns = func._schema.returns
    if not func._schema.is_mutable and not any("Tensor" in str(value.type) for value in returns):
        return True
    if returns and all(value.alias_info is not None and not value.alias_info.is_write for value in returns):
        return True  # a view
    tags = {tag.name for tag in func.tags}
    draws = "nondeterministic_seeded" in tags and not any(part in name for part in _MULTIPLYING_DRAWS)
    return draws or not tags.isdisjoint(_TAGS)
