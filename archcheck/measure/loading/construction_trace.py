"""Records how a subject's tensors are made: the operations of torch that run while it is imported and built.

A block is one piece of memory. Each step makes blocks or writes to them. What no step made has been given: typed,
decoded, loaded, computed elsewhere. So is what a generator draws. The steps can be run again, and then they tell
whether a tensor still holds what its formula gives (see `structure.formulas`).
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
"""Steps that are recorded; what is made later has been given."""
_KEPT = 1 << 12
"""Bytes of a block that was given up to which its numbers are kept: a larger one makes no formula short."""
_LEAST = 16
"""Elements from which a result can be found by its outside."""
_ALIKE = 64
"""Results of one outside that are remembered, the latest."""
_PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
_COVERS = frozenset({"copy_", "fill_", "zero_"})
"""Operators that leave nothing of what they write to."""
_ELSEWHERE = frozenset({"from_file"})
"""Operators that bring numbers from outside."""


@dataclass(frozen=True, slots=True)
class View:
    """Where a tensor lies in a block."""

    block: int
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    conj: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Step:
    """An operation with its arguments, whose tensors are views, and what it `made`: blocks by the place of a result.

    `float_dtype` is what floating numbers were at that time, where nothing said so.
    """

    operator: Operator
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    reads: tuple[View, ...]
    made: tuple[tuple[int, int], ...]
    float_dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Given:
    """Numbers of a block that came from outside; `content` are its bytes, `None` where there are too many."""

    block: int
    dtype: torch.dtype
    content: torch.Tensor | None


class Construction(Dispatch):
    """The steps in their order, and where each block was written to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step | Given] = []
        self.writers: dict[int, list[int]] = {}
        self.covered: dict[int, list[int]] = {}
        self._blocks: dict[int, tuple[int, StorageWeakRef]] = {}  # a weak reference keeps an address from coming again
        self._alike: dict[tuple[torch.dtype, tuple[int, ...]], list[tuple[View, int]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation and record it."""
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs)
        if len(self.steps) >= _MOST:
            return func(*args, **kwargs)
        operator = operator_of(func)
        writes = operator.mutates and operator.name != "set_"  # which moves a tensor elsewhere and writes nothing
        told = None
        if writes:
            with suppress(Exception):
                told = self._told(operator, args, kwargs)
        result = func(*args, **kwargs)
        with suppress(Exception):  # a tensor of a class or layout that nobody foresaw: then it has been given
            self._record(operator, args, kwargs, result, told, writes=writes)
        return result

    def places(self, tensor: torch.Tensor) -> Iterator[tuple[View, int]]:
        """Yield where a tensor may have been made, with the number of steps up to then: its own memory comes first."""
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
        told: tuple[Any, Any, tuple[View, ...]] | None,
        *,
        writes: bool,
    ) -> None:
        results = _tensors(result)
        new = [(place, each) for place, each in enumerate(results) if self._block(each) is None]
        if not new and not writes:
            return
        written = [each for name in operator.written for each in _tensors(bind(operator.func, args, kwargs)[name])]
        told = told if writes else self._told(operator, args, kwargs)
        if told is None:
            for tensor in (*written, *(each for _, each in new)):
                self._give(tensor)
            return
        new = [(place, each) for place, each in new if self._block(each) is None]  # it may be the memory of an argument
        if not new and not writes:
            return
        index = len(self.steps)
        made = tuple((place, block) for place, each in new if (block := self._add(each)) is not None)
        self.steps.append(Step(operator, told[0], told[1], told[2], made, torch.get_default_dtype()))
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

    def _told(
        self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any], tuple[View, ...]] | None:
        """Return the arguments with views in place of tensors, and these; `None` where they tell nothing."""
        aten = operator.func.namespace in ("aten", "prims")
        if operator.draws or not aten or operator.name in _ELSEWHERE or operator.body is not None:
            return None
        views: list[View] = []
        try:
            told = self._told_of(args, views), {name: self._told_of(each, views) for name, each in kwargs.items()}
        except _Untold:
            return None
        return *told, tuple(views)

    def _told_of(self, value: Any, views: list[View]) -> Any:
        if value.__class__ in ATOMS:
            return value
        if isinstance(value, torch.Tensor):
            if value.__class__ not in _PLAIN:
                raise _Untold
            if self._block(value) is None:
                self._give(value)
            view = self._view(value)
            if view is None:
                raise _Untold
            views.append(view)
            return view
        if isinstance(value, list | tuple):
            return [self._told_of(each, views) for each in value]
        if isinstance(value, torch.Generator | torch.UntypedStorage | torch.TypedStorage):
            raise _Untold
        return value

    def _give(self, tensor: torch.Tensor) -> None:
        """Take the numbers of a tensor as they are now."""
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
        """Return the block of a tensor whose memory is new."""
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


class _Untold(Exception):  # noqa: N818 - it ends a walk
    """An argument that cannot be written down."""


def _storage(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return storage_of(tensor) if plain else None


def _flat(value: Any) -> list[Any]:
    return [each for part in value for each in _flat(part)] if isinstance(value, list | tuple) else [value]


def _tensors(value: Any) -> list[torch.Tensor]:
    return [each for each in _flat(value) if isinstance(each, torch.Tensor)]
