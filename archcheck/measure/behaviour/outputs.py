"""Probes of the first output: whether it is log-probabilities, and whether it keeps the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import Module
from torch.nn.utils.rnn import PackedSequence

from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.words import shape_text
from archcheck.measure.behaviour.batch_search import first_axis, groups_of
from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.behaviour.example_variants import demand_changeable
from archcheck.measure.behaviour.probe_context import ProbeContext, main_in
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.shapes.containers import is_record


def log_probabilities(context: ProbeContext, axis: int | None = None) -> Mapping[str, Any]:
    """Return how far the first output is from log-probabilities, on the example and on ten times the example.

    All floating inputs are multiplied, the others stay. The class axis is `axis`, by default 1, or 0 if the output has
    one axis. `sum_error` is the largest difference of a sum of exponentials from one, in float64 so that it measures
    the model and not this sum; `None` if the sum is not finite. `finite` says that the output holds neither NaN nor
    infinity; minus infinity is allowed as the logarithm of zero. `others` are other axes with sums within 0.01 of one.

    Raises:
        SubjectError: a part of the example cannot be changed, or the first output has no values or no such axis.
    """
    demand_changeable(context.example)
    finite, errors = True, []
    for scale in (1.0, 10.0):
        output = _first_output(context.model, _scaled(context.example, scale)).double()
        chosen = class_axis(output, axis)
        errors.append((output.exp().sum(dim=chosen) - 1).abs().max())
        finite = finite and not bool((output.isnan() | output.isposinf()).any())
    worst = float(torch.stack(errors).max())  # torch's maximum keeps NaN
    others = [other for other in range(output.dim()) if other != chosen and _sums_to_one(output, other)]
    error = worst if math.isfinite(worst) else None
    return {"finite": finite, "sum_error": error, "shape": list(output.shape), "axis": chosen, "others": others}


def class_axis(output: torch.Tensor, axis: int | None) -> int:
    """Return the class axis, counted from 0: `axis`, by default 1, or 0 if the output has one axis.

    Raises:
        SubjectError: the output has no such axis.
    """
    given = min(1, max(0, output.dim() - 1)) if axis is None else axis
    if not -output.dim() <= given < output.dim():
        raise SubjectError("forward", f"the first output has shape {shape_text(output.shape)}, and no axis {given}")
    return given % output.dim()


def _sums_to_one(output: torch.Tensor, axis: int) -> bool:
    return bool(((output.exp().sum(dim=axis) - 1).abs() < 0.01).all())


def keeps_batch(context: ProbeContext) -> Mapping[str, Any]:
    """Return the number of samples in the first output, for the example and for a batch of another size.

    `batch_search` finds the samples; if it is not certain, they are the first axis of the first input. `output` is the
    shape of the first output, after the length of the list if a list holds one output per sample. `axis` is its axis of
    samples. If the other batch fails, `error` says why. If integers assign the parts of an input to graphs or bags, no
    other batch can be made, and only the example runs.

    Raises:
        SubjectError: no input has an axis, or nothing is known to count samples.
    """
    demand_changeable(context.example)
    batch = first_axis(context)
    if batch is None:
        raise SubjectError("input", "no input has an axis, so there is no batch to keep")
    shapes = {batch.count: _shape(context, context.example, batch, batch.count)}
    given = shapes[batch.count]
    if given and given[0] != batch.count and given[0] in groups_of(context):
        return {"runs": [_run(given[0], given, 0)]}
    other = batch.count + 1 if batch.is_indexed else 3 if batch.count != 3 else 2
    failure = None
    try:
        shapes[other] = _shape(context, batch.sized(other), batch, other)
    except Exception as error:  # the failure of the subject is the answer
        failure = described(error)
        if given[:1] != [batch.count] and len(inputs_of(context.example)) > 1:
            raise SubjectError("input", f"nothing in the input is known to count samples: {failure}") from error
    held = batch.axis if all(size in shape[batch.axis : batch.axis + 1] for size, shape in shapes.items()) else 0
    runs = [_run(size, shape, held) for size, shape in shapes.items()]
    return {"runs": runs if failure is None else [*runs, {"batch": other, "output": None, "axis": 0, "error": failure}]}


def _run(size: int, shape: list[int], axis: int) -> dict[str, Any]:
    return {"batch": size, "output": shape, "axis": axis, "error": None}


def _shape(context: ProbeContext, example: Example, batch: Batch, size: int) -> list[int]:
    output = example.given_to(context.model)
    first = main_in(output)
    if first is None:
        raise SubjectError("forward", "the forward pass returned no tensor, so it keeps no batch")
    if isinstance(output, PackedSequence):
        return [int(output.batch_sizes[0]), *first.shape[1:]]
    shape = list(first.shape)
    while isinstance(output, list | tuple) and output and not is_record(output) and shape[:1] != [size]:
        if batch.of_items or len(output) == size:  # one result per sample, as in detectors
            return [len(output), *shape]
        output = output[0]
    return shape


def _scaled(example: Example, scale: float) -> Example:
    """Return a copy of the example with its floating inputs times `scale`."""

    def scaled(tensor: torch.Tensor) -> torch.Tensor:
        return tensor * scale if tensor.is_floating_point() else tensor.clone()

    return example.mapped(scaled)


def _first_output(model: Module, example: Example) -> torch.Tensor:
    output = main_in(model(*example.args, **example.kwargs))
    if output is None:
        raise SubjectError("forward", "the forward pass returned no tensor to look at")
    if output.numel() == 0:
        shape = shape_text(output.shape)
        raise SubjectError("forward", f"the forward pass returned an empty tensor ({shape}), which has no values")
    return output
