"""Parameters as they will be, not as they begin: what starts at nothing is not there to stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.kept_values import Values
from archcheck.measure.passes.nudge import nudge

_NOTHING = 1e-3
"""The mean size below which parameters count as zero: a scale of layers of 1e-6 is lost to rounding in bfloat16."""
_SHARE = 0.01


@contextmanager
def jittered(passes: Passes) -> Iterator[None]:
    """Move the parameters that can be trained a little, those that begin at next to nothing by more than they are.

    Each number keeps its sign and its casts (see `nudge`).
    In the end the model is as it was. Whatever puts it back meanwhile, such as another block of this kind or of
    `Passes.untouched`, undoes the change, too.
    """
    with passes.untouched(values=True):
        tensors = {
            id(tensor): tensor
            for _, tensor in passes.tree.parameters()
            if tensor.requires_grad and tensor.is_floating_point() and tensor.numel()
        }
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
