"""Another method than `forward` is measured, and another input in training mode."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import archcheck
from archcheck.facts.calls import CALLS
from archcheck.facts.records import CROSS_CHECK, PARANOID
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)

    def forward(self, seen):
        hidden = torch.tanh(self.body(seen))
        return self.actor(hidden), self.critic(hidden)

    def act(self, seen):
        return self.actor(torch.tanh(self.body(seen)))

    def scaled(self, seen, scale):
        return self(seen * scale)[0]

    def direct(self, seen):
        return self.forward(seen)[1]

    @staticmethod
    def doubled(seen):
        return 2 * seen


class WithoutForward(Policy):
    def forward(self, seen):
        raise AssertionError("only `act` is measured")


class Translator(nn.Module):
    """An encoder-decoder, which takes the labels in training alone."""

    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(20, 8), nn.Linear(8, 20)
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, src, tgt, labels=None):
        scores = self.out(self.transformer(self.words(src), self.words(tgt)))
        return F.cross_entropy(scores.flatten(0, 1), labels.flatten()) if self.training else scores


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.box, self.score = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, images, targets=None):
        pooled = self.norm(self.features(torch.stack(images))).relu().mean((2, 3))
        boxes, scores = self.box(pooled), self.score(pooled)
        if not self.training:
            return [{"boxes": box, "scores": score} for box, score in zip(boxes, scores, strict=True)]
        if targets is None:
            raise ValueError("targets should not be none in training")
        wanted = torch.stack([each["boxes"] for each in targets])
        labels = torch.stack([each["labels"] for each in targets])
        return {"box": F.l1_loss(boxes, wanted), "score": F.cross_entropy(scores, labels)}


def images():
    return [torch.rand(3, 8, 8), torch.rand(3, 8, 8)]


def with_targets():
    targets = [{"boxes": torch.rand(4), "labels": torch.tensor(number)} for number in (0, 2)]
    return {"images": images(), "targets": targets}


def ops(facts):
    return [op.op for op in facts.ops if op.op != "input"]


def test_the_graph_is_that_of_the_method():
    model = Policy()
    before, seen = dict(vars(model)), torch.rand(2, 4)
    facts = archcheck.measure(model, example=seen, call="act")
    assert ops(facts) == ["linear", "tanh", "linear"]
    assert facts.cost.macs == 2 * (4 * 8 + 8 * 2)
    assert facts.params.unused == ("critic.weight", "critic.bias")
    assert facts.unused_layers == ("critic",)
    assert [layer.path for layer in facts.layers] == ["", "body", "actor", "critic"]
    assert facts.subject.notes == ("measured `act` instead of `forward`",)
    assert vars(model) == before
    assert len(model(seen)) == 2


def test_forward_by_name_is_as_without():
    plain, named = (archcheck.measure(Policy(), example=torch.rand(2, 4), call=call) for call in (None, "forward"))
    assert named.subject == plain.subject
    assert named.ops == plain.ops


@pytest.mark.parametrize(
    ("call", "example", "last"),
    [
        ("scaled", (torch.rand(2, 4), torch.ones(4)), (2, 2)),
        ("direct", torch.rand(2, 4), (2, 1)),
        ("doubled", torch.rand(2, 4), (2, 4)),
    ],
)
def test_a_method_reaches_the_true_forward(call, example, last):
    facts = archcheck.measure(Policy(), example=example, call=call)
    assert [each.shape for each in facts.shape.outputs] == [last]


def test_hooks_of_the_model_run_where_it_is_called():
    model = Policy()
    model.register_forward_pre_hook(lambda _, args: (args[0] / 255,))
    assert "div" not in ops(archcheck.measure(model, example=torch.rand(2, 4), call="act"))
    scaled = archcheck.measure(model, example=(torch.rand(2, 4), torch.ones(4)), call="scaled")
    assert ops(scaled)[:3] == ["mul", "div", "linear"]


def test_a_forward_of_the_instance_is_kept():
    model = Policy()
    own = vars(model)["forward"] = lambda seen: (seen, model.actor(model.body(seen)))
    facts = archcheck.measure(model, example=torch.rand(2, 4), call="direct")
    assert vars(model)["forward"] is own
    assert facts.params.unused == ("critic.weight", "critic.bias")


def test_nothing_that_measures_runs_forward():
    rules = ["keeps-batch", "finite-output", "deterministic-in-eval", "independent-of-batch"]
    stated = {**dict.fromkeys(rules, True), "exports": True, "accepts": {"batch": [1, 4], "mode": "both"}}
    report = archcheck.check(WithoutForward(), example=torch.rand(2, 4), call="act", rules=stated)
    report.verify()
    needs = (PARANOID, CROSS_CHECK, CALLS, "state-dict-round-trip")
    facts = measure_model(WithoutForward(), call="act", needs=needs, confirm=True, fresh=WithoutForward)
    assert facts.unmeasured == ()
    assert facts.behaviour["state-dict-round-trip"]["built"]
    assert facts.behaviour["state-dict-round-trip"]["distance"] == 0
    assert facts.cross_check.total_fvcore == facts.cross_check.total_ours == 48
    assert [call.layer for call in facts.calls.layers] == ["body", "actor"]
    assert facts.subject.notes[1:] == ("input 1x4 (float32) inferred from the first layer, Linear `body`",)


class Sly(Policy):
    def act(self, seen):
        frame = sys._getframe()
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("archcheck."):
                return self.actor(self.body(seen))
            frame = frame.f_back
        return self.actor(self.body(seen)) * 2


def test_the_second_look_hides_what_redirects_the_call():
    with pytest.raises(SubjectError, match="is not what it seems"):
        measure_model(Sly(), example=torch.rand(2, 4), call="act", needs=[PARANOID])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("training_step", "; it has `act`, `scaled`, `direct`, `doubled` and `forward`"),
        ("acts", '; did you mean "act"?'),
        ("training", "; it has"),
    ],
)
def test_a_wrong_name_is_told_in_one_line(name, says):
    with pytest.raises(SubjectError) as told:
        archcheck.measure(Policy(), call=name)
    assert str(told.value).startswith(f"`{name}` is not a method of `Policy`{says}")


class Odd(nn.Linear):
    async def awaited(self, x):
        return self(x)

    async def streamed(self, x):
        yield self(x)

    def yielded(self, x):
        yield self(x)

    def forgets(self, x):
        self(x)

    def number(self, x):
        return float(self(x).sum())

    def optimises(self, x):
        loss = self(x).sum()
        loss.backward()
        return loss


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("awaited", "a coroutine; nobody awaits an `async` method here: name a plain one"),
        ("streamed", "a async_generator; nobody awaits"),
        ("yielded", "a generator; return what it yields in a list"),
        ("forgets", "a NoneType; is a `return` missing?"),
        ("number", "a float; return the tensor itself, without `item()`"),
        ("optimises", "it is measured without gradients; let it return the loss, and leave `backward` to the trainer"),
        (5, "`call` is the name of a method, found 5"),
    ],
)
def test_what_cannot_be_measured_is_told_with_the_next_step(name, says):
    with pytest.raises(SubjectError) as caught:
        archcheck.measure(Odd(3, 2), example=torch.rand(1, 3), call=name)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ({"seen": torch.rand(1, 3)}, '`scaled` takes 2 inputs, "seen" and "scale", and was given "seen" by name'),
        ({"sene": torch.rand(1, 3), "scale": 2}, 'and was given "sene" and "scale" by name'),
    ],
)
def test_inputs_by_name_that_do_not_fit_are_named(example, says):
    with pytest.raises(SubjectError) as caught:
        archcheck.measure(Policy(), example=example, call="scaled")
    assert says in str(caught.value)


@pytest.mark.parametrize("wrong", [torch.rand(2, 9), {"z": torch.rand(2, 3)}])
def test_an_input_for_training_that_does_not_fit_is_an_error(wrong):
    with pytest.raises(SubjectError, match=r"^in training mode, on `training-input`: the forward pass failed"):
        archcheck.measure(nn.Linear(3, 2), example=torch.rand(1, 3), training_example=wrong)
    assert archcheck.measure(nn.Linear(3, 2), example=torch.rand(1, 3), training_example=torch.rand(2, 3)).params.total


def test_a_model_with_many_methods_shows_a_few():
    many = type("Many", (nn.Linear,), {f"do{number}": lambda self, x: x for number in range(30)})(3, 2)
    with pytest.raises(SubjectError, match=r"`do7`, 22 more and `forward`$"):
        archcheck.measure(many, example=torch.rand(1, 3), call="zzzzzz")


def test_a_layer_is_no_method():
    with pytest.raises(SubjectError, match=r"^`body` is a layer and no method of `Policy`; it has `act`"):
        archcheck.measure(Policy(), call="body")


def test_the_inputs_that_are_asked_for_are_those_of_the_method():
    with pytest.raises(SubjectError, match='`scaled` takes 2 inputs, "seen" and "scale"'):
        archcheck.measure(Policy(), example=torch.rand(2, 4), call="scaled")


def test_a_decoder_gets_its_labels_in_training():
    ids = torch.randint(0, 20, (2, 5))
    inputs = {"src": ids, "tgt": ids}
    facts = archcheck.measure(Translator(), example=inputs, training_example={**inputs, "labels": ids})
    assert [each.shape for each in facts.shape.outputs] == [(2, 5, 20)]
    assert facts.unmeasured == ()
    assert facts.train_ops[-1].op == "cross_entropy_loss"
    assert "input in training mode: 2x5 int64, 2x5 int64, 2x5 int64" in facts.subject.notes


def test_a_detector_gets_its_targets_in_training():
    without = measure_model(Detector(), example=(images(),))
    assert without.train_length == 0
    assert without.unmeasured[0].endswith("; `training-input` gives it another one")
    rules = {"gradients-reach": True, "state-dict-round-trip": True}
    report = archcheck.check(Detector(), example=(images(),), training_example=with_targets(), rules=rules)
    report.verify()
    assert report.facts.unmeasured == ()
    assert report.facts.behaviour["gradients-reach"]["mode"] == "train"
    assert {"l1_loss", "cross_entropy_loss"} <= {op.op for op in report.facts.train_ops}


def test_a_step_of_lightning():
    lightning = pytest.importorskip("lightning")

    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.cross_entropy(self(x), y)
            self.log("loss", loss)
            return loss

    batch = (torch.rand(4, 8), torch.randint(0, 3, (4,)))
    facts = measure_model(Lit(), example=(batch, 0), call="training_step", confirm=True, needs=[PARANOID])
    assert ops(facts) == ["linear", "relu", "linear", "cross_entropy_loss"]
    assert facts.unmeasured == ()
    assert facts.subject.notes == ("measured `training_step` instead of `forward`",)
    with pytest.raises(SubjectError, match=r"it has `training_step` and `forward`$"):
        measure_model(Lit(), example=(batch, 0), call="steps")
