"""Write the generated parts of the manual again.

These are a page a rule, the table of rules, and torch's operators of each kind.

Prints each file that changes. With `--check` nothing is written, and the exit code is 1 when a file is stale.
"""

import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from archcheck.facts.selectors import GROUPS, KINDS
from archcheck.judging.rule_pages import markdown, promise
from archcheck.measure.operators.vocabulary import KINDS as OPERATORS
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "archcheck" / "pages"
TABLE = re.compile(r"(?<=^\|---\|---\|\n)(?:\|.*\n)+", re.MULTILINE)


def generated() -> dict[Path, str]:
    """Return what the generated files hold, by file."""
    files = {PAGES / "rules" / f"{rule_name(rule)}.md": markdown(rule) for rule in BUILTIN}
    files[PAGES / "rules.md"] = with_rules((PAGES / "rules.md").read_text(encoding="utf-8"))
    files[PAGES / "kinds.md"] = with_operators((PAGES / "kinds.md").read_text(encoding="utf-8"))
    return files


def with_rules(page: str) -> str:
    """Return the page with the table of every rule and its promise."""
    rows = [f"| [`{name}`](rules/{name}.md) | {promise(rule)} |\n" for rule in BUILTIN for name in [rule_name(rule)]]
    return TABLE.sub(lambda _: "".join(rows), page, count=1)


def with_operators(page: str) -> str:
    """Return the page with a line in each section: the kinds of a group, or torch's operators of a kind."""
    page = re.sub(r"^(?:Kinds in the group|Operators of torch): (?:.+\n)+\n?", "", page, flags=re.MULTILINE)
    by_kind = defaultdict(list)
    for name, kind in OPERATORS.items():
        by_kind[kind].append(name)

    def section(found: re.Match[str]) -> str:
        name, text = found["name"], found[0].rstrip("\n")
        if name in GROUPS:
            text += listing("Kinds in the group", GROUPS[name])
        if name in KINDS and (operators := by_kind[name]):
            text += listing("Operators of torch", operators)
        return text + "\n\n"

    return re.sub(r"^### (?P<name>\w+)\n(?:(?!^#).*\n?)*", section, page, flags=re.MULTILINE).rstrip() + "\n"


def listing(title: str, names: Iterable[str]) -> str:
    """Return a paragraph that lists names."""
    return "\n\n" + textwrap.fill(f"{title}: {', '.join(f'`{name}`' for name in names)}.", 120, break_on_hyphens=False)


def main() -> int:
    """Write what is stale, or only tell it."""
    check = "--check" in sys.argv[1:]
    wanted = generated()
    strange = set((PAGES / "rules").glob("*")) - set(wanted)
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in (*stale, *sorted(strange)):
        sys.stdout.write(f"{file.relative_to(ROOT).as_posix()}\n")
        if check:
            continue
        if file in strange:
            file.unlink()
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(wanted[file], encoding="utf-8")
    return 1 if check and (stale or strange) else 0


if __name__ == "__main__":
    sys.exit(main())
