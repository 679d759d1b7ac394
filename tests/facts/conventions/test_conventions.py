"""The conventions of counting, held to the tools themselves: equal totals, network by network."""

from __future__ import annotations

import importlib
import json
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import torch
from counted_networks import NETWORKS
from counting_tools import PACKAGES, say
from packaging.version import Version

from archcheck.facts.calls import CALLS
from archcheck.facts.conventions.comparison import CONVENTIONS, counted_as
from archcheck.facts.cross_checks import TOOLS
from archcheck.facts.facts import Facts
from archcheck.measure import measure_model

DEEPSPEED = json.loads(Path(__file__).with_name("deepspeed.json").read_text())
"""What DeepSpeed 0.19.8 counts, written by `record_deepspeed.py`."""

WITHOUT_NUMBER = {
    "attention_called_by_name": {"ptflops"},
    "packed_sequence": {"ptflops", "deepspeed"},
    "quantised": {"fvcore"},
    "functional": {"torch-scan"},
}
"""Networks at which tools fail."""


@cache
def measured(name):
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]()
    return measure_model(model, example=inputs, needs=[CALLS])


def told(tool, name):
    if tool == "deepspeed":
        return DEEPSPEED[name]
    torch.manual_seed(0)
    return say(tool, *NETWORKS[name]())


def missing(tool):
    """Return why a tool cannot be asked, an empty text if it can."""
    package, known = PACKAGES[tool], CONVENTIONS[tool].version
    try:
        importlib.import_module(package)
    except ImportError as error:  # thop asks for `distutils`, which newer Pythons have only with setuptools
        return f"{package} cannot be imported: {error}"
    found = metadata.version(package)
    same = Version(found) == Version(known)
    return "" if same else f"the formulas are those of {package} {known}, and {found} is installed"


def installed():
    return ["deepspeed", "flop-counter", *(tool for tool in PACKAGES if not missing(tool))]


@pytest.mark.parametrize("tool", PACKAGES)
def test_the_tool_is_there(tool):
    if reason := missing(tool):
        pytest.skip(reason)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_tool_counts_what_its_convention_says(name):
    facts, tools = measured(name), installed()
    found = {tool: counted_as(facts, tool).total for tool in tools}
    assert found == {tool: told(tool, name) for tool in tools}
    assert {tool for tool, total in found.items() if total is None} == WITHOUT_NUMBER.get(name, set()) & {*tools}


def test_there_are_networks_enough_and_a_convention_of_each_tool():
    assert len(NETWORKS) >= 40
    assert tuple(CONVENTIONS) == TOOLS


@pytest.mark.parametrize("name", NETWORKS)
def test_the_differences_add_up_to_that_of_the_totals_and_each_has_a_reason(name):
    for tool, convention in CONVENTIONS.items():
        count = counted_as(measured(name), tool)
        if count.total is None:
            assert count.error
            continue
        assert sum(each.theirs - each.ours for each in count.differences) == (
            count.total - convention.per_mac * count.macs
        )
        assert all(each.reason and each.ours != each.theirs for each in count.differences)


def test_a_record_of_calls_is_read_back_as_it_was_written():
    for name in ("usual_layers", "packed_sequence", "quantised", "two_outputs"):
        facts = measured(name)
        again = Facts.from_json(json.loads(json.dumps(facts.to_json())))
        assert {tool: counted_as(again, tool) for tool in CONVENTIONS} == {
            tool: counted_as(facts, tool) for tool in CONVENTIONS
        }


def test_measuring_leaves_no_hook_and_no_function_of_its_own_behind():
    functions = {name: getattr(torch.nn.functional, name) for name in dir(torch.nn.functional)}
    methods = {**vars(torch.Tensor)}
    model, inputs = NETWORKS["usual_layers"]()
    measure_model(model, example=inputs, needs=[CALLS])
    assert {name: getattr(torch.nn.functional, name) for name in functions} == functions
    assert vars(torch.Tensor) == methods
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
