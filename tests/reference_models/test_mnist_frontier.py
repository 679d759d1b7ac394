"""The frontier: small networks with a contract each, and a table and a plot that say what their records say."""

import math

import pytest
import torch

import archcheck
import archcheck.cli
from reference_models.mnist import recipes, record, train
from reference_models.mnist.errors import UsageError
from reference_models.mnist.frontier import NETWORKS, trainer
from reference_models.mnist.loop import Training
from tests.pages.page_blocks import ROOT, the_block

FOLDER = ROOT / "reference_models" / "mnist" / "frontier"
RECORDS = sorted(FOLDER.glob("record-*.json"))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_the_parameters_of_its_name_and_gives_log_probabilities(name):
    net = NETWORKS[name]().eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == int(name.rpartition("_")[2])
    with torch.no_grad():
        out = net(torch.randn(3, 1, 28, 28))
    assert out.shape == (3, 10)
    assert torch.allclose(out.exp().sum(dim=1), torch.ones(3), atol=1e-5)


def test_in_evaluation_five_views_of_a_digit_are_averaged():
    net = NETWORKS["separable_325"]().eval()
    images = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        upright = net.straighten(images)
        places = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
        answers = [net._answers(torch.roll(upright, place, (2, 3))).exp() for place in places]
        torch.testing.assert_close(net(images).exp(), torch.stack(answers).mean(dim=0))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_its_contract(name):
    archcheck.check(NETWORKS[name](), contract=FOLDER / "archcheck.toml", subject=name).verify()


def test_no_network_has_a_number_that_is_no_parameter_but_statistics():
    for make in NETWORKS.values():
        names = {name.rpartition(".")[2] for name, _ in make().named_buffers()}
        assert names == {"running_mean", "running_var", "num_batches_tracked"}


def test_the_first_step_moves_every_parameter(sets):
    net = train.build(recipes.FRONTIER, 0, "separable_325")
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    few = type(sets[0])(images=sets[0].images[:64], labels=sets[0].labels[:64])
    (row,) = Training(net, recipes.FRONTIER.lasting(1), 0, few, few).remaining()
    assert math.isfinite(row["loss"])
    for name, parameter in net.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_the_contracts_trainer_uses_the_recipe_of_the_frontier():
    rows = list(trainer.run(NETWORKS["separable_325"](), seed=0, epochs=1, limit=32))
    assert [row["about"]["recipe"]["name"] for row in rows] == ["frontier"]
    assert trainer.describe() == record.describe("frontier")


def test_the_seed_decides_the_first_weights():
    first, again, other = (train.build(recipes.FRONTIER, seed, "separable_325").stem.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="`separable_9` is not a network of the frontier; pass one of `separable_325`"):
        train.build(recipes.FRONTIER, 0, "separable_9")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_of_its_network_and_of_the_recipe(path):
    content = record.read_record(path)
    net = NETWORKS[path.stem.partition("-")[2]]()
    described = record.header(net, recipes.FRONTIER)
    for part in ("schema", "model", "recipe", "data"):
        assert content[part] == described[part]
    for run in content["runs"]:
        assert [row["epoch"] for row in run["epochs"]] == list(range(1, recipes.FRONTIER.epochs + 1))
        assert run["test"]["total"] == 10_000
    assert [run["seed"] for run in content["runs"]] == list(range(len(content["runs"])))


def test_the_table_and_the_plot_say_what_the_records_say(capsys, monkeypatch):
    """By the command of the page, which has to find nothing to write."""
    monkeypatch.chdir(ROOT)
    command = the_block("sh", "archcheck sync archcheck/pages/frontier.md").text.replace("\\\n", " ").split()
    assert command[0] == "archcheck"
    assert archcheck.cli.main([*command[1:], "--check"]) == 0
    assert capsys.readouterr().out.count("same") == 2
