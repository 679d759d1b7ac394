"""`Rule`: the base class of all rules.

The class name is the name of the rule, its fields are the parameters, and its docstring is the documentation:

* `MaxParams` is `max-params` in a contract, on the command line and in a test id;
* the first field is the shorthand: `max-params = 20_000` is `max-params = { limit = 20_000 }`;
* a field `within_epochs` is the key `within-epochs`;
* the tests run the examples of the docstring, and `archcheck explain` shows them.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, ClassVar

from archcheck.facts.artifact_files import Artifact
from archcheck.facts.facts import Facts
from archcheck.facts.selectors import mistake_in
from archcheck.foundation.text_files import Stated
from archcheck.foundation.words import quote
from archcheck.rules.findings import MOST_POINTS, Result, plain

KINDS = {"kinds": True}
"""The metadata of a field that holds words that select operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The base class of all rules. Subclasses are frozen dataclasses and define `check`.

    `because` is the author's reason, shown when the rule is broken. `on` is a selector that limits what the rule looks
    at; rules about the whole model refuse it. `allow_empty` keeps a rule that examined nothing from being vacuous.
    `points` is the worth of the rule in a grade. A field with `kinds` in its metadata holds words that select
    operations. A field with `least` takes no number below it, and no infinite one. A field with `check` takes what that
    function does not refuse.

    A subclass that defines `__post_init__` begins it with `Rule.__post_init__(self)`.
    """

    because: str | None = None
    on: str | None = None
    allow_empty: bool = False
    points: float | None = None

    prohibition: ClassVar[bool] = False
    """Whether finding nothing to look at means that the rule is kept."""
    narrows: ClassVar[bool] = True
    """Whether `on` means something: whether the rule looks at parts of the model."""
    as_a_whole: ClassVar[str] = "the rule judges the model as a whole"
    """Why `on` is refused where it means nothing."""
    each_pass: ClassVar[bool] = False
    """Whether it judges single ways through the code: where values decide what runs, it is asked for each of them."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Measurements beyond the graph that this rule asks for: names of probes, or `training`."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The text files that this rule judges, relative to the folder of the contract; `facts.texts` holds them."""
        return ()

    @property
    def proves(self) -> tuple[Stated, ...]:
        """The numbers in these files that the rule holds to what proves them; `facts.texts.proven` holds those of all
        rules.
        """
        return ()

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files whose size this rule judges; `facts.artifacts` holds them."""
        return ()

    def __post_init__(self) -> None:
        """Refuse `on` where it has no meaning, invalid points, unknown kinds, and numbers that are too small."""
        if self.on is not None and not self.narrows:
            raise ValueError(f"`on` narrows nothing here: {self.as_a_whole}")
        if self.points is not None and not 0 < self.points < math.inf:
            raise ValueError(f"`points` must be positive, found {self.points:g}")
        if self.points is not None and self.points > MOST_POINTS:
            raise ValueError(f"`points` must be at most {MOST_POINTS:,}, found {self.points:g}")
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            if check := parameter.metadata.get("check"):
                _check_value(check, parameter.name, value)
            if parameter.metadata.get("kinds"):
                _check_kinds(parameter, value)
            least = parameter.metadata.get("least")
            if least is not None and value is not None and not least <= value < math.inf:
                raise ValueError(f"`{key_of(parameter.name)}` must be at least {least}, found {plain(value)}")

    def check(self, facts: Facts) -> Result:
        """Judge `facts`. A pure function: no torch, no files, no state."""
        raise TypeError(f"{type(self).__name__} must define `check`")


def _check_value(check: Callable[[Any], None], name: str, value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"`{key_of(name)}` {error}") from None


def _check_kinds(parameter: Field[Any], value: Any) -> None:
    several = not isinstance(value, str)
    if not several and str(parameter.type).startswith("tuple"):
        raise ValueError(f"`{key_of(parameter.name)}` is a tuple of words, found {quote(value)} alone")
    words = tuple(value) if several else (value,)
    if not words:
        raise ValueError(f"`{key_of(parameter.name)}` is empty: the rule would look at nothing")
    mistakes = [mistake for word in words if (mistake := mistake_in(word)) is not None]
    if mistakes:
        raise ValueError("; ".join(mistakes))


COMMON = tuple(field.name for field in fields(Rule))
"""The keys that every rule has."""


def rule_name(rule: Rule | type[Rule]) -> str:
    """Return the kebab-case name: `MaxParams` -> `max-params`."""
    cls = rule if isinstance(rule, type) else type(rule)
    return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()


def documentation(rule: type[Rule]) -> str:
    """Return the docstring without its indentation in the source, or an empty text if there is none."""
    text = rule.__doc__ or ""
    return "" if text.startswith(f"{rule.__name__}(") else inspect.cleandoc(text)  # what `dataclass` makes up


def promise(rule: type[Rule]) -> str:
    """Return the first paragraph of the documentation on one line."""
    return " ".join(documentation(rule).partition("\n\n")[0].split())


def parameters(cls: type[Rule]) -> tuple[Field[Any], ...]:
    """Return the rule's own fields, the shorthand first."""
    return tuple(field for field in fields(cls) if field.name not in COMMON)


def is_required(parameter: Field[Any]) -> bool:
    """Whether a contract must give this parameter."""
    return parameter.default is MISSING and parameter.default_factory is MISSING


def default_of(parameter: Field[Any]) -> Any:
    """Return the default of a field, `MISSING` for a field without one."""
    return parameter.default if parameter.default_factory is MISSING else parameter.default_factory()


def key_of(parameter: str) -> str:
    """Return the TOML key of a field name; `as_` is `as`, which is a word of Python's."""
    return parameter.removesuffix("_").replace("_", "-")
