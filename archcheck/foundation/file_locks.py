"""File locks for one process at a time. The kernel releases them however the process ends.

If a file system has no such locks, the file itself is the lock. It names its process, and another process takes it over
when that process is dead. A lock lies beside the file that it protects, so that everyone who may write the file can
lock it, and so that every path to the folder leads to the lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from archcheck.foundation.errors import ArchcheckError, one_line
from archcheck.foundation.regular_files import open_regular, refuse_irregular, write_all

try:
    import fcntl as _fcntl
except ImportError:  # Windows
    _locks: ModuleType | None = None
else:
    _locks = _fcntl

RESERVED = 1 << 20
"""Bytes that are enough for the record of one training run."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
_HOLDER = re.compile(r"process (?P<pid>[0-9]{1,9}) on (?P<host>\S+) since ")
_LONGEST = 200
"""Bytes of a lock that are read: its first line names the holder."""


class Lock:
    """A lock that this process holds; `file` is its path."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self.file = file
        self._descriptor = descriptor

    def turn_into(self, file: Path, content: bytes) -> None:
        """Write `content` into the reserved space of the lock, and rename the lock to `file`. Raises `OSError`."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        write_all(self._descriptor, content)
        os.ftruncate(self._descriptor, len(content))
        os.fsync(self._descriptor)
        self.file.rename(file)

    def write_holder(self, reserve: int) -> None:
        """Write the holder of the lock into the file, and reserve bytes on the disk."""
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        line = f"process {os.getpid()} on {_host() or 'unknown'} since {since}\n".encode()
        os.ftruncate(self._descriptor, 0)
        write_all(self._descriptor, line.ljust(reserve))


def lock_file(target: Path) -> Path:
    """Return the path of a file's lock: beside the file, after all links are followed."""
    resolved = Path(os.path.realpath(target))
    return resolved.with_name(f"{resolved.name}.lock")


@contextmanager
def lock_beside(target: Path, *, on_wait: Callable[[str], None] | None = None, reserve: int = 0) -> Iterator[Lock]:
    """Hold the lock of the file `target`, or of the file that it links to, until the end of the block.

    The lock reserves bytes on the disk for content that must not be lost when the disk is full. If another process
    holds the lock, call `on_wait` with its name and wait.

    Raises:
        OSError: no file can be written beside the target, or its disk is full.
        ArchcheckError: another process holds the lock and the system cannot tell when it ends, or the path of the lock
            is not a regular file.
    """
    file = lock_file(target)
    descriptor = _acquired(file, on_wait)
    try:
        lock = Lock(file, descriptor)
        lock.write_holder(reserve)
        yield lock
    finally:
        if is_at(descriptor, file):
            file.unlink(missing_ok=True)
        os.close(descriptor)


def _acquired(file: Path, on_wait: Callable[[str], None] | None) -> int:
    while True:
        descriptor, ours = _opened(file)
        try:
            if try_lock(descriptor) is False:
                if on_wait:
                    on_wait(_holder(descriptor) or "another process")
                on_wait = None
                assert _locks is not None
                _locks.flock(descriptor, _locks.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            if not ours:
                _take_over(file, _holder(descriptor))  # and try again
        except BaseException:
            os.close(descriptor)
            raise
        if is_at(descriptor, file):  # else its holder has removed it in the meantime
            return descriptor
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file if no other process holds it. Return whether that worked.

    Raises `OSError` if the file system or the operating system has no such locks.
    """
    if _locks is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        _locks.flock(descriptor, _locks.LOCK_EX | _locks.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_if_unlocked(file: Path) -> None:
    """Remove a file if no process holds its lock. Its writer keeps it locked while it runs."""
    with contextlib.suppress(OSError), open_regular(file) as stream:
        if try_lock(stream.fileno()):
            file.unlink(missing_ok=True)


def is_at(descriptor: int, file: Path) -> bool:
    """Whether a path still leads to an open file."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), file.stat())
    return False


def _opened(file: Path) -> tuple[int, bool]:
    """Return a descriptor of the file, and whether this process has just created the file."""
    while True:
        with contextlib.suppress(FileExistsError):
            return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        _refuse_no_lock(file)
        with contextlib.suppress(FileNotFoundError):  # it was removed in between
            return os.open(file, os.O_RDWR), False


def _refuse_no_lock(file: Path) -> None:
    """Raise `ArchcheckError` if a file cannot be a lock. It would be overwritten, and a link may lead anywhere."""
    try:
        refuse_irregular(file, follow=False)
    except OSError as error:
        raise ArchcheckError(f"`{file}` is not a lock: {error.strerror}; move it away") from None


def _holder(descriptor: int) -> str:
    """Return the holder that the lock names: `process 17 on castle since 2030-01-01 12:00:00+00:00`."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return one_line(os.read(descriptor, _LONGEST).partition(b"\n")[0].decode(errors="replace"))


def _host() -> str:
    """Return the name of this machine."""
    import socket  # only here: most runs take no lock, and the import takes as long as judging a subject

    return socket.gethostname()


def _take_over(file: Path, holder: str) -> None:
    """Remove the lock of a dead process of this machine. Raises `ArchcheckError` for the lock of any other process."""
    found = _HOLDER.match(holder)
    if found and found["host"] == _host() and not _is_alive(int(found["pid"])):
        file.unlink(missing_ok=True)
        return
    raise ArchcheckError(
        f"`{file}` says that {holder or 'another process'} is at work; wait until that has ended, "
        "or delete this file if it has"
    )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
