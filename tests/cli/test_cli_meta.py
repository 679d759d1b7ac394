"""`--meta` and `meta = true` as processes: networks that no memory holds, and what cannot be judged of them."""

import json

import pytest

from tests.support.cli_samples import write

NETWORKS = """
    from torch import nn

    class Huge(nn.Sequential):
        def __init__(self, width=1_000_000):
            super().__init__(nn.Linear(width, width), nn.LogSoftmax(1))

    def shallow(width):
        return nn.Sequential(nn.Linear(width, width))

    built = nn.Linear(3, 4)
"""
CONTRACT = """
    [subjects.huge]
    model = "huge.py:Huge"
    {meta}
    [subjects.huge.rules]
    max-params = 1_000_001_000_000
    log-probabilities = true
    [subjects.huge.training]
    train = "huge.py:shallow"
    evaluate = "huge.py:shallow"
    checkpoint = "huge.safetensors"
    record = "huge.json"
    [subjects.huge.rules.min-accuracy]
    limit = 0.5
"""


@pytest.fixture
def huge(tmp_path):
    write(tmp_path, huge_py=NETWORKS)
    (tmp_path / "huge.safetensors").touch()
    (tmp_path / "huge.json").write_text('{"schema": 1, "runs": [{"seed": 0}], "model": {}}')
    return tmp_path


def facts_of(run):
    return json.loads(run.stdout)["reports"][0]["facts"]


def test_a_network_of_terabytes_is_reported(archcheck, huge):
    run = archcheck("report", "huge.py:Huge", "--meta", cwd=huge)
    assert run.returncode == 0, run.stderr
    assert "1,000,001,000,000 (1,000,001,000,000 trainable, 0 frozen)" in run.stdout
    assert "1,000,000,000,000 multiply-accumulates" in run.stdout
    assert "built without memory" in run.stdout


def test_a_factory_takes_arguments(archcheck, huge):
    run = archcheck("report", "huge.py:shallow", "--meta", "--args", "width=2_000_000", "--format", "json", cwd=huge)
    assert facts_of(run)["cost"]["macs"] == 2_000_000**2
    assert facts_of(run)["subject"]["meta"] is True


def test_an_instance_is_measured_as_it_is(archcheck, huge):
    facts = facts_of(archcheck("report", "huge.py:built", "--meta", "--format", "json", cwd=huge))
    assert facts["subject"]["meta"] is False
    assert (
        "measured as it is, with memory: it was built before, or names a device of its own" in facts["subject"]["notes"]
    )


@pytest.mark.parametrize(("meta", "option"), [("meta = true", []), ("", ["--meta"])])
def test_what_takes_numbers_cannot_be_judged_and_is_no_pass(archcheck, huge, meta, option):
    (huge / "archcheck.toml").write_text(CONTRACT.format(meta=meta))
    run = archcheck("check", *option, "--format", "json", cwd=huge)
    (report,) = json.loads(run.stdout)["reports"]
    assert run.returncode == 2
    assert {one["rule"]: one["verdict"] for one in report["outcomes"]} == {
        "max-params": "kept",
        "log-probabilities": "error",
        "min-accuracy": "error",
    }
    said = [one["findings"][0]["message"] for one in report["outcomes"][1:]]
    assert said == ["this takes real numbers, and the model was built without memory"] * 2


def test_a_report_of_a_subject_takes_the_word_of_its_contract(archcheck, huge):
    (huge / "archcheck.toml").write_text(CONTRACT.format(meta="meta = true"))
    run = archcheck("report", "huge", cwd=huge)
    assert run.returncode == 0, run.stderr
    assert "built without memory" in run.stdout


def test_a_wrong_value_is_one_line(archcheck, huge):
    (huge / "archcheck.toml").write_text(CONTRACT.format(meta='meta = "yes"'))
    run = archcheck("check", cwd=huge)
    assert run.returncode == 2
    assert run.stderr.strip() == 'archcheck: error: archcheck.toml:4: "meta" must be true or false, found "yes"'


def test_what_is_remembered_with_memory_and_without_is_kept_apart(archcheck, huge):
    arguments = ("report", "huge.py:Huge", "--args", "width=4", "--format", "json")
    runs = [facts_of(archcheck(*arguments, *option, cwd=huge)) for option in ([], ["--meta"], [], ["--meta"])]
    assert [facts["subject"]["meta"] for facts in runs] == [False, True, False, True]
    assert runs[0]["subject"]["fingerprint"] == runs[1]["subject"]["fingerprint"]
