"""Adam in the directions in which the gradients of a small network vary independently.

SOAP (N. Vyas and others, "SOAP: Improving and Stabilizing Shampoo using Adam", 2024) keeps, for a weight matrix, the
second moments of its gradient's rows and of its columns, and runs Adam in the eigenvectors of both. A network of some
hundred parameters can afford more: the second moments of *all pairs* of its parameters, whatever tensor they are in.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, optim

State = dict[str, Any]


class Soap(optim.Optimizer):
    """Adam in the eigenvectors of the gradients' second moments, which are computed again every `every` steps.

    Neighbouring tensors of together at most `whole` elements share one matrix of second moments; a larger tensor,
    `(rows, ...)`, has one matrix for its rows and one for what is left. `factor_beta` is the decay of these matrices,
    `betas` those of Adam's moments. A parameter without a gradient counts as one whose gradient is 0.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float],
        factor_beta: float,
        every: int,
        whole: int,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas})
        self.factor_beta = factor_beta
        self.every = every
        self.whole = whole
        self.blocks = [_blocks(group["params"], whole) for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move all parameters."""
        for group, blocks in zip(self.param_groups, self.blocks, strict=True):
            for block in blocks:
                gradient = _matrix(block, self.whole)
                state = self.state[block[0]]
                if not state:
                    state.update(_first_state(gradient))
                direction = self._direction(state, gradient, group["betas"])
                _move(block, direction, group["lr"])

    def _direction(self, state: State, gradient: Tensor, betas: tuple[float, float]) -> Tensor:
        """Return where Adam would go, `(rows, columns)`, if the eigenvectors were its axes."""
        state["step"] += 1
        steps = int(state["step"])
        _remember(state, gradient, 1 - self.factor_beta)
        if (steps - 1) % self.every == 0:
            _turn(state)
        state["momentum"].lerp_(gradient, 1 - betas[0])
        turned = _into(state, torch.stack((gradient, state["momentum"])))
        square = state["square"].lerp_(turned[0].square(), 1 - betas[1])
        scale = ((1 - betas[1] ** steps) ** 0.5) / (1 - betas[0] ** steps)
        # What a sum of so many terms can be by rounding alone, beside the largest, is noise, and a quotient by it too.
        limits = torch.finfo(square.dtype)
        floor = (square.max() * (limits.eps * square.numel()) ** 2).clamp_(min=limits.tiny)
        return _out_of(state, turned[1] * scale / square.clamp(min=floor).sqrt_())


def _blocks(parameters: Iterable[Tensor], whole: int) -> list[list[Tensor]]:
    """Return neighbours of together at most `whole` elements as one block, each larger tensor as its own."""
    blocks: list[list[Tensor]] = []
    room = 0
    for each in parameters:
        if not blocks or each.numel() > room:
            blocks.append([])
            room = whole
        blocks[-1].append(each)
        room -= each.numel()
    return blocks


def _matrix(block: list[Tensor], whole: int) -> Tensor:
    """Return the block's gradients as `(rows, columns)`: one column for a block that keeps all pairs."""
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in block]
    if block[0].numel() > whole:
        return gradients[0].reshape(len(block[0]), -1)
    return torch.cat([each.reshape(-1) for each in gradients]).view(-1, 1)


def _first_state(gradient: Tensor) -> State:
    sides = {"rows": len(gradient), "columns": gradient.shape[1]}
    state = {"step": torch.tensor(0.0), "momentum": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    for side, size in sides.items():
        if size > 1:
            state[f"{side}_moments"] = gradient.new_zeros(size, size)
            state[f"{side}_axes"] = torch.eye(size).to(gradient)
    return state


def _remember(state: State, gradient: Tensor, weight: float) -> None:
    """Move the second moments of rows and of columns towards those of `gradient` by `weight`."""
    for side, matrix in (("rows", gradient), ("columns", gradient.T)):
        if f"{side}_moments" in state:
            state[f"{side}_moments"].mul_(1 - weight).addmm_(matrix, matrix.T, alpha=weight)


def _turn(state: State) -> None:
    """Take the eigenvectors of the second moments as axes."""
    for side in ("rows", "columns"):
        if f"{side}_moments" in state:
            # In the order of a state that was saved and loaded, so that products give the same bits with both.
            state[f"{side}_axes"] = torch.linalg.eigh(state[f"{side}_moments"])[1].contiguous()


def _into(state: State, matrices: Tensor) -> Tensor:
    """Return `(B, rows, columns)` matrices in the axes of `state`."""
    if "rows_axes" in state:
        matrices = state["rows_axes"].T @ matrices
    return matrices @ state["columns_axes"] if "columns_axes" in state else matrices


def _out_of(state: State, matrix: Tensor) -> Tensor:
    """Return a `(rows, columns)` matrix that is in the axes of `state` as it is without them."""
    if "rows_axes" in state:
        matrix = state["rows_axes"] @ matrix
    return matrix @ state["columns_axes"].T if "columns_axes" in state else matrix


def _move(block: list[Tensor], direction: Tensor, learning_rate: float) -> None:
    flat = direction.reshape(-1)
    for each, part in zip(block, torch.split(flat, [each.numel() for each in block]), strict=True):
        each.sub_(part.view(each.shape), alpha=learning_rate)
