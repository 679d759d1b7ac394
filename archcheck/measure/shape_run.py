"""Compute one dispatched operation on shapes alone, or for real when its operands are small and real."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from archcheck.measure.arguments import Call, bind, map_tensors, op_name
from archcheck.measure.bounds import BOUNDS, bounded
from archcheck.measure.kinds import is_known
from archcheck.measure.shape_rules import RULES
from archcheck.measure.shape_tensor import CPU, META, ShapeTensor, wrap
from archcheck.measure.twins import Twins

SMALL = 1 << 20
"""Elements up to which a tensor that depends on no input is computed for real."""

MANY = 10_000
"""Bounded values after which the code is taken to wait for one that never comes."""

_VALUES = ("item", "_local_scalar_dense", "is_nonzero", "equal", "allclose")


class ShapeRunner:
    """Runs operations; `names` are the ids of the model's parameters and buffers."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.bounds: set[str] = set()
        self.twins = Twins()
        self._names = names
        self._stale: set[int] = set()  # memory whose values are no longer what they should be
        self._known: dict[int, torch.Tensor] = {}
        self._bounded = 0

    def run(
        self,
        func: Any,
        name: str,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tensors: list[torch.Tensor],
    ) -> Any:
        """Return the result of one operation; `NotImplemented` asks the caller to decompose it."""
        if not tensors:
            return self._factory(func, args, kwargs)
        by_shape = any(map(self._without_values, tensors))
        if name in _VALUES and by_shape and all(map(self._has_value, tensors)):
            return func(*args, **kwargs)  # the value of a real parameter or buffer is known
        if not by_shape and all(tensor.numel() <= SMALL for tensor in tensors):
            return func(*args, **_on_cpu(kwargs))
        if name == "_pack_padded_sequence" and not isinstance(call["lengths"], ShapeTensor):
            return _pack(call)
        if name == "_pad_packed_sequence" and not isinstance(call["batch_sizes"], ShapeTensor):
            return _unpack(call)
        if name not in RULES and name not in BOUNDS and not is_known(name, func) and func._can_decompose():
            return NotImplemented
        return self._by_shape(func, name, args, kwargs, tensors)

    def _without_values(self, tensor: torch.Tensor) -> bool:
        return (
            isinstance(tensor, ShapeTensor)
            or id(tensor) in self._names
            or tensor.device.type == "meta"
            or (bool(self._stale) and self.twins.key(tensor) in self._stale)
        )

    def _has_value(self, tensor: torch.Tensor) -> bool:
        real = not isinstance(tensor, ShapeTensor) and tensor.device.type != "meta"
        return real and self.twins.key(tensor) not in self._stale

    @staticmethod
    def _factory(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _makes_much(op_name(func), args):
            return wrap(func(*args, **{**kwargs, "device": META}))
        return func(*args, **_on_cpu(kwargs))

    def _by_shape(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[torch.Tensor]
    ) -> Any:
        meta_args = map_tensors(self._meta, args)
        meta_kwargs = {key: map_tensors(self._meta, value) for key, value in kwargs.items()}
        if func._schema.is_mutable and _writes_first(func):
            return self._in_place(args)
        call = bind(func, meta_args, meta_kwargs)
        result = bounded(name, call)
        if result is not NotImplemented:
            self._note_bound(name)
        else:
            rule = RULES.get(name)
            result = rule(call) if rule and len(func._schema.returns) else None
            if result is None:
                result = func(*_on_meta(meta_args), **_on_meta(meta_kwargs))
        inference = not _makes_views(func) or all(tensor.is_inference() for tensor in tensors)
        return map_tensors(lambda out: self._wrap(out, meta_args, args, inference), result)

    def _meta(self, tensor: torch.Tensor) -> torch.Tensor:
        if isinstance(tensor, ShapeTensor):
            return tensor.meta
        if id(tensor) not in self._names:
            return self.twins.of(tensor)
        twin = self._known.get(id(tensor))
        if twin is None or twin.shape != tensor.shape:
            twin = self._known[id(tensor)] = self.twins.of(tensor)
        return twin

    def _note_bound(self, name: str) -> None:
        self.bounds.add(name)
        self._bounded += 1
        if self._bounded > MANY:
            raise RuntimeError(f"a loop waits for a value of `{name}`, which shapes alone do not have")

    def _in_place(self, args: tuple[Any, ...]) -> Any:
        """A write keeps the outside of its target; a real target then no longer has the values it should."""
        target = args[0]
        if not isinstance(target, ShapeTensor):
            self._meta(target)  # from here on its memory has a twin
            self._stale.add(self.twins.key(target))
        return target

    @staticmethod
    def _wrap(out: torch.Tensor, metas: Any, originals: Any, inference: bool) -> torch.Tensor:
        if isinstance(out, ShapeTensor) or out.device.type != "meta":
            return out
        for meta, original in zip(metas, originals, strict=False):
            if out is meta:
                return original  # type: ignore[no-any-return]
        return wrap(out, inference=inference)


_RESHAPING = frozenset({
    "resize_", "t_", "transpose_", "squeeze_", "unsqueeze_", "set_", "resize_as_", "as_strided_", "swapaxes_",
    "swapdims_", "detach_", "requires_grad_",
})  # fmt: skip


@cache
def _writes_first(func: Any) -> bool:
    schema = func._schema
    name = schema.name.rpartition("::")[2]
    first = schema.arguments[0] if schema.arguments else None
    return (
        name not in _RESHAPING
        and first is not None
        and first.alias_info is not None
        and first.alias_info.is_write
        and len(schema.returns) == 1
    )


@cache
def _makes_views(func: Any) -> bool:
    return any(value.alias_info is not None for value in func._schema.returns)


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
    """Factories that name another device make real tensors here: only their shape and values matter."""
    device = kwargs.get("device")
    return kwargs if device is None else {**kwargs, "device": CPU}


def _on_meta(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: META if isinstance(item, torch.device) else item for key, item in value.items()}
    return tuple(META if isinstance(item, torch.device) else item for item in value)


def _pack(call: Call) -> Any:
    """Packing keeps `sum(lengths)` steps (torch.nn.utils.rnn.pack_padded_sequence)."""
    data, lengths = call["input"], call["lengths"]
    steps = int(lengths.max())
    batch_sizes = torch.tensor([int((lengths > step).sum()) for step in range(steps)])
    packed = torch.empty((int(lengths.sum()), *data.shape[2:]), dtype=data.dtype, device=META)
    return wrap(packed), batch_sizes


def _unpack(call: Call) -> Any:
    data, batch_sizes = call["data"], call["batch_sizes"]
    steps, batch = max(len(batch_sizes), call["total_length"]), int(batch_sizes[0])
    lead = (batch, steps) if call["batch_first"] else (steps, batch)
    lengths = torch.tensor([int((batch_sizes > row).sum()) for row in range(batch)])
    padded = torch.empty((*lead, *data.shape[1:]), dtype=data.dtype, device=META)
    return wrap(padded), lengths
