"""The plugin through pytest itself. Verdicts are made up by a stub here; the process tests measure for real."""

import xml.etree.ElementTree as ElementTree

import pytest

CONTRACT = """
    [subjects.net]
    model = "net.py:Net"
    [subjects.net.rules]
    max-params = { limit = 10, because = "the budget" }
    requires = "dropout"
    forbids = "dropout"
    no-padding = true
    head = "linear"
    no-unused-params = true
    followed-by = [{ layer = "conv", by = "norm" }, { layer = "linear", by = "relu" }]

    [subjects.gone]
    model = "gone.py:Net"
    rules.head = "linear"
"""

STUB = """
    import archcheck.judging.engine
    from archcheck.rules.findings import Finding, MeasurementFailure, Outcome, Report, Verdict

    VERDICTS = {
        "max-params": dict(verdict=Verdict.BROKEN, found=12, limit=10, unit="parameters",
                           findings=(Finding(message="12 parameters, limit 10"),)),
        "no-padding": dict(verdict=Verdict.WAIVED, waiver="agreed", waived=(Finding(message="it pads"),)),
        "head": dict(verdict=Verdict.VACUOUS),
        "no-unused-params": dict(verdict=Verdict.ERROR, findings=(Finding(message="nobody looked"),)),
    }

    def check_subject(worker, contract, entry, *, needs):
        with open("measured.txt", "a") as log:
            log.write(entry.name + "\\n")
        if entry.name == "gone":
            gone = MeasurementFailure(kind="not-found", message="there is no file `gone.py`")
            return Report(subject="gone", error=gone)
        return Report(subject=entry.name, outcomes=tuple(
            Outcome(rule=stated.instance, instance=stated.instance, because=stated.rule.because,
                    contract=stated.where, **VERDICTS.get(stated.instance, dict(verdict=Verdict.KEPT)))
            for stated in entry.rules
        ))

    archcheck.judging.engine.check_subject = check_subject
"""

IDS = [
    f"archcheck.toml::{name}"
    for name in (
        "net::max-params",
        "net::requires",
        "net::forbids",
        "net::no-padding",
        "net::head",
        "net::no-unused-params",
        "net::followed-by-1",
        "net::followed-by-2",
        "gone::head",
    )
]


@pytest.fixture
def project(pytester):
    (pytester.path / ".git").mkdir()
    pytester.makefile(".toml", archcheck=CONTRACT)
    pytester.makeconftest(STUB)
    pytester.makepyfile(test_other="def test_other(): pass")
    return pytester


def run(project, *arguments):
    return project.runpytest_subprocess("--archcheck", *arguments)


def collected(result):
    return [line for line in result.outlines if "::" in line and " " not in line]


def measured(project):
    log = project.path / "measured.txt"
    return log.read_text().split() if log.exists() else []


def test_without_the_option_nothing_is_collected(project):
    assert collected(project.runpytest_subprocess("--collect-only", "-q")) == ["test_other.py::test_other"]


def test_every_rule_is_a_test_and_collecting_measures_nothing(project):
    result = run(project, "--collect-only", "-q")
    assert collected(result) == [*IDS, "test_other.py::test_other"]
    assert measured(project) == []


def test_verdicts_become_outcomes(project):
    result = run(project, "-v")
    result.assert_outcomes(passed=5, failed=3, xfailed=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for name, word in zip(
        IDS,
        ("FAILED", "PASSED", "PASSED", "XFAIL (agreed)", "FAILED", "FAILED", "PASSED", "PASSED", "ERROR"),
        strict=True,
    ):
        result.stdout.fnmatch_lines([f"{name} {word.replace('(', '[(]')}*"])


def test_a_failure_shows_the_anatomy_and_no_source(project):
    result = run(project, "-k", "max-params")
    result.stdout.fnmatch_lines(
        [
            "broken   max-params  net: 12 parameters, limit 10",
            '*why *"the budget"',
            "*fix *archcheck.toml:4",
            "*more *archcheck explain max-params",
            "FAILED archcheck.toml::net::max-params - broken: 12 parameters, limit 10",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin*")
    result.stdout.no_fnmatch_line("*1 rule*")


def test_a_subject_that_cannot_be_measured_is_an_error_in_one_line(project):
    result = run(project, "-k", "gone")
    result.assert_outcomes(errors=1, deselected=9)
    result.stdout.fnmatch_lines(
        ["gone: there is no file `gone.py`", "ERROR archcheck.toml::gone::head - there is no file `gone.py`"]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin*")


def test_vacuous_rules_and_rules_that_could_not_be_judged_say_so(project):
    run(project, "-k", "head or unused").stdout.fnmatch_lines(
        ["vacuous *head *nothing for this rule to look at", "error *no-unused-params *nobody looked"]
    )


def test_a_subject_is_measured_once_for_all_its_rules(project):
    run(project)
    assert measured(project) == ["net", "gone"]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (["-k", "max-params"], [IDS[0]]),
        (["-k", "net and followed-by"], IDS[6:8]),
        (["-m", "archcheck"], IDS),
        (["-m", "not archcheck"], ["test_other.py::test_other"]),
        ([IDS[1]], [IDS[1]]),
        (["archcheck.toml::net"], IDS[:8]),
        (["test_other.py"], ["test_other.py::test_other", *IDS]),
        (["archcheck.toml"], IDS),
        (["."], [*IDS, "test_other.py::test_other"]),
        pytest.param(
            [".", "archcheck.toml"],
            [*IDS, "test_other.py::test_other"],
            marks=pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest lost tests of the folder"),
        ),
    ],
)
def test_selections(project, selection, names):
    assert collected(run(project, "--collect-only", "-q", "--strict-markers", *selection)) == names


def test_the_contract_is_added_to_testpaths(project):
    project.makeini("[pytest]\ntestpaths = tests")
    project.mkdir("tests").joinpath("test_inner.py").write_text("def test_inner(): pass")
    assert collected(run(project, "--collect-only", "-q")) == ["tests/test_inner.py::test_inner", *IDS]


def test_last_failed_runs_only_what_failed(project):
    run(project)
    again = run(project, "--lf", "--collect-only", "-q")
    assert collected(again) == [IDS[0], IDS[4], IDS[5], IDS[8]]


def test_in_parallel_the_outcomes_are_the_same(project):
    pytest.importorskip("xdist")
    result = run(project, "-n", "2")
    result.assert_outcomes(passed=5, failed=3, xfailed=1, errors=1)
    result.stdout.fnmatch_lines(["broken   max-params  net: 12 parameters, limit 10", "*- broken: 12 parameters*"])
    assert set(measured(project)) == {"net", "gone"}


VERDICTS = {
    "max-params": {"found": "12", "limit": "10", "unit": "parameters", "verdict": "broken"},
    "requires": {"verdict": "kept"},
    "no-padding": {"verdict": "waived"},
    "head": {"verdict": "vacuous"},
    "no-unused-params": {"verdict": "error"},
}


@pytest.mark.parametrize("parallel", [[], ["-n", "2"]], ids=["alone", "parallel"])
def test_the_xml_report_carries_the_figures_and_every_verdict(project, parallel):
    run(project, "--junitxml=report.xml", *parallel)
    assert {name: _properties(project, name) for name in VERDICTS} == VERDICTS
    # What could not be measured has a verdict, too: that of a subject whose every rule is an error.
    assert _properties(project, "head", subject="gone") == {"verdict": "error"}


@pytest.mark.parametrize("parallel", [[], ["-n", "2"]], ids=["alone", "parallel"])
def test_the_xml_report_points_at_the_contract(project, parallel):
    run(project, "--junitxml=report.xml", "-o", "junit_family=xunit1", *parallel)
    case = _case(project, "max-params")
    assert (case.get("classname"), case.get("file")) == ("archcheck.toml.net", "archcheck.toml")
    assert case.get("line") == "3"  # pytest counts from 0
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "broken: 12 parameters, limit 10"
    assert [each.tag for each in _case(project, "no-padding")][-1] == "skipped"


def _case(project, name, subject="net"):
    tree = ElementTree.parse(project.path / "report.xml")
    cases = [case for case in tree.iter("testcase") if case.get("name") == name]
    return next(case for case in cases if case.get("classname") == f"archcheck.toml.{subject}")


def _properties(project, name, subject="net"):
    return {each.get("name"): each.get("value") for each in _case(project, name, subject).iter("property")}


def test_a_waiver_may_be_set_aside(project):
    result = run(project, "--runxfail", "-k", "no-padding")
    result.assert_outcomes(failed=1, deselected=9)
    result.stdout.fnmatch_lines(["waived *no-padding *it pads*agreed*"])


def test_a_contract_with_mistakes_is_a_collection_error_with_all_of_them(project):
    project.makefile(".toml", archcheck="[subjects.net]\nmodel = 3\nrules.max-parms = 1\n")
    result = run(project)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["archcheck.toml:2: *", 'archcheck.toml:3: *did you mean "max-params"?'])
    result.stdout.no_fnmatch_line("*pytest_plugin*")


def test_without_a_contract_the_option_is_a_mistake(pytester):
    (pytester.path / ".git").mkdir()
    result = pytester.runpytest_subprocess("--archcheck")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: archcheck: no contract in *"])


def test_a_named_contract_that_does_not_exist_is_a_mistake(project):
    result = run(project, "--archcheck-config", "other.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: archcheck: the contract other.toml does not exist"])


def test_a_contract_outside_of_the_root_folder(project):
    inner = project.mkdir("inner")
    inner.joinpath("pytest.ini").write_text("[pytest]")
    inner.joinpath("test_inner.py").write_text("def test_inner(): pass")
    result = run(project, "-c", "inner/pytest.ini", "inner", "--collect-only", "-q")
    assert f"rootdir: {inner}" in str(run(project, "-c", "inner/pytest.ini", "inner", "--collect-only").stdout)
    assert [line.rpartition("::")[2] for line in collected(result)] == [
        "test_inner", *(name.rpartition("::")[2] for name in IDS)
    ]  # fmt: skip


def test_a_contract_below_the_root_folder(project):
    project.mkdir("sub").joinpath("other.toml").write_text('[subjects.one]\nmodel = "net.py"\nrules.no-padding = true')
    assert collected(run(project, "--archcheck-config", "sub/other.toml", "--collect-only", "-q")) == [
        "sub/other.toml::one::no-padding",
        "test_other.py::test_other",
    ]


def test_a_contract_that_pytest_ignores_has_not_passed(project):
    result = run(project, "--ignore=archcheck.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: archcheck: *archcheck.toml is in a place that pytest ignores*"])


def test_the_plugin_can_be_blocked(project):
    result = project.runpytest_subprocess("-p", "no:archcheck", "--collect-only", "-q")
    assert collected(result) == ["test_other.py::test_other"]


def test_a_subject_without_rules_is_an_error_beside_others(pytester):
    pytester.makefile(".toml", archcheck='[subjects.bare]\nmodel = "net.py:Net"\n')
    pytester.makepyfile("def test_it():\n    pass")
    result = pytester.runpytest("--archcheck")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*`bare` at *archcheck.toml:1 has no rules, so nothing is promised; state some*"])
    result.assert_outcomes(errors=1)
