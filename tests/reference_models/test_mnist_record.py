import hashlib
import json
import shutil
from functools import partial

import pytest
from safetensors.torch import load_file

from reference_models.mnist import digest, evaluate, recipes, record, train
from reference_models.mnist.checkpoint import load_weights
from reference_models.mnist.command import execute
from reference_models.mnist.documents import sealed
from reference_models.mnist.errors import RunError
from reference_models.mnist.evaluate import Scores
from reference_models.mnist.model import Net

ROW = {
    "learning_rate": 0.1,
    "loss": 0.5,
    "train_accuracy": 0.9,
    "validation_loss": 0.4,
    "validation_total": 10,
    "cpu_seconds": 1.0,
}


def trained(path, *arguments):
    line = ["--limit", "50", "--epochs", "1", "--output", str(path), *arguments]
    assert execute(partial(train.main, line)) == 0
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs of seeds 0 and 1."""
    folder = tmp_path_factory.mktemp("runs")
    return [trained(folder / f"A-{seed}", "--seed", str(seed)) for seed in (0, 1)]


def test_runs_are_collected_with_the_first_ones_last_weights(runs, tmp_path):
    first, second = reversed(runs)
    collected = record.collect([first, second], tmp_path / "record.json")
    assert collected == json.loads((tmp_path / "record.json").read_text())
    assert [run["seed"] for run in collected["runs"]] == [1, 0]
    weights = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert weights == (first / "last.safetensors").read_bytes()
    assert collected["checkpoint"] == {
        "file": "checkpoint.safetensors",
        "sha256": digest.of_bytes(weights),
        "seed": 1,
        "epoch": 1,
    }


def test_the_schema_is_the_published_one(runs, tmp_path):
    collected = record.collect(runs, tmp_path / "record.json")
    assert list(collected) == ["schema", "model", "recipe", "data", "environment", "runs", "checkpoint", "digest"]
    assert collected["schema"] == 1
    assert list(collected["model"]) == ["class", "source", "sha256", "parameters", "state"]
    assert list(collected["recipe"]) == ["name", "sha256", "settings"]
    assert list(collected["data"]) == ["name", "files", "split", "test"]
    assert list(collected["data"]["split"]) == ["train", "validation", "seed", "sha256"]
    assert list(collected["environment"]) == ["torch", "python", "threads"]
    assert list(collected["runs"][0]) == ["seed", "epochs", "selected", "best_validation", "test"]
    assert list(collected["runs"][0]["epochs"][0]) == [
        "epoch",
        "learning_rate",
        "loss",
        "train_accuracy",
        "validation_loss",
        "validation_correct",
        "validation_total",
        "cpu_seconds",
    ]
    assert list(collected["runs"][0]["test"]) == ["correct", "total", "loss"]


def test_an_entry_reports_the_last_epochs_test_and_only_names_the_best():
    rows = [{**ROW, "epoch": epoch, "validation_correct": correct} for epoch, correct in ((1, 9), (2, 8))]
    entry = record.entry(4, rows, Scores(loss=0.1, correct=7, total=10))
    assert entry["selected"] == "last"
    assert entry["best_validation"] == {"epoch": 1, "correct": 9, "total": 10}
    assert entry["test"] == {"correct": 7, "total": 10, "loss": 0.1}
    assert entry["epochs"] == rows


def test_runs_of_different_recipes_are_not_mixed(runs, tmp_path):
    other = trained(tmp_path / "B", "--recipe", "B", "--seed", "7")
    with pytest.raises(RunError, match=r'are runs of different things: `recipe.name` is "B", expected "A"'):
        record.collect([runs[0], other], tmp_path / "record.json")
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("part", ["model", "recipe", "data"])
def test_runs_of_different_digests_are_not_mixed(runs, tmp_path, part):
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    changed = json.loads((other / "run.json").read_text())
    (changed[part] if part != "data" else changed[part]["split"])["sha256"] = "0" * 64
    (other / "run.json").write_text(json.dumps(sealed(changed)))
    with pytest.raises(RunError, match=f"`{part}.*sha256` is"):
        record.collect([runs[0], other], tmp_path / "record.json")


def test_runs_join_an_earlier_record(runs, tmp_path):
    first, second = runs
    earlier = record.collect([first], tmp_path / "record.json")
    collected = record.collect([tmp_path / "record.json", second], tmp_path / "record.json")
    assert collected["runs"] == record.collect(runs, tmp_path / "at-once.json")["runs"]
    assert [run["seed"] for run in collected["runs"]] == [0, 1]
    assert collected["checkpoint"] == earlier["checkpoint"]


def test_a_record_of_another_name_has_weights_of_its_own(runs, tmp_path):
    collected = record.collect(runs, tmp_path / "record-B.json")
    assert collected["checkpoint"]["file"] == "checkpoint-B.safetensors"
    assert digest.of_bytes((tmp_path / "checkpoint-B.safetensors").read_bytes()) == collected["checkpoint"]["sha256"]


def test_the_record_of_something_else_is_not_replaced(runs, tmp_path):
    output = tmp_path / "record.json"
    record.collect(runs[:1], output)
    record.collect(runs, output)  # of the same recipe it may be
    other = trained(tmp_path / "B", "--recipe", "B")
    before = output.read_bytes()
    with pytest.raises(RunError, match=r"record.json` is the record of something else: `recipe.name` is .*--output"):
        record.collect([other], output)
    assert output.read_bytes() == before
    output.write_text("{}")  # what is no record is
    record.collect([other], output)


def test_the_digest_is_of_all_the_rest(runs, tmp_path):
    written = json.loads((runs[0] / "run.json").read_text())
    seal = written.pop("digest")
    assert seal == hashlib.sha256(json.dumps(written, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize("remove", [True, False])
def test_an_edited_run_is_refused(runs, tmp_path, remove):
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    edited = json.loads((other / "run.json").read_text())
    edited["runs"][0]["test"]["correct"] += 1
    if remove:
        del edited["digest"]
    (other / "run.json").write_text(json.dumps(edited))
    with pytest.raises(RunError, match=r"run\.json` was edited after it was written"):
        record.collect([other], tmp_path / "record.json")


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 1}', "[]"])
def test_what_is_no_record_is_refused(content, tmp_path):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RunError, match=r"record\.json`.* (cannot be read|is no record)"):
        record.collect([tmp_path / "record.json"], tmp_path / "other.json")


def test_a_seed_counts_once(runs, tmp_path):
    with pytest.raises(RunError, match=r"the runs' seeds \[0, 0\] repeat"):
        record.collect([runs[0], runs[0]], tmp_path / "record.json")


def test_weights_that_are_not_the_runs_are_refused(runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    (other / "last.safetensors").write_bytes(b"other")
    with pytest.raises(RunError, match="is not the run's: expected sha256"):
        record.collect([other], tmp_path / "record.json")


def test_the_command_refuses_what_is_no_finished_run(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    message = refused("record", "empty", "--output", "record.json")
    assert "`empty/run.json` cannot be read: no finished run; train into `empty` first" in message


def test_the_command_says_mean_spread_and_number(runs, command, tmp_path):
    done = command("record", *runs, "--output", "record.json")
    assert done.returncode == 0, done
    assert "Wrote record.json\nTest set, last epoch: mean " in done.stdout
    assert "n = 2" in done.stdout


def test_the_summary_is_worked_out_by_hand():
    tests = [{"test": {"correct": correct, "total": 1000}} for correct in (990, 992, 994)]
    expected = "Test set, last epoch: mean 99.200%, standard deviation 0.200, 99.00 to 99.40%, n = 3"
    assert record.summary({"runs": tests}) == expected
    assert record.summary({"runs": tests[:1]}) == "Test set, last epoch: mean 99.000%, 99.00 to 99.00%, n = 1"


def test_describe_knows_recipes_by_name():
    assert record.describe("A") == record.describe(recipes.A)
    assert record.describe("B")["recipe"]["name"] == "B"


@pytest.fixture(scope="module")
def committed():
    return json.loads(record.RECORD.read_text())


def test_the_committed_record_is_of_this_network_recipe_and_data(committed):
    described = json.loads(json.dumps(record.header(Net(), recipes.A)))
    for part in ("schema", "model", "recipe", "data"):
        assert committed[part] == described[part]


def test_the_committed_record_is_whole(committed):
    assert len(committed["runs"]) >= 3
    for run in committed["runs"]:
        assert [row["epoch"] for row in run["epochs"]] == list(range(1, 16))
        assert run["test"]["total"] == 10_000
        assert {row["validation_total"] for row in run["epochs"]} == {10_000}
    assert committed["checkpoint"]["seed"] == committed["runs"][0]["seed"]
    assert committed["checkpoint"]["epoch"] == 15


def test_the_trainers_claim_comes_from_the_record(committed):
    assert record.summary(committed) in train.__doc__


def test_the_committed_checkpoint_is_the_recorded_one(committed):
    path = record.RECORD.with_name(committed["checkpoint"]["file"])
    assert path == evaluate.COMMITTED
    assert digest.of_bytes(path.read_bytes()) == committed["checkpoint"]["sha256"]
    assert load_file(path).keys() == Net().state_dict().keys()


def test_the_committed_checkpoint_reaches_the_recorded_count(committed):
    model = Net()
    load_weights(model, evaluate.COMMITTED)
    correct, total = evaluate.test(model)
    assert total == 10_000
    # Another processor adds in another order, which may turn an image that lies on the edge.
    assert abs(correct - committed["runs"][0]["test"]["correct"]) <= 2


def test_without_runs_the_command_says_what_the_committed_records_say(capsys):
    assert execute(partial(record.main, [])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["A", "B", "sprint"]
    for path, line in zip(record.committed(), lines, strict=True):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert (
            line
            == f"{content['recipe']['name']}, {len(content['runs'][0]['epochs'])} epochs: {record.summary(content)}"
        )


@pytest.mark.parametrize("path", record.committed(), ids=lambda path: path.stem)
def test_every_committed_record_is_of_this_network_its_recipe_and_data(path):
    content = record.read_record(path)
    name = content["recipe"]["name"]
    described = json.loads(json.dumps(record.header(Net(), recipes.find(name))))
    for part in ("schema", "model", "recipe", "data"):
        assert content[part] == described[part]
    weights = path.with_name(content["checkpoint"]["file"])
    assert digest.of_bytes(weights.read_bytes()) == content["checkpoint"]["sha256"]
    for run in content["runs"]:
        assert [row["epoch"] for row in run["epochs"]] == list(range(1, recipes.find(name).epochs + 1))
        assert run["test"]["total"] == 10_000


@pytest.mark.parametrize(("name", "seeds", "mean", "least"), [("A", 10, 9950, 9940), ("sprint", 10, 9940, 0)])
def test_the_recipes_reach_what_is_said_of_them(name, seeds, mean, least):
    (path,) = [path for path in record.committed() if record.read_record(path)["recipe"]["name"] == name]
    counts = [run["test"]["correct"] for run in record.read_record(path)["runs"]]
    assert len(counts) == seeds
    assert sum(counts) >= mean * seeds
    assert min(counts) >= least
