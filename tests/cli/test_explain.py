"""`archcheck explain` as a process."""

import os

import pytest

from archcheck.judging.topic_pages import kind_section, text_of, topics


def test_without_a_name_it_lists_every_topic_and_kind(archcheck):
    run = archcheck("explain")
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    for topic in topics():
        assert any(line.split(maxsplit=1) == [topic.name, topic.summary] for line in lines), topic
    for heading in ("Tutorial", "How to", "Reference", "Explanation", "Kinds of operations", "Groups of kinds"):
        assert heading in lines
    assert max(map(len, lines)) <= 100
    assert " global_avg_pool," in run.stdout


@pytest.mark.parametrize("name", ["tutorial", "inputs", "numbers-and-effects", "conv", "global_avg_pool", "norm"])
def test_a_topic_and_a_kind_are_printed_as_they_are_written(archcheck, tmp_path, name):
    """Also where no contract is, and where the one that is there is broken."""
    (tmp_path / "archcheck.toml").write_text("[subjects")
    run = archcheck("explain", name, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == text_of(name)


def test_of_a_kind_only_its_section_is_shown(archcheck):
    assert archcheck("explain", "conv").stdout == kind_section("conv")
    assert "conv_transpose\n" not in kind_section("conv")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("tutorail", '"tutorial"'), ("BatchNorm2d", '"batch_norm"'), ("gap", '"global_avg_pool"'),
        ("max-prams", '"max-params"'), ("", None), ("zzz", None), ("\x1b[31m", None), ("x" * 500, None),
    ],
)  # fmt: skip
def test_an_unknown_name_is_one_line_with_the_nearest_ones(archcheck, tmp_path, name, suggested):
    run = archcheck("explain", name, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert run.stderr.startswith("archcheck: error: ")
    assert "is not a topic, a rule or a kind; " in run.stderr
    assert (
        f"did you mean {suggested}" if suggested else "`archcheck explain` and `archcheck rules` list"
    ) in run.stderr
    assert "\x1b" not in run.stderr


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("waivers", "see `archcheck explain contract`"),
        ("on", "see `archcheck explain contract` or `archcheck explain selectors`"),
        ("Tutorial", 'did you mean "tutorial"?'), ("max_params", 'did you mean "max-params"?'),
    ],
)  # fmt: skip
def test_a_word_of_a_contract_leads_to_its_page(archcheck, tmp_path, word, hint):
    run = archcheck("explain", word, cwd=tmp_path)
    line = f'archcheck: error: "{word}" is not a topic, a rule or a kind; {hint}\n'
    assert (run.returncode, run.stdout, run.stderr) == (2, "", line)


def test_a_broken_contract_hides_a_rule_but_no_page(archcheck, tmp_path):
    (tmp_path / "archcheck.toml").write_text("rules = [\n")
    assert "see `archcheck explain contract`" in archcheck("explain", "waivers", cwd=tmp_path).stderr
    assert "not valid TOML" in archcheck("explain", "house-rule", cwd=tmp_path).stderr


@pytest.mark.parametrize(("address", "code"), [("ftp://x", 2), ("no address", 2), ("https://e.org/ä b#c/", 0), ("", 0)])
def test_the_address_of_the_published_manual_is_an_address(archcheck, saved, project, address, code):
    run = archcheck("report", project / "saved.json", "--format", "sarif", cwd=project, ARCHCHECK_PAGES_URL=address)
    assert run.returncode == code, run.stderr
    if code:
        assert run.stderr.startswith(
            "archcheck: error: ARCHCHECK_PAGES_URL must begin with https:// or http://, found "
        )
        assert run.stdout == ""
    else:
        assert ('"helpUri": "https://e.org/%C3%A4%20b%23c/rules/max-params.md"' in run.stdout) == bool(address)
        assert os.linesep in run.stdout
    assert archcheck("report", project / "saved.json", cwd=project, ARCHCHECK_PAGES_URL=address).returncode == 0
