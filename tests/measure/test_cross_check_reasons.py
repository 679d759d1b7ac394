"""Reasons from hand-made counts: what explains a difference, and no reason without evidence."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from archcheck.facts.cross_checks import UNEXPLAINED
from archcheck.measure.peers.differences import Evidence, differences
from archcheck.measure.peers.fvcore_counts import Side


def reasons(ours, fvcore, unknown=None, *, quantity="flops", **evidence):
    """Return the reason of each difference; keys are `layer operator`, layers that are not named run nothing else."""
    layers = {key.partition(" ")[0] for key in (*ours, *fvcore)} | {""}
    names = {layer: frozenset((unknown or {}).get(layer, ())) for layer in layers}
    products = SimpleNamespace(oddities=evidence.pop("oddities", {}), exact=evidence.pop("exact", {}))
    known = Evidence(products=products, **{"bounded": frozenset(), "uncounted": frozenset(), **evidence})
    found = differences(quantity, split(ours), Side(own=split(fvcore), unknown=names), known)
    return {f"{each.layer} {each.op}": each.reason for each in found}


def split(counts):
    return {tuple(key.split(" ")): count for key, count in counts.items()}


def test_equal_counts_are_no_difference():
    assert reasons({"a linear": 5}, {"a linear": 5}) == {}


def test_without_evidence_a_difference_is_unexplained():
    assert reasons({"a linear": 5}, {"a linear": 4}) == {"a linear": UNEXPLAINED}
    assert reasons({"a linear": 5}, {}) == {"a linear": UNEXPLAINED}
    assert reasons({}, {"a linear": 5}) == {"a linear": UNEXPLAINED}


def test_an_operator_that_fvcore_does_not_know_explains_only_a_count_of_nothing():
    assert "does not know this operator" in reasons({"a lstm": 5}, {}, {"a": {"lstm"}})["a lstm"]
    assert reasons({"a linear": 5}, {"a linear": 4}, {"a": {"linear"}}) == {"a linear": UNEXPLAINED}
    assert reasons({"a lstm": 5}, {}, {"a": {"gru"}}) == {"a lstm": UNEXPLAINED}


def test_outputs_are_told_apart_from_flops():
    found = reasons({"a mm": 5}, {}, {"a": {"mm"}}, quantity="activations")
    assert found == {"a mm": "fvcore does not count the outputs of this operator"}


def test_an_autograd_function_hides_what_it_runs_in_its_layer_and_in_those_inside():
    unknown = {"a": {"prim::PythonOp.Twice"}}
    hidden = "fvcore does not look into `Twice`, an autograd function of the model's own"
    ours = {"a mm": 5, "a.b mm": 5, "ab mm": 5}
    assert reasons(ours, {}, unknown) == {"a mm": hidden, "a.b mm": hidden, "ab mm": UNEXPLAINED}


def test_a_script_hides_what_runs_in_its_own_layer():
    found = reasons({"a mm": 5, "b mm": 5}, {}, {"a": {"prim::CallFunction"}})
    assert found == {"a mm": "fvcore does not look into scripted functions", "b mm": UNEXPLAINED}


def test_hidden_operations_do_not_explain_larger_counts_of_fvcore():
    assert reasons({}, {"a mm": 5}, {"a": {"prim::CallFunction"}}) == {"a mm": UNEXPLAINED}


def test_a_simple_operator_that_fvcore_does_not_know_hides_nothing():
    assert reasons({"a mm": 5}, {}, {"a": {"mul", "sigmoid"}}) == {"a mm": UNEXPLAINED}


def test_an_oddity_explains_only_counts_that_fvcore_saw():
    oddities = {("a", "einsum"): {"rounded": None}}
    found = reasons({"a einsum": 5}, {"a einsum": 4}, oddities=oddities, exact={"flops": Counter({("a", "einsum"): 5})})
    assert found == {"a einsum": "rounded"}
    found = reasons({"a einsum": 5}, {"a einsum": 4}, oddities=oddities, exact={"flops": Counter({("a", "einsum"): 3})})
    assert found == {"a einsum": UNEXPLAINED}


def test_bounds_explain_what_they_reach():
    found = reasons({"a mm": 5, "b mm": 5}, {"a mm": 2, "b mm": 1}, bounded=frozenset({("a", "mm")}))
    assert found == {"a mm": "its sizes depend on data, for which archcheck took a bound", "b mm": UNEXPLAINED}


def test_an_operation_without_a_known_cost_is_explained():
    found = reasons({}, {"a linear": 5}, uncounted=frozenset({"linear"}))
    assert found == {"a linear": "archcheck does not know the cost of `linear`"}


def test_the_same_work_under_another_name_in_one_layer():
    same = "the same work: `addmm` for archcheck, `linear` or `mm` for fvcore"
    found = reasons({"a addmm": 5, "b addmm": 5}, {"a linear": 3, "a mm": 2, "b linear": 4})
    assert found == {
        "a addmm": same, "a linear": same, "a mm": same, "b addmm": UNEXPLAINED, "b linear": UNEXPLAINED,
    }  # fmt: skip


def test_operations_that_fvcore_counts_in_an_outer_layer():
    moved = "it runs as a layer is called: archcheck counts it in that layer, fvcore in `a`"
    found = reasons({"a.x mm": 3, "a.y mm": 2}, {"a mm": 5})
    assert found == {"a.x mm": moved, "a.y mm": moved, "a mm": moved}
    assert set(reasons({"a.x mm": 3}, {"a mm": 5}).values()) == {UNEXPLAINED}
    assert set(reasons({"b mm": 5}, {"a mm": 5}).values()) == {UNEXPLAINED}
    assert "fvcore in the model itself" in reasons({"b mm": 5}, {" mm": 5})["b mm"]
