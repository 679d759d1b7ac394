"""Probes of learning: the loss before training, and whether a few steps fit one batch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.functional import mse_loss, nll_loss

from archcheck.foundation.errors import SubjectError
from archcheck.measure.behaviour.adam import Adam
from archcheck.measure.behaviour.outputs import class_axis
from archcheck.measure.behaviour.probe_context import Outputs, ProbeContext, main_in
from archcheck.measure.behaviour.training_batches import count, on_batch, training_outputs
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.shapes.noise import permutation, uniform

START_SAMPLES, START_BUDGET = 32, 60e9
"""Samples of the batch of the first loss, and the most multiply-accumulates of its pass."""
SAMPLES = 8
"""Samples to memorise, fewer if the steps of one rate would cost too much."""
RATES = (3e-4, 3e-3, 3e-2)
"""Learning rates in the order of trial: first for deep networks and transformers, then for small networks."""
BUDGET = 3e12
"""Most multiply-accumulates of all steps together: a minute or two on one core."""
PATIENCE = 100.0
"""Seconds after which the probe gives up without a verdict."""


def initial_loss(context: ProbeContext, loss: str, axis: int | None = None) -> Mapping[str, Any]:
    """Return the loss of the first output in training, on noise, if every class is equally likely.

    It is the mean over all classes, and so does not depend on random labels. `classes` is the extent of the class axis.
    `probabilities` says that the output already went through a softmax.
    """

    def started(example: Example, count: int) -> tuple[torch.Tensor, str, int]:
        with context.passes.untouched(values=True):
            outputs, mode = training_outputs(context, example, seed=1)
            return _main(outputs).detach().double(), mode, count

    output, mode, samples = on_batch(context, START_SAMPLES, START_BUDGET, 1, started)
    axis = class_axis(output, axis)
    log = output.log_softmax(axis) if loss == "cross-entropy" else output
    found = float(-log.mean())
    return {
        "loss": found if math.isfinite(found) else None,
        "classes": output.shape[axis],
        "axis": axis,
        "probabilities": _are_probabilities(output, axis),
        "mode": mode,
        "samples": samples,
    }


def _main(outputs: Outputs) -> torch.Tensor:
    output = main_in(outputs)
    assert output is not None
    return output


def _are_probabilities(output: torch.Tensor, axis: int) -> bool:
    return bool((output >= 0).all()) and bool(((output.sum(axis) - 1).abs() < 1e-2).all()) and output.shape[axis] > 1


def overfits_one_batch(
    context: ProbeContext, loss: str, steps: int, share: float, axis: int | None = None
) -> Mapping[str, Any]:
    """Train on one batch of noise with random labels; return the losses that each learning rate reaches.

    A rate ends when its loss is at most `share` of `blind`, or not finite. `blind` is the least loss of a model with
    the same output for every sample, or the first loss if that is zero, as with one sample. Every rate starts from the
    model as given.

    Raises:
        SubjectError: the steps cost more than `BUDGET` or take longer than `PATIENCE` before the loss is reached.
    """
    trained = [tensor for tensor in context.tree.tensors() if tensor.requires_grad]
    if not trained:
        return {"trained": 0, "rates": []}

    def learned(example: Example, samples: int) -> Mapping[str, Any]:
        cost = 3 * context.macs * samples / count(context)
        training = _Training(context, example, trained, _Task(loss, axis, example), cost)
        rates: list[dict[str, Any]] = []
        for rate in RATES:
            with context.passes.untouched(values=True):
                losses = list(training.losses(rate, steps, share))
            finite = [each for each in losses if math.isfinite(each)]
            first = losses[0] if math.isfinite(losses[0]) else None
            rates.append({"rate": rate, "first": first, "least": min(finite, default=None), "steps": len(losses) - 1})
            if first is None or min(finite) <= share * training.blind:
                break
        return {"trained": len(trained), "samples": samples, "blind": training.blind, "rates": rates}

    return on_batch(context, SAMPLES, BUDGET / steps, 1, learned)


class _Training:
    """Training on one batch, with a budget in operations: it does not depend on the load of the machine."""

    def __init__(
        self, context: ProbeContext, example: Example, trained: list[torch.Tensor], task: _Task, cost: float
    ) -> None:
        self.blind = 0.0
        self._context = context
        self._example = example
        self._trained = trained
        self._task = task
        self._cost = cost
        self._left = BUDGET
        self._deadline = time.monotonic() + PATIENCE

    def losses(self, rate: float, steps: int, share: float) -> Iterator[float]:
        """Yield the loss before each step, and after the last."""
        optimiser = Adam(self._trained, rate)
        for step in range(steps + 1):
            for tensor in self._trained:
                tensor.grad = None
            value = self._loss()
            found = float(value.detach())
            yield found
            done = not math.isfinite(found) or found <= share * self.blind or not value.requires_grad
            if done or step == steps:
                return
            self._pay()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    @torch.enable_grad()
    def _loss(self) -> torch.Tensor:
        outputs, _ = training_outputs(self._context, self._example, seed=1)
        output = _main(outputs)
        value = self._task.loss(output)
        self.blind = self.blind or self._task.blind(output) or float(value.detach())
        return value

    def _pay(self) -> None:
        self._left -= self._cost
        if self._left < 0:
            spent = f"{BUDGET / 1e9:,.0f} billion multiply-accumulates"
        elif time.monotonic() > self._deadline:
            spent = f"{PATIENCE:g} s"
        else:
            return
        raise SubjectError("forward", f"the batch was not learned in {spent}; give a smaller input, or fewer `steps`")


class _Task:
    """The targets of the first output: labels, or numbers for `mse`. They are the same at every step."""

    def __init__(self, name: str, axis: int | None, example: Example) -> None:
        self._name = name
        self._axis = axis
        self._example = example

    def loss(self, output: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of an output."""
        if self._name == "mse":
            return mse_loss(output.float(), _targets(output))
        scores = output.movedim(class_axis(output, self._axis), -1).float()
        logs = scores.log_softmax(-1) if self._name == "cross-entropy" else scores
        return nll_loss(logs.reshape(-1, logs.shape[-1]), self._labels(scores).flatten())

    def blind(self, output: torch.Tensor) -> float:
        """Return the least loss of a model that ignores its input: the entropy of the labels, or a variance."""
        if self._name == "mse":
            return float(_targets(output).var(0, correction=0).mean())
        counts = self._labels(output.movedim(class_axis(output, self._axis), -1)).flatten().bincount().double()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * shares.log()).sum())

    def _labels(self, scores: torch.Tensor) -> torch.Tensor:
        return _labels(scores.shape[:-1], scores.shape[-1], self._example).to(scores.device)


def _targets(output: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return uniform(output.shape, generator).mul(0.8).add(0.1).to(output.device)


def _labels(shape: tuple[int, ...], classes: int, example: Example) -> torch.Tensor:
    """Return a class for each position: for tokens their own number, else one per sample.

    Classes alternate in a shuffled order, so that the class of a sample does not follow from its neighbour's.
    """
    tokens = next((each for each in inputs_of(example) if each.shape == shape and not each.is_floating_point()), None)
    if tokens is not None and len(shape) > 1:
        return tokens.long() % classes
    samples = shape[0] if shape else 1
    order = permutation(samples, 2) % classes
    return order.view(-1, *(1,) * (len(shape) - 1)).expand(shape) if shape else order[0]
