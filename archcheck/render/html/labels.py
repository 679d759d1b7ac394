"""The text of the boxes in a drawing: what fits into the box, and the full text for the mouse pointer."""

from __future__ import annotations

from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import GROUPS
from archcheck.foundation.words import amount
from archcheck.render.html.plan import Box, Plan
from archcheck.render.wording import one_line, shapes_text

CHARACTERS = 39
"""How many characters fit into a box."""
_LEAST = 6
"""Characters that each word keeps when it is cut."""
_FAMILIES = ("weights", "norm", "activation", "pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The text of a box: `title`, `name` and `output` are inside it, and `tooltip` is the full text.

    `kind` and `index` belong to the single operation in the box; a box of several operations has neither.
    """

    title: str
    name: str
    output: str
    tooltip: str
    family: str
    live: bool
    kind: str | None = None
    index: int | None = None


def label(facts: Facts, plan: Plan, box: Box) -> Label:
    """Return the text of a box."""
    ops = facts.ops[box.start : box.stop]
    if len(ops) == 1:
        return _of_operation(ops[0], enclosing_module(facts, plan, box) or plan.path)
    first = box.members[0]
    many = f"{len(box.members):,} alike" if len(box.members) > 1 else amount(len(ops), "ops")
    kind = "" if first.path == plan.path else type_of(facts, first.path)
    macs = sum(op.macs for op in ops)
    title, name, output = _fitted(
        name_of(plan.path, box), f"{many} {kind}".strip(), shapes_text(facts.ops[first.stop - 1].shapes)
    )
    tooltip = f"{name_of('', box)}: {amount(len(ops), 'operations')}, {macs:,} multiply-accumulates"
    return Label(
        title=title, name=name, output=output, tooltip=tooltip, family="module", live=any(op.live for op in ops)
    )  # fmt: skip


def _of_operation(op: Op, path: str) -> Label:
    title, name, output = _fitted(op.kind, relative_path(path, op.layer), shapes_text(op.shapes))
    return Label(
        title=title,
        name=name,
        output=output,
        tooltip=_tooltip(op),
        family=next((family for family in _FAMILIES if op.kind in GROUPS[family]), "other"),
        live=op.live,
        kind=op.kind,
        index=op.index,
    )


def _tooltip(op: Op) -> str:
    """Return `1 conv (conv2d) in initial.0, 1x10x26x26 float32, 60,840 multiply-accumulates, reads 0, model.py:57`."""
    parts = [
        f"{op.index:,} {op.kind} ({op.op})" + (f" in {op.layer}" if op.layer else ""),
        f"{shapes_text(op.shapes)} {op.dtype or ''}".strip(),
        f"{op.macs:,} multiply-accumulates" if op.macs else "",
        f"reads {', '.join(f'{index:,}' for index in op.inputs)}" if op.inputs else "",
        str(op.where or ""),
        "" if op.live else "reaches no output",
    ]
    return ", ".join(filter(None, parts))


def enclosing_module(facts: Facts, plan: Plan, box: Box) -> str | None:
    """Return the module whose frame encloses a box of one operation: the module directly below the path of the plan."""
    if box.stop - box.start > 1:
        return None
    layer = facts.ops[box.start].layer
    inside = relative_path(plan.path, layer)
    head, _, rest = inside.partition(".")
    module = layer.removesuffix(inside) + head
    outside = plan.path and inside == layer
    return None if outside or not head or not (rest or facts.has_children(module)) else module


def name_of(path: str, box: Box) -> str:
    """Return the name of a box of several operations: its module, its consecutive modules, or its operations."""
    first, last = (relative_path(path, each.path) for each in (box.members[0], box.members[-1]))
    if not first or box.members[0].path == path:
        return f"operations {box.start:,} to {box.stop - 1:,}"
    return first if first == last else f"{first} to {last.rpartition('.')[2]}"


def type_of(facts: Facts, path: str) -> str:
    """Return the type of the layer at `path`, empty if there is none."""
    layer = facts.layer(path)
    return layer.type if layer else ""


def relative_path(path: str, layer: str) -> str:
    """Return the path of `layer` relative to `path`, or its whole path if it lies elsewhere.

    >>> relative_path("block1", "block1.0.conv"), relative_path("block1", "block1"), relative_path("block1", "head")
    ('0.conv', '', 'head')
    """
    if layer == path:
        return ""
    return layer[len(path) + 1 :] if path and layer.startswith(f"{path}.") else layer


def _fitted(title: str, name: str, output: str) -> tuple[str, str, str]:
    """Cut the words of a box so that they fit: the name first, then the shape."""
    title = fit(title, CHARACTERS - _LEAST)
    output = fit(output, max(_LEAST, CHARACTERS - len(title) - _LEAST))
    return title, fit(name, max(0, CHARACTERS - len(title) - len(output) - 2)), output


def fit(text: str, size: int) -> str:
    """Return `text` on one line, cut to `size` characters.

    >>> fit("AdaptiveAvgPool2d", 9), fit("Linear", 9), fit("Linear", 1)
    ('Adaptive…', 'Linear', '')
    """
    text = one_line(text)
    return text if len(text) <= size else f"{text[: size - 1]}…" if size > 1 else ""
