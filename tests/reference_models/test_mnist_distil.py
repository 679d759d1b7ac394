"""Learning from what the flagship answers, beside the labels."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from reference_models.mnist import recipes
from reference_models.mnist.distil import answers, divergence
from reference_models.mnist.errors import RunError
from reference_models.mnist.evaluate import COMMITTED, score
from reference_models.mnist.loop import Training
from reference_models.mnist.train import build

CHOSEN = recipes.FRONTIER.distillation


def test_the_teacher_is_the_committed_flagship(sets):
    answered = answers(sets[0], replace(CHOSEN, temperature=1.0))
    assert answered.shape == (300, 10)
    torch.testing.assert_close(answered.exp().sum(dim=1), torch.ones(300))
    assert (answered.argmax(dim=1) == sets[0].labels).float().mean() > 0.99
    softer = answers(sets[0], CHOSEN)
    torch.testing.assert_close(softer, F.log_softmax(answered / CHOSEN.temperature, dim=1))


def test_another_checkpoint_is_no_teacher(sets, tmp_path):
    other = COMMITTED.with_name("checkpoint-B.safetensors")
    with pytest.raises(RunError, match=r"checkpoint-B.safetensors` is not the recipe's teacher: expected sha256"):
        answers(sets[0], CHOSEN, other)
    with pytest.raises(RunError, match=r"found `no file`; bring the committed file back"):
        answers(sets[0], CHOSEN, tmp_path / "none.safetensors")


def test_the_divergence_is_kullback_and_leiblers():
    scores, answered = torch.randn(2, 5, 10, dtype=torch.float64)
    log_probabilities, answered = F.log_softmax(scores, dim=1), F.log_softmax(answered / 3, dim=1)
    softened = F.softmax(scores / 3, dim=1)
    expected = 9 * (answered.exp() * (answered - softened.log())).sum(dim=1).mean()
    torch.testing.assert_close(divergence(log_probabilities, answered, 3.0), expected)
    assert divergence(log_probabilities, F.log_softmax(scores / 3, dim=1), 3.0).abs() < 1e-12


def trained(sets, **settings):
    recipe = replace(recipes.FRONTIER, epochs=1, batch_size=100, **settings)
    net = build(recipe, 0, "separable_325")
    (row,) = Training(net, recipe, 0, *sets).remaining()
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()]), row


def test_the_share_decides_what_is_learned_from(sets):
    without, row = trained(sets, distillation=None)
    none, same = trained(sets, distillation=replace(CHOSEN, share=0.0))
    torch.testing.assert_close(none, without)
    assert {**same, "cpu_seconds": 0} == {**row, "cpu_seconds": 0}
    assert not torch.allclose(trained(sets)[0], without, atol=1e-4)


def test_a_student_of_the_teacher_alone_learns_without_right_labels(sets):
    train, validation = sets
    wrong = replace(train, labels=(train.labels + 1) % 10)
    recipe = replace(recipes.FRONTIER, epochs=30, batch_size=50, distillation=replace(CHOSEN, share=1.0))
    net = build(recipe, 0, "separable_688")
    *_, row = Training(net, recipe, 0, wrong, validation).remaining()
    assert row["train_accuracy"] < 0.1  # counted by the labels, as the loss is
    assert row["loss"] > 2
    assert score(net, validation).correct / len(validation) > 0.7
