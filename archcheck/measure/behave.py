"""Probes: how a model behaves on real numbers. Each runs only when a rule asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from archcheck.measure.arguments import map_tensors, tensors_in
from archcheck.measure.example import Example

Call = Callable[..., Any]
PROBES: dict[str, Callable[[Call, Example], Mapping[str, Any]]] = {}


def probe(name: str) -> Callable[[Any], Any]:
    """Register a probe under the name that rules ask for."""

    def register(function: Any) -> Any:
        PROBES[name] = function
        return function

    return register


def run(name: str, forward: Call, example: Example) -> Mapping[str, Any]:
    """Run one probe in evaluation mode, without gradients."""
    with torch.no_grad():
        return PROBES[name](forward, example)


@probe("log-probabilities")
def _log_probabilities(forward: Call, example: Example) -> Mapping[str, Any]:
    """How far the first output is from log-probabilities along its class axis, on the example and on noise.

    The class axis is 1 for `(N, C, …)`, else the last. The largest distance of a sum of exponentials from
    one is taken in float64, so that it measures the model and not this sum.
    """
    shape: tuple[int, ...] = ()
    worst, highest = 0.0, -float("inf")
    for scale in (1.0, 10.0):
        inputs = map_tensors(lambda t, scale=scale: t * scale if t.is_floating_point() else t, list(example.args))
        output = next(tensors_in(forward(*inputs, **example.kwargs))).double()
        shape = tuple(output.shape)
        sums = output.exp().sum(dim=1 if output.dim() > 1 else -1)
        worst = max(worst, float((sums - 1).abs().max()))
        highest = max(highest, float(output.max()))
    return {"sum_error": worst, "highest": highest, "shape": list(shape)}
