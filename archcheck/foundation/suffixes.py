"""The suffixes of file names that tell what a file contains."""

from __future__ import annotations

SOURCE = (".py", ".ipynb")
"""Files that define models."""

EXPORTED = (".pt2",)
"""Archives of `torch.export.save`: a graph with its tensors."""

TENSORS = (".safetensors",)
"""Tensors by name, without code."""

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".pt.tar", ".pth.tar")
"""Pickles of tensors, or of whole models. Reading the latter runs code."""


def is_file(target: str) -> bool:
    """Whether a target is a file name, not the name of a subject or module."""
    return ends(target, SOURCE + EXPORTED + TENSORS + PICKLED)


def ends(target: str, endings: tuple[str, ...]) -> bool:
    """Whether a target ends in one of `endings`, in upper or lower case."""
    return target.lower().endswith(endings)
