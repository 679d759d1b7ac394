"""The broken examples of the rules as projects on disk, judged and rendered as `archcheck check` does."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from archcheck.contract import Stated, load
from archcheck.facts.records import Training
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import check_contract, judge, measure
from archcheck.judging.rule_pages import Example, examples
from archcheck.render import render
from archcheck.rules import BUILTIN
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Report
from archcheck.testing import judge_example, rule_of
from archcheck.workers.worker_process import Worker
from tests.support.evidence_samples import write_project

RUNS = tuple(
    {"seed": seed, "epochs": [{"epoch": 1}], "selected": "last", "test": {"correct": correct, "total": 10_000}}
    for seed, correct in enumerate((9_932, 9_938))
)
RECORD = {"schema": 1, "runs": list(RUNS), "checkpoint": {"seed": 0}}
FROM_A_RECORD = {
    "min-accuracy": ("min-accuracy = 0.994", ()),
    "record-matches-model": ("record-matches-model = true", ("the record is of another source of the model",)),
}
"""Rules that judge a record, which no example has: a line of a contract, and how the record is of another model."""
FROM_A_TRIAL = {"augmentation-reaches-the-batch": "overwritten", "held-out-test-is-disjoint": "chosen"}
"""Rules that watch a trainer, which no example has, and the trainer of `evidence_samples` that breaks each."""
CONTRACT = '[subjects.net]\nmodel = "model.py:Net"\ninput = {input}\n[subjects.net.rules]\n{rule}\n'
STATED_AT = Where(file="archcheck.toml", line=5)


def broken_examples(rule: type[Rule]) -> list[Example]:
    return [example for example in examples(rule) if example.verdict == "broken"]


def reports(folder: Path) -> Iterator[tuple[type[Rule], Report]]:
    """Judge every broken example of every builtin rule, with one worker."""
    with Worker() as worker:
        for rule in BUILTIN:
            for number, example in enumerate(broken_examples(rule)):
                if "was" in example.lines:
                    yield rule, in_process(rule, example)
                else:
                    yield rule, on_disk(example, folder / f"{rule_name(rule)}-{number}", worker)
            if rule_name(rule) in FROM_A_RECORD:
                yield rule, from_a_record(rule)
            if rule_name(rule) in FROM_A_TRIAL:
                yield rule, from_a_trial(rule, folder / rule_name(rule), worker)


def on_disk(example: Example, folder: Path, worker: Worker) -> Report:
    folder.mkdir()
    (folder / "model.py").write_text(source_of(example))
    for name, content in tomllib.loads(f"texts = {example.lines.get('texts', '{}')}")["texts"].items():
        (folder / name).write_text(content)
    for name, size in tomllib.loads(f"sizes = {example.lines.get('artifacts', '{}')}")["sizes"].items():
        (folder / name).write_bytes(bytes(size))
    (folder / "archcheck.toml").write_text(CONTRACT.format(input=example.input, rule=example.rule))
    with chdir(folder):
        (report,) = check_contract(load(Path("archcheck.toml")), worker=worker)
    return report


def source_of(example: Example) -> str:
    """Write the model as a file: the layers of an example are those of the class, under the same paths."""
    assert example.model is not None
    head = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\ntorch.manual_seed(0)\n\n\n"
    if example.model.startswith("def "):
        return f"{head}class Net(nn.Module):\n{textwrap.indent(example.model, '    ')}\n"
    built = re.fullmatch(r"nn\.(\w+)\((.*)\)", example.model)
    assert built, example.model
    body = f"def __init__(self):\n    super().__init__({built[2]})\n"
    if forward := example.lines.get("forward"):
        body += f"\ndef forward(self, *inputs):\n    return ({forward})(self, *inputs)\n"
    return f"{head}class Net(nn.{built[1]}):\n{textwrap.indent(body, '    ')}"


def in_process(rule: type[Rule], example: Example) -> Report:
    """Judge an example that compares with what was committed of another model."""
    names = {"torch": torch, "nn": nn, "F": F}
    outcome = judge_example(rule, example, **names)
    shape = [int(size) for size in re.findall(r"\d+", example.input or "")]
    facts = measure(eval(example.model or "", names), example=torch.zeros(shape))
    return Report(subject="net", facts=facts, outcomes=(replace(outcome, contract=STATED_AT),))


def from_a_record(rule: type[Rule]) -> Report:
    line, mismatches = FROM_A_RECORD[rule_name(rule)]
    facts = measure(nn.Linear(2, 2), example=torch.zeros(1, 2))
    subject = replace(facts.subject, name="net", where=Where(file="model.py", line=8))
    training = Training(record_file="record.json", record=RECORD, mismatches=mismatches, correct=9_932, total=10_000)
    facts = replace(facts, subject=subject, training=training)
    stated = Stated(rule=rule_of(line, rule), instance=rule_name(rule), where=STATED_AT)
    return Report(subject="net", facts=facts, outcomes=judge(facts, [stated]))


def from_a_trial(rule: type[Rule], folder: Path, worker: Worker) -> Report:
    folder.mkdir()
    train = FROM_A_TRIAL[rule_name(rule)]
    write_project(folder, train=train)
    training = f'[subjects.net.training]\ntrain = "trainers.py:{train}"\nevaluate = "trainers.py:evaluate"\n'
    contract = CONTRACT.format(input=[1, 1, 8, 8], rule=f"{rule_name(rule)} = true")
    (folder / "archcheck.toml").write_text(contract + training)
    with chdir(folder):
        (report,) = check_contract(load(Path("archcheck.toml")), worker=worker)
    return report


def printed(report: Report) -> str:
    """Return the part of the text report that is about the rule, without the count of verdicts."""
    text = render((report,), "text", width=100, outcomes_only=True)
    return text.rpartition("\n1 rule")[0].strip("\n") + "\n"
