"""Multiply-accumulates of sparse products: the elements that are stored, and what each of them meets."""

from __future__ import annotations

import warnings

import pytest
import torch
from networks import Apply
from torch import nn

from archcheck.measure import measure_model
from archcheck.rules.accepts import Accepts

AT = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
COO = torch.sparse_coo_tensor(AT, torch.ones(5), (6, 6))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    FORMS = {
        "coo": COO,
        "csr": COO.to_sparse_csr(),
        "csc": COO.to_sparse_csc(),
        "bsr": COO.to_dense().to_sparse_bsr((2, 2)),
    }

# function of a sparse 6x6 matrix of 5 elements and a dense 6x3 one, multiply-accumulates
PRODUCTS = {
    "sparse.mm": (lambda a, w: torch.sparse.mm(a, w), 15),
    "@": (lambda a, w: a @ w, 15),
    "mm": (torch.mm, 15),
    "spmm": (torch.spmm, 15),
    "addmm": (lambda a, w: torch.addmm(w, a, w), 15),
    "sparse.addmm": (lambda a, w: torch.sparse.addmm(w, a, w), 15),
    "mv": (lambda a, w: torch.mv(a, w[:, 0]), 5),
    "dense @ sparse": (lambda a, w: w.t() @ a, 15),
    "by itself": (lambda a, w: (a @ a).to_dense(), 4),
}


@pytest.mark.parametrize("form", ["coo", "csr"])
@pytest.mark.parametrize("case", PRODUCTS)
def test_stored_elements_multiply(case, form):
    function, macs = PRODUCTS[case]
    model = Apply(lambda self, adjacency: function(adjacency, self.w))
    model.w = nn.Parameter(torch.rand(6, 3))
    facts = measure_model(model, example=FORMS[form])
    assert (facts.cost.macs, facts.cost.uncounted) == (macs, ())


@pytest.mark.parametrize(
    ("function", "form", "macs"),
    [
        (lambda a, w: a @ w, "csc", 15),
        (lambda a, w: a @ w, "bsr", 5 * 4 * 3),  # five blocks of 2x2 hold an element
        (lambda a, w: torch.sparse.sampled_addmm(a, w, w.t()).to_dense(), "csr", 5 * 3),
        (lambda a, w: torch.sparse.mm(a, w, "mean"), "csr", 15),
        (lambda a, w: torch.smm(a, w).to_dense(), "coo", 15),
        (lambda a, w: nn.functional.linear(w.t(), a), "csr", 15),
        (lambda a, w: torch.bmm(torch.stack([a, a]), w.expand(2, 6, 3)), "coo", 30),
        (lambda a, w: torch.sparse.mm((a * 2).coalesce(), w), "coo", 15),
        (lambda a, w: a.to_dense() @ w, "coo", 6 * 6 * 3),
        (lambda a, w: torch.sparse.mm(torch.relu(w @ w.t()).to_sparse(), w), "coo", 6 * 3 * 6 + 36 * 3),
    ],
)
def test_other_products(function, form, macs):
    model = Apply(lambda self, adjacency: function(adjacency, self.w))
    model.w = nn.Parameter(torch.rand(6, 3))
    facts = measure_model(model, example=FORMS[form])
    assert (facts.cost.macs, facts.cost.uncounted) == (macs, ())


@pytest.mark.parametrize("held", ["buffer", "attribute"])
def test_a_fixed_graph_costs_what_it_stores(held):
    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 3)
            if held == "buffer":
                self.register_buffer("adjacency", COO)
            else:
                self.adjacency = COO

        def forward(self, x):
            return torch.sparse.mm(self.adjacency, self.lin(x))

    facts = measure_model(Graph(), example=torch.rand(6, 4), confirm=True)
    assert (facts.cost.macs, facts.cost.uncounted) == (6 * 4 * 3 + 15, ())


def test_a_large_graph_costs_what_it_stores_too():
    at = torch.arange(3000)
    adjacency = torch.sparse_coo_tensor(torch.stack([at, at]), torch.ones(3000), (3000, 3000))
    model = Apply(lambda self, x, a: torch.sparse.mm(a, x))
    assert measure_model(model, example=(torch.rand(3000, 2), adjacency)).cost.macs == 6000


def test_extents_of_another_input_are_tried_beside_a_sparse_one():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 3)

        def forward(self, x, adjacency):
            return (adjacency @ x[0].new_ones(6, 1)).sum() + self.lin(x)

    rule = Accepts(batch=(1, 4))
    facts = measure_model(Net(), example=(torch.rand(2, 4), COO), needs=rule.needs)
    assert rule.check(facts).findings == ()
