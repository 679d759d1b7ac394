"""Formulas of figures: `0.3 * params.total / 276k + 0.7 * exp(cost.macs / 16.7G)`.

Sums, products and quotients are exact; roots, exponentials and logarithms are those of 64-bit numbers.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.formulas import Grammar
from archcheck.foundation.quantities import UNITS, as_written
from archcheck.foundation.words import amount, quote
from archcheck.rules.queries.bounds import demand_counted, demand_known
from archcheck.rules.queries.figures import Figure, find_figure, needs_training, value_text

_SUFFIXES = "|".join(sorted((re.escape(each) for each in UNITS["number"].factors if each), key=len, reverse=True))
_QUANTITY = re.compile(rf"(?<![\w.])((?:\d+(?:_\d+)*)(?:\.\d+)?[ ]?(?:{_SUFFIXES}))(?![\w(])")
_COMMA = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?![\w.])")
_PATH = re.compile(r"[\w.]+")
_BITS = 4_096
"""Bits of the parts of an exact number at most. Longer numbers become 64-bit ones."""


def _bounded(number: Fraction) -> Fraction:
    long = max(number.numerator.bit_length(), number.denominator.bit_length()) > _BITS
    return Fraction(float(number)) if long else number


def _exact(function: Callable[..., Fraction]) -> Callable[..., Fraction]:
    return lambda *values: _bounded(function(*values))


def _real(function: Callable[..., float]) -> Callable[..., Fraction]:
    """Return a function of 64-bit numbers as one of fractions."""

    def of_fractions(*values: Fraction) -> Fraction:
        found = function(*map(float, values))
        if isinstance(found, complex):
            raise ValueError("has no real value")
        return Fraction(found)

    return of_fractions


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    long = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator == 1 and long * abs(exponent) <= _BITS:
        return base ** int(exponent)
    return _real(pow)(base, exponent)


def _whole(function: Callable[[Fraction], int]) -> Callable[[Fraction], Fraction]:
    return lambda value: Fraction(function(value))


def _number(number: int | float) -> Fraction:
    if not math.isfinite(number) or abs(number) > 1e300:
        raise ValueError("holds a number above 1e300")
    return Fraction(repr(number))


def _path_of(node: ast.expr) -> str | None:
    """Return the path of a figure: `params.total`, and `training.record.runs[0].loss` with the index as a step."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{before}.{name}" if (before := _path_of(inner)) else None
        case ast.Subscript(value=inner, slice=ast.Constant(value=int() as index)) if index is not True:
            return f"{before}.{index}" if (before := _path_of(inner)) else None
    return None


_GRAMMAR: Grammar[Fraction] = Grammar(
    allowed="write figures such as `params.total`, numbers such as 276_000 or 16.7G, + - * / ** and brackets, and "
    "`exp`, `log`, `log2`, `log10`, `sqrt`, `min`, `max`, `abs`, `floor` and `ceil`",
    is_name=lambda node: _path_of(node) is not None,
    number=_number,
    operators={
        ast.Add: _exact(operator.add), ast.Sub: _exact(operator.sub), ast.Mult: _exact(operator.mul),
        ast.Div: _exact(operator.truediv), ast.Pow: _exact(_power), ast.USub: operator.neg, ast.UAdd: operator.pos,
    },
    functions={
        "exp": _real(math.exp), "log": _real(math.log), "log2": _real(math.log2), "log10": _real(math.log10),
        "sqrt": _real(math.sqrt), "min": lambda *values: min(values), "max": lambda *values: max(values),
        "abs": abs, "floor": _whole(math.floor), "ceil": _whole(math.ceil),
    },
)  # fmt: skip
_OF_SEVERAL = ("min", "max")


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula over figures, checked when it is made. Raises `ValueError`; the message continues "the formula ..."."""

    text: str

    def __post_init__(self) -> None:
        if (comma := _COMMA.search(self.text)) is not None:  # which separates two numbers in `min(1,000)`
            plain = comma[0].replace(",", "_")
            raise ValueError(f"holds {quote(comma[0])}; write {plain}, or a space behind the comma of two numbers")
        paths = self.paths
        if not paths:
            raise ValueError("names no figure, such as `params.total`")
        for path in paths:
            try:
                find_figure(path)
            except ValueError as error:
                raise ValueError(f"is wrong: {error}") from None
        for node in ast.walk(self._node):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in _OF_SEVERAL:
                most = 2 if node.func.id == "log" else 1
                if len(node.args) > most:
                    raise ValueError(f"gives {quote(node.func.id)} {amount(len(node.args), 'numbers')}, at most {most}")

    @property
    def _node(self) -> ast.expr:
        return _GRAMMAR.read(_QUANTITY.sub(lambda found: f"{as_written(found[1], 'number')[0]:f}", self.text))

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of its figures, each once."""
        return tuple(dict.fromkeys(path for name in _GRAMMAR.names(self._node) if (path := _path_of(name))))

    @property
    def needs_training(self) -> bool:
        """Whether it needs the record of a training run."""
        return any(map(needs_training, self.paths))

    def figures(self, facts: Facts) -> Mapping[str, Fraction]:
        """Return its figures by path. Raises `NotMeasured` for one that is unknown, or has not exactly one value."""
        values = {path: find_figure(path).of(facts) for path in self.paths}
        for path, several in values.items():
            if len(several) != 1:
                raise NotMeasured(
                    f"the formula names `{path}`, which has {amount(len(several), 'values')} here, not one",
                    where=facts.subject.where,
                    fix="name a figure with one value",
                )
        return MappingProxyType({path: value for path, (value,) in values.items()})

    def value(self, facts: Facts) -> Fraction:
        """Return its value. Raises `NotMeasured` if it has none, or a figure in it is unknown."""
        figures = self.figures(facts)
        try:
            value = _GRAMMAR.value(self._node, lambda node: figures[_path_of(node) or ""])
            float(value)  # an exact number may be larger than any that can be shown
            return value
        except ZeroDivisionError:
            problem = "divides by zero"
        except OverflowError:
            problem = "grows beyond what a 64-bit number holds"
        except ValueError:
            problem = "takes a root or a logarithm that is not a real number"
        at = ", ".join(f"{path} is {value_text(path, value, exact=True)}" for path, value in figures.items())
        raise NotMeasured(f"the formula {problem} where {at}", where=facts.subject.where, fix="mend the formula")


def demand_costs(paths: Collection[str], facts: Facts, free: Collection[str]) -> None:
    """Raise `NotMeasured` if one of these figures is a sum in which an operation of unknown cost is missing."""
    if "cost.macs" in paths:
        demand_counted(facts, None, free)
    if "cost.training_macs" in paths:
        demand_known(facts, facts.cost.training_uncounted, free)


def figure_of(stated: str) -> Figure:
    """Return the figure at a path, or of a formula. Raises `ValueError` with a suggestion when there is none."""
    if _PATH.fullmatch(stated):
        return find_figure(stated)
    try:
        formula = Formula(stated)
    except ValueError as error:
        raise ValueError(f"the formula {error}") from None
    return Figure(unit="number", of=lambda facts: (formula.value(facts),))


def needs_record(stated: str) -> bool:
    """Whether a path or a formula needs the record of a training run."""
    return needs_training(stated) if _PATH.fullmatch(stated) else Formula(stated).needs_training
