from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reference_models.mnist import data, evaluate
from reference_models.mnist.checkpoint import packed
from reference_models.mnist.command import execute
from reference_models.mnist.data import Digits
from reference_models.mnist.evaluate import Scores, score
from reference_models.mnist.model import Net


class Always(nn.Module):
    """Give `digit` half of the probability and note what it was asked."""

    def __init__(self, digit):
        super().__init__()
        self.digit = digit
        self.dropout = nn.Dropout(0.5)
        self.asked = []

    def forward(self, images):
        self.asked.append((images.clone(), self.training, torch.is_grad_enabled()))
        out = torch.full((len(images), 10), 0.5 / 9)
        out[:, self.digit] = 0.5
        return out.log()


@pytest.fixture
def digits():
    return Digits(images=torch.randint(256, (600, 1, 28, 28), dtype=torch.uint8), labels=torch.arange(600) % 10)


def test_scores_are_worked_out_by_hand(digits):
    scores = score(Always(3), digits)
    assert (scores.correct, scores.total) == (60, 600)
    assert scores.loss == pytest.approx(-(0.1 * torch.tensor(0.5).log() + 0.9 * torch.tensor(0.5 / 9).log()).item())


def test_images_reach_the_model_normalised_and_in_order(digits):
    model = Always(0)
    score(model, digits)
    seen = torch.cat([images for images, _, _ in model.asked])
    assert torch.equal(seen, data.normalised(data.scaled(digits.images)))


def test_evaluation_mode_and_no_gradients_inside_and_every_mode_back_after(digits):
    model = Always(0)
    model.train()
    model.dropout.eval()
    score(model, digits)
    assert {(training, grad) for _, training, grad in model.asked} == {(False, False)}
    assert (model.training, model.dropout.training) == (True, False)
    assert torch.is_grad_enabled()


def test_the_mode_comes_back_after_a_failure(digits):
    model = nn.Sequential(nn.Linear(1, 1))
    with pytest.raises(RuntimeError):
        score(model, digits)
    assert model.training


def test_scores_read_like_the_documented_log():
    text = str(Scores(loss=0.33741, correct=9641, total=10_000))
    assert text == "Average loss: 0.3374, Accuracy: 9641/10000 (96.41%)"


def test_test_counts_the_official_file():
    correct, total = evaluate.test(Always(7))
    assert (correct, total) == (1028, 10_000)  # the sevens of the test file


def test_the_command_evaluates_a_checkpoint(command, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(packed(Net().state_dict()))
    done = command("evaluate", "weights.safetensors", "--limit", 100)
    assert done.returncode == 0, done
    assert done.stdout.startswith("Test set: Average loss: ")
    assert "/100 (" in done.stdout


def test_the_command_refuses_a_checkpoint_of_another_network(refused, tmp_path):
    save_file(nn.Linear(3, 2).state_dict(), tmp_path / "other")
    assert "`other` holds another network" in refused("evaluate", "other")


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "does not exist"), (b"short", "is no whole safetensors file")]
)
def test_the_command_refuses_what_is_no_checkpoint(tmp_path, capsys, content, expected):
    path = tmp_path / "weights"
    if content is not None:
        path.write_bytes(content)
    assert execute(partial(evaluate.main, [str(path)])) == 2
    assert f"error: `{path}` {expected}" in capsys.readouterr().err
