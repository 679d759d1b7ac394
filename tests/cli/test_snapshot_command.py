"""`archcheck snapshot` and `max-growth`, as a process: written, held to, grown, shrunk, damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from archcheck.cli import main, snapshot
from tests.support.cli_samples import environment, write
from tests.support.kills import WRITERS, killed_at_every_moment

NET = """
    from torch import nn

    class Net(nn.Sequential):
        def __init__(self, width=10):
            super().__init__(nn.Linear(10, width))

    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")
"""
CONTRACT = """
    [subjects.small]
    model = "net.py:Net"
    input = [1, 10]
    rules.max-growth = "5 %"

    [subjects.large]
    model = "net.py:Net"
    args = { width = 100 }
    input = [1, 10]
    rules.max-params = 2000
"""
FILE = "archcheck.snapshot.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path, net_py=NET, archcheck_toml=CONTRACT)
    return tmp_path


@pytest.fixture
def kept(archcheck, folder):
    """The folder with its snapshot."""
    run = archcheck("snapshot", cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"small: new\nlarge: new\nwritten to {FILE}; commit it\n"
    return folder


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def test_all_subjects_go_into_one_file_beside_the_contract(kept):
    document = json.loads((kept / FILE).read_text())
    assert list(document["subjects"]) == ["large", "small"]
    assert document["subjects"]["small"]["totals"]["params"] == 110
    assert document["subjects"]["large"]["layers"]["0"] == {
        "type": "Linear",
        "params": 1100,
        "macs": 1000,
        "outputs": ["1x100"],
    }


def test_written_again_it_is_the_same_to_the_byte(archcheck, kept):
    before = (kept / FILE).read_bytes()
    run = archcheck("snapshot", "small", "--no-cache", cwd=kept)
    assert run.stdout == f"small: nothing differs\nwritten to {FILE}; commit it\n"
    assert (kept / FILE).read_bytes() == before


def test_what_is_as_it_was_passes(archcheck, kept):
    run = archcheck("snapshot", "--check", cwd=kept)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"same     small: as in {FILE}\nsame     large: as in {FILE}\n"


def test_growth_fails_says_by_how_much_and_writes_nothing(archcheck, kept):
    before = (kept / FILE).read_bytes()
    edit(kept, "net.py", "width=10", "width=11")
    run = archcheck("snapshot", "--check", cwd=kept)
    assert run.returncode == 1
    first, params, macs, second, third = run.stdout.splitlines()
    assert first.startswith("grown    small: params 110 -> 121 (+11, +10.0 %); trainable 110 -> 121")
    assert params == "         params grew most in 0 (Linear): +11, built at net.py:6"
    assert macs == "         macs grew most in 0 (Linear): +10, built at net.py:6"
    assert second == f"         {FILE} is stale: undo that, or accept it with `archcheck snapshot small`"
    assert third == f"same     large: as in {FILE}"
    assert (kept / FILE).read_bytes() == before


def test_an_improvement_passes_and_asks_to_be_written(archcheck, kept):
    edit(kept, "net.py", "width=10", "width=9")
    run = archcheck("snapshot", "--check", "small", cwd=kept)
    assert run.returncode == 0
    assert run.stdout.startswith("smaller  small: params 110 -> 99 (-11, -10.0 %)")
    assert run.stdout.endswith(f"{FILE} is stale: write it again with `archcheck snapshot small`\n")


def test_another_structure_of_the_same_size_is_told(archcheck, kept):
    edit(kept, "net.py", "nn.Linear(10, width)", "nn.Linear(10, width), nn.Identity()")
    run = archcheck("snapshot", "--check", "small", cwd=kept)
    assert run.returncode == 0
    assert run.stdout.startswith("changed  small: 1 layer added\n")


def test_the_file_of_a_subject_may_be_its_own(archcheck, folder):
    (folder / "kept").mkdir()
    edit(folder, "archcheck.toml", "[subjects.small]", '[subjects.small]\nsnapshot = "kept/small.json"')
    run = archcheck("snapshot", cwd=folder)
    assert run.stdout.splitlines() == [
        "small: new",
        "written to kept/small.json; commit it",
        "large: new",
        f"written to {FILE}; commit it",
    ]
    assert list(json.loads((folder / FILE).read_text())["subjects"]) == ["large"]
    assert archcheck("check", "small", cwd=folder).returncode == 0


def test_contracts_of_one_folder_do_not_take_out_the_measures_of_each_other(archcheck, kept):
    before = (kept / FILE).read_bytes()
    write(kept, vision_toml=CONTRACT.replace("subjects.small", "subjects.seeing"))
    run = archcheck("snapshot", "seeing", "--config", "vision.toml", cwd=kept)
    assert run.stdout == "seeing: new\nwritten to vision.snapshot.json; commit it\n"
    checked = archcheck("snapshot", "--check", "seeing", "--config", "vision.toml", cwd=kept)
    assert checked.stdout == "same     seeing: as in vision.snapshot.json\n"
    assert archcheck("check", "seeing", "--config", "vision.toml", cwd=kept).returncode == 0
    assert (kept / FILE).read_bytes() == before


def test_a_name_of_two_words_is_one_in_the_command_that_is_shown(archcheck, folder):
    edit(folder, "archcheck.toml", "[subjects.small]", '[subjects."so small"]')
    assert archcheck("snapshot", "large", cwd=folder).returncode == 0
    run = archcheck("snapshot", "--check", "so small", cwd=folder)
    lacks, command = f'the snapshot file `{FILE}` has no entry for "so small"', "`archcheck snapshot 'so small'`"
    assert run.stderr == f"archcheck: error: {lacks}; write it with {command}\n"
    said = archcheck("check", "so small", cwd=folder).stdout
    assert f"{lacks}\n" in said
    assert f"write it with {command}, and commit {FILE}" in said


def test_a_folder_that_is_not_there_is_one_line(archcheck, folder):
    edit(folder, "archcheck.toml", "[subjects.small]", '[subjects.small]\nsnapshot = "kept/small.json"')
    run = archcheck("snapshot", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "archcheck: error: there is no folder kept for the snapshot; make it first\n"


def test_a_subject_that_left_the_contract_leaves_the_file(archcheck, kept):
    text = (kept / "archcheck.toml").read_text()
    (kept / "archcheck.toml").write_text(text[: text.index("[subjects.large]")])
    checked = archcheck("snapshot", "--check", cwd=kept)
    assert checked.returncode == 0
    assert f"gone     large: in {FILE}, not in the contract; `archcheck snapshot` takes it out" in checked.stdout
    assert "large" in (kept / FILE).read_text()
    assert "large: taken out" in archcheck("snapshot", cwd=kept).stdout
    assert "large" not in (kept / FILE).read_text()


def test_one_that_fails_keeps_its_old_measures_and_the_rest_are_written(archcheck, kept):
    edit(kept, "archcheck.toml", 'model = "net.py:Net"\nargs = { width = 100 }', 'model = "net.py:Broken"')
    edit(kept, "net.py", "width=10", "width=9")
    run = archcheck("snapshot", cwd=kept)
    assert run.returncode == 2
    assert "archcheck: error: large: " in run.stderr
    subjects = json.loads((kept / FILE).read_text())["subjects"]
    assert subjects["small"]["totals"]["params"] == 99
    assert subjects["large"]["totals"]["params"] == 1100
    assert archcheck("snapshot", "--check", cwd=kept).returncode == 2


def test_another_input_cannot_be_compared(archcheck, kept):
    edit(kept, "archcheck.toml", "input = [1, 10]\nrules.max-growth", "input = [2, 10]\nrules.max-growth")
    run = archcheck("snapshot", "--check", "small", cwd=kept)
    assert (run.returncode, run.stdout) == (2, "")
    assert "the snapshot was measured on an input of 1x10, the model on 2x10; write it again" in run.stderr


def test_a_subject_without_a_snapshot_cannot_be_checked(archcheck, folder):
    archcheck("snapshot", "large", cwd=folder)
    run = archcheck("snapshot", "--check", "small", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert (
        f'the snapshot file `{FILE}` has no entry for "small"; write it with `archcheck snapshot small`' in run.stderr
    )


BAD = {
    "another schema": (b'{"schema": 2, "subjects": {}}', "is a snapshot of schema 2, this archcheck reads schema 1"),
    "truncated": (b'{\n  "schema": 1,\n  "sub', "is damaged: not JSON at line 3"),
    "binary": (b"\x89PNG\r\n\x1a\n", "is not text"),
    "something else": (b'{"name": "x"}', 'is not a snapshot: it has no key "subjects"'),
    "missing": (None, "is missing"),
    "a folder": (b"", "is a folder"),
    "a pipe": (b"", "cannot be read: it is neither a file nor a folder"),
}


@pytest.fixture(params=list(BAD))
def bad(request, folder):
    """The folder with a snapshot that is none, and what is said of it."""
    content, says = BAD[request.param]
    if request.param == "a folder":
        (folder / FILE).mkdir()
    elif request.param == "a pipe":
        os.mkfifo(folder / FILE)
    elif content is not None:
        (folder / FILE).write_bytes(content)
    return folder, says


def test_a_bad_file_is_one_line(archcheck, bad):
    folder, says = bad
    run = archcheck("snapshot", "--check", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert says in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_bad_file_is_not_written_over(archcheck, bad):
    folder, says = bad
    run = archcheck("snapshot", cwd=folder)
    if says == "is missing":
        assert run.returncode == 0
        return
    assert run.returncode == 2
    assert says in run.stderr
    content = (folder / FILE).read_bytes() if (folder / FILE).is_file() else b""
    assert content in [content for content, _ in BAD.values()]


def test_with_a_bad_file_growth_cannot_be_judged_and_the_rest_can(archcheck, bad):
    folder, says = bad
    run = archcheck("check", cwd=folder)
    assert run.returncode == 2
    assert says in run.stdout
    assert "kept   max-params" in " ".join(run.stdout.split("  "))
    assert "Traceback" not in run.stderr


def test_the_gate_holds_growth_to_the_snapshot(archcheck, kept):
    assert archcheck("check", "small", cwd=kept).returncode == 0
    edit(kept, "net.py", "width=10", "width=11")
    run = archcheck("check", "small", cwd=kept)
    assert run.returncode == 1
    assert "params grew from 110 to 121 (+11, +10.0 %), limit 115 (+5 %)" in run.stdout
    assert "accept it with `archcheck snapshot small`" in run.stdout
    archcheck("snapshot", cwd=kept)
    assert archcheck("check", "small", cwd=kept).returncode == 0


def measured_once(monkeypatch, module):
    """Let a command measure in this process once, so that children which a test kills only write."""
    measure, known = module._measure, []

    def remembered(*arguments):
        if not known:
            known.append(measure(*arguments))
        return known[0]

    monkeypatch.setattr(module, "_measure", remembered)


def test_a_kill_at_any_moment_is_before_or_after_a_snapshot(kept, monkeypatch, capsys):
    monkeypatch.chdir(kept)
    measured_once(monkeypatch, snapshot)
    after = (kept / FILE).read_bytes()
    assert main(["snapshot"]) == 0
    edit(kept, FILE, '"params": 110', '"params": 109')
    before = (kept / FILE).read_bytes()
    seen, moments = set(), 0
    for moment in killed_at_every_moment(lambda: main(["snapshot"]), *WRITERS):
        moments = moment
        seen.add((kept / FILE).read_bytes())
        (kept / FILE).write_bytes(before)
    assert moments > 10
    assert seen == {before, after}
    assert (kept / FILE).read_bytes() == after
    assert sorted(each.name for each in kept.iterdir() if "snapshot" in each.name) == [FILE]


def test_snapshots_of_several_subjects_at_once_lose_none(archcheck, folder):
    command = [sys.executable, "-m", "archcheck", "snapshot"]
    running = [subprocess.Popen([*command, name], cwd=folder, env=environment()) for name in ("small", "large")]
    assert [each.wait(timeout=300) for each in running] == [0, 0]
    assert set(json.loads((folder / FILE).read_text())["subjects"]) == {"small", "large"}
