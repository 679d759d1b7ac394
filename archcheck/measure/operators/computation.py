"""Computes one dispatched operation by shapes alone, or for real if its operands are small and real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from archcheck.measure.operators.operator_results import Answer, Made, Recipe, answer, shapes_of
from archcheck.measure.operators.schema import VALUES, Operator
from archcheck.measure.operators.sparse_cost import is_sparse
from archcheck.measure.shapes.arguments import Call, bind
from archcheck.measure.shapes.containers import map_tensors, tensors_in
from archcheck.measure.shapes.memory import Memory
from archcheck.measure.shapes.operator_shapes import RULES
from archcheck.measure.shapes.shape_rules import broadcast, expect
from archcheck.measure.shapes.tensor import (
    CPU,
    META,
    ShapeTensor,
    any_meta_of,
    meta_of,
    metadata_of,
    reshape,
    shape_tensor,
)
from archcheck.measure.shapes.unknown_sizes import BOUNDS, bounded

SMALL = 1 << 20
"""Most elements of a tensor that is computed for real because it depends on no input."""

MANY = 10_000
"""Bounded values in one pass after which the code counts as a loop that waits for a value."""


class ShapeRunner:
    """Runs operations; `names` are the ids of the model's parameters and buffers."""

    def __init__(self, names: Mapping[int, str], memory: Memory) -> None:
        self.bounds: set[str] = set()
        self._memory = memory
        self._names = names
        self._bounded = 0

    def run(
        self,
        operator: Operator,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tensors: list[torch.Tensor],
        known: Answer | None,
        *,
        by_shape: bool,
    ) -> tuple[Any, Answer | None]:
        """Return the result of one operation and its description, `NotImplemented` if it must be decomposed.

        `known` is the description of a call with the same signature. `by_shape` says that an operand has no values.

        Raises:
            RuntimeError: the operation needs values.
        """
        func, name = operator.func, operator.name
        if not tensors:
            return _told(operator, args, kwargs, self._factory(func, name, args, kwargs), known)
        if name in VALUES and by_shape and all(map(self._has_value, tensors)):
            result = func(*args, **kwargs)  # the value of a real parameter or buffer is known
            return _told(operator, args, kwargs, result, None)
        if not by_shape and all(tensor.numel() <= SMALL for tensor in tensors):
            return _told(operator, args, kwargs, fresh(operator, func(*args, **_on_cpu(kwargs)), tensors), known)
        packing = _PACKING.get(name)
        if packing is not None:
            call, sizes = bind(func, args, kwargs), packing[1]
            if not isinstance(call[sizes], ShapeTensor):
                return _told(operator, args, kwargs, self._own(packing[0](call)), None)
        if operator.inside:
            return NotImplemented, None
        return self._by_shape(operator, args, kwargs, tensors)

    def recipe_of(
        self, operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[torch.Tensor]
    ) -> Recipe | None:
        """Return how `run` makes the result of an operation by shape that writes to nothing.

        It is `None` for an operation that `run` treats in another way, or that is decomposed.
        """
        special = operator.inside or operator.name in VALUES or operator.name in _PACKING or operator.name in BOUNDS
        if special or not operator.by_shape or is_sparse(*tensors):
            return None
        metas = [any_meta_of(tensor) for tensor in tensors]
        meta_args, meta_kwargs = _with_metas(args, kwargs, metas)
        result = self._compute(operator, bind(operator.func, meta_args, meta_kwargs), meta_args, meta_kwargs)
        return self._recipe(operator, result, metas)

    def without_values(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is used by its shape alone: it depends on an input, or is a parameter or buffer."""
        return (
            tensor.__class__ is ShapeTensor
            or id(tensor) in self._names
            or tensor.device.type == "meta"
            or (self._memory.any_stale and self._memory.of(tensor).stale)
        )

    def _has_value(self, tensor: torch.Tensor) -> bool:
        real = not isinstance(tensor, ShapeTensor) and tensor.device.type != "meta"
        return real and not self._memory.of(tensor).stale

    def _factory(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _makes_much(name, args):
            return self._own(func(*args, **{**kwargs, "device": META}))
        return func(*args, **_on_cpu(kwargs))

    def _own(self, result: Any) -> Any:
        """Return results with each meta tensor replaced by a tensor without values in new memory."""
        return map_tensors(self._own_tensor, result)

    def _own_tensor(self, out: torch.Tensor) -> torch.Tensor:
        if out.device.type != "meta":
            return out
        return shape_tensor(metadata_of(out), self._memory.new(out.untyped_storage().nbytes()))

    def _by_shape(
        self, operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[torch.Tensor]
    ) -> tuple[Any, Answer | None]:
        if is_sparse(*tensors):  # the stored elements decide the cost, and no shape tells them
            self.bounds.add(operator.name)
            raise RuntimeError(f"`{operator.name}` reads a sparse tensor, whose stored elements no shape tells")
        # Operands that the operation writes to need distinct meta tensors; others may share one.
        distinct = operator.mutates and not operator.writes_first
        metas = [(meta_of if distinct else any_meta_of)(tensor) for tensor in tensors]
        meta_args, meta_kwargs = _with_metas(args, kwargs, metas)
        call = bind(operator.func, meta_args, meta_kwargs)
        if operator.writes_first:
            if operator.name in _ELEMENTWISE:
                _expect_room(metas)
            told = answer(operator, call, [metas[0]], recipe=_SAME)
            return _SAME.make(tensors, self._memory), told
        if operator.mutates:
            return self._written(operator, call, metas, tensors)
        bound = bounded(operator.name, call)
        if bound is not NotImplemented:  # never from the cache, so that a loop over bounds is noticed
            self._note_bound(operator.name)
            told = answer(operator, call, list(tensors_in(bound)))
            return self._own(bound), told
        result = self._compute(operator, call, meta_args, meta_kwargs)
        recipe = self._recipe(operator, result, metas) if operator.by_shape else None
        told = answer(operator, call, list(tensors_in(result)), recipe=recipe)
        return (recipe.make(tensors, self._memory) if recipe else self._own(result)), told

    def _written(
        self, operator: Operator, call: Call, metas: list[torch.Tensor], tensors: list[torch.Tensor]
    ) -> tuple[Any, Answer]:
        """Run an operation that writes to some of its operands, which it returns."""
        if operator.name == "set_":
            raise RuntimeError("a tensor without values cannot be put into other memory")
        result = operator.func(**on_meta(dict(call)))
        told = answer(operator, call, list(tensors_in(result)))
        by_meta = {id(meta): tensor for meta, tensor in zip(metas, tensors, strict=True)}
        for name in operator.written:
            for meta in tensors_in(call[name]):
                target = by_meta[id(meta)]
                if metadata_of(meta) != metadata_of(target):  # `out=` takes the shape of the result, too
                    reshape(target, metadata_of(meta))
                if not isinstance(target, ShapeTensor):
                    self._memory.spoil(target)
        return map_tensors(lambda out: by_meta[id(out)] if id(out) in by_meta else self._own_tensor(out), result), told

    def _compute(self, operator: Operator, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if operator.name in _DROPOUTS and (not call["train"] or call["p"] == 0):
            return call["input"]  # torch returns the input itself
        rule = RULES.get(operator.name)
        result = rule(call) if rule and operator.returns else None
        return operator.func(*on_meta(args), **on_meta(kwargs)) if result is None else result

    def _recipe(self, operator: Operator, result: Any, metas: list[torch.Tensor]) -> Recipe | None:
        """Return the recipe of a result, `None` if the result is not made of plain meta tensors."""
        sequence = isinstance(result, list | tuple)
        flat = list(result) if sequence else [result]
        if not all(isinstance(out, torch.Tensor) and out.device.type == "meta" for out in flat):
            return None
        storages = [int(meta.untyped_storage()._cdata) for meta in metas]
        made = tuple(_made(out, storages) for out in flat)
        return Recipe(made, wraps=type(result) if sequence else None, ordinary_views=operator.makes_views)

    def _note_bound(self, name: str) -> None:
        self.bounds.add(name)
        self._bounded += 1
        if self._bounded > MANY:
            raise RuntimeError(f"a loop waits for a value of `{name}`, which shapes alone do not have")


def _told(operator: Operator, args: Any, kwargs: Any, result: Any, known: Answer | None) -> tuple[Any, Answer]:
    """Return a result with its description: the `known` one if the shapes are the same."""
    if known is not None and known.shapes == shapes_of(result):
        return result, known
    call = bind(operator.func, args, kwargs)
    return result, answer(operator, call, list(tensors_in(result)))


_SAME = Recipe(None)

_DROPOUTS = frozenset({"dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"})

_ELEMENTWISE = frozenset({"add_", "sub_", "mul_", "div_", "pow_", "copy_", "masked_fill_", "addcmul_", "addcdiv_"})
"""Operators that write to their first operand, and broadcast the others to its shape."""


def _expect_room(metas: list[torch.Tensor]) -> None:
    shape = metas[0].shape
    needed = broadcast(*(meta.shape for meta in metas))
    expect(needed == shape, f"a tensor of shape {tuple(shape)} was to be written to with one of shape {needed}")


def fresh(operator: Operator, result: Any, tensors: list[torch.Tensor]) -> Any:
    """Return `result` as a new tensor if the operation returned its input, like dropout in evaluation."""
    if not operator.mutates and isinstance(result, torch.Tensor) and any(result is tensor for tensor in tensors):
        return torch.ops.aten.alias(result)
    return result


def _made(out: torch.Tensor, storages: list[int]) -> Made:
    storage = out.untyped_storage()
    shares = storages.index(storage._cdata) if storage._cdata in storages else -1
    return Made(metadata_of(out), shares, storage.nbytes())


def _with_metas(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], metas: list[torch.Tensor]
) -> tuple[Any, dict[str, Any]]:
    """Return the arguments with their tensors replaced, in order."""
    pending = iter(metas)
    return _swapped(args, pending), {key: _swapped(kwargs[key], pending) for key in kwargs}


def _swapped(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    return map_tensors(lambda _: next(tensors), value)


def _makes_much(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a factory's arguments ask for more than `SMALL` elements."""
    first = args[0] if args else 0
    if isinstance(first, list | tuple):
        return torch.Size(first).numel() > SMALL
    counts = [value for value in args if isinstance(value, int)]
    if name == "eye":
        return bool(counts) and counts[0] * counts[-1] > SMALL
    return max(counts, default=0) > SMALL


def _on_cpu(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with the CPU as the device: only shapes and values matter."""
    device = kwargs.get("device")
    return kwargs if device is None else {**kwargs, "device": CPU}


def on_meta(value: Any) -> Any:
    """Return arguments, in a dictionary or a tuple, with the meta device in place of every device."""
    if isinstance(value, dict):
        return {key: META if isinstance(item, torch.device) else item for key, item in value.items()}
    return tuple(META if isinstance(item, torch.device) else item for item in value)


def _pack(call: Call) -> Any:
    """Return what `torch.nn.utils.rnn.pack_padded_sequence` does: it keeps `sum(lengths)` steps."""
    data, lengths = call["input"], call["lengths"]
    steps = int(lengths.max())
    batch_sizes = torch.tensor([int((lengths > step).sum()) for step in range(steps)], device="cpu")
    return torch.empty((int(lengths.sum()), *data.shape[2:]), dtype=data.dtype, device=META), batch_sizes


def _unpack(call: Call) -> Any:
    data, batch_sizes = call["data"], call["batch_sizes"]
    steps, batch = max(len(batch_sizes), call["total_length"]), int(batch_sizes[0])
    lead = (batch, steps) if call["batch_first"] else (steps, batch)
    lengths = torch.tensor([int((batch_sizes > row).sum()) for row in range(batch)], device="cpu")
    return torch.empty((*lead, *data.shape[1:]), dtype=data.dtype, device=META), lengths


_PACKING = {"_pack_padded_sequence": (_pack, "lengths"), "_pad_packed_sequence": (_unpack, "batch_sizes")}
"""Operators whose results have sizes that depend on the values of one real operand."""
