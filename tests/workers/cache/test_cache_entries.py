"""The folder of the cache: damage, other users, full disks, several processes, age, and its default path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archcheck.workers import cache as cache_module
from archcheck.workers.cache import DAYS, ENTRIES, Cache, default_folder
from tests.workers.cache.cache_samples import body_of, entries, reseal


def of_another_schema(folder, entry):
    body = body_of(entry)
    reseal(folder, entry, json.dumps(body | {"schema": 99}).encode())


def of_another_question(folder, entry):
    body = body_of(entry)
    reseal(folder, entry, json.dumps(body | {"name": "0" * 64 + ".json"}).encode())


def without_a_key(folder, entry):
    (folder / "key").write_bytes(b"")
    planted(b"")(folder, entry)


def a_pipe(folder, entry):
    entry.unlink()
    os.mkfifo(entry)


def planted(key):
    """Write entries like a subject that knows the format but not the key."""

    def plant(folder, entry):
        body = json.dumps(body_of(entry)).encode()
        entry.write_bytes(cache_module._seal(key, body) + b"\n" + body)

    return plant


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda _, entry, size=size: os.truncate(entry, size) for size in (0, 1, 128, 129, 500)),
        lambda _, entry: os.truncate(entry, entry.stat().st_size - 1),
        lambda _, entry: entry.write_bytes(entry.read_bytes().replace(b'"total": 1', b'"total": 0', 1) + b" "),
        lambda _, entry: entry.write_bytes(b"\0" * 5000),
        lambda folder, entry: reseal(folder, entry, b"{"),
        lambda folder, entry: reseal(folder, entry, b"[]"),
        lambda folder, entry: reseal(folder, entry, b"[" * 100_000),
        lambda folder, _: (folder / "key").unlink(),
        lambda folder, _: (folder / "key").write_bytes(b""),
        lambda folder, _: (folder / "key").write_bytes(b"0" * 32),
        of_another_schema,
        of_another_question,
        planted(b""),
        without_a_key,
        planted(b"0" * 32),
        a_pipe,
    ],
)
def test_a_damaged_entry_is_measured_and_replaced(small, asked, judged, cache_folder, capfd, damage):
    folder = small()
    asked(judged, folder)
    damage(cache_folder, *entries(cache_folder))
    assert asked(judged, folder) == 1
    assert asked(judged, folder) == 0
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_answer_that_is_no_report_is_told_in_one_line(small, asked, judged, cache_folder):
    """A subject can read the key. The entries that it writes must not cause a traceback."""
    folder = small()
    asked(judged, folder)
    (entry,) = entries(cache_folder)
    body = body_of(entry)
    reseal(cache_folder, entry, json.dumps(body | {"answer": {"params": 3}}).encode())
    reports = []
    assert asked(lambda: reports.append(judged(folder))) == 0
    assert reports[0]["reports"][0]["error"] == {
        "kind": "internal",
        "message": "what was measured is not a report: Facts lacks the key `subject`; try `--no-cache`",
    }


def no_folder(folder):
    folder.write_text("a file")


def of_others(folder):
    folder.mkdir()
    folder.chmod(0o777)


def entries_cannot_be_made(folder):
    folder.mkdir()
    (folder / "key").mkdir()


@pytest.mark.parametrize("spoil", [no_folder, of_others, entries_cannot_be_made])
def test_a_folder_that_cannot_be_used_is_no_error(small, asked, judged, cache_folder, spoil):
    folder = small()
    spoil(cache_folder)
    assert asked(judged, folder) == 1
    assert asked(judged, folder) == 1
    assert cache_folder.is_file() or [file.name for file in cache_folder.iterdir()] in ([], ["key"])


def test_a_full_disk_leaves_nothing_behind(small, asked, judged, cache_folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "replace", full)
    assert asked(judged, small()) == 1
    assert list(cache_folder.iterdir()) == []


def test_only_the_owner_may_read_entries(small, asked, judged, cache_folder):
    asked(judged, small())
    assert cache_folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in cache_folder.iterdir()} == {0o600}


REQUEST = {"do": "find", "target": "a:b", "root": "/"}


def aged(folder, **ages):
    """Make files that were used so many seconds ago."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, age in ages.items():
        (folder / name).touch()
        os.utime(folder / name, (0, time.time() - age))


def test_the_entries_used_last_are_kept(tmp_path):
    names = [f"{number:064}.json" for number in range(ENTRIES + 5)]
    aged(tmp_path / "cache", **{name: 60.0 * (number + 1) for number, name in enumerate(names)})
    Cache(tmp_path / "cache").keep(REQUEST, ["a:b"], {})
    left = {file.name for file in (tmp_path / "cache").iterdir()}
    assert left & set(names) == set(names[: ENTRIES - 1])
    assert len(left) == ENTRIES + 1  # with the new one and the key


def test_the_entries_used_last_are_kept_as_far_as_their_bytes_go(tmp_path, monkeypatch):
    monkeypatch.setattr("archcheck.workers.cache.MOST_BYTES", 2_500)
    names = [f"{number:064}.json" for number in range(4)]
    aged(tmp_path / "cache", **{name: 60.0 * (number + 1) for number, name in enumerate(names)})
    for name in names:
        used = (tmp_path / "cache" / name).stat().st_mtime
        (tmp_path / "cache" / name).write_bytes(bytes(1_000))
        os.utime(tmp_path / "cache" / name, (0, used))
    Cache(tmp_path / "cache").keep(REQUEST, ["a:b"], {})
    assert {file.name for file in (tmp_path / "cache").iterdir()} & set(names) == set(names[:2])


def test_old_entries_are_removed_and_other_files_are_not(tmp_path):
    day, young = 86_400.0, "0" * 64 + ".json"
    old = dict.fromkeys(("f" * 64 + ".json", ".archcheck-x.partial", "notes.json", "thesis.partial"), (DAYS + 1) * day)
    aged(tmp_path / "cache", **old, **{young: (DAYS - 1) * day})
    Cache(tmp_path / "cache").keep(REQUEST, ["a:b"], {})
    left = {file.name for file in (tmp_path / "cache").iterdir()}
    assert left >= {young, "key", "notes.json", "thesis.partial"}
    assert len(left) == 5


def test_a_used_entry_is_kept(small, asked, judged, cache_folder):
    folder = small()
    asked(judged, folder)
    (entry,) = entries(cache_folder)
    os.utime(entry, (1, 1))
    asked(judged, folder)
    assert entry.stat().st_mtime > time.time() - 3600


WRITER = """
import sys
from pathlib import Path
from archcheck.workers.cache import Cache
for number in range(12):
    request = {"do": "find", "target": f"a:{number % 3}", "root": "/"}
    cache = Cache(Path(sys.argv[1]))
    cache.keep(request, [request["target"]], {})
    assert Cache(Path(sys.argv[1])).lookup(request) in (None, [request["target"]])
"""


def test_processes_at_once_do_no_harm(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "cache")]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * 4
    files = sorted(file.name for file in (tmp_path / "cache").iterdir())
    assert len(files) == 4
    assert files[-1] == "key"
    for number in range(3):
        request = {"do": "find", "target": f"a:{number}", "root": "/"}
        cache = Cache(tmp_path / "cache")
        cache.keep(request, ["mended"], {})
        assert cache.lookup(request) == ["mended"]


@pytest.mark.parametrize(
    ("system", "settings", "folder"),
    [
        ("linux", {"ARCHCHECK_CACHE_DIR": "/x/y", "XDG_CACHE_HOME": "/xdg"}, "/x/y"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/archcheck"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "/home/me/.cache/archcheck"),
        ("linux", {}, "/home/me/.cache/archcheck"),
        ("darwin", {}, "/home/me/Library/Caches/archcheck"),
        ("win32", {}, "/home/me/AppData/Local/archcheck/Cache"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/archcheck/Cache"),
    ],
)
def test_the_default_folder_of_each_system(monkeypatch, system, settings, folder):
    for name in ("ARCHCHECK_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (settings | {"HOME": "/home/me"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert default_folder() == Path(folder)
