"""Model cards: what `archcheck sync` writes between the markers of one, and that it writes it once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from archcheck.cli import main, sync
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import regions, rewrite
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text, Texts
from archcheck.rules import Synced
from archcheck.rules.queries.marked_texts import differences, shows_training, written_for
from tests.pages.page_blocks import the_block
from tests.rules.test_records_judged import FACTS, run, trained

CARD = """---
license: mit
pipeline_tag: image-classification
# <!-- archcheck: net model-card -->
# <!-- /archcheck -->
tags: [small]
---
# A card

<!-- archcheck: net model-card -->
<!-- /archcheck -->
"""
RECORD = trained(run(0, 9_600), run(1, 9_500), data={"name": "MNIST"})


def synced(card, facts=RECORD):
    """Return a card after a sync."""
    text = Text(shown="README.md", content=card)
    found = regions(text, ["net"])
    return rewrite(text, found, lambda region: written_for(text, region, facts))


def front_of(card):
    return yaml.safe_load(card.split("---")[1])


@pytest.mark.parametrize("name", ["\U0001f600 é", "a <!-- /archcheck -->", "'\"\\ # b: c", "x\u2028\x7fy"])
def test_the_data_may_have_any_name(name):
    card = synced(CARD, trained(run(0, 9_600), data={"name": name}))
    assert front_of(card)["model-index"][0]["results"][0]["dataset"]["name"] == name
    assert synced(card, trained(run(0, 9_600), data={"name": name})) == card


def test_half_a_character_is_written_as_a_question_mark():
    facts = trained(run(0, 9_600), data={"name": "a\ud800"})
    assert synced(synced(CARD, facts), facts).count('"a?"') == 2


def test_two_cards_in_front_matter_are_refused():
    """YAML has a key once: readers of the Hub would see the last one, or none."""
    twice = CARD.replace("tags:", "# <!-- archcheck: net model-card -->\n# <!-- /archcheck -->\ntags:")
    with pytest.raises(NotMeasured, match="the markers of several model cards") as raised:
        synced(twice)
    assert raised.value.where == Where(file="README.md", line=4)


def test_the_front_matter_holds_results_as_the_hub_reads_them():
    assert front_of(synced(CARD)) == {
        "license": "mit",
        "pipeline_tag": "image-classification",
        "tags": ["small"],
        "model-index": [
            {
                "name": "net",
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": "MNIST", "type": "mnist"},
                        "metrics": [
                            {
                                "type": "accuracy",
                                "name": "Test accuracy (mean, n = 2 seeds)",
                                "value": 0.955,
                                "verified": False,
                            },
                            {"type": "parameters", "name": "Parameters", "value": 6, "verified": False},
                            {"type": "macs", "name": "Multiply-accumulates", "value": 4, "verified": False},
                        ],
                    }
                ],
            }
        ],
    }


def test_the_library_of_the_hub_reads_it():
    hub = pytest.importorskip("huggingface_hub")
    results = hub.ModelCard(synced(CARD), ignore_metadata_errors=False).data.eval_results
    assert [(each.task_type, each.dataset_type, each.metric_value) for each in results] == [
        ("image-classification", "mnist", value) for value in (0.955, 6, 4)
    ]


def test_the_card_of_the_manual_is_one():
    card = synced(the_block("markdown", "---").text.replace("archcheck: mnist", "archcheck: net"))
    assert list(front_of(card)) == ["pipeline_tag", "model-index"]
    assert "| parameters | 6 |" in card


def test_the_body_holds_a_table_with_more_than_that_of_a_readme():
    assert synced(CARD).endswith(
        "<!-- archcheck: net model-card -->\n"
        "| measure | value |\n|---|---|\n"
        "| architecture | Sequential |\n| input | float32 1x2 |\n| output | float32 1x2 |\n"
        "| trainable parameters | 6 |\n| weights | 24 bytes of float32 |\n"
        "| parameters | 6 |\n| multiply-accumulates | 4 on 1x2 |\n| activations | 16 bytes at the peak |\n"
        "| test accuracy | 95.50 % (mean, n = 2 seeds) |\n"
        "<!-- /archcheck -->\n"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_written_once_it_stays_and_the_rule_is_kept(newline):
    once = synced(CARD.replace("\n", newline))
    assert synced(once) == once
    assert newline == "\n" or "\n" not in once.replace("\r\n", "")
    rule = Synced(files=("README.md",))

    def judged(card):
        texts = Texts(files={"README.md": Text(shown="README.md", content=card)}, subjects=("net",))
        return [finding.message for finding in rule.check(replace(RECORD, texts=texts)).findings]

    assert judged(once) == []
    assert judged(once.replace("value: 6", "value: 7")) == [
        "the model card of net in README.md is stale: value: 7 -> 6"
    ]


@pytest.mark.parametrize(
    ("old", "new", "says", "fix"),
    [
        (
            "# <!-- archcheck: net model-card -->",
            "<!-- archcheck: net model-card -->",
            "markers are comments",
            "# <!--",
        ),
        ("pipeline_tag", "tag", "does not name the task", "pipeline_tag: image-classification"),
        ("pipeline_tag: image-classification", "pipeline_tag: [a, b]", "does not name the task", "pipeline_tag"),
        ("license: mit", "model-index: []", "has a `model-index` outside", "take it away"),
        ("license: mit", "'model-index': []", "has a `model-index` outside", "take it away"),
    ],
)
def test_a_card_that_has_no_place_for_results_is_told_where_and_what_to_do(old, new, says, fix):
    with pytest.raises(NotMeasured, match=says) as caught:
        synced(CARD.replace(old, new, 1))
    assert caught.value.where == Where(file="README.md", line=4)
    assert fix in (caught.value.fix or "")


def test_nothing_is_stated_that_no_record_proves():
    with pytest.raises(NotMeasured):
        synced(CARD, FACTS)
    with pytest.raises(NotMeasured, match="another model"):
        synced(CARD, trained(run(0), mismatches=("another model",)))
    body = synced(CARD.partition("# A card")[2], FACTS)
    assert "| parameters | 6 |" in body
    assert "accuracy" not in body


@pytest.mark.parametrize(
    ("datasets", "recorded", "found"),
    [
        ("datasets: [org/mnist]\n", {"name": "MNIST"}, {"name": "MNIST", "type": "org/mnist"}),
        ("datasets: mnist\n", None, {"name": "mnist", "type": "mnist"}),
        ("datasets: [a, b]\n", {"name": "MNIST"}, {"name": "MNIST", "type": "mnist"}),
        ("", {"name": 3}, None),
        ("", None, None),
    ],
)
def test_the_data_are_those_of_the_card_or_of_the_record(datasets, recorded, found):
    facts = trained(run(0), **({"data": recorded} if recorded else {}))
    card = CARD.replace("license: mit\n", f"license: mit\n{datasets}")
    if found is None:
        with pytest.raises(NotMeasured, match="names the data"):
            synced(card, facts)
    else:
        assert front_of(synced(card, facts))["model-index"][0]["results"][0]["dataset"] == found


def test_the_record_is_read_for_a_card():
    (first, second) = regions(Text(shown="README.md", content=CARD), ["net"])
    assert shows_training(first)
    assert shows_training(second)


def test_what_differs_is_told_by_line():
    assert list(differences("\n# ", "\na:\n  b: 1\n# ")) == ["there is none yet"]
    assert list(differences("\na:\n  b: 2\n# ", "\na:\n  b: 1\n# ")) == ["b: 2 -> 1"]
    assert list(differences("\nc:\n  b: 2\n# ", "\na:\n  b: 1\n# ")) == ["its lines differ"]
    assert list(differences("\na:\n# ", "\na:\n  b: 1\n# ")) == ["its lines differ"]


def test_the_command_writes_a_card_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archcheck.toml").write_text('[subjects.net]\nmodel = "net.py:Net"\nrules.synced = "README.md"\n')
    (tmp_path / "README.md").write_text(CARD)
    monkeypatch.setattr(sync, "_measure", lambda *_: {"net": RECORD})
    assert main(["sync", "--check"]) == 1
    assert (tmp_path / "README.md").read_text() == CARD
    assert main(["sync"]) == 0
    assert (tmp_path / "README.md").read_text() == synced(CARD)
    capsys.readouterr()
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "same     README.md: 2 places between markers as measured\n"
