"""Make this process imitate Windows, as far as archcheck would notice. Import this module first, then call `pretend`.

Modules and functions that Python does not have there are taken away.
"""

import os
import signal
import sys

_MODULES = ("fcntl", "grp", "pwd", "pty", "readline", "resource", "syslog", "termios", "tty")
_OF_OS = ("fork", "forkpty", "getuid", "geteuid", "killpg", "register_at_fork", "setsid", "statvfs", "waitid")
_OF_SIGNAL = ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "alarm", "pthread_sigmask", "setitimer")


def pretend() -> None:
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for owner, names in ((os, _OF_OS), (signal, _OF_SIGNAL)):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
    sys.platform = "win32"
