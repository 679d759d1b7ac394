"""Small random batches, and training passes with gradients in which dropout keeps everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.batch_search import batch_of
from archcheck.measure.behaviour.example_variants import demand_changeable, noise
from archcheck.measure.behaviour.probe_context import Outputs, ProbeContext
from archcheck.measure.loading.example import Example
from archcheck.measure.shapes.dispatch_mode import Dispatch

T = TypeVar("T")


def on_batch(context: ProbeContext, most: int, budget: float, seed: int, step: Callable[[Example, int], T]) -> T:
    """Return the result of `step` for a batch of noise and its number of samples.

    There are at most `most` samples, and only as many as `budget` multiply-accumulates allow, forwards and backwards,
    but at least two: BatchNorm refuses a single value. A model that refuses this batch, such as one for sequences
    sorted by length, gets noise in the shape of the example, or else the example itself.

    Raises:
        SubjectError: `step` raises it, or a part of the example cannot be changed.
    """
    demand_changeable(context.example)
    failure: BatchRefused | None = None
    for make in (partial(_batch, context, most, budget), partial(_noise, context), partial(_as_given, context)):
        try:
            made = make(seed)
        except Exception as error:  # parts of the example may depend on each other
            failure = failure or BatchRefused("forward", f"the example cannot be changed: {described(error)}")
            continue
        try:
            if made is not None:
                return step(*made)
        except BatchRefused as error:
            failure = failure or error
    assert failure is not None  # the last way always makes a batch
    raise failure


class BatchRefused(SubjectError):  # noqa: N818 - named after the event, as other errors of subjects are
    """A model accepts a batch neither in training nor in evaluation."""


def _batch(context: ProbeContext, most: int, budget: float, seed: int) -> tuple[Example, int] | None:
    """Return a batch of noise and its number of samples, `None` if nothing counts samples."""
    batch = batch_of(context)
    if batch is None:
        return None
    affordable = budget * batch.count / (3 * context.macs)  # the backward pass costs twice the forward pass
    samples = int(min(most, max(2, affordable)))
    return noise(batch.sized(samples), seed), samples


def _noise(context: ProbeContext, seed: int) -> tuple[Example, int]:
    return noise(context.example, seed), count(context)


def _as_given(context: ProbeContext, seed: int) -> tuple[Example, int]:
    return context.example, count(context)


def count(context: ProbeContext) -> int:
    """Return the number of samples in the example, 1 if nothing counts them."""
    batch = batch_of(context)
    return 1 if batch is None else batch.count


class KeepAll(Dispatch):  # type: ignore[no-untyped-call]
    """Makes every random mask keep everything, in dropout and in stochastic depth.

    A parameter behind a mask that drops its output gets no gradient, although the model is correct.
    """

    def run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one operation."""
        if func is torch.ops.aten.bernoulli_.float and (args[1] if len(args) > 1 else kwargs.get("p", 0.5)) > 0:
            return args[0].fill_(1)
        if func is torch.ops.aten.native_dropout.default and args[1] < 1:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        return func(*args, **kwargs)


def training_outputs(context: ProbeContext, example: Example, *, seed: int) -> tuple[Outputs, str]:
    """Return the outputs of a pass with gradients and its mode: training, or evaluation if training fails.

    The model is not restored.

    Raises:
        BatchRefused: the model fails in both modes.
    """
    try:
        return _pass(context, example, training=True, seed=seed), "train"
    except SubjectError:
        raise
    except Exception as error:  # whatever the subject raises
        failure = error
    try:
        return _pass(context, example, training=False, seed=seed), "eval"
    except Exception as error:
        raise BatchRefused("forward", f"the forward pass fails in training: {described(failure)}") from error


def _pass(context: ProbeContext, example: Example, *, training: bool, seed: int) -> Outputs:
    with torch.enable_grad(), KeepAll():  # type: ignore[no-untyped-call]
        return context.call(example, training=training, seed=seed)
