"""File locks: one process at a time, released by the kernel however the process ends.

If a file system has no such locks, the file itself is the lock. It names its process, and another process takes it over
when that process is dead. A lock lies beside the file that it protects, so that everyone who may write the file may
lock it, and every path to the folder finds the lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import socket
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

ROOM = 1 << 20
"""Bytes that are enough for what one run of a training tells of itself."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
_HOLDER = re.compile(r"process (?P<pid>[0-9]{1,9}) on (?P<host>\S+) since ")
_LONGEST = 200
"""Bytes of a lock that are read: who holds it stands in its first line."""


class Lock:
    """A lock that this process holds; `file` is where it lies."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self.file = file
        self._descriptor = descriptor

    def become(self, file: Path, content: bytes) -> None:
        """Rename the reserved space of the lock to `file`. Raises `OSError` if that fails."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        write_all(self._descriptor, content)
        os.ftruncate(self._descriptor, len(content))
        os.fsync(self._descriptor)
        self.file.rename(file)

    def _introduce(self, room: int) -> None:
        """Say in the file who holds the lock, and keep so many bytes of room."""
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        line = f"process {os.getpid()} on {socket.gethostname() or 'unknown'} since {since}\n".encode()
        os.ftruncate(self._descriptor, 0)
        write_all(self._descriptor, line.ljust(room))


def lock_file(target: Path) -> Path:
    """Return where the lock of a file lies: beside what its path, through whatever links, leads to."""
    resolved = Path(os.path.realpath(target))
    return resolved.with_name(f"{resolved.name}.lock")


@contextmanager
def lock_beside(target: Path, *, on_wait: Callable[[str], None] | None = None, room: int = 0) -> Iterator[Lock]:
    """Hold the lock of the file `target` or of the one that it links to, as long as the context lasts.

    It keeps `room` bytes on its disk free for what must not get lost when that is full.

    While another process holds it, wait, once `on_wait` has been told who that is.

    Raises:
        OSError: nothing can be written beside the target, or its disk is full.
        ArchcheckError: another process holds it where the system cannot tell when it ends, or no file lies there.
    """
    file = lock_file(target)
    descriptor = _acquired(file, on_wait)
    try:
        lock = Lock(file, descriptor)
        lock._introduce(room)
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
                _take_over(file, _holder(descriptor))  # then it is made again
        except BaseException:
            os.close(descriptor)
            raise
        if is_at(descriptor, file):  # else its holder took it away in the meantime
            return descriptor
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody else holds it. Return whether that worked.

    Raises `OSError` if the file system or the operating system has no such locks.
    """
    if _locks is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        _locks.flock(descriptor, _locks.LOCK_EX | _locks.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_if_left(file: Path) -> None:
    """Remove a file that its writer keeps locked while it lives, if nobody holds the lock."""
    with contextlib.suppress(OSError), open_regular(file) as stream:
        if try_lock(stream.fileno()):
            file.unlink(missing_ok=True)


def is_at(descriptor: int, file: Path) -> bool:
    """Whether an open file is still the one at a path."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), file.stat())
    return False


def _opened(file: Path) -> tuple[int, bool]:
    """Return a descriptor of the file, and whether this process has made it just now."""
    while True:
        with contextlib.suppress(FileExistsError):
            return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        _refuse_no_lock(file)
        with contextlib.suppress(FileNotFoundError):  # it went away in between
            return os.open(file, os.O_RDWR), False


def _refuse_no_lock(file: Path) -> None:
    """Raise `ArchcheckError` for a file that is not a lock: it would be overwritten, and a link may lead anywhere."""
    try:
        refuse_irregular(file, follow=False)
    except OSError as error:
        raise ArchcheckError(f"`{file}` is not a lock: {error.strerror}; move it away") from None


def _holder(descriptor: int) -> str:
    """Return who says to hold the lock: `process 17 on castle since 2030-01-01 12:00:00+00:00`."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return one_line(os.read(descriptor, _LONGEST).partition(b"\n")[0].decode(errors="replace"))


def _take_over(file: Path, holder: str) -> None:
    """Remove the lock of a process of this machine that is dead. Raises `ArchcheckError` for any other."""
    found = _HOLDER.match(holder)
    if found and found["host"] == socket.gethostname() and not _lives(int(found["pid"])):
        file.unlink(missing_ok=True)
        return
    raise ArchcheckError(
        f"`{file}` says that {holder or 'another process'} is at work; wait until that has ended, "
        "or delete this file if it has"
    )


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
