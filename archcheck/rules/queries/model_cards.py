"""What a model card says of a model: `model-index` in the front matter, as the Hugging Face Hub reads it, or a table.

The front matter is YAML, where markers stand in comments. The task and the data set come from the card itself, because
nothing that is measured says them: `pipeline_tag`, and `datasets` unless the training record names its data.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import CLOSING, Region, as_block
from archcheck.foundation.structured_documents import front_matter, values_at
from archcheck.foundation.text_files import Text
from archcheck.foundation.words import as_yaml, shape_text
from archcheck.rules.queries.figures import figure_text, table
from archcheck.rules.queries.training_runs import accuracies, recorded

MODEL_CARD = "model-card"
"""What stands after the subject in the markers of a model card."""
_INDEX = re.compile(r"^([\"']?)model-index\1[ \t]*:", re.MULTILINE)
_OPENING = re.compile(rf"<!--[ \t]*archcheck:[^<>\n]*[ \t]{MODEL_CARD}[ \t]*-->")


def model_card(text: Text, region: Region, facts: Facts) -> str:
    """Return what belongs between the markers of a model card.

    Raises `NotMeasured` with the place when the front matter does not say what its results need, or nothing proves one.
    """
    content = text.demand()
    front = front_matter(content)
    if front is None or not front[0] <= region.start < front[1]:
        return as_block(_table(facts), text, region)
    ahead = content[content.rfind("\n", 0, region.start) + 1 : region.start].partition("<!--")[0]
    if not re.fullmatch(r"[ \t]*#[ \t]*", ahead):
        opening = f"# <!-- archcheck: {region.subject} {MODEL_CARD} -->"
        raise NotMeasured(
            "front matter is YAML, where markers are comments", where=region.where,
            fix=f"write `{opening}` and `# {CLOSING}`, and run {_sync(region.where.file)}",
        )  # fmt: skip
    if len(_OPENING.findall(content, *front)) > 1:
        raise NotMeasured(
            "the front matter has the markers of several model cards, and holds one `model-index`", where=region.where,
            fix="keep one pair there, put the others below the front matter, where they hold tables, and run "
            f"{_sync(region.where.file)}",
        )  # fmt: skip
    if _INDEX.search(content[front[0] : region.start] + "\n" + content[region.end : front[1]]):
        raise NotMeasured(
            "the front matter has a `model-index` outside of the markers", where=region.where,
            fix=f"take it away, and run {_sync(region.where.file)}",
        )  # fmt: skip
    try:
        lines = tuple(_index(text, facts, region.where.file))
    except NotMeasured as error:
        raise NotMeasured(str(error), where=region.where, fix=error.fix) from None
    newline = "\r\n" if "\r\n" in content else "\n"
    return newline.join(["", *lines, ahead])


def _index(text: Text, facts: Facts, file: str) -> Iterator[str]:
    """Yield the lines of `model-index`: the mean test accuracy, and the size and the cost of the model."""
    found = accuracies(facts)
    mean = sum(found, Fraction()) / len(found)
    task = _stated(text, "/pipeline_tag")
    if task is None:
        raise NotMeasured(
            "the front matter does not name the task of the results",
            fix=f"write it there, for example `pipeline_tag: image-classification`, and run {_sync(file)}",
        )
    name, kind = _data_set(text, facts, file)
    seeds = "1 seed" if len(found) == 1 else f"{len(found)} seeds"
    yield "model-index:"
    yield f"  - name: {_quoted(facts.subject.name)}"
    yield "    results:"
    yield "      - task:"
    yield f"          type: {_quoted(task)}"
    yield "        dataset:"
    yield f"          name: {_quoted(name)}"
    yield f"          type: {_quoted(kind)}"
    yield "        metrics:"
    yield from _metric("accuracy", f"Test accuracy (mean, n = {seeds})", f"{float(mean):.6g}")
    yield from _metric("parameters", "Parameters", str(facts.params.total))
    yield from _metric("macs", "Multiply-accumulates", str(facts.cost.macs))


def _sync(file: str) -> str:
    return f"`archcheck sync {shlex.quote(file)}`"


def _quoted(text: str) -> str:
    """Return a text in YAML. It never holds a marker, and no half of a character, which YAML cannot hold."""
    return as_yaml(text.encode(errors="replace").decode()).replace("<", "\\u003c")


def _metric(kind: str, name: str, value: str) -> Iterator[str]:
    yield f"          - type: {kind}"
    yield f"            name: {_quoted(name)}"
    yield f"            value: {value}"
    yield "            verified: false"


def _data_set(text: Text, facts: Facts, file: str) -> tuple[str, str]:
    """Return the name of the data, and its identifier on the Hub: that of the card if it names one, else the name."""
    data: Any = recorded(facts).get("data")
    named = data.get("name") if isinstance(data, dict) else None
    kind = _stated(text, "/datasets") or _stated(text, "/datasets/*")
    if not isinstance(named, str) and kind is None:
        raise NotMeasured(
            "neither the training record nor the front matter names the data of the results",
            fix=f"write it there, for example `datasets: [mnist]`, and run {_sync(file)}",
        )
    name = named if isinstance(named, str) else str(kind)
    return name, kind or name.lower()


def _stated(text: Text, pointer: str) -> str | None:
    """Return the only text at a pointer into the front matter; `None` if there is none, or several."""
    try:
        values = values_at(text, pointer)
    except ValueError:  # a list where one text was looked for, or front matter that is damaged
        return None
    return values[0].written if len(values) == 1 and values[0].kind == "text" else None


def _table(facts: Facts) -> tuple[str, ...]:
    """Return a table for the body of a card, which says more than that of a README."""
    title, rule, *rows = table(facts)
    root = facts.layer("")
    held = ", ".join(facts.params.bytes_by_dtype)
    more = {
        "architecture": root.type if root else "",
        "input": ", ".join(f"{each.dtype} {shape_text(each.shape)}" for each in facts.shape.inputs),
        "output": ", ".join(f"{each.dtype} {shape_text(each.shape)}" for each in facts.shape.outputs),
        "trainable parameters": figure_text("params.trainable", facts),
        "weights": f"{figure_text('params.bytes', facts)} bytes" + (f" of {held}" if held else ""),
    }
    return (title, rule, *(f"| {name} | {value} |" for name, value in more.items() if value), *rows)
