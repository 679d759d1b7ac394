"""Compare the tensors in a checkpoint folder with the network of its configuration, by names and shapes alone."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.suffixes import TENSORS, ends
from archcheck.foundation.words import amount, shape_text
from archcheck.measure.artifacts.archive import refuse
from archcheck.measure.artifacts.pickles import read_state
from archcheck.measure.artifacts.safetensors import Safetensors
from archcheck.measure.loading.configurations import Configuration
from archcheck.measure.subject import saved_state

_WHOLE = (
    "model.safetensors", "diffusion_pytorch_model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.bin",
)  # fmt: skip
_FILES = tuple(each for name in _WHOLE for each in (name, f"{name}.index.json"))
"""The files of tensors that libraries look for, the first one first. An index names the files of its parts."""
_SHOWN = 3

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensors:
    """The shape and dtype of each tensor in a folder by name, the file that was read, and the bytes of all parts."""

    shown: str
    shapes: Mapping[str, tuple[Shape, torch.dtype]]
    bytes: int


def tensors_beside(folder: Path, shown: Path) -> StoredTensors | None:
    """Return the tensors in a folder, `None` if it has no file of them. `shown` is what users call the folder.

    Raises:
        SubjectError: a file is damaged, is not there, or holds more than tensors.
    """
    present = {each.name for each in folder.iterdir()}
    name = next((each for each in _FILES if each in present), None)
    if name is None:
        return None
    parts = _parts(folder / name, str(shown / name)) if name.endswith(".json") else (name,)
    shapes: dict[str, tuple[Shape, torch.dtype]] = {}
    for part in parts:
        if part not in present:
            refuse(str(shown / name), f"names the part `{part}`, which is not there", "download the folder again")
        shapes.update(_shapes(folder / part, str(shown / part)))
    size = sum((folder / part).stat().st_size for part in parts)
    return StoredTensors(shown=str(shown / name), shapes=shapes, bytes=size)


def _parts(index: Path, shown: str) -> tuple[str, ...]:
    with suppress(ValueError, KeyError, AttributeError, TypeError):
        parts = tuple(dict.fromkeys(json.loads(index.read_bytes())["weight_map"].values()))
        if all(Path(part).name == part for part in parts):
            return parts
    return refuse(
        shown, "is not an index: its `weight_map` must name a file beside it for each tensor", "download it again"
    )


def _shapes(file: Path, shown: str) -> Iterator[tuple[str, tuple[Shape, torch.dtype]]]:
    if ends(file.name, TENSORS):
        yield from ((name, (slot.shape, slot.dtype)) for name, slot in Safetensors(file, shown).slots.items())
    else:
        state, _ = read_state(file, shown, mapped=True)
        yield from ((name, (tuple(tensor.shape), tensor.dtype)) for name, tensor in state.items())


def compare(stored: StoredTensors, model: torch.nn.Module, found: Configuration) -> tuple[str, ...]:
    """Return notes on how the tensors in a folder fit its network, which has no numbers.

    What a library loads under another name, or joins, counts as it loads it. A tensor that the network does not have is
    a note, because checkpoints keep heads that their class does not use.

    Raises:
        SubjectError: a tensor has another shape, or is missing.
    """
    if found.table.get("quantization_config"):
        return (f"the tensors of {stored.shown} are quantised, so their shapes were not compared",)
    try:
        missing, unexpected, misfits = _loaded(stored, model) if _by_transformers(model) else _named(stored, model)
    except Exception as error:  # of a library: its own way to load changes with its releases
        return (f"the tensors of {stored.shown} could not be compared: {described(error)}",)
    said = [*misfits, *([f"missing {_some(f'`{name}`' for name in missing)}"] if missing else [])]
    if said:
        raise SubjectError(
            "weights",
            f"`{stored.shown}` does not fit {type(model).__name__} as {found.shown} describes it: {_some(said, '; ')}; "
            "the configuration and the tensors are of two networks",
        )
    fits = f"{amount(len(stored.shapes), 'tensors')} of {stored.shown} fit by name and shape; none was read"
    left = [f"tensors of the file that the network does not have: {_some(unexpected)}"] if unexpected else []
    return (fits, *left)


def _some(items: Iterable[str], separator: str = ", ") -> str:
    each = list(items)
    rest = len(each) - _SHOWN
    return separator.join(each[:_SHOWN]) + (f"{separator}and {rest:,} more" if rest > 0 else "")


def _misfit(name: str, there: Iterable[int], here: Iterable[int]) -> str:
    return f"`{name}` is {shape_text(tuple(there))} in the file, {shape_text(tuple(here))} in the model"


Differences = tuple[list[str], list[str], list[str]]
"""The names of missing and of unexpected tensors, and a text for each other shape."""


def _named(stored: StoredTensors, model: torch.nn.Module) -> Differences:
    state = saved_state.tensors(model)
    owners = {id(tensor) for name, tensor in state.items() if name in stored.shapes}
    missing = [name for name, tensor in state.items() if name not in stored.shapes and id(tensor) not in owners]
    shapes = {name: shape for name, (shape, _) in stored.shapes.items()}
    misfits = [
        _misfit(name, shapes[name], tensor.shape)
        for name, tensor in state.items()
        if name in shapes and shapes[name] != tuple(tensor.shape)
    ]
    return missing, [name for name in shapes if name not in state], misfits


def _by_transformers(model: torch.nn.Module) -> bool:
    return any(each.__module__ == "transformers.modeling_utils" for each in type(model).__mro__)


def _loaded(stored: StoredTensors, model: Any) -> Differences:
    """Let transformers load tensors without numbers, which knows what is renamed, joined, tied and left out."""
    state = {name: torch.empty(shape, dtype=dtype, device="meta") for name, (shape, dtype) in stored.shapes.items()}
    with _quiet():
        _, told = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=state,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    misfits = [_misfit(name, *shapes) for name, *shapes in sorted(told["mismatched_keys"])]
    return sorted(told["missing_keys"]), sorted(told["unexpected_keys"]), misfits


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing, and from asking for the package that places tensors on several devices."""
    modeling_utils = importlib.import_module("transformers.modeling_utils")
    logging = importlib.import_module("transformers.utils.logging")
    name = "check_and_set_device_map"
    before, level, bar = getattr(modeling_utils, name, None), logging.get_verbosity(), logging.is_progress_bar_enabled()
    if before is not None:
        setattr(modeling_utils, name, lambda device_map: device_map)
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before is not None:
            setattr(modeling_utils, name, before)
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
