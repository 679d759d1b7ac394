"""Files that a subject is handed in as: their sizes, as they lie on disk or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import quote

Codec = Literal["zlib", "gzip", "bz2", "xz", "zstd", "brotli"]
LEVELS: Mapping[Codec, tuple[int, int]] = MappingProxyType({
    "zlib": (0, 9), "gzip": (0, 9), "bz2": (1, 9), "xz": (0, 9), "zstd": (1, 22), "brotli": (0, 11),
})  # fmt: skip
"""The lowest and the highest level of each codec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Files by a glob pattern, relative to the folder of the contract. With a `codec`, each file counts compressed.

    `level` is that of the codec. By default it is the highest.
    """

    pattern: str
    codec: Codec | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSize:
    """The bytes of a file; `shown` is its name for people, and `stored` its bytes on disk."""

    shown: str
    bytes: int
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """The files that rules asked for. `problems` says why some were not measured."""

    sizes: Mapping[Artifact, tuple[FileSize, ...]] = field(default_factory=dict)
    problems: Mapping[Artifact, NotMeasured] = field(default_factory=dict)

    def __getitem__(self, asked: Artifact) -> tuple[FileSize, ...]:
        """Return the files of a pattern. Raises `NotMeasured` if there are none, or one cannot be read."""
        if asked in self.problems:
            problem = self.problems[asked]
            raise NotMeasured(str(problem), fix=problem.fix)
        if asked not in self.sizes:
            raise NotMeasured(f"{quote(asked.pattern)} was not measured; judge through a contract in its folder")
        return self.sizes[asked]
