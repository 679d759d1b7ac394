import doctest

import pytest

from archcheck.contract import toml_lines
from archcheck.foundation import annotated_values, words


@pytest.mark.parametrize("module", [annotated_values, toml_lines, words], ids=lambda module: module.__name__)
def test_the_examples_of_a_docstring_hold(module):
    outcome = doctest.testmod(module)
    assert (outcome.failed, outcome.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ""),
        (["a"], '"a"'),
        (["a", "b"], '"a" and "b"'),
        (["a", "b", "c"], '"a", "b" and "c"'),
    ],
)
def test_words_in_a_row(given, expected):
    assert words.listed(given) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [("é", '"é"'), ("a\nb", r'"a\nb"'), ('say "a"', r'"say \"a\""'), ("a\u2028b", r'"a\u2028b"')],
)
def test_a_quoted_word_stays_on_its_line(word, expected):
    assert words.quote(word) == expected


def test_the_nearest_word_is_found_in_any_case_and_none_is_invented():
    assert words.nearest("CONV2D", ["Conv2d", "conv"]) == "Conv2d"
    assert words.nearest("zzz", ["Conv2d", "conv"]) is None
    assert words.did_you_mean("zzz", ["conv"]) == ""
