"""The command line as a process: what goes where, and with which exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import unicodedata

import pytest

from tests.support.cli_samples import environment, write

ESCAPE = "\x1b["


def test_check_judges_every_subject_and_says_on_standard_error_which_could_not_be_measured(checked, saved):
    assert checked.returncode == 2
    assert checked.stdout == ""
    assert "archcheck: error: gone: " in checked.stderr
    assert "Traceback" not in checked.stderr
    verdicts = {name: [one["verdict"] for one in report["outcomes"]] for name, report in saved.items()}
    assert verdicts == {"good": ["kept", "waived"], "bad": ["broken", "vacuous"], "gone": []}
    assert saved["gone"]["error"]["kind"] == "not-found"
    assert saved["good"]["facts"]["params"]["total"] == 106


def test_what_the_subject_prints_stays_off_the_report(archcheck):
    run = archcheck("check", "good", "--format", "json")
    assert run.returncode == 0
    assert json.loads(run.stdout)["schema"] == 1
    assert "the subject prints" in run.stderr


def test_a_broken_rule_is_exit_code_1_with_its_anatomy(archcheck):
    run = archcheck("check", "bad")
    assert run.returncode == 1
    assert "106 parameters, limit 100" in run.stdout
    assert "the budget" in run.stdout
    assert "archcheck explain max-params" in run.stdout
    assert "Conv2d  " not in run.stdout.partition("broken")[0]  # the gate leaves the facts out


def test_report_shows_every_model_of_a_file_with_its_subjects_and_is_no_gate(archcheck):
    run = archcheck("report", "networks.py", "--format", "json")
    reports = {report["subject"]: report for report in json.loads(run.stdout)["reports"]}
    assert run.returncode == 0
    assert list(reports) == ["good", "bad"]
    assert [one["verdict"] for one in reports["bad"]["outcomes"]] == ["broken", "vacuous"]
    notes = [note for report in reports.values() for note in report["facts"]["subject"]["notes"]]
    assert any('not measured beside it: "Deep"' in note for note in notes)


def test_report_takes_arguments_and_input(archcheck):
    run = archcheck("report", "networks.py:Deep", "--args", "corners=3", "--input", "2,3")
    assert run.returncode == 0
    assert "12 (12 trainable" in run.stdout
    assert "2x3 float32" in run.stdout


def test_report_of_a_dotted_name_finds_the_contract_that_covers_it(archcheck):
    run = archcheck("report", "networks:Net", "--depth", "0")
    assert run.returncode == 0
    assert "broken" in run.stdout
    assert "block" not in run.stdout.partition("parameters")[0]  # depth 0 is the model alone


def test_report_works_although_the_contract_has_mistakes(archcheck, tmp_path, project):
    write(tmp_path, pyproject_toml="[tool.archcheck]\nsubjects = 1", net_py=(project / "networks.py").read_text())
    run = archcheck("report", "net.py:Net", cwd=tmp_path)
    assert run.returncode == 0
    assert "archcheck: note: pyproject.toml has mistakes" in run.stderr


def test_a_saved_report_is_shown_again_without_measuring(archcheck, saved):
    run = archcheck("report", "saved.json", "--format", "json")
    assert run.returncode == 0
    assert {report["subject"]: report for report in json.loads(run.stdout)["reports"]} == saved
    assert "the subject prints" not in run.stderr


@pytest.mark.parametrize("format_name", ["text", "markdown", "github"])
def test_every_format_goes_to_standard_output_or_to_a_file(archcheck, project, saved, format_name):
    shown = archcheck("report", "saved.json", "--format", format_name)
    kept = archcheck("report", "saved.json", "--format", format_name, "--output", "out.txt")
    assert kept.stdout == ""
    assert (project / "out.txt").read_text() == shown.stdout
    assert "106" in shown.stdout
    assert not list(project.glob(".out*"))


@pytest.mark.parametrize(
    ("settings", "colored"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colour_follows_the_environment(archcheck, saved, settings, colored):
    assert (ESCAPE in archcheck("report", "saved.json", **settings).stdout) is colored


def test_a_terminal_gets_colour_and_its_width(project, saved):
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "archcheck", "report", "saved.json"],
        cwd=project,
        env=environment(TERM="xterm", COLUMNS="70"),
        stdout=child,
        stderr=subprocess.DEVNULL,
    ):
        os.close(child)
        shown = _read_all(parent).decode()
    assert ESCAPE in shown
    assert "archcheck explain max-params" in shown


def _read_all(descriptor: int) -> bytes:
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 1 << 16)
        except OSError:  # how a terminal says that the other end is gone
            return b"".join(chunks)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


@pytest.mark.parametrize("arguments", [["report", "saved.json"], ["rules"], ["--help"]])
def test_a_reader_that_has_gone_away_is_no_error(project, saved, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "archcheck", *arguments]
    run = subprocess.run(
        command, cwd=project, env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert run.returncode == 0
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_worker_and_shows_no_traceback(tmp_path, number, code):
    write(tmp_path, slow_py="import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "archcheck", "report", "slow.py"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        worker = int(process.stderr.readline())
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not _runs(worker)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


EVIL = "a\\n::error::b\\u001b[2J\\u202ec"
COMMANDS = [
    *(["check", "--format", name] for name in ("text", "concise", "markdown", "github")),
    ["check", "--shard", "2/2"], ["train", EVIL], ["train", EVIL, "--until-decided"], ["sync"], ["snapshot"],
    ["pytest"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_a_name_that_a_terminal_would_obey_is_spelled_out(archcheck, tmp_path, command):
    """Nothing but its own lines: the name stands in the middle of one, whatever it holds."""
    marked = "<!-- archcheck: x --><!-- /archcheck -->"
    text = f'[subjects."{EVIL}"]\nmodel = "gone.py:Net"\n[subjects."{EVIL}".rules]\nmax-params = 3\nsynced = "R.md"\n'
    write(
        tmp_path,
        archcheck_toml=text + f'[subjects."{EVIL}2"]\nmodel = "m:N"\n',
        R_md=marked,
    )
    name = json.loads(f'"{EVIL}"')
    words = [name if word == EVIL else word for word in command]
    if words == ["pytest"]:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "--archcheck", "-v", "-rA"],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    else:
        run = archcheck(*words, cwd=tmp_path)
    assert run.returncode in (1, 2)
    both = run.stdout + run.stderr
    assert not [each for each in both if each != "\n" and unicodedata.category(each) in ("Cc", "Cf")]
    assert not [line for line in both.splitlines() if line.startswith("::error::b")]
    assert re.search(r"a(\\n| |%0A)::error::b", both), both
