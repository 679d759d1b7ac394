"""`--on` with what it cannot mean: one line, and exit code 2, before anything is measured."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from archcheck.cli import main
from archcheck.foundation import platform_support
from tests.support.cli_samples import write

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra `ray`")
needs_submitit = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs the extra `submitit`")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    contract = """
        [subjects.net]
        model = "gone.py:Net"
        rules.max-params = 1
        training.train = "gone.py:run"
        training.evaluate = "gone.py:test"
        training.record = "record.json"
    """
    write(tmp_path, archcheck_toml=contract)
    monkeypatch.chdir(tmp_path)


def refused(capsys, *words):
    assert main(words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    (line,) = error.splitlines()
    return line


@pytest.mark.parametrize("command", [("check",), ("train", "net")])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rey", '"rey" is not an engine; did you mean "ray"?'),
        ("slurm", '"slurm" is not an engine; the engines are local, ray and submitit'),
        ("", '"" is not an engine; the engines are local, ray and submitit'),
    ],
)
def test_an_unknown_engine_is_refused(capsys, command, name, says):
    assert says in refused(capsys, *command, "--on", name)


@pytest.mark.parametrize("command", [("check",), ("train", "net"), ("train", "net", "--until-decided")])
@pytest.mark.parametrize("name", ["ray", "submitit"])
def test_a_missing_package_is_named_with_its_extra(capsys, monkeypatch, command, name):
    known = platform_support._is_importable
    monkeypatch.setattr(platform_support, "_is_importable", lambda module: module != name and known(module))
    line = refused(capsys, *command, "--on", name)
    assert f"`--on {name}` needs {name}, which is not installed; run `" in line
    assert line.endswith(f"'archcheck-torch[{name}]'`")


@needs_ray
@pytest.mark.parametrize("address", ["here", "host:", ":6379", "http://host:8265", "host:99999999"])
def test_what_is_no_address_is_refused(capsys, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    line = refused(capsys, "check", "--on", "ray")
    assert f'RAY_ADDRESS is "{address}", which is no address of a cluster; write HOST:PORT' in line


@needs_ray
@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}", "[::1]:{}"])
def test_a_cluster_that_does_not_answer_is_refused(capsys, monkeypatch, form):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", form.format(port))
    line = refused(capsys, "train", "net", "--on", "ray")
    assert f'no Ray cluster answers at RAY_ADDRESS "{form.format(port)}": ' in line
    assert line.endswith("start it, or unset RAY_ADDRESS to use one on this machine")


@needs_submitit
def test_a_folder_for_jobs_that_cannot_be_made_is_refused(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARCHCHECK_CACHE_DIR", str(tmp_path / "file" / "archcheck"))
    assert "let ARCHCHECK_CACHE_DIR name a folder that all nodes see" in refused(capsys, "check", "--on", "submitit")


def test_watching_stays_on_this_machine(capsys):
    assert "--on is of no use with --watch" in refused(capsys, "check", "--watch", "--on", "ray")
