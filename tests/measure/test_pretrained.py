"""Weights that a report does not download: the model keeps its own numbers, and nothing is asked of the network."""

import urllib.request

import pytest
import torch
from torch.utils import model_zoo

from archcheck.measure.loading.pretrained import NotDownloaded, without_downloads

URL = "https://example.invalid/folder/net-1234.pth"


@pytest.fixture
def left():
    with without_downloads() as found:
        yield found


def state():
    return torch.hub.load_state_dict_from_url(URL, progress=False)


@pytest.mark.parametrize(
    "load",
    [
        lambda net: net.load_state_dict(state()),
        lambda net: net.load_state_dict(model_zoo.load_url(URL)),
        lambda net: net.load_state_dict(state()["state_dict"], strict=False),
        lambda net: net.load_state_dict(state().get("model")),
        lambda net: net.load_state_dict({name.removeprefix("module."): each for name, each in state().items()}),
        lambda net: net.load_state_dict({**net.state_dict(), **state()}),
        lambda net: net.load_state_dict(state().copy()).missing_keys.clear(),
    ],
)
def test_a_model_keeps_its_numbers_where_the_weights_are_absent(left, load):
    net = torch.nn.Linear(2, 2)
    before = net.weight.clone()
    load(net)
    assert torch.equal(net.weight, before)
    assert left.notes == ["pretrained weights were not downloaded, random ones replace them: net-1234.pth"]


def test_a_head_is_taken_out_of_absent_weights(left):
    weights = state()
    weights.pop("fc.weight")
    del weights["fc.bias"]
    assert weights.pop("epoch", 3) == 3
    assert weights.get("epoch", 3) == 3


def test_a_tensor_of_absent_weights_is_missed(left):
    with pytest.raises(NotDownloaded, match=r"`conv\.weight` of net-1234\.pth, which was not downloaded"):
        state()["conv.weight"]


@pytest.mark.parametrize("download", [torch.hub.download_url_to_file, urllib.request.urlretrieve])
def test_a_file_of_weights_is_not_written_and_reads_as_absent(left, download, tmp_path):
    place = tmp_path / "net.pth"
    replaced = {"download_url_to_file": torch.hub.download_url_to_file, "urlretrieve": urllib.request.urlretrieve}
    replaced[download.__name__](URL, str(place))
    torch.nn.Linear(2, 2).load_state_dict(torch.load(place))
    assert not place.exists()
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "other.pth")


def test_a_state_of_ones_own_is_loaded_as_ever(left):
    net = torch.nn.Linear(2, 2)
    net.load_state_dict({"weight": torch.ones(2, 2), "bias": torch.ones(2)})
    assert net.weight.sum() == 4
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict({})
    assert left.notes == []


def test_the_repository_of_another_model_is_named(left):
    with pytest.raises(NotDownloaded, match=r"`small` of `example/models`, which torch.hub has not downloaded"):
        torch.hub.load("example/models", "small", pretrained=True)


def test_everything_is_as_before_at_the_end():
    before = torch.hub.load, torch.load, torch.nn.Module.load_state_dict, urllib.request.urlretrieve
    with without_downloads():
        assert torch.load is not before[1]
    assert before == (torch.hub.load, torch.load, torch.nn.Module.load_state_dict, urllib.request.urlretrieve)
