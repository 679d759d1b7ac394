"""Print what each tool counts of each network of the tests, and what archcheck says that it counts.

    python tests/benchmarks/conventions_table.py [--only NETWORK ...]

A line is a network and a tool: "equal" or "differs", the number of `--as`, how it relates to the true one in the unit
of the tool, and the operator at which both differ most, with the reason. Where a tool fails, archcheck must say so,
too. The last lines count the networks by tool, and the exit code is 1 if any differs. Tools that are not installed are
left out; DeepSpeed's numbers were recorded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import torch
from packaging.version import Version

CONVENTIONS_OF_TESTS = Path(__file__).parents[1] / "facts" / "conventions"
sys.path.insert(0, str(CONVENTIONS_OF_TESTS))

from counted_networks import NETWORKS  # noqa: E402 - the tests import it from their own folder
from counting_tools import PACKAGES, say  # noqa: E402

from archcheck.facts.calls import CALLS  # noqa: E402
from archcheck.facts.conventions.comparison import CONVENTIONS, counted_as  # noqa: E402
from archcheck.facts.cross_checks import ToolCount  # noqa: E402
from archcheck.measure import measure_model  # noqa: E402

RECORDED = json.loads((CONVENTIONS_OF_TESTS / "deepspeed.json").read_text())


def installed() -> list[str]:
    """Return the tools that can be asked here, and say which of them have another version than the formulas."""
    found = []
    for tool in CONVENTIONS:
        package, known = PACKAGES.get(tool), CONVENTIONS[tool].version
        if package is not None:
            try:
                importlib.import_module(package)
            except ImportError as error:
                print(f"{tool} cannot be asked here: {error}")
                continue
            if Version(version := metadata.version(package)) != Version(known):
                print(f"{tool}: the formulas are those of {known}, and {version} is installed")
        if package is not None or tool in ("flop-counter", "deepspeed"):
            found.append(tool)
    return found


def told(tool: str, name: str) -> int | None:
    """Return what a tool itself counts, `None` where it fails."""
    if tool == "deepspeed":
        return RECORDED.get(name)
    torch.manual_seed(0)
    return say(tool, *NETWORKS[name]())


def why(count: ToolCount) -> str:
    """Return at which operator a tool differs most from the true count, and for what reason."""
    if count.total is None:
        return f"no number: {count.error}"
    groups: Counter[tuple[str, str]] = Counter()
    for each in count.differences:
        groups[each.op, each.reason] += each.theirs - each.ours
    if not groups:
        return "as the true count"
    (operator, reason), amount = max(groups.items(), key=lambda item: abs(item[1]))
    return f"{operator} {amount:+,}: {reason}"


def lines_of(name: str, tools: list[str]) -> list[tuple[str, bool, str]]:
    """Return for each tool its name, whether both numbers are equal, and the line of the table."""
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]()
    facts = measure_model(model, example=inputs, needs=[CALLS])
    lines = []
    for tool in tools:
        count, theirs = counted_as(facts, tool), told(tool, name)
        true = CONVENTIONS[tool].per_mac * count.macs
        share = f"{count.total / true:.3f}" if count.total is not None and true else "-"
        shown = "none" if count.total is None else f"{count.total:,}"
        verdict = "equal" if count.total == theirs else f"differs (the tool says {theirs})"
        line = f"{name:<34}{tool:<14}{verdict:<8}{shown:>16} {count.unit:<14}{share:>8} of the true  {why(count)}"
        lines.append((tool, count.total == theirs, line))
    return lines


def main() -> None:
    """Print the table, and how many networks each tool counts as archcheck says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK")
    chosen, tools = parser.parse_args().only, installed()
    equal: Counter[str] = Counter()
    for name in chosen:
        for tool, same, line in lines_of(name, tools):
            equal[tool] += same
            print(line, flush=True)
    for tool in tools:
        print(f"{tool}: {equal[tool]} of {len(chosen)} networks equal")
    raise SystemExit(any(equal[tool] < len(chosen) for tool in tools))


if __name__ == "__main__":
    main()
