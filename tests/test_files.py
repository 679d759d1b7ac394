"""A file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archcheck.files import write_whole


@pytest.mark.parametrize(("content", "data"), [("é\n", b"\xc3\xa9\n"), (b"\x00\xff", b"\x00\xff")])
def test_text_and_bytes(tmp_path, content, data):
    write_whole(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == data
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_text("before")
    whole = Path.write_bytes

    def half(self, data):
        whole(self, data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "after this")
    assert file.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o640])
def test_who_may_read_and_run_a_file_stays_as_it_was(tmp_path, mode):
    file = tmp_path / "a"
    file.write_text("before")
    file.chmod(mode)
    write_whole(file, "after")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("after", mode)


def test_a_link_stays_one(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "a")
    write_whole(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "a").read_text() == "text"


def test_what_is_no_regular_file_is_written_to():
    write_whole(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(OSError, match="Is a directory"):
        write_whole(tmp_path, "text")
