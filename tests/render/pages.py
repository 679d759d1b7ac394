"""What the tests of the page share: a page taken apart, as a reader or a browser finds it, and reports to show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

from archcheck.facts.facts import Facts
from archcheck.facts.records import Training
from archcheck.rules.findings import Report, Verdict
from tests.render.samples import facts, layer, op, outcome, plain_net

VOID = {"meta", "link", "br", "img", "hr", "input"}
APART = {"td", "th", "dt", "dd", "li", "p", "b", "tspan"}
"""Elements that a reader sees apart from what is before them."""
EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"
SHOWN = "<script>alert(1)</script>\"'&\\x1b[31m\\u202e"
"""What is to be read of it: every character that is seen or spelled out."""


@dataclass
class Element:
    """An element with all text in it."""

    tag: str
    attributes: dict[str, str]
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())


class Document(HTMLParser):
    """A page as a list of elements; elements that are not closed in order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        self.handle_data(" " if tag in APART else "")
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.parts.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag with these attributes; `data_fact="params.total"` is `data-fact`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [each for each in self.elements if each.tag == tag and wanted.items() <= each.attributes.items()]

    def one(self, tag: str, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found

    def having(self, name: str) -> list[Element]:
        """Return the elements that have an attribute."""
        return [each for each in self.elements if name in each.attributes]


def chain(*kinds: str) -> Facts:
    """A network whose operations read one another in a row, each in a layer of its own."""
    ops = tuple(
        op(kind, "" if kind == "input" else f"l{index}", index=index, inputs=(index - 1,) if index else ())
        for index, kind in enumerate(kinds)
    )
    layers = [layer(f"l{index}", "Layer", (1, 4)) for index in range(1, len(kinds))]
    return facts(layer("", "Net", (1, 4)), *layers, ops=ops, train_length=len(ops))


def epoch(correct: int, total: int = 1_000) -> dict[str, object]:
    return {"loss": 0.5, "validation_correct": correct, "validation_total": total}


def run(seed: int, epochs: list[dict[str, object]], correct: int, total: int = 1_000) -> dict[str, object]:
    return {"seed": seed, "epochs": epochs, "test": {"correct": correct, "total": total}}


def trained(*runs: dict[str, object], limit: float | None = 0.9, **values: object) -> Report:
    """A network with a record of these runs, judged by an accuracy unless `limit` is `None`."""
    record = {"schema": 1, "runs": list(runs)}
    training = Training(record_file="record.json", record=record, mismatches=(), **values)
    judged = (outcome("min-accuracy", Verdict.KEPT, found=0.95, limit=limit),) if limit is not None else ()
    return Report(subject="net", facts=replace(plain_net(), training=training), outcomes=judged)


def two_seeds(**values: object) -> Report:
    """Two seeds of three epochs, with 940 and 960 of 1,000 right on the test set."""
    first = run(0, [epoch(800), epoch(900), epoch(930)], 940)
    second = run(1, [epoch(820), epoch(910), epoch(950)], 960)
    return trained(first, second, **values)
