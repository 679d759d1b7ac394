"""Recognises matrix products written element by element: `(x[:, None] * w).sum(-1)` multiplies what `x @ w.T` does.

An elementwise operation is such a product if its result is summed along an axis on which both operands vary, and

* one operand is repeated along another axis, on which the other varies and which is kept: each row meets each row. If
  both depend on the input, or neither does, each must be repeated: weights of a pooling scale what they weigh;
* or one operand does not depend on the input, and only the sum reads the result: a product with one vector.

In the first case, anything may stand in between, so that distances of all pairs count as `cdist` does. A sum may be a
mean, a pooling, an `index_add`, a chain of additions of parts, or of products in a loop (`handwritten_loops`). An
operation counts each element of its result once, without the summed axes on which one operand alone varies. Scaling
(LayerScale, gates, masks, frozen norms) is no product: what it scales is not repeated, and later sums run along other
axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.handwritten_loops import Loops, Term

Axes = tuple[frozenset[int], ...]
"""For each axis of a tensor, the axes of the product that it holds."""

_FACTORS = {"addcmul": ("tensor1", "tensor2"), "addcdiv": ("tensor1", "tensor2")}
_REPEATING = frozenset({"expand", "expand_as", "broadcast_to", "repeat", "tile"})
_RESHAPING = frozenset({
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "ravel",
})  # fmt: skip
_SUMS = frozenset({"cumsum", "nansum", "norm", "linalg_vector_norm", "logcumsumexp", "logsumexp"})
"""Sums whose axes are unknown."""
_SCATTERS = {"index_add": "source", "scatter_add": "src", "scatter_reduce": "src", "segment_reduce": "data"}
_ELEMENTWISE = frozenset({
    "abs", "clamp", "dropout", "elu", "exp", "gelu", "leaky_relu", "log", "neg", "pow", "relu", "rsqrt", "sigmoid",
    "silu", "softplus", "sqrt", "square", "tanh",
})  # fmt: skip
_FAR = 64
"""Operations after a product that are followed."""


class _Product(NamedTuple):
    """An elementwise operation: its shape, those of both operands in it, and which of them depends on the input.

    `places` are the indices of both among the operands of the event.
    """

    event: Event
    shape: tuple[int, ...]
    operands: tuple[tuple[int, ...], tuple[int, ...]]
    dependent: tuple[bool, bool]
    places: tuple[int, int]

    @property
    def weighs(self) -> bool:
        """Whether one operand depends on the input and the other does not."""
        return self.dependent[0] != self.dependent[1]

    def repeated(self, kept: Sequence[int]) -> bool:
        """Whether an operand is repeated along `kept` axes on which the other varies; both are, if they are alike."""
        first, second = (
            any(mine[axis] == 1 < other[axis] for axis in kept) for mine, other in (self.operands, self.operands[::-1])
        )
        if self.weighs:
            return first if self.dependent[0] else second
        return first and second

    @property
    def term(self) -> Term | None:
        """The term that a loop may add up: a product of all elements with all, or a weight that scales a map."""
        if self.event.kind == "sub" or not any(self.dependent):
            return None
        repeats = self.repeated(range(len(self.shape)))
        places = (self.places if self.dependent[0] else self.places[::-1]) if self.weighs else None
        return Term(self.macs(frozenset()), repeats, places)

    @property
    def shared(self) -> list[int]:
        """The axes on which both operands vary."""
        return [axis for axis, (one, other) in enumerate(zip(*self.operands, strict=True)) if min(one, other) > 1]

    def macs(self, summed: frozenset[int]) -> int:
        """Return the products of the contraction over `summed` axes."""
        alone = summed.difference(self.shared)
        return math.prod(size for axis, size in enumerate(self.shape) if axis not in alone)


class _State(NamedTuple):
    """How far a product was followed; `axes` are unknown after a slice."""

    at: int
    axes: Axes | None
    plain: bool
    """Whether only this path reads the product, and is linear."""
    bent: bool
    """Whether an operation in between is not linear."""


def handwritten_macs(trace: Trace) -> dict[int, int]:
    """Return by event the multiply-accumulates of elementwise operations that are products."""
    found: dict[int, int] = {}
    passed: set[int] = set()
    loops = Loops(trace)
    for event in trace.events:
        product = _product(trace, event)
        loops.note(event, product and product.term)
        if product is None or event.index in passed or not product.shared:
            continue
        walk = _Walk(trace, product)
        macs = walk.macs()
        if macs:
            found[event.index] = macs
            passed |= walk.passed
    return loops.found | found


def _product(trace: Trace, event: Event) -> _Product | None:
    if event.kind not in ("mul", "div", "sub") and base_name(event.op) not in _FACTORS:
        return None
    roles = _FACTORS.get(base_name(event.op))
    places = [place for place, role in enumerate(event.roles) if roles is None or role in roles]
    if len(places) != 2 or len(event.shapes) != 1 or len(event.told.operand_shapes) != len(event.operands):
        return None
    shape = event.shapes[0]
    operands = [_extent(trace, event, place, len(shape)) for place in places]
    dependent = [event.operands[place] >= 0 and trace.dependent[event.operands[place]] for place in places]
    return _Product(event, shape, (operands[0], operands[1]), (dependent[0], dependent[1]), (places[0], places[1]))


def _extent(trace: Trace, event: Event, place: int, axes: int) -> tuple[int, ...]:
    """Return the shape of an operand padded with ones in front, and with ones along axes on which it is repeated."""
    extent = event.told.operand_shapes[place]
    maker = _maker(trace, event, place)
    while maker is not None and (maker.kind == "copy" or maker.op in _REPEATING) and maker.told.operand_shapes:
        before = _aligned(maker.told.operand_shapes[0], len(extent))
        extent = tuple(old if old == 1 else now for old, now in zip(before, extent, strict=True))
        maker = _maker(trace, maker, 0)
    return _aligned(extent, axes)


def _maker(trace: Trace, event: Event, place: int) -> Event | None:
    return trace.events[event.operands[place]] if place < len(event.operands) and event.operands[place] >= 0 else None


def _aligned(shape: Sequence[int], axes: int) -> tuple[int, ...]:
    return (*(1,) * (axes - len(shape)), *shape)[-axes:] if axes else ()


class _Walk:
    """Follows a product to its sums."""

    def __init__(self, trace: Trace, product: _Product) -> None:
        self._trace, self._product = trace, product
        self._repeats = product.repeated(range(len(product.shape)))
        self.passed: set[int] = set()

    def macs(self) -> int:
        """Return the multiply-accumulates of the product, 0 if it is none."""
        event = self._product.event
        linear = event.kind in ("mul", "div") and self._product.weighs
        if not (self._repeats or linear):
            return 0
        axes = tuple(frozenset({axis}) for axis in range(len(self._product.shape)))
        pending = [_State(event.index, axes, linear, False)]
        while pending and len(self.passed) < _FAR:
            state = pending.pop()
            readers = self._trace.readers.get(state.at, [])
            for reader in readers:
                if reader.index in self.passed and reader.kind != "add":
                    continue
                now = state._replace(plain=state.plain and len(readers) == 1)
                summed = self._summed(reader, now)
                if summed is not None and (macs := self._counted(now, *summed)):
                    return macs
                follows = None if summed is not None else self._after(reader, now)
                self.passed.add(reader.index)
                if follows is not None and (self._repeats or follows.plain):
                    pending.append(follows)
        return 0

    def _counted(self, state: _State, summed: frozenset[int] | None, bends: bool) -> int:
        product = self._product
        if product.event.kind == "sub" and not (state.bent or bends):
            return 0  # a sum of differences multiplies nothing
        everywhere = range(len(product.shape))
        if summed is None:  # along some axis
            settled = any(product.repeated([axis for axis in everywhere if axis != k]) for k in product.shared)
            return product.macs(frozenset()) if settled else 0
        if summed.isdisjoint(product.shared):
            return 0
        matches = product.repeated([axis for axis in everywhere if axis not in summed])
        return product.macs(summed) if matches or (state.plain and not bends) else 0

    def _summed(self, reader: Event, state: _State) -> tuple[frozenset[int] | None, bool] | None:
        """Return the axes of the product that `reader` sums, `None` if unknown, and whether it bends the terms first.

        The result is `None` if `reader` does not sum.
        """
        name, axes = base_name(reader.op), state.axes
        if reader.kind in ("sum", "mean", "avg_pool"):
            if axes is None:
                return None, False
            count = len(reader.attributes.get("extent", ()))
            dims = range(len(axes) - count, len(axes)) if count else reader.attributes.get("dims", ())
            return frozenset().union(*(axes[axis] for axis in dims if axis < len(axes))), False
        if name in _SUMS:
            return None, "sum" not in name
        if name in _SCATTERS:
            return self._scattered(reader, _SCATTERS[name], state)
        parts = sum(index in self.passed or index == state.at for index in reader.operands)
        if reader.kind == "add" and axes is None and parts > 1:
            return None, False
        return None

    def _scattered(self, reader: Event, role: str, state: _State) -> tuple[frozenset[int] | None, bool] | None:
        """Return the axis along which a scatter adds: the one whose size it changes."""
        if state.axes is None or not reader.shapes or role not in reader.roles:
            return None
        place = reader.roles.index(role)
        if reader.operands[place] != state.at or len(reader.shapes[0]) != len(state.axes):
            return None
        sizes = zip(reader.told.operand_shapes[place], reader.shapes[0], state.axes, strict=True)
        return frozenset().union(*(axes for before, after, axes in sizes if before != after)), False

    def _after(self, reader: Event, state: _State) -> _State | None:
        """Return the state after an operation that does not mix elements, `None` for any other."""
        if not reader.shapes:
            return None
        shape, axes = reader.shapes[0], state.axes
        before = self._trace.events[state.at].shapes[0]
        name = base_name(reader.op)
        if reader.kind == "slice":
            return state._replace(at=reader.index, axes=None, plain=False)
        if reader.kind == "permute" and axes is not None:
            order = reader.attributes.get("order", ())
            same = len(order) == len(axes)
            return state._replace(at=reader.index, axes=tuple(axes[axis] for axis in order)) if same else None
        if name in _RESHAPING:
            moved = None if axes is None else _regrouped(axes, before, shape)
            return state._replace(at=reader.index, axes=moved, plain=state.plain and moved is not None)
        if shape != before:
            return None
        alone = len(reader.operands) == 1
        if reader.kind == "copy" or (alone and reader.kind in ("mul", "div", "neg")):
            return state._replace(at=reader.index)
        if reader.kind in ("add", "sub"):
            return state._replace(at=reader.index, plain=False)
        if reader.kind in ("mul", "div") or (alone and name in _ELEMENTWISE):
            return state._replace(at=reader.index, plain=False, bent=True)
        return None


def _regrouped(axes: Axes, before: Sequence[int], after: Sequence[int]) -> Axes | None:
    """Return what each axis holds after a reshape; axes that are split or joined hold all of their group."""
    moved: list[frozenset[int]] = []
    taken = place = 0
    while place < len(after):
        start, have, want, held = place, 1, after[place], frozenset[int]()
        place += 1
        while have != want:
            if have < want and taken < len(before):
                held, have, taken = held | axes[taken], have * before[taken], taken + 1
            elif have > want and place < len(after):
                want, place = want * after[place], place + 1
            else:
                return None
        moved += [held] * (place - start)
    return tuple(moved)
