"""Judge a model that Python code has built already, by the rules of a contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archcheck.contract import Contract, SubjectEntry
from archcheck.facts.operator_costs import Stated as StatedCost
from archcheck.facts.records import RECORD, TRAINING
from archcheck.foundation.json_codec import encode
from archcheck.judging.engine import files_beside, graded, judge, needs_of
from archcheck.rules.findings import Report

if TYPE_CHECKING:
    import torch

_LIMIT = 60.0
"""Seconds that reading a text file may take, where no worker has a limit of its own."""


def check_by_contract(
    model: torch.nn.Module,
    contract: Contract,
    entry: SubjectEntry,
    *,
    example: Any = None,
    name: str | None = None,
    costs: Mapping[str, StatedCost] | None = None,
    call: str | None = None,
    training_example: Any = None,
) -> Report:
    """Measure `model` in this process, and judge it by the rules and waivers of a subject.

    `example`, `name`, `costs`, `call` and `training_example` are by default those of the subject. Its training record
    and checkpoint are read if a rule needs them; a rule that needs a trial training cannot be judged, because that
    builds the subject anew.

    Raises:
        SubjectError: the model could not be measured.
    """
    from archcheck.measure import example_of, measure_model, training_facts

    root, needs = str(contract.root), needs_of(stated.rule for stated in entry.rules)
    facts = measure_model(
        model,
        example=example_of(encode(entry.input), root) if example is None else example,
        name=name or entry.name,
        root=root,
        needs=needs,
        confirm=True,
        costs={**entry.costs, **(costs or {})},
        call=call or entry.call,
        training_example=example_of(encode(entry.training_input), root)
        if training_example is None
        else training_example,
    )
    if {TRAINING, RECORD} & needs:
        spec = encode(entry.training) or {}
        facts = replace(facts, training=training_facts(model, spec, facts, root, evaluate=TRAINING in needs))
    facts = replace(facts, **files_beside(contract, entry, needs, entry.timeout or _LIMIT))
    report = Report(subject=facts.subject.name, facts=facts, outcomes=judge(facts, entry.rules, entry.waivers))
    return graded(report, [stated.rule for stated in entry.rules])
