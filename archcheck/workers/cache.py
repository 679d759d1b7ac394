"""Cache the answers of the worker until something that they depend on changes.

An entry answers one request: the same subject, input, arguments, needs and training, in the same folder, with the same
Python, torch, archcheck, platform and installed packages. It holds the SHA-256 of every file that was read, and the
files and modules that were looked for and missing.

These are not covered: environment variables (except `PYTHONPATH`), the clock, whether a file exists that is never
opened, files that compiled code opens, and an installed package that is edited in place. A subject that starts
processes, opens connections or fails is measured every time.

Entries lie outside the project, in a folder that only its owner may write. A key beside them seals them, so that
damaged and misplaced entries are ignored. A subject that opens anything in this folder is refused. If a subject fails,
starts processes or opens connections, everything that appeared in the folder during its measurement is removed. This
does not stop a careful attacker: the subject's code runs with the rights of the user and can read the key, and writes
of compiled code are not seen. A sandbox stops it.
"""

# Paths are the strings that the worker saw, and there may be thousands of them.

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from archcheck.foundation.whole_files import read_bytes
from archcheck.workers.environment import describe_environment, installed_folders

SCHEMA = 1
ENTRIES = 2_000
"""How many entries are kept at most: those used last. A course needs one for each submission."""
MOST_BYTES = 1 << 29
"""Bytes of all entries at most."""
DAYS = 30
"""How long an entry is kept that is not used."""
LARGEST = 4 << 30
"""Bytes of files that an entry may depend on; more take too long to read each time."""

_KEY = "key"
_KEY_LENGTH = 32
_OWN = re.compile(r"[0-9a-f]{64}\.json|\.archcheck-\w+\.partial")


class Cache:
    """Answers of the worker in a folder, by default the user's cache folder.

    A problem with the folder is never an error: an entry that cannot be read is unknown, and an entry that cannot be
    written is not kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """The folders whose files are not part of an entry."""
        return installed_folders()

    @property
    def folder(self) -> Path:
        """The folder of the entries, which need not exist yet."""
        return (self._given or default_folder()).absolute()

    def seen(self) -> Mapping[str, object]:
        """Return the content of the folder, for `remove_foreign_entries` to compare with."""
        with contextlib.suppress(OSError):
            return {each.name: _mark(each) for each in os.scandir(self.folder)}
        return {}

    def remove_foreign_entries(self, seen: Mapping[str, object]) -> None:
        """Remove the entries and keys that appeared or changed since `seen`, except those that this process wrote.

        Entries that other processes wrote in the meantime are measured once more. Files with other names are left
        alone.
        """
        with contextlib.suppress(OSError):
            for each in os.scandir(self.folder):
                with contextlib.suppress(OSError):
                    if not (each.name == _KEY or _OWN.fullmatch(each.name)):
                        continue
                    if _mark(each) not in (seen.get(each.name), _kept.get(each.path)):
                        os.unlink(each.path)

    def lookup(self, request: Mapping[str, Any]) -> Any:
        """Return the cached answer to `request` if it is still valid, else `None`."""
        with contextlib.suppress(Exception):  # whatever is wrong with an entry, the subject can be measured
            file = self._file(request)
            entry = self._read(file)
            if entry["schema"] == SCHEMA and entry["name"] == file.name and _contents(entry["read"]) == entry["read"]:
                with contextlib.suppress(OSError):
                    os.utime(file)
                    _kept[str(file)] = _mark(file)
                return entry["answer"]
        return None

    def keep(self, request: Mapping[str, Any], answer: Any, read: Mapping[str, int | None] | None) -> None:
        """Store an answer. `read` are the paths that it depends on with their last changes, or `None` if unknown.

        The answer is not stored if one of them has changed since it was read, or if a part of the answer failed.
        """
        with contextlib.suppress(Exception):  # the subject may have answered anything; its folder may be full
            if read is None or _failed(request, answer) or not _covers(read, request):
                return
            contents = _contents(read)
            if contents is None or any(_changed(path) != since for path, since in read.items()):
                return
            file = self._file(request)
            entry = {"schema": SCHEMA, "name": file.name, "read": contents, "answer": answer}
            body = json.dumps(entry).encode()
            _replace(file, _seal(self._own_key(), body) + b"\n" + body)
            _kept[str(file)] = _mark(file)
            self._prune()

    def _file(self, request: Mapping[str, Any]) -> Path:
        asked = json.dumps({"request": request, "here": str(Path.cwd()), **self._surroundings}, sort_keys=True)
        return self._folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"

    @cached_property
    def _surroundings(self) -> Mapping[str, Any]:
        return describe_environment()

    @cached_property
    def _folder(self) -> Path:
        """Return the folder, and create it if needed. Raises `OSError` if other users may write there."""
        folder = self.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
            raise PermissionError(f"others may write {folder}")
        return folder

    def _read(self, file: Path) -> Any:
        """Return the entry in `file`; raise `OSError` or `ValueError` if there is none or it is damaged."""
        seal, _, body = read_bytes(file).partition(b"\n")
        if not hmac.compare_digest(seal, _seal(self._key(), body)):
            raise ValueError(f"{file} is damaged")
        return json.loads(body)

    def _key(self) -> bytes:
        """Return the key of the folder; raise `OSError` or `ValueError` if there is none."""
        key = read_bytes(self._folder / _KEY)
        if len(key) != _KEY_LENGTH:
            raise ValueError("the key is damaged")
        return key

    def _own_key(self) -> bytes:
        """Return the key of the folder. Create it if it is missing or damaged."""
        try:
            return self._key()
        except (OSError, ValueError):
            _replace(self._folder / _KEY, os.urandom(_KEY_LENGTH))
            _kept[str(self._folder / _KEY)] = _mark(self._folder / _KEY)
        return self._key()  # read it again: another process may have replaced it

    def _prune(self) -> None:
        """Remove entries that were not used for `DAYS`, and all but the latest. Leave other files alone."""
        files = [file for file in self._folder.iterdir() if _OWN.fullmatch(file.name)]
        found = ((file, file.stat()) for file in files)
        ages = sorted((time.time() - of.st_mtime, file, of.st_size) for file, of in found)
        sizes = accumulate(size for _, _, size in ages)
        for number, ((age, file, _), size) in enumerate(zip(ages, sizes, strict=True)):
            if number >= ENTRIES or size > MOST_BYTES or age > DAYS * 86_400:
                file.unlink(missing_ok=True)


_kept: dict[str, object] = {}
"""The entries that this process has written or used, in all its caches."""


def _mark(file: Path | os.DirEntry[str]) -> object:
    """Return a value that changes when a file is written or used."""
    found = os.stat(file, follow_symlinks=False)
    return found.st_ino, found.st_size, found.st_mtime_ns


def default_folder() -> Path:
    """Return `$ARCHCHECK_CACHE_DIR`, or `archcheck` in the user's cache folder of this system."""
    if chosen := os.environ.get("ARCHCHECK_CACHE_DIR"):
        return Path(chosen).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if shared.is_absolute():
        return shared / "archcheck"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "archcheck"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "archcheck" / "Cache"
    return Path.home() / ".cache" / "archcheck"


def _contents(paths: Iterable[str]) -> dict[str, str | None] | None:
    """Return the content digest of each path, or `None` if the files are larger than `LARGEST` together."""
    paths = list(paths)
    found = {path: _stat(path) for path in paths}
    if sum(each.st_size for each in found.values() if each and stat.S_ISREG(each.st_mode)) > LARGEST:
        return None
    return {path: _content(path, found[path]) for path in paths}


def _content(path: str, found: os.stat_result | None) -> str | None:
    """Return the SHA-256 of a file or of the names in a folder, or `None` if it is missing or cannot be read."""
    if found is None:
        return None
    try:
        if stat.S_ISREG(found.st_mode):
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        if stat.S_ISDIR(found.st_mode):
            names = sorted(set(os.listdir(path)) - {"__pycache__"})
            return hashlib.sha256(json.dumps(names).encode()).hexdigest()
    except OSError:
        return None
    return "neither a file nor a folder"


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _changed(path: str) -> int | None:
    found = _stat(path)
    return found and found.st_ctime_ns


def _failed(request: Mapping[str, Any], answer: Any) -> bool:
    """Whether a probe, a checkpoint or a trainer failed. The reason may lie outside all files."""
    if request["do"] != "measure":
        return False
    spec = request.get("training") or {}
    tried = spec.get("checkpoint") and spec.get("evaluate")
    failed_probe = any(part.get("problem") for part in answer["behaviour"].values())
    return failed_probe or bool(tried and (answer["training"] or {}).get("checkpoint_problem"))


def _covers(read: Iterable[str], request: Mapping[str, Any]) -> bool:
    """Whether the file of the target is among the files that were read, if the request reads it."""
    named = re.fullmatch(r"(.+\.py)(:.+)?", request["target"])
    if not named or (named[2] and request["do"] == "find"):  # `find` returns a named target without reading it
        return True
    return os.path.realpath(Path(request["root"], named[1])) in map(os.path.realpath, read)


def _seal(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=key).hexdigest().encode()


def _replace(file: Path, content: bytes) -> None:
    """Write `file` completely or not at all, readable only by the owner."""
    import tempfile  # only here: most runs write no entry

    number, partial = tempfile.mkstemp(prefix=".archcheck-", suffix=".partial", dir=file.parent)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
        os.replace(partial, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
