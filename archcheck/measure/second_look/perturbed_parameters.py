"""Moves parameters away from their initial values, as training does: what starts at zero does not stay zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archcheck.measure.passes.changed_parameters import nudge
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.saved_values import Values
from archcheck.measure.shapes.noise import integers, uniform

_NOTHING = 1e-3
"""Mean absolute value below which parameters count as zero: bfloat16 rounds away a layer scale of 1e-6."""
_SHARE = 0.01
_FAR = 30
"""Absolute value of a gate, say, beyond which a sigmoid stays closed."""


@contextmanager
def perturbed(passes: Passes) -> Iterator[None]:
    """Move the trainable parameters a little, and those that begin near zero by more than they are.

    Each number keeps its sign, and what it is rounded or cast to (see `nudge`). The model is restored at the end.
    Anything that restores it earlier, such as a nested block of this kind or of `Passes.untouched`, undoes the change.
    """
    with passes.untouched(values=True):
        tensors = _trained(passes)
        identities, known = passes.moved
        if known is not None and identities == tuple(tensors):
            known.restore()
        else:
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():
                for tensor in tensors.values():
                    mean = float(tensor.abs().mean())
                    nudge(tensor, _SHARE * mean if mean > _NOTHING else _SHARE, generator, up=True)
            passes.moved = tuple(tensors), Values(tensors.values())
        yield


@contextmanager
def redrawn(passes: Passes, seed: int) -> Iterator[None]:
    """Give the trainable parameters other numbers, as if they had been trained or initialised differently.

    Matrices keep their size unless they begin near zero. Vectors, such as scales, gates and biases, get numbers near
    one, with either sign for every other seed; those that are too large for training to bring them there keep theirs.
    """
    generator = torch.Generator().manual_seed(seed)
    with perturbed(passes), torch.no_grad():
        for tensor in _trained(passes).values():
            drawn = uniform(tensor.shape, generator) + 0.5
            signs = 2 * integers(0, 2, tensor.shape, generator) - 1
            largest = float(tensor.abs().max())
            if tensor.numel() > max(tensor.shape, default=1):
                least = (len(tensor) / tensor.numel()) ** 0.5
                tensor.copy_(drawn * signs * max(float(tensor.square().mean().sqrt()), least))
            elif largest <= _FAR:
                tensor.copy_(drawn if seed % 2 else drawn * signs)
        yield


def _trained(passes: Passes) -> dict[int, torch.Tensor]:
    return {
        id(tensor): tensor
        for _, tensor in passes.tree.parameters()
        if tensor.requires_grad and tensor.is_floating_point() and tensor.numel()
    }
