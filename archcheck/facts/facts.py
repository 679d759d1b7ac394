"""What was measured of a subject: plain frozen data whose field names are the keys of the JSON report.

A fact that could not be measured is `None` or is named in `unmeasured`; it is never zero.
Shapes are tuples of integers with the batch first, `(N, C, H, W)` for images; sizes are in elements unless a
name says bytes; `macs` are multiply-accumulates (one fused multiply-add is one).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from archcheck.facts.artifact_files import Artifacts
from archcheck.facts.calls import Calls
from archcheck.facts.cross_checks import CrossCheck, ToolCount
from archcheck.facts.option_words import with_memory
from archcheck.facts.records import Cost, Layer, Op, Params, Shapes, Subject, Training, ValuePasses
from archcheck.facts.snapshot import Committed
from archcheck.foundation.display import Displayed
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.json_codec import decode, encode
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Texts


@dataclass(frozen=True, kw_only=True, repr=False)  # no slots: the cached properties need a `__dict__`
class Facts(Displayed):
    """Everything that was measured of one subject.

    `ops` is the graph executed in evaluation mode. `train_ops` are the operations of the training graph that differ
    from it, out of `train_length`. Use `executed` to read a whole graph. `unused_layers` are the paths of layers that
    neither mode calls, or whose results reach no output in either; of an unused branch, only the outermost. Where
    values decide what runs, `passes` describes the real passes, and both graphs hold everything that ran in any of
    them. `snapshot` holds the committed measures of this subject, if a rule asks for them. `calls` is what other
    counters watch, if one of their numbers is asked for, and `tool_counts` are these numbers. `texts` are the files
    that rules read, and `artifacts` the files whose size they judge; no report holds them.
    """

    subject: Subject
    params: Params
    layers: tuple[Layer, ...]
    ops: tuple[Op, ...]
    train_ops: tuple[Op, ...]
    train_length: int
    cost: Cost
    shape: Shapes
    behaviour: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: Training | None = None
    cross_check: CrossCheck | None = None
    unused_layers: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    snapshot: Committed | None = None
    passes: ValuePasses | None = None
    calls: Calls | None = None
    tool_counts: tuple[ToolCount, ...] = ()
    texts: Texts = field(default=Texts(), compare=False, metadata={"written": False})
    artifacts: Artifacts = field(default=Artifacts(), compare=False, metadata={"written": False})

    def executed(self, mode: str) -> tuple[Op, ...]:
        """Return the whole executed graph of `mode`, `"eval"` or `"train"`.

        Raises `NotMeasured` when the forward pass in training mode could not be measured, and `ValueError` for any
        other mode.
        """
        if mode == "eval":
            return self.ops
        if mode != "train":
            raise ValueError(f'there are the modes "eval" and "train", not {mode!r}')
        if self.train_length == 0:
            raise NotMeasured("; ".join(self.unmeasured) or "the graph in training mode was not measured")
        return self._training_graph

    def in_pass(self, number: int) -> Facts:
        """Return these facts with the graph in evaluation of one pass alone, and its outputs."""
        if self.passes is None:
            return self
        ran = [op for op in self.ops if op.ran_in(number)]
        places = {op.index: place for place, op in enumerate(ran)}
        reached, pending = set[int](), [*self.passes.outputs[number]]
        while pending:
            index = pending.pop()
            if index not in reached and index in places:
                reached.add(index)
                pending += self.ops[index].inputs
        ops = tuple(
            replace(
                op,
                index=places[op.index],
                inputs=tuple(places[index] for index in op.inputs if index in places),
                macs=dict(op.runs).get(number, op.macs),
                live=op.live and op.index in reached,
                runs=(),
            )
            for op in ran
        )
        outputs = tuple(places[index] for index in self.passes.outputs[number] if index in places)
        train_ops = diff_ops(ops, merge_ops(self.ops, self.train_ops, self.train_length))
        return replace(self, ops=ops, train_ops=train_ops, shape=replace(self.shape, output_ops=outputs), passes=None)

    @cached_property
    def ways(self) -> tuple[Facts, ...]:
        """The facts of each pass in evaluation. Passes that ran the same way appear once."""
        if self.passes is None:
            return (self,)
        found: dict[object, int] = {}
        for number, outputs in enumerate(self.passes.outputs):
            found.setdefault((outputs, tuple(dict(op.runs).get(number) for op in self.ops if op.runs)), number)
        return tuple(map(self.in_pass, found.values()))

    def demand_numbers(self) -> None:
        """Raise `NotMeasured` when the model was built without memory, so that nothing can be computed with it."""
        if self.subject.meta:
            raise NotMeasured(
                "this takes real numbers, and the model was built without memory",
                fix=with_memory(self.subject.target, self.subject.notes),
            )

    def noting(self, text: str) -> Facts:
        """Return these facts with one more note."""
        return replace(self, subject=replace(self.subject, notes=(*self.subject.notes, text)))

    def layer(self, path: str) -> Layer | None:
        """Return the layer at `path`, or `None`."""
        return self._layers_by_path.get(path)

    def built_at(self, path: str) -> Where | None:
        """Return the line that builds the layer at `path`, or the nearest layer around it. Otherwise return the line of
        the class.

        If a layer of torch builds layers inside it, only the outer layer has a line in the user's code.
        """
        around = (self.layer(each) for each in reversed([*lineage(path)][1:]))
        return next((layer.where for layer in around if layer and layer.where), None) or self.subject.where

    def has_children(self, path: str) -> bool:
        """Whether the layer at `path` contains other layers."""
        return path in self._parents

    def is_unused(self, path: str) -> bool:
        """Whether the layer at `path` is unused or lies in one that is."""
        return not self._unused.isdisjoint(lineage(path))

    def runs(self, path: str) -> bool:
        """Whether anything is executed in the layer at `path`, in evaluation or in training."""
        return path in self._running

    def ops_of(self, path: str) -> tuple[Op, ...]:
        """Return the operations that the layer at `path` itself executes in evaluation, without the layers inside."""
        return tuple(self._ops_by_layer.get(path, ()))

    def count_inside(self, path: str) -> int:
        """Return how many layers lie inside of the layer at `path`."""
        return self._inside[path]

    @cached_property
    def _unused(self) -> frozenset[str]:
        return frozenset(self.unused_layers)

    @cached_property
    def _running(self) -> frozenset[str]:
        layers = {op.layer for op in (*self.ops, *self.train_ops)}
        return frozenset(path for layer in layers for path in lineage(layer))

    @cached_property
    def _ops_by_layer(self) -> dict[str, list[Op]]:
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            found.setdefault(op.layer, []).append(op)
        return found

    @cached_property
    def _inside(self) -> Counter[str]:
        return Counter(outer for layer in self.layers for outer in lineage(layer.path) if outer != layer.path)

    @cached_property
    def _parents(self) -> frozenset[str]:
        return frozenset(layer.path.rpartition(".")[0] for layer in self.layers if layer.path)

    @cached_property
    def _training_graph(self) -> tuple[Op, ...]:
        return merge_ops(self.ops, self.train_ops, self.train_length)

    @cached_property
    def _layers_by_path(self) -> dict[str, Layer]:
        return {layer.path: layer for layer in self.layers}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values under the names of the fields."""
        encoded: dict[str, Any] = encode(self)
        return encoded

    @property
    def headline(self) -> str:
        """The subject and its size on one line."""
        figures = f"{self.params.total:,} parameters, {self.cost.macs:,} multiply-accumulates"
        return f"Facts of {self.subject.name}: {figures}"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Facts:
        """Read what `to_json` wrote. Raises `ValueError` for anything else."""
        facts = decode(cls, value)
        check_graph(facts)
        return facts


def lineage(path: str) -> Iterator[str]:
    """Yield the layers around `path` from the model (`""`) inwards, and `path` itself."""
    yield ""
    for match in re.finditer(r"\.", path):
        yield path[: match.start()]
    if path:
        yield path


def diff_ops(evaluation: tuple[Op, ...], training: tuple[Op, ...]) -> tuple[Op, ...]:
    """Return the operations of `training` that differ from those at the same index of `evaluation`."""
    same = len(evaluation)
    return tuple(
        op for op in training if op.index >= same or (op is not evaluation[op.index] and op != evaluation[op.index])
    )


def merge_ops(evaluation: tuple[Op, ...], differing: tuple[Op, ...], length: int) -> tuple[Op, ...]:
    """Undo `diff_ops`: `length` is the number of operations of the training graph."""
    merged = dict(enumerate(evaluation[:length]))
    merged.update((op.index, op) for op in differing)
    return tuple(merged[index] for index in range(length))


def check_graph(facts: Facts) -> None:
    """Raise `ValueError` unless every operation that `facts` refer to is there."""
    differing = {op.index for op in facts.train_ops}
    told = facts.train_length <= len(facts.ops) + len(differing)  # before anything of that length is made
    missing = not told or set(range(len(facts.ops), facts.train_length)) - differing
    if missing or any(op.index != index for index, op in enumerate(facts.ops)):
        raise ValueError("the operations of a graph are not numbered from 0 on")
    for op in (*facts.ops, *facts.train_ops):
        if any(not 0 <= index < op.index for index in op.inputs):
            raise ValueError(f"operation {op.index} reads one that did not run before it")
        _check_dropout(op)
    outputs = (facts.shape.output_ops, *(facts.passes.outputs if facts.passes else ()))
    if any(not 0 <= index < len(facts.ops) for each in outputs for index in each):
        raise ValueError("an output names an operation that is not there")


def _check_dropout(op: Op) -> None:
    """Raise `ValueError` when `op` may drop elements and does not say at which rate."""
    if op.kind not in ("dropout", "attention", "lstm", "gru", "rnn"):
        return
    rate, layers = op.attributes.get("p", 0.0), op.attributes.get("num_layers", 1)
    told = op.kind != "dropout" or {"p", "training"} <= op.attributes.keys()
    if not (told and isinstance(rate, int | float) and isinstance(layers, int)):
        raise ValueError(f"operation {op.index}, {op.kind}, does not say at which rate it drops elements")
