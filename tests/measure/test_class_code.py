"""What compiled classes tell: the lines on which they begin, and on which their methods set attributes."""

import inspect
import textwrap
from pathlib import Path

import pytest
from torch import nn

from archcheck.measure.structure.layers import layer_places
from archcheck.measure.subject.class_code import attribute_lines, first_line, method_codes, span
from archcheck.measure.subject.module_tree import Tree
from tests.measure import class_code_samples
from tests.measure.class_code_samples import Empty, Plain, Twice, Wrapped


def own_line(text):
    """Return the line of the samples that begins with a text."""
    lines = Path(class_code_samples.__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(text))


def lines_of(cls):
    return {name: lines[0] for code in method_codes(cls) for name, lines in attribute_lines(code).items()}


def test_attributes_of_the_first_argument_are_those_of_the_instance():
    assert lines_of(Plain) == {
        "first": own_line("this.first"),
        "second": own_line("this.first"),
        "third": own_line("this.third: int"),
        "added": own_line("this.add_module"),
        "fourth": own_line("this.fourth"),
    }


def test_methods_are_found_behind_their_decorators():
    found = lines_of(Wrapped)
    assert found["first"] == own_line("self.first = 1")
    assert found["second"] == own_line("self.second = 2")
    assert found["third"] == own_line("self.third = new")


@pytest.mark.parametrize("cls", [Plain, Plain.Inner, Wrapped, Empty, nn.Linear, nn.Module])
def test_a_class_begins_where_its_source_does(cls):
    assert first_line(cls) == inspect.getsourcelines(cls)[1]


def test_of_two_classes_of_a_name_the_methods_tell_which_one_it_is():
    assert first_line(Twice) == own_line("@decorated")


def test_a_line_that_the_class_notes_is_taken():
    assert first_line(type("Noted", (), {"__firstlineno__": 12})) == 12


def test_a_class_without_code_has_no_line():
    assert first_line(type("Made", (), {})) is None


def test_a_method_ends_with_what_is_within_it():
    (code,) = (each for each in method_codes(Plain) if each.co_name == "__init__")
    assert span(code) == (own_line("def __init__(this)"), own_line("this.fourth"))


def test_a_layer_that_is_only_declared_has_the_line_of_its_declaration(tmp_path, monkeypatch):
    source = """
    from torch import nn


    class Net(nn.Module):
        stage9: nn.Module

        def __init__(self):
            super().__init__()
            self.stage1: nn.Sequential
            for number in (1, 2):
                setattr(self, f"stage{number}", nn.Sequential(nn.Linear(2, 2)))
    """
    (tmp_path / "declared_net.py").write_text(textwrap.dedent(source).strip())
    monkeypatch.syspath_prepend(tmp_path)
    from declared_net import Net

    places = layer_places(Tree(Net()).nodes)
    lines = {path: where.line for path, where in places.items()}
    assert lines == {"": 4, "stage1": 9, "stage1.0": 9, "stage2": 4, "stage2.0": 4}
