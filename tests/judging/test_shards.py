"""Shards of a run, and the whole that their reports make."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcheck.foundation.errors import ArchcheckError
from archcheck.judging.shards import MOST_SHARDS, Part, Shard, merge, read_part
from archcheck.render import render
from archcheck.rules.findings import MeasurementFailure, Outcome, Report, Verdict, reports_to_json

NAMES = ("a", "b", "c", "d", "e")


def report(name, verdict=Verdict.KEPT):
    return Report(
        subject=name,
        error=MeasurementFailure(kind="import", message="gone"),
        outcomes=(Outcome(rule="r", instance="r", verdict=verdict),),
    )


def part(index, count=2, names=NAMES, holds=None, file=None):
    shard = Shard(index=index, count=count, subjects=names)
    held = shard.share(names) if holds is None else holds
    return Part(file=file or f"{index}.json", reports=tuple(map(report, held)), shard=shard)


def whole(*names, file="whole.json"):
    return Part(file=file, reports=tuple(map(report, names)), shard=None)


def mistakes(*parts):
    with pytest.raises(ArchcheckError) as caught:
        merge(parts)
    return str(caught.value).splitlines()


@given(st.integers(0, 30), st.integers(1, 12))
def test_every_subject_is_in_one_shard(subjects, count):
    names = tuple(map(str, range(subjects)))
    shares = [Shard(index=index, count=count).share(names) for index in range(1, count + 1)]
    assert sorted((name for share in shares for name in share), key=int) == list(names)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.permutations(range(1, 4)), st.integers(0, 7))
def test_the_order_is_that_of_the_whole_run_whichever_part_is_named_first(order, subjects):
    names = tuple(map(str, range(subjects)))
    merged = merge([part(index, count=3, names=names) for index in order])
    assert tuple(each.subject for each in merged) == names


def test_reports_of_whole_runs_follow_one_another():
    assert [each.subject for each in merge([whole("c"), whole("a", "b", file="2.json")])] == ["c", "a", "b"]


def test_what_is_there_twice():
    assert mistakes(whole("a", "b"), whole("b", file="2.json")) == [
        'subject "b" is there 2 times: in "whole.json" and "2.json"; name each once'
    ]
    assert mistakes(part(1), part(1, file="again.json"), part(2))[0].startswith(
        'subject "a" is there 2 times: in "1.json" and "again.json"'
    )
    empty = [part(index, count=3, names=("a",)) for index in (1, 2, 2, 3)]
    assert mistakes(*empty) == ['shard 2/3 is there 2 times: in "2.json"; name each once']


def test_what_is_missing():
    assert mistakes(part(1, count=3)) == [
        "the report of shard 2/3 is missing; name it, too",
        "the report of shard 3/3 is missing; name it, too",
    ]
    assert mistakes(part(1, holds="ac"), part(2)) == ['1.json lacks "e" of shard 1/2; check that shard again']
    assert mistakes(part(1), part(2, holds="bdx")) == ['2.json holds "x", not of shard 2/2; check that shard again']


def test_of_many_that_are_missing_some_are_named_and_the_rest_is_counted():
    lines = mistakes(part(2, count=MOST_SHARDS))
    assert lines[:2] == [
        "the report of shard 1/1000000 is missing; name it, too",
        "the report of shard 3/1000000 is missing; name it, too",
    ]
    assert lines[10:] == ["999,989 more of 1,000,000 shards are missing, too"]


@pytest.mark.parametrize("count", [MOST_SHARDS + 1, 10**12, 10**99])
def test_a_number_of_shards_that_is_none_is_refused_before_anything_is_made_of_it(archcheck, tmp_path, count):
    (tmp_path / "part.json").write_text(json.dumps({**reports_to_json(()), "shard": {"index": 1, "count": count}}))
    done = archcheck("merge", tmp_path / "part.json")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"a run has at most 1,000,000 shards, found {count:,} at shard" in line


def test_what_does_not_belong_together():
    (line,) = mistakes(part(1), part(2, names=(*NAMES, "f")))
    assert line.startswith("2.json and 1.json are not of one run: shard 2/2 of 6 subjects and shard 1/2 of 5 subjects")
    (line,) = mistakes(part(1), part(2), whole("z"))
    assert line.startswith("whole.json and 1.json are not of one run: no shard and shard 1/2 of 5 subjects")
    (line,) = mistakes(part(1, names=("a",)), whole("z"))
    assert line.startswith("whole.json and 1.json are not of one run: no shard and shard 1/2 of 1 subject; ")


def test_a_part_survives_json():
    first = part(1)
    document = json.loads(render(first.reports, "json", shard=first.shard))
    assert read_part("1.json", document) == first
    assert read_part("w", reports_to_json(first.reports)).shard is None


@pytest.mark.parametrize(
    "shard",
    [3, {}, {"index": 0, "count": 2}, {"index": 3, "count": 2}, {"index": 1, "count": 2, "subjects": "ab"}, [1, 2]],
)
def test_a_shard_that_is_none_is_refused(shard):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages differ
        read_part("x", {"schema": 1, "reports": [], "shard": shard})


@pytest.fixture(scope="module")
def parts(archcheck, tmp_path_factory):
    """The reports of three shards of the project, whose subjects end with 0, 1 and 2."""
    files = [tmp_path_factory.mktemp("parts") / f"{index}.json" for index in (1, 2, 3)]
    codes = [
        archcheck("check", "--shard", f"{index}/3", "--format", "json", "--output", file).returncode
        for index, file in enumerate(files, 1)
    ]
    assert codes == [0, 1, 2]
    return files


def test_shards_of_a_run_make_the_report_of_the_run(archcheck, checked, project, parts):
    merged = archcheck("merge", *reversed(parts))
    assert merged.stdout == (project / "saved.json").read_text()
    assert merged.returncode == checked.returncode == 2
    assert "gone: " in merged.stderr


def test_a_merged_run_ends_as_its_worst_part(archcheck, parts, tmp_path):
    for index, code in ((0, 0), (1, 1)):
        document = json.loads(parts[index].read_text())
        del document["shard"]
        (tmp_path / f"{code}.json").write_text(json.dumps(document))
        assert archcheck("merge", tmp_path / f"{code}.json").returncode == code
    both = archcheck("merge", tmp_path / "0.json", tmp_path / "1.json", "--format", "text")
    assert both.returncode == 1
    assert "2 subjects, 4 rules: 1 kept, 1 broken, 1 waived, 1 vacuous\n" in both.stdout


def test_a_merge_is_written_to_a_file(archcheck, parts, project, tmp_path):
    merged = archcheck("merge", *parts, "--output", tmp_path / "all.json")
    assert merged.stdout == ""
    assert (tmp_path / "all.json").read_text() == (project / "saved.json").read_text()


def test_more_shards_than_subjects(archcheck, tmp_path):
    done = archcheck("check", "good", "--shard", "2/2", "--format", "json", "--output", tmp_path / "2.json")
    assert done.returncode == 0
    assert "shard 2/2 of 1 subject has nothing to judge" in done.stderr
    archcheck("check", "good", "--shard", "1/2", "--format", "json", "--output", tmp_path / "1.json")
    merged = archcheck("merge", tmp_path / "2.json", tmp_path / "1.json")
    assert merged.returncode == 0
    assert [each["subject"] for each in json.loads(merged.stdout)["reports"]] == ["good"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not JSON at line 1, column 2"),
        (b"\x00\xff\xfe", "is not text: byte 0xff at 1 is not UTF-8"),
        (b'{"schema": 99, "reports": []}', "a report of schema 99; this archcheck reads schema 1"),
        (b"[]", 'no key "reports"'),
        (b'{"schema": 1, "reports": [{"subject": "a"}]}', 'report of "a" must hold one of facts, weights and error'),
        (b'{"schema": 1, "reports": [], "shard": {"index": 5, "count": 2}}', "no shard 5 of 2"),
        (b"[" * 100_000, "nested too deeply"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_report_is_one_line(archcheck, tmp_path, content, says):
    file = tmp_path / "part.json"
    if content is not None:
        file.write_bytes(content)
    done = archcheck("merge", file)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"archcheck: error: {file}")
    assert re.search(says, line, re.IGNORECASE)


def test_a_missing_shard_is_one_line_and_no_report(archcheck, parts):
    done = archcheck("merge", parts[0], parts[2])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "archcheck: error: the report of shard 2/3 is missing; name it, too\n"


@pytest.mark.parametrize("word", ["3", "0/3", "4/3", "a/b", "1/0", "1/2/3", "-1/2", "1/999999999"])
def test_a_shard_is_two_numbers(archcheck, word):
    done = archcheck("check", f"--shard={word}")
    assert done.returncode == 2
    assert f'"{word}" is not a shard' in done.stderr
    assert "; write 1/4 for the first of four" in done.stderr
