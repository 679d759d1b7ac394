"""Moves parameters away from their first values, as training will: what starts at zero does not stay there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archcheck.measure.passes.changed_parameters import nudge
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.saved_values import Values
from archcheck.measure.shapes.noise import integers, uniform

_NOTHING = 1e-3
"""The mean size below which parameters count as zero: a scale of layers of 1e-6 is lost to rounding in bfloat16."""
_SHARE = 0.01
_FAR = 30
"""The size of a gate, say, that a sigmoid closes for good."""


@contextmanager
def jittered(passes: Passes) -> Iterator[None]:
    """Move the parameters that can be trained a little, those that begin at next to nothing by more than they are.

    Each number keeps its sign and its casts (see `nudge`).
    In the end the model is as it was. Whatever puts it back meanwhile, such as another block of this kind or of
    `Passes.untouched`, undoes the change, too.
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
    """Give the parameters that can be trained other numbers, as if they had been trained or drawn otherwise.

    Matrices keep their size, but for those that begin at nothing. Vectors, such as scales, gates and biases, get
    numbers about one, every other time of either sign; those that are too far from it for training to bring them there
    stay where they are.
    """
    generator = torch.Generator().manual_seed(seed)
    with jittered(passes), torch.no_grad():
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
