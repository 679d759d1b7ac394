"""Checkpoint folders and `from_pretrained`, as far as no library of published networks is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from archcheck.cli.targets import place
from archcheck.facts.option_words import NOT_LOADED, WITH_MEMORY, with_memory
from archcheck.foundation.errors import SubjectError
from archcheck.foundation.model_configurations import configuration_file, library_of, read_configuration
from archcheck.measure.artifacts.checkpoint_tensors import tensors_beside
from archcheck.measure.artifacts.source_or_file import subject_of
from archcheck.measure.loading.hub_folders import hub_folder
from archcheck.measure.loading.import_hooks import changed_modules
from archcheck.measure.loading.load import load_noted
from archcheck.measure.model import measure_model

safetensors = pytest.importorskip("safetensors.torch")


class Unet(nn.Module):
    """A network that another library would build from its configuration."""

    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.head = nn.Linear(width, 2)

    @classmethod
    def from_config(cls, table):
        return cls(table.get("width", 4))

    def forward(self, sample):
        return self.head(self.conv(sample).mean((2, 3)))


@pytest.fixture
def library(monkeypatch):
    package = ModuleType("diffusers")
    package.__version__, package.Unet, package.Sampler = "1.0", Unet, type("Sampler", (), {})
    monkeypatch.setitem(sys.modules, "diffusers", package)


def folder(root, table, name="net", file="config.json"):
    (root / name).mkdir(exist_ok=True)
    (root / name / file).write_text(json.dumps(table) if isinstance(table, dict) else table)
    return root / name


def refused(root, target="net", **request):
    with pytest.raises(SubjectError) as caught:
        subject_of({"target": target, "root": str(root), "careful": True, **request})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_configuration_is_told_from_other_json_files(tmp_path):
    assert [library_of({key: 1}) for key in ("architectures", "model_type", "architecture", "_class_name", "x")] == [
        "transformers", "transformers", "timm", "diffusers", None,
    ]  # fmt: skip
    assert configuration_file(tmp_path) is None
    net = folder(tmp_path, {"architectures": ["Net"]})
    assert configuration_file(net) == configuration_file(net / "config.json") == net / "config.json"
    report = folder(tmp_path, {"schema": 1, "reports": []}, "saved") / "config.json"
    other = folder(tmp_path, {"key": 1}, "other", "data.json") / "data.json"
    assert configuration_file(report) is configuration_file(other) is configuration_file(tmp_path / "no.json") is None
    assert configuration_file(folder(tmp_path, {"model_type": "x"}, "more", "m.json") / "m.json") is not None
    assert place(tmp_path, "net") == place(tmp_path, "net/config.json") == ((net / "config.json").resolve(), "")


def test_numbers_of_a_configuration_may_be_infinite(tmp_path):
    net = folder(tmp_path, '{"limits": [0.0, Infinity], "also": {"__float__": "-Infinity"}}')
    assert read_configuration(net / "config.json") == {"limits": [0.0, float("inf")], "also": float("-inf")}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{", "`net` is not JSON at line 1, column 2"),
        ("[1]", "`net` is a list of JSON, not a table"),
        ({"layers": 3}, "it has none of the keys `architectures`, `model_type`, `architecture` and `_class_name`"),
        ({"_class_name": "Nothing"}, "names the class `Nothing`, which diffusers 1.0 does not have"),
        ({"_class_name": "Sampler"}, "describes a `Sampler`, which is no network"),
        ({"_class_name": "Unet", "width": "a"}, "could not be built by diffusers 1.0: TypeError"),
    ],
)
def test_a_configuration_without_a_network_is_one_line(tmp_path, library, table, said):
    folder(tmp_path, table)
    assert said in refused(tmp_path)


def test_a_folder_of_several_networks_or_of_an_adapter_names_what_to_give(tmp_path):
    pipeline = folder(tmp_path, {"_class_name": "Pipeline"}, file="model_index.json")
    folder(pipeline, {}, "unet")
    folder(pipeline, {}, "vae")
    assert 'is a pipeline of several networks; name one of "unet" and "vae" in it' in refused(tmp_path)
    folder(tmp_path, {"base_model_name_or_path": "org/base"}, "lora", "adapter_config.json")
    assert "is no network of its own; name the folder of `org/base`" in refused(tmp_path, "lora")


@pytest.mark.parametrize("library", ["transformers", "timm", "diffusers"])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    key = {"transformers": "architectures", "timm": "architecture", "diffusers": "_class_name"}[library]
    folder(tmp_path, {key: "x"})
    assert f"`net` is a configuration of {library}, which is not installed here" in refused(tmp_path)


def test_a_folder_is_built_without_memory_and_compared_with_its_tensors(tmp_path, library):
    net = folder(tmp_path, {"_class_name": "Unet", "width": 8})
    safetensors.save_file(Unet(8).state_dict(), net / "diffusion_pytorch_model.safetensors")
    opened = subject_of({"target": "net", "root": str(tmp_path), "careful": True})
    assert all(each.is_meta for each in opened.model.parameters())
    assert opened.notes == (
        "built as net says, by diffusers, without weights",
        "4 tensors of net/diffusion_pytorch_model.safetensors fit by name and shape; none was read",
    )
    assert opened.file_bytes == (net / "diffusion_pytorch_model.safetensors").stat().st_size
    facts = measure_model(opened.model, example=torch.zeros(1, 3, 8, 8), target="net")
    assert facts.params.total == 242
    assert facts.subject.meta
    changed = subject_of({"target": "net/config.json", "root": str(tmp_path), "args": {"width": 2}})
    assert changed.model.conv.out_channels == 2
    assert "were not compared, because arguments change the configuration" in changed.notes[1]


def test_tensors_of_another_network_are_one_line(tmp_path, library):
    net = folder(tmp_path, {"_class_name": "Unet", "width": 8})
    state = Unet(4).state_dict() | {"more": torch.zeros(1)}
    del state["head.bias"]
    safetensors.save_file(state, net / "model.safetensors")
    said = refused(tmp_path)
    assert "`net/model.safetensors` does not fit Unet as net describes it" in said
    assert "`conv.weight` is 4x3x3x3 in the file, 8x3x3x3 in the model" in said
    folder(tmp_path, {"_class_name": "Unet"})
    assert "as net describes it: missing `head.bias`;" in refused(tmp_path)
    safetensors.save_file(Unet(4).state_dict() | {"more": torch.zeros(1)}, net / "model.safetensors")
    opened = subject_of({"target": "net", "root": str(tmp_path)})
    assert opened.notes[-1] == "tensors of the file that the network does not have: more"


def test_tensors_may_be_in_parts_or_in_a_pickle(tmp_path):
    state = Unet().state_dict()
    torch.save(state, tmp_path / "pytorch_model.bin")
    whole = tensors_beside(tmp_path, Path("net"))
    assert {name: shape for name, (shape, _) in whole.shapes.items()} == {n: tuple(t.shape) for n, t in state.items()}
    parts = {name: f"model-{number}.safetensors" for number, name in enumerate(state)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    with pytest.raises(SubjectError, match=r"names the part `model-0.safetensors`, which is not there"):
        tensors_beside(tmp_path, Path("net"))
    for name, part in parts.items():
        safetensors.save_file({name: state[name]}, tmp_path / part)
    joined = tensors_beside(tmp_path, Path("net"))
    assert joined.shapes == whole.shapes
    assert joined.bytes == sum((tmp_path / part).stat().st_size for part in parts.values())
    for wrong in ("{", '{"weight_map": []}', '{"weight_map": {"a": "../b.bin"}}', '{"weight_map": {"a": 1}}'):
        (tmp_path / "model.safetensors.index.json").write_text(wrong)
        with pytest.raises(SubjectError, match="is not an index"):
            tensors_beside(tmp_path, Path("net"))


def test_a_name_is_found_beside_the_file_or_in_the_cache_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert hub_folder("org/net") is None
    cached = tmp_path / "home" / "hub" / "models--org--net"
    for commit in ("abc", "def"):
        (cached / "snapshots" / commit).mkdir(parents=True)
        (cached / "snapshots" / commit / "config.json").write_text("{}")
    assert hub_folder("org/net") is None  # which of the two is not known
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("def")
    found = hub_folder("org/net")
    assert (found.path.name, found.given, found.has_weights) == ("def", False, False)
    assert hub_folder("org/net", revision="abc").path.name == "abc"
    beside = folder(tmp_path, {}, "net")
    (beside / "model.safetensors").touch()
    assert (hub_folder("org/net").shown, hub_folder("org/net").given, hub_folder("org/net").has_weights) == (
        "net", True, True,
    )  # fmt: skip
    assert hub_folder("net", revision="x").given


def test_a_module_is_changed_when_it_is_imported_and_restored(tmp_path, monkeypatch):
    (tmp_path / "late_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    with changed_modules({"late_module": lambda module: iter([(module, "value", 2)])}):
        import late_module

        assert late_module.value == 2
    assert late_module.value == 1
    assert sys.meta_path == finders
    with changed_modules({"late_module": lambda module: iter([(module, "value", 3)])}):
        assert late_module.value == 3
    del sys.modules["late_module"]


def test_a_repository_of_torchs_hub_is_torchvisions_or_one_line(tmp_path):
    pytest.importorskip("torchvision")
    call = 'import torch\nmodel = torch.hub.load("{}", "{}", pretrained=True)\n'
    (tmp_path / "vision.py").write_text(call.format("pytorch/vision:v0.10.0", "squeezenet1_1"))
    loaded = load_noted("vision.py", str(tmp_path), {}, careful=True)
    assert sum(each.numel() for each in loaded.model.parameters()) == 1_235_496
    assert "`squeezenet1_1` is that of the installed torchvision, with random weights" in loaded.notes[0]
    (tmp_path / "other.py").write_text(call.format("org/repository", "net"))
    with pytest.raises(SubjectError, match=r"other.py:2.*`net` of `org/repository`, which torch.hub has not"):
        load_noted("other.py", str(tmp_path), {}, careful=True)


def test_a_rule_that_takes_numbers_says_how_to_get_them():
    assert with_memory("net.py:Net", ()) == with_memory("pkg.mod:Net", ()) == WITH_MEMORY
    assert "a configuration has no numbers" in with_memory("net", ())
    assert "a configuration has no numbers" in with_memory("transformers:BertModel", ())
    assert with_memory("net.py:Net", (f"x; {NOT_LOADED}: y",)).startswith("download its weights")
