"""Describes the failure of a forward pass: the error, the layer that ran, and the line of the subject's code."""

from __future__ import annotations

from dataclasses import dataclass
from traceback import walk_tb

import torch

from archcheck.facts.option_words import WITH_MEMORY
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.source_place import Where
from archcheck.measure.loading.causes import cause_of, is_due_to_input
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward_inputs import misfit
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes import layer_shapes, operator_shapes, shape_rules
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import is_outside_torch, nearest
from archcheck.measure.subject.source_text import place as shown_place

_SHAPE_RULES = frozenset(str(module.__file__) for module in (shape_rules, layer_shapes, operator_shapes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure: `where` is the line in the code of the layer, `called` the line of the subject that called it."""

    message: str
    layer: str = ""
    where: Where | None = None
    called: Where | None = None

    @property
    def is_placed(self) -> bool:
        """Whether the layer or the line is known."""
        return bool(self.layer or self.where)


def raised_at(error: BaseException) -> Where | None:
    """Return the innermost line of the subject's own code in the traceback; without one, that of another package."""
    lines = dict(walk_tb(error.__traceback__))
    found = nearest(reversed(lines))
    return Where(file=found.f_code.co_filename, line=lines[found]) if found else None


def fault_of(error: BaseException, tree: Tree) -> Fault:
    """Return the message of an error, with the innermost layer of the model in its traceback."""
    layer, where, called = "", None, None
    for frame, line in walk_tb(error.__traceback__):
        holder = frame.f_locals.get("self")
        path = tree.path_of(holder) if isinstance(holder, torch.nn.Module) else None
        if path is not None and path != layer:
            layer, where = path, None
        if is_outside_torch(frame.f_code.co_filename):
            where = called = Where(file=frame.f_code.co_filename, line=line)
    return Fault(message=described(error), layer=layer, where=where, called=called)


def failed_in(error: BaseException, tree: Tree) -> str:
    """Return ` in `head.1` (Linear) at net.py:12`: the innermost layer of the model and the line of the subject."""
    path, where = fault_of(error, tree).layer, raised_at(error)
    layer = f" in `{path}` ({tree.type_of(path)})" if path else ""
    return layer + (f" at {shown_place(where.file, where.line)}" if where else "")


def forward_error(example: Example, error: Exception, tree: Tree, *, meta: bool = False) -> SubjectError:
    """Return the error of a failed forward pass, with the layer, the line, the shapes of the input, and what to do."""
    shapes = ", ".join("x".join(map(str, tensor.shape)) or "scalar" for tensor in inputs_of(example)) or "no tensor"
    message = f"the forward pass failed{failed_in(error, tree)} on input {shapes}: {described(error)}"
    said = [message]
    if is_due_to_input(error):
        asks = "does the input fit the model? (`input` in the contract, `--input` here)"
        said.append(misfit(tree.model, example) or asks)
    elif why := cause_of(error):
        said.append(why)
    return SubjectError("forward", "; ".join([*said, *([f"if it takes real numbers, {WITH_MEMORY}"] if meta else [])]))


def raise_unless_input(error: SubjectError) -> None:
    """Raise an error of a forward pass again if no other input mends it."""
    if error.__cause__ is not None and not is_due_to_input(error.__cause__):
        raise error


def shapes_are_wrong(error: Exception) -> bool:
    """Whether a shape rule of archcheck raised the error. A run on real tensors would only repeat it."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_code.co_filename in _SHAPE_RULES


def loss_of_batch(trace: Trace, batch: int) -> tuple[str, Where | None]:
    """Return the layer and the line of the last operation that reads `batch` samples and returns another number.

    The layer is `""` if there is no such operation.
    """
    for event in reversed(trace.events):
        reads = any(_holds(trace.events[index].shapes, batch) for index in event.inputs)
        if reads and trace.live[event.index] and not _holds(event.shapes, batch):
            return event.layer, event.where
    return "", None


def _holds(shapes: tuple[tuple[int, ...], ...], batch: int) -> bool:
    return bool(shapes) and shapes[0][:1] == (batch,)


def inputs_of(example: Example) -> list[torch.Tensor]:
    """Return the tensors of an example, positional ones first."""
    return [*tensors_in(example.args), *tensors_in(dict(example.kwargs))]
