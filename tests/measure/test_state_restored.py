"""Records and checkpoints of a model whose state contains more than tensors."""

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from archcheck.measure.evidence.record import ImpossibleCountsError, counts
from archcheck.measure.subject.saved_state import digest, fill, tensors


class Noted(nn.Linear):
    note = "new"

    def get_extra_state(self):
        return {"note": self.note}

    def set_extra_state(self, state):
        self.note = state["note"]


def test_extra_state_is_not_part_of_the_digest():
    net = Noted(2, 3)
    assert list(tensors(net)) == ["weight", "bias"]
    assert digest(net) == digest(nn.Linear(2, 3))
    assert digest(net) != digest(nn.Linear(3, 2))


def test_saved_tensors_come_back_and_the_rest_stays():
    taught, fresh = Noted(2, 3), Noted(2, 3)
    taught.note, fresh.note = "taught", "fresh"
    fill(fresh, load(save(tensors(taught))))
    assert torch.equal(fresh.weight, taught.weight)
    assert fresh.note == "fresh"


def test_a_missing_tensor_is_an_error():
    with pytest.raises(RuntimeError, match="bias"):
        fill(Noted(2, 3), {"weight": torch.zeros(3, 2)})


@pytest.mark.parametrize("given", [(5, 4), (0, 0), (-1, 4)])
def test_counts_that_no_test_set_has(given):
    with pytest.raises(ImpossibleCountsError, match="which no test set has"):
        counts(lambda model: given, nn.Linear(1, 1))


def test_fractional_counts_are_refused():
    with pytest.raises(ValueError, match=r"0\.5 is not a count"):
        counts(lambda model: (0.5, 1), nn.Linear(1, 1))
