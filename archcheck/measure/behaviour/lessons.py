"""Lessons: small random batches, and passes in training with gradients, on which nothing is dropped."""

from __future__ import annotations

from typing import Any

import torch

from archcheck.errors import SubjectError, described
from archcheck.measure.behaviour.bench import Bench, Outputs
from archcheck.measure.behaviour.variants import Samples, noise
from archcheck.measure.loading.example import Example
from archcheck.measure.shapes.dispatch import Dispatch


def lesson(bench: Bench, most: int, budget: float, seed: int) -> tuple[Example, int]:
    """Return a batch of noise and how many samples it has.

    There are at most `most`, and no more than `budget` multiply-accumulates pay for, forwards and backwards, but two
    if need be: BatchNorm takes no single value. Where no axis counts samples it is the example with noise in it.
    """
    axis = bench.batch_axis
    if axis is None:
        return noise(bench.example, seed), 1
    affordable = budget * bench.samples / (3 * bench.macs)  # backwards costs twice what forwards does
    count = int(min(most, max(2, affordable)))
    return Samples(bench, count, seed).pick(range(count)), count


class KeepAll(Dispatch):  # type: ignore[no-untyped-call]
    """Lets every draw of zeros and ones come out as one, as dropout and stochastic depth make them.

    What a random mask drops gets no gradient, which is no fault of the model.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs or {})
        kwargs = kwargs or {}
        if func is torch.ops.aten.bernoulli_.float and (args[1] if len(args) > 1 else kwargs.get("p", 0.5)) > 0:
            return args[0].fill_(1)
        if func is torch.ops.aten.native_dropout.default and args[1] < 1:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        return func(*args, **kwargs)


def taught(bench: Bench, example: Example, *, seed: int) -> tuple[Outputs, str]:
    """Return the outputs of a pass with gradients, in training, or in evaluation where training takes other inputs.

    The model keeps what the pass leaves in it.

    Raises:
        SubjectError: the model fails in either mode.
    """
    try:
        return _pass(bench, example, training=True, seed=seed), "train"
    except SubjectError:
        raise
    except Exception as error:  # whatever the subject raises
        failure = error
    try:
        return _pass(bench, example, training=False, seed=seed), "eval"
    except Exception as error:
        raise SubjectError("forward", f"the forward pass fails in training: {described(failure)}") from error


def _pass(bench: Bench, example: Example, *, training: bool, seed: int) -> Outputs:
    with torch.enable_grad(), KeepAll():  # type: ignore[no-untyped-call]
        return bench.call(example, training=training, seed=seed)
