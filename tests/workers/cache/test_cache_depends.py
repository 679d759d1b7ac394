"""A subject is not measured again until something that it depends on changes."""

from __future__ import annotations

import compileall
import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.judging.engine import check_contract, find_models
from archcheck.workers import environment
from archcheck.workers.cache import Cache
from tests.support.cli_samples import write
from tests.workers.cache.cache_samples import body_of, entries


def test_the_answer_of_an_unchanged_project_is_the_same(project, worker, asked, judged):
    first = []
    assert asked(lambda: first.append(judged(project))) == 1
    assert first[0]["reports"][0]["facts"]["training"]["correct"] == 2
    assert asked(lambda: first.append(judged(project))) == 0
    assert first[0] == first[1]


def test_a_touched_file_has_not_changed(project, asked, judged):
    asked(judged, project)
    for file in project.rglob("*"):
        os.utime(file, (1, 1))
    assert asked(judged, project) == 0


def edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def append(name, text=b"\n"):
    return lambda folder: (folder / name).open("ab").write(text)


@pytest.mark.parametrize(
    "change",
    [
        edit("model.py", "bias=True", "bias=bool(1)"),
        append("shapes.py"),
        edit("shapes.py", "2", "4"),
        edit("width.txt", "3", "4"),
        edit("example.py", "ones", "zeros"),
        append("school.py"),
        edit("answers.py", "2", "3"),
        append("record.json"),
        append("checkpoint.safetensors"),
        lambda folder: (folder / "extra.py").write_text("OUT = 3"),
        lambda folder: (folder / "override.txt").write_text("5"),
        lambda folder: (folder / "blocks" / "two").touch(),
        lambda folder: (folder / "blocks" / "one").rename(folder / "blocks" / "two"),
        lambda folder: (folder / "shapes").mkdir() or (folder / "shapes" / "__init__.py").write_text("OUT = 9"),
        lambda folder: (folder / "width.txt").unlink(),
        edit("archcheck.toml", '"example.py:example"', "[1, 3]"),
        edit("archcheck.toml", "bias = false", "bias = true"),
        edit("archcheck.toml", "[subjects.net]\nmodel", "[subjects.net]\nimport-timeout = 99\nmodel"),
        edit("archcheck.toml", "max-params = 100", "log-probabilities = true"),
        edit("archcheck.toml", 'record = "record.json"', 'record = "other.json"'),
    ],
)
def test_a_change_is_measured(project, asked, judged, change):
    asked(judged, project)
    assert asked(judged, project) == 0
    change(project)
    assert asked(judged, project) == 1


def test_a_module_that_python_had_compiled_before(project, asked, judged):
    assert compileall.compile_dir(project, quiet=1)
    asked(judged, project)
    shutil.rmtree(project / "__pycache__")
    assert asked(judged, project) == 0
    append("shapes.py")(project)
    assert asked(judged, project) == 1


@pytest.mark.parametrize(
    "change",
    [
        edit("archcheck.toml", "max-params = 100", "max-params = 1"),
        edit("archcheck.toml", "max-params = 100", "no-unused-params = true"),
        edit("archcheck.toml", "[subjects.net]\nmodel", "[subjects.net]\ntimeout = 99\nmodel"),
        edit("archcheck.toml", "[subjects.net]\nmodel", "[subjects.net]\nimport-timeout = 10\nmodel"),
        lambda folder: (folder / "unrelated.py").write_text("OUT = 3"),
    ],
)
def test_files_that_are_not_dependencies(project, asked, judged, change):
    asked(judged, project)
    change(project)
    assert asked(judged, project) == 0


def test_a_rule_is_judged_anew_on_what_is_known(project, asked, worker):
    def exit_codes():
        return [report.exit_code for report in check_contract(load(project / "archcheck.toml"), worker=worker)]

    worker.cache = Cache()
    assert exit_codes() == [0]
    edit("archcheck.toml", "max-params = 100", "max-params = 1")(project)
    assert exit_codes() == [1]


def of(changed):
    version = importlib.metadata.version

    def another(monkeypatch, tmp_path):
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "99" if name == changed else version(name))

    return another


of_torch, of_archcheck = of("torch"), of("archcheck-torch")


def of_its_sources(monkeypatch, tmp_path):
    sources = Path(shutil.copytree(environment._SOURCES, tmp_path / "sources"))
    (sources / "measure" / "operators" / "cost.py").open("a").write("\n")
    monkeypatch.setattr(environment, "_SOURCES", sources)


def of_a_package(monkeypatch, tmp_path):
    (tmp_path / "site" / "timm-9.dist-info").mkdir(parents=True)
    folders = (*environment._site_folders(), str(tmp_path / "site"))
    monkeypatch.setattr(environment, "_site_folders", lambda: folders)


@pytest.mark.parametrize(
    "version",
    [
        of_torch,
        of_archcheck,
        of_its_sources,
        of_a_package,
        lambda monkeypatch, _: monkeypatch.setattr(sys, "version", "4.0"),
        lambda monkeypatch, _: monkeypatch.setattr(environment.sysconfig, "get_platform", lambda: "abacus"),
        lambda monkeypatch, _: monkeypatch.setenv("PYTHONPATH", "/elsewhere"),
        lambda monkeypatch, tmp_path: monkeypatch.chdir(tmp_path),
    ],
)
def test_another_version_is_measured(project, asked, judged, monkeypatch, tmp_path, version):
    asked(judged, project)
    assert asked(judged, project) == 0
    version(monkeypatch, tmp_path)
    assert asked(judged, project) == 1


def test_a_project_among_the_installed_packages_is_watched(project, asked, judged, monkeypatch):
    folders = (*environment._site_folders(), str(project.parent))
    monkeypatch.setattr(environment, "_site_folders", lambda: folders)
    asked(judged, project)
    assert asked(judged, project) == 0
    append("shapes.py")(project)
    assert asked(judged, project) == 1


def test_only_files_of_the_project_are_dependencies(project, asked, judged, cache_folder):
    asked(judged, project)
    (entry,) = entries(cache_folder)
    there = {path for path, content in body_of(entry)["read"].items() if content}
    assert {os.path.relpath(path, project) for path in there} == {
        "model.py", "shapes.py", "width.txt", "blocks", "example.py", "school.py", "answers.py", "record.json",
        "checkpoint.safetensors",
    }  # fmt: skip


def test_files_read_by_a_relative_name_are_dependencies(small, asked, judged, monkeypatch):
    folder = small("words = open('words').read() if os.path.exists('words') else open('other').read()")
    (folder / "words").write_text("1")
    monkeypatch.chdir(folder)
    assert asked(judged, folder) == 1
    assert asked(judged, folder) == 0
    (folder / "words").write_text("2")
    assert asked(judged, folder) == 1
    assert asked(judged, folder) == 0


def test_the_models_of_a_file_are_known_too(tmp_path, worker, asked, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, one_py="from torch import nn\nclass A(nn.Linear): pass\n")
    assert asked(find_models, worker, "one.py") == 1
    assert asked(find_models, worker, "one.py") == 0
    (tmp_path / "one.py").open("a").write("class B(nn.Linear): pass\n")
    found = []
    assert asked(lambda: found.extend(find_models(worker, "one.py"))) == 1
    assert found == ["one.py:A", "one.py:B"]


@pytest.mark.parametrize(
    "line",
    [
        "raise RuntimeError('today')",
        "import subprocess as program; program.check_call(['true'])",
        "os.fork() or os._exit(0)",
        "call = os.system; call('true')",
        "import multiprocessing.popen_spawn_posix",
        "import socket; socket.getaddrinfo('127.0.0.1', 9)",
        "import sqlite3; sqlite3.connect(':memory:')",
        "text = open('count').read(); open('count', 'w').write(text + '1')",
    ],
)
def test_failed_or_unobserved_measurements_are_not_cached(small, asked, judged, cache_folder, line):
    folder = small(line)
    (folder / "count").touch()
    reports = []
    for _ in range(2):
        assert asked(lambda: reports.append(judged(folder))) == 1
        notes = reports[-1]["reports"][0]["facts"]["subject"]["notes"]
        assert any("importing it fails" in note for note in notes) == ("raise" in line)
    assert not cache_folder.exists() or not entries(cache_folder)


def test_files_that_the_subject_writes_are_not_dependencies(small, asked, judged):
    folder = small("open('log', 'w').write(str(id(nn))); open('log').read(); open('more', 'a').write('x')")
    asked(judged, folder)
    (folder / "log").write_text("else")
    (folder / "more").write_text("else")
    assert asked(judged, folder) == 0


def test_a_checkpoint_that_could_not_be_evaluated_is_tried_again(project, asked, judged):
    append("school.py", b"def evaluate(model):\n    raise OSError\n")(project)
    assert asked(judged, project) == 1
    assert asked(judged, project) == 1
