"""`archcheck init --pyproject --ci`: a contract, a workflow and a hook for a repository that is there."""

import json
import os
import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from archcheck.cli import main
from archcheck.contract import load
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.installed_packages import origin
from archcheck.foundation.whole_files import write_together
from archcheck.integrations.repository import hook, uses_action, workflow_text
from archcheck.integrations.repository.pre_commit import has_hook, with_repository
from tests.action.workflow import ACTION, tool
from tests.pages.page_blocks import the_block

PROJECT = """\
# mine
[project]   # not to be touched
name =   "x"

[tool.other]
a = [ 1,2 ]  # kept"""
HOOK = hook(Path("pyproject.toml"))
COMMIT = "some/where@" + "0123456789" * 4
ADD = ["init", "--preset", "mnist-course", "--pyproject", "--ci", "--action", COMMIT]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def held(folder):
    """Return the files of a folder with their bytes."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_it_adds_three_things_touches_nothing_else_and_does_it_once(repository, capsys):
    (repository / ".pre-commit-config.yaml").write_text("# first\nrepos: []  # none\n")
    (repository / "other.yml").write_text("a: 1\n")
    assert main(ADD) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "written  pyproject.toml",
        "written  .github/workflows/archcheck.yml",
        "written  .pre-commit-config.yaml",
    ]
    once = held(repository)
    assert len(once) == 4
    assert once["other.yml"] == b"a: 1\n"
    assert once["pyproject.toml"].startswith(PROJECT.encode() + b"\n\n")
    assert once[".pre-commit-config.yaml"].startswith(b"# first\nrepos:  # none\n  - repo: local\n")
    assert [entry.name for entry in load(repository / "pyproject.toml").subjects] == ["entry"]
    assert main(ADD) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["kept"] * 3
    assert held(repository) == once


def test_the_contract_is_measured_and_then_kept(archcheck, repository):
    (repository / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self): super().__init__(4, 3)\n"
    )
    run = archcheck("init", "--pyproject", repository / "net.py", cwd=repository)
    assert (run.returncode, run.stdout) == (0, "written  pyproject.toml: added [tool.archcheck.subjects.net]\n")
    (entry,) = load(repository / "pyproject.toml").subjects
    assert (entry.model, len(held(repository))) == ("net.py:Net", 2)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"pyproject.toml": None}, "there is no pyproject.toml here"),
        ({"pyproject.toml": "a = "}, "not valid TOML"),
        ({"pyproject.toml": 'tool = { x = "1" }'}, "writes `tool` or `archcheck` in braces"),
        ({".pre-commit-config.yaml": "repos: ["}, ".pre-commit-config.yaml is not valid YAML (line 1)"),
        ({".pre-commit-config.yaml": "- repo: local"}, ".pre-commit-config.yaml is not a table with the key `repos`"),
        ({".pre-commit-config.yaml": "repos: {a: b}"}, "has a layout that the hook cannot be put into"),
        ({".github": "a file"}, "cannot write .github/workflows/archcheck.yml: Not a directory; nothing was changed"),
        ({"pyproject.toml": "tool.archcheck = {}"}, "writes `tool` or `archcheck` in braces"),
        ({".pre-commit-config.yaml/x": "a folder"}, ".pre-commit-config.yaml cannot be read: Is a directory; mend it"),
        ({".pre-commit-config.yaml": b"\xff"}, ".pre-commit-config.yaml is not UTF-8"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:20],
)
def test_when_one_of_them_cannot_be_written_nothing_is(repository, capsys, files, says):
    for name, content in files.items():
        file = repository / name
        file.unlink(missing_ok=True)
        file.parent.mkdir(exist_ok=True)
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = held(repository)
    assert main(ADD) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert held(repository) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["init", "--ci"], "`--ci` needs a contract"),
        (["init", "--pyproject"], "needs a model"),
        (["init", "--pyproject", "--output", "x.toml", "x.py"], "--output is not for"),
        (["init", "--action", COMMIT, "x.py"], "--action is for the workflow"),
        (["init", "--pyproject", "--action", COMMIT, "x.py"], "--action is for the workflow"),
        ([*ADD[:-1], "some/where"], "--action takes the repository"),
    ],
)
def test_words_that_do_not_go_together_are_refused(repository, capsys, words, says):
    assert main(words) == 2
    assert says in capsys.readouterr().err
    assert held(repository) == {"pyproject.toml": PROJECT.encode()}


def test_what_exists_is_kept_wherever_it_is(repository, capsys):
    """A contract of its own counts before that of `pyproject.toml`, and a workflow may have any name."""
    folder = repository / "nets"
    folder.mkdir()
    (folder / "archcheck.toml").write_text('[subjects.x]\nmodel = "x.py"\n')
    (folder / "requirements.txt").touch()
    workflows = repository / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "ci.yaml").write_text("# uses: nothing of .github/actions/archcheck\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["init", "--pyproject", "--ci"]) == 0
    told = capsys.readouterr().out
    assert "kept     archcheck.toml: it holds a contract\n" in told
    assert "for OWNER/REPO and REF" in told
    made = yaml.safe_load((workflows / "archcheck.yml").read_text())["jobs"]["archcheck"]["steps"]
    assert made[-2] == {"run": "python -m pip install --requirement requirements.txt", "working-directory": "nets"}
    assert made[-1]["with"] == {"config": "archcheck.toml", "working-directory": "nets"}
    (local,) = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["hooks"][0]["entry"] == "archcheck check --config nets/archcheck.toml"
    (workflows / "ci.yaml").write_text((workflows / "archcheck.yml").read_text())
    (workflows / "archcheck.yml").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["init", "--ci"]) == 0
    assert "kept     " in capsys.readouterr().out
    assert not (workflows / "archcheck.yml").exists()


@pytest.mark.parametrize("name", ["\U0001f600 é", "a\nb: c", "a'b\"c\\d", "# e: f", "${{ github.token }}"])
def test_the_folder_of_a_contract_may_have_any_name(repository, monkeypatch, name):
    folder = repository / name
    folder.mkdir()
    (repository / "pyproject.toml").rename(folder / "pyproject.toml")
    (repository / ".github" / "workflows" / "folder.yml").mkdir(parents=True)  # GitHub reads files only
    monkeypatch.chdir(folder)
    assert main(ADD) == 0
    made = yaml.safe_load((repository / ".github" / "workflows" / "archcheck.yml").read_text())
    meant = name.replace("${{", "${{ '${{' }}")  # an expression of GitHub, whose value is the text `${{`
    assert made["jobs"]["archcheck"]["steps"][-1]["with"] == {"config": "pyproject.toml", "working-directory": meant}
    (local,) = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert shlex.split(local["hooks"][0]["entry"]) == ["archcheck", "check", "--config", f"{name}/pyproject.toml"]
    assert yaml.safe_load(with_repository("repos: [{repo: a}]", local))["repos"][1] == local


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_folder_whose_name_is_not_utf_8_is_refused(repository, monkeypatch, capsys):
    folder = repository / os.fsdecode(b"\xff")
    folder.mkdir()
    (repository / "pyproject.toml").rename(folder / "pyproject.toml")
    before = held(repository)
    monkeypatch.chdir(folder)
    assert main(ADD) == 2
    assert "the name of \\udcff/pyproject.toml is not UTF-8" in capsys.readouterr().err
    assert held(repository) == before


def test_a_table_without_subjects_gets_them(repository, capsys):
    (repository / "pyproject.toml").write_text("[tool.archcheck]\n")
    assert main(ADD) == 0
    assert "written  pyproject.toml: added [tool.archcheck.subjects.entry]\n" in capsys.readouterr().out
    assert [entry.name for entry in load(repository / "pyproject.toml").subjects] == ["entry"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("# only a comment", ""),
        ("ci:\n  skip: [a]\n", ""),
        ("repos:\n- repo: a\n  hooks:\n  - id: b\n    # c\n# d\nci: {}\n", "# d\nci: {}\n"),
        ("repos:\n    - repo: a\n      hooks: [{id: b}]", ""),
        ("repos:\n  - repo: a\n    hooks:\n      - id: b\n        args: |\n          x\n\nci: 1\n", "\nci: 1\n"),
        ("repos:\nci: 1\n", "ci: 1\n"),
        ("repos: [{repo: a, hooks: []}]\nci: 1\n", "]\nci: 1\n"),
        ("---\nrepos:\n  - repo: 'a'\n    hooks: []  # e\n\n", "\n"),
    ],
)
def test_a_hook_goes_behind_the_others_and_the_rest_stays(before, after, newline):
    before, after = (text.replace("\n", newline) for text in (before, after))
    text = with_repository(before, HOOK)
    assert text.startswith(before.removesuffix(after))
    assert text.endswith(after)
    assert "\r\n" not in before or "\n" not in text.replace("\r\n", "")
    assert not has_hook(before)
    assert has_hook(text)


def test_a_hook_that_is_there_is_seen():
    assert has_hook("repos: [{repo: x, hooks: [{id: archcheck}]}]")
    assert has_hook("repos: [{repo: local, hooks: [{id: nets, entry: uv run archcheck check}]}]")
    assert not has_hook("repos: [{repo: x, hooks: [{id: checks, entry: check}, 1], name: archcheck}, 2]")


def test_the_workflow_and_the_hook_are_those_of_the_manual():
    (local,) = yaml.safe_load(the_block("yaml", "hooks:").text)["repos"]
    assert local == HOOK
    shown = yaml.safe_load(the_block("yaml", "OWNER/REPO/.github/actions/archcheck@REF").text)
    made = yaml.safe_load(workflow_text(Path("archcheck.toml")))
    versions = [each["jobs"]["archcheck"]["steps"][1]["with"].pop("python-version") for each in (shown, made)]
    assert all(versions)
    assert {**shown, "name": 0} == {**made, "name": 0}
    assert uses_action(workflow_text(Path("archcheck.toml")))


def test_the_workflow_is_valid_and_safe(tmp_path):
    file = tmp_path / ".github" / "workflows" / "archcheck.yml"
    file.parent.mkdir(parents=True)
    file.write_text(workflow_text(Path("a b/pyproject.toml"), place=COMMIT, installs=(".", "--requirement x.txt")))
    assert tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", file) == ""
    assert tool("zizmor", "--offline", "--no-progress", "--color=never", tmp_path) == ""
    used = yaml.safe_load(file.read_text())["jobs"]["archcheck"]["steps"][-1]
    assert used["with"].keys() <= yaml.safe_load(ACTION.read_text())["inputs"].keys()


def test_files_are_written_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "c").mkdir()
    with pytest.raises(OSError, match="c'"):
        write_together({tmp_path / "a": "new", tmp_path / "b" / "b": "new", tmp_path / "c": "new"})
    assert held(tmp_path) == {"a": b"old"}
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("recorded", "place"),
    [
        ({"url": "https://github.com/a/b.git", "vcs_info": {"vcs": "git", "commit_id": "c0"}}, "a/b@c0"),
        ({"url": "https://example.org/a/b", "vcs_info": {"vcs": "git", "commit_id": "c0"}}, None),
        ({"url": "file:///x", "dir_info": {}}, None),
        (None, None),
    ],
)
def test_the_repository_that_archcheck_was_installed_from_is_known(monkeypatch, recorded, place):
    text = recorded and json.dumps(recorded)
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: text))
    assert origin() == place


def test_a_byte_order_mark_and_the_ends_of_lines_stay(repository):
    file = repository / "pyproject.toml"
    file.write_bytes(b"\xef\xbb\xbf[tool.x]\r\na = 1\r\n")
    assert main(["init", "--preset", "mnist-course", "--pyproject"]) == 0
    data = file.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf[tool.x]\r\na = 1\r\n\r\n")
    assert data.count(b"\n") == data.count(b"\r\n")
    assert tomllib.loads(data.decode("utf-8-sig"))["tool"]["x"] == {"a": 1}


def test_a_place_that_is_none_is_refused():
    with pytest.raises(ArchcheckError, match="--action takes"):
        workflow_text(Path("archcheck.toml"), place="a/b@c\nd")
