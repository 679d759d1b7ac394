"""The parts that facts are made of: plain frozen data whose field names are keys of the JSON report.

Shapes are tuples of integers with the batch first, `(N, C, H, W)` for images; sizes are in elements unless a
name says bytes; `macs` are multiply-accumulates (one fused multiply-add is one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archcheck.facts.storage import StoredTensor
from archcheck.foundation.source_place import Where

Shape = tuple[int, ...]

CROSS_CHECK = "cross-check"
"""What a request needs for the facts to hold a `CrossCheck`."""

PARANOID = "paranoid"
"""What a request needs for a second look on real numbers."""

TRAINING = "training"
"""What a request needs for the facts to hold `Training`, the checkpoint evaluated."""

RECORD = "record"
"""What a request needs for the facts to hold `Training`, the record read and the checkpoint left alone."""

TRIAL = "trial"
"""What a request needs for the facts to hold what a trial of the trainer shows."""

HELD_OUT = "held-out"
"""What a request needs beside `TRIAL` for the facts to tell what the evaluation and the declared data hold."""

IDLE = {"idle": True}
"""The attribute of an activation that always returns its input."""

PART_OF = "part_of"
"""The attribute of an operation that is a part of another: the index of the whole operation."""


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


NUMBER_BYTES = 4
"""Bytes of a number that acts beside the parameters, as a float32 has them."""
MUCH = 64
"""Numbers that may act beside the parameters: epsilons, slopes, the mean of each colour, a small filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Something that acts on an output and is neither an input nor a parameter of the model.

    `used_by` is the operation that reads it, `layer` is the layer of that operation, and `where` is the line. The name
    of a `buffer` is its path; otherwise it is the name of the attribute that holds it, if there is one. `numbers` is
    how many numbers it is worth: all `elements`, or fewer if they follow from one another, as in a mask or a table of
    positions. `bits` is the width of one element. `content_bytes` is the smallest number of bytes that describes the
    numbers. `trainable` marks a parameter that no module owns.
    """

    name: str
    shape: Shape
    elements: int
    used_by: str
    layer: str
    where: Where | None
    buffer: bool = False
    origin: str = "tensor"
    numbers: int = 0
    bits: int = 32
    content_bytes: int = 0
    trainable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The weights of a model. `total` counts the elements of unique tensors, by identity; buffers are counted
    separately.

    Two parameters that are views of one storage are two tensors and count twice, as they do for torch and for every
    optimiser. `bytes` and `bytes_by_dtype` (`{"float32": 52344, "int64": 40}`) are for parameters and buffers,
    persistent or not. `hidden` weights are in no other count, except those that are buffers. `frozen_names` are the
    parameters with `requires_grad = False`, at the start and in both modes. `beside` lists what else acts on an output
    and is no weight: numbers of Python, masks, and tables that follow from a few numbers. Packed weights of quantised
    layers count as parameters that are not trained. `storage` says how each tensor is stored, `effective` how many
    parameters are not zero, and `file_bytes` the size of the file that the weights came from.
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
    beside: tuple[Hidden, ...] = ()
    storage: tuple[StoredTensor, ...] = ()
    effective: int | None = field(default=None, compare=False)
    file_bytes: int | None = None

    @property
    def numbers_beside(self) -> int:
        """Return how many numbers act beside the parameters, hidden weights included."""
        return sum(each.numbers or each.elements for each in self.hidden) + sum(each.numbers for each in self.beside)

    @property
    def bytes_beside(self) -> int:
        """Return in how many bytes they can be described."""
        return sum(each.content_bytes for each in (*self.hidden, *self.beside))

    @property
    def hidden_total(self) -> int:
        """Elements of all hidden weights."""
        return sum(weight.elements for weight in self.hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A module of the tree. `params` and `macs` are those of its subtree; `order` is that of its first call.

    Where values decide what runs, `ran` is in how many passes in evaluation it was called, `None` for all or none, and
    `calls` and `macs` are the most of any pass.
    """

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
    ran: int | None = None

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
    Where values decide what runs, `runs` are the numbers of the passes that ran it, each with its multiply-accumulates
    there; it is empty where all passes did alike.
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
    runs: tuple[tuple[int, int], ...] = ()

    def ran_in(self, number: int) -> bool:
        """Whether the pass of this number ran it."""
        return not self.runs or any(run == number for run, _ in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A line where values decide what runs: `code` is its text, `outcome` what came of it in the passes, in words.

    It stands in `function` and runs in `layer`, `""` for the model itself.
    """

    code: str
    function: str
    layer: str
    where: Where
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePasses:
    """The real passes that were run because values decide what runs: on varied inputs, each with its own random
    numbers.

    `evaluation` and `training` are the numbers of passes in each mode. The first pass uses the example. A mode in which
    nothing is decided has one pass. `few` says that more passes would take too long, or fail. `outputs` are the
    operations that make the outputs of each pass in evaluation. `rare` are layers that ran in none of these passes, but
    on larger batches or with other parameters. For the layers in `unsettled` it is unknown whether any input leads to
    them.
    """

    evaluation: int
    training: int
    few: bool = False
    choices: tuple[Choice, ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()
    rare: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one forward pass in evaluation mode on the measured input.

    `fvcore_flops` follows the convention of published tables: `macs` plus some elementwise work. `activations` are the
    elements of convolution and matmul outputs. `peak_activation_bytes` is the most memory that inputs and intermediate
    results take at one time, without parameters. `training_macs` are those of one training step on that input, forward
    and backward: a product costs its forward again for the gradient of each operand that needs one. They are `None` if
    the forward pass in training could not be measured. Where values decide what runs, each figure is that of the
    largest pass. `backward` are the multiply-accumulates of the gradients in each pass in training, as pairs of the
    index of an operation in the training graph and its part.
    """

    macs: int
    fvcore_flops: int
    activations: int
    peak_activation_bytes: int
    uncounted: tuple[str, ...]
    bounds: tuple[str, ...] = ()
    training_macs: int | None = None
    training_uncounted: tuple[str, ...] = ()
    backward: tuple[tuple[tuple[int, int], ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Inputs and outputs in the order they are given; `output_ops` are the operations that make the outputs.

    `output_names` are what the model calls those: `logits`, `1` in a tuple, `""` for a tensor alone.
    `receptive_field` is the extent, in input positions per axis, that one position of the last feature map
    sees, cumulative through branches and strides; `None` where the network has no convolution.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    output_ops: tuple[int, ...]
    receptive_field: Shape | None
    output_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The record of a training run, and the result of evaluating the checkpoint again.

    `mismatches` says in plain words why the record does not belong to this model; an empty list means that it does.
    `correct` and `total` come from evaluating the committed checkpoint on the held-out test set. If only the record was
    read, they and `checkpoint_problem` are `None`.
    """

    record_file: str | None
    record: Mapping[str, Any] | None
    mismatches: tuple[str, ...]
    checkpoint_file: str | None = None
    checkpoint_problem: str | None = None
    correct: int | None = None
    total: int | None = None
