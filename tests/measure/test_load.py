"""Finding and building subjects: the forms of a target, and one clear line for every error."""

from __future__ import annotations

import sys

import pytest
import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading import execution
from archcheck.measure.loading.load import find, load, load_noted
from archcheck.measure.loading.pretrained import without_downloads

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
    ("text", "kind", "says"),
    [
        ("def f(:\n", "syntax", "has a syntax error at model.py:1: invalid syntax"),
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
    assert absent == ["net.pth"]
