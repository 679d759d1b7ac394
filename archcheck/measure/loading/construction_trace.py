"""Record how a subject's tensors are made: the torch operations that run while it is imported and built.

A block is one storage. Each step makes blocks or writes to them. A block that no step made is given: its numbers were
typed, decoded, loaded or computed elsewhere. Random numbers are given, too. `structure.formulas` runs the steps again
to check whether a tensor still has the values of its formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from archcheck.measure.operators.schema import Operator, operator_of
from archcheck.measure.shapes.arguments import bind
from archcheck.measure.shapes.containers import ATOMS
from archcheck.measure.shapes.dispatch_mode import Dispatch
from archcheck.measure.shapes.memory import storage_of

_MOST = 1 << 17
"""Steps that are recorded at most; blocks that are made later are given."""
_KEPT = 1 << 12
"""Bytes of a given block at most whose numbers are kept: a formula with more is not short."""
_LEAST = 16
"""A result with more elements can be found by its dtype and shape."""
_ALIKE = 64
"""Results of one dtype and shape that are remembered: the latest."""
_PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
_COVERS = frozenset({"copy_", "fill_", "zero_"})
"""Operators that overwrite all elements."""
_ELSEWHERE = frozenset({"from_file"})
"""Operators that read numbers from outside of torch."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of a block that a tensor shows."""

    block: int
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    conj: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Step:
    """An operation with its arguments, with views for tensors, and what it `made`: pairs of result index and block.

    `float_dtype` is torch's default dtype at that time.
    """

    operator: Operator
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    reads: tuple[View, ...]
    made: tuple[tuple[int, int], ...]
    float_dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Given:
    """A block whose numbers came from outside; `content` are its bytes, `None` if there are too many."""

    block: int
    dtype: torch.dtype
    content: torch.Tensor | None


class Construction(Dispatch):
    """The steps in order, and the indices of the steps that write to each block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step | Given] = []
        self.writers: dict[int, list[int]] = {}
        self.covered: dict[int, list[int]] = {}
        self._blocks: dict[int, tuple[int, StorageWeakRef]] = {}  # the weak reference keeps an address from reuse
        self._alike: dict[tuple[torch.dtype, tuple[int, ...]], list[tuple[View, int]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation and record it."""
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs)
        if len(self.steps) >= _MOST:
            return func(*args, **kwargs)
        operator = operator_of(func)
        writes = operator.mutates and operator.name != "set_"  # `set_` changes the storage and writes nothing
        recorded = None
        if writes:
            with suppress(Exception):
                recorded = self._recorded_arguments(operator, args, kwargs)
        result = func(*args, **kwargs)
        with suppress(Exception):  # an unknown tensor class or layout: its results count as given
            self._record(operator, args, kwargs, result, recorded, writes=writes)
        return result

    def places(self, tensor: torch.Tensor) -> Iterator[tuple[View, int]]:
        """Yield the views that may have made a tensor, with the number of steps until then: its own memory first."""
        view = self._view(tensor)
        if view is not None:
            yield view, len(self.steps)
        yield from reversed(self._alike.get((tensor.dtype, tuple(tensor.shape)), ()))

    def _record(
        self,
        operator: Operator,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        recorded: tuple[Any, Any, tuple[View, ...]] | None,
        *,
        writes: bool,
    ) -> None:
        results = _tensors(result)
        new = [(place, each) for place, each in enumerate(results) if self._block(each) is None]
        if not new and not writes:
            return
        written = [each for name in operator.written for each in _tensors(bind(operator.func, args, kwargs)[name])]
        recorded = recorded if writes else self._recorded_arguments(operator, args, kwargs)
        if recorded is None:
            for tensor in (*written, *(each for _, each in new)):
                self._record_given(tensor)
            return
        new = [(place, each) for place, each in new if self._block(each) is None]  # not the memory of an argument
        if not new and not writes:
            return
        index = len(self.steps)
        made = tuple((place, block) for place, each in new if (block := self._add(each)) is not None)
        self.steps.append(Step(operator, recorded[0], recorded[1], recorded[2], made, torch.get_default_dtype()))
        for _, block in made:
            self.writers[block] = [index]
        for tensor in written:
            self._write(tensor, index, covers=operator.name in _COVERS)
        for each in results:
            if each.numel() > _LEAST and (view := self._view(each)):
                self._alike.setdefault((each.dtype, view.shape), []).append((view, len(self.steps)))
                del self._alike[each.dtype, view.shape][:-_ALIKE]

    def _write(self, tensor: torch.Tensor, index: int, *, covers: bool) -> None:
        storage, block = _storage(tensor), self._block(tensor)
        if storage is None or block is None:
            return
        self.writers[block].append(index)
        if covers and tensor.is_contiguous() and storage.nbytes() == tensor.nbytes:
            self.covered.setdefault(block, []).append(index)

    def _recorded_arguments(
        self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any], tuple[View, ...]] | None:
        """Return the arguments with views in place of tensors, and the views; `None` if they cannot be recorded."""
        aten = operator.func.namespace in ("aten", "prims")
        if operator.draws or not aten or operator.name in _ELSEWHERE or operator.body is not None:
            return None
        views: list[View] = []
        try:
            recorded = self._recorded_value(args, views)
            named = {name: self._recorded_value(each, views) for name, each in kwargs.items()}
        except _Unrecordable:
            return None
        return recorded, named, tuple(views)

    def _recorded_value(self, value: Any, views: list[View]) -> Any:
        if value.__class__ in ATOMS:
            return value
        if isinstance(value, torch.Tensor):
            if value.__class__ not in _PLAIN:
                raise _Unrecordable
            if self._block(value) is None:
                self._record_given(value)
            view = self._view(value)
            if view is None:
                raise _Unrecordable
            views.append(view)
            return view
        if isinstance(value, list | tuple):
            return [self._recorded_value(each, views) for each in value]
        if isinstance(value, torch.Generator | torch.UntypedStorage | torch.TypedStorage):
            raise _Unrecordable
        return value

    def _record_given(self, tensor: torch.Tensor) -> None:
        """Record the current numbers of a tensor as given."""
        storage, block = _storage(tensor), self._block(tensor)
        if storage is None:
            return
        content = None
        if storage.nbytes() <= _KEPT:
            content = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage).clone()
        block = self._add(tensor) if block is None else block
        if block is not None:
            self.writers.setdefault(block, []).append(len(self.steps))
            self.covered.setdefault(block, []).append(len(self.steps))
            self.steps.append(Given(block, tensor.dtype, content))

    def _add(self, tensor: torch.Tensor) -> int | None:
        """Return the block of a tensor; register it if its memory is new."""
        storage = _storage(tensor)
        if storage is None:
            return None
        known = self._blocks.setdefault(storage._cdata, (len(self._blocks), StorageWeakRef(storage)))  # type: ignore[no-untyped-call]
        return known[0]

    def _block(self, tensor: torch.Tensor) -> int | None:
        storage = _storage(tensor)
        known = None if storage is None else self._blocks.get(storage._cdata)
        return None if known is None else known[0]

    def _view(self, tensor: torch.Tensor) -> View | None:
        block = self._block(tensor)
        if block is None:
            return None
        return View(
            block=block,
            dtype=tensor.dtype,
            offset=int(tensor.storage_offset()),
            shape=tuple(tensor.shape),
            strides=tensor.stride(),
            conj=tensor.is_conj(),
            negative=tensor.is_neg(),
        )


class _Unrecordable(Exception):  # noqa: N818 - it ends a recursion
    """An argument that cannot be recorded."""


def _storage(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return storage_of(tensor) if plain else None


def _flat(value: Any) -> list[Any]:
    return [each for part in value for each in _flat(part)] if isinstance(value, list | tuple) else [value]


def _tensors(value: Any) -> list[torch.Tensor]:
    return [each for each in _flat(value) if isinstance(each, torch.Tensor)]
