"""Twice the layers, twice the work: lines that run are counted, for their number does not depend on the machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from archcheck import rules
from archcheck.contract import Stated, Waiver
from archcheck.facts.facts import Facts
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import judge
from archcheck.measure import measure_model
from archcheck.render import FORMATS, render
from archcheck.rules.base import rule_name
from archcheck.rules.findings import Report
from archcheck.rules.queries.heads import head_of
from tests.measure.networks import Apply

SIZES = (32, 64, 128)


def linear():
    return nn.Linear(4, 4)


def chain(count):
    return nn.Sequential(*(layer for _ in range(count // 2) for layer in (linear(), nn.Dropout(0.0))))


def nested(count):
    layers = [linear() for _ in range(count)]
    while len(layers) > 1:
        layers = [nn.Sequential(*layers[first : first + 2]) for first in range(0, len(layers), 2)]
    return layers[0]


def never_called(count):
    """Apart, each is idle on its own; in one list, the list is."""
    apart = {f"spare{number}": linear() for number in range(count)}
    return Apply(lambda self, x: self.fc(x), fc=linear(), together=nn.ModuleList(linear() for _ in apart), **apart)


def called_in_vain(count):
    apart = {f"vain{number}": linear() for number in range(count)}

    def forward(self, x):
        for name in apart:
            getattr(self, name)(x)
        return self.fc(x)

    return Apply(forward, fc=linear(), **apart)


def passing(count):
    """Layers that execute nothing, layers that are never called, and containers of nothing."""

    def forward(self, x):
        for layer in self.ons:
            x = layer(x)
        return self.fc(x)

    apart = {f"off{number}": nn.Identity() for number in range(count)}
    apart |= {f"nothing{number}": nn.Sequential() for number in range(count)}
    return Apply(forward, fc=linear(), ons=nn.ModuleList(nn.Identity() for _ in range(count)), **apart)


def hidden(count):
    layers = [linear() for _ in range(count)]

    def forward(self, x):
        for layer in layers:
            x = layer(x) @ torch.full((4, 4), float(len(layers)))
        return self.fc(x)

    return Apply(forward, fc=linear())


def buffers(count):
    def forward(self, x):
        for buffer in self.buffers():
            x = x @ buffer
        return self.fc(x)

    model = Apply(forward, fc=linear())
    for number in range(count):
        model.register_buffer(f"table{number}", torch.ones(4, 4))
    return model


def averages(count):
    """A mean over positions asks where the channels are, which the first layer tells."""

    def forward(self, x):
        x = self.conv(x)
        for _ in range(count):
            x = x - x.mean((2, 3), keepdim=True)
        return x

    return Apply(forward, conv=nn.Conv2d(1, 2, 1))


NETWORKS = (chain, nested, never_called, called_in_vain, passing, hidden, buffers, averages)
RULES = tuple(
    rule
    for on in (None, "linear", "**")
    for rule in (
        rules.MaxParams(limit=1, on=on),
        rules.Requires(kinds=("dropout", "batch_norm"), on=on),
        rules.RequiresAny(kinds=("dropout", "batch_norm"), on=on),
        rules.Forbids(kinds=("linear",), on=on),
        rules.FollowedBy(layer="linear", by="batch_norm", exempt=("last", "layers.**"), on=on),
        rules.DropoutRate(rate=0.3, on=on),
        rules.NoPadding(on=on),
        rules.NoHiddenWeights(on=on),
        rules.NoUnusedParams(on=on),
        rules.NoUnusedLayers(on=on),
    )
)
HERE = Where(file="contract.toml", line=1)


def steps(work: Callable[[], object]) -> int:
    """Return how many lines of Python are run, each turn of a loop and each call of a function among them."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += 1
        return note

    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def grows_evenly(work: Callable[[int], Callable[[], object]]) -> bool:
    """Whether twice as many more layers take twice as many more steps; with a search for each they take four times."""
    steps(work(SIZES[0]))  # what is imported and worked out the first time
    few, some, many = (steps(work(size)) for size in SIZES)
    return many - some <= 2.3 * (some - few) + 10 * SIZES[0]  # a larger number has more digits to format


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda make: make.__name__)
def made(request):
    models = {size: request.param(size) for size in SIZES}
    example = torch.rand(1, 1, 3, 3) if request.param is averages else torch.rand(1, 4)
    # Measured once before, for the first time torch is asked for answers that are then remembered.
    return models, example, {size: measure_model(model, example=example) for size, model in models.items()}


def test_measuring(made):
    models, example, _ = made
    assert grows_evenly(lambda size: lambda: measure_model(models[size], example=example))


def test_facts_as_json(made):
    _, _, facts = made
    assert grows_evenly(lambda size: lambda: Facts.from_json(json.loads(json.dumps(facts[size].to_json()))))


def _judged(facts, rule, waivers=()):
    return judge(facts, [Stated(rule=rule, instance=rule_name(rule), where=HERE)], waivers)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule_name(rule)}-{rule.on}")
def test_judging(made, rule):
    _, _, facts = made
    waivers = [Waiver(rule=rule_name(rule), reason="known", layer=layer, where=HERE) for layer in ("spare1*", "table*")]

    def judging(size):
        fresh = Facts.from_json(facts[size].to_json())  # without what was worked out of them
        return lambda: _judged(fresh, rule, waivers)

    assert grows_evenly(judging)


@pytest.mark.parametrize("format_name", FORMATS)
def test_rendering(made, format_name):
    _, _, facts = made
    reports = {
        size: Report(
            subject="it", facts=each, outcomes=tuple(one for rule in RULES[:10] for one in _judged(each, rule))
        )
        for size, each in facts.items()
    }
    assert grows_evenly(lambda size: lambda: render([reports[size]], format_name))


def test_layers_nest_as_deep_as_torch_can_call_them():
    model = linear()
    for _ in range(200):
        model = nn.Sequential(model)
    example = torch.rand(1, 4)
    assert measure_model(model, example=example, confirm=True).shape.outputs[0].shape == tuple(model(example).shape)


def test_the_limit_of_nesting_is_put_back():
    before = sys.getrecursionlimit()
    measure_model(linear(), example=torch.rand(1, 4))
    assert sys.getrecursionlimit() == before


def test_concatenations_of_concatenations_have_a_head():
    def forward(self, x):
        for _ in range(600):
            x = torch.cat((x[:, 2:], self.fc(x)), 1)
        return x

    facts = measure_model(Apply(forward, fc=nn.Linear(4, 2)), example=torch.rand(1, 4))
    assert head_of(facts) == ("cat",)
