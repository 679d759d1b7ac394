"""`archcheck train` as a process."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.foundation.test_whole_files import IRREGULAR
from tests.pages.page_blocks import the_block
from tests.support.cli_samples import environment, write
from tests.workers.test_training import CONTRACT, make

FILES = {
    "net_py": """
        from torch import nn

        class Net(nn.Sequential):
            def __init__(self):
                super().__init__(nn.Linear(3, 4))
    """,
    "school_py": """
        def run(model, *, seed, epochs=2):
            print("the trainer prints")
            for epoch in range(epochs):
                yield {"loss": 1 / (epoch + 1)}

        def test(model):
            return 1234, 2000
    """,
    "archcheck_toml": """
        [subjects.net]
        model = "net.py:Net"
        [subjects.net.training]
        train = "school.py:run"
        evaluate = "school.py:test"
        record = "record.json"
    """,
}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, **FILES)
    return tmp_path


def test_a_run_is_shown_and_recorded(archcheck, folder):
    run = archcheck("train", "net", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ("net: seed 0, 2 epochs, 1,234 of 2,000 correct on the test set\nrecorded in record.json\n")
    assert "archcheck: note: seed 0, epoch 2, loss 0.5" in run.stderr
    assert "the trainer prints" in run.stderr
    (kept,) = json.loads((folder / "record.json").read_text())["runs"]
    assert kept["test"] == {"correct": 1234, "total": 2000}


def test_a_trial_is_not_recorded(archcheck, folder):
    run = archcheck("train", "net", "--epochs", "1", "--seed", "3", "--seed", "5", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "net: seed 3, 1 epoch, 1,234 of 2,000 correct on the test set",
        "net: seed 5, 1 epoch, 1,234 of 2,000 correct on the test set",
        "a trial: nothing is recorded",
    ]
    assert not (folder / "record.json").exists()


def undecided(folder, counts, rule="{ limit = 0.9 }", total=1000, epochs=1):
    """Have a trainer whose seeds have these results on the test set, and promise `rule` of it."""
    write(
        folder,
        school_py=f"""
            correct = None

            def run(model, *, seed, epochs={epochs}):
                global correct
                correct = {list(counts)}[seed]
                for epoch in range(epochs):
                    yield {{"validation_accuracy": correct / {total}}}

            def test(model):
                return correct, {total}
        """,
        archcheck_toml=FILES["archcheck_toml"] + f"    [subjects.net.rules]\n        min-accuracy = {rule}\n",
    )
    return folder


def recorded(folder):
    return json.loads((folder / "record.json").read_text())


def test_seeds_are_added_until_the_accuracy_is_known_to_be_kept(archcheck, folder):
    """Four seeds are the first that may tell: 15.002 * 0.5 / 2 = 3.7505 examples off; five: 5.110 * 0.5 / 5 ** 0.5."""
    undecided(folder, [904, 904, 903, 904, 904, 0])
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "net: seed 0, 1 epoch, 904 of 1,000 correct on the test set",
        "net: min-accuracy undecided: mean test accuracy 90.40% over 1 seed, limit 90.00%; "
        "needs more seeds: one gives no bound",
        "net: seed 1, 1 epoch, 904 of 1,000 correct on the test set",
        "net: min-accuracy undecided: mean test accuracy 90.40% over 2 seeds, limit 90.00%; "
        "needs more seeds: about 4 in all",
        "net: seed 2, 1 epoch, 903 of 1,000 correct on the test set",
        "net: min-accuracy undecided: mean test accuracy 90.37% over 3 seeds, limit 90.00%; "
        "needs more seeds: about 5 in all",
        "net: seed 3, 1 epoch, 904 of 1,000 correct on the test set",
        "net: min-accuracy undecided: mean test accuracy 90.3750% over 4 seeds, between 89.9999% and 90.7501% "
        "(95% sure of each), limit 90.0000%; needs more seeds: about 5 in all",
        "net: seed 4, 1 epoch, 904 of 1,000 correct on the test set",
        "net: min-accuracy kept: mean test accuracy 90.38% over 5 seeds, at least 90.27% (95% sure), limit 90.00%",
        "kept; recorded in record.json",
    ]
    record = recorded(folder)
    assert [each["seed"] for each in record["runs"]] == [0, 1, 2, 3, 4]
    assert record["stopping"] == {
        "procedure": "until-decided",
        "bounds": "anytime",
        "max_seeds": 20,
        "rules": {"min-accuracy": {"mode": "recipe", "limit": 0.9, "confidence": 0.95}},
    }


def test_an_accuracy_that_is_missed_ends_with_1(archcheck, folder):
    undecided(folder, [880, 884, 882, 881, 883])
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 1, run.stderr
    assert run.stdout.splitlines()[-2:] == [
        "net: min-accuracy broken: mean test accuracy 88.17% over 4 seeds, at most 89.46% (95% sure), limit 90.00%",
        "broken; recorded in record.json",
    ]


def test_what_is_not_decided_at_the_cap_is_given_up_and_may_be_gone_on_with(archcheck, folder):
    undecided(folder, [904, 904, 903, 904, 904])
    run = archcheck("train", "net", "--until-decided", "--max-seeds", "3", cwd=folder)
    assert run.returncode == 1, run.stderr
    assert run.stdout.splitlines()[-1] == "undecided, and --max-seeds is 3; recorded in record.json"
    assert len(recorded(folder)["runs"]) == 3
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0].startswith("net: min-accuracy undecided: mean test accuracy 90.37% over 3 seeds")
    assert lines[1].startswith("net: seed 3, ")
    assert lines[-1] == "kept; recorded in record.json"
    before = (folder / "record.json").read_bytes()
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 2
    assert (folder / "record.json").read_bytes() == before


def test_a_trainer_that_fails_leaves_the_seeds_before_it(archcheck, folder):
    undecided(folder, [904, 904])
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 2
    assert "IndexError" in run.stderr
    assert "Traceback" not in run.stderr
    assert len(recorded(folder)["runs"]) == 2


def test_as_many_seeds_as_are_promised_are_trained_though_it_is_known_before(archcheck, folder):
    undecided(folder, [990] * 6, "{ limit = 0.9, seeds = 6 }")
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "over 5 seeds, at least 98.89% (95% sure), limit 90.00%; 6 seeds are promised\n" in run.stdout
    assert len(recorded(folder)["runs"]) == 6


def test_the_epochs_to_a_target_take_seven_seeds(archcheck, folder):
    undecided(folder, [904] * 8, '{ limit = 0.9, mode = "epochs-to-target", within-epochs = 1 }')
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "validation accuracy 90.00% after 1 epochs in the median of 7 seeds, at most 1 (95% sure)" in run.stdout
    assert len(recorded(folder)["runs"]) == 7


def test_a_flawed_run_breaks_it_at_once(archcheck, folder):
    undecided(folder, [904] * 8, "{ limit = 0.9, within-epochs = 1 }", epochs=2)
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 1, run.stderr
    assert "net: min-accuracy broken: seed 0 trained 2 epochs, 1 are allowed\n" in run.stdout
    assert len(recorded(folder)["runs"]) == 1


@pytest.mark.parametrize(
    ("words", "rule", "says"),
    [
        (["--until-decided", "--seed", "1"], "0.9", "--until-decided chooses the seeds itself"),
        (["--until-decided", "--epochs", "1"], "0.9", "leave out --seed and --epochs"),
        (["--max-seeds", "3"], "0.9", "--max-seeds bounds what --until-decided adds"),
        (["--until-decided"], "false", "`net` at archcheck.toml:2 promises no accuracy of its recipe"),
        (["--until-decided"], '{ limit = 0.9, mode = "artifact" }', "promises no accuracy of its recipe"),
        (
            ["--until-decided", "--max-seeds", "3"],
            "{ limit = 0.9, seeds = 4 }",
            "promises 4 seeds, and --max-seeds is 3",
        ),
        (["--until-decided", "--max-seeds", "0"], "0.9", "--max-seeds"),
    ],
)
def test_misuse_is_one_clear_line(archcheck, folder, words, rule, says):
    undecided(folder, [], rule)
    run = archcheck("train", "net", *words, cwd=folder)
    assert run.returncode == 2
    assert run.stdout == ""
    assert says in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_nothing_is_concluded_from_the_record_of_another_model(archcheck, folder):
    undecided(folder, [990] * 9)
    assert archcheck("train", "net", "--until-decided", cwd=folder).returncode == 0
    (folder / "net.py").write_text((folder / "net.py").read_text() + "# another\n")
    run = archcheck("train", "net", "--until-decided", cwd=folder)
    assert run.returncode == 2
    assert "is of another model: `net.py` is not the source that was trained" in run.stderr


def test_the_manual_shows_a_real_run(archcheck, tmp_path):
    """The figures are left out: another processor may put an example on the other side."""
    make(tmp_path)
    wanted = CONTRACT.replace("limit = 0.9,", "limit = 0.95,").replace(", seeds = 2", "")
    (tmp_path / "archcheck.toml").write_text(wanted)
    ((_, shown),) = the_block("console", "$ archcheck train halves --until-decided | tail -5\n").commands
    run = archcheck("train", "halves", "--until-decided", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    last = "".join(run.stdout.splitlines(keepends=True)[-5:])
    assert re.sub(r"\d+", "0", last) == re.sub(r"\d+", "0", shown)


def started(folder, *words):
    command = [sys.executable, "-m", "archcheck", "train", "net", *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def with_checkpoint(folder):
    write(folder, archcheck_toml=FILES["archcheck_toml"] + '        checkpoint = "c.safetensors"\n')


def test_trainings_at_once_lose_nothing(folder):
    with_checkpoint(folder)
    running = [started(folder), started(folder), started(folder, "--until-decided")]
    said = [each.communicate(timeout=300) for each in running]
    assert [each.returncode for each in running] == [0, 0, 2], said  # the last has nothing to decide
    assert [run["seed"] for run in recorded(folder)["runs"]] == [0, 1]
    waited = [line for _, errors in said[:2] for line in errors.splitlines() if " note: waiting for process " in line]
    assert len(waited) <= 1  # the first may have ended before the second came to it
    assert all(f", which adds to `{folder / 'record.json'}`; `--output FILE` " in line for line in waited)
    assert not [each.name for each in folder.iterdir() if each.suffix in (".lock", ".unsaved", ".partial")]


def test_a_training_that_is_killed_leaves_the_way_free(archcheck, folder):
    with_checkpoint(folder)
    quick = (folder / "school.py").read_text()
    (folder / "school.py").write_text(f"import time\n{quick}".replace(
        "        yield", "        if epoch: time.sleep(600)\n        yield"
    ))  # fmt: skip
    killed = started(folder)
    assert any("epoch 1" in line for line in killed.stderr)
    killed.kill()
    killed.communicate()
    assert not (folder / "record.json").exists()
    (folder / "school.py").write_text(quick)
    run = archcheck("train", "net", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert [run["seed"] for run in recorded(folder)["runs"]] == [0]
    assert not [each.name for each in folder.iterdir() if each.suffix in (".lock", ".unsaved", ".partial")]


def test_a_full_disk_is_found_out_before_the_training(folder):
    command = f"ulimit -f 100; exec '{sys.executable}' -m archcheck train net"
    run = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        f"archcheck: error: `{folder / 'record.json'}` cannot be written: File too large; "
        "mend that, or choose `--output FILE` in another folder\n"
    )
    assert not [each.name for each in folder.iterdir() if "record" in each.name]


@pytest.mark.parametrize("make", IRREGULAR)
def test_a_record_that_is_no_file_is_found_out_before_the_training(archcheck, folder, monkeypatch, make):
    monkeypatch.chdir(folder)  # as the name of a socket must be short
    make(Path("record.json"))
    contract = folder / "archcheck.toml"
    contract.write_text(contract.read_text() + "[subjects.net.rules]\nrecord-matches-model = true\n")
    for words in (["net"], ["net", "--output", str(folder / "record.json")]):
        run = archcheck("train", *words, cwd=folder)
        assert run.returncode == 2
        assert run.stderr == (
            f"archcheck: error: `{folder / 'record.json'}` is not a record: it is neither a file nor a folder; "
            "move it away or choose `--output`\n"
        )
    run = archcheck("check", cwd=folder)
    assert run.returncode == 2
    assert "the record cannot be read: it is neither a file nor a folder" in run.stdout


def test_a_run_that_could_not_be_saved_is_taken_in_by_the_same_command(archcheck, folder):
    """A folder comes into the record's place while it trains, so that no rename can put the record there."""
    (folder / "school.py").write_text(
        (folder / "school.py").read_text().replace("    return 1234", "    os.mkdir('record.json'); return 1234")
    )
    (folder / "school.py").write_text("import os\n" + (folder / "school.py").read_text())
    run = archcheck("train", "net", "--seed", "4", cwd=folder)
    assert run.returncode == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("archcheck: error: ")]
    assert f"; the run of seed 4 is kept in `{folder / 'record.json.unsaved'}`: mend that, and the next" in line
    (folder / "record.json").rmdir()
    run = archcheck("train", "net", "--seed", "4", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "net: seed 4, 2 epochs, 1,234 of 2,000 correct on the test set\nrecorded in record.json\n"
    assert "note: took in the run of seed 4 from " in run.stderr
    assert [run["seed"] for run in recorded(folder)["runs"]] == [4]
    assert not (folder / "record.json.unsaved").exists()
