"""What a newcomer reads and fills in is valid, and speaks of the project as it is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from archcheck.foundation.old_names import MOVED
from tests.action.workflow import ROOT, read, tool
from tests.support.cli_samples import environment, write

GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[0-9]-*.yml"))
SCHEMAS = {
    **dict.fromkeys(FORMS, "github-issue-forms"),
    GITHUB / "ISSUE_TEMPLATE" / "config.yml": "github-issue-config",
    GITHUB / "CITATION.cff": "citation-file-format",
}
PAGES = [ROOT / "CHANGELOG.md", *sorted(GITHUB.glob("*.md"))]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def faults(file: Path, schema: str) -> str:
    return tool("check-jsonschema", "--default-filetype", "yaml", "--builtin-schema", f"vendor.{schema}", file)


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_each_file_is_what_the_schema_of_its_kind_asks_for(file: Path) -> None:
    assert faults(file, SCHEMAS[file]) == ""


@pytest.mark.parametrize("schema", sorted(set(SCHEMAS.values())))
def test_the_schemas_find_faults(tmp_path: Path, schema: str) -> None:
    (tmp_path / "wrong.yml").write_text("name: x\nbody: [{type: essay}]\n")
    assert "wrong.yml" in faults(tmp_path / "wrong.yml", schema)


def test_there_is_a_form_for_each_kind_of_wrong_and_each_asks_for_the_versions() -> None:
    assert [file.stem.partition("-")[2] for file in FORMS] == ["false-alarm", "miss", "other"]
    for form in map(read, FORMS):
        asked = {part["id"]: part for part in form["body"] if part["type"] != "markdown"}
        assert len(asked) == sum(part["type"] != "markdown" for part in form["body"])
        assert asked["version"]["validations"]["required"]
        assert "archcheck --version" in asked["version"]["attributes"]["label"]


def test_the_hook_judges_the_contract_of_the_folder_it_runs_in(tmp_path: Path) -> None:
    (hook,) = read(ROOT / ".pre-commit-hooks.yaml")
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert not hook["pass_filenames"]
    write(tmp_path, model_py="from torch.nn import Linear\n\n\ndef make():\n    return Linear(4, 2)\n")
    archcheck, *rest = shlex.split(hook["entry"])
    for limit, code in ((10, 0), (9, 1)):
        contract = f'[subjects.net]\nmodel = "model.py:make"\ninput = [1, 4]\nrules.max-params = {limit}\n'
        write(tmp_path, archcheck_toml=contract)
        done = subprocess.run(
            [sys.executable, "-m", archcheck, *rest], cwd=tmp_path, env=environment(), capture_output=True, check=False
        )
        assert done.returncode == code, done.stdout


def test_one_version_everywhere() -> None:
    (latest, *_) = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest == read(GITHUB / "CITATION.cff")["version"] == VERSION


def test_every_room_has_its_line() -> None:
    rows = re.findall(r"^\| `archcheck/(\w+)/` \|", (GITHUB / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    rooms = [path.name for path in (ROOT / "archcheck").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert sorted(rows) == sorted(rooms)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.])((?:\.github|\.ci|archcheck|tests)/[\w./-]+)", text)
    assert not [name for name in named if not (ROOT / name).exists()]
    assert named or page.name in ("CHANGELOG.md", "SECURITY.md")


def test_the_options_that_the_pages_name_are_options() -> None:
    archcheck = [sys.executable, "-m", "archcheck"]
    commands = ([], ["check"], ["grade"], ["report"], ["init"], ["sync"])
    helps = [[*archcheck, *command, "--help"] for command in commands]
    asked = [*helps, [sys.executable, "-m", "pytest", "--help"]]
    helped = "".join(subprocess.check_output(each, env=environment(), cwd=ROOT, text=True) for each in asked)
    named = {
        name for page in PAGES for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text(encoding="utf-8"))
    }
    named -= {"--editable", "--format", "--check"}  # of pip and ruff
    assert named
    assert not [name for name in named if not re.search(rf"(?<![\w-]){name}(?![\w-])", helped)]


def test_the_changelog_names_what_is_deprecated() -> None:
    (text,) = re.findall(r"### Deprecated\n(.*?)\n##", (ROOT / "CHANGELOG.md").read_text(), re.DOTALL)
    assert set(re.findall(r"`(archcheck\.[\w.]+)`", text)) == {*MOVED, "archcheck.facts.Facts"}


@pytest.mark.parametrize(
    ("tag", "heading", "said"),
    [
        (f"v{VERSION}", f"## [{VERSION}] - 2030-01-02", ""),
        (f"v{VERSION}", f"## {VERSION} - 2030-01-02", ""),
        (f"v{VERSION}", f"## [{VERSION}] - unreleased", "write the day of the release there"),
        (f"v{VERSION}", f"## [{VERSION}0] - 2030-01-02", "write the day of the release there"),
        (VERSION, f"## [{VERSION}] - 2030-01-02", f"tag v{VERSION}"),
        (f"v{VERSION}rc1", f"## [{VERSION}] - 2030-01-02", f"tag v{VERSION}"),
    ],
)
def test_a_release_has_the_tag_of_its_version_and_its_day(tmp_path: Path, tag: str, heading: str, said: str) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "release.py", tmp_path / ".ci")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    command = [sys.executable, tmp_path / ".ci" / "release.py", tag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == bool(said)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == bool(said)


def test_the_sdist_holds_the_package_and_its_pages_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(command, capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    pages = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert {name for name in names if not name.startswith("archcheck/")} == pages
    assert "archcheck/__init__.py" in names
