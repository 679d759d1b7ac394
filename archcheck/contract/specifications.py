"""The content of a contract as data: subjects with their inputs, training, rules and waivers."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

from archcheck.facts.operator_costs import Stated as StatedCost
from archcheck.foundation.json_codec import encode
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import did_you_mean, listed, quote
from archcheck.rules.base import Rule

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128",
)  # fmt: skip


MOST_ELEMENTS = 2**53
"""Most elements of an input. Counts of more are not exact."""


def check_sizes(shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless every size is positive, and all together are as many as an input can have."""
    for size in shape:
        if size < 1:
            raise ValueError(f"must hold positive sizes, found {size}")
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"must not be of more than {MOST_ELEMENTS:,} elements")


def check_dtype(dtype: str) -> None:
    """Raise `ValueError` unless this names a dtype that an input can have."""
    if dtype not in DTYPES:
        hint = did_you_mean(dtype, DTYPES, f"dtypes are {listed(DTYPES)}")
        raise ValueError(f"names no dtype: {quote(dtype)}{hint}")


def is_function(target: str) -> bool:
    """Whether this has the form of `pkg.mod:function` or `file.py:function`."""
    module, _, function = target.rpartition(":")
    return bool(module.strip()) and function.isidentifier()


def check_function(target: str) -> None:
    """Raise `ValueError` unless this names a function in a module or file."""
    if not is_function(target):
        raise ValueError(f'must name a function, such as "pkg.mod:function", found {quote(target)}')


def check_filled(text: str) -> None:
    """Raise `ValueError` for a text of blanks."""
    if not text.strip():
        raise ValueError("must not be empty")


def check_method(name: str) -> None:
    """Raise `ValueError` unless this can be the name of a method."""
    if not name.isidentifier() or iskeyword(name):
        raise ValueError(f'must name a method of the model, such as "training_step", found {quote(name)}')


def check_files(files: str | tuple[str, ...]) -> None:
    """Raise `ValueError` for no file, and for one without a name."""
    if not files:
        raise ValueError("must name a file")
    for file in (files,) if isinstance(files, str) else files:
        check_filled(file)


def check_positive(number: float) -> None:
    """Raise `ValueError` unless the number is positive."""
    if number <= 0:
        raise ValueError(f"must be positive, found {number:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One tensor of the example input, the batch first; its values lie between `low` and `high`.

    Without a dtype it has torch's default one: float32, unless the subject sets another.
    """

    shape: tuple[int, ...] = field(metadata={"check": check_sizes})
    dtype: str | None = field(default=None, metadata={"check": check_dtype})
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f'"low" must be below "high", found {self.low:g} and {self.high:g}')


Input = tuple[InputSpec, ...] | Mapping[str, InputSpec | tuple[InputSpec, ...] | bool | int | float] | str
"""Tensors by position or by name, or a function that makes the input. A name may have several tensors, or a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpec:
    """How a subject is trained and evaluated, and which files hold the evidence.

    `data` names a function that returns the samples of each set. `describe` names a function that returns the recipe
    and the data as the code has them today.
    """

    train: str | None = field(default=None, metadata={"check": check_function})
    evaluate: str | None = field(default=None, metadata={"check": check_function})
    checkpoint: str | None = field(default=None, metadata={"check": check_filled})
    record: str | None = field(default=None, metadata={"check": check_filled})
    epochs: int | None = field(default=None, metadata={"check": check_positive})
    data: str | None = field(default=None, metadata={"check": check_function})
    describe: str | None = field(default=None, metadata={"check": check_function})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A rule as a contract states it; `instance` tells several of one rule apart: `followed-by-2`."""

    rule: Rule
    instance: str
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """An accepted violation of a rule, with a reason: at some layers or everywhere, until a day or without end.

    `rule` is the name of a rule or of one instance of it. `up_to` limits the waiver: a `max-` figure may not be above
    it, and a `min-` figure not below it. For any other rule it is the number of findings.
    """

    rule: str
    reason: str = field(metadata={"check": check_filled})
    layer: str | None = None
    until: datetime.date | None = None
    up_to: float | None = field(default=None, metadata={"check": check_positive})
    where: Where = field(metadata={"key": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectEntry:
    """A subject as a contract names it.

    `model` is `file.py:Class` or `pkg.mod:factory`, called with `args`. `input` is the example input, or the name of a
    function that makes one; `training_input` is that of training mode, if it is another one. `call` is the method to
    measure instead of `forward`. `weights` is a file with its tensors; several, or a pattern, are as many entries of
    one `family` (see `checkpoints`). So are the files of a pattern in `model`; what its wildcards match is the `member`
    (see `subject_patterns`). `meta` builds it without memory. `unsafe` loads a pickle; only the command line can set
    it. `timeout` is in seconds. `import_timeout` limits the import of its own code, in seconds of CPU time. `costs` are
    multiply-accumulates of its own operators by name (see `operator_costs`). `snapshot` is the file of its
    committed measures; by default it lies beside the contract (`Contract.snapshot`).
    """

    name: str = field(metadata={"key": False})
    family: str | None = field(default=None, metadata={"key": False})
    member: str | None = field(default=None, metadata={"key": False})
    model: str = field(metadata={"check": check_filled})
    input: Input | None = None
    training_input: Input | None = None
    call: str | None = field(default=None, metadata={"check": check_method})
    args: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingSpec | None = None
    rules: tuple[Stated, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    timeout: float | None = field(default=None, metadata={"check": check_positive})
    import_timeout: float | None = field(default=None, metadata={"check": check_positive})
    weights: str | tuple[str, ...] | None = field(default=None, metadata={"check": check_files})
    meta: bool = False
    costs: Mapping[str, StatedCost] = field(default_factory=dict)
    unsafe: bool = field(default=False, metadata={"key": False})
    snapshot: str | None = field(default=None, metadata={"check": check_filled})
    where: Where = field(metadata={"key": False})


def import_limit(entry: SubjectEntry) -> dict[str, float]:
    """Return the import time limit for a request, or nothing if the contract gives none."""
    return {"import_timeout": entry.import_timeout} if entry.import_timeout else {}


def called(entry: SubjectEntry) -> dict[str, Any]:
    """Return the method and the input of training mode for a request, or nothing if the contract gives none."""
    given = {"call": entry.call, "training-input": encode(entry.training_input)}
    return {key: value for key, value in given.items() if value is not None}
