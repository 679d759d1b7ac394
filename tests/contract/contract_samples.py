"""Rules of every form that a contract can state, and the way to a contract written as text."""

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from archcheck.contract import Contract, load
from archcheck.foundation.errors import ContractError
from archcheck.rules.base import Rule, rule_name


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxParams(Rule):
    limit: int

    def __post_init__(self):
        Rule.__post_init__(self)
        if self.limit < 1:
            raise ValueError(f"the limit must be positive, found {self.limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires(Rule):
    kinds: tuple[str, ...] = field(metadata={"kinds": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels(Rule):
    progression: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedBy(Rule):
    layer: str = field(metadata={"kinds": True})
    by: str = field(metadata={"kinds": True})
    position: Literal["direct", "before-weights"] = "before-weights"
    exempt: tuple[int | str, ...] = field(default=(), metadata={"selector": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class MinAccuracy(Rule):
    limit: float
    within_epochs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPadding(Rule):
    exempt: str | tuple[str, ...] = ()

    def __post_init__(self):
        if "all" in self.exempt:
            raise ValueError(f"`exempt` leaves nothing to look at:\n{self.exempt}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts(Rule):
    sizes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUnusedParams(Rule):
    pass


RULES = (MaxParams, Requires, Channels, FollowedBy, MinAccuracy, NoPadding, Accepts, NoUnusedParams)
KNOWN = {rule_name(rule): rule for rule in RULES}


FLAGSHIP = """\
[project]
name = "somebody-else"

[tool.archcheck.subjects.mnist]
model = "model.py:Net"
input = [1, 1, 28, 28]
args  = { width = 16, sizes = [3, 3] }
timeout = 30
[tool.archcheck.subjects.mnist.training]
train      = "pkg.train:run"
evaluate   = "pkg.evaluate:test"
checkpoint = "checkpoint.safetensors"
record     = "record.json"
epochs     = 15
[tool.archcheck.subjects.mnist.rules]
max-params   = { limit = 19_999, because = "the assignment: under 20k" }
requires     = ["dropout", "batch_norm"]
followed-by  = [{ layer = "conv", by = "batch_norm" }, { layer = "Conv2d", by = "relu", exempt = [1, "last"] }]
min-accuracy = { limit = 0.994, within-epochs = 20 }
no-unused-params = true
[[tool.archcheck.subjects.mnist.waivers]]
rule = "followed-by-2"
layer = "features.**"
reason = "documented"
until = 2030-01-31
"""


def read(folder: Path, text: str, name: str = "archcheck.toml") -> Contract:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return load(path, KNOWN)


def problems(folder: Path, text: str, name: str = "archcheck.toml") -> list[str]:
    """What is wrong with a contract, each as `line: message`; nothing when it loads."""
    try:
        read(folder, text, name)
    except ContractError as error:
        return [str(problem).rpartition(f"{name}:")[2] for problem in error.problems]
    return []
