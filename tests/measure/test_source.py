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


def test_layers_and_operations_know_their_lines(tmp_path, monkeypatch):
    path = tmp_path / "net.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("net_of_test", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec.loader.exec_module(module)
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
