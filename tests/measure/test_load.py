"""Finding and building subjects: the forms of a target, and one clear line for every error."""

from __future__ import annotations

import json
import re
import sys

import pytest
import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading import execution
from archcheck.measure.loading.load import find, find_main, load, load_noted
from archcheck.measure.loading.pretrained import without_downloads
from archcheck.measure.loading.usual_arguments import Input

NET = """
import torch.nn as nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
    def forward(self, x):
        return self.conv(x)

class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.block, self.head = Block(), nn.Linear(width, 4)
    def forward(self, x):
        return self.block(x)

def factory(width):
    return Net(width)

instance = Net(5)
number = 3
"""


@pytest.fixture(autouse=True)
def _fresh():
    """Forget the files of other tests, because a process normally loads one subject."""
    execution.RUNS.clear()


@pytest.fixture
def write(tmp_path):
    def write(text, name="model.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(tmp_path)

    return write


def test_a_file_stands_for_the_classes_that_no_other_class_uses(write):
    assert find("model.py", write(NET)) == ["model.py:Net"]


@pytest.mark.parametrize(
    ("target", "args", "width"),
    [
        ("model.py", {}, 3),
        ("model.py:Net", {"width": 7}, 7),
        ("model.py:factory", {"width": 8}, 8),
        ("model.py:instance", {}, 5),
    ],
)
def test_classes_factories_and_instances(write, target, args, width):
    assert load(target, write(NET), args).head.in_features == width


def test_a_file_of_a_package_is_imported_by_its_dotted_name(write):
    write("", "pkg_of_test/__init__.py")
    write("from .layers import Head", "pkg_of_test/model.py")
    root = write(
        "import torch.nn as nn\nclass Head(nn.Linear):\n    def __init__(self): super().__init__(2, 2)",
        "pkg_of_test/layers.py",
    )
    assert load("pkg_of_test/model.py:Head", root, {}).in_features == 2
    assert load("pkg_of_test.layers:Head", root, {}).in_features == 2


def test_files_of_the_same_name_are_told_apart(write):
    root = write(NET, "one/model.py")
    write(NET.replace("width=3", "width=9"), "two/model.py")
    assert load("one/model.py:Net", root, {}).head.in_features == 3
    assert load("two/model.py:Net", root, {}).head.in_features == 9


@pytest.mark.parametrize(
    ("target", "kind", "says"),
    [
        ("gone.py", "not-found", "there is no file `gone.py`"),
        ("model.py:Nett", "no-model", "there is no `Nett` in `model.py`; did you mean `model.py:Net`?"),
        ("model.py:number", "no-model", "is an int, not a torch.nn.Module"),
        ("model.py:factory", "construct", "needs `width` to be built; give `--args width=…`"),
        ("nosuch.module:Net", "import", "needs the module `nosuch`"),
        ("whatever", "not-found", "write `file.py`, `file.py:Class` or `package.module:Class`"),
    ],
)
def test_wrong_targets(write, target, kind, says):
    with pytest.raises(SubjectError) as caught:
        load(target, write(NET), {})
    assert caught.value.kind == kind
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "kind", "says"),
    [
        ([NET.replace("class Net(", "class Net((")], "syntax", "has a syntax error at nb.ipynb:cell 1:"),
        (["x = (", "y = 1"], "syntax", "and no other cell defines a model; mend it"),
        (["y = 1"], "no-model", "defines no subclass of torch.nn.Module"),
        ([None], "syntax", "is not a Jupyter notebook: a cell has no source; save it"),
        (None, "syntax", "is not a Jupyter notebook: it has no cells; save it"),
    ],
)
def test_wrong_notebooks(tmp_path, cells, kind, says):
    made = [{"cell_type": "code", **({} if source is None else {"source": source})} for source in cells or ()]
    (tmp_path / "nb.ipynb").write_text(json.dumps({} if cells is None else {"cells": made}))
    with pytest.raises(SubjectError) as caught:
        load("nb.ipynb", str(tmp_path), {})
    assert (caught.value.kind, says in str(caught.value)) == (kind, True)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("def f(:\n", "syntax", "has a syntax error at model.py:1: invalid syntax"),
        ("x = 1\0\n", "syntax", "has a syntax error at model.py"),
        (
            "import torch\nimport nosuchpackage",
            "import",
            "needs the module `nosuchpackage` at model.py:2, which is not installed",
        ),
        ("import sys\nsys.exit(3)", "import", "called sys.exit(3) while it was imported at model.py:2"),
        ("raise KeyboardInterrupt", "import", "raised KeyboardInterrupt while it was imported"),
        ("1 / 0", "import", "could not be imported at model.py:1: ZeroDivisionError"),
        ("x = 1", "no-model", "defines no subclass of torch.nn.Module"),
        (
            "import torch.nn as nn\nclass A(nn.Module): pass\nclass B(nn.Module): pass",
            "no-model",
            "name one: `model.py:A`, `model.py:B`",
        ),
        (
            "import torch.nn as nn\nclass A(nn.Module):\n    def __init__(self): raise ValueError('no\\nluck')",
            "construct",
            "at model.py:3: ValueError: no luck",
        ),
    ],
)
def test_wrong_files(write, text, kind, says):
    with pytest.raises(SubjectError) as caught:
        load("model.py", write(text), {})
    assert caught.value.kind == kind
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


RAISES = "`--import-timeout` (in a contract `import-timeout`) raises the limit of 0.2 s"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("import time; time.sleep(600)", "waits for more than 0.6 s when it is imported"),
        ("import threading; threading.Event().wait()", "waits for more than 0.6 s when it is imported"),
        ("while True: pass", "takes more than 0.2 s of CPU time to import"),
        ("while True: torch.ones(9) @ torch.ones(9)", "takes more than 0.2 s of CPU time to import"),
    ],
)
def test_an_import_that_goes_on_is_ended_and_done_without(write, monkeypatch, line, what):
    monkeypatch.setattr(execution.SETTINGS, "seconds", 0.2)
    loaded = load_noted("model.py:Net", write(f"import torch\n{NET}{line}\n"), {})
    assert loaded.model.head.in_features == 3
    (note,) = loaded.notes
    assert note.startswith(f"loaded by its definitions only, as its own code {what} (model.py:24); {RAISES}")


def test_nothing_is_left_of_what_a_package_imported_before_it_was_cut(write, monkeypatch):
    monkeypatch.setattr(execution.SETTINGS, "seconds", 0.2)
    write("import cut_package.part\nruns = cut_package.part.runs\nwhile True: pass", "cut_package/__init__.py")
    write("runs = []", "cut_package/part.py")
    root = write(NET + "import cut_package.part\nNet.runs = cut_package.part.runs\n", "cut_package/net.py")
    model = load("cut_package/net.py:Net", root, {})
    assert model.runs is sys.modules["cut_package"].part.runs is sys.modules["cut_package.part"].runs


def test_only_a_report_guesses_arguments(write):
    root = write(NET.replace("width=3", "in_features").replace("(width", "(in_features"))
    assert load_noted("model.py:Net", root, {}, careful=True).notes == ("built as at model.py:21: `Net(5)`",)
    with pytest.raises(SubjectError, match="needs `in_features` to be built"):
        load_noted("model.py:Net", root, {})


def test_a_module_that_is_marked_as_missing_is_in_nobodys_way(monkeypatch):
    monkeypatch.setitem(sys.modules, "nothing", None)  # as Python has it for what must not be imported
    with without_downloads() as absent:
        assert torch.hub.load_state_dict_from_url("https://example.invalid/net.pth") == {}
    assert absent.notes == ["pretrained weights were not downloaded, random ones replace them: net.pth"]


ENTRY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_chans, wide):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, wide, 3)
    def forward(self, x):
        return self.conv(x)
"""
PROGRAM = """
if __name__ == "__main__":
    net = Net(3, 7)
    net(torch.randn(1, 3, 24, 32))
"""


def image(channels=3):
    return lambda: Input((1, channels, 64, 64))


def test_a_contract_of_a_whole_file_takes_what_its_program_says(write):
    loaded = load_noted("model.py", write(ENTRY + PROGRAM), {}, given=image())
    assert loaded.model.conv.weight.shape == (7, 3, 3, 3)
    assert loaded.notes == ("built as at model.py:13: `Net(3, 7)`",)
    assert loaded.stated is not None
    assert (loaded.stated.specs, loaded.stated.where) == ([{"shape": (1, 3, 24, 32)}], "model.py:14")


def test_a_contract_of_a_whole_file_takes_what_the_input_tells_and_guesses_nothing(write):
    root = write(ENTRY.replace("wide, 3", "8, 3").replace(", wide", ""))
    assert load_noted("model.py", root, {}, given=image(5)).notes == ("built with in_chans=5: as the input has it",)
    execution.RUNS.clear()
    with pytest.raises(SubjectError, match="needs `in_chans` to be built"):
        load_noted("model.py", root, {})
    execution.RUNS.clear()
    with pytest.raises(SubjectError, match="needs `num_classes` to be built"):
        load_noted("other.py", write(ENTRY.replace("wide", "num_classes"), "other.py"), {}, given=image())


def test_a_contract_of_a_whole_file_takes_the_only_model_that_its_program_builds(write):
    other = ENTRY.replace("class Net", "class Teacher").replace("self, in_chans, wide", "self, in_chans=3, wide=4")
    loaded = load_noted("model.py", write(ENTRY + other + PROGRAM), {})
    assert type(loaded.model).__name__ == "Net"
    assert loaded.notes[0] == "`Net` is the one of 2 models that the program of the file builds"
    execution.RUNS.clear()
    with pytest.raises(SubjectError, match=r"defines several models; name one: `other.py:Net`, `other.py:Teacher`"):
        load_noted("other.py", write(ENTRY + other, "other.py"), {})


BUNDLES = """
import torch
from torch import nn

def both():
    return nn.Conv2d(3, 4, 3), {"critic": nn.Conv2d(3, 1, 3)}

class Entry:
    def __init__(self):
        self.net, self.old = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 5, 3)

SAVED = {"ema": nn.Conv2d(3, 6, 3), "net": nn.Conv2d(3, 7, 3)}
nothing = {"name": 1}

class Slot:
    __slots__ = ("x",)
slot = Slot()
"""


@pytest.mark.parametrize(
    ("target", "width"),
    [("both.0", 4), ("both.1", 1), ("both.1.critic", 1), ("Entry.net", 4), ("Entry.old", 5), ("SAVED.ema", 6)],
)
def test_names_that_lead_into_a_bundle(write, target, width):
    assert load(f"model.py:{target}", write(BUNDLES), {}).weight.shape[0] == width


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("both", "made a tuple with 2 models; name one: `model.py:both.0` (Conv2d), `model.py:both.1.critic` (Conv2d)"),
        ("both.2", "there is no `2` in a tuple, which `model.py:both` makes"),
        ("both.1.net", "there is no `1.net` in a dict, which `model.py:both` makes"),
        (
            "Entry",
            "an Entry with 2 models; name one: `model.py:Entry.net` (Conv2d), `model.py:Entry.old` (Conv2d)",
        ),
        ("SAVED", "is a dict with 2 models; name one: `model.py:SAVED.ema` (Conv2d), `model.py:SAVED.net` (Conv2d)"),
        ("SAVED.neta", "there is no `neta` in a dict, which is `model.py:SAVED`"),
        ("nothing", "`model.py:nothing` is a dict, not a torch.nn.Module or a function that makes one"),
        ("slot", "`model.py:slot` is a Slot, not a torch.nn.Module or a function that makes one"),
        ("absent.net", "there is no `absent` in `model.py`"),
    ],
)
def test_wrong_names_in_a_bundle(write, target, says):
    with pytest.raises(SubjectError, match=re.escape(says)):
        load(f"model.py:{target}", write(BUNDLES), {})


@pytest.mark.parametrize(
    ("after", "main"),
    [
        ("", "Second"),  # among equals the last
        ("class Third(First):\n    pass\n", "Third"),
        ("def train():\n    return First()\nif __name__ == '__main__':\n    train()\n", "First"),
        ("class EdgeLoss(nn.Module):\n    pass\n", "Second"),
    ],
)
def test_the_main_model_of_a_file(write, after, main):
    text = "from torch import nn\nclass First(nn.Module):\n    pass\nclass Second(nn.Module):\n    pass\n"
    assert find_main("model.py", write(text + after)) == f"model.py:{main}"
