"""No part of an exported program is run as code, however it is put there, and damage is told in one line."""

import contextlib
import io
import json
import zipfile

import pytest
import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.artifacts.operators import function_of
from archcheck.measure.artifacts.source_or_file import open_artifact
from archcheck.measure.model import measure_model
from tests.measure.artifacts.exported_files import Tiny, changed, entries, export, harm, nodes_of, write


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return export(Tiny(), torch.zeros(1, 1, 6, 6), to=tmp_path_factory.mktemp("exported") / "net.pt2")


def opened(file):
    found = open_artifact(file.name, str(file.parent))
    return measure_model(found.model, example=found.example(), confirm=True)


def refusal(file):
    with pytest.raises(SubjectError) as error:
        opened(file)
    assert error.value.kind in ("artifact", "not-found")
    assert "\n" not in error.value.message
    assert len(error.value.message) < 500
    return error.value.message


def torch_pickle(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_the_planted_code_runs_in_torchs_own_reader(tiny, tmp_path):
    file = write({**entries(tiny), "data/sample_inputs/model.pt": harm(tmp_path / "marker")}, tmp_path / "net.pt2")
    with contextlib.suppress(Exception):
        torch.export.load(file)
    assert (tmp_path / "marker").is_dir()


@pytest.mark.parametrize(
    "place", ["data/sample_inputs/model.pt", "data/extra/notes.pkl", "data/constants/opaque_obj_0", "data.pkl"]
)
def test_a_pickle_beside_what_is_needed_is_never_opened(tiny, tmp_path, place):
    file = write({**entries(tiny), place: harm(tmp_path / "marker")}, tmp_path / "net.pt2")
    assert opened(file).params.total == 44
    assert not (tmp_path / "marker").exists()


def test_a_weight_that_is_a_pickle_is_read_by_the_restricted_reader(tiny, tmp_path):
    contents = entries(tiny)
    config = json.loads(contents["data/weights/model_weights_config.json"])
    config["config"]["fc.bias"] |= {"use_pickle": True, "path_name": "weight_pickled"}
    contents["data/weights/model_weights_config.json"] = json.dumps(config)
    good = write({**contents, "data/weights/weight_pickled": torch_pickle(torch.ones(2))}, tmp_path / "good.pt2")
    assert opened(good).params.sizes.keys() == opened(tiny).params.sizes.keys() - {"fc.bias"}
    bad = write({**contents, "data/weights/weight_pickled": harm(tmp_path / "marker")}, tmp_path / "bad.pt2")
    assert "keeps `fc.bias` as a pickle that names more than tensors" in refusal(bad)
    assert not (tmp_path / "marker").exists()


def test_weights_of_older_archives_are_read_by_the_restricted_reader(tiny, tmp_path):
    contents = {name: content for name, content in entries(tiny).items() if "/weights/" not in name}
    state = {name: tensor.detach() for name, tensor in Tiny().state_dict(keep_vars=True).items()}
    parameters = dict(Tiny().named_parameters())
    saved = torch_pickle({**state, **parameters})
    assert opened(write({**contents, "data/weights/model.pt": saved}, tmp_path / "old.pt2")).params.total == 44
    bad = write({**contents, "data/weights/model.pt": harm(tmp_path / "marker")}, tmp_path / "bad.pt2")
    assert "pickle" in refusal(bad)
    assert not (tmp_path / "marker").exists()


def test_a_pickled_weight_claims_no_more_than_its_bytes(tiny, tmp_path):
    contents = {name: content for name, content in entries(tiny).items() if "/weights/" not in name}
    saved = torch_pickle({"fc.bias": torch.zeros(1).expand(10**12)})
    file = write({**contents, "data/weights/model.pt": saved}, tmp_path / "old.pt2")
    assert "claims 1,000,000,000,000 elements for `fc.bias`, more than it has bytes" in refusal(file)


@pytest.mark.parametrize("prefix", ["custom_obj_0", "opaque_obj_0"])
def test_objects_are_refused_by_name(tiny, tmp_path, prefix):
    contents = entries(tiny)
    contents["data/constants/model_constants_config.json"] = json.dumps({"config": {"thing": {"path_name": prefix}}})
    contents[f"data/constants/{prefix}"] = harm(tmp_path / "marker")
    assert "holds the object `thing`" in refusal(write(contents, tmp_path / "net.pt2"))
    assert not (tmp_path / "marker").exists()


def test_machine_code_is_refused(tiny, tmp_path):
    file = write({**entries(tiny), "data/aotinductor/model/model.so": b"\x7fELF"}, tmp_path / "net.pt2")
    assert "holds machine code" in refusal(file)


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.aten._reshape_alias.default",
        "torch.ops.aten._sparse_coo_tensor_unsafe.default",
        "torch.ops.aten.__class__.__init__",
        "torch.ops.mylib.run.default",
        "torch.ops.aten.relu",
        "torch.utils.cpp_extension.load",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "math.__loader__.load_module",
        "os.system",
        "#torchbind:anything",
        "torch.ops.higher_order.triton_kernel_wrapper_mutation",
    ],
)
def test_functions_beyond_torchs_operators_are_refused_by_name(tiny, tmp_path, target):
    def aim(graph):
        nodes_of(graph)[3]["target"] = target

    assert f"would run `{target}`" in refusal(changed(tiny, tmp_path / "net.pt2", aim))


def test_the_operators_of_networks_are_among_those_that_may_run():
    names = ("conv2d.default", "linear.default", "_softmax.default", "_to_copy.default", "_unsafe_index.Tensor")
    assert all(function_of(f"torch.ops.aten.{name}") for name in names)
    assert function_of("_operator.floordiv")(7, 2) == 3


def test_the_text_of_sizes_is_not_evaluated(tmp_path):
    batch = torch.export.Dim("batch", min=2, max=8)
    file = export(Tiny(), torch.zeros(4, 1, 6, 6), to=tmp_path / "net.pt2", dynamic_shapes=({0: batch},))

    def spell(graph):
        for meta in graph["graph_module"]["graph"]["tensor_values"].values():
            for size in meta["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = f"__import__('os').mkdir({str(tmp_path / 'marker')!r})"

    assert opened(changed(file, tmp_path / "spelled.pt2", spell)).params.total == 44
    assert not (tmp_path / "marker").exists()


def test_a_tensor_reaches_no_further_than_its_bytes(tiny, tmp_path):
    contents = entries(tiny)
    config = json.loads(contents["data/weights/model_weights_config.json"])
    for key, value in (
        ("sizes", [{"as_int": 2**40}]),
        ("strides", [{"as_int": 2**40}]),
        ("storage_offset", {"as_int": 9}),
        ("storage_offset", {"as_int": -1}),
        ("dtype", 11),
    ):
        broken = json.loads(json.dumps(config))
        broken["config"]["fc.bias"]["tensor_meta"][key] = value
        text = json.dumps(broken)
        file = write({**contents, "data/weights/model_weights_config.json": text}, tmp_path / "net.pt2")
        assert "is damaged" in refusal(file)


def test_zip_bombs_are_refused_before_they_are_opened(tiny, tmp_path):
    packed = write(entries(tiny), tmp_path / "packed.pt2", compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(packed)
    bomb = {**entries(tiny), "data/weights/weight_0": bytes(20_000_000)}
    assert "compressed" in refusal(write(bomb, tmp_path / "bomb.pt2", compression=zipfile.ZIP_DEFLATED))


def test_entries_that_share_bytes_or_names_are_refused(tiny, tmp_path):
    file = tmp_path / "net.pt2"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries(tiny).items():
            archive.writestr(f"net/{name}", content)
        first = max(archive.infolist(), key=lambda info: info.file_size)
        for number in range(3):
            again = zipfile.ZipInfo(f"net/again_{number}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.file_size = again.compress_size = first.file_size
            archive.filelist.append(again)
    assert "its entries claim" in refusal(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/archive_format", "pt2")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("net/archive_format", "pt2")
    assert "the same name" in refusal(file)


def test_every_kind_of_damage_is_one_line(tiny, tmp_path):
    whole = tiny.read_bytes()
    (tmp_path / "folder.pt2").mkdir()
    (tmp_path / "loop.pt2").symlink_to(tmp_path / "loop.pt2")
    files = {
        "empty": b"",
        "short": whole[: len(whole) // 2],
        "text": b"hello",
        "flipped": whole.replace(b"conv2d", b"conv3d", 1),
        "zip": b"PK\x05\x06" + bytes(18),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.pt2").write_bytes(content)
    assert "is empty" in refusal(tmp_path / "empty.pt2")
    assert "is damaged or not an archive of torch" in refusal(tmp_path / "short.pt2")
    assert "it is not a zip file" in refusal(tmp_path / "text.pt2")
    assert "Bad CRC-32" in refusal(tmp_path / "flipped.pt2")
    assert "names 0 entries" in refusal(tmp_path / "zip.pt2")
    assert "is a folder" in refusal(tmp_path / "folder.pt2")
    assert "there is no file" in refusal(tmp_path / "gone.pt2")
    refusal(tmp_path / "loop.pt2")


def test_an_archive_of_an_older_torch_is_refused_in_a_line(tmp_path):
    names = ("serialized_exported_program.json", "serialized_state_dict.pt", "serialized_constants.pt", "version")
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    said = "`old.pt2` is of an older torch; export the model with torch 2.8 or newer"
    assert refusal(tmp_path / "old.pt2") == said


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("schema_version", "major"), 9, "is of format 9"),
        (("graph_module", "graph", "nodes"), None, "expected `nodes` to be a list"),
        (("graph_module", "graph", "nodes", 0, "inputs", 0, "arg"), {"as_operator": "x"}, "of the kind `as_operator`"),
        (
            ("graph_module", "graph", "nodes", 0, "inputs", 0, "arg"),
            {"as_tensor": {"name": "nobody"}},
            "which is not defined",
        ),
        (("graph_module", "signature", "input_specs"), [], "is not defined"),
    ],
)
def test_graphs_that_are_none_are_told(tiny, tmp_path, path, value, said):
    def spoil(graph):
        *way, last = path
        for step in way:
            graph = graph[step]
        graph[last] = value

    assert said in refusal(changed(tiny, tmp_path / "net.pt2", spoil))
