"""The working folder of a subject: it shows the current folder, and keeps new files out of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from archcheck.measure.process import scratch_folder
from archcheck.measure.process.scratch_folder import enter_scratch_folder, remove


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A place to enter_scratch_folder in, seen from a project that has a neighbour."""
    for name in ("place", "work/project/data", "work/neighbour", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "project")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    Path("words.txt").write_text("words")
    Path("data/one.txt").write_text("1")
    (tmp_path / "work" / "neighbour" / "net.py").write_text("net")
    (tmp_path / "elsewhere" / "words.txt").write_text("other words")
    (tmp_path / "elsewhere" / "more.txt").write_text("more")
    return str(tmp_path / "place")


def names(folder):
    return sorted(file.name for file in Path(folder).iterdir())


def test_files_of_the_current_folder_are_readable(place):
    inside = enter_scratch_folder(place, [])
    assert str(Path.cwd()) == os.path.realpath(inside)
    assert Path.cwd().name == "project"
    assert names(".") == ["data", "words.txt"]
    assert Path("words.txt").read_text() == "words"
    assert Path("data/one.txt").read_text() == "1"
    assert Path("../neighbour/net.py").read_text() == "net"


def test_other_folders_are_linked_under_free_names(place, tmp_path):
    enter_scratch_folder(place, [str(tmp_path / "elsewhere"), str(tmp_path / "not-there")])
    assert Path("words.txt").read_text() == "words"
    assert Path("more.txt").read_text() == "more"


def test_new_and_temporary_files_are_removed_with_the_folder(place, tmp_path):
    here = Path.cwd()
    enter_scratch_folder(place, [])
    Path("new.txt").write_text("new")
    temporary = tempfile.mkdtemp()
    assert Path(temporary).is_relative_to(place)
    os.chdir(here)
    remove(place)
    assert not Path(place).exists()
    assert names(".") == ["data", "words.txt"]
    assert Path("data/one.txt").read_text() == "1"
    assert names(tmp_path / "work" / "neighbour") == ["net.py"]


def test_many_neighbours_are_not_linked(place, monkeypatch):
    monkeypatch.setattr(scratch_folder, "_NEIGHBOURS", 2)
    Path("../third").mkdir()
    enter_scratch_folder(place, [])
    assert names("..") == ["project"]
    assert names(".") == ["data", "words.txt"]


def test_a_folder_with_many_entries_is_used_directly(place, monkeypatch):
    monkeypatch.setattr(scratch_folder, "_MOST", 1)
    here = str(Path.cwd())
    assert enter_scratch_folder(place, []) == here == str(Path.cwd())
    assert tempfile.mkdtemp().startswith(place)


def test_a_link_in_place_of_the_folder_is_removed_and_not_what_it_leads_to(place, tmp_path):
    Path(place).rmdir()
    Path(place).symlink_to(tmp_path / "elsewhere")
    remove(place)
    assert not Path(place).is_symlink()
    assert names(tmp_path / "elsewhere") == ["more.txt", "words.txt"]
