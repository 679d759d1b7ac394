import datetime
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from archcheck.foundation.annotated_values import Mismatch, coerce, list_depth

DAY = datetime.date(2030, 1, 31)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1, int, 1),
        (1, float, 1.0),
        (1.5, float, 1.5),
        ("a", str, "a"),
        (True, bool, True),
        (DAY, datetime.date, DAY),
        (None, int | None, None),
        (1, int | None, 1),
        (1, float | int, 1),
        (True, float | bool, True),
        ("a", tuple[str, ...], ("a",)),
        ([], tuple[str, ...], ()),
        ([1, "a"], tuple[int | str, ...], (1, "a")),
        ("a", str | tuple[str, ...], "a"),
        (["a"], str | tuple[str, ...], ("a",)),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([1, [2, 3]], tuple[tuple[int, ...], ...], ((1,), (2, 3))),
        ("low", Literal["low", "high"], "low"),
        ({"a": [1]}, Mapping[str, Any], {"a": [1]}),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
    ],
)
def test_a_value_that_fits(value, kind, expected):
    found = coerce(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind", "path", "message"),
    [
        (True, int, (), "must be an integer, found true"),
        (False, float, (), "must be a number, found false"),
        (1, bool, (), "must be true or false, found 1"),
        (1, str, (), "must be a string, found 1"),
        (1.0, int, (), "must be an integer, found 1.0"),
        (float("nan"), float, (), "must be a number, found nan"),
        (float("-inf"), float, (), "must be a number, found -inf"),
        ([], int, (), "must be an integer, found an empty list"),
        ([1], int, (), "must be an integer, found a list"),
        ({"a": 1}, int, (), "must be an integer, found a table"),
        ("a\nb", int, (), r'must be an integer, found "a\nb"'),
        ("a", int | None, (), 'must be an integer, found "a"'),
        (1.5, int | str, (), "must be an integer or a string, found 1.5"),
        (datetime.datetime(2030, 1, 31), datetime.date, (), "must be a date such as 2030-12-31, without quotes, "
         "found 2030-01-31T00:00:00"),
        (datetime.time(1), int, (), "must be an integer, found 01:00:00"),
        (1, tuple[str, ...], (), "must be a list of strings, found 1"),
        ({"a": 1}, tuple[str, ...], (), "must be a list of strings, found a table"),
        (["a", 1], tuple[str, ...], (1,), "must be a list of strings, found 1 in it"),
        (["a", 1], str | tuple[str, ...], (1,), "must be a string or a list of strings, found 1 in it"),
        ([[1], [2, "x"]], tuple[tuple[int, ...], ...], (1, 1), 'must be a list of lists of integers, found "x" in it'),
        ([True], tuple[int | str, ...], (0,), "must be a list of integers or strings, found true in it"),
        ([1], tuple[int, str], (), "must be a list of 2 (an integer, a string), found a list"),
        (1, tuple[int, str], (), "must be a list of 2 (an integer, a string), found 1"),
        ("mid", Literal["low", "high"], (), 'must be "low" or "high", found "mid"'),
        (True, Literal[1, 2], (), "must be 1 or 2, found true"),
        (1, Mapping[str, Any], (), "must be a table, found 1"),
        ({"a": "x"}, dict[str, int], ("a",), 'must be an integer, found "x"'),
        ({"a": {"b": 1.5}}, Mapping[str, dict[str, int | str]], ("a", "b"),
         "must be an integer or a string, found 1.5"),
        ({"a": [1, "x"]}, dict[str, tuple[int, ...]], ("a", 1), 'must be a list of integers, found "x" in it'),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit(value, kind, path, message):
    with pytest.raises(Mismatch) as caught:
        coerce(value, kind)
    assert (str(caught.value), caught.value.path) == (message, path)


def test_an_annotation_beyond_it_is_the_fault_of_the_rule():
    with pytest.raises(TypeError, match="a parameter cannot be a <class 'complex'>"):
        coerce(1, complex)


@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        (int, 0),
        (Any, 0),
        (int | None, 0),
        (tuple[int, ...], 1),
        (str | tuple[int, str], 1),
        (tuple[tuple[int, ...] | int, ...], 2),
        (dict[str, tuple[int, ...]], 0),
    ],
)
def test_how_deep_lists_go(kind, depth):
    assert list_depth(kind) == depth


@pytest.mark.parametrize("kind", [float, str])
def test_an_integer_with_more_digits_than_python_writes(kind):
    with pytest.raises(Mismatch, match=r", found a huge integer$"):
        coerce(16**9999, kind)
    assert coerce(16**9999, int) == 16**9999
