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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

from archcheck.facts.artifact_files import Artifact
from archcheck.facts.facts import Facts
from archcheck.facts.selectors import mistake_in
from archcheck.foundation.annotated_values import annotations_of, in_python
from archcheck.foundation.text_files import Stated
from archcheck.rules.findings import MOST_POINTS, Result, plain

KINDS = {"kinds": True}
"""The metadata of a field that holds words that select operations."""


_POINTS = {"kind": float | None, "shown": "a number, or a list of bands"}


@dataclass(frozen=True, slots=True)
class Band:
    """Points for a rule that is kept with this limit: part of a grade for a little too much."""

    limit: Any
    points: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The base class of all rules. Subclasses are frozen dataclasses and define `check`.

    `because` is the author's reason, shown when the rule is broken. `on` is a selector that limits what the rule looks
    at; rules about the whole model refuse it. `allow_empty` keeps a rule that examined nothing from being vacuous.
    `points` is the worth of the rule in a grade, or bands of it for several limits. `title` is what those who are
    graded read instead of the name of the rule. A field with `kinds` in its metadata holds words that select
    operations. A field with `least` takes no number below it, and no infinite one. A field with `check` takes what that
    function does not refuse.

    A subclass that defines `__post_init__` begins it with `Rule.__post_init__(self)`.
    """

    because: str | None = None
    on: str | None = None
    allow_empty: bool = False
    points: float | tuple[Band, ...] | None = field(default=None, metadata=_POINTS)
    title: str | None = None

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
        self._convert()
        if self.on is not None and not self.narrows:
            raise ValueError(f"`on` narrows nothing here: {self.as_a_whole}")
        if self.title is not None and not self.title.strip():
            raise ValueError("`title` must not be empty")
        self._check_points()
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            if check := parameter.metadata.get("check"):
                _check_value(check, parameter.name, value)
            if parameter.metadata.get("kinds"):
                _check_kinds(parameter, value)
            least = parameter.metadata.get("least")
            if least is not None and value is not None and not least <= value < math.inf:
                raise ValueError(f"`{key_of(parameter.name)}` must be at least {least}, found {plain(value)}")

    def _convert(self) -> None:
        """Give each field the type of its annotation, as a contract does: a list becomes a tuple, `"20k"` a number."""
        for parameter, kind in _annotated(type(self)):
            value = getattr(self, parameter.name)
            if value is parameter.default or (parameter.name == "points" and isinstance(value, tuple | list)):
                continue
            if isinstance(value, float) and not math.isfinite(value):
                continue  # `least` refuses it with more to say
            try:
                found = in_python(value, kind, parameter.metadata.get("unit"))
            except ValueError as error:
                if isinstance(value, tuple | list | Mapping):  # the rule knows better what it wants in it
                    continue
                raise ValueError(f"`{key_of(parameter.name)}` {error}") from None
            except TypeError:  # an annotation of somebody's own rule
                continue
            if found is not value:
                object.__setattr__(self, parameter.name, found)

    def _check_points(self) -> None:
        if isinstance(self.points, list | tuple):
            object.__setattr__(self, "points", tuple(map(_band, self.points)))
        if isinstance(self.points, tuple):
            if not self.points:
                raise ValueError("`points` must hold a band")
            for points in (band.points for band in self.points):
                _check_worth(points)
            _check_order(rule_name(self), list(self.banded()))  # a rule refuses a limit that it cannot have
        elif self.points is not None:
            _check_worth(self.points)

    @property
    def worth(self) -> float | None:
        """The points for the rule as a whole: those of the best band."""
        return max(band.points for band in self.points) if isinstance(self.points, tuple) else self.points

    def banded(self) -> Iterator[tuple[Rule, float]]:
        """Yield this rule with the limit of each band, and its points; the best band first.

        Raises `ValueError` when the rule has no field `limit`, or refuses a limit.
        """
        bands = self.points if isinstance(self.points, tuple) else ()
        if bands and not hasattr(self, "limit"):
            raise ValueError("`points` in bands are for a rule with a `limit`; give it one number")
        for band in sorted(bands, key=lambda band: -band.points):
            changed: Any = {"limit": band.limit, "points": None}
            yield replace(self, **changed), band.points

    def check(self, facts: Facts) -> Result:
        """Judge `facts`. A pure function: no torch, no files, no state."""
        raise TypeError(f"{type(self).__name__} must define `check`")


def _annotated(cls: type[Rule]) -> tuple[tuple[Field[Any], Any], ...]:
    """Return each field of a rule and its annotation; none if annotations of somebody's own rule cannot be read."""
    if cls not in _ANNOTATED:
        try:
            hints = annotations_of(cls)
        except Exception:
            hints = {}
        kinds = ((each, each.metadata.get("kind") or hints.get(each.name)) for each in fields(cls))
        _ANNOTATED[cls] = tuple((each, kind) for each, kind in kinds if kind is not None)
    return _ANNOTATED[cls]


def _band(stated: Any) -> Band:
    """Return a band that Python code states: a `Band`, `(limit, points)`, or a table as in a contract."""
    try:
        return stated if isinstance(stated, Band) else Band(**stated) if isinstance(stated, dict) else Band(*stated)
    except TypeError:
        raise ValueError(f"`points` in bands are {{'limit': …, 'points': …}}, found {stated!r}") from None


def _check_order(rule: str, bands: Sequence[tuple[Any, float]]) -> None:
    """Refuse bands, rules with their points and the best first, one of which can change no grade."""
    limits = [banded.limit for banded, _ in bands]
    if not all(isinstance(limit, int | float) for limit in limits):
        return
    grows = rule.startswith("max-") or (not rule.startswith("min-") and limits[0] < limits[-1])
    worths = [points for _, points in bands]
    for (limit, points), (looser, fewer) in pairwise(zip(limits, worths, strict=True)):
        if points == fewer or not (limit < looser if grows else limit > looser):
            raise ValueError(
                f"`points` has a band that never counts: limit {plain(limit)} earns {plain(points)}, and limit "
                f"{plain(looser)} earns {plain(fewer)}; a stricter limit must earn more"
            )


def _check_worth(points: float) -> None:
    if not 0 < points < math.inf:
        raise ValueError(f"`points` must be positive, found {points:g}")
    if points > MOST_POINTS:
        raise ValueError(f"`points` must be at most {MOST_POINTS:,}, found {points:g}")


def _check_value(check: Callable[[Any], None], name: str, value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"`{key_of(name)}` {error}") from None


def _check_kinds(parameter: Field[Any], value: Any) -> None:
    words = (value,) if isinstance(value, str) else tuple(value)
    if not words:
        raise ValueError(f"`{key_of(parameter.name)}` is empty: the rule would look at nothing")
    mistakes = [mistake for word in words if (mistake := mistake_in(word)) is not None]
    if mistakes:
        raise ValueError("; ".join(mistakes))


_ANNOTATED: dict[type[Rule], tuple[tuple[Field[Any], Any], ...]] = {}
"""The fields of each rule that was made, because annotations are slow to read."""

COMMON = tuple(field.name for field in fields(Rule))
"""The keys that every rule has."""


def rule_name(rule: Rule | type[Rule]) -> str:
    """Return the kebab-case name: `MaxParams` -> `max-params`."""
    return name_of((rule if isinstance(rule, type) else type(rule)).__name__)


def name_of(cls: str) -> str:
    """Return the kebab-case name of the class of a rule, which need not be imported: `MaxParams` -> `max-params`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", cls).lower()


def documentation(rule: type[Rule]) -> str:
    """Return the docstring without its indentation in the source, or an empty text if there is none."""
    text = rule.__doc__ or ""
    return "" if text.startswith(f"{rule.__name__}(") else inspect.cleandoc(text)  # what `dataclass` makes up


def promise(rule: type[Rule]) -> str:
    """Return the first paragraph of the documentation on one line."""
    return " ".join(documentation(rule).partition("\n\n")[0].split())


def parameters(cls: type[Rule]) -> tuple[Field[Any], ...]:
    """Return the rule's own fields, the shorthand first."""
    hashable: Any = cls  # whatever its stubs say
    found: tuple[Field[Any], ...] = _parameters(hashable)
    return found


@cache  # a contract may state a rule thousands of times
def _parameters(cls: Any) -> tuple[Field[Any], ...]:
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
