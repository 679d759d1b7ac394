"""`claim`: numbers in plain text against what was measured."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archcheck.contract import Stated, load
from archcheck.facts.facts import Training
from archcheck.foundation import regular_expressions
from archcheck.foundation.errors import ContractError, NotMeasured
from archcheck.foundation.quantities import short
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text, Texts
from archcheck.judging.engine import judge, measure
from archcheck.rules import Claim
from archcheck.rules.findings import Verdict

SMALL = measure(
    nn.Sequential(nn.Linear(10, 10), nn.Dropout(0.1), nn.Linear(10, 10), nn.Dropout(0.2)), example=torch.zeros(1, 10)
)
"""220 parameters, 200 multiply-accumulates, 880 bytes, rates 0.1 and 0.2."""
RUNS = [
    {"seed": seed, "epochs": [{}] * 3, "test": {"correct": correct, "total": 1000}}
    for seed, correct in enumerate((991, 992))
]
RECORD = {
    "schema": 1,
    "runs": RUNS,
    "checkpoint": {"seed": 0},
    "recipe": {"rate": 0.003, "sizes": [128, 5e-05], "name": "A"},
}
TRAINED = Training(record_file="record.json", record=RECORD, mismatches=())


def facts_of(content: str | None, base=SMALL, training=TRAINED):
    text = Text(
        shown="README.md", content=content, problem=None if content is not None else "there is no file README.md"
    )
    return replace(base, texts=Texts(files={"README.md": text}), training=training)


def claim(pattern=r"([\d,.]+\w*(?: ?%)?)", fact="params.total", **more):
    return Claim(file="README.md", pattern=pattern, fact=fact, **more)


def messages(content, **fields):
    return [finding.message for finding in claim(**fields).check(facts_of(content)).findings]


@pytest.mark.parametrize(
    ("stated", "fact", "holds"),
    [
        ("220", "params.total", True), ("219", "params.total", False), ("220.", "params.total", True),
        ("0.22k", "params.total", True), ("0.2k", "params.total", True), ("0.3k", "params.total", False),
        ("0.23k", "params.total", False), ("220 params", "params.total", True), ("0.0002M", "params.total", True),
        ("880", "params.bytes", True), ("880 B", "params.bytes", True), ("0.88 kB", "params.bytes", True),
        ("0.86 KiB", "params.bytes", True), ("0.9 KiB", "params.bytes", True), ("0.8 KiB", "params.bytes", False),
        ("200", "cost.macs", True), ("0.2 kMACs", "cost.macs", True), ("20", "cost.activations", True),
        ("99.15 %", "training.accuracy", True), ("99.15%", "training.accuracy", True),
        ("99.15", "training.accuracy", True), ("0.9915", "training.accuracy", True),
        ("0.992", "training.accuracy", True), ("99.2 %", "training.accuracy", True),
        ("99.16 %", "training.accuracy", False), ("99.43", "training.accuracy", False),
        ("2", "training.seeds", True), ("3", "training.seeds", False), ("3", "training.epochs", True),
        ("0.003", "training.record.recipe.rate", True), ("3", "training.record.recipe.rate", False),
        ("128", "training.record.recipe.sizes.0", True), ("0.00005", "training.record.recipe.sizes.1", True),
        ("0.1", "dropout", False), ("0.2", "dropout", False),
    ],
)  # fmt: skip
def test_a_number_holds_when_it_is_the_measured_one_as_written(stated, fact, holds):
    assert (messages(f"It is {stated}", pattern=r"It is (.*)", fact=fact) == []) is holds


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("13,086", "13,086"), ("13\u00a0086", "13,086"), ("13\u202f086", "13,086"), ("~13k", "13k"),
        ("\u2248 13.1k", "13.1k"), ("13_086", "13_086"), ("13086,", "13086"), ("13,086\nor so", "13,086 or so"),
    ],
)  # fmt: skip
def test_thousands_and_human_units_are_understood(content, shown):
    facts = facts_of(f"It has {content} parameters.", base=replace(SMALL, params=replace(SMALL.params, total=13_086)))
    assert (claim(pattern=r"has ([^a-z]*k?) parameters").check(facts).findings == ()) is ("or" not in shown)
    wrong = replace(facts, params=replace(SMALL.params, total=26_000))
    (finding,) = claim(pattern=r"has ([^@]*) parameters").check(wrong).findings
    if "or" in shown:
        assert finding.message == f'README.md says "{shown}", which is not a number that params.total could be'
    else:
        assert finding.message == f"README.md says {shown}, and params.total is 26,000"


def test_what_stands_directly_behind_the_group_belongs_to_the_number():
    assert messages("about 0.22k parameters", pattern=r"about ([\d.]+)") == []
    assert messages("an accuracy of 99.2 %", pattern=r"of ([\d.]+)", fact="training.accuracy") == []
    assert messages("220 MB", pattern=r"(\d+) MB") == []


@pytest.mark.parametrize(
    ("stated", "tolerance", "holds"),
    [
        ("220", "0 %", True), ("0.2k", "0 %", False), ("0.2k", "10 %", True), ("0.2k", "9 %", False),
        ("231", 0.05, True), ("209", 0.05, True), ("232", 0.05, False), ("208", 0.05, False),
    ],
)  # fmt: skip
def test_a_tolerance_replaces_the_rounding(stated, tolerance, holds):
    from archcheck.testing import rule_of

    line = f"claim = {{ file = 'README.md', pattern = '(.+)', fact = 'params.total', tolerance = {tolerance!r} }}"
    assert (not rule_of(line, Claim).check(facts_of(stated)).findings) is holds


def test_every_match_is_held_and_every_mismatch_is_told_at_its_line():
    content = "220 parameters\n\n221 parameters, 222\u00a0parameters\r\n0.2k parameters"
    result = claim(pattern=r"(\S+)\sparameters").check(facts_of(content))
    assert [(finding.message, str(finding.where)) for finding in result.findings] == [
        ("README.md says 221, and params.total is 220", "README.md:3"),
        ("README.md says 222, and params.total is 220", "README.md:3"),
    ]
    assert result.findings[0].fix == "write 220, or mend the model"
    assert (result.examined, result.found, result.limit) == (4, ["220", "221", "222", "0.2k"], "220")


@pytest.mark.parametrize("content", ["", "nothing of it"])
def test_a_pattern_that_finds_nothing_breaks_the_rule(content):
    (finding,) = claim(pattern=r"(\d+) parameters").check(facts_of(content)).findings
    assert finding.message == r'nothing in README.md matches "(\\d+) parameters"'
    assert (str(finding.where), finding.fix) == (
        "README.md:1",
        "write the figure there, or change the pattern of claim",
    )
    assert not claim(pattern=r"(\d+) parameters", allow_empty=True).check(facts_of(content)).findings


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("it has many parameters", r"has (\w+) parameters"), ("13,220 parameters", r"(\d+) parameters"),
        ("1.220 parameters", r"(\d+) parameters"), ("no parameters", r"(\d+)?no parameters"), ("220 dB", r"(220 dB)"),
        ("0.2205k", r"(.+)"), ("9" * 60, r"(.+)"), ("-220", r"(.+)"), ("٢٢٠", r"(.+)"),
    ],
)  # fmt: skip
def test_what_is_no_number_or_only_a_part_of_one_breaks_the_rule(content, pattern):
    (message,) = messages(content, pattern=pattern)
    assert "which is not a number that params.total could be" in message or message.startswith(
        "README.md says 0.2205k,"
    )


def test_all_rates_of_dropout_are_held_and_none_is_none():
    same = measure(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.Dropout(0.1)), example=torch.zeros(1, 4))
    rule = claim(pattern=r"dropout (\S+)", fact="dropout")
    assert not rule.check(facts_of("dropout 0.1, dropout 10%", base=same)).findings
    (both,) = rule.check(facts_of("dropout 0.1")).findings
    assert both.message == "README.md says 0.1, and dropout is 0.1, 0.2"
    (none,) = rule.check(facts_of("dropout 0.1", base=measure(nn.Linear(4, 4), example=torch.zeros(1, 4)))).findings
    assert (none.message, none.fix) == ("README.md says 0.1, and dropout is none", "take 0.1 away, or mend the model")


@pytest.mark.parametrize(
    ("fact", "training", "says"),
    [
        ("training.accuracy", None, "the training record was not read"),
        (
            "training.accuracy",
            Training(record_file="r.json", record=None, mismatches=()),
            "there is no record `r.json`",
        ),
        ("training.epochs", replace(TRAINED, mismatches=("the record is of another model",)), "proves nothing"),
        ("training.accuracy", replace(TRAINED, record={**RECORD, "runs": RUNS[:1] * 2}), "holds a seed twice"),
        (
            "training.accuracy",
            replace(TRAINED, record={**RECORD, "runs": [{**RUNS[0], "selected": "best"}]}),
            "chosen by",
        ),
        ("training.accuracy", replace(TRAINED, correct=900, total=1000), "the checkpoint gives 900 of 1,000 correct"),
        ("training.correct", TRAINED, "no checkpoint was evaluated"),
        ("training.record.recipe.rates", TRAINED, 'the record has no "recipe.rates"'),
        ("training.record.recipe.sizes.2", TRAINED, "the record has no"),
        ("training.record.recipe.name", TRAINED, '"training.record.recipe.name" is no number'),
    ],
)
def test_what_is_not_known_is_an_error(fact, training, says):
    facts = facts_of("1", training=training)
    with pytest.raises(NotMeasured) as caught:
        claim(fact=fact).check(facts)
    assert says in str(caught.value)
    (outcome,) = judge(facts, [Stated(rule=claim(fact=fact), instance="claim", where=Where(file="", line=0))])
    assert outcome.verdict is Verdict.ERROR


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(NotMeasured, match=r"^there is no file README.md$") as caught:
        claim().check(facts_of(None))
    assert str(caught.value.where) == "README.md:1"
    with pytest.raises(NotMeasured, match=r'"README.md" was not read; judge through a contract'):
        claim().check(SMALL)


def test_only_a_figure_of_the_training_needs_the_record():
    assert claim(fact="params.total").needs == ()
    assert claim(fact="training.accuracy").needs == claim(fact="training.record.recipe.rate").needs == ("training",)


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_the_measured_number_itself_holds_however_it_is_written(total):
    facts = facts_of(
        f"{total:,} {total} {short(total, 'parameters')}",
        base=replace(SMALL, params=replace(SMALL.params, total=total)),
    )
    assert not claim(pattern=r"(\S+)", tolerance=0.0).check(facts).findings
    near = replace(facts, params=replace(SMALL.params, total=total + 1))
    assert len(claim(pattern=r"(\S+)", tolerance=0.0).check(near).findings) == 3


CONTRACT = """[subjects.net]
model = "model.py:Net"
input = [1, 4]
[subjects.net.rules]
claim = [
  {{ file = "README.md", pattern = '(\\d+)', fact = "params.total" }},
  {{ {second} }},
]
"""


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (
            "file = 'R.md', pattern = '(.)', fact = 'params.totl'",
            '"params.totl" is not a figure; did you mean "params.total"?',
        ),
        (
            "file = 'R.md', pattern = '(.)', fact = 'zzz'",
            '"zzz" is not a figure; figures are params.total, params.trainable,',
        ),
        ("file = 'R.md', pattern = '(.)', fact = 'training.record.'", '"training.record." is not a figure'),
        ("file = 'R.md', pattern = '(', fact = 'params.total'", "`pattern` is not a regular expression: missing )"),
        ("file = 'R.md', pattern = '1', fact = 'params.total'", "`pattern` needs one group, the number, found 0"),
        ("file = 'R.md', pattern = '(.)(.)', fact = 'params.total'", "`pattern` needs one group, the number, found 2"),
        ("file = ' ', pattern = '(.)', fact = 'params.total'", "`file` must not be empty"),
        ("file = 'R.md', pattern = '(.)'", "give one of `fact`, `bytes-of` and `proof`"),
        ("file = 'R.md', pattern = '(.)', fact = 'params.total', tolerance = -0.1", "`tolerance` must be at least 0"),
        ("file = 'R.md', pattern = '(.)', fact = 'params.total', tolerance = '5 kB'", '"tolerance" must be'),
        ("file = 'R.md', pattern = '(.)', fact = 'params.total', on = 'fc'", "`on` narrows nothing here"),
    ],
)
def test_a_mistake_in_a_contract_is_told_at_its_line(second, says, tmp_path):
    (tmp_path / "archcheck.toml").write_text(CONTRACT.format(second=second))
    with pytest.raises(ContractError) as caught:
        load(tmp_path / "archcheck.toml")
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.line == 7


SEED = """# MNIST
The network has 13,086 parameters.
With its ~15k parameters it is small. Dropout 0.008 is used.

Recipe B: dropout 0.1, batch 128.
"""


def test_the_contradictions_of_a_text_are_told_each_at_its_line(tmp_path, archcheck):
    """The README that made the flagship known says 13,086 and about 15k parameters, dropout 0.008 and 0.1."""
    root = Path(__file__).parents[2]
    (tmp_path / "reference_models").symlink_to(root / "reference_models")
    (tmp_path / "README.md").write_text(SEED)
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.mnist]\nmodel = "reference_models/mnist/model.py:Net"\ninput = [1, 1, 28, 28]\n'
        "[subjects.mnist.rules]\nclaim = [\n"
        """  { file = "README.md", pattern = '([\\d,.]+k?) parameters', fact = "params.total", tolerance = "0 %" },\n"""
        """  { file = "README.md", pattern = '[Dd]ropout ([\\d.]+)', fact = "dropout" },\n]\n"""
    )
    done = archcheck("check", "--format", "concise", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "README.md:3: broken claim-1 mnist: README.md says 15k, and params.total is 13,086",
        "README.md:5: broken claim-2 mnist: README.md says 0.1, and dropout is 0.008",
    ]
    (tmp_path / "README.md").write_text(SEED.replace("~15k", "~13.1k").replace("dropout 0.1", "dropout 0.008"))
    rounded = archcheck("check", "--format", "concise", cwd=tmp_path).stdout.splitlines()
    assert rounded[0] == "README.md:3: broken claim-1 mnist: README.md says 13.1k, and params.total is 13,086"
    assert "kept claim-2" in rounded[1]
    (tmp_path / "README.md").write_text(SEED.replace("~15k", "13.086k").replace("dropout 0.1", "dropout 0.008"))
    assert archcheck("check", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("stated", "correct", "holds"),
    [
        ("1", 1000, True), ("1.0", 1000, True), ("100", 1000, True), ("99", 1000, False), ("1.5", 15, True),
        ("0.015", 15, True), ("0.15", 15, False), ("1", 10, False),
    ],
)  # fmt: skip
def test_what_is_above_one_is_a_percentage_of_an_accuracy(stated, correct, holds):
    runs = [{"seed": 0, "epochs": [{}], "test": {"correct": correct, "total": 1000}}]
    training = replace(TRAINED, record={**RECORD, "runs": runs})
    rule = claim(pattern=r"It is (.*)", fact="training.accuracy")
    assert (not rule.check(facts_of(f"It is {stated}", training=training)).findings) is holds


ENDLESS = r"(?:a+)+(\d)"


@pytest.mark.parametrize(
    ("pattern", "content", "says"),
    [
        (ENDLESS, "a" * 60, "was still being matched after 0.5 s in README.md"),
        (r"(?:.*.*)*x(\d)", "b" * 60, "was still being matched after 0.5 s in README.md"),
        (r"()", "b" * 10_001, "matches more than 10,000 places in README.md"),
    ],
)
def test_a_pattern_that_does_not_come_to_an_end_is_an_error_of_its_rule_alone(pattern, content, says):
    facts = facts_of(content + " 220 parameters")
    facts = replace(facts, texts=replace(facts.texts, limit=0.5))
    stated = [claim(pattern=pattern), claim(pattern=r"(\d+) parameters")]
    where = Where(file="c.toml", line=1)
    outcomes = judge(facts, [Stated(rule=rule, instance=f"claim-{at}", where=where) for at, rule in enumerate(stated)])
    assert [each.verdict for each in outcomes] == [Verdict.ERROR, Verdict.KEPT]
    shown = pattern.replace("\\", "\\\\")
    assert outcomes[0].headline == f'error claim-0: the pattern "{shown}" of claim {says}'


@pytest.mark.skipif(sys.platform != "linux", reason="other systems hold no process to a size")
def test_a_pattern_that_takes_all_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(
        regular_expressions, "_CODE", regular_expressions._CODE.replace(str(regular_expressions.LARGEST), str(1 << 28))
    )
    with pytest.raises(NotMeasured, match=r"could not be matched: the process for it ended with exit code"):
        claim(pattern=r"(?:(?:a|b)(?:a|b)?)*(\d)").check(facts_of("ab" * 2_000_000))
