"""Small random batches, and training passes with gradients in which dropout drops nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.batch_search import batch_of
from archcheck.measure.behaviour.example_variants import demand_changeable, noise
from archcheck.measure.behaviour.probe_context import Bench, Outputs
from archcheck.measure.loading.example import Example
from archcheck.measure.shapes.dispatch_mode import Dispatch

T = TypeVar("T")


def learn(bench: Bench, most: int, budget: float, seed: int, step: Callable[[Example, int], T]) -> T:
    """Return what `step` makes of a batch and of how many samples it has.

    There are at most `most`, and no more than `budget` multiply-accumulates pay for, forwards and backwards, but two
    if need be: BatchNorm takes no single value. A model that takes no such batch, such as one of sequences in the order
    of their lengths, gets noise in place of the numbers of the example, or else the example as it is.

    Raises:
        SubjectError: what `step` raises, or a part of the example cannot be changed.
    """
    demand_changeable(bench.example)
    failure: NotTaken | None = None
    for make in (partial(_batch, bench, most, budget), partial(_noise, bench), partial(_as_given, bench)):
        try:
            made = make(seed)
        except Exception as error:  # whatever comes of parts that belong to each other
            failure = failure or NotTaken("forward", f"the example cannot be changed: {described(error)}")
            continue
        try:
            if made is not None:
                return step(*made)
        except NotTaken as error:
            failure = failure or error
    assert failure is not None  # the last of them is there always
    raise failure


class NotTaken(SubjectError):  # noqa: N818 - what went wrong, as others of its kind say
    """A model takes a batch neither in training nor in evaluation."""


def _batch(bench: Bench, most: int, budget: float, seed: int) -> tuple[Example, int] | None:
    """Return a batch of noise and how many samples it has, `None` where nothing counts samples."""
    batch = batch_of(bench)
    if batch is None:
        return None
    affordable = budget * batch.count / (3 * bench.macs)  # backwards costs twice what forwards does
    samples = int(min(most, max(2, affordable)))
    return noise(batch.sized(samples), seed), samples


def _noise(bench: Bench, seed: int) -> tuple[Example, int]:
    return noise(bench.example, seed), count(bench)


def _as_given(bench: Bench, seed: int) -> tuple[Example, int]:
    return bench.example, count(bench)


def count(bench: Bench) -> int:
    """Return how many samples the example holds, one where nothing counts them."""
    batch = batch_of(bench)
    return 1 if batch is None else batch.count


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
        NotTaken: the model fails in either mode.
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
        raise NotTaken("forward", f"the forward pass fails in training: {described(failure)}") from error


def _pass(bench: Bench, example: Example, *, training: bool, seed: int) -> Outputs:
    with torch.enable_grad(), KeepAll():  # type: ignore[no-untyped-call]
        return bench.call(example, training=training, seed=seed)
