"""Counts how many numbers describe a tensor that a formula made while the subject was built.

The steps that lead to the tensor run again. They made it only if they give what the tensor holds now: what was loaded,
overwritten or moved since then does not follow from them. A formula counts as its different numbers and its data:
numbers typed, drawn, decoded or loaded, each counted by `distinct_numbers`. The order of its steps and their sizes do
not count, unless they are many and irregular. A formula that is a generator gives completely different numbers when its
own change a little, and does not make its elements count less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.facts.records import MUCH
from archcheck.facts.records import NUMBER_BYTES as BYTES
from archcheck.measure.loading.construction_trace import Construction, Given, Step, View
from archcheck.measure.operators.operator_results import numbers_of
from archcheck.measure.shapes.arguments import bind
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.structure.distinct_numbers import TRIVIAL, Size, numbers_in, sequence_worth, size_of
from archcheck.measure.structure.repeated_draws import NUDGE
from archcheck.measure.structure.sensitivity import changes_completely

_STIR = 1e-6
"""Share by which the first floating-point numbers of a formula are increased."""
_NEAR = 2
"""Rounding errors that each number may be off when it is computed again."""
_LONG = 1 << 14
"""Steps up to which a formula is followed."""
_PLACES = 24
"""Places at which a tensor is sought."""
_CODE = 64
"""Numbers that a compressor needs for the steps of a formula."""
_TABLE = 8
"""Elements per such number from which a tensor is a table that a formula fills."""
_FEW = 16
"""Elements of given data up to which each number counts once for all formulas."""
_NEIGHBOURS = 32
"""Steps up to which an operand is near."""


@dataclass(frozen=True, slots=True)
class Formula:
    """The different Python numbers of a formula, and how many numbers its data and its steps hold."""

    values: frozenset[complex]
    given: Size


class Formulas:
    """The formulas of one construction; there are none if the subject was built unobserved.

    Steps that made several tensors, such as the anchors of each level, count once.
    """

    def __init__(self, construction: Construction | None) -> None:
        self._construction = construction
        self._known: set[tuple[int, ...]] = set()

    def of(self, tensor: torch.Tensor) -> Formula | None:
        """Return the formula whose result a tensor still is; `None` if none is known."""
        made = self._construction
        if made is None or tensor.device.type == "meta":
            return None
        with torch.no_grad(), torch.inference_mode(False), suppress(Exception):  # a step that cannot be run again
            for count, (view, end) in enumerate(made.places(tensor)):
                if count >= _PLACES:
                    break
                with suppress(Exception):
                    if formula := self._formula(made, view, end, tensor):
                        return formula
        return None

    def _formula(self, made: Construction, view: View, end: int, tensor: torch.Tensor) -> Formula | None:
        steps = _leading_to(made, view.block, end)
        given = [step for step in steps if isinstance(step, Given)]
        if not steps or len(steps) > _LONG or any(each.content is None for each in given):
            return None
        replay = Recomputation(steps)
        if not _same(replay.tensor(view), tensor):
            return None
        nudged = Recomputation(steps, nudge=True)
        if changes_completely(tensor, nudged.tensor(view)) or replay.hashed:
            return None
        told = tuple(_encoded(steps))
        order = 0 if told in self._known else _numbers_in_steps(told, tensor.numel())
        self._known.add(told)
        tensors = list(map(_as_given, given))
        values = {number for each in tensors if each.numel() <= _FEW for number in each.tolist()} - TRIVIAL
        sizes = [size_of(each) for each in tensors if each.numel() > _FEW]
        return Formula(
            values=frozenset({*_values(steps), *values}),
            given=Size(order + sum(each.numbers for each in sizes), order * BYTES + sum(each.bytes for each in sizes)),
        )


def _leading_to(made: Construction, block: int, end: int) -> list[Step | Given]:
    """Return in order the steps that the content of a block after `end` steps depends on."""
    needed, pending = set[int](), [(block, end)]
    seen: dict[int, int] = {}
    while pending:
        each, before = pending.pop()
        if seen.get(each, -1) >= before:
            continue
        seen[each] = before
        since = max((index for index in made.covered.get(each, ()) if index < before), default=0)
        for index in made.writers.get(each, ()):
            if since <= index < before and index not in needed:
                needed.add(index)
                step = made.steps[index]
                pending += [(view.block, index) for view in step.reads] if isinstance(step, Step) else []
        if len(needed) > _LONG:
            break
    return [made.steps[index] for index in sorted(needed)]


class Recomputation:
    """The blocks of a formula, computed again; with `nudge`, from slightly larger numbers."""

    def __init__(self, steps: Sequence[Step | Given], *, nudge: bool = False) -> None:
        self._nudge = nudge
        self._storages: dict[int, torch.UntypedStorage] = {}
        self.hashed = False
        """Whether it uses integers that cannot be compressed."""
        before = torch.get_default_dtype()
        try:
            for step in steps:
                self._take(step) if isinstance(step, Given) else self._run(step)
        finally:
            torch.set_default_dtype(before)

    def tensor(self, view: View) -> torch.Tensor:
        """Return the tensor at a place."""
        if view.block not in self._storages:  # the first step covers it
            self._storages[view.block] = torch.UntypedStorage(math.prod(view.shape) * view.dtype.itemsize)  # type: ignore[no-untyped-call]
        plain = torch.empty(0, dtype=view.dtype, device="cpu")
        plain.set_(self._storages[view.block], view.offset, view.shape, view.strides)
        plain = plain.conj() if view.conj else plain
        return torch._neg_view(plain) if view.negative else plain

    def _take(self, given: Given) -> None:
        tensor = _as_given(given)
        if self._nudge and tensor.is_floating_point():
            tensor = tensor * (1 + _STIR)
        self._storages[given.block] = tensor.untyped_storage()

    def _run(self, step: Step) -> None:
        torch.set_default_dtype(step.float_dtype)
        args, kwargs = self._with_tensors(step.args), self._with_tensors(step.kwargs)
        if self._nudge and step.reads:
            args = [each * (1 + NUDGE) if isinstance(each, float) else each for each in args]
        results = list(tensors_in(step.operator.func(*args, **kwargs)))
        begins = self._nudge and not any(view.dtype.is_floating_point for view in step.reads)
        for place, block in step.made:
            made = results[place]
            if begins and made.is_floating_point():
                made.mul_(1 + _STIR)
            elif not self._nudge and _is_integer(made) and not self.hashed:
                self.hashed = numbers_in(made) > MUCH
            self._storages[block] = made.untyped_storage()

    def _with_tensors(self, value: Any) -> Any:
        if isinstance(value, View):
            return self.tensor(value)
        if isinstance(value, Mapping):
            return {name: self._with_tensors(each) for name, each in value.items()}
        return [self._with_tensors(each) for each in value] if isinstance(value, list | tuple) else value


def _as_given(given: Given) -> torch.Tensor:
    assert given.content is not None
    whole = len(given.content) // given.dtype.itemsize * given.dtype.itemsize
    return given.content.clone()[:whole].view(given.dtype)


def _is_integer(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _same(again: torch.Tensor, tensor: torch.Tensor) -> bool:
    if again.shape != tensor.shape or again.dtype != tensor.dtype:
        return False
    if torch.equal(again, tensor):
        return True
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    return torch.allclose(again, tensor, rtol=_NEAR * torch.finfo(tensor.dtype).eps, atol=0.0, equal_nan=True)


def _values(steps: Sequence[Step | Given]) -> Iterator[complex]:
    for step in steps:
        if isinstance(step, Step):
            call = bind(step.operator.func, tuple(step.args), step.kwargs)
            yield from (each for each in numbers_of(step.operator, call) if each not in TRIVIAL)


def _numbers_in_steps(told: Sequence[int], elements: int) -> int:
    """Return how many numbers the order and the sizes of the steps hold; none in a short formula."""
    worth = sequence_worth(told)
    return 0 if worth <= _CODE and worth * _TABLE <= elements else worth


def _encoded(steps: Sequence[Step | Given]) -> Iterator[int]:
    """Yield integers that describe the steps in turn, without their data."""
    makers: dict[int, int] = {}
    names: dict[str, int] = {}
    for index, step in enumerate(steps):
        if isinstance(step, Given):
            makers[step.block] = index
            continue
        yield names.setdefault(step.operator.name, len(names))
        yield from _integers((step.args, step.kwargs))
        yield from _encoded_operands(step.reads, makers, index)
        makers.update({block: index for _, block in step.made})


def _encoded_operands(views: Sequence[View], makers: Mapping[int, int], index: int) -> Iterator[int]:
    """Yield integers that describe the operands of a step, each as the difference from the one before.

    A near operand is encoded by its distance in steps, another one by its step: so the rounds of a loop are alike.
    """
    last: list[int] = []
    for view in views:
        maker = makers.get(view.block, -1)
        near = index - maker <= _NEIGHBOURS
        told = [near, index - maker if near else maker, view.offset, *view.shape, *view.strides]
        yield from told if len(told) != len(last) else (each - other for each, other in zip(told, last, strict=True))
        last = told


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, list | tuple) and not isinstance(value, View):
        for each in value:
            yield from _integers(each)
