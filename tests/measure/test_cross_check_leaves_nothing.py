"""fvcore leaves hooks and numbers behind and prints warnings; none of it reaches the model or the user."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
import warnings

import pytest
import torch
from networks import Apply, Small, checked, rand
from torch import nn

from archcheck.facts.records import CROSS_CHECK
from archcheck.measure import measure_model


def state(model):
    hooks = [[dict(getattr(module, name)) for name in vars(module) if "hooks" in name] for module in model.modules()]
    return [module.training for module in model.modules()], hooks, [dict(vars(module)) for module in model.modules()]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    class Failing(Small):
        def forward(self, x):
            if fails and torch.jit.is_tracing():
                raise ValueError("not like this")
            return super().forward(x)

    model = Failing().train()
    model.features.eval()
    values, before = copy.deepcopy(model.state_dict()), state(model)
    check = checked(model, rand(2, 1, 8, 8))
    assert check.error == ("ValueError: not like this" if fails else None)
    assert state(model) == before
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())
    assert torch._C._get_tracing_state() is None


def test_a_hook_that_writes_to_the_model_itself_leaves_nothing_in_it():
    model = Small()
    model.register_forward_pre_hook(lambda module, given: setattr(model, "seen", given))
    assert checked(model, rand(1, 1, 8, 8)).error is None
    assert not hasattr(model, "seen")


def test_the_inputs_are_left_as_they_were():
    image = rand(2, 4)
    before = image.clone()
    checked(Apply(lambda self, x: self.linear(x.mul_(2)), linear=nn.Linear(4, 4)), image)
    assert torch.equal(image, before)


def test_batch_norm_counts_in_evaluation_mode_whatever_mode_the_model_is_in():
    assert checked(nn.BatchNorm2d(3).train(), rand(2, 3, 4, 4)).total_fvcore == 2 * 96


def test_fvcore_says_nothing(caplog, capfd):
    model = Apply(lambda self, x: self.linear(x).erf(), linear=nn.Linear(4, 4), unused=nn.Linear(4, 4))
    with warnings.catch_warnings(record=True) as said, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        checked(model, rand(2, 4))
    assert [str(warning.message) for warning in said] == []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("needs", [[], [CROSS_CHECK]])
def test_fvcore_is_imported_for_this_alone_and_says_nothing_then(needs):
    code = (
        "import sys, torch; from archcheck.measure import measure_model; "
        f"measure_model(torch.nn.Linear(4, 4), needs={needs}); print('fvcore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(bool(needs))
    assert done.stderr == ""


def test_it_is_not_there_unless_asked_for():
    assert measure_model(nn.Linear(4, 4)).cross_check is None
