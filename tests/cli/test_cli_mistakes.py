"""Bad input: exit code 2, one clear line with the next step on standard error, nothing else, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archcheck.cli import main
from tests.support.cli_samples import write

FILES = {
    "empty_py": "x = 1\n",
    "syntax_py": "class Net(:\n",
    "missing_py": "import no_such_package\n",
    "slow_py": "import time\ntime.sleep(600)\n",
    "broken_json": "{",
    "other_json": '{"schema": 99, "reports": []}',
    "array_json": "[1]",
    "empty_json": "",
    "none_json": '{"schema": 1, "reports": []}',
    "wrong_json": '{"schema": 1, "reports": [{"subject": 3}]}',
    "verdict_json": '{"schema": 1, "reports": [{"subject": "a", "outcomes": [{"rule": "a", "instance": "a",'
    ' "verdict": "fine"}]}]}',
    "digits_json": '{"schema": ' + "9" * 5_000 + "}",
    "deep_json": "[" * 100_000,
    "measures_json": '{"schema": 1, "subjects": {}}',
}

THREE_MISTAKES = """
    [subjects.net]
    model = 3
    rules.max-parms = 3
    rules.max-params = "many"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, project):
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / ".git").mkdir()
    write(folder, **FILES, net_py=(project / "networks.py").read_text().replace("print(", "str("))
    return folder


def line_of(run):
    """Return the only line that a run wrote."""
    assert run.returncode == 2, run
    assert run.stdout == ""
    assert run.stderr.startswith("archcheck: error: "), run.stderr
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr.removeprefix("archcheck: error: ").rstrip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nowhere.py"], ["nowhere.py"]),
        (["report", "empty.py"], ["empty.py", "torch.nn.Module"]),
        (["report", "syntax.py"], ["syntax.py:1", "syntax"]),
        (["report", "missing.py"], ["no_such_package", "install"]),
        (["report", "net.py:Deep"], ["`corners`", "--args corners="]),
        (["report", "net.py:Net", "--input", "1,3,8,8"], ["net.py", "1x3x8x8"]),
        (["report", "net.py:Nat"], ["Nat", "Net"]),
        (["report", "slow.py", "--timeout", "6"], ["slow.py", "6 s", "--timeout"]),
    ],
)
def test_a_target_that_cannot_be_measured(archcheck, folder, arguments, words):
    line = line_of(archcheck(*arguments, cwd=folder))
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "the following arguments are required: COMMAND; see `archcheck --help`"),
        (["chek"], '"chek" is not a command; did you mean "check"?'),
        (["explain", "max-parms"], '"max-parms" is not a topic, a rule or a kind; did you mean "max-params"?'),
        (
            ["explain", "zzz"],
            '"zzz" is not a topic, a rule or a kind; `archcheck explain` and `archcheck rules` list them',
        ),
        (
            ["check", "--format", "jsn"],
            'argument --format: "jsn" is not a format; did you mean "json"?; see `archcheck check --help`',
        ),
        (
            ["check", "--output", "no/such.txt"],
            'argument --output: cannot write "no/such.txt"; name a file in a folder that exists; '
            "see `archcheck check --help`",
        ),
        (["check", "--nothing"], '"--nothing" is not an option of `archcheck check`; see `archcheck check --help`'),
    ],
)
def test_a_command_line_with_a_mistake(archcheck, folder, arguments, line):
    assert line_of(archcheck(*arguments, cwd=folder)) == line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "broken.json"], ["broken.json", "line 1"]),
        (["report", "other.json"], ["other.json", "schema 99"]),
        (["report", "array.json"], ["array.json", '"reports"']),
        (["report", "empty.json"], ["empty.json", "line 1"]),
        (["report", "none.json"], ["none.json", "no report of any subject"]),
        (["report", "wrong.json"], ["wrong.json", "expected str, found 3"]),
        (["report", "verdict.json"], ["verdict.json", "fine"]),
        (["report", "digits.json"], ["digits.json", "digits"]),
        (["report", "deep.json"], ["deep.json", "too deeply"]),
        (["report", "measures.json"], ["measures.json is a snapshot", "archcheck diff"]),
        (["report", "binary.json"], ["binary.json is not text", "0xff at 1"]),
        (["report", "folder.json"], ["folder.json is a folder"]),
        (["report", "gone.json"], ["gone.json"]),
    ],
)
def test_a_file_that_is_no_report(archcheck, folder, arguments, words):
    (folder / "binary.json").write_bytes(b"{\xff\x00\x01")
    (folder / "folder.json").mkdir(exist_ok=True)
    line = line_of(archcheck(*arguments, cwd=folder))
    assert all(word in line for word in words), line
    assert len(line) < 400


def test_a_report_that_was_cut_off_is_no_report(archcheck, checked, folder, project):
    whole = (project / "saved.json").read_bytes()
    for length in (len(whole) // 3, len(whole) - 3):
        (folder / "cut.json").write_bytes(whole[:length])
        assert line_of(archcheck("report", "cut.json", cwd=folder)).startswith("cut.json is damaged: not JSON at line ")


@pytest.mark.parametrize("command", [["check"], ["report", "net"], ["train", "net"]])
def test_a_contract_says_all_its_mistakes_at_once(archcheck, tmp_path, command):
    write(tmp_path, archcheck_toml=THREE_MISTAKES)
    run = archcheck(*command, cwd=tmp_path)
    lines = run.stderr.splitlines()
    assert run.returncode == 2
    assert [line.split(": ")[:3] for line in lines] == [
        ["archcheck", "error", f"archcheck.toml:{number}"] for number in (3, 4, 5)
    ]
    assert 'did you mean "max-params"?' in lines[1]


def test_a_subject_that_there_is_not(archcheck, project):
    line = '"goood" is not a subject of pyproject.toml; did you mean "good"?'
    assert line_of(archcheck("check", "goood")) == line
    assert line_of(archcheck("report", "goood")) == f'there is no file "goood", and {line}'


def test_a_contract_file_that_there_is_not(archcheck, folder):
    assert line_of(archcheck("check", "--config", "no.toml", cwd=folder)).startswith("no.toml does not exist; ")


def test_a_place_without_contract(archcheck, tmp_path):
    (tmp_path / ".git").mkdir()
    line = line_of(archcheck("check", cwd=tmp_path))
    assert "no contract in" in line
    assert all(way in line for way in ("archcheck init", "archcheck.toml", "pyproject.toml", "--config"))
    assert 'there is no file "net", and no contract in' in line_of(archcheck("report", "net", cwd=tmp_path))


def test_a_full_disk_is_one_line(archcheck, project):
    command = [sys.executable, "-m", "archcheck", "rules"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("archcheck: error: cannot write to standard output: No space left on device;")
    assert done.stderr.count("\n") == 1


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd "{gone}" && rmdir "{gone}" && exec "{sys.executable}" -P -m archcheck check'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "archcheck: error: the current folder no longer exists; change to another one"
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_a_closed_stream_changes_no_verdict(closed, archcheck, project):
    command = f'"{sys.executable}" -m archcheck check --no-cache {closed}'
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)
    usual = archcheck("check", "--no-cache", cwd=project)
    assert (done.returncode, done.stderr) == (usual.returncode, usual.stderr)


def test_without_a_place_for_messages_a_mistake_is_no_broken_rule(project):
    command = f'"{sys.executable}" -m archcheck check nope 2>&-'
    assert subprocess.run(["bash", "-c", command], cwd=project, check=False).returncode == 2


def test_a_text_is_no_folder_to_look_in(archcheck, tmp_path):
    (tmp_path / "notes.md").write_text("text", encoding="utf-8")
    done = archcheck("report", "notes.md", cwd=tmp_path)
    assert "`notes.md` is not a Python file; name one, as in `model.py:Net`" in line_of(done)


OUTPUTS = {
    "standard output": "{run} --output /dev/stdout > file",
    "its end": "echo before > file; {run} --output /dev/stdout >> file; sed -i 1d file",
    "a pipe": "{run} --output /dev/stdout | cat > file",
    "another process": "{run} --output >(cat > file); wait $!",
    "a named pipe": "{run} --output pipe & cat pipe > file; wait",
    "a link to one": "ln -s pipe link; {run} --output link & cat pipe > file; wait",
    "a regular file": "{run} --output file",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_whatever_can_be_written_to_is(checked, project, tmp_path, output):
    run = f'"{sys.executable}" -m archcheck report "{project}/saved.json" --format json'
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run(
        ["bash", "-c", OUTPUTS[output].format(run=run)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert "cannot write" not in done.stderr
    assert len(json.loads((tmp_path / "file").read_text())["reports"]) == 3
    assert (tmp_path / "pipe").is_fifo()


def test_a_reader_of_a_pipe_that_goes_away_is_no_mistake(checked, project, tmp_path):
    run = f'"{sys.executable}" -m archcheck report "{project}/saved.json" --format json --output >(exec 0<&-; sleep 2)'
    done = subprocess.run(["bash", "-c", run], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert not [line for line in done.stderr.splitlines() if "cannot write" in line]


def test_a_folder_that_takes_no_files_is_found_out_before_the_measuring(archcheck):
    assert 'cannot write "/proc/report.json"' in line_of(archcheck("check", "--output", "/proc/report.json"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems hold no process to a size")
def test_too_little_memory_is_one_line(tmp_path):
    (tmp_path / "large.json").write_text('{"reports": [' + "[]," * 5_000_000 + "[]]}")
    command = f'ulimit -v 300000; exec "{sys.executable}" -m archcheck report large.json'
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("archcheck: error: there is not enough memory for this; read a smaller file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["report", "TARGET"], ["diff", "TARGET", "b"], ["check", "--config", "TARGET"]])
def test_a_name_that_is_too_long_is_one_line(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("TARGET", "x" * 5_000) for word in words]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error == f'archcheck: error: "{"x" * 60}…" is too long for the name of a file; name one that exists\n'
