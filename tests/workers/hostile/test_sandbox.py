"""The sandbox: the options of bubblewrap, what a subject can do inside, and that nothing passes without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archcheck.foundation.errors import ArchcheckError
from archcheck.workers.sandbox import refuse_if_unable, sandboxed
from tests.support.cli_samples import environment

NET = """
import os, socket
from torch import nn

def tried(name, act):
    try:
        act()
    except OSError as error:
        print(name, type(error).__name__, error.strerror)
    else:
        print(name, "done")

home, here = os.path.expanduser("~/archcheck-was-here"), os.path.dirname(__file__)
class Net(nn.Linear):
    def __init__(self):
        super().__init__(3, 4)
        tried("home", lambda: open(home, "w"))
        tried("beside", lambda: open(os.path.join(here, "left"), "w"))
        tried("change", lambda: open("words.txt", "w"))
        tried("read", lambda: open("words.txt").read())
        tried("new", lambda: open("left", "w"))
        tried("connect", lambda: socket.create_connection(("192.0.2.1", 9), 2))
        tried("answer", lambda: socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 2))
        tried("archcheck", lambda: os.kill(int(os.environ["OUTSIDE"]), 0))
"""
CONTRACT = '[subjects.net]\nmodel = "net.py:Net"\ninput = [1, 3]\nrules.max-params = 16\n'
FAKE = """#!{python}
import os, sys
open({log!r}, "a").write(repr(sys.argv[1:]) + "\\n")
{body}
"""
RUNS = 'os.execvp(sys.argv[sys.argv.index("--") + 1], sys.argv[sys.argv.index("--") + 1:])'
REFUSES = 'sys.exit("bwrap: No permissions to create new namespace")'


def refusal():
    try:
        refuse_if_unable()
    except ArchcheckError as error:
        return str(error)
    return ""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "words.txt").write_text("words")
    (folder / "archcheck.toml").write_text(CONTRACT)
    return folder


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Put a `bwrap` on PATH that records its arguments."""

    def fake(body):
        tool, log = tmp_path / "bin" / "bwrap", tmp_path / "calls"
        tool.parent.mkdir()
        tool.write_text(FAKE.format(python=sys.executable, log=str(log), body=body))
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
        return log

    return fake


def archcheck(folder, *arguments, **changes):
    command = [sys.executable, "-m", "archcheck", *arguments, "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env=environment(**changes), capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "bubblewrap works")
def test_a_subject_finds_no_network_and_nothing_to_write(project):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        home = str(project)
        inside = archcheck(project, "check", "--sandbox", PORT=port, OUTSIDE=str(os.getpid()), HOME=home)
        outside = archcheck(project, "check", PORT=port, OUTSIDE=str(os.getpid()), HOME=home)
    assert (inside.returncode, outside.returncode) == (0, 0), inside.stderr + outside.stderr
    assert inside.stderr.splitlines() == [
        "home OSError Read-only file system",
        "beside OSError Read-only file system",
        "change OSError Read-only file system",
        "read done",
        "new done",
        "connect OSError Network is unreachable",
        "answer ConnectionRefusedError Connection refused",
        "archcheck ProcessLookupError No such process",
    ]
    assert {"home done", "beside done", "answer done", "archcheck done"} <= {*outside.stderr.splitlines()}


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "bubblewrap works")
def test_pytest_judges_in_the_sandbox(project):
    options = ["-q", "-p", "no:cacheprovider", "--archcheck", "--archcheck-no-cache", "--archcheck-sandbox"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-rA"],
        cwd=project,
        env=environment(PORT="9", OUTSIDE=str(os.getpid()), HOME=str(project.parent)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout
    assert not (project / "left").exists()
    assert not (project.parent / "archcheck-was-here").exists()


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "bubblewrap works")
def test_a_crash_in_the_sandbox_is_told_as_one(project):
    (project / "net.py").write_text("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass\n")
    done = archcheck(project, "check", "--sandbox")
    assert done.returncode == 2
    assert "net: the process was killed by SIGKILL" in done.stderr


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "bubblewrap works")
def test_archcheck_as_a_whole_works_where_it_can_write_to_tmp_alone(project):
    """The conditions that the page on isolation asks a container for."""
    folders = (str(project), str(Path(__file__).parents[3]), sys.prefix)
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache"]
    changes = {"TMPDIR": "/tmp", "HOME": "/tmp", "PORT": "9", "OUTSIDE": "0"}
    words = sandboxed(command, str(project), folders)
    words[words.index("--bind")] = "--ro-bind"  # not even the project
    done = subprocess.run(
        words, cwd=project, env=environment(**changes), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "beside OSError Read-only file system" in done.stderr
    assert "new done" in done.stderr


def test_the_tool_is_asked_for_no_network_and_no_writing(project, fake):
    log = fake(RUNS)
    done = archcheck(project, "check", "--sandbox", PORT="9", OUTSIDE="0")
    assert done.returncode == 0, done.stderr
    trial, worker = map(str.strip, log.read_text().splitlines())
    words = eval(worker)
    options = words[: words.index("--")]
    assert eval(trial)[-2:] == ["--", "true"]
    for needed in ("--unshare-all", "--die-with-parent", "--ro-bind / /", "--cap-drop ALL", "--tmpfs /tmp"):
        assert needed in " ".join(options)
    assert options.count("--bind") == 1
    written = options[options.index("--bind") + 1]
    assert Path(written).name.startswith("archcheck-")
    assert not Path(written).exists()
    assert words[words.index("--") + 1] == sys.executable


def test_shown_folders_in_hidden_ones_are_read_only(tmp_path, monkeypatch):
    monkeypatch.setattr("archcheck.workers.sandbox._HIDDEN", (str(tmp_path),))
    project, scratch = tmp_path / "project", tmp_path / "scratch"
    project.mkdir()
    words = " ".join(sandboxed(["true"], str(scratch), [str(project)]))
    assert f"--ro-bind {project} {project}" in words
    assert words.index(f"--tmpfs {tmp_path}") < words.index(f"--ro-bind {project}")
    assert words.endswith(f"--bind {scratch} {scratch} -- true")


@pytest.mark.parametrize("arguments", [("check",), ("report", "net.py"), ("report", "net")])
def test_without_a_sandbox_nothing_is_measured(project, fake, arguments):
    fake(REFUSES)
    done = archcheck(project, *arguments, "--sandbox")
    (line,) = done.stderr.splitlines()
    assert "the sandbox does not work here: bwrap: No permissions to create new namespace" in line
    assert (done.returncode, done.stdout) == (2, "")


def test_without_the_tool_it_is_said_how_to_get_it(project, monkeypatch, tmp_path):
    done = archcheck(project, "check", "--sandbox", PATH=str(tmp_path))
    (line,) = done.stderr.splitlines()
    assert "there is no `bwrap` on PATH; install it (`apt install bubblewrap`), or judge in a container" in line
    assert done.returncode == 2


def test_pytest_refuses_to_run_without_it(project, tmp_path):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--archcheck", "--archcheck-sandbox"]
    done = subprocess.run(
        command, cwd=project, env=environment(PATH=str(tmp_path)), capture_output=True, text=True, check=False
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: archcheck: the sandbox needs bubblewrap" in done.stderr


def test_answers_cached_without_a_sandbox_are_not_used_in_it(project, fake, cache_folder):
    log = fake(RUNS)
    shutil.rmtree(cache_folder, ignore_errors=True)
    changes = {"PORT": "9", "OUTSIDE": "0", "HOME": str(project.parent)}
    command = [sys.executable, "-m", "archcheck", "check", "--format", "json"]
    for arguments in ([], ["--sandbox"]):
        done = subprocess.run(
            [*command, *arguments], cwd=project, env=environment(**changes), capture_output=True, text=True, check=False
        )
        assert json.loads(done.stdout)["reports"][0]["facts"]["params"]["total"] == 16
    assert len(log.read_text().splitlines()) == 2  # a trial, and the worker
