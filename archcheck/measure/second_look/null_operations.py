"""Builds null operations: replacements of the same shape that do not do what the operation is for.

The null of a normalisation applies its scale and shift alone, that of a global pooling takes one position of its map,
that of a dropout is another draw, and any other null gives random numbers of the same size. Some operations do not do
what their name says: the epsilon is larger than any variance, the pooled map has a single position that depends on the
input, or nothing that is rectified is negative. Then the null is the result itself.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from archcheck.measure.operators.einsum_cost import summed_axes
from archcheck.measure.second_look.operation_calls import DROPOUT, MASK, NORMS, POOL, Call, Place
from archcheck.measure.shapes.noise import integers, normal, uniform

_TINY = 1e-2
"""Epsilon of a normalisation up to which it only guards a division."""
_SCALE = 0.1
"""Smallest standard deviation of the input on which a normalisation with a larger epsilon is tried."""
_WITHIN_ONE = ("sigmoid", "tanh", "softmax", "hardsigmoid", "hardtanh", "softsign", "gru", "rnn")
"""Kinds whose results lie between -1 and 1."""
_TRIES = 8
"""Draws of a dropout; at least one must differ."""


def null_of(call: Call, seed: int, draw: int = 0) -> torch.Tensor | None:
    """Return what replaces the result of a call, `None` if nothing can; no generator is touched.

    `draw` counts the other draws of a dropout: some may drop only what no output reads.
    """
    kind = call.place[0]
    if kind in NORMS:
        return _scaled_and_shifted(call) if _normalises(call) else call.result
    if kind == POOL:
        position = _one_position(call, seed)
        if position is not None:
            return position if _varies_in_several(call.given, call.result) else call.result
    if kind == DROPOUT:
        return _drawn_again(call, seed, draw)
    if kind == MASK and bool((dropped := _dropped(call.result, seed)).any()):
        return dropped
    return _random_numbers(call.place, call.result, seed) if call.rectifies else call.result


def is_random(place: Place) -> bool:
    """Whether the null of an operation is random numbers, so that an estimate needs only their size."""
    return place[0] not in (*NORMS, POOL, DROPOUT, MASK)


def _random_numbers(place: Place, result: torch.Tensor, seed: int) -> torch.Tensor | None:
    """Return random numbers of the same size; `None` if the dtype has none."""
    if result.is_quantized or not (result.is_floating_point() or result.is_complex()):
        return None
    generator = torch.Generator().manual_seed(7 + seed)
    dtype = torch.complex64 if result.is_complex() else torch.float32
    drawn = normal(result.shape, generator, dtype).to(result)
    return bounded(place, result.mean() + drawn * (size_of(result) or 1.0))


def bounded(place: Place, numbers: torch.Tensor) -> torch.Tensor:
    """Return numbers clamped to the range of an operation."""
    return numbers.clamp(-1, 1) if place[0] in _WITHIN_ONE else numbers


def size_of(result: torch.Tensor) -> float:
    """Return the root mean square of a tensor."""
    return float(torch.linalg.vector_norm(result)) / math.sqrt(max(result.numel(), 1))


def _scaled_and_shifted(call: Call) -> torch.Tensor | None:
    given, affine = call.given, list[torch.Tensor]()
    by_channel = call.place[0] in ("batch_norm", "instance_norm", "group_norm")
    for name, without in (("weight", 1), ("bias", 0)):
        values = call.argument(name)
        values = values if isinstance(values, torch.Tensor) else given.new_tensor(without)
        affine.append(values.reshape(-1, *[1] * (given.dim() - 2)) if by_channel and values.dim() else values)
    scale, shift = affine
    moved = torch.addcmul(shift, given, scale)
    return moved.to(call.result.dtype) if moved.shape == call.result.shape else None


def _normalises(call: Call) -> bool:
    """Whether the scale of the input is lost, as it is if epsilon only guards a division.

    A single number minus its mean is zero, whatever it was.
    """
    if _normalised_together(call) == 1:
        return False
    epsilon = call.argument("eps")
    by_statistics = call.argument("training") is False or call.argument("use_input_stats") is False
    if not isinstance(epsilon, int | float) or epsilon <= _TINY or by_statistics:
        return True
    given = call.given
    given = given * max(1.0, _SCALE / max(float(given.float().std()), 1e-30)) if given.numel() > 1 else given
    none, once, twice = (call_again(call, factor * given) for factor in (0, 1, 2))
    return float((twice - once).norm()) <= float((once - none).norm()) / 2


def _normalised_together(call: Call) -> int:
    """Return how many numbers share a mean and a deviation; 0 for batch statistics."""
    kind, sample = call.place[0], call.given.shape[1:]
    if kind in ("layer_norm", "rms_norm") and (shape := call.argument("normalized_shape")) is not None:
        return math.prod(shape)
    if kind == "group_norm" and isinstance(groups := call.argument("num_groups"), int):
        return math.prod(sample) // groups
    return math.prod(sample[1:]) if kind == "instance_norm" else 0


def call_again(call: Call, given: torch.Tensor | None = None) -> torch.Tensor:
    """Call a function once more, on copies of its arguments; `given` replaces its input."""
    own = call.given

    def copied(value: Any) -> Any:
        if value is own and given is not None:
            return given
        return value.clone() if isinstance(value, torch.Tensor) else value

    args, kwargs = [copied(each) for each in call.args], {key: copied(each) for key, each in call.kwargs.items()}
    result = call.func(*args, **kwargs)
    first: torch.Tensor = result[0] if isinstance(result, tuple) else result
    return first


def _name(call: Call) -> str:
    return str(getattr(call.func, "__name__", ""))


def _pooled_axes(call: Call) -> list[int]:
    given, result = call.given, call.result
    if _name(call) == "einsum":
        return list(summed_axes(call.args[0], given.dim()) if len(call.args) == 2 else ())
    if given.dim() == result.dim():
        return [axis for axis, extent in enumerate(given.shape) if result.shape[axis] != extent]
    named = call.kwargs.get("dim", call.kwargs.get("axis", (*call.args[1:2], ())[0]))
    axes = [named] if isinstance(named, int) else [axis for axis in named or () if isinstance(axis, int)]
    return sorted(axis % given.dim() for axis in axes)


def _one_position(call: Call, seed: int) -> torch.Tensor | None:
    position, axes = call.given, _pooled_axes(call)
    generator = torch.Generator().manual_seed(5 + seed)
    count = 1
    for axis in reversed(axes):
        extent = position.shape[axis]
        position = position.select(axis, int(integers(0, extent, (1,), generator)))
        count *= extent
    if not axes or position.numel() != call.result.numel():
        return None
    is_sum = _name(call).startswith(("sum", "einsum"))
    return (position.reshape(call.result.shape) * (count if is_sum else 1)).to(call.result.dtype).clone()


def _varies_in_several(given: torch.Tensor, result: torch.Tensor) -> bool:
    """Whether more than one position of a map differs from sample to sample; true for a single sample."""
    if given.dim() < 3 or given.shape[0] < 2:
        return True
    differs = (given != given[:1]).any(0)
    channels_first = result.shape[1] == given.shape[1]
    return int(differs.any(0 if channels_first else -1).sum()) > 1


def _drawn_again(call: Call, seed: int, draw: int) -> torch.Tensor:
    """Return the result of another draw; if no draw differs, the result with about half of it dropped."""
    state = torch.get_rng_state()
    try:
        for number in range(draw + _TRIES):
            drawn = call_again(call)
            if number >= draw and not torch.equal(drawn, call.result):
                return drawn
    finally:
        torch.set_rng_state(state)
    return _dropped(call.result, seed)


def _dropped(result: torch.Tensor, seed: int) -> torch.Tensor:
    """Return a tensor with about half of its elements set to zero."""
    kept = uniform(result.shape, torch.Generator().manual_seed(6 + seed)) < 0.5
    return result * kept.to(result)
