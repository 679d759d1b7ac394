import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.render import render
from archcheck.rules.findings import Finding, Report, Verdict
from tests.render.samples import failed, judged, outcome, plain_net, where

LINE = re.compile(r"(?:(?P<file>.+):(?P<line>\d+)|-): (?P<verdict>\w+) (?P<rule>\S+) (?P<subject>\S+): (?P<message>.+)")


def concise(*reports: Report) -> list[str]:
    return render(reports, "concise").splitlines()


def test_every_finding_and_every_outcome_without_one_is_a_line() -> None:
    found = [LINE.fullmatch(line) for line in concise(judged(), failed())]
    assert [(match["file"], match["line"], match["verdict"], match["rule"]) for match in found if match] == [
        ("model.py", "5", "kept", "requires"), ("model.py", "5", "broken", "max-params"),
        ("model.py", "9", "broken", "followed-by-2"), ("model.py", "18", "broken", "followed-by-2"),
        ("model.py", "27", "broken", "followed-by-2"), ("model.py", "5", "waived", "no-padding"),
        ("model.py", "5", "vacuous", "dropout-rate"), ("pyproject.toml", "63", "error", "min-accuracy"),
        (None, None, "error", "-"),
    ]  # fmt: skip


def test_findings_that_are_waived_stand_beside_those_that_are_not() -> None:
    open_one, accepted = Finding(message="a pads", where=where(3)), Finding(message="b pads", where=where(4))
    mixed = outcome("no-padding", Verdict.BROKEN, findings=(open_one,), waived=(accepted,), waiver="as published")
    assert concise(Report(subject="net", facts=plain_net(), outcomes=(mixed,))) == [
        "model.py:3: broken no-padding net: a pads",
        "model.py:4: waived no-padding net: b pads (waived: as published)",
    ]


def test_what_was_only_measured_is_one_line() -> None:
    assert concise(Report(subject="net", facts=plain_net())) == [
        "model.py:5: measured - net: 1,290 parameters, 13,760 multiply-accumulates on 1x1x8x8"
    ]


def test_a_rule_given_in_python_has_no_line_of_a_contract() -> None:
    nowhere = outcome("max-params", Verdict.ERROR, contract=where(0, ""), findings=(Finding(message="m"),))
    facts = replace(plain_net(), subject=replace(plain_net().subject, where=None))
    assert concise(Report(subject="net", facts=facts, outcomes=(nowhere,))) == ["-: error max-params net: m"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30) | st.sampled_from(["a\nb", "a\x1b[31mb", "a\u2028b"]))
def test_no_text_makes_a_second_line(text: str) -> None:
    finding = Finding(message=text, layer=text, where=where(3, f"a/{text}"))
    broken = outcome("no-padding", Verdict.BROKEN, findings=(finding,))
    (line,) = render((Report(subject=text, facts=plain_net(), outcomes=(broken,)),), "concise").splitlines()
    assert not re.search(r"[\x00-\x1f]", line)
