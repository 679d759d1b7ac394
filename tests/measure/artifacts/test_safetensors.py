"""Files of tensors: their content, their errors, and whether they fit an architecture."""

import json
import math
import struct

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from archcheck.facts.weight_files import Stored
from archcheck.foundation.errors import SubjectError
from archcheck.measure.artifacts.safetensors import DTYPES
from archcheck.measure.artifacts.weights import describe_weights, load_weights
from tests.measure.artifacts.exported_files import Tiny, harm
from tests.support.fuzzing import bounded_memory


def safetensors(header, data=b"", *, to, length=None):
    """Write a file with any header, a table or bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    to.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return to


def claim(shape=(2,), dtype="F32", offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def listed(file):
    return describe_weights(file.name, str(file.parent))


def refusal(file, kind="artifact"):
    with pytest.raises(SubjectError) as error:
        listed(file)
    assert error.value.kind == kind
    assert "\n" not in error.value.message
    assert len(error.value.message) < 500
    return error.value.message


def saved(model, to):
    save_file(model.state_dict(), to)
    return to


def test_it_lists_what_safetensors_itself_wrote(tmp_path):
    save_file({"b": torch.ones(2, 3), "a": torch.zeros(4, dtype=torch.int64)}, tmp_path / "w.safetensors")
    weights = listed(tmp_path / "w.safetensors")
    assert set(weights.tensors) == {
        Stored(name="a", shape=(4,), dtype="int64", bytes=32),
        Stored(name="b", shape=(2, 3), dtype="float32", bytes=24),
    }
    assert (weights.elements, weights.bytes) == (10, 56)
    assert weights.bytes_by_dtype == {"int64": 32, "float32": 24}
    assert weights.not_finite == ()


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "float16", "bfloat16", "float64", "complex64", "float8_e4m3fn", "uint64"]
)
def test_every_dtype_is_read_as_it_was_written(tmp_path, dtype):
    tensor = torch.tensor([[1, 0], [0, 1]]).to(getattr(torch, dtype))
    code = next(code for code, known in DTYPES.items() if known == tensor.dtype)  # not every release of theirs has all
    header = {"t": {"dtype": code, "shape": [2, 2], "data_offsets": [0, 4 * tensor.element_size()]}}
    data = bytes(tensor.flatten().view(torch.uint8).tolist())
    safetensors(header, data, to=tmp_path / "w.safetensors")
    (stored,) = listed(tmp_path / "w.safetensors").tensors
    assert (stored.dtype, stored.shape, stored.bytes) == (dtype, (2, 2), 4 * tensor.element_size())
    holder = nn.Module()
    holder.register_buffer("t", torch.zeros_like(tensor))
    load_weights(holder, "w.safetensors", str(tmp_path))
    assert torch.equal(holder.t.view(torch.uint8), tensor.view(torch.uint8))


def test_a_dtype_of_a_later_torch_is_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.delitem(DTYPES, "F8_E8M0", raising=False)
    safetensors({"t": claim((2,), "F8_E8M0", (0, 2))}, bytes(2), to=tmp_path / "w.safetensors")
    said = (
        f'`w.safetensors` holds tensor "t" of the dtype float8_e8m0fnu, which torch {torch.__version__} does not have'
    )
    with pytest.raises(SubjectError) as error:
        listed(tmp_path / "w.safetensors")
    assert error.value.message == f"{said}; install a newer torch"


def test_values_that_are_not_finite_are_counted(tmp_path):
    save_file({"w": torch.tensor([1.0, math.nan, math.inf, -math.inf]), "n": torch.ones(2)}, tmp_path / "w.safetensors")
    (bad,) = listed(tmp_path / "w.safetensors").not_finite
    assert (bad.name, bad.not_finite) == ("w", 3)


def test_a_tensor_without_elements_is_one(tmp_path):
    file = safetensors(
        {"e": claim((0, 7), offsets=(0, 0)), "__metadata__": {"format": "pt"}}, to=tmp_path / "w.safetensors"
    )
    assert listed(file).tensors == (Stored(name="e", shape=(0, 7), dtype="float32", bytes=0),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x02\x00", "it has 2 bytes, and the length of the header alone takes 8"),
        (struct.pack("<Q", 10**12) + b"{}", "its header claims 1,000,000,000,000 bytes, the file has 10"),
        (struct.pack("<Q", 2) + b"[]", "its header begins with b'[', not with a brace"),
        (b"PK\x03\x04" + bytes(20), "it is a zip archive"),
        (b"\x80\x04" + bytes(20), "it is a pickle"),
        (struct.pack("<Q", 3) + b"{\xff}", "its header is not UTF-8"),
        (struct.pack("<Q", 5) + b"{1:2}", "its header is not the JSON it should be"),
        (struct.pack("<Q", 40_000) + b'{"a":' + b"[" * 39_995, "its header is not the JSON it should be"),
    ],
)
def test_invalid_headers_are_refused(tmp_path, content, said):
    (tmp_path / "w.safetensors").write_bytes(content)
    assert said in refusal(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": claim(), "b": claim(offsets=(4, 12))}, 'tensor "b" overlaps the one before it'),
        ({"a": claim(offsets=(4, 12))}, 'tensor "a" leaves 4 bytes unused'),
        ({"a": claim()}, "8 bytes at its end belong to no tensor"),
        ({"a": claim((5 * 2**32, 5), offsets=(0, 16))}, "takes 429,496,729,600 bytes, has 16"),
        ({"a": claim((2**62, 2**62), offsets=(0, 16))}, "has 16"),
        ({"a": claim(offsets=(0, 10**11))}, "lies at bytes 0 to 100,000,000,000, the data have 16"),
        ({"a": claim(offsets=(12, 4))}, "lies at bytes 12 to 4"),
        ({"a": claim(shape=(-2,))}, "natural numbers"),
        ({"a": claim(shape=(True, 2))}, "natural numbers"),
        ({"a": claim(shape=(2.0,))}, "natural numbers"),
        ({"a": claim(dtype="F7")}, 'has the dtype "F7", which is not known'),
        ({"a": claim(dtype=["F32"])}, "which is not known"),
        ({"a": {**claim(), "code": "x"}}, "and nothing else"),
        ({"a": 3}, "must have a dtype, a shape and data_offsets"),
        ({"__metadata__": {"a": 1}}, "is not a table of texts"),
        (b'{"a":1,"a":2}', 'the name "a" is there twice'),
    ],
)
def test_false_claims_of_the_header_are_refused(tmp_path, header, said):
    assert said in refusal(safetensors(header, bytes(16), to=tmp_path / "w.safetensors"))


def test_paths_that_lead_to_no_file(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    assert "is a folder" in refusal(tmp_path / "folder.safetensors")
    assert "there is no file" in refusal(tmp_path / "gone.safetensors", "not-found")
    refusal(tmp_path / "loop.safetensors")


def test_weights_that_fit_are_those_of_the_model_afterwards(tmp_path):
    source, model = Tiny(), Tiny()
    (note,) = load_weights(model, saved(source, tmp_path / "w.safetensors").name, str(tmp_path))
    assert (
        note
        == "with the weights of w.safetensors: 9 tensors of the names, shapes and dtypes that it has, all values finite"
    )
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


def misfit(model, file):
    with pytest.raises(SubjectError) as error:
        load_weights(model, file.name, str(file.parent))
    assert error.value.kind == "weights"
    return error.value.message


def test_misfits_are_named(tmp_path):
    state = Tiny().state_dict()
    state["conv.weight"] = torch.zeros(3, 1, 5, 5)
    state["fc.weight"] = state["fc.weight"].half()
    state["extra"] = torch.zeros(1)
    del state["fc.bias"]
    before = Tiny()
    kept = {name: value.clone() for name, value in before.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    said = misfit(before, tmp_path / "w.safetensors")
    assert "`w.safetensors` does not fit Tiny: missing `fc.bias`; unexpected `extra`; " in said
    assert all(torch.equal(value, kept[name]) for name, value in before.state_dict().items())
    del state["extra"]
    state["fc.bias"] = torch.zeros(2)
    save_file(state, tmp_path / "w.safetensors")
    said = misfit(Tiny(), tmp_path / "w.safetensors")
    assert "`conv.weight` is 3x1x5x5 float32 in the file, 3x1x3x3 float32 in the model" in said
    assert "`fc.weight` is 2x3 float16 in the file, 2x3 float32 in the model" in said


def test_the_prefix_of_a_wrapper_is_told(tmp_path):
    save_file({f"module.{name}": value for name, value in Tiny().state_dict().items()}, tmp_path / "w.safetensors")
    assert "all its names begin with `module.`" in misfit(Tiny(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("within", [True, False])
def test_a_state_that_was_saved_compiled_fits_the_network_and_the_other_way_round(tmp_path, before, within):
    def build(compiled):
        model = Tiny() if not within else nn.Sequential(Tiny(), nn.Linear(2, 2))
        if compiled and within:
            model[0] = torch.compile(model[0], backend="eager")
        return torch.compile(model, backend="eager") if compiled else model

    trained, model = build(before), build(not before)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    load_weights(model, "w.safetensors", str(tmp_path))
    values = (each.state_dict().values() for each in (trained, model))
    assert all(map(torch.equal, *values))


def test_two_tensors_that_only_a_compiler_tells_apart_are_two(tmp_path):
    state = Tiny().state_dict()
    save_file(
        {**state, **{f"_orig_mod.{name}": each.clone() for name, each in state.items()}}, tmp_path / "w.safetensors"
    )
    assert "unexpected `_orig_mod." in misfit(Tiny(), tmp_path / "w.safetensors")


def test_values_that_are_not_finite_are_refused(tmp_path):
    model = Tiny()
    with torch.no_grad():
        model.fc.weight[0, 1] = math.nan
    said = misfit(Tiny(), saved(model, tmp_path / "w.safetensors"))
    assert said == "`w.safetensors` holds values that are not finite: 1 in `fc.weight`"


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


def test_of_tied_tensors_one_is_enough_and_two_have_to_agree(tmp_path):
    file, model = tmp_path / "w.safetensors", Tied()
    save_file({"b.weight": torch.eye(2)}, file)
    load_weights(model, file.name, str(tmp_path))
    assert torch.equal(model.a.weight, torch.eye(2))
    assert model.a.weight is model.b.weight
    save_file({"a.weight": torch.eye(2), "b.weight": torch.eye(2)}, file)
    load_weights(Tied(), file.name, str(tmp_path))
    save_file({"a.weight": torch.eye(2), "b.weight": torch.ones(2, 2)}, file)
    assert "are one tensor in the model and differ in `w.safetensors`" in misfit(Tied(), file)


def test_a_model_without_memory_is_only_compared(tmp_path):
    file = saved(Tiny(), tmp_path / "w.safetensors")
    with torch.device("meta"):
        model = Tiny()
    (note,) = load_weights(model, file.name, str(tmp_path))
    assert note.endswith("none was loaded, as it has no memory")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_of_tensors_alone_is_read_as_one_of_safetensors(tmp_path, zipped):
    torch.save(Tiny().state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    save_file(Tiny().state_dict(), tmp_path / "w.safetensors")
    first, second = listed(tmp_path / "w.pt"), listed(tmp_path / "w.safetensors")
    assert (first.format, first.bytes, first.elements) == ("pickle", second.bytes, second.elements)
    load_weights(Tiny(), "w.pt", str(tmp_path))


def test_a_checkpoint_of_a_training_holds_tensors_under_a_key(tmp_path):
    torch.save({"epoch": 3, "model": Tiny().state_dict()}, tmp_path / "w.pth")
    weights = listed(tmp_path / "w.pth")
    assert len(weights.tensors) == 9
    assert weights.notes == ("the tensors under `model` of the file; what else it holds was left alone",)


def test_pickles_that_are_code_are_refused_unread(tmp_path):
    (tmp_path / "raw.pkl").write_bytes(harm(tmp_path / "marker"))
    torch.save(Tiny(), tmp_path / "whole.pt")
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pt")
    assert "is a pickle, and reading it runs the code that it names" in refusal(tmp_path / "raw.pkl")
    assert "(`tests.measure.artifacts.exported_files.Tiny`)" in refusal(tmp_path / "whole.pt")
    assert "is a TorchScript archive, which is code" in refusal(tmp_path / "script.pt")
    assert not (tmp_path / "marker").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    assert "holds no table of tensors but a list" in refusal(tmp_path / "list.pt")
    (tmp_path / "noise.bin").write_bytes(b"no file of torch")
    assert "is damaged or not a file of torch" in refusal(tmp_path / "noise.bin")


def test_a_pickle_of_tensors_without_memory_is_refused(tmp_path):
    torch.save({"a": torch.zeros(2), "b": torch.zeros(2, device="meta")}, tmp_path / "w.pt")
    assert 'holds tensors without values, such as "b"; save a model that has memory' in refusal(tmp_path / "w.pt")


@pytest.mark.parametrize("sizes", [((10**12,), (0,)), ((10**9, 10**9), (0, 0)), ((10**6, 10**6), (1, 1))])
def test_a_pickle_that_claims_more_than_it_holds_is_refused_before_it_is_looked_at(tmp_path, sizes):
    torch.save({"a": torch.zeros(2_000_000).as_strided(*sizes)}, tmp_path / "w.pt")
    assert f'claims {math.prod(sizes[0]):,} elements for "a", more than it has bytes' in refusal(tmp_path / "w.pt")


def test_a_tensor_that_repeats_a_few_of_its_values_is_read(tmp_path):
    torch.save({"a": torch.zeros(4, 1).expand(4, 100)}, tmp_path / "w.pt")
    assert listed(tmp_path / "w.pt").elements == 400


def test_a_length_that_a_pickle_claims_is_no_reason_to_take_all_memory(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "w.pt").read_bytes()
    at = content.index(b"X\x10\x00\x00\x00protocol_version")
    (tmp_path / "w.pt").write_bytes(content[:at] + b"X\xff\xff\xff\xff" + content[at + 5 :])
    with bounded_memory():
        said = refusal(tmp_path / "w.pt")
    assert "claims more than fits into memory" in said or "is damaged or not a file of torch" in said
