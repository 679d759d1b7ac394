"""An exported program is measured from its graph as its source is, and what it does not hold is unknown."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archcheck import rules
from archcheck.contract import Stated
from archcheck.facts.facts import Facts
from archcheck.foundation.errors import SubjectError
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import judge
from archcheck.measure.artifacts.source_or_file import open_artifact
from archcheck.measure.model import measure_model
from archcheck.rules.base import rule_name
from archcheck.rules.findings import Verdict
from reference_models.mnist.model import Net
from tests.measure.artifacts.exported_files import Tiny, changed, export, nodes_of, saved

IMAGE = torch.zeros(1, 1, 6, 6)


def measured(file, **options) -> Facts:
    opened = open_artifact(file.name, str(file.parent))
    options = {"example": opened.example(), "confirm": True, "root": str(file.parent), **options}
    return measure_model(opened.model, target=file.name, **options)


def outcome(facts, rule):
    (judged,) = judge(facts, [Stated(rule=rule, instance=rule_name(rule), where=Where(file="", line=0))])
    return judged


def test_the_flagship_exported_counts_as_its_source(tmp_path):
    file = export(Net(), torch.zeros(1, 1, 28, 28), to=tmp_path / "net.pt2")
    facts, source = measured(file), measure_model(Net(), example=torch.zeros(1, 1, 28, 28))
    assert (facts.params.total, facts.cost.macs) == (13_086, 1_328_360)
    assert facts.params.sizes == source.params.sizes
    assert facts.cost == replace(source.cost, training_macs=None, backward=())  # the file holds no graph of training
    assert facts.shape == source.shape
    assert [(op.kind, op.layer, op.params) for op in facts.ops] == [(op.kind, op.layer, op.params) for op in source.ops]
    assert [replace(each, where=None) for each in facts.layers] == [replace(each, where=None) for each in source.layers]


def test_places_are_those_that_the_export_recorded(tmp_path):
    facts = measured(export(Tiny(), IMAGE, to=tmp_path / "net.pt2"))
    here = Tiny.forward.__code__
    conv, mean = (next(op for op in facts.ops if op.kind == kind) for kind in ("conv", "global_avg_pool"))
    assert (conv.where.file, conv.where.line) == (here.co_filename, here.co_firstlineno + 1)
    assert mean.where.line == here.co_firstlineno + 2


def test_a_graph_without_stacks_keeps_its_numbers_and_claims_no_idle_layer(tmp_path):
    def strip(graph):
        for node in nodes_of(graph):
            node["metadata"] = {}

    file = export(Tiny(), IMAGE, to=tmp_path / "net.pt2")
    facts = measured(changed(file, tmp_path / "bare.pt2", strip))
    assert facts.cost == measured(file).cost
    assert facts.params.total == 44
    assert facts.unused_layers == ()
    assert {op.where for op in facts.ops} == {None}


def test_dropout_in_training_is_unknown_in_what_was_exported_in_evaluation(tmp_path):
    facts = measured(export(Tiny(), IMAGE, to=tmp_path / "net.pt2"))
    assert facts.train_length == 0
    judged = outcome(facts, rules.Requires(kinds=("dropout",)))
    assert judged.verdict is Verdict.ERROR
    assert judged.summary == "training mode: the file holds the graph of evaluation, not that of training"
    assert outcome(facts, rules.Requires(kinds=("batch_norm",))).verdict is Verdict.KEPT
    assert outcome(facts, rules.DropoutRate(rate=0.25)).verdict is Verdict.ERROR


def test_a_program_exported_in_training_always_applies_dropout(tmp_path):
    facts = measured(export(Tiny(), torch.zeros(2, 1, 6, 6), to=tmp_path / "net.pt2", training=True))
    assert facts.train_length == len(facts.ops)
    judged = outcome(facts, rules.Requires(kinds=("dropout",)))
    assert judged.verdict is Verdict.BROKEN
    assert "evaluation" in judged.summary
    assert facts.unmeasured == ()


def test_numbers_are_those_of_the_source(tmp_path):
    model = Tiny()
    image = torch.randn(1, 1, 6, 6)
    opened = open_artifact("net.pt2", str(export(model, image, to=tmp_path / "net.pt2").parent))
    torch.testing.assert_close(opened.model(image), model.eval()(image))


def test_constants_that_act_as_weights_are_hidden(tmp_path):
    class Hider(nn.Module):
        def __init__(self):
            super().__init__()
            self.kept = [torch.randn(4, 5)]

        def forward(self, x):
            return F.linear(x, self.kept[0])

    facts = measured(export(Hider(), torch.zeros(1, 5), to=tmp_path / "net.pt2"))
    (weight,) = facts.params.hidden
    assert (facts.params.total, weight.elements, weight.shape) == (0, 20, (4, 5))
    assert weight.where.line == Hider.forward.__code__.co_firstlineno + 1


def test_tied_weights_are_counted_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    facts = measured(export(Tied(), torch.zeros(1, 4), to=tmp_path / "net.pt2"))
    assert facts.params.total == 16
    assert facts.params.tied == (("a.weight", "b.weight"),)


def test_a_layer_called_twice_is_called_twice(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(self.fc(x))

    facts = measured(export(Twice(), torch.zeros(1, 3), to=tmp_path / "net.pt2"))
    assert facts.layer("fc").calls == 2
    assert facts.cost.macs == 18


def test_unused_weights_are_found_and_judged_as_unknown_in_training(tmp_path):
    model = Tiny()
    model.idle = nn.Linear(2, 2)
    facts = measured(export(model, IMAGE, to=tmp_path / "net.pt2"))
    assert facts.params.unused == ("idle.weight", "idle.bias")
    assert facts.layer("idle").type == "Module"
    assert outcome(facts, rules.NoUnusedParams()).verdict is Verdict.ERROR


def test_extents_that_were_exported_as_fixed_are_refused_and_free_ones_kept_within_their_range(tmp_path):
    batch = torch.export.Dim("batch", min=2, max=8)
    file = export(Tiny(), torch.zeros(4, 1, 6, 6), to=tmp_path / "net.pt2", dynamic_shapes=({0: batch},))
    assert measured(file).shape.inputs[0].shape == (4, 1, 6, 6)
    assert measured(file, example=torch.zeros(8, 1, 6, 6)).shape.outputs[0].shape == (8, 2)
    for wrong, said in (((9, 1, 6, 6), "2 to 8 along axis 0, found 9"), ((4, 1, 7, 6), "6 along axis 2, found 7")):
        with pytest.raises(SubjectError, match=said):
            measured(file, example=torch.zeros(wrong))


def test_branches_and_settings_of_torch_within_the_graph(tmp_path):
    class Within(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            with torch.no_grad():
                x = self.fc(x)
            return torch.cond(x.shape[0] > 2, lambda x: x.relu(), lambda x: x.sin(), (x,))

    file = export(
        Within(),
        torch.zeros(4, 3),
        to=tmp_path / "net.pt2",
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=9)},),
    )
    facts = measured(file)
    assert [op.op for op in facts.ops if op.kind != "input"] == ["linear", "relu"]
    assert facts.cost.macs == 4 * 9


def test_decomposed_graphs_and_recurrent_layers(tmp_path):
    program = torch.export.export(Tiny().eval(), (IMAGE,)).run_decompositions()
    facts = measured(saved(program, tmp_path / "core.pt2"))
    assert (facts.params.total, facts.cost.macs) == (44, 3 * 9 * 16 + 6)
    assert {"conv", "batch_norm"} <= {op.kind for op in facts.ops}

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.lstm = nn.Embedding(7, 3), nn.LSTM(3, 5, batch_first=True)

        def forward(self, tokens):
            return self.lstm(self.embed(tokens))[0][:, -1]

    source = measure_model(Recurrent(), example=torch.zeros(2, 4, dtype=torch.int64))
    facts = measured(export(Recurrent(), torch.zeros(2, 4, dtype=torch.int64), to=tmp_path / "lstm.pt2"))
    assert (facts.params.total, facts.cost.macs) == (source.params.total, source.cost.macs)
    assert facts.shape == source.shape
