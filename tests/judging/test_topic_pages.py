"""Topics and kinds: what is listed, found, and suggested for a misspelt name."""

import pytest

from archcheck.facts.selectors import GROUPS, KINDS
from archcheck.judging.topic_pages import kind_section, near, text_of, topics, topics_about
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name

NAMES = [topic.name for topic in topics()]


def test_topics_are_in_four_groups_with_a_line_each():
    assert list(dict.fromkeys(topic.group for topic in topics())) == ["Tutorial", "How to", "Reference", "Explanation"]
    assert all(topic.summary for topic in topics())
    assert "tutorial" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_topic_has_a_page_with_a_title(name):
    text = text_of(name)
    assert text is not None
    assert text.startswith("# ")
    assert text.endswith("\n")


@pytest.mark.parametrize("name", sorted({*KINDS, *GROUPS}))
def test_each_kind_has_a_section_that_ends_before_the_next(name):
    section = text_of(name)
    assert section == kind_section(name)
    assert section.startswith(f"# {name}\n\n")
    assert section.count("\n#") == 0


def test_no_name_means_two_pages():
    names = [*NAMES, *{*KINDS, *GROUPS}, *map(rule_name, BUILTIN)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["", "README", "rules/max-params", "../__init__", "Tutorial", "max-params", "conv2d"])
def test_what_is_no_topic_has_no_page(name):
    assert text_of(name) is None


def test_a_kind_without_a_section_is_the_authors_mistake():
    with pytest.raises(LookupError, match=r"kinds\.md has no section `nonsense`"):
        kind_section("nonsense")


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("tutorail", "tutorial"), ("input", "input"), ("grade", "grading"), ("Conv2d", "conv"), ("bn", "batch_norm"),
        ("GAP", "global_avg_pool"), ("BatchNorm2d", "batch_norm"), ("exit-code", "exit-codes"), ("cach", "cache"),
    ],
)  # fmt: skip
def test_the_nearest_name_comes_first(word, first):
    assert near(word)[0] == first


def test_names_that_are_about_as_near_are_suggested_and_other_names_count():
    assert set(near("relu1")) == {"relu", "relu6", "rrelu"}
    assert near("max-parms", ["max-params", "max-macs"]) == ("max-params",)
    assert near("zzzzz") == ()


@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("on", "contract"), ("`on`", "contract"), ("waiver", "contract"), ("until", "contract"),
        ("because", "contract"), ("up-to", "contract"), ("points", "grading"), ("changelog", "stability"),
        ("contributing", "development"), ("readme", "texts"), ("seed", "accuracy"), ("dtype", "inputs"),
    ],
)  # fmt: skip
def test_a_word_that_a_page_explains_leads_to_it(word, page):
    assert page in topics_about(word)


@pytest.mark.parametrize(
    "word", ["", " ", "s", "`", "zzz", "[", "a|b", "\\", "of", "max-parms", "tutorail", "batchnorm"]
)
def test_a_word_that_no_page_explains_leads_nowhere(word):
    assert topics_about(word) == ()


def test_comments_in_code_are_no_headings(monkeypatch):
    assert topics()  # read before the pages are replaced
    monkeypatch.setattr("archcheck.judging.topic_pages._read", lambda _: "```sh\n# brew coffee\n```\n")
    assert topics_about("coffee") == ()
