"""What figures look like, and what the rules on texts say of those that state them, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text, Texts
from archcheck.judging.engine import measure
from archcheck.rules import Claim, Synced
from archcheck.rules.findings import Finding
from archcheck.rules.queries.figures import accuracy_text, figure_text, table
from tests.rules.test_records_judged import FACTS, refusal, run, trained

# --- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("training.accuracy", "95.56 %"),
        ("training.seeds", "2"),
        ("training.epochs", "2, 3"),
        ("training.correct", "9,601"),
        ("training.total", "10,000"),
        ("dropout", "0.1, 0.25"),
        ("params.total", "6"),
        ("training.record.runs.1.seed", "1"),
        ("training.record.recipe.rate", "0.125"),
    ],
)
def test_figures_are_written_as_texts_show_them(path, text):
    record = {"recipe": {"rate": 0.125, "name": "A", "on": True}}
    assert figure_text(path, trained(run(0, 9_601), run(1, 9_512, epochs=3), fresh=(9_601, 10_000), **record)) == text


def test_no_dropout_at_all_is_written_as_none():
    assert figure_text("dropout", measure(nn.Linear(2, 2), example=torch.zeros(1, 2))) == "none"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("training.correct", "no checkpoint was evaluated"),
        ("training.record.recipe.rte", 'the record has no "recipe.rte"'),
        ("training.record.runs.1", 'the record has no "runs.1"'),
        ("training.record.recipe.name", '"training.record.recipe.name" is no number'),
        ("training.record.recipe.on", '"training.record.recipe.on" is no number'),
        ("training.record.recipe.most", '"training.record.recipe.most" is no number'),
    ],
)
def test_a_figure_that_is_not_known_is_told(path, says):
    facts = trained(run(0), recipe={"rate": 0.1, "name": "A", "on": True, "most": float("inf")})
    assert refusal(lambda: figure_text(path, facts))[0] == says


def test_why_no_checkpoint_was_evaluated_is_told():
    assert refusal(lambda: figure_text("training.total", trained(run(0), problem="no file")))[0] == "no file"


def test_the_table_shows_an_accuracy_where_one_is_proved():
    lines = (
        "| measure | value |",
        "|---|---|",
        "| parameters | 6 |",
        "| multiply-accumulates | 4 on 1x2 |",
        "| activations | 16 bytes at the peak |",
    )
    assert table(FACTS) == lines
    assert table(trained(run(0))) == (*lines, "| test accuracy | 95.00 % (n = 1 seed) |")
    assert table(trained(run(0, 9_601), run(1, 9_512)))[-1] == "| test accuracy | 95.56 % (mean, n = 2 seeds) |"
    assert accuracy_text(trained(run(0), fresh=(1, 2))) is None
    several = replace(FACTS, shape=replace(FACTS.shape, inputs=(*FACTS.shape.inputs, *FACTS.shape.inputs)))
    assert table(several)[3] == "| multiply-accumulates | 4 on 1x2, 1x2 |"
    assert table(replace(FACTS, shape=replace(FACTS.shape, inputs=())))[3] == "| multiply-accumulates | 4 |"


# --- texts that state them ------------------------------------------------------------------------------------------


def beside(content, facts=FACTS):
    files = {"a.md": Text(shown="docs/a.md", content=content)}
    return replace(facts, texts=Texts(files=files, subjects=("net", "other")))


def claimed(content, fact, facts=FACTS, **options):
    return Claim(file="a.md", pattern=r"^it has (.*)$", fact=fact, **options).check(beside(content, facts))


@pytest.mark.parametrize(
    ("fact", "text", "holds"),
    [
        ("training.accuracy", "it has 95.56 %", True),
        ("training.accuracy", "it has 95.56", True),
        ("training.accuracy", "it has 0.9556", True),
        ("training.accuracy", "it has 95.57", False),
        ("training.record.recipe.rate", "it has 0.5", True),
        ("training.record.recipe.rate", "it has 50", False),
        ("training.record.recipe.one", "it has 1", True),
        ("training.record.recipe.steps", "it has 100", True),
    ],
)
def test_shares_may_be_written_as_percentages(fact, text, holds):
    facts = trained(run(0, 9_601), run(1, 9_511), recipe={"rate": 0.5, "one": 1, "steps": 100})
    assert bool(claimed(f"first\n{text}\n", fact, facts).findings) is not holds


def test_a_claim_that_does_not_hold_shows_all_digits_and_the_line():
    facts = trained(run(0, 9_601), run(1, 9_512))
    (found,) = claimed("first\nit has 95.58 %\n", "training.accuracy", facts).findings
    assert found == Finding(
        message="docs/a.md says 95.58 %, and training.accuracy is 95.565 %",
        where=Where(file="docs/a.md", line=2),
        fix="write 95.565 %, or mend the model",
    )


def test_what_is_caught_and_is_no_number_is_told():
    (found,) = claimed("it has many\n", "params.total").findings
    assert found.where == Where(file="docs/a.md", line=1)
    assert found.fix == "let the group of `pattern` catch the number that stands there, or write 6"


def synced(content, facts=FACTS):
    return Synced(files=("a.md",)).check(beside(content, facts))


def test_a_table_that_is_stale_is_told_row_by_row():
    stale = (
        "| measure | value |\n|---|---|\n| parameters | 7 |\n| activations | 16 bytes at the peak |\n| speed | 3 |\n"
    )
    (found,) = synced(f"text\n<!-- archcheck: net -->\n{stale}<!-- /archcheck -->\n").findings
    assert found.message == (
        "the table of net in docs/a.md is stale: parameters 7 -> 6; "
        "multiply-accumulates nothing -> 4 on 1x2; speed 3 -> nothing"
    )
    assert (found.where, found.fix) == (Where(file="docs/a.md", line=2), "`archcheck sync docs/a.md` updates it")


@pytest.mark.parametrize(("stands", "says"), [("  ", "nothing"), ("7  and\n8", "7 and 8")])
def test_a_figure_that_is_stale_is_told(stands, says):
    (found,) = synced(f"<!-- archcheck: net params.total -->{stands}<!-- /archcheck -->").findings
    assert found.message == f"docs/a.md says {says} for net params.total, which is 6"


@pytest.mark.parametrize(
    ("path", "says", "fix"),
    [
        (
            "params.totl",
            '"params.totl" is not a figure; did you mean "params.total"?',
            "name a figure there that is one",
        ),
        (
            "training.seeds",
            "the training record was not read; judge through a contract that names it",
            None,
        ),
    ],
)
def test_a_marker_of_what_is_not_known_is_told_at_its_line(path, says, fix):
    text = f"first\n<!-- archcheck: net {path} -->1<!-- /archcheck -->"
    assert refusal(lambda: synced(text)) == (says, Where(file="docs/a.md", line=2), fix)
