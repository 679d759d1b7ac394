"""Leave a measured model, and torch, as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archcheck.measure.tree import Tree


@contextmanager
def untouched(model: torch.nn.Module) -> Iterator[None]:
    """Put modes, buffers and the random state back as they were."""
    tree = Tree(model)
    modes = [(node.module, node.module.training) for node in tree.nodes]
    buffers = [(tensor, tensor.detach().clone()) for _, tensor in tree.buffers() if not _is_meta(tensor)]
    state = torch.get_rng_state()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would hide the parts of attention in one operation
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        torch.set_rng_state(state)
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for tensor, before in buffers:
                if tensor.shape == before.shape and not torch.equal(tensor, before):
                    tensor.copy_(before)


def _is_meta(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "meta" or torch.nn.parameter.is_lazy(tensor)
