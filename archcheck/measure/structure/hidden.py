"""The ledger's hidden weights: each once, with its name, its size and the line that uses it.

`roles` says what acts as a weight. Here is told what is one and the same: a tensor that two modes read, that several
layers read, that `forward` makes anew in each pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from archcheck.facts import lineage
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace
from archcheck.measure.shapes.arguments import tensors_in
from archcheck.measure.structure.beyond import beyond
from archcheck.measure.structure.origins import Origin
from archcheck.measure.structure.roles import Use, weights_read
from archcheck.measure.subject.places import relative
from archcheck.measure.subject.tree import Tree, join
from archcheck.parts import Hidden


def hidden(tree: Tree, traces: Sequence[Trace], root: str) -> tuple[Hidden, ...]:
    """Return the tensors that act as weights and are no parameters, each once however often it is used.

    A tensor that both modes read is one. Of those that `forward` makes anew in each pass, equal ones of one line are
    one, and what one mode makes is what the other makes. Drawn at random, each draw is one of its own.
    """
    uses = [dict(_by_identity(trace, tree)) for trace in traces]
    kept = set.intersection(*map(set, uses)) if len(uses) > 1 else set(uses[0])
    names = _plain_names(tree) if any(uses) else {}
    found: dict[object, Hidden] = {}
    for mode in uses:
        made: dict[Hidden, dict[object, int]] = {}
        for identity, (event, origin) in mode.items():
            entry = _entry(event, origin, names, root)
            if identity not in kept:
                alike = made.setdefault(entry, {})
                identity = (entry, alike.setdefault(content_of(origin.source) or identity, len(alike)))
            found.setdefault(identity, entry)
    for trace in traces:
        found.update((entry.name, entry) for entry in (*_packed(trace, tree, root), *beyond(trace, tree, root)))
    return tuple(found.values())


def _by_identity(trace: Trace, tree: Tree) -> Iterator[tuple[object, Use]]:
    seen: set[object] = set()
    for event, origin in weights_read(trace, tree):
        identity = _identity(origin, trace)
        if identity not in seen:
            seen.add(identity)
            yield identity, (event, origin)


def _packed(trace: Trace, tree: Tree, root: str) -> Iterator[Hidden]:
    """Yield the weights that torch's quantised layers keep packed, where no parameter and no buffer holds them."""
    live = trace.live
    users = {event.layer: event for event in trace.events if live[event.index] and event.op.startswith("quantized")}
    for node in tree.nodes if users else ():
        user = next((users[layer] for layer in reversed(tuple(lineage(node.path))) if layer in users), None)
        if user is None:
            continue
        for name, value in vars(node.module).items():
            for number, tensor in enumerate(_unpacked(value)):
                label = f"{join(node.path, name)}[{number}]"
                yield _entry(user, Origin(sort="constant", name=label, shape=tuple(tensor.shape), dtype=""), {}, root)


def _unpacked(value: object) -> list[torch.Tensor]:
    if not isinstance(value, torch.ScriptObject):
        return []
    try:
        state = value.__getstate__()
    except (RuntimeError, AttributeError):  # a class that cannot be pickled
        return []
    # A recurrent layer holds one packed linear layer for each of its matrices, and their biases once more.
    inner = [tensor for part in _objects_in(state) for tensor in _unpacked(part)]
    return inner or [tensor for tensor in tensors_in(state) if tensor.dim()]


def _objects_in(value: object) -> Iterator[torch.ScriptObject]:
    if isinstance(value, torch.ScriptObject):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _objects_in(item)


def _identity(origin: Origin, trace: Trace) -> object:
    if origin.sort == "buffer":
        return origin.name
    source = origin.source
    if source is None:
        return id(trace), origin.index
    try:
        address = source.data_ptr()
    except RuntimeError:  # a layout without one memory
        address = 0
    return (address, origin.shape) if address else id(source)


def content_of(tensor: torch.Tensor | None) -> bytes | None:
    """Return the numbers of a tensor that came from outside; `None` for what the pass drew itself."""
    if tensor is None or tensor.device.type == "meta":
        return None
    try:
        return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    except RuntimeError:  # a layout without one memory
        return None


def _plain_names(tree: Tree) -> dict[int, str]:
    """Return the names of tensors that modules keep as plain attributes, in lists and in dictionaries."""
    names: dict[int, str] = {}
    for node in tree.nodes:
        for name, value in vars(node.module).items():
            items: list[tuple[str, object]] = [(name, value)]
            if isinstance(value, list | tuple):
                items = [(f"{name}[{number}]", item) for number, item in enumerate(value)]
            elif isinstance(value, dict) and name not in ("_parameters", "_buffers"):
                items = [(f"{name}[{key!r}]", item) for key, item in value.items()]
            for label, item in items:
                if isinstance(item, torch.Tensor):
                    names.setdefault(id(item), join(node.path, label))
    return names


def _entry(event: Event, origin: Origin, names: dict[int, str], root: str) -> Hidden:
    name = origin.name or names.get(id(origin.source), "")
    return Hidden(
        name=name,
        shape=origin.shape,
        elements=torch.Size(origin.shape).numel(),
        used_by=event.op,
        layer=event.layer,
        where=relative(event.where, root),
        buffer=origin.sort == "buffer",
    )
