"""Whatever a saved report holds, `report`, `diff` and `merge` read it as what it says, or refuse it in one line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.cli import main
from archcheck.cli.commands import read_reports
from archcheck.foundation.errors import ArchcheckError
from archcheck.judging.shards import Shard
from archcheck.render import render
from tests.render.samples import failed, judged
from tests.support.fuzzing import examples
from tests.support.json_mutations import DAMAGE, REFUSED, changed, is_one_line, nested, written

SAMPLE = (judged(), failed())
SHARD = Shard(index=1, count=1, subjects=tuple(report.subject for report in SAMPLE))
TEXT = render(SAMPLE, "json", shard=SHARD)
UNREADABLE = [*DAMAGE.values(), *(lambda content, n=number: written({"n": n}) for number in REFUSED)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    (folder / "good.json").write_text(TEXT)
    return folder / "r.json"


def run(*words: str | Path) -> tuple[int, str, list[str]]:
    """Return the exit code of a command in this process, and what it wrote."""
    with pytest.MonkeyPatch.context() as patch:
        out, errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", errors)
        code = main([str(word) for word in words])
    out.seek(0)
    return code, out.read(), errors.getvalue().splitlines()


def agrees(read: Any, stands: Any) -> bool:
    """Whether what was read is what stands in the file, type by type; a key that is not there has its default."""
    if isinstance(read, dict):
        known = [key for key in read if key in stands] if isinstance(stands, dict) else None
        return known is not None and all(agrees(read[key], stands[key]) for key in known if key != "totals")
    if isinstance(read, list):
        return isinstance(stands, list) and len(read) == len(stands) and all(map(agrees, read, stands))
    whole = type(read) is float and type(stands) is int
    return (whole or type(read) is type(stands)) and bool(read == (float(stands) if whole else stands))


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_any_change_is_refused_or_read_as_what_it_says(file: Path, data: st.DataObject) -> None:
    document = changed(data, json.loads(TEXT))
    file.write_bytes(written(document))
    reports, said = (), ""
    try:
        reports = read_reports(file)
    except ArchcheckError as error:
        said = str(error)
    if not reports:
        assert is_one_line(said, str(file), "archcheck check --format json")
        return
    assert (type(document["schema"]), document["schema"]) == (int, 1)
    assert agrees([report.to_json() for report in reports], document["reports"])


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.sampled_from(["text", "markdown", "json"]))
def test_every_command_ends_in_order(file: Path, data: st.DataObject, shown: str) -> None:
    file.write_bytes(written(changed(data, json.loads(TEXT))))
    good = file.with_name("good.json")
    for words, codes in (
        (("report", file), {0, 2}),
        (("diff", good, file), {0, 2}),
        (("diff", file, good), {0, 2}),
        (("merge", file), {0, 1, 2}),
    ):
        code, out, errors = run(*words, "--format", shown)
        assert code in codes
        assert out or code == 2
        assert errors or code < 2 or "error" in out or "could not be measured" in out
        assert all(line.startswith(("archcheck: error: ", "archcheck: note: ")) for line in errors)


@pytest.mark.parametrize(("depth", "codes"), [(90, (0, 0)), (120, (2, 2)), (450, (2, 2))])
def test_what_is_nested_is_shown_or_refused(file: Path, depth: int, codes: tuple[int, int]) -> None:
    document = json.loads(TEXT)
    document["reports"][0]["outcomes"][0] |= {"found": nested(depth), "limit": nested(depth)}
    file.write_bytes(written(document))
    for shown in ("text", "concise", "json", "markdown", "github", "sarif"):
        assert (run("report", file, "--format", shown)[0], run("diff", file, file)[0]) == codes


@pytest.mark.parametrize("command", [["report"], ["merge"], ["diff", "good.json"]])
def test_a_damaged_file_is_one_line_and_exit_code_two(file: Path, command: list[str]) -> None:
    words = [str(file.with_name(word)) if word.endswith(".json") else word for word in command]
    for damage in UNREADABLE:
        file.write_bytes(damage(TEXT.encode()))
        code, out, said = run(*words, file)
        (error,) = (line for line in said if not line.startswith("archcheck: note: "))
        assert (code, out) == (2, "")
        assert error.startswith("archcheck: error: ")
        assert is_one_line(error, file.name, "archcheck check --format json")


@pytest.mark.parametrize("schema", [True, 1.0, "1", None, [1], 2])
def test_another_schema_is_refused(file: Path, schema: object) -> None:
    file.write_bytes(written({**json.loads(TEXT), "schema": schema}))
    with pytest.raises(ArchcheckError, match=r"a report of schema .*; this archcheck reads schema 1; "):
        read_reports(file)


def test_a_wrong_value_is_refused_with_its_place(file: Path) -> None:
    document = json.loads(TEXT)
    document["reports"][0]["facts"]["ops"][1]["index"] = True
    file.write_bytes(written(document))
    with pytest.raises(ArchcheckError, match=r"expected int, found True at reports\[0\]\.facts\.ops\[1\]\.index; "):
        read_reports(file)


@pytest.mark.parametrize("command", [["report"], ["merge"], ["diff", "good.json"]])
@pytest.mark.parametrize("holds", ["nothing", "facts and an error"])
def test_a_report_holds_either_facts_or_why_there_are_none(file: Path, command: list[str], holds: str) -> None:
    document = json.loads(TEXT)
    measured, unmeasured = document["reports"]
    if holds == "nothing":
        del unmeasured["error"]
    else:
        unmeasured["facts"] = measured["facts"]
    file.write_bytes(written(document))
    code, out, said = run(*(file.with_name(word) if word.endswith(".json") else word for word in command), file)
    (error,) = (line for line in said if not line.startswith("archcheck: note: "))
    assert (code, out) == (2, "")
    assert is_one_line(error, file.name, "must hold one of facts, weights and error")


@pytest.mark.parametrize("name", ["points", "earned"])
@pytest.mark.parametrize("value", [1e308, -1e308, 10**99])
def test_points_that_cannot_be_summed_up_are_refused(file: Path, name: str, value: float) -> None:
    document = json.loads(TEXT)
    for holder in (document["reports"][0], document["reports"][0]["outcomes"][0]):
        before, holder[name] = holder[name], value
        file.write_bytes(written(document))
        with pytest.raises(ArchcheckError, match=rf"`{name}` must be at most 1,000,000,000.*, found "):
            read_reports(file)
        holder[name] = before


@pytest.mark.parametrize("length", [10**12, 10**99])
def test_a_graph_of_a_length_that_is_none_is_refused_before_anything_is_made_of_it(file: Path, length: int) -> None:
    document = json.loads(TEXT)
    document["reports"][0]["facts"]["train_length"] = length
    file.write_bytes(written(document))
    with pytest.raises(ArchcheckError, match=r"the operations of a graph are not numbered from 0 on; "):
        read_reports(file)


@pytest.mark.parametrize(
    "words",
    [["--input", "1,2"], ["--args", "a=1"], ["--weights", "w.pt"], ["--paranoid"], ["--meta"], ["--cross-check"]],
)
def test_an_option_that_would_do_nothing_is_refused(file: Path, words: list[str]) -> None:
    good = file.with_name("good.json")
    assert run("report", good, "--depth", "1")[0] == 0
    code, out, (error,) = run("report", good, *words)
    assert (code, out) == (2, "")
    assert error.startswith(f"archcheck: error: {words[0]} needs the model itself, and {good} is a saved report; ")


def test_an_empty_target_is_one_line() -> None:
    code, out, (error,) = run("report", " ")
    assert (code, out) == (2, "")
    assert error.startswith("archcheck: error: the target is empty; name a file")
