"""Whatever a file holds, a contract is read from it or every fault is told in lines; nothing else happens."""

import json
import re

import pytest
from contract_samples import FLAGSHIP, KNOWN
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archcheck.contract import load
from archcheck.errors import ContractError
from archcheck.rule import rule_name
from archcheck.rules import BUILTIN

FAULT = re.compile(r".*(archcheck|pyproject)\.toml:[1-9][0-9]*: \S.*")
RELAXED = settings(deadline=None, max_examples=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("contract")


def read_or_tell(folder, content: bytes, name: str = "archcheck.toml", known=KNOWN) -> None:
    path = folder / name
    path.write_bytes(content)
    try:
        faults = load(path, known).subjects[:0]
    except ContractError as error:
        faults = error.problems or [None]
    lines = content.count(b"\n") + 1
    for fault in faults:
        assert FAULT.fullmatch(str(fault))
        assert fault.line <= lines


@given(st.binary() | st.text().map(str.encode))
@example(b"\xef\xbb\xbf")
@example(b"subjects = [[[[" + b"[" * 3000)
@RELAXED
def test_any_content(folder, content):
    read_or_tell(folder, content)


@given(st.data())
@RELAXED
def test_a_contract_with_something_cut_out_and_put_in(folder, data):
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(FLAGSHIP))] * 2)))
    end = min(end, start + 30)
    put_in = data.draw(
        st.text(max_size=5) | st.sampled_from(["\n", "[", "]]", "{", "}", '"', "'''", "=", "true", "nan"])
    )
    text = FLAGSHIP[:start] + put_in + FLAGSHIP[end:]
    read_or_tell(folder, text.encode(), "pyproject.toml")


WORDS = st.sampled_from(["conv", "batchnorm", "max-params", "a.b", "m:N", "float32", "1-x", "", "é\n", "torch:"])
VALUES = st.recursive(
    st.integers(-3, 10**30) | st.floats() | st.booleans() | WORDS | st.dates() | st.datetimes() | st.times(),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["shape", "dtype", "low", "rule", "reason", "limit", "kinds"]), values)
    ),
    max_leaves=6,
)
KEYS = ("model", "input", "args", "timeout", "training", "rules", "waivers", "inptu", "name")


def written(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def document(shared, subject, rules) -> str:
    lines = ["[rules]", *(f"{key} = {written(value)}" for key, value in shared.items())]
    lines += ["[subjects.it]", *(f"{key} = {written(value)}" for key, value in subject.items())]
    lines += ["[subjects.also]", 'model = "m:N"', "[subjects.also.rules]"]
    return "\n".join([*lines, *(f"{key} = {written(value)}" for key, value in rules.items())])


@pytest.mark.parametrize("known", [KNOWN, None], ids=["samples", "built-in"])
def test_any_value_anywhere(folder, known):
    names = st.sampled_from([*(known or map(rule_name, BUILTIN)), "max-parms"])

    @given(
        st.dictionaries(names, VALUES), st.dictionaries(st.sampled_from(KEYS), VALUES), st.dictionaries(names, VALUES)
    )
    @RELAXED
    def law(shared, subject, rules):
        read_or_tell(folder, document(shared, subject, rules).encode(), known=known)

    law()
