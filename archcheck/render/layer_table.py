"""The rows of the layer table: the module tree, cut at a depth, with repeated blocks shown once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from archcheck.facts.facts import Facts
from archcheck.facts.records import Layer
from archcheck.render.wording import shapes_text

WIDEST = 100
"""Most layers of one container that are shown. The rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `warning` says what is wrong with the layer, if anything is.

    `path` is the path of a single layer. A line for several layers, or for a hidden weight, has none. The parameters of
    a `hidden` weight are not among those of the model.
    """

    level: int
    name: str
    type: str
    path: str | None = None
    output: str = ""
    params: int = 0
    macs: int = 0
    warning: str = ""
    quiet: bool = False
    hidden: bool = False

    @property
    def params_text(self) -> str:
        """The parameters for people: nothing for none, in brackets where they do not count."""
        return f"({self.params:,})" if self.hidden else _figure(self.params)

    @property
    def macs_text(self) -> str:
        """The multiply-accumulates for people: nothing for none."""
        return _figure(self.macs)


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """A layer with its children. Subtrees with the same `structure` number are equal."""

    layer: Layer
    children: list[Node] = field(default_factory=list)
    structure: int = 0
    size: int = 1
    warning: str = ""

    @property
    def name(self) -> str:
        """The last step of the path; the model itself has the name of its class."""
        return self.layer.path.rpartition(".")[2] or self.layer.type


def table(facts: Facts, depth: int) -> Iterator[Row]:
    """Return the rows of the layers, `depth` levels below the model, and of its hidden weights."""
    yield from rows(tree(facts), depth, passes=facts.passes.evaluation if facts.passes else 1)
    yield from hidden_rows(facts)


def tree(facts: Facts) -> tuple[Node, ...]:
    """Return the roots of the module tree, normally one."""
    nodes = {layer.path: Node(layer=layer) for layer in facts.layers}
    roots: list[Node] = []
    for path, node in nodes.items():
        parent = nodes.get(path.rpartition(".")[0]) if path else None
        (parent.children if parent else roots).append(node)
    numbers: defaultdict[object, int] = defaultdict(lambda: len(numbers))
    warnings = {path: why_unused(path, facts) for path in facts.unused_layers}
    for path, node in nodes.items():  # from the root down, because what lies in an unused layer is unused
        outer = nodes.get(path.rpartition(".")[0])
        node.warning = warnings.get(path, outer.warning if outer and path else "")
    # From the leaves upwards, without recursion, so that any depth works.
    for node in sorted(nodes.values(), key=lambda node: -node.layer.path.count(".") - bool(node.layer.path)):
        _complete(node, numbers)
    return tuple(roots)


def _complete(node: Node, numbers: defaultdict[object, int]) -> None:
    layer = node.layer
    own = (
        layer.type,
        layer.params,
        layer.macs,
        layer.calls,
        layer.ran,
        node.warning,
        layer.input_shapes,
        layer.output_shapes,
    )
    node.structure = numbers[own, tuple((child.name, child.structure) for child in node.children)]
    node.size = 1 + sum(child.size for child in node.children)


def rows(nodes: Sequence[Node], depth: int, level: int = 0, passes: int = 1) -> Iterator[Row]:
    """Return the rows of the trees, `depth` levels below the roots; `passes` is how many there were in evaluation."""
    for position, (first, *others) in enumerate(_runs(nodes)):
        if position == WIDEST:
            rest = nodes[nodes.index(first) :]
            yield _row_of_rest(rest, level, f"{len(rest):,} more")
            return
        yield _row(first, level, passes, cut=level >= depth)
        if level < depth:
            yield from rows(first.children, depth, level + 1, passes)
        if others:
            yield _row_of_rest(others, level, f"{len(others):,} more alike")


def _runs(nodes: Sequence[Node]) -> list[list[Node]]:
    """Group neighbours of equal structure. Only numbered layers are grouped, because a name makes a layer special."""
    runs = groupby(enumerate(nodes), key=lambda item: _series(item[1]) or item[0])
    return [[node for _, node in run] for _, run in runs]


def _series(node: Node) -> tuple[str, int] | None:
    stem, digits = _numbered(node.name)
    return (stem, node.structure) if digits and (not stem or node.children) else None


def _numbered(name: str) -> tuple[str, str]:
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


def _row(node: Node, level: int, passes: int, *, cut: bool) -> Row:
    layer = node.layer
    kind = layer.type if layer.path else ""
    if cut and node.children:
        kind = f"{kind} (+{node.size - 1:,})"
    elif layer.calls > 1:
        kind = f"{kind} ({layer.calls:,} calls)"
    if layer.ran is not None:
        kind = f"{kind} (in {layer.ran} of {passes} passes)"
    return Row(
        level=level,
        name=node.name,
        type=kind.strip(),
        path=layer.path,
        output=shapes_text(layer.output_shapes),
        params=layer.params,
        macs=layer.macs,
        warning=node.warning,
    )


def _figure(number: int) -> str:
    return f"{number:,}" if number else ""


def why_unused(path: str, facts: Facts) -> str:
    """Return what is wrong with an unused layer."""
    return "reaches no output" if facts.runs(path) else "never called"


def _row_of_rest(nodes: Sequence[Node], level: int, text: str) -> Row:
    names = nodes[0].name if len(nodes) == 1 else f"{nodes[0].name}-{_numbered(nodes[-1].name)[1] or '…'}"
    return Row(
        level=level,
        name=names,
        type=text,
        params=sum(node.layer.params for node in nodes),
        macs=sum(node.layer.macs for node in nodes),
        warning=next((node.warning for node in nodes if node.warning), ""),
        quiet=True,
    )


def hidden_rows(facts: Facts) -> Iterator[Row]:
    """Return a row for each weight that the model uses and has not registered."""
    weights = facts.params.hidden
    for weight in weights[:WIDEST]:
        yield Row(
            level=1,
            name=weight.name or weight.used_by,
            type="hidden weight",
            output=shapes_text((weight.shape,)),
            params=weight.elements,
            warning="a buffer" if weight.buffer else "not registered",
            hidden=True,
        )
    if rest := weights[WIDEST:]:
        elements = sum(weight.elements for weight in rest)
        yield Row(level=1, name="…", type=f"{len(rest):,} more hidden", params=elements, quiet=True, hidden=True)
