import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.render import render
from archcheck.render.wording import one_line
from archcheck.rules.findings import Finding, MeasurementFailure, Report, Verdict
from tests.render.samples import CONTRACT, failed, judged, kept, outcome, plain_net, where


def github(*reports: Report, **options: object) -> str:
    return render(reports, "github", **options)


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Read a command as the runner does."""
    match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert match
    properties = dict(part.split("=", 1) for part in match[2].split(","))
    return match[1], {name: unescape(value) for name, value in properties.items()}, unescape(match[3])


def unescape(value: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%25", "%")):
        value = value.replace(code, character)
    return value


def broken(*findings: Finding, **values: object) -> Report:
    return Report(
        subject="net", facts=plain_net(), outcomes=(outcome("no-padding", Verdict.BROKEN, findings=findings, **values),)
    )


def places(report: Report) -> list[tuple[str, str]]:
    commands = [read(line)[1] for line in github(report).splitlines()]
    return [(command["file"], command["line"]) for command in commands]


def test_nothing_is_said_when_all_is_kept() -> None:
    assert github(kept()) == ""


def test_every_failing_verdict_and_every_mishap_is_an_error() -> None:
    commands = [read(line) for line in github(judged(), failed()).splitlines()]
    assert {level for level, _, _ in commands} == {"error"}
    titles = [properties["title"] for _, properties, _ in commands]
    assert titles == [
        "broken max-params (net)", "broken followed-by-2 (net)", "vacuous dropout-rate (net)",
        "error min-accuracy (net)", "archcheck: lost", *["broken followed-by-2 (net)"] * 2,
    ]  # fmt: skip


def test_the_place_is_the_finding_s_then_its_layer_s_then_the_subject_s_then_the_contract_s() -> None:
    own = Finding(message="m", layer="fc", where=where(99))
    of_layer = Finding(message="m", layer="fc")
    of_subject = Finding(message="m", layer="gone")
    assert places(broken(own, of_layer, of_subject)) == [("model.py", "99"), ("model.py", "14"), ("model.py", "5")]
    nowhere = replace(broken(of_layer, contract=where(60, CONTRACT)), facts=None)
    assert places(nowhere) == [(CONTRACT, "60")]


def test_without_any_place_there_is_no_file() -> None:
    assert set(read(github(replace(broken(Finding(message="m")), facts=None)).strip())[1]) == {"title"}


def test_files_are_seen_from_the_root_of_the_repository() -> None:
    report = broken(Finding(message="m", where=where(3, "src/model.py")))
    assert read(github(report, base="course/a,b").strip())[1]["file"] == "course/a,b/src/model.py"


def test_nine_are_shown_and_the_rest_is_counted() -> None:
    many = [Finding(message=f"finding {number}", layer="fc") for number in range(18)]
    assert len(github(broken(*many[:9])).splitlines()) == 9
    lines = github(broken(*many)).splitlines()
    assert len(lines) == 10
    level, _, message = read(lines[-1])
    assert (level, message.split(";")[0]) == ("notice", "9 more")


def test_the_same_at_the_same_place_is_said_once() -> None:
    here, there = (Finding(message="m", where=where(line)) for line in (3, 4))
    assert len(github(broken(here, there, here)).splitlines()) == 2


def test_every_broken_rule_comes_before_any_comes_twice() -> None:
    many = broken(*(Finding(message=f"finding {number}", layer="fc") for number in range(30)))
    assert "(last)" in github(many, replace(many, subject="last")).splitlines()[1]


def test_the_message_has_what_why_and_how_to_mend_it() -> None:
    finding = Finding(message="100 % wrong", layer="fc", fix="mend fc")
    report = broken(finding, because="a, b: c", contract=where(60, CONTRACT))
    _, _, message = read(github(report).strip())
    assert message.split("\n") == [
        "100 % wrong", "where: fc (Linear)", "why: a, b: c", "fix: mend fc; no-padding stands at pyproject.toml:60",
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=30)
    | st.sampled_from(["a\n::error::b", "x,line=1", "::stop-commands::t", "%0A::error::", "a:b%2Cc"])
)
def test_no_text_can_make_a_command_of_its_own(text: str) -> None:
    finding = Finding(message=text, layer=text, where=where(3, f"a/{text}"), fix=text)
    report = replace(broken(finding, because=text), subject=text)
    lost = Report(subject=text, error=MeasurementFailure(kind="import", message=text))
    lines = github(report, lost).removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert not re.search(r"[\x00-\x1f]", "".join(lines))
    level, properties, message = read(lines[0])
    assert (level, set(properties), properties["line"]) == ("error", {"file", "line", "title"}, "3")
    assert properties["title"] == f"broken no-padding ({one_line(text)})"
    assert message.startswith(one_line(text))
