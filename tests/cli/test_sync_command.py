"""`archcheck sync`, `synced` and badges, as a process: written, kept, stale, with mistakes."""

from __future__ import annotations

import json
import os

import pytest

from archcheck.cli import main, sync
from tests.cli.test_snapshot_command import measured_once
from tests.support.cli_samples import write
from tests.support.kills import WRITERS, killed_at_every_moment

NET = """
    from torch import nn

    class Net(nn.Sequential):
        def __init__(self, width=10):
            super().__init__(nn.Linear(10, width), nn.Tanh(), nn.Dropout(0.1))

    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")
"""
CONTRACT = """
    [subjects.small]
    model = "net.py:Net"
    input = [1, 10]
    rules.synced = "README.md"

    [subjects.large]
    model = "net.py:Net"
    args = { width = 100 }
    input = [1, 10]
    rules.max-params = 2000

    [subjects.failing]
    model = "net.py:Broken"
    input = [1, 10]
    rules.max-params = 2000
"""
README = """# Net

<!-- archcheck: small -->
| measure | value |
|---|---|
| parameters | 100 |
<!-- /archcheck -->

It drops <!-- archcheck: small dropout --><!-- /archcheck -->, and
<!-- archcheck: large params.total -->1,100<!-- /archcheck --> are in the large one.

```html
<!-- archcheck: nobody -->
```
"""
SYNCED = README.replace(
    "| parameters | 100 |",
    "| parameters | 110 |\n| multiply-accumulates | 100 on 1x10 |\n| activations | 120 bytes at the peak |",
).replace("dropout -->", "dropout -->0.1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path, net_py=NET, archcheck_toml=CONTRACT)
    (tmp_path / "README.md").write_bytes(README.encode())
    return tmp_path


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def test_what_is_stale_is_written_and_told(archcheck, folder):
    run = archcheck("sync", "README.md", cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [
        "README.md:3: small: parameters 100 -> 110; multiply-accumulates nothing -> 100 on 1x10; "
        "activations nothing -> 120 bytes at the peak",
        "README.md:9: small dropout: nothing -> 0.1",
    ]
    assert (folder / "README.md").read_bytes() == SYNCED.encode()


def test_a_text_that_is_as_measured_is_not_written(archcheck, folder):
    (folder / "README.md").write_bytes(SYNCED.encode())
    os.utime(folder / "README.md", (1, 1))
    for arguments in (["sync"], ["sync", "--check"], ["sync", "README.md", "small"]):
        run = archcheck(*arguments, cwd=folder)
        places = 2 if "small" in arguments else 3
        assert (run.returncode, run.stdout) == (0, f"same     README.md: {places} places between markers as measured\n")
    assert (folder / "README.md").stat().st_mtime == 1


def test_check_writes_nothing_and_fails_when_something_is_stale(archcheck, folder):
    run = archcheck("sync", "--check", cwd=folder)
    assert run.returncode == 1
    assert "README.md:9: small dropout: nothing -> 0.1\n" in run.stdout
    assert run.stdout.endswith("stale    README.md: `archcheck sync README.md` updates it\n")
    assert (folder / "README.md").read_bytes() == README.encode()


def test_only_the_named_subjects_are_measured_and_written(archcheck, folder):
    edit(folder, "README.md", "1,100<", "1<")
    run = archcheck("sync", "README.md", "large", cwd=folder)
    assert run.stdout == "README.md:10: large params.total: 1 -> 1,100\n"
    assert (folder / "README.md").read_text() == README


def test_the_gate_breaks_when_a_text_is_stale_and_remembers_no_text(archcheck, folder):
    edit(folder, "README.md", "| parameters | 100 |", "| parameters | 90 |")
    broken = archcheck("check", "small", "--format", "concise", cwd=folder)
    assert broken.returncode == 1
    assert broken.stdout == (
        "README.md:3: broken synced small: the table of small in README.md is stale: parameters 90 -> 110; "
        "multiply-accumulates nothing -> 100 on 1x10; activations nothing -> 120 bytes at the peak\n"
        "README.md:9: broken synced small: README.md says nothing for small dropout, which is 0.1\n"
    )
    (folder / "README.md").write_text(SYNCED)
    kept = archcheck("check", "small", cwd=folder)
    assert kept.stdout.startswith("kept     synced  small: 2 places between markers as measured\n")
    (folder / "README.md").write_text(SYNCED.replace("1,100", "1"))
    assert archcheck("check", "small", cwd=folder).returncode == 0  # of `large`, whose rules say nothing of it
    (folder / "README.md").write_text("# Net\n")
    assert archcheck("check", "small", cwd=folder).stdout.startswith("vacuous")
    (folder / "README.md").unlink()
    missing = archcheck("check", "small", "--format", "concise", cwd=folder)
    assert missing.returncode == 2
    assert missing.stdout == "README.md:1: error synced small: there is no file README.md\n"


def test_reports_do_not_hold_the_texts(archcheck, folder):
    (folder / "README.md").write_text(SYNCED + "a secret\n")
    run = archcheck("check", "small", "--format", "json", cwd=folder)
    assert run.returncode == 0
    assert "texts" not in json.loads(run.stdout)["reports"][0]["facts"]
    assert "a secret" not in run.stdout


MISTAKES = {
    "unclosed": ("0.1\n<!-- archcheck: small -->\n", ":2: \"<!-- archcheck: small -->\" is not closed; put <!--"),
    "stray": ("a\n\n<!-- /archcheck -->\n", ":3: <!-- /archcheck --> closes nothing; "),
    "unknown": ("<!-- archcheck: smal --><!-- /archcheck -->", ':1: "smal" is not a subject; did you mean "small"?\n'),
    "no figure": (
        "a\n<!-- archcheck: small params.totl --><!-- /archcheck -->",
        ':2: "params.totl" is not a figure; did you mean "params.total"?\n',
    ),
    "no record": (
        "<!-- archcheck: small training.accuracy --><!-- /archcheck -->", ":1: there is no record of a training run"
    ),
    "not utf-8": (b"\xff", ":1: README.md is not text: byte 0xff at 0 is not UTF-8; "),
    "no markers": ("nothing\n", " has no markers; write <!-- archcheck: small --> and <!-- /archcheck --> into it"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(archcheck, folder, name):
    content, says = MISTAKES[name]
    content = content if isinstance(content, bytes) else content.encode()
    (folder / "README.md").write_bytes(content)
    (folder / "other.md").write_text(README)
    run = archcheck("sync", "other.md", "README.md", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"archcheck: error: README.md{says}")
    assert run.stderr.count("\n") == 1
    assert (folder / "README.md").read_bytes() == content
    assert (folder / "other.md").read_text() == README


def test_words_that_name_nothing(archcheck, folder):
    run = archcheck("sync", "REDME.md", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith('archcheck: error: "REDME.md" is neither a file nor a subject; the contract has ')
    large = archcheck("sync", "large", cwd=folder)
    assert large.returncode == 2
    assert "name a text, such as README.md, or state `synced = " in large.stderr
    failing = archcheck("sync", "README.md", "failing", cwd=folder)
    assert failing.stderr.startswith('archcheck: error: README.md has no markers of "failing"; write <!-- archcheck: f')
    assert archcheck("sync", ".", cwd=folder).returncode == 2


def test_a_subject_that_fails_is_one_line_and_nothing_is_written(archcheck, folder):
    edit(folder, "README.md", "large params.total", "failing params.total")
    before = (folder / "README.md").read_bytes()
    run = archcheck("sync", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert "archcheck: error: failing: " in run.stderr
    assert (folder / "README.md").read_bytes() == before


def test_badges_are_written_kept_and_taken_away(archcheck, folder):
    run = archcheck("sync", "--badges", "badges", "small", cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[0] == "badges/small-parameters.json: nothing -> 110"
    assert json.loads((folder / "badges/small-parameters.json").read_text()) == {
        "schemaVersion": 1,
        "label": "parameters",
        "message": "110",
        "color": "blue",
    }
    messages = {file.name: json.loads(file.read_text())["message"] for file in (folder / "badges").iterdir()}
    assert messages == {
        "small-parameters.json": "110",
        "small-multiply-accumulates.json": "100",
        "small-activation-memory.json": "120 bytes",
    }
    assert (folder / "README.md").read_text() == README
    assert archcheck("sync", "--check", "--badges", "badges", "small", cwd=folder).returncode == 0
    edit(folder, "net.py", "width=10", "width=11")
    (folder / "badges/small-test-accuracy.json").write_text("{}")
    stale = archcheck("sync", "--check", "--badges", "badges", "small", cwd=folder)
    assert stale.returncode == 1
    assert "badges/small-parameters.json: 110 -> 121\n" in stale.stdout
    assert "badges/small-test-accuracy.json: something else -> nothing\n" in stale.stdout
    assert archcheck("sync", "--badges", "badges", "small", cwd=folder).returncode == 0
    assert not (folder / "badges/small-test-accuracy.json").exists()


def test_what_is_no_file_is_neither_read_nor_written_over(archcheck, folder):
    (folder / "badges").mkdir()
    for name, words in {"README.md": ["README.md"], "badges/small-parameters.json": ["--badges", "badges"]}.items():
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
        run = archcheck("sync", *words, *([] if name in words else ["small"]), cwd=folder)
        assert (run.returncode, run.stdout) == (2, "")
        assert f"{name} cannot be read: it is neither" in run.stderr or f"cannot write {name}: it is" in run.stderr
        assert run.stderr.count("\n") == 1
    assert [file.name for file in (folder / "badges").iterdir()] == ["small-parameters.json"]


def test_a_stale_badge_says_what_writes_it(archcheck, folder):
    run = archcheck("sync", "--badges", "badges", "small", "--check", cwd=folder)
    assert run.returncode == 1
    stale = "stale    badges/small-parameters.json: `archcheck sync --badges badges` updates it"
    assert stale in run.stdout.splitlines()


def test_badges_go_into_a_folder(archcheck, folder):
    for name in ("README.md", "a/b"):
        run = archcheck("sync", "--badges", name, cwd=folder)
        assert (run.returncode, run.stdout) == (2, "")
        assert "is not a folder; name one, or a new one in a folder that exists" in run.stderr


def test_a_line_of_windows_stays_one(archcheck, folder):
    (folder / "README.md").write_bytes(README.replace("\n", "\r\n").encode())
    assert archcheck("sync", cwd=folder).returncode == 0
    assert (folder / "README.md").read_bytes() == SYNCED.replace("\n", "\r\n").encode()


def test_a_kill_at_any_moment_is_before_or_after_a_sync(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    measured_once(monkeypatch, sync)
    assert main(["sync", "README.md"]) == 0
    before, after = README.encode(), (folder / "README.md").read_bytes()
    (folder / "README.md").write_bytes(before)
    seen, moments = set(), 0
    for moment in killed_at_every_moment(lambda: main(["sync", "README.md"]), *WRITERS):
        moments = moment
        seen.add((folder / "README.md").read_bytes())
        (folder / "README.md").write_bytes(before)
    assert moments > 10
    assert seen == {before, after}
    assert (folder / "README.md").read_bytes() == after
    assert not [each.name for each in folder.iterdir() if each.suffix in (".partial", ".lock")]


def test_what_was_edited_while_it_was_measured_is_left_alone(folder, monkeypatch, capsys):
    edited = README + "a new line\n"

    def slow(*arguments):
        (folder / "README.md").write_text(edited)
        return measure(*arguments)

    measure = sync._measure
    monkeypatch.setattr(sync, "_measure", slow)
    monkeypatch.chdir(folder)
    assert main(["sync", "README.md"]) == 2
    assert capsys.readouterr().err == (
        "archcheck: error: README.md was edited while it was measured, and is left alone; sync once more\n"
    )
    assert (folder / "README.md").read_text() == edited


def test_a_plot_is_drawn_where_there_is_an_accuracy_and_points_need_one(archcheck, folder):
    assert archcheck("sync", "--point", "697:99.0", cwd=folder).stderr == (
        "archcheck: error: --point draws into a plot; add --plot FILE\n"
    )
    for word in ("x", "0:99", "697:100.1", "697"):
        assert (
            f'"{word}" is no point; write its parameters and percent, such as 697:99.0'
            in archcheck("sync", "--plot", "a.svg", "--point", word, cwd=folder).stderr
        )
    assert "no subject has a training record" in archcheck("sync", "small", "--plot", "a.svg", cwd=folder).stderr
    assert not (folder / "a.svg").exists()
