"""The calls of normalisations, dropouts and poolings in a pass: what each gives, and what stands in for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from archcheck.measure.operators.kinds import kind_of
from archcheck.measure.passes.layer_calls import Layers
from archcheck.parts import Op
from archcheck.selectors import GROUPS
from archcheck.where import Where

Place = tuple[str, str, Where | None]
"""The kind, the layer and the line of a call; for a parameter its name in place of the layer."""
Places = frozenset[Place]

NORMS = ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")
DROPOUT = "dropout"
MASK = "mask"
POOL = "pool"
PARAMETER = "parameter"
_MASKING = ("mul", "masked_fill", "where")
_POOLING = ("mean", "sum", "avg_pool", "amax", "max", "max_pool")
_KINDS: Mapping[str, str] = (
    {name: name for name in (*NORMS, DROPOUT)} | dict.fromkeys(_MASKING, MASK) | dict.fromkeys(_POOLING, POOL)
)
_SPELLINGS = {"__mul__": "mul", "__rmul__": "mul", "__imul__": "mul", "dropout1d": "dropout", "dropout2d": "dropout",
              "dropout3d": "dropout", "adaptive_max_pool1d_with_indices": "max_pool"}  # fmt: skip


def place_of(op: Op, where: Where | None) -> Place | None:
    """Return the place of an operation that is watched, `None` for others, and for a dropout that drops nothing.

    `where` is its line as the trace saw it.
    """
    if op.kind == DROPOUT:
        if not (op.attributes.get("training") and op.attributes.get("p")):
            return None
        return (DROPOUT if kind_of(op.op) == DROPOUT else MASK), op.layer, where
    if op.kind in GROUPS["global_pool"]:
        return (POOL, op.layer, where) if op.attributes.get("coverage") == "real" else None
    return (op.kind, op.layer, where) if op.kind in NORMS else None


class Call(NamedTuple):
    """One call at a place: what it was given, and what it gave."""

    place: Place
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: torch.Tensor

    def argument(self, name: str) -> Any:
        """Return an argument by its name in `torch.nn.functional` or, for a native function, in its schema."""
        if name in self.kwargs:
            return self.kwargs[name]
        names = _names(self.func)
        return self.args[names.index(name)] if name in names and names.index(name) < len(self.args) else None

    @property
    def given(self) -> torch.Tensor:
        """The tensor that it works on."""
        return next(each for each in (*self.args, *self.kwargs.values()) if isinstance(each, torch.Tensor))


def _names(func: Callable[..., Any]) -> Sequence[str]:
    code = getattr(func, "__code__", None)
    if code is not None:
        return tuple(code.co_varnames[: code.co_argcount])
    packet = getattr(torch.ops.aten, str(getattr(func, "__name__", "")).partition(".")[0], None)
    overloads = packet.overloads() if packet is not None else []
    return [each.name for each in getattr(packet, overloads[0])._schema.arguments] if overloads else []


class Calls(TorchFunctionMode):
    """Shows the calls at some places to `look`, which returns what the model goes on with.

    A generator of the model's own draws from the common source meanwhile, so that a seed decides all. `attached`, what
    the model detaches stays attached: a derivative is asked for what numbers do, not for what is trained.
    """

    def __init__(
        self, layers: Layers, places: Places, look: Callable[[Call, bool], torch.Tensor], *, attached: bool = False
    ) -> None:
        super().__init__()
        self._layers, self._places, self._look, self._attached = layers, places, look, attached

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if given.get("generator") is not None:
            given["generator"] = None
        if self._attached and func is torch.Tensor.detach:
            return args[0].view_as(args[0])
        kind = _kind(func)
        if kind is None or (place := (kind, *self._layers.now(sys._getframe(1)))) not in self._places:
            return func(*args, **given)
        before = args if kind in NORMS or kind == POOL else tuple(map(_copied, args))  # for it may be written over
        result = func(*args, **given)
        first = result[0] if isinstance(result, tuple) else result
        if not isinstance(first, torch.Tensor) or not first.numel():
            return result
        own = any(first is each for each in (*args, *given.values()))
        seen = self._look(Call(place, func, before if own else args, given, first), own)
        return (seen, *result[1:]) if isinstance(result, tuple) else seen


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _kind(func: Callable[..., Any]) -> str | None:
    """Return what a function of torch is, be it one of `torch.nn.functional`, a native one, or one in place."""
    name = str(getattr(func, "__name__", "")).partition(".")[0]
    return _KINDS.get(_SPELLINGS.get(name) or kind_of(name))
