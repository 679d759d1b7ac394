"""What Python code may call: rules as in a contract, a subject of a contract, and the formats."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from archcheck import ArchcheckError, BrokenContract, ContractError, SubjectError, check, measure, render, rules

IMAGE = torch.zeros(1, 1, 8, 8)
CONTRACT = r"""
[subjects.net]
model = "net.py:Net"
input = [1, 1, 8, 8]

[subjects.net.rules]
max-params = { limit = "1k", points = 2 }
max-growth = 0.5
claim = { file = "notes.md", pattern = '(\d+) parameters', fact = "params.total" }

[[subjects.net.waivers]]
rule = "max-params"
reason = "agreed"
up-to = "2k"
"""


def net(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.1))


@pytest.mark.parametrize(
    ("stated", "instances"),
    [
        ({"max-params": "20k", "requires": ["dropout"]}, ["max-params", "requires"]),
        ({"requires": ("conv", "dropout")}, ["requires"]),
        ({"max-params": [{"limit": 100}, {"limit": "1k", "on": "0"}]}, ["max-params-1", "max-params-2"]),
        ({"max-params": {"points": [{"limit": "20k", "points": 2}]}}, ["max-params"]),
        ([rules.MaxParams(limit="20k"), {"requires": "conv"}, "no-padding"], ["max-params", "requires", "no-padding"]),
        ([rules.NoPadding, rules.Requires(kinds="conv")], ["no-padding", "requires"]),
        ({"max-params": torch.tensor(100), "no-hidden-weights": np.bool_(True)}, ["max-params", "no-hidden-weights"]),
        ({"output-shape": np.array([1, 8, 6, 6])}, ["output-shape"]),
        ({"max-params": {"points": ({"limit": np.int64(100), "points": np.float64(2)},)}}, ["max-params"]),
    ],
)  # fmt: skip
def test_rules_as_in_a_contract(stated: Any, instances: list[str]) -> None:
    report = check(net(), example=IMAGE, rules=stated)
    assert [outcome.instance for outcome in report.outcomes] == instances
    assert report.verify() is report


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"max-parms": 1}, '"max-parms" is not a rule; did you mean "max-params"?'),
        ({"max-params": "20q"}, '"max-params" must be an integer or text such as "20k" or "1.33M", found "20q"'),
        ({"max-params": None}, "found None"),
        ({"max-params": {"limit": 1, "point": 2}}, '"point" is not a key of "max-params"; did you mean "points"?'),
        ({"requires": "droput"}, '"droput" is not a kind; did you mean "dropout"?'),
        ([rules.MaxParams], '"max-params" needs "limit"'),
    ],
)
def test_a_mistake_has_the_message_of_a_contract_and_the_line_of_the_call(stated: Any, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        check(net(), example=IMAGE, rules=stated)
    assert message in str(caught.value)
    (problem,) = caught.value.problems
    assert Path(problem.file).name == Path(__file__).name
    assert "check(net(), example=IMAGE, rules=stated)" in Path(__file__).read_text().splitlines()[problem.line - 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs either rules or a contract"),
        ({"rules": {}, "contract": "archcheck.toml"}, "needs either rules or a contract"),
        ({"rules": "max-params"}, "must be a table"),
        ({"rules": [3]}, "found 3"),
        ({"rules": {}, "subject": "net"}, "name the contract"),
        ({"contract": "missing.toml"}, "missing.toml does not exist"),
    ],
)
def test_a_call_that_says_nothing_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchcheckError, match=message) as caught:
        check(net(), example=IMAGE, **arguments)
    assert "\n" not in str(caught.value)


def test_what_is_no_module_is_said() -> None:
    with pytest.raises(SubjectError, match=r"is a int, not a torch\.nn\.Module"):
        check(3, rules={"max-params": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "found"),
    [("20k", 20_000), (1e4, 10_000), (torch.tensor([7]).numpy()[0], 7), ("1.33M parameters", 1_330_000)],
)
def test_a_rule_takes_quantities(limit: Any, found: int) -> None:
    assert rules.MaxParams(limit=limit).limit == found


@pytest.mark.parametrize("limit", ["20q", None, True, 1.5])
def test_a_rule_refuses_what_is_no_quantity(limit: Any) -> None:
    with pytest.raises(ValueError, match="`limit` must be an integer or text"):
        rules.MaxParams(limit=limit)


def test_verify_says_what_where_and_what_to_do() -> None:
    class Net(nn.Sequential):
        pass

    with pytest.raises(BrokenContract) as caught:
        check(Net(*net()), example=IMAGE, rules={"max-params": {"limit": 10, "because": "it is small"}}).verify()
    what, where, fix, why, stated = str(caught.value).splitlines()
    assert what == "broken max-params: 96 parameters, limit 10 (+86, +860.0 %)"
    assert where.startswith("  at ")
    assert Path(__file__).name in where
    assert fix == "  fix: remove 86 parameters, or raise max-params"
    assert why == "  why: it is small"
    assert Path(__file__).name in stated


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    (tmp_path / "notes.md").write_text("A net of 96 parameters.")
    return tmp_path


def test_a_model_is_judged_by_a_subject_of_a_contract(folder: Path) -> None:
    with chdir(folder):
        report = check(net(150), contract="archcheck.toml")
    found = {outcome.rule: outcome.verdict.value for outcome in report.outcomes}
    assert found == {"max-params": "waived", "max-growth": "error", "claim": "broken"}  # there is no snapshot
    assert (report.subject, report.earned) == ("net", 2)
    small = check(net(), contract=folder / "archcheck.toml", subject="net")
    assert "waiver" in small.outcomes[0].summary
    assert [outcome.verdict.value for outcome in small.outcomes] == ["broken", "error", "kept"]


def test_which_subject_is_asked(folder: Path) -> None:
    (folder / "archcheck.toml").write_text(CONTRACT + "[subjects.other]\nmodel = 'net.py'\n")
    with pytest.raises(ArchcheckError, match='has several subjects; give `subject`, one of "net" and "other"'):
        check(net(), contract=folder / "archcheck.toml")
    with pytest.raises(ArchcheckError, match='"nett" is not a subject of'):
        check(net(), contract=folder / "archcheck.toml", subject="nett")


def test_render() -> None:
    report = check(net(), example=IMAGE, rules={"max-params": "20k"})
    assert render(report, "concise").endswith("kept max-params Sequential: 96 parameters, limit 20,000\n")
    assert len(json.loads(render([report, report], "json"))["reports"]) == 2
    assert "Conv2d" in render(measure(net(), example=IMAGE))
    assert "Conv2d" not in render(report, outcomes_only=True)
    with pytest.raises(ArchcheckError, match='"xml" is not a format; the formats are'):
        render(report, "xml")
    with pytest.raises(ArchcheckError, match='"colour" is not an option of `render`; it has "color"'):
        render(report, colour=True)


@pytest.mark.parametrize("thing", [3, [], None, "report"])
def test_render_of_something_else(thing: Any) -> None:
    with pytest.raises(ArchcheckError, match="takes what `check` or `measure` returned"):
        render(thing)


def test_a_class_is_no_model_yet() -> None:
    with pytest.raises(SubjectError, match=r"^`Linear` is a class and not yet a model; build one: `Linear\(\)`$"):
        measure(nn.Linear)
