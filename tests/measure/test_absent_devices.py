"""Code that asks for a GPU on a machine without one: it stays on the CPU, a note says where, and torch is as before."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from torch import nn

from archcheck import check, measure
from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading import execution
from archcheck.measure.loading.example import example_of
from archcheck.measure.loading.load import load_noted
from archcheck.measure.model import measure_model
from archcheck.measure.second_look.tampering import Seal
from archcheck.measure.subject.absent_devices import _is_absent
from archcheck.measure.subject.device_fallback import run_without_devices
from archcheck.rules import MaxParams

GPU = "cuda" if _is_absent("cuda") else "xpu"
"""A device that this machine does not have."""
EXAMPLE = torch.zeros(2, 3)  # made before any subject sets a default device
HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


@pytest.fixture(autouse=True)
def _fresh():
    execution.RUNS.clear()
    yield
    torch.set_default_device(None)
    torch.set_default_tensor_type(torch.FloatTensor)


@pytest.fixture
def loaded(tmp_path):
    def load(text, target="net.py:Net", **options):
        (tmp_path / "net.py").write_text(HEAD + text.replace("GPU", GPU))
        return load_noted(target, str(tmp_path), {}, **options)

    return load


def net(init="self.fc = nn.Linear(3, 4)", forward="return self.fc(x)", before="", after=""):
    return (
        f"{before}\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n"
        f"    def forward(self, x):\n        {forward}\n{after}\n"
    )


def notes_of(loaded, example):
    facts = measure(loaded.model, example=example)
    assert facts.params.total == 16
    assert facts.shape.outputs[0].shape == (2, 4)
    assert not facts.unmeasured
    return [*loaded.notes, *facts.subject.notes]


AT_IMPORT = [
    "device = torch.device('GPU')\ntable = torch.zeros(3).to(device)",
    "table = torch.zeros(3).GPU()",
    "table = torch.arange(3, device='GPU:0')",
    "table = torch.tensor([1., 2.], device=torch.device('GPU', 0))",
    "torch.GPU.set_device(0)\nindex = torch.GPU.current_device()",
    "torch.GPU.synchronize()",
    "torch.set_default_device('GPU')\ntable = torch.zeros(3)",
    "with torch.device('GPU'):\n    table = torch.zeros(3)",
    "generator = torch.Generator(device='GPU')\ntable = torch.randn(3, generator=generator, device='GPU')",
    "with torch.GPU.device(0):\n    table = torch.zeros(3).to(device='GPU', dtype=torch.float16)",
    "stream = torch.GPU.Stream()\nwith torch.GPU.stream(stream):\n    table = torch.zeros(3, device='GPU')",
    "torch.set_default_tensor_type('torch.GPU.FloatTensor')\ntable = torch.zeros(3)",
    "side = nn.Linear(2, 2).to('GPU').half()",
    "table = torch.zeros(3).type(torch.GPU.FloatTensor)",
    "table = torch.GPU.LongTensor([1, 2])",
    "side = nn.Linear(2, 2, device='GPU')",
    "side = nn.DataParallel(nn.Linear(2, 2), device_ids=[0]).to('GPU')",
]


@pytest.mark.parametrize("before", AT_IMPORT)
def test_at_import(loaded, before):
    notes = notes_of(loaded(net(before=before)), EXAMPLE)
    assert any(re.search(rf"^no `{GPU}` here: .* \(net\.py:\d", note) for note in notes), notes
    assert not any("definitions only" in note for note in notes)


@pytest.mark.parametrize(
    "init",
    [
        "self.fc = nn.Linear(3, 4).GPU()",
        "self.fc = nn.Linear(3, 4).to('GPU', non_blocking=True)",
        "self.fc = nn.Linear(3, 4, device='GPU', dtype=torch.float32)",
        "self.fc = nn.Linear(3, 4); self.to(torch.device('GPU:0'))",
        "self.fc = nn.Linear(3, 4); self.GPU(); self.eval()",
        "self.fc = nn.Linear(3, 4); self.fc.weight.data = self.fc.weight.data.GPU()",
        "self.fc = nn.Linear(3, 4); self.scale = torch.ones(1, device='GPU') * 2",
        "self.fc = nn.Linear(3, 4); self.mask = torch.zeros(2).new_ones(2, device='GPU')",
    ],
)
def test_in_the_constructor(loaded, init):
    notes = notes_of(loaded(net(init)), torch.zeros(2, 3))
    assert f"no `{GPU}` here: what is moved there stays on the CPU (net.py:8)" in notes


@pytest.mark.parametrize(
    "forward",
    [
        "return self.fc(x.GPU())",
        "return self.fc(x.to('GPU'))",
        "return self.fc(x.to(torch.device('GPU'), torch.float32))",
        "return self.fc(x + torch.zeros(x.shape, device='GPU'))",
        "torch.GPU.synchronize(); return self.fc(x)",
        "return self.fc(x + torch.randn_like(x, device='GPU') if self.training else x)",
        "return self.fc(x + (torch.arange(3).GPU() if self.training else 0))",
    ],
)
def test_in_the_forward_pass(loaded, forward):
    model = loaded(net(forward=forward))
    assert not model.notes
    assert f"no `{GPU}` here: what is moved there stays on the CPU (net.py:10)" in notes_of(model, torch.zeros(2, 3))


def test_a_device_kept_by_the_constructor(loaded):
    text = net("self.fc = nn.Linear(3, 4); self.device = 'GPU'", "return self.fc(x.to(self.device))")
    assert any(GPU in note for note in notes_of(loaded(text), torch.zeros(2, 3)))


@pytest.mark.parametrize("where", [f"{GPU}:0", torch.device(GPU), None, {f"{GPU}:0": f"{GPU}:1"}])
def test_weights_that_are_mapped_to_a_device(tmp_path, where):
    torch.save({"w": torch.ones(3)}, tmp_path / "w.pt")
    if where is None or isinstance(where, dict):
        with pytest.raises(RuntimeError):
            torch.load(tmp_path / "w.pt", map_location=f"{GPU}:0")
        where = f"{GPU}:0" if where is None else {"cpu": f"{GPU}:1"}
    state, moves = run_without_devices(lambda: torch.load(tmp_path / "w.pt", map_location=where))
    assert torch.equal(state["w"], torch.ones(3))
    assert state["w"].device.type == "cpu"
    assert [move.device for move in moves] == [GPU]


@pytest.mark.parametrize(
    "text",
    [
        net(before="device = 'GPU' if torch.GPU.is_available() else 'cpu'\ntable = torch.zeros(3, device=device)"),
        net(before="try:\n    table = torch.zeros(3).GPU()\nexcept Exception:\n    table = torch.zeros(3)"),
        net("self.fc = nn.Linear(3, 4); self.device = torch.device('GPU')"),
        net(forward="return self.fc(x.to(x.device).cpu())"),
        net(forward="with torch.autocast('GPU', enabled=False):\n            return self.fc(x)"),
        net(forward="if x.is_GPU: x = x.GPU()\n        return self.fc(x)"),
    ],
)
def test_a_file_that_was_fine_has_no_note(loaded, text):
    assert not [note for note in notes_of(loaded(text), torch.zeros(2, 3)) if "here: what is moved" in note]


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ("self.fc = nn.Linear(3, 4).GPU(); self.missing", "missing"),
        ("self.fc = nn.Linear('a', 4).GPU()", "str"),
        ("raise RuntimeError('this model wants a GPU of its own')", "wants a"),
        ("assert torch.GPU.is_available(), 'no GPU device'", "device"),
        ("self.fc = nn.Linear(3, 4).to('cudda')", "cudda"),
        ("torch.GPU.get_device_properties(0)", "properties"),
    ],
)
def test_errors_of_another_cause_stay(loaded, init, says):
    with pytest.raises(SubjectError, match=rf"`net\.py:Net` could not be built at net\.py:8: .*{says}|net\.py:8"):
        loaded(net(init))


def test_a_failing_pass_says_what_fails_beside_the_device(loaded):
    model = loaded(net(forward="return self.fc(x.GPU()) @ torch.zeros(7, 7)")).model
    with pytest.raises(SubjectError, match=r"net\.py:10 .*|mat1"):
        measure(model, example=torch.zeros(2, 3))


def test_numbers_are_those_of_the_same_file_without_a_device(loaded):
    torch.manual_seed(0)
    moved = loaded(net("self.fc = nn.Linear(3, 4).GPU()")).model
    torch.manual_seed(0)
    plain = loaded(net()).model
    assert torch.equal(moved.fc.weight, plain.fc.weight)
    one, other = (measure(each, example=torch.zeros(2, 3)) for each in (moved, plain))
    assert (one.cost, one.params, one.subject.fingerprint) == (other.cost, other.params, other.subject.fingerprint)


class Built(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = x.to(GPU)
        return self.attention(x, x, x)[0]


def test_a_model_that_was_built_before():
    model, example = Built(), torch.zeros(1, 5, 8)
    report = check(model, example=example, rules=[MaxParams(limit=1000)])
    assert report.exit_code == 0
    assert any(f"no `{GPU}` here" in note and "test_absent_devices.py" in note for note in report.facts.subject.notes)
    with pytest.raises((RuntimeError, AssertionError)):
        model(example)


@pytest.mark.parametrize("forward", ["return self.fc(x.GPU())", "return self.fc(x + torch.ones(3, device='GPU'))"])
def test_a_second_look_hides_archcheck_and_keeps_the_devices_replaced(loaded, forward):
    model = loaded(net(forward=forward)).model
    facts = measure_model(model, example=torch.zeros(2, 3), needs=[PARANOID], confirm=True)
    assert any(f"no `{GPU}` here" in note for note in facts.subject.notes)
    assert not any("not confirmed" in note or "it failed" in note for note in facts.subject.notes)


def test_nothing_of_it_stays(loaded):
    seal = Seal()
    holder = getattr(torch, GPU)
    before = {id(each): dict(vars(each)) for each in (torch, torch.Tensor, nn.Module, holder, torch.UntypedStorage)}
    registry = list(torch.serialization._package_registry)
    notes_of(
        loaded(net("self.fc = nn.Linear(3, 4).GPU()", "torch.GPU.synchronize(); return self.fc(x.GPU())")),
        torch.zeros(2, 3),
    )
    for each in (torch, torch.Tensor, nn.Module, holder, torch.UntypedStorage):
        assert dict(vars(each)) == before[id(each)]
    assert torch.serialization._package_registry == registry
    seal.demand()
    with pytest.raises((RuntimeError, AssertionError)):
        torch.zeros(1).to(GPU)


def test_an_example_that_is_made_on_a_device(tmp_path):
    (tmp_path / "inputs.py").write_text(f"import torch\ndef batch():\n    return torch.zeros(2, 3).to('{GPU}')\n")
    made = example_of("inputs.py:batch", str(tmp_path))
    assert made.args[0].shape == (2, 3)
    assert made.note == f"no `{GPU}` here: what is moved there stays on the CPU (inputs.py:3)"


def test_in_the_worker_of_a_report(tmp_path):
    text = HEAD + net("self.fc = nn.Linear(3, 4)", "return self.fc(x.GPU())", after="model = Net().GPU()")
    (tmp_path / "net.py").write_text(text.replace("GPU", GPU))
    command = [sys.executable, "-m", "archcheck", "report", "net.py", "--input", "2,3", "--no-cache"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert f"no `{GPU}` here: what is moved there stays on the CPU (net.py:11)" in " ".join(ran.stdout.split())
