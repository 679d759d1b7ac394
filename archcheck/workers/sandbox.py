"""Run the worker in a sandbox: without network, without other processes, and without write access.

The sandbox is bubblewrap (`bwrap`), which uses Linux namespaces. If bubblewrap is missing, `--sandbox` is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from archcheck.foundation.errors import ArchcheckError

_TOOL = "bwrap"
_HIDDEN = ("/tmp", "/var/tmp", "/run")
"""Folders that are empty in the sandbox: services listen there that could act for a subject."""
_OPTIONS = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
)
_LIMIT = 60


def sandboxed(command: Sequence[str], scratch: str, shown: Iterable[str]) -> list[str]:
    """Return `command` as a command that runs in the sandbox.

    It can write only to the folder `scratch`, and read everything that is not hidden. The folders `shown`, the current
    folder and those of Python stay visible, even in a hidden folder.
    """
    words = [_TOOL, *_OPTIONS]
    hidden = [folder for folder in map(Path, _HIDDEN) if folder.is_dir() and not folder.is_symlink()]
    for folder in hidden:
        words += ["--tmpfs", str(folder)]
    python = (sys.prefix, sys.base_prefix, str(Path(sys.executable).parent))
    wanted = dict.fromkeys(Path(folder).absolute() for folder in (*shown, str(Path.cwd()), *python, *sys.path[1:]))
    for path in wanted:
        if path.exists() and any(path.is_relative_to(folder) and path != folder for folder in hidden):
            words += ["--ro-bind", str(path), str(path)]
    return [*words, "--bind", scratch, scratch, "--", *command]


def refuse_if_unable() -> None:
    """Raise `ArchcheckError` with the reason if no sandbox can be started."""
    if shutil.which(_TOOL) is None:
        raise ArchcheckError(
            f"the sandbox needs bubblewrap, and there is no `{_TOOL}` on PATH; "
            "install it (`apt install bubblewrap`), or judge in a container"
        )
    try:
        done = subprocess.run(
            [_TOOL, *_OPTIONS, "--", "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if done.returncode == 0:
            return
        said = " ".join(done.stderr.decode(errors="replace").split())[:300] or f"exit code {done.returncode}"
    raise ArchcheckError(f"the sandbox does not work here: {said}; judge in a container, or without the sandbox")
