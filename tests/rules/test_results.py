"""Everything that the rules say of the examples in their documentation, and of a few more, word for word.

The examples are files here, so that findings have places. `ARCHCHECK_GOLDEN=write pytest tests/rules/test_results.py`
writes the committed files again.
"""

from __future__ import annotations

import importlib.util
import linecache
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.facts.snapshot import Committed
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import NotMeasured
from archcheck.judging.rule_pages import Example, examples
from archcheck.measure import measure_model
from archcheck.rules import BUILTIN
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Finding, Result
from archcheck.testing import rule_of
from archcheck.testing.verification import artifacts_of, texts_of
from tests.rules.broken_models import source_of
from tests.rules.result_cases import cases

GOLDEN = Path(__file__).parent / "results"
MEASURED = {
    "accepts": r"(?<=Error: ).*",
    "deterministic-in-eval": r"(?<=by )\d[\d.]*",
    "exports": r"(?<=export fails: ).*",
    "initial-loss": r"\d+\.\d+",
    "independent-of-batch": r"\d+\.\d+",
    "log-probabilities": r"(?<=found )\d\.\d+|(?<=within )\d\.\d+(?=, limit)",
    "state-dict-round-trip": r"\b\d\.\d+\b",
    "overfits-one-batch": r"\d[\d.]*",
}
"""What differs from one version of torch to the next in what these rules say."""
EXAMPLES = {rule: [*examples(rule), *cases()[rule_name(rule)]] for rule in BUILTIN if examples(rule)}


@pytest.fixture(autouse=True)
def _no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the modules that the examples are."""
    monkeypatch.setitem(sys.modules, "model", None)


@pytest.mark.parametrize("rule", EXAMPLES, ids=rule_name)
def test_a_rule_says_of_its_examples_what_it_said_before(rule: type[Rule], tmp_path: Path) -> None:
    found = "\n".join(block for example in EXAMPLES[rule] for block in judged(rule, example, tmp_path))
    found = re.sub(MEASURED.get(rule_name(rule), "$^"), "…", found)
    file = GOLDEN / f"{rule_name(rule)}.txt"
    if os.environ.get("ARCHCHECK_GOLDEN") == "write":
        file.write_text(found)
    assert found == file.read_text()


def judged(rule: type[Rule], example: Example, folder: Path) -> Iterator[str]:
    """Yield the example and all that its rule says of it, a line for each thing that it says."""
    yield f"# {example.rule}\n# {' '.join((example.model or '').split())}"
    stated = rule_of(example.rule, rule)
    facts = facts_of(example, stated, folder)
    try:
        yield from lines_of(stated.check(facts))
    except NotMeasured as error:
        yield "not measured"
        yield from lines_of_finding(Finding(message=str(error), where=error.where, fix=error.fix))
    yield ""


def lines_of(result: Result) -> Iterator[str]:
    figures = f"found {shown(result.found)}, limit {shown(result.limit)}"
    yield f"examined {result.examined}, {figures} ({result.unit})"
    yield f"kept: {result.kept}"
    for finding in result.findings:
        yield from lines_of_finding(finding)
    yield from (f"most: {line}" for line in result.most)
    yield from (f"note: {line}" for line in result.notes)


def lines_of_finding(finding: Finding) -> Iterator[str]:
    yield f"finding: {finding.message}"
    yield f"    layer {finding.layer!r} at {finding.where}"
    yield f"    fix: {finding.fix}"


def shown(figure: Any) -> str:
    return f"{figure:.4g}" if isinstance(figure, float) else repr(figure)


def facts_of(example: Example, rule: Rule, folder: Path) -> Facts:
    """Measure the model of an example as the file `model.py` in a folder of its own."""
    (folder / "model.py").write_text(source_of(example))
    with chdir(folder):
        torch.manual_seed(0)
        facts = measure_model(built(folder / "model.py"), example=inputs(example), needs=rule.needs, confirm=True)
        if "texts" in example.lines:
            return replace(facts, subject=replace(facts.subject, name="net"), texts=texts_of(example))
        if "artifacts" in example.lines:
            return replace(facts, artifacts=artifacts_of(example.lines["artifacts"], rule))
        if "was" in example.lines:
            before = eval(example.lines["was"], {"torch": torch, "nn": nn, "F": F})
            committed = measures_of(measure_model(before, example=inputs(example)))
            return replace(facts, snapshot=Committed(file="archcheck.snapshot.json", measures=committed))
    return facts


def built(file: Path) -> nn.Module:
    spec = importlib.util.spec_from_file_location("model", file)
    module = sys.modules["model"] = importlib.util.module_from_spec(spec)  # where places of its lines are looked for
    linecache.checkcache()
    spec.loader.exec_module(module)
    return module.Net()


def inputs(example: Example) -> Any:
    shapes = tomllib.loads(f"input = {example.input}")["input"] if example.input else None
    if shapes is None:
        return None
    several = any(isinstance(shape, list) for shape in shapes)
    return tuple(torch.rand(shape) for shape in shapes) if several else torch.rand(shapes)
