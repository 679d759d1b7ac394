"""Finds operations whose results change nothing in the operations that read them, on real numbers.

A result is *silent* if it no longer depends on the input: it is empty, a power of zero, or zero in every element
although its operands are not (a factor or a frozen scale of zero, a tensor minus itself). An operand is *cut off* if it
is silent, or if the result equals another operand bit by bit (`x + 1e-30 * y`, `torch.where(False, y, x)`, an
overwritten tensor). Zeros from an activation, a mask or a pooling are neither, because they differ between samples.
Trainable parameters should not be zero in the pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from archcheck.measure.passes.event import Event
from archcheck.measure.passes.saved_values import are_equal, first_of
from archcheck.measure.shapes.arguments import Call

_PRODUCTS = frozenset({
    "add", "batch_norm", "bmm", "clamp", "conv", "conv_transpose", "div", "group_norm", "instance_norm", "layer_norm",
    "lerp", "linear", "matmul", "mul", "nan_to_num", "sub",
})  # fmt: skip
"""Kinds whose result is zero in every element only if a factor, a scale or a difference is zero."""
_SUMS = frozenset({"add", "lerp", "sub"})
_CHOICES = frozenset({"masked_fill", "masked_scatter", "where"})
_CONDITIONS = frozenset({"condition", "mask"})


class Silence:
    """Follows one pass on real tensors; `cut` has the pairs (reader, maker) of events between which nothing passes."""

    def __init__(self) -> None:
        self.cut: set[tuple[int, int]] = set()
        self._silent: set[int] = set()
        self._zero: set[int] = set()
        self._dependent: list[bool] = []

    @staticmethod
    def before(kind: str, call: Call, mutates: bool) -> torch.Tensor | None:
        """Return a copy of the tensor that an operation overwrites, if `note` has to compare it."""
        target = call.get("self")
        return target.clone() if mutates and kind in _SUMS | _CHOICES and isinstance(target, torch.Tensor) else None

    def note(
        self, event: Event, call: Call, tensors: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor], before: Any
    ) -> None:
        """Look at one operation and its numbers; `before` is the tensor that it has overwritten."""
        self._skip_constants(event)
        fresh = event.kind == "factory"  # it reads the shape of its operands, not their numbers
        dependent = [index >= 0 and self._dependent[index] and not fresh for index in event.operands]
        self._dependent.append(any(dependent))
        if not outputs or not outputs[0].is_floating_point() or outputs[0].layout is not torch.strided:
            return
        if any(each.is_meta for each in (*outputs, *tensors)):  # they have no numbers
            return
        out = outputs[0]
        if not (first_of(out).any() or out.any()):
            self._zero.add(event.index)
        if self._is_silent(event, call, dependent, out):
            self._silent.add(event.index)
        self.cut.update((event.index, index) for index in event.inputs if index in self._silent)
        self._cut_off(event, [*tensors] if before is None else [before, *tensors[1:]], out)

    def enter(self, event: Event) -> None:
        """Note an input of the model."""
        self._skip_constants(event)
        self._dependent.append(True)

    def _skip_constants(self, event: Event) -> None:
        """Note that the events before this one that were not shown are constants, which depend on no input."""
        self._dependent += [False] * (event.index - len(self._dependent))

    def _is_silent(self, event: Event, call: Call, dependent: Sequence[bool], out: torch.Tensor) -> bool:
        if not out.numel():
            return True
        varying = [index for index, depends in zip(event.operands, dependent, strict=True) if depends]
        if any(dependent) and all(index in self._silent for index in varying):
            return True
        if event.kind == "pow" and _is_zero(call.get("exponent")):
            return True
        if event.index not in self._zero or out.numel() < 2:
            return False
        if event.kind == "dropout" and not any(dependent):
            return True
        given_zeros = any(index in self._zero and index not in self._silent for index in varying)
        return event.kind in _PRODUCTS and not given_zeros

    def _cut_off(self, event: Event, tensors: Sequence[torch.Tensor], out: torch.Tensor) -> None:
        if event.kind == "copy" and event.op == "copy_" and len(event.operands) == 2:
            if _is_whole(out):
                self._cut_all_but(event, 1)
        elif event.kind in _SUMS or (event.kind in _CHOICES and self._is_settled(event)):
            same = [k for k, each in enumerate(tensors) if event.roles[k] not in _CONDITIONS and _is_same(each, out)]
            if same:
                self._cut_all_but(event, same[0])

    def _cut_all_but(self, event: Event, kept: int) -> None:
        for k, index in enumerate(event.operands):
            if k == kept or index < 0 or index == event.operands[kept] or event.roles[k] in _CONDITIONS:
                continue
            may_change = index in self._zero and index not in self._silent  # zeros of this sample alone
            if self._dependent[index] and not may_change:
                self.cut.add((event.index, index))

    def _is_settled(self, event: Event) -> bool:
        """Whether the condition or mask does not depend on the input."""
        return not any(
            index >= 0 and self._dependent[index] and role in _CONDITIONS
            for index, role in zip(event.operands, event.roles, strict=True)
        )


def _is_zero(value: Any) -> bool:
    return bool(value == 0) if isinstance(value, int | float) else False


def _is_whole(tensor: torch.Tensor) -> bool:
    """Whether a tensor fills its storage."""
    return tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()


def _is_same(tensor: torch.Tensor, out: torch.Tensor) -> bool:
    return tensor.shape == out.shape and tensor.dtype == out.dtype and are_equal(tensor, out)
