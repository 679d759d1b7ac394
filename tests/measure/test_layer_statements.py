"""Every layer is traced to the statement that builds it."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from archcheck.measure import measure_model
from archcheck.measure.structure.layers import layer_places
from archcheck.measure.subject.module_tree import Tree

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
    assert lines("Listed") == {"": 24, "0": 27, "1": 28}
    assert lines("Other") == {"": 32, **plain}


BUILT = """\
from collections import OrderedDict

from torch import nn


class Again(nn.Module):
    def __init__(self, smooth=True):
        super().__init__()
        self.head = None
        self.fc = nn.Linear(2, 3)
        if smooth:
            self.act = nn.GELU()  # act
        else:
            self.act = nn.ReLU()
        self.fc = nn.Linear(2, 2)  # fc
        self.head = made()  # head
        self.pick = nn.Tanh() if smooth else nn.ReLU()  # pick
        self.lazy = nn.LazyLinear(2)  # lazy
        setattr(self, "named", nn.ReLU())  # named
        self.other = nn.Module()  # other other.late
        setattr(self.other, "late", nn.ReLU())
        self.__setattr__("late", nn.Tanh())  # late

    def reset(self):
        self.fc = nn.Linear(2, 5)


class Calls(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Sequential(nn.ReLU(),  # a a.0 a.0.0
            nn.Tanh()),  # a.0.1
            nn.GELU())  # a.1
        self.b = nn.Sequential(nn.ReLU()).append(  # b b.0 b.1
            nn.Tanh())
        self.c = made(nn.Sequential(  # c
            nn.ReLU(),  # c.0
            nn.Tanh()), 3)  # c.1
        self.d = nn.Sequential(*[  # d
            nn.ReLU()])  # d.0
        self.e = nn.Sequential(  # e e.1 e.2
            nn.ReLU(),  # e.0
            *[nn.Tanh() for _ in range(2)]) if self else nn.Sequential(nn.GELU())
        self.f = nn.Sequential(OrderedDict([  # f
            ("x", nn.ReLU()),  # f.x
            ("y", nn.Tanh())])).eval()  # f.y
        self.g = nn.ModuleDict({  # g
            "x": nn.ReLU(),  # g.x
            "y": nn.ReLU()})  # g.y
        self.h = nn.Sequential(  # h h.0
            nn.ReLU(),
            nn.Tanh())  # h.1
        self.h[0] = nn.Identity()
        if self:
            self.j = nn.Sequential(  # j
                nn.ReLU(), nn.Tanh())  # j.0 j.1
        elif self.h:
            self.j = nn.Sequential(nn.ReLU(), nn.GELU())
        else:
            self.j = nn.Sequential()
        self.i = Pair(  # i i.0 i.1
            3,
            4)


class Pair(nn.Sequential):  # 0 1
    def __init__(self, *widths):
        parts = [nn.ReLU() for _ in widths or (1, 2)]
        super().__init__(*parts)


class Either(nn.Sequential):
    def __init__(self, smooth=True):
        if not smooth:
            super().__init__(nn.ReLU(), nn.Tanh())
        else:
            nn.Sequential.__init__(
                self,
                nn.GELU(),  # 0
                nn.Tanh())  # 1


class Table(nn.ModuleDict):
    def __init__(self):
        super().__init__(dict(
            x=nn.ReLU(),  # x
            y=nn.Tanh()))  # y


def made(module=None, *_):
    return module or nn.Linear(2, 2)
"""


@pytest.mark.parametrize("name", ["Again", "Calls", "Pair", "Either", "Table"])
def test_a_layer_is_where_a_person_says_that_it_is_built(tmp_path, monkeypatch, name):
    """The comment of a line names the layers that are built there."""
    cls = getattr(loaded(tmp_path / "built.py", BUILT, monkeypatch), name)
    lines = {path: where.line for path, where in layer_places(Tree(cls()).nodes).items()}
    source = BUILT.splitlines()
    start = next(number for number, text in enumerate(source, 1) if text.startswith(f"class {name}("))
    meant = {"": start}
    for number, text in enumerate(source[start - 1 :], start):
        if number > start and text.startswith(("class ", "def ")):
            break
        meant |= dict.fromkeys(text.partition("  # ")[2].split(), number)
    assert lines == meant


@pytest.mark.parametrize("text", ["", "x = (((", "class Net:\n  '" + "'" * 3, "\0", "if 1:\n\tx\n        y"])
def test_a_file_that_was_edited_since_it_was_imported_keeps_the_lines_of_its_methods(tmp_path, monkeypatch, text):
    net = loaded(tmp_path / "edited.py", SOURCE, monkeypatch).Net()
    (tmp_path / "edited.py").write_text(text)
    lines = {path: where.line for path, where in layer_places(Tree(net).nodes).items()}
    assert (lines["features"], lines["features.0"], lines["named"]) == (13, 13, 18)
    assert "" not in lines


def test_a_module_that_is_imported_again_has_its_new_lines(tmp_path, monkeypatch):
    """The method keeps its first and its last line, so nothing but the text tells the two apart."""
    parts = ["from torch import nn", "class Net(nn.Module):", " def __init__(self):", "  super().__init__()", ""]
    old = [*parts, "  self.seq = nn.Sequential(nn.ReLU(),", "   nn.Tanh(), ", "   nn.GELU())"]
    new = ["# another line", *old[:4], old[5], "", "   nn.Tanh(), nn.GELU())"]

    def lines(text):
        net = loaded(tmp_path / "again.py", "\n".join(text), monkeypatch).Net()
        return [where.line for where in layer_places(Tree(net).nodes).values()]

    assert lines(old) == [2, 6, 6, 7, 8]
    assert lines(new) == [3, 6, 6, 8, 8]


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
