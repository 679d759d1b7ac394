import re
import subprocess
import sys
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from archcheck.facts.facts import Facts
from archcheck.facts.records import Hidden
from archcheck.foundation.errors import ArchcheckError
from archcheck.render import FORMATS, Options, render
from archcheck.render.text import render_text
from archcheck.render.unwrapped_text import unwrapped_text
from archcheck.rules.findings import Finding, Report, Verdict
from tests.render.samples import (
    facts,
    failed,
    graded,
    judged,
    kept,
    layer,
    outcome,
    outcomes,
    params,
    plain_net,
    residual_net,
    troubled_net,
)

ANSI = re.compile(r"\x1b\[[\d;]*m")
HOSTILE = "[bold red]x[/] \x1b[31m :smile: [link=https://x.y]z[/link]\r\x07\u202e\n::error::"


def text(*reports: Report, **options: object) -> str:
    return render(reports, "text", **options)


def of(facts: Facts, **options: object) -> str:
    return text(Report(subject="net", facts=facts), **options)


def row(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.split()[:1] == [name])


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("made", [plain_net, troubled_net, residual_net])
def test_no_line_is_wider_than_the_terminal(made, width: int) -> None:
    output = text(Report(subject="net", facts=made(), outcomes=outcomes()), failed(), width=width)
    assert max(map(cell_len, output.splitlines())) <= width


def test_figures_are_never_cut_at_80_columns() -> None:
    long = "a_layer_with_a_name_that_leaves_no_room_at_all_for_anything_else"
    net = facts(
        layer("", "Net", (1, 10), params=70_553_706_496, macs=9_123_456_789_012),
        layer(long, "AdaptiveAveragePoolingWithAName", (1, 4_096, 1_024, 1_024), macs=9_123_456_789_012),
    )
    output = of(net, width=80)
    assert row(output, "Net").split()[-2:] == ["70,553,706,496", "9,123,456,789,012"]
    assert row(of(residual_net(), width=60), "ResNet").split()[-2:] == ["25,557,032", "4,089,184,256"]
    assert "…" not in of(residual_net(), width=40)


def test_without_a_terminal_the_first_line_of_a_finding_is_whole() -> None:
    message = "a message " * 40 + "end"
    broken = outcome("no-padding", Verdict.BROKEN, findings=(Finding(message=message),))
    output = text(Report(subject="net", facts=plain_net(), outcomes=(broken,)), outcomes_only=True)
    assert output.splitlines()[0] == f"broken   no-padding  net: {message}"


def test_colour_changes_nothing_but_colour() -> None:
    plain = text(judged(), failed(), width=80)
    coloured = text(judged(), failed(), width=80, color=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31mbroken" in coloured
    lines = [line.rstrip() for line in ANSI.sub("", coloured).split("\n")]
    assert "\n".join(lines) == plain


def test_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [text(judged(), width=100, color=color) for color in (True, False)]
    for name, value in {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "20", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
        assert [text(judged(), width=100, color=color) for color in (True, False)] == before


def test_names_of_strangers_are_shown_and_not_obeyed() -> None:
    net = plain_net()
    renamed = replace(
        net,
        subject=replace(net.subject, name=HOSTILE, target=HOSTILE, notes=(HOSTILE,)),
        layers=(*net.layers, layer(HOSTILE.replace(".", ""), HOSTILE, (1, 2))),
    )
    broken = outcome("no-padding", Verdict.BROKEN, instance=HOSTILE, because=HOSTILE, most=(HOSTILE,),
                     findings=(Finding(message=HOSTILE, layer=HOSTILE, fix=HOSTILE),))  # fmt: skip
    output = text(Report(subject=HOSTILE, facts=renamed, outcomes=(broken,)))
    assert "[bold red]x[/]" in output
    assert ":smile:" in output
    assert r"\x1b[31m" in output
    assert r"\u202e" in output
    assert not [line for line in output.splitlines() if line.lstrip().startswith("::")]
    assert_obedient_to_nobody(output)


def assert_obedient_to_nobody(output: str) -> None:
    found = {character for character in output if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert found <= {"\n"}


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40), st.sampled_from([40, 80, None]))
def test_any_name_leaves_the_report_in_order(name: str, width: int | None) -> None:
    net = facts(layer("", name, (1, 10)), layer(name.replace(".", "") or "x", name, (1, 2)))
    broken = outcome("no-padding", Verdict.BROKEN, findings=(Finding(message=name, layer=name),))
    output = text(Report(subject=name, facts=net, outcomes=(broken,)), width=width)
    assert_obedient_to_nobody(output)
    assert output.endswith("1 rule: 1 broken\n")


def test_repeated_blocks_are_shown_once_and_the_sums_stay_right() -> None:
    lines = of(residual_net(), width=80).splitlines()
    assert len(lines) < 120
    start = next(number for number, line in enumerate(lines) if line.startswith("  layer3"))
    inside = [line for line in lines[start + 1 :] if line.startswith("    ")]
    blocks = [line for line in inside[: inside.index(next(line for line in inside if "2-5" in line)) + 1]
              if line[4] != " "]  # fmt: skip
    assert [line.split()[0] for line in blocks] == ["0", "1", "2-5"]
    assert "4 more alike" in blocks[-1]
    assert sum(int(line.split()[-2].replace(",", "")) for line in blocks) == (9 + 5 * 7) * 1_024


def test_depth_cuts_the_tree_and_says_how_much_is_left_out() -> None:
    output = of(residual_net(), depth=1)
    assert row(output, "layer1").split()[1:3] == ["Sequential", "(+27)"]
    assert "conv3" not in output


def test_different_neighbours_are_not_taken_for_repetitions() -> None:
    net = facts(
        layer("", "Net", (1, 2)), layer("0", "Linear", (1, 2), params=6), layer("1", "Linear", (1, 2), params=8)
    )
    assert "more alike" not in of(net)


def test_equal_neighbours_with_names_are_all_shown() -> None:
    net = facts(layer("", "Net", (1, 2)), layer("relu1", "ReLU", (1, 2)), layer("relu2", "ReLU", (1, 2)))
    assert row(of(net), "relu2")
    assert "more alike" not in of(net)


def test_equal_blocks_with_numbered_names_are_shown_once() -> None:
    blocks = [
        part
        for number in range(12)
        for part in (layer(f"layer_{number}", "Block", (1, 2), params=6), layer(f"layer_{number}.fc", "Linear", (1, 2)))
    ]
    output = of(facts(layer("", "Net", (1, 2)), *blocks))
    assert row(output, "layer_1-11").split()[1:] == ["11", "more", "alike", "66"]


def test_a_layer_that_only_lends_its_weights_is_not_called_idle() -> None:
    lender = layer("attention.out_proj", "Linear", params=20)
    net = facts(layer("", "Net", (1, 2)), layer("attention", "MultiheadAttention", (1, 2)), lender)
    assert "never called" not in of(net)
    net = replace(net, unused_layers=("attention.out_proj",))
    assert "never called" in row(of(net), "out_proj")


def test_many_names_that_differ_in_numbers_are_one() -> None:
    names = tuple(f"layers.{number}.weight" for number in range(30))
    unused = params(30, unused=(*names, "head.bias"), sizes=dict.fromkeys((*names, "head.bias"), 2))
    net = facts(layer("", "Net", (1, 2)), params=unused)
    assert "layers.*.weight x30, head.bias (62 elements that no output reads)" in of(net)


def test_a_container_of_very_many_layers_is_cut() -> None:
    layers = [layer(str(index), "Linear" if index % 2 else "ReLU", (1, 2), params=index % 2) for index in range(1_000)]
    output = of(facts(layer("", "Net", (1, 2)), *layers))
    assert row(output, "100-999").split()[1:] == ["900", "more", "450"]
    assert "\n  101 " not in output


def test_a_very_deep_network_is_no_problem() -> None:
    paths = [".".join("a" * (depth + 1)) for depth in range(3_000)]
    net = facts(layer("", "Net", (1, 2)), *(layer(path, "Sequential", (1, 2)) for path in paths))
    assert "(+2,997)" in of(net)


def test_layers_that_do_nothing_are_marked() -> None:
    output = of(troubled_net())
    assert "never called" in row(output, "spare")
    assert "reaches no output" in row(output, "aside")
    assert "never called" not in row(output, "blocks"), "a list is never called, its layers are"
    assert "not registered" in row(output, "stages[0].weight")
    assert "a buffer" in row(output, "blur.kernel")


def test_unused_layers_are_counted_and_those_inside_are_marked_but_not_counted() -> None:
    output = of(troubled_net())
    assert "never called: spare (Sequential) (1 layer)" in output
    assert "reaches no output: aside (BatchNorm2d) (1 layer)" in output
    assert "never called" in row(output, "0")


def test_bytes_are_split_by_dtype_where_there_are_several() -> None:
    assert "2,000 of parameters and buffers (float32 1,992, int64 8)" in of(troubled_net())
    assert "of parameters and buffers\n" in of(plain_net())


def test_many_hidden_weights_are_counted_and_not_all_listed() -> None:
    weights = tuple(
        Hidden(name=f"w{i}", shape=(10,), elements=10, used_by="mul", layer="", where=None) for i in range(30)
    )
    output = of(facts(layer("", "Net", (1, 2)), params=params(0, hidden=weights)))
    assert "300 elements in 30 tensors" in output
    assert "and 22 more" in output


def test_what_a_reader_must_not_miss_has_a_colour_of_its_own() -> None:
    assert "\x1b[33m0 (has rate 0) in fc (Linear)" in of(plain_net(), color=True)


def test_a_message_of_several_lines_becomes_one() -> None:
    finding = Finding(message="expected 3\r\n    found 4\n\nsee line 5")
    broken = outcome("no-padding", Verdict.BROKEN, findings=(finding,))
    assert "net: expected 3 found 4 see line 5" in text(Report(subject="net", outcomes=(broken,)))


def test_a_fix_that_several_findings_share_is_said_once() -> None:
    findings = tuple(Finding(message=f"m{number}", fix="mend it" if number < 3 else "else") for number in range(4))
    broken = outcome("no-padding", Verdict.BROKEN, findings=findings)
    output = text(Report(subject="net", facts=plain_net(), outcomes=(broken,)), outcomes_only=True)
    assert output.count("mend it") == 1
    assert output.count("else") == 1


def test_unknown_costs_are_named() -> None:
    net = plain_net()
    net = replace(net, cost=replace(net.cost, uncounted=("aten.topk",)))
    assert "aten.topk: cost unknown" in of(net)


def test_findings_beyond_ten_are_counted() -> None:
    findings = tuple(Finding(message=f"finding {number}") for number in range(25))
    report = replace(judged(), outcomes=(outcome("no-padding", Verdict.BROKEN, findings=findings),))
    output = text(report, outcomes_only=True)
    assert "finding 9" in output
    assert "finding 10" not in output
    assert "15 more" in output


def test_the_last_line_counts_subjects_rules_and_verdicts() -> None:
    assert text(kept(), outcomes_only=True).splitlines()[-1] == "2 rules: 2 kept"
    last = text(judged(), kept(), failed(), outcomes_only=True).splitlines()[-1]
    assert last == (
        "3 subjects, 8 rules: 3 kept, 2 broken, 1 waived, 1 vacuous, 1 error; 1 subject could not be measured"
    )


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(ArchcheckError, match=r'"jsn" is not a format; did you mean "json"\?'):
        render((), "jsn")
    with pytest.raises(ArchcheckError, match=r"the formats are text, concise, .*, sarif, cyclonedx, html"):
        render((), "pdf")


def test_only_text_imports_rich_and_nothing_imports_torch() -> None:
    code = (
        "import sys; from archcheck.render import FORMATS, render\n"
        "for name in FORMATS:\n"
        "    if name != 'text': render((), name)\n"
        "render((), 'text', outcomes_only=True)\n"
        "assert 'rich' not in sys.modules\n"
        "render((), 'text')\n"
        "assert 'rich' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def with_rich(*reports: Report) -> str:
    """Return the outcomes as rich lays them out where no line is broken."""
    return render_text(reports, Options(outcomes_only=True))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_without_rich_verdicts_look_the_same(data: st.DataObject) -> None:
    words = st.text(
        st.sampled_from("a b-\u3000\u0301\u4e2d\U0001f600\u200d\ufe0f\t\n\r\x1b[]:`") | st.characters(), max_size=12
    )
    findings = st.builds(Finding, message=words, layer=st.none() | words, fix=st.none() | words)
    made = [
        outcome("no-padding", verdict, instance=data.draw(words), because=data.draw(words), most=(data.draw(words),),
                notes=(data.draw(words),), findings=tuple(data.draw(st.lists(findings, max_size=3))))
        for verdict in data.draw(st.lists(st.sampled_from(list(Verdict)), max_size=4))
    ]  # fmt: skip
    reports = (Report(subject=data.draw(words), outcomes=tuple(made)), judged(), failed())
    assert text(*reports, outcomes_only=True) == with_rich(*reports)


@pytest.mark.parametrize("reports", [(), (judged(),), (kept(), failed(), judged()), (graded(),)])
def test_without_rich_the_samples_look_the_same(reports: tuple[Report, ...]) -> None:
    assert unwrapped_text(reports, Options(outcomes_only=True)) == with_rich(*reports)


def test_what_only_rich_lays_out_is_left_to_it() -> None:
    for options in ({}, {"outcomes_only": True, "color": True}, {"outcomes_only": True, "width": 80}):
        assert unwrapped_text((judged(),), Options(**options)) is None
    long = outcome("no-padding", Verdict.BROKEN, findings=(Finding(message="中" * 60_000),))
    report = Report(subject="net", outcomes=(long,))
    assert unwrapped_text((report,), Options(outcomes_only=True)) is None
    assert text(report, outcomes_only=True) == with_rich(report)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_every_option(name: str) -> None:
    assert render((kept(), failed()), name, color=True, width=80, depth=1, outcomes_only=True, base="a")
