"""A pass by shapes alone of which only the outputs are kept: for hundreds of tries, most of which pass.

A record says which layer made what, with its cost and its line. To make it takes longer than the shapes themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from archcheck.measure.operators.operator_results import KNOWN
from archcheck.measure.operators.schema import operator_of
from archcheck.measure.passes.trace import Tracer, is_opened
from archcheck.measure.shapes.tensor import ShapeTensor


class UnrecordedTracer(Tracer):  # type: ignore[no-untyped-call]
    """Computes as a `Tracer` by shapes does, with the same results and errors, and records only what is unusual.

    That are operations on no tensor without values, those that write, and those whose results no recipe makes.
    """

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Compute what runs inside; calls of layers are not counted."""
        try:
            with self:
                yield
        finally:
            self.trace.bounds.update(self._shapes.bounds)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Compute one operation."""
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.OpOverload):
            operator = operator_of(func)
            if not operator.mutates and operator.body is None and not any(map(_is_foreign, types)):
                look, tensors, by_shape = self._looks.of(func, args, kwargs, self._shapes.without_values)
                known = KNOWN.get(look) if by_shape else None
                recipe = known.recipe if known else None
                if by_shape and recipe is None:
                    recipe = self._shapes.recipe_of(operator, args, kwargs, tensors)
                if recipe is not None:
                    return recipe.make(tensors, self.memory)
        return super().__torch_dispatch__(func, types, args, kwargs)


def _is_foreign(kind: type) -> bool:
    """Whether operations on a class of tensors are looked into."""
    return kind is not ShapeTensor and is_opened(kind)
