"""Parameters as they will be, not as they begin: what starts at nothing is not there to stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.nudge import nudge

_NOTHING = 1e-3
"""The mean size below which parameters count as zero: a scale of layers of 1e-6 is lost to rounding in bfloat16."""
_SHARE = 0.01
_KEPT = 1 << 27
"""Numbers of a model up to which the moved ones are kept for the next time."""


@contextmanager
def jittered(passes: Passes) -> Iterator[None]:
    """Move the parameters that can be trained a little, those that begin at next to nothing by more than they are.

    Each number keeps its sign and its casts (see `nudge`).
    In the end the model is as it was. Whatever puts it back meanwhile, such as another block of this kind or of
    `Passes.untouched`, undoes the change, too.
    """
    with passes.untouched(values=True):
        generator, known = torch.Generator().manual_seed(1), passes.jittered
        kept = sum(tensor.numel() for _, tensor in passes.tree.parameters()) <= _KEPT
        with torch.no_grad():
            for _, tensor in passes.tree.parameters():
                if not (tensor.requires_grad and tensor.is_floating_point() and tensor.numel()):
                    continue
                if id(tensor) in known:
                    tensor.copy_(known[id(tensor)])
                    continue
                mean = float(tensor.abs().mean())
                scale = _SHARE * mean if mean > _NOTHING else _SHARE
                nudge(tensor, scale, generator, up=True)
                if kept:
                    known[id(tensor)] = tensor.detach().clone()
        yield
