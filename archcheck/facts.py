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

from archcheck.codec import decode, encode
from archcheck.errors import NotMeasured
from archcheck.snapshot import Committed
from archcheck.texts import Texts
from archcheck.where import Where

Shape = tuple[int, ...]

UNEXPLAINED = "unexplained"
"""The reason of a difference of which nothing is known."""

CROSS_CHECK = "cross-check"
"""What a request needs for the facts to hold a `CrossCheck`."""

META_WORDS = "`--meta` (in a contract `meta = true`)"
"""How users ask for a model without memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """The outside of a tensor: its shape and the name of its dtype (`float32`)."""

    shape: Shape
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who was measured, and where: `fingerprint` is a digest of the executed structure.

    A `meta` subject was built without memory: there are no numbers to judge.
    """

    name: str
    target: str
    fingerprint: str
    environment: Mapping[str, str]
    where: Where | None = None
    notes: tuple[str, ...] = ()
    meta: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A tensor that acts as a weight and is no parameter of the model.

    `used_by` is the operation that reads it, `layer` the layer in which that happens and `where` the line. A
    `buffer` has its path as its name; any other has the name of the attribute that holds it, where one does.
    """

    name: str
    shape: Shape
    elements: int
    used_by: str
    layer: str
    where: Where | None
    buffer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The ledger. `total` counts the elements of unique tensors, by identity; `buffers` are apart from it.

    Two parameters that are views of one storage are two tensors and count twice, as they do for torch and for
    every optimiser. `bytes` and `bytes_by_dtype` (`{"float32": 52344, "int64": 40}`) are of parameters and buffers,
    persistent or not. `hidden` weights are in no other count, but for those that are buffers. `frozen_names` are the
    parameters that `requires_grad` keeps from training.
    """

    total: int
    trainable: int
    frozen: int
    buffers: int
    bytes: int
    tied: tuple[tuple[str, ...], ...]
    hidden: tuple[Hidden, ...]
    unused: tuple[str, ...]
    sizes: Mapping[str, int]
    bytes_by_dtype: Mapping[str, int] = field(default_factory=dict)
    frozen_names: tuple[str, ...] = ()

    @property
    def hidden_total(self) -> int:
        """Elements of all hidden weights."""
        return sum(weight.elements for weight in self.hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A module of the tree. `params` and `macs` are those of its subtree; `order` is that of its first call."""

    path: str
    type: str
    params: int
    own_params: int
    calls: int
    order: int | None
    live: bool
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    macs: int
    where: Where | None

    @property
    def called(self) -> bool:
        """Whether a forward pass in evaluation mode reached this layer."""
        return self.calls > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One executed operation.

    `kind` is its canonical name (`conv`, `batch_norm`, `dropout`, `global_avg_pool`, …), `op` the name torch
    gives it. `inputs` are the indices of the operations whose results it reads, `params` the names of the
    parameters and buffers it reads. `live` says that its result reaches an output.
    """

    index: int
    kind: str
    op: str
    layer: str
    inputs: tuple[int, ...]
    shapes: tuple[Shape, ...]
    dtype: str | None
    attributes: Mapping[str, Any]
    params: tuple[str, ...]
    macs: int
    live: bool
    flops: int = 0
    where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one forward pass in evaluation mode costs on the measured input.

    `fvcore_flops` follows the convention of published tables: `macs`, and some elementwise work on top.
    `activations` are the elements of convolution and matmul outputs. `peak_activation_bytes` is the most that
    inputs and intermediate results take at one time; parameters are apart.
    """

    macs: int
    fvcore_flops: int
    activations: int
    peak_activation_bytes: int
    uncounted: tuple[str, ...]
    bounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where fvcore counts another number of `quantity`, `"flops"` or `"activations"`, than we do.

    `op` is fvcore's name of the operator, or torch's where fvcore has none. Both counts are of what `layer` runs
    itself, without the layers inside of it. `reason` says why they differ, or `"unexplained"`.
    """

    layer: str
    op: str
    ours: int
    fvcore: int
    reason: str
    quantity: str = "flops"

    @property
    def explained(self) -> bool:
        """Whether it is known why the counts differ."""
        return self.reason != UNEXPLAINED


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """What fvcore itself counts of the same forward pass, beside our `fvcore_flops` and `activations`.

    `error` says why fvcore could count nothing; its totals are `None` then. `compared` is the number of pairs of a
    layer and an operator to which either of us gives flops, and `version` that of fvcore.
    """

    total_ours: int
    total_fvcore: int | None
    activations_ours: int
    activations_fvcore: int | None
    compared: int = 0
    differences: tuple[Difference, ...] = ()
    error: str | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Inputs and outputs in the order they are given; `output_ops` are the operations that make the outputs.

    `receptive_field` is the extent, in input positions per axis, that one position of the last feature map
    sees, cumulative through branches and strides; `None` where the network has no convolution.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    output_ops: tuple[int, ...]
    receptive_field: Shape | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The record of a training run and what a fresh look at the checkpoint gave.

    `mismatches` says in plain words why the record does not belong to this model; empty means it does.
    `correct` and `total` come from evaluating the committed checkpoint anew, on the held-out test set.
    """

    record_file: str | None
    record: Mapping[str, Any] | None
    mismatches: tuple[str, ...]
    checkpoint_file: str | None = None
    checkpoint_problem: str | None = None
    correct: int | None = None
    total: int | None = None


@dataclass(frozen=True, kw_only=True)  # no slots: the cached properties need a `__dict__`
class Facts:
    """Everything that was measured of one subject.

    `ops` is the graph executed in evaluation mode; `train_ops` are the operations of the graph in training
    mode that differ from it, out of `train_length`. Use `executed` to read either graph whole. `unused_layers`
    are the paths of layers that neither mode calls, or whose results reach no output in either; of a branch, the
    outermost. `snapshot` is what a contract has committed of this subject before, where a rule asks for it.
    `texts` are the files that rules ask to read, for as long as they judge: no report holds them.
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
    texts: Texts = field(default=Texts(), compare=False, metadata={"written": False})

    def executed(self, mode: str) -> tuple[Op, ...]:
        """Return the whole executed graph of `mode`, `"eval"` or `"train"`.

        Raises `NotMeasured` when the forward pass in training mode could not be measured.
        """
        if mode == "eval":
            return self.ops
        if self.train_length == 0:
            raise NotMeasured("; ".join(self.unmeasured) or "the graph in training mode was not measured")
        return self._training_graph

    def demand_numbers(self) -> None:
        """Raise `NotMeasured` when the model was built without memory, so that nothing can be computed with it."""
        if self.subject.meta:
            raise NotMeasured(
                "this takes real numbers, and the model was built without memory", fix=f"leave {META_WORDS} out"
            )

    def noting(self, text: str) -> Facts:
        """Return these facts with a note on how they came about."""
        return replace(self, subject=replace(self.subject, notes=(*self.subject.notes, text)))

    def layer(self, path: str) -> Layer | None:
        """Return the layer at `path`, or `None`."""
        return self._layers_by_path.get(path)

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
    missing = set(range(len(facts.ops), facts.train_length)) - differing
    if missing or any(op.index != index for index, op in enumerate(facts.ops)):
        raise ValueError("the operations of a graph are not numbered from 0 on")
    for op in (*facts.ops, *facts.train_ops):
        if any(not 0 <= index < op.index for index in op.inputs):
            raise ValueError(f"operation {op.index} reads one that did not run before it")
        _check_dropout(op)
    if any(not 0 <= index < len(facts.ops) for index in facts.shape.output_ops):
        raise ValueError("an output names an operation that is not there")


def _check_dropout(op: Op) -> None:
    """Raise `ValueError` when `op`, which may drop elements, does not say at which rate as whoever shows it needs."""
    if op.kind not in ("dropout", "attention", "lstm", "gru", "rnn"):
        return
    rate, layers = op.attributes.get("p", 0.0), op.attributes.get("num_layers", 1)
    told = op.kind != "dropout" or {"p", "training"} <= op.attributes.keys()
    if not (told and isinstance(rate, int | float) and isinstance(layers, int)):
        raise ValueError(f"operation {op.index}, {op.kind}, does not say at which rate it drops elements")
