"""Judge every network that tries to be talked into a pass, and print what becomes of each.

    python tests/benchmarks/evasions.py [NAME ...] [--no-paranoid]

The subjects are those of `tests/evasion/subjects`, judged by a contract that only the honest network keeps. A line is
the subject, its verdict and the first finding. `KEPT` got away with it, and so did what made archcheck itself fail
(`FAILED`). The last line counts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "evasion"))
from catalogue import SUBJECTS, contract, evasions


def judge(subjects: dict[str, str], options: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for file in SUBJECTS.glob("*.py"):
            shutil.copy(file, folder)
        Path(folder, "archcheck.toml").write_text(contract(subjects))
        command = [sys.executable, "-m", "archcheck", "check", "--no-cache", "--format", "json", *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return list(json.loads(done.stdout)["reports"])


def verdict(report: dict[str, Any]) -> tuple[str, str]:
    """Return what became of a subject, and why."""
    if report.get("error"):
        message = report["error"]["message"]
        return "FAILED" if "archcheck itself failed" in message else "error", message
    failed = [one for one in report["outcomes"] if one["verdict"] != "kept"]
    if not failed:
        return "KEPT", "; ".join(report["facts"]["subject"]["notes"])
    findings = failed[0].get("findings") or [{"message": ""}]
    return failed[0]["verdict"], f"{failed[0]['rule']}: {findings[0]['message']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names")
    parser.add_argument("--no-paranoid", action="store_true", help="without the second look on real tensors")
    options = parser.parse_args()
    chosen = {name: target for name, target in evasions() if not options.names or any(n in name for n in options.names)}
    got_away = []
    for report in judge(chosen, ["--no-paranoid"] if options.no_paranoid else []):
        word, why = verdict(report)
        got_away += [report["subject"]] if word in ("KEPT", "FAILED") else []
        print(f"{report['subject']:<28}{word:<9}{why[:150]}")
    print(f"caught {len(chosen) - len(got_away)} of {len(chosen)}", *(["; got away:", *got_away] if got_away else []))


if __name__ == "__main__":
    main()
