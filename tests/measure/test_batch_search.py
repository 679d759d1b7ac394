"""What counts the samples: of several inputs, of lists, of sequences whose time comes first, and of graphs."""

from __future__ import annotations

import types

import pytest
import torch
from networks import Apply
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from archcheck import check
from archcheck.measure.shapes.layouts import on_values, rows_of
from archcheck.rules import Accepts, FiniteOutput, IndependentOfBatch, KeepsBatch

KEPT = {"keeps-batch": "kept", "independent-of-batch": "kept", "accepts": "kept"}
MIXED = {**KEPT, "independent-of-batch": "broken"}


def adjacency(layout, nodes=6):
    dense = torch.eye(nodes) + torch.eye(nodes).roll(1, 0)
    layouts = {"csr": dense.to_sparse_csr, "csc": dense.to_sparse_csc, "coo": dense.to_sparse, "dense": dense.clone}
    return layouts[layout]()


def shared_graph(layout, first):
    """Signals on the nodes of one graph, whose adjacency all of them share."""
    order = (lambda x, graph: (graph, x)) if first else (lambda x, graph: (x, graph))

    def forward(self, *given):
        x, graph = order(*given) if first else given
        return self.lin(torch.tanh(graph @ x.t()).t())

    return Apply(forward, lin=nn.Linear(6, 3)), order(torch.rand(2, 6), adjacency(layout)), KEPT


def nodes(layout):
    """The nodes of one graph are the samples, and see one another."""
    model = Apply(lambda self, x, graph: graph @ self.lin(x), lin=nn.Linear(4, 3))
    return model, (torch.rand(6, 4), adjacency(layout)), MIXED


def sparse_rows(layout):
    model = Apply(lambda self, x: torch.tanh(torch.mm(x, self.lin.weight.t())), lin=nn.Linear(6, 3))
    return model, (adjacency(layout),), KEPT


def shared_positions():
    model = Apply(lambda self, at, x: self.lin(x * at.sum(1)), lin=nn.Linear(6, 3))
    return model, (torch.rand(6, 2), torch.rand(2, 6)), KEPT


def shared_edges():
    def forward(self, edges, x):
        x = self.lin(x)
        return x.index_add(1, edges[1], x[:, edges[0]])

    return Apply(forward, lin=nn.Linear(4, 3)), (torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.rand(2, 5, 4)), KEPT


def time_first(mixing=False):
    def forward(self, x):
        x = x - x.mean(1, keepdim=True) if mixing else x
        return self.out(self.rnn(x)[0][-1])

    return Apply(forward, rnn=nn.LSTM(4, 6), out=nn.Linear(6, 3)), torch.rand(7, 2, 4), MIXED if mixing else KEPT


def time_first_throughout():
    return Apply(lambda self, x: self.rnn(x)[0], rnn=nn.GRU(4, 6)), torch.rand(7, 2, 4), KEPT


def states():
    """The states of a recurrent network count the samples on their second axis."""
    model = Apply(lambda self, x, state: self.rnn(x, state)[0], rnn=nn.LSTM(4, 6, 2, batch_first=True))
    return model, (torch.rand(3, 5, 4), (torch.rand(2, 3, 6), torch.rand(2, 3, 6))), KEPT


def sorted_lengths():
    def forward(self, x, lengths):
        return self.rnn(pack_padded_sequence(x, lengths, batch_first=True))[1][-1]

    return Apply(forward, rnn=nn.GRU(4, 6)), (torch.rand(3, 5, 4), torch.tensor([5, 3, 2])), KEPT


def packed_again():
    def forward(self, packed):
        out = self.rnn(packed)[0]
        return PackedSequence(torch.tanh(out.data), *out[1:])

    return Apply(forward, rnn=nn.GRU(4, 6)), (pack_sequence([torch.rand(4, 4), torch.rand(2, 4)]),), KEPT


def images():
    model = Apply(
        lambda self, images: torch.stack([self.conv(each[None]).mean((0, 2, 3)) for each in images]),
        conv=nn.Conv2d(3, 4, 3),
    )
    return model, ([torch.rand(3, 8, 8), torch.rand(3, 9, 7)],), KEPT


def numbers_of_users_and_items():
    def forward(self, users, items):
        return (self.user(users) * self.item(items)).sum(1)

    return (
        Apply(forward, user=nn.Embedding(9, 4), item=nn.Embedding(9, 4)),
        (torch.arange(3), torch.arange(3) + 4),
        KEPT,
    )


def sample_that_is_squeezed():
    """One sample alone loses its axis: that is the fault of the model, not of what counts the samples."""
    model = Apply(lambda self, x, scale: self.lin(x * scale).squeeze(), lin=nn.Linear(4, 3))
    return model, (torch.rand(2, 4), torch.rand(2, 4)), {**KEPT, "independent-of-batch": "error", "accepts": "broken"}


def turned_over():
    model = Apply(lambda self, x, scale: self.lin(x * scale).flatten()[:, None], lin=nn.Linear(4, 3))
    return model, (torch.rand(2, 4), torch.rand(2, 4)), {**KEPT, "keeps-batch": "broken", "accepts": "broken"}


CASES = {
    **{f"shared graph, {each}": lambda each=each: shared_graph(each, False) for each in ("csr", "csc", "coo", "dense")},
    **{f"{each} comes first": lambda each=each: shared_graph(each, True) for each in ("csr", "csc", "coo", "dense")},
    **{f"nodes, {each}": lambda each=each: nodes(each) for each in ("csr", "coo", "dense")},
    **{f"rows, {each}": lambda each=each: sparse_rows(each) for each in ("csr", "csc", "coo")},
    "positions": shared_positions,
    "edges": shared_edges,
    "time first": time_first,
    "time first, mixed": lambda: time_first(mixing=True),
    "time first throughout": time_first_throughout,
    "states": states,
    "sorted lengths": sorted_lengths,
    "packed again": packed_again,
    "images": images,
    "users and items": numbers_of_users_and_items,
    "squeezed": sample_that_is_squeezed,
    "turned over": turned_over,
}


def verdicts(model, example, *rules):
    return {each.rule: each.verdict.value for each in check(model, example=example, rules=[*rules]).outcomes}


@pytest.mark.parametrize("case", CASES)
def test_the_samples_are_found_among_the_inputs(case):
    model, example, right = CASES[case]()
    least = 6 if case.startswith("nodes") else 1
    rules = KeepsBatch(), IndependentOfBatch(), Accepts(batch=(least, least + 3))
    assert verdicts(model, example, *rules) == right


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "dense", "bsr", "bsc"])
def test_rows_and_numbers_of_any_layout(layout, axis):
    dense = adjacency("dense")
    blocks = {"bsr": lambda: dense.to_sparse_bsr((2, 2)), "bsc": lambda: dense.to_sparse_bsc((3, 3))}
    tensor = blocks[layout]() if layout in blocks else adjacency(layout)
    for rows in ([0], [0, 1, 1, 5, 5, 2, 0], [1, 2, 3, 4, 5, 0]):
        picked = rows_of(tensor, axis, rows)
        assert torch.equal(
            picked.to_dense() if picked.is_sparse or layout != "dense" else picked,
            dense.index_select(axis, torch.tensor(rows)),
        )
    changed = on_values(tensor, torch.neg)
    assert changed.layout == tensor.layout
    assert torch.equal(changed.to_dense() if layout != "dense" else changed, -dense)


def test_graphs_are_the_samples_where_nodes_are_sorted_into_them():
    def forward(self, graph):
        pooled = torch.zeros(2, 4).index_add(0, graph.batch, graph.x)
        return self.lin(pooled)

    graph = types.SimpleNamespace(x=torch.rand(5, 4), batch=torch.tensor([0, 0, 1, 1, 1]))
    model = Apply(forward, lin=nn.Linear(4, 3))
    (outcome,) = check(model, example=graph, rules=[KeepsBatch()]).outcomes
    assert outcome.verdict.value == "kept"
    assert "batches of 2" in outcome.kept


def test_fewer_nodes_than_edges_name_are_an_error():
    def forward(self, x, edges):
        return self.lin(x).index_add(0, edges[1], self.lin(x)[edges[0]])

    example = torch.rand(5, 4), torch.tensor([[0, 1], [3, 4]])
    (outcome,) = check(Apply(forward, lin=nn.Linear(4, 3)), example=example, rules=[Accepts(batch=(1, 6))]).outcomes
    assert outcome.verdict.value == "error"
    assert "may name each of its 5 samples" in outcome.findings[0].message


def test_the_height_of_listed_images_varies_beside_their_number():
    model, example, _ = images()
    (outcome,) = check(model, example=example, rules=[Accepts(batch=(1, 3), height=(2, 9))]).outcomes
    assert outcome.found == [1, 3, 2, 8]


def test_where_bags_begin_is_no_token():
    model = Apply(lambda self, tokens, starts: self.bags(tokens, starts), bags=nn.EmbeddingBag(20, 3))
    example = torch.randint(0, 20, (9,)), torch.tensor([0, 4])
    assert verdicts(model, example, FiniteOutput(), KeepsBatch()) == {"finite-output": "kept", "keeps-batch": "kept"}


def test_noise_for_complex_numbers_keeps_to_the_range_of_its_parts():
    model = Apply(lambda self, x: self.lin(x.real.log()), lin=nn.Linear(4, 3))
    example = torch.complex(torch.rand(2, 4) + 0.5, torch.rand(2, 4))
    assert verdicts(model, example, FiniteOutput(inputs=("noise",))) == {"finite-output": "kept"}


def test_what_nobody_can_count_is_an_error():
    """A pair of images is no list of samples for a model that wants two; nothing else counts any."""

    def forward(self, pair):
        one, other = (self.conv(each[None]).mean((0, 2, 3)) for each in pair)
        return torch.stack([one, other])

    example = ((torch.rand(3, 8, 8), torch.rand(3, 9, 7)),)
    (outcome,) = check(Apply(forward, conv=nn.Conv2d(3, 4, 3)), example=example, rules=[KeepsBatch()]).outcomes
    assert outcome.verdict.value == "error"
    assert "nothing in the input is known to count samples" in outcome.findings[0].message


def detections(boxes):
    """As many boxes as a map has places, or the best of them, in a list with one result for each image."""

    def forward(self, x):
        found = torch.relu(self.conv(x)).flatten(2).transpose(1, 2)
        return [boxes(each) for each in found]

    return Apply(forward, conv=nn.Conv2d(3, 5, 3))


@pytest.mark.parametrize(
    "boxes",
    [
        lambda each: {"boxes": each[:, :4], "scores": each[:, 4]},
        lambda each: (each[:, :4], each[:, 4]),
        lambda each: each[each[:, 4].topk(3).indices],
    ],
)
def test_a_list_of_results_holds_a_sample_each(boxes):
    report = check(detections(boxes), example=torch.rand(2, 3, 8, 8), rules=[KeepsBatch(), IndependentOfBatch()])
    assert [outcome.verdict.value for outcome in report.outcomes] == ["kept", "kept"]


def test_a_list_of_outputs_of_the_whole_batch_is_no_list_of_samples():
    model = Apply(lambda self, x: [self.lin(x).view(1, -1), self.lin(x).view(1, -1)], lin=nn.Linear(4, 3))
    report = check(model, example=torch.rand(2, 4), rules=[KeepsBatch()])
    assert report.outcomes[0].verdict.value == "broken"


def in_bags(model, *example):
    return verdicts(model, example, KeepsBatch(), IndependentOfBatch(), Accepts(batch=(1, 4)))


def bags(then, **layers):
    tokens, starts = torch.arange(9) * 7 % 20, torch.tensor([0, 4, 6])
    return Apply(then, lin=nn.Linear(8, 4), **layers), tokens, starts


def closed(self, tokens, starts):
    return self.lin(self.bags(tokens, starts))


def centred(self, tokens, starts):
    means = self.bags(tokens, starts)
    return self.lin(means - means.mean(0))


def test_bags_of_tokens_are_samples():
    model, *example = bags(closed, bags=nn.EmbeddingBag(20, 8))
    assert in_bags(model, *example) == KEPT
    model, *example = bags(centred, bags=nn.EmbeddingBag(20, 8))
    assert in_bags(model, *example) == MIXED


def test_offsets_may_end_with_the_number_of_all_tokens():
    model, tokens, _ = bags(closed, bags=nn.EmbeddingBag(20, 8, mode="sum", include_last_offset=True))
    assert in_bags(model, tokens, torch.tensor([0, 4, 6, 9])) == KEPT


def test_weights_of_tokens_go_with_their_bags():
    model, tokens, starts = bags(
        lambda self, tokens, starts, weights: self.lin(self.bags(tokens, starts, weights)),
        bags=nn.EmbeddingBag(20, 8, mode="sum"),
    )
    assert in_bags(model, tokens, starts, torch.rand(9)) == KEPT


def test_floats_may_lie_in_bags():
    """Sequences of different lengths in one row, as kernels of attention take them."""

    def forward(self, rows, starts):
        return self.lin(torch.stack([each.mean(0) for each in rows.tensor_split(starts.tolist()[1:])]))

    assert in_bags(Apply(forward, lin=nn.Linear(8, 4)), torch.rand(9, 8), torch.tensor([0, 4, 6])) == KEPT


def test_a_bag_of_one_token_each_keeps_its_offsets():
    model, *_ = bags(closed, bags=nn.EmbeddingBag(20, 8))
    assert in_bags(model, torch.tensor([3, 9, 17]), torch.tensor([0, 1, 2])) == KEPT
