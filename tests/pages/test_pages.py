"""The README and the manual tell the truth: their code runs, their contracts load, and commands print what is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import archcheck
from archcheck import testing
from archcheck.contract import load
from archcheck.contract.specifications import DTYPES, InputSpec, SubjectEntry, TrainingSpec, Waiver
from archcheck.judging.rule_pages import page as page_of
from archcheck.judging.topic_pages import topics
from archcheck.render import FORMATS
from archcheck.rules import BUILTIN
from archcheck.rules.base import key_of, rule_name
from tests.measure.artifacts.exported_files import readable
from tests.pages.page_blocks import ELSEWHERE, MANUAL, PAGES, ROOT, Session, blocks, text_of

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", [page for page in PAGES if any(not each.elsewhere for each in blocks(page=page))])
def test_the_blocks_of_a_page_do_what_it_says(page, tmp_path):
    session = Session(tmp_path)
    for block in blocks(page=page):
        session.follow(block)
        if (tmp_path / "net.pt2").exists():
            readable(tmp_path / "net.pt2")


def test_every_block_that_is_looked_at_elsewhere_is_there():
    for (page, language, beginning), test in ELSEWHERE.items():
        found = [block for block in blocks(language, page) if block.text.startswith(beginning)]
        assert len(found) == 1, (page, beginning)
        assert (Path(__file__).parent / test).is_file()


def test_a_page_that_says_something_else_is_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    monkeypatch.setitem(PAGES, "page", page)
    for text in (
        "```console\n$ echo one\ntwo\n```\n",
        "```python\nraise ValueError('no such thing')\n```\n",
        "```yaml\na: 1\n```\n",
        '```toml\n[subjects.x]\nmodle = "x"\n```\n',
    ):
        page.write_text(text)
        (block,) = blocks(page="page")
        (tmp_path / block.language).mkdir()
        with pytest.raises(Exception, match=r"echo one|no such thing|nothing looks at|modle"):
            Session(tmp_path / block.language).follow(block)


def test_generated_pages_are_those_of_the_code():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "pages.py", "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, ""), "`python .ci/pages.py` writes them again"


@pytest.mark.parametrize("rule", BUILTIN, ids=rule_name)
def test_the_file_of_a_rule_is_its_page(rule):
    file = (MANUAL / "rules" / f"{rule_name(rule)}.md").read_text(encoding="utf-8")
    assert file == f"# {rule_name(rule)}\n\n{page_of(rule)}"


def test_the_list_of_topics_is_every_page_once():
    listed = [topic.name for topic in topics()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {file.stem for file in MANUAL.glob("*.md")} - {"README"}


@pytest.mark.parametrize("file", [ROOT / "README.md", *MANUAL.glob("*.md")], ids=lambda file: file.stem)
def test_links_lead_somewhere(file):
    for target in LINK.findall(FENCED.sub("", file.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        there = file.parent / name
        assert there.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8").lower(), re.MULTILINE)
            assert heading in headings, target


@pytest.mark.parametrize("page", PAGES)
def test_the_named_files_exist(page):
    for name in re.findall(r"`((?:\.github|\.ci|reference_models|archcheck|tests)/[\w./-]+)`", text_of(page)):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_pages_that_there_are(page):
    known = {topic.name for topic in topics()} | {rule_name(rule) for rule in BUILTIN} | {"max-depth"}
    assert set(re.findall(r"archcheck explain ([a-z-]+)", text_of(page))) <= known


@pytest.mark.parametrize("page", PAGES)
def test_lines_fit_a_terminal(page):
    """Tables may be wider, and so may what is fenced."""
    lines = FENCED.sub("", text_of(page)).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    below = text_of(page).partition(f"\n## {heading}\n")[2]
    (table, *_) = re.findall(r"^\|---.*\n((?:\|.*\n)+)", below, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


@pytest.mark.parametrize(
    ("page", "heading", "cls"),
    [
        ("contract", "A subject", SubjectEntry),
        ("contract", "Waivers", Waiver),
        ("contract", "Training", TrainingSpec),
        ("inputs", "A table", InputSpec),
    ],
)
def test_the_reference_has_every_key(page, heading, cls):
    keys = {key_of(field.name) for field in fields(cls) if field.metadata.get("key", True)}
    assert {row[0].strip("`| ") for row in rows(page, heading)} == keys


def test_the_reference_has_every_dtype_and_format():
    (dtypes,) = [row[1] for row in rows("inputs", "A table") if "dtype" in row[0]]
    assert re.findall(r'"(\w+)"', dtypes) == list(DTYPES)
    assert re.findall(r"^\| `(\w+)` \|", text_of("formats"), re.MULTILINE) == list(FORMATS)


def test_every_way_to_state_a_rule_or_an_input_is_read(tmp_path):
    stated = re.findall(r"^\| `((?:max|requires|no)[\w-]* = [^`]+)` \|", text_of("contract"), re.MULTILINE)
    inputs = re.findall(r"\| `(input = [^`]+)` \|", text_of("inputs"))
    assert (len(stated), len(inputs)) == (7, 7)
    for number, line in enumerate([*(f"rules.{each}" for each in stated), *inputs]):
        file = tmp_path / f"{number}.toml"
        file.write_text(f'[subjects.net]\nmodel = "net.py"\n{line}\n')
        assert load(file).subjects, line


def test_the_rules_that_take_on_are_those_of_the_reference():
    named = [name for row in rows("selectors", "What `on` selects") for name in re.findall(r"`([\w-]+)`", row[0])]
    assert sorted(named) == sorted(rule_name(rule) for rule in BUILTIN if rule.narrows)


def test_the_names_for_tests_are_those_of_the_module():
    named = re.findall(r"`(\w+)(?:\([^`]*\))?`", "".join(row[0] for row in rows("testing", "Tests written by hand")))
    assert sorted(named) == sorted(testing.__all__)


def test_the_names_for_python_are_those_of_the_package():
    (table,) = re.findall(r"^\| name \|.*\n\|.*\n((?:\|.*\n)+)", text_of("python"), re.MULTILINE)
    named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)", line.split(" | ")[0])]
    assert sorted(named) == sorted(archcheck.__all__)
