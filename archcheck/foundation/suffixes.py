"""The suffixes of file names, where they tell what a file holds."""

from __future__ import annotations

SOURCE = (".py", ".ipynb")
"""Files that define models."""

EXPORTED = (".pt2",)
"""Archives of `torch.export.save`: a graph with its tensors."""

TENSORS = (".safetensors",)
"""Tensors by name, and nothing that could be code."""

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".pt.tar", ".pth.tar")
"""Pickles: tensors, or whole models whose reading runs code."""


def is_file(target: str) -> bool:
    """Whether a target ends like a file name, not like the name of a subject or module."""
    return ends(target, SOURCE + EXPORTED + TENSORS + PICKLED)


def ends(target: str, endings: tuple[str, ...]) -> bool:
    """Whether a target ends in one of `endings`, in capitals or not."""
    return target.lower().endswith(endings)
