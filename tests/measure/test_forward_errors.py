"""What a forward pass may do to memory and to its own state: the facts stay true, and nothing stays behind."""

from __future__ import annotations

import copy
from collections import deque

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.loading.example import given
from archcheck.measure.operators.operator_results import KNOWN
from archcheck.measure.passes.forward import Passes
from archcheck.measure.shapes.tensor import ShapeTensor


def linear(function, **attributes):
    torch.manual_seed(0)
    model = Apply(function, layer=nn.Linear(4, 4))
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def measured(function, **attributes):
    return measure_model(linear(function, **attributes), example=zeros(2, 4))


def kinds(facts):
    return [op.op for op in facts.ops]


# --- what is left behind ----------------------------------------------------------------------------------


class Holder:
    def __init__(self):
        self.kept = []
        self.last = None


def keeps_in_object(self, x):
    x = self.layer(x if self.held.last is None else x + self.held.last)
    self.held.last = x
    self.held.kept.append(x)
    return x


def keeps_in_dictionary(self, x):
    self.held["deep"][0].append(x)
    return self.layer(x)


def keeps_in_tuple(self, x):
    self.held[0].append(x)
    return self.layer(x)


def keeps_in_queue(self, x):
    self.held.append(x)
    return self.layer(x) + self.held[0]


HELD = {
    "an object": (keeps_in_object, Holder, lambda held: [*held.kept, *([] if held.last is None else [held.last])]),
    "a nested dictionary": (keeps_in_dictionary, lambda: {"deep": [[]]}, lambda held: held["deep"][0]),
    "a tuple": (keeps_in_tuple, lambda: ([], 1), lambda held: held[0]),
    "a queue": (keeps_in_queue, lambda: deque(maxlen=3), list),
}


@pytest.mark.parametrize("case", HELD)
def test_no_tensor_without_values_stays_in(case):
    function, make, contents = HELD[case]
    model = linear(function, held=make())
    measure_model(model, example=zeros(2, 4))
    assert contents(model.held) == []
    assert not isinstance(model(zeros(2, 4)), ShapeTensor)


def test_numbers_of_tensors_in_a_list_are_put_back():
    def counts(self, x):
        self.held[0].add_(1)
        return self.layer(x) * self.held[0]

    model = linear(counts, held=[torch.zeros(1)])
    measure_model(model, example=zeros(2, 4))
    assert model.held[0].item() == 0


def test_parameters_that_are_frozen_in_passing_want_gradients_again():
    def freezes(self, x):
        self.layer.weight.requires_grad_(False)
        return self.layer(x)

    model = linear(freezes)
    measure_model(model, example=zeros(2, 4))
    assert model.layer.weight.requires_grad


def test_a_weight_that_is_turned_for_real_is_turned_back():
    def turns(self, x):
        self.layer.weight.data = self.layer.weight.data.t()
        return self.layer(x)

    model = linear(turns)
    before = model.layer.weight.detach().clone()
    Passes(model).trace(given(zeros(2, 4)), training=False, real=True)
    assert model.layer.weight.stride() == (4, 1)
    assert torch.equal(model.layer.weight, before)


def test_gradients_that_were_there_keep_their_numbers():
    def trains(self, x):
        if not torch.is_inference_mode_enabled():  # then it is asked again, where it can differentiate
            with torch.enable_grad():
                self.layer(torch.ones(1, 4)).sum().backward()
            return self.layer(x)
        raise RuntimeError

    model = linear(trains)
    model.layer.weight.grad = torch.full((4, 4), 5.0)
    Passes(model).trace(given(zeros(2, 4)), training=False, real=True)
    assert model.layer.weight.grad.eq(5).all()


def test_the_default_dtype_is_put_back():
    def switches(self, x):
        torch.set_default_dtype(torch.float64)
        return self.layer(x)

    try:
        measured(switches)
        assert torch.get_default_dtype() == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


# --- what is written, and where ---------------------------------------------------------------------------


def test_dropout_in_evaluation_hands_back_its_input_itself():
    def drops(self, x):
        kept = self.layer(x)
        dropped = F.dropout(kept, 0.5, training=False)
        dropped += 1
        return kept

    facts = measured(drops)
    assert [(op.op, op.inputs, op.live) for op in facts.ops[1:]] == [
        ("linear", (0,), True),
        ("dropout", (1,), True),
        ("add_", (2,), True),
    ]
    # The input, and the one result that dropout makes no copy of: 2 x 8 numbers of 4 bytes.
    assert facts.cost.peak_activation_bytes == 2 * 8 * 4
    assert facts.shape.output_ops == (3,)


def test_dropout_in_training_makes_a_tensor_of_its_own():
    def drops(self, x):
        kept = self.layer(x)
        F.dropout(kept, 0.5, training=True).add_(1)
        return kept

    assert [op.live for op in measured(drops).ops] == [True, True, False, False]


def test_a_write_that_does_not_fit_is_refused():
    def writes(self, x):
        return self.layer(x).add_(torch.ones(3, 4))

    with pytest.raises(SubjectError, match=r"\(2, 4\) and \(3, 4\) cannot be broadcast"):
        measured(writes)


def test_a_write_that_would_enlarge_its_target_is_refused():
    def writes(self, x):
        return self.layer(x)[:1].mul_(x)

    with pytest.raises(SubjectError, match=r"shape \(1, 4\) was to be written to with one of shape \(2, 4\)"):
        measured(writes)


def test_code_that_tries_a_write_takes_the_way_it_takes_for_real():
    def tries(self, x):
        try:
            return x.clone().add_(torch.ones(3, 4))
        except RuntimeError:
            return self.layer(x)

    assert kinds(measured(tries))[-1] == "linear"


def test_a_result_gives_an_empty_out_its_shape():
    def fills(self, x):
        out = torch.empty(0)
        torch.matmul(x, self.layer.weight, out=out)
        return self.layer(out)

    facts = measured(fills)
    assert facts.shape.outputs[0].shape == (2, 4)
    assert facts.cost.macs == 2 * 2 * 4 * 4


def test_a_tensor_put_into_other_memory_shares_it():
    def shares(self, x):
        kept = self.layer(x)
        other = kept.clone()
        other.set_(kept)
        other.add_(1)
        return kept

    assert measured(shares).shape.output_ops == (4,)


def test_a_deep_copy_of_a_tensor_comes_from_the_tensor():
    def copies(self, x):
        return self.layer(copy.deepcopy(x))

    facts = measured(copies)
    assert kinds(facts) == ["input", "clone", "linear"]
    assert [op.inputs for op in facts.ops] == [(), (0,), (1,)]


def test_a_parameter_of_another_dtype_is_another_operand():
    def widens(self, x):
        narrow = self.layer(x)
        self.layer.weight.data = self.layer.weight.data.double()
        self.layer.bias.data = self.layer.bias.data.double()
        return narrow + self.layer(x.double())

    KNOWN.clear()
    measured(widens)
    mixed = [look for look in KNOWN if len({getattr(one, "dtype", None) for one in look if hasattr(one, "dtype")}) > 1]
    assert [KNOWN[look].op for look in mixed] == ["add"]
