"""Muon for the weights of convolutions, Adam for all other parameters.

Muon (K. Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024) moves a weight matrix by
its momentum with all singular values drawn towards 1, so that rare directions learn as fast as common ones. The
weight of a convolution counts as the matrix `(out, in * height * width)`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, optim

# The polynomial a s + b s^3 + c s^5 brings singular values in (0, 1] near 1 in a few iterations. From the same text.
_COEFFICIENTS = 3.4445, -4.7750, 2.0315
_SMALLEST = 1e-20  # a squared norm to divide by, where a gradient is zero


class Muon(optim.Adam):
    """Adam over `others`; each tensor of `convolutions` moves by its orthogonalised Nesterov momentum instead.

    The second parameter group, of the convolutions, has `learning_rate` and does not decay. A step takes the
    gradients of the convolutions away.
    """

    def __init__(
        self,
        convolutions: Sequence[Tensor],
        others: Sequence[Tensor],
        *,
        learning_rate: float,
        momentum: float,
        iterations: int,
        **adam: Any,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(others)},
            {"params": list(convolutions), "lr": learning_rate, "weight_decay": 0.0},
        ]
        super().__init__(groups, **adam)
        self.momentum = momentum
        self.iterations = iterations

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move all parameters that have a gradient."""
        group = self.param_groups[1]
        if moved := [weight for weight in group["params"] if weight.grad is not None]:
            self._step_convolutions(moved, group["lr"])
        super().step(closure)

    @torch.no_grad()
    def _step_convolutions(self, weights: list[Tensor], learning_rate: float) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        momenta = [self._momentum_of(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        directions = _padded(torch._foreach_lerp(gradients, momenta, self.momentum))
        moves = orthogonalised(directions, self.iterations)
        torch._foreach_add_(weights, _views(moves, weights), alpha=-learning_rate)
        for weight in weights:
            weight.grad = None  # Adam passes over parameters without one

    def _momentum_of(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["step"] = torch.tensor(0.0)  # without a use here, but Adam expects one when it loads a state
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalised(matrices: Tensor, iterations: int) -> Tensor:
    """Return `(B, R, C)` matrices with their singular values moved towards 1, between 0.7 and 1.2 at 5 iterations.

    All products but the first and the last are of `(R, R)` matrices, because each iteration multiplies `X` from the
    left by a polynomial of `X X^T`. Singular values of less than a thousandth of the norm are lost to rounding.
    """
    a, b, c = _COEFFICIENTS
    gram = matrices @ matrices.mT
    square = gram.diagonal(dim1=1, dim2=2).sum(dim=1).add_(_SMALLEST).view(-1, 1, 1)
    gram = gram / square
    whole = square.rsqrt()
    for _ in range(iterations):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        whole = factor * whole if whole.shape[1] == 1 else factor @ whole
        gram = factor @ gram @ factor
    return whole @ matrices


def _padded(tensors: Sequence[Tensor]) -> Tensor:
    """Return the tensors as matrices of one `(B, R, C)` tensor, with zeros where one is smaller."""
    rows, columns = max(len(each) for each in tensors), max(each[0].numel() for each in tensors)
    padded = tensors[0].new_zeros(len(tensors), rows, columns)
    torch._foreach_copy_(_views(padded, tensors), list(tensors))
    return padded


def _views(padded: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the part of `padded` for each tensor in its shape, `(out, in, height, width)`, channels last."""
    return [
        # The innermost axes of a tensor that lies channels last are those of its inputs.
        part[: len(each), : each[0].numel()].view(len(each), *each.shape[2:], each.shape[1]).movedim(-1, 1)
        for part, each in zip(padded, tensors, strict=True)
    ]
