"""Why an input does not fit: the place where a pass fails, the inputs that reach it, and the extents that disagree.

An input may also fit by luck: a tensor of one element is broadcast to the size of a parameter, or rows of one sample
become several samples.
"""

from __future__ import annotations

import itertools
import linecache
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from traceback import walk_tb
from types import FrameType
from typing import Any

import torch

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.forward_errors import fault_of
from archcheck.measure.passes.recorder import Recorder
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.subject.module_tree import Tree

_BROADCASTS = frozenset({"add", "sub", "mul", "div", "rsub", "maximum", "minimum", "addcmul", "lerp"})
_CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
_SEVERAL, _AXES = 8, 4
"""Numbers in an error that may be extents, at most; a lower number is one of axes."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A place where an input does not fit, or fits by luck.

    `inputs` are the numbers of the inputs that reach it, all if that is not known. `ratios` are by how much the number
    of elements there is too small, as far as the error tells, `missing` how many features or channels. `by_luck` says
    that the pass went on.
    """

    layer: str
    inputs: frozenset[int]
    ratios: tuple[float, ...] = ()
    missing: int = 0
    by_luck: bool = False


def reached_by(trace: Trace) -> Iterator[frozenset[int]]:
    """Yield for each event the numbers of the model's inputs that its result depends on."""
    found: list[frozenset[int]] = []
    inputs = 0
    nothing: frozenset[int] = frozenset()
    for event in trace.events:
        if event.told.kind == "input":
            found.append(frozenset({inputs}))
            inputs += 1
        else:
            parts = {found[index] for index in event.inputs}
            found.append(parts.pop() if len(parts) == 1 else nothing.union(*parts))
        yield found[-1]


def failure(error: Exception, recorder: Recorder, tree: Tree, count: int) -> Misfit:
    """Return where a pass with `count` inputs failed."""
    reached = list(reached_by(recorder.trace))
    layer = fault_of(error, tree).layer
    makers = {maker for tensor in _failing(error, tree) if (maker := recorder.maker_of(tensor)) is not None}
    inputs = frozenset[int]().union(*(reached[maker] for maker in makers))
    inputs = inputs or frozenset(range(count))
    if features := _features(recorder.trace, tree, layer):
        wanted, got = features
        if wanted != got:
            return Misfit(layer, inputs, (wanted / max(1, got),), missing=wanted - got)
    return Misfit(layer, inputs, tuple(_ratios(str(error))))


def _failing(error: Exception, tree: Tree) -> list[torch.Tensor]:
    """Return the tensors that the operation reads that fails, or else the line of the subject."""
    frames = list(walk_tb(error.__traceback__))
    for frame, _ in reversed(frames):
        if frame.f_code.co_name == "__torch_dispatch__" and isinstance(frame.f_locals.get("self"), Recorder):
            return list(tensors_in((frame.f_locals["args"], frame.f_locals["kwargs"])))
    for frame, line in reversed(frames):
        module = frame.f_locals.get("self")
        if isinstance(module, torch.nn.Module) and tree.path_of(module) is not None:
            leaf = not module._modules and type(module).__module__.startswith("torch.nn.")
            return list(tensors_in(_locals(frame, None if leaf else line)))
    return []


def _locals(frame: FrameType, line: int | None) -> list[Any]:
    """Return the local values of a frame, only those that a line names if it is given and can be read."""
    text = linecache.getline(frame.f_code.co_filename, line) if line else ""
    words = set(re.findall(r"\w+", text))
    values = {name: value for name, value in frame.f_locals.items() if name != "self"}
    return [value for name, value in values.items() if not words or name in words]


def _features(trace: Trace, tree: Tree, layer: str) -> tuple[int, int] | None:
    """Return how many features or channels a layer takes, and how many it got; `None` for other layers."""
    module = next((node.module for node in tree.nodes if node.path == layer), None)
    visit = trace.visits.get(layer)
    shape = visit.inputs[0] if visit and visit.inputs else ()
    if isinstance(module, torch.nn.Linear) and shape:
        return module.in_features, shape[-1]
    if isinstance(module, _CONVOLUTIONS) and len(shape) == 2 + len(module.kernel_size):
        return module.in_channels, shape[1]
    return None


def _ratios(text: str) -> Iterator[float]:
    """Yield by how much the number of elements is too small where an error says so, both ways if it does not tell."""
    if found := re.search(r"shape '\[([-\d, ]+)\]' is invalid for input of size (\d+)", text):
        wanted = math.prod(extent for each in found[1].split(",") if (extent := int(each)) > 0)
        yield wanted / max(1, int(found[2]))
        return
    for one, other in _pairs(text):
        yield from (one / other, other / one)


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the pairs of different extents that an error names."""
    shapes = [[int(each) for each in re.findall(r"\d+", shape)] for shape in re.findall(r"[(\[]([\d, ]+)[)\]]", text)]
    if len(shapes) == 2 and min(map(len, shapes)) > 1:
        for one, other in zip(reversed(shapes[0]), reversed(shapes[1]), strict=False):
            if one != other and min(one, other) > 0:
                yield one, other
        return
    if re.search(r"unpack|unbatched|dimension\w* (of|tensor)|\dD\b", text):  # numbers of axes
        return
    numbers = [int(each) for each in re.findall(r"(?<![\w.])\d{1,9}(?![\w.])", text)][:_SEVERAL]
    numbers = [number for number in numbers if number > _AXES]
    yield from ((one, other) for one, other in itertools.pairwise(numbers) if one != other)


def luck(trace: Trace, sizes: Sequence[tuple[int, ...]]) -> Misfit | None:
    """Return the first place where inputs of these shapes fit by luck, `None` if every size is as it should be."""
    dependent = trace.dependent
    for event in trace.events:
        if len(event.operands) > 1 and base_name(event.op) in _BROADCASTS and (wanted := _stretch(event, trace)):
            reached = list(reached_by(trace))
            inputs = frozenset[int]().union(*(reached[index] for index in event.inputs if dependent[index]))
            return Misfit(event.layer, inputs, (float(wanted),), by_luck=True)
    output = trace.output_tensors[0][0] if trace.output_tensors else ()
    images = frozenset(number for number, shape in enumerate(sizes) if len(shape) > 3 and shape[0] == 1)
    if len(output) == 2 and output[0] > 1 and images:
        return Misfit("", images, (1 / output[0],), by_luck=True)
    return None


def _stretch(event: Event, trace: Trace) -> int:
    """Return how many times an activation is repeated to the size of a parameter, 0 if it is not."""
    shapes = event.told.operand_shapes
    result = event.shapes[0] if event.shapes else ()
    depends = [operand >= 0 and trace.dependent[operand] for operand in event.operands]
    if len(shapes) != len(depends) or all(depends) or not any(depends):
        return 0
    for shape, operand, itself in zip(shapes, event.operands, depends, strict=True):
        if itself or operand in trace.generated:
            continue
        activations = [each for each, other in zip(shapes, depends, strict=True) if other]
        repeated = math.prod(_repeated(each, shape, result) for each in activations)
        if repeated > 1:
            return repeated
    return 0


def _repeated(activation: Sequence[int], parameter: Sequence[int], result: Sequence[int]) -> int:
    """Return how many times an activation is repeated along the axes of a parameter, without the batch."""
    if len(parameter) > len(result):
        return 1
    axes = range(1, min(len(activation), len(parameter) + 1))
    pairs = ((activation[-axis], parameter[-axis]) for axis in axes if axis <= len(parameter))
    return math.prod(other for one, other in pairs if one == 1 and other > 1)
