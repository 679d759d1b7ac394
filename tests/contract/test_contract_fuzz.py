"""Whatever a file holds, a contract is read from it or every fault is told in lines; nothing else happens."""

import io
import json
import re
import sys

import pytest
from contract_samples import FLAGSHIP, KNOWN
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archcheck.cli import main
from archcheck.contract import load
from archcheck.foundation.errors import ContractError
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name
from tests.support.fuzzing import examples

FAULT = re.compile(r".*(archcheck|pyproject)\.toml:[1-9][0-9]*: \S.*")
RELAXED = settings(deadline=None, max_examples=examples(100))


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


MODEL = '[subjects.it]\nmodel = "m:N"\n'
DAMAGE = {
    "nothing": b"",
    "half of it": FLAGSHIP.encode()[: len(FLAGSHIP) // 2],
    "twice": (FLAGSHIP + "\n" + FLAGSHIP).encode(),
    "a byte that is no text": FLAGSHIP.encode()[:20] + b"\xff" + FLAGSHIP.encode()[20:],
    "UTF-16": FLAGSHIP.encode("utf-16"),
    "ten megabytes of brackets": b"[" * 10_000_000,
    "ten megabytes of lists": b"a = " + b"[" * 10_000_000,
    "half a surrogate": f'{MODEL}args.x = "\\ud800"'.encode(),
    "a huge integer": f"{MODEL}rules.max-params = {'9' * 5_000}".encode(),
    "keys with many dots": f"{MODEL}args{'.a' * 2_000} = 1".encode(),
    "a header with many dots": f"{MODEL}[subjects.it.args{'.a' * 2_000}]".encode(),
    "many lists": f"{MODEL}args.x = {'[' * 200}{']' * 200}".encode(),
    "many tables": f"{MODEL}args = {'{a = ' * 200}1{'}' * 200}".encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_contract_is_refused_with_a_line(folder, damage):
    (folder / "pyproject.toml").write_bytes(DAMAGE[damage])
    with pytest.raises(ContractError) as caught:
        load(folder / "pyproject.toml")
    (fault,) = str(caught.value).splitlines()
    assert FAULT.fullmatch(fault)
    assert len(fault) < 300


WORDS = st.sampled_from(
    ["conv", "batchnorm", "max-params", "21k", "21 KiB", "a.b", "m:N", "float32", "1-x", "", "é\n", "torch:"]
)
WITHIN = ["shape", "dtype", "low", "rule", "reason", "limit", "kinds", "until", "up-to", "layer", "points", "because"]
VALUES = st.recursive(
    st.integers(-3, 10**30) | st.floats() | st.booleans() | WORDS | st.dates() | st.datetimes() | st.times(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(WITHIN), values),
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


def waivers_of(rules):
    """Tables with every key of a waiver, each with a value that fits or any other."""
    fits = {
        "rule": st.sampled_from(rules),
        "reason": st.just("because"),
        "layer": st.sampled_from(["features.**", "*", ""]),
        "until": st.dates(),
        "up-to": st.floats() | st.integers(-3, 10**30) | st.sampled_from(["21k", "5 KiB", "0.3", "-1", "k", "1e9"]),
    }
    return st.fixed_dictionaries({}, optional={key: value | VALUES for key, value in fits.items()})


def test_any_waiver_and_any_points(folder):
    rules = ["max-params", "max-params-1", "no-padding", "head"]

    @given(st.lists(waivers_of(rules), max_size=3), st.floats() | VALUES, st.booleans())
    @RELAXED
    def law(waivers, points, several):
        stated = {"limit": 5, "points": points}
        subject = {"model": "m:N", "waivers": waivers}
        text = document({"max-params": [stated, stated] if several else stated, "no-padding": True}, subject, {})
        read_or_tell(folder, text.encode(), known=None)

    law()


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), VALUES)
@example({}, {"limit": 1, "points": 0})
@RELAXED
def test_the_command_ends_with_2_and_lines(folder, subject, rule):
    """The subject that is asked for is in no contract, so that nothing is measured whatever the contract says."""
    (folder / "archcheck.toml").write_text(document({"max-params": rule}, subject, {}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        errors = io.StringIO()
        patch.setattr(sys, "stderr", errors)
        code = main(["check", "nobody", "--config", str(folder / "archcheck.toml")])
    assert code == 2
    lines = errors.getvalue().splitlines()
    assert lines
    assert all(line.startswith("archcheck: error: ") and "archcheck.toml" in line for line in lines)
