"""Numbers that are put back, of networks that are kept in memory and of those that are kept in a file."""

import gc
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck import measure
from archcheck.foundation.errors import SubjectError
from archcheck.measure.model import measure_model
from archcheck.measure.passes import saved_values
from archcheck.measure.passes.saved_values import Values

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64,
]  # fmt: skip


@pytest.fixture
def filed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take any tensor for large, and a few bytes for a piece."""
    monkeypatch.setattr(saved_values, "_LARGE", 1)
    monkeypatch.setattr(saved_values, "_MOST", 0)
    monkeypatch.setattr(saved_values, "_PIECE", 7)


def numbers(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.rand(shape) * 100).to(dtype)


@pytest.mark.usefixtures("filed")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 3, 7)])
def test_every_kind_of_number_is_put_back(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = numbers(dtype, shape)
    before = tensor.clone()
    kept = Values([tensor])
    tensor.zero_()
    kept.restore()
    assert torch.equal(tensor, before)


@pytest.mark.usefixtures("filed")
@pytest.mark.parametrize(
    "view",
    [
        lambda base: base[1:4, 2:5],
        lambda base: base.t(),
        lambda base: base[:, ::2],
        lambda base: base[0].expand(4, 8),
        lambda base: base.view(-1)[3:30],
    ],
)
def test_a_part_of_a_larger_tensor_is_put_back(view) -> None:
    base = numbers(torch.float32, (8, 8))
    before = base.clone()
    kept = Values([view(base), base])
    base.add_(1)
    kept.restore()
    assert torch.equal(base, before)


@pytest.mark.usefixtures("filed")
def test_bits_are_put_back_that_compare_as_the_same() -> None:
    tensor = torch.tensor([0.0, float("nan"), 1.0])
    kept = Values([tensor])
    tensor.neg_()
    kept.restore()
    assert tensor.view(torch.int32).tolist()[0] == 0
    assert tensor.isnan().tolist() == [False, True, False]


@pytest.mark.usefixtures("filed")
def test_tied_numbers_are_filed_once() -> None:
    layer = nn.Linear(4, 4)
    other = nn.Linear(4, 4)
    other.weight = layer.weight
    kept = Values([*layer.parameters(), *other.parameters(), layer.weight.view(2, 8)])
    assert kept._filed is not None
    assert os.fstat(kept._filed._file.fileno()).st_size == 4 * (16 + 4 + 4)


def test_a_small_network_needs_no_file() -> None:
    assert Values(nn.Linear(4, 4).parameters())._filed is None


def test_where_no_file_can_be_written_memory_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_values, "_LARGE", 1)
    monkeypatch.setattr(saved_values, "_MOST", 0)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_values.tempfile, "TemporaryFile", full)
    tensor = torch.ones(5)
    kept = Values([tensor])
    tensor.zero_()
    kept.restore()
    assert (kept._filed, tensor.tolist()) == (None, [1.0] * 5)


@pytest.mark.usefixtures("filed")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_the_subject_closed_is_told_of(tmp_path: Path, replaced: bool) -> None:
    tensor = torch.ones(5)
    kept = Values([tensor])
    assert kept._filed is not None
    descriptor = kept._filed._file.fileno()
    own = os.dup(descriptor)
    os.close(descriptor)
    (tmp_path / "other").write_bytes(bytes(20))
    opened = os.open(tmp_path / "other", os.O_RDONLY) if replaced else own
    if replaced:
        assert opened == descriptor
    with pytest.raises(SubjectError, match="closed the files of the process"):
        kept.restore()
    assert tensor.tolist() == [1.0] * 5
    os.dup2(own, descriptor)
    os.close(own)


class Large(nn.Module):
    """Is kept in a file; may write to its weights while it runs."""

    def __init__(self, writes: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2_048, 2_048, bias=False) for _ in range(6))
        self.writes = writes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
            if self.writes and not x.is_meta:
                with torch.no_grad():
                    layer.weight.data.add_(1)
        return x


@pytest.mark.parametrize("writes", [False, True])
def test_a_large_network_is_left_as_it_was(writes: bool) -> None:
    torch.manual_seed(0)
    model = Large(writes)
    before = [parameter.clone() for parameter in model.parameters()]
    facts = measure(model, example=torch.rand(1, 2_048))
    assert facts.params.total == facts.cost.macs == 6 * 2_048 * 2_048
    assert all(map(torch.equal, model.parameters(), before))


def storages() -> dict[int, int]:
    """Return the place and the bytes of what each plain tensor lies in that is alive."""
    found = [
        each.untyped_storage()
        for each in gc.get_objects()
        if type(each) in (torch.Tensor, nn.Parameter) and not each.is_meta and each.layout is torch.strided
    ]
    return {storage.data_ptr(): storage.nbytes() for storage in found if storage.data_ptr()}


def test_measuring_makes_no_copy_of_large_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds up, whenever the model is put back, what is alive beside the weights."""
    model = Large(writes=False)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    there, most = storages(), 0
    restore = Values.restore

    def counted(self: Values) -> None:
        nonlocal most
        restore(self)
        most = max(most, sum(size for place, size in storages().items() if place not in there))

    monkeypatch.setattr(Values, "restore", counted)
    measure_model(model, example=torch.rand(1, 2_048), needs=("paranoid", "cross-check"), confirm=True)
    assert 0 < most < 0.5 * weights
