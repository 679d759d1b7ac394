"""Intercepts the calls of operations that a rule may count, with their inputs and results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from archcheck.facts.records import Op
from archcheck.facts.selectors import GROUPS
from archcheck.foundation.source_place import Where
from archcheck.measure.operators.kinds import kind_of
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.saved_values import first_of

Place = tuple[str, str, Where | None]
"""The kind, the layer and the line of calls; for a parameter its name in place of the layer."""
Places = frozenset[Place]

NORMS = ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")
DROPOUT = "dropout"
MASK = "mask"
POOL = "pool"
PARAMETER = "parameter"
_MASKING = ("mul", "masked_fill", "where")
_POOLING = ("mean", "sum", "avg_pool", "amax", "max", "max_pool")
_MIXING = (*GROUPS["weights"], "matmul")
_SEVERAL = (*GROUPS["recurrent"], "attention")
"""Kinds with several results; the model may read any of them."""
CONTRACTIONS = tuple(kind for kind in _MIXING if kind not in _SEVERAL)
RECTIFIERS = ("relu", "leaky_relu", "prelu", "elu", "celu", "rrelu")
"""Activations that leave numbers that are not negative unchanged."""
_GATES = ("softmax", "log_softmax")
_SPELLED = ("add", "sub", "div", "clamp", "clamp_min", "clip", "maximum", "index_put", "__setitem__")
_WATCHED = frozenset({*_MIXING, *GROUPS["activation"], *GROUPS["pool"], *_GATES})
"""Kinds that are watched besides normalisations and dropouts, whichever function computes them."""
_KINDS: Mapping[str, str] = (
    {name: name for name in (*NORMS, DROPOUT, *_MIXING, *GROUPS["activation"], *_GATES, *_SPELLED)}
    | dict.fromkeys(_MASKING, MASK)
    | dict.fromkeys(_POOLING, POOL)
    | {"multi_head_attention_forward": "attention"}
)
"""Kind as which a function is watched."""
_SPELLINGS = {"dropout1d": "dropout", "dropout2d": "dropout", "dropout3d": "dropout", "truediv": "div",
              "adaptive_max_pool1d_with_indices": "max_pool", "setitem": "index_put", "rsub": "sub"}  # fmt: skip

USING = (*NORMS, DROPOUT, MASK, POOL, PARAMETER)
"""Watched kinds whose parameters are unused if they have no effect."""


def place_of(op: Op, where: Where | None, module: torch.nn.Module | None) -> Place | None:
    """Return the place of a watched operation, `None` for any other and for a dropout that drops nothing.

    `where` is its line as the trace saw it, and `module` its layer. An attention that torch computes is one operation;
    a layer with weights of its own has one place, wherever it is called: `fc(x) - fc(x)` is zero.
    """
    kind = _KINDS.get(kind_of(op.op))
    if op.kind == DROPOUT:
        if not (op.attributes.get("training") and op.attributes.get("p")):
            return None
        return (DROPOUT if kind == DROPOUT else MASK), op.layer, where
    if op.kind in GROUPS["global_pool"]:
        kind = POOL if op.op == "einsum" else kind
        if op.attributes.get("coverage") != "real":
            return None
    if op.kind in NORMS and kind in NORMS:
        return op.kind, op.layer, where
    if kind is None or (op.kind not in _WATCHED and op.kind not in NORMS):
        return None
    kind = "attention" if isinstance(module, torch.nn.MultiheadAttention) else kind
    return kind, op.layer, None if _is_one(kind, module) else where


def _is_one(kind: str, module: torch.nn.Module | None) -> bool:
    return kind in _MIXING and module is not None and not module._modules


class Call(NamedTuple):
    """One call at a place: its arguments and its result."""

    place: Place
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: torch.Tensor
    rectifies: bool = True
    """False for a rectifier that got nothing negative."""

    def argument(self, name: str) -> Any:
        """Return an argument by its name in `torch.nn.functional` or, for a native function, in its schema."""
        if name in self.kwargs:
            return self.kwargs[name]
        names = _names(self.func)
        return self.args[names.index(name)] if name in names and names.index(name) < len(self.args) else None

    @property
    def given(self) -> torch.Tensor:
        """The first tensor argument."""
        return next(self._tensors())

    @property
    def masked(self) -> list[torch.Tensor]:
        """The tensors that a mask may be applied to: in `mask * x`, `x * mask`, `where(mask, x, zeros)`.

        It is one tensor, unless the masked tensor, too, holds only two different numbers, as spikes do.
        """
        whole = [each for each in self._tensors() if each.shape == self.result.shape and each.dtype != torch.bool]
        return [each for each in whole if not _has_one_number_but_zero(each)] or whole or [self.given]

    def _tensors(self) -> Iterator[torch.Tensor]:
        given = (*self.args, *self.kwargs.values())
        several = (each if isinstance(each, list | tuple) else (each,) for each in given)
        return (each for some in several for each in some if isinstance(each, torch.Tensor))


def _has_one_number_but_zero(tensor: torch.Tensor) -> bool:
    others = tensor[tensor != 0]
    return bool((others == others[:1]).all())


def _names(func: Callable[..., Any]) -> Sequence[str]:
    code = getattr(func, "__code__", None)
    if code is not None:
        return tuple(code.co_varnames[: code.co_argcount])
    packet = getattr(torch.ops.aten, str(getattr(func, "__name__", "")).partition(".")[0], None)
    overloads = packet.overloads() if packet is not None else []
    return [each.name for each in getattr(packet, overloads[0])._schema.arguments] if overloads else []


class Calls(TorchFunctionMode):
    """Passes the calls at some places to `look`, which returns the result that the model continues with.

    Random numbers come from the default generator meanwhile, so that a seed decides all, unless `generators` keeps the
    model's own generators. With `attached`, `detach` does not detach: gradients show what numbers do, not what is
    trained.
    """

    def __init__(
        self,
        layers: Layers,
        places: Places,
        look: Callable[[Call, bool], torch.Tensor],
        *,
        generators: bool = False,
        attached: bool = False,
    ) -> None:
        super().__init__()
        self._layers, self._places, self._look = layers, places, look
        self._generators, self._attached = generators, attached
        self._kinds = frozenset(kind for kind, *_ in places)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if given.get("generator") is not None and not self._generators:
            given["generator"] = None
        if self._attached and func is torch.Tensor.detach:
            return args[0].view_as(args[0])
        if self._attached and func is torch.Tensor.register_hook:  # which may change the gradient
            return func(args[0].detach().clone().requires_grad_(), *args[1:], **given)
        kind = _kind(func, args)
        place = self._place(kind, sys._getframe(1)) if kind is not None and kind in self._kinds else None
        if place is None:
            return func(*args, **given)
        rectifies = kind not in RECTIFIERS or _has_negative(args)
        # A dropout or a mask may overwrite its input.
        before = tuple(map(_copied, args)) if kind in (DROPOUT, MASK) else args
        result = func(*args, **given)
        if func is torch.Tensor.__setitem__:
            result = args[0]
        parts = list(result) if isinstance(result, tuple) else [result]
        for index, part in enumerate(parts[: None if kind in _SEVERAL else 1]):
            if isinstance(part, torch.Tensor) and part.numel():
                own = any(part is each for each in (*args, *given.values()))
                call = Call(place, func, before if own else args, given, part, rectifies)
                parts[index] = self._look(call, own)
        return type(result)(parts) if isinstance(result, tuple) else parts[0]

    def _place(self, kind: str, frame: FrameType) -> Place | None:
        """Return the place of a watched call, `None` for any other."""
        layer, where = self._layers.now(frame)
        return next((each for each in ((kind, layer, None), (kind, layer, where)) if each in self._places), None)


def _has_negative(args: Sequence[Any]) -> bool:
    given = next((each for each in args if isinstance(each, torch.Tensor)), None)
    if given is None or given.is_complex() or given.is_quantized:
        return True
    return bool((first_of(given) < 0).any()) or bool((given < 0).any())


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _kind(func: Callable[..., Any], args: Sequence[Any]) -> str | None:
    """Return the watched kind of a function: of `torch.nn.functional`, a native one, or an in-place one."""
    name = str(getattr(func, "__name__", "")).partition(".")[0]
    if name == "einsum" and len(args) == 2 and (not isinstance(args[1], list | tuple) or len(args[1]) == 1):
        return POOL
    return _KINDS.get(kind_of(_plain(name)))


def _plain(name: str) -> str:
    """Return the operator that a special method calls: `mul` for `__rmul__` and `__imul__`."""
    inner = name[2:-2] if name.startswith("__") and name.endswith("__") else name
    for plain in (inner, inner[1:]) if inner != name else (name,):
        if plain in _SPELLINGS or kind_of(plain) in _KINDS:
            return _SPELLINGS.get(plain, plain)
    return name
