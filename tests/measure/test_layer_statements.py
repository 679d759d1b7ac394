"""Every layer is traced to the statement that builds it."""

from __future__ import annotations

import importlib.util
import sys

import torch

from archcheck.measure import measure_model

SOURCE = """\
import torch.nn as nn


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3)


class Net(Base):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 3, 3),
            nn.ReLU(),
        )
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.add_module("named", nn.ReLU())
        self.many = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(2))

    def forward(self, x):
        x = self.features(self.stem(x))
        x = self.named(self.b(self.a(x)))
        for layer in self.many:
            x = layer(x)
        return x
"""


def loaded(path, text, monkeypatch):
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec.loader.exec_module(module)
    return module


def test_layers_and_operations_know_their_lines(tmp_path, monkeypatch):
    module = loaded(tmp_path / "net.py", SOURCE, monkeypatch)
    facts = measure_model(module.Net(), example=torch.zeros(1, 1, 9, 9), root=str(tmp_path))
    lines = {layer.path: str(layer.where) for layer in facts.layers}
    assert lines == {
        "": "net.py:10",
        "stem": "net.py:7",
        "features": "net.py:13",
        "features.0": "net.py:14",
        "features.1": "net.py:15",
        "a": "net.py:17",
        "b": "net.py:17",
        "named": "net.py:18",
        "many": "net.py:19",
        "many.0": "net.py:19",
        "many.1": "net.py:19",
    }
    assert [op.where.line for op in facts.ops if op.kind == "conv"] == [22, 22, 23, 23, 25, 25]


CONTAINERS = """\
import torch.nn as nn


class Plain(nn.Sequential):
    def __init__(self, width=3):
        super().__init__(
            nn.Conv2d(1, width, 1),
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(width, 1, 1),
            ),
        )
        self.add_module("last", nn.ReLU())


class First(nn.Sequential):
    def __init__(self):
        super(First, self).__init__(nn.Sequential(
            nn.ReLU(),
            nn.Tanh(),
        ), nn.Sequential(nn.ReLU(), nn.Tanh()))


class Listed(nn.Sequential):
    def __init__(self):
        super().__init__(*[
            nn.ReLU(),
            nn.Tanh(),
        ])


class Other(Plain):
    def __init__(self):
        super().__init__(
            5
        )
"""


def test_the_items_that_a_class_gives_to_its_container_are_at_their_own_lines(tmp_path, monkeypatch):
    module = loaded(tmp_path / "containers.py", CONTAINERS, monkeypatch)

    def lines(name):
        facts = measure_model(getattr(module, name)(), example=torch.zeros(1, 1, 2, 2), root=str(tmp_path))
        return {layer.path: layer.where.line for layer in facts.layers}

    plain = {"0": 7, "1": 8, "1.0": 9, "1.1": 10, "last": 13}
    assert lines("Plain") == {"": 4, **plain}
    assert lines("First") == {"": 16, "0": 18, "0.0": 19, "0.1": 20, "1": 21, "1.0": 21, "1.1": 21}
    assert lines("Listed") == {"": 24, "0": 24, "1": 24}  # what stands in an unpacked list is not read
    assert lines("Other") == {"": 32, **plain}


CALLS_A_PACKAGE = """\
import torch.nn as nn
from fvcore.nn import smooth_l1_loss


class Net(nn.Module):
    def forward(self, x):
        return smooth_l1_loss(x, x.tanh(), beta=1.0)
"""


def test_what_a_package_does_for_the_subject_is_where_the_subject_calls_it(tmp_path, monkeypatch):
    net = loaded(tmp_path / "calls_a_package.py", CALLS_A_PACKAGE, monkeypatch).Net()
    facts = measure_model(net, example=torch.zeros(1, 3), root=str(tmp_path))
    assert {str(op.where) for op in facts.ops if op.inputs} == {"calls_a_package.py:7"}


def test_what_a_package_does_alone_is_where_it_does_it():
    from fvcore.nn import smooth_l1_loss

    class Net(torch.nn.Module):
        forward = staticmethod(smooth_l1_loss)

    facts = measure_model(Net(), example=(torch.zeros(1, 3), torch.zeros(1, 3), 1.0))
    assert {op.where.file.rpartition("/")[2] for op in facts.ops if op.inputs} == {"smooth_l1_loss.py"}
