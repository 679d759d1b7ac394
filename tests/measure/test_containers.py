"""Containers of inputs: their tensors are found, changed, and counted in samples, whatever their class is."""

from __future__ import annotations

import types
import weakref
from collections import OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, field
from unittest.mock import Mock

import attrs
import numpy as np
import pytest
import torch
from networks import Apply
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from archcheck.facts.probe_names import need
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.loading.example import given
from archcheck.measure.shapes.containers import map_tensors, named_tensors, tensors_in
from archcheck.measure.shapes.fixed_inputs import fixed_in

Pair = namedtuple("Pair", ["image", "scale"])


@dataclass
class Boxed:
    image: torch.Tensor
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Frozen:
    image: torch.Tensor
    twice: float = field(init=False, default=2.0)


@attrs.define
class Defined:
    image: torch.Tensor


@attrs.frozen
class DefinedFrozen:
    image: torch.Tensor
    scale: int = attrs.field(default=1, validator=attrs.validators.instance_of(int))


class Checked(Pair):
    """A named tuple whose constructor takes other arguments than its fields."""

    def __new__(cls, image):
        return super().__new__(cls, image, 1.0)


class Slotted:
    __slots__ = ("__hidden", "image")

    def __init__(self, image):
        self.image, self.__hidden = image, None


class Output(OrderedDict):
    """An output class of model libraries: its items are attributes, too."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def pop(self, *args):
        raise TypeError("nothing is taken out")


class Encoding(UserDict):
    """The result of a tokenizer: `__getattr__` gives its items."""

    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None


class Store:
    def __init__(self, parent):
        self.mapping, self.parent = {}, weakref.ref(parent)


class Graph:
    """An object of graph libraries: attributes in a store that refers to its graph."""

    def __init__(self, **tensors):
        self.__dict__["store"] = Store(self)
        self.store.mapping.update(tensors)

    def __getattr__(self, name):
        return self.__dict__["store"].mapping[name]


class Node:
    """An object that holds itself."""

    def __init__(self, image):
        self.image, self.me = image, self


def listed(x):
    found = UserList([x])
    found.image = x
    return found


CONTAINERS = {
    "dataclass": Boxed,
    "frozen dataclass with slots": Frozen,
    "attrs": Defined,
    "frozen attrs": DefinedFrozen,
    "named tuple": lambda x: Pair(x, 1.0),
    "named tuple with a constructor": Checked,
    "slots": Slotted,
    "simple namespace": lambda x: types.SimpleNamespace(image=x),
    "output class": lambda x: Output(image=x),
    "encoding": lambda x: Encoding(image=x),
    "graph": lambda x: Graph(image=x, edges=torch.tensor([[0], [1]])),
    "node": Node,
    "nested": lambda x: Boxed(x, scale=[Boxed(torch.ones(1))]),
    "user list": listed,
}


class Log(nn.Module):
    """Returns NaN on zeros, for any form of its input."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 2)

    def forward(self, batch):
        return self.lin(batch.image.log())


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_variation_reaches_what_is_inside(kind):
    finite, torn = need("finite-output", inputs=["example", "zeros"], factor=None), "keeps-batch"
    example = CONTAINERS[kind](torch.rand(2, 4) + 0.5)
    if isinstance(example, Mapping):
        example = (example,)
    facts = measure_model(Log(), example=example, needs=[finite, torn, "independent-of-batch", "gradients-reach"])
    assert facts.shape.inputs[0].shape == (2, 4)
    runs = {run["input"]: bool(run["faults"]) for run in facts.behaviour[finite]["runs"]}
    assert runs == {"example": False, "zeros": True}
    assert [run["output"] for run in facts.behaviour[torn]["runs"]] == [[2, 2], [3, 2]]
    assert facts.behaviour["independent-of-batch"]["alone"]["distance"] is not None
    assert facts.behaviour["gradients-reach"]["samples"] == 16


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_copy_is_of_the_same_class_in_memory_of_its_own(kind):
    x = torch.rand(2, 4)
    value = CONTAINERS[kind](x)
    copied = map_tensors(lambda each: each + 1, value)
    assert type(copied) is type(value)
    assert torch.equal(copied.image, x + 1)
    assert value.image is x
    assert fixed_in(value) == ()


def test_the_copy_of_a_node_refers_to_the_copy_of_its_graph():
    graph = map_tensors(torch.clone, Graph(image=torch.ones(2)))
    assert graph.store.parent() is graph
    node = map_tensors(torch.clone, Node(torch.ones(2)))
    assert node.me is node


@pytest.mark.parametrize(
    "value",
    [
        [torch.ones(1), [torch.ones(2), (torch.ones(3),)]],
        {"a": torch.ones(1), "b": {"c": torch.ones(2)}},
        defaultdict(list, a=[torch.ones(1)]),
        deque([torch.ones(1), torch.ones(2)], maxlen=2),
        OrderedDict(a=torch.ones(1), b=torch.ones(2)),
        torch.ones(2, 2).max(0),
        torch.ones(2, 2).sort(),
        pack_sequence([torch.ones(3, 2), torch.ones(1, 2)]),
        [UserDict(a=torch.ones(1)), Boxed(torch.ones(2))],
        np.ones((2, 3), dtype=np.float32),
        np.array([np.ones(2), None], dtype=object),
        {frozenset([torch.ones(1)])},
        2 * [Boxed(torch.ones(2))],
    ],
)
def test_tensors_are_found_and_mapped_in_the_same_order(value):
    seen = []
    mapped = map_tensors(lambda each: seen.append(each) or each.clone(), value)
    found = list(tensors_in(value))
    assert [tuple(each.shape) for each in found] == [tuple(each.shape) for each in seen]
    assert all(torch.equal(one, other) for one, other in zip(found, seen, strict=True))
    assert type(mapped) is type(value)
    assert len(list(tensors_in(mapped))) == len(found) > 0
    assert {*map(id, tensors_in(mapped))}.isdisjoint(map(id, found))
    assert fixed_in(value) == ()


def test_texts_and_single_numbers_stay_as_they_are():
    assert fixed_in((np.array(["a"]), ["b", b"c"], np.float32(2), 1.5, None, torch.float32)) == ()


def test_objects_without_tensors_are_not_copied():
    config = types.SimpleNamespace(width=3, names=["a"])
    assert map_tensors(torch.clone, config) is config


def test_tensors_are_named_by_attribute_key_and_index():
    value = {"boxes": [Boxed(torch.ones(1))], "enc": UserDict(ids=torch.ones(1)), "pair": Pair(torch.ones(1), 0)}
    assert [name for name, _ in named_tensors(value)] == ["boxes.0.image", "enc.ids", "pair.image"]


class Opened:
    def __init__(self, tensor):
        self.tensor = tensor

    def __del__(self):
        pass


class Computed(Mapping):
    """A mapping that computes its values."""

    def __getitem__(self, key):
        return SECRET

    def __iter__(self):
        return iter(["image"])

    def __len__(self):
        return 1


SECRET = torch.rand(2, 4) + 0.5


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((each for each in [torch.ones(1)]), "generator"),
        ({"rows": iter([1.0])}, "`rows` (list_iterator)"),
        (Boxed(Opened(torch.ones(1))), "`image.tensor` (Tensor)"),
        (Boxed(bytearray(b"1")), "`image` (bytearray)"),
        (np.array([(1, 2.0)], dtype="i4,f4"), "ndarray"),
        (types.MappingProxyType({"a": torch.ones(1)}), "`a` (Tensor)"),
        (Computed(), "`image` (Tensor)"),
    ],
)
def test_what_cannot_be_changed_is_named(value, told):
    assert fixed_in(value) == (told,)


@pytest.mark.parametrize("probe", ["keeps-batch", "independent-of-batch", "gradients-reach", "log-probabilities"])
def test_a_rule_that_cannot_change_the_input_says_so_and_is_an_error(probe):
    model = Apply(lambda self, x: self.lin(x["image"]), lin=nn.Linear(4, 2))
    facts = measure_model(model, example=(Computed(),), needs=[probe])
    assert "the input `0.image` (Tensor) cannot be given other numbers" in facts.behaviour[probe]["problem"]


def test_finite_output_says_what_it_could_not_change():
    model = Apply(lambda self, x: self.lin(x["image"]), lin=nn.Linear(4, 2))
    asked = need("finite-output", inputs=["zeros"], factor=None)
    assert "cannot be given other numbers" in measure_model(model, example=(Computed(),), needs=[asked]).behaviour[
        asked
    ].get("problem", "")


def test_a_mask_alone_is_not_said_to_be_varied():
    asked = need("finite-output", inputs=["zeros"], factor=None)
    model = Apply(lambda self, x: self.lin(x.float()), lin=nn.Linear(4, 2))
    told = measure_model(model, example=torch.ones(2, 4, dtype=torch.bool), needs=[asked]).behaviour[asked]
    assert told["problem"] == "no input holds numbers that may be changed: 2x4 bool"


# --- arrays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [torch.from_numpy, torch.as_tensor, torch.tensor])
def test_an_array_is_an_input_and_is_varied(read):
    model = Apply(lambda self, x: self.lin(read(x).log()), lin=nn.Linear(4, 2))
    finite = need("finite-output", inputs=["example", "zeros"], factor=None)
    array = np.random.default_rng(0).random((2, 4), dtype=np.float32) + 0.5
    facts = measure_model(model, example=(array,), needs=[finite, "keeps-batch", "paranoid"], confirm=True)
    assert [each.shape for each in facts.shape.inputs] == [(2, 4)]
    assert facts.params.hidden == ()
    assert [bool(run["faults"]) for run in facts.behaviour[finite]["runs"]] == [False, True]
    assert [run["output"] for run in facts.behaviour["keeps-batch"]["runs"]] == [[2, 2], [3, 2]]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(4.0)[::-1],
        np.arange(4, dtype=">f4"),
        np.broadcast_to(np.float32(2.0), (4,)),
        np.asfortranarray(np.ones((2, 2))),
        np.array(3.0),
        np.array([True, False]),
    ],
)
def test_arrays_of_any_layout_are_read_and_copied(array):
    (tensor,) = tensors_in(array)
    assert tensor.tolist() == array.tolist()
    copied = map_tensors(torch.clone, array)
    assert (copied.dtype, copied.tolist()) == (array.dtype, array.tolist())
    assert not np.shares_memory(copied, array)


# --- what counts the samples ---------------------------------------------------------------------------------


def asked(model, example, *probes):
    facts = measure_model(model, example=example, needs=probes)
    return [facts.behaviour[probe] for probe in probes]


def conv(images):
    return torch.rand(3, *images)


def test_the_length_of_a_list_of_images_counts_them():
    model = Apply(lambda self, images: [self.conv(each[None])[0] for each in images], conv=nn.Conv2d(3, 4, 3))
    keeps, alone, reach = asked(
        model, ([conv((8, 10)), conv((6, 6))],), "keeps-batch", "independent-of-batch", "gradients-reach"
    )
    assert [(run["batch"], run["output"][0]) for run in keeps["runs"]] == [(2, 2), (3, 3)]
    assert (alone["neighbours"]["distance"], alone["shared"]) == (0, [])
    assert reach["samples"] == 16


def test_images_that_are_mixed_are_found_out():
    def forward(self, images):
        means = torch.stack([self.conv(each[None]).mean((0, 2, 3)) for each in images])
        return list(means - means.mean(0))

    model = Apply(forward, conv=nn.Conv2d(3, 4, 3))
    (told,) = asked(model, ([conv((8, 8)), conv((6, 6))],), "independent-of-batch")
    assert told["neighbours"]["distance"] > 0.01


def test_images_in_dictionaries_with_their_targets():
    def forward(self, images, sizes):
        return {"logits": torch.stack([self.conv(each["image"]).mean((1, 2)) for each in images]) * sizes[:, None]}

    model = Apply(forward, conv=nn.Conv2d(3, 4, 3))
    images = [{"image": conv((8, 8)), "id": 7}, {"image": conv((6, 6)), "id": 8}]
    keeps, alone = asked(model, (images, torch.tensor([1, 2])), "keeps-batch", "independent-of-batch")
    assert [(run["batch"], run["output"]) for run in keeps["runs"]] == [(2, [2, 4]), (3, [3, 4])]
    assert alone["neighbours"]["distance"] == 0


def test_a_list_of_maps_is_no_list_of_samples():
    model = Apply(lambda self, maps: [self.conv(each) for each in maps], conv=nn.Conv2d(3, 4, 3))
    (keeps,) = asked(model, ([torch.rand(4, 3, 8, 8), torch.rand(4, 3, 4, 4)],), "keeps-batch")
    assert [(run["batch"], run["output"][0]) for run in keeps["runs"]] == [(4, 4), (3, 3)]


def test_a_list_of_two_inputs_is_no_list_of_samples():
    model = Apply(lambda self, pair: self.lin(pair[0] + pair[1]), lin=nn.Linear(4, 2))
    keeps, alone = asked(model, ([torch.rand(3, 4), torch.rand(3, 4)],), "keeps-batch", "independent-of-batch")
    assert [(run["batch"], run["output"]) for run in keeps["runs"]] == [(3, [3, 2]), (2, [2, 2])]
    assert alone["neighbours"]["distance"] == 0


def test_a_packed_sequence_counts_its_sequences():
    def forward(self, packed):
        return self.out(pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0].sum(1))

    model = Apply(forward, rnn=nn.GRU(4, 6, batch_first=True), out=nn.Linear(6, 2, bias=False))
    packed = pack_sequence([torch.rand(length, 4) for length in (5, 3, 2)])
    keeps, alone, reach = asked(model, packed, "keeps-batch", "independent-of-batch", "gradients-reach")
    assert [(run["batch"], run["output"]) for run in keeps["runs"]] == [(3, [3, 2]), (2, [2, 2])]
    assert alone["neighbours"]["distance"] == 0
    assert reach["samples"] == 16


def test_sequences_sorted_by_their_lengths_are_judged_as_given():
    class Pack(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 2)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
            return self.out(self.rnn(packed)[1][0][-1])

    example = torch.rand(3, 5, 4), torch.tensor([5, 3, 2])
    keeps, alone, reach = asked(Pack(), example, "keeps-batch", "independent-of-batch", "gradients-reach")
    assert [run["output"] for run in keeps["runs"]] == [[3, 2], [2, 2]]
    assert "enforce_sorted" in alone["as_given"]
    assert alone["neighbours"]["distance"] == 0
    assert reach["none"] == reach["zero"] == []


@pytest.mark.parametrize("layout", ["coo", "csr", "dense", "edges"])
def test_a_graph_and_its_nodes_are_judged_as_given(layout):
    at = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    adjacency = torch.sparse_coo_tensor(at, torch.ones(5), (6, 6)).coalesce()
    graph = {"coo": adjacency, "csr": adjacency.to_sparse_csr(), "dense": adjacency.to_dense(), "edges": at}[layout]

    def forward(self, x, graph):
        x = self.lin(x)
        return torch.zeros_like(x).index_add(0, graph[0], x[graph[1]]) if layout == "edges" else graph @ x

    asks = need("overfits-one-batch", loss="mse", steps=5, share=0.99, axis=None)
    finite = need("finite-output", inputs=["zeros", "noise", "large"], factor=None)
    model = Apply(forward, lin=nn.Linear(4, 3))
    found = asked(
        model, (torch.rand(6, 4), graph), "gradients-reach", "independent-of-batch", asks, finite, "keeps-batch"
    )
    assert [told.get("problem") for told in found] == 5 * [None]
    assert found[0]["none"] == found[0]["zero"] == []
    assert found[1]["neighbours"]["distance"] > 0.01
    assert [(run["error"], run["faults"]) for run in found[3]["runs"]] == 3 * [(None, {})]
    if layout != "csr":  # torch selects no rows of it
        other = 7 if layout == "edges" else 3
        assert [(run["batch"], run["output"]) for run in found[4]["runs"]] == [(6, [6, 3]), (other, [other, 3])]


def test_a_record_as_the_one_input_is_one_input():
    assert len(given(Pair(torch.ones(1), 1.0)).args) == 1
    assert len(given(pack_sequence([torch.ones(2, 1)])).args) == 1
    assert len(given((torch.ones(1), torch.ones(1))).args) == 2
    assert len(given([torch.ones(1), torch.ones(1)]).args) == 2
    assert [*given(Encoding(ids=torch.ones(1))).kwargs] == ["ids"]


def test_a_model_that_takes_its_example_alone_learns_on_that():
    def forward(self, x):
        if (x.sum(1) - 1).abs().max() > 1e-4:
            raise ValueError("rows must be probabilities")
        return self.lin(x)

    reach, loss = need("gradients-reach"), need("initial-loss", loss="cross-entropy")
    model = Apply(forward, lin=nn.Linear(4, 3))
    found = asked(model, torch.rand(5, 4).softmax(1), reach, loss)
    assert [(told.get("problem"), told["samples"]) for told in found] == 2 * [(None, 5)]
    assert found[0]["none"] == []


def test_a_fixed_batch_learns_on_noise_of_its_size():
    model = Apply(lambda self, x: self.lin(x.view(2, 4)), lin=nn.Linear(4, 3))
    (reach,) = asked(model, torch.zeros(2, 4), "gradients-reach")
    assert (reach["samples"], reach["zero"]) == (2, [])


def looped(value):
    """A list that holds itself in a tuple in a dictionary."""
    found = [value]
    found.append((1, {"again": found}))
    return found


def test_an_output_that_holds_itself_is_reported():
    model = Apply(lambda self, x: looped(self.fc(x)), fc=nn.Linear(4, 2))
    with pytest.raises(SubjectError, match=r"a (list|tuple|dict) that holds itself") as told:
        measure_model(model, example=torch.rand(2, 4))
    assert "does the input fit" not in str(told.value)


def test_an_output_that_holds_a_list_twice_holds_no_loop():
    shared = [torch.ones(2)]
    assert len(list(tensors_in([shared, {"again": shared}]))) == 2


def test_a_forward_pass_that_never_ends_is_no_loop_of_containers():
    def forward(self, x):
        return forward(self, self.fc(x))

    with pytest.raises(SubjectError, match=r"the forward pass failed.* on input 2x4"):
        measure_model(Apply(forward, fc=nn.Linear(4, 4)), example=torch.rand(2, 4))


def test_an_object_that_claims_to_be_a_tensor_is_none():
    stand_in = Mock(spec=torch.Tensor)
    assert isinstance(stand_in, torch.Tensor)
    model = Apply(lambda self, x, other: {"out": self.lin(x), "other": other}, lin=nn.Linear(4, 3))
    facts = measure_model(model, example=(torch.rand(2, 4), stand_in), confirm=True)
    assert facts.shape.output_names == ("out",)
