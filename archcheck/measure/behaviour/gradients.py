"""Probe of gradients: which parameters learn nothing from any output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from archcheck.measure.behaviour.bench import Bench, Outputs
from archcheck.measure.behaviour.lessons import learn, taught
from archcheck.measure.loading.example import Example

SAMPLES = 16
"""Samples of a batch: a ReLU that works is dead on all of them with a probability of 2 to the power of -16."""
TRIES = 4
"""Batches that a parameter may wait for its gradient: experts and blocks that are skipped at random take turns."""
ROUNDINGS = 16
"""Of the largest gradient: what is no larger may be nothing else, for sums leave more than one."""
BUDGET = 60e9
"""Multiply-accumulates for one batch, forwards and backwards: some seconds of one core."""

Gradients = dict[str, float | None]
"""The largest gradient of each parameter that is trained; `None` where it has none."""


def gradients_reach(bench: Bench) -> Mapping[str, Any]:
    """The largest gradient of each trained parameter that has none, zero, one at the level of rounding, or NaN.

    What is differentiated is the sum of all floating outputs times random numbers, over a batch of noise in training;
    dropout drops nothing meanwhile. Up to `TRIES` batches are tried while a parameter is without. `waiting` are those
    that get their gradient as soon as `starts`, parameters that are zero, have left zero; `tiny` is a gradient
    no larger than `ROUNDINGS` of the largest.
    """
    trained = [(name, tensor) for name, tensor in _first_names(bench) if tensor.requires_grad and tensor.numel()]
    if not trained:
        return {"trained": 0, "none": [], "zero": [], "nan": [], "tiny": [], "waiting": [], "starts": []}
    found, mode, samples = _over_batches(bench, dict(trained), zeros_move=False)
    lost = [name for name, size in found.items() if not size]
    starts = [name for name, tensor in trained if tensor.numel() and not bool(tensor.count_nonzero())]
    moved: Gradients = {}
    if lost and starts:
        moved, _, _ = _over_batches(bench, dict(trained), zeros_move=True)
    waiting = [name for name in lost if moved.get(name)]
    largest = max((size for size in found.values() if size and math.isfinite(size)), default=0.0)
    smallest = {name: ROUNDINGS * torch.finfo(tensor.dtype).eps * largest for name, tensor in trained}
    return {
        "trained": len(trained),
        "mode": mode,
        "samples": samples,
        "none": [name for name in lost if found[name] is None and name not in waiting],
        "zero": [name for name in lost if found[name] is not None and name not in waiting],
        "nan": [name for name, size in found.items() if size is not None and not math.isfinite(size)],
        "tiny": [name for name, size in found.items() if size and size <= smallest[name]],
        "waiting": waiting,
        "starts": starts if waiting else [],
    }


def _first_names(bench: Bench) -> Iterable[tuple[str, torch.Tensor]]:
    """Yield each parameter once, under its first name."""
    seen: set[int] = set()
    for name, tensor in bench.tree.parameters():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def _over_batches(bench: Bench, trained: Mapping[str, torch.Tensor], *, zeros_move: bool) -> tuple[Gradients, str, int]:
    """Return the largest gradients over as many batches as are needed, the mode, and the samples of one batch."""
    found: Gradients = dict.fromkeys(trained)
    mode, samples = "train", 0
    for seed in range(1, TRIES + 1):

        def differentiated(example: Example, count: int, seed: int = seed) -> tuple[str, int]:
            with bench.passes.untouched(values=True):
                if zeros_move:
                    _leave_zero(trained.values())
                outputs, mode = taught(bench, example, seed=seed)
                _differentiate(outputs, trained.values(), seed)
                for name, tensor in trained.items():
                    found[name] = _larger(found[name], tensor.grad)
            return mode, count

        mode, samples = learn(bench, SAMPLES, BUDGET, seed, differentiated)
        if all(found.values()):
            break
    return found, mode, samples


@torch.enable_grad()
def _differentiate(outputs: Outputs, trained: Iterable[torch.Tensor], seed: int) -> None:
    """Leave in the parameters the gradient of the outputs times random numbers: no sum of a softmax stays constant."""
    for tensor in trained:
        tensor.grad = None
    generator = torch.Generator().manual_seed(seed)
    terms = []
    for output in outputs.values():
        if output.requires_grad:
            real = torch.view_as_real(output) if output.is_complex() else output
            weights = torch.randn(real.shape, generator=generator).to(real) / math.sqrt(real.numel())
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
    """Give small random numbers to parameters that are all zero, as a step of an optimiser would."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in tensors:
            if not bool(tensor.count_nonzero()):
                tensor.copy_(torch.randn(tensor.shape, generator=generator).mul(0.01).to(tensor))
