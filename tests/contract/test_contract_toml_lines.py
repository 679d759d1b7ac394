import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.contract.toml_lines import KeyPath, key_lines

DOCUMENT = '''\
# a = 0
title = "b = 1 # not a comment"  # c = 2
quoted."with.dot".'and [bracket]' = 1

[table] # [not.this]
text = """
key = "no key"
[no.table]
\\""" still text""""
literal = \'\'\'
x = 1 \\\'\'\'
after = [
  1, # ] not the end
  "two ]", [3,
    4], { five = 5, six.seven = [
      7 ] },
]
inline = { a = 1, "b c".d = { e = 2 }, f = [] }
when = 1979-05-27 07:32:00
[[ array . of . tables ]]
first = 1
[array.of.tables.inner]
deep = true
[[array.of.tables]]
[[array.of.tables.nested]]
last = 1
[late.child]
[late]
"\\u0061b" = -inf
'''

EXPECTED = {
    ("title",): 2,
    ("quoted",): 3,
    ("quoted", "with.dot"): 3,
    ("quoted", "with.dot", "and [bracket]"): 3,
    ("table",): 5,
    ("table", "text"): 6,
    ("table", "literal"): 10,
    ("table", "after"): 12,
    ("table", "after", 0): 13,
    ("table", "after", 1): 14,
    ("table", "after", 2): 14,
    ("table", "after", 2, 0): 14,
    ("table", "after", 2, 1): 15,
    ("table", "after", 3): 15,
    ("table", "after", 3, "five"): 15,
    ("table", "after", 3, "six"): 15,
    ("table", "after", 3, "six", "seven"): 15,
    ("table", "after", 3, "six", "seven", 0): 16,
    ("table", "inline"): 18,
    ("table", "inline", "a"): 18,
    ("table", "inline", "b c"): 18,
    ("table", "inline", "b c", "d"): 18,
    ("table", "inline", "b c", "d", "e"): 18,
    ("table", "inline", "f"): 18,
    ("table", "when"): 19,
    ("array",): 20,
    ("array", "of"): 20,
    ("array", "of", "tables"): 20,
    ("array", "of", "tables", 0): 20,
    ("array", "of", "tables", 0, "first"): 21,
    ("array", "of", "tables", 0, "inner"): 22,
    ("array", "of", "tables", 0, "inner", "deep"): 23,
    ("array", "of", "tables", 1): 24,
    ("array", "of", "tables", 1, "nested"): 25,
    ("array", "of", "tables", 1, "nested", 0): 25,
    ("array", "of", "tables", 1, "nested", 0, "last"): 26,
    ("late",): 28,
    ("late", "child"): 27,
    ("late", "ab"): 29,
}


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every way into a document as `tomllib` reads it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from paths(item, (*path, key))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_of_a_difficult_document(newline):
    text = DOCUMENT.replace("\n", newline)
    assert key_lines(text) == EXPECTED
    assert set(EXPECTED) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=''''''\nb=1", {("a",): 1, ("b",): 2}),
        ('a=""""b"""""\nc=""\nd=1', {("a",): 1, ("c",): 2, ("d",): 3}),
        ('a="""\\\\"""\nb=1', {("a",): 1, ("b",): 2}),
        ("a='\\'\nb=1", {("a",): 1, ("b",): 2}),
        ("\n\n'' = 1", {("",): 3}),
        (
            'a = { b = "c = 1, } # d = 2", e = 3 }\nf={g=true , h-i=-1.5}\nj = { k = 1 } # l\nm = {}\n',
            {
                ("a",): 1,
                ("a", "b"): 1,
                ("a", "e"): 1,
                ("f",): 2,
                ("f", "g"): 2,
                ("f", "h-i"): 2,
                ("j",): 3,
                ("j", "k"): 3,
                ("m",): 4,
            },
        ),
        ('a = ["x, ]", 1,  "\u00e9"] \nb = 2', {("a",): 1, ("a", 0): 1, ("a", 1): 1, ("a", 2): 1, ("b",): 2}),
        (
            '[a.b]\nc = ["x"] # ["y"]\nd = ["\\"", 1]\n',
            {
                ("a",): 1,
                ("a", "b"): 1,
                ("a", "b", "c"): 2,
                ("a", "b", "c", 0): 2,
                ("a", "b", "d"): 3,
                ("a", "b", "d", 0): 3,
                ("a", "b", "d", 1): 3,
            },
        ),
        ("a.b = 1\na.c = 2", {("a",): 1, ("a", "b"): 1, ("a", "c"): 2}),
    ],
)
def test_corners(text, expected):
    assert key_lines(text) == expected


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True) | st.sampled_from(
    ['"a b"', "'x.y'", '"q\\"]"', '"#"', '""', "'='"]
)
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(" . ".join)
SCALARS = st.sampled_from(
    [
        "1",
        "0xff",
        "-0.5e3",
        "inf",
        "true",
        "1979-05-27 07:32:00Z",
        '""',
        '"a, b"',
        '"[1]"',
        "''",
        '"[\\"{,#"',
        "'[{,#=\\'",
        '"""\n] = """',
        '"""\\\n  a""""',
        "'''\n\n{'''",
        "'''''x'''''",
    ]
)
BREAKS = st.sampled_from(["", " ", "\n", "# ]},\n", "\r\n"])


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.lists(st.tuples(BREAKS, values, BREAKS).map("".join), max_size=3)
    return st.tuples(items, BREAKS).map(lambda parts: f"[{','.join(parts[0])}{parts[1]}]")


def tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(DOTTED, values).map(" = ".join), max_size=3)
    return pairs.map(lambda parts: f"{{ {', '.join(parts)} }}")


VALUES = st.recursive(SCALARS, lambda values: lists(values) | tables(values), max_leaves=5)
STATEMENTS = (
    st.tuples(DOTTED, VALUES).map("=".join)
    | DOTTED.map("[{}]".format)
    | DOTTED.map("[[ {} ]]".format)
    | st.sampled_from(["", "# a = [", "\t"])
)


@given(st.lists(STATEMENTS, max_size=12))
@settings(deadline=None, max_examples=300)
def test_exactly_the_keys_that_tomllib_reads_have_lines(statements):
    kept: list[str] = []  # statements that contradict those before are left out
    for statement in statements:
        try:
            values = tomllib.loads("\n".join([*kept, statement]))
        except ValueError:
            continue
        kept.append(statement)
    text = "\n".join(kept)
    values = tomllib.loads(text)
    lines = key_lines(text)
    assert set(lines) == set(paths(values))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(st.lists(st.tuples(st.booleans(), VALUES, BREAKS), max_size=8))
@settings(deadline=None, max_examples=200)
def test_a_key_has_the_line_on_which_it_was_written(statements):
    text, table, expected = "", (), {}
    for number, (opens_table, value, after) in enumerate(statements):
        if opens_table:
            table = (f"table-{number}",)
            expected[table] = text.count("\n") + 1
            text += f"[table-{number}]\n"
        expected[(*table, f"key-{number}")] = text.count("\n") + 1
        text += f"key-{number} = {value} {after}\n"
    lines = key_lines(text)
    assert {path: lines[path] for path in expected} == expected
