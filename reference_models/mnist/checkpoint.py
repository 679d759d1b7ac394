"""Tensors on disk: safetensors files that are whole or absent, never half written."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from reference_models.mnist.errors import RunError

UNFINISHED = ".unfinished"
"""The end of the name of a file that is being written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a reader, or a power cut, sees the old file or the new one.

    Raises `RunError` when the folder cannot be written.
    """
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise RunError(f"`{path}` cannot be written: {error.strerror}; make room or pass another folder") from None


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; a system that cannot open folders (Windows) does so by itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def packed(tensors: Mapping[str, Tensor], note: str | None = None) -> bytes:
    """Return the content of a safetensors file, with `note` under the key `note` of its metadata."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, metadata=None if note is None else {"note": note})


def unpacked(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return a file's tensors and its note, empty if it has none; raises `RunError` if it is unreadable."""
    try:
        with safe_open(path, framework="pt") as file:
            note = (file.metadata() or {}).get("note", "")
        return load_file(path), note
    except FileNotFoundError:
        raise RunError(f"`{path}` does not exist; train one with `python -m reference_models.mnist.train`") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"`{path}` is no whole safetensors file ({error}); delete it and train again") from None


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a file's weights into `model`; raises `RunError` unless names and shapes are the model's own."""
    tensors, _ = unpacked(path)
    expected, found = _shapes(model.state_dict()), _shapes(tensors)
    if expected != found:
        name = min(name for name in expected | found if expected.get(name) != found.get(name))
        raise RunError(
            f"`{path}` holds another network: `{name}` is {found.get(name, 'missing')}, "
            f"expected {expected.get(name, 'no such tensor')}; pass a checkpoint of `{type(model).__name__}`"
        )
    model.load_state_dict(tensors)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
