import json

from archcheck.facts.cross_checks import Difference
from archcheck.render import render
from archcheck.render.tool_comparison import SHOWN, is_doubtful, rows, verdict
from archcheck.rules.findings import Report, reports_from_json
from tests.render.samples import cross_checked, differences, plain_net


def check(*found: Difference, **values: object):
    facts = cross_checked(*found, **values)
    assert facts.cross_check is not None
    return facts.cross_check


def text(facts, **options: object) -> str:
    return render((Report(subject="net", facts=facts),), "text", **options)


def test_where_both_agree_one_line_says_so() -> None:
    assert verdict(check()) == "fvcore counts the same: 14,912 in all, 3 operators"
    assert list(rows(check())) == []
    assert not is_doubtful(check())
    assert text(cross_checked()).count("fvcore counts the same: 14,912 in all") == 1
    assert "why" not in text(cross_checked())


def test_where_they_differ_the_totals_say_by_how_much() -> None:
    # 14,912 less three times 1,536 and with 640 more; 2,944 less 704.
    assert verdict(check(*differences())) == (
        "fvcore counts 10,944 in all (3,968 fewer), and 2,240 activations (704 fewer)"
    )


def test_a_difference_may_leave_the_totals_as_they_are() -> None:
    more = Difference(layer="a", op="linear", ours=1, fvcore=2, reason="moved")
    fewer = Difference(layer="b", op="linear", ours=2, fvcore=1, reason="moved")
    assert verdict(check(more, fewer)) == "fvcore counts the same 14,912 in all, and the same 2,944 activations"


def test_layers_that_differ_in_a_number_are_one_row_and_the_unexplained_comes_first() -> None:
    odd, attention, outputs = rows(check(*differences()))
    assert (odd.layers, odd.op, odd.ours, odd.theirs, odd.reason) == (
        "(the model)", "linear", "640", "1,280", "unexplained",
    )  # fmt: skip
    assert odd.alarming
    assert not attention.alarming
    assert (attention.layers, attention.ours, attention.theirs) == ("blocks.*.attention x3", "4,608", "0")
    assert outputs.op == "scaled_dot_product_attention (activations)"
    assert is_doubtful(check(*differences()))


def test_what_is_left_out_of_the_table_is_counted() -> None:
    many = [Difference(layer="", op=f"op{number}", ours=1, fvcore=0, reason="it is") for number in range(SHOWN + 2)]
    shown = list(rows(check(*many)))
    assert len(shown) == SHOWN + 1
    assert shown[-1].layers == "2 more; --format json has them all"


def test_that_fvcore_failed_is_one_line() -> None:
    failed = check(total_fvcore=None, activations_fvcore=None, error="RuntimeError: it is scripted")
    assert verdict(failed) == "fvcore could not trace it: RuntimeError: it is scripted"
    assert is_doubtful(failed)


def test_reports_without_it_say_nothing_of_it() -> None:
    assert "fvcore counts" not in text(plain_net())
    assert "cross-check" not in text(plain_net())


def test_it_comes_back_from_json_as_it_went() -> None:
    reports = tuple(
        Report(subject="net", facts=cross_checked(*found, **values))
        for found, values in (
            (differences(), {}),
            ((), {"error": "failed", "total_fvcore": None, "activations_fvcore": None}),
        )
    )
    document = json.loads(render(reports, "json"))
    assert reports_from_json(document) == reports
    first = document["reports"][0]["facts"]["cross_check"]
    assert first["differences"][3] == {
        "layer": "", "op": "linear", "ours": 640, "fvcore": 1_280, "reason": "unexplained", "quantity": "flops",
    }  # fmt: skip
    assert document["reports"][1]["facts"]["cross_check"]["error"] == "failed"
