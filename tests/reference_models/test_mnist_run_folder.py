import json
from dataclasses import replace
from itertools import count

import pytest
import torch
from safetensors.torch import load_file, save_file

from reference_models.mnist import recipes, run_folder
from reference_models.mnist.checkpoint import write_atomically
from reference_models.mnist.digest import of_bytes
from reference_models.mnist.documents import difference
from reference_models.mnist.errors import RunError
from reference_models.mnist.loop import Training
from reference_models.mnist.recipes import RECIPES
from reference_models.mnist.run_folder import RunFolder
from reference_models.mnist.train import build
from tests.foundation.test_whole_files import full_after

IDENTITY = {"seed": 0, "recipe": {"name": "A", "settings": {"betas": [0.9, 0.999]}}}


class Killed(BaseException):
    """Stands for a kill: nothing of ours may catch it."""


@pytest.fixture
def folder(tmp_path):
    return RunFolder(path=tmp_path / "run", identity=IDENTITY)


@pytest.fixture
def sets(sets):
    """As many images as take one step, so that an epoch takes no time."""
    return tuple(part.take(torch.arange(60)) for part in sets)


def training(sets, recipe=recipes.A, epochs=3):
    recipe = recipe.lasting(epochs)
    return Training(build(recipe, 0, "separable_325" if recipe.name == "frontier" else None), recipe, 0, *sets)


def trained(sets, folder, recipe=recipes.A, epochs=3):
    """Do what the trainer does with a folder: go on where it stopped, save each epoch."""
    folder.prepare(resume=True)
    one = training(sets, recipe, epochs)
    folder.restore(one)
    for _ in one.remaining():
        folder.save(one)
    return one


def outcome(one, folder):
    rows = [{**row, "cpu_seconds": 0} for row in one.rows]
    return rows, (folder.path / "last.safetensors").read_bytes(), (folder.path / "best.safetensors").read_bytes()


@pytest.mark.parametrize("batch_size", [64, 3])
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_resumed_after_each_epoch_ends_bit_equal(sets, tmp_path, name, batch_size):
    """After one step an epoch, and after enough to turn the axes of `Soap`, where products of matrices begin."""
    recipe = replace(RECIPES[name], batch_size=batch_size)
    whole, parts = (RunFolder(path=tmp_path / kind, identity=IDENTITY) for kind in ("whole", "parts"))
    expected = outcome(trained(sets, whole, recipe), whole)
    for _ in range(3):
        parts.prepare(resume=True)
        one = training(sets, recipe)
        parts.restore(one)
        next(one.remaining())
        parts.save(one)
    assert outcome(one, parts) == expected


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_restored_state_lies_in_memory_as_it_did(sets, folder, recipe):
    # Another layout takes other kernels, which need not round alike.
    before, after = trained(sets, folder, recipe, epochs=1), training(sets, recipe, epochs=1)
    folder.restore(after)
    assert strides(after) == strides(before)
    # So do products at another alignment, which the tensors of a file have.
    states = [tensor for state in after.optimizer.state.values() for tensor in state.values()]
    assert {tensor.data_ptr() % 64 for tensor in states if isinstance(tensor, torch.Tensor)} == {0}


def strides(one):
    states = one.optimizer.state_dict()["state"].items()
    return {(index, name): tensor.stride() for index, state in states for name, tensor in state.items()}


def test_a_kill_before_any_write_does_no_harm(sets, tmp_path, monkeypatch):
    whole = RunFolder(path=tmp_path / "whole", identity=IDENTITY)
    expected = outcome(trained(sets, whole), whole)
    write = run_folder.write_atomically
    for fatal in count(1):
        folder, writes = RunFolder(path=tmp_path / str(fatal), identity=IDENTITY), count()

        def fragile(path, content, fatal=fatal, writes=writes):
            if next(writes) == fatal:
                raise Killed
            write(path, content)

        monkeypatch.setattr(run_folder, "write_atomically", fragile)
        try:
            trained(sets, folder)
        except Killed:
            monkeypatch.setattr(run_folder, "write_atomically", write)
            assert outcome(trained(sets, folder), folder) == expected
        else:
            break
    assert fatal > 9  # at least a weights file, its description and the state in each of three epochs


def test_weights_are_described_with_their_digest(sets, folder):
    trained(sets, folder)
    for name in ("last", "best"):
        described = json.loads((folder.path / f"{name}.json").read_text())
        assert described["file"] == f"{name}.safetensors"
        assert described["sha256"] == of_bytes((folder.path / described["file"]).read_bytes())
        assert described["seed"] == 0
    assert described["epoch"] <= 3


def test_the_best_checkpoint_is_that_of_the_best_validation_epoch(sets, folder):
    one = training(sets)
    folder.prepare(resume=False)
    kept = []
    for row, correct in zip(one.remaining(), (5, 9, 9), strict=True):
        row["validation_correct"] = correct
        folder.save(one)
        kept.append((folder.path / "last.safetensors").read_bytes())
    assert (folder.path / "best.safetensors").read_bytes() == kept[1] != kept[2]
    assert json.loads((folder.path / "best.json").read_text())["epoch"] == 2


def test_an_occupied_folder_is_refused_unless_resumed(folder):
    folder.prepare(resume=False)
    folder.prepare(resume=False)
    (folder.path / "something").touch()
    with pytest.raises(RunError, match="is not empty; pass `--resume` to go on, or another `--output`"):
        folder.prepare(resume=False)
    folder.prepare(resume=True)


def test_a_folder_that_is_trained_into_is_refused(folder):
    with folder.held(resume=False):
        again = RunFolder(path=folder.path.parent / "." / folder.path.name, identity=IDENTITY)
        with (
            pytest.raises(RunError, match="is being trained into by another process; wait, or pass `--output`"),
            again.held(resume=True),
        ):
            pass
    with folder.held(resume=False):  # nothing is left of it
        assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("left", [".writable", "..writable.unfinished"])
def test_what_a_kill_left_of_the_first_look_blocks_nothing(folder, left):
    folder.path.mkdir()
    (folder.path / left).touch()
    with folder.held(resume=False):
        assert not (folder.path / ".writable").exists()


def test_a_full_disk_leaves_the_old_file_alone(tmp_path):
    write_atomically(tmp_path / "a", b"before")
    with full_after(3), pytest.raises(RunError, match=r"`.*a` cannot be written: File too large; make room or pass"):
        write_atomically(tmp_path / "a", b"after it")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a", b"before")]


def test_a_state_of_another_run_is_refused(sets, folder):
    trained(sets, folder, epochs=1)
    other = RunFolder(path=folder.path, identity={**IDENTITY, "seed": 1})
    with pytest.raises(RunError, match="holds another run: `seed` is 0, expected 1; pass another `--output`"):
        other.restore(training(sets))


def test_a_state_is_refused_when_truncated_or_written_by_others(sets, folder):
    one = trained(sets, folder, epochs=1)
    path = folder.path / "resume.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="is no whole safetensors file"):
        folder.restore(one)
    save_file({"one": torch.ones(1)}, path)
    with pytest.raises(RunError, match="was not written by this trainer"):
        folder.restore(one)


def test_a_finished_run_is_known_by_its_record(sets, folder):
    trained(sets, folder, epochs=1)
    assert not folder.finished()
    record = {"schema": 1, "model": {}, "data": {}, "environment": {}, "runs": [], **IDENTITY}
    folder.finish(record)
    assert folder.finished()
    other = RunFolder(path=folder.path, identity={**IDENTITY, "seed": 1})
    with pytest.raises(RunError, match="`seed` is 0, expected 1"):
        other.finished()


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"runs": '])
def test_a_broken_record_is_refused(folder, content):
    folder.prepare(resume=False)
    (folder.path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json` is no "):
        folder.finished()


def test_the_last_checkpoint_holds_weights_alone(sets, folder):
    one = trained(sets, folder, epochs=1)
    assert load_file(folder.path / "last.safetensors").keys() == one.model.state_dict().keys()


def test_differences_are_named_by_their_path():
    assert difference(IDENTITY, IDENTITY) is None
    assert difference({**IDENTITY, "more": 1}, IDENTITY) is None
    # What was written as a tuple is read back as a list.
    assert difference({"betas": [0.9]}, {"betas": (0.9,)}) is None
    assert difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "`a.b` is 1, expected 2"
    assert difference({"a": 1}, {"a": {"b": 2}}) == "`a.b` is null, expected 2"
    assert difference({}, {"a": "x"}) == '`a` is null, expected "x"'
