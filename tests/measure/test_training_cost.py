"""Multiply-accumulates of a step of training, forward and backward, against answers worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from archcheck.judging.engine import check
from archcheck.measure import measure_model
from archcheck.measure.passes.gradient_mode import GradientMode
from archcheck.rules import MaxTrainingMacs

A, B = 3 * 8 * 8, 3 * 8 * 2  # linear layers of three samples


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        return gradient @ w.t(), x.t() @ gradient


def frozen(layer):
    return layer.requires_grad_(False)


def held(self, x):
    held_back = self.a(x)
    held_back.mul_(2)
    out = torch.zeros(3, 8)
    out[:] = held_back
    return self.b(out)


def steps(self, x):
    state, outputs = None, []
    for each in x:
        state = self.cell(each, state)
        outputs.append(state[0])
    return torch.stack(outputs)


LAYERS = {"a": nn.Linear(8, 8), "b": nn.Linear(8, 2)}
WORKED = {
    "the first layer gives its input no gradient": (nn.Linear(8, 8), [(3, 8)], 2 * A),
    "two layers": (nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), [(3, 8)], 2 * A + 3 * B),
    "nothing is trained": (frozen(nn.Linear(8, 8)), [(3, 8)], A),
    "a frozen beginning": (nn.Sequential(frozen(nn.Linear(8, 8)), nn.Linear(8, 2)), [(3, 8)], A + 2 * B),
    "a frozen end": (nn.Sequential(nn.Linear(8, 8), frozen(nn.Linear(8, 2))), [(3, 8)], 2 * A + 2 * B),
    "a convolution": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 4, 3, groups=2)), [(1, 1, 8, 8)],
                      2 * 36 * 2 * 9 + 3 * 16 * 4 * 9),
    "a transposed convolution": (nn.ConvTranspose2d(2, 3, 2), [(1, 2, 4, 4)], 2 * 16 * 2 * 3 * 4),
    "tied weights": (nn.Sequential(tied := nn.Linear(8, 8), tied), [(3, 8)], 2 * A + 3 * A),
    "an embedding": (nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 2)), [torch.tensor([0, 1, 2])], 3 * B),
    "attention": (Apply(lambda self, x: F.scaled_dot_product_attention(*[self.a(x)[None]] * 3), **LAYERS), [(3, 8)],
                  2 * A + 3 * 2 * 9 * 8),
    "attention to fixed keys": (
        Apply(lambda self, x, k: F.scaled_dot_product_attention(self.a(x)[None], k, k), **LAYERS), [(3, 8), (1, 4, 8)],
        2 * A + 2 * 12 * 8 + 2 * 12 * 8),
    # the zeros that a recurrent layer begins with need no gradient: two samples of the hidden product of each cell
    "lstm": (nn.LSTM(3, 4), [(5, 2, 3)], 3 * 10 * (48 + 64) - 10 * 48 - 2 * 64),
    "lstm of one step": (nn.LSTM(3, 4), [(1, 2, 3)], 2 * 2 * (48 + 64)),
    "lstm of one sequence": (nn.LSTM(3, 4), [(5, 3)], 3 * 5 * (48 + 64) - 5 * 48 - 64),
    "lstm that projects": (nn.LSTM(3, 4, proj_size=2), [(5, 2, 3)], 3 * 10 * (48 + 32 + 8) - 10 * 48 - 2 * 32),
    "lstm of cells": (Apply(steps, cell=nn.LSTMCell(3, 4)), [(5, 2, 3)], 3 * 10 * (48 + 64) - 10 * 48 - 2 * 64),
    "lstm of a state that is made": (
        Apply(lambda self, x, y: self.rnn(y, [self.a(x)[None]] * 2), a=nn.Linear(8, 4), rnn=nn.LSTM(3, 4)),
        [(2, 8), (5, 2, 3)], 2 * 2 * 32 + 3 * 10 * (48 + 64) - 10 * 48),
    "gru of two layers, both ways": (
        nn.GRU(3, 4, num_layers=2, bidirectional=True), [(5, 2, 3)],
        3 * 10 * 2 * (36 + 48 + 96 + 48) - 10 * 2 * 36 - 2 * 4 * 48),
    "lstm behind a layer": (nn.Sequential(nn.Linear(8, 3), nn.LSTM(3, 4)), [(5, 2, 8)],
                            2 * 10 * 24 + 3 * 10 * (48 + 64) - 2 * 64),
    "an rnn": (nn.RNN(3, 4), [(5, 2, 3)], 3 * 10 * (12 + 16) - 10 * 12 - 2 * 16),
    "a cell": (nn.LSTMCell(3, 4), [(2, 3)], 2 * 2 * (48 + 64)),
    "bilinear": (nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], 2 * 2 * 3 * 4 * 5),
    "addmm": (Apply(lambda self, x: torch.addmm(self.b.bias, self.a(x), self.b.weight.t()), **LAYERS), [(3, 8)],
              2 * A + 3 * B),
    "an einsum": (Apply(lambda self, x: torch.einsum("ni,oi->no", self.a(x), self.b.weight), **LAYERS), [(3, 8)],
                  2 * A + 3 * B),
    "a product by elements": (Apply(lambda self, x: (self.a(x)[:, None] * self.b.weight).sum(-1), **LAYERS), [(3, 8)],
                              2 * A + 3 * B),
    "a function with a gradient of its own": (
        Apply(lambda self, x: Doubled.apply(self.a(x), self.b.weight.t()), **LAYERS), [(3, 8)], 2 * A + 3 * B),
    "written in place": (Apply(held, **LAYERS), [(3, 8)], 2 * A + 3 * B),
    "a second output": (Apply(lambda self, x: [self.b(self.a(x)), self.a(x)], **LAYERS), [(3, 8)], 4 * A + 3 * B),
    "a forward pass that is repeated": (
        Apply(lambda self, x: self.b(checkpoint(self.a, x, use_reentrant=False)), **LAYERS), [(3, 8)], 2 * A + 3 * B),
}  # fmt: skip


def inputs(shapes):
    return tuple(shape if isinstance(shape, torch.Tensor) else zeros(*shape) for shape in shapes)


@pytest.mark.parametrize("case", WORKED)
def test_a_step_costs(case):
    model, shapes, macs = WORKED[case]
    cost = measure_model(model, example=inputs(shapes)).cost
    assert (cost.training_macs, cost.training_uncounted) == (macs, ())


def switched(make):
    """Return a forward pass whose first layer runs under a switch of gradients."""

    def forward(self, x):
        with make():
            x = self.a(x)
        return self.b(x)

    return forward


def by_function(self, x):
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    x = self.a(x)
    torch.set_grad_enabled(True)
    y = self.b(x)
    torch.set_grad_enabled(before)
    return y


def around_another(self, x):
    with torch.no_grad():
        with torch.no_grad():
            x = x + 1
        x = self.a(x)
    return self.b(x)


ENDED = {
    "no_grad around another": around_another,
    "no_grad": switched(torch.no_grad),
    "inference_mode": switched(torch.inference_mode),
    "set_grad_enabled": switched(lambda: torch.set_grad_enabled(False)),
    "a function": by_function,
    "a decorator": lambda self, x: self.b(torch.no_grad()(self.a)(x)),
    "detach": lambda self, x: self.b(self.a(x).detach()),
    "data": lambda self, x: self.b(self.a(x).data),
    "argmax": lambda self, x: self.b(F.one_hot(self.a(x).argmax(-1), 8).float()),
    "a comparison": lambda self, x: self.b((self.a(x) > 0).float()),
    "nothing reads it": lambda self, x: (self.a(x), self.b(x))[1],
    "its shape alone": lambda self, x: self.b(torch.zeros_like(self.a(x))),
}
GOING_ON = {
    "enable_grad": switched(torch.enable_grad),
    "enabled": switched(lambda: torch.set_grad_enabled(True)),
    "inference_mode that is off": switched(lambda: torch.inference_mode(False)),
}


@pytest.mark.parametrize("on", ["shapes", "numbers"])
@pytest.mark.parametrize("case", ENDED)
def test_what_ends_gradients_costs_nothing_backward(case, on):
    facts = measure_model(Apply(ENDED[case], **LAYERS), example=torch.rand(3, 8), confirm=on == "numbers")
    assert facts.cost.training_macs == A + 2 * B


@pytest.mark.parametrize("case", GOING_ON)
def test_operations_that_pass_gradients_on_end_none(case):
    facts = measure_model(Apply(GOING_ON[case], **LAYERS), example=torch.rand(3, 8))
    assert facts.cost.training_macs == 2 * A + 3 * B


def test_switches_within_switches():
    def forward(self, x):
        with torch.no_grad():
            x = self.a(x)
            with torch.enable_grad():
                x = self.c(x)
        return self.b(x)

    model = Apply(forward, **LAYERS, c=nn.Linear(8, 8))
    assert measure_model(model, example=torch.rand(3, 8)).cost.training_macs == A + 2 * A + 3 * B


def test_the_switches_are_put_back_also_when_the_pass_fails():
    methods = [(cls, name, getattr(cls, name)) for cls in (torch.no_grad, torch.enable_grad, torch.inference_mode)
               for name in ("__enter__", "__exit__")]  # fmt: skip
    mode = GradientMode()

    def fails():
        with mode.watched(), torch.no_grad():
            assert mode.off
            raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fails()
    assert not mode.off
    assert all(getattr(cls, name) is method for cls, name, method in methods)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_a_step_costs_what_torch_counts_of_a_real_one(name):
    from torchvision.models import get_model

    model, image = get_model(name, weights=None, num_classes=10), torch.rand(2, 3, 64, 64)
    with FlopCounterMode(display=False) as counter:
        model.train()(image).sum().backward()
    assert 2 * measure_model(model, example=image).cost.training_macs == counter.get_total_flops()


def test_training_that_cannot_be_measured_has_no_cost():
    def forward(self, x, targets=None):
        y = self.a(x)
        return (y - targets).pow(2).mean() if self.training else y

    cost = measure_model(Apply(forward, **LAYERS), example=torch.rand(3, 8)).cost
    assert (cost.training_macs, cost.training_uncounted) == (None, ())


def test_operators_that_only_training_runs_are_named():
    def forward(self, x):
        y = self.a(x)
        return torch.ops.aten._test_warn_in_autograd(y) if self.training else y

    cost = measure_model(Apply(forward, **LAYERS), example=torch.rand(3, 8)).cost
    assert (cost.uncounted, cost.training_uncounted) == ((), ("_test_warn_in_autograd",))


def test_a_model_without_memory_costs_the_same():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    assert measure_model(model, example=zeros(3, 8)).cost.training_macs == 2 * A + 3 * B


def on(part, model, *shapes):
    found = check(model, example=inputs(shapes), rules=[MaxTrainingMacs(limit=0, on=part)]).outcomes[0]
    return found.found


def test_a_part_costs_its_operations_and_their_gradients():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2)))
    parts = {part: on(part, model, (3, 8)) for part in ("0", "1", "2", "2.*", "linear", "2.1")}
    assert parts == {
        "0": 2 * A,
        "1": 0,
        "2": 3 * A + 3 * B,
        "2.*": 3 * A + 3 * B,
        "linear": 5 * A + 3 * B,
        "2.1": 3 * B,
    }
    assert on("0", nn.Sequential(frozen(nn.Linear(8, 8)), nn.Linear(8, 2)), (3, 8)) == A
    assert on("1", nn.Sequential(frozen(nn.Linear(8, 8)), nn.Linear(8, 2)), (3, 8)) == 2 * B


def test_of_several_passes_the_one_counts_that_takes_most_of_the_part():
    def forward(self, x):
        return self.b(self.a(x)) if x.sum() > 0 else self.b(self.b2(self.a(self.a(x))))

    model = Apply(forward, a=nn.Linear(8, 8), b2=nn.Linear(8, 8), b=nn.Linear(8, 2))
    assert on(None, model, (3, 8)) == 2 * A + 3 * A + 3 * A + 3 * B
    assert on("a", model, (3, 8)) == 2 * A + 3 * A
    assert on("b", model, (3, 8)) == 3 * B
    rule = MaxTrainingMacs(limit=10**6, on="c")
    assert check(model, example=inputs([(3, 8)]), rules=[rule]).outcomes[0].verdict == "vacuous"
