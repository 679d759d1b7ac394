"""SIGKILL at every moment at which a process touches a file: before and after each call, one process a moment."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from types import FrameType
from typing import Any

TOUCHES = frozenset({
    "open", "write", "truncate", "ftruncate", "flush", "fsync", "close", "rename", "replace", "unlink", "remove",
    "mkdir", "chmod", "flock", "__exit__",
})  # fmt: skip
"""The calls into the system, by the names that Python gives to its functions for them."""

WRITERS = ("archcheck/foundation/whole_files.py", "archcheck/foundation/file_locks.py")
"""The modules through which commands write."""


def killed_at_every_moment(run: Callable[[], Any], *inside: str) -> Iterator[int]:
    """Call `run` in a child that is killed at its first touch of a file by code `inside`, at its second, and so on.

    Yields after every kill. Ends with the first child that came to its end, which has done so without an error.
    """
    for moment in count(1):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _arrange(moment, inside)
                run()
                code = 0
            finally:
                sys.setprofile(None)
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            assert status == 0
            return
        yield moment


def _arrange(moment: int, inside: tuple[str, ...]) -> None:
    left = moment

    def strike(frame: FrameType, event: str, function: Any) -> None:
        nonlocal left
        if event not in ("c_call", "c_return") or function.__name__ not in TOUCHES:
            return
        caller: FrameType | None = frame
        while caller is not None and not caller.f_code.co_filename.endswith(inside):
            caller = caller.f_back
        if caller is None:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(strike)
