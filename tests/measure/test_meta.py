"""Building without memory: the same facts as of the model with memory, and one clear line where numbers are needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from textwrap import dedent

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck import check, rules
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.loading.load import load
from archcheck.measure.operators.meta import without_memory
from archcheck.rules.findings import Verdict
from tests.measure.networks import Apply
from tests.support.cli_samples import environment


class Residual(nn.Module):
    def __init__(self, width, stride):
        super().__init__()
        self.first = nn.Conv2d(width, 2 * width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)
        self.shortcut = nn.Sequential(nn.Conv2d(width, 2 * width, 1, stride, bias=False), nn.BatchNorm2d(2 * width))

    def forward(self, x):
        return F.relu(self.norm(self.first(x)) + self.shortcut(x))


def residual_net():
    layers = [nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), Residual(4, 2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 5))


class Transformer(nn.Module):
    """With what constructors compute: rates that decay, sines of positions, a mask, a scaled parameter."""

    def __init__(self):
        super().__init__()
        rates = [rate.item() for rate in torch.linspace(0, 0.1, 2)]
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, rate, batch_first=True) for rate in rates)
        self.token = nn.Parameter(torch.randn(1, 1, 8) * 0.02)
        places = torch.zeros(5, 8)
        angles = torch.arange(5).unsqueeze(1) / 10_000 ** (torch.arange(0, 8, 2) / 8)
        places[:, 0::2], places[:, 1::2] = angles.sin(), angles.cos()
        self.register_buffer("places", places)
        self.mask = torch.triu(torch.ones(5, 5), diagonal=1).bool()

    def forward(self, x):
        x = torch.cat((self.token.expand(len(x), -1, -1), x), 1) + self.places
        for layer in self.layers:
            x = layer(x, src_mask=self.mask)
        return x


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(7, 6, padding_idx=0), nn.LSTM(6, 6, 2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(6, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.spare = nn.Linear(6, 6).requires_grad_(False)

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0])


def normed():
    norm = nn.utils.parametrizations.weight_norm
    return nn.Sequential(norm(nn.Linear(3, 4)), nn.utils.spectral_norm(nn.Linear(4, 4)), nn.GroupNorm(2, 4))


def half_of_a_device():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to("cpu").double()


NETWORKS = {
    "residual": (residual_net, torch.rand(1, 3, 16, 16)),
    "transformer": (Transformer, torch.rand(2, 4, 8)),
    "tied": (Tied, torch.ones(1, 3, dtype=torch.int64)),
    "normed": (normed, torch.rand(2, 3)),
    "moved": (half_of_a_device, torch.rand(2, 3, dtype=torch.float64)),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU()), torch.rand(1, 2, 8, 8)),
    "without parameters": (lambda: nn.Sequential(nn.ReLU(), nn.Flatten()), torch.rand(1, 2, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_facts_are_those_of_the_model_with_memory(name):
    make, example = NETWORKS[name]
    with without_memory():
        model = make()
    found, real = (measure_model(each, example=example) for each in (model, make()))
    assert found.subject.fingerprint == real.subject.fingerprint
    for part in ("params", "layers", "ops", "train_ops", "train_length", "cost", "shape", "unused_layers"):
        mine, theirs = getattr(found, part), getattr(real, part)
        if part == "params":  # what numbers a buffer is worth is not known without them
            mine, theirs = (replace(each, hidden=(), beside=(), effective=0, storage=()) for each in (mine, theirs))
        assert mine == theirs, part
    assert found.unmeasured == real.unmeasured == ()
    assert (found.subject.meta, real.subject.meta) == (name != "without parameters", False)


def test_parameters_have_no_memory_and_spelled_numbers_are_real():
    with without_memory():
        model = Transformer()
        numbers = 2 * torch.arange(3) + torch.tensor([1, 1, 1])
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    assert [layer.dropout.p for layer in model.layers] == pytest.approx([0.0, 0.1])
    assert numbers.tolist() == [1, 3, 5]
    assert torch.zeros(1).device.type == "cpu"


def test_what_names_a_device_is_made_there():
    with without_memory():
        layer = nn.Linear(2, 2, device="cpu")
    assert layer.weight.device.type == "cpu"


def test_what_is_computed_from_real_tensors_takes_no_more_memory_than_they():
    with without_memory():
        row = torch.arange(2_000)
        table, square = row * row.unsqueeze(1), row * row
    assert (table.device.type, table.shape, table.dtype) == ("meta", (2_000, 2_000), torch.int64)
    assert square[-1].item() == 1_999**2


NET = """
    import numpy, torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=3):
            super().__init__()
            self.fc = nn.Linear(width, 4)

        def forward(self, x):
            return self.fc(x)

    class Item(Net):
        def __init__(self):
            super().__init__()
            self.scale = self.fc.weight.std().item()

    class Listed(Net):
        def __init__(self):
            super().__init__()
            self.rows = self.fc.weight.tolist()

    class Numpy(Net):
        def __init__(self):
            super().__init__()
            try:
                self.scale = numpy.std(self.fc.weight.detach().numpy())
            except TypeError:
                raise ValueError("cannot scale")

    class Wrong(Net):
        def __init__(self):
            super().__init__()
            {}["meta"]

    def factory(width):
        return Net(width)

    instance = Net(5)
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "model.py").write_text(dedent(NET))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("name", "args", "width"), [("Net", {}, 3), ("Net", {"width": 7}, 7), ("factory", {"width": 8}, 8)]
)
def test_classes_and_factories_are_built_without_memory(root, name, args, width):
    model = load(f"model.py:{name}", root, args, meta=True)
    assert (model.fc.in_features, model.fc.weight.device.type) == (width, "meta")


def test_an_instance_stays_as_it_is(root):
    assert load("model.py:instance", root, {}, meta=True).fc.weight.device.type == "cpu"


@pytest.mark.parametrize(("name", "line"), [("Item", 16), ("Listed", 21), ("Numpy", 29)])
def test_a_constructor_that_looks_at_numbers_is_refused_in_one_line(root, name, line):
    with pytest.raises(SubjectError) as caught:
        load(f"model.py:{name}", root, {}, meta=True)
    said = str(caught.value)
    assert caught.value.kind == "construct"
    assert f"`model.py:{name}` needs real numbers to be built at model.py:{line}" in said
    assert "leave `--meta` (in a contract `meta = true`) out" in said
    assert "\n" not in said
    assert load(f"model.py:{name}", root, {}).fc.in_features == 3


def test_other_faults_of_a_constructor_are_told_as_ever(root):
    with pytest.raises(SubjectError, match=r"could not be built at model\.py:34: KeyError: 'meta'"):
        load("model.py:Wrong", root, {}, meta=True)


def test_a_forward_pass_that_takes_real_numbers_is_told_from_a_wrong_input():
    with without_memory():
        model = Apply(lambda self, x: torch.linalg.eigvals(self.fc(x)).numpy(), fc=nn.Linear(3, 3))
    with pytest.raises(SubjectError, match="if it takes real numbers, leave `--meta`"):
        measure_model(model, example=torch.rand(3, 3))


def test_a_rule_on_numbers_cannot_be_judged():
    with without_memory():
        model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(1))
    report = check(model, example=torch.rand(1, 3), rules=[rules.LogProbabilities(), rules.MaxParams(limit=16)])
    first, second = report.outcomes
    assert (first.verdict, second.verdict) == (Verdict.ERROR, Verdict.KEPT)
    assert first.findings[0].message == "this takes real numbers, and the model was built without memory"
    assert "leave `--meta`" in first.findings[0].fix
    assert "build it on a device with memory" in first.findings[0].fix


def test_no_compiler_is_imported():
    code = """
        import sys, torch
        from torch import nn
        from archcheck.measure import measure_model
        from archcheck.measure.operators.meta import without_memory
        with without_memory():
            layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 8), nn.LayerNorm(8)]
            model = nn.Sequential(*layers)
            speeds = 1 / 10_000 ** (torch.arange(0, 8, 2) / 8)
            table = torch.zeros(4, 4) + speeds
        measure_model(model, example=torch.rand(1, 1, 8, 8))
        print([name for name in ("sympy", "torch._dynamo", "torch._inductor") if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
