"""The page of a rule, and the examples of a docstring."""

from dataclasses import dataclass
from typing import Literal

import pytest

from archcheck.judging.rule_pages import examples, page, promise
from archcheck.rules import BUILTIN
from archcheck.rules.base import Rule, rule_name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepsWidth(Rule):
    """Every `layer` keeps its width,
    whatever it is.

    Because someone asked.

    Example, kept:
        rule = keeps-width = 20
        model = nn.Linear(4, 4)
        input = [1, 4]

    Example, broken:
        rule = keeps-width = { limit = 15, on = "x" }
        model =
            def __init__(self):
                super().__init__()
                self.x = nn.Linear(4, 5)

            def forward(self, x):
                return self.x(x)
        input = [1, 4]
        says = a = b, limit 15
    """

    limit: int
    layers: tuple[str, ...] = ("conv",)
    sides: Literal["left", "right"] = "left"
    share: float | None = None


PAGE = """\
keeps-width: Every `layer` keeps its width, whatever it is.

Because someone asked.

Parameters:

    limit   an integer         required
    layers  a list of strings  default ["conv"]
    sides   "left" or "right"  default "left"
    share   a number           optional

On every rule:

    because      a string                      optional
    on           a string                      optional
    allow-empty  true or false                 default false
    points       a number, or a list of bands  optional
    title        a string                      optional

Example, kept:

    rule = keeps-width = 20
"""


def test_a_page_begins_with_the_promise_and_ends_with_the_examples():
    text = page(KeepsWidth)
    assert text.startswith(PAGE)
    assert text.endswith("    says = a = b, limit 15\n")


def test_examples_are_read_line_by_line():
    kept, broken = examples(KeepsWidth)
    assert (kept.verdict, kept.rule, kept.model, kept.input, kept.says) == (
        "kept", "keeps-width = 20", "nn.Linear(4, 4)", "[1, 4]", None,
    )  # fmt: skip
    assert broken.rule == 'keeps-width = { limit = 15, on = "x" }'
    assert broken.model is not None
    assert broken.model.startswith("def __init__(self):\n    super()")
    assert broken.model.endswith("def forward(self, x):\n    return self.x(x)")
    assert broken.says == "a = b, limit 15"


def test_a_line_without_key_is_the_authors_mistake():
    class Wrong(Rule):
        """It holds.

        Example, kept:
            rule = wrong = true
            and more
        """

    with pytest.raises(ValueError, match="Wrong: not a `key = value` line in an example: 'and more'"):
        examples(Wrong)


def test_an_example_needs_a_rule():
    class Wrong(Rule):
        """It holds.

        Example, kept:
            model = 3
        """

    with pytest.raises(ValueError, match="Wrong: an example states no `rule`"):
        examples(Wrong)


@pytest.mark.parametrize("rule", BUILTIN, ids=rule_name)
def test_every_builtin_rule_has_a_page_with_a_promise_in_one_sentence(rule):
    assert page(rule).startswith(f"{rule_name(rule)}: {promise(rule)}\n\n")
    assert promise(rule)[-1] == "."
    for example in examples(rule):
        assert example.verdict in ("kept", "broken", "vacuous", "error")
        assert example.rule.startswith(rule_name(rule))
