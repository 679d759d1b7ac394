"""`model = "students/*/model.py"`: a subject for each file."""

import os
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.foundation.errors import ContractError


def _subjects(folder: Path, model: str, more: str = "", *, files: tuple[str, ...] = ()) -> dict[str, str]:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "archcheck.toml").write_text(f"[subjects.work]\nmodel = '{model}'\n{more}\n", encoding="utf-8")
    return {entry.name: entry.model for entry in load(folder / "archcheck.toml").subjects}


STUDENTS = ("students/ben/model.py", "students/ada/model.py", "students/ada/spare.py", "students/.git/model.py")


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("students/*/model.py", ["work[ada]", "work[ben]"]),
        ("students/{student}/model.py", ["work[ada]", "work[ben]"]),
        ("students/a*/model.py", ["work[da]"]),
        ("students/*/*.py", ["work[ada/model]", "work[ada/spare]", "work[ben/model]"]),
        ("students/[!b]*/model.py", ["work[ada]"]),
        ("**/model.py", ["work[students/ada]", "work[students/ben]"]),
        ("students/*/*e*.py", ["work[ada/model]", "work[ada/spare]", "work[ben/model]"]),
        ("students/{name}/{name}.py", ["work"]),
        ("students/*/net.py", ["work"]),
        ("students/ada/model.py", ["work"]),
    ],
)
def test_each_file_is_a_subject_named_by_what_the_wildcards_match(tmp_path: Path, model: str, names: list[str]) -> None:
    assert list(_subjects(tmp_path, model, files=STUDENTS)) == names


def test_the_class_of_a_file_is_kept(tmp_path: Path) -> None:
    found = _subjects(tmp_path, "students/*/model.py:Net", files=STUDENTS)
    assert found == {"work[ada]": "students/ada/model.py:Net", "work[ben]": "students/ben/model.py:Net"}


def test_a_file_of_that_very_name_is_no_pattern(tmp_path: Path) -> None:
    assert _subjects(tmp_path, "net[1].py", files=("net[1].py", "net1.py")) == {"work": "net[1].py"}


@pytest.mark.parametrize("model", ["students/*/model.py", "students/{student}/model.py", "students/?*/model.py"])
def test_a_student_called_like_the_pattern_takes_nobodys_place(tmp_path: Path, model: str) -> None:
    late = model.split("/")[1]
    found = _subjects(tmp_path, model, files=(*STUDENTS, model))
    assert set(found.values()) == {"students/ada/model.py", "students/ben/model.py", f"students/{late}/model.py"}
    assert len(found) == 3
    alone = _subjects(tmp_path / "alone", "net{2}.py", files=("net{2}.py",))
    assert alone == {"work": "net{2}.py"}


def test_another_file_changes_no_name(tmp_path: Path) -> None:
    before = _subjects(tmp_path, "students/*/model.py", files=STUDENTS)
    late = ("students/eve]/model.py", "students/ada[a.pt]/model.py", "students/new\nline/model.py")
    after = _subjects(tmp_path, "students/*/model.py", files=late)
    assert before.items() <= after.items()
    assert len(after) == len(before) + len(late)


def test_a_name_that_is_no_text_is_written_as_its_bytes(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "students") + b"/\xff"
    try:
        Path(os.fsdecode(folder)).mkdir(parents=True)
        Path(os.fsdecode(folder), "model.py").touch()
    except OSError:
        pytest.skip("this file system has names of text alone")
    assert list(_subjects(tmp_path, "students/*/model.py")) == [r"work[\xff]"]


def test_texts_hold_the_name(tmp_path: Path) -> None:
    more = """
        weights = "students/{name}/{other}.pt"
        args = { seed = 1, path = "{name}" }
        training = { record = "students/{name}/record.json" }
        rules.max-params = { limit = 1, title = "Small, {name}" }
        [[subjects.work.waivers]]
        rule = "max-params"
        reason = "{name} asked for it"
    """
    _subjects(tmp_path, "students/*/model.py", more, files=STUDENTS)
    ada, _ben = load(tmp_path / "archcheck.toml").subjects
    assert (ada.family, ada.member) == ("work", "ada")
    assert ada.weights == "students/ada/{other}.pt"
    assert ada.args == {"seed": 1, "path": "ada"}
    assert ada.training is not None
    assert ada.training.record == "students/ada/record.json"
    assert ada.rules[0].rule.title == "Small, ada"
    assert ada.waivers[0].reason == "ada asked for it"


def test_named_wildcards_are_words_of_their_own(tmp_path: Path) -> None:
    more = 'weights = "{student}-{task}.pt"'
    _subjects(tmp_path, "{student}/{task}/model.py", more, files=("ada/one/model.py",))
    (entry,) = load(tmp_path / "archcheck.toml").subjects
    assert (entry.name, entry.weights) == ("work[ada/one]", "ada-one.pt")


def test_a_name_that_a_rule_refuses_spoils_no_other_subject(tmp_path: Path) -> None:
    more = 'rules.max-params = { limit = 1, title = "{name}" }\nrules.requires = { kinds = "conv", on = "{name}" }'
    found = _subjects(tmp_path, "*/model.py", more, files=("ada/model.py", "a b/model.py", "*[/model.py"))
    assert len(found) == 3


def test_the_family_stands_for_all(tmp_path: Path) -> None:
    _subjects(tmp_path, "students/*/model.py", 'weights = ["a.pt", "b.pt"]', files=STUDENTS)
    contract = load(tmp_path / "archcheck.toml")
    assert [entry.name for entry in contract.named("work")] == [
        "work[ada][a.pt]", "work[ada][b.pt]", "work[ben][a.pt]", "work[ben][b.pt]",
    ]  # fmt: skip


def test_files_that_the_wildcards_match_alike_are_named_by_their_paths(tmp_path: Path) -> None:
    files = ("x/s/y/z/m.py", "x/y/s/z/m.py", "v/s/w/m.py")
    assert _subjects(tmp_path, "**/s/**/m.py", files=files) == {
        "work[v/w]": "v/s/w/m.py", "work[x/s/y/z/m.py]": "x/s/y/z/m.py", "work[x/y/s/z/m.py]": "x/y/s/z/m.py",
    }  # fmt: skip


def test_a_subject_may_not_have_the_name_of_one_by_pattern(tmp_path: Path) -> None:
    more = '[subjects."work[ada]"]\nmodel = "spare.py"\n[subjects."work[eve]"]\nmodel = "spare.py"'
    with pytest.raises(ContractError) as raised:
        _subjects(tmp_path, "students/*/model.py", more, files=STUDENTS)
    assert str(raised.value).endswith(
        'archcheck.toml:3: "work[ada]" is the name of "students/ada/model.py", by the pattern of "work", too; '
        "choose another"
    )
