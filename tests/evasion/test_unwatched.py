"""Networks that keep the second look from seeing them, and such as only fail at it."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.second_look.pass_comparison import are_close


class Mute(nn.Module):
    """A network whose dropout says nothing."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        y = self.fc(x)
        return y + 0.0 * self.dropout(y)


class Shy(Mute):
    def forward(self, x):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("not here")
        return super().forward(x)


class Expanded(Mute):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1).expand(4))

    def forward(self, x):
        return super().forward(x) * self.scale


class Particular(nn.Linear):
    """Takes no other numbers than those that it is given, whoever watches."""

    def forward(self, x):
        if not bool((x == 1).all()):
            raise ValueError("ones, please")
        return super().forward(x)


def look(model, example=None):
    example = torch.ones(1, 4) if example is None else example
    return measure_model(model, example=example, needs=[PARANOID], confirm=True)


@pytest.mark.parametrize("model", [Mute, Expanded])
def test_an_expanded_parameter_hides_no_operation_that_says_nothing(model):
    facts = look(model())
    assert [(op.kind, op.live) for op in facts.train_ops] == [("dropout", False)]
    assert not facts.subject.notes


def test_a_network_that_fails_only_where_it_sees_nobody_is_refused():
    with pytest.raises(
        SubjectError, match="it fails when archcheck is hidden from it: RuntimeError: not here"
    ) as caught:
        look(Shy())
    assert caught.value.kind == "differs"


def test_a_network_that_fails_on_other_numbers_is_not_said_to_hide():
    notes = look(Particular(4, 4)).subject.notes
    assert "not confirmed on real numbers in evaluation, where it failed: ValueError: ones, please" in notes
    assert "not confirmed on real numbers in training, where it failed: ValueError: ones, please" in notes


@pytest.mark.parametrize("make", [torch.Tensor.to_sparse, lambda x: torch.complex(x, -x), lambda x: x.double()])
def test_outputs_of_any_make_are_compared_but_for_the_order_of_sums(make):
    one = torch.tensor([[1.0, 0.0], [0.0, 1e6]])
    assert are_close(make(one), make(one + one * 1e-5))
    assert not are_close(make(one), make(one * 1.1))
    assert not are_close(make(one), one.to(torch.float16))
