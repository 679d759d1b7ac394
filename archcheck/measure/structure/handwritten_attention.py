"""Recognises attention, however it is written: values that are added up with weights from a softmax of pairs.

* The *scores* compare two activations position by position: a product of both, also one that is written element by
  element (`handwritten_products`), their distances, or the sum of one per row and another per column. Layers,
  activations, scalings and masks may follow.
* The *weights* are the softmax of the scores: the operator, exponentials divided by their sum, the exponential of a
  log-softmax, or of what its `logsumexp` is taken from. The division may also follow the product with the values.
* The product with the *values* ends it: a matrix product, or a sum of elementwise products.

A pooling by learned weights is no attention: its scores compare nothing with each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from archcheck.facts.selectors import GROUPS
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.handwritten_norms import Handwritten, activations

_FAR = 12
"""Most operations between two parts."""
_VIEWS = frozenset({"reshape", "permute", "copy", "slice"})
_SCALING = frozenset({"mul", "div", "add", "sub", "masked_fill", "where", "dropout", "clamp", *_VIEWS})
_SCORING = frozenset({*_SCALING, *GROUPS["activation"], "linear", "conv", "sum", "mean", "neg", "pow", "batch_norm"})
"""What may follow the comparison of two activations, up to the softmax."""
_MIXING = frozenset({"linear", "conv"})
_PRODUCTS = frozenset({"matmul", "linear"})
_DISTANCES = frozenset({"cdist", "_cdist_forward", "pairwise_distance"})


class Attentions:
    """Finds what ends an attention in a trace.

    `softmaxes` are the handwritten softmaxes so far, by the event that ends each, and `products` the elementwise
    operations that are products.
    """

    def __init__(self, trace: Trace, softmaxes: Mapping[int, Handwritten], products: Collection[int]) -> None:
        self._trace, self._events = trace, trace.events
        self._softmaxes, self._products = softmaxes, products

    def ended_by(self, event: Event) -> Handwritten | None:
        """Return the attention that an event ends, `None` if it ends none."""
        product, exponentials = event, None
        if event.kind == "div" and len(event.operands) == 2 and min(event.operands) >= 0:
            exponentials = self._exponentials_under(event.operands[1])
            if exponentials is None or not self._compares(self._events[exponentials].operands[0]):
                return None
            product = self._events[self._viewed(event.operands[0])]
        for factor in self._factors(product):
            for index in self._back(factor, _SCALING):
                scores = self._scores_of(index) if exponentials is None else None
                if index == exponentials or (scores is not None and self._compares(scores)):
                    return Handwritten("attention", -1, frozenset())
        return None

    def _factors(self, event: Event) -> list[int]:
        """Return the activations that a product multiplies; those of an elementwise one if the event sums it up."""
        if event.kind in _PRODUCTS:
            found = activations(event, self._trace)
            return found if len(found) > 1 else []
        if event.kind not in ("sum", "mean", "global_avg_pool") or not event.operands or event.operands[0] < 0:
            return []
        product = self._events[self._viewed(event.operands[0])]
        return activations(product, self._trace) if product.kind == "mul" else []

    def _scores_of(self, index: int) -> int | None:
        """Return the event whose softmax an event gives, `None` if it gives none."""
        event = self._events[index]
        if index in self._softmaxes and self._softmaxes[index].kind == "softmax":
            return self._softmaxes[index].origin
        if event.kind == "softmax":
            return event.operands[0]
        before = self._events[event.operands[0]] if event.op == "exp" and event.operands[0] >= 0 else None
        if before is None:
            return None
        if before.kind == "log_softmax":
            return before.operands[0]
        if before.kind == "sub" and len(before.operands) == 2 and min(before.operands) >= 0:
            bottom = self._events[self._viewed(before.operands[1])]
            if bottom.op == "logsumexp" and bottom.operands[0] == before.operands[0]:
                return before.operands[0]
        return None

    def _exponentials_under(self, index: int) -> int | None:
        """Return the exponentials that a divisor sums up."""
        for each in self._back(index, frozenset({*_VIEWS, "clamp", "add"})):
            event = self._events[each]
            if event.kind == "sum" and event.operands and event.operands[0] >= 0:
                top = event.operands[0]
                return top if self._events[top].op == "exp" else None
        return None

    def _compares(self, scores: int) -> bool:
        """Whether scores compare two activations, position by position."""
        mixed = False
        for index in self._back(scores, _SCORING):
            event = self._events[index]
            both = [self._events[each] for each in activations(event, self._trace)]
            if len(both) > 1 and self._is_pair(event, both, mixed):
                return True
            # A layer of heads keeps as many scores; the router of experts does not, and compares nothing.
            mixed |= event.kind in _MIXING and [event.elements] != [each.elements for each in both]
        return False

    def _is_pair(self, event: Event, both: list[Event], mixed: bool) -> bool:
        shape = event.shapes[0] if event.shapes else ()
        smaller = [bool(each.shapes) and each.shapes[0] != shape for each in both]
        if event.kind in ("add", "sub"):  # one number for each row, and one for each column
            return all(smaller)
        if mixed:
            return False
        product = event.kind in _PRODUCTS or event.op in _DISTANCES or event.index in self._products
        return product or (event.kind == "mul" and any(smaller))

    def _viewed(self, index: int) -> int:
        """Return the event that an event is a view of."""
        return [*self._back(index, _VIEWS)][-1]

    def _back(self, index: int, through: frozenset[str]) -> Iterator[int]:
        """Yield the events from one back, as long as only kinds in `through` lead on, along the largest operand."""
        for _ in range(_FAR):
            yield index
            event = self._events[index]
            before = [each for each in activations(event, self._trace) if self._events[each].dtype != "bool"]
            if event.kind not in through or not before:
                return
            index = max(before, key=lambda each: len(self._events[each].shapes[0]) if self._events[each].shapes else 0)
