"""Where a convention departs from the true count, the table says at which layer and operator, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from counted_networks import NETWORKS, Apply, MyConv2d
from torch import nn

from archcheck.facts.calls import CALLS
from archcheck.facts.conventions.comparison import CONVENTIONS, counted_as
from archcheck.facts.conventions.einsums import fvcore_macs
from archcheck.foundation.errors import NotMeasured
from archcheck.measure import measure_model
from archcheck.measure.loading.example import given
from archcheck.measure.passes.lazy import passes_of
from archcheck.measure.passes.restore import torch_state_kept
from archcheck.measure.peers.calls import recorded_calls
from archcheck.rules import MaxMacs


def facts_of(model, *shape):
    return measure_model(model, example=torch.rand(*shape), needs=[CALLS])


def departures(tool, model, *shape, on=None):
    """Return layer, operator, the true count and the tool's, and the reason."""
    count = counted_as(facts_of(model, *shape), tool, on)
    return [(each.layer, each.op, each.ours, each.theirs, each.reason) for each in count.differences]


def test_a_functional_call_runs_in_the_layer_around_it_where_hooks_see_nothing():
    model = Apply(lambda self, x: F.conv2d(x, self.conv.weight), conv=nn.Conv2d(1, 2, 3))
    (only,) = departures("torchinfo", model, 1, 1, 8, 8)
    assert only[:4] == ("", "conv", 36 * 2 * 9, 0)
    assert "runs in the code of `Apply`, which has layers inside" in only[4]


def test_a_linear_layer_counts_once_a_sample_for_torchinfo():
    assert departures("torchinfo", nn.Linear(4, 2, bias=False), 3, 5, 4) == [
        ("", "linear", 3 * 5 * 8, 3 * 8, "a linear layer counts once a sample, not once a position")
    ]


def test_a_subclass_is_unknown_to_what_asks_for_the_exact_class():
    model = nn.Sequential(MyConv2d(1, 2, 3, bias=False))
    for tool in ("thop", "ptflops"):
        ((layer, operator, true, told, reason),) = departures(tool, model, 1, 1, 8, 8)
        assert (layer, operator, true, told) == ("0", "conv", 648, 0)
        assert "exact classes of torch.nn" in reason
        assert "MyConv2d" in reason
    assert departures("torch-scan", model, 1, 1, 8, 8) == []


def test_a_layer_that_two_others_hold_counts_for_thop_as_often_as_it_is_hooked_and_visited():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(nn.Sequential(shared), nn.Sequential(shared))
    # Two calls of 4; two hooks count each call, and the walk over children comes to the layer twice.
    assert departures("thop", model, 1, 2) == [
        ("0.0", "linear", 8, 32, "a layer that several others hold counts 4 times")
    ]


def test_a_batch_is_divided_by_ptflops_and_functions_are_not():
    model = Apply(lambda self, x: F.relu(self.linear(x)), linear=nn.Linear(4, 2, bias=False))
    count = counted_as(facts_of(model, 3, 4), "ptflops")
    assert count.total == 8 + 3 * 2
    assert [each[:4] for each in departures("ptflops", model, 3, 4)] == [("", "relu", 0, 6), ("", "batch", 0, -16)]


def test_the_flop_counter_counts_two_for_each_multiply_add_so_that_nothing_differs():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    count = counted_as(facts_of(model, 1, 1, 8, 8), "flop-counter")
    assert (count.total, count.macs, count.differences) == (2 * (648 + 216), 648 + 216, ())


def test_products_that_a_tool_names_otherwise_are_one_row():
    # A linear layer is `addmm` below autograd; both agree.
    assert departures("flop-counter", nn.Linear(4, 2), 3, 4) == []


def test_the_part_that_a_selector_points_at_is_counted_alone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
    facts = facts_of(model, 1, 1, 8, 8)
    assert counted_as(facts, "torchinfo", "conv").total == 36 * 2 * 10 + 36 * 2 * 3
    assert counted_as(facts, "torchinfo", "1").total == 4
    assert counted_as(facts, "torchinfo", "BatchNorm2d").total == 4
    assert counted_as(facts, "torchinfo").total == 36 * 2 * 10 + 36 * 2 * 3 + 4


def test_timm_counts_one_image():
    model = nn.Conv2d(1, 2, 3)
    one, two = facts_of(model, 1, 1, 8, 8), facts_of(model, 2, 1, 8, 8)
    assert counted_as(one, "timm").total == counted_as(one, "fvcore").total == 648
    assert counted_as(two, "timm").total is None
    assert "has a batch of 2" in counted_as(two, "timm").error


def test_a_rule_says_why_a_tool_has_no_number():
    model = Apply(lambda self, x: self.softmax(x), softmax=nn.Softmax())
    with pytest.raises(NotMeasured, match=r"thop .* prints no number for this network: `softmax` is a softmax without"):
        MaxMacs(limit=1, as_="thop").check(facts_of(model, 2, 3))


def test_a_rule_needs_the_record_only_where_a_tool_counts():
    assert MaxMacs(limit=1).needs == ()
    assert MaxMacs(limit=1, as_="thop").needs == (CALLS,)
    facts = measure_model(nn.Linear(2, 2), example=torch.rand(1, 2))
    assert facts.calls is None
    with pytest.raises(NotMeasured, match="were not recorded"):
        MaxMacs(limit=1, as_="thop").check(facts)


def test_a_model_that_cannot_run_with_gradients_has_no_number_of_tools_that_run_it_so():
    def run(self, x):
        self.linear.weight.mul_(1)  # torch refuses this for a leaf that wants a gradient
        return self.linear(x)

    model = Apply(run, linear=nn.Linear(2, 2, bias=False))
    facts = facts_of(model, 1, 2)
    assert counted_as(facts, "torchinfo").total == 4
    for tool in ("ptflops", "deepspeed", "flop-counter"):
        assert counted_as(facts, tool).total is None
        assert "with gradients" in counted_as(facts, tool).error


def test_code_that_looks_at_values_runs_for_real_however_large_and_not_without_memory():
    def run(self, x):
        return self.linear(x) if x.sum().item() > 0 else x

    model = Apply(run, linear=nn.Linear(2, 2, bias=False))
    with torch_state_kept():
        calls = recorded_calls(
            passes_of(model, given(torch.ones(1, 2)), None), given(torch.ones(1, 2)), affordable=False
        )
    assert [call.layer for call in calls.layers] == ["linear", ""]
    facts = measure_model(model.to("meta"), example=torch.ones(1, 2), needs=[CALLS])
    assert facts.calls is None
    with pytest.raises(NotMeasured, match="were not recorded; calls: "):
        counted_as(facts, "torchinfo")


def test_code_that_differentiates_in_its_forward_pass_has_no_number_of_fvcore():
    def run(self, x):
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            return torch.autograd.grad(self.linear(x).sum(), x)[0]

    facts = facts_of(Apply(run, linear=nn.Linear(2, 3, bias=False)), 1, 2)
    assert counted_as(facts, "torchinfo").total == 6
    assert "could not record the operators" in counted_as(facts, "fvcore").error


def test_a_model_without_memory_is_counted_by_its_shapes():
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    facts = measure_model(model, example=torch.rand(1, 1, 8, 8), needs=[CALLS])
    assert {tool: counted_as(facts, tool).total for tool in CONVENTIONS} == {
        "torchinfo": 36 * 2 * 10 + 219, "fvcore": 864, "ptflops": 36 * 2 * 10 + 2 * 72 + 219, "thop": 864,
        "flop-counter": 1728, "deepspeed": 864, "torch-scan": 864, "timm": 864,
    }  # fmt: skip


def test_a_model_too_large_for_a_real_pass_is_counted_by_shapes_to_the_same_numbers():
    for name in ("usual_layers", "multihead_attention", "fused_attention", "gru_both_ways", "functional", "norms"):
        model, inputs = NETWORKS[name]()
        facts = measure_model(model, example=inputs, needs=[CALLS])
        passes = passes_of(model, given(inputs), None)
        with torch_state_kept():
            calls = recorded_calls(passes, given(inputs), affordable=False)
        by_shapes = replace(facts, calls=calls)
        assert {tool: counted_as(by_shapes, tool).total for tool in CONVENTIONS} == {
            tool: counted_as(facts, tool).total for tool in CONVENTIONS
        }


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("abc,abd->acd", [(2, 3, 4), (2, 3, 5)], 2 * 3 * 4 * 5),
        ("bij,kj->bik", [(2, 3, 4), (5, 4)], 2 * 3 * 4 * 5),
        ("...ij,kj->...ik", [(2, 3, 4), (5, 4)], 2 * 3 * 4 * 5),
        ("bi,bj", [(2, 3), (2, 4)], 2 * 3 * 4),
        ("ij->i", [(3, 4)], 3 * 4),
        ("i,j->ij", [(3,), (4,)], 3 * 4 // 2),
        ("ij,jk,kl->il", [(2, 30), (30, 3), (3, 40)], 2 * 30 * 3 + 2 * 3 * 40),
        ("ij,jk->ik", [(1234, 1), (1, 1)], 1234),
        ("ij,jk->ik", [(123, 457), (457, 3)], 168_650),  # half of 337,266, which is rounded to four digits
    ],
)
def test_einsums_are_estimated_as_numpy_does(equation, shapes, macs):
    assert fvcore_macs(equation, shapes) == macs
