"""Read torch's pickles. Tensors are read without running code; all other content runs code and needs `--unsafe`."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.words import quote
from archcheck.measure.artifacts.archive import BROKEN, Archive, first_bytes, is_zip, refuse
from archcheck.measure.loading.imports import search_first

REPEATED = 1 << 24
"""Elements at most of a tensor with more elements than bytes in its file, such as an expanded one."""
_WITHIN = ("state_dict", "model_state_dict", "model", "state", "module", "net", "params", "weights")
"""The keys under which training scripts save the tensors of a model, beside those of an optimiser."""

_REASON = "is a pickle, and reading it runs the code that it names"
_WAYS = "save `model.state_dict()` with safetensors, or the program with `torch.export.save`; `--unsafe` runs it"


def read_state(path: Path, shown: str, *, mapped: bool = False) -> tuple[dict[str, torch.Tensor], str | None]:
    """Return the tensors of a pickle by name, and the key of their table, if they are in one.

    With `mapped`, the numbers in a zip archive stay on the disk until they are used.
    Torch's restricted reader makes only tensors and plain values, and calls nothing else.

    Raises:
        SubjectError: the file holds more than that, is damaged, or is TorchScript.
    """
    _refuse_code(path, shown)
    try:
        found = unpickled(path, weights_only=True, mapped=mapped and is_zip(path))
    except MemoryError:
        refuse(
            shown, f"claims more than fits into memory, in {path.stat().st_size:,} bytes", "save it again, or give more"
        )
    except Exception as error:
        _refuse_pickle(shown, error)
    return _tensors(found, shown)


def _refuse_code(path: Path, shown: str) -> None:
    if is_script(path):
        refuse(shown, "is a TorchScript archive, which is code", _WAYS)
    if not is_zip(path):
        if first_bytes(path, 1) != b"\x80":
            refuse(
                shown,
                "is damaged or not a file of torch: it begins as neither an archive nor a pickle",
                "save it again",
            )
    elif "archive_format" in Archive(path, shown).names:
        refuse(shown, "is an exported program", "let its name end in `.pt2`")


def _refuse_pickle(shown: str, error: Exception) -> NoReturn:
    named = re.search(r"GLOBAL ([\w.]{1,100})", str(error))
    if named or "Unsupported" in str(error):
        what = f" (`{named[1]}`)" if named else ""
        refuse(shown, f"{_REASON}{what}", _WAYS)
    refuse(shown, f"is damaged or not a file of torch: {described(error)[:120]}", "save it again")


def _tensors(found: Any, shown: str) -> tuple[dict[str, torch.Tensor], str | None]:
    """Return the tensors in the result of the restricted reader, and the key of their table."""
    tables = [(None, found), *((key, found.get(key)) for key in _WITHIN if isinstance(found, Mapping))]
    fitting = [(dict(value), key) for key, value in tables if _is_state(value)]
    if not fitting:
        refuse(shown, f"holds no table of tensors but a {type(found).__name__}", "save `model.state_dict()`")
    state, key = fitting[0]
    empty = next((name for name, tensor in state.items() if tensor.is_meta), None)
    if empty is not None:
        refuse(shown, f"holds tensors without values, such as {quote(empty)}", "save a model that has memory")
    if grown := next((name for name, tensor in state.items() if repeats(tensor)), None):
        claim = f"claims {state[grown].numel():,} elements for {quote(grown)}"
        refuse(shown, f"{claim}, more than it has bytes", "save it in full")
    return state, key


def repeats(tensor: torch.Tensor) -> bool:
    """Whether a tensor is large and has more elements than bytes: a few bytes can claim any size by repetition."""
    dense = tensor.layout is torch.strided and not tensor.is_meta
    return dense and tensor.numel() > max(tensor.untyped_storage().nbytes(), REPEATED)


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(map(_is_entry, value.items()))


def _is_entry(item: tuple[Any, Any]) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout is torch.strided


def run_pickle(path: Path, shown: str, root: str) -> torch.nn.Module:
    """Return the whole model in a pickle or TorchScript archive. This runs the code of the file.

    Raises:
        SubjectError: the file cannot be read, or contains no model.
    """
    search_first([root])
    try:
        script = is_script(path)
        found = torch.jit.load(path, map_location="cpu") if script else unpickled(path, weights_only=False)  # type: ignore[no-untyped-call]
    except MemoryError:
        raise
    except Exception as error:
        raise SubjectError("artifact", f"`{shown}` could not be read: {described(error)}") from error
    if not isinstance(found, torch.nn.Module):
        refuse_without_structure(shown, f"a {type(found).__name__}")
    return found


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (*BROKEN, OSError):
        return False
    return "constants.pkl" in names or any(name.startswith("code/") for name in names)


def unpickled(file: Path | io.BytesIO, *, weights_only: bool, mapped: bool = False) -> Any:
    """Return the content of a pickle from torch's reader, without warnings; with `weights_only` this runs no code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(file, weights_only=weights_only, map_location="cpu", mmap=mapped)


def refuse_without_structure(shown: str, what: str = "tensors") -> NoReturn:
    """Raise the error for a file that contains no structure to judge."""
    fix = f'name the architecture, `model = "model.py:Net"` with `weights = "{shown}"`'
    raise SubjectError("artifact", f"`{shown}` holds {what} and no structure that could be judged; {fix}")
