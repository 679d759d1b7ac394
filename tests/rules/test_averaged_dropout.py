"""Dropout that averages itself away, drawn again and again for one tensor, and what only looks like it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck.judging.engine import measure
from archcheck.rules import Requires

ROWS = torch.rand(2, 8)
ONE = torch.ones(1)


class Net(nn.Module):
    """A linear layer, then whatever `then` does with its result; `drop` drops 30 % in training."""

    def __init__(self, then):
        super().__init__()
        self.fc, self.weight, self.then = nn.Linear(8, 8), nn.Parameter(torch.randn(8, 8)), then

    def drop(self, x, rate=0.3):
        return F.dropout(x, rate, self.training)

    def forward(self, x):
        return self.then(self, self.fc(x))


def messages(then, example=ROWS):
    result = Requires(kinds=("dropout",)).check(measure(Net(then), example=example))
    return [finding.message.partition(" (")[0] for finding in result.findings]


def says(then):
    (message,) = messages(then)
    return message.partition(".py:")[2].partition(" ")[2]


AVERAGED = "is drawn 30 times for one tensor, which averages it away"


def copies(count):
    return lambda net, x: net.drop(x.expand(count, *x.shape)).mean(0)


def test_as_many_copies_as_draws_are_as_bad():
    assert says(copies(30)) == AVERAGED
    assert messages(copies(29)) == []


def test_copies_are_seen_through_whatever_rearranges_them():
    assert says(lambda net, x: net.drop(x.unsqueeze(0).repeat(30, 1, 1).flatten(1)).mean(0).view(2, 8)) == AVERAGED
    assert messages(lambda net, x: net.drop(x.unsqueeze(0).flatten(1).view(2, 8))) == []


@pytest.mark.parametrize(
    "again",
    [
        lambda x: x,
        lambda x: x.clone(),
        lambda x: x.view(2, 8),
        lambda x: x.t(),
        lambda x: x * 1.0,
        lambda x: x.reshape(16)[:],
        lambda x: torch.cat(x.chunk(2, 1), 1),
    ],
    ids=["itself", "clone", "view", "permute", "scaled", "slice", "put together"],
)
def test_the_same_tensor_again_is_no_other(again):
    def then(draws):
        return lambda net, x: sum(net.drop(again(x)).mean() for _ in range(draws)) + x

    assert says(then(30)) == AVERAGED
    assert messages(then(29)) == []


def test_copies_side_by_side_are_copies():
    assert says(lambda net, x: net.drop(torch.stack([x] * 30)).mean(0)) == AVERAGED
    assert says(lambda net, x: net.drop(x.repeat_interleave(30, 0)).view(2, 30, 8).mean(1)) == AVERAGED


# --- what is dropped on one line, each for itself --------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        lambda x: x.unbind(1),
        lambda x: x.chunk(40, 1),
        lambda x: [x[:, step] for step in range(40)],
        lambda x: x.t().split(1),
    ],
    ids=["unbind", "chunk", "select", "split"],
)
def test_every_step_of_a_sequence_is_dropped_once(steps):
    def then(net, x):
        return torch.stack([net.drop(step).tanh() for step in steps(x.repeat(1, 5))])

    assert messages(then) == []


def test_a_sequence_that_is_dropped_again_and_again_is_not():
    def then(net, x):
        return sum(net.drop(step).mean() for _ in range(30) for step in x.unbind(1)) + x

    assert says(then) == AVERAGED


class Heads(nn.Module):
    """Forty heads that read one layer, each through a draw of its own."""

    def __init__(self, before=lambda x: x, heads=40):
        super().__init__()
        self.drop, self.before = nn.Dropout(0.3), before
        self.heads = nn.ModuleList(nn.Linear(8, 1) for _ in range(heads))

    def forward(self, x):
        return torch.cat([self.heads[each % len(self.heads)](self.before(self.drop(x))) for each in range(40)], 1)


@pytest.mark.parametrize("before", [lambda x: x, lambda x: x.relu() * 2], ids=["at once", "activated"])
def test_heads_that_read_a_draw_each_average_nothing(before):
    rule = Requires(kinds=("dropout",))
    assert not rule.check(measure(Heads(before), example=ROWS)).findings
    assert rule.check(measure(Heads(before, heads=1), example=ROWS)).findings  # one head that reads them all


def test_what_is_dropped_for_each_block_anew_averages_nothing():
    class Injected(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.3)
            self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(40))

        def forward(self, x):
            y = x
            for block in self.blocks:
                y = torch.relu(block(y + self.drop(x)))
            return y

    assert not Requires(kinds=("dropout",)).check(measure(Injected(), example=ROWS)).findings


def test_a_sum_of_draws_that_many_heads_read_is_averaged():
    def then(net, x):
        return torch.cat([head(sum(net.drop(x) for _ in range(30))) for head in (net.fc, net.other)], 1)

    model = Net(then)
    model.other = nn.Linear(8, 8)
    (one, *_) = Requires(kinds=("dropout",)).check(measure(model, example=ROWS)).findings
    assert "is drawn 30 times" in one.message


def test_overlapping_windows_are_not_copies():
    def then(net, x):
        return net.drop(F.unfold(x.view(1, 1, 2, 8).repeat(1, 1, 16, 2), 7)).mean((0, 2))

    assert messages(then) == []


def test_a_tensor_spread_over_many_frequencies_is_no_copy():
    assert messages(lambda net, x: net.drop(x[..., None] * torch.arange(40.0)).sin().sum(-1)) == []


# --- copies ---------------------------------------------------------------------------------------------------------


def test_copies_of_a_single_number_are_copies():
    assert says(lambda net, x: x + net.drop(x[:1, :1].expand(30, 1)).mean()) == AVERAGED


def test_draws_of_copies_add_up():
    def then(net, x):
        return sum(net.drop(x.expand(10, *x.shape)).mean(0) for _ in range(3))

    assert says(then) == AVERAGED
    assert messages(lambda net, x: sum(net.drop(x.expand(10, *x.shape)).mean(0) for _ in range(2))) == []


@pytest.mark.parametrize(
    "one",
    [lambda net, x: torch.ones(1), lambda net, x: ONE, lambda net, x: torch.ones_like(x[:1, 0])],
    ids=["factory", "constant", "factory like"],
)
def test_a_mask_is_made_by_dropping_many_ones(one):
    assert messages(lambda net, x: torch.cat([x] * 5, 1) * net.drop(one(net, x).expand(40))) == []


def test_a_mask_that_nothing_reads_is_said_to_reach_no_output():
    def then(net, x):
        net.drop(torch.ones(8))
        return x

    assert says(then) == "does not reach an output"


def test_a_mask_for_each_step_averages_nothing_and_many_for_one_do():
    def masked(net, x):
        ones = torch.ones(8)
        for _ in range(40):
            x = (x * net.drop(ones)).tanh()
        return x

    assert messages(masked) == []
    assert says(lambda net, x: sum(x * net.drop(torch.ones(8)) for _ in range(30))) == AVERAGED
    ones = torch.ones(8)
    assert says(lambda net, x: x * sum(net.drop(ones) for _ in range(30))) == AVERAGED
    assert messages(lambda net, x: x * torch.stack([net.drop(torch.ones(8)) for _ in range(40)])[0]) == []


@pytest.mark.parametrize("weight", [lambda w: w, lambda w: w * 0.5], ids=["itself", "computed"])
def test_many_weights_are_dropped_on_one_line(weight):
    def then(net, x):
        return torch.stack([F.linear(x, net.drop(weight(each))) for each in net.many]).mean(0)

    net = Net(then)
    net.many = nn.ParameterList(torch.randn(8, 8) for _ in range(40))
    assert not Requires(kinds=("dropout",)).check(measure(net, example=ROWS)).findings
    assert messages(lambda net, x: F.linear(x, net.drop(weight(net.weight)))) == []

    def again(net, x):
        one = weight(net.weight)
        return sum(F.linear(x, net.drop(one)) for _ in range(30))

    assert says(again) == AVERAGED


def test_what_writes_its_result_in_place_of_another_has_no_copies():
    def then(draws, net, x):
        rows = [x.repeat(20, 1) * 1.0, x * 2.0]
        torch._foreach_add_(rows, 1.0)
        return sum(net.drop(rows[0]).mean() for _ in range(draws))

    assert messages(partial(then, 29)) == []
    assert says(partial(then, 30)) == AVERAGED


# --- a rate so small that it drops nothing ---------------------------------------------------------------------------


def test_one_element_dropped_in_a_hundred_passes_is_enough():
    def then(rate):
        return lambda net, x: x + net.drop(x[:1, 0], rate)

    assert messages(then(0.01)) == []
    result = Requires(kinds=("dropout",)).check(measure(Net(then(0.005)), example=ROWS))
    assert result.findings[0].message.endswith("has rate 0.005, which drops none of its 1 elements in 100 passes")
