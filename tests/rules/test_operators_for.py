"""`operators-for`: what targets lack, named with layer and line, from lists that hold together."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.measure import measure_model
from archcheck.measure.operators.vocabulary import FACTORIES, FREE, KINDS, RANDOM, WHOLE
from archcheck.rules import OperatorsFor
from archcheck.rules.findings import Verdict
from archcheck.rules.queries.operator_lists import operator_list
from archcheck.rules.targets import Target

ROOT = Path(__file__).parents[2]
TARGETS = get_args(Target)
IMAGE = torch.zeros(1, 4, 8, 8)
VOLUME = torch.zeros(1, 1, 4, 4, 4)


LINEAR = measure_model(nn.Linear(3, 4), example=torch.zeros(1, 3))


class Run(nn.Module):
    """Layers by name, and what `forward` does with them."""

    def __init__(self, then, **layers):
        super().__init__()
        self.then = then
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *given):
        return self.then(self, *given)


def outcome(model, target, example=IMAGE, **rule):
    return check(model, example=example, rules=[OperatorsFor(target=target, **rule)]).outcomes[0]


def lacking(then, target, example=IMAGE, **layers):
    return outcome(Run(then, **layers), target, example).found


class Net(nn.Sequential):
    """A small network as devices have them."""

    def __init__(self, activation):
        super().__init__(
            nn.Conv2d(4, 8, 3, padding=1, groups=4),
            nn.BatchNorm2d(8),
            activation(),
            nn.Dropout(0.1),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.LeakyReLU])
def test_a_network_of_devices_is_kept_everywhere(target, activation):
    told = outcome(Net(activation), target)
    assert told.verdict is Verdict.KEPT, told.headline
    assert told.kept.startswith(f"{target} has the operators of all 7 operations: ")


@pytest.mark.parametrize(
    ("then", "example", "lack"),
    [
        (lambda self, x: F.silu(x), IMAGE, {"tflite-micro"}),
        (lambda self, x: F.silu(x + 1, inplace=True), IMAGE, {"tflite-micro"}),
        (lambda self, x: F.gelu(x), IMAGE, {"tflite-micro"}),
        (lambda self, x: x * torch.sigmoid(x), IMAGE, set()),
        (lambda self, x: F.adaptive_avg_pool2d(x, 2), IMAGE, {"executorch-xnnpack"}),
        (lambda self, x: x.mean((2, 3), keepdim=True), IMAGE, set()),
        (lambda self, x: x.mean((2, 3)), IMAGE, {"executorch-xnnpack"}),
        (lambda self, x: F.layer_norm(x, (8,)), IMAGE, {"tflite-micro", "executorch-xnnpack"}),
        (lambda self, x: F.conv3d(x, torch.ones(1, 1, 2, 2, 2)), VOLUME, set(TARGETS) - {"onnx-opset-17"}),
        (lambda self, x: F.fold(x.flatten(2), (9, 9), 2), torch.zeros(1, 4, 8, 8), {*TARGETS}),
        (lambda self, x: torch.linalg.inv(x + torch.eye(8)), IMAGE, {*TARGETS}),
        (lambda self, x: x.sort(-1)[0], IMAGE, set(TARGETS) - {"onnx-opset-17"}),
    ],
)
def test_which_targets_lack_an_operator(then, example, lack):
    assert {target for target in TARGETS if lacking(then, target, example)} == lack


def test_a_missing_operator_is_named_with_its_layer():
    told = outcome(Net(lambda: nn.SiLU(inplace=True)), "tflite-micro")
    (finding,) = told.findings
    assert finding.message == (
        "`2` (SiLU) executes silu, which tflite-micro lacks: "
        "no kernel; a converter writes LOGISTIC and MUL with another map between them"
    )
    assert (finding.layer, Path(finding.where.file).name) == ("2", "test_operators_for.py")
    assert finding.fix == 'replace it, or bring a kernel along and say so: `also = ["silu"]`'
    assert told.notes[0].startswith("the list is of 20")


def test_what_is_on_no_list_is_missing_unless_the_author_brings_it_along():
    library = torch.library.Library("lists", "DEF")
    library.define("scan(Tensor x) -> Tensor")
    library.impl("scan", lambda x: x * 2, "CompositeExplicitAutograd")
    library.impl("scan", lambda x: torch.empty_like(x), "Meta")
    model = Run(lambda self, x: torch.ops.lists.scan(F.silu(x)))
    told = outcome(model, "tflite-micro")
    assert told.found == ["lists::scan", "silu"]
    assert "lists::scan, which tflite-micro lacks: it is not on the list" in told.findings[-1].message
    assert outcome(model, "tflite-micro", also=("lists::scan", "aten::silu")).verdict is Verdict.KEPT


def test_what_a_converter_removes_or_computes_beforehand_needs_no_operator():
    def forward(self, x):
        mask = torch.linalg.inv(torch.eye(8)) + torch.arange(8.0).sort()[0]
        fixed = F.gelu(self.w)
        F.silu(x)  # reaches no output
        return (F.dropout(x, 0.5, self.training).double().float().contiguous() + mask) * fixed

    model = Run(forward)
    model.w = nn.Parameter(torch.ones(8))
    told = outcome(model, "tflite-micro")
    assert told.kept == "tflite-micro has the operators of all 2 operations: ADD, MUL"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("op", "kind", "lacked_by"),
    [
        ("quantized::conv2d", "conv", set()),
        ("quantized::conv2d_relu", "conv", set()),
        ("quantized::conv1d_dynamic", "conv", set()),
        ("quantized::linear_relu_dynamic", "linear", set()),
        ("quantized::batch_norm2d_relu", "batch_norm", set()),
        ("quantized::add_relu", "add", set()),
        ("quantized::cat", "cat", set()),
        ("quantized::conv3d_relu", "conv", set(TARGETS) - {"onnx-opset-17"}),
        ("quantized::layer_norm", "layer_norm", {"tflite-micro", "executorch-xnnpack"}),
    ],
)
def test_operators_on_packed_weights_count_as_those_in_float(op, kind, lacked_by, target):
    linear = next(each for each in LINEAR.ops if each.kind == "linear")
    assert (not operator_list(target).counterparts(replace(linear, op=op, kind=kind))) == (target in lacked_by)


def test_a_part_of_the_model():
    model = nn.Sequential(Net(nn.SiLU), nn.GELU())
    assert outcome(model, "tflite-micro", on="0").found == ["silu"]
    assert outcome(model, "tflite-micro", on="1").found == ["gelu"]
    assert outcome(model, "tflite-micro", on="linear").verdict is Verdict.KEPT
    assert "selects nothing" in outcome(model, "tflite-micro", on="7").summary


@pytest.mark.parametrize("also", ["sillu", ("sillu",)])
def test_words_that_select_nothing_are_refused(also):
    with pytest.raises(ValueError, match="not a kind; did you mean"):
        OperatorsFor(target="tflite-micro", also=also)


# --- the lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_a_list_names_operators_that_torch_and_the_target_have(target):
    told = operator_list(target)
    assert told.title
    assert told.source
    assert told.release
    assert not told.operators.keys() & told.lacks.keys()
    assert {name for names in told.operators.values() for name in names} <= told.inventory
    known = {*KINDS, *FACTORIES, *FREE, *RANDOM, *WHOLE}
    strange = {name for name in (*told.operators, *told.lacks) if name not in known and not _is_operator(name)}
    assert not strange


def _is_operator(name):
    space, _, plain = name.rpartition("::")
    return space == "torchvision" or hasattr(torch.ops.aten, plain)


def test_each_list_belongs_to_a_target():
    assert {file.stem for file in (ROOT / "archcheck" / "rules" / "targets").glob("*.toml")} == {*TARGETS}


@pytest.mark.parametrize(
    ("target", "package"),
    [
        ("executorch-portable", "executorch"),
        ("executorch-xnnpack", "executorch"),
        ("onnx-opset-17", "onnx"),
        ("tflite-micro", "tflite_micro"),
    ],
)
def test_a_list_is_what_its_package_tells(target, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    code = (  # in a process of its own: the package changes what torch registers
        f"import json, runpy; names = runpy.run_path('.ci/targets.py')['INVENTORIES'][{target!r}][1]()[1];"
        "print(json.dumps(sorted(names)))"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert {*json.loads(run.stdout.splitlines()[-1])} == operator_list(target).inventory


LOWERED = """
import torch
import torch.nn.functional as F
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from archcheck.judging.engine import check
from archcheck.rules import OperatorsFor


class Net(torch.nn.Module):
    def __init__(self, then):
        super().__init__()
        self.then = then

    def forward(self, x):
        return self.then(x)


CASES = (
    F.silu,
    F.gelu,
    F.hardswish,
    F.elu,
    lambda x: x.log_softmax(-1),
    lambda x: F.layer_norm(x, (8,)),
    lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.adaptive_avg_pool2d(x, 2),
    lambda x: x.chunk(2, 1)[0] + 1,
    lambda x: x.mean((2, 3), keepdim=True),
    lambda x: x.mean((2, 3)),
    lambda x: F.pixel_shuffle(x, 2),
)
for then in CASES:
    model, x = Net(then).eval(), torch.rand(1, 4, 8, 8)
    lowered = to_edge_transform_and_lower(torch.export.export(model, (x,)), partitioner=[XnnpackPartitioner()])
    called = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    left = [name for name in called if "executorch_call_delegate" not in name and "getitem" not in name]
    lacks = check(model, example=x, rules=[OperatorsFor(target="executorch-xnnpack")]).outcomes[0].findings
    assert bool(left) == bool(lacks), (left, lacks)
"""


@pytest.mark.skipif(importlib.util.find_spec("executorch") is None, reason="executorch is not installed")
def test_what_the_list_of_xnnpack_lacks_is_what_its_partitioner_leaves():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", LOWERED], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


MODEL = """from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.act = nn.SiLU()
"""


def test_a_contract_names_a_target_and_the_report_the_line(tmp_path):
    (tmp_path / "net.py").write_text(MODEL)
    contract = '[subjects.net]\nmodel = "net.py"\ninput = [1, 3]\n[subjects.net.rules]\noperators-for = {}\n'
    (tmp_path / "archcheck.toml").write_text(contract.format('"tflite-micro"'))
    command = [sys.executable, "-m", "archcheck", "check"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    assert "net: `act` (SiLU) executes silu, which tflite-micro lacks" in " ".join(run.stdout.split())
    assert "net.py:8" in run.stdout
    (tmp_path / "archcheck.toml").write_text(contract.format('"tflite-mikro"'))
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2
    assert "tflite-micro" in run.stderr
