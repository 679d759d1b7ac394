"""Locates an event in a pass on real numbers: the operation that made the first NaN, or that drew random numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.foundation.json_codec import encode
from archcheck.foundation.source_place import Where
from archcheck.measure.behaviour.probe_context import Bench
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.shapes.arguments import op_name
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.dispatch_mode import Dispatch
from archcheck.measure.subject.source_places import relative


@dataclass(frozen=True, slots=True)
class Spot:
    """One operation: what is wrong with its result (`""`: nothing), and the operations whose wrong results it reads."""

    op: str
    layer: str
    where: Where | None
    fault: str = ""
    sources: tuple[Spot, ...] = ()

    def told(self, root: str) -> dict[str, Any]:
        """Return it as JSON values, its file relative to `root`."""
        return {"op": self.op, "layer": self.layer, "where": encode(relative(self.where, root))}


def fault_in(tensor: torch.Tensor) -> str:
    """Return `NaN`, `infinity` or `minus infinity`, the worst of what a tensor holds, `""` for numbers only."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.device.type == "meta":
        return ""
    if bool(tensor.isfinite().all()):
        return ""
    if bool(tensor.isnan().any()):
        return "NaN"
    return "infinity" if tensor.is_complex() or bool(tensor.isposinf().any()) else "minus infinity"


class _Watch(Dispatch):
    """Sees every operation of a pass together with the layer that runs it."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._layers = layers

    def spot(self, func: Any, **more: Any) -> Spot:
        """Return the operation that is being dispatched."""
        return Spot(op_name(func), *self._layers.now(sys._getframe(2)), **more)


class _Faults(_Watch):  # type: ignore[no-untyped-call]
    """Notes for every tensor that is not finite which operation made it."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.makers: dict[int, Spot] = {}
        self._alive: list[torch.Tensor] = []  # so that no other tensor gets the identity of one that is noted

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs or {})
        kwargs = kwargs or {}
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

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.spots.append(self.spot(func))
        return func(*args, **(kwargs or {}))


def origin(bench: Bench, run: Callable[[], Mapping[str, torch.Tensor]]) -> Spot | None:
    """Return the operation from which the first output that is not finite has its fault, `None` if none is seen."""
    layers = Layers(bench.tree)
    faults = _Faults(layers)
    with layers.watching({}), faults:
        outputs = run()
    spot = next((faults.makers[id(each)] for each in outputs.values() if id(each) in faults.makers), None)
    return spot and _first(spot)


def _first(spot: Spot) -> Spot:
    """Go back from a result to where its fault begins.

    A NaN comes from another or from an overflow; minus infinity is what masks are made of and no fault before a NaN.
    """
    while True:
        wanted = ("NaN", "infinity") if spot.fault == "NaN" else (spot.fault,)
        before = next((each for fault in wanted for each in spot.sources if each.fault == fault), None)
        if before is None:
            return spot
        spot = before


def draws(bench: Bench, run: Callable[[], Any]) -> list[Spot]:
    """Return the operations of a run that draw random numbers, each line of the subject once."""
    layers = Layers(bench.tree)
    watch = _Draws(layers)
    with layers.watching({}), watch:
        run()
    return list(dict.fromkeys(watch.spots))
