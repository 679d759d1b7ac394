"""NumPy arrays as inputs: each counts as the tensor that shares its memory."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch


def is_array(value: Any) -> bool:
    """Whether a value is a NumPy array; NumPy is not imported for this."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, "ndarray", ()))


def tensor_of(value: Any) -> torch.Tensor | None:
    """Return the tensor that shares the memory of an array, or a copy if torch cannot share it; `None` for no array."""
    if not is_array(value) or value.dtype.kind not in "fiubc":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about arrays that are read-only
            return torch.from_numpy(value)
    except (TypeError, ValueError):  # a foreign byte order, or negative strides
        pass
    try:
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("="), order="C"))
    except (TypeError, ValueError):  # a dtype that torch does not have
        return None


def is_of_array(tensor: torch.Tensor) -> bool:
    """Whether a tensor of an example was made from an array: torch does not own its memory."""
    return type(tensor) is torch.Tensor and tensor.layout == torch.strided and not tensor.untyped_storage().resizable()


def array_of(tensor: torch.Tensor, given: Sequence[tuple[int, torch.Tensor]]) -> int | None:
    """Return the number of the array among the `given` inputs from which a tensor was made, as a view or a copy.

    Making a tensor from an array is no operation of torch, so the memory and the numbers are compared.
    """
    for number, array in given:
        if tensor.shape == array.shape and tensor.device == array.device and tensor.layout == array.layout:
            same = address_of(tensor) == address_of(array) != 0
            if same or (tensor.numel() > 1 and tensor.dtype == array.dtype and torch.equal(tensor, array)):
                return number
    return None


def address_of(tensor: torch.Tensor) -> int:
    """Return the address of the numbers of a tensor, 0 if they are not in one place."""
    try:
        return tensor.data_ptr()
    except RuntimeError:  # a layout without one storage
        return 0
