"""Says what went wrong in a forward pass: the error, the layer that ran, and the line of the subject's code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import torch

from archcheck.foundation.errors import described
from archcheck.foundation.source_place import Where
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes import layer_shapes, operator_shapes, shape_rules
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import is_outside_torch, nearest
from archcheck.measure.subject.source_text import place as shown_place

_SHAPE_RULES = frozenset(str(module.__file__) for module in (shape_rules, layer_shapes, operator_shapes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure: `where` is the line of the layer's own code, `called` the subject's line that it was called from."""

    message: str
    layer: str = ""
    where: Where | None = None
    called: Where | None = None

    @property
    def is_placed(self) -> bool:
        """Whether it is known where in the model it happened."""
        return bool(self.layer or self.where)


def raised_at(error: BaseException) -> Where | None:
    """Return the innermost line of the subject's own code in the traceback, of another package where it has none."""
    lines = {each.tb_frame: each.tb_lineno for each in _steps(error.__traceback__)}
    found = nearest(reversed(lines))
    return Where(file=found.f_code.co_filename, line=lines[found]) if found else None


def _steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def fault_of(error: BaseException, tree: Tree) -> Fault:
    """Return what an error says, with the innermost layer of the model that it went through."""
    layer, where, called, traceback = "", None, None, error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        path = _path_of(frame.f_locals.get("self"), tree)
        if path is not None and path != layer:
            layer, where = path, None
        if is_outside_torch(frame.f_code.co_filename):
            where = called = Where(file=frame.f_code.co_filename, line=traceback.tb_lineno)
        traceback = traceback.tb_next
    return Fault(message=described(error), layer=layer, where=where, called=called)


def failed_in(error: BaseException, tree: Tree) -> str:
    """Return ` in `head.1` (Linear) at net.py:12`: the innermost layer of the model, and the line of the subject."""
    path, where = fault_of(error, tree).layer, raised_at(error)
    layer = f" in `{path}` ({tree.type_of(path)})" if path else ""
    return layer + (f" at {shown_place(where.file, where.line)}" if where else "")


def _path_of(holder: object, tree: Tree) -> str | None:
    return tree.path_of(holder) if isinstance(holder, torch.nn.Module) else None


def shapes_are_wrong(error: Exception) -> bool:
    """Whether one of our own shape rules refused, which a run on real tensors would only repeat."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_filename in _SHAPE_RULES


def loss_of_batch(trace: Trace, batch: int) -> tuple[str, Where | None]:
    """Return the layer and the line of the last operation that was given `batch` samples and handed on another number.

    The layer is `""` where there is none.
    """
    for event in reversed(trace.events):
        operands = [trace.events[index] for index in event.inputs]
        if (
            trace.live[event.index]
            and not _holds(event.shapes, batch)
            and any(_holds(o.shapes, batch) for o in operands)
        ):
            return event.layer, event.where
    return "", None


def _holds(shapes: tuple[tuple[int, ...], ...], batch: int) -> bool:
    return bool(shapes) and shapes[0][:1] == (batch,)
