"""Probes: how a model behaves on real numbers. Each runs only when a rule asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from archcheck.errors import SubjectError, described
from archcheck.measure.arguments import map_tensors, tensors_in
from archcheck.measure.example import Example

Call = Callable[..., Any]
PROBES: dict[str, Callable[..., Mapping[str, Any]]] = {}
"""By name, what takes a forward pass, an example and the parameters that a rule gave."""


def probe(name: str) -> Callable[[Any], Any]:
    """Register a probe under the name that rules ask for."""

    def register(function: Any) -> Any:
        PROBES[name] = function
        return function

    return register


def run(name: str, forward: Call, example: Example, **parameters: Any) -> Mapping[str, Any]:
    """Run one probe in evaluation mode, without gradients.

    Raises:
        SubjectError: the forward pass failed on real numbers, or gave no values.
    """
    try:
        with torch.no_grad():
            return PROBES[name](forward, example, **parameters)
    except SubjectError:
        raise
    except Exception as error:  # whatever the subject raises
        raise SubjectError("forward", f"the forward pass failed on real numbers: {described(error)}") from error


@probe("log-probabilities")
def _log_probabilities(forward: Call, example: Example) -> Mapping[str, Any]:
    """How far the first output is from log-probabilities, on the example and on ten times the example.

    All floating inputs, positional and by keyword, are multiplied; others stay as they are. The class axis is
    1, or 0 where the output has one axis. `sum_error` is the largest distance of a sum of exponentials from
    one, taken in float64, so that it measures the model and not this sum; it is `None` where the sum itself is
    no number. `finite` says that the output holds neither NaN nor infinity, save minus infinity, which is the
    logarithm of zero.
    """
    shape: tuple[int, ...] = ()
    finite, errors = True, []
    for scale in (1.0, 10.0):
        output = _first_output(forward, _scaled(example, scale)).double()
        shape = tuple(output.shape)
        sums = output.exp().sum(dim=1 if output.dim() > 1 else -1)
        finite = finite and not bool((output.isnan() | output.isposinf()).any())
        errors.append((sums - 1).abs().max())
    worst = float(torch.stack(errors).max())  # a tensor's maximum, which NaN does not vanish in
    return {"finite": finite, "sum_error": worst if math.isfinite(worst) else None, "shape": list(shape)}


@probe("keeps-batch")
def _keeps_batch(forward: Call, example: Example) -> Mapping[str, Any]:
    """How many samples the first output holds, for the example and for a batch of another size.

    The batch is the first axis of the first input; every input with as many entries along its first axis is repeated
    with it. `output` is the shape of the first output; where the other batch fails, `error` says why in its place.
    """
    size = next((tensor.shape[0] for tensor in tensors_in(example.args) if tensor.dim()), None)
    if size is None:
        size = next((tensor.shape[0] for tensor in tensors_in(dict(example.kwargs)) if tensor.dim()), None)
    if size is None:
        raise SubjectError("input", "no input has an axis, so there is no batch to keep")
    runs = [_batch_run(forward, example, size)]
    other = 3 if size != 3 else 2
    try:
        runs.append(_batch_run(forward, _with_batch(example, size, other), other))
    except Exception as error:  # whatever the subject raises: that it fails is the answer
        runs.append({"batch": other, "output": None, "error": described(error)})
    return {"runs": runs}


def _batch_run(forward: Call, example: Example, size: int) -> dict[str, Any]:
    output = next(tensors_in(forward(*example.args, **example.kwargs)), None)
    if output is None:
        raise SubjectError("forward", "the forward pass returned no tensor, so there is no batch to look at")
    return {"batch": size, "output": list(output.shape), "error": None}


def _with_batch(example: Example, size: int, other: int) -> Example:
    """Return the example with `other` samples in place of `size`, its own ones repeated in turn."""

    def repeated(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() == 0 or tensor.shape[0] != size:
            return tensor
        return tensor[torch.arange(other, device=tensor.device) % size]

    return Example(tuple(map_tensors(repeated, list(example.args))), map_tensors(repeated, dict(example.kwargs)))


def _scaled(example: Example, scale: float) -> Example:
    """Return the example with its floating inputs times `scale`, in memory of its own."""

    def scaled(tensor: torch.Tensor) -> torch.Tensor:
        return tensor * scale if tensor.is_floating_point() else tensor.clone()

    return Example(tuple(map_tensors(scaled, list(example.args))), map_tensors(scaled, dict(example.kwargs)))


def _first_output(forward: Call, example: Example) -> torch.Tensor:
    output = next(tensors_in(forward(*example.args, **example.kwargs)), None)
    if output is None:
        raise SubjectError("forward", "the forward pass returned no tensor, so there are no values to look at")
    if output.numel() == 0:
        shape = "x".join(map(str, output.shape))
        raise SubjectError("forward", f"the forward pass returned an empty tensor ({shape}), which has no values")
    return output
