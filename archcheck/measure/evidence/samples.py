"""Identify samples by their content: those that reach a model, and those that a contract declares as its data.

There are two digests. `exact` tells whether a sample is repeated bit for bit. `keys_of` tells whether two samples are
the same picture, whatever their dtype and normalisation:

* Images have at least two axes longer than one and at least `SMALLEST` elements, in `uint8` or floating. Each channel
  (the first of at least three axes) is rescaled to [0, 1] by its minimum and maximum and quantised to steps of
  1/`STEPS`. So the key ignores an affine map per channel with a positive factor, such as contrast and brightness.
  Values of 8 bits are at least 1/510 of a step away from the edge between two steps (each is a fraction with a
  denominator of at most 255, and `SHIFT` lies between 0 and the smallest such fraction). Rounding in float32 moves
  them less. A constant image has no key, because all constant images would have the same.
* For all other samples (rows of a table, sound, tokens) the key is of the values, with floating ones cast to float32.

Axes of length one are left out of both, so that `(N, 28, 28)` and `(N, 1, 28, 28)` contain the same images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.shapes.containers import tensors_in

Key = bytes | None
"""Identifies a sample; `None` for a constant image, which identifies nothing."""

STEPS = 15
SHIFT = 1 / 510
SMALLEST = 64
_CHUNK = 1 << 16
"""Elements that are processed at a time, in float64."""


def exact(batch: torch.Tensor) -> list[bytes]:
    """Return a digest of the bits of each sample of `(N, ...)`."""
    head = str((batch.dtype, tuple(batch.shape[1:])))
    return _digests(head, batch.detach().reshape(len(batch), -1))


def keys_of(batch: torch.Tensor) -> list[Key]:
    """Return the key of each sample of `(N, ...)`."""
    samples = max(1, _CHUNK // max(1, batch[:1].numel()))
    return [key for part in torch.split(batch.detach(), samples) for key in _keys(part)] if len(batch) else []


def _keys(batch: torch.Tensor) -> list[Key]:
    batch = torch.view_as_real(batch) if batch.is_complex() else batch
    shape = tuple(size for size in batch.shape[1:] if size != 1)
    rows = batch.reshape(len(batch), -1)
    if rows.shape[1] < SMALLEST or len(shape) < 2 or not (batch.dtype is torch.uint8 or batch.is_floating_point()):
        values = rows.float() if batch.is_floating_point() else rows
        return [*_digests(str(shape), values.double() + 0.0)]  # minus zero is zero
    planes = rows.reshape(len(rows), shape[0] if len(shape) > 2 else 1, -1).double()
    low, high = planes.aminmax(dim=2, keepdim=True)
    span = high - low
    steps = (planes - low) / torch.where(span == 0, 1, span) * STEPS + SHIFT
    constant = (span == 0).all(dim=1).flatten().tolist()
    digests = _digests(str(shape), steps.nan_to_num().floor().to(torch.uint8).reshape(len(rows), -1))
    return [None if nothing else digest for nothing, digest in zip(constant, digests, strict=True)]


def _digests(head: str, rows: torch.Tensor) -> list[bytes]:
    content = rows.contiguous().cpu().view(torch.uint8).numpy()
    return [hashlib.blake2b(head.encode() + row.tobytes(), digest_size=16).digest() for row in content]


def declared_keys(sets: Any, shown: str) -> dict[str, list[Key]]:
    """Return the keys of each set that the function `shown` of a contract returned, in the order of its samples.

    Raises:
        SubjectError: it did not return a mapping with `test` and another set, or a set contains something else than
            samples.
    """
    if not isinstance(sets, Mapping):
        raise SubjectError(
            "training", f"`{shown}` gave a {type(sets).__name__}; it must give a mapping of names to samples"
        )
    if "test" not in sets or len(sets) < 2:
        names = ", ".join(f"`{name}`" for name in sets) or "nothing"
        raise SubjectError(
            "training", f"`{shown}` gave {names}; it must give `test`, and `train` or `validation` beside it"
        )
    return {str(name): list(_keys_of_set(samples, f"`{name}` of `{shown}`")) for name, samples in sets.items()}


def _keys_of_set(samples: Any, shown: str) -> Iterator[Key]:
    try:
        for batch in _batches(samples):
            yield from keys_of(batch)
    except Exception as error:
        raise SubjectError("training", f"{shown} holds no samples: {type(error).__name__}: {error}") from error


def _batches(samples: Any) -> Iterator[torch.Tensor]:
    """Yield the samples of a set as batches `(N, ...)`."""
    if isinstance(samples, torch.Tensor) or hasattr(samples, "__array__"):
        yield _tensor(samples)
    elif isinstance(samples, torch.utils.data.DataLoader):
        yield from map(_sample, samples)
    else:
        yield from (_sample(item).unsqueeze(0) for item in _items(samples))


def _items(samples: Any) -> Iterator[Any]:
    """Return the items of a dataset. The length of a dataset ends it, because indexing may not."""
    if hasattr(samples, "__getitem__") and hasattr(samples, "__len__"):
        return (samples[index] for index in range(len(samples)))
    return (item for item in samples)


def _sample(item: Any) -> torch.Tensor:
    """Return the sample of an item: the first of a tuple, list or mapping, or the item itself."""
    while isinstance(item, tuple | list | Mapping) and item:
        item = next(iter(item.values() if isinstance(item, Mapping) else item))
    return _tensor(item)


def _tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    import numpy

    return torch.as_tensor(numpy.asarray(value).copy(), device="cpu")


def first_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """Return the batch among the inputs of a model: the first tensor with an axis."""
    return next((tensor for tensor in tensors_in([*args, *kwargs.values()]) if tensor.dim()), None)
