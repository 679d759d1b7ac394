"""Inputs with the shapes of the example and other values: zeros, large values and noise."""

from __future__ import annotations

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.words import shape_text
from archcheck.measure.behaviour.embedding_bags import are_offsets
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.operator_results import dtype_of
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.shapes.fixed_inputs import fixed_in
from archcheck.measure.shapes.layouts import Change, on_values
from archcheck.measure.shapes.noise import integers, normal, uniform
from archcheck.measure.shapes.tensor import is_floating


def zeros(example: Example) -> Example:
    """Return the example with zeros for floating inputs; tokens all become the smallest token of the example."""
    return _varied(example, torch.zeros_like, lambda tokens: torch.full_like(tokens, _range(tokens)[0]))


def large(example: Example, factor: float) -> Example:
    """Return the example with floating inputs times `factor`; tokens all become the largest token of the example."""
    return _varied(example, lambda each: each * factor, lambda tokens: torch.full_like(tokens, _range(tokens)[1]))


def noise(example: Example, seed: int) -> Example:
    """Return the example with random numbers.

    They are normal with the mean and deviation of the example. If the example has no negative number, they are uniform
    between its extremes, for models that take logarithms or intensities. Tokens are uniform between the smallest and
    the largest token of the example.
    """
    generator = torch.Generator().manual_seed(seed)
    return _varied(example, lambda each: _noisy(each, generator), lambda tokens: _tokens(tokens, generator))


def centred(tensor: torch.Tensor, factor: float = 1) -> torch.Tensor:
    """Return floating numbers with mean zero, times `factor`: numbers of one sign may never switch a gate."""
    return on_values(tensor, lambda each: factor * (each - each.mean())) if tensor.is_floating_point() else tensor


def magnitude(tensor: torch.Tensor) -> torch.Tensor:
    """Return the absolute values of floating numbers."""
    return on_values(tensor, torch.abs) if tensor.is_floating_point() else tensor


def negated(tensor: torch.Tensor) -> torch.Tensor:
    """Return the negatives of floating numbers."""
    return on_values(tensor, torch.neg) if tensor.is_floating_point() else tensor


def _noisy(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if tensor.is_complex():
        parts = torch.view_as_real(tensor.resolve_conj()).unbind(-1)
        return torch.complex(*(_noisy(part.contiguous(), generator) for part in parts))
    values = tensor.double()
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high > low:
        drawn = uniform(tensor.shape, generator, torch.float64) * (high - low) + low
    else:
        spread = float(values.std()) if high > low else 1.0
        drawn = normal(tensor.shape, generator, torch.float64) * spread + float(values.mean())
    return drawn.to(tensor.dtype).to(tensor.device)


def _tokens(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    low, high = _range(tensor)
    return integers(low, high + 1, tensor.shape, generator).to(tensor.dtype).to(tensor.device)


def _range(tokens: torch.Tensor) -> tuple[int, int]:
    """Return the smallest and the largest of integers. Torch compares only signed ones."""
    signed = tokens.long()
    return int(signed.min()), int(signed.max())


def _varied(example: Example, floats: Change, tokens: Change) -> Example:
    """Change floating inputs, or tokens if there are none. Masks, lengths and time steps stay.

    Tokens are integers with as many axes as the first input of integers; with one axis, they have as many elements. An
    input of zeros and ones beside other inputs is a mask.

    Raises:
        SubjectError: an input holds numbers that cannot be changed, or no input holds numbers that may be changed.
    """
    demand_changeable(example)
    tensors = [tensor for tensor in inputs_of(example) if tensor.numel()]
    any_floats = any(_floats(tensor) for tensor in tensors)
    tokens_of = next((tensor.shape for tensor in tensors if _integers(tensor)), torch.Size())

    def changes(tensor: torch.Tensor) -> bool:
        if _floats(tensor) or not tensor.numel():
            return tensor.numel() > 0
        if any_floats or not _integers(tensor) or tensor.dim() != len(tokens_of):
            return False
        if tensor.dim() == 1 and tensor.shape != tokens_of:  # offsets or lengths of bags
            return False
        if len(tensors) > 1 and tensor is not tensors[0] and are_offsets(tensor):
            return False
        return len(tensors) == 1 or _range(tensor)[1] > 1

    def change(tensor: torch.Tensor) -> torch.Tensor:
        if not changes(tensor):
            return tensor
        return on_values(tensor, floats) if _floats(tensor) else tokens(tensor)

    if (example.args or example.kwargs) and not any(map(changes, tensors)):
        raise SubjectError("input", f"no input holds numbers that may be changed: {_told(example)}")
    return example.mapped(change)


def demand_changeable(example: Example) -> None:
    """Check that every part of the example can get other numbers.

    Raises:
        SubjectError: a part cannot.
    """
    fixed = fixed_in(example.args) + fixed_in(dict(example.kwargs))
    if fixed:
        raise SubjectError(
            "input",
            f"the input {', '.join(fixed)} cannot be given other numbers; give tensors, arrays, or containers of these",
        )


def _told(example: Example) -> str:
    tensors = [f"{shape_text(each.shape)} {dtype_of(each)}" for each in inputs_of(example)]
    return ", ".join(tensors) if tensors else "there is no tensor among them"


def _floats(tensor: torch.Tensor) -> bool:
    return is_floating(tensor) or tensor.is_quantized


def _integers(tensor: torch.Tensor) -> bool:
    return not _floats(tensor) and tensor.dtype != torch.bool
