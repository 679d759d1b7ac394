"""Adam, as Kingma and Ba have it (arXiv 1412.6980, algorithm 1).

The class of torch imports the compiler when it is first made, which takes longer than most trainings of a probe.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class Adam:
    """Steps of parameters along their gradients, each divided by its own recent size."""

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        self._parameters = parameters
        self._rate = rate
        self._steps = 0
        self._moments = [(torch.zeros_like(each), torch.zeros_like(each)) for each in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Take one step; a parameter without a gradient stays."""
        self._steps += 1
        first, second = (1 - beta**self._steps for beta in _BETAS)
        for parameter, (mean, square) in zip(self._parameters, self._moments, strict=True):
            if parameter.grad is None:
                continue
            gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(gradient, gradient.conj(), value=1 - _BETAS[1])
            parameter.sub_(self._rate * (mean / first) / ((square / second).sqrt() + _EPSILON))
