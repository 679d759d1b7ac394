"""Claims: what texts say about a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from archcheck.facts.artifact_files import Artifact
from archcheck.facts.facts import Facts
from archcheck.foundation import numbers_in_text
from archcheck.foundation.markers import COMPARISON, Region, regions
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Stated, Text
from archcheck.foundation.words import amount, quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.comparisons import comparison_row, row_of
from archcheck.rules.queries.figure_formulas import figure_of, needs_record
from archcheck.rules.queries.figures import RECORD
from archcheck.rules.queries.marked_texts import differences, is_block, written_for
from archcheck.rules.queries.proofs import Proven, Source, holds, of_figure, of_files, of_source, source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Rule):
    r"""Every number at a `pattern` or a `pointer` in `file` is what proves it: a figure, the size of files, or a number
    in another file.

    `pattern` is a regular expression with one group, the number. `^` and `$` match at every line. `pointer` is a JSON
    pointer to a number in JSON, JSON Lines, YAML, TOML, the front matter of Markdown, or the metadata of a safetensors
    file: `/params`, `/model-index/0/results/0/metrics/0/value`, `/__metadata__/total_parameters`. A step `*` stands for
    every key and every index. A number may be written as `13,086`, `15k`, `1.33 M`, `6e-4` or `99.4 %`, also in quotes;
    a share above 1 is read as percent.

    One of three keys says what proves it. `fact` is the path of a figure: `params.total`, `params.trainable`,
    `params.frozen`, `params.hidden_total`, `params.effective` (those that are not zero), `params.buffers`,
    `params.bytes`, `cost.macs`, `cost.training_macs`, `cost.fvcore_flops`, `cost.activations`,
    `cost.peak_activation_bytes`, `dropout` (the rate of every dropout that takes effect), `training.accuracy` (the mean
    over the recorded seeds), `training.seeds`, `training.epochs`, `training.correct`, `training.total`, and any number
    of the record, such as `training.record.recipe.settings.batch_size`; or a formula of figures, as in `score`:
    `params.total / 1M`. `bytes-of` names files, or patterns of files,
    whose sizes add up to the number. `proof` is the number in another file: `{ file = "train.log", pattern = 'loss
    ([\d.]+)', take = "last" }`, or with a `pointer`. `take` says how several numbers become one: `last`, `first`,
    `min`, `max`, `mean` or `sum`.

    A number is right when it is the proven one, rounded to the written digits: 1.33M is right for 1,328,360, and 15k is
    wrong for 13,086. With `tolerance`, the number may differ by at most that share of the proven value; `"0 %"` allows
    no rounding. A pattern or a pointer that finds nothing breaks the rule.

    In a contract: `claim = [{ file = "README.md", pattern = '([\d,]+) parameters', fact = "params.total" }]`

    Example, kept:
        rule = claim = { file = "README.md", pattern = '([\d,.]+k?) parameters', fact = "params.total" }
        texts = { "README.md" = "A layer of 1,010 parameters, or about 1.0k parameters." }
        model = nn.Linear(100, 10)
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

    Example, broken:
        rule = claim = { file = "a.json", pointer = "/a", proof = { file = "log", pattern = '(1.+)', take = "min" } }
        texts = { "a.json" = "{\"a\": 1.214}", "log" = "1.31\n1.2276" }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = a.json says 1.214 at /a, and log:2 says 1.2276

    Example, kept:
        rule = claim = { file = "README.md", pointer = "/model-index/0/results/0/value", fact = "params.total" }
        texts = { "README.md" = "---\nmodel-index:\n- results:\n  - value: 16\n---\n# A model card" }
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, error:
        rule = claim = { file = "README.md", pattern = '([\d,]+) parameters', fact = "params.total" }
        model = nn.Linear(10, 10)
        input = [1, 10]
        says = "README.md" was not read
    """

    narrows = False
    file: str
    pattern: str | None = None
    pointer: str | None = None
    fact: str | None = None
    bytes_of: tuple[str, ...] = ()
    proof: Mapping[str, str] = field(default_factory=dict)
    tolerance: float | None = field(default=None, metadata={"unit": "share", "least": 0})

    def __post_init__(self) -> None:
        """Refuse an invalid place, an unknown fact, and a claim that nothing or several things prove."""
        Rule.__post_init__(self)
        _ = self._source
        if isinstance(self.bytes_of, str) or not all(file.strip() for file in self.bytes_of):
            raise ValueError('`bytes-of` is a list of files, such as ["model.pt"]')
        if (self.fact is not None) + bool(self.bytes_of) + bool(self.proof) != 1:
            raise ValueError("give one of `fact`, `bytes-of` and `proof`: what proves the number")
        if self.fact is not None:
            figure_of(self.fact)
        if self.proof and source_of(self.proof)[0].is_same(self._source):
            raise ValueError("`proof` leads to the claimed number itself, which proves nothing")

    @property
    def _source(self) -> Source:
        return Source(file=self.file, pattern=self.pattern, pointer=self.pointer)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The training record, if the figure comes from it."""
        return ("training",) if self.fact is not None and needs_record(self.fact) else ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The file, and the one that proves it."""
        return (self.file, source_of(self.proof)[0].file) if self.proof else (self.file,)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files whose size the text states."""
        return tuple(Artifact(pattern=each) for each in dict.fromkeys(self.bytes_of))

    @property
    def proves(self) -> tuple[Stated, ...]:
        """The numbers that are proven, for rules about all numbers of a text."""
        by = self.fact or ", ".join(self.bytes_of) or source_of(self.proof)[0].file
        return (Stated(file=self.file, pattern=self.pattern, pointer=self.pointer, by=by),)

    def check(self, facts: Facts) -> Result:
        """Compare every number that the text states with what proves it."""
        text, source = facts.texts[self.file], self._source
        unit = figure_of(self.fact).unit if self.fact is not None else "bytes" if self.bytes_of else "number"
        stated, proven = source.numbers(facts, unit), self._proven(facts)
        findings = [finding for claim in stated for finding in self._judged(claim, proven, text)]
        if not stated and not self.allow_empty:
            findings = [self._nothing(text)]
        return Result(
            examined=len(stated),
            findings=tuple(findings),
            found=[claim.written for claim in stated],
            limit=proven.shown,
            kept=f"{text.shown} says {', '.join(claim.written for claim in stated)}{self._source.at}: {proven.told}",
        )

    def _proven(self, facts: Facts) -> Proven:
        if self.fact is not None:
            return of_figure(self.fact, facts)
        return of_source(*source_of(self.proof), facts) if self.proof else of_files(self.artifacts, facts)

    def _judged(self, claim: numbers_in_text.Claim, proven: Proven, text: Text) -> Iterator[Finding]:
        if claim.value is None:
            could = f"that {self.fact} could be" if self.fact is not None else "that can be compared"
            message = f"{text.shown} says {quote(claim.written)}{self._source.at}, which is not a number {could}"
            lead = (
                "lead `pointer` to the number"
                if self.pattern is None
                else "let the group of `pattern` catch the number"
            )
            fix = f"{lead} that stands there" + (f", or write {proven.shown}" if proven.shown else "")
            yield Finding(message=message, where=claim.where, fix=fix)
        elif not self._holds(claim, proven):
            message = f"{text.shown} says {claim.written}{self._source.at}, and {proven.told}"
            right = f"write {proven.shown}" if proven.values else f"take {claim.written} away"
            mend = "mend the model" if self.fact is not None else "mend what proves it"
            yield Finding(message=message, where=claim.where, fix=f"{right}, or {mend}")

    def _holds(self, claim: numbers_in_text.Claim, proven: Proven) -> bool:
        of_record = self.fact is not None and self.fact.startswith(RECORD)
        return holds(claim, proven, self.tolerance, percent=bool(self.proof) or (claim.of_one and not of_record))

    def _nothing(self, text: Text) -> Finding:
        return Finding(
            message=self._source.nothing_in(text),
            where=Where(file=text.shown, line=1),
            fix=f"write the figure there, or change the {'pattern' if self.pointer is None else 'pointer'} of claim",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced(Rule):
    """The text between the subject's markers in `files` is what `archcheck sync` would write today.

    Between `<!-- archcheck: mnist -->` and `<!-- /archcheck -->` stands a table of the subject `mnist`. With a figure
    after the name, `<!-- archcheck: mnist params.total -->`, only that figure stands there, and with `model-card` what
    a model card on the Hugging Face Hub says: `model-index` in its front matter, where markers are comments of YAML, or
    a longer table below it. With `comparison` after a pattern, `<!-- archcheck: small-* comparison -->`, it is a table
    with a row for each subject that matches. The figures are those of `claim`. Markers and rows of other subjects are
    judged with those subjects. Markers in fenced code and in code spans are ignored.

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
        if not self.files or not all(file.strip() for file in self.files):
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
            if facts.subject.name in region.subjects
        ]
        findings = tuple(finding for text, region in found for finding in _stale(text, region, facts))
        kept = f"{amount(len(found), 'places')} between markers as measured"
        return Result(examined=len(found), findings=findings, kept=kept)


def _stale(text: Text, region: Region, facts: Facts) -> Iterator[Finding]:
    stands = text.demand()[region.start : region.end]
    if region.path == COMPARISON:  # the other rows are judged with the other subjects
        stands, belongs = row_of(facts.subject.name, stands) or "", comparison_row(facts)
    else:
        belongs = written_for(text, region, facts)
    if stands == belongs:
        return
    if region.path == COMPARISON:
        is_there = f"says {stands}" if stands else "has none"
        message = f"the row of {facts.subject.name} in {text.shown} is stale: it {is_there}, and is {belongs}"
    elif is_block(region):
        what = "table" if region.path is None else "model card"
        message = f"the {what} of {region.subject} in {text.shown} is stale: {'; '.join(differences(stands, belongs))}"
    else:
        says = " ".join(stands.split()) or "nothing"
        message = f"{text.shown} says {says} for {region.subject} {region.path}, which is {belongs}"
    yield Finding(message=message, where=region.where, fix=f"`archcheck sync {text.shown}` updates it")
