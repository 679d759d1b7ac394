"""`points` in bands: part of the points for a little too much."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import nn

import archcheck
from archcheck import rules
from archcheck.contract import load
from archcheck.foundation.errors import ContractError
from archcheck.judging.engine import check_contract
from archcheck.rules.base import Band, Rule

BANDS = "{ limit = 20_000, points = 2 }, { limit = '25k', points = 1 }"


def _rule(folder: Path, line: str) -> Rule:
    (folder / "archcheck.toml").write_text(f"[subjects.net]\nmodel = 'net.py'\n[subjects.net.rules]\n{line}\n")
    (entry,) = load(folder / "archcheck.toml").subjects
    return entry.rules[0].rule


def _earned(rule: Rule, parameters: int) -> tuple[str, float | None, float | None]:
    (outcome,) = archcheck.check(nn.Linear(parameters, 1, bias=False), rules=[rule]).outcomes
    return outcome.verdict.value, outcome.earned, outcome.points


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"max-params = {{ points = [{BANDS}] }}", {20_000: ("kept", 2), 20_001: ("broken", 1), 25_001: ("broken", 0)}),
        (f"max-params = {{ limit = 30_000, points = [{BANDS}] }}", {20_001: ("kept", 1), 25_001: ("kept", 0)}),
    ],
)
def test_the_best_band_that_is_kept_counts(tmp_path: Path, line: str, found: dict[int, tuple[str, float]]) -> None:
    rule = _rule(tmp_path, line)
    for parameters, (verdict, earned) in found.items():
        assert _earned(rule, parameters) == (verdict, earned, rule.worth)


def test_bands_of_a_minimum(tmp_path: Path) -> None:
    line = "min-sparsity = { points = [{ limit = 0.2, points = 0.5 }, { limit = 0.8, points = 1.5 }] }"
    rule, net = _rule(tmp_path, line), nn.Linear(10, 1, bias=False)
    for zeros, found in {10: ("kept", 1.5), 5: ("broken", 0.5), 1: ("broken", 0)}.items():
        net.weight.data.fill_(1)[:, :zeros] = 0
        (outcome,) = archcheck.check(net, rules=[rule]).outcomes
        assert (outcome.verdict.value, outcome.earned) == found


@pytest.mark.parametrize(
    ("rule", "bands"),
    [
        (rules.MinSparsity, ((0.2, 2), (0.8, 1))),
        (rules.MaxLayerShare, ((0.2, 1), (0.8, 2))),
        (rules.OverfitsOneBatch, ((0.1, 3), (0.3, 1), (0.2, 2), (0.4, 2.5))),
    ],
)
def test_a_band_that_never_counts_is_refused(rule: type[Rule], bands: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="never counts"):
        rule(limit=0.5, points=bands)


def test_bands_in_python() -> None:
    rule = rules.MaxParams(limit=10, points=(Band(limit=10, points=2), Band(limit=20, points=1)))
    assert _earned(rule, 15) == ("broken", 1, 2)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("[]", '"points" must be a number or a list of bands, found an empty list'),
        ("[1, 2]", '"points" must be a table, found 1'),
        ("[{ points = 1 }]", 'a band needs "limit"'),
        ("[{ limit = 1 }]", 'a band needs "points"'),
        ("[{ limit = 1, point = 1 }]", '"point" is not a key of a band; did you mean "points"?'),
        ("[{ limit = '20q', points = 1 }]", '"limit" must be an integer or text such as "20k"'),
        ("[{ limit = 1, points = 0 }]", "`points` must be positive, found 0"),
        ("[{ limit = -1, points = 1 }]", "`limit` must be at least"),
        ("[{ limit = 5, points = 1 }, { limit = 9, points = 2 }]", "a band that never counts: limit 9 earns 2, and"),
        ("[{ limit = 5, points = 2 }, { limit = 9, points = 2 }]", "limit 5 earns 2, and limit 9 earns 2; a stricter"),
        (
            "[{ limit = 5, points = 2 }, { limit = '5', points = 1 }]",
            "limit 5 earns 2, and limit 5 earns 1",
        ),
    ],
)
def test_a_mistake_in_a_band_is_one_line(tmp_path: Path, points: str, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        _rule(tmp_path, f"max-params = {{ limit = 5, points = {points} }}")
    assert message in str(caught.value)


def test_bands_need_a_limit(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="in bands are for a rule with a `limit`"):
        _rule(tmp_path, "requires = { kinds = 'conv', points = [{ limit = 1, points = 1 }] }")


WAIVER = ("[[subjects.net.waivers]]", 'rule = "max-params"', 'reason = "agreed"')


@pytest.mark.parametrize(("waiver", "earned"), [((), 1.0), (WAIVER, 2.0)])
def test_a_waiver_gives_all_points(tmp_path: Path, waiver: Sequence[str], earned: float) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\n\nnet = nn.Linear(21, 1000)\n")
    lines = ("[subjects.net]", 'model = "net.py:net"', f"rules.max-params = {{ points = [{BANDS}] }}", *waiver)
    (tmp_path / "archcheck.toml").write_text("\n".join(lines))
    (report,) = check_contract(load(tmp_path / "archcheck.toml"))
    assert report.earned == earned
