"""Documents whose numbers are all proven: none that nobody checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.foundation.document_values import Leaf
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.json_pointers import check_pointer, is_below, steps_of
from archcheck.foundation.numbers_in_text import read_claim
from archcheck.foundation.regular_expressions import Unmatched, matches
from archcheck.foundation.source_place import Where
from archcheck.foundation.structured_documents import values_of
from archcheck.foundation.text_files import Stated, Text
from archcheck.foundation.words import amount, quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUnprovenNumbers(Rule):
    r"""Other rules of the subject prove every number in the documents `files`.

    The documents are of the formats in which `claim` finds numbers by a `pointer`: JSON, JSON Lines, YAML, TOML, the
    front matter of Markdown, and the metadata of a safetensors file. Numbers in quotes count, such as `"1.33 M"`; dates
    and words do not. A number is proven if a `claim` of the same subject states it, by a pointer or by a pattern; that
    claim judges whether it is right. The numbers of runs that `beats` compares are proven, too. `ignore` are pointers
    to what needs no proof, with everything below: `["/date", "/seeds"]`. A step `*` stands for every key and every
    index.

    In a contract: `no-unproven-numbers = { files = ["submission.json"], ignore = ["/seed"] }`

    Example, kept:
        rule = no-unproven-numbers = { files = ["entry.json"], ignore = ["/seed"] }
        beside = claim = { file = "entry.json", pointer = "/params", fact = "params.total" }
        texts = { "entry.json" = "{\"params\": 16, \"seed\": 1, \"author\": \"me\"}" }
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = no-unproven-numbers = { files = ["entry.json"], ignore = ["/seed"] }
        texts = { "entry.json" = "{\"params\": 16, \"seed\": 1}" }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = nothing proves that entry.json says 16 at /params

    Example, vacuous:
        rule = no-unproven-numbers = "entry.json"
        texts = { "entry.json" = "{\"author\": \"me\"}" }
        model = nn.Linear(3, 4)
        input = [1, 3]
    """

    narrows = False
    files: tuple[str, ...]
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a rule without files, and pointers that are none."""
        Rule.__post_init__(self)
        if not self.files or not all(file.strip() for file in self.files):
            raise ValueError("`files` names at least one document, such as submission.json")
        for pointer in self.ignore:
            check_pointer(pointer, "ignore")

    @property
    def reads(self) -> tuple[str, ...]:
        """The files."""
        return self.files

    def check(self, facts: Facts) -> Result:
        """Look for what proves each number."""
        findings, proven = list[Finding](), list[tuple[str, str]]()
        for file in dict.fromkeys(self.files):
            text = facts.texts[file]
            places = [_place(each, text, facts.texts.limit) for each in facts.texts.proven if each.file == file]
            for leaf in self._numbers(text):
                by = next((by for by, states in places if states(leaf)), None)
                if by is None:
                    findings.append(_finding(leaf, file, text))
                else:
                    proven.append((leaf.pointer, by))
        examined = len(findings) + len(proven)
        return Result(
            examined=examined,
            findings=tuple(findings),
            found=len(proven),
            limit=examined,
            unit="proven numbers",
            kept=f"{amount(examined, 'numbers')} in {', '.join(self.files)}: {_traced(proven)}",
        )

    def _numbers(self, text: Text) -> list[Leaf]:
        """Return the numbers that need a proof. Raises `NotMeasured` for a damaged document."""
        ignored = [steps_of(pointer) for pointer in self.ignore]
        try:
            return [
                leaf
                for leaf in values_of(text)
                if _is_number(leaf) and not any(is_below(leaf.path, steps) for steps in ignored)
            ]
        except ValueError as error:
            where, fix = Where(file=text.shown, line=1), "mend the file, or change `files` of no-unproven-numbers"
            raise NotMeasured(str(error), where=where, fix=fix) from None


def _is_number(leaf: Leaf) -> bool:
    where = Where(file="", line=0)
    return leaf.kind == "number" or (
        leaf.kind == "text" and read_claim(leaf.written, "number", where).value is not None
    )


def _place(stated: Stated, text: Text, limit: float) -> tuple[str, Callable[[Leaf], bool]]:
    """Return what proves the numbers at a place, and whether a number stands there."""
    if stated.pointer is not None:
        steps = steps_of(stated.pointer)
        return (
            stated.by,
            lambda leaf: is_below(leaf.path, steps) and not (stated.itself and len(leaf.path) > len(steps)),
        )
    try:
        found = matches(stated.pattern or "", text.demand(), limit)
    except Unmatched:  # the claim with that pattern says so
        found = ()
    groups = [(first, last) for _, first, last in found]
    return stated.by, lambda leaf: any(
        first < leaf.position + len(leaf.written) and leaf.position < last for first, last in groups
    )


def _finding(leaf: Leaf, file: str, text: Text) -> Finding:
    state = f"claim = {{ file = {quote(file)}, pointer = {quote(leaf.pointer)}, fact = … }}"
    return Finding(
        message=f"nothing proves that {text.shown} says {leaf.written} at {leaf.pointer or 'the top'}",
        where=text.line(leaf.position),
        fix=f"state what proves it, `{state}`, or add {quote(leaf.pointer)} to `ignore`",
    )


def _traced(proven: Sequence[tuple[str, str]]) -> str:
    """Return what proves each number, the first ones of many."""
    shown = [f"{pointer or 'the top'} by {by}" for pointer, by in proven[:_SHOWN]]
    return ", ".join([*shown, *([f"{len(proven) - _SHOWN:,} more"] if len(proven) > _SHOWN else [])])


_SHOWN = 12
"""Numbers at most whose proof a report names."""
