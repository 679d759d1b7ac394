"""CycloneDX 1.6, held to the schema that is published with it (the package `cyclonedx-python-lib` carries it)."""

import hashlib
import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from archcheck.cli import main
from archcheck.cli.output import timestamp
from archcheck.cli.weight_hashes import hashes_of
from archcheck.facts.records import Training
from archcheck.facts.weight_files import Stored, Weights
from archcheck.foundation.errors import ArchcheckError
from archcheck.render import render
from archcheck.rules.findings import Report
from tests.render.samples import failed, judged, kept, op, plain_net, troubled_net

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)
DIGEST, OTHER = "ab" * 32, "cd" * 32
WEIGHTS = Weights(
    file="w.safetensors",
    format="safetensors",
    tensors=(Stored(name="a", shape=(2, 3), dtype="float32", bytes=24),),
    bytes=24,
    bytes_by_dtype={"float32": 24},
)


def trained(*correct: int, **values: Any) -> Report:
    """A subject whose record says how many of 1,000 examples each seed got right."""
    runs = [
        {"seed": seed, "epochs": [{"epoch": 1}], "selected": "last", "test": {"correct": count, "total": 1_000}}
        for seed, count in enumerate(correct)
    ]
    record = {"runs": runs, "checkpoint": {"file": "c.safetensors", "sha256": DIGEST, "seed": 0, "epoch": 1}}
    training = Training(record_file="r.json", record=record, mismatches=(), checkpoint_file="c.safetensors")
    return Report(subject="net", facts=replace(plain_net(), training=replace(training, **values)))


def document(*reports: Report, **options: object) -> dict[str, Any]:
    """Return a document that the schema allows."""
    text = render(reports, "cyclonedx", **options)
    assert VALIDATOR.validate_str(text) is None
    return dict(json.loads(text))


def component(*reports: Report, **options: object) -> dict[str, Any]:
    (only,) = document(*reports, **options)["components"]
    return dict(only)


def metrics(report: Report, **options: object) -> list[dict[str, Any]]:
    card = component(report, **options)["modelCard"]
    return list(card.get("quantitativeAnalysis", {}).get("performanceMetrics", []))


def test_a_model_has_its_card_and_its_figures():
    found = component(Report(subject="net", facts=plain_net()))
    assert (found["type"], found["name"]) == ("machine-learning-model", "net")
    assert found["modelCard"] == {
        "modelParameters": {
            "modelArchitecture": "Net",
            "inputs": [{"format": "float32 1x1x8x8"}],
            "outputs": [{"format": "float32 1x10"}],
        }
    }
    properties = {each["name"]: each["value"] for each in found["properties"]}
    assert properties["archcheck:params.total"] == "1290"
    assert properties["archcheck:cost.macs"] == "13760"
    assert "archcheck:cost.training_macs" not in properties  # it was not measured, which is not zero
    assert "hashes" not in found


def test_the_schema_would_find_faults():
    text = render([kept()], "cyclonedx").replace("machine-learning-model", "model")
    assert VALIDATOR.validate_str(text) is not None


def test_every_kind_of_report_is_valid_and_each_reference_is_one():
    reports = (judged(), kept(), failed(), kept(), Report(subject="w", weights=WEIGHTS), trained(990, 980))
    found = document(*reports, Report(subject="odd\n\x1b", facts=troubled_net()))["components"]
    references = [each["bom-ref"] for each in found]
    assert len(references) == len(set(references)) == 7
    assert document()["components"] == []
    named = [{each["name"] for each in one["properties"]} for one in found]
    assert "archcheck:error" in named[2]
    assert {"archcheck:weights.elements", "archcheck:weights.bytes"} <= named[4]
    assert any(name.startswith("archcheck:rule.") for name in named[0])


def test_a_name_that_looks_like_a_numbered_reference_gets_another_one():
    names = ["net", "net#2", "net", "net#2", "", "model"]
    found = document(*(Report(subject=name) for name in names))["components"]
    references = [each["bom-ref"] for each in found]
    assert references == ["net", "net#2", "net#3", "net#2#2", "model", "model#2"]


def test_the_same_report_gives_the_same_bytes_and_another_has_another_number():
    first = render([kept()], "cyclonedx")
    assert first == render([kept()], "cyclonedx")
    assert "timestamp" not in first
    serials = {document(report)["serialNumber"] for report in (kept(), judged(), trained(990))}
    assert len(serials) == 3


def test_the_time_is_what_the_environment_says(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert timestamp() == ""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert document(kept(), timestamp=timestamp())["metadata"]["timestamp"] == "1970-01-02T00:00:00Z"
    for wrong in ("yesterday", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(ArchcheckError, match="SOURCE_DATE_EPOCH must be the seconds since 1970"):
            timestamp()


@pytest.mark.parametrize(
    ("kinds", "family"),
    [
        (("conv", "relu", "linear"), "convolutional neural network"),
        (("embedding", "lstm"), "recurrent neural network"),
        (("embedding", "attention", "layer_norm"), "transformer network"),
        (("conv", "attention"), None),
        (("linear", "relu"), None),
    ],
)
def test_a_family_is_named_only_if_the_operations_make_one(kinds, family):
    facts = replace(plain_net(), ops=tuple(op(kind, index=index) for index, kind in enumerate(kinds)))
    found = component(Report(subject="net", facts=facts))["modelCard"]["modelParameters"]
    assert found.get("architectureFamily") == family
    dead = replace(facts, ops=(*facts.ops, op("gru", index=9, live=False)))
    found = component(Report(subject="net", facts=dead))["modelCard"]["modelParameters"]
    assert found.get("architectureFamily") == family


def test_a_record_gives_the_mean_over_its_seeds_with_an_interval():
    (metric,) = metrics(trained(990, 980, 985))
    assert (metric["type"], metric["value"]) == ("accuracy", "0.985")
    assert metric["slice"] == "test set, mean over 3 seeds, 95 % confidence"
    low, high = (float(metric["confidenceInterval"][name]) for name in ("lowerBound", "upperBound"))
    assert 0.97 < low < 0.985 < high < 1
    (alone,) = metrics(trained(990))
    assert "confidenceInterval" not in alone


@pytest.mark.parametrize("values", [{"mismatches": ("another model",)}, {"record": None}, {"record": {"runs": []}}])
def test_what_a_record_does_not_prove_is_left_out(values):
    assert metrics(trained(990, 980, **values)) == []


def test_the_digest_is_that_of_the_file_and_a_record_of_another_file_proves_nothing():
    def digest(report: Report, **options: object) -> object:
        return component(report, **options).get("hashes")

    report = trained(990, 980)
    assert digest(report) is None  # nobody has looked at the file
    assert digest(report, hashes={"c.safetensors": DIGEST}) == [{"alg": "SHA-256", "content": DIGEST}]
    assert digest(trained(990, correct=990, total=1_000)) == [{"alg": "SHA-256", "content": DIGEST}]
    assert digest(Report(subject="w", weights=WEIGHTS), hashes={"w.safetensors": OTHER})
    assert len(metrics(report, hashes={"c.safetensors": DIGEST})) == 1
    assert metrics(report, hashes={"c.safetensors": OTHER}) == []


def test_files_are_hashed_where_the_contract_or_the_command_line_names_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    files = {
        name: name.encode() for name in ("a/w.safetensors", "a/c.safetensors", "n.pt2", "given.pt", "w.safetensors")
    }
    (tmp_path / "a").mkdir()
    for name, content in files.items():
        Path(name).write_bytes(content)
    (tmp_path / "a" / "archcheck.toml").write_text(
        '[subjects.net]\nmodel = "model.py:Net"\n[subjects.with]\nmodel = "model.py:Net"\nweights = "w.safetensors"\n'
    )
    in_contract, alone = Namespace(config=tmp_path / "a" / "archcheck.toml"), Namespace(config=None, weights=None)
    facts = trained(990).facts
    exported = replace(facts, subject=replace(facts.subject, target="n.pt2"), training=None)
    for report, options, name, file in (
        (trained(990), in_contract, "c.safetensors", "a/c.safetensors"),
        (Report(subject="with", facts=facts), in_contract, "model.py:Net", "a/w.safetensors"),
        (Report(subject="w", weights=WEIGHTS), alone, "w.safetensors", "w.safetensors"),
        (Report(subject="n", facts=exported), alone, "n.pt2", "n.pt2"),
        (trained(990), Namespace(config=None, weights="given.pt"), "model.py:Net", "given.pt"),
    ):
        assert hashes_of([report], options) == {name: hashlib.sha256(files[file]).hexdigest()}
    assert hashes_of([trained(990), failed()], alone) == {}


def test_the_command_writes_it_of_a_saved_report(tmp_path, capsys):
    saved = tmp_path / "saved.json"
    saved.write_text(render([trained(990, 980)], "json"))
    assert main(["report", str(saved), "--format", "cyclonedx"]) == 0
    assert VALIDATOR.validate_str(capsys.readouterr().out) is None
