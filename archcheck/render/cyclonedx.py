"""A report as a bill of materials of machine learning: CycloneDX 1.6 in JSON.

Each subject is a component of type `machine-learning-model` with a model card: its architecture, its inputs and outputs
and, if a training record belongs to it, its test accuracy. What the card has no place for stands in properties, whose
names begin with `archcheck:`. The document is the same for the same report: its serial number is a digest of what it
says, and its time is only what `SOURCE_DATE_EPOCH` says. The format is described at
https://cyclonedx.org/docs/1.6/json. `cyclonedx-python-lib` writes no model cards, so it only validates in the tests.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.records import Tensor
from archcheck.facts.selectors import GROUPS
from archcheck.facts.weight_files import Weights
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.installed_packages import own_version
from archcheck.foundation.words import shape_text
from archcheck.render.options import Options
from archcheck.render.wording import one_line, unmeasured
from archcheck.rules.findings import Report
from archcheck.rules.queries.training_runs import accuracies

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
FIGURES = {
    "params": ("total", "trainable", "frozen", "buffers", "hidden_total", "bytes"),
    "cost": ("macs", "fvcore_flops", "activations", "peak_activation_bytes", "training_macs"),
}
"""The figures that are properties of a model, by their group in the facts."""
FAMILIES = {
    "convolutional neural network": frozenset({"conv", "global_conv", "conv_transpose"}),
    "recurrent neural network": frozenset(GROUPS["recurrent"]),
    "transformer network": frozenset({"attention"}),
}
"""Architecture families by the kinds of operations that make one. A network with those of two has no family here."""

Json = dict[str, Any]


def render_cyclonedx(reports: Sequence[Report], options: Options) -> str:
    """Return one CycloneDX document in ASCII, with a component for each report."""
    references: set[str] = set()
    components = []
    for report in reports:
        name = one_line(report.subject) or "model"
        named = (f"{name}#{number}" for number in count(2))
        reference = next(each for each in chain((name,), named) if each not in references)
        references.add(reference)
        components.append(_component(report, name, reference, options.hashes))
    tool = {"type": "application", "name": "archcheck", "version": own_version()}
    time = {"timestamp": options.timestamp} if options.timestamp else {}
    content = {"metadata": {**time, "tools": {"components": [tool]}}, "components": components}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{SCHEMA}#{json.dumps(content, sort_keys=True)}")
    head = {"$schema": SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}"}
    return json.dumps({**head, "version": 1, **content}, indent=2, allow_nan=False) + "\n"


def _component(report: Report, name: str, reference: str, hashes: Mapping[str, str]) -> Json:
    component: Json = {"type": "machine-learning-model", "bom-ref": reference, "name": name}
    if digest := _digest(report, hashes):
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    if report.facts:
        component["modelCard"] = _card(report, report.facts, digest)
    named = {f"archcheck:{key}": one_line(str(value)) for key, value in _properties(report) if value is not None}
    component["properties"] = [{"name": key, "value": value} for key, value in named.items()]
    return component


def _digest(report: Report, hashes: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of the file of weights: as it was read now, else as a record says that was verified."""
    if report.weights:
        return hashes.get(report.weights.file)
    if report.facts is None:
        return None
    training = report.facts.training
    if found := hashes.get(report.facts.subject.target) or hashes.get((training and training.checkpoint_file) or ""):
        return found
    return recorded_digest(report.facts) if training and training.correct is not None else None


def recorded_digest(facts: Facts) -> str | None:
    """Return the SHA-256 of the checkpoint that the training record names, if it does."""
    record = facts.training.record if facts.training else None
    described = (record or {}).get("checkpoint")
    digest = described.get("sha256") if isinstance(described, Mapping) else None
    return digest if isinstance(digest, str) and len(digest) == 64 and _is_hexadecimal(digest) else None


def _is_hexadecimal(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")


def _card(report: Report, facts: Facts, digest: str | None) -> Json:
    kinds = {op.kind for op in facts.ops if op.live}
    families = [family for family, marks in FAMILIES.items() if marks & kinds]
    root = facts.layer("")
    parameters: Json = {"architectureFamily": families[0]} if len(families) == 1 else {}
    if root:
        parameters["modelArchitecture"] = one_line(root.type)
    parameters |= {"inputs": _formats(facts.shape.inputs), "outputs": _formats(facts.shape.outputs)}
    card: Json = {"modelParameters": parameters}
    if metric := _accuracy(report, facts, digest):
        card["quantitativeAnalysis"] = {"performanceMetrics": [metric]}
    return card


def _formats(tensors: Sequence[Tensor]) -> list[Json]:
    return [{"format": f"{tensor.dtype} {shape_text(tensor.shape)}"} for tensor in tensors]


def _accuracy(report: Report, facts: Facts, digest: str | None) -> Json | None:
    """Return the mean test accuracy over the recorded seeds with its interval; `None` if nothing proves it.

    Nothing does if the file of weights is another one than that of the record.
    """
    from archcheck.render.html.evidence import CONFIDENCE, evidence_of  # late: only some reports have a record

    try:
        seeds = len(accuracies(facts))
    except NotMeasured:
        return None
    recorded = recorded_digest(facts)
    evidence = evidence_of(report)
    if evidence is None or evidence.mean is None or (digest and recorded and digest != recorded):
        return None
    metric: Json = {"type": "accuracy", "value": f"{evidence.mean:.6g}", "slice": f"test set, mean over {seeds} seeds"}
    if evidence.interval:
        low, high = evidence.interval
        metric["slice"] += f", {100 * CONFIDENCE:g} % confidence"
        metric["confidenceInterval"] = {"lowerBound": f"{low:.6g}", "upperBound": f"{high:.6g}"}
    return metric


def _properties(report: Report) -> Iterator[tuple[str, object]]:
    """Yield the properties of a subject: the path of each fact or the name of each rule, and its value."""
    if report.error:
        yield "error", unmeasured(report)
    if report.facts:
        yield "target", report.facts.subject.target
        yield "fingerprint", report.facts.subject.fingerprint
        for group, names in FIGURES.items():
            for name in names:
                yield f"{group}.{name}", getattr(getattr(report.facts, group), name)
        if report.facts.cost.uncounted:
            yield "cost.uncounted", ", ".join(report.facts.cost.uncounted)
    if report.weights:
        yield from _of_tensors(report.weights)
    for outcome in report.outcomes:
        yield f"rule.{one_line(outcome.instance)}", f"{outcome.verdict.value}: {outcome.summary}"


def _of_tensors(weights: Weights) -> Iterator[tuple[str, object]]:
    yield "target", weights.file
    yield "weights.format", weights.format
    yield "weights.tensors", len(weights.tensors)
    yield "weights.elements", weights.elements
    yield "weights.bytes", weights.bytes
