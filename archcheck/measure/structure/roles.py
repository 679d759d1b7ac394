"""Weights that no parameter holds, found from what the executed operations read.

A tensor acts as a weight by the role of the operand that it is made into: the weight of a convolution or a linear
map, a factor of a product, a table that the input looks up. Whoever holds it does not matter: a plain list, a
closure, a global, a string decoded in `forward`, a generator with a seed, a buffer.

Buffers are narrower: only what mixes features or is looked up counts. Running statistics, masks, frozen norms,
positions that are added, and frequencies of an outer product are what buffers are for. Of what is generated from
`arange` and the like, only weights of convolutions and linear maps and matrices in products count; a tensor filled
with one number, an identity and a vector of positions hold nothing that could have been trained.

Beyond reach are weights in Python numbers (`x * 0.3 + y * 0.7`), for no operation has them as an operand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace
from archcheck.measure.structure.origins import MIXING, Flow, Origin
from archcheck.measure.subject.tree import Tree

Use = tuple[Event, Origin]
"""An operation, and what acts as a weight in it."""

_NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "prelu"})
_STATES = frozenset({"hx", "cx", "attn_mask", "running_mean", "running_var", "batch_sizes", "indices"})
"""Operands that are no weights: initial states, masks, statistics."""

_LOOKUPS = frozenset({"index", "gather", "index_select", "take", "take_along_dim", "embedding", "embedding_bag"})
_FILTERS = frozenset({"conv", "conv_transpose", "linear"})
_PRODUCTS = frozenset({"mm", "bmm", "matmul"})
_ELEMENTWISE = frozenset({"pow", "abs", "square"})


def weights_read(trace: Trace, tree: Tree) -> Iterator[Use]:
    """Yield what acts as a weight in each operation on the way from an input to an output."""
    flow = Flow(trace, tree)
    for event, live, dependent in zip(trace.events, trace.live, trace.dependent, strict=True):
        if live and dependent:
            for position in _candidates(flow, event):
                yield from ((event, origin) for origin in _weights(flow, event, position))
            yield from ((event, origin) for origin in _summed_products(flow, event))


def _candidates(flow: Flow, event: Event) -> Iterator[int]:
    """Yield the operands that may be made of weights that no parameter holds; nearly all are not."""
    roles, dependent = event.told.roles, flow.dependent
    for position, index in enumerate(event.operands):
        if index < 0:
            if event.names[position] in flow.buffers and roles[position] not in _STATES:
                yield position
        elif not dependent[index]:
            if roles[position] not in _STATES:
                yield position
        elif roles[position] == "weight" and event.told.kind in _FILTERS:
            yield position


def _weights(flow: Flow, event: Event, position: int) -> Iterator[Origin]:
    # A table of values is looked up as it is; one that is computed first, such as anchors on a grid, is geometry.
    looks_up = event.op in _LOOKUPS
    origins = list(flow.origins(event, position, plainly=looks_up))
    if looks_up:
        yield from (origin for origin in origins if _is_table(flow, event, event.roles[position], origin))
        return
    whole = flow.shape(event, position)
    for origin in origins:
        if origin.sort != "ramp" and _acts_as_weight(flow, event, position, origin):
            # Bytes that are read as floats are fewer floats than bytes.
            encoded = len(origins) == 1 and not _is_floating(origin.dtype)
            yield replace(origin, shape=whole) if encoded else origin
    ramps = [origin for origin in origins if origin.sort == "ramp"]
    if ramps and len(ramps) == len(origins) and _is_generated_weight(flow, event, position):
        yield replace(ramps[0], shape=whole, index=event.operands[position])  # several ramps make one weight


def _is_table(flow: Flow, event: Event, role: str, origin: Origin) -> bool:
    if role not in ("self", "weight") or origin.sort not in ("constant", "buffer") or not _is_floating(origin.dtype):
        return False
    if not any(index >= 0 and flow.valued[index] for index in event.operands):
        return False  # counted positions look up, not values of the input
    return origin.sort == "constant" or len(origin.shape) > 1


def _acts_as_weight(flow: Flow, event: Event, position: int, origin: Origin) -> bool:
    role = event.roles[position]
    if origin.trainable and origin.sort == "constant":
        return role not in _STATES
    mixes = event.kind in MIXING or (event.kind in _NORMS and origin.sort != "buffer")
    if not mixes or role in _STATES or origin.dtype == "bool" or not origin.shape or not _is_floating(event.dtype):
        return False
    if origin.sort == "buffer":
        return not _is_added(event, role) and not _is_outer(flow, event)
    return not _is_added(event, role) or role == "bias"


def _is_generated_weight(flow: Flow, event: Event, position: int) -> bool:
    """Whether what is made of ramps alone acts as a weight; made with parameters, it is a trained function."""
    if flow.is_trained(event, position) or _is_added(event, event.roles[position]) or not _is_floating(event.dtype):
        return False
    if event.kind in _FILTERS:
        return event.roles[position] == "weight"
    matrix = sum(extent > 1 for extent in flow.shape(event, position)) > 1
    return event.kind == "matmul" and matrix and not _is_outer(flow, event)


def _is_added(event: Event, role: str) -> bool:
    return role == "bias" or (role == "self" and event.op in ("addmm", "baddbmm", "addbmm", "addmv"))


def _is_outer(flow: Flow, event: Event) -> bool:
    """Whether a product sums over one position only: it scales and mixes nothing."""
    return event.op in _PRODUCTS and flow.shape(event, 0)[-1:] == (1,)


def _summed_products(flow: Flow, event: Event) -> Iterator[Origin]:
    """Yield the weights of a linear map, or of distances to prototypes, that is spelled element by element.

    As in `(x[:, None] * w).sum(-1)`: the constant varies along an axis that is summed and along one that is kept,
    and over the latter the input is repeated.
    """
    if event.kind != "sum" or len(event.operands) != 1:
        return
    maker = flow.events[event.operands[0]]
    while maker.kind in _ELEMENTWISE and len(maker.inputs) == 1:
        maker = flow.events[maker.inputs[0]]
    if maker.kind not in ("mul", "sub") or len(maker.operands) != 2:
        return
    for position in (0, 1):
        if flow.depends(maker, 1 - position) and not flow.depends(maker, position):
            weight, x = (_aligned(flow.shape(maker, k), event) for k in (position, 1 - position))
            summed = set(event.attributes.get("dims", ()))
            reduces = any(extent > 1 for axis, extent in enumerate(weight) if axis in summed)
            repeats = any(w > 1 and x[axis] == 1 for axis, w in enumerate(weight) if axis not in summed)
            if reduces and repeats:
                found = flow.origins(maker, position)
                yield from (o for o in found if o.sort in ("constant", "buffer") and _is_floating(o.dtype) and o.shape)


def _aligned(shape: tuple[int, ...], event: Event) -> tuple[int, ...]:
    """Return `shape` with leading ones, as broadcasting to what `event` sums gives it."""
    return (1,) * (len(event.attributes.get("of", ())) - len(shape)) + shape


def _is_floating(dtype: str | None) -> bool:
    return (dtype or "").startswith(("float", "bfloat", "complex", "half"))
