"""Which inputs of a model to try: those that its layers and the names of its arguments tell, in usual sizes."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import torch

from archcheck.measure.loading.signatures import parameters_of
from archcheck.measure.loading.usual_inputs import (
    IDS,
    MORE_LENGTHS,
    MORE_SIZES,
    InputSpec,
    extents_of,
    inputs_of_layer,
    inputs_of_name,
    is_of_graph,
    rearranged,
    stated_sizes,
)
from archcheck.measure.passes.input_faults import Misfit, reached_by
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.subject.module_tree import Tree

Point = tuple[InputSpec, ...]
"""One input for each argument."""

TOLD, NEAR, LISTED, OTHER = range(4)
"""How likely an input is: told by the layer that it reaches, near a size that fits, usual, or told by other layers."""
_ROUND = (32, 16, 10, 8, 4, 2)
_WIDEST = 0.12
"""By how much a usual size may differ from the one that fits, as a logarithm."""


_DIVISIONS = 8
"""Ways to divide the features of a layer among its inputs that are tried at most."""


class Candidate(NamedTuple):
    """An input with how likely it is: the lower the pair, the sooner it is tried."""

    tier: int
    rank: float
    spec: InputSpec


class NextInputs:
    """The inputs to try for the arguments `names` of a model."""

    def __init__(self, tree: Tree) -> None:
        self.names = argument_names(tree.model)
        self._modules = {node.path: node.module for node in tree.nodes}
        self._nodes = any(map(is_of_graph, self.names))

    @cached_property
    def _layers(self) -> list[Sequence[InputSpec]]:
        return [specs for path in self._modules if (specs := self._of(path))]

    @cached_property
    def _stated(self) -> list[int]:
        return stated_sizes(list(self._modules.values()))

    def beginnings(self) -> Iterator[Point]:
        """Yield the inputs of the first registered layer, and the usual ones of arguments whose names tell them."""
        named = [inputs_of_name(name) if len(self.names) > 1 else () for name in self.names]
        first = next(filter(None, map(self._of, self._modules)), ())
        for spec in first:
            yield tuple(usual[0] if usual else spec for usual in named)
        if not first and all(inputs_of_name(name) for name in self.names):
            yield tuple(inputs_of_name(name)[0] for name in self.names)

    def after(self, point: Point, number: int, misfit: Misfit, trace: Trace) -> Iterator[Candidate]:
        """Yield other inputs for one argument of a point that does not fit."""
        spec = point[number]
        yield from self._resized(spec, misfit)
        if misfit.by_luck:
            return
        if len(misfit.inputs) > 1:  # they are joined before the layer
            yield Candidate(TOLD, -1.0, spec.with_more(misfit.missing))
        receivers = list(self.receivers(trace, number))
        layers = receivers or [misfit.layer]
        usual = [*(each for path in layers for each in self._of(path)), *inputs_of_name(self.names[number])]
        for place, other in enumerate(usual):
            yield Candidate(TOLD, place, other)
            for changed in rearranged(other):
                yield Candidate(NEAR, 0.5 + place, changed)
        for place, other in enumerate(_like_others(point, number)):
            yield Candidate(NEAR if receivers else TOLD, 0.4 + place / 100 if receivers else 50 + place, other)
        for place, other in enumerate(itertools.chain(*self._layers, IDS)):
            yield Candidate(OTHER, place, other)
            for changed in rearranged(other):
                yield Candidate(OTHER, 50 + place, changed)

    def divided(self, point: Point, misfit: Misfit) -> Iterator[Point]:
        """Yield the point with the features that a layer takes divided among the inputs that are joined before it.

        One of two gets an extent that the model holds, first one whose name begins like that of the argument, as in
        `hidden` and `hidden_size`. Otherwise all get the same.
        """
        inputs = sorted(misfit.inputs)
        whole = point[inputs[0]].channels
        if len(inputs) < 2 or any(point[number].channels != whole for number in inputs):
            return
        if misfit.missing != -whole * (len(inputs) - 1) or whole < len(inputs):
            return
        parts: list[tuple[int, ...]] = []
        if len(inputs) == 2:
            held = [each for module in self._modules.values() for each in extents_of(module) if 1 < each[1] < whole]
            parts += (each for name, own in held for each in self._named_parts(inputs, name, own, whole))
            parts += ((own, whole - own) for _, own in held)
            parts += ((whole - own, own) for _, own in held)
        equal = whole // len(inputs)
        parts = [*dict.fromkeys(parts)][: _DIVISIONS - 1]
        parts.append((*[equal] * (len(inputs) - 1), whole - equal * (len(inputs) - 1)))
        for shares in parts:
            changed = list(point)
            for number, share in zip(inputs, shares, strict=True):
                changed[number] = point[number].with_more(share - whole)._replace(divided=True)
            yield tuple(changed)

    def _named_parts(self, inputs: list[int], name: str, extent: int, whole: int) -> Iterator[tuple[int, ...]]:
        first, second = (self.names[number] for number in inputs)
        if len(second) > 1 and name.startswith(second):
            yield whole - extent, extent
        elif len(first) > 1 and name.startswith(first):
            yield extent, whole - extent

    def _resized(self, spec: InputSpec, misfit: Misfit) -> Iterator[Candidate]:
        """Yield an input in other sizes, those first that the disagreeing extents tell."""
        if not spec.free:
            return
        axes = len(spec.free)
        usual = [*self._stated, *self._usual(axes)]
        for size in self._stated:
            yield Candidate(NEAR, 0.0, spec.resized(size))
        for power, ratio in itertools.product(dict.fromkeys((axes, 1)), misfit.ratios):
            guess = spec.size * ratio ** (1 / power)
            if not 1 <= guess <= 1 << 20:
                continue
            likely = 0.0 if power == axes else 0.3
            for place, distance in enumerate((0, 1, -1, 2, -2)):
                yield Candidate(NEAR, likely + 0.02 * (1 + place), spec.resized(max(1, round(guess) + distance)))
            for size in usual:
                if (apart := abs(math.log(size / guess))) < _WIDEST:
                    yield Candidate(NEAR, likely + apart / 10, spec.resized(size))
        for place, size in enumerate(usual):
            yield Candidate(LISTED, place, spec.resized(size))

    def rounder(self, spec: InputSpec) -> Iterator[InputSpec]:
        """Yield the input in sizes nearby that are more usual than its own, which fits."""
        usual = self._usual(len(spec.free)) if spec.free else ()
        if not spec.free or spec.size in (*self._stated, *usual):
            return
        near = sorted((abs(math.log(size / spec.size)), size) for size in (*self._stated, *usual))
        sizes = [size for apart, size in near if apart < _WIDEST]
        for step in _ROUND:
            if spec.size % step == 0:
                break
            sizes += sorted((spec.size // step * step, -(-spec.size // step) * step), key=lambda n: abs(n - spec.size))
        yield from (spec.resized(size) for size in dict.fromkeys(sizes) if size > 0)

    def receivers(self, trace: Trace, number: int) -> Iterator[str]:
        """Yield the first layer that tells its input and that an argument reaches, if there is one."""
        events = zip(trace.events, reached_by(trace), strict=False)
        layers = (event.layer for event, inputs in events if number in inputs)
        yield from itertools.islice((path for path in layers if self._of(path)), 1)

    def _usual(self, axes: int) -> list[int]:
        told = [spec.size for specs in self._layers for spec in specs if len(spec.free) == axes]
        return list(dict.fromkeys([*told, *(MORE_LENGTHS if axes == 1 else MORE_SIZES)]))

    def _of(self, path: str) -> Sequence[InputSpec]:
        module = self._modules.get(path)
        return inputs_of_layer(module, nodes=self._nodes) if module is not None else ()


def _like_others(point: Point, number: int) -> Iterator[InputSpec]:
    """Yield inputs with extents of the other arguments, such as a mask of an image."""
    for place, other in enumerate(point):
        if place != number:
            if other.dtype is None and len(other.shape) > 3:
                yield InputSpec((1, 1, *other.shape[2:]), free=other.free)
            yield other
            if len(other.shape) > 1:
                yield InputSpec(other.shape[:2], "bool")
                yield InputSpec(other.shape[:2])


def argument_names(model: torch.nn.Module) -> tuple[str, ...]:
    """Return the arguments that `forward` needs, or the first one if all have defaults."""
    parameters = [each for each in parameters_of(model.forward) if each.kind is not each.VAR_KEYWORD]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [each.name for each in parameters if each.default is each.empty and each.kind in positional]
    return tuple(needed or [each.name for each in parameters][:1] or ["input"])
