"""Pages of feedback: hostile names break neither the page nor leave the folder, and no name changes another's page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from archcheck.foundation.errors import ArchcheckError
from archcheck.integrations.class_summary import Bar, summary_of
from archcheck.integrations.feedback import Feedback
from archcheck.integrations.file_names import file_name
from archcheck.integrations.grades import grade_of
from archcheck.render.html.environment import with_code
from tests.integrations.graded_samples import outcome, report, small_class, too_large

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "span", "section", "div", "dl", "dt", "dd",
    "code", "table", "thead", "tbody", "tr", "th", "td", "a",
}  # fmt: skip


class Reader(HTMLParser):
    """Reads a page: its tags, its links and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attributes if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course") / "feedback"
    feedback = Feedback(folder)
    for grade in small_class():
        feedback.write(grade)
    feedback.write_class(small_class())
    return folder


def test_there_are_two_pages_a_student_and_two_about_the_class(pages: Path) -> None:
    names = sorted(file.name for file in pages.iterdir())
    assert len(names) == 10
    assert {"index.html", "index.md", "homework.ada.html", "homework.ben.md", "homework.zoe.html"} <= set(names)
    assert list(pages.parent.iterdir()) == [pages]


def test_a_page_holds_no_markup_of_strangers_and_asks_for_nothing(pages: Path) -> None:
    for file in pages.glob("*.html"):
        page = Reader(file.read_text(encoding="ascii"))
        assert page.tags <= ALLOWED
        assert all((pages / link).is_file() for link in page.links)
        assert "archcheck" not in page.text


def test_markdown_shows_hostile_names_literally(pages: Path) -> None:
    for file in pages.glob("*.md"):
        text = file.read_text(encoding="utf-8")
        assert "<script" not in text
        for link in re.findall(r"(?<!\\)\]\(([^)]*)\)", text):
            assert (pages / link).is_file()


def test_a_student_reads_what_was_asked_found_and_is_to_do(pages: Path) -> None:
    text = Reader((pages / "homework.ben.html").read_text()).text
    for said in ("2 of 3 points", "At most 100 parameters", "partly done · 1 of 2 points", "the device is small",
                 "112 parameters, limit 100", "model.py, line 3", "Remove 12 parameters."):  # fmt: skip
        assert said in text, said
    assert "max-params" not in text
    lost = Reader((pages / "homework.zoe.html").read_text()).text
    assert "Python cannot read the file" in lost
    assert "mend the line that it names" in lost


def test_the_class_page_has_the_distribution_what_fails_most_and_who_was_not_measured(pages: Path) -> None:
    text = (pages / "index.md").read_text()
    assert "Of 3 points, the mean is 1.50, the median 1.5." in text
    rows = re.findall(r"^\| (\d) \| (\d) \|", text, re.MULTILINE)
    assert rows == [("0", "1"), ("1", "1"), ("2", "1"), ("3", "1")]
    assert "| At most 100 parameters | 1 | 50% |" in text
    assert re.search(r"\[zoe\]\(homework\.zoe\.md\) \| Python cannot read", text)


def test_what_fails_most_leaves_out_who_could_not_be_measured() -> None:
    grades = [grade_of(report(name, each)) for name, each in (("a", outcome()), ("b", too_large()), ("c", too_large()))]
    grades[2] = replace(grades[2], reason="it hangs")
    (rule,) = summary_of(grades).rules
    assert (rule.failed, rule.judged, rule.share) == (1, 2, 0.5)
    assert summary_of([]).average == ""


def test_points_that_are_not_few_and_whole_are_shown_by_tenths() -> None:
    grades = [grade_of(report(f"s{at}", outcome(points=50.0, earned=float(at)))) for at in (0, 4, 25, 49, 50)]
    bars = {bar.label: bar.students for bar in summary_of(grades).bars if bar.students}
    assert bars == {"0 to 9 %": 2, "50 to 59 %": 1, "90 to 99 %": 1, "100 %": 1}


def test_the_bar_of_nobody_has_no_width() -> None:
    assert [Bar(label="", students=count, most=900).width(100) for count in (0, 1, 450, 900)] == [0, 1, 50, 100]
    assert str(Bar(label="", students=0, most=3).width(100)) == "0"
    assert Bar(label="", students=0, most=0).width(100) == 0


def test_words_between_backticks_are_code_and_nothing_in_them_is_markup() -> None:
    assert with_code("add `nn.Dropout(p)`, or `<b>`") == "add <code>nn.Dropout(p)</code>, or <code>&lt;b&gt;</code>"
    assert with_code("one ` alone <i>") == "one ` alone &lt;i&gt;"
    assert with_code("`a\nb`") == "<code>a b</code>"


NAMES = ["ada", "Ada", "ADA", "a/b", "a\\b", "../../etc/passwd", "/etc/passwd", "..", ".", "", "index", "con", "a b",
         "a.b", "ä", "a\nb", "a\x00b", "-", "a" * 300, "b" * 300, "\udcff", "nul", "a/b/", "😀"]  # fmt: skip


def test_names_of_files_are_distinct_safe_and_independent_of_the_class() -> None:
    plain = [grade_of(report(name, outcome())) for name in NAMES if name]
    named = {file_name(grade) for grade in plain}
    assert len({name.lower() for name in named}) == len(plain)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,100}", name) and ".." not in name for name in named)


def test_a_subject_that_no_pattern_makes_takes_no_page_of_another() -> None:
    others = [grade_of(report("Ada", outcome()))]
    for name in (file_name(others[0]), "index", "ada"):
        others.append(grade_of(report("", outcome(), subject=name)))
    names = [file_name(grade) for grade in others]
    assert len({*names, "index"}) == len(others) + 1
    assert names[-1] == "ada"


def test_two_assignments_do_not_share_a_page() -> None:
    pairs = [("hw-a", "b"), ("hw", "a-b"), ("hw", "a"), ("hw.a", "b")]
    grades = [grade_of(report("x", outcome(), subject=f"{family}[{student}]")) for family, student in pairs]
    assert len({file_name(grade) for grade in grades}) == len(pairs)


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "grades.csv"
    target.write_text("mine")
    folder = tmp_path / "feedback"
    folder.mkdir()
    (folder / "homework.ada.html").symlink_to(target)
    Feedback(folder).write(small_class()[0])
    assert target.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArchcheckError, match=r"^cannot write .*; choose another folder$"):
        Feedback(tmp_path / "file").write(small_class()[0])
