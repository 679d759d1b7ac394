"""Measure the files that a subject is handed in as. They are read each time and never cached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from archcheck.contract.document import show_path
from archcheck.facts.artifact_files import LEVELS, Artifact, Artifacts, Codec, FileSize
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.regular_files import open_regular
from archcheck.foundation.words import quote

_CHUNK = 1 << 20
_PACKAGES = ("zstandard", "brotli")
"""What compresses and is no part of Python."""
_FIX = "write that file, or change what the contract names"


def sizes_of(root: Path, asked: Iterable[Artifact]) -> Artifacts:
    """Return the sizes of the files that `asked` names below `root`, and the problems of the others."""
    sizes, problems = dict[Artifact, tuple[FileSize, ...]](), dict[Artifact, NotMeasured]()
    for artifact in dict.fromkeys(asked):
        try:
            sizes[artifact] = tuple(_size(file, artifact) for file in _files(root, artifact.pattern))
        except NotMeasured as problem:
            problems[artifact] = problem
    return Artifacts(sizes=sizes, problems=problems)


def _files(root: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern, sorted, each once and without links; of a folder those in it.

    Raises `NotMeasured` if there are none.
    """
    try:
        named = [Path(pattern)] if Path(pattern).is_absolute() else sorted(root.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise NotMeasured(f"{quote(pattern)} is no pattern of files: {error}", fix=_FIX) from None
    found = [file for each in named for file in (_inside(each) if each.is_dir() else (each,)) if file.is_file()]
    if not found:
        raise NotMeasured(f"there is no file {quote(pattern)}", fix=_FIX)
    return sorted({file.resolve() for file in found})


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder. What a link leads to counts as well, and a folder once, wherever links lead."""
    entered = set[str]()
    for where, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(where)) in entered:
            folders.clear()
            continue
        entered.add(real)
        yield from (Path(where, name) for name in names)


def _size(file: Path, artifact: Artifact) -> FileSize:
    shown = show_path(file)
    try:
        with open_regular(file) as stream:
            stored = os.fstat(stream.fileno()).st_size
            chunks = iter(lambda: stream.read(_CHUNK), b"")
            size = stored if artifact.codec is None else _compressed(chunks, artifact.codec, artifact.level)
    except OSError as error:
        raise NotMeasured(f"{shown} cannot be read: {error.strerror}", fix=_FIX) from None
    return FileSize(shown=shown, bytes=size, stored=stored)


def _compressed(chunks: Iterator[bytes], codec: Codec, level: int | None) -> int:
    """Return how many bytes a codec makes of a file, a chunk at a time."""
    compress, flush = _compressor(codec, LEVELS[codec][1] if level is None else level)
    return sum(len(compress(chunk)) for chunk in chunks) + len(flush())


def _compressor(codec: Codec, level: int) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    if codec in ("zlib", "gzip"):  # a gzip file is a zlib stream in another frame, of window bits above 15
        made = _module("zlib", codec).compressobj(level, wbits=15 if codec == "zlib" else 31)
    elif codec == "bz2":
        made = _module("bz2", codec).BZ2Compressor(level)
    elif codec == "xz":
        made = _module("lzma", codec).LZMACompressor(preset=level)
    elif codec == "zstd":
        made = _module("zstandard", codec).ZstdCompressor(level=level).compressobj()
    else:
        made = _module("brotli", codec).Compressor(quality=level)
        return made.process, made.finish
    return made.compress, made.flush


def _module(name: str, codec: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        if name in _PACKAGES:
            message, get = f'`codec = "{codec}"` needs the package {name}', f"install it: `pip install {error.name}`"
        else:
            message, get = f'`codec = "{codec}"` needs {name}, which this Python lacks', "take a Python that has it"
        raise NotMeasured(message, fix=f"{get}, or choose another `codec`") from None
