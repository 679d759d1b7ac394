"""`accepts`: the smallest input that a model does not take, where it fails, and what shapes alone do not tell."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck import SubjectError, rules
from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need, parsed
from archcheck.judging.engine import check
from archcheck.measure.behaviour import accepted_inputs
from archcheck.rules import Accepts
from archcheck.rules.findings import Verdict

IMAGE = torch.randn(1, 1, 28, 28)
TOKENS = torch.randint(0, 50, (1, 16))


def judged(model, example, **bounds):
    """Return the outcome of `accepts`, and what was measured for it."""
    report = check(model, example=example, rules=[Accepts(**bounds)])
    (measured,) = report.facts.behaviour.values()
    assert Facts.from_json(json.loads(json.dumps(report.facts.to_json()))).behaviour == report.facts.behaviour
    return report.outcomes[0], measured


def smallest(model, example, **bounds):
    """Return the shape of the smallest failing input, which a real pass has refused, `None` if there is none."""
    outcome, measured = judged(model, example, **bounds)
    assert outcome.verdict is (Verdict.KEPT if outcome.found is None else Verdict.BROKEN), outcome.headline
    if outcome.found is None:
        return None
    assert measured["failure"]["confirmed"]
    assert outcome.summary.startswith(f"input {'x'.join(map(str, outcome.found))} fails")
    return tuple(outcome.found)


# --- images -------------------------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Pools 28 to 13 pixels, and no other extent but 29 comes to as many."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.fc = nn.Linear(2 * 13 * 13, 4)

    def forward(self, x):
        return self.fc(F.max_pool2d(self.conv(x), 2).flatten(1))


def test_a_fixed_head_fails_at_another_size_in_its_layer():
    outcome, measured = judged(Fixed(), IMAGE, batch=(1, 64), height=(28, 64), width=(28, 64))
    assert outcome.found == [1, 1, 28, 30]  # 28x29 pools to 13x13, too
    assert outcome.findings[0].message.startswith("input 1x1x28x30 fails in `fc` (Linear): RuntimeError: ")
    assert "(1x364 and 338x4)" in outcome.findings[0].message
    assert outcome.findings[0].fix == "mend `fc`, or narrow accepts"
    source = Path(__file__).read_text().splitlines()
    assert source[outcome.findings[0].where.line - 1].strip() == "self.fc = nn.Linear(2 * 13 * 13, 4)"
    assert source[measured["failure"]["called"]["line"] - 1].strip().startswith("return self.fc(")


def test_a_fixed_head_takes_its_own_sizes():
    outcome, measured = judged(Fixed(), IMAGE, batch=(1, 64), height=(28, 29), width=(28, 29))
    assert outcome.headline == "kept accepts: batch 1-64, height 28-29, width 28-29 (all 256 tried)"
    assert measured["real"] == 2  # the smallest and the largest


def test_pooling_too_deep_fails_where_nothing_is_left():
    deep = nn.Sequential(*(nn.MaxPool2d(2) for _ in range(4)), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert smallest(deep, IMAGE, height=(16, 64), width=(16, 64)) is None
    assert smallest(deep, IMAGE, height=(15, 64), width=(16, 64)) == (1, 1, 15, 16)
    outcome, _ = judged(deep, IMAGE, height=(20, 64), width=(9, 64))
    assert outcome.findings[0].layer == "3"


def test_a_fully_convolutional_net_takes_any_size():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 1))
    assert smallest(net, IMAGE, batch=(1, 32), height=(1, 300), width=(1, 300)) is None


class Skip(nn.Module):
    """Halves and doubles: what comes back differs from what went in by one where that was odd."""

    def __init__(self):
        super().__init__()
        self.down = nn.MaxPool2d(2)

    def forward(self, x):
        return x + F.interpolate(self.down(x), scale_factor=2)


def test_a_skip_connection_fails_at_odd_sizes():
    assert smallest(Skip(), IMAGE, height=(28, 128), width=(28, 128)) == (1, 1, 29, 28)
    assert smallest(Skip(), IMAGE, height=(28, 28), width=(28, 128)) == (1, 1, 28, 29)


class Refuses(nn.Module):
    """Refuses the shapes of which `when` is true."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def forward(self, x):
        if self.when(*x.shape):
            raise ValueError("no such shape")
        return x


def test_a_failure_that_hides_in_one_extent_is_found():
    assert smallest(Refuses(lambda n, c, h, w: h % 7 == 3), IMAGE, height=(28, 96), width=(28, 96)) == (1, 1, 31, 28)


def test_a_failure_that_hides_in_two_extents_is_found_where_it_is_wide():
    model = Refuses(lambda n, c, h, w: h > 40 and 41 < w < 60)
    assert smallest(model, IMAGE, height=(28, 96), width=(28, 96)) == (1, 1, 41, 42)


@pytest.mark.parametrize("least", [(1, 29, 28), (1, 28, 41), (3, 30, 33), (16, 64, 64)])
def test_the_smallest_failing_input_is_that_of_the_thresholds(least):
    model = Refuses(lambda n, c, h, w: n >= least[0] and h >= least[1] and w >= least[2])
    bounds = {"batch": (1, 16), "height": (28, 64), "width": (28, 64)}
    assert smallest(model, IMAGE, **bounds) == (least[0], 1, *least[1:])


# --- the batch and the output -------------------------------------------------------------------------------


class Views(nn.Module):
    def __init__(self, view):
        super().__init__()
        self.view = view

    def forward(self, x):
        return self.view(x)


def test_a_batch_that_is_written_down_fails_at_any_other():
    view = Views(lambda x: x.view(64, -1))
    example = torch.randn(64, 1, 4, 4)
    assert smallest(view, example, batch=64, height=(4, 8)) is None
    assert smallest(view, example, batch=(63, 64)) == (63, 1, 4, 4)
    outcome, _ = judged(view, example, batch=(32, 64))
    assert "the output has shape 64x8, which does not keep the batch of 32" in outcome.summary


def test_an_output_that_loses_the_batch_fails_at_its_line():
    outcome, measured = judged(
        Views(lambda x: x.view(-1, 16 if x.shape[2] % 4 == 0 else x[0].numel())), IMAGE[..., :4, :4], height=(4, 9)
    )
    assert outcome.found == [1, 1, 8, 4]
    assert outcome.summary.endswith("the output has shape 2x16, which does not keep the batch of 1")
    assert measured["failure"]["confirmed"]
    line = Path(__file__).read_text().splitlines()[outcome.findings[0].where.line - 1]
    assert "x.view(-1, 16 " in line


def test_an_empty_output_fails():
    outcome, _ = judged(Views(lambda x: x[:, :, 8:]), IMAGE, height=(8, 40))
    assert outcome.summary == "input 1x1x8x28 fails: the output is empty (1x1x0x28)"


# --- sequences ----------------------------------------------------------------------------------------------


class Positions(nn.Module):
    """Tokens of at most 32 positions; `looked_up` in a table, whose indices shapes alone do not check."""

    def __init__(self, looked_up):
        super().__init__()
        self.tokens = nn.Embedding(50, 4)
        self.positions = nn.Embedding(32, 4)
        self.looked_up = looked_up

    def forward(self, ids):
        steps = ids.shape[1]
        table = self.positions(torch.arange(steps)) if self.looked_up else self.positions.weight[:steps]
        return self.tokens(ids) + table


@pytest.mark.parametrize("looked_up", [False, True])
@pytest.mark.parametrize("bounds", [{"length": (1, 64)}, {"batch": (1, 8), "length": (1, 64)}, {"length": (20, 500)}])
def test_a_table_of_32_positions_fails_at_33(looked_up, bounds):
    outcome, measured = judged(Positions(looked_up), TOKENS, **bounds)
    assert outcome.found == [1, 33]
    assert bool(outcome.notes) is looked_up
    if looked_up:
        assert outcome.notes[0].startswith("shapes alone let ")
        assert outcome.findings[0].layer == "positions"
        assert measured["real"] <= 2 * accepted_inputs.REAL_TRIES + 2


def test_a_table_of_32_positions_takes_32():
    assert smallest(Positions(True), TOKENS, batch=(1, 4), length=(1, 32)) is None


@pytest.mark.parametrize(
    ("model", "example", "axis"),
    [
        (nn.Conv1d(4, 4, 3, padding=1), (2, 4, 16), 2),
        (nn.BatchNorm1d(4), (2, 4, 16), 2),
        (nn.Linear(4, 4), (2, 16, 4), 1),
        (nn.LSTM(4, 4, batch_first=True), (2, 16, 4), 1),
        (nn.LSTM(4, 4), (16, 2, 4), 0),
        (nn.TransformerEncoderLayer(4, 1, 8), (16, 2, 4), 0),
        (nn.TransformerEncoderLayer(4, 1, 8, batch_first=True), (2, 16, 4), 1),
    ],
)
def test_the_length_is_the_axis_that_the_first_layer_takes_for_it(model, example, axis):
    bounds = {"length": (3, 20), "batch": (1, 5)}
    assert smallest(model, torch.randn(example), **bounds) is None
    hook = model.register_forward_pre_hook(lambda model, args: Refuses(lambda *shape: shape[axis] > 17)(args[0]))
    found = smallest(model, torch.randn(example), **bounds)
    hook.remove()
    assert found[axis] == 18
    assert sorted(found) == [1, 4, 18]


def test_volumes_have_a_depth_and_images_without_a_batch_none():
    volume, image = torch.randn(1, 2, 9, 10, 11), torch.randn(3, 9, 10)
    model = Refuses(lambda n, c, d, h, w: d > 20)
    assert smallest(model, volume, depth=(9, 30), width=(5, 6)) == (1, 2, 21, 10, 5)
    assert smallest(nn.Conv2d(3, 2, 3), image, height=(1, 30), width=7) == (3, 1, 7)
    assert judged(nn.Conv2d(3, 2, 3), image, batch=2)[0].verdict is Verdict.ERROR


def test_any_axis_goes_by_its_number():
    assert smallest(nn.Linear(4, 4), torch.randn(2, 4), axes={"0": (1, 9)}) is None
    assert smallest(nn.Linear(4, 4), torch.randn(2, 4), axes={-1: (4, 9)}) == (2, 5)


# --- several inputs -----------------------------------------------------------------------------------------


class Masked(nn.Module):
    def forward(self, ids, mask, scale):
        return ids * mask * scale


def test_inputs_that_share_extents_vary_together():
    example = {"ids": torch.ones(2, 9, 4), "mask": torch.ones(2, 9, 1), "scale": torch.ones(4)}
    assert smallest(Masked(), example, batch=(1, 5), length=(1, 12)) is None
    assert smallest(Masked(), example, channels=(4, 6)) == (2, 9, 5)
    assert smallest(Masked(), example, input="mask", axes={"2": (1, 6)}) == (2, 9, 2)
    assert smallest(Masked(), tuple(example.values()), input=2, axes={"0": (4, 6)}) == (5,)


@pytest.mark.parametrize("which", [3, "other"])
def test_an_input_that_is_not_there_is_an_error(which):
    outcome, _ = judged(Masked(), (torch.ones(2, 9, 4),) * 3, batch=2, input=which)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.summary == f"there is no input `{which}`; the example has 3"


# --- training -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "found"), [("eval", None), ("train", (1, 4)), ("both", (1, 4))])
def test_batch_norm_refuses_a_single_value_in_training(mode, found):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    assert smallest(model, torch.randn(8, 4), batch=(1, 16), mode=mode) == found
    assert smallest(model, torch.randn(8, 4), batch=(2, 16), mode=mode) is None


def test_training_is_named_and_leaves_no_trace():
    model = nn.Sequential(nn.BatchNorm1d(4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outcome, _ = judged(model, torch.randn(8, 4), batch=(1, 16), mode="both")
    assert outcome.summary.startswith(
        "input 1x4 fails in `0` (BatchNorm1d) in training: ValueError: Expected more than"
    )
    assert model.training
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


# --- where shapes do not decide -----------------------------------------------------------------------------


class Looks(nn.Module):
    """Goes a way that values decide, and refuses long inputs on it."""

    def forward(self, x):
        if x.sum() > -1e9 and x.shape[1] > 40:
            raise ValueError("too long")
        return x


def test_what_values_decide_is_decided_by_some_real_passes():
    outcome, measured = judged(Looks(), torch.randn(1, 9, 3), batch=(1, 64), length=(1, 64))
    assert outcome.found == [1, 41, 3]
    assert 0 < measured["real"] <= 2 * accepted_inputs.REAL_TRIES
    (note,) = outcome.notes
    assert note.startswith("what the model does depends on values (is_nonzero): decided by ")
    kept, _ = judged(Looks(), torch.randn(1, 9, 3), batch=(1, 64), length=(1, 40))
    assert kept.verdict is Verdict.KEPT
    assert kept.kept == f"batch 1-64, length 1-40 ({accepted_inputs.REAL_TRIES} of 2,560 tried)"
    assert kept.notes


def test_a_real_search_beyond_the_machine_is_an_error():
    outcome, _ = judged(Looks(), torch.randn(1, 9, 3), batch=(1, 10**9))
    assert outcome.verdict is Verdict.ERROR
    assert "1000000000x9x3 takes" in outcome.summary
    assert outcome.summary.endswith("narrow the bounds")


def test_a_failure_that_only_shapes_show_is_none(monkeypatch):
    from archcheck.measure.shapes.operator_shapes import RULES

    def refuse(call):
        if call["self"].shape[0] > 5:
            raise RuntimeError("wrong")

    monkeypatch.setitem(RULES, "erfinv", refuse)
    outcome, measured = judged(Views(torch.erfinv), torch.randn(2, 3), batch=(1, 8))
    assert outcome.verdict is Verdict.KEPT
    assert outcome.notes == ("the model takes 6x3, which shapes alone refuse: decided by 8 real forward passes",)
    assert measured["real"] == 8


def test_what_is_too_large_for_a_real_pass_is_said_to_be_unconfirmed():
    outcome, measured = judged(nn.Conv2d(1, 64, 5, padding=2), IMAGE, batch=(1, 4), height=(28, 9_000), width=9_000)
    assert outcome.verdict is Verdict.KEPT
    assert outcome.notes[0].startswith("not confirmed by a real forward pass: 4x1x9000x9000 takes ")
    assert measured["real"] == 2  # the smallest, and the largest but for its height


def test_a_model_without_memory_is_searched_by_shapes():
    with torch.device("meta"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    outcome, measured = judged(model, IMAGE, height=(28, 40))
    assert outcome.found == [1, 1, 29, 28]
    assert not measured["failure"]["confirmed"]
    assert measured["real"] == 0
    assert outcome.notes[0].startswith("not confirmed by a real forward pass: 1x1x29x28 ")


# --- what it leaves alone -----------------------------------------------------------------------------------


class Talks(nn.Module):
    def forward(self, x):
        print(x.shape)
        warnings.warn("look", stacklevel=1)
        return x


def test_a_model_that_prints_does_not_do_so_a_thousand_times(capsys):
    with pytest.warns(UserWarning, match="look") as caught:
        assert smallest(Talks(), IMAGE, height=(28, 400), width=(28, 400)) is None
    assert len(caught) <= 3
    assert len(capsys.readouterr().out.splitlines()) <= 3


def test_random_numbers_go_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    assert smallest(nn.Dropout(0.5), IMAGE, height=(28, 400), width=(28, 400), mode="both") is None
    assert torch.equal(torch.rand(4), expected)
    assert not list(tmp_path.iterdir())


# --- how it is stated ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({}, "no axis is given"),
        ({"batch": 0}, "`batch` must be one extent, or the least and the most, from 1 on, found 0 and 0"),
        ({"height": (9, 8)}, "found 9 and 8"),
        ({"height": (9, 10, 11)}, "found 9 and 10 and 11"),
        ({"axes": {"batch": 3}}, "`axes` takes the numbers of axes"),
        ({"batch": 2, "on": "conv"}, "`on` narrows nothing"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(bounds, says):
    with pytest.raises(ValueError, match=says):
        Accepts(**bounds)


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"depth": 3}, 'the input 1x1x28x28 has no axis `depth` but "batch", "channels", "height" and "width"'),
        ({"axes": {"4": 3}}, "the input 1x1x28x28 has no axis 4"),
        ({"axes": {"0": 3}, "batch": 4}, 'of "0" and "batch", two are one and the same axis'),
    ],
)
def test_axes_that_the_input_does_not_have_are_an_error(bounds, says):
    outcome, _ = judged(nn.Identity(), IMAGE, **bounds)
    assert outcome.verdict is Verdict.ERROR
    assert outcome.summary.startswith(says)


def test_several_in_one_contract_do_not_meet():
    several = [Accepts(height=(28, 40)), Accepts(height=28, batch=(1, 9)), Accepts(height=(28, 40), mode="train")]
    report = check(Fixed(), example=IMAGE, rules=several)
    assert [outcome.found for outcome in report.outcomes] == [[1, 1, 30, 28], None, [1, 1, 30, 28]]
    assert len(report.facts.behaviour) == 3


def test_what_a_rule_needs_is_a_name_and_parameters():
    assert parsed(need("accepts", axes={"batch": [1, 2]}, input=None)) == ("accepts", {"axes": {"batch": [1, 2]}})
    assert parsed(need("keeps-batch")) == ("keeps-batch", {})
    assert need("p", b=1, a=2) == need("p", a=2, b=1)
    assert Accepts(batch=4).needs == Accepts(batch=(4, 4)).needs != Accepts(batch=(3, 4)).needs


def test_a_model_that_fails_on_its_own_example_is_not_judged():
    with pytest.raises(SubjectError):
        check(Refuses(lambda *shape: True), example=IMAGE, rules=[rules.Accepts(batch=(1, 4))])


CONTRACT = """
[subjects.net]
model = "model.py:Net"
input = [1, 1, 28, 28]
[subjects.net.rules]
accepts = [{ batch = [1, 900] }, { height = [28, 40], width = [28, 40] }]
"""
MODEL = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 2))
"""


@pytest.fixture
def contract(tmp_path):
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def run(folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def said(done):
    """Return what was printed, without the breaks of its lines."""
    return " ".join(done.stdout.split())


def test_a_contract_states_it_on_the_command_line_and_in_pytest(contract):
    done = run(contract, "archcheck", "check")
    assert done.returncode == 1, done.stderr
    assert "kept accepts-1 net: batch 1-900 (500 of 900 tried)" in said(done)
    assert "broken accepts-2 net: input 1x1x28x29 fails in `1` (Linear): RuntimeError: " in said(done)
    assert "where model.py:6 1 (Linear) fix mend `1`, or narrow accepts at archcheck.toml:6" in said(done)
    done = run(contract, "pytest", "--archcheck", "-n", "2", "-q", "-p", "no:cacheprovider")
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "input 1x1x28x29 fails in `1` (Linear)" in said(done)
    assert {file.name for file in contract.iterdir()} - {"__pycache__"} == {"archcheck.toml", "model.py"}


def test_the_cache_knows_other_bounds_for_another_question(contract):
    assert run(contract, "archcheck", "check").returncode == 1
    file = contract / "archcheck.toml"
    file.write_text(CONTRACT.replace("[28, 40]", "[28, 28]"))
    done = run(contract, "archcheck", "check")
    assert done.returncode == 0, done.stdout
    assert "height 28, width 28 (all 1 tried)" in done.stdout
