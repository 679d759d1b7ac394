"""Recognises kinds that several operations form, by what they compute: ReLU, normalisation, softmax, attention.

* A *ReLU* maps each number of a tensor as it does: `x * (x > 0)`, `where(x > 0, x, 0)`, `x.clamp(min=0)`,
  `(x + x.abs()) / 2`. The operations run again on a few numbers, so that any spelling is found. It must stand where an
  activation does: after a layer, and before a layer or an output. Distances that are kept from being negative and
  margins of a loss do not.
* A *normalisation* divides by a deviation of what it divides; the axes of the deviation determine its kind.
* A *softmax* divides exponentials by their sum.
* An *attention* adds up values with weights from a softmax of pairs (see `handwritten_attention`).

The last operation of each gets the kind; the others are parts of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch

from archcheck.facts.selectors import GROUPS
from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.handwritten_attention import Attentions
from archcheck.measure.structure.handwritten_dropout import number_of
from archcheck.measure.structure.handwritten_norms import Deviations, Handwritten, activations

_PROBES = (-1e3, -30.0, -3.0, -1.0, -0.5, -1e-2, 0.0, 1e-2, 0.5, 1.0, 3.0, 30.0, 1e3)
_NEAR = 1e-4
_FAR = 12
"""Most operations that form one kind."""
_ENDS = frozenset({
    "mul", "add", "sub", "div", "neg", "where", "masked_fill", "index_put", "clamp", "clamp_min", "clip", "maximum",
    "max", "fmax", "rsub", "copy", "threshold", "hardtanh", "leaky_relu", "elu", "celu",
})  # fmt: skip
"""Operators that a ReLU may end in; some are one with certain numbers."""
_CARRYING = frozenset({"reshape", "permute", "copy", "slice", "cat", "pad", "add", "dropout", "upsample"})
_BEFORE = frozenset({*GROUPS["weights"], *GROUPS["norm"], *GROUPS["pool"], *GROUPS["activation"], "input"})
_BLOCKING = frozenset({"sqrt", "rsqrt", "log", "log2", "log10", "log1p", "reciprocal", "pow", "exp", "neg"})
"""Operators that follow a clamp at zero in distances and probabilities, not an activation."""


class HandwrittenKinds:
    """The handwritten kinds of a trace, by the event that ends each."""

    def __init__(self, trace: Trace, products: Collection[int]) -> None:
        """`products` are the elementwise operations that are products."""
        self._trace, self._events = trace, trace.events
        self.found: dict[int, Handwritten] = {}
        self._axes: dict[int, int] = {}  # of softmaxes
        deviations, attentions = Deviations(trace), Attentions(trace, self.found, products)
        for event in self._events:
            if not (trace.live[event.index] and trace.dependent[event.index] and event.shapes):
                continue
            found = deviations.normalisation(event) or attentions.ended_by(event) or self._shares(event)
            found = found or self._rectified(event)
            if found is not None:
                self.found[event.index] = found
        self._settled = deviations.settled
        self.part_of = {part: end for end, found in self.found.items() for part in found.parts}

    def attributes_of(self, event: Event) -> dict[str, object]:
        """Return the attributes of the kind that an event ends."""
        if event.index in self._axes:
            return {"dim": self._axes[event.index]}
        if self.found[event.index].kind not in GROUPS["norm"] or len(event.shapes[0]) < 2:
            return {}
        by_batch = self.found[event.index].kind == "batch_norm" and event.index not in self._settled
        return {"features": event.shapes[0][1], "training": by_batch}

    # --- a ReLU -----------------------------------------------------------------------------------------

    def _rectified(self, event: Event) -> Handwritten | None:
        if base_name(event.op) not in _ENDS and event.kind not in _ENDS:
            return None
        frontier, inside = set(self._operands(event)), {event.index}
        while frontier and len(inside) <= _FAR:
            latest = max(frontier)
            if len(frontier) == 1 and self._rectifies(event, latest, inside):
                activates = self._comes_from_a_layer(self._events[latest]) and self._goes_to_a_layer(event)
                return Handwritten("relu", latest, frozenset(inside - {event.index})) if activates else None
            before = self._events[latest]
            if before.told.elementwise is None or before.index in self.found or before.kind in GROUPS["activation"]:
                return None
            frontier.remove(latest)
            frontier.update(self._operands(before))
            inside.add(latest)
        return None

    def _operands(self, event: Event) -> Iterator[int]:
        """Yield the inputs whose numbers depend on the input of the model; a factory uses only their shapes."""
        dependent, events = self._trace.dependent, self._events
        return (index for index in event.inputs if dependent[index] and events[index].kind != "factory")

    def _rectifies(self, event: Event, origin: int, inside: set[int]) -> bool:
        """Whether an event is a multiple of the ReLU of an earlier one."""
        probes = torch.tensor(_PROBES, dtype=torch.float64, device="cpu")
        known = {origin: probes}
        for index in sorted(inside):
            result = self._result(self._events[index], known)
            if result is None or result.is_complex() or result.shape != probes.shape:
                return False
            known[index] = result
        given = known[event.index].double()
        factor = float(given[-1] / probes[-1])
        return 0 < factor < 1e6 and torch.allclose(given, factor * probes.clamp(min=0), rtol=_NEAR, atol=_NEAR * 1e-3)

    def _result(self, event: Event, known: dict[int, torch.Tensor]) -> torch.Tensor | None:
        operands = [known[index] if index in known else self._number(index) for index in event.operands]
        if event.told.elementwise is None or any(each is None for each in operands):
            return None
        return event.told.elementwise.of([each for each in operands if each is not None])

    def _number(self, index: int) -> torch.Tensor | None:
        """Return the one number that fills a tensor."""
        event = self._events[index] if index >= 0 else None
        if event is None:
            return None
        if event.kind in ("copy", "reshape") and len(event.operands) == 1:
            return self._number(event.operands[0])
        return number_of(event)

    def _comes_from_a_layer(self, origin: Event) -> bool:
        pending, seen = [origin], {origin.index}
        while pending:
            event = pending.pop()
            if event.kind in _BEFORE or event.index in self.found or self._is_product(event):
                return True
            scales = event.kind in ("mul", "div") and (bool(event.params) or len(event.operands) == 1)
            for index in self._operands(event) if scales or event.kind in _CARRYING else ():
                if index not in seen:
                    seen.add(index)
                    pending.append(self._events[index])
        return False

    def _is_product(self, event: Event) -> bool:
        return event.kind == "matmul" and (bool(event.params) or len(activations(event, self._trace)) == 1)

    def _goes_to_a_layer(self, event: Event) -> bool:
        """Whether all readers may follow an activation, and a layer or an output that is no scalar comes later."""
        readers = self._trace.readers.get(event.index, [])
        if any(reader.kind in _BLOCKING or base_name(reader.op) in _BLOCKING for reader in readers):
            return False
        pending, seen = [event.index], {event.index}
        while pending:
            index = pending.pop()
            if index in self._trace.outputs and self._events[index].shapes[0]:
                return True
            for reader in self._trace.readers.get(index, []):
                if reader.kind in GROUPS["weights"] or self._is_product(reader):
                    return True
                if reader.index not in seen:
                    seen.add(reader.index)
                    pending.append(reader.index)
        return False

    # --- a softmax --------------------------------------------------------------------------------------

    def _shares(self, event: Event) -> Handwritten | None:
        """Return a softmax that ends in a division of exponentials by their sum."""
        if event.kind != "div" or len(event.operands) != 2 or min(event.operands) < 0:
            return None
        top, bottom = (self._events[index] for index in event.operands)
        parts = {top.index, bottom.index}
        while bottom.kind in ("reshape", "copy") and bottom.inputs:
            bottom = self._events[bottom.inputs[0]]
            parts.add(bottom.index)
        summed = self._events[bottom.inputs[0]] if bottom.kind == "sum" and bottom.inputs else None
        if top.op != "exp" or summed is None or summed.op != "exp" or summed.inputs != top.inputs:
            return None
        dims = bottom.attributes.get("dims", ())
        if len(dims) != 1 or len(event.shapes[0]) != len(top.shapes[0]):
            return None
        self._axes[event.index] = dims[0]
        return Handwritten("softmax", top.inputs[0], frozenset(parts | {summed.index}))
