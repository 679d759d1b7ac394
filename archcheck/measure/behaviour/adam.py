"""The optimiser Adam of Kingma and Ba (arXiv 1412.6980, algorithm 1).

Torch's own class imports the compiler when the first object is created, which takes longer than most probes train.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class Adam:
    """Updates parameters by their averaged gradients, divided by the root of the averaged squares."""

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        self._parameters = parameters
        self._rate = rate
        self._steps = 0
        self._moments = [(torch.zeros_like(each), torch.zeros_like(each)) for each in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters with a gradient."""
        self._steps += 1
        first, second = (1 - beta**self._steps for beta in _BETAS)
        for parameter, (mean, square) in zip(self._parameters, self._moments, strict=True):
            if parameter.grad is None:
                continue
            gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(gradient, gradient.conj(), value=1 - _BETAS[1])
            parameter.sub_(self._rate * (mean / first) / ((square / second).sqrt() + _EPSILON))
