"""What measuring relies on is compared with what it was, and most of it in a quick way that must miss nothing."""

import builtins
import math
import sys
import types

import pytest
import torch

from archcheck.facts import facts
from archcheck.measure import model
from archcheck.measure.operators import kinds
from archcheck.measure.second_look.tampering import Seal
from archcheck.measure.shapes import memory


@pytest.fixture(scope="module")
def seal():
    made = Seal()
    sys.addaudithook(made._note_rewritten)  # as `watch` does, which here would watch all other tests, too
    assert not any(made._touched(*each) for each in made._owners.items())
    return made


def function(*given, more=None):
    return given, more


class Code:
    """Another code for a function of archcheck, which stays the same object."""

    def set(self, patch):
        patch.setattr(model.measure_model, "__code__", function.__code__)


class Defaults:
    def set(self, patch):
        patch.setattr(memory.Memory.of, "__defaults__", (7,))


class Words:
    def set(self, patch):
        patch.setattr(model.measure_model, "__kwdefaults__", {**model.measure_model.__kwdefaults__, "confirm": False})


class Table:
    def set(self, patch):
        table = next(each for name, each in vars(kinds).items() if name.isupper() and type(each) is dict and each)
        patch.setitem(table, next(iter(table)), object())


class Replaced:
    def set(self, patch):
        patch.setattr(math, "prod", lambda *given: 0)


class Hidden:
    """A name that hides a built-in function in a module of archcheck."""

    def set(self, patch):
        patch.setattr(facts, "len", lambda given: 0, raising=False)


class Method:
    def set(self, patch):
        patch.setattr(torch.Tensor, "numel", lambda self: 0)


class Gone:
    def set(self, patch):
        patch.delattr(builtins, "sum")


@pytest.mark.parametrize("what", [Code, Defaults, Words, Table, Replaced, Hidden, Method, Gone])
def test_each_replacement_is_seen(seal, what):
    assert next(seal._replaced(), None) is None
    with pytest.MonkeyPatch.context() as patch:
        what().set(patch)
        found = list(seal._replaced())
    assert found
    assert next(seal._replaced(), None) is None


def test_what_adds_nothing_that_hides_is_left_alone(seal):
    """Imports add names to modules, and documentation to functions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "an_own_name", types.ModuleType("an_own_name"), raising=False)
        patch.setattr(model.measure_model, "an_own_name", 3, raising=False)
        assert seal._touched("archcheck.facts.facts", facts) == {"an_own_name"}
        assert list(seal._replaced()) == []


@pytest.mark.parametrize(
    ("name", "other"), [("__code__", function.__code__), ("__defaults__", (7,)), ("__kwdefaults__", {"confirm": False})]
)
def test_no_assignment_is_needed_to_be_seen(seal, name, other):
    """What `measure_model.__code__ = ...` calls can be called by itself."""
    part = vars(types.FunctionType)[name]
    before = part.__get__(model.measure_model)
    part.__set__(model.measure_model, other)
    try:
        assert list(seal._replaced()) == ["archcheck.measure.model.measure_model"]
    finally:
        part.__set__(model.measure_model, before)
    assert next(seal._replaced(), None) is None
