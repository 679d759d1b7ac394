"""Claims: what texts say about a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from archcheck.facts.facts import Facts
from archcheck.foundation import numbers_in_text
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import Region, as_block, regions
from archcheck.foundation.regular_expressions import Unmatched
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text
from archcheck.foundation.words import amount, quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.figures import Values, figure_text, find_figure, needs_training, table, value_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Rule):
    r"""Every number that `pattern` finds in the text `file` is what was measured as `fact`.

    `pattern` is a regular expression with one group, the number. It may be written as `13,086`, `15k`, `1.33 M` or
    `99.4 %`; a share above 1 is read as percent. `^` and `$` match at every line. `fact` is the path of a figure:
    `params.total`, `params.trainable`, `params.frozen`, `params.hidden_total`, `params.effective` (those that are not
    zero), `params.buffers`, `params.bytes`, `cost.macs`, `cost.training_macs`, `cost.fvcore_flops`, `cost.activations`,
    `cost.peak_activation_bytes`, `dropout` (the rate of every dropout that takes effect), `training.accuracy` (the mean
    over the recorded seeds), `training.seeds`, `training.epochs`, `training.correct`, `training.total`, and any number
    of the record, such as `training.record.recipe.settings.batch_size`. A number is right when it is the measured
    number, rounded to the written digits: 1.33M is right for 1,328,360, and 15k is wrong for 13,086. With `tolerance`,
    the number may differ by at most that share of the measured value; `"0 %"` allows no rounding. A pattern that finds
    nothing breaks the rule.

    In a contract: `claim = [{ file = "README.md", pattern = '([\d,]+) parameters', fact = "params.total" }]`

    Example, kept:
        rule = claim = { file = "README.md", pattern = '([\d,.]+k?) parameters', fact = "params.total" }
        texts = { "README.md" = "A layer of 1,010 parameters, or about 1.0k parameters." }
        model = nn.Sequential(nn.Linear(100, 10))
        input = [1, 100]

    Example, broken:
        rule = claim = { file = "README.md", pattern = '([\d,.]+k?) parameters', fact = "params.total" }
        texts = { "README.md" = "A layer of 1,010 parameters.\nIt has ~2k parameters." }
        model = nn.Sequential(nn.Linear(100, 10))
        input = [1, 100]
        says = README.md says 2k, and params.total is 1,010

    Example, broken:
        rule = claim = { file = "README.md", pattern = 'dropout of ([\d.]+)', fact = "dropout" }
        texts = { "README.md" = "It has dropout." }
        model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1))
        input = [1, 4]
        says = nothing in README.md matches "dropout of ([\\d.]+)"

    Example, error:
        rule = claim = { file = "README.md", pattern = '([\d,]+) parameters', fact = "params.total" }
        model = nn.Linear(10, 10)
        input = [1, 10]
        says = "README.md" was not read
    """

    narrows = False
    file: str
    pattern: str
    fact: str
    tolerance: float | None = field(default=None, metadata={"unit": "share", "least": 0})

    def __post_init__(self) -> None:
        """Refuse an invalid pattern and an unknown fact."""
        Rule.__post_init__(self)
        if not self.file.strip():
            raise ValueError("`file` must not be empty")
        try:
            groups = re.compile(self.pattern, re.MULTILINE).groups
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"`pattern` is not a regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"`pattern` needs one group, the number, found {groups}; write (?:…) for any other")
        find_figure(self.fact)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The training record, if the figure comes from it."""
        return ("training",) if needs_training(self.fact) else ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The file."""
        return (self.file,)

    def check(self, facts: Facts) -> Result:
        """Compare every number that the pattern finds with what was measured."""
        text, figure = facts.texts[self.file], find_figure(self.fact)
        try:
            stated = tuple(numbers_in_text.claims_in(text, self.pattern, figure.unit, facts.texts.limit))
        except Unmatched as problem:
            raise NotMeasured(
                f"the pattern {quote(self.pattern)} of claim {problem} in {text.shown}",
                where=Where(file=text.shown, line=1),
                fix="write it so that no repetition stands within another, or raise `--timeout`",
            ) from None
        values = figure.of(facts)
        findings = [finding for claim in stated for finding in self._judged(claim, values, text)]
        if not stated and not self.allow_empty:
            findings = [self._nothing(text)]
        return Result(
            examined=len(stated),
            findings=tuple(findings),
            found=[claim.written for claim in stated],
            limit=self._shown(values),
            kept=f"{text.shown} says {', '.join(claim.written for claim in stated)}: {self.fact} is "
            f"{self._shown(values)}",
        )

    def _judged(self, claim: numbers_in_text.Claim, values: Values, text: Text) -> Iterator[Finding]:
        shown = self._shown(values)
        if claim.value is None:
            message = f"{text.shown} says {quote(claim.written)}, which is not a number that {self.fact} could be"
            fix = f"let the group of `pattern` catch the number that stands there, or write {shown}"
            yield Finding(message=message, where=claim.where, fix=fix)
        elif not values or not all(self._holds(claim, value) for value in values):
            message = f"{text.shown} says {claim.written}, and {self.fact} is {shown}"
            fix = f"write {shown}, or mend the model" if values else f"take {claim.written} away, or mend the model"
            yield Finding(message=message, where=claim.where, fix=fix)

    def _holds(self, claim: numbers_in_text.Claim, value: Fraction) -> bool:
        room = None if self.tolerance is None else Fraction(str(self.tolerance))
        assert claim.value is not None
        percent = claim.of_one and claim.value > 1 and value <= 1 and not self.fact.startswith("training.record.")
        return claim.holds(100 * value if percent else value, room)

    def _nothing(self, text: Text) -> Finding:
        return Finding(
            message=f"nothing in {text.shown} matches {quote(self.pattern)}",
            where=Where(file=text.shown, line=1),
            fix="write the figure there, or change the pattern of claim",
        )

    def _shown(self, values: Values) -> str:
        return ", ".join(value_text(self.fact, value, exact=True) for value in values) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced(Rule):
    """The text between the subject's markers in `files` is what `archcheck sync` would write today.

    Between `<!-- archcheck: mnist -->` and `<!-- /archcheck -->` stands a table of the subject `mnist`. With a figure
    after the name, `<!-- archcheck: mnist params.total -->`, only that figure stands there. The figures are those of
    `claim`. Markers of other subjects are judged with those subjects. Markers in fenced code and in code spans are
    ignored.

    In a contract: `synced = ["README.md"]`

    Example, kept:
        rule = synced = "README.md"
        texts = { "README.md" = "It has <!-- archcheck: net params.total -->110<!-- /archcheck --> parameters." }
        model = nn.Sequential(nn.Linear(10, 10))
        input = [1, 10]

    Example, broken:
        rule = synced = "README.md"
        texts = { "README.md" = "It has <!-- archcheck: net params.total -->100<!-- /archcheck --> parameters." }
        model = nn.Sequential(nn.Linear(10, 10))
        input = [1, 10]
        says = README.md says 100 for net params.total, which is 110

    Example, vacuous:
        rule = synced = "README.md"
        texts = { "README.md" = "It has 110 parameters." }
        model = nn.Sequential(nn.Linear(10, 10))
        input = [1, 10]

    Example, error:
        rule = synced = "README.md"
        texts = { "README.md" = "It has <!-- archcheck: net params.total -->110 parameters." }
        model = nn.Sequential(nn.Linear(10, 10))
        input = [1, 10]
        says = is not closed
    """

    narrows = False
    needs = ("training",)
    files: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a rule without files."""
        Rule.__post_init__(self)
        if isinstance(self.files, str) or not self.files or not all(file.strip() for file in self.files):
            raise ValueError("`files` names at least one text, such as README.md")

    @property
    def reads(self) -> tuple[str, ...]:
        """The files."""
        return self.files

    def check(self, facts: Facts) -> Result:
        """Compare the text between the markers with what should be there."""
        found = [
            (facts.texts[file], region)
            for file in dict.fromkeys(self.files)
            for region in regions(facts.texts[file], facts.texts.subjects)
            if region.subject == facts.subject.name
        ]
        findings = tuple(finding for text, region in found for finding in _stale(text, region, facts))
        kept = f"{amount(len(found), 'places')} between markers as measured"
        return Result(examined=len(found), findings=findings, kept=kept)


def written_for(text: Text, region: Region, facts: Facts) -> str:
    """Return the text that belongs between two markers: a figure, or a table on lines of its own.

    Raises `NotMeasured` with the place for an unknown figure.
    """
    if region.path is None:
        return as_block(table(facts), text, region)
    try:
        return figure_text(region.path, facts)
    except ValueError as error:
        raise NotMeasured(str(error), where=region.where, fix="name a figure there that is one") from None
    except NotMeasured as error:
        raise NotMeasured(str(error), where=region.where, fix=error.fix) from None


def _stale(text: Text, region: Region, facts: Facts) -> Iterator[Finding]:
    stands, belongs = text.demand()[region.start : region.end], written_for(text, region, facts)
    if stands == belongs:
        return
    if region.path is None:
        message = f"the table of {region.subject} in {text.shown} is stale: {'; '.join(differences(stands, belongs))}"
    else:
        says = " ".join(stands.split()) or "nothing"
        message = f"{text.shown} says {says} for {region.subject} {region.path}, which is {belongs}"
    yield Finding(message=message, where=region.where, fix=f"`archcheck sync {text.shown}` updates it")


def differences(stands: str, belongs: str) -> Iterator[str]:
    """Yield how the rows of a table differ from the right ones. For other lines, only say that they differ."""
    old, new = _rows(stands), _rows(belongs)
    if not old:
        yield "there is none yet"
        return
    rows = [f"{name} {old.get(name, 'nothing')} -> {value}" for name, value in new.items() if old.get(name) != value]
    rows += [f"{name} {value} -> nothing" for name, value in old.items() if name not in new]
    yield from rows or ["its lines differ"]


def _rows(text: str) -> dict[str, str]:
    """Return the rows below the head by their first cell."""
    cells = [re.fullmatch(r"[ \t>]*\|([^|]*)\|([^|]*)\|\s*", line) for line in text.splitlines()]
    rows = [(row[1].strip(), row[2].strip()) for row in cells if row]
    return dict(rows[2:])
