"""A file is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from archcheck.foundation import file_locks, regular_files
from archcheck.foundation.file_locks import try_lock
from archcheck.foundation.whole_files import read_bytes, replace_whole, write_whole


@pytest.mark.parametrize(("content", "data"), [("é\n", b"\xc3\xa9\n"), (b"\x00\xff", b"\x00\xff")])
def test_text_and_bytes(tmp_path, content, data):
    write_whole(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == data
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@contextlib.contextmanager
def full_after(size):
    """Limit the size of files that this process writes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_failed_write_leaves_only_the_old_file(tmp_path):
    file = tmp_path / "a"
    file.write_text("before")
    with full_after(3), pytest.raises(OSError, match="too large"):
        write_whole(file, "after this")
    assert file.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_leftovers_of_killed_processes_are_removed_and_files_in_progress_are_not(tmp_path):
    (tmp_path / ".a.0badcafe.partial").write_text("half")
    (tmp_path / ".b.0badcafe.partial").write_text("of another file")
    with (tmp_path / ".a.11111111.partial").open("wb") as writing:
        assert try_lock(writing.fileno())
        write_whole(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert sorted(each.name for each in tmp_path.glob(".*")) == [".a.11111111.partial", ".b.0badcafe.partial"]


def test_a_file_is_written_without_file_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(file_locks, "_locks", None)
    (tmp_path / ".a.0badcafe.partial").write_text("whose it is nobody knows")
    write_whole(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert (tmp_path / ".a.0badcafe.partial").exists()


@pytest.mark.parametrize("letters", ["n" * 250, "ä" * 120])
def test_the_longest_file_name(tmp_path, letters):
    write_whole(tmp_path / letters, "text")
    assert (tmp_path / letters).read_text() == "text"


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "out"])
@pytest.mark.parametrize("to", ["> file", ">> file", "| cat >> file"])
def test_standard_output_under_its_names_is_written_to_and_never_replaced(tmp_path, name, to):
    (tmp_path / "file").write_text("before\n")
    (tmp_path / "out").symlink_to("/dev/stdout")
    code = (
        "from pathlib import Path; from archcheck.foundation.whole_files import write_whole; "
        f"write_whole(Path('{name}'), 'after')"
    )
    run = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" {to}'], cwd=tmp_path, check=False)
    assert run.returncode == 0
    assert (tmp_path / "file").read_text() == ("" if to == "> file" else "before\n") + "after"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "out"]


def test_a_file_of_any_size_is_not_read_into_memory(tmp_path):
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(1 << 42)
    with Path("/dev/zero").open("rb") as zeros:
        for file in (huge, Path(f"/dev/fd/{zeros.fileno()}")):
            with pytest.raises(OSError, match=r"more than 1,000 bytes"):
                read_bytes(file, 1000, streams=True)


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o640])
def test_permissions_are_kept(tmp_path, mode):
    file = tmp_path / "a"
    file.write_text("before")
    file.chmod(mode)
    write_whole(file, "after")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("after", mode)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "a")
    write_whole(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "a").read_text() == "text"


def test_devices_and_pipes_are_written_to_directly():
    write_whole(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(OSError, match="Is a directory"):
        write_whole(tmp_path, "text")


def fifo(file):
    os.mkfifo(file)


def full(file):
    file.symlink_to("/dev/full")


def endless(file):
    file.symlink_to("/dev/zero")


def listening(file):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(file))


IRREGULAR = [fifo, full, endless, listening]


@pytest.mark.parametrize("make", IRREGULAR)
def test_irregular_files_are_neither_read_nor_replaced(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)  # as the name of a socket must be short
    make(file := Path("a"))
    for refused in (lambda: read_bytes(file), lambda: read_bytes(file, streams=True), lambda: replace_whole(file, "b")):
        with pytest.raises(OSError, match="it is neither a file nor a folder"):
            refused()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_file_that_became_a_pipe_before_it_is_opened_does_not_block(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "a")
    monkeypatch.setattr(regular_files, "refuse_irregular", lambda file: None)
    with pytest.raises(OSError, match="it is neither a file nor a folder"):
        read_bytes(tmp_path / "a")


def test_a_leftover_that_is_not_a_file_does_not_prevent_writing(tmp_path):
    os.mkfifo(tmp_path / ".a.0badcafe.partial")
    write_whole(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0"])
def test_open_files_of_the_process_can_be_read_with_streams(name):
    code = f"""
from pathlib import Path; from archcheck.foundation.whole_files import read_bytes
try: read_bytes(Path({name!r}))
except OSError as error: print(error.strerror)
print(read_bytes(Path({name!r}), streams=True))
"""
    run = subprocess.run([sys.executable, "-c", code], input=b"text", capture_output=True, check=True)
    assert run.stdout.decode() == "it is neither a file nor a folder\nb'text'\n"
