"""Quantities are read exactly, and written quantities are read back unchanged."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcheck.foundation.errors import ContractError
from archcheck.foundation.quantities import UNITS, expected, parse, short
from archcheck.rules.base import Rule
from archcheck.testing import rule_of

COUNTED = sorted(name for name, unit in UNITS.items() if unit.whole)


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("20000", "parameters", 20_000),
        ("20_000", "parameters", 20_000),
        ("19,999", "parameters", 19_999),
        ("13,086 parameters", "parameters", 13_086),
        ("20k", "parameters", 20_000),
        ("20 K", "parameters", 20_000),
        ("1.33M", "parameters", 1_330_000),
        (" .5M ", "parameters", 500_000),
        ("7B", "parameters", 7_000_000_000),
        ("2.5 G", "macs", 2_500_000_000),
        ("4.1 GMACs", "macs", 4_100_000_000),
        ("3M", "elements", 3_000_000),
        ("7B", "bytes", 7),
        ("256 KiB", "bytes", 262_144),
        ("256KiB", "bytes", 262_144),
        ("1.5 MB", "bytes", 1_500_000),
        ("1.5 MiB", "bytes", 1_572_864),
        ("2 kB", "bytes", 2_000),
        ("50 %", "share", 0.5),
        ("99.4%", "share", 0.994),
        ("0.25", "share", 0.25),
    ],
)
def test_quantities_are_parsed(text, unit, number):
    found = parse(text, unit)
    assert (found, type(found)) == (number, type(number))


COUNTS = 'must be an integer or text such as "20k" or "1.33M", found '
BYTES = 'must be an integer or text such as "256 KiB" or "1.5 MB", found '


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("256 KiB", "parameters", f'{COUNTS}"256 KiB"; "KiB" is for bytes, and this counts parameters'),
        ("50 %", "macs", f'{COUNTS}"50 %"; "%" is for shares, and this counts macs'),
        ("7B", "macs", f'{COUNTS}"7B"; "B" is for parameters, and this counts macs'),
        ("20k", "bytes", f'{BYTES}"20k"; did you mean "kB" or "KiB"?'),
        ("5 m", "parameters", f'{COUNTS}"5 m"; did you mean "M"?'),
        ("5 kib", "bytes", f'{BYTES}"5 kib"; did you mean "KiB"?'),
        ("many", "parameters", f'{COUNTS}"many"'),
        ("", "parameters", f'{COUNTS}""'),
        ("-5k", "parameters", f'{COUNTS}"-5k"'),
        ("1e3", "parameters", f'{COUNTS}"1e3"'),
        ("1,5M", "parameters", f'{COUNTS}"1,5M"'),
        ("1,000k", "parameters", f'{COUNTS}"1,000k"'),
        ("٣k", "parameters", f'{COUNTS}"٣k"'),
        ("9" * 50, "parameters", f'{COUNTS}"{"9" * 50}"'),
        ("20k", "share", 'must be a number or text such as "50 %", found "20k"; '
         '"k" is for parameters, and this counts share'),
        ("1.3337k", "parameters", 'must be a whole number, and "1.3337k" is 1,333.7 parameters; '
         "write 1_333 or 1_334"),
        ("0.3 B", "bytes", 'must be a whole number, and "0.3 B" is 0.3 bytes; write 0 or 1'),
    ],
)  # fmt: skip
def test_invalid_quantities_are_refused(text, unit, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse(text, unit)
    assert str(caught.value) == message


@given(st.integers(0, 10**18) | st.integers(0, 2000).map(lambda n: n * 1024**2), st.sampled_from(COUNTED))
def test_a_count_that_is_written_is_read_back(number, unit):
    assert parse(short(number, unit), unit) == number
    assert parse(f"{number:,} {unit}", unit) == number
    assert parse(f"{number:_}", unit) == number


@given(st.decimals(0, 1, places=9).map(float))
def test_a_share_that_is_written_is_read_back(share):
    assert parse(short(share, "share"), "share") == share


@given(st.integers(0, 10**6), st.sampled_from(COUNTED), st.data())
def test_a_suffix_multiplies(number, unit, data):
    suffix, factor = data.draw(st.sampled_from(sorted(UNITS[unit].factors.items())))
    assert parse(f"{number}{suffix}", unit) == number * factor
    assert parse(f"{number} {suffix}", unit) == number * factor


@given(st.text() | st.from_regex(r"[0-9]{1,5}([.,][0-9]{1,4})? ?[a-zA-Z%]{0,4}"), st.sampled_from(sorted(UNITS)))
def test_any_text_is_parsed_or_refused(text, unit):
    told = told_of(text, unit)
    assert told is None or told.startswith(("must be a whole number", f"must be {expected(unit)}, found "))
    assert "\n" not in (told or "")


def told_of(text: str, unit: str) -> str | None:
    try:
        return None if parse(text, unit) >= 0 else "negative"
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [(20_000, "parameters", "20k"), (13_086, "parameters", "13086"), (1_330_000, "macs", "1330k"),
     (1_500_000_000, "elements", "1.5G"), (262_144, "bytes", "256 KiB"), (1_500_000, "bytes", "1.5 MB"),
     (0, "bytes", "0 B"), (0.5, "share", "50 %"), (0.994, "share", "99.4 %")],
)  # fmt: skip
def test_the_shortest_text_of_a_number(number, unit, text):
    assert short(number, unit) == text


# --- in a contract ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighs(Rule):
    """A user's rule with quantities."""

    limit: int | None = field(default=None, metadata={"unit": "bytes"})
    share: float = field(default=0.5, metadata={"unit": "share"})
    several: tuple[int, ...] = field(default=(), metadata={"unit": "parameters"})


def test_a_rule_of_ones_own_takes_quantities():
    rule = rule_of('weighs = { limit = "1 KiB", share = "5 %", several = ["2k", 3] }', Weighs)
    assert rule == Weighs(limit=1024, share=0.05, several=(2000, 3))
    assert rule_of('weighs = "2 kB"', Weighs).limit == 2000
    assert rule_of("weighs = 7", Weighs).limit == 7


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('weighs = "2 params"', f'"weighs" {BYTES}"2 params"; "params" is for parameters, and this counts bytes'),
        ("weighs = true", None),
        ("weighs = { limit = true }", f'"limit" {BYTES}true'),
        ("weighs = { limit = 1.5 }", f'"limit" {BYTES}1.5'),
        ('weighs = { share = "half" }', '"share" must be a number or text such as "50 %", found "half"'),
        ('weighs = { several = ["2k", "x"] }', f'"several" {COUNTS}"x"'),
        ("weighs = { several = [1, true] }", f'"several" {COUNTS}true'),
    ],
)  # fmt: skip
def test_a_contract_says_once_what_is_wrong(line, message):
    if message is None:
        assert rule_of(line, Weighs) == Weighs()
        return
    with pytest.raises(ContractError) as caught:
        rule_of(line, Weighs)
    (problem,) = caught.value.problems
    assert problem.message == message


def test_the_line_of_an_item_is_that_of_the_item():
    with pytest.raises(ContractError) as caught:
        rule_of('weighs = { several = [\n  "2k",\n  "x",\n] }', Weighs)
    assert caught.value.problems[0].line == 3
