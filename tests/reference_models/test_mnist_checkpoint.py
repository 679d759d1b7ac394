import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from reference_models.mnist.checkpoint import load_weights, packed, unpacked, write_atomically
from reference_models.mnist.errors import RunError
from reference_models.mnist.model import Net


def test_weights_come_back_as_they_were(tmp_path):
    model, other = Net().to(memory_format=torch.channels_last), Net()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(packed(model.state_dict()))
    load_weights(other, path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert load_file(path).keys() == model.state_dict().keys()


def test_the_same_weights_are_the_same_bytes():
    model = Net()
    assert packed(model.state_dict()) == packed(model.state_dict())


def test_a_note_comes_back(tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(packed({"one": torch.ones(1)}, "a note"))
    assert unpacked(path)[1] == "a note"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(RunError, match="cannot be written: No space left on device; make room"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(nn.Linear(3, 2).state_dict(), path)
    with pytest.raises(RunError) as caught:
        load_weights(Net(), path)
    assert "holds another network: `bias` is (2,), expected no such tensor" in str(caught.value)


def test_another_width_is_another_network(tmp_path):
    path = tmp_path / "wide.safetensors"
    path.write_bytes(packed({**Net().state_dict(), "head.3.weight": torch.zeros(10, 48)}))
    with pytest.raises(RunError, match=r"`head.3.weight` is \(10, 48\), expected \(10, 32\)"):
        load_weights(Net(), path)


@pytest.mark.parametrize("kept", [0, 7, 100, 20_000])
def test_a_truncated_checkpoint_is_refused(tmp_path, kept):
    path = tmp_path / "short.safetensors"
    path.write_bytes(packed(Net().state_dict())[:kept])
    with pytest.raises(RunError, match="is no whole safetensors file"):
        load_weights(Net(), path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(RunError, match="does not exist; train one"):
        load_weights(Net(), tmp_path / "none.safetensors")
