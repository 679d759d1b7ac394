"""Locates operations of a real pass: the one that made the first NaN, and those that draw random numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.foundation.json_codec import encode
from archcheck.foundation.source_place import Where
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.shapes.arguments import op_name
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.dispatch_mode import Dispatch
from archcheck.measure.shapes.tensor import is_floating
from archcheck.measure.subject.source_places import relative


@dataclass(frozen=True, slots=True)
class Spot:
    """One operation; `fault` is that of its result (`""`: none), `sources` are the faulty operations that it reads."""

    op: str
    layer: str
    where: Where | None
    fault: str = ""
    sources: tuple[Spot, ...] = ()

    def told(self, root: str) -> dict[str, Any]:
        """Return it as JSON values, with its file relative to `root`."""
        return spot_told(self.op, self.layer, self.where, root)


def spot_told(op: str | None, layer: str, where: Where | None, root: str) -> dict[str, Any]:
    """Return an operation and its place as JSON values, with its file relative to `root`."""
    return {"op": op, "layer": layer, "where": encode(relative(where, root))}


def fault_in(tensor: torch.Tensor) -> str:
    """Return the worst of `NaN`, `infinity` and `minus infinity` in a tensor, `""` if all its numbers are finite."""
    if not is_floating(tensor) or tensor.device.type == "meta":
        return ""
    if bool(tensor.isfinite().all()):
        return ""
    if bool(tensor.isnan().any()):
        return "NaN"
    return "infinity" if tensor.is_complex() or bool(tensor.isposinf().any()) else "minus infinity"


class _Watch(Dispatch):
    """Sees every operation of a pass with the layer that runs it."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._layers = layers

    def spot(self, func: Any, **more: Any) -> Spot:
        """Return the operation that is being dispatched; to be called from `run`."""
        return Spot(op_name(func), *self._layers.now(sys._getframe(3)), **more)


class _Faults(_Watch):  # type: ignore[no-untyped-call]
    """Notes the operation that made each tensor with a fault."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.makers: dict[int, Spot] = {}
        self._alive: list[torch.Tensor] = []  # so that no other tensor gets the same identity

    def run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one operation."""
        result = func(*args, **kwargs)
        wrong = [(tensor, fault) for tensor in tensors_in(result) if (fault := fault_in(tensor))]
        if wrong:
            read = tuple(self.makers[id(each)] for each in tensors_in((args, kwargs)) if id(each) in self.makers)
            for tensor, fault in wrong:
                self.makers[id(tensor)] = self.spot(func, fault=fault, sources=read)
                self._alive.append(tensor)
        return result


class _Draws(_Watch):  # type: ignore[no-untyped-call]
    """Notes the operations that draw random numbers."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.spots: list[Spot] = []

    def run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one operation."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.spots.append(self.spot(func))
        return func(*args, **kwargs)


def origin(context: ProbeContext, run: Callable[[], Mapping[str, torch.Tensor]]) -> Spot | None:
    """Return the operation that causes the fault of the first faulty output, `None` if it was not seen."""
    layers = Layers(context.tree)
    faults = _Faults(layers)
    with layers.watching({}), faults:
        outputs = run()
    spot = next((faults.makers[id(each)] for each in outputs.values() if id(each) in faults.makers), None)
    return spot and _first(spot)


def _first(spot: Spot) -> Spot:
    """Follow the fault of a result back to its cause.

    A NaN comes from another NaN or from an overflow. Minus infinity is usual in masks, and no cause of a NaN.
    """
    while True:
        wanted = ("NaN", "infinity") if spot.fault == "NaN" else (spot.fault,)
        before = next((each for fault in wanted for each in spot.sources if each.fault == fault), None)
        if before is None:
            return spot
        spot = before


def draws(context: ProbeContext, run: Callable[[], Any]) -> list[Spot]:
    """Return the operations of a run that draw random numbers, one for each line of the subject."""
    layers = Layers(context.tree)
    watch = _Draws(layers)
    with layers.watching({}), watch:
        run()
    return list(dict.fromkeys(watch.spots))
