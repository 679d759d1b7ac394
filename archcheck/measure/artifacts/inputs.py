"""Check whether an exported program takes an input: it was exported for certain sizes, and torch refuses others."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from archcheck.measure.artifacts.program import Program, UserInput


def check_inputs(program: Program, given: Sequence[torch.Tensor]) -> None:
    """Raise `ValueError` if the program was not exported for these inputs."""
    if len(given) != len(program.inputs):
        raise ValueError(f"the program was exported with {len(program.inputs)} tensors, found {len(given)}")
    sizes: dict[str, int] = {}
    for spec, tensor in zip(program.inputs, given, strict=True):
        if tensor.dim() != len(spec.extents) or tensor.dtype != spec.dtype:
            found = f"{tuple(tensor.shape)} {tensor.dtype}"
            raise ValueError(f"`{spec.name}` was exported as {spec.usual} {spec.dtype}, found {found}")
        for axis, size in enumerate(tensor.shape):
            _check_extent(program, spec, axis, size, sizes)


def _check_extent(program: Program, spec: UserInput, axis: int, size: int, sizes: dict[str, int]) -> None:
    extent = spec.extents[axis]
    least, most = program.ranges.get(extent, (None, None)) if isinstance(extent, str) else (extent, extent)
    if (least is not None and size < least) or (most is not None and size > most):
        wanted = f"{least}" if least == most else f"{least or 0} to {'any' if most is None else most}"
        raise ValueError(f"`{spec.name}` was exported with {wanted} along axis {axis}, found {size}")
    if isinstance(extent, str) and extent and sizes.setdefault(extent, size) != size:
        raise ValueError(f"`{spec.name}` needs {sizes[extent]} along axis {axis}, as its like elsewhere, found {size}")
