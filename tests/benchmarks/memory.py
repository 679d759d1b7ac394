"""How much memory a command takes: proportional shares (PSS) of all its processes, summed, at the highest moment seen.

    python tests/benchmarks/memory.py                            the check of the flagship, without the cache
    python tests/benchmarks/memory.py archcheck report x.py:Net  any other command

Linux only. `--limit MIB` also runs it in a control group that has no more memory than that, page cache included, where
this user may make one (version 1 or 2 of control groups).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_FLAGSHIP = [sys.executable, "-m", "archcheck", "check", "mnist", "--no-cache"]
_PAUSE = 0.02
"""Seconds between two looks; reading the shares of a process with torch takes some milliseconds itself."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, metavar="MIB")
    parser.add_argument("--quiet", action="store_true", help="do not show what the command prints")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    with contained(given.limit) as group:
        code, peak, shares = run(given.command or _FLAGSHIP, group, quiet=given.quiet)
    for name, size in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"{size / 2**20:8.0f} MiB  {name}")
    print(f"{peak / 2**20:8.0f} MiB  at the highest moment; exit code {code}")


def run(command: list[str], group: Path | None = None, *, quiet: bool = False) -> tuple[int, int, dict[str, int]]:
    """Return the exit code, the highest sum of shares in bytes, and the share of each process at that moment."""

    def enter() -> None:
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    peak, at_peak = 0, {}
    output = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(command, preexec_fn=enter, stdout=output, stderr=output) as process:
        while process.poll() is None:
            shares = {f"{pid} {what(pid)}": share(pid) for pid in tree(process.pid)}
            if (total := sum(shares.values())) > peak:
                peak, at_peak = total, shares
            time.sleep(_PAUSE)
    return process.returncode, peak, at_peak


def tree(root: int) -> list[int]:
    """Return a process and all below it."""
    found = [root]
    for pid in found:
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, file.read_text().split())
    return found


def share(pid: int) -> int:
    """Return the proportional share of a process in bytes; 0 if it is gone."""
    with contextlib.suppress(OSError):
        match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(match[1]) << 10 if match else 0
    return 0


def what(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-60:]
    return ""


@contextlib.contextmanager
def contained(limit: int | None) -> Iterator[Path | None]:
    """Yield a control group with a limit in MiB; `None` without one."""
    if limit is None:
        yield None
        return
    first = Path("/sys/fs/cgroup/memory")  # version 1
    group = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"archcheck-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first.is_dir() else "memory.max")).write_text(str(limit << 20))
        yield group
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            with contextlib.suppress(OSError):
                print(f"{int((group / name).read_text()) / 2**20:8.0f} MiB  was the most of the control group")
    finally:
        group.rmdir()


if __name__ == "__main__":
    main()
