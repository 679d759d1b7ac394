"""What the engine asks a worker for, and what it makes of the answers; the worker here is a list of what was asked."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import load
from archcheck.contract.specifications import InputSpec
from archcheck.facts import snapshot
from archcheck.facts.facts import Facts
from archcheck.facts.snapshot_measures import measures_of
from archcheck.facts.weight_files import Stored, Weights
from archcheck.foundation.errors import ArchcheckError, NotMeasured, SubjectError
from archcheck.foundation.json_codec import encode
from archcheck.foundation.source_place import Where
from archcheck.judging import engine
from archcheck.judging.engine import check, check_contract, check_entry, chosen_entries, measure, measure_subject
from archcheck.rules import MaxParams
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result, Verdict

CONTRACT = """
[subjects.plain]
model = "net.py:Net"
rules = { max-params = 5 }

[subjects.whole]
model = "net.py:Big"
input = [2, 3]
args = { width = 4 }
weights = "net.safetensors"
meta = true
timeout = 7.0
training = { train = "run.py:train", record = "record.json" }
rules = { max-params = { limit = 6, points = 2 }, log-probabilities = true, gradients-reach = { points = 1 } }

[subjects.empty]
model = "net.py:Net"
"""


class Asked:
    """Answers every request with the same, and remembers the requests."""

    def __init__(self, answer=None):
        self.answer = measure(nn.Linear(2, 2), example=torch.zeros(1, 2)).to_json() if answer is None else answer
        self.requests = []
        self.timeout = 120.0
        self.timeouts = []
        self.closed = False

    def ask(self, request, *, timeout=None):
        self.requests.append(request)
        self.timeouts.append(timeout)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        self.closed = True


@pytest.fixture
def contract(tmp_path):
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    return load(tmp_path / "archcheck.toml")


def test_a_subject_is_asked_for_as_its_contract_states_it(contract, tmp_path):
    worker = Asked()
    measure_subject(worker, contract, replace(contract.subject("whole"), unsafe=True))
    assert worker.requests == [
        {
            "do": "measure",
            "name": "whole",
            "target": "net.py:Big",
            "root": str(tmp_path),
            "input": encode(contract.subject("whole").input),
            "args": {"width": 4},
            "meta": True,
            "weights": "net.safetensors",
            "unsafe": True,
            "needs": ["gradients-reach", "log-probabilities"],
            "training": encode(contract.subject("whole").training),
        }
    ]
    assert worker.timeouts == [7.0]
    assert worker.requests[0]["training"]["train"] == "run.py:train"


def test_the_method_and_the_input_of_training_are_asked_for(contract):
    worker = Asked()
    spec = InputSpec(shape=(4, 3))
    given = {"input": {"x": spec, "index": 0}, "training_input": {"batch": (spec,)}, "call": "training_step"}
    measure_subject(worker, contract, replace(contract.subject("plain"), **given))
    (request,) = worker.requests
    asked = {key: request[key] for key in ("input", "training-input", "call")}
    table = {"shape": [4, 3], "dtype": None, "low": None, "high": None}
    assert json.loads(json.dumps(asked)) == {
        "input": {"x": table, "index": 0},
        "training-input": {"batch": [table]},
        "call": "training_step",
    }


def test_a_subject_of_which_nothing_is_said_is_asked_for_without(contract):
    worker = Asked()
    measure_subject(worker, contract, contract.subject("plain"), needs=["trial"])
    (request,) = worker.requests
    assert {key: request[key] for key in ("input", "args", "meta", "weights", "unsafe", "needs", "training")} == {
        "input": None,
        "args": {},
        "meta": False,
        "weights": None,
        "unsafe": False,
        "needs": ["trial"],
        "training": None,
    }
    assert worker.timeouts == [None]


def test_all_subjects_are_judged_in_their_order_by_the_one_worker(contract):
    worker = Asked()
    reports = list(check_contract(contract, worker=worker))
    assert [report.subject for report in reports] == ["plain", "whole", "empty"]
    assert [outcome.verdict for outcome in reports[0].outcomes] == [Verdict.BROKEN], reports[0].outcomes
    assert [request["name"] for request in worker.requests] == ["plain", "whole"]
    assert not worker.closed


def test_a_worker_of_ones_own_is_closed_at_the_end(contract, monkeypatch):
    made = []
    monkeypatch.setattr(engine, "Worker", lambda: made.append(Asked()) or made[-1])
    assert [report.subject for report in check_contract(contract, ["plain"])] == ["plain"]
    assert [worker.closed for worker in made] == [True]


def test_named_subjects_are_judged_once_each_in_the_order_of_the_names(contract):
    worker = Asked()
    named = check_contract(contract, ["whole", "plain", "whole"], worker=worker)
    assert [report.subject for report in named] == ["whole", "plain"]
    assert chosen_entries(contract, ["empty"]) == (contract.subject("empty"),)
    assert chosen_entries(contract) == contract.subjects
    with pytest.raises(ArchcheckError, match="wole"):
        chosen_entries(contract, ["wole"])


def test_what_is_needed_on_top_of_the_rules_is_passed_on(contract):
    worker = Asked()
    check_entry(worker, contract, contract.subject("plain"), needs=("field",))
    assert worker.requests[0]["needs"] == ["field"]


def test_a_subject_without_rules_is_an_error_and_nothing_is_asked(contract):
    worker = Asked()
    report = check_entry(worker, contract, contract.subject("empty"))
    assert (report.subject, report.error.kind, worker.requests) == ("empty", "no-rules", [])
    assert report.facts is None


def test_a_subject_that_cannot_be_measured_is_an_error_of_its_kind_and_earns_nothing(contract):
    report = check_entry(Asked(SubjectError("forward", "it broke")), contract, contract.subject("whole"))
    assert (report.subject, report.error.kind, report.error.message) == ("whole", "forward", "it broke")
    assert (report.outcomes, report.points, report.earned) == ((), 3, 0)


def test_a_subject_is_judged_by_all_its_rules_with_its_points(contract):
    report = check_entry(Asked(), contract, contract.subject("whole"))
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.KEPT, Verdict.ERROR, Verdict.ERROR]
    assert (report.subject, report.points, report.earned) == ("whole", 3, 2)
    assert report.facts.params.total == 6


@pytest.mark.parametrize(
    ("answer", "call", "says"),
    [
        (
            {"schema": 1},
            lambda worker: engine.measure_target(worker, "net.py:Net"),
            "what was measured is not a report: ",
        ),
        (
            {"file": 3},
            lambda worker: engine.measure_weights(worker, "a.pt"),
            "what was read is not a list of tensors: ",
        ),
    ],
)
def test_an_answer_that_is_none_is_said_to_be_so(answer, call, says):
    with pytest.raises(SubjectError) as caught:
        call(Asked(answer))
    assert caught.value.kind == "internal"
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith("; try `--no-cache`")
    assert "None" not in str(caught.value)


def test_targets_that_no_contract_names_are_asked_for_below_the_current_folder(tmp_path):
    here = {"root": str(tmp_path)}
    with contextlib.chdir(tmp_path):
        worker = Asked()
        facts = engine.measure_target(worker, "net.py:Net", meta=True, needs=["field"])
        assert (facts.params.total, worker.timeouts) == (6, [None])
        asked = {"do": "measure", "target": "net.py:Net", **here, "meta": True, "needs": ["field"]}
        assert worker.requests == [asked]
        weights = Weights(
            file="a.pt",
            format="pickle",
            tensors=(Stored(name="w", shape=(2,), dtype="float32", bytes=8),),
            bytes=8,
            bytes_by_dtype={"float32": 8},
        )
        worker = Asked(encode(weights))
        assert engine.measure_weights(worker, "a.pt") == weights
        assert worker.requests == [{"do": "weights", "target": "a.pt", **here}]
        worker = Asked(["net.py:Net", "net.py:Big"])
        assert engine.find_models(worker, "net.py") == ("net.py:Net", "net.py:Big")
        assert worker.requests == [{"do": "find", "target": "net.py", **here, "careful": True}]


def test_texts_are_read_from_the_folder_of_the_contract_and_shown_as_from_here(tmp_path):
    (tmp_path / "README.md").write_text("6 parameters")
    rules = '[subjects.a]\nmodel = "net.py:Net"\n'
    claim = "rules = { claim = [{ file = 'README.md', pattern = '(\\d+) parameters', fact = 'params.total' }] }\n"
    (tmp_path / "archcheck.toml").write_text(rules + claim + '[subjects.b]\nmodel = "net.py:Net"\n')
    stated = load(tmp_path / "archcheck.toml")
    (tmp_path / "below").mkdir()
    with contextlib.chdir(tmp_path / "below"):
        facts = measure_subject(Asked(), stated, stated.subject("a"))
    assert facts.texts.subjects == ("a", "b")
    assert list(facts.texts.files) == ["README.md"]
    read = facts.texts.files["README.md"]
    assert (read.content, read.shown) == ("6 parameters", "../README.md")


def test_the_committed_measures_are_read_where_a_rule_needs_them(tmp_path):
    text = '[subjects.a]\nmodel = "net.py:Net"\nrules = { max-growth = 0 }\n[subjects.b]\nmodel = "net.py:Net"\n'
    (tmp_path / "archcheck.toml").write_text(text)
    stated = load(tmp_path / "archcheck.toml")
    with contextlib.chdir(tmp_path):
        facts = measure_subject(Asked(), stated, stated.subject("a"))
        none = measure_subject(Asked(), stated, stated.subject("b"))
        asked_for = measure_subject(Asked(), stated, stated.subject("b"), needs=[snapshot.NEED])
    assert none.snapshot is None
    assert facts.snapshot.file == asked_for.snapshot.file == "archcheck.snapshot.json"
    assert "the snapshot file `archcheck.snapshot.json` is missing" in facts.snapshot.problem


def test_the_committed_measures_are_those_of_the_subject(tmp_path):
    text = '[subjects.a]\nmodel = "net.py:Net"\nrules = { max-growth = 0 }\n'
    (tmp_path / "archcheck.toml").write_text(text)
    small = measure(nn.Linear(1, 1), example=torch.zeros(1, 1))
    measures = {
        "a": encode(measures_of(small)),
        "b": encode(measures_of(measure(nn.Linear(9, 9), example=torch.zeros(1, 9)))),
    }
    (tmp_path / "archcheck.snapshot.json").write_text(json.dumps({"schema": 1, "subjects": measures}))
    stated = load(tmp_path / "archcheck.toml")
    assert measure_subject(Asked(), stated, stated.subject("a")).snapshot.measures == measures_of(small)


def test_the_waivers_of_a_subject_are_its_own(tmp_path):
    subject = '[subjects.{}]\nmodel = "net.py:Net"\nrules = {{ max-params = 5 }}\n'
    waiver = 'waivers = [{ rule = "max-params", reason = "so" }]\n'
    (tmp_path / "archcheck.toml").write_text(subject.format("a") + waiver + subject.format("b"))
    reports = check_contract(load(tmp_path / "archcheck.toml"), worker=Asked())
    assert [report.outcomes[0].verdict for report in reports] == [Verdict.WAIVED, Verdict.BROKEN]


def test_nothing_that_was_checked_breaks_nothing():
    assert engine.exit_code([]) == 0


# --- judging in this process ----------------------------------------------------------------------------------------


class Refuses(Rule):
    """Says where a fact should come from."""

    def check(self, facts: Facts) -> Result:
        raise NotMeasured("not known", where=Where(file="net.py", line=4), fix="measure it")


class Breaks(Rule):
    """Finds something and tells all about it."""

    def check(self, facts: Facts) -> Result:
        finding = Finding(message="too much")
        figures = {"found": 2, "limit": 1, "unit": "things", "kept": "2 things"}
        return Result(examined=3, findings=(finding,), most=("a",), notes=("b",), **figures)


class Keeps(Rule):
    """Finds nothing, and says what it has seen."""

    def check(self, facts: Facts) -> Result:
        return Result(examined=1, kept="all is well")


def test_an_outcome_tells_all_that_the_rule_and_its_result_say():
    report = check(nn.Linear(2, 2), example=torch.zeros(1, 2), rules=[Breaks(because="so", points=2), Keeps()])
    broken, kept = report.outcomes
    assert (broken.rule, broken.instance, broken.verdict) == ("breaks", "breaks", Verdict.BROKEN)
    assert (broken.found, broken.limit, broken.unit) == (2, 1, "things")
    assert (broken.most, broken.notes, broken.because, broken.points) == (("a",), ("b",), "so", 2)
    assert (broken.kept, broken.contract) == (None, None)
    assert (kept.kept, kept.contract, kept.findings) == ("all is well", None, ())


def test_where_a_missing_fact_should_come_from_is_told():
    (outcome,) = check(nn.Linear(2, 2), example=torch.zeros(1, 2), rules=[Refuses()]).outcomes
    assert outcome.findings == (Finding(message="not known", where=Where(file="net.py", line=4), fix="measure it"),)
    assert (outcome.verdict, outcome.kept, outcome.contract) == (Verdict.ERROR, None, None)


def test_where_a_rule_is_stated_is_told_if_it_is_stated_anywhere(contract):
    report = check_entry(Asked(), contract, contract.subject("plain"))
    assert report.outcomes[0].contract.line == 4


def test_a_model_goes_by_its_class_or_by_the_name_that_it_is_given():
    rules = [MaxParams(limit=6)]
    assert check(nn.Linear(2, 2), example=torch.zeros(1, 2), rules=rules).subject == "Linear"
    named = check(nn.Linear(2, 2), example=torch.zeros(1, 2), rules=iter(rules), name="mine")
    assert (named.subject, named.facts.subject.name, len(named.outcomes)) == ("mine", "mine", 1)


class ReadsValues(nn.Module):
    """Takes its second branch only for values that a pass by shapes alone does not have."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        out = torch.zeros(2, 3)
        out[:, 0] = self.layer(x)[:, 0] + 5
        return self.layer(x) if out.sum() > 0 else x


def test_what_is_measured_and_judged_is_confirmed_by_a_real_pass():
    example = torch.zeros(2, 3)
    judged = check(ReadsValues(), example=example, rules=[MaxParams(limit=12)]).facts
    for facts in (judged, measure(ReadsValues(), example=example)):
        assert facts.subject.notes == ("measured on real tensors: shapes alone were not enough",)
