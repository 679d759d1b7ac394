"""Describe the tensors in a file, check whether they fit a model, and load them into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch

from archcheck.facts.weight_files import Stored, Weights
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.suffixes import PICKLED, TENSORS, ends
from archcheck.foundation.words import amount, shape_text
from archcheck.measure.artifacts.archive import regular_file
from archcheck.measure.artifacts.pickles import read_state
from archcheck.measure.artifacts.safetensors import Safetensors, names_of
from archcheck.measure.loading.example import dtype_name
from archcheck.measure.operators.meta import is_without_memory
from archcheck.measure.subject import saved_state
from archcheck.measure.subject.compiled import original, original_name

_SHOWN = 3
_AT_ONCE = 1 << 24
"""Elements that are checked at a time."""


@dataclass(slots=True, kw_only=True)
class Tensors:
    """The tensors of a file: their shapes and dtypes by name, and a function that reads one."""

    file: str
    format: str
    metadata: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    read: Callable[[str], torch.Tensor]
    notes: list[str] = field(default_factory=list)


def open_tensors(target: str, root: str) -> Tensors:
    """Return the tensors of a file, without running code of it.

    Raises:
        SubjectError: the file is wrong. The message says what is wrong and what to do.
    """
    if not ends(target, TENSORS + PICKLED):
        raise SubjectError("artifact", f"`{target}` holds no tensors that are known here; name a `.safetensors` file")
    path = regular_file(root, target)
    if ends(target, TENSORS):
        file = Safetensors(path, target)
        metadata = {name: (file.slots[name].shape, file.slots[name].dtype) for name in names_of(file.slots)}
        return Tensors(file=target, format="safetensors", metadata=metadata, read=file.read)
    state, key = read_state(path, target)
    metadata = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    notes = [f"the tensors under `{key}` of the file; what else it holds was left alone"] if key else []
    return Tensors(file=target, format="pickle", metadata=metadata, read=state.__getitem__, notes=notes)


def describe_weights(target: str, root: str) -> Weights:
    """Return a description of the tensors in a file. Raises `SubjectError` as `open_tensors` does."""
    tensors = open_tensors(target, root)
    stored = tuple(
        Stored(
            name=name,
            shape=shape,
            dtype=dtype_name(dtype),
            bytes=math.prod(shape) * dtype.itemsize,
            not_finite=_not_finite(tensors.read(name)),
        )
        for name, (shape, dtype) in tensors.metadata.items()
    )
    sizes: dict[str, int] = {}
    for one in stored:
        sizes[one.dtype] = sizes.get(one.dtype, 0) + one.bytes
    by_dtype = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))
    return Weights(
        file=target,
        format=tensors.format,
        tensors=stored,
        bytes=sum(by_dtype.values()),
        bytes_by_dtype=by_dtype,
        notes=tuple(tensors.notes),
    )


def _not_finite(tensor: torch.Tensor) -> int:
    """Return how many numbers of a tensor are infinite or NaN."""
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        return 0
    parts = tensor.detach().reshape(-1).split(_AT_ONCE)  # type: ignore[no-untyped-call]
    return sum(int((~torch.isfinite(part.float() if part.dtype.itemsize == 1 else part)).sum()) for part in parts)


def load_weights(model: torch.nn.Module, target: str, root: str) -> tuple[str, ...]:
    """Load the tensors of a file into `model`, and return notes about it. A model without memory is only compared.

    Raises:
        SubjectError: a tensor is missing or unexpected, has another shape or dtype, or has values that are not finite.
    """
    model = original(model)
    state = saved_state.tensors(model)
    tensors = _uncompiled(open_tensors(target, root), state)
    misfits = list(_misfits(tensors, state))
    if misfits:
        hint = _prefix_hint(tensors.metadata, state)
        raise SubjectError("weights", f"`{target}` does not fit {type(model).__name__}: {_some(misfits)}{hint}")
    loaded = f"with the weights of {target}: {amount(len(tensors.metadata), 'tensors')} of the names, shapes and dtypes"
    if is_without_memory(state.values()):
        return (*tensors.notes, f"{loaded} that it has; none was loaded, as it has no memory")
    _load(model, tensors, state)
    return (*tensors.notes, f"{loaded} that it has, all values finite")


def _uncompiled(tensors: Tensors, state: Mapping[str, object]) -> Tensors:
    """Return the tensors of a file under the names in a model, if only one of the two was compiled."""
    names = {original_name(name): name for name in state}
    origins = {names.get(plain, plain): name for name in tensors.metadata if (plain := original_name(name))}
    if len(origins) < len(tensors.metadata) or len(names) < len(state) or [*origins] == [*tensors.metadata]:
        return tensors
    note = "names in the file and in the model that `torch.compile` lengthened by `_orig_mod` were taken for the same"
    metadata = {name: tensors.metadata[origin] for name, origin in origins.items()}
    notes = [*tensors.notes, note]
    return replace(tensors, metadata=metadata, read=lambda name: tensors.read(origins[name]), notes=notes)


def _twins(state: Mapping[str, torch.Tensor]) -> dict[str, list[str]]:
    """Return for each name all names of the same tensor. Files often contain only one name of a tied tensor."""
    groups: dict[int, list[str]] = {}
    for name, tensor in state.items():
        groups.setdefault(id(tensor), []).append(name)
    return {name: groups[id(tensor)] for name, tensor in state.items()}


def _misfits(tensors: Tensors, state: Mapping[str, torch.Tensor]) -> Iterator[str]:
    twins = _twins(state)
    missing = [name for name in state if not any(twin in tensors.metadata for twin in twins[name])]
    unexpected = [name for name in tensors.metadata if name not in state]
    for what, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            yield f"{what} {_some([f'`{name}`' for name in names], ', ')}"
    for name, (shape, dtype) in tensors.metadata.items():
        if name in state and not torch.nn.parameter.is_lazy(state[name]):
            wanted = state[name]
            if (shape, dtype) != (tuple(wanted.shape), wanted.dtype):
                there, here = f"{shape_text(shape)} {dtype_name(dtype)}", shape_text(wanted.shape)
                yield f"`{name}` is {there} in the file, {here} {dtype_name(wanted.dtype)} in the model"


def _some(items: list[str], separator: str = "; ") -> str:
    rest = len(items) - _SHOWN
    return separator.join(items[:_SHOWN]) + (f"{separator}and {rest:,} more" if rest > 0 else "")


def _prefix_hint(found: Mapping[str, object], state: Mapping[str, object]) -> str:
    """Return what to do. If all names in the file have the same prefix, the saved model was wrapped."""
    prefix = next(iter(found), "").partition(".")[0] + "."
    if prefix != "." and all(name.startswith(prefix) and name.removeprefix(prefix) in state for name in found):
        return f"; all its names begin with `{prefix}`: save the state of the model within the wrapper"
    return "; is it a file of this architecture, built with the same arguments?"


def _load(model: torch.nn.Module, tensors: Tensors, state: Mapping[str, torch.Tensor]) -> None:
    read = {name: tensors.read(name) for name in tensors.metadata}
    bad = {name: count for name, tensor in read.items() if (count := _not_finite(tensor))}
    if bad:
        said = [f"{count:,} in `{name}`" for name, count in bad.items()]
        raise SubjectError("weights", f"`{tensors.file}` holds values that are not finite: {_some(said, ', ')}")
    for name, twins in _twins(state).items():
        present = [twin for twin in twins if twin in read]
        if present and not all(torch.equal(read[present[0]], read[twin]) for twin in present[1:]):
            both = " and ".join(f"`{twin}`" for twin in present[:2])
            raise SubjectError("weights", f"{both} are one tensor in the model and differ in `{tensors.file}`")
        if present:
            read.setdefault(name, read[present[0]])
    try:
        saved_state.fill(model, read)
    except Exception as error:
        raise SubjectError("weights", f"`{tensors.file}` could not be loaded: {described(error)}") from error
