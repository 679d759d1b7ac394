"""The context of probes: a model with its example, which runs on real numbers and is restored after every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from archcheck.facts.main_output import main_output
from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.operator_results import dtype_of
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.containers import named_tensors, tensors_in
from archcheck.measure.shapes.tensor import is_floating
from archcheck.measure.subject.module_tree import Tree

_TRAINING = "context of training"

Outputs = dict[str, torch.Tensor]
"""The floating outputs of a pass by name, in the order in which they are returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeContext:
    """The argument of every probe. `fresh` builds the model again, `None` if only the instance is known.

    `known` has results that probes share, by name.
    """

    passes: Passes
    example: Example
    trace: Trace
    root: str
    fresh: Callable[[], torch.nn.Module] | None = None
    known: dict[str, Any] = field(default_factory=dict)
    training_trace: Trace | None = None

    def in_mode(self, training: bool) -> ProbeContext:
        """Return the context of passes in a mode: another one if the model gets another input in training."""
        if not training or self.example.training is None:
            return self
        if _TRAINING not in self.known:
            trace = self.training_trace or self.trace
            self.known[_TRAINING] = replace(self, example=self.example.training, trace=trace, known={})
        found: ProbeContext = self.known[_TRAINING]
        return found

    @property
    def model(self) -> torch.nn.Module:
        """The model."""
        return self.passes.model

    @property
    def tree(self) -> Tree:
        """The layers and tensors of the model."""
        return self.passes.tree

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one pass on the example, at least one."""
        return max(1, sum(event.macs for event in self.trace.events))

    def run(self, example: Example, *, training: bool = False, seed: int = 0) -> Outputs:
        """Return the floating outputs of one pass, and restore the model."""
        with self.passes.untouched(values=True):
            return self.call(example, training=training, seed=seed)

    def outputs(self, example: Example) -> Any:
        """Return the output of the model in evaluation, and restore the model."""
        with self.passes.untouched(values=True):
            seed_all(0)
            set_mode(self.tree, training=False)
            return example.given_to(self.model)

    def call(self, example: Example, *, training: bool = False, seed: int = 0) -> Outputs:
        """Return the floating outputs of one pass, without restoring the model."""
        seed_all(seed)
        set_mode(self.tree, training)
        return outputs_of(example.given_to(self.model))

    def dtype(self, outputs: Outputs) -> str:
        """Return the name of the coarsest floating dtype among parameters, buffers, inputs and outputs."""
        tensors = (*self.tree.tensors(), *inputs_of(self.example), *outputs.values())
        floating = [tensor for tensor in tensors if tensor.is_floating_point()]
        return dtype_of(max(floating, key=lambda tensor: torch.finfo(tensor.dtype).eps)) if floating else "float32"


def outputs_of(value: Any) -> Outputs:
    """Return the floating tensors of an output by name: `""` for a tensor alone, else `logits`, `0.hidden` and so on.

    A packed sequence is split into its sequences.

    Raises:
        SubjectError: no tensor has floating values.
    """
    value = unpack_sequence(value) if isinstance(value, PackedSequence) else value
    found = {name: tensor for name, tensor in named_tensors(value) if _has_values(tensor)}
    if not found:
        raise SubjectError("forward", "the forward pass returned no floating numbers to look at")
    return found


def main_in(value: Any) -> torch.Tensor | None:
    """Return the main tensor of an output, `None` if it has no tensor."""
    tensors = list(tensors_in(value))
    return tensors[main_output([each.shape for each in tensors])] if tensors else None


def _has_values(tensor: torch.Tensor) -> bool:
    return is_floating(tensor) and tensor.numel() > 0
