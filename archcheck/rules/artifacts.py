"""Budgets of the files that a subject is handed in as."""

from __future__ import annotations

from dataclasses import dataclass, field

from archcheck.facts.artifact_files import LEVELS, Artifact, Codec
from archcheck.facts.facts import Facts
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.bounds import excess, share_line


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxArtifactBytes(Rule):
    """The files of a submission together take at most `limit` bytes on disk.

    `files` are names or glob patterns, relative to the folder of the contract: code and weights alike. A folder counts
    all files in it. A file to which several patterns or links lead counts once. `limit` is a number of bytes, or text
    with a decimal unit (`"16 MB"` is 16,000,000 bytes) or a binary one (`"16 MiB"` is 16,777,216 bytes).

    With `codec`, files count as the codec compresses them, each on its own: `zlib`, `gzip`, `bz2`, `xz`, and, with the
    packages `zstandard` and `brotli`, `zstd` and `brotli`. `level` is that of the codec, by default its highest.
    `compressed` are the patterns of `files` that are compressed; by default all are.

    In a contract: `max-artifact-bytes = { limit = "16 MB", files = ["train.py", "model.pt"], codec = "zlib",
    compressed = ["model.pt"] }`

    Example, kept:
        rule = max-artifact-bytes = { limit = "1 kB", files = ["train.py", "weights/*.bin"] }
        artifacts = { "train.py" = 300, "weights/a.bin" = 600, "weights/b.bin" = 100 }
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = max-artifact-bytes = { limit = 128_000, files = ["train.py", "weights.bin"] }
        artifacts = { "train.py" = 1_000, "weights.bin" = 128_000 }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = 129,000 bytes of files, limit 128,000 (+1,000, +0.8 %)

    Example, error:
        rule = max-artifact-bytes = { limit = "16 MB", files = ["model.pt"] }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = "model.pt" was not measured
    """

    narrows = False
    limit: int = field(metadata={"unit": "bytes", "least": 0})
    files: tuple[str, ...]
    codec: Codec | None = None
    level: int | None = None
    compressed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a rule without files, and settings that say nothing."""
        Rule.__post_init__(self)
        if not self.files or not all(file.strip() for file in self.files):
            raise ValueError('`files` names at least one file, such as "model.pt"')
        if self.codec is None and (self.level is not None or self.compressed):
            raise ValueError("`level` and `compressed` say how `codec` compresses, and there is no `codec`")
        if self.codec is not None and self.level is not None:
            low, high = LEVELS[self.codec]
            if not low <= self.level <= high:
                raise ValueError(f"{self.codec} has the levels {low} to {high}, found {self.level}")
        if unknown := set(self.compressed) - set(self.files):
            raise ValueError(f"`compressed` repeats patterns of `files`, and {sorted(unknown)[0]!r} is none of them")

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files, each with how it is compressed."""
        chosen = self.compressed or self.files
        return tuple(
            Artifact(pattern=each, codec=self.codec, level=self.level) if each in chosen else Artifact(pattern=each)
            for each in dict.fromkeys(self.files)
        )

    def check(self, facts: Facts) -> Result:
        """Add up the files, and compare with `limit`."""
        sizes = {file.shown: file for asked in reversed(self.artifacts) for file in facts.artifacts[asked]}
        found = sum(file.bytes for file in sizes.values())
        ranked = sorted(sizes.values(), key=lambda file: (-file.bytes, file.shown))
        notes: tuple[str, ...] = ()
        if self.codec and found:
            stored = sum(file.stored for file in sizes.values())
            notes = (f"{stored:,} bytes on disk, as {self.codec} compresses them",)
        return Result(
            examined=len(sizes),
            findings=excess(self, facts, found, self.limit, "bytes of files"),
            found=found,
            limit=self.limit,
            unit="bytes of files",
            most=tuple(share_line((file.shown,), file.bytes, found) for file in ranked if file.bytes),
            notes=notes,
        )
