"""Probe of gradients: finds parameters that get no gradient from any output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from archcheck.measure.behaviour.closeness import farthest
from archcheck.measure.behaviour.example_variants import centred, negated
from archcheck.measure.behaviour.probe_context import Outputs, ProbeContext
from archcheck.measure.behaviour.training_batches import count, on_batch, training_outputs
from archcheck.measure.loading.example import Example
from archcheck.measure.shapes.noise import normal

SAMPLES = 16
"""Samples of a batch: a working ReLU is zero on all of them with a probability of 2^-16."""
TRIES = 4
"""Most batches until every parameter has a gradient: experts and randomly skipped blocks do not run in every pass."""
ROUNDINGS = 16
"""Rounding errors of the largest gradient up to which a gradient may be rounding alone."""
BUDGET = 60e9
"""Most multiply-accumulates of one batch, forwards and backwards: some seconds on one core."""
CHECKED = 20e9
"""Most multiply-accumulates of the check of gradients that the subject computes itself."""

Gradients = dict[str, float | None]
"""The largest gradient of each trained parameter, `None` if it has none."""
Tensors = Mapping[str, torch.Tensor]
"""Parameters by their first name."""


def gradients_reach(context: ProbeContext) -> Mapping[str, Any]:
    """Return the trained parameters whose largest gradient is missing, zero, as small as rounding errors, or NaN.

    The sum of all floating outputs times random numbers is differentiated on a batch of noise in training, without
    dropout. Up to `TRIES` batches are tried while a parameter has no gradient. `waiting` parameters get a gradient as
    soon as the parameters `starts`, which are all zero, have other values. `tiny` gradients are at most `ROUNDINGS`
    rounding errors of the largest gradient. `invented` are gradients of parameters that change no output.
    """
    tensors = {name: tensor for name, tensor in _first_names(context) if tensor.numel()}
    found, mode, samples, own = _over_batches(context, tensors, zeros_move=False)
    trained = {name: tensors[name] for name in found}
    lost = [name for name, size in found.items() if not size]
    starts = [name for name, tensor in trained.items() if not bool(tensor.count_nonzero())]
    moved: Gradients = {}
    if lost and starts:
        moved, _, _, _ = _over_batches(context, trained, zeros_move=True)
    waiting = [name for name in lost if moved.get(name)]
    largest = max((size for size in found.values() if size and math.isfinite(size)), default=0.0)
    smallest = {name: ROUNDINGS * torch.finfo(tensor.dtype).eps * largest for name, tensor in trained.items()}
    return {
        "trained": len(trained),
        "mode": mode,
        "samples": samples,
        "none": [name for name in lost if found[name] is None and name not in waiting],
        "zero": [name for name in lost if found[name] is not None and name not in waiting],
        "nan": [name for name, size in found.items() if size is not None and not math.isfinite(size)],
        "tiny": [name for name, size in found.items() if size and size <= smallest[name]],
        "invented": _without_effect(context, {name: trained[name] for name in own if found[name]}),
        "waiting": waiting,
        "starts": starts if waiting else [],
    }


def _first_names(context: ProbeContext) -> Iterable[tuple[str, torch.Tensor]]:
    """Yield each parameter once, under its first name."""
    seen: set[int] = set()
    for name, tensor in context.tree.parameters():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def _over_batches(
    context: ProbeContext, tensors: Tensors, *, zeros_move: bool
) -> tuple[Gradients, str, int, list[str]]:
    """Return the largest gradients over the batches, the mode, the samples of a batch, and names (see below).

    Parameters count as trained if they require gradients in the pass, because the model may freeze or unfreeze them.
    The names are those of parameters that no operation of torch reads, only functions of the subject.
    """
    found: Gradients = {}
    mode, samples, handed_on = "train", 0, set[int]()
    for seed in range(1, TRIES + 1):

        def differentiated(example: Example, count: int, seed: int = seed) -> tuple[str, int]:
            with context.passes.untouched(values=True):
                if zeros_move:
                    _leave_zero(tensors.values())
                return _add(context, example, tensors, seed, found, handed_on), count

        mode, samples = on_batch(context, SAMPLES, BUDGET, seed, differentiated)
        if all(found.values()):
            break
    for change in (negated, centred):
        if None in found.values():  # a branch may need numbers of another sign, which the model may refuse
            more: Gradients = {}

            def changed(
                example: Example, count: int, change: Callable[..., Any] = change, more: Gradients = more
            ) -> str:
                return _add(context, example.mapped(change), tensors, 1, more, handed_on)

            with suppress(Exception), context.passes.untouched(values=True):
                on_batch(context, SAMPLES, BUDGET, 1, changed)
            found |= {name: size for name, size in more.items() if size and math.isfinite(size) and not found[name]}
    return found, mode, samples, [name for name in found if id(tensors[name]) not in handed_on]


def _add(
    context: ProbeContext, example: Example, tensors: Tensors, seed: int, found: Gradients, handed_on: set[int]
) -> str:
    """Add the gradients of one batch to `found` and the leaves that torch reads to `handed_on`; return the mode."""
    outputs, mode = training_outputs(context, example, seed=seed)
    trained = context.tree.trained()
    handed_on |= _operands_of_torch(outputs)
    _differentiate(outputs, tensors.values(), seed)
    for name, tensor in tensors.items():
        if name in trained:
            found[name] = _larger(found.get(name), tensor.grad)
    return mode


def _operands_of_torch(outputs: Outputs) -> set[int]:
    """Return the identities of the leaves that operations of torch read, and not only functions of the subject."""
    found = {id(output) for output in outputs.values() if output.is_leaf}
    pending = [output.grad_fn for output in outputs.values() if output.grad_fn is not None]
    seen = set(pending)
    while pending:
        node = pending.pop()
        of_torch = not isinstance(node, torch.autograd.function.BackwardCFunction)
        for before, _ in node.next_functions:
            leaf = getattr(before, "variable", None)
            if leaf is not None and of_torch:
                found.add(id(leaf))
            if before is not None and before not in seen:
                seen.add(before)
                pending.append(before)
    return found


def _without_effect(context: ProbeContext, suspects: Tensors) -> list[str]:
    """Return the parameters that change no output with any numbers tried, within the budget `CHECKED`.

    The backward pass of a subject's function may return anything. A straight-through estimator returns no derivative
    either, but its parameter changes the outputs.
    """
    return on_batch(context, 2, CHECKED, 1, partial(_unmoved, context, suspects)) if suspects else []


def _unmoved(context: ProbeContext, suspects: Tensors, example: Example, samples: int) -> list[str]:
    cost = 3 * context.macs * samples / count(context)
    affordable = dict(list(suspects.items())[: max(1, int(CHECKED / cost))])
    generator = torch.Generator().manual_seed(0)
    before = _outputs_with(context, example, {})
    found = []
    for name, tensor in affordable.items():
        noise = normal(tensor.shape, generator).to(tensor)
        others = (-tensor.detach() + noise / 8, 10 * noise)
        if all(farthest(before, _outputs_with(context, example, {tensor: other}))[1] == 0 for other in others):
            found.append(name)
    return found


def _outputs_with(context: ProbeContext, example: Example, numbers: Mapping[torch.Tensor, torch.Tensor]) -> Outputs:
    """Return the outputs of a pass in training with other `numbers` in some parameters."""
    with context.passes.untouched(values=True):
        with torch.no_grad():
            for tensor, other in numbers.items():
                tensor.copy_(other)
        outputs, _ = training_outputs(context, example, seed=1)
        return {name: output.detach().clone() for name, output in outputs.items()}


@torch.enable_grad()
def _differentiate(outputs: Outputs, trained: Iterable[torch.Tensor], seed: int) -> None:
    """Set the gradients of the outputs times random numbers: the plain sum of a softmax would be constant."""
    for tensor in trained:
        tensor.grad = None
    generator = torch.Generator().manual_seed(seed)
    terms = []
    for output in outputs.values():
        if output.requires_grad:
            real = torch.view_as_real(output) if output.is_complex() else output
            weights = normal(real.shape, generator).to(real) / math.sqrt(real.numel())
            terms.append((real * weights).sum())
    if terms:
        torch.stack([term.double() for term in terms]).sum().backward()  # type: ignore[no-untyped-call]


def _larger(before: float | None, gradient: torch.Tensor | None) -> float | None:
    if gradient is None:
        return before
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    size = float(values.abs().max()) if values.numel() else 0.0
    return size if before is None or not size <= before else before


def _leave_zero(tensors: Iterable[torch.Tensor]) -> None:
    """Set parameters that are all zero to small random numbers, like a step of an optimiser."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in tensors:
            if not bool(tensor.count_nonzero()):
                tensor.copy_(normal(tensor.shape, generator).mul(0.01).to(tensor))
