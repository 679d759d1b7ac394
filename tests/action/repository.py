"""Small git repositories, as a runner finds them after a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NOBODY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` and return what it printed."""
    command = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **NOBODY}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, **files: str) -> str:
    """Commit files named `net_py`; return the commit."""
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "work")
    return git(folder, "rev-parse", "HEAD")


def pull_request(folder: Path, *, base: dict[str, str], change: dict[str, str]) -> tuple[str, str]:
    """Make a repository whose HEAD is the merge that GitHub makes of a pull request; return its parents.

    The base branch went on after the change was begun, and its last commit has the files `base`.
    """
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet")
    commit(folder, readme_md="begun\n")
    git(folder, "checkout", "--quiet", "-b", "change")
    head = commit(folder, **change)
    git(folder, "checkout", "--quiet", "main")
    onto = commit(folder, **base)
    git(folder, "checkout", "--quiet", "--detach")
    git(folder, "merge", "--quiet", "--no-ff", "-X", "theirs", "--message", "merge", "change")
    return onto, head
