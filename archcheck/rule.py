"""`Rule`: a promise about an architecture, as a value.

The class name is the rule's name, its fields are the parameters, its docstring is its documentation:

* `MaxParams` is `max-params` in a contract, on the command line and in a test id;
* the first field is the shorthand: `max-params = 20_000` is `max-params = { limit = 20_000 }`;
* a field `within_epochs` is the key `within-epochs`;
* the docstring's examples are executed by the tests and shown by `archcheck explain`.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, ClassVar

from archcheck.facts import Facts
from archcheck.findings import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The one base class. Subclasses are frozen dataclasses and define `check`.

    `because` is the author's reason, shown when the rule breaks; `on` is a selector that narrows what the
    rule looks at; `allow_empty` keeps a rule that examined nothing from being vacuous.
    """

    because: str | None = None
    on: str | None = None
    allow_empty: bool = False

    prohibition: ClassVar[bool] = False
    """Whether finding nothing to look at means that the rule is kept."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Measurements beyond the graph that this rule asks for: names of probes, or `training`."""

    def check(self, facts: Facts) -> Result:
        """Judge `facts`. A pure function: no torch, no files, no state."""
        raise TypeError(f"{type(self).__name__} must define `check`")


COMMON = tuple(field.name for field in fields(Rule))
"""The keys that every rule has."""


def rule_name(rule: Rule | type[Rule]) -> str:
    """Return the kebab-case name: `MaxParams` -> `max-params`."""
    cls = rule if isinstance(rule, type) else type(rule)
    return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()


def parameters(cls: type[Rule]) -> tuple[Field[Any], ...]:
    """Return the rule's own fields, the shorthand first."""
    return tuple(field for field in fields(cls) if field.name not in COMMON)


def is_required(parameter: Field[Any]) -> bool:
    """Whether a contract must give this parameter."""
    return parameter.default is MISSING and parameter.default_factory is MISSING


def key_of(parameter: str) -> str:
    """Return the TOML key of a field name."""
    return parameter.replace("_", "-")
