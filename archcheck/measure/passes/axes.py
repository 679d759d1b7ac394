"""Names the axes of an input, and makes the example with other extents along some of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from archcheck.facts.facts import lineage
from archcheck.foundation.words import listed, shape_text
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.extent_search import Point
from archcheck.measure.shapes.layouts import rows_of
from archcheck.measure.shapes.tensor import META, is_floating
from archcheck.measure.subject.module_tree import Tree

_SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_SAME = {"time": "length"}
_UNTOUCHED = frozenset({"add", "sub", "mul", "div", "dropout", "copy", "layer_norm", "identity", "relu"})
"""Kinds of operations that keep the meaning of axes if they keep the shape."""
_STATISTICS = frozenset({"sum", "mean", "max", "amax", "amin", "std", "var", "var_mean", "std_mean", "norm"})
"""Kinds of operations that say nothing about axes: a mean may be over any axis."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One input of an example: the `index` of its tensor, and the possible names of each axis."""

    index: int
    tensor: torch.Tensor
    names: tuple[tuple[str, ...], ...]

    @property
    def batch(self) -> int | None:
        """The axis that counts samples, `None` if no axis certainly does."""
        return next((axis for axis, names in enumerate(self.names) if names == ("batch",)), None)

    def axis(self, name: str, key: str = "axes") -> int:
        """Return the axis with the name or the number `name`. Messages call it `key`, as the rule does.

        Raises:
            ValueError: there is no such axis.
        """
        if re.fullmatch(r"-?\d+", name):
            if -len(self.names) <= int(name) < len(self.names):
                return int(name) % len(self.names)
            raise ValueError(f"the input {self._text} has no axis {name}")
        for axis, names in enumerate(self.names):
            if _SAME.get(name, name) in names:
                return axis
        known = listed(each for names in self.names for each in names)
        raise ValueError(
            f"the input {self._text} has no axis `{name}` but {known}; give another by its number in `{key}`"
        )

    @property
    def _text(self) -> str:
        return shape_text(self.tensor.shape)


def choose(example: Example, which: int | str | None, trace: Trace, tree: Tree) -> Chosen:
    """Return the input of `example` with the position or name `which`, by default the first that is not boolean.

    Raises:
        ValueError: there is no such input.
    """
    tensors = [*tensors_in(example.args), *tensors_in(dict(example.kwargs))]
    if which is None:
        chosen = next((each for each in tensors if each.dim() and each.dtype != torch.bool), None)
    elif isinstance(which, str):
        chosen = next(tensors_in(example.kwargs.get(which)), None)
    else:
        chosen = tensors[which] if 0 <= which < len(tensors) else None
    if chosen is None or not chosen.dim():
        named = "that has an axis" if which is None else f"`{which}`"
        raise ValueError(f"there is no input {named}; the example has {len(tensors)}")
    index = next(index for index, each in enumerate(tensors) if each is chosen)
    return Chosen(index, chosen, _names(chosen, trace, index, tree))


def _names(tensor: torch.Tensor, trace: Trace, index: int, tree: Tree) -> tuple[tuple[str, ...], ...]:
    """Return the names of the axes by the first operation that tells: a convolution has its channels first, etc."""
    rank, reader = tensor.dim(), _first_reader(trace, index)
    kernel = reader.attributes.get("kernel") if reader and reader.kind != "linear" else None
    spatial = _SPATIAL.get(len(kernel)) if isinstance(kernel, list | tuple) else None
    if spatial and rank in (len(spatial) + 1, len(spatial) + 2):
        flat = ("batch", "channels", *spatial)[-rank:]
    elif rank in (4, 5):
        flat = ("batch", "channels", *_SPATIAL[rank - 2])
    elif rank == 3 and reader and reader.kind in ("batch_norm", "instance_norm", "group_norm"):
        flat = ("batch", "channels", "length")
    elif rank == 3:
        flat = ("length", "batch", "channels") if _time_first(reader, tree) else ("batch", "length", "channels")
    elif rank == 2 and _is_recurrent(reader, tree):
        flat = ("length", "channels")
    elif rank == 2:
        return ("batch",), ("length",) if not tensor.is_floating_point() else ("channels", "length")
    else:
        return (("batch", "length") if rank == 1 else ("batch",), *((),) * (rank - 1))
    return tuple((name,) for name in flat)


def _first_reader(trace: Trace, index: int) -> Event | None:
    """Return the first operation on an input that tells something about its axes."""
    same = {index}
    for event in trace.events[index + 1 :]:
        if same.isdisjoint(event.inputs) or event.kind in _STATISTICS:
            continue
        shapes = trace.events[index].shapes
        unsqueezed = shapes and event.shapes == ((1, *shapes[0]),)  # a sample that becomes a batch of one
        if not unsqueezed and event.kind != "pad" and (event.kind not in _UNTOUCHED or event.shapes != shapes):
            return event
        same.add(event.index)
    return None


def _time_first(reader: Event | None, tree: Tree) -> bool:
    """Whether the layer that reads a sequence, or a layer around it, has `batch_first=False`."""
    around = set(lineage(reader.layer if reader else ""))
    return any(node.path in around and getattr(node.module, "batch_first", True) is False for node in tree.nodes)


def _is_recurrent(reader: Event | None, tree: Tree) -> bool:
    """Whether a recurrent layer of torch reads the input. It takes two axes as one sequence without a batch."""
    path = reader.layer if reader else None
    return any(node.path == path and isinstance(node.module, torch.nn.RNNBase) for node in tree.nodes)


@dataclass(frozen=True, slots=True)
class Varied:
    """The `axes` of the `chosen` input that get other extents, together with the same axes of other inputs.

    An axis of another input is the same if it has the same extent, and both inputs have as many axes or begin with the
    same extents up to this axis.
    """

    chosen: Chosen
    axes: tuple[int, ...]

    @property
    def elements(self) -> int:
        """The number of elements of the chosen input in the example."""
        return self.chosen.tensor.numel()

    def samples(self, point: Point) -> tuple[int, int] | None:
        """Return the number of samples at a point and the axis that counts them, `None` without such an axis."""
        axis = self.chosen.batch
        return None if axis is None else (self.shape_at(point)[axis], axis)

    def shape_at(self, point: Point) -> tuple[int, ...]:
        """Return the shape of the chosen input if the axes have the extents `point`."""
        extents = dict(zip(self.axes, point, strict=True))
        return tuple(extents.get(axis, extent) for axis, extent in enumerate(self.chosen.tensor.shape))

    def example_at(self, example: Example, point: Point, *, values: bool) -> Example:
        """Return the example with the extents `point`.

        Values repeat those of the example in turn. Without `values`, floating inputs are meta tensors.
        """

        def fit(tensor: torch.Tensor) -> torch.Tensor:
            extents = {
                axis: extent
                for axis, extent in zip(self.axes, point, strict=True)
                if goes_with(tensor, self.chosen.tensor, axis)
            }
            return _repeated(tensor, extents) if values or not is_floating(tensor) else without_values(tensor, extents)

        return example.mapped(fit)


def without_values(tensor: torch.Tensor, extents: Mapping[int, int]) -> torch.Tensor:
    """Return a meta tensor like this one, with other `extents` by axis."""
    shape = [extents.get(axis, extent) for axis, extent in enumerate(tensor.shape)]
    return torch.empty(shape, dtype=tensor.dtype, device=META)


def _repeated(tensor: torch.Tensor, extents: Mapping[int, int]) -> torch.Tensor:
    for axis, extent in extents.items():
        if extent != tensor.shape[axis]:
            tensor = rows_of(tensor, axis, [turn % tensor.shape[axis] for turn in range(extent)])
    return tensor


def goes_with(tensor: torch.Tensor, chosen: torch.Tensor, axis: int) -> bool:
    """Whether an axis of a tensor is the same as that of the chosen tensor; see `Varied`."""
    if tensor is chosen:
        return True
    if axis >= tensor.dim() or tensor.shape[axis] != chosen.shape[axis]:
        return False
    return tensor.dim() == chosen.dim() or tensor.shape[: axis + 1] == chosen.shape[: axis + 1]
