"""The calls of dropouts and normalisations in a pass: their results are kept, or get other numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from archcheck.measure.passes.event import Event
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.structure.masks import Masks
from archcheck.where import Where

Place = tuple[str, str, Where | None]
"""The kind, the layer and the line of a call."""
Places = frozenset[Place]

_DROPOUTS = (
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "feature_dropout",
)  # fmt: skip
_NORMS = ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")
_MASK = "mask"
_MASKING = ("mul", "multiply", "__mul__", "__rmul__", "__imul__", "masked_fill", "where")
_KINDS: Mapping[str, str] = (
    {name: name for name in _NORMS} | dict.fromkeys(_DROPOUTS, "dropout") | dict.fromkeys(_MASKING, _MASK)
)


def place_of(event: Event, masks: Masks) -> Place | None:
    """Return the place of an operation that is watched, `None` for others, and for a dropout that drops nothing."""
    if masks.dropped.get(event.index):
        return _MASK, event.layer, event.where
    if event.kind == "dropout" and not (event.attributes.get("training") and event.attributes.get("p")):
        return None
    return (event.kind, event.layer, event.where) if event.kind in _KINDS.values() else None


class Calls(TorchFunctionMode):
    """Keeps what the calls at some places return, or what `change` makes of it and the model then goes on with.

    A generator of the model's own draws from the common source meanwhile, so that a seed decides all.
    """

    def __init__(
        self, layers: Layers, places: Places, change: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> None:
        super().__init__()
        self._layers, self._places, self._change = layers, places, change
        self.results: list[tuple[Place, torch.Tensor | None]] = []
        """Tensors to differentiate by; `None` for a call that nothing can be differentiated by."""

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
        result = func(*args, **given)
        kind = _kind(func)
        if kind is None:
            return result
        first = result[0] if isinstance(result, tuple) else result
        place = kind, *self._layers.now(sys._getframe(1))
        if place not in self._places or not isinstance(first, torch.Tensor) or not first.numel():
            return result
        own = any(first is each for each in (*args, *given.values()))
        seen = self._kept(place, first, own=own) if self._change is None else _changed(self._change, first, own=own)
        return (seen, *result[1:]) if isinstance(result, tuple) else seen

    def _kept(self, place: Place, result: torch.Tensor, *, own: bool) -> torch.Tensor:
        """Keep a result, and return a copy that the model may write to; not if it is `own`, an argument written to."""
        if not result.requires_grad and (own or not torch.is_grad_enabled()):
            self.results.append((place, None))
            return result
        kept = result if result.requires_grad else result.detach().requires_grad_()
        self.results.append((place, kept))
        return result if own else kept.clone()


def _kind(func: Callable[..., Any]) -> str | None:
    """Return what a function of torch is, be it one of `torch.nn.functional`, a native one, or one in place."""
    name = str(getattr(func, "__name__", "")).partition(".")[0]
    return _KINDS.get(name) or _KINDS.get(name.removeprefix("native_").removesuffix("_"))


def _changed(change: Callable[[torch.Tensor], torch.Tensor], result: torch.Tensor, *, own: bool) -> torch.Tensor:
    return result.copy_(change(result)) if own else change(result)
