"""Tables that compare subjects: which they are, what their rows say, and that each row is judged with its subject."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import regions, rewrite
from archcheck.foundation.text_files import Text, Texts
from archcheck.rules import Synced
from archcheck.rules.queries.comparisons import comparison, comparison_row, mean_accuracy, row_of
from tests.pages.page_blocks import the_block
from tests.rules.test_records_judged import FACTS, run, trained

PAGE = "# Sizes\n\n<!-- archcheck: n* comparison -->\n<!-- /archcheck -->\n"
THREE = trained(*(run(seed, 9_900 + 20 * seed) for seed in range(3)))


def named(facts, name):
    return replace(facts, subject=replace(facts.subject, name=name))


def synced(page, *measured):
    text = Text(shown="README.md", content=page)
    by_name = {facts.subject.name: facts for facts in measured}
    found = regions(text, list(by_name))
    return rewrite(text, found, lambda region: comparison(text, region, [by_name[name] for name in region.subjects]))


def test_the_interval_is_worked_out_by_hand():
    """Mean 99.2, standard deviation 0.2, t(0.975, 2) = 4.303: 4.303 * 0.2 / sqrt(3) = 0.497."""
    row = comparison_row(THREE)
    assert "| 99.200 % | 0.200 | 98.703 to 99.697 % | 3 |" in row
    assert "| 99.000 % | — | — | 1 |" in comparison_row(trained(run(0, 9_900)))


def test_an_interval_ends_where_accuracies_end():
    found = mean_accuracy(trained(run(0, 10_000), run(1, 5_000)))
    assert (found.low, found.high) == (0.0, 100.0)


def test_equal_counts_do_not_make_the_mean_certain():
    """Counts are whole, so half an example is the least deviation: t(0.975, 1) = 12.706, 12.706 * 0.005 / sqrt(2)."""
    found = mean_accuracy(trained(run(0, 9_900), run(1, 9_900)))
    assert found.high - found.mean == pytest.approx(0.0449, abs=1e-4)


def test_what_nothing_proves_is_a_dash():
    assert comparison_row(FACTS).count("—") == 5
    with pytest.raises(NotMeasured):
        mean_accuracy(FACTS)


def test_all_subjects_of_a_pattern_have_a_row_the_smallest_first():
    small = replace(THREE, params=replace(THREE.params, total=5))
    page = synced(PAGE, named(THREE, "net"), named(small, "nano"), named(small, "other"))
    names = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert names == ["nano", "net"]
    assert synced(page, named(THREE, "net"), named(small, "nano"), named(small, "other")) == page


@pytest.mark.parametrize("name", ["a b", "a|b", "a`b", "<!-- /archcheck -->", "a\\", "ü*_"])
def test_a_subject_may_have_any_name(name):
    facts = named(THREE, name)
    page = synced(PAGE.replace("n*", "*"), facts)
    assert row_of(name, page) == comparison_row(facts)
    assert synced(page, facts) == page
    assert len([line for line in page.splitlines() if line.startswith("|")]) == 3


def test_the_example_of_the_page_is_filled():
    page = the_block("html", "small-* comparison").text
    assert comparison_row(named(THREE, "small-1")) in synced(page, named(THREE, "small-1"), named(THREE, "large"))


def test_a_pattern_that_matches_nothing_is_named_with_what_there_is():
    text = Text(shown="README.md", content=PAGE.replace("n*", "m*"))
    with pytest.raises(NotMeasured, match=r'"m\*" matches no subject; the contract has "net"') as told:
        regions(text, ["net"])
    assert told.value.fix == "name a subject of the contract"


def judged(page, facts, names=("nano", "net")):
    texts = Texts(files={"README.md": Text(shown="README.md", content=page)}, subjects=names)
    return Synced(files=("README.md",)).check(replace(facts, texts=texts))


def test_each_row_is_judged_with_its_subject():
    net, nano = named(THREE, "net"), named(THREE, "nano")
    page = synced(PAGE, net, nano)
    assert (judged(page, net).examined, judged(page, net).findings) == (1, ())
    stale = page.replace("| `nano` | ", "| `nano` | 9")
    assert not judged(stale, net).findings
    (finding,) = judged(stale, nano).findings
    assert finding.message.startswith("the row of nano in README.md is stale: it says | `nano` | 9")
    (finding,) = judged(PAGE, net).findings
    assert "it has none, and is | `net` |" in finding.message
