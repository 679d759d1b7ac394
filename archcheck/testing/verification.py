"""For hand-written tests of models, and for authors of rules.

A test of a model, without a contract::

    from archcheck import check, rules

    def test_budget():
        check(Net(), example=torch.rand(1, 1, 28, 28), rules=[rules.MaxParams(limit=20_000)]).verify()

A test of a rule against the examples in its docstring::

    from archcheck.testing import verify_examples

    def test_examples():
        verify_examples(MaxWidth, torch=torch, nn=nn, F=F)
"""

from __future__ import annotations

import fnmatch
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from archcheck.contract import load
from archcheck.contract.document import Document, Node
from archcheck.contract.rule_entries import read_rules
from archcheck.contract.toml_lines import key_lines
from archcheck.facts.artifact_files import Artifacts, FileSize
from archcheck.facts.facts import Facts
from archcheck.facts.snapshot import Committed
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import ContractError
from archcheck.foundation.text_files import Text, Texts
from archcheck.judging.engine import check, check_contract, judge, stated_in_python
from archcheck.judging.engine import measure as facts_of
from archcheck.judging.rule_pages import Example, examples
from archcheck.rules import find
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Outcome, Report

__all__ = ["Example", "check_file", "examples", "facts_of", "judge_example", "rule_of", "verify_examples"]


def check_file(path: Path | str, *subjects: str) -> tuple[Report, ...]:
    """Judge subjects of a contract file, all by default, in another process.

    Raises `ContractError` when the contract has mistakes.
    """
    return tuple(check_contract(load(Path(path)), subjects))


def rule_of(line: str, rule: type[Rule]) -> Rule:
    """Return `rule` as a line of a contract states it: `max-params = 20_000`.

    Raises `ContractError` when the line has mistakes.
    """
    document = Document(file="example", lines=key_lines(line))
    node = Node(document=document, path=(), value=tomllib.loads(line))
    instances = read_rules(node, {rule_name(rule): rule})
    if document.problems:
        raise ContractError(*document.problems)
    (stated,) = (one for several in instances.values() for one in several.values() if one)
    return stated.rule


def judge_example(rule: type[Rule], example: Example, **names: Any) -> Outcome:
    """Build, measure and judge an example. `names` are the names that its model may use, such as `torch`.

    A line `forward = lambda model, x: …` replaces the forward pass of the model. `was = …` is another model, whose
    measures are in the committed snapshot. `texts = { "README.md" = "…" }` are files beside the contract, in which the
    subject is called `net`; `beside = …` is another rule about them. `artifacts = { "model.pt" = 1_000 }` are the sizes
    of other files there.
    """
    model = _build(example.model or "", names)
    if "forward" in example.lines:
        model.forward = partial(eval(example.lines["forward"], dict(names)), model)
    shapes = tomllib.loads(f"input = {example.input}")["input"] if example.input else None
    example_input = _tensors(shapes, names["torch"])
    stated = rule_of(example.rule, rule)
    if "was" in example.lines:
        before = facts_of(_build(example.lines["was"], names), example=example_input)
        committed = Committed(file="archcheck.snapshot.json", measures=measures_of(before))
        return _judge(replace(facts_of(model, example=example_input), snapshot=committed), stated)
    if "texts" in example.lines:
        facts = facts_of(model, example=example_input)
        named = replace(facts.subject, name="net")
        return _judge(replace(facts, subject=named, texts=texts_of(example)), stated)
    if "artifacts" in example.lines:
        facts = facts_of(model, example=example_input)
        return _judge(replace(facts, artifacts=artifacts_of(example.lines["artifacts"], stated)), stated)
    return check(model, example=example_input, rules=[stated]).outcomes[0]


def _judge(facts: Facts, rule: Rule) -> Outcome:
    return judge(facts, [stated_in_python(rule)])[0]


def texts_of(example: Example) -> Texts:
    """Return the files of `texts = { "README.md" = "…" }`, and what a rule `beside` proves in them."""
    contents = tomllib.loads(f"texts = {example.lines['texts']}")["texts"]
    files = {name: Text(shown=name, content=content) for name, content in contents.items()}
    line = example.lines.get("beside", "")
    beside = find(line.partition("=")[0].strip())
    return Texts(files=files, subjects=("net",), proven=rule_of(line, beside).proves if beside else ())


def artifacts_of(source: str, rule: Rule) -> Artifacts:
    """Return the files of `artifacts = { "model.pt" = 1_000 }` that a rule asks for, of these sizes."""
    sizes = tomllib.loads(f"sizes = {source}")["sizes"]
    files = {name: FileSize(shown=name, bytes=size, stored=size) for name, size in sizes.items()}
    return Artifacts(
        sizes={each: tuple(files[name] for name in fnmatch.filter(files, each.pattern)) for each in rule.artifacts}
    )


def verify_examples(rule: type[Rule], **names: Any) -> None:
    """Check that each example of a docstring gives its verdict and its finding.

    Raises `AssertionError` for the first difference, and for a docstring without examples.
    """
    assert examples(rule), f"{rule_name(rule)} has no examples"
    for example in examples(rule):
        outcome = judge_example(rule, example, **names)
        assert outcome.verdict.value == example.verdict, f"{outcome.headline}\n\n{example.source}"
        assert (example.says or "") in outcome.summary, f"{outcome.headline}\n\n{example.source}"


def _build(source: str, names: Mapping[str, Any]) -> Any:
    """Evaluate an expression, or make a model of the methods that the source defines."""
    if not source.startswith("def "):
        return eval(source, dict(names))
    scope = dict(names)
    exec("class Model(nn.Module):\n" + textwrap.indent(source, "    "), scope)
    return scope["Model"]()


def _tensors(shapes: Sequence[Any] | None, torch: Any) -> Any:
    if shapes is None:
        return None
    several = any(isinstance(item, list) for item in shapes)
    return tuple(torch.rand(shape) for shape in shapes) if several else torch.rand(shapes)
